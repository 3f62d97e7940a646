//! The instruction set: one table that decoding, verification, listing and the compiler's twin are held to.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A register.
    Reg,
    /// Two registers, of which the first is named.
    Pair,
    /// The first register of a window; the count follows.
    Window,
    /// The first register of a window of twice the count that follows.
    WindowPairs,
    /// How many registers the window has.
    Count,
    /// An index into the constants.
    Const,
    /// A number written in place.
    Imm,
    /// An index into the code.
    Jump,
    /// An index into the types.
    Type,
    /// An index into the functions.
    Function,
    /// An index into the models.
    Model,
    /// An index into the schemas.
    Schema,
    /// An index into the tools.
    Tool,
    /// The name of a native function.
    Native,
    /// The name of a request to the world.
    Effect,
}

impl Kind {
    /// Whether the operand names a register.
    #[must_use]
    pub fn is_register(self) -> bool {
        matches!(self, Self::Reg | Self::Pair | Self::Window | Self::WindowPairs)
    }
}

macro_rules! instructions {
    (tuned { $($tuned:ident)* } $($variant:ident $name:literal [$($kind:ident)*];)*) => {
        /// An operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "docs/ir.md describes each")]
        pub enum Op { $($variant,)* $($tuned),* }

        /// Operation, name and operands of each instruction.
        pub static TABLE: &[(Op, &str, &[Kind])] =
            &[$((Op::$variant, $name, &[$(Kind::$kind),*])),*];
    };
}

instructions! {
    // What `tune` makes of those below; no document holds them, `tune/mod.rs` describes them.
    tuned {
        Skip
        MulIntImm DivIntImm RemIntImm
        IfEqInt IfLtInt IfLeInt
        IfEqIntImm IfLtIntImm IfLeIntImm IfGtIntImm IfGeIntImm
        AddFloatConst MulFloatConst MulAddFloat MulSubFloat SubMulFloat
        IfEqFloat IfLtFloat IfLeFloat IfLtFloatConst IfGtFloatConst
        IfEq IfEqConst IfVariant IfSome IfOk IfHas
        ArrayPush ArrayPopOr MapGetOr MapHas AppendConst AppendParts
        CallGuarded AddIntImmCallGuarded AddIntReturn MulIntReturn
        IntIntoElement FloatIntoElement IntImmIntoElement IntIntoEntry FloatIntoEntry IntImmIntoEntry
        TextTest TextTestConst
        FloatIntoField FieldIntoField IntIntoField IntImmIntoField IfLtFieldConst IfGtFieldConst
    }

    Const "const" [Reg Const];
    Int "int" [Reg Imm];
    Bool "bool" [Reg Imm];
    Nil "nil" [Reg];
    Copy "copy" [Reg Reg];
    Move "move" [Reg Reg];
    Drop "drop" [Reg];
    AddInt "add_int" [Reg Reg Reg];
    SubInt "sub_int" [Reg Reg Reg];
    MulInt "mul_int" [Reg Reg Reg];
    DivInt "div_int" [Reg Reg Reg];
    RemInt "rem_int" [Reg Reg Reg];
    NegInt "neg_int" [Reg Reg];
    AddIntImm "add_int_imm" [Reg Reg Imm];
    AddFloat "add_float" [Reg Reg Reg];
    SubFloat "sub_float" [Reg Reg Reg];
    MulFloat "mul_float" [Reg Reg Reg];
    DivFloat "div_float" [Reg Reg Reg];
    RemFloat "rem_float" [Reg Reg Reg];
    NegFloat "neg_float" [Reg Reg];
    IntToFloat "int_to_float" [Reg Reg];
    FloatToInt "float_to_int" [Reg Reg];
    EqInt "eq_int" [Reg Reg Reg];
    LtInt "lt_int" [Reg Reg Reg];
    LeInt "le_int" [Reg Reg Reg];
    EqFloat "eq_float" [Reg Reg Reg];
    LtFloat "lt_float" [Reg Reg Reg];
    LeFloat "le_float" [Reg Reg Reg];
    Eq "eq" [Reg Reg Reg];
    Lt "lt" [Reg Reg Reg];
    Le "le" [Reg Reg Reg];
    Not "not" [Reg Reg];
    Jump "jump" [Jump];
    JumpIf "jump_if" [Reg Jump];
    JumpUnless "jump_unless" [Reg Jump];
    Concat "concat" [Reg Window Count];
    AppendString "append_string" [Reg Reg];
    Array "array" [Reg Window Count];
    Tuple "tuple" [Reg Window Count];
    Map "map" [Reg WindowPairs Count];
    Struct "struct" [Reg Type Window Count];
    Variant "variant" [Reg Type Imm Window Count];
    Range "range" [Reg Reg Reg];
    RangeInclusive "range_inclusive" [Reg Reg Reg];
    Some "some" [Reg Reg];
    None "none" [Reg];
    Ok "ok" [Reg Reg];
    Err "err" [Reg Reg];
    IsSome "is_some" [Reg Reg];
    IsOk "is_ok" [Reg Reg];
    IsVariant "is_variant" [Reg Reg Imm];
    Payload "payload" [Reg Reg];
    VariantField "variant_field" [Reg Reg Imm];
    UnwrapOrJump "unwrap_or_jump" [Reg Reg Jump];
    Field "field" [Reg Reg Imm];
    SetField "set_field" [Reg Imm Reg];
    TakeField "take_field" [Reg Reg Imm];
    TupleField "tuple_field" [Reg Reg Imm];
    IndexArray "index_array" [Reg Reg Reg];
    SetIndexArray "set_index_array" [Reg Reg Reg];
    TakeIndexArray "take_index_array" [Reg Reg Reg];
    IndexMap "index_map" [Reg Reg Reg];
    SetIndexMap "set_index_map" [Reg Reg Reg];
    TakeIndexMap "take_index_map" [Reg Reg Reg];
    IndexString "index_string" [Reg Reg Reg];
    SliceString "slice_string" [Reg Reg Reg];
    SliceArray "slice_array" [Reg Reg Reg];
    Len "len" [Reg Reg];
    RangeBounds "range_bounds" [Pair Reg];
    RangeNext "range_next" [Reg Reg Reg Jump];
    ArrayNext "array_next" [Reg Reg Reg Jump];
    MapNext "map_next" [Pair Reg Reg Jump];
    CheckType "check_type" [Reg Reg Type];
    CastType "cast_type" [Reg Reg Type];
    IsType "is_type" [Reg Reg Type];
    Call "call" [Reg Function Window Count];
    Closure "closure" [Reg Function Window Count];
    CallValue "call_value" [Reg Reg Window Count];
    CallAny "call_any" [Reg Reg Window Count];
    Native "native" [Reg Native Window Count];
    NativeMut "native_mut" [Reg Native Reg Window Count];
    Effect "effect" [Reg Effect Window Count];
    Return "return" [Reg];
    ReturnNil "return_nil" [];
    Fail "fail" [Reg];
    Panic "panic" [Reg];
    NoMatch "no_match" [];
    Emit "emit" [Reg Reg];
    Ask "ask" [Reg Reg Reg Type];
    Fit "fit" [Reg Reg Type];
    Print "print" [Reg Imm];
    Env "env" [Reg Reg];
    Model "model" [Reg Model];
    Execute "execute" [Reg Reg Reg];
    ExecuteWithSchema "execute_with_schema" [Reg Reg Schema Reg];
    ParseSchema "parse_schema" [Reg Schema Reg];
    Stream "stream" [Reg Reg Reg];
    StreamNext "stream_next" [Reg Reg Jump Jump];
    StreamTake "stream_take" [Reg Reg];
    StreamCollect "stream_collect" [Reg Reg];
    StreamResponse "stream_response" [Reg Reg];
    StreamText "stream_text" [Reg Reg];
    StreamIsDone "stream_is_done" [Reg Reg];
    StreamClose "stream_close" [Reg];
    Future "future" [Reg Function Window Count];
    Join "join" [Reg Imm Window Count];
    JoinEach "join_each" [Reg Imm Window Count];
    Spawn "spawn" [Reg Reg];
    Await "await" [Reg Reg];
    AwaitResult "await_result" [Reg Reg];
    Cancel "cancel" [Reg];
    FanOut "fan_out" [Reg Window Count];
    Pipeline "pipeline" [Reg Function Window Count];
    CallTool "call_tool" [Reg Tool Imm Window Count];
    Mock "mock" [Model Reg];
    MockCalls "mock_calls" [Reg Reg];
    MockReply "mock_reply" [Reg Reg];
    MockEnv "mock_env" [Reg Reg];
    TestEmits "test_emits" [Reg Reg];
    AssertSnapshot "assert_snapshot" [Reg Reg];
}

impl Op {
    /// The name and operands.
    #[must_use]
    pub fn signature(self) -> (&'static str, &'static [Kind]) {
        TABLE.get(self as usize).map_or(("", &[]), |(_, name, kinds)| (*name, *kinds))
    }

    /// Whether control never goes on to the next instruction.
    #[must_use]
    pub fn is_terminator(self) -> bool {
        matches!(
            self,
            Self::Return | Self::ReturnNil | Self::Fail | Self::Panic | Self::NoMatch | Self::Jump
        )
    }
}

static BY_NAME: LazyLock<HashMap<&'static str, Op>> =
    LazyLock::new(|| TABLE.iter().map(|(op, name, _)| (*name, *op)).collect());

/// Names of all instructions, in the order of the table.
#[must_use]
pub fn names() -> Vec<&'static str> {
    TABLE.iter().map(|(_, name, _)| *name).collect()
}

/// An operand as it stands in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Operand {
    /// A number.
    Number(i64),
    /// The name of a native function or of a request.
    Name(String),
}

/// An instruction as it stands in the document, its name known but its operands unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The operation.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<Operand>,
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_seq(Some(self.operands.len() + 1))?;
        parts.serialize_element(self.op.signature().0)?;
        for operand in &self.operands {
            parts.serialize_element(operand)?;
        }
        parts.end()
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instruction: an array of a name and operands")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Raw, A::Error> {
                let name: std::borrow::Cow<'de, str> =
                    parts.next_element()?.ok_or_else(|| A::Error::custom("empty instruction"))?;
                let op = *BY_NAME
                    .get(name.as_ref())
                    .ok_or_else(|| A::Error::custom(format!("unknown instruction `{name}`")))?;
                let mut operands = Vec::with_capacity(op.signature().1.len());
                while let Some(operand) = parts.next_element()? {
                    operands.push(operand);
                }
                Ok(Raw { op, operands })
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

/// An instruction ready to execute: registers in `a`, `b`, `c` in order of appearance, everything else in `x`, `y` and then `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instr {
    /// The operation.
    pub op: Op,
    /// First register.
    pub a: u16,
    /// Second register.
    pub b: u16,
    /// Third register, or third operand of another kind.
    pub c: u16,
    /// First operand that is no register; an immediate number keeps its bits.
    pub x: u32,
    /// Second operand that is no register.
    pub y: u32,
}

impl Instr {
    /// A number in the place of `b` and `c`.
    #[inline(always)]
    #[must_use]
    pub fn wide(self) -> u32 {
        u32::from(self.b) | u32::from(self.c) << 16
    }

    /// With a number in the place of `b` and `c`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the number")]
    pub fn with_wide(self, number: u32) -> Self {
        Self { b: number as u16, c: (number >> 16) as u16, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_an_instruction_is_small() {
        for (position, (op, _, kinds)) in TABLE.iter().enumerate() {
            assert_eq!(*op as usize, position);
            let registers = kinds.iter().filter(|kind| kind.is_register()).count();
            assert!(registers <= 3 && kinds.len() - registers <= 3 && kinds.len() <= 5);
        }
        assert_eq!(std::mem::size_of::<Instr>(), 16);
    }
}
