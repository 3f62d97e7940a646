"""The compile cache of programs of several files: whatever is edited, the outcome is that of a fresh compilation."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from concerto import cache
from concerto.cache import Compiled, compile_cached
from concerto.compiler import open_project
from concerto.source import Source
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: Places where something may come to stand that the program sees.
PLACES = (
    "main.conc", "a.conc", "a/mod.conc", "a/b.conc", "a/b/mod.conc", "b.conc", "c/d.conc", "Concerto.toml",
)  # fmt: skip
TEXTS = (
    "pub const N: Int = 1;\n",
    "pub const N: Int = 2;\n",
    "pub use b::N;\n",
    "pub mod b;\npub const N: Int = b::N + 1;\n",
    'use a::N;\npub fn main() { emit("n", N); }\n',
    'use a::b::N;\npub fn main() { emit("n", N + a::N); }\n',
    'use c::d::N as M;\nuse b::*;\npub fn main() { emit("n", N + M); }\n',
    "pub fn broken( {\n",
    "",
)
MANIFESTS = (
    '[project]\nname = "p"\nversion = "0.1.0"\nentry = "main.conc"\n',
    '[project]\nname = "p"\nversion = "0.1.0"\nentry = "main.conc"\n[connections.ollama]\nprovider = "ollama"\n',
)

edits = st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from([None, *TEXTS])), max_size=5)


def outcome(root: Path, *, cached: bool) -> Compiled:
    """The compilation as the command line does it; without the cache in another folder, where nothing is remembered."""
    entry = root / "main.conc"
    if not cached:
        copy = root.parent / "fresh"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".concerto"))
        return outcome(copy, cached=True)
    source = Source("main.conc", entry.read_text(encoding="utf-8"))
    return compile_cached(source, entry, open_project(entry)[0])


def comparable(compiled: Compiled, root: Path) -> tuple[object, str]:
    """Without the names of the folders, on which digests depend as well."""
    text = None
    if compiled.ir is not None:
        document = json.loads(compiled.ir)
        document.pop("digest")
        text = json.dumps(document).replace(root.name, "")
    return text, compiled.render("short").replace(root.as_posix(), "")


@pytest.fixture(autouse=True)
def _cache_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCERTO_CACHE", "on")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_the_cache_is_never_stale_whatever_is_edited(
    tmp_path: Path, steps: list[tuple[str, str | None]]
) -> None:
    root = tmp_path / "project"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    (root / "main.conc").write_text(TEXTS[5], encoding="utf-8")
    (root / "a.conc").write_text(TEXTS[0], encoding="utf-8")
    for place, text in steps:
        before = comparable(outcome(root, cached=True), root)
        path = root / place
        if place == "Concerto.toml":
            text = MANIFESTS[len(text or "") % 2]
        if text is None and place != "main.conc":
            path.unlink(missing_ok=True)
        elif text is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        now = comparable(outcome(root, cached=True), root)
        again = comparable(outcome(root, cached=True), root)
        fresh = comparable(outcome(root, cached=False), root.parent / "fresh")
        assert now == again == fresh, (place, text, before)


def test_an_unchanged_program_is_taken_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text(TEXTS[4], encoding="utf-8")
    (tmp_path / "a.conc").write_text(TEXTS[0], encoding="utf-8")
    first = outcome(tmp_path, cached=True)
    assert first.files == ((tmp_path / "a.conc").as_posix(),)
    [entry] = (tmp_path / ".concerto/cache").glob("*.json")
    # What the entry says is believed, as long as all files are the same.
    data = json.loads(entry.read_text(encoding="utf-8"))
    entry.write_text(json.dumps({**data, "ir": "marked"}), encoding="utf-8")
    assert outcome(tmp_path, cached=True) == replace(first, ir=b"marked")
    (tmp_path / "a.conc").write_text(TEXTS[1], encoding="utf-8")
    assert outcome(tmp_path, cached=True).ir not in (b"marked", first.ir)


def test_a_file_that_takes_the_place_of_another_is_seen(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text(TEXTS[4], encoding="utf-8")
    (tmp_path / "a.conc").write_text(TEXTS[0], encoding="utf-8")
    assert outcome(tmp_path, cached=True).ir is not None
    (tmp_path / "a").mkdir()
    assert outcome(tmp_path, cached=True).ir is not None
    (tmp_path / "a/mod.conc").write_text(TEXTS[0], encoding="utf-8")
    assert "E2020" in outcome(tmp_path, cached=True).render("short")


def test_concurrent_compilations_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text(TEXTS[4], encoding="utf-8")
    for text in TEXTS[:2]:
        (tmp_path / "a.conc").write_text(text, encoding="utf-8")
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: outcome(tmp_path, cached=True), range(16)))
        assert len(set(found)) == 1
        assert found[0].ir is not None
    assert not list((tmp_path / ".concerto/cache").glob("*.tmp"))


def entries(root: Path) -> list[Path]:
    return sorted((root / ".concerto/cache").glob("*"))


def project_of(root: Path) -> Path:
    """A program with a warning and a module."""
    (root / "main.conc").write_text(
        "use a::N;\npub fn main() { let unused = N; }\n", encoding="utf-8"
    )
    (root / "a.conc").write_text(TEXTS[0], encoding="utf-8")
    return root


def test_diagnostics_are_kept_in_every_form(tmp_path: Path) -> None:
    first = outcome(project_of(tmp_path), cached=True)
    again = outcome(tmp_path, cached=True)
    assert (first.is_cached, again.is_cached) == (False, True)
    assert "W2001" in first.render("short")
    for form in ("human", "short", "json"):
        assert again.render(form, color=form == "human") == first.render(
            form, color=form == "human"
        )
    # Programs with errors are kept, too.
    (tmp_path / "main.conc").write_text("fn main() { x; }\n", encoding="utf-8")
    assert outcome(tmp_path, cached=True).ir is None
    assert outcome(tmp_path, cached=True).is_cached
    assert outcome(tmp_path, cached=True).has_errors


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", "{}", '{"ir": 1, "seen": {}, "diagnostics": []}', '{"ir": "x", "seen": []}', "\x00"],
)  # fmt: skip
def test_a_damaged_entry_is_replaced(tmp_path: Path, damage: str) -> None:
    first = outcome(project_of(tmp_path), cached=True)
    [entry] = entries(tmp_path)
    entry.write_text(damage, encoding="utf-8")
    assert outcome(tmp_path, cached=True) == first
    assert outcome(tmp_path, cached=True).is_cached


def test_an_entry_of_bytes_that_are_no_text_is_replaced(tmp_path: Path) -> None:
    first = outcome(project_of(tmp_path), cached=True)
    entries(tmp_path)[0].write_bytes(b'{"ir": "\xff"}')
    assert outcome(tmp_path, cached=True) == first


def test_the_cache_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCERTO_CACHE", "off")
    outcome(project_of(tmp_path), cached=True)
    assert not (tmp_path / ".concerto").exists()


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (project_of(tmp_path) / ".concerto").write_text("in the way", encoding="utf-8")
    assert outcome(tmp_path, cached=True).ir is not None
    assert (tmp_path / ".concerto").read_text(encoding="utf-8") == "in the way"


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    assert outcome(project_of(tmp_path), cached=True).ir is not None
    assert entries(tmp_path) == []


def test_the_cache_is_kept_out_of_version_control(tmp_path: Path) -> None:
    outcome(project_of(tmp_path), cached=True)
    assert (tmp_path / ".concerto/.gitignore").read_text(encoding="utf-8") == "*\n"


def test_the_oldest_entries_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 3)
    project_of(tmp_path)
    seen: list[Path] = []
    for number in range(5):
        text = f'pub fn main() {{ emit("n", {number}); }}\n'
        (tmp_path / "main.conc").write_text(text, encoding="utf-8")
        outcome(tmp_path, cached=True)
        [new] = set(entries(tmp_path)) - set(seen)
        os.utime(new, (number, number))
        seen.append(new)
    assert set(entries(tmp_path)) == set(seen[-3:])


@pytest.mark.parametrize("part", ["concerto", "python", "file"])
def test_another_compiler_has_other_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    outcome(project_of(tmp_path), cached=True)
    if part == "concerto":
        monkeypatch.setattr(cache, "__version__", "99.0.0")
    elif part == "python":
        monkeypatch.setattr(sys, "version", "4.0")
    else:
        monkeypatch.setattr(cache, "_compiler_state", lambda: "another")
    assert not outcome(tmp_path, cached=True).is_cached
    assert len(entries(tmp_path)) == 2


def test_all_files_of_the_compiler_count() -> None:
    package = Path(cache.__file__).parent
    # The command line prints, but has no part in what comes out.
    expected = {
        path.relative_to(package).as_posix()
        for kind in ("py", "conc", "json", "so")
        for path in package.rglob(f"*.{kind}")
        if path.relative_to(package).parts[0] != "cli"
    }
    assert {path for path, _ in cache.compiler_files()} == expected
    assert "check/std/task.conc" in expected


def test_levels_of_warnings_are_no_part_of_an_entry(tmp_path: Path) -> None:
    found = outcome(project_of(tmp_path), cached=True)
    assert found.linted({"W2001": "deny"}).ir is None
    again = outcome(tmp_path, cached=True)
    assert again.is_cached
    assert again.linted({"W2001": "allow"}).diagnostics == ()
    assert again.ir is not None


def test_the_same_text_at_another_path_is_another_program(tmp_path: Path) -> None:
    project_of(tmp_path)
    text = (tmp_path / "main.conc").read_text(encoding="utf-8")
    (tmp_path / "copy.conc").write_text(text, encoding="utf-8")
    outcome(tmp_path, cached=True)
    other = compile_cached(Source("copy.conc", text), tmp_path / "copy.conc")
    assert not other.is_cached
    assert other.render("short").startswith("copy.conc:")
