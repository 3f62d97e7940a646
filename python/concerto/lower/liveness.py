"""Last uses: turns `copy` into `move` where the source is not read again, so that values keep one owner and are changed in place.

A backward dataflow over basic blocks; sets of registers are Python integers used as bit sets.
"""

from __future__ import annotations

from concerto.lower.ir import OPERANDS, TERMINATORS, Instruction


def move_last_uses(code: list[Instruction]) -> None:
    """Changes `copy` instructions in place."""
    live_out = _live_out(code)
    for at, instruction in enumerate(code):
        if instruction[0] == "copy" and instruction[1] != instruction[2]:
            source = instruction[2]
            if not live_out[at] >> source & 1:
                instruction[0] = "move"


def _effects(instruction: Instruction) -> tuple[int, int]:
    """Registers that an instruction reads, and those that it overwrites without reading."""
    uses = defines = 0
    operands = instruction[1:]
    for position, (role, value) in enumerate(zip(OPERANDS[instruction[0]], operands, strict=True)):
        match role:
            case "d":
                defines |= 1 << value
            case "D":
                defines |= 3 << value
            case "r" | "m" | "x":
                uses |= 1 << value
            case "w":
                count = operands[position + 1] * (
                    2 if OPERANDS[instruction[0]][position + 1] == "p" else 1
                )
                uses |= ((1 << count) - 1) << value
            case _:
                pass
    return uses, defines


def _successors(code: list[Instruction], at: int) -> list[int]:
    instruction = code[at]
    jumps = [
        value
        for role, value in zip(OPERANDS[instruction[0]], instruction[1:], strict=True)
        if role == "L"
    ]
    return jumps if instruction[0] in TERMINATORS else [*jumps, at + 1]


def _live_out(code: list[Instruction]) -> list[int]:
    effects = [_effects(instruction) for instruction in code]
    successors = [_successors(code, at) for at in range(len(code))]
    live_in = [0] * (len(code) + 1)
    live_out = [0] * len(code)
    changed = True
    while changed:
        changed = False
        for at in range(len(code) - 1, -1, -1):
            out = 0
            for following in successors[at]:
                out |= live_in[following]
            uses, defines = effects[at]
            # A result may land in a register that an edge does not write (the end of a loop), so what is written there stays live only if read.
            into = uses | (out & ~defines)
            if out != live_out[at] or into != live_in[at]:
                live_out[at], live_in[at], changed = out, into, True
    return live_out
