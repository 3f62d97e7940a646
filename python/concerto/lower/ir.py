"""The intermediate representation as values: the twin of `rust/src/ir/program.rs`; `docs/ir.md` describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FORMAT = "concerto-ir"
VERSION = 1

#: Operands of each instruction: d written, D written with the next one, r read, m consumed, x changed in place, w window (its count n, or p for pairs, follows),
#: k constant, i number, L jump, T type, F function, M model, S schema, O tool, N native, E effect.
OPERANDS: dict[str, str] = {
    "const": "dk", "int": "di", "bool": "di", "nil": "d", "copy": "dr", "move": "dm", "drop": "m",
    "add_int": "drr", "sub_int": "drr", "mul_int": "drr", "div_int": "drr", "rem_int": "drr", "neg_int": "dr", "add_int_imm": "dri",
    "add_float": "drr", "sub_float": "drr", "mul_float": "drr", "div_float": "drr", "rem_float": "drr", "neg_float": "dr",
    "int_to_float": "dr", "float_to_int": "dr",
    "eq_int": "drr", "lt_int": "drr", "le_int": "drr", "eq_float": "drr", "lt_float": "drr", "le_float": "drr",
    "eq": "drr", "lt": "drr", "le": "drr", "not": "dr",
    "jump": "L", "jump_if": "rL", "jump_unless": "rL",
    "concat": "dwn", "append_string": "xm", "array": "dwn", "tuple": "dwn", "map": "dwp", "struct": "dTwn", "variant": "dTiwn",
    "range": "drr", "range_inclusive": "drr", "some": "dm", "none": "d", "ok": "dm", "err": "dm",
    "is_some": "dr", "is_ok": "dr", "is_variant": "dri", "payload": "dm", "variant_field": "dri", "unwrap_or_jump": "dmL",
    "field": "dri", "set_field": "xim", "take_field": "dxi", "tuple_field": "dri",
    "index_array": "drr", "set_index_array": "xrm", "take_index_array": "dxr",
    "index_map": "drr", "set_index_map": "xrm", "take_index_map": "dxr",
    "index_string": "drr", "slice_string": "drr", "slice_array": "drr", "len": "dr",
    "range_bounds": "Dr", "range_next": "dxxL", "array_next": "drxL", "map_next": "DrxL",
    "check_type": "dmT", "cast_type": "dmT", "is_type": "drT", "call": "dFwn", "closure": "dFwn",
    "call_value": "drwn", "call_any": "drwn", "native": "dNwn", "native_mut": "dNxwn", "effect": "dEwn",
    "return": "m", "return_nil": "", "fail": "m", "panic": "r", "no_match": "",
    "emit": "rm", "ask": "drmT", "fit": "dmT", "print": "ri", "env": "dr", "model": "dM", "execute": "drr", "execute_with_schema": "drSr",
    "parse_schema": "dSr", "stream": "drr",
    "stream_next": "drLL", "stream_take": "dr", "stream_collect": "dr", "stream_response": "dr", "stream_text": "dr", "stream_is_done": "dr",
    "stream_close": "r",
    "future": "dFwn", "join": "diwn", "join_each": "diwn", "spawn": "dm", "await": "dr", "await_result": "dr", "cancel": "r", "fan_out": "dwn", "pipeline": "dFwn",
    "call_tool": "dOiwn",
    "mock": "Mr", "mock_calls": "dr", "mock_reply": "rr", "mock_env": "rr", "test_emits": "dr", "assert_snapshot": "rr",
}  # fmt: skip

#: After these control never goes on to the next instruction.
TERMINATORS = frozenset(("return", "return_nil", "fail", "panic", "no_match", "jump"))

Instruction = list[Any]


@dataclass(slots=True)
class Function:
    """Code of one function."""

    name: str
    file: int
    span: tuple[int, int]
    public: bool
    doc: str | None
    params: list[dict[str, Any]]
    result: int
    registers: int
    code: list[Instruction]
    spans: list[tuple[int, int, int]]


@dataclass(slots=True)
class Program:
    """A whole program."""

    compiler: str
    digest: str
    files: list[dict[str, Any]]
    constants: list[list[Any]] = field(default_factory=list)
    types: list[list[Any]] = field(default_factory=list)
    schemas: list[dict[str, Any]] = field(default_factory=list)
    connections: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    entry: dict[str, Any] = field(default_factory=dict)
    permissions: dict[str, list[str]] = field(default_factory=dict)
    #: Left out of the document where there are none.
    stores: list[dict[str, Any]] | None = None
    tests: list[dict[str, Any]] = field(default_factory=list)
    #: Left out of the document where there are none.
    tools: list[dict[str, Any]] | None = None
    #: Left out of the document where the program names none.
    channels: list[dict[str, Any]] | None = None
    #: Left out of the document where the manifest gives no prices.
    pricing: dict[str, dict[str, float]] | None = None
