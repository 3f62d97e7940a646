"""Rules of form that the grammar leaves open (language reference 4.7)."""

from __future__ import annotations

from collections.abc import Iterator

from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax import ast
from concerto.syntax.walk import children

_SETTINGS = (ast.Connect, ast.Model, ast.Agent, ast.Mcp, ast.Mock)


def check_tree(source: Source, module: ast.Module, parenthesised: set[int]) -> list[Diagnostic]:
    """All violations, in order of the tree. `parenthesised` holds the identities of expressions in parentheses."""
    found: list[Diagnostic] = []
    pending: list[tuple[ast.Node, bool]] = [(module, False)]
    while pending:
        node, in_settings = pending.pop()
        found.extend(
            Diagnostic(code, message, source, Label(at.span), help=help_)
            for code, message, at, help_ in _check(node, in_settings, parenthesised)
        )
        inside = in_settings or isinstance(node, _SETTINGS)
        pending.extend((child, inside) for child in children(node))
    return found


_Problem = tuple[str, str, ast.Node, str | None]


def _check(node: ast.Node, in_settings: bool, parenthesised: set[int]) -> Iterator[_Problem]:
    match node:
        case ast.Assign() if not _is_place(node.place):
            yield (
                "E1012",
                "this cannot be assigned to",
                node.place,
                "assign to a variable, a field or an element",
            )
        case ast.Entry() if not in_settings:
            key = node.key
            if isinstance(key, ast.PathExpr) and id(key) not in parenthesised:
                yield (
                    "E1013",
                    f"the key `{key.path}` is not quoted",
                    key,
                    f'write `"{key.path}"`, or `({key.path})` for its value',
                )
        case ast.Call():
            yield from _arguments(node.args)
        case ast.Decorator():
            yield from _arguments(node.args)
        case ast.Function():
            yield from _parameters(node.params)
        case ast.Impl(is_pub=True) | ast.Impl(decorators=(_, *_)):
            what = f"`@{node.decorators[0].name}`" if node.decorators else "`pub`"
            help_ = "remove it: methods may have one"
            yield "E1020", f"{what} cannot stand before `impl`", _before(node), help_
        case ast.Use(decorators=(first, *_)):
            message = f"`@{first.name}` cannot stand before `use`"
            yield "E1020", message, first, "remove it"
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


def _before(node: ast.Declaration) -> ast.Node:
    """What stands before a declaration: its first decorator, or `pub`."""
    if node.decorators:
        return node.decorators[0]
    start = node.span.start
    return ast.Name(span=Span(start, start + len("pub")), text="pub")


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
