//! Values of a running program.
//!
//! A [`Value`] takes 16 bytes. Numbers stand in it; texts and collections are shared and counted, and changed in place while they have one
//! owner, so that assignment is cheap and yet behaves as a copy. Nothing here knows the VM.

pub mod builtin;
mod captures;
mod collection;
mod compare;
mod convert;
mod difference;
mod display;
mod json;
mod json_text;
mod model;
mod nested;
mod store;
mod task;
mod text;

use std::any::Any;
use std::hash::{Hash, Hasher};

use indexmap::Equivalent;
use triomphe::Arc;

pub use captures::Captures;
pub use collection::{Collection, CollectionKind, Keys};
pub use compare::{equal, order};
pub use difference::line_difference;
pub use json::{from_json, to_json, to_json_text};
pub use json_text::{JsonProblem, parse_json};
pub use model::{ModelValue, Setting};
pub use nested::{Held, List, MapValue};
pub use store::{Full, Room, Store};
pub use task::{Progress, TaskValue};
pub use text::{MAX_TEXT, Text};

/// Any value of the language.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// `nil`.
    #[default]
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A signed 64-bit number.
    Int(i64),
    /// An IEEE 754 double.
    Float(f64),
    /// `None`.
    None,
    /// Text.
    Str(Text),
    /// `Array<T>`.
    Array(Arc<List>),
    /// `Map<K, V>`, in order of insertion.
    Map(Arc<MapValue>),
    /// A tuple.
    Tuple(Arc<List>),
    /// A struct, schema value, built-in record or built-in error.
    Struct(Arc<StructValue>),
    /// An enum value.
    Enum(Arc<EnumValue>),
    /// `Some(v)`.
    Some(Arc<Held>),
    /// `Ok(v)`.
    Ok(Arc<Held>),
    /// `Err(e)`.
    Err(Arc<Held>),
    /// `a..b` or `a..=b`.
    Range(Arc<RangeValue>),
    /// A function, with what it captured.
    Function(Arc<FunctionValue>),
    /// A model, or one with settings of its own.
    Model(Arc<ModelValue>),
    /// A pipeline.
    Pipeline(Arc<PipelineValue>),
    /// A future or a task.
    Task(Arc<TaskValue>),
    /// A `Set<T>`, `Queue<T>` or `Stack<T>`.
    Collection(Arc<Collection>),
    /// Something that is a reference, such as a stream or a store.
    Foreign(Arc<Box<dyn Foreign>>),
}

/// A thing that the engine owns and a program holds. It ends when the last holder lets go of it.
pub trait Foreign: Any + Send + Sync + std::fmt::Debug {
    /// What `typeof` says.
    fn type_name(&self) -> &'static str;
    /// For the engine, which knows the type.
    fn as_any(&self) -> &dyn Any;
    /// Its display form.
    fn shown(&self) -> String {
        format!("<{}>", self.type_name())
    }
    /// Whether `==` says so; most things cannot be compared.
    fn is_same(&self, _other: &dyn Foreign) -> bool {
        false
    }
}

/// A value that can be a map key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Text.
    Str(Text),
    /// A number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A variant without data, by the names of its enum and itself.
    Unit(Arc<EnumType>, u32),
    /// A tuple of keys.
    Tuple(Vec<Key>),
}

/// Numbers from `start` on, before `end` or up to and with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeValue {
    /// The first number.
    pub start: i64,
    /// The bound.
    pub end: i64,
    /// Whether the bound belongs to the range.
    pub inclusive: bool,
}

impl RangeValue {
    /// The bounds with an exclusive end; an inclusive end at the largest number keeps that number out, which slices cannot tell.
    #[must_use]
    pub fn exclusive(&self) -> (i64, i64) {
        (self.start, if self.inclusive { self.end.saturating_add(1) } else { self.end })
    }

    /// Whether it ends with the largest number of all, which an exclusive end cannot say.
    #[must_use]
    pub fn reaches_the_largest(&self) -> bool {
        self.inclusive && self.end == i64::MAX
    }

    /// Its numbers in order.
    pub fn numbers(&self) -> impl Iterator<Item = i64> + use<> {
        let (start, end) = self.exclusive();
        (start..end).chain(self.reaches_the_largest().then_some(i64::MAX))
    }

    /// Whether a number is in it.
    #[must_use]
    pub fn contains(&self, number: i64) -> bool {
        self.start <= number && (number < self.end || (self.inclusive && number == self.end))
    }

    /// How many numbers it has.
    #[must_use]
    pub fn len(&self) -> i64 {
        let (start, end) = self.exclusive();
        end.saturating_sub(start).max(0).saturating_add(self.reaches_the_largest().into())
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a struct type comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A `struct` of the program.
    Struct,
    /// A `schema` of the program.
    Schema,
    /// A built-in record, such as `Response`.
    Record,
    /// A built-in error, such as `LlmError`.
    Error,
}

/// The name and fields of a struct type, enough to display and encode its values.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct StructType {
    /// Its name in the program.
    pub name: String,
    /// Whether it is a built-in error.
    pub is_error: bool,
    /// Names of the fields with their JSON names, in declared order.
    pub fields: Vec<(String, String)>,
}

/// The name that a type is declared with: `Page` of `shop::Page<Hit>`.
#[must_use]
pub fn declared_name(name: &str) -> &str {
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// A struct with its fields in declared order.
#[derive(Clone, Debug)]
pub struct StructValue {
    /// Its type.
    pub ty: Arc<StructType>,
    /// One value per field of the type.
    pub fields: Vec<Value>,
    /// What `Result.context` said of it, for reports; no part of the value.
    pub note: Option<Text>,
}

impl StructValue {
    /// A field by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let index = self.ty.fields.iter().position(|(field, _)| field == name)?;
        self.fields.get(index)
    }
}

/// The shape of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `V`.
    Unit,
    /// `V(a, b)`.
    Tuple,
    /// `V { a: 1 }`.
    Struct,
}

/// The name and variants of an enum type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct EnumType {
    /// Its name in the program.
    pub name: String,
    /// Name, form and field names of each variant.
    pub variants: Vec<(String, Form, Vec<String>)>,
}

/// An enum value: which variant, and its data.
#[derive(Clone, Debug)]
pub struct EnumValue {
    /// Its type.
    pub ty: Arc<EnumType>,
    /// Number of the variant.
    pub variant: u32,
    /// Its data in declared order.
    pub fields: Vec<Value>,
    /// What `Result.context` said of it, for reports; no part of the value.
    pub note: Option<Text>,
}

/// A pipeline as a value.
#[derive(Debug)]
pub struct PipelineValue {
    /// Its name.
    pub name: Text,
    /// The names of its stages.
    pub stages: Vec<Text>,
    /// The function that runs it, of one parameter.
    pub function: usize,
}

/// A function as a value.
#[derive(Debug)]
pub struct FunctionValue {
    /// Index of its code.
    pub index: usize,
    /// Its name; closures have none.
    pub name: Option<Arc<str>>,
    /// How many arguments it takes.
    pub arity: usize,
    /// Copies of the variables that it uses, which follow the arguments.
    pub captures: Captures,
}

impl FunctionValue {
    /// What functions without a name are called, by the compiler and when they are shown.
    pub const CLOSURE: &str = "closure";
}

impl Value {
    /// Text.
    #[must_use]
    pub fn text(text: impl AsRef<str> + Into<String>) -> Self {
        Self::Str(Text::new(text))
    }

    /// `Some(value)`.
    #[must_use]
    pub fn some(value: Self) -> Self {
        Self::Some(Arc::new(value.into()))
    }

    /// `Ok(value)`.
    #[must_use]
    pub fn ok(value: Self) -> Self {
        Self::Ok(Arc::new(value.into()))
    }

    /// `Err(value)`.
    #[must_use]
    pub fn err(value: Self) -> Self {
        Self::Err(Arc::new(value.into()))
    }

    /// `Some(v)` or `None`.
    #[must_use]
    pub fn option(value: Option<Self>) -> Self {
        value.map_or(Self::None, Self::some)
    }

    /// An array.
    #[must_use]
    pub fn array(items: Vec<Self>) -> Self {
        Self::Array(Arc::new(items.into()))
    }

    /// A map.
    #[must_use]
    pub fn map(entries: MapValue) -> Self {
        Self::Map(Arc::new(entries))
    }

    /// A tuple.
    #[must_use]
    pub fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Arc::new(items.into()))
    }

    /// Something that is a reference.
    #[must_use]
    pub fn foreign(thing: impl Foreign) -> Self {
        Self::Foreign(Arc::new(Box::new(thing)))
    }

    /// The name of its type; of a generic one with its arguments.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::Nil => "Nil",
            Self::Bool(_) => "Bool",
            Self::Int(_) => "Int",
            Self::Float(_) => "Float",
            Self::Str(_) => "String",
            Self::Array(_) => "Array",
            Self::Map(_) => "Map",
            Self::Tuple(_) => "Tuple",
            Self::Struct(value) => value.ty.name.trim_start_matches("::"),
            Self::Enum(value) => value.ty.name.trim_start_matches("::"),
            Self::None | Self::Some(_) => "Option",
            Self::Ok(_) | Self::Err(_) => "Result",
            Self::Range(_) => "Range",
            Self::Function(_) => "Function",
            Self::Model(model) => {
                if model.is_builder {
                    "ModelBuilder"
                } else {
                    "ModelRef"
                }
            }
            Self::Pipeline(_) => "PipelineRef",
            Self::Task(task) => {
                if task.is_future() {
                    "Future"
                } else {
                    "Task"
                }
            }
            Self::Collection(value) => value.kind().name(),
            Self::Foreign(value) => value.type_name(),
        }
    }

    /// The message of an error value: that of a built-in error, else the display form.
    #[must_use]
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What `Result.context` said of an error of the program.
    #[must_use]
    pub fn note(&self) -> Option<&Text> {
        match self {
            Self::Struct(held) => held.note.as_ref(),
            Self::Enum(held) => held.note.as_ref(),
            _ => None,
        }
    }

    /// This value as a map key; `None` if its type cannot be one.
    #[must_use]
    pub fn to_key(&self) -> Option<Key> {
        self.key_at(0)
    }

    /// Types of programs are less deep; deeper tuples are no keys.
    fn key_at(&self, depth: usize) -> Option<Key> {
        const DEEPEST: usize = 64;
        Some(match self {
            Self::Str(text) => Key::Str(text.clone()),
            Self::Int(number) => Key::Int(*number),
            Self::Bool(truth) => Key::Bool(*truth),
            Self::Enum(value) if value.fields.is_empty() => {
                Key::Unit(Arc::clone(&value.ty), value.variant)
            }
            Self::Tuple(items) if depth < DEEPEST => Key::Tuple(
                items.iter().map(|item| item.key_at(depth + 1)).collect::<Option<Vec<_>>>()?,
            ),
            _ => return None,
        })
    }

    /// Text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl Hash for Key {
    /// A text and a number hash as they do alone, so that they find their entry without being made a key.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Str(text) => text.hash(state),
            Self::Int(number) => number.hash(state),
            Self::Bool(truth) => truth.hash(state),
            Self::Unit(ty, variant) => (&ty.name, variant).hash(state),
            Self::Tuple(items) => items.hash(state),
        }
    }
}

impl Equivalent<Key> for Text {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Str(text) if text == self)
    }
}

impl Equivalent<Key> for i64 {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Int(number) if number == self)
    }
}

impl Key {
    /// The key as a value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Str(text) => Value::Str(text.clone()),
            Self::Int(number) => Value::Int(*number),
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Unit(ty, variant) => Value::Enum(Arc::new(EnumValue {
                ty: Arc::clone(ty),
                variant: *variant,
                fields: Vec::new(),
                note: None,
            })),
            Self::Tuple(items) => Value::tuple(items.iter().map(Self::to_value).collect()),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        equal(self, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_sixteen_bytes() {
        assert_eq!(std::mem::size_of::<Value>(), 16);
    }
}
