//! Methods of Map. Iteration is in order of insertion; overwriting keeps the place.

use triomphe::Arc;

use super::{Failure, Function, Table, length, take};
use crate::value::{Key, MapValue, Value};

pub(super) static TABLE: Table = &[
    ("map.len", Function::Pure(1, |a| Ok(length(map(a, 0)?.len())))),
    ("map.is_empty", Function::Pure(1, |a| Ok(map(a, 0)?.is_empty().into()))),
    ("map.get", Function::Pure(2, |a| Ok(Value::option(map(a, 0)?.get(&key(a, 1)?).cloned())))),
    (
        "map.get_or",
        Function::Pure(3, |a| {
            let found = map(a, 0)?.get(&key(a, 1)?).cloned();
            found.map_or_else(|| take(a, 2), Ok)
        }),
    ),
    ("map.has", Function::Pure(2, |a| Ok(map(a, 0)?.contains_key(&key(a, 1)?).into()))),
    (
        "map.keys",
        Function::Pure(1, |a| Ok(Value::array(map(a, 0)?.keys().map(Key::to_value).collect()))),
    ),
    ("map.values", Function::Pure(1, |a| Ok(Value::array(map(a, 0)?.values().cloned().collect())))),
    (
        "map.entries",
        Function::Pure(1, |a| {
            let entries = map(a, 0)?.iter();
            Ok(Value::array(
                entries.map(|(k, v)| Value::tuple(vec![k.to_value(), v.clone()])).collect(),
            ))
        }),
    ),
    (
        "map.merge",
        Function::Pure(2, |a| {
            let mut joined = map(a, 0)?.clone();
            joined.extend(map(a, 1)?.clone());
            Ok(Value::map(joined))
        }),
    ),
    (
        "map.set",
        Function::Mutating(2, |r, a| {
            let (key, value) = (key(a, 0)?, take(a, 1)?);
            entries(r)?.insert(key, value);
            Ok(Value::Nil)
        }),
    ),
    (
        "map.delete",
        Function::Mutating(1, |r, a| {
            let key = key(a, 0)?;
            Ok(entries(r)?.shift_remove(&key).is_some().into())
        }),
    ),
    (
        "map.take",
        Function::Mutating(1, |r, a| {
            let key = key(a, 0)?;
            Ok(Value::option(entries(r)?.shift_remove(&key)))
        }),
    ),
    (
        "map.clear",
        Function::Mutating(0, |r, _| {
            entries(r)?.clear();
            Ok(Value::Nil)
        }),
    ),
    (
        "map.extend",
        Function::Mutating(1, |r, a| {
            let more = map(a, 0)?.clone();
            entries(r)?.extend(more);
            Ok(Value::Nil)
        }),
    ),
];

fn map(args: &[Value], index: usize) -> Result<&MapValue, Failure> {
    match args.get(index) {
        Some(Value::Map(map)) => Ok(map),
        _ => Err(Failure::Broken),
    }
}

fn entries(receiver: &mut Value) -> Result<&mut MapValue, Failure> {
    match receiver {
        Value::Map(map) => Ok(Arc::make_mut(map)),
        _ => Err(Failure::Broken),
    }
}

fn key(args: &[Value], index: usize) -> Result<Key, Failure> {
    args.get(index).and_then(Value::to_key).ok_or(Failure::Broken)
}
