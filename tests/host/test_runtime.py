"""The Python host against the mock provider over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import concerto
import pytest
from concerto import errors

PROGRAM = """
connect c { base_url: env("URL"), api_key: env("KEY"), default_model: "m", timeout: 2 }
model M { provider: c, temperature: 0, system_prompt: "Be brief." }
schema Answer { label: "a" | "b", count: Int, tags: Array<String>, note?: String, level: Int = 3 }
pub fn text(prompt: String) -> Result<String, LlmError> { Ok(M.execute(prompt)?.text) }
pub fn typed(prompt: String) -> Result<Answer, LlmError> { M.execute_with_schema<Answer>(prompt) }
pub fn streamed(prompt: String) -> Result<String, LlmError> {
    let mut whole = "";
    for chunk in M.stream(prompt)? { whole += chunk.text; emit("chunk", chunk.text); }
    Ok(whole)
}
pub fn first(prompt: String) -> Result<String, LlmError> {
    for chunk in M.stream(prompt)? { return Ok(chunk.text); }
    Ok("nothing")
}
pub fn kind(prompt: String) -> String {
    match M.execute(prompt) {
        Ok(r) => r.text,
        Err(LlmError::Authentication { message, .. }) => "auth: ${message}",
        Err(e) => "${e.kind}: ${e.status ?? 0}",
    }
}
"""

KEY = "sk-canary-4711"


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=SCRIPT) as running:
        yield running


SCRIPT = json.dumps(
    {
        "api_key": KEY,
        "rules": [
            {"match": {"contains": "hello"}, "reply": {"text": "good day to you"}},
            {
                "match": {"contains": "cut"},
                "reply": {"text": "one two three", "fault": "cut", "after": 2},
            },
            {
                "match": {"contains": "reset"},
                "reply": {"text": "one two three", "fault": "reset", "after": 1},
            },
            {"match": {"contains": "stall"}, "reply": {"fault": "stall"}},
            {"match": {"contains": "no json"}, "reply": {"fault": "not_json"}},
            {"match": {"contains": "html"}, "reply": {"fault": "html"}},
            {
                "match": {"contains": "429"},
                "reply": {
                    "error": {"status": 429, "message": f"key {KEY} is busy"},
                    "headers": [["retry-after", "7"]],
                },
            },
            {"match": {"contains": "bad answer"}, "reply": {"json": {"label": "z", "count": "x"}}},
            {
                "match": {"contains": "does not fit the schema"},
                "reply": {"json": {"label": "z", "count": "x"}},
            },
            {
                "match": {"contains": "fenced"},
                "reply": {"text": '```json\n{"label": "b", "count": 2, "tags": []}\n```'},
            },
            {
                "match": {"contains": "short"},
                "reply": {"text": '{"label"', "finish_reason": "length"},
            },
        ],
    }
)


def runtime(
    program: concerto.Program, server: concerto.MockServer, key: str = KEY
) -> concerto.Runtime:
    return concerto.Runtime(program, env={"URL": server.url, "KEY": key})


def test_calls_streams_and_metrics(program: concerto.Program, server: concerto.MockServer) -> None:
    rt = runtime(program, server)
    pieces: list[str] = []
    rt.on("chunk", pieces.append)
    assert rt.call("text", "hello") == "good day to you"
    assert rt.call("streamed", prompt="hello") == "good day to you"
    assert pieces == ["good ", "day ", "to ", "you"]
    answer = rt.call("typed", "anything")
    assert answer._asdict() == {
        "label": "a",
        "count": 0,
        "tags": ["[mock tags]"],
        "note": "[mock note]",
        "level": 0,
    }
    metrics = rt.get_metrics()
    used = metrics.tokens_by_connection("c")
    assert used == metrics.tokens_by_model("M") == metrics.total_tokens()
    assert (used.tokens_in, used.tokens_out) == (5 + 5 + 8, 3 * 42)
    counters = metrics.counters("c")
    assert (
        counters["calls"],
        counters["successes"],
        counters["attempts"],
        counters["in_flight"],
    ) == (3, 3, 3, 0)
    cost = metrics.estimated_cost("c")
    assert (cost, cost.unpriced_tokens, cost.is_complete()) == (0.0, used, False)
    assert metrics.emit_count() == 4
    assert 'concerto_calls_total{connection="c",model="M"} 3' in metrics.to_prometheus()
    with pytest.raises(KeyError, match="did you mean `M`"):
        metrics.tokens_by_model("N")
    request = server.requests()[0]
    assert request["body"] == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"},
        ],
        "temperature": 0.0,
    }
    assert request["headers"]["authorization"] == "***"


@pytest.mark.parametrize(
    ("function", "prompt", "error", "words"),
    [
        ("text", "429", errors.RateLimitedError, "c: 429 rate limit: key *** is busy"),
        ("streamed", "429", errors.RateLimitedError, "429"),
        ("text", "no json", errors.InvalidResponseError, "the answer is no JSON"),
        ("text", "html", errors.ServerError, "502"),
        ("text", "reset", errors.NetworkError, "c: network"),
        ("streamed", "cut", errors.StreamInterruptedError, "after 2 chunks"),
        ("streamed", "reset", errors.StreamInterruptedError, "after 1 chunks"),
        ("typed", "bad answer", errors.SchemaError, '/label: expected one of "a", "b", got "z"'),
        ("typed", "short", errors.SchemaError, "cut off"),
        ("text", " ", errors.InvalidRequestError, "the prompt is empty"),
    ],
)
def test_failures_have_their_class_and_no_secret(
    program: concerto.Program,
    server: concerto.MockServer,
    function: str,
    prompt: str,
    error: type[errors.LlmError],
    words: str,
) -> None:
    rt = runtime(program, server)
    with pytest.raises(error) as caught:
        rt.call(function, prompt)
    assert words in str(caught.value)
    assert caught.value.connection == "c"
    assert KEY not in str(caught.value) + repr(caught.value.value) + rt.get_metrics().to_json()
    if error is errors.StreamInterruptedError:
        assert caught.value.partial_text in ("one two ", "one ")
    if error is errors.SchemaError and prompt == "bad answer":
        assert [v.path for v in caught.value.violations] == ["/label", "/count", "/tags"]
    counters = rt.get_metrics().counters("c")
    assert (
        counters["calls"]
        == counters["successes"] + sum(counters["errors"].values()) + counters["cancelled"]
    )


def test_a_stalled_server_is_a_timeout_with_its_phase(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    rt = runtime(program, server)
    rt.override_connection("c", timeout_ms=50)
    for function in ("text", "streamed"):
        with pytest.raises(errors.CallTimeoutError) as caught:
            rt.call(function, "stall")
        assert caught.value.phase in ("response", "idle")


def test_a_fence_around_the_answer_is_cut_off(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    answer = runtime(program, server).call("typed", "fenced")
    assert (answer.label, answer.count, answer.level, answer.note) == ("b", 2, 3, None)


def test_leaving_a_stream_early_counts_what_came(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    rt = runtime(program, server)
    assert rt.call("first", "hello") == "good "
    counters = rt.get_metrics().counters("c")
    assert counters["cancelled"] == 1
    assert rt.get_metrics().estimated_cost("c").estimated_tokens > 0


def test_programs_match_errors_by_variant_and_kind(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    assert runtime(program, server).call("kind", "429") == "rate_limit: 429"
    wrong = runtime(program, server, key="sk-wrong-9999")
    assert wrong.call("kind", "hello") == "auth: c: 401 authentication: Incorrect API key provided."


def test_a_missing_variable_names_connection_and_field(program: concerto.Program) -> None:
    rt = concerto.Runtime(program, env_allow=[])
    with pytest.raises(
        errors.ConfigurationError,
        match="connection `c`: field `api_key`: environment variable `KEY` is not set",
    ):
        rt.call("text", "hello")


def test_nobody_listens(program: concerto.Program) -> None:
    rt = concerto.Runtime(program, env={"URL": "http://127.0.0.1:9", "KEY": KEY})
    with pytest.raises(errors.NetworkError, match="refused"):
        rt.call("text", "hello")


def test_overrides_are_checked_merged_and_remembered(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    rt = concerto.Runtime(program, env_allow=[])
    rt.override_connection(
        "c",
        concerto.ConnectionConfig(api_key=KEY, base_url=server.url, headers={"X-Team": "search"}),
    )
    assert rt.call("text", "hello") == "good day to you"
    assert server.requests()[0]["headers"]["x-team"] == "search"
    settings = rt.connection_settings("c")
    assert settings["api_key"] == {"value": "***", "origin": "override"}
    assert settings["timeout"] == {"value": 2.0, "origin": "program"}
    assert KEY not in repr(concerto.ConnectionConfig(api_key=KEY))
    for name, fields, words in (
        ("d", {"api_key": "x"}, "did you mean `c`"),
        ("c", {"timeout": 0}, "must be 1 to 86400"),
        ("c", {"timout": 3}, "has no field `timout`"),
    ):
        with pytest.raises(concerto.ConfigError, match=words):
            rt.override_connection(name, **fields)
    with pytest.raises(concerto.ConfigError, match="has no field `timout`"):
        rt.call("text", "hello")
    rt.clear_overrides()
    with pytest.raises(errors.ConfigurationError):
        rt.call("text", "hello")


def test_arguments_are_checked_before_anything_runs(program: concerto.Program) -> None:
    rt = concerto.Runtime(program, mock=True)
    calls: list[tuple[str, tuple[object, ...], dict[str, Any], str]] = [
        ("txt", ("a",), {}, "did you mean `text`"),
        ("text", (), {}, "needs `prompt: String`"),
        ("text", ("a", "b"), {}, "takes 1 arguments, found 2"),
        ("text", (3,), {}, "argument `prompt`: expected a string, got 3"),
        ("text", (), {"promt": "a"}, "did you mean `prompt`"),
        ("text", ("a",), {"prompt": "b"}, "given twice"),
    ]
    for name, args, named, words in calls:
        with pytest.raises(TypeError, match=words):
            rt.call(name, *args, **named)
    with pytest.raises(concerto.ConfigError, match="nothing to run"):
        rt.run()


def test_background_runs_are_iterated_and_cancelled(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    rt = runtime(program, server)
    run = rt.start("streamed", "hello")
    assert [(e.channel, e.payload, e.sequence) for e in run] == [
        ("chunk", "good ", 0),
        ("chunk", "day ", 1),
        ("chunk", "to ", 2),
        ("chunk", "you", 3),
    ]
    assert run.result() == "good day to you"
    assert run.done
    assert run.metrics.tokens_by_model("M").tokens_out == 42
    with rt.start("text", "stall") as stalled:
        with pytest.raises(TimeoutError):
            stalled.result(timeout=0.01)
    with pytest.raises(concerto.RunCancelled):
        stalled.result()


def test_a_handler_that_raises_ends_the_run_with_its_exception(program: concerto.Program) -> None:
    rt = concerto.Runtime(program, mock=True)

    @rt.on("*")
    def refuse(_payload: str) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough") as raised:
        rt.call("streamed", "hello")
    assert raised.value.__notes__ == [
        "raised by a handler of what a Concerto program sent at\n  streamed <text>:9:59"
    ]
    rt.off("*")
    assert rt.call("streamed", "hello") == "[mock response to: hello]"


def test_handlers_run_on_the_calling_thread_most_specific_first(program: concerto.Program) -> None:
    rt = concerto.Runtime(program, mock=True)
    seen: list[tuple[str, int]] = []
    rt.on("*", lambda _: seen.append(("*", threading.get_ident())))
    rt.on("ch*", lambda _: seen.append(("ch*", threading.get_ident())))
    rt.on("chunk", lambda _: seen.append(("chunk", threading.get_ident())))
    rt.call("streamed", "a")
    assert seen[:3] == [(name, threading.get_ident()) for name in ("chunk", "ch*", "*")]


def test_other_threads_go_on_while_a_run_waits(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    rt = runtime(program, server)
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(rt.call("text", "hello"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["good day to you"] * 8


def test_after_fork_the_child_needs_a_runtime_of_its_own(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    rt = runtime(program, server)
    assert rt.call("text", "hello") == "good day to you"
    child = os.fork()
    if child == 0:
        try:
            rt.call("text", "hello")
        except RuntimeError:
            fine = runtime(program, server).call("text", "hello") == "good day to you"
            os._exit(0 if fine else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_programs_pickle_and_describe_themselves(program: concerto.Program) -> None:
    again = pickle.loads(pickle.dumps(program))
    assert again.to_bytes() == program.to_bytes()
    assert [e.name for e in program.entry_points] == ["text", "typed", "streamed", "first", "kind"]
    assert program.entry_points[1].result == "Result<Answer, LlmError>"
    assert program.permissions == (["KEY", "URL"], [])
    assert program.schema("Answer")["required"] == ["label", "count", "tags"]
    assert "execute_with_schema" in program.listing()


def test_a_tampered_program_is_refused(tmp_path: Path, program: concerto.Program) -> None:
    for data in (
        b"",
        b"hello",
        program.to_bytes()[:-9],
        program.to_bytes().replace(b'["return",', b'["return",9'),
    ):
        path = tmp_path / "bad.conc-ir"
        path.write_bytes(data)
        with pytest.raises(concerto.IrError):
            concerto.Program.load(path)


def test_a_closed_runtime_says_so(program: concerto.Program) -> None:
    with concerto.Runtime(program, mock=True) as rt:
        rt.call("text", "hello")
    with pytest.raises(RuntimeError, match="closed"):
        rt.call("text", "hello")
    assert rt.get_metrics().counters("c")["mocked"] == 1


RAW = """
pub fn half(n: Int) -> Result<Int, String> { if n % 2 == 0 { Ok(n / 2) } else { Err("odd") } }
pub fn words() -> Array<String> { std::env::args() }
fn main() -> Result<Array<String>, String> { Ok(std::env::args()) }
"""


def test_a_raw_call_gives_the_result_itself() -> None:
    """8.4: in both kinds of runtime; other errors are raised as ever."""
    program = concerto.compile(RAW)
    rt, art = concerto.Runtime(program), concerto.AsyncRuntime(program)
    for given in (
        [rt.call_raw("half", 4), rt.call_raw("half", n=3), rt.call_raw("words")],
        [asyncio.run(art.call_raw("half", 4)), asyncio.run(art.call_raw("half", n=3)), []],
    ):
        assert given == [concerto.Ok(2), concerto.Err("odd"), []]
    with pytest.raises(concerto.ProgramError):
        rt.call("half", 3)
    with pytest.raises(TypeError):
        rt.call_raw("half", "x")


def test_a_run_has_arguments_of_its_own() -> None:
    """Those of the option are for all runs that bring none."""
    program = concerto.compile(RAW)
    rt, art = concerto.Runtime(program, args=["a"]), concerto.AsyncRuntime(program, args=["a"])
    assert (rt.run(), rt.run("b", "c"), rt.call("words")) == (["a"], ["b", "c"], ["a"])
    assert (asyncio.run(art.run()), asyncio.run(art.run("b"))) == (["a"], ["b"])
