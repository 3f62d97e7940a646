"""What calls used, as hosts see it, rule by rule (T-1 to T-21)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import concerto
import pytest
from concerto import errors

from tests.waiting import wait_for

PROGRAM = """
connect c { base_url: env("URL"), default_model: "gpt-4o-mini", timeout: 5 }
connect free_ollama { base_url: env("URL"), default_model: "llama3.1" }
connect idle { base_url: "http://127.0.0.1:9", default_model: "m" }
model Fast { provider: c }
model Own { provider: c, base: "own-model" }
model Local { provider: free_ollama }
pub fn fast(prompt: String) -> Result<String, LlmError> { Ok(Fast.execute(prompt)?.text) }
pub fn own(prompt: String) -> Result<Option<Float>, LlmError> { Ok(Own.execute(prompt)?.cost) }
pub fn local(prompt: String) -> Result<String, LlmError> { Ok(Local.execute(prompt)?.text) }
pub fn streamed(prompt: String) -> Result<Int, LlmError> {
    let mut chunks = 0;
    for chunk in Fast.stream(prompt)? { chunks += 1; emit("chunk", chunk.text); }
    Ok(chunks)
}
"""

USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "cached_tokens": 200}
SCRIPT = json.dumps(
    {
        "rules": [
            {"match": {"contains": "priced"}, "reply": {"text": "ok then", "usage": USAGE}},
            {"match": {"contains": "busy"}, "reply": {"error": {"status": 429}}},
            {"match": {"contains": "broken"}, "reply": {"error": {"status": 500}}},
            {"match": {"contains": "stall"}, "reply": {"fault": "stall"}},
        ]
    }
)


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=SCRIPT) as running:
        yield running


@pytest.fixture
def runtime(program: concerto.Program, server: concerto.MockServer) -> concerto.Runtime:
    return concerto.Runtime(program, env={"URL": server.url})


def test_tokens_and_cost(runtime: concerto.Runtime) -> None:
    """T-1 to T-5, T-7."""
    runtime.call("fast", "priced")
    metrics = runtime.get_metrics()
    used = metrics.tokens_by_connection("c")
    assert (used.tokens_in, used.tokens_out, used.tokens_cached, used.total) == (
        1000,
        500,
        200,
        1500,
    )
    assert used == 1500
    assert metrics.tokens_by_model("Fast") == 1500
    assert metrics.tokens_by_model("Own") == 0
    assert metrics.tokens_by_base("gpt-4o-mini") == 1500
    assert metrics.tokens_by_base("never-seen") == 0
    cost = metrics.estimated_cost("c")
    assert cost == pytest.approx((800 * 0.15 + 200 * 0.075 + 500 * 0.6) / 1e6)
    assert (cost.usd, cost.is_complete()) == (float(cost), True)
    assert metrics.total_estimated_cost() == cost
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", metrics.price_table_date())


def test_known_and_unknown_names(runtime: concerto.Runtime) -> None:
    """T-6."""
    metrics = runtime.get_metrics()
    assert (metrics.tokens_by_connection("idle"), metrics.tokens_by_model("Own")) == (0, 0)
    assert [metrics.is_known(name) for name in ("idle", "Own", "Slow")] == [True, True, False]
    for read, name, words in (
        (metrics.tokens_by_connection, "free_olama", "did you mean `free_ollama`"),
        (metrics.tokens_by_model, "Fats", "did you mean `Fast`"),
        (metrics.estimated_cost, "else", "declared: c, free_ollama, idle"),
        (metrics.counters, "Fats", "did you mean `Fast`"),
    ):
        with pytest.raises(KeyError, match=words):
            read(name)
    with pytest.raises(KeyError, match="did you mean `latency_ms`"):
        metrics.distribution("c", "latncy_ms")


def test_sources_of_prices(program: concerto.Program, server: concerto.MockServer) -> None:
    """T-8, T-9: host, then manifest and table; ollama is free; else unknown, which is never zero."""
    runtime = concerto.Runtime(program, env={"URL": server.url})
    assert runtime.call("own", "priced") is None
    cost = runtime.get_metrics().estimated_cost("c")
    assert (cost, cost.unpriced_tokens, cost.is_complete()) == (0.0, 1500, False)
    runtime.set_price("own-*", input=1000, output=2000, cached=500)
    expected = (800 * 1000 + 200 * 500 + 500 * 2000) / 1e6
    assert runtime.call("own", "priced") == pytest.approx(expected)
    cost = runtime.get_metrics().estimated_cost("c")
    assert cost.usd == pytest.approx(expected)
    assert cost.unpriced_tokens == 1500
    runtime.call("local", "priced")
    cost = runtime.get_metrics().estimated_cost("free_ollama")
    assert (cost, cost.unpriced_tokens, cost.is_complete()) == (0.0, 0, True)
    given = {
        "own-model": {"input": 1.0, "output": 0.0},
        "gpt-4o-mini": {"input": 2.0, "output": 2.0},
    }
    other = concerto.Runtime(program, env={"URL": server.url}, prices=given)
    assert other.call("own", "priced") == pytest.approx(0.001)
    other.call("fast", "priced")
    assert other.get_metrics().estimated_cost("c") == pytest.approx(0.001 + 0.003)
    wrong: list[tuple[dict[str, float], str]] = [
        ({"input": 1}, "wrong price of `m`: missing field `output`"),
        ({"input": 1, "output": 2, "cahced": 3}, "unknown field `cahced`, expected one of"),
    ]
    for price, words in wrong:
        with pytest.raises(concerto.ConfigError, match=words):
            concerto.Runtime(program, prices={"m": price})
    with pytest.raises(concerto.ConfigError, match="`input` must be 0 to 1000000"):
        runtime.set_price("m", input=-1, output=0)


def test_counters_distributions_and_identities(runtime: concerto.Runtime) -> None:
    """T-10 to T-13."""
    runtime.call("fast", "hello")
    assert runtime.call("streamed", "hello") == 4
    for prompt in ("busy", "broken", "busy"):
        with pytest.raises(errors.LlmError):
            runtime.call("own", prompt)
    metrics = runtime.get_metrics()
    c = metrics.counters("c")
    assert c["errors"] == {"rate_limit": 2, "server_error": 1}
    numbers = {
        name: value for name, value in c.items() if name not in ("errors", "bytes_in", "bytes_out")
    }
    assert numbers == {
        "calls": 5, "attempts": 5, "retries": 0, "rounds": 5, "successes": 2, "cancelled": 0, "mocked": 0, "cached": 0, "in_flight": 0, "queued": 0, "chunks": 4,
        "tool_calls": 0,
    }  # fmt: skip
    assert c["bytes_in"] > 0
    assert c["bytes_out"] > 0
    for name in (*metrics.connections(), *metrics.models()):
        each = metrics.counters(name)
        ended = each["successes"] + sum(each["errors"].values()) + each["cancelled"]
        assert each["calls"] == ended + each["in_flight"]
        assert each["retries"] == each["attempts"] - each["rounds"]
    models = [metrics.tokens_by_model(name) for name in ("Fast", "Own")]
    assert sum(models) == metrics.tokens_by_connection("c") == metrics.total_tokens()
    counts = {
        which: metrics.distribution("c", which)["count"]
        for which in ("queue_time_ms", "latency_ms", "attempt_ms", "time_to_first_chunk_ms")
    }
    assert counts == {
        "queue_time_ms": 5,
        "latency_ms": 5,
        "attempt_ms": 5,
        "time_to_first_chunk_ms": 1,
    }
    latency = metrics.distribution("c", "latency_ms")
    assert list(latency) == ["count", "sum", "min", "max", "p50", "p90", "p95", "p99", "buckets"]
    assert latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
    bounds = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000]
    assert [bound for bound, _ in latency["buckets"]] == bounds
    assert (metrics.model_calls(), metrics.errors(), metrics.emit_count()) == (5, 3, 4)
    assert metrics.execution_time_ms() >= 0
    assert (metrics.connections(), metrics.models()) == (
        ["c", "free_ollama", "idle"],
        ["Fast", "Local", "Own"],
    )
    assert metrics.connection_of("Local") == "free_ollama"


def test_scopes(
    runtime: concerto.Runtime, program: concerto.Program, server: concerto.MockServer
) -> None:
    """T-14: a run alone, a runtime, and nothing between two runtimes."""
    runtime.call("fast", "hello")
    run = runtime.start("fast", "priced")
    run.result(timeout=20)
    assert run.metrics.tokens_by_connection("c") == 1500
    assert run.metrics.model_calls() == 1
    assert 'concerto_calls_total{connection="c",model="Fast"} 1' in run.metrics.to_prometheus()
    assert runtime.get_metrics().model_calls() == 2
    assert concerto.Runtime(program, env={"URL": server.url}).get_metrics().model_calls() == 0


def test_snapshots_do_not_change(runtime: concerto.Runtime) -> None:
    """T-15: also taken inside a handler, and every form shows the same point in time."""
    seen: list[concerto.Metrics] = []
    runtime.on("chunk", lambda _: seen.append(runtime.get_metrics()))
    runtime.call("streamed", "hello")
    after = runtime.get_metrics()
    first = seen[0]
    assert first.counters("c")["in_flight"] == 1
    assert first.emit_count() == 1
    line = 'concerto_in_flight{connection="c",model="Fast"} 1'
    assert line in first.to_prometheus()
    assert json.loads(first.to_json()) == first.to_dict()
    assert after.counters("c")["in_flight"] == 0


def test_reset_with_a_call_in_flight(
    runtime: concerto.Runtime, server: concerto.MockServer
) -> None:
    """T-16."""
    runtime.call("fast", "priced")
    run = runtime.start("fast", "stall")
    wait_for(lambda: runtime.get_metrics().counters("c")["attempts"] >= 2)
    runtime.reset_metrics()
    counters = runtime.get_metrics().counters("c")
    assert (counters["calls"], counters["successes"], counters["in_flight"]) == (1, 0, 1)
    assert runtime.get_metrics().tokens_by_connection("c") == 0
    run.cancel()
    with pytest.raises(concerto.RunCancelled):
        run.result(timeout=20)
    counters = runtime.get_metrics().counters("c")
    assert (counters["calls"], counters["cancelled"], counters["in_flight"]) == (1, 1, 0)


def test_the_stable_keys_of_the_json_form(runtime: concerto.Runtime) -> None:
    """T-17."""
    found = json.loads(runtime.get_metrics().to_json())
    assert sorted(found) == [
        "bases",
        "connections",
        "emit_count",
        "execution_time_ms",
        "models",
        "price_table_date",
        "tool_calls",
        "tools",
    ]
    assert sorted(found["models"]["Fast"]) == [
        "attempts", "bytes_in", "bytes_out", "cached", "calls", "cancelled", "chunks", "connection", "cost", "errors", "in_flight", "mocked", "queued", "retries",
        "rounds", "successes", "tokens", "tool_calls",
    ]  # fmt: skip
    extra = set(found["connections"]["c"]) - set(found["models"]["Fast"])
    times = {"queue_time_ms", "latency_ms", "attempt_ms", "time_to_first_chunk_ms"}
    assert extra == times | {"server_limits"}


class _Absurd(BaseHTTPRequestHandler):
    """Answers with the usage in the path."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        number = self.path.split("/")[1]
        choice = '{"message": {"content": "four"}, "finish_reason": "stop"}'
        usage = f'{{"prompt_tokens": {number}, "completion_tokens": {number}}}'
        body = f'{{"model": "m", "choices": [{choice}], "usage": {usage}}}'.encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("number", ["-1", "1.5", "1000000001", "1e30"])
def test_absurd_usage_is_ignored(program: concerto.Program, number: str) -> None:
    """T-20: the estimate is used instead."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Absurd) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/{number}"
        runtime = concerto.Runtime(program, env={"URL": url})
        runtime.call("fast", "hello")
        server.shutdown()
        thread.join()
    metrics = runtime.get_metrics()
    used = metrics.tokens_by_connection("c")
    assert (used.tokens_in, used.tokens_out) == (6, 1), "5 bytes and a message; 4 bytes"
    assert metrics.estimated_cost("c").estimated_tokens == 7


def test_the_table_of_the_command_line(runtime: concerto.Runtime) -> None:
    """T-21, T-9: what went wrong, and what the cost lacks, stand below it."""
    from concerto.cli.metrics import render_table

    runtime.call("fast", "priced")
    for prompt in ("busy", "broken", "busy"):
        with pytest.raises(errors.LlmError):
            runtime.call("own", prompt)
    runtime.call("own", "priced")
    lines = render_table(runtime.get_metrics()).splitlines()
    assert lines[0].split()[:3] == ["connection", "calls", "failed"]
    assert lines[2].split()[:5] == ["c", "5", "3", "2,000", "1,000"]
    assert lines[3].split()[:3] == ["Fast", "1", "0"]
    assert "c: errors: rate_limit 2, server_error 1" in lines
    assert "c: cost is incomplete: 1,500 tokens have no known price" in lines
    assert lines[-1].startswith("total: $0.00044 + 1,500 unpriced in ")


def test_limits_of_the_server(program: concerto.Program) -> None:
    """C-92: recorded by connection, from good answers too."""
    headers = [
        ["x-ratelimit-limit-tokens", "1000"],
        ["x-ratelimit-remaining-tokens", "12"],
        ["x-ratelimit-reset-tokens", "6m0s"],
    ]
    script = json.dumps({"rules": [{"reply": {"text": "ok", "headers": headers}}]})
    with concerto.MockServer(script=script) as server:
        runtime = concerto.Runtime(program, env={"URL": server.url}, clock=concerto.VirtualClock())
        runtime.call("fast", "hello")
        metrics = runtime.get_metrics()
    told = {"tokens": {"limit": 1000, "remaining": 12, "resets_in_ms": 360_000}}
    assert metrics.server_limits("c") == told
    assert metrics.server_limits("idle") == {}
    assert "server_limits" not in metrics.counters("c")


def test_no_tool_is_ever_called(runtime: concerto.Runtime) -> None:
    """T-13: the count is there, and 0 as long as there are no tools."""
    runtime.call("fast", "hello")
    assert runtime.get_metrics().tool_calls() == 0
    assert json.loads(runtime.get_metrics().to_json())["tool_calls"] == 0
