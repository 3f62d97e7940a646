//! Methods of Int, Float, Bool and Range.

use super::{Failure, Function, Outcome, Table, float, int, panic};
use crate::value::Value;
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
            // A larger exponent overflows, but for 0, 1 and -1, whose powers come back after two steps.
            let small = if exponent > 64 { 64 + exponent % 2 } else { exponent };
            checked(u32::try_from(small).ok().and_then(|exponent| base.checked_pow(exponent)))
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
    (
        "range.len",
        Function::Pure(1, |a| match a.first() {
            Some(Value::Range(range)) => Ok(range.len().into()),
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "range.contains",
        Function::Pure(2, |a| match a.first() {
            Some(Value::Range(range)) => Ok(range.contains(int(a, 1)?).into()),
            _ => Err(Failure::Broken),
        }),
    ),
    (
        "range.to_array",
        Function::Pure(1, |a| match a.first() {
            Some(Value::Range(range)) if range.len() > 100_000_000 => panic(
                PanicKind::LimitExceeded,
                "the array would have more than 100,000,000 elements",
            ),
            Some(Value::Range(range)) => {
                Ok(Value::array(range.numbers().map(Value::Int).collect()))
            }
            _ => Err(Failure::Broken),
        }),
    ),
];

fn checked(result: Option<i64>) -> Outcome {
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
