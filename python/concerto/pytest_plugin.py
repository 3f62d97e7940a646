"""For pytest: the fixture `concerto_mock`, and the tests of programs as tests of pytest.

A `.conc` file with `@test` functions is collected like a Python file; each function is one test, which runs as `concerto test` runs it.
`--concerto-live` calls models that have no mock, `--concerto-update` stores snapshots. `-p no:concerto` turns all this off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from concerto import AsyncRuntime, MockServer, Program, Runtime, VirtualClock
    from concerto.runtime import RuntimeBase
    from concerto.testing import TestCase, TestFailure

R = TypeVar("R", bound="RuntimeBase")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of this plugin."""
    group = parser.getgroup("concerto")
    group.addoption(
        "--concerto-live", action="store_true", help="call models that have no mock in .conc tests"
    )
    group.addoption(
        "--concerto-update", action="store_true", help="store snapshots of .conc tests that differ"
    )


@dataclass
class ConcertoMock:
    """A mock provider on loopback and a virtual clock, for runtimes whose models shall answer at once and alike.

    `server.requests()` tells what arrived, `clock.elapsed` how long the program would have waited.
    """

    server: MockServer
    clock: VirtualClock
    _overrides: dict[str, dict[str, Any]] = field(default_factory=dict)

    def runtime(self, program: Program | str | Path, **options: Any) -> Runtime:
        """A runtime on this clock whose connections all lead to the server; options as for `Runtime`."""
        from concerto import Runtime

        return self._lead(Runtime(program, **{"clock": self.clock, **options}))

    def async_runtime(self, program: Program | str | Path, **options: Any) -> AsyncRuntime:
        """The same for asyncio."""
        from concerto import AsyncRuntime

        return self._lead(AsyncRuntime(program, **{"clock": self.clock, **options}))

    def _lead(self, runtime: R) -> R:
        for name in runtime.program.connections:
            runtime.override_connection(name, base_url=self.server.url, api_key="mock")
        return runtime


@pytest.fixture
def concerto_mock(request: pytest.FixtureRequest) -> Iterator[ConcertoMock]:
    """A mock provider with a virtual clock; `@pytest.mark.parametrize("concerto_mock", [script], indirect=True)` gives it a script.

    The script is a mapping or JSON text, as `docs/mock.md` describes.
    """
    from concerto import MockServer, VirtualClock

    script: str | Mapping[str, Any] | None = getattr(request, "param", None)
    text = script if script is None or isinstance(script, str) else json.dumps(script)
    with MockServer(script=text) as server:
        yield ConcertoMock(server, VirtualClock())


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ConcFile | None:
    """Takes `.conc` files that have tests."""
    if file_path.suffix != ".conc" or b"@test" not in file_path.read_bytes():
        return None
    return ConcFile.from_parent(parent, path=file_path)


class ConcFile(pytest.File):
    """A program with tests."""

    def collect(self) -> Iterator[ConcTest]:
        """Compiles it; one that is wrong is an error of collection with the diagnostics."""
        from concerto.compiler import compile_file, open_project
        from concerto.errors import ConcertoError
        from concerto.testing import TIMEOUT, snapshots_of, tests_of

        try:
            program = compile_file(self.path)
        except ConcertoError as error:
            raise self.CollectError(str(error)) from None
        project, _ = open_project(self.path)
        self.timeout = float(project.test.get("timeout", TIMEOUT)) if project else TIMEOUT
        self.program = program
        self.snapshots = snapshots_of(
            self.path, Path(project.source.path).parent if project else None
        )
        for index, case in enumerate(tests_of(program)):
            yield ConcTest.from_parent(self, name=case.title, index=index, case=case)


class TestFailed(Exception):  # noqa: N818 - it is what happened to a test
    """A test of a program failed."""

    __test__ = False


class ConcTest(pytest.Item):
    """A `@test` function."""

    parent: ConcFile

    def __init__(self, *, index: int, case: TestCase, **rest: Any) -> None:
        super().__init__(**rest)
        self._index = index
        self._case = case

    def runtest(self) -> None:
        """Runs it in a runtime of its own."""
        from concerto.testing import run_test

        report = run_test(
            self.parent.program,
            self._index,
            live=self.config.getoption("--concerto-live"),
            timeout=self.parent.timeout,
            snapshots=self.parent.snapshots.joinpath(*self._case.name.split("::")),
            update=self.config.getoption("--concerto-update"),
        )
        if report.printed:
            self.add_report_section("call", "stdout", report.printed)
        if report.failure is not None:
            raise TestFailed(_text(report.failure))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A failure of the program as its own text, anything else as usual."""
        if isinstance(excinfo.value, TestFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the function is."""
        return self.path, self._case.line - 1, self._case.title


def _text(failure: TestFailure) -> str:
    return "\n".join([failure.message, *(f"  at {frame}" for frame in failure.trace)])
