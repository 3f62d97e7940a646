"""`@validate`: what a program itself says about values of a schema (rule SC-13).

A validator becomes a hidden function of one parameter. It may compute whatever it likes, but it asks nobody: an answer is judged at once.
"""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body, finish
from concerto.check.called import (
    CallBuiltin,
    CallEffect,
    CallEmit,
    CallFunction,
    CallLibrary,
    CallModel,
    CallPipeline,
    CallStream,
    CallTask,
    CallTool,
    ParseSchema,
)
from concerto.check.checked import FunctionInfo, FunctionName, Local, ParamInfo, StructInfo
from concerto.check.checker import Checker
from concerto.check.generics import scope
from concerto.check.types import Type
from concerto.diagnostics.model import Label
from concerto.syntax import ast
from concerto.syntax.walk import children

#: Functions of the prelude that need the world.
_ASKING = ("env", "print", "println")
_WAITING = (ast.Await, ast.Spawn, ast.Listen)


def check_validators(checker: Checker) -> None:
    """Checks the validators of all schemas and adds them to the functions, behind those of the program."""
    for item in checker.module.items:
        info = checker.structs.get(item.name.text) if isinstance(item, ast.Schema) else None
        if info is None or not isinstance(item, ast.Schema) or info.span != item.name.span:
            continue
        for decorator in item.decorators:
            if decorator.name.text == "validate" and len(decorator.args) == 1:
                with scope(checker, {param.name: param for param in info.type_params}):
                    _validator(checker, info, decorator.args[0].value)


def _validator(checker: Checker, info: StructInfo, node: ast.Expr) -> None:
    schema = t.Struct(info.name, info.origin, info.type_params)
    if not isinstance(node, ast.Closure):
        help_ = f"write `@validate(|x: {info.name}| ..)`"
        checker.report("E3032", "`@validate` takes a closure", node, help_)
        return
    local = _parameter(checker, node, schema)
    if local is None:
        return
    block = node.body
    if not isinstance(block, ast.Block):
        block = ast.Block(span=block.span, statements=(), tail=block)
    name = f"{info.name}@validate{len(info.validators)}"
    function = ast.Function(
        span=node.span,
        name=ast.Name(span=node.span, text=name),
        type_params=(),
        params=(),
        result=None,
        body=block,
        is_async=False,
    )
    param = ParamInfo(local.name, schema, False, None, local)
    own = FunctionInfo(name, [param], t.UNKNOWN, function, False, type_params=info.type_params)
    own.result = _result(checker, node, block, local, own)
    _must_not_ask(checker, block)
    checker.functions[name] = own
    info.validators.append(own)


def _parameter(checker: Checker, node: ast.Closure, schema: t.Struct) -> Local | None:
    from concerto.check.collect import written_type

    if node.is_async:
        checker.report("E3033", "a validator does not wait", node, "remove `async`")
    names = [param.pattern for param in node.params if isinstance(param.pattern, ast.PathPattern)]
    if len(node.params) != 1 or len(names) != 1 or len(names[0].path.names) != 1:
        message = f"a validator has one parameter, a value of `{schema.name}`"
        checker.report("E3032", message, node, f"write `|x: {schema.name}| ..`")
        return None
    param, name = node.params[0], names[0].path.names[0]
    if param.type is not None:
        written = t.resolve(written_type(checker, param.type))
        if written not in (schema, t.UNKNOWN):
            checker.mismatch(schema, written, param.type)
    return Local(name.text, schema, name.span, param.is_mut, is_param=True)


def _result(
    checker: Checker, node: ast.Closure, block: ast.Block, local: Local, own: FunctionInfo
) -> Type:
    """Checks the body; gives its type, which is Bool or a Result whose error is text."""
    from concerto.check.collect import written_type
    from concerto.check.exprs import check_expr

    written = written_type(checker, node.result) if node.result is not None else None
    # Without a written type, `?` and `return` see the more general of the two.
    within = written if written is not None else t.Result(t.ANY, t.STRING)
    body = Body(checker, within, is_entry=False, at_top=False, scopes=[{}])
    body.declare(local)
    body.tail = block.tail
    found = t.settled(check_expr(body, block, written))
    finish(body, block, own)
    result = t.resolve(written if written is not None else found)
    place = node.result or block.tail or block
    match result:
        case t.Simple("Bool" | "?" | "Never"):
            pass
        case t.Result(_, err) if t.assign(err, t.STRING) is not None:
            pass
        case _:
            message = f"a validator gives `Bool` or `Result<_, String>`, found `{t.show(result)}`"
            checker.report("E3001", message, place)
    return result


def _must_not_ask(checker: Checker, block: ast.Block) -> None:
    """E3033."""
    found = _asking(checker, block, set())
    if found is None:
        return
    what, at, way = found
    related = () if at is way else (Label(at.span, "here"),)
    help_ = "a validator only computes: it judges the value that it is given"
    checker.report("E3033", f"a validator cannot {what}", way, help_, related)


def _asking(
    checker: Checker, node: ast.Node, seen: set[str]
) -> tuple[str, ast.Node, ast.Node] | None:
    """What needs the world or waits, where it stands, and the place in `node` that leads to it.

    Calls of function values need no look: what they call is written as a closure or named somewhere on the way here.
    """
    if isinstance(node, _WAITING) or id(node) in checker.facts.forms:
        return "wait", node, node
    followed: FunctionInfo | None = None
    match checker.facts.calls.get(id(node)):
        case CallBuiltin(name) if name in _ASKING:
            return f"use `{name}`", node, node
        case CallEmit():
            return "use `emit`", node, node
        case ParseSchema():
            return "use `parse_schema`", node, node
        case CallModel() | CallStream():
            return "call a model", node, node
        case CallTool():
            return "call a tool", node, node
        case CallTask():
            return "wait", node, node
        case CallPipeline():
            return "run a pipeline", node, node
        case CallEffect():
            return "ask the world", node, node
        case CallLibrary(function=function):
            # Where it stands in the library is nobody's business.
            inner = function.node and function.node.body
            if inner and _asking(checker, inner, seen) is not None:
                return f"use `{function.name}`", node, node
        case CallFunction(function=function) if function.layers:
            return f"call `{function.name}`, which has decorators", node, node
        case CallFunction(function=function):
            followed = function
    match checker.facts.names.get(id(node)):
        case FunctionName(FunctionInfo() as function):
            followed = function
    for each in (followed, *checker.facts.computed.get(id(node), ())):
        if each and each.name not in seen and each.node and each.node.body:
            seen.add(each.name)
            found = _asking(checker, each.node.body, seen)
            if found is not None:
                return found[0], found[1], node
    inside = (_asking(checker, child, seen) for child in children(node))
    return next((found for found in inside if found is not None), None)
