"""The results of `concerto test` as JUnit XML, which CI servers read."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from concerto.cli.app import USAGE, Exit
from concerto.cli.display import display
from concerto.cli.test_output import Ended

#: Characters that XML 1.0 cannot hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, ended: list[Ended]) -> None:
    """One suite for each program. Raises `Exit` if the file cannot be written."""
    root = ElementTree.Element("testsuites")
    for program, tests in groupby(ended, key=lambda each: each.path):
        _suite(root, program, list(tests))
    ElementTree.indent(root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise Exit(USAGE, f"error: cannot write `{path}`: {error.strerror}") from None


def _suite(root: ElementTree.Element, program: str, tests: list[Ended]) -> None:
    counts = {
        "tests": len(tests),
        "failures": sum(each.word == "FAIL" for each in tests),
        "skipped": sum(each.word == "SKIP" for each in tests),
        "errors": 0,
    }
    suite = ElementTree.SubElement(root, "testsuite", name=_text(program))
    suite.attrib.update({name: str(count) for name, count in counts.items()})
    suite.set("time", f"{sum(each.seconds for each in tests):.3f}")
    for each in tests:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_text(program.removesuffix(".conc").replace("/", ".")),
            name=_text(each.case.title),
            file=_text(each.case.path),
            line=str(each.case.line),
            time=f"{each.seconds:.3f}",
        )
        if each.report is None:
            ElementTree.SubElement(case, "skipped")
            continue
        if each.failure:
            message = each.failure.message
            failure = ElementTree.SubElement(case, "failure", message=_text(message))
            failure.text = _text(
                "\n".join([message, *(f"at {frame}" for frame in each.failure.trace)])
            )
        emits = [f"[emit:{channel}] {display(payload)}\n" for channel, payload in each.report.emits]
        if emits or each.report.printed:
            output = ElementTree.SubElement(case, "system-out")
            output.text = _text("".join(emits) + each.report.printed)


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
