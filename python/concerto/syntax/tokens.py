"""Words and signs of the language, as data."""

from __future__ import annotations

from typing import Protocol

#: Never identifiers, except after `.` and as field names (filter rule F2).
HARD_KEYWORDS = frozenset(
    [
        "as",
        "async",
        "await",
        "break",
        "catch",
        "const",
        "continue",
        "else",
        "enum",
        "false",
        "fn",
        "for",
        "if",
        "impl",
        "in",
        "let",
        "loop",
        "match",
        "mod",
        "mut",
        "nil",
        "pub",
        "return",
        "self",
        "struct",
        "throw",
        "trait",
        "true",
        "try",
        "use",
        "while",
    ]
)

#: Identifiers, except where filter rule F1 promotes them.
SOFT_KEYWORDS = frozenset(
    [
        "agent",
        "connect",
        "hashmap",
        "ledger",
        "listen",
        "mcp",
        "memory",
        "mock",
        "model",
        "parallel",
        "pipeline",
        "schema",
        "spawn",
        "stage",
        "tool",
        "type",
    ]
)

#: Signs by the names of their tokens, longer ones first where one begins another.
SIGNS = {
    "DOTDOTEQ": "..=",
    "DOTDOT": "..",
    "FATARROW": "=>",
    "EQ": "==",
    "NE": "!=",
    "LE": "<=",
    "GE": ">=",
    "ANDAND": "&&",
    "OROR": "||",
    "PIPE": "|>",
    "ADDEQ": "+=",
    "ARROW": "->",
    "SUBEQ": "-=",
    "MULEQ": "*=",
    "DIVEQ": "/=",
    "MODEQ": "%=",
    "COLONCOLON": "::",
    "QQ": "??",
    "ASSIGN": "=",
    "NOT": "!",
    "LT": "<",
    "GT": ">",
    "BAR": "|",
    "PLUS": "+",
    "MINUS": "-",
    "STAR": "*",
    "SLASH": "/",
    "PERCENT": "%",
    "COLON": ":",
    "QUEST": "?",
    "DOT": ".",
    "COMMA": ",",
    "SEMI": ";",
    "LPAREN": "(",
    "RPAREN": ")",
    "LBRACKET": "[",
    "RBRACKET": "]",
    "LBRACE": "{",
    "RBRACE": "}",
    "AT": "@",
}

#: Token kinds that only the filter makes, with the sign that stands in the text.
FILTERED = {
    "LANGLE": "<",
    "RANGLE": ">",
    "LBRACE_BODY": "{",
    "LBRACE_STRUCT": "{",
    "LBRACE_MAP": "{",
    "DOTDOT_OPEN": "..",
    "ASYNC_CLOSURE": "async",
    "STATE": "a name",
}

#: What can end an operand.
OPERAND_END = frozenset(
    [
        "IDENT",
        "INT",
        "FLOAT",
        "STRING",
        "IEND",
        "SELF",
        "TRUE",
        "FALSE",
        "NIL",
        "RPAREN",
        "RBRACKET",
        "RBRACE",
        "QUEST",
        "AWAIT",
        "DOTDOT_OPEN",
        "RANGLE",
    ]
)

#: What opens and closes brackets, interpolations among them.
OPENERS = frozenset(
    ["LPAREN", "LBRACKET", "LBRACE", "LBRACE_BODY", "LBRACE_STRUCT", "LBRACE_MAP", "ISTART"]
)
CLOSERS = frozenset(["RPAREN", "RBRACKET", "RBRACE", "IEND"])

#: How a kind of token is called in messages.
DESCRIPTIONS = {
    **{kind: f"`{sign}`" for kind, sign in SIGNS.items()},
    **{kind: f"`{sign}`" for kind, sign in FILTERED.items()},
    **{word.upper(): f"`{word}`" for word in HARD_KEYWORDS | SOFT_KEYWORDS},
    "IDENT": "a name",
    "STATE": "a name",
    "INT": "a number",
    "FLOAT": "a number",
    "STRING": "a string",
    "ISTART": "a string",
    "IMID": "the rest of the string",
    "IEND": "the end of the string",
    "LABEL": "a label",
    "$end": "the end of the file",
}


class Token(Protocol):
    """What SLY gives: the kind, its value, and half-open character offsets."""

    type: str
    value: object
    index: int
    end: int
