"""Tokens to tree. Never raises for a bad program: it gives what it could read and what is wrong with the rest.

SLY's grammar is made once, on first use, with the generated tables (`_tables.py`); `driver.py` reads the tokens by them.
After a syntax error the tokens of the statement, field or declaration around it are left out and the rest is read again, so one mistake
gives one diagnostic and everything else is still checked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import sly
import sly.yacc

from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax import ast
from concerto.syntax.checks import check_tree
from concerto.syntax.driver import Tables, drive
from concerto.syntax.filter import close_brackets, filter_tokens
from concerto.syntax.grammar import decl, expr, pattern, stmt, type_expr
from concerto.syntax.grammar.rules import RULES, Notes
from concerto.syntax.lexer import Docs, Lexed, lex
from concerto.syntax.lints import lint_tree
from concerto.syntax.mistakes import MODULE_SCOPE, UnexpectedTokenError, explain
from concerto.syntax.tokens import (
    CLOSERS,
    FILTERED,
    HARD_KEYWORDS,
    OPENERS,
    SIGNS,
    SOFT_KEYWORDS,
)
from concerto.syntax.unexpected import Place

#: More syntax errors than this are not looked for.
MAX_ERRORS = 20
#: Brackets nested deeper than this are refused, so that no later stage can run out of stack.
MAX_NESTING = 256

_GRAMMAR = (decl, stmt, expr, pattern, type_expr)  # importing them files their rules

TOKENS = frozenset(
    {"IDENT", "INT", "FLOAT", "STRING", "ISTART", "IMID", "IEND", "LABEL", *SIGNS, *FILTERED}
    | {word.upper() for word in HARD_KEYWORDS | SOFT_KEYWORDS}
)

#: Lowest first (language reference 4.8).
PRECEDENCE = (
    ("nonassoc", "LOWEST"),
    ("nonassoc", "LABEL"),
    ("right", "ASSIGN", "ADDEQ", "SUBEQ", "MULEQ", "DIVEQ", "MODEQ"),
    ("left", "PIPE"),
    ("left", "QQ"),
    ("left", "OROR"),
    ("left", "ANDAND"),
    ("nonassoc", "EQ", "NE"),
    ("nonassoc", "LT", "GT", "LE", "GE"),
    ("nonassoc", "DOTDOT", "DOTDOTEQ", "DOTDOT_OPEN"),
    ("left", "PLUS", "MINUS"),
    ("left", "STAR", "SLASH", "PERCENT"),
    ("left", "AS"),
    ("right", "UNARY", "NOT"),
    ("left", "QUEST"),
    ("right", "AWAIT", "SPAWN"),
    ("left", "DOT", "LPAREN", "LBRACKET", "LANGLE"),
)

_DECLARATION_WORDS = MODULE_SCOPE | {"USE", "MOD", "CONST", "TYPE", "PUB", "AT", "ASYNC"}


def grammar_digest(grammar: Any) -> str:
    """Identifies the grammar that tables were built from: productions, precedence, tokens and the version of SLY."""
    productions = [f"{p.name} -> {' '.join(p.prod)} {p.prec}" for p in grammar.Productions]
    parts = [
        sly.__version__,
        *productions,
        repr(sorted(grammar.Terminals)),
        repr(sorted(grammar.Precedence.items())),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def build_parser_class(table_class: Any) -> Any:
    """Makes SLY's parser class from the filed rules, with tables of the given kind."""
    namespace = sly.yacc.ParserMeta.__prepare__("ConcertoParser", (sly.Parser,))
    namespace["tokens"] = set(TOKENS)
    namespace["precedence"] = PRECEDENCE
    namespace["start"] = "program"
    for number, (productions, action) in enumerate(RULES):
        action.rules = list(productions)[::-1]  # type: ignore[attr-defined]  # SLY's protocol
        namespace[f"rule_{number}"] = action
    real, silent = sly.yacc.LRTable, sly.yacc.SlyLogger(_Nowhere())
    sly.yacc.LRTable = table_class
    try:
        namespace["log"] = silent
        return sly.yacc.ParserMeta("ConcertoParser", (sly.Parser,), namespace)
    finally:
        sly.yacc.LRTable = real


class _Nowhere:
    """SLY prints warnings about tokens that no rule uses; a test looks at conflicts instead."""

    def write(self, text: str) -> None:
        """Drops the text."""


class _LoadedTables:
    """Stands for SLY's table class: takes the generated tables if they are those of the grammar."""

    def __init__(self, grammar: Any) -> None:
        from concerto.syntax import _tables

        if grammar_digest(grammar) == _tables.DIGEST:
            self.lr_action = _tables.ACTION
            self.lr_goto = _tables.GOTO
            self.defaulted_states = _tables.DEFAULTED
            self.sr_conflicts: list[Any] = []
            self.rr_conflicts: list[Any] = []
        else:
            raise AssertionError("the parser tables are stale: run `make tables`")


@dataclass(slots=True)
class _Reading:
    """What the actions of the grammar know besides the parts of their productions."""

    docs: Docs
    length: int
    text: str
    notes: Notes = field(default_factory=Notes)


@cache
def _tables() -> Tables:
    made = build_parser_class(_LoadedTables)
    return Tables(made._lrtable, made._grammar.Productions)


def _read(reading: _Reading, tokens: list[Any]) -> Any:
    return drive(reading, tokens, _tables())


def parse_again(source: Source, lexed: Lexed) -> ast.Module | None:
    """The tree of a text that says the same as one without mistakes, so that nothing is checked or warned of; None if it cannot be read."""
    words, docs, mistakes = lexed
    tokens, unbalanced = filter_tokens(source, words)
    if mistakes or unbalanced:
        return None
    try:
        module: ast.Module = _read(_Reading(docs, len(source.text), source.text), tokens)
    except UnexpectedTokenError:
        return None
    return module


def parse(source: Source, lexed: Lexed | None = None) -> tuple[ast.Module, list[Diagnostic]]:
    """The tree of a file and what is wrong with its text. With unbalanced brackets the tree is empty.

    `lexed` is what `lex` gives for the source, if that is known; the kinds of its tokens change.
    """
    words, docs, diagnostics = lexed or lex(source)
    tokens, unbalanced = filter_tokens(source, words)
    empty = ast.Module(span=Span(0, len(source.text)), items=(), doc=docs.module)
    too_deep = None if unbalanced else _too_deep(source, tokens)
    if unbalanced or too_deep:
        # A string that does not end unbalances everything behind it: say only what came first.
        cut_off = any(d.code in ("E0003", "E0007", "E0010") for d in diagnostics)
        extra = [] if cut_off else [_inside(source, words, docs, each) for each in unbalanced]
        return empty, [*diagnostics, *extra, *([too_deep] if too_deep else [])]
    reading = _Reading(docs, len(source.text), source.text)
    module = empty
    removed: set[int] = set()
    lost: set[str] = set()
    damaged: list[Span] = []
    bad_lines = {source.position(d.primary.span.start)[0] for d in diagnostics}
    for _ in range(MAX_ERRORS):
        reading.notes = Notes()
        try:
            module = _read(reading, tokens)
            break
        except UnexpectedTokenError as error:
            at = _index_of(tokens, error.token)
            diagnostic = explain(source, tokens, at, error)
            # What is left of a statement after its mistake was cut out may not parse either: one message is enough.
            line = source.position(diagnostic.primary.span.start)[0]
            if not removed & {at, at - 1} and line not in bad_lines:
                diagnostics.append(diagnostic)
            if _with_commas(source, tokens, at, error):
                continue
            start, end = _region(tokens, at)
            if start == end:
                return module, diagnostics
            lost.update(str(t.value) for t in tokens[start:end] if t.type == "IDENT")
            damaged.append(Span(tokens[start].index, tokens[end - 1].end))
            del tokens[start:end]
            removed = {start, start - 1}
    else:
        reading.notes = Notes()
    grouped = frozenset(reading.notes.parenthesised)
    module = replace(module, lost=frozenset(lost), damaged=tuple(damaged), grouped=grouped)
    diagnostics += check_tree(source, module, reading.notes)
    if not diagnostics:
        diagnostics = lint_tree(source, module, reading.notes, docs)
    return module, diagnostics


def _with_commas(source: Source, tokens: list[Any], at: int, error: UnexpectedTokenError) -> bool:
    """Takes a `;` between the parts of a list, and those behind it, for the commas that they should be; whether it was one."""
    place = Place(source, tokens, at, error.token, error.expected)
    if place.kind != "SEMI" or not place.in_list():
        return False
    depth = 0
    for token in tokens[at:]:
        depth += (token.type in OPENERS) - (token.type in CLOSERS)
        if depth < 0:
            break
        if depth == 0 and token.type == "SEMI":
            token.type = "COMMA"
    return True


def _inside(source: Source, words: list[Any], docs: Docs, unbalanced: Diagnostic) -> Diagnostic:
    """For a `(` or `[` that is never closed: the token behind it that cannot stand there, if there is one."""
    opening = unbalanced.primary.span
    if not unbalanced.primary.text or source.text[opening.start] not in "([":
        return unbalanced
    tokens = close_brackets(words)
    try:
        _read(_Reading(docs, len(source.text), source.text), tokens)
    except UnexpectedTokenError as error:
        if error.token is not None and opening.end <= error.token.index < error.token.end:
            found = explain(source, tokens, _index_of(tokens, error.token), error)
            return replace(found, related=(Label(opening, "this is never closed"),))
    return unbalanced


def _index_of(tokens: list[Any], token: Any) -> int:
    if token is None:
        return len(tokens)
    return next(at for at, each in enumerate(tokens) if each is token)


def _too_deep(source: Source, tokens: list[Any]) -> Diagnostic | None:
    depth = chain = 0
    for token in tokens:
        depth += (token.type in OPENERS) - (token.type in CLOSERS)
        chain = (
            chain + 1
            if token.type in ("ELSE", "MINUS", "NOT", "AWAIT")
            else 0
            if token.type == "SEMI"
            else chain
        )
        if depth > MAX_NESTING or chain > 4 * MAX_NESTING:
            label = Label(Span(token.index, token.end))
            message = f"the program is nested deeper than {MAX_NESTING} levels"
            return Diagnostic(
                "E1001", message, source, label, help="give a part of it a name of its own"
            )
    return None


def _region(tokens: list[Any], at: int) -> tuple[int, int]:
    """The tokens of the statement, field, arm or declaration around a mistake."""
    at = min(at, len(tokens) - 1)
    block, depth = -1, 0
    for here in range(at - 1, -1, -1):
        kind = tokens[here].type
        if kind in CLOSERS:
            depth += 1
        elif kind in OPENERS:
            if depth == 0 and kind.startswith("LBRACE"):
                block = here
                break
            depth = max(depth - 1, 0)
    separators = {"SEMI"} if block < 0 or tokens[block].type == "LBRACE" else {"SEMI", "COMMA"}
    start = block + 1
    depth = 0
    for here in range(block + 1, at):
        kind = tokens[here].type
        depth += (kind in OPENERS) - (kind in CLOSERS)
        ends = kind in separators or (kind == "RBRACE" and _begins(tokens, here + 1))
        if depth == 0 and ends:
            start = here + 1
    end, depth = at, 0
    for here in range(start, at):
        depth += (tokens[here].type in OPENERS) - (tokens[here].type in CLOSERS)
    while end < len(tokens):
        kind = tokens[end].type
        if depth <= 0 and kind in separators:
            return start, end + 1
        if depth <= 0 and kind in CLOSERS:
            # The mistake is at the bracket itself: what stands before it goes, or the whole block.
            return (start, end) if end > start else (max(block, 0), end + 1)
        if depth <= 0 and end > max(at, start) and block < 0 and kind in _DECLARATION_WORDS:
            return start, end
        depth += (kind in OPENERS) - (kind in CLOSERS)
        if depth == 0 and kind == "RBRACE" and end >= at:
            return start, end + 1
        end += 1
    return start, end


def _begins(tokens: list[Any], at: int) -> bool:
    """Whether a statement or declaration can begin here, behind a `}`."""
    return at >= len(tokens) or tokens[at].type not in (
        "ELSE", "CATCH", "DOT", "QUEST", "COMMA", "SEMI", "RPAREN", "RBRACKET", "FATARROW",
    )  # fmt: skip
