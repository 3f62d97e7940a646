//! Instructions that belong together become one: comparisons with the jump behind them, constants with their only use, methods with what they read.

use std::sync::LazyLock;

use super::draft::Draft;
use super::effects::{Targets, effects, targets};
use super::live::Live;
use crate::ir::ops::{Instr, Op};
use crate::vm::natives;

/// How many instructions may stand between a constant and its only use.
const FAR: usize = 12;

/// Numbers of the native functions that have instructions of their own.
struct Natives {
    push: Option<u32>,
    pop: Option<u32>,
    get: Option<u32>,
    has: Option<u32>,
    lengths: [Option<u32>; 3],
    tests: [Option<u32>; 3],
}

static NATIVES: LazyLock<Natives> = LazyLock::new(|| Natives {
    push: natives::find("array.push"),
    pop: natives::find("array.pop"),
    get: natives::find("map.get"),
    has: natives::find("map.has"),
    lengths: ["string.len", "array.len", "map.len"].map(natives::find),
    tests: ["string.starts_with", "string.ends_with", "string.contains"].map(natives::find),
});

pub(super) fn join(draft: &mut Draft, live: &mut Live) {
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        match i.op {
            Op::Native => {
                native(draft, live, at, i);
                branch(draft, live, at, draft.at(at));
            }
            Op::NativeMut => native_mut(draft, live, at, i),
            Op::Concat => concat(draft, live, at, i),
            _ => branch(draft, live, at, i),
        }
    }
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        if matches!(i.op, Op::Int | Op::Const) {
            constant(draft, live, at, i);
        }
    }
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        if i.op == Op::MulFloat {
            product(draft, live, at, i);
        }
    }
}

/// A product and the sum or difference that alone uses it. Only of Floats: a product of Ints may fail, and says where.
fn product(draft: &mut Draft, live: &Live, at: usize, i: Instr) {
    let Some(next) = draft.next(at) else { return };
    let sum = draft.at(next);
    let (is_left, is_right) = (sum.b == i.a, sum.c == i.a);
    let op = match sum.op {
        Op::AddFloat => Op::MulAddFloat,
        Op::SubFloat if is_left => Op::MulSubFloat,
        Op::SubFloat => Op::SubMulFloat,
        _ => return,
    };
    if is_left != is_right && (sum.a == i.a || !live.is_live_after(draft, next, i.a)) {
        let other = if is_left { sum.c } else { sum.b };
        draft.put(at, Instr { op, a: sum.a, x: other.into(), ..i });
        draft.skip(next);
    }
}

/// A text that is joined to be appended. Of a text that is appended to itself the parts are read before.
fn concat(draft: &mut Draft, live: &Live, at: usize, i: Instr) {
    let Some(next) = draft.next(at) else { return };
    let append = draft.at(next);
    let is_joined = append.op == Op::AppendString && append.b == i.a && append.a != i.a;
    let window = u32::from(i.b)..u32::from(i.b) + i.x;
    if is_joined && !window.contains(&append.a.into()) && !live.is_live_after(draft, next, i.a) {
        draft.put(at, Instr { op: Op::AppendParts, a: append.a, ..i });
        draft.skip(next);
    }
}

/// A comparison and the jump that tests it.
fn branch(draft: &mut Draft, live: &Live, at: usize, i: Instr) {
    let test = match i.op {
        Op::EqInt => Instr { op: Op::IfEqInt, a: i.b, b: i.c, ..i },
        Op::LtInt => Instr { op: Op::IfLtInt, a: i.b, b: i.c, ..i },
        Op::LeInt => Instr { op: Op::IfLeInt, a: i.b, b: i.c, ..i },
        Op::EqFloat => Instr { op: Op::IfEqFloat, a: i.b, b: i.c, ..i },
        Op::LtFloat => Instr { op: Op::IfLtFloat, a: i.b, b: i.c, ..i },
        Op::LeFloat => Instr { op: Op::IfLeFloat, a: i.b, b: i.c, ..i },
        Op::Eq => Instr { op: Op::IfEq, a: i.b, b: i.c, ..i },
        Op::IsVariant => Instr { op: Op::IfVariant, a: i.b, ..i }.with_wide(i.x),
        Op::IsSome => Instr { op: Op::IfSome, a: i.b, ..i },
        Op::IsOk => Instr { op: Op::IfOk, a: i.b, ..i },
        Op::MapHas => Instr { op: Op::IfHas, a: i.b, b: i.c, ..i },
        _ => return,
    };
    let Some(mut next) = draft.next(at) else { return };
    let is_not = |n: Instr| n.op == Op::Not && (n.a, n.b) == (i.a, i.a);
    let negation = is_not(draft.at(next)).then_some(next);
    if negation.is_some() {
        let Some(behind) = draft.next(next) else { return };
        next = behind;
    }
    let jump = draft.at(next);
    let is_test = matches!(jump.op, Op::JumpIf | Op::JumpUnless) && jump.a == i.a;
    if !is_test || live.is_live_after(draft, next, i.a) {
        return;
    }
    let Ok(behind) = u32::try_from(next + 1) else { return };
    let (x, y) = if (jump.op == Op::JumpIf) == negation.is_none() {
        (jump.x, behind)
    } else {
        (behind, jump.x)
    };
    draft.put(at, Instr { x, y, ..test });
    draft.skip(next);
    if let Some(negation) = negation {
        draft.skip(negation);
    }
}

/// A constant and its only use.
fn constant(draft: &mut Draft, live: &Live, at: usize, i: Instr) {
    let mut here = at;
    for _ in 0..FAR {
        let Some(next) = draft.next(here) else { return };
        here = next;
        let user = draft.at(here);
        let Some(found) = effects(&user) else { return };
        if found.touches(&user, i.a) {
            let better =
                if i.op == Op::Int { with_number(user, i) } else { with_constant(user, i) };
            let is_last =
                found.written(&user) == Some(i.a) || !live.is_live_after(draft, here, i.a);
            if let Some(better) = better.filter(|_| is_last) {
                draft.put(here, better);
                draft.skip(at);
            }
            return;
        }
        if !matches!(targets(&user), Targets::Next) {
            return;
        }
    }
}

/// An instruction with the number that the register of `int` would give it.
fn with_number(user: Instr, int: Instr) -> Option<Instr> {
    let number = int.x.cast_signed();
    let (left, right) = (user.b == int.a, user.c == int.a);
    let arithmetic = |op, b, number: i32| {
        Some(Instr { op, a: user.a, b, c: 0, x: number.cast_unsigned(), y: 0 })
    };
    let test = |op, a| Some(Instr { op, a, ..user }.with_wide(int.x));
    let other = if right { user.b } else { user.c };
    match user.op {
        Op::AddInt | Op::MulInt | Op::SubInt | Op::DivInt | Op::RemInt if left == right => None,
        Op::AddInt => arithmetic(Op::AddIntImm, other, number),
        Op::MulInt => arithmetic(Op::MulIntImm, other, number),
        Op::SubInt if right => arithmetic(Op::AddIntImm, other, number.checked_neg()?),
        Op::DivInt if right && number != 0 => arithmetic(Op::DivIntImm, other, number),
        Op::RemInt if right && number != 0 => arithmetic(Op::RemIntImm, other, number),
        Op::IfEqInt | Op::IfLtInt | Op::IfLeInt if user.a == user.b => None,
        Op::IfEqInt if user.a == int.a => test(Op::IfEqIntImm, user.b),
        Op::IfEqInt => test(Op::IfEqIntImm, user.a),
        Op::IfLtInt if user.a == int.a => test(Op::IfGtIntImm, user.b),
        Op::IfLtInt => test(Op::IfLtIntImm, user.a),
        Op::IfLeInt if user.a == int.a => test(Op::IfGeIntImm, user.b),
        Op::IfLeInt => test(Op::IfLeIntImm, user.a),
        _ => None,
    }
}

/// An instruction with the constant that the register of `constant` would give it.
fn with_constant(user: Instr, constant: Instr) -> Option<Instr> {
    let own = constant.a;
    let arithmetic = |op| {
        let b = if user.b == own { user.c } else { user.b };
        (user.b != user.c).then_some(Instr { op, a: user.a, b, c: 0, x: constant.x, y: 0 })
    };
    let test = |op| {
        let a = if user.a == own { user.b } else { user.a };
        (user.a != user.b).then_some(Instr { op, a, ..user }.with_wide(constant.x))
    };
    let is_read = user.b == own || user.c == own;
    match user.op {
        Op::AddFloat if is_read => arithmetic(Op::AddFloatConst),
        Op::MulFloat if is_read => arithmetic(Op::MulFloatConst),
        Op::IfEq => test(Op::IfEqConst),
        Op::IfLtFloat if user.a == own => test(Op::IfGtFloatConst),
        Op::IfLtFloat => test(Op::IfLtFloatConst),
        Op::AppendString if user.b == own && user.a != own => {
            Some(Instr { op: Op::AppendConst, ..user }.with_wide(constant.x))
        }
        Op::TextTest if user.c == own && user.b != own => {
            Some(Instr { op: Op::TextTestConst, c: 0, y: constant.x, ..user })
        }
        Op::Concat | Op::AppendParts => part(user, constant),
        _ => None,
    }
}

/// What is joined begins or ends with a constant: the window becomes smaller. Zero says that there is none.
fn part(user: Instr, constant: Instr) -> Option<Instr> {
    let (own, first) = (u32::from(constant.a), u32::from(user.b));
    let number = constant.x.checked_add(1)?;
    if user.x > 0 && own == first && user.y == 0 {
        return Some(Instr { b: user.b.checked_add(1)?, x: user.x - 1, y: number, ..user });
    }
    let is_last = user.x > 0 && own == first + user.x - 1 && user.c == 0;
    let c = u16::try_from(number).ok().filter(|_| is_last)?;
    Some(Instr { x: user.x - 1, c, ..user })
}

/// Methods that only read their arguments read them where they are.
fn native(draft: &mut Draft, live: &mut Live, at: usize, i: Instr) {
    let function = Some(i.x);
    let known = &*NATIVES;
    let is_length = known.lengths.contains(&function);
    let is_test = known.tests.contains(&function);
    if !is_length && !is_test && function != known.get && function != known.has {
        return;
    }
    let Some(args) = arguments(draft, live, at, i) else { return };
    let (b, c) = match args[..] {
        [(_, only)] => (only, 0),
        [(_, first), (_, second)] => (first, second),
        _ => return,
    };
    let place = if is_length {
        draft.put(at, Instr { op: Op::Len, b, c, x: 0, y: 0, ..i });
        at
    } else if is_test {
        draft.put(at, Instr { op: Op::TextTest, b, c, y: 0, ..i });
        at
    } else if function == known.has {
        draft.put(at, Instr { op: Op::MapHas, b, c, x: 0, y: 0, ..i });
        at
    } else {
        let Some((next, unwrap)) = unwrapped(draft, live, at, i.a) else { return };
        draft.put(at, Instr { op: Op::MapGetOr, a: unwrap.a, b, c, x: unwrap.x, y: 0 });
        draft.skip(next);
        at
    };
    for (copy, source) in args {
        if matches!(draft.at(copy).op, Op::Const) {
            continue;
        }
        draft.skip(copy);
        live.extend(source, copy, place);
    }
}

/// The copies that make the arguments of a native function, and their sources, which nothing changes meanwhile. A constant is its own source.
fn arguments(draft: &Draft, live: &Live, at: usize, i: Instr) -> Option<Vec<(usize, u16)>> {
    let mut found = Vec::new();
    let mut behind = at;
    for position in (0..i.y).rev() {
        let copy = (0..behind).rev().find(|place| draft.at(*place).op != Op::Skip)?;
        // Control comes from the copy only.
        if draft.next(copy) != Some(behind) {
            return None;
        }
        let instr = draft.at(copy);
        if instr.op == Op::Const
            && u32::from(instr.a) == u32::from(i.b) + position
            && !live.is_live_after(draft, at, instr.a)
        {
            found.push((copy, instr.a));
            behind = copy;
            continue;
        }
        let is_copy = matches!(instr.op, Op::Copy | Op::Move)
            && u32::from(instr.a) == u32::from(i.b) + position;
        // A move leaves nil behind, which somebody may read.
        let window = u32::from(i.b)..u32::from(i.b) + i.y;
        if !is_copy
            || window.contains(&instr.b.into())
            || live.is_live_after(draft, at, instr.a)
            || (instr.op == Op::Move && live.is_live_after(draft, copy, instr.b))
        {
            return None;
        }
        found.push((copy, instr.b));
        behind = copy;
    }
    found.reverse();
    Some(found)
}

/// The `unwrap_or_jump` that alone uses the result of an instruction.
fn unwrapped(draft: &Draft, live: &Live, at: usize, result: u16) -> Option<(usize, Instr)> {
    let next = draft.next(at)?;
    let unwrap = draft.at(next);
    let is_only = unwrap.op == Op::UnwrapOrJump
        && unwrap.b == result
        && (unwrap.a == result || !live.is_live_after(draft, next, result));
    // Where it jumps to, the register would hold None.
    let is_read = live.is_read_at(unwrap.x as usize, result);
    (is_only && !is_read).then_some((next, unwrap))
}

/// Methods that change an array.
fn native_mut(draft: &mut Draft, live: &Live, at: usize, i: Instr) {
    let function = Some(i.x);
    if function == NATIVES.push && !live.is_live_after(draft, at, i.a) {
        draft.put(at, Instr { op: Op::ArrayPush, a: i.b, b: i.c, c: 0, x: 0, y: 0 });
    } else if function == NATIVES.pop
        && let Some((next, unwrap)) = unwrapped(draft, live, at, i.a)
    {
        draft.put(at, Instr { op: Op::ArrayPopOr, a: unwrap.a, b: i.b, c: 0, x: unwrap.x, y: 0 });
        draft.skip(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::tune::testing::{instr, x};
    use crate::ir::tune::tune;

    /// The operations of code that ends with the return of register 0.
    fn tuned(code: &[Instr]) -> Vec<Op> {
        let code = [code, &[instr(Op::Return, 0, 0, 0)]].concat();
        tune(code).code.iter().map(|i| i.op).collect()
    }

    #[test]
    fn a_comparison_takes_over_the_jump_behind_it_and_a_constant() {
        let number = x(7, instr(Op::Int, 2, 0, 0));
        let test = |op| [number, instr(op, 3, 1, 2), x(4, instr(Op::JumpUnless, 3, 0, 0))];
        let after = |mut first: Vec<Instr>| {
            first.push(instr(Op::Nil, 0, 0, 0));
            tuned(&first)
        };
        let found = after(test(Op::LtInt).to_vec());
        assert_eq!(found, [Op::IfLtIntImm, Op::Nil, Op::Return]);
        let [_, _, jump] = test(Op::LtInt);
        let turned = vec![number, instr(Op::LtInt, 3, 2, 1), jump];
        assert_eq!(after(turned)[0], Op::IfGtIntImm);
        let negated = [instr(Op::Eq, 3, 1, 2), instr(Op::Not, 3, 3, 0), jump];
        let found =
            tune([&negated[..], &[instr(Op::Nil, 0, 0, 0), instr(Op::Return, 0, 0, 0)]].concat());
        let first = found.code[0];
        assert_eq!((first.op, first.x, first.y), (Op::IfEq, 2, 1));
        // The outcome is read again.
        let kept = [instr(Op::LtInt, 0, 1, 2), x(3, instr(Op::JumpUnless, 0, 0, 0)), number];
        assert_eq!(tuned(&kept)[..2], [Op::LtInt, Op::JumpUnless]);
    }

    #[test]
    fn constants_go_into_arithmetic_where_they_may_stand() {
        let with = |op, left: u16, right: u16, number: u32| {
            tuned(&[x(number, instr(Op::Int, 2, 0, 0)), instr(op, 0, left, right)])
        };
        assert_eq!(with(Op::SubInt, 1, 2, 5), [Op::AddIntImm, Op::Return]);
        assert_eq!(with(Op::RemInt, 1, 2, 5), [Op::RemIntImm, Op::Return]);
        assert_eq!(with(Op::RemInt, 1, 2, 0), [Op::Int, Op::RemInt, Op::Return]);
        assert_eq!(with(Op::SubInt, 2, 1, 5), [Op::Int, Op::SubInt, Op::Return]);
        assert_eq!(with(Op::MulInt, 2, 2, 5), [Op::Int, Op::MulInt, Op::Return]);
        // Less than the smallest number of an instruction.
        assert_eq!(with(Op::SubInt, 1, 2, 1 << 31), [Op::Int, Op::SubInt, Op::Return]);
        let scaled = [x(3, instr(Op::Const, 2, 0, 0)), instr(Op::MulFloat, 0, 2, 1)];
        assert_eq!(tuned(&scaled), [Op::MulFloatConst, Op::Return]);
    }

    #[test]
    fn a_product_of_floats_joins_the_sum_behind_it() {
        let with = |op, b, c| {
            let code =
                [instr(Op::MulFloat, 3, 1, 2), instr(op, 0, b, c), instr(Op::Return, 0, 0, 0)];
            tune(code.to_vec()).code[0]
        };
        let joined = |op, register| x(register, instr(op, 0, 1, 2));
        assert_eq!(with(Op::AddFloat, 3, 4), joined(Op::MulAddFloat, 4));
        assert_eq!(with(Op::AddFloat, 4, 3), joined(Op::MulAddFloat, 4));
        assert_eq!(with(Op::SubFloat, 3, 4), joined(Op::MulSubFloat, 4));
        assert_eq!(with(Op::SubFloat, 4, 3), joined(Op::SubMulFloat, 4));
        assert_eq!(with(Op::AddFloat, 3, 3).op, Op::MulFloat);
        let again = [instr(Op::MulFloat, 3, 1, 2), instr(Op::AddFloat, 0, 3, 4)];
        assert_eq!(tuned(&[&again[..], &[instr(Op::AddFloat, 0, 0, 3)]].concat())[0], Op::MulFloat);
    }

    #[test]
    fn methods_read_and_change_where_things_are() {
        let native = |name, a, b, y| {
            x(natives::find(name).unwrap(), Instr { y, ..instr(Op::Native, a, b, 0) })
        };
        let change = |name, a, b, c, y| {
            x(natives::find(name).unwrap(), Instr { y, ..instr(Op::NativeMut, a, b, c) })
        };
        let get = [
            instr(Op::Copy, 4, 1, 0),
            instr(Op::Copy, 5, 2, 0),
            native("map.get", 3, 4, 2),
            x(4, instr(Op::UnwrapOrJump, 0, 3, 0)),
        ];
        assert_eq!(tuned(&get), [Op::MapGetOr, Op::Return]);
        let has = [
            instr(Op::Copy, 4, 1, 0),
            instr(Op::Copy, 5, 2, 0),
            native("map.has", 3, 4, 2),
            x(5, instr(Op::JumpUnless, 3, 0, 0)),
            instr(Op::Nil, 0, 0, 0),
        ];
        assert_eq!(tuned(&has), [Op::IfHas, Op::Nil, Op::Return]);
        let len = [instr(Op::Copy, 4, 1, 0), native("array.len", 0, 4, 1)];
        assert_eq!(tuned(&len), [Op::Len, Op::Return]);
        // What is not copied is consumed.
        assert_eq!(tuned(&len[1..]), [Op::Native, Op::Return]);
        assert_eq!(tuned(&[change("array.push", 3, 1, 4, 1)]), [Op::ArrayPush, Op::Return]);
        let pop = [change("array.pop", 3, 1, 4, 0), x(2, instr(Op::UnwrapOrJump, 0, 3, 0))];
        assert_eq!(tuned(&pop), [Op::ArrayPopOr, Op::Return]);
    }

    #[test]
    fn what_is_joined_to_be_appended_is_appended_at_once() {
        let join = x(2, instr(Op::Concat, 3, 4, 0));
        let append = instr(Op::AppendString, 0, 3, 0);
        assert_eq!(tuned(&[join, append]), [Op::AppendParts, Op::Return]);
        assert_eq!(tuned(&[join, append, instr(Op::Copy, 0, 3, 0)])[0], Op::Concat);
    }

    #[test]
    fn constants_at_the_ends_of_what_is_joined_need_no_registers() {
        let constant = |register, number| x(number, instr(Op::Const, register, 0, 0));
        let end = instr(Op::Return, 0, 0, 0);
        let joined = |code: &[Instr]| tune([code, &[end]].concat()).code;
        let (first, last) = (constant(4, 7), constant(6, 8));
        let join = x(3, instr(Op::Concat, 0, 4, 0));
        let expected = x(1, Instr { y: 8, ..instr(Op::Concat, 0, 5, 9) });
        assert_eq!(joined(&[first, last, join]), [expected, end]);
        // The one in the middle needs its register, as does one that is read again.
        assert_eq!(joined(&[constant(5, 7), join]), [constant(5, 7), join, end]);
        let again = [first, join, x(2, instr(Op::Array, 0, 4, 0))];
        assert_eq!(joined(&again)[..2], again[..2]);
        // Two constants, of which the second is the first of what is left.
        let join = x(2, join);
        let expected = x(0, Instr { y: 8, ..instr(Op::Concat, 0, 5, 10) });
        assert_eq!(joined(&[first, constant(5, 9), join]), [expected, end]);
        // A number that has no room stays in its register.
        let late = constant(5, 1 << 16);
        assert_eq!(joined(&[late, join]), [late, join, end]);
        let append = [x(2, instr(Op::Concat, 3, 4, 0)), instr(Op::AppendString, 0, 3, 0)];
        let expected = x(1, Instr { y: 8, ..instr(Op::AppendParts, 0, 5, 0) });
        assert_eq!(joined(&[&[first], &append[..]].concat()), [expected, end]);
    }

    #[test]
    fn texts_are_tested_where_they_are() {
        for name in ["string.starts_with", "string.ends_with", "string.contains"] {
            let number = natives::find(name).unwrap();
            let test = x(number, Instr { y: 2, ..instr(Op::Native, 0, 4, 0) });
            let (text, part) = (instr(Op::Copy, 4, 1, 0), instr(Op::Copy, 5, 2, 0));
            let constant = x(7, instr(Op::Const, 5, 0, 0));
            let end = instr(Op::Return, 0, 0, 0);
            let found = tune(vec![text, part, test, end]).code;
            assert_eq!(found, [x(number, instr(Op::TextTest, 0, 1, 2)), end]);
            let found = tune(vec![text, constant, test, end]).code;
            let expected = x(number, Instr { y: 7, ..instr(Op::TextTestConst, 0, 1, 0) });
            assert_eq!(found, [expected, end]);
            // What is not copied is consumed.
            assert_eq!(tune(vec![constant, test, end]).code[1].op, Op::Native);
        }
    }
}
