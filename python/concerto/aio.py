"""The host API for asyncio: the same names as `concerto.runtime`, with coroutines where something waits.

Runs go on in threads of Rust, which never touch Python. What has news posts its number to the event loop of whoever waits, and the loop is woken once for
all news that come together; emits cross in batches. Handlers are called in the task that awaits the run, so context variables and cancellation are its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from inspect import isawaitable
from typing import Any, ClassVar, Self, Unpack

from concerto import _native
from concerto.execution import Emit, RunBase
from concerto.options import RuntimeOptions
from concerto.program import Program
from concerto.runtime import RuntimeBase, arguments_of


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Loop:
    """An event loop as runs see it: a mailbox for their news, and who waits for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.mailbox = _native.Mailbox()
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}
        try:
            loop.add_reader(self.mailbox.fileno(), self._deliver)
        except NotImplementedError:
            raise RuntimeError(
                "this event loop cannot watch sockets: use `asyncio.SelectorEventLoop`"
            ) from None

    def _deliver(self) -> None:
        for number in self.mailbox.take():
            for future in self._waiting.get(number, ()):
                _wake(future)

    async def news(self, run: _native.Run, until: float | None = None) -> None:
        """Waits until a run has news, or until this time of the loop. A task that is cancelled meanwhile cancels the run."""
        running = asyncio.get_running_loop()
        future = running.create_future()
        timer = None if until is None else running.call_at(until, _wake, future)
        waiting = self._waiting.setdefault(run.number, [])
        waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            run.cancel()
            raise
        finally:
            waiting.remove(future)
            if not waiting:
                self._waiting.pop(run.number, None)
            if timer is not None:
                timer.cancel()


#: A value knows nothing of its key, so both go when the loop goes.
_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = weakref.WeakKeyDictionary()
_loops_lock = threading.Lock()


def _this_loop() -> _Loop:
    running = asyncio.get_running_loop()
    found = _loops.get(running)
    if found is None:
        made = _Loop(running)
        with _loops_lock:
            found = _loops[running] = made
    return found


#: After so many calls that had ended when they were looked at first, the other tasks of a loop have their turn.
_READY = 16

#: Answers a request of a run, at once or in a task of its own.
Answer = Callable[[_native.Request], None]


async def _end(run: _native.Run, answer: Answer, timeout: float | None = None) -> None:
    """Waits until a run is over, and answers what it asks. Raises `TimeoutError` after so many seconds."""
    loop, time = _this_loop(), asyncio.get_running_loop().time
    until = None if timeout is None else time() + timeout
    while (requests := run.end_now(loop.mailbox)) is not None:
        for request in requests:
            answer(request)
        if until is not None and until <= time():
            raise TimeoutError("the run has not ended in time")
        if not requests:
            await loop.news(run, until)


async def _batch(
    run: _native.Run, answer: Answer
) -> list[tuple[str, Any, float, str, int, int]] | None:
    """The next emits of a run, at least one; None if it is over. Answers what it asks meanwhile."""
    loop = _this_loop()
    while (news := run.events_now(loop.mailbox)) is not None:
        emits, requests = news
        for request in requests:
            answer(request)
        if emits:
            return emits
        if not requests:
            await loop.news(run)
    return None


class _Emits(AsyncIterator[Emit]):
    """Iterates over the emits of a run; as long as it lives, emits wait for it."""

    def __init__(self, run: _native.Run, answer: Answer) -> None:
        self._run = run
        self._answer = answer
        self._reader = run.read()
        self._batch: deque[Emit] = deque()

    async def __anext__(self) -> Emit:
        if not self._batch:
            # A program that is never late would else keep all other tasks of the loop from running.
            await asyncio.sleep(0)
            batch = await _batch(self._run, self._answer)
            if batch is None:
                raise StopAsyncIteration
            self._batch.extend(map(Emit._make, batch))
        return self._batch.popleft()


class AsyncRun(RunBase):
    """One execution in the background: iterate it for the emits, await it for the result.

    Leaving an `async with` block cancels it if it has not ended, and so does whoever drops it. It may be awaited more than once, and in any event loop. A task
    that is cancelled while it waits for the run cancels the run. What the program asks is answered while somebody iterates or waits.
    """

    def __init__(self, native: _native.Run, answer: Answer) -> None:
        super().__init__(native)
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[Emit]:
        return _Emits(self._here(), self._answer)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    async def result(self, timeout: float | None = None) -> Any:
        """Waits for the end and gives the value, or raises what `AsyncRuntime.call` would: the same as `await run`.

        Emits that nobody takes meanwhile are kept up to 1,024 and let go beyond. `TimeoutError` after `timeout` seconds leaves the run as it is.
        """
        native = self._here()
        await _end(native, self._answer, timeout)
        return native.result(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
        await _end(self._native, self._answer)


class AsyncRuntime(RuntimeBase):
    """A program with its settings, connection pools and metrics, for asyncio; reusable, for any number of event loops in any threads.

    Options are keyword arguments: see `RuntimeOptions`. Handlers may be coroutine functions; plain ones must not block.
    """

    _takes_coroutines: ClassVar[bool] = True

    def __init__(
        self, program: Program | str | os.PathLike[str], **options: Unpack[RuntimeOptions]
    ) -> None:
        if callable(options.get("env")):
            raise TypeError(
                "an `AsyncRuntime` cannot ask a function for variables, since its runs go on in threads that call no Python: give `env` as a mapping"
            )
        super().__init__(program, **options)
        self._ready = 0
        self._replying: set[asyncio.Future[None]] = set()

    async def run(self, *args: str) -> Any:
        """Runs the top-level statements and `main` to their end.

        Args:
            args: What `std::env::args` gives in this run; without any, those of the option `args`.

        Raises:
            ProgramError: The program ended with an error (`LlmError` for a failed model call).
            PanicError: The program panicked.
            ConfigError: A rejected override is still in force.
        """
        return await self._call(None, [], argv=list(args) or None)

    async def call(
        self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Any:
        """Calls a `pub fn` of the program with checked arguments and gives its result.

        `Ok(v)` is `v`; `Err(e)` raises. After `timeout` seconds the run ends with `LimitError`. A task that is cancelled meanwhile cancels the run.

        Raises `TypeError` for an unknown function and for arguments that do not fit, before anything runs; the rest as `run`.
        """
        return await self._call(name, arguments_of(args, kwargs), timeout)

    async def call_raw(
        self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Any:
        """The same, but a `Result` is given as it is: an `Ok(value)`, or an `Err(error)` instead of an exception."""
        return await self._call(name, arguments_of(args, kwargs), timeout, raw=True)

    def start(self, name: str = "main", /, *args: Any, **kwargs: Any) -> AsyncRun:
        """Starts `main`, or a `pub fn` by name, in the background. Its emits go to the `AsyncRun`, not to handlers of `on`; those of `on_emit` answer
        what it asks.
        """
        run = self._open()._native.start(name, arguments_of(args, kwargs), None)
        self._runs.add(run)
        return AsyncRun(run, self._reply)

    async def close(self) -> None:
        """Ends the use of this runtime: cancels its runs and waits for their end; later calls raise `RuntimeError`. Metrics stay readable."""
        for run in self._close():
            await _end(run, self._reply)
        running = asyncio.get_running_loop()
        for task in [task for task in self._replying if task.get_loop() is running]:
            task.cancel()  # nobody waits for its reply any more

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(
        self,
        name: str | None,
        arguments: list[Any] | dict[str, Any],
        timeout: float | None = None,
        argv: list[str] | None = None,
        raw: bool = False,
    ) -> Any:
        """Starts a run, calls the handlers of its emits one after another, and gives its result."""
        is_heard = bool(self._handlers)
        run = self._open()._native.start_call(name, arguments, is_heard, timeout, argv, raw)
        if run.done():
            self._ready += 1
            if self._ready % _READY == 0:
                await asyncio.sleep(0)
            if not is_heard:  # so there is nothing left to do for it
                return run.result(0)
        self._runs.add(run)
        try:
            if is_heard:
                await self._hear(run)
            await _end(run, self._reply)
        except BaseException:
            run.cancel()
            raise
        return run.result(0)

    async def _hear(self, run: _native.Run) -> None:
        _reader = run.read()
        while (batch := await _batch(run, self._reply)) is not None:
            for channel, payload, _time, run_id, _task, sequence in batch:
                for handler in self._listeners(channel):
                    try:
                        outcome = handler(payload)
                        if isawaitable(outcome):
                            await outcome
                    except Exception as error:
                        if not self._logs_errors:
                            error.add_note(
                                f"raised by a handler of emit {sequence} of the Concerto program's {run_id}, on `{channel}`"
                            )
                        self._failed(channel, error)

    def _reply(self, request: _native.Request) -> None:
        """Answers a request: at once, or in a task if the handler is a coroutine, so that several are answered at a time."""
        try:
            outcome = self._responders[request.token](request.payload)
        except Exception as error:
            request.fail(error)
            return
        if not isawaitable(outcome):
            request.reply(outcome)
            return
        task = asyncio.ensure_future(_reply_later(request, outcome))
        self._replying.add(task)  # a loop keeps no more than a weak reference
        task.add_done_callback(self._replying.discard)


async def _reply_later(request: _native.Request, outcome: Awaitable[Any]) -> None:
    try:
        request.reply(await outcome)
    except Exception as error:
        request.fail(error)
