"""The rules of `model` blocks on the side of connections (M-1 to M-32 of the connection reference)."""

from __future__ import annotations

from typing import Any

from concerto.check import known_models
from concerto.check.checked import ConnectionInfo, ModelInfo
from concerto.check.checker import Checker
from concerto.check.connections import check_model_id, check_retry
from concerto.check.fields import Block
from concerto.check.memories import check_memory_of_model
from concerto.check.model_decorators import read_model_decorators
from concerto.check.tools import check_tools_of_model
from concerto.diagnostics.model import Label, closest, did_you_mean
from concerto.syntax import ast

_FIELDS = {
    "provider": "name",
    "base": "String",
    "temperature": "Float",
    "max_tokens": "Int",
    "system_prompt": "String",
    "top_p": "Float",
    "stop_sequences": "Array",
    "seed": "Int",
    "timeout": "Int",
    "retry_policy": "an object",
    "memory": "name",
    "tools": "name",
}
_HINTS = {
    "model": "base",
    "system": "system_prompt",
    "stop": "stop_sequences",
    "connection": "provider",
}
#: From this version on, Anthropic takes no sampling fields at all.
_NO_SAMPLING = "2026-10-21"
_CODES = {"duplicate": "E4028", "unknown": "E4027", "type": "E4029", "range": "E4030"}


def check_model(checker: Checker, node: ast.Model) -> None:
    """Checks one block and files it, even with mistakes, so that calls find it."""
    name = node.name.text
    if name in checker.models:
        return
    block = Block(checker, "a model", _CODES, _FIELDS, _HINTS)
    values = block.read(node.fields)
    connection = _provider(checker, node, values)
    tools = check_tools_of_model(checker, values["tools"]) if "tools" in values else []
    if "memory" in values:
        check_memory_of_model(checker, block.given["memory"][0], values["memory"])
    _ranges(checker, block, values)
    fields = {
        k: v for k, v in values.items() if k not in ("provider", "memory", "tools", "retry_policy")
    }
    if tools:
        fields["tools"] = tools
    if "retry_policy" in values:
        fields["retry_policy"] = check_retry(
            checker, block, "retry_policy", values["retry_policy"]["object"]
        )
    policy = block.given["retry_policy"][0].span if "retry_policy" in block.given else None
    read_model_decorators(checker, node, fields, policy)
    checker.models[name] = ModelInfo(name, connection or "", fields, node.name.span)
    if connection:
        _on_connection(checker, node, block, values, connection)


def _provider(checker: Checker, node: ast.Model, values: dict[str, Any]) -> str | None:
    if "provider" not in values:
        named = {field.key.text for field in node.fields}
        if not any(
            _HINTS.get(name, name) == "provider" or closest(name, ["provider"]) for name in named
        ):
            checker.report(
                "E4024",
                f"the model `{node.name}` has no provider",
                node.name,
                "add `provider:` with the name of a connection",
            )
        return None
    value = values["provider"]
    if isinstance(value, ast.Literal) and isinstance(value.value, str):
        checker.report(
            "E4025",
            "`provider` is a name, not a string",
            value,
            f"drop the quotes: `provider: {value.value}`",
        )
        return None
    if not isinstance(value, ast.PathExpr):
        checker.report("E4029", "`provider` must be the name of a connection", value)
        return None
    name = str(value.path)
    if name not in checker.connections:
        declared = list(checker.connections)
        help_ = did_you_mean(name, declared)
        if not help_:
            help_ = (
                f"declared: {', '.join(declared)}"
                if declared
                else f"declare it: `connect {name} {{ .. }}`"
            )
        checker.report("E4026", f"no connection is named `{name}`", value, help_)
        return None
    return name


def _ranges(checker: Checker, block: Block, values: dict[str, Any]) -> None:
    block.in_range("temperature", values.get("temperature"), 0.0, 2.0)
    block.in_range("max_tokens", values.get("max_tokens"), 1, 10_000_000)
    block.in_range("timeout", values.get("timeout"), 1, 86_400)
    top_p = values.get("top_p")
    if isinstance(top_p, int | float) and not 0 < top_p <= 1:
        checker.report(
            "E4030", f"`top_p` must be above 0 and at most 1, found {top_p}", block.place("top_p")
        )
    if isinstance(values.get("base"), str):
        check_model_id(checker, block, "base", values["base"])
    stops = values.get("stop_sequences", [])
    if len(stops) > 16 or any(stop == "" for stop in stops):
        checker.report(
            "E4030",
            "`stop_sequences` are at most 16, none of them empty",
            block.place("stop_sequences"),
        )
    if any(not isinstance(stop, str | dict) for stop in stops):
        checker.report(
            "E4029", "`stop_sequences` must be an array of strings", block.place("stop_sequences")
        )


def _on_connection(
    checker: Checker, node: ast.Model, block: Block, values: dict[str, Any], connection: str
) -> None:
    info = checker.connections[connection]
    aliases = {alias: id_ for alias, id_ in info.fields.get("models", [])}
    base = values.get("base", info.fields.get("default_model"))
    if (
        info.kind == "custom"
        and base is None
        and not any(f.key.text == "base" for f in node.fields)
    ):
        help_ = "add `base:` here or `default_model:` to the connection"
        checker.report("E4031", f"the model `{node.name}` has no model id", node.name, help_)
    if info.kind == "openai" and len(values.get("stop_sequences", [])) > 4:
        checker.report(
            "E4030", "openai takes at most 4 `stop_sequences`", block.place("stop_sequences")
        )
    place = block.given["base"][1] if "base" in values else node.name
    id_ = _known_id(base, aliases)
    refused = _refused(info, id_, values)
    for field, why in refused.items():
        checker.report("W4017", why, block.given[field][0], "remove it, or choose another model")
    if info.kind == "anthropic":
        _anthropic(checker, block, values, refused)
    if isinstance(base, str) and "base" in values and base not in aliases:
        close = did_you_mean(base, list(aliases))
        if close and not known_models.is_known(base):
            checker.report("W4009", f"`{base}` is no alias of `{connection}`", place, close)
    old = known_models.aging(id_) if id_ else None
    if old:
        related = (Label(info.span, "on this connection"),)
        instead = f"use `{old.successor}`" if old.successor else None
        checker.report("W4016", f"the model `{id_}` {old}", place, instead, related)


def _known_id(base: object, aliases: dict[str, Any]) -> str | None:
    """The id that a base stands for, if the program says it in writing."""
    seen: set[str] = set()
    while isinstance(base, str) and base in aliases and base not in seen:
        seen.add(base)
        base = aliases[base]
    return base if isinstance(base, str) else None


def _refused(info: ConnectionInfo, id_: str | None, values: dict[str, Any]) -> dict[str, str]:
    """The fields that the model answers with an error, and why (C-51). Elsewhere the same id may be another model."""
    if id_ is None or info.kind not in ("openai", "anthropic", "google"):
        return {}
    rejects = known_models.rejects(id_)
    who = f"the model `{id_}`"
    headers = {name.lower(): value for name, value in info.fields.get("headers", [])}
    version = headers.get("anthropic-version")
    if info.kind == "anthropic" and isinstance(version, str) and version >= _NO_SAMPLING:
        rejects, who = rejects | {"sampling"}, f"version {version} of the protocol"
    found: dict[str, str] = {}
    # The models of OpenAI that refuse these two take their default all the same.
    harmless = (1,) if info.kind == "openai" else ()
    sampling = [field for field in ("temperature", "top_p") if field in values]
    if "sampling" in rejects:
        for field in sampling:
            if values[field] not in harmless:
                found[field] = f"{who} refuses `{field}`"
    elif "temperature_with_top_p" in rejects and len(sampling) == 2:
        found["top_p"] = f"{who} refuses `top_p` together with `temperature`"
    if "stop" in rejects and values.get("stop_sequences"):
        found["stop_sequences"] = f"{who} refuses `stop_sequences`"
    return found


def _anthropic(
    checker: Checker, block: Block, values: dict[str, Any], refused: dict[str, str]
) -> None:
    temperature = values.get("temperature")
    is_high = isinstance(temperature, int | float) and temperature > 1
    if is_high and "temperature" not in refused:
        checker.report(
            "W4006", "anthropic takes temperatures up to 1.0", block.place("temperature")
        )
    if "seed" in values:
        checker.report(
            "W4007", "`seed` has no effect on anthropic", block.given["seed"][0], "remove it"
        )
