"""The scripted world of both interpreters: what a program sends is kept, what it asks for is answered from tables.

Models answer as the mock does (`docs/mock.md`), and with the faults of `SCRIPT`, which the mock provider is given, too.
"""

from __future__ import annotations

import json
from typing import Any

from tests.oracle.decode import decode
from tests.oracle.machine import Machine, panic
from tests.oracle.tools import Asked
from tests.oracle.types import conform, written
from tests.oracle.values import (
    Array,
    Entries,
    Err,
    Map,
    Model,
    Ok,
    Store,
    Stream,
    Struct,
    Value,
    to_host,
)

ENVIRONMENT = {"SET": "here", "EMPTY": ""}


class ScriptedWorld:
    def __init__(self) -> None:
        self.emits: list[tuple[str, Any]] = []
        self.printed: list[str] = []
        self.machine: Machine | None = None
        self.stores: list[Store] = []

    def emit(self, channel: str, payload: Value) -> None:
        self.emits.append((channel, to_host(payload)))

    def ask(self, channel: str, payload: Any) -> tuple[str, Any]:
        from tests.oracle.asks import reply

        return reply(channel, payload)

    def print(self, text: str) -> None:
        self.printed.append(text)

    def _record(self, record: str, /, **known: Value) -> Struct:
        """A built-in record of which a program looks at some fields only."""
        assert self.machine is not None
        type_ = self.machine.builtin_type(record)
        return Struct(type_, tuple(known.get(field) for field in type_.fields))

    def env(self, name: str) -> Value:
        if name in ENVIRONMENT:
            return Ok(ENVIRONMENT[name])
        if name == "" or "=" in name or "\0" in name:
            message = f"`{name}` is no name of an environment variable"
            return Err(self._record("EnvError", message=message, kind="invalid_name", name=name))
        message = f"environment variable `{name}` is not set"
        return Err(self._record("EnvError", message=message, kind="missing", name=name))

    def execute(self, model: Model, prompt: str) -> Value | Asked:
        return Ok(self._record("Response", text=reply(prompt)))

    def execute_with_schema(self, model: Model, schema: dict[str, Any], prompt: str) -> Value:
        assert self.machine is not None
        made = made_for(json.loads(schema["json"]), "value")
        return Ok(decode(self.machine, schema["type"], made))

    def parse_schema(self, schema: dict[str, Any], text: str) -> Value:
        """Of texts that fit: others belong to the tests of schemas."""
        assert self.machine is not None
        return Ok(decode(self.machine, schema["type"], json.loads(text)))

    def request(self, name: str, *args: Value) -> Value:
        """What the library asks, as far as the answer is known beforehand."""
        if name in ("time.sleep", "log.write"):
            return None
        match name, args:
            case "store.open", (int() as index,):
                assert self.machine is not None
                if not self.stores:
                    declared = self.machine.document["stores"]
                    self.stores = [
                        Store(each["name"], Entries(), "", (each["key"], each["value"]))
                        for each in declared
                    ]
                return self.stores[index]
            case "store.key" | "store.value" as part, (Store(store_name, types=own), value):
                assert self.machine is not None
                of, index = ("keys", own[0]) if part == "store.key" else ("values", own[1])
                types = self.machine.document["types"]
                try:
                    return conform(types, index, value)
                except TypeError as found:
                    wanted = written(types, index)
                    message = (
                        f"the {of} of the hashmap `{store_name}` are `{wanted}`, found `{found}`"
                    )
                    panic("TypeMismatch", message)
            case "env.read", (str() as variable,):
                return self.env(variable)
            case "env.has", (str() as variable,):
                return variable in ENVIRONMENT
            case "env.all", ():
                return Map(tuple(sorted(ENVIRONMENT.items())))
            case "env.args", ():
                return Array(())
            case "random.int", (int() as least, int() as bound) if bound == least + 1:
                return least
            case "random.int", (int() as least, int() as bound) if bound <= least:
                panic("InvalidArgument", f"there is no Int from {least} to before {bound}")
        raise AssertionError(f"the answer to `{name}` depends on the world")

    def stream(self, model: Model, prompt: str) -> Value:
        words = reply(prompt).split(" ")
        pieces = [word + " " for word in words[:-1]] + [words[-1]]
        chunks = [
            self._record("StreamChunk", text=piece, index=at, round=1)
            for at, piece in enumerate(pieces)
            if piece
        ]
        return Ok(Stream(chunks, None, self._record("Response", text=reply(prompt))))

    def mock(self, model: int, fields: Map) -> None:
        raise AssertionError("a run has no mocks")

    def mock_calls(self, model: int) -> Value:
        raise AssertionError("a run has no mocks")

    def mock_reply(self, channel: str, value: Value) -> None:
        raise AssertionError("a run has no mocks")

    def mock_env(self, name: str, value: Value) -> None:
        raise AssertionError("a run has no mocks")

    def test_emits(self, events: bool) -> Value:
        raise AssertionError("a run does not see what it emitted")

    def assert_snapshot(self, value: Value, name: str) -> None:
        raise AssertionError("a run has no snapshots")


def reply(prompt: str) -> str:
    return f"[mock response to: {prompt[:50]}]"


def made_for(schema: dict[str, Any], name: str) -> Any:
    """JSON that fits a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            members = [m for m in schema[key] if m != {"type": "null"}]
            return made_for(members[0], name)
    kinds = schema.get("type")
    kind = next((k for k in kinds if k != "null"), None) if isinstance(kinds, list) else kinds
    match kind:
        case "string":
            return f"[mock {name}]"
        case "integer":
            return schema.get("minimum", 0)
        case "number":
            return 0.0
        case "boolean":
            return False
        case "array":
            return [made_for(schema["items"], name)]
        case "null":
            return None
        case _:
            return {key: made_for(inner, key) for key, inner in schema["properties"].items()}
