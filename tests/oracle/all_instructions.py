"""The whole table of instructions."""

from tests.oracle import calls, parts
from tests.oracle.instructions import INSTRUCTIONS

__all__ = ["INSTRUCTIONS", "calls", "parts"]
