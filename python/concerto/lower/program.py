"""The whole program: tables of constants, types, schemas, connections and models, and the functions."""

from __future__ import annotations

import hashlib
from typing import Any

from concerto.check import builtins, library
from concerto.check import types as t
from concerto.check.checked import (
    CheckedProgram,
    ConnectionInfo,
    FieldInfo,
    FunctionInfo,
    ModelInfo,
    ParamInfo,
    PipelineInfo,
    StoreInfo,
    ToolInfo,
    ToolMethod,
    VariantFunction,
    schema_name,
)
from concerto.check.tools import HOOK
from concerto.check.traits import dispatch
from concerto.check.types import Type
from concerto.check.values import (
    MapConstant,
    StructConstant,
    VariantDefault,
    constant_text,
    plain,
)
from concerto.lower.coverage import Points
from concerto.lower.errors import lower_error_parts, message_function
from concerto.lower.functions import lower_function, lower_top
from concerto.lower.ir import Function, Program
from concerto.lower.pipelines import lower_pipeline
from concerto.lower.schemas import json_schema
from concerto.lower.tools import tool_entries
from concerto.source import Source, Span

_ERRORS = tuple(t.Struct(n, o) for n, (o, _) in builtins.records().items() if o == "error")
"""All built-in errors."""


class Tables:
    """Pools without repetition; the index of an entry is its name in the code."""

    def __init__(self, checked: CheckedProgram, points: Points | None = None) -> None:
        self.checked = checked
        #: What the code tells control to have come by.
        self.points = points
        self.constants: dict[tuple[str, Any], int] = {}
        self.types: list[list[Any]] = []
        self.type_index: dict[Any, int] = {}
        self.schemas: dict[Type, int] = {}
        self.models = {name: index for index, name in enumerate(checked.models)}
        #: Functions without a name in the program; they stand behind the others.
        self.hidden: list[Function | None] = []
        plain = [info for info in checked.functions.values() if not info.is_generic]
        self.first_hidden = len(plain) + bool(checked.top)
        #: The index of each function with its type arguments; those that are used and not lowered yet.
        self.functions: dict[tuple[int, tuple[Type, ...]], int] = {
            (id(info), ()): index for index, info in enumerate(plain)
        }
        self.waiting: list[tuple[int, FunctionInfo, tuple[Type, ...]]] = []
        self.variant_functions: dict[VariantFunction, int] = {}
        self.pipelines: dict[str, int] = {}
        #: Whether types of the program implement `Error`; the types that clauses catch; the places of the functions behind parts of an `Error`.
        self.has_own_errors = any(i.trait and i.trait.name == "Error" for i in checked.impls)
        self.errors: dict[Type, None] = {}
        self.error_parts: dict[str, int] = {}
        #: Files of the library that are used, which stand behind the program's own.
        self.library_files: list[str] = []
        self.first_library_file = len(checked.files.sources) + bool(checked.manifest)

    def file_at(self, offset: int) -> tuple[int, int]:
        """The file of a place in the text of the program, and where the file begins in it."""
        files = self.checked.files
        index = files.index(offset)
        return index + bool(index and self.checked.manifest), files.starts[index]

    def place(self, span: Span) -> list[int]:
        """A span of the program as it stands in the document."""
        file, first = self.file_at(span.start)
        return [file, span.start - first, span.end - first]

    def function(self, info: FunctionInfo, args: tuple[Type, ...] = ()) -> int:
        """The index of a function with type arguments; what is no plain function of the program is lowered when it is used."""
        info, args = dispatch(self.checked, info, args)
        key = (id(info), args)
        if key not in self.functions:
            place = self.reserve()
            self.functions[key] = self.first_hidden + place
            self.waiting.append((place, info, args))
        return self.functions[key]

    def lower_waiting(self) -> None:
        """The code of all functions that are used, and of those that they use."""
        while self.waiting:
            place, info, args = self.waiting.pop(0)
            self.hidden[place] = lower_function(self, info, self._file_of(info), args)

    def _file_of(self, info: FunctionInfo) -> int | None:
        """The number of the file of the library that a function stands in; None for those of the program."""
        if info.library is None:
            return None
        if info.library not in self.library_files:
            self.library_files.append(info.library)
        return self.first_library_file + self.library_files.index(info.library)

    def pipeline(self, info: PipelineInfo) -> int:
        """The index of the function that runs a pipeline, which is lowered when it is first used."""
        if info.name not in self.pipelines:
            place = self.pipelines[info.name] = self.reserve()
            self.hidden[place] = lower_pipeline(self, info)
        return self.first_hidden + self.pipelines[info.name]

    def error_part(self, part: str) -> int:
        """The index of the function behind a part of an `Error`, which is lowered when all errors are known."""
        if part not in self.error_parts:
            self.error_parts[part] = self.reserve()
        return self.first_hidden + self.error_parts[part]

    def reserve(self) -> int:
        """A place for a hidden function, whose code is not known yet."""
        self.hidden.append(None)
        return len(self.hidden) - 1

    def constant(self, value: int | float | str) -> int:
        """The index of a constant of code."""
        kind = (
            "string" if isinstance(value, str) else "float" if isinstance(value, float) else "int"
        )
        key = (kind, repr(value))
        return self.constants.setdefault(key, len(self.constants))

    def constant_list(self) -> list[list[Any]]:
        """The pool as it stands in the document."""
        convert = {"string": str, "float": float, "int": int}
        out = []
        for kind, text in self.constants:
            value: Any = (
                eval(text, {"inf": float("inf")}) if kind == "string" else convert[kind](text)
            )
            out.append([kind, value])
        return out

    def type(self, type_: Type) -> int:
        """The index of a type."""
        type_ = t.settled(type_)
        if type_ in self.type_index:
            return self.type_index[type_]
        match type_:
            case t.Struct():
                return self._struct(type_)
            case t.Enum():
                return self._enum(type_)
            case t.Array(item):
                entry: list[Any] = ["array", self.type(item)]
            case t.Map(key, value):
                entry = ["map", self.type(key), self.type(value)]
            case t.Collection(name, item):
                entry = [name.lower(), self.type(item)]
            case t.Store(key, value):
                entry = ["hashmap", self.type(key), self.type(value)]
            case t.Tuple(items):
                entry = ["tuple", [self.type(item) for item in items]]
            case t.Option(item):
                entry = ["option", self.type(item)]
            case t.Result(ok, err):
                entry = ["result", self.type(ok), self.type(err)]
            case t.Future(item):
                entry = ["future", self.type(item)]
            case t.Task(item):
                entry = ["task", self.type(item)]
            case t.Pipeline(into, out):
                entry = ["pipeline", self.type(into), self.type(out)]
            case t.Function(params, result):
                entry = ["function", [self.type(param) for param in params], self.type(result)]
            case t.Literals(values):
                entry = ["literal", list(values)]
            case t.Union(members):
                # A union has no union inside, so that its members are looked at once.
                flat = [e for m in members for e in (_ERRORS if m == t.ERROR else (m,))]
                entry = ["union", [self.type(member) for member in flat]]
            case t.Opaque():
                entry = ["any"]
            case t.Simple("ModelRef"):
                entry = ["model"]
            case t.Simple("ModelBuilder"):
                entry = ["builder"]
            case t.Simple("HashMapRef"):
                entry = ["hashmap", self.type(t.ANY), self.type(t.ANY)]
            case t.Simple("Error"):
                entry = ["union", [self.type(error) for error in _ERRORS]]
            case t.Simple(name):
                entry = ["any"] if name == "?" else [name.lower()]
            case _:
                raise AssertionError(type_)
        return self._add(type_, entry)

    def _add(self, key: Any, entry: list[Any]) -> int:
        self.types.append(entry)
        self.type_index[key] = len(self.types) - 1
        return self.type_index[key]

    def _struct(self, type_: t.Struct) -> int:
        entry: list[Any] = ["struct", {}]
        index = self._add(type_, entry)
        info = self.checked.structs.get(type_.name)
        if type_.origin in ("record", "error") or info is None:
            built_in = builtins.records()[type_.name][1]
            fields = [FieldInfo(n, ty, isinstance(ty, t.Option)) for n, ty in built_in.items()]
        else:
            fields = info.fields_of(type_)
        described = [self.field(field) for field in fields]
        origin = "struct" if type_.origin == "tool" else type_.origin
        entry[1] = {"name": t.show(type_), "origin": origin, "fields": described}
        if info and info.strict:
            entry[1]["strict"] = True
        if info and info.validators:
            entry[1]["validators"] = [self.function(each, type_.args) for each in info.validators]
        self._message(type_, entry)
        return index

    def _message(self, type_: Type, entry: list[Any]) -> None:
        message = message_function(self, type_)
        if message is not None:
            entry[1]["message"] = message

    def _enum(self, type_: t.Enum) -> int:
        entry: list[Any] = ["enum", {}]
        index = self._add(type_, entry)
        info = self.checked.enums[type_.name]
        variants = [
            {
                "name": variant.name,
                "form": variant.form,
                "fields": [self.field(field) for field in info.fields_of(number, type_)],
            }
            for number, variant in enumerate(info.variants)
        ]
        entry[1] = {"name": t.show(type_), "variants": variants}
        self._message(type_, entry)
        return index

    def field(self, field: FieldInfo) -> dict[str, Any]:
        """A field as it stands in the document."""
        entry = {
            "name": field.name,
            "json": field.json_name,
            "type": self.type(field.type),
            "optional": field.may_be_absent and field.optional,
            "default": self.default(field),
        }
        if field.checks:
            entry["checks"] = field.checks
        if field.coerce:
            entry["coerce"] = True
        return entry

    def record(self, name: str, fields: list[FieldInfo]) -> int:
        """The index of a struct that no program can name."""
        described = [self.field(field) for field in fields]
        return self._add(
            ("record", name), ["struct", {"name": name, "origin": "struct", "fields": described}]
        )

    def tool_method(self, tool: ToolInfo, method: ToolMethod) -> tuple[int, int]:
        """The number of a tool, and that of a method of it."""
        return list(self.checked.tools).index(tool.name), list(tool.methods).index(method.name)

    def default(self, of: FieldInfo | ParamInfo) -> list[Any] | None:
        """A default that is constant, as it stands in the document."""
        is_constant = of.has_default and of.computed is None
        return self._constant(of.default) if is_constant else None

    def _constant(self, value: Any) -> list[Any]:
        match plain(value):
            case None:
                return ["nil"]
            case bool() as truth:
                return ["bool", truth]
            case int() as number:
                return ["int", number]
            case float() as number:
                return ["float", number]
            case str() as text:
                return ["string", text]
            case VariantDefault(name=name):
                return ["string", name]
            case MapConstant(entries):
                return [
                    "map",
                    [[constant_text(key), self._constant(item)] for key, item in entries],
                ]
            case StructConstant(name=name, fields=values):
                fields = zip(self.checked.structs[name].fields, values, strict=True)
                return ["map", [[f.json_name, self._constant(item)] for f, item in fields]]
            case items:
                return ["array", [self._constant(item) for item in items]]

    def schema(self, type_: Type) -> int:
        """The index of a schema that a model is asked to answer in."""
        return self.schemas.setdefault(t.settled(type_), len(self.schemas))


def _file(source: Source, *, embed_source: bool) -> dict[str, Any]:
    return {
        "path": source.path,
        "digest": source.digest,
        "lines": source.line_starts,
        "text": source.text if embed_source else None,
    }


def _connection(tables: Tables, info: ConnectionInfo, profile: str | None) -> dict[str, Any]:
    """A connection as it stands in the document, with the fields of the profile in force."""
    place = [1, *info.span] if info.origin == "manifest" else tables.place(info.span)
    entry = {
        "name": info.name,
        "kind": info.kind,
        "origin": info.origin,
        "fields": info.fields,
        "span": place,
    }
    overlay = info.overlays.get(profile or "")
    return {**entry, "profile": overlay} if overlay else entry


def _model(tables: Tables, info: ModelInfo) -> dict[str, Any]:
    """A model as it stands in the document."""
    entry = {
        "name": info.name,
        "connection": list(tables.checked.connections).index(info.connection),
        "fields": info.fields,
        "span": tables.place(info.span),
    }
    hook = info.methods.get(HOOK)
    return entry if hook is None else {**entry, HOOK: tables.function(hook)}


def _may_be_called(function: FunctionInfo) -> bool:
    """Whether a host may call it, if it is public."""
    return function.test is None and not function.is_generic


def _test(tables: Tables, function: FunctionInfo) -> dict[str, Any]:
    assert function.test is not None
    test = function.test
    expect_fail = {} if test.expect_fail is None else {"expect_fail": test.expect_fail}
    return {"function": tables.function(function), "title": test.title, **expect_fail}


def _schema(tables: Tables, type_: Type) -> dict[str, Any]:
    # No model is asked for what is no struct, so that nobody reads a JSON Schema of it.
    json = json_schema(tables.checked, type_) if isinstance(type_, t.Struct) else "{}"
    return {"name": schema_name(t.show(type_)), "type": tables.type(type_), "json": json}


def _store(tables: Tables, info: StoreInfo) -> dict[str, Any]:
    """A store as it stands in the document."""
    found = t.resolve(info.type)
    assert isinstance(found, t.Store)
    entry = {
        "name": info.name,
        "key": tables.type(found.key),
        "value": tables.type(found.value),
        "span": tables.place(info.span),
    }
    return entry if info.path is None else {**entry, "path": info.path}


def lower(
    checked: CheckedProgram, compiler: str, *, embed_source: bool, points: Points | None = None
) -> Program:
    """The IR of a checked program without errors. With `points` its tests tell which of them they reach."""
    manifest = checked.manifest
    files = [_file(source, embed_source=embed_source) for source in checked.files.sources]
    if manifest:
        files.insert(1, _file(manifest.source, embed_source=False))
    parts = "\n".join(f"{file['path']}\0{file['digest']}" for file in files)
    digest = hashlib.sha256(parts.encode()).hexdigest()
    tables = Tables(checked, points)
    functions = [
        lower_function(tables, info) for info in checked.functions.values() if not info.is_generic
    ]
    top = None
    if checked.top:
        top = len(functions)
        functions.append(lower_top(tables))
    tools = tool_entries(tables)
    models = [_model(tables, model) for model in checked.models.values()]
    tables.lower_waiting()
    for name, info in checked.structs.items():
        if info.origin == "schema" and not info.type_params:
            tables.schema(t.Struct(name, info.origin))
    for schema in checked.schemas:
        tables.schema(schema)
    described = [_schema(tables, type_) for type_ in tables.schemas]
    stores = [_store(tables, store) for store in checked.stores.values()]
    tables.lower_waiting()  # validators of generic schemas
    lower_error_parts(tables)
    tables.lower_waiting()
    functions += [function for function in tables.hidden if function is not None]
    files += [_file(library.source(file), embed_source=True) for file in tables.library_files]
    program = Program(compiler=compiler, digest=digest, files=files, functions=functions)
    program.schemas = described
    profile = manifest.profile if manifest else None
    program.connections = [_connection(tables, c, profile) for c in checked.connections.values()]
    if manifest and manifest.pricing:
        program.pricing = manifest.pricing
    program.models = models
    if tools:
        program.tools = tools
    program.stores = stores or None
    if checked.channels:
        program.channels = [
            {"name": name, "payloads": payloads, "replies": replies}
            for name, payloads, replies in checked.channels
        ]
    program.constants = tables.constant_list()
    program.types = tables.types
    exports = [
        {"name": f.name, "function": tables.function(f)}
        for f in checked.functions.values()
        if f.is_pub and f.name != "main" and "::" not in f.name and _may_be_called(f)
    ]
    exports += [
        {"name": name, "function": tables.function(checked.functions[full])}
        for name, full in checked.exports.items()
        if _may_be_called(checked.functions[full])
    ]
    tests = [f for f in checked.functions.values() if f.test is not None]
    # Those of the entry module first; the checker files it behind its modules.
    tests.sort(key=lambda function: "::" in function.name)
    program.tests = [_test(tables, f) for f in tests]
    main = checked.functions.get("main")
    entry = tables.function(main) if main else None
    program.entry = {"top": top, "main": entry, "exports": exports}
    program.permissions = {"env": sorted(checked.env), "hosts": sorted(checked.hosts)}
    return program
