"""Instructions on models and streams."""

from __future__ import annotations

from tests.oracle.instructions import a, instruction
from tests.oracle.machine import Machine, broken, panic
from tests.oracle.tasks import suspends
from tests.oracle.tools import Asked, serve
from tests.oracle.values import Array, Err, Model, Nothing, Ok, Some, Stream, Struct, Value


def prompt(value: Value) -> str:
    """What the model is asked: a String, a `Prompt`, or the last of some messages."""
    match value:
        case str():
            return value
        case Struct(fields=(str() as text, *_)) if value.type.name == "Prompt":
            return text
        case Array(items=(*_, Struct(fields=(_, str() as content)))):
            return content
        case other:
            return broken(f"no prompt: {other!r}")


@instruction
def effect(m: Machine, d: int, name: str, w: int, n: int) -> None:
    args = m.window(w, n)
    match name, args:
        case "task.yield", []:
            m.write(d, None)
        case "task.is_cancelled", []:
            m.write(d, False)
        case "test.cover", [int() as point]:
            m.covered.add(point)
            m.write(d, None)
        case "retry.delay", [int() as retry, str() as backoff, int() as first, int() as longest]:
            factor = {"linear": retry, "exponential": 2 ** (retry - 1)}.get(backoff, 1)
            m.write(d, min(first * factor, longest))
        case _ if name.startswith("pipeline."):
            m.write(d, m.pipelines.answer(name.removeprefix("pipeline."), args))
        case _:
            m.write(d, m.world.request(name, *args))
    if name in ("task.yield", "time.sleep"):
        suspends(m)


@instruction
def model(m: Machine, d: int, index: int) -> None:
    m.write(d, Model(index, m.document["models"][index]["name"]))


@instruction
def execute(m: Machine, d: int, of: int, r: int) -> None:
    asked = (a(Model, m.read(of)), prompt(m.read(r)))
    answer = m.world.execute(*asked)
    if isinstance(answer, Asked):
        serve(m, asked[0], answer, lambda: m.world.execute(*asked), d)
    else:
        m.write(d, answer)
        suspends(m)


@instruction
def execute_with_schema(m: Machine, d: int, of: int, schema: int, r: int) -> None:
    wanted = m.document["schemas"][schema]
    m.write(d, m.world.execute_with_schema(a(Model, m.read(of)), wanted, prompt(m.read(r))))
    suspends(m)


@instruction
def parse_schema(m: Machine, d: int, schema: int, r: int) -> None:
    m.write(d, m.world.parse_schema(m.document["schemas"][schema], a(str, m.read(r))))


@instruction
def stream(m: Machine, d: int, of: int, r: int) -> None:
    m.write(d, m.world.stream(a(Model, m.read(of)), prompt(m.read(r))))
    suspends(m)


def _next(source: Stream) -> Some | Nothing | Err:
    """The next chunk; nothing at the end, or what it breaks with."""
    if source.is_over:
        return Nothing()
    if source.chunks:
        chunk = source.chunks.pop(0)
        source.text += str(chunk.fields[0])
        return Some(chunk)
    source.is_over = True
    if source.failure is not None:
        return Err(source.failure)
    source.end = source.response
    return Nothing()


@instruction
def stream_next(m: Machine, d: int, r: int, end: int, failure: int) -> None:
    source = a(Stream, m.read(r))
    if source.is_over:
        panic("StreamConsumed", "the stream has ended or was closed: it can be read once")
    match _next(source):
        case Some(chunk):
            m.write(d, chunk)
        case Err(error):
            m.write(d, error)
            m.jump(failure)
        case _:
            m.jump(end)
    suspends(m)


@instruction
def stream_take(m: Machine, d: int, r: int) -> None:
    found = _next(a(Stream, m.read(r)))
    m.write(d, found if isinstance(found, Err) else Ok(found))
    suspends(m)


@instruction
def stream_collect(m: Machine, d: int, r: int) -> None:
    source = a(Stream, m.read(r))
    found = _next(source)
    while isinstance(found, Some):
        found = _next(source)
    if isinstance(found, Err):
        m.write(d, found)
    elif source.end is None:
        panic("StreamConsumed", "the stream was closed or has failed before its end")
    else:
        m.write(d, Ok(source.end))
    suspends(m)


@instruction
def stream_response(m: Machine, d: int, r: int) -> None:
    end = a(Stream, m.read(r)).end
    m.write(d, Nothing() if end is None else Some(end))


@instruction
def stream_text(m: Machine, d: int, r: int) -> None:
    m.write(d, a(Stream, m.read(r)).text)


@instruction
def stream_is_done(m: Machine, d: int, r: int) -> None:
    m.write(d, a(Stream, m.read(r)).is_over)


@instruction
def stream_close(m: Machine, r: int) -> None:
    a(Stream, m.read(r)).is_over = True
