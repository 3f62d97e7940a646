//! The records and errors that the runtime itself makes.
//!
//! One table names their fields and types, in order; `python/concerto/check/builtins.py` has the same one and a test compares the two. Programs
//! carry a copy in their type table, which the loader compares too, so that field numbers agree.

use std::sync::LazyLock;

use triomphe::Arc;

use super::{StructType, StructValue, Value};

/// A field's name and its type as the language writes it.
pub type Field = (&'static str, &'static str);

/// A built-in record or error.
#[derive(Debug)]
pub struct Record {
    /// Its name.
    pub name: &'static str,
    /// Whether it is an error: it displays as its message and converts to String.
    pub is_error: bool,
    /// Its fields in order.
    pub fields: &'static [Field],
}

const fn record(name: &'static str, fields: &'static [Field]) -> Record {
    Record { name, is_error: false, fields }
}

const fn error(name: &'static str, fields: &'static [Field]) -> Record {
    Record { name, is_error: true, fields }
}

/// All built-in records.
pub static RECORDS: &[Record] = &[
    record(
        "Response",
        &[
            ("text", "String"),
            ("tokens_in", "Int"),
            ("tokens_out", "Int"),
            ("model", "String"),
            ("provider", "String"),
            ("latency_ms", "Int"),
            ("finish_reason", "String"),
            ("attempts", "Int"),
            ("rounds", "Int"),
            ("request_id", "Option<String>"),
            ("tokens_cached", "Int"),
            ("usage_estimated", "Bool"),
            ("cost", "Option<Float>"),
        ],
    ),
    record(
        "StreamChunk",
        &[("text", "String"), ("index", "Int"), ("elapsed_ms", "Int"), ("round", "Int")],
    ),
    record(
        "Violation",
        &[
            ("path", "String"),
            ("reason", "String"),
            ("expected", "String"),
            ("actual", "String"),
            ("message", "String"),
        ],
    ),
    record("Message", &[("role", "String"), ("content", "String")]),
    record(
        "Prompt",
        &[
            ("text", "String"),
            ("model", "Option<String>"),
            ("temperature", "Option<Float>"),
            ("max_tokens", "Option<Int>"),
        ],
    ),
    // One flat record for all variants of the error; which one it is, `kind` says.
    error(
        "LlmError",
        &[
            ("message", "String"),
            ("kind", "String"),
            ("connection", "String"),
            ("provider", "String"),
            ("model", "String"),
            ("model_id", "String"),
            ("status", "Option<Int>"),
            ("request_id", "Option<String>"),
            ("attempts", "Int"),
            ("retryable", "Bool"),
            ("retry_after_ms", "Option<Int>"),
            ("latency_ms", "Int"),
            ("phase", "Option<String>"),
            ("field", "Option<String>"),
            ("cause", "Option<String>"),
            ("detail", "Option<String>"),
            ("partial_text", "String"),
            ("chunks", "Int"),
            ("timeout_seconds", "Float"),
            ("code", "Option<String>"),
            ("param", "Option<String>"),
            ("category", "Option<String>"),
            ("raw_response", "String"),
            ("rounds", "Int"),
            ("reason", "Option<String>"),
            ("violations", "Array<Violation>"),
        ],
    ),
    error("EnvError", &[("message", "String"), ("kind", "String"), ("name", "String")]),
    error("ParseError", &[("message", "String"), ("kind", "String"), ("input", "String")]),
    error("NoneError", &[("message", "String"), ("kind", "String")]),
    error("TaskError", &[("message", "String"), ("kind", "String")]),
    error(
        "TimeoutError",
        &[
            ("message", "String"),
            ("kind", "String"),
            ("timeout_seconds", "Float"),
            ("phase", "Option<String>"),
        ],
    ),
    error(
        "PipelineError",
        &[
            ("message", "String"),
            ("kind", "String"),
            ("pipeline", "String"),
            ("stage", "String"),
            ("attempts", "Int"),
            ("cause", "Any"),
        ],
    ),
    error(
        "JsonError",
        &[
            ("message", "String"),
            ("kind", "String"),
            ("line", "Int"),
            ("column", "Int"),
            ("path", "String"),
        ],
    ),
    error("DecodeError", &[("message", "String"), ("kind", "String"), ("input", "String")]),
    error("TimeError", &[("message", "String"), ("kind", "String"), ("input", "String")]),
    error("FsError", &[("message", "String"), ("kind", "String"), ("path", "String")]),
    error("HttpError", &[("message", "String"), ("kind", "String"), ("url", "String")]),
    error(
        "ToolError",
        &[("message", "String"), ("kind", "String"), ("tool", "String"), ("method", "String")],
    ),
    error("EmitError", &[("message", "String"), ("kind", "String"), ("channel", "String")]),
    record(
        "HttpResponse",
        &[("status", "Int"), ("body", "String"), ("headers", "Map<String, String>")],
    ),
    record("Emit", &[("channel", "String"), ("payload", "Any")]),
    record(
        "MockCall",
        &[
            ("method", "String"),
            ("prompt", "String"),
            ("messages", "Array<Message>"),
            ("system", "String"),
            ("schema", "String"),
            ("tools", "Array<String>"),
            ("base", "String"),
        ],
    ),
];

static TYPES: LazyLock<Vec<Arc<StructType>>> = LazyLock::new(|| {
    RECORDS
        .iter()
        .map(|record| {
            Arc::new(StructType {
                name: record.name.to_owned(),
                is_error: record.is_error,
                fields: record
                    .fields
                    .iter()
                    .map(|(name, _)| ((*name).to_owned(), (*name).to_owned()))
                    .collect(),
            })
        })
        .collect()
});

/// The run-time type of a built-in record.
#[must_use]
pub fn struct_type(name: &str) -> Option<Arc<StructType>> {
    TYPES.iter().find(|ty| ty.name == name).cloned()
}

/// The table as JSON: `[{"name", "is_error", "fields": [[name, type]]}]`.
#[must_use]
pub fn describe() -> String {
    let records: Vec<_> = RECORDS
        .iter()
        .map(|r| serde_json::json!({"name": r.name, "is_error": r.is_error, "fields": r.fields}))
        .collect();
    serde_json::Value::from(records).to_string()
}

/// Makes a record of this name from values in the order of the table.
fn named(name: &str, fields: Vec<Value>) -> Value {
    RECORDS.iter().position(|record| record.name == name).map_or(Value::Nil, |at| make(at, fields))
}

/// Makes a record from values in the order of the table. The number of values is right by construction; a test holds each caller to it.
fn make(index: usize, fields: Vec<Value>) -> Value {
    TYPES.get(index).map_or(Value::Nil, |ty| {
        debug_assert_eq!(ty.fields.len(), fields.len(), "{}", ty.name);
        Value::Struct(Arc::new(StructValue { ty: Arc::clone(ty), fields, note: None }))
    })
}

/// `Response`: fields in the order of the table.
#[must_use]
pub fn response(fields: Vec<Value>) -> Value {
    make(0, fields)
}

/// `StreamChunk`.
#[must_use]
pub fn stream_chunk(text: impl Into<Value>, index: i64, elapsed_ms: i64, round: i64) -> Value {
    make(1, vec![text.into(), index.into(), elapsed_ms.into(), round.into()])
}

/// `Violation`.
#[must_use]
pub fn violation(path: &str, reason: &str, expected: &str, actual: &str, message: &str) -> Value {
    make(2, [path, reason, expected, actual, message].map(Value::from).to_vec())
}

/// `LlmError`: fields in the order of the table.
#[must_use]
pub fn llm_error(fields: Vec<Value>) -> Value {
    make(5, fields)
}

/// `LlmError::Custom`, which a program makes itself.
#[must_use]
pub fn custom_error(message: &str) -> Value {
    let Some(record) = RECORDS.get(5) else { return Value::Nil };
    let fields = record.fields.iter().map(|(name, ty)| match (*name, *ty) {
        ("message", _) => message.into(),
        ("kind", _) => "custom".into(),
        (_, "String") => "".into(),
        (_, "Int") => 0.into(),
        (_, "Float") => 0.0.into(),
        (_, "Bool") => false.into(),
        (_, "Array<Violation>") => Value::array(Vec::new()),
        _ => Value::None,
    });
    llm_error(fields.collect())
}

/// `EnvError`.
#[must_use]
pub fn env_error(message: &str, kind: &str, name: &str) -> Value {
    make(6, [message, kind, name].map(Value::from).to_vec())
}

/// `ToolError`.
#[must_use]
pub fn tool_error(message: &str, kind: &str, tool: &str, method: &str) -> Value {
    named("ToolError", [message, kind, tool, method].map(Value::from).to_vec())
}

/// `Emit`.
#[must_use]
pub fn emit(channel: &str, payload: Value) -> Value {
    named("Emit", vec![channel.into(), payload])
}

/// `Message`.
#[must_use]
pub fn message(role: &str, content: &str) -> Value {
    named("Message", vec![role.into(), content.into()])
}

/// `MockCall`: fields in the order of the table.
#[must_use]
pub fn mock_call(fields: Vec<Value>) -> Value {
    named("MockCall", fields)
}

/// `ParseError`.
#[must_use]
pub fn parse_error(message: &str, kind: &str, input: &str) -> Value {
    make(7, [message, kind, input].map(Value::from).to_vec())
}

/// `PipelineError` of a stage that failed.
#[must_use]
pub fn pipeline_error(pipeline: &str, stage: &str, attempts: i64, cause: Value) -> Value {
    let message = format!("pipeline '{pipeline}' failed at stage '{stage}': {cause}");
    let is_late = matches!(&cause, Value::Struct(error) if error.ty.name == "TimeoutError");
    let kind = if is_late { "timeout" } else { "stage" };
    let texts = [message.as_str(), kind, pipeline, stage].map(Value::from);
    named("PipelineError", texts.into_iter().chain([attempts.into(), cause]).collect())
}

/// `TimeoutError` of a limit in milliseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "limits of days are small numbers")]
pub fn timeout_error(ms: i64) -> Value {
    let seconds = Value::Float(ms as f64 / 1000.0);
    let message = format!("the time limit of {seconds} s was exceeded");
    named("TimeoutError", vec![message.into(), "timeout".into(), seconds, Value::None])
}

/// `EmitError`.
#[must_use]
pub fn emit_error(message: &str, kind: &str, channel: &str) -> Value {
    named("EmitError", [message, kind, channel].map(Value::from).to_vec())
}

/// `TaskError`.
#[must_use]
pub fn task_error(message: &str, kind: &str) -> Value {
    named("TaskError", [message, kind].map(Value::from).to_vec())
}

/// `JsonError` for text that is no JSON.
#[must_use]
pub fn json_syntax_error(problem: &super::JsonProblem) -> Value {
    let super::JsonProblem { kind, what, line, column } = problem;
    let message = format!("invalid JSON at line {line}, column {column}: {what}");
    let fields = vec![message.into(), (*kind).into(), (*line).into(), (*column).into(), "".into()];
    named("JsonError", fields)
}

/// `JsonError` for JSON that does not fit a type; `path` is the JSON pointer of the first place.
#[must_use]
pub fn json_schema_error(message: &str, path: &str) -> Value {
    let fields = vec![message.into(), "schema".into(), 0.into(), 0.into(), path.into()];
    named("JsonError", fields)
}

/// `DecodeError`.
#[must_use]
pub fn decode_error(message: &str, input: &str) -> Value {
    named("DecodeError", [message, "invalid", input].map(Value::from).to_vec())
}

/// `TimeError` for a text that is no moment.
#[must_use]
pub fn time_error(input: &str) -> Value {
    let shown: String = input.chars().take(40).collect();
    let message = format!("`{}` is no date and time of ISO 8601", shown.escape_debug());
    named("TimeError", [message.as_str(), "invalid", input].map(Value::from).to_vec())
}

/// `FsError`.
#[must_use]
pub fn fs_error(message: &str, kind: &str, path: &str) -> Value {
    named("FsError", [message, kind, path].map(Value::from).to_vec())
}

/// `HttpError`.
#[must_use]
pub fn http_error(message: &str, kind: &str, url: &str) -> Value {
    named("HttpError", [message, kind, url].map(Value::from).to_vec())
}

/// `HttpResponse`.
#[must_use]
pub fn http_response(status: i64, body: &str, headers: Value) -> Value {
    named("HttpResponse", vec![status.into(), body.into(), headers])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constructors_make_their_records() {
        for (value, name) in [
            (stream_chunk("a", 0, 0, 1), "StreamChunk"),
            (violation("", "", "", "", ""), "Violation"),
            (env_error("m", "missing", "X"), "EnvError"),
            (parse_error("m", "invalid", "x"), "ParseError"),
            (task_error("m", "cancelled"), "TaskError"),
            (emit_error("m", "closed", "c"), "EmitError"),
            (timeout_error(1500), "TimeoutError"),
            (pipeline_error("P", "s", 1, Value::Nil), "PipelineError"),
            (json_schema_error("m", "/a"), "JsonError"),
            (decode_error("m", "x"), "DecodeError"),
            (time_error("x"), "TimeError"),
            (fs_error("m", "io", "x"), "FsError"),
            (http_error("m", "tls", "x"), "HttpError"),
            (http_response(200, "", Value::Nil), "HttpResponse"),
        ] {
            let Value::Struct(made) = value else { panic!("{name}") };
            assert_eq!((made.ty.name.as_str(), made.fields.len()), (name, made.ty.fields.len()));
        }
    }
}
