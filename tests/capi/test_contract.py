"""The rules of the C interface, through cffi: ownership, bad arguments, threads, callbacks."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import concerto
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capi.library import CallError, Program, Runtime, checked, encoded, ffi, lib, text
from tests.waiting import wait_for

SOURCE = """
connect c { provider: "openai", api_key: env("K"), default_model: "m-1" }
model M { provider: c }
pub fn double(n: Int) -> Int { n * 2 }
pub fn ask(question: String) -> Result<String, LlmError> { Ok(M.execute(question)?.text) }
pub fn count(to: Int) -> Int { for i in 0..to { emit("n", i); } to }
pub fn forever() -> Int { let mut i = 0; while true { i += 1; emit("n", i); } i }
pub fn fails() -> Result<Int, String> { Err("no\\0way") }
pub fn panics(items: Array<Int>) -> Int { items[7] }
fn main() { emit("done", { "ok": true }); println("printed"); }
"""


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(SOURCE)


@pytest.fixture
def runtime(program: Program) -> Any:
    with Runtime(program, mock=True) as made:
        yield made


def test_versions() -> None:
    assert lib.concerto_abi_version() == 1
    assert text(lib.concerto_version()) == concerto.__version__


def test_a_program_runs(runtime: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[str, Any]] = []
    runtime.on("*", lambda channel, payload: seen.append((channel, payload)))
    assert runtime.run() is None
    assert seen == [("done", {"ok": True})]
    assert capfd.readouterr().out == "printed\n"
    assert runtime.call("double", 21) == runtime.call("double", n=21) == 42
    assert runtime.call("ask", "Hi") == "[mock response to: Hi]"
    assert runtime.metrics()["emit_count"] == 1


def test_a_program_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ü.conc-ir"
    path.write_bytes(concerto.compile(SOURCE).to_bytes())
    with Runtime(path) as runtime:
        assert runtime.call("double", 2) == 4
    with pytest.raises(CallError, match=r"none\.conc-ir") as failed:
        Program(tmp_path / "none.conc-ir")
    assert failed.value.status == lib.CONCERTO_IO
    with pytest.raises(CallError) as failed:
        Program(b"no program")
    assert failed.value.status == lib.CONCERTO_IR


def test_a_runtime_outlives_its_program() -> None:
    runtime = Runtime(Program(SOURCE))  # the only reference to the program ends here
    assert runtime.call("double", 4) == 8
    runtime.free()


PRICE = b'{"input": 1, "output": 1}'

#: Each function with a NULL, or with bytes that are no UTF-8, where a value is needed.
BAD = [
    ("program_load", lambda h: (ffi.NULL, h.out)),
    ("program_load", lambda h: (b"x\xff", h.out)),
    ("program_load", lambda h: (b"x", ffi.NULL)),
    ("program_from_bytes", lambda h: (ffi.NULL, 3, h.out)),
    ("program_from_bytes", lambda h: (b"abc", 3, ffi.NULL)),
    ("runtime_new", lambda h: (ffi.NULL, ffi.NULL, h.out)),
    ("runtime_new", lambda h: (h.program, b"\xff", h.out)),
    ("runtime_new", lambda h: (h.program, b"[]", h.out)),
    ("runtime_new", lambda h: (h.program, ffi.NULL, ffi.NULL)),
    ("override_connection", lambda h: (ffi.NULL, b"c", b"{}")),
    ("override_connection", lambda h: (h.runtime, ffi.NULL, b"{}")),
    ("override_connection", lambda h: (h.runtime, b"c", ffi.NULL)),
    ("override_connection", lambda h: (h.runtime, b"c", b"7")),
    ("override_connection", lambda h: (h.runtime, b"\xc3", b"{}")),
    ("clear_override", lambda h: (ffi.NULL, ffi.NULL)),
    ("clear_override", lambda h: (h.runtime, b"\xc3")),
    ("runtime_on", lambda h: (ffi.NULL, b"x", h.callback, ffi.NULL)),
    ("runtime_on", lambda h: (h.runtime, ffi.NULL, h.callback, ffi.NULL)),
    ("runtime_on", lambda h: (h.runtime, b"\xc3", h.callback, ffi.NULL)),
    ("runtime_on", lambda h: (h.runtime, b"x", ffi.NULL, ffi.NULL)),
    ("runtime_on_emit", lambda h: (ffi.NULL, b"x", h.asked, ffi.NULL)),
    ("runtime_on_emit", lambda h: (h.runtime, ffi.NULL, h.asked, ffi.NULL)),
    ("runtime_on_emit", lambda h: (h.runtime, b"\xc3", h.asked, ffi.NULL)),
    ("runtime_on_emit", lambda h: (h.runtime, b"x", ffi.NULL, ffi.NULL)),
    ("runtime_register_tool", lambda h: (ffi.NULL, b"T", b"m", h.tool, ffi.NULL)),
    ("runtime_register_tool", lambda h: (h.runtime, ffi.NULL, b"m", h.tool, ffi.NULL)),
    ("runtime_register_tool", lambda h: (h.runtime, b"T", b"\xff", h.tool, ffi.NULL)),
    ("runtime_register_tool", lambda h: (h.runtime, b"T", b"m", ffi.NULL, ffi.NULL)),
    ("runtime_off", lambda h: (ffi.NULL, b"x")),
    ("runtime_off", lambda h: (h.runtime, ffi.NULL)),
    ("runtime_off", lambda h: (h.runtime, b"\xc3")),
    ("connection_settings", lambda h: (ffi.NULL, b"c", h.out)),
    ("connection_settings", lambda h: (h.runtime, ffi.NULL, h.out)),
    ("connection_settings", lambda h: (h.runtime, b"\xc3", h.out)),
    ("connection_settings", lambda h: (h.runtime, b"c", ffi.NULL)),
    ("runtime_set_price", lambda h: (ffi.NULL, b"m", b"{}")),
    ("runtime_set_price", lambda h: (h.runtime, ffi.NULL, PRICE)),
    ("runtime_set_price", lambda h: (h.runtime, b"\xc3", PRICE)),
    ("runtime_set_price", lambda h: (h.runtime, b"m", ffi.NULL)),
    ("runtime_set_price", lambda h: (h.runtime, b"m", b"1")),
    ("runtime_set_price", lambda h: (h.runtime, b"m", b'{"input": 1}')),
    ("runtime_run", lambda h: (ffi.NULL, h.out)),
    ("runtime_run", lambda h: (h.runtime, ffi.NULL)),
    ("runtime_call", lambda h: (ffi.NULL, b"double", b"[1]", h.out)),
    ("runtime_call", lambda h: (h.runtime, ffi.NULL, b"[1]", h.out)),
    ("runtime_call", lambda h: (h.runtime, b"\xc3", b"[1]", h.out)),
    ("runtime_call", lambda h: (h.runtime, b"double", b"\xc3", h.out)),
    ("runtime_call", lambda h: (h.runtime, b"double", b"[1", h.out)),
    ("runtime_call", lambda h: (h.runtime, b"double", b"1", h.out)),
    ("runtime_call", lambda h: (h.runtime, b"double", b"[true]", h.out)),
    ("runtime_call", lambda h: (h.runtime, b"double", ffi.NULL, h.out)),
    ("runtime_call", lambda h: (h.runtime, b"doubel", b"[1]", h.out)),
    ("runtime_call", lambda h: (h.runtime, b"double", b"[1]", ffi.NULL)),
    ("run_start", lambda h: (ffi.NULL, b"double", b"[1]", h.out)),
    ("run_start", lambda h: (h.runtime, b"\xc3", b"[1]", h.out)),
    ("run_start", lambda h: (h.runtime, b"double", b"{", h.out)),
    ("run_start", lambda h: (h.runtime, b"double", b"[1]", ffi.NULL)),
    ("run_next_emit", lambda h: (ffi.NULL, 0, h.out, h.out)),
    ("run_next_emit", lambda h: (h.run, 0, ffi.NULL, h.out)),
    ("run_next_emit", lambda h: (h.run, 0, h.out, ffi.NULL)),
    ("run_wait", lambda h: (ffi.NULL, 0, h.out)),
    ("run_wait", lambda h: (h.run, 0, ffi.NULL)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "args"), BAD, ids=[f"{n}-{name}" for n, (name, _) in enumerate(BAD)]
)
def test_bad_arguments_are_refused(
    program: Program, runtime: Runtime, function: str, args: Any
) -> None:
    class Handles:
        def __init__(self) -> None:
            self.program, self.runtime = program.handle, runtime.handle
            self.run = runtime.start("double", 1).handle
            self.callback = ffi.cast("concerto_emit_fn", 1)
            self.tool = ffi.cast("concerto_tool_fn", 1)
            self.asked = ffi.cast("concerto_request_fn", 1)
            self._out = ffi.new("void **")

        @property
        def out(self) -> Any:
            """A place of whatever type the parameter has."""
            return ffi.cast("void *", self._out)

    handles = Handles()
    with pytest.raises(CallError) as failed:
        checked(function, *args(handles))
    assert failed.value.status == lib.CONCERTO_INVALID_ARGUMENT
    assert failed.value.json["kind"] == "arguments"
    # `err` may be NULL.
    status = getattr(lib, f"concerto_{function}")(*args(handles), ffi.NULL)
    assert status == lib.CONCERTO_INVALID_ARGUMENT
    lib.concerto_run_free(handles.run)


def test_nothing_can_be_freed_and_asked() -> None:
    for name in ("program", "runtime", "run", "error", "string"):
        getattr(lib, f"concerto_{name}_free")(ffi.NULL)
    lib.concerto_run_cancel(ffi.NULL)
    lib.concerto_runtime_reset_metrics(ffi.NULL)
    assert lib.concerto_runtime_metrics_json(ffi.NULL) == ffi.NULL
    assert lib.concerto_run_metrics_json(ffi.NULL) == ffi.NULL
    assert lib.concerto_error_kind(ffi.NULL) == lib.CONCERTO_OK
    assert text(lib.concerto_error_message(ffi.NULL)) == ""
    assert json.loads(text(lib.concerto_error_json(ffi.NULL))) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_task": 3}, "a runtime has no option `max_task`; did you mean `max_tasks`?"),
        ({"max_tasks": "3"}, "the option `max_tasks` must be a whole number from 0 on"),
        ({"max_tasks": 0}, "the option `max_tasks` must be at least 1"),
        ({"clock": "sun"}, 'the option `clock` must be "system" or "virtual"'),
        ({"env_allow": ["A", 1]}, "the option `env_allow` must be an array of texts"),
        ({"mock": {"rule": []}}, "is no script"),
        ({"prices": {"m": {"input": 1}}}, "wrong price of `m`: missing field `output`"),
        ({"prices": {"m": {"input": -1, "output": 1}}}, "the price `input` must be 0 to 1000000"),
        ({"connection_overrides": {"d": {}}}, "no connection `d`; did you mean `c`?"),
        ({"connection_overrides": {"c": {"timeout": 0}}}, "`timeout` must be 1 to 86400"),
        ({"max_tool_rounds": 101}, "the option `max_tool_rounds` must be 1 to 100"),
        ({"max_tool_rounds": "3"}, "the option `max_tool_rounds` must be 1 to 100"),
        ({"max_tool_result_bytes": -1}, "`max_tool_result_bytes` must be a whole number from 0 on"),
        ({"tool_permissions": {"T": 1}}, "`tool_permissions` must be an object of truth values"),
        ({"tool_permissions": {"T": True}}, "`T`"),
        ({"worker_threads": 0}, "the option `worker_threads` must be 1 to 1024"),
        ({"execution_timeout": -1}, "the option `execution_timeout` must be positive seconds"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_bad_options_are_refused(program: Program, config: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError) as failed:
        Runtime(program, **config)
    assert message in str(failed.value)
    assert (failed.value.status, failed.value.json["kind"]) == (lib.CONCERTO_CONFIG, "config")


def test_options_are_in_force(program: Program) -> None:
    options: dict[str, Any] = {
        "args": ["a"], "ca_bundle": "/tmp/none.pem", "clock": "virtual", "env": {"K": "sk-1"}, "env_allow": ["K"],
        "connection_overrides": {"c": {"timeout": 7}}, "execution_timeout": 5.5, "fs_mode": "read", "fs_root": "/tmp",
        "http_body_limit": 10, "log_level": "error", "max_call_depth": 9, "max_queued_requests": 2, "max_tasks": 3,
        "max_store_bytes": 1000, "shared_stores": True,
        "mock": {"rules": [{"reply": {"text": "scripted"}}]}, "net_allow": ["a.example"], "offline": True,
        "prices": {"m-*": {"input": 1, "output": 2}}, "program_log_level": "debug", "proxy": "none", "retry_jitter": 0.5,
        "seed": 2**64 - 1, "max_tool_result_bytes": 100, "max_tool_rounds": 3, "tool_permissions": {}, "worker_threads": 1,
    }  # fmt: skip
    with Runtime(program, **options) as runtime:
        assert runtime.call("ask", "Hi") == "scripted"
    with Runtime(program, **dict.fromkeys(options)) as runtime:
        assert runtime.call("double", 1) == 2


def test_errors_tell_all_they_know(runtime: Runtime) -> None:
    with pytest.raises(CallError) as failed:
        runtime.call("fails")
    assert failed.value.status == lib.CONCERTO_PROGRAM
    assert failed.value.json["value"] == "no\0way"
    with pytest.raises(CallError) as failed:
        runtime.call("panics", [1])
    assert failed.value.status == lib.CONCERTO_PANIC
    assert failed.value.json["code"] == "IndexOutOfBounds"
    (frame,) = failed.value.json["trace"]
    assert (frame["function"], frame["line"]) == ("panics", 9)


def test_prices_are_set_for_what_comes(program: Program) -> None:
    """8.6: from then on, at this runtime, by the id of the model or its beginning."""
    with (
        concerto.MockServer() as server,
        Runtime(program, env={"K": "k"}) as runtime,
    ):
        runtime.override("c", base_url=server.url)
        runtime.call("ask", "Hi")
        before = runtime.metrics()["connections"]["c"]
        runtime.set_price("m-*", input=1e6, output=0)
        runtime.call("ask", "Hi")
        after = runtime.metrics()["connections"]["c"]
        used = before["tokens"]["tokens_in"]
        assert (before["cost"]["usd"], after["cost"]["usd"]) == (0, used)
        assert after["tokens"]["tokens_in"] == 2 * used > 0
        with pytest.raises(CallError, match="the price `output` must be 0 to 1000000") as failed:
            runtime.set_price("m-1", input=1, output=-1)
        assert failed.value.status == lib.CONCERTO_CONFIG
        with pytest.raises(CallError, match="unknown field `in`") as failed:
            checked("runtime_set_price", runtime.handle, b"m", b'{"in": 1, "output": 1}')
        assert failed.value.status == lib.CONCERTO_INVALID_ARGUMENT


def test_a_cancelled_run_closes_its_request_at_once(program: Program) -> None:
    """8.4 (6): the fastest of ten rounds, so that the load of the machine has no say."""
    script = json.dumps({"rules": [{"reply": {"fault": "stall"}}]})
    took: list[float] = []
    with (
        concerto.MockServer(script=script) as server,
        Runtime(program, env={"K": "k"}) as runtime,
    ):
        runtime.override("c", base_url=server.url)
        for _ in range(10):
            with runtime.start("ask", "Hi") as run:
                wait_for(lambda: server.counts()["open_requests"] == 1)
                cancelled = time.perf_counter()
                run.cancel()
                wait_for(lambda: server.counts()["open_requests"] == 0)
                took.append(time.perf_counter() - cancelled)
        assert server.counts()["outcomes"] == {"client_closed": 10}
    assert min(took) < 0.1, took


def test_an_override_is_partial_and_cleared(program: Program) -> None:
    """O-3, O-7, O-8: a rejected one fails the next run."""
    with concerto.MockServer() as server, Runtime(program, env_allow=[]) as runtime:
        with pytest.raises(CallError, match="environment variable `K` is not set") as failed:
            runtime.call("ask", "Hi")
        assert failed.value.status == lib.CONCERTO_LLM
        assert (failed.value.json["kind"], failed.value.json["code"]) == ("llm", "config")
        assert failed.value.json["fields"]["field"] == "api_key"
        runtime.override("c", api_key="sk-canary-1", base_url=server.url)
        assert runtime.call("ask", "Hi") == "[mock response to: Hi]"
        with pytest.raises(CallError, match="did you mean `timeout`") as failed:
            runtime.override("c", timout=3)
        assert failed.value.status == lib.CONCERTO_CONFIG
        with pytest.raises(CallError, match="did you mean `timeout`"):
            runtime.run()
        runtime.clear_override()
        with pytest.raises(CallError, match="`K` is not set"):
            runtime.call("ask", "Hi")
        assert runtime.metrics()["connections"]["c"]["successes"] == 1


def test_keys_do_not_show(program: Program, capfd: pytest.CaptureFixture[str]) -> None:
    """E-11: in no error, whatever the server says."""
    key = "sk-canary-4711"
    script = {"rules": [{"reply": {"error": {"status": 401, "message": f"bad key {key}"}}}]}
    with (
        concerto.MockServer(script=json.dumps(script)) as server,
        Runtime(program, log_level="trace") as runtime,
    ):
        runtime.override("c", api_key=key, base_url=server.url)
        with pytest.raises(CallError) as failed:
            runtime.call("ask", "Hi")
        shown = json.dumps(failed.value.json) + str(runtime.metrics())
    assert failed.value.json["code"] == "authentication"
    assert key not in shown + capfd.readouterr().err


def test_a_callback_cancels_with_non_zero(runtime: Runtime) -> None:
    runtime.on("n", lambda _, n: n == 3)
    with pytest.raises(CallError) as failed:
        runtime.call("forever")
    assert (failed.value.status, failed.value.json["kind"]) == (lib.CONCERTO_CANCELLED, "cancelled")
    with runtime.start("forever") as run, pytest.raises(CallError) as failed:
        run.wait()
    assert failed.value.status == lib.CONCERTO_CANCELLED
    assert runtime.call("double", 1) == 2


def test_handlers_are_removed_by_channel(runtime: Runtime) -> None:
    seen: list[tuple[str, int]] = []
    runtime.on("n", lambda _, n: seen.append(("n", n)))
    runtime.on("*", lambda _, n: seen.append(("*", n)))
    runtime.off("n")
    runtime.off("nobody's")
    assert runtime.call("count", 2) == 2
    assert seen == [("*", 0), ("*", 1)]


def test_metrics_of_one_run_and_of_all(runtime: Runtime) -> None:
    """T-14, T-16"""
    runtime.call("ask", "Hi")
    with runtime.start("ask", "Hi") as run:
        run.wait()
        assert run.metrics()["connections"]["c"]["calls"] == 1
    assert runtime.metrics()["connections"]["c"]["calls"] == 2
    lib.concerto_runtime_reset_metrics(runtime.handle)
    assert runtime.metrics()["connections"]["c"]["calls"] == 0


def test_settings_show_where_they_come_from(runtime: Runtime) -> None:
    """O-13: secrets are masked."""
    runtime.override("c", api_key="sk-canary-1", timeout=7)
    settings = runtime.settings("c")
    assert settings["timeout"] == {"value": 7, "origin": "override"}
    assert settings["api_key"] == {"value": "***", "origin": "override"}
    assert settings["default_model"] == {"value": "m-1", "origin": "program"}
    with pytest.raises(CallError, match="no connection `d`") as failed:
        runtime.settings("d")
    assert failed.value.status == lib.CONCERTO_CONFIG


def test_a_run_gives_its_emits_and_its_result(runtime: Runtime) -> None:
    with runtime.start("count", 3) as run:
        assert list(run.emits()) == [("n", 0), ("n", 1), ("n", 2)]
        assert run.wait() == run.wait() == 3
        assert run.next_emit() is None
    with runtime.start(None) as run:
        assert run.wait() is None


def test_waiting_hands_what_was_not_taken_to_the_handlers(runtime: Runtime) -> None:
    """More than the queue holds, so that a wait that took nothing would never end."""
    seen: list[int] = []
    threads = set()

    def on(_: str, n: int) -> None:
        seen.append(n)
        threads.add(threading.get_ident())

    runtime.on("n", on)
    with runtime.start("count", 5000) as run:
        assert run.next_emit() == ("n", 0)
        assert run.wait() == 5000
    assert seen == list(range(1, 5000))
    assert threads == {threading.get_ident()}


def test_waits_end_in_time(program: Program) -> None:
    script = {"rules": [{"reply": {"fault": "stall"}}]}
    with concerto.MockServer(script=json.dumps(script)) as server, Runtime(program) as runtime:
        runtime.override("c", api_key="sk", base_url=server.url)
        with runtime.start("ask", "Hi") as run:
            for wait in (run.wait, run.next_emit):
                for timeout in (0, 1):
                    with pytest.raises(TimeoutError):
                        wait(timeout)
            run.cancel()
            assert run.next_emit() is None
            with pytest.raises(CallError) as failed:
                run.wait()
            assert failed.value.status == lib.CONCERTO_CANCELLED


def test_freeing_in_a_callback_is_refused(runtime: Runtime) -> None:
    """The handle is still there, and the run ends with `CONCERTO_BUSY`."""
    runtime.on("n", lambda *_: lib.concerto_runtime_free(runtime.handle))
    with pytest.raises(CallError, match="freed the handle") as failed:
        runtime.call("count", 3)
    assert failed.value.status == lib.CONCERTO_BUSY
    assert runtime.call("double", 3) == 6
    with runtime.start("count", 3) as run:
        with pytest.raises(CallError) as failed:
            run.wait()
        assert failed.value.status == lib.CONCERTO_BUSY


def test_freeing_a_run_in_its_callback_is_refused(runtime: Runtime) -> None:
    with runtime.start("count", 3) as run:
        runtime.on("n", lambda *_: lib.concerto_run_free(run.handle))
        with pytest.raises(CallError) as failed:
            run.wait()
        assert failed.value.status == lib.CONCERTO_BUSY


def test_a_callback_may_call_the_runtime_again(runtime: Runtime) -> None:
    results: list[int] = []

    def on(_: str, n: int) -> None:
        results.append(runtime.call("double", n))
        with runtime.start("double", n + 100) as run:
            results.append(run.wait())

    runtime.on("n", on)
    assert runtime.call("count", 2) == 2
    with runtime.start("count", 1) as run:
        assert run.wait() == 1
    assert results == [0, 200, 2, 202, 0, 200]


def test_calls_and_callbacks_nest_only_so_deep(runtime: Runtime) -> None:
    """The innermost call is refused; each callback then cancels the run that it was called for."""
    statuses: list[int] = []

    def on(*_: Any) -> int:
        with pytest.raises(CallError) as failed:
            runtime.call("count", 1)
        statuses.append(failed.value.status)
        return 1

    runtime.on("n", on)
    with pytest.raises(CallError):
        runtime.call("count", 1)
    assert statuses == [lib.CONCERTO_BUSY] + [lib.CONCERTO_CANCELLED] * 15


def test_a_callback_cannot_wait_for_its_own_run(runtime: Runtime) -> None:
    statuses: list[int] = []
    runs: list[Any] = []

    def on(*_: Any) -> None:
        out = ffi.new("void **")  # lives as long as the callback; the cast alone would not keep it
        place = ffi.cast("void *", out)
        statuses.append(lib.concerto_run_wait(runs[0].handle, -1, place, ffi.NULL))
        statuses.append(lib.concerto_run_next_emit(runs[0].handle, -1, place, place, ffi.NULL))

    runtime.on("n", on)
    with runtime.start("count", 1) as run:
        runs.append(run)
        assert run.wait() == 1
    assert statuses == [lib.CONCERTO_BUSY] * 2


def test_freeing_on_another_thread_ends_the_runs(program: Program) -> None:
    """No callback after `_free` has returned; the call that was under way ends with `CONCERTO_CANCELLED`."""
    runtime = Runtime(program)
    entered = threading.Event()
    freed = threading.Event()
    late: list[int] = []

    def on(_: str, n: int) -> None:
        entered.set()
        if freed.is_set():
            late.append(n)

    runtime.on("n", on)
    outcome: list[CallError] = []
    handle = runtime.handle

    def call() -> None:
        out = ffi.new("char **")
        try:
            checked("runtime_call", handle, b"forever", ffi.NULL, out)
        except CallError as failure:
            outcome.append(failure)

    calling = threading.Thread(target=call)
    calling.start()
    entered.wait()
    runtime.free()
    freed.set()
    calling.join()
    assert late == []
    assert outcome[0].status == lib.CONCERTO_CANCELLED


def test_one_runtime_serves_many_threads(runtime: Runtime) -> None:
    results: list[int] = []

    def work(n: int) -> None:
        for _ in range(20):
            assert runtime.call("double", n) == 2 * n
            with runtime.start("count", 5) as run:
                assert len(list(run.emits())) == 5
        results.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(8))


def test_overrides_from_a_callback_are_seen_by_the_next_call(program: Program) -> None:
    """O-10."""
    source = (
        SOURCE
        + """
    pub fn two() -> Result<Array<String>, LlmError> {
        let first = M.execute("one")?.model;
        emit("between", nil);
        Ok([first, M.execute("two")?.model])
    }
    """
    )
    with Runtime(source, mock=True) as runtime:
        runtime.on("between", lambda *_: runtime.override("c", default_model="m-2"))
        assert runtime.call("two") == ["m-1", "m-2"]


def test_a_payload_of_any_kind_arrives(runtime: Runtime) -> None:
    assert encoded(None) == ffi.NULL
    source = """
    fn main() { emit("a\\0b", "ü\\0\\u{1F600}"); emit("nil"); emit("text", "x".repeat(100000)); }
    """
    with Runtime(source) as other:
        with other.start(None) as run:
            assert list(run.emits()) == [
                ("a\ufffdb", "ü\0😀"), ("nil", None), ("text", "x" * 100000),
            ]  # fmt: skip


def test_two_threads_may_wait_for_one_run(runtime: Runtime) -> None:
    results: list[Any] = []
    with runtime.start("count", 3000) as run:
        threads = [threading.Thread(target=lambda: results.append(run.wait())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [3000, 3000]


STATUSES = {getattr(lib, name) for name in dir(lib) if name.startswith("CONCERTO_")}


@given(
    data=st.binary(max_size=200)
    | st.from_regex(r"[\[\{\"a-z0-9:,\]\}]{0,30}", fullmatch=True).map(str.encode)
)
def test_no_bytes_do_harm(data: bytes) -> None:
    """As a program, as options, as fields, as a name and as arguments: a status, and the library goes on."""
    program, runtime = shared()
    words = data.split(b"\0")[0]
    out, err = ffi.new("void **"), ffi.new("concerto_error **")
    place = ffi.cast("void *", out)
    calls: list[tuple[Callable[[], int], Any]] = [
        (lambda: lib.concerto_program_from_bytes(data, len(data), place, err), lib.concerto_program_free),
        (lambda: lib.concerto_runtime_new(program.handle, words, place, err), lib.concerto_runtime_free),
        (lambda: lib.concerto_runtime_call(runtime.handle, words, ffi.NULL, place, err), lib.concerto_string_free),
        (lambda: lib.concerto_runtime_call(runtime.handle, b"double", words, place, err), lib.concerto_string_free),
        (lambda: lib.concerto_override_connection(runtime.handle, b"c", words, err), None),
        (lambda: lib.concerto_override_connection(runtime.handle, words, b"{}", err), None),
    ]  # fmt: skip
    for call, free in calls:
        status = call()
        assert status in STATUSES
        assert (err[0] == ffi.NULL) == (status == lib.CONCERTO_OK)
        lib.concerto_error_free(err[0])
        if free is not None:
            free(ffi.cast(ffi.typeof(free).args[0], out[0]))
    lib.concerto_clear_override(runtime.handle, ffi.NULL, ffi.NULL)
    assert runtime.call("double", 2) == 4


@cache
def shared() -> tuple[Program, Runtime]:
    program = Program(SOURCE)
    return program, Runtime(program, mock=True)


def test_a_child_process_makes_its_own_runtimes(program: Program) -> None:
    with Runtime(program, mock=True) as runtime:
        with runtime.start("ask", "Hi") as run:
            assert run.wait() == "[mock response to: Hi]"  # the threads of the parent are there
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with Runtime(program, mock=True) as own, own.start("ask", "Hi") as run:
                    code = int(run.wait() != "[mock response to: Hi]")
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
