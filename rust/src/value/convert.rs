//! Values of a Rust host: made from its own types and from JSON, and looked into.

use std::collections::{BTreeMap, HashMap};
use std::ops::Index;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use triomphe::Arc;

use super::{Key, MapValue, Text, Value, from_json};

/// What an index finds that is not there.
static NIL: Value = Value::Nil;

macro_rules! numbers {
    ($variant:ident $as:ty: $($number:ty)*) => {
        $(impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::$variant(<$as>::from(number))
            }
        })*
    };
}
numbers!(Int i64: i8 i16 i32 i64 u8 u16 u32);
numbers!(Float f64: f32 f64);

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::Nil
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::text(text.as_str())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Self {
        Self::option(option.map(Into::into))
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        items.into_iter().collect()
    }
}

impl<T: Into<Self>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Self {
        items.into_iter().collect()
    }
}

macro_rules! maps {
    ($($map:ty)*) => {
        $(impl<K: Into<String>, V: Into<Self>> From<$map> for Value {
            fn from(map: $map) -> Self {
                map.into_iter().collect()
            }
        })*
    };
}
maps!(HashMap<K, V> BTreeMap<K, V> IndexMap<K, V>);

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        from_json(&json)
    }
}

impl<T: Into<Self>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::array(items.into_iter().map(Into::into).collect())
    }
}

impl<K: Into<String>, V: Into<Self>> FromIterator<(K, V)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let map: MapValue = entries
            .map(|(key, value)| (Key::Str(Text::new(Into::<String>::into(key))), value.into()))
            .collect();
        Self::Map(Arc::new(map))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(Self::from)
    }
}

impl Value {
    /// A field of a struct, by its name in the program or in JSON, or what a map has under a text; of an Option the value inside. `None` if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(&Key::Str(Text::new(name))),
            Self::Struct(held) => {
                let is_it = |(own, json): &(String, String)| own == name || json == name;
                held.fields.get(held.ty.fields.iter().position(is_it)?)
            }
            Self::Some(inner) => inner.get(name),
            _ => None,
        }
    }

    /// An element of an array or a tuple, from 0; of an Option of the value inside. `None` if there is none.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<&Self> {
        match self {
            Self::Array(items) | Self::Tuple(items) => items.get(index),
            Self::Some(inner) => inner.item(index),
            _ => None,
        }
    }

    /// A whole number, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// A number, if it is one; a whole one as the nearest.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the nearest Float")]
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// A truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }
}

/// As [`Value::get`]; what is not there is nil.
///
/// ```
/// # use concerto::value;
/// let value = value!({"a": [{"b": 1}]});
/// assert_eq!(value["a"][0]["b"].as_int(), Some(1));
/// assert_eq!(value["x"]["y"], concerto::Value::Nil);
/// ```
impl Index<&str> for Value {
    type Output = Self;

    fn index(&self, name: &str) -> &Self {
        self.get(name).unwrap_or(&NIL)
    }
}

/// As [`Value::item`]; what is not there is nil.
impl Index<usize> for Value {
    type Output = Self;

    fn index(&self, index: usize) -> &Self {
        self.item(index).unwrap_or(&NIL)
    }
}
