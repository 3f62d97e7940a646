//! JSON to values of a type (SC-8, SC-14 to SC-21).

use serde_json::{Map, Number, Value as Json};
use triomphe::Arc;

use super::{MAX_DEPTH, MAX_VIOLATIONS, Violation, coerce, limits};
use crate::ir::program::{Constant, Enum, Field, Struct, Type, Variant};
use crate::ir::{Verified, constant_value};
use crate::value::{EnumValue, Form, Key, StructValue, Text, Value, from_json};

/// A value that fits its type, apart from what validators of the program say.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The value.
    pub value: Value,
    /// Validators that have to agree, in order; those of inner values come first.
    pub pending: Vec<Pending>,
}

/// A validator that has to agree.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The value's place, as a JSON pointer.
    pub path: String,
    /// The function.
    pub function: u32,
    /// The value.
    pub value: Value,
}

pub(super) fn run(
    program: &Verified,
    ty: u32,
    json: &Json,
    own_names: bool,
) -> Result<Decoded, Vec<Violation>> {
    let mut decoder = Decoder::new(program, own_names, 10_000 + MAX_TRIES * places(json));
    match decoder.value(ty, json) {
        Some(value) => Ok(Decoded { value, pending: decoder.pending }),
        None => Err(decoder.violations),
    }
}

pub(super) fn default(program: &Verified, ty: u32, default: &Constant) -> Value {
    Decoder::new(program, true, usize::MAX).default(ty, default)
}

/// How often each place of an answer may be tried, on average, as a member of a union.
const MAX_TRIES: usize = 64;

/// Every method that gives None has reported why.
struct Decoder<'a> {
    program: &'a Verified,
    /// Whether fields may have their names of the program instead of those of JSON.
    own_names: bool,
    path: Vec<String>,
    coerce: bool,
    /// Within an attempt nothing is reported, and the first misfit ends it.
    quiet: bool,
    /// How many more places may be tried: members of unions within members of unions multiply.
    tries: usize,
    violations: Vec<Violation>,
    pending: Vec<Pending>,
}

impl<'a> Decoder<'a> {
    fn new(program: &'a Verified, own_names: bool, tries: usize) -> Self {
        Self {
            program,
            own_names,
            path: Vec::new(),
            coerce: false,
            quiet: false,
            tries,
            violations: Vec::new(),
            pending: Vec::new(),
        }
    }

    fn violated<T>(&mut self, reason: &'static str, expected: String, actual: String) -> Option<T> {
        if !self.quiet && self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { path: self.pointer(), reason, expected, actual });
        }
        None
    }

    fn mismatch<T>(&mut self, expected: &str, json: &Json) -> Option<T> {
        self.violated("type_mismatch", expected.to_owned(), shown(json))
    }

    fn pointer(&self) -> String {
        self.path.iter().map(|part| format!("/{part}")).collect()
    }

    fn at<T>(&mut self, part: impl Into<String>, work: impl FnOnce(&mut Self) -> T) -> T {
        // A JSON pointer escapes `~` and `/`.
        self.path.push(part.into().replace('~', "~0").replace('/', "~1"));
        let result = work(self);
        self.path.pop();
        result
    }

    /// Decodes without reporting what does not fit.
    fn attempt(&mut self, ty: u32, json: &Json, coerce: bool) -> Option<Value> {
        let (kept, pending) = ((self.coerce, self.quiet), self.pending.len());
        (self.coerce, self.quiet) = (coerce, true);
        let found = self.value(ty, json);
        (self.coerce, self.quiet) = kept;
        if found.is_none() {
            self.pending.truncate(pending);
        }
        found
    }

    fn value(&mut self, ty: u32, json: &Json) -> Option<Value> {
        if self.path.len() > MAX_DEPTH {
            return self.violated("parse", "at most 128 levels".to_owned(), "more".to_owned());
        }
        if self.quiet {
            self.tries = self.tries.checked_sub(1)?;
        }
        let program: &'a Verified = self.program;
        match (program.types().get(ty as usize)?, json) {
            (Type::Any, _) => Some(from_json(json)),
            (Type::Option(_), Json::Null) => Some(Value::None),
            (Type::Option(inner), _) => self.value(*inner, json).map(Value::some),
            (Type::Union(members), _) => self.union(ty, members, json),
            (Type::Array(item), Json::Array(items)) => {
                self.elements(items.iter().map(|json| (*item, json))).map(Value::array)
            }
            (Type::Array(item), _) if self.coerce && !json.is_null() => {
                match self.attempt(*item, json, true) {
                    Some(single) => Some(Value::array(vec![single])),
                    None => self.mismatch("an array", json),
                }
            }
            (Type::Tuple(types), Json::Array(items)) if types.len() == items.len() => {
                let elements = self.elements(types.iter().copied().zip(items));
                elements.map(Value::tuple)
            }
            (Type::Map(_, item), Json::Object(entries)) => self.entries(*item, entries),
            (Type::Struct(inner), Json::Object(entries)) => self.structure(ty, inner, entries),
            (Type::Enum(inner), _) => self.variant(ty, inner, json),
            (simple, _) => {
                let converted = || self.coerce.then(|| coerce::scalar(simple, json)).flatten();
                match scalar(simple, json).or_else(converted) {
                    Some(value) => Some(value),
                    None => self.refuse(simple, json),
                }
            }
        }
    }

    fn refuse(&mut self, ty: &Type, json: &Json) -> Option<Value> {
        match (ty, json) {
            (Type::Literal(words), Json::String(_)) => {
                let expected = one_of(words.iter().map(String::as_str));
                self.violated("enum_violation", expected, shown(json))
            }
            (Type::Literal(words), _) => {
                self.mismatch(&one_of(words.iter().map(String::as_str)), json)
            }
            (Type::Tuple(types), _) => {
                self.mismatch(&format!("an array of {} elements", types.len()), json)
            }
            _ => self.mismatch(kind_name(ty), json),
        }
    }

    fn elements<'j>(&mut self, items: impl Iterator<Item = (u32, &'j Json)>) -> Option<Vec<Value>> {
        let decoded = items.enumerate();
        gather(
            self.quiet,
            decoded
                .map(|(index, (ty, json))| self.at(index.to_string(), |own| own.value(ty, json))),
        )
    }

    fn entries(&mut self, item: u32, entries: &Map<String, Json>) -> Option<Value> {
        let decoded = entries.iter();
        let entries = gather(
            self.quiet,
            decoded.map(|(key, json)| {
                let value = self.at(key, |own| own.value(item, json))?;
                Some((Key::Str(Text::new(key.as_str())), value))
            }),
        );
        entries.map(|entries| Value::map(entries.into_iter().collect()))
    }

    /// The first member that accepts the JSON as it is, else the first that accepts it converted.
    fn union(&mut self, ty: u32, members: &[u32], json: &Json) -> Option<Value> {
        let modes: &[bool] = if self.coerce { &[false, true] } else { &[false] };
        for coerce in modes {
            for member in members {
                if let Some(value) = self.attempt(*member, json, *coerce) {
                    return Some(value);
                }
            }
        }
        if self.quiet {
            return None;
        }
        // Where only one member has this kind of JSON, what is wrong inside says more.
        let types = self.program.types();
        let mut near = members
            .iter()
            .filter(|member| types.get(**member as usize).is_some_and(|ty| has_kind(ty, json)));
        match (near.next(), near.next()) {
            (Some(only), None) => self.value(*only, json),
            _ => self.mismatch(&self.program.type_name(ty), json),
        }
    }

    fn structure(&mut self, ty: u32, inner: &Struct, entries: &Map<String, Json>) -> Option<Value> {
        let fields = gather(
            self.quiet,
            inner.fields.iter().map(|field| self.field(field, self.entry(field, entries))),
        );
        let known = !inner.strict || self.has_no_others(inner, entries);
        let fields = fields.filter(|_| known)?;
        let ty = Arc::clone(self.program.struct_type(ty)?);
        let value = Value::Struct(Arc::new(StructValue { ty, fields, note: None }));
        for function in &inner.validators {
            let (path, value) = (self.pointer(), value.clone());
            self.pending.push(Pending { path, function: *function, value });
        }
        Some(value)
    }

    fn entry<'j>(&self, field: &Field, entries: &'j Map<String, Json>) -> Option<&'j Json> {
        let by_name = || self.own_names.then(|| entries.get(&field.name)).flatten();
        entries.get(&field.json).or_else(by_name)
    }

    fn has_no_others(&mut self, inner: &Struct, entries: &Map<String, Json>) -> bool {
        let own_names = self.own_names;
        let is_own =
            |field: &Field, key: &str| field.json == key || (own_names && field.name == key);
        let is_extra = |key: &str| !inner.fields.iter().any(|field| is_own(field, key));
        let extra: Vec<_> = entries.iter().filter(|(key, _)| is_extra(key)).collect();
        for (key, json) in &extra {
            self.at(key.as_str(), |own| {
                let expected = format!("no field that `{}` does not have", inner.name);
                own.violated::<()>("extra_field", expected, shown(json))
            });
        }
        extra.is_empty()
    }

    fn field(&mut self, field: &Field, json: Option<&Json>) -> Option<Value> {
        match (json, &field.default) {
            (None | Some(Json::Null), Some(default)) => Some(self.default(field.ty, default)),
            (None | Some(Json::Null), None) if field.optional => Some(Value::None),
            (None, None) => {
                let expected = self.program.type_name(field.ty);
                self.at(&field.json, |own| {
                    own.violated("missing_field", expected, "nothing".to_owned())
                })
            }
            (Some(json), _) => self.at(&field.json, |own| {
                // A nested type keeps its own modes, so the mode is that of the nearest field.
                let kept = std::mem::replace(&mut own.coerce, field.coerce);
                let value = own.value(field.ty, json);
                own.coerce = kept;
                value.and_then(|value| own.limited(field, value))
            }),
        }
    }

    /// A default in the form that its type has: wrapped in `Some`, or a variant by its name.
    fn default(&mut self, ty: u32, default: &Constant) -> Value {
        self.attempt(ty, &constant_json(default), false).unwrap_or_else(|| constant_value(default))
    }

    fn limited(&mut self, field: &Field, value: Value) -> Option<Value> {
        let Some(checks) = &field.checks else { return Some(value) };
        let broken = limits::broken(self.program, checks, &value);
        let fits = broken.is_empty();
        for limit in broken {
            let depth = self.path.len();
            self.path.extend(limit.element.iter().map(usize::to_string));
            self.violated::<()>("constraint", limit.expected, limit.actual);
            self.path.truncate(depth);
        }
        fits.then_some(value)
    }

    /// A variant without data is its name; one with data is an object with `variant` and `data`.
    fn variant(&mut self, ty: u32, inner: &Enum, json: &Json) -> Option<Value> {
        let name = json.as_str().or_else(|| json.get("variant")?.as_str());
        let names = || inner.variants.iter().map(|variant| variant.name.as_str());
        let exact = |name: &str| inner.variants.iter().position(|v| v.name == name);
        let found = name.and_then(|name| {
            exact(name).or_else(|| {
                self.coerce.then(|| coerce::word(names(), name)).flatten().and_then(exact)
            })
        });
        let Some((index, variant)) = found.and_then(|i| Some((i, inner.variants.get(i)?))) else {
            let reason = if name.is_some() { "enum_violation" } else { "type_mismatch" };
            return self.violated(reason, one_of(names()), shown(json));
        };
        let fields = self.data(variant, json)?;
        let ty = Arc::clone(self.program.enum_type(ty)?);
        let variant = u32::try_from(index).ok()?;
        Some(Value::Enum(Arc::new(EnumValue { ty, variant, fields, note: None })))
    }

    fn data(&mut self, variant: &Variant, json: &Json) -> Option<Vec<Value>> {
        let name = &variant.name;
        match (variant.form, json.get("data")) {
            (Form::Unit, None) if json.is_string() => Some(Vec::new()),
            (Form::Unit, _) => self.mismatch(&format!("{name:?}"), json),
            (Form::Tuple, Some(Json::Array(items))) if items.len() == variant.fields.len() => {
                let types = variant.fields.iter().map(|field| field.ty);
                self.at("data", |own| own.elements(types.zip(items)))
            }
            (Form::Struct, Some(Json::Object(entries))) => self.at("data", |own| {
                let (coerce, quiet) = (own.coerce, own.quiet);
                let fields = variant.fields.iter().map(|field| {
                    let field = Field { coerce, ..field.clone() };
                    own.field(&field, entries.get(&field.json))
                });
                gather(quiet, fields)
            }),
            (form, _) => {
                let data = match form {
                    Form::Tuple => format!("[{} values]", variant.fields.len()),
                    _ => "{..}".to_owned(),
                };
                self.mismatch(&format!("{{\"variant\": {name:?}, \"data\": {data}}}"), json)
            }
        }
    }
}

/// How many values JSON consists of.
fn places(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(places).sum::<usize>(),
        Json::Object(entries) => 1 + entries.values().map(places).sum::<usize>(),
        _ => 1,
    }
}

/// All of them; so that every violation is found, the others are looked at behind one that does not fit, unless it is only an attempt.
fn gather<T>(quiet: bool, items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    if quiet {
        return items.collect();
    }
    let all: Vec<Option<T>> = items.collect();
    all.into_iter().collect()
}

/// A value without parts, from JSON of its own type.
fn scalar(ty: &Type, json: &Json) -> Option<Value> {
    match (ty, json) {
        (Type::Nil, Json::Null) => Some(Value::Nil),
        (Type::Bool, Json::Bool(truth)) => Some(Value::Bool(*truth)),
        (Type::Int, Json::Number(number)) => integral(number).map(Value::Int),
        (Type::Float, Json::Number(number)) => number.as_f64().map(Value::Float),
        (Type::String, Json::String(text)) => Some(Value::text(text.as_str())),
        (Type::Literal(words), Json::String(text)) if words.contains(text) => {
            Some(Value::text(text.as_str()))
        }
        _ => None,
    }
}

fn kind_name(ty: &Type) -> &'static str {
    match ty {
        Type::String => "a string",
        Type::Int => "an integer of 64 bits",
        Type::Float => "a number",
        Type::Bool => "true or false",
        Type::Nil => "null",
        Type::Array(_) => "an array",
        Type::Map(..) | Type::Struct(_) => "an object",
        _ => "a value with a JSON form",
    }
}

/// Whether JSON of this kind can be of the type at all.
fn has_kind(ty: &Type, json: &Json) -> bool {
    match ty {
        Type::String | Type::Literal(_) => json.is_string(),
        Type::Int | Type::Float => json.is_number(),
        Type::Bool => json.is_boolean(),
        Type::Array(_) | Type::Tuple(_) => json.is_array(),
        Type::Map(..) | Type::Struct(_) => json.is_object(),
        Type::Enum(_) => json.is_string() || json.is_object(),
        _ => false,
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("{word:?}")).collect();
    match words.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", words.join(", ")),
    }
}

fn constant_json(constant: &Constant) -> Json {
    match constant {
        Constant::Nil => Json::Null,
        Constant::Bool(truth) => Json::Bool(*truth),
        Constant::Int(number) => Json::from(*number),
        Constant::Float(number) => Json::from(*number),
        Constant::Str(text) => Json::String(text.clone()),
        Constant::Array(items) => items.iter().map(constant_json).collect(),
        Constant::Map(entries) => {
            entries.iter().map(|(key, item)| (key.clone(), constant_json(item))).collect()
        }
    }
}

/// An integral number within 64 bits, however it is written.
pub(super) fn integral(number: &Number) -> Option<i64> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0; // 2^63
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|f| f.fract() == 0.0)?;
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        (-BEYOND..BEYOND).contains(&float).then_some(float as i64)
    })
}

/// A short form of JSON for messages.
fn shown(json: &Json) -> String {
    short(&json.to_string())
}

/// A short form of a text, as JSON.
pub(super) fn quoted(text: &str) -> String {
    shown(&Json::from(text))
}

/// Not more than 60 characters of a text.
pub(super) fn short(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(57).chain("...".chars()).collect()
}
