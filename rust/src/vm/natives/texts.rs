//! More methods of String: layout, and what looks from the other end. `std::fmt` and `std::string` use them too.

use super::{Failure, Function, Outcome, Table, clamped, counted, int, length, panic, sized, text};
use crate::value::{Text, Value, builtin};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    (
        "string.char_at",
        Function::Pure(2, |a| {
            let whole = text(a, 0)?;
            let at = usize::try_from(int(a, 1)?).ok().filter(|at| *at < whole.char_count());
            Ok(Value::option(at.map(|at| whole.slice(at, at + 1).into())))
        }),
    ),
    (
        "string.bytes",
        Function::Pure(1, |a| {
            counted(text(a, 0)?.len())?;
            Ok(Value::array(text(a, 0)?.bytes().map(|byte| i64::from(byte).into()).collect()))
        }),
    ),
    (
        "string.rfind",
        Function::Pure(2, |a| {
            let (within, what) = (text(a, 0)?, text(a, 1)?);
            let before = within.rfind(&**what).and_then(|byte| within.get(..byte));
            Ok(Value::option(before.map(|before| length(before.chars().count()))))
        }),
    ),
    (
        "string.count",
        Function::Pure(2, |a| match (text(a, 0)?, text(a, 1)?) {
            (_, part) if part.is_empty() => {
                panic(PanicKind::InvalidArgument, "the text to count is empty")
            }
            (within, part) => Ok(length(within.matches(&**part).count())),
        }),
    ),
    (
        "string.split_once",
        Function::Pure(2, |a| {
            let pair = text(a, 0)?.split_once(&**text(a, 1)?);
            Ok(Value::option(pair.map(|(l, r)| Value::tuple(vec![l.into(), r.into()]))))
        }),
    ),
    (
        "string.replace_first",
        Function::Pure(3, |a| {
            sized(text(a, 0)?.len() + text(a, 2)?.len())?;
            Ok(text(a, 0)?.replacen(&**text(a, 1)?, text(a, 2)?, 1).into())
        }),
    ),
    (
        "string.reverse",
        Function::Pure(1, |a| Ok(text(a, 0)?.chars().rev().collect::<String>().into())),
    ),
    (
        "string.pad_left",
        Function::Pure(3, |a| {
            let (whole, padding) = (text(a, 0)?, padding(a)?);
            Ok(format!("{padding}{whole}").into())
        }),
    ),
    (
        "string.pad_right",
        Function::Pure(3, |a| {
            let (whole, padding) = (text(a, 0)?, padding(a)?);
            Ok(format!("{whole}{padding}").into())
        }),
    ),
    ("string.truncate", Function::Pure(3, truncate)),
    ("string.indent", Function::Pure(2, indent)),
    ("string.dedent", Function::Pure(1, |a| Ok(dedent(text(a, 0)?).into()))),
    (
        "string.parse_bool",
        Function::Pure(1, |a| {
            let input = text(a, 0)?;
            Ok(match input.trim() {
                "true" => Value::ok(true.into()),
                "false" => Value::ok(false.into()),
                "" => unreadable("Bool", "empty", input),
                _ => unreadable("Bool", "invalid", input),
            })
        }),
    ),
    (
        "string.eq_ignore_case",
        Function::Pure(2, |a| Ok(folded(text(a, 0)?).eq(folded(text(a, 1)?)).into())),
    ),
];

/// What is missing to the width, of the first scalar of the filling text; spaces if that is empty.
fn padding(args: &[Value]) -> Result<String, Failure> {
    let (whole, width, fill) = (text(args, 0)?, clamped(int(args, 1)?), text(args, 2)?);
    let fill = fill.chars().next().unwrap_or(' ');
    let missing = width.saturating_sub(whole.char_count());
    sized(missing.saturating_mul(fill.len_utf8()))?;
    Ok(std::iter::repeat_n(fill, missing).collect())
}

/// Never longer than the limit, the ellipsis included.
fn truncate(args: &mut [Value]) -> Outcome {
    let (whole, most, ellipsis) = (text(args, 0)?, clamped(int(args, 1)?), text(args, 2)?);
    if whole.char_count() <= most {
        return Ok(Value::Str(whole.clone()));
    }
    let room = most.saturating_sub(ellipsis.char_count());
    Ok(format!("{}{}", whole.slice(0, room), ellipsis.slice(0, most)).into())
}

/// Spaces in front of each line that is not empty.
fn indent(args: &mut [Value]) -> Outcome {
    let (whole, spaces) = (text(args, 0)?, clamped(int(args, 1)?));
    sized(spaces.saturating_mul(whole.split('\n').count()))?;
    let margin = " ".repeat(spaces);
    let lines = whole.split('\n').map(|line| match line {
        "" | "\r" => line.to_owned(),
        _ => format!("{margin}{line}"),
    });
    Ok(lines.collect::<Vec<_>>().join("\n").into())
}

/// Without the blanks that all lines begin with; lines of blanks alone do not count and become empty.
fn dedent(whole: &Text) -> String {
    let blank = |line: &str| line.trim_matches([' ', '\t', '\r']).is_empty();
    let lines = || whole.split('\n').filter(|line| !blank(line));
    let margin_of = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let mut margin = lines().next().map_or("", |line| line.get(..margin_of(line)).unwrap_or(""));
    for line in lines() {
        let common = margin.bytes().zip(line.bytes()).take_while(|(a, b)| a == b).count();
        margin = margin.get(..common).unwrap_or("");
    }
    let stripped = whole.split('\n').map(|line| match line.strip_prefix(margin) {
        Some(rest) if !blank(line) => rest,
        _ if line.ends_with('\r') => "\r",
        _ => "",
    });
    stripped.collect::<Vec<_>>().join("\n")
}

/// Simple case folding, near enough: the lower-case form of the upper-case form of each scalar where both are one scalar.
fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    fn one(mut mapped: impl Iterator<Item = char>) -> Option<char> {
        let first = mapped.next();
        if mapped.next().is_none() { first } else { None }
    }
    text.chars().map(|c| {
        let upper = one(c.to_uppercase()).unwrap_or(c);
        one(upper.to_lowercase()).unwrap_or(upper)
    })
}

pub(super) fn unreadable(ty: &str, kind: &str, input: &str) -> Value {
    let shown: String = input.chars().take(40).collect();
    let message = format!("`{}` is no {ty}", shown.escape_debug());
    Value::err(builtin::parse_error(&message, kind, input))
}
