"""What a host can learn about a compiled program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that a program names: the types of what it sends there, and of the replies that it expects, as the language writes them.

    Without `replies` nothing is asked there.
    """

    name: str
    payloads: tuple[str, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a function that a host may call; `type` as the language writes it."""

    name: str
    type: str
    has_default: bool


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A `pub fn` of the program's entry file."""

    name: str
    parameters: tuple[Parameter, ...]
    result: str
