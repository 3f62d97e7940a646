//! `xs[i] = f(xs[i])` and `x.f = f(x.f)`: what is put back changed is taken out, so that it has one owner while it changes.
//!
//! Nothing sees the gap: the whole is not touched meanwhile, and what may fail in between ends the run.

use super::draft::Draft;
use super::effects::{Role, Targets, effects, targets};
use crate::ir::ops::{Instr, Op};

/// How many instructions may stand between reading and writing.
const FAR: usize = 16;

pub(super) fn take(draft: &mut Draft) {
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        let op = match i.op {
            Op::IndexArray => Op::TakeIndexArray,
            Op::Field => Op::TakeField,
            _ => continue,
        };
        if i.a != i.b && is_put_back(draft, at, i) {
            draft.put(at, Instr { op, ..i });
        }
    }
}

/// Whether the same part of the same whole is written, and neither the whole nor the index is touched before.
fn is_put_back(draft: &Draft, at: usize, read: Instr) -> bool {
    let mut here = at;
    for _ in 0..FAR {
        let Some(next) = draft.next(here) else { return false };
        here = next;
        let user = draft.at(here);
        let puts_back = match (read.op, user.op) {
            (Op::IndexArray, Op::SetIndexArray) => user.a == read.b && user.b == read.c,
            (Op::Field, Op::SetField) => user.a == read.b && user.x == read.x,
            _ => false,
        };
        if puts_back {
            return true;
        }
        let Some(found) = effects(&user) else { return false };
        let is_index = read.op == Op::IndexArray;
        let changes_index = is_index
            && (found.in_window(read.c)
                || found.operands(&user).any(|(r, role)| r == read.c && role != Role::Read));
        if found.is_pair
            || found.touches(&user, read.b)
            || changes_index
            || !matches!(targets(&user), Targets::Next)
        {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::tune::testing::instr;
    use crate::ir::tune::tune;

    fn first(between: &[Instr]) -> Op {
        let read = instr(Op::IndexArray, 4, 1, 2);
        let call = Instr { op: Op::Call, a: 3, b: 4, c: 0, x: 0, y: 1 };
        let end = [call, instr(Op::SetIndexArray, 1, 2, 3), instr(Op::Return, 1, 0, 0)];
        tune([&[read], between, &end].concat()).code[0].op
    }

    #[test]
    fn an_element_that_is_put_back_is_taken_out() {
        assert_eq!(first(&[]), Op::TakeIndexArray);
        // The whole, or the index, is touched meanwhile.
        assert_eq!(first(&[instr(Op::Len, 5, 1, 0)]), Op::IndexArray);
        assert_eq!(first(&[Instr { x: 1, ..instr(Op::AddIntImm, 2, 2, 0) }]), Op::IndexArray);
    }
}
