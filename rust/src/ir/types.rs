//! Encoding of type table entries: `["array", 3]`, `["struct", {..}]`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::program::{Enum, Struct, Type};
use crate::value::CollectionKind;

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = match self {
            Self::Any => json!(["any"]),
            Self::Never => json!(["never"]),
            Self::Nil => json!(["nil"]),
            Self::Bool => json!(["bool"]),
            Self::Int => json!(["int"]),
            Self::Float => json!(["float"]),
            Self::String => json!(["string"]),
            Self::Range => json!(["range"]),
            Self::Stream => json!(["stream"]),
            Self::Model => json!(["model"]),
            Self::Builder => json!(["builder"]),
            Self::Array(item) => json!(["array", item]),
            Self::Map(key, value) => json!(["map", key, value]),
            Self::Tuple(items) => json!(["tuple", items]),
            Self::Collection(kind, item) => json!([kind.name().to_lowercase(), item]),
            Self::Store(key, value) => json!(["hashmap", key, value]),
            Self::Option(item) => json!(["option", item]),
            Self::Result(ok, err) => json!(["result", ok, err]),
            Self::Future(item) => json!(["future", item]),
            Self::Pipeline(input, output) => json!(["pipeline", input, output]),
            Self::Task(item) => json!(["task", item]),
            Self::Function(params, result) => json!(["function", params, result]),
            Self::Literal(values) => json!(["literal", values]),
            Self::Union(members) => json!(["union", members]),
            Self::Struct(inner) => json!(["struct", inner]),
            Self::Enum(inner) => json!(["enum", inner]),
        };
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Vec::<Json>::deserialize(deserializer)?;
        read(&parts).map_err(D::Error::custom)
    }
}

fn read(parts: &[Json]) -> Result<Type, String> {
    let wrong = || format!("`{}` is no type", Json::from(parts.to_vec()));
    let index = |json: &Json| json.as_u64().and_then(|n| u32::try_from(n).ok());
    let indices =
        |json: &Json| -> Option<Vec<u32>> { json.as_array()?.iter().map(index).collect() };
    let (tag, operands) = match parts {
        [Json::String(tag), operands @ ..] => (tag.as_str(), operands),
        _ => return Err(wrong()),
    };
    let found = match (tag, operands) {
        ("any", []) => Some(Type::Any),
        ("never", []) => Some(Type::Never),
        ("nil", []) => Some(Type::Nil),
        ("bool", []) => Some(Type::Bool),
        ("int", []) => Some(Type::Int),
        ("float", []) => Some(Type::Float),
        ("string", []) => Some(Type::String),
        ("range", []) => Some(Type::Range),
        ("stream", []) => Some(Type::Stream),
        ("model", []) => Some(Type::Model),
        ("builder", []) => Some(Type::Builder),
        ("array", [item]) => index(item).map(Type::Array),
        ("map", [key, value]) => index(key).zip(index(value)).map(|(k, v)| Type::Map(k, v)),
        ("tuple", [items]) => indices(items).map(Type::Tuple),
        ("set", [item]) => index(item).map(|i| Type::Collection(CollectionKind::Set, i)),
        ("queue", [item]) => index(item).map(|i| Type::Collection(CollectionKind::Queue, i)),
        ("stack", [item]) => index(item).map(|i| Type::Collection(CollectionKind::Stack, i)),
        ("hashmap", [key, value]) => index(key).zip(index(value)).map(|(k, v)| Type::Store(k, v)),
        ("option", [item]) => index(item).map(Type::Option),
        ("result", [ok, err]) => index(ok).zip(index(err)).map(|(o, e)| Type::Result(o, e)),
        ("function", [params, result]) => {
            indices(params).zip(index(result)).map(|(p, r)| Type::Function(p, r))
        }
        ("future", [item]) => index(item).map(Type::Future),
        ("pipeline", [input, output]) => {
            index(input).zip(index(output)).map(|(i, o)| Type::Pipeline(i, o))
        }
        ("task", [item]) => index(item).map(Type::Task),
        ("literal", [values]) => values
            .as_array()
            .and_then(|v| v.iter().map(|s| s.as_str().map(str::to_owned)).collect())
            .map(Type::Literal),
        ("union", [members]) => indices(members).map(Type::Union),
        ("struct", [inner]) => {
            Some(Type::Struct(Struct::deserialize(inner).map_err(|e| e.to_string())?))
        }
        ("enum", [inner]) => Some(Type::Enum(Enum::deserialize(inner).map_err(|e| e.to_string())?)),
        _ => None,
    };
    found.ok_or_else(wrong)
}
