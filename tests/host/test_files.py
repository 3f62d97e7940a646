"""`std::fs` on real files (library reference 4.3), and what hosts, manifests and the command line allow (toolchain reference 2.4, 4.2, 8.5)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import concerto
import pytest

CODE = """
pub fn read(p: String) -> Result<String, FsError> { std::fs::read_file(p) }
pub fn lines(p: String) -> Result<Array<String>, FsError> { std::fs::read_lines(p) }
pub fn write(p: String, c: String) -> Result<Nil, FsError> { std::fs::write_file(p, c) }
pub fn append(p: String, c: String) -> Result<Nil, FsError> { std::fs::append_file(p, c) }
pub fn look(p: String) -> Array<Bool> { [std::fs::exists(p), std::fs::is_file(p), std::fs::is_dir(p)] }
pub fn list(p: String) -> Result<Array<String>, FsError> { std::fs::list_dir(p) }
pub fn remove(p: String) -> Result<Nil, FsError> { std::fs::remove_file(p) }
pub fn make(p: String, parents: Bool) -> Result<Nil, FsError> { std::fs::create_dir(p, parents: parents) }
pub fn copy(a: String, b: String) -> Result<Nil, FsError> { std::fs::copy(a, b) }
pub fn rename(a: String, b: String) -> Result<Nil, FsError> { std::fs::rename(a, b) }
pub fn size(p: String) -> Result<Int, FsError> { std::fs::file_size(p) }
pub fn prompt(p: String) -> Result<String, FsError> { std::prompt::from_file(p, { "a": 1 }) }
pub fn as_text(p: String) -> Result<String, String> { Ok(std::fs::read_file(p)?) }
"""


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(CODE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("s")
    return tmp_path / "root"


def kind(runtime: concerto.Runtime, name: str, *args: Any) -> str:
    with pytest.raises(concerto.ProgramError) as failed:
        runtime.call(name, *args)
    return str(failed.value.value.kind)


def test_files_are_written_read_and_listed(program: concerto.Program, root: Path) -> None:
    runtime = concerto.Runtime(program, fs_root=root)
    assert runtime.call("write", "b.txt", "é\r\nx\n") is None
    assert runtime.call("append", "b.txt", "y") is None
    assert runtime.call("append", "new", "n") is None
    assert runtime.call("read", "b.txt") == "é\r\nx\ny"
    assert runtime.call("lines", "./b.txt") == ["é", "x", "y"]
    assert runtime.call("size", str(root / "b.txt")) == 7
    assert runtime.call("make", "d", False) is None
    assert runtime.call("make", "e/f", True) is None
    assert runtime.call("copy", "b.txt", "d/c.txt") is None
    assert runtime.call("rename", "b.txt", "a.txt") is None
    assert runtime.call("list", ".") == ["a.txt", "d", "e", "new"]
    assert runtime.call("look", "a.txt") == [True, True, False]
    assert runtime.call("look", "d") == [True, False, True]
    assert runtime.call("look", "none") == [False, False, False]
    assert runtime.call("remove", "d/c.txt") is None
    assert runtime.call("list", "d") == []
    (root / "p").write_text("{{a}} {{b}}")
    assert runtime.call("prompt", "p") == "1 {{b}}"


def test_each_failure_has_its_kind(program: concerto.Program, root: Path) -> None:
    runtime = concerto.Runtime(program, fs_root=root)
    (root / "bad").write_bytes(b"\xff")
    (root / "d").mkdir()
    assert kind(runtime, "read", "none") == "not_found"
    assert kind(runtime, "read", "bad") == "invalid_utf8"
    assert kind(runtime, "read", "d") == "is_a_directory"
    assert kind(runtime, "write", "d", "x") == "is_a_directory"
    assert kind(runtime, "write", "no/such", "x") == "not_found"
    assert kind(runtime, "remove", "d") == "is_a_directory"
    assert kind(runtime, "make", "d", False) == "exists"
    assert kind(runtime, "list", "bad") == "not_a_directory"
    assert kind(runtime, "read", "bad/x") == "not_a_directory"
    assert kind(runtime, "read", "a\0b") == "not_found"
    with pytest.raises(concerto.ProgramError, match="cannot read `none`: there is no such file"):
        runtime.call("as_text", "none")


def test_nothing_outside_of_the_root_is_reached(program: concerto.Program, root: Path) -> None:
    runtime = concerto.Runtime(program, fs_root=root)
    (root / "d").mkdir()
    (root / "link").symlink_to(root.parent / "secret")
    (root / "up").symlink_to(root.parent)
    (root / "nowhere").symlink_to(root.parent / "not-there")
    (root / "inside").symlink_to(root / "d")
    for path in ("../secret", "d/../../secret", str(root.parent / "secret"), "link", "up/secret"):
        assert kind(runtime, "read", path) == "denied"
        assert kind(runtime, "write", path, "x") == "denied"
        assert runtime.call("look", path) == [False, False, False]
    assert kind(runtime, "append", "nowhere", "x") == "denied"
    assert kind(runtime, "copy", "d/../../secret", "x") == "denied"
    assert kind(runtime, "rename", "d", "../d") == "denied"
    assert kind(runtime, "make", "up/new", True) == "denied"
    assert runtime.call("write", "inside/../d/ok", "x") is None
    assert (root / "d/ok").read_text() == "x"
    assert (root.parent / "secret").read_text() == "s"
    assert not (root.parent / "not-there").exists()


def test_writing_replaces_a_file_at_once_and_leaves_nothing_behind(
    program: concerto.Program, root: Path
) -> None:
    runtime = concerto.Runtime(program, fs_root=root)
    (root / "f").write_text("old")
    (root / "f").chmod(0o640)
    with (root / "f").open() as reader:
        runtime.call("write", "f", "new")
        assert reader.read() == "old", "who has the file open sees the old content"
    assert (root / "f").read_text() == "new"
    assert (root / "f").stat().st_mode & 0o777 == 0o640
    assert os.listdir(root) == ["f"]


def test_a_host_may_forbid_writing_or_all(program: concerto.Program, root: Path) -> None:
    (root / "f").write_text("x")
    reading = concerto.Runtime(program, fs_root=root, fs_mode="read")
    assert reading.call("read", "f") == "x"
    for call in (("write", "f", "y"), ("append", "f", "y"), ("remove", "f"), ("copy", "f", "g")):
        assert kind(reading, *call) == "denied"
    nothing = concerto.Runtime(program, fs_root=root, fs_mode="none")
    assert kind(nothing, "read", "f") == "denied"
    assert nothing.call("look", "f") == [False, False, False]
    with pytest.raises(concerto.ConfigError, match='`fs_mode` must be "none", "read" or "write"'):
        concerto.Runtime(program, fs_mode="all")


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "concerto", "run", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_manifest_and_the_command_line_say_what_is_allowed(tmp_path: Path) -> None:
    program = """
    fn main() {
        println("${std::fs::read_file("f")} ${std::fs::write_file("g", "x")} ${std::env::get("SEEN")} ${std::env::get("PATH")}");
        println(std::env::args(), std::http::get("http://127.0.0.1:1/").unwrap_err().kind);
    }
    """
    (tmp_path / "data").mkdir()
    (tmp_path / "data/f").write_text("in data")
    (tmp_path / "main.conc").write_text(program)
    (tmp_path / "Concerto.toml").write_text(
        '[permissions]\nfs_root = "data"\nnet = ["example.com"]\nenv = ["SEEN"]\n'
    )
    (tmp_path / "vars").write_text("SEEN=1\n")
    (tmp_path / "sub").mkdir()
    done = run(tmp_path / "sub", "../main.conc", "--env", "../vars", "--", "a", "--seed")
    assert done.stdout == 'Ok("in data") Ok(nil) Some("1") None\n["a", "--seed"] denied\n', done
    done = run(tmp_path, "main.conc", "--read-only", "--offline")
    assert 'Err("cannot write `g`: the program may only read files") None' in done.stdout
    assert done.stdout.endswith("[] denied\n")


def test_a_seed_repeats_a_run(tmp_path: Path) -> None:
    text = "fn main() { println(std::math::random(), std::math::random_int(0, 1000000), std::math::shuffle([1, 2, 3, 4, 5])); }"
    (tmp_path / "main.conc").write_text(text)
    first, again, other = (
        run(tmp_path, "main.conc", "--seed", seed).stdout for seed in ("7", "7", "8")
    )
    assert first == again != other
    assert run(tmp_path, "main.conc", "--seed", "-1").returncode == 2


def test_the_log_of_a_program_goes_to_standard_error(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text(
        'fn main() { std::log::debug("d"); std::log::info([1, "a"], { "k": "v" }); std::log::warn("w"); std::log::error("e"); }'
    )
    lines = ['[INFO]  [1, "a"] k=v\n', "[WARN]  w\n", "[ERROR] e\n"]
    done = run(tmp_path, "main.conc")
    assert (done.stdout, done.stderr) == ("", "".join(lines))
    assert run(tmp_path, "main.conc", "--log-level", "error").stderr == lines[2]
    assert run(tmp_path, "main.conc", "--log-level", "debug").stderr == "[DEBUG] d\n" + "".join(
        lines
    )
