"""An interpreter of the IR document, written from `docs/ir.md` to be obvious, not fast: the opposite of the Rust VM, which it is compared with.

Frames are a list, so that deep calls do not end in Python's own limit. What each instruction does is in `instructions.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from tests.oracle.values import EnumType, Map, Model, StructType, Value

if TYPE_CHECKING:
    from tests.oracle.pipelines import Runs
    from tests.oracle.tasks import Scheduler, Task
    from tests.oracle.tools import Asked, Tools


class World(Protocol):
    """What only the world can do."""

    def emit(self, channel: str, payload: Value) -> None: ...
    def ask(self, channel: str, payload: Any) -> tuple[str, Any]: ...
    def print(self, text: str) -> None: ...
    def env(self, name: str) -> Value: ...
    def execute(self, model: Model, prompt: str) -> Value | Asked: ...
    def execute_with_schema(self, model: Model, schema: dict[str, Any], prompt: str) -> Value: ...
    def parse_schema(self, schema: dict[str, Any], text: str) -> Value: ...
    def request(self, name: str, *args: Value) -> Value: ...
    def stream(self, model: Model, prompt: str) -> Value: ...
    def mock(self, model: int, fields: Map) -> None: ...
    def mock_calls(self, model: int) -> Value: ...
    def mock_reply(self, channel: str, value: Value) -> None: ...
    def mock_env(self, name: str, value: Value) -> None: ...
    def test_emits(self, events: bool) -> Value: ...
    def assert_snapshot(self, value: Value, name: str) -> None: ...


class Ended(Exception):  # noqa: N818 - an outcome, not always an error
    """The run ended before its function returned; `line` and `function` are those of the innermost call."""

    def __init__(self) -> None:
        super().__init__()
        self.line = 0
        self.function = ""

    def told(self) -> str:
        """As a host reads it."""
        return str(self)


class Panicked(Ended):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__()
        self.kind, self.message = kind, message

    def told(self) -> str:
        return f"{self.kind}: {self.message}"

    def __str__(self) -> str:
        return f"{self.kind} in {self.function}, line {self.line}: {self.message}"


class Failed(Ended):
    def __init__(self, error: Value) -> None:
        super().__init__()
        self.error = error

    def told(self) -> str:
        from tests.oracle.values import display

        return display(self.error)

    def __str__(self) -> str:
        return f"uncaught in {self.function}, line {self.line}: {self.error}"


class Broken(Ended):
    """An instruction met a value of a kind that the compiler rules out."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def __str__(self) -> str:
        return f"broken in {self.function}, line {self.line}: {self.what}"


class OutOfFuel(Exception):  # noqa: N818
    """More instructions than allowed."""


@dataclass(slots=True)
class Frame:
    """An active call; `result` is the caller's register for its result."""

    function: dict[str, Any]
    registers: list[Value]
    result: int
    pc: int = 0
    at: int = 0  # the instruction that is being executed
    into: int = 0  # the register that waits for the value of a form


@dataclass(slots=True)
class Machine:
    document: dict[str, Any]
    world: World
    max_depth: int = 10_000
    fuel: int = 10_000_000
    #: The task that runs, and its calls.
    task: Task = field(init=False)
    frames: list[Frame] = field(default_factory=list)
    scheduler: Scheduler = field(init=False)
    pipelines: Runs = field(init=False)
    tools: Tools = field(init=False)
    executed: Counter[str] = field(default_factory=Counter)
    covered: set[int] = field(default_factory=set)
    answer: Value = None

    def __post_init__(self) -> None:
        from tests.oracle.pipelines import Runs
        from tests.oracle.tasks import Scheduler

        self.scheduler = Scheduler(self)
        self.pipelines = Runs(self)

    def run(self, function: int, arguments: list[Value]) -> Value:
        """Calls a function, drives all tasks until it has ended, and gives its result; raises `Ended`."""
        root = self.scheduler.start(function, arguments)
        try:
            while root.is_alive:
                self.task, action = self.scheduler.next()
                self.task.wait = None
                self.frames = self.task.frames
                try:
                    if action:
                        action()
                    # What it waited for may have given it something new to wait for.
                    if self.task.wait is None:
                        self.go_on()
                except Failed as failed:
                    if not self.tools.raised(self.task, failed.error):
                        raise
                self.scheduler.tell_cancelled()
        except Ended as ended:
            frame = self.frames[-1]
            ended.function, ended.line = frame.function["name"], self.line(frame)
            self.pipelines.cut(None, ended.told())
            raise
        return root.value

    def go_on(self) -> None:
        """Runs the current task up to its next suspension or its end."""
        from tests.oracle.all_instructions import INSTRUCTIONS

        while self.frames and self.task.wait is None:
            self.fuel -= 1
            if self.fuel < 0:
                raise OutOfFuel
            frame = self.frames[-1]
            name, *operands = frame.function["code"][frame.pc]
            frame.at = frame.pc
            frame.pc += 1
            self.executed[name] += 1
            INSTRUCTIONS[name](self, *operands)
            if self.task.wait is not None or not self.task.is_alive:
                return
        self.scheduler.ended(self.task, self.answer)

    def line(self, frame: Frame) -> int:
        """The line of the current instruction; that of the function if it has no span."""
        spans = {pc: start for pc, start, _ in frame.function["spans"]}
        start = spans.get(frame.at, frame.function["span"][0])
        return bisect_right(self.document["files"][frame.function["file"]]["lines"], start)

    def enter(self, function: int, arguments: list[Value], result: int) -> None:
        callee = self.document["functions"][function]
        missing = callee["registers"] - len(arguments)
        self.frames.append(Frame(callee, [*arguments, *[None] * missing], result))

    def leave(self, value: Value) -> None:
        """Ends the current call with a result."""
        ended = self.frames.pop()
        if self.frames:
            self.write(ended.result, value)
        else:
            self.answer = value

    def read(self, register: int) -> Value:
        return self.frames[-1].registers[register]

    def write(self, register: int, value: Value) -> None:
        self.frames[-1].registers[register] = value

    def take(self, register: int) -> Value:
        """Moves a value out of its register."""
        value = self.read(register)
        self.write(register, None)
        return value

    def window(self, first: int, count: int) -> list[Value]:
        return [self.take(register) for register in range(first, first + count)]

    def jump(self, target: int) -> None:
        self.frames[-1].pc = target

    def constant(self, index: int) -> Value:
        _, value = self.document["constants"][index]
        return value  # type: ignore[no-any-return]  # a number or a text

    def struct_type(self, index: int) -> StructType:
        return struct_type(self.document["types"][index][1])

    def enum_type(self, index: int) -> EnumType:
        inner = self.document["types"][index][1]
        variants = tuple(
            (v["name"], v["form"], tuple(f["name"] for f in v["fields"])) for v in inner["variants"]
        )
        return EnumType(inner["name"], variants)

    def builtin_type(self, name: str) -> StructType:
        """A built-in record or error."""
        from concerto.check import builtins

        origin, fields = builtins.records()[name]
        return StructType(name, origin, tuple(fields))


def struct_type(inner: dict[str, Any]) -> StructType:
    return StructType(inner["name"], inner["origin"], tuple(f["name"] for f in inner["fields"]))


def panic(kind: str, message: str) -> NoReturn:
    raise Panicked(kind, message)


def broken(what: str) -> NoReturn:
    raise Broken(what)


__all__ = ["Broken", "Ended", "Failed", "Machine", "OutOfFuel", "Panicked", "World"]
