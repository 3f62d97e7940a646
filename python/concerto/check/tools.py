"""Tools: their state, their methods, and calls of them (rules TL-1 to TL-11 of the LLM reference).

To the rest of the check a tool is a struct with an `impl`: its fields are the state, and `self` is the instance of the run.
"""

from __future__ import annotations

from dataclasses import replace

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.called import CallFunction, CallTool
from concerto.check.checked import (
    FieldInfo,
    FunctionInfo,
    ImplInfo,
    StructInfo,
    ToolInfo,
    ToolMethod,
)
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.check.functions import signature
from concerto.check.methods import Method
from concerto.check.offered import check_offered
from concerto.check.types import Type
from concerto.diagnostics.model import Label, did_you_mean
from concerto.syntax import ast

#: The method of a model's `impl` that says what becomes of an error of a tool (LO-8).
HOOK = "on_tool_error"


def check_hooks(checker: Checker) -> None:
    """E3015 for a hook with another signature."""
    wanted = (t.MODEL, t.STRING, builtins.TOOL_ERROR)
    for model in checker.models.values():
        hook = model.methods.get(HOOK)
        if hook is None or hook.node is None:
            continue
        types = tuple(t.resolve(param.type) for param in hook.params)
        fits = types == wanted and t.resolve(hook.result) == t.Enum("ToolErrorAction")
        if not fits or hook.is_async or hook.type_params:
            message = f"`{HOOK}` has another signature"
            help_ = f"write `fn {HOOK}(self, tool_name: String, error: ToolError) -> ToolErrorAction {{ .. }}`"
            checker.report("E3015", message, hook.node.name, help_)


def declare_tool(checker: Checker, node: ast.Tool) -> None:
    """The signatures of a tool, what a model is told of them, and the types of its state as far as they are written."""
    if node.name.text in checker.tools:
        return
    # No path of a program leads to a name with a space.
    type_ = t.Struct(f"tool {node.name}", "tool")
    info = ToolInfo(node.name.text, node, type_)
    checker.tools[info.name] = info
    checker.structs[type_.name] = StructInfo(type_.name, "tool", [], node.name.span)
    block = _block(checker, info)
    _state(checker, info, checker.structs[type_.name])
    for function in block.methods.values():
        assert function.node is not None
        inherited = _inherited(checker, info, function.node.name.text)
        told = check_offered(checker, function, is_offered=function.is_pub, inherited=inherited)
        if not function.is_pub and function.node.body is None:
            help_ = "write `{ .. }` behind the signature; only a host can stand in for a `pub fn`"
            message = f"`{function.node.name}` has no body"
            checker.report("E1017", message, function.node.name, help_)
        if function.is_pub:
            outside = replace(function, params=function.params[int(function.is_method) :])
            method = ToolMethod(function, outside, told.description, told.params)
            info.methods[method.name] = method
    if not info.methods and not any(method.is_pub for method in node.methods):
        message = f"`{node.name}` offers nothing to a model"
        checker.report("W4015", message, node.name, "add a `pub fn`")


def _inherited(checker: Checker, info: ToolInfo, name: str) -> ast.Function | None:
    """The method of the tool's trait, whose decorators are the default for missing ones."""
    for impl in checker.impls:
        if impl.target == info.type and impl.trait is not None and name in impl.methods:
            return checker.traits[impl.trait.name].methods[name].node
    return None


def _block(checker: Checker, info: ToolInfo) -> ImplInfo:
    """The methods as those of an `impl`; a second block for the trait that the tool implements."""
    from concerto.check.generics import scope, trait_ref
    from concerto.check.impls import check_trait

    node = info.node
    name = ast.NamedType(
        span=node.name.span, path=ast.Path(span=node.name.span, names=(node.name,)), args=()
    )
    written = ast.Impl(
        span=node.span, type_params=(), trait=node.trait, type=name, methods=node.methods
    )
    block = ImplInfo((), info.type, None, {}, written)
    for method in node.methods:
        first = block.methods.get(method.name.text)
        if first is not None:
            assert first.node is not None
            related = (Label(first.node.name.span, "first here"),)
            message = f"the method `{method.name}` is declared twice"
            checker.report("E2004", message, method.name, related=related)
            continue
        # It may wait whatever it says, and who calls it waits for it.
        plain = replace(method, is_async=False)
        function = signature(checker, plain, f"{info.name}::{method.name}", block, (), info.type)
        function.is_tool = True
        if method.type_params:
            message = "a method of a tool has no type parameters"
            checker.report("E4042", message, method.type_params[0], "say which type it takes")
        block.methods[method.name.text] = function
    checker.impls.append(block)
    if node.trait is not None:
        with scope(checker, {"Self": info.type}):
            ref = trait_ref(checker, node.trait)
        if ref is not None and ref.name in checker.traits:
            trait = checker.traits[ref.name]
            own = {word: block.methods[word] for word in trait.methods if word in block.methods}
            implemented = ImplInfo((), info.type, ref, own, written)
            check_trait(checker, implemented, ref, trait)
            checker.impls.append(implemented)
        elif ref is not None:
            message = f"`{ref.name}` is not for programs to implement"
            checker.report("E2010", message, node.trait, "types have it by themselves")
    return block


def _state(checker: Checker, info: ToolInfo, struct: StructInfo) -> None:
    """TL-1 and TL-7: the description, and what belongs to the instance."""
    from concerto.check.collect import written_type

    seen: dict[str, ast.Name] = {}
    is_described = False
    for field in info.node.fields:
        name = field.name if isinstance(field, ast.ToolState) else field.key
        if name.text in seen:
            related = (Label(seen[name.text].span, "first here"),)
            checker.report("E2004", f"`{name}` is declared twice", name, related=related)
            continue
        seen[name.text] = name
        if isinstance(field, ast.ConfigField) and name.text == "description":
            is_described = True
            found = constant_value(checker, field.value, t.STRING, "E4040")
            if found == "":
                checker.report("E4040", "the description of the tool is empty", field.value)
            info.description = found if isinstance(found, str) else ""
            continue
        type_: Type = t.Var()
        if isinstance(field, ast.ToolState):
            type_ = written_type(checker, field.type)
        struct.fields.append(FieldInfo(name.text, type_, span=name.span))
        info.state[name.text] = field.value
    if not is_described:
        help_ = 'add `description: ".."`: a model reads it'
        message = f"the tool `{info.name}` has no description"
        checker.report("E4040", message, info.node.name, help_)


def check_states(checker: Checker) -> list[Body]:
    """How the state of each tool begins. What it holds the methods may still decide, so the bodies are to be finished after them."""
    from concerto.check.exprs import check_expr

    bodies = []
    for info in checker.tools.values():
        body = Body(checker, t.NIL, is_entry=True, at_top=False, scopes=[{}])
        types = {field.name: field.type for field in checker.structs[info.type.name].fields}
        for name, value in info.state.items():
            declared = types[name]
            is_open = isinstance(t.resolve(declared), t.Var)
            found = check_expr(body, value, None if is_open else declared)
            if is_open:
                t.assign(found, declared)
        bodies.append(body)
    return bodies


def check_tools_of_model(checker: Checker, node: ast.Expr) -> list[str]:
    """The tools that a model lists, each once (CA-15). Reports E4044."""
    return _listed(checker, node.items if isinstance(node, ast.ArrayLiteral) else (node,))


def _listed(checker: Checker, items: tuple[ast.Expr, ...]) -> list[str]:
    servers = [name for name, kind in checker.outside.items() if kind == "an MCP server"]
    names = [*checker.tools, *servers]
    found: list[str] = []
    for item in items:
        name = str(item.path) if isinstance(item, ast.PathExpr) else None
        if name in servers:
            checker.not_yet("an MCP server in `tools`", item)
        elif name in checker.tools:
            assert name is not None
            found.append(name)
        elif name not in checker.refused:
            shown = f"`{name}`" if name else "this"
            help_ = checker.hint(name, names, item) if name else None
            checker.report("E4044", f"{shown} is no tool or MCP server", item, help_)
    return list(dict.fromkeys(found))


def tools_argument(body: Body, node: ast.Expr) -> tuple[str, ...] | None:
    """The tools that `with_tools` is given; None for a value of type `Any`, which its call refuses (CA-14)."""
    from concerto.check.exprs import check_expr

    if isinstance(node, ast.ArrayLiteral):
        return tuple(_listed(body.checker, node.items))
    if isinstance(node, ast.PathExpr) and str(node.path) in body.checker.outside:
        name = node.path
        body.checker.report(
            "E3001", "`with_tools` takes an array of tools", node, f"write `[{name}]`"
        )
        return ()
    found = t.resolve(check_expr(body, node, None))
    if found not in (t.ANY, t.UNKNOWN):
        message = f"`with_tools` takes an array of tools, found `{t.show(found)}`"
        body.checker.report("E4044", message, node, "write their names: `[A, B]`")
    return None


def no_value(checker: Checker, name: str, at: ast.Node) -> Type:
    """Reports a tool that stands where a value is wanted."""
    method = next(iter(checker.tools[name].methods), "method")
    help_ = f"call one of its methods, such as `{name}.{method}(..)`, or list it in `tools: [..]`"
    checker.report("E3009", f"`{name}` is a tool, no value", at, help_)
    return t.UNKNOWN


def tool_call(
    body: Body, node: ast.Call, info: ToolInfo, word: ast.Name, expected: Type | None
) -> Type:
    """The type of `T.m(..)` or `T::m(..)`: a call on the instance of the run (TL-10, TL-11)."""
    from concerto.check.calls import check_all
    from concerto.check.function_calls import call_function

    checker, method = body.checker, info.methods.get(word.text)
    if method is None:
        return _helper(body, node, info, word, expected)
    result = call_function(body, node, Method(method.outside, {}), expected)
    call = checker.facts.calls.get(id(node))
    if not isinstance(call, CallFunction):
        check_all(body, node)
        return result
    steps, place = None, None
    declared = t.resolve(method.function.result)
    if isinstance(declared, t.Result):
        steps = t.assign(builtins.TOOL_ERROR, declared.err)
    if steps is None:
        place = body.raising(
            builtins.TOOL_ERROR, node, what=f"`{info.name}`", implicit=True, lenient=True
        )
    checker.facts.calls[id(node)] = CallTool(info, method, call.args, steps, place)
    return result


def _helper(
    body: Body, node: ast.Call, info: ToolInfo, word: ast.Name, expected: Type | None
) -> Type:
    """A method that is not offered: within the tool it is an ordinary function if it has no `self`."""
    from concerto.check.calls import check_all
    from concerto.check.function_calls import call_function

    checker = body.checker
    helper = _own(checker, info).get(word.text)
    inside = info.node.span.start <= node.span.start < info.node.span.end
    if helper is not None and inside and not helper.is_method:
        return call_function(body, node, Method(helper, {}), expected)
    check_all(body, node)
    if helper is None:
        help_ = did_you_mean(word.text, list(info.methods))
        checker.report("E3011", f"the tool `{info.name}` has no method `{word}`", word, help_)
        return t.UNKNOWN
    assert helper.node is not None
    related = (Label(helper.node.name.span, "declared here without `pub`"),)
    help_ = f"call it as `self.{word}(..)`" if inside else f"write `pub fn {word}` there"
    checker.report(
        "E2008", f"the method `{word}` of `{info.name}` is private", word, help_, related
    )
    return t.UNKNOWN


def _own(checker: Checker, info: ToolInfo) -> dict[str, FunctionInfo]:
    blocks = (impl for impl in checker.impls if impl.target == info.type and impl.trait is None)
    return next(blocks).methods
