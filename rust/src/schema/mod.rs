//! JSON to typed values, and Any values into typed places.
//!
//! [`parse`] reads the text of an answer within limits, [`check`] decodes JSON as a type: it collects every violation, each with its place as a JSON
//! pointer, fills defaults, converts where a field asks for it, and says which validators of the program are still to run. [`repair`] is what a model
//! is told about an answer that does not fit. [`conform`] checks a value that is already one of the language. Nothing here waits or calls.

mod answer;
mod coerce;
mod conform;
mod decode;
mod limits;
mod repair;
#[cfg(test)]
mod tests;

use serde_json::Value as Json;

use crate::ir::Verified;
use crate::ir::program::Constant;
use crate::value::Value;

pub use answer::parse;
pub use conform::conform;
pub use decode::{Decoded, Pending};
pub use repair::repair;

/// More violations than this are not collected.
const MAX_VIOLATIONS: usize = 50;
/// Deeper JSON is not read.
const MAX_DEPTH: usize = 128;
/// Longer answers are not read, in bytes.
const MAX_BYTES: usize = 10 << 20;

/// One way in which JSON does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer; empty for the whole.
    pub path: String,
    /// `parse`, `missing_field`, `type_mismatch`, `enum_violation`, `constraint`, `extra_field` or `validator`.
    pub reason: &'static str,
    /// What the type wants.
    pub expected: String,
    /// What stands there; what a validator said.
    pub actual: String,
}

impl Violation {
    /// What a validator of the program said about the value at a place.
    #[must_use]
    pub fn validator(path: String, message: String) -> Self {
        Self {
            path,
            reason: "validator",
            expected: "a value that `@validate` accepts".to_owned(),
            actual: message,
        }
    }

    /// One line: place, expected, found; of a validator its own words.
    #[must_use]
    pub fn message(&self) -> String {
        if self.reason == "validator" { self.actual.clone() } else { self.line() }
    }

    /// The same with the place in any case.
    fn line(&self) -> String {
        self.told("the answer")
    }

    /// The same, where `whole` is what the value as a whole is called.
    #[must_use]
    pub fn told(&self, whole: &str) -> String {
        let place = if self.path.is_empty() { whole } else { &decode::short(&self.path) };
        match self.reason {
            "validator" => format!("{place}: {}", self.actual),
            _ => format!("{place}: expected {}, got {}", self.expected, self.actual),
        }
    }
}

/// Decodes what a host passed: fields may also have the names that they have in the program, as values that came from it do. Validators of the
/// program are not run.
///
/// # Errors
/// All violations, at most 50, in order of their places.
pub fn decode(program: &Verified, ty: u32, json: &Json) -> Result<Value, Vec<Violation>> {
    decode::run(program, ty, json, true).map(|decoded| decoded.value)
}

/// A default in the form that its type has.
#[must_use]
pub fn default(program: &Verified, ty: u32, default: &Constant) -> Value {
    decode::default(program, ty, default)
}

/// Decodes JSON as a type, and lists the validators that have to agree.
///
/// # Errors
/// All violations, at most 50, in order of their places.
pub fn check(program: &Verified, ty: u32, json: &Json) -> Result<Decoded, Vec<Violation>> {
    decode::run(program, ty, json, false)
}
