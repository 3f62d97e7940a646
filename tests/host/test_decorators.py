"""Decorators of functions (library reference 8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import concerto
import pytest
from concerto.compiler import compile_source
from concerto.diagnostics.render import render
from concerto.source import Source

from tests.waiting import wait_for

HEAD = """
connect c { base_url: env("URL"), default_model: "m", timeout: 30 }
model M { provider: c }
"""
RULES = [
    {"match": {"contains": "never"}, "reply": {"fault": "stall"}},
    {"match": {"contains": "twice"}, "times": 2, "reply": {"error": {"status": 401}}},
    {"match": {}, "reply": {"text": "quick"}},
]


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=json.dumps({"rules": RULES})) as running:
        yield running


def observed(
    server: concerto.MockServer, source: str, *args: Any, **options: Any
) -> tuple[Any, list[tuple[str, Any]]]:
    program = concerto.compile(HEAD + source)
    seen: list[tuple[str, Any]] = []
    runtime = concerto.Runtime(program, env={"URL": server.url}, **options)
    result = runtime.observe(
        "go", {}, lambda emit: seen.append((emit.channel, emit.payload)), print
    )
    return result, seen


def test_the_time_limit_of_a_function_that_cannot_fail_ends_the_run() -> None:
    source = """
    @timeout(ms: 50)
    fn slow(ms: Int) -> Int { std::time::sleep(ms); ms }
    pub fn go(ms: Int) -> Int { slow(ms) }
    """
    runtime = concerto.Runtime(concerto.compile(source), clock=concerto.VirtualClock())
    assert runtime.call("go", 10) == 10
    with pytest.raises(concerto.ProgramError, match=r"the time limit of 0\.05 s") as caught:
        runtime.call("go", 100)
    assert caught.value.value.kind == "timeout"


def test_decorators_hold_for_methods() -> None:
    source = """
    struct S { n: Int }
    impl S {
        @timeout(ms: 50) fn slow(self) -> Result<Int, Error> { std::time::sleep(60 * self.n); Ok(self.n) }
        @log("l") fn logged(self) -> Int { self.n }
    }
    pub fn go() -> String { "${S { n: 1 }.slow()} ${S { n: 0 }.slow()} ${S { n: 3 }.logged()}" }
    """
    seen: list[Any] = []
    runtime = concerto.Runtime(concerto.compile(source), clock=concerto.VirtualClock())
    runtime.on("l", seen.append)
    assert runtime.call("go") == 'Err("the time limit of 0.05 s was exceeded") Ok(0) 3'
    assert [(record["target"], record["phase"]) for record in seen] == [
        ("S::logged", "start"),
        ("S::logged", "end"),
    ]


def test_decorators_hold_for_methods_that_change_a_tool() -> None:
    source = """
    tool Box {
        description: "A box", items: Array<Int> = [], tries: Int = 0,
        @describe("Add one") @param("n", "It") @retry(max: 2, delay_ms: 0) @log("l")
        pub fn add(mut self, n: Int) -> Result<Int, ToolError> {
            self.items.push(n);
            emit("items", self.items);
            if n < 0 { Err(ToolError::new("no")) } else { Ok(self.items.len()) }
        }
    }
    pub fn go() -> String { "${Box.add(1)} ${Box.add(-1)} ${Box.add(2)}" }
    """
    seen: list[Any] = []
    runtime = concerto.Runtime(concerto.compile(source))
    runtime.on("items", seen.append)
    assert runtime.call("go") == 'Ok(1) Err("no") Ok(3)'
    assert seen == [[1], [1, -1], [1, -1], [1, -1, 2]]


@pytest.mark.parametrize(
    "text",
    [
        "struct S { n: Int } impl S { §@retry fn f(mut self) { self.n += 1; } }",
        "struct S { n: Int } impl S { §@retry fn f(self) -> Int { 1 } }",
        "struct S { n: Int } impl S { §@cache(ttl_seconds: 1) fn f(self) -> Int { 1 } }",
        "trait T { §@retry fn f(self) -> Result<Int, String>; }",
    ],
)
def test_methods_that_cannot_have_a_decorator(text: str) -> None:
    with pytest.raises(concerto.CompileError) as caught:
        concerto.compile(text.replace("§", ""))
    (error,) = [each for each in caught.value.diagnostics if each.is_error]
    assert (error.code, error.primary.span.start) == ("E2018", text.index("§"))


def test_a_time_limit_aborts_the_request(server: concerto.MockServer) -> None:
    source = """
    @timeout(seconds: 5)
    fn ask() -> Result<String, Error> { Ok(M.execute("never")?.text) }
    pub fn go() -> String {
        try { ask()? } catch TimeoutError(e) { "${e.kind}: ${e.message}" } catch Error(e) { e.message }
    }"""
    clock = concerto.VirtualClock()
    program = concerto.compile(HEAD + source)
    run = concerto.Runtime(program, env={"URL": server.url}, clock=clock).start("go")
    wait_for(lambda: server.counts()["open_requests"] == 1)
    clock.advance(5)
    assert run.result() == "timeout: the time limit of 5.0 s was exceeded"
    wait_for(lambda: server.counts()["outcomes"] == {"client_closed": 1})


def test_a_repeated_function_asks_again(server: concerto.MockServer) -> None:
    source = """
    @retry(max: 3, delay_ms: 0, on: ["authentication"])
    fn ask() -> Result<String, LlmError> { Ok(M.execute("twice")?.text) }
    pub fn go() -> Result<String, LlmError> { ask() }"""
    assert observed(server, source)[0] == "quick"
    assert server.counts()["statuses"] == {"200": 1, "401": 2}


def test_other_kinds_are_not_repeated(server: concerto.MockServer) -> None:
    source = """
    @retry(delay_ms: 0, on: ["rate_limit"])
    fn ask() -> Result<String, LlmError> { Ok(M.execute("twice")?.text) }
    pub fn go() -> Bool { ask().is_err() }"""
    assert observed(server, source)[0] is True
    assert server.counts()["requests"] == 1


def test_the_order_of_decorators_does_not_matter(server: concerto.MockServer) -> None:
    order = ("@retry(max: 2, delay_ms: 0)", "@log", "@timeout(seconds: 30)")
    found = []
    for lines in (order, order[::-1], (order[1], order[2], order[0])):
        source = f"""
        {" ".join(lines)}
        fn ask(fail: Bool) -> Result<Int, Error> {{ emit("try", fail); if fail {{ throw LlmError::new("no") }} Ok(1) }}
        pub fn go() -> Bool {{ ask(true).is_err() && ask(false).is_ok() }}"""
        result, seen = observed(server, source)
        assert result is True
        for _, record in seen:
            if isinstance(record, dict):
                assert record.pop("duration_ms") >= 0
        found.append(seen)
    start = ("log", {"target": "ask", "phase": "start", "attempt": 1})
    error = {"target": "ask", "phase": "error", "attempt": 2, "kind": "custom", "message": "no"}
    end = ("log", {"target": "ask", "phase": "end", "attempt": 1})
    expected = [start, ("try", True), ("try", True), ("log", error), start, ("try", False), end]
    assert found == [expected] * 3


def test_a_limit_of_each_attempt_is_repeated(server: concerto.MockServer) -> None:
    source = """
    @retry(max: 3, delay_ms: 0, on: ["timeout"])
    @timeout(ms: 20, scope: "attempt")
    fn ask() -> Result<String, TimeoutError> { emit("try", nil); let _ = M.execute("never"); Ok("") }
    @retry(max: 100, delay_ms: 0)
    @timeout(ms: 20)
    fn total() -> Result<String, TimeoutError> { let _ = M.execute("never"); Ok("") }
    pub fn go() -> Bool { ask().is_err() && total().is_err() }"""
    result, seen = observed(server, source)
    assert result is True
    assert seen == [("try", None)] * 3
    wait_for(lambda: server.counts()["open_requests"] == 0)
    assert server.counts()["requests"] <= 4


def test_panics_are_never_repeated(server: concerto.MockServer) -> None:
    source = """
    @retry(delay_ms: 0)
    fn ask() -> Result<Int, String> { emit("try", nil); Ok(1 / [0][0]) }
    pub fn go() -> Bool { ask().is_ok() }"""
    with pytest.raises(concerto.PanicError) as caught:
        observed(server, source)
    assert caught.value.trace[0].function == "ask"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("@retry(max: 0)", "E3032", "`max` must be 1 to 100, found 0"),
        ("@retry(maxx: 2)", "E3032", "has no argument `maxx`"),
        ('@retry(backoff: "liner")', "E3032", "unknown backoff `liner`"),
        ('@retry(on: "timeout")', "E3032", "found `String`"),
        ("@retry(max: n)", "E3021", "no constant"),
        ("@timeout", "E3032", "takes `seconds` or `ms`"),
        ("@timeout(seconds: 1, ms: 2)", "E3032", "takes `seconds` or `ms`"),
        ('@timeout(seconds: 1, scope: "each")', "E3032", "unknown scope `each`"),
        ("@timeout(ms: 0)", "E3032", "1 ms to one day"),
        ('@log("")', "E4052", "is empty"),
        ("@retry @retry", "E2019", "given twice"),
        ("@cache(ttl_seconds: 1)", "E2018", "cannot stand here"),
        ("@rety", "E2017", "there is no decorator `@rety`"),
    ],
)
def test_misuse_is_found_before_anything_runs(line: str, code: str, words: str) -> None:
    text = f"{line} fn f(n: Int) -> Result<Int, Error> {{ Ok(n) }} fn main() {{ f(1)?; }}"
    _, found = compile_source(Source("x.conc", text))
    assert [d.code for d in found] == [code], render(found)
    assert words in found[0].message


def test_a_function_that_cannot_fail_is_not_repeated() -> None:
    _, found = compile_source(Source("x.conc", "@retry fn f() -> Int { 1 } fn main() { f(); }"))
    assert [d.code for d in found] == ["E2018"], render(found)
    _, found = compile_source(
        Source("x.conc", "@timeout(ms: 5) fn f() -> Result<Int, Int> { Ok(1) } fn main() { f()?; }")
    )
    assert [d.code for d in found] == ["E3035"], render(found)
