"""Emits, with and without a reply, from Python: rules EM-1 to EM-15 of the LLM reference, 8.4 of the host API."""

from __future__ import annotations

import gc
import json
import os
import pty
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import concerto
import pytest
from concerto.source import Source


def runtime(text: str, **options: Any) -> concerto.Runtime:
    return concerto.Runtime(concerto.compile(text), **options)


ASK = """
pub async fn ask(what: Any = nil) -> Any {
    match await emit("ask", what) { Ok(v) => v, Err(e) => [e.kind, e.message, e.channel] }
}
"""


# One way


def test_em_1_emit_gives_nil_and_without_payload_sends_nil() -> None:
    seen: list[Any] = []
    made = runtime('pub fn f() -> Bool { let n = emit("a"); n == nil }')
    made.on("a", seen.append)
    assert made.call("f") is True
    assert seen == [None]


def test_em_2_a_channel_is_any_text_but_the_empty_one() -> None:
    seen: list[Any] = []
    made = runtime(
        "pub fn f(c: String) { emit(c, 1); } pub async fn g(c: String) { await emit(c); }"
    )
    made.on("*", seen.append)
    made.call("f", "ä b: 🙂")
    assert seen == [1]
    for name in "fg":
        with pytest.raises(concerto.PanicError) as caught:
            made.call(name, "")
        assert caught.value.kind == "InvalidArgument"


def test_em_3_the_payload_is_a_snapshot() -> None:
    seen: list[Any] = []
    made = runtime('fn main() { let mut xs = [1]; emit("a", xs); xs.push(2); emit("a", xs); }')
    made.on("a", seen.append)
    made.run()
    assert seen == [[1], [1, 2]]


def test_em_4_handlers_are_called_in_order_before_the_program_goes_on() -> None:
    seen: list[tuple[str, Any]] = []
    made = runtime(
        'fn main() { print("1"); emit("a:x", 1); print("2"); emit("b", 2); emit("a:x", 3); }'
    )
    made.on("*", lambda value: seen.append(("*", value)))
    made.on("a:*", lambda value: seen.append(("a:*", value)))
    made.on("a:x", lambda value: seen.append(("first", value)))
    made.on("a:x", lambda value: seen.append(("second", value)))
    printed: list[str] = []
    made.run()
    order = ["first", "second", "a:*", "*"]
    assert seen == [
        *((name, 1) for name in order),
        ("*", 2),
        *((name, 3) for name in order),
    ]
    both: list[Any] = []
    made.observe(None, {}, lambda emit: both.append(emit.payload), both.append)
    assert both == ["1", 1, "2", 2, 3]
    assert printed == []


def test_em_4_an_emit_without_listener_is_dropped_and_counted() -> None:
    made = runtime('fn main() { emit("a", 1); emit("b", 2); }')
    made.run()
    assert made.get_metrics().emit_count() == 2


def test_the_fields_of_an_emit() -> None:
    made = runtime(
        'async fn main() { emit("a", 1); let t = spawn { emit("b", 2); 3 }; emit("c", await t); }'
    )
    found: list[concerto.Emit] = []
    made.observe(None, {}, found.append)
    assert [(e.channel, e.payload, e.task_id, e.sequence) for e in found] == [
        ("a", 1, 1, 0),
        ("b", 2, 2, 1),
        ("c", 3, 1, 2),
    ]
    with made.start() as run:
        emits = list(run)
    assert {emit.run_id for emit in emits} == {run.id}
    assert {emit.run_id for emit in found} != {run.id}
    assert all(found[0].time <= emit.time for emit in emits)


# With a reply


def test_em_6_em_7_a_reply_of_any_json() -> None:
    made = runtime(ASK)
    made.on_emit("ask", lambda payload: payload)
    for value in (None, True, 3, 2.5, "text", [1, "a", None], {"a": {"b": [1]}}):
        assert made.call("ask", value) == value


def test_em_9_nobody_answers() -> None:
    made = runtime(ASK)
    made.on("ask", lambda _: None)  # a listener answers nothing
    nobody = ["no_listener", "nobody answers on the channel `ask`", "ask"]
    assert made.call("ask") == nobody
    made.on_emit("ask", lambda _: 1)
    assert made.call("ask") == 1
    made.off("ask")
    assert made.call("ask") == nobody


class OwnError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "message"),
    [(OwnError("no idea"), "no idea"), (OwnError(), "OwnError"), (KeyError("k"), "'k'")],
)
def test_em_9_a_handler_that_fails_does_not_end_the_run(error: Exception, message: str) -> None:
    made = runtime(ASK)

    @made.on_emit("ask")
    def answer(_: Any) -> Any:
        raise error

    assert made.call("ask") == ["handler", message, "ask"]


def test_a_reply_without_json_form_is_an_error_of_the_handler() -> None:
    made = runtime(ASK)
    made.on_emit("ask", lambda _: object())
    assert made.call("ask") == ["handler", "a `object` cannot be passed to a program", "ask"]


def test_em_9_no_reply_in_time() -> None:
    clock = concerto.VirtualClock()
    made = runtime(ASK, reply_timeout=30, clock=clock)
    release = threading.Event()

    def late(_: Any) -> Any:
        clock.advance(31)
        release.set()

    # The reply is there before anybody looks at the time.
    made.on_emit("ask", late)
    assert made.call("ask") is None
    assert release.is_set()


def test_an_exception_that_is_no_error_passes_through() -> None:
    made = runtime(ASK)

    @made.on_emit("ask")
    def stop(_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.call("ask")


def test_em_10_replies_are_checked_against_the_expected_type() -> None:
    made = runtime(
        """
        schema Decision { approved: Bool, @range(1..=5) level: Int = 1 }
        @validate(|s: Sane| if s.word == "ok" { Ok(true) } else { Err("insane") })
        schema Sane { word: String }
        pub async fn result() -> Any {
            let r: Result<Decision, EmitError> = await emit("d");
            match r { Ok(d) => [d.approved, d.level], Err(e) => [e.kind, e.message] }
        }
        pub async fn value() -> Bool { let d: Decision = await emit("d"); d.approved }
        pub async fn raised() -> Result<Decision, EmitError> { Ok(await emit("d")?) }
        pub async fn sane() -> Result<Sane, EmitError> { await emit("d") }
        """
    )
    made.on_emit("d", lambda _: {"approved": True})
    assert made.call("result") == [True, 1]
    assert made.call("value") is True
    assert made.call("raised").level == 1
    made.on_emit("d", lambda _: {"approved": 1, "level": 9})
    wrong = (
        "the reply on `d` does not fit: /approved: expected true or false, got 1; "
        "/level: expected a number from 1 to 5, got 9"
    )
    assert made.call("result") == ["invalid_reply", wrong]
    with pytest.raises(concerto.ProgramError) as raised:
        made.call("raised")
    assert (raised.value.value.kind, str(raised.value)) == ("invalid_reply", wrong)
    with pytest.raises(concerto.PanicError) as caught:
        made.call("value")
    assert (caught.value.kind, str(caught.value)) == ("TypeMismatch", f"TypeMismatch: {wrong}")
    made.off("d")
    with pytest.raises(concerto.PanicError) as caught:
        made.call("value")
    nobody = "UnwrapErr: nobody answers on the channel `d`"
    assert (caught.value.kind, str(caught.value)) == ("UnwrapErr", nobody)
    made.on_emit("d", lambda _: {"word": "mad"})
    with pytest.raises(concerto.ProgramError, match="does not fit: insane"):
        made.call("sane")


def test_em_11_listeners_see_the_payload_first_and_the_most_specific_handler_answers() -> None:
    seen: list[str] = []
    made = runtime("pub async fn f(c: String) -> Any { await emit(c, c) }")
    made.on("*", lambda payload: seen.append(f"heard {payload}"))

    def answering(name: str) -> Any:
        def answer(payload: str) -> str:
            seen.append(f"{name} {payload}")
            return name

        return answer

    for pattern in ("*", "a:*", "a:b:*", "a:b"):
        made.on_emit(pattern, answering(pattern))
    assert [made.call("f", c) for c in ("a:b", "a:b:c", "a:c", "b")] == ["a:b", "a:b:*", "a:*", "*"]
    assert seen[:2] == ["heard a:b", "a:b a:b"]
    made.on_emit("a:b", answering("second"))
    assert made.call("f", "a:b") == "second", "one handler per channel"


def test_em_12_each_reply_finds_its_own_request() -> None:
    made = runtime(
        """
        pub async fn f() -> Array<Any> {
            parallel(max: 10) for n in 0..10 { [n, await emit("double", n)] }
        }
        """
    )
    made.on_emit("double", lambda n: n * 2)
    assert made.call("f") == [[n, 2 * n] for n in range(10)]


def test_handlers_run_on_the_thread_that_calls() -> None:
    made = runtime(ASK)
    threads: list[int] = []

    @made.on_emit("ask")
    def answer(payload: Any) -> Any:
        threads.append(threading.get_ident())
        return payload

    assert made.call("ask", 1) == 1
    with made.start("ask", 2) as run:
        assert run.result(10) == 2
    with made.start("ask", 3) as run:
        assert [emit.payload for emit in run] == [3]
        assert run.result(10) == 3
    assert threads == [threading.get_ident()] * 3


def test_in_the_background_a_listener_sees_the_emit_before_the_handler() -> None:
    made = runtime(ASK)
    seen: list[str] = []
    made.on_emit("ask", lambda payload: seen.append(f"asked {payload}"))
    with made.start("ask", 1) as run:
        for emit in run:
            seen.append(f"heard {emit.payload}")
    # The handler is called while the loop waits for the next emit.
    assert seen == ["heard 1", "asked 1"]


def test_em_13_a_cancelled_task_withdraws_its_request() -> None:
    made = runtime(
        """
        pub async fn f() -> Any { race(later(), quick()) }
        async fn later() -> Any { await emit("ask") }
        async fn quick() -> Any { 1 }
        """
    )
    # Whether it is still asked or not, the late answer changes nothing.
    made.on_emit("ask", lambda _: 2)
    assert made.call("f") == 1
    with made.start("f") as run:
        assert run.result(10) == 1


def test_em_13_cancelling_a_run_that_waits_for_a_reply() -> None:
    made = runtime(ASK)
    made.on_emit("ask", lambda payload: payload)
    run = made.start("ask", 1)
    run.cancel()
    with pytest.raises(concerto.RunCancelled):
        run.result(10)


# Typed emits, and what hosts are told


def test_em_14_a_payload_of_type_any_is_judged_when_it_is_sent() -> None:
    made = runtime(
        """
        schema Progress { step: Int, of: Int, note?: String }
        pub fn f(p: Any) { emit<Progress>("p", p); }
        """
    )
    seen: list[Any] = []
    made.on("p", seen.append)
    made.call("f", {"of": 2, "step": 1})
    assert list(seen[0]._asdict()) == ["step", "of", "note"]
    with pytest.raises(concerto.PanicError) as caught:
        made.call("f", {"of": 2, "step": "x"})
    wrong = 'TypeMismatch: the payload does not fit `Progress`: /step: expected an integer of 64 bits, got "x"'
    assert str(caught.value) == wrong


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ('emit<P>("p", { "a": 1, "c": 2 });', "E3011", "`P` has no field `c`"),
        ('emit<P>("p", {});', "E3012", "`P` lacks `a`"),
        ('emit<P>("p", { "a": "x" });', "E3001", "expected `Int`, found `String`"),
        ('let m = { "a": 1 }; emit<P>("p", m);', "E3001", "expected `P`, found `Map<String, Int>`"),
        ('emit<P>("p");', "E3032", "`emit` takes 2 arguments (channel, payload), found 1"),
        ('emit<fn(Int)>("p", |n: Int| {});', "E4035", "cannot be expressed as JSON"),
        ('emit("p", later());', "E4033", "a future cannot be emitted"),
        ('emit("p", [later()]);', "E4033", "a future cannot be emitted"),
        ('emit(name: "p");', "E3032", "`emit` has no parameter `name`"),
        ('let s: Result<Int, P> = await emit("p");', "E3035", "`EmitError` does not convert to `P`"),
        ('let s: fn(Int) = await emit("p");', "E4035", "cannot be expressed as JSON"),
        ('match await emit("p") { Ok(v) => {} }', "W3008", "may match no arm"),
        ('match await emit("p") { Err(EmitError::Clsed) => {}, _ => {} }', "E2001", "has no variant"),
        ('let r: Result<Int, EmitError> = await emit("p"); match r { Ok(_) => {}, '
         "Err(EmitError::NoListener | EmitError::Closed | EmitError::Handler | EmitError::Timeout) => {} }",
         "E3029", "`Err(EmitError::InvalidReply { .. })`"),
    ],
)  # fmt: skip
def test_what_the_check_says_of_emits(line: str, code: str, words: str) -> None:
    """EM-6, EM-8, EM-14."""
    from concerto.compiler import compile_source

    text = f"schema P {{ a: Int }}\nasync fn later() -> Int {{ 1 }}\nasync fn main() {{ {line} }}"
    found = compile_source(Source("<text>", text))[1]
    found = [each for each in found if each.code != "W2001"]
    assert [each.code for each in found] == [code]
    assert words in found[0].message


def test_em_6_an_ask_needs_an_async_function() -> None:
    with pytest.raises(concerto.CompileError, match="async"):
        concerto.compile('fn main() { await emit("a"); }')


def test_em_15_the_channels_that_a_program_names() -> None:
    program = concerto.compile(
        """
        schema P { a: Int }
        async fn main() {
            emit("log", "x"); emit("log", 1); emit<P>("p", { "a": 1 });
            let n: Int = await emit("ask", "how many"); emit("n" + "m", n);
            let s = await emit("ask");
            let r: Result<P, String> = await emit("ask"); r.is_ok(); s.is_ok();
        }
        @test fn t() { emit("in a test", 1); }
        """
    )
    channel = concerto.Channel
    assert program.channels == (
        channel("ask", ("String", "Nil"), ("Int", "Any", "P")),
        channel("log", ("String", "Int"), ()),
        channel("p", ("P",), ()),
    )
    assert concerto.Program.from_bytes(program.to_bytes()).channels == program.channels
    assert concerto.compile("fn main() {}").channels == ()


# Handlers that fail, and emits that wait


def test_a_handler_that_fails_ends_the_run_and_its_exception_comes_back() -> None:
    made = runtime('fn main() { emit("a", 1); emit("b", 2); }')
    seen: list[Any] = []
    made.on("b", seen.append)

    @made.on("a")
    def broken(_: Any) -> None:
        raise OwnError("broken")

    with pytest.raises(OwnError, match="broken"):
        made.run()
    assert seen == []


def test_errors_of_handlers_may_go_to_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    made = runtime('fn main() { emit("a", 1); emit("b", 2); }', handler_errors="log")
    seen: list[Any] = []

    @made.on("a")
    def broken(_: Any) -> None:
        raise OwnError("broken")

    made.on("*", seen.append)
    made.run()
    assert seen == [1, 2], "the other handlers of the channel are called, too"
    said = "concerto error: a handler of the channel `a` failed: OwnError: broken\n"
    assert capfd.readouterr().err == said

    @made.on("b")
    def stop(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.run()


def test_buffered_emits_are_handed_over_together_and_in_order() -> None:
    mode = concerto.buffered(interval_ms=1000, size=3)
    made = runtime(
        """
        fn main() { for n in 0..7 { emit("n", n); print("${n}"); } }
        pub async fn ask() -> Any { emit("n", 1); await emit("ask"); emit("n", 2); panic("end") }
        pub fn wait() { emit("n", 1); std::time::sleep(5000); emit("n", 2); print("slept"); }
        """,
        emit_mode=mode,
        clock=concerto.VirtualClock(),
    )
    seen: list[Any] = []
    made.observe(None, {}, lambda emit: seen.append(emit.payload), seen.append)
    assert seen == ["0", "1", 0, 1, 2, "2", "3", "4", 3, 4, 5, "5", "6", 6]
    made.on("n", seen.append)
    made.on_emit("ask", lambda _: seen.append("asked"))
    seen.clear()
    with pytest.raises(concerto.PanicError):
        made.call("ask")
    assert seen == [1, "asked", 2], "before a request, and at the end, however it comes"
    seen.clear()
    made.observe("wait", {}, lambda emit: seen.append(emit.payload), seen.append)
    assert seen == [1, "slept", 2], "the first has waited long enough"


def test_a_handler_of_buffered_emits_that_fails_ends_the_run() -> None:
    made = runtime(
        'fn main() { for n in 0..9 { emit("n", n); } }', emit_mode=concerto.buffered(size=2)
    )
    seen: list[int] = []

    @made.on("n")
    def at_three(n: int) -> None:
        seen.append(n)
        if n == 3:
            raise OwnError

    with pytest.raises(OwnError):
        made.run()
    assert seen == [0, 1, 2, 3]


def test_options_that_cannot_be() -> None:
    text = "fn main() {}"
    with pytest.raises(concerto.ConfigError, match="emit_mode"):
        runtime(text, emit_mode="later")
    with pytest.raises(concerto.ConfigError, match="at least 1"):
        runtime(text, emit_mode=concerto.buffered(size=0))
    with pytest.raises(ValueError, match="interval"):
        runtime(text, emit_mode=concerto.buffered(interval_ms=-1))
    with pytest.raises(concerto.ConfigError, match="handler_errors"):
        runtime(text, handler_errors="drop")
    with pytest.raises(concerto.ConfigError, match="reply_timeout"):
        runtime(text, reply_timeout=0)


def test_coroutines_are_refused() -> None:
    made = runtime("fn main() {}")

    async def handler(_: Any) -> None: ...

    for register in (made.on, made.on_emit):
        with pytest.raises(TypeError, match="plain function"):
            register("a", handler)  # on purpose


# The command line


def run_cli(tmp_path: Path, *args: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
    file = tmp_path / "ask.conc"
    file.write_text(
        """
        async fn main() {
            let name: Result<String, EmitError> = await emit("name", "who?");
            let count: Result<Int, EmitError> = await emit("count");
            let any: Any = await emit("any");
            emit("got", [name ?? "-", count.unwrap_or(0), any]);
        }
        """.replace('name ?? "-"', 'name.unwrap_or("-")')
    )
    command = [sys.executable, "-m", "concerto", "run", "--emit", "json", *args, str(file)]
    return subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )


def emitted(out: bytes) -> list[Any]:
    return [json.loads(line)["payload"] for line in out.decode().splitlines()]


def test_run_interactive_asks_on_the_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with run_cli(tmp_path, "--interactive", stdin=theirs) as process:
        os.write(ours, b"7\nx\n[1, true]\n")
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, err
    # A text is taken as it is, and what is no JSON as text, which is no Int.
    assert emitted(out) == ["who?", None, None, ["7", 0, [1, True]]]
    for prompt in (b"name (String)> ", b"count (Int)> ", b"any (Any)> "):
        assert prompt in err


def test_without_a_terminal_nobody_answers(tmp_path: Path) -> None:
    with run_cli(tmp_path, "--interactive", stdin=subprocess.DEVNULL) as process:
        out, _ = process.communicate(timeout=60)
    assert emitted(out)[3][:2] == ["-", 0]


def test_em_11_a_replaced_handler_is_let_go() -> None:
    """So are one that was switched off, and a replaced stand-in for a method of a tool."""

    class Handler:
        def __call__(self, payload: Any = None) -> int:
            return 7

    tool = 'tool T { description: "t" @describe("m") pub fn m(self) -> Int; } pub fn m() -> Any { T.m() }'
    made = runtime(ASK + tool)

    def answer(handler: Handler) -> weakref.ref[Handler]:
        made.on_emit("ask", handler)
        return weakref.ref(handler)

    def stand_in(handler: Handler) -> weakref.ref[Handler]:
        made.tool("T", "m", handler)
        return weakref.ref(handler)

    for register, function in ((answer, "ask"), (stand_in, "m")):
        replaced, last = register(Handler()), register(Handler())
        assert made.call(function) in (7, concerto.Ok(7))
        gc.collect()
        assert (replaced() is None, last() is None) == (True, False)
    made.off("ask")
    gc.collect()
    assert made.call("ask")[0] == "no_listener"
