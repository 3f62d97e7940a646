"""Tests of a program: which there are, and what became of one. Each runs in a runtime of its own, so none sees anything of another."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from concerto import _native
from concerto.errors import TraceFrame
from concerto.metrics import Metrics
from concerto.program import Program

TIMEOUT = 60.0
"""Seconds that a test may take where nothing else is said."""


@dataclass(frozen=True, slots=True)
class TestCase:
    """A test: the name of its function, its description (else the name), and where it is declared; `line` from 1."""

    name: str
    title: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class TestFailure:
    """Why a test failed: one or several lines, and the active calls, innermost first."""

    message: str
    trace: tuple[TraceFrame, ...]


@dataclass(frozen=True, slots=True)
class TestReport:
    """What became of a test: `failure` is None if it passed.

    `emits` are pairs of channel and payload; `written` are snapshots that were stored; `covered` are the numbers of the points that it reached, of a
    program that tells them; calls of mocks are in `metrics` without tokens.
    """

    failure: TestFailure | None
    emits: tuple[tuple[str, Any], ...]
    printed: str
    written: tuple[Path, ...]
    covered: tuple[int, ...]
    metrics: Metrics


def tests_of(program: Program) -> tuple[TestCase, ...]:
    """The tests of a program, in the order of the source."""
    return tuple(TestCase(*each) for each in program._native.tests())


def snapshots_of(path: Path, project: Path | None) -> Path:
    """Where the snapshots of a program's tests are kept: `tests/snapshots/<module>` in the folder of its project, if it has one, else beside it."""
    folder = path.parent if project is None else project
    if project is None and folder.name in ("src", "tests"):
        folder = folder.parent
    return folder / "tests" / "snapshots" / path.stem


def run_test(
    program: Program,
    index: int,
    *,
    live: bool = False,
    timeout: float = TIMEOUT,
    snapshots: str | os.PathLike[str] | None = None,
    update: bool = False,
    env: Mapping[str, str] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TestReport:
    """Runs one test, by its place in `tests_of`, on this thread. A test that fails is reported, not raised.

    Args:
        program: A program with tests.
        index: Counts from 0.
        live: Whether models without a mock are called, with delays on the machine's clock. Otherwise such a call fails the test, and the clock is virtual.
        timeout: The longest that it may take, in seconds of the machine's clock.
        snapshots: Where its snapshots stand: the path of a file without `.snap`. Without it `assert_snapshot` fails.
        update: Whether snapshots are written instead of compared.
        env: Laid over the process environment.
        cancelled: Asked about every 50 ms; once it is true, the test ends with `KeyboardInterrupt`.

    Raises:
        TypeError: There is no such test.
        ConfigError: `timeout` is not positive.
    """
    failure, emits, printed, written, covered, metrics = _native.run_test(
        program._native,
        index,
        live=live,
        timeout=timeout,
        snapshots=snapshots,
        update=update,
        env=dict(env or {}),
        cancelled=cancelled,
    )
    return TestReport(
        failure=None if failure is None else TestFailure(*failure),
        emits=tuple(emits),
        printed=printed,
        written=tuple(written),
        covered=tuple(covered),
        metrics=Metrics(metrics),
    )
