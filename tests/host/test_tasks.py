"""Tasks of a program against a real server: that calls are really in flight together, and that what is cancelled lets go (library reference 6).

`together` in a reply proves it without a clock: the server answers only when so many requests wait at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import concerto
import pytest

from tests.waiting import wait_for

HEAD = """
connect c { base_url: env("URL"), default_model: "m", timeout: 30 }
model M { provider: c }
fn ask(text: String) -> Result<String, LlmError> { Ok(M.execute(text)?.text) }
async fn asked(text: String) -> Result<String, LlmError> { ask(text) }
"""

RULES = [
    {"match": {"contains": "pair"}, "reply": {"text": "both", "together": 2}},
    {"match": {"contains": "trio"}, "reply": {"text": "all", "together": 3}},
    {"match": {"contains": "never"}, "reply": {"fault": "stall"}},
    {"match": {"contains": "deny"}, "reply": {"error": {"status": 401, "message": "no"}}},
    {"match": {}, "reply": {"text": "quick"}},
]


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=json.dumps({"rules": RULES})) as running:
        yield running


def runtime(server: concerto.MockServer, source: str, **options: Any) -> concerto.Runtime:
    return concerto.Runtime(concerto.compile(HEAD + source), env={"URL": server.url}, **options)


TOGETHER = {
    "await": 'let (a, b) = await (ask("pair 1"), asked("pair 2")); Ok([a?, b?])',
    "parallel": 'Ok(parallel for n in 1..3 { ask("pair ${n}")? })',
    "streams": """Ok(parallel for n in 1..3 {
        let mut text = "";
        for chunk in M.stream("pair ${n}")? { text += chunk.text; }
        text
    })""",
    "spawn": 'let t = spawn ask("pair 1"); let b = ask("pair 2")?; Ok([t.result().unwrap()?, b])',
    "closures": 'Ok(parallel for f in [|| ask("pair 1"), || ask("pair 2")] { f()? })',
}


@pytest.mark.parametrize("form", TOGETHER)
def test_calls_of_a_run_are_in_flight_together(server: concerto.MockServer, form: str) -> None:
    source = f"pub async fn go() -> Result<Array<String>, LlmError> {{ {TOGETHER[form]} }}"
    assert runtime(server, source).call("go") == ["both", "both"]
    assert server.counts()["most_open_requests"] == 2


def test_a_run_in_the_background_drives_its_tasks_too(server: concerto.MockServer) -> None:
    source = 'pub fn go() -> Result<Int, LlmError> { Ok((parallel for n in 1..4 { emit("n", n); ask("trio")? }).len()) }'
    run = runtime(server, source).start("go")
    assert [emit.payload for emit in run] == [1, 2, 3]
    assert run.result() == 3


def test_a_plain_function_may_wait_inside_of_any_form(server: concerto.MockServer) -> None:
    source = """
    fn both() -> Result<String, LlmError> { let (a, b) = await (ask("pair 1"), ask("pair 2")); Ok("${a?} ${b?}") }
    pub fn go() -> Result<Array<String>, LlmError> { Ok([both()?]) }
    """
    assert runtime(server, source).call("go") == ["both both"]


def test_max_bounds_how_many_run_at_once_and_the_order_is_kept(
    server: concerto.MockServer,
) -> None:
    source = """pub fn go() -> Result<Array<String>, LlmError> {
        Ok(parallel(max: 2) for n in 0..6 { "${n} ${ask("pair")?}" })
    }"""
    assert runtime(server, source).call("go") == [f"{n} both" for n in range(6)]
    assert server.counts()["most_open_requests"] == 2
    assert server.counts()["requests"] == 6


def test_without_max_the_smallest_limit_of_the_connections_used_decides(
    server: concerto.MockServer,
) -> None:
    source = """
    connect d { base_url: env("URL"), default_model: "m", rate_limit: { concurrent_requests: 2 } }
    connect e { base_url: env("URL"), default_model: "m", rate_limit: { concurrent_requests: 1 } }
    model D { provider: d }
    model E { provider: e }
    fn indirectly(n: Int) -> Result<String, LlmError> { emit("begin", n); Ok(D.execute("pair")?.text) }
    pub fn go() -> Result<Int, LlmError> {
        let texts = parallel for n in 0..4 { let text = indirectly(n)?; emit("end", n); text };
        Ok(texts.len())
    }"""
    run = runtime(server, source).start("go")
    seen = [(emit.channel, emit.payload) for emit in run]
    assert run.result() == 4
    # The third begins when one of the first two has ended: `e`, which is not used, does not count.
    assert [channel for channel, _ in seen[:3]] == ["begin", "begin", "end"]


@pytest.mark.parametrize(
    "form",
    [
        'race(ask("never"), ask("x"))',
        'race(ask("x"), ask("never"))',
        'first_ok(ask("deny"), ask("never"), ask("x")).map_err(|es| es[0])',
    ],
)
def test_losers_are_aborted_and_free_their_slot(server: concerto.MockServer, form: str) -> None:
    source = f"""
    pub fn go() -> Result<Array<String>, LlmError> {{
        let first = ({form})?;
        let more = parallel for n in 0..2 {{ ask("pair")? }};
        Ok([first, more[0]])
    }}"""
    own = runtime(server, source)
    # With the slot of the loser still taken, the pair could not be in flight together.
    limits = concerto.RateLimitConfig(concurrent_requests=2)
    own.override_connection("c", concerto.ConnectionConfig(rate_limit=limits))
    assert own.call("go") == ["quick", "both"]
    wait_for(lambda: server.counts()["open_requests"] == 0)
    outcomes = server.counts()["outcomes"]
    assert outcomes.pop("complete") == server.counts()["requests"] - sum(outcomes.values())
    assert outcomes in ({"client_closed": 1}, {})


def test_an_error_in_an_element_cancels_its_siblings(server: concerto.MockServer) -> None:
    source = """
    pub fn go() -> Result<Int, LlmError> {
        let texts = parallel for text in ["never", "deny", "never"] { emit("begin", text); let t = ask(text)?; emit("end", t); t };
        emit("after", nil);
        Ok(texts.len())
    }"""
    run = runtime(server, source).start("go")
    seen = [(emit.channel, emit.payload) for emit in run]
    with pytest.raises(concerto.LlmError) as failed:
        run.result()
    assert failed.value.kind == "authentication"
    assert seen == [("begin", "never"), ("begin", "deny"), ("begin", "never")]
    wait_for(lambda: server.counts()["open_requests"] == 0)
    assert server.counts()["outcomes"]["complete"] == 1


def test_a_panic_in_an_element_ends_the_run_and_tells_who_waits(
    server: concerto.MockServer,
) -> None:
    source = """
    fn inner(n: Int) -> Int {
        let (a, b) = await (1 / n, ask("never"));
        a + b.unwrap().len()
    }
    pub fn go() -> Int { let xs = parallel for n in [0] { inner(n) }; xs[0] }
    """
    with pytest.raises(concerto.PanicError) as caught:
        runtime(server, source).call("go")
    assert caught.value.kind == "DivisionByZero"
    assert [f.function for f in caught.value.trace] == ["task", "inner", "task", "go"]
    assert server.counts()["requests"] == 0


def test_unfinished_tasks_are_cancelled_with_a_warning_each(
    server: concerto.MockServer, capfd: pytest.CaptureFixture[str]
) -> None:
    source = """
    pub fn go() -> Bool {
        let t = spawn ask("never");
        let u = spawn { emit("begin", nil); let _ = ask("never"); emit("end", nil); };
        ask("x").is_ok() && !t.is_done() && !u.is_done()
    }"""
    assert runtime(server, source).call("go") is True
    warnings = capfd.readouterr().err.splitlines()
    assert len(warnings) == 2
    assert all("was cancelled at <text>" in line for line in warnings), warnings
    wait_for(lambda: server.counts()["open_requests"] == 0)
    assert server.counts()["outcomes"]["complete"] == 1


def test_a_cancelled_task_has_no_value(server: concerto.MockServer) -> None:
    source = """
    pub fn go() -> String {
        let t = spawn ask("never");
        let waiting = spawn { t.result() };
        t.cancel();
        t.cancel();
        match waiting.result() { Ok(Err(e)) => "${e.kind}: ${e}, ${t.is_done()}", _ => "no" }
    }
    pub async fn wrong() -> String {
        let t = spawn ask("never");
        t.cancel();
        t.await.unwrap()
    }"""
    own = runtime(server, source)
    assert own.call("go") == "cancelled: the task was cancelled, true"
    with pytest.raises(concerto.PanicError, match="the task was cancelled") as caught:
        own.call("wrong")
    assert caught.value.kind == "TaskCancelled"
    wait_for(lambda: server.counts()["open_requests"] == 0)


def test_a_future_is_shared_by_those_who_await_it(server: concerto.MockServer) -> None:
    source = """
    pub async fn go() -> Result<Array<String>, LlmError> {
        let f = asked("x");
        let (a, b) = await (f, { let text = f.await?; Ok(text) });
        Ok([a?, b?, f.await?])
    }
    pub async fn lost() -> String {
        let f = asked("never");
        let first = race(f, ask("x"));
        first.unwrap()
    }"""
    own = runtime(server, source)
    assert own.call("go") == ["quick"] * 3
    assert server.counts()["requests"] == 1
    # Nobody waits for the future any more, so it is cancelled.
    assert own.call("lost") == "quick"
    wait_for(lambda: server.counts()["outcomes"].get("client_closed") == 1)


def test_tasks_of_top_level_statements_live_until_main_ends(server: concerto.MockServer) -> None:
    source = (
        'spawn { let t = ask("pair"); emit("top", t); };\nfn main() { emit("main", ask("pair")); }'
    )
    seen: list[str] = []
    runtime(server, source).observe(None, {}, lambda emit: seen.append(emit.channel), print)
    assert sorted(seen) in (["main", "top"], ["main"])
    assert server.counts()["most_open_requests"] == 2


def test_the_number_of_tasks_is_limited(server: concerto.MockServer) -> None:
    source = 'pub fn go(n: Int) -> Int { (parallel(max: 1000) for i in 0..n { ask("x").is_ok() }).len() }'
    own = runtime(server, source, max_tasks=10)
    assert own.call("go", 10) == 10
    with pytest.raises(concerto.PanicError, match="more than 10 tasks at a time") as caught:
        own.call("go", 11)
    assert caught.value.kind == "LimitExceeded"
    assert caught.value.trace[0].function == "go"


@pytest.mark.parametrize("source", ["0", "-1"])
def test_max_is_positive(server: concerto.MockServer, source: str) -> None:
    with pytest.raises(concerto.PanicError, match="`max` must be at least 1") as caught:
        runtime(server, "pub fn go(n: Int) { parallel(max: n) for i in 0..9 { }; }").call(
            "go", int(source)
        )
    assert caught.value.kind == "InvalidArgument"


def test_cancelling_a_run_closes_the_requests_of_all_its_tasks(server: concerto.MockServer) -> None:
    source = 'pub fn go() { spawn ask("never"); parallel for n in 0..3 { ask("never").is_ok() }; }'
    run = runtime(server, source).start("go")
    wait_for(lambda: server.counts()["open_requests"] == 4)
    run.cancel()
    wait_for(lambda: server.counts()["outcomes"] == {"client_closed": 4})


def test_execution_timeout_ends_all_tasks(server: concerto.MockServer) -> None:
    source = "pub fn go() { parallel for n in 0..3 { loop { } }; }"
    with pytest.raises(concerto.LimitError):
        runtime(server, source, execution_timeout=0.05).call("go")


def test_a_task_that_computes_does_not_keep_others_from_their_server(
    server: concerto.MockServer,
) -> None:
    # Between two suspensions a task is alone, so the other one goes on when it has ended.
    source = """
    fn count() -> Int { let mut n = 0; while n < 2000000 { n += 1; } n }
    pub fn go() -> Bool {
        let (a, n, b) = await (ask("pair"), { emit("begin", nil); let n = count(); emit("end", nil); n }, ask("pair"));
        a.is_ok() && b.is_ok() && n == 2000000
    }"""
    run = runtime(server, source).start("go")
    assert [emit.channel for emit in run] == ["begin", "end"]
    assert run.result() is True


def test_failed_tasks_are_reported_unless_somebody_asked(server: concerto.MockServer) -> None:
    source = """
    pub fn go() {
        let seen = spawn ask("deny");
        spawn { ask("deny")? };
        spawn { throw "on purpose"; };
        spawn ask("x");
        assert(seen.result().unwrap().is_err());
        assert(ask("x").is_ok() && ask("x").is_ok());
    }"""
    run = runtime(server, source).start("go")
    told = [emit.payload for emit in run if emit.channel == "task:error"]
    run.result()
    assert {"on purpose"} <= {record["error"] for record in told}
    assert all(record["task"] > 1 for record in told)


def test_requests_of_std_http_wait_as_tasks(server: concerto.MockServer) -> None:
    source = """
    pub fn go(url: String) -> Array<Int> {
        let body = { "model": "m", "messages": [{ "role": "user", "content": "pair" }] };
        parallel for _ in 0..2 { match std::http::post("${url}/chat/completions", body) { Ok(r) => r.status, Err(_) => 0 } }
    }"""
    assert runtime(server, source).call("go", server.url) == [200, 200]
    assert server.counts()["most_open_requests"] == 2


def test_a_time_limit_holds_for_what_an_async_function_gives() -> None:
    source = """
    async fn slow() -> Int { std::time::sleep(50); 3 }
    pub fn go() -> String {
        let later = async || { std::time::sleep(50); 1 };
        let all = [
            std::task::timeout(20, async || { std::time::sleep(50); 1 }), std::task::timeout(20, slow),
            std::task::timeout(f: slow, ms: 100), std::task::timeout(100, later), std::task::timeout(20, || 4),
        ];
        "${all.map(|r| r.ok())}"
    }
    """
    runtime = concerto.Runtime(concerto.compile(source), clock=concerto.VirtualClock())
    assert runtime.call("go") == "[None, None, Some(3), Some(1), Some(4)]"
