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
    "index_of": ("find",), "includes": ("contains", "has"), "has": ("contains",), "contains": ("has",),
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
