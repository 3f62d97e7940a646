"""Declarations of tools and calls of them, as the check sees them (rules TL-1 to TL-10, TL-16, LO-8, CA-14)."""

from __future__ import annotations

import json

import pytest
from concerto.compiler import compile_source
from concerto.lower.tools import wire_names
from concerto.source import Source

#: A tool with one method, for what is wrong elsewhere.
TOOL = """
tool T {
    description: "Counts",
    count: 0,
    @describe("Add") @param("n", "How many")
    pub fn add(mut self, n: Int) -> Result<Int, ToolError> { self.count += n; Ok(self.count) }
    @describe("Read")
    pub fn read(self) -> Int { self.count }
    fn secret(self) -> Int { self.count }
    fn apart(n: Int) -> Int { n }
}
connect c { base_url: "http://localhost:1/v1", default_model: "m" }
"""


def found(text: str) -> list[tuple[str, str]]:
    """Code and message of each diagnostic."""
    _, diagnostics = compile_source(Source("<text>", text))
    return [(each.code, each.message) for each in diagnostics]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        # TL-1
        ('@describe("d") pub fn m() { }', "E4040", "has no description"),
        ('description: "", @describe("d") pub fn m() { }', "E4040", "is empty"),
        # TL-2
        ('description: "t", fn m() { }', "W4015", "offers nothing to a model"),
        # TL-3: a doc comment is for readers.
        ('description: "t",\n/// Does it.\npub fn m() { }', "E4041", "`m` has no description"),
        # TL-4
        ('description: "t", @describe("d") pub fn m(n: Int) { emit("n", n); }', "W4011", "`n` has no `@param`"),
        ('description: "t", @describe("d") @param("x", "t") pub fn m() { }', "E4043", "no parameter `x`"),
        ('description: "t", @describe("d") @param("n", "a") @param("n", "b") pub fn m(n: Int) { emit("n", n); }', "E2019", "given twice"),
        # TL-5
        ('description: "t", @describe("d") @param("f", "t") pub fn m(f: fn()) { f(); }', "E4042", "`fn()`"),
        ('description: "t", @describe("d") pub fn m() -> Stream { panic("") }', "E4042", "`Stream`"),
        ('description: "t", @describe("d") @param("x", "t") pub fn m<A>(x: A) { emit("x", x); }', "E4042", "no type parameters"),
        # TL-6
        ('description: "t", n: 0, @describe("d") pub fn m(self) { self.n = 1; }', "E2006", "`self` cannot be assigned"),
        ('description: "t", n: 0, @describe("d") pub fn m() -> Int { self.n }', "E2013", "`self` outside of a method"),
        ('description: "t", n: 0, @describe("d") pub fn m(self) -> Int { self.k }', "E3011", "no field `k`"),
        ('description: "t", n: 0, n: 1, @describe("d") pub fn m() { }', "E2004", "`n` is declared twice"),
        ('description: "t", n: Int = "x", @describe("d") pub fn m() { }', "E3001", "expected `Int`"),
        ('description: "t", @describe("d") pub fn m() { } @describe("d") pub fn m() { }', "E2004", "declared twice"),
        # TL-18: only what a host can stand in for.
        ('description: "t", @describe("d") pub fn m(); fn h();', "E1017", "`h` has no body"),
        ('description: "t", @describe("d") pub fn m() -> Int { nope }', "E2001", "`nope`"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_tool_is_said_once(body: str, code: str, words: str) -> None:
    assert [(each, words in message) for each, message in found(f"tool T {{ {body} }}")] == [
        (code, True)
    ]


@pytest.mark.parametrize(
    ("use", "code", "words"),
    [
        # TL-10
        ("T.add(1, 2);", "E3032", "takes 1 argument"),
        ('T::add("x");', "E3001", "expected `Int`, found `String`"),
        ("T.addd(1);", "E3011", "no method `addd`"),
        # State and helpers are not visible outside (TL-2, TL-7).
        ("T.secret();", "E2008", "`secret` of `T` is private"),
        ("T.apart(1);", "E2008", "`apart` of `T` is private"),
        ("T.count;", "E3009", "`T` is a tool, no value"),
        ("let t = T;", "E3009", "`T` is a tool, no value"),
        ('let t: T = "x";', "E2002", "`T` is a tool, no type of values"),
        # CA-14
        ("M.with_tools([main]).execute(\"x\")?;", "E4044", "`main` is no tool"),
        ("M.with_tools(T).execute(\"x\")?;", "E3001", "takes an array of tools"),
    ],
)  # fmt: skip
def test_misuse_of_a_tool_is_said_once(use: str, code: str, words: str) -> None:
    text = f"{TOOL} model M {{ provider: c }} fn main() -> Result<Nil, Error> {{ {use} Ok(()) }}"
    errors = [(each, words in message) for each, message in found(text) if each[0] == "E"]
    assert errors == [(code, True)]


def test_tl8_methods_may_wait_and_call_one_another() -> None:
    text = """
    connect c { base_url: "http://localhost:1/v1", default_model: "m" }
    model M { provider: c }
    tool A {
        description: "a", items: [],
        @describe("d") pub async fn ask(mut self) -> Result<String, LlmError> {
            self.items.push("x");
            let both = await (M.execute("a"), M.execute("b"));
            Ok("${both.0?.text} ${A::twice(2)} ${B.m()} ${self.items.len()}")
        }
        fn twice(n: Int) -> Int { n * 2 }
    }
    tool B { description: "b", @describe("d") pub fn m() -> Int { std::time::sleep(1); 1 } }
    """
    assert found(text) == []


TRAIT = 'trait Reader { @describe("Read") fn read(self) -> Int; fn twice(self) -> Int { self.read() * 2 } }\n'


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ('@describe("d") pub fn read(self) -> Int { 1 }', []),
        # The decorators of the trait's method are the default.
        ("pub fn read(self) -> Int { self.twice() }", []),
        ('@describe("d") pub fn other(self) -> Int { 1 }', ["E3014"]),
        ('@describe("d") pub fn read(self) -> String { "" }', ["E3015"]),
    ],
)
def test_tl9_a_tool_satisfies_its_trait(method: str, code: list[str]) -> None:
    text = f'{TRAIT} tool T impl Reader {{ description: "t", {method} }}'
    assert [each for each, _ in found(text)] == code


@pytest.mark.parametrize(
    "hook",
    [
        "fn on_tool_error(self, tool_name: String) -> ToolErrorAction { ToolErrorAction::Fail }",
        "fn on_tool_error(self, tool_name: String, error: ToolError) -> Bool { true }",
        "fn on_tool_error(self, tool_name: String, error: String) -> ToolErrorAction { ToolErrorAction::Fail }",
    ],
)
def test_lo8_a_hook_has_one_signature(hook: str) -> None:
    text = f"{TOOL} model M {{ provider: c, tools: [T] }} impl M {{ {hook} }}"
    assert [each for each, _ in found(text) if each[0] == "E"] == ["E3015"]


def test_tl16_names_for_models_are_what_every_provider_takes() -> None:
    long = "Tool." + "m" * 70
    names = wire_names(["A.b", "shop::Till.sum", "A_b.c", "A.b_c", long])
    assert (names["A.b"], names["shop::Till.sum"]) == ("A_b", "shop__Till_sum")
    # Two that would be equal, and one that is too long, get a hash.
    assert len({names["A_b.c"], names["A.b_c"], "A_b_c"}) == 3
    assert names[long].startswith("Tool_" + "m" * 50 + "_")
    assert all(len(name) <= 64 and name.replace("-", "_").isidentifier() for name in names.values())
    assert wire_names(["A_b.c", "A.b_c"]) == {each: names[each] for each in ("A_b.c", "A.b_c")}


def test_tools_of_modules_keep_their_full_names() -> None:
    text = """
    mod shop { pub tool Till { description: "Till.", @describe("Sum") pub fn sum() -> Int { 3 } } }
    connect c { base_url: "http://localhost:1/v1", default_model: "m" }
    model M { provider: c, tools: [shop::Till] }
    fn main() { emit("sum", shop::Till.sum() + shop::Till::sum()); }
    """
    compiled, diagnostics = compile_source(Source("<text>", text))
    assert compiled is not None, diagnostics
    document = json.loads(compiled)
    (method,) = document["tools"][0]["methods"]
    assert (method["wire"], method["description"]) == ("shop__Till_sum", "Till. Sum")
    assert document["models"][0]["fields"]["tools"] == ["shop::Till"]
