"""Instructions that only tests have, and the world of a test: models answer as they are mocked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.oracle.decode import decode
from tests.oracle.instructions import a, instruction
from tests.oracle.json_text import write
from tests.oracle.machine import Machine, panic
from tests.oracle.tools import Asked
from tests.oracle.values import (
    Array,
    Err,
    Map,
    Model,
    Ok,
    Some,
    Stream,
    Struct,
    Value,
    display,
    to_host,
)
from tests.oracle.world import ScriptedWorld


@instruction
def mock(m: Machine, model: int, r: int) -> None:
    m.world.mock(model, a(Map, m.read(r)))


@instruction
def mock_calls(m: Machine, d: int, r: int) -> None:
    m.write(d, m.world.mock_calls(a(Model, m.read(r)).index))


@instruction
def mock_reply(m: Machine, channel: int, value: int) -> None:
    m.world.mock_reply(a(str, m.read(channel)), m.read(value))


@instruction
def mock_env(m: Machine, name: int, value: int) -> None:
    m.world.mock_env(a(str, m.read(name)), m.read(value))


@instruction
def test_emits(m: Machine, d: int, r: int) -> None:
    m.write(d, m.world.test_emits(a(bool, m.read(r))))


@instruction
def assert_snapshot(m: Machine, value: int, name: int) -> None:
    m.world.assert_snapshot(m.read(value), a(str, m.read(name)))


#: No value of a program.
UNHEARD: Any = object()


@dataclass(slots=True)
class Mock:
    fields: dict[str, Value]
    given: int = 0


class WorldOfTest(ScriptedWorld):
    """Answers of mocks that fit: those that do not belong to the tests of schemas."""

    def __init__(self) -> None:
        super().__init__()
        self.mocks: dict[int, Mock] = {}
        self.calls: dict[int, list[Value]] = {}
        self.variables: dict[str, Value] = {}
        self.replies: dict[str, Value] = {}
        self.kept: list[Value] = []

    def emit(self, channel: str, payload: Value) -> None:
        super().emit(channel, payload)
        self.kept.append(self._record("Emit", channel=channel, payload=payload))

    def env(self, name: str) -> Value:
        if name in self.variables:
            value = self.variables[name]
            return Ok(value.inner) if isinstance(value, Some) else super().env(f"NO_{name}")
        return super().env(name)

    def mock(self, model: int, fields: Map) -> None:
        self.mocks[model] = Mock({str(name): value for name, value in fields.entries})

    def mock_calls(self, model: int) -> Value:
        return Array(tuple(self.calls.get(model, [])))

    def mock_reply(self, channel: str, value: Value) -> None:
        if channel == "":
            panic("InvalidArgument", "the name of a channel is empty")
        self.replies[channel] = value

    def ask(self, channel: str, payload: Any) -> tuple[str, Any]:
        match self.replies.get(channel, UNHEARD):
            case Err(error):
                return "handler", display(error)
            case Ok(value) | value if value is not UNHEARD:
                return "ok", json.loads(write(value, None))
            case _:
                return "no_listener", f"nobody answers on the channel `{channel}`"

    def mock_env(self, name: str, value: Value) -> None:
        self.variables[name] = value

    def test_emits(self, events: bool) -> Value:
        return Array(tuple(self.kept))

    def assert_snapshot(self, value: Value, name: str) -> None:
        panic("Assertion", "snapshots have no place here: the host gave none")

    def execute(self, model: Model, prompt: str) -> Value | Asked:
        text = self._next(model, "execute", prompt)
        if isinstance(text, Err | Asked):
            return text
        return Ok(self._record("Response", text=text, model="mock", attempts=1))

    def execute_with_schema(self, model: Model, schema: dict[str, Any], prompt: str) -> Value:
        text = self._next(model, "execute_with_schema", prompt, schema["name"])
        assert self.machine is not None
        if isinstance(text, Err):
            return text
        return Ok(decode(self.machine, schema["type"], json.loads(str(text))))

    def stream(self, model: Model, prompt: str) -> Value:
        text = self._next(model, "stream", prompt)
        if isinstance(text, Err):
            return text
        chunks = self.mocks[model.index].fields.get("chunks")
        pieces = [*chunks.items] if isinstance(chunks, Array) else _words(str(text))
        made: list[Struct] = [
            self._record("StreamChunk", text=piece, index=at, round=1)
            for at, piece in enumerate(pieces)
        ]
        whole = "".join(map(str, pieces))
        return Ok(Stream(made, None, self._record("Response", text=whole, model="mock")))

    def _next(self, model: Model, method: str, prompt: str, schema: str = "") -> Value | Asked:
        """The text of the next answer, an `Err`, or what it asks for."""
        mock = self.mocks.get(model.index)
        if mock is None:
            name = model.name
            panic(
                "Assertion",
                f"model `{name}` is not mocked (use `mock {name} {{ .. }}` or --live)",
            )
        call = self._record("MockCall", method=method, prompt=prompt, schema=schema)
        self.calls.setdefault(model.index, []).append(call)
        mock.given += 1
        answers = mock.fields.get("responses")
        said = mock.fields.get("response")
        if isinstance(answers, Array):
            if mock.given > len(answers.items):
                panic("Assertion", f"mock {model.name} has no response for call {mock.given}")
            said = answers.items[mock.given - 1]
        fields = mock.fields
        if isinstance(said, Map):
            fields = {str(key): value for key, value in said.entries}
            if isinstance(calls := fields.get("tool_calls"), Array):
                return Asked(tuple(map(_call, calls.items)))
            said = fields.get("text")
        if said is not None:
            return said
        kind = fields.get("error_kind", "custom")
        return Err(self._record("LlmError", message=fields["error"], kind=kind, attempts=1))


def _call(value: Value) -> tuple[str, Any]:
    assert isinstance(value, Map)
    fields = dict(value.entries)
    return str(fields["tool"]), to_host(fields.get("args", Map(())))


def _words(text: str) -> list[Value]:
    pieces = [f"{word} " for word in text.split(" ")]
    last = pieces.pop().removesuffix(" ")
    return [*pieces, last] if last else [*pieces]
