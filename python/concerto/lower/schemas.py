"""JSON Schemas of types, deterministic and with properties in declared order (rules SC-8, SC-9)."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from concerto.check import types as t
from concerto.check.checked import CheckedProgram, FieldInfo, VariantInfo, schema_name
from concerto.check.types import Type
from concerto.check.values import MapConstant, StructConstant, VariantDefault, plain

Schema: TypeAlias = dict[str, Any]

_WORDS = {"String": "string", "Int": "integer", "Float": "number", "Bool": "boolean", "Nil": "null"}


def json_schema(program: CheckedProgram, type_: Type) -> str:
    """The schema of a struct or schema as JSON text; types that it uses stand once in `$defs`, in order of their first use."""
    writer = _Writer(program)
    assert isinstance(type_, t.Struct)
    root = writer.object(type_)
    if writer.defs:
        root["$defs"] = writer.defs
    return json.dumps(root, ensure_ascii=False, separators=(",", ":"))


def parameters_schema(program: CheckedProgram, fields: list[FieldInfo]) -> str:
    """The schema of the arguments of a function that a model may call (TL-12 to TL-15)."""
    writer = _Writer(program)
    root: Schema = {"type": "object", "properties": {}}
    if fields:
        root |= writer.fields(fields)
    if writer.defs:
        root["$defs"] = writer.defs
    return json.dumps(root, ensure_ascii=False, separators=(",", ":"))


class _Writer:
    """The definitions so far."""

    def __init__(self, program: CheckedProgram) -> None:
        self.program = program
        self.defs: dict[str, Schema] = {}

    def object(self, type_: t.Struct) -> Schema:
        """The schema of a struct or schema."""
        info = self.program.structs[type_.name]
        schema: Schema = {"type": "object"}
        if info.doc:
            schema["description"] = info.doc
        schema |= self.fields(info.fields_of(type_))
        if info.strict:
            schema["additionalProperties"] = False
        return schema

    def fields(self, fields: list[FieldInfo]) -> Schema:
        """The schemas of fields by name, and which of them JSON must have."""
        required = [f.json_name for f in fields if not f.may_be_absent]
        return {
            "properties": {field.json_name: self._field(field) for field in fields},
            "required": required,
        }

    def _field(self, field: FieldInfo) -> Schema:
        type_ = t.resolve(field.type)
        schema = self.type(type_.item if isinstance(type_, t.Option) else type_)
        schema = _limited(schema, field.checks)
        if plain(field.default) is not None:
            schema["default"] = self._constant(field.default)
        if field.doc:
            schema["description"] = field.doc
        return schema

    def _constant(self, value: Any) -> Any:
        """A constant as JSON."""
        match plain(value):
            case VariantDefault(name=name):
                return name
            case list() | tuple():
                return [self._constant(each) for each in value]
            case MapConstant(entries):
                return {key: self._constant(each) for key, each in entries}
            case StructConstant(name=name, fields=fields):
                declared = self.program.structs[name].fields
                pairs = zip(declared, fields, strict=True)
                return {field.json_name: self._constant(each) for field, each in pairs}
            case other:
                return other

    def type(self, type_: Type) -> Schema:
        """The schema of a type in any place; what may be absent in a field is null elsewhere."""
        match t.resolve(type_):
            case t.Simple(name):
                return {"type": _WORDS[name]} if name in _WORDS else {}
            case t.Literals(values):
                return {"type": "string", "enum": list(values)}
            case t.Array(item):
                return {"type": "array", "items": self.type(item)}
            case t.Option(item):
                return _nullable(self.type(item))
            case t.Map(_, value):
                return {"type": "object", "additionalProperties": self.type(value)}
            case t.Tuple(items):
                return self._tuple(list(items))
            case t.Union(members):
                return {"anyOf": [self.type(member) for member in members]}
            case t.Struct() as struct:
                return self._reference(t.show(struct), lambda: self.object(struct))
            case t.Enum() as enum:
                return self._enum(enum)
            case other:
                raise AssertionError(other)

    def _tuple(self, items: list[Type]) -> Schema:
        parts = [self.type(item) for item in items]
        return {
            "type": "array",
            "prefixItems": parts,
            "minItems": len(parts),
            "maxItems": len(parts),
        }

    def _reference(self, name: str, make: Any) -> Schema:
        # A type that refers to itself finds its place taken.
        key = schema_name(name)
        if key not in self.defs:
            self.defs[key] = {}
            self.defs[key] |= make()
        return {"$ref": f"#/$defs/{key}"}

    def _enum(self, type_: t.Enum) -> Schema:
        info = self.program.enums[type_.name]
        if all(variant.form == "unit" for variant in info.variants):
            return {"type": "string", "enum": [variant.name for variant in info.variants]}
        parts = [info.fields_of(number, type_) for number in range(len(info.variants))]
        pairs = list(zip(info.variants, parts, strict=True))
        return self._reference(
            t.show(type_), lambda: {"anyOf": [self._variant(v, fields) for v, fields in pairs]}
        )

    def _variant(self, variant: VariantInfo, fields: list[FieldInfo]) -> Schema:
        """The form of a value in JSON: the name, or an object that has the data beside it."""
        tag: Schema = {"type": "string", "enum": [variant.name]}
        if variant.form == "unit":
            return tag
        is_tuple = variant.form == "tuple"
        items = [field.type for field in fields]
        data = self._tuple(items) if is_tuple else {"type": "object"} | self.fields(fields)
        return {
            "type": "object",
            "properties": {"variant": tag, "data": data},
            "required": ["variant", "data"],
        }


def _nullable(schema: Schema) -> Schema:
    word = schema.get("type")
    if not schema or word == "null":
        return schema
    if isinstance(word, str) and "enum" not in schema:
        return {**schema, "type": [word, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


#: Keywords for the least and the most.
_KEYWORDS = {
    "range": ("minimum", "maximum"),
    "length": ("minLength", "maxLength"),
    "items": ("minItems", "maxItems"),
}
_OF_MAPS = ("minProperties", "maxProperties")


def _limited(schema: Schema, checks: dict[str, Any]) -> Schema:
    """The schema with the limits of its field; those of text hold for the elements of an array."""
    found = dict(schema)
    inner = {name: check for name, check in checks.items() if name in ("length", "pattern")}
    if "items" in schema and inner:
        found["items"] = _limited(schema["items"], inner)
    for name, check in checks.items():
        if "items" in schema and name in inner:
            continue
        if name == "pattern":
            found["pattern"] = check
            continue
        is_map = name == "items" and "items" not in schema
        for keyword, end in zip(_OF_MAPS if is_map else _KEYWORDS[name], check, strict=True):
            if end is not None:
                found[keyword] = end
    return found
