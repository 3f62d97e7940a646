"""Generic functions and types, methods and traits: some that are always the same, and uses of them with types by chance."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.types import Type, show

from tests.oracle.generator import Generator

DECLARATIONS = """struct Cell<T> { held: T, seen: Int = 0 }
enum Chain<T> { End, One(T), Two { first: T, second: T } }
struct Failed<T> { value: T }
trait Twice {
    fn twice(self) -> Self;
    fn start() -> Self;
    fn thrice(self, more: Bool = true) -> Self { if more { self.twice().twice() } else { self } }
    fn grow(mut self) -> Int { self = self.twice(); 1 }
}
impl<T> Cell<T> {
    fn new(x: T) -> Self { Cell { held: x } }
    fn get(mut self) -> T { self.seen += 1; self.held }
    fn put(mut self, x: T) { if self.seen > 2 { return; } self.held = x; self.seen += 1; }
    fn try_get(mut self, limit: Int) -> Result<T, Int> { self.seen += 1; if self.seen > limit { throw self.seen; } Ok(self.held) }
    fn map<U>(self, f: fn(T) -> U) -> Cell<U> { Cell { held: f(self.held), seen: self.seen } }
}
impl<T> From<T> for Failed<T> { fn from(x: T) -> Self { Failed { value: x } } }
impl Twice for Int { fn twice(self) -> Int { if self > 1000 || self < -1000 { self } else { self + self } } fn start() -> Int { 1 } }
impl Twice for String { fn twice(self) -> String { if self.len() > 20 { self } else { self + self } } fn start() -> String { "s" } }
impl<T: Twice> Twice for Option<T> {
    fn twice(self) -> Option<T> { match self { Some(x) => Some(x.thrice(more: false).twice()), None => None } }
    fn start() -> Option<T> { Some(T::start()) }
}
fn same<T>(x: T) -> T { x }
fn either<T>(a: T, b: T, first: Bool) -> T { if first { a } else { b } }
fn celled<T>(x: T, y: T) -> T {
    let mut c = Cell::new(x);
    c.put(y);
    match c.try_get(1) { Ok(_) => {}, Err(n) => { c.seen = n; } }
    c.get()
}
fn chained<T>(x: T, two: Bool) -> T {
    let chain = if two { Chain::Two { first: x, second: x } } else { Chain::One(x) };
    match chain { Chain::One(y) => y, Chain::Two { first, .. } => first, Chain::End => x }
}
fn failing<T>(x: T, fails: Bool) -> Result<T, T> { if fails { throw x; } Ok(x) }
fn converted<T>(x: T, fails: Bool) -> Result<T, Failed<T>> { Ok(failing(x, fails)?) }
fn recovered<T>(x: T, fails: Bool) -> T { match converted(x, fails) { Ok(y) => y, Err(e) => e.value } }
fn grown<T: Twice>(x: T) -> T { let mut own = x; own.grow(); own.thrice() }
fn started<T: Twice>(x: T) -> T { either(T::start(), x, false).twice() }
"""

_TWICE = (t.INT, t.STRING, t.Option(t.INT), t.Option(t.STRING))


def through(g: Generator, wanted: Type, depth: int) -> str:
    """An expression whose type is `wanted` that goes through something generic."""
    from tests.oracle.expressions import expr, known

    def value() -> str:
        return known(g, wanted, depth)

    def truth() -> str:
        return expr(g, t.BOOL, depth)

    count = 8 if wanted in _TWICE else 6
    match g.pick(count):
        case 0:
            return f"same({value()})"
        case 1:
            return f"either<{show(wanted)}>({value()}, {value()}, {truth()})"
        case 2:
            return f"celled({value()}, {value()})"
        case 3:
            return f"chained({value()}, two: {truth()})"
        case 4:
            return f"recovered({value()}, {truth()})"
        case 5:
            return f"Cell::new({value()}).map(|x| x).held"
        case 6:
            return f"{g.one(('grown', 'started', 'Twice::twice'))}({value()})"
        case _:
            return f"({value()}).thrice({g.one(('', 'more: false'))})"
