"""`await emit` answered by a C host: at once, later, from another thread, once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.capi.library import CallError, Program, Reply, Runtime, checked, ffi, lib

SOURCE = """
pub async fn ask(name: String) -> String {
    let answer: Result<String, EmitError> = await emit("ask:${name}", { "name": name });
    match answer { Ok(text) => text, Err(e) => "${e.kind}: ${e.message}" }
}
pub async fn both() -> (String, String) { await (ask("a"), ask("b")) }
pub async fn number() -> Int { emit("before", 1); let n: Int = await emit("number"); emit("after", n); n }
"""


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(SOURCE)


@pytest.fixture
def runtime(program: Program) -> Any:
    with Runtime(program, log_level="debug") as made:
        yield made


def test_a_reply_is_given_in_the_callback(runtime: Runtime) -> None:
    """The most specific handler wins; a second for the same channel replaces the first."""
    seen: list[Any] = []
    runtime.on_emit("ask:*", lambda *_: pytest.fail("replaced"))
    runtime.on_emit("ask:*", lambda channel, payload, reply: reply.ok("wide"))

    def narrow(channel: str, payload: Any, reply: Reply) -> None:
        seen.append((channel, payload))
        reply.ok("narrow")

    runtime.on_emit("ask:a", narrow)
    assert runtime.call("both") == ["narrow", "wide"]
    assert seen == [("ask:a", {"name": "a"})]


def test_replies_come_later_from_another_thread_in_any_order(runtime: Runtime) -> None:
    asked: dict[str, Reply] = {}

    def keep(channel: str, _: Any, reply: Reply) -> None:
        asked[channel] = reply
        if len(asked) == 2:
            threading.Thread(target=answer).start()

    def answer() -> None:
        for channel in ("ask:b", "ask:a"):
            asked[channel].ok(channel.upper())

    runtime.on_emit("ask:*", keep)
    assert runtime.call("both") == ["ASK:A", "ASK:B"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda reply: reply.error("no way"), "handler: no way"),
        (lambda reply: lib.concerto_reply_error(reply.handle, ffi.NULL), "`message` is NULL"),
        (lambda reply: lib.concerto_reply_error(reply.handle, b"\xff"), "`message` is no UTF-8"),
        (lambda reply: lib.concerto_reply_ok(reply.handle, b"{", 1), "the reply is no JSON"),
        (lambda reply: lib.concerto_reply_ok(reply.handle, ffi.NULL, 0), "the reply is NULL"),
        (lambda reply: reply.ok(7), "invalid_reply"),
    ],
)
def test_what_is_no_reply_is_an_error_of_the_program(
    runtime: Runtime, answer: Any, expected: str
) -> None:
    runtime.on_emit("ask:x", lambda _channel, _payload, reply: answer(reply))
    assert expected in runtime.call("ask", "x")


def test_only_the_first_answer_counts(runtime: Runtime) -> None:
    def thrice(_channel: str, _payload: Any, reply: Reply) -> None:
        reply.ok("first")
        reply.ok("second")
        reply.error("third")

    runtime.on_emit("ask:x", thrice)
    assert runtime.call("ask", "x") == "first"


def test_what_is_no_handle_of_a_reply_is_let_go() -> None:
    for number in (0, 1 << 40):
        reply = Reply(ffi.cast("concerto_reply *", number))
        reply.ok(1)
        reply.error("x")


def test_without_a_handler_and_without_an_answer(program: Program) -> None:
    with Runtime(program, reply_timeout=5, clock="virtual") as runtime:
        assert runtime.call("ask", "x").startswith("no_listener: ")
    late: list[Reply] = []
    with Runtime(program, reply_timeout=0.01) as runtime:
        runtime.on_emit("ask:x", lambda _c, _p, reply: late.append(reply))
        assert runtime.call("ask", "x").startswith("timeout: ")
        late[0].ok("too late")


def test_a_run_in_the_background_is_answered_by_who_waits_for_it(runtime: Runtime) -> None:
    threads = set()

    def number(_channel: str, _payload: Any, reply: Reply) -> None:
        threads.add(threading.get_ident())
        reply.ok(7)

    runtime.on_emit("number", number)
    with runtime.start("number") as run:
        assert list(run.emits()) == [("before", 1), ("number", None), ("after", 7)]
        assert run.wait() == 7
    seen: list[Any] = []
    runtime.on("*", lambda channel, payload: seen.append((channel, payload)))
    with runtime.start("number") as run:
        assert run.wait() == 7
    assert seen[-1] == ("after", 7)
    assert threads == {threading.get_ident()}


def test_a_request_of_a_run_that_is_freed_is_withdrawn(runtime: Runtime) -> None:
    """The late answer does nothing, and nothing is kept."""
    kept: list[Reply] = []
    runtime.on_emit("number", lambda _c, _p, reply: kept.append(reply))
    run = runtime.start("number")
    assert [run.next_emit(), run.next_emit()] == [("before", 1), ("number", None)]
    with pytest.raises(TimeoutError):
        while True:  # the request comes after the emit that goes with it
            run.next_emit(0 if kept else 1000)
    run.free()
    kept[0].ok(1)


def test_freeing_in_a_request_is_refused(runtime: Runtime) -> None:
    runtime.on_emit("number", lambda *_: lib.concerto_runtime_free(runtime.handle))
    with pytest.raises(CallError) as failed:
        runtime.call("number")
    assert failed.value.status == lib.CONCERTO_BUSY
    assert checked("clear_override", runtime.handle, ffi.NULL) == lib.CONCERTO_OK
