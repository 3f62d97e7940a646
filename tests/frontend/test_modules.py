"""Modules (language reference 12): files, imports, what is private, and how programs of several files are reported."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest
from concerto.compiler import compile_source
from concerto.diagnostics.model import Diagnostic
from concerto.diagnostics.render import render_short
from concerto.folder import Folder
from concerto.program import Program
from concerto.runtime import Runtime
from concerto.source import Source


class Project:
    """Files in a folder; `main.conc` is the entry."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, **files: str) -> Project:
        """Writes files; `__` in a name stands for a folder."""
        for name, text in files.items():
            path = self.root / f"{name.replace('__', '/')}.conc"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return self

    def compile(self) -> tuple[bytes | None, list[Diagnostic]]:
        entry = self.root / "main.conc"
        source = Source("main.conc", entry.read_text(encoding="utf-8"))
        return compile_source(source, folder=Folder(self.root, entry))

    def found(self) -> list[str]:
        """The diagnostics, one line each, with paths relative to the project."""
        text = render_short(self.compile()[1])
        return text.replace(f"{self.root.as_posix()}/", "").splitlines()

    def run(self) -> list[tuple[str, object]]:
        """What the program emits; it must compile without a word."""
        ir, diagnostics = self.compile()
        assert ir is not None, render_short(diagnostics)
        assert render_short(diagnostics) == ""
        emits: list[tuple[str, object]] = []
        runtime = Runtime(Program.from_bytes(ir))
        runtime.observe(
            None, {}, lambda emit: emits.append((emit.channel, emit.payload)), lambda _: None
        )
        return emits


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


SHOP = """
    pub enum Color { Red, Green(Int) }
    pub struct Item { pub name: String, pub price: Int, secret: Int = 7 }
    pub schema Bill { total: Int, note?: String }
    pub type Items = Array<Item>;
    pub const RATE: Int = 21;
    pub fn total(items: Items) -> Int { items.reduce(0, |sum, i| sum + i.price) }
    pub fn item(name: String, price: Int) -> Item { Item { name, price } }
    fn hidden() -> Int { 1 }
    pub fn shown() -> Int { hidden() }
    """


def test_names_groups_aliases_nesting_and_globs(project: Project) -> None:
    project.write(
        shop=SHOP,
        shop__tax="pub fn vat(n: Int) -> Int { n * RATES / 100 }\npub const RATES: Int = 21;\n",
        main="""
        use shop::{Item, item as make, Color::{Red, Green as Leaf}, tax::vat};
        use shop::total;
        use shop::tax::*;
        fn main() {
            let items: shop::Items = [Item { name: "a", price: 100 }, make("b", 50)];
            emit("total", total(items));
            emit("vat", vat(total(items)));
            emit("rates", RATES);
            for color in [Red, Leaf(3)] {
                match color { Red => emit("red", 0), Leaf(n) => emit("leaf", n) }
            }
        }
        """,
    )
    assert project.run() == [("total", 150), ("vat", 31), ("rates", 21), ("red", 0), ("leaf", 3)]


def test_full_paths_need_no_import(project: Project) -> None:
    project.write(
        shop=SHOP,
        main="""
        fn main() {
            let item: shop::Item = shop::Item { name: "a", price: shop::RATE };
            let f = shop::total;
            emit("total", f([item]));
            let shop::Item { name, .. } = item;
            emit("name", name);
            match shop::Color::Green(4) { shop::Color::Green(n) => emit("n", n), shop::Color::Red => {} }
        }
        """,
    )
    assert project.run() == [("total", 21), ("name", "a"), ("n", 4)]


def test_a_module_may_stand_in_mod_conc_and_in_a_folder_without_a_file(project: Project) -> None:
    project.write(
        a__mod='pub mod b;\npub fn name() -> String { "a" }\n',
        a__b='pub fn name() -> String { "a::b" }\n',
        only__inner='pub fn name() -> String { "only::inner" }\n',
        main="""
        use a::b;
        use only::inner;
        fn main() { emit("names", [a::name(), b::name(), inner::name()]); }
        """,
    )
    assert project.run() == [("names", ["a", "a::b", "only::inner"])]


def test_an_inline_module_sees_what_stands_around_it(project: Project) -> None:
    project.write(
        main="""
        mod outer {
            const BASE: Int = 40;
            pub mod inner { pub fn answer() -> Int { BASE + two() } }
        }
        fn two() -> Int { 2 }
        fn main() { emit("answer", outer::inner::answer()); }
        """
    )
    assert project.run() == [("answer", 42)]


def test_items_win_over_imports_and_imports_over_globs(project: Project) -> None:
    project.write(
        a='pub fn who() -> String { "a" }\npub fn other() -> String { "a" }\n',
        b='pub fn who() -> String { "b" }\npub fn other() -> String { "b" }\n',
        main="""
        use a::*;
        use b::who;
        fn other() -> String { "main" }
        fn main() { emit("who", [who(), other()]); }
        """,
    )
    found = project.found()
    # Nothing needed the glob.
    assert found == ["main.conc:2:5: warning[W2007]: the import `a::*` is never used"]
    project.write(main='use a::*;\nuse b::who;\nfn main() { emit("who", [who(), other()]); }\n')
    assert project.run() == [("who", ["b", "a"])]


def test_two_globs_with_one_name_matter_only_where_it_is_used(project: Project) -> None:
    files = {"a": "pub fn f() {}\npub fn g() {}\n", "b": "pub fn f() {}\npub fn h() {}\n"}
    project.write(**files, main="use a::*;\nuse b::*;\nfn main() { g(); h(); }\n")
    assert project.found() == []
    project.write(main="use a::*;\nuse b::*;\nfn main() { g(); h(); f(); }\n")
    assert project.found() == ["main.conc:3:23: error[E2009]: several globs bring the name `f`"]
    # The same thing by two ways is one thing.
    project.write(c="pub use a::f;\n", main="use a::*;\nuse c::*;\nfn main() { f(); }\n")
    assert project.found() == []


def test_pub_use_hands_on(project: Project) -> None:
    project.write(
        deep__down="pub fn f() -> Int { 1 }\npub fn g() -> Int { 2 }\n",
        front="pub use deep::down::{f as first, g};\npub use deep::down::*;\n",
        main='use front::{first, f};\nfn main() { emit("sum", first() + f() + front::g()); }\n',
    )
    assert project.run() == [("sum", 4)]


def test_a_use_without_pub_hands_nothing_on(project: Project) -> None:
    project.write(
        a="pub fn f() -> Int { 1 }\n",
        b="use a::f;\npub fn g() -> Int { f() }\n",
        main='use b::f;\nfn main() { emit("f", f() + b::g()); }\n',
    )
    assert project.found() == ["main.conc:1:5: error[E2008]: `f` is private"]


def test_private_items_and_fields(project: Project) -> None:
    project.write(
        shop=SHOP,
        main="""
        use shop::hidden;
        fn main() {
            let item = shop::item("a", 1);
            emit("secret", item.secret);
            emit("hidden", hidden() + shop::hidden());
            let shop::Item { secret, .. } = shop::Item { name: "b", price: 2, secret: 3 };
            emit("secret", secret);
        }
        """,
    )
    assert project.found() == [
        "main.conc:2:5: error[E2008]: `shop::hidden` is private",
        "main.conc:5:25: error[E2008]: the field `secret` of `shop::Item` is private",
        "main.conc:6:31: error[E2008]: `shop::hidden` is private",
        "main.conc:7:22: error[E2008]: the field `secret` of `shop::Item` is private",
        "main.conc:7:71: error[E2008]: the field `secret` of `shop::Item` is private",
    ]


def test_what_is_private_is_open_to_modules_inside(project: Project) -> None:
    project.write(
        a="fn hidden() -> Int { 1 }\nstruct P { x: Int }\n",
        a__b="use a::{hidden, P};\npub fn f() -> Int { hidden() + P { x: 1 }.x }\n",
        main='fn main() { emit("f", a::b::f()); }\n',
    )
    assert project.run() == [("f", 2)]


def test_a_declared_module_without_pub_is_private(project: Project) -> None:
    project.write(
        a="mod b;\npub fn g() -> Int { b::f() }\n",
        a__b="pub fn f() -> Int { 1 }\n",
        main='fn main() { emit("f", a::g() + a::b::f()); }\n',
    )
    assert project.found() == ["main.conc:1:32: error[E2008]: `a::b` is private"]


def test_schema_fields_are_public(project: Project) -> None:
    project.write(
        shop=SHOP,
        main='fn main() { let bill = shop::Bill { total: 1 }; emit("bill", bill.total); }\n',
    )
    assert project.run() == [("bill", 1)]


def test_unresolved_paths_name_the_places_and_close_names(project: Project) -> None:
    project.write(
        shop=SHOP,
        main="""
        use shp::total;
        use shop::totl;
        use shop::Color::Rde;
        use nowhere::x;
        use std::jsn;
        use std::json::prse;
        fn main() { emit("t", shop::totl([]) + shp::f()); let x: shop::Itm = nil; }
        """,
    )
    _, diagnostics = project.compile()
    places = f"`std`, `{project.root.as_posix()}/"
    found = [(d.code, d.source.position(d.primary.span.start)[0], d.help) for d in diagnostics]
    assert found[:6] == [
        ("E2022", 2, f"did you mean `shop`? (looked for it in this module, {places}shp.conc`, `{project.root.as_posix()}/shp/mod.conc`)"),
        ("E2022", 3, "did you mean `total`?"),
        ("E2022", 4, "did you mean `Red`?"),
        ("E2022", 5, f"looked for it in this module, {places}nowhere.conc`, `{project.root.as_posix()}/nowhere/mod.conc`"),
        ("E2022", 6, "did you mean `json`?"),
        ("E2022", 7, "did you mean `parse`?"),
    ]  # fmt: skip
    assert [(code, help_) for code, _, help_ in found[6:] if code != "W2001"] == [
        ("E2001", "did you mean `total`?"),
        ("E2001", f"did you mean `shop`? (looked for it in this module, {places}shp.conc`, `{project.root.as_posix()}/shp/mod.conc`)"),
        ("E2002", "did you mean `Item`?"),
    ]  # fmt: skip


def test_an_unknown_name_that_another_module_has_is_to_be_imported(project: Project) -> None:
    project.write(shop=SHOP, main='use shop::RATE;\nfn main() { emit("t", total([]) + RATE); }\n')
    _, diagnostics = project.compile()
    assert [(d.code, d.help) for d in diagnostics] == [("E2001", "import it: `use shop::total;`")]


def test_a_failed_import_is_said_once(project: Project) -> None:
    project.write(main='use shop::{Item, f};\nfn main() { let x: Item = f(); emit("x", x); }\n')
    assert [line.split(": ")[1] for line in project.found()] == ["error[E2022]", "error[E2022]"]


def test_errors_of_all_files_come_in_one_pass_by_file_and_place(project: Project) -> None:
    project.write(
        a='pub fn f() -> Int { "a" }\npub fn g() -> Int { nope() }\n',
        b="let x = 1;\npub fn h() -> Int { let y = ; 1 }\n",
        main="use b::h;\nuse a::{f, g};\nfn main() { let n: String = f() + g() + h(); }\n",
    )
    assert [line.rpartition(": ")[0] for line in project.found()] == [
        "a.conc:1:21: error[E3001]",
        "a.conc:2:21: error[E2001]",
        "b.conc:1:1: error[E1019]",
        "b.conc:2:29: error[E1001]",
        "main.conc:3:29: error[E3001]",
    ]


def test_nothing_is_said_about_names_of_a_file_that_cannot_be_read(project: Project) -> None:
    project.write(
        a="pub fn f() { (1; }\n",
        main='use a::{f, T};\nfn main() { f(); let x: T = a::g(); emit("x", x); }\n',
    )
    assert [line.split(": ")[1] for line in project.found()] == ["error[E1002]"]


def test_bytes_that_are_no_text_are_reported_in_their_file(project: Project) -> None:
    project.write(main="use a::f;\nfn main() { f(); }\n")
    (project.root / "a.conc").write_bytes(b"pub fn f() {}\n\xff")
    assert project.found() == ["a.conc:2:1: error[E0001]: the file is not UTF-8: byte 14 is 0xFF"]


def test_imports_twice_unused_and_hidden(project: Project) -> None:
    project.write(
        shop=SHOP,
        main="""
        use shop::total;
        use shop::Item;
        use shop::item;
        use shop::RATE as _RATE;
        fn item() -> Int { 1 }
        fn main() { emit("n", item() + total([])); }
        """,
    )
    assert project.found() == [
        "main.conc:3:11: warning[W2007]: the import `Item` is never used",
        "main.conc:6:4: warning[W2005]: `item` hides an import",
    ]
    project.write(main='use shop::{total, RATE as total};\nfn main() { emit("n", total([])); }\n')
    assert project.found() == ["main.conc:1:27: error[E2004]: `total` is imported twice"]


def test_variables_and_parameters_hide_items(project: Project) -> None:
    project.write(
        shop="""
        pub const N: Int = 100;
        fn f() -> Int { 1000 }
        fn n() -> Int { 100 }
        pub struct S { pub n: Int }
        pub fn run(n: Int) -> Array<Int> {
            let f = |x: Int| { let n = x + 1; n };
            let doubled = [2, 3].map(|n| n * 2);
            let mut out = [n, f(1), S { n }.n, doubled[0]];
            for n in 7..8 { out.push(n); }
            out.push(match 9 { n => n });
            out
        }
        pub fn outer() -> Int { n() + f() + S { n: N }.n }
        """,
        main='fn main() { emit("run", shop::run(5)); emit("outer", shop::outer()); }\n',
    )
    assert project.run() == [("run", [5, 2, 5, 4, 7, 9]), ("outer", 1200)]


def test_statements_run_in_the_entry_file_only(project: Project) -> None:
    project.write(
        a='emit("a", 1);\npub fn f() {}\n',
        main='use a::f;\nf();\nemit("top", 1);\nfn main() { emit("main", 2); }\n',
    )
    assert project.found() == ["a.conc:1:1: error[E1019]: a statement outside of the entry file"]
    project.write(a="pub fn f() {}\n")
    assert project.run() == [("top", 1), ("main", 2)]


def test_functions_do_not_see_variables_of_the_top_level(project: Project) -> None:
    project.write(main='let (x, y) = (1, 2);\nfn f() -> Int { x }\nemit("x", x + y + f());\n')
    _, diagnostics = project.compile()
    help_ = "`x` is a variable of the top level: pass it to the function, or make it a `const`"
    assert [(d.code, d.help) for d in diagnostics if d.is_error] == [("E2001", help_)]


def test_let_for_and_question_mark_at_the_top_level(project: Project) -> None:
    project.write(
        main="""
        fn half(n: Int) -> Result<Int, String> { if n % 2 == 0 { Ok(n / 2) } else { Err("odd") } }
        let mut sum = 0;
        for n in [2, 4] { sum += half(n)?; }
        let add = |n: Int| n + sum;
        emit("sum", add(0));
        fn main() { emit("main", 1); }
        """
    )
    assert project.run() == [("sum", 3), ("main", 1)]


def test_std_by_module_by_name_by_alias_in_groups_and_by_full_path(project: Project) -> None:
    project.write(
        main="""
        use std::json;
        use std::{math::{max, PI}, string::to_upper as up};
        fn main() {
            emit("json", json::stringify([1, 2]));
            emit("max", max(1, 2));
            emit("up", up("x"));
            emit("pi", PI > 3.0);
            emit("min", std::math::min(3, 4));
        }
        """
    )
    assert project.run() == [("json", "[1,2]"), ("max", 2), ("up", "X"), ("pi", True), ("min", 3)]


def test_types_of_std_are_imported_like_others(project: Project) -> None:
    project.write(
        main="""
        use std::collections::{Set, Queue as Waiting};
        fn size(set: Set<Int>) -> Int { set.len() }
        fn main() {
            let mut set = Set::new();
            set.insert(1);
            let mut waiting: Waiting<Int> = Waiting::new();
            waiting.enqueue(2);
            emit("sizes", size(set) + waiting.len());
        }
        """
    )
    assert project.run() == [("sizes", 2)]


def test_a_module_of_std_that_is_not_there_yet_is_said_to_be_so(project: Project) -> None:
    project.write(main='use std::tools::HttpTool;\nfn main() { emit("t", HttpTool); }\n')
    assert [line.split(": ")[1] for line in project.found()] == ["error[E9001]"]


def test_a_name_of_the_module_does_not_change_a_path_into_std(project: Project) -> None:
    project.write(
        a="pub fn json() -> String { std::json::stringify([1]) }\n",
        main='fn main() { emit("json", a::json()); }\n',
    )
    assert project.run() == [("json", "[1]")]


def test_methods_and_traits_of_another_module(project: Project) -> None:
    project.write(
        shapes="""
        pub trait Shape {
            fn area(self) -> Int;
            fn twice(self) -> Int { self.area() * 2 }
        }
        pub struct Square { pub side: Int }
        impl Square {
            pub fn new(side: Int) -> Square { Square { side } }
            fn hidden(self) -> Int { 1 }
        }
        impl Shape for Square { fn area(self) -> Int { self.side * self.side + self.hidden() - 1 } }
        """,
        main="""
        use shapes::{Shape, Square};
        struct Line { length: Int }
        impl Shape for Line { fn area(self) -> Int { self.length } }
        fn main() {
            emit("square", Square::new(3).twice());
            emit("line", Line { length: 4 }.twice());
            emit("full", shapes::Square::new(2).area());
        }
        """,
    )
    assert project.run() == [("square", 18), ("line", 8), ("full", 4)]
    project.write(main='fn main() { emit("h", shapes::Square::new(1).hidden()); }\n')
    assert [line.split(": ")[1] for line in project.found()] == ["error[E2008]"]


def test_an_impl_for_a_type_of_another_module(project: Project) -> None:
    project.write(
        a="pub struct T {}\n", main="use a::T;\nimpl T { fn f(self) {} }\nfn main() { T {}; }\n"
    )
    assert project.found()[0].split(": ")[1] == "error[E2010]"


def test_the_entry_file_is_no_module(project: Project) -> None:
    project.write(main="use main::f;\npub fn f() {}\nfn main() { f(); }\n")
    assert [line.split(": ")[1] for line in project.found()] == ["error[E2022]", "warning[W2005]"]


def test_cycles_are_printed(project: Project) -> None:
    project.write(
        a="use b::f;\npub fn g() { f(); }\n",
        b="use c::f as other;\npub fn f() { other(); }\n",
        c="use a::g;\npub fn f() { g(); }\n",
        main="use a::g;\nfn main() { g(); }\n",
    )
    assert project.found() == [
        "c.conc:1:5: error[E2023]: the modules form a circle: a -> b -> c -> a"
    ]


def test_connections_are_global_and_models_are_not(project: Project) -> None:
    project.write(
        net='connect ollama { base_url: "http://localhost:1/v1", default_model: "m" }\n',
        models="pub model Fast { provider: ollama }\n",
        main='mod net;\nuse models::Fast;\nfn main() { let text = Fast.execute("x")?.text; emit("t", text); }\n',
    )
    ir, diagnostics = project.compile()
    assert ir is not None, render_short(diagnostics)
    document = json.loads(ir)
    assert [c["name"] for c in document["connections"]] == ["ollama"]
    assert [m["name"] for m in document["models"]] == ["models::Fast"]
    files = [file["path"].rpartition("/")[2] for file in document["files"]]
    assert [files[entry["span"][0]] for entry in document["connections"]] == ["net.conc"]
    assert [files[entry["span"][0]] for entry in document["models"]] == ["models.conc"]


def test_two_connections_with_one_name_in_two_modules(project: Project) -> None:
    block = 'connect ollama { default_model: "m" }\n'
    project.write(a=block, b=block, main="mod a;\nmod b;\n")
    _, diagnostics = project.compile()
    assert [d.code for d in diagnostics] == ["E4003"]
    [label] = diagnostics[0].related
    assert label.source is not None
    assert label.source.path.endswith("a.conc")


def test_hosts_call_what_the_entry_file_makes_public(project: Project) -> None:
    project.write(
        a="pub fn f(n: Int) -> Int { n + 1 }\npub fn g() {}\n",
        main="pub use a::f;\npub fn own() -> Int { f(1) }\n",
    )
    ir, _ = project.compile()
    assert ir is not None
    program = Program.from_bytes(ir)
    assert sorted(entry.name for entry in program.entry_points) == ["f", "own"]
    assert Runtime(program).call("f", n=41) == 42


def test_a_value_of_another_module_shows_its_own_name(project: Project) -> None:
    project.write(shop=SHOP, main='fn main() { emit("item", "${shop::item("a", 1)}"); }\n')
    assert project.run() == [("item", 'Item { name: "a", price: 1, secret: 7 }')]


def test_types_of_one_name_in_two_modules_differ(project: Project) -> None:
    project.write(
        a="pub struct P { pub x: Int }\n",
        b="pub struct P { pub x: Int }\npub fn f(p: P) -> Int { p.x }\n",
        main='fn main() { let a: Any = a::P { x: 1 }; let b: Any = b::P { x: 1 }; emit("same", a == b); emit("f", b::f(a::P { x: 1 })); }\n',
    )
    assert project.found() == ["main.conc:1:106: error[E3001]: expected `b::P`, found `a::P`"]


def test_failures_show_the_file_of_each_frame(project: Project) -> None:
    project.write(
        a="\n\npub fn third(xs: Array<Int>) -> Int {\n    let i = 2;\n    xs[i]\n}\n",
        main='use a::third;\nfn main() {\n    emit("x", third([1]));\n}\n',
    )
    ir, _ = project.compile()
    assert ir is not None
    with pytest.raises(Exception) as caught:
        Runtime(Program.from_bytes(ir)).run()
    trace = caught.value.trace  # type: ignore[attr-defined]  # of a panic
    assert [(Path(frame.path).name, frame.line, frame.function) for frame in trace] == [
        ("a.conc", 5, "a::third"),
        ("main.conc", 3, "main"),
    ]


def test_a_program_without_a_folder_has_no_other_files() -> None:
    _, diagnostics = compile_source(Source("<text>", "mod a;\nuse b::f;\nfn main() { f(); }\n"))
    assert [d.code for d in diagnostics] == ["E2021", "E2022"]


PRICED = """
    pub trait Priced { fn price(self) -> Float; fn label(self) -> String { "${self.price()} EUR" } }
    pub struct Item { pub cents: Int }
    impl Priced for Item { fn price(self) -> Float { (self.cents as Float) / 100.0 } }
    impl Item {
        pub fn free() -> Item { Item { cents: 0 } }
        pub fn raise(mut self, by: Int) { self.cents = self.hidden() + by; }
        fn hidden(self) -> Int { self.cents }
    }
    pub fn twice<T: Priced>(x: T) -> Float { x.price() + T::Priced::price(x) }
"""


def test_traits_generics_and_methods_of_other_modules(project: Project) -> None:
    main = """
        use shop::{Item, Priced, twice};
        struct Mine { n: Int }
        impl Priced for Mine { fn price(self) -> Float { 1.0 } }
        fn show<T: Priced>(x: T) -> String { T::Priced::label(x) }
        fn main() {
            let mut item = Item::free();
            item.raise(250);
            emit("own", [show(item), show(Mine { n: 1 }), item.label()]);
            emit("paths", [shop::Priced::price(item), shop::Item::Priced::price(item), twice(Mine { n: 2 })]);
        }
    """
    found = project.write(main=main, shop=PRICED).run()
    assert found == [("own", ["2.5 EUR", "1.0 EUR", "2.5 EUR"]), ("paths", [2.5, 2.5, 2.0])]


def test_methods_without_pub_are_private_to_the_module_of_their_impl(project: Project) -> None:
    main = """
        fn main() {
            let item = shop::Item::free();
            emit("a", item.hidden() + shop::Item::hidden(item));
        }
    """
    private = "error[E2008]: the function `shop::Item::hidden` is private"
    assert project.write(main=main, shop=PRICED).found() == [
        f"main.conc:4:20: {private}",
        f"main.conc:4:31: {private}",
    ]


def test_declaring_a_module_closes_a_circle_through_a_third_one(project: Project) -> None:
    project.write(
        a="mod b;\npub fn g() -> Int { b::f() }\n",
        a__b="use c::f as other;\npub fn f() -> Int { other() }\n",
        c="use a::g;\npub fn f() -> Int { g() }\n",
        main="use a::g;\nfn main() { g(); }\n",
    )
    assert project.found() == [
        "c.conc:1:5: error[E2023]: the modules form a circle: a -> a::b -> c -> a"
    ]


def test_what_a_module_declares_may_use_it(project: Project) -> None:
    project.write(
        shop="pub mod prices;\npub const RATE: Int = 3;\npub fn total() -> Int { prices::price() }\n",
        shop__prices="use shop::RATE;\npub fn price() -> Int { RATE * 2 }\n",
        main='use shop::prices::price;\nuse shop::total;\nfn main() { emit("total", total() + price()); }\n',
    )
    assert project.run() == [("total", 12)]


def test_types_of_a_program_may_have_names_of_the_library(project: Project) -> None:
    project.write(
        shop="pub struct Usage { pub n: Int }\npub fn usage() -> Usage { Usage { n: 1 } }\n",
        main="""
        use shop::usage;
        struct Task { n: Int, m: Message }
        schema Message { words: Array<String> }
        enum TimeoutError { A, B(Int) }
        struct Response<T> { v: T }
        impl Task {
            fn go(self) -> Int { self.n }
            fn new() -> Task { Task { n: usage().n, m: Message { words: ["a"] } } }
        }
        fn wrapped(t: Task) -> Response<Int> { Response { v: t.go() } }
        fn same<Future>(x: Future) -> Future { x }
        fn risky() -> Result<Int, TimeoutError> { Err(TimeoutError::B(2)) }
        fn main() {
            let t = Task::new();
            emit("t", "${t} ${wrapped(t)} ${typeof(t)} ${same(1)}");
            match t.m { Message { words } => emit("words", words) }
            try { risky()?; } catch TimeoutError(e) { emit("caught", "${e}") }
            emit("read", "${parse_schema<Message>(r#"{"words": []}"#)}");
        }
        """,
    )
    ir, found = project.compile()
    assert [each.code for each in found] == ["W2005"] * 4
    assert ir is not None
    emits: list[tuple[str, object]] = []
    Runtime(Program.from_bytes(ir)).observe(
        None, {}, lambda emit: emits.append((emit.channel, emit.payload)), lambda _: None
    )
    assert emits == [
        ("t", 'Task { n: 1, m: Message { words: ["a"] } } Response { v: 1 } Task 1'),
        ("words", ["a"]),
        ("caught", "B(2)"),
        ("read", "Ok(Message { words: [] })"),
    ]
