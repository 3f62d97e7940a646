"""Pipelines: what they give, what the host is told of them, and their decorators on a clock that takes no time (library reference 7 to 9)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import concerto
import pytest

from tests.waiting import wait_for

HEAD = """
connect c { base_url: env("URL"), default_model: "m", timeout: 300 }
model M { provider: c }
"""
RULES = [
    {"match": {"contains": "never"}, "reply": {"fault": "stall"}},
    {"match": {}, "reply": {"text": "quick"}},
]


@pytest.fixture(scope="module")
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=json.dumps({"rules": RULES})) as running:
        yield running


Seen = list[tuple[str, dict[str, Any]]]


def run(source: str, url: str = "", jitter: float = 0.0) -> tuple[Any, Seen, concerto.VirtualClock]:
    clock = concerto.VirtualClock()
    program = concerto.compile(HEAD + source)
    runtime = concerto.Runtime(program, env={"URL": url}, clock=clock, retry_jitter=jitter)
    seen: Seen = []
    result = runtime.observe(
        "go", {}, lambda emit: seen.append((emit.channel, emit.payload)), print
    )
    return result, seen, clock


P = {"name": "P", "pipeline": "P", "run_id": 1}


def test_a_pipeline_tells_of_each_step() -> None:
    result, seen, _ = run("""
    pipeline P(x: Int) -> String {
        stage double(n: Int) -> Int { std::time::sleep(1500); n * 2 }
        stage show(n: Int) -> String { "<${n}>" }
    }
    pub fn go() -> String { P.run(4).unwrap() }""")
    assert result == "<8>"
    first = {**P, "stage": "double", "index": 0, "attempt": 1}
    second = {**P, "stage": "show", "index": 1, "attempt": 1}
    assert seen == [
        ("pipeline:start", {**P, "stages": 2, "input": 4}),
        ("pipeline:stage_start", first),
        ("pipeline:stage_complete", {**first, "duration_ms": 1500}),
        ("pipeline:stage_start", second),
        ("pipeline:stage_complete", {**second, "duration_ms": 0}),
        ("pipeline:complete", {**P, "duration_ms": 1500}),
    ]
    assert list(seen[0][1]) == ["name", "pipeline", "run_id", "stages", "input"]


def test_a_failed_stage_ends_the_pipeline() -> None:
    result, seen, _ = run("""
    struct Odd { n: Int }
    pipeline P(x: Int) -> Int {
        stage check(n: Int) -> Result<Int, String> { if n > 1 { Err("too big") } else { Ok(n) } }
        stage odd(n: Int) -> Int { if n == 1 { throw Odd { n: 3 } } n }
        stage text(n: Int) -> Int { "x".parse_int()? }
    }
    fn show(e: PipelineError) -> String { "${e.message}|${e.kind}|${e.pipeline}|${e.stage}|${e.attempts}|${e.cause}" }
    fn told(n: Int) -> Result<Int, String> { Ok(P.run(n)?) }
    pub fn go() -> Array<String> {
        let texts = [2, 1, 0].map(|n| match P.run(n) { Ok(_) => "", Err(e) => show(e) });
        [texts[0], texts[1], texts[2], told(2).unwrap_err()]
    }""")
    assert result == [
        "pipeline 'P' failed at stage 'check': too big|stage|P|check|1|too big",
        "pipeline 'P' failed at stage 'odd': Odd { n: 3 }|stage|P|odd|1|Odd { n: 3 }",
        "pipeline 'P' failed at stage 'text': `x` is no Int|stage|P|text|1|`x` is no Int",
        "pipeline 'P' failed at stage 'check': too big",
    ]
    failed = {**P, "stage": "check", "error": "too big", "duration_ms": 0}
    assert next(record for channel, record in seen if channel == "pipeline:error") == failed
    ends = [c for c, _ in seen if c in ("pipeline:error", "pipeline:complete")]
    assert len(ends) == len([c for c, _ in seen if c == "pipeline:start"]) == 4


def test_retries_have_exact_delays() -> None:
    result, seen, clock = run("""
    pipeline P {
        @retry(max: 4, backoff: "linear", delay_ms: 200)
        stage s(n: Int) -> Int { emit("try", n); std::time::sleep(10); throw "no" }
    }
    pub fn go() -> Int { P.run(1).unwrap_err().attempts }""")
    assert result == 4
    delays = [r["delay_ms"] for c, r in seen if c == "pipeline:stage_retry"]
    assert delays == [200, 400, 600]
    assert clock.elapsed == pytest.approx(1.24)
    place = {**P, "stage": "s", "index": 0}
    assert next((c, r) for c, r in seen if c == "pipeline:stage_retry") == (
        "pipeline:stage_retry",
        {**place, "attempt": 1, "error": "no", "delay_ms": 200},
    )
    starts = [r["attempt"] for c, r in seen if c == "pipeline:stage_start"]
    assert starts == [1, 2, 3, 4]
    assert seen[-1] == ("pipeline:error", {**P, "stage": "s", "error": "no", "duration_ms": 1240})


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("none", [500] * 4),
        ("linear", [500, 1000, 1500, 2000]),
        ("exponential", [500, 1000, 2000, 2500]),
    ],
)
def test_backoffs_of_functions(backoff: str, delays: list[int]) -> None:
    result, _, clock = run(f"""
    @retry(max: 5, backoff: "{backoff}", delay_ms: 500, max_delay_ms: 2500)
    fn f() -> Result<Int, String> {{ Err("no") }}
    pub fn go() -> Bool {{ f().is_err() }}""")
    assert result is True
    assert clock.elapsed == pytest.approx(sum(delays) / 1000)


def test_a_limit_cuts_a_stage_off_in_time() -> None:
    source = """
    pipeline P {{
        {line}
        stage slow(n: Int) -> Int {{ emit("begin", n); std::time::sleep(10000); emit("end", n); n }}
    }}
    pub fn go() -> Array<String> {{
        match P.run(1) {{ Ok(_) => [], Err(e) => [e.kind, e.message, "${{e.attempts}}"] }}
    }}"""
    message = "pipeline 'P' failed at stage 'slow': the time limit of 1.0 s was exceeded"
    result, seen, clock = run(source.format(line="@timeout(seconds: 1)"))
    assert result == ["timeout", message, "1"]
    assert clock.elapsed == pytest.approx(1.0)
    assert "end" not in [channel for channel, _ in seen]
    assert seen[-1][0] == "pipeline:error"
    line = '@timeout(seconds: 1, scope: "attempt") @retry(max: 3, delay_ms: 0)'
    result, seen, clock = run(source.format(line=line))
    assert result == ["timeout", message, "3"]
    assert clock.elapsed == pytest.approx(3.0)
    line = "@retry(max: 9, delay_ms: 0) @timeout(seconds: 25)"
    result, seen, clock = run(source.format(line=line).replace('emit("end", n); n', "throw n"))
    assert (result[0], result[2]) == ("timeout", "3")
    assert clock.elapsed == pytest.approx(25.0)


def test_a_limit_aborts_the_request_of_a_stage(server: concerto.MockServer) -> None:
    program = concerto.compile(
        HEAD
        + """
    pipeline P {
        @timeout(seconds: 50)
        stage ask(text: String) -> String { M.execute(text)?.text }
    }
    pub fn go(text: String) -> Result<String, PipelineError> { P.run(text) }"""
    )
    clock = concerto.VirtualClock()
    started = concerto.Runtime(program, env={"URL": server.url}, clock=clock).start("go", "never")
    wait_for(lambda: server.counts()["open_requests"] == 1)
    clock.advance(50)
    with pytest.raises(concerto.ProgramError, match="the time limit of 50"):
        started.result()
    wait_for(lambda: server.counts()["outcomes"].get("client_closed") == 1)


def test_a_cancelled_run_is_closed_once() -> None:
    _, seen, _ = run("""
    pipeline P { stage wait(n: Int) -> Int { std::time::sleep(n); n } }
    pipeline Q { stage outer(n: Int) -> Int { P.run(n)? } }
    pub fn go() {
        emit("race", race(Q.run(5000), { std::time::sleep(1000); Ok(0) }));
        spawn P.run(9000);
    }""")
    q = {"name": "Q", "pipeline": "Q", "run_id": 1}
    p = {**P, "run_id": 2, "parent": 1}
    cancelled = [(c, r) for c, r in seen if c == "pipeline:error"]
    assert cancelled == [
        ("pipeline:error", {**p, "stage": "wait", "error": "cancelled", "duration_ms": 1000}),
        ("pipeline:error", {**q, "stage": "outer", "error": "cancelled", "duration_ms": 1000}),
        (
            "pipeline:error",
            {**P, "run_id": 3, "stage": "wait", "error": "cancelled", "duration_ms": 0},
        ),
    ]
    assert [c for c, _ in seen].index("race") > [c for c, _ in seen].index("pipeline:error")
    start = ("pipeline:start", {**p, "stages": 1, "input": 5000})
    assert start in seen


def test_a_panic_ends_the_run_and_not_only_the_pipeline() -> None:
    with pytest.raises(concerto.PanicError) as caught:
        run("""
        pipeline P { stage divide(n: Int) -> Int { 1 / n } }
        pub fn go() -> Bool { P.run(0).is_ok() }""")
    assert [frame.function for frame in caught.value.trace][-1] == "go"
    assert caught.value.trace[0].function == "divide"


def test_pipelines_nest_64_deep() -> None:
    source = """
    pipeline P { stage again(n: Int) -> Int { if n == 0 { 0 } else { P.run(n - 1)? } } }
    pub fn go() -> Bool { P.run(DEPTH).is_ok() }"""
    assert run(source.replace("DEPTH", "63"))[0] is True
    with pytest.raises(concerto.PanicError, match="nested more than 64 deep") as caught:
        run(source.replace("DEPTH", "64"))
    assert caught.value.kind == "LimitExceeded"


def test_pipelines_are_values() -> None:
    result, _, _ = run("""
    pipeline P(text: String) -> Int { stage count(text: String) -> Int { text.len() } }
    pipeline Q(text: String) -> Int { stage zero(text: String) -> Int { 0 } }
    fn use_it(p: PipelineRef<String, Int>) -> String { "${p} ${p.stages()} ${p.run("abc")}" }
    pub fn go() -> Array<String> {
        let all = [P, Q];
        let (a, b) = await (P.run("a"), Q.run("b"));
        [use_it(P), use_it(all[1]), "${P == P} ${P == Q} ${typeof(P)}", "${a} ${b}"]
    }""")
    assert result == [
        '<pipeline P> ["count"] Ok(3)',
        '<pipeline Q> ["zero"] Ok(0)',
        "true false PipelineRef",
        "Ok(1) Ok(0)",
    ]


def test_any_is_checked_between_stages() -> None:
    source = """
    pipeline P(x: Any) -> Any {
        stage open(n: Int) -> Any { if n > 1 { "text" } else { n } }
        stage close(n: Int) -> Float { n }
    }
    pub fn go() -> Any { P.run(INPUT).unwrap() }"""
    assert run(source.replace("INPUT", "1"))[0] == 1.0
    for given in ("2", '"x"'):
        with pytest.raises(concerto.PanicError, match="expected `Int`") as caught:
            run(source.replace("INPUT", given))
        assert caught.value.kind == "TypeMismatch"


def test_long_inputs_are_cut() -> None:
    _, seen, _ = run("""
    pipeline P { stage count(text: String) -> Int { text.len() } }
    pub fn go() { let _ = P.run("ab".repeat(9000)); }""")
    assert seen[0][1]["input"] == "ab" * 2048


def test_records_of_a_logged_stage() -> None:
    _, seen, _ = run("""
    pipeline P {
        @log(channel: "notes") @retry(max: 2, delay_ms: 5)
        stage s(n: Int) -> Int { if n > 0 { throw LlmError::new("no") } n }
    }
    pub fn go() { let _ = P.run(1); let _ = P.run(0); }""")
    notes = [record for channel, record in seen if channel == "notes"]
    one = {"target": "P::s", "attempt": 1, "duration_ms": 0}
    assert notes == [
        {**one, "phase": "start"},
        {
            **one,
            "phase": "error",
            "attempt": 2,
            "duration_ms": 5,
            "kind": "custom",
            "message": "no",
        },
        {**one, "phase": "start"},
        {**one, "phase": "end"},
    ]
