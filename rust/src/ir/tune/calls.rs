//! Calls that end at once, and instructions that mostly stand before a call or a return.
//!
//! Recursion often begins with a test that ends it: `if n < 2 { n } else { .. }`. A call of such a function tests by itself, and without a frame. What else
//! joins stays where it stands, so that both instructions keep their places: the first one does the work of both.

use crate::ir::ops::{Instr, Op};
use crate::value::Value;

/// How a function begins that tests an Int among its arguments, and returns at once for some numbers.
#[derive(Debug)]
pub struct Guard {
    /// The argument.
    pub register: u16,
    /// The first of these numbers.
    low: i64,
    /// How far from it the last one is; behind the largest number of all, the smallest follows.
    span: u64,
    /// What is returned.
    pub outcome: Outcome,
    /// Where the function goes on for the others.
    pub otherwise: usize,
}

/// What a function returns at once.
#[derive(Debug)]
pub enum Outcome {
    /// The argument that is tested.
    Tested,
    /// Another argument.
    Argument(u16),
    /// A value that owns nothing.
    Plain(Value),
}

impl Guard {
    /// Of the code of a function, whose arguments are plain values: a call has nothing to let go of then.
    pub(in crate::ir) fn of(code: &[Instr], arity: usize) -> Option<Self> {
        let test = code.first()?;
        let number = i64::from(test.wide().cast_signed());
        // The number has 32 bits.
        let (low, high) = match test.op {
            Op::IfEqIntImm => (number, number),
            Op::IfLtIntImm => (i64::MIN, number - 1),
            Op::IfLeIntImm => (i64::MIN, number),
            Op::IfGtIntImm => (number + 1, i64::MAX),
            Op::IfGeIntImm => (number, i64::MAX),
            _ => return None,
        };
        let outcome = |at: u32| outcome(code.get(at as usize..)?, test.a, arity);
        let span = high.wrapping_sub(low).cast_unsigned();
        let (low, span, outcome, otherwise) = match (outcome(test.x), outcome(test.y)) {
            (Some(found), _) => (low, span, found, test.y),
            // All numbers but these.
            (None, Some(found)) => (high.wrapping_add(1), !span - 1, found, test.x),
            (None, None) => return None,
        };
        let (register, otherwise) = (test.a, otherwise as usize);
        let is_argument = usize::from(register) < arity;
        is_argument.then_some(Self { register, low, span, outcome, otherwise })
    }

    /// Whether a function returns at once that is given this number.
    #[inline(always)]
    pub fn returns(&self, number: i64) -> bool {
        number.wrapping_sub(self.low).cast_unsigned() <= self.span
    }
}

/// What code returns that does nothing else.
fn outcome(code: &[Instr], tested: u16, arity: usize) -> Option<Outcome> {
    match code {
        [i, ..] if i.op == Op::ReturnNil => Some(Outcome::Plain(Value::Nil)),
        [i, ..] if i.op == Op::Return && i.a == tested => Some(Outcome::Tested),
        [i, ..] if i.op == Op::Return => {
            (usize::from(i.a) < arity).then_some(Outcome::Argument(i.a))
        }
        [i, end, ..] if end.op == Op::Return && end.a == i.a => match i.op {
            Op::Int => Some(Outcome::Plain(Value::Int(i64::from(i.x.cast_signed())))),
            Op::Bool => Some(Outcome::Plain(Value::Bool(i.x != 0))),
            Op::Nil => Some(Outcome::Plain(Value::Nil)),
            Op::None => Some(Outcome::Plain(Value::None)),
            _ => None,
        },
        _ => None,
    }
}

/// Calls of functions with a guard test it; a sum before a call or a return does the work of both. This comes last: nothing else knows these operations.
/// `guarded` tells which argument the guard of a function tests.
pub(in crate::ir) fn calls(code: &mut [Instr], guarded: &dyn Fn(u32) -> Option<u16>) {
    for i in code.iter_mut().filter(|i| i.op == Op::Call && guarded(i.x).is_some()) {
        i.op = Op::CallGuarded;
    }
    for at in 1..code.len() {
        let Some([first, second]) = code.get_mut(at - 1..=at) else { return };
        let is_tested =
            || guarded(second.x).and_then(|at| second.b.checked_add(at)) == Some(first.a);
        first.op = match (first.op, second.op) {
            (Op::AddIntImm, Op::CallGuarded) if is_tested() => Op::AddIntImmCallGuarded,
            (Op::AddInt, Op::Return) if first.a == second.a => Op::AddIntReturn,
            (Op::MulInt, Op::Return) if first.a == second.a => Op::MulIntReturn,
            (op, _) => op,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::tune::testing::instr;

    fn test(op: Op, register: u16, number: i32) -> Instr {
        Instr { x: 1, y: 2, ..instr(op, register, 0, 0) }.with_wide(number.cast_unsigned())
    }

    fn guard(test: Instr, then: Instr, behind: &[Instr]) -> Option<Guard> {
        Guard::of(&[&[test, then], behind].concat(), 2)
    }

    #[test]
    fn a_guard_returns_for_the_numbers_of_its_test() {
        let numbers = [i64::MIN, -4, -3, -2, 0, i64::MAX];
        for (op, expected) in [
            (Op::IfEqIntImm, [false, false, true, false, false, false]),
            (Op::IfLtIntImm, [true, true, false, false, false, false]),
            (Op::IfLeIntImm, [true, true, true, false, false, false]),
            (Op::IfGtIntImm, [false, false, false, true, true, true]),
            (Op::IfGeIntImm, [false, false, true, true, true, true]),
        ] {
            let found = guard(test(op, 1, -3), instr(Op::Return, 0, 0, 0), &[]).unwrap();
            assert_eq!(numbers.map(|number| found.returns(number)), expected, "{op:?}");
            assert_eq!((found.register, found.otherwise), (1, 2));
            assert!(matches!(found.outcome, Outcome::Argument(0)));
            let found = guard(test(op, 1, -3), instr(Op::Return, 1, 0, 0), &[]).unwrap();
            assert!(matches!(found.outcome, Outcome::Tested));
            // It goes on where the test holds, and returns else.
            let work = instr(Op::Fail, 0, 0, 0);
            let found = guard(test(op, 1, -3), work, &[instr(Op::ReturnNil, 0, 0, 0)]).unwrap();
            assert_eq!(numbers.map(|number| !found.returns(number)), expected, "{op:?}");
            assert_eq!(found.otherwise, 1);
        }
    }

    #[test]
    fn a_guard_returns_an_argument_or_a_plain_value() {
        let (less, end) = (test(Op::IfLtIntImm, 0, 2), instr(Op::Return, 5, 0, 0));
        let with = |op| guard(less, Instr { x: 7, ..instr(op, 5, 0, 0) }, &[end]);
        assert!(matches!(with(Op::Int).unwrap().outcome, Outcome::Plain(Value::Int(7))));
        assert!(matches!(with(Op::Bool).unwrap().outcome, Outcome::Plain(Value::Bool(true))));
        // A constant may own something, and what is no argument was never written.
        assert!(with(Op::Const).is_none());
        assert!(guard(less, end, &[end]).is_none());
        assert!(guard(test(Op::IfLtIntImm, 2, 2), instr(Op::Return, 0, 0, 0), &[]).is_none());
        assert!(guard(instr(Op::IfSome, 0, 0, 0), instr(Op::Return, 0, 0, 0), &[]).is_none());
    }

    #[test]
    fn what_joins_a_call_or_a_return_stays_in_its_place() {
        let call = |x| Instr { x, y: 1, ..instr(Op::Call, 2, 3, 0) };
        let mut code = [
            instr(Op::AddIntImm, 3, 0, 0),
            call(1),
            instr(Op::AddIntImm, 4, 0, 0),
            call(1),
            instr(Op::AddIntImm, 3, 0, 0),
            call(0),
            instr(Op::AddInt, 1, 2, 3),
            instr(Op::Return, 1, 0, 0),
            instr(Op::AddInt, 1, 2, 3),
            instr(Op::Return, 2, 0, 0),
        ];
        let given = code;
        calls(&mut code, &|function| (function == 1).then_some(0));
        let expected = [
            Op::AddIntImmCallGuarded,
            Op::CallGuarded,
            Op::AddIntImm,
            Op::CallGuarded,
            Op::AddIntImm,
            Op::Call,
            Op::AddIntReturn,
            Op::Return,
            Op::AddInt,
            Op::Return,
        ];
        assert_eq!(code.map(|i| i.op), expected);
        for (i, given) in code.iter().zip(given) {
            assert_eq!(Instr { op: given.op, ..*i }, given);
        }
    }
}
