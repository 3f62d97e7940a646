//! `hashmap` stores: references, so that every copy names the same entries. A scope is a view of the entries whose keys begin with its prefix.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Foreign, Key, MapValue, Text, Value};

/// Callbacks may change the store that calls them so deep.
const DEEPEST: usize = 16;

/// A `hashmap` of the program, or a scope of one.
#[derive(Clone, Debug)]
pub struct Store {
    name: Arc<str>,
    /// Which of the stores of its program it is.
    number: usize,
    entries: Arc<Mutex<Entries>>,
    hearing: Arc<Mutex<Hearing>>,
    room: Arc<Room>,
    /// Ends in `:` unless it is empty.
    prefix: String,
}

#[derive(Debug, Default)]
struct Entries {
    map: MapValue,
    /// Counts changes, for whoever saves them.
    version: u64,
}

/// Who wants to know of the changes that one run makes.
#[derive(Debug, Default)]
struct Hearing {
    listeners: Vec<Listener>,
    depth: usize,
    /// Changes that the run itself has made, or that were there before it.
    own: u64,
}

/// How much the stores of a run hold together, in bytes, and how much they may.
#[derive(Debug)]
pub struct Room {
    used: AtomicUsize,
    most: usize,
}

/// A change for which there is no room; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// What the stores may hold together, in bytes.
    pub most: usize,
}

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most })
    }

    fn change(&self, added: usize, removed: usize) -> Result<(), Full> {
        let after = self.used.fetch_add(added, Ordering::Relaxed).saturating_add(added);
        let fits = after.saturating_sub(removed) <= self.most;
        self.used.fetch_sub(if fits { removed } else { added }, Ordering::Relaxed);
        if fits { Ok(()) } else { Err(Full { most: self.most }) }
    }
}

/// About how many bytes an entry takes.
fn entry_size(key: &Key, value: &Value) -> usize {
    size(&key.to_value(), 0) + size(value, 0)
}

/// About how many bytes a value takes; parts that it shares count each time. `depth` counts the collections around it.
fn size(value: &Value, depth: usize) -> usize {
    const DEEPEST: usize = 64;
    let (mut bytes, mut pending) = (0_usize, vec![value]);
    while let Some(value) = pending.pop() {
        bytes = bytes.saturating_add(size_of::<Value>());
        match value {
            Value::Str(text) => bytes = bytes.saturating_add(text.len()),
            Value::Array(items) | Value::Tuple(items) => pending.extend(items.iter()),
            Value::Struct(held) => pending.extend(&held.fields),
            Value::Enum(held) => pending.extend(&held.fields),
            Value::Some(inner) | Value::Ok(inner) | Value::Err(inner) => pending.push(inner),
            Value::Map(map) => {
                let keys = map.keys().map(|key| match key {
                    Key::Str(text) => text.len() + size_of::<Key>(),
                    _ => size_of::<Key>(),
                });
                bytes = bytes.saturating_add(keys.sum());
                pending.extend(map.values());
            }
            Value::Collection(items) if depth < DEEPEST => {
                let inside = items.values();
                bytes = bytes.saturating_add(inside.iter().map(|item| size(item, depth + 1)).sum());
            }
            _ => {}
        }
    }
    bytes
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
    /// A store with these entries; `number` says which of the program's declarations it is of.
    ///
    /// # Errors
    /// [`Full`] if there is no room for them.
    pub fn new(name: &str, number: usize, map: MapValue, room: &Arc<Room>) -> Result<Self, Full> {
        room.change(map.iter().map(|(key, value)| entry_size(key, value)).sum(), 0)?;
        let entries = Entries { map, ..Entries::default() };
        Ok(Self {
            name: name.into(),
            number,
            entries: Arc::new(Mutex::new(entries)),
            hearing: Arc::default(),
            room: Arc::clone(room),
            prefix: String::new(),
        })
    }

    /// Which of the stores of its program it is, or is a part of.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The same entries for another run, which hears of its own changes only.
    #[must_use]
    pub fn for_run(&self) -> Self {
        Self { hearing: Arc::default(), ..self.clone() }
    }

    fn changed(&self, entries: &mut Entries) {
        entries.version += 1;
        self.hearing().own += 1;
    }

    /// Counts the changes that other runs have made.
    #[must_use]
    pub fn others(&self) -> u64 {
        let entries = self.lock();
        entries.version - self.hearing().own
    }

    /// Sets a value if no other run has changed anything since there were so many changes of `others`; gives the old one.
    ///
    /// # Errors
    /// [`Full`].
    pub fn put_if(
        &self,
        key: Key,
        value: Value,
        others: u64,
    ) -> Result<Option<Option<Value>>, Full> {
        let mut entries = self.lock();
        if entries.version - self.hearing().own != others {
            return Ok(None);
        }
        self.insert(&mut entries, key, value).map(Some)
    }

    /// The store as a value of the program.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::foreign(self.clone())
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

    fn hearing(&self) -> MutexGuard<'_, Hearing> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
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
    ///
    /// # Errors
    /// [`Full`].
    pub fn put(&self, key: Key, value: Value) -> Result<Option<Value>, Full> {
        let mut entries = self.lock();
        self.insert(&mut entries, key, value)
    }

    fn insert(&self, entries: &mut Entries, key: Key, value: Value) -> Result<Option<Value>, Full> {
        let key = self.full(key);
        let old = entries.map.get(&key).map_or(0, |old| entry_size(&key, old));
        self.room.change(entry_size(&key, &value), old)?;
        self.changed(entries);
        Ok(entries.map.insert(key, value))
    }

    /// Removes a key; gives its value.
    #[must_use]
    pub fn take(&self, key: Key) -> Option<Value> {
        let (key, mut entries) = (self.full(key), self.lock());
        let taken = entries.map.shift_remove(&key)?;
        self.changed(&mut entries);
        self.freed(entry_size(&key, &taken));
        Some(taken)
    }

    fn freed(&self, bytes: usize) {
        // Less always fits.
        self.room.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Sets several values at once; gives the old ones.
    ///
    /// # Errors
    /// [`Full`].
    pub fn put_all(&self, map: &MapValue) -> Result<Vec<Option<Value>>, Full> {
        let mut entries = self.lock();
        let (mut added, mut removed) = (0, 0);
        for (key, value) in map.iter() {
            let key = self.full(key.clone());
            added += entry_size(&key, value);
            removed += entries.map.get(&key).map_or(0, |old| entry_size(&key, old));
        }
        self.room.change(added, removed)?;
        self.changed(&mut entries);
        let pairs = map.iter();
        Ok(pairs.map(|(k, v)| entries.map.insert(self.full(k.clone()), v.clone())).collect())
    }

    /// The values of several keys at one moment.
    #[must_use]
    pub fn get_all(&self, keys: Vec<Key>) -> Vec<(Key, Option<Value>)> {
        let entries = self.lock();
        let found = |key: Key| (key.clone(), entries.map.get(&self.full(key)).cloned());
        keys.into_iter().map(found).collect()
    }

    /// What the view shows at this moment.
    #[must_use]
    pub fn snapshot(&self) -> MapValue {
        let entries = self.lock();
        let own = entries.map.iter();
        own.filter_map(|(key, value)| Some((self.own(key)?, value.clone()))).collect()
    }

    /// How many entries the view shows.
    #[must_use]
    pub fn len(&self) -> usize {
        let entries = self.lock();
        match &*self.prefix {
            "" => entries.map.len(),
            _ => entries.map.keys().filter(|key| self.own(key).is_some()).count(),
        }
    }

    /// Removes what the view shows; gives it.
    #[must_use]
    pub fn clear(&self) -> MapValue {
        let removed = self.snapshot();
        let mut entries = self.lock();
        entries.map.retain(|key, _| self.own(key).is_none());
        self.changed(&mut entries);
        self.freed(removed.iter().map(|(k, v)| entry_size(&self.full(k.clone()), v)).sum());
        removed
    }

    /// Wants a function of key, old and new value to be called after changes, of one key or of all.
    pub fn listen(&self, key: Option<Key>, function: Value) {
        let key = key.map(|key| self.full(key));
        let prefix = self.prefix.clone();
        self.hearing().listeners.push(Listener { key, prefix, function });
    }

    /// Who wants to know of a change of a key, in order: the function, and the key as it knows it.
    #[must_use]
    pub fn listeners(&self, key: Key) -> Vec<(Value, Key)> {
        let key = self.full(key);
        let hearing = self.hearing();
        let heard = hearing.listeners.iter().filter_map(|listener| {
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
        let mut hearing = self.hearing();
        hearing.depth += 1;
        hearing.depth <= DEEPEST
    }

    /// Has called the listeners.
    pub fn leave(&self) {
        let mut hearing = self.hearing();
        hearing.depth = hearing.depth.saturating_sub(1);
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
        let store = Store::new("h", 0, MapValue::default(), &Room::new(usize::MAX)).unwrap();
        let inner = store.scope("a").scope("b");
        assert_eq!(store.put(key("x"), 1.into()).unwrap().map(|_| ()), None);
        assert_eq!(inner.put(key("k"), 2.into()).unwrap().map(|_| ()), None);
        assert_eq!(Value::Map(store.snapshot().into()).to_string(), r#"{"x": 1, "a:b:k": 2}"#);
        assert_eq!(Value::Map(inner.snapshot().into()).to_string(), r#"{"k": 2}"#);
        inner.listen(None, "in".into());
        store.listen(Some(key("a:b:k")), "one".into());
        let heard = inner.listeners(key("k"));
        let heard: Vec<_> = heard.iter().map(|(f, k)| format!("{f} {}", k.to_value())).collect();
        assert_eq!(heard, ["in k", "one a:b:k"]);
        assert!(store.listeners(key("x")).is_empty());
        assert_eq!(inner.clear().len(), 1);
        assert_eq!((store.len(), inner.len()), (1, 0));
        assert!(store.is_same(&store) && !store.is_same(&inner));
        assert_eq!((store.len(), inner.len()), (1, 0));
    }

    #[test]
    fn stores_share_their_room_and_give_it_back() {
        let room = Room::new(1000);
        let (one, two) = (
            Store::new("one", 0, MapValue::default(), &room).unwrap(),
            Store::new("two", 0, MapValue::default(), &room).unwrap(),
        );
        let text = || Value::text("x".repeat(600));
        assert!(one.put(key("k"), text()).is_ok());
        assert!(one.put(key("k"), text()).is_ok(), "it takes the place of the old one");
        assert_eq!(two.put(key("k"), text()).unwrap_err(), Full { most: 1000 });
        assert_eq!(
            two.put_all(&std::iter::once((key("k"), text())).collect()).unwrap_err().most,
            1000
        );
        assert_eq!(two.len(), 0);
        assert!(one.take(key("k")).is_some());
        assert!(two.put(key("k"), text()).is_ok());
        assert_eq!(two.clear().len(), 1);
        assert_eq!(room.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn another_run_shares_entries_and_hears_nothing() {
        let store = Store::new("h", 0, MapValue::default(), &Room::new(usize::MAX)).unwrap();
        store.listen(None, "f".into());
        let other = store.for_run();
        assert!(other.put(key("k"), 1.into()).is_ok());
        assert_eq!((store.len(), other.listeners(key("k")).len()), (1, 0));
        assert_eq!(store.listeners(key("k")).len(), 1);
        let seen = store.others();
        assert!(store.put(key("k"), 2.into()).is_ok());
        assert!(store.put_if(key("k"), 3.into(), seen).unwrap().is_some(), "its own change");
        assert!(other.put(key("j"), 1.into()).is_ok());
        assert!(store.put_if(key("k"), 4.into(), seen).unwrap().is_none());
        assert!(store.put_if(key("k"), 4.into(), store.others()).unwrap().is_some());
    }
}
