"""A program without what only people read."""

from __future__ import annotations

from concerto.lower.ir import Program


def strip(program: Program) -> None:
    """Takes places and docs out. What models read, such as descriptions in schemas, stays."""
    for file in program.files:
        file["lines"], file["text"] = [], None
    for function in program.functions:
        function.spans, function.span, function.doc = [], (0, 0), None
    for declared in (*program.connections, *program.models, *(program.stores or ())):
        declared["span"] = [0, 0, 0]
