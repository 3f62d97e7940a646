//! Containers of values. Values nest without limit, so they are let go of in a loop: recursion would end the process with the native stack.

use std::ops::{Deref, DerefMut};

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use triomphe::{Arc, UniqueArc};

use super::{Captures, EnumValue, FunctionValue, Key, StructValue, TaskValue, Value};

/// The elements of an array or a tuple.
#[derive(Clone, Debug, Default)]
pub struct List(Vec<Value>);

impl List {
    /// The elements alone.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<Value> {
        std::mem::take(&mut self.0)
    }
}

impl From<Vec<Value>> for List {
    fn from(items: Vec<Value>) -> Self {
        Self(items)
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl Deref for List {
    type Target = Vec<Value>;

    fn deref(&self) -> &Vec<Value> {
        &self.0
    }
}

impl DerefMut for List {
    fn deref_mut(&mut self) -> &mut Vec<Value> {
        &mut self.0
    }
}

impl Drop for List {
    fn drop(&mut self) {
        release(&mut self.0);
    }
}

/// The value inside `Some`, `Ok` or `Err`.
#[derive(Clone, Debug, Default)]
pub struct Held(Value);

impl Held {
    /// The value alone.
    #[must_use]
    pub fn into_value(mut self) -> Value {
        std::mem::take(&mut self.0)
    }
}

impl From<Value> for Held {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl Deref for Held {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if is_container(&self.0) {
            let mut pending = vec![std::mem::take(&mut self.0)];
            release(&mut pending);
        }
    }
}

/// The content of a map, in order of insertion.
#[derive(Clone, Debug, Default)]
pub struct MapValue(Entries);

/// Keys come from models and users too: the hash differs from run to run.
pub type Entries = IndexMap<Key, Value, RandomState>;

impl MapValue {
    /// An empty map with room.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        Self(IndexMap::with_capacity_and_hasher(entries, RandomState::default()))
    }

    /// Sets the value of a key; false for what can be none. `near` is as for [`find`](Self::find).
    pub fn put(&mut self, key: &Value, value: Value, near: &mut usize) -> bool {
        if let Some((held, slot)) = self.0.get_index_mut(*near)
            && is_same_key(held, key)
        {
            *slot = value;
            return true;
        }
        let Some(key) = key.to_key() else { return false };
        (*near, _) = self.0.insert_full(key, value);
        true
    }

    /// The value of a key; nothing for what can be none. `near` says where a key was found the last time, in whatever map: mostly the same key is looked up
    /// again soon, to be changed, and then it need not be hashed.
    pub fn find(&self, key: &Value, near: &mut usize) -> Option<&Value> {
        if let Some((held, value)) = self.0.get_index(*near)
            && is_same_key(held, key)
        {
            return Some(value);
        }
        let (place, _, value) = match key {
            Value::Str(text) => self.0.get_full(text),
            Value::Int(number) => self.0.get_full(number),
            other => self.0.get_full(&other.to_key()?),
        }?;
        *near = place;
        Some(value)
    }

    /// The value of a key to be changed; `near` is as for [`find`](Self::find).
    pub fn find_mut(&mut self, key: &Value, near: &mut usize) -> Option<&mut Value> {
        self.find(key, near)?;
        self.0.get_index_mut(*near).map(|(_, value)| value)
    }
}

/// Whether a key is this value; false also for kinds that are seldom keys.
fn is_same_key(key: &Key, value: &Value) -> bool {
    match (key, value) {
        (Key::Str(held), Value::Str(text)) => held == text,
        (Key::Int(held), Value::Int(number)) => held == number,
        _ => false,
    }
}

impl FromIterator<(Key, Value)> for MapValue {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for MapValue {
    type Item = (Key, Value);
    type IntoIter = indexmap::map::IntoIter<Key, Value>;

    fn into_iter(mut self) -> Self::IntoIter {
        std::mem::take(&mut self.0).into_iter()
    }
}

impl Deref for MapValue {
    type Target = Entries;

    fn deref(&self) -> &Entries {
        &self.0
    }
}

impl DerefMut for MapValue {
    fn deref_mut(&mut self) -> &mut Entries {
        &mut self.0
    }
}

impl Drop for MapValue {
    fn drop(&mut self) {
        if self.0.values().any(is_container) {
            let mut pending = self.0.drain(..).map(|(_, value)| value).collect();
            release(&mut pending);
        }
    }
}

impl Drop for StructValue {
    fn drop(&mut self) {
        release(&mut self.fields);
    }
}

impl Drop for EnumValue {
    fn drop(&mut self) {
        release(&mut self.fields);
    }
}

impl Drop for FunctionValue {
    fn drop(&mut self) {
        // Functions that hold functions are let go of one after the other, without a list.
        while let Captures::One([Value::Function(inner)]) = &mut self.captures
            && let Some(inner) = Arc::get_mut(inner)
        {
            let captured = std::mem::take(&mut inner.captures);
            self.captures = captured;
        }
        if self.captures.iter().any(is_container) {
            release(&mut self.captures.iter_mut().map(std::mem::take).collect());
        }
    }
}

impl Drop for TaskValue {
    fn drop(&mut self) {
        if let Some(value) = self.content()
            && is_container(&value)
        {
            release(&mut vec![value]);
        }
    }
}

/// Whether letting go of the value may let go of others.
fn is_container(value: &Value) -> bool {
    matches!(
        value,
        Value::Array(_)
            | Value::Tuple(_)
            | Value::Map(_)
            | Value::Struct(_)
            | Value::Enum(_)
            | Value::Some(_)
            | Value::Ok(_)
            | Value::Err(_)
            | Value::Function(_)
            | Value::Task(_)
            | Value::Collection(_)
    )
}

/// Lets go of values and of all that only they hold.
pub(super) fn release(values: &mut Vec<Value>) {
    if !values.iter().any(is_container) {
        return;
    }
    let mut pending = std::mem::take(values);
    while let Some(value) = pending.pop() {
        match value {
            Value::Array(list) | Value::Tuple(list) => {
                if let Some(mut list) = last(list) {
                    take_containers(&mut list.0, &mut pending);
                }
            }
            Value::Map(map) => {
                if let Some(mut map) = last(map) {
                    take_containers(map.0.values_mut(), &mut pending);
                }
            }
            Value::Struct(held) => {
                if let Some(mut held) = last(held) {
                    take_containers(&mut held.fields, &mut pending);
                }
            }
            Value::Enum(held) => {
                if let Some(mut held) = last(held) {
                    take_containers(&mut held.fields, &mut pending);
                }
            }
            Value::Collection(held) => {
                if let Some(mut held) = last(held) {
                    pending.append(&mut held.drain());
                }
            }
            Value::Function(held) => {
                if let Some(mut held) = last(held) {
                    take_containers(held.captures.iter_mut(), &mut pending);
                }
            }
            Value::Some(held) | Value::Ok(held) | Value::Err(held) => {
                if let Some(mut held) = last(held) {
                    take_containers([&mut held.0], &mut pending);
                }
            }
            Value::Task(held) => {
                if let Some(mut held) = last(held) {
                    pending.extend(held.content());
                }
            }
            _ => {}
        }
    }
}

/// Moves out what may hold more; the rest is let go of where it stands.
fn take_containers<'a>(values: impl IntoIterator<Item = &'a mut Value>, pending: &mut Vec<Value>) {
    pending.extend(values.into_iter().filter(|value| is_container(value)).map(std::mem::take));
}

/// The content, if nobody else holds it.
fn last<T>(held: Arc<T>) -> Option<T> {
    match Arc::try_unwrap(held) {
        Ok(content) => Some(content),
        // Of two that let go at once one gets it. To ask that needs a locked instruction, which the common case need not pay.
        Err(shared) => Arc::into_unique(shared).map(UniqueArc::into_inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{equal, order, to_json};

    fn deep(wrap: impl Fn(Value) -> Value) -> Value {
        (0..300_000).fold(Value::Int(1), |inner, _| wrap(inner))
    }

    #[test]
    fn values_of_any_depth_are_compared_shown_and_let_go_of() {
        let wraps: [fn(Value) -> Value; 5] = [
            |v| Value::array(vec![v]),
            |v| Value::tuple(vec![Value::Nil, v]),
            Value::some,
            Value::err,
            |v| Value::map([(Key::Int(1), v)].into_iter().collect()),
        ];
        for wrap in wraps {
            let (left, right) = (deep(wrap), deep(wrap));
            assert!(equal(&left, &right));
            assert!(left.to_string().contains("..."));
            assert_eq!(order(&left, &right), None);
            assert!(to_json(&left).to_string().contains("..."));
            assert!(left.to_key().is_none());
        }
    }

    #[test]
    fn a_key_is_found_wherever_one_was_found_last() {
        let keys: Vec<Value> = vec![1.into(), "a".into(), true.into(), "b".into(), 2.into()];
        for mut near in 0..7 {
            let mut map = MapValue::default();
            for (key, value) in keys.iter().zip(0_i64..) {
                assert!(map.find(key, &mut near).is_none());
                assert!(map.put(key, value.into(), &mut near));
            }
            for (key, value) in keys.iter().zip(0_i64..) {
                assert!(equal(map.find(key, &mut 99).unwrap(), &value.into()));
                assert!(equal(map.find(key, &mut near).unwrap(), &value.into()));
                *map.find_mut(key, &mut near).unwrap() = (value + 10).into();
                assert!(map.put(&"c".into(), 5.into(), &mut near));
                assert!(equal(map.find(&"c".into(), &mut 99).unwrap(), &5.into()));
            }
            // What is known of one map is not believed of another, nor of what was deleted.
            let other: MapValue = [(Key::Int(9), 1.into())].into_iter().collect();
            assert!(keys.iter().all(|key| other.find(key, &mut near).is_none()));
            assert!(map.find(&2.into(), &mut near).is_some());
            map.shift_remove(&Key::Int(1));
            assert!(equal(map.find(&2.into(), &mut near).unwrap(), &14.into()));
            assert!(map.find(&1.into(), &mut near).is_none());
            assert!(!map.put(&Value::Nil, 1.into(), &mut near) && map.len() == 5);
        }
    }

    #[test]
    fn functions_that_hold_functions_are_let_go_of() {
        let holding = |mut captured: Vec<Value>| {
            let captures = Captures::taken(&mut captured);
            Value::Function(Arc::new(FunctionValue { index: 0, name: None, arity: 0, captures }))
        };
        drop(deep(|v| holding(vec![v])));
        drop(deep(|v| holding(vec![Value::Nil, v])));
        // What somebody else holds stays.
        let inner = holding(vec![Value::Int(7)]);
        drop(holding(vec![inner.clone()]));
        let Value::Function(inner) = inner else { unreachable!() };
        assert_eq!(*inner.captures, [Value::Int(7)]);
    }
}
