"""Rules of form that the grammar leaves open (language reference 4.7)."""

from __future__ import annotations

from collections.abc import Iterator

from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source
from concerto.syntax import ast
from concerto.syntax.grammar.rules import Notes
from concerto.syntax.walk import children

_SETTINGS = (ast.Connect, ast.Model, ast.Agent, ast.Mcp, ast.Mock)


def check_tree(source: Source, module: ast.Module, notes: Notes) -> list[Diagnostic]:
    """All violations, in order of the tree."""
    found = [
        Diagnostic("E1018", _TWICE, source, Label(span), help="leave one of them out")
        for span in notes.rests
    ]
    pending: list[tuple[ast.Node, bool]] = [(module, False)]
    while pending:
        node, in_settings = pending.pop()
        found.extend(
            Diagnostic(code, message, source, Label(at.span), help=help_)
            for code, message, at, help_ in _check(node, in_settings, notes)
        )
        inside = in_settings or isinstance(node, _SETTINGS)
        pending.extend((child, inside) for child in children(node))
    return found


_Problem = tuple[str, str, ast.Node, str | None]
_TWICE = "`..` stands twice"


def _check(node: ast.Node, in_settings: bool, notes: Notes) -> Iterator[_Problem]:
    yield from _rests(node)
    match node:
        case ast.Impl() | ast.Use():
            yield from _bare(node)
        case ast.Assign() if not _is_place(node.place):
            yield (
                "E1012",
                "this cannot be assigned to",
                node.place,
                "assign to a variable, a field or an element",
            )
        case ast.Entry() if not in_settings:
            key = node.key
            if isinstance(key, ast.PathExpr) and id(key) not in notes.parenthesised:
                help_ = f'write `"{key.path}"`, or `({key.path})` for its value'
                yield "E1013", f"the key `{key.path}` is not quoted", key, help_
        case ast.Call():
            yield from _arguments(node.args)
        case ast.Decorator():
            yield from _arguments(node.args)
        case ast.Function():
            yield from _parameters(node.params)
        case ast.Mod(items=items) if items is not None:
            statements = [item for item in items if isinstance(item, ast.Statement)]
            if statements:
                message = "a statement outside of the entry file"
                help_ = "put it into a function, or into the file that is run"
                yield "E1019", message, statements[0], help_
        case ast.Let() if isinstance(node.pattern, ast.OrPattern):
            yield "E1022", "alternatives in `let`", node.pattern, "use `match`"
        case ast.TryCatch(catches=catches):
            for clause in catches[:-1]:
                if clause.type is None:
                    word = clause.body
                    yield "E1023", "a bare `catch` takes everything", word, "put it last"
        case ast.PathExpr() if str(node.path) == "_":
            yield "E1010", "`_` is no value", node, "it matches anything in a pattern"
        case _:
            pass


def _rests(node: ast.Node) -> Iterator[_Problem]:
    """`..` in a pattern that is no array, or twice in one."""
    rests = [child for child in children(node) if isinstance(child, ast.RestPattern)]
    if isinstance(node, ast.ArrayPattern):
        for rest in rests[1:]:
            yield "E1018", _TWICE, rest, "leave one of them out"
        return
    for rest in rests:
        help_ = "write `_` for each part: `..` is for arrays, `[first, ..rest]`, and the fields of structs"
        yield "E1018", "`..` cannot stand here", rest, help_


def _bare(node: ast.Impl | ast.Use) -> Iterator[_Problem]:
    """What cannot be decorated or made public."""
    word = "impl" if isinstance(node, ast.Impl) else "use"
    for decorator in node.decorators[:1]:
        yield "E1020", f"a decorator cannot stand before `{word}`", decorator, "remove it"
        return
    if node.is_pub and isinstance(node, ast.Impl):
        help_ = "write `pub` before its methods"
        yield "E1020", "`pub` cannot stand before `impl`", node, help_


def _is_place(node: ast.Expr) -> bool:
    while isinstance(node, ast.FieldAccess | ast.TupleAccess | ast.Index):
        node = node.object
    return isinstance(node, ast.PathExpr | ast.SelfExpr)


def _arguments(args: tuple[ast.Argument, ...]) -> Iterator[_Problem]:
    seen: set[str] = set()
    for arg in args:
        if arg.name is None and seen:
            yield (
                "E1015",
                "a positional argument after a named one",
                arg,
                "put positional arguments first",
            )
            return
        if arg.name is not None:
            if arg.name.text in seen:
                yield "E1015", f"`{arg.name}` is given twice", arg.name, None
            seen.add(arg.name.text)


def _parameters(params: tuple[ast.Param, ...]) -> Iterator[_Problem]:
    optional = False
    for index, param in enumerate(params):
        if param.name.text == "self" and index:
            yield "E1016", "`self` must be the first parameter", param, None
        elif param.default is None and optional:
            yield (
                "E1016",
                f"`{param.name}` has no default but stands after one that has",
                param,
                "put it first, or give it a default",
            )
        optional = optional or param.default is not None
