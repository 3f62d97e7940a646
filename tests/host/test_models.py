"""Models as values, builders, prompts and conversations: what goes over the wire, and what is refused before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import concerto
import pytest
from concerto import errors

SCRIPT = json.dumps({"rules": [{"match": {}, "reply": {"text": "fine"}}]})

HEAD = """
connect c { base_url: env("URL"), default_model: "m", models: { "fast": "m-fast" } }
connect o { provider: "openai", api_key: "k", base_url: env("URL"), default_model: "gpt-4o" }
model M { provider: c, temperature: 0.5, system_prompt: "Be brief.", max_tokens: 10 }
model O { provider: o }
schema Answer { label: String }
"""


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer(script=SCRIPT) as running:
        yield running


def call(server: concerto.MockServer, body: str, result: str = "String") -> Any:
    """Runs the body of a function that returns `Result<result, LlmError>`."""
    source = f"{HEAD}\npub fn go() -> Result<{result}, LlmError> {{ {body} }}"
    program = concerto.compile(source)
    return concerto.Runtime(program, env={"URL": server.url}).call("go")


def sent(server: concerto.MockServer) -> list[dict[str, Any]]:
    return [request["body"] for request in server.requests()]


def refused(server: concerto.MockServer, body: str) -> errors.LlmError:
    with pytest.raises(errors.LlmError) as caught:
        call(server, body)
    assert server.requests() == [], "nothing is sent"
    return caught.value


def test_ca_1_a_model_is_a_value(server: concerto.MockServer) -> None:
    source = f"""{HEAD}
    fn ask(m: ModelRef, q: String) -> Result<String, LlmError> {{ Ok(m.execute(q)?.text) }}
    fn pick(second: Bool) -> ModelRef {{ if second {{ O }} else {{ M }} }}
    pub fn go() -> Result<Array<String>, LlmError> {{
        let all = [M, pick(true)];
        let mut got = ["${{M}} ${{typeof(all[1])}} ${{all[1] == O}} ${{all[0] == O}}"];
        for m in all {{ got.push(ask(m, "q")?); }}
        Ok(got)
    }}"""
    runtime = concerto.Runtime(concerto.compile(source), env={"URL": server.url})
    assert runtime.call("go") == ["<model M> ModelRef true false", "fine", "fine"]
    assert [body["model"] for body in sent(server)] == ["m", "gpt-4o"]
    assert runtime.get_metrics().tokens_by_model("O").total > 0


def test_ca_11_and_ca_12_builders_set_what_one_call_sends(server: concerto.MockServer) -> None:
    body = """
        let quick = M.with_base("fast").with_temperature(1).with_max_tokens(7);
        let strict = quick.with_top_p(0.5).with_stop(["END"]).with_seed(3).with_temperature(0.25).with_system_prompt("Be kind.");
        let context = M.with_context({ "user": "ada", "age": 36 }).with_timeout(5);
        Ok(quick.execute("a")?.text + strict.execute("b")?.text + context.execute("c")?.text + M.execute("d")?.text)
    """
    assert call(server, body) == "finefinefinefine"
    quick, strict, context, plain = sent(server)
    system = {"role": "system", "content": "Be brief."}
    assert quick == {
        "model": "m-fast",
        "messages": [system, {"role": "user", "content": "a"}],
        "temperature": 1.0,
        "max_tokens": 7,
    }
    assert strict == {
        "model": "m-fast",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "b"},
        ],
        "temperature": 0.25,
        "max_tokens": 7,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 3,
    }
    question = 'c\n\nContext:\n{\n  "user": "ada",\n  "age": 36\n}'
    assert context["messages"][1]["content"] == question
    assert plain == {
        "model": "m",
        "messages": [system, {"role": "user", "content": "d"}],
        "temperature": 0.5,
        "max_tokens": 10,
    }


@pytest.mark.parametrize(
    ("builder", "field", "words"),
    [
        ("M.with_temperature(2.5)", "temperature", "must be 0.0 to 2.0, found 2.5"),
        ("M.with_top_p(0)", "top_p", "above 0"),
        ("M.with_max_tokens(0)", "max_tokens", "must be 1 to 10000000, found 0"),
        ("M.with_timeout(86401)", "timeout", "must be 1 to 86400"),
        ('M.with_base("")', "base", "1 to 256 characters"),
        ('M.with_stop([""])', "stop_sequences", "none of them empty"),
        ('O.with_stop(["a", "b", "c", "d", "e"])', "stop_sequences", "at most 4"),
    ],
)
def test_ca_12_ranges_are_config_errors(
    server: concerto.MockServer, builder: str, field: str, words: str
) -> None:
    error = refused(server, f'Ok({builder}.execute("x")?.text)')
    assert (error.kind, error.field, error.attempts) == ("config", field, 0)
    assert words in error.message
    assert error.message.startswith(f"model `{builder[0]}`: field `{field}`: ")


def test_ca_6_chat_sends_the_messages(server: concerto.MockServer) -> None:
    body = """
        let mut log = [Message::system("Rhyme."), Message::user("one")];
        let first = M.chat(log)?;
        log.push(Message::assistant(first.text));
        log.push(Message { role: "user", content: "two" });
        let last = log[3];
        Ok("${M.chat(messages: log)?} ${log.len()} ${last.role} ${last.content}")
    """
    assert call(server, body) == "fine 4 user two"
    # PR-10: custom servers get one system message.
    system = {"role": "system", "content": "Be brief.\n\nRhyme."}
    one = {"role": "user", "content": "one"}
    assert [request["messages"] for request in sent(server)] == [
        [system, one],
        [
            system,
            one,
            {"role": "assistant", "content": "fine"},
            {"role": "user", "content": "two"},
        ],
    ]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ("[]", "at least one message"),
        (
            '[Message::user("a"), Message { role: "boss", content: "b" }]',
            "message 2 has the role `boss`",
        ),
    ],
)
def test_ca_6_bad_messages(server: concerto.MockServer, messages: str, words: str) -> None:
    error = refused(server, f"Ok(M.chat({messages})?.text)")
    assert (error.kind, error.code, error.attempts) == ("invalid_request", "bad_messages", 0)
    assert words in error.message


def test_pr_5_and_pr_6_prompts_that_are_never_sent(server: concerto.MockServer) -> None:
    for prompt, code in (
        ('""', "empty_prompt"),
        ('" \\n\\t"', "empty_prompt"),
        ('"a".repeat(16 * 1024 * 1024 + 1)', "prompt_too_large"),
    ):
        error = refused(server, f"Ok(M.execute({prompt})?.text)")
        assert (error.kind, error.code) == ("invalid_request", code)


def test_pr_8_a_prompt_carries_settings_that_win(server: concerto.MockServer) -> None:
    body = """
        let p = Prompt::new("hi").with_model("fast").with_temperature(0.1).with_max_tokens(3);
        let q: Prompt = "plain";
        let call = M.with_base("other").with_temperature(0.9);
        Ok(call.execute(p)?.text + M.execute(q)?.text + p.text())
    """
    assert call(server, body) == "finefinehi"
    first, second = sent(server)
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("m-fast", 0.1, 3)
    assert (second["model"], second["messages"][1]["content"]) == ("m", "plain")


def test_ca_8_a_spawned_model_can_be_shut_down(server: concerto.MockServer) -> None:
    body = """
        let own = M.spawn();
        let builder = own.with_seed(1);
        let before = own.execute("a")?.text;
        own.shutdown();
        let after = match builder.execute("b") { Ok(_) => "sent", Err(LlmError::InvalidRequest { code, .. }) => code ?? "?", Err(e) => e.kind };
        Ok("${before} ${after} ${own == M} ${M.execute("c")?}")
    """
    assert call(server, body) == "fine shut_down false fine"
    assert len(sent(server)) == 2


def test_shutting_down_a_declared_model_panics(server: concerto.MockServer) -> None:
    with pytest.raises(concerto.PanicError, match="only a reference that `spawn` gave") as caught:
        call(server, 'let m = M; m.shutdown(); Ok("")')
    assert caught.value.kind == "InvalidArgument"


def test_typed_calls_on_values_and_conversations(server: concerto.MockServer) -> None:
    # The mock's text does not fit the schema: what is looked at is what was sent.
    body = """
        let typed = M.with_seed(9).execute_with_schema<Answer>("a", retry_message: "Again.");
        let said: Result<Answer, LlmError> = M.chat_with_schema([Message::user("b")]);
        Ok("${typed.is_err()} ${said.is_err()}")
    """
    assert call(server, body) == "true true"
    first = sent(server)[0]
    assert first["seed"] == 9
    assert first["response_format"]["json_schema"]["name"] == "Answer"


def test_mocked_runs_answer_locally() -> None:
    source = f"""{HEAD}
    pub fn go() -> Result<String, LlmError> {{
        let r = M.with_base("fast").chat([Message::system("s"), Message::user("hello")])?;
        Ok("${{r.text}} ${{r.model}}")
    }}
    pub fn empty() -> Result<String, LlmError> {{ Ok(M.execute("")?.text) }}"""
    runtime = concerto.Runtime(concerto.compile(source), mock=True)
    assert runtime.call("go") == "[mock response to: hello] m-fast"
    with pytest.raises(errors.InvalidRequestError):
        runtime.call("empty")


def test_mocked_models_have_the_ids_of_their_own_fields() -> None:
    """O-15: also where they are expressions, which a run evaluates once for each model."""
    source = """connect c { provider: "custom", base_url: "http://127.0.0.1:1/v1", default_model: "m" }
    model A { provider: c, base: "a-${env("X")}" }
    model B { provider: c, base: "b-${env("X")}" }
    pub fn go() -> Result<Array<String>, LlmError> { Ok([A.execute("x")?.model, B.execute("x")?.model]) }"""
    runtime = concerto.Runtime(concerto.compile(source), mock=True, env={"X": "1"})
    assert runtime.call("go") == ["a-1", "b-1"]


def test_any_prompts_are_checked_when_they_are_sent(server: concerto.MockServer) -> None:
    body = 'let m = {"a": "text", "b": 1}; Ok(M.execute(m["a"])?.text + M.execute(m["b"])?.text)'
    with pytest.raises(concerto.PanicError, match=r"expected `String \| Prompt`, found `Int`"):
        call(server, body)


def test_log_tells_of_calls_with_secrets_masked() -> None:
    source = """
    connect c { base_url: env("URL"), api_key: env("KEY"), default_model: "m" }
    @log
    model M { provider: c }
    @log("other")
    @timeout(seconds: 5)
    model N { provider: c }
    schema Answer { label: "a" | "b" }
    pub fn go(key: String) -> Result<Int, LlmError> {
        M.execute("my key is ${key}")?;
        N.execute_with_schema<Answer>("typed")?;
        for chunk in M.chat([Message::user("hi")])?.text.split(" ") { emit("word", chunk); }
        for chunk in N.stream("stream")? { emit("word", chunk.text); }
        let closed = N.stream("stream")?;
        closed.close();
        M.execute("deny").is_err();
        Ok(1)
    }"""
    rules = [
        {"match": {"contains": "deny"}, "reply": {"error": {"status": 401, "message": "no"}}},
        {"match": {"contains": "typed"}, "reply": {"json": {"label": "b"}}},
        {"match": {}, "reply": {"text": "all fine"}},
    ]
    key = "sk-canary-0815"
    seen: list[tuple[str, dict[str, Any]]] = []
    with concerto.MockServer(script=json.dumps({"rules": rules})) as server:
        runtime = concerto.Runtime(concerto.compile(source), env={"URL": server.url, "KEY": key})
        for channel in ("log", "other"):
            runtime.on(channel, lambda record, channel=channel: seen.append((channel, record)))
        runtime.call("go", key)
    for _, record in seen:
        assert record.pop("duration_ms") >= 0
        for tokens in ("tokens_in", "tokens_out"):
            assert record.pop(tokens, 1) > 0
    end = {"phase": "end", "attempt": 1, "response": "all fine"}
    assert seen == [
        ("log", {"target": "M", "phase": "start", "attempt": 1, "prompt": "my key is ***"}),
        ("log", {"target": "M", **end}),
        ("other", {"target": "N", "phase": "start", "attempt": 1, "prompt": "typed"}),
        ("other", {"target": "N", **end, "response": '{"label":"b"}'}),
        ("log", {"target": "M", "phase": "start", "attempt": 1, "prompt": "hi"}),
        ("log", {"target": "M", **end}),
        ("other", {"target": "N", "phase": "start", "attempt": 1, "prompt": "stream"}),
        ("other", {"target": "N", **end}),
        ("other", {"target": "N", "phase": "start", "attempt": 1, "prompt": "stream"}),
        ("other", {"target": "N", "phase": "end", "attempt": 1}),
        ("log", {"target": "M", "phase": "start", "attempt": 1, "prompt": "deny"}),
        (
            "log",
            {
                "target": "M",
                "phase": "error",
                "attempt": 1,
                "kind": "authentication",
                "message": "c: 401 authentication: no",
            },
        ),
    ]
    assert key not in repr(seen)


def test_c_76_retry_and_timeout_become_fields_of_the_model() -> None:
    source = """
    connect c { base_url: "http://127.0.0.1:9", default_model: "m", retry: { max_attempts: 9 } }
    @retry
    @timeout(ms: 250)
    model A { provider: c }
    @retry(4, backoff: "none", delay_ms: 5, max_delay_ms: 9, on: ["timeout"])
    @timeout(1.5)
    model B { provider: c }
    @retry(max: 2, backoff: "linear")
    model C { provider: c }
    """
    models = json.loads(concerto.compile(source).to_bytes())["models"]
    assert [model["fields"] for model in models] == [
        {
            "deadline_ms": 250,
            "retry_policy": {"backoff": "exponential", "max_attempts": 3},
        },
        {
            "deadline_ms": 1500,
            "retry_policy": {
                "backoff": "none",
                "initial_delay_ms": 5,
                "max_attempts": 4,
                "max_delay_ms": 9,
                "retry_on": ["timeout"],
            },
        },
        {"retry_policy": {"backoff": "linear", "max_attempts": 2}},
    ]


def test_c_60_the_limit_of_a_whole_call_runs_out_with_phase_call() -> None:
    source = """
    connect c { base_url: env("URL"), default_model: "m", timeout: 60 }
    @timeout(ms: 50)
    @retry(max: 5)
    model M { provider: c }
    pub fn go() -> String {
        try { M.execute("x")?.text } catch TimeoutError(e) { "${e.kind} ${e.phase ?? "?"} ${e.timeout_seconds}" } catch LlmError(e) { e.message }
    }"""
    script = json.dumps({"rules": [{"match": {}, "reply": {"fault": "stall"}}]})
    with concerto.MockServer(script=script) as server:
        runtime = concerto.Runtime(concerto.compile(source), env={"URL": server.url})
        assert runtime.call("go") == "timeout call 0.05"


METHODS = """
impl M {
    pub fn ask(self, word: String, mark: String = "!") -> Result<String, LlmError> { Ok(self.execute("${word}${self.twice(mark)}")?.text) }
    fn twice(self, mark: String) -> String { let f = || self.once(mark); f() + f() }
    fn once(self, mark: String) -> String { mark }
    pub fn both(self) -> Result<String, LlmError> {
        let (a, b) = await (self.execute("a"), O.execute("b"));
        Ok("${a?.text} ${b?.text}")
    }
    pub fn itself(self) -> Self { self }
    pub fn label() -> String { "M" }
}
impl O { fn ask(self) -> Int { 5 } }
"""


def test_ca_9_a_model_has_methods_of_its_own(server: concerto.MockServer) -> None:
    source = f"""{HEAD}{METHODS}
    pub fn go() -> Result<Array<Any>, LlmError> {{
        let f = M::ask;
        Ok([M.ask("hi")?, M::ask(M, "ho", mark: "?")?, f(M, "a", "b")?, M::label(), O.ask(), M.itself() == M])
    }}
    pub fn both() -> Result<String, LlmError> {{ M.both() }}"""
    runtime = concerto.Runtime(concerto.compile(source), env={"URL": server.url})
    assert runtime.call("go") == ["fine", "fine", "fine", "M", 5, True]
    prompts = [body["messages"][-1]["content"] for body in sent(server)]
    assert prompts == ["hi!!", "ho??", "abb"]
    assert runtime.call("both") == "fine fine"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("impl M { fn §execute(self) -> Int { 2 } }", "E2004"),
        ("impl M { fn §label() -> Int { 2 } }", "E2004"),
        ("trait T { fn t(self); } impl T for §M { fn t(self) {} }", "E2010"),
        ("fn f() { M.§aks(); }", "E3011"),
        ("fn f() { M::§nope(); }", "E2001"),
        ("fn f(m: ModelRef) { m.§label(); }", "E3011"),
        ("fn f(m: §M) {}", "E2002"),
        ("impl M { fn §change(mut self) {} }", "E2006"),
    ],
)
def test_ca_9_what_methods_of_models_cannot_be(line: str, code: str) -> None:
    text = HEAD + METHODS
    with pytest.raises(errors.CompileError) as caught:
        concerto.compile(text + line.replace("§", ""))
    (found,) = [each for each in caught.value.diagnostics if each.is_error]
    assert (found.code, found.primary.span.start) == (code, len(text) + line.index("§"))
