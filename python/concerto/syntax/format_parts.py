"""The small parts of canonical source: texts, numbers, names, types, parameters, patterns."""

from __future__ import annotations

import re

from concerto.source import Span
from concerto.syntax import ast
from concerto.syntax.layout import Doc, bracketed, joined
from concerto.syntax.spelling import number_written, written

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def escaped(text: str) -> str:
    """The inside of a string on one line."""
    safe = "".join(
        _ESCAPES.get(c) or (c if c.isprintable() else f"\\u{{{ord(c):X}}}") for c in text
    )
    return safe.replace("${", "\\${")


def string(text: str) -> str:
    """A string in quotes, on one line."""
    return f'"{escaped(text)}"'


def number(value: int | float) -> str:
    """A number as a literal; a Float shows that it is one."""
    text = repr(value).replace("e+", "e")
    return text if isinstance(value, int) or "." in text or "e" in text else f"{text}.0"


def constant(value: int | float | str | bool | None) -> str:
    """A literal of code or of a pattern."""
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case str():
            return string(value)
        case _:
            return number(value)


def path(node: ast.Path) -> str:
    """`a::b`."""
    return "::".join(name.text for name in node.names)


def config_key(field: ast.ConfigField) -> str:
    """The key of a setting: bare where it can be."""
    text = field.key.text
    if (given := written(field.key.span)) is not None:
        return given
    if not field.is_plain:  # it had an escape, and the checker will say so
        return f'"\\u{{{ord(text[0]):X}}}{escaped(text[1:])}"' if text else '"\\u{0}"'
    reserved = text in ("true", "false", "nil", "self")
    return text if re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII) and not reserved else string(text)


# Types


def type_(node: ast.TypeExpr) -> Doc:
    """A type."""
    match node:
        case ast.NamedType():
            args = bracketed("<", map(type_, node.args), ">") if node.args else ""
            return (path(node.path), args)
        case ast.LiteralType():
            return written(node.span) or string(node.value)
        case ast.NilType():
            return written(node.span) or "nil"
        case ast.TupleType(items=items):
            return bracketed("(", map(type_, items), ")", lone="," if len(items) == 1 else "")
        case ast.FunctionType():
            arrow: tuple[Doc, ...] = () if node.result is None else (" -> ", type_atom(node.result))
            return ("fn", bracketed("(", map(type_, node.params), ")"), *arrow)
        case ast.UnionType():
            return joined(" | ", map(type_atom, node.members))
        case _:
            raise AssertionError(node)


def type_atom(node: ast.TypeExpr) -> Doc:
    """A type where `|` would mean something else."""
    return ("(", type_(node), ")") if isinstance(node, ast.UnionType) else type_(node)


def result(node: ast.TypeExpr | None) -> Doc:
    """`-> T`, before a brace. A union of literals may stand in parentheses here, and need not; another one must."""
    if node is None:
        return ""
    members = node.members if isinstance(node, ast.UnionType) else ()
    in_parentheses = written(Span(node.span.start - 1, node.span.start)) == "("
    bare = not in_parentheses and all(isinstance(each, ast.LiteralType) for each in members)
    return (" -> ", type_(node) if bare else type_atom(node))


def type_parameters(params: tuple[ast.TypeParam, ...]) -> Doc:
    """`<T: A + B>`, or nothing."""

    def one(param: ast.TypeParam) -> Doc:
        bounds = joined(" + ", map(type_atom, param.bounds))
        return (param.name.text, ": ", bounds) if param.bounds else param.name.text

    return bracketed("<", map(one, params), ">") if params else ""


def parameters(params: tuple[ast.Param, ...]) -> Doc:
    """`(a: A, b: B)`."""
    from concerto.syntax.format_expr import place_value

    def one(param: ast.Param) -> Doc:
        written: tuple[Doc, ...] = () if param.type is None else (": ", type_(param.type))
        value: tuple[Doc, ...] = (
            () if param.default is None else (" = ", place_value(param.default))
        )
        return ("mut " if param.is_mut else "", param.name.text, *written, *value)

    return bracketed("(", map(one, params), ")")


# Patterns


def pattern(node: ast.Pattern) -> Doc:
    """A pattern."""
    match node:
        case ast.PathPattern():
            return path(node.path)
        case ast.LiteralPattern(value=value):
            given = written if isinstance(value, str) else number_written
            return given(node.span) or constant(value)
        case ast.RangePattern():
            if (numbers := number_written(node.span)) is not None:
                return numbers
            between = "..=" if node.inclusive else ".."
            return f"{number(node.start)}{between}{number(node.end)}"
        case ast.BindPattern():
            return (f"{node.name} @ ", pattern_atom(node.inner))
        case ast.VariantPattern():
            return (path(node.path), bracketed("(", map(pattern, node.items), ")"))
        case ast.StructPattern():
            fields = [
                (f.name.text, ": ", pattern(f.pattern)) if f.pattern else f.name.text
                for f in node.fields
            ]
            # A rest is the last part, and a comma may follow it.
            parts: list[Doc] = [*fields, ".."] if node.has_rest else [*fields]
            return (path(node.path), " ", bracketed("{", parts, "}", " "))
        case ast.TuplePattern(items=items):
            return bracketed("(", map(pattern, items), ")", lone="," if len(items) == 1 else "")
        case ast.ArrayPattern():
            return bracketed("[", map(pattern, node.items), "]")
        case ast.RestPattern():
            return f"..{node.name or ''}"
        case ast.OrPattern():
            return joined(" | ", map(pattern_atom, node.options))
        case _:
            raise AssertionError(node)


def pattern_atom(node: ast.Pattern) -> Doc:
    """A pattern where `|` would mean something else."""
    return ("(", pattern(node), ")") if isinstance(node, ast.OrPattern) else pattern(node)
