"""Text to tokens. Reports bad text and goes on; never raises.

SLY's pattern finds words and signs; numbers, strings and comments are scanned by hand from where they begin, because strings nest expressions. White space and
comments are left out; doc comments are kept beside the tokens, by the offset of the token that follows them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sly import Lexer
from sly.lex import Token

from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax.tokens import OPERAND_END, SIGNS

_MAX_INT = 2**63 - 1
_MAX_NESTING = 64
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "r": "\r", "t": "\t", "0": "\0", "$": "$"}
_ESCAPE = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|(.)|$)", re.DOTALL)
_STRING_STOP = re.compile(r'["\\\n$]')
_COMMENT_STOP = re.compile(r"/\*|\*/")
_DIGITS = re.compile(r"\d+")
_DECIMAL = re.compile(r"\d[\d_]*(\.\d[\d_]*)?([eE][+-]?\d[\d_]*)?")
_BASED = re.compile(r"0(?:[xX][0-9A-Fa-f_]*|[bB][01_]*|[oO][0-7_]*)")
_GLUED = re.compile(r"[A-Za-z0-9_]+")
_MISPLACED = re.compile(r"__|_$|_(?=[.eE+-])|(?<=[.xXbBoOeE+-])_")
#: Stands for an interpolation while the lines of a string are trimmed; no character of a text.
_HOLE = "\U0010ffff"


#: What stands for signs of other languages.
_SIGNS = {
    "&": "`and` is written `&&`",
    "'": 'strings stand in `"`',
    "`": 'strings stand in `"`, those of several lines in `"""`; `${x}` is the same',
    "#": "comments begin with `//`, decorators with `@`",
    "\\": "a line ends where it ends: leave it out",
    "~": "there are no operators on bits",
    "^": "there are no operators on bits: use `.pow(n)` for powers",
}


@dataclass
class Docs:
    """Doc comments: of the module, and by the offset of the token that follows."""

    module: str | None = None
    before: dict[int, str] = field(default_factory=dict)
    #: Where each begins, by the same offset.
    places: dict[int, int] = field(default_factory=dict)


@dataclass
class _OpenString:
    """A string whose interpolation is being lexed."""

    quote: str
    start: int
    braces: int = 0
    pieces: list[Any] = field(default_factory=list)  # tokens, whose values are still raw


_signs = SIGNS  # a name in upper case would be a token inside the class


class _ConcertoLexer(Lexer):  # type: ignore[misc]  # SLY is untyped
    # Names in upper case are made by SLY's metaclass.
    tokens = {  # noqa: RUF012
        "COMMENT", "DOC", "RAW", "TEXT", "NUMBER", "LABEL", "IDENT",
        *_signs,
    }  # fmt: skip
    ignore = " \t\r\n\f"

    COMMENT = r"/\*|//[^\n]*"
    RAW = r'r(?:"|#+")'
    TEXT = r'"""|"'
    NUMBER = r"\d"
    LABEL = r"'[A-Za-z_][A-Za-z0-9_]*"
    IDENT = r"[A-Za-z_][A-Za-z0-9_]*"
    # The signs of `tokens.SIGNS`, longer ones first.
    DOTDOTEQ = r"\.\.="
    DOTDOT = r"\.\."
    FATARROW = r"=>"
    EQ = r"=="
    NE = r"!="
    LE = r"<="
    GE = r">="
    ANDAND = r"\&\&"
    OROR = r"\|\|"
    PIPE = r"\|>"
    ADDEQ = r"\+="
    ARROW = r"\->"
    SUBEQ = r"\-="
    MULEQ = r"\*="
    DIVEQ = r"/="
    MODEQ = r"%="
    COLONCOLON = r"::"
    QQ = r"\?\?"
    ASSIGN = r"="
    NOT = r"!"
    LT = r"<"
    GT = r">"
    BAR = r"\|"
    PLUS = r"\+"
    MINUS = r"\-"
    STAR = r"\*"
    SLASH = r"/"
    PERCENT = r"%"
    COLON = r":"
    QUEST = r"\?"
    DOT = r"\."
    COMMA = r","
    SEMI = r";"
    LPAREN = r"\("
    RPAREN = r"\)"
    LBRACKET = r"\["
    RBRACKET = r"\]"
    LBRACE = r"\{"
    RBRACE = r"\}"
    AT = r"@"


#: SLY's pattern of all words and signs, behind what is ignored; so that one search finds a token, and no function of ours is called for it.
_WORD = re.compile(
    rf"[{_ConcertoLexer.ignore}]*(?:{_ConcertoLexer._master_re.pattern}|(?P<UNKNOWN>.)|$)",
    _ConcertoLexer._master_re.flags | re.DOTALL,
)
_PLAIN = frozenset({"IDENT", *SIGNS} - {"LBRACE", "RBRACE"})


#: All tokens, the doc comments, and what is wrong.
Lexed: TypeAlias = tuple[list[Any], Docs, list[Diagnostic]]


def lex(source: Source) -> Lexed:
    """All tokens, the doc comments, and what is wrong. Token values: text, number, or the string without quotes and escapes."""
    scanner = _Scanner(source)
    scanner.run()
    return scanner.tokens, scanner.docs, scanner.diagnostics


def _string_token(text: str, start: int, end: int) -> Any:
    """The token for a string in quotes of another language, which was reported."""
    token = Token()
    token.type, token.value = "STRING", text[start + 1 : end - 1]
    token.index, token.end = start, end
    return token


class _Scanner:
    """Goes over one text with SLY's pattern and scans by hand what it only begins."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.tokens: list[Any] = []
        self.docs = Docs()
        self.diagnostics: list[Diagnostic] = []
        self.strings: list[_OpenString] = []
        self.doc_lines: list[str] = []
        self.doc_start = 0

    def report(
        self, code: str, message: str, start: int, end: int, help_: str | None = None
    ) -> None:
        label = Label(Span(start, end))
        self.diagnostics.append(Diagnostic(code, message, self.source, label, help=help_))

    def run(self) -> None:
        at = 0
        while at < len(self.text):
            at = self.run_from(at)
        for open_string in self.strings:
            message = "the string does not end: an interpolation in it is still open"
            self.report("E0007", message, open_string.start, open_string.start + 1)
        if self.doc_lines:
            self.docs.places[len(self.text)] = self.doc_start

    def run_from(self, start: int) -> int:
        """Lexes until something was scanned by hand; gives the offset to go on from."""
        append = self.tokens.append
        for found in _WORD.finditer(self.text, start):
            kind = found.lastgroup
            if kind is None:
                break  # the end
            token = Token()
            token.type, token.value = kind, found[kind]
            token.index, token.end = found.span(kind)
            if kind in _PLAIN and not self.doc_lines:
                append(token)
                continue
            match kind:
                case "COMMENT":
                    if token.value == "/*":
                        return self.block_comment(token.index)
                    self.line_comment(token)
                case "RAW":
                    return self.raw_string(token)
                case "TEXT":
                    opened = _OpenString(token.value, token.index)
                    return self.string(opened, token, token.end, first=True)
                case "NUMBER":
                    return self.number(token)
                case "LABEL" if not self.is_label(token):
                    return self.unexpected(token.index)
                case "RBRACE" if self.strings and self.strings[-1].braces == 0:
                    return self.string(self.strings.pop(), token, token.end, first=False)
                case "UNKNOWN":
                    return self.unexpected(token.index)
                case _:
                    self.add(token)
        return len(self.text)

    def add(self, token: Any) -> None:
        if self.doc_lines:
            self.docs.before[token.index] = "\n".join(self.doc_lines)
            self.docs.places[token.index] = self.doc_start
            self.doc_lines = []
        if token.type == "LABEL":
            token.value = token.value[1:]
        elif self.strings and token.type == "LBRACE":
            self.strings[-1].braces += 1
        elif self.strings and token.type == "RBRACE":
            self.strings[-1].braces -= 1
        self.tokens.append(token)

    def is_label(self, token: Any) -> bool:
        """Whether `'word` is a label, and not the beginning of a string as others write it."""
        line = self.text[token.end : self._line_end(token.end)]
        after_leaving = bool(self.tokens) and self.tokens[-1].type in ("BREAK", "CONTINUE")
        before = str(self.tokens[-1].value) if self.tokens else ""
        is_left = after_leaving or before in ("break", "continue")
        return "'" not in line or is_left or line.lstrip(" ").startswith(":")

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def unexpected(self, at: int) -> int:
        """Reports a character that begins nothing; gives the offset to go on from."""
        character = self.text[at]
        if character == "&" and not (self.tokens and self.tokens[-1].type in OPERAND_END):
            message, help_ = "there is no `&`", "leave it out: values are copied where they go"
            self.report("E1008", message, at, at + 1, help_)
            return at + 1
        end, line_end = at + 1, self._line_end(at)
        closing = self.text.find(character, at + 1, line_end) if character in "'`" else -1
        if closing >= 0:
            end = closing + 1
            self.add(_string_token(self.text, at, end))
        elif character == "#":
            end = line_end
        shown = character if character.isprintable() else f"U+{ord(character):04X}"
        self.report("E0002", f"unexpected character `{shown}`", at, end, _SIGNS.get(character))
        return end

    def line_comment(self, token: Any) -> None:
        text = token.value
        if text.startswith("//!") and not self.tokens:
            line = text[3:].removeprefix(" ").rstrip("\r")
            self.docs.module = line if self.docs.module is None else f"{self.docs.module}\n{line}"
        elif text.startswith("///") and not text.startswith("////"):
            if not self.doc_lines:
                self.doc_start = token.index
            self.doc_lines.append(text[3:].removeprefix(" ").rstrip("\r"))

    def block_comment(self, start: int) -> int:
        depth, at = 1, start + 2
        while depth:
            found = _COMMENT_STOP.search(self.text, at)
            if not found:
                self.report(
                    "E0003", "the comment does not end", start, start + 2, "close it with `*/`"
                )
                return len(self.text)
            depth += 1 if found.group() == "/*" else -1
            at = found.end()
        return at

    def number(self, token: Any) -> int:
        text, start = self.text, token.index
        after_dot = (
            bool(self.tokens) and self.tokens[-1].type == "DOT" and self.tokens[-1].end == start
        )
        based = None if after_dot else _BASED.match(text, start)
        found = based or (_DIGITS if after_dot else _DECIMAL).match(text, start)
        assert found is not None  # the token began with a digit
        word = found.group()
        end = found.end()
        glued = _GLUED.match(text, end)
        token.type, token.value = "INT", 0
        digits = word.replace("_", "")
        if glued:
            end = glued.end()
            help_ = "there are no suffixes: the place tells whether it is an Int or a Float"
            is_suffix = re.fullmatch(r"_?[iuf](?:8|16|32|64|size)", glued.group()) is not None
            message = f"`{text[start:end]}` is no number"
            self.report("E0005", message, start, end, help_ if is_suffix else None)
        elif _MISPLACED.search(word):
            help_ = "`_` may stand between digits only"
            self.report("E0004", f"misplaced `_` in `{word}`", start, end, help_)
        elif len(digits) == 2 and digits[1] in "xXbBoO":
            self.report("E0005", f"`{word}` has no digits", start, end)
        elif (
            not after_dot
            and digits[1:2] not in set("xXbBoO")
            and ("." in word or "e" in word.lower())
        ):
            token.type, token.value = "FLOAT", float(digits)
            if token.value == float("inf"):
                self.report("E0006", f"`{word}` is too large for a Float", start, end)
        else:
            token.value = int(digits, 0) if digits[1:2] in set("xXbBoO") else int(digits)
            # The smallest Int is written with a minus, which stands outside of the number.
            negative = bool(self.tokens) and self.tokens[-1].type == "MINUS"
            if token.value > _MAX_INT + negative:
                self.report("E0006", f"`{word}` does not fit into 64 bits", start, end)
                token.value = 0
        token.end = end
        self.add(token)
        return end

    def raw_string(self, token: Any) -> int:
        closing = '"' + "#" * (len(token.value) - 2)
        end = self.text.find(closing, token.end)
        if end < 0:
            self.report(
                "E0007",
                "the string does not end",
                token.index,
                token.end,
                f"close it with `{closing}`",
            )
            end = after = len(self.text)
        else:
            after = end + len(closing)
        token.type, token.value = "STRING", self.text[token.end : end].replace("\r\n", "\n")
        token.end = after
        self.add(token)
        return after

    def string(self, string: _OpenString, token: Any, at: int, *, first: bool) -> int:
        """Scans from behind a quote or the `}` of an interpolation to the next interpolation or the end."""
        text, start = self.text, at
        while True:
            found = _STRING_STOP.search(text, at)
            if not found or (found.group() == "\n" and string.quote == '"'):
                end = found.start() if found else len(text)
                self.report(
                    "E0007",
                    "the string does not end",
                    string.start,
                    string.start + 1,
                    'close it with `"`',
                )
                return self.end_string(string, token, start, end, end, first)
            at = found.start()
            match found.group():
                case '"' if text.startswith(string.quote, at):
                    return self.end_string(string, token, start, at, at + len(string.quote), first)
                case "$" if text.startswith("{", at + 1):
                    if len(self.strings) >= _MAX_NESTING:
                        self.report(
                            "E0010", "interpolation is nested deeper than 64 levels", at, at + 2
                        )
                        self.strings.clear()
                        return len(text)
                    token.type = "ISTART" if first else "IMID"
                    token.value, token.end = (start, at), at + 2
                    string.pieces.append(token)
                    self.add(token)
                    string.braces = 0
                    self.strings.append(string)
                    return at + 2
                case "\\":
                    at += 2
                case _:
                    at += 1

    def end_string(
        self, string: _OpenString, token: Any, start: int, end: int, after: int, first: bool
    ) -> int:
        token.type = "STRING" if first else "IEND"
        token.value, token.end = (start, end), after
        string.pieces.append(token)
        self.add(token)
        raw = [self.text[a:b] for a, b in (piece.value for piece in string.pieces)]
        for piece in string.pieces:
            self.check_escapes(*piece.value)
        if string.quote == '"""':
            raw = trim_lines(raw)
        for piece, value in zip(string.pieces, raw, strict=True):
            piece.value = unescape(value)
        return after

    def check_escapes(self, start: int, end: int) -> None:
        for found in _ESCAPE.finditer(self.text, start, end):
            code, letter = found.groups()
            if code is not None:
                value = int(code, 16)
                if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
                    self.report("E0009", f"U+{code} is no character", *found.span())
            elif letter == "u":
                message = "a Unicode escape has the form `\\u{1F600}`"
                self.report("E0009", message, found.start(), found.start() + 2)
            elif letter is None or letter not in _ESCAPES:
                shown = self.text[found.start() : found.start() + 2].rstrip()
                help_ = r"known are \\ \" \n \r \t \0 \$ and \u{..}; a backslash itself is `\\`"
                self.report("E0008", f"unknown escape `{shown}`", *found.span(), help_)


def unescape(text: str) -> str:
    """Replaces escapes; unknown ones, which were reported, stay as they are."""
    if "\\" not in text:
        return text

    def one(found: re.Match[str]) -> str:
        code, letter = found.groups()
        if code is not None:
            value = int(code, 16)
            return "" if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF else chr(value)
        return _ESCAPES.get(letter or "", found.group())

    return _ESCAPE.sub(one, text)


def trim_lines(pieces: list[str]) -> list[str]:
    """Removes the indentation that a multi-line string has only for the sake of its source (language reference 2.5)."""
    whole = _HOLE.join(pieces).replace("\r\n", "\n")
    if whole.count(_HOLE) != len(pieces) - 1:
        return pieces
    first, newline, rest = whole.partition("\n")
    starts_fresh = bool(newline) and not first.strip(" \t")
    if starts_fresh:
        whole = rest
    head, newline, last = whole.rpartition("\n")
    if (newline or starts_fresh) and not last.strip(" \t"):
        margin = last
        lines = head.split("\n") if newline else []
        keep_first = 0 if starts_fresh else 1
        trimmed = [
            line if index < keep_first else _without_margin(line, margin)
            for index, line in enumerate(lines)
        ]
        whole = "\n".join(trimmed)
    return whole.split(_HOLE)


def _without_margin(line: str, margin: str) -> str:
    if not line.strip(" \t"):
        return ""
    common = 0
    while common < min(len(line), len(margin)) and line[common] == margin[common]:
        common += 1
    return line[common:]
