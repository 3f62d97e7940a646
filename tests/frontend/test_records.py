"""Records behave as frozen dataclasses do."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import pytest
from concerto.records import record


@record()
class Place:
    """A place."""

    line: int
    column: int = 1
    note: str = field(default="", compare=False, repr=False)


@record(kw_only=True)
class Named(Place):
    """A place with a name."""

    name: str


@dataclass(frozen=True, slots=True)
class Plain:
    """A place, as a dataclass."""

    line: int
    column: int = 1
    note: str = field(default="", compare=False, repr=False)


def test_fields_are_given_by_position_or_name_and_have_defaults() -> None:
    place = Place(3, note="here")
    assert (place.line, place.column, place.note) == (3, 1, "here")
    named = Named(4, name="x")
    assert (named.line, named.column, named.name) == (4, 1, "x")
    assert [each.name for each in fields(named)] == ["line", "column", "note", "name"]


def test_what_is_compared_makes_values_equal() -> None:
    assert Place(1, note="a") == Place(1, note="b")
    assert Place(1) != Place(2)
    plain: object = Plain(1)
    assert Place(1) != plain
    assert Named(1, name="x") != Place(1)
    assert len({Place(1), Place(1, 1), Place(2)}) == 2


def test_they_hash_and_read_as_dataclasses_do() -> None:
    assert hash(Place(1, 2)) == hash(Plain(1, 2))
    assert repr(Place(1, 2, "n")) == repr(Plain(1, 2, "n")).replace("Plain", "Place")


def test_they_are_replaced_matched_and_have_no_other_attributes() -> None:
    assert replace(Place(1), column=5) == Place(1, 5)
    match Place(7, 8):
        case Place(line, column):
            assert (line, column) == (7, 8)
    assert not hasattr(Place(1), "__dict__")


def test_wrong_fields_are_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'row'"):
        Place(1, row=2)  # type: ignore[call-arg]  # that is the mistake
    with pytest.raises(TypeError, match="missing 1 required"):
        Named(1)  # type: ignore[call-arg]  # that is the mistake
