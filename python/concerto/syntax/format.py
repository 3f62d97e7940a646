"""The tree as canonical source: 4 spaces, 100 columns, a comma after each part of a broken list.

`parse(format_module(tree))` equals `tree`. What the tree does not keep is lost: comments, and how a number or a string was spelt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from concerto.syntax import ast
from concerto.syntax.format_expr import argument, block, place_value, statement
from concerto.syntax.format_parts import (
    config_key,
    parameters,
    path,
    result,
    type_,
    type_parameters,
)
from concerto.syntax.layout import LINE, Doc, Indent, bracketed, joined, render

WIDTH = 100


def format_module(module: ast.Module, width: int = WIDTH) -> str:
    """The text of a file."""
    return render(module_doc(module), width)


def module_doc(module: ast.Module) -> Doc:
    """The layout of a file."""
    parts: list[Doc] = []
    if module.doc is not None:
        parts += [f"//!{_after_mark(line)}\n" for line in module.doc.split("\n")]
    return (*parts, *_rows(module.items), LINE) if module.items else tuple(parts)


def _rows(items: tuple[ast.Declaration | ast.Statement, ...]) -> Iterator[Doc]:
    for before, item in zip((None, *items), items, strict=False):
        if before is not None:
            yield LINE
            if _needs_gap(before, item):
                yield LINE
        yield _item(item)


def _needs_gap(before: ast.Node, item: ast.Node) -> bool:
    """One blank line around declarations, but for those that stand in rows."""
    rows = (ast.Use, ast.Const, ast.TypeAlias, ast.Statement)
    return not (
        isinstance(before, rows) and isinstance(item, rows) and type(before) is type(item)
    ) and not (isinstance(before, ast.Statement) and isinstance(item, ast.Statement))


def _item(item: ast.Declaration | ast.Statement) -> Doc:
    return statement(item, is_last=False) if isinstance(item, ast.Statement) else declaration(item)


def _after_mark(line: str) -> str:
    return f" {line}" if line else ""


def _doc(text: str | None) -> tuple[Doc, ...]:
    """Doc comment lines."""
    lines = [] if text is None else text.split("\n")
    return tuple(part for line in lines for part in (f"///{_after_mark(line)}", LINE))


def _decorators(decorators: tuple[ast.Decorator, ...]) -> tuple[Doc, ...]:
    return tuple(part for each in decorators for part in (_decorator(each), LINE))


def _decorator(decorator: ast.Decorator) -> Doc:
    if not decorator.args:
        return f"@{decorator.name}"
    return (f"@{decorator.name}", bracketed("(", map(argument, decorator.args), ")"))


def declaration(node: ast.Declaration) -> Doc:
    """A declaration with all that stands before it."""
    head = (*_doc(node.doc), *_decorators(node.decorators), "pub " if node.is_pub else "")
    return (*head, _core(node))


def _core(node: ast.Declaration) -> Doc:
    of: tuple[Doc, ...]
    match node:
        case ast.Function():
            return _function(node)
        case ast.Struct() | ast.Schema():
            word = "struct" if isinstance(node, ast.Struct) else "schema"
            return (
                f"{word} {node.name}",
                type_parameters(node.type_params),
                " ",
                _fields(node.fields),
            )
        case ast.Enum():
            variants = _lines(map(_variant, node.variants), ",")
            return (f"enum {node.name}", type_parameters(node.type_params), " ", variants)
        case ast.Trait():
            return (
                f"trait {node.name}",
                type_parameters(node.type_params),
                " ",
                _methods(node.methods),
            )
        case ast.Impl():
            of = () if node.trait is None else (type_(node.trait), " for ")
            return (
                "impl",
                type_parameters(node.type_params),
                " ",
                *of,
                type_(node.type),
                " ",
                _methods(node.methods),
            )
        case ast.Use():
            return ("use ", _use(node.tree), ";")
        case ast.Mod():
            inner: Doc = ";"
            if node.items is not None:
                rows = tuple(_rows(node.items))
                inner = (" {", Indent((LINE, *rows)), LINE, "}") if rows else " {}"
            return (f"mod {node.name}", inner)
        case ast.Const():
            return (f"const {node.name}: ", type_(node.type), " = ", place_value(node.value), ";")
        case ast.TypeAlias():
            return (
                f"type {node.name}",
                type_parameters(node.type_params),
                " = ",
                type_(node.type),
                ";",
            )
        case ast.Store():
            return (
                f"{node.kind} {node.name}: ",
                type_(node.type),
                " = ",
                place_value(node.value),
                ";",
            )
        case ast.Connect() | ast.Model() | ast.Agent():
            return (f"{type(node).__name__.lower()} {node.name} ", _settings(node.fields))
        case ast.Tool():
            of = () if node.trait is None else (" impl ", type_(node.trait))
            return (f"tool {node.name}", *of, " ", _tool_body(node.fields, node.methods))
        case ast.Mcp():
            return (f"mcp {node.name} ", _tool_body(node.fields, node.methods))
        case ast.Pipeline():
            taken = () if node.param is None else (parameters((node.param,)),)
            stages = _blank_between(map(_stage, node.stages))
            return (f"pipeline {node.name}", *taken, result(node.result), " ", stages)
        case _:
            raise AssertionError(node)


def _function(node: ast.Function) -> Doc:
    head = (
        "async " if node.is_async else "",
        f"fn {node.name}",
        type_parameters(node.type_params),
        parameters(node.params),
        result(node.result),
    )
    return (*head, ";") if node.body is None else (*head, " ", block(node.body))


def _stage(node: ast.Stage) -> Doc:
    head = (f"stage {node.name}", parameters(node.params), result(node.result), " ")
    return (*_decorators(node.decorators), *head, block(node.body))


def _lines(parts: Iterable[Doc], end: str) -> Doc:
    """Parts in braces, one per line."""
    items = list(parts)
    if not items:
        return "{}"
    return ("{", Indent((LINE, joined((end, LINE), items))), end, LINE, "}")


def _blank_between(parts: Iterable[Doc]) -> Doc:
    items = list(parts)
    if not items:
        return "{}"
    return ("{", Indent((LINE, joined((LINE, LINE), items))), LINE, "}")


def _methods(methods: tuple[ast.Declaration, ...]) -> Doc:
    return _blank_between(map(declaration, methods))


def _field(field: ast.Field) -> Doc:
    mark = "?" if field.is_optional else ""
    value: tuple[Doc, ...] = () if field.default is None else (" = ", place_value(field.default))
    head = (*_doc(field.doc), *_decorators(field.decorators), "pub " if field.is_pub else "")
    return (*head, f"{field.name}{mark}: ", type_(field.type), *value)


def _fields(fields: tuple[ast.Field, ...]) -> Doc:
    return _lines(map(_field, fields), ",")


def _variant(variant: ast.Variant) -> Doc:
    if variant.items is not None:
        return (variant.name.text, bracketed("(", map(type_, variant.items), ")"))
    if variant.fields is None:
        return variant.name.text
    if any(field.doc is not None or field.decorators for field in variant.fields):
        return (f"{variant.name} ", _fields(variant.fields))
    return (f"{variant.name} ", bracketed("{", map(_field, variant.fields), "}", " "))


def _use(tree: ast.UseTree) -> Doc:
    start = path(tree.path)
    if tree.is_glob:
        return f"{start}::*"
    if tree.group is not None:
        return (f"{start}::", bracketed("{", map(_use, tree.group), "}"))
    return start if tree.alias is None else f"{start} as {tree.alias}"


def _setting(field: ast.ConfigField) -> Doc:
    return (config_key(field), ": ", place_value(field.value, in_settings=True))


def _settings(fields: tuple[ast.ConfigField, ...]) -> Doc:
    return _lines(map(_setting, fields), ",")


def _tool_body(
    fields: tuple[ast.ConfigField | ast.ToolState, ...], methods: tuple[ast.Function, ...]
) -> Doc:
    parts: list[Doc] = []
    items = sorted((*fields, *methods), key=lambda item: item.span.start)
    for before, item in zip((None, *items), items, strict=False):
        is_method = ast.Function in (type(before), type(item))
        parts += [LINE, LINE] if before is not None and is_method else [LINE]
        match item:
            case ast.ConfigField():
                parts += [_setting(item), ","]
            case ast.ToolState():
                value = place_value(item.value)
                parts += [f"{item.name}: ", type_(item.type), " = ", value, ","]
            case ast.Function():
                parts.append(declaration(item))
            case _:
                assert_never(item)
    return ("{", Indent(tuple(parts)), LINE, "}") if parts else "{}"
