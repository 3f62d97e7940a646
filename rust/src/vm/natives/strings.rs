//! Methods of String. Positions and lengths count Unicode scalar values.

use memchr::memmem;

use super::texts::unreadable;
use super::{
    Failure, Function, Outcome, Table, clamped, counted, int, length, panic, sized, take, text,
};
use crate::value::{MAX_TEXT, Text, Value};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    ("string.len", Function::Pure(1, |a| Ok(length(text(a, 0)?.char_count())))),
    ("string.byte_len", Function::Pure(1, |a| Ok(length(text(a, 0)?.len())))),
    ("string.is_empty", Function::Pure(1, |a| Ok(text(a, 0)?.is_empty().into()))),
    ("string.contains", Function::Pure(2, |a| Ok(text(a, 0)?.contains(&**text(a, 1)?).into()))),
    (
        "string.starts_with",
        Function::Pure(2, |a| Ok(text(a, 0)?.starts_with(&**text(a, 1)?).into())),
    ),
    ("string.ends_with", Function::Pure(2, |a| Ok(text(a, 0)?.ends_with(&**text(a, 1)?).into()))),
    ("string.find", Function::Pure(2, find)),
    ("string.split", Function::Pure(2, split)),
    ("string.split_whitespace", Function::Pure(1, |a| Ok(texts(text(a, 0)?.split_whitespace())))),
    ("string.lines", Function::Pure(1, |a| Ok(texts(text(a, 0)?.lines())))),
    ("string.chars", Function::Pure(1, |a| characters(text(a, 0)?))),
    ("string.trim", Function::Pure(1, |a| Ok(text(a, 0)?.trim().into()))),
    ("string.trim_start", Function::Pure(1, |a| Ok(text(a, 0)?.trim_start().into()))),
    ("string.trim_end", Function::Pure(1, |a| Ok(text(a, 0)?.trim_end().into()))),
    (
        "string.strip_prefix",
        Function::Pure(2, |a| {
            Ok(Value::option(text(a, 0)?.strip_prefix(&**text(a, 1)?).map(Value::from)))
        }),
    ),
    (
        "string.strip_suffix",
        Function::Pure(2, |a| {
            Ok(Value::option(text(a, 0)?.strip_suffix(&**text(a, 1)?).map(Value::from)))
        }),
    ),
    ("string.replace", Function::Pure(3, replace)),
    ("string.to_upper", Function::Pure(1, |a| Ok(Value::Str(taken(a)?.into_uppercase())))),
    ("string.to_lower", Function::Pure(1, |a| Ok(Value::Str(taken(a)?.into_lowercase())))),
    ("string.repeat", Function::Pure(2, repeat)),
    (
        "string.substring",
        Function::Pure(3, |a| {
            let (start, end) = (clamped(int(a, 1)?), clamped(int(a, 2)?));
            Ok(text(a, 0)?.slice(start, end).into())
        }),
    ),
    ("string.parse_int", Function::Pure(1, parse_int)),
    ("string.parse_float", Function::Pure(1, parse_float)),
];

/// The receiver itself.
fn taken(args: &mut [Value]) -> Result<Text, Failure> {
    match take(args, 0)? {
        Value::Str(text) => Ok(text),
        _ => Err(Failure::Broken),
    }
}

fn texts<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    Value::array(parts.map(Value::from).collect())
}

fn characters(text: &Text) -> Outcome {
    counted(text.char_count())?;
    Ok(Value::array(text.chars().map(|c| Value::Str(c.into())).collect()))
}

fn find(args: &mut [Value]) -> Outcome {
    let (within, what) = (text(args, 0)?, text(args, 1)?);
    let position = within.find(&**what).and_then(|byte| within.get(..byte));
    Ok(Value::option(position.map(|before| length(before.chars().count()))))
}

fn split(args: &mut [Value]) -> Outcome {
    let (within, separator) = (text(args, 0)?, text(args, 1)?);
    if separator.is_empty() {
        return characters(within);
    }
    // Searching for a text that is prepared once is faster than what the standard library does. Matches of whole texts end between scalar values.
    let finder = memmem::Finder::new(separator.as_bytes());
    let (mut parts, mut start) = (Vec::new(), 0);
    for end in finder.find_iter(within.as_bytes()) {
        parts.push(Value::from(within.get(start..end).unwrap_or_default()));
        start = end + separator.len();
    }
    parts.push(Value::from(within.get(start..).unwrap_or_default()));
    Ok(Value::array(parts))
}

fn replace(args: &mut [Value]) -> Outcome {
    let (within, old, new) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    // They are counted only where so many could be too many.
    let most = within.len() / old.len().max(1) + 1;
    if within.len().saturating_add(most.saturating_mul(new.len())) > MAX_TEXT {
        let count = within.matches(&**old).count();
        let kept = within.len() - count * old.len();
        sized(kept.saturating_add(count.saturating_mul(new.len())))?;
    }
    Ok(within.replace(&**old, new).into())
}

fn repeat(args: &mut [Value]) -> Outcome {
    let (part, times) = (text(args, 0)?, clamped(int(args, 1)?));
    if part.len().saturating_mul(times) > MAX_TEXT {
        return panic(PanicKind::LimitExceeded, "the repeated text is larger than 256 MiB");
    }
    Ok(part.repeat(times).into())
}

fn parse_int(args: &mut [Value]) -> Outcome {
    use std::num::IntErrorKind as Kind;
    let input: &Text = text(args, 0)?;
    let trimmed = input.trim();
    Ok(match trimmed.parse::<i64>() {
        Ok(number) => Value::ok(number.into()),
        Err(error) => {
            // At the digit that is too much the rest has not been looked at yet.
            let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let kind = match error.kind() {
                Kind::Empty => "empty",
                Kind::PosOverflow | Kind::NegOverflow if is_number => "overflow",
                _ => "invalid",
            };
            unreadable("Int", kind, input)
        }
    })
}

fn parse_float(args: &mut [Value]) -> Outcome {
    let input: &Text = text(args, 0)?;
    let trimmed = input.trim();
    let plain = trimmed.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    Ok(match trimmed.parse::<f64>() {
        _ if trimmed.is_empty() => unreadable("Float", "empty", input),
        Ok(number) if plain && number.is_finite() => Value::ok(number.into()),
        Ok(_) if plain => unreadable("Float", "overflow", input),
        _ => unreadable("Float", "invalid", input),
    })
}
