"""Values across the border to Python (toolchain reference 8.7)."""

from __future__ import annotations

import copy
import enum
import pickle
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict

import concerto
import pytest
from concerto import Err, Ok, OrderedSet, Record, Variant

PROGRAM = """
use std::collections::Set;
struct Point { x: Int, y: Int = 7 }
struct Line { from: Point, to: Point, tags: Array<String> }
enum Shape { Dot, Circle(Int), Box { width: Int, height: Int } }
enum Color { Red, Green }
pub fn line(l: Line) -> Line { l }
pub fn shape(s: Shape) -> Shape { s }
pub fn shapes() -> Array<Shape> { [Shape::Dot, Shape::Circle(3), Shape::Box { width: 1, height: 2 }] }
pub fn any(a: Any) -> Any { a }
pub fn array(a: Array<Int>) -> Array<Int> { a }
pub fn pair(p: (Int, String)) -> (Int, String) { p }
pub fn table(t: Map<String, Int>) -> Map<String, Int> { t }
pub fn maybe(o: Option<Int>) -> Option<Int> { o }
pub fn kinds() -> Any {
    [1, 1.5, true, "é", nil, Some(2), None, (1, "a"), { "b": 1, "a": 2 }, Set::from([3, 1, 3]), Ok(1), Err("no"), Color::Green, 2..5]
}
pub fn result(good: Bool) -> Result<Int, String> { if good { Ok(1) } else { Err("bad") } }
pub fn least() -> Int { -9223372036854775808 }
"""


@pytest.fixture(scope="module")
def rt() -> concerto.Runtime:
    return concerto.Runtime(concerto.compile(PROGRAM))


def test_each_kind_of_value_has_its_kind_in_python(rt: concerto.Runtime) -> None:
    found = rt.call("kinds")
    assert found == [
        1, 1.5, True, "é", None, 2, None, (1, "a"), {"b": 1, "a": 2}, {1, 3}, Ok(1), Err("no"), "Green", range(2, 5),
    ]  # fmt: skip
    assert [type(each) for each in found[:5]] == [int, float, bool, str, type(None)]
    assert list(found[8]) == ["b", "a"]
    assert list(found[9]) == [3, 1]
    assert isinstance(found[9], OrderedSet)
    assert rt.call("least") == -(2**63)


def test_records_have_attributes_items_and_equality(rt: concerto.Runtime) -> None:
    line = rt.call("line", {"from": {"x": 1}, "to": {"x": 2, "y": 3}, "tags": ["a"]})
    assert isinstance(line, Record)
    assert (line.to.x, line["to"]["y"], line["from"].y) == (2, 3, 7)
    assert line._asdict() == {
        "from": {"x": 1, "y": 7},
        "to": {"x": 2, "y": 3},
        "tags": ["a"],
    }
    again = rt.call("line", line)
    assert again == line
    assert len({again, line}) == 1
    assert again != Record("Point", dict(line))
    assert repr(line.to) == "Point(x=2, y=3)"
    assert pickle.loads(pickle.dumps(line)) == copy.deepcopy(line) == line
    with pytest.raises(AttributeError, match="`Point` has no field `z`; it has: x, y"):
        _ = line.to.z
    with pytest.raises(AttributeError, match="cannot be changed"):
        line.to.x = 3


def test_match_takes_records_variants_and_results_apart(rt: concerto.Runtime) -> None:
    def text(value: object) -> str:
        match value:
            case "Dot":
                return "dot"
            case Variant("Circle", (radius,)):
                return f"circle {radius}"
            case Variant("Box", {"width": width}):
                return f"box {width}"
            case Record(x=x, y=y):
                return f"point {x} {y}"
            case Ok(inner) | Err(inner):
                return f"result {inner}"
        return "?"

    assert [text(each) for each in rt.call("shapes")] == ["dot", "circle 3", "box 1"]
    point = rt.call("line", {"from": {"x": 1}, "to": {"x": 2}, "tags": []}).to
    assert [text(point), text(Ok(1)), text(Err(2))] == ["point 2 7", "result 1", "result 2"]


def test_variants_come_back_as_they_went(rt: concerto.Runtime) -> None:
    for shape in ("Dot", Variant("Circle", (3,)), Variant("Box", {"width": 1, "height": 2})):
        assert rt.call("shape", shape) == shape
    with pytest.raises(TypeError, match="argument `s`"):
        rt.call("shape", Variant("Circle", ("three",)))


@dataclass
class Point:
    x: int
    y: int = 9


@dataclass(frozen=True, slots=True)
class Line:
    to: Point
    tags: tuple[str, ...] = ()
    start: Point = field(default_factory=lambda: Point(0))


class PointDict(TypedDict):
    x: int
    y: int


class PointTuple(NamedTuple):
    x: int
    y: int


class Word(enum.StrEnum):
    A = "a"


class Number(enum.Enum):
    ONE = 1


class Model:
    """What pydantic's models have in common with everything that is converted like them."""

    def model_dump(self) -> dict[str, Any]:
        return {"x": 1, "y": Point(2, 3)}


def test_arguments_may_be_what_python_programs_use_for_data(rt: concerto.Runtime) -> None:
    typed: PointDict = {"x": 3, "y": 4}
    line = rt.call("line", {"from": Point(1, 2), "to": typed, "tags": (Word.A, "b")})
    assert line._asdict() == {
        "from": {"x": 1, "y": 2},
        "to": {"x": 3, "y": 4},
        "tags": ["a", "b"],
    }
    plain: list[tuple[object, object]] = [
        (Line(Point(1)), {"to": {"x": 1, "y": 9}, "tags": [], "start": {"x": 0, "y": 9}}),
        (PointTuple(1, 2), {"x": 1, "y": 2}),
        (Model(), {"x": 1, "y": {"x": 2, "y": 3}}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Number.ONE, 1),
        (frozenset({4}), [4]),
        ({1: "a", -2: "b"}, {"1": "a", "-2": "b"}),
        ({Word.A: None, False: 1}, {"a": None, "false": 1}),
        (Ok([1]), {"ok": [1]}),
        (Err("no"), {"err": "no"}),
        (range(2), "refused"),
    ]
    for given, expected in plain:
        if expected == "refused":
            with pytest.raises(TypeError, match="a `range` cannot be passed to a program"):
                rt.call("any", given)
        else:
            assert rt.call("any", given) == expected
    assert sorted(rt.call("array", {3, 1, 2})) == [1, 2, 3]
    assert rt.call("pair", [1, "a"]) == (1, "a")
    assert rt.call("table", {"b": 1, "a": 2}) == {"b": 1, "a": 2}
    assert rt.call("maybe", None) is None
    assert rt.call("maybe", 3) == 3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**63, "9223372036854775808 does not fit into 64 bits"),
        (-(2**63) - 1, "does not fit into 64 bits"),
        ({(1, 2): 3}, r"the key \(1, 2\) is no text"),
        (object(), "a `object` cannot be passed to a program"),
        (Point, "a `type` cannot be passed to a program"),
        (b"bytes", "a `bytes` cannot be passed to a program"),
        ("\ud800", "surrogates not allowed"),
    ],
)
def test_what_has_no_form_in_the_language_is_refused(
    rt: concerto.Runtime, value: object, words: str
) -> None:
    with pytest.raises((TypeError, UnicodeEncodeError), match=words):
        rt.call("any", value)


def test_arguments_that_contain_themselves_are_refused(rt: concerto.Runtime) -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested deeper than 128 levels"):
        rt.call("any", endless)


def test_results_of_functions_are_unwrapped_or_raised(rt: concerto.Runtime) -> None:
    assert rt.call("result", True) == 1
    with pytest.raises(concerto.ProgramError) as failed:
        rt.call("result", False)
    assert failed.value.value == "bad"
