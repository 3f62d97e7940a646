"""Plain C programs against the library: the example, and one that makes and frees every handle over and over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import concerto
import pytest

from tests.capi.header import ROOT
from tests.capi.library import LIBRARY

EXAMPLE = ROOT / "examples/embed_c/triage.c"
CYCLE = ROOT / "tests/capi/cycle.c"
FLAGS = ["-std=c99", "-D_XOPEN_SOURCE=700", "-pedantic", "-Wall", "-Wextra", "-Werror"]
SHARED = [f"-L{LIBRARY.parent}", "-lconcerto", f"-Wl,-rpath,{LIBRARY.parent}"]
STATIC = [str(LIBRARY.with_suffix(".a")), "-lpthread", "-ldl", "-lm"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c") / "triage.conc-ir"
    path.write_bytes(concerto.compile_file(EXAMPLE.with_suffix(".conc")).to_bytes())
    return path


def built(source: Path, folder: Path, *flags: str) -> Path:
    target = folder / source.stem
    command = ["cc", *FLAGS, f"-I{ROOT / 'include'}", str(source), *flags, "-o", str(target)]
    subprocess.run(command, check=True)
    return target


@pytest.mark.parametrize("linked", [SHARED, STATIC], ids=["shared", "static"])
def test_the_example_runs(linked: list[str], program: Path, tmp_path: Path) -> None:
    example = built(EXAMPLE, tmp_path, *linked)
    script = {
        "rules": [
            {"match": {"stream": True}, "reply": {"chunks": ["Dear ", "you"]}},
            {"reply": {"json": {"area": "login", "urgent": True}}},
        ]
    }
    with concerto.MockServer(script=json.dumps(script)) as server:
        done = subprocess.run(
            [example, program, server.url], capture_output=True, text=True, check=True
        )
    *lines, metrics = done.stdout.splitlines()
    assert lines == [
        'step: "sorting"',
        'step: "sorted"',
        'ticket after 2 steps: {"area":"login","urgent":true}',
        'draft: "Dear "',
        'draft: "you"',
        "chunks: 2",
        'approve: {"mail":"Hello"}',
        '"approved by Ada"',
        "refused: `sort`: argument `mail`: expected a string, got 7",
    ]
    assert json.loads(metrics.removeprefix("metrics: "))["connections"]["cloud"]["attempts"] == 2


def test_an_error_of_the_example_is_told(program: Path, tmp_path: Path) -> None:
    example = built(EXAMPLE, tmp_path, *SHARED)
    done = subprocess.run(
        [example, program, "http://127.0.0.1:1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("sort: cloud: network:")
    assert "sk-test" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_and_descriptors_come_back(program: Path, tmp_path: Path) -> None:
    """A handle that is lost in each round costs ten times what is allowed here."""
    subprocess.run([built(CYCLE, tmp_path, *SHARED), program, "1000"], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the leak check of the sanitizer")
def test_the_address_sanitizer_finds_nothing(program: Path, tmp_path: Path) -> None:
    """Of the C side, and every block that was allocated on either: the library itself is not instrumented here, but with `make asan` it is."""
    cycle = built(CYCLE, tmp_path, "-g", "-fsanitize=address", *SHARED)
    environment = {**os.environ, "CYCLE_SANITIZED": "1", "ASAN_OPTIONS": "detect_leaks=1"}
    subprocess.run([cycle, program, "20"], check=True, env=environment)
