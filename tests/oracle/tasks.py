"""Tasks of a run, one of which runs at a time (library reference 6.2): the scheduler, and the instructions on tasks.

Children start at once, the leftmost first, each up to its first suspension; a task whose wait is over goes to the end of the queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.oracle.instructions import a, instruction
from tests.oracle.machine import Frame, Machine, Panicked, broken, panic
from tests.oracle.values import Array, Err, Function, Handle, Map, Ok, Struct, Tuple, Value, display

ALL, RACE, FIRST_OK = 0, 1, 2
CANCELLED = "the task was cancelled"
MOST = 10_000


@dataclass(slots=True, eq=False)
class Task:
    number: int
    frames: list[Frame]
    #: Who gets its value: nobody but the run, a place in a form of another task, or those that wait for a handle.
    form: tuple[Task, int] | None = None
    handle: Handle | None = None
    waiters: list[tuple[Task, Callable[[Handle], None]]] = field(default_factory=list)
    #: What it waits for: its turn, children, or another task.
    wait: Group | Task | str | None = None
    is_alive: bool = True
    value: Value = None
    #: Of a job: the task that waits for it.
    parent: Task | None = None


@dataclass(slots=True, eq=False)
class Group:
    form: int
    is_tuple: bool
    rest: deque[tuple[int, Function, list[Value]]]
    running: list[Task]
    values: list[Value]


@dataclass(slots=True, eq=False)
class Scheduler:
    machine: Machine
    last: int = 0
    #: Tasks that begin, or go on after they have started another one; the next is at the end.
    starts: list[tuple[Task, Callable[[], None] | None]] = field(default_factory=list)
    queue: deque[tuple[Task, Callable[[], None] | None]] = field(default_factory=deque)
    spawned: list[Task] = field(default_factory=list)
    cancelled: list[Task] = field(default_factory=list)

    def start(self, function: int, arguments: list[Value]) -> Task:
        self.last += 1
        callee = self.machine.document["functions"][function]
        missing = callee["registers"] - len(arguments)
        task = Task(self.last, [Frame(callee, [*arguments, *[None] * missing], 0)])
        self.starts.append((task, None))
        return task

    def call(self, function: Function, arguments: list[Value]) -> Task:
        if function.arity != len(arguments):
            broken("wrong number of arguments")
        return self.start(function.index, [*arguments, *function.captures])

    def next(self) -> tuple[Task, Callable[[], None] | None]:
        while True:
            task, action = self.starts.pop() if self.starts else self.queue.popleft()
            if task.is_alive:
                return task, action

    def resume(self, task: Task, action: Callable[[], None] | None) -> None:
        """The task goes on when those before it have had their turn."""
        self.queue.append((task, action))

    def ended(self, task: Task, value: Value) -> None:
        task.is_alive, task.value = False, value
        if task.form:
            self.deliver(*task.form, task, value)
        elif task.parent:
            self.machine.tools.ended(task, value)
        elif task.handle:
            task.handle.state, task.handle.value = "done", value
            for waiter, answer in task.waiters:
                self.resume(waiter, partial(answer, task.handle))

    def deliver(self, parent: Task, index: int, child: Task, value: Value) -> None:
        group = a(Group, parent.wait)
        group.running.remove(child)
        if isinstance(value, Err):
            return self.settle(parent, value)
        inner = a(Ok, value).inner
        if group.form == RACE or (group.form == FIRST_OK and isinstance(inner, Ok)):
            return self.settle(parent, value)
        group.values[index] = a(Err, inner).inner if group.form == FIRST_OK else inner
        if group.rest:
            self.begin(parent, group)
            self._after_siblings(parent)
        elif not group.running:
            values = tuple(group.values)
            whole = Tuple(values) if group.is_tuple else Array(values)
            self.settle(parent, Ok(Err(Array(values)) if group.form == FIRST_OK else whole))
        return None

    def begin(self, parent: Task, group: Group) -> None:
        index, function, arguments = group.rest.popleft()
        child = self.call(function, arguments)
        child.form = (parent, index)
        group.running.append(child)

    def _after_siblings(self, parent: Task) -> None:
        """The task that was started last waits for siblings on its left that have not begun."""
        started = self.starts.pop()
        at = len(self.starts)
        while at > 0 and (form := self.starts[at - 1][0].form) and form[0] is parent:
            at -= 1
        self.starts.insert(at, started)

    def settle(self, parent: Task, answer: Value) -> None:
        for child in a(Group, parent.wait).running:
            self.cancel(child)
        parent.wait = "turn"
        self.resume(parent, lambda: self.machine.write(self.machine.frames[-1].into, answer))

    def cancel(self, task: Task) -> None:
        if not task.is_alive:
            return
        task.is_alive = False
        self.cancelled.append(task)
        if isinstance(task.wait, Group):
            for child in task.wait.running:
                self.cancel(child)
        elif isinstance(task.wait, Task):
            other = task.wait
            other.waiters = [each for each in other.waiters if each[0] is not task]
            if not other.waiters and other.handle and other.handle.number == 0:
                self.cancel(other)
        if task.handle:
            task.handle.state = "cancelled"
            for waiter, answer in task.waiters:
                self.resume(waiter, partial(answer, task.handle))

    def around(self, task: Task) -> list[Task]:
        """A task and those that wait for it."""
        found = [task]
        while True:
            here = found[-1]
            if here.form:
                found.append(here.form[0])
            elif here.parent:
                found.append(here.parent)
            elif here.handle and here.handle.number == 0 and here.waiters:
                found.append(here.waiters[0][0])
            else:
                return found

    def tell_cancelled(self) -> None:
        """Ends the pipelines of tasks that were cancelled."""
        self.machine.pipelines.cut(self.cancelled, "cancelled")
        self.cancelled = []

    def finish(self) -> None:
        """Spawned tasks that failed, and whose value nobody has asked for."""
        for task in sorted(self.spawned, key=lambda task: task.number):
            self.cancel(task)
        self.tell_cancelled()
        for task in sorted(self.spawned, key=lambda task: task.number):
            handle = task.handle
            assert handle is not None
            if handle.state == "done" and isinstance(handle.value, Err) and not handle.is_observed:
                error = display(handle.value.inner)
                record = Map((("task", handle.number), ("error", error)))
                self.machine.world.emit("task:error", record)


def suspends(m: Machine) -> None:
    """The current task goes to the end of the queue."""
    m.task.wait = "turn"
    m.scheduler.resume(m.task, None)


@instruction
def future(m: Machine, d: int, function: int, w: int, n: int) -> None:
    name = m.document["functions"][function]["name"]
    made = Function(function, name, 0, tuple(m.window(w, n)))
    m.write(d, Handle(0, "cold", function=made))


def _join(m: Machine, d: int, group: Group, most: int) -> None:
    count = len(group.rest)
    group.values = [None] * count
    if count == 0:
        if group.form == RACE:
            panic("InvalidArgument", "a race of nothing has no winner")
        m.write(d, Ok(Err(Array(())) if group.form == FIRST_OK else Array(())))
        return
    m.frames[-1].into = d
    m.task.wait = group
    first = len(m.scheduler.starts)
    for _ in range(min(most, count)):
        m.scheduler.begin(m.task, group)
    m.scheduler.starts[first:] = reversed(m.scheduler.starts[first:])


@instruction
def join(m: Machine, d: int, form: int, w: int, n: int) -> None:
    functions: list[tuple[int, Function, list[Value]]] = [
        (at, a(Function, value), []) for at, value in enumerate(m.window(w, n))
    ]
    _join(m, d, Group(form, True, deque(functions), [], []), n)


@instruction
def join_each(m: Machine, d: int, form: int, w: int, n: int) -> None:
    function, items, most = m.window(w, n)
    if a(int, most) < 1:
        panic("InvalidArgument", f"`max` must be at least 1, found {most}")
    each = [(at, a(Function, function), [item]) for at, item in enumerate(a(Array, items).items)]
    _join(m, d, Group(form, False, deque(each), [], []), a(int, most))


@instruction
def spawn(m: Machine, d: int, r: int) -> None:
    function = a(Function, m.take(r))
    handle = Handle(m.scheduler.last + 1, "running")
    m.write(d, handle)
    m.task.wait = "turn"
    m.scheduler.starts.append((m.task, None))
    task = m.scheduler.call(function, [])
    task.handle, handle.task = handle, task
    m.scheduler.spawned.append(task)


def _wait_for(m: Machine, value: Value, answer: Callable[[Handle], None]) -> None:
    handle = a(Handle, value)
    handle.is_observed = True
    if handle.state in ("done", "cancelled"):
        answer(handle)
        return
    if handle.state == "cold":
        assert handle.function is not None
        handle.task = m.scheduler.call(handle.function, [])
        handle.task.handle, handle.state = handle, "running"
    other = handle.task
    assert isinstance(other, Task)
    other.waiters.append((m.task, answer))
    m.task.wait = other


@instruction
def await_(m: Machine, d: int, r: int) -> None:
    value = m.read(r)
    if not isinstance(value, Handle):
        m.write(d, value)
        return

    def answer(handle: Handle) -> None:
        if handle.state == "cancelled":
            raise Panicked("TaskCancelled", CANCELLED)
        m.write(d, handle.value)

    _wait_for(m, value, answer)


@instruction
def await_result(m: Machine, d: int, r: int) -> None:
    def answer(handle: Handle) -> None:
        if handle.state == "cancelled":
            error = Struct(m.builtin_type("TaskError"), (CANCELLED, "cancelled"))
            m.write(d, Err(error))
        else:
            m.write(d, Ok(handle.value))

    _wait_for(m, m.read(r), answer)


@instruction
def cancel(m: Machine, r: int) -> None:
    handle = a(Handle, m.read(r))
    if handle.state == "running":
        assert isinstance(handle.task, Task)
        m.scheduler.cancel(handle.task)
        m.scheduler.tell_cancelled()


@instruction
def fan_out(m: Machine, d: int, w: int, n: int) -> None:
    m.window(w, n)
    m.write(d, 32)
