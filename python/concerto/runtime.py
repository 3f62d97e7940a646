"""The host API: make a runtime of a program, adjust its connections, run it, read its metrics.

This is the typed face of `concerto._native`, which does the work: it decides nothing. What a first call of a compiled program does not need is imported
where it is needed, since a process that makes one call is mostly imports; `tests/host/test_start.py` knows what is loaded.
"""

from __future__ import annotations

import itertools
import os
import weakref

from concerto import _native
from concerto.program import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Self, TypeVar, Unpack, overload

    from concerto.connection import ConnectionConfig
    from concerto.execution import Emit, Request, Run
    from concerto.metrics import Metrics
    from concerto.options import EnvLookup, RuntimeOptions, ToolPermissions

    EmitHandler = Callable[[Any], Any]
    ReplyHandler = Callable[[Any], Any]
    H = TypeVar("H", bound=EmitHandler)
    R = TypeVar("R", bound=ReplyHandler)
    ToolFunction = Callable[..., Any]
    F = TypeVar("F", bound=ToolFunction)


class RuntimeBase:
    """What `Runtime` and `AsyncRuntime` have in common.

    Args:
        program: A `Program`, or the path of a `.conc` or `.conc-ir` file.
        options: See `RuntimeOptions`.

    Raises:
        ConfigError: An option that is unknown or cannot be; its text names the option.
    """

    _takes_coroutines: ClassVar[bool] = False

    def __init__(
        self, program: Program | str | os.PathLike[str], **options: Unpack[RuntimeOptions]
    ) -> None:
        if not isinstance(program, Program):
            program = _load(program)
        self.program = program
        self._handlers: list[tuple[str, EmitHandler]] = []
        self._heard_by: dict[str, tuple[EmitHandler, ...]] = {}
        self._runs: weakref.WeakSet[_native.Run] = weakref.WeakSet()
        self._logs_errors = options.get("handler_errors") == "log"
        #: Handlers of requests by the number under which the native side knows them, and the numbers by channel, or by tool and method.
        self._responders: dict[int, ReplyHandler] = {}
        self._tokens: dict[str | tuple[str, str], int] = {}
        self._numbers = itertools.count(1)
        self._closed = False
        self._pid = os.getpid()
        clock = options.pop("clock", None)
        #: The option `env` as a function: the native side calls it on the thread that drives a run.
        self._env: EnvLookup | None = None
        env = options.get("env")
        if callable(env):
            self._env = env
            del options["env"]
        given = "{}"
        if options:
            from concerto.settings import options_to_json

            given = options_to_json(options)
        self._native = _native.Runtime(program._native, given, clock, self._env)

    def override_connection(
        self, name: str, config: ConnectionConfig | None = None, /, **fields: Any
    ) -> None:
        """Replaces settings of one connection for model calls that start after this one.

        A second override of the same connection replaces the first. A rejected one also fails the next run, until it is replaced or cleared.

        Args:
            name: A connection that the program declares.
            config: Fields to replace, or the same as keyword arguments.

        Raises:
            ConfigError: No such connection, an unknown field, or a value out of range.
        """
        if config is not None and fields:
            raise TypeError("give a ConnectionConfig or keyword arguments, not both")
        from concerto.settings import fields_to_json

        given = fields if config is None else config
        self._open()._native.override_connection(name, fields_to_json(given))

    def set_tool_permissions(self, permissions: ToolPermissions) -> None:
        """Says which tools (`{"Tool": False}`) and methods (`{"Tool.method": False}`, or `{"Tool": {"method": False}}`) may be called from now on; what is
        not named may, and a method wins over its tool.

        A method that may not is offered to no model, and a call of the program is a `ToolError` of kind `permission_denied`.

        Raises:
            ConfigError: The program declares no such tool or method; then nothing has changed.
        """
        from concerto.settings import to_json

        self._open()._native.set_tool_permissions(to_json(permissions))

    def clear_override(self, name: str) -> None:
        """Restores the program's settings of one connection."""
        self._open()._native.clear_override(name)

    def clear_overrides(self) -> None:
        """Restores the program's settings of all connections."""
        self._open()._native.clear_override(None)

    def connection_settings(self, name: str) -> dict[str, Any]:
        """The settings in force: each field as `{"value", "origin"}`, secrets masked, with an `error` where it cannot be evaluated.

        `origin` is `default`, `program`, `manifest`, `profile` or `override`. Raises `ConfigError` for an unknown name.
        """
        import json

        settings: dict[str, Any] = json.loads(self._open()._native.connection_settings(name))
        return settings

    if TYPE_CHECKING:

        @overload
        def on(self, channel: str, handler: H) -> H: ...
        @overload
        def on(self, channel: str, handler: None = None) -> Callable[[H], H]: ...

    def on(self, channel: str, handler: H | None = None) -> H | Callable[[H], H]:
        """Calls `handler(payload)` for each emit on `channel`; without a handler it is a decorator.

        `channel` may end in `*`. All that match are called, the most specific first, on the thread or event loop that called `run` or `call`. In a
        `Runtime` the program goes on when they are done, in an `AsyncRuntime` they get the emits of a run in order. An exception of a handler ends
        the run and is raised there, unless `handler_errors` says otherwise.
        """
        if handler is None:
            return lambda function: self.on(channel, function)
        self._check_handler(handler)
        # Most specific first; sorting is stable, so equal ones keep the order of registration. A new list, since other threads may read the old one.
        self._handlers = sorted(
            [*self._handlers, (channel, handler)],
            key=lambda entry: (entry[0].endswith("*"), -len(entry[0])),
        )
        self._heard_by.clear()
        return handler

    if TYPE_CHECKING:

        @overload
        def on_emit(self, channel: str, handler: R) -> R: ...
        @overload
        def on_emit(self, channel: str, handler: None = None) -> Callable[[R], R]: ...

    def on_emit(self, channel: str, handler: R | None = None) -> R | Callable[[R], R]:
        """Answers `await emit` on `channel` with what `handler(payload)` returns; without a handler it is a decorator.

        `channel` may end in `*`: the most specific one wins, and a second handler for the same one replaces the first. The handler is called on
        the thread or event loop that called `run` or `call`, or that waits for a `Run`. Its exception is an `EmitError` in the program and does not end the run.
        """
        if handler is None:
            return lambda function: self.on_emit(channel, function)
        self._check_handler(handler)
        token = self._token(channel)
        self._responders[token] = handler
        self._native.on_emit(channel, token)
        return handler

    if TYPE_CHECKING:

        @overload
        def tool(self, tool: str, method: str, fn: F) -> F: ...
        @overload
        def tool(self, tool: str, method: str, fn: None = None) -> Callable[[F], F]: ...

    def tool(self, tool: str, method: str, fn: F | None = None) -> F | Callable[[F], F]:
        """Lets `fn` stand in for a method of a tool, in place of its body if it has one; without a function it is a decorator.

        `fn` gets the arguments by the names of the parameters, on the thread that called `run` or `call`, or that waits for a `Run`. What it returns
        must be of the type of the method. Its exception is a `ToolError` in the program: a model hears of it, and the run goes on.

        Raises:
            ConfigError: The program declares no such method.
        """
        if fn is None:
            return lambda function: self.tool(tool, method, function)
        self._check_handler(fn)
        handler: ToolFunction = fn
        token = self._token((tool, method))
        self._open()._native.register_tool(tool, method, token)
        self._responders[token] = lambda arguments: handler(**arguments)
        return fn

    def off(self, channel: str) -> None:
        """Removes the handlers of `on` and `on_emit` that were registered for exactly this `channel`."""
        self._handlers = [entry for entry in self._handlers if entry[0] != channel]
        self._heard_by.clear()
        self._native.off(channel)
        self._responders.pop(self._tokens.get(channel, 0), None)

    def get_metrics(self) -> Metrics:
        """What all runs of this runtime used so far: an immutable snapshot."""
        from concerto.metrics import Metrics

        return Metrics(self._native.metrics())

    @property
    def metrics(self) -> Metrics:
        """The same as `get_metrics()`."""
        return self.get_metrics()

    def set_price(
        self, pattern: str, *, input: float, output: float, cached: float | None = None
    ) -> None:
        """Sets the price of a model id, for tokens that are used from now on: US dollars per million of them.

        A `pattern` that ends in `*` means all ids with that beginning. It wins over the prices of the manifest and the built-in ones.
        """
        self._open()._native.set_price(pattern, input, output, cached)

    def reset_metrics(self) -> None:
        """Sets all counters to zero; calls in flight count in the new period when they end."""
        self._open()._native.reset_metrics()

    def _token(self, place: str | tuple[str, str]) -> int:
        """The number of a place; who answers there next gets the same, so that nothing is kept of who did before. 0 is nobody's."""
        return self._tokens.setdefault(place, next(self._numbers))

    def _open(self) -> Self:
        if self._closed:
            raise RuntimeError("this Runtime is closed")
        if self._pid != os.getpid():
            raise RuntimeError(
                "this Runtime belongs to the parent process: make a new one after fork"
            )
        return self

    def _check_handler(self, handler: Callable[..., Any]) -> None:
        import inspect

        if inspect.iscoroutinefunction(handler) and not self._takes_coroutines:
            raise TypeError("a handler of a `Runtime` must be a plain function, not a coroutine")

    def _failed(self, channel: str, error: Exception) -> None:
        """Raises the exception of a handler again, or writes it to the log."""
        if not self._logs_errors:
            raise error
        text = f"a handler of the channel `{channel}` failed: {type(error).__name__}: {error}"
        self._native.log_error(text)

    def _close(self) -> list[_native.Run]:
        """Closes it and cancels what still runs in the background; gives those runs."""
        self._closed = True
        runs = [run for run in self._runs if not run.done()] if self._pid == os.getpid() else []
        for run in runs:
            run.cancel()
        return runs

    def _listeners(self, channel: str) -> tuple[EmitHandler, ...]:
        """The handlers of a channel, the most specific first."""
        found = self._heard_by.get(channel)
        if found is None:
            if len(self._heard_by) > 1000:  # names of channels may be made up without end
                self._heard_by.clear()
            found = self._heard_by[channel] = tuple(
                handler
                for pattern, handler in self._handlers
                if pattern == channel or (pattern[-1:] == "*" and channel.startswith(pattern[:-1]))
            )
        return found


class Runtime(RuntimeBase):
    """A program with its settings, connection pools and metrics; reusable and safe to share between threads.

    Options are keyword arguments: see `RuntimeOptions`.
    """

    def run(self, *args: str) -> Any:
        """Runs the top-level statements and `main` on this thread, to their end.

        Args:
            args: What `std::env::args` gives in this run; without any, those of the option `args`.

        Raises:
            ProgramError: The program ended with an error (`LlmError` for a failed model call).
            PanicError: The program panicked.
            ConfigError: A rejected override is still in force.
        """
        return self._run(None, [], argv=list(args) or None)

    def call(self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Calls a `pub fn` of the program with checked arguments and gives its result.

        `Ok(v)` is `v`; `Err(e)` raises. After `timeout` seconds the run ends with `LimitError`.

        Raises `TypeError` for an unknown function and for arguments that do not fit, before anything runs; the rest as `run`.
        """
        return self._run(name, arguments_of(args, kwargs), timeout)

    def call_raw(
        self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Any:
        """The same, but a `Result` is given as it is: an `Ok(value)`, or an `Err(error)` instead of an exception."""
        return self._run(name, arguments_of(args, kwargs), timeout, raw=True)

    def _run(
        self,
        name: str | None,
        arguments: list[Any] | dict[str, Any],
        timeout: float | None = None,
        argv: list[str] | None = None,
        raw: bool = False,
    ) -> Any:
        native = self._open()._native
        dispatcher = self._dispatcher()
        return native.run(name, arguments, dispatcher, None, self._answer, timeout, argv, raw)

    def observe(
        self,
        name: str | None,
        arguments: dict[str, Any],
        on_emit: Callable[[Emit], None],
        on_print: Callable[[str], None] | None = None,
        on_request: Callable[[Request], Any] | None = None,
    ) -> Any:
        """Runs `main` (None) or a `pub fn` and hands every emit, with channel and time, and all printed text to one callback each.

        For hosts that pass everything on, such as the command line; handlers of `on` are not called, those of `on_emit` are. `on_request` answers
        what none of them does.
        """

        def forward(
            channel: str, payload: Any, time: float, run_id: str, task_id: int, sequence: int
        ) -> None:
            from concerto.execution import Emit

            on_emit(Emit(channel, payload, time, run_id, task_id, sequence))

        def answer(token: int, payload: Any, channel: str, expected: str) -> Any:
            if token or on_request is None:
                return self._answer(token, payload)
            from concerto.execution import Request

            return on_request(Request(channel, payload, expected))

        native = self._open()._native
        takes_rest = on_request is not None and self._tokens.get("*") not in self._responders
        if takes_rest:
            native.on_emit("*", 0)
        try:
            return native.run(name, arguments, forward, on_print, answer)
        finally:
            if takes_rest:
                native.off("*")

    def start(self, name: str = "main", /, *args: Any, **kwargs: Any) -> Run:
        """Starts `main`, or a `pub fn` by name, in the background. Its emits go to the `Run`, not to handlers of `on`; those of `on_emit` answer
        what it asks.

        Raises `TypeError` for an unknown function and for arguments that do not fit, and if the option `env` is a function: no Python is called in the background.
        """
        if self._env is not None:
            raise TypeError(
                "the option `env` is a function, which only `run` and `call` can ask: give a mapping to start runs in the background"
            )
        from concerto.execution import Run

        run = self._open()._native.start(name, arguments_of(args, kwargs), self._answer)
        self._runs.add(run)
        return Run(run)

    def close(self) -> None:
        """Ends the use of this runtime and cancels its runs in the background; later calls raise `RuntimeError`. Metrics stay readable."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _dispatcher(self) -> Callable[[str, Any, float, str, int, int], None] | None:
        if not self._handlers:
            return None
        listeners = self._listeners

        def dispatch(channel: str, payload: Any, *_: object) -> None:
            for handler in listeners(channel):
                try:
                    handler(payload)
                except Exception as error:
                    self._failed(channel, error)

        return dispatch

    def _answer(self, token: int, payload: Any, *_: object) -> Any:
        """Called by the native side, for a request that a handler of `on_emit` or `tool` answers."""
        return self._responders[token](payload)


def run_file(path: str | os.PathLike[str], **options: Unpack[RuntimeOptions]) -> Any:
    """Compiles (or loads) a file and runs its `main` once. Options are those of `Runtime`."""
    with Runtime(path, **options) as runtime:
        return runtime.run()


def _load(path: str | os.PathLike[str]) -> Program:
    if os.path.splitext(os.fspath(path))[1] == ".conc":
        from concerto.compiler import compile_file  # only a source program needs the compiler

        return compile_file(path)
    return Program.load(path)


def arguments_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | dict[str, Any]:
    """Positional arguments as a list, or all by name; a mixture is a list that ends in a dictionary of names."""
    if args and kwargs:
        return {"": list(args), **kwargs}
    return kwargs if kwargs else list(args)
