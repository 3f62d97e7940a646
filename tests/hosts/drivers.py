"""One function per host: takes the steps of a case and says what each came to, in one form."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import concerto
from concerto import errors

from tests.capi import library as c
from tests.capi.header import ROOT

#: `{"result": .., "emits": [..]}` or `{"error": {"kind", "code", "message", "trace"}, "emits": [..]}`.
Outcome = dict[str, Any]

RUST = ROOT / "target/capi/hosts"


@dataclass(frozen=True)
class Case:
    """A case of the table, with its server's address filled in and its JSON read."""

    name: str
    ir: bytes
    config: dict[str, Any]
    replies: dict[str, dict[str, Any]]
    steps: list[dict[str, Any]]


class Refused(Exception):  # noqa: N818 - the test's own
    """What a Python host refuses a request with."""


class Stopped(Exception):  # noqa: N818 - the test's own
    """What a handler of a Python host fails with."""


# --- Python ---


def in_python(case: Case, make: Callable[..., Any] = concerto.Runtime) -> list[Outcome]:
    """`concerto.Runtime`, its handlers called on this thread."""
    config = dict(case.config)
    if config.get("clock") == "virtual":
        config["clock"] = concerto.VirtualClock()
    try:
        runtime = make(concerto.Program.from_bytes(case.ir), **config)
    except Exception as error:
        return [{"error": python_error(error), "emits": []}]
    with runtime:
        return [python_step(runtime, case.replies, step) for step in case.steps]


class Looped:
    """`concerto.AsyncRuntime` in an event loop of its own, as if it were a `Runtime`."""

    def __init__(self, *args: Any, **config: Any) -> None:
        self._runner = asyncio.Runner()
        self._runtime = concerto.AsyncRuntime(*args, **config)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def __enter__(self) -> Looped:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._runtime.close())
        self._runner.close()

    def on(self, channel: str, handler: Callable[[Any], None]) -> None:
        async def later(payload: Any) -> None:
            await asyncio.sleep(0)
            handler(payload)

        self._runtime.on(channel, later)

    def run(self) -> Any:
        return self._runner.run(self._runtime.run())

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self._runner.run(self._runtime.call(*args, **kwargs))

    def start(self, *args: Any, **kwargs: Any) -> LoopedRun:
        return LoopedRun(self._runner, self._runtime.start(*args, **kwargs))


class LoopedRun:
    def __init__(self, runner: asyncio.Runner, run: concerto.AsyncRun) -> None:
        self._runner = runner
        self._run = run

    def __enter__(self) -> LoopedRun:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._run.__aexit__())

    def __iter__(self) -> Iterator[concerto.Emit]:
        emits = aiter(self._run)

        async def following() -> concerto.Emit | None:
            return await anext(emits, None)

        while (emit := self._runner.run(following())) is not None:
            yield emit

    def result(self) -> Any:
        return self._runner.run(self._run.result())

    def cancel(self) -> None:
        self._run.cancel()


def in_asyncio(case: Case) -> list[Outcome]:
    """`concerto.AsyncRuntime`, its handlers coroutines."""
    return in_python(case, Looped)


def python_answer(answer: dict[str, Any]) -> Callable[..., Any]:
    def answered(*_: Any, **named: Any) -> Any:
        if "error" in answer:
            raise Refused(answer["error"])
        return named[answer["argument"]] if "argument" in answer else answer["ok"]

    return answered


def python_step(runtime: Any, replies: dict[str, dict[str, Any]], step: dict[str, Any]) -> Outcome:
    # `off` takes the handler of requests along, so each step registers its own.
    for channel, answer in replies.items():
        runtime.on_emit(channel, python_answer(answer))
    emits: list[list[Any]] = []
    positional, named = arguments(step)
    result: Any = None
    try:
        match step:
            case {"call": name}:
                for channel in step["channels"]:
                    runtime.on(channel, python_handler(runtime, step, channel, emits))
                result = (
                    runtime.run() if name == "main" else runtime.call(name, *positional, **named)
                )
            case {"start": name}:
                function = None if name == "main" else name
                with runtime.start(function, *positional, **named) as run:
                    for emit in run:
                        emits.append([emit.channel, as_json(emit.payload)])
                        if emit.channel == step.get("cancel_at"):
                            run.cancel()
                            break
                    result = run.result()
            case {"clear": True}:
                runtime.clear_overrides()
            case {"override": fields}:
                runtime.override_connection(step["connection"], **fields)
            case {"tool": name, "answer": answer}:
                runtime.tool(*name.split("."), python_answer(answer))
            case _:
                result = runtime.get_metrics().to_dict()
    except Exception as error:
        return {"error": python_error(error), "emits": emits}
    finally:
        for channel in step["channels"]:
            runtime.off(channel)
    return {"result": as_json(result), "emits": emits}


def python_handler(
    runtime: Any, step: dict[str, Any], channel: str, emits: list[list[Any]]
) -> Callable[[Any], None]:
    def handler(payload: Any) -> None:
        emits.append([channel, as_json(payload)])
        if channel == step.get("stop_at"):
            raise Stopped
        if channel == step.get("at"):
            runtime.override_connection(step["connection"], **step["override"])

    return handler


def as_json(value: Any) -> Any:
    """A value of Python's host in the JSON form of the language."""
    match value:
        case concerto.Record():
            return {name: as_json(item) for name, item in value.items()}
        case concerto.Variant(name, data):
            return {"variant": name, "data": as_json(data)}
        case concerto.Ok(inner):
            return {"ok": as_json(inner)}
        case concerto.Err(inner):
            return {"err": as_json(inner)}
        case dict():
            return {str(key): as_json(item) for key, item in value.items()}
        case list() | tuple() | range():
            return [as_json(item) for item in value]
        case _:
            return value


def python_error(error: Exception) -> dict[str, Any]:
    """By the class of the exception and its fields."""
    trace: tuple[errors.TraceFrame, ...] = ()
    code = ""
    match error:
        case errors.LlmError():
            kind, code, trace = "llm", error.kind, error.trace
        case errors.ProgramError():
            kind, trace = "program", error.trace
        case errors.PanicError():
            kind, code, trace = "panic", error.kind, error.trace
        case errors.LimitError():
            kind, code = "limit", error.limit
        case errors.IrError():
            kind = "ir"
        case errors.ConfigError():
            kind = "config"
        case errors.RunCancelled():
            kind = "cancelled"
        case Stopped():
            kind = "handler"
        case TypeError():
            kind = "arguments"
        case _:
            raise error
    frames = [[frame.function, frame.path, frame.line, frame.column] for frame in trace]
    return {"kind": kind, "code": code, "message": str(error), "trace": frames}


def arguments(step: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    given = step.get("args", [])
    return (given, {}) if isinstance(given, list) else ([], given)


# --- C ---


def in_c(case: Case) -> list[Outcome]:
    """The C library, through cffi."""
    try:
        runtime = c.Runtime(case.ir, **case.config)
    except c.CallError as error:
        return [{"error": c_error(error), "emits": []}]
    watch = CWatch(runtime)
    with runtime:
        runtime.on("*", watch.take)
        for channel, answer in case.replies.items():
            runtime.on_emit(channel, lambda _, *asked, said=answer: c_answer(said, *asked))
        return [watch.step(step) for step in case.steps]


def c_answer(answer: dict[str, Any], given: Any, reply: c.Reply) -> None:
    match answer:
        case {"error": message}:
            reply.error(message)
        case {"argument": name}:
            reply.ok(given[name])
        case _:
            reply.ok(answer["ok"])


class CWatch:
    """The one handler of a C host; it cannot be removed, so it knows which step is on."""

    def __init__(self, runtime: c.Runtime) -> None:
        self.runtime = runtime
        self.now: dict[str, Any] = {}
        self.emits: list[list[Any]] = []

    def take(self, channel: str, payload: Any) -> int:
        self.emits.append([channel, payload])
        if channel == self.now.get("at"):
            self.runtime.override(self.now["connection"], **self.now["override"])
        return int(channel == self.now.get("stop_at"))

    def step(self, step: dict[str, Any]) -> Outcome:
        self.now, self.emits = step, []
        emits = self.emits
        positional, named = arguments(step)
        result: Any = None
        try:
            match step:
                case {"call": "main"}:
                    result = self.runtime.run()
                case {"call": name}:
                    result = self.runtime.call(name, *positional, **named)
                case {"start": name}:
                    function = None if name == "main" else name
                    with self.runtime.start(function, *positional, **named) as run:
                        for channel, payload in run.emits():
                            self.take(channel, payload)
                            if channel == step.get("cancel_at"):
                                run.cancel()
                                break
                        self.emits = []  # what was not taken goes to the handlers
                        result = run.wait()
                case {"clear": True}:
                    self.runtime.clear_override()
                case {"override": fields}:
                    self.runtime.override(step["connection"], **fields)
                case {"tool": name, "answer": answer}:
                    tool, method = name.split(".")
                    self.runtime.tool(tool, method, partial(c_answer, answer))
                case _:
                    result = self.runtime.metrics()
        except c.CallError as error:
            return {"error": c_error(error), "emits": emits}
        return {"result": result, "emits": emits}


def c_error(error: c.CallError) -> dict[str, Any]:
    """By its JSON, and its status, which must be that of the kind."""
    kind = error.json["kind"]
    constant = {"arguments": "INVALID_ARGUMENT"}.get(kind, kind.upper())
    assert error.status == getattr(c.lib, f"CONCERTO_{constant}")
    trace = [[f["function"], f["path"], f["line"], f["column"]] for f in error.json["trace"]]
    code = error.json.get("code", "")
    return {"kind": kind, "code": code, "message": error.json["message"], "trace": trace}


# --- Rust ---


def in_rust(cases: Iterable[Case]) -> list[list[Outcome]]:
    """`tests/hosts/hosts.rs`, once for all cases."""

    def line(case: Case) -> str:
        steps = [
            {key: value for key, value in step.items() if key not in EXPECTED}
            for step in case.steps
        ]
        fields = {"config": case.config, "replies": case.replies, "steps": steps}
        return json.dumps({"ir": case.ir.decode(), **fields})

    done = subprocess.run(
        [RUST], input="\n".join(map(line, cases)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


#: Keys of a step that say what is expected of it, not what to do.
EXPECTED = {"gives", "fails", "emits", "channels"}
