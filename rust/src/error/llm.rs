//! A failed model call that a program did not handle, with the fields that the language gives it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::value::{Value, to_json};

/// A failed model call. `kind` says which failure it is, such as `rate_limit`; fields of other kinds are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LlmError {
    /// `config`, `authentication`, `permission_denied`, `network`, `server_error`, `stream_interrupted`, `timeout`, `rate_limit`,
    /// `quota_exceeded`, `model_not_found`, `invalid_request`, `context_length`, `content_filtered`, `invalid_response`, `tool_limit`, `custom` or
    /// `schema`.
    pub kind: String,
    /// One line for people; begins with the connection and the cause.
    pub message: String,
    /// Name of the connection.
    pub connection: String,
    /// The same as `connection`.
    pub provider: String,
    /// Name of the model in the program.
    pub model: String,
    /// The provider's id.
    pub model_id: String,
    /// HTTP status.
    pub status: Option<i64>,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// HTTP attempts; 0 if no request was sent.
    pub attempts: i64,
    /// Whether another try could help.
    pub retryable: bool,
    /// The server's wish.
    pub retry_after_ms: Option<i64>,
    /// From the start of the call.
    pub latency_ms: i64,
    /// Where a time limit ran out: `connect`, `response`, `body`, `idle`, `queue` or `call`.
    pub phase: Option<String>,
    /// Which field a `config` error is about.
    pub field: Option<String>,
    /// What broke a stream, or kept a connection from being made.
    pub cause: Option<String>,
    /// Such as `overloaded`.
    pub detail: Option<String>,
    /// What an interrupted stream had delivered.
    pub partial_text: String,
    /// In how many chunks.
    pub chunks: i64,
    /// The limit of a `timeout`.
    pub timeout_seconds: f64,
    /// The server's code of an `invalid_request`.
    pub code: Option<String>,
    /// The parameter of an `invalid_request`.
    pub param: Option<String>,
    /// Why a filter stopped the answer.
    pub category: Option<String>,
    /// What the server sent, in part.
    pub raw_response: String,
    /// Model turns.
    pub rounds: i64,
    /// Why an answer does not fit its schema.
    pub reason: Option<String>,
    /// How an answer does not fit its schema.
    pub violations: Vec<Violation>,
}

/// One place where an answer does not fit its schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of the language reference")]
pub struct Violation {
    pub path: String,
    pub reason: String,
    pub expected: String,
    pub actual: String,
    pub message: String,
}

impl LlmError {
    /// The error that a value of the program is; `None` if it is no failed call.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let Value::Struct(held) = value else { return None };
        if held.ty.name != "LlmError" || !held.ty.is_error {
            return None;
        }
        let names = held.ty.fields.iter().map(|(name, _)| name.clone());
        let fields = names.zip(held.fields.iter().map(to_json)).collect();
        serde_json::from_value(serde_json::Value::Object(fields)).ok()
    }

    /// Whether another try could help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.and_then(|wait| u64::try_from(wait).ok()).map(Duration::from_millis)
    }
}

impl std::fmt::Display for LlmError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LlmError {}

#[cfg(test)]
mod tests {
    use triomphe::Arc;

    use super::*;
    use crate::value::{StructValue, builtin};

    /// E-9: the host's error has every field of the language's, under the same name.
    #[test]
    fn no_field_is_lost() {
        let record = builtin::RECORDS.iter().find(|record| record.name == "LlmError").unwrap();
        let ty = builtin::struct_type("LlmError").unwrap();
        let fields = record.fields.iter().map(|(name, declared)| match *declared {
            "Bool" => Value::Bool(true),
            "Int" => Value::Int(7),
            "Float" => Value::Float(1.5),
            "Option<Int>" => Value::some(Value::Int(8)),
            "Option<String>" => Value::some(Value::from(*name)),
            "Array<Violation>" => {
                Value::array(vec![builtin::violation("/a", "enum", "x", "y", "m")])
            }
            _ => Value::from(*name),
        });
        let value =
            Value::Struct(Arc::new(StructValue { ty, fields: fields.collect(), note: None }));
        let error = LlmError::from_value(&value).unwrap();
        let kept = serde_json::to_value(&error).unwrap();
        let Value::Struct(held) = &value else { unreachable!() };
        for ((name, _), field) in record.fields.iter().zip(&held.fields) {
            assert_eq!(kept.get(name), Some(&to_json(field)), "{name}");
        }
        assert_eq!(kept.as_object().unwrap().len(), record.fields.len());
        assert_eq!(error.retry_after(), Some(Duration::from_millis(8)));
        assert_eq!((error.to_string().as_str(), error.is_retryable()), ("message", true));
        assert_eq!(LlmError::from_value(&Value::Nil), None);
    }
}
