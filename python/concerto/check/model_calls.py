"""Calls of models: prompts, messages, schemas, the settings of builders, and streams (rules PR and CA of the LLM reference, S of the connection reference)."""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.arguments import place_arguments
from concerto.check.bodies import Body
from concerto.check.called import (
    CallModel,
    CallNative,
    CallRecord,
    CallStream,
    CallWithTools,
)
from concerto.check.checked import FunctionInfo, ModelName, Need
from concerto.check.checker import Checker
from concerto.check.tools import tools_argument
from concerto.check.types import Type
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast

#: Methods that ask, with the instruction that does it.
_ASKING = {
    "execute": "execute",
    "execute_with_schema": "execute_with_schema",
    "chat": "execute",
    "chat_with_schema": "execute_with_schema",
    "stream": "stream",
}
#: Methods that set something for later calls: the name and the type of their parameter.
_SETTINGS: dict[str, tuple[str, Type]] = {
    "with_base": ("id", t.STRING),
    "with_system_prompt": ("text", t.STRING),
    "with_temperature": ("temperature", t.FLOAT),
    "with_top_p": ("top_p", t.FLOAT),
    "with_max_tokens": ("n", t.INT),
    "with_stop": ("stop", t.Array(t.STRING)),
    "with_seed": ("seed", t.INT),
    "with_timeout": ("seconds", t.INT),
    "with_context": ("value", t.ANY),
}
_LATER = ("with_memory",)
_TOOLS = ("with_tools", "without_tools")
#: All that models and builders have.
MODEL_METHODS = (*_ASKING, *_SETTINGS, *_LATER, *_TOOLS, "spawn", "shutdown")

#: Methods of streams, with the instruction that does it and the result.
_STREAM_METHODS: dict[str, tuple[str, Type]] = {
    "next": ("stream_take", t.Result(t.Option(builtins.CHUNK), builtins.LLM_ERROR)),
    "collect": ("stream_collect", t.Result(builtins.RESPONSE, builtins.LLM_ERROR)),
    "response": ("stream_response", t.Option(builtins.RESPONSE)),
    "text_so_far": ("stream_text", t.STRING),
    "is_done": ("stream_is_done", t.BOOL),
    "close": ("stream_close", t.NIL),
}

#: More requests for one call than anybody wants.
_MOST_REQUESTS = 20

#: Stands for the argument of a function that makes a record.
_GIVEN = "$"

#: Functions that make built-in records: the type, the name of their parameter, and the fields.
RECORD_MAKERS: dict[str, tuple[Type, str, tuple[str | None, ...]]] = {
    "Message::system": (builtins.MESSAGE, "text", ("system", _GIVEN)),
    "Message::user": (builtins.MESSAGE, "text", ("user", _GIVEN)),
    "Message::assistant": (builtins.MESSAGE, "text", ("assistant", _GIVEN)),
    "Prompt::new": (builtins.PROMPT, "text", (_GIVEN, None, None, None)),
    "ToolError::new": (builtins.TOOL_ERROR, "message", (_GIVEN, "custom", "", "")),
}


def model_method(
    body: Body, node: ast.Call, model: ast.Expr, name: ast.Name, expected: Type | None
) -> Type:
    """The type of a method call on a model or builder."""
    from concerto.check.calls import check_all

    method = name.text
    is_name = isinstance(body.checker.facts.names.get(id(model)), ModelName)
    is_builder = t.resolve(body.checker.facts.types[id(model)]) == t.BUILDER
    if method in _ASKING:
        return _ask(body, node, model, method, expected)
    if method in _SETTINGS:
        param, type_ = _SETTINGS[method]
        args = arguments(body, node, method, ((param, type_),), 1)
        if args and args[0] is not None:
            call = CallNative(f"model.{method}", model, (args[0],), False)
            body.checker.facts.calls[id(node)] = call
        return t.BUILDER
    if method == "with_tools":
        args = arguments(body, node, method, (("tools", None),), 1)
        if args and args[0] is not None:
            tools = tools_argument(body, args[0])
            body.checker.facts.calls[id(node)] = CallWithTools(model, tools, args[0])
        return t.BUILDER
    if method == "without_tools":
        arguments(body, node, method, (), 0)
        body.checker.facts.calls[id(node)] = CallNative(f"model.{method}", model, (), False)
        return t.BUILDER
    if (method == "spawn" and not is_builder) or (method == "shutdown" and not is_name):
        arguments(body, node, method, (), 0)
        body.checker.facts.calls[id(node)] = CallNative(f"model.{method}", model, (), False)
        return t.MODEL if method == "spawn" else t.NIL
    check_all(body, node)
    if method in _LATER:
        body.checker.not_yet(f"`{method}` of a model", name)
        return t.UNKNOWN
    hint = builtins.METHOD_HINTS.get(method)
    names = [*MODEL_METHODS, *_own_methods(body, model)]
    help_ = f"did you mean `{hint}`?" if hint else did_you_mean(method, names)
    owners = [each for each, info in body.checker.models.items() if method in info.methods]
    if owners:
        help_ = f"`{method}` belongs to `{owners[0]}`: call it as `{owners[0]}.{method}(..)`"
    if method == "shutdown":
        help_ = "shut down what `.spawn()` gave"
    body.checker.report("E3011", f"a model has no method `{name}`", name, help_)
    return t.UNKNOWN


def own_method(body: Body, model: ast.Expr, name: str) -> FunctionInfo | None:
    """A method of an `impl` of the model that an expression names (CA-9): of one that is declared, or of `self` in a method."""
    return _own_methods(body, model).get(name)


def _own_methods(body: Body, model: ast.Expr) -> dict[str, FunctionInfo]:
    checker = body.checker
    known = checker.facts.names.get(id(model))
    name = known.model if isinstance(known, ModelName) else None
    if isinstance(model, ast.SelfExpr):
        name = body.model
    return checker.models[name].methods if name in checker.models else {}


def stream_method(body: Body, node: ast.Call, stream: ast.Expr, name: ast.Name) -> Type:
    """The type of a method call on a stream (S-7)."""
    from concerto.check.calls import check_all

    if name.text not in _STREAM_METHODS:
        check_all(body, node)
        help_ = did_you_mean(name.text, list(_STREAM_METHODS))
        body.checker.report("E3011", f"a stream has no method `{name}`", name, help_)
        return t.UNKNOWN
    instruction, result = _STREAM_METHODS[name.text]
    arguments(body, node, name.text, (), 0)
    body.checker.facts.calls[id(node)] = CallStream(instruction, stream)
    return result


def arguments(
    body: Body,
    node: ast.Call,
    method: str,
    params: tuple[tuple[str, Type | None], ...],
    required: int,
) -> list[ast.Expr | None] | None:
    """The argument of each parameter, by position or name; None if they are wrong, which is reported. A type of None is left to the caller."""
    from concerto.check.exprs import check_expr

    known = [(name, at >= required) for at, (name, _) in enumerate(params)]
    placed = place_arguments(body, node, method, known)
    for value, (_, type_) in zip(placed.slots, params, strict=True):
        if value is not None and type_ is not None:
            check_expr(body, value, type_)
    return placed.slots if placed.is_right else None


def _ask(body: Body, node: ast.Call, model: ast.Expr, method: str, expected: Type | None) -> Type:
    from concerto.check.exprs import check_expr

    checker = body.checker
    typed = method.endswith("_with_schema")
    if typed and not node.type_args and _names_schema_as_argument(body, node, method):
        return t.UNKNOWN
    result: Type = t.STREAM if method == "stream" else builtins.RESPONSE
    schema = None
    if typed:
        answer = schema_type(body, node, method, expected)
        schema = answer
        result = answer or t.UNKNOWN
    elif node.type_args:
        help_ = (
            f"write `{method}_with_schema<..>(..)`" if f"{method}_with_schema" in _ASKING else None
        )
        checker.report("E3017", f"`{method}` takes no type arguments", node, help_)
    messages = method.startswith("chat")
    first = ("messages", t.Array(builtins.MESSAGE)) if messages else ("prompt", None)
    params = (first, ("retry_message", t.STRING)) if typed else (first,)
    args = arguments(body, node, method, params, 1)
    if args is None or args[0] is None:
        if args is None and not messages and node.args:
            check_expr(body, node.args[0].value, None)
        return t.Result(result, builtins.LLM_ERROR)
    if not messages:
        _prompt(body, args[0])
    _warn_of_layers(body, node, model, typed=typed)
    retry = args[1] if typed else None
    checker.facts.calls[id(node)] = CallModel(model, _ASKING[method], args[0], schema, retry)
    return t.Result(result, builtins.LLM_ERROR)


def _names_schema_as_argument(body: Body, node: ast.Call, method: str) -> bool:
    """E4038 for `M.execute_with_schema(prompt, Schema)`, as other languages have it."""
    for arg in node.args:
        value = arg.value
        name = str(value.path) if isinstance(value, ast.PathExpr) else ""
        if name in body.checker.structs and body.find(name) is None:
            message = f"the schema `{name}` is no argument"
            help_ = f"write `{method}<{name}>(..)`"
            body.checker.report("E4038", message, value, help_)
            return True
    return False


def _warn_of_layers(body: Body, node: ast.Call, model: ast.Expr, *, typed: bool) -> None:
    """W4012: requests of a call, if each attempt, each round of a typed one, and each attempt of the function around fails."""
    while isinstance(model, ast.Call) and isinstance(model.callee, ast.FieldAccess):
        model = model.callee.object
    name = body.checker.facts.names.get(id(model))
    if not isinstance(name, ModelName):
        return
    info = body.checker.models[name.model]
    connection = body.checker.connections.get(info.connection)
    own = info.fields.get("retry_policy")
    policy = own if own is not None else connection.fields.get("retry", {}) if connection else {}
    attempts = policy.get("max_attempts", 1)
    rounds = (own or {}).get("max_attempts", 3) if typed else 1
    tries = body.tries_of_function()
    if not isinstance(attempts, int) or not isinstance(rounds, int):
        return
    if attempts * rounds * tries > _MOST_REQUESTS:
        parts = [f"{attempts} attempts"]
        parts += [f"in each of {rounds} rounds"] if typed else []
        parts += [f"in each of {tries} attempts of `@retry`"] if tries > 1 else []
        total = attempts * rounds * tries
        message = f"this call may send {total} requests: {' '.join(parts)}"
        place = node.callee.name if isinstance(node.callee, ast.FieldAccess) else node
        body.checker.report("W4012", message, place, "lower the attempts")


def _prompt(body: Body, node: ast.Expr) -> None:
    """PR-1: a String or a Prompt."""
    from concerto.check.exprs import check_expr

    found = t.resolve(check_expr(body, node, None))
    if found == t.ANY:
        wanted = t.Union((t.STRING, builtins.PROMPT))
        body.checker.facts.steps[id(node)] = (("check",), wanted)
    elif found not in (t.STRING, builtins.PROMPT, t.UNKNOWN, t.NEVER) and not isinstance(
        found, t.Literals
    ):
        message = f"a prompt is a String, found `{t.show(found)}`"
        body.checker.report("E3001", message, node, 'write `"${..}"`')
    warn_of_options(body, node)


def warn_of_options(body: Body, node: ast.Expr) -> None:
    """W4013: a text for a model that shows `Some(..)` or `None`."""
    if not isinstance(node, ast.Interpolated):
        return
    for value in node.values:
        if isinstance(t.resolve(body.checker.facts.types[id(value)]), t.Option):
            message = "the model will read `Some(..)` or `None` here"
            body.checker.report("W4013", message, value, 'take the value out: `?? ".."`')


def make_record(body: Body, node: ast.Call, name: str) -> Type:
    """`Message::user(text)` and the like."""
    type_, param, fields = RECORD_MAKERS[name]
    args = arguments(body, node, name, ((param, t.STRING),), 1)
    if args and args[0] is not None:
        warn_of_options(body, args[0])
        parts = tuple(args[0] if field == _GIVEN else field for field in fields)
        body.checker.facts.calls[id(node)] = CallRecord(type_, parts)
    return type_


def schema_type(body: Body, node: ast.Call, method: str, expected: Type | None) -> Type | None:
    """The schema or struct that an answer is to have: the type argument, else the expected type (CA-5)."""
    from concerto.check.collect import written_type
    from concerto.check.generics import mentions_parameter

    checker = body.checker
    place = node.type_args[0] if node.type_args else node
    if node.type_args:
        type_ = t.resolve(written_type(checker, node.type_args[0]))
        if len(node.type_args) > 1:
            checker.report("E3017", f"`{method}` takes 1 type argument", node)
    else:
        wanted = t.resolve(expected) if expected is not None else None
        type_ = t.resolve(wanted.ok) if isinstance(wanted, t.Result) else t.Var()
        if isinstance(type_, t.Var):
            help_ = f"write `{method}<Name>(..)` with the name of a schema"
            checker.report("E4038", "the schema of the answer is missing", node, help_)
            return None
    if type_ == t.UNKNOWN:
        return None
    if mentions_parameter(type_):
        # Each use of the function says what it is.
        body.demands.needs.append(Need(type_, method, place))
        return type_
    return type_ if check_answer(checker, type_, place) else None


def check_answer(checker: Checker, type_: Type, place: ast.Node) -> bool:
    """E4037, E4035: whether an answer can have a type."""
    from concerto.check.schemas import inexpressible

    if not (isinstance(type_, t.Struct) and type_.origin in ("schema", "struct")):
        checker.report("E4037", f"`{t.show(type_)}` is no schema or struct", place)
        return False
    bad = inexpressible(checker, type_) if type_.origin == "struct" else None
    if bad is not None:
        message = f"`{t.show(bad)}` in `{t.show(type_)}` cannot be expressed as JSON Schema"
        checker.report("E4035", message, place)
    return True
