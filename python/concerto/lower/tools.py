"""Tools to the document: how their state begins, what a model is told of each method, and calls of them from the program."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from concerto.check import types as t
from concerto.check.called import CallTool, CallWithTools
from concerto.check.checked import FieldInfo, ParamInfo, ToolInfo, ToolMethod
from concerto.lower.functions import Builder, Label, finish_function
from concerto.lower.schemas import parameters_schema
from concerto.lower.tries import unwrap
from concerto.syntax import ast

if TYPE_CHECKING:
    from concerto.lower.program import Tables

#: What a provider takes as the name of a function.
_LONGEST_NAME = 64
_KEPT, _HASHED = 55, 8


def tool_entries(tables: Tables) -> list[dict[str, Any]]:
    """All tools as they stand in the document."""
    tools = tables.checked.tools.values()
    names = wire_names([f"{tool.name}.{method}" for tool in tools for method in tool.methods])
    return [_tool(tables, tool, names) for tool in tools]


def wire_names(methods: list[str]) -> dict[str, str]:
    """The name under which a model knows each method: what every provider takes, and no two alike (TL-16)."""
    plain = {method: re.sub(r"[^A-Za-z0-9_-]", "_", method) for method in methods}
    known = list(plain.values())
    return {
        method: name
        if len(name) <= _LONGEST_NAME and known.count(name) == 1
        else _hashed(method, name)
        for method, name in plain.items()
    }


def _hashed(method: str, name: str) -> str:
    digest = hashlib.sha256(method.encode()).hexdigest()
    return f"{name[:_KEPT]}_{digest[:_HASHED]}"


def _tool(tables: Tables, info: ToolInfo, names: dict[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": info.name,
        "methods": [
            _method(tables, info, method, names[f"{info.name}.{method.name}"])
            for method in info.methods.values()
        ],
        "span": tables.place(info.node.name.span),
    }
    return entry | ({"state": _lower_state(tables, info)} if info.state else {})


def _method(tables: Tables, info: ToolInfo, method: ToolMethod, wire: str) -> dict[str, Any]:
    function = method.function
    assert function.node is not None
    fields = [_field(param, method.documented.get(param.name)) for param in method.outside.params]
    computed = [
        [at, tables.function(param.computed)]
        for at, param in enumerate(method.outside.params)
        if param.computed is not None
    ]
    result = t.resolve(function.result)
    entry: dict[str, Any] = {
        "name": method.name,
        "wire": wire,
        "description": f"{info.description.rstrip('.')}. {method.description}",
        "arguments": tables.record(f"{info.name}.{method.name}", fields),
        "parameters": parameters_schema(tables.checked, fields),
        "result": tables.type(result.ok if isinstance(result, t.Result) else result),
        "span": tables.place(function.node.name.span),
    }
    if function.node.body is not None:
        entry["function"] = tables.function(function)
    if computed:
        entry["computed"] = computed
    flags = {
        "fails": isinstance(result, t.Result),
        "takes_self": function.is_method,
        "changes": function.changes,
    }
    return entry | {name: True for name, holds in flags.items() if holds}


def _field(param: ParamInfo, doc: str | None) -> FieldInfo:
    """A parameter as a field of the arguments; one whose default is computed may be absent."""
    type_ = param.type if param.computed is None else t.Option(param.type)
    is_optional = isinstance(t.resolve(type_), t.Option)
    has_default = param.has_default and param.computed is None
    return FieldInfo(
        param.name, type_, is_optional, has_default, param.default, doc=doc, coerce=True
    )


def _lower_state(tables: Tables, info: ToolInfo) -> int:
    """A function that makes the instance of a run."""
    from concerto.lower.exprs import lower_into

    place = tables.reserve()
    builder = Builder(tables)
    first = builder.temporary(len(info.state))
    for register, value in enumerate(info.state.values(), first):
        lower_into(builder, value, register)
    made = builder.temporary()
    builder.emit("struct", made, builder.type(info.type), first, len(info.state))
    builder.emit("return", made)
    tables.hidden[place] = finish_function(
        builder, info.name, info.node.name.span, False, None, [], info.type
    )
    return tables.first_hidden + place


def lower_tool_call(builder: Builder, node: ast.Call, call: CallTool, target: int) -> None:
    """A call on the instance of the run; a refusal is the method's own `Err`, or raised."""
    from concerto.lower.exprs import convert

    tool, method = builder.tables.tool_method(call.tool, call.method)
    first = _arguments(builder, call)
    subject = builder.temporary()
    builder.emit("call_tool", subject, tool, method, first, len(call.args), at=node)
    if call.steps is None:
        assert call.place is not None
        unwrap(builder, subject, target, call.place, node)
        return
    refused, end = Label(), Label()
    builder.emit("unwrap_or_jump", target, subject, refused)
    builder.emit("jump", end)
    builder.place(refused)
    builder.emit("payload", target, subject)
    result = t.resolve(call.method.function.result)
    assert isinstance(result, t.Result)
    convert(builder, call.steps, result.err, target, node)
    builder.emit("err", target, target)
    builder.place(end)


def _arguments(builder: Builder, call: CallTool) -> int:
    """A window of arguments, evaluated as written. Where a default would be computed, `Some` of the argument, or None: the run knows the instance."""
    from concerto.lower.exprs import lower_into
    from concerto.lower.literals import load_constant

    params = call.method.outside.params
    first = builder.temporary(len(params))
    given = [(arg, place) for place, arg in enumerate(call.args, first) if arg is not None]
    for arg, place in sorted(given, key=lambda each: each[0].span.start):
        lower_into(builder, arg, place)
    for place, (written, param) in enumerate(zip(call.args, params, strict=True), first):
        if param.computed is not None and written is not None:
            builder.emit("some", place, place)
        elif param.computed is not None:
            builder.emit("none", place)
        elif written is None:
            load_constant(builder, param.default, param.type, place)
    return first


def lower_with_tools(builder: Builder, call: CallWithTools, target: int) -> None:
    """The builder with tools by their names. A value that may be anything is handed on in `Some`, which its call refuses."""
    from concerto.lower.exprs import lower_into

    parts = builder.temporary(2)
    lower_into(builder, call.model, parts)
    if call.tools is None:
        lower_into(builder, call.value, parts + 1)
        builder.emit("some", parts + 1, parts + 1)
    else:
        names = builder.temporary(len(call.tools))
        for register, name in enumerate(call.tools, names):
            builder.emit("const", register, builder.tables.constant(name))
        builder.emit("array", parts + 1, names, len(call.tools))
    builder.emit("native", target, "model.with_tools", parts, 2)
