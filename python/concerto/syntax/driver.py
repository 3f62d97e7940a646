"""The loop that reads tokens by the generated tables: what SLY's own does for a grammar without `error` productions, in a quarter of the time.

It stops at the first token that cannot stand where it does (recovery is `parser.py`'s), and it knows where each symbol of the grammar begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from concerto.syntax.ast import Node
from concerto.syntax.grammar.rules import SAME
from concerto.syntax.mistakes import UnexpectedTokenError


class Parts(list[Any]):
    """The right side of a production, as an action sees it: by number, or, more slowly, by the name of a symbol (`p.expr`; `p.expr0`, `p.expr1` if it stands twice)."""

    __slots__ = ("base", "end", "ends", "names", "start", "starts")

    def __init__(self, starts: list[Any], ends: list[Any]) -> None:
        super().__init__()
        #: Where each symbol on the stack begins and ends, None for one without text; the first of the production is at `base`.
        self.starts, self.ends = starts, ends
        self.base = 0
        #: Where the whole begins and ends.
        self.start: Any = None
        self.end: Any = None
        self.names: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        try:
            return self[self.names[name]]
        except KeyError:
            raise AttributeError(name) from None


class _End:
    """Stands behind the last token."""

    type = "$end"
    value = index = end = None


class _Row(dict[str, int | None]):
    """The actions of a state that does the same whatever comes."""

    def __missing__(self, kind: str) -> int | None:
        return next(iter(self.values()))


class Tables:
    """SLY's tables and productions, as the loop wants them."""

    def __init__(self, table: Any, productions: Iterable[Any]) -> None:
        #: By state and kind of token: the next state, or minus the number of a production to reduce by; 0 is the end, None
        #: what an operator that does not chain forbids.
        self.actions: dict[int, dict[str, int | None]] = {
            **table.lr_action,
            **{state: _Row({"": action}) for state, action in table.defaulted_states.items()},
        }
        self.goto: dict[int, dict[str, int]] = table.lr_goto
        #: Of each production: the symbol it makes, how many it takes, its action (None: it is the same as its one part), and the names of its parts.
        self.rules: list[tuple[str, int, Callable[[Any, Parts], Any] | None, dict[str, int]]] = [
            (p.name, p.len, None if p.func in SAME else p.func, _names(p.prod)) for p in productions
        ]


def _names(symbols: Iterable[str]) -> dict[str, int]:
    symbols = list(symbols)
    names: dict[str, int] = {}
    for index, symbol in enumerate(symbols):
        twice = symbols.count(symbol) > 1
        names[f"{symbol}{symbols[:index].count(symbol)}" if twice else symbol] = index
    return names


def drive(parser: Any, tokens: Iterable[Any], tables: Tables) -> Any:
    """The value of the start symbol. Raises `UnexpectedTokenError`."""
    actions, goto, rules = tables.actions, tables.goto, tables.rules
    following = iter(tokens)
    token: Any = next(following, _End)
    kind = token.type
    state = 0
    states = [0]
    values: list[Any] = [None]
    starts: list[int | None] = [None]
    ends: list[int | None] = [None]
    parts = Parts(starts, ends)
    while True:
        try:
            action = actions[state][kind]
        except KeyError:
            action = None
        if action is None:
            raise UnexpectedTokenError(None if token is _End else token, actions[state])
        if action > 0:
            values.append(token.value)
            starts.append(token.index)
            ends.append(token.end)
            token = next(following, _End)
            kind = token.type
            state = action
            states.append(state)
        elif action < 0:
            name, length, function, parts.names = rules[-action]
            if function is None:
                state = states[-1] = goto[states[-2]][name]
            elif length == 0:
                parts.clear()
                values.append(function(parser, parts))
                starts.append(None)
                ends.append(None)
                state = goto[state][name]
                states.append(state)
            elif length == 1:
                parts[:] = values[-1:]
                parts.base = len(values) - 1
                parts.start, parts.end = starts[-1], ends[-1]
                values[-1] = function(parser, parts)
                state = states[-1] = goto[states[-2]][name]
            else:
                parts[:] = values[-length:]
                parts.base = base = len(values) - length
                start, end = starts[base], ends[-1]
                if start is None:
                    start = next((at for at in starts[base:] if at is not None), None)
                if end is None:
                    end = next((at for at in reversed(ends[base:]) if at is not None), None)
                parts.start, parts.end = start, end
                value = function(parser, parts)
                if isinstance(value, Node):
                    # An expression in parentheses stands without them.
                    start, end = value.span
                del values[base:], starts[base:], ends[base:], states[base:]
                values.append(value)
                starts.append(start)
                ends.append(end)
                state = goto[states[-1]][name]
                states.append(state)
        else:
            return values[-1]
