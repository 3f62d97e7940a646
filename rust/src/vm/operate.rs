//! What instructions do to values, apart from the loop that executes them.

#![expect(clippy::indexing_slicing, reason = "the verifier checked every index")]

use std::sync::LazyLock;

use triomphe::Arc;

use super::effect::PanicKind;
use super::machine::{Caller, Stop};
use super::natives::{self, Failure};
use crate::ir::Verified;
use crate::ir::ops::Op;
use crate::ir::program::Type;
use crate::schema;
use crate::value::{Held, MAX_TEXT, MapValue, RangeValue, Text, Value};

/// The registers of an active function; the stack grows if they reach above it.
#[inline(always)]
pub(super) fn frame(stack: &mut Vec<Value>, base: usize, registers: usize) -> &mut [Value] {
    grow(stack, base + registers);
    &mut stack[base..base + registers]
}

/// Makes room on the stack.
#[inline(always)]
pub(super) fn grow(stack: &mut Vec<Value>, top: usize) {
    if stack.len() < top {
        stack.resize(top, Value::Nil);
    }
}

/// Makes room for more callers, if there may be more.
#[cold]
pub(super) fn deepen(callers: &mut Vec<Caller>, max_depth: usize) -> bool {
    /// As many as most programs need.
    const FIRST: usize = 8;
    let (now, most) = (callers.len(), max_depth.saturating_sub(1));
    if now < most {
        callers.resize((2 * now).max(FIRST).min(most), Caller::default());
    }
    now < most
}

/// Whether a value owns nothing.
#[inline(always)]
fn is_plain(value: &Value) -> bool {
    matches!(value, Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::None)
}

/// Assignment with a short way for plain old values: most registers hold numbers, and the general drop of a [`Value`] is a call. It makes
/// loops of arithmetic about twice as fast.
#[inline(always)]
pub(super) fn set(slot: &mut Value, value: Value) {
    if is_plain(slot) {
        std::mem::forget(std::mem::replace(slot, value));
    } else {
        *slot = value;
    }
}

/// Takes a value out of a register. The call keeps the table of all kinds away from where the usual ones are told apart.
#[inline(never)]
pub(super) fn taken(slot: &mut Value) -> Value {
    std::mem::take(slot)
}

/// Such an assignment of a number or a truth value. What is alive across a call costs the processor's registers also where the call is not
/// made, so the call of the long way takes the number along.
#[inline(always)]
pub(super) fn put<T>(slot: &mut Value, kind: impl Fn(T) -> Value, content: T) {
    if is_plain(slot) {
        std::mem::forget(std::mem::replace(slot, kind(content)));
    } else {
        put_over(slot, kind, content);
    }
}

#[cold]
#[inline(never)]
fn put_over<T>(slot: &mut Value, kind: impl Fn(T) -> Value, content: T) {
    *slot = kind(content);
}

/// A value that owns nothing, to be copied part by part: numbers were mostly written by parts a moment ago, and reading them as a whole makes
/// the processor wait until the parts have come to the cache. It makes code that moves numbers about twice as fast.
#[derive(Clone, Copy)]
pub(super) enum Plain {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    None,
}

impl Plain {
    #[inline(always)]
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Nil => Self::Nil,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Int(number) => Self::Int(*number),
            Value::Float(number) => Self::Float(*number),
            Value::None => Self::None,
            _ => return None,
        })
    }
}

impl From<Plain> for Value {
    #[inline(always)]
    fn from(plain: Plain) -> Self {
        match plain {
            Plain::Nil => Self::Nil,
            Plain::Bool(truth) => Self::Bool(truth),
            Plain::Int(number) => Self::Int(number),
            Plain::Float(number) => Self::Float(number),
            Plain::None => Self::None,
        }
    }
}

/// Copies what a function captured behind its arguments. The verifier has seen that there is room.
pub(super) fn capture(registers: &mut [Value], function: &Value) {
    let Value::Function(function) = function else { return };
    for (slot, value) in registers[function.arity..].iter_mut().zip(&*function.captures) {
        match *value {
            Value::Int(number) => put(slot, Value::Int, number),
            Value::Float(number) => put(slot, Value::Float, number),
            _ => *slot = value.clone(),
        }
    }
}

/// Whether an error value is of a type that a clause may name. Types of containers are not told apart.
pub(super) fn is_of_type(types: &[Type], index: u32, value: &Value) -> bool {
    let is_one = |index: &u32| match (types.get(*index as usize), value) {
        (Some(Type::Any), _)
        | (Some(Type::String), Value::Str(_))
        | (Some(Type::Int), Value::Int(_))
        | (Some(Type::Float), Value::Float(_))
        | (Some(Type::Bool), Value::Bool(_))
        | (Some(Type::Nil), Value::Nil)
        | (Some(Type::Array(_)), Value::Array(_))
        | (Some(Type::Map(..)), Value::Map(_))
        | (Some(Type::Tuple(_)), Value::Tuple(_))
        | (Some(Type::Option(_)), Value::None | Value::Some(_))
        | (Some(Type::Result(..)), Value::Ok(_) | Value::Err(_))
        | (Some(Type::Range), Value::Range(_)) => true,
        (Some(Type::Literal(words)), Value::Str(text)) => words.iter().any(|w| **w == **text),
        (Some(Type::Struct(wanted)), Value::Struct(found)) => wanted.name == found.ty.name,
        (Some(Type::Enum(wanted)), Value::Enum(found)) => wanted.name == found.ty.name,
        _ => false,
    };
    match types.get(index as usize) {
        Some(Type::Union(members)) => members.iter().any(is_one),
        _ => is_one(&index),
    }
}

/// Lets go of all that registers own; plain values may stay, nobody reads them.
#[inline(always)]
pub(super) fn clear(registers: &mut [Value]) {
    for slot in registers {
        if !is_plain(slot) {
            *slot = Value::Nil;
        }
    }
}

/// Moves a window out of the registers.
pub(super) fn window(registers: &mut [Value], first: usize, count: usize) -> Vec<Value> {
    registers[first..first + count].iter_mut().map(std::mem::take).collect()
}

/// The value inside, without a copy where nobody else holds it.
pub(super) fn unshared(inner: Arc<Held>) -> Value {
    Arc::try_unwrap(inner).map_or_else(|shared| Value::clone(&shared), Held::into_value)
}

/// How many elements are copied in the time of an instruction; so many bytes of text as take their room.
const COPIED: usize = 64;

/// How many instructions a copy of the value counts for, which is made to change it or was made a moment ago. A loop that copies much in each turn would
/// otherwise not notice for seconds that its time is over.
#[inline(always)]
pub(super) fn copying(value: &Value, is_shared: bool) -> usize {
    const BYTES: usize = COPIED * std::mem::size_of::<Value>();
    match value {
        Value::Array(items) | Value::Tuple(items) if items.is_unique() != is_shared => {
            items.len() / COPIED
        }
        Value::Map(map) if map.is_unique() != is_shared => map.len() / COPIED,
        Value::Collection(items) if items.is_unique() != is_shared => items.len() / COPIED,
        Value::Str(text) if text.is_unique() != is_shared => text.len() / BYTES,
        _ => 0,
    }
}

/// Gives a holder of shared content a copy of its own, and says how many instructions that counts for. Apart, as `Arc::make_mut` is a call also where there is
/// nothing to copy.
#[cold]
#[inline(never)]
pub(super) fn split<T: Clone>(held: &mut Arc<T>, elements: usize) -> usize {
    *held = Arc::new(T::clone(held));
    elements / COPIED
}

/// Joins display forms, with constants at the ends; appends in place if the first is a text with one owner.
pub(super) fn concat(
    first: Option<&Value>,
    parts: &mut [Value],
    last: Option<&Value>,
) -> Result<Value, Failure> {
    /// What a value that is no text is expected to take.
    const USUAL: usize = 8;
    let room = |part: &Value| if let Value::Str(text) = part { text.len() } else { USUAL };
    let rooms = |parts: &[Value]| {
        let last = last.map_or(0, room);
        parts.iter().fold(last, |sum, part| sum + room(part)).min(MAX_TEXT)
    };
    let (mut joined, rest) = match (first, parts) {
        (Some(first), parts) => {
            let mut joined = Text::with_room(rooms(parts) + room(first));
            append_shown(&mut joined, first)?;
            (joined, parts)
        }
        (None, [first, rest @ ..]) => {
            let mut joined = match std::mem::take(first) {
                Value::Str(text) => text,
                other => {
                    let mut shown = Text::new("");
                    shown.push_shown(&other);
                    shown
                }
            };
            joined.reserve(rooms(rest));
            (joined, rest)
        }
        (None, []) => (Text::new(""), &mut [][..]),
    };
    append(&mut joined, rest)?;
    last.map_or(Ok(()), |last| append_shown(&mut joined, last))?;
    Ok(Value::Str(joined))
}

/// Appends a display form in place.
pub(super) fn append_shown(text: &mut Text, part: &Value) -> Result<(), Failure> {
    match part {
        Value::Str(part) => return push(text, part),
        Value::Int(number) => text.push_str(itoa::Buffer::new().format(*number)),
        other => text.push_shown(other),
    }
    natives::sized(text.len())
}

/// Whether a text begins, ends with or contains another one, as the native function of that number says.
pub(super) fn test(function: u32, text: &Value, part: &Value) -> Option<bool> {
    static KINDS: LazyLock<[Option<u32>; 2]> =
        LazyLock::new(|| ["string.starts_with", "string.ends_with"].map(natives::find));
    let (Value::Str(text), Value::Str(part)) = (text, part) else { return None };
    let [starts, ends] = *KINDS;
    Some(match Some(function) {
        kind if kind == starts => text.starts_with(&**part),
        kind if kind == ends => text.ends_with(&**part),
        _ => text.contains(&**part),
    })
}

/// Appends a text in place.
#[inline]
pub(super) fn push(text: &mut Text, more: &str) -> Result<(), Failure> {
    natives::sized(text.len() + more.len())?;
    text.push_str(more);
    Ok(())
}

/// Appends display forms in place.
pub(super) fn append(text: &mut Text, parts: &mut [Value]) -> Result<(), Failure> {
    for part in parts {
        append_shown(text, part)?;
        set(part, Value::Nil);
    }
    Ok(())
}

pub(super) fn pairs(window: &mut [Value]) -> Option<MapValue> {
    let mut map = MapValue::with_capacity(window.len() / 2);
    for pair in window.chunks_exact_mut(2) {
        map.insert(pair[0].to_key()?, std::mem::take(&mut pair[1]));
    }
    clear(window);
    Some(map)
}

/// `as`: besides what enters a typed place, a Float that has a whole part becomes an Int. The error says what cannot be converted.
pub(super) fn cast(program: &Verified, wanted: u32, value: Value) -> Result<Value, String> {
    match (program.types().get(wanted as usize), &value) {
        (Some(Type::Int), Value::Float(number)) => {
            natives::float_to_int(*number).map(Value::Int).ok_or_else(|| value.to_string())
        }
        _ => schema::conform(program, wanted, value),
    }
}

/// A field of a struct or an element of a tuple, to be changed.
#[inline(always)]
pub(super) fn part_of(whole: &mut Value, position: u32) -> Option<&mut Value> {
    match whole {
        Value::Struct(held) => {
            if !held.is_unique() {
                split(held, 0);
            }
            Arc::get_mut(held)?.fields.get_mut(position as usize)
        }
        Value::Tuple(items) => {
            if !items.is_unique() {
                split(items, 0);
            }
            Arc::get_mut(items)?.get_mut(position as usize)
        }
        _ => None,
    }
}

/// Such a part, to be read.
#[inline(always)]
pub(super) fn part(whole: &Value, position: u32) -> Option<&Value> {
    match whole {
        Value::Struct(held) => held.fields.get(position as usize),
        Value::Tuple(items) => items.get(position as usize),
        _ => None,
    }
}

/// What an operation of Floats gives; its number stands in an instruction that changes a place.
#[inline(always)]
pub(super) fn calculated(op: u32, left: f64, right: f64) -> f64 {
    const ADD: u32 = Op::AddFloat as u32;
    const SUB: u32 = Op::SubFloat as u32;
    const MUL: u32 = Op::MulFloat as u32;
    match op {
        ADD => left + right,
        SUB => left - right,
        MUL => left * right,
        _ => left / right,
    }
}

/// Likewise of Ints; nothing if it does not fit.
#[inline(always)]
pub(super) fn calculated_int(op: u32, left: i64, right: i64) -> Option<i64> {
    const ADD: u32 = Op::AddInt as u32;
    const SUB: u32 = Op::SubInt as u32;
    match op {
        ADD => left.checked_add(right),
        SUB => left.checked_sub(right),
        _ => left.checked_mul(right),
    }
}

pub(super) fn within(index: i64, len: usize) -> Result<usize, Failure> {
    match usize::try_from(index) {
        Ok(position) if position < len => Ok(position),
        _ => natives::out_of_bounds(index, len),
    }
}

pub(super) fn no_key(key: &Value) -> Stop {
    let shown = Value::array(vec![key.clone()]).to_string();
    let shown = shown.trim_start_matches('[').trim_end_matches(']');
    Stop::Panic(PanicKind::KeyNotFound, format!("the map has no key {shown}"))
}

/// Bounds of a slice: negative ones count as 0.
pub(super) fn bounds(range: &RangeValue) -> (usize, usize) {
    let (start, end) = range.exclusive();
    let clamp = |bound: i64| usize::try_from(bound.max(0)).unwrap_or(usize::MAX);
    (clamp(start), clamp(end).max(clamp(start)))
}
