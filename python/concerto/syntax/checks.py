"""Rules of form that the grammar leaves open (language reference 4.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax import ast
from concerto.syntax.grammar.rules import Notes
from concerto.syntax.walk import children

_SETTINGS = frozenset({ast.Connect, ast.Model, ast.Agent, ast.Mcp, ast.Mock})


def check_tree(source: Source, module: ast.Module, notes: Notes) -> list[Diagnostic]:
    """All violations, in order of the tree."""
    found: list[_Problem] = [
        ("E1018", _TWICE, span, "leave one of them out") for span in notes.rests
    ]
    pending: list[tuple[ast.Node, bool]] = [(module, False)]
    while pending:
        node, in_settings = pending.pop()
        kind = type(node)
        if kind in _RULES:
            found += _RULES[kind](node)
        elif isinstance(node, ast.Entry) and not in_settings:
            found += _key(node, notes)
        inside = children(node)
        for child in inside:
            if type(child) is ast.RestPattern:
                found += _rests(node, inside)
                break
        in_settings = in_settings or kind in _SETTINGS
        pending += [(child, in_settings) for child in inside]
    return [
        Diagnostic(code, message, source, Label(span), help=help_)
        for code, message, span, help_ in found
    ]


_Problem = tuple[str, str, Span, str | None]
_TWICE = "`..` stands twice"


def _assigned(node: ast.Assign) -> Iterator[_Problem]:
    if not _is_place(node.place):
        help_ = "assign to a variable, a field or an element"
        yield "E1012", "this cannot be assigned to", node.place.span, help_


def _key(node: ast.Entry, notes: Notes) -> Iterator[_Problem]:
    key = node.key
    if isinstance(key, ast.PathExpr) and id(key) not in notes.parenthesised:
        help_ = f'write `"{key.path}"`, or `({key.path})` for its value'
        yield "E1013", f"the key `{key.path}` is not quoted", key.span, help_


def _items(node: ast.Mod) -> Iterator[_Problem]:
    statements = [item for item in node.items or () if isinstance(item, ast.Statement)]
    if statements:
        help_ = "put it into a function, or into the file that is run"
        yield "E1019", "a statement outside of the entry file", statements[0].span, help_


def _alternatives(node: ast.Let) -> Iterator[_Problem]:
    if isinstance(node.pattern, ast.OrPattern):
        yield "E1022", "alternatives in `let`", node.pattern.span, "use `match`"


def _clauses(node: ast.TryCatch) -> Iterator[_Problem]:
    for clause in node.catches[:-1]:
        if clause.type is None:
            yield "E1023", "a bare `catch` takes everything", clause.body.span, "put it last"


def _wildcard(node: ast.PathExpr) -> Iterator[_Problem]:
    if str(node.path) == "_":
        yield "E1010", "`_` is no value", node.span, "it matches anything in a pattern"


def _rests(node: ast.Node, inside: list[ast.Node]) -> Iterator[_Problem]:
    """`..` in a pattern that is no array, or twice in one."""
    rests = [child for child in inside if isinstance(child, ast.RestPattern)]
    if isinstance(node, ast.ArrayPattern):
        for rest in rests[1:]:
            yield "E1018", _TWICE, rest.span, "leave one of them out"
        return
    for rest in rests:
        help_ = "write `_` for each part: `..` is for arrays, `[first, ..rest]`, and the fields of structs"
        yield "E1018", "`..` cannot stand here", rest.span, help_


def _bare(node: ast.Impl | ast.Use) -> Iterator[_Problem]:
    """What cannot be decorated or made public."""
    word = "impl" if isinstance(node, ast.Impl) else "use"
    for decorator in node.decorators[:1]:
        yield "E1020", f"a decorator cannot stand before `{word}`", decorator.span, "remove it"
        return
    if node.is_pub and isinstance(node, ast.Impl):
        help_ = "write `pub` before its methods"
        yield "E1020", "`pub` cannot stand before `impl`", node.span, help_


def _is_place(node: ast.Expr) -> bool:
    while isinstance(node, ast.FieldAccess | ast.TupleAccess | ast.Index):
        node = node.object
    return isinstance(node, ast.PathExpr | ast.SelfExpr)


def _arguments(node: ast.Call | ast.Decorator) -> Iterator[_Problem]:
    seen: set[str] = set()
    for arg in node.args:
        if arg.name is None and seen:
            yield (
                "E1015",
                "a positional argument after a named one",
                arg.span,
                "put positional arguments first",
            )
            return
        if arg.name is not None:
            if arg.name.text in seen:
                yield "E1015", f"`{arg.name}` is given twice", arg.name.span, None
            seen.add(arg.name.text)


def _parameters(node: ast.Function) -> Iterator[_Problem]:
    optional = False
    for index, param in enumerate(node.params):
        if param.name.text == "self" and index:
            yield "E1016", "`self` must be the first parameter", param.span, None
        elif param.default is None and optional:
            yield (
                "E1016",
                f"`{param.name}` has no default but stands after one that has",
                param.span,
                "put it first, or give it a default",
            )
        optional = optional or param.default is not None


#: What is looked at in each kind of node; most kinds have no rules.
_RULES: dict[type[ast.Node], Callable[[Any], Iterator[_Problem]]] = {
    ast.Assign: _assigned,
    ast.Call: _arguments,
    ast.Decorator: _arguments,
    ast.Function: _parameters,
    ast.Impl: _bare,
    ast.Let: _alternatives,
    ast.Mod: _items,
    ast.PathExpr: _wildcard,
    ast.TryCatch: _clauses,
    ast.Use: _bare,
}
