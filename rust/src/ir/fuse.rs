//! Shorter ways through verified code. The document and its listing stay as the compiler wrote them, and every index keeps its meaning.

use super::ops::{Instr, Op};

/// Joins pairs of instructions that the step loop can do in one step.
///
/// A comparison whose outcome the next instruction tests gets that jump's target in `x`, and 1 in `y`; a jump to a return is that return.
/// Nothing is removed, so other jumps still meet what they aim at.
pub fn fuse(code: &mut [Instr]) {
    for index in 0..code.len() {
        let Some(here) = code.get(index).copied() else { continue };
        let better = match here.op {
            Op::EqInt | Op::LtInt | Op::LeInt => match code.get(index + 1) {
                Some(next) if next.op == Op::JumpUnless && next.a == here.a => {
                    Instr { x: next.x, y: 1, ..here }
                }
                _ => continue,
            },
            Op::Jump => match code.get(here.x as usize) {
                Some(target) if matches!(target.op, Op::Return | Op::ReturnNil) => *target,
                _ => continue,
            },
            _ => continue,
        };
        if let Some(slot) = code.get_mut(index) {
            *slot = better;
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
        assert_eq!((code[0].x, code[0].y), (7, 1));
        assert_eq!(code[1], jump);
        assert_eq!((code[2].x, code[2].y), (0, 0), "the jump tests another register");
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
