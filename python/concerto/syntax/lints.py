"""Warnings about the form of a text that can be read: names (W0002), doc comments (W0001), superfluous signs (W1001)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax import ast
from concerto.syntax.grammar.rules import Notes
from concerto.syntax.lexer import Docs
from concerto.syntax.walk import children

_Problem = tuple[str, str, Span, str | None]

_TYPES = (
    ast.Struct, ast.Enum, ast.Trait, ast.Schema, ast.TypeAlias, ast.TypeParam, ast.Variant,
    ast.Model, ast.Agent, ast.Tool, ast.Mcp, ast.Pipeline,
)  # fmt: skip
_VALUES = (ast.Function, ast.Param, ast.Stage, ast.Mod, ast.Store)
_CONSTANTS = (ast.Const, ast.LocalConst)
_NAMED = frozenset({*_TYPES, *_VALUES, *_CONSTANTS, ast.PathPattern, ast.BindPattern})
_HOLDERS = frozenset({ast.If, ast.While, ast.Match, ast.Let, ast.Return, ast.Argument})


def lint_tree(source: Source, module: ast.Module, notes: Notes, docs: Docs) -> list[Diagnostic]:
    """All warnings about form, in order of the text."""
    found = [*_undocumented(source, docs, notes), *_semicolons(notes)]
    pending: list[ast.Node] = [module]
    while pending:
        node = pending.pop()
        kind = type(node)
        if kind in _NAMED:
            found += _name(node)
        elif kind in _HOLDERS:
            found += _parentheses(node, notes)
        pending += children(node)
    return [
        Diagnostic(code, message, source, Label(span), help=help_)
        for code, message, span, help_ in sorted(found, key=lambda each: each[2])
    ]


def _undocumented(source: Source, docs: Docs, notes: Notes) -> Iterator[_Problem]:
    for owner, start in docs.places.items():
        if owner not in notes.documented:
            end = source.text.find("\n", start)
            span = Span(start, len(source.text) if end < 0 else end)
            help_ = "put it before a declaration, field, variant or method, or write `//`"
            yield "W0001", "the doc comment documents nothing", span, help_


def _semicolons(notes: Notes) -> Iterator[_Problem]:
    runs: list[Span] = []
    for span in notes.semicolons:
        if runs and runs[-1].end == span.start:
            runs[-1] = runs[-1].to(span)
        else:
            runs.append(span)
    for run in runs:
        yield "W1001", "useless `;`", run, "remove it"


def _name(node: ast.Node) -> Iterator[_Problem]:
    match node:
        case ast.Node() if isinstance(node, _TYPES):
            if not re.fullmatch(r"_*[A-Z][A-Za-z0-9]*", node.name.text):
                yield _convention(node.name, _pascal(node.name.text), "a type")
        case ast.Node() if isinstance(node, _CONSTANTS):
            if re.search("[a-z]", node.name.text):
                yield _convention(node.name, _snake(node.name.text).upper(), "a constant")
        case ast.Node() if isinstance(node, _VALUES):
            if re.search("[A-Z]", node.name.text):
                yield _convention(node.name, _snake(node.name.text), "a value")
        case ast.PathPattern(path=ast.Path(names=(name,))) | ast.BindPattern(name=name):
            # A capitalised one may be a variant: the check knows (W2006).
            if re.search("^[^A-Z].*[A-Z]", name.text):
                yield _convention(name, _snake(name.text), "a value")
        case _:
            return


def _convention(name: ast.Name, better: str, what: str) -> _Problem:
    help_ = f"write `{better}`" if better and better != name.text else None
    forms = {"a type": "PascalCase", "a constant": "UPPER_CASE", "a value": "snake_case"}
    return "W0002", f"the name of {what} is in {forms[what]}", name.span, help_


def _pascal(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in text.split("_"))


def _snake(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text).lower()


def _parentheses(node: ast.Node, notes: Notes) -> Iterator[_Problem]:
    """Around what could stand alone: conditions, subjects, initial values, results and arguments."""
    match node:
        case ast.If(condition=inner) | ast.While(condition=inner) | ast.Match(subject=inner):
            # A struct literal needs them there.
            if isinstance(inner, ast.StructLiteral | ast.Binary | ast.Closure | ast.Block):
                return
        case (
            ast.Let(value=ast.Expr() as inner)
            | ast.Return(value=ast.Expr() as inner)
            | ast.Argument(value=inner)
        ):
            pass
        case _:
            return
    if id(inner) in notes.parenthesised:
        yield "W1001", "useless parentheses", inner.span, "remove them"
