"""What is said about a token that the grammar does not take, in words of the language."""

from __future__ import annotations

from typing import Any

from concerto.diagnostics.model import Diagnostic
from concerto.source import Source, Span
from concerto.syntax.foreign import foreign
from concerto.syntax.tokens import CLOSERS, DESCRIPTIONS, OPENERS
from concerto.syntax.unexpected import Place

_COMPARISONS = frozenset(["EQ", "NE", "LT", "GT", "LE", "GE"])
_RANGES = frozenset(["DOTDOT", "DOTDOTEQ", "DOTDOT_OPEN"])
_STARTS_STATEMENT = frozenset(
    [
        "LET",
        "IDENT",
        "IF",
        "FOR",
        "WHILE",
        "MATCH",
        "RETURN",
        "LOOP",
        "STRING",
        "ISTART",
        "INT",
        "BREAK",
        "TRY",
        "CONST",
        "RBRACE",
        "SELF",
        "THROW",
        "CONTINUE",
    ]
)
_STARTS_DECLARATION = frozenset(
    ["FN", "PUB", "ASYNC", "STRUCT", "ENUM", "TRAIT", "IMPL", "AT", "USE"]
)
#: Words of declarations that stand at module scope only.
MODULE_SCOPE = frozenset(
    [
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
        "STRUCT",
        "ENUM",
        "TRAIT",
        "IMPL",
        "FN",
    ]
)
_NAMED = frozenset(
    ["STRUCT", "ENUM", "TRAIT", "FN", "SCHEMA", "MOD", "CONST", "TYPE", "PIPELINE", "STAGE"]
)


class UnexpectedTokenError(Exception):
    """Leaves SLY's loop at the first error: recovery is ours. `token` is None at the end of the text."""

    def __init__(self, token: Any, expected: dict[str, int | None]) -> None:
        super().__init__()
        self.token, self.expected = token, expected


def explain(source: Source, tokens: list[Any], at: int, error: UnexpectedTokenError) -> Diagnostic:
    """The diagnostic for the token at a place; the first rule that knows the mistake words it."""
    place = Place(source, tokens, at, error.token, error.expected)
    for rule in (_comparison, _range, _incomplete, foreign, _separator, _misplaced):
        found = rule(place)
        if found is not None:
            return found
    wanted = _wanted(place.expected)
    help_ = "expected " + wanted if wanted else None
    return place.says("E1001", f"unexpected {_describe(place.token)}", help_)


def _comparison(place: Place) -> Diagnostic | None:
    """A second comparison, or type arguments where none can stand."""
    kind = place.kind
    if not (kind in _COMPARISONS and kind in place.table and place.table[kind] is None):
        return None
    opening = next((t for t in reversed(place.tokens[: place.at]) if t.type in _COMPARISONS), None)
    following = place.tokens[place.at + 1].type if place.at + 1 < len(place.tokens) else ""
    if kind == "GT" and opening and opening.type == "LT" and following == "LPAREN":
        between = place.tokens[place.tokens.index(opening) + 1 : place.at]
        if all(t.type in ("IDENT", "COMMA", "COLONCOLON") for t in between):
            message = "type arguments cannot stand here"
            return place.says("E1014", message, "write them behind a name: `f<Int>(1)`", opening)
    return place.says("E1004", "comparisons cannot be chained", "write `a < b && b < c`")


def _range(place: Place) -> Diagnostic | None:
    """A range of ranges."""
    if not (
        place.kind in _RANGES and place.kind in place.table and place.table[place.kind] is None
    ):
        return None
    return place.says("E1004", "ranges cannot be chained", "write one range: `a..b`")


def _incomplete(place: Place) -> Diagnostic | None:
    """Something lacks its name, value or beginning."""
    kind, before = place.kind, place.kind_before()
    if kind == "ELSE":
        if _is_let(place):
            return place.has_no("let .. else", "use `match`, or `?? ..` for the other value")
        return place.says("E1009", "`else` without `if`")
    if before in _NAMED and kind != "IDENT":
        return place.says("E1006", f"expected a name after `{place.before().value}`")
    if kind in ("IEND", "IMID") and before in ("ISTART", "IMID"):
        opening = Span(place.before().end - 2, place.token.index + 1)
        help_ = "write an expression between the braces"
        return place.says("E1011", "the interpolation is empty", help_, opening)
    if before == "COLON" and place.kind_before(2) == "LABEL":
        label = place.before(2)
        help_ = "put it before `loop`, `while` or `for`"
        return place.says("E1005", f"the label `'{label.value}` is not before a loop", help_, label)
    decorated = before == "PUB" or _ends_decorator(place)
    if decorated and kind in ("LET", "IF", "FOR", "WHILE", "LOOP", "MATCH", "RETURN", "CONNECT"):
        word = "`pub`" if before == "PUB" else "a decorator"
        return place.says(
            "E1020", f"{word} cannot stand before a statement", "remove it", place.before()
        )
    return None


def _is_let(place: Place) -> bool:
    """Whether the statement around began with `let`."""
    for here in range(place.at - 1, -1, -1):
        kind = place.tokens[here].type
        if kind in ("SEMI", "LBRACE", "RBRACE"):
            return False
        if kind == "LET":
            return True
    return False


def _ends_decorator(place: Place) -> bool:
    return place.kind_before() == "IDENT" and place.kind_before(2) == "AT"


def _separator(place: Place) -> Diagnostic | None:
    """A comma or semicolon is missing behind the token before."""
    previous = place.before()
    if previous is None:
        return None
    after = Span(previous.end, previous.end + 1)
    if "COMMA" in place.expected and _in_match(place.tokens, place.at):
        message, help_ = "missing `,` between match arms", "put a comma after the arm"
        return place.says("E1007", message, help_, after)
    starts = place.kind in _STARTS_STATEMENT
    starts = starts or (place.kind in _STARTS_DECLARATION and not place.is_same_line())
    opening = place.opening()
    inside = place.tokens[opening].type if opening >= 0 else ""
    if inside in ("LPAREN", "LBRACKET") and starts and previous.type not in OPENERS:
        return place.says("E1001", "missing `,`", "separate the parts with `,`", after)
    if "SEMI" in place.expected and starts:
        rest = place.source.text[previous.end :].lstrip(" ")
        help_ = "end the statement with `;`"
        if rest.startswith("//") and previous.type in ("IDENT", "INT", "RPAREN"):
            help_ += " (`//` begins a comment: Ints are divided by `/`)"
        return place.says("E1003", "missing `;`", help_, after)
    return None


def _misplaced(place: Place) -> Diagnostic | None:
    """A declaration in a body."""
    kind = place.kind
    if kind not in MODULE_SCOPE or (kind == "FN" and "IDENT" not in place.expected):
        return None
    word = str(place.token.value)
    code = "E4001" if kind == "CONNECT" else "E1001"
    help_ = f"move the `{word}` out of the function"
    if kind == "FN":
        help_ += ", or use a closure: `let f = |x: Int| x + 1;`"
    return place.says(code, f"`{word}` is declared at module scope", help_)


def _in_match(tokens: list[Any], at: int) -> bool:
    """Whether the innermost bracket is that of a `match`, behind the `=>` of an arm."""
    depth = 0
    has_arrow = False
    for here in range(at - 1, -1, -1):
        kind = tokens[here].type
        has_arrow = has_arrow or (kind == "FATARROW" and depth == 0)
        if kind in CLOSERS:
            depth += 1
        elif kind in OPENERS:
            if depth == 0:
                return kind == "LBRACE_BODY" and has_arrow
            depth -= 1
    return False


def _describe(token: Any) -> str:
    if token is None:
        return "end of the file"
    if token.type in ("IDENT", "STATE"):
        return f"`{token.value}`"
    if token.type in ("SEMI", "COMMA") and token.index == token.end:
        return "end of the block"
    return DESCRIPTIONS[token.type].removeprefix("a ").removeprefix("the ")


def _wanted(expected: set[str]) -> str:
    """What could stand here, if that can be said in a few words."""
    if {"IDENT", "INT", "LPAREN", "STRING"} <= expected:
        return "an expression"
    if {"PLUS", "STAR", "DOT"} <= expected:
        ends = expected & {"SEMI", "COMMA", "RPAREN", "RBRACKET", "RBRACE", "LBRACE_BODY"}
        return _listed({"an operator", *(DESCRIPTIONS[kind] for kind in ends)})
    names = {DESCRIPTIONS[kind] for kind in expected if kind in DESCRIPTIONS}
    return _listed(names) if 0 < len(names) <= 6 else ""


def _listed(words: set[str]) -> str:
    names = sorted(words)
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
