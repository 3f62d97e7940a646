"""Defaults of parameters and fields, as hosts, JSON and `check` see them. What programs see is in `golden/run/defaults.conc`."""

from __future__ import annotations

from typing import Any

import concerto
import pytest

PROGRAM = """
pub struct Point { pub x: Int, pub y: Int = 7, pub name: Option<String> = "n" }
pub struct Made { pub id: Int = next(2), pub note: Option<Int> = next(1) }
fn next(n: Int) -> Int { emit("next", n); n + 1 }
pub fn constant(a: Int, b: Option<Int>, c: Option<Int> = 3, d: Map<String, Int> = { "k": 1 }, e: (Int, String) = (1, "x"),
    f: Point = Point { x: 1 }) -> String { "${a} ${b} ${c} ${d} ${e} ${f}" }
pub fn computed(a: Int, b: Int = next(a), c: Option<Int> = next(b), d: String = "${a} ${b}") -> String { "${a} ${b} ${c} ${d}" }
pub fn field(made: Made) -> String { "${made}" }
pub fn variable(text: String = env("TEXT")) -> String { text }
"""


@pytest.mark.parametrize(
    ("args", "named", "expected"),
    [
        ((1,), {}, '1 None Some(3) {"k": 1} (1, "x") Point { x: 1, y: 7, name: Some("n") }'),
        (
            (1, 2),
            {"c": None, "d": {}, "e": [2, "y"], "f": {"x": 5, "name": "m"}},
            '1 Some(2) None {} (2, "y") Point { x: 5, y: 7, name: Some("m") }',
        ),
    ],
)
def test_hosts_may_leave_out_defaults_and_options(
    args: tuple[Any, ...], named: dict[str, Any], expected: str
) -> None:
    assert concerto.Runtime(concerto.compile(PROGRAM)).call("constant", *args, **named) == expected


def test_computed_defaults_run_when_hosts_call() -> None:
    runtime = concerto.Runtime(concerto.compile(PROGRAM))
    seen: list[Any] = []
    runtime.on("next", seen.append)
    assert runtime.call("computed", 1) == "1 2 Some(3) 1 2"
    assert seen == [1, 2]
    assert runtime.call("computed", 1, c=9) == "1 2 Some(9) 1 2"
    assert seen == [1, 2, 1]


def test_an_error_in_a_default_ends_the_call() -> None:
    runtime = concerto.Runtime(concerto.compile(PROGRAM), env={})
    with pytest.raises(concerto.ProgramError, match="TEXT") as caught:
        runtime.call("variable")
    assert caught.value.trace[0].function == "variable@text"


def test_entry_points_say_what_has_a_default() -> None:
    entry = {e.name: e for e in concerto.compile(PROGRAM).entry_points}["computed"]
    assert [parameter.has_default for parameter in entry.parameters] == [False, True, True, True]


def test_json_must_have_a_field_whose_default_is_computed() -> None:
    runtime = concerto.Runtime(concerto.compile(PROGRAM))
    assert runtime.call("field", {"id": 1, "note": None}) == "Made { id: 1, note: None }"
    with pytest.raises(TypeError, match="expected Int, got nothing at /id"):
        runtime.call("field", {"note": None})


@pytest.mark.parametrize(
    ("declaration", "code", "place"),
    [
        ("fn f(a: Int = §g()) {}", "E3001", "g()"),
        ("fn f(a: Int = §h()?) {}", "E3034", "h()"),
        ("async fn f(a: Int = §await g2()) {}", "E3033", "await"),
        ("fn f(a: Int = §b, b: Int = 1) {}", "E2001", "b"),
        ("fn f(a: Int = §1 / 0) {}", "E3022", "1"),
        ("struct S { a: Int = §g() }", "E3001", "g()"),
        ("struct S { a: Int, b: Int = §a }", "E2001", "a"),
        ("schema S { a: String = §g() }", "E3021", "g()"),
        ("schema S { a: Float = §1.0 / 0.0 }", "E4036", "1.0"),
        ("const C: S = §S {}; struct S { a: String = g() }", "E3021", "S"),
    ],
)
def test_what_a_default_cannot_be(declaration: str, code: str, place: str) -> None:
    text = (
        declaration.replace("§", "")
        + ' fn g() -> String { "" } fn h() -> Result<Int, String> { Ok(1) } async fn g2() -> Int { 1 }'
    )
    with pytest.raises(concerto.CompileError) as caught:
        concerto.compile(text)
    errors = [each for each in caught.value.diagnostics if each.is_error]
    assert [each.code for each in errors] == [code]
    assert errors[0].primary.span.start == declaration.index("§")
    assert text[errors[0].primary.span.start :].startswith(place)
