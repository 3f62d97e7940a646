"""The whole table of instructions."""

from tests.oracle import parts
from tests.oracle.instructions import INSTRUCTIONS

__all__ = ["INSTRUCTIONS", "parts"]
