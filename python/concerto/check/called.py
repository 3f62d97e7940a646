"""What the calls of a program do, as the check decides it for the lowering."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.checked import FunctionInfo, PipelineInfo, Raise, ToolInfo, ToolMethod
from concerto.check.types import Steps, Type
from concerto.records import record
from concerto.syntax import ast


@record()
class CallFunction:
    """A function of the program; `args` are the argument nodes in the order of the parameters, None where the default is taken."""

    function: FunctionInfo
    args: tuple[ast.Expr | None, ...]
    type_args: tuple[Type, ...] = ()


@record()
class CallValue:
    """A function value."""

    callee: ast.Expr
    args: tuple[ast.Expr, ...]


@record()
class CallLibrary:
    """A function of the library; a method has its receiver as first argument, and None stands where a default is taken.

    One that changes its receiver returns the new one, in a pair with its value if it has one.
    """

    function: FunctionInfo
    args: tuple[ast.Expr | None, ...]
    changes: bool = False
    has_value: bool = True


@record()
class CallNative:
    """A native function; the receiver comes first."""

    native: str
    receiver: ast.Expr | None
    args: tuple[ast.Expr, ...]
    mutates: bool


@record()
class AnyCase:
    """What a method of a value of type `Any` does if the value is of one type: a native function, or one of the library."""

    receiver: Type
    does: str | FunctionInfo
    params: tuple[Type, ...]
    mutates: bool


@record()
class CallAny:
    """A method of a value of type `Any`; the value decides which case holds."""

    name: str
    receiver: ast.Expr
    args: tuple[ast.Expr, ...]
    cases: tuple[AnyCase, ...]


@record()
class CallContext:
    """`Result.context`: the note is evaluated only on an error."""

    result: ast.Expr
    note: ast.Expr


@record()
class CallEffect:
    """Something that only the world can do."""

    effect: str
    args: tuple[ast.Expr, ...]


@record()
class CallModel:
    """A call of a model or builder: `execute`, `execute_with_schema` or `stream`, with a prompt or messages."""

    model: ast.Expr
    method: str
    input: ast.Expr
    schema: Type | None
    retry_message: ast.Expr | None


@record()
class CallWithTools:
    """`with_tools`: the names of tools, or a value that no compiler looks into, which the call of the model refuses."""

    model: ast.Expr
    tools: tuple[str, ...] | None
    value: ast.Expr


@record()
class CallTool:
    """A method of a tool from outside of it; `args` are those of the parameters behind `self`, None where the default is taken.

    A call that the host refuses is a `ToolError`: after `steps` the `Err` of a method that has one, else raised at `place`.
    """

    tool: ToolInfo
    method: ToolMethod
    args: tuple[ast.Expr | None, ...]
    steps: Steps | None
    place: Raise | None


@record()
class CallStream:
    """A method of a stream, by its instruction."""

    instruction: str
    stream: ast.Expr


@record()
class CallTask:
    """A method of a task, by its instruction."""

    instruction: str
    task: ast.Expr


#: Parallel forms that look like calls, with the number by which the IR knows them.
FORMS = {"race": 1, "first_ok": 2}


@record()
class CallJoin:
    """A parallel form over an array, for the library: a function, the array, and how many run at a time."""

    form: int
    parts: tuple[ast.Expr, ...]


@record()
class CallPipeline:
    """`run` or `stages` of a pipeline, which is known by name or comes from a value."""

    method: str
    pipeline: PipelineInfo | None
    receiver: ast.Expr
    input: ast.Expr | None


@record()
class CallTest:
    """A function that only tests may call, by its instruction. A missing argument is a constant."""

    instruction: str
    args: tuple[ast.Expr | str | bool, ...]
    has_value: bool


@record()
class CallRecord:
    """A built-in record; a field is an expression, a constant text, or None."""

    type: Type
    fields: tuple[ast.Expr | str | None, ...]


@record()
class CallEmit:
    """`emit`, with or without a reply; `fit` is the type that a payload of type `Any` is judged by when it is sent."""

    channel: ast.Expr
    payload: ast.Expr | None
    fit: Type | None


@record()
class CallReply:
    """A method of a reply that no type was expected of: that of the Result which it stands for."""

    native: str
    reply: ast.Expr
    args: tuple[ast.Expr, ...]


@record()
class CallBuiltin:
    """A function of the prelude, or a constructor such as `Some`."""

    name: str
    args: tuple[ast.Expr, ...]


@record()
class ParseSchema:
    """`parse_schema`: a text as a value of a schema or struct."""

    schema: Type
    text: ast.Expr
    of_response: bool


@record()
class ParseAs:
    """`std::json::parse_as`: a text as a value of a type."""

    type: Type
    text: ast.Expr


@record()
class CallVariant:
    """A variant with data."""

    type: t.Enum
    variant: int
    args: tuple[ast.Expr, ...]


# What a name means, besides `Local`.
