"""Loops, and what leaves them or the function, to code."""

from __future__ import annotations

from concerto.check import types as t
from concerto.lower.branches import lower_condition
from concerto.lower.functions import Builder, Label, LoopTarget, type_of
from concerto.lower.patterns import bind_pattern
from concerto.lower.tasks import lower_parallel
from concerto.lower.tries import close_streams, raise_error
from concerto.syntax import ast


def lower_loop(builder: Builder, node: ast.Loop | ast.While | ast.For, target: int | None) -> None:
    """A loop; the value of `break` goes to the target."""
    from concerto.lower.exprs import lower_unused

    if isinstance(node, ast.For) and node.parallel is not None:
        lower_parallel(builder, node, builder.temporary() if target is None else target)
        return
    label = node.label.text if node.label else None
    is_stream = isinstance(node, ast.For) and type_of(builder, node.iterable) == t.STREAM
    depth = len(builder.streams) + int(is_stream)
    loop = LoopTarget(label, target if isinstance(node, ast.Loop) else None, depth)
    builder.loops.append(loop)
    match node:
        case ast.While():
            builder.place(loop.again)
            lower_condition(builder, node.condition, loop.end)
            lower_unused(builder, node.body)
            builder.emit("jump", loop.again)
        case ast.For():
            _for(builder, node, loop)
        case ast.Loop():
            builder.place(loop.again)
            lower_unused(builder, node.body)
            builder.emit("jump", loop.again)
    builder.place(loop.end)
    builder.loops.pop()
    if target is not None and not isinstance(node, ast.Loop):
        builder.emit("nil", target)


def _for(builder: Builder, node: ast.For, loop: LoopTarget) -> None:
    from concerto.lower.exprs import lower_into, lower_unused

    found = type_of(builder, node.iterable)
    if found == t.RANGE:
        _for_range(builder, node, loop)
        return
    subject = builder.temporary()
    lower_into(builder, node.iterable, subject)
    if found == t.ANY:
        builder.emit("native", subject, "any.items", subject, 1, at=node.iterable)
    if isinstance(found, t.Collection):
        native = f"{found.name.lower()}.to_array"
        builder.emit("native", subject, native, subject, 1)
    if isinstance(found, t.Store):
        # The loop sees what there was when it began.
        builder.emit("native", subject, "store.to_map", subject, 1)
        found = t.Map(found.key, found.value)
    if found == t.STREAM:
        _for_stream(builder, node, loop, subject)
        return
    index = builder.temporary()
    builder.emit("int", index, 0)
    pair = builder.temporary(2) if isinstance(found, t.Map) else 0
    item = pair if isinstance(found, t.Map) else builder.temporary()
    builder.place(loop.again)
    builder.emit(
        "map_next" if isinstance(found, t.Map) else "array_next", item, subject, index, loop.end
    )
    if isinstance(found, t.Map):
        assert isinstance(node.pattern, ast.TuplePattern)
        for position, part in enumerate(node.pattern.items):
            bind_pattern(builder, part, pair + position)
    else:
        if found == t.ANY and isinstance(node.pattern, ast.TuplePattern):
            pair_type = builder.type(t.Tuple((t.ANY,) * len(node.pattern.items)))
            builder.emit("check_type", item, item, pair_type, at=node.pattern)
        bind_pattern(builder, node.pattern, item)
    lower_unused(builder, node.body)
    builder.emit("jump", loop.again)


def _for_range(builder: Builder, node: ast.For, loop: LoopTarget) -> None:
    from concerto.lower.exprs import lower_into, lower_unused

    range_ = node.iterable
    bounds = builder.temporary(2)
    if isinstance(range_, ast.Binary) and range_.op == "..":
        lower_into(builder, range_.left, bounds)
        lower_into(builder, range_.right, bounds + 1)
    elif isinstance(range_, ast.OpenRange) and range_.start is not None:
        # No end is nil, so that the largest number has its turn.
        lower_into(builder, range_.start, bounds)
        builder.emit("nil", bounds + 1)
    else:
        subject = builder.temporary()
        lower_into(builder, range_, subject)
        builder.emit("range_bounds", bounds, subject)
    item = builder.temporary()
    builder.place(loop.again)
    builder.emit("range_next", item, bounds, bounds + 1, loop.end)
    bind_pattern(builder, node.pattern, item)
    lower_unused(builder, node.body)
    builder.emit("jump", loop.again)


def _for_stream(builder: Builder, node: ast.For, loop: LoopTarget, stream: int) -> None:
    from concerto.lower.exprs import lower_unused

    failed, done = Label(), Label()
    item = builder.temporary()
    builder.place(loop.again)
    builder.emit("stream_next", item, stream, done, failed, at=node.iterable)
    bind_pattern(builder, node.pattern, item)
    builder.streams.append(stream)
    lower_unused(builder, node.body)
    builder.streams.pop()
    builder.emit("jump", loop.again)
    builder.place(failed)
    raise_error(builder, builder.facts.raises[id(node)], item, node.iterable)
    # `break` comes here: it closes the stream.
    builder.place(loop.end)
    builder.emit("stream_close", stream)
    loop.end = Label()
    builder.place(done)


def lower_leave(builder: Builder, node: ast.Expr) -> None:
    """`return`, `throw`, `break` and `continue`."""
    from concerto.lower.exprs import lower_into, lower_unused

    match node:
        case ast.Return(value=None):
            close_streams(builder, 0)
            builder.give_back(None)
        case ast.Return(value=ast.Expr() as value):
            result = builder.temporary()
            lower_into(builder, value, result)
            close_streams(builder, 0)
            builder.give_back(result)
        case ast.Throw(value=value):
            error = builder.temporary()
            lower_into(builder, value, error)
            raise_error(builder, builder.facts.raises[id(node)], error, node)
        case ast.Break(label=label, value=value):
            loop = _target_loop(builder, label)
            if loop.value is not None:
                if value is not None:
                    lower_into(builder, value, loop.value)
                else:
                    builder.emit("nil", loop.value)
            elif value is not None:
                lower_unused(builder, value)
            close_streams(builder, loop.depth)
            builder.emit("jump", loop.end)
        case ast.Continue(label=label):
            loop = _target_loop(builder, label)
            close_streams(builder, loop.depth)
            builder.emit("jump", loop.again)
        case _:
            raise AssertionError(node)


def _target_loop(builder: Builder, label: ast.Name | None) -> LoopTarget:
    if label is None:
        return builder.loops[-1]
    return next(loop for loop in reversed(builder.loops) if loop.label == label.text)
