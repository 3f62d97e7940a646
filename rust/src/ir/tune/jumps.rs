//! Jumps go where they end up, and a loop ends with the test that it begins with.

use super::draft::Draft;
use super::effects::{Targets, targets};
use crate::ir::ops::Op;

/// More jumps in a row are not followed: they may run in a circle.
const MOST: usize = 8;

/// Conditional jumps to a test of the same register skip it, as in the middle of `a || b`; jumps to a return return.
pub(super) fn thread(draft: &mut Draft) {
    for at in 0..draft.code.len() {
        let mut i = draft.at(at);
        let to = draft.at(end_of(draft, at) as usize);
        if i.op == Op::Jump && matches!(to.op, Op::Return | Op::ReturnNil) {
            draft.put(at, to);
            continue;
        }
        if !matches!(i.op, Op::JumpIf | Op::JumpUnless) {
            continue;
        }
        for _ in 0..MOST {
            let to = draft.at(i.x as usize);
            i.x = match to.op {
                Op::Jump => to.x,
                Op::JumpIf | Op::JumpUnless if to.a == i.a && to.op == i.op => to.x,
                Op::JumpIf | Op::JumpUnless if to.a == i.a => i.x + 1,
                _ => break,
            };
        }
        draft.put(at, i);
    }
    draft.find_targets();
}

/// Jumps to jumps go further at once; a jump to a test is the test itself.
pub(super) fn shorten(draft: &mut Draft) {
    for at in 0..draft.code.len() {
        let mut i = draft.at(at);
        match targets(&i) {
            Targets::Next | Targets::None => continue,
            Targets::Jump(x) | Targets::Maybe(x) => i.x = end_of(draft, x),
            Targets::Both(x, y) | Targets::MaybeBoth(x, y) => {
                (i.x, i.y) = (end_of(draft, x), end_of(draft, y));
            }
        }
        if i.op == Op::Jump {
            let to = draft.at(i.x as usize);
            if matches!(targets(&to), Targets::Both(..)) {
                i = to;
            } else if i.x as usize == end_of(draft, at + 1) as usize {
                i.op = Op::Skip;
            }
        }
        draft.put(at, i);
    }
}

/// Where control is in the end that comes to a place.
fn end_of(draft: &Draft, place: usize) -> u32 {
    let mut place = place;
    for _ in 0..MOST {
        while draft.at(place).op == Op::Skip && place + 1 < draft.code.len() {
            place += 1;
        }
        let i = draft.at(place);
        if i.op != Op::Jump {
            break;
        }
        place = i.x as usize;
    }
    // Places of verified code fit.
    u32::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::ir::ops::{Instr, Op};
    use crate::ir::tune::tune;

    fn instr(op: Op, a: u16, x: u32) -> Instr {
        Instr { op, a, b: 0, c: 0, x, y: 0 }
    }

    fn ops(code: &[Instr]) -> Vec<Op> {
        tune(code.to_vec()).code.iter().map(|i| i.op).collect()
    }

    #[test]
    fn a_loop_ends_with_its_test() {
        let test = Instr { op: Op::LeInt, a: 3, b: 1, c: 2, x: 0, y: 0 };
        let step = Instr { op: Op::AddIntImm, a: 1, b: 1, c: 0, x: 1, y: 0 };
        let leave = instr(Op::JumpUnless, 3, 4);
        let found = tune(vec![test, leave, step, instr(Op::Jump, 0, 0), instr(Op::Return, 1, 0)]);
        assert_eq!(
            found.code.iter().map(|i| (i.op, i.x, i.y)).collect::<Vec<_>>(),
            [(Op::IfLeInt, 1, 3), (Op::AddIntImm, 1, 0), (Op::IfLeInt, 1, 3), (Op::Return, 0, 0)]
        );
        assert_eq!(found.origins, [0, 2, 3, 4]);
    }

    #[test]
    fn a_jump_to_a_return_returns() {
        let to_end = [instr(Op::JumpIf, 5, 2), instr(Op::Jump, 0, 3), instr(Op::Nil, 5, 0)];
        assert_eq!(
            ops(&[&to_end[..], &[instr(Op::Return, 5, 0)]].concat()),
            [Op::JumpIf, Op::Return, Op::Nil, Op::Return]
        );
    }

    #[test]
    fn jumps_in_a_circle_stay() {
        assert_eq!(ops(&[instr(Op::Jump, 0, 1), instr(Op::Jump, 0, 0)]).last(), Some(&Op::Jump));
    }
}
