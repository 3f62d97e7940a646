"""Generic schemas: each use with other type arguments is a schema of its own (rule SC-5).

`schema Page<T> { .. }` used as `Page<Hit>` becomes a schema of that name. Its fields are read when all declarations are known, since the arguments may be
declared behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

from concerto.check import types as t
from concerto.check.checked import StructInfo, schema_name
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.syntax import ast

#: Longer names come from a schema that uses itself with ever larger arguments.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Instance:
    """A use whose fields are not read yet."""

    node: ast.Schema
    info: StructInfo
    args: tuple[Type, ...]
    use: ast.NamedType


def declare_generic(checker: Checker, node: ast.Schema) -> None:
    """Files a generic schema under its name."""
    for param in node.type_params:
        if param.bounds:
            checker.not_yet("a bound of a type parameter", param)
    for decorator in node.decorators:
        if decorator.name.text == "validate":
            checker.not_yet("`@validate` on a generic schema", decorator)
    checker.generics.setdefault(node.name.text, node)


def instance(checker: Checker, use: ast.NamedType, args: list[Type]) -> Type:
    """The schema that a use with type arguments means."""
    node = checker.generics[str(use.path)]
    if t.UNKNOWN in args:
        return t.UNKNOWN
    name = f"{node.name.text}<{', '.join(t.show(arg) for arg in args)}>"
    if len(name) > _LONGEST:
        message = f"`{node.name}` contains itself with ever larger type arguments"
        checker.report("E4039", message, use, "use the same arguments inside")
        return t.UNKNOWN
    if name not in checker.structs:
        own = schema_name(name)
        taken = [*checker.structs, *checker.enums, *checker.generics]
        if own in map(schema_name, taken):
            checker.report("E2004", f"the JSON Schema of `{name}` is `{own}`, as another's", use)
        info = StructInfo(name, "schema", [], node.name.span, node.doc)
        checker.structs[name] = info
        checker.instances.append(Instance(node, info, tuple(args), use))
        if checker.is_collected:
            read_instances(checker)
    return t.Struct(name, "schema")


def read_generics(checker: Checker) -> None:
    """Checks generic schemas by themselves, so that mistakes are said once, then reads all uses so far."""
    from concerto.check.schemas import check_fields

    for node in checker.generics.values():
        info = StructInfo(node.name.text, "schema", [], node.name.span, node.doc)
        _read(checker, node, info, (t.UNKNOWN,) * len(node.type_params))
        check_fields(checker, node, info)
    read_instances(checker)
    checker.is_collected = True


def read_instances(checker: Checker) -> None:
    """Reads the fields of the uses that were found; these may use others."""
    from concerto.check.schemas import check_recursion, inexpressible

    new: list[str] = []
    while checker.instances:
        each = checker.instances.pop(0)
        said = {(d.code, d.primary.span) for d in checker.diagnostics}
        before = len(checker.diagnostics)
        _read(checker, each.node, each.info, each.args)
        found = checker.diagnostics[before:]
        checker.diagnostics[before:] = [d for d in found if (d.code, d.primary.span) not in said]
        for arg, written in zip(each.args, each.use.args, strict=True):
            bad = inexpressible(checker, arg)
            if bad is not None:
                message = f"`{t.show(bad)}` cannot be expressed as JSON Schema"
                checker.report("E4035", message, written)
        new.append(each.info.name)
    if checker.is_collected:
        check_recursion(checker, new)


def _read(checker: Checker, node: ast.Schema, info: StructInfo, args: tuple[Type, ...]) -> None:
    from concerto.check.schemas import read_struct

    kept = checker.opaque
    params = [param.name.text for param in node.type_params]
    checker.opaque = dict(zip(params, args, strict=True))
    read_struct(checker, node, info)
    checker.opaque = kept


def written_struct(name: str, expected: Type | None) -> str | None:
    """The schema that a literal or pattern `Name { .. }` means where this type is expected; None if it is no generic schema or cannot be told."""
    wanted = t.resolve(expected) if expected is not None else None
    while isinstance(wanted, t.Option):
        wanted = t.resolve(wanted.item)
    for type_ in wanted.members if isinstance(wanted, t.Union) else (wanted,):
        if isinstance(type_, t.Struct) and type_.name.partition("<")[0] == name:
            return type_.name
    return None
