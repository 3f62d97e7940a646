"""The stages of the front end, and what must not happen to any text: a traceback, a crash, a hang, unbounded memory, a place outside of the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from concerto.check.checker import check
from concerto.compiler import compile_source
from concerto.diagnostics.model import Diagnostic
from concerto.diagnostics.render import render
from concerto.garbage import collector_paused
from concerto.program import Program
from concerto.source import Source
from concerto.syntax import ast
from concerto.syntax.filter import filter_tokens
from concerto.syntax.format import format_module
from concerto.syntax.lexer import lex
from concerto.syntax.parser import TOKENS, parse

from tests.fuzz.inputs import (
    damaged_program,
    damaged_short_program,
    few_parts,
    few_tokens,
    noise,
    token_soup,
)


def lexes(text: str) -> None:
    """Tokens stand in order in the text, none over another."""
    tokens, docs, diagnostics = lex(Source("t.conc", text))
    at = 0
    for token in tokens:
        assert at <= token.index <= token.end <= len(text), token
        at = token.end
    assert all(0 <= start <= len(text) for start in docs.places.values())
    _are_inside(diagnostics, text)


def filters(text: str) -> None:
    """Tokens become those that the grammar knows, and none gets lost; or brackets are unbalanced."""
    source = Source("t.conc", text)
    words, _, _ = lex(source)
    tokens, unbalanced = filter_tokens(source, words)
    assert len(unbalanced) <= 1
    assert not (unbalanced and tokens)
    assert unbalanced or len(tokens) >= len(words)
    assert all(token.type in TOKENS for token in tokens)
    _are_inside(unbalanced, text)


def parses(text: str) -> None:
    """A tree, or at most 20 syntax errors, each inside of the text; what is a program is printed and read again as the same."""
    source = Source("t.conc", text)
    module, diagnostics = parse(source)
    assert len([d for d in diagnostics if d.code.startswith("E1")]) <= 21
    _are_inside(diagnostics, text)
    if not any(diagnostic.is_error for diagnostic in diagnostics):
        _reads_back(module)


def checks(text: str) -> None:
    """A checked program or errors inside of the text, also where the parser had to leave parts out."""
    source = Source("t.conc", text)
    with collector_paused():
        module, diagnostics = parse(source)
        if module.items or not diagnostics:
            _, diagnostics = check(source, module)
    _are_inside(diagnostics, text)


def compiles_or_says_why(text: str) -> None:
    """All stages, the printing of diagnostics, and the loader."""
    source = Source("t.conc", text)
    ir, diagnostics = compile_source(source, embed_source=False)
    assert (ir is None) == any(d.is_error for d in diagnostics) or not diagnostics
    assert len([d for d in diagnostics if d.code.startswith("E1")]) <= 21
    _are_inside(diagnostics, text)
    render(diagnostics)
    if ir is not None:
        Program.from_bytes(ir)
        _reads_back(parse(source)[0])


def _reads_back(module: ast.Module) -> None:
    """What is printed is read as the same."""
    assert repr(parse(Source("t.conc", format_module(module)))[0]) == repr(module)


def _are_inside(diagnostics: Iterable[Diagnostic], text: str) -> None:
    for diagnostic in diagnostics:
        span = diagnostic.primary.span
        assert 0 <= span.start <= span.end <= len(text) + 1, diagnostic


@dataclass(frozen=True, slots=True)
class Target:
    """What makes texts, what is done with each, and its share of a deep run: what is fast gets more. Compiled programs get the rest (Makefile)."""

    make: Callable[[Random], str]
    check: Callable[[str], None]
    share: float


TARGETS = {
    "lexer": Target(few_tokens, lexes, 0.45),
    "layout": Target(few_tokens, filters, 0.25),
    "parser": Target(few_parts, parses, 0.10),
    "checker": Target(damaged_short_program, checks, 0.01),
    "noise": Target(noise, compiles_or_says_why, 0.003),
    "tokens": Target(token_soup, compiles_or_says_why, 0.001),
    "programs": Target(damaged_program, compiles_or_says_why, 0.001),
}
