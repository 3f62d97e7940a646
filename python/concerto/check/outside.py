"""Declarations of what a program uses from outside: `mcp` and `agent` blocks (rules MC-1, MC-2, AG-1).

The declarations are checked; what uses them cannot be compiled yet, and says so at its place.
"""

from __future__ import annotations

from typing import Any

from concerto.check import types as t
from concerto.check.checker import Checker
from concerto.check.fields import Block, object_entries
from concerto.check.functions import signature
from concerto.check.offered import check_offered
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast

#: What the blocks are called in messages.
KINDS = {ast.Tool: "a tool", ast.Mcp: "an MCP server", ast.Agent: "an agent"}
_CODES = {"duplicate": "E4004", "unknown": "E4055", "type": "E4056", "range": "E4056"}
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
        case ast.Mcp():
            _mcp(checker, item)
        case ast.Agent():
            _agent(checker, item)
        case _:
            pass


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
        function = signature(checker, method, f"{node.name}::{method.name}", self_type=t.UNKNOWN)
        check_offered(checker, function, is_offered=True)


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
