"""The C library through cffi, by its own header: what a careful C host would write, for tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import concerto
from cffi import FFI

from tests.capi.header import ROOT, declarations

#: Built by `make capi`; `make asan` names another one.
LIBRARY = Path(os.environ.get("CONCERTO_C_LIBRARY", ROOT / "target/capi/libconcerto.so"))

ffi = FFI()
ffi.cdef(declarations())
lib: Any = ffi.dlopen(str(LIBRARY))


class CallError(Exception):
    """A status other than `CONCERTO_OK`, with the error that came with it."""

    def __init__(self, status: int, error: Any) -> None:
        super().__init__(text(lib.concerto_error_message(error)))
        self.status = status
        assert status == lib.concerto_error_kind(error)
        self.json: dict[str, Any] = json.loads(text(lib.concerto_error_json(error)))
        assert self.json["message"].replace("\0", "\ufffd") == str(self)
        lib.concerto_error_free(error)


def text(pointer: Any) -> str:
    return str(ffi.string(pointer).decode())


def taken(pointer: Any) -> str:
    """A text that the library made, freed."""
    copied = text(pointer)
    lib.concerto_string_free(pointer)
    return copied


def encoded(value: object) -> Any:
    return ffi.NULL if value is None else json.dumps(value).encode()


def checked(function: str, *args: Any) -> int:
    """Calls a function whose last parameter is `err`; raises what it fails with."""
    err = ffi.new("concerto_error **")
    status: int = getattr(lib, f"concerto_{function}")(*args, err)
    if err[0] != ffi.NULL:
        raise CallError(status, err[0])
    return status


def arguments(positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    assert not (positional and named)
    return encoded(named or list(positional) or None)


class Program:
    """A handle that is freed with the object, or before by `free`."""

    def __init__(self, source: str | bytes | Path) -> None:
        out = ffi.new("concerto_program **")
        if isinstance(source, Path):
            checked("program_load", str(source).encode(), out)
        else:
            data = concerto.compile(source).to_bytes() if isinstance(source, str) else source
            checked("program_from_bytes", data, len(data), out)
        self.handle = ffi.gc(out[0], lib.concerto_program_free)


class Reply:
    """What a program waits for."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def ok(self, value: object) -> None:
        data = json.dumps(value).encode()
        lib.concerto_reply_ok(self.handle, data, len(data))

    def error(self, message: str) -> None:
        lib.concerto_reply_error(self.handle, message.encode())


class Run:
    def __init__(self, handle: Any, runtime: Runtime) -> None:
        self.handle = handle
        self.runtime = runtime

    def emits(self) -> Iterator[tuple[str, Any]]:
        """All that are left, to the end of the run."""
        while (emit := self.next_emit()) is not None:
            yield emit

    def next_emit(self, timeout_ms: int = -1) -> tuple[str, Any] | None:
        channel, payload = ffi.new("char **"), ffi.new("char **")
        status = checked("run_next_emit", self.handle, timeout_ms, channel, payload)
        if status == lib.CONCERTO_TIMEOUT:
            raise TimeoutError
        if status == lib.CONCERTO_END:
            return None
        return taken(channel[0]), json.loads(taken(payload[0]))

    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(taken(lib.concerto_run_metrics_json(self.handle)))
        return found

    def wait(self, timeout_ms: int = -1) -> Any:
        out = ffi.new("char **")
        if checked("run_wait", self.handle, timeout_ms, out) == lib.CONCERTO_TIMEOUT:
            raise TimeoutError
        return json.loads(taken(out[0]))

    def cancel(self) -> None:
        lib.concerto_run_cancel(self.handle)

    def free(self) -> None:
        lib.concerto_run_free(self.handle)
        self.handle = ffi.NULL

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()


class Runtime:
    def __init__(self, program: Program | str | bytes | Path, **config: Any) -> None:
        if not isinstance(program, Program):
            program = Program(program)
        out = ffi.new("concerto_runtime **")
        checked("runtime_new", program.handle, encoded(config or None), out)
        self.handle = out[0]
        self.callbacks: list[Any] = []  # cffi's functions live as long as somebody holds them

    def on(self, channel: str, handler: Callable[[str, Any], int | None]) -> None:
        """`handler(channel, payload)`; what it returns, if anything, goes to the library."""

        @ffi.callback("int(void *, const char *, const char *, size_t)", error=99)  # type: ignore[untyped-decorator]  # cffi has no types
        def called(user: Any, channel: Any, payload: Any, length: int) -> int:
            assert user == ffi.NULL
            whole = ffi.buffer(payload, length + 1)[:]
            assert whole.endswith(b"\0")
            return handler(text(channel), json.loads(whole[:-1])) or 0

        self.callbacks.append(called)
        checked("runtime_on", self.handle, channel.encode(), called, ffi.NULL)

    def on_emit(self, channel: str, handler: Callable[[str, Any, Reply], None]) -> None:
        """`handler(channel, payload, reply)`, which answers by `reply`, then or later."""

        @ffi.callback("void(void *, const char *, const char *, size_t, concerto_reply *)")  # type: ignore[untyped-decorator]  # cffi has no types
        def called(user: Any, name: Any, payload: Any, length: int, reply: Any) -> None:
            assert user == ffi.NULL
            handler(text(name), json.loads(ffi.buffer(payload, length)[:]), Reply(reply))

        self.callbacks.append(called)
        checked("runtime_on_emit", self.handle, channel.encode(), called, ffi.NULL)

    def tool(self, tool: str, method: str, handler: Callable[[Any, Reply], None]) -> None:
        """`handler(arguments, reply)` stands in for the method."""

        @ffi.callback("void(void *, const char *, size_t, concerto_reply *)")  # type: ignore[untyped-decorator]  # cffi has no types
        def called(user: Any, args: Any, length: int, reply: Any) -> None:
            assert user == ffi.NULL
            handler(json.loads(ffi.buffer(args, length)[:]), Reply(reply))

        self.callbacks.append(called)
        names = tool.encode(), method.encode()
        checked("runtime_register_tool", self.handle, *names, called, ffi.NULL)

    def off(self, channel: str) -> None:
        checked("runtime_off", self.handle, channel.encode())

    def settings(self, name: str) -> dict[str, Any]:
        out = ffi.new("char **")
        checked("connection_settings", self.handle, name.encode(), out)
        found: dict[str, Any] = json.loads(taken(out[0]))
        return found

    def override(self, name: str, **fields: Any) -> None:
        checked("override_connection", self.handle, name.encode(), encoded(fields))

    def clear_override(self, name: str | None = None) -> None:
        checked("clear_override", self.handle, ffi.NULL if name is None else name.encode())

    def set_price(self, pattern: str, **price: float) -> None:
        checked("runtime_set_price", self.handle, pattern.encode(), encoded(price))

    def run(self) -> Any:
        out = ffi.new("char **")
        checked("runtime_run", self.handle, out)
        return json.loads(taken(out[0]))

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        out = ffi.new("char **")
        given = arguments(args, named)
        checked("runtime_call", self.handle, name.encode(), given, out)
        return json.loads(taken(out[0]))

    def start(self, name: str | None = None, *args: Any, **named: Any) -> Run:
        out = ffi.new("concerto_run **")
        function = ffi.NULL if name is None else name.encode()
        checked("run_start", self.handle, function, arguments(args, named), out)
        return Run(out[0], self)

    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(taken(lib.concerto_runtime_metrics_json(self.handle)))
        return found

    def free(self) -> None:
        lib.concerto_runtime_free(self.handle)
        self.handle = ffi.NULL

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()
