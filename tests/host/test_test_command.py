"""`concerto test`: discovery, choice, order, output, exit status (toolchain reference 2.6)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.host.test_cli import run

PROGRAM = """connect box { base_url: env("NO_SUCH_URL"), default_model: "m" }
model Judge { provider: box }
fn ask(prompt: String) -> Result<String, LlmError> { Ok(Judge.execute(prompt)?.text) }
fn main() { emit("main", 1); }
@test("judge :: answers") fn answers() {
    mock Judge { response: "yes" }
    assert_eq(ask("Is it ok?")?, "yes");
}
@test("judge :: is slow") fn slow() {
    mock Judge { error: "too slow", error_kind: "timeout" }
    emit("asked", ["a", "b"]);
    println("asking ..");
    ask("Is it ok?")?;
}
@test fn adds() {
    assert_eq(1 + 1, 3);
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.conc").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def without_times(text: str) -> str:
    lines = [line.split(" (")[0] if line.endswith(" ms)") else line for line in text.split("\n")]
    return "\n".join(lines)


def test_output_says_what_failed_where_and_what_was_sent_before(folder: Path) -> None:
    done = run("test", cwd=folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert (
        without_times(done.stdout)
        == """running 3 tests
PASS judge :: answers
FAIL judge :: is slow
     too slow
     at slow main.conc:13:5
     13 |     ask("Is it ok?")?;
        |     ^
     emitted:
       [asked] ["a", "b"]
     printed:
       asking ..
FAIL adds
     assertion failed: 2 != 3
     at adds main.conc:16:5
     16 |     assert_eq(1 + 1, 3);
        |     ^

test result: FAILED. 1 passed, 2 failed
"""
    )


def test_options_choose_tests_by_description(folder: Path) -> None:
    # TE-5
    chosen = run("test", "--filter", ":: answers", cwd=folder)
    assert chosen.returncode == 0
    assert chosen.stdout.startswith("running 1 test\nPASS judge :: answers")
    assert chosen.stdout.endswith("\ntest result: ok. 1 passed, 0 failed, 2 left out\n")
    listed = run("test", "--list", "-f", "judge", cwd=folder)
    assert (listed.returncode, listed.stdout) == (0, "judge :: answers\njudge :: is slow\n")
    assert run("test", "--list", "-f", "judge", "--exact", cwd=folder).returncode == 1
    exact = run("test", "--list", "-f", "judge :: answers", "--exact", cwd=folder)
    assert exact.stdout == "judge :: answers\n"


def test_no_tests_are_a_failure_unless_allowed(folder: Path) -> None:
    none = run("test", "--filter", "zzz", cwd=folder)
    assert (none.returncode, none.stdout) == (1, "no tests found: 3 are left out by `--filter`\n")
    assert run("test", "--filter", "zzz", "--allow-empty", cwd=folder).returncode == 0
    (folder / "main.conc").write_text("fn main() {}", encoding="utf-8")
    assert run("test", cwd=folder).stdout == "no tests found\n"


def test_the_order_is_that_of_the_source_however_many_run_at_a_time(tmp_path: Path) -> None:
    # The first is the one that takes longest.
    tests = [
        f"@test fn t{n}() {{ let mut sum = 0; for i in 0..{(20 - n) * 5000} {{ sum += i % 7; }} assert(sum >= 0); }}"
        for n in range(20)
    ]
    (tmp_path / "main.conc").write_text("\n".join(tests), encoding="utf-8")
    for jobs in ("1", "8"):
        done = run("test", "-j", jobs, cwd=tmp_path)
        names = [line.split()[1] for line in done.stdout.split("\n") if line.startswith("PASS")]
        assert names == [f"t{n}" for n in range(20)]


def test_the_first_failure_may_end_it(folder: Path) -> None:
    done = run("test", "--fail-fast", "-j", "1", cwd=folder)
    assert done.returncode == 1
    assert "SKIP adds\n" in done.stdout
    assert done.stdout.endswith("test result: FAILED. 1 passed, 1 failed, 1 skipped\n")


def test_quiet_shows_failures_only(folder: Path) -> None:
    done = run("test", "-q", cwd=folder)
    assert "PASS" not in done.stdout
    assert "FAIL adds" in done.stdout


def test_color(folder: Path) -> None:
    done = run("test", "--color", "always", cwd=folder)
    assert "\x1b[32mPASS\x1b[0m judge" in done.stdout
    assert "\x1b" not in run("test", cwd=folder).stdout


def test_json_lines(folder: Path) -> None:
    done = run("test", "--format", "json", cwd=folder)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == {"event": "begin", "tests": 3}
    assert [line["status"] for line in lines[1:-1]] == ["pass", "fail", "fail"]
    slow = lines[2]
    assert slow["emits"] == [{"channel": "asked", "payload": ["a", "b"]}]
    assert (slow["message"], slow["printed"]) == ("too slow", "asking ..\n")
    assert slow["trace"] == [{"function": "slow", "file": "main.conc", "line": 13, "column": 5}]
    expected = {"event": "end", "passed": 1, "failed": 2, "skipped": 0, "left_out": 0}
    assert lines[-1] == {**expected, "interrupted": False}


def test_junit(folder: Path) -> None:
    done = run("test", "--junit", "out/report.xml", "--fail-fast", "-j", "1", cwd=folder)
    assert done.returncode == 1
    suite = ElementTree.parse(folder / "out/report.xml").getroot()[0]
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "skipped")} == {
        "name": "main.conc",
        "tests": "3",
        "failures": "1",
        "skipped": "1",
    }
    first, second, third = suite
    assert (first.get("name"), list(first)) == ("judge :: answers", [])
    assert [child.tag for child in second] == ["failure", "system-out"]
    assert second[0].get("message") == "too slow"
    assert second[1].text == '[emit:asked] ["a", "b"]\nasking ..\n'
    assert third[0].tag == "skipped"


def test_where_tests_are_found(tmp_path: Path) -> None:
    one = "@test fn {}() {{ assert(true); }}"
    for path in ("src/entry.conc", "src/deep/other.conc", "tests/b.conc", "tests/a.conc", "x.conc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(one.format(Path(path).stem), encoding="utf-8")
    assert run("test", "--list", cwd=tmp_path).stdout.split() == ["entry", "other", "a", "b"]
    assert run("test", "--list", "x.conc", "tests", cwd=tmp_path).stdout.split() == ["x", "a", "b"]
    manifest = '[project]\nname = "p"\nversion = "1.0.0"\nentry = "src/entry.conc"\n'
    (tmp_path / "Concerto.toml").write_text(manifest, encoding="utf-8")
    assert run("test", "--list", cwd=tmp_path).stdout.split() == ["entry", "other", "a", "b"]
    (tmp_path / "Concerto.toml").write_text(
        manifest + '[test]\npaths = ["tests/b.conc", "x.conc"]\n'
    )
    done = run("test", cwd=tmp_path)
    assert done.returncode == 0
    assert without_times(done.stdout).split("\n")[:7] == [
        "running 2 tests", "", "tests/b.conc", "PASS b", "", "x.conc", "PASS x",
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    nothing = run("test", "empty", cwd=tmp_path)
    assert (nothing.returncode, nothing.stderr) == (
        2,
        "error: there is no `.conc` file in `empty`\n",
    )


def test_tests_of_modules_are_found_once(tmp_path: Path) -> None:
    # TE-7
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.conc").write_text("mod judge;\n@test fn own() { }", encoding="utf-8")
    module = """@test("is fair") fn fair() { assert_snapshot(1); }
mod inner { @test fn deep() { } }
"""
    (tmp_path / "src/judge.conc").write_text(module, encoding="utf-8")
    listed = run("test", "--list", cwd=tmp_path)
    assert listed.stdout.splitlines() == ["own", "judge::is fair", "judge::inner::deep"]
    done = run("test", "--update", "--filter", "judge::", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "tests/snapshots/main/judge/fair.snap").read_text() == "1\n"


def test_the_manifest_limits_the_time(folder: Path) -> None:
    manifest = (
        '[project]\nname = "p"\nversion = "1.0.0"\nentry = "main.conc"\n[test]\ntimeout = 1\n'
    )
    (folder / "Concerto.toml").write_text(manifest, encoding="utf-8")
    (folder / "main.conc").write_text("@test fn t() { loop { } }", encoding="utf-8")
    assert "the test has not ended after 1 s" in run("test", cwd=folder).stdout


def test_snapshots_stand_in_the_folder_of_tests(folder: Path) -> None:
    (folder / "main.conc").write_text('@test fn t() { assert_snapshot([1], "one"); }')
    missing = run("test", cwd=folder)
    assert missing.returncode == 1
    assert "there is no snapshot `tests/snapshots/main/t-one.snap`" in missing.stdout
    written = run("test", "--update", cwd=folder)
    assert written.returncode == 0
    assert "stored tests/snapshots/main/t-one.snap" in written.stdout
    assert (folder / "tests/snapshots/main/t-one.snap").read_text() == "[\n  1\n]\n"
    assert "stored" not in run("test", "--update", cwd=folder).stdout


def test_wrong_programs_and_options_are_said_on_standard_error(folder: Path) -> None:
    for args, message in [
        (["--exact"], "`--exact` needs `--filter`"),
        (["-j", "0"], "`-j` must be at least 1"),
        (["missing.conc"], "cannot read `missing.conc`"),
    ]:
        done = run("test", *args, cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
    (folder / "main.conc").write_text("@test fn t() { x }", encoding="utf-8")
    wrong = run("test", cwd=folder)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "error[E2001]" in wrong.stderr


def test_compiled_programs_have_their_tests(folder: Path) -> None:
    assert run("build", "main.conc", cwd=folder).returncode == 0
    done = run("test", "main.conc-ir", "--filter", "answers", cwd=folder)
    assert done.returncode == 0
    assert "test judge :: answers" not in run("run", "main.conc", "--mock", cwd=folder).stdout
    assert 'test answers "judge :: answers"' in run("ir", "main.conc", cwd=folder).stdout


def test_ctrl_c_ends_the_tests(tmp_path: Path) -> None:
    program = "@test fn first() { }\n@test fn t() { loop { } }\n"
    (tmp_path / "main.conc").write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "concerto", "test", "-j", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running 2 tests\n"
        assert process.stdout.readline().startswith("PASS first")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait() == 130
    assert "test result: interrupted. 1 passed, 0 failed" in rest
