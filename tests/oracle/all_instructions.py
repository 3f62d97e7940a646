"""The whole table of instructions."""

from tests.oracle import asks, calls, library, parts, pipelines, stores, tasks, testing, tools
from tests.oracle.instructions import INSTRUCTIONS

__all__ = [
    "INSTRUCTIONS",
    "asks",
    "calls",
    "library",
    "parts",
    "pipelines",
    "stores",
    "tasks",
    "testing",
    "tools",
]
