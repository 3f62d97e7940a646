"""`hashmap` stores that are kept in files, runs that share nothing, and sets at the border of Python (library reference 5.1; toolchain reference 8.7)."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import concerto
import pytest
from concerto.compiler import compile_source
from concerto.source import Source

from tests.conftest import ROOT
from tests.waiting import wait_for

KEPT = """
schema Visit { page: String, count: Int }
hashmap visits: HashMap<String, Visit> = HashMap::new().with_persistence("visits.json");
hashmap places: HashMap<(Int, Int), String> = HashMap::new().with_persistence("places.json");
hashmap loose: HashMap<String, Int> = HashMap::new();
pub fn visit(page: String) -> Int {
    loose.set(page, 1);
    visits.update(page, Visit { page: page, count: 0 }, |v| Visit { page: v.page, count: v.count + 1 }).count
}
pub fn place(x: Int, y: Int, name: String) { places[(x, y)] = name; }
pub fn all() -> (Array<String>, Int) { (visits.keys(), loose.len()) }
pub fn place_of(x: Int, y: Int) -> Option<String> { places.get((x, y)) }
pub fn fails(page: String) { visit(page); panic("after the change"); }
pub fn waits(page: String) {
    visit(page);
    while !std::fs::exists("go") { std::time::sleep(1); }
}
"""


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(KEPT)


def test_entries_survive_the_run_that_made_them(program: concerto.Program, tmp_path: Path) -> None:
    runtime = concerto.Runtime(program, fs_root=tmp_path)
    assert runtime.call("all") == ([], 0)
    assert not (tmp_path / "visits.json").exists(), "nothing changed, so nothing is written"
    assert [runtime.call("visit", page) for page in ("b", "a", "b")] == [1, 1, 2]
    runtime.call("place", 1, -2, "here")
    again = concerto.Runtime(program, fs_root=tmp_path)
    assert again.call("all") == (["b", "a"], 0), "in order, and only what is kept"
    assert again.call("place_of", 1, -2) == "here"
    assert json.loads((tmp_path / "visits.json").read_text()) == {
        "b": {"page": "b", "count": 2},
        "a": {"page": "a", "count": 1},
    }
    assert json.loads((tmp_path / "places.json").read_text()) == [[[1, -2], "here"]]


def test_a_run_that_fails_keeps_its_changes(program: concerto.Program, tmp_path: Path) -> None:
    runtime = concerto.Runtime(program, fs_root=tmp_path)
    with pytest.raises(concerto.PanicError):
        runtime.call("fails", "x")
    assert runtime.call("visit", "x") == 2


def test_changes_are_saved_while_a_run_goes_on(program: concerto.Program, tmp_path: Path) -> None:
    run = concerto.Runtime(program, fs_root=tmp_path).start("waits", "x")
    while not (tmp_path / "visits.json").exists():
        assert not run.done
    assert "x" in json.loads((tmp_path / "visits.json").read_text())
    (tmp_path / "go").touch()
    run.result(30)


def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_file(tmp_path: Path) -> None:
    source = """
    hashmap big: HashMap<Int, String> = HashMap::new().with_persistence("big.json");
    fn main() {
        let mut round = 0;
        loop {
            round += 1;
            for i in 0..3000 { big.set(i, "${round} ".repeat(100)); }
            std::time::sleep(1);
        }
    }
    pub fn count() -> (Int, Int) { (big.len(), big.values().map(|v| v.len()).min() ?? 0) }
    """
    (tmp_path / "main.conc").write_text(source, encoding="utf-8")
    kept = tmp_path / "big.json"
    command = [sys.executable, "-m", "concerto", "run", "main.conc"]
    for _ in range(3):
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        process = subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "python")})
        # In the middle of the next saving, or of one behind it: its new file stands beside the old one.
        wait_for(lambda: kept.exists() and kept.stat().st_mtime_ns != before)  # noqa: B023
        wait_for(lambda: any("big" in each.name and each != kept for each in tmp_path.iterdir()))
        process.kill()
        process.wait()
        runtime = concerto.Runtime(concerto.compile(source), fs_root=tmp_path)
        count, least = runtime.call("count")
        assert (count, least >= 200) == (3000, True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "the hashmap `visits` cannot use `visits.json`: no JSON: EOF"),
        ("1", "neither an object nor an array of pairs"),
        ('{"a": {"page": "a"}}', 'the entry "a" does not fit: '),
        ("[[1]]", "[1] is no pair of a key and a value"),
    ],
)
def test_a_file_that_does_not_fit_stops_the_run(
    program: concerto.Program, tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "visits.json").write_text(text)
    with pytest.raises(concerto.ProgramError) as failed:
        concerto.Runtime(program, fs_root=tmp_path).call("all")
    assert problem in str(failed.value)
    assert (tmp_path / "visits.json").read_text() == text, "the file stays as it is"


def test_files_of_stores_obey_the_permissions(program: concerto.Program, tmp_path: Path) -> None:
    with pytest.raises(concerto.ProgramError, match="the program may not write files"):
        concerto.Runtime(program, fs_root=tmp_path, fs_mode="read").call("all")
    outside = concerto.compile(
        'hashmap h: HashMap<String, Int> = HashMap::new().with_persistence("../h.json"); pub fn f() { h.set("a", 1); }'
    )
    (tmp_path / "root").mkdir()
    with pytest.raises(concerto.ProgramError, match="outside of the folder"):
        concerto.Runtime(outside, fs_root=tmp_path / "root").call("f")
    assert not (tmp_path / "h.json").exists()


def test_runs_begin_with_empty_stores() -> None:
    program = concerto.compile(
        'hashmap h: HashMap<String, Int> = HashMap::new(); pub fn f() -> Int { h.update("n", 0, |n| n + 1) }'
    )
    runtime = concerto.Runtime(program)
    assert [runtime.call("f"), runtime.call("f")] == [1, 1]


def panic_of(body: str) -> str:
    text = f"""
    hashmap h: HashMap<String, Int> = HashMap::new();
    hashmap n: HashMap<Int, Int> = HashMap::new();
    pub fn f() {{ {body} }}
    """
    with pytest.raises(concerto.PanicError) as failed:
        concerto.Runtime(concerto.compile(text)).call("f")
    return str(failed.value)


def test_what_panics() -> None:
    assert panic_of('println(h["x"]);') == 'KeyNotFound: the hashmap has no key "x"'
    assert (
        panic_of('println(h.scope("a:b"));')
        == "InvalidArgument: the prefix of a scope contains `:`"
    )
    deep = panic_of("n.on_any_change(|k, old, new| n.set(k + 1, 0)); n.set(0, 0);")
    assert deep == "LimitExceeded: more than 16 changes inside of one another's callbacks"
    wrong = panic_of('let v: Any = "text"; h.set("a", v);')
    assert wrong.startswith("TypeMismatch: expected `Int`, found `String`")


def diagnostics(text: str) -> list[str]:
    return [f"{d.code}: {d.message}" for d in compile_source(Source("t.conc", text))[1]]


HEAD = 'hashmap h: HashMap<Int, Array<Int>> = HashMap::new();\nconnect c { provider: "ollama" }\nmodel M { provider: c, base: "m" }\n'
WAITS = "E3033: the function of `update` waits here, so that the update would not be atomic"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('h.set("a", [1]);', ["E3001: expected `Int`, found `String`"]),
        ('h.set(1, "a");', ["E3001: expected `Array<Int>`, found `String`"]),
        ('h["a"] = [1];', ["E3001: expected `Int`, found `String`"]),
        ("h[1] = 2;", ["E3001: expected `Array<Int>`, found `Int`"]),
        (
            'h.scope("a");',
            [
                "E3011: `scope` is a method of `HashMap<String, V>`, found `HashMap<Int, Array<Int>>`"
            ],
        ),
        ("h.st(1, [1]);", ["E3011: `HashMap<Int, Array<Int>>` has no method `st`"]),
        ("h[1].push(2);", ["E2006: an entry of a store is changed as a whole"]),
        ("for x in h { println(x); }", ["E3024: a map has pairs"]),
        (
            'h.update(1, [], |old| { println(M.execute("x")); old });',
            [WAITS],
        ),
        ("h.update(1, [], |old| { std::time::sleep(1); old });", [WAITS]),
        ("h.update(1, [], |old| { slow(); old });", [WAITS]),
        ("h.update(1, [], |old| old.concat([1]));", []),
    ],
)
def test_keys_values_and_methods_are_checked(body: str, expected: list[str]) -> None:
    text = f"{HEAD}fn slow() {{ std::time::sleep(1); }}\nfn main() {{ slow(); {body} }}"
    assert diagnostics(text) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("let s = std::collections::Set::new(); println(s);", ["E3007: what this `Set` holds is never known"]),
        ("let s = std::collections::Set::from([1.5]); println(s);", ["E3036: `Float` cannot be in a set"]),
        ("let s: std::collections::Set<Float> = std::collections::Set::new(); println(s);", ["E3036: `Float` cannot be in a set"]),
        ("println(std::collections::Set::nw());", ["E2001: there is no function `Set::nw`"]),
        ("println(std::collections::Stak::new());", ["E2001: `std::collections` has no `Stak`"]),
        ("println(std::collections::Queue::new(1));", ["E3032: `Queue::new` takes 0 arguments, found 1"]),
        ("let s: Set<Int> = [1].to_set(); println(s);", ["E2002: there is no type `Set`"]),
        ("let s = [1].to_set(); s.insert(2);", ["E2006: `s` cannot be changed: it is immutable"]),
        ("for x in std::collections::Stack::from([1]) { println(x); }", ["E3024: `Stack<Int>` is not iterable"]),
        ("let mut q = std::collections::Queue::new(); q.enqueue(1); q.enqueue(\"a\");", ["E3001: expected `Int`, found `String`"]),
    ],
)  # fmt: skip
def test_elements_of_collections_are_checked(body: str, expected: list[str]) -> None:
    assert diagnostics(f"fn main() {{ {body} }}") == expected


def test_sets_reach_python_in_order() -> None:
    program = concerto.compile(
        """
        pub fn set() -> Any { ["b", "a"].to_set() }
        pub fn queue() -> Any { std::collections::Queue::from([2, 1]) }
        """
    )
    runtime = concerto.Runtime(program)
    found: Any = runtime.call("set")
    assert found == {"a", "b"}
    assert list(found) == ["b", "a"]
    assert repr(found) == "{'b', 'a'}"
    assert list(pickle.loads(pickle.dumps(found))) == ["b", "a"]
    assert runtime.call("queue") == [2, 1]


SHARED = """
hashmap counts: HashMap<String, Int> = HashMap::new();
hashmap texts: HashMap<String, String> = HashMap::new();
pub fn count(key: String) -> Int {
    counts.on_change(key, |old, new| emit("changed", "${old} ${new}"));
    counts.update(key, 0, |n| n + 1)
}
pub fn fill(n: Int) -> Int {
    for i in 0..n { texts.set("${i}", "x".repeat(100)); }
    texts.len()
}
pub fn many(n: Int) { let mut all = {}; for i in 0..n { all["${i}"] = "x".repeat(100); } texts.set_many(all); }
pub fn again(n: Int) -> Int { for _i in 0..n { texts.set("k", "x".repeat(100)); } texts.len() }
"""


def test_runs_share_stores_only_if_the_host_says_so() -> None:
    program = concerto.compile(SHARED)
    own = concerto.Runtime(program)
    assert [own.call("count", "a") for _ in range(3)] == [1, 1, 1]
    seen: list[str] = []
    shared = concerto.Runtime(program, shared_stores=True)
    shared.on("changed", seen.append)
    assert [shared.call("count", "a") for _ in range(3)] == [1, 2, 3]
    # Each run hears its own change, once.
    assert seen == ["None Some(1)", "Some(1) Some(2)", "Some(2) Some(3)"]
    assert concerto.Runtime(program, shared_stores=True).call("count", "a") == 1


def test_shared_stores_are_kept_in_their_file(tmp_path: Path) -> None:
    source = """
    hashmap kept: HashMap<String, Int> = HashMap::new().with_persistence("kept.json");
    pub fn add() -> Int { kept.update("n", 0, |n| n + 1) }
    """
    runtime = concerto.Runtime(concerto.compile(source), shared_stores=True, fs_root=tmp_path)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: runtime.call("add"), range(12))) == list(range(1, 13))
    assert json.loads((tmp_path / "kept.json").read_text()) == {"n": 12}


def test_stores_have_a_limit() -> None:
    program = concerto.compile(SHARED)
    small = concerto.Runtime(program, max_store_bytes=2000)
    assert small.call("fill", 5) == 5
    assert small.call("again", 1000) == 1
    for name in ("fill", "many"):
        with pytest.raises(concerto.PanicError, match="2000 bytes") as caught:
            small.call(name, 100)
        assert caught.value.kind == "LimitExceeded"
    assert concerto.Runtime(program).call("fill", 100) == 100


def test_a_file_with_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    source = """
    hashmap kept: HashMap<String, String> = HashMap::new().with_persistence("kept.json");
    pub fn size() -> Int { kept.len() }
    """
    (tmp_path / "kept.json").write_text(json.dumps({"k": "x" * 3000}))
    runtime = concerto.Runtime(concerto.compile(source), max_store_bytes=2000, fs_root=tmp_path)
    with pytest.raises(concerto.ProgramError, match="`kept` holds more than `max_store_bytes`"):
        runtime.call("size")
