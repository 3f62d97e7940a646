"""The loop that reads tokens by the generated tables: what SLY's own does for a grammar without `error` productions, in about half the time.

It stops at the first token that cannot stand where it does (recovery is `parser.py`'s), and it knows where each symbol of the grammar begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from concerto.syntax.ast import Node
from concerto.syntax.mistakes import UnexpectedTokenError


class Parts:
    """The right side of a production, as an action sees it: by number, or by the name of a symbol (`p.expr`; `p.expr0` and `p.expr1` if it stands twice)."""

    __slots__ = ("ends", "names", "starts", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        #: Where each symbol begins and ends; None for one without text.
        self.starts: list[Any] = []
        self.ends: list[Any] = []
        self.names: dict[str, int] = {}

    def __getitem__(self, index: int) -> Any:
        return self.values[index]

    def __len__(self) -> int:
        return len(self.values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[self.names[name]]
        except KeyError:
            raise AttributeError(name) from None


class _End:
    """Stands behind the last token."""

    type = "$end"
    value = index = end = None


Reduction = tuple[str, int, Callable[[Any, Parts], Any], dict[str, int]]


def reductions(productions: Iterable[Any]) -> list[Reduction]:
    """Of each of SLY's productions: the symbol it makes, how many it takes, its action, and the names of its parts."""
    return [(p.name, p.len, p.func, _names(p.prod)) for p in productions]


def _names(symbols: Iterable[str]) -> dict[str, int]:
    symbols = list(symbols)
    names: dict[str, int] = {}
    for index, symbol in enumerate(symbols):
        twice = symbols.count(symbol) > 1
        names[f"{symbol}{symbols[:index].count(symbol)}" if twice else symbol] = index
    return names


def drive(parser: Any, tokens: Iterable[Any], table: Any, rules: list[Reduction]) -> Any:
    """The value of the start symbol. Raises `UnexpectedTokenError`."""
    actions, goto, defaulted = table.lr_action, table.lr_goto, table.defaulted_states
    following = iter(tokens)
    token: Any = next(following, _End)
    state = 0
    states = [0]
    values: list[Any] = [None]
    starts: list[int | None] = [None]
    ends: list[int | None] = [None]
    parts = Parts()
    while True:
        action = defaulted.get(state)
        if action is None:
            action = actions[state].get(token.type)
        if action is None:
            raise UnexpectedTokenError(None if token is _End else token, actions[state])
        if action > 0:
            values.append(token.value)
            starts.append(token.index)
            ends.append(token.end)
            token = next(following, _End)
            state = action
        elif action < 0:
            name, length, function, parts.names = rules[-action]
            start = end = None
            if length:
                parts.values = values[-length:]
                parts.starts = inner_starts = starts[-length:]
                parts.ends = inner_ends = ends[-length:]
                del states[-length:], values[-length:], starts[-length:], ends[-length:]
                start, end = inner_starts[0], inner_ends[-1]
                if start is None:
                    start = next((at for at in inner_starts if at is not None), None)
                if end is None:
                    end = next((at for at in reversed(inner_ends) if at is not None), None)
            else:
                parts.values, parts.starts, parts.ends = [], [], []
            value = function(parser, parts)
            if isinstance(value, Node):
                # An expression in parentheses stands without them.
                start, end = value.span
            values.append(value)
            starts.append(start)
            ends.append(end)
            state = goto[states[-1]][name]
        else:
            return values[-1]
        states.append(state)
