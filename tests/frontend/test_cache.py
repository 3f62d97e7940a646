"""The compile cache of programs of several files: whatever is edited, the outcome is that of a fresh compilation."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
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
