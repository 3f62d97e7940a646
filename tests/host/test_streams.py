"""Streams as values: their methods, and what happens to errors and connections on the way out of loops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import concerto
import pytest
from concerto import errors

HEAD = """
connect c { base_url: env("URL"), default_model: "m", timeout: 2 }
model M { provider: c }
"""

RULES = [
    {"match": {"contains": "cut"}, "reply": {"text": "one two three", "fault": "cut", "after": 2}},
    {"match": {"contains": "deny"}, "reply": {"error": {"status": 401, "message": "no"}}},
    {"match": {}, "reply": {"text": "one two three four"}},
]


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=json.dumps({"rules": RULES})) as running:
        yield running


def go(server: concerto.MockServer, function: str) -> Any:
    return concerto.Runtime(concerto.compile(HEAD + function), env={"URL": server.url}).call("go")


def test_s_7_methods(server: concerto.MockServer) -> None:
    found = go(
        server,
        """pub fn go() -> Result<Array<String>, LlmError> {
            let s = M.stream("x")?;
            let first = s.next()?;
            let mut out = [match first { Some(chunk) => "${chunk.text}${chunk.index}", None => "none" }];
            out.push("${s.text_so_far()}|${s.is_done()}|${s.response().is_none()}");
            let whole = s.collect()?;
            out.push("${whole.text}|${whole.finish_reason}|${s.text_so_far()}|${s.is_done()}");
            out.push("${s.response().is_some()}|${s.next()?.is_none()}|${s.collect()?.text}");
            let t = M.stream("y")?;
            let mut texts = "";
            while true { match t.next()? { Some(chunk) => { texts += chunk.text; }, None => { break; } } }
            out.push("${texts}|${t.is_done()}");
            Ok(out)
        }""",
    )
    assert found == [
        "one 0",
        "one |false|true",
        "one two three four|stop|one two three four|true",
        "true|true|one two three four",
        "one two three four|true",
    ]


def test_s_8_a_stream_is_read_once(server: concerto.MockServer) -> None:
    for use in ("s.close();", "for c in s { }", "s.collect()?;"):
        source = f'pub fn go() -> Result<Int, LlmError> {{ let s = M.stream("x")?; {use} for c in s {{ }} Ok(1) }}'
        with pytest.raises(concerto.PanicError, match="it can be read once") as caught:
            go(server, source)
        assert caught.value.kind == "StreamConsumed"
    closed = 'pub fn go() -> Result<Bool, LlmError> { let s = M.stream("x")?; s.close(); Ok(s.is_done() && s.next()?.is_none()) }'
    assert go(server, closed) is True
    collected = 'pub fn go() -> Result<String, LlmError> { let s = M.stream("x")?; s.close(); Ok(s.collect()?.text) }'
    with pytest.raises(concerto.PanicError, match="closed or has failed"):
        go(server, collected)


@pytest.mark.parametrize(
    "leaving",
    [
        'for c in M.stream("x")? { break; } Ok("left")',
        'for c in M.stream("x")? { return Ok("left"); } Ok("")',
        '\'outer: loop { for c in M.stream("x")? { break \'outer; } } Ok("left")',
        'let mut n = 0; \'outer: for i in 0..1 { n += 1; for c in M.stream("x")? { continue \'outer; } } Ok("left")',
        'try { for c in M.stream("x")? { throw "out"; } } catch String(s) { emit("caught", s); } Ok("left")',
        'try { for c in M.stream("x")? { "x".parse_int()?; } } catch ParseError { } Ok("left")',
        'let s = M.stream("x")?; s.close(); Ok("left")',
        'if true { let s = M.stream("x")?; s.next()?; } Ok("left")',
        'M.stream("x")?; Ok("left")',
    ],
)
def test_s_9_leaving_early_closes_the_stream(server: concerto.MockServer, leaving: str) -> None:
    source = f"""{HEAD}
        fn leave() -> Result<String, LlmError> {{ {leaving} }}
        pub fn go() -> Result<String, LlmError> {{ let left = leave()?; emit("now", left); Ok(left) }}"""
    runtime = concerto.Runtime(concerto.compile(source), env={"URL": server.url})
    seen: list[tuple[int, int]] = []

    def look(_left: str) -> None:
        counters = runtime.get_metrics().counters("c")
        seen.append((counters["cancelled"], counters["in_flight"]))

    # While the run goes on.
    runtime.on("now", look)
    assert runtime.call("go") == "left"
    assert seen == [(1, 0)]


def test_s_10_and_s_11_a_break_in_mid_stream(server: concerto.MockServer) -> None:
    caught = """pub fn go() -> String {
        let mut got = "";
        try { for c in M.stream("cut")? { got += c.text; } "all" }
        catch ConnectionError(e) { "${got}|${e.kind}|${e.partial_text}|${e.chunks}|${e.cause ?? "?"}" }
        catch LlmError(e) { e.message }
    }"""
    assert go(server, caught) == "one two |stream_interrupted|one two |2|network"
    returned = """fn read() -> Result<Int, LlmError> { let mut n = 0; for c in M.stream("cut")? { n += 1; } Ok(n) }
    pub fn go() -> String { match read() { Ok(n) => "${n}", Err(e) => e.kind } }"""
    assert go(server, returned) == "stream_interrupted"
    as_value = """pub fn go() -> Result<Array<String>, LlmError> {
        let s = M.stream("cut")?;
        let mut out = ["x"];
        for i in 0..4 { out.push(match s.next() { Ok(Some(c)) => c.text, Ok(None) => "end", Err(e) => e.kind }); }
        Ok(out)
    }"""
    assert go(server, as_value) == ["x", "one ", "two ", "stream_interrupted", "end"]
    converted = """fn read() -> Result<Int, String> { for c in M.stream("cut")? { } Ok(1) }
    pub fn go() -> String { match read() { Ok(n) => "${n}", Err(e) => e } }"""
    assert "stream interrupted after 2 chunks" in go(server, converted)


def test_s_10_without_a_result_the_run_ends(server: concerto.MockServer) -> None:
    source = """fn read(s: Stream) { for c in s { emit("c", c.text); } }
    pub fn go() -> Result<Int, LlmError> { read(M.stream("cut")?); Ok(1) }"""
    with pytest.raises(errors.StreamInterruptedError) as caught:
        go(server, source)
    assert (caught.value.partial_text, caught.value.chunks) == ("one two ", 2)


def test_s_2_an_error_before_the_first_chunk_is_that_of_stream(server: concerto.MockServer) -> None:
    source = 'pub fn go() -> String { try { for c in M.stream("deny")? { } "read" } catch LlmError(e) { "${e.kind} ${e.attempts}" } }'
    assert go(server, source) == "authentication 1"


def test_mocked_streams_have_the_same_methods() -> None:
    source = (
        HEAD
        + 'pub fn go() -> Result<String, LlmError> { let s = M.stream("hi you")?; s.next()?; Ok("${s.text_so_far()}|${s.collect()?}") }'
    )
    runtime = concerto.Runtime(concerto.compile(source), mock=True)
    assert runtime.call("go") == "[mock |[mock response to: hi you]"


def test_s_3_what_a_chunk_holds(server: concerto.MockServer) -> None:
    source = """pub fn go() -> Result<Array<Array<Any>>, LlmError> {
        let mut out: Array<Array<Any>> = [];
        for c in M.stream("x")? { out.push([c.text, c.index, c.round, c.elapsed_ms >= 0]); }
        Ok(out)
    }"""
    words = ["one ", "two ", "three ", "four"]
    assert go(server, source) == [[word, i, 1, True] for i, word in enumerate(words)]


def test_s_13_cancelling_closes_the_stream_and_runs_no_handler() -> None:
    rules = [{"reply": {"text": "one two three", "fault": "stall", "after": 1}}]
    source = """pub fn go() -> Result<String, LlmError> {
        try { for c in M.stream("x")? { emit("chunk", c.text); } } catch LlmError(e) { emit("handled", e); }
        emit("after", 1);
        Ok("never")
    }"""
    with concerto.MockServer(script=json.dumps({"rules": rules})) as server:
        runtime = concerto.Runtime(concerto.compile(HEAD + source), env={"URL": server.url})
        run = runtime.start("go")
        seen = []
        for event in run:
            seen.append(event.channel)
            run.cancel()
        assert seen == ["chunk"]
        with pytest.raises(errors.RunCancelled):
            run.result()
        counters = runtime.get_metrics().counters("c")
        assert (counters["cancelled"], counters["in_flight"]) == (1, 0)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ('fn f() { for c in M.stream("x") { emit("c", c); } }', "E4034"),
        ('fn f() -> Result<Int, LlmError> { let s = M.stream("x")?; emit("s", s); Ok(1) }', "E4033"),
        ('fn f() -> Result<Int, LlmError> { M.stream("x", "y")?; Ok(1) }', "E3032"),
        ("fn f() -> Result<Int, LlmError> { M.stream(1)?; Ok(1) }", "E3001"),
        ('fn f() { M.stream_with_schema("x"); }', "E3011"),
    ],
)  # fmt: skip
def test_s_8_s_19_s_20_what_streams_refuse(function: str, code: str) -> None:
    with pytest.raises(concerto.CompileError) as caught:
        concerto.compile(HEAD + function)
    assert [found.code for found in caught.value.diagnostics if found.is_error] == [code]


def test_c_64_c_66_one_pool_and_nothing_unasked() -> None:
    """No request before the first call, one per call; two runs share one connection that is kept alive."""
    source = 'pub fn go() -> Result<String, LlmError> { Ok(M.execute("x")?.text) }'
    with concerto.MockServer() as server:
        runtime = concerto.Runtime(concerto.compile(HEAD + source), env={"URL": server.url})
        runtime.connection_settings("c")
        runtime.get_metrics()
        assert server.counts()["requests"] == 0
        for done in (1, 2, 3):
            runtime.call("go")
            counts = server.counts()
            assert (counts["requests"], counts["open_connections"]) == (done, 1)
        paths = {request["path"] for request in server.requests()}
        assert paths == {"/v1/chat/completions"}
