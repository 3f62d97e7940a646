"""The command line as a user meets it: output, standard error, exit status."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import concerto
import pytest

from tests.conftest import ROOT
from tests.waiting import wait_for

PROGRAM = """connect c { base_url: env("URL"), default_model: "m" }
model M { provider: c }
pub fn ask(prompt: String, times: Int = 1) -> Result<String, LlmError> {
    for _i in 0..times { emit("asked", prompt); }
    Ok(M.execute(prompt)?.text)
}
fn main() { emit("list", [1, "a"]); println("hello"); emit("answer", M.execute("Hi")?); }
"""


def run(*args: str, cwd: Path, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "python"),
        "PYTHONIOENCODING": "utf-8",
        **env,
    }
    return subprocess.run(
        [sys.executable, "-m", "concerto", *args],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        env=variables,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.conc").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def test_version_and_help(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"concerto {concerto.__version__}\n"
    assert "commands:" in run("--help", cwd=tmp_path).stdout
    for command in ("run", "check", "build", "ir", "explain", "mock", "local"):
        assert "example: concerto" in run(command, "--help", cwd=tmp_path).stdout
    wrong = run("chekc", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean `check`?" in wrong.stderr
    assert run("run", "--fly", cwd=tmp_path).returncode == 2


def test_run_prints_emits_and_metrics(folder: Path) -> None:
    with concerto.MockServer() as server:
        done = run("run", "--metrics", cwd=folder, URL=server.url)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ['[emit:list] [1, "a"]', "hello"]
    assert lines[2].startswith(
        '[emit:answer] Response { text: "[mock response to: Hi]", tokens_in: 2,'
    )
    assert "tokens in" in done.stderr
    assert "44 unpriced" in done.stderr


def test_run_as_json_and_mocked(folder: Path) -> None:
    done = run("run", "main.conc", "--mock", "--emit", "json", "--metrics", "json", cwd=folder)
    first = json.loads(done.stdout.splitlines()[0])
    assert (first["channel"], first["payload"]) == ("list", [1, "a"])
    assert first["ts"] > 1_700_000_000
    assert json.loads(done.stderr)["connections"]["c"]["mocked"] == 1


def test_calls_take_arguments_from_text_files_and_standard_input(folder: Path) -> None:
    (folder / "p.txt").write_text("from a file", encoding="utf-8")
    for value, stdin, shown in (
        ("plain", "", "plain"),
        ("@p.txt", "", "from a file"),
        ("-", "piped", "piped"),
        ("7", "", "7"),
    ):
        done = run(
            "run",
            "--mock",
            "--call",
            "ask",
            "--arg",
            f"prompt={value}",
            "--arg",
            "times=2",
            cwd=folder,
            stdin=stdin,
        )
        assert done.stdout.splitlines() == [f"[emit:asked] {shown}"] * 2 + [
            f"[mock response to: {shown}]"
        ], done.stderr
    wrong = run("run", "--mock", "--call", "ask", "--arg", "promt=x", cwd=folder)
    assert wrong.returncode == 2
    assert "did you mean `prompt`" in wrong.stderr


def test_overrides_replace_settings(folder: Path) -> None:
    with concerto.MockServer(script='{"api_key": "sk-canary-1"}') as server:
        done = run(
            "run",
            "--override",
            f"c.base_url={server.url}",
            "--override",
            "c.api_key=sk-canary-1",
            cwd=folder,
        )
    assert done.returncode == 0, done.stderr
    for option, words in (
        ("d.timeout=3", "did you mean `c`"),
        ("c.timeout=0", "must be 1 to 86400"),
        ("c", "NAME.FIELD=VALUE"),
        ("c.retry={", "takes JSON"),
    ):
        wrong = run("run", "--override", option, cwd=folder)
        assert wrong.returncode == 2
        assert words in wrong.stderr


def test_keys_of_overrides_need_not_stand_on_the_command_line(folder: Path) -> None:
    """O-14: other users can read command lines; a variable of the process or of `--env`, or a file, they cannot."""
    (folder / "key").write_text("sk-canary-2\n", encoding="utf-8")
    (folder / "vars").write_text("OWN_KEY=sk-canary-2\n", encoding="utf-8")
    key = '{"api_key": "sk-canary-2"}'
    for options in (
        ["c.api_key=@key"],
        ["c.api_key=env:OWN_KEY", "--env", "vars"],
        ["c.api_key=env:REAL_KEY"],
        ["c.headers.Authorization=@bearer"],
    ):
        (folder / "bearer").write_text("Bearer sk-canary-2", encoding="utf-8")
        with concerto.MockServer(script=key) as server:
            url = f"c.base_url={server.url}"
            done = run(
                "run",
                *("--override", url, "--override", *options),
                cwd=folder,
                REAL_KEY="sk-canary-2",
            )
        assert done.returncode == 0, done.stderr
    for option, words in (
        ("c.api_key=env:NO_SUCH_KEY", "c.api_key`: environment variable `NO_SUCH_KEY` is not set"),
        ("c.api_key=@missing", "cannot read `missing`: No such file"),
        ("c.headers.X-A=@missing", "c.headers.X-A`: cannot read `missing`"),
    ):
        wrong = run("run", "--override", option, cwd=folder)
        assert wrong.returncode == 2
        assert words in wrong.stderr
    # Ids of models may begin like a file.
    shown = run("connections", "--override", "c.default_model=@cf/meta/llama", cwd=folder)
    assert "@cf/meta/llama" in shown.stdout


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ('fn main() { panic("no"); }', 101, "panic: Panic: no"),
        ('fn main() { throw "bad"; }', 1, "error: bad"),
        ("struct P { x: Int }", 2, "E2016"),
        ('fn main() { let n: Int = "a"; emit("n", n); }', 2, "E3001"),
        (
            PROGRAM,
            1,
            "environment variable `URL` is not set\nhelp: set the variable, or answer every call locally with `--mock`",
        ),
        (PROGRAM.replace('env("URL")', '"http://127.0.0.1:9"'), 1, "c: network"),
    ],
)
def test_failures_have_their_status_and_no_traceback(
    tmp_path: Path, source: str, status: int, words: str
) -> None:
    (tmp_path / "main.conc").write_text(source, encoding="utf-8")
    done = run("run", cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_run_shows_the_line(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text(
        'fn main() {\n    let xs = [1];\n    emit("n", xs[3]);\n}\n', encoding="utf-8"
    )
    done = run("run", cwd=tmp_path)
    assert 'at main main.conc:3:15\n  3 |     emit("n", xs[3]);' in done.stderr


def test_check_forms_and_switches(tmp_path: Path) -> None:
    (tmp_path / "a.conc").write_text("fn main() { let a = 1; }\n", encoding="utf-8")
    (tmp_path / "b.conc").write_text(
        'fn main() { let n: Int = "\u4e2d"; emit("n", n); }\n', encoding="utf-8"
    )
    assert run("check", "a.conc", cwd=tmp_path).returncode == 0
    assert run("check", "a.conc", "--deny", "W2001", cwd=tmp_path).returncode == 2
    assert (
        run("check", "a.conc", "--deny", "warnings", "--allow", "W2001", cwd=tmp_path).returncode
        == 0
    )
    for wrong in (("--deny", "W2O01"), ("--allow", "E3001"), ("--allow", "warnings")):
        refused = run("check", "a.conc", *wrong, cwd=tmp_path)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"error: `{wrong[0]} {wrong[1]}`: ")
    (tmp_path / "c.txt").write_text("fn main() { ;; }\n", encoding="utf-8")
    assert "W1001" not in run("check", "c.txt", cwd=tmp_path).stderr
    asked = run("check", "c.txt", "--deny", "W1001", cwd=tmp_path)
    assert (asked.returncode, "warning[W1001]: useless `;`" in asked.stderr) == (2, True)
    (tmp_path / "d.txt").write_text("fn main() { " + "x; " * 60 + "}\n", encoding="utf-8")
    many = run("check", "d.txt", "--format", "short", cwd=tmp_path).stderr.splitlines()
    assert (len(many), many[-1]) == (51, "and 10 more errors")
    whole = run("check", "d.txt", "--format", "json", cwd=tmp_path).stdout
    assert len(whole.splitlines()) == 60
    both = run("check", ".", "--format", "short", cwd=tmp_path)
    assert both.returncode == 2
    assert both.stderr.splitlines() == [
        "a.conc:1:17: warning[W2001]: `a` is never used",
        "b.conc:1:26: error[E3001]: expected `Int`, found `String`",
    ]
    found = json.loads(run("check", "b.conc", "--format", "json", cwd=tmp_path).stdout)
    assert (found["code"], found["start"], found["end"]["offset"]) == (
        "E3001",
        {"offset": 25, "line": 1, "column": 26},
        30,
    )
    (tmp_path / "c.conc").write_bytes(b"fn main() { \xff }")
    assert "E0001" in run("check", "c.conc", cwd=tmp_path).stderr
    assert run("check", "none.conc", cwd=tmp_path).returncode == 2
    assert run("check", "-", cwd=tmp_path, stdin="fn main() {}").returncode == 0


def test_build_ir_and_run_the_compiled_form(folder: Path) -> None:
    assert run("build", "main.conc", cwd=folder).returncode == 0
    first = (folder / "main.conc-ir").read_bytes()
    assert run("build", "main.conc", "-o", "again.conc-ir", cwd=folder).returncode == 0
    assert (folder / "again.conc-ir").read_bytes() == first
    assert concerto.Program.from_bytes(first).to_bytes() == first
    assert "fn main()" in run("ir", "main.conc-ir", cwd=folder).stdout
    assert run("run", "main.conc-ir", "--mock", cwd=folder).stdout.count("[emit:") == 2
    assert json.loads(run("ir", "main.conc", "--permissions", cwd=folder).stdout) == {
        "env": ["URL"],
        "hosts": [],
    }
    damaged = folder / "bad.conc-ir"
    damaged.write_bytes(first[:-5])
    done = run("run", "bad.conc-ir", cwd=folder)
    assert done.returncode == 2
    assert "no compiled Concerto program" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_in_the_source_is_not_built_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text('connect openai { api_key: "sk-1" }\n', encoding="utf-8")
    done = run("build", cwd=tmp_path)
    assert done.returncode == 2
    assert not (tmp_path / "main.conc-ir").exists()
    assert run("build", "--allow-inline-secrets", cwd=tmp_path).returncode == 0


def test_a_compiled_program_needs_no_compiler(folder: Path) -> None:
    run("build", cwd=folder)
    script = (
        "import sys, concerto\n"
        "runtime = concerto.Runtime('main.conc-ir', mock=True); runtime.run()\n"
        "heavy = [m for m in sys.modules if m.startswith(('sly', 'concerto.syntax', 'concerto.check'))]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_cache_is_used_and_never_stale(folder: Path) -> None:
    first = run("check", "main.conc", cwd=folder, CONCERTO_CACHE="on")
    entries = list((folder / ".concerto/cache").glob("*.json"))
    assert len(entries) == 1
    assert run("check", "main.conc", cwd=folder, CONCERTO_CACHE="on").stderr == first.stderr
    (folder / "main.conc").write_text(PROGRAM.replace("Hi", "Ho"), encoding="utf-8")
    assert "[mock response to: Ho]" in run("run", "--mock", cwd=folder, CONCERTO_CACHE="on").stdout
    assert len(list((folder / ".concerto/cache").glob("*.json"))) == 2
    entries[0].write_text("damaged", encoding="utf-8")
    assert run("check", "main.conc", cwd=folder, CONCERTO_CACHE="on").returncode == 0


def test_a_program_from_the_cache_needs_no_compiler(folder: Path) -> None:
    assert run("run", "--mock", cwd=folder, CONCERTO_CACHE="on").returncode == 0
    script = (
        "import sys\n"
        "from concerto.__main__ import main\n"
        "assert main(['run', '--mock']) == 0\n"
        "heavy = [m for m in sys.modules if m.startswith(('sly', 'concerto.syntax', 'concerto.check.checker'))]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "CONCERTO_CACHE": "on"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_programs_of_several_files_are_checked_as_a_whole(tmp_path: Path) -> None:
    files = {
        "Concerto.toml": '[project]\nname = "p"\nversion = "0.1.0"\nentry = "src/main.conc"\n',
        "src/main.conc": 'use shop::tax;\nfn main() { emit("vat", tax::vat(100)); }\n',
        "src/shop/tax.conc": "use rates::RATE;\npub fn vat(n: Int) -> Int { n * RATE / 100 }\n",
        "src/rates.conc": "pub const RATE: Int = 21;\n",
        "src/shop/unused.conc": "use rates::RATE;\npub fn f() -> Int { RATE }\n",
        "src/shop/script.conc": 'use own::f;\nemit("f", f());\n',
        "src/shop/own.conc": "pub fn f() -> Int { 1 }\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for args in ((), (".",), ("src/shop/tax.conc",), ("src/shop/unused.conc",)):
        done = run("check", *args, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "no errors found\n"), args
    assert run("run", cwd=tmp_path).stdout == "[emit:vat] 21\n"
    assert run("build", cwd=tmp_path).returncode == 0
    assert run("run", "src/main.conc-ir", cwd=tmp_path).stdout == "[emit:vat] 21\n"
    listing = run("ir", "src/main.conc-ir", cwd=tmp_path).stdout
    assert "fn shop::tax::vat" in listing
    assert str(tmp_path) not in (tmp_path / "src/main.conc-ir").read_text(encoding="utf-8")


def test_a_program_on_standard_input_has_the_modules_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "a.conc").write_text("pub fn f() -> Int { 7 }\n", encoding="utf-8")
    done = run("run", "-", cwd=tmp_path, stdin='use a::f;\nemit("f", f());\n')
    assert (done.stdout, done.stderr) == ("[emit:f] 7\n", "")


def test_a_module_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text("mod a;\nfn main() {}\n", encoding="utf-8")
    (tmp_path / "a.conc").mkdir()
    done = run("check", cwd=tmp_path)
    assert (done.returncode, "E2021" in done.stderr) == (2, True)


def test_explain_has_a_page(tmp_path: Path) -> None:
    assert run("explain", "E3001", cwd=tmp_path).stdout.startswith("# E3001: type mismatch")
    assert run("explain", "conn-duplicate", cwd=tmp_path).stdout.startswith("# E4003")
    assert run("explain", "E3999", cwd=tmp_path).returncode == 2


def test_require_keys(folder: Path) -> None:
    done = run("run", "--require-keys", cwd=folder)
    assert (done.returncode, "`URL` is not set" in done.stderr) == (2, True)


def test_interrupting_a_run_cancels_it(folder: Path) -> None:
    with concerto.MockServer(script='{"rules": [{"reply": {"fault": "stall"}}]}') as server:
        variables = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "URL": server.url}
        command = [sys.executable, "-m", "concerto", "run", "--metrics"]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith("[emit:list]")
        assert process.stdout.readline() == "hello\n"
        wait_for(lambda: bool(server.requests()))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert re.search(r"interrupted after \d+\.\d s: 1 model calls, 1 emits", err)
    assert "tokens in" in err
    assert "Traceback" not in err


def test_mock_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-m", "concerto", "mock"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        runtime = concerto.Runtime(concerto.compile(PROGRAM), env={"URL": url})
        assert runtime.call("ask", "Hi") == "[mock response to: Hi]"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_local_says_what_is_missing(tmp_path: Path) -> None:
    done = run("local", "--model", "none.gguf", cwd=tmp_path)
    assert done.returncode == 2
    assert "concerto[local]" in done.stderr or "no model at" in done.stderr


def test_verbose_says_how_a_program_was_compiled(folder: Path) -> None:
    first = run("check", "-v", cwd=folder, CONCERTO_CACHE="on")
    assert re.match(r"main\.conc: compiled in \d+ ms\n", first.stderr)
    again = run("check", "-v", cwd=folder, CONCERTO_CACHE="on")
    assert again.stderr == "main.conc: kept by the cache\nno errors found\n"
    with concerto.MockServer() as server:
        logged = run("run", "-vv", cwd=folder, URL=server.url)
    assert "200" in logged.stderr
    assert "200" not in run("run", "--mock", cwd=folder).stderr


def test_a_stripped_program_runs_and_names_functions_only(tmp_path: Path) -> None:
    text = """/// Doc of a function.
fn f(xs: Array<Int>) -> Int { xs[3] }
schema S {
    /// What models read stays.
    n: Int,
}
fn main() { emit("n", f([1])); }
@test fn t() { assert_eq(f([1, 2, 3, 4]), 5); }
"""
    (tmp_path / "main.conc").write_text(text, encoding="utf-8")
    assert run("build", "--strip", cwd=tmp_path).returncode == 0
    stripped = (tmp_path / "main.conc-ir").read_bytes()
    assert concerto.Program.from_bytes(stripped).to_bytes() == stripped
    assert b"What models read stays." in stripped
    assert b"Doc of a function." not in stripped
    whole = run("build", "--stdout", cwd=tmp_path).stdout
    assert "Doc of a function." in whole
    assert len(stripped) < len(whole)
    done = run("run", "main.conc-ir", "--debug", cwd=tmp_path)
    assert done.returncode == 101
    assert done.stderr.endswith("  at f\n  at main\n")
    tested = run("test", "main.conc-ir", cwd=tmp_path)
    assert "FAIL t" in tested.stdout
    assert "     at t\n" in tested.stdout
    assert not re.search(r"// \d+:\d+", run("ir", "main.conc-ir", cwd=tmp_path).stdout)


def test_build_may_only_check(folder: Path) -> None:
    done = run("build", "--check-only", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (folder / "main.conc-ir").exists()
    assert run("build", "--check-only", "--stdout", cwd=folder).returncode == 2
    (folder / "main.conc").write_text("fn main() { x; }\n", encoding="utf-8")
    wrong = run("build", "--check-only", cwd=folder)
    assert (wrong.returncode, "E2001" in wrong.stderr) == (2, True)


def test_two_programs_can_be_compared(folder: Path) -> None:
    assert run("build", cwd=folder).returncode == 0
    same = run("ir", "main.conc-ir", "--diff", "main.conc", cwd=folder)
    assert (same.returncode, same.stdout) == (0, "")
    (folder / "main.conc").write_text(PROGRAM.replace('"Hi"', '"Ho"'), encoding="utf-8")
    other = run("ir", "main.conc-ir", "--diff", "main.conc", cwd=folder)
    assert other.returncode == 1
    assert other.stdout.startswith("--- main.conc-ir\n+++ main.conc\n")
    changed = [line for line in other.stdout.splitlines()[2:] if line[0] in "+-"]
    assert len(changed) == 2
    assert run("ir", "main.conc", "--verify", cwd=folder).stdout == "the program is well formed\n"


def compiler(*args: str, cwd: Path) -> tuple[int, str, str]:
    """`concertoc`."""
    done = subprocess.run(
        [sys.executable, "-m", "concerto.cli.concertoc", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_compiler_has_a_name_of_its_own(folder: Path) -> None:
    assert compiler("main.conc", "--check", cwd=folder) == (0, "No errors found.\n", "")
    assert not (folder / "main.conc-ir").exists()
    assert compiler("main.conc", cwd=folder) == (0, "", "")
    assert compiler("main.conc", "-o", "other.ir", cwd=folder)[0] == 0
    assert (folder / "other.ir").read_bytes() == (folder / "main.conc-ir").read_bytes()
    for form in ("tokens", "ast", "ir"):
        expected = run("build", "main.conc", "--emit", form, cwd=folder).stdout
        assert compiler("main.conc", f"--emit-{form}", cwd=folder) == (0, expected, "")
    (folder / "main.conc").write_text("fn main() { let x = 1; y; }\n", encoding="utf-8")
    status, out, err = compiler("main.conc", "--check", "-q", cwd=folder)
    assert (status, out) == (2, "")
    assert "error[E2001]" in err
    assert "warning" not in err
    assert compiler("none.conc", cwd=folder)[0] == 2
    assert compiler(cwd=folder)[0] == 2


@contextmanager
def watching(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], list[str]]]]:
    """`check --watch`, and what it says up to its next rest."""
    command = [sys.executable, "-m", "concerto", "check", "--watch", "--format", "short"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:

        def said() -> list[str]:
            assert process.stderr is not None
            lines: list[str] = []
            while line := process.stderr.readline():
                if line.startswith("watching"):
                    return lines
                lines.append(line.strip())
            raise AssertionError(f"it ended: {lines}")

        try:
            yield process, said
        finally:
            process.kill()


def test_check_watches_files_until_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text("use a::f;\nfn main() { f(); }\n", encoding="utf-8")
    with watching(tmp_path) as (process, said):
        assert "E2022" in said()[0]
        (tmp_path / "a.conc").write_text("pub fn f() { x; }\n", encoding="utf-8")
        assert "a.conc:1:14: error[E2001]" in said()[0]
        (tmp_path / "a.conc").write_text("pub fn f() { }\n", encoding="utf-8")
        assert said() == []
        # What is wrong with the project ends nothing either.
        (tmp_path / "Concerto.toml").write_text("[project\n", encoding="utf-8")
        assert "E4058" in said()[0]
        (tmp_path / "Concerto.toml").unlink()
        assert said() == []
        (tmp_path / "main.conc").unlink()
        assert "neither main.conc nor src/main.conc" in said()[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    assert run("check", "--watch", "-", cwd=tmp_path).returncode == 2


def test_options_of_later_releases_are_refused_by_name(folder: Path) -> None:
    done = run("run", "--mock", "--trace", "spans.jsonl", cwd=folder)
    expected = "error: this release does not have `--trace`\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


@pytest.mark.parametrize("command", [["run"], ["ir"], ["run", "--emit", "json"]])
def test_a_reader_that_leaves_ends_a_command_quietly(tmp_path: Path, command: list[str]) -> None:
    text = 'fn main() { for i in 0..100000 { emit("n", i); } }\n'
    (tmp_path / "main.conc").write_text(text, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "concerto", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


def test_only_a_process_of_its_own_goes_without_the_collector(tmp_path: Path) -> None:
    from concerto.__main__ import main

    (tmp_path / "main.conc").write_text('fn main() { println("hi"); }\n', encoding="utf-8")
    assert main(["check", "-q", str(tmp_path / "main.conc")]) == 0
    assert gc.isenabled()
    script = "import gc, sys, concerto.__main__; sys.argv[1:] = ['check', '-q', 'main.conc']; concerto.__main__.main(); print(gc.isenabled())"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
