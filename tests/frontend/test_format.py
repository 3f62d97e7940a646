"""`concerto fmt`: canonical, idempotent, and nothing is lost: tokens, spellings and comments stay."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from textwrap import dedent

import hypothesis.strategies as st
import pytest
from concerto.source import Source
from concerto.syntax.format_source import CannotFormat, format_source
from concerto.syntax.format_uses import with_sorted_uses
from concerto.syntax.lexer import lex
from concerto.syntax.parser import parse
from hypothesis import given, settings

from tests.conftest import ROOT
from tests.oracle.programs import program

#: All that the repository has, also what is not meant to compile.
PROGRAMS = sorted(
    path
    for folder in ("benches", "docs", "examples", "python", "tests")
    for path in (ROOT / folder).rglob("*.conc")
)
WHOLE_GRAMMAR = (ROOT / "tests/golden/tree/whole_grammar.conc").read_text(encoding="utf-8")


def formatted(text: str) -> str:
    """The canonical form of a text without mistakes, which is that of itself."""
    found, diagnostics = format_source(Source("t.conc", text))
    assert found is not None, diagnostics
    assert format_source(Source("t.conc", found))[0] == found
    return found


def in_order(text: str) -> str:
    """A text with its imports in order, which is all that the form changes of its tokens."""
    found = with_sorted_uses(text, parse(Source("t.conc", text))[0])
    assert sorted(spelt(found)) == sorted(spelt(text))
    return found


def spelt(text: str) -> list[str]:
    """The tokens as they are written, without commas and useless semicolons."""
    tokens, _, _ = lex(Source("t.conc", text))
    return [text[t.index : t.end] for t in tokens if t.type not in ("COMMA", "SEMI")]


def commented(text: str) -> str:
    """What stands between the tokens, without white space."""
    tokens, _, _ = lex(Source("t.conc", text))
    ends = [0, *(t.end for t in tokens)]
    starts = [*(t.index for t in tokens), len(text)]
    between = (text[end:start] for end, start in zip(ends, starts, strict=True))
    return re.sub(r"\s", "", "".join(between))


def test_the_corpus_is_that_of_the_whole_repository() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in PROGRAMS}
    skipped = {"target", "node_modules"}
    others = [
        path
        for entry in ROOT.iterdir()
        if entry.is_dir() and entry.name not in folders | skipped and entry.name[0] != "."
        for path in entry.rglob("*.conc")
    ]
    assert others == []
    assert len(PROGRAMS) > 250


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_tokens_stay_and_formatting_twice_changes_nothing(path: Path) -> None:
    source = Source.read(path)
    if any(each.is_error for each in parse(source)[1]):
        assert format_source(source)[0] is None
        return
    found = formatted(source.text)
    with_lines = in_order(source.text.replace("\r\n", "\n"))
    assert spelt(found) == spelt(with_lines)
    assert commented(found) == commented(with_lines)
    assert (
        not re.search(r"[ \t]+$|\n\n\n", found.replace('"""', ""), re.MULTILINE) or '"""' in found
    )


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_comments_stay_wherever_they_stand(seed: int) -> None:
    """Programs with comments between any two tokens."""
    chance = Random(seed)
    text = WHOLE_GRAMMAR if chance.random() < 0.5 else program(chance.randrange)[0]
    tokens, _, _ = lex(Source("t.conc", text))
    # Between the parts of a string there is no room for comments.
    places = [t.index for t in tokens if t.type not in ("IMID", "IEND")]
    strings = [(t.index, t.type) for t in tokens]
    depth, inside = 0, set()
    for index, kind in strings:
        depth += (kind == "ISTART") - (kind == "IEND")
        if depth:
            inside.add(index)
    chosen = sorted(chance.sample([p for p in places if p not in inside], 6), reverse=True)
    marks = []
    for number, place in enumerate(chosen):
        form = chance.choice(["// zz{}\n", "\n\n// zz{}\n\n", "/* zz{} */ ", "\n/* zz{} */\n"])
        text = text[:place] + form.format(number) + text[place:]
        marks.append(f"zz{number}")
    if parse(Source("t.conc", text))[1]:
        return  # a comment in front of a doc comment's owner, and the like
    found = formatted(text)
    assert sorted(re.findall(r"\bzz\d\b", found)) == sorted(marks)
    text = in_order(text)
    assert spelt(found) == spelt(text)
    assert re.findall(r"\bzz\d\b", found) == re.findall(r"\bzz\d\b", text)


def check(text: str, expected: str) -> None:
    assert formatted(dedent(text).lstrip("\n")) == dedent(expected).lstrip("\n")


def test_spellings_stay() -> None:
    check(
        """
        fn main(){let a=0xFF+1_000;let b = r"c:\\d"; let c=(a);let d = "x${ a }y\\u{41}"; f().await; let e: () = nil; if a>(1) { g(-(2)) }}
        """,
        """
        fn main() {
            let a = 0xFF + 1_000;
            let b = r"c:\\d";
            let c = (a);
            let d = "x${ a }y\\u{41}";
            f().await;
            let e: () = nil;
            if a > (1) {
                g(-(2))
            }
        }
        """,
    )


def test_comments_keep_their_places() -> None:
    check(
        """
        // licence

        //! about the file
        use a::b;   // why
        /// What f does.
        // and a remark
        @log  // decorated
        fn f(a: Int, // the first
             b: Int) -> Int {
            // above

            let x = [1, // one
              2  // two
              // none
            ];


            x /* inline */ + 1   // the value
            // the end
        }
        fn g() {
          // nothing
        }
        // last
        """,
        """
        // licence

        //! about the file
        use a::b; // why

        /// What f does.
        // and a remark
        @log // decorated
        fn f(
            a: Int, // the first
            b: Int,
        ) -> Int {
            // above

            let x = [
                1, // one
                2, // two
                // none
            ];

            x /* inline */ + 1 // the value
            // the end
        }

        fn g() {
            // nothing
        }
        // last
        """,
    )


def test_comments_beside_a_useless_semicolon_keep_their_places() -> None:
    check(
        """
        fn g(x: Nil) {}
        fn main() {
            g({ ; /* one */ });
            g({ // two
                ; });
            g({ /* three */ });

            ;
            g({ ; });
        }
        """,
        """
        fn g(x: Nil) {}

        fn main() {
            g({
                ;
            /* one */ });
            g({ // two
                ;
            });
            g({/* three */});

            g({
                ;
            });
        }
        """,
    )


def test_imports_are_sorted_with_the_comments_behind_them() -> None:
    check(
        """
        use std::{time::{sleep, now}, collections::Set}; // sets
        use b::c;
        pub use a::d; // the d
        use a::{z, b::*, /* stays */ y};

        use z::z; use y::y;
        // why
        use x::{c as d,
            a, b,};
        use w::w; /* stays */
        use v::v;
        use u::u;
        mod m { use q::q; use p::p; fn f() { q(p()); } }
        """,
        """
        pub use a::d; // the d
        use a::{z, b::*, /* stays */ y};
        use b::c;
        use std::{collections::Set, time::{now, sleep}}; // sets

        use y::y;
        use z::z;
        // why
        use x::{a, b, c as d};
        use w::w; /* stays */
        use v::v;
        use u::u;

        mod m {
            use p::p;
            use q::q;

            fn f() {
                q(p());
            }
        }
        """,
    )


def test_a_text_of_comments_only() -> None:
    assert formatted("\n\n  // a\n\n\n// b  \n") == "// a\n\n// b\n"
    assert formatted("") == ""


def test_carriage_returns_go() -> None:
    assert formatted("fn f() {\r\n    // a\r\n}\r\n") == "fn f() {\n    // a\n}\n"


def test_texts_with_mistakes_are_left_alone() -> None:
    found, diagnostics = format_source(Source("t.conc", "fn f( {\n"))
    assert found is None
    assert diagnostics


def test_what_would_be_lost_is_refused() -> None:
    # The tree has no place for these parentheses.
    with pytest.raises(CannotFormat, match="line 2"):
        format_source(Source("t.conc", "fn f() {}\nfn g(a: (Int)) {}\n"))
