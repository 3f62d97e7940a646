"""`concerto mock --record` and `--replay`: a proxy that stores traffic, and a server that plays it (toolchain reference 2.8)."""

from __future__ import annotations

import json
from pathlib import Path

import concerto
import pytest
from concerto import tape

from tests.host.test_cli import run
from tests.host.test_record import KEY, PROGRAM, SCRIPT

#: The words of an error name its server.
EMITS = ["[emit:text] one", "[emit:again] two"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.conc").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def emits(folder: Path, url: str, key: str) -> list[str]:
    return run("run", cwd=folder, BOX_URL=url, BOX_KEY=key).stdout.splitlines()


def test_what_passes_through_is_stored_without_keys_and_played(folder: Path) -> None:
    store = folder / "store.jsonl"
    with concerto.MockServer(script=json.dumps(SCRIPT)) as server:
        with tape.recording(server.url, store) as url:
            expected = emits(folder, url, KEY)
    assert expected[:2] == EMITS
    text = store.read_text(encoding="utf-8")
    assert KEY not in text
    statuses = [json.loads(line)["status"] for line in text.splitlines()]
    assert statuses == [503, 200, 200, 200, 200, 400]
    with tape.playing(store) as url:
        assert emits(folder, url, "sk-another-key") == expected
        # Each exchange answers once.
        again = run("run", cwd=folder, BOX_URL=url, BOX_KEY=KEY)
        assert (again.returncode, again.stdout) == (1, "")
        assert "the recording has no further answer to POST /v1/chat/completions" in again.stderr
    assert run("run", "--replay", "store.jsonl", cwd=folder).stdout.splitlines() == expected


def test_recordings_of_runs_are_played_too(folder: Path) -> None:
    with concerto.MockServer(script=json.dumps(SCRIPT)) as server:
        done = run("run", "--record", "tape.jsonl", cwd=folder, BOX_URL=server.url, BOX_KEY=KEY)
    with tape.playing(folder / "tape.jsonl") as url:
        assert emits(folder, url, KEY) == done.stdout.splitlines()


def test_a_provider_that_cannot_be_reached_is_a_502(folder: Path) -> None:
    with tape.recording("http://127.0.0.1:1", folder / "store.jsonl") as url:
        done = run("run", cwd=folder, BOX_URL=url, BOX_KEY=KEY)
    assert done.returncode == 1
    assert "the provider cannot be reached" in done.stderr
    assert KEY not in done.stderr


def test_wrong_options_are_said_at_once(folder: Path) -> None:
    (folder / "bad.jsonl").write_text("{}\n", encoding="utf-8")
    for options, words in (
        (["--record", "nowhere"], "`nowhere` is no URL of a provider"),
        (["--replay", "none.jsonl"], "No such file"),
        (["--replay", "bad.jsonl"], "`bad.jsonl` is no recording: line 1: missing field"),
        (["--replay", "a", "--record", "b"], "`--replay` and `--record` exclude one another"),
        (["--record", "http://a", "--latency", "5"], "`--record` and `--latency` exclude"),
        (["--replay", "a", "--error-rate", "1"], "`--replay` and `--error-rate` exclude"),
    ):
        done = run("mock", *options, cwd=folder)
        assert (done.returncode, done.stdout) == (2, ""), options
        assert words in done.stderr
    assert not (folder / "traffic.jsonl").exists()
