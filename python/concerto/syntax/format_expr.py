"""Expressions and statements as canonical source: parentheses only where the grammar or the token filter needs them."""

from __future__ import annotations

import re
from dataclasses import replace

from concerto.records import record
from concerto.syntax import ast
from concerto.syntax.format_parts import (
    config_key,
    constant,
    escaped,
    path,
    pattern,
    pattern_atom,
    result,
    string,
    type_,
    type_atom,
)
from concerto.syntax.layout import (
    LINE,
    SPACE,
    Doc,
    Group,
    Indent,
    Verbatim,
    bracketed,
    joined,
    render,
)
from concerto.syntax.spelling import is_grouped, number_written, spelled, written

#: How tightly operators bind, and which of their operands may have the same strength without parentheses.
_LEVELS = {
    "|>": (2, "left"), "??": (3, "left"), "||": (4, "left"), "&&": (5, "left"), "==": (6, ""), "!=": (6, ""),
    "<": (7, ""), ">": (7, ""), "<=": (7, ""), ">=": (7, ""), "..": (8, ""), "..=": (8, ""),
    "+": (9, "left"), "-": (9, "left"), "*": (10, "left"), "/": (10, "left"), "%": (10, "left"),
}  # fmt: skip
_LOOSE, _ASSIGN, _RANGE, _AS, _UNARY, _TRY, _AWAIT, _TIGHT = 0, 1, 8, 11, 12, 13, 14, 15

_BLOCK_LIKE = (
    ast.Block, ast.If, ast.Match, ast.Loop, ast.While, ast.For, ast.TryCatch, ast.Listen,
)  # fmt: skip


@record()
class Around:
    """What stands around an expression."""

    is_head: bool = False
    """A body brace follows at this depth of brackets: no other brace may stand here."""
    in_settings: bool = False
    """In a block of settings, where bare words are keys of maps."""

    def inside(self) -> Around:
        """Within brackets, where a head ends."""
        return replace(self, is_head=False)


_PLAIN = Around()


def expression(node: ast.Expr, around: Around = _PLAIN, strength: int = 0) -> Doc:
    """An expression where operators of at least this strength may stand."""
    inside = _strength(node) < strength or (around.is_head and _hurts_heads(node))
    if isinstance(node, ast.MapLiteral) and not node.entries:
        inside = True  # elsewhere it would be an empty block; `place_value` knows where it is not
    if isinstance(node, ast.Block) and not node.statements and node.tail is None:
        inside = False  # within parentheses it would be an empty map
    grouped = is_grouped(node)
    inside = inside if grouped is None else grouped
    return ("(", _written(node, around.inside()), ")") if inside else _written(node, around)


def place_value(node: ast.Expr, *, in_settings: bool = False) -> Doc:
    """An expression behind `=`, `:`, `,` or an opening bracket."""
    if isinstance(node, ast.MapLiteral) and not node.entries and not is_grouped(node):
        return "{}"
    if isinstance(node, ast.Block) and not node.statements and node.tail is None:
        # Without `;` it would be an empty map.
        return ("{", Indent((LINE, ";")), LINE, "}")
    return expression(node, Around(in_settings=in_settings))


def _strength(node: ast.Expr) -> int:
    match node:
        case ast.Binary(op=op):
            return _LEVELS[op][0]
        case ast.Assign():
            return _ASSIGN
        case ast.OpenRange():
            return _RANGE
        case ast.Cast():
            return _AS
        case ast.Unary():
            return _UNARY
        case ast.Literal(value=int() | float() as value) if str(value).startswith("-"):
            return _UNARY
        case ast.Try():
            return _TRY
        case ast.Await() | ast.Spawn():
            return _AWAIT
        case ast.Return() | ast.Throw() | ast.Break() | ast.Closure() | ast.Continue():
            return _LOOSE
        case _ if isinstance(node, _BLOCK_LIKE):
            return _LOOSE
        case _:
            return _TIGHT


def _hurts_heads(node: ast.Expr) -> bool:
    return (
        isinstance(node, (*_BLOCK_LIKE, ast.StructLiteral, ast.MapLiteral))
        or _strength(node) == _LOOSE
    )


def _written(node: ast.Expr, around: Around) -> Doc:
    match node:
        case ast.Literal(value=int() | float() as value):
            return number_written(node.span) or constant(value)
        case ast.Literal() | ast.Interpolated() if (text := spelled(node)) is not None:
            return text
        case ast.Literal(value=str() as text):
            return _text((text,), ())
        case ast.Literal(value=value):
            return constant(value)
        case ast.Interpolated():
            return _text(node.pieces, node.values)
        case ast.PathExpr():
            return path(node.path)
        case ast.SelfExpr():
            return "self"
        case ast.Binary():
            return _binary(node, around)
        case ast.OpenRange():
            start = expression(node.start, around, _RANGE + 1) if node.start else ""
            end = expression(node.end, around, _RANGE + 1) if node.end else ""
            return (start, "..=" if node.inclusive else "..", end)
        case ast.Unary():
            # A number directly after `-` would become a negative literal.
            is_number = isinstance(node.operand, ast.Literal) and node.op == "-"
            strength = _TIGHT + 1 if is_number else _UNARY
            return (node.op, expression(node.operand, around, strength))
        case ast.Assign():
            place = expression(node.place, around, _TIGHT)
            if around.is_head:
                return (place, f" {node.op}= ", expression(node.value, around, _ASSIGN))
            return (place, f" {node.op}= ", place_value(node.value, in_settings=around.in_settings))
        case ast.Await() | ast.Spawn():
            word = "await " if isinstance(node, ast.Await) else "spawn "
            if word == "await " and not (written(node.span) or word).startswith("await"):
                return (expression(node.operand, around, _TIGHT), ".await")
            if isinstance(node, ast.Spawn) and isinstance(node.operand, ast.Block):
                return (word, block(node.operand))
            return (word, expression(node.operand, around, _AWAIT))
        case ast.Cast():
            return (expression(node.operand, around, _AS), " as ", type_atom(node.type))
        case ast.Try():
            return (expression(node.operand, around, _TRY), "?")
        case ast.FieldAccess():
            return (expression(node.object, around, _TIGHT), f".{node.name}")
        case ast.TupleAccess():
            is_number = isinstance(node.object, ast.Literal)
            strength = _TIGHT + 1 if is_number else _TIGHT
            return (expression(node.object, around, strength), f".{node.index}")
        case ast.Index():
            at = place_value(node.index, in_settings=around.in_settings)
            return (expression(node.object, around, _TIGHT), "[", at, "]")
        case ast.Call():
            return _call(node, around)
        case ast.Return() | ast.Throw() | ast.Break() | ast.Continue():
            return _leaving(node, around)
        case ast.Closure():
            return _closure(node, around)
        case ast.StructLiteral():
            fields = (
                (f.name.text, ": ", place_value(f.value)) if f.value else f.name.text
                for f in node.fields
            )
            return (path(node.path), " ", bracketed("{", fields, "}", " "))
        case ast.TupleLiteral(items=items):
            return bracketed("(", _values(items), ")", lone="," if len(items) == 1 else "")
        case ast.ArrayLiteral():
            return bracketed("[", _values(node.items, around), "]")
        case ast.MapLiteral():
            return bracketed("{", (_entry(entry, around) for entry in node.entries), "}", " ")
        case _:
            return _block_like(node, around)


def _values(items: tuple[ast.Expr, ...], around: Around = _PLAIN) -> list[Doc]:
    """Elements. `a < b, c > (d)` would be a call of `a<b, c>`, so comparisons get parentheses where more than one stands."""
    return [_value(item, len(items) > 1, around) for item in items]


def _value(item: ast.Expr, has_neighbours: bool, around: Around) -> Doc:
    if has_neighbours and is_grouped(item) is None and _has_angle(item):
        return ("(", expression(item, around.inside()), ")")
    return place_value(item, in_settings=around.in_settings)


def _has_angle(node: ast.Expr) -> bool:
    """Whether a comparison stands outside of brackets."""
    match node:
        case ast.Binary(op="<" | ">"):
            return True
        case ast.Binary(left=left, right=right):
            return _has_angle(left) or _has_angle(right)
        case ast.Assign(place=left, value=right):
            return _has_angle(left) or _has_angle(right)
        case ast.Unary(operand=inner) | ast.Closure(body=inner) | ast.Throw(value=inner):
            return _has_angle(inner)
        case ast.Return(value=ast.Expr() as inner) | ast.Break(value=ast.Expr() as inner):
            return _has_angle(inner)
        case _:
            return False


def _binary(node: ast.Binary, around: Around) -> Doc:
    """A chain of operators of one level breaks before each of them."""
    level, side = _LEVELS[node.op]
    right = expression(node.right, around, level + 1)
    if level == _RANGE:
        return (expression(node.left, around, level + 1), node.op, right)
    if not side:
        return (expression(node.left, around, level + 1), f" {node.op} ", right)
    parts: list[Doc] = [(SPACE, f"{node.op} ", right)]
    here = node.left
    while isinstance(here, ast.Binary) and _LEVELS[here.op][0] == level and not is_grouped(here):
        parts.append((SPACE, f"{here.op} ", expression(here.right, around, level + 1)))
        here = here.left
    return Group((expression(here, around, level), Indent(tuple(reversed(parts)))))


def argument(node: ast.Argument) -> Doc:
    """`value` or `name: value`."""
    return _argument(node, False)


def _argument(node: ast.Argument, has_neighbours: bool) -> Doc:
    value = _value(node.value, has_neighbours, _PLAIN)
    return value if node.name is None else (f"{node.name}: ", value)


def _call(node: ast.Call, around: Around) -> Doc:
    types = bracketed("<", map(type_, node.type_args), ">") if node.type_args else ""
    callee = (expression(node.callee, around, _TIGHT), types)
    return (*callee, _arguments(node.args))


def _arguments(args: tuple[ast.Argument, ...]) -> Doc:
    written = [_argument(arg, len(args) > 1) for arg in args]
    if args and isinstance(args[-1].value, (*_BLOCK_LIKE, ast.Closure)):
        # A last argument with lines of its own keeps the others where they are.
        return ("(", joined(", ", written), ")")
    return bracketed("(", written, ")")


def _leaving(node: ast.Expr, around: Around) -> Doc:
    match node:
        case ast.Return(value=None):
            return "return"
        case ast.Return(value=ast.Expr() as value):
            return ("return ", place_value(value))
        case ast.Throw(value=value):
            return ("throw ", expression(value, around))
        case ast.Break(label=label, value=value):
            word = f"break '{label}" if label else "break"
            return word if value is None else (word, " ", expression(value, around))
        case ast.Continue(label=label):
            return f"continue '{label}" if label else "continue"
        case _:
            raise AssertionError(node)


def _closure(node: ast.Closure, around: Around) -> Doc:
    def one(param: ast.ClosureParam) -> Doc:
        written: tuple[Doc, ...] = () if param.type is None else (": ", type_atom(param.type))
        return ("mut " if param.is_mut else "", pattern_atom(param.pattern), *written)

    if (written(node.span) or "").startswith("fn"):  # an argument of a decorator
        return (
            "fn",
            bracketed("(", map(one, node.params), ")"),
            result(node.result),
            " ",
            expression(node.body),
        )
    head = ("async " if node.is_async else "", "|", joined(", ", map(one, node.params)), "|")
    if node.result is not None and isinstance(node.body, ast.Block):
        return (*head, result(node.result), " ", block(node.body))
    return (*head, " ", expression(node.body, around))


def _entry(node: ast.Entry, around: Around) -> Doc:
    value = _value(node.value, False, around)
    match node.key:
        case _ if is_grouped(node.key) is not None:
            key: Doc = expression(node.key)
        case ast.PathExpr() if around.in_settings and len(node.key.path.names) == 1:
            key = path(node.key.path)
        case ast.Literal() | ast.Interpolated():
            key = expression(node.key)
        case _:
            key = ("(", expression(node.key), ")")
    return (key, ": ", value)


# Texts


def _text(pieces: tuple[str, ...], values: tuple[ast.Expr, ...]) -> Doc:
    """A string; of several lines if it has some and they can be written so."""
    inside = [_interpolated(value) for value in values]
    if "\n" in "".join(pieces) and (lines := _lines_of(pieces, inside)) is not None:
        parts: list[Doc] = ['"""']
        for line in lines:
            parts += [LINE, line] if line else [Verbatim("\n")]
        return Indent((*parts, LINE, '"""'))
    parts = ['"', escaped(pieces[0])]
    for value, piece in zip(inside, pieces[1:], strict=True):
        parts += [value, escaped(piece)]
    return (*parts, '"')


def _interpolated(value: ast.Expr) -> str:
    """`${..}` on one line, if it has no lines of its own."""
    inner = expression(value, strength=_RANGE + 1 if isinstance(value, ast.OpenRange) else 0)
    if isinstance(value, ast.MapLiteral):
        inner = ("(", inner, ")")
    return "${" + render(inner, 10_000) + "}"


def _lines_of(pieces: tuple[str, ...], inside: list[str]) -> list[str] | None:
    """The lines of a multi-line string; None if a line would not come back as it is."""
    if any("\n" in text for text in inside):
        return None
    lines = [""]
    blank = [True]
    for position, piece in enumerate(pieces):
        if position:
            lines[-1] += inside[position - 1]
            blank[-1] = False
        for at, part in enumerate(piece.split("\n")):
            if at:
                lines.append("")
                blank.append(True)
            lines[-1] += escaped(part).replace('\\"', '"').replace('"""', '\\"""')
            blank[-1] = blank[-1] and not part.strip(" \t")
    if any(is_blank and line for line, is_blank in zip(lines, blank, strict=True)):
        return None
    # A quote at the end of a line could join the closing ones, and tabs the margin.
    odd = any(line.endswith('"') or line.startswith("\\t") for line in lines)
    return None if odd else lines


# Blocks


def block(node: ast.Block) -> Doc:
    """A block, each statement on its line."""
    parts: list[Doc] = []
    for position, each in enumerate(node.statements):
        is_last = node.tail is None and position == len(node.statements) - 1
        parts += [LINE, statement(each, is_last=is_last)]
    if node.tail is not None:
        parts += [LINE, expression(node.tail)]
    return ("{", Indent(tuple(parts)), LINE, "}") if parts else "{}"


def statement(node: ast.Statement, *, is_last: bool) -> Doc:
    """A statement. The last one of a block without a value keeps its `;`, which tells it from a value."""
    match node:
        case ast.Let():
            head = ("let mut " if node.is_mut else "let ", pattern(node.pattern))
            written: tuple[Doc, ...] = () if node.type is None else (": ", type_(node.type))
            value: tuple[Doc, ...] = () if node.value is None else (" = ", place_value(node.value))
            return (*head, *written, *value, ";")
        case ast.ExprStatement(value=inner):
            bare = isinstance(inner, _BLOCK_LIKE) and not is_last
            return (expression(inner), "" if bare else ";")
        case ast.LocalConst():
            return (f"const {node.name}: ", type_(node.type), " = ", place_value(node.value), ";")
        case ast.Mock():
            fields = (
                (config_key(f), ": ", place_value(f.value, in_settings=True)) for f in node.fields
            )
            return (f"mock {node.name} ", bracketed("{", fields, "}", " "))
        case _:
            raise AssertionError(node)


def _block_like(node: ast.Expr, around: Around) -> Doc:
    head = Around(is_head=True, in_settings=around.in_settings)
    label = getattr(node, "label", None)
    start = f"'{label}: " if label else ""
    match node:
        case ast.Block():
            return block(node)
        case ast.If(other=None):
            return ("if ", expression(node.condition, head), " ", block(node.then))
        case ast.If(other=ast.If() as other):
            return (
                "if ",
                expression(node.condition, head),
                " ",
                block(node.then),
                " else ",
                _block_like(other, around),
            )
        case ast.If(other=ast.Block() as other):
            return _if_else(node, other, head)
        case ast.Match():
            arms = [(LINE, _arm(arm), ",") for arm in node.arms]
            body: Doc = ("{", Indent(tuple(arms)), LINE, "}") if arms else "{}"
            return ("match ", expression(node.subject, head), " ", body)
        case ast.Loop():
            return (start, "loop ", block(node.body))
        case ast.While():
            return (start, "while ", expression(node.condition, head), " ", block(node.body))
        case ast.For():
            options: Doc = ""
            if node.parallel is not None:
                options = ("parallel", _arguments(node.parallel) if node.parallel else "", " ")
            turns = (pattern(node.pattern), " in ", expression(node.iterable, head), " ")
            return (start, options, "for ", *turns, block(node.body))
        case ast.TryCatch():
            return ("try ", block(node.body), *map(_catch, node.catches))
        case ast.Listen():
            handlers = [(LINE, _channel(h), " => ", expression(h.body), ",") for h in node.handlers]
            inner: Doc = ("{", Indent(tuple(handlers)), LINE, "}") if handlers else "{}"
            return ("listen ", expression(node.subject, head), " ", inner)
        case _:
            raise AssertionError(node)


def _channel(handler: ast.Handler) -> str:
    """The channel of a handler."""
    whole = written(handler.span)
    found = re.match(r'"(?:\\.|[^"\\])*"', whole) if whole is not None else None
    return found.group() if found else string(handler.channel)


def _if_else(node: ast.If, other: ast.Block, head: Around) -> Doc:
    """On one line if both branches are only a value."""
    before = ("if ", expression(node.condition, head), " ")
    blocks = (node.then, other)
    values = [b.tail for b in blocks if b.tail is not None and not b.statements]
    if len(values) < 2:
        return (*before, block(node.then), " else ", block(other))
    one, two = (("{", Indent((SPACE, expression(value))), SPACE, "}") for value in values)
    return Group((*before, one, " else ", two))


def _arm(arm: ast.Arm) -> Doc:
    guard: tuple[Doc, ...] = ()
    if arm.guard is not None:
        strength = _RANGE + 1 if isinstance(arm.guard, ast.OpenRange) else _ASSIGN
        guard = (" if ", expression(arm.guard, strength=strength))
    return (pattern(arm.pattern), *guard, " => ", expression(arm.body))


def _catch(catch: ast.Catch) -> Doc:
    name = f"({catch.name})" if catch.name else ""
    kind: tuple[Doc, ...] = () if catch.type is None else (type_atom(catch.type), name, " ")
    return (" catch ", *kind, block(catch.body))
