"""All modules of a program as one list of declarations with full names, which the rest of the check works on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from concerto.check import builtins
from concerto.check.files import Files
from concerto.check.follow_ups import import_help
from concerto.check.found import Finder, no_files
from concerto.check.modules import Import, Module, Modules, hides_library
from concerto.check.paths import imported_item, is_visible
from concerto.check.rewrite import Rewriter
from concerto.diagnostics.model import Diagnostic, Label, did_you_mean
from concerto.source import Source, Span
from concerto.syntax import ast

_FIRST_NAMES = re.compile(r"(\w+)\s*::")


@dataclass
class Linked:
    """The program as one tree over one text."""

    files: Files
    tree: ast.Module
    #: Names that were reported: using them is no second mistake.
    refused: set[str] = field(default_factory=set)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    #: Functions that the entry file makes public: by the name for hosts, their full name.
    exports: dict[str, str] = field(default_factory=dict)
    modules: Modules | None = None

    def module_at(self, at: Span) -> Module | None:
        """The innermost module that a place belongs to; None in a program without modules."""
        if self.modules is None:
            return None
        start = self.files.starts[self.files.index(at.start)]
        around = [m for m in self.modules.all if m.start == start and m.encloses(at)]
        return max(around, key=lambda module: len(module.path), default=None)

    def may_see(self, home: tuple[str, ...], at: Span) -> bool:
        """Whether what is private to a module may be used at a place."""
        module = self.module_at(at)
        return module is None or module.path[: len(home)] == home

    def hint(self, name: str, candidates: list[str], at: Span) -> str | None:
        """The help line for an unknown name: one to import, or a close one that is visible there."""
        module = self.module_at(at)
        if module is None or self.modules is None:
            return did_you_mean(name, candidates)
        here: dict[str, str] = {}
        for known, item in module.items.items():
            here[item.path[0]] = known
        for known, each in module.imports.items():
            if each.item is not None:
                here["::".join(each.item.path)] = known
        others = {item.path[0] for m in self.modules.all for item in m.items.values()}
        elsewhere = [c for c in candidates if c.endswith(f"::{name}") and c not in here]
        if elsewhere:
            return import_help(elsewhere[0])
        return did_you_mean(
            name, [here.get(c, c) for c in candidates if c in here or c not in others]
        )


def link(source: Source, tree: ast.Module, find: Finder = no_files) -> Linked:
    """Reads the modules that a program uses. A file that uses none is left as it is."""
    if not _has_modules(source, tree):
        files = Files()
        files.add(source)
        return Linked(files, tree)
    modules = Modules(source, tree, find)
    refused: set[str] = set()
    trees: dict[tuple[str, ...], list[ast.Declaration]] = {}
    top: list[ast.Statement] = []
    for module in modules.all:  # grows while it is read
        refused |= module.lost
        _imports(modules, module)
        rewriter = Rewriter(modules, module, refused)
        items = [node for node in module.tree if isinstance(node, ast.Declaration)]
        kept = [node for node in items if not isinstance(node, ast.Use | ast.Mod)]
        trees[module.path] = [rewriter.declaration(node) for node in kept]
        statements = [node for node in module.tree if isinstance(node, ast.Statement)]
        if module is modules.root:
            top = rewriter.statements(statements)
        elif statements and not module.is_inline:
            _misplaced(modules, module, statements[0])
        if module.is_inline:
            _connections(modules, trees[module.path])
        _shadows(modules, module)
        refused |= {name for name, each in module.imports.items() if each.item is None}
    _circles(modules)
    _unused(modules)
    ordered = [node for module in _in_order(modules) for node in trees[module.path]]
    whole = modules.files.whole
    span = Span(0, len(whole.text))
    linked = ast.Module(span=span, items=(*ordered, *top), doc=tree.doc, lost=tree.lost)
    reported = [
        modules.files.located(Diagnostic(code, message, whole, Label(at), related, help_))
        for code, message, at, help_, related in modules.reported
    ]
    return Linked(
        modules.files,
        linked,
        refused,
        [*modules.diagnostics, *reported],
        _exports(modules),
        modules,
    )


def _has_modules(source: Source, tree: ast.Module) -> bool:
    """Whether a file declares, imports or names a module."""
    if any(isinstance(item, ast.Use | ast.Mod) for item in tree.items):
        return True
    names: set[str] = set()
    for item in tree.items:
        name = getattr(item, "name", None)
        if isinstance(item, ast.Declaration) and isinstance(name, ast.Name):
            names.add(name.text)
            if hides_library(name.text, item):
                return True
    known = {*names, *builtins.TYPES, *builtins.GENERIC, "std"}
    return any(word not in known for word in _FIRST_NAMES.findall(source.text))


def _imports(modules: Modules, module: Module) -> None:
    for each in (*module.imports.values(), *module.globs):
        imported_item(modules, module, each)


def _misplaced(modules: Modules, module: Module, node: ast.Statement) -> None:
    message = "a statement outside of the entry file"
    help_ = "put it into a function, or into the file that is run"
    start = module.start
    modules.report("E1019", message, Span(node.span.start + start, node.span.end + start), help_)


def _connections(modules: Modules, nodes: list[ast.Declaration]) -> None:
    """C-1: connections stand in a file, not in a module block."""
    for node in nodes:
        if isinstance(node, ast.Connect):
            message = "a connection is declared at module scope"
            modules.report("E4001", message, node.name.span, "move it out of the module block")


def _shadows(modules: Modules, module: Module) -> None:
    """W2005, where a declaration hides an import."""
    for name, each in module.imports.items():
        item = module.items.get(name)
        if item is not None:
            each.is_used = True
            label = Label(each.span, "imported here")
            help_ = f"import it under another name: `as other_{name}`"
            modules.report("W2005", f"`{name}` hides an import", item.span, help_, (label,))


def _circles(modules: Modules) -> None:
    """E2023, once for each circle. What a module declares may use the module that it stands in, as one written in place does."""
    by_path = {module.path: module for module in modules.all}
    done: set[tuple[str, ...]] = set()

    def follow(module: Module, way: list[Module]) -> None:
        way = [*way, module]
        for path, span in (module.edges | module.declared).items():
            target = by_path[path]
            if target in way:
                circle = way[way.index(target) :]
                if _is_family(circle):
                    continue
                names = [_shown(each) for each in (*circle, target)]
                message = f"the modules form a circle: {' -> '.join(names)}"
                help_ = "move what both need into a third module"
                modules.report("E2023", message, span, help_)
            elif path not in done:
                follow(target, way)
        done.add(module.path)

    for module in modules.all:
        if module.path not in done:
            follow(module, [])


def _is_family(circle: list[Module]) -> bool:
    """Whether a circle is a module with what is inside of it, and closed by a `mod` alone."""
    outermost = min(circle, key=lambda each: len(each.path))
    return all(outermost.contains(each) for each in circle) and any(
        two.path in one.declared and two.path not in one.edges
        for one, two in zip(circle, (*circle[1:], circle[0]), strict=True)
    )


def _shown(module: Module) -> str:
    return "::".join(module.path) or "the entry file"


def _unused(modules: Modules) -> None:
    """W2007. Traits are used by their methods."""
    for module in modules.all:
        for each in (*module.imports.values(), *module.globs):
            if _is_idle(module, each):
                name = f"{each.path}::*" if each.is_glob else each.name
                help_ = "remove it"
                modules.report("W2007", f"the import `{name}` is never used", each.span, help_)


def _is_idle(module: Module, each: Import) -> bool:
    if each.is_used or each.is_pub or each.item is None or each.name.startswith("_"):
        return False
    return each.name not in module.lost and not isinstance(each.item.node, ast.Trait)


def _in_order(modules: Modules) -> list[Module]:
    """Imported modules before those that import them, the entry file last (12.4)."""
    by_path = {module.path: module for module in modules.all}
    ordered: dict[tuple[str, ...], Module] = {}
    seen: set[tuple[str, ...]] = set()

    def place(module: Module) -> None:
        if module.path in seen:
            return
        seen.add(module.path)
        for path in module.edges:
            place(by_path[path])
        ordered[module.path] = module

    for module in (*modules.all[1:], modules.root):
        place(module)
    return list(ordered.values())


def _exports(modules: Modules) -> dict[str, str]:
    """Functions that the entry file re-exports; its own are known by their declaration."""
    found: dict[str, str] = {}
    for name, each in modules.root.imports.items():
        if each.is_pub and each.item is not None and each.item.kind == "function":
            found[name] = each.item.path[0]
    for glob in modules.root.globs:
        inner = glob.item.module if glob.is_pub and glob.item is not None else None
        for name, item in inner.items.items() if inner is not None else ():
            if item.kind == "function" and is_visible(item, modules.root):
                found.setdefault(name, item.path[0])
    return found
