"""`concerto fmt` as a command: what it writes, prints and gives back."""

from __future__ import annotations

from pathlib import Path

from tests.host.test_cli import run

UGLY, FINE = "fn  main( ){ }\n", "fn main() {}\n"


def test_files_are_written_only_where_they_change(tmp_path: Path) -> None:
    for name, text in (("a.conc", UGLY), ("b/c.conc", FINE), (".hidden/d.conc", UGLY)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "a.conc").chmod(0o640)
    checked = run("fmt", "--check", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (1, "a.conc\n")
    assert checked.stderr == "1 of 2 files would change\n"
    shown = run("fmt", "--diff", "a.conc", cwd=tmp_path)
    assert (shown.returncode, "-fn  main( ){ }\n+fn main() {}" in shown.stdout) == (1, True)
    assert (tmp_path / "a.conc").read_text(encoding="utf-8") == UGLY
    assert run("fmt", cwd=tmp_path).stderr == "1 of 2 files changed\n"
    assert (tmp_path / "a.conc").read_text(encoding="utf-8") == FINE
    assert (tmp_path / "a.conc").stat().st_mode & 0o777 == 0o640
    assert run("fmt", "--check", cwd=tmp_path).returncode == 0
    assert (tmp_path / ".hidden/d.conc").read_text(encoding="utf-8") == UGLY
    assert sorted(each.name for each in tmp_path.iterdir()) == [".hidden", "a.conc", "b"]


def test_standard_input(tmp_path: Path) -> None:
    assert run("fmt", "-", cwd=tmp_path, stdin=UGLY).stdout == FINE
    assert run("fmt", "--check", "-", cwd=tmp_path, stdin=UGLY).returncode == 1


def test_files_with_mistakes_are_left_alone_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.conc").write_text("fn main( {\n", encoding="utf-8")
    (tmp_path / "b.conc").write_text(UGLY, encoding="utf-8")
    done = run("fmt", "a.conc", "b.conc", cwd=tmp_path)
    assert (done.returncode, "error[E1002]" in done.stderr) == (2, True)
    assert (tmp_path / "a.conc").read_text(encoding="utf-8") == "fn main( {\n"
    assert (tmp_path / "b.conc").read_text(encoding="utf-8") == FINE


def test_the_width_of_lines_comes_from_the_manifest(tmp_path: Path) -> None:
    manifest = (
        '[project]\nname = "p"\nversion = "0.1.0"\nentry = "main.conc"\n[fmt]\nline_width = 30\n'
    )
    (tmp_path / "Concerto.toml").write_text(manifest, encoding="utf-8")
    (tmp_path / "main.conc").write_text("fn f(first: Int, second: Int) {}\n", encoding="utf-8")
    assert run("fmt", cwd=tmp_path).returncode == 0
    text = (tmp_path / "main.conc").read_text(encoding="utf-8")
    assert text == "fn f(\n    first: Int,\n    second: Int,\n) {}\n"
