"""What programs do: each expectation stands on the line that produces it. `expect: CHANNEL VALUE`, `expect-output: TEXT`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import concerto
import pytest
from concerto.cli.display import display
from concerto.execution import Emit

from tests.conftest import ROOT
from tests.oracle.asks import listen

PROGRAMS = sorted((ROOT / "tests/golden/run").glob("*.conc"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_do_what_they_say(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found: list[str] = []
    printed: list[str] = []

    def on_emit(emit: Emit) -> None:
        found.append(f"{emit.channel} {display(emit.payload)}".replace("\n", "\\n"))

    # On a clock that stands still, durations are known.
    runtime = concerto.Runtime(concerto.compile(text), clock=concerto.VirtualClock())
    listen(runtime)
    runtime.observe(None, {}, on_emit, printed.append)
    assert found == re.findall(r"// expect: (.*)", text)
    assert "".join(printed) == "".join(re.findall(r"// expect-output: (.*)", text))


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ('let n = 9223372036854775807; emit("n", n + 1);', "ArithmeticOverflow", "64 bits"),
        ('let n = 0; emit("n", 1 / n);', "DivisionByZero", "division by zero"),
        (
            'let xs = [1]; emit("n", xs[1]);',
            "IndexOutOfBounds",
            "index 1 is out of bounds: the length is 1",
        ),
        ('let xs = [1]; emit("n", xs[-1]);', "IndexOutOfBounds", "index -1"),
        ('emit("n", "abc"[3]);', "IndexOutOfBounds", "the length is 3"),
        ('let m = {"a": 1}; emit("n", m["b"]);', "KeyNotFound", 'no key "b"'),
        ('let o: Option<Int> = None; emit("n", o.unwrap());', "UnwrapNone", "unwrap"),
        ('emit("n", "x".parse_int().unwrap());', "UnwrapErr", "`x` is no Int"),
        ('panic("on purpose");', "Panic", "on purpose"),
        ("assert(1 > 2);", "Assertion", "assertion failed: 1 > 2"),
        ('emit("n", 1e300 as Int);', "ArithmeticOverflow", "does not fit"),
        ('let c = ""; emit(c, 1);', "InvalidArgument", "channel is empty"),
        ("assert_eq(1 + 1, 3);", "Assertion", "assertion failed: 2 != 3"),
        ('assert_ne("a", "a");', "Assertion", 'assertion failed: "a" == "a" (expected not equal)'),
        (
            'assert_eq("a\\nb\\nc", "a\\nx");',
            "Assertion",
            "assertion failed: left != right (- left, + right)\n  a\n- b\n- c\n+ x",
        ),
        (
            'let m = {"a": 1, "b": "x"}; emit("n", m["a"] + m["b"]);',
            "TypeMismatch",
            "expected a number, found `String`",
        ),
        (
            'let m = {"a": 1, "b": "x"}; if m["a"] { }',
            "TypeMismatch",
            "expected `Bool`, found `Int`",
        ),
        ('let m = {"a": 1, "b": "x"}; emit("n", m["a"].c);', "NoSuchMember", "no field `c`"),
        (
            'let m = {"a": 1, "b": "x"}; for x in m["a"] { emit("n", x); }',
            "TypeMismatch",
            "iterate",
        ),
        (
            'let m = {"a": 1, "b": "x"}; emit("n", m["a"] / 0);',
            "DivisionByZero",
            "division by zero",
        ),
        ('let m = {"a": 1, "b": "x"}; emit("n", m["b"] as Int);', "CastFailed", "`String`"),
        ('let m = {"a": 1, "b": "x"}; emit("n", m["a"].nope());', "NoSuchMember", "`nope`"),
        ('let m = {"a": 1, "b": "x"}; m["a"]();', "TypeMismatch", "`Int` cannot be called"),
        (
            'let m = {"a": |x: Int| x, "b": 1}; emit("n", m["a"]("x"));',
            "TypeMismatch",
            "expected `Int`, found `String`",
        ),
        (
            'let m = {"a": |x: Int| x, "b": 1}; emit("n", m["a"](1, 2));',
            "TypeMismatch",
            "takes 1 argument, found 2",
        ),
        (
            'let m = {"a": 1, "b": "x"}; emit("n", match m["a"] { 2 => 3 });',
            "MatchFailed",
            "match",
        ),
        (
            'let m = {"a": 1, "b": "x"}; emit("n", m["b"][4]);',
            "IndexOutOfBounds",
            "the length is 1",
        ),
    ],
)
def test_panics_have_a_kind_and_a_place(line: str, kind: str, words: str) -> None:
    program = concerto.compile(
        f"fn main() {{\n    {line}\n}}\n",
    )
    with pytest.raises(concerto.PanicError, match=re.escape(words)) as caught:
        concerto.Runtime(program).run()
    assert caught.value.kind == kind
    assert (caught.value.trace[0].function, caught.value.trace[0].line) == ("main", 2)


def test_deep_recursion_ends_in_a_panic_with_a_trace() -> None:
    source = "fn down(n: Int) -> Int { if n == 0 { 0 } else { 1 + down(n - 1) } }\npub fn go(n: Int) -> Int { down(n) }"
    runtime = concerto.Runtime(concerto.compile(source))
    assert runtime.call("go", 9_990) == 9_990
    with pytest.raises(concerto.PanicError, match="10000 active calls") as caught:
        runtime.call("go", 10_001)
    assert caught.value.kind == "StackOverflow"
    assert len(caught.value.trace) > 10


def test_an_uncaught_error_ends_the_run_with_its_value_and_place() -> None:
    source = 'struct Bad { why: String }\nfn f() -> Result<Int, Bad> { Err(Bad { why: "x" }) }\nfn main() {\n    f()?;\n}\n'
    with pytest.raises(concerto.ProgramError) as caught:
        concerto.Runtime(concerto.compile(source)).run()
    assert caught.value.value._asdict() == {"why": "x"}
    assert str(caught.value.trace[0]).endswith(":4:5")


def test_a_time_limit_ends_a_busy_run() -> None:
    runtime = concerto.Runtime(concerto.compile("fn main() { loop { } }"), execution_timeout=0.05)
    with pytest.raises(concerto.LimitError) as caught:
        runtime.run()
    assert caught.value.limit == "execution_timeout"


def test_a_million_pieces_are_appended() -> None:
    source = 'pub fn go(n: Int) -> Int { let mut text = ""; let mut all = []; for i in 0..n { text += "ab"; all.push(i); } text.len() + all.len() }'
    assert concerto.Runtime(concerto.compile(source)).call("go", 1_000_000) == 3_000_000


def test_a_panic_in_a_callback_shows_the_way_to_it() -> None:
    program = concerto.compile("fn main() {\n    [1, 0].map(|x| 6 / x).len();\n}\n")
    with pytest.raises(concerto.PanicError, match="division by zero") as caught:
        concerto.Runtime(program).run()
    assert [(frame.function, frame.path, frame.line) for frame in caught.value.trace] == [
        ("closure", "<text>", 2),
        ("array_map", "std", 6),
        ("main", "<text>", 2),
    ]


def test_a_callback_may_call_models_and_send_values() -> None:
    source = """
    connect ollama { default_model: "m" }
    model M { provider: ollama }
    pub fn go() -> Array<String> {
        ["a", "b"].map(|q| { emit("asked", q); M.execute(q).map(|r| r.text).unwrap_or("failed") })
    }"""
    runtime = concerto.Runtime(concerto.compile(source), mock=True)
    asked: list[str] = []
    runtime.on("asked", asked.append)
    assert runtime.call("go") == ["[mock response to: a]", "[mock response to: b]"]
    assert asked == ["a", "b"]


def test_closures_that_call_one_another_end_in_a_panic() -> None:
    source = "fn down(f: fn(Int) -> Int, n: Int) -> Int { let g = |x: Int| down(f, x + 1); g(n) }\npub fn go() -> Int { down(|x| x, 0) }"
    with pytest.raises(concerto.PanicError, match="10000 active calls"):
        concerto.Runtime(concerto.compile(source)).call("go")


def test_every_function_of_the_library_compiles() -> None:
    from concerto.check import library
    from concerto.check.checker import Checker
    from concerto.source import Source
    from concerto.syntax.parser import parse

    module, _ = parse(Source("x", ""))
    checker = Checker(Source("x", ""), module)
    for table in ("Array", "Map", "Option", "Result"):
        for name in library.method_names(table):
            assert library.find(checker, table, name) is not None, name


def test_a_function_may_stand_where_it_keeps_its_own_values() -> None:
    # No compiler writes that, but bytes may come from anywhere.
    program = concerto.compile("pub fn run(n: Int) -> Int { let add = |x: Int| x + n; add(1) }")
    document = json.loads(program.to_bytes())
    run, closure = document["functions"]
    assert run["code"][-2:] == [["call_value", 1, 3, 4, 1], ["return", 1]]
    run["code"] = [
        ["move", 3, 0], ["closure", 2, 1, 3, 1], ["move", 5, 2], ["int", 3, 1],
        ["call_value", 1, 5, 3, 1], ["return", 1],
    ]  # fmt: skip
    run["registers"] = 3 + closure["registers"]
    changed = concerto.Program.from_bytes(json.dumps(document).encode())
    assert concerto.Runtime(changed).call("run", 41) == 42
