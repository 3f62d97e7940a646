//! Fields are changed and compared where they are: `x.f += y` is one instruction instead of four, `x.f < 1.0` one instead of two.
//!
//! So it is with elements of arrays and entries of maps. What the compiler writes for an assignment fits all operators. Nobody sees the place meanwhile.

use super::draft::Draft;
use super::effects::{effects, overwrites};
use super::live::Live;
use crate::ir::ops::{Instr, Op};

pub(super) fn join(draft: &mut Draft, live: &Live) {
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        if !matches!(i.op, Op::Field | Op::TakeField) || i.a == i.b {
            continue;
        }
        if !change(draft, live, at, i) && i.op == Op::Field {
            compare(draft, live, at, i);
        }
    }
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        if i.op == Op::Field {
            source(draft, live, at, i);
        }
    }
}

/// A field that is read, changed and written. The place is that of the computation, which alone may panic.
fn change(draft: &mut Draft, live: &Live, at: usize, i: Instr) -> bool {
    let Some(next) = draft.next(at) else { return false };
    let computed = draft.at(next);
    let Some(changed) = changing(computed, i) else { return false };
    let Some(behind) = draft.next(next) else { return false };
    let written = draft.at(behind);
    let is_put_back = written.op == Op::SetField
        && (written.a, written.x, written.b) == (i.b, i.x, computed.a)
        && computed.a != i.b;
    let is_read = |register| live.is_live_after(draft, behind, register);
    if !is_put_back || is_read(computed.a) || (computed.a != i.a && is_read(i.a)) {
        return false;
    }
    draft.put(next, changed);
    draft.skip(at);
    draft.skip(behind);
    true
}

/// The instruction that computes with a field where it is.
fn changing(computed: Instr, field: Instr) -> Option<Instr> {
    let new = |op, b| Instr { op, a: field.b, b, c: computed.op as u16, x: field.x, y: 0 };
    Some(match computation(computed, field.a)? {
        Computation::Int(other) => new(Op::IntIntoField, other),
        Computation::Float(other) => new(Op::FloatIntoField, other),
        Computation::Number => Instr { c: 0, y: computed.x, ..new(Op::IntImmIntoField, 0) },
    })
}

/// An element or an entry that is taken out, changed and put back. Taking may panic as well: the compiler takes only what is on the left of an assignment,
/// which begins at the same place. So what `takes.rs` makes is not for here.
pub(super) fn elements(draft: &mut Draft, live: &Live) {
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        let is_entry = i.op == Op::TakeIndexMap;
        if !(is_entry || i.op == Op::TakeIndexArray) || i.a == i.b || i.a == i.c {
            continue;
        }
        let Some(next) = draft.next(at) else { continue };
        let Some(behind) = draft.next(next) else { continue };
        let (computed, written) = (draft.at(next), draft.at(behind));
        let put = if is_entry { Op::SetIndexMap } else { Op::SetIndexArray };
        let is_put_back = written.op == put
            && (written.a, written.b, written.c) == (i.b, i.c, computed.a)
            && computed.a != i.b
            && computed.a != i.c;
        let is_read = |register| live.is_live_after(draft, behind, register);
        if !is_put_back || is_read(computed.a) || (computed.a != i.a && is_read(i.a)) {
            continue;
        }
        let new = |op, c, x| Instr { op, a: i.b, b: i.c, c, x, y: 0 };
        let (operation, found) = (computed.op as u32, computation(computed, i.a));
        let changed = match (found, is_entry) {
            (None, _) => continue,
            (Some(Computation::Int(other)), true) => new(Op::IntIntoEntry, other, operation),
            (Some(Computation::Int(other)), false) => new(Op::IntIntoElement, other, operation),
            (Some(Computation::Float(other)), true) => new(Op::FloatIntoEntry, other, operation),
            (Some(Computation::Float(other)), false) => new(Op::FloatIntoElement, other, operation),
            (Some(Computation::Number), true) => new(Op::IntImmIntoEntry, 0, computed.x),
            (Some(Computation::Number), false) => new(Op::IntImmIntoElement, 0, computed.x),
        };
        draft.put(next, changed);
        draft.skip(at);
        draft.skip(behind);
    }
}

/// What is computed with a register on the left.
enum Computation {
    /// Of Ints, with the register.
    Int(u16),
    /// Of Floats, with the register.
    Float(u16),
    /// The sum with the number in the instruction.
    Number,
}

fn computation(computed: Instr, own: u16) -> Option<Computation> {
    let (left, right) = (computed.b, computed.c);
    let (kind, commutes): (fn(u16) -> Computation, _) = match computed.op {
        Op::AddIntImm if left == own => return Some(Computation::Number),
        Op::AddFloat | Op::MulFloat => (Computation::Float, true),
        Op::SubFloat | Op::DivFloat => (Computation::Float, false),
        Op::AddInt | Op::MulInt => (Computation::Int, true),
        Op::SubInt => (Computation::Int, false),
        _ => return None,
    };
    if left == right {
        None
    } else if left == own {
        Some(kind(right))
    } else if right == own && commutes {
        Some(kind(left))
    } else {
        None
    }
}

/// A field that is only compared with a constant.
fn compare(draft: &mut Draft, live: &Live, at: usize, i: Instr) {
    let Some(next) = draft.next(at) else { return };
    let test = draft.at(next);
    let op = match test.op {
        Op::IfLtFloatConst => Op::IfLtFieldConst,
        Op::IfGtFloatConst => Op::IfGtFieldConst,
        _ => return,
    };
    let (Ok(field), Ok(constant)) = (u16::try_from(i.x), u16::try_from(test.wide())) else {
        return;
    };
    if test.a == i.a && !live.is_live_after(draft, next, i.a) {
        draft.put(next, Instr { op, a: i.b, b: field, c: constant, ..test });
        draft.skip(at);
    }
}

/// A field that is only read to change another one.
fn source(draft: &mut Draft, live: &Live, at: usize, i: Instr) {
    let Some(next) = draft.next(at) else { return };
    let change = draft.at(next);
    let is_source = change.op == Op::FloatIntoField && change.b == i.a && change.a != i.a;
    if is_source && !live.is_live_after(draft, next, i.a) {
        draft.put(next, Instr { op: Op::FieldIntoField, b: i.b, y: i.x, ..change });
        draft.skip(at);
    }
}

/// `let mut y = x`, of which only `y` is used: what the function begins with stays where it is.
pub(super) fn rename(draft: &mut Draft) {
    let is_move = |i: &Instr| i.op == Op::Move && i.a != i.b;
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        // Code before it has other names, and must be over.
        if !matches!(i.op, Op::Move | Op::Skip) || draft.is_target.get(at) == Some(&true) {
            return;
        }
        let others = || draft.code.iter().enumerate().filter(|(place, _)| *place != at);
        let is_alone = others().all(|(place, other)| {
            let Some(found) = effects(other) else { return false };
            let is_lost = overwrites(other.op) && i.b >= found.window.0;
            let is_free = |register| !found.touches(other, register) && !is_lost;
            let stands_alone = !(found.in_window(i.a) || found.is_pair && other.a + 1 == i.a);
            is_free(i.b)
                && (if place < at { is_free(i.a) } else { stands_alone })
                && !(found.is_pair && other.a == i.a)
        });
        if !is_move(&i) || !is_alone {
            continue;
        }
        draft.skip(at);
        for other in &mut draft.code {
            let Some(found) = effects(other) else { continue };
            let [a, b, c] = found.roles.map(|role| role != super::effects::Role::No);
            for (register, is_register) in [(&mut other.a, a), (&mut other.b, b), (&mut other.c, c)]
            {
                if is_register && *register == i.a {
                    *register = i.b;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::tune::testing::{instr, x};
    use crate::ir::tune::tune;

    /// Code that ends with the return of register 1.
    fn tuned(code: &[Instr]) -> Vec<Instr> {
        tune([code, &[instr(Op::Return, 1, 0, 0)]].concat()).code
    }

    /// `field 5 of register 1 = computed`, where register 3 is the field.
    fn changed(computed: Instr) -> Vec<Instr> {
        let written = x(5, instr(Op::SetField, 1, computed.a, 0));
        tuned(&[x(5, instr(Op::TakeField, 3, 1, 0)), computed, written])
    }

    #[test]
    fn a_field_is_changed_where_it_is() {
        let with = |op, left, right| changed(instr(op, 3, left, right))[0];
        let expected = |op, computed: Op| x(5, instr(op, 1, 2, computed as u16));
        for (op, joined) in [
            (Op::AddFloat, Op::FloatIntoField),
            (Op::MulFloat, Op::FloatIntoField),
            (Op::AddInt, Op::IntIntoField),
            (Op::MulInt, Op::IntIntoField),
        ] {
            assert_eq!(with(op, 3, 2), expected(joined, op));
            assert_eq!(with(op, 2, 3), expected(joined, op));
        }
        for (op, joined) in [
            (Op::SubFloat, Op::FloatIntoField),
            (Op::DivFloat, Op::FloatIntoField),
            (Op::SubInt, Op::IntIntoField),
        ] {
            assert_eq!(with(op, 3, 2), expected(joined, op));
            assert_eq!(with(op, 2, 3).op, Op::TakeField);
        }
        // A division of Ints has two ways to fail; both sides are the field.
        assert_eq!(with(Op::DivInt, 3, 2).op, Op::TakeField);
        assert_eq!(with(Op::AddInt, 3, 3).op, Op::TakeField);
        let counted = changed(x(7, instr(Op::AddIntImm, 3, 3, 0)));
        assert_eq!(counted[0], Instr { y: 7, ..x(5, instr(Op::IntImmIntoField, 1, 0, 0)) });
    }

    #[test]
    fn elements_and_entries_are_changed_where_they_are() {
        for (take, put, of_ints, of_floats, of_number) in [
            (
                Op::TakeIndexArray,
                Op::SetIndexArray,
                Op::IntIntoElement,
                Op::FloatIntoElement,
                Op::IntImmIntoElement,
            ),
            (
                Op::TakeIndexMap,
                Op::SetIndexMap,
                Op::IntIntoEntry,
                Op::FloatIntoEntry,
                Op::IntImmIntoEntry,
            ),
        ] {
            let changed = |computed: Instr, key| {
                tuned(&[instr(take, 3, 1, 2), computed, instr(put, 1, key, computed.a)])[0]
            };
            for (op, joined) in [(Op::SubInt, of_ints), (Op::DivFloat, of_floats)] {
                let expected = x(op as u32, instr(joined, 1, 2, 4));
                assert_eq!(changed(instr(op, 3, 3, 4), 2), expected);
                assert_eq!(changed(instr(op, 3, 4, 3), 2).op, take);
                // Another key.
                assert_eq!(changed(instr(op, 3, 3, 4), 5).op, take);
            }
            let counted = changed(x(7, instr(Op::AddIntImm, 3, 3, 0)), 2);
            assert_eq!(counted, x(7, instr(of_number, 1, 2, 0)));
            // It is read again.
            let sum = instr(Op::AddInt, 3, 3, 4);
            let code = [instr(take, 3, 1, 2), sum, instr(put, 1, 2, 3)];
            let again = x(1, instr(Op::Array, 1, 3, 0));
            assert_eq!(tuned(&[&code[..], &[again]].concat())[0].op, take);
        }
        // What the compiler did not write as one assignment may fail in two places.
        let sum = instr(Op::AddInt, 3, 3, 4);
        let code = [instr(Op::IndexArray, 3, 1, 2), sum, instr(Op::SetIndexArray, 1, 2, 3)];
        assert_eq!(tuned(&code)[0].op, Op::TakeIndexArray);
    }

    #[test]
    fn what_is_read_again_or_elsewhere_stays() {
        let read = x(5, instr(Op::TakeField, 3, 1, 0));
        let sum = instr(Op::AddFloat, 4, 3, 2);
        let written = x(5, instr(Op::SetField, 1, 4, 0));
        assert_eq!(tuned(&[read, sum, written])[0].op, Op::FloatIntoField);
        for register in [3, 4] {
            let again = instr(Op::Array, 1, register, 0);
            let code = tuned(&[read, sum, written, x(1, again)]);
            assert_eq!(code[0].op, Op::TakeField, "{register}");
        }
        // Another field, or the same one of another struct.
        let other = |set| tuned(&[read, sum, set])[0].op;
        assert_eq!(other(x(6, written)), Op::TakeField);
        assert_eq!(other(Instr { a: 0, ..written }), Op::TakeField);
    }

    #[test]
    fn a_field_changes_another_one() {
        let code = [
            x(2, instr(Op::Field, 4, 0, 0)),
            x(5, instr(Op::TakeField, 3, 1, 0)),
            instr(Op::SubFloat, 3, 3, 4),
            x(5, instr(Op::SetField, 1, 3, 0)),
        ];
        let joined = Instr { y: 2, ..x(5, instr(Op::FieldIntoField, 1, 0, Op::SubFloat as u16)) };
        assert_eq!(tuned(&code)[0], joined);
        let kept = [&code[..], &[x(1, instr(Op::Array, 1, 4, 0))]].concat();
        assert_eq!(tuned(&kept)[0].op, Op::Field);
    }

    #[test]
    fn a_field_is_compared_where_it_is() {
        let test = |left, right| {
            let code = [
                x(2, instr(Op::Field, 3, 1, 0)),
                x(9, instr(Op::Const, 4, 0, 0)),
                instr(Op::LtFloat, 5, left, right),
                x(5, instr(Op::JumpUnless, 5, 0, 0)),
                instr(Op::Nil, 1, 0, 0),
            ];
            tuned(&code)[0]
        };
        assert_eq!(test(3, 4), Instr { y: 2, ..x(1, instr(Op::IfLtFieldConst, 1, 2, 9)) });
        assert_eq!(test(4, 3), Instr { y: 2, ..x(1, instr(Op::IfGtFieldConst, 1, 2, 9)) });
        // A field or a constant with a number that has no room.
        for (field, constant) in [(1 << 16, 9), (2, 1 << 16)] {
            let code = [
                x(field, instr(Op::Field, 3, 1, 0)),
                x(constant, instr(Op::Const, 4, 0, 0)),
                instr(Op::LtFloat, 5, 3, 4),
                x(5, instr(Op::JumpUnless, 5, 0, 0)),
                instr(Op::Nil, 1, 0, 0),
            ];
            assert_eq!(tuned(&code)[1].op, Op::IfLtFloatConst);
        }
    }

    #[test]
    fn a_parameter_that_is_moved_stays_where_it_is() {
        let moved = instr(Op::Move, 2, 0, 0);
        let set = |whole| x(5, instr(Op::SetField, whole, 3, 0));
        let code = |between: Instr| {
            let end = [set(2), set(2), instr(Op::Return, 2, 0, 0)];
            tune([&[moved, between][..], &end].concat()).code
        };
        let int = instr(Op::Int, 3, 0, 0);
        assert_eq!(code(int), [int, set(0), set(0), instr(Op::Return, 0, 0, 0)]);
        // The register is one of a window, or the source is used again, or control comes back.
        assert_eq!(code(x(3, instr(Op::Array, 3, 1, 0)))[0].op, Op::Move);
        assert_eq!(code(instr(Op::Copy, 3, 0, 0))[0].op, Op::Move);
        assert_eq!(code(instr(Op::Call, 3, 0, 0))[0].op, Op::Move);
        assert_eq!(code(x(0, instr(Op::JumpIf, 3, 0, 0)))[0].op, Op::Move);
    }
}
