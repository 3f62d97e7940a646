"""One program, its hosts: the listings of `examples/desk` show the same answer, verdict and tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import concerto

from tests.capi.header import ROOT
from tests.capi.library import LIBRARY

DESK = ROOT / "examples/desk"
#: The answer, the area of the verdict, tokens.
Shown = tuple[str, str, int]


def output(*command: object) -> list[str]:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def in_python(url: str, *_: Path) -> Shown:
    answer, verdict, numbers = output(sys.executable, DESK / "desk.py", url)
    area, urgent = verdict.split()
    tokens, of_the_writer, dollars = numbers.split()
    assert (urgent, dollars) == ("False", "0.0")
    assert 0 < int(of_the_writer) < int(tokens)
    return answer, area, int(tokens)


def in_asyncio(url: str, *_: Path) -> Shown:
    answer, verdict = output(sys.executable, DESK / "desk_async.py", url)
    area, tokens = verdict.split()
    return answer, area, int(tokens)


def in_rust(url: str, program: Path, _: Path) -> Shown:
    answer, verdict, numbers = output(LIBRARY.parent / "desk", program, url)
    area, urgent = verdict.split()
    tokens, dollars = numbers.split()
    assert (urgent, dollars) == ("false", "0")
    return answer, area, int(tokens)


def in_c(url: str, program: Path, folder: Path) -> Shown:
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}"]
    link = [f"-L{LIBRARY.parent}", "-lconcerto", f"-Wl,-rpath,{LIBRARY.parent}"]
    target = folder / "desk"
    subprocess.run(["cc", *flags, DESK / "desk.c", *link, "-o", target], check=True)
    parts, verdict, metrics = output(target, program, url)
    # The listing prints the payloads as they come: texts as JSON.
    answer = "".join(json.loads(f"[{parts.replace(chr(34) * 2, chr(34) + ',' + chr(34))}]"))
    found, used = json.loads(verdict), json.loads(metrics)["connections"]["cloud"]
    assert (found["urgent"], used["cost"]["usd"]) == (False, 0.0)
    return answer, found["area"], used["tokens"]["tokens_in"] + used["tokens"]["tokens_out"]


HOSTS: dict[str, Callable[[str, Path, Path], Shown]] = {
    "python": in_python,
    "asyncio": in_asyncio,
    "rust": in_rust,
    "c": in_c,
}


def test_the_hosts_show_the_same(tmp_path: Path) -> None:
    program = tmp_path / "desk.conc-ir"
    program.write_bytes(concerto.compile_file(DESK / "desk.conc").to_bytes())
    script = (DESK / "mock.json").read_text(encoding="utf-8")
    shown: dict[str, Shown] = {}
    for name, host in HOSTS.items():
        # A server for each: a rule of the script answers once.
        with concerto.MockServer(script=script) as server:
            shown[name] = host(server.url, program, tmp_path)
            bodies = [request["body"] for request in server.requests()]
        assert bodies[-1]["messages"][-1]["content"] == "order 7 is on its way", name
    answer, area, tokens = shown["python"]
    assert (answer, area) == ("Good news: order 7 is on its way.", "other")
    assert tokens > 0
    assert shown == dict.fromkeys(HOSTS, shown["python"])
