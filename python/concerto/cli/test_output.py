"""What `concerto test` prints: for people, or one JSON object a line."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from concerto.cli.app import wants_color
from concerto.cli.display import display, to_json
from concerto.cli.traces import source_line
from concerto.testing import TestCase, TestFailure, TestReport

if TYPE_CHECKING:
    from concerto.cli.coverage import FileCoverage

_COLORS = {"PASS": "32", "FAIL": "31", "SKIP": "33"}
#: The most emits that a failure shows, and the most active calls.
_MOST_EMITS, _MOST_FRAMES = 20, 5


@dataclass(frozen=True, slots=True)
class Ended:
    """A test that has ended after some seconds, or was skipped: then it has no report. `path` is that of its program."""

    path: str
    case: TestCase
    report: TestReport | None
    seconds: float

    @property
    def failure(self) -> TestFailure | None:
        """Why it failed, if it did."""
        return self.report.failure if self.report else None

    @property
    def word(self) -> str:
        """`PASS`, `FAIL` or `SKIP`."""
        return "SKIP" if self.report is None else "FAIL" if self.report.failure else "PASS"


class Printer(Protocol):
    """Tells of a run of tests while it goes on."""

    def nothing(self, left_out: int) -> None:
        """There are no tests, apart from those that a filter leaves out."""

    def begin(self, count: int) -> None:
        """Tests are about to be run."""

    def ended(self, each: Ended, *, of_several: bool) -> None:
        """A test has ended; `of_several` programs."""

    def coverage(self, files: list[FileCoverage]) -> None:
        """What the tests have reached."""

    def summary(self, ended: list[Ended], left_out: int, *, interrupted: bool) -> None:
        """All have ended, or the user has had enough."""


def printer(options: argparse.Namespace) -> Printer:
    """The one that the options ask for."""
    if options.format == "json":
        return _Json()
    color = wants_color(options.color, sys.stdout)
    return _Human(color=color, quiet=options.quiet, debug=options.debug)


class _Human:
    def __init__(self, *, color: bool, quiet: bool, debug: bool) -> None:
        self.color, self.quiet, self.debug = color, quiet, debug
        self.path = ""

    def nothing(self, left_out: int) -> None:
        hint = f": {left_out} are left out by `--filter`" if left_out else ""
        print(f"no tests found{hint}")

    def begin(self, count: int) -> None:
        print(f"running {count} test{'' if count == 1 else 's'}")

    def ended(self, each: Ended, *, of_several: bool) -> None:
        if self.quiet and each.word != "FAIL" and not (each.report and each.report.written):
            return
        if of_several and each.path != self.path:
            print(f"\n{each.path}")
        self.path = each.path
        took = "" if each.report is None else f" ({_duration(each.seconds)})"
        print(f"{self._painted(each.word)} {each.case.title}{took}")
        if each.report:
            for path in each.report.written:
                print(f"     stored {path}")
            if each.report.failure:
                print("\n".join(f"     {line}".rstrip() for line in self._why(each.report)))
        sys.stdout.flush()

    def _painted(self, word: str) -> str:
        return f"\x1b[{_COLORS[word]}m{word}\x1b[0m" if self.color else word

    def _why(self, report: TestReport) -> list[str]:
        """The message, where, and what the test sent before."""
        assert report.failure is not None
        lines = report.failure.message.split("\n")
        trace = report.failure.trace
        if trace:
            lines += [f"at {trace[0]}", *source_line(trace[0])]
        most = len(trace) if self.debug else _MOST_FRAMES
        lines += [f"called at {frame}" for frame in trace[1:most]]
        if report.emits:
            lines.append("emitted:")
            lines += [f"  [{name}] {display(value)}" for name, value in report.emits[:_MOST_EMITS]]
            more = len(report.emits) - _MOST_EMITS
            lines += [f"  ... and {more} more"] if more > 0 else []
        if report.printed:
            lines.append("printed:")
            lines += [f"  {line}" for line in report.printed.rstrip("\n").split("\n")]
        return lines

    def coverage(self, files: list[FileCoverage]) -> None:
        from concerto.cli.coverage import render_table

        print(f"\n{render_table(files)}", file=sys.stderr, end="", flush=True)

    def summary(self, ended: list[Ended], left_out: int, *, interrupted: bool) -> None:
        words = [each.word for each in ended]
        failed = words.count("FAIL")
        verdict = "interrupted" if interrupted else "FAILED" if failed else "ok"
        parts = [f"{words.count('PASS')} passed", f"{failed} failed"]
        parts += [f"{words.count('SKIP')} skipped"] if "SKIP" in words else []
        parts += [f"{left_out} left out"] if left_out else []
        print(f"\ntest result: {verdict}. {', '.join(parts)}")


class _Json:
    def nothing(self, left_out: int) -> None:
        self.begin(0)
        self.summary([], left_out, interrupted=False)

    def begin(self, count: int) -> None:
        self._line({"event": "begin", "tests": count})

    def ended(self, each: Ended, *, of_several: bool) -> None:  # noqa: ARG002
        found = {
            "event": "test",
            "name": each.case.name,
            "description": each.case.title,
            "file": each.case.path,
            "line": each.case.line,
            "status": each.word.lower(),
        }
        if each.report:
            found["seconds"] = each.seconds
            found["emits"] = [{"channel": c, "payload": to_json(p)} for c, p in each.report.emits]
            found["printed"] = each.report.printed
            found["stored"] = [str(path) for path in each.report.written]
        if each.failure:
            found["message"] = each.failure.message
            found["trace"] = [
                {"function": f.function, "file": f.path, "line": f.line, "column": f.column}
                for f in each.failure.trace
            ]
        self._line(found)

    def coverage(self, files: list[FileCoverage]) -> None:
        for each in files:
            self._line({"event": "coverage", **each.to_json()})

    def summary(self, ended: list[Ended], left_out: int, *, interrupted: bool) -> None:
        words = [each.word for each in ended]
        self._line(
            {
                "event": "end",
                "passed": words.count("PASS"),
                "failed": words.count("FAIL"),
                "skipped": words.count("SKIP"),
                "left_out": left_out,
                "interrupted": interrupted,
            }
        )

    def _line(self, found: dict[str, object]) -> None:
        print(json.dumps(found, ensure_ascii=False), flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
