"""Tools over real HTTP: what is offered, the rounds of a call, and what a model hears (rules TL-12 to TL-17, LO-1 to LO-14, M-44, S-16)."""

from __future__ import annotations

import json
from typing import Any

import concerto
import pytest

PROGRAM = """
connect openai { base_url: env("URL"), api_key: "k", provider: "openai", default_model: "gpt-4o-mini" }
connect anthropic { base_url: env("URL"), api_key: "k", provider: "anthropic", default_model: "claude-sonnet-4-20250514" }
connect google { base_url: env("URL"), api_key: "k", provider: "google", default_model: "gemini-2.5-flash" }
connect ollama { base_url: env("URL"), provider: "ollama", default_model: "llama3" }

schema Reading { level: Float, at: String }
schema Verdict { ok: Bool }

/// No model reads this.
tool Gauges {
    description: "Water gauges",
    asked: Map<String, Int> = {},

    @describe("Level of one gauge")
    @param("gauge", "Name of the gauge")
    @param("days", "How many days back")
    pub fn level(mut self, gauge: String, days: Int = 0, unit: Option<"m" | "ft"> = None) -> Result<Reading, ToolError> {
        self.asked.set(gauge, (self.asked.get(gauge) ?? 0) + 1);
        if gauge == "K9" { return Err(ToolError::new("gauge K9 is broken")); }
        Ok(Reading { level: 2.5, at: "${gauge}-${days}-${self.asked[gauge]}" })
    }

    @describe("All gauges")
    pub fn names(self) -> Array<String> { ["K1", "K2"] }

    @describe("Say nothing")
    pub fn quiet() { }

    @describe("Needs a variable")
    pub fn careless() -> String { env("NO_SUCH_VARIABLE") }

    @describe("A long text")
    @param("n", "How long")
    pub fn long(n: Int) -> String { "x".repeat(n) }
}

tool Extra { description: "More", @describe("Nothing") pub fn nothing() -> Option<Int> { None } }

model OpenAi { provider: openai, tools: [Gauges] }
model Anthropic { provider: anthropic, tools: [Gauges] }
model Google { provider: google, tools: [Gauges] }
model Ollama { provider: ollama, tools: [Gauges] }
model Bare { provider: openai }
@timeout(seconds: 5) model Hasty { provider: openai, tools: [Slow] }

tool Slow {
    description: "Slow",
    @describe("Wait a minute")
    pub fn wait() -> String { std::time::sleep(60000); "late" }
}

fn model(name: String) -> ModelRef { match name { "anthropic" => Anthropic, "google" => Google, "ollama" => Ollama, _ => OpenAi } }
pub fn ask(name: String, prompt: String) -> Result<Response, LlmError> { model(name).execute(prompt) }
pub fn typed(name: String, prompt: String) -> Result<Verdict, LlmError> { model(name).execute_with_schema<Verdict>(prompt) }
pub fn flow(name: String, prompt: String) -> Result<Response, LlmError> {
    let stream = model(name).stream(prompt)?;
    for chunk in stream { emit("chunk", "${chunk.round} ${chunk.index} ${chunk.text}"); }
    Ok(stream.response() ?? panic("no response"))
}
pub fn collected(prompt: String) -> Result<String, LlmError> { Ok(OpenAi.stream(prompt)?.collect()?.text) }
pub fn hasty() -> Result<String, LlmError> { Ok(Hasty.execute("Go")?.text) }
pub fn bare() -> Result<String, LlmError> { Ok(Bare.execute("Go")?.text) }
pub fn left_out() -> Result<String, LlmError> { Ok(OpenAi.without_tools().execute("Go")?.text) }
pub fn mixed() -> Result<String, LlmError> { Ok(OpenAi.with_tools([Extra, Gauges]).execute("Go")?.text) }
pub fn only() -> Result<String, LlmError> { Ok(OpenAi.with_tools([Extra]).without_tools().with_tools([]).execute("Go")?.text) }
pub fn anything(tools: Any) -> Result<String, LlmError> { Ok(Bare.with_tools(tools).execute("Go")?.text) }
pub fn direct(gauge: String) -> Result<Reading, ToolError> { Gauges.level(gauge) }
pub fn twice() -> Result<String, Error> { OpenAi.execute("Go")?; Ok(Gauges.level("K1")?.at) }
pub fn careless() -> String { Gauges.careless() }
"""

KINDS = ["openai", "anthropic", "google", "ollama"]
#: Where the mock numbers the kinds' tokens by itself, the program's totals are sums over rounds.
USAGE = {"prompt_tokens": 100, "completion_tokens": 10}


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": f"Gauges_{name}", "arguments": arguments}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class Service:
    """A mock provider that answers one request after the other, and a runtime that asks it."""

    def __init__(self, program: concerto.Program, *replies: dict[str, Any], **options: Any) -> None:
        # The last reply serves for ever.
        rules = [{"times": 1, "reply": reply} for reply in replies[:-1]]
        script = {"rules": [*rules, {"reply": replies[-1]}]}
        self.server = concerto.MockServer(script=json.dumps(script))
        url = self.server.url
        env = {"URL": url}
        self.runtime = concerto.Runtime(program, env=env, **options)

    def __enter__(self) -> Service:
        self.server.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.__exit__(None, None, None)

    def bodies(self) -> list[dict[str, Any]]:
        return [request["body"] for request in self.server.requests()]

    def heard(self, request: int = -1) -> list[tuple[str, bool]]:
        """The results of calls in a request, and whether each is marked as an error, of any kind."""
        body = self.bodies()[request]
        found: list[tuple[str, bool]] = []
        for message in body.get("messages", body.get("contents", [])):
            if message["role"] == "tool":
                found.append((message["content"], False))
            content = message.get("content")
            for part in content if isinstance(content, list) else []:
                if part.get("type") == "tool_result":
                    found.append((part["content"], part.get("is_error", False)))
            for part in message.get("parts", []):
                if "functionResponse" in part:
                    response = part["functionResponse"]["response"]
                    value = next(iter(response.values()))
                    # Google takes JSON as such.
                    text = value if isinstance(value, str) else _compact(value)
                    found.append((text, "error" in response))
        return found

    def offered(self) -> list[str]:
        return [tool["function"]["name"] for tool in self.bodies()[-1].get("tools", [])]


@pytest.mark.parametrize("kind", KINDS)
def test_lo1_a_call_goes_on_until_an_answer_asks_for_nothing(
    program: concerto.Program, kind: str
) -> None:
    first = {
        "text": "Let me look.",
        "usage": USAGE,
        "tool_calls": [call("level", gauge="K1"), call("names")],
    }
    second = {"usage": USAGE, "tool_calls": [call("level", gauge="K1", days=2)]}
    with Service(program, first, second, {"text": "2.5 m", "usage": USAGE}) as service:
        response = service.runtime.call("ask", kind, "How high?")
        # LO-14: what is said between calls is no part of the answer; LO-1: tokens are those of all rounds.
        assert (response.text, response.rounds, response.attempts) == ("2.5 m", 3, 3)
        assert (response.tokens_in, response.tokens_out) == (300, 30)
        results = [text for text, _ in service.heard()]
        # LO-3: in the order of the calls. LO-6: compact JSON.
        assert results == [
            '{"level":2.5,"at":"K1-0-1"}',
            '["K1","K2"]',
            '{"level":2.5,"at":"K1-2-2"}',
        ]
        metrics = service.runtime.get_metrics()
        assert metrics.tokens_by_connection(kind).total == 330
        # LO-12
        assert metrics.tool_calls() == 3
        counters = metrics.counters(kind)
        assert (counters["calls"], counters["rounds"], counters["tool_calls"]) == (1, 3, 3)
        tools = metrics.to_dict()["tools"]
        assert {name: (each["calls"], each["errors"]) for name, each in tools.items()} == {
            "Gauges.level": (2, 0),
            "Gauges.names": (1, 0),
        }


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
def test_lo14_the_text_beside_calls_stays_in_the_conversation(
    program: concerto.Program, kind: str
) -> None:
    first = {"text": "Let me look.", "tool_calls": [call("names")]}
    with Service(program, first, {"text": "done"}) as service:
        service.runtime.call("ask", kind, "How high?")
        assert "Let me look." in json.dumps(service.bodies()[1])


def test_tl12_each_method_is_a_function_with_a_schema(program: concerto.Program) -> None:
    with Service(program, {"text": "done"}) as service:
        service.runtime.call("ask", "openai", "Go")
        tools = {
            tool["function"]["name"]: tool["function"] for tool in service.bodies()[0]["tools"]
        }
        # TL-17: in the order of their declaration. TL-16: names that every provider takes.
        assert list(tools) == [
            "Gauges_level", "Gauges_names", "Gauges_quiet", "Gauges_careless", "Gauges_long",
        ]  # fmt: skip
        level = tools["Gauges_level"]
        assert level["description"] == "Water gauges. Level of one gauge"
        # TL-13, TL-14
        assert level["parameters"] == {
            "type": "object",
            "properties": {
                "gauge": {"type": "string", "description": "Name of the gauge"},
                "days": {"type": "integer", "default": 0, "description": "How many days back"},
                "unit": {"type": "string", "enum": ["m", "ft"]},
            },
            "required": ["gauge"],
        }
        # TL-15
        assert tools["Gauges_names"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("kind", KINDS)
def test_lo4_lo5_lo7_what_cannot_run_is_told_and_does_not_end_the_call(
    program: concerto.Program, kind: str
) -> None:
    asked = [
        call("level", gauge="K9"),
        {"name": "Gauges_levle", "arguments": {}},
        call("level", days="x"),
        call("careless"),
        call("level", gauge=7, days="3", extra=True),
    ]
    with Service(program, {"tool_calls": asked}, {"text": "sorry"}) as service:
        assert service.runtime.call("ask", kind, "Go").text == "sorry"
        names = "Gauges_level, Gauges_names, Gauges_quiet, Gauges_careless, Gauges_long"
        told = service.heard()
        assert [text for text, _ in told] == [
            "gauge K9 is broken",
            f"unknown tool Gauges_levle; available: {names}",
            'invalid arguments:\n- /gauge: expected String, got nothing\n- /days: expected an integer of 64 bits, got "x"',
            "environment variable `NO_SUCH_VARIABLE` is not set",
            # Converted where nothing is lost, and what nobody knows is ignored.
            '{"level":2.5,"at":"7-3-1"}',
        ]
        if kind in ("anthropic", "google"):
            assert [is_error for _, is_error in told] == [True, True, True, True, False]
        tools = service.runtime.get_metrics().to_dict()["tools"]
        assert tools["Gauges.level"]["calls"] == 2
        assert tools["Gauges.level"]["errors"] == tools["Gauges.careless"]["errors"] == 1


def test_lo4_arguments_that_are_no_json_are_told(program: concerto.Program) -> None:
    broken = {"name": "Gauges_level", "arguments": '{"gauge": '}
    with Service(program, {"tool_calls": [broken]}, {"text": "sorry"}) as service:
        assert service.runtime.call("ask", "openai", "Go").text == "sorry"
        ((text, _),) = service.heard()
        assert text.startswith("invalid arguments: they are no JSON object (EOF while parsing")


def test_lo6_results_are_text(program: concerto.Program) -> None:
    asked = [call("quiet"), call("long", n=3), call("long", n=40)]
    with Service(
        program, {"tool_calls": asked}, {"text": "done"}, max_tool_result_bytes=30
    ) as service:
        service.runtime.call("ask", "openai", "Go")
        assert [text for text, _ in service.heard()] == [
            "null",
            "xxx",
            "x" * 30 + "[truncated, 40 bytes]",
        ]


@pytest.mark.parametrize("most", [10, 2])
def test_lo2_more_rounds_than_allowed_are_an_error(program: concerto.Program, most: int) -> None:
    with Service(
        program,
        {"tool_calls": [call("names")]},
        **({} if most == 10 else {"max_tool_rounds": most}),
    ) as service:
        with pytest.raises(concerto.LlmError) as caught:
            service.runtime.call("ask", "openai", "Go")
        assert type(caught.value).__name__ == "ToolLimitError"
        assert (caught.value.kind, caught.value.rounds) == ("tool_limit", most)
        assert str(caught.value) == (
            f"openai: tool limit: the model asked for tools in more than {most} rounds; "
            "`max_tool_rounds` of the host sets the limit"
        )
        assert len(service.bodies()) == most + 1
        counters = service.runtime.get_metrics().counters("openai")
        assert (counters["errors"], counters["in_flight"]) == ({"tool_limit": 1}, 0)
    with pytest.raises(concerto.ConfigError, match="must be 1 to 100"):
        concerto.Runtime(program, max_tool_rounds=0)


def test_lo9_the_time_of_a_call_covers_its_tools(program: concerto.Program) -> None:
    slow = {"tool_calls": [{"name": "Slow_wait", "arguments": {}}]}
    with Service(program, slow, {"text": "done"}, clock=concerto.VirtualClock()) as service:
        with pytest.raises(concerto.LlmError) as caught:
            service.runtime.call("hasty")
        assert (caught.value.kind, caught.value.phase) == ("timeout", "call")
        assert len(service.bodies()) == 1


def test_lo10_a_later_round_is_repeated_without_its_tools(program: concerto.Program) -> None:
    replies: list[dict[str, Any]] = [
        {"tool_calls": [call("level", gauge="K1")]},
        {"error": {"status": 503, "message": "busy"}},
        {"text": "done"},
    ]
    with Service(program, *replies) as service:
        service.runtime.override_connection("openai", retry={"max_attempts": 2})
        response = service.runtime.call("ask", "openai", "Go")
        assert (response.text, response.rounds, response.attempts) == ("done", 2, 3)
        assert [text for text, _ in service.heard()] == ['{"level":2.5,"at":"K1-0-1"}']


@pytest.mark.parametrize("kind", KINDS)
def test_s16_the_text_of_later_rounds_continues_the_stream(
    program: concerto.Program, kind: str
) -> None:
    first = {"chunks": ["Let ", "me."], "usage": USAGE, "tool_calls": [call("level", gauge="K1")]}
    with Service(program, first, {"chunks": ["2.5", " m"], "usage": USAGE}) as service:
        chunks: list[str] = []
        service.runtime.on("chunk", chunks.append)
        response = service.runtime.call("flow", kind, "Go")
        texts = ["1 0 Let ", "1 1 me.", "2 2 2.5", "2 3  m"]
        # The mock of Ollama's own protocol sends no text beside calls.
        assert chunks == texts or kind == "ollama"
        assert [text for text, _ in service.heard()] == ['{"level":2.5,"at":"K1-0-1"}']
        assert (response.text, response.rounds) == ("2.5 m", 2)
        assert (response.tokens_in, response.tokens_out) == (200, 20)
        counters = service.runtime.get_metrics().counters(kind)
        assert (counters["successes"], counters["rounds"], counters["in_flight"]) == (1, 2, 0)


def test_s16_a_stream_ends_with_the_limit(program: concerto.Program) -> None:
    with Service(program, {"tool_calls": [call("names")]}, max_tool_rounds=1) as service:
        with pytest.raises(concerto.LlmError) as caught:
            service.runtime.call("collected", "Go")
        assert (caught.value.kind, caught.value.rounds) == ("tool_limit", 1)
        assert service.runtime.get_metrics().counters("openai")["errors"] == {"tool_limit": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_m44_typed_answers_with_tools(program: concerto.Program, kind: str) -> None:
    """Tools stay available until the model stops calling them, in repair rounds, too."""
    answer: dict[str, Any] = {"json": {"ok": True}}
    bad: dict[str, Any] = {"json": {"ok": "perhaps"}}
    if kind == "anthropic":
        # The answer is a call of its own.
        answer, bad = (
            {"tool_calls": [{"name": "respond_Verdict", "arguments": each["json"]}]}
            for each in (answer, bad)
        )
    with Service(program, {"tool_calls": [call("names")]}, bad, answer) as service:
        assert service.runtime.call("typed", kind, "Go").ok is True
        bodies = service.bodies()
        assert len(bodies) == 3
        assert all(body["tools"] for body in bodies)
        if kind == "anthropic":
            assert bodies[0]["tool_choice"] == {"type": "any"}
        assert [text for text, _ in service.heard(1)] == ['["K1","K2"]']


def test_ca12_builders_add_tools_and_leave_them_out(program: concerto.Program) -> None:
    def sent(function: str) -> list[str]:
        with Service(program, {"text": "done"}) as service:
            assert service.runtime.call(function) == "done"
            return service.offered()

    gauges = ["Gauges_level", "Gauges_names", "Gauges_quiet", "Gauges_careless", "Gauges_long"]
    # LO-13: no field at all.
    assert sent("bare") == sent("left_out") == []
    # CA-15: a tool that is named twice counts once.
    assert sent("mixed") == [*gauges, "Extra_nothing"]
    # CA-14: an empty list adds nothing.
    assert sent("only") == ["Extra_nothing"]


def test_ca14_a_value_that_may_be_anything_is_refused(program: concerto.Program) -> None:
    with Service(program, {"text": "done"}) as service:
        with pytest.raises(
            concerto.LlmError, match="`with_tools` takes an array of names"
        ) as caught:
            service.runtime.call("anything", ["Extra"])
        assert (caught.value.kind, caught.value.field) == ("config", "tools")
        assert service.bodies() == []


def test_tl7_the_state_of_a_run_is_shared_by_models_and_the_program(
    program: concerto.Program,
) -> None:
    with Service(program, {"tool_calls": [call("level", gauge="K1")]}, {"text": "done"}) as service:
        assert service.runtime.call("twice") == "K1-0-2"
        # A run of its own begins anew.
        assert service.runtime.call("direct", "K1").at == "K1-0-1"


def test_tl11_an_error_of_a_direct_call_is_the_methods_own(program: concerto.Program) -> None:
    runtime = concerto.Runtime(program)
    with pytest.raises(concerto.ProgramError) as caught:
        runtime.call("direct", "K9")
    error = caught.value.value
    assert (error.message, error.kind, error.tool, error.method) == (
        "gauge K9 is broken", "custom", "Gauges", "level",
    )  # fmt: skip
    with pytest.raises(concerto.ProgramError, match="NO_SUCH_VARIABLE"):
        runtime.call("careless")


@pytest.mark.parametrize("name", ["Gauges", "Gauges.level"])
def test_tl19_what_is_disabled_is_neither_offered_nor_called(
    program: concerto.Program, name: str
) -> None:
    permissions = {name: False}
    asked = {"tool_calls": [call("level", gauge="K1")]}
    with Service(program, asked, {"text": "done"}, tool_permissions=permissions) as service:
        with pytest.raises(concerto.ProgramError) as caught:
            service.runtime.call("direct", "K1")
        assert caught.value.value.kind == "permission_denied"
        assert str(caught.value) == "`Gauges.level` is disabled by the host"
        assert service.runtime.call("ask", "openai", "Go").text == (
            "" if name == "Gauges" else "done"
        )
        assert "Gauges_level" not in service.offered()
        service.runtime.set_tool_permissions({name: True})
        assert service.runtime.call("direct", "K1").at == "K1-0-1"
        with pytest.raises(concerto.ConfigError, match=r"did you mean `Gauges\.level`"):
            service.runtime.set_tool_permissions({"Gauges.levle": False})


def test_a_run_that_is_cancelled_in_a_tool_ends(program: concerto.Program) -> None:
    slow = {"tool_calls": [{"name": "Slow_wait", "arguments": {}}]}
    with Service(program, slow, {"text": "done"}) as service:
        run = service.runtime.start("hasty")
        while not service.bodies():
            pass
        run.cancel()
        with pytest.raises(concerto.RunCancelled):
            run.result()
        assert service.runtime.get_metrics().counters("openai")["cancelled"] == 1
