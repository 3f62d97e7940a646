"""Every kind of panic with its place: line and column of what has failed (language reference 11.5)."""

from __future__ import annotations

import concerto
import pytest

HEAD = """connect c { base_url: "http://127.0.0.1:1/v1", default_model: "m" }
model M { provider: c }
async fn late() -> Int { std::time::sleep(1000); 1 }
fn any(x: Any) -> Any { x }
fn deep(n: Int) -> Int { if n == 0 { 0 } else { 1 + §deep(n - 1) } }
async fn main() {
    let xs = [1];
    let task = spawn late();
    PROGRAM
    println(xs, task.id(), deep(0), any(1), M.spawn());
}
"""
#: What panics at the mark; without one, at that of the head.
PROGRAMS = {
    "Panic": 'if xs.len() == 1 { §panic("over"); }',
    "Assertion": "println(1); §assert(xs.is_empty());",
    "ArithmeticOverflow": "let n = 9223372036854775807; println(§n + xs[0]);",
    "DivisionByZero": "println(1, §xs[0] / (xs[0] - 1));",
    "IndexOutOfBounds": "println(§xs[-1]);",
    "KeyNotFound": 'let m = {"a": 1}; println(§m["b"]);',
    "UnwrapNone": "println(§xs.get(5).unwrap());",
    "UnwrapErr": 'println(§"x".parse_int().unwrap());',
    "TypeMismatch": 'let n: Int = §any("x"); println(n);',
    "CastFailed": 'println(§any("x") as Int);',
    "NoSuchMember": "println(§any(1).missing);",
    "MatchFailed": "println(§match any(1) { 2 => 3 });",
    "InvalidArgument": 'println(§"abc".count(""));',
    "LimitExceeded": 'println(§"abc".repeat(1000000000).len());',
    "TaskCancelled": "task.cancel(); println(await §task);",
    "StreamConsumed": 'let s = M.stream(xs.join(","))?; for _ in s {} for _ in §s {}',
    "StackOverflow": "println(deep(20000));",
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_panic_says_its_kind_and_place(kind: str) -> None:
    program = PROGRAMS[kind]
    head = HEAD.replace("§", "") if "§" in program else HEAD
    text = head.replace("PROGRAM", program)
    before = text[: text.index("§")]
    wanted = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    with concerto.MockServer() as server:
        text = text.replace("§", "").replace("http://127.0.0.1:1", server.url)
        # Warnings, such as that of arms that are left out, are none of this test.
        runtime = concerto.Runtime(concerto.compile(text), clock=concerto.VirtualClock())
        with pytest.raises(concerto.PanicError) as caught:
            runtime.run()
    place = caught.value.trace[0]
    assert (caught.value.kind, place.line, place.column) == (kind, *wanted), caught.value
    assert str(caught.value).startswith(f"{kind}: ")
