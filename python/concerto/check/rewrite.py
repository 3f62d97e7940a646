"""A module's tree with full names: every path that leads to a declaration is replaced by the one name that the rest of the check knows.

So `use shop::Item as Thing; .. Thing { .. }` becomes `shop::Item { .. }`. Variables hide declarations, so scopes are followed on the way. Spans become
those of the whole text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache
from typing import Any, TypeVar

from concerto.check import builtins
from concerto.check.modules import Item, Module, Modules, shifted
from concerto.check.paths import Missing, explain, resolve
from concerto.check.std_names import is_later
from concerto.source import Span
from concerto.syntax import ast

_N = TypeVar("_N", bound=ast.Node)

#: Nodes whose names end with them.
_SCOPES = (
    ast.Block, ast.Closure, ast.Arm, ast.Function, ast.Struct, ast.Schema, ast.Enum, ast.Trait, ast.Impl,
    ast.TypeAlias, ast.Pipeline, ast.Stage,
)  # fmt: skip
_SETTINGS = (ast.Connect, ast.Model, ast.Agent, ast.Mcp, ast.Mock)
#: Settings whose value is the name of something that is no item: a connection or a word.
_WORDS = ("provider", "connector", "transport")


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


def _fields(node: ast.Node) -> tuple[str, ...]:
    """The names of a node's fields."""
    return _names(type(node))  # type: ignore[arg-type]  # a class is hashable, whatever its values are


class Rewriter:
    """Rewrites the tree of one module."""

    def __init__(self, modules: Modules, module: Module, refused: set[str]) -> None:
        self.modules, self.module, self.refused = modules, module, refused
        #: Variables, then type parameters, innermost scope last.
        self.values: list[set[str]] = [set()]
        self.types: list[set[str]] = [set()]
        self.in_settings = False
        self.known: dict[str, Item | Missing] = {}

    def declaration(self, node: ast.Declaration) -> ast.Declaration:
        """A declaration of the module under its full name."""
        self.values, self.types = [set()], [set()]
        done = self.visit(node)
        name = getattr(done, "name", None)
        if name is None or isinstance(done, ast.Connect):
            return done
        full = self.module.full_name(name.text, node)
        return done if full == name.text else replace(done, name=replace(name, text=full))  # type: ignore[call-arg]  # all that have a name

    def statements(self, nodes: list[ast.Statement]) -> list[ast.Statement]:
        """The top-level statements, which share a scope."""
        self.values, self.types = [set()], [set()]
        return [self.visit(node) for node in nodes]

    def visit(self, node: _N) -> _N:
        """A node with all that is inside."""
        done: Any
        match node:
            case ast.PathExpr(path=path):
                done = self._replaced(node, path=self._path(path, "value"))
            case ast.NamedType(path=path):
                args = self._each(node.args)
                done = self._replaced(node, path=self._path(path, "type"), args=args)
            case ast.StructLiteral(path=path):
                given = self._each(node.fields)
                done = self._replaced(node, path=self._path(path, "type"), fields=given)
            case ast.FieldValue(value=None):
                done = self._shorthand(node)
            case ast.Let():
                value, type_ = self._any(node.value), self._any(node.type)
                done = self._replaced(
                    node, value=value, type=type_, pattern=self.visit(node.pattern)
                )
            case ast.For():
                iterable, parallel = self.visit(node.iterable), self._any(node.parallel)
                with self._scope():
                    pattern, body = self.visit(node.pattern), self.visit(node.body)
                done = self._replaced(
                    node, iterable=iterable, parallel=parallel, pattern=pattern, body=body
                )
            case ast.Catch():
                type_ = self._any(node.type)
                with self._scope():
                    if node.name is not None:
                        self.values[-1].add(node.name.text)
                    body = self.visit(node.body)
                done = self._replaced(node, type=type_, body=body)
            case ast.Param() | ast.LocalConst():
                done = self._generic(node)
                self.values[-1].add(node.name.text)
            case ast.TypeParam():
                self.types[-1].add(node.name.text)
                done = self._generic(node)
            case ast.ConfigField(key=key) if key.text in _WORDS:
                done = self._moved(node)
            case ast.Entry(key=ast.PathExpr()) if self.in_settings:
                done = self._replaced(node, key=self._moved(node.key), value=self.visit(node.value))
            case ast.Pattern() | ast.FieldPattern():
                done = self._pattern(node)
            case _ if isinstance(node, _SETTINGS):
                done = self._settings(node)
            case _ if isinstance(node, _SCOPES):
                with self._scope():
                    done = self._generic(node)
            case _:
                done = self._generic(node)
        found: _N = done
        return found

    @contextmanager
    def _scope(self) -> Iterator[None]:
        self.values.append(set())
        self.types.append(set())
        yield
        self.values.pop()
        self.types.pop()

    def _generic(self, node: _N) -> _N:
        """A node with its parts visited in order."""
        changes = {name: self._any(getattr(node, name)) for name in _fields(node)}
        return self._replaced(node, **changes)

    def _any(self, value: Any) -> Any:
        if isinstance(value, ast.Node):
            return self.visit(value)
        if isinstance(value, Span):
            return self._span(value)
        if isinstance(value, tuple) and value and isinstance(value[0], ast.Node):
            return self._each(value)
        return value

    def _each(self, nodes: tuple[_N, ...]) -> tuple[_N, ...]:
        done = tuple(self.visit(node) for node in nodes)
        return nodes if all(a is b for a, b in zip(nodes, done, strict=True)) else done

    def _span(self, span: Span) -> Span:
        return shifted(span, self.module.start) if self.module.start else span

    def _replaced(self, node: _N, **changes: Any) -> _N:
        """A node with other parts; the node itself if they are the same."""
        changes.setdefault("span", self._span(node.span))
        if all(getattr(node, name) is value for name, value in changes.items()):
            return node
        if self.module.start:
            for name in _fields(node):
                if name not in changes and isinstance(part := getattr(node, name), ast.Node):
                    changes[name] = self._moved(part)
        return replace(node, **changes)

    def _moved(self, node: _N) -> _N:
        """A node as it stands, at its place in the whole text."""
        if not self.module.start:
            return node
        changes: dict[str, Any] = {"span": self._span(node.span)}
        for name in _fields(node):
            value = getattr(node, name)
            if isinstance(value, ast.Node):
                changes[name] = self._moved(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], ast.Node):
                changes[name] = tuple(self._moved(each) for each in value)
        return replace(node, **changes)

    def _settings(self, node: Any) -> Any:
        outside, self.in_settings = self.in_settings, True
        done = self._generic(node)
        self.in_settings = outside
        if isinstance(node, ast.Mock):
            # Its name is that of a model.
            path = self._path(ast.Path(span=node.name.span, names=(node.name,)), "type")
            if len(path.names) == 1:
                done = replace(done, name=path.names[0])
        return done

    def _shorthand(self, node: ast.FieldValue) -> ast.FieldValue:
        """`S { a }` is `S { a: a }`."""
        path = ast.Path(span=node.name.span, names=(node.name,))
        found = self._path(path, "value")
        if str(found) == node.name.text:
            return self._moved(node)
        value = ast.PathExpr(span=found.span, path=found)
        return replace(self._moved(node), value=value)

    def _pattern(self, node: Any) -> Any:
        match node:
            case ast.PathPattern(path=path) if len(path.names) == 1:
                name = path.names[0].text
                found = None if self._is_local(name) else self._find(path)
                if isinstance(found, Item) and found.kind in ("constant", "variant"):
                    return self._replaced(node, path=self._path(path, "value"))
                self.values[-1].add(name)
                return self._moved(node)
            case ast.PathPattern(path=path):
                return self._replaced(node, path=self._path(path, "pattern"))
            case ast.VariantPattern(path=path):
                items = self._each(node.items)
                return self._replaced(node, path=self._path(path, "pattern"), items=items)
            case ast.StructPattern(path=path):
                parts = self._each(node.fields)
                return self._replaced(node, path=self._path(path, "type"), fields=parts)
            case ast.FieldPattern(name=name, pattern=None):
                self.values[-1].add(name.text)
            case ast.BindPattern(name=name) | ast.RestPattern(name=ast.Name() as name):
                self.values[-1].add(name.text)
        return self._generic(node)

    def _is_local(self, name: str) -> bool:
        return any(name in scope for scope in self.values)

    def _find(self, path: ast.Path) -> Item | Missing:
        """What a path means, looked up once for each name that stands alone."""
        if len(path.names) > 1:
            return resolve(self.modules, self.module, self._moved(path))
        name = path.names[0].text
        if name not in self.known:
            self.known[name] = resolve(self.modules, self.module, self._moved(path))
        return self.known[name]

    def _path(self, path: ast.Path, use: str) -> ast.Path:
        """A path with the full name of what it leads to; `use` is `value`, `type` or `pattern`."""
        done = self._full_path(path, use)
        if len(path.names) < 3 or len(done.names) != 3 or done.names[0].text == "std":
            return done
        # `Type::Trait::function`: the trait has a name of its own.
        trait = ast.Path(span=path.names[-2].span, names=(path.names[-2],))
        first, _, last = done.names
        return replace(done, names=(first, *self._full_path(trait, "type").names, last))

    def _full_path(self, path: ast.Path, use: str) -> ast.Path:
        first = path.names[0].text
        alone = len(path.names) == 1
        is_parameter = first == "Self" or any(first in scope for scope in self.types)
        if is_parameter or (alone and use == "value" and self._is_local(first)):
            return self._moved(path)
        found = self._find(path)
        if isinstance(found, Missing):
            return self._missing(path, found, use)
        if found.kind == "module" or (found.kind == "std" and len(found.path) < 3):
            return self._moved(path)
        if found.kind == "std" and is_later(found.path[1]):
            return self._later(path, found.path[1])
        if found.path == tuple(name.text for name in path.names):
            return self._moved(path)
        span = self._span(path.span)
        rest = [self._moved(name) for name in path.names[1:]]
        names = [ast.Name(span=span, text=text) for text in found.path]
        # The places of names that are written here, as those of variants, are kept.
        for at in range(1, min(len(names), len(rest) + 1)):
            if names[-at].text == rest[-at].text:
                names[-at] = rest[-at]
        return ast.Path(span=span, names=tuple(names))

    def _later(self, path: ast.Path, module: str) -> ast.Path:
        """Reports a module of `std` that the language has and this release has not."""
        span, help_ = self._span(path.span), "this release does not have it; see the README"
        self.modules.report("E9001", f"`std::{module}` cannot be compiled yet", span, help_)
        self.refused.add(str(path))
        return ast.Path(span=span, names=(ast.Name(span=span, text=str(path)),))

    def _missing(self, path: ast.Path, missing: Missing, use: str) -> ast.Path:
        """Reports a path that leads nowhere, unless the rest of the check does."""
        moved = self._moved(path)
        first = path.names[0].text
        if missing.is_silent:
            self.refused.add(str(path))
            self.refused.add(first)
            return moved
        built_in = first in builtins.TYPES or first in builtins.GENERIC
        if missing.at == 0 and (len(path.names) == 1 or built_in or not first[0].islower()):
            return moved
        code = "E2002" if use == "type" else "E2001"
        message, place, note, help_ = explain(self.modules, self.module, moved, missing)
        self.modules.report(code, message, place, help_ or note)
        self.refused.add(str(path))
        # One name, so that nobody looks for its parts.
        return ast.Path(span=moved.span, names=(ast.Name(span=moved.span, text=str(path)),))
