"""Texts that nobody would write: noise, tokens in any order, damaged programs. What is made depends on the dice alone."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random

from tests.oracle.programs import program

ROOT = Path(__file__).parent.parent
_WORDS = (
    "as async await break catch const continue else enum false fn for if impl in let loop match mod mut nil pub return self struct throw trait true "
    "try use while agent connect hashmap ledger listen mcp memory mock model parallel pipeline schema spawn stage tool type emit env print len Some "
    'None Ok Err Int String Array Map Option Result Any x y f S E \'a 0 1 1.5 9223372036854775808 0x1f 1e10 "s" "${ }" """ r"r" r#" "# '
    "..= .. . => == = != ! <= < >= > && || |> | += + -> -= - *= * /= / %= % :: : ?? ? , ; ( ) [ ] { } @ // /* */ /// //! \\ & $ ' é \0 \ufeff \t"
)
TOKENS = tuple(_WORDS.split(" "))
_ALPHABETS = (
    "{}[]()<>\"'`$\\/*.,;:|&!?=+-_ \n\r\t0aZ",
    "".join(map(chr, range(0x250))),
    '\U0001f600é\u2028\ud7ff\x00\x7fab\n"${}',
)
#: What parts of a program stand between: a space more often than a line end or nothing.
_GAPS = (" ", " ", " ", "", "\n", "\n  ")
#: Beginnings that can be repeated without end.
_OPENINGS = (
    *("(", "[", "{", "-", "!", "f(", "if x {", '"${', "|x| ", "Some(", '{ "a": '),
    *("match x { _ => ", "Array<", "x.", "a + ", "fn("),
)
#: Frames in which words of the language are more than a first mistake.
_FRAMES = (
    ("", ""),
    ("fn main() { ", " }"),
    ("let x = ", ";"),
    ("fn f(x: Int) -> ", " { x }"),
    ("struct S { ", " }"),
    ("match x { ", " }"),
    ("model M { ", " }"),
    ("fn main() { let x = f(", "); }"),
)


@cache
def goldens() -> list[str]:
    """All programs of the goldens."""
    return [p.read_text(encoding="utf-8") for p in sorted((ROOT / "golden").rglob("*.conc"))]


@cache
def short_programs() -> list[str]:
    """Those of at most 600 characters."""
    return [text for text in goldens() if len(text) <= 600]


@cache
def fragments() -> list[list[str]]:
    """Lines of the goldens, as words, signs and gaps."""
    lines = {line.strip() for text in goldens() for line in text.splitlines()}
    return [re.findall(r"\w+|\s+|.", line) for line in sorted(lines) if line]


def noise(chance: Random) -> str:
    """Characters of all kinds."""
    return "".join(chance.choices(chance.choice(_ALPHABETS), k=chance.randrange(200)))


def token_soup(chance: Random) -> str:
    """Words of the language without sense; now and then deep."""
    if chance.random() < 0.1:
        opening = chance.choice(_OPENINGS) * chance.choice((10, 70, 300, 3000))
        return "fn main() { let x = " + opening + chance.choice(("", "1", "1; }"))
    return " ".join(chance.choices(TOKENS, k=chance.randrange(1, 80)))


def few_tokens(chance: Random) -> str:
    """A few words and signs with or without gaps, and now and then other characters."""
    parts = chance.choices(TOKENS, k=chance.randrange(1, 12))
    if chance.random() < 0.3:
        at = chance.randrange(len(parts))
        parts[at] = "".join(chance.choices(chance.choice(_ALPHABETS), k=chance.randrange(1, 5)))
    gaps = chance.choices(_GAPS, k=len(parts))
    return "".join([part + gap for part, gap in zip(parts, gaps, strict=True)])


def few_parts(chance: Random) -> str:
    """Parts of lines of programs and a few words, in a frame that may make sense of them."""
    found = fragments()
    parts: list[str] = []
    for _ in range(chance.randrange(1, 4)):
        line = found[int(chance.random() * len(found))]
        start = int(chance.random() * len(line))
        parts += line[start : start + chance.randrange(1, 14)]
        if chance.random() < 0.5:
            parts.append(TOKENS[int(chance.random() * len(TOKENS))])
        parts.append(_GAPS[int(chance.random() * len(_GAPS))])
    before, after = _FRAMES[int(chance.random() * len(_FRAMES))]
    return before + "".join(parts) + after


def damaged_program(chance: Random) -> str:
    """A golden or generated program with parts removed, moved, repeated and replaced."""
    text = chance.choice(goldens()) if chance.random() < 0.7 else program(chance.randrange)[0]
    return _damaged(text, chance)


def damaged_short_program(chance: Random) -> str:
    """The same of a short golden."""
    return _damaged(chance.choice(short_programs()), chance)


def _damaged(text: str, chance: Random) -> str:
    for _ in range(chance.randrange(1, 4)):
        pieces = re.findall(r"\w+|\s+|.", text, re.DOTALL) or [""]
        at = chance.randrange(len(pieces))
        end = at + chance.choice((1, 1, 1, 3, 20))
        other = chance.randrange(len(pieces))
        match chance.randrange(6):
            case 0:
                del pieces[at:end]
            case 1:
                pieces[at:at] = pieces[other : other + (end - at)]
            case 2:
                pieces[at] = chance.choice(TOKENS)
            case 3:
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 4:
                words = [piece for piece in pieces if piece[:1].isalnum()]
                pieces[at] = chance.choice(words or ["x"])
            case _:
                pieces[at] = noise(chance)[:3]
        text = "".join(pieces)
    return text
