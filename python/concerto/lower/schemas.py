"""JSON Schemas of types, deterministic and with properties in declared order (rules SC-8, SC-9)."""

from __future__ import annotations

import json
from typing import Any

from concerto.check import types as t
from concerto.check.checked import CheckedProgram, FieldInfo
from concerto.check.types import Type


def json_schema(program: CheckedProgram, name: str) -> str:
    """The schema of a struct or schema as JSON text; types that it uses stand once in `$defs`."""
    defs: dict[str, Any] = {}
    root = _object(program, name, defs)
    defs.pop(name, None)
    if defs:
        root["$defs"] = defs
    return json.dumps(root, ensure_ascii=False, separators=(",", ":"))


def _object(program: CheckedProgram, name: str, defs: dict[str, Any]) -> dict[str, Any]:
    info = program.structs[name]
    schema: dict[str, Any] = {"type": "object"}
    if info.doc:
        schema["description"] = info.doc
    schema["properties"] = {field.name: _field(program, field, defs) for field in info.fields}
    required = [field.name for field in info.fields if not field.optional and not field.has_default]
    schema["required"] = required
    return schema


def _field(program: CheckedProgram, field: FieldInfo, defs: dict[str, Any]) -> dict[str, Any]:
    schema = _type(program, field.type, defs)
    if field.has_default and field.default is not None:
        schema = {**schema, "default": field.default}
    if field.doc:
        schema = {**schema, "description": field.doc}
    return schema


def _type(program: CheckedProgram, type_: Type, defs: dict[str, Any]) -> dict[str, Any]:
    match t.resolve(type_):
        case t.Simple(name):
            words = {
                "String": "string",
                "Int": "integer",
                "Float": "number",
                "Bool": "boolean",
                "Nil": "null",
            }
            return {"type": words[name]} if name in words else {}
        case t.Literals(values):
            return {"type": "string", "enum": list(values)}
        case t.Array(item):
            return {"type": "array", "items": _type(program, item, defs)}
        case t.Option(item):
            return _type(program, item, defs)
        case t.Map(_, value):
            return {"type": "object", "additionalProperties": _type(program, value, defs)}
        case t.Tuple(items):
            count = len(items)
            parts = [_type(program, item, defs) for item in items]
            return {"type": "array", "prefixItems": parts, "minItems": count, "maxItems": count}
        case t.Struct(name, _):
            if name not in defs:
                defs[name] = {}  # a type that refers to itself finds its place taken
                defs[name] = _object(program, name, defs)
            return {"$ref": f"#/$defs/{name}"}
        case t.Enum(name):
            return _enum(program, name, defs)
        case _:
            return {}


def _enum(program: CheckedProgram, name: str, defs: dict[str, Any]) -> dict[str, Any]:
    variants = program.enums[name].variants
    if all(variant.form == "unit" for variant in variants):
        return {"type": "string", "enum": [variant.name for variant in variants]}
    forms: list[dict[str, Any]] = []
    for variant in variants:
        if variant.form == "unit":
            forms.append({"type": "string", "enum": [variant.name]})
            continue
        if variant.form == "tuple":
            parts = [_type(program, field.type, defs) for field in variant.fields]
            data: dict[str, Any] = {"type": "array", "prefixItems": parts}
        else:
            properties = {field.name: _type(program, field.type, defs) for field in variant.fields}
            data = {"type": "object", "properties": properties, "required": list(properties)}
        tag = {"type": "string", "enum": [variant.name]}
        forms.append(
            {
                "type": "object",
                "properties": {"variant": tag, "data": data},
                "required": ["variant", "data"],
            }
        )
    return {"anyOf": forms}
