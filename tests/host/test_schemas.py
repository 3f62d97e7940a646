"""Schemas: what JSON each type accepts, what is wrong with the rest, limits, modes and validators (rules SC-1 to SC-23)."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import concerto
import pytest
from concerto.values import Record, Variant


@cache
def judge(declarations: str, name: str = "S") -> concerto.Runtime:
    source = f"{declarations}\npub fn go(text: String) -> Result<{name}, LlmError> {{ parse_schema<{name}>(text) }}"
    return concerto.Runtime(concerto.compile(source))


def plain(value: Any) -> Any:
    match value:
        case Record():
            return {name: plain(part) for name, part in value._asdict().items()}
        case list() | tuple():
            return type(value)(plain(each) for each in value)
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case _:
            return value


def accepted(declarations: str, text: str) -> Any:
    return plain(judge(declarations).call("go", text))


def violations(declarations: str, text: str) -> list[tuple[str, str, str, str]]:
    with pytest.raises(concerto.errors.SchemaError) as caught:
        judge(declarations).call("go", text)
    return [(v.path, v.reason, v.expected, v.actual) for v in caught.value.violations]


TYPES = """
enum Level { Low, High }
enum Shape { Dot, Circle(Float), Box { w: Int, h?: Int, d: Int = 5 } }
struct P { n: Int }
type Alias = Array<Int>;
"""

#: SC-8: a type, JSON that fits it, and its value.
FITTING: list[tuple[str, str, Any]] = [
    ("String", '"x"', "x"),
    ("Int", "3", 3),
    ("Int", "3.0", 3),
    ("Int", "3e0", 3),
    ("Int", "-9223372036854775808", -(2**63)),
    ("Int", "9223372036854775807", 2**63 - 1),
    ("Float", "2.5", 2.5),
    ("Float", "2", 2.0),
    ("Bool", "true", True),
    ("Nil", "null", None),
    ("Array<Int>", "[1, 2.0]", [1, 2]),
    ("Array<Int>", "[]", []),
    ("(Int, String)", '[1, "a"]', (1, "a")),
    ("Map<String, Int>", '{"b": 1, "a": 2, "b": 3}', {"b": 3, "a": 2}),
    ("Option<Int>", "null", None),
    ("Option<Int>", "4", 4),
    ("Array<Option<Int>>", "[1, null]", [1, None]),
    ('"a" | "b"', '"b"', "b"),
    ('"a"', '"a"', "a"),
    ("Level", '"High"', "High"),
    ("Shape", '"Dot"', "Dot"),
    ("Shape", '{"variant": "Circle", "data": [2]}', Variant("Circle", (2.0,))),
    (
        "Shape",
        '{"variant": "Box", "data": {"w": 1}}',
        Variant("Box", {"w": 1, "h": None, "d": 5}),
    ),
    ("P", '{"n": 1, "more": 2}', {"n": 1}),
    ("Int | String", '"x"', "x"),
    ("Int | Float", "2.0", 2),
    ("Float | Int", "2", 2.0),
    ("P | Int", '{"n": 7}', {"n": 7}),
    ("Array<P> | P", '{"n": 7}', {"n": 7}),
    ("Nil | Int", "null", None),
    ("Any", '{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
    ("Any", "12345678901234567890", 12345678901234567890.0),
    ("Alias", "[5]", [5]),
]

#: SC-8: a type, JSON that does not fit it, and the violations by path, reason, expected and actual.
UNFIT: list[tuple[str, str, list[tuple[str, str, str, str]]]] = [
    ("String", "1", [("/v", "type_mismatch", "a string", "1")]),
    ("String", "null", [("/v", "type_mismatch", "a string", "null")]),
    ("Int", "3.5", [("/v", "type_mismatch", "an integer of 64 bits", "3.5")]),
    ("Int", '"3"', [("/v", "type_mismatch", "an integer of 64 bits", '"3"')]),
    ("Int", "true", [("/v", "type_mismatch", "an integer of 64 bits", "true")]),
    (
        "Int",
        "9223372036854775808",
        [("/v", "type_mismatch", "an integer of 64 bits", "9223372036854775808")],
    ),
    ("Float", '"1"', [("/v", "type_mismatch", "a number", '"1"')]),
    ("Bool", "0", [("/v", "type_mismatch", "true or false", "0")]),
    ("Nil", "0", [("/v", "type_mismatch", "null", "0")]),
    ("Array<Int>", "1", [("/v", "type_mismatch", "an array", "1")]),
    (
        "Array<Int>",
        '[1, "a", null]',
        [
            ("/v/1", "type_mismatch", "an integer of 64 bits", '"a"'),
            ("/v/2", "type_mismatch", "an integer of 64 bits", "null"),
        ],
    ),
    ("(Int, Int)", "[1]", [("/v", "type_mismatch", "an array of 2 elements", "[1]")]),
    ("(Int, Int)", "[1, 2, 3]", [("/v", "type_mismatch", "an array of 2 elements", "[1,2,3]")]),
    ("(Int, Int)", "[1, true]", [("/v/1", "type_mismatch", "an integer of 64 bits", "true")]),
    (
        "Map<String, Int>",
        '{"a/b": "x", "c~": []}',
        [
            ("/v/a~1b", "type_mismatch", "an integer of 64 bits", '"x"'),
            ("/v/c~0", "type_mismatch", "an integer of 64 bits", "[]"),
        ],
    ),
    ("Option<Int>", '"a"', [("/v", "type_mismatch", "an integer of 64 bits", '"a"')]),
    ('"a" | "b"', '"A"', [("/v", "enum_violation", 'one of "a", "b"', '"A"')]),
    ('"a"', '"b"', [("/v", "enum_violation", '"a"', '"b"')]),
    ('"a" | "b"', "1", [("/v", "type_mismatch", 'one of "a", "b"', "1")]),
    ("Level", '"low"', [("/v", "enum_violation", 'one of "Low", "High"', '"low"')]),
    ("Level", "1", [("/v", "type_mismatch", 'one of "Low", "High"', "1")]),
    (
        "Shape",
        '"Circle"',
        [("/v", "type_mismatch", '{"variant": "Circle", "data": [1 values]}', '"Circle"')],
    ),
    (
        "Shape",
        '{"variant": "Circle", "data": ["x"]}',
        [("/v/data/0", "type_mismatch", "a number", '"x"')],
    ),
    (
        "Shape",
        '{"variant": "Box", "data": {"h": 1}}',
        [("/v/data/w", "missing_field", "Int", "nothing")],
    ),
    ("P", "{}", [("/v/n", "missing_field", "Int", "nothing")]),
    ("P", "[]", [("/v", "type_mismatch", "an object", "[]")]),
    ("Int | String", "true", [("/v", "type_mismatch", "Int | String", "true")]),
    ("P | Int", '{"m": 1}', [("/v/n", "missing_field", "Int", "nothing")]),
    ("P | Int", '"x"', [("/v", "type_mismatch", "P | Int", '"x"')]),
]


@pytest.mark.parametrize(("written", "text", "value"), FITTING)
def test_sc8_accepts(written: str, text: str, value: Any) -> None:
    found = accepted(f"{TYPES}schema S {{ v: {written} }}", f'{{"v": {text}}}')["v"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("written", "text", "wrong"), UNFIT)
def test_sc8_rejects(written: str, text: str, wrong: list[tuple[str, str, str, str]]) -> None:
    assert violations(f"{TYPES}schema S {{ v: {written} }}", f'{{"v": {text}}}') == wrong


def test_sc3_sc4_null_and_absence() -> None:
    schema = "enum E { A, B }\nschema S { opt?: Int, other: Option<Int>, def: Int = 3, some?: Int = 4, e: E = E::B, list: Array<Float> = [1], need: Int }"
    filled = {"opt": None, "other": None, "def": 3, "some": 4, "e": "B", "list": [1.0], "need": 1}
    assert accepted(schema, '{"need": 1}') == filled
    nulls = '{"opt": null, "other": null, "def": null, "some": null, "e": null, "list": null, "need": 1}'
    assert accepted(schema, nulls) == filled
    assert violations(schema, '{"need": null}') == [
        ("/need", "type_mismatch", "an integer of 64 bits", "null")
    ]
    # The same defaults where the program makes the value itself.
    source = f"{schema}\npub fn make() -> S {{ S {{ need: 1 }} }}\npub fn is_b(s: S) -> Bool {{ s.e == E::B }}"
    runtime = concerto.Runtime(concerto.compile(source))
    assert plain(runtime.call("make")) == filled
    assert runtime.call("is_b", {"need": 1}) is True


def test_sc2_an_empty_schema_takes_an_object() -> None:
    assert accepted("schema S { }", "{}") == {}
    assert violations("schema S { }", "3") == [("", "type_mismatch", "an object", "3")]


def test_sc5_generic_schemas() -> None:
    source = """
    schema Page<T> { items: Array<T>, next?: String }
    schema Hit { url: String }
    pub fn hits(text: String) -> Result<Page<Hit>, LlmError> { parse_schema<Page<Hit>>(text) }
    pub fn count(text: String) -> Result<Int, LlmError> {
        let page = parse_schema<Page<Int>>(text)?;
        match page { Page { items, next: None } => Ok(items.len()), Page { items, .. } => Ok(0 - items.len()) }
    }
    pub fn make() -> Page<Int> { Page { items: [1, 2] } }
    pub fn sum(page: Page<Int>) -> Int { let mut all = 0; for n in page.items { all += n; } all }
    """
    program = concerto.compile(source)
    runtime = concerto.Runtime(program)
    assert plain(runtime.call("hits", '{"items": [{"url": "x"}]}')) == {
        "items": [{"url": "x"}],
        "next": None,
    }
    assert runtime.call("count", '{"items": [1, 2], "next": "n"}') == -2
    assert runtime.call("sum", runtime.call("make")._asdict()) == 3
    with pytest.raises(
        concerto.errors.SchemaError, match="schema `Page_Int` after 1 answer: /items/0"
    ):
        runtime.call("count", '{"items": ["a"]}')
    assert program.schema("Page_Hit")["properties"]["items"] == {
        "type": "array",
        "items": {"$ref": "#/$defs/Hit"},
    }


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("schema S { p: Page<Int, Int> }", "E3017", "`Page` takes 1 type argument, found 2"),
        ("schema S { p: Page }", "E3017", "`Page` takes 1 type argument, found 0"),
        ("schema S { p: Page<Range> }", "E4035", "`Range` cannot be expressed"),
        ('fn f() { let p: Page<Int> = Page { items: ["a"] }; }', "E3001", "expected `Int`, found `String`"),
        ("schema Page_Int { } schema S { p: Page<Int> }", "E2004", "is `Page_Int`"),
        ("schema Tree<T> { t: T, all: Array<Tree<Array<T>>> } schema S { t: Tree<Int> }", "E4039", "ever larger"),
        ("schema Loop<T> { t: T, l: Loop<T> } schema S { t: Loop<Int> }", "E4039", "`Loop<T>` contains itself"),
        ("schema Bad<T> { t: T, n: Missing } schema S { a: Bad<Int>, b: Bad<Bool> }", "E2002", "no type `Missing`"),
    ],
)  # fmt: skip
def test_sc5_wrong_uses(source: str, code: str, words: str) -> None:
    with pytest.raises(concerto.CompileError) as caught:
        concerto.compile(f"schema Page<T> {{ items: Array<T> }}\n{source}")
    found = [d for d in caught.value.diagnostics if d.is_error]
    assert [d.code for d in found] == [code]
    assert words in found[0].message


def test_sc6_json_names_are_read_and_written() -> None:
    schema = 'schema S { @json("type") kind: String, @json("a b") inner: P }\nstruct P { @json("N") n: Int }'
    text = '{"type": "x", "a b": {"N": 1}}'
    assert accepted(schema, text) == {"kind": "x", "inner": {"n": 1}}
    assert violations(schema, '{"kind": "x", "a b": {"n": 1}}') == [
        ("/type", "missing_field", "String", "nothing"),
        ("/a b/N", "missing_field", "Int", "nothing"),
    ]
    source = f'{schema}\npub fn show(s: S) {{ emit("out", s); }}'
    emitted: list[Any] = []
    runtime = concerto.Runtime(concerto.compile(source))
    runtime.on("out", emitted.append)
    runtime.call("show", {"type": "x", "a b": {"N": 1}})
    assert plain(emitted) == [{"kind": "x", "inner": {"n": 1}}]
    # What came from the program may go back to it as it is.
    source = f"{schema}\npub fn same(s: S) -> S {{ s }}"
    runtime = concerto.Runtime(concerto.compile(source))
    value = runtime.call("same", {"type": "x", "a b": {"N": 1}})
    assert runtime.call("same", value) == value
    with pytest.raises(concerto.CompileError, match="two fields have the name `a` in JSON"):
        concerto.compile('schema S { a: Int, @json("a") b: Int }')


def test_sc7_recursion_through_options_arrays_and_maps() -> None:
    schema = "schema S { n: Int, next?: S, all: Array<S> = [], by: Map<String, S>, shape?: T }\nenum T { Leaf, Node(Array<T>) }"
    text = '{"n": 1, "next": {"n": 2, "by": {}}, "by": {"x": {"n": 3, "by": {}}}, "shape": {"variant": "Node", "data": [["Leaf"]]}}'
    found = accepted(schema, text)
    assert (found["next"]["n"], found["by"]["x"]["n"]) == (2, 3)
    assert found["shape"] == Variant("Node", (["Leaf"],))


#: SC-11: a field, values inside of the limit and outside, and what was expected.
LIMITS: list[tuple[str, list[str], list[tuple[str, str, str, str]]]] = [
    ("@range(1..=9) v: Int", ["1", "9"], [("0", "/v", "a number from 1 to 9", "0"), ("10", "/v", "a number from 1 to 9", "10")]),
    ("@range(..=5) v: Int", ["-7", "5"], [("6", "/v", "a number at most 5", "6")]),
    ("@range(-2..) v: Int", ["-2"], [("-3", "/v", "a number at least -2", "-3")]),
    ("@range(0.5..=1) v: Float", ["0.5", "1"], [("0.49", "/v", "a number from 0.5 to 1.0", "0.49"), ("1.01", "/v", "a number from 0.5 to 1.0", "1.01")]),
    ("@range(1..=9223372036854775807) v: Int", ["9223372036854775807"], [("0", "/v", "a number from 1 to 9223372036854775807", "0")]),
    ("@length(2..=3) v: String", ['"éé"', '"abc"'], [('"a"', "/v", "2 to 3 characters", "1 character"), ('"abcd"', "/v", "2 to 3 characters", "4 characters")]),
    ("@length(2..=2) v: String", ['"ab"'], [('"abc"', "/v", "exactly 2 characters", "3 characters")]),
    ("@length(1..) v: Array<String>", ['["a"]', "[]"], [('["a", ""]', "/v/1", "at least 1 character", "0 characters")]),
    ("@items(1..=2) v: Array<Int>", ["[1]", "[1, 2]"], [("[]", "/v", "1 to 2 elements", "0 elements"), ("[1, 2, 3]", "/v", "1 to 2 elements", "3 elements")]),
    ("@items(..=1) v: Map<String, Int>", ["{}", '{"a": 1}'], [('{"a": 1, "b": 2}', "/v", "at most 1 entry", "2 entries")]),
    ("@items(..=1) @length(..=1) v: Array<Array<String>>", ['[["a", "b"]]'], [('[["ab"]]', "/v/0/0", "at most 1 character", "2 characters")]),
    ('@pattern("^[A-Z]{2}$") v: String', ['"DE"'], [('"de"', "/v", "text that matches `^[A-Z]{2}$`", '"de"'),
        ('"DE\\n"', "/v", "text that matches `^[A-Z]{2}$`", '"DE\\n"')]),
    ('@pattern("b") v: String', ['"abc"'], [('"ac"', "/v", "text that matches `b`", '"ac"')]),
    ('@pattern("b") v: Array<Option<String>>', ['["b", null]'], [('["b", "c"]', "/v/1", "text that matches `b`", '"c"')]),
    ("@range(1..) v?: Int", ["null", "1"], [("0", "/v", "a number at least 1", "0")]),
    ("@length(..=1) v: Option<String>", ["null", '"a"'], [('"ab"', "/v", "at most 1 character", "2 characters")]),
]  # fmt: skip


@pytest.mark.parametrize("origin", ["schema", "struct"])
@pytest.mark.parametrize(("field", "inside", "outside"), LIMITS, ids=lambda x: str(x)[:40])
def test_sc11_sc12_limits_at_both_ends(
    origin: str, field: str, inside: list[str], outside: list[tuple[str, str, str, str]]
) -> None:
    declaration = f"{origin} S {{ {field} }}"
    for text in inside:
        accepted(declaration, f'{{"v": {text}}}')
    for text, path, expected, actual in outside:
        assert violations(declaration, f'{{"v": {text}}}') == [
            (path, "constraint", expected, actual)
        ]


def test_sc12_the_program_itself_is_not_checked() -> None:
    source = "schema S { @range(1..=2) v: Int }\npub fn make() -> Int { S { v: 9 }.v }"
    assert concerto.Runtime(concerto.compile(source)).call("make") == 9


def test_sc14_sc15_extra_fields() -> None:
    inner = "schema T { n: Int }\n"
    text = '{"t": {"n": 1, "x": 2}, "more": [1]}'
    assert accepted(f"{inner}schema S {{ t: T }}", text) == {"t": {"n": 1}}
    # SC-18: the nested schema keeps its own mode.
    assert violations(f"{inner}@strict schema S {{ t: T }}", text) == [
        ("/more", "extra_field", "no field that `S` does not have", "[1]")
    ]


def test_sc16_partial_fields_are_options() -> None:
    source = '@partial schema S { a: Int, b: String = "d", c?: Bool }\npub fn sum(s: S) -> Int { (s.a ?? 0) + s.b.len() }'
    runtime = concerto.Runtime(concerto.compile(source))
    assert runtime.call("sum", {}) == 1
    assert accepted("@partial schema S { a: Int, b: Int = 2 }", '{"a": null}') == {
        "a": None,
        "b": 2,
    }
    assert violations("@partial schema S { a: Int }", '{"a": "x"}') == [
        ("/a", "type_mismatch", "an integer of 64 bits", '"x"')
    ]
    # SC-18: on one field it acts on that field only.
    assert violations("schema S { @partial a: Int, b: Int }", "{}") == [
        ("/b", "missing_field", "Int", "nothing")
    ]


#: SC-17: a type, JSON that `@coerce` converts, and the value; `...` where it stays a violation.
COERCED: list[tuple[str, str, Any]] = [
    ("Int", '" 42 "', 42),
    ("Int", '"4e1"', 40),
    ("Int", '"4.5"', ...),
    ("Int", '"4x"', ...),
    ("Int", '""', ...),
    ("Int", "true", ...),
    ("Float", '"1.5"', 1.5),
    ("Float", '"NaN"', ...),
    ("String", "1", "1"),
    ("String", "1.50", "1.5"),
    ("String", "2.0", "2.0"),
    ("String", "true", "true"),
    ("String", "null", ...),
    ("String", "[]", ...),
    ("Bool", '"Yes"', True),
    ("Bool", '"TRUE"', True),
    ("Bool", '"1"', True),
    ("Bool", '"no"', False),
    ("Bool", "1", True),
    ("Bool", "0", False),
    ("Bool", "2", ...),
    ("Bool", '"on"', ...),
    ("Array<Int>", '"7"', [7]),
    ("Array<Int>", '["7", 8]', [7, 8]),
    ("Array<Int>", "null", ...),
    ("Array<Int>", '"x"', ...),
    ('"Low" | "high"', '" LOW "', "Low"),
    ('"Low" | "high"', '"mid"', ...),
    ('"a" | "A"', '"A"', "A"),
    ("Level", '"low"', "Low"),
    ("Option<Int>", '"7"', 7),
    ("(Int, Bool)", '["1", "no"]', (1, False)),
    ("Map<String, Int>", '{"a": "1"}', {"a": 1}),
    ("Int | String", '"7"', "7"),
    ("Int | Bool", '"7"', 7),
]


@pytest.mark.parametrize(("written", "text", "value"), COERCED)
def test_sc17_coerce(written: str, text: str, value: Any) -> None:
    json_text = f'{{"v": {text}}}'
    for declaration in (
        f"@coerce schema S {{ v: {written} }}",
        f"schema S {{ @coerce v: {written} }}",
    ):
        if value is ...:
            assert [v[0] for v in violations(TYPES + declaration, json_text)] == ["/v"]
        else:
            found = accepted(TYPES + declaration, json_text)["v"]
            assert (found, type(found)) == (value, type(value))


def test_sc18_modes_combine_and_end_at_nested_schemas() -> None:
    nested = "schema T { n: Int }\n"
    assert violations(
        f"{nested}@coerce schema S {{ n: Int, t: T }}", '{"n": "1", "t": {"n": "1"}}'
    ) == [("/t/n", "type_mismatch", "an integer of 64 bits", '"1"')]
    modes = "@strict @partial @coerce schema S { @range(1..=5) n: Int, words: Array<String> }"
    assert accepted(modes, '{"n": "5", "words": 1}') == {"n": 5, "words": ["1"]}
    assert accepted(modes, "{}") == {"n": None, "words": None}
    assert violations(modes, '{"n": "6", "x": 1}') == [
        ("/n", "constraint", "a number from 1 to 5", "6"),
        ("/x", "extra_field", "no field that `S` does not have", "1"),
    ]


def test_sc19_all_violations_at_most_50() -> None:
    schema = "schema S { a: Int, @length(..=1) b: String, all: Array<Int> }"
    wrong = violations(schema, '{"b": "xy", "all": ["a", 1, false]}')
    assert [(path, reason) for path, reason, _, _ in wrong] == [
        ("/a", "missing_field"),
        ("/b", "constraint"),
        ("/all/0", "type_mismatch"),
        ("/all/2", "type_mismatch"),
    ]
    assert len(violations(schema, json.dumps({"a": 1, "b": "", "all": ["x"] * 80}))) == 50


def test_sc20_depth_size_and_text_that_is_no_json() -> None:
    deep = "[" * 128 + "]" * 128
    assert violations("schema S { v: Any }", f'{{"v": {deep}}}') == [
        ("", "parse", "JSON", "more than 128 levels")
    ]
    big = json.dumps({"v": "x" * (10 << 20)})
    assert violations("schema S { v: Any }", big) == [("", "parse", "JSON", "more than 10 MiB")]
    (only,) = violations("schema S { v: Any }", "no idea")
    assert only[:3] == ("", "parse", "JSON")
    # M-42: other text around the JSON is cut off.
    assert accepted("schema S { v: Int }", 'Sure:\n```json\n{"v": 1}\n```') == {"v": 1}
    assert accepted("schema S { v: Int }", 'Here: {"v": 1}. Or {"v": 2}?') == {"v": 1}


def test_unions_within_unions_end_soon() -> None:
    # Each level has two members that fit up to the wrong innermost value: trying all would take 2 to the power of 60.
    schema = "schema S { x: Array<S> | Array<T> | Int }\nschema T { x: Array<S> | Array<T> | Int }"
    text = '{"x": [' * 60 + '{"x": "no"}' + "]}" * 60
    assert len(violations(schema, text)) == 1


def test_sc21_nested_values_are_typed() -> None:
    source = """
    schema Line { sku: String, qty: Int }
    schema Order { lines: Array<Line>, by: Map<String, Line>, pair: (Line, Option<Line>) }
    pub fn total(text: String) -> Result<Int, LlmError> {
        let order = parse_schema<Order>(text)?;
        let mut sum = order.by["a"].qty + order.pair.0.qty;
        for line in order.lines { sum += line.qty; }
        match order.pair.1 { Some(line) => Ok(sum + line.qty), None => Ok(sum) }
    }
    """
    line = {"sku": "x", "qty": 2}
    text = json.dumps({"lines": [line, line], "by": {"a": line}, "pair": [line, None]})
    assert concerto.Runtime(concerto.compile(source)).call("total", text) == 8


VALIDATED = """
@validate(|b: Booking| if b.nights > 0 { Ok(true) } else { Err("nights must be positive") })
@validate(|b: Booking| b.hotel != "none")
@validate(fn(b: Booking) -> Result<Nil, String> { long(b)?; Ok(nil) })
schema Booking { hotel: String, nights: Int }
fn long(b: Booking) -> Result<Int, String> { if b.nights > 30 { Err("too long: ${b.nights}") } else { Ok(1) } }
schema S { bookings: Array<Booking>, @range(1..) n: Int = 1 }
"""


@pytest.mark.parametrize(
    ("hotel", "nights", "message"),
    [
        ("Ritz", 1, None),
        ("Ritz", 0, "nights must be positive"),
        ("none", 1, "validator returned false"),
        ("none", 0, "nights must be positive"),  # the first failure ends
        ("Ritz", 31, "too long: 31"),
    ],
)
def test_sc13_validators(hotel: str, nights: int, message: str | None) -> None:
    booking = {"hotel": hotel, "nights": nights}
    text = json.dumps(booking)
    runtime = judge(VALIDATED, "Booking")
    if message is None:
        assert plain(runtime.call("go", text)) == booking
        return
    with pytest.raises(concerto.errors.SchemaError) as caught:
        runtime.call("go", text)
    (found,) = caught.value.violations
    assert (found.path, found.reason, found.message) == ("", "validator", message)
    assert (caught.value.reason, caught.value.rounds) == ("validator", 1)
    # Of a nested value the path is its place.
    nested = json.dumps({"bookings": [{"hotel": "x", "nights": 1}, booking]})
    with pytest.raises(
        concerto.errors.SchemaError, match=f"after 1 answer: /bookings/1: {message}"
    ) as caught:
        judge(VALIDATED).call("go", nested)
    assert caught.value.violations[0].path == "/bookings/1"


def test_sc13_validators_may_use_closures_and_functions() -> None:
    source = """
    @validate(|s: S| s.words.all(|w| w.len() > 1))
    @validate(|s: S| s.words.all(lower))
    schema S { words: Array<String> }
    fn lower(word: String) -> Bool { word == word.to_lower() }
    """
    assert accepted(source, '{"words": ["ab"]}') == {"words": ["ab"]}
    for text in ('{"words": ["a"]}', '{"words": ["AB"]}'):
        assert violations(source, text)[0][1:] == (
            "validator",
            "a value that `@validate` accepts",
            "validator returned false",
        )


def test_sc13_validators_run_after_all_other_checks() -> None:
    text = json.dumps({"bookings": [{"hotel": "none", "nights": 0}], "n": 0})
    assert [v[1] for v in violations(VALIDATED, text)] == ["constraint"]


def test_sc13_a_validator_that_panics_or_never_ends() -> None:
    panics = judge("@validate(|s: S| 10 / s.n > 1) schema S { n: Int }")
    with pytest.raises(concerto.PanicError) as caught:
        panics.call("go", '{"n": 0}')
    assert caught.value.kind == "DivisionByZero"
    endless = judge("@validate(|s: S| { loop { } }) schema S { n: Int }")
    with pytest.raises(concerto.PanicError, match="has not ended"):
        endless.call("go", '{"n": 0}')


def test_sc13_validators_of_generic_schemas_judge_each_type() -> None:
    source = """
    @validate(|p| p.items.len() > 0)
    @validate(|p: Page<T>| few(p))
    schema Page<T> { items: Array<T> }
    fn few<T>(p: Page<T>) -> Result<Bool, String> { if p.items.len() > 2 { Err("many: ${p.items}") } else { Ok(true) } }
    pub fn numbers(text: String) -> String { shown(parse_schema<Page<Int>>(text)) }
    pub fn words(text: String) -> String { shown(parse_schema<Page<String>>(text)) }
    fn shown<T>(r: Result<Page<T>, SchemaError>) -> String { match r { Ok(p) => "${p.items}", Err(e) => e.message } }
    """
    runtime = concerto.Runtime(concerto.compile(source))
    assert runtime.call("numbers", '{"items": [1]}') == "[1]"
    assert runtime.call("numbers", '{"items": []}').endswith("validator returned false")
    assert runtime.call("words", '{"items": ["a", "b", "c"]}').endswith('many: ["a", "b", "c"]')
    with pytest.raises(concerto.CompileError, match=r"expected `Page<T>`, found `Page<Int>`"):
        concerto.compile("@validate(|p: Page<Int>| true) schema Page<T> { items: Array<T> }")


@pytest.mark.parametrize(
    ("validator", "words"),
    [
        ("|s: S| s.n", "a validator gives `Bool` or `Result<_, String>`, found `Int`"),
        ("|s: S| Err(s.n)", "a validator gives"),
        ("|s: Other| true", "expected `S`, found `Other`"),
        ("|s: S| s.zz", "`S` has no field `zz`"),
        ("|s: S| -> Bool { s.n }", "expected `Bool`, found `Int`"),
        ("|s: S| -> Bool { s.n; }", "expected `Bool`, found `Nil`"),
        ("async |s: S| true", "a validator does not wait"),
    ],
)
def test_sc13_wrong_validators(validator: str, words: str) -> None:
    source = f"@validate({validator}) schema S {{ n: Int }}\nschema Other {{ n: Int }}"
    with pytest.raises(concerto.CompileError) as caught:
        concerto.compile(source)
    assert words in str(caught.value)


def test_sc23_parse_schema_takes_text_and_responses() -> None:
    source = """
    connect ollama { }
    model M { provider: ollama }
    schema S { n: Int }
    pub fn go() -> Result<S, LlmError> { let r = M.execute("x")?; parse_schema(r) }
    pub fn other(text: String) -> Result<S, SchemaError> { parse_schema(text) }
    pub fn words(text: String) -> Result<S, String> { Ok(other(text)?) }
    pub fn which(text: String) -> String {
        match parse_schema<S>(text) { Ok(s) => "${s.n}", Err(e) => "${e.kind} ${e.reason ?? ""} ${e.rounds} ${e.raw_response}" }
    }
    """
    runtime = concerto.Runtime(concerto.compile(source), mock=True)
    with pytest.raises(concerto.errors.SchemaError, match="schema `S` after 1 answer"):
        runtime.call("go")
    assert runtime.call("which", '{"n": 1}') == "1"
    # SC-25
    assert runtime.call("other", '{"n": 1}').n == 1
    with pytest.raises(concerto.ProgramError, match="schema `S` after 1 answer: /n: expected Int"):
        runtime.call("words", "{}")
    assert runtime.call("which", "{}") == "schema missing_field 1 {}"
