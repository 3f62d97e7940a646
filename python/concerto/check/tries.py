"""Where errors go: `?`, `throw`, discarded results, and `try` with its clauses (language reference 11.2 and 11.3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from concerto.check import builtins, methods
from concerto.check import types as t
from concerto.check.bodies import Body, Raised, TryState
from concerto.check.checked import CatchInfo, CaughtBy, Local, Raise, TryInfo
from concerto.check.emits import as_result, is_ask
from concerto.check.traits import is_user_error, user_errors
from concerto.check.types import Type
from concerto.source import Span
from concerto.syntax import ast

_CATCHABLE = (t.STRING, t.INT, t.FLOAT, t.BOOL, t.ERROR)


def check_question(body: Body, node: ast.Try, expected: Type | None) -> Type:
    """The type of `x?`."""
    from concerto.check.exprs import infer_operand

    calls = isinstance(node.operand, ast.Call)
    wanted = t.Result(expected, t.Var()) if expected is not None and calls else None
    if is_ask(body, node.operand):
        wanted = t.Result(expected or t.ANY, builtins.EMIT_ERROR)
    found = t.resolve(infer_operand(body, node.operand, wanted))
    found = as_result(body, node.operand, node) or found
    match found:
        case t.Result(ok, err):
            body.checker.facts.raises[id(node)] = body.raising(err, node)
            return ok
        case t.Option(item):
            place = body.returns_none() or body.raising(builtins.NONE_ERROR, node)
            body.checker.facts.raises[id(node)] = place
            return item
        case t.Simple("?"):
            return t.UNKNOWN
        case t.Simple("Any"):
            in_option = isinstance(t.resolve(body.result), t.Option) and not body.tries
            # Where only None can go on, an Err ends the run.
            place = body.raising(t.ANY, node, implicit=in_option)
            absent = Raise("none") if in_option else body.raising(builtins.NONE_ERROR, node)
            body.checker.facts.raises[id(node)] = replace(place, absent=absent)
            return t.ANY
        case _:
            message = f"`?` needs a `Result` or an `Option`, found `{t.show(found)}`"
            if isinstance(found, t.Future | t.Task):
                body.checker.report("E3034", message, node, "await it first: `.await?`")
                return t.UNKNOWN
            body.checker.report("E3034", message, node, "remove the `?`")
            return found


def check_throw(body: Body, node: ast.Throw) -> None:
    """`throw x` raises any value; the error that the function gives helps it to its type."""
    from concerto.check.exprs import infer_operand

    result = t.resolve(body.result)
    wanted = result.err if isinstance(result, t.Result) else None
    stays = bool(body.tries) or body.is_element
    found = infer_operand(body, node.value, None if stays else wanted)
    body.checker.facts.raises[id(node)] = body.raising(found, node, what="`throw`")


def discard(body: Body, node: ast.Expr, found: Type) -> None:
    """A Result that nobody takes: inside a `try` its error is raised, elsewhere it is a warning."""
    found = t.resolve(found)
    if found == t.BUILDER:
        message = "a builder of a model on which nothing is called"
        body.checker.report("W3005", message, node, "call it: `.execute(..)`")
    if isinstance(found, t.Future):
        message = "the future is never started"
        body.checker.report("W3005", message, node, "write `await`, or `spawn`")
    if not isinstance(found, t.Result):
        return
    if body.tries:
        place = body.raising(found.err, node, what="a discarded `Result`")
        body.checker.facts.discards[id(node)] = place
    else:
        is_err = isinstance(node, ast.Call) and str(getattr(node.callee, "path", "")) in (
            "Ok",
            "Err",
        )
        help_ = "write `return` before it" if is_err else "add `?`, or match on it"
        body.checker.report("W3005", "a `Result` is discarded", node, help_)


def check_try(body: Body, node: ast.TryCatch, expected: Type | None, discarded: bool) -> Type:
    """The type of `try { } catch ..`: the common one of its block and clauses, or a Result if it has no clause."""
    from concerto.check.branches import join_arms
    from concerto.check.exprs import check_expr

    state = TryState()
    body.tries.append(state)
    if not node.catches:
        return _as_result(body, node, state, expected)
    types: list[tuple[ast.Expr, Type]] = []
    types.append((node.body, check_expr(body, node.body, expected, discarded=discarded)))
    body.tries.pop()
    pending = _Pending(state.raised)
    if not state.raised:
        word = Span(node.catches[0].span.start, node.catches[0].span.start + len("catch"))
        message = "nothing in this `try` can be raised"
        body.checker.report("W3010", message, word, "remove the `try`")
    infos = []
    after_bare = False  # E1023 says it already
    for clause in node.catches:
        body.scopes.append({})
        test, type_ = _caught(body, clause, state.raised)
        acts = pending.take(body, test, type_) or type_ == t.UNKNOWN or after_bare
        after_bare = after_bare or clause.type is None
        if not acts and state.raised:
            message = "this clause can never match: nothing that it takes gets here"
            body.checker.report("W3010", message, clause.type or clause.body, "remove it")
        local = None
        if clause.name is not None:
            local = Local(clause.name.text, type_, clause.name.span, False)
            body.declare(local)
        infos.append(CatchInfo(test, local, clause.body))
        types.append((clause.body, check_expr(body, clause.body, expected, discarded=discarded)))
        body.scopes.pop()
    body.checker.facts.tries[id(node)] = TryInfo(tuple(infos), _rest(body, pending.left()))
    return join_arms(body, types, expected, discarded)


def _errors(body: Body, raised: list[Raised]) -> Type:
    """What `catch Error` takes: built-in errors, and the types of the program that may come and implement `Error`."""
    found = {t.settled(each.type) for each in raised}
    own = [type_ for type_ in found if is_user_error(body.checker, type_)]
    if found & {t.ANY, t.ERROR}:
        own += user_errors(body.checker)
    return t.union([t.ERROR, *dict.fromkeys(own)])


def _as_result(body: Body, node: ast.TryCatch, state: TryState, expected: Type | None) -> Type:
    """A `try` without clauses gives its error as a value."""
    from concerto.check.exprs import check_expr

    wanted = t.resolve(expected) if expected is not None else None
    ok = check_expr(body, node.body, wanted.ok if isinstance(wanted, t.Result) else None)
    body.tries.pop()
    body.checker.facts.tries[id(node)] = TryInfo((), ())
    kinds = list(dict.fromkeys(t.settled(raised.type) for raised in state.raised))
    if not kinds:
        word = Span(node.span.start, node.span.start + len("try"))
        message = "nothing in this `try` can be raised"
        body.checker.report("W3010", message, word, "remove the `try`")
        return t.Result(ok, t.Var())
    if len(kinds) == 1:
        return t.Result(ok, kinds[0])
    if all(t.is_error(kind) for kind in kinds):
        return t.Result(ok, t.ERROR)
    texts = all(kind == t.STRING or isinstance(kind, t.Literals) for kind in kinds)
    return t.Result(ok, t.STRING if texts else t.ANY)


def _rest(body: Body, left: list[Raised]) -> tuple[tuple[Type, Raise], ...]:
    """What no clause takes is raised again from the `try`; one type goes one way."""
    places: dict[Type, Raise] = {}
    for raised in sorted(left, key=lambda each: each.implicit):
        type_ = t.settled(raised.type)
        if type_ not in places:
            places[type_] = body.raising(
                raised.type, raised.at, what=raised.what, implicit=raised.implicit, uncaught=True
            )
    # Any takes everything, so it is looked at last.
    return tuple(sorted(places.items(), key=lambda item: item[0] == t.ANY))


def _timeout(kinds: tuple[str, ...], raised: list[Raised]) -> tuple[CaughtBy, Type]:
    """That name takes the record of `@timeout` as well as failed calls; the type of its variable is what all that may come have in common."""
    found = {t.settled(each.type) for each in raised}
    if not found & {builtins.TIMEOUT_ERROR, t.ERROR, t.ANY}:
        return kinds, builtins.LLM_ERROR
    if found & {builtins.LLM_ERROR, t.ERROR, t.ANY}:
        return (*kinds, "TimeoutError"), t.ERROR
    return builtins.TIMEOUT_ERROR, builtins.TIMEOUT_ERROR


def _caught(body: Body, clause: ast.Catch, raised: list[Raised]) -> tuple[CaughtBy, Type]:
    """What a clause takes, and the type of its name."""
    from concerto.check.collect import written_type

    written = clause.type
    if written is None:
        return None, t.ANY
    if isinstance(written, ast.NamedType) and not written.args:
        kinds = builtins.ERROR_GROUPS.get(str(written.path))
        if kinds is not None and str(written.path) == "TimeoutError":
            return _timeout(kinds, raised)
        if kinds is not None:
            return kinds, builtins.LLM_ERROR
        name = str(written.path)
        if name.islower() and methods.named_type(body.checker, name) is None:
            body.declare(Local(name, t.UNKNOWN, written.span, False, used=True))
            help_ = f"write `catch Error({name}) {{ .. }}`, or `catch Any({name}) {{ .. }}`"
            message = f"`{name}` names no type of errors"
            body.checker.report("E2002", message, written, help_)
            return None, t.UNKNOWN
    type_ = t.resolve(written_type(body.checker, written))
    if type_ in (t.ANY, t.UNKNOWN):
        return None, type_
    if type_ not in _CATCHABLE and not isinstance(type_, t.Struct | t.Enum):
        message = f"`{t.show(type_)}` cannot be caught by its type"
        help_ = "name a struct, an enum, an error, `String`, `Int`, `Float`, `Bool` or `Any`"
        body.checker.report("E3001", message, written, help_)
        return None, t.UNKNOWN
    return _errors(body, raised) if type_ == t.ERROR else type_, type_


@dataclass
class _Pending:
    """The errors that no clause has taken so far; of an `LlmError`, the kinds."""

    raised: list[Raised]
    taken: set[int] = field(default_factory=set)
    kinds: set[str] = field(default_factory=lambda: set(builtins.LLM_ERROR_KINDS.values()))

    def left(self) -> list[Raised]:
        """Those not taken."""
        return [each for at, each in enumerate(self.raised) if at not in self.taken]

    def take(self, body: Body, test: CaughtBy, type_: Type) -> bool:
        """Whether a clause can match something; what it surely matches is taken."""
        matches = False
        before = set(self.kinds)
        for at, each in enumerate(self.raised):
            if at in self.taken:
                continue
            found = t.settled(each.type)
            if test is None:
                matches = True
                self.taken.add(at)
            elif isinstance(test, tuple):
                if found == builtins.LLM_ERROR:
                    matches = matches or bool(before & set(test))
                    self.kinds = before - set(test)
                    if not self.kinds:
                        self.taken.add(at)
                elif found == builtins.TIMEOUT_ERROR and found.name in test:
                    matches = True
                    self.taken.add(at)
                elif found in (t.ANY, t.ERROR):
                    matches = True
            elif _takes(body, type_, found):
                matches = True
                self.taken.add(at)
            elif found == t.ANY or (found == t.ERROR and _is_error(body, type_)):
                matches = True
        return matches


def _is_error(body: Body, type_: Type) -> bool:
    return t.is_error(type_) or is_user_error(body.checker, type_)


def _takes(body: Body, wanted: Type, found: Type) -> bool:
    """Whether each value of `found` matches the clause."""
    if wanted == t.ERROR:
        return _is_error(body, found)
    return found == wanted or (wanted == t.STRING and isinstance(found, t.Literals))
