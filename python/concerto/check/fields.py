"""Field expressions: values in blocks of settings, which the runtime evaluates at first use (rules C-20 to C-27)."""

from __future__ import annotations

from typing import Any

from concerto.check.checked import FieldExpr
from concerto.check.checker import Checker
from concerto.check.constants import REPORTED
from concerto.check.values import plain
from concerto.diagnostics.model import Label, closest
from concerto.source import Span
from concerto.syntax import ast

#: Stands for a value that was reported.
BAD = object()


def static_type(value: Any) -> str:
    """The type of a field expression as the language names it."""
    match value:
        case bool():
            return "Bool"
        case int():
            return "Int"
        case float():
            return "Float"
        case None:
            return "nil"
        case list():
            return "Array"
        case dict() if "object" in value:
            return "an object"
        case _:
            return "String"


def field_expr(checker: Checker, node: ast.Expr) -> FieldExpr:
    """The value of a settings expression; `BAD` if it is not constant, which is reported. Objects become `{"object": node}`."""
    match node:
        case ast.Literal(value=value):
            return value
        case ast.MapLiteral():
            return {"object": node}
        case ast.Block(statements=(), tail=None):
            return {"object": ast.MapLiteral(span=node.span, entries=())}
        case ast.ArrayLiteral(items=items):
            return [field_expr(checker, item) for item in items]
        case ast.Interpolated(pieces=pieces, values=values):
            parts: list[FieldExpr] = [pieces[0]]
            for inner, piece in zip(values, pieces[1:], strict=True):
                parts += [_piece(checker, inner), piece]
            return BAD if any(part is BAD for part in parts) else _joined(parts)
        case ast.PathExpr(path=path) if str(path) in checker.constants:
            found = plain(checker.constants[str(path)][1])
            if found is REPORTED:
                return BAD
            fits = isinstance(found, int | float | str | list) or found is None
            return found if fits else _not_constant(checker, node)
        case ast.Unary(op="-", operand=operand):
            number = field_expr(checker, operand)
            if number is BAD or type(number) in (int, float):
                return BAD if number is BAD else -number
            return _not_constant(checker, node)
        case ast.Binary(op="+", left=left, right=right):
            both = [field_expr(checker, left), field_expr(checker, right)]
            if any(each is BAD for each in both):
                return BAD
            if any(static_type(each) != "String" for each in both):
                return _not_constant(checker, node)
            return _joined(both)
        case ast.Binary(op="??", left=left, right=right):
            return _coalesce(checker, left, right)
        case ast.Call(callee=ast.PathExpr(path=path)) if str(path) == "env":
            return _env(checker, node)
        case _:
            return _not_constant(checker, node)


def _piece(checker: Checker, node: ast.Expr) -> FieldExpr:
    """An interpolated value; numbers and truth values as the language displays them."""
    value = field_expr(checker, node)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value is BAD or static_type(value) == "String":
        return value
    return _not_constant(checker, node)


def _joined(parts: list[FieldExpr]) -> FieldExpr:
    """Texts in a row; what is known is joined now, so that it is checked like a literal."""
    joined: list[FieldExpr] = []
    for part in parts:
        for each in part["concat"] if isinstance(part, dict) and "concat" in part else [part]:
            if isinstance(each, str) and joined and isinstance(joined[-1], str):
                joined[-1] += each
            elif each != "":
                joined.append(each)
    if not joined:
        return ""
    return joined[0] if len(joined) == 1 else {"concat": joined}


def _not_constant(checker: Checker, node: ast.Expr) -> FieldExpr:
    message = "a setting is made of literals, constants, `env(..)` and `??`"
    checker.report(
        "E4008",
        message,
        node,
        "settings are evaluated by the runtime, without the program's functions and variables",
    )
    return BAD


def _coalesce(checker: Checker, left: ast.Expr, right: ast.Expr) -> FieldExpr:
    first, second = field_expr(checker, left), field_expr(checker, right)
    if first is BAD or second is BAD:
        return BAD
    chain = first.get("coalesce", [first]) if isinstance(first, dict) else [first]
    never_nil = not (isinstance(chain[-1], dict) and "env" in chain[-1])
    if never_nil:
        checker.report("W3004", "the left side of `??` is never nil", left, "remove the `??`")
        return first
    rest = second.get("coalesce", [second]) if isinstance(second, dict) else [second]
    return {"coalesce": [*chain, *rest]}


def _env(checker: Checker, node: ast.Call) -> FieldExpr:
    name = field_expr(checker, node.args[0].value) if len(node.args) == 1 else None
    if name is BAD:
        return BAD
    if not isinstance(name, str) or node.args[0].name is not None:
        message = "`env` takes one constant text here: the name of a variable"
        checker.report("E4008", message, node)
        return BAD
    if not name or "=" in name or "\0" in name:
        message = (
            f"`{name.encode('unicode_escape').decode()}` is no name of an environment variable"
        )
        checker.report("E4008", message, node.args[0])
        return BAD
    checker.env.add(name)
    return {"env": name}


class Block:
    """A block of settings: duplicate, unknown and mistyped fields are found here, by codes that differ from block to block."""

    def __init__(
        self,
        checker: Checker,
        what: str,
        codes: dict[str, str],
        known: dict[str, str],
        hints: dict[str, str],
    ) -> None:
        self.checker, self.what, self.codes, self.known, self.hints = (
            checker,
            what,
            codes,
            known,
            hints,
        )
        #: Field to the place of its key and value.
        self.given: dict[str, tuple[ast.Name, ast.Expr]] = {}
        #: Whether a key was refused: the field that seems to be missing may be meant by it.
        self.is_damaged = False

    def read(self, fields: tuple[ast.ConfigField, ...]) -> dict[str, Any]:
        """The values of all fields that are known and of the right type."""
        found: dict[str, Any] = {}
        for field in fields:
            name = field.key.text
            if not field.is_plain:
                self.is_damaged = True
                self.checker.report(
                    "E4002",
                    "a key is a plain word",
                    field.key,
                    "write it without escapes and `${..}`",
                )
            elif name in self.given:
                first = Label(self.given[name][0].span, "first here")
                self.checker.report(
                    self.codes["duplicate"], f"`{name}` is given twice", field.key, related=(first,)
                )
            elif name not in self.known:
                self._unknown(field.key)
            else:
                self.given[name] = (field.key, field.value)
                value = self._typed(name, field.value)
                if value is not BAD:
                    found[name] = value
        return found

    def _unknown(self, key: ast.Name) -> None:
        self.is_damaged = True
        name = key.text
        spelled = {"api_key": "api_key_env"} if self.checker.in_manifest else {}
        known = [spelled.get(each, each) for each in self.known]
        hint = self.hints.get(name)
        close = [spelled.get(hint, hint)] if hint else closest(name, known)
        help_ = f"did you mean `{close[0]}`?" if close else f"it has: {', '.join(known)}"
        self.checker.report(self.codes["unknown"], f"{self.what} has no field `{name}`", key, help_)

    def _typed(self, name: str, node: ast.Expr) -> Any:
        wanted = self.known[name]
        if wanted == "name":
            return node
        value = field_expr(self.checker, node)
        if value is BAD:
            return BAD
        found = static_type(value)
        fine = found == wanted or (wanted == "Float" and found == "Int")
        if not fine:
            message = f"`{name}` must be {wanted}, found {found}"
            self.checker.report(self.codes["type"], message, node)
            return BAD
        return value

    def in_range(
        self, name: str, value: Any, low: float, high: float, *, shown: str | None = None
    ) -> bool:
        """Whether a number is in range; reports it if not."""
        if not isinstance(value, int | float) or low <= value <= high:
            return True
        message = f"`{shown or name}` must be {low} to {high}, found {value}"
        self.checker.report(self.codes["range"], message, self.place(name))
        return False

    def place(self, name: str) -> Span:
        """Where the value of a field stands."""
        return self.given[name][1].span


def object_entries(checker: Checker, node: ast.MapLiteral) -> tuple[ast.ConfigField, ...]:
    """The entries of an object as fields; keys are bare or quoted words."""
    found = []
    for entry in node.entries:
        match entry.key:
            case ast.PathExpr(path=path) if len(path.names) == 1:
                found.append(ast.ConfigField(span=entry.span, key=path.names[0], value=entry.value))
            case ast.Literal(value=str() as text):
                key = ast.Name(span=entry.key.span, text=text)
                raw = checker.source.text[key.span.start : key.span.end]
                plain = "\\" not in raw
                found.append(
                    ast.ConfigField(span=entry.span, key=key, value=entry.value, is_plain=plain)
                )
            case other:
                checker.report("E4002", "a key is a plain word", other)
    return tuple(found)
