"""Pipelines: their stages, what fits what, and calls of them (library reference 7)."""

from __future__ import annotations

from concerto.check import builtins, library
from concerto.check import types as t
from concerto.check.bodies import Body, check_function
from concerto.check.called import CallPipeline
from concerto.check.checked import (
    FunctionInfo,
    Local,
    ParamInfo,
    PipelineInfo,
    PipelineName,
    Raise,
    StageInfo,
)
from concerto.check.checker import Checker
from concerto.check.decorators import read_decorators
from concerto.check.function_decorators import LAYERS, load_layers, read_layers
from concerto.check.types import Type
from concerto.diagnostics.model import Label, did_you_mean
from concerto.syntax import ast

METHODS = ("run", "stages")


def declare_pipeline(checker: Checker, node: ast.Pipeline) -> None:
    """The signature of a pipeline, and whether its stages fit together."""
    from concerto.check.collect import written_type

    read_decorators(checker, node.decorators, frozenset())
    stages: list[StageInfo] = []
    seen: dict[str, ast.Stage] = {}
    for stage in node.stages:
        word = stage.name.text
        if word in seen:
            related = (Label(seen[word].name.span, "declared here first"),)
            message = f"the stage `{word}` is declared twice"
            checker.report("E2004", message, stage.name, related=related)
        seen.setdefault(word, stage)
        stages.append(_stage(checker, stage))
    entry: Type | None = None
    if node.param is not None and node.param.type is not None:
        entry = written_type(checker, node.param.type)
    elif node.param is not None:
        message = f"the input `{node.param.name}` has no type"
        checker.report("E3030", message, node.param, f"write `{node.param.name}: Type`")
        entry = t.UNKNOWN
    result = written_type(checker, node.result) if node.result is not None else None
    first = entry if entry is not None else stages[0].param.type if stages else t.ANY
    last = stages[-1].output if stages else first
    info = PipelineInfo(node.name.text, node, stages, first, result if result is not None else last)
    if not stages:
        message = f"the pipeline `{node.name}` has no stages: it gives its input back"
        checker.report("W4010", message, node.name)
    _check_fit(checker, info, entry, result)
    (info.runner,) = library.load(checker, library.METHODS, "_stage")
    checker.pipelines[info.name] = info


def _stage(checker: Checker, node: ast.Stage) -> StageInfo:
    from concerto.check.collect import written_type

    name = node.name.text
    if node.result is None:
        message = f"the stage `{name}` has no result type"
        checker.report("E4047", message, node.name, f"write `stage {name}(..) -> Type`")
    if len(node.params) != 1 or node.params[0].type is None or node.params[0].default is not None:
        place = (
            node.params[1] if len(node.params) > 1 else node.params[0] if node.params else node.name
        )
        message = f"the stage `{name}` has {len(node.params)} parameters, expected 1"
        if len(node.params) == 1:
            what = "no type" if node.params[0].type is None else "a default"
            message = f"the parameter of the stage `{name}` has {what}"
        checker.report("E4047", message, place, f"write `stage {name}(x: Type) -> Type`")
    result = written_type(checker, node.result) if node.result is not None else t.UNKNOWN
    param = node.params[0] if node.params else None
    type_: Type = t.UNKNOWN
    if param is not None and param.type is not None:
        type_ = written_type(checker, param.type)
    place = param.name if param is not None else node.name
    local = Local(place.text, type_, place.span, bool(param and param.is_mut), is_param=True)
    function = ast.Function(
        span=node.span, name=node.name, type_params=(), params=node.params, result=node.result,
        body=node.body, is_async=True,
    )  # fmt: skip
    own = ParamInfo(place.text, type_, False, None, local)
    others = [ParamInfo(p.name.text, t.UNKNOWN, False, None, _unknown(p)) for p in node.params[1:]]
    info = FunctionInfo(name, [own, *others], result, function, False)
    info.is_stage = True
    found = t.resolve(result)
    output = found.ok if isinstance(found, t.Result) else result
    stage = StageInfo(name, node, own, output, info)
    read_decorators(checker, node.decorators, frozenset(LAYERS))
    layers = read_layers(checker, node.decorators)
    if layers is not None:
        layers.late = Raise("return")
        load_layers(checker, layers)
        info.layers = layers
    return stage


def _unknown(param: ast.Param) -> Local:
    """A parameter that was refused."""
    return Local(param.name.text, t.UNKNOWN, param.name.span, param.is_mut, is_param=True)


def _check_fit(
    checker: Checker, info: PipelineInfo, entry: Type | None, result: Type | None
) -> None:
    """E4048 between stages, E4049 at the ends."""
    for before, after in zip(info.stages, info.stages[1:], strict=False):
        steps = t.assign(before.output, after.param.type)
        if steps is None:
            given, wanted = t.show(before.output), t.show(after.param.type)
            message = (
                f"in `{info.name}`, the stage `{before.name}` gives `{given}`, "
                f"but `{after.name}` takes `{wanted}`"
            )
            help_ = "align the two signatures, or put a stage between them that converts"
            checker.report("E4048", message, after.node.params[0], help_)
        after.steps = steps or ()
    node = info.node
    if info.stages and entry is not None and node.param is not None:
        first = info.stages[0]
        steps = t.assign(entry, first.param.type)
        if steps is None:
            message = (
                f"`{info.name}` takes `{t.show(entry)}`, but its first stage `{first.name}` takes "
                f"`{t.show(first.param.type)}`"
            )
            checker.report("E4049", message, node.param, "give both the same type")
        first.steps = steps or ()
    if result is not None and node.result is not None:
        last = info.stages[-1].output if info.stages else info.input
        steps = t.assign(last, result)
        if steps is None:
            who = f"its last stage `{info.stages[-1].name}`" if info.stages else "its input"
            message = f"`{info.name}` gives `{t.show(result)}`, but {who} gives `{t.show(last)}`"
            checker.report("E4049", message, node.result, "give both the same type")
        info.steps = steps or ()


def check_pipelines(checker: Checker) -> None:
    """The bodies of all stages."""
    for pipeline in checker.pipelines.values():
        for stage in pipeline.stages:
            assert stage.function.node is not None
            check_function(checker, stage.function, stage.function.node)


def pipeline_method(
    body: Body, node: ast.Call, object_: ast.Expr, name: ast.Name, of: t.Pipeline
) -> Type:
    """The type of `P.run(x)` and `P.stages()`."""
    from concerto.check.calls import check_all
    from concerto.check.exprs import check_expr

    checker = body.checker
    if name.text not in METHODS:
        check_all(body, node)
        help_ = did_you_mean(name.text, list(METHODS)) or "call it: `.run(..)`"
        checker.report("E3011", f"a pipeline has no method `{name}`", name, help_)
        return t.UNKNOWN
    wanted = 1 if name.text == "run" else 0
    named = [arg.name for arg in node.args if arg.name is not None]
    if len(node.args) != wanted or named:
        message = f"`{name}` takes {wanted} argument{'s' * (wanted != 1)}, found {len(node.args)}"
        if named and len(node.args) == wanted:
            message = f"`{name}` has no named parameters"
        checker.report("E3032", message, named[0] if named else node)
        check_all(body, node)
        return t.UNKNOWN
    target = checker.facts.names.get(id(object_))
    info = target.pipeline if isinstance(target, PipelineName) else None
    value = node.args[0].value if wanted else None
    checker.facts.calls[id(node)] = CallPipeline(name.text, info, object_, value)
    if value is None:
        return t.Array(t.STRING)
    check_expr(body, value, of.input)
    return t.Result(of.output, builtins.PIPELINE_ERROR)
