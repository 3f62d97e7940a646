"""Scripts without a server: `Runtime(mock=..)` and `concerto run --mock FILE` (O-15, T-18, toolchain 2.4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import concerto
import pytest
from concerto import errors

from tests.host.test_cli import run

PROGRAM = """
connect openai { api_key: env("NO_SUCH_KEY"), models: { "fast": "gpt-4o-mini" }, rate_limit: { requests_per_minute: 1 } }
connect claude { api_key: env("NO_SUCH_KEY"), default_model: "claude-haiku-4-5" }
connect gemini { api_key: env("NO_SUCH_KEY") }
connect box { base_url: env("NO_SUCH_URL"), default_model: env("NO_SUCH_MODEL") }
schema Verdict { area: String, urgent: Bool }
model O { provider: openai, base: "fast" }
model A { provider: claude }
model G { provider: gemini }
model B { provider: box }
@timeout(seconds: 10)
model Hurried { provider: openai }
pub fn openai(prompt: String) -> Result<Response, LlmError> { O.execute(prompt) }
pub fn claude(prompt: String) -> Result<Response, LlmError> { A.execute(prompt) }
pub fn gemini(prompt: String) -> Result<Response, LlmError> { G.execute(prompt) }
pub fn box(prompt: String) -> Result<Response, LlmError> { B.execute(prompt) }
pub fn hurried(prompt: String) -> Result<Response, LlmError> { Hurried.execute(prompt) }
pub fn judge(prompt: String) -> Result<Verdict, LlmError> { O.execute_with_schema<Verdict>(prompt) }
pub fn tell(prompt: String) -> Result<Response, LlmError> {
    let stream = G.stream(prompt)?;
    for chunk in stream { emit("chunk", [chunk.text, chunk.elapsed_ms]); }
    match stream.response() { Some(r) => Ok(r), None => Err(LlmError::new("no response")) }
}
pub fn leave(prompt: String) -> Result<String, LlmError> {
    for chunk in G.stream(prompt)? { return Ok(chunk.text); }
    Ok("")
}
fn main() { emit("said", O.execute("hello")?.text); }
"""


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


def scripted(program: concerto.Program, *rules: dict[str, Any], **more: Any) -> concerto.Runtime:
    return concerto.Runtime(program, mock={"rules": list(rules)}, env_allow=[], **more)


def test_o15_the_usual_answers_name_the_resolved_id(program: concerto.Program) -> None:
    """O-15, M-11: also through aliases; what needs a variable that is not set is left out."""
    runtime = concerto.Runtime(program, mock=True, env_allow=[])
    ids = {
        name: runtime.call(name, "hello").model for name in ("openai", "claude", "gemini", "box")
    }
    assert ids == {
        "openai": "gpt-4o-mini",
        "claude": "claude-haiku-4-5",
        "gemini": "gemini-2.5-flash",
        "box": "mock",
    }
    response = runtime.call("openai", "hello")
    assert (response.tokens_in, response.tokens_out, response.cost) == (5, 42, None)
    assert (response.attempts, response.rounds, response.finish_reason) == (1, 1, "stop")


def test_rules_answer_calls(program: concerto.Program) -> None:
    """By connection, protocol, model and text; a question that no rule fits gets the usual answer."""
    runtime = scripted(
        program,
        {"match": {"connection": "claude"}, "reply": {"text": "I am Claude."}},
        {"match": {"dialect": "gemini"}, "reply": {"text": "I am Gemini.", "model": "g-2"}},
        {
            "match": {"model": "gpt-4o-mini", "contains": "short"},
            "reply": {"text": "Sh", "finish_reason": "length"},
        },
        {"match": {"regex": "^(hi|hello)$"}, "times": 1, "reply": {"json": {"a": 1}}},
    )
    assert runtime.call("claude", "who?").text == "I am Claude."
    assert runtime.call("gemini", "who?").model == "g-2"
    short = runtime.call("openai", "be short")
    assert (short.text, short.finish_reason) == ("Sh", "length")
    assert runtime.call("openai", "hello").text == '{"a":1}'
    assert runtime.call("openai", "hello").text == "[mock response to: hello]"


def test_t_18_mocked_calls_are_counted_and_cost_nothing(program: concerto.Program) -> None:
    """T-12, T-18, C-89: they pass by the limits; the numbers of a response do not enter the metrics."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 500}
    runtime = scripted(
        program,
        {"match": {"contains": "fail"}, "reply": {"error": {"status": 500}}},
        {"reply": {"text": "one two three", "usage": usage}},
    )
    for _ in range(3):
        response = runtime.call("openai", "hello")
        assert (response.tokens_in, response.tokens_out) == (1000, 500)
    with pytest.raises(errors.ServerError):
        runtime.call("openai", "fail")
    metrics = runtime.get_metrics()
    counters = metrics.counters("openai")
    names = ("calls", "successes", "mocked", "in_flight", "attempts")
    assert [counters[name] for name in names] == [4, 3, 4, 0, 0]
    assert counters["errors"] == {"server_error": 1}
    assert (metrics.total_tokens(), metrics.total_estimated_cost()) == (0, 0.0)
    assert runtime.call("leave", "hello") == "one "
    counters = runtime.get_metrics().counters("gemini")
    assert (counters["calls"], counters["cancelled"], counters["in_flight"]) == (1, 1, 0)


@pytest.mark.parametrize("name", ["openai", "claude", "gemini"])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"error": {"status": 401}}, errors.AuthenticationError),
        ({"error": {"status": 429, "retry_after": {"seconds": 7}}}, errors.RateLimitedError),
        ({"error": {"status": 529}}, errors.ServerError),
        ({"text": "", "finish_reason": "content_filter"}, errors.ContentFilteredError),
    ],
)
def test_errors_are_those_of_the_provider(
    program: concerto.Program, name: str, reply: dict[str, Any], kind: type[errors.LlmError]
) -> None:
    """E-4: a call that fails by a rule fails as by the same answer of a server, once."""
    runtime = scripted(program, {"reply": reply})
    with pytest.raises(kind) as caught:
        runtime.call(name, "hello")
    if kind is errors.RateLimitedError:
        assert caught.value.retry_after_ms == 7000
    assert (caught.value.connection, caught.value.attempts) == (name, 1)


def test_m_41_typed_answers_are_judged_and_asked_again(program: concerto.Program) -> None:
    runtime = scripted(
        program,
        {"match": {"contains": "all wrong"}, "reply": {"text": "no"}},
        {"times": 1, "reply": {"json": {"area": "login"}}},
        {"match": {"contains": "urgent"}, "reply": {"json": {"area": "login", "urgent": True}}},
    )
    verdict = runtime.call("judge", "judge this")
    assert (verdict.area, verdict.urgent) == ("login", True), "the complaint names `urgent`"
    assert runtime.call("judge", "another").area == "[mock area]"
    with pytest.raises(errors.SchemaError):
        scripted(program, {"reply": {"text": "no"}}).call("judge", "x")


def test_streams_come_in_their_pieces_and_at_their_times(program: concerto.Program) -> None:
    """S-1, S-3, C-91: delays are those of the clock."""
    clock = concerto.VirtualClock()
    reply = {"chunks": ["one ", "", "two"], "chunk_delay_ms": 250, "latency_ms": 1000}
    runtime = scripted(program, {"reply": reply}, clock=clock)
    chunks: list[Any] = []
    runtime.on("chunk", chunks.append)
    response = runtime.call("tell", "hello")
    assert chunks == [["one ", 1000], ["two", 1250]]
    assert (response.text, clock.elapsed) == ("one two", 1.25)
    assert runtime.get_metrics().counters("gemini")["successes"] == 1


def test_c_60_a_rule_may_be_too_slow(program: concerto.Program) -> None:
    clock = concerto.VirtualClock()
    runtime = scripted(program, {"reply": {"latency_ms": 20_000}}, clock=clock)
    with pytest.raises(errors.CallTimeoutError) as caught:
        runtime.call("hurried", "hello")
    assert (caught.value.phase, clock.elapsed) == ("call", 10.0)
    assert runtime.call("openai", "hello").latency_ms == 20_000


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("{", "the script is wrong: EOF"),
        ({"rules": [{"reply": {"txt": "a"}}]}, r"rules\[0\].reply: unknown field `txt`"),
        ({"rules": [{"reply": {"fault": "cut"}}]}, r"rules\[0\].reply.fault: only a server"),
        ({"rules": [{"reply": {"bytewise": True}}]}, r"rules\[0\].reply.bytewise: only a server"),
        ({"api_key": "k"}, "api_key: answers in this process need no key"),
    ],
)
def test_wrong_scripts_are_refused_at_once(
    program: concerto.Program, script: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        concerto.Runtime(program, mock=script)


def test_the_command_line_takes_a_script(tmp_path: Path) -> None:
    """Toolchain 2.4: with a file of rules, and without one in front of the program."""
    (tmp_path / "main.conc").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "rules.json").write_text(json.dumps({"rules": [{"reply": {"text": "J"}}]}))
    (tmp_path / "rules.toml").write_text('[[rules]]\nreply = { text = "T" }\n')
    (tmp_path / "bad.toml").write_text("rules = 1\n")
    for options, said in (
        (["--mock", "main.conc"], "[mock response to: hello]"),
        (["main.conc", "--mock"], "[mock response to: hello]"),
        (["--mock", "rules.json", "main.conc"], "J"),
        (["main.conc", "--mock", "rules.toml"], "T"),
        (["main.conc", "--mock=rules.json"], "J"),
    ):
        done = run("run", *options, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"[emit:said] {said}\n"), done.stderr
    for name, words in (("none.json", "cannot read `none.json`"), ("bad.toml", "script is wrong")):
        wrong = run("run", "main.conc", "--mock", name, cwd=tmp_path)
        assert wrong.returncode == 2
        assert words in wrong.stderr
