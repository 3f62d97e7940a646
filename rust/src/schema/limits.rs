//! Limits of fields: numbers, lengths, counts and patterns (SC-11, SC-12).

use std::fmt::Display;

use serde_json::Number;

use crate::ir::Verified;
use crate::ir::program::Checks;
use crate::value::Value;

/// A limit that a value breaks: the index of the element if it is one of an array, what was wanted, and what was found.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) element: Vec<usize>,
    pub(super) expected: String,
    pub(super) actual: String,
}

/// Every limit that a value breaks.
pub(super) fn broken(program: &Verified, checks: &Checks, value: &Value) -> Vec<Broken> {
    let mut found = Vec::new();
    walk(program, checks, value, &mut Vec::new(), &mut found);
    found
}

fn walk(
    program: &Verified,
    checks: &Checks,
    value: &Value,
    element: &mut Vec<usize>,
    found: &mut Vec<Broken>,
) {
    let mut report = |problem: Option<(String, String)>| {
        let element = element.clone();
        found.extend(problem.map(|(expected, actual)| Broken { element, expected, actual }));
    };
    match value {
        Value::Some(inner) => walk(program, checks, inner, element, found),
        Value::Int(_) | Value::Float(_) => report(number(checks, value)),
        Value::Str(text) => {
            report(count(checks.length, text.chars().count(), "character"));
            report(checks.pattern.as_deref().and_then(|pattern| {
                let fits = program.pattern(pattern).is_some_and(|regex| regex.is_match(text));
                (!fits).then(|| {
                    (format!("text that matches `{pattern}`"), super::decode::quoted(text))
                })
            }));
        }
        Value::Map(map) => report(count(checks.items, map.len(), "entry")),
        Value::Array(items) => {
            report(count(checks.items, items.len(), "element"));
            if checks.length.is_some() || checks.pattern.is_some() {
                let checks = &Checks { items: None, ..checks.clone() };
                for (index, item) in items.iter().enumerate() {
                    element.push(index);
                    walk(program, checks, item, element, found);
                    element.pop();
                }
            }
        }
        _ => {}
    }
}

fn number(checks: &Checks, value: &Value) -> Option<(String, String)> {
    let (low, high) = checks.range.as_ref()?;
    let fits = low.as_ref().is_none_or(|low| at_least(value, low))
        && high.as_ref().is_none_or(|high| at_most(value, high));
    (!fits)
        .then(|| (format!("a number {}", between(low.as_ref(), high.as_ref())), value.to_string()))
}

fn at_least(value: &Value, low: &Number) -> bool {
    match (value, low.as_i64()) {
        (Value::Int(number), Some(low)) => *number >= low,
        _ => float(value) >= low.as_f64().unwrap_or(f64::NEG_INFINITY),
    }
}

fn at_most(value: &Value, high: &Number) -> bool {
    match (value, high.as_i64()) {
        (Value::Int(number), Some(high)) => *number <= high,
        _ => float(value) <= high.as_f64().unwrap_or(f64::INFINITY),
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared with a limit that is a Float")]
fn float(value: &Value) -> f64 {
    match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        _ => f64::NAN,
    }
}

fn count(
    limits: Option<(Option<u64>, Option<u64>)>,
    found: usize,
    unit: &str,
) -> Option<(String, String)> {
    let (low, high) = limits?;
    let count = found as u64;
    let fits = low.is_none_or(|low| count >= low) && high.is_none_or(|high| count <= high);
    let most = high.or(low).unwrap_or_default();
    (!fits).then(|| {
        let wanted = between(low.as_ref(), high.as_ref());
        (
            format!("{} {}", wanted.trim_start_matches("from "), plural(unit, most)),
            format!("{count} {}", plural(unit, count)),
        )
    })
}

fn between<T: Display + PartialEq>(low: Option<&T>, high: Option<&T>) -> String {
    match (low, high) {
        (Some(low), Some(high)) if low == high => format!("exactly {low}"),
        (Some(low), Some(high)) => format!("from {low} to {high}"),
        (Some(low), None) => format!("at least {low}"),
        (None, Some(high)) => format!("at most {high}"),
        (None, None) => "any".to_owned(),
    }
}

fn plural(unit: &str, count: u64) -> String {
    match (count, unit) {
        (1, _) => unit.to_owned(),
        (_, "entry") => "entries".to_owned(),
        _ => format!("{unit}s"),
    }
}
