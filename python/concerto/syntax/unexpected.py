"""A token that the grammar does not take, with what stands around it."""

from __future__ import annotations

from typing import Any

from concerto.diagnostics.model import Diagnostic, Label
from concerto.records import record
from concerto.source import Source, Span
from concerto.syntax.tokens import CLOSERS, OPENERS


@record()
class Place:
    """An unexpected token with what stands before it."""

    source: Source
    tokens: list[Any]
    at: int
    token: Any
    table: dict[str, int | None]

    @property
    def kind(self) -> str:
        """The kind of the token; `$end` at the end of the text."""
        return self.token.type if self.token else "$end"

    @property
    def word(self) -> str:
        """The text of the token, if it is a name."""
        return str(self.token.value) if self.kind == "IDENT" else ""

    @property
    def expected(self) -> set[str]:
        """The kinds of tokens that could stand here."""
        return {name for name, action in self.table.items() if action is not None}

    def before(self, steps: int = 1) -> Any:
        """The token so many places earlier, or None."""
        at = self.at - steps
        return self.tokens[at] if 0 <= at < len(self.tokens) else None

    def kind_before(self, steps: int = 1) -> str:
        """The kind of the token so many places earlier, or nothing."""
        token = self.before(steps)
        return token.type if token else ""

    def word_before(self, steps: int = 1) -> str:
        """The name so many places earlier, or nothing."""
        token = self.before(steps)
        return str(token.value) if token and token.type == "IDENT" else ""

    def kind_behind(self, steps: int = 1) -> str:
        """The kind of the token so many places later, or nothing."""
        at = self.at + steps
        return self.tokens[at].type if at < len(self.tokens) else ""

    def touches(self) -> bool:
        """Whether nothing stands between the token and the one before."""
        return bool(self.token and self.before()) and self.before().end == self.token.index

    def is_same_line(self) -> bool:
        """Whether the token stands on the line of the one before."""
        before = self.before()
        return (
            bool(self.token and before)
            and "\n" not in self.source.text[before.end : self.token.index]
        )

    def opening(self) -> int:
        """The place of the innermost bracket around the token; -1 if there is none."""
        depth = 0
        for here in range(self.at - 1, -1, -1):
            kind = self.tokens[here].type
            if kind in CLOSERS:
                depth += 1
            elif kind in OPENERS:
                if depth == 0:
                    return here
                depth -= 1
        return -1

    def in_list(self) -> bool:
        """Whether the token stands where a comma could, in brackets."""
        return "COMMA" in self.expected and self.opening() >= 0

    def says(self, code: str, message: str, help_: str | None = None, at: Any = None) -> Diagnostic:
        """A diagnostic at a token or span, by default at the unexpected token."""
        end = len(self.source.text)
        span = Span(max(end - 1, 0), end)
        token = at or self.token
        if token:
            span = token if isinstance(token, Span) else Span(token.index, token.end)
        return Diagnostic(code, message, self.source, Label(span), help=help_)

    def has_no(self, what: str, help_: str, at: Any = None) -> Diagnostic:
        """E1008: a form that other languages have."""
        return self.says("E1008", f"there is no `{what}`", help_, at)
