"""Forms that other languages have, each with what stands for it here (E1008)."""

from __future__ import annotations

from typing import Any

from concerto.diagnostics.model import Diagnostic
from concerto.syntax.tokens import CLOSERS, OPENERS
from concerto.syntax.unexpected import Place

#: Words that begin a statement or declaration.
BEGIN = {
    "def": "write `fn`",
    "func": "write `fn`",
    "fun": "write `fn`",
    "function": "write `fn`",
    "var": "write `let mut`",
    "val": "write `let`",
    "final": "write `let`",
    "class": "write `struct`, and its methods in an `impl` block",
    "record": "write `struct`",
    "interface": "write `trait`",
    "protocol": "write `trait`",
    "import": "write `use`",
    "from": "write `use a::b;`",
    "include": "write `use`",
    "require": "write `use`",
    "package": "a file is a module: leave it out",
    "namespace": "write `mod name { .. }`",
    "switch": "write `match`",
    "case": "write `match x { pattern => value }`",
    "foreach": "write `for x in xs { .. }`",
    "until": "write `while !condition { .. }`",
    "unless": "write `if !condition { .. }`",
    "do": "write `loop { .. }`, and leave it with `break`",
    "raise": "write `throw`",
    "yield": "emit values, or collect them in an array",
    "defer": "write it where it is to happen",
    "del": "call `.delete(key)` or `.remove(index)`",
    "delete": "call `.delete(key)` or `.remove(index)`",
    "except": "write `catch`",
    "rescue": "write `catch`",
    "finally": "write behind the `try` what is always to happen",
    "elif": "write `else if`",
    "elseif": "write `else if`",
    "elsif": "write `else if`",
    "with": "write the statements one after the other",
    "new": "write `Type { field: value }`, or call a function of it: `Type::new(..)`",
    "lambda": "write `|x| ..`",
    "not": "write `!`",
    "typeof": "call it: `typeof(x)`",
    "sizeof": "call `len(x)`",
    "print": "call it: `print(x)`",
    "echo": "call `println(x)`",
    "assert": "call it: `assert(condition)`",
    "export": "write `pub`",
    "public": "write `pub`",
    "private": "leave it out: what is not `pub` is private",
    "protected": "leave it out: what is not `pub` is private",
    "static": "leave it out: a function without `self` belongs to the type",
    "override": "leave it out",
    "abstract": "write `trait`",
    "extends": "write `impl Trait for Type { .. }`",
    "implements": "write `impl Trait for Type { .. }`",
}

#: Words between two operands.
_BETWEEN = {
    "and": "write `&&`",
    "or": "write `||`",
    "is": "write `==`",
    "instanceof": "match on the value, or compare `typeof(x)`",
    "div": "write `/`: that of two Ints has no fraction",
    "mod": "write `%`",
    "of": "write `for x in xs { .. }`",
    "extends": "write `impl Trait for Type { .. }`",
    "implements": "write `impl Trait for Type { .. }`",
    "elif": "write `else if`",
    "elseif": "write `else if`",
    "elsif": "write `else if`",
    "then": "write the body in braces",
    "where": "write the bounds behind the names: `<T: Trait>`",
}

_MACROS = {
    "println": "call `println(a, b)`",
    "print": "call `print(a, b)`",
    "format": 'write values into a string: `"${x}"`',
    "vec": "write `[a, b]`",
    "panic": "call `panic(message)`",
    "assert": "call `assert(condition)`",
    "assert_eq": "call `assert_eq(a, b)`",
    "assert_ne": "call `assert_ne(a, b)`",
}
_OPERAND = frozenset(["IDENT", "INT", "FLOAT", "STRING", "ISTART", "TRUE", "FALSE", "NIL", "SELF"])
_ENDS = frozenset([*_OPERAND, "RPAREN", "RBRACKET", "IEND", "QUEST"]) - {"ISTART"}
_OF_NAMES = frozenset(["IDENT", "LANGLE", "RANGLE", "COMMA", "COLON", "PLUS", "COLONCOLON"])
_PARTS = {"STRUCT": "fields", "SCHEMA": "fields", "ENUM": "variants"} | dict.fromkeys(
    ("CONNECT", "MODEL", "AGENT", "MOCK", "TOOL", "MCP"), "settings"
)
#: What brackets hold that are no blocks.
_HELD = {
    "LBRACE_MAP": "entries",
    "LBRACE_STRUCT": "fields",
    "LBRACE_BODY": "arms",
    "LBRACKET": "elements",
    "LPAREN": "the parts",
}
_LOOPS = ("FOR", "WHILE", "LOOP")
_HEADS = {"IF": "if", "WHILE": "while", "FOR": "for", "MATCH": "match"}


def foreign(place: Place) -> Diagnostic | None:
    """The diagnostic for a form of another language; the first rule that knows it words it."""
    rules = (_signs, _words, _types, _loops, _branches, _closures, _values, _declarations)
    return next((found for rule in rules if (found := rule(place)) is not None), None)


def _signs(place: Place) -> Diagnostic | None:
    kind, before = place.kind, place.kind_before()
    ends = ("SEMI", "RBRACE", "RPAREN")
    if before == "PLUS" and kind in ("PLUS", *ends) and (kind != "PLUS" or place.touches()):
        return place.has_no("++", "write `x += 1`", place.before())
    if kind == "PLUS" and place.kind_behind() == "PLUS":
        return place.has_no("++", "write `x += 1`")
    if before == place.kind_before(2) == "MINUS" and kind in ends:
        return place.has_no("--", "write `x -= 1`", place.before(2))
    if kind == "STAR" and before == "STAR":
        return place.has_no("**", "use `.pow(n)`")
    if kind == "ASSIGN" and before in ("EQ", "NE") and place.touches():
        return place.has_no(f"{place.before().value}=", "leave out the last `=`")
    opening = place.opening()
    is_literal = opening >= 0 and place.tokens[opening].type == "LBRACE_STRUCT"
    if kind in ("DOTDOT", "DOTDOT_OPEN") and is_literal and "IDENT" in place.expected:
        help_ = "name each field, or change a copy: `let mut b = a; b.x = 1;`"
        return place.has_no("..", help_)
    if kind == "DOT" and before == "DOTDOT":
        help_ = "call `.concat(..)` or `.merge(..)`; in a pattern write `..rest`"
        return place.has_no("...", help_, place.before())
    around = [place.kind_before(steps) for steps in (2, 3, 4)]
    if kind == "BAR" and around[0] == "BAR" and around[2] == "COLON":
        help_ = 'write `|x: ("a" | "b")| ..`'
        message = "a union in the parameters of a closure stands in parentheses"
        return place.says("E1008", message, help_, place.before(2))
    if kind == "BAR" and before in _ENDS:
        return place.has_no("|", "`or` is written `||`; there are no operators on bits")
    behind = place.kind_behind()
    if kind == "NOT" and before in _ENDS and (behind in ("DOT", "COMMA", "RBRACKET", *ends)):
        help_ = "take the value out with `?? ..`, `match` or `.unwrap()`"
        return place.has_no("x!", help_)
    if kind == "NOT" and before == "IDENT" and place.kind_behind() in ("LPAREN", "LBRACKET"):
        word = place.word_before()
        help_ = _MACROS.get(word, "leave out the `!`")
        return place.has_no(f"{word}!", help_, place.before())
    return None


def _words(place: Place) -> Diagnostic | None:
    kind, word, before = place.kind, place.word, place.word_before()
    if word in _BETWEEN and place.kind_before() in (*_ENDS, "RBRACE", "RANGLE"):
        return place.has_no(word, _BETWEEN[word])
    starts = kind in (*_OPERAND, "FN", "LPAREN", "STRUCT", "ENUM", "CONST", "IF", "LBRACE")
    if before in BEGIN and starts and place.is_same_line():
        return place.has_no(before, BEGIN[before], place.before())
    if before in ("f", "b", "u") and kind in ("STRING", "ISTART") and place.touches():
        help_ = 'leave out the letter: every string may hold `"${x}"`'
        return place.has_no(f'{before}".."', help_, place.before())
    opening = place.opening()
    if opening > 0 and place.tokens[opening].type == "LBRACE_STRUCT":
        head = place.tokens[opening - 1]
        if head.type == "IDENT" and head.value in BEGIN:
            return place.has_no(str(head.value), BEGIN[str(head.value)], head)
    callee = _callee(place) if kind.startswith("LBRACE") else None
    if callee is not None and callee.value in BEGIN:
        return place.has_no(str(callee.value), BEGIN[str(callee.value)], callee)
    return None


def _callee(place: Place) -> Any:
    """The name before the `(..)` that ends in front of the token; None if there is none."""
    depth = 0
    for here in range(place.at - 1, 0, -1):
        kind = place.tokens[here].type
        depth += (kind in CLOSERS) - (kind in OPENERS)
        if depth == 0:
            name = place.tokens[here - 1]
            return name if kind == "LPAREN" and name.type == "IDENT" else None
    return None


def _types(place: Place) -> Diagnostic | None:
    """Types as others write them."""
    kind, word = place.kind, place.word_before()
    if kind == "IMPL" and place.kind_before() in ("COLON", "ARROW"):
        help_ = "write `fn f<T: Trait>(x: T)`"
        return place.says("E1008", "a trait is no type of values", help_)
    if kind == "MUT":
        opening = place.opening()
        of_let = opening > 0 and place.tokens[opening - 1].type == "LET"
        help_ = "it belongs to `let mut x` and to parameters"
        if of_let:
            help_ = "write `let mut (a, b) = ..`: it is for all names of the pattern"
        return place.says("E1008", "`mut` cannot stand here", help_)
    is_type = bool(word) and place.kind_before(2) in ("COLON", "ARROW", "LANGLE", "COMMA")
    if is_type and kind == "LBRACKET" and place.kind_behind() == "RBRACKET":
        return place.has_no(f"{word}[]", f"write `Array<{word}>`")
    if is_type and kind == "QUEST":
        return place.has_no(f"{word}?", f"write `Option<{word}>`")
    if kind == "LBRACKET" and place.kind_before() in ("COLON", "ARROW") and "FN" in place.expected:
        return place.has_no("[T]", "write `Array<T>`")
    if kind == "COLON" and place.kind_before() == "RPAREN" and "ARROW" in place.expected:
        return place.says("E1008", "the result stands behind `->`", "write `-> Type`")
    if place.kind_before() == "COLONCOLON" and kind in ("LT", "LANGLE"):
        return place.has_no("::<", "write type arguments behind the name: `f<Int>(1)`")
    if kind == "COLONCOLON" and place.kind_behind() in ("LT", "LANGLE"):
        return place.has_no("::<", "write type arguments behind the name: `f<Int>(1)`")
    return None


def _loops(place: Place) -> Diagnostic | None:
    kind, before = place.kind, place.kind_before()
    if kind == "COMMA" and before == "IDENT" and place.kind_before(2) == "FOR":
        help_ = "write `for (i, x) in xs.enumerate()`, or `for (key, value) in map`"
        return place.says("E1008", "the names of a loop stand in parentheses", help_)
    if kind == "COLON" and before == "IDENT" and place.kind_behind() in _LOOPS:
        return _label(place, place.at - 1)
    if kind == "LBRACE_MAP" and place.kind_behind(3) in _LOOPS:
        return _label(place, place.at + 1)
    opening = place.opening()
    in_head = opening > 0 and place.tokens[opening - 1].type == "FOR"
    if in_head and (kind in ("IN", "LET", "CONST", "SEMI") or place.word == "of"):
        return place.has_no("for (..)", "write `for x in xs { .. }`, or `for i in 0..n { .. }`")
    if kind == "FOR" and opening >= 0 and place.tokens[opening].type == "LBRACKET":
        help_ = "write `xs.map(|x| ..)`, with `.filter(|x| ..)` before it for conditions"
        return place.has_no("[.. for x in xs]", help_)
    if kind == "FOR" and opening >= 0 and place.tokens[opening].type == "LBRACE_MAP":
        help_ = "write `xs.map(|x| (key, value)).to_map()`"
        return place.has_no("{ .. for x in xs }", help_)
    if kind == "FOR" and before == "RPAREN":
        inner = Place(place.source, place.tokens, place.at - 1, place.before(), {}).opening()
        if inner > 0 and place.tokens[inner - 1].value == "parallel":
            return place.says(
                "E1001", "`parallel` takes `max` by its name", "write `parallel(max: n)`"
            )
    if kind == "IN" and before in _ENDS:
        return place.has_no("x in xs", "write `xs.contains(x)`, of a map `m.has(key)`")
    return None


def _label(place: Place, at: int) -> Diagnostic:
    """A label without its `'`, with the place of its name."""
    name, loop = place.tokens[at], place.tokens[at + 2]
    help_ = f"write `'{name.value}: {loop.value} ..`"
    return place.says("E1008", "the name of a loop begins with `'`", help_, name)


def _branches(place: Place) -> Diagnostic | None:
    kind, before = place.kind, place.kind_before()
    if kind == "LET" and before in ("IF", "WHILE"):
        return place.has_no(f"{before.lower()} let", "use `match`")
    if before == "QUEST" and kind in (*_OPERAND, "LPAREN", "LBRACKET") and place.is_same_line():
        help_ = "write `if condition { a } else { b }`"
        return place.has_no("condition ? a : b", help_, place.before())
    if kind == "IF" and before in _ENDS and place.is_same_line():
        return place.has_no("a if condition else b", "write `if condition { a } else { b }`")
    opening = place.opening()
    in_match = opening >= 0 and place.tokens[opening].type == "LBRACE_BODY"
    if kind in ("COLON", "ARROW") and in_match and "FATARROW" in place.expected:
        return place.says("E1008", "the value of an arm stands behind `=>`", "write `=>`")
    if kind == "DOT" and in_match and before == "IDENT" and "FATARROW" in place.expected:
        help_ = f"write `{place.word_before()}::..`"
        return place.says("E1008", "variants are named with `::`", help_)
    if before == "ELSE" and kind in (*_OPERAND, "RETURN", "BREAK", "CONTINUE", "THROW"):
        return place.says("E1008", "the body of `else` stands in braces", "write `else { .. }`")
    head = _head(place)
    if head and kind in ("COLON", "RETURN", "BREAK", "CONTINUE", "THROW", *_OPERAND):
        message = f"the body of `{head}` stands in braces"
        return place.says("E1008", message, f"write `{head} .. {{ .. }}`")
    return None


def _head(place: Place) -> str | None:
    """The `if`, `while`, `for` or `match` in front of the token whose body has not begun."""
    opening = place.opening()
    for here in range(place.at - 1, opening, -1):
        kind = place.tokens[here].type
        if kind in ("SEMI", "LBRACE_BODY", "RBRACE"):
            return None
        if kind in _HEADS:
            return _HEADS[kind]
    return None


def _closures(place: Place) -> Diagnostic | None:
    opening = place.opening()
    in_match = opening >= 0 and place.tokens[opening].type == "LBRACE_BODY"
    around = [place.kind_before(steps) for steps in (3, 2, 1)]
    if place.kind in _OPERAND and around == ["BAR", "ARROW", "IDENT"]:
        help_ = "write `|x| -> T { .. }`, or leave out the type"
        return place.says("E1008", "behind `->` the body of a closure stands in braces", help_)
    if place.kind == "FATARROW" and in_match:
        if place.kind_before() not in ("DOTDOT_OPEN", "DOTDOT", "DOTDOTEQ"):
            return None
        help_ = "write both, or a guard: `n if n >= 1 => ..`"
        return place.says("E1001", "a range in a pattern has two ends", help_, place.before())
    if place.kind == "FATARROW" or (place.kind == "ARROW" and place.kind_before() in _ENDS):
        return place.has_no("x => ..", "write a closure: `|x| ..`")
    return None


def _values(place: Place) -> Diagnostic | None:
    kind = place.kind
    opening = place.opening()
    bracket = place.tokens[opening].type if opening >= 0 else ""
    if kind == "COLON" and bracket.startswith("LBRACE") and _is_field_path(place, opening):
        help_ = "write `(a.b): ..`"
        return place.says("E1013", "a key that is looked up stands in parentheses", help_)
    if kind == "COLON" and bracket == "LBRACKET":
        return place.has_no("[a:b]", "write `[a..b]`")
    if kind == "COLONCOLON" or not (place.token and kind.startswith("LBRACE")):
        return None
    if place.kind_before() == "LET":
        help_ = "name the struct, `let Point { x, y } = p;`, or read a map by its keys"
        return place.says("E1008", "a pattern of fields begins with the name of a struct", help_)
    if kind == "LBRACE_MAP" and "LBRACE" in place.expected and place.kind_behind() == "IDENT":
        name = place.tokens[place.at + 1]
        help_ = f"write `let {name.value} = ..`"
        return place.says("E1008", "a variable is declared with `let`", help_, name)
    return None


def _declarations(place: Place) -> Diagnostic | None:
    kind, before = place.kind, place.kind_before()
    if kind == "LPAREN" and before == "IDENT" and place.kind_before(2) == "STRUCT":
        help_ = "name the fields: `struct S { x: Int }`"
        return place.says("E1008", "there are no tuple structs", help_)
    if kind == "LPAREN" and before == "PUB":
        return place.has_no("pub(..)", "write `pub` alone")
    if kind in ("FN", "ASYNC") and place.opening() >= 0 and _parts(place) in ("fields", "variants"):
        help_ = "write `impl Name { fn .. }` behind it"
        return place.says("E1008", "methods stand in a block of their own", help_)
    if kind == "SEMI" and place.in_list() and (parts := _parts(place)):
        return place.says("E1001", f"{parts} are separated by `,`", "write `,`")
    if kind == "ASSIGN" and before == "IDENT" and place.kind_before(2) in ("MODEL", "CONNECT"):
        word = place.before(2).value
        help_ = f"leave out the `=`: `{word} {place.word_before()} {{ .. }}`"
        return place.says("E1001", f"the settings of a {word} stand behind its name", help_)
    if kind == "DOT" and "COLONCOLON" in place.expected and _in_use(place):
        return place.says("E1008", "names of modules are joined by `::`", "write `use a::b;`")
    if kind == "COLONCOLON" and [place.kind_before(n) for n in (1, 2, 3)] == [
        "IDENT",
        "DOT",
        "IDENT",
    ]:
        help_ = f"write `{place.word_before(3)}::{place.word_before()}::..`"
        return place.says("E1008", "names of modules are joined by `::`", help_, place.before(2))
    if kind == "ASSIGN" and before == "IDENT" and place.kind_before(2) == "CONST":
        name = place.word_before()
        form = f"const {name}: Type = ..;" if place.opening() < 0 else f"let {name} = ..;"
        help_ = f"write `{form}`"
        return place.says("E1001", f"the constant `{name}` has no type", help_)
    if kind == "COLON" and before == "IDENT" and _in_variant(place):
        help_ = f"write `{{ {place.word_before()}: Type }}` for parts with names"
        return place.says("E1008", "parts in parentheses have no names", help_)
    if kind.startswith("LBRACE") and before == "ASSIGN" and place.kind_before(3) == "TYPE":
        name = place.word_before(2)
        return place.has_no(f"type {name} = {{ .. }}", f"write `struct {name} {{ .. }}`")
    if kind == "ASSIGN" and before == "COLON":
        return place.has_no(":=", "write `let x = ..`", place.before())
    return None


def _in_variant(place: Place) -> bool:
    """Whether the token stands in the parentheses of a variant of an enum."""
    opening = place.opening()
    if opening < 0 or place.tokens[opening].type != "LPAREN":
        return False
    around = Place(place.source, place.tokens, opening, place.tokens[opening], {}).opening()
    return any(
        place.tokens[around - steps].type == "ENUM" for steps in (2, 3, 4, 5) if around >= steps
    )


def _is_field_path(place: Place, opening: int) -> bool:
    """Whether all between a brace and the token is a path of fields, such as `a.b`."""
    kinds = [token.type for token in place.tokens[opening + 1 : place.at]]
    return len(kinds) > 2 and all(
        kind == ("DOT" if at % 2 else "IDENT") for at, kind in enumerate(kinds)
    )


def _parts(place: Place) -> str:
    """What the brackets around the token hold; nothing if they hold statements."""
    opening = place.opening()
    bracket = place.tokens[opening].type
    if bracket in _HELD:
        return _HELD[bracket]
    # Before the brace stand a name, perhaps its type parameters, and the word that declares it.
    kinds = [token.type for token in place.tokens[max(opening - 40, 0) : opening]]
    while kinds and kinds[-1] in _OF_NAMES:
        kinds.pop()
    word = kinds[-1] if bracket == "LBRACE" and kinds else ""
    return _PARTS.get(word, "")


def _in_use(place: Place) -> bool:
    for here in range(place.at - 1, -1, -1):
        kind = place.tokens[here].type
        if kind == "USE":
            return True
        if kind not in ("IDENT", "COLONCOLON"):
            return False
    return False
