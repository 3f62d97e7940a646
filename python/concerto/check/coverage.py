"""Whether patterns cover every value, and whether an arm can still match (language reference 9).

Patterns become trees of constructors (`forms.py`); a matrix of them is taken apart column by column, by the constructors that the column's
type has (L. Maranget, "Warnings for pattern matching", 2007). Numbers are split where ranges begin and end, arrays by their length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checked import EnumInfo, StructInfo, struct_info
from concerto.check.forms import ANYTHING, Ctor, Form, Head, Options, array_head
from concerto.check.types import Type
from concerto.records import record

#: More than so many steps are not taken for one `match`: it is then said not to cover everything.
MAX_STEPS = 20_000
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1

Row = tuple[Form, ...]


@record()
class _Case:
    """One constructor of a type: its head, the types of its parts, and how a value of it is written."""

    head: Head
    parts: tuple[Type, ...]
    shown: Callable[[list[str]], str]


def missing_forms(body: Body, rows: list[Form], type_: Type, limit: int = 3) -> list[str]:
    """Up to so many patterns for values that no row takes; empty if all are covered."""
    search = _Search(body)
    try:
        found = search.missing([(row,) for row in rows], (type_,), limit)
    except _TooManyError:
        return ["_"]
    return list(dict.fromkeys(line[0] for line in found))


def can_match(body: Body, rows: list[Form], form: Form, type_: Type) -> bool:
    """Whether some value is taken by a form and by no row before it."""
    try:
        return _Search(body).useful([(row,) for row in rows], (form,), (type_,))
    except _TooManyError:
        return True


class _TooManyError(Exception):
    """The search was given up."""


class _Search:
    def __init__(self, body: Body) -> None:
        self.body = body
        self.steps = 0

    def count(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise _TooManyError

    def missing(self, rows: list[Row], types: tuple[Type, ...], limit: int) -> list[list[str]]:
        """Vectors of patterns that no row takes."""
        self.count()
        if not types:
            return [] if rows else [[]]
        if all(row[0] is ANYTHING for row in rows):
            rest = self.missing([row[1:] for row in rows], types[1:], limit)
            return [["_", *line] for line in rest]
        found: list[list[str]] = []
        for case in self.cases(types[0], [row[0] for row in rows]):
            inside = [line for row in rows for line in _taken(row, case)]
            count = len(case.parts)
            for line in self.missing(inside, case.parts + types[1:], limit - len(found)):
                found.append([case.shown(line[:count]), *line[count:]])
            if len(found) >= limit:
                break
        return found

    def useful(self, rows: list[Row], form: Row, types: tuple[Type, ...]) -> bool:
        """Whether a vector takes something that no row takes."""
        self.count()
        if not types:
            return not rows
        if form[0] is ANYTHING and all(row[0] is ANYTHING for row in rows):
            return self.useful([row[1:] for row in rows], form[1:], types[1:])
        for case in self.cases(types[0], [form[0], *(row[0] for row in rows)]):
            inside = [line for row in rows for line in _taken(row, case)]
            for mine in _taken(form, case):
                if self.useful(inside, mine, case.parts + types[1:]):
                    return True
        return False

    def cases(self, type_: Type, column: list[Form]) -> list[_Case]:
        """The constructors that a column has to be asked for."""
        used = [ctor for form in column for ctor in _constructors(form)]
        type_ = t.resolve(type_)
        if isinstance(type_, t.Union):
            known = [case for member in type_.members for case in self.cases(member, column)]
            # Each open member has a case for the rest of its values.
            return list({case.head: case for case in known}.values())
        return _cases(self.body, type_, used)


def _constructors(form: Form) -> Iterator[Ctor]:
    match form:
        case Ctor():
            yield form
        case Options(forms):
            for each in forms:
                yield from _constructors(each)
        case _:
            return


def _taken(row: Row, case: _Case) -> Iterator[Row]:
    """The rows that are left of a row for values of one constructor."""
    first, rest = row[0], row[1:]
    match first:
        case Options(forms):
            for form in forms:
                yield from _taken((form, *rest), case)
        case Ctor(head, parts):
            inside = _parts_for(head, parts, case.head)
            if inside is not None:
                yield (*inside, *rest)
        case _:
            yield (*(ANYTHING,) * len(case.parts), *rest)


def _parts_for(head: Head, parts: tuple[Form, ...], wanted: Head) -> tuple[Form, ...] | None:
    """The parts of a constructor as parts of the wanted one; None if no value is of both."""
    if head[0] != wanted[0]:
        return None
    match wanted:
        case ("int", int(low), int(high)):
            _, least, most = head
            return () if least <= low and high <= most else None
        case ("array", int(length), _):
            _, before, after = head
            if after is None:
                return parts if before == length and wanted[2] is None else None
            middle = length - before - after
            if middle < 0:
                return None
            return (*parts[:before], *(ANYTHING,) * middle, *parts[before:])
        case _:
            return parts if head == wanted else None


def _cases(body: Body, type_: Type, used: list[Ctor]) -> list[_Case]:
    match type_:
        case t.Simple("Bool"):
            return [_unit(("literal", bool, value)) for value in (True, False)]
        case t.Simple("Nil"):
            return [_unit(("none",), "nil")]
        case t.Simple("Never"):
            return []
        case t.Simple("Int"):
            return _ranges(used)
        case t.Literals(values):
            return [_unit(("literal", str, value)) for value in values]
        case t.Option(item):
            return [_unit(("none",), "None"), _tuple_case(("some",), "Some", (item,))]
        case t.Result(ok, err):
            return [_tuple_case(("ok",), "Ok", (ok,)), _tuple_case(("err",), "Err", (err,))]
        case t.Tuple(items):
            return [_tuple_case(("tuple", len(items)), "", items)]
        case t.Array(item):
            return _lengths(item, used)
        case t.Enum(name) if name in body.checker.enums:
            return _variants(body.checker.enums[name], type_)
        case t.Struct(name, "error") if name in builtins.ERROR_KINDS:
            fields = tuple(builtins.records()[name][1].values())
            return [_kind(name, word, fields) for word in builtins.ERROR_KINDS[name]]
        case t.Struct(name):
            return [_struct_case(name, _field_types(body, type_))]
        case _:
            return _open(used)


def _field_types(body: Body, type_: t.Struct) -> dict[str, Type]:
    if type_.origin in ("record", "error"):
        return builtins.records()[type_.name][1]
    info: StructInfo | None = struct_info(body.checker.structs, type_.name)
    return {field.name: field.type for field in info.fields_of(type_)} if info else {}


def _unit(head: Head, shown: str | None = None) -> _Case:
    if shown is None:
        value = head[2]
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    text = shown
    return _Case(head, (), lambda _: text)


def _tuple_case(head: Head, name: str, parts: tuple[Type, ...]) -> _Case:
    def shown(inside: list[str]) -> str:
        comma = "," if not name and len(inside) == 1 else ""
        return f"{name}({', '.join(inside)}{comma})"

    return _Case(head, parts, shown)


def _struct_case(name: str, fields: dict[str, Type], head: Head | None = None) -> _Case:
    def shown(inside: list[str]) -> str:
        named = [f"{f}: {each}" for f, each in zip(fields, inside, strict=True) if each != "_"]
        return f"{name} {{ {', '.join([*named, '..'])} }}"

    return _Case(head or ("struct", name), tuple(fields.values()), shown)


def _kind(error: str, word: str, fields: tuple[Type, ...]) -> _Case:
    return _Case(("kind", error, word), fields, lambda _: f"{error}::{word} {{ .. }}")


def _variants(enum: EnumInfo, type_: t.Enum) -> list[_Case]:
    found = []
    for number, variant in enumerate(enum.variants):
        head, name = ("variant", enum.name, number), f"{enum.name}::{variant.name}"
        fields = {field.name: field.type for field in enum.fields_of(number, type_)}
        parts = tuple(fields.values())
        if variant.form == "unit":
            found.append(_unit(head, name))
        elif variant.form == "tuple":
            found.append(_tuple_case(head, name, parts))
        else:
            found.append(_struct_case(name, fields, head))
    return found


def _ranges(used: list[Ctor]) -> list[_Case]:
    """All numbers, cut where a range begins or ends."""
    ranges = [ctor.head for ctor in used if ctor.head[0] == "int"]
    starts = {_LOWEST, *(low for _, low, _ in ranges), *(high + 1 for _, _, high in ranges)}
    inside = sorted(start for start in starts if start <= _HIGHEST)
    ends = [*(start - 1 for start in inside[1:]), _HIGHEST]
    return [_range(low, high) for low, high in zip(inside, ends, strict=True)]


def _range(low: int, high: int) -> _Case:
    shown = "_" if low == _LOWEST or high == _HIGHEST else f"{low}..={high}"
    return _unit(("int", low, high), str(low) if low == high else shown)


def _lengths(item: Type, used: list[Ctor]) -> list[_Case]:
    """Arrays of each length that a pattern tells from others, and the longer ones."""
    heads = [ctor.head for ctor in used if ctor.head[0] == "array"]
    longest = max((before + (after or 0) for _, before, after in heads), default=0)
    exact = [_array(length, item, is_open=False) for length in range(longest + 1)]
    return [*exact, _array(longest + 1, item, is_open=True)]


def _array(length: int, item: Type, *, is_open: bool) -> _Case:
    def shown(inside: list[str]) -> str:
        return f"[{', '.join([*inside, *(['..'] if is_open else [])])}]"

    return _Case(array_head(length, 0 if is_open else None), (item,) * length, shown)


def _open(used: list[Ctor]) -> list[_Case]:
    """Of types with values without end: what patterns name, and everything else."""
    found = {
        ctor.head: _Case(ctor.head, (t.ANY,) * len(ctor.parts), lambda _: "_") for ctor in used
    }
    return [*found.values(), _unit(("rest",), "_")]
