//! What is known of models: the rows of the price file, and rules by family for what has no row. Data, not conditions.
//!
//! The twin for warnings at compile time is `python/concerto/check/model_table.json`; a test makes it from these two files.

use std::sync::LazyLock;

use serde_json::Value as Json;

/// Prices, limits and features of chat models; source, date and licence stand in the file.
const PRICES: &str = include_str!("../metrics/model_prices.json");
const RULES: &str = include_str!("rules.json");

// Both files are part of the crate and a test reads them, so this cannot fail in a release.
static ROWS: LazyLock<Json> = LazyLock::new(|| serde_json::from_str(PRICES).unwrap_or_default());
static FAMILIES: LazyLock<Json> = LazyLock::new(|| serde_json::from_str(RULES).unwrap_or_default());

/// The price file as it stands.
#[must_use]
pub fn price_file() -> &'static Json {
    &ROWS
}

/// The model of a connection of this kind that names none.
#[must_use]
pub fn default_model(kind: &str) -> Option<&'static str> {
    FAMILIES.get("defaults")?.get(kind)?.as_str()
}

/// Whether a model answers requests with this feature with status 400; the words stand in `rules.json`.
#[must_use]
pub fn rejects(id: &str, feature: &str) -> bool {
    let id = bare(id);
    [row(id), rule(id)].into_iter().flatten().any(|known| lists(known, "rejects", feature))
}

/// Whether a model has a feature, such as `json_schema`.
#[must_use]
pub fn has(id: &str, feature: &str) -> bool {
    let id = bare(id);
    row(id).or_else(|| rule(id)).is_some_and(|known| lists(known, "caps", feature))
}

fn lists(known: &Json, list: &str, feature: &str) -> bool {
    known.get(list).and_then(Json::as_array).is_some_and(|all| all.iter().any(|f| f == feature))
}

/// An id without `models/` or the name of a vendor before it.
fn bare(id: &str) -> &str {
    id.rsplit_once('/').map_or(id, |(_, bare)| bare)
}

/// The row of an id, or of the id without its date.
fn row(id: &str) -> Option<&'static Json> {
    [id, undated(id)].into_iter().find_map(|id| {
        let groups = ROWS.as_object()?.iter().filter(|(name, _)| !name.starts_with('_'));
        groups.map(|(_, rows)| rows).find_map(|rows| rows.get(id))
    })
}

/// `claude-haiku-5-5-20261001` and `gpt-4o-2024-08-06` without their ends.
#[must_use]
pub fn undated(id: &str) -> &str {
    let is_digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let mut parts = id.rsplitn(4, '-');
    match std::array::from_fn(|_| parts.next()) {
        [Some(day), Some(month), Some(year), Some(rest)]
            if is_digits(day, 2) && is_digits(month, 2) && is_digits(year, 4) =>
        {
            rest
        }
        [Some(date), Some(_), ..] if is_digits(date, 8) => id.get(..id.len() - 9).unwrap_or(id),
        _ => id,
    }
}

fn rule(id: &str) -> Option<&'static Json> {
    FAMILIES.get("rules").and_then(Json::as_array)?.iter().find(|rule| {
        let prefixes = rule.get("prefix").and_then(Json::as_array).into_iter().flatten();
        let fits = prefixes.filter_map(Json::as_str).any(|prefix| id.starts_with(prefix));
        fits && is_within(id, rule)
    })
}

fn is_within(id: &str, rule: &Json) -> bool {
    let limit = |key: &str| rule.get(key).and_then(Json::as_str).and_then(version);
    let (from, to) = (limit("from"), limit("to"));
    if from.is_none() && to.is_none() {
        return true;
    }
    version(id)
        .is_some_and(|own| from.is_none_or(|from| from <= own) && to.is_none_or(|to| own <= to))
}

/// The first number of an id: `claude-opus-4-7-20260416` is 4.7, `gemini-2.5-flash` 2.5, `claude-3-5-haiku-20241022` 3.5. Dates are no versions.
fn version(id: &str) -> Option<(u32, u32)> {
    let mut parts = id.split(['-', '.']).skip_while(|part| number(part).is_none());
    let major = parts.next().and_then(number)?;
    Some((major, parts.next().and_then(number).unwrap_or(0)))
}

/// One or two digits.
fn number(part: &str) -> Option<u32> {
    if part.len() > 2 { None } else { part.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read_whole() {
        let rows = |group: &str| ROWS[group].as_object().unwrap().len();
        assert_eq!((rows("openai"), rows("anthropic"), rows("gemini")), (104, 38, 30));
        assert_eq!(FAMILIES["rules"].as_array().unwrap().len(), 13);
    }

    // C-38
    #[test]
    fn defaults_take_the_ordinary_fields() {
        for kind in ["openai", "anthropic", "google", "ollama"] {
            let id = default_model(kind).unwrap();
            assert!(!["sampling", "stop", "system"].iter().any(|field| rejects(id, field)), "{id}");
        }
        assert_eq!(default_model("custom"), None);
    }

    #[test]
    fn versions_are_the_first_number() {
        for (id, expected) in [
            ("claude-opus-4-7-20260416", Some((4, 7))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-3-5-haiku-20241022", Some((3, 5))),
            ("gemini-2.5-flash-lite", Some((2, 5))),
            ("gemini-flash-latest", None),
            ("claude-next", None),
        ] {
            assert_eq!(version(id), expected, "{id}");
        }
    }

    // providers.md 3.1 and 5.3, row by row, and ids that have no row.
    #[test]
    fn what_models_refuse() {
        for (id, sampling, stop) in [
            ("o1", true, false),
            ("o1-mini", true, false),
            ("o3-mini", true, true),
            ("gpt-5-chat-latest", false, false),
            ("gpt-5.1-chat-latest", true, true),
            ("gpt-5.1-codex", true, true),
            ("gpt-5.1", false, true),
            ("gpt-5.4-mini", false, true),
            ("gpt-5.5", true, true),
            ("gpt-6.1-sol", true, true),
            ("gpt-5-nano", true, true),
            ("gpt-4o", false, false),
            ("claude-haiku-4-5-20251001", false, false),
            ("claude-opus-4-6", false, false),
            ("claude-opus-4-7", true, false),
            ("claude-opus-4-9", true, false),
            ("claude-sonnet-5-5", true, false),
            ("claude-haiku-6", true, false),
            ("models/gemini-3.8-flash", true, false),
            ("gemini-2.5-flash", false, false),
            ("llama3.1", false, false),
        ] {
            assert_eq!((rejects(id, "sampling"), rejects(id, "stop")), (sampling, stop), "{id}");
        }
        assert!(rejects("o1-mini", "system") && !rejects("o1", "system"));
        assert!(rejects("claude-opus-5-5", "forced_tool"));
        assert!(!rejects("claude-sonnet-4-20250514", "forced_tool"));
        assert!(rejects("gemini-2.5-pro", "schema_beside_tools"));
        assert!(!rejects("gemini-3.5-flash", "schema_beside_tools"));
    }

    #[test]
    fn who_takes_schemas() {
        for (id, expected) in [
            ("claude-sonnet-4-20250514", false),
            ("claude-opus-4-1", true),
            ("claude-haiku-4-5", true),
            ("claude-haiku-4-5-20260101", true),
            ("claude-opus-4-9", false),
            ("claude-opus-6", true),
            ("vendor/claude-sonnet-5-5", true),
        ] {
            assert_eq!(has(id, "json_schema"), expected, "{id}");
        }
    }
}
