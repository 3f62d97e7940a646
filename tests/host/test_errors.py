"""Every variant of `LlmError`: produced over HTTP, caught by class in Python, matched by variant, kind and group in a program (E-1 to E-10)."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import concerto
import pytest
from concerto import errors

KEY = "sk-canary-4711"

PROGRAM = """
connect c { base_url: env("URL"), api_key: env("KEY"), default_model: "m", timeout: 2 }
model M { provider: c }
schema Answer { count: Int }
pub fn ask(prompt: String) -> Result<String, LlmError> { Ok(M.execute(prompt)?.text) }
pub fn typed(prompt: String) -> Result<Int, LlmError> { Ok(M.execute_with_schema<Answer>(prompt)?.count) }
pub fn streamed(prompt: String) -> Result<String, LlmError> {
    let mut whole = "";
    for chunk in M.stream(prompt)? { whole += chunk.text; }
    Ok(whole)
}
pub fn own(message: String) -> Result<String, LlmError> { Err(LlmError::new(message)) }
pub fn group(prompt: String, how: String) -> String {
    try {
        if how == "typed" { "${M.execute_with_schema<Answer>(prompt)?.count}" }
        else if how == "streamed" { streamed(prompt)? }
        else { M.execute(prompt)?.text }
    } catch ConnectionError(e) { "ConnectionError ${e.kind}" }
    catch AgentError(e) { "AgentError ${e.kind}" }
    catch TimeoutError(e) { "TimeoutError ${e.kind}" }
    catch SchemaError(e) { "SchemaError ${e.kind}" }
}
"""


def error(status: int, message: str = "no", **fields: Any) -> dict[str, Any]:
    body = {"error": {"message": message, **fields}} if fields else None
    reply = {"status": status, "body": body} if body else {"status": status, "message": message}
    return {"error": reply}


CONNECTION, AGENT, TIMEOUT, SCHEMA = "ConnectionError", "AgentError", "TimeoutError", "SchemaError"

#: Prompt, function, reply of the mock, class, kind, group, and fields.
CASES: list[tuple[str, str, dict[str, Any], type[errors.LlmError], str, str, dict[str, Any]]] = [
    ("s401", "ask", error(401), errors.AuthenticationError, "authentication", CONNECTION, {"status": 401, "retryable": False}),
    ("s403", "ask", error(403), errors.PermissionDeniedError, "permission_denied", CONNECTION, {"status": 403}),
    ("s500", "ask", error(500), errors.ServerError, "server_error", CONNECTION, {"status": 500, "retryable": True}),
    ("reset", "ask", {"fault": "reset"}, errors.NetworkError, "network", CONNECTION, {"status": None}),
    ("cut", "streamed", {"text": "one two x", "fault": "cut", "after": 2}, errors.StreamInterruptedError, "stream_interrupted", CONNECTION, {"partial_text": "one two "}),
    ("stall", "ask", {"fault": "stall"}, errors.CallTimeoutError, "timeout", TIMEOUT, {"phase": "response", "timeout_seconds": 0.1}),
    ("s408", "ask", error(408), errors.CallTimeoutError, "timeout", TIMEOUT, {"status": 408}),
    ("s429", "ask", {**error(429), "headers": [["retry-after", "7"]]}, errors.RateLimitedError, "rate_limit", AGENT, {"retry_after_ms": 7000, "retryable": True}),
    ("s402", "ask", error(402), errors.QuotaExceededError, "quota_exceeded", AGENT, {"status": 402, "retryable": False}),
    ("quota", "ask", error(429, type="insufficient_quota", code="insufficient_quota"), errors.QuotaExceededError, "quota_exceeded", AGENT, {"status": 429}),
    ("s404", "ask", error(404), errors.ModelNotFoundError, "model_not_found", AGENT, {"status": 404, "model_id": "m"}),
    ("s400", "ask", error(400, code="bad_value", param="top_p"), errors.InvalidRequestError, "invalid_request", AGENT, {"code": "bad_value", "param": "top_p"}),
    ("s413", "ask", error(413), errors.ContextLengthError, "context_length", AGENT, {"status": 413}),
    ("long", "ask", error(400, code="context_length_exceeded"), errors.ContextLengthError, "context_length", AGENT, {"status": 400}),
    ("filter", "ask", error(400, code="content_filter"), errors.ContentFilteredError, "content_filtered", AGENT, {"status": 400}),
    ("text", "ask", {"fault": "not_json"}, errors.InvalidResponseError, "invalid_response", AGENT, {"attempts": 1}),
    ("shape", "typed", {"json": {"count": "x"}}, errors.SchemaError, "schema", SCHEMA, {"reason": "type_mismatch"}),
]  # fmt: skip

#: The last rule answers the message that asks for a better answer.
SCRIPT = json.dumps(
    {
        "rules": [
            *({"match": {"contains": case[0]}, "reply": case[2]} for case in CASES),
            {"match": {"contains": "count"}, "reply": CASES[-1][2]},
        ]
    }
)

COMMON = {
    "connection": "c",
    "provider": "c",
    "model": "M",
    "model_id": "m",
}


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture(scope="module")
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=SCRIPT) as running:
        yield running


def runtime(program: concerto.Program, url: str) -> concerto.Runtime:
    made = concerto.Runtime(program, env={"URL": url, "KEY": KEY})
    made.override_connection("c", timeout_ms=100)
    return made


@pytest.mark.parametrize(
    ("prompt", "function", "class_", "kind", "group", "fields"),
    [(case[0], case[1], *case[3:]) for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_each_variant(
    program: concerto.Program,
    server: concerto.MockServer,
    prompt: str,
    function: str,
    class_: type[errors.LlmError],
    kind: str,
    group: str,
    fields: dict[str, Any],
) -> None:
    """E-2, E-3, E-4, E-6, E-9."""
    rt = runtime(program, server.url)
    if function == "typed":
        rt.override_connection("c", timeout=5)
    with pytest.raises(errors.LlmError) as caught:
        rt.call(function, prompt)
    found = caught.value
    assert (type(found), found.kind) == (class_, kind)
    expected = {**COMMON, **fields}
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.message == str(found)
    assert found.message.startswith("c: "), "E-5: the connection first"
    assert "\n" not in found.message
    assert found.attempts >= 1
    assert found.latency_ms >= 0
    assert rt.get_metrics().counters("c")["errors"] == {kind: 1}
    assert rt.call("group", prompt, function) == f"{group} {kind}"


def test_configuration_and_own_errors(program: concerto.Program) -> None:
    """E-3: the variants that no server makes; `attempts` is 0."""
    rt = concerto.Runtime(program, env_allow=[])
    with pytest.raises(errors.ConfigurationError) as caught:
        rt.call("ask", "x")
    assert (caught.value.kind, caught.value.field, caught.value.attempts) == (
        "config",
        "api_key",
        0,
    )
    assert rt.call("group", "x", "ask") == "ConnectionError config"
    with pytest.raises(errors.CustomError) as custom:
        rt.call("own", "my own")
    assert (str(custom.value), custom.value.kind) == ("my own", "custom")


def test_there_is_one_class_for_each_kind() -> None:
    """E-9."""
    kinds = {
        "config", "authentication", "permission_denied", "network", "server_error", "stream_interrupted", "timeout", "rate_limit", "quota_exceeded",
        "model_not_found", "invalid_request", "context_length", "content_filtered", "invalid_response", "tool_limit", "custom", "schema",
    }  # fmt: skip
    classes = errors.LlmError.__subclasses__()
    assert {each.kind for each in classes} == kinds
    assert len(classes) == len(kinds)
    for each in classes:
        assert issubclass(each, concerto.ProgramError)
        assert errors.llm_error_class(each.kind) is each
    assert errors.llm_error_class("of_a_newer_release") is errors.LlmError


def test_long_and_odd_texts_of_servers_make_one_short_line(program: concerto.Program) -> None:
    """E-5."""
    script = json.dumps({"rules": [{"reply": error(500, "a\nb\x1b[31m" + "x" * 2000)}]})
    with concerto.MockServer(script=script) as server:
        with pytest.raises(errors.ServerError) as caught:
            runtime(program, server.url).call("ask", "x")
    assert len(caught.value.message) <= 600
    assert caught.value.message.startswith(r"c: 500 server error: a\nb\u{1b}[31mxxx")


def test_exceptions_keep_their_fields(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    """E-9: the value of the program, its trace, and a plain message for unknown attributes."""
    with pytest.raises(errors.RateLimitedError) as caught:
        runtime(program, server.url).call("ask", "s429")
    found = caught.value
    assert found.value.retry_after_ms == 7000
    assert found.request_id is None or isinstance(found.request_id, str)
    with pytest.raises(AttributeError, match="has no field `statuss`"):
        _ = found.statuss
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again), again.retry_after_ms) == (type(found), str(found), 7000)


def test_cancelling_is_no_error_value(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    """E-8: no handler of the program runs."""
    rt = runtime(program, server.url)
    rt.override_connection("c", timeout=30)
    with rt.start("group", "stall", "ask") as run:
        run.cancel()
    with pytest.raises(concerto.RunCancelled):
        run.result(timeout=20)


def test_a_bug_of_the_runtime_is_an_internal_error(program: concerto.Program) -> None:
    """E-10: a compiled program that was tampered with ends in `InternalError`, not in a panic."""
    document = json.loads(concerto.compile("pub fn f(a: Int) -> Int { a + 1 }").to_bytes())
    code = document["functions"][0]["code"]
    assert code[0][0] == "add_int_imm"
    code[0] = ["not", code[0][1], code[0][2]]
    tampered = concerto.Program.from_bytes(json.dumps(document).encode())
    with pytest.raises(concerto.InternalError, match="its compiler rules out"):
        concerto.Runtime(tampered).call("f", 1)


OWN_ERRORS = """
struct Bad { n: Int }
impl Error for Bad { fn message(self) -> String { "bad ${self.n}" } }
enum Odd { A, B(Int) }
impl Error for Odd { fn message(self) -> String { if self == Odd::A { panic("no") } else { "odd" } } }
struct Plain { n: Int }
pub fn thrown() -> Result<Int, Bad> { Err(Bad { n: 1 }) }
pub fn noted() -> Result<Int, Bad> { let r = thrown().context("first"); r.context("second") }
pub fn variant() -> Result<Int, Odd> { let r: Result<Int, Odd> = Err(Odd::B(2)); r.context("while") }
pub fn broken() -> Result<Int, Odd> { Err(Odd::A) }
pub fn plain() -> Result<Int, Plain> { let r: Result<Int, Plain> = Err(Plain { n: 1 }); r.context("while") }
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("thrown", "bad 1"),
        ("noted", "second: first: bad 1"),
        ("variant", "while: odd"),
        ("broken", "A"),
        ("plain", "while: Plain { n: 1 }"),
    ],
)
def test_an_uncaught_error_of_the_program_shows_its_message_and_notes(
    name: str, message: str
) -> None:
    with pytest.raises(concerto.ProgramError) as caught:
        concerto.Runtime(concerto.compile(OWN_ERRORS)).call(name)
    assert str(caught.value) == message


def test_errors_inside_of_what_is_sent_are_their_messages() -> None:
    source = """
    struct Seen { error: ParseError, all: Array<Error> }
    pub fn go() -> Option<ParseError> {
        let e = "x".parse_int().err().unwrap();
        emit("seen", Seen { error: e, all: [e] });
        emit("seen", { "e": e, "r": [Some(e)] });
        emit("seen", e);
        Some(e)
    }
    pub fn whole() -> Result<Int, ParseError> { "x".parse_int() }
    """
    runtime = concerto.Runtime(concerto.compile(source))
    seen: list[object] = []
    runtime.on("seen", seen.append)
    text = "`x` is no Int"
    assert runtime.call("go") == text
    assert dict(seen[0]) == {"error": text, "all": [text]}  # type: ignore[call-overload]  # a record
    assert seen[1:] == [{"e": text, "r": [text]}, text]
    with pytest.raises(concerto.ProgramError) as caught:
        runtime.call("whole")
    assert caught.value.value.kind == "invalid"
