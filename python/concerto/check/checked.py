"""What the checker found out: the declarations in their final form, and facts about nodes of the tree.

Facts are keyed by the identity of the node, since two equal nodes are two places; the tree is held here, so identities stay valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.files import Files
from concerto.check.types import Future, Steps, Type
from concerto.records import record
from concerto.source import Located, Source, Span
from concerto.syntax import ast

#: A field of a connection or model as the IR holds it: text, number, truth value, or `{"env"}`, `{"coalesce"}`, `{"concat"}`.
FieldExpr: TypeAlias = Any


@dataclass(eq=False, slots=True)
class Local:
    """A variable of a function."""

    name: str
    type: Type
    span: Span
    is_mut: bool
    is_param: bool = False
    #: Declared without a value.
    is_late: bool = False
    #: Whether it gets another value somewhere, not only in a part of it.
    assigned: bool = False
    #: A constant of a block: its value.
    constant: ConstantName | None = None
    is_captured: bool = False
    #: Holds a reply that no type was expected of, and so is told good from bad.
    is_reply: bool = False
    used: bool = False
    mutated: bool = False


@dataclass(slots=True)
class FieldInfo:
    """A field of a struct, schema or variant. `default` is a constant as Python value, unless the default is `computed`.

    `has_default` tells None from none. `json` is its name in JSON if that is another one, `checks` its limits as the IR holds them, `coerce` whether JSON
    of other types is converted.
    """

    name: str
    type: Type
    optional: bool = False
    has_default: bool = False
    default: Any = None
    doc: str | None = None
    json: str | None = None
    checks: dict[str, Any] = field(default_factory=dict)
    coerce: bool = False
    is_pub: bool = False
    span: Span | None = None
    #: A default that is no constant, as a function without parameters.
    computed: FunctionInfo | None = None

    @property
    def may_be_absent(self) -> bool:
        """Whether JSON may leave it out. A default that must be computed is none for JSON."""
        return self.computed is None and (self.optional or self.has_default)

    @property
    def json_name(self) -> str:
        """Its name in JSON."""
        return self.json or self.name


def schema_name(name: str) -> str:
    """The name of the JSON Schema of a struct or schema: `Page_Hit` of `Page<Hit>`."""
    return re.sub(r"\W+", "_", name).strip("_")


@dataclass(slots=True)
class StructInfo:
    """A struct or schema."""

    name: str
    origin: str
    fields: list[FieldInfo]
    span: Span
    doc: str | None = None
    strict: bool = False
    validators: list[FunctionInfo] = field(default_factory=list)
    type_params: tuple[t.Opaque, ...] = ()

    def fields_of(self, type_: t.Struct) -> list[FieldInfo]:
        """The fields of one of its types, which says what its type parameters are."""
        return _applied(self.fields, self.type_params, type_.args)


def _applied(
    fields: list[FieldInfo], params: tuple[t.Opaque, ...], args: tuple[Type, ...]
) -> list[FieldInfo]:
    if not params:
        return fields
    meaning = t.meaning(params, args)
    return [replace(field, type=t.substitute(field.type, meaning)) for field in fields]


def struct_info(structs: dict[str, StructInfo], name: str) -> StructInfo | None:
    """A struct that programs can write down: a declared one, or `Message`."""
    if name == "Message":
        fields = [FieldInfo(*each) for each in builtins.records()[name][1].items()]
        return StructInfo(name, "record", fields, Span(0, 0))
    return structs.get(name)


@dataclass(slots=True)
class VariantInfo:
    """A variant of an enum; `form` is `unit`, `tuple` or `struct`."""

    name: str
    form: str
    fields: list[FieldInfo]


@dataclass(slots=True)
class EnumInfo:
    """An enum."""

    name: str
    variants: list[VariantInfo]
    span: Span
    type_params: tuple[t.Opaque, ...] = ()

    def fields_of(self, variant: int, type_: t.Enum) -> list[FieldInfo]:
        """The parts of a variant of one of its types, which says what its type parameters are."""
        return _applied(self.variants[variant].fields, self.type_params, type_.args)


@dataclass(slots=True)
class ConnectionInfo:
    """A connection: kind, and fields as the IR holds them. `origin` is `program` or `manifest`; `overlays` are the fields of each profile."""

    name: str
    kind: str
    fields: dict[str, Any]
    span: Span
    origin: str = "program"
    overlays: dict[str, dict[str, Any]] = field(default_factory=dict)


@record()
class StoreInfo:
    """A `hashmap`; `path` is the file that keeps its entries, if it has one."""

    name: str
    type: Type
    path: str | None
    span: Span
    index: int


@record()
class ManifestFacts:
    """What the project's manifest declares, unchecked; tables of connections by name."""

    source: Source
    connections: dict[str, Located]
    #: By profile, then by connection.
    overlays: dict[str, dict[str, Located]]
    #: The profile in force.
    profile: str | None
    pricing: dict[str, dict[str, float]]


@dataclass(slots=True)
class ModelInfo:
    """A model on a connection."""

    name: str
    connection: str
    fields: dict[str, Any]
    span: Span
    #: Those of its `impl` blocks.
    methods: dict[str, FunctionInfo] = field(default_factory=dict)


@dataclass(slots=True)
class ParamInfo:
    """A parameter of a function; `default` is a constant, unless the default is `computed`."""

    name: str
    type: Type
    has_default: bool
    default: Any
    local: Local
    #: A default that is no constant, as a function of the parameters before it.
    computed: FunctionInfo | None = None


@record()
class TestInfo:
    """What a test says of itself: its description, and what its failure is to contain if it is to fail."""

    title: str
    expect_fail: str | None


@dataclass(eq=False, slots=True)
class FunctionInfo:
    """A function with its signature.

    Of a method the first parameter is `self`; the type parameters of its `impl` or trait come before its own, of which there are `own`; in a trait
    `Self` is the first of all.
    """

    name: str
    params: list[ParamInfo]
    result: Type
    node: ast.Function | None
    is_pub: bool
    #: What it says of itself as a test.
    test: TestInfo | None = None
    #: The file of the library that it stands in.
    library: str | None = None
    #: Of the library: `native` or `effect` and a name, if it does nothing but hand its parameters on to it.
    direct: tuple[str, str] | None = None
    #: What its decorators put around it.
    layers: Layers | None = None
    #: A method of a tool, which may wait.
    is_tool: bool = False
    #: A stage of a pipeline: whatever its result is, it may fail with any error.
    is_stage: bool = False
    type_params: tuple[t.Opaque, ...] = ()
    own: int = 0
    owner: ImplInfo | TraitInfo | None = None
    #: What the words of types in it mean besides declared types.
    scope: dict[str, Type] = field(default_factory=dict)
    #: Functions that its body uses with type arguments, and types that must be known for it to compile.
    uses: list[Use] = field(default_factory=list)
    needs: list[Need] = field(default_factory=list)

    @property
    def is_async(self) -> bool:
        """Whether a call gives a future."""
        return self.node is not None and self.node.is_async

    @property
    def call_type(self) -> Type:
        """What a call gives."""
        return Future(self.result) if self.is_async else self.result

    @property
    def is_method(self) -> bool:
        """Whether it has a receiver."""
        return bool(self.params) and self.params[0].name == "self"

    @property
    def changes(self) -> bool:
        """Whether it changes its receiver: its code returns the new one, in a pair with its value if it has one."""
        return self.is_method and self.params[0].local.is_mut

    @property
    def is_generic(self) -> bool:
        """Whether it has code only for given type arguments."""
        return bool(self.type_params)


@record()
class Retry:
    """How often a function is tried in all, and how long it waits in between; `on` holds kinds of errors, none for all."""

    attempts: int
    backoff: str
    delay_ms: int
    max_delay_ms: int
    on: tuple[str, ...]


@dataclass(slots=True)
class Layers:
    """What decorators put around a function, in an order of its own: log, total limit, repetition, limit of an attempt."""

    retry: Retry | None = None
    attempt_ms: int | None = None
    total_ms: int | None = None
    log: str | None = None
    #: How a `TimeoutError` becomes an error of the function.
    late: Raise | None = None
    places: dict[str, ast.Decorator] = field(default_factory=dict)
    #: Those of the library that do it.
    functions: dict[str, FunctionInfo] = field(default_factory=dict)


@dataclass(slots=True)
class StageInfo:
    """A stage: its parameter, what it hands on, and how what it is given becomes its parameter."""

    name: str
    node: ast.Stage
    param: ParamInfo
    output: Type
    function: FunctionInfo
    steps: Steps = ()


@dataclass(slots=True)
class PipelineInfo:
    """A pipeline; `steps` make the output of the last stage its own, `runner` is the function of the library that repeats stages."""

    name: str
    node: ast.Pipeline
    stages: list[StageInfo]
    input: Type
    output: Type
    steps: Steps = ()
    runner: FunctionInfo | None = None


@dataclass(eq=False, slots=True)
class ToolMethod:
    """A method that is offered to models, as it is written and as others call it: without `self`.

    `description` is that of the method alone, `documented` what `@param` says.
    """

    function: FunctionInfo
    outside: FunctionInfo
    description: str = ""
    documented: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name within the tool."""
        assert self.function.node is not None
        return self.function.node.name.text


@dataclass(eq=False, slots=True)
class ToolInfo:
    """A tool: what `self` is in its methods, how each part of its state begins, and the methods that are offered to models."""

    name: str
    node: ast.Tool
    type: t.Struct
    description: str = ""
    state: dict[str, ast.Expr] = field(default_factory=dict)
    methods: dict[str, ToolMethod] = field(default_factory=dict)


@record()
class Use:
    """A function that is used with type arguments."""

    function: FunctionInfo
    args: tuple[Type, ...]
    node: ast.Node


@record()
class Need:
    """A type that the compiler must know, such as that of an answer; `what` needs it."""

    type: Type
    what: str
    node: ast.Node


@dataclass(eq=False, slots=True)
class TraitInfo:
    """A trait. `methods` are all its functions; those with a body are defaults."""

    name: str
    type_params: tuple[t.Opaque, ...]
    methods: dict[str, FunctionInfo]
    span: Span

    @property
    def ref(self) -> t.TraitRef:
        """Itself, with its own parameters as arguments."""
        return t.TraitRef(self.name, self.type_params)


@dataclass(eq=False, slots=True)
class ImplInfo:
    """An `impl` block; `trait` is None where it belongs to the type itself."""

    type_params: tuple[t.Opaque, ...]
    target: Type
    trait: t.TraitRef | None
    methods: dict[str, FunctionInfo]
    node: ast.Impl
    #: The model that it belongs to; the type of `self` is then that of all models.
    model: str | None = None


@record()
class Raise:
    """Where an error goes.

    `to` is `return` (as `Err`, after `steps` to the type `wanted`), `none` (the function returns None), `fail` (it ends the run), `catch` (the
    clauses of the `try` around it), `leave` (to the end of an element of a parallel form, from where it goes to `otherwise`) or `unset`
    (`env(..) ?? d`: a missing variable is None, other errors go to `otherwise`).
    `absent` is the way of a None where a value of type `Any` may be one.
    """

    to: str
    steps: Steps = ()
    wanted: Type | None = None
    otherwise: Raise | None = None
    absent: Raise | None = None
    #: `From::from`, where a user's `impl` converts.
    convert: Use | None = None


#: What a clause of a `try` takes: everything, errors of these kinds, or values of a type.
CaughtBy: TypeAlias = tuple[str, ...] | Type | None


@record()
class PipeInfo:
    """A pipe: the variable that holds its left side, and the call."""

    local: Local
    call: ast.Expr


@record()
class ClosureInfo:
    """A closure: the types of its parameters, what it captures (the variable outside and its own), and its result."""

    params: tuple[Type, ...]
    captures: tuple[tuple[Local, Local], ...]
    result: Type


@dataclass(slots=True)
class ElementInfo:
    """An expression that runs as a task of its own: what it captures, its type after `steps`, and where an error goes that leaves it.

    `pattern` is that of an element of `parallel for`; `wraps` says that a spawned value becomes `Ok`.
    """

    node: ast.Expr
    captures: tuple[tuple[Local, Local], ...]
    type: Type
    steps: Steps = ()
    place: Raise | None = None
    pattern: ast.Pattern | None = None
    is_discarded: bool = False
    wraps: bool = False


@record()
class FormInfo:
    """A parallel form by its number in the IR; `place` is where an error goes that left an element, `most` how many elements run at a time.

    Without it, the connections of the `models` decide.
    """

    form: int
    elements: tuple[ElementInfo, ...]
    place: Raise | None
    most: ast.Expr | None
    models: tuple[str, ...]


@record()
class CatchInfo:
    """A clause of a `try`."""

    test: CaughtBy
    local: Local | None
    body: ast.Block


@record()
class MockInfo:
    """A `mock` statement: the model, and the fields with their values."""

    model: str
    fields: tuple[tuple[str, ast.Expr], ...]


@dataclass(slots=True)
class AskInfo:
    """An `emit` that asks, and the type that its reply is decoded as.

    `form` says what becomes of the reply: `result` keeps it as a Result, whose error becomes `error` by `steps` or by `convert`; `value` takes the
    value out or panics; `plain` takes it out and leaves an `Err` as it is.
    """

    call: ast.Call
    reply: Type
    form: str
    steps: Steps = ()
    error: Type | None = None
    convert: Use | None = None


@record()
class TryInfo:
    """The clauses of a `try`, and where the errors go that none of them takes."""

    catches: tuple[CatchInfo, ...]
    rest: tuple[tuple[Type, Raise], ...]


@dataclass
class Facts:
    """What is known about nodes."""

    types: dict[int, Type] = field(default_factory=dict)
    steps: dict[int, tuple[Steps, Type]] = field(default_factory=dict)
    names: dict[int, Any] = field(default_factory=dict)
    calls: dict[int, Any] = field(default_factory=dict)
    fields: dict[int, int] = field(default_factory=dict)
    raises: dict[int, Raise] = field(default_factory=dict)
    pipes: dict[int, PipeInfo] = field(default_factory=dict)
    closures: dict[int, ClosureInfo] = field(default_factory=dict)
    tries: dict[int, TryInfo] = field(default_factory=dict)
    discards: dict[int, Raise] = field(default_factory=dict)
    #: Expressions that give what comes out of their future, without an `await` of their own: operands of `await`, results of tasks.
    awaits: set[int] = field(default_factory=set)
    patterns: dict[int, Any] = field(default_factory=dict)
    forms: dict[int, FormInfo] = field(default_factory=dict)
    #: Functions that compute the defaults which a call or a literal takes.
    computed: dict[int, tuple[FunctionInfo, ...]] = field(default_factory=dict)
    mocks: dict[int, MockInfo] = field(default_factory=dict)
    asks: dict[int, AskInfo] = field(default_factory=dict)
    #: Each `?` of a reply that no type was expected of.
    replies: set[int] = field(default_factory=set)


@dataclass
class CheckedProgram:
    """A program without errors, ready to be lowered."""

    source: Source
    """The whole text; spans are places in it."""
    module: ast.Module
    facts: Facts
    structs: dict[str, StructInfo]
    enums: dict[str, EnumInfo]
    connections: dict[str, ConnectionInfo]
    models: dict[str, ModelInfo]
    stores: dict[str, StoreInfo]
    tools: dict[str, ToolInfo]
    functions: dict[str, FunctionInfo]
    constants: dict[str, tuple[Type, Any]]
    top: list[ast.Statement]
    env: set[str]
    hosts: set[str]
    library: dict[str, FunctionInfo]
    traits: dict[str, TraitInfo]
    impls: list[ImplInfo]
    #: Generic schemas with the arguments that the program uses them with.
    schemas: list[t.Struct]
    kept: list[ast.Module]
    """Trees that facts refer to by identity."""
    files: Files
    channels: list[tuple[str, list[str], list[str]]]
    """Channels that the program names, with the types of payloads and of expected replies."""
    exports: dict[str, str]
    """Functions of other modules that the entry file makes public: their full names."""
    manifest: ManifestFacts | None = None


# What a call does, decided by the checker.


@record()
class ConstantName:
    """A constant."""

    type: Type
    value: Any


@record()
class FunctionName:
    """A function, or a variant with data, as a value."""

    function: FunctionInfo | VariantFunction
    type_args: tuple[Type, ...] = ()


@record()
class VariantFunction:
    """A tuple variant as a function of its parts."""

    type: t.Enum
    variant: int
    parts: int


@record()
class ModelName:
    """A declared model as a value."""

    model: str


@record()
class PipelineName:
    """A declared pipeline as a value."""

    pipeline: PipelineInfo


@record()
class StoreName:
    """A declared store as a value, by its number."""

    index: int


@record()
class TypePattern:
    """In a pattern: the type that the value is tested for, if it is not known, and of a variant of a built-in error that error and its kind."""

    type: Type | None
    kind: str | None
    error: str = ""


@record()
class ReplyPattern:
    """`Ok(..)` or `Err(..)` of a reply that no type was expected of: any value but an `Err` is good."""


@record()
class UnitVariant:
    """A variant; for None there is no type. In a pattern, whether the value may be of another type, as one of a union or of `Any`."""

    type: t.Enum | None
    variant: int
    may_be_other: bool = False
