"""A virtual clock: delays, windows and time limits follow it (C-91). Nothing here waits really; a test that did would take minutes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import concerto
import pytest
from concerto import errors

from tests.waiting import wait_for

PROGRAM = """
connect c {
    base_url: env("URL"), default_model: "m", timeout: 30,
    retry: { max_attempts: 4, backoff: "exponential", initial_delay_ms: 60000, max_delay_ms: 3600000 },
}
connect limited { base_url: env("URL"), default_model: "m", rate_limit: { requests_per_minute: 2 } }
model M { provider: c }
model L { provider: limited }
@timeout(seconds: 100)
model Hurried { provider: c }
pub fn ask(prompt: String) -> Result<Response, LlmError> { M.execute(prompt) }
pub fn hurry(prompt: String) -> Result<Response, LlmError> { Hurried.execute(prompt) }
pub fn many(count: Int) -> Result<Int, LlmError> {
    for n in 0..count { L.execute("number ${n}")?; emit("done", n); }
    Ok(count)
}
pub fn tell() -> Result<String, LlmError> {
    let mut told = "";
    for chunk in M.stream("tell")? { told += chunk.text; emit("chunk", chunk.text); }
    Ok(told)
}
"""

BUSY = {"error": {"status": 429}}
SCRIPT = {
    "rules": [
        {"match": {"contains": "twice"}, "times": 2, "reply": BUSY},
        {"match": {"contains": "always"}, "reply": {"error": {"status": 500}}},
        {"match": {"contains": "stall"}, "reply": {"fault": "stall_headers"}},
        {
            "match": {"contains": "tell"},
            "reply": {"chunks": ["one ", "two"], "fault": "stall", "after": 2},
        },
    ]
}


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture
def clock() -> concerto.VirtualClock:
    return concerto.VirtualClock()


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=json.dumps(SCRIPT)) as running:
        yield running


@pytest.fixture
def runtime(
    program: concerto.Program, server: concerto.MockServer, clock: concerto.VirtualClock
) -> concerto.Runtime:
    return concerto.Runtime(program, env={"URL": server.url}, clock=clock, log_level="error")


def test_delays_of_retries_take_no_time(
    runtime: concerto.Runtime, clock: concerto.VirtualClock
) -> None:
    """C-69, C-91: 60 s and 120 s, without jitter, and the call says so."""
    response = runtime.call("ask", "twice")
    assert (response.attempts, response.latency_ms, clock.elapsed) == (3, 180_000, 180.0)
    assert runtime.get_metrics().execution_time_ms() == 180_000
    assert runtime.get_metrics().distribution("c", "latency_ms")["max"] == 180_000.0
    with pytest.raises(errors.ServerError) as error:
        runtime.call("ask", "always")
    assert (error.value.attempts, error.value.latency_ms) == (4, 420_000)
    assert clock.elapsed == 600.0


def test_rate_limits_follow_the_clock(
    runtime: concerto.Runtime, clock: concerto.VirtualClock
) -> None:
    """C-81, C-91: two in each minute."""
    times = []
    runtime.on("done", lambda _: times.append(clock.elapsed))
    assert runtime.call("many", 5) == 5
    assert times == [0.0, 0.0, 60.0, 60.0, 120.0]


def test_the_time_of_a_call_follows_the_clock(
    runtime: concerto.Runtime, clock: concerto.VirtualClock
) -> None:
    """C-60, C-73, C-91: there is no room for the second delay, so nobody waits for it."""
    with pytest.raises(errors.ServerError) as error:
        runtime.call("hurry", "always")
    assert (error.value.attempts, clock.elapsed) == (2, 60.0)


def test_time_stands_still_while_a_request_is_under_way(
    runtime: concerto.Runtime, server: concerto.MockServer, clock: concerto.VirtualClock
) -> None:
    """C-58, C-91: a server that stalls is late only when the host moves the clock; then its time limit is over."""
    runtime.override_connection("c", remove=["retry"])
    with runtime.start("ask", "stall") as run:
        wait_for(lambda: bool(server.requests()))
        assert clock.elapsed == 0.0
        clock.advance(31)
        with pytest.raises(errors.CallTimeoutError) as error:
            run.result(timeout=20)
    assert (error.value.phase, clock.elapsed) == ("response", 31.0)


def test_silence_in_a_stream_follows_the_clock(
    runtime: concerto.Runtime, clock: concerto.VirtualClock
) -> None:
    """C-58, S-11, C-91."""
    with runtime.start("tell") as run:
        emits = iter(run)
        assert [next(emits).payload, next(emits).payload] == ["one ", "two"]

        def time_is_over() -> bool:
            clock.advance(1)
            return run.done

        wait_for(time_is_over)
        with pytest.raises(errors.StreamInterruptedError) as error:
            run.result(timeout=20)
    assert (error.value.phase, error.value.partial_text) == ("idle", "one two")


def test_the_limit_of_a_run_follows_the_clock(
    program: concerto.Program, server: concerto.MockServer, clock: concerto.VirtualClock
) -> None:
    """C-91: `execution_timeout`."""
    runtime = concerto.Runtime(
        program, env={"URL": server.url}, clock=clock, execution_timeout=90, log_level="error"
    )
    with pytest.raises(concerto.LimitError):
        runtime.call("ask", "always")
    assert clock.elapsed == 90.0


def test_runs_share_a_clock(program: concerto.Program, server: concerto.MockServer) -> None:
    """C-89, C-91: the limits of two runs in one runtime, on one clock: ten requests take four minutes, not two."""
    clock = concerto.VirtualClock()
    runtime = concerto.Runtime(program, env={"URL": server.url}, clock=clock)
    with runtime.start("many", 5) as one, runtime.start("many", 5) as two:
        assert (one.result(timeout=20), two.result(timeout=20)) == (5, 5)
    assert clock.elapsed == 240.0
    assert len(server.requests()) == 10


def test_a_clock_only_goes_forward(clock: concerto.VirtualClock) -> None:
    """C-91"""
    clock.advance(0.25)
    for seconds in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="a number from 0 on"):
            clock.advance(seconds)
    assert clock.elapsed == 0.25


NESTED = """
pub fn pause(minutes: Int) -> Int { std::time::sleep(minutes * 60000); emit("paused", minutes); minutes }
pub fn step(count: Int) -> Int { for n in 0..count { emit("step", n); } count }
pub async fn ask() -> Int { let n: Int = await emit("ask"); std::time::sleep(60000); n }
"""


def test_a_handler_may_wait_for_a_run_that_waits_for_time(clock: concerto.VirtualClock) -> None:
    """C-91: on its own thread, in the background, and for what it answers; the limits of the outer run wait meanwhile."""
    runtime = concerto.Runtime(concerto.compile(NESTED), clock=clock)

    @runtime.on("step")
    def step(n: int) -> None:
        assert runtime.call("pause", 10) == 10
        with runtime.start("pause", 20) as run:
            assert [emit.payload for emit in run] == [20]
            assert run.result(timeout=30) == 20

    runtime.on_emit("ask", lambda _: runtime.call("pause", 5))
    assert runtime.call("step", 3) == 3
    assert clock.elapsed == 3 * 30 * 60
    assert runtime.call("ask") == 5
    assert clock.elapsed == (3 * 30 + 5 + 1) * 60
