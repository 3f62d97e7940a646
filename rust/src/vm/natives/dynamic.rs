//! What can be done with values whose type is only known at run time (language reference 6.4). What does not fit panics TypeMismatch.

use super::{
    Failure, Function, Outcome, Table, arrays, clamped, counted, panic, sized, take, text,
};
use std::sync::Arc;

use crate::value::{List, RangeValue, Value, order};
use crate::vm::PanicKind;

macro_rules! operator {
    ($name:literal, $ints:expr, $floats:expr) => {
        (concat!("any.", $name), Function::Pure(2, |a| arithmetic(a, $name, $ints, $floats)))
    };
}
macro_rules! comparison {
    ($name:literal, $test:expr) => {
        (concat!("any.", $name), Function::Pure(2, |a| compare(a, $test)))
    };
}

pub(super) static TABLE: Table = &[
    operator!("add", i64::checked_add, |a, b| a + b),
    operator!("sub", i64::checked_sub, |a, b| a - b),
    operator!("mul", i64::checked_mul, |a, b| a * b),
    operator!("div", i64::checked_div, |a, b| a / b),
    // The smallest Int modulo -1 is 0, though the division overflows.
    operator!("rem", |a, b| Some(a.wrapping_rem(b)), |a, b| a % b),
    comparison!("lt", std::cmp::Ordering::is_lt),
    comparison!("le", std::cmp::Ordering::is_le),
    (
        "any.neg",
        Function::Pure(1, |a| match take(a, 0)? {
            Value::Int(number) => match number.checked_neg() {
                Some(result) => Ok(Value::Int(result)),
                None => overflow(),
            },
            Value::Float(number) => Ok(Value::Float(-number)),
            other => mismatch("a number", &other),
        }),
    ),
    ("any.field", Function::Pure(2, |a| field(&take(a, 0)?, text(a, 1)?))),
    ("any.index", Function::Pure(2, |a| index(&take(a, 0)?, &take(a, 1)?))),
    (
        "any.set_field",
        Function::Pure(3, |a| {
            let (whole, new) = (take(a, 0)?, take(a, 2)?);
            set_field(whole, text(a, 1)?, new)
        }),
    ),
    ("any.set_index", Function::Pure(3, |a| set_index(take(a, 0)?, &take(a, 1)?, take(a, 2)?))),
    (
        "any.no_method",
        Function::Pure(2, |a| {
            let (found, name) = (a.first().map_or("Nil", Value::type_name), text(a, 1)?);
            let message = format!("a value of type `{found}` has no such method `{name}`");
            panic(PanicKind::NoSuchMember, message)
        }),
    ),
    (
        // An Option of the value, for `??`.
        "any.option",
        Function::Pure(1, |a| {
            Ok(match take(a, 0)? {
                Value::Nil | Value::None => Value::None,
                some @ Value::Some(_) => some,
                other => Value::some(other),
            })
        }),
    ),
    (
        // An array of what a loop over the value takes.
        "any.items",
        Function::Pure(1, |a| match take(a, 0)? {
            array @ Value::Array(_) => Ok(array),
            Value::Range(range) => {
                counted(clamped(range.len()))?;
                Ok(Value::array(range.numbers().map(Value::Int).collect()))
            }
            Value::Map(map) => {
                let pair = |key: Value, value: &Value| Value::tuple(vec![key, value.clone()]);
                Ok(Value::array(map.iter().map(|(k, v)| pair(k.to_value(), v)).collect()))
            }
            Value::Collection(items) => Ok(Value::array(items.values())),
            other => mismatch("something to iterate", &other),
        }),
    ),
];

fn mismatch<T>(wanted: &str, found: &Value) -> Result<T, Failure> {
    let message = format!("expected {wanted}, found `{}`", found.type_name());
    panic(PanicKind::TypeMismatch, message)
}

fn overflow<T>() -> Result<T, Failure> {
    panic(PanicKind::ArithmeticOverflow, "the result does not fit into 64 bits")
}

fn arithmetic(
    args: &mut [Value],
    name: &str,
    ints: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
) -> Outcome {
    let (left, right) = (take(args, 0)?, take(args, 1)?);
    match (&left, &right) {
        (Value::Int(_), Value::Int(0)) if matches!(name, "div" | "rem") => {
            panic(PanicKind::DivisionByZero, "division by zero")
        }
        (Value::Int(a), Value::Int(b)) => ints(*a, *b).map_or_else(overflow, |n| Ok(n.into())),
        (Value::Str(_) | Value::Struct(_), Value::Str(_) | Value::Struct(_)) if name == "add" => {
            joined(&left, &right)
        }
        _ => match (number(&left), number(&right)) {
            (Some(a), Some(b)) => Ok(Value::Float(floats(a, b))),
            (Some(_), None) => mismatch("a number", &right),
            (None, _) => mismatch("a number", &left),
        },
    }
}

/// Texts and built-in errors.
fn joined(left: &Value, right: &Value) -> Outcome {
    let mut whole = String::new();
    for part in [left, right] {
        match part {
            Value::Struct(held) if !held.ty.is_error => return mismatch("`String`", part),
            text => whole.push_str(&text.to_string()),
        }
    }
    sized(whole.len())?;
    Ok(whole.into())
}

#[expect(clippy::cast_precision_loss, reason = "the nearest Float")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

fn compare(args: &mut [Value], test: fn(std::cmp::Ordering) -> bool) -> Outcome {
    let (left, right) = (take(args, 0)?, take(args, 1)?);
    let is_nan = |value: &Value| matches!(value, Value::Float(number) if number.is_nan());
    match order(&left, &right) {
        Some(order) => Ok(test(order).into()),
        None if is_nan(&left) || is_nan(&right) => Ok(false.into()),
        None => {
            let message =
                format!("`{}` and `{}` have no order", left.type_name(), right.type_name());
            panic(PanicKind::TypeMismatch, message)
        }
    }
}

fn field(value: &Value, name: &str) -> Outcome {
    match value {
        Value::Map(map) => {
            let key = Value::from(name).to_key();
            Ok(key.and_then(|key| map.get(&key).cloned()).unwrap_or_default())
        }
        Value::Struct(held) => match held.get(name) {
            Some(field) => Ok(field.clone()),
            None => {
                panic(PanicKind::NoSuchMember, format!("`{}` has no field `{name}`", held.ty.name))
            }
        },
        other => panic(
            PanicKind::NoSuchMember,
            format!("a value of type `{}` has no field `{name}`", other.type_name()),
        ),
    }
}

fn set_field(whole: Value, name: &str, new: Value) -> Outcome {
    match whole {
        Value::Map(mut map) => {
            if let Some(key) = Value::from(name).to_key() {
                Arc::make_mut(&mut map).insert(key, new);
            }
            Ok(Value::Map(map))
        }
        Value::Struct(mut held) => {
            let place = held.ty.fields.iter().position(|(own, _)| own == name);
            match place.and_then(|place| Arc::make_mut(&mut held).fields.get_mut(place)) {
                Some(field) => *field = new,
                None => return field(&Value::Struct(held), name),
            }
            Ok(Value::Struct(held))
        }
        other => field(&other, name),
    }
}

fn set_index(whole: Value, at: &Value, new: Value) -> Outcome {
    match (whole, at) {
        (Value::Map(mut map), key) => match key.to_key() {
            Some(key) => {
                Arc::make_mut(&mut map).insert(key, new);
                Ok(Value::Map(map))
            }
            None => mismatch("a key", at),
        },
        (Value::Array(mut items), Value::Int(position)) => {
            set_item(&mut items, *position, new)?;
            Ok(Value::Array(items))
        }
        (Value::Tuple(mut items), Value::Int(position)) => {
            set_item(&mut items, *position, new)?;
            Ok(Value::Tuple(items))
        }
        (Value::Array(_) | Value::Tuple(_), other) => mismatch("an index", other),
        (other, _) => mismatch("an array, a map or a tuple", &other),
    }
}

fn set_item(items: &mut Arc<List>, position: i64, new: Value) -> Result<(), Failure> {
    let count = items.len();
    let place = usize::try_from(position).ok();
    match place.and_then(|place| Arc::make_mut(items).get_mut(place)) {
        Some(item) => {
            *item = new;
            Ok(())
        }
        None => arrays::out_of_bounds(position, count),
    }
}

fn index(value: &Value, at: &Value) -> Outcome {
    match (value, at) {
        (Value::Map(map), key) => match key.to_key() {
            Some(key) => Ok(map.get(&key).cloned().unwrap_or_default()),
            None => mismatch("a key", at),
        },
        (Value::Array(items) | Value::Tuple(items), Value::Int(position)) => {
            let found = usize::try_from(*position).ok().and_then(|position| items.get(position));
            found.cloned().map_or_else(|| arrays::out_of_bounds(*position, items.len()), Ok)
        }
        (Value::Str(text), Value::Int(position)) => {
            let count = text.char_count();
            match usize::try_from(*position) {
                Ok(position) if position < count => Ok(text.slice(position, position + 1).into()),
                _ => arrays::out_of_bounds(*position, count),
            }
        }
        (Value::Array(items), Value::Range(range)) => {
            let (start, end) = bounds(range);
            Ok(Value::array(arrays::slice(items, start, end).to_vec()))
        }
        (Value::Str(text), Value::Range(range)) => {
            let (start, end) = bounds(range);
            Ok(text.slice(start, end).into())
        }
        (Value::Array(_) | Value::Str(_), other) => mismatch("an index", other),
        (other, _) => mismatch("an array, a map or a string", other),
    }
}

/// Bounds of a slice: negative ones count as 0.
fn bounds(range: &RangeValue) -> (usize, usize) {
    let (start, end) = range.exclusive();
    let clamp = |bound: i64| usize::try_from(bound.max(0)).unwrap_or(usize::MAX);
    (clamp(start), clamp(end).max(clamp(start)))
}
