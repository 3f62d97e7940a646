//! Programs that no compiler wrote: damaged, foreign, of another version. Loading refuses them or makes them harmless.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{IrError, load, print};
use crate::value::{Key, Value};
use crate::vm::{Fiber, Resume, Step};

/// A small program: `fn main() { loop that counts to 3, then returns an array }`.
fn sample() -> Json {
    json!({
        "compiler": "0", "connections": [], "constants": [["string", "x"], ["float", 1.5]], "digest": "",
        "entry": {"exports": [], "main": 0, "top": null}, "features": [],
        "files": [{"digest": "", "lines": [0, 4], "path": "t.conc", "text": null}],
        "format": "concerto-ir",
        "functions": [
            {"code": [
                ["int", 0, 0], ["int", 1, 3],
                ["range_next", 2, 0, 1, 6],
                ["const", 3, 0], ["native", 4, "string.len", 3, 1],
                ["jump", 2],
                ["call", 3, 1, 4, 1], ["move", 4, 3], ["const", 5, 1],
                ["array", 0, 4, 2], ["return", 0]],
             "doc": null, "file": 0, "name": "main", "params": [], "public": false, "registers": 6,
             "result": 0, "span": [0, 9], "spans": [[4, 5, 6]]},
            {"code": [["add_int_imm", 0, 0, 1], ["return", 0]],
             "doc": null, "file": 0, "name": "next", "params": [{"default": null, "name": "n", "type": 1}],
             "public": false, "registers": 1, "result": 1, "span": [0, 9], "spans": []}
        ],
        "models": [], "permissions": {"env": [], "hosts": []}, "schemas": [],
        "types": [["any"], ["int"], ["array", 0]], "version": 1
    })
}

fn run(program: &super::Verified) -> Option<Step> {
    let mut fiber = Fiber::new(program.clone(), program.entry().main?, Vec::new(), 100);
    for _ in 0..50 {
        match fiber.run(Resume::Continue, 1000) {
            Step::Yield => {}
            Step::Needs(_) => return None,
            other => return Some(other),
        }
    }
    None
}

#[test]
fn a_good_program_loads_runs_and_encodes_to_the_same_bytes() {
    let bytes = serde_json::to_vec(&sample()).unwrap();
    let program = load(&bytes).unwrap();
    assert_eq!(String::from_utf8(program.to_bytes()).unwrap(), String::from_utf8(bytes).unwrap());
    let Some(Step::Done(value)) = run(&program) else { panic!() };
    assert_eq!(value.to_string(), "[2, 1.5]");
    assert!(print(&program).contains("range_next"));
}

#[test]
fn other_files_and_versions_are_refused() {
    assert_eq!(load(b"hello").unwrap_err(), IrError::Foreign);
    assert_eq!(load(b"{}").unwrap_err(), IrError::Foreign);
    let mut other = sample();
    other["version"] = 2.into();
    let error = load(&serde_json::to_vec(&other).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "IR format 1 expected, 2 found; rebuild with `concerto build`");
    let mut other = sample();
    other["features"] = json!(["magic"]);
    let error = load(&serde_json::to_vec(&other).unwrap()).unwrap_err();
    assert_eq!(error, IrError::Feature { feature: "magic".to_owned() });
}

#[test]
fn every_index_is_checked() {
    for (pointer, value) in [
        ("/functions/0/code/0", json!(["int", 6, 0])),
        ("/functions/0/code/2", json!(["range_next", 2, 0, 1, 99])),
        ("/functions/0/code/3", json!(["const", 3, 9])),
        ("/functions/0/code/4", json!(["native", 4, "no.such", 3, 1])),
        ("/functions/0/code/4", json!(["native", 4, "string.len", 3, 2])),
        ("/functions/0/code/6", json!(["call", 3, 7, 4, 1])),
        ("/functions/0/code/6", json!(["call", 3, 1, 4, 2])),
        ("/functions/0/code/9", json!(["array", 0, 4, 3])),
        ("/functions/0/code/9", json!(["array", 0, 4])),
        ("/functions/0/code/9", json!(["array", 0, -1, 2])),
        ("/functions/0/code/10", json!(["int", 0, 0])),
        ("/functions/0/code/10", json!(["fly", 0])),
        ("/functions/0/result", json!(77)),
        ("/functions/0/registers", json!(1_000_000)),
        ("/functions/0/spans", json!([[4, 5, 6], [2, 0, 1]])),
        ("/entry/main", json!(5)),
        ("/types/2", json!(["array", 12])),
        ("/types/1", json!(["struct", {"fields": [], "name": "Response", "origin": "record"}])),
    ] {
        let mut bad = sample();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        let outcome = load(&serde_json::to_vec(&bad).unwrap());
        assert!(matches!(outcome, Err(IrError::Malformed { .. })), "{pointer} = {value}");
    }
}

#[test]
fn a_value_of_a_wrong_kind_ends_the_run_and_says_where() {
    let mut bad = sample();
    bad["functions"][0]["code"][4] = json!(["nil", 4]);
    let program = load(&serde_json::to_vec(&bad).unwrap()).unwrap();
    let Some(Step::Broken { what, trace }) = run(&program) else { panic!() };
    assert_eq!((what, trace[0].function.as_str(), trace[0].line), ("add_int_imm", "next", 1));
}

#[test]
fn deep_recursion_ends_in_a_panic_of_the_language() {
    let mut deep = sample();
    deep["functions"][1]["code"] = json!([["call", 0, 1, 0, 1], ["return", 0]]);
    let program = load(&serde_json::to_vec(&deep).unwrap()).unwrap();
    let mut fiber = Fiber::new(program.clone(), 1, vec![Value::Int(1)], 10_000);
    let Step::Panicked(panic) = fiber.run(Resume::Continue, 1_000_000) else { panic!() };
    assert_eq!(panic.kind.to_string(), "StackOverflow");
}

/// `fn next(n) { if n < 2 { n } else { next(n - 1) + next(n - 2) } }`, whose calls test the argument before.
fn recursive() -> super::Verified {
    let mut document = sample();
    document["functions"][1]["code"] = json!([
        ["int", 1, 2],
        ["lt_int", 1, 0, 1],
        ["jump_unless", 1, 4],
        ["return", 0],
        ["add_int_imm", 2, 0, -1],
        ["call", 1, 1, 2, 1],
        ["add_int_imm", 3, 0, -2],
        ["call", 2, 1, 3, 1],
        ["add_int", 1, 1, 2],
        ["return", 1]
    ]);
    document["functions"][1]["registers"] = 4.into();
    document["functions"][1]["spans"] =
        json!([[4, 1, 2], [5, 2, 3], [6, 3, 4], [7, 5, 6], [8, 6, 7]]);
    load(&serde_json::to_vec(&document).unwrap()).unwrap()
}

#[test]
fn a_call_that_ends_at_once_gives_what_the_function_would() {
    let program = recursive();
    let ops: Vec<_> = program.bodies()[1].code.iter().map(|i| i.op).collect();
    assert!(
        ops.contains(&super::Op::AddIntImmCallGuarded) && ops.contains(&super::Op::AddIntReturn)
    );
    for (n, expected) in [(-7, -7), (1, 1), (2, 1), (10, 55), (20, 6765)] {
        let mut fiber = Fiber::new(program.clone(), 1, vec![Value::Int(n)], 21);
        let mut yields = 0;
        let found = loop {
            match fiber.run(Resume::Continue, 50) {
                Step::Yield => yields += 1,
                other => break other,
            }
        };
        assert!(matches!(found, Step::Done(Value::Int(found)) if found == expected), "{n}");
        assert_eq!(yields > 0, n > 5);
    }
}

#[test]
fn a_call_that_ends_at_once_counts_as_active() {
    for (n, depth, fits) in [(1, 1, true), (2, 1, false), (2, 2, true), (9, 8, false), (9, 9, true)]
    {
        let mut fiber = Fiber::new(recursive(), 1, vec![Value::Int(n)], depth);
        match fiber.run(Resume::Continue, 1_000_000) {
            Step::Done(_) => assert!(fits, "{n} in {depth}"),
            Step::Panicked(panic) => {
                assert!(!fits, "{n} in {depth}");
                assert_eq!(panic.kind.to_string(), "StackOverflow");
                assert_eq!((panic.trace.len(), panic.trace[0].column), (depth, 3));
            }
            _ => panic!(),
        }
    }
}

#[test]
fn instructions_that_joined_fail_where_they_stood() {
    let mut document = sample();
    document["functions"][1]["code"] = json!([
        ["int", 1, 0],
        ["lt_int", 1, 1, 0],
        ["jump_if", 1, 4],
        ["return", 0],
        ["add_int_imm", 2, 0, 2_000_000_000],
        ["call", 1, 1, 2, 1],
        ["mul_int", 1, 1, 0],
        ["return", 1]
    ]);
    document["functions"][1]["registers"] = 3.into();
    document["functions"][1]["spans"] = json!([[4, 1, 2], [5, 2, 3], [6, 6, 7]]);
    let program = load(&serde_json::to_vec(&document).unwrap()).unwrap();
    let fails = |n: i64| {
        let mut fiber = Fiber::new(program.clone(), 1, vec![Value::Int(n)], 10);
        let Step::Panicked(panic) = fiber.run(Resume::Continue, 1_000_000) else { panic!("{n}") };
        let places = panic.trace.iter().map(|frame| (frame.line, frame.column));
        (panic.kind.to_string(), places.collect::<Vec<_>>())
    };
    let overflow = "ArithmeticOverflow".to_owned();
    assert_eq!(fails(i64::MAX), (overflow.clone(), vec![(1, 2)]));
    assert_eq!(fails(i64::MAX - 2_000_000_000), (overflow, vec![(1, 2), (1, 3)]));
    let mut wrong = Fiber::new(recursive(), 1, vec![Value::Bool(true)], 10);
    assert!(matches!(wrong.run(Resume::Continue, 100), Step::Broken { what: "lt_int", .. }));
}

#[test]
fn a_busy_loop_yields() {
    let mut busy = sample();
    busy["functions"][0]["code"] = json!([["jump", 0]]);
    busy["functions"][0]["spans"] = json!([]);
    let program = load(&serde_json::to_vec(&busy).unwrap()).unwrap();
    let mut fiber = Fiber::new(program, 0, Vec::new(), 10);
    assert!(matches!(fiber.run(Resume::Continue, 1000), Step::Yield));
    assert!(matches!(fiber.run(Resume::Continue, 1000), Step::Yield));
}

/// Turns of a loop that changes what it shares with a register, until it yields.
fn turns_of(change: &Json, value: Value) -> usize {
    let mut copying = sample();
    let function = &mut copying["functions"][1];
    // 0 the value, 1 its copy, 2 a key, 3 what is set, 4 the turns.
    let end = [json!(["add_int_imm", 4, 4, 1]), json!(["jump", 2])];
    let code =
        [json!(["int", 2, 0]), json!(["int", 4, 0]), json!(["copy", 1, 0]), json!(["const", 3, 0])];
    function["code"] = code.into_iter().chain([change.clone()]).chain(end).collect();
    function["params"][0]["type"] = 0.into();
    function["registers"] = 6.into();
    let program = load(&serde_json::to_vec(&copying).unwrap()).unwrap();
    let mut fiber = Fiber::new(program, 1, vec![value], 10);
    assert!(matches!(fiber.run(Resume::Continue, 10_000), Step::Yield));
    let Some(Value::Int(turns)) = fiber.register(4) else { panic!() };
    usize::try_from(*turns).unwrap()
}

#[test]
fn a_copy_counts_for_as_much_as_is_copied() {
    let array = |length| Value::array(vec![Value::Int(1); length]);
    let map = |length: i64| Value::map((0..length).map(|key| (Key::Int(key), 1.into())).collect());
    let text = |length| Value::text("a".repeat(length));
    let (set, push) =
        (json!(["set_index_array", 1, 2, 3]), json!(["native_mut", 5, "array.push", 1, 3, 1]));
    let set_entry = json!(["set_index_map", 1, 2, 3]);
    let reversed = json!(["native", 3, "array.reversed", 1, 1]);
    let append = json!(["append_string", 1, 3]);
    for (change, short, long) in [
        (&set, array(10), array(640_000)),
        (&push, array(10), array(640_000)),
        (&reversed, array(10), array(640_000)),
        (&set_entry, map(10), map(64_000)),
        (&append, text(10), text(10_240_000)),
    ] {
        let (many, few) = (turns_of(change, short), turns_of(change, long));
        assert!(
            many > 1000 && few < 20,
            "{change}: {many} turns with a short one, {few} with a long one"
        );
    }
}

/// Every place in a document, as JSON pointers.
fn places(json: &Json, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match json {
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{i}"), found);
            }
        }
        Json::Object(map) => {
            for (key, item) in map {
                places(item, &format!("{at}/{key}"), found);
            }
        }
        _ => {}
    }
}

fn replacement() -> impl Strategy<Value = Json> {
    prop_oneof![
        any::<i64>().prop_map(Json::from),
        (0_i64..12).prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(Json::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!("move")),
        Just(json!(["jump", 0])),
        Just(json!(["return_nil"])),
        Just(json!(["payload", 0, 0])),
        Just(json!(["set_index_array", 0, 1, 2])),
        Just(json!(["unwrap_or_jump", 0, 1, 2])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_program_never_does_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), replacement()), 1..6)
    ) {
        let mut document = sample();
        for (index, value) in changes {
            let mut all = Vec::new();
            places(&document, "", &mut all);
            let place = index.get(&all).clone();
            if let Some(target) = document.pointer_mut(&place) {
                *target = value;
            }
        }
        if let Ok(program) = load(&serde_json::to_vec(&document).unwrap()) {
            let _ = print(&program);
            let _ = run(&program);
        }
    }

    #[test]
    fn mutated_bytes_never_do_harm(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&sample()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(program) = load(&bytes) {
            let _ = run(&program);
        }
    }
}
