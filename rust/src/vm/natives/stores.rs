//! `hashmap` stores. Callbacks are called by the library, which is told here whom and with what.

use super::{Failure, Function, Outcome, Table, length, panic, take, text};
use crate::value::{Full, Key, MapValue, Store, Value};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    ("store.get", Function::Pure(2, |a| Ok(Value::option(store(a)?.get(key(a, 1)?))))),
    (
        "store.at",
        Function::Pure(2, |a| {
            let key = key(a, 1)?;
            match store(a)?.get(key.clone()) {
                Some(value) => Ok(value),
                None => {
                    let shown = Value::array(vec![key.to_value()]).to_string();
                    let shown = shown.trim_start_matches('[').trim_end_matches(']');
                    panic(PanicKind::KeyNotFound, format!("the hashmap has no key {shown}"))
                }
            }
        }),
    ),
    ("store.has", Function::Pure(2, |a| Ok(store(a)?.get(key(a, 1)?).is_some().into()))),
    (
        "store.put",
        Function::Pure(3, |a| {
            let (key, value) = (key(a, 1)?, take(a, 2)?);
            store(a)?.put(key, value).map(Value::option).or_else(full)
        }),
    ),
    (
        "store.others",
        Function::Pure(1, |a| {
            Ok(Value::Int(i64::try_from(store(a)?.others()).unwrap_or(i64::MAX)))
        }),
    ),
    (
        "store.put_if",
        Function::Pure(4, |a| {
            let (key, value) = (key(a, 1)?, take(a, 2)?);
            let Some(Value::Int(others)) = a.get(3) else { return Err(Failure::Broken) };
            let old = store(a)?.put_if(key, value, u64::try_from(*others).unwrap_or(0));
            old.map(|old| Value::option(old.map(Value::option))).or_else(full)
        }),
    ),
    ("store.take", Function::Pure(2, |a| Ok(Value::option(store(a)?.take(key(a, 1)?))))),
    (
        "store.put_all",
        Function::Pure(2, |a| match take(a, 1)? {
            Value::Map(map) => {
                let old = store(a)?.put_all(&map);
                let options = |old: Vec<_>| old.into_iter().map(Value::option).collect();
                old.map(|old| Value::array(options(old))).or_else(full)
            }
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "store.get_many",
        Function::Pure(2, |a| match take(a, 1)? {
            Value::Array(items) => {
                let keys = items.iter().map(Value::to_key).collect::<Option<Vec<_>>>();
                let found = store(a)?.get_all(keys.ok_or(Failure::Broken)?);
                let map: MapValue =
                    found.into_iter().map(|(key, value)| (key, Value::option(value))).collect();
                Ok(Value::Map(map.into()))
            }
            _ => Err(Failure::Broken),
        }),
    ),
    ("store.to_map", Function::Pure(1, |a| Ok(Value::Map(store(a)?.snapshot().into())))),
    ("store.len", Function::Pure(1, |a| Ok(length(store(a)?.len())))),
    ("store.clear", Function::Pure(1, |a| Ok(Value::Map(store(a)?.clear().into())))),
    (
        "store.scope",
        Function::Pure(2, |a| match text(a, 1)? {
            prefix if prefix.contains(':') => {
                panic(PanicKind::InvalidArgument, "the prefix of a scope contains `:`")
            }
            prefix => Ok(store(a)?.scope(prefix).to_value()),
        }),
    ),
    (
        "store.listen",
        Function::Pure(3, |a| {
            let key = match take(a, 1)? {
                Value::Some(held) => Some(held.to_key().ok_or(Failure::Broken)?),
                _ => None,
            };
            let function = take(a, 2)?;
            store(a)?.listen(key, function);
            Ok(Value::Nil)
        }),
    ),
    (
        "store.listeners",
        Function::Pure(2, |a| {
            let heard = store(a)?.listeners(key(a, 1)?);
            let pairs = heard.into_iter().map(|(f, key)| Value::tuple(vec![f, key.to_value()]));
            Ok(Value::array(pairs.collect()))
        }),
    ),
    (
        "store.enter",
        Function::Pure(1, |a| {
            if store(a)?.enter() {
                return Ok(Value::Nil);
            }
            let message = "more than 16 changes inside of one another's callbacks";
            panic(PanicKind::LimitExceeded, message)
        }),
    ),
    (
        "store.leave",
        Function::Pure(1, |a| {
            store(a)?.leave();
            Ok(Value::Nil)
        }),
    ),
];

fn full(full: Full) -> Outcome {
    let message = format!("the stores hold {} bytes, which `max_store_bytes` allows", full.most);
    panic(PanicKind::LimitExceeded, message)
}

fn store(args: &[Value]) -> Result<&Store, Failure> {
    args.first().and_then(Store::of).ok_or(Failure::Broken)
}

fn key(args: &[Value], index: usize) -> Result<Key, Failure> {
    args.get(index).and_then(Value::to_key).ok_or(Failure::Broken)
}
