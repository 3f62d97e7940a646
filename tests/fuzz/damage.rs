//! Compiled programs as no compiler writes them: parts of good ones moved, exchanged, repeated and replaced. What is made depends on the programs and
//! the dice alone.
//!
//! Most of the damage keeps to the bounds that the verifier checks, so that it reaches the rewriting of the code and the virtual machine.

use std::collections::HashMap;
use std::sync::LazyLock;

use concerto::ir::ops::{Kind, TABLE};
use fastrand::Rng;
use serde_json::{Value as Json, json};

static NATIVES: LazyLock<Vec<(&str, usize, bool)>> = LazyLock::new(concerto::native_functions);
static REQUESTS: LazyLock<Vec<(&str, usize)>> = LazyLock::new(concerto::requests);
static BY_NAME: LazyLock<HashMap<&str, &[Kind]>> =
    LazyLock::new(|| TABLE.iter().map(|(_, name, kinds)| (*name, *kinds)).collect());

/// A damaged copy of one of the programs, which are sorted by size: small ones come more often.
pub fn damaged(programs: &[Json], dice: &mut Rng) -> Vec<u8> {
    let mut document = programs[low(dice, programs.len())].clone();
    // Code first: after that, nothing may be where it belongs.
    for _ in 0..[0, 1, 1, 1, 2, 2, 3, 6][dice.usize(..8)] {
        damage_code(&mut document, programs, dice);
    }
    if dice.u8(..10) == 0 {
        damage_constant(&mut document, dice);
    }
    if dice.u8(..4) == 0 {
        for _ in 0..dice.usize(1..4) {
            damage_json(&mut document, dice);
        }
    }
    let mut bytes = serde_json::to_vec(&document).expect("its keys are texts");
    if dice.u8(..20) == 0 {
        damage_bytes(&mut bytes, dice);
    }
    bytes
}

/// A number below `bound`, more often a low one.
fn low(dice: &mut Rng, bound: usize) -> usize {
    let share = dice.f64() * dice.f64();
    ((bound as f64 * share) as usize).min(bound - 1)
}

/// A number below `bound`, or 0 where there is none.
fn below(dice: &mut Rng, bound: usize) -> usize {
    dice.usize(..bound.max(1))
}

fn len(document: &Json, part: &str) -> usize {
    document[part].as_array().map_or(0, Vec::len)
}

/// Numbers and other values at the edge of what fits, or beyond.
fn odd(dice: &mut Rng) -> Json {
    match dice.u8(..24) {
        0 => json!(0),
        1 => json!(1),
        2 => json!(-1),
        3 => json!(2),
        4 => json!(65_534),
        5 => json!(65_535),
        6 => json!(65_536),
        7 => json!(i32::MAX),
        8 => json!(i32::MIN),
        9 => json!(u32::MAX),
        10 => json!(1_u64 << 32),
        11 => json!(i64::MAX),
        12 => json!(i64::MIN),
        13 => json!(u64::MAX),
        14 => json!(1e300),
        15 => json!(1.5),
        16 => json!(null),
        17 => json!(true),
        18 => json!(""),
        19 => json!("é\u{0}\u{1f600}"),
        20 => json!([]),
        21 => json!({}),
        22 => json!([[]]),
        _ => json!(dice.i64(..)),
    }
}

/// Other instructions and operands in one function, mostly within bounds.
fn damage_code(document: &mut Json, programs: &[Json], dice: &mut Rng) {
    let Some(index) = with_code(document, dice) else { return };
    let bounds = Bounds::of(document, index);
    let what = dice.u8(..16);
    if what == 0 {
        // The code of another function, also of another program: nothing of it belongs here.
        let other = if dice.bool() {
            document.clone()
        } else {
            programs[low(dice, programs.len())].clone()
        };
        if let Some(from) = with_code(&other, dice) {
            let parts = ["code", "registers", "spans"];
            for part in parts.iter().take(dice.usize(1..=parts.len())) {
                document["functions"][index][part] = other["functions"][from][part].clone();
            }
        }
        return;
    }
    if what == 1 {
        let registers = document["functions"][index]["registers"].as_u64().unwrap_or(0);
        let changed = [0, 1, registers.saturating_sub(1), registers + 1, 65_535, 65_536];
        document["functions"][index]["registers"] = json!(changed[dice.usize(..changed.len())]);
        return;
    }
    let Some(code) = document["functions"][index]["code"].as_array_mut() else { return };
    let (at, other) = (dice.usize(..code.len()), dice.usize(..code.len()));
    match what {
        2 => {
            code.remove(at);
        }
        3 => {
            let copy = code[other].clone();
            code.insert(at, copy);
        }
        4 => code.swap(at, other),
        5 => code[at] = bounds.instruction(dice),
        6 => code.insert(at, bounds.instruction(dice)),
        7 => {
            // Less of the code, with an end that the verifier takes.
            code.truncate(at + 1);
            code.push(json!(["return_nil"]));
        }
        8 | 9 => {
            // Another operation on the same operands.
            let kinds = code[at][0].as_str().and_then(|name| BY_NAME.get(name)).copied();
            let same: Vec<&str> =
                TABLE.iter().filter(|row| Some(row.2) == kinds).map(|row| row.1).collect();
            if let Some(name) = dice.choice(same) {
                code[at][0] = json!(name);
            }
        }
        10 => {
            // One operand of another instruction of the same name.
            let name = code[at][0].clone();
            let alike: Vec<usize> = (0..code.len()).filter(|at| code[*at][0] == name).collect();
            let from = dice.choice(alike).unwrap_or(at);
            let count = code[at].as_array().map_or(0, Vec::len);
            if count > 1 {
                let operand = dice.usize(1..count);
                code[at][operand] = code[from][operand].clone();
            }
        }
        _ => {
            let kinds = code[at][0].as_str().and_then(|name| BY_NAME.get(name)).copied();
            let Some(kinds) = kinds.filter(|kinds| !kinds.is_empty()) else { return };
            let operand = dice.usize(..kinds.len());
            if let Some(place) = code[at].get_mut(operand + 1) {
                *place = bounds.operand(kinds[operand], dice);
            }
        }
    }
}

/// Some function that has code.
fn with_code(document: &Json, dice: &mut Rng) -> Option<usize> {
    let functions = document["functions"].as_array()?;
    let has_code =
        |at: &usize| functions[*at]["code"].as_array().is_some_and(|code| !code.is_empty());
    // What is called first is called most.
    let first = (0..4).map(|_| low(dice, functions.len().max(1))).find(|at| *at < functions.len());
    first.filter(has_code).or_else(|| (0..functions.len()).find(has_code))
}

/// What operands of a function may be.
struct Bounds {
    registers: usize,
    code: usize,
    constants: usize,
    types: usize,
    models: usize,
    schemas: usize,
    tools: usize,
    /// Parameters of each function.
    functions: Vec<usize>,
}

impl Bounds {
    fn of(document: &Json, function: usize) -> Self {
        let functions = document["functions"].as_array().map_or(&[][..], Vec::as_slice);
        let own = &document["functions"][function];
        Self {
            registers: own["registers"].as_u64().map_or(0, |count| count.min(70_000) as usize),
            code: len(own, "code"),
            constants: len(document, "constants"),
            types: len(document, "types"),
            models: len(document, "models"),
            schemas: len(document, "schemas"),
            tools: len(document, "tools"),
            functions: functions.iter().map(|function| len(function, "params")).collect(),
        }
    }

    fn operand(&self, kind: Kind, dice: &mut Rng) -> Json {
        if dice.u8(..40) == 0 {
            return odd(dice);
        }
        let bound = match kind {
            Kind::Reg | Kind::Pair | Kind::Window | Kind::WindowPairs => self.registers,
            Kind::Count => 4,
            Kind::Const => self.constants,
            Kind::Imm => return json!(if dice.bool() { dice.i32(-2..5) } else { dice.i32(..) }),
            Kind::Jump => self.code,
            Kind::Type => self.types,
            Kind::Function => self.functions.len(),
            Kind::Model => self.models,
            Kind::Schema => self.schemas,
            Kind::Tool => self.tools,
            Kind::Native => return json!(NATIVES[dice.usize(..NATIVES.len())].0),
            Kind::Effect => return json!(REQUESTS[dice.usize(..REQUESTS.len())].0),
        };
        json!(below(dice, bound))
    }

    /// Any instruction, its window as long as what it calls wants.
    fn instruction(&self, dice: &mut Rng) -> Json {
        let (_, name, kinds) = TABLE[dice.usize(..TABLE.len())];
        let mutates = name == "native_mut";
        let (mut wanted, mut operands) = (None, vec![json!(name)]);
        for kind in kinds {
            let operand = match (kind, wanted) {
                (Kind::Native, _) => {
                    let fitting: Vec<_> = NATIVES.iter().filter(|row| row.2 == mutates).collect();
                    let (name, arity, _) = fitting[dice.usize(..fitting.len())];
                    wanted = Some(arity - usize::from(mutates));
                    json!(name)
                }
                (Kind::Effect, _) => {
                    let (name, arity) = REQUESTS[dice.usize(..REQUESTS.len())];
                    wanted = Some(arity);
                    json!(name)
                }
                (Kind::Function, _) => {
                    let function = below(dice, self.functions.len());
                    wanted = self.functions.get(function).copied();
                    json!(function)
                }
                (Kind::Count, Some(count)) => json!(count),
                _ => self.operand(*kind, dice),
            };
            operands.push(operand);
        }
        Json::Array(operands)
    }
}

/// Another constant: a number at an edge, or a text.
fn damage_constant(document: &mut Json, dice: &mut Rng) {
    let count = len(document, "constants");
    if count > 0 {
        document["constants"][dice.usize(..count)] = odd(dice);
    }
}

/// Any value anywhere becomes another, or goes.
fn damage_json(document: &mut Json, dice: &mut Rng) {
    let copy = somewhere(document, dice).clone();
    let place = somewhere(document, dice);
    match dice.u8(..6) {
        0 => *place = copy,
        1 => *place = odd(dice),
        2 => *place = json!(dice.u8(..5)),
        3 => {
            let words = [
                json!("any"),
                json!(["array", 0]),
                json!(["union", [0, 1]]),
                json!(["tuple", [0]]),
                json!("A"),
            ];
            *place = words[dice.usize(..words.len())].clone();
        }
        _ => match place {
            Json::Array(items) if !items.is_empty() => {
                let at = dice.usize(..items.len());
                if dice.bool() {
                    items.remove(at);
                } else {
                    let other = items[dice.usize(..items.len())].clone();
                    items.insert(at, other);
                }
            }
            Json::Object(fields) if !fields.is_empty() => {
                let key = fields.keys().nth(dice.usize(..fields.len())).cloned();
                key.and_then(|key| fields.shift_remove(&key));
            }
            Json::Number(number) => {
                let near = number.as_i64().unwrap_or(0).wrapping_add(dice.i64(-2..=2));
                *place = json!(near);
            }
            other => *other = odd(dice),
        },
    }
}

/// Any value in a document, by a walk from its root.
fn somewhere<'a>(document: &'a mut Json, dice: &mut Rng) -> &'a mut Json {
    let mut here = document;
    loop {
        let count = match &*here {
            Json::Array(items) => items.len(),
            Json::Object(fields) => fields.len(),
            _ => 0,
        };
        if count == 0 || dice.u8(..8) == 0 {
            return here;
        }
        let at = dice.usize(..count);
        here = match here {
            Json::Array(items) => &mut items[at],
            Json::Object(fields) => fields.values_mut().nth(at).expect("counted"),
            _ => unreachable!("only containers have parts"),
        };
    }
}

/// Bytes changed, cut off, left out or put in.
fn damage_bytes(bytes: &mut Vec<u8>, dice: &mut Rng) {
    for _ in 0..dice.usize(1..4) {
        let at = below(dice, bytes.len());
        match dice.u8(..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.u8(..)),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => {
                let end = (at + dice.usize(..40)).min(bytes.len());
                let repeated = bytes[at..end].repeat(dice.usize(1..200));
                bytes.splice(at..at, repeated);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.u8(..8);
                }
            }
        }
    }
}
