"""`emit`, with a reply as well as without (LLM reference 7; language reference 10.5).

A reply that no type is expected of is of type `Any`: the plain value, or `Err(EmitError)`. Since a plain value came as JSON it is never a Result
itself, so a place that is known to hold such a reply tells good from bad by that alone: its mark (EM-7) is a matter of the check, not of values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.bodies import Body, conversion
from concerto.check.called import CallEmit, CallReply
from concerto.check.checked import AskInfo, Local, Need
from concerto.check.generics import mentions_parameter
from concerto.check.types import Type
from concerto.records import record
from concerto.syntax import ast
from concerto.syntax.walk import children

if TYPE_CHECKING:
    from concerto.check.checker import Checker

_RESERVED_CHANNELS = ("pipeline:", "listen:", "audit:")
_PARAMS: tuple[tuple[str, Type | None], ...] = (("channel", t.STRING), ("payload", None))
#: What a reply without an expected type has besides what every `Any` has.
_REPLY_METHODS = ("is_ok", "is_err", "unwrap", "unwrap_or")
#: What a reply stands for.
REPLY_RESULT = t.Result(t.ANY, builtins.EMIT_ERROR)


@record()
class Channel:
    """A channel that a program names: what it sends there, and what it expects to be answered, if it asks."""

    name: str
    payload: Type
    reply: Type | None


def check_emit(body: Body, node: ast.Call) -> Type:
    """The type of an `emit` that asks nothing."""
    _emit(body, node, None)
    return t.NIL


def _emit(body: Body, node: ast.Call, reply: Type | None) -> bool:
    """Checks channel and payload; whether they are there."""
    from concerto.check.exprs import check_expr
    from concerto.check.model_calls import arguments

    wanted = _payload_type(body, node)
    given = arguments(body, node, "emit", _PARAMS, 1 if wanted is None else 2)
    if given is None:
        from concerto.check.calls import check_all

        check_all(body, node)
        return False
    channel, payload = given
    assert channel is not None
    fit = None
    found: Type = t.NIL
    if payload is not None and wanted is not None:
        payload, fit = _fitting(body, payload, wanted)
        found = wanted
    elif payload is not None:
        found = check_expr(body, payload, t.ANY)
        _sendable(body, payload, found)
    _name(body, channel, Channel("", found, reply))
    body.checker.facts.calls[id(node)] = CallEmit(channel, payload, fit)
    return True


def _name(body: Body, node: ast.Expr, channel: Channel) -> None:
    """E4052, W4020; what hosts are told of a channel that is written down (EM-15)."""
    checker = body.checker
    if not isinstance(node, ast.Literal) or not isinstance(node.value, str):
        return
    name = node.value
    if not name:
        checker.report("E4052", "the name of a channel is empty", node)
    elif name.startswith(_RESERVED_CHANNELS) or name in ("panic", "task:error"):
        checker.report("W4020", f"the channel `{name}` is reserved for the runtime", node)
    in_test, here = body.in_test, body
    while here.outer is not None:
        here = here.outer
        in_test = in_test or here.in_test
    if not checker.is_library and not in_test:
        checker.channels.append(Channel(name, channel.payload, channel.reply))


def _payload_type(body: Body, node: ast.Call) -> Type | None:
    """`S` of `emit<S>`."""
    from concerto.check.collect import written_type

    if not node.type_args:
        return None
    if len(node.type_args) > 1:
        body.checker.report("E3017", "`emit` takes 1 type argument", node.type_args[1])
    type_ = t.resolve(written_type(body.checker, node.type_args[0]))
    return _expressible(body, type_, "`emit`", node.type_args[0])


def _expressible(body: Body, type_: Type, what: str, at: ast.Node) -> Type:
    """E4035 for a type that JSON cannot carry."""
    from concerto.check.schemas import inexpressible

    if mentions_parameter(type_):
        # Each use of the function says what it is.
        body.demands.needs.append(Need(type_, what, at))
        return type_
    bad = inexpressible(body.checker, type_)
    if bad is None:
        return type_
    inside = "" if bad == type_ else f" in `{t.show(type_)}`"
    message = f"`{t.show(bad)}`{inside} cannot be expressed as JSON"
    body.checker.report("E4035", message, at)
    return t.UNKNOWN


def _fitting(body: Body, payload: ast.Expr, wanted: Type) -> tuple[ast.Expr, Type | None]:
    """The payload of a typed `emit` (EM-14), and the type that one of type `Any` is judged by when it is sent."""
    from concerto.check.exprs import check_expr, infer_operand

    literal = _as_struct(payload, wanted)
    if literal is not None:
        check_expr(body, literal, wanted)
        return literal, None
    if isinstance(payload, ast.Block | ast.If | ast.Match | ast.TryCatch):
        check_expr(body, payload, wanted)
        return payload, None
    found = t.resolve(infer_operand(body, payload, wanted))
    if found == t.ANY and wanted != t.ANY:
        return payload, wanted
    steps = t.assign(found, wanted)
    if steps is None:
        body.checker.mismatch(wanted, found, payload)
    elif steps:
        body.checker.facts.steps[id(payload)] = (steps, wanted)
    return payload, None


def _as_struct(payload: ast.Expr, wanted: Type) -> ast.StructLiteral | None:
    """A map literal with written keys as the struct literal that it stands for."""
    if not isinstance(payload, ast.MapLiteral | ast.Block) or not isinstance(wanted, t.Struct):
        return None
    if isinstance(payload, ast.Block) and (payload.statements or payload.tail is not None):
        return None
    fields = []
    for entry in payload.entries if isinstance(payload, ast.MapLiteral) else ():
        if not isinstance(entry.key, ast.Literal) or not isinstance(entry.key.value, str):
            return None
        name = ast.Name(span=entry.key.span, text=entry.key.value)
        fields.append(ast.FieldValue(span=entry.span, name=name, value=entry.value))
    name = ast.Name(span=payload.span, text=wanted.name)
    path = ast.Path(span=payload.span, names=(name,))
    return ast.StructLiteral(span=payload.span, path=path, fields=tuple(fields))


def _sendable(body: Body, node: ast.Expr, found: Type) -> None:
    """E4033: streams, futures and builders mean nothing to a host."""
    match node:
        case ast.ArrayLiteral(items=items) | ast.TupleLiteral(items=items):
            values = items
        case ast.MapLiteral(entries=entries):
            values = tuple(entry.value for entry in entries)
        case _:
            if t.contains(found, t.STREAM):
                message, help_ = "a stream cannot be emitted", "emit its chunks in a `for` loop"
                body.checker.report("E4033", message, node, help_)
            elif t.contains(found, t.BUILDER):
                message, help_ = "a builder cannot be emitted", "emit what it answers"
                body.checker.report("E4033", message, node, help_)
            elif _has_future(found):
                body.checker.report("E4033", "a future cannot be emitted", node, "await it first")
            return
    for value in values:
        type_ = body.checker.facts.types[id(value)]
        # A stream in a literal was reported as stored.
        if t.resolve(type_) != t.STREAM:
            _sendable(body, value, type_)


def _has_future(type_: Type) -> bool:
    return isinstance(t.resolve(type_), t.Future) or any(map(_has_future, t.parts(type_)))


# Asks


def asked(body: Body, node: ast.Expr) -> ast.Call | None:
    """The `emit` that `await` of an expression asks with."""
    if not isinstance(node, ast.Call) or not isinstance(node.callee, ast.PathExpr):
        return None
    is_emit = str(node.callee.path) == "emit" and body.find("emit") is None
    return node if is_emit and "emit" not in body.checker.functions else None


def is_ask(body: Body, node: ast.Expr) -> bool:
    """Whether an expression is an ask."""
    return isinstance(node, ast.Await) and asked(body, node.operand) is not None


def check_ask(body: Body, node: ast.Await, call: ast.Call, expected: Type | None) -> Type:
    """The type of an ask: what its place expects (10.5)."""
    wanted = t.resolve(expected) if expected is not None else t.ANY
    is_result = isinstance(wanted, t.Result)
    reply = t.resolve(wanted.ok) if isinstance(wanted, t.Result) else wanted
    if isinstance(reply, t.Var):
        reply.bound = t.ANY
        reply = t.ANY
    if reply not in (t.ANY, t.UNKNOWN):
        reply = _expressible(body, reply, "`await emit`", node)
    if not _emit(body, call, reply):
        return t.UNKNOWN
    form = "result" if is_result else "plain" if reply in (t.ANY, t.UNKNOWN) else "value"
    info = AskInfo(call, reply, form)
    if isinstance(wanted, t.Result):
        _convert(body, node, info, wanted)
    body.checker.facts.asks[id(node)] = info
    return wanted


def _convert(body: Body, node: ast.Await, info: AskInfo, wanted: t.Result) -> None:
    """How the error of an ask becomes that of the Result that is expected; E3035."""
    err = wanted.err
    steps = t.assign(builtins.EMIT_ERROR, err)
    if steps is not None:
        info.steps, info.error = steps, err
        return
    info.convert = conversion(body, builtins.EMIT_ERROR, err, node)
    if info.convert is None and t.resolve(err) != t.UNKNOWN:
        shown = t.show(err)
        message = f"`EmitError` does not convert to `{shown}`"
        help_ = f"expect a `Result<{t.show(wanted.ok)}, EmitError>`"
        if isinstance(t.resolve(err), t.Struct | t.Enum) and not t.is_error(err):
            help_ += f", or write `impl From<EmitError> for {shown} {{ .. }}`"
        body.checker.report("E3035", message, node, help_)


# Replies that no type was expected of


def is_reply(body: Body, node: ast.Expr) -> bool:
    """Whether an expression that was checked is a reply with its mark, in each of its branches."""
    facts = body.checker.facts
    ends = [e for e in ends_of(node) if t.resolve(facts.types.get(id(e), t.UNKNOWN)) != t.NEVER]
    return bool(ends) and all(_is_marked(body, end) for end in ends)


def _is_marked(body: Body, node: ast.Expr) -> bool:
    ask = body.checker.facts.asks.get(id(node))
    if ask is not None:
        return ask.form == "plain"
    name = body.checker.facts.names.get(id(node))
    return isinstance(name, Local) and name.is_reply


def ends_of(node: ast.Expr) -> list[ast.Expr]:
    """The expressions of which one gives the value of an expression."""
    match node:
        case ast.Block(tail=ast.Expr() as tail):
            return ends_of(tail)
        case ast.If(then=then, other=ast.Expr() as other):
            return ends_of(then) + ends_of(other)
        case ast.Match(arms=arms):
            return [end for arm in arms for end in ends_of(arm.body)]
        case _:
            return [node]


def keeps_mark(body: Body, name: str) -> bool:
    """Whether all that a function assigns to variables of a name are replies, so that one that begins as a reply always is one."""
    while body.outer is not None:
        body = body.outer
    found = list(body.roots)
    for node in found:  # grows
        found += children(node)
        match node:
            case ast.Assign(place=ast.PathExpr(path=path)) if str(path) == name:
                if node.op or not all(is_ask(body, end) for end in ends_of(node.value)):
                    return False
            case _:
                pass
    return bool(found)


def subject_type(body: Body, node: ast.Expr, found: Type) -> Type:
    """What a pattern meets: of a reply, good or bad."""
    return t.REPLY if found == t.ANY and is_reply(body, node) else found


def as_result(body: Body, node: ast.Expr, at: ast.Expr) -> Type | None:
    """A reply as the Result that `?` at a place sees; None if an expression is no reply."""
    if not is_reply(body, node):
        return None
    body.checker.facts.replies.add(id(at))
    return REPLY_RESULT


def reply_method(body: Body, node: ast.Call, object_: ast.Expr, name: str) -> Type | None:
    """The type of a method that a reply has by its mark; None for any other."""
    from concerto.check.exprs import check_expr

    method = builtins.method(REPLY_RESULT, name) if name in _REPLY_METHODS else None
    if method is None or len(method.params) != len(node.args) or not is_reply(body, object_):
        return None
    if any(arg.name is not None for arg in node.args):
        return None
    for arg, param in zip(node.args, method.params, strict=True):
        check_expr(body, arg.value, param)
    args = tuple(arg.value for arg in node.args)
    body.checker.facts.calls[id(node)] = CallReply(method.native, object_, args)
    return method.result


def channels(checker: Checker) -> list[tuple[str, list[str], list[str]]]:
    """The channels that a program names, by name: the types of what is sent there, and of the replies that are expected."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for each in checker.channels:
        payloads, replies = found.setdefault(each.name, ({}, {}))
        payloads[t.show(t.settled(each.payload))] = None
        if each.reply is not None:
            replies[t.show(t.settled(each.reply))] = None
    return [(name, [*found[name][0]], [*found[name][1]]) for name in sorted(found)]
