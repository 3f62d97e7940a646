"""Statements: bindings, places, loops with few turns, effects."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.types import Type, show

from tests.oracle.expressions import RISKY, arguments, expr, known, literal, methods
from tests.oracle.generator import Generator, Variable
from tests.oracle.parallel import tasks
from tests.oracle.patterns import match_arms, shape_pattern

#: Forms that cannot be compiled yet.
ANY_MATCHES = False


def statements(g: Generator, count: int, depth: int, indent: str) -> list[str]:
    """Up to `count` statements, one per line; the variables stay in scope."""
    lines: list[str] = []
    for _ in range(count):
        if g.size <= 0:
            break
        lines += [indent + line for line in _statement(g, depth, indent)]
    return lines


def _statement(g: Generator, depth: int, indent: str) -> list[str]:
    simple = [
        _closure,
        _emit,
        _let,
        _assign,
        _let,
        _mutate,
        _nest,
        _let,
        _inspect,
        _assign,
        _mutate,
        _print,
        _assert,
        _call,
        _structure,
    ]
    nested = [_if, _for, _match, _while, _loop, _late, _leave, _destructure, tasks, tasks]
    makers = simple + (nested if depth > 0 else [])
    if g.has_models:
        makers += [_model] * 5
    return g.one(makers)(g, depth)


def body(g: Generator, count: int, depth: int) -> str:
    """A block of statements whose variables end with it."""
    kept = len(g.scope)
    inside = statements(g, count, depth, "")
    del g.scope[kept:]
    return "{ " + " ".join(inside) + " }"


def _emit(g: Generator, depth: int) -> list[str]:
    channel = g.one(('"out"', '"a"', '"b"', '"".to_string()' if g.chance(30) else '"c"'))
    return [f"emit({channel}, {known(g, g.type(2), depth + 1)});"]


def _print(g: Generator, depth: int) -> list[str]:
    args = ", ".join(known(g, g.type(2), depth) for _ in range(g.pick(3)))
    return [f"{g.one(('print', 'println'))}({args});"]


def _assert(g: Generator, depth: int) -> list[str]:
    match g.pick(4):
        case 0:
            return [
                f"assert({known(g, t.INT, 0)} == {known(g, t.INT, 0)} || {expr(g, t.BOOL, depth)});"
            ]
        case 1:
            return [f"if {expr(g, t.BOOL, depth)} {{ panic({expr(g, t.STRING, depth)}); }}"]
        case 2:
            others: tuple[Type, ...] = (t.INT, t.FLOAT, t.STRING, t.Array(t.INT))
            value = g.simple()
            wanted = g.one(others) if g.chance(3) else value
            any_, typed = g.name("y"), g.name("y")
            line = (
                f"let {any_}: Any = {known(g, value, depth)}; let {typed}: {show(wanted)} = {any_};"
            )
            g.scope.append(Variable(typed, wanted))
            return [line, f'emit("typed", {typed});']
        case _:
            return [f"assert({expr(g, t.BOOL, depth)} || true, {expr(g, t.STRING, 0)});"]


def _let(g: Generator, depth: int) -> list[str]:
    type_ = g.type(2)
    is_mut = g.chance(2)
    inferred = g.chance(2)
    value = known(g, type_, depth + 1) if inferred else expr(g, type_, depth + 1)
    written = "" if inferred else f": {show(type_)}"
    name = g.name()
    g.scope.append(Variable(name, type_, is_mut))
    return [f"let {'mut ' if is_mut else ''}{name}{written} = {value};"]


def _late(g: Generator, depth: int) -> list[str]:
    """A variable without a value at first."""
    type_ = g.type(1)
    condition, one, other = expr(g, t.BOOL, depth), expr(g, type_, depth), expr(g, type_, depth)
    name = g.name("w")
    g.scope.append(Variable(name, type_))
    return [
        f"let mut {name}: {show(type_)};",
        f"if {condition} {{ {name} = {one}; }} else {{ {name} = {other}; }}",
    ]


def _destructure(g: Generator, depth: int) -> list[str]:
    items = tuple(g.type(1) for _ in range(2))
    value = known(g, t.Tuple(items), depth)
    names = [g.name() for _ in items]
    if names[0] == names[1]:
        return []
    g.scope += [Variable(name, item) for name, item in zip(names, items, strict=True)]
    return [f"let ({', '.join(names)}) = {value};"]


def places(g: Generator) -> list[tuple[str, Type]]:
    """What may be assigned to, with its parts; elements may be missing."""
    found: list[tuple[str, Type]] = []

    def enter(text: str, type_: Type, depth: int) -> None:
        found.append((text, type_))
        if depth == 0:
            return
        match type_:
            case t.Struct(name) if name in g.structs:
                for own, inner in g.structs[name]:
                    enter(f"{text}.{own}", inner, depth - 1)
            case t.Array(item) if g.chance(4):
                enter(f"{text}[{g.pick(2)}]", item, depth - 1)
            case t.Map(key, value) if g.chance(2):
                enter(f"{text}[{literal(g, key, 0)}]", value, depth - 1)

    for variable in g.visible():
        if variable.is_mut:
            enter(variable.name, variable.type, 2)
    return found


def _assign(g: Generator, depth: int) -> list[str]:
    found = places(g)
    if not found:
        return _let(g, depth)
    text, type_ = g.one(found)
    if "[" in text and not g.chance(5):
        return _put(g, text, type_, depth)
    ops = {t.INT: ("+", "-", "*", "%"), t.FLOAT: ("+", "-", "*", "/"), t.STRING: ("+",)}.get(type_)  # type: ignore[arg-type]  # unhashable types are no keys
    if ops and g.chance(2):
        return [f"{text} {g.one(ops)}= {known(g, type_, depth)};"]
    if type_ == t.INT and not g.chance(3):
        return [f"{text} += {g.pick(4)};"]
    return [f"{text} = {expr(g, type_, depth + 1)};"]


def _put(g: Generator, text: str, type_: Type, depth: int) -> list[str]:
    """Gives an element a value where its owner has one."""
    owner, _, index = text.rpartition("[")
    if "[" in owner:
        return _emit(g, depth)
    index = index.partition("]")[0]
    there = next(kind for own, kind in places(g) + list(g.reads()) if own == owner)
    asked = f"{owner}.len() > {index}" if isinstance(there, t.Array) else f"{owner}.has({index})"
    return [f"if {asked} {{ {text} = {expr(g, type_, depth)}; }}"]


def _mutate(g: Generator, depth: int) -> list[str]:
    """A call of a method that changes its receiver."""
    options = []
    for text, type_ in places(g):
        if isinstance(type_, (t.Array, t.Map)):
            options += [(text, found) for found in methods(type_) if found.mutates]
    if not options:
        return _let(g, depth)
    text, method = g.one(options)
    if method.name in RISKY and not g.chance(3):
        return _emit(g, depth)
    called = f"{text}.{method.name}({arguments(g, method, depth)})"
    if method.result == t.NIL or not g.chance(2):
        return [f"{called};"]
    own = g.name()
    g.scope.append(Variable(own, method.result))
    return [f"let {own} = {called};"]


#: Values with parts, and changes of the innermost.
NESTED = (
    (
        "Array<Array<Int>>",
        "[[1, 2], []]",
        (
            "[0].push({int})",
            "[1] = {x}[0]",
            "[0][1] += {int}",
            "[{small}] = [{int}]",
            "[0][{small}] = {int}",
        ),
    ),
    (
        "Map<String, Array<Int>>",
        '{{ "k": [5] }}',
        (
            '["k"].push({int})',
            '["n"] = [{int}]',
            '["k"][0] *= 3',
            '["k"] = {x}["k"]',
            ".take({string})",
        ),
    ),
    (
        "Map<Int, String>",
        '{{ 1: "one" }}',
        ("[1] += {string}", "[{int}] = {string}", "[{small}] += {string}", ".delete({int})"),
    ),
    (
        "Array<(Int, String)>",
        '[(1, "a")]',
        ("[0] = ({int}, {string})", ".push(({int}, {string}))", ".reverse()"),
    ),
    (
        "Array<Map<Bool, Float>>",
        "[{{ true: 1.5 }}]",
        (
            "[0][true] /= {float}",
            "[0][false] = {float}",
            "[0].clear()",
            "[{small}][true] -= {float}",
        ),
    ),
    ("String", '"s"', (" += {string}", " += {string} + {x}", " = {x} + {x} + {string}")),
    ("Float", "0.5", (" += {float}", " %= {float}", " = -{x}", " -= {int}", " *= {x}")),
    (
        "Int",
        "17",
        (" += {int}", " -= {small}", " = -{x} + {small}", " %= 5", " *= {small}", " /= {int}"),
    ),
)


def _nest(g: Generator, depth: int) -> list[str]:
    """Changes of nested places, whose parts are taken out and put back."""
    written, start, changes = g.one(NESTED)
    name = g.name("x")
    lines = [f"let mut {name}: {written} = {start.format()};"]
    if g.chance(2):
        lines.append(f"let kept = {name};")
    for _ in range(1 + g.pick(3)):
        change = g.one(changes)
        lines.append(
            f"{name}"
            + change.format(
                x=name,
                small=g.pick(3),
                int=known(g, t.INT, depth - 1),
                float=known(g, t.FLOAT, depth - 1),
                string=known(g, t.STRING, depth - 1),
            )
            + ";"
        )
    lines.append(f'emit("{name}", {name});')
    if lines[1].startswith("let kept"):
        lines.append('emit("kept", kept);')
    return [" ".join(lines)]


def _inspect(g: Generator, depth: int) -> list[str]:
    """A match that takes a value apart."""
    subjects: list[Type] = [
        t.Option(g.simple()),
        t.Result(g.simple(), t.STRING),
        t.Tuple((g.simple(), t.Option(t.INT))),
    ]
    subjects += [t.Enum(name) for name in g.enums] * 2 + [
        t.Struct(name, "struct") for name in g.structs
    ]
    subject = g.one(subjects)
    arms = []
    shapes = g.enums[subject.name] if isinstance(subject, t.Enum) else (None,) * 2
    for shape in shapes:
        bindings: list[Variable] = []
        text = shape_pattern(g, subject, 2, bindings, shape)
        shown = ", ".join(v.name for v in bindings) or '"none"'
        arms.append(f"{text} => println({shown})")
    value = known(g, subject, depth) if g.chance(2) else literal(g, subject, depth)
    name = g.name("m")
    return [
        f"let {name}: {show(subject)} = {value};",
        f"match {name} {{ {', '.join(arms)}, _ => {{}} }}",
        f'emit("rest", {name});',
    ]


def _closure(g: Generator, depth: int) -> list[str]:
    """A function value, which captures, and methods that take one."""
    item, result = g.simple(), g.simple()
    name, param = g.name("c"), g.name("p")
    items = known(g, t.Array(item), depth)
    outside = g.result, g.is_main, g.is_try, g.loops, list(g.scope)
    # `?` and `break` would leave the closure.
    g.result, g.is_main, g.is_try, g.loops = t.NIL, False, False, []
    g.scope.append(Variable(param, item))
    inside, wanted = known(g, result, depth), known(g, t.BOOL, depth)
    g.result, g.is_main, g.is_try, g.loops, g.scope = outside
    lines = [
        f"let {name} = |{param}: {show(item)}| {inside};",
        f'emit("closure", {name}({known(g, item, 0)}));',
    ]
    called = g.one(
        (
            f"map({name})",
            f"filter(|{param}| {wanted})",
            f"any(|{param}| {wanted})",
            f"map(|{param}| ({param}, {inside}))",
        )
    )
    return [*lines, f'emit("each", {items}.{called});']


def _structure(g: Generator, depth: int) -> list[str]:
    """A struct whose fields are changed."""
    if not g.structs:
        return _nest(g, depth)
    name = g.one(list(g.structs))
    own = g.name("s")
    lines = [f"let mut {own} = {literal(g, t.Struct(name, 'struct'), depth)};", f"let old = {own};"]
    for field, type_ in g.structs[name]:
        match type_:
            case t.Array(item):
                lines.append(f"{own}.{field}.push({known(g, item, depth - 1)});")
            case t.Map(key, value):
                lines.append(f"{own}.{field}[{literal(g, key, 0)}] = {expr(g, value, depth - 1)};")
            case t.INT | t.FLOAT | t.STRING:
                lines.append(f"{own}.{field} += {known(g, type_, depth - 1)};")
            case _:
                lines.append(f"{own}.{field} = {expr(g, type_, depth - 1)};")
    return [*lines, f'emit("struct", {own});', 'emit("old", old);']


def _call(g: Generator, depth: int) -> list[str]:
    if not g.functions:
        return _emit(g, depth)
    function = g.one(g.functions)
    args = ", ".join(expr(g, param, depth) for param in function.params)
    own = g.name()
    if function.result == t.NIL:
        return [f"{function.name}({args});"]
    g.scope.append(Variable(own, function.result))
    return [f"let {own} = {function.name}({args});"]


def _if(g: Generator, depth: int) -> list[str]:
    condition = f"if {expr(g, t.BOOL, depth)}"
    match g.pick(3):
        case 0:
            return [f"{condition} {body(g, 2, depth - 1)}"]
        case 1:
            return [f"{condition} {body(g, 2, depth - 1)} else {body(g, 1, depth - 1)}"]
        case _:
            other = f"else if {expr(g, t.BOOL, depth)} {body(g, 1, depth - 1)} else {body(g, 1, depth - 1)}"
            return [f"{condition} {body(g, 1, depth - 1)} {other}"]


def _match(g: Generator, depth: int) -> list[str]:
    if ANY_MATCHES and g.chance(8):
        # On Any, a match may forget a case.
        value = expr(g, t.ANY, depth)
        name = g.name()
        return [
            f"let {name}: Any = {value};",
            f'match {name} {{ 1 => emit("any", 1), "a" => emit("any", "a"){g.one((", _ => {}", ""))} }}',
        ]
    subject = g.type(2)
    arms = match_arms(g, subject, lambda: body(g, 1, depth - 1), lambda: expr(g, t.BOOL, depth - 1))
    return [f"match {known(g, subject, depth)} {{ {arms} }}"]


def _turns(g: Generator, count: int, depth: int, label: str) -> str:
    g.loops.append(label)
    inside = body(g, count, depth)
    g.loops.pop()
    return inside


def _label(g: Generator) -> str:
    return g.name("'l") if g.chance(3) else ""


def _for(g: Generator, depth: int) -> list[str]:
    label = _label(g)
    head = f"{label}: " if label else ""
    kept = len(g.scope)
    match g.pick(3):
        case 0:
            name = g.name()
            iterable = g.one((f"0..{g.pick(4)}", f"-1..={g.pick(3)}", known(g, t.RANGE, 0)))
            g.scope.append(Variable(name, t.INT))
        case 1:
            item = g.type(1)
            iterable = known(g, t.Array(item), depth)
            name = g.name()
            g.scope.append(Variable(name, item))
        case _:
            key, value = g.key(), g.simple()
            iterable = known(g, t.Map(key, value), depth)
            names = (g.name("k"), g.name("w"))
            name = f"({', '.join(names)})"
            g.scope += [Variable(names[0], key), Variable(names[1], value)]
    inside = _turns(g, 2, depth - 1, label)
    del g.scope[kept:]
    return [f"{head}for {name} in {iterable} {inside}"]


def _while(g: Generator, depth: int) -> list[str]:
    name = g.name("i")
    label = _label(g)
    head = f"{label}: " if label else ""
    condition = f"{name} < {1 + g.pick(3)}"
    if g.chance(3):
        condition += f" && {expr(g, t.BOOL, depth)}"
    g.scope.append(Variable(name, t.INT))
    inside = _turns(g, 2, depth - 1, label)
    return [f"let mut {name} = 0;", f"{head}while {condition} {{ {name} += 1; {inside[2:]}"]


def _loop(g: Generator, depth: int) -> list[str]:
    counter, name = g.name("i"), g.name()
    type_ = g.type(1)
    result = expr(g, type_, depth)
    label = _label(g)
    # Its `break` may not be the target of others, which have no value.
    inside = _turns(g, 1, depth - 1, "-")
    g.scope.append(Variable(name, type_))
    start = f"{label}: loop" if label else "loop"
    stop = f"break {label} {result}" if label else f"break {result}"
    return [
        f"let mut {counter} = 0;",
        f"let {name}: {show(type_)} = {start} {{ {counter} += 1; if {counter} > {1 + g.pick(3)} {{ {stop}; }} {inside[2:]};",
    ]


def _leave(g: Generator, depth: int) -> list[str]:
    """`break`, `continue`, `return`, `throw`, under a condition."""
    options: list[str] = []
    if g.loops and g.loops[-1] != "-":
        options += ["break", "continue"]
    options += [
        f"{word} {label}" for word in ("break", "continue") for label in g.loops if len(label) > 1
    ]
    if g.is_top or g.is_try or g.is_task:
        pass
    elif g.result == t.NIL:
        options.append("return")
    else:
        options.append(f"return {expr(g, g.result, depth)}")
    match g.result:
        case t.Result(_, err) if not g.is_main or g.is_try:
            options.append(f"throw {expr(g, err, depth)}")
        case _ if g.is_main:
            options.append(f"throw {known(g, t.STRING, depth)}")
    if not options:
        return _emit(g, depth)
    return [f"if {expr(g, t.BOOL, depth)} && {expr(g, t.BOOL, 0)} {{ {g.one(options)}; }}"]


def _model(g: Generator, depth: int) -> list[str]:
    # An empty prompt would be refused.
    prompt = f'("ask " + {known(g, t.STRING, depth)})'
    name = g.name("c")
    match g.pick(7):
        case 5:
            share = g.one(("1", "0.5", "-2e3"))
            data = f'r#"{{"word": "w", "count": 3, "share": {share}, "sure": true, "kind": "y", "parts": ["a", "b"]}}"#'
            return [
                f'match parse_schema<Reply>({data}) {{ Ok({name}) => emit("parsed", {name}), Err(e) => emit("parsed", e.kind) }}'
            ]
        case 6:
            rest = f'emit("all", {name}.collect().is_ok());' if g.chance(2) else f"{name}.close();"
            inside = (
                f'match {name}.next() {{ Ok(Some(first)) => emit("first", first.text), _ => {{}} }} '
                f'emit("so far", {name}.text_so_far()); emit("done", {name}.is_done()); '
                f'{rest} emit("done", {name}.is_done()); emit("end", {name}.response().is_some());'
            )
            failed = 'Err(e) => emit("answer", e.kind)'
            return [f"match M.stream({prompt}) {{ Ok({name}) => {{ {inside} }}, {failed} }}"]
        case 0:
            return [
                f'match M.execute({prompt}) {{ Ok({name}) => emit("answer", {name}.text), Err(e) => emit("answer", e.kind) }}'
            ]
        case 1:
            stop = f" if {name}.index > {g.pick(3)} {{ break; }}" if g.chance(2) else ""
            inner = f'for {name} in s {{ emit("chunk", {name}.text);{stop} }}'
            if g.is_main:
                return [
                    f'for {name} in M.stream({prompt})? {{ emit("chunk", {name}.text);{stop} }}'
                ]
            # A stream that breaks raises, which not every result can carry.
            whole = f'try {{ {inner} }} catch {{ emit("answer", "broken"); }}'
            return [
                f'match M.stream({prompt}) {{ Ok(s) => {{ {whole} }}, Err(e) => emit("answer", e.kind) }}'
            ]
        case 2:
            return [
                f'match M.execute_with_schema<Reply>({prompt}) {{ Ok({name}) => emit("typed", {name}), Err(e) => emit("typed", e.kind) }}'
            ]
        case 3:
            return [f'emit("env", env("{g.one(("SET", "EMPTY", "UNSET"))}") ?? "none");']
        case _:
            return [f'emit("answer", M.execute({prompt}).is_ok());']
