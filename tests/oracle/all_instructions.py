"""The whole table of instructions."""

from tests.oracle import calls, parts, testing
from tests.oracle.instructions import INSTRUCTIONS

__all__ = ["INSTRUCTIONS", "calls", "parts", "testing"]
