"""How productions are written down, and how an action finds out where its parts stand.

SLY reads rules from one class body; `rule` files each function with the full form of its productions instead, and `parser.py` makes the class from all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from concerto.source import Span
from concerto.syntax.ast import Name

Action = Callable[[Any, Any], Any]
A = TypeVar("A", bound=Action)


@dataclass
class Notes:
    """What the tree does not hold and a later check wants to know."""

    #: Identities of expressions in parentheses.
    parenthesised: set[int] = field(default_factory=set)
    #: Lone `;`.
    semicolons: list[Span] = field(default_factory=list)
    #: Second `..` of a struct pattern.
    rests: list[Span] = field(default_factory=list)
    #: Offsets of doc comments' owners.
    documented: set[int] = field(default_factory=set)


_span = tuple.__new__  # a third of the time of `Span(..)`

#: Every action with its productions, in order of definition.
RULES: list[tuple[tuple[str, ...], Action]] = []
#: Actions that give the value of the one symbol.
SAME: set[Action] = set()


def rule(*productions: str) -> Callable[[A], A]:
    """Files an action for productions of the form `head : symbols`."""

    def register(action: A) -> A:
        RULES.append((productions, action))
        return action

    return register


def same(*productions: str) -> None:
    """Productions of one symbol that have its value; the driver does not call their action."""

    @rule(*productions)
    def only(_parser: Any, p: Any) -> Any:
        return p[0]

    SAME.add(only)


def comma_list(name: str, item: str) -> None:
    """Productions of a possibly empty list with an optional comma at its end; its value is a tuple."""
    many = f"{item}_many"

    @rule(f"{name} : ")
    def none(_parser: Any, _p: Any) -> tuple[Any, ...]:
        return ()

    @rule(f"{name} : {many}", f"{name} : {many} COMMA")
    def all_of_them(_parser: Any, p: Any) -> tuple[Any, ...]:
        return tuple(p[0])

    many_rules(many, item, " COMMA ")


def many_rules(many: str, item: str, separator: str, *, least: int = 1) -> None:
    """Productions of a list of at least one or two; its value is a `list`, to which each step appends."""

    @rule(f"{many} : {separator.join([item] * least)}")
    def first(_parser: Any, p: Any) -> list[Any]:
        return list(p[::2])

    @rule(f"{many} : {many}{separator}{item}")
    def more(_parser: Any, p: Any) -> list[Any]:
        result: list[Any] = p[0]
        result.append(p[-1])
        return result


def optional(name: str, production: str, take: int | None = 0) -> None:
    """`name` is empty (None) or the production, whose value is that of the symbol `take`; None makes it a truth value."""

    @rule(f"{name} : ")
    def nothing(_parser: Any, _p: Any) -> Any:
        return None if take is not None else False

    @rule(f"{name} : {production}")
    def something(_parser: Any, p: Any) -> Any:
        return p[take] if take is not None else True


def span_of(p: Any) -> Span:
    """From the first to the last symbol of a production that has a place; an empty production has none."""
    return _span(Span, (p.start, p.end))


def place(p: Any, index: int) -> Span:
    """The place of one symbol."""
    index += p.base
    return _span(Span, (p.starts[index], p.ends[index]))


def name_at(p: Any, index: int) -> Name:
    """A token as a name."""
    return Name(span=place(p, index), text=p[index])
