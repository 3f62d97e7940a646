"""`await emit` and judged payloads: the host of both interpreters answers from a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.oracle.decode import decode
from tests.oracle.instructions import a, instruction
from tests.oracle.json_text import write
from tests.oracle.machine import Machine, panic
from tests.oracle.natives import pure
from tests.oracle.tasks import suspends
from tests.oracle.types import written
from tests.oracle.values import Err, Ok, Struct, Value, display

if TYPE_CHECKING:
    import concerto


def _fails(_payload: Any) -> Any:
    raise ValueError("the host has no idea")


#: What the host answers, by channel; nobody listens to others.
REPLIES: dict[str, Callable[[Any], Any]] = {
    "ask:echo": lambda payload: payload,
    "ask:yes": lambda _: "yes",
    "ask:number": lambda _: 7,
    "ask:nil": lambda _: None,
    "ask:plan": lambda _: {"title": "Move", "steps": [1, 2]},
    "ask:fail": _fails,
}


def listen(runtime: concerto.Runtime) -> None:
    """Lets a runtime answer from the same table."""
    for channel, handler in REPLIES.items():
        runtime.on_emit(channel, handler)


def reply(channel: str, payload: Any) -> tuple[str, Any]:
    """`ok` and the reply as JSON, or the kind and the message of an `EmitError`."""
    if channel not in REPLIES:
        return "no_listener", f"nobody answers on the channel `{channel}`"
    try:
        return "ok", REPLIES[channel](payload)
    except ValueError as error:
        return "handler", str(error)


@instruction
def ask(m: Machine, d: int, r: int, value: int, t: int) -> None:
    channel = a(str, m.read(r))
    if channel == "":
        panic("InvalidArgument", "the name of a channel is empty")
    payload = m.take(value)
    m.world.emit(channel, payload)
    kind, said = m.world.ask(channel, json.loads(write(payload, None)))
    if kind == "ok":
        try:
            m.write(d, Ok(decode(m, t, said)))
        except TypeError:
            kind, said = "invalid_reply", f"the reply on `{channel}` does not fit"
    if kind != "ok":
        m.write(d, Err(Struct(m.builtin_type("EmitError"), (said, kind, channel))))
    suspends(m)


@instruction
def fit(m: Machine, d: int, r: int, t: int) -> None:
    try:
        m.write(d, decode(m, t, json.loads(write(m.take(r), None))))
    except TypeError:
        panic("TypeMismatch", f"the payload does not fit `{written(m.document['types'], t)}`")


@pure("emit.unwrap")
def _unwrap(m: Machine, result: Value) -> Value:
    if isinstance(result, Ok):
        return result.inner
    error = a(Struct, a(Err, result).inner)
    kind = "TypeMismatch" if error.fields[1] == "invalid_reply" else "UnwrapErr"
    return panic(kind, display(error))
