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
    VariantDefault,
    VariantFunction,
    schema_name,
)
from concerto.check.types import Type
from concerto.lower.functions import lower_function, lower_top
from concerto.lower.ir import Function, Program
from concerto.lower.schemas import json_schema
from concerto.source import Source


class Tables:
    """Pools without repetition; the index of an entry is its name in the code."""

    def __init__(self, checked: CheckedProgram) -> None:
        self.checked = checked
        self.constants: dict[tuple[str, Any], int] = {}
        self.types: list[list[Any]] = []
        self.type_index: dict[Any, int] = {}
        self.schemas: dict[Type, int] = {}
        self.models = {name: index for index, name in enumerate(checked.models)}
        #: Functions without a name in the program; they stand behind the others.
        self.hidden: list[Function | None] = []
        self.first_hidden = len(checked.functions) + bool(checked.top)
        self.variant_functions: dict[VariantFunction, int] = {}
        self.library_functions: dict[int, int] = {}
        #: Files of the library that are used, which stand behind the program's own.
        self.library_files: list[str] = []
        self.first_library_file = 2 if checked.manifest else 1

    def library(self, function: FunctionInfo) -> int:
        """The index of a function of the library, which is lowered when it is first called."""
        if id(function) not in self.library_functions:
            assert function.library is not None
            if function.library not in self.library_files:
                self.library_files.append(function.library)
            file = self.first_library_file + self.library_files.index(function.library)
            place = self.library_functions[id(function)] = self.reserve()
            self.hidden[place] = lower_function(self, function, file)
        return self.first_hidden + self.library_functions[id(function)]

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
            case t.Struct(name, origin):
                return self._struct(type_, name, origin)
            case t.Enum(name):
                return self._enum(type_, name)
            case t.Array(item):
                entry: list[Any] = ["array", self.type(item)]
            case t.Map(key, value):
                entry = ["map", self.type(key), self.type(value)]
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
            case t.Function(params, result):
                entry = ["function", [self.type(param) for param in params], self.type(result)]
            case t.Literals(values):
                entry = ["literal", list(values)]
            case t.Union(members):
                entry = ["union", [self.type(member) for member in members]]
            case t.Opaque():
                entry = ["any"]
            case t.Simple("ModelRef"):
                entry = ["model"]
            case t.Simple("ModelBuilder"):
                entry = ["builder"]
            case t.Simple("Error"):
                errors = [
                    t.Struct(n, o) for n, (o, _) in builtins.records().items() if o == "error"
                ]
                entry = ["union", [self.type(error) for error in errors]]
            case t.Simple(name):
                entry = ["any"] if name == "?" else [name.lower()]
            case _:
                raise AssertionError(type_)
        return self._add(type_, entry)

    def _add(self, key: Any, entry: list[Any]) -> int:
        self.types.append(entry)
        self.type_index[key] = len(self.types) - 1
        return self.type_index[key]

    def _struct(self, type_: t.Struct, name: str, origin: str) -> int:
        entry: list[Any] = ["struct", {}]
        index = self._add(type_, entry)
        if origin in ("record", "error"):
            fields = [
                FieldInfo(n, ty, isinstance(ty, t.Option))
                for n, ty in builtins.records()[name][1].items()
            ]
        else:
            fields = self.checked.structs[name].fields
        entry[1] = {"name": name, "origin": origin, "fields": [self.field(f) for f in fields]}
        info = self.checked.structs.get(name) if origin == "schema" else None
        if info and info.strict:
            entry[1]["strict"] = True
        if info and info.validators:
            entry[1]["validators"] = [function.index for function in info.validators]
        return index

    def _enum(self, type_: t.Enum, name: str) -> int:
        entry: list[Any] = ["enum", {}]
        index = self._add(type_, entry)
        variants = [
            {"name": v.name, "form": v.form, "fields": [self.field(f) for f in v.fields]}
            for v in self.checked.enums[name].variants
        ]
        entry[1] = {"name": name, "variants": variants}
        return index

    def field(self, field: FieldInfo) -> dict[str, Any]:
        """A field as it stands in the document."""
        entry = {
            "name": field.name,
            "json": field.json_name,
            "type": self.type(field.type),
            "optional": field.optional,
            "default": constant_entry(field.default) if field.has_default else None,
        }
        if field.checks:
            entry["checks"] = field.checks
        if field.coerce:
            entry["coerce"] = True
        return entry

    def schema(self, name: str) -> int:
        """The index of a schema that a model is asked to answer in."""
        return self.schemas.setdefault(t.Struct(name, ""), len(self.schemas))

    def any_schema(self, type_: Type) -> int:
        """The index of a type that JSON is read as; it need not be a schema."""
        return self.schemas.setdefault(t.settled(type_), len(self.schemas))

    def schema_entry(self, type_: Type) -> dict[str, Any]:
        """A schema as it stands in the document."""
        if isinstance(type_, t.Struct):
            info = self.checked.structs[type_.name]
            wanted: Type = t.Struct(type_.name, info.origin)
            json = json_schema(self.checked, type_.name)
        else:
            # No model is asked for it, so that nobody reads a JSON Schema of it.
            wanted, json = type_, "{}"
        return {"name": schema_name(t.show(type_)), "type": self.type(wanted), "json": json}


def constant_entry(value: Any) -> list[Any]:
    """A constant of a default."""
    match value:
        case None:
            return ["nil"]
        case bool():
            return ["bool", value]
        case int():
            return ["int", value]
        case float():
            return ["float", value]
        case str():
            return ["string", value]
        case VariantDefault(name=name):
            return ["string", name]
        case _:
            return ["array", [constant_entry(item) for item in value]]


def _file(source: Source, *, embed_source: bool) -> dict[str, Any]:
    return {
        "path": source.path,
        "digest": source.digest,
        "lines": source.line_starts,
        "text": source.text if embed_source else None,
    }


def _connection(info: ConnectionInfo, profile: str | None) -> dict[str, Any]:
    """A connection as it stands in the document, with the fields of the profile in force."""
    entry = {
        "name": info.name,
        "kind": info.kind,
        "origin": info.origin,
        "fields": info.fields,
        "span": [int(info.origin == "manifest"), *info.span],
    }
    overlay = info.overlays.get(profile or "")
    return {**entry, "profile": overlay} if overlay else entry


def _test(function: FunctionInfo) -> dict[str, Any]:
    assert function.test is not None
    test = function.test
    expect_fail = {} if test.expect_fail is None else {"expect_fail": test.expect_fail}
    return {"function": function.index, "title": test.title, **expect_fail}


def lower(checked: CheckedProgram, compiler: str, *, embed_source: bool) -> Program:
    """The IR of a checked program without errors."""
    source = checked.source
    manifest = checked.manifest
    files = [_file(source, embed_source=embed_source)]
    if manifest:
        files.append(_file(manifest.source, embed_source=False))
    parts = "\n".join(f"{file['path']}\0{file['digest']}" for file in files)
    digest = hashlib.sha256(parts.encode()).hexdigest()
    tables = Tables(checked)
    functions = [lower_function(tables, info) for info in checked.functions.values()]
    top = None
    if checked.top:
        top = len(functions)
        functions.append(lower_top(tables))
    functions += [function for function in tables.hidden if function is not None]
    for name, info in checked.structs.items():
        if info.origin == "schema":
            tables.schema(name)
    files += [_file(library.source(file), embed_source=True) for file in tables.library_files]
    program = Program(compiler=compiler, digest=digest, files=files, functions=functions)
    program.schemas = [tables.schema_entry(type_) for type_ in tables.schemas]
    connections = list(checked.connections)
    profile = manifest.profile if manifest else None
    program.connections = [_connection(c, profile) for c in checked.connections.values()]
    if manifest and manifest.pricing:
        program.pricing = manifest.pricing
    program.models = [
        {
            "name": m.name,
            "connection": connections.index(m.connection),
            "fields": m.fields,
            "span": [0, *m.span],
        }
        for m in checked.models.values()
    ]
    program.constants = tables.constant_list()
    program.types = tables.types
    exports = [
        {"name": f.name, "function": f.index}
        for f in checked.functions.values()
        if f.is_pub and f.name != "main" and f.test is None
    ]
    program.tests = [_test(f) for f in checked.functions.values() if f.test is not None]
    main = checked.functions.get("main")
    program.entry = {"top": top, "main": main.index if main else None, "exports": exports}
    program.permissions = {"env": sorted(checked.env), "hosts": sorted(checked.hosts)}
    return program
