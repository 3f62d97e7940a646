"""The whole table of instructions."""

from tests.oracle import calls, library, parts, pipelines, stores, tasks, testing, tools
from tests.oracle.instructions import INSTRUCTIONS

__all__ = [
    "INSTRUCTIONS",
    "calls",
    "library",
    "parts",
    "pipelines",
    "stores",
    "tasks",
    "testing",
    "tools",
]
