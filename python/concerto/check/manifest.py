"""Connections of the manifest: turned into the nodes of `connect` blocks, so that the same rules hold for both (C-17 to C-19)."""

from __future__ import annotations

from typing import Any

from concerto.check.checked import ManifestFacts
from concerto.check.checker import Checker
from concerto.check.connections import check_connection, check_overlay
from concerto.diagnostics.model import did_you_mean
from concerto.source import Located, Span
from concerto.syntax import ast


def check_manifest(checker: Checker, manifest: ManifestFacts) -> None:
    """Files the connections that the manifest declares."""
    with _InManifest(checker, manifest):
        for name, table in manifest.connections.items():
            check_connection(checker, _block(checker, name, table))


def check_overlays(checker: Checker, manifest: ManifestFacts) -> None:
    """Files what profiles lay over connections of the program and of the manifest."""
    with _InManifest(checker, manifest):
        for profile, tables in manifest.overlays.items():
            for name, table in tables.items():
                node = _block(checker, name, table)
                fields = check_overlay(checker, node)
                declared = list(checker.connections)
                if name in checker.connections:
                    checker.connections[name].overlays[profile] = fields
                    continue
                message = f"the profile `{profile}` changes `{name}`, which nothing declares"
                help_ = did_you_mean(name, declared) or f"declared: {', '.join(declared) or 'none'}"
                checker.report("E4061", message, node.name, help_)


class _InManifest:
    """Diagnostics within speak of the manifest's text."""

    def __init__(self, checker: Checker, manifest: ManifestFacts) -> None:
        self.checker, self.manifest, self.program = checker, manifest, checker.source

    def __enter__(self) -> None:
        self.checker.source = self.manifest.source

    def __exit__(self, *_: object) -> None:
        self.checker.source = self.program


def _block(checker: Checker, name: str, table: Located) -> ast.Connect:
    fields = []
    for key, each in table.value.items():
        if key == "api_key":
            message = "a key does not belong into the manifest"
            help_ = 'name a variable that holds it: `api_key_env = "VAR"`'
            checker.report("E4023", message, each.key, help_)
            if "api_key_env" not in table.value:
                # In the place of the refused key, so that it is not missed as well.
                fields.append(_field("api_key", each.key, _env(each.span, "VAR")))
        elif key == "api_key_env":
            variable = _variable(checker, key, each)
            if variable is not None:
                fields.append(_field("api_key", each.key, variable))
        elif (value := _value(checker, key, each)) is not None:
            fields.append(_field(key, each.key, value))
    place = ast.Name(span=_last_part(checker, table.key, name), text=name)
    return ast.Connect(span=table.key, name=place, fields=tuple(fields))


def _last_part(checker: Checker, header: Span, name: str) -> Span:
    """The name in `connections.name`, where it is written like that."""
    written = checker.source.text[header.start : header.end]
    return Span(header.end - len(name), header.end) if written.endswith(name) else header


def _field(name: str, place: Span, value: ast.Expr) -> ast.ConfigField:
    key = ast.Name(span=place, text=name)
    return ast.ConfigField(span=place.to(value.span), key=key, value=value)


def _value(
    checker: Checker, name: str, each: Located, *, in_headers: bool = False
) -> ast.Expr | None:
    """The node of a value; None if it was reported."""
    value: Any = each.value
    if isinstance(value, dict):
        if in_headers and set(value) == {"env"}:
            return _variable(checker, name, value["env"])
        entries = []
        for key, inner in value.items():
            node = _value(checker, key, inner, in_headers=name == "headers")
            if node is not None:
                path = ast.Path(span=inner.key, names=(ast.Name(span=inner.key, text=key),))
                entry_key = ast.PathExpr(span=inner.key, path=path)
                entries.append(ast.Entry(span=inner.key, key=entry_key, value=node))
        return ast.MapLiteral(span=each.span, entries=tuple(entries))
    if isinstance(value, list):
        items = [_value(checker, name, item) for item in value]
        return ast.ArrayLiteral(span=each.span, items=tuple(i for i in items if i is not None))
    if isinstance(value, bool | int | float | str):
        return ast.Literal(span=each.span, value=value)
    checker.report("E4006", f"`{name}` must not be a date or time", each.span)
    return None


def _variable(checker: Checker, name: str, each: Located) -> ast.Expr | None:
    """`env("VAR")`; None if it was reported."""
    if isinstance(each.value, str):
        return _env(each.span, each.value)
    checker.report("E4006", f"`{name}` must be the name of a variable", each.span)
    return None


def _env(span: Span, variable: str) -> ast.Call:
    path = ast.Path(span=span, names=(ast.Name(span=span, text="env"),))
    name = ast.Argument(span=span, name=None, value=ast.Literal(span=span, value=variable))
    callee = ast.PathExpr(span=span, path=path)
    return ast.Call(span=span, callee=callee, type_args=(), args=(name,))
