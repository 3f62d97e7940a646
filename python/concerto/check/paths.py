"""What paths mean: `use` declarations and names with `::` (language reference 12.2 and 12.3).

The first name is looked up in the module, then `std`, then under the source root; each further one in what the names before it mean.
"""

from __future__ import annotations

from concerto.check.follow_ups import import_help
from concerto.check.modules import Import, Item, Module, Modules
from concerto.check.std_names import std_names
from concerto.diagnostics.model import Label, did_you_mean
from concerto.records import record
from concerto.source import Span
from concerto.syntax import ast


@record()
class Missing:
    """A path that leads nowhere: the name that was not found, and the module that was asked for it; None for the first name.

    `is_silent` where the mistake was reported elsewhere.
    """

    at: int
    module: Module | None = None
    is_silent: bool = False


@record()
class Ambiguous:
    """A name that several globs bring."""

    items: tuple[Item, ...]


def resolve(
    modules: Modules, module: Module, path: ast.Path, *, in_use: bool = False
) -> Item | Missing:
    """What a path means in a module. Reports what is private or ambiguous."""
    names = [(name.text, name.span) for name in path.names]
    return _walk(modules, module, names, path.span, in_use=in_use)


def _walk(
    modules: Modules, module: Module, names: list[tuple[str, Span]], span: Span, *, in_use: bool
) -> Item | Missing:
    item = first_name(modules, module, names[0][0], span, in_use=in_use, alone=len(names) == 1)
    if isinstance(item, Missing):
        return item
    for at, (name, _) in enumerate(names[1:], 1):
        match item.kind:
            case "module":
                if item.module is None:
                    return Missing(at, is_silent=True)
                found = _member(modules, item.module, name, module, span)
                if isinstance(found, Missing):
                    return Missing(at, item.module, found.is_silent)
                item = found
            case "std":
                path = (*item.path, name)
                if not _in_std(path):
                    return Missing(at)
                item = Item(name, path, "std", True, None, span)
            case _:
                kind = "variant" if _has_variant(item, name) else "inner"
                item = Item(name, (*item.path, name), kind, item.is_pub, item.home, span, item.node)
    return item


def first_name(
    modules: Modules, module: Module, name: str, at: Span, *, in_use: bool, alone: bool
) -> Item | Missing:
    """The first name of a path. One that stands alone is no module of another file."""
    here: Module | None = module
    while here is not None:
        found = _own(modules, here, name, at, in_use=in_use)
        if found is not None:
            return found
        # What is written around an inline module is visible in it, as around a block.
        here = here.parent if here.is_inline else None
    if in_use or not alone:
        if name == "std":
            return Item(name, ("std",), "std", True, None, at)
        child = modules.child(module, name, at) or modules.child(modules.root, name, at)
        if child is not None:
            return child
    return Missing(0, is_silent=name in module.lost)


def _own(
    modules: Modules, module: Module, name: str, at: Span, *, in_use: bool
) -> Item | Missing | None:
    """A name of one module: its items, then its imports."""
    if name in module.items:
        return module.items[name]
    if in_use:  # imports do not depend on one another
        return None
    if name in module.imports:
        imported = module.imports[name]
        imported.is_used = True
        return imported_item(modules, module, imported) or Missing(0, is_silent=True)
    found = _from_globs(modules, module, name, module, only_public=False)
    if isinstance(found, Ambiguous):
        places = tuple(Label(item.span, "one is here") for item in found.items)
        help_ = f"import it by its name: `use {found.items[0].path[0]};`"
        modules.report("E2009", f"several globs bring the name `{name}`", at, help_, places)
        return Missing(0, is_silent=True)
    return found


def _from_globs(
    modules: Modules, module: Module, name: str, asker: Module, *, only_public: bool
) -> Item | Ambiguous | None:
    found: dict[tuple[str, ...], Item] = {}
    for glob in module.globs:
        if (only_public and not glob.is_pub) or glob.is_resolving:
            continue
        target = imported_item(modules, module, glob)
        if target is None:
            continue
        glob.is_resolving = True
        item = _public(modules, target, name, asker)
        glob.is_resolving = False
        if item is not None:
            glob.is_used = True
            found.setdefault(item.path, item)
    items = tuple(found.values())
    return Ambiguous(items) if len(items) > 1 else items[0] if items else None


def _public(modules: Modules, target: Item, name: str, asker: Module) -> Item | None:
    """What a glob brings under a name: public items of a module, variants of an enum, parts of a module of `std`."""
    if target.kind == "std":
        path = (*target.path, name)
        return Item(name, path, "std", True, None, target.span) if _in_std(path) else None
    if target.module is None:
        if not _has_variant(target, name):
            return None
        path = (*target.path, name)
        return Item(name, path, "variant", True, target.home, target.span, target.node)
    inner = target.module
    item = inner.items.get(name)
    if item is not None:
        return item if is_visible(item, asker) else None
    imported = inner.imports.get(name)
    if imported is not None:
        open_ = imported.is_pub or inner.contains(asker)
        return imported_item(modules, inner, imported) if open_ else None
    found = _from_globs(modules, inner, name, asker, only_public=not inner.contains(asker))
    return found if isinstance(found, Item) else None


def _member(modules: Modules, module: Module, name: str, asker: Module, at: Span) -> Item | Missing:
    """A name inside of a module, as another one sees it."""
    item = module.items.get(name)
    if item is not None:
        if not is_visible(item, asker):
            _private(modules, item, at)
        return item
    imported = module.imports.get(name)
    if imported is not None:
        imported.is_used = True
        found = imported_item(modules, module, imported)
        if found is not None and not imported.is_pub and not module.contains(asker):
            label = Label(imported.span, "imported here without `pub`")
            help_ = "write `pub use` there"
            modules.report("E2008", f"`{name}` is private", at, help_, (label,))
        return found or Missing(0, is_silent=True)
    public = _from_globs(modules, module, name, asker, only_public=not module.contains(asker))
    if isinstance(public, Ambiguous):
        places = tuple(Label(each.span, "one is here") for each in public.items)
        modules.report("E2009", f"several globs bring the name `{name}`", at, None, places)
        return Missing(0, is_silent=True)
    found = public or modules.child(module, name, at)
    return found or Missing(0, module, is_silent=module.is_broken or name in module.lost)


def is_visible(item: Item, asker: Module) -> bool:
    """Whether a module may use an item (12.3)."""
    return item.is_pub or item.home is None or item.home.contains(asker)


def _private(modules: Modules, item: Item, at: Span) -> None:
    label = Label(item.span, "declared here without `pub`")
    help_ = f"write `pub` before the declaration of `{item.name}`"
    modules.report("E2008", f"`{item.path[0]}` is private", at, help_, (label,))


def imported_item(modules: Modules, module: Module, imported: Import) -> Item | None:
    """What an import means; None if it cannot be resolved, which is reported once."""
    if imported.is_resolved or imported.is_resolving or imported.is_refused:
        return imported.item
    imported.is_resolving = True
    found = resolve(modules, module, imported.path, in_use=True)
    imported.is_resolving, imported.is_resolved = False, True
    if isinstance(found, Missing):
        if not found.is_silent:
            message, place, note, help_ = explain(modules, module, imported.path, found)
            modules.report("E2022", message, place, help_ or note)
        elif found.module is module:
            message = f"`{imported.path}` is imported from the module itself"
            modules.report("E2023", message, imported.path.span, "remove the `use`")
    elif imported.is_glob and not _is_open(found):
        message = f"`{imported.path}` has no names to import"
        help_ = "`*` stands behind a module or an enum"
        modules.report("E2022", message, imported.path.span, help_)
    elif found.kind == "inner" and not _has_method(modules, found):
        message = f"`{'::'.join(found.path[:-1])}` has no `{found.name}`"
        names = variants(found.node)
        modules.report("E2022", message, imported.path.span, did_you_mean(found.name, names))
    else:
        imported.item = found
    _edge(module, imported, found)
    return imported.item


def _is_open(item: Item) -> bool:
    if item.kind == "std":
        return len(item.path) == 2
    return item.module is not None or isinstance(item.node, ast.Enum)


def _edge(module: Module, imported: Import, found: Item | Missing) -> None:
    """Notes which module an import makes this one depend on."""
    used = found.module if isinstance(found, Item) and found.module else None
    if used is None:
        used = found.home if isinstance(found, Item) else found.module
    inside = used is not None and used.contains(module) and used.start == module.start
    if used is not None and not inside:
        module.edges.setdefault(used.path, imported.path.span)


def variants(node: ast.Declaration | None) -> list[str]:
    """The variants of an enum; nothing for other declarations."""
    return [variant.name.text for variant in node.variants] if isinstance(node, ast.Enum) else []


def _has_variant(item: Item, name: str) -> bool:
    return item.kind == "type" and name in variants(item.node)


def _has_method(modules: Modules, item: Item) -> bool:
    """Whether some `impl` for a type of this name has the function."""
    wanted = item.path[-2].rpartition("::")[2]
    for module in modules.all:
        for node in module.tree:
            if isinstance(node, ast.Impl) and isinstance(node.type, ast.NamedType):
                same = node.type.path.names[-1].text == wanted
                if same and any(method.name.text == item.name for method in node.methods):
                    return True
    return False


def _in_std(path: tuple[str, ...]) -> bool:
    """Whether `std::json`, `std::json::parse` or something inside of a type of `std` exists."""
    names = std_names().get(path[1], None)
    return names is not None and (len(path) == 2 or path[2] in names)


def explain(
    modules: Modules, module: Module, path: ast.Path, missing: Missing
) -> tuple[str, Span, str, str | None]:
    """Message, place, where it was looked for, and a hint for a path that leads nowhere."""
    name = path.names[missing.at].text
    before = "::".join(each.text for each in path.names[: missing.at])
    if missing.module is not None:
        names = visible_names(missing.module, module)
        message = f"the module `{before}` has no `{name}`"
        note = f"it has: {', '.join(sorted(names)[:8])}" if names else "it is empty"
        return message, path.span, note, did_you_mean(name, names)
    if missing.at:
        first = path.names[0].text
        if first == "std":
            known = sorted(std_names() if missing.at == 1 else std_names()[path.names[1].text])
        else:
            item = module.imports[first].item if first in module.imports else None
            known = sorted(std_names()[item.path[1]]) if item is not None else []
        message = f"`{before}` has no `{name}`"
        help_ = did_you_mean(name, known)
        if name in ("HashMap", "BTreeMap", "Map", "Array", "Vec", "Option"):
            help_ = "`Map`, `Array` and `Option` are always there: remove the import"
        return message, path.span, f"it has: {', '.join(known[:24])}" if known else "", help_
    found = modules.find((name,))
    message = f"there is no module or item `{name}`"
    places = ", ".join(f"`{place}`" for place in ("std", *found.places))
    near = did_you_mean(name, [*module.items, *found.beside, "std"])
    note = f"looked for it in this module, {places}"
    if name in std_names():
        return message, path.span, note, import_help(f"std::{name}")
    return message, path.span, note, f"{near} ({note})" if near else None


def visible_names(module: Module, asker: Module) -> list[str]:
    """The names inside of a module that another one may use."""
    items = [name for name, item in module.items.items() if is_visible(item, asker)]
    inside = module.contains(asker)
    imports = [name for name, each in module.imports.items() if each.is_pub or inside]
    return [*items, *imports]
