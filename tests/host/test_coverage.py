"""`concerto test --coverage`: which lines and branches the tests reach."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from concerto.compiler import compile_source
from concerto.lower.coverage import Point
from concerto.program import Program
from concerto.source import Source
from concerto.testing import run_test

from tests.conftest import ROOT
from tests.host.test_cli import run
from tests.oracle.run import run_test_by_oracle, run_test_by_vm

MAIN = """use util::twice;
connect box { base_url: env("NO_SUCH_URL"), default_model: "m" }
model Judge { provider: box }
fn ask(prompt: String) -> Result<String, LlmError> { Ok(Judge.execute(prompt)?.text) }
fn size<T>(xs: Array<T>) -> String {
    if xs.len() > 3 {
        return "big";
    }
    if xs.len() == 0 { "none" } else { "small" }
}
fn never(n: Int) -> Int {
    let k = n + 1;
    match k {
        1 => 2,
        2 | 3 => { k }
        _ => 0,
    }
}
fn safe() -> String {
    try {
        ask("x")?
    } catch LlmError(e) {
        e.message
    }
}
fn main() { emit("main", size([1])); emit("n", never(1)); emit("m", safe()); }
@test fn a() { assert_eq(size([1]), "small"); assert_eq([1, 2].map(|x| twice(x)), [2, 4]); }
@test fn b() { mock Judge { response: "y" } assert_eq(safe(), "y"); }
"""
UTIL = """pub fn twice(n: Int) -> Int { n * 2 }
pub fn is_odd(n: Int) -> Bool {
    n % 2 == 1
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.conc").write_text(MAIN, encoding="utf-8")
    (tmp_path / "util.conc").write_text(UTIL, encoding="utf-8")
    return tmp_path


def test_the_table_tells_what_no_test_reaches(folder: Path) -> None:
    done = run("test", "--coverage", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.endswith("test result: ok. 2 passed, 0 failed\n")
    assert (
        done.stderr
        == """
file       lines         branches         missing
main.conc   5/13  38.5%       3/9  33.3%  7, 12-16, 23-26; 6 then, 9 then, 14 arm, 15 arm, 16 arm, 22 catch
util.conc    1/2  50.0%       0/0      -  3
total       6/15  40.0%       3/9  33.3%
"""
    )
    # A test that is left out reaches nothing.
    fewer = run("test", "--coverage", "--filter", "a", "--exact", cwd=folder)
    assert "22 catch" in fewer.stderr
    assert "20 no error" in fewer.stderr
    assert "coverage" not in run("test", cwd=folder).stderr


def test_json_has_a_line_for_each_file(folder: Path) -> None:
    done = run("test", "--coverage", "--format", "json", cwd=folder)
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["event"] == "end"
    assert lines[-2] == {
        "event": "coverage",
        "file": "util.conc",
        "lines": 2,
        "covered_lines": 1,
        "missing_lines": [3],
        "branches": 0,
        "covered_branches": 0,
        "missing_branches": [],
    }
    assert lines[-3]["missing_branches"][0] == {"line": 6, "branch": "then"}


def test_files_that_several_programs_share_count_once(folder: Path) -> None:
    (folder / "tests").mkdir()
    (folder / "util.conc").rename(folder / "tests/util.conc")
    for name, call in (("one", "twice(1)"), ("two", "twice(3)")):
        text = f"use util::*;\n@test fn t() {{ assert({call} > 0); assert(is_odd({name == 'two'} as Int)); }}\n"
        text = text.replace("False as Int", "1").replace("True as Int", "3")
        (folder / f"tests/{name}.conc").write_text(text, encoding="utf-8")
    (folder / "main.conc").write_text("@test fn t() { }\n", encoding="utf-8")
    done = run("test", "--coverage", "tests/one.conc", "tests/two.conc", cwd=folder)
    assert done.returncode == 0, done.stdout
    assert done.stderr.split("\n")[2].split() == ["tests/util.conc", "2/2", "100.0%", "0/0", "-"]


def test_the_source_is_needed(folder: Path) -> None:
    assert run("build", cwd=folder).returncode == 0
    done = run("test", "--coverage", "main.conc-ir", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`--coverage` needs the source of `main.conc-ir`" in done.stderr


def test_what_is_measured_is_not_kept_by_the_cache(folder: Path) -> None:
    run("test", "--coverage", cwd=folder, CONCERTO_CACHE="on")
    assert not (folder / ".concerto").exists()
    run("check", cwd=folder, CONCERTO_CACHE="on")
    assert "test.cover" not in run("ir", "--json", cwd=folder, CONCERTO_CACHE="on").stdout


def measured(text: str) -> tuple[Program, dict[str, Any], list[Point]]:
    points: list[Point] = []
    ir, diagnostics = compile_source(Source("t.conc", text), coverage=points)
    assert ir is not None, diagnostics
    return Program.from_bytes(ir), json.loads(ir), points


def test_points_of_every_form() -> None:
    text = """fn f(xs: Array<Int>) -> Int {
    let mut sum = 0;
    for x in xs { if x > 1 { sum += x; } else if x == 1 { continue; } }
    while sum > 3 { sum -= 1; }
    let g = |n: Int| n + 1;
    let h = |n: Int| { g(n) };
    h(sum)
}
async fn wait() -> Int { 1 }
pipeline P(n: Int) -> Int { stage one(n: Int) -> Int { n + 1 } }
struct S { n: Int }
impl S { fn get(self) -> Int { self.n } }
trait T { fn d(self) -> Int { 7 } }
impl T for S { }
@test fn t() {
    assert_eq(f([0, 1, 2, 4]), 4);
    assert_eq(await wait(), 1);
    assert_eq(P.run(1)?, 2);
    assert_eq(S { n: 1 }.get() + S { n: 1 }.d(), 8);
}
fn g<X>(x: X) -> X { x }
"""
    program, _, points = measured(text)
    report = run_test(program, 0)
    assert report.failure is None
    missing = [p for n, p in enumerate(points) if n not in report.covered]
    # A generic function that nobody uses has no code, but lines all the same.
    assert missing == [Point("t.conc", 21, 22)]
    assert {(p.line, p.branch) for p in points if p.branch} == {(3, "then"), (3, "else")}
    assert sum(p.branch == "else" for p in points) == 2


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests/golden/tests").glob("*.conc")), ids=lambda path: path.stem
)
def test_measuring_changes_nothing_else_and_the_oracle_agrees(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    program, document, points = measured(text)
    plain = Program.from_bytes(compile_source(Source("t.conc", text))[0] or b"")
    for index in range(len(document["tests"])):
        by_vm = run_test_by_vm(program, index)
        assert by_vm == run_test_by_oracle(document, index)
        assert all(number < len(points) for number in by_vm.covered)
        assert replace(by_vm, covered=()) == run_test_by_vm(plain, index)


def test_measured_code_runs_in_tests_only() -> None:
    program, _, _ = measured("pub fn f() -> Int { 1 }\n")
    from concerto.errors import PanicError
    from concerto.runtime import Runtime

    with pytest.raises(PanicError, match="coverage is measured in tests only"):
        Runtime(program).call("f")
