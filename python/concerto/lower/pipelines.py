"""Pipelines to code: a function that runs the stages in order, tells of each, and turns the first failure into a `PipelineError`.

A stage is a hidden function of its input and the number of the run; it gives `Ok` of its value, or `Err`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concerto.check import types as t
from concerto.check.called import CallPipeline
from concerto.check.checked import PipelineInfo, StageInfo
from concerto.lower.functions import Builder, Label, finish_function
from concerto.lower.ir import Function
from concerto.lower.layers import Around
from concerto.syntax import ast

if TYPE_CHECKING:
    from concerto.lower.program import Tables


def lower_pipeline(tables: Tables, info: PipelineInfo) -> Function:
    """The function that a call of `run` calls."""
    from concerto.lower.exprs import convert

    builder = Builder(tables)
    given = builder.temporary()
    value, run = builder.temporary(), builder.temporary()
    builder.emit("copy", value, given)
    parts = builder.temporary(3)
    builder.emit("const", parts, tables.constant(info.name))
    builder.emit("int", parts + 1, len(info.stages))
    builder.emit("copy", parts + 2, given)
    builder.emit("effect", run, "pipeline.start", parts, 3, at=info.node.name)
    for index, stage in enumerate(info.stages):
        convert(builder, stage.steps, stage.param.type, value, stage.node.params[0])
        _run_stage(builder, info, stage, index, value, run)
    convert(builder, info.steps, info.output, value, info.node.result or info.node.name)
    builder.emit("copy", parts, run)
    builder.emit("effect", parts, "pipeline.complete", parts, 1, at=info.node.name)
    builder.emit("ok", value, value)
    builder.emit("return", value)
    params = [{"name": "input", "type": tables.type(info.input), "default": None}]
    return finish_function(builder, info.name, info.node.span, False, info.node.doc, params, t.ANY)


def _run_stage(
    builder: Builder, info: PipelineInfo, stage: StageInfo, index: int, value: int, run: int
) -> None:
    """Puts the value of a stage in the place of its input."""
    tables = builder.tables
    kept = builder.next
    around = StageLayers(tables, info, stage, index)
    around.build()
    captured = builder.temporary(2)
    builder.emit("copy", captured, value)
    builder.emit("copy", captured + 1, run)
    function, pair = builder.temporary(), builder.temporary()
    builder.emit("closure", function, around.inside, captured, 2)
    builder.emit("call_value", pair, function, builder.next, 0, at=stage.node.name)
    failed, done = Label(), Label()
    outcome = builder.temporary()
    builder.emit("tuple_field", outcome, pair, 0)
    builder.emit("unwrap_or_jump", value, outcome, failed)
    builder.emit("jump", done)
    builder.place(failed)
    error = builder.temporary(4)
    builder.emit("const", error, tables.constant(info.name))
    builder.emit("const", error + 1, tables.constant(stage.name))
    builder.emit("tuple_field", error + 2, pair, 1)
    builder.emit("payload", error + 3, outcome)
    told = builder.temporary(3)
    builder.emit("copy", told, run)
    builder.emit("const", told + 1, tables.constant(stage.name))
    builder.emit("copy", told + 2, error + 3)
    builder.emit("effect", told, "pipeline.error", told, 3, at=stage.node.name)
    builder.emit("native", outcome, "pipeline.failed", error, 4)
    builder.emit("err", outcome, outcome)
    builder.emit("return", outcome)
    builder.place(done)
    builder.next = kept


#: What the code here asks of the world, besides what the library asks.
EFFECTS = ("pipeline.start", "pipeline.error", "pipeline.complete", "pipeline.attempt")


class StageLayers(Around):
    """Around a stage: its attempts, which are told, besides what its decorators say."""

    def __init__(self, tables: Tables, info: PipelineInfo, stage: StageInfo, index: int) -> None:
        from concerto.check.checked import Layers

        own = stage.function.layers or Layers()
        super().__init__(tables, stage.name, 2, own, stage.node.span, _lower_body(tables, stage))
        self.pipeline, self.stage, self.index = info, stage, index

    def build(self) -> None:
        """In the order of those of functions; attempts are always counted."""
        layers = self.layers
        if layers.attempt_ms is not None:
            self.limit(layers.attempt_ms)
        self._attempts()
        self.counts = True
        if layers.total_ms is not None:
            self.limit(layers.total_ms)
        if layers.log is not None:
            self.hidden("log", [layers.log, f"{self.pipeline.name}::{self.name}", self.judged])

    def _attempts(self) -> None:
        builder, function = self.begin()
        retry = self.layers.retry
        first = builder.temporary(9)
        builder.emit("copy", first, 1)
        builder.emit("const", first + 1, self.tables.constant(self.name))
        builder.emit("int", first + 2, self.index)
        self.policy(builder, retry, first + 3)
        builder.emit("move", first + 8, function)
        assert self.pipeline.runner is not None
        runner = self.tables.function(self.pipeline.runner)
        pair = builder.temporary()
        builder.emit("call", pair, runner, first, 9, at=self.span)
        builder.emit("return", pair)
        self.finish(builder)

    def attempts_so_far(self, builder: Builder, target: int) -> None:
        """The attempt that the limit has cut off."""
        asked = builder.temporary()
        builder.emit("copy", asked, 1)
        builder.emit("effect", target, "pipeline.attempt", asked, 1, at=self.span)


def _lower_body(tables: Tables, stage: StageInfo) -> int:
    """The body of a stage as a hidden function; its place in the document."""
    from concerto.lower.exprs import lower_into, lower_unused

    place = tables.reserve()
    builder = Builder(tables)
    builder.wraps = not isinstance(t.resolve(stage.function.result), t.Result)
    builder.local(stage.param.local)
    builder.temporary()  # the number of the run
    result = builder.temporary()
    if t.resolve(stage.function.result) == t.NIL:
        lower_unused(builder, stage.node.body)
        builder.emit("nil", result)
    else:
        lower_into(builder, stage.node.body, result)
    builder.give_back(result)
    tables.hidden[place] = finish_function(
        builder, stage.name, stage.node.span, False, None, [], t.ANY
    )
    return tables.first_hidden + place


def lower_pipeline_value(builder: Builder, info: PipelineInfo, target: int) -> None:
    """A pipeline as a value: its name, the names of its stages, and the function that runs it."""
    names = [info.name, *(stage.name for stage in info.stages)]
    first = builder.temporary(len(names))
    for position, name in enumerate(names, first):
        builder.emit("const", position, builder.tables.constant(name))
    run = builder.tables.pipeline(info)
    builder.emit("pipeline", target, run, first, len(names))


def lower_pipeline_call(builder: Builder, node: ast.Call, call: CallPipeline, target: int) -> None:
    """`P.run(x)` and `P.stages()`."""
    from concerto.lower.exprs import lower_into

    if call.method == "stages":
        value = builder.temporary()
        lower_into(builder, call.receiver, value)
        builder.emit("native", target, "pipeline.stages", value, 1)
        return
    assert call.input is not None
    if call.pipeline is not None:
        argument = builder.temporary()
        lower_into(builder, call.input, argument)
        run = builder.tables.pipeline(call.pipeline)
        builder.emit("call", target, run, argument, 1, at=node)
        return
    function, argument = builder.temporary(), builder.temporary()
    lower_into(builder, call.receiver, function)
    builder.emit("native", function, "pipeline.function", function, 1)
    lower_into(builder, call.input, argument)
    first = builder.temporary()
    builder.emit("move", first, argument)
    builder.emit("call_value", target, function, first, 1, at=node)
