"""Last uses: turns `copy` into `move` where the source is not read again, so that values keep one owner and are changed in place.

A backward dataflow over basic blocks; sets of registers are Python integers used as bit sets.
"""

from __future__ import annotations

from functools import cache

from concerto.lower.ir import OPERANDS, TERMINATORS, Instruction


def move_last_uses(code: list[Instruction]) -> None:
    """Changes `copy` instructions in place."""
    live_out = _live_out(code)
    for at, instruction in enumerate(code):
        if instruction[0] == "copy" and instruction[1] != instruction[2]:
            source = instruction[2]
            if not live_out[at] >> source & 1:
                instruction[0] = "move"


@cache
def _roles(operation: str) -> tuple[list[tuple[str, int]], list[int]]:
    """Where an instruction holds registers, with their roles, and where targets of jumps."""
    roles = list(enumerate(OPERANDS[operation], 1))
    registers = [(role, at) for at, role in roles if role in "dDrmx"]
    for at, role in roles:
        if role == "w":  # as many as the next operand says, or twice as many
            registers.append(("pairs" if OPERANDS[operation][at] == "p" else "row", at))
    return registers, [at for at, role in roles if role == "L"]


def _effects(instruction: Instruction) -> tuple[int, int]:
    """Registers that an instruction reads, and those that it overwrites without reading."""
    uses = defines = 0
    for role, at in _roles(instruction[0])[0]:
        register = instruction[at]
        match role:
            case "d":
                defines |= 1 << register
            case "D":
                defines |= 3 << register
            case "row" | "pairs":
                count = instruction[at + 1] * (2 if role == "pairs" else 1)
                uses |= ((1 << count) - 1) << register
            case _:
                uses |= 1 << register
    return uses, defines


def _successors(code: list[Instruction], at: int) -> list[int]:
    instruction = code[at]
    jumps = [instruction[where] for where in _roles(instruction[0])[1]]
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
