"""Calls and fields: what is called, with which arguments, and what comes back."""

from __future__ import annotations

import re

from concerto.check import builtins, library, methods, std, testing
from concerto.check import types as t
from concerto.check.arguments import place_arguments
from concerto.check.bodies import Body
from concerto.check.called import (
    FORMS,
    CallBuiltin,
    CallContext,
    CallNative,
    CallTask,
    CallVariant,
    ParseSchema,
)
from concerto.check.checked import Raise, ToolInfo
from concerto.check.checker import Checker
from concerto.check.closures import check_value_call
from concerto.check.dynamic import any_method
from concerto.check.emits import check_emit, reply_method
from concerto.check.follow_ups import import_help
from concerto.check.function_calls import call_function
from concerto.check.habits import function_hint, method_hint
from concerto.check.memories import check_memory_call, is_memory
from concerto.check.methods import Method
from concerto.check.model_calls import (
    MODEL_METHODS,
    RECORD_MAKERS,
    make_record,
    model_method,
    own_method,
    schema_type,
    stream_method,
)
from concerto.check.names import associated, of_self
from concerto.check.pipelines import pipeline_method
from concerto.check.places import must_be_held
from concerto.check.tasks import check_race
from concerto.check.tools import tool_call
from concerto.check.types import Type
from concerto.check.variants import Variant, find_variant, variant_help
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast

_CLOSES = re.compile(r"\s*\)")
#: Methods of tasks that the engine answers, with their instructions.
_TASK_METHODS = {"cancel": "cancel", "result": "await_result"}

#: Functions of the prelude with the names of their parameters.
_PRELUDE = {
    "env": ("name",), "len": ("x",), "typeof": ("x",), "panic": ("message",), "assert": ("cond", "message"),
    "assert_eq": ("a", "b"), "assert_ne": ("a", "b"), "Some": ("v",), "Ok": ("v",), "Err": ("e",),
}  # fmt: skip


def check_call(body: Body, node: ast.Call, expected: Type | None) -> Type:
    """The type of a call; what it does is recorded for the lowering."""
    match node.callee:
        case ast.FieldAccess(object=object_, name=name) if not _in_parentheses(body, node.callee):
            return _method(body, node, object_, name, expected)
        case ast.PathExpr(path=path):
            return _named(body, node, path, expected)
        case other:
            from concerto.check.exprs import check_expr

            hint = None
            if isinstance(other, ast.Closure):
                # The arguments tell the types of its parameters.
                given = tuple(check_expr(body, arg.value, None) for arg in node.args)
                hint = t.Function(given, t.Var())
            return check_value_call(body, node, check_expr(body, other, hint))


def _in_parentheses(body: Body, node: ast.Expr) -> bool:
    """Whether a callee is written as `(x.f)`: that is a field which holds a function, no method (6.10)."""
    return _CLOSES.match(body.checker.source.text, node.span.end) is not None


def check_all(body: Body, node: ast.Call) -> None:
    """The arguments of a call that was reported."""
    for arg in node.args:
        check_argument(body, arg.value)


def check_argument(body: Body, value: ast.Expr) -> None:
    """An argument that belongs to no parameter."""
    from concerto.check.exprs import check_expr

    hint = None
    if isinstance(value, ast.Closure):
        # What its parameters are, the call would have said.
        hint = t.Function((t.UNKNOWN,) * len(value.params), t.UNKNOWN)
    check_expr(body, value, hint)


def _named(body: Body, node: ast.Call, path: ast.Path, expected: Type | None) -> Type:
    checker, name = body.checker, str(path)
    if len(path.names) == 1:
        local = body.find(name)
        if local is not None:
            from concerto.check.exprs import check_expr

            return check_value_call(body, node, check_expr(body, node.callee, None))
        if name in checker.functions:
            if checker.functions[name].test is not None:
                check_all(body, node)
                return testing.refuse_use(checker, name, node)
            return call_function(body, node, Method(checker.functions[name], {}), expected)
        if library.is_intrinsic(checker, name):
            return library.check_intrinsic(body, node, name, expected)
        if checker.is_library and name.startswith("_"):
            return std.check_own(body, node, name)
        if name in testing.NAMES:
            return testing.test_call(body, node, name)
        if name == "emit":
            return check_emit(body, node)
        if name in builtins.PRELUDE:
            return _builtin(body, node, name, expected)
        if name in FORMS:
            return check_race(body, node, name, expected)
        if name in checker.structs:
            check_all(body, node)
            checker.report("E3009", f"`{name}` is a type", node.callee, f"write `{name} {{ .. }}`")
            return t.UNKNOWN
    elif len(path.names) == 2 and path.names[0].text in checker.tools:
        return tool_call(body, node, checker.tools[path.names[0].text], path.names[1], expected)
    elif (variant := find_variant(checker, path, expected)) is not None:
        return _variant(body, node, path, variant)
    elif name in ("LlmError::new", "AgentError::new"):
        return _new_error(body, node, name)
    elif name in RECORD_MAKERS:
        return make_record(body, node, name)
    elif (below := std.behind(path)) is not None:
        return std.check_std_call(body, node, path, below, expected)
    else:
        method = associated(body, path)
        if method is not None:
            return call_function(body, node, method, expected)
        check_all(body, node)
        return t.UNKNOWN
    check_all(body, node)
    if path.names[0].text in checker.outside:
        checker.not_yet(f"the use of {checker.outside[path.names[0].text]}", path)
        return t.UNKNOWN
    if path.names[0].text not in checker.refused:
        names = [*checker.functions, *builtins.PRELUDE]
        hint = of_self(body, name) or checker.hint(name, names, path)
        own = [
            full for full, f in checker.functions.items() if full.endswith(f"::{name}") and f.is_pub
        ]
        usual = import_help(own[0]) if own else function_hint(name)
        help_ = usual or _as_method(body, node, name) or hint
        help_ = help_ or variant_help(checker, name)
        if name in checker.pipelines:
            help_ = f"`{name}` is a pipeline: write `{name}.run(..)`"
        elif name in body.declaring:
            help_ = "a closure cannot call itself: declare a `fn`"
        checker.report("E2001", f"there is no function `{name}`", path, help_)
    return t.UNKNOWN


def _as_method(body: Body, node: ast.Call, name: str) -> str | None:
    """The help line for a function that is a method of its first argument."""
    first = node.args[0].value if node.args else None
    type_ = body.checker.facts.types.get(id(first)) if first is not None else None
    if type_ is None or name not in _method_names(body.checker, t.resolve(type_)):
        return None
    return f"it is a method: `x.{name}({'..' if len(node.args) > 1 else ''})`"


def _variant(body: Body, node: ast.Call, path: ast.Path, variant: Variant) -> Type:
    from concerto.check.exprs import check_expr

    if variant.form != "tuple" or len(node.args) != len(variant.fields):
        plural = "s" if len(variant.fields) != 1 else ""
        wanted = f"`{path}` has {len(variant.fields)} part{plural}, found {len(node.args)}"
        if variant.form != "tuple":
            wanted = f"`{path}` is not called"
        help_ = {"unit": f"write `{path}` alone", "struct": f"write `{path} {{ .. }}`"}
        body.checker.report("E3032", wanted, node, help_.get(variant.form))
    for arg, field in zip(node.args, variant.fields, strict=False):
        check_expr(body, arg.value, field.type)
    args = tuple(arg.value for arg in node.args)
    body.checker.facts.calls[id(node)] = CallVariant(variant.type, variant.number, args)
    return variant.type


def _new_error(body: Body, node: ast.Call, name: str) -> Type:
    """`LlmError::new(message)`: the variant `Custom` (E-3)."""
    from concerto.check.exprs import check_expr

    if len(node.args) != 1 or node.args[0].name is not None:
        message = f"`{name}` takes 1 argument, found {len(node.args)}"
        body.checker.report("E3032", message, node)
        check_all(body, node)
        return builtins.LLM_ERROR
    check_expr(body, node.args[0].value, t.STRING)
    arg = node.args[0].value
    body.checker.facts.calls[id(node)] = CallNative("error.llm", arg, (), False)
    return builtins.LLM_ERROR


def _builtin(body: Body, node: ast.Call, name: str, expected: Type | None) -> Type:
    from concerto.check.exprs import check_expr

    checker = body.checker
    wanted = t.resolve(expected) if expected is not None else None
    if name == "parse_schema":
        return _parse_schema(body, node, expected)
    args: tuple[ast.Expr, ...]
    if name in ("print", "println"):
        args = tuple(arg.value for arg in node.args)
        for arg in node.args:
            if arg.name is not None:
                checker.report("E3032", f"`{name}` has no named parameters", arg.name)
    else:
        params = [(each, each == "message" and name == "assert") for each in _PRELUDE[name]]
        placed = place_arguments(body, node, name, params)
        if not placed.is_right:
            check_all(body, node)
            return t.UNKNOWN
        args = tuple(value for value in placed.slots if value is not None)
    checker.facts.calls[id(node)] = CallBuiltin(name, args)
    match name:
        case "env":
            check_expr(body, args[0], t.STRING)
            if isinstance(args[0], ast.Literal) and isinstance(args[0].value, str):
                checker.env.add(args[0].value)
            unset = id(node) in body.unset
            place = body.raising(
                builtins.ENV_ERROR, node, what="`env`", implicit=True, lenient=unset
            )
            checker.facts.raises[id(node)] = Raise("unset", otherwise=place) if unset else place
            return t.Option(t.STRING) if unset else t.STRING
        case "print" | "println":
            for value in args:
                check_expr(body, value, t.ANY)
            return t.NIL
        case "typeof":
            check_expr(body, args[0], None)
            return t.STRING
        case "len":
            found = t.resolve(check_expr(body, args[0], None))
            sized = isinstance(
                found, t.Array | t.Map | t.Tuple | t.Literals | t.Collection | t.Store
            ) or found in (
                t.STRING,
                t.RANGE,
                t.UNKNOWN,
            )
            if not sized:
                help_ = "write `.len()` behind it" if found == t.ANY else None
                checker.report("E3001", f"`{t.show(found)}` has no length", args[0], help_)
            return t.INT
        case "panic":
            check_expr(body, args[0], t.STRING)
            return t.NEVER
        case "assert":
            check_expr(body, args[0], t.BOOL)
            if len(args) > 1:
                check_expr(body, args[1], t.STRING)
            return t.NIL
        case "assert_eq" | "assert_ne":
            left = t.resolve(check_expr(body, args[0], None))
            right = t.resolve(check_expr(body, args[1], left))
            if t.contains(left, t.STREAM) or isinstance(left, t.Function):
                checker.report("E3004", f"`{t.show(left)}` cannot be compared", args[0])
            return t.NIL if right != t.UNKNOWN else t.UNKNOWN
        case "Some":
            inner = check_expr(body, args[0], wanted.item if isinstance(wanted, t.Option) else None)
            return wanted if isinstance(wanted, t.Option) else t.Option(inner)
        case "Ok":
            inner = check_expr(body, args[0], wanted.ok if isinstance(wanted, t.Result) else None)
            return wanted if isinstance(wanted, t.Result) else t.Result(inner, t.Var())
        case "Err":
            inner = check_expr(body, args[0], wanted.err if isinstance(wanted, t.Result) else None)
            return wanted if isinstance(wanted, t.Result) else t.Result(t.Var(), inner)
        case _:
            check_all(body, node)
            checker.not_yet(f"`{name}`", node.callee)
            return t.UNKNOWN


def _tool(body: Body, node: ast.Expr) -> ToolInfo | None:
    """The tool that an expression names, unless a variable hides it."""
    if not isinstance(node, ast.PathExpr) or body.find(str(node.path)) is not None:
        return None
    return body.checker.tools.get(str(node.path))


def _method(
    body: Body, node: ast.Call, object_: ast.Expr, name: ast.Name, expected: Type | None
) -> Type:
    from concerto.check.exprs import check_expr

    checker = body.checker
    if is_memory(checker, object_):
        return check_memory_call(body, node, name)
    tool = _tool(body, object_)
    if tool is not None:
        return tool_call(body, node, tool, name, expected)
    receiver = t.resolve(check_expr(body, object_, None))
    if receiver == t.UNKNOWN:
        check_all(body, node)
        return t.UNKNOWN
    if receiver == t.ANY and name.text != "to_string":
        of_reply = reply_method(body, node, object_, name.text)
        return of_reply or any_method(body, node, object_, name)
    if receiver == t.MODEL:
        function = own_method(body, object_, name.text)
        if function is not None and function.is_method:
            return call_function(body, node, Method(function, {}), expected, object_)
    own = methods.own(checker, receiver, name.text)
    if own is not None and own.function.is_method:
        return call_function(body, node, own, expected, object_)
    if receiver in (t.MODEL, t.BUILDER):
        found = None
        if name.text not in MODEL_METHODS:
            found = methods.find(checker, receiver, name.text, name, called=True)
        if found is not None:
            return call_function(body, node, found, expected, object_)
        return model_method(body, node, object_, name, expected)
    if receiver == t.STREAM:
        return stream_method(body, node, object_, name)
    if isinstance(receiver, t.Pipeline):
        return pipeline_method(body, node, object_, name, receiver)
    if isinstance(receiver, t.Task) and name.text in _TASK_METHODS:
        return _task_method(body, node, object_, name.text, receiver)
    if isinstance(receiver, t.Tuple) and name.text == "len" and not node.args:
        checker.facts.calls[id(node)] = CallBuiltin("len", (object_,))
        return t.INT
    if isinstance(receiver, t.Result) and name.text == "context":
        return _context(body, node, object_, receiver)
    method = builtins.method(receiver, name.text)
    if method is None:
        table, _ = builtins.receiver(receiver) or ("", {})
        forms = library.find(checker, table, name.text) if table else []
        if forms:
            return library.call_method(body, node, object_, receiver, forms)
        found = methods.find(checker, receiver, name.text, name, called=True)
        if found is not None:
            return call_function(body, node, found, expected, object_)
        check_all(body, node)
        _no_method(body, receiver, name)
        return t.UNKNOWN
    placed = place_arguments(body, node, name.text, [(each, False) for each in method.names])
    for value, param in zip(placed.slots, method.params, strict=True):
        if value is not None:
            check_expr(body, value, param)
    for value in placed.left:
        check_expr(body, value, None)
    if not placed.is_right:
        return method.result
    if method.mutates:
        must_be_held(body, object_, name.text)
    args = tuple(value for value in placed.slots if value is not None)
    checker.facts.calls[id(node)] = CallNative(method.native, object_, args, method.mutates)
    return method.result


def _task_method(body: Body, node: ast.Call, task: ast.Expr, method: str, of: t.Task) -> Type:
    if node.args:
        message = f"`{method}` takes 0 arguments, found {len(node.args)}"
        body.checker.report("E3032", message, node)
        check_all(body, node)
    body.checker.facts.calls[id(node)] = CallTask(_TASK_METHODS[method], task)
    return t.NIL if method == "cancel" else t.Result(of.item, builtins.TASK_ERROR)


def _context(body: Body, node: ast.Call, object_: ast.Expr, receiver: t.Result) -> Type:
    """`Result.context(note)` puts a note in front of the message of an error and keeps its type (library reference 3.8)."""
    from concerto.check.exprs import check_expr

    if len(node.args) != 1 or (node.args[0].name and node.args[0].name.text != "msg"):
        message = f"`context` takes 1 argument (msg), found {len(node.args)}"
        body.checker.report("E3032", message, node)
        check_all(body, node)
        return receiver
    note = node.args[0].value
    check_expr(body, note, t.STRING)
    err = t.resolve(receiver.err)
    if isinstance(err, t.Var):
        err = t.STRING
        t.assign(err, receiver.err)
    body.checker.facts.calls[id(node)] = CallContext(object_, note)
    return receiver


def _method_names(checker: Checker, receiver: Type) -> list[str]:
    """All methods of a type."""
    table, _ = builtins.receiver(receiver) or ("", {})
    own = [*builtins.method_names(receiver), *library.method_names(table)] if table else []
    own += ["len"] if isinstance(receiver, t.Tuple) else []
    more = [*_TASK_METHODS] if isinstance(receiver, t.Task) else []
    more += ["context"] if isinstance(receiver, t.Result) else []
    return [*own, *more, *methods.names(checker, receiver)]


def _inside_help(checker: Checker, receiver: Type, name: str) -> str | None:
    """The help line for a method of what an Option, a Result or a future holds."""
    match receiver:
        case t.Option(inner):
            help_ = "take the value out first: add `?`, or `?? ..` for another one"
        case t.Result(inner, _):
            help_ = "take the value out first: add `?`, or match on it"
        case t.Future(inner):
            help_ = "await it first: `(await x)`"
        case _:
            return None
    return help_ if name in _method_names(checker, t.resolve(inner)) else None


def _no_method(body: Body, receiver: Type, name: ast.Name) -> None:
    """E3011."""
    checker, shown = body.checker, t.show(receiver)
    if name.text in checker.refused:
        return  # it stands in what could not be read
    names = _method_names(checker, receiver)
    help_ = method_hint(name.text, names)
    found = methods.find(checker, receiver, name.text, name)
    inside = _inside_help(checker, receiver, name.text)
    if inside is not None:
        help_ = inside
    elif found is not None:
        help_ = f"it has no `self`, so write `{shown.partition('<')[0]}::{name}(..)`"
    elif isinstance(receiver, t.Struct) and receiver.name in checker.structs:
        fields = checker.structs[receiver.name].fields
        if any(f.name == name.text and isinstance(f.type, t.Function) for f in fields):
            help_ = f"call the function in the field: `(x.{name})(..)`"
    elif isinstance(receiver, t.Opaque):
        traits = [trait.name for trait in checker.traits.values() if name.text in trait.methods]
        if traits:
            help_ = f"give it the bound: `{shown}: {traits[0]}`"
    checker.report("E3011", f"`{shown}` has no method `{name}`", name, help_)


def _parse_schema(body: Body, node: ast.Call, expected: Type | None) -> Type:
    """`parse_schema<T>(text)`: judged as an answer would be, once (rule SC-23)."""
    from concerto.check.exprs import check_expr

    if len(node.args) != 1 or node.args[0].name is not None:
        message = f"`parse_schema` takes 1 argument, found {len(node.args)}"
        body.checker.report("E3032", message, node)
        check_all(body, node)
        return t.UNKNOWN
    value = node.args[0].value
    found = t.resolve(check_expr(body, value, None))
    if found not in (t.STRING, builtins.RESPONSE, t.UNKNOWN) and not isinstance(found, t.Literals):
        message = f"expected `String` or `Response`, found `{t.show(found)}`"
        body.checker.report("E3001", message, value)
    answer = schema_type(body, node, "parse_schema", expected)
    if answer is not None:
        of_response = found == builtins.RESPONSE
        body.checker.facts.calls[id(node)] = ParseSchema(answer, value, of_response)
    return t.Result(answer or t.UNKNOWN, builtins.LLM_ERROR)


def _union_field(body: Body, node: ast.FieldAccess, union: t.Union) -> Type:
    """A field that every member has, with one type (6.7)."""
    name, types = node.name.text, []
    for member in union.members:
        fields = _fields_of(body, member)
        if name not in fields:
            message = f"`{t.show(member)}`, which this may be, has no field `{name}`"
            body.checker.report("E3011", message, node.name, "match on it first")
            return t.UNKNOWN
        types.append(t.resolve(fields[name]))
    if len(set(types)) > 1:
        shown = " or ".join(f"`{t.show(type_)}`" for type_ in dict.fromkeys(types))
        message = f"the field `{name}` is {shown}, depending on the value"
        body.checker.report("E3011", message, node.name, "match on it first")
        return t.UNKNOWN
    return types[0]


def _fields_of(body: Body, type_: Type) -> dict[str, Type]:
    type_ = t.resolve(type_)
    if not isinstance(type_, t.Struct):
        return {}
    if type_.origin in ("record", "error"):
        return builtins.records()[type_.name][1]
    return {field.name: field.type for field in body.checker.structs[type_.name].fields}


def check_field(body: Body, node: ast.FieldAccess) -> Type:
    """The type of `x.name`."""
    from concerto.check.exprs import check_expr

    checker, name = body.checker, node.name.text
    found = t.resolve(check_expr(body, node.object, None))
    if found in (t.MODEL, t.BUILDER):
        checker.report(
            "E3011", f"a model has no field `{name}`", node.name, "call it: `.execute(..)`"
        )
        return t.UNKNOWN
    if isinstance(found, t.Struct) and found != builtins.PROMPT:
        if found.origin in ("record", "error"):
            fields = builtins.records()[found.name][1]
            code = "E4032"
        else:
            fields = {f.name: f.type for f in checker.structs[found.name].fields_of(found)}
            code = "E3011"
        if name in fields:
            if found.origin == "struct":
                info = checker.structs[found.name]
                checker.may_see(info, info.fields[list(fields).index(name)], node.name)
            checker.facts.fields[id(node)] = list(fields).index(name)
            return fields[name]
        hint = builtins.FIELD_HINTS.get((found.name, name))
        help_ = f"did you mean `{hint}`?" if hint else did_you_mean(name, list(fields))
        if help_ is None and found.origin not in ("record", "error") and 0 < len(fields) <= 8:
            help_ = f"it has: {', '.join(fields)}"
        checker.report(code, f"`{found.name}` has no field `{name}`", node.name, help_)
        return t.UNKNOWN
    if found == t.ERROR and name in ("message", "kind"):
        # The first two fields of every built-in error.
        checker.facts.fields[id(node)] = ("message", "kind").index(name)
        return t.STRING
    if found == t.UNKNOWN:
        return t.UNKNOWN
    if found == t.ANY:
        return t.ANY
    if isinstance(found, t.Union):
        return _union_field(body, node, found)
    help_ = None
    if isinstance(found, t.Future):
        help_ = "await it first: `(await x).field`"
    elif isinstance(found, t.Result):
        help_ = "add `?` to take the value out of the `Result`"
    elif isinstance(found, t.Option):
        help_ = "add `?? ..` for the case of `None`, or match on it"
    elif isinstance(found, t.Map):
        help_ = f'write `["{name}"]`'
    elif name in (known := _method_names(checker, found)):
        help_ = f"it is a method: `.{name}()`"
    else:
        help_ = method_hint(name, known, "`.{}()`")
    checker.report("E3011", f"`{t.show(found)}` has no field `{name}`", node.name, help_)
    return t.UNKNOWN
