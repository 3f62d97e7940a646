//! Methods of Int, Float, Bool and Range.

use super::{Failure, Function, Outcome, Table, clamped, counted, float, int, panic};
use crate::value::{RangeValue, Value};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    ("int.abs", Function::Pure(1, |a| checked(int(a, 0)?.checked_abs()))),
    (
        "int.pow",
        Function::Pure(2, |a| {
            let (base, exponent) = (int(a, 0)?, int(a, 1)?);
            if exponent < 0 {
                return panic(PanicKind::ArithmeticOverflow, "the exponent is negative");
            }
            checked(power(base, exponent))
        }),
    ),
    ("int.sign", Function::Pure(1, |a| Ok(int(a, 0)?.signum().into()))),
    (
        "int.clamp",
        Function::Pure(3, |a| match (int(a, 0)?, int(a, 1)?, int(a, 2)?) {
            (_, low, high) if low > high => no_interval(low, high),
            (number, low, high) => Ok(number.clamp(low, high).into()),
        }),
    ),
    (
        "int.to_string_radix",
        Function::Pure(2, |a| match u32::try_from(int(a, 1)?) {
            Ok(radix @ 2..=36) => Ok(in_radix(int(a, 0)?, radix).into()),
            _ => panic(PanicKind::InvalidArgument, "the radix must be 2 to 36"),
        }),
    ),
    (
        "bool.to_int",
        Function::Pure(1, |a| match a.first() {
            Some(Value::Bool(truth)) => Ok(i64::from(*truth).into()),
            _ => Err(Failure::Broken),
        }),
    ),
    ("int.min", Function::Pure(2, |a| Ok(int(a, 0)?.min(int(a, 1)?).into()))),
    ("int.max", Function::Pure(2, |a| Ok(int(a, 0)?.max(int(a, 1)?).into()))),
    (
        "int.to_float",
        Function::Pure(1, |a| {
            #[expect(
                clippy::cast_precision_loss,
                reason = "the nearest Float is what is asked for"
            )]
            let nearest = int(a, 0)? as f64;
            Ok(nearest.into())
        }),
    ),
    ("float.abs", Function::Pure(1, |a| Ok(float(a, 0)?.abs().into()))),
    ("float.floor", Function::Pure(1, |a| Ok(float(a, 0)?.floor().into()))),
    ("float.ceil", Function::Pure(1, |a| Ok(float(a, 0)?.ceil().into()))),
    ("float.round", Function::Pure(1, |a| Ok(float(a, 0)?.round().into()))),
    ("float.trunc", Function::Pure(1, |a| Ok(float(a, 0)?.trunc().into()))),
    ("float.sqrt", Function::Pure(1, |a| Ok(float(a, 0)?.sqrt().into()))),
    ("float.min", Function::Pure(2, |a| Ok(float(a, 0)?.min(float(a, 1)?).into()))),
    ("float.max", Function::Pure(2, |a| Ok(float(a, 0)?.max(float(a, 1)?).into()))),
    ("float.pow", Function::Pure(2, |a| Ok(float(a, 0)?.powf(float(a, 1)?).into()))),
    (
        "float.clamp",
        Function::Pure(3, |a| match (float(a, 0)?, float(a, 1)?, float(a, 2)?) {
            (number, low, high) if low <= high => Ok(number.clamp(low, high).into()),
            (_, low, high) => no_interval(Value::Float(low), Value::Float(high)),
        }),
    ),
    ("float.is_finite", Function::Pure(1, |a| Ok(float(a, 0)?.is_finite().into()))),
    ("float.is_infinite", Function::Pure(1, |a| Ok(float(a, 0)?.is_infinite().into()))),
    ("float.is_nan", Function::Pure(1, |a| Ok(float(a, 0)?.is_nan().into()))),
    (
        "float.to_int",
        Function::Pure(1, |a| Ok(Value::option(to_int(float(a, 0)?).map(Value::Int)))),
    ),
    (
        "float.to_fixed",
        Function::Pure(2, |a| match usize::try_from(int(a, 1)?) {
            Ok(decimals @ 0..=17) => Ok(format!("{:.decimals$}", float(a, 0)?).into()),
            _ => panic(PanicKind::InvalidArgument, "decimals must be 0 to 17"),
        }),
    ),
    ("range.len", Function::Pure(1, |a| Ok(range(a)?.len().into()))),
    ("range.is_empty", Function::Pure(1, |a| Ok(range(a)?.is_empty().into()))),
    ("range.start", Function::Pure(1, |a| Ok(range(a)?.start.into()))),
    ("range.end", Function::Pure(1, |a| Ok(range(a)?.end.into()))),
    ("range.contains", Function::Pure(2, |a| Ok(range(a)?.contains(int(a, 1)?).into()))),
    ("range.to_array", Function::Pure(1, |a| every(range(a)?, 1))),
    (
        "range.step_by",
        Function::Pure(2, |a| match int(a, 1)? {
            step if step < 1 => panic(PanicKind::InvalidArgument, "the step must be at least 1"),
            step => every(range(a)?, step),
        }),
    ),
    (
        "range.reversed",
        Function::Pure(1, |a| match every(range(a)?, 1)? {
            Value::Array(items) => Ok(Value::array(items.iter().rev().cloned().collect())),
            _ => Err(Failure::Broken),
        }),
    ),
];

fn range(args: &[Value]) -> Result<&RangeValue, Failure> {
    match args.first() {
        Some(Value::Range(range)) => Ok(range),
        _ => Err(Failure::Broken),
    }
}

/// Every `step`th number of a range, as an array.
fn every(range: &RangeValue, step: i64) -> Outcome {
    let ((start, end), step) = (range.exclusive(), clamped(step));
    counted(clamped(range.len()).div_ceil(step))?;
    Ok(Value::array((start..end).step_by(step).map(Value::Int).collect()))
}

/// A power of an Int; `None` if it does not fit, or the exponent is negative.
pub(super) fn power(base: i64, exponent: i64) -> Option<i64> {
    // A larger exponent overflows, but for 0, 1 and -1, whose powers come back after two steps.
    let small = if exponent > 64 { 64 + exponent % 2 } else { exponent };
    base.checked_pow(u32::try_from(small).ok()?)
}

fn no_interval<T: std::fmt::Display>(low: T, high: T) -> Outcome {
    panic(PanicKind::InvalidArgument, format!("the lower bound {low} is above the upper {high}"))
}

/// Lower-case digits, a minus sign before them.
fn in_radix(number: i64, radix: u32) -> String {
    let mut digits = Vec::new();
    let mut rest = number.unsigned_abs();
    while rest > 0 || digits.is_empty() {
        let digit = u32::try_from(rest % u64::from(radix)).unwrap_or_default();
        digits.push(char::from_digit(digit, radix).unwrap_or('?'));
        rest /= u64::from(radix);
    }
    let sign = if number < 0 { "-" } else { "" };
    sign.chars().chain(digits.into_iter().rev()).collect()
}

pub(super) fn checked(result: Option<i64>) -> Outcome {
    result.map_or_else(
        || panic(PanicKind::ArithmeticOverflow, "the result does not fit into 64 bits"),
        |number| Ok(number.into()),
    )
}

/// Truncates toward zero; `None` for NaN and what does not fit.
pub(crate) fn to_int(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (-LIMIT..LIMIT).contains(&number).then_some(number as i64)
}
