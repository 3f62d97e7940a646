"""Patterns: what they bind, whether they fit, and whether a match covers everything."""

from __future__ import annotations

from concerto.check import builtins, methods
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checked import FieldInfo, Local, StructInfo, TypePattern, UnitVariant
from concerto.check.generics import written_struct
from concerto.check.types import Type
from concerto.check.variants import Variant, find_variant, unknown_variant
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast


def bind(
    body: Body, pattern: ast.Pattern, type_: Type, *, is_mut: bool = False, assigned: bool = True
) -> None:
    """Checks a pattern against the type of its subject and declares its names."""
    checker, type_ = body.checker, t.resolve(type_)
    match pattern:
        case ast.PathPattern(path=path):
            unit = _unit(body, path, type_)
            if unit is None and _is_llm_variant(path):
                _llm_variant(body, pattern, path, type_)
            elif unit is not None:
                checker.facts.patterns[id(pattern)] = unit
            elif find_variant(checker, path) is not None:
                message = f"`{path}` has data"
                checker.report(
                    "E3027", message, pattern, f"write `{path}(..)` or `{path} {{ .. }}`"
                )
            elif len(path.names) > 1:
                unknown_variant(checker, path)
            elif str(path) in checker.constants and body.find(str(path)) is None:
                checker.not_yet("a constant in a pattern", pattern)
            elif str(path) != "_":
                name = path.names[0]
                if (
                    body.scopes[-1].get(name.text, None)
                    and body.scopes[-1][name.text].span == name.span
                ):
                    return
                local = Local(name.text, type_, name.span, is_mut, assigned=assigned)
                body.declare(local)
                checker.facts.patterns[id(pattern)] = local
        case ast.LiteralPattern(value=value):
            _literal(body, pattern, value, type_)
        case ast.RangePattern(start=start, end=end):
            found = t.FLOAT if float in (type(start), type(end)) else t.INT
            if t.assign(found, type_) is None or type_ not in (t.INT, t.FLOAT, t.UNKNOWN):
                checker.mismatch(type_, found, pattern)
        case ast.BindPattern(name=name, inner=inner):
            local = Local(name.text, type_, name.span, is_mut)
            body.declare(local)
            checker.facts.patterns[id(pattern)] = local
            bind(body, inner, type_, is_mut=is_mut)
        case ast.VariantPattern(path=path, items=items):
            _variant(body, pattern, path, items, type_, is_mut)
        case ast.StructPattern():
            _struct(body, pattern, type_, is_mut)
        case ast.TuplePattern(items=items):
            if isinstance(type_, t.Tuple) and len(type_.items) == len(items):
                for item, inner_type in zip(items, type_.items, strict=True):
                    bind(body, item, inner_type, is_mut=is_mut)
            else:
                _wrong(body, pattern, type_, f"a tuple of {len(items)}", items, is_mut)
        case ast.OrPattern(options=options):
            for option in options:
                if _binds(option):
                    checker.not_yet("alternatives that bind names", option)
                bind(body, option, type_, is_mut=is_mut)
        case _:
            checker.not_yet("an array pattern", pattern)


def _binds(pattern: ast.Pattern) -> bool:
    match pattern:
        case ast.PathPattern(path=path):
            return (
                len(path.names) == 1 and str(path) not in ("_", "None") and str(path)[0].islower()
            )
        case ast.VariantPattern(items=items) | ast.TuplePattern(items=items):
            return any(_binds(item) for item in items)
        case ast.BindPattern():
            return True
        case _:
            return False


def _wrong(
    body: Body,
    pattern: ast.Pattern,
    type_: Type,
    what: str,
    items: tuple[ast.Pattern, ...],
    is_mut: bool,
) -> None:
    if type_ != t.UNKNOWN:
        message = f"the pattern is {what}, the value is `{t.show(type_)}`"
        body.checker.report("E3001", message, pattern)
    for item in items:
        bind(body, item, t.UNKNOWN, is_mut=is_mut)


def _unit(body: Body, path: ast.Path, type_: Type) -> UnitVariant | None:
    if str(path) == "None":
        return UnitVariant(None, 0)
    variant = find_variant(body.checker, path, type_)
    if variant is None or variant.form != "unit":
        return None
    return UnitVariant(variant.type, variant.number, _other_than(body, path, type_, variant.type))


def _literal(body: Body, pattern: ast.Pattern, value: object, type_: Type) -> None:
    if isinstance(type_, t.Union) and any(_has_literal(value, each) for each in type_.members):
        return
    kinds = {bool: t.BOOL, int: t.INT, float: t.FLOAT, str: t.STRING, type(None): t.NIL}
    found = kinds[type(value)]
    fine = (
        type_ in (found, t.UNKNOWN, t.ANY)
        or (isinstance(type_, t.Literals) and value in type_.values)
        or (found == t.INT and type_ == t.FLOAT)
        or (found == t.NIL and isinstance(type_, t.Option))
    )
    if not fine:
        help_ = None
        if isinstance(type_, t.Literals) and isinstance(value, str):
            help_ = did_you_mean(value, list(type_.values))
        body.checker.mismatch(type_, found, pattern, help_)


def _has_literal(value: object, type_: Type) -> bool:
    kinds = {bool: t.BOOL, int: t.INT, float: t.FLOAT, str: t.STRING}
    return kinds.get(type(value)) == type_ or (
        isinstance(type_, t.Literals) and value in type_.values
    )


def _variant(
    body: Body,
    pattern: ast.Pattern,
    path: ast.Path,
    items: tuple[ast.Pattern, ...],
    type_: Type,
    is_mut: bool,
) -> None:
    text = str(path)
    if text in ("Some", "Ok", "Err"):
        inner = _payload(text, type_)
        if inner is None:
            _wrong(body, pattern, type_, f"`{text}(..)`", items, is_mut)
            return
        _count(body, pattern, len(items), 1)
        for item in items[:1]:
            bind(body, item, inner, is_mut=is_mut)
        return
    found = _find_variant(body, path, type_)
    if found is None:
        for item in items:
            bind(body, item, t.UNKNOWN, is_mut=is_mut)
        return
    variant, unit = found
    body.checker.facts.patterns[id(pattern)] = unit
    _count(body, pattern, len(items), len(variant.fields))
    for item, field in zip(items, variant.fields, strict=False):
        bind(body, item, field.type, is_mut=is_mut)


def _payload(word: str, type_: Type) -> Type | None:
    match word, type_:
        case _, t.Simple("?"):
            return t.UNKNOWN
        case "Some", t.Option(item):
            return item
        case "Ok", t.Result(ok, _):
            return ok
        case "Err", t.Result(_, err):
            return err
        case _:
            return None


def _count(body: Body, pattern: ast.Pattern, found: int, wanted: int) -> None:
    if found != wanted:
        message = f"the variant has {wanted} part{'s' if wanted != 1 else ''}, the pattern {found}"
        body.checker.report("E3027", message, pattern)


def _other_than(body: Body, path: ast.Path, type_: Type, enum: t.Enum) -> bool:
    """Whether a value that is matched with a variant may be no value of its enum, which only a union allows."""
    type_ = t.resolve(type_)
    if isinstance(type_, t.Union) and enum in type_.members:
        return True
    if type_ != t.UNKNOWN and t.assign(type_, enum) != ():
        body.checker.mismatch(type_, enum, path)
    return False


def _find_variant(body: Body, path: ast.Path, type_: Type) -> tuple[Variant, UnitVariant] | None:
    variant = find_variant(body.checker, path, type_)
    if variant is not None:
        may_be_other = _other_than(body, path, type_, variant.type)
        return variant, UnitVariant(variant.type, variant.number, may_be_other)
    if len(path.names) == 1:
        word = path.names[0].text
        if word in body.checker.refused:
            return None
        help_ = did_you_mean(word, ["Some", "Ok", "Err"])
        body.checker.report("E2001", f"there is no variant `{word}`", path, help_)
    else:
        unknown_variant(body.checker, path)
    return None


def _struct(body: Body, pattern: ast.StructPattern, type_: Type, is_mut: bool) -> None:
    checker, name = body.checker, str(pattern.path)
    struct = methods.named_type(checker, name) if len(pattern.path.names) == 1 else None
    fields: dict[str, Type] = {}
    order: list[str] = []
    if _is_llm_variant(pattern.path):
        fields = _llm_variant(body, pattern, pattern.path, type_)
        order = list(builtins.records()["LlmError"][1])
    elif name in builtins.records() or name == "AgentError":
        builtin = builtins.TYPES[name]
        _expect(body, pattern, type_, builtin)
        fields = builtins.records()[t.show(builtin)][1]
        if type_ == t.ERROR:
            checker.facts.patterns[id(pattern)] = TypePattern(builtin, None)
    elif isinstance(struct, t.Struct) and struct.name in checker.structs:
        wanted = written_struct(struct.name, type_) or struct
        _expect(body, pattern, type_, wanted)
        if isinstance(type_, t.Union):
            checker.facts.patterns[id(pattern)] = TypePattern(wanted, None)
        info = checker.structs[struct.name]
        fields = {each.name: each.type for each in info.fields_of(wanted)}
        _visible(body, pattern, info)
    elif len(pattern.path.names) == 2:
        found = _find_variant(body, pattern.path, type_)
        if found:
            variant, checker.facts.patterns[id(pattern)] = found
            fields = {each.name: each.type for each in variant.fields}
    elif name not in checker.refused:
        checker.report(
            "E2002",
            f"there is no type `{name}`",
            pattern.path,
            checker.hint(name, checker.structs, pattern.path),
        )
    if not fields:
        fields = {each.name.text: t.UNKNOWN for each in pattern.fields}
    _struct_fields(body, pattern, fields, order or list(fields), is_mut)


def _visible(body: Body, pattern: ast.StructPattern, info: StructInfo) -> None:
    """Fields may be private to another module."""
    fields = {each.name: each for each in info.fields}
    for field in pattern.fields:
        if field.name.text in fields:
            body.checker.may_see(info, fields[field.name.text], field.name)


def _is_llm_variant(path: ast.Path) -> bool:
    return len(path.names) == 2 and path.names[0].text in ("LlmError", "AgentError")


def _llm_variant(body: Body, pattern: ast.Pattern, path: ast.Path, type_: Type) -> dict[str, Type]:
    """The fields of a variant of `LlmError`, which its kind tells from others (E-1)."""
    word = path.names[1].text
    kind = builtins.LLM_ERROR_KINDS.get(word)
    if kind is None:
        help_ = did_you_mean(word, list(builtins.LLM_ERROR_KINDS))
        message = f"`LlmError` has no variant `{word}`"
        body.checker.report("E2001", message, path.names[1], help_)
        return {}
    _expect(body, pattern, type_, builtins.LLM_ERROR)
    tested = builtins.LLM_ERROR if type_ == t.ERROR else None
    body.checker.facts.patterns[id(pattern)] = TypePattern(tested, kind)
    return builtins.variant_fields(kind)


def _expect(body: Body, pattern: ast.Pattern, type_: Type, wanted: Type) -> None:
    if isinstance(type_, t.Union) and wanted in type_.members:
        return
    if type_ == t.ERROR and t.is_error(wanted):
        return
    if type_ not in (t.UNKNOWN, t.ANY) and not t.is_same(type_, wanted):
        body.checker.mismatch(type_, wanted, pattern)


def _struct_fields(
    body: Body,
    pattern: ast.StructPattern,
    fields: dict[str, Type],
    order: list[str],
    is_mut: bool,
) -> None:
    for field in pattern.fields:
        name = field.name.text
        if name not in fields:
            if fields:
                help_ = did_you_mean(name, list(fields))
                body.checker.report(
                    "E3011", f"`{pattern.path}` has no field `{name}`", field.name, help_
                )
            inner_type: Type = t.UNKNOWN
        else:
            inner_type = fields[name]
            body.checker.facts.fields[id(field)] = order.index(name)
        inner = field.pattern
        if inner is None:
            local = Local(name, inner_type, field.name.span, is_mut)
            body.declare(local)
            body.checker.facts.patterns[id(field)] = local
        else:
            bind(body, inner, inner_type, is_mut=is_mut)
    missing = [name for name in fields if all(f.name.text != name for f in pattern.fields)]
    if missing and not pattern.has_rest:
        help_ = f"add `{missing[0]}`, or `..` for the rest"
        body.checker.report(
            "E3027", f"the pattern leaves out {len(missing)} fields", pattern, help_
        )


def is_refutable(body: Body, pattern: ast.Pattern, type_: Type) -> bool:
    """Whether some value does not match."""
    type_ = t.resolve(type_)
    match pattern:
        case ast.PathPattern(path=path):
            return _unit(body, path, t.UNKNOWN) is not None or len(path.names) > 1
        case ast.BindPattern(inner=inner):
            return is_refutable(body, inner, type_)
        case ast.TuplePattern(items=items):
            return any(is_refutable(body, item, t.UNKNOWN) for item in items)
        case ast.StructPattern(fields=fields, path=path):
            inside = any(
                f.pattern is not None and is_refutable(body, f.pattern, t.UNKNOWN) for f in fields
            )
            is_open = type_ == t.ERROR or isinstance(type_, t.Union)
            return inside or len(path.names) > 1 or is_open
        case _:
            return type_ != t.UNKNOWN


def missing_patterns(body: Body, patterns: list[ast.Pattern], type_: Type) -> list[str]:
    """Up to three patterns for values that no arm takes; empty if every value is covered. Guarded arms are left out by the caller."""
    type_ = t.resolve(type_)
    options = [o for p in patterns for o in (p.options if isinstance(p, ast.OrPattern) else (p,))]
    if type_ == t.UNKNOWN or any(not is_refutable(body, option, type_) for option in options):
        return []
    match type_:
        case t.Simple("Bool"):
            seen = {o.value for o in options if isinstance(o, ast.LiteralPattern)}
            return [word for word, value in (("true", True), ("false", False)) if value not in seen]
        case t.Literals(values):
            seen = {o.value for o in options if isinstance(o, ast.LiteralPattern)}
            return [f'"{value}"' for value in values if value not in seen][:3]
        case t.Union(members):
            return [
                missing for member in members for missing in _missing_member(body, options, member)
            ][:3]
        case t.Option(item):
            return _missing_of(body, options, (("None", None), ("Some", item)))
        case t.Result(ok, err):
            return _missing_of(body, options, (("Ok", ok), ("Err", err)))
        case t.Enum(name):
            enum = body.checker.enums[name]
            missing = [
                m
                for number, v in enumerate(enum.variants)
                for m in _missing_variant(
                    body, options, type_, number, f"{name}::{v.name}", enum.fields_of(number, type_)
                )
            ]
            return missing[:3]
        case t.Struct("LlmError"):
            return _missing_kinds(body, options)
        case t.Tuple(items):
            return (
                []
                if _columns_cover(body, options, items)
                else ["(" + ", ".join("_" for _ in items) + ")"]
            )
        case _:
            return ["_"]


def _missing_member(body: Body, options: list[ast.Pattern], member: Type) -> list[str]:
    """What the patterns that can be of a member of a union leave out of it."""
    own: list[ast.Pattern] = []
    for option in options:
        match option, member:
            case (ast.StructPattern(path=path), t.Struct(name)) if str(path) == name:
                own.append(option)
            case (ast.PathPattern() | ast.VariantPattern() | ast.StructPattern(), t.Enum(name)):
                variant = find_variant(body.checker, option.path, member)
                own += [option] if variant is not None and variant.type.name == name else []
            case (ast.LiteralPattern(value=value), _) if _has_literal(value, member):
                own.append(option)
            case ast.TuplePattern(), t.Tuple():
                own.append(option)
            case _:
                pass
    missing = missing_patterns(body, own, member)
    if missing == ["_"]:
        return [f"{member.name} {{ .. }}" if isinstance(member, t.Struct) else "_"]
    return missing


def _columns_cover(body: Body, options: list[ast.Pattern], items: tuple[Type, ...]) -> bool:
    """Whether tuple patterns cover everything: some column whose other columns are always taken."""
    rows = [
        o.items for o in options if isinstance(o, ast.TuplePattern) and len(o.items) == len(items)
    ]
    for column, type_ in enumerate(items):
        free = [
            row
            for row in rows
            if all(c == column or not is_refutable(body, p, items[c]) for c, p in enumerate(row))
        ]
        if free and not missing_patterns(body, [row[column] for row in free], type_):
            return True
    return False


def _missing_of(
    body: Body, options: list[ast.Pattern], wanted: tuple[tuple[str, Type | None], ...]
) -> list[str]:
    missing: list[str] = []
    for word, inner in wanted:
        if inner is None:
            covered = any(
                (isinstance(o, ast.PathPattern) and str(o.path) == word)
                or (isinstance(o, ast.LiteralPattern) and o.value is None)
                for o in options
            )
            missing += [] if covered else [word]
            continue
        inside = [
            o.items[0]
            for o in options
            if isinstance(o, ast.VariantPattern) and str(o.path) == word and o.items
        ]
        gaps = missing_patterns(body, inside, inner) if inside else ["_"]
        missing += [f"{word}({gap})" for gap in gaps]
    return missing[:3]


def _missing_kinds(body: Body, options: list[ast.Pattern]) -> list[str]:
    """Variants of `LlmError` that no pattern takes whole."""
    taken = {
        str(o.path.names[-1])
        for o in options
        if isinstance(o, ast.PathPattern)
        or (
            isinstance(o, ast.StructPattern)
            and not any(f.pattern and is_refutable(body, f.pattern, t.UNKNOWN) for f in o.fields)
        )
    }
    return [f"LlmError::{word} {{ .. }}" for word in builtins.LLM_ERROR_KINDS if word not in taken][
        :3
    ]


def _missing_variant(
    body: Body,
    options: list[ast.Pattern],
    type_: t.Enum,
    number: int,
    path: str,
    fields: list[FieldInfo],
) -> list[str]:
    taken: list[ast.Pattern] = [
        o
        for o in options
        if isinstance(o, ast.PathPattern | ast.VariantPattern | ast.StructPattern)
        and (found := find_variant(body.checker, o.path, type_)) is not None
        and (found.type.name, found.number) == (type_.name, number)
    ]
    if not taken:
        return [path + ("" if not fields else "(..)")]
    for option in taken:
        parts: list[ast.Pattern] = []
        if isinstance(option, ast.VariantPattern):
            parts = list(option.items)
        elif isinstance(option, ast.StructPattern):
            parts = [f.pattern for f in option.fields if f.pattern is not None]
        if not any(is_refutable(body, part, t.UNKNOWN) for part in parts):
            return []
    if len(fields) == 1:
        inside = [o.items[0] for o in taken if isinstance(o, ast.VariantPattern) and o.items]
        return [f"{path}({gap})" for gap in missing_patterns(body, inside, fields[0].type)]
    return [path + "(..)"]
