"""The modules of `std` in programs: what the compiler says of wrong paths and arguments (library reference 1.2)."""

from __future__ import annotations

import pytest
from concerto.check import library, std
from concerto.compiler import compile_source
from concerto.source import Source


def found(expression: str) -> list[str]:
    source = Source("t.conc", f"fn main() {{ println({expression}); }}")
    return [f"{d.code}: {d.message} / {d.help}" for d in compile_source(source)[1]]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('std::jsn::parse("1")', "E2001: `std` has no `jsn` / did you mean `json`?"),
        (
            'std::json::prse("1")',
            "E2001: `std::json` has no `prse` / did you mean `parse`?",
        ),
        ("std::math::PJ", "E2001: `std::math` has no `PJ` / did you mean `PI`?"),
        ("std::json", "E2001: `std::json` is a module, no value / write `json::..`"),
        ("std::json(1)", "E2001: `std::json` is a module, no function / write `json::..(..)`"),
        ("std::math::PI()", "E3009: `PI` is a constant / remove the `()`"),
        ("std::json::parse()", "E3032: `parse` takes 1 argument (s), found 0 / it needs `s`"),
        ('std::json::parse("1", 2)', "E3032: `parse` takes 1 argument (s), found 2 / None"),
        (
            "std::json::parse(1)",
            'E3001: expected `String`, found `Int` / write it into a string: `"${..}"`',
        ),
        (
            'std::fmt::pad_left("a", 2, fil: "0")',
            "E3032: `pad_left` has no parameter `fil` / did you mean `fill`?",
        ),
        (
            'std::fmt::pad_left("a", 2, s: "0")',
            "E3032: `s` is given twice / None",
        ),
        ('std::math::max("a", 1)', "E3001: expected `Float`, found `String` / None"),
        (
            "std::math::max(1)",
            "E3032: `max` takes 2 arguments (a, b), found 1 / it needs `b`",
        ),
        ("std::math::sqrt<Int>(2.0)", "E3017: `sqrt` takes no type arguments / None"),
        (
            'std::fmt::format("{} {}", [1])',
            "E3032: the template wants argument 1, but there are 1 / arguments count from 0",
        ),
        (
            'std::json::parse_as("1")',
            "E4038: the type of the value is missing / write `parse_as<Type>(..)`",
        ),
        (
            'std::json::parse_as<fn() -> Int>("1")',
            "E4037: `fn() -> Int` has no form in JSON / None",
        ),
        ("std::json::parse_as<Int>()", "E3032: `parse_as` takes 1 argument (s), found 0 / None"),
        (
            "[1].flatten()",
            "E3011: `flatten` is a method of `Array<Array<T>>`, found `Array<Int>` / None",
        ),
        (
            '["a"].sum()',
            "E3011: `sum` is a method of `Array<Int>` or `Array<Float>`, found `Array<String>` / None",
        ),
        ("[(1.5, 2)].to_map()", "E3036: `Float` cannot be a map key / None"),
        ("[1].group_by(|x| 0.5)", "E3036: `Float` cannot be a map key / None"),
    ],
)
def test_each_mistake_in_a_call_is_found_by_the_compiler(expression: str, expected: str) -> None:
    assert found(expression) == [expected]


def test_every_function_of_the_library_checks() -> None:
    from concerto.check.checker import Checker
    from concerto.syntax.parser import parse

    source = Source("t.conc", "")
    checker = Checker(source, parse(source)[0])
    for file in (library.METHODS, *library.modules()):
        for name in library.functions(file):
            assert library.load(checker, file, name), f"{file}::{name}"


def test_functions_that_read_variables_are_permissions_of_the_program() -> None:
    import json

    text = 'fn main() { println(std::env::get("A"), std::env::has("B"), std::env::require("C")); }'
    document = json.loads(compile_source(Source("t.conc", text))[0] or b"")
    assert document["permissions"]["env"] == ["A", "B", "C"]


def test_modules_list_their_members() -> None:
    assert {"abs", "PI", "random_int"} <= set(std.members("math"))
    assert "parse_as" in std.members("json")
    assert std.members("jsn") == []
