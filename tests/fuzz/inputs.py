"""Inputs that nobody would write: noise, tokens in any order, damaged programs, damaged IR."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from concerto.check import builtins
from concerto.compiler import compile_source
from concerto.lower.ir import OPERANDS
from concerto.source import Source

from tests.oracle.programs import program

ROOT = Path(__file__).parent.parent
_WORDS = (
    "as async await break catch const continue else enum false fn for if impl in let loop match mod mut nil pub return self struct throw trait true "
    "try use while agent connect hashmap ledger listen mcp memory mock model parallel pipeline schema spawn stage tool type emit env print len Some "
    'None Ok Err Int String Array Map Option Result Any x y f S E \'a 0 1 1.5 9223372036854775808 0x1f 1e10 "s" "${ }" """ r"r" r#" "# '
    "..= .. . => == = != ! <= < >= > && || |> | += + -> -= - *= * /= / %= % :: : ?? ? , ; ( ) [ ] { } @ // /* */ /// //! \\ & $ ' é \0 \ufeff \t"
)
TOKENS = tuple(_WORDS.split(" "))


@cache
def goldens() -> list[str]:
    """All programs of the goldens."""
    return [p.read_text(encoding="utf-8") for p in sorted((ROOT / "golden").rglob("*.conc"))]


def noise(chance: Random) -> str:
    """Characters of all kinds."""
    alphabet = chance.choice(
        (
            "{}[]()<>\"'`$\\/*.,;:|&!?=+-_ \n\r\t0aZ",
            "".join(map(chr, range(0x250))),
            '\U0001f600é\u2028\ud7ff\x00\x7fab\n"${}',
        )
    )
    return "".join(chance.choices(alphabet, k=chance.randrange(200)))


def token_soup(chance: Random) -> str:
    """Words of the language without sense; now and then deep."""
    if chance.random() < 0.1:
        opening = chance.choice(
            (
                "(",
                "[",
                "{",
                "-",
                "!",
                "f(",
                "if x {",
                '"${',
                "|x| ",
                "Some(",
                '{ "a": ',
                "match x { _ => ",
                "Array<",
                "x.",
                "a + ",
                "fn(",
            )
        )
        return (
            "fn main() { let x = "
            + opening * chance.choice((10, 70, 300, 3000))
            + chance.choice(("", "1", "1; }"))
        )
    return " ".join(chance.choices(TOKENS, k=chance.randrange(1, 80)))


def damaged_program(chance: Random) -> str:
    """A golden or generated program with parts removed, moved, repeated and replaced."""
    text = chance.choice(goldens()) if chance.random() < 0.7 else program(chance.randrange)[0]
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


@cache
def documents() -> list[str]:
    """Compiled programs."""
    found = []
    for text in goldens():
        ir, _ = compile_source(Source("t.conc", text), embed_source=False)
        if ir is not None and len(ir) < 40_000:
            found.append(ir.decode())
    return found


def damaged_document(chance: Random) -> bytes:
    """A compiled program with parts that are not what the compiler wrote."""
    document: dict[str, Any] = json.loads(chance.choice(documents()))
    # Code first: after that, nothing may be where it belongs.
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        if document["functions"]:
            _damage_code(chance, document)
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        _damage_json(chance, document)
    data = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    if chance.random() < 0.05:
        at = chance.randrange(len(data))
        data = data[:at] + bytes([chance.randrange(256)]) + data[at + chance.randrange(3) :]
    return data


_ODD: tuple[Any, ...] = (
    0,
    1,
    -1,
    2,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32,
    -(2**31),
    2**63,
    10**30,
    1.5,
    None,
    "",
    "x",
    [],
    {},
    True,
    [[]],
)


def _damage_code(chance: Random, document: dict[str, Any]) -> None:
    """Other operands, mostly within bounds, so that the verifier lets them pass."""
    function = chance.choice(document["functions"])
    code = function["code"]
    if not code:
        return
    at = chance.randrange(len(code))
    match chance.randrange(7):
        case 0:
            del code[at]
        case 1:
            code.insert(at, copy.deepcopy(chance.choice(code)))
        case 2:
            name = chance.choice(list(OPERANDS))
            code[at] = [
                name,
                *(_operand(chance, document, function, role) for role in OPERANDS[name]),
            ]
        case 3:
            function["registers"] = chance.choice((0, 1, function["registers"] + 1, 65535, 65536))
        case _:
            instruction = code[at]
            roles = OPERANDS.get(instruction[0], "")
            if roles and len(instruction) == len(roles) + 1:
                where = chance.randrange(len(roles))
                instruction[where + 1] = _operand(chance, document, function, roles[where])


def _operand(chance: Random, document: dict[str, Any], function: dict[str, Any], role: str) -> Any:
    if chance.random() < 0.03:
        return chance.choice(_ODD)
    bounds = {
        "k": len(document["constants"]),
        "L": len(function["code"]),
        "T": len(document["types"]),
        "F": len(document["functions"]),
        "M": len(document["models"]),
        "S": len(document["schemas"]),
        "n": 3,
        "p": 2,
        "i": 3,
    }
    if role == "N":
        return chance.choice(sorted(builtins.natives()))
    return chance.randrange(max(bounds.get(role, function["registers"]), 1))


def _damage_json(chance: Random, document: dict[str, Any]) -> None:
    """Any value anywhere becomes another."""
    places: list[tuple[Any, Any]] = []
    pending: list[Any] = [document]
    while pending:
        here = pending.pop()
        inside = here.items() if isinstance(here, dict) else enumerate(here)
        for key, value in inside:
            places.append((here, key))
            if isinstance(value, (dict, list)):
                pending.append(value)
    owner, key = chance.choice(places)
    match chance.randrange(4):
        case 0:
            del owner[key]
        case 1:
            owner[key] = chance.choice(_ODD)
        case 2:
            other, place = chance.choice(places)
            owner[key] = (
                copy.deepcopy(other[place])
                if place in other or (isinstance(other, list) and place < len(other))
                else None
            )
        case _:
            owner[key] = chance.choice(
                (*range(5), "any", ["array", 0], ["union", [0, 1]], ["tuple", [0]], "A")
            )
