"""A machine with a stack: a match on classes with data, on numbers, on texts and on None."""

from __future__ import annotations

from dataclasses import dataclass

SIZE = 20_000
SMALL = 100


@dataclass(slots=True)
class Push:
    value: int


@dataclass(slots=True)
class Add:
    pass


@dataclass(slots=True)
class Sub:
    pass


@dataclass(slots=True)
class Double:
    pass


@dataclass(slots=True)
class Drop:
    pass


@dataclass(slots=True)
class Jump:
    by: int


@dataclass(slots=True)
class Note:
    word: str


def weight(n: int) -> int:
    match n:
        case 0:
            return 1
        case 1 | 2 | 3:
            return 5
        case _ if 4 <= n <= 7:
            return 7
        case 8:
            return 9
        case _:
            return 2


def mood(word: str) -> int:
    match word:
        case "calm":
            return 1
        case "glad":
            return 2
        case "sad":
            return 3
        case _:
            return 0


def run(n: int) -> int:
    steps = [
        Push(3), Push(4), Add(), Double(), Note("glad"), Push(1),
        Sub(), Jump(1), Drop(), Note("odd"),
    ]  # fmt: skip
    total = top = below = 0
    for turn in range(n):
        at = 0
        while at < 10:
            match steps[at]:
                case Push(value):
                    below, top = top, value
                case Add():
                    top = top + below
                case Sub():
                    top = below - top
                case Double():
                    top = top * 2 % 1000
                case Drop():
                    top = below
                case Jump(by):
                    at += by
                case Note(word):
                    total += mood(word)
            at += 1
        total += weight(turn % 10) + top
        match steps[turn % 20] if turn % 20 < len(steps) else None:
            case Push(v) if v > 3:
                total += v
            case None:
                total += 1
            case _:
                pass
    return total
