"""Pipelines: what the host is told of their runs (library reference 9), and pipelines as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.oracle.instructions import a, instruction
from tests.oracle.machine import Machine, broken, panic
from tests.oracle.natives import plain, pure
from tests.oracle.tasks import Task
from tests.oracle.values import (
    Array,
    Function,
    Map,
    Pipeline,
    Some,
    Struct,
    Value,
    display,
)


@dataclass(slots=True)
class Run:
    """A run of a pipeline that has not ended. Nothing takes time here."""

    number: int
    name: str
    task: Task
    parent: Run | None
    depth: int
    stage: str = ""
    attempt: int = 0


@dataclass(slots=True)
class Runs:
    machine: Machine
    open: list[Run] = field(default_factory=list)
    last: int = 0

    def tell(self, channel: str, run: Run, **more: Value) -> None:
        own: dict[str, Value] = {"name": run.name, "pipeline": run.name, "run_id": run.number}
        if run.parent:
            own["parent"] = run.parent.number
        self.machine.world.emit(f"pipeline:{channel}", Map(tuple((own | more).items())))

    def start(self, name: str, stages: int, given: Value) -> int:
        around = self.machine.scheduler.around(self.machine.task)
        parent = next((run for run in reversed(self.open) if run.task in around), None)
        depth = parent.depth + 1 if parent else 1
        if depth > 64:
            panic("LimitExceeded", f"pipeline `{name}` is nested more than 64 deep")
        self.last += 1
        run = Run(self.last, name, self.machine.task, parent, depth)
        self.tell("start", run, stages=stages, input=given)
        self.open.append(run)
        return run.number

    def find(self, number: Value) -> Run | None:
        return next((run for run in self.open if run.number == number), None)

    def error(self, run: Run, error: str) -> None:
        self.open.remove(run)
        self.tell("error", run, stage=run.stage, error=error, duration_ms=0)

    def cut(self, tasks: list[Task] | None, error: str) -> None:
        """Ends the runs of some tasks, or all, the innermost first."""
        for run in reversed(self.open[:]):
            if tasks is None or run.task in tasks:
                self.error(run, error)

    def answer(self, name: str, args: list[Value]) -> Value:
        """What the code of a pipeline asks."""
        if name == "start":
            what, stages, given = args
            return self.start(a(str, what), a(int, stages), given)
        run = self.find(args[0])
        if run is None:
            return 1 if name == "attempt" else None
        match name, args[1:]:
            case "attempt", []:
                return run.attempt
            case "complete", []:
                self.open.remove(run)
                self.tell("complete", run, duration_ms=0)
            case "error", [_, error]:
                self.error(run, display(error))
            case _, [str() as stage, int() as index, int() as attempt, *rest]:
                more: dict[str, Value] = {"stage": stage, "index": index, "attempt": attempt}
                if name == "stage_start":
                    run.stage, run.attempt = stage, attempt
                elif name == "stage_complete":
                    more["duration_ms"] = 0
                else:
                    error, delay = rest
                    more |= {"error": display(a(Some, error).inner), "delay_ms": delay}
                self.tell(name, run, **more)
            case _:
                broken(f"wrong arguments of {name}")
        return None


@instruction
def pipeline(m: Machine, d: int, function: int, w: int, n: int) -> None:
    name, *stages = (a(str, part) for part in m.window(w, n))
    m.write(d, Pipeline(name, tuple(stages), function))


@pure("pipeline.failed")
def _failed(m: Machine, name: str, stage: str, attempts: int, cause: Value) -> Value:
    message = f"pipeline '{name}' failed at stage '{stage}': {display(cause)}"
    is_late = isinstance(cause, Struct) and cause.type.name == "TimeoutError"
    fields = (message, "timeout" if is_late else "stage", name, stage, attempts, cause)
    return Struct(m.builtin_type("PipelineError"), fields)


plain(
    {
        "pipeline.stages": lambda pipeline: Array(pipeline.stages),
        "pipeline.function": lambda pipeline: Function(pipeline.function, pipeline.name, 1, ()),
    }
)
