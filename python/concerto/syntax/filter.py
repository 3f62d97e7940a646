"""The token filter: tells apart what an LALR(1) grammar cannot, by looking ahead a bounded or balanced distance.

`filter_tokens` runs two linear passes. The first decides which words are keywords and which angle brackets belong to types (rules F1 to F3 of the
language reference); the second decides what each `{` opens and adds the `;` and `,` that may be left out (F4 to F10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax.tokens import CLOSERS, HARD_KEYWORDS, OPERAND_END, SOFT_KEYWORDS

_PARTNERS = {"LPAREN": "RPAREN", "LBRACKET": "RBRACKET", "LBRACE": "RBRACE", "ISTART": "IEND"}
_DECLARING = frozenset(
    [
        "STRUCT",
        "ENUM",
        "TRAIT",
        "IMPL",
        "SCHEMA",
        "MODEL",
        "AGENT",
        "TOOL",
        "MCP",
        "CONNECT",
        "PIPELINE",
        "MOD",
        "MOCK",
        "CATCH",
        "ARROW",
    ]
)
_WITH_FIELDS = frozenset(
    ["STRUCT", "SCHEMA", "CONNECT", "MODEL", "AGENT", "TOOL", "MCP", "MOCK", "ENUM"]
)
_TYPE_LIST = frozenset(
    ["IDENT", "COLONCOLON", "COMMA", "LPAREN", "RPAREN", "ARROW", "FN", "NIL", "STRING", "BAR"]
)
_AFTER_TYPE_LIST = frozenset(
    [
        "LPAREN",
        "RPAREN",
        "RBRACKET",
        "RBRACE",
        "LBRACE",
        "COMMA",
        "SEMI",
        "COLON",
        "ASSIGN",
        "GT",
        "BAR",
        "OROR",
        "COLONCOLON",
        "DOT",
        "QUEST",
        "QQ",
        "EQ",
        "NE",
        "ANDAND",
        "FATARROW",
        "PIPE",
        "PLUS",
        "AS",
        "FOR",
        "AT",
        "PUB",
        "$end",
    ]
)
_ANGLES = {"LT": "LANGLE", "GT": "RANGLE"}
_NAMES_TYPE_PARAMS = frozenset(["FN", "STRUCT", "ENUM", "TRAIT", "SCHEMA", "TYPE"])
_BEFORE_EMPTY_MAP = frozenset(
    ["ASSIGN", "ADDEQ", "LPAREN", "COMMA", "LBRACKET", "COLON", "RETURN", "BREAK", "QQ"]
)
_BLOCK_LIKE = frozenset(
    ["IF", "MATCH", "FOR", "WHILE", "LOOP", "PARALLEL", "TRY", "LISTEN", "LABEL"]
)
#: What `step` must see everywhere; other tokens matter only where commas may be left out.
_LAYOUT = (
    frozenset(["LPAREN", "LBRACKET", "LBRACE", "ISTART", "SEMI", "COMMA", "FATARROW", "DOTDOT"])
    | CLOSERS
    | _BLOCK_LIKE
)
_NAME_END = frozenset(("IDENT", "SELF"))


class _Virtual:
    """A token that does not stand in the text; its place is between its neighbours."""

    __slots__ = ("end", "index", "type", "value")

    def __init__(self, type_: str, at: int) -> None:
        self.type, self.value, self.index, self.end = type_, "", at, at


def filter_tokens(source: Source, tokens: Sequence[Any]) -> tuple[list[Any], list[Diagnostic]]:
    """The tokens that the grammar reads. With unbalanced brackets: what is wrong, and the grammar must not be run."""
    unbalanced = _check_brackets(source, tokens)
    if unbalanced:
        return [], [unbalanced]
    words = list(tokens)
    _classify_words(words)
    _classify_angles(words)
    return _Layout(words).run(), []


def close_brackets(tokens: Sequence[Any]) -> list[Any]:
    """The tokens that the grammar reads if all that is open at the end of the file were closed there."""
    words = list(tokens)
    for opening in reversed(_open_brackets(words)):
        words.append(_Virtual(_PARTNERS[opening.type], words[-1].end))
    _classify_words(words)
    _classify_angles(words)
    return _Layout(words).run()


def _open_brackets(tokens: Sequence[Any]) -> list[Any]:
    """Those without a partner, of tokens in which no bracket closes another kind."""
    open_: list[Any] = []
    for token in tokens:
        if token.type in _PARTNERS:
            open_.append(token)
        elif token.type in CLOSERS:
            open_.pop()
    return open_


def _check_brackets(source: Source, tokens: Sequence[Any]) -> Diagnostic | None:
    """E1002 for the first bracket without partner, with both places where there are two. Interpolations count as brackets."""
    open_: list[Any] = []
    for token in tokens:
        if token.type in _PARTNERS:
            open_.append(token)
        elif token.type in CLOSERS:
            if open_ and _PARTNERS[open_[-1].type] == token.type:
                open_.pop()
                continue
            here = Label(Span(token.index, token.end))
            message = f"`{_sign(token)}` closes nothing"
            related: tuple[Label, ...] = ()
            if open_:
                message = f"`{_sign(token)}` does not close `{_sign(open_[-1])}`"
                related = (Label(Span(open_[-1].index, open_[-1].end), "opened here"),)
            return Diagnostic("E1002", message, source, here, related)
        elif token.type == "IMID" and not (open_ and open_[-1].type == "ISTART"):
            return _never_closed(source, open_[-1]) if open_ else None
    return _never_closed(source, open_[-1]) if open_ else None


def _never_closed(source: Source, token: Any) -> Diagnostic:
    here = Label(Span(token.index, token.end), "opened here")
    return Diagnostic("E1002", f"`{_sign(token)}` is never closed", source, here)


def _sign(token: Any) -> str:
    signs = {"ISTART": "${", "IEND": "}"}
    return signs.get(token.type, str(token.value))


def _classify_words(tokens: list[Any]) -> None:
    """F1, F2 and F9: which words are keywords."""
    kinds = [t.type for t in tokens] + ["$end"] * 4
    values = [t.value for t in tokens] + [""] * 4
    previous = ""
    for at, token in enumerate(tokens):
        if token.type == "IDENT":
            word = token.value
            if word in HARD_KEYWORDS:
                token.type = _hard(word, previous, kinds, at)
            elif word in SOFT_KEYWORDS and _is_promoted(word, previous, kinds, values, at):
                token.type = word.upper()
        previous = token.type


def _hard(word: str, previous: str, kinds: list[str], at: int) -> str:
    if previous == "DOT" and word != "await":
        return "IDENT"
    names_field = kinds[at + 1] == "COLON" or kinds[at + 1 : at + 3] == ["QUEST", "COLON"]
    if names_field and word not in ("true", "false", "nil", "self"):
        return "IDENT"
    if word == "async" and kinds[at + 1] in ("BAR", "OROR"):
        return "ASYNC_CLOSURE"
    return word.upper()


def _is_promoted(word: str, previous: str, kinds: list[str], values: list[Any], at: int) -> bool:
    following, value = kinds[at + 1], values[at + 1]
    if word == "parallel":
        limited = following == "LPAREN" and values[at + 2] == "max" and kinds[at + 3] == "COLON"
        return (following == "IDENT" and value == "for") or limited
    if word == "spawn" and following == "LBRACE":
        return True
    is_name = following == "IDENT" and value not in HARD_KEYWORDS
    if word == "listen" and following == "IDENT" and value == "self":
        is_name = True
    return is_name and previous not in ("DOT", "COLONCOLON", "AT", "FN", "LET", "MUT")


def _classify_angles(tokens: list[Any]) -> None:
    """F3: which `<` and `>` belong to a list of types."""
    kinds = [t.type for t in tokens] + ["$end"] * 3
    closing = _matching_angles(kinds)
    for at, end in sorted(closing.items()):
        if kinds[at] != "LT":
            continue  # within a list that was found before
        follows = kinds[end + 1] in _AFTER_TYPE_LIST or (
            kinds[end + 1] in ("IDENT", "STRING")
            and (kinds[end + 2] == "COLON" or kinds[end + 2 : end + 4] == ["QUEST", "COLON"])
        )
        if follows or _declares(kinds, at):
            for inner in range(at, end + 1):
                if kinds[inner] in _ANGLES:
                    kinds[inner] = tokens[inner].type = _ANGLES[kinds[inner]]


def _declares(kinds: list[str], at: int) -> bool:
    """Whether a `<` here begins type parameters, which may have bounds."""
    before = kinds[at - 1]
    return before == "IMPL" or (before == "IDENT" and kinds[at - 2] in _NAMES_TYPE_PARAMS)


@dataclass(slots=True)
class _Angle:
    """A `<` that has not been closed: how many parentheses are open there, the least since, and whether bounds stand behind it."""

    at: int
    parens: int
    least: int
    has_bounds: bool = False


def _matching_angles(kinds: list[str]) -> dict[int, int]:
    """Of each `<` behind a name: the `>` that closes it, if only types stand between."""
    closing: dict[int, int] = {}
    open_: list[_Angle] = []
    parens = 0
    for at, kind in enumerate(kinds):
        if kind == "LT":
            if at > 0 and kinds[at - 1] != "IDENT":
                open_.clear()
            if at > 0 and kinds[at - 1] in ("IDENT", "IMPL"):
                open_.append(_Angle(at, parens, parens))
        elif not open_:
            continue
        elif kind == "GT":
            angle = open_.pop()
            if parens == angle.parens == angle.least and (
                not angle.has_bounds or _declares(kinds, angle.at)
            ):
                closing[angle.at] = at
            if open_:
                open_[-1].least = min(open_[-1].least, angle.least)
                open_[-1].has_bounds |= angle.has_bounds
        elif kind in _TYPE_LIST:
            parens += (kind == "LPAREN") - (kind == "RPAREN")
            open_[-1].least = min(open_[-1].least, parens)
        elif kind in ("COLON", "PLUS"):
            open_[-1].has_bounds = True
        else:
            open_.clear()
    return closing


@dataclass(slots=True)
class _Frame:
    """An open bracket, or the file."""

    kind: str  # file, block, match, fields, paren
    heads: list[str] = field(
        default_factory=list
    )  # of if, while, match, for, whose body has not begun
    is_arm_body: bool = False
    has_fields: bool = False
    has_methods: bool = False
    has_state: bool = False
    closes_decorator: bool = False
    block_like: bool = False  # a statement that ends at its `}` is being read
    in_arm: bool = False  # behind the `=>` of an arm
    at_start: bool = True  # a statement begins at the next token
    after_declaration: bool = False  # the last `}` ended a declaration or method
    after_decorator: bool = False  # the last `)` closed the arguments of a decorator
    is_literal: bool = False  # of a struct or map


class _Layout:
    """F4 to F8 and F10: one pass with a stack of open brackets."""

    def __init__(self, tokens: list[Any]) -> None:
        self.tokens = tokens
        self.kinds = [t.type for t in tokens] + ["$end"] * 4
        self.partner = self._partners()
        self.out: list[Any] = []
        self.frames = [_Frame("file")]

    def _partners(self) -> dict[int, int]:
        partners: dict[int, int] = {}
        open_: list[int] = []
        for at, token in enumerate(self.tokens):
            if token.type in ("LPAREN", "LBRACKET", "LBRACE", "ISTART"):
                open_.append(at)
            elif token.type in ("RPAREN", "RBRACKET", "RBRACE", "IEND"):
                partners[open_.pop()] = at
        return partners

    def run(self) -> list[Any]:
        frames, out = self.frames, self.out
        for at, token in enumerate(self.tokens):
            frame = frames[-1]
            if token.type in _LAYOUT or frame.has_fields:
                self.step(at, token)
            else:
                frame.at_start = frame.after_declaration = frame.after_decorator = False
                out.append(token)
        return out

    @property
    def frame(self) -> _Frame:
        return self.frames[-1]

    @property
    def previous(self) -> str:
        return self.out[-1].type if self.out else ""

    def virtual(self, kind: str) -> None:
        self.out.append(_Virtual(kind, self.out[-1].end))

    def step(self, at: int, token: Any) -> None:
        frame = self.frame
        self._virtual_comma(at, token)
        starts_statement = frame.kind in ("file", "block") and frame.at_start
        frame.after_declaration = frame.after_decorator = False
        frame.at_start = False
        if frame.has_state and token.type == "IDENT" and self.kinds[at + 1] == "COLON":
            self._mark_state(at, token)
        if token.type == "DOTDOT" and self._range_is_open(at):
            token.type = "DOTDOT_OPEN"
        if starts_statement and token.type in _BLOCK_LIKE:
            frame.block_like = True
        if self._opens_head(token):
            frame.heads.append(token.type)
        if frame.kind == "match":
            if token.type == "FATARROW":
                frame.in_arm = True
            elif token.type == "COMMA":
                frame.in_arm = False
        match token.type:
            case "LBRACE":
                self._open_brace(at, token, starts_statement)
            case "LPAREN" | "LBRACKET" | "ISTART":
                decorator = (
                    len(self.out) > 1 and self.previous == "IDENT" and self.out[-2].type == "AT"
                )
                self.out.append(token)
                self.frames.append(_Frame("paren", closes_decorator=decorator))
            case "RPAREN" | "RBRACKET" | "IEND":
                closed = self.frames.pop()
                self.out.append(token)
                self.frame.after_decorator = closed.closes_decorator
            case "RBRACE":
                self._close_brace(at, token)
            case "SEMI":
                frame.block_like = False
                frame.at_start = frame.kind in ("file", "block")
                self.out.append(token)
            case _:
                self.out.append(token)

    def _opens_head(self, token: Any) -> bool:
        if token.type == "FOR":
            return self.previous not in ("IDENT", "RANGLE")  # `impl Trait for Type`
        if token.type == "IF":
            return not (self.frame.kind == "match" and not self.frame.in_arm)  # a guard
        return token.type in ("WHILE", "MATCH", "LISTEN")

    def _range_is_open(self, at: int) -> bool:
        following = self.kinds[at + 1]
        return following in ("RBRACKET", "RPAREN", "RBRACE", "COMMA", "SEMI") or (
            following == "LBRACE" and bool(self.frame.heads)
        )

    def _ends_value(self) -> bool:
        """Whether the last token ends an operand or type, and is neither part of a decorator nor the end of a body."""
        frame = self.frame
        names_decorator = (
            self.previous == "IDENT" and len(self.out) > 1 and self.out[-2].type == "AT"
        )
        return (
            self.previous in OPERAND_END
            and not names_decorator
            and not frame.after_declaration
            and not frame.after_decorator
        )

    def _virtual_comma(self, at: int, token: Any) -> None:
        """F7: between fields."""
        frame = self.frame
        if not frame.has_fields or not self._ends_value():
            return
        following = self.kinds[at + 1]
        names_field = token.type in ("IDENT", "STRING") and (
            following == "COLON" or (following == "QUEST" and self.kinds[at + 2] == "COLON")
        )
        starts_method = frame.has_methods and token.type in ("AT", "PUB", "FN", "ASYNC")
        if names_field or starts_method:
            self.virtual("COMMA")

    def _mark_state(self, at: int, token: Any) -> None:
        """F10: a field of a tool that has a type and a value."""
        angles, here = 0, at + 2
        while here < len(self.tokens):
            kind = self.kinds[here]
            if here in self.partner:
                here = self.partner[here] + 1
                continue
            angles += (kind == "LANGLE") - (kind == "RANGLE")
            if kind == "ASSIGN":
                token.type = "STATE"
                return
            named = (
                kind in ("IDENT", "STRING") and self.kinds[here + 1] == "COLON" and here > at + 2
            )
            if (
                kind in ("SEMI", "AT", "PUB", "RBRACE")
                or (kind == "COMMA" and angles == 0)
                or named
            ):
                return
            here += 1

    def _path_before(self) -> tuple[str, bool]:
        """The token before the path (with its type list) that has just ended, and whether there is such a path."""
        at = self._before_type_list(len(self.out) - 1)
        if at < 0 or self.out[at].type not in _NAME_END:
            return "", False
        while at >= 2 and self.out[at - 1].type == "COLONCOLON":
            at -= 2
        # The type parameters of an `impl` stand between the word and its type.
        before = self._before_type_list(at - 1)
        if before != at - 1 and before >= 0 and self.out[before].type == "IMPL":
            return "IMPL", True
        return (self.out[at - 1].type if at >= 1 else ""), True

    def _before_type_list(self, at: int) -> int:
        """The place before a type list that ends here; this one if none does."""
        if at < 0 or self.out[at].type != "RANGLE":
            return at
        depth = 0
        while at >= 0:
            depth += (self.out[at].type == "RANGLE") - (self.out[at].type == "LANGLE")
            at -= 1
            if depth == 0:
                break
        return at

    def _open_brace(self, at: int, token: Any, starts_statement: bool) -> None:
        frame, previous = self.frame, self.previous
        before, ends_path = (
            self._path_before() if previous in (*_NAME_END, "RANGLE") else ("", False)
        )
        new = _Frame("block")
        in_head = bool(frame.heads)
        declares = ends_path and (before in _DECLARING or (before == "FOR" and not in_head))
        if previous == "COLONCOLON":
            new.kind = "fields"
        elif declares or (previous == "RANGLE" and ends_path and before in _DECLARING):
            self._declared(new, before)
        elif previous in _NAME_END:
            follows = self.kinds[at + 1 : at + 3]
            if in_head and follows != ["IDENT", "COLON"]:
                self._body(token, new)
            else:
                token.type = "LBRACE_STRUCT"
                new.kind, new.has_fields, new.is_literal = "fields", True, True
        elif in_head and previous in OPERAND_END:
            self._body(token, new)
        elif self._is_map(at):
            token.type = "LBRACE_MAP"
            new.kind, new.has_fields, new.is_literal = "fields", True, True
        else:
            new.is_arm_body = previous == "FATARROW" and frame.kind == "match"
            if starts_statement:
                frame.block_like = True
        self.out.append(token)
        self.frames.append(new)

    def _body(self, token: Any, new: _Frame) -> None:
        token.type = "LBRACE_BODY"
        if self.frame.heads.pop() in ("MATCH", "LISTEN"):
            new.kind = "match"

    def _declared(self, new: _Frame, keyword: str) -> None:
        if keyword == "IMPL" and self._is_tool_with_trait():
            keyword = "TOOL"
        if keyword in _WITH_FIELDS:
            new.kind, new.has_fields = "fields", True
        elif keyword == "MOD":
            new.kind = "file"
        elif keyword in ("TRAIT", "IMPL", "FOR", "PIPELINE"):
            new.kind = "items"
        new.has_methods = keyword in ("TOOL", "MCP")
        new.has_state = keyword == "TOOL"

    def _is_tool_with_trait(self) -> bool:
        """Whether the `impl` behind us is that of `tool T impl Trait`."""
        for token in reversed(self.out):
            if token.type == "TOOL":
                return True
            if token.type in ("RBRACE", "SEMI", "LBRACE"):
                return False
        return False

    def _is_map(self, at: int) -> bool:
        first: str = self.kinds[at + 1]
        if first == "RBRACE":
            return self.previous in _BEFORE_EMPTY_MAP
        here = at + 1
        if first == "MINUS":
            here += 1
        after = ""
        if self.kinds[here] in ("STRING", "IDENT", "INT", "FLOAT", "TRUE", "FALSE", "NIL"):
            after = self.kinds[here + 1]
        elif self.kinds[here] in ("ISTART", "LPAREN"):
            after = self.kinds[self.partner[here] + 1]
        return after == "COLON"

    def _close_brace(self, at: int, token: Any) -> None:
        closed = self.frames.pop()
        self.out.append(token)
        frame, following = self.frame, self.kinds[at + 1]
        if frame.block_like and not frame.heads and not closed.is_literal:
            if following in ("ELSE", "CATCH"):
                return
            frame.block_like = False
            if following not in ("DOT", "QUEST", "SEMI", "RBRACE", "$end"):
                self.virtual("SEMI")
                frame.at_start = True
            elif following == "$end":
                self.virtual("SEMI")
        elif closed.is_arm_body:
            if following not in ("COMMA", "RBRACE", "DOT", "QUEST"):
                self.virtual("COMMA")
                frame.in_arm = False
        elif not closed.is_literal:
            frame.after_declaration = True
            frame.at_start = frame.kind in ("file", "block")
