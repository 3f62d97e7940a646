//! The document that the compiler writes, as `docs/ir.md` describes it: the twin of `python/concerto/lower/ir.py`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::value::{CollectionKind, Form, Origin};

/// The `format` of every document.
pub const FORMAT: &str = "concerto-ir";
/// The format version that this runtime reads.
pub const VERSION: u64 = 1;

/// A whole program, unverified. Fields stand in alphabetical order, which is their order in canonical JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Channels that the program names, by name; none are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// Version of the compiler.
    pub compiler: String,
    /// Declared connections.
    pub connections: Vec<Connection>,
    /// Constant pool.
    pub constants: Vec<Constant>,
    /// SHA-256 over the sources.
    pub digest: String,
    /// Where a run starts.
    pub entry: Entry,
    /// Flags that a reader must know.
    pub features: Vec<String>,
    /// Sources, for positions.
    pub files: Vec<File>,
    /// [`FORMAT`].
    pub format: String,
    /// Code.
    pub functions: Vec<Function>,
    /// Declared models.
    pub models: Vec<Model>,
    /// What the program may ask for.
    pub permissions: Permissions,
    /// Prices of the manifest, by model id; none are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pricing: BTreeMap<String, crate::config::PriceConfig>,
    /// Schemas that answers can be asked for.
    pub schemas: Vec<Schema>,
    /// Declared stores; none are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Store>,
    /// Functions that only `concerto test` runs; none are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
    /// Declared tools; none are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Type table.
    pub types: Vec<Type>,
    /// [`VERSION`].
    pub version: u64,
}

/// A channel that a program names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// The types of what is sent there, as the language writes them.
    pub payloads: Vec<String>,
    /// The types of the replies that are expected; none if nothing is asked there.
    pub replies: Vec<String>,
}

/// `[file, start, end]`: half-open character offsets.
pub type Place = (u32, u32, u32);

/// A source file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// SHA-256 of the text.
    pub digest: String,
    /// Character offset of the start of each line.
    pub lines: Vec<u32>,
    /// As given to the compiler.
    pub path: String,
    /// The source, if it was embedded.
    pub text: Option<String>,
}

/// An entry of the constant pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub enum Constant {
    /// Null.
    Nil,
    /// A truth value (in defaults only).
    Bool(bool),
    /// A number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Str(String),
    /// Constants in order (in defaults only).
    Array(Vec<Constant>),
    /// Constants by key, in order (in defaults only).
    Map(Vec<(String, Constant)>),
}

impl TryFrom<serde_json::Value> for Constant {
    type Error = String;

    fn try_from(json: serde_json::Value) -> Result<Self, String> {
        use serde_json::Value as Json;
        let wrong = || format!("`{json}` is no constant");
        let Json::Array(parts) = &json else { return Err(wrong()) };
        let (tag, payload) = (parts.first().and_then(Json::as_str), parts.get(1));
        let number = |payload: &Json| match payload {
            Json::Number(n) if n.is_f64() => n.as_f64(),
            _ => None,
        };
        match (tag, payload, parts.len()) {
            (Some("nil"), None, 1) => Some(Self::Nil),
            (Some("bool"), Some(p), 2) => p.as_bool().map(Self::Bool),
            (Some("int"), Some(p), 2) => p.as_i64().map(Self::Int),
            (Some("float"), Some(p), 2) => number(p).map(Self::Float),
            (Some("string"), Some(Json::String(s)), 2) => Some(Self::Str(s.clone())),
            (Some("array"), Some(Json::Array(items)), 2) => Some(Self::Array(
                items.iter().cloned().map(Self::try_from).collect::<Result<_, _>>()?,
            )),
            (Some("map"), Some(entries @ Json::Array(_)), 2) => {
                let entries = serde_json::from_value(entries.clone());
                Some(Self::Map(entries.map_err(|error| error.to_string())?))
            }
            _ => None,
        }
        .ok_or_else(wrong)
    }
}

impl From<Constant> for serde_json::Value {
    fn from(constant: Constant) -> Self {
        match constant {
            Constant::Nil => serde_json::json!(["nil"]),
            Constant::Bool(truth) => serde_json::json!(["bool", truth]),
            Constant::Int(number) => serde_json::json!(["int", number]),
            Constant::Float(number) => serde_json::json!(["float", number]),
            Constant::Str(text) => serde_json::json!(["string", text]),
            Constant::Array(items) => serde_json::json!(["array", items]),
            Constant::Map(entries) => serde_json::json!(["map", entries]),
        }
    }
}

/// An entry of the type table; numbers refer to other entries.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// `Any`.
    Any,
    /// `Never`.
    Never,
    /// `Nil`.
    Nil,
    /// `Bool`.
    Bool,
    /// `Int`.
    Int,
    /// `Float`.
    Float,
    /// `String`.
    String,
    /// `Range`.
    Range,
    /// `Stream`.
    Stream,
    /// `ModelRef`.
    Model,
    /// `ModelBuilder`.
    Builder,
    /// `Array<T>`.
    Array(u32),
    /// `Map<K, V>`.
    Map(u32, u32),
    /// A tuple.
    Tuple(Vec<u32>),
    /// `Set<T>`, `Queue<T>` or `Stack<T>`.
    Collection(CollectionKind, u32),
    /// `HashMap<K, V>`.
    Store(u32, u32),
    /// `Option<T>`.
    Option(u32),
    /// `Result<T, E>`.
    Result(u32, u32),
    /// `Future<T>`.
    Future(u32),
    /// `Task<T>`.
    Task(u32),
    /// `PipelineRef<In, Out>`.
    Pipeline(u32, u32),
    /// `fn(A) -> R`.
    Function(Vec<u32>, u32),
    /// One of these strings.
    Literal(Vec<String>),
    /// `A | B`.
    Union(Vec<u32>),
    /// A struct, schema, record or error.
    Struct(Struct),
    /// An enum.
    Enum(Enum),
}

/// A struct type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Struct {
    /// Its fields in declared order.
    pub fields: Vec<Field>,
    /// `message` of a type of the program that implements `Error`: a function of one parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u32>,
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether JSON may have no other fields.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict: bool,
    /// Functions of one parameter that judge a value, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validators: Vec<u32>,
}

/// A field of a struct or of a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Limits of its value in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
    /// Whether JSON of another type is converted where nothing is lost.
    #[serde(default, skip_serializing_if = "is_false")]
    pub coerce: bool,
    /// Taken where JSON lacks the field or has null.
    pub default: Option<Constant>,
    /// Its name in JSON.
    pub json: String,
    /// Its name.
    pub name: String,
    /// Whether JSON may lack it; then it is `None`.
    pub optional: bool,
    /// Index of its type.
    #[serde(rename = "type")]
    pub ty: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(truth: &bool) -> bool {
    !truth
}

/// Limits of a field's value. Those of numbers and arrays hold for the value, inside of an Option; those of text also for each element of an array.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// Least and largest number of elements or entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<(Option<u64>, Option<u64>)>,
    /// Least and largest number of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<(Option<u64>, Option<u64>)>,
    /// A regular expression that is found in the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Least and largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(Option<Number>, Option<Number>)>,
}

/// An enum type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enum {
    /// As of a struct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u32>,
    /// Its name.
    pub name: String,
    /// Its variants in declared order.
    pub variants: Vec<Variant>,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its data.
    pub fields: Vec<Field>,
    /// How it is written.
    pub form: Form,
    /// Its name.
    pub name: String,
}

/// A schema that a model can be asked to answer in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// The JSON Schema as text.
    pub json: String,
    /// Its name.
    pub name: String,
    /// Index of its type.
    #[serde(rename = "type")]
    pub ty: u32,
}

/// A value that the runtime evaluates at first use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldExpr {
    /// As written.
    Bool(bool),
    /// As written.
    Int(i64),
    /// As written.
    Float(f64),
    /// As written.
    Text(String),
    /// A variable.
    Env {
        /// Its name.
        env: String,
    },
    /// The first operand that is something.
    Coalesce {
        /// Operands in order.
        coalesce: Vec<FieldExpr>,
    },
    /// Joined texts.
    Concat {
        /// Parts in order.
        concat: Vec<FieldExpr>,
    },
}

/// A declared connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// What the program wrote.
    pub fields: ConnectionFields,
    /// Which provider it speaks to.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `program` or `manifest`.
    pub origin: String,
    /// What the manifest's profile in force lays over the declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ConnectionFields>,
    /// Where it is declared.
    pub span: Place,
}

/// Fields of a connection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionFields {
    /// Key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<FieldExpr>,
    /// Endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<FieldExpr>,
    /// Model id or alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model: Option<FieldExpr>,
    /// Extra HTTP headers, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<(String, FieldExpr)>>,
    /// Aliases, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<(String, FieldExpr)>>,
    /// OpenAI organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<FieldExpr>,
    /// OpenAI project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<FieldExpr>,
    /// Another provider kind; only profiles have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Rate limits as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<crate::config::RateLimitConfig>,
    /// Retry policy as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<crate::config::RetryConfig>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<FieldExpr>,
}

/// A declared model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Index of its connection.
    pub connection: u32,
    /// What the program wrote.
    pub fields: ModelFields,
    /// Its name.
    pub name: String,
    /// Index of the function that says what becomes of an error of a tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_tool_error: Option<u32>,
    /// Where it is declared.
    pub span: Place,
}

/// Answers that are kept, so that the same question is not asked again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// How many; the oldest goes.
    pub max_entries: u32,
    /// How long each.
    pub ttl_seconds: u32,
}

/// Fields of a model.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFields {
    /// Model id or alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<FieldExpr>,
    /// Answers that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Limit of a whole call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Channel that tells of each call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Limit of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<FieldExpr>,
    /// Name of a memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Replaces the connection's retry policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<crate::config::RetryConfig>,
    /// Best-effort determinism.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<FieldExpr>,
    /// Texts that end an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_sequences: Option<Vec<FieldExpr>>,
    /// First message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<FieldExpr>,
    /// Sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<FieldExpr>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<FieldExpr>,
    /// Names of tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<FieldExpr>,
}

/// A declared `hashmap`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Index of the type of its keys.
    pub key: u32,
    /// Its name.
    pub name: String,
    /// The file that keeps its entries between runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Where it is declared.
    pub span: Place,
    /// Index of the type of its values.
    pub value: u32,
}

/// A declared tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// What a model may call.
    pub methods: Vec<ToolMethod>,
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub span: Place,
    /// Index of the function that makes the instance of a run; a tool without state has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<u32>,
}

/// A method of a tool that a model may call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolMethod {
    /// Index of a struct type, whose fields are the parameters without `self`.
    pub arguments: u32,
    /// Whether the function gives the changed instance, in a pair with its value if it has one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub changes: bool,
    /// Parameters whose defaults are computed, in order: the position among the arguments, and the function of the instance, if the method takes it, and
    /// of the arguments before. Such an argument is an `Option`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub computed: Vec<(u32, u32)>,
    /// For the model.
    pub description: String,
    /// Whether its value is a `Result`, of which `result` is the type of the `Ok`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fails: bool,
    /// Index of its function; without one a host has to stand in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<u32>,
    /// Its name.
    pub name: String,
    /// JSON Schema of the arguments, as text.
    pub parameters: String,
    /// Index of the type of its value.
    pub result: u32,
    /// Where it is declared.
    pub span: Place,
    /// Whether the instance is its first argument.
    #[serde(default, skip_serializing_if = "is_false")]
    pub takes_self: bool,
    /// The name under which a model knows it.
    pub wire: String,
}

/// A function.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Instructions: a name and its operands.
    pub code: Vec<super::ops::Raw>,
    /// Documentation.
    pub doc: Option<String>,
    /// Index of its file.
    pub file: u32,
    /// Its name.
    pub name: String,
    /// Parameters, which arrive in registers 0, 1, ..
    pub params: Vec<Param>,
    /// Whether other modules may use it.
    pub public: bool,
    /// Size of a frame.
    pub registers: u32,
    /// Index of its result type.
    pub result: u32,
    /// Where it is declared.
    pub span: (u32, u32),
    /// `(pc, start, end)` of instructions that can fail or suspend, in order of pc.
    pub spans: Vec<(u32, u32, u32)>,
}

/// A parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// A default that must be computed: the index of a function of the parameters before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed: Option<u32>,
    /// Taken where a host gives no argument.
    pub default: Option<Constant>,
    /// Its name.
    pub name: String,
    /// Index of its type.
    #[serde(rename = "type")]
    pub ty: u32,
}

/// Where a run starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Functions that hosts may call.
    pub exports: Vec<Export>,
    /// `main`.
    pub main: Option<usize>,
    /// Top-level statements.
    pub top: Option<usize>,
}

/// A function that hosts may call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Its index.
    pub function: usize,
    /// Its name.
    pub name: String,
}

/// A test.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// It is to fail, and its message is to contain this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_fail: Option<String>,
    /// Index of its function, which has no parameters.
    pub function: usize,
    /// Its description.
    pub title: String,
}

/// What a program may ask for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Environment variables.
    pub env: Vec<String>,
    /// Hosts of literal base URLs.
    pub hosts: Vec<String>,
}
