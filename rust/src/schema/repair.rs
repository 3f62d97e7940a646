//! What a model is told about an answer that does not fit (SC-24).

use super::Violation;

/// The user message of a repair round: the program's own words first, then every violation, and the JSON Schema for a model that may not have seen it.
#[must_use]
pub fn repair(
    name: &str,
    violations: &[Violation],
    own_words: &str,
    unseen: Option<&str>,
) -> String {
    let mut text = String::new();
    if !own_words.is_empty() {
        text.push_str(own_words);
        text.push_str("\n\n");
    }
    text.push_str(&format!("Your last answer does not fit the schema `{name}`:\n"));
    for violation in violations {
        text.push_str(&format!("- {}\n", violation.line()));
    }
    if let Some(json) = unseen {
        text.push_str(&format!("This is its JSON Schema:\n{json}\n"));
    }
    text.push_str("Answer again, with one JSON value that fits the schema and nothing else.");
    text
}
