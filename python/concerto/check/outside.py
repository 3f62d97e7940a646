"""Declarations of what a program uses from outside or lends to a model: `tool`, `mcp` and `agent` blocks (rules TL-1 to TL-6, MC-1, MC-2, AG-1).

The declarations are checked; what uses them cannot be compiled yet, and says so at its place.
"""

from __future__ import annotations

from typing import Any

from concerto.check import types as t
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.check.decorators import read_decorators, text_argument
from concerto.check.fields import Block, object_entries
from concerto.check.schemas import inexpressible
from concerto.check.types import Type
from concerto.diagnostics.model import Label, did_you_mean
from concerto.syntax import ast

#: What the blocks are called in messages.
KINDS = {ast.Tool: "a tool", ast.Mcp: "an MCP server", ast.Agent: "an agent"}
_CODES = {"duplicate": "E4004", "unknown": "E4055", "type": "E4056", "range": "E4056"}
_METHOD = frozenset(("describe", "param", "retry", "timeout", "log"))
_MCP_FIELDS = {
    "transport": "String",
    "command": "String",
    "args": "Array",
    "url": "String",
    "headers": "an object",
    "env": "an object",
    "timeout": "Int",
    "working_dir": "String",
}
_AGENT_FIELDS = {
    "connector": "name",
    "input_format": "String",
    "output_format": "String",
    "timeout": "Int",
}
_TRANSPORTS = {"stdio": "command", "http": "url", "sse": "url"}
_FORMATS = ("text", "json")
_LONGEST = 86_400


def check_outside(checker: Checker, item: ast.Declaration) -> None:
    """Checks one block."""
    match item:
        case ast.Tool():
            _tool(checker, item)
        case ast.Mcp():
            _mcp(checker, item)
        case ast.Agent():
            _agent(checker, item)
        case _:
            pass


def _tool(checker: Checker, node: ast.Tool) -> None:
    before = len(checker.diagnostics)
    if node.trait is not None:
        checker.not_yet("a tool that implements a trait", node.trait)
    _description(checker, node)
    names: dict[str, ast.Name] = {}
    for method in node.methods:
        if method.name.text in names:
            related = (Label(names[method.name.text].span, "first here"),)
            message = f"the method `{method.name}` is declared twice"
            checker.report("E2004", message, method.name, related=related)
        names.setdefault(method.name.text, method.name)
        _method(checker, method, is_offered=method.is_pub)
    if not any(method.is_pub for method in node.methods):
        message = f"`{node.name}` offers nothing to a model"
        checker.report("W4015", message, node.name, "add a `pub fn`")
    is_sound = not any(each.is_error for each in checker.diagnostics[before:])
    for method in node.methods:
        body = method.body
        if is_sound and body is not None and (body.statements or body.tail is not None):
            checker.not_yet("the body of a method of a tool", method.name)
            return
    for field in node.fields:
        if is_sound and (isinstance(field, ast.ToolState) or field.key.text != "description"):
            checker.not_yet("state of a tool", field)
            return


def _description(checker: Checker, node: ast.Tool) -> None:
    """TL-1."""
    for field in node.fields:
        if isinstance(field, ast.ConfigField) and field.key.text == "description":
            if constant_value(checker, field.value, t.STRING, "E4040") == "":
                checker.report("E4040", "the description of the tool is empty", field.value)
            return
    help_ = 'add `description: ".."`: a model reads it'
    checker.report("E4040", f"the tool `{node.name}` has no description", node.name, help_)


def _method(checker: Checker, node: ast.Function, *, is_offered: bool) -> None:
    """What models are told about a method: its description, its parameters and their types (TL-3 to TL-5)."""
    from concerto.check.collect import written_type

    decorators = read_decorators(checker, node.decorators, _METHOD)
    described = [each for each in decorators if each.name.text == "describe"]
    for each in described:
        text_argument(checker, each)
    if is_offered and not any(each.name.text == "describe" for each in node.decorators):
        help_ = f'write `@describe("..")` before `{node.name}`: a model reads it'
        checker.report("E4041", f"`{node.name}` has no description", node.name, help_)
    params = [param for param in node.params if param.name.text != "self"]
    documented = _documented(checker, decorators, [param.name.text for param in params])
    for param in params:
        if param.type is None:
            message = f"the parameter `{param.name}` has no type"
            checker.report("E3030", message, param, f"write `{param.name}: Type`")
            continue
        _expressible(checker, param.type, written_type(checker, param.type))
        if is_offered and param.name.text not in documented:
            message = f"the parameter `{param.name}` has no `@param`"
            help_ = f'write `@param("{param.name}", "..")`: a model reads it'
            checker.report("W4011", message, param, help_)
    if node.result is not None:
        result = t.resolve(written_type(checker, node.result))
        _expressible(checker, node.result, result.ok if isinstance(result, t.Result) else result)


def _expressible(checker: Checker, node: ast.TypeExpr, type_: Type) -> None:
    bad = inexpressible(checker, type_, into_schemas=True)
    if bad is not None:
        message = f"`{t.show(bad)}` cannot be expressed as JSON Schema"
        checker.report("E4042", message, node, "a model can send and read what JSON can hold")


def _documented(checker: Checker, decorators: list[ast.Decorator], names: list[str]) -> set[str]:
    """The parameters that a `@param` describes."""
    found: dict[str, ast.Decorator] = {}
    for each in decorators:
        if each.name.text != "param":
            continue
        if len(each.args) != 2:
            message = f"`@param` takes 2 arguments, found {len(each.args)}"
            checker.report("E3032", message, each)
            continue
        name, text = (constant_value(checker, arg.value, t.STRING, "E3032") for arg in each.args)
        if name is None or text is None:
            continue
        if name not in names:
            message = f"there is no parameter `{name}`"
            checker.report("E4043", message, each.args[0], did_you_mean(name, names))
        elif name in found:
            related = (Label(found[name].span, "first here"),)
            message = f"`@param` for `{name}` is given twice"
            checker.report("E2019", message, each, related=related)
        found.setdefault(name, each)
    return set(found)


def _mcp(checker: Checker, node: ast.Mcp) -> None:
    block = Block(checker, "an MCP server", _CODES, _MCP_FIELDS, {"cwd": "working_dir"})
    values = block.read(node.fields)
    for field in ("headers", "env"):
        if field in values:
            _texts(checker, values[field]["object"])
    args = values.get("args", [])
    if any(not isinstance(each, str | dict) for each in args):
        checker.report("E4056", "`args` are texts", block.place("args"))
    _transport(checker, node, block, values)
    block.in_range("timeout", values.get("timeout"), 1, _LONGEST)
    for method in node.methods:
        if method.body is not None:
            help_ = "the server has it: end the signature with `;`"
            checker.report("E1017", f"`{method.name}` has a body", method.name, help_)
        for param in method.params:
            if param.name.text == "self":
                message = "a function of an MCP server has no `self`"
                checker.report("E1016", message, param, "leave it out")
        _method(checker, method, is_offered=True)


def _transport(checker: Checker, node: ast.Mcp, block: Block, values: dict[str, Any]) -> None:
    transport = values.get("transport")
    if "transport" not in block.given:
        if not block.is_damaged:
            message = f"`{node.name}` has no transport: the host must configure it"
            checker.report("W4021", message, node.name, 'add `transport: "stdio"` and `command`')
        return
    if not isinstance(transport, str):
        return
    if transport not in _TRANSPORTS:
        known = ", ".join(f'"{each}"' for each in _TRANSPORTS)
        help_ = did_you_mean(transport, list(_TRANSPORTS)) or f"one of {known}"
        message = f'unknown transport "{transport}"'
        checker.report("E4056", message, block.place("transport"), help_)
        return
    needed = _TRANSPORTS[transport]
    if needed not in block.given and not block.is_damaged:
        message = f'the transport "{transport}" needs `{needed}`'
        checker.report("E4056", message, block.place("transport"), f'add `{needed}: ".."`')


def _texts(checker: Checker, node: ast.MapLiteral) -> None:
    from concerto.check.fields import BAD, field_expr, static_type

    for field in object_entries(checker, node):
        value = field_expr(checker, field.value)
        if value is not BAD and static_type(value) != "String":
            message = f"`{field.key}` must be String, found {static_type(value)}"
            checker.report("E4056", message, field.value)


def _agent(checker: Checker, node: ast.Agent) -> None:
    block = Block(checker, "an agent", _CODES, _AGENT_FIELDS, {})
    values = block.read(node.fields)
    connector = values.get("connector")
    match connector:
        case None:
            if "connector" not in block.given and not block.is_damaged:
                help_ = "add `connector:` with the name of a table `[agents.NAME]` of the manifest"
                message = f"the agent `{node.name}` has no connector"
                checker.report("E4045", message, node.name, help_)
        case ast.PathExpr(path=path) if len(path.names) == 1:
            _connector(checker, connector, str(path))
        case ast.Literal(value=str() as name):
            _connector(checker, connector, name)
        case _:
            message = "`connector` is a name of the manifest"
            checker.report("E4056", message, connector)
    for field in ("input_format", "output_format"):
        word = values.get(field)
        if isinstance(word, str) and word not in _FORMATS:
            help_ = did_you_mean(word, list(_FORMATS)) or 'one of "text", "json"'
            checker.report("E4056", f'unknown format "{word}"', block.place(field), help_)
    block.in_range("timeout", values.get("timeout"), 1, _LONGEST)


def _connector(checker: Checker, node: ast.Expr, name: str) -> None:
    message = f"the manifest has no `[agents.{name}]`: the host must configure it"
    checker.report("W4022", message, node)


def check_tools_of_model(checker: Checker, node: ast.Expr) -> None:
    """E4044: what a model lists is a tool or an MCP server."""
    items = node.items if isinstance(node, ast.ArrayLiteral) else (node,)
    names = [name for name, kind in checker.outside.items() if kind != KINDS[ast.Agent]]
    for item in items:
        name = str(item.path) if isinstance(item, ast.PathExpr) else None
        if name not in names and name not in checker.refused:
            shown = f"`{name}`" if name else "this"
            help_ = did_you_mean(name, names) if name else None
            checker.report("E4044", f"{shown} is no tool or MCP server", item, help_)
