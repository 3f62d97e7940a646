//! Regular expressions of schemas: compiled once, when a program is loaded.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::IrError;
use super::program::{Document, Type};

/// A compiled expression may be this large, in bytes.
const MAX_SIZE: usize = 1 << 20;

/// Compiles one expression. It searches, is not anchored, and takes time linear in the text.
///
/// # Errors
/// What is wrong with it, on one line.
pub fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(MAX_SIZE).build().map_err(|error| match error {
        regex::Error::Syntax(report) => {
            let cause = report.lines().last().unwrap_or_default();
            cause.trim_start_matches("error: ").to_owned()
        }
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        other => other.to_string(),
    })
}

/// All expressions of a program by their text.
pub(super) fn patterns(document: &Document) -> Result<HashMap<String, Regex>, IrError> {
    let mut found = HashMap::new();
    for ty in &document.types {
        let Type::Struct(inner) = ty else { continue };
        for text in inner.fields.iter().filter_map(|field| field.checks.as_ref()?.pattern.as_ref())
        {
            if !found.contains_key(text) {
                let compiled = pattern(text).map_err(|problem| IrError::Malformed {
                    what: format!("the pattern of a field of `{}`: {problem}", inner.name),
                })?;
                found.insert(text.clone(), compiled);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_pattern_says_what_is_wrong() {
        assert!(pattern("^[A-Z]{2}$").is_ok_and(|found| found.is_match("DE")));
        assert_eq!(pattern("[").unwrap_err(), "unclosed character class");
        assert_eq!(
            pattern("(?=x)").unwrap_err(),
            "look-around, including look-ahead and look-behind, is not supported"
        );
        assert_eq!(pattern(r"\w{1000}{1000}").unwrap_err(), "it is too large");
    }
}
