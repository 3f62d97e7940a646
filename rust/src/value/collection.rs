//! Sets, queues and stacks: values like arrays, each with the operations that it is good at.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use indexmap::IndexSet;

use super::nested::release;
use super::{Key, List, Value, equal};

/// A `Set`, `Queue` or `Stack` of `std::collections`.
#[derive(Clone, Debug)]
pub enum Collection {
    /// Each value once, in order of insertion.
    Set(Keys),
    /// Taken from the front, added at the back.
    Queue(VecDeque<Value>),
    /// Taken from the end, added there.
    Stack(List),
}

/// The values of a set.
pub type Keys = IndexSet<Key, RandomState>;

/// Which collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectionKind {
    /// `Set<T>`.
    Set,
    /// `Queue<T>`.
    Queue,
    /// `Stack<T>`.
    Stack,
}

impl CollectionKind {
    /// As the language writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "Set",
            Self::Queue => "Queue",
            Self::Stack => "Stack",
        }
    }
}

impl Collection {
    /// A collection of these values; `None` if one of them cannot be in a set.
    #[must_use]
    pub fn from_values(kind: CollectionKind, values: Vec<Value>) -> Option<Self> {
        Some(match kind {
            CollectionKind::Set => {
                Self::Set(values.iter().map(Value::to_key).collect::<Option<_>>()?)
            }
            CollectionKind::Queue => Self::Queue(values.into()),
            CollectionKind::Stack => Self::Stack(values.into()),
        })
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> CollectionKind {
        match self {
            Self::Set(_) => CollectionKind::Set,
            Self::Queue(_) => CollectionKind::Queue,
            Self::Stack(_) => CollectionKind::Stack,
        }
    }

    /// How many values it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Set(keys) => keys.len(),
            Self::Queue(items) => items.len(),
            Self::Stack(items) => items.len(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its values in order: of a queue front to back, of a stack bottom to top.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        match self {
            Self::Set(keys) => keys.iter().map(Key::to_value).collect(),
            Self::Queue(items) => items.iter().cloned().collect(),
            Self::Stack(items) => items.to_vec(),
        }
    }

    /// Sets are equal in any order. Values nest no deeper here than the types of programs say.
    pub(super) fn is_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Set(a), Self::Set(b)) => a == b,
            (Self::Queue(a), Self::Queue(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(x, y)| equal(x, y))
            }
            (Self::Stack(a), Self::Stack(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| equal(x, y))
            }
            _ => false,
        }
    }

    /// Takes all values out, to be let go of in a loop.
    pub(super) fn drain(&mut self) -> Vec<Value> {
        match self {
            Self::Set(_) => Vec::new(),
            Self::Queue(items) => items.drain(..).collect(),
            Self::Stack(items) => items.drain(..).collect(),
        }
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        release(&mut self.drain());
    }
}
