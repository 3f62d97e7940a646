//! What the tables of the Python tests do not reach: values that are no JSON, messages, and types that no compiler writes.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Violation, check, conform, decode, repair};
use crate::ir::{Verified, load};
use crate::value::{Value, to_json};

/// A program that has these types and one function, `fn f(x)`.
fn program(types: &Json) -> Result<Verified, String> {
    let document = json!({
        "compiler": "0", "connections": [], "constants": [], "digest": "",
        "entry": {"exports": [], "main": null, "top": null}, "features": [],
        "files": [{"digest": "", "lines": [0], "path": "t.conc", "text": null}],
        "format": "concerto-ir",
        "functions": [{"code": [["return", 0]], "doc": null, "file": 0, "name": "f",
            "params": [{"default": null, "name": "x", "type": 0}],
            "public": false, "registers": 1, "result": 0, "span": [0, 9], "spans": []}],
        "models": [], "permissions": {"env": [], "hosts": []}, "schemas": [], "types": types, "version": 1
    });
    load(&serde_json::to_vec(&document).unwrap()).map_err(|error| error.to_string())
}

fn field(name: &str, ty: u32) -> Json {
    json!({"name": name, "json": name, "type": ty, "optional": false, "default": null})
}

fn schema(fields: &Json) -> Json {
    json!(["struct", {"name": "S", "origin": "schema", "fields": fields}])
}

#[test]
fn any_values_conform_deeply() {
    let types = json!([
        ["any"],
        ["int"],
        ["float"],
        ["array", 2],
        ["option", 1],
        ["tuple", [2, 1]],
        ["result", 2, 0],
        ["union", [1, 3]],
        ["literal", ["a"]],
        ["map", 1, 2],
        ["string"],
        ["map", 10, 2]
    ]);
    let program = program(&types).unwrap();
    let ints = |numbers: &[i64]| Value::array(numbers.iter().map(|n| Value::Int(*n)).collect());
    let shown =
        |ty: u32, value: Value| conform(&program, ty, value).map(|value| format!("{value:?}"));
    let debug = |value: Value| Ok(format!("{value:?}"));
    // An Int becomes a Float wherever one is wanted.
    assert_eq!(
        shown(3, ints(&[1, 2])),
        debug(Value::array(vec![Value::Float(1.0), Value::Float(2.0)]))
    );
    assert_eq!(shown(4, Value::Nil), debug(Value::None));
    assert_eq!(shown(4, Value::Int(1)), debug(Value::some(Value::Int(1))));
    let pair = |a: Value, b: Value| Value::Tuple(Arc::new(vec![a, b]));
    assert_eq!(
        shown(5, pair(Value::Int(1), Value::Int(2))),
        debug(pair(Value::Float(1.0), Value::Int(2)))
    );
    assert_eq!(shown(6, Value::ok(Value::Int(1))), debug(Value::ok(Value::Float(1.0))));
    assert_eq!(shown(7, ints(&[1])), debug(Value::array(vec![Value::Float(1.0)])));
    for (ty, value, found) in [
        (1, Value::Float(1.0), "Float"),
        (3, Value::array(vec![Value::text("x")]), "String"),
        (5, Value::Tuple(Arc::new(vec![Value::Int(1)])), "Tuple"),
        (7, Value::text("x"), "String"),
        (8, Value::text("b"), "String"),
        (99, Value::Nil, "?"),
    ] {
        assert_eq!(shown(ty, value), Err(found.to_owned()));
    }
}

/// SC-24
#[test]
fn a_repair_message_has_the_programs_words_and_every_violation() {
    let violation = |path: &str, reason, expected: &str, actual: &str| Violation {
        path: path.to_owned(),
        reason,
        expected: expected.to_owned(),
        actual: actual.to_owned(),
    };
    let all = [
        violation("/a", "missing_field", "Int", "nothing"),
        violation("", "parse", "JSON", "text"),
        Violation::validator("/b".to_owned(), "too long".to_owned()),
    ];
    let list = "Your last answer does not fit the schema `S`:\n- /a: expected Int, got nothing\n\
        - the answer: expected JSON, got text\n- /b: too long\n\
        Answer again, with one JSON value that fits the schema and nothing else.";
    assert_eq!(repair("S", &all, "", None), list);
    assert_eq!(repair("S", &all, "Be careful.", None), format!("Be careful.\n\n{list}"));
    let unseen = list.replace("Answer again", "This is its JSON Schema:\n{}\nAnswer again");
    assert_eq!(repair("S", &all, "", Some("{}")), unseen);
}

/// SC-13: validators of inner values come first.
#[test]
fn validators_are_listed_from_the_inside_out() {
    let mut inner = schema(&json!([field("n", 0)]));
    inner[1]["validators"] = json!([0]);
    let mut outer = schema(&json!([field("one", 1), field("more", 2)]));
    outer[1]["name"] = json!("T");
    outer[1]["validators"] = json!([0, 0]);
    let program = program(&json!([["int"], inner, ["array", 1], outer])).unwrap();
    let decoded =
        check(&program, 3, &json!({"one": {"n": 1}, "more": [{"n": 2}, {"n": 3}]})).unwrap();
    let found: Vec<_> =
        decoded.pending.iter().map(|each| (each.path.as_str(), to_json(&each.value))).collect();
    let whole = to_json(&decoded.value);
    assert_eq!(
        found,
        [
            ("/one", json!({"n": 1})),
            ("/more/0", json!({"n": 2})),
            ("/more/1", json!({"n": 3})),
            ("", whole.clone()),
            ("", whole),
        ]
    );
}

#[test]
fn a_member_of_a_union_that_does_not_fit_leaves_no_validator() {
    let mut first = schema(&json!([field("n", 0), field("m", 0)]));
    first[1]["name"] = json!("T");
    let mut inner = schema(&json!([field("n", 0)]));
    inner[1]["validators"] = json!([0]);
    first[1]["fields"][0]["type"] = json!(1);
    let types = json!([["int"], inner, first, ["any"], ["union", [2, 3]]]);
    let decoded = check(&program(&types).unwrap(), 4, &json!({"n": {"n": 1}})).unwrap();
    assert!(decoded.pending.is_empty());
}

#[test]
fn damaged_types_are_refused() {
    let own = json!([["option", 0]]);
    assert!(program(&own).unwrap_err().contains("type index out of range"));
    assert!(program(&json!([["union", [1]], ["union", [0]]])).unwrap_err().contains("type index"));
    let mut bad = schema(&json!([field("n", 1)]));
    bad[1]["fields"][0]["checks"] = json!({"pattern": "["});
    let error = program(&json!([bad, ["string"]])).unwrap_err();
    assert!(error.contains("the pattern of a field of `S`: unclosed character class"), "{error}");
    let mut bad = schema(&json!([]));
    bad[1]["validators"] = json!([7]);
    assert!(program(&json!([bad])).unwrap_err().contains("validator index out of range"));
}

#[test]
fn json_that_nests_deeper_than_answers_may_is_refused() {
    let program = program(&json!([["array", 0]])).unwrap_err();
    assert!(program.contains("type index"));
    let list = json!([["struct", {"name": "S", "origin": "schema", "fields": [field("s", 1)]}], ["option", 0]]);
    let program = self::program(&list).unwrap();
    let nested = (0..200).fold(json!({"s": null}), |inner, _| json!({"s": inner}));
    let violations = decode(&program, 0, &nested).unwrap_err();
    assert_eq!(violations.len(), 1);
    assert_eq!(
        (violations[0].reason, violations[0].expected.as_str()),
        ("parse", "at most 128 levels")
    );
}
