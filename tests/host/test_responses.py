"""What a call gives back, and which fields of a model and its connection it was made with (M-1 to M-32)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import concerto
import pytest
from concerto import errors

SCRIPT = json.dumps(
    {
        "rules": [
            {
                "match": {"contains": "told"},
                "reply": {
                    "text": "  two\n",
                    "model": "served-1",
                    "usage": {"prompt_tokens": 100, "completion_tokens": 7, "cached_tokens": 60},
                },
            },
            {"match": {"contains": "silent"}, "reply": {"text": "été", "no_usage": True}},
            {
                "match": {"contains": "long"},
                "reply": {"text": "half a", "finish_reason": "length"},
            },
            {"match": {"contains": "odd"}, "reply": {"text": "x", "finish_reason": "weather"}},
            {"match": {"contains": "stall"}, "reply": {"fault": "stall"}},
        ]
    }
)

KINDS = {
    "openai": 'provider: "openai", api_key: "k", default_model: "gpt-4o"',
    "anthropic": 'provider: "anthropic", api_key: "k", default_model: "claude-sonnet-4-6"',
    "google": 'provider: "google", api_key: "k", default_model: "gemini-2.5-flash"',
    "ollama": 'provider: "ollama", default_model: "llama3.1"',
    "custom": 'provider: "custom", default_model: "own"',
}


@pytest.fixture(scope="module")
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=SCRIPT) as running:
        yield running


def source(fields: str, model: str = "") -> str:
    return f"""
    connect c {{ base_url: env("URL"), {fields} }}
    model M {{ provider: c, {model} }}
    pub fn ask(prompt: String) -> Result<Response, LlmError> {{ M.execute(prompt) }}
    pub fn based(prompt: String, id: String) -> Result<String, LlmError> {{
        Ok(M.with_base(id).execute(prompt)?.model)
    }}
    """


def ask(server: concerto.MockServer, prompt: str, fields: str, model: str = "") -> Any:
    program = concerto.compile(source(fields, model))
    return concerto.Runtime(program, env={"URL": server.url}).call("ask", prompt)


@pytest.mark.parametrize("kind", KINDS)
def test_m_30_all_fields_of_a_response(server: concerto.MockServer, kind: str) -> None:
    found = ask(server, "told", KINDS[kind])._asdict()
    assert found.pop("latency_ms") >= 0
    assert found.pop("request_id").startswith("req")
    cost = found.pop("cost")
    assert (cost is None) == (kind == "custom"), "an unknown price is none, never zero"
    assert found == {
        "text": "  two\n",
        "tokens_in": 100,
        "tokens_out": 7,
        "model": "served-1",
        "provider": "c",
        "finish_reason": "stop",
        "attempts": 1,
        "rounds": 1,
        "tokens_cached": 60,
        "usage_estimated": False,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_c_56_a_missing_usage_is_estimated(server: concerto.MockServer, kind: str) -> None:
    """One message of 6 bytes: ceil(6 / 4) + 4 in; an answer of 5 bytes: ceil(5 / 4) out."""
    found = ask(server, "silent", KINDS[kind])
    assert (found.tokens_in, found.tokens_out, found.usage_estimated) == (6, 2, True)


def test_m_31_text_record_and_unknown_fields(server: concerto.MockServer) -> None:
    body = """
    pub fn go() -> Result<String, LlmError> { let r = M.execute("told")?; emit("r", r); Ok("<${r}>") }
    """
    runtime = concerto.Runtime(
        concerto.compile(source(KINDS["custom"]) + body), env={"URL": server.url}
    )
    seen: list[Any] = []
    runtime.on("r", seen.append)
    assert runtime.call("go") == "<  two\n>"
    assert list(seen[0]) == [
        "text", "tokens_in", "tokens_out", "model", "provider", "latency_ms", "finish_reason",
        "attempts", "rounds", "request_id", "tokens_cached", "usage_estimated", "cost",
    ]  # fmt: skip
    for wrong, right in (("content", "text"), ("usage", "tokens_in")):
        with pytest.raises(concerto.CompileError, match=f"E4032.*{wrong}|{wrong}.*{right}"):
            concerto.compile(
                source(KINDS["custom"])
                + f'fn f() -> Result<Any, LlmError> {{ Ok(M.execute("x")?.{wrong}) }}'
            )


def test_m_32_a_cut_answer_is_no_error(server: concerto.MockServer) -> None:
    found = ask(server, "long", KINDS["custom"])
    assert (found.text, found.finish_reason) == ("half a", "length")
    assert ask(server, "odd", KINDS["custom"]).finish_reason == "weather", "C-55: as it came"


ALIASES = 'models: { "fast": "m-fast", "default": "fast", "smart": "m-smart" }'


@pytest.mark.parametrize(
    ("fields", "model", "expected"),
    [
        ('provider: "openai", api_key: "k"', "", "gpt-4o"),
        ('provider: "openai", api_key: "k", default_model: "d"', "", "d"),
        ('provider: "openai", api_key: "k", default_model: "d"', 'base: "b"', "b"),
        (f'provider: "custom", default_model: "default", {ALIASES}', "", "m-fast"),
        (f'provider: "custom", default_model: "d", {ALIASES}', 'base: "smart"', "m-smart"),
    ],
)
def test_m_10_m_11_m_25_order_of_ids_and_aliases(fields: str, model: str, expected: str) -> None:
    with concerto.MockServer() as server:
        ask(server, "x", fields, model)
        assert [request["body"]["model"] for request in server.requests()] == [expected]


def test_m_13_m_26_ids_of_one_call_and_of_an_override() -> None:
    program = concerto.compile(source(f'provider: "custom", default_model: "d", {ALIASES}'))
    with concerto.MockServer() as server:
        runtime = concerto.Runtime(program, env={"URL": server.url})
        assert runtime.call("based", "x", "smart") == "m-smart"
        assert runtime.call("based", "x", "literal") == "literal"
        runtime.override_connection("c", models={"smart": "m-other", "new": "m-new"})
        assert [runtime.call("based", "x", id) for id in ("smart", "new", "fast")] == [
            "m-other",
            "m-new",
            "m-fast",
        ]
        metrics = runtime.get_metrics()
        assert metrics.tokens_by_model("M") == metrics.tokens_by_connection("c") > 0, "T-4, M-25"


def test_c_57_c_61_the_timeout_of_a_model_replaces_the_connection_s(
    server: concerto.MockServer,
) -> None:
    with pytest.raises(errors.CallTimeoutError) as caught:
        ask(server, "stall", f"{KINDS['custom']}, timeout: 86400", "timeout: 1")
    assert (caught.value.phase, caught.value.timeout_seconds) == ("response", 1.0)


def test_m_2_m_8_models_of_several_kinds_at_once(server: concerto.MockServer) -> None:
    """Called from a function, a closure and the interpolation of a text, in one program."""
    text = "".join(
        f'connect {kind}_x {{ base_url: env("URL"), {fields} }}\nmodel {kind.title()} {{ provider: {kind}_x }}\n'
        for kind, fields in KINDS.items()
    )
    text += """
    fn one() -> Result<String, LlmError> { Ok(Openai.execute("told")?.text.trim()) }
    pub fn go() -> Result<Array<String>, LlmError> {
        let two = |p: String| -> Result<String, LlmError> { Ok(Anthropic.execute(p)?.text.trim()) };
        Ok([one()?, two("told")?, "${Google.execute("told")?}".trim(),
            Ollama.execute("told")?.text.trim(), Custom.execute("told")?.text.trim()])
    }"""
    runtime = concerto.Runtime(concerto.compile(text), env={"URL": server.url})
    assert runtime.call("go") == ["two"] * 5
    metrics = runtime.get_metrics()
    assert {metrics.tokens_by_model(kind.title()) for kind in KINDS} == {107}


def test_m_5_fields_of_models_are_evaluated_at_first_use() -> None:
    program = concerto.compile("""
        connect c { base_url: env("URL"), default_model: "m" }
        model M { provider: c, base: "m-${env("SIZE")}", system_prompt: env("TONE") ?? "Be " + "brief." }
        pub fn ask() -> Result<String, LlmError> { Ok(M.execute("x")?.model) }
        pub fn idle() -> Int { 1 }
    """)
    with concerto.MockServer() as server:
        unset = concerto.Runtime(program, env={"URL": server.url})
        assert unset.call("idle") == 1, "C-11: an unused model reads nothing"
        with pytest.raises(errors.ConfigurationError, match="`SIZE` is not set"):
            unset.call("ask")
        env = {"URL": server.url, "SIZE": "xl"}
        assert concerto.Runtime(program, env=env).call("ask") == "m-xl"
        assert server.requests()[-1]["body"]["messages"][0]["content"] == "Be brief."


def test_m_6_reserved_words_are_names_of_fields() -> None:
    program = concerto.compile("""
        struct Odd { model: String, type: Int, match: Bool, stage: String }
        pub fn go() -> Array<Any> {
            let o = Odd { model: "m", type: 1, match: true, stage: "s" };
            let m = { "in": 1, "type": 2 };
            [o.model, o.type, o.match, o.stage, m["type"]]
        }""")
    assert concerto.Runtime(program).call("go") == ["m", 1, True, "s", 2]


def test_m_7_an_error_of_main_is_that_of_the_run() -> None:
    head = 'connect c { base_url: env("URL"), default_model: "m" }\nmodel M { provider: c }\n'
    broken = 'fn main() { M.execute("x")?; emit("never", 1); }'
    script = json.dumps({"rules": [{"reply": {"error": {"status": 401}}}]})
    with concerto.MockServer(script=script) as refusing, concerto.MockServer() as answering:
        with pytest.raises(errors.AuthenticationError):
            concerto.Runtime(concerto.compile(head + broken), env={"URL": refusing.url}).run()
        done = concerto.Runtime(concerto.compile(head + broken), env={"URL": answering.url})
        assert done.run() is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("", "E4024"),
        ('provider: "c"', "E4025"),
        ("provider: cc", "E4026"),
        ("provider: c, model: 1", "E4027"),
        ("provider: c, system: 1", "E4027"),
        ("provider: c, stop: 1", "E4027"),
        ('provider: c, base: "a", base: "b"', "E4028"),
        ('provider: c, temperature: "hot"', "E4029"),
        ("provider: c, max_tokens: 1.5", "E4029"),
        ("provider: c, seed: nil", "E4029"),
        ("provider: c, timeout: 0", "E4030"),
        ("provider: c, timeout: 86401", "E4030"),
        ("provider: c, temperature: 2.1", "E4030"),
        ("provider: c, top_p: 0", "E4030"),
        ("provider: c, max_tokens: 0", "E4030"),
        ("provider: c, max_tokens: 10000001", "E4030"),
        ('provider: c, base: ""', "E4030"),
        ('provider: c, stop_sequences: [""]', "E4030"),
    ],
)
def test_m_1_m_3_what_a_model_refuses(fields: str, code: str) -> None:
    with pytest.raises(concerto.CompileError) as caught:
        concerto.compile(f'connect c {{ provider: "ollama" }}\nmodel M {{ {fields} }}')
    assert [found.code for found in caught.value.diagnostics] == [code]


@pytest.mark.parametrize(
    "fields",
    [
        'base: "m", timeout: 1, max_tokens: 1, temperature: 0, top_p: 1, seed: -1',
        'base: "m", timeout: 86400, max_tokens: 10000000, temperature: 2.0, top_p: 0.01, seed: 0',
        f'base: "{"x" * 256}", stop_sequences: {json.dumps(["a"] * 16)}',
    ],
)
def test_m_3_m_4_what_a_model_takes(fields: str) -> None:
    connection = 'connect c { provider: "custom", base_url: "http://127.0.0.1/v1" }'
    concerto.compile(f"{connection}\nmodel M {{ provider: c, {fields} }}")
