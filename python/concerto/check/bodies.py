"""Bodies of functions: statements, and the state that expressions share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.checked import ConstantName, FunctionInfo, ImplInfo, Local, Need, Raise, Use
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.check.types import Type
from concerto.diagnostics.model import Label
from concerto.records import record
from concerto.source import Span
from concerto.syntax import ast


@dataclass
class LoopState:
    """A loop around the current place."""

    label: str | None
    takes_value: bool
    expected: Type | None = None
    """What the place of a `loop` asks for."""
    value: Type = t.NEVER
    breaks: bool = False
    values: list[ast.Expr] = field(default_factory=list)
    """What `break` gives."""


@record()
class Raised:
    """An error that may be raised: its type, where, by what, and whether without a `?`."""

    type: Type
    at: ast.Node
    what: str
    implicit: bool


@dataclass
class TryState:
    """A `try` around the current place, with what its block may raise."""

    raised: list[Raised] = field(default_factory=list)


@dataclass
class SharedNames:
    """The names of the first alternative of a pattern, which each other one binds too, and those seen so far."""

    names: dict[str, Local]
    seen: list[str] = field(default_factory=list)


@dataclass
class Demands:
    """What a function asks of others, closures in it included."""

    uses: list[Use] = field(default_factory=list)
    needs: list[Need] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)

    def use(self, use: Use) -> None:
        """A function is used with type arguments, which must meet its bounds once they are known."""
        function = use.function
        meaning = t.meaning(function.type_params, use.args)
        self.uses.append(use)
        for param in function.type_params:
            for bound in param.bounds:
                ref = t.TraitRef(bound.name, tuple(t.substitute(a, meaning) for a in bound.args))
                self.bounds.append(Bound(meaning[param.name], ref, use.node, function.name))


@record()
class Bound:
    """A bound of `what`, and the type that is to meet it."""

    type: Type
    trait: t.TraitRef
    node: ast.Node
    what: str


@dataclass
class Body:
    """The state of the check of one body."""

    checker: Checker
    result: Type
    is_entry: bool  # `main`, a test or the top level: an uncaught error ends the run
    at_top: bool
    in_test: bool = False
    outer: Body | None = None  # of the function around a closure
    roots: tuple[ast.Node, ...] = ()  # all that is in it, if it is that of a function
    #: Names whose first value is being checked, in functions around as well.
    declaring: list[str] = field(default_factory=list)
    captures: list[tuple[Local, Local]] = field(default_factory=list)
    scopes: list[dict[str, Local]] = field(default_factory=list)
    loops: list[LoopState] = field(default_factory=list)
    tries: list[TryState] = field(default_factory=list)
    locals: list[Local] = field(default_factory=list)
    #: The names of each pattern behind a `let mut`, which is for all of them.
    mutable: list[list[Local]] = field(default_factory=list)
    #: Operands of `??` with another behind them, where an unset variable is None.
    unset: set[int] = field(default_factory=set)
    #: Operands of `await`.
    awaited: set[int] = field(default_factory=set)
    tail: ast.Expr | None = None  # of the whole body
    can_await: bool = False
    #: Whether it runs as a task of its own, and whether it is an element of a form, which errors leave.
    is_task: bool = False
    is_element: bool = False
    label: str | None = None  # of a `parallel for` whose body this is
    is_stage: bool = False  # of a pipeline, which takes every error
    own_model: str | None = None  # of whose `impl` this is a method
    attempts: int = 1  # of the function, by its `@retry`
    leaving: list[Raise] = field(default_factory=list)
    """Where the errors go that leave an element."""
    #: Collections whose elements a later use must decide.
    undecided: list[tuple[ast.Node, Type]] = field(default_factory=list)
    #: Whether nobody else decides its parameters: not for closures and what can be called from outside.
    owns_params: bool = False
    #: Inside of a further alternative of a pattern.
    shared: SharedNames | None = None
    #: Empty literals with the types of what they hold, which a later use may decide.
    empties: list[tuple[ast.Expr, Type]] = field(default_factory=list)
    demands: Demands = field(default_factory=Demands)

    def __post_init__(self) -> None:
        if self.outer is not None:
            self.demands, self.declaring = self.outer.demands, self.outer.declaring

    def declare(self, local: Local) -> None:
        """Makes a variable known in the innermost scope; it may shadow another."""
        self.scopes[-1][local.name] = local
        self.locals.append(local)

    def find(self, name: str) -> Local | None:
        """The variable of this name, innermost scope first."""
        from concerto.check.closures import capture

        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return capture(self, name)

    def constant(self, name: str) -> list[Any] | None:
        """The value of a constant of a block, in a list; a variable, which hides one of the program, has none."""
        local = self.find(name)
        if local is None:
            return None
        return [local.constant.value] if local.constant else []

    def note_empty(self, node: ast.Expr, item: Type) -> None:
        """An empty literal of a closure too may get its type from the function around."""
        body = self
        while body.outer is not None:
            body = body.outer
        body.empties.append((node, item))

    @property
    def model(self) -> str | None:
        """The model that `self` is."""
        return self.outer.model if self.outer else self.own_model

    def tries_of_function(self) -> int:
        """How often the function around is tried."""
        return self.outer.tries_of_function() if self.outer else self.attempts

    def names(self) -> list[str]:
        """All variables in scope."""
        own = [name for scope in self.scopes for name in scope]
        return [*self.outer.names(), *own] if self.outer else own

    def leave(self, place: Raise) -> Raise:
        """An error leaves this element for its place outside; one that ends the run does so at once."""
        if place.to == "fail":
            return place
        left = Raise("leave", otherwise=place)
        self.leaving.append(place)
        return left

    def returns_none(self) -> Raise | None:
        """Where `?` on a None goes in a function that returns an Option; None if it is an error like others."""
        if self.tries:
            return None
        if self.is_element and self.outer:
            place = self.outer.returns_none()
            return self.leave(place) if place else None
        is_option = isinstance(t.resolve(self.result), t.Option) and not self.is_stage
        return Raise("none") if is_option else None

    def raising(
        self,
        error: Type,
        at: ast.Node,
        *,
        what: str = "`?`",
        implicit: bool = False,
        uncaught: bool = False,
        lenient: bool = False,
    ) -> Raise:
        """Where an error raised here goes (language reference 11.2); reports it where it cannot go anywhere.

        An `implicit` raise then ends the run. `uncaught` errors come out of a `try` whose clauses do not take them.
        A `lenient` raise is one that nobody expects, so it may end the run where it does not convert.
        """
        if self.tries:
            self.tries[-1].raised.append(Raised(error, at, what, implicit))
            return Raise("catch")
        if self.is_element:
            assert self.outer is not None
            place = self.outer.raising(
                error, at, what=what, implicit=implicit, uncaught=uncaught, lenient=lenient
            )
            return self.leave(place)
        if self.is_stage:
            return Raise("return")
        if self.is_entry:
            return Raise("fail")
        result = t.resolve(self.result)
        shown = t.show(error)
        if isinstance(result, t.Result):
            steps = t.assign(error, result.err)
            if steps is not None:
                return Raise("return", steps, result.err)
            convert = conversion(self, error, result.err, at)
            if convert is not None:
                return Raise("return", wanted=result.err, convert=convert)
            if lenient:
                return Raise("fail")
            message = f"`{shown}` does not convert to `{t.show(result.err)}`"
            help_ = f"change the result to `Result<{t.show(result.ok)}, {shown}>`"
            if t.resolve(result.err) == t.ERROR:
                help_ += ", or, if other errors leave here too, to an enum of yours that has `impl From` for each"
                message += ", which holds errors of the library"
            if isinstance(t.resolve(result.err), t.Struct | t.Enum) and not t.is_error(result.err):
                help_ += f", or write `impl From<{shown}> for {t.show(result.err)} {{ .. }}`"
            self.checker.report("E3035", message, at, help_)
        elif not implicit:
            message = f"{what} cannot pass an error on from here"
            given = f"let the function return `Result<{t.show(result)}, {shown}>`"
            help_ = f"{given}, or look at the error with `match`"
            if uncaught:
                message = f"no `catch` takes the `{shown}` that {what} raises here"
                help_ = f"add `catch {shown}(e) {{ .. }}`, or {given}"
            elif isinstance(result, t.Option):
                help_ = "use `.ok()?`"
            elif error == builtins.NONE_ERROR:
                message = f"{what} cannot pass `None` on from here"
                help_ = "use `?? ..`, or let the function return an `Option`"
            self.checker.report("E3034", message, at, help_)
        return Raise("fail")


def conversion(body: Body, error: Type, wanted: Type, at: ast.Node) -> Use | None:
    """`From::from` of a user's `impl` from one error type to another."""
    from concerto.check.traits import satisfies

    source, target = t.settled(error), t.settled(wanted)
    if t.UNKNOWN in (source, target) or not satisfies(
        body.checker, target, t.TraitRef("From", (source,))
    ):
        return None
    use = Use(body.checker.traits["From"].methods["from"], (target, source), at)
    body.demands.use(use)
    return use


def check_bodies(checker: Checker, top: list[ast.Statement]) -> None:
    """The state of all tools, all functions, then the top-level statements."""
    from concerto.check.defaults import check_computed
    from concerto.check.tools import check_states

    states = check_states(checker)
    check_computed(checker)
    for function in checker.declared_functions():
        if function.node and function.node.body:
            check_function(checker, function, function.node)
    for state in states:
        finish(state, None)
    if top:
        body = Body(checker, t.NIL, is_entry=True, at_top=True, scopes=[{}], can_await=True)
        body.roots = tuple(top)
        statements(body, tuple(top))
        finish(body, ast.Block(span=top[0].span, statements=tuple(top), tail=None))


def check_function(checker: Checker, function: FunctionInfo, node: ast.Function) -> None:
    """The body of a declared function."""
    from concerto.check.generics import scope

    is_test = function.test is not None
    is_main = function.name == "main" and function.owner is None and not function.is_stage
    owner = function.owner
    model = owner.model if isinstance(owner, ImplInfo) else None
    can_await = is_test or node.is_async or model is not None or function.is_tool
    is_entry = is_test or is_main
    body = Body(checker, function.result, is_entry=is_entry, at_top=False, can_await=can_await)
    body.roots = (node,)
    body.in_test = is_test
    body.is_stage = function.is_stage
    body.own_model = model
    if function.layers and function.layers.retry:
        body.attempts = function.layers.retry.attempts
    body.scopes.append({})
    body.owns_params = not function.is_pub and checker.functions.get(function.name) is function
    for param in function.params:
        body.declare(param.local)
    with scope(checker, function.scope):
        _function_body(body, function, node)
    finish(body, node.body, function)


def _function_body(body: Body, function: FunctionInfo, node: ast.Function) -> None:
    from concerto.check.exprs import check_expr
    from concerto.check.lints import check_tail

    assert node.body is not None
    result = t.resolve(function.result)
    if result == t.NIL:
        check_tail(body, node.body, check_expr(body, node.body, None, discarded=True))
        return
    body.tail = node.body.tail
    found = check_expr(body, node.body, result, is_body=True)
    is_told = t.UNKNOWN in (t.resolve(found), result)
    if node.body.tail is None and found != t.NEVER and not is_told:
        end = Span(node.body.span.end - 1, node.body.span.end)
        message = f"`{function.name}` can end without a value: expected `{t.show(result)}`"
        help_ = "end it with an expression without `;`, or with `return`"
        body.checker.report("E3031", message, end, help_)


def finish(body: Body, root: ast.Node | None, function: FunctionInfo | None = None) -> None:
    """What can be said when all types of a body are decided."""
    from concerto.check.flow import check_flow
    from concerto.check.lints import check_empties
    from concerto.check.traits import require

    check_unused(body)
    check_empties(body)
    if root is not None:
        check_flow(body, root)
    for bound in body.demands.bounds:
        require(body.checker, bound.type, bound.trait, bound.node, bound.what)
    if function is not None and function.is_generic:
        function.uses, function.needs = body.demands.uses, body.demands.needs
    else:
        body.checker.uses += body.demands.uses


def check_unused(body: Body) -> None:
    """W2001, W2002, and collections of which nobody ever learned what they hold."""
    for node, made in body.undecided:
        if any(isinstance(t.resolve(part), t.Var) for part in t.parts(made)):
            name = t.show(made).partition("<")[0]
            message = f"what this `{name}` holds is never known"
            body.checker.report("E3007", message, node, f"write its type: `let x: {name}<..> = ..`")
    for local in body.locals:
        if local.name.startswith("_"):
            continue
        if not local.used and (not local.is_param or body.owns_params):
            what = "the parameter " if local.is_param else ""
            help_ = f"remove it, or name it `_{local.name}`"
            body.checker.report("W2001", f"{what}`{local.name}` is never used", local.span, help_)
        elif local.is_mut and not local.mutated and not local.is_param and local.used:
            # One `mut` is for all names of a pattern: it is needed if one of them is changed, and spoken of once.
            names = next((names for names in body.mutable if local in names), [local])
            if not any(each.mutated for each in names) and local is names[0]:
                message = f"`{local.name}` is never changed"
                body.checker.report("W2002", message, local.span, "remove `mut`")


def statements(body: Body, items: tuple[ast.Statement, ...], tail: ast.Expr | None = None) -> bool:
    """Checks statements in order; gives whether control reaches their end. The first thing behind an end is reported, also if it is the `tail`."""
    dead: list[ast.Node] = []
    reached = True
    for item in items:
        if not reached:
            dead.append(item)
        if _statement(body, item):
            reached = False
    if tail is not None and not reached:
        dead.append(tail)
    for first in dead[:1]:
        body.checker.report("W2003", "this is never reached", first)
    return reached


def _statement(body: Body, node: ast.Statement) -> bool:
    """Checks one statement; gives whether it never ends."""
    from concerto.check.exprs import check_expr

    match node:
        case ast.Let():
            return _let(body, node)
        case ast.ExprStatement(value=value):
            return t.resolve(check_expr(body, value, None, discarded=True)) == t.NEVER
        case ast.LocalConst():
            from concerto.check.collect import written_type

            type_ = written_type(body.checker, node.type)
            value = constant_value(body.checker, node.value, type_, find=body.constant)
            local = Local(node.name.text, type_, node.name.span, False)
            local.constant = ConstantName(type_, value)
            body.declare(local)
            return False
        case ast.Mock():
            from concerto.check.mocks import check_mock

            check_mock(body, node)
            return False
        case _:
            raise AssertionError(node)


def _let(body: Body, node: ast.Let) -> bool:
    from concerto.check.collect import written_type
    from concerto.check.emits import keeps_mark, subject_type
    from concerto.check.exprs import check_expr
    from concerto.check.patterns import bind, bind_whole

    checker = body.checker
    declared = written_type(checker, node.type) if node.type else None
    if node.value is None:
        if not isinstance(node.pattern, ast.PathPattern):
            message, help_ = "a `let` without value has one name", "write a `let` for each name"
            checker.report("E1001", message, node.pattern, help_)
        # The first assignment tells a type that is not written.
        type_ = declared if declared is not None else t.Var()
        bind(body, node.pattern, type_, is_mut=node.is_mut, is_late=True)
        local = body.checker.facts.patterns.get(id(node.pattern))
        if declared is None and isinstance(local, Local):
            local.is_reply = keeps_mark(body, local.name)
        return False
    names = [str(node.pattern.path)] if isinstance(node.pattern, ast.PathPattern) else []
    body.declaring += names
    found = check_expr(body, node.value, declared)
    del body.declaring[len(body.declaring) - len(names) :]
    type_ = declared if declared is not None else subject_type(body, node.value, found)
    before = len(body.locals)
    bind_whole(body, node.pattern, type_, is_mut=node.is_mut, help_="use `match`")
    if node.is_mut:
        body.mutable.append(body.locals[before:])
    return t.resolve(found) == t.NEVER


def unknown_label(body: Body, label: ast.Name) -> None:
    """E2014."""
    known = [loop.label for loop in body.loops if loop.label]
    body.checker.report(
        "E2014",
        f"there is no loop `'{label}`",
        label,
        f"known: {', '.join(known)}" if known else None,
    )


def related_declaration(local: Local) -> tuple[Label, ...]:
    """Points at where a variable was declared."""
    return (Label(local.span, "declared here"),)
