//! `std::math`: what is no method of a number.

use super::{Function, Outcome, Table, float, int, numbers, panic};
use crate::value::Value;
use crate::vm::PanicKind;

macro_rules! of_float {
    ($name:literal, $method:ident) => {
        (concat!("math.", $name), Function::Pure(1, |a| Ok(float(a, 0)?.$method().into())))
    };
}
macro_rules! to_whole {
    ($name:literal, $method:ident) => {
        (concat!("math.", $name), Function::Pure(1, |a| whole(float(a, 0)?.$method())))
    };
}
macro_rules! checked {
    ($name:literal, $method:ident) => {
        (
            concat!("math.checked_", $name),
            Function::Pure(2, |a| {
                Ok(Value::option(int(a, 0)?.$method(int(a, 1)?).map(Value::Int)))
            }),
        )
    };
}
macro_rules! wrapping {
    ($name:literal, $method:ident) => {
        (
            concat!("math.wrapping_", $name),
            Function::Pure(2, |a| Ok(int(a, 0)?.$method(int(a, 1)?).into())),
        )
    };
}

pub(super) static TABLE: Table = &[
    to_whole!("round", round),
    to_whole!("floor", floor),
    to_whole!("ceil", ceil),
    to_whole!("trunc", trunc),
    (
        "math.pow",
        Function::Pure(2, |a| {
            let (base, exponent) = (int(a, 0)?, int(a, 1)?);
            if exponent < 0 {
                let message = format!(
                    "the exponent {exponent} is negative: a Float as base, such as {base}.0, has such powers"
                );
                return panic(PanicKind::InvalidArgument, message);
            }
            numbers::checked(numbers::power(base, exponent))
        }),
    ),
    of_float!("cbrt", cbrt),
    of_float!("exp", exp),
    of_float!("ln", ln),
    of_float!("log10", log10),
    of_float!("log2", log2),
    of_float!("sin", sin),
    of_float!("cos", cos),
    of_float!("tan", tan),
    of_float!("asin", asin),
    of_float!("acos", acos),
    of_float!("atan", atan),
    ("math.atan2", Function::Pure(2, |a| Ok(float(a, 0)?.atan2(float(a, 1)?).into()))),
    ("math.hypot", Function::Pure(2, |a| Ok(float(a, 0)?.hypot(float(a, 1)?).into()))),
    checked!("add", checked_add),
    checked!("sub", checked_sub),
    checked!("mul", checked_mul),
    (
        "math.checked_pow",
        Function::Pure(2, |a| {
            Ok(Value::option(numbers::power(int(a, 0)?, int(a, 1)?).map(Value::Int)))
        }),
    ),
    wrapping!("add", wrapping_add),
    wrapping!("sub", wrapping_sub),
    wrapping!("mul", wrapping_mul),
];

fn whole(number: f64) -> Outcome {
    match numbers::to_int(number) {
        Some(whole) => Ok(whole.into()),
        None => {
            let message = format!("{} does not fit into an Int", Value::Float(number));
            panic(PanicKind::ArithmeticOverflow, message)
        }
    }
}
