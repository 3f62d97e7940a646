"""One execution in the background, and what it sends and asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from concerto import _native
from concerto.metrics import Metrics


class Emit(NamedTuple):
    """One value that a program sent.

    `time` is seconds since the Unix epoch, `run_id` the `Run.id` of its run, `task_id` the number of its task there (1 for the run's own, 0 for the
    runtime itself), `sequence` counts from 0 within the run.
    """

    channel: str
    payload: Any
    time: float
    run_id: str
    task_id: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Request:
    """What a program asks with `await emit`; `expected` is the type of the reply, as the language writes it (`Any` takes everything)."""

    channel: str
    payload: Any
    expected: str


class RunBase:
    """What runs of both kinds of runtime have in common."""

    def __init__(self, native: _native.Run) -> None:
        self._native = native
        self._pid = os.getpid()

    @property
    def id(self) -> str:
        """Unique within the process."""
        return self._native.id

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self._native.done()

    @property
    def metrics(self) -> Metrics:
        """What this run alone used so far."""
        return Metrics(self._native.metrics())

    def cancel(self) -> None:
        """Stops the run; requests in flight are dropped. No effect on one that has ended."""
        self._here().cancel()

    def _here(self) -> _native.Run:
        if self._pid != os.getpid():
            raise RuntimeError("this run belongs to the parent process: it does not go on here")
        return self._native


class Run(RunBase):
    """One execution in the background. Iterate it for the emits; leaving a `with` block cancels it if it has not ended."""

    def __iter__(self) -> Iterator[Emit]:
        native = self._here()
        _reader = native.read()  # dropped with this iterator
        while (batch := native.emits(1.0)) is not None:
            yield from map(Emit._make, batch)

    def result(self, timeout: float | None = None) -> Any:
        """Waits for the end and gives the value, or raises what `Runtime.call` would.

        What the program asks is answered by handlers of `on_emit` meanwhile, on this thread. Emits that nobody takes are kept up to 1,024 and let go
        beyond. `TimeoutError` after `timeout` seconds leaves the run as it is.
        """
        return self._here().result(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
