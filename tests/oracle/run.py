"""One program, run by the VM and by the oracle, as outcomes that can be compared."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import concerto
from concerto.check.checker import check
from concerto.check.found import Finder, no_files
from concerto.cli.display import display
from concerto.diagnostics.render import render
from concerto.execution import Emit
from concerto.garbage import collector_paused
from concerto.lower import functions
from concerto.lower.encode import encode
from concerto.lower.program import lower
from concerto.program import Program
from concerto.source import Source
from concerto.syntax.parser import parse
from concerto.testing import run_test

from tests.oracle.asks import listen
from tests.oracle.machine import Broken, Ended, Failed, Machine, Panicked
from tests.oracle.testing import WorldOfTest
from tests.oracle.tools import make
from tests.oracle.values import Err, Ok, Value, to_host
from tests.oracle.values import display as written
from tests.oracle.world import ENVIRONMENT, ScriptedWorld


@dataclass(slots=True)
class Outcome:
    """All that a host sees, as text: so that 1, 1.0 and true differ and NaN equals itself."""

    emits: list[str] = field(default_factory=list)
    printed: str = ""
    end: str = ""
    #: Points that a test reached, if it was compiled to tell.
    covered: tuple[int, ...] = ()
    #: The emits as the command line shows them; of the VM alone.
    shown: list[str] = field(default_factory=list, compare=False)


def run_by_vm(program: Program, entry: str | None) -> Outcome:
    outcome = Outcome()
    printed: list[str] = []

    def on_emit(emit: Emit) -> None:
        outcome.emits.append(f"{emit.channel}: {emit.payload!r}")
        outcome.shown.append(f"{emit.channel} {display(emit.payload)}".replace("\n", "\\n"))

    runtime = concerto.Runtime(
        program,
        mock=True,
        program_log_level="error",
        log_level="error",
        env=ENVIRONMENT,
        env_allow=list(ENVIRONMENT),
        clock=concerto.VirtualClock(),
    )
    listen(runtime)
    try:
        result = runtime.observe(entry, {}, on_emit, printed.append)
        outcome.end = f"returned {result!r}"
    except concerto.PanicError as panic:
        frame = panic.trace[0]
        message = str(panic).removeprefix(f"{panic.kind}: ")
        outcome.end = f"panicked {panic.kind} in {frame.function}, line {frame.line}: {message}"
    except concerto.ProgramError as error:
        at = [f"in {frame.function}, line {frame.line}" for frame in error.trace]
        where = at[0] if at else "in the result"
        outcome.end = f"failed {where}: {error.value!r}: {error}"
    outcome.printed = "".join(printed)
    return outcome


def run_by_oracle(
    document: dict[str, Any], entry: str | None, executed: Counter[str] | None = None
) -> Outcome:
    world = ScriptedWorld()
    machine = Machine(document, world)
    world.machine = machine
    outcome = Outcome()
    try:
        result: Value = None
        make(machine)
        for function in _functions(document, entry):
            result = machine.run(function, [])
        machine.scheduler.finish()
        outcome.end = _returned(result)
    except Panicked as end:
        outcome.end = f"panicked {end.kind} in {end.function}, line {end.line}: {end.message}"
    except Failed as end:
        outcome.end = f"failed in {end.function}, line {end.line}: {to_host(end.error, whole_errors=True)!r}: {written(end.error)}"
    except Broken as end:
        raise AssertionError(f"the compiler promised otherwise: {end}") from end
    except Ended:
        raise
    outcome.emits = [f"{channel}: {payload!r}" for channel, payload in world.emits]
    outcome.printed = "".join(world.printed)
    if executed is not None:
        executed.update(machine.executed)
    return outcome


def run_test_by_vm(program: Program, index: int) -> Outcome:
    report = run_test(program, index, env=ENVIRONMENT)
    emits = [f"{channel}: {payload!r}" for channel, payload in report.emits]
    outcome = Outcome(emits, report.printed, "passed", report.covered)
    if report.failure is not None:
        lines = [f"in {frame.function}, line {frame.line}: " for frame in report.failure.trace[:1]]
        outcome.end = "".join(lines) + report.failure.message
    return outcome


def run_test_by_oracle(
    document: dict[str, Any], index: int, executed: Counter[str] | None = None
) -> Outcome:
    """Of a test that is not to fail."""
    world = WorldOfTest()
    world.machine = machine = Machine(document, world)
    end = "passed"
    try:
        make(machine)
        machine.run(document["tests"][index]["function"], [])
    except Panicked as panicked:
        kind = "" if panicked.kind == "Assertion" else f"{panicked.kind}: "
        end = f"in {panicked.function}, line {panicked.line}: {kind}{panicked.message}"
    except Failed as failed:
        end = f"in {failed.function}, line {failed.line}: {written(failed.error)}"
    if executed is not None:
        executed.update(machine.executed)
    emits = [f"{channel}: {payload!r}" for channel, payload in world.emits]
    return Outcome(emits, "".join(world.printed), end, tuple(sorted(machine.covered)))


def _functions(document: dict[str, Any], entry: str | None) -> list[int]:
    """What is called: the top-level statements and `main`, or a function by name."""
    where = document["entry"]
    if entry is None:
        return [where[key] for key in ("top", "main") if where[key] is not None]
    return [export["function"] for export in where["exports"] if export["name"] == entry]


def _returned(result: Value) -> str:
    match result:
        case Ok(inner):
            return f"returned {to_host(inner)!r}"
        case Err(error):
            return f"failed in the result: {to_host(error, whole_errors=True)!r}: {written(error)}"
        case _:
            return f"returned {to_host(result)!r}"


@collector_paused()
def compiled(text: str, find: Finder = no_files) -> tuple[Program, dict[str, Any]]:
    """A program for the VM, and its document for the oracle: there without moved last uses, so that the two also compare what the compiler does to
    spare copies. `find` looks for the files of its modules.
    """
    source = Source("<text>", text)
    module, mistakes = parse(source)
    checked, found = check(source, module, find=find)
    errors = [diagnostic for diagnostic in (*mistakes, *found) if diagnostic.is_error]
    assert not errors, render(errors)
    program = Program.from_bytes(encode(lower(checked, "test", embed_source=False)))
    with patch.object(functions, "move_last_uses", lambda code: None):
        document: dict[str, Any] = json.loads(encode(lower(checked, "test", embed_source=False)))
    return program, document
