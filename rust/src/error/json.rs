//! Errors as JSON, for hosts in other languages and for logs.

use serde_json::{Map, Value as Json, json};

use super::{Error, RunError, TraceFrame};
use crate::value::to_json;

impl Error {
    /// The error as an object: `kind` (the word of [`Error::kind`]), `message`, `trace` (innermost call first) and, where the kind has them, `code` (which panic, limit or
    /// failure of a model call), `value` (of the program) and `fields` (of a failed model call).
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Run(error) => error.to_json(),
            other => {
                json!({"kind": other.kind().as_str(), "message": other.to_string(), "trace": []})
            }
        }
    }
}

impl RunError {
    /// As [`Error::to_json`].
    #[must_use]
    pub fn to_json(&self) -> Json {
        let message = self.to_string();
        let trace: Vec<Json> = self.trace().iter().map(TraceFrame::to_json).collect();
        let mut object = Map::new();
        object.insert("kind".to_owned(), self.kind().as_str().into());
        object.insert("message".to_owned(), message.into());
        match self {
            Self::Llm { error, .. } => {
                object.insert("code".to_owned(), error.kind.as_str().into());
                object.insert("fields".to_owned(), json!(error));
            }
            Self::Program { value, .. } => {
                object.insert("value".to_owned(), to_json(value));
            }
            Self::Panic { kind, .. } => {
                object.insert("code".to_owned(), kind.as_str().into());
            }
            Self::Limit { limit } => {
                object.insert("code".to_owned(), limit.as_str().into());
            }
            Self::Handler { .. } | Self::Cancelled | Self::Internal { .. } => {}
        }
        object.insert("trace".to_owned(), trace.into());
        Json::Object(object)
    }
}

impl TraceFrame {
    fn to_json(&self) -> Json {
        json!({"function": self.function, "path": self.path, "line": self.line, "column": self.column})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn an_error_tells_all_it_knows() {
        let trace = vec![TraceFrame {
            function: "f".to_owned(),
            path: "a.conc".to_owned(),
            line: 3,
            column: 5,
        }];
        let frames = json!([{"function": "f", "path": "a.conc", "line": 3, "column": 5}]);
        let failed = RunError::Program { message: "no".to_owned(), value: Value::Int(4), trace };
        let expected = json!({"kind": "program", "message": "no", "value": 4, "trace": frames});
        assert_eq!(Error::from(failed).to_json(), expected);
        let limit = Error::from(RunError::Limit { limit: "execution_timeout".to_owned() });
        assert_eq!(limit.to_json()["code"], "execution_timeout");
        let empty = Error::NothingToRun.to_json();
        assert_eq!((&empty["kind"], &empty["trace"]), (&json!("config"), &json!([])));
    }
}
