"""Variants of enums by their paths."""

from __future__ import annotations

from concerto.check import methods
from concerto.check import types as t
from concerto.check.checked import FieldInfo
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.diagnostics.model import did_you_mean
from concerto.records import record
from concerto.syntax import ast


@record()
class Variant:
    """A variant of an enum type."""

    type: t.Enum
    number: int
    name: str
    form: str
    fields: list[FieldInfo]


def find_variant(checker: Checker, path: ast.Path, wanted: Type | None = None) -> Variant | None:
    """The variant that `E::V` means; type arguments are those of the wanted type if that is of the enum, else open."""
    if len(path.names) != 2:
        return None
    type_ = methods.named_type(checker, path.names[0].text)
    if not isinstance(type_, t.Enum):
        return None
    type_ = _wanted(type_, wanted) or type_
    enum, word = checker.enums[type_.name], path.names[1].text
    for number, variant in enumerate(enum.variants):
        if variant.name == word:
            fields = enum.fields_of(number, type_)
            return Variant(type_, number, word, variant.form, fields)
    return None


def _wanted(enum: t.Enum, wanted: Type | None) -> t.Enum | None:
    wanted = t.resolve(wanted) if wanted is not None else None
    if isinstance(wanted, t.Option):
        wanted = t.resolve(wanted.item)
    for type_ in wanted.members if isinstance(wanted, t.Union) else (wanted,):
        if isinstance(type_, t.Enum) and type_.name == enum.name:
            return type_
    return None


def unknown_variant(checker: Checker, path: ast.Path) -> None:
    """E2001 or E2002 for a path that names no variant."""
    first, word = path.names[0].text, path.names[-1].text
    type_ = methods.named_type(checker, first)
    if word in checker.refused:
        return  # it stands in what could not be read
    if isinstance(type_, t.Enum):
        names = [variant.name for variant in checker.enums[type_.name].variants]
        message = f"`{type_.name}` has no variant `{word}`"
        checker.report("E2001", message, path.names[-1], did_you_mean(word, names))
    elif type_ is not None:
        checker.report("E2001", f"`{first}` is no enum", path)
    elif first not in checker.refused:
        help_ = checker.hint(first, list(checker.enums), path)
        checker.report("E2002", f"there is no type `{first}`", path, help_)


def variant_help(checker: Checker, word: str) -> str | None:
    """The help line for the name of a variant without that of its enum."""
    for enum in checker.enums.values():
        if any(variant.name == word for variant in enum.variants):
            return f"write `{enum.name}::{word}`"
    return None
