"""Paths: what a name in an expression stands for."""

from __future__ import annotations

from concerto.check import builtins, library, methods, std, testing
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checked import (
    ConstantName,
    FunctionName,
    Local,
    ModelName,
    PipelineName,
    StoreName,
    UnitVariant,
    Use,
    VariantFunction,
)
from concerto.check.decorators import warn_deprecated, warn_function
from concerto.check.generics import fresh
from concerto.check.habits import value_hint
from concerto.check.methods import Method
from concerto.check.tools import no_value
from concerto.check.traits import require
from concerto.check.types import Type
from concerto.check.variants import Variant, find_variant, variant_help
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast
from concerto.syntax.walk import children


def check_name(body: Body, node: ast.PathExpr | ast.SelfExpr, expected: Type | None) -> Type:
    """The type of a path or `self`: a variable first, then what the program declares, then the prelude."""
    if isinstance(node, ast.SelfExpr):
        return _self(body, node)
    checker, name = body.checker, str(node.path)
    if len(node.path.names) > 1:
        return _member(body, node, expected)
    local = body.find(name)
    if local is not None:
        return use_local(body, node, local)
    warn_deprecated(checker, name, node.path)
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
    if name in checker.pipelines:
        pipeline = checker.pipelines[name]
        checker.facts.names[id(node)] = PipelineName(pipeline)
        return t.Pipeline(pipeline.input, pipeline.output)
    if name in checker.stores:
        checker.facts.names[id(node)] = StoreName(checker.stores[name].index)
        return checker.stores[name].type
    if name in checker.functions:
        if checker.functions[name].test is not None:
            return testing.refuse_use(checker, name, node)
        return function_value(body, node, Method(checker.functions[name], {}), expected)
    if name in builtins.PRELUDE:
        return _prelude_value(body, node, name, expected)
    if name in checker.tools:
        return no_value(checker, name, node)
    if name in checker.outside:
        checker.not_yet(f"the use of {checker.outside[name]}", node)
        return t.UNKNOWN
    if name not in checker.refused and name != "_":
        names = [
            *body.names(),
            *checker.constants,
            *checker.functions,
            *checker.models,
            *checker.pipelines,
            *checker.stores,
            *builtins.PRELUDE,
        ]
        if methods.named_type(checker, name) is not None or name in checker.traits:
            message, help_ = f"`{name}` is a type, no value", f"write `{name}::..`"
            checker.report("E2001", message, node, help_)
            return t.UNKNOWN
        hint = _top_level(body, name) or of_self(body, name) or checker.hint(name, names, node)
        if name in library.modules() or any(f.startswith(f"{name}::") for f in checker.functions):
            hint = f"names of modules are joined by `::`: write `{name}::..`"
        hint = hint or value_hint(name) or variant_help(checker, name)
        checker.report("E2001", f"there is no `{name}`", node, hint)
    return t.UNKNOWN


def _prelude_value(body: Body, node: ast.PathExpr, name: str, expected: Type | None) -> Type:
    """A function of the prelude as a value. Those that need a type or a test have none."""
    forms = library.find(body.checker, "prelude", name.lower())
    if forms:
        return std.check_library_value(body, node, forms, expected)
    message, help_ = f"`{name}` is no value", f"call it in a closure: `|x| {name}(x)`"
    body.checker.report("E3019", message, node, help_)
    return t.UNKNOWN


def _top_level(body: Body, name: str) -> str | None:
    """The help line for a variable of the top-level statements, which functions do not see."""
    lets = [item for item in body.checker.module.items if isinstance(item, ast.Let)]
    if body.at_top or not any(name in _bound(item.pattern) for item in lets):
        return None
    return f"`{name}` is a variable of the top level: pass it to the function, or make it a `const`"


def of_self(body: Body, name: str) -> str | None:
    """The help line for a field or method of `self` that is named alone."""
    local = body.find("self")
    type_ = t.resolve(local.type) if local is not None else None
    if isinstance(type_, t.Struct) and type_.name in body.checker.structs:
        fields = [field.name for field in body.checker.structs[type_.name].fields]
        if name in fields:
            return f"write `self.{name}`"
    if type_ is not None and methods.own(body.checker, type_, name) is not None:
        return f"write `self.{name}(..)`"
    return None


def _bound(pattern: ast.Node) -> list[str]:
    """The names that a pattern may bind."""
    match pattern:
        case ast.PathPattern(path=path) if len(path.names) == 1:
            return [path.names[0].text]
        case ast.BindPattern(name=name, inner=inner):
            return [name.text, *_bound(inner)]
        case ast.FieldPattern(name=name, pattern=None):
            return [name.text]
        case _:
            return [name for child in children(pattern) for name in _bound(child)]


def _self(body: Body, node: ast.SelfExpr) -> Type:
    """The receiver of a method."""
    local = body.find("self")
    if local is None:
        help_ = "make it a method: `fn f(self)`"
        body.checker.report("E2013", "`self` outside of a method", node, help_)
        return t.UNKNOWN
    return use_local(body, node, local)


def use_local(body: Body, node: ast.Expr, local: Local) -> Type:
    """The type of a variable that is read."""
    local.used = True
    body.checker.facts.names[id(node)] = local.constant or local
    return local.type


def _member(body: Body, node: ast.PathExpr, expected: Type | None) -> Type:
    """`E::V`, `T::f` or `T::Trait::f` as a value."""
    wanted = t.resolve(expected) if expected is not None else None
    of = wanted.result if isinstance(wanted, t.Function) else wanted
    variant = find_variant(body.checker, node.path, of)
    if variant is not None:
        return _variant_value(body, node, variant)
    below = std.behind(node.path)
    if below is not None:
        return std.check_std_path(body, node, below, expected)
    method = associated(body, node.path)
    if method is None:
        return t.UNKNOWN
    if method.function.changes:
        message = f"`{node.path}` changes its receiver, so it is no value"
        help_ = "call it in a closure that returns the changed value"
        body.checker.report("E2006", message, node, help_)
        return t.UNKNOWN
    return function_value(body, node, method, expected)


def _variant_value(body: Body, node: ast.PathExpr, variant: Variant) -> Type:
    facts = body.checker.facts
    if variant.form == "tuple":
        made = VariantFunction(variant.type, variant.number, len(variant.fields))
        facts.names[id(node)] = FunctionName(made)
        return t.Function(tuple(f.type for f in variant.fields), variant.type)
    if variant.form != "unit":
        help_ = f"write `{node.path} {{ .. }}`"
        body.checker.report("E3001", f"`{node.path}` needs its data", node, help_)
    facts.names[id(node)] = UnitVariant(variant.type, variant.number)
    return variant.type


def function_value(body: Body, node: ast.PathExpr, method: Method, expected: Type | None) -> Type:
    """A function as a value; a generic one takes its type arguments from the place where it goes."""
    function = method.function
    warn_function(body.checker, function, node.path)
    body.checker.may_call(function, node.path)
    meaning = {param.name: t.Var() for param in function.type_params} | method.meaning
    type_ = t.Function(
        tuple(t.substitute(param.type, meaning) for param in function.params),
        t.substitute(function.call_type, meaning),
    )
    args = tuple(meaning[param.name] for param in function.type_params)
    body.checker.facts.names[id(node)] = FunctionName(function, args)
    if args:
        wanted = t.resolve(expected) if expected is not None else None
        if isinstance(wanted, t.Function):
            t.assign(type_, wanted)
        if any(isinstance(t.resolve(arg), t.Var) for arg in args):
            message = f"the type arguments of `{function.name}` are not known here"
            help_ = "say the type where it goes: `let f: fn(Int) -> Int = ..`"
            body.checker.report("E3019", message, node, help_)
            return t.UNKNOWN
        body.demands.use(Use(function, args, node))
    return type_


def associated(body: Body, path: ast.Path) -> Method | None:
    """`T::f`, `T::Trait::f` or `Trait::f`; None if there is none, which is reported."""
    checker, names = body.checker, [name.text for name in path.names]
    if len(names) == 2 and names[0] in checker.traits:
        trait = checker.traits[names[0]]
        if names[1] in trait.methods:
            return Method(trait.methods[names[1]], {})
        _no_function(body, path, names[0], list(trait.methods))
        return None
    type_ = methods.named_type(checker, names[0])
    if names[0] in checker.tools:
        no_value(checker, names[0], path)
        return None
    if names[0] in checker.outside:
        checker.not_yet(f"the use of {checker.outside[names[0]]}", path)
        return None
    if names[0] in checker.models and len(names) == 2:
        own = checker.models[names[0]].methods
        if names[1] not in own:
            _no_function(body, path, names[0], list(own))
        return Method(own[names[1]], {}) if names[1] in own else None
    if type_ is None or len(names) > 3:
        if names[0] not in checker.refused:
            known = [*checker.structs, *checker.enums, *checker.aliases]
            help_ = checker.hint(names[0], known, path)
            if names[0] in ("Box", "Rc", "Arc", "RefCell", "Mutex"):
                help_ = "values need nothing around them: leave it out"
            elif names[0] in library.modules():
                help_ = f"write `use std::{names[0]};`, or `std::{path}`"
            checker.report("E2001", f"there is no `{path}`", path, help_)
        return None
    if type_ == t.UNKNOWN:
        return None
    if len(names) == 2:
        found = methods.find(checker, type_, names[1], path)
        if found is None:
            known = methods.names(checker, type_, methods=False)
            if isinstance(type_, t.Enum):
                known += [variant.name for variant in checker.enums[type_.name].variants]
            _no_function(body, path, names[0], known)
        return found
    return _through_trait(body, path, type_)


def _through_trait(body: Body, path: ast.Path, type_: Type) -> Method | None:
    checker, trait, word = body.checker, path.names[1].text, path.names[2].text
    if trait not in checker.traits:
        if trait not in checker.refused:
            help_ = did_you_mean(trait, list(checker.traits))
            checker.report("E2002", f"there is no trait `{trait}`", path.names[1], help_)
        return None
    if word not in checker.traits[trait].methods:
        _no_function(body, path, trait, list(checker.traits[trait].methods))
        return None
    found = methods.of_traits(checker, type_, word, trait)
    if not found:
        ref = t.TraitRef(trait, fresh(checker.traits[trait].type_params))
        require(checker, type_, ref, path, str(path))
        return None
    return found[0]


def _no_function(body: Body, path: ast.Path, of: str, names: list[str]) -> None:
    word = path.names[-1]
    if word.text in body.checker.refused:
        return
    help_ = did_you_mean(word.text, names)
    if str(path) in ("HashMap::new", "Map::new"):
        help_ = "write `{}`: a `HashMap` is a store, which `hashmap` declares"
    elif str(path) == "Array::new":
        help_ = "write `[]`"
    elif help_ is None and of in body.checker.structs and word.text == "new":
        help_ = f"write `{of} {{ .. }}`, or declare `fn new(..) -> {of}` in an `impl {of}`"
    what = "variant or function" if of in body.checker.enums else "function"
    body.checker.report("E2001", f"`{of}` has no {what} `{word}`", word, help_)
