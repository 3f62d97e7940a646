"""What is printed reads back: trees as canonical source, programs as bytes, tokens as the text that they came from."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import concerto
import hypothesis.strategies as st
import pytest
from concerto.lower.encode import float_text
from concerto.source import Source
from concerto.syntax.ast import Module
from concerto.syntax.format import WIDTH, format_module
from concerto.syntax.lexer import lex
from concerto.syntax.parser import parse
from hypothesis import example, given, settings

from tests.conftest import ROOT
from tests.oracle.programs import program

GOLDENS = sorted((ROOT / "tests/golden").rglob("*.conc"))
WHOLE_GRAMMAR = (ROOT / "tests/golden/tree/whole_grammar.conc").read_text(encoding="utf-8")


def read(text: str) -> Module | None:
    """The tree, if the text has no mistakes."""
    module, diagnostics = parse(Source("t.conc", text))
    return None if any(each.is_error for each in diagnostics) else module


def check_print(module: Module) -> str:
    """`parse(print(tree)) == tree`, with documentation; 1, 1.0 and true differ in the printed form."""
    printed = format_module(module)
    again, diagnostics = parse(Source("t.conc", printed))
    assert not any(each.is_error for each in diagnostics), printed
    assert repr(again) == repr(module), printed
    assert format_module(again) == printed
    assert '"""' in printed or not re.search(r"[ \t]+$", printed, re.MULTILINE)
    return printed


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_trees_come_back(path: Path) -> None:
    module = read(path.read_text(encoding="utf-8"))
    if module is not None:
        check_print(module)


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_generated_trees_come_back(seed: int) -> None:
    tape = Random(seed)
    module = read(program(tape.randrange)[0])
    assert module is not None
    check_print(module)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_trees_of_all_forms_come_back(seed: int) -> None:
    """The golden that uses the whole grammar, with tokens moved, removed and repeated, where it is still a program."""
    chance = Random(seed)
    tokens, _, _ = lex(Source("t.conc", WHOLE_GRAMMAR))
    pieces = [(token.index, token.end) for token in tokens]
    first, second = sorted(chance.sample(range(len(pieces)), 2))
    cut = WHOLE_GRAMMAR[
        pieces[second][0] : pieces[min(second + chance.randrange(6), len(pieces) - 1)][1]
    ]
    start, end = pieces[first]
    text = WHOLE_GRAMMAR[: chance.choice((start, end))] + f" {cut} " + WHOLE_GRAMMAR[end:]
    module = read(text)
    if module is not None:
        check_print(module)


@pytest.mark.parametrize(
    "text",
    [
        "x = -(5); y = --5; z = -(-5).abs(); w = (-5).abs(); v = -5.0 as Int;",
        "a = (1).0; b = x.0.1; c = 1.abs(); d = (-1)?; e = -x?; f = (await x)?; g = await x?;",
        "f((a < b), c > (d)); g(a < b, c); h([a < b, (c > d)]);",
        "if (S { a: 1 }) == s { }  if (S { a }) == s { }  match ({ 1 }) { _ => {} }",
        "while (|x| { x })(1) { }  for i in 0.. { break; }  for i in (2..)[0] { }",
        "let m: Map<String, Int> = {}; let n = ({}); f({}, {}); x = {}; return {};",
        '({ "a": 1 }).len(); match x { 1 => ({}), 2 => {}, 3 => { "k": {} }, _ => { 1 } }',
        'let s = "a\\n b\\n"; let t = "a\\n \\nb"; let u = "\\"\\n\\""; let v = "$\\${x}${y}\\u{7}é";',
        'let s = "one\\n  two ${x} three\\n"; let t = "\\tx\\n\\ty"; let q = "a \\"\\"\\"\\nb";',
        "a ?? (return 1); x |> f(1)? |> (|y| y)(2); b = c = d; (b = c) == (); 1 - (2 - 3) - 4;",
        "{ 1 }; if a { 1 } else { 2 }; ({ 1 }) + 2; (if a { b } else { c }).d; loop { };",
        "fn f() -> (A | B) { if a { }; } fn g(x: fn(A) -> (B | C)) -> fn() { loop { } }",
        'connect c { "a b": 1, models: { x: y, (z): 1 } }',
    ],
)
def test_corners_of_the_grammar_come_back(text: str) -> None:
    module = read(text)
    assert module is not None
    check_print(module)


def test_the_printed_form_of_every_declaration() -> None:
    module = read(WHOLE_GRAMMAR)
    assert module is not None
    assert max(map(len, check_print(module).split("\n"))) <= WIDTH


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_programs_are_read_as_they_were_written(seed: int) -> None:
    """decode(encode(ir)) == ir: the twins in Python and Rust write the same bytes."""
    data = concerto.compile(program(Random(seed).randrange)[0]).to_bytes()
    assert concerto.Program.from_bytes(data).to_bytes() == data


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(1e16)
@example(-0.0)
def test_floats_are_written_shortest(number: float) -> None:
    assert repr(float(float_text(number))) == repr(number)


TRIVIA = re.compile(r"(?:[ \t\r\n\f]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)


def check_tiling(text: str) -> None:
    """Tokens stand in order, and between them are only spaces and comments."""
    tokens, _, diagnostics = lex(Source("t.conc", text))
    if diagnostics:
        return
    at = 0
    for token in tokens:
        assert at <= token.index < token.end, token
        assert TRIVIA.fullmatch(text[at : token.index].lstrip("\ufeff")), token
        at = token.end
    assert TRIVIA.fullmatch(text[at:])


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_tokens_of_goldens_tile_their_source(path: Path) -> None:
    check_tiling(path.read_text(encoding="utf-8"))


@given(
    st.lists(
        st.sampled_from(
            (
                "let",
                " ",
                "\n",
                "x",
                "1.5",
                "0x1f",
                '"a${',
                "}",
                '"',
                '"""\n',
                'r#"',
                '"#',
                "'l",
                "// c\n",
                "/* c",
                "*/",
                "..=",
                "é",
                "{",
                "(",
                "1..2",
                "??",
                "/// d\n",
            )
        ),
        max_size=25,
    )
)
def test_tokens_tile_any_source(parts: list[str]) -> None:
    if "/*" not in "".join(parts):  # nested comments are no regular language
        check_tiling("".join(parts))
