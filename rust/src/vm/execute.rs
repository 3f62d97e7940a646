//! The step loop.
//!
//! A call's arguments stand in a window of the caller's registers, and the callee's registers begin there, so a call moves nothing. What stands above the
//! innermost frame owns nothing. The verifier has checked every register, jump and index against the function's own bounds, so the indexing here cannot
//! fail; values of a wrong kind end the run as [`Stop::Broken`].

#![expect(clippy::indexing_slicing, reason = "the verifier checked every index")]
#![expect(clippy::useless_conversion, reason = "`give!` hands on values of two types")]

use std::num::NonZeroI64;

use triomphe::Arc;

use super::effect::{Answer, Effect, Form, PanicKind, StreamRequest, TestRequest, Work};
use super::machine::{Active, Caller, Fiber, Pending, Stop};
use super::natives;
use super::operate::{
    Plain, append, append_shown, bounds, calculated, calculated_int, capture, cast, clear, concat,
    copying, deepen, frame, grow, is_of_type, no_key, pairs, part, part_of, push, put, set, split,
    taken, test, unshared, window, within,
};
use super::request::Request;
use super::tasks;
use crate::ir::Outcome;
use crate::ir::ops::Op;
use crate::schema;
use crate::value::{Captures, EnumValue, RangeValue, Store, StructValue, Value, equal, order};

impl Fiber {
    /// Goes on until something stops it, or about `budget` instructions are executed: the length of a loop counts at each of its turns, and that of a
    /// function when it is called.
    pub(super) fn execute(&mut self, budget: u32) -> Stop {
        let Self { program, stack, callers: room, current, max_depth, pending } = self;
        let program = &*program;
        let constants = program.constants();
        let bodies = program.bodies();
        let Active { mut function, mut base, mut pc, mut depth } = *current;
        let Some(mut body) = bodies.get(function) else { return Stop::Broken };
        // What each instruction needs: more would not fit into the processor's registers. `pc` is that of the instruction that follows.
        let mut code = &*body.code;
        let mut left = budget as usize;
        let mut callers = &mut room[..];
        // Where a map had the key that was looked up last.
        let mut near = 0;
        // The registers of the current function: a slice of its own spares each access a look at the stack's head.
        let mut regs: &mut [Value] = frame(stack, base, body.registers);

        macro_rules! reg {
            ($register:expr) => {
                regs[$register as usize]
            };
        }
        // Leaves the loop at the instruction that stops it.
        macro_rules! stop {
            ($stop:expr) => {{
                *current = Active { function, base, pc: pc - 1, depth };
                return $stop;
            }};
        }
        // Leaves the loop for an effect; the fiber goes on behind the instruction.
        macro_rules! needs {
            ($pending:expr, $effect:expr) => {{
                *pending = $pending;
                *current = Active { function, base, pc, depth };
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
                put(&mut reg!($i.a), Value::Int, result);
            }};
        }
        // An Int and the number in the instruction.
        macro_rules! with_number {
            ($i:ident, $operation:ident) => {{
                let Value::Int(number) = reg!($i.b) else { stop!(Stop::Broken) };
                let Some(result) = number.$operation(i64::from($i.x.cast_signed())) else {
                    panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                };
                put(&mut reg!($i.a), Value::Int, result);
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
                put(&mut reg!($i.a), Value::Int, result);
            }};
        }
        // Goes on elsewhere. What is executed again, in a loop or by a call, is paid for here.
        macro_rules! pay {
            ($steps:expr) => {
                match left.checked_sub($steps) {
                    Some(rest) => left = rest,
                    None => {
                        *current = Active { function, base, pc, depth };
                        return Stop::Yield;
                    }
                }
            };
        }
        // Pays for a copy that is made to change a value, or that was just made; the loop ends at its next turn.
        macro_rules! pay_for_copy {
            ($value:expr, $is_shared:expr) => {
                left = left.saturating_sub(copying($value, $is_shared))
            };
        }
        // The content of an array or a map to be changed, for which a shared one is copied.
        macro_rules! own {
            ($held:expr) => {{
                let held = $held;
                if !held.is_unique() {
                    let elements = held.len();
                    left = left.saturating_sub(split(held, elements));
                }
                let Some(content) = Arc::get_mut(held) else { stop!(Stop::Broken) };
                content
            }};
        }
        macro_rules! jump {
            ($to:expr) => {{
                let (from, to) = (pc, $to as usize);
                pc = to;
                if to < from {
                    pay!(from - to);
                }
                continue;
            }};
        }
        // Mostly the next instruction follows: then nothing waits until it is known where to go on.
        macro_rules! branch {
            ($i:ident, $truth:expr) => {{
                if $truth {
                    jump!($i.x);
                }
                if $i.y as usize != pc {
                    jump!($i.y);
                }
            }};
        }
        macro_rules! int_at {
            ($register:expr) => {{
                let Value::Int(number) = reg!($register) else { stop!(Stop::Broken) };
                number
            }};
        }
        macro_rules! float_at {
            ($register:expr) => {{
                let Value::Float(number) = reg!($register) else { stop!(Stop::Broken) };
                number
            }};
        }
        // The Int that a test compares with the number in the instruction.
        macro_rules! tested {
            ($i:ident) => {
                (int_at!($i.a), i64::from($i.wide().cast_signed()))
            };
        }
        macro_rules! tested_ints {
            ($i:ident) => {
                (int_at!($i.a), int_at!($i.b))
            };
        }
        macro_rules! tested_floats {
            ($i:ident) => {{
                let (Value::Float(left), Value::Float(right)) = (&reg!($i.a), &reg!($i.b)) else {
                    stop!(Stop::Broken)
                };
                (*left, *right)
            }};
        }
        // A Float in a register and a constant.
        macro_rules! with_float {
            ($register:expr, $constant:expr) => {{
                let (Value::Float(number), Value::Float(constant)) =
                    (&reg!($register), &constants[$constant as usize])
                else {
                    stop!(Stop::Broken)
                };
                (*number, *constant)
            }};
        }
        // Before a call: one comparison sees both the room for callers and how many there may be.
        macro_rules! check_depth {
            () => {
                if depth >= callers.len() {
                    if !deepen(room, *max_depth) {
                        panic_with!(StackOverflow, "more than {max_depth} active calls")
                    }
                    callers = room;
                }
            };
        }
        // The constant in front of a number, of which 0 stands for none.
        macro_rules! constant_before {
            ($number:expr) => {
                ($number as usize).checked_sub(1).map(|constant| &constants[constant])
            };
        }
        // A Float in a field and a constant.
        macro_rules! field_and_constant {
            ($i:ident) => {{
                let (Some(Value::Float(number)), Value::Float(constant)) =
                    (part(&reg!($i.a), $i.b.into()), &constants[$i.c as usize])
                else {
                    stop!(Stop::Broken)
                };
                (*number, *constant)
            }};
        }
        // Goes into a function whose registers begin at a window of this one's; `regs` must be set to them then.
        macro_rules! enter {
            ($callee:expr, $window:expr, $result:expr) => {{
                let callee = $callee;
                let Some(called) = bodies.get(callee) else { stop!(Stop::Broken) };
                check_depth!();
                enter!(callee, called, 0, $window, $result);
            }};
            ($callee:expr, $called:expr, $start:expr, $window:expr, $result:expr) => {{
                callers[depth] = Caller {
                    function: function as u32,
                    pc: pc as u32,
                    window: $window,
                    result: $result,
                };
                depth += 1;
                function = $callee;
                base += $window as usize;
                (body, code, pc) = ($called, &*$called.code, $start);
                grow(stack, base + body.registers);
            }};
        }
        // Calls a function that may end at once, given the number in the argument that is tested. `write` puts it there, if it is not yet.
        macro_rules! call_guarded {
            ($i:ident, $called:ident, $guard:ident, $number:expr, $write:expr) => {{
                let number = $number;
                check_depth!();
                if $guard.returns(number) {
                    match &$guard.outcome {
                        Outcome::Tested => put(&mut reg!($i.a), Value::Int, number),
                        Outcome::Argument(argument) => load!($i.a, &reg!($i.b + argument)),
                        Outcome::Plain(value) => load!($i.a, value),
                    }
                    continue;
                }
                $write;
                enter!($i.x as usize, $called, $guard.otherwise, $i.b, $i.a);
                regs = own_registers!();
                pay!(code.len());
            }};
        }
        // The function that an instruction calls, and how it may end at once.
        macro_rules! guarded {
            ($i:ident) => {{
                let Some(called) = bodies.get($i.x as usize) else { stop!(Stop::Broken) };
                let Some(guard) = &called.guard else { stop!(Stop::Broken) };
                (called, guard)
            }};
        }
        // Copies a value from elsewhere into a register.
        macro_rules! load {
            ($register:expr, $value:expr) => {{
                let found: &Value = $value;
                // By parts, as `Plain` says. The usual kinds first: the way of many is looked up in a table.
                match *found {
                    Value::Int(number) => put(&mut reg!($register), Value::Int, number),
                    Value::Float(number) => put(&mut reg!($register), Value::Float, number),
                    Value::Bool(truth) => put(&mut reg!($register), Value::Bool, truth),
                    _ => {
                        let value = match found {
                            Value::Str(text) => text.copied().map(Value::Str),
                            _ => None,
                        };
                        let value = value.unwrap_or_else(|| found.clone());
                        set(&mut reg!($register), value);
                    }
                }
            }};
        }
        // Takes a value out of a register and does something with it.
        macro_rules! give {
            ($register:expr, $value:ident => $use:expr) => {
                if let Some($value) = Plain::of(&reg!($register)) {
                    set(&mut reg!($register), Value::Nil);
                    $use
                } else {
                    let $value = std::mem::take(&mut reg!($register));
                    $use
                }
            };
        }
        macro_rules! own_registers {
            () => {
                &mut stack[base..base + body.registers]
            };
        }
        // Ends the function, with its value, and goes on in the caller, where the value is written to a register.
        macro_rules! leave {
            ($value:expr) => {
                leave!($value, slot => set(slot, $value))
            };
            ($value:expr, $slot:ident => $write:expr) => {{
                for register in &*body.owning {
                    set(&mut reg!(*register), Value::Nil);
                }
                let Some(caller) = callers.get(depth.wrapping_sub(1)) else {
                    return Stop::Done($value);
                };
                let Some(found) = bodies.get(caller.function as usize) else { return Stop::Broken };
                depth -= 1;
                (body, code) = (found, &*found.code);
                (function, pc) = (caller.function as usize, caller.pc as usize);
                base -= caller.window as usize;
                regs = own_registers!();
                let $slot = &mut reg!(caller.result);
                $write;
                continue;
            }};
        }
        // Returns the outcome of checked arithmetic.
        macro_rules! return_int {
            ($i:ident, $operation:ident) => {{
                let (left, right) = ints!($i);
                let Some(result) = left.$operation(right) else {
                    panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                };
                leave!(Value::Int(result), slot => put(slot, Value::Int, result))
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
        // Places that an instruction changes: a field, an element, an entry.
        macro_rules! field {
            ($i:ident) => {{
                let Some(place) = part_of(&mut reg!($i.a), $i.x) else { stop!(Stop::Broken) };
                place
            }};
        }
        macro_rules! element {
            ($i:ident) => {{
                let at = int_at!($i.b);
                let Value::Array(items) = &mut reg!($i.a) else { stop!(Stop::Broken) };
                let index = attempt!(within(at, items.len()));
                &mut own!(items)[index]
            }};
        }
        macro_rules! entry {
            ($i:ident) => {{
                let operands = [$i.a as usize, $i.b as usize];
                let Ok([Value::Map(map), key]) = regs.get_disjoint_mut(operands) else {
                    stop!(Stop::Broken)
                };
                let Some(place) = own!(map).find_mut(key, &mut near) else {
                    stop!(no_key(&reg!($i.b)))
                };
                place
            }};
        }
        // Computes with the number in a place.
        macro_rules! into_int {
            ($place:expr, |$left:ident| $result:expr) => {{
                let Value::Int(place) = $place else { stop!(Stop::Broken) };
                let $left = *place;
                let Some(result) = $result else {
                    panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                };
                *place = result;
            }};
        }
        macro_rules! into_float {
            ($place:expr, |$left:ident| $result:expr) => {{
                let Value::Float(place) = $place else { stop!(Stop::Broken) };
                let $left = *place;
                *place = $result;
            }};
        }
        macro_rules! range {
            ($i:ident, $inclusive:expr) => {{
                let (start, end) = ints!($i);
                let range = RangeValue { start, end, inclusive: $inclusive };
                reg!($i.a) = Value::Range(Arc::new(range));
            }};
        }
        macro_rules! join {
            ($i:ident, $parts:ident => $work:expr) => {{
                let $parts = window(regs, $i.b as usize, $i.y as usize);
                let Some(form) = Form::of($i.x) else { stop!(Stop::Broken) };
                let work = $work;
                let pending = Pending::Store { register: base + $i.a as usize };
                needs!(pending, Effect::Join { form, work })
            }};
        }
        macro_rules! await_task {
            ($i:ident, $as_result:expr) => {{
                // What is no future is there already.
                let Value::Task(task) = &reg!($i.b) else {
                    let value = reg!($i.b).clone();
                    reg!($i.a) = value;
                    continue;
                };
                let task = Arc::clone(task);
                let pending = Pending::Store { register: base + $i.a as usize };
                needs!(pending, Effect::Await { task, as_result: $as_result })
            }};
        }

        loop {
            // By reference: each operation reads the operands that it has, after the dispatch.
            let i = &code[pc];
            pc += 1;
            match i.op {
                Op::Const => load!(i.a, &constants[i.x as usize]),
                Op::Int => set(&mut reg!(i.a), Value::Int(i64::from(i.x.cast_signed()))),
                Op::Bool => set(&mut reg!(i.a), Value::Bool(i.x != 0)),
                Op::Nil | Op::Drop => set(&mut reg!(i.a), Value::Nil),
                Op::Copy => load!(i.a, &reg!(i.b)),
                Op::Move => match reg!(i.b) {
                    Value::Int(number) => {
                        set(&mut reg!(i.b), Value::Nil);
                        put(&mut reg!(i.a), Value::Int, number);
                    }
                    Value::Float(number) => {
                        set(&mut reg!(i.b), Value::Nil);
                        put(&mut reg!(i.a), Value::Float, number);
                    }
                    _ => {
                        let value = taken(&mut reg!(i.b));
                        set(&mut reg!(i.a), value);
                    }
                },
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
                    put(&mut reg!(i.a), Value::Int, left.wrapping_rem(right));
                }
                Op::NegInt => {
                    let Value::Int(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(result) = number.checked_neg() else {
                        panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                    };
                    put(&mut reg!(i.a), Value::Int, result);
                }
                Op::AddIntImm => with_number!(i, checked_add),
                Op::MulIntImm => with_number!(i, checked_mul),
                Op::DivIntImm => with_number!(i, checked_div),
                Op::RemIntImm => {
                    let Value::Int(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(divisor) = NonZeroI64::new(i64::from(i.x.cast_signed())) else {
                        stop!(Stop::Broken)
                    };
                    put(&mut reg!(i.a), Value::Int, number.wrapping_rem(divisor.get()));
                }
                Op::AddFloat => {
                    let (left, right) = floats!(i);
                    put(&mut reg!(i.a), Value::Float, left + right);
                }
                Op::SubFloat => {
                    let (left, right) = floats!(i);
                    put(&mut reg!(i.a), Value::Float, left - right);
                }
                Op::MulFloat => {
                    let (left, right) = floats!(i);
                    put(&mut reg!(i.a), Value::Float, left * right);
                }
                Op::DivFloat => {
                    let (left, right) = floats!(i);
                    put(&mut reg!(i.a), Value::Float, left / right);
                }
                Op::RemFloat => {
                    let (left, right) = floats!(i);
                    put(&mut reg!(i.a), Value::Float, left % right);
                }
                Op::NegFloat => {
                    let Value::Float(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    put(&mut reg!(i.a), Value::Float, -number);
                }
                Op::IntToFloat => {
                    let Value::Int(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    #[expect(clippy::cast_precision_loss, reason = "the nearest Float")]
                    let nearest = number as f64;
                    put(&mut reg!(i.a), Value::Float, nearest);
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
                    put(&mut reg!(i.a), Value::Int, whole);
                }
                Op::EqInt => {
                    let (left, right) = ints!(i);
                    put(&mut reg!(i.a), Value::Bool, left == right);
                }
                Op::LtInt => {
                    let (left, right) = ints!(i);
                    put(&mut reg!(i.a), Value::Bool, left < right);
                }
                Op::LeInt => {
                    let (left, right) = ints!(i);
                    put(&mut reg!(i.a), Value::Bool, left <= right);
                }
                Op::EqFloat => {
                    let (left, right) = floats!(i);
                    #[expect(clippy::float_cmp, reason = "the language compares exactly")]
                    let same = left == right;
                    put(&mut reg!(i.a), Value::Bool, same);
                }
                Op::LtFloat => {
                    let (left, right) = floats!(i);
                    put(&mut reg!(i.a), Value::Bool, left < right);
                }
                Op::LeFloat => {
                    let (left, right) = floats!(i);
                    put(&mut reg!(i.a), Value::Bool, left <= right);
                }
                Op::Eq => {
                    let same = equal(&reg!(i.b), &reg!(i.c));
                    put(&mut reg!(i.a), Value::Bool, same);
                }
                Op::Lt => {
                    let order = order(&reg!(i.b), &reg!(i.c));
                    put(&mut reg!(i.a), Value::Bool, order.is_some_and(std::cmp::Ordering::is_lt));
                }
                Op::Le => {
                    let order = order(&reg!(i.b), &reg!(i.c));
                    put(&mut reg!(i.a), Value::Bool, order.is_some_and(std::cmp::Ordering::is_le));
                }
                Op::Not => {
                    let Value::Bool(truth) = reg!(i.b) else { stop!(Stop::Broken) };
                    put(&mut reg!(i.a), Value::Bool, !truth);
                }
                Op::Skip => {}
                Op::Jump => jump!(i.x),
                Op::JumpIf => match reg!(i.a) {
                    Value::Bool(true) => jump!(i.x),
                    Value::Bool(false) => {}
                    _ => stop!(Stop::Broken),
                },
                Op::JumpUnless => match reg!(i.a) {
                    Value::Bool(false) => jump!(i.x),
                    Value::Bool(true) => {}
                    _ => stop!(Stop::Broken),
                },
                Op::IfEqInt => {
                    let (left, right) = tested_ints!(i);
                    branch!(i, left == right);
                }
                Op::IfLtInt => {
                    let (left, right) = tested_ints!(i);
                    branch!(i, left < right);
                }
                Op::IfLeInt => {
                    let (left, right) = tested_ints!(i);
                    branch!(i, left <= right);
                }
                Op::IfEqIntImm => {
                    let (left, right) = tested!(i);
                    branch!(i, left == right);
                }
                Op::IfLtIntImm => {
                    let (left, right) = tested!(i);
                    branch!(i, left < right);
                }
                Op::IfLeIntImm => {
                    let (left, right) = tested!(i);
                    branch!(i, left <= right);
                }
                Op::IfGtIntImm => {
                    let (left, right) = tested!(i);
                    branch!(i, left > right);
                }
                Op::IfGeIntImm => {
                    let (left, right) = tested!(i);
                    branch!(i, left >= right);
                }
                Op::MulAddFloat => {
                    let ((left, right), more) = (floats!(i), float_at!(i.x));
                    put(&mut reg!(i.a), Value::Float, left * right + more);
                }
                Op::MulSubFloat => {
                    let ((left, right), more) = (floats!(i), float_at!(i.x));
                    put(&mut reg!(i.a), Value::Float, left * right - more);
                }
                Op::SubMulFloat => {
                    let ((left, right), more) = (floats!(i), float_at!(i.x));
                    put(&mut reg!(i.a), Value::Float, more - left * right);
                }
                Op::AddFloatConst => {
                    let (number, constant) = with_float!(i.b, i.x);
                    put(&mut reg!(i.a), Value::Float, number + constant);
                }
                Op::MulFloatConst => {
                    let (number, constant) = with_float!(i.b, i.x);
                    put(&mut reg!(i.a), Value::Float, number * constant);
                }
                Op::IfLtFloatConst => {
                    let (number, constant) = with_float!(i.a, i.wide());
                    branch!(i, number < constant);
                }
                Op::IfGtFloatConst => {
                    let (number, constant) = with_float!(i.a, i.wide());
                    branch!(i, number > constant);
                }
                Op::IfEqFloat => {
                    let (left, right) = tested_floats!(i);
                    #[expect(clippy::float_cmp, reason = "the language compares exactly")]
                    let same = left == right;
                    branch!(i, same);
                }
                Op::IfLtFloat => {
                    let (left, right) = tested_floats!(i);
                    branch!(i, left < right);
                }
                Op::IfLeFloat => {
                    let (left, right) = tested_floats!(i);
                    branch!(i, left <= right);
                }
                Op::IfEq => branch!(i, equal(&reg!(i.a), &reg!(i.b))),
                Op::IfEqConst => branch!(i, equal(&reg!(i.a), &constants[i.wide() as usize])),
                Op::IfVariant => {
                    let Value::Enum(value) = &reg!(i.a) else { stop!(Stop::Broken) };
                    branch!(i, value.variant == i.wide());
                }
                Op::IfHas => {
                    let Value::Map(map) = &reg!(i.a) else { stop!(Stop::Broken) };
                    branch!(i, map.find(&reg!(i.b), &mut near).is_some());
                }
                Op::IfSome => branch!(i, matches!(reg!(i.a), Value::Some(_))),
                Op::IfOk => branch!(i, matches!(reg!(i.a), Value::Ok(_))),
                Op::Concat => {
                    let first = i.b as usize;
                    let parts = &mut regs[first..first + i.x as usize];
                    let joined = concat(constant_before!(i.y), parts, constant_before!(i.c));
                    let joined = attempt!(joined);
                    set(&mut reg!(i.a), joined);
                }
                Op::AppendString => {
                    pay_for_copy!(&reg!(i.a), true);
                    let more = std::mem::take(&mut reg!(i.b));
                    match (&mut reg!(i.a), &more) {
                        (Value::Str(text), Value::Str(more)) => attempt!(push(text, more)),
                        _ => stop!(Stop::Broken),
                    }
                }
                Op::AppendParts => {
                    pay_for_copy!(&reg!(i.a), true);
                    let mut whole = std::mem::take(&mut reg!(i.a));
                    let Value::Str(text) = &mut whole else { stop!(Stop::Broken) };
                    let first = i.b as usize;
                    if let Some(constant) = constant_before!(i.y) {
                        attempt!(append_shown(text, constant));
                    }
                    attempt!(append(text, &mut regs[first..first + i.x as usize]));
                    if let Some(constant) = constant_before!(i.c) {
                        attempt!(append_shown(text, constant));
                    }
                    set(&mut reg!(i.a), whole);
                }
                Op::AppendConst => {
                    pay_for_copy!(&reg!(i.a), true);
                    match (&mut reg!(i.a), &constants[i.wide() as usize]) {
                        (Value::Str(text), Value::Str(more)) => attempt!(push(text, more)),
                        _ => stop!(Stop::Broken),
                    }
                }
                Op::TextTest => {
                    let Some(truth) = test(i.x, &reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    put(&mut reg!(i.a), Value::Bool, truth);
                }
                Op::TextTestConst => {
                    let Some(truth) = test(i.x, &reg!(i.b), &constants[i.y as usize]) else {
                        stop!(Stop::Broken)
                    };
                    put(&mut reg!(i.a), Value::Bool, truth);
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
                    reg!(i.a) = Value::map(map);
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
                Op::Range => range!(i, false),
                Op::RangeInclusive => range!(i, true),
                Op::Some => reg!(i.a) = Value::some(std::mem::take(&mut reg!(i.b))),
                Op::None => set(&mut reg!(i.a), Value::None),
                Op::Ok => reg!(i.a) = Value::ok(std::mem::take(&mut reg!(i.b))),
                Op::Err => reg!(i.a) = Value::err(std::mem::take(&mut reg!(i.b))),
                Op::IsSome => {
                    let truth = matches!(reg!(i.b), Value::Some(_));
                    put(&mut reg!(i.a), Value::Bool, truth);
                }
                Op::IsOk => {
                    let truth = matches!(reg!(i.b), Value::Ok(_));
                    put(&mut reg!(i.a), Value::Bool, truth);
                }
                Op::IsVariant => {
                    let Value::Enum(value) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let same = value.variant == i.x;
                    put(&mut reg!(i.a), Value::Bool, same);
                }
                Op::Payload => match std::mem::take(&mut reg!(i.b)) {
                    Value::Some(inner) | Value::Ok(inner) | Value::Err(inner) => {
                        reg!(i.a) = unshared(inner);
                    }
                    _ => stop!(Stop::Broken),
                },
                Op::VariantField => {
                    let Value::Enum(value) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(field) = value.fields.get(i.x as usize) else { stop!(Stop::Broken) };
                    load!(i.a, field);
                }
                Op::UnwrapOrJump => match std::mem::take(&mut reg!(i.b)) {
                    Value::Some(inner) | Value::Ok(inner) => reg!(i.a) = unshared(inner),
                    other @ (Value::None | Value::Nil | Value::Err(_)) => {
                        reg!(i.b) = other;
                        jump!(i.x);
                    }
                    _ => stop!(Stop::Broken),
                },
                Op::Field => {
                    let Value::Struct(value) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(field) = value.fields.get(i.x as usize) else { stop!(Stop::Broken) };
                    load!(i.a, field);
                }
                Op::SetField => give!(i.b, value => {
                    let Some(field) = part_of(&mut reg!(i.a), i.x) else { stop!(Stop::Broken) };
                    set(field, value.into());
                }),
                // A plain value need not be taken out: nobody reads it before it is put back.
                Op::TakeField => match part(&reg!(i.b), i.x).map(Plain::of) {
                    Some(Some(plain)) => set(&mut reg!(i.a), plain.into()),
                    Some(None) => {
                        let Some(field) = part_of(&mut reg!(i.b), i.x) else { stop!(Stop::Broken) };
                        let value = std::mem::take(field);
                        reg!(i.a) = value;
                    }
                    None => stop!(Stop::Broken),
                },
                Op::FloatIntoField => {
                    let right = float_at!(i.b);
                    into_float!(field!(i), |left| calculated(i.c.into(), left, right));
                }
                Op::FieldIntoField => {
                    let Some(&Value::Float(right)) = part(&reg!(i.b), i.y) else {
                        stop!(Stop::Broken)
                    };
                    into_float!(field!(i), |left| calculated(i.c.into(), left, right));
                }
                Op::IntIntoField => {
                    let right = int_at!(i.b);
                    into_int!(field!(i), |left| calculated_int(i.c.into(), left, right));
                }
                Op::IntImmIntoField => {
                    let right = i64::from(i.y.cast_signed());
                    into_int!(field!(i), |left| left.checked_add(right));
                }
                Op::IntIntoElement => {
                    let right = int_at!(i.c);
                    into_int!(element!(i), |left| calculated_int(i.x, left, right));
                }
                Op::FloatIntoElement => {
                    let right = float_at!(i.c);
                    into_float!(element!(i), |left| calculated(i.x, left, right));
                }
                Op::IntImmIntoElement => {
                    let right = i64::from(i.x.cast_signed());
                    into_int!(element!(i), |left| left.checked_add(right));
                }
                Op::IntIntoEntry => {
                    let right = int_at!(i.c);
                    into_int!(entry!(i), |left| calculated_int(i.x, left, right));
                }
                Op::FloatIntoEntry => {
                    let right = float_at!(i.c);
                    into_float!(entry!(i), |left| calculated(i.x, left, right));
                }
                Op::IntImmIntoEntry => {
                    let right = i64::from(i.x.cast_signed());
                    into_int!(entry!(i), |left| left.checked_add(right));
                }
                Op::IfLtFieldConst => {
                    let (number, constant) = field_and_constant!(i);
                    branch!(i, number < constant);
                }
                Op::IfGtFieldConst => {
                    let (number, constant) = field_and_constant!(i);
                    branch!(i, number > constant);
                }
                Op::TupleField => {
                    let Value::Tuple(items) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(item) = items.get(i.x as usize) else { stop!(Stop::Broken) };
                    load!(i.a, item);
                }
                Op::IndexArray => {
                    let (Value::Array(items), Value::Int(at)) = (&reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    let index = attempt!(within(*at, items.len()));
                    load!(i.a, &items[index]);
                }
                Op::SetIndexArray => give!(i.c, value => {
                    let Value::Int(at) = reg!(i.b) else { stop!(Stop::Broken) };
                    let Value::Array(items) = &mut reg!(i.a) else { stop!(Stop::Broken) };
                    let index = attempt!(within(at, items.len()));
                    set(&mut own!(items)[index], value.into());
                }),
                Op::TakeIndexArray => {
                    let Value::Int(at) = reg!(i.c) else { stop!(Stop::Broken) };
                    let Value::Array(items) = &mut reg!(i.b) else { stop!(Stop::Broken) };
                    let index = attempt!(within(at, items.len()));
                    match Plain::of(&items[index]) {
                        Some(plain) => set(&mut reg!(i.a), plain.into()),
                        None => {
                            let value = std::mem::take(&mut own!(items)[index]);
                            reg!(i.a) = value;
                        }
                    }
                }
                Op::IndexMap => {
                    let Value::Map(map) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(value) = map.find(&reg!(i.c), &mut near) else {
                        stop!(no_key(&reg!(i.c)))
                    };
                    load!(i.a, value);
                }
                Op::SetIndexMap => give!(i.c, value => {
                    let operands = [i.a as usize, i.b as usize];
                    let Ok([Value::Map(map), key]) = regs.get_disjoint_mut(operands) else {
                        stop!(Stop::Broken)
                    };
                    if !own!(map).put(key, value.into(), &mut near) {
                        stop!(Stop::Broken)
                    }
                }),
                Op::TakeIndexMap => {
                    let Value::Map(map) = &reg!(i.b) else { stop!(Stop::Broken) };
                    match map.find(&reg!(i.c), &mut near).map(Plain::of) {
                        Some(Some(plain)) => set(&mut reg!(i.a), plain.into()),
                        Some(None) => {
                            let operands = [i.b as usize, i.c as usize];
                            let Ok([Value::Map(map), key]) = regs.get_disjoint_mut(operands) else {
                                stop!(Stop::Broken)
                            };
                            let value = own!(map).find_mut(key, &mut near);
                            let taken = value.map(std::mem::take).unwrap_or_default();
                            reg!(i.a) = taken;
                        }
                        None => stop!(no_key(&reg!(i.c))),
                    }
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
                    pay_for_copy!(&part, false);
                    reg!(i.a) = part;
                }
                Op::SliceArray => {
                    let (Value::Array(items), Value::Range(range)) = (&reg!(i.b), &reg!(i.c))
                    else {
                        stop!(Stop::Broken)
                    };
                    let (start, end) = bounds(range);
                    let part = Value::array(natives::array_slice(items, start, end).to_vec());
                    pay_for_copy!(&part, false);
                    reg!(i.a) = part;
                }
                Op::Len => {
                    let count = match &reg!(i.b) {
                        Value::Str(text) => text.char_count(),
                        Value::Array(items) | Value::Tuple(items) => items.len(),
                        Value::Map(map) => map.len(),
                        Value::Collection(items) => items.len(),
                        Value::Foreign(_) => match Store::of(&reg!(i.b)) {
                            Some(store) => store.len(),
                            None => stop!(Stop::Broken),
                        },
                        Value::Range(range) => usize::try_from(range.len()).unwrap_or(0),
                        _ => stop!(Stop::Broken),
                    };
                    put(&mut reg!(i.a), Value::Int, i64::try_from(count).unwrap_or(i64::MAX));
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
                    put(&mut reg!(i.a), Value::Int, start);
                    reg!(i.a + 1) = end;
                }
                Op::RangeNext => {
                    let (next, following) = match (&reg!(i.b), &reg!(i.c)) {
                        (Value::Int(next), Value::Int(end)) if next < end => (*next, next + 1),
                        (Value::Int(_), Value::Int(_)) => jump!(i.x),
                        (Value::Int(i64::MAX), Value::Nil) => {
                            // The last turn: no number is below this end.
                            reg!(i.c) = Value::Int(i64::MIN);
                            (i64::MAX, i64::MAX)
                        }
                        (Value::Int(next), Value::Nil) => (*next, next + 1),
                        _ => stop!(Stop::Broken),
                    };
                    put(&mut reg!(i.b), Value::Int, following);
                    put(&mut reg!(i.a), Value::Int, next);
                    jump!(i.y);
                }
                Op::ArrayNext => {
                    let (Value::Array(items), Value::Int(at)) = (&reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    let at = *at;
                    let Some(item) = usize::try_from(at).ok().and_then(|at| items.get(at)) else {
                        jump!(i.x)
                    };
                    load!(i.a, item);
                    put(&mut reg!(i.c), Value::Int, at + 1);
                    jump!(i.y);
                }
                Op::MapNext => {
                    let (Value::Map(map), Value::Int(at)) = (&reg!(i.b), &reg!(i.c)) else {
                        stop!(Stop::Broken)
                    };
                    let at = *at;
                    let entry = usize::try_from(at).ok().and_then(|at| map.get_index(at));
                    let Some((key, value)) = entry.map(|(k, v)| (k.to_value(), v.clone())) else {
                        jump!(i.x);
                    };
                    put(&mut reg!(i.c), Value::Int, at + 1);
                    set(&mut reg!(i.a), key);
                    set(&mut reg!(i.a + 1), value);
                    jump!(i.y);
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
                    put(&mut reg!(i.a), Value::Bool, truth);
                }
                Op::Call => {
                    enter!(i.x as usize, i.b, i.a);
                    regs = own_registers!();
                    pay!(code.len());
                }
                Op::CallGuarded => {
                    let (called, guard) = guarded!(i);
                    let Value::Int(number) = reg!(i.b + guard.register) else {
                        stop!(Stop::Broken)
                    };
                    call_guarded!(i, called, guard, number, {});
                }
                Op::AddIntImmCallGuarded => {
                    let Value::Int(number) = reg!(i.b) else { stop!(Stop::Broken) };
                    let Some(number) = number.checked_add(i64::from(i.x.cast_signed())) else {
                        panic_with!(ArithmeticOverflow, "the result does not fit into 64 bits")
                    };
                    let call = &code[pc];
                    let (called, guard) = guarded!(call);
                    pc += 1;
                    call_guarded!(call, called, guard, number, {
                        put(&mut reg!(i.a), Value::Int, number);
                    });
                }
                Op::Closure => {
                    let first = i.b as usize;
                    let captures = Captures::taken(&mut regs[first..first + i.y as usize]);
                    let Some(function) = program.function_value(i.x as usize, captures) else {
                        stop!(Stop::Broken)
                    };
                    reg!(i.a) = function;
                }
                Op::CallValue => {
                    let Value::Function(function) = &reg!(i.b) else { stop!(Stop::Broken) };
                    if function.arity != i.x as usize {
                        stop!(Stop::Broken)
                    }
                    let callee = function.index;
                    if function.captures.is_empty() {
                        enter!(callee, i.c, i.a);
                        regs = own_registers!();
                    } else if i.b < i.c {
                        // The function stays where it is, below the registers of what it executes.
                        let place = base + i.b as usize;
                        enter!(callee, i.c, i.a);
                        let (below, own) = stack.split_at_mut(base);
                        regs = &mut own[..body.registers];
                        capture(regs, &below[place]);
                    } else {
                        // No compiler of ours puts it among them.
                        let held = reg!(i.b).clone();
                        enter!(callee, i.c, i.a);
                        regs = own_registers!();
                        capture(regs, &held);
                    }
                    pay!(code.len());
                }
                Op::CallAny => {
                    let function = match &reg!(i.b) {
                        Value::Function(function) => Arc::clone(function),
                        other => {
                            panic_with!(TypeMismatch, "`{}` cannot be called", other.type_name())
                        }
                    };
                    let first = i.c as usize;
                    let args = &mut regs[first..first + i.x as usize];
                    attempt!(natives::check_arguments(program, &function, args));
                    enter!(function.index, i.c, i.a);
                    regs = own_registers!();
                    capture(regs, &Value::Function(function));
                    pay!(code.len());
                }
                Op::ArrayPush => give!(i.b, item => {
                    let Value::Array(items) = &mut reg!(i.a) else { stop!(Stop::Broken) };
                    own!(items).push(item.into());
                }),
                Op::ArrayPopOr => {
                    let Value::Array(items) = &mut reg!(i.b) else { stop!(Stop::Broken) };
                    match own!(items).pop() {
                        Some(item) => set(&mut reg!(i.a), item),
                        None => jump!(i.x),
                    }
                }
                Op::MapGetOr => {
                    let Value::Map(map) = &reg!(i.b) else { stop!(Stop::Broken) };
                    match map.find(&reg!(i.c), &mut near) {
                        Some(value) => load!(i.a, value),
                        None => jump!(i.x),
                    }
                }
                Op::MapHas => {
                    let Value::Map(map) = &reg!(i.b) else { stop!(Stop::Broken) };
                    let truth = map.find(&reg!(i.c), &mut near).is_some();
                    put(&mut reg!(i.a), Value::Bool, truth);
                }
                Op::Native => {
                    let first = i.b as usize;
                    let window = first..first + i.y as usize;
                    let result = natives::call(i.x, &mut regs[window.clone()]);
                    let result = attempt!(result);
                    pay_for_copy!(&result, false);
                    clear(&mut regs[window]);
                    reg!(i.a) = result;
                }
                Op::NativeMut => {
                    let first = i.c as usize;
                    let window = first..first + i.y as usize;
                    let mut receiver = std::mem::take(&mut reg!(i.b));
                    pay_for_copy!(&receiver, true);
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
                Op::Return => match reg!(i.a) {
                    Value::Int(number) => {
                        leave!(Value::Int(number), slot => put(slot, Value::Int, number))
                    }
                    Value::Float(number) => {
                        leave!(Value::Float(number), slot => put(slot, Value::Float, number))
                    }
                    Value::Bool(truth) => {
                        leave!(Value::Bool(truth), slot => put(slot, Value::Bool, truth))
                    }
                    _ => {
                        let value = taken(&mut reg!(i.a));
                        leave!(value)
                    }
                },
                Op::AddIntReturn => return_int!(i, checked_add),
                Op::MulIntReturn => return_int!(i, checked_mul),
                Op::ReturnNil => leave!(Value::Nil),
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
                    let first = i.b as usize;
                    let args = Captures::taken(&mut regs[first..first + i.y as usize]);
                    let Some(future) = program.future(i.x as usize, args) else {
                        stop!(Stop::Broken)
                    };
                    reg!(i.a) = future;
                }
                Op::Join => join!(i, parts => Work::Functions(parts)),
                Op::JoinEach => join!(i, parts => attempt!(tasks::each(parts))),
                Op::Spawn => {
                    let Value::Function(function) = std::mem::take(&mut reg!(i.b)) else {
                        stop!(Stop::Broken)
                    };
                    let pending = Pending::Store { register: base + i.a as usize };
                    needs!(pending, Effect::Spawn { function })
                }
                Op::Await => await_task!(i, false),
                Op::AwaitResult => await_task!(i, true),
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
        }
    }
}
