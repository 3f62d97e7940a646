"""Tools: one instance of each for a run, methods as tasks, and the rounds of a mocked call that asks for some (LLM reference 4 and 5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.oracle.decode import decode
from tests.oracle.instructions import a, instruction
from tests.oracle.machine import Machine
from tests.oracle.tasks import Scheduler, Task
from tests.oracle.values import Array, Err, Model, Ok, Struct, Tuple, Value


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer that asks for calls: methods as `Tool.method` with their arguments."""

    calls: tuple[tuple[str, Any], ...]


@dataclass(slots=True, eq=False)
class Job:
    """A method that runs for a task; `done` gets its value, `raised` an error that leaves it, which without it ends the run."""

    parent: Task
    tool: int
    method: dict[str, Any]
    arguments: list[Value]
    done: Callable[[Value], None]
    raised: Callable[[Value], None] | None = None


@dataclass(slots=True, eq=False)
class Instance:
    state: Value = None
    holder: Task | None = None
    waiting: deque[Job] = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class Tools:
    scheduler: Scheduler
    instances: list[Instance]
    running: dict[int, tuple[Task, Job]] = field(default_factory=dict)

    def start(self, job: Job) -> None:
        instance = self.instances[job.tool]
        if job.method.get("changes") and instance.holder is not None:
            instance.waiting.append(job)
            return
        receiver = [instance.state] if job.method.get("takes_self") else []
        task = self.scheduler.start(job.method["function"], [*receiver, *job.arguments])
        task.parent = job.parent
        if job.method.get("changes"):
            instance.holder = task
        self.running[task.number] = (task, job)

    def ended(self, task: Task, value: Value) -> None:
        """A task has ended; if it was a job, its value is handed on."""
        job = self._leave(task)
        if job is None:
            return
        if job.method.get("changes"):
            types = self.scheduler.machine.document["types"]
            has_value = job.method.get("fails") or types[job.method["result"]] != ["nil"]
            state, value = a(Tuple, value).items if has_value else (value, None)
            self.instances[job.tool].state = state
        self._next(job)
        tool = self.scheduler.machine.document["tools"][job.tool]["name"]
        job.done(_named(value, tool, job.method["name"]))

    def raised(self, task: Task, error: Value) -> bool:
        """An error has left a task; whether it ends a job only."""
        for around in self.scheduler.around(task):
            _, job = self.running.get(around.number, (None, None))
            if job is not None and job.raised is not None:
                self.scheduler.cancel(around)
                self._leave(around)
                self._next(job)
                job.raised(error)
                return True
        return False

    def _leave(self, task: Task) -> Job | None:
        _, job = self.running.pop(task.number, (None, None))
        return job

    def _next(self, job: Job) -> None:
        if job.method.get("changes"):
            instance = self.instances[job.tool]
            instance.holder = None
            if instance.waiting:
                self.start(instance.waiting.popleft())


def _named(value: Value, tool: str, method: str) -> Value:
    """A `ToolError` that leaves a tool says whose it is."""
    match value:
        case Err(Struct(fields=(message, kind, "", _)) as error) if error.type.name == "ToolError":
            return Err(Struct(error.type, (message, kind, tool, method)))
        case _:
            return value


def make(m: Machine) -> None:
    """The instances of all tools, each with the state that it begins with."""
    declared = m.document.get("tools", [])
    m.tools = Tools(m.scheduler, [Instance() for _ in declared])
    for instance, tool in zip(m.tools.instances, declared, strict=True):
        if "state" in tool:
            instance.state = m.run(tool["state"], [])


def _refusal(m: Machine, tool: dict[str, Any], method: dict[str, Any]) -> Value:
    name = f"{tool['name']}.{method['name']}"
    message = f"`{name}` has no body, and no host has registered one"
    fields = (message, "not_found", tool["name"], method["name"])
    return Struct(m.builtin_type("ToolError"), fields)


@instruction
def call_tool(m: Machine, d: int, tool: int, method: int, w: int, n: int) -> None:
    task, arguments = m.task, m.window(w, n)
    declared = m.document["tools"][tool]
    wanted = declared["methods"][method]
    if "function" not in wanted:
        m.write(d, Err(_refusal(m, declared, wanted)))
        return

    def done(value: Value) -> None:
        m.scheduler.resume(task, lambda: m.write(d, Ok(value)))

    task.wait = "job"
    m.tools.start(Job(task, tool, wanted, arguments, done))


def serve(
    m: Machine, model: Model, asked: Asked, again: Callable[[], Value | Asked], d: int
) -> None:
    """Runs the calls of an answer, then asks once more, until an answer asks for nothing."""
    task = m.task
    task.wait = "tools"
    open_calls = 0

    def done(_: Value) -> None:
        nonlocal open_calls
        open_calls -= 1
        if open_calls == 0:
            m.scheduler.resume(task, partial(ask))

    def ask() -> None:
        answer = again()
        if isinstance(answer, Asked):
            serve(m, model, answer, again, d)
        else:
            m.write(d, answer)

    jobs = [job for call in asked.calls if (job := _job(m, task, model, call, done))]
    open_calls = len(jobs)
    if not jobs:
        m.scheduler.resume(task, ask)
    first = len(m.scheduler.starts)
    for job in jobs:
        m.tools.start(job)
    # What stands last begins first.
    m.scheduler.starts[first:] = reversed(m.scheduler.starts[first:])


def _job(
    m: Machine, task: Task, model: Model, call: tuple[str, Any], done: Callable[[Value], None]
) -> Job | None:
    """The method that is meant, unless the model was not offered it or sends arguments that do not fit: of that it only hears."""
    settings = dict(model.settings)
    declared = m.document["models"][model.index]["fields"].get("tools", [])
    names = [] if "without_tools" in settings else list(declared)
    added = settings.get("tools")
    names += list(added.items) if isinstance(added, Array) else []
    name, _, wanted = call[0].partition(".")
    for number, tool in enumerate(m.document["tools"]):
        for method in tool["methods"]:
            if tool["name"] == name and name in names and method["name"] == wanted:
                if "function" not in method:
                    return None
                try:
                    given = a(Struct, decode(m, method["arguments"], call[1]))
                except TypeError:
                    return None
                return Job(task, number, method, list(given.fields), done, done)
    return None
