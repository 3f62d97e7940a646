"""Typed answers over real HTTP: rounds, what the model is told, and when asking ends (rules M-41 to M-45, SC-22, SC-24)."""

from __future__ import annotations

import json
from typing import Any

import concerto
import pytest

from tests.conftest import ROOT

PROGRAM = """
connect c { base_url: env("URL"), api_key: "sk-canary-8152", provider: "openai", default_model: "m" }
connect own { base_url: env("URL"), provider: "custom", default_model: "m" }
model M { provider: c, system_prompt: "Be brief." }
model Own { provider: own }
model Limited { provider: c, max_tokens: 7 }
schema Answer { @range(1..=5) count: Int, label: "a" | "b", tags: Array<String> = [] }
@validate(|p: Pair| if p.low < p.high { Ok(nil) } else { Err("low must be below high") })
schema Pair { low: Int, high: Int }
struct Plain { @json("the name") name: String }
pub fn answer(prompt: String) -> Result<Answer, LlmError> { M.execute_with_schema<Answer>(prompt) }
pub fn inferred(prompt: String) -> Result<Plain, LlmError> { M.execute_with_schema(prompt) }
pub fn pair(prompt: String) -> Result<Pair, LlmError> { M.execute_with_schema<Pair>(prompt) }
pub fn own(prompt: String) -> Result<Pair, LlmError> { Own.execute_with_schema<Pair>(prompt) }
pub fn careful(prompt: String) -> Result<Answer, LlmError> { M.execute_with_schema<Answer>(prompt, retry_message: "Please count again.") }
pub fn talk(text: String) -> Result<Pair, LlmError> { M.chat_with_schema<Pair>([Message::user(text)], "Hm.") }
pub fn limited(prompt: String) -> Result<Answer, LlmError> { Limited.execute_with_schema<Answer>(prompt) }
pub fn seen(prompt: String) -> String {
    match M.execute_with_schema<Answer>(prompt) {
        Ok(a) => "${a.count}",
        Err(LlmError::Schema { reason, rounds, attempts, raw_response, violations, .. }) => "${reason ?? ""} ${rounds} ${attempts} ${raw_response} ${violations[0].path}",
        Err(e) => "${e.kind}: ${e.message}",
    }
}
"""

GOOD = {"count": 2, "label": "b", "tags": ["x"]}


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


class Service:
    """A mock provider that answers one call after the other, and a runtime that asks it."""

    def __init__(self, program: concerto.Program, replies: list[dict[str, Any]]) -> None:
        # The last reply serves for ever.
        rules = [{"times": 1, "reply": reply} for reply in replies[:-1]]
        script = {"rules": [*rules, {"reply": replies[-1]}]}
        self.server = concerto.MockServer(script=json.dumps(script))
        self.runtime = concerto.Runtime(program, env={"URL": self.server.url})

    def __enter__(self) -> Service:
        self.server.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.__exit__(None, None, None)

    def messages(self) -> list[list[tuple[str, str]]]:
        """Role and content of each message, request by request."""
        bodies = [request["body"] for request in self.server.requests()]
        return [[(m["role"], m["content"]) for m in body["messages"]] for body in bodies]

    def counters(self) -> dict[str, Any]:
        counters = self.runtime.get_metrics().counters("c")
        return {
            name: counters[name] for name in ("calls", "successes", "rounds", "attempts", "errors")
        }


REPAIR = """Your last answer does not fit the schema `Answer`:
- /count: expected a number from 1 to 5, got 9
- /label: expected one of "a", "b", got "z"
Answer again, with one JSON value that fits the schema and nothing else."""


def test_m41_the_model_is_told_what_is_wrong_and_asked_again(program: concerto.Program) -> None:
    bad = {"count": 9, "label": "z"}
    with Service(program, [{"json": bad}, {"json": GOOD}]) as service:
        assert service.runtime.call("answer", "Go")._asdict() == GOOD
        start = [("system", "Be brief."), ("user", "Go")]
        said = ("assistant", json.dumps(bad, separators=(",", ":")))
        # SC-24: the first prompt is sent as it is; the second request repeats the first.
        assert service.messages() == [start, [*start, said, ("user", REPAIR)]]
        assert service.counters() == {
            "calls": 1,
            "successes": 1,
            "rounds": 2,
            "attempts": 2,
            "errors": {},
        }
        # M-45: the tokens of all rounds are counted.
        used = service.runtime.get_metrics().tokens_by_model("M")
        assert (used.tokens_in, used.tokens_out) == (2 + len(REPAIR), 2 * 42)


def test_sc24_the_programs_own_words_come_first(program: concerto.Program) -> None:
    with Service(program, [{"json": {"count": 9, "label": "z"}}, {"json": GOOD}]) as service:
        assert service.runtime.call("careful", "Go")._asdict() == GOOD
        first, second = service.messages()
        assert first[-1] == ("user", "Go")
        assert second[-1] == ("user", f"Please count again.\n\n{REPAIR}")
    with Service(program, [{"text": "no"}, {"json": {"low": 1, "high": 2}}]) as service:
        assert service.runtime.call("talk", "Go").low == 1
        assert service.messages()[1][-1][1].startswith("Hm.\n\nYour last answer")


def test_m41_three_answers_then_an_error(program: concerto.Program) -> None:
    with Service(program, [{"text": "no"}, {"text": "[]"}, {"text": '{"count": 0}'}]) as service:
        with pytest.raises(concerto.errors.SchemaError) as caught:
            service.runtime.call("answer", "Go")
        error = caught.value
        # SC-22: schema, rounds, and the first three violations of the last answer.
        assert str(error).startswith(
            "c: schema `Answer` after 3 answers: /count: expected a number from 1 to 5, got 0; /label: expected"
        )
        assert (error.reason, error.rounds, error.attempts) == ("constraint", 3, 3)
        assert (error.raw_response, error.retryable) == ('{"count": 0}', False)
        assert [(v.path, v.reason) for v in error.violations] == [
            ("/count", "constraint"),
            ("/label", "missing_field"),
        ]
        assert len(service.messages()[2]) == 2 + 2 * 2
        assert service.counters() == {
            "calls": 1,
            "successes": 0,
            "rounds": 3,
            "attempts": 3,
            "errors": {"schema": 1},
        }
        assert service.runtime.call("seen", "Go") == 'constraint 3 3 {"count": 0} /count'


def test_m41_validators_ask_again_as_well(program: concerto.Program) -> None:
    with Service(
        program, [{"json": {"low": 2, "high": 1}}, {"json": {"low": 1, "high": 2}}]
    ) as service:
        assert service.runtime.call("pair", "Go")._asdict() == {"low": 1, "high": 2}
        assert "- the answer: low must be below high\n" in service.messages()[1][-1][1]


def test_a_model_that_may_not_have_seen_the_schema_is_shown_it(program: concerto.Program) -> None:
    with Service(program, [{"text": "no"}, {"json": {"low": 1, "high": 2}}]) as service:
        assert service.runtime.call("own", "Go").high == 2
        shown = json.dumps(program.schema("Pair"), separators=(",", ":"))
        assert f"This is its JSON Schema:\n{shown}\n" in service.messages()[1][-1][1]


def test_m43_a_cut_answer_is_not_asked_for_again(program: concerto.Program) -> None:
    cut = {"text": '{"count": 1, "la', "finish_reason": "length"}
    with Service(program, [cut]) as service:
        for function, limit in (
            ("limited", "`max_tokens: 7`"),
            ("answer", "the limit of `m` itself"),
        ):
            with pytest.raises(concerto.errors.SchemaError) as caught:
                service.runtime.call(function, "Go")
            assert (caught.value.reason, caught.value.rounds) == ("truncated", 1)
            assert f"cut off by {limit}; raise `max_tokens`" in str(caught.value)
        assert len(service.messages()) == 2
    # One that fits all the same is good.
    with Service(program, [{"json": GOOD, "finish_reason": "length"}]) as service:
        assert service.runtime.call("answer", "Go").count == 2


def test_m43_a_filtered_answer_is_not_asked_for_again(program: concerto.Program) -> None:
    with Service(program, [{"text": "", "finish_reason": "content_filter"}]) as service:
        with pytest.raises(concerto.errors.ContentFilteredError):
            service.runtime.call("answer", "Go")
        assert len(service.messages()) == 1


def test_an_error_in_a_later_round_ends_the_call(program: concerto.Program) -> None:
    with Service(
        program, [{"text": "no"}, {"error": {"status": 401, "message": "who?"}}]
    ) as service:
        with pytest.raises(concerto.errors.AuthenticationError) as caught:
            service.runtime.call("answer", "Go")
        assert caught.value.attempts == 2
        assert service.counters()["errors"] == {"authentication": 1}


def test_ca5_the_schema_may_come_from_the_expected_type(program: concerto.Program) -> None:
    with Service(program, [{"json": {"the name": "x"}}]) as service:
        assert service.runtime.call("inferred", "Go")._asdict() == {"name": "x"}
        schema = service.server.requests()[0]["body"]["response_format"]["json_schema"]
        assert schema["name"] == "Plain"
        assert list(schema["schema"]["properties"]) == ["the name"]


def test_a_key_in_an_answer_reaches_no_error(program: concerto.Program) -> None:
    with Service(program, [{"json": {"count": "sk-canary-8152", "label": "a"}}]) as service:
        with pytest.raises(concerto.errors.SchemaError) as caught:
            service.runtime.call("answer", "Go")
        shown = f"{caught.value} {caught.value.value!r} {caught.value.violations!r}"
        assert "canary" not in shown
        assert "***" in caught.value.raw_response


LIMITED = """
schema Limited {
    @range(3..) a: Int, @range(..=-2) b: Float, @length(30..=31) c: String, @length(..=2) d: String, @items(3..=4) e: Array<Int>,
    @items(2..) f: Map<String, Bool>, @pattern("^[A-Z]{3}-[0-9]+$") @length(8..) g: String, @pattern("q") h: Array<Option<String>>,
    @items(0..=0) i: Array<String>, @range(1..=1) j?: Int,
}
"""


@pytest.mark.parametrize(
    ("declarations", "name"),
    [
        *(
            ((ROOT / f"tests/golden/schemas/{file}.conc").read_text(encoding="utf-8"), name)
            for file, name in (
                ("order", "Order"),
                ("types", "Types"),
                ("types", "Tree"),
                ("modes", "Strict"),
                ("modes", "Partial"),
            )
        ),
        (LIMITED, "Limited"),
    ],
    ids=["order", "types", "tree", "strict", "partial", "limited"],
)
def test_o15_mocked_answers_always_fit(declarations: str, name: str) -> None:
    source = f"""{declarations}
    connect ollama {{ }}
    model M {{ provider: ollama }}
    pub fn go() -> Result<{name}, LlmError> {{ M.execute_with_schema<{name}>("x") }}"""
    runtime = concerto.Runtime(concerto.compile(source), mock=True)
    first, second = runtime.call("go"), runtime.call("go")
    assert first == second
