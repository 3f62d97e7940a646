"""Paths: what a name in an expression stands for."""

from __future__ import annotations

from concerto.check import builtins, std, testing
from concerto.check import types as t
from concerto.check.bodies import Body, related_declaration
from concerto.check.checked import (
    ConstantName,
    FunctionName,
    ModelName,
    UnitVariant,
    VariantFunction,
)
from concerto.check.types import Type
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast


def check_path(body: Body, node: ast.PathExpr, expected: Type | None) -> Type:
    """The type of a path: a variable first, then what the program declares, then the prelude."""
    checker, name = body.checker, str(node.path)
    if len(node.path.names) == 1:
        local = body.find(name)
        if local is not None:
            local.used = True
            checker.facts.names[id(node)] = local
            if not local.assigned:
                checker.report(
                    "E2012",
                    f"`{name}` has no value yet",
                    node,
                    "assign it first",
                    related_declaration(local),
                )
                local.assigned = True
            return local.type
        if name in checker.constants:
            type_, value = checker.constants[name]
            checker.facts.names[id(node)] = ConstantName(type_, value)
            return type_
        if name == "None":
            checker.facts.names[id(node)] = UnitVariant(None, 0)
            wanted = t.resolve(expected) if expected is not None else None
            return wanted if isinstance(wanted, t.Option) else t.Option(t.Var())
        if name in checker.models:
            checker.facts.names[id(node)] = ModelName(name)
            return t.MODEL
        if name in checker.functions:
            function = checker.functions[name]
            if function.test is not None:
                testing.refuse_call(checker, function, node)
                return t.UNKNOWN
            checker.facts.names[id(node)] = FunctionName(function)
            return t.Function(tuple(p.type for p in function.params), function.call_type)
        if name in builtins.PRELUDE:
            checker.not_yet("a function of the prelude as a value", node)
            return t.UNKNOWN
    elif node.path.names[0].text in checker.enums:
        return _unit_variant(body, node)
    below = std.behind(node.path)
    if below is not None:
        return std.check_std_path(body, node, below)
    if node.path.names[0].text not in checker.refused and name != "_":
        names = [
            *body.names(),
            *checker.constants,
            *checker.functions,
            *checker.models,
            *builtins.PRELUDE,
        ]
        help_ = did_you_mean(name, names)
        checker.report("E2001", f"there is no `{name}`", node, help_)
    return t.UNKNOWN


def _unit_variant(body: Body, node: ast.PathExpr) -> Type:
    checker, word = body.checker, node.path.names[-1].text
    enum = checker.enums[node.path.names[0].text]
    for number, variant in enumerate(enum.variants):
        if variant.name == word:
            if variant.form == "tuple":
                function = VariantFunction(enum.name, number, len(variant.fields))
                checker.facts.names[id(node)] = FunctionName(function)
                return t.Function(tuple(f.type for f in variant.fields), t.Enum(enum.name))
            if variant.form != "unit":
                checker.report(
                    "E3001", f"`{node.path}` needs its data", node, f"write `{node.path}(..)`"
                )
            checker.facts.names[id(node)] = UnitVariant(enum, number)
            return t.Enum(enum.name)
    names = [variant.name for variant in enum.variants]
    checker.report(
        "E2001", f"`{enum.name}` has no variant `{word}`", node, did_you_mean(word, names)
    )
    return t.UNKNOWN
