"""A diagnostic is a value; many may come of one compilation."""

from __future__ import annotations

from enum import StrEnum

from concerto.diagnostics.codes import CODES
from concerto.records import record
from concerto.source import Source, Span


class Severity(StrEnum):
    """How bad it is: a program with an error does not run."""

    ERROR = "error"
    WARNING = "warning"


@record()
class Label:
    """A place and what is to be said there; the text may be empty. `source` is None in the file of the diagnostic."""

    span: Span
    text: str = ""
    source: Source | None = None


@record()
class Diagnostic:
    """One mistake: what, where, and how to mend it."""

    code: str
    message: str
    source: Source
    primary: Label
    related: tuple[Label, ...] = ()
    help: str | None = None

    @property
    def severity(self) -> Severity:
        """By the first letter of the code."""
        return Severity.WARNING if self.code.startswith("W") else Severity.ERROR

    @property
    def slug(self) -> str | None:
        """A name that may stand for the code on the command line."""
        return CODES[self.code].slug

    @property
    def is_error(self) -> bool:
        """Whether it keeps the program from running."""
        return self.severity is Severity.ERROR


def closest(name: str, candidates: list[str], most: int = 3) -> list[str]:
    """Names that the writer probably meant, the closest first.

    Damerau-Levenshtein distance (optimal string alignment) at most 2, at most 1 for names under 5 letters.
    """
    limit = 1 if len(name) < 5 else 2
    scored = sorted(
        (distance, candidate)
        for candidate in set(candidates)
        if abs(len(candidate) - len(name)) <= limit
        and 0 < (distance := _distance(name, candidate)) <= limit
    )
    return [candidate for _, candidate in scored[:most]]


def did_you_mean(name: str, candidates: list[str]) -> str | None:
    """The help line for a misspelt name, if some candidate is close."""
    found = closest(name, candidates)
    return "did you mean " + " or ".join(f"`{each}`" for each in found) + "?" if found else None


def _distance(left: str, right: str) -> int:
    before: list[int] = []
    last = list(range(len(right) + 1))
    for i, a in enumerate(left):
        row = [i + 1]
        for j, b in enumerate(right):
            best = min(last[j] + (a != b), last[j + 1] + 1, row[j] + 1)
            if i and j and a != b and left[i - 1] == b and right[j - 1] == a:
                best = min(best, before[j - 1] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
