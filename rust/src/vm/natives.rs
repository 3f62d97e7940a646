//! Native functions: what the built-in types can do without the world.
//!
//! A native takes its arguments in a window, which it may consume, the receiver first; one that mutates takes the receiver apart. Signatures and
//! documentation for programs are in `python/concerto/check/builtins.py`.

mod arrays;
mod collections;
mod crypto;
mod dynamic;
mod json;
mod maps;
mod math;
mod models;
mod moments;
mod numbers;
mod pipelines;
mod prompt;
mod records;
mod replies;
mod stores;
mod strings;
mod tasks;
mod texts;
mod wrappers;

use super::effect::PanicKind;
use crate::ir::Verified;
use crate::schema;
use crate::value::{FunctionValue, MAX_TEXT, Value};

/// How a native function fails.
#[derive(Debug)]
pub enum Failure {
    /// The program panics.
    Panic(PanicKind, String),
    /// A value of a kind that the compiler rules out.
    Broken,
}

pub(super) type Outcome = Result<Value, Failure>;

#[derive(Clone, Copy)]
pub(super) enum Function {
    Pure(usize, fn(&mut [Value]) -> Outcome),
    Mutating(usize, fn(&mut Value, &mut [Value]) -> Outcome),
}

type Table = &'static [(&'static str, Function)];

fn tables() -> impl Iterator<Item = &'static (&'static str, Function)> {
    static TABLES: [Table; 22] = [
        strings::TABLE,
        texts::TABLE,
        numbers::TABLE,
        math::TABLE,
        json::TABLE,
        crypto::TABLE,
        prompt::TABLE,
        moments::TABLE,
        arrays::TABLE,
        maps::TABLE,
        collections::SETS,
        collections::QUEUES,
        collections::STACKS,
        collections::TABLE,
        stores::TABLE,
        wrappers::TABLE,
        records::TABLE,
        models::TABLE,
        pipelines::TABLE,
        tasks::TABLE,
        replies::TABLE,
        dynamic::TABLE,
    ];
    TABLES.iter().copied().flatten()
}

/// All functions in the order of their numbers.
static ALL: std::sync::LazyLock<Vec<(&'static str, Function)>> =
    std::sync::LazyLock::new(|| tables().copied().collect());

/// The number of a native function.
#[must_use]
pub fn find(name: &str) -> Option<u32> {
    let index = ALL.iter().position(|(own, _)| *own == name)?;
    u32::try_from(index).ok()
}

/// Number of arguments, receiver included, and whether the receiver is changed.
#[must_use]
pub fn signature(index: u32) -> Option<(usize, bool)> {
    ALL.get(index as usize).map(|(_, function)| match function {
        Function::Pure(arity, _) => (*arity, false),
        Function::Mutating(arity, _) => (*arity + 1, true),
    })
}

/// Name, number of arguments with the receiver, and whether the receiver is changed, of each.
#[must_use]
pub fn list() -> Vec<(&'static str, usize, bool)> {
    ALL.iter()
        .map(|(name, function)| match function {
            Function::Pure(arity, _) => (*name, *arity, false),
            Function::Mutating(arity, _) => (*name, *arity + 1, true),
        })
        .collect()
}

/// Calls a native function that does not mutate.
pub(super) fn call(index: u32, args: &mut [Value]) -> Outcome {
    match ALL.get(index as usize) {
        Some((_, Function::Pure(_, function))) => function(args),
        _ => Err(Failure::Broken),
    }
}

/// Calls a native function that mutates its receiver.
pub(super) fn call_mutating(index: u32, receiver: &mut Value, args: &mut [Value]) -> Outcome {
    match ALL.get(index as usize) {
        Some((_, Function::Mutating(_, function))) => function(receiver, args),
        _ => Err(Failure::Broken),
    }
}

/// Fits the arguments of a call whose function was not known to its parameters.
pub(super) fn check_arguments(
    program: &Verified,
    function: &FunctionValue,
    args: &mut [Value],
) -> Result<(), Failure> {
    if function.arity != args.len() {
        let plural = if function.arity == 1 { "" } else { "s" };
        let message =
            format!("the function takes {} argument{plural}, found {}", function.arity, args.len());
        return panic(PanicKind::TypeMismatch, message);
    }
    let params = program.function(function.index).map_or(&[][..], |found| &found.params);
    for (param, slot) in params.iter().zip(args) {
        match schema::conform(program, param.ty, std::mem::take(slot)) {
            Ok(value) => *slot = value,
            Err(found) => {
                let wanted = program.type_name(param.ty);
                let message = format!("expected `{wanted}`, found `{found}`");
                return panic(PanicKind::TypeMismatch, message);
            }
        }
    }
    Ok(())
}

fn panic<T>(kind: PanicKind, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Panic(kind, message.into()))
}

/// Refuses a text that would be larger than one may be.
#[inline]
pub(super) fn sized(bytes: usize) -> Result<(), Failure> {
    if bytes > MAX_TEXT {
        return panic(PanicKind::LimitExceeded, "the text is larger than 256 MiB");
    }
    Ok(())
}

/// Refuses an array that would have more elements than one may be made with at once.
fn counted(elements: usize) -> Result<(), Failure> {
    if elements > 100_000_000 {
        let message = "the array would have more than 100,000,000 elements";
        return panic(PanicKind::LimitExceeded, message);
    }
    Ok(())
}

fn int(args: &[Value], index: usize) -> Result<i64, Failure> {
    match args.get(index) {
        Some(Value::Int(number)) => Ok(*number),
        _ => Err(Failure::Broken),
    }
}

fn float(args: &[Value], index: usize) -> Result<f64, Failure> {
    match args.get(index) {
        Some(Value::Float(number)) => Ok(*number),
        _ => Err(Failure::Broken),
    }
}

fn text(args: &[Value], index: usize) -> Result<&crate::value::Text, Failure> {
    match args.get(index) {
        Some(Value::Str(text)) => Ok(text),
        _ => Err(Failure::Broken),
    }
}

fn take(args: &mut [Value], index: usize) -> Result<Value, Failure> {
    args.get_mut(index).map(std::mem::take).ok_or(Failure::Broken)
}

/// A count or position as the language has them.
fn length(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A negative number counts as 0.
fn clamped(number: i64) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

pub(super) use arrays::{out_of_bounds, slice as array_slice};
pub(super) use numbers::to_int as float_to_int;
