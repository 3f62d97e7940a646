//! Shorter ways through verified code. The document and its listing stay as the compiler wrote them, and every index keeps its meaning.

use super::ops::{Instr, Op};

/// Joins pairs of instructions that the step loop can do in one step.
///
/// A comparison whose outcome the next instruction tests gets that jump's target in `x`, and the place behind it in `y`, which is never 0. A jump to such a
/// comparison, as at the end of a loop, or to a return, is what it aims at. Nothing is removed, so other jumps still meet what they aim at.
pub fn fuse(code: &mut [Instr]) {
    comparisons(code);
    jumps(code);
}

fn comparisons(code: &mut [Instr]) {
    for index in 0..code.len() {
        let jump = code.get(index + 1).copied().filter(|next| next.op == Op::JumpUnless);
        let (Some(here), Some(jump)) = (code.get_mut(index), jump) else { continue };
        let is_comparison = matches!(here.op, Op::EqInt | Op::LtInt | Op::LeInt);
        if let Ok(behind) = u32::try_from(index + 2)
            && is_comparison
            && jump.a == here.a
        {
            *here = Instr { x: jump.x, y: behind, ..*here };
        }
    }
}

fn jumps(code: &mut [Instr]) {
    for index in 0..code.len() {
        let Some(here) = code.get(index).filter(|here| here.op == Op::Jump) else { continue };
        let Some(target) = code.get(here.x as usize).copied() else { continue };
        let is_end = matches!(target.op, Op::Return | Op::ReturnNil);
        let is_test = matches!(target.op, Op::EqInt | Op::LtInt | Op::LeInt) && target.y != 0;
        if let Some(slot) = code.get_mut(index)
            && (is_end || is_test)
        {
            *slot = target;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instr(op: Op, a: u16, x: u32) -> Instr {
        Instr { op, a, b: 0, c: 0, x, y: 0 }
    }

    #[test]
    fn a_comparison_takes_over_the_jump_that_tests_it() {
        let jump = instr(Op::JumpUnless, 3, 7);
        let mut code = [instr(Op::LtInt, 3, 0), jump, instr(Op::LtInt, 4, 0), jump];
        fuse(&mut code);
        assert_eq!((code[0].x, code[0].y), (7, 2));
        assert_eq!(code[1], jump);
        assert_eq!((code[2].x, code[2].y), (0, 0), "the jump tests another register");
    }

    #[test]
    fn a_loop_ends_with_its_test() {
        let (test, leave) = (instr(Op::LeInt, 3, 0), instr(Op::JumpUnless, 3, 7));
        let mut code = [test, leave, instr(Op::Jump, 0, 0), instr(Op::Jump, 0, 1)];
        fuse(&mut code);
        assert_eq!(code[2], Instr { x: 7, y: 2, ..test });
        assert_eq!(code[3].op, Op::Jump);
    }

    #[test]
    fn a_jump_to_a_return_returns() {
        let end = instr(Op::Return, 5, 0);
        let mut code = [instr(Op::Jump, 0, 2), instr(Op::Jump, 0, 1), end];
        fuse(&mut code);
        assert_eq!(code[0], end);
        assert_eq!(code[1].op, Op::Jump);
    }
}
