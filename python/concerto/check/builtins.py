"""What is always there: built-in records and errors, and the methods of built-in types, as tables.

The records equal those of `rust/src/value/builtin.rs`, and the native names those of `rust/src/vm/natives.rs`; tests compare them.
"""

from __future__ import annotations

from functools import cache

from concerto.check import types as t
from concerto.check.types import Type
from concerto.records import record

_LLM_ERROR = (
    "message: String, kind: String, connection: String, provider: String, model: String, model_id: String, status: Option<Int>, request_id: Option<String>, "
    "attempts: Int, retryable: Bool, retry_after_ms: Option<Int>, latency_ms: Int, phase: Option<String>, field: Option<String>, cause: Option<String>, "
    "detail: Option<String>, partial_text: String, chunks: Int, timeout_seconds: Float, code: Option<String>, param: Option<String>, "
    "category: Option<String>, raw_response: String, rounds: Int, reason: Option<String>, violations: Array<Violation>"
)

#: Name, origin, and fields as `name: Type`, in order.
_RECORDS = (
    (
        "Response",
        "record",
        "text: String, tokens_in: Int, tokens_out: Int, model: String, provider: String, latency_ms: Int, finish_reason: String, attempts: Int, "
        "rounds: Int, request_id: Option<String>, tokens_cached: Int, usage_estimated: Bool, cost: Option<Float>",
    ),
    ("StreamChunk", "record", "text: String, index: Int, elapsed_ms: Int, round: Int"),
    (
        "Violation",
        "record",
        "path: String, reason: String, expected: String, actual: String, message: String",
    ),
    ("Message", "record", "role: String, content: String"),
    (
        "Prompt",
        "record",
        "text: String, model: Option<String>, temperature: Option<Float>, max_tokens: Option<Int>",
    ),
    ("LlmError", "error", _LLM_ERROR),
    ("EnvError", "error", "message: String, kind: String, name: String"),
    ("ParseError", "error", "message: String, kind: String, input: String"),
    ("NoneError", "error", "message: String, kind: String"),
    ("TaskError", "error", "message: String, kind: String"),
    (
        "TimeoutError",
        "error",
        "message: String, kind: String, timeout_seconds: Float, phase: Option<String>",
    ),
    (
        "PipelineError",
        "error",
        "message: String, kind: String, pipeline: String, stage: String, attempts: Int, cause: Any",
    ),
    ("JsonError", "error", "message: String, kind: String, line: Int, column: Int, path: String"),
    ("DecodeError", "error", "message: String, kind: String, input: String"),
    ("TimeError", "error", "message: String, kind: String, input: String"),
    ("FsError", "error", "message: String, kind: String, path: String"),
    ("HttpError", "error", "message: String, kind: String, url: String"),
    ("ToolError", "error", "message: String, kind: String, tool: String, method: String"),
    ("EmitError", "error", "message: String, kind: String, channel: String"),
    ("HttpResponse", "record", "status: Int, body: String, headers: Map<String, String>"),
    ("Emit", "record", "channel: String, payload: Any"),
    (
        "MockCall",
        "record",
        "method: String, prompt: String, messages: Array<Message>, system: String, schema: String, tools: Array<String>, base: String",
    ),
)

#: The variants of `LlmError`, by the `kind` that tells them apart.
LLM_ERROR_KINDS = {
    "Config": "config",
    "Authentication": "authentication",
    "PermissionDenied": "permission_denied",
    "Network": "network",
    "ServerError": "server_error",
    "StreamInterrupted": "stream_interrupted",
    "Timeout": "timeout",
    "RateLimited": "rate_limit",
    "QuotaExceeded": "quota_exceeded",
    "ModelNotFound": "model_not_found",
    "InvalidRequest": "invalid_request",
    "ContextLength": "context_length",
    "ContentFiltered": "content_filtered",
    "InvalidResponse": "invalid_response",
    "ToolLimit": "tool_limit",
    "Custom": "custom",
    "Schema": "schema",
}

#: The kinds of `ToolError` (rule TL-20).
TOOL_ERROR_KINDS = {
    "Custom": "custom",
    "NotFound": "not_found",
    "PermissionDenied": "permission_denied",
    "InvalidArguments": "invalid_arguments",
    "InvalidResult": "invalid_result",
    "ExecutionFailed": "execution_failed",
    "Timeout": "timeout",
    "Transport": "transport",
}

#: Built-in errors whose variants are kinds, which patterns name.
ERROR_KINDS = {
    "LlmError": LLM_ERROR_KINDS,
    "EmitError": {
        "NoListener": "no_listener",
        "Timeout": "timeout",
        "Handler": "handler",
        "InvalidReply": "invalid_reply",
        "Closed": "closed",
    },
    "ToolError": TOOL_ERROR_KINDS,
}

#: Groups of `LlmError` that `catch` knows by name (rule E-6), with their kinds. Together they are all kinds.
ERROR_GROUPS: dict[str, tuple[str, ...]] = {
    "ConnectionError": (
        "config", "authentication", "permission_denied", "network", "server_error", "stream_interrupted",
    ),
    "TimeoutError": ("timeout",),
    "AgentError": (
        "rate_limit", "quota_exceeded", "model_not_found", "invalid_request", "context_length", "content_filtered",
        "invalid_response", "tool_limit", "custom",
    ),
    "SchemaError": ("schema",),
}  # fmt: skip

#: Wrong names for fields of records that people bring from elsewhere.
FIELD_HINTS = {
    ("Response", "content"): "text",
    ("Response", "usage"): "tokens_in",
    ("Response", "output"): "text",
    ("StreamChunk", "content"): "text",
    ("StreamChunk", "delta"): "text",
}

#: Wrong names for methods of models.
METHOD_HINTS = {
    **dict.fromkeys(("run", "call", "generate", "ask", "prompt", "complete", "invoke"), "execute"),
    **dict.fromkeys(("execute_schema", "generate_object"), "execute_with_schema"),
}

#: Fields that only some variants have (rule E-3), by kind; every variant has the others.
LLM_ERROR_EXTRA: dict[str, tuple[str, ...]] = {
    "config": ("field",),
    "network": ("cause",),
    "server_error": ("detail",),
    "stream_interrupted": ("partial_text", "chunks", "cause"),
    "timeout": ("timeout_seconds",),
    "invalid_request": ("code", "param"),
    "content_filtered": ("category",),
    "invalid_response": ("raw_response",),
    "tool_limit": ("rounds",),
    "schema": ("reason", "violations", "raw_response", "rounds"),
}


def variant_fields(error: str, kind: str) -> dict[str, Type]:
    """The fields of a variant of a built-in error."""
    if error != "LlmError":
        return records()[error][1]
    elsewhere = {name for extra in LLM_ERROR_EXTRA.values() for name in extra}
    own = LLM_ERROR_EXTRA.get(kind, ())
    fields = records()["LlmError"][1]
    return {n: type_ for n, type_ in fields.items() if n not in elsewhere or n in own}


LLM_ERROR = t.Struct("LlmError", "error")
ENV_ERROR = t.Struct("EnvError", "error")
PARSE_ERROR = t.Struct("ParseError", "error")
NONE_ERROR = t.Struct("NoneError", "error")
TASK_ERROR = t.Struct("TaskError", "error")
TIMEOUT_ERROR = t.Struct("TimeoutError", "error")
TOOL_ERROR = t.Struct("ToolError", "error")
PIPELINE_ERROR = t.Struct("PipelineError", "error")
EMIT_ERROR = t.Struct("EmitError", "error")
RESPONSE = t.Struct("Response", "record")
CHUNK = t.Struct("StreamChunk", "record")
MESSAGE = t.Struct("Message", "record")
PROMPT = t.Struct("Prompt", "record")
EMIT = t.Struct("Emit", "record")
MOCK_CALL = t.Struct("MockCall", "record")

#: Names of types that are always there; `AgentError` is another name for `LlmError` (rule E-6), and so is `SchemaError` (SC-25).
TYPES: dict[str, Type] = {
    **t.SIMPLE,
    **{name: t.Struct(name, origin) for name, origin, _ in _RECORDS},
    "AgentError": LLM_ERROR,
    "SchemaError": LLM_ERROR,
}

#: Types with arguments, by their number.
GENERIC = {
    "Array": 1,
    "Map": 2,
    "HashMap": 2,
    "Option": 1,
    "Result": 2,
    "Future": 1,
    "Task": 1,
    "PipelineRef": 2,
}

#: Types that no declaration may hide (language reference 6.1).
_RESERVED = (
    "Int", "Float", "Bool", "String", "Nil", "Array", "Map", "Option", "Result", "Range", "Any", "Never", "Self", "Error",
)  # fmt: skip


def is_reserved_type(name: str) -> bool:
    """Whether no declaration may have this name."""
    return name in _RESERVED


def is_library_type(name: str) -> bool:
    """Whether a type of the program with this name hides one of the library."""
    return (name in TYPES or name in GENERIC) and name not in _RESERVED


#: Types of `std::collections`, each with one argument.
COLLECTIONS = ("Set", "Queue", "Stack")

PRELUDE = (
    "emit", "env", "print", "println", "len", "typeof", "assert", "assert_eq", "assert_ne", "panic", "Some", "None", "Ok", "Err",
    "parse_schema", "test_emits", "mock_calls", "mock_reply", "mock_env", "assert_snapshot",
)  # fmt: skip


@cache
def records() -> dict[str, tuple[str, dict[str, Type]]]:
    """Origin and fields of each built-in record."""
    found: dict[str, tuple[str, dict[str, Type]]] = {}
    for name, origin, text in _RECORDS:
        pairs = (each.split(": ", 1) for each in _split(text))
        found[name] = (origin, {field: _type(written, {}) for field, written in pairs})
    return found


@record()
class Method:
    """A method of a built-in type: its native function, parameters without receiver and their names, and result."""

    native: str
    names: tuple[str, ...]
    params: tuple[Type, ...]
    result: Type
    mutates: bool


#: `receiver.method(params) -> result`; `T`, `K`, `V`, `E` are the type arguments of the receiver; `!` marks methods that change their receiver.
_METHODS = """
String.len() -> Int
String.byte_len() -> Int
String.is_empty() -> Bool
String.contains(t: String) -> Bool
String.starts_with(t: String) -> Bool
String.ends_with(t: String) -> Bool
String.find(t: String) -> Option<Int>
String.split(sep: String) -> Array<String>
String.split_whitespace() -> Array<String>
String.lines() -> Array<String>
String.chars() -> Array<String>
String.trim() -> String
String.trim_start() -> String
String.trim_end() -> String
String.strip_prefix(p: String) -> Option<String>
String.strip_suffix(p: String) -> Option<String>
String.replace(from: String, to: String) -> String
String.to_upper() -> String
String.to_lower() -> String
String.repeat(n: Int) -> String
String.substring(a: Int, b: Int) -> String
String.parse_int() -> Result<Int, ParseError>
String.parse_float() -> Result<Float, ParseError>
Int.abs() -> Int
Int.pow(e: Int) -> Int
Int.min(o: Int) -> Int
Int.max(o: Int) -> Int
Int.to_float() -> Float
Float.abs() -> Float
Float.floor() -> Float
Float.ceil() -> Float
Float.round() -> Float
Float.trunc() -> Float
Float.sqrt() -> Float
Float.min(o: Float) -> Float
Float.max(o: Float) -> Float
Float.is_nan() -> Bool
Float.to_int() -> Option<Int>
Float.to_fixed(n: Int) -> String
Range.len() -> Int
Range.contains(i: Int) -> Bool
Range.to_array() -> Array<Int>
Array.len() -> Int
Array.is_empty() -> Bool
Array.get(i: Int) -> Option<T>
Array.first() -> Option<T>
Array.last() -> Option<T>
Array.contains(v: T) -> Bool
Array.index_of(v: T) -> Option<Int>
Array.concat(other: Array<T>) -> Array<T>
Array.reversed() -> Array<T>
Array.sorted() -> Array<T>
Array.slice(start: Int, end: Int) -> Array<T>
Array.take(n: Int) -> Array<T>
Array.skip(n: Int) -> Array<T>
Array.join(sep: String) -> String
Array.enumerate() -> Array<(Int, T)>
Array.min() -> Option<T>
Array.max() -> Option<T>
Array.unique() -> Array<T>
Array.push!(v: T) -> Nil
Array.pop!() -> Option<T>
Array.insert!(i: Int, v: T) -> Nil
Array.remove!(i: Int) -> T
Array.extend!(other: Array<T>) -> Nil
Array.clear!() -> Nil
Array.reverse!() -> Nil
Array.sort!() -> Nil
Set.len() -> Int
Set.is_empty() -> Bool
Set.contains(v: T) -> Bool
Set.union(o: Set<T>) -> Set<T>
Set.intersection(o: Set<T>) -> Set<T>
Set.difference(o: Set<T>) -> Set<T>
Set.symmetric_difference(o: Set<T>) -> Set<T>
Set.is_subset(o: Set<T>) -> Bool
Set.to_array() -> Array<T>
Set.insert!(v: T) -> Bool
Set.remove!(v: T) -> Bool
Set.clear!() -> Nil
Queue.len() -> Int
Queue.is_empty() -> Bool
Queue.peek() -> Option<T>
Queue.to_array() -> Array<T>
Queue.enqueue!(v: T) -> Nil
Queue.dequeue!() -> Option<T>
Queue.clear!() -> Nil
Stack.len() -> Int
Stack.is_empty() -> Bool
Stack.peek() -> Option<T>
Stack.to_array() -> Array<T>
Stack.push!(v: T) -> Nil
Stack.pop!() -> Option<T>
Stack.clear!() -> Nil
Map.len() -> Int
Map.is_empty() -> Bool
Map.get(k: K) -> Option<V>
Map.get_or(k: K, default: V) -> V
Map.has(k: K) -> Bool
Map.contains_key(k: K) -> Bool
Map.keys() -> Array<K>
Map.values() -> Array<V>
Map.entries() -> Array<(K, V)>
Map.merge(other: Map<K, V>) -> Map<K, V>
Map.set!(k: K, v: V) -> Nil
Map.delete!(k: K) -> Bool
Map.take!(k: K) -> Option<V>
Map.clear!() -> Nil
Map.extend!(other: Map<K, V>) -> Nil
Option.is_some() -> Bool
Option.is_none() -> Bool
Option.unwrap() -> T
Option.expect(msg: String) -> T
Option.unwrap_or(d: T) -> T
Prompt.with_model(model: String) -> Prompt
Prompt.with_temperature(temperature: Float) -> Prompt
Prompt.with_max_tokens(max_tokens: Int) -> Prompt
Prompt.text() -> String
Error.to_map() -> Map<String, Any>
Task.is_done() -> Bool
Task.id() -> Int
Result.is_ok() -> Bool
Result.is_err() -> Bool
Result.unwrap() -> T
Result.expect(msg: String) -> T
Result.unwrap_err() -> E
Result.unwrap_or(d: T) -> T
Result.ok() -> Option<T>
Result.err() -> Option<E>
"""

_ALIASES = {"contains_key": "has"}


def receiver(type_: Type) -> tuple[str, dict[str, Type]] | None:
    """The name under which a type's methods stand in tables, and what the letters there mean."""
    match t.resolve(type_):
        case t.Array(item):
            return "Array", {"T": item}
        case t.Map(key, value):
            return "Map", {"K": key, "V": value}
        case t.Collection(name, item):
            return name, {"T": item}
        case t.Store(key, value):
            return "HashMap", {"K": key, "V": value}
        case t.Option(item):
            return "Option", {"T": item}
        case t.Result(ok, err):
            return "Result", {"T": ok, "E": err}
        case t.Task(item):
            return "Task", {"T": item}
        case t.Literals():
            return "String", {}
        case t.Struct(origin="error"):
            return "Error", {}
        case t.Struct("Prompt" | "HttpResponse" as name, "record"):
            return name, {}
        case t.Simple(name):
            return name, {}
        case _:
            return None


@cache
def _rows() -> dict[str, dict[str, tuple[list[tuple[str, str]], str, bool]]]:
    rows: dict[str, dict[str, tuple[list[tuple[str, str]], str, bool]]] = {}
    for line in _METHODS.split("\n"):
        if line:
            head, result = line.split(" -> ")
            receiver, rest = head.split(".", 1)
            name, params = rest[:-1].split("(", 1)
            pairs = [(word, type_) for word, type_ in (each.split(": ") for each in _split(params))]
            entry = (pairs, result, name.endswith("!"))
            rows.setdefault(receiver, {})[name.rstrip("!")] = entry
    return rows


def method(of: Type, name: str) -> Method | None:
    """A method of a built-in type. `to_string` is there for every value."""
    if name == "to_string":
        return Method("any.to_string", (), (), t.STRING, False)
    found = receiver(of)
    if found is None:
        return None
    table, letters = found
    row = _rows().get(table, {}).get(name)
    if row is None:
        return None
    params, result, mutates = row
    native = f"{table.lower()}.{_ALIASES.get(name, name)}"
    types = tuple(_type(type_, letters) for _, type_ in params)
    names = tuple(name for name, _ in params)
    return Method(native, names, types, _type(result, letters), mutates)


def method_names(of: Type) -> list[str]:
    """The methods of a built-in type, for hints."""
    found = receiver(of)
    return [*_rows().get(found[0], {}), "to_string"] if found else ["to_string"]


def natives() -> set[str]:
    """All native functions that methods use."""
    names = {
        f"{table.lower()}.{_ALIASES.get(name, name)}"
        for table, rows in _rows().items()
        for name in rows
    }
    return names | {"any.to_string"}


def _split(text: str) -> list[str]:
    """Parts at commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()] if text else []


def _type(text: str, letters: dict[str, Type]) -> Type:
    """A type as the tables write it."""
    if text in letters:
        return letters[text]
    if text.startswith("("):
        return t.Tuple(tuple(_type(part, letters) for part in _split(text[1:-1])))
    if "<" in text:
        name, inside = text[:-1].split("<", 1)
        args = [_type(part, letters) for part in _split(inside)]
        return generic(name, args)
    return TYPES[text]


def generic(name: str, args: list[Type]) -> Type:
    """A built-in type with its arguments."""
    match name, args:
        case "Array", [item]:
            return t.Array(item)
        case "Map", [key, value]:
            return t.Map(key, value)
        case "HashMap", [key, value]:
            return t.Store(key, value)
        case "Set" | "Queue" | "Stack", [item]:
            return t.Collection(name, item)
        case "Option", [item]:
            return t.Option(item)
        case "Result", [ok, err]:
            return t.Result(ok, err)
        case "Future", [item]:
            return t.Future(item)
        case "Task", [item]:
            return t.Task(item)
        case "PipelineRef", [into, out]:
            return t.Pipeline(into, out)
        case _:
            raise AssertionError(f"{name} with {len(args)} arguments")
