"""Which names each module of the standard library has (library reference 4)."""

from __future__ import annotations

from functools import cache

#: Modules that this release does not have, so that an import of one is no unknown name.
_LATER = """
tools: HttpTool FileTool ShellTool
"""


@cache
def std_names() -> dict[str, frozenset[str]]:
    """The names of each module."""
    from concerto.check import std

    there = {module: frozenset(std.members(module)) for module in std.modules()}
    return {**_later(), **there}


@cache
def _later() -> dict[str, frozenset[str]]:
    rows = (line.split(": ") for line in _LATER.strip().split("\n"))
    return {module: frozenset(names.split()) for module, names in rows}


def is_later(module: str) -> bool:
    """Whether the reference has a module and this release has not."""
    from concerto.check import std

    return module in _later() and module not in std.modules()
