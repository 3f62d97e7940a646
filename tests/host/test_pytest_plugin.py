"""The plugin for pytest: collected programs, and the fixture (toolchain reference 9, rule 9)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

JUDGE = """
connect c { base_url: "http://127.0.0.1:9", api_key: env("NO_SUCH_KEY"), default_model: "m", retry: { max_attempts: 3, initial_delay_ms: 1000 } }
model Judge { provider: c }
pub fn ask(q: String) -> Result<String, LlmError> { Ok(Judge.execute(q)?.text) }

@test("judge :: answers")
fn answers() {
    mock Judge { response: "yes" }
    assert_eq(ask("ok?")?, "yes");
}

@test
fn fails() {
    println("as it went");
    assert_eq(1 + 1, 3);
}

@test
fn snapshot() { assert_snapshot("text", "one"); }
"""

PYTHON = """
import asyncio
import pytest

SCRIPT = {"rules": [{"times": 2, "reply": {"error": {"status": 503, "message": "busy"}}}, {"reply": {"text": "Hello."}}]}

@pytest.mark.parametrize("concerto_mock", [SCRIPT], indirect=True)
def test_sync(concerto_mock):
    rt = concerto_mock.runtime("judge.conc")
    assert rt.call("ask", "hi") == "Hello."
    assert len(concerto_mock.server.requests()) == 3
    assert concerto_mock.clock.elapsed == 2.0

def test_async(concerto_mock):
    rt = concerto_mock.async_runtime("judge.conc")
    assert asyncio.run(rt.call("ask", "hi")) == "[mock response to: hi]"
"""


def pytest_in(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def test_programs_and_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "judge.conc").write_text(JUDGE)
    (tmp_path / "untested.conc").write_text("fn main() { wrong")
    (tmp_path / "test_judge.py").write_text(PYTHON)
    status, output = pytest_in(tmp_path, "-v")
    assert status == 1, output
    for line in (
        "judge.conc::judge :: answers PASSED",
        "judge.conc::fails FAILED",
        "judge.conc::snapshot FAILED",
        "test_judge.py::test_sync[concerto_mock0] PASSED",
        "test_judge.py::test_async PASSED",
        "assertion failed",
        "as it went",
        f"at fails {tmp_path / 'judge.conc'}:15:",
        "2 failed, 3 passed",
    ):
        assert line in output
    assert "untested" not in output
    assert "pytest_plugin.py" not in output  # a failure shows the program, not what runs it
    status, output = pytest_in(tmp_path, "judge.conc", "-k", "snapshot", "--concerto-update")
    assert status == 0, output
    assert (tmp_path / "tests/snapshots/judge/snapshot-one.snap").read_text() == "text"
    assert pytest_in(tmp_path, "judge.conc", "-k", "snapshot")[0] == 0


def test_a_program_that_is_wrong_is_an_error_of_collection(tmp_path: Path) -> None:
    (tmp_path / "wrong.conc").write_text('@test\nfn a() { let x: Int = "seven"; }\n')
    status, output = pytest_in(tmp_path)
    assert status == 2
    assert "error[E3001]" in output
    assert 'let x: Int = "seven";' in output
    assert "compiler.py" not in output


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    (tmp_path / "judge.conc").write_text(JUDGE)
    status, output = pytest_in(tmp_path, "-p", "no:concerto")
    assert status == 5, output
