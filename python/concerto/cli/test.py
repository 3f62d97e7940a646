"""`concerto test`: find the tests of programs, run them side by side, say what became of each."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from concerto.cli.app import FAILED, INTERRUPTED, OK, USAGE, Exit
from concerto.cli.arguments import command_parser
from concerto.cli.sources import (
    compile_path,
    default_file,
    files_of,
    load_program,
    open_project,
    report,
)
from concerto.cli.test_output import Ended, printer
from concerto.errors import ConfigError
from concerto.program import Program
from concerto.testing import TIMEOUT, TestCase, run_test, snapshots_of, tests_of

if TYPE_CHECKING:
    from concerto.lower.coverage import Point
    from concerto.project.manifest import Project


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one program that are to be run, each with its number in the program."""

    path: str
    program: Program
    tests: tuple[tuple[int, TestCase], ...]
    #: The folder of its snapshots.
    snapshots: Path
    timeout: float
    #: What its tests tell to have reached, by number, with `--coverage`.
    points: tuple[Point, ...] = ()


def main(args: list[str]) -> int:
    """Runs the tests of files and folders."""
    options = _parse(args)
    suites, left_out = _chosen(_suites(options), options)
    count = sum(len(suite.tests) for suite in suites)
    if options.list:
        for suite in suites:
            for _, case in suite.tests:
                print(case.title)
    if count == 0:
        printer(options).nothing(left_out)
        return OK if options.allow_empty else FAILED
    return OK if options.list else _run(suites, left_out, options)


def _parse(args: list[str]) -> argparse.Namespace:
    parser = command_parser("test")
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files and folders (default: `paths` of `[test]`, else the entry, `src` and `tests`)",
    )
    parser.add_argument(
        "-f", "--filter", metavar="TEXT", help="only tests whose description contains it"
    )
    parser.add_argument(
        "--exact", action="store_true", help="the description is TEXT, not only contains it"
    )
    parser.add_argument(
        "-j", "--jobs", type=int, metavar="N", help="tests at a time (default: the CPUs)"
    )
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first failure")
    parser.add_argument("--list", action="store_true", help="print the descriptions, run nothing")
    parser.add_argument("--update", action="store_true", help="store snapshots that differ")
    parser.add_argument("--junit", metavar="FILE", help="also write the results as JUnit XML")
    parser.add_argument("--live", action="store_true", help="call models that have no mock")
    parser.add_argument("--allow-empty", action="store_true", help="no tests are no failure")
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="say which lines and branches of the program the tests reach",
    )
    options = parser.parse_args(args)
    if options.exact and options.filter is None:
        raise Exit(USAGE, "error: `--exact` needs `--filter`")
    if options.jobs is not None and options.jobs < 1:
        raise Exit(USAGE, f"error: `-j` must be at least 1, found {options.jobs}")
    return options


def _suites(options: argparse.Namespace) -> list[Suite]:
    """The programs with their tests, in order. Raises `Exit` if one does not compile."""
    given = options.paths or _default_paths(options)
    suites: list[Suite] = []
    read: set[Path] = set()
    for path in dict.fromkeys(file for each in given for file in files_of(each, options)):
        if path not in given and Path(path).resolve() in read:
            continue  # a module of a program before, which has its tests
        points: list[Point] | None = [] if options.coverage else None
        program, project, files = _program(path, options, points)
        read.update(Path(each).resolve() for each in files)
        timeout = float(project.test.get("timeout", TIMEOUT)) if project else TIMEOUT
        tests = tuple(enumerate(tests_of(program)))
        folder = Path(project.source.path).parent if project else None
        snapshots = snapshots_of(Path(path), folder)
        suites.append(Suite(path, program, tests, snapshots, timeout, tuple(points or ())))
    return suites


def _program(
    path: str, options: argparse.Namespace, points: list[Point] | None
) -> tuple[Program, Project | None, tuple[str, ...]]:
    """A program, its manifest, and the files that it was compiled from."""
    if not path.endswith(".conc"):
        if points is not None and path != "-":
            raise Exit(USAGE, f"error: `--coverage` needs the source of `{path}`")
        return *load_program(path, options, points), (path,)
    compiled, project = compile_path(path, options, as_part=True, points=points)
    report(compiled, options)
    if compiled.ir is None:
        raise Exit(USAGE, compiled.refusal)
    return Program.from_bytes(compiled.ir), project, (path, *compiled.files)


def _default_paths(options: argparse.Namespace) -> list[str]:
    project, _ = open_project(".", options)
    folder = Path(project.source.path).parent if project else Path()
    if project and "paths" in project.test:
        return [(folder / path).as_posix() for path in project.test["paths"]]
    folders = [each for name in ("src", "tests") if (each := folder / name).is_dir()]
    has_entry = project is not None or not (folder / "tests").is_dir()
    has_entry = has_entry or any(Path(each).is_file() for each in ("main.conc", "src/main.conc"))
    return [*([default_file(options)] if has_entry else []), *map(Path.as_posix, folders)]


def _chosen(suites: list[Suite], options: argparse.Namespace) -> tuple[list[Suite], int]:
    """The suites without the tests that the options leave out, and how many those are."""

    def is_wanted(case: TestCase) -> bool:
        if options.filter is None:
            return True
        if options.exact:
            return options.filter in (case.title, case.name)
        return options.filter in case.title

    chosen = []
    for suite in suites:
        tests = tuple(each for each in suite.tests if is_wanted(each[1]))
        if tests:
            chosen.append(replace(suite, tests=tests))
    kept = sum(len(suite.tests) for suite in chosen)
    return chosen, sum(len(suite.tests) for suite in suites) - kept


def _run(suites: list[Suite], left_out: int, options: argparse.Namespace) -> int:
    out = printer(options)
    out.begin(sum(len(suite.tests) for suite in suites))
    ended: list[Ended] = []
    status = OK
    try:
        for each in _results(suites, options):
            ended.append(each)
            out.ended(each, of_several=len(suites) > 1)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except ConfigError as error:
        raise Exit(USAGE, f"error: {error}") from None
    if options.coverage:
        from concerto.cli.coverage import summed

        out.coverage(summed(_reached(suites, ended)))
    out.summary(ended, left_out, interrupted=status == INTERRUPTED)
    if options.junit:
        from concerto.cli.junit import write_junit

        write_junit(Path(options.junit), ended)
    return status or (FAILED if any(each.failure for each in ended) else OK)


def _reached(suites: list[Suite], ended: list[Ended]) -> Iterator[tuple[Point, bool]]:
    """Each point of each program, with whether a test of the program has reached it."""
    for suite in suites:
        reports = [each.report for each in ended if each.path == suite.path and each.report]
        reached = {number for report in reports for number in report.covered}
        for number, point in enumerate(suite.points):
            yield point, number in reached


def _results(suites: list[Suite], options: argparse.Namespace) -> Iterator[Ended]:
    """What becomes of each test, in the order of the source; as many run at a time as there are jobs."""
    stop = threading.Event()
    pool = ThreadPoolExecutor(options.jobs or _cpus(), thread_name_prefix="concerto-test")
    waiting: list[tuple[Suite, TestCase, Future[Ended]]] = [
        (suite, case, pool.submit(_one, suite, index, case, options, stop))
        for suite in suites
        for index, case in suite.tests
    ]
    try:
        failed = False
        for suite, case, future in waiting:
            if failed and options.fail_fast:
                yield Ended(suite.path, case, None, 0.0)
                continue
            result = future.result()
            failed = failed or result.failure is not None
            if failed and options.fail_fast:
                stop.set()
            yield result
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _cpus() -> int:
    """Those that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one(
    suite: Suite, index: int, case: TestCase, options: argparse.Namespace, stop: threading.Event
) -> Ended:
    started = time.perf_counter()
    report = run_test(
        suite.program,
        index,
        live=options.live,
        timeout=suite.timeout,
        snapshots=suite.snapshots.joinpath(*case.name.split("::")),
        update=options.update,
        cancelled=stop.is_set,
    )
    return Ended(suite.path, case, report, time.perf_counter() - started)
