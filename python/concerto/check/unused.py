"""W2001 for private declarations and methods that nothing in the program names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from concerto.check.checker import Checker
from concerto.check.tools import HOOK
from concerto.syntax import ast
from concerto.syntax.walk import children

#: What each kind is called. Connections and models are settings that a program may offer before it needs them.
_KINDS: dict[type[ast.Node], str] = {
    ast.Function: "function",
    ast.Const: "constant",
    ast.Struct: "struct",
    ast.Schema: "schema",
    ast.Enum: "enum",
    ast.TypeAlias: "type",
    ast.Trait: "trait",
    ast.Pipeline: "pipeline",
    ast.Store: "store",
}


@dataclass
class _Unit:
    """A part of the program whose words are looked at together."""

    name: ast.Name | None
    roots: list[ast.Node]
    words: set[str] = field(default_factory=set)
    owner: str | None = None
    """Of a method and of the head of an `impl`: the type it belongs to."""

    def __post_init__(self) -> None:
        for root in self.roots:
            _add_words(root, self.words)


def check_unused_items(checker: Checker) -> None:
    """Reports each of them. A program in which nothing begins, which cannot be run, is left alone."""
    items = checker.module.items
    if not any(_begins(item) for item in items):
        return
    units = [unit for item in items for unit in _units(item)]
    users: dict[str, list[_Unit]] = defaultdict(list)
    for unit in units:
        for word in unit.words:
            users[word].append(unit)
    for item in items:
        name, kind = getattr(item, "name", None), _KINDS.get(type(item))
        if kind is not None and name is not None and not _begins(item):
            others = [u for u in users[name.text] if u.name is not name and u.owner != name.text]
            _report(checker, kind, name, others)
        if isinstance(item, ast.Impl) and item.trait is None:
            for method in item.methods:
                if not method.is_pub and method.name.text != HOOK:
                    callers = [u for u in users[f".{method.name}"] if u.name is not method.name]
                    _report(checker, "method", method.name, callers)


def _report(checker: Checker, kind: str, name: ast.Name, users: list[_Unit]) -> None:
    short = name.text.rpartition("::")[2]
    if users or short.startswith("_") or name.text in checker.refused:
        return
    help_ = f"remove it, name it `_{short}`, or write `pub` before it if others use it"
    checker.report("W2001", f"the {kind} `{short}` is never used", name, help_)


def _begins(item: ast.Declaration | ast.Statement) -> bool:
    """Whether a run, a test, a host or another module may begin here."""
    if not isinstance(item, ast.Declaration):
        return True
    is_test = any(decorator.name.text == "test" for decorator in item.decorators)
    is_main = isinstance(item, ast.Function) and item.name.text == "main"
    return is_test or is_main or (item.is_pub and type(item) in _KINDS)


def _units(item: ast.Declaration | ast.Statement) -> Iterator[_Unit]:
    if not isinstance(item, ast.Impl):
        yield _Unit(getattr(item, "name", None), [item])
        return
    owner = str(item.type.path) if isinstance(item.type, ast.NamedType) else None
    head = [item.trait] if item.trait else []
    yield _Unit(None, [*item.type_params, *head], owner=owner)
    for method in item.methods:
        yield _Unit(method.name, [method], owner=owner)


def _add_words(root: ast.Node, words: set[str]) -> None:
    """Adds what a part names: paths and what they lead through, and members as `.name`."""
    pending = [root]
    while pending:
        node = pending.pop()
        match node:
            case ast.Name():
                pass
            case ast.Path(names=(name,)):
                words.add(name.text)
                words.add(f".{name.text}")
            case ast.Path():
                names = [name.text for name in node.names]
                words.update("::".join(names[: n + 1]) for n in range(len(names)))
                words.add(f".{names[-1]}")
            case ast.FieldAccess():
                words.add(f".{node.name.text}")
                pending.append(node.object)
            case ast.Mock():
                words.add(node.name.text)
                pending += children(node)
            case _:
                pending += children(node)
