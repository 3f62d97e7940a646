"""`record` and `replay`: the traffic of model calls in a file (toolchain reference 2.4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import concerto
import pytest

from tests.host.test_cli import run

PROGRAM = """connect box {
    api_key: env("BOX_KEY"), base_url: env("BOX_URL"), default_model: "m",
    retry: { max_attempts: 2, initial_delay_ms: 1 },
}
model Judge { provider: box }
schema Verdict { ok: Bool, why: String }
fn main() {
    emit("text", Judge.execute("First")?.text);
    emit("again", Judge.execute("First")?.text);
    let mut pieces = [];
    for chunk in Judge.stream("Tell me")? { pieces.push(chunk.text); }
    emit("pieces", pieces.join("|"));
    emit("verdict", Judge.execute_with_schema<Verdict>("Is it?")?);
    emit("failed", Judge.execute("Refuse")?.text);
}
"""
KEY = "sk-canary-record"
#: Two answers to the same question, a fault that is tried again, an error that quotes the key.
SCRIPT: dict[str, Any] = {
    "api_key": KEY,
    "rules": [
        {"match": {"contains": "First"}, "times": 1, "reply": {"error": {"status": 503}}},
        {"match": {"contains": "First"}, "times": 1, "reply": {"text": "one"}},
        {"match": {"contains": "First"}, "reply": {"text": "two"}},
        {"match": {"contains": "Tell"}, "reply": {"chunks": ["a ", "b ", "c"]}},
        {
            "match": {"contains": "Refuse"},
            "reply": {"error": {"status": 400, "message": f"not for {KEY}"}},
        },
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.conc").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def recorded(folder: Path) -> tuple[str, str]:
    """Records a run against a server; what it printed."""
    with concerto.MockServer(script=json.dumps(SCRIPT)) as server:
        done = run("run", "--record", "tape.jsonl", cwd=folder, BOX_URL=server.url, BOX_KEY=KEY)
    assert done.returncode == 1
    assert "[emit:text] one\n[emit:again] two\n" in done.stdout, done.stderr
    return done.stdout, done.stderr


def test_a_recording_answers_as_the_server_did_without_keys(folder: Path) -> None:
    out, err = recorded(folder)
    replayed = run("run", "--replay", "tape.jsonl", "--metrics", "json", cwd=folder)
    assert replayed.stdout == out
    *said, metrics = replayed.stderr.splitlines()
    assert said == err.splitlines()
    # Attempts, tokens and errors count as they did.
    counters = json.loads(metrics)["connections"]["box"]
    assert (counters["calls"], counters["attempts"], counters["mocked"]) == (5, 6, 0)


def test_a_recording_holds_no_key(folder: Path) -> None:
    recorded(folder)
    text = (folder / "tape.jsonl").read_text(encoding="utf-8")
    assert KEY not in text
    assert "not for ***" in text
    exchanges = [json.loads(line) for line in text.splitlines()]
    assert [each["status"] for each in exchanges] == [503, 200, 200, 200, 200, 400]
    assert all(set(e) == {"url", "request", "status", "headers", "body"} for e in exchanges)
    assert exchanges[0]["request"]["messages"] == [{"role": "user", "content": "First"}]
    assert "authorization" not in text.lower()


def test_what_was_not_recorded_is_an_error(folder: Path) -> None:
    recorded(folder)
    changed = PROGRAM.replace('"Tell me"', '"Tell us"')
    (folder / "main.conc").write_text(changed, encoding="utf-8")
    done = run("run", "--replay", "tape.jsonl", cwd=folder)
    assert done.returncode == 1
    assert "`replay`: has no further answer to this request" in done.stderr
    assert done.stdout == "[emit:text] one\n[emit:again] two\n"


def test_wrong_files_and_options_are_said_at_once(folder: Path) -> None:
    (folder / "bad.jsonl").write_text("{}\n", encoding="utf-8")
    for options, words in (
        (["--replay", "none.jsonl"], "the option `replay` cannot read `none.jsonl`: "),
        (
            ["--replay", "bad.jsonl"],
            "the option `replay` cannot read `bad.jsonl`: line 1: missing field",
        ),
        (["--record", "no/such/folder"], "the option `record` cannot write `no/such/folder`: "),
        (["--record", "a", "--replay", "b"], "only one of `mock`, `record` and `replay`"),
        (["--mock", "--record", "a"], "only one of `mock`, `record` and `replay`"),
    ):
        done = run("run", *options, cwd=folder)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert words in done.stderr


def test_a_stream_that_is_left_is_recorded_as_far_as_it_came(tmp_path: Path) -> None:
    program = concerto.compile(
        PROGRAM[: PROGRAM.index("fn main")]
        + 'fn main() { for chunk in Judge.stream("Tell")? { emit("first", chunk.text); break; } }'
    )
    tape = tmp_path / "tape.jsonl"

    def first(**options: Any) -> list[Any]:
        found: list[Any] = []
        with concerto.Runtime(program, **options) as runtime:
            runtime.on("first", found.append)
            runtime.run()
        return found

    with concerto.MockServer(script=json.dumps(SCRIPT)) as server:
        expected = first(env={"BOX_URL": server.url, "BOX_KEY": KEY}, record=tape)
    replayed = first(env={"BOX_URL": "http://127.0.0.1:1", "BOX_KEY": "other"}, replay=tape)
    assert replayed == expected == ["a "]


@pytest.mark.parametrize(
    "fault", ["cut", "reset", "error_event", "malformed_event", "close", "wrong_type"]
)
def test_recording_changes_no_error(tmp_path: Path, fault: str) -> None:
    text = """connect box { base_url: env("BOX_URL"), default_model: "m", timeout: 5 }
model Judge { provider: box }
pub fn plain() -> Result<String, LlmError> { Ok(Judge.execute("Hi")?.text) }
pub fn streamed() -> Result<String, LlmError> {
    let mut all = "";
    for chunk in Judge.stream("Hi")? { all += chunk.text; }
    Ok(all)
}
"""
    program = concerto.compile(text)
    script = {"rules": [{"reply": {"text": "one two three", "fault": fault, "after": 2}}]}

    def outcome(name: str, url: str, **options: Any) -> tuple[str, str]:
        with concerto.Runtime(program, env={"BOX_URL": url}, **options) as runtime:
            try:
                return "ok", str(runtime.call(name))
            except concerto.LlmError as error:
                return error.kind, str(error)

    for name in ("plain", "streamed"):
        with concerto.MockServer(script=json.dumps(script)) as server:
            expected = outcome(name, server.url)
            tape = tmp_path / f"{name}.jsonl"
            assert outcome(name, server.url, record=tape) == expected
