//! The JSON in the text of an answer (SC-20, M-42).

use serde::Deserialize as _;
use serde_json::Value as Json;

use super::{MAX_BYTES, MAX_DEPTH, Violation};

/// Reads the JSON of an answer: the whole text, or if that is none the part of it that looks like JSON.
///
/// # Errors
/// One violation with reason `parse`.
pub fn parse(text: &str) -> Result<Json, Violation> {
    let violation = |actual: String| Violation {
        path: String::new(),
        reason: "parse",
        expected: "JSON".to_owned(),
        actual,
    };
    if text.len() > MAX_BYTES {
        return Err(violation("more than 10 MiB".to_owned()));
    }
    if depth(text) > MAX_DEPTH {
        return Err(violation(format!("more than {MAX_DEPTH} levels")));
    }
    let text = text.trim_start_matches('\u{feff}');
    read(text)
        .or_else(|plain| read(json_part(text)).map_err(|_| plain))
        .map_err(|error| violation(format!("text that is not ({error})")))
}

fn read(text: &str) -> Result<Json, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit(); // `depth` has bounded it, one level higher
    let json = Json::deserialize(&mut reader)?;
    reader.end()?;
    Ok(json)
}

/// How deep brackets are nested, those in strings left out.
fn depth(text: &str) -> usize {
    let (mut deepest, mut open) = (0, 0_usize);
    for (_, byte) in outside_strings(text) {
        match byte {
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The bytes that stand outside of JSON strings, with their places.
fn outside_strings(text: &str) -> impl Iterator<Item = (usize, u8)> + '_ {
    let (mut in_string, mut escaped) = (false, false);
    text.bytes().enumerate().filter(move |(_, byte)| {
        let was_in_string = in_string;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        !was_in_string
    })
}

/// The JSON inside an answer that also has other text: without one code fence around the whole, and without text before the first bracket and after
/// the one that closes it.
fn json_part(text: &str) -> &str {
    let mut inner = text.trim();
    if let Some(fenced) = inner.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) {
        inner = fenced.split_once('\n').map_or(fenced, |(_, body)| body).trim();
    }
    let Some(start) = inner.find(['{', '[']) else { return inner };
    let inner = inner.get(start..).unwrap_or_default();
    let mut open = 0_usize;
    for (at, byte) in outside_strings(inner) {
        match byte {
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => continue,
        }
        if open == 0 {
            return inner.get(..=at).unwrap_or(inner);
        }
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M-42
    #[test]
    fn json_is_found_inside_other_text() {
        for (text, expected) in [
            ("{\"a\": 1}", "{\"a\": 1}"),
            ("```json\n{\"a\": 1}\n```", "{\"a\": 1}"),
            ("Here it is: [1, 2]. Enjoy! [3]", "[1, 2]"),
            ("{\"a\": \"}\\\"}\"} and {\"b\": 2}", "{\"a\": \"}\\\"}\"}"),
            ("cut {\"a\": [1", "{\"a\": [1"),
            ("no brackets", "no brackets"),
        ] {
            assert_eq!(json_part(text), expected);
        }
    }

    /// SC-20
    #[test]
    fn depth_and_size_have_limits() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(128)).is_ok());
        let actual = |text: &str| parse(text).unwrap_err().actual;
        assert_eq!(actual(&nested(129)), "more than 128 levels");
        assert!(parse(&format!("{:?}", "[".repeat(500))).is_ok(), "brackets in a string");
        let long = format!("\"{}\"", "x".repeat(MAX_BYTES - 2));
        assert!(parse(&long).is_ok());
        assert_eq!(actual(&format!("{long} ")), "more than 10 MiB");
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    /// SC-20
    #[test]
    fn the_last_of_two_equal_keys_wins() {
        assert_eq!(
            parse("{\"a\": 1, \"b\": 2, \"a\": 3}"),
            Ok(serde_json::json!({"a": 3, "b": 2}))
        );
        assert_eq!(parse("\u{feff}[1]"), Ok(serde_json::json!([1])));
        let found = parse("not at all").unwrap_err();
        assert_eq!(found.reason, "parse");
        assert_eq!(
            found.message(),
            "the answer: expected JSON, got text that is not (expected ident at line 1 column 2)"
        );
    }
}
