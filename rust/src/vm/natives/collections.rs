//! `std::collections`: sets, queues and stacks.

use std::collections::VecDeque;

use triomphe::Arc;

use super::{Failure, Function, Outcome, Table, length, take};
use crate::value::{Collection, CollectionKind, Key, Keys, List, Value};

macro_rules! common {
    ($new:literal, $from:literal, $len:literal, $is_empty:literal, $to_array:literal, $clear:literal, $kind:ident) => {
        &[
            ($new, Function::Pure(0, |_| from(CollectionKind::$kind, Vec::new()))),
            (
                $from,
                Function::Pure(1, |a| match take(a, 0)? {
                    Value::Array(items) => from(CollectionKind::$kind, items.to_vec()),
                    _ => Err(Failure::Broken),
                }),
            ),
            ($len, Function::Pure(1, |a| Ok(length(of(a, 0)?.len())))),
            ($is_empty, Function::Pure(1, |a| Ok(of(a, 0)?.is_empty().into()))),
            ($to_array, Function::Pure(1, |a| Ok(Value::array(of(a, 0)?.values())))),
            (
                $clear,
                Function::Mutating(0, |r, _| {
                    *r = from(CollectionKind::$kind, Vec::new())?;
                    Ok(Value::Nil)
                }),
            ),
        ]
    };
}

pub(super) static SETS: Table =
    common!("set.new", "set.from", "set.len", "set.is_empty", "set.to_array", "set.clear", Set);
pub(super) static QUEUES: Table = common!(
    "queue.new",
    "queue.from",
    "queue.len",
    "queue.is_empty",
    "queue.to_array",
    "queue.clear",
    Queue
);
pub(super) static STACKS: Table = common!(
    "stack.new",
    "stack.from",
    "stack.len",
    "stack.is_empty",
    "stack.to_array",
    "stack.clear",
    Stack
);

pub(super) static TABLE: Table = &[
    (
        "set.contains",
        Function::Pure(2, |a| {
            let wanted = key(&take(a, 1)?)?;
            Ok(set(a, 0)?.contains(&wanted).into())
        }),
    ),
    (
        "set.insert",
        Function::Mutating(1, |r, a| {
            let key = key(&take(a, 0)?)?;
            match collection(r)? {
                Collection::Set(keys) => Ok(keys.insert(key).into()),
                _ => Err(Failure::Broken),
            }
        }),
    ),
    (
        "set.remove",
        Function::Mutating(1, |r, a| {
            let key = key(&take(a, 0)?)?;
            match collection(r)? {
                Collection::Set(keys) => Ok(keys.shift_remove(&key).into()),
                _ => Err(Failure::Broken),
            }
        }),
    ),
    ("set.union", Function::Pure(2, |a| combined(a, |x, y| x.union(y).cloned().collect()))),
    (
        "set.intersection",
        Function::Pure(2, |a| combined(a, |x, y| x.intersection(y).cloned().collect())),
    ),
    (
        "set.difference",
        Function::Pure(2, |a| combined(a, |x, y| x.difference(y).cloned().collect())),
    ),
    (
        "set.symmetric_difference",
        Function::Pure(2, |a| combined(a, |x, y| x.symmetric_difference(y).cloned().collect())),
    ),
    ("set.is_subset", Function::Pure(2, |a| Ok(set(a, 0)?.is_subset(set(a, 1)?).into()))),
    (
        "queue.enqueue",
        Function::Mutating(1, |r, a| {
            let item = take(a, 0)?;
            queue(r)?.push_back(item);
            Ok(Value::Nil)
        }),
    ),
    ("queue.dequeue", Function::Mutating(0, |r, _| Ok(Value::option(queue(r)?.pop_front())))),
    (
        "queue.peek",
        Function::Pure(1, |a| match of(a, 0)? {
            Collection::Queue(items) => Ok(Value::option(items.front().cloned())),
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "stack.push",
        Function::Mutating(1, |r, a| {
            let item = take(a, 0)?;
            stack(r)?.push(item);
            Ok(Value::Nil)
        }),
    ),
    ("stack.pop", Function::Mutating(0, |r, _| Ok(Value::option(stack(r)?.pop())))),
    (
        "stack.peek",
        Function::Pure(1, |a| match of(a, 0)? {
            Collection::Stack(items) => Ok(Value::option(items.last().cloned())),
            _ => Err(Failure::Broken),
        }),
    ),
];

fn from(kind: CollectionKind, values: Vec<Value>) -> Outcome {
    let made = Collection::from_values(kind, values).ok_or(Failure::Broken)?;
    Ok(Value::Collection(Arc::new(made)))
}

fn of(args: &[Value], index: usize) -> Result<&Collection, Failure> {
    match args.get(index) {
        Some(Value::Collection(collection)) => Ok(collection),
        _ => Err(Failure::Broken),
    }
}

fn collection(receiver: &mut Value) -> Result<&mut Collection, Failure> {
    match receiver {
        Value::Collection(collection) => Ok(Arc::make_mut(collection)),
        _ => Err(Failure::Broken),
    }
}

fn set(args: &[Value], index: usize) -> Result<&Keys, Failure> {
    match of(args, index)? {
        Collection::Set(keys) => Ok(keys),
        _ => Err(Failure::Broken),
    }
}

fn queue(receiver: &mut Value) -> Result<&mut VecDeque<Value>, Failure> {
    match collection(receiver)? {
        Collection::Queue(items) => Ok(items),
        _ => Err(Failure::Broken),
    }
}

fn stack(receiver: &mut Value) -> Result<&mut List, Failure> {
    match collection(receiver)? {
        Collection::Stack(items) => Ok(items),
        _ => Err(Failure::Broken),
    }
}

fn key(value: &Value) -> Result<Key, Failure> {
    value.to_key().ok_or(Failure::Broken)
}

fn combined(args: &[Value], how: fn(&Keys, &Keys) -> Keys) -> Outcome {
    let keys = how(set(args, 0)?, set(args, 1)?);
    Ok(Value::Collection(Arc::new(Collection::Set(keys))))
}
