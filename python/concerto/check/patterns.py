"""Patterns: what they bind, and whether they fit their subject (language reference 9)."""

from __future__ import annotations

from collections.abc import Callable

from concerto.check import builtins, methods
from concerto.check import types as t
from concerto.check.bodies import Body, SharedNames
from concerto.check.checked import (
    ConstantName,
    Local,
    ReplyPattern,
    StructInfo,
    TypePattern,
    UnitVariant,
)
from concerto.check.coverage import missing_forms
from concerto.check.emits import keeps_mark
from concerto.check.forms import form_of
from concerto.check.generics import written_struct
from concerto.check.traits import is_user_error
from concerto.check.types import Type
from concerto.check.variants import Variant, find_variant, unknown_variant, variant_help
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast


def bind(
    body: Body, pattern: ast.Pattern, type_: Type, *, is_mut: bool = False, is_late: bool = False
) -> bool:
    """Checks a pattern against the type of its subject and declares its names; whether there is nothing to say about it."""
    before = len(body.checker.diagnostics)
    _Binder(body, is_mut, is_late).bind(pattern, type_)
    return not any(each.is_error for each in body.checker.diagnostics[before:])


def bind_whole(
    body: Body, pattern: ast.Pattern, type_: Type, *, is_mut: bool = False, help_: str | None = None
) -> None:
    """Declares the names of a pattern that must match every value (E3020)."""
    fine = bind(body, pattern, type_, is_mut=is_mut)
    # Alternatives in `let` were refused by their form.
    if fine and not isinstance(pattern, ast.OrPattern) and is_refutable(body, pattern, type_):
        body.checker.report("E3020", "the pattern may fail", pattern, help_)


def is_refutable(body: Body, pattern: ast.Pattern, type_: Type) -> bool:
    """Whether some value does not match a pattern that was bound."""
    if t.resolve(type_) == t.UNKNOWN:
        return False
    return bool(missing_forms(body, [form_of(body, pattern)], type_, 1))


class _Binder:
    """Walks one pattern."""

    def __init__(self, body: Body, is_mut: bool, is_late: bool) -> None:
        self.body, self.checker, self.facts = body, body.checker, body.checker.facts
        self.is_mut, self.is_late = is_mut, is_late
        #: All names so far, in order.
        self.bound: list[Local] = []

    def bind(self, pattern: ast.Pattern, type_: Type) -> None:
        type_ = t.resolve(type_)
        if type_ == t.REPLY and not _sees_mark(pattern):
            type_ = t.ANY
        match pattern:
            case ast.PathPattern():
                self.path(pattern, type_)
            case ast.LiteralPattern(value=value):
                self.literal(pattern, value, type_)
            case ast.RangePattern():
                self.range_(pattern, type_)
            case ast.BindPattern(name=name, inner=inner):
                self.name(pattern, name, type_)
                self.bind(inner, type_)
            case ast.VariantPattern():
                self.variant(pattern, type_)
            case ast.StructPattern():
                self.struct_(pattern, type_)
            case ast.TuplePattern(items=()):
                self.literal(pattern, None, type_)
            case ast.TuplePattern(items=items):
                self.tuple_(pattern, items, type_)
            case ast.ArrayPattern(items=items):
                self.array_(pattern, items, type_)
            case ast.OrPattern(options=options):
                self.alternatives(options, type_)
            case ast.RestPattern(name=name):
                if name is not None:  # E1018
                    self.name(pattern, name, t.UNKNOWN)
            case _:
                raise AssertionError(pattern)

    def path(self, pattern: ast.PathPattern, type_: Type) -> None:
        path = pattern.path
        text, whole = str(path), type_
        type_ = t.ANY if whole == t.REPLY else whole
        unit = self.unit(path, type_)
        if unit is not None:
            self.facts.patterns[id(pattern)] = unit
        elif (error := _kinds_of(path)) is not None:
            self.error_variant(pattern, error, path, type_)
        elif find_variant(self.checker, path) is not None:
            help_ = f"write `{path}(..)` or `{path} {{ .. }}`"
            self.checker.report("E3027", f"`{path}` has data", pattern, help_)
        elif len(path.names) > 1:
            unknown_variant(self.checker, path)
        elif (constant := self.find_constant(text)) is not None:
            self.constant(pattern, constant, type_)
        elif text != "_":
            self.name(pattern, path.names[0], whole)

    def name(self, node: ast.Node, name: ast.Name, type_: Type) -> None:
        """A name that takes the value."""
        text, shared = name.text, self.body.shared
        if shared is not None and text in shared.names:
            first = shared.names[text]
            shared.seen.append(text)
            self.facts.patterns[id(node)] = first
            self.bound.append(first)
            if t.assign(first.type, type_) != () or t.assign(type_, first.type) != ():
                message = f"`{name}` is `{t.show(first.type)}` in one alternative and `{t.show(type_)}` in another"
                self.checker.report("E3028", message, name)
            return
        if any(each.name == text for each in self.bound):
            self.checker.report("E2004", f"the pattern names `{name}` twice", name)
            return
        is_reply = type_ == t.REPLY
        type_ = t.ANY if is_reply else type_
        local = Local(text, type_, name.span, self.is_mut, is_late=self.is_late)
        # What is assigned later need not be a reply.
        local.is_reply = is_reply and (not self.is_mut or keeps_mark(self.body, text))
        if text[0].isupper():
            self.capitalised(name, type_)
            local.used = True
        self.body.declare(local)
        self.bound.append(local)
        self.facts.patterns[id(node)] = local

    def capitalised(self, name: ast.Name, type_: Type) -> None:
        """W2006: it may be meant as a variant."""
        help_ = "name it in snake_case"
        if isinstance(type_, t.Enum):
            words = [variant.name for variant in self.checker.enums[type_.name].variants]
            if name.text in words:
                help_ = f"write `{type_.name}::{name}`"
        self.checker.report("W2006", f"`{name}` takes every value", name, help_)

    def find_constant(self, text: str) -> ConstantName | None:
        """The constant of a name, of a block or of the program, unless a variable hides it."""
        local = self.body.find(text)
        if local is not None:
            local.used = local.used or local.constant is not None
            return local.constant
        known = self.checker.constants.get(text)
        return ConstantName(*known) if known else None

    def constant(self, pattern: ast.PathPattern, constant: ConstantName, type_: Type) -> None:
        found = constant.type
        self.facts.patterns[id(pattern)] = constant
        if t.assign(found, type_) is None and t.assign(type_, found) is None:
            self.checker.mismatch(type_, found, pattern)

    def literal(self, pattern: ast.Pattern, value: object, type_: Type) -> None:
        kinds = {bool: t.BOOL, int: t.INT, float: t.FLOAT, str: t.STRING, type(None): t.NIL}
        found = kinds[type(value)]
        members = type_.members if isinstance(type_, t.Union) else (type_,)
        if any(_has_literal(value, found, member) for member in members):
            return
        help_ = None
        if isinstance(type_, t.Literals) and isinstance(value, str):
            help_ = did_you_mean(value, list(type_.values))
        self.checker.mismatch(type_, found, pattern, help_)

    def range_(self, pattern: ast.RangePattern, type_: Type) -> None:
        start, end = pattern.start, pattern.end
        found = t.FLOAT if float in (type(start), type(end)) else t.INT
        numbers = (t.INT, t.FLOAT, t.UNKNOWN)
        if type_ == t.ANY or (isinstance(type_, t.Union) and found in type_.members):
            self.facts.patterns[id(pattern)] = TypePattern(t.Union((t.INT, t.FLOAT)), None)
        elif t.assign(found, type_) is None or type_ not in numbers:
            self.checker.mismatch(type_, found, pattern)
        if start > end or (start == end and not pattern.inclusive):
            help_ = "the smaller number comes first; `..=` includes the end"
            self.checker.report("E3026", "no number is in this range", pattern, help_)

    def tuple_(self, pattern: ast.Pattern, items: tuple[ast.Pattern, ...], type_: Type) -> None:
        if _has_rest(items):
            type_ = t.Tuple((t.UNKNOWN,) * len(items))
        inside = _one_of(
            type_, lambda each: isinstance(each, t.Tuple) and len(each.items) == len(items)
        )
        if type_ == t.ANY:
            inside = t.Tuple((t.ANY,) * len(items))
        if not isinstance(inside, t.Tuple):
            self.wrong(pattern, type_, f"a tuple of {len(items)}", items)
            return
        if inside != type_:
            self.facts.patterns[id(pattern)] = TypePattern(inside, None)
        for item, part in zip(items, inside.items, strict=True):
            self.bind(item, part)

    def array_(self, pattern: ast.Pattern, items: tuple[ast.Pattern, ...], type_: Type) -> None:
        inside = _one_of(type_, lambda each: isinstance(each, t.Array))
        if type_ == t.ANY:
            inside = t.Array(t.ANY)
        if not isinstance(inside, t.Array):
            self.wrong(pattern, type_, "an array", items)
            return
        if inside != type_:
            self.facts.patterns[id(pattern)] = TypePattern(inside, None)
        for item in items:
            if not isinstance(item, ast.RestPattern):
                self.bind(item, inside.item)
            elif item.name is not None:
                self.name(item, item.name, inside)

    def alternatives(self, options: tuple[ast.Pattern, ...], type_: Type) -> None:
        """Each binds the names of the first one (E3028)."""
        start = len(self.bound)
        self.bind(options[0], type_)
        names = {local.name: local for local in self.bound[start:]}
        outer = self.body.shared
        for option in options[1:]:
            here = len(self.bound)
            self.body.shared = SharedNames(names)
            self.bind(option, type_)
            seen = {local.name for local in self.bound[here:]}
            self.body.shared = outer
            if seen != set(names):
                shown = " and ".join(f"`{name}`" for name in sorted(seen ^ set(names)))
                message = f"the alternatives bind different names: {shown}"
                help_ = "bind the same names in each, or write an arm for each"
                self.checker.report("E3028", message, option, help_)
            del self.bound[here:]
        if outer is not None:
            outer.seen += list(names)

    def wrong(
        self, pattern: ast.Pattern, type_: Type, what: str, items: tuple[ast.Pattern, ...]
    ) -> None:
        """A pattern of another kind than the value; what is inside is bound to something unknown."""
        if type_ != t.UNKNOWN:
            message = f"the pattern is {what}, the value is `{t.show(type_)}`"
            self.checker.report("E3001", message, pattern)
        for item in items:
            self.bind(item, t.UNKNOWN)

    def unit(self, path: ast.Path, type_: Type) -> UnitVariant | None:
        """A variant without data, or None."""
        if str(path) == "None":
            fits = isinstance(type_, t.Option) or type_ in (t.NIL, t.ANY, t.UNKNOWN)
            if not fits:
                self.checker.mismatch(type_, t.Option(t.Var()), path)
            return UnitVariant(None, 0, may_be_other=type_ == t.ANY)
        variant = find_variant(self.checker, path, type_)
        if variant is None or variant.form != "unit":
            return None
        other = self.other_than(path, type_, variant.type)
        return UnitVariant(variant.type, variant.number, other)

    def variant(self, pattern: ast.VariantPattern, type_: Type) -> None:
        text, items = str(pattern.path), pattern.items
        if text in ("Some", "Ok", "Err"):
            inner = self.payload(pattern, text, type_)
            if inner is None:
                self.wrong(pattern, type_, f"`{text}(..)`", items)
                return
            self.count(pattern, items, 1)
            parts: list[Type] = [inner]
        else:
            found = self.find_variant(pattern.path, type_)
            if found is None:
                for item in items:
                    self.bind(item, t.UNKNOWN)
                return
            fields, self.facts.patterns[id(pattern)] = found[0].fields, found[1]
            self.count(pattern, items, len(fields))
            parts = [field.type for field in fields]
        parts += [t.UNKNOWN] * (len(items) - len(parts))
        for item, part in zip(items, parts, strict=False):
            self.bind(item, part)

    def payload(self, pattern: ast.Pattern, word: str, type_: Type) -> Type | None:
        match word, type_:
            case _, t.Simple("?"):
                return t.UNKNOWN
            case _, t.Simple("Any reply"):
                self.facts.patterns[id(pattern)] = ReplyPattern()
                return builtins.EMIT_ERROR if word == "Err" else t.ANY
            case _, t.Simple("Any"):
                tested = t.Option(t.ANY) if word == "Some" else t.Result(t.ANY, t.ANY)
                self.facts.patterns[id(pattern)] = TypePattern(tested, None)
                return t.ANY
            case "Some", t.Option(item):
                return item
            case "Ok", t.Result(ok, _):
                return ok
            case "Err", t.Result(_, err):
                return err
            case _:
                return None

    def count(self, pattern: ast.Pattern, items: tuple[ast.Pattern, ...], wanted: int) -> None:
        if len(items) != wanted and not _has_rest(items):
            plural = "s" if wanted != 1 else ""
            message = f"the variant has {wanted} part{plural}, the pattern {len(items)}"
            self.checker.report("E3027", message, pattern)

    def other_than(self, path: ast.Path, type_: Type, enum: t.Enum) -> bool:
        """Whether a value that is matched with a variant may be no value of its enum, as one of a union or of `Any`."""
        if type_ == t.ANY or (isinstance(type_, t.Union) and enum in type_.members):
            return True
        if type_ != t.UNKNOWN and t.assign(type_, enum) != ():
            self.checker.mismatch(type_, enum, path)
        return False

    def find_variant(self, path: ast.Path, type_: Type) -> tuple[Variant, UnitVariant] | None:
        variant = find_variant(self.checker, path, type_)
        if variant is not None:
            other = self.other_than(path, type_, variant.type)
            return variant, UnitVariant(variant.type, variant.number, other)
        if len(path.names) == 1:
            word = path.names[0].text
            if word not in self.checker.refused:
                help_ = did_you_mean(word, ["Some", "Ok", "Err"])
                help_ = help_ or variant_help(self.checker, word)
                self.checker.report("E2001", f"there is no variant `{word}`", path, help_)
        else:
            unknown_variant(self.checker, path)
        return None

    def struct_(self, pattern: ast.StructPattern, type_: Type) -> None:
        checker, name = self.checker, str(pattern.path)
        struct = methods.named_type(checker, name) if len(pattern.path.names) == 1 else None
        fields: dict[str, Type] | None = None
        order: list[str] = []
        if (error := _kinds_of(pattern.path)) is not None:
            fields = self.error_variant(pattern, error, pattern.path, type_)
            order = list(builtins.records()[error][1])
        elif name in builtins.records() or name == "AgentError":
            builtin = builtins.TYPES[name]
            self.expect(pattern, type_, builtin)
            fields = builtins.records()[t.show(builtin)][1]
        elif isinstance(struct, t.Struct) and struct.name in checker.structs:
            wanted = written_struct(struct.name, type_) or struct
            self.expect(pattern, type_, wanted)
            info = checker.structs[struct.name]
            fields = {each.name: each.type for each in info.fields_of(wanted)}
            _visible(self.body, pattern, info)
        elif len(pattern.path.names) == 2:
            found = self.find_variant(pattern.path, type_)
            if found:
                variant, self.facts.patterns[id(pattern)] = found
                fields = {each.name: each.type for each in variant.fields}
        elif name not in checker.refused:
            help_ = checker.hint(name, checker.structs, pattern.path)
            checker.report("E2002", f"there is no type `{name}`", pattern.path, help_)
        if fields is None:
            fields, order = {each.name.text: t.UNKNOWN for each in pattern.fields}, []
        self.fields(pattern, fields, order or list(fields))

    def error_variant(
        self, pattern: ast.Pattern, error: str, path: ast.Path, type_: Type
    ) -> dict[str, Type] | None:
        """The fields of a variant of a built-in error, which its kind tells from others (E-1, EM-9, TL-20)."""
        word, kinds = path.names[1].text, builtins.ERROR_KINDS[error]
        kind = kinds.get(word)
        if kind is None:
            message = f"`{error}` has no variant `{word}`"
            help_ = did_you_mean(word, list(kinds))
            self.checker.report("E2001", message, path.names[1], help_)
            return None
        self.expect(pattern, type_, builtins.TYPES[error])
        known = self.facts.patterns.get(id(pattern))
        tested = known.type if isinstance(known, TypePattern) else None
        self.facts.patterns[id(pattern)] = TypePattern(tested, kind, error)
        return builtins.variant_fields(error, kind)

    def expect(self, pattern: ast.Pattern, type_: Type, wanted: Type) -> None:
        """A value that may be of other types is tested at run time."""
        is_open = type_ == t.ANY or (isinstance(type_, t.Union) and wanted in type_.members)
        is_error = t.is_error(wanted) or is_user_error(self.checker, wanted)
        if is_open or (type_ == t.ERROR and is_error):
            self.facts.patterns[id(pattern)] = TypePattern(wanted, None)
        elif type_ != t.UNKNOWN and not t.is_same(type_, wanted):
            self.checker.mismatch(type_, wanted, pattern)

    def fields(self, pattern: ast.StructPattern, fields: dict[str, Type], order: list[str]) -> None:
        for field in pattern.fields:
            name = field.name.text
            if name not in fields:
                help_ = did_you_mean(name, list(fields))
                message = f"`{pattern.path}` has no field `{name}`"
                self.checker.report("E3011", message, field.name, help_)
            else:
                self.facts.fields[id(field)] = order.index(name)
            inner = fields.get(name, t.UNKNOWN)
            if field.pattern is None:
                self.name(field, field.name, inner)
            else:
                self.bind(field.pattern, inner)
        missing = [name for name in fields if all(f.name.text != name for f in pattern.fields)]
        # A field that does not exist may be meant for one that is left out.
        is_whole = all(f.name.text in fields for f in pattern.fields)
        if missing and is_whole and not pattern.has_rest:
            help_ = f"add `{missing[0]}`, or `..` for the rest"
            count = f"{len(missing)} field{'s' if len(missing) != 1 else ''}"
            self.checker.report("E3027", f"the pattern leaves out {count}", pattern, help_)


def _visible(body: Body, pattern: ast.StructPattern, info: StructInfo) -> None:
    """Fields may be private to another module."""
    fields = {each.name: each for each in info.fields}
    for field in pattern.fields:
        if field.name.text in fields:
            body.checker.may_see(info, fields[field.name.text], field.name)


def is_misread_variant(body: Body, pattern: ast.Pattern) -> bool:
    """Whether a pattern is a capitalised name that binds, which was W2006."""
    bound = body.checker.facts.patterns.get(id(pattern))
    return isinstance(bound, Local) and bound.name[0].isupper()


def _has_rest(items: tuple[ast.Pattern, ...]) -> bool:
    """Whether there is a `..` among the parts of a tuple or variant, which was E1018."""
    return any(isinstance(item, ast.RestPattern) for item in items)


def _kinds_of(path: ast.Path) -> str | None:
    """The built-in error whose variant a path names."""
    first = path.names[0].text
    error = "LlmError" if first == "AgentError" else first
    return error if len(path.names) == 2 and error in builtins.ERROR_KINDS else None


def _sees_mark(pattern: ast.Pattern) -> bool:
    """Whether a pattern can tell a good reply from a plain value: by `Ok` and `Err`, or where a name keeps it."""
    if isinstance(pattern, ast.VariantPattern):
        return str(pattern.path) in ("Ok", "Err")
    return isinstance(pattern, ast.PathPattern | ast.BindPattern | ast.OrPattern)


def _has_literal(value: object, found: Type, type_: Type) -> bool:
    type_ = t.resolve(type_)
    if isinstance(type_, t.Literals):
        return value in type_.values
    whole = found == t.INT and type_ == t.FLOAT
    nothing = found == t.NIL and isinstance(type_, t.Option)
    return type_ in (found, t.UNKNOWN, t.ANY) or whole or nothing


def _one_of(type_: Type, fits: Callable[[Type], bool]) -> Type | None:
    """The type, or the member of a union, that a pattern can be of."""
    members = type_.members if isinstance(type_, t.Union) else (type_,)
    return next((each for each in map(t.resolve, members) if fits(each)), None)
