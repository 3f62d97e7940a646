"""Which paths a body can take: uses before assignment (E2012), second assignments (E2006), and values that nobody reads (W2004).

A body becomes a graph of uses and assignments of variables (`graph.py`). What surely and what possibly has a value flows forward through it,
what is still read flows backward; sets of variables are bits of an integer.
"""

from __future__ import annotations

from concerto.check.bodies import Body, related_declaration
from concerto.check.checked import Local
from concerto.check.graph import Graph, Step, graph_of
from concerto.syntax import ast


def check_flow(body: Body, root: ast.Node) -> None:
    """Checks one body, without the closures in it; they are bodies of their own."""
    late = [local for local in body.locals if local.is_late]
    if not late and not any(local.assigned for local in body.locals):
        return
    graph = graph_of(body.checker.facts, root)
    if late:
        _check_assigned(body, graph, late)
    _check_read(body, graph)


def _check_assigned(body: Body, graph: Graph, late: list[Local]) -> None:
    bits = {id(local): 1 << number for number, local in enumerate(late)}
    everything = (1 << len(late)) - 1
    surely = [everything] * len(graph.steps)
    possibly = [0] * len(graph.steps)
    _forward(graph, bits, surely, possibly)
    reachable = graph.reachable()
    reported: set[int] = set()
    for number, step in enumerate(graph.steps):
        bit = bits.get(id(step.local), 0)
        if not bit or not reachable[number] or id(step.local) in reported:
            continue
        assert step.local is not None
        if step.kind == "use" and not surely[number] & bit:
            reported.add(id(step.local))
            _without_value(body, step, step.local, is_sometimes=bool(possibly[number] & bit))
        elif step.kind == "set" and possibly[number] & bit and not step.local.is_mut:
            reported.add(id(step.local))
            message = f"`{step.local.name}` may have its value already: it is immutable"
            help_ = f"declare it with `let mut {step.local.name}`"
            related = related_declaration(step.local)
            body.checker.report("E2006", message, step.node, help_, related)


def _without_value(body: Body, step: Step, local: Local, *, is_sometimes: bool) -> None:
    message, help_ = f"`{local.name}` has no value yet", "assign it first"
    if is_sometimes:
        message, help_ = f"`{local.name}` may have no value here", "assign it on every path"
    body.checker.report("E2012", message, step.node, help_, related_declaration(local))


def _forward(graph: Graph, bits: dict[int, int], surely: list[int], possibly: list[int]) -> None:
    """What has a value before each step."""
    surely[0] = 0
    pending = [0]
    while pending:
        number = pending.pop()
        step = graph.steps[number]
        bit = bits.get(id(step.local), 0)
        sure, possible = surely[number], possibly[number]
        if step.kind == "set":
            sure, possible = sure | bit, possible | bit
        elif step.kind == "declare":
            # Each turn of a loop has a fresh variable.
            sure, possible = sure & ~bit, possible & ~bit
        for following in step.next:
            before = surely[following], possibly[following]
            surely[following] &= sure
            possibly[following] |= possible
            if before != (surely[following], possibly[following]) or following not in graph.seen:
                graph.seen.add(following)
                pending.append(following)


def _check_read(body: Body, graph: Graph) -> None:
    """W2004, for variables that somebody reads at all."""
    wanted = [local for local in body.locals if local.assigned and local.used]
    bits = {id(local): 1 << number for number, local in enumerate(wanted)}
    read = _backward(graph, bits)
    reachable = graph.reachable()
    for number, step in enumerate(graph.steps):
        bit = bits.get(id(step.local), 0)
        if step.kind != "set" or not bit or not step.is_plain or not reachable[number]:
            continue
        if not any(read[following] & bit for following in step.next):
            assert step.local is not None
            message = f"the value assigned to `{step.local.name}` is never read"
            body.checker.report("W2004", message, step.node, "remove the assignment, or read it")


def _backward(graph: Graph, bits: dict[int, int]) -> list[int]:
    """What is read at or behind each step before it gets another value."""
    read = [0] * len(graph.steps)
    before: list[list[int]] = [[] for _ in graph.steps]
    for number, step in enumerate(graph.steps):
        for following in step.next:
            before[following].append(number)
    pending = list(range(len(graph.steps)))
    while pending:
        number = pending.pop()
        step = graph.steps[number]
        bit = bits.get(id(step.local), 0)
        live = 0
        for following in step.next:
            live |= read[following]
        if step.kind == "use":
            live |= bit
        elif step.kind == "set":
            live &= ~bit
        if live != read[number]:
            read[number] = live
            pending += before[number]
    return read
