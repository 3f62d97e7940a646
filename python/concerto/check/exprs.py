"""Types of expressions: `check_expr` against an expected type where there is one, else by inference."""

from __future__ import annotations

from typing import Any

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.bodies import Body, LoopState, related_declaration, statements, unknown_label
from concerto.check.calls import check_call, check_field
from concerto.check.checked import (
    ConstantName,
    FunctionName,
    Local,
    ModelName,
    UnitVariant,
    VariantFunction,
    struct_info,
)
from concerto.check.closures import check_closure, mark_changed
from concerto.check.generics import written_struct
from concerto.check.patterns import bind, is_refutable, missing_patterns
from concerto.check.pipes import check_pipe
from concerto.check.tries import check_question, check_throw, check_try, discard
from concerto.check.types import Type
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast

_NUMBERS = (t.INT, t.FLOAT)


def check_expr(
    body: Body,
    node: ast.Expr,
    expected: Type | None,
    *,
    discarded: bool = False,
    is_body: bool = False,
) -> Type:
    """The type of an expression. With an expected type, records how the value gets into it, or reports that it does not fit.

    `discarded` values need no common type of branches; `is_body` is the body of a function, whose missing tail the caller reports.
    """
    found = _infer(body, node, expected, discarded)
    body.checker.facts.types[id(node)] = found
    if discarded and not _passes_inward(node):
        discard(body, node, found)
    if expected is None or (is_body and isinstance(node, ast.Block) and node.tail is None):
        return found
    steps = t.assign(found, expected)
    if steps is None:
        body.checker.mismatch(expected, found, _result_of(node), _hint(expected, found))
        return t.UNKNOWN
    if steps and not _passes_inward(node):
        body.checker.facts.steps[id(node)] = (steps, expected)
        return expected
    return found


def _passes_inward(node: ast.Expr) -> bool:
    """Blocks and branches convert in their tails, which were checked against the same type."""
    branches = isinstance(node, ast.Block | ast.If | ast.Match)
    return branches or (isinstance(node, ast.TryCatch) and bool(node.catches))


def _result_of(node: ast.Expr) -> ast.Expr:
    """Where to point for the value of a block: at its tail."""
    while isinstance(node, ast.Block) and node.tail is not None:
        node = node.tail
    return node


def _hint(expected: Type, found: Type) -> str | None:
    expected, found = t.resolve(expected), t.resolve(found)
    if isinstance(found, t.Result) and t.assign(found.ok, expected) is not None:
        return "add `?` to take the value out of the `Result`"
    if isinstance(expected, t.Result) and t.assign(found, expected.ok) is not None:
        return "write `Ok(..)`"
    if isinstance(found, t.Option) and t.assign(found.item, expected) is not None:
        return "add `?? ..` for the case of `None`"
    if expected == t.STRING and found in (t.INT, t.FLOAT, t.BOOL):
        return 'write it into a string: `"${..}"`'
    return None


def _infer(body: Body, node: ast.Expr, expected: Type | None, discarded: bool) -> Type:
    match node:
        case ast.Literal(value=value):
            return _literal(value, expected)
        case ast.Interpolated(values=values):
            for inner in values:
                _displayable(body, inner, check_expr(body, inner, None))
            return t.STRING
        case ast.PathExpr():
            return _path(body, node, expected)
        case ast.Binary(op="|>"):
            return check_pipe(body, node, expected)
        case ast.Binary():
            return _binary(body, node)
        case ast.Unary(op=op, operand=operand):
            return _unary(body, node, op, operand)
        case ast.Assign():
            return _assign(body, node)
        case ast.Try():
            return check_question(body, node, expected)
        case ast.TryCatch():
            return check_try(body, node, expected, discarded)
        case ast.FieldAccess():
            return check_field(body, node)
        case ast.TupleAccess(object=object_, index=index):
            return _tuple_part(body, node, check_expr(body, object_, None), index)
        case ast.Index():
            return _index(body, node)
        case ast.Call():
            return check_call(body, node, expected)
        case ast.StructLiteral():
            return _struct(body, node, expected)
        case ast.TupleLiteral(items=()):
            return t.NIL
        case ast.TupleLiteral(items=items):
            return _tuple(body, items, expected)
        case ast.ArrayLiteral():
            return _array(body, node, expected)
        case ast.MapLiteral():
            return _map(body, node, expected)
        case ast.Block():
            return _block(body, node, expected, discarded)
        case ast.If():
            return _if(body, node, expected, discarded)
        case ast.Match():
            return _match(body, node, expected, discarded)
        case ast.Loop() | ast.While() | ast.For():
            return _loop(body, node)
        case ast.Return() | ast.Throw() | ast.Break() | ast.Continue():
            return _leave(body, node)
        case ast.Closure():
            return check_closure(body, node, expected)
        case ast.OpenRange():
            for end in (node.start, node.end):
                if end is not None:
                    check_expr(body, end, t.INT)
            return t.RANGE
        case ast.Cast(operand=operand, type=type_):
            return _cast(body, node, operand, type_)
        case _:
            return _not_yet(body, node)


_UNREADY = {
    ast.Await: "`await`",
    ast.Spawn: "`spawn`",
    ast.Listen: "`listen`",
    ast.SelfExpr: "`self`",
}


def _not_yet(body: Body, node: ast.Expr) -> Type:
    if isinstance(node, ast.SelfExpr):
        body.checker.report("E2013", "`self` outside of a method", node)
    else:
        body.checker.not_yet(_UNREADY[type(node)], node)
    return t.UNKNOWN


def _literal(value: object, expected: Type | None) -> Type:
    wanted = t.resolve(expected) if expected is not None else None
    if isinstance(wanted, t.Option):
        wanted = t.resolve(wanted.item)
    match value:
        case bool():
            return t.BOOL
        case int():
            return t.FLOAT if wanted == t.FLOAT else t.INT
        case float():
            return t.FLOAT
        case str():
            return t.Literals((value,)) if isinstance(wanted, t.Literals) else t.STRING
        case _:
            return t.NIL


def _displayable(body: Body, node: ast.Expr, type_: Type) -> None:
    if t.resolve(type_) == t.STREAM:
        body.checker.report("E3002", "a stream has no text form", node, "read it in a `for` loop")


def _path(body: Body, node: ast.PathExpr, expected: Type | None) -> Type:
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
            checker.facts.names[id(node)] = FunctionName(function)
            return t.Function(tuple(p.type for p in function.params), function.result)
        if name in builtins.PRELUDE:
            checker.not_yet("a function of the prelude as a value", node)
            return t.UNKNOWN
    elif node.path.names[0].text in checker.enums:
        return _unit_variant(body, node)
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


def _binary(body: Body, node: ast.Binary) -> Type:
    op = node.op
    if op == "??":
        return _coalesce(body, node)
    if op in ("&&", "||"):
        condition(body, node.left)
        condition(body, node.right)
        return t.BOOL
    if op in ("..", "..="):
        check_expr(body, node.left, t.INT)
        check_expr(body, node.right, t.INT)
        return t.RANGE
    left = t.resolve(check_expr(body, node.left, None))
    right = t.resolve(check_expr(body, node.right, None))
    if t.UNKNOWN in (left, right):
        return t.BOOL if op in ("==", "!=", "<", ">", "<=", ">=") else t.UNKNOWN
    if t.ANY in (left, right) and op not in ("==", "!="):
        return t.BOOL if op in ("<", ">", "<=", ">=") else t.ANY
    if op in ("==", "!="):
        return _equality(body, node, left, right)
    return _arithmetic(body, node, left, right)


def _equality(body: Body, node: ast.Binary, left: Type, right: Type) -> Type:
    numeric = left in _NUMBERS and right in _NUMBERS
    if (
        not numeric
        and t.assign(left, right) is None
        and t.assign(right, left) is None
        and t.ANY not in (left, right)
    ):
        message = f"`{t.show(left)}` and `{t.show(right)}` cannot be compared"
        body.checker.report("E3004", message, node)
    elif isinstance(left, t.Function) or isinstance(right, t.Function):
        body.checker.report("E3004", "functions cannot be compared", node)
    elif t.STREAM in (left, right):
        body.checker.report("E3004", "streams cannot be compared", node)
    elif t.BUILDER in (left, right):
        body.checker.report("E3004", "builders of models cannot be compared", node)
    return t.BOOL


def _arithmetic(body: Body, node: ast.Binary, left: Type, right: Type) -> Type:
    op = node.op
    comparing = op in ("<", ">", "<=", ">=")
    if left in _NUMBERS and right in _NUMBERS:
        if left != right:
            mixed = node.left if left == t.INT else node.right
            body.checker.facts.steps[id(mixed)] = (("int_to_float",), t.FLOAT)
        return t.BOOL if comparing else t.FLOAT if t.FLOAT in (left, right) else t.INT
    texts = {t.STRING: True}
    left_text = isinstance(left, t.Literals) or left in texts
    right_text = isinstance(right, t.Literals) or right in texts
    if comparing and ((left_text and right_text) or (left == right and _is_ordered(left))):
        return t.BOOL
    if op == "+" and (left_text or t.is_error(left)) and (right_text or t.is_error(right)):
        for side, type_ in ((node.left, left), (node.right, right)):
            if t.is_error(type_):
                body.checker.facts.steps[id(side)] = (("message",), t.STRING)
        return t.STRING
    message = f"`{op}` is not defined for `{t.show(left)}` and `{t.show(right)}`"
    help_ = (
        'write values into a string: `"n: ${n}"`'
        if op == "+" and (left_text or right_text)
        else None
    )
    body.checker.report("E3002", message, node, help_)
    return t.BOOL if comparing else t.UNKNOWN


def _is_ordered(type_: Type) -> bool:
    match t.resolve(type_):
        case t.Tuple(items):
            return all(_is_ordered(item) for item in items)
        case t.Array(item):
            return _is_ordered(item)
        case other:
            return other in (t.INT, t.FLOAT, t.STRING, t.BOOL)


def _coalesce(body: Body, node: ast.Binary, *, is_last: bool = True) -> Type:
    checker = body.checker
    left = t.resolve(_coalesced(body, node.left))
    match left:
        case t.Option(item):
            check = check_expr(body, node.right, None) if is_last else _coalesced(body, node.right)
            right = t.resolve(check)
            if isinstance(right, t.Option):
                joined = t.join(left, right)
            else:
                steps = t.assign(right, item)
                if steps:
                    checker.facts.steps[id(node.right)] = (steps, item)
                joined = item if steps is not None else None
                joined = t.join(item, right) if joined is None else joined
            if joined is None:
                checker.mismatch(item, right, node.right)
                return t.UNKNOWN
            return joined
        case t.Result():
            check_expr(body, node.right, None)
            checker.report("E3010", "`??` on a `Result`", node, "use `.unwrap_or(..)`, or `?`")
            return t.UNKNOWN
        case t.Simple("?") | t.Simple("Nil"):
            return check_expr(body, node.right, None)
        case t.Simple("Any"):
            check_expr(body, node.right, None)
            return t.ANY
        case _:
            check_expr(body, node.right, left)
            checker.report(
                "W3004", "the left side of `??` is never nil", node.left, "remove the `??`"
            )
            return left


def _coalesced(body: Body, node: ast.Expr) -> Type:
    """An operand of `??` with another behind it: a missing variable is None there instead of an error (C-24)."""
    if isinstance(node, ast.Binary) and node.op == "??":
        found = _coalesce(body, node, is_last=False)
        body.checker.facts.types[id(node)] = found
        return found
    body.unset.add(id(node))
    return check_expr(body, node, None)


def _unary(body: Body, node: ast.Unary, op: str, operand: ast.Expr) -> Type:
    found = t.resolve(check_expr(body, operand, None))
    if op == "!" and found == t.ANY:
        body.checker.facts.steps[id(operand)] = (("check",), t.BOOL)
        return t.BOOL
    if found == t.ANY:
        return t.ANY
    if op == "!":
        if found not in (t.BOOL, t.UNKNOWN):
            body.checker.report("E3002", f"`!` is not defined for `{t.show(found)}`", node)
        return t.BOOL
    if found not in (*_NUMBERS, t.UNKNOWN):
        body.checker.report("E3002", f"`-` is not defined for `{t.show(found)}`", node)
        return t.UNKNOWN
    return found


def place_root(node: ast.Expr) -> ast.Expr:
    """The variable that a place is a part of."""
    while isinstance(node, ast.FieldAccess | ast.TupleAccess | ast.Index):
        node = node.object
    return node


def must_be_mutable(body: Body, node: ast.Expr, what: str) -> None:
    """E2006, unless the root of the place is a mutable variable."""
    root = place_root(node)
    if not isinstance(root, ast.PathExpr):
        return
    local = body.find(str(root.path))
    if local is None:
        if str(root.path) in body.checker.constants:
            body.checker.report("E2006", f"the constant `{root.path}` cannot be {what}", node)
        return
    local.mutated = True
    part: ast.Expr = node
    while isinstance(part, ast.FieldAccess | ast.TupleAccess | ast.Index):
        whole = t.resolve(body.checker.facts.types[id(part.object)])
        if isinstance(whole, t.Tuple) or whole == t.ANY:
            what = "a tuple" if isinstance(whole, t.Tuple) else "a value of type `Any`"
            body.checker.not_yet(f"changing a part of {what}", node)
            return
        part = part.object
    if local.is_captured:
        mark_changed(body, local)
        message = f"`{local.name}` belongs to the function around: a closure has a copy of it"
        help_ = "return the new value, or use `reduce`"
        body.checker.report("E2011", message, node, help_, related_declaration(local))
        return
    if not local.is_mut:
        help_ = (
            f"declare it with `let mut {local.name}`"
            if not local.is_param
            else f"write `mut {local.name}` in the parameters"
        )
        message = f"`{local.name}` cannot be {what}: it is immutable"
        body.checker.report("E2006", message, node, help_, related_declaration(local))


def _assign(body: Body, node: ast.Assign) -> Type:
    checker, place = body.checker, node.place
    if isinstance(place, ast.PathExpr) and len(place.path.names) == 1:
        local = body.find(str(place.path))
        if local is not None and not local.assigned and not node.op:
            local.assigned = True
            local.used = True
            checker.facts.names[id(place)] = local
            check_expr(body, node.value, local.type)
            checker.facts.types[id(place)] = local.type
            return t.NIL
    used = None
    if isinstance(place, ast.PathExpr):
        found_local = body.find(str(place.path))
        used = (found_local, found_local.used) if found_local else None
    target = t.resolve(check_expr(body, place, None))
    if used and used[0] and not node.op:
        used[0].used = used[1] or (used[0].used and used[1])
        used[0].used = True
    must_be_mutable(body, place, "assigned")
    if (
        isinstance(place, ast.Index)
        and t.resolve(checker.facts.types[id(place.object)]) == t.STRING
    ):
        checker.report("E1012", "a character of a String cannot be assigned", place)
    if not node.op:
        check_expr(body, node.value, target)
        return t.NIL
    value = t.resolve(check_expr(body, node.value, t.FLOAT if target == t.FLOAT else None))
    if t.UNKNOWN in (target, value):
        return t.NIL
    if t.ANY in (target, value):
        body.checker.not_yet("`op=` with a value of type `Any`", node)
        return t.NIL
    numeric = (
        target in _NUMBERS and value in _NUMBERS and not (target == t.INT and value == t.FLOAT)
    )
    text = target == t.STRING and node.op == "+"
    if text and t.is_error(value):
        checker.facts.steps[id(node.value)] = (("message",), t.STRING)
    elif not numeric and not (text and (value == t.STRING or isinstance(value, t.Literals))):
        message = f"`{node.op}=` is not defined for `{t.show(target)}` and `{t.show(value)}`"
        help_ = 'write values into a string: `"${n}"`' if text else None
        checker.report("E3002", message, node, help_)
    return t.NIL


def infer_operand(body: Body, node: ast.Expr, wanted: Type | None) -> Type:
    """The type of the operand of `?`: an expected type helps it but need not be met here."""
    found = _infer(body, node, wanted, False)
    body.checker.facts.types[id(node)] = found
    return found


def _tuple_part(body: Body, node: ast.Expr, found: Type, index: int) -> Type:
    found = t.resolve(found)
    if isinstance(found, t.Tuple) and 0 <= index < len(found.items):
        body.checker.facts.fields[id(node)] = index
        return found.items[index]
    if found == t.ANY:
        return t.ANY
    if found != t.UNKNOWN:
        body.checker.report("E3025", f"`{t.show(found)}` has no part {index}", node)
    return t.UNKNOWN


def _index(body: Body, node: ast.Index) -> Type:
    checker = body.checker
    found = t.resolve(check_expr(body, node.object, None))
    if (
        isinstance(found, t.Tuple)
        and isinstance(node.index, ast.Literal)
        and type(node.index.value) is int
    ):
        return _tuple_part(body, node, found, node.index.value)
    match found:
        case t.Array() | t.Simple("String") | t.Literals():
            at = t.resolve(check_expr(body, node.index, None))
            if at == t.RANGE:
                return found
            if at not in (t.INT, t.UNKNOWN):
                checker.report(
                    "E3025", f"an index is an Int or a range, found `{t.show(at)}`", node.index
                )
            return found.item if isinstance(found, t.Array) else t.STRING
        case t.Map(key, value):
            check_expr(body, node.index, key)
            return value
        case t.Simple("?"):
            check_expr(body, node.index, None)
            return t.UNKNOWN
        case t.Simple("Any"):
            check_expr(body, node.index, None)
            return t.ANY
        case _:
            check_expr(body, node.index, None)
            checker.report("E3025", f"`{t.show(found)}` cannot be indexed", node)
            return t.UNKNOWN


def _struct(body: Body, node: ast.StructLiteral, expected: Type | None) -> Type:
    checker, name = body.checker, str(node.path)
    if name in checker.generics:
        written = written_struct(name, expected)
        if written is None:
            help_ = f"say what they are where the value goes: `let x: {name}<..> = ..`"
            checker.report("E3017", f"the type arguments of `{name}` are not known", node, help_)
            checker.refused.add(name)
        name = written or name
    info = struct_info(checker.structs, name)
    if info is None:
        for field in node.fields:
            if field.value is not None:
                check_expr(body, field.value, None)
        if len(node.path.names) == 2 and node.path.names[0].text in checker.enums:
            return _struct_variant(body, node)
        if name not in checker.refused:
            checker.report(
                "E2002",
                f"there is no struct `{name}`",
                node.path,
                did_you_mean(name, list(checker.structs)),
            )
        return t.UNKNOWN
    fields = {field.name: field for field in info.fields}
    given: set[str] = set()
    for field in node.fields:
        word = field.name.text
        if word in given:
            checker.report("E2004", f"the field `{word}` is given twice", field.name)
        given.add(word)
        expected = fields[word].type if word in fields else None
        if expected is None:
            checker.report(
                "E3011",
                f"`{name}` has no field `{word}`",
                field.name,
                did_you_mean(word, list(fields)),
            )
        value = field_value(field)
        checker.facts.names[id(field)] = value
        check_expr(body, value, expected)
    missing = [
        f.name for f in info.fields if f.name not in given and not f.has_default and not f.optional
    ]
    if missing:
        names = ", ".join(f"`{each}`" for each in missing)
        checker.report("E3012", f"`{name}` lacks {names}", node.path, f"add `{missing[0]}: ..`")
    return t.Struct(info.name, info.origin)


def field_value(field: ast.FieldValue) -> ast.Expr:
    """The value of a field; `S { a }` is `S { a: a }`."""
    if field.value is not None:
        return field.value
    path = ast.Path(span=field.name.span, names=(field.name,))
    return ast.PathExpr(span=field.name.span, path=path)


def _struct_variant(body: Body, node: ast.StructLiteral) -> Type:
    body.checker.not_yet("a variant with named fields", node)
    return t.UNKNOWN


def _tuple(body: Body, items: tuple[ast.Expr, ...], expected: Type | None) -> Type:
    wanted = t.resolve(expected) if expected is not None else None
    fits = isinstance(wanted, t.Tuple) and len(wanted.items) == len(items)
    return t.Tuple(
        tuple(
            check_expr(
                body, item, wanted.items[i] if fits and isinstance(wanted, t.Tuple) else None
            )
            for i, item in enumerate(items)
        )
    )


def _array(body: Body, node: ast.ArrayLiteral, expected: Type | None) -> Type:
    wanted = t.resolve(expected) if expected is not None else None
    if isinstance(wanted, t.Option):
        wanted = t.resolve(wanted.item)
    if isinstance(wanted, t.Array) and not isinstance(t.resolve(wanted.item), t.Var):
        for item in node.items:
            check_expr(body, item, wanted.item)
        return wanted
    found: Type = t.Var()
    inside = t.ANY if wanted == t.ANY else None
    types = [check_expr(body, item, inside) for item in node.items]
    for item, type_ in zip(node.items, types, strict=True):
        _storable(body, item, type_)
    if wanted == t.ANY:
        return t.Array(t.ANY)
    for item, type_ in zip(node.items, types, strict=True):
        joined = t.join(found, type_)
        if joined is None:
            message = f"the elements are `{t.show(found)}` and `{t.show(type_)}`"
            body.checker.report("E3006", message, item, "elements of an array have one type")
            return t.UNKNOWN
        found = joined
    for item, type_ in zip(node.items, types, strict=True):
        steps = t.assign(type_, found)
        if steps:
            body.checker.facts.steps[id(item)] = (steps, found)
    return t.Array(found)


def _storable(body: Body, node: ast.Expr, found: Type) -> None:
    if t.resolve(found) == t.STREAM:
        body.checker.report("E4033", "a stream cannot be stored", node, "read it where it is")


def _map(body: Body, node: ast.MapLiteral, expected: Type | None) -> Type:
    wanted = t.resolve(expected) if expected is not None else None
    if isinstance(wanted, t.Map):
        for entry in node.entries:
            check_expr(body, entry.key, wanted.key)
            check_expr(body, entry.value, wanted.value)
        return wanted
    # Where anything goes, values need no common type (6.5): none is converted.
    inside = t.ANY if wanted == t.ANY else None
    key: Type = t.Var()
    value: Type = inside or t.Var()
    for entry in node.entries:
        found_key = check_expr(body, entry.key, None)
        joined = t.join(key, found_key)
        if joined is None or not t.is_hashable(joined):
            message = f"`{t.show(found_key)}` cannot be a key of this map"
            body.checker.report("E3036", message, entry.key)
            joined = t.UNKNOWN
        key = joined
        found = check_expr(body, entry.value, inside)
        _storable(body, entry.value, found)
        # Values of different types make a map of Any.
        value = t.join(value, found) or t.ANY
    for entry in node.entries:
        for part, joined in ((entry.key, key), (entry.value, value)):
            steps = t.assign(body.checker.facts.types[id(part)], joined)
            if steps:
                body.checker.facts.steps[id(part)] = (steps, joined)
    return t.Map(key, value)


def _block(body: Body, node: ast.Block, expected: Type | None, discarded: bool) -> Type:
    body.scopes.append({})
    reached = statements(body, node.statements)
    found: Type = t.NIL if reached else t.NEVER
    if node.tail is not None:
        if not reached:
            body.checker.report("W2003", "this is never reached", node.tail)
        found = check_expr(body, node.tail, expected, discarded=discarded)
        if not reached:
            found = t.NEVER
    body.scopes.pop()
    return found


def condition(body: Body, node: ast.Expr) -> None:
    """E3003, unless the expression is a Bool."""
    found = t.resolve(check_expr(body, node, None))
    if found == t.ANY:
        body.checker.facts.steps[id(node)] = (("check",), t.BOOL)
    elif found not in (t.BOOL, t.UNKNOWN, t.NEVER):
        message = f"a condition must be Bool, found `{t.show(found)}`"
        help_ = "compare it, such as `x != 0` or `!s.is_empty()`"
        body.checker.report("E3003", message, node, help_)


def _branches(body: Body, nodes: list[ast.Expr], expected: Type | None, discarded: bool) -> Type:
    """The common type of branches."""
    types = [check_expr(body, node, expected, discarded=discarded) for node in nodes]
    if discarded:
        return t.NEVER if all(t.resolve(type_) == t.NEVER for type_ in types) else t.NIL
    if expected is not None:
        never = all(t.resolve(type_) == t.NEVER for type_ in types)
        return t.NEVER if never else t.UNKNOWN if t.UNKNOWN in types else expected
    found: Type = t.NEVER
    for node, type_ in zip(nodes, types, strict=True):
        joined = t.join(found, type_)
        if joined is None:
            message = f"the branches are `{t.show(found)}` and `{t.show(type_)}`"
            body.checker.report("E3008", message, _result_of(node), "give all branches one type")
            return t.UNKNOWN
        found = joined
    for node, type_ in zip(nodes, types, strict=True):
        steps = t.assign(type_, found)
        if steps:
            body.checker.facts.steps[id(_result_of(node))] = (steps, found)
    return found


def _if(body: Body, node: ast.If, expected: Type | None, discarded: bool) -> Type:
    condition(body, node.condition)
    if node.other is None:
        if expected is not None and t.resolve(expected) not in (t.NIL, t.ANY, t.UNKNOWN):
            if node is body.tail:
                message = f"a path ends without a value: expected `{t.show(expected)}`"
                body.checker.report("E3031", message, node, "add an `else`")
            else:
                body.checker.mismatch(expected, t.NIL, node, "add an `else`")
        check_expr(body, node.then, None, discarded=True)
        return t.UNKNOWN if expected is not None and t.resolve(expected) != t.NIL else t.NIL
    return _branches(body, [node.then, node.other], expected, discarded)


def _match(body: Body, node: ast.Match, expected: Type | None, discarded: bool) -> Type:
    subject = t.resolve(check_expr(body, node.subject, None))
    if subject == t.ANY:
        body.checker.not_yet("a match on a value of type `Any`", node.subject)
        subject = t.UNKNOWN
    covering: list[ast.Pattern] = []
    types: list[tuple[ast.Expr, Type]] = []
    for arm in node.arms:
        if covering and not missing_patterns(body, covering, subject) and subject != t.UNKNOWN:
            body.checker.report(
                "W3009", "this arm can never match", arm.pattern, "earlier arms take every value"
            )
        body.scopes.append({})
        bind(body, arm.pattern, subject)
        if arm.guard is not None:
            condition(body, arm.guard)
        else:
            covering.append(arm.pattern)
        types.append((arm.body, check_expr(body, arm.body, expected, discarded=discarded)))
        body.scopes.pop()
    missing = missing_patterns(body, covering, subject)
    if missing:
        shown = ", ".join(f"`{each}`" for each in missing)
        message = f"the match does not cover {shown}"
        body.checker.report(
            "E3029", message, node.subject, f"add an arm, such as `{missing[0]} => ..`"
        )
    return join_arms(body, types, expected, discarded)


def join_arms(
    body: Body, arms: list[tuple[ast.Expr, Type]], expected: Type | None, discarded: bool
) -> Type:
    """The common type of arms."""
    never = all(t.resolve(type_) == t.NEVER for _, type_ in arms)
    if discarded or expected is not None:
        return t.NEVER if never and arms else t.NIL if discarded or expected is None else expected
    found: Type = t.NEVER
    for node, type_ in arms:
        joined = t.join(found, type_)
        if joined is None:
            message = f"the arms are `{t.show(found)}` and `{t.show(type_)}`"
            body.checker.report("E3008", message, _result_of(node), "give all arms one type")
            return t.UNKNOWN
        found = joined
    for node, type_ in arms:
        steps = t.assign(type_, found)
        if steps:
            body.checker.facts.steps[id(_result_of(node))] = (steps, found)
    return found


def _loop(body: Body, node: ast.Loop | ast.While | ast.For) -> Type:
    label = node.label.text if node.label else None
    state = LoopState(label, isinstance(node, ast.Loop))
    body.scopes.append({})
    match node:
        case ast.While():
            condition(body, node.condition)
        case ast.For():
            if node.parallel is not None:
                body.checker.not_yet("`parallel for`", node.pattern)
            _iterate(body, node)
        case _:
            pass
    body.loops.append(state)
    check_expr(body, node.body, None, discarded=True)
    body.loops.pop()
    body.scopes.pop()
    if not isinstance(node, ast.Loop):
        return t.NIL
    for value in state.values:
        found = body.checker.facts.steps.get(
            id(value), (None, body.checker.facts.types[id(value)])
        )[1]
        steps = t.assign(t.resolve(found), state.value)
        if steps and id(value) not in body.checker.facts.steps:
            body.checker.facts.steps[id(value)] = (steps, state.value)
    return state.value if state.breaks else t.NEVER


def _iterate(body: Body, node: ast.For) -> None:
    checker = body.checker
    found = t.resolve(check_expr(body, node.iterable, None))
    item: Type = t.UNKNOWN
    match found:
        case t.Array(inner):
            item = inner
        case t.Simple("Range"):
            item = t.INT
        case t.Map(key, value):
            item = t.Tuple((key, value))
            if not isinstance(node.pattern, ast.TuplePattern):
                checker.report(
                    "E3024",
                    "a map has pairs",
                    node.pattern,
                    "write `for (key, value) in ..`, or use `.keys()`",
                )
                item = t.UNKNOWN
        case t.Simple("Stream"):
            item = builtins.CHUNK
            checker.facts.raises[id(node)] = body.raising(
                builtins.LLM_ERROR, node.iterable, what="the loop", implicit=True
            )
        case t.Result(ok, _) if t.resolve(ok) == t.STREAM:
            checker.report("E4034", "the stream may have failed to open", node.iterable, "add `?`")
        case t.Simple("String") | t.Literals():
            checker.report(
                "E3024", "a String is not iterable", node.iterable, "use `.chars()` or `.lines()`"
            )
        case t.Simple("Any"):
            pair = node.pattern
            parts = len(pair.items) if isinstance(pair, ast.TuplePattern) else None
            # Whether it is a tuple of so many parts is checked in each turn.
            item = t.ANY if parts is None else t.Tuple((t.ANY,) * parts)
        case t.Simple("?"):
            pass
        case _:
            checker.report("E3024", f"`{t.show(found)}` is not iterable", node.iterable)
    if is_refutable(body, node.pattern, item):
        checker.report("E3020", "the pattern may fail", node.pattern)
    bind(body, node.pattern, item)


def _leave(body: Body, node: Any) -> Type:
    checker = body.checker
    match node:
        case ast.Return(value=value):
            if body.at_top:
                checker.report("E2013", "`return` outside of a function", node)
            result = t.resolve(body.result)
            if value is None:
                if result not in (t.NIL, t.UNKNOWN) and not body.is_entry:
                    checker.mismatch(result, t.NIL, node)
            else:
                check_expr(body, value, None if body.at_top else result)
        case ast.Throw():
            check_throw(body, node)
        case ast.Break() | ast.Continue():
            _leave_loop(body, node)
    return t.NEVER


def _leave_loop(body: Body, node: ast.Break | ast.Continue) -> None:
    word = "break" if isinstance(node, ast.Break) else "continue"
    if not body.loops:
        body.checker.report("E2013", f"`{word}` outside of a loop", node)
        return
    loop = body.loops[-1]
    if node.label is not None:
        named = [each for each in body.loops if each.label == node.label.text]
        if not named:
            unknown_label(body, node.label)
            return
        loop = named[-1]
    if isinstance(node, ast.Continue):
        return
    if node.value is not None and not loop.takes_value:
        body.checker.report(
            "E3023", "`break` with a value outside of `loop`", node, "only `loop` has a value"
        )
        check_expr(body, node.value, None)
        return
    value = check_expr(body, node.value, None) if node.value is not None else t.NIL
    joined = t.join(loop.value, value) if loop.breaks else value
    if joined is None:
        message = f"the values of the loop are `{t.show(loop.value)}` and `{t.show(value)}`"
        body.checker.report("E3008", message, node)
        joined = t.UNKNOWN
    loop.value, loop.breaks = joined, True
    if node.value is not None:
        loop.values.append(node.value)


def _cast(body: Body, node: ast.Cast, operand: ast.Expr, written: ast.TypeExpr) -> Type:
    from concerto.check.collect import written_type

    found = t.resolve(check_expr(body, operand, None))
    target = t.resolve(written_type(body.checker, written))
    if (found, target) in ((t.INT, t.FLOAT), (t.FLOAT, t.INT)) or t.UNKNOWN in (found, target):
        return target
    if found == t.ANY or (isinstance(found, t.Union) and target in found.members):
        return target
    steps = t.assign(found, target)
    if steps is not None:
        body.checker.facts.steps[id(operand)] = (steps, target)
        return target
    help_ = 'use `.to_string()` or `"${x}"`' if target == t.STRING else None
    if found == t.STRING and target in _NUMBERS:
        help_ = "use `.parse_int()` or `.parse_float()`"
    body.checker.report(
        "E3005", f"`{t.show(found)}` cannot be cast to `{t.show(target)}`", node, help_
    )
    return target


__all__ = ["Local", "check_expr", "condition", "must_be_mutable"]
