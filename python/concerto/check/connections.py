"""The rules of `connect` blocks (C-1 to C-49, C-67, C-79 of the connection reference)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from concerto.check.checked import ConnectionInfo
from concerto.check.checker import Checker
from concerto.check.fields import BAD, Block, field_expr, object_entries, static_type
from concerto.diagnostics.model import Label, closest
from concerto.source import Span
from concerto.syntax import ast

KINDS = ("openai", "anthropic", "google", "ollama", "custom")
#: Words in names of connections, by the kind that they mean.
_WORDS = {
    "openai": ("openai",),
    "anthropic": ("anthropic", "claude"),
    "google": ("google", "gemini"),
    "ollama": ("ollama",),
}
_HOSTS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "google",
}
_FIELDS = {
    "api_key": "String",
    "base_url": "String",
    "default_model": "String",
    "timeout": "Int",
    "retry": "an object",
    "rate_limit": "an object",
    "headers": "an object",
    "organization": "String",
    "project": "String",
    "models": "an object",
    "provider": "name",
}
_HINTS = {
    **dict.fromkeys(("url", "endpoint", "host"), "base_url"),
    **dict.fromkeys(("key", "apikey", "token"), "api_key"),
    "model": "default_model",
    **dict.fromkeys(("type", "kind"), "provider"),
    "org": "organization",
    **dict.fromkeys(("timeout_ms", "timeout_seconds"), "timeout"),
    "retries": "retry",
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
    "concurrency": "concurrent_requests",
}
_CODES = {"duplicate": "E4004", "unknown": "E4005", "type": "E4006", "range": "E4007"}
_RETRY = {
    "max_attempts": "Int",
    "backoff": "String",
    "initial_delay_ms": "Int",
    "max_delay_ms": "Int",
    "retry_on": "Array",
}
_RETRY_RANGES = {
    "max_attempts": (1, 100),
    "initial_delay_ms": (0, 600_000),
    "max_delay_ms": (0, 3_600_000),
}
_LIMITS = {
    "requests_per_minute": 1_000_000,
    "tokens_per_minute": 1_000_000_000,
    "concurrent_requests": 10_000,
}
_BACKOFFS = ("none", "linear", "exponential")
_CLASSES = ("rate_limit", "server_error", "timeout")
_RESERVED = (
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "te",
    "upgrade",
)
_AUTH_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
#: No spaces or control characters, and nothing in the host that no host has.
_URL = re.compile(r"https?://[^\s\x00-\x1f/?#\\^<>|%{}\"`]*([/?#][^\s\x00-\x1f]*)?")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def check_connection(checker: Checker, node: ast.Connect) -> None:
    """Checks one block and files it, even with mistakes, so that models find it."""
    name = node.name.text
    if name in checker.connections:
        _duplicate(checker, node)
        return
    block = Block(checker, "a connection", _CODES, _FIELDS, _HINTS)
    values = block.read(node.fields)
    if checker.in_manifest and "provider" not in block.given:
        message = f"the connection `{name}` has no `provider`"
        help_ = f'add `provider = "{(_named_kinds(name) or ["openai"])[0]}"`'
        checker.report("E4022", message, node.name, help_)
        kind = None
    else:
        kind = _kind(checker, node, block, values)
    fields = _fields(checker, block, values)
    if kind and kind not in ("openai", "custom"):
        for field in ("organization", "project"):
            if field in values:
                message = f"`{field}` has no effect on {kind} connections"
                checker.report("W4003", message, block.given[field][0], "remove it")
                fields.pop(field, None)
    if kind == "custom" and "base_url" not in block.given:
        message = f"the connection `{node.name}` has no base URL"
        equals = " =" if checker.in_manifest else ":"
        checker.report("E4013", message, node.name, f'add `base_url{equals} "https://.."`')
    if kind and kind in ("openai", "anthropic", "google"):
        _require_key(checker, node, values, fields)
    origin = "manifest" if checker.in_manifest else "program"
    checker.connections[name] = ConnectionInfo(name, kind or "?", fields, node.name.span, origin)


def check_overlay(checker: Checker, node: ast.Connect) -> dict[str, Any]:
    """Fields that a profile of the manifest lays over a connection: any subset, in range each."""
    block = Block(checker, "a connection", _CODES, _FIELDS, _HINTS)
    values = block.read(node.fields)
    fields = _fields(checker, block, values)
    kind = _written_kind(checker, values["provider"]) if "provider" in values else None
    return {**fields, "provider": kind} if kind else fields


def _fields(checker: Checker, block: Block, values: dict[str, Any]) -> dict[str, Any]:
    """The fields as the IR holds them; each is checked by itself."""
    plain = ("api_key", "base_url", "default_model", "organization", "project", "timeout")
    fields: dict[str, Any] = {field: values[field] for field in plain if field in values}
    block.in_range("timeout", values.get("timeout"), 1, 86_400)
    _key(checker, block, values)
    _url(checker, block, values)
    _texts(checker, block, values)
    if "headers" in values:
        fields["headers"] = _headers(checker, values["headers"]["object"])
    if "models" in values:
        fields["models"] = _aliases(checker, values["models"]["object"])
    if "retry" in values:
        fields["retry"] = check_retry(checker, block, "retry", values["retry"]["object"])
    if "rate_limit" in values:
        fields["rate_limit"] = _rate_limit(checker, block, values["rate_limit"]["object"])
    return fields


def _duplicate(checker: Checker, node: ast.Connect) -> None:
    first = checker.connections[node.name.text]
    elsewhere = checker.manifest if first.origin == "manifest" else None
    label = Label(first.span, "declared here first", elsewhere)
    help_ = None
    if elsewhere:
        help_ = "settings that differ between environments belong into `[profile.NAME.connections]`"
    message = f"the connection `{node.name}` is declared twice"
    checker.report("E4003", message, node.name, help_, related=(label,))


def _kind(checker: Checker, node: ast.Connect, block: Block, values: dict[str, Any]) -> str | None:
    """C-30, in its order: the field, the name, the host, any URL."""
    if "provider" in values:
        return _written_kind(checker, values["provider"])
    fits = _named_kinds(node.name.text)
    if len(fits) > 1:
        message = f"the name `{node.name}` fits two providers: {' and '.join(fits)}"
        checker.report("E4010", message, node.name, "add `provider:`")
        return None
    if fits:
        return fits[0]
    url = values.get("base_url")
    if isinstance(url, str):
        parts = _split(url)
        if parts and parts.hostname in _HOSTS:
            return _HOSTS[parts.hostname]
        if parts and parts.port == 11434:
            return "ollama"
    if "base_url" in block.given:
        return "custom"
    message = f"cannot tell the provider of `{node.name}`"
    if not block.is_damaged:
        checker.report("E4011", message, node.name, "add `provider:` or `base_url:`")
    return None


def _named_kinds(name: str) -> list[str]:
    """The kinds whose words stand in a name."""
    lowered = name.lower()
    return [kind for kind, words in _WORDS.items() if any(word in lowered for word in words)]


def _written_kind(checker: Checker, node: ast.Expr) -> str | None:
    word = None
    if isinstance(node, ast.PathExpr):
        word = str(node.path)
    elif isinstance(node, ast.Literal) and isinstance(node.value, str):
        word = node.value
    if word in KINDS:
        return word
    close = closest(word or "", list(KINDS))
    help_ = f"did you mean `{close[0]}`?" if close else f"one of {', '.join(KINDS)}"
    checker.report(
        "E4009",
        f"unknown provider `{word}`" if word else "`provider` is one of five words",
        node,
        help_,
    )
    return None


def _key(checker: Checker, block: Block, values: dict[str, Any]) -> None:
    key, url = values.get("api_key"), values.get("base_url")
    local = isinstance(url, str) and _is_loopback(url)
    if isinstance(key, str):
        trimmed = key.strip(" \t\r\n\f")
        if len(trimmed) > 4096 or not all("!" <= c <= "~" for c in trimmed):
            checker.report(
                "E4007",
                "`api_key` must be at most 4096 visible ASCII characters",
                block.place("api_key"),
            )
        elif trimmed and not local:
            message = "a key stands in the source"
            checker.report("W4001", message, block.place("api_key"), 'use `env("..")`')
    plain = isinstance(url, str) and url.startswith("http://") and not local
    if key not in (None, "") and plain:
        message = "the key goes over plain HTTP to another machine"
        checker.report("W4002", message, block.place("base_url"), "use `https://`")


def _require_key(
    checker: Checker, node: ast.Connect, values: dict[str, Any], fields: dict[str, Any]
) -> None:
    key = values.get("api_key")
    given = [field.key.text for field in node.fields]
    # A misspelt `api_key` was reported.
    meant = [_HINTS.get(word, word).lower().replace("_", "") for word in given]
    missing = "api_key" not in values and not closest("api_key", given) and "apikey" not in meant
    empty = isinstance(key, str) and not key.strip(" \t\r\n\f")
    by_header = any(name.lower() in _AUTH_HEADERS for name, _ in fields.get("headers", []))
    if (missing or empty) and not by_header:
        message = f"the connection `{node.name}` has no key"
        help_ = 'add `api_key_env = ".."`' if checker.in_manifest else 'add `api_key: env("..")`'
        checker.report("E4012", message, node.name, help_)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_loopback(url: str) -> bool:
    parts = _split(url)
    host = (parts.hostname or "") if parts else ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _url_problem(url: str) -> str | None:
    if not url.startswith(("http://", "https://")):
        return "must begin with http:// or https://"
    parts = _split(url)
    if parts is None or not _URL.fullmatch(url):
        return "must be a URL"
    if "@" in parts.netloc:
        return "must not hold a user name or password"
    if not parts.hostname:
        return "must name a host"
    return "must not have a fragment" if "#" in url else None


def _url(checker: Checker, block: Block, values: dict[str, Any]) -> None:
    url = values.get("base_url")
    if not isinstance(url, str):
        return
    problem = _url_problem(url)
    parts = _split(url)
    if problem:
        checker.report("E4014", f"`base_url` {problem}", block.place("base_url"))
    elif parts and parts.hostname:
        checker.hosts.add(parts.hostname)


def _texts(checker: Checker, block: Block, values: dict[str, Any]) -> None:
    model = values.get("default_model")
    if isinstance(model, str):
        check_model_id(checker, block, "default_model", model)
    for field in ("organization", "project"):
        value = values.get(field)
        if isinstance(value, str) and not _is_header_value(value, least=1):
            checker.report(
                "E4007", f"`{field}` must be 1 to 8192 visible ASCII characters", block.place(field)
            )


def is_model_id(value: str) -> bool:
    """1 to 256 characters, none of them a control character."""
    return 1 <= len(value) <= 256 and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value)


def check_model_id(checker: Checker, block: Block, field: str, value: str) -> None:
    """Reports what is no model id."""
    if not is_model_id(value):
        message = f"`{field}` must be 1 to 256 characters without control characters"
        checker.report(block.codes["range"], message, block.place(field))


def _is_header_value(value: str, least: int = 0) -> bool:
    return least <= len(value) <= 8192 and all(c == "\t" or " " <= c <= "~" for c in value)


def _pairs(
    checker: Checker, node: ast.MapLiteral, what: str
) -> list[tuple[ast.Name, Any, ast.Expr]]:
    """Names and values of an object of texts."""
    found = []
    for field in object_entries(checker, node):
        if not field.is_plain:
            checker.report("E4002", "a key is a plain word", field.key)
            continue
        value = field_expr(checker, field.value)
        if value is BAD:
            continue
        if static_type(value) != "String":
            message = f"`{what}.{field.key}` must be String, found {static_type(value)}"
            checker.report("E4006", message, field.value)
            continue
        found.append((field.key, value, field.value))
    return found


def _headers(checker: Checker, node: ast.MapLiteral) -> list[list[Any]]:
    found: list[list[Any]] = []
    seen: set[str] = set()
    for key, value, place in _pairs(checker, node, "headers"):
        name = key.text
        if name.lower() in seen:
            checker.report("E4004", f"the header `{name}` is given twice", key)
        elif not _TOKEN.fullmatch(name):
            checker.report("E4016", f"`{name}` is no name of an HTTP header", key)
        elif name.lower() in _RESERVED:
            checker.report("E4015", f"the header `{name}` is reserved for the runtime", key)
        elif isinstance(value, str) and not _is_header_value(value):
            checker.report(
                "E4016",
                f"the value of `{name}` must be at most 8192 visible ASCII characters",
                place,
            )
        else:
            found.append([name, value])
        seen.add(name.lower())
    return found


def _aliases(checker: Checker, node: ast.MapLiteral) -> list[list[Any]]:
    found: dict[str, Any] = {}
    for key, value, place in _pairs(checker, node, "models"):
        if key.text in found:
            checker.report("E4004", f"the alias `{key}` is given twice", key)
        elif not key.text or value == "":
            checker.report("E4007", "aliases and model ids must not be empty", place)
        elif isinstance(value, str) and not is_model_id(value):
            message = f"`models.{key}` must be 1 to 256 characters without control characters"
            checker.report("E4007", message, place)
        else:
            found[key.text] = value
    for start in found:
        chain = [start]
        while isinstance(found.get(chain[-1]), str):
            following = found[chain[-1]]
            if following == chain[-1]:
                break
            if following in chain:
                if following == start and start == min(chain):
                    circle = " -> ".join([*chain, following])
                    checker.report("E4021", f"the aliases form a circle: {circle}", node)
                break
            chain.append(following)
    return [[alias, id_] for alias, id_ in found.items()]


def check_retry(checker: Checker, outer: Block, field: str, node: ast.MapLiteral) -> dict[str, Any]:
    """A retry policy, as written."""
    block = Block(
        checker, f"`{field}`", outer.codes, _RETRY, {**_HINTS, "attempts": "max_attempts"}
    )
    values = block.read(object_entries(checker, node))
    for name, (low, high) in _RETRY_RANGES.items():
        block.in_range(name, values.get(name), low, high)
    backoff = values.get("backoff")
    if isinstance(backoff, str) and backoff not in _BACKOFFS:
        close = closest(backoff, list(_BACKOFFS)) or [b for b in _BACKOFFS if b.startswith(backoff)]
        help_ = f'did you mean "{close[0]}"?' if close else f"one of {', '.join(_BACKOFFS)}"
        checker.report("E4017", f"unknown backoff `{backoff}`", block.place("backoff"), help_)
    first, most = values.get("initial_delay_ms"), values.get("max_delay_ms")
    if isinstance(first, int) and isinstance(most, int) and most < first:
        checker.report(
            "E4018", "`max_delay_ms` is below `initial_delay_ms`", block.place("max_delay_ms")
        )
    if "retry_on" in values:
        _retry_on(checker, block, values["retry_on"])
    if values.get("max_attempts", 1) == 1 and not any(
        d.primary.span == node.span for d in checker.diagnostics
    ):
        place = (
            block.place("max_attempts") if "max_attempts" in values else outer.given[field][0].span
        )
        checker.report(
            "W4005", f"`{field}` makes no second attempt", place, "set `max_attempts` to 2 or more"
        )
    return values


def _retry_on(checker: Checker, block: Block, classes: list[Any]) -> None:
    place = block.place("retry_on")
    if not classes:
        checker.report(
            "W4004", "nothing is ever retried", place, f"name some of {', '.join(_CLASSES)}"
        )
    for each in dict.fromkeys(c for c in classes if isinstance(c, str)):
        first, *again = _elements(block, "retry_on", classes, each)
        if each not in _CLASSES:
            close = closest(each, list(_CLASSES))
            help_ = f'did you mean "{close[0]}"?' if close else f"one of {', '.join(_CLASSES)}"
            checker.report("E4019", f"unknown retry class `{each}`", first, help_)
        elif again:
            checker.report("W4019", f"`{each}` is named twice", again[0])
    if any(not isinstance(c, str) for c in classes if c is not BAD):
        checker.report(block.codes["type"], "`retry_on` must be an array of words", place)


def _elements(block: Block, field: str, values: list[Any], wanted: str) -> list[Span]:
    """Where the elements of an array that equal a text stand; a constant stands at one place."""
    node = block.given[field][1]
    places = [item.span for item in node.items] if isinstance(node, ast.ArrayLiteral) else []
    places += [node.span] * (len(values) - len(places))
    return [place for place, value in zip(places, values, strict=True) if value == wanted]


def _rate_limit(checker: Checker, outer: Block, node: ast.MapLiteral) -> dict[str, Any]:
    block = Block(checker, "`rate_limit`", _CODES, dict.fromkeys(_LIMITS, "Int"), _HINTS)
    values = block.read(object_entries(checker, node))
    if not node.entries:
        checker.report(
            "W4018",
            "`rate_limit` limits nothing",
            outer.given["rate_limit"][0],
            f"name some of {', '.join(_LIMITS)}",
        )
    for name, high in _LIMITS.items():
        block.in_range(name, values.get(name), 1, high)
    return values
