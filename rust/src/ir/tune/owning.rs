//! Which registers of a function may hold more than a plain value: a return has only these to let go of.
//!
//! A document whose types lie makes the answer wrong. What then stays in a register is let go of when the register is written again, or with the fiber.

use super::effects::{effects, highest};
use crate::ir::ops::{Instr, Op};

/// Copies of copies of copies are not followed further: then all that is written counts.
const MOST_PASSES: usize = 8;

/// What the rest of a program says.
pub(in crate::ir) struct Facts<'a> {
    /// How many registers the function has.
    pub(in crate::ir) registers: usize,
    /// Registers that hold more than a plain value when the function begins.
    pub(in crate::ir) first: Vec<usize>,
    /// Whether a constant is a plain value.
    pub(in crate::ir) is_plain_constant: &'a dyn Fn(u32) -> bool,
    /// Whether a function returns plain values.
    pub(in crate::ir) is_plain_result: &'a dyn Fn(u32) -> bool,
}

/// The registers in order.
pub(in crate::ir) fn owning(code: &[Instr], facts: &Facts<'_>) -> Box<[u16]> {
    let highest = code.iter().map(highest).chain(facts.first.iter().copied()).max().unwrap_or(0);
    // An instruction that is not known here counts as one that writes the register behind its first as well.
    let mut owns = vec![false; (highest + 2).min(facts.registers)];
    let mark = |owns: &mut Vec<bool>, register: usize| match owns.get_mut(register) {
        Some(mark) if !*mark => {
            *mark = true;
            true
        }
        _ => false,
    };
    for register in &facts.first {
        mark(&mut owns, *register);
    }
    for pass in 0.. {
        let mut changed = false;
        for i in code {
            let found = effects(i);
            let is_written = found.is_none_or(|found| found.written(i).is_some());
            let copies = matches!(i.op, Op::Copy | Op::Move) && pass < MOST_PASSES;
            let is_owner = match i.op {
                _ if copies => owns.get(usize::from(i.b)).copied().unwrap_or(false),
                Op::Const => !(facts.is_plain_constant)(i.x),
                Op::Call => !(facts.is_plain_result)(i.x),
                other => !makes_plain(other),
            };
            if is_written && is_owner {
                changed |= mark(&mut owns, i.a.into());
                if found.is_none_or(|found| found.is_pair) {
                    changed |= mark(&mut owns, usize::from(i.a) + 1);
                }
            }
        }
        if !changed {
            break;
        }
    }
    let marked = owns.iter().zip(0_u16..).filter(|(owns, _)| **owns);
    marked.map(|(_, register)| register).collect()
}

/// Whether what an instruction writes is always a number, a truth value, nil or None.
fn makes_plain(op: Op) -> bool {
    matches!(
        op,
        Op::Int
            | Op::Bool
            | Op::Nil
            | Op::None
            | Op::AddInt
            | Op::SubInt
            | Op::MulInt
            | Op::DivInt
            | Op::RemInt
            | Op::NegInt
            | Op::AddIntImm
            | Op::MulIntImm
            | Op::DivIntImm
            | Op::RemIntImm
            | Op::AddFloat
            | Op::SubFloat
            | Op::MulFloat
            | Op::DivFloat
            | Op::RemFloat
            | Op::NegFloat
            | Op::AddFloatConst
            | Op::MulFloatConst
            | Op::MulAddFloat
            | Op::MulSubFloat
            | Op::SubMulFloat
            | Op::IntToFloat
            | Op::FloatToInt
            | Op::EqInt
            | Op::LtInt
            | Op::LeInt
            | Op::EqFloat
            | Op::LtFloat
            | Op::LeFloat
            | Op::Eq
            | Op::Lt
            | Op::Le
            | Op::Not
            | Op::IsSome
            | Op::IsOk
            | Op::IsVariant
            | Op::IsType
            | Op::Len
            | Op::MapHas
            | Op::TextTest
            | Op::TextTestConst
            | Op::RangeNext
            | Op::RangeBounds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_numbers_need_no_letting_go() {
        let instr = |op, a, b, x| Instr { op, a, b, c: 0, x, y: 0 };
        let code = [
            instr(Op::AddIntImm, 2, 0, 1),
            instr(Op::Copy, 3, 2, 0),
            instr(Op::Copy, 5, 4, 0),
            instr(Op::Copy, 4, 1, 0),
            instr(Op::Const, 6, 0, 7),
            instr(Op::Call, 7, 8, 9),
            instr(Op::Return, 3, 0, 0),
        ];
        let facts = |first: &[usize], plain| {
            let is_plain: &dyn Fn(u32) -> bool = if plain { &|_| true } else { &|_| false };
            let facts = Facts {
                registers: 9,
                first: first.to_vec(),
                is_plain_constant: is_plain,
                is_plain_result: is_plain,
            };
            owning(&code, &facts)
        };
        assert!(facts(&[], true).is_empty());
        assert_eq!(*facts(&[1], true), [1, 4, 5]);
        assert_eq!(*facts(&[], false), [6, 7]);
    }
}
