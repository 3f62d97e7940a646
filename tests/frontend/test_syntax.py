"""Lexer, filter and parser: the points of the language reference's checklist that goldens do not show."""

from __future__ import annotations

import pytest
from concerto.source import Source
from concerto.syntax import ast
from concerto.syntax.filter import filter_tokens
from concerto.syntax.generate import build
from concerto.syntax.lexer import lex
from concerto.syntax.parser import parse
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT


def expression(text: str) -> ast.Expr:
    module, diagnostics = parse(Source("t", f"let it = {text};"))
    assert diagnostics == [], [d.message for d in diagnostics]
    statement = module.items[0]
    assert isinstance(statement, ast.Let)
    assert statement.value is not None
    return statement.value


def codes(text: str) -> list[str]:
    return [d.code for d in parse(Source("t", text))[1]]


def kinds(text: str) -> list[str]:
    tokens, _, diagnostics = lex(Source("t", text))
    assert diagnostics == []
    return [token.type for token in filter_tokens(Source("t", text), tokens)[0]]


def test_the_grammar_has_no_conflicts_and_the_tables_are_fresh() -> None:
    tables, text = build()  # raises for conflicts
    assert tables.sr_conflicts == []
    assert tables.rr_conflicts == []
    shipped = (ROOT / "python/concerto/syntax/_tables.py").read_text(encoding="utf-8")
    assert text == shipped, "run `make tables`"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x_f".replace("_", ""), 15),
        ("1_000", 1000),
        ("0b101", 5),
        ("0o17", 15),
        ("1e10", 1e10),
        ("2.5e-3", 0.0025),
        ("-9223372036854775808", -(2**63)),
        (r'"\u{1F600}\t\"\$"', '\U0001f600\t"$'),
        ('"$5 {x} \\${x}"', "$5 {x} ${x}"),
        ('r"a\\b"', "a\\b"),
        ('r##"a"#b"##', 'a"#b'),
        ('"""\n    a\n      b\n\n    """', "a\n  b\n"),
        ('"""a "quoted" b"""', 'a "quoted" b'),
    ],
)
def test_literals(text: str, value: object) -> None:
    found = expression(text)
    assert isinstance(found, ast.Literal)
    assert found.value == value


def test_line_ends_do_not_change_multi_line_strings() -> None:
    text = '"""\n  a\n  b\n  """'
    assert expression(text) == expression(text.replace("\n", "\r\n"))


def test_interpolation_nests() -> None:
    found = expression('"a${ { "k": "v${ if x { "}" } else { "{" } }" }["k"] }b"')
    assert isinstance(found, ast.Interpolated)
    assert found.pieces == ("a", "b")


def test_numbers_and_dots() -> None:
    assert isinstance(expression("t.0.1"), ast.TupleAccess)
    assert isinstance(expression("1..5"), ast.Binary)
    assert isinstance(expression("1.abs()"), ast.Call)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1 + f()?", "1 + (f()?)"),
        ("-f()?", "-(f()?)"),
        ("!a.b()?", "!(a.b()?)"),
        ("a ?? b ?? c", "(a ?? b) ?? c"),
        ("1 + 2 * 3 - 4", "(1 + (2 * 3)) - 4"),
        ("a || b && c == d < e", "a || (b && (c == (d < e)))"),
        ("x as Int < 5", "(x as Int) < 5"),
        ("a |> f()? |> g()", "(a |> (f()?)) |> g()"),
        ("|x| x + 1 |> f()", "|x| ((x + 1) |> f())"),
    ],
)
def test_precedence(text: str, same: str) -> None:
    assert expression(text) == expression(same)


def test_angles_are_types_or_comparisons() -> None:
    call = expression("m.execute_with_schema<Array<Array<Int>>>(doc)")
    assert isinstance(call, ast.Call)
    assert len(call.type_args) == 1
    assert "LANGLE" not in kinds("let a = i < len(xs) && j > 0;")
    assert "LANGLE" not in kinds("f(a < b, c > d);")
    assert "LANGLE" in kinds("f(a < b, c > (d));")
    assert kinds("f(a<b<c>, d<e>());").count("LANGLE") == 2
    assert kinds("let a: A<B<(C, D)>> = b;").count("RANGLE") == 2
    assert "LANGLE" not in kinds("f(a<(b>c));")


def test_angles_that_nothing_closes_take_linear_time() -> None:
    assert set(kinds("a<" * 100_000)) == {"IDENT", "LT"}
    assert "LANGLE" not in kinds("a<" * 50_000 + ">b" * 50_000)


def test_soft_keywords_are_names() -> None:
    module, diagnostics = parse(
        Source(
            "t",
            "let type = 1; let model = { model: type }; model.model; response.model; e.match;".replace(
                "model: type", '"m": type'
            ),
        )
    )
    assert diagnostics == []
    assert len(module.items) == 5


def test_braces_after_heads() -> None:
    for text in (
        "if x {}",
        "if p == P { a: 1 } { 1 }",
        "match s { _ => {} }",
        "while a && !b { }",
        "for i in 0.. { break; }",
    ):
        assert codes(f"fn f() {{ {text} }}") == []


def test_a_line_after_a_block_begins_a_statement() -> None:
    module, diagnostics = parse(
        Source("t", "fn f() { if a { 1 } else { 2 }\n -1; match x { _ => 1 }.len() }")
    )
    assert diagnostics == []
    function = module.items[0]
    assert isinstance(function, ast.Function)
    assert function.body is not None
    assert len(function.body.statements) == 2
    assert isinstance(function.body.tail, ast.Call)


def test_three_mistakes_give_three_messages_and_the_rest_is_read() -> None:
    text = "fn a() { let x = ; 1 }\nfn b() { f(1 2); }\nstruct S { a Int }\nfn good() { 1 }\n"
    module, diagnostics = parse(Source("t", text))
    assert [d.source.position(d.primary.span.start)[0] for d in diagnostics] == [1, 2, 3]
    assert [item.name.text for item in module.items if isinstance(item, ast.Function)][-1] == "good"


def test_positions_count_characters() -> None:
    _, diagnostics = parse(Source("t", 'fn f() { let a = "\U0001f600é" 1; }'))
    assert diagnostics[0].source.position(diagnostics[0].primary.span.start) == (1, 22)


def test_nesting_is_bounded() -> None:
    assert codes("let a = " + "(" * 300 + "1" + ")" * 300 + ";") == ["E1001"]
    assert codes("let a = " + "+".join(["1"] * 3000) + ";") == []


@given(
    st.text(alphabet=st.sampled_from("abc fnlet=;{}()[]<>\"$'\\/*@|?.,:+-10_\n\u00e9"), max_size=60)
)
def test_any_text_is_read_without_an_exception(text: str) -> None:
    _, diagnostics = parse(Source("t", text))
    for diagnostic in diagnostics:
        span = diagnostic.primary.span
        assert 0 <= span.start <= span.end <= len(text) + 1


PROGRAM = (ROOT / "tests/golden/tree/whole_grammar.conc").read_text(encoding="utf-8")


@given(
    st.integers(0, len(PROGRAM) - 1),
    st.integers(0, 12),
    st.sampled_from(["", "}", "(", '"', ";", "fn", "${"]),
)
def test_a_damaged_program_is_read_without_an_exception(at: int, cut: int, put: str) -> None:
    parse(Source("t", PROGRAM[:at] + put + PROGRAM[at + cut :]))


def test_tokens_stand_where_they_say() -> None:
    tokens, _, _ = lex(Source("t", PROGRAM))
    end = 0
    for token in tokens:
        assert token.index >= end
        between = PROGRAM[end : token.index]
        assert not between.strip() or "//" in between or "/*" in between, between
        end = token.end


def test_long_chains_compile_and_endless_ones_are_refused() -> None:
    from concerto.compiler import compile_source

    def chain(parts: int) -> Source:
        return Source("t.conc", f'emit("sum", {" + ".join(["1"] * parts)});\n')

    assert compile_source(chain(1_000))[1] == []
    ir, [diagnostic] = compile_source(chain(20_000))
    assert (ir, diagnostic.code) == (None, "E1001")
    assert "give parts of it names" in (diagnostic.help or "")
