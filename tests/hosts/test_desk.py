"""One program, its hosts: the listings of `examples/desk` show the same answer, verdict, tokens and cost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import concerto
import pytest

from tests.capi.header import ROOT
from tests.capi.library import LIBRARY

DESK = ROOT / "examples/desk"
#: The answer, area, urgent, tokens of the connection, US dollars.
Shown = tuple[str, str, bool, int, float]


def output(*command: object) -> list[str]:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def in_python(script: str) -> Callable[[str, Path, Path], Shown]:
    def shown(url: str, *_: Path) -> Shown:
        answer, verdict, numbers = output(sys.executable, DESK / script, url)
        area, urgent = verdict.split()
        return answer, area, urgent == "True", int(numbers.split()[0]), float(numbers.split()[-1])

    return shown


def in_rust(url: str, program: Path, _: Path) -> Shown:
    answer, verdict, numbers = output(LIBRARY.parent / "desk", program, url)
    area, urgent = verdict.split()
    tokens, dollars = numbers.split()
    return answer, area, urgent == "true", int(tokens), float(dollars)


def in_c(url: str, program: Path, folder: Path) -> Shown:
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}"]
    link = [f"-L{LIBRARY.parent}", "-lconcerto", f"-Wl,-rpath,{LIBRARY.parent}"]
    target = folder / "desk"
    subprocess.run(["cc", *flags, DESK / "desk.c", *link, "-o", target], check=True)
    parts, verdict, metrics = output(target, program, url)
    # The listing prints the payloads as they come: texts as JSON.
    answer = "".join(json.loads(f"[{parts.replace(chr(34) * 2, chr(34) + ',' + chr(34))}]"))
    found, used = json.loads(verdict), json.loads(metrics)["connections"]["cloud"]
    tokens = used["tokens"]["tokens_in"] + used["tokens"]["tokens_out"]
    return answer, found["area"], found["urgent"], tokens, used["cost"]["usd"]


HOSTS = {"python": in_python("desk.py"), "rust": in_rust, "c": in_c}


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_shows_what_the_others_do(host: str, tmp_path: Path) -> None:
    program = tmp_path / "desk.conc-ir"
    program.write_bytes(concerto.compile_file(DESK / "desk.conc").to_bytes())
    script = (DESK / "mock.json").read_text(encoding="utf-8")
    with concerto.MockServer(script=script) as server:
        shown = HOSTS[host](server.url, program, tmp_path)
        bodies = [request["body"] for request in server.requests()]
    assert bodies[-1]["messages"][-1]["content"] == "order 7 is on its way"
    answer, area, urgent, tokens, dollars = shown
    assert (answer, area, urgent) == ("Good news: order 7 is on its way.", "other", False)
    with concerto.MockServer(script=script) as server:
        assert shown == HOSTS["python"](server.url, program, tmp_path)
    assert tokens > 0
    assert dollars == 0.0
