"""Tokens to tree. Never raises for a bad program: it gives what it could read and what is wrong with the rest.

The parser class is made once, on first use, from the generated tables (`_tables.py`); without fresh tables SLY builds them, which takes about a second.
After a syntax error the tokens of the statement, field or declaration around it are left out and the rest is read again, so one mistake
gives one diagnostic and everything else is still checked.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from typing import Any

import sly
import sly.yacc

from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax import ast
from concerto.syntax.checks import check_tree
from concerto.syntax.filter import filter_tokens
from concerto.syntax.grammar import decl, expr, pattern, stmt, type_expr
from concerto.syntax.grammar.rules import RULES
from concerto.syntax.lexer import lex
from concerto.syntax.tokens import DESCRIPTIONS, FILTERED, HARD_KEYWORDS, SIGNS, SOFT_KEYWORDS

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

_COMPARISONS = frozenset(["EQ", "NE", "LT", "GT", "LE", "GE"])
_DECLARATION_WORDS = frozenset(
    [
        "FN",
        "STRUCT",
        "ENUM",
        "TRAIT",
        "IMPL",
        "USE",
        "MOD",
        "CONST",
        "TYPE",
        "CONNECT",
        "MODEL",
        "AGENT",
        "SCHEMA",
        "TOOL",
        "MCP",
        "PIPELINE",
        "HASHMAP",
        "LEDGER",
        "MEMORY",
        "PUB",
        "AT",
        "ASYNC",
    ]
)
_OPENERS = frozenset(
    ["LPAREN", "LBRACKET", "LBRACE", "LBRACE_BODY", "LBRACE_STRUCT", "LBRACE_MAP", "ISTART"]
)
_CLOSERS = frozenset(["RPAREN", "RBRACKET", "RBRACE", "IEND"])


class _SyntaxError(Exception):
    """Leaves SLY's loop at the first error: recovery is ours."""

    def __init__(self, token: Any, expected: dict[str, int]) -> None:
        super().__init__()
        self.token, self.expected = token, expected


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
    namespace["track_positions"] = True
    for number, (productions, action) in enumerate(RULES):
        action.rules = list(productions)[::-1]  # type: ignore[attr-defined]  # SLY's protocol
        namespace[f"rule_{number}"] = action

    def error(self: Any, token: Any) -> None:
        raise _SyntaxError(token, self._lrtable.lr_action[self.state])

    namespace["error"] = error
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


@cache
def _parser_class() -> Any:
    return build_parser_class(_LoadedTables)


def parse(source: Source) -> tuple[ast.Module, list[Diagnostic]]:
    """The tree of a file and what is wrong with its text. With unbalanced brackets the tree is empty."""
    tokens, docs, diagnostics = lex(source)
    tokens, unbalanced = filter_tokens(source, tokens)
    empty = ast.Module(span=Span(0, len(source.text)), items=(), doc=docs.module)
    too_deep = None if unbalanced else _too_deep(source, tokens)
    if unbalanced or too_deep:
        # A string that does not end unbalances everything behind it: say only what came first.
        cut_off = any(d.code in ("E0003", "E0007", "E0010") for d in diagnostics)
        extra = [] if cut_off else unbalanced
        return empty, [*diagnostics, *extra, *([too_deep] if too_deep else [])]
    parser = _parser_class()()
    parser.docs, parser.length, parser.text = docs, len(source.text), source.text
    module = empty
    removed: set[int] = set()
    lost: set[str] = set()
    bad_lines = {source.position(d.primary.span.start)[0] for d in diagnostics}
    for _ in range(MAX_ERRORS):
        parser.parenthesised = set()
        try:
            module = parser.parse(iter(tokens))
            break
        except _SyntaxError as error:
            at = _index_of(tokens, error.token)
            diagnostic = _explain(source, tokens, at, error)
            # What is left of a statement after its mistake was cut out may not parse either: one message is enough.
            line = source.position(diagnostic.primary.span.start)[0]
            if not removed & {at, at - 1} and line not in bad_lines:
                diagnostics.append(diagnostic)
            start, end = _region(tokens, at)
            if start == end:
                return module, diagnostics
            lost.update(str(t.value) for t in tokens[start:end] if t.type == "IDENT")
            del tokens[start:end]
            removed = {start, start - 1}
    else:
        parser.parenthesised = set()
    grouped = frozenset(parser.parenthesised)
    module = replace(module, lost=frozenset(lost), grouped=grouped)
    return module, [*diagnostics, *check_tree(source, module, parser.parenthesised)]


def _index_of(tokens: list[Any], token: Any) -> int:
    if token is None:
        return len(tokens)
    return next(at for at, each in enumerate(tokens) if each is token)


def _too_deep(source: Source, tokens: list[Any]) -> Diagnostic | None:
    depth = chain = 0
    for token in tokens:
        depth += (token.type in _OPENERS) - (token.type in _CLOSERS)
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
        if kind in _CLOSERS:
            depth += 1
        elif kind in _OPENERS:
            if depth == 0 and kind.startswith("LBRACE"):
                block = here
                break
            depth = max(depth - 1, 0)
    separators = {"SEMI"} if block < 0 or tokens[block].type == "LBRACE" else {"SEMI", "COMMA"}
    start = block + 1
    depth = 0
    for here in range(block + 1, at):
        kind = tokens[here].type
        depth += (kind in _OPENERS) - (kind in _CLOSERS)
        ends = kind in separators or (kind == "RBRACE" and _begins(tokens, here + 1))
        if depth == 0 and ends:
            start = here + 1
    end, depth = at, 0
    for here in range(start, at):
        depth += (tokens[here].type in _OPENERS) - (tokens[here].type in _CLOSERS)
    while end < len(tokens):
        kind = tokens[end].type
        if depth <= 0 and kind in separators:
            return start, end + 1
        if depth <= 0 and kind in _CLOSERS:
            # The mistake is at the bracket itself: what stands before it goes, or the whole block.
            return (start, end) if end > start else (max(block, 0), end + 1)
        if depth <= 0 and end > max(at, start) and block < 0 and kind in _DECLARATION_WORDS:
            return start, end
        depth += (kind in _OPENERS) - (kind in _CLOSERS)
        if depth == 0 and kind == "RBRACE" and end >= at:
            return start, end + 1
        end += 1
    return start, end


def _begins(tokens: list[Any], at: int) -> bool:
    """Whether a statement or declaration can begin here, behind a `}`."""
    return at >= len(tokens) or tokens[at].type not in (
        "ELSE", "CATCH", "DOT", "QUEST", "COMMA", "SEMI", "RPAREN", "RBRACKET", "FATARROW",
    )  # fmt: skip


def _explain(source: Source, tokens: list[Any], at: int, error: _SyntaxError) -> Diagnostic:
    """The diagnostic for an unexpected token, in words of the language."""
    token = error.token
    end = len(source.text)
    span = Span(token.index, token.end) if token else Span(max(end - 1, 0), end)
    kind = token.type if token else "$end"
    previous = tokens[at - 1] if 0 < at <= len(tokens) else None
    before = previous.type if previous else ""
    expected = {name for name, action in error.expected.items() if action is not None}

    def diagnostic(
        code: str, message: str, help_: str | None = None, where: Span = span
    ) -> Diagnostic:
        return Diagnostic(code, message, source, Label(where), help=help_)

    if kind in _COMPARISONS and kind in error.expected and error.expected[kind] is None:
        return diagnostic("E1004", "comparisons cannot be chained", "write `a < b && b < c`")
    if before == "PUB" and _starts_statement(kind) and previous:
        place = Span(previous.index, previous.end)
        return diagnostic("E1020", "`pub` cannot stand before a statement", "remove it", place)
    decorator = _decorator_before(tokens, at)
    if decorator is not None and _starts_statement(kind):
        message = "a decorator cannot stand before a statement"
        place = Span(tokens[decorator].index, tokens[decorator + 1].end)
        return diagnostic("E1020", message, "remove it", place)
    if kind == "LET" and before in ("IF", "WHILE"):
        word = before.lower()
        return diagnostic("E1008", f"there is no `{word} let`", "use `match`")
    if kind == "ELSE":
        return diagnostic("E1009", "`else` without `if`")
    if before in ("STRUCT", "ENUM", "TRAIT", "FN", "SCHEMA", "MOD", "CONST") and kind != "IDENT":
        return diagnostic("E1006", f"expected a name after `{previous.value}`")  # type: ignore[union-attr]
    if kind in ("IEND", "IMID") and before in ("ISTART", "IMID"):
        return diagnostic(
            "E1011", "the interpolation is empty", "write an expression between the braces"
        )
    found = _describe(token) if token else DESCRIPTIONS["$end"]
    if "COMMA" in expected and previous and _in_match(tokens, at):
        after = Span(previous.end, previous.end + 1)
        return diagnostic(
            "E1007", "missing `,` between match arms", "put a comma after the arm", after
        )
    if "SEMI" in expected and previous and _starts_statement(kind):
        after = Span(previous.end, previous.end + 1)
        return diagnostic("E1003", "missing `;`", "end the statement with `;`", after)
    if kind in ("CONNECT", "MODEL", "SCHEMA", "TOOL", "STRUCT", "ENUM", "FN"):
        code = "E4001" if kind == "CONNECT" else "E1001"
        word = str(token.value)
        message = f"`{word}` is declared at module scope"
        if not (kind == "FN" and "IDENT" not in expected):
            return diagnostic(code, message, f"move the `{word}` out of the function")
    if kind == "STAR" and before == "STAR":
        return diagnostic("E1008", "there is no `**`", "use `.pow(n)`")
    wanted = _wanted(expected)
    help_ = "expected " + wanted if wanted else None
    return diagnostic("E1001", f"unexpected {found}", help_)


def _decorator_before(tokens: list[Any], at: int) -> int | None:
    """Where the decorator begins that ends before a token, if one does."""
    here = min(at, len(tokens)) - 1
    if here > 0 and tokens[here].type == "RPAREN":
        depth = 0
        while here >= 0:
            depth += (tokens[here].type in _CLOSERS) - (tokens[here].type in _OPENERS)
            here -= 1
            if depth == 0:
                break
    return here - 1 if here > 0 and tokens[here - 1].type == "AT" else None


def _in_match(tokens: list[Any], at: int) -> bool:
    """Whether the innermost bracket is that of a `match`, behind the `=>` of an arm."""
    depth = 0
    has_arrow = False
    for here in range(at - 1, -1, -1):
        kind = tokens[here].type
        has_arrow = has_arrow or (kind == "FATARROW" and depth == 0)
        if kind in _CLOSERS:
            depth += 1
        elif kind in _OPENERS:
            if depth == 0:
                return kind == "LBRACE_BODY" and has_arrow
            depth -= 1
    return False


def _describe(token: Any) -> str:
    if token.type in ("IDENT", "STATE"):
        return f"`{token.value}`"
    if token.type in ("SEMI", "COMMA") and token.index == token.end:
        return "end of the block"
    return DESCRIPTIONS[token.type]


def _starts_statement(kind: str) -> bool:
    return kind in (
        "LET", "IDENT", "IF", "FOR", "WHILE", "MATCH", "RETURN", "LOOP", "STRING", "ISTART", "INT", "BREAK", "TRY",
        "CONST", "RBRACE", "SELF", "THROW", "CONTINUE",
    )  # fmt: skip


def _wanted(expected: set[str]) -> str:
    """What could stand here, if that can be said in a few words."""
    if {"IDENT", "INT", "LPAREN", "STRING"} <= expected:
        return "an expression"
    names = sorted({DESCRIPTIONS[kind] for kind in expected if kind in DESCRIPTIONS})
    if not 0 < len(names) <= 6:
        return ""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
