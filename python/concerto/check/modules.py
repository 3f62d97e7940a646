"""The modules of a program: what each declares and imports, and the files that they stand in (language reference 12).

A module is read when a path first leads to it. Declarations are known to the rest of the check by their full names, such as `shop::Item`; those of the
entry file have no prefix.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from concerto.check import builtins
from concerto.check.files import Files
from concerto.check.follow_ups import Parsed
from concerto.check.found import Finder, Found, no_files
from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax import ast
from concerto.syntax.parser import parse


@dataclass(eq=False, slots=True)
class Item:
    """What a name of a module stands for: a declaration, a module, or by `path` a variant or a part of `std`."""

    name: str
    #: As the rest of the check knows it: the full name of a declaration, then names inside of it.
    path: tuple[str, ...]
    #: `function`, `type`, `constant`, `value`, `module`, `variant`, or `std`.
    kind: str
    is_pub: bool
    home: Module | None
    span: Span
    node: ast.Declaration | None = None
    module: Module | None = None


@dataclass(eq=False, slots=True)
class Import:
    """A name, or all public names, that a `use` brings into a module."""

    path: ast.Path
    name: str
    span: Span
    is_pub: bool
    is_glob: bool
    is_used: bool = False
    is_resolving: bool = False
    is_resolved: bool = False
    item: Item | None = None
    is_refused: bool = False
    """Whether the declaration is wrong in itself, so that nothing more is said about it."""


@dataclass(eq=False, slots=True)
class Module:
    """A file, an inline module, or a folder without a file of its own."""

    path: tuple[str, ...]
    parent: Module | None
    tree: tuple[ast.Declaration | ast.Statement, ...] = ()
    is_inline: bool = False
    start: int = 0
    """Where its file begins in the whole text."""
    block: Span | None = None
    """Of an inline module."""
    items: dict[str, Item] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)
    globs: list[Import] = field(default_factory=list)
    files: dict[str, Item | None] = field(default_factory=dict)
    """Modules inside that were looked for on the disk."""
    lost: frozenset[str] = frozenset()
    """Words in what could not be read."""
    is_broken: bool = False
    """Whether nothing of its file could be read, so that nothing is said about its names."""
    edges: dict[tuple[str, ...], Span] = field(default_factory=dict)
    """Modules that it uses, and where."""
    declared: dict[tuple[str, ...], Span] = field(default_factory=dict)
    """Modules in files of their own that it declares, and where."""

    def encloses(self, at: Span) -> bool:
        """Whether a place in its file belongs to it."""
        return self.block is None or self.block.start <= at.start < self.block.end

    def contains(self, other: Module) -> bool:
        """Whether another module is this one or inside of it."""
        return other.path[: len(self.path)] == self.path

    def full_name(self, name: str, node: ast.Declaration | None = None) -> str:
        """The full name of a declaration. A path of its own tells a type of the entry file from one of the library with its name."""
        if not self.path and hides_library(name, node):
            return f"::{name}"
        return "::".join((*self.path, name))


_TYPES = (ast.Struct, ast.Schema, ast.Enum, ast.TypeAlias, ast.Trait)


def hides_library(name: str, node: ast.Declaration | None) -> bool:
    """Whether a declaration is a type with the name of one of the library (language reference 6.1)."""
    return isinstance(node, _TYPES) and builtins.is_library_type(name)


_KINDS: dict[type[ast.Declaration], str] = {
    ast.Function: "function",
    ast.Struct: "type",
    ast.Schema: "type",
    ast.Enum: "type",
    ast.Trait: "type",
    ast.TypeAlias: "type",
    ast.Const: "constant",
}


class Modules:
    """All modules that were read so far, and what is wrong with them."""

    def __init__(self, source: Source, tree: ast.Module, find: Finder = no_files) -> None:
        self.find = find
        self.files = Files()
        self.files.add(source)
        self.diagnostics: list[Diagnostic] = []
        self.reported: list[tuple[str, str, Span, str | None, tuple[Label, ...]]] = []
        self.root = Module((), None, tree.items, lost=tree.lost)
        self.all: list[Module] = []
        self._declare(self.root)

    def report(
        self,
        code: str,
        message: str,
        span: Span,
        help_: str | None = None,
        related: tuple[Label, ...] = (),
    ) -> None:
        """Notes a diagnostic about the whole text."""
        self.reported.append((code, message, span, help_, related))

    def _declare(self, module: Module) -> None:
        """Files what a module declares."""
        self.all.append(module)
        for node in module.tree:
            match node:
                case ast.Use():
                    self._use(module, node, node.tree, ())
                case ast.Mod():
                    self._mod(module, node)
                case ast.Connect() | ast.Impl() | ast.Statement():
                    pass
                case _:
                    name: ast.Name = node.name  # type: ignore[attr-defined]  # all others have one
                    kind = _KINDS.get(type(node), "value")
                    path = (module.full_name(name.text, node),)
                    span = shifted(name.span, module.start)
                    item = Item(name.text, path, kind, node.is_pub, module, span, node)
                    module.items.setdefault(name.text, item)

    def _use(
        self, module: Module, node: ast.Use, tree: ast.UseTree, prefix: tuple[ast.Name, ...]
    ) -> None:
        names = (*prefix, *tree.path.names)
        if tree.group is not None:
            for inner in tree.group:
                self._use(module, node, inner, names)
            return
        path = ast.Path(span=shifted(tree.path.span, module.start), names=names)
        bound = tree.alias or names[-1]
        span = shifted(bound.span, module.start)
        found = Import(path, bound.text, span, node.is_pub, tree.is_glob)
        found.is_refused = bool(node.decorators)
        if tree.is_glob:
            module.globs.append(found)
        elif bound.text in module.imports:
            first = Label(module.imports[bound.text].span, "imported here first")
            help_ = f"give one of them another name: `as other_{bound}`"
            self.report("E2004", f"`{bound}` is imported twice", span, help_, (first,))
        else:
            module.imports[bound.text] = found

    def _mod(self, module: Module, node: ast.Mod) -> None:
        name = node.name.text
        span = shifted(node.name.span, module.start)
        if name in module.items:
            first = Label(module.items[name].span, "declared here first")
            self.report("E2004", f"`{name}` is declared twice", span, related=(first,))
            return
        inner: Module | None
        if node.items is not None:
            inner = Module(
                (*module.path, name), module, node.items, is_inline=True, start=module.start
            )
            inner.lost, inner.block = module.lost, shifted(node.span, module.start)
        else:
            inner = self._declared_file(module, name, span)
            if inner is not None:
                module.declared[inner.path] = span
        path = (module.full_name(name),)
        item = Item(name, path, "module", node.is_pub, module, span, node, inner)
        module.items[name] = item
        if inner is not None and node.items is not None:
            self._declare(inner)

    def _declared_file(self, module: Module, name: str, span: Span) -> Module | None:
        """The module of a `mod name;`."""
        found = self.find((*module.path, name))
        if not found.sources and not found.diagnostics:
            help_ = f"write it into {' or '.join(f'`{place}`' for place in found.places)}"
            if not found.places:
                help_ = "a program without a folder has no other files: write `mod x { .. }`"
            self.report("E2021", f"there is no file for the module `{name}`", span, help_)
            return None
        return self._read(module, name, found, span)

    def child(self, module: Module, name: str, at: Span) -> Item | None:
        """A module inside of another one that stands in a file, whether it is declared or not."""
        if name not in module.files:
            path = (*module.path, name)
            found = self.find(path)
            module.files[name] = None
            if found.exists:
                inner = self._read(module, name, found, at)
                key = ("::".join(path),)
                module.files[name] = Item(
                    name, key, "module", True, module, Span(inner.start, inner.start), None, inner
                )
        return module.files[name]

    def _read(self, parent: Module, name: str, found: Found, at: Span) -> Module:
        path = (*parent.path, name)
        if len(found.sources) > 1:
            both = " and ".join(f"`{source.path}`" for source in found.sources)
            message = f"the module `{name}` has two files: {both}"
            self.report("E2020", message, at, "remove one of them")
        self.diagnostics.extend(found.diagnostics)
        if not found.sources:
            inner = Module(path, parent, is_broken=bool(found.diagnostics))
            self.all.append(inner)
            return inner
        source = found.sources[0]
        tree, problems = parse(source)
        self.files.modules.append(Parsed(source, tree, tuple(problems)))
        inner = Module(path, parent, tree.items, start=self.files.add(source), lost=tree.lost)
        inner.is_broken = not tree.items and any(problem.is_error for problem in problems)
        self._declare(inner)
        return inner


def shifted(span: Span, start: int) -> Span:
    """A span of a file as one of the whole text."""
    return Span(span.start + start, span.end + start)
