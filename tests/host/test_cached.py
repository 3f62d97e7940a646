"""`@cache` on models (library reference 8): the same question gets the answer that it got before, for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator

import concerto
import pytest
from concerto import errors

PROGRAM = """
connect c { base_url: env("URL"), default_model: "m" }
schema Verdict { area: String }
@cache(ttl_seconds: 60, max_entries: 2)
@log("told")
model M { provider: c }
model Plain { provider: c }
@cache(ttl_seconds: 60)
model Other { provider: c }
pub fn ask(prompt: String) -> Result<Response, LlmError> { M.execute(prompt) }
pub fn warmly(prompt: String) -> Result<String, LlmError> { Ok(M.with_temperature(1.0).execute(prompt)?.text) }
pub fn based(prompt: String) -> Result<String, LlmError> { Ok(M.with_base("m").execute(prompt)?.text) }
pub fn plain(prompt: String) -> Result<String, LlmError> { Ok(Plain.execute(prompt)?.text) }
pub fn other(prompt: String) -> Result<String, LlmError> { Ok(Other.execute(prompt)?.text) }
pub fn judge(prompt: String) -> Result<Verdict, LlmError> { M.execute_with_schema<Verdict>(prompt) }
pub fn tell(prompt: String) -> Result<String, LlmError> { Ok(M.stream(prompt)?.collect()?.text) }
"""


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture
def clock() -> concerto.VirtualClock:
    return concerto.VirtualClock()


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    script = {
        "rules": [
            {"match": {"contains": "fail"}, "times": 1, "reply": {"error": {"status": 400}}},
            {"match": {"contains": "other area"}, "times": 1, "reply": {"text": "no JSON"}},
        ]
    }
    with concerto.MockServer(script=json.dumps(script)) as running:
        yield running


@pytest.fixture
def runtime(
    program: concerto.Program, server: concerto.MockServer, clock: concerto.VirtualClock
) -> concerto.Runtime:
    return concerto.Runtime(program, env={"URL": server.url}, clock=clock)


def asked(server: concerto.MockServer) -> int:
    return len(server.requests())


def test_the_same_question_is_not_asked_again(
    runtime: concerto.Runtime, server: concerto.MockServer, clock: concerto.VirtualClock
) -> None:
    """The stored response as it was, for all runs of a runtime; no tokens are counted, the call is."""
    first = runtime.call("ask", "hello")
    tokens = runtime.get_metrics().total_tokens()
    assert runtime.call("ask", "hello") == first
    metrics = runtime.get_metrics()
    assert (asked(server), metrics.total_tokens()) == (1, tokens)
    for counters in (metrics.counters("c"), metrics.counters("M")):
        counts = [counters[name] for name in ("calls", "successes", "cached", "attempts", "rounds")]
        assert counts == [2, 2, 1, 1, 1]
    assert 'concerto_cached_total{connection="c",model="M"} 1' in metrics.to_prometheus()
    clock.advance(59.9)
    runtime.call("ask", "hello")
    assert asked(server) == 1
    clock.advance(0.1)
    runtime.call("ask", "hello")
    assert asked(server) == 2, "its time is over"


def test_what_makes_a_question_another_one(
    runtime: concerto.Runtime, server: concerto.MockServer
) -> None:
    """Model, messages, parameters, schema; the id that it resolves to, however it was said."""
    runtime.call("ask", "hello")
    for count, (name, prompt) in enumerate(
        [("warmly", "hello"), ("ask", "hello!"), ("judge", "hello"), ("other", "hello")], 2
    ):
        runtime.call(name, prompt)
        assert asked(server) == count, (name, prompt)
    runtime.call("ask", "again")
    runtime.call("based", "again")
    assert asked(server) == 6, "the same id"
    runtime.override_connection("c", base_url=server.url + "/elsewhere")
    runtime.call("ask", "again")
    assert asked(server) == 7, "another server"
    for _ in range(2):
        runtime.call("plain", "again")
    assert asked(server) == 9, "a model without `@cache`"


def test_typed_answers_are_kept_and_errors_and_streams_are_not(
    runtime: concerto.Runtime, server: concerto.MockServer
) -> None:
    first = runtime.call("judge", "other area")
    assert asked(server) == 2, "the first answer did not fit"
    assert runtime.call("judge", "other area") == first
    assert asked(server) == 2
    with pytest.raises(errors.InvalidRequestError):
        runtime.call("ask", "fail")
    assert runtime.call("ask", "fail").text == "[mock response to: fail]"
    assert asked(server) == 4
    for _ in range(2):
        runtime.call("tell", "fail")
    assert asked(server) == 6


def test_the_oldest_answer_makes_room(
    runtime: concerto.Runtime, server: concerto.MockServer
) -> None:
    """`max_entries: 2`"""
    for prompt in ("a", "b", "c"):
        runtime.call("ask", prompt)
    runtime.call("ask", "b")
    runtime.call("ask", "c")
    assert asked(server) == 3
    runtime.call("ask", "a")
    assert asked(server) == 4


def test_the_log_tells_of_kept_answers_too(runtime: concerto.Runtime) -> None:
    """`@log` stands outside of `@cache`."""
    told: list[str] = []
    runtime.on("told", lambda record: told.append(record["phase"]))
    for _ in range(2):
        runtime.call("ask", "hello")
    assert told == ["start", "end"] * 2


def test_mocked_answers_are_kept_too(program: concerto.Program) -> None:
    """The first one counts as mocked, the second as cached."""
    runtime = concerto.Runtime(program, mock=True)
    for _ in range(2):
        runtime.call("ask", "hello")
    counters = runtime.get_metrics().counters("c")
    assert [counters[name] for name in ("calls", "mocked", "cached")] == [2, 1, 1]


def test_the_table_tells_kept_answers(program: concerto.Program) -> None:
    from concerto.cli.metrics import render_table

    runtime = concerto.Runtime(program, mock=True)
    for _ in range(3):
        runtime.call("ask", "hello")
    head, _, row, *_ = render_table(runtime.get_metrics()).splitlines()
    columns = dict(zip(head.split(), row.split(), strict=False))
    assert (columns["calls"], columns["mocked"], columns["kept"]) == ("3", "1", "2")
