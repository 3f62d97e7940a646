//! `hashmap` stores: references, so that every copy names the same entries. A scope is a view of the entries whose keys begin with its prefix.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Foreign, Key, MapValue, Text, Value};

/// Callbacks may change the store that calls them so deep.
const DEEPEST: usize = 16;

/// A `hashmap` of the program, or a scope of one.
#[derive(Clone, Debug)]
pub struct Store {
    name: Arc<str>,
    entries: Arc<Mutex<Entries>>,
    /// Ends in `:` unless it is empty.
    prefix: String,
}

#[derive(Debug, Default)]
struct Entries {
    map: MapValue,
    listeners: Vec<Listener>,
    depth: usize,
    /// Counts changes, for whoever saves them.
    version: u64,
}

/// A function of key, old and new value that wants to know of changes.
#[derive(Debug)]
struct Listener {
    /// As the whole store has it; `None` wants all below the prefix.
    key: Option<Key>,
    prefix: String,
    function: Value,
}

impl Store {
    /// A store with these entries.
    #[must_use]
    pub fn new(name: &str, map: MapValue) -> Self {
        let entries = Entries { map, ..Entries::default() };
        Self { name: name.into(), entries: Arc::new(Mutex::new(entries)), prefix: String::new() }
    }

    /// The store as a value of the program.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Foreign(Arc::new(Box::new(self.clone())))
    }

    /// The store that a value is.
    #[must_use]
    pub fn of(value: &Value) -> Option<&Self> {
        match value {
            // The outer box hides the type that `as_any` is to reveal.
            Value::Foreign(thing) => (***thing).as_any().downcast_ref(),
            _ => None,
        }
    }

    /// A view of the keys that begin with `name:`.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        Self { prefix: format!("{}{name}:", self.prefix), ..self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key as the whole store has it.
    fn full(&self, key: Key) -> Key {
        match key {
            Key::Str(text) if !self.prefix.is_empty() => {
                Key::Str(Text::new(format!("{}{text}", self.prefix)))
            }
            other => other,
        }
    }

    /// A key of the whole store as this view has it; `None` if it is not in it.
    fn own(&self, key: &Key) -> Option<Key> {
        if self.prefix.is_empty() {
            return Some(key.clone());
        }
        match key {
            Key::Str(text) => text.strip_prefix(&*self.prefix).map(|own| Key::Str(Text::new(own))),
            _ => None,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Value> {
        self.lock().map.get(&self.full(key)).cloned()
    }

    /// Sets a value; gives the old one.
    #[must_use]
    pub fn put(&self, key: Key, value: Value) -> Option<Value> {
        let mut entries = self.lock();
        entries.version += 1;
        entries.map.insert(self.full(key), value)
    }

    /// Removes a key; gives its value.
    #[must_use]
    pub fn take(&self, key: Key) -> Option<Value> {
        let mut entries = self.lock();
        let taken = entries.map.shift_remove(&self.full(key));
        entries.version += u64::from(taken.is_some());
        taken
    }

    /// Sets several values at once; gives the old ones.
    #[must_use]
    pub fn put_all(&self, map: &MapValue) -> Vec<Option<Value>> {
        let mut entries = self.lock();
        entries.version += 1;
        map.iter().map(|(k, v)| entries.map.insert(self.full(k.clone()), v.clone())).collect()
    }

    /// The values of several keys at one moment.
    #[must_use]
    pub fn get_all(&self, keys: Vec<Key>) -> Vec<(Key, Option<Value>)> {
        let entries = self.lock();
        let found = |key: Key| (key.clone(), entries.map.get(&self.full(key)).cloned());
        keys.into_iter().map(found).collect()
    }

    /// How many entries the view shows.
    #[must_use]
    pub fn count(&self) -> usize {
        let entries = self.lock();
        if self.prefix.is_empty() {
            return entries.map.len();
        }
        entries.map.keys().filter(|key| self.own(key).is_some()).count()
    }

    /// What the view shows at this moment.
    #[must_use]
    pub fn snapshot(&self) -> MapValue {
        let entries = self.lock();
        let own = entries.map.iter();
        own.filter_map(|(key, value)| Some((self.own(key)?, value.clone()))).collect()
    }

    /// Removes what the view shows; gives it.
    #[must_use]
    pub fn clear(&self) -> MapValue {
        let removed = self.snapshot();
        let mut entries = self.lock();
        entries.map.retain(|key, _| self.own(key).is_none());
        entries.version += 1;
        removed
    }

    /// Wants a function of key, old and new value to be called after changes, of one key or of all.
    pub fn listen(&self, key: Option<Key>, function: Value) {
        let key = key.map(|key| self.full(key));
        let prefix = self.prefix.clone();
        self.lock().listeners.push(Listener { key, prefix, function });
    }

    /// Who wants to know of a change of a key, in order: the function, and the key as it knows it.
    #[must_use]
    pub fn listeners(&self, key: Key) -> Vec<(Value, Key)> {
        let key = self.full(key);
        let entries = self.lock();
        let heard = entries.listeners.iter().filter_map(|listener| {
            let view = Self { prefix: listener.prefix.clone(), ..self.clone() };
            let is_meant = listener.key.as_ref().is_none_or(|own| *own == key);
            let own = view.own(&key).filter(|_| is_meant)?;
            Some((listener.function.clone(), own))
        });
        heard.collect()
    }

    /// Begins to call listeners; false if too many changes are inside of one another.
    #[must_use]
    pub fn enter(&self) -> bool {
        let mut entries = self.lock();
        entries.depth += 1;
        entries.depth <= DEEPEST
    }

    /// Has called the listeners.
    pub fn leave(&self) {
        let mut entries = self.lock();
        entries.depth = entries.depth.saturating_sub(1);
    }

    /// How many changes there were.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lock().version
    }
}

impl Foreign for Store {
    fn type_name(&self) -> &'static str {
        "HashMapRef"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn shown(&self) -> String {
        format!("<hashmap {}>", self.name)
    }

    fn is_same(&self, other: &dyn Foreign) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| {
            Arc::ptr_eq(&self.entries, &other.entries) && self.prefix == other.prefix
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::Str(Text::new(text))
    }

    #[test]
    fn a_scope_sees_and_clears_its_own_keys_only() {
        let store = Store::new("h", MapValue::default());
        let inner = store.scope("a").scope("b");
        assert!(store.put(key("x"), 1.into()).is_none());
        assert!(inner.put(key("k"), 2.into()).is_none());
        assert_eq!(Value::Map(store.snapshot().into()).to_string(), r#"{"x": 1, "a:b:k": 2}"#);
        assert_eq!(Value::Map(inner.snapshot().into()).to_string(), r#"{"k": 2}"#);
        inner.listen(None, "in".into());
        store.listen(Some(key("a:b:k")), "one".into());
        let heard = inner.listeners(key("k"));
        let heard: Vec<_> = heard.iter().map(|(f, k)| format!("{f} {}", k.to_value())).collect();
        assert_eq!(heard, ["in k", "one a:b:k"]);
        assert!(store.listeners(key("x")).is_empty());
        assert_eq!(inner.clear().len(), 1);
        assert_eq!((store.count(), inner.count()), (1, 0));
        assert!(store.is_same(&store) && !store.is_same(&inner));
    }
}
