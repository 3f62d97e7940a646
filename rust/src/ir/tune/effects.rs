//! What an instruction does to registers, and where control goes behind it.

use crate::ir::ops::{Instr, Kind, Op};

/// What happens to the register in an operand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The operand is no register.
    No,
    /// It is written.
    Write,
    /// It is read and keeps its value.
    Read,
    /// Its value is moved out.
    Take,
    /// It is changed in place.
    Edit,
}

/// What an instruction does to registers.
#[derive(Clone, Copy)]
pub(super) struct Effects {
    /// Of `a`, `b` and `c`.
    pub(super) roles: [Role; 3],
    /// Registers that are taken as a window: the first and how many.
    pub(super) window: (u16, u32),
    /// Whether the register behind `a` is written as well.
    pub(super) is_pair: bool,
}

/// The effects of an instruction; `None` if they are not known here: it may read every register, and does not end the life of any.
pub(super) fn effects(i: &Instr) -> Option<Effects> {
    use Op as O;
    use Role::{Edit, No, Read, Take, Write};
    let mut window = (0, 0);
    let mut is_pair = false;
    let roles = match i.op {
        O::Skip | O::Jump | O::ReturnNil | O::NoMatch => [No, No, No],
        O::Const | O::Int | O::Bool | O::Nil | O::None | O::Model => [Write, No, No],
        O::Copy
        | O::NegInt
        | O::AddIntImm
        | O::MulIntImm
        | O::DivIntImm
        | O::RemIntImm
        | O::NegFloat
        | O::AddFloatConst
        | O::MulFloatConst
        | O::IntToFloat
        | O::FloatToInt
        | O::Not
        | O::IsSome
        | O::IsOk
        | O::IsVariant
        | O::IsType
        | O::VariantField
        | O::Field
        | O::TupleField
        | O::TextTestConst
        | O::Len => [Write, Read, No],
        O::RangeBounds => {
            is_pair = true;
            [Write, Read, No]
        }
        O::Move | O::Some | O::Ok | O::Err | O::Payload | O::CheckType | O::CastType => {
            [Write, Take, No]
        }
        O::UnwrapOrJump => [Write, Take, No],
        O::AddInt
        | O::SubInt
        | O::MulInt
        | O::DivInt
        | O::RemInt
        | O::AddFloat
        | O::SubFloat
        | O::MulFloat
        | O::DivFloat
        | O::RemFloat
        | O::EqInt
        | O::LtInt
        | O::LeInt
        | O::EqFloat
        | O::LtFloat
        | O::LeFloat
        | O::Eq
        | O::Lt
        | O::Le
        | O::Range
        | O::RangeInclusive
        | O::IndexArray
        | O::IndexMap
        | O::IndexString
        | O::SliceString
        | O::SliceArray
        | O::MapGetOr
        | O::MapHas
        | O::TextTest => [Write, Read, Read],
        // Its fourth register counts as a window of one.
        O::MulAddFloat | O::MulSubFloat | O::SubMulFloat => {
            window = (u16::try_from(i.x).unwrap_or(u16::MAX), 1);
            [Write, Read, Read]
        }
        O::IfEqInt
        | O::IfLtInt
        | O::IfLeInt
        | O::IfEqFloat
        | O::IfLtFloat
        | O::IfLeFloat
        | O::IfEq
        | O::IfHas => [Read, Read, No],
        O::JumpIf
        | O::JumpUnless
        | O::Panic
        | O::IfEqIntImm
        | O::IfLtIntImm
        | O::IfLeIntImm
        | O::IfGtIntImm
        | O::IfGeIntImm
        | O::IfEqConst
        | O::IfLtFloatConst
        | O::IfGtFloatConst
        | O::IfLtFieldConst
        | O::IfGtFieldConst
        | O::IfVariant
        | O::IfSome
        | O::IfOk => [Read, No, No],
        O::Drop | O::Return | O::Fail => [Take, No, No],
        O::Concat | O::Array | O::Tuple => {
            window = (i.b, i.x);
            [Write, No, No]
        }
        O::Map => {
            window = (i.b, 2 * i.x);
            [Write, No, No]
        }
        O::Struct | O::Call | O::Closure | O::Native | O::Future => {
            window = (i.b, i.y);
            [Write, No, No]
        }
        O::Variant | O::CallTool => {
            window = (i.b, u32::from(i.c));
            [Write, No, No]
        }
        O::CallValue => {
            window = (i.c, i.x);
            [Write, Read, No]
        }
        O::NativeMut => {
            window = (i.c, i.y);
            [Write, Edit, No]
        }
        O::AppendString | O::ArrayPush => [Edit, Take, No],
        O::AppendConst | O::IntImmIntoField => [Edit, No, No],
        O::IntImmIntoElement | O::IntImmIntoEntry => [Edit, Read, No],
        O::IntIntoElement | O::FloatIntoElement | O::IntIntoEntry | O::FloatIntoEntry => {
            [Edit, Read, Read]
        }
        O::FloatIntoField | O::FieldIntoField | O::IntIntoField => [Edit, Read, No],
        O::AppendParts => {
            window = (i.b, i.x);
            [Edit, No, No]
        }
        O::ArrayPopOr => [Write, Edit, No],
        O::SetField => [Edit, Take, No],
        O::TakeField => [Write, Edit, No],
        O::SetIndexArray | O::SetIndexMap => [Edit, Read, Take],
        O::TakeIndexArray | O::TakeIndexMap => [Write, Edit, Read],
        O::RangeNext => [Write, Edit, Edit],
        O::ArrayNext => [Write, Read, Edit],
        O::MapNext => {
            is_pair = true;
            [Write, Read, Edit]
        }
        _ => return None,
    };
    Some(Effects { roles, window, is_pair })
}

impl Effects {
    /// The register that is written.
    pub(super) fn written(&self, i: &Instr) -> Option<u16> {
        (self.roles[0] == Role::Write).then_some(i.a)
    }

    /// The registers in the operands with their roles.
    pub(super) fn operands(&self, i: &Instr) -> impl Iterator<Item = (u16, Role)> {
        [i.a, i.b, i.c].into_iter().zip(self.roles).filter(|(_, role)| *role != Role::No)
    }

    /// Whether a register stands in the window.
    pub(super) fn in_window(&self, register: u16) -> bool {
        let (first, count) = self.window;
        register >= first && u32::from(register) < u32::from(first) + count
    }

    /// Whether the register is read, written, or in the window.
    pub(super) fn touches(&self, i: &Instr, register: u16) -> bool {
        self.operands(i).any(|(own, _)| own == register)
            || (self.is_pair && u32::from(i.a) + 1 == u32::from(register))
            || self.in_window(register)
    }
}

/// Whether all registers from the window on may have another value afterwards: there those of a function that is called begin.
pub(super) fn overwrites(op: Op) -> bool {
    matches!(op, Op::Call | Op::CallValue | Op::CallAny)
}

/// The highest register that an instruction names.
pub(super) fn highest(i: &Instr) -> usize {
    let Some(found) = effects(i) else {
        return usize::from(i.a.max(i.b).max(i.c)) + 1;
    };
    let (first, count) = found.window;
    let last = u32::from(first) + count;
    let operands = found.operands(i).map(|(register, _)| u32::from(register) + 1);
    operands.fold(last, u32::max) as usize
}

/// Where control goes.
#[derive(Clone, Copy)]
pub(super) enum Targets {
    /// To the next instruction.
    Next,
    /// Nowhere.
    None,
    /// To one place.
    Jump(usize),
    /// To one place, or to the next instruction.
    Maybe(usize),
    /// To one of two places.
    Both(usize, usize),
    /// To one of two places, or to the next instruction.
    MaybeBoth(usize, usize),
}

pub(super) fn targets(i: &Instr) -> Targets {
    use Op as O;
    let (x, y) = (i.x as usize, i.y as usize);
    match i.op {
        O::Jump => Targets::Jump(x),
        O::ArrayPopOr | O::MapGetOr => Targets::Maybe(x),
        O::IfEqInt
        | O::IfLtInt
        | O::IfLeInt
        | O::IfEqIntImm
        | O::IfLtIntImm
        | O::IfLeIntImm
        | O::IfGtIntImm
        | O::IfGeIntImm
        | O::IfEqFloat
        | O::IfLtFloat
        | O::IfLeFloat
        | O::IfEq
        | O::IfEqConst
        | O::IfLtFloatConst
        | O::IfGtFloatConst
        | O::IfLtFieldConst
        | O::IfGtFieldConst
        | O::IfVariant
        | O::IfSome
        | O::IfOk
        | O::IfHas
        | O::RangeNext
        | O::ArrayNext
        | O::MapNext => Targets::Both(x, y),
        O::Return | O::ReturnNil | O::Fail | O::Panic | O::NoMatch => Targets::None,
        // Operands that are no registers fill `x` and `y` in order; a test looks at the table.
        other => match other.signature().1.iter().filter(|kind| **kind == Kind::Jump).count() {
            0 => Targets::Next,
            1 => Targets::Maybe(x),
            _ => Targets::MaybeBoth(x, y),
        },
    }
}

impl Targets {
    /// The places that are jumped to.
    pub(super) fn jumps(self) -> impl Iterator<Item = usize> {
        let (x, y) = match self {
            Self::Next | Self::None => (None, None),
            Self::Jump(x) | Self::Maybe(x) => (Some(x), None),
            Self::Both(x, y) | Self::MaybeBoth(x, y) => (Some(x), Some(y)),
        };
        x.into_iter().chain(y)
    }

    pub(super) fn falls_through(self) -> bool {
        matches!(self, Self::Next | Self::Maybe(_) | Self::MaybeBoth(..))
    }
}

/// Whether going to `x` leaves the register that is written as it was.
pub(super) fn writes_unless_jumping(op: Op) -> bool {
    matches!(
        op,
        Op::RangeNext
            | Op::ArrayNext
            | Op::MapNext
            | Op::UnwrapOrJump
            | Op::ArrayPopOr
            | Op::MapGetOr
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ops::TABLE;

    #[test]
    fn places_of_jumps_are_the_first_operands_that_are_no_registers() {
        for (op, name, kinds) in TABLE {
            let others: Vec<_> = kinds.iter().filter(|kind| !kind.is_register()).collect();
            let jumps = others.iter().filter(|kind| ***kind == Kind::Jump).count();
            let leading = others.iter().take_while(|kind| ***kind == Kind::Jump).count();
            assert_eq!(jumps, leading, "{name}");
            let with_body = matches!(op, Op::RangeNext | Op::ArrayNext | Op::MapNext);
            let found = targets(&Instr { op: *op, a: 0, b: 0, c: 0, x: 7, y: 8 });
            assert_eq!(found.jumps().count(), jumps + usize::from(with_body), "{name}");
            assert_eq!(found.falls_through(), !op.is_terminator() && !with_body, "{name}");
        }
    }

    #[test]
    fn known_effects_agree_with_the_operands_of_the_table() {
        for (op, name, kinds) in TABLE {
            let i = Instr { op: *op, a: 10, b: 20, c: 30, x: 2, y: 3 };
            let Some(found) = effects(&i) else { continue };
            let mut registers = [i.a, i.b, i.c].into_iter().zip(found.roles);
            let mut others = [i.x, i.y, i.c.into()].into_iter();
            let mut window = (0, 0);
            for kind in *kinds {
                match kind {
                    Kind::Window | Kind::WindowPairs => {
                        let (first, role) = registers.next().unwrap();
                        assert!(role == Role::No, "{name}");
                        window = (first, 1 + u32::from(*kind == Kind::WindowPairs));
                    }
                    Kind::Reg | Kind::Pair => {
                        assert!(registers.next().unwrap().1 != Role::No, "{name}");
                        assert!(*kind == Kind::Reg || found.is_pair, "{name}");
                    }
                    Kind::Count => window.1 *= others.next().unwrap(),
                    _ => drop(others.next()),
                }
            }
            assert!(registers.all(|(_, role)| role == Role::No), "{name}");
            assert_eq!(found.window, window, "{name}");
        }
    }
}
