//! The step loop.
//!
//! Frames are explicit: a call's arguments stand in a window of the caller's registers, and the callee's registers begin there, so a call
//! moves nothing. What stands above the innermost frame owns nothing. The verifier has checked every register, jump and index against the
//! function's own bounds, so the indexing here cannot fail; values of a wrong kind end the run as [`Step::Broken`].

#![expect(clippy::indexing_slicing, reason = "the verifier checked every index")]

use std::sync::Arc;

use super::effect::{
    Answer, Effect, Form, Frame, Panic, PanicKind, Resume, Step, StreamRequest, TestRequest, Trace,
    Work,
};
use super::natives::{self, Failure};
use super::request::Request;
use super::tasks;
use crate::ir::Verified;
use crate::ir::ops::Op;
use crate::ir::program::Type;
use crate::schema;
use crate::value::{
    EnumValue, FunctionValue, Held, MapValue, RangeValue, Store, StructValue, Text, Value, equal,
    order,
};

/// One execution of one function.
pub struct Fiber {
    program: Verified,
    stack: Vec<Value>,
    frames: Vec<Active>,
    current: Active,
    max_depth: usize,
    pending: Pending,
}

#[derive(Clone, Copy)]
struct Active {
    function: usize,
    base: usize,
    pc: usize,
    /// The caller's register (counted from the bottom of the stack) that receives the result.
    result: usize,
}

/// What happens with the answer to the last effect.
#[derive(Clone, Copy)]
enum Pending {
    Nothing,
    Store { register: usize },
    Chunk { register: usize, end: usize, error: usize },
}

/// Why the loop stopped, before the trace is known.
enum Stop {
    Done(Value),
    Failed(Value),
    Panic(PanicKind, String),
    Broken,
    Needs(Effect),
    Yield,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Panic(kind, message) => Self::Panic(kind, message),
            Failure::Broken => Self::Broken,
        }
    }
}

impl Fiber {
    /// A fiber that will execute `function` with `args`, of which it takes as many as the function has parameters.
    #[must_use]
    pub fn new(program: Verified, function: usize, args: Vec<Value>, max_depth: usize) -> Self {
        let registers = program.function(function).map_or(0, |f| f.registers as usize);
        let mut stack = args;
        stack.resize(registers, Value::Nil);
        let current = Active { function, base: 0, pc: 0, result: 0 };
        Self { program, stack, frames: Vec::new(), current, max_depth, pending: Pending::Nothing }
    }

    /// A fiber that will execute a function value: its arguments, then what it captured.
    #[must_use]
    pub fn of(
        program: Verified,
        function: &FunctionValue,
        mut args: Vec<Value>,
        max_depth: usize,
    ) -> Self {
        args.extend(function.captures.iter().cloned());
        Self::new(program, function.index, args, max_depth)
    }

    /// Goes on until the function ends, needs the world, or has executed about `budget` instructions.
    pub fn run(&mut self, resume: Resume, budget: u32) -> Step {
        if let Err(stop) = self.take_answer(resume) {
            return self.stopped(stop);
        }
        let stop = self.execute(budget);
        self.stopped(stop)
    }

    fn take_answer(&mut self, resume: Resume) -> Result<(), Stop> {
        let pending = std::mem::replace(&mut self.pending, Pending::Nothing);
        match (resume, pending) {
            (Resume::Continue, _) => {}
            (Resume::Panic(kind, message), _) => {
                self.current.pc -= 1; // the position of the effect, not of what follows
                return Err(Stop::Panic(kind, message));
            }
            (
                Resume::Value(value),
                Pending::Store { register } | Pending::Chunk { register, .. },
            ) => {
                self.stack[register] = value;
            }
            (Resume::End, Pending::Chunk { end, .. }) => self.current.pc = end,
            (Resume::Error(value), Pending::Chunk { register, error, .. }) => {
                self.stack[register] = value;
                self.current.pc = error;
            }
            (Resume::Value(_), Pending::Nothing) => {}
            (Resume::End | Resume::Error(_), _) => return Err(Stop::Broken),
        }
        Ok(())
    }

    fn stopped(&mut self, stop: Stop) -> Step {
        match stop {
            Stop::Done(value) => Step::Done(value),
            Stop::Needs(effect) => Step::Needs(effect),
            Stop::Yield => Step::Yield,
            Stop::Failed(error) => Step::Failed { error, trace: self.trace() },
            Stop::Panic(kind, message) => {
                Step::Panicked(Panic { kind, message, trace: self.trace() })
            }
            Stop::Broken => {
                let (code, _) = self.program.body(self.current.function);
                let what = code.get(self.current.pc).map_or("call", |i| i.op.signature().0);
                Step::Broken { what, trace: self.trace() }
            }
        }
    }

    /// Active calls of a fiber that waits for the answer to an effect.
    #[must_use]
    pub fn waiting_at(&self) -> Trace {
        self.trace_at(self.current.pc.saturating_sub(1))
    }

    fn trace(&self) -> Trace {
        self.trace_at(self.current.pc)
    }

    fn trace_at(&self, pc: usize) -> Trace {
        // A caller's saved pc is that of the instruction after its call.
        let callers = self.frames.iter().rev().map(|f| (f.function, f.pc.saturating_sub(1)));
        std::iter::once((self.current.function, pc))
            .chain(callers)
            .take(64)
            .filter_map(|(function, pc)| {
                let position = self.program.position(function, pc)?;
                Some(Frame {
                    function: self.program.function(function)?.name.clone(),
                    path: position.path,
                    line: position.line,
                    column: position.column,
                })
            })
            .collect()
    }

    fn execute(&mut self, budget: u32) -> Stop {
        let Self { program, stack, frames, current, max_depth, pending } = self;
        let program = &*program;
        let constants = program.constants();
        let (mut code, mut registers) = program.body(current.function);
        let mut base = current.base;
        let mut pc = current.pc;
        let mut left = budget;
        // The registers of the current function: a slice of its own spares each access a look at the stack's head.
        let mut regs: &mut [Value] = frame(stack, base, registers);

        macro_rules! reg {
            ($register:expr) => {
                regs[$register as usize]
            };
        }
        // Leaves the loop with `pc` at the instruction that stops it.
        macro_rules! stop {
            ($stop:expr) => {{
                current.pc = pc;
                return $stop;
            }};
        }
        // Leaves the loop for an effect; the fiber goes on behind the instruction.
        macro_rules! needs {
            ($pending:expr, $effect:expr) => {{
                *pending = $pending;
                current.pc = pc + 1;
                return Stop::Needs($effect);
            }};
        }
        macro_rules! panic_with {
            ($kind:ident, $($message:tt)+) => {
                stop!(Stop::Panic(PanicKind::$kind, format!($($message)+)))
            };
        }
        macro_rules! ints {
            ($i:ident) => {{
                let (Value::Int(left), Value::Int(right)) = (&reg!($i.b), &reg!($i.c)) else {
                    stop!(Stop::Broken)
                };
                (*left, *right)
            }};
        }
        macro_rules! floats {
            ($i:ident) => {{
                let (Value::Float(left), Value::Float(right)) = (&reg!($i.b), &reg!($i.c)) else {
                    stop!(Stop::Broken)
                };
                (*left, *right)
            }};
        }
        macro_rules! checked {
            ($i:ident, $operation:ident) => {{
                let (left, right) = ints!($i);
                let Some(result) = left.$operation(right) else {
                    panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                };
                set(&mut reg!($i.a), Value::Int(result));
            }};
        }
        macro_rules! divided {
            ($i:ident, $operation:ident) => {{
                let (left, right) = ints!($i);
                if right == 0 {
                    panic_with!(DivisionByZero, "division by zero")
                }
                let Some(result) = left.$operation(right) else {
                    panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                };
                set(&mut reg!($i.a), Value::Int(result));
            }};
        }
        // The outcome of a comparison, and the jump that tests it if the two are fused.
        macro_rules! decide {
            ($i:ident, $truth:expr) => {{
                let truth = $truth;
                set(&mut reg!($i.a), Value::Bool(truth));
                if $i.y != 0 {
                    pc = if truth { $i.y as usize } else { $i.x as usize };
                    continue;
                }
            }};
        }
        macro_rules! text {
            ($register:expr) => {
                match &reg!($register) {
                    Value::Str(text) => text.clone(),
                    _ => stop!(Stop::Broken),
                }
            };
        }
        macro_rules! ask {
            ($i:ident, $answer:expr) => {{
                let Value::Model(model) = &reg!($i.b) else { stop!(Stop::Broken) };
                let (model, input) = (Arc::clone(model), reg!($i.c).clone());
                Effect::Ask { model, input, answer: $answer }
            }};
        }
        macro_rules! about_stream {
            ($i:ident, $request:ident) => {{
                let pending = Pending::Store { register: base + $i.a as usize };
                let (stream, request) = (reg!($i.b).clone(), StreamRequest::$request);
                needs!(pending, Effect::Stream { stream, request })
            }};
        }
        macro_rules! attempt {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(failure) => stop!(Stop::from(failure)),
                }
            };
        }

        loop {
            let i = code[pc];
            if left == 0 {
                stop!(Stop::Yield);
            }
            left -= 1;
            match i.op {
                Op::Const => set(&mut reg!(i.a), copy(&constants[i.x as usize])),
                Op::Int => set(&mut reg!(i.a), Value::Int(i64::from(i.x.cast_signed()))),
                Op::Bool => set(&mut reg!(i.a), Value::Bool(i.x != 0)),
                Op::Nil | Op::Drop => reg!(i.a) = Value::Nil,
                Op::Copy => {
                    let value = copy(&reg!(i.b));
                    set(&mut reg!(i.a), value);
                }
                Op::Move => {
                    let value = std::mem::take(&mut reg!(i.b));
                    set(&mut reg!(i.a), value);
                }
                Op::AddInt => checked!(i, checked_add),
                Op::SubInt => checked!(i, checked_sub),
                Op::MulInt => checked!(i, checked_mul),
                Op::DivInt => divided!(i, checked_div),
                Op::RemInt => {
                    let (left, right) = ints!(i);
                    if right == 0 {
                        panic_with!(DivisionByZero, "division by zero")
                    }
                    // The smallest Int modulo -1 is 0, though the division overflows.
                    set(&mut reg!(i.a), Value::Int(left.wrapping_rem(right)));
                }
                Op::NegInt => {
                    let Value::Int(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(result) = number.checked_neg() else {
                        panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                    };
                    set(&mut reg!(i.a), Value::Int(result));
                }
                Op::AddIntImm => {
                    let Value::Int(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(result) = number.checked_add(i64::from(i.x.cast_signed())) else {
                        panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                    };
                    set(&mut reg!(i.a), Value::Int(result));
                }
                Op::AddFloat => {
                    let (left, right) = floats!(i);
                    set(&mut reg!(i.a), Value::Float(left + right));
                }
                Op::SubFloat => {
                    let (left, right) = floats!(i);
                    set(&mut reg!(i.a), Value::Float(left - right));
                }
                Op::MulFloat => {
                    let (left, right) = floats!(i);
                    set(&mut reg!(i.a), Value::Float(left * right));
                }
                Op::DivFloat => {
                    let (left, right) = floats!(i);
                    set(&mut reg!(i.a), Value::Float(left / right));
                }
                Op::RemFloat => {
                    let (left, right) = floats!(i);
                    set(&mut reg!(i.a), Value::Float(left % right));
                }
                Op::NegFloat => {
                    let Value::Float(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    set(&mut reg!(i.a), Value::Float(-number));
                }
                Op::IntToFloat => {
                    let Value::Int(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    #[expect(clippy::cast_precision_loss, reason = "the nearest Float")]
                    let nearest = number as f64;
                    set(&mut reg!(i.a), Value::Float(nearest));
                }
                Op::FloatToInt => {
                    let Value::Float(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(whole) = natives::float_to_int(number) else {
                        panic_with!(
                            ArithmeticOverflow,
                            "{} does not fit into an Int",
                            Value::Float(number)
                        )
                    };
                    set(&mut reg!(i.a), Value::Int(whole));
                }
                Op::EqInt => {
                    let (left, right) = ints!(i);
                    decide!(i, left == right);
                }
                Op::LtInt => {
                    let (left, right) = ints!(i);
                    decide!(i, left < right);
                }
                Op::LeInt => {
                    let (left, right) = ints!(i);
                    decide!(i, left <= right);
                }
                Op::EqFloat => {
                    let (left, right) = floats!(i);
                    #[expect(clippy::float_cmp, reason = "the language compares exactly")]
                    let same = left == right;
                    set(&mut reg!(i.a), Value::Bool(same));
                }
                Op::LtFloat => {
                    let (left, right) = floats!(i);
                    set(&mut reg!(i.a), Value::Bool(left < right));
                }
                Op::LeFloat => {
                    let (left, right) = floats!(i);
                    set(&mut reg!(i.a), Value::Bool(left <= right));
                }
                Op::Eq => reg!(i.a) = Value::Bool(equal(&reg!(i.b), &reg!(i.c))),
                Op::Lt => {
                    let order = order(&reg!(i.b), &reg!(i.c));
                    set(&mut reg!(i.a), Value::Bool(order.is_some_and(std::cmp::Ordering::is_lt)));
                }
                Op::Le => {
                    let order = order(&reg!(i.b), &reg!(i.c));
                    set(&mut reg!(i.a), Value::Bool(order.is_some_and(std::cmp::Ordering::is_le)));
                }
                Op::Not => {
                    let Value::Bool(truth) = reg!(i.b) else { stop!(Stop::Broken) };
                    set(&mut reg!(i.a), Value::Bool(!truth));
                }
                Op::Jump => {
                    pc = i.x as usize;
                    continue;
                }
                Op::JumpIf => match reg!(i.a) {
                    Value::Bool(true) => {
                        pc = i.x as usize;
                        continue;
                    }
                    Value::Bool(false) => {}
                    _ => stop!(Stop::Broken),
                },
                Op::JumpUnless => match reg!(i.a) {
                    Value::Bool(false) => {
                        pc = i.x as usize;
                        continue;
                    }
                    Value::Bool(true) => {}
                    _ => stop!(Stop::Broken),
                },
                Op::Concat => {
                    let first = i.b as usize;
                    let joined = concat(&mut regs[first..first + i.x as usize]);
                    reg!(i.a) = joined;
                }
                Op::AppendString => {
                    let more = std::mem::take(&mut reg!(i.b));
                    match (&mut reg!(i.a), &more) {
                        (Value::Str(text), Value::Str(more)) => text.push_str(more),
                        _ => stop!(Stop::Broken),
                    }
                }
                Op::Array => {
                    let items = window(regs, i.b as usize, i.x as usize);
                    reg!(i.a) = Value::array(items);
                }
                Op::Tuple => {
                    let items = window(regs, i.b as usize, i.x as usize);
                    reg!(i.a) = Value::tuple(items);
                }
                Op::Map => {
                    let first = i.b as usize;
                    let Some(map) = pairs(&mut regs[first..first + 2 * i.x as usize]) else {
                        stop!(Stop::Broken)
                    };
                    reg!(i.a) = Value::Map(Arc::new(map));
                }
                Op::Struct => {
                    let Some(ty) = program.struct_type(i.x) else { stop!(Stop::Broken) };
                    let fields = window(regs, i.b as usize, i.y as usize);
                    let value = StructValue { ty: Arc::clone(ty), fields, note: None };
                    reg!(i.a) = Value::Struct(Arc::new(value));
                }
                Op::Variant => {
                    let Some(ty) = program.enum_type(i.x) else { stop!(Stop::Broken) };
                    let fields = window(regs, i.b as usize, i.c as usize);
                    let value = EnumValue { ty: Arc::clone(ty), variant: i.y, fields, note: None };
                    reg!(i.a) = Value::Enum(Arc::new(value));
                }
                Op::Range | Op::RangeInclusive => {
                    let (start, end) = ints!(i);
                    let inclusive = i.op == Op::RangeInclusive;
                    reg!(i.a) = Value::Range(Arc::new(RangeValue { start, end, inclusive }));
                }
                Op::Some => reg!(i.a) = Value::some(std::mem::take(&mut reg!(i.b))),
                Op::None => reg!(i.a) = Value::None,
                Op::Ok => reg!(i.a) = Value::ok(std::mem::take(&mut reg!(i.b))),
                Op::Err => reg!(i.a) = Value::err(std::mem::take(&mut reg!(i.b))),
                Op::IsSome => reg!(i.a) = Value::Bool(matches!(reg!(i.b), Value::Some(_))),
                Op::IsOk => reg!(i.a) = Value::Bool(matches!(reg!(i.b), Value::Ok(_))),
                Op::IsVariant => {
                    let Value::Enum(value) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let same = value.variant == i.x;
                    set(&mut reg!(i.a), Value::Bool(same));
                }
                Op::Payload => match std::mem::take(&mut reg!(i.b)) {
                    Value::Some(inner) | Value::Ok(inner) | Value::Err(inner) => {
                        reg!(i.a) = unshared(inner);
                    }
                    _ => stop!(Stop::Broken),
                },
                Op::VariantField => {
                    let Value::Enum(value) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(field) = value.fields.get(i.x as usize).cloned() else {
                        stop!(Stop::Broken)
                    };
                    reg!(i.a) = field;
                }
                Op::UnwrapOrJump => match std::mem::take(&mut reg!(i.b)) {
                    Value::Some(inner) | Value::Ok(inner) => reg!(i.a) = unshared(inner),
                    other @ (Value::None | Value::Nil | Value::Err(_)) => {
                        reg!(i.b) = other;
                        pc = i.x as usize;
                        continue;
                    }
                    _ => stop!(Stop::Broken),
                },
                Op::Field => {
                    let Value::Struct(value) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(field) = value.fields.get(i.x as usize).cloned() else {
                        stop!(Stop::Broken)
                    };
                    reg!(i.a) = field;
                }
                Op::SetField => {
                    let value = std::mem::take(&mut reg!(i.b));
                    let Some(field) = part_of(&mut reg!(i.a), i.x) else { stop!(Stop::Broken) };
                    *field = value;
                }
                Op::TakeField => {
                    let Some(field) = part_of(&mut reg!(i.b), i.x) else { stop!(Stop::Broken) };
                    let value = std::mem::take(field);
                    reg!(i.a) = value;
                }
                Op::TupleField => {
                    let Value::Tuple(items) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(item) = items.get(i.x as usize).cloned() else { stop!(Stop::Broken) };
                    reg!(i.a) = item;
                }
                Op::IndexArray => {
                    let (Value::Array(items), Value::Int(at)) = (&reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    let index = attempt!(within(*at, items.len()));
                    let item = items[index].clone();
                    reg!(i.a) = item;
                }
                Op::SetIndexArray => {
                    let value = std::mem::take(&mut reg!(i.c));
                    let Value::Int(at) = reg!(i.b) else { stop!(Stop::Broken) };
                    let Value::Array(items) = &mut reg!(i.a) else { stop!(Stop::Broken) };
                    let index = attempt!(within(at, items.len()));
                    Arc::make_mut(items)[index] = value;
                }
                Op::TakeIndexArray => {
                    let Value::Int(at) = reg!(i.c) else { stop!(Stop::Broken) };
                    let Value::Array(items) = &mut reg!(i.b) else { stop!(Stop::Broken) };
                    let index = attempt!(within(at, items.len()));
                    let value = std::mem::take(&mut Arc::make_mut(items)[index]);
                    reg!(i.a) = value;
                }
                Op::IndexMap => {
                    let (Value::Map(map), Some(key)) = (&reg!(i.b), reg!(i.c).to_key()) else {
                        stop!(Stop::Broken)
                    };
                    let Some(value) = map.get(&key).cloned() else {
                        stop!(no_key(&key.to_value()))
                    };
                    reg!(i.a) = value;
                }
                Op::SetIndexMap => {
                    let value = std::mem::take(&mut reg!(i.c));
                    let Some(key) = reg!(i.b).to_key() else { stop!(Stop::Broken) };
                    let Value::Map(map) = &mut reg!(i.a) else { stop!(Stop::Broken) };
                    Arc::make_mut(map).insert(key, value);
                }
                Op::TakeIndexMap => {
                    let Some(key) = reg!(i.c).to_key() else { stop!(Stop::Broken) };
                    let Value::Map(map) = &mut reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(value) = Arc::make_mut(map).get_mut(&key) else {
                        stop!(no_key(&key.to_value()))
                    };
                    let value = std::mem::take(value);
                    reg!(i.a) = value;
                }
                Op::IndexString => {
                    let (Value::Str(text), Value::Int(at)) = (&reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    let index = attempt!(within(*at, text.char_count()));
                    let character = Value::from(text.slice(index, index + 1));
                    reg!(i.a) = character;
                }
                Op::SliceString => {
                    let (Value::Str(text), Value::Range(range)) = (&reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    let (start, end) = bounds(range);
                    let part = Value::from(text.slice(start, end));
                    reg!(i.a) = part;
                }
                Op::SliceArray => {
                    let (Value::Array(items), Value::Range(range)) = (&reg!(i.b), &reg!(i.c))
                    else {
                        stop!(Stop::Broken)
                    };
                    let (start, end) = bounds(range);
                    let part = Value::array(natives::array_slice(items, start, end).to_vec());
                    reg!(i.a) = part;
                }
                Op::Len => {
                    let count = match &reg!(i.b) {
                        Value::Str(text) => text.char_count(),
                        Value::Array(items) | Value::Tuple(items) => items.len(),
                        Value::Map(map) => map.len(),
                        Value::Collection(items) => items.len(),
                        Value::Foreign(_) => match Store::of(&reg!(i.b)) {
                            Some(store) => store.snapshot().len(),
                            None => stop!(Stop::Broken),
                        },
                        Value::Range(range) => usize::try_from(range.len()).unwrap_or(0),
                        _ => stop!(Stop::Broken),
                    };
                    set(&mut reg!(i.a), Value::Int(i64::try_from(count).unwrap_or(i64::MAX)));
                }
                Op::RangeBounds => {
                    let Value::Range(range) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let start = range.start;
                    // The largest number of all has none behind it: nil stands for that.
                    let end = if range.reaches_the_largest() {
                        Value::Nil
                    } else {
                        Value::Int(range.exclusive().1)
                    };
                    set(&mut reg!(i.a), Value::Int(start));
                    reg!(i.a + 1) = end;
                }
                Op::RangeNext => {
                    let (next, following) = match (&reg!(i.b), &reg!(i.c)) {
                        (Value::Int(next), Value::Int(end)) if next < end => (*next, next + 1),
                        (Value::Int(_), Value::Int(_)) => {
                            pc = i.x as usize;
                            continue;
                        }
                        (Value::Int(i64::MAX), Value::Nil) => {
                            // The last turn: no number is below this end.
                            reg!(i.c) = Value::Int(i64::MIN);
                            (i64::MAX, i64::MAX)
                        }
                        (Value::Int(next), Value::Nil) => (*next, next + 1),
                        _ => stop!(Stop::Broken),
                    };
                    set(&mut reg!(i.b), Value::Int(following));
                    set(&mut reg!(i.a), Value::Int(next));
                }
                Op::ArrayNext => {
                    let (Value::Array(items), Value::Int(at)) = (&reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    let at = *at;
                    let Some(item) = usize::try_from(at).ok().and_then(|at| items.get(at)).cloned()
                    else {
                        pc = i.x as usize;
                        continue;
                    };
                    set(&mut reg!(i.c), Value::Int(at + 1));
                    reg!(i.a) = item;
                }
                Op::MapNext => {
                    let (Value::Map(map), Value::Int(at)) = (&reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    let at = *at;
                    let entry = usize::try_from(at).ok().and_then(|at| map.get_index(at));
                    let Some((key, value)) = entry.map(|(k, v)| (k.to_value(), v.clone())) else {
                        pc = i.x as usize;
                        continue;
                    };
                    set(&mut reg!(i.c), Value::Int(at + 1));
                    reg!(i.a) = key;
                    reg!(i.a + 1) = value;
                }
                Op::CheckType => {
                    let value = std::mem::take(&mut reg!(i.b));
                    match schema::conform(program, i.x, value) {
                        Ok(value) => reg!(i.a) = value,
                        Err(found) => panic_with!(
                            TypeMismatch,
                            "expected `{}`, found `{found}`",
                            program.type_name(i.x)
                        ),
                    }
                }
                Op::CastType => {
                    let value = std::mem::take(&mut reg!(i.b));
                    match cast(program, i.x, value) {
                        Ok(value) => reg!(i.a) = value,
                        Err(found) => panic_with!(
                            CastFailed,
                            "`{found}` cannot be cast to `{}`",
                            program.type_name(i.x)
                        ),
                    }
                }
                Op::IsType => {
                    let truth = is_of_type(program.types(), i.x, &reg!(i.b));
                    set(&mut reg!(i.a), Value::Bool(truth));
                }
                Op::Call => {
                    if frames.len() + 1 >= *max_depth {
                        panic_with!(StackOverflow, "more than {max_depth} active calls")
                    }
                    let callee = i.x as usize;
                    let result = base + i.a as usize;
                    current.pc = pc + 1;
                    frames.push(*current);
                    base += i.b as usize;
                    *current = Active { function: callee, base, pc: 0, result };
                    (code, registers) = program.body(callee);
                    regs = frame(stack, base, registers);
                    pc = 0;
                    continue;
                }
                Op::Closure => {
                    let captures = window(regs, i.b as usize, i.y as usize);
                    let Some(function) = program.function_value(i.x as usize, captures) else {
                        stop!(Stop::Broken)
                    };
                    reg!(i.a) = function;
                }
                Op::CallValue | Op::CallAny => {
                    let is_checked = matches!(i.op, Op::CallAny);
                    let function = match &reg!(i.b) {
                        Value::Function(function) => Arc::clone(function),
                        other if is_checked => {
                            panic_with!(TypeMismatch, "`{}` cannot be called", other.type_name())
                        }
                        _ => stop!(Stop::Broken),
                    };
                    if is_checked {
                        let first = i.c as usize;
                        let args = &mut regs[first..first + i.x as usize];
                        attempt!(natives::check_arguments(program, &function, args));
                    } else if function.arity != i.x as usize {
                        stop!(Stop::Broken)
                    }
                    if frames.len() + 1 >= *max_depth {
                        panic_with!(StackOverflow, "more than {max_depth} active calls")
                    }
                    let result = base + i.a as usize;
                    current.pc = pc + 1;
                    frames.push(*current);
                    base += i.c as usize;
                    *current = Active { function: function.index, base, pc: 0, result };
                    (code, registers) = program.body(function.index);
                    regs = frame(stack, base, registers);
                    // The verifier has seen that there is room behind the arguments.
                    for (slot, value) in regs[function.arity..].iter_mut().zip(&function.captures) {
                        set(slot, copy(value));
                    }
                    pc = 0;
                    continue;
                }
                Op::Native => {
                    let first = i.b as usize;
                    let window = first..first + i.y as usize;
                    let result = natives::call(i.x, &mut regs[window.clone()]);
                    let result = attempt!(result);
                    clear(&mut regs[window]);
                    reg!(i.a) = result;
                }
                Op::NativeMut => {
                    let first = i.c as usize;
                    let window = first..first + i.y as usize;
                    let mut receiver = std::mem::take(&mut reg!(i.b));
                    let result =
                        natives::call_mutating(i.x, &mut receiver, &mut regs[window.clone()]);
                    reg!(i.b) = receiver;
                    let result = attempt!(result);
                    clear(&mut regs[window]);
                    reg!(i.a) = result;
                }
                Op::Effect => {
                    let Some(request) = Request::at(i.x) else { stop!(Stop::Broken) };
                    let args = window(regs, i.b as usize, i.y as usize);
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Request { request, args })
                }
                Op::Return | Op::ReturnNil => {
                    let value = if i.op == Op::Return {
                        std::mem::take(&mut reg!(i.a))
                    } else {
                        Value::Nil
                    };
                    clear(regs);
                    let Some(caller) = frames.pop() else { return Stop::Done(value) };
                    set(&mut stack[current.result], value);
                    *current = caller;
                    base = caller.base;
                    pc = caller.pc;
                    (code, registers) = program.body(caller.function);
                    regs = frame(stack, base, registers);
                    continue;
                }
                Op::Fail => {
                    let error = std::mem::take(&mut reg!(i.a));
                    stop!(Stop::Failed(error))
                }
                Op::Panic => {
                    let message = text!(i.a);
                    panic_with!(Panic, "{message}")
                }
                Op::NoMatch => panic_with!(MatchFailed, "no arm matches the value"),
                Op::Emit => {
                    let channel = text!(i.a);
                    if channel.is_empty() {
                        panic_with!(InvalidArgument, "the name of a channel is empty")
                    }
                    let payload = std::mem::take(&mut reg!(i.b));
                    needs!(Pending::Nothing, Effect::Emit { channel, payload })
                }
                Op::Ask => {
                    let channel = text!(i.b);
                    if channel.is_empty() {
                        panic_with!(InvalidArgument, "the name of a channel is empty")
                    }
                    let payload = std::mem::take(&mut reg!(i.c));
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::EmitAsk { channel, payload, ty: i.x })
                }
                Op::Fit => {
                    let value = std::mem::take(&mut reg!(i.b));
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Fit { value, ty: i.x })
                }
                Op::Print => {
                    let effect = Effect::Print { text: text!(i.a), newline: i.x != 0 };
                    needs!(Pending::Nothing, effect)
                }
                Op::Env => {
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Env { name: text!(i.b) })
                }
                Op::Model => {
                    let Some(model) = program.model_value(i.x) else { stop!(Stop::Broken) };
                    reg!(i.a) = Value::Model(Arc::clone(model));
                }
                Op::Execute => {
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, ask!(i, Answer::Response))
                }
                Op::ExecuteWithSchema => {
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, ask!(i, Answer::Schema(i.x)))
                }
                Op::ParseSchema => {
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::ParseSchema { schema: i.x, text: text!(i.b) })
                }
                Op::Stream => {
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, ask!(i, Answer::Stream))
                }
                Op::StreamNext => {
                    let (end, error) = (i.x as usize, i.y as usize);
                    let pending = Pending::Chunk { register: base + i.a as usize, end, error };
                    let (stream, request) = (reg!(i.b).clone(), StreamRequest::Chunk);
                    needs!(pending, Effect::Stream { stream, request })
                }
                Op::StreamTake => about_stream!(i, Next),
                Op::StreamCollect => about_stream!(i, Collect),
                Op::StreamResponse => about_stream!(i, Response),
                Op::StreamText => about_stream!(i, Text),
                Op::StreamIsDone => about_stream!(i, IsDone),
                Op::StreamClose => {
                    let (stream, request) = (reg!(i.a).clone(), StreamRequest::Close);
                    needs!(Pending::Nothing, Effect::Stream { stream, request })
                }
                Op::Future => {
                    let args = window(regs, i.b as usize, i.y as usize);
                    let Some(future) = program.future(i.x as usize, args) else {
                        stop!(Stop::Broken)
                    };
                    reg!(i.a) = future;
                }
                Op::Join | Op::JoinEach => {
                    let parts = window(regs, i.b as usize, i.y as usize);
                    let Some(form) = Form::of(i.x) else { stop!(Stop::Broken) };
                    let work = if i.op == Op::Join {
                        Work::Functions(parts)
                    } else {
                        attempt!(tasks::each(parts))
                    };
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Join { form, work })
                }
                Op::Spawn => {
                    let Value::Function(function) = std::mem::take(&mut reg!(i.b)) else {
                        stop!(Stop::Broken)
                    };
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Spawn { function })
                }
                Op::Await | Op::AwaitResult => {
                    // What is no future is there already.
                    let Value::Task(task) = &reg!(i.b) else {
                        let value = reg!(i.b).clone();
                        reg!(i.a) = value;
                        pc += 1;
                        continue;
                    };
                    let (task, as_result) = (Arc::clone(task), i.op == Op::AwaitResult);
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Await { task, as_result })
                }
                Op::Cancel => {
                    let Value::Task(task) = &reg!(i.a) else { stop!(Stop::Broken) };
                    let task = Arc::clone(task);
                    needs!(Pending::Nothing, Effect::Cancel { task })
                }
                Op::Pipeline => {
                    let names = window(regs, i.b as usize, i.y as usize);
                    reg!(i.a) = attempt!(tasks::pipeline(i.x as usize, names));
                }
                Op::FanOut => {
                    let models = window(regs, i.b as usize, i.x as usize);
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::FanOut { models })
                }
                Op::CallTool => {
                    let args = window(regs, i.b as usize, i.c as usize);
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Tool { tool: i.x, method: i.y, args })
                }
                Op::Mock => {
                    let request = TestRequest::Mock { model: i.x, fields: reg!(i.a).clone() };
                    needs!(Pending::Nothing, Effect::Test(request))
                }
                Op::MockCalls => {
                    let Value::Model(model) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let request = TestRequest::MockCalls { model: Arc::clone(model) };
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Test(request))
                }
                Op::MockReply => {
                    let (channel, value) = (text!(i.a), reg!(i.b).clone());
                    let request = TestRequest::MockReply { channel, value };
                    needs!(Pending::Nothing, Effect::Test(request))
                }
                Op::MockEnv => {
                    let (name, value) = (text!(i.a), reg!(i.b).clone());
                    needs!(Pending::Nothing, Effect::Test(TestRequest::MockEnv { name, value }))
                }
                Op::TestEmits => {
                    let Value::Bool(events) = reg!(i.b) else { stop!(Stop::Broken) };
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Test(TestRequest::Emits { events }))
                }
                Op::AssertSnapshot => {
                    let (value, name) = (reg!(i.a).clone(), text!(i.b));
                    needs!(Pending::Nothing, Effect::Test(TestRequest::Snapshot { value, name }))
                }
            }
            pc += 1;
        }
    }
}

/// The registers of an active function; the stack grows if they reach above it.
#[inline(always)]
fn frame(stack: &mut Vec<Value>, base: usize, registers: usize) -> &mut [Value] {
    let top = base + registers;
    if stack.len() < top {
        stack.resize(top, Value::Nil);
    }
    &mut stack[base..top]
}

/// Whether a value owns nothing.
#[inline(always)]
fn is_plain(value: &Value) -> bool {
    matches!(value, Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::None)
}

/// Assignment with a short way for plain old values: most registers hold numbers, and the general drop of a [`Value`] is a call. It makes
/// loops of arithmetic about twice as fast.
#[inline(always)]
fn set(slot: &mut Value, value: Value) {
    if is_plain(slot) {
        std::mem::forget(std::mem::replace(slot, value));
    } else {
        *slot = value;
    }
}

/// A clone with a short way for numbers.
#[inline(always)]
fn copy(value: &Value) -> Value {
    match value {
        Value::Int(number) => Value::Int(*number),
        Value::Bool(truth) => Value::Bool(*truth),
        other => other.clone(),
    }
}

/// Whether an error value is of a type that a clause may name. Types of containers are not told apart.
fn is_of_type(types: &[Type], index: u32, value: &Value) -> bool {
    let is_one = |index: &u32| match (types.get(*index as usize), value) {
        (Some(Type::Any), _)
        | (Some(Type::String), Value::Str(_))
        | (Some(Type::Int), Value::Int(_))
        | (Some(Type::Float), Value::Float(_))
        | (Some(Type::Bool), Value::Bool(_))
        | (Some(Type::Nil), Value::Nil)
        | (Some(Type::Array(_)), Value::Array(_))
        | (Some(Type::Map(..)), Value::Map(_))
        | (Some(Type::Tuple(_)), Value::Tuple(_))
        | (Some(Type::Option(_)), Value::None | Value::Some(_))
        | (Some(Type::Result(..)), Value::Ok(_) | Value::Err(_))
        | (Some(Type::Range), Value::Range(_)) => true,
        (Some(Type::Literal(words)), Value::Str(text)) => words.iter().any(|w| **w == **text),
        (Some(Type::Struct(wanted)), Value::Struct(found)) => wanted.name == found.ty.name,
        (Some(Type::Enum(wanted)), Value::Enum(found)) => wanted.name == found.ty.name,
        _ => false,
    };
    match types.get(index as usize) {
        Some(Type::Union(members)) => members.iter().any(is_one),
        _ => is_one(&index),
    }
}

/// Lets go of all that registers own; plain values may stay, nobody reads them.
#[inline(always)]
fn clear(registers: &mut [Value]) {
    for slot in registers {
        if !is_plain(slot) {
            *slot = Value::Nil;
        }
    }
}

/// Moves a window out of the registers.
fn window(registers: &mut [Value], first: usize, count: usize) -> Vec<Value> {
    registers[first..first + count].iter_mut().map(std::mem::take).collect()
}

/// The value inside, without a copy where nobody else holds it.
fn unshared(inner: Arc<Held>) -> Value {
    Arc::try_unwrap(inner).map_or_else(|shared| Value::clone(&shared), Held::into_value)
}

/// Joins display forms; appends in place if the first is a text with one owner.
fn concat(parts: &mut [Value]) -> Value {
    use std::fmt::Write;
    let Some((first, rest)) = parts.split_first_mut() else { return Value::from("") };
    let mut joined = match std::mem::take(first) {
        Value::Str(text) => text,
        other => Text::new(other.to_string()),
    };
    for part in rest {
        match std::mem::take(part) {
            Value::Str(text) => joined.push_str(&text),
            other => {
                let mut shown = String::new();
                let _ = write!(shown, "{other}"); // writing to a String cannot fail
                joined.push_str(&shown);
            }
        }
    }
    Value::Str(joined)
}

fn pairs(window: &mut [Value]) -> Option<MapValue> {
    let mut map = MapValue::with_capacity(window.len() / 2);
    for pair in window.chunks_exact_mut(2) {
        map.insert(pair[0].to_key()?, std::mem::take(&mut pair[1]));
    }
    window.fill(Value::Nil);
    Some(map)
}

/// `as`: besides what enters a typed place, a Float that has a whole part becomes an Int. The error says what cannot be converted.
fn cast(program: &Verified, wanted: u32, value: Value) -> Result<Value, String> {
    match (program.types().get(wanted as usize), &value) {
        (Some(Type::Int), Value::Float(number)) => {
            natives::float_to_int(*number).map(Value::Int).ok_or_else(|| value.to_string())
        }
        _ => schema::conform(program, wanted, value),
    }
}

/// A field of a struct or an element of a tuple, to be changed.
fn part_of(whole: &mut Value, position: u32) -> Option<&mut Value> {
    match whole {
        Value::Struct(held) => Arc::make_mut(held).fields.get_mut(position as usize),
        Value::Tuple(items) => Arc::make_mut(items).get_mut(position as usize),
        _ => None,
    }
}

fn within(index: i64, len: usize) -> Result<usize, Failure> {
    match usize::try_from(index) {
        Ok(position) if position < len => Ok(position),
        _ => natives::out_of_bounds(index, len),
    }
}

fn no_key(key: &Value) -> Stop {
    let shown = Value::array(vec![key.clone()]).to_string();
    let shown = shown.trim_start_matches('[').trim_end_matches(']');
    Stop::Panic(PanicKind::KeyNotFound, format!("the map has no key {shown}"))
}

/// Bounds of a slice: negative ones count as 0.
fn bounds(range: &RangeValue) -> (usize, usize) {
    let (start, end) = range.exclusive();
    let clamp = |bound: i64| usize::try_from(bound.max(0)).unwrap_or(usize::MAX);
    (clamp(start), clamp(end).max(clamp(start)))
}
