"""Names that come from the habit of other languages, and what stands for them here."""

from __future__ import annotations

from collections.abc import Iterable

from concerto.diagnostics.model import did_you_mean

#: Methods by what others call them; the first that the type has is named.
_METHODS: dict[str, tuple[str, ...]] = {
    "length": ("len",), "size": ("len",), "count": ("len",), "lenght": ("len",),
    "append": ("push", "extend"), "add": ("push", "insert"), "push_back": ("push",), "put": ("set", "enqueue"),
    "upper": ("to_upper",), "lower": ("to_lower",), "to_lower_case": ("to_lower",), "to_upper_case": ("to_upper",),
    "strip": ("trim",), "lstrip": ("trim_start",), "rstrip": ("trim_end",), "trim_left": ("trim_start",),
    "trim_right": ("trim_end",), "substr": ("substring",), "slice": ("substring",), "index": ("index_of", "find"),
    "index_of": ("find",), "insert": ("set",), "includes": ("contains", "has"), "has": ("contains",), "contains": ("has",),
    "has_key": ("has",), "items": ("entries",), "str": ("to_string",), "to_str": ("to_string",), "string": ("to_string",),
    "splitlines": ("lines",), "replace_all": ("replace",), "char_code_at": ("bytes",), "characters": ("chars",),
    "some": ("any",), "every": ("all",), "inject": ("reduce",), "foldl": ("reduce",), "each": ("for_each",),
    "shift": ("dequeue", "remove"), "unshift": ("insert",), "splice": ("insert", "remove"), "delete_at": ("remove",),
    "remove": ("delete",), "sort_unstable": ("sort",), "is_nil": ("is_none",), "is_null": ("is_none",),
    "get_or_else": ("unwrap_or", "get_or"), "or_default": ("unwrap_or",), "unwrap_or_default": ("unwrap_or",),
    "catch": ("map_err", "or_else"), "then": ("and_then", "map"), "to_int": ("parse_int",), "to_float": ("parse_float",),
    "parse": ("parse_int",), "zfill": ("pad_left",), "ljust": ("pad_right",), "rjust": ("pad_left",),
    "pad_start": ("pad_left",), "pad_end": ("pad_right",), "to_list": ("to_array",), "collect": ("to_array",),
    "distinct": ("unique",), "keys_list": ("keys",), "merge_with": ("merge",), "update_all": ("extend",),
}  # fmt: skip

#: Methods that are not needed here, and why.
_NEEDLESS = {
    "clone": "values are copied when they are assigned: leave it out",
    "copy": "values are copied when they are assigned: leave it out",
    "iter": "loop over the value itself, or call `.map(..)` and the like on it",
    "into_iter": "loop over the value itself, or call `.map(..)` and the like on it",
    "collect": "`.map(..)` and the like give arrays already: leave it out",
    "as_str": "there is one type of text: leave it out",
    "format": 'write values into a string: `"${x}"`',
    "concat": 'write values into a string: `"${a}${b}"`',
}


def method_hint(name: str, names: Iterable[str], form: str = "`{}`") -> str | None:
    """The help line for a method that a type does not have, of those that it has, written in a form."""
    known = list(names)
    plain = _plain(name)
    same = next((each for each in known if _plain(each) == plain), None)
    usual = next((words for word, words in _METHODS.items() if _plain(word) == plain), ())
    found = next((each for each in usual if each in known), None)
    if same or found:
        return f"did you mean {form.format(same or found)}?"
    return did_you_mean(name, known) or _NEEDLESS.get(name)


def _plain(name: str) -> str:
    """A name without what spellings differ in."""
    return name.replace("_", "").lower()


_VALUES = {
    **dict.fromkeys(("null", "NULL", "Null", "undefined", "none", "NIL", "Nil", "nullptr"), "write `nil`"),
    **dict.fromkeys(("True", "TRUE"), "write `true`"),
    **dict.fromkeys(("False", "FALSE"), "write `false`"),
    **dict.fromkeys(("this", "Me"), "write `self`"),
    **dict.fromkeys(("console", "System", "fmt", "stdout"), "call `println(..)`"),
    **dict.fromkeys(("pass", "noop"), "leave the block empty"),
    **dict.fromkeys(("Math", "JSON", "String", "Object", "Array"), "see the modules of `std`, and the methods of the value"),
    **dict.fromkeys(("Promise", "asyncio", "tokio", "futures"), "write `await (a, b)`, or `parallel for x in xs { .. }`"),
    "spawn": "write `spawn f(x)`, or `spawn { .. }`",
    "process": "see `std::env`",
    "os": "see `std::env` and `std::fs`",
}  # fmt: skip

_TEXT = 'write `x.to_string()`, or put it into a string: `"${x}"`'
_FUNCTIONS = {
    **dict.fromkeys(("str", "String", "string", "repr"), _TEXT),
    **dict.fromkeys(("int", "Int", "parseInt", "parse_int"), "write `text.parse_int()?`, or `number as Int`"),
    **dict.fromkeys(("float", "Float", "parseFloat", "parse_float"), "write `text.parse_float()?`, or `number as Float`"),
    **dict.fromkeys(("bool", "Bool", "Boolean"), "compare it, such as `x != 0` or `!s.is_empty()`"),
    **dict.fromkeys(("list", "Array", "List", "Vec"), "write `[a, b]`"),
    **dict.fromkeys(("dict", "Map", "Object"), 'write `{"key": value}`'),
    **dict.fromkeys(("set", "Set"), "write `use std::collections::Set;` and `Set::from([..])`"),
    **dict.fromkeys(("printf", "puts", "eprintln", "echo", "log", "console"), "call `println(..)`, or `std::log::info(..)`"),
    **dict.fromkeys(("format", "sprintf", "concat"), 'write values into a string: `"${x}"`'),
    **dict.fromkeys(("type", "isinstance", "type_of"), "call `typeof(x)`"),
    **dict.fromkeys(("Error", "Exception", "error"), "any value can be thrown: a text, or a struct of your own"),
    **dict.fromkeys(("exit", "abort", "todo", "unimplemented"), "return from `main`, or call `panic(..)`"),
    **dict.fromkeys(("fetch", "request"), "call `std::http::get(..)`"),
    **dict.fromkeys(
        ("assert_equal", "assertEqual", "assertEquals", "assert_equals", "expect", "check", "should"),
        "write `assert(condition)`, or `assert_eq(found, wanted)`",
    ),
    "range": "write `a..b`, or `a..=b` with the end",
    "input": "let a `pub fn` take it as a parameter",
    "open": "call `std::fs::read_file(..)`",
    "sleep": "call `std::time::sleep(ms)`",
    "getenv": "call `env(..)`",
    "require": "write `use`",
}  # fmt: skip

_TYPES = {
    **dict.fromkeys(("str", "text", "char", "Str", "Text", "Char"), "String"),
    **dict.fromkeys(("int", "integer", "Integer", "long", "Long", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "usize", "isize"), "Int"),
    **dict.fromkeys(("f32", "f64", "double", "Double", "decimal", "Decimal"), "Float"),
    **dict.fromkeys(("boolean", "Boolean"), "Bool"),
    **dict.fromkeys(("list", "List", "Vec", "vec", "Seq", "Sequence", "Iterable", "Slice"), "Array<..>"),
    **dict.fromkeys(("dict", "Dict", "Object", "object", "Record", "BTreeMap", "Dictionary"), "Map<.., ..>"),
    **dict.fromkeys(("Optional", "Maybe", "optional"), "Option<..>"),
    **dict.fromkeys(("any", "unknown", "Unknown", "dynamic"), "Any"),
    **dict.fromkeys(("void", "Void", "None", "null", "Null", "unit", "Unit"), "Nil"),
    **dict.fromkeys(("Promise", "Awaitable"), "Future<..>"),
    **dict.fromkeys(("tuple", "Tuple", "Pair"), "(.., ..)"),
    **dict.fromkeys(("Callable", "Function", "Fn", "function", "Func"), "fn(..) -> .."),
    **dict.fromkeys(("number", "Number"), "Int` or `Float"),
}  # fmt: skip


def value_hint(name: str) -> str | None:
    """The help line for a name that stands for a value in other languages."""
    return _VALUES.get(name)


def function_hint(name: str) -> str | None:
    """The help line for a function that other languages have."""
    return _FUNCTIONS.get(name)


def type_hint(name: str) -> str | None:
    """The help line for a type by its name in other languages."""
    return f"write `{_TYPES[name]}`" if name in _TYPES else None
