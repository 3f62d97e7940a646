//! Faster code of the same meaning. The document and its listing stay as the compiler wrote them; the oracle executes the document, so a
//! comparison of both tests what is done here.
//!
//! The steps, each a file: values go straight where they are moved to (`moves.rs`), instructions join with what surrounds them (`joins.rs`), what is put back
//! changed is taken out (`takes.rs`), fields are changed and compared where they are (`fields.rs`), jumps go where they end up (`jumps.rs`). Operations that stand in no document (`d` is `a`, the others follow):
//!
//! | Operation | Effect |
//! |---|---|
//! | `MulIntImm d r`, `DivIntImm`, `RemIntImm` | with the number `x` |
//! | `AddFloatConst d r`, `MulFloatConst` | with the constant `x` |
//! | `MulAddFloat d r s`, `MulSubFloat`, `SubMulFloat` | `r * s + t`, `r * s - t`, `t - r * s`, rounded twice, where `x` is the register `t` |
//! | `IfEqInt r r`, `IfLtInt`, `IfLeInt`, `IfEqFloat`, `IfLtFloat`, `IfLeFloat`, `IfEq` | go on at `x` if it holds, else at `y` |
//! | `IfEqIntImm r`, `IfLtIntImm`, `IfLeIntImm`, `IfGtIntImm`, `IfGeIntImm` | likewise with the wide number |
//! | `IfEqConst r`, `IfLtFloatConst`, `IfGtFloatConst` | likewise with the constant of the wide number |
//! | `IfVariant r`, `IfSome r`, `IfOk r` | likewise; the first with the wide number |
//! | `IfHas r r` | `map.has` likewise |
//! | `ArrayPush x m` | `array.push` |
//! | `ArrayPopOr d x`, `MapGetOr d r r` | `array.pop`, `map.get`: the value itself, or on at `x` without one |
//! | `MapHas d r r` | `map.has` |
//! | `TextTest d r r`, `TextTestConst d r` | `starts_with`, `ends_with` or `contains`, as the native function `x` says; with the constant `y` |
//! | `AppendConst x` | `append_string` of the constant of the wide number |
//! | `FloatIntoField x r`, `IntIntoField` | `x.f = x.f op r`, where `x` is the field and `c` the operation |
//! | `FieldIntoField x y` | `x.f = x.f op y.g`, of Floats, where `y` is the field `g` |
//! | `IntIntoElement x r s`, `FloatIntoElement`, `IntIntoEntry`, `FloatIntoEntry` | `x[r] = x[r] op s`, where `x` is the operation |
//! | `IntImmIntoElement x r`, `IntImmIntoEntry` | `x[r] = x[r] + n`, where `x` is the number |
//! | `IntImmIntoField x` | `x.f = x.f + n`, where `y` is the number |
//! | `IfLtFieldConst x`, `IfGtFieldConst` | as `IfLtFloatConst` of the field `b`, with the constant `c` |
//! | `AppendParts x w` | `append_string` of the display forms of a window, whose count is `x`; as to `concat`, the constant before `y` comes first, that before `c` last |
//!
//! `range_next`, `array_next` and `map_next` go on at `y` with a value.
//!
//! Last (`calls.rs`), what is known of other functions and of what follows comes into operations that stay where they are:
//!
//! | Operation | Effect |
//! |---|---|
//! | `CallGuarded` | `call` of a function that begins with a guard, which is tested before |
//! | `AddIntImmCallGuarded` | `add_int_imm` of the argument that is tested, and the `CallGuarded` behind it |
//! | `AddIntReturn`, `MulIntReturn` | `add_int`, `mul_int` and the `return` behind it |

mod calls;
mod draft;
mod effects;
mod fields;
mod joins;
mod jumps;
mod live;
mod moves;
mod owning;
mod takes;

use super::ops::Instr;
use draft::Draft;
use live::Live;

pub(super) use calls::calls;
pub use calls::{Guard, Outcome};
pub(super) use owning::{Facts, owning};

/// Code ready to execute.
#[derive(Debug)]
pub(super) struct Tuned {
    pub(super) code: Vec<Instr>,
    /// Of each instruction: where it stands in the document.
    pub(super) origins: Vec<u32>,
}

/// Rewrites verified code. Every register and index of the outcome stands in the code that was given.
pub(super) fn tune(code: Vec<Instr>) -> Tuned {
    let mut draft = Draft::new(code);
    jumps::thread(&mut draft);
    // Of a function that is too large for the analysis the code stays as it is written.
    if let Some(live) = Live::of(&draft) {
        moves::results(&mut draft, &live);
    }
    if let Some(mut live) = Live::of(&draft) {
        // Some copies wait for another one to fall away.
        moves::sources(&mut draft, &mut live);
        moves::sources(&mut draft, &mut live);
        moves::aliases(&mut draft, &mut live);
        joins::join(&mut draft, &mut live);
        fields::elements(&mut draft, &live);
        takes::take(&mut draft);
        fields::join(&mut draft, &live);
        fields::rename(&mut draft);
    }
    jumps::shorten(&mut draft);
    draft.finish()
}

/// How tests write instructions.
#[cfg(test)]
mod testing {
    use crate::ir::ops::{Instr, Op};

    pub(super) fn instr(op: Op, a: u16, b: u16, c: u16) -> Instr {
        Instr { op, a, b, c, x: 0, y: 0 }
    }

    pub(super) fn x(x: u32, instr: Instr) -> Instr {
        Instr { x, ..instr }
    }
}
