"""The rules of `connect` blocks, row by row (C-1 to C-49, C-67, C-79 and M-20 to M-24 of the connection reference)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from concerto.compiler import compile_source
from concerto.diagnostics.model import Diagnostic
from concerto.source import Source


def compiled(text: str) -> tuple[dict[str, Any] | None, list[Diagnostic]]:
    ir, diagnostics = compile_source(Source("t.conc", text + "\nfn main() {}\n"))
    return (json.loads(ir) if ir else None), diagnostics


def codes(text: str) -> list[str]:
    return [diagnostic.code for diagnostic in compiled(text)[1]]


def connection(text: str) -> dict[str, Any]:
    """The one connection of a program without any diagnostic."""
    ir, diagnostics = compiled(text)
    assert ir is not None, diagnostics
    assert diagnostics == []
    (found,) = ir["connections"]
    return dict(found)


def ollama(fields: str) -> str:
    return f"connect ollama {{ {fields} }}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # C-1: module scope.
        ("fn f() { connect a {} }", ["E4001"]),
        # C-2: the order of declarations does not matter.
        ("model M { provider: ollama }\nconnect ollama {}", []),
        # C-3: elsewhere `connect` is a name.
        ("pub fn f() -> Int { let connect = 1; connect }", []),
        # C-4: commas and comments.
        ("connect ollama {\n // a\n timeout: 5 /* b */\n default_model: \"m\", }", []),
        # C-5: quoted keys; escapes and interpolation in them.
        (ollama('"timeout": 5, retry: { "max_attempts": 3 }'), []),
        (ollama(r'"time\u{6f}ut": 5'), ["E4002"]),
        (ollama('"x${y}": 1'), ["E4002"]),
        (ollama('headers: { "a${1}": "b" }'), ["E4002"]),
        # C-6: bare keys at any depth, reserved words among them.
        (ollama("models: { match: \"a\", fn: \"b\" }, headers: { type: \"c\" }"), []),
        # C-7: one namespace of their own.
        ("connect ollama {}\nconnect ollama {}", ["E4003"]),
        ("connect ollama {}\nmodel ollama { provider: ollama }", ["W0002"]),
        # C-8
        (ollama("timeout: 1, timeout: 2"), ["E4004"]),
        (ollama("retry: { max_attempts: 2, max_attempts: 3 }"), ["E4004"]),
        # C-10
        (ollama(""), []),
        # C-13: an Int field takes no Float, and nothing is unset by nil.
        (ollama("timeout: 1.5"), ["E4006"]),
        (ollama("timeout: nil"), ["E4006"]),
        (ollama("retry: nil"), ["E4006"]),
        (ollama("headers: []"), ["E4006"]),
        (ollama("retry: true"), ["E4006"]),
        (ollama('headers: { "X-A": 3 }'), ["E4006"]),
        # C-22: what a field may be built from.
        ('const U: String = "http://127.0.0.1:1"; connect ollama { base_url: U }', []),
        (ollama('default_model: "a" + env("B") + "c"'), []),
        (ollama('default_model: "a${env("B") ?? "x"}c"'), []),
        (ollama("timeout: -(-5)"), []),
        ("fn u() -> String { \"a\" }\nconnect ollama { base_url: u() }", ["E4008"]),
        (ollama("base_url: if true { \"a\" } else { \"b\" }"), ["E4008"]),
        (ollama("timeout: 2 * 3"), ["E4008"]),
        # C-20, C-21: the name is constant and can be one.
        ('const N: String = "VAR"; connect ollama { default_model: env(N) }', []),
        ('const N: String = "VAR"; connect ollama { default_model: env("${N}_2") }', []),
        (ollama('default_model: env(env("A"))'), ["E4008"]),
        (ollama('default_model: env("A", "B")'), ["E4008"]),
        (ollama('default_model: env("")'), ["E4008"]),
        (ollama('default_model: env("A=B")'), ["E4008"]),
        # C-24: `??` behind what is never nil.
        (ollama('default_model: "a" ?? "b"'), ["W3004"]),
        (ollama('default_model: env("A") ?? "b" ?? "c"'), ["W3004"]),
        (ollama('default_model: env("A") ?? env("B") ?? "c"'), []),
        (ollama('default_model: (env("A")) ?? (env("B"))'), []),
        # C-35, C-36: who needs a key.
        ("connect openai {}", ["E4012"]),
        ("connect anthropic {}", ["E4012"]),
        ("connect google {}", ["E4012"]),
        ('connect openai { api_key: "" }', ["E4012"]),
        ('connect openai { api_key: "  " }', ["E4012"]),
        (ollama('api_key: ""'), []),
        ('connect c { base_url: "https://h.example", api_key: "" }', []),
        ('connect openai { headers: { "Authorization": env("A") } }', []),
        ('connect openai { headers: { "api-key": env("A") } }', []),
        ('connect anthropic { headers: { "X-Api-Key": env("A") } }', []),
        ('connect google { headers: { "x-goog-api-key": env("A") } }', []),
        ('connect google { headers: { "X-Team": "a" } }', ["E4012"]),
        # C-46, C-47, C-48
        *((ollama(f'headers: {{ "{name}": "x" }}'), ["E4015"]) for name in (
            "Host", "content-length", "Content-Type", "Transfer-Encoding", "Connection", "Accept-Encoding", "TE", "Upgrade",
        )),
        (ollama('headers: { "X A": "x" }'), ["E4016"]),
        (ollama('headers: { "": "x" }'), ["E4016"]),
        (ollama(r'headers: { "X-A": "x\r\nY: z" }'), ["E4016"]),
        (ollama('headers: { "X-A": "\u00e4" }'), ["E4016"]),
        (ollama(f'headers: {{ "X-A": "{"x" * 8193}" }}'), ["E4016"]),
        (ollama(f'headers: {{ "X-A": "{"x" * 8192}", "X-B": "" }}'), []),
        (ollama('headers: { "X-A": "a", "x-a": "b" }'), ["E4004"]),
        # C-49
        ('connect openai { api_key: env("K"), organization: "o", project: "p" }', []),
        ('connect c { base_url: "https://h.example", organization: "o" }', []),
        ('connect anthropic { api_key: env("K"), organization: "o" }', ["W4003"]),
        (ollama('project: "p"'), ["W4003"]),
        # C-67, C-68
        (ollama("retry: {}"), ["W4005"]),
        (ollama("retry: { max_attempts: 1 }"), ["W4005"]),
        (ollama('retry: { max_attempts: 2, backoff: "exp" }'), ["E4017"]),
        (ollama("retry: { max_attempts: 2, initial_delay_ms: 9, max_delay_ms: 5 }"), ["E4018"]),
        (ollama('retry: { max_attempts: 2, retry_on: ["oops"] }'), ["E4019"]),
        (ollama("retry: { max_attempts: 2, retry_on: [] }"), ["W4004"]),
        (ollama('retry: { max_attempts: 2, retry_on: ["timeout", "timeout"] }'), ["W4019"]),
        (ollama("retry: { max_attempts: 2, retry_on: [1] }"), ["E4006"]),
        # C-79
        (ollama("rate_limit: {}"), ["W4018"]),
        (ollama("rate_limit: { concurrent_requests: 1 }"), []),
        # M-21, M-22
        (ollama('models: { "a": "" }'), ["E4007"]),
        (ollama('models: { "": "a" }'), ["E4007"]),
        (ollama(f'models: {{ "a": "{"m" * 257}" }}'), ["E4007"]),
        (ollama('models: { "a": "b", "b": "a" }'), ["E4021"]),
        (ollama('models: { "a": "a" }'), []),
        (ollama('models: { "smart": "gpt-4o", "gpt-4o": "gpt-4o-mini" }'), []),
    ],
)  # fmt: skip
def test_declarations(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("timeout: {}", 1, 86_400),
        ("retry: {{ max_attempts: {} }}", 1, 100),
        ("retry: {{ max_attempts: 2, initial_delay_ms: {} }}", 0, 600_000),
        ("retry: {{ max_attempts: 2, max_delay_ms: {} }}", 0, 3_600_000),
        ("rate_limit: {{ requests_per_minute: {} }}", 1, 1_000_000),
        ("rate_limit: {{ tokens_per_minute: {} }}", 1, 1_000_000_000),
        ("rate_limit: {{ concurrent_requests: {} }}", 1, 10_000),
    ],
)
def test_numbers_are_in_range_at_both_ends(field: str, low: int, high: int) -> None:
    """C-12, C-67, C-79."""
    for number, expected in (
        (low, []),
        (high, []),
        (low - 1, ["E4007"]),
        (high + 1, ["E4007"]),
        ('"x"', ["E4006"]),
        ("1.0", ["E4006"]),
    ):
        found = [code for code in codes(ollama(field.format(number))) if code != "W4005"]
        assert found == expected, field.format(number)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("api_key", ["x", " x ", "x" * 4096], ["x" * 4097, "a b", "\u00e9"]),
        ("default_model", ["m", "m" * 256], ["", "m" * 257, r"a\nb"]),
        ("organization", ["o"], ["", r"a\nb", "\u00e9"]),
        ("project", ["p"], ["", r"a\nb"]),
    ],
)
def test_texts_are_in_range(field: str, good: list[str], bad: list[str]) -> None:
    """C-12."""
    block = 'connect c {{ base_url: "http://127.0.0.1:1", {}: "{}" }}'
    for text in good:
        assert codes(block.format(field, text)) == [], text
    for text in bad:
        assert codes(block.format(field, text)) == ["E4007"], text
    assert codes(block.replace('"{}" ', "3 ").format(field)) == ["E4006"]


@pytest.mark.parametrize(
    ("block", "wrong", "meant"),
    [
        ("", "timout", "timeout"),
        ("", "url", "base_url"),
        ("", "endpoint", "base_url"),
        ("", "host", "base_url"),
        ("", "key", "api_key"),
        ("", "apikey", "api_key"),
        ("", "token", "api_key"),
        ("", "model", "default_model"),
        ("", "type", "provider"),
        ("", "kind", "provider"),
        ("", "org", "organization"),
        ("", "timeout_ms", "timeout"),
        ("", "timeout_seconds", "timeout"),
        ("", "retries", "retry"),
        ("retry", "max_attemps", "max_attempts"),
        ("retry", "backof", "backoff"),
        ("rate_limit", "rpm", "requests_per_minute"),
        ("rate_limit", "tpm", "tokens_per_minute"),
        ("rate_limit", "concurrency", "concurrent_requests"),
        ("rate_limit", "request_per_minute", "requests_per_minute"),
    ],
)
def test_unknown_fields_are_guessed_at_each_level(block: str, wrong: str, meant: str) -> None:
    """C-9."""
    inside = f"{block}: {{ {wrong}: 1 }}" if block else f"{wrong}: 1"
    found = [d for d in compiled(ollama(inside))[1] if d.code == "E4005"]
    assert [d.help for d in found] == [f"did you mean `{meant}`?"]
    far = compiled(ollama("completely_else: 1"))[1][0]
    assert far.help is not None
    assert far.help.startswith("it has: api_key, base_url")


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ('api_key: "sk-1"', True),
        ('api_key: "sk-" + "1"', True),
        ('api_key: "sk-${1}"', True),
        ("api_key: K", True),
        ('api_key: env("X")', False),
        ('api_key: env("X") ?? "sk-1"', False),
        ('api_key: "sk-${env("X")}"', False),
        ('api_key: "sk-1", base_url: "http://127.0.0.1:1"', False),
        ('api_key: "sk-1", base_url: "http://localhost:1/v1"', False),
        ('api_key: "sk-1", base_url: "http://[::1]:1/v1"', False),
        ('api_key: "sk-1", base_url: "https://127.evil.example/"', True),
    ],
)
def test_a_key_in_the_source_warns(text: str, warns: bool) -> None:
    """C-15."""
    found = codes(f'pub const K: String = "sk-1";\nconnect openai {{ {text} }}')
    assert found == (["W4001"] if warns else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('connect openai { api_key: env("K") }', "openai"),
        ('connect openai_eu { api_key: env("K") }', "openai"),
        ('connect OpenAIProd { api_key: env("K") }', "openai"),
        ('connect myopenai { api_key: env("K") }', "openai"),
        ('connect anthropic { api_key: env("K"), base_url: "http://127.0.0.1:9/x" }', "anthropic"),
        ('connect my_claude { api_key: env("K") }', "anthropic"),
        ('connect google { api_key: env("K") }', "google"),
        ('connect team_gemini { api_key: env("K") }', "google"),
        ("connect ollama {}", "ollama"),
        ("connect local_ollama {}", "ollama"),
        ('connect custom_provider { base_url: "https://my-api.example.com/v1" }', "custom"),
        ('connect box { base_url: "http://10.0.0.5:11434/v1" }', "ollama"),
        ('connect a { api_key: env("K"), base_url: "https://api.openai.com/v1" }', "openai"),
        ('connect a { api_key: env("K"), base_url: "https://api.anthropic.com" }', "anthropic"),
        (
            'connect a { api_key: env("K"), base_url: "https://generativelanguage.googleapis.com" }',
            "google",
        ),
        ('connect a { base_url: env("U") }', "custom"),
        ('connect fast { provider: "anthropic", api_key: env("K") }', "anthropic"),
        ("connect fast { provider: ollama }", "ollama"),
        ('connect openai { provider: "ollama" }', "ollama"),
    ],
)
def test_the_provider_kind_is_told(text: str, expected: str) -> None:
    """C-30, C-31, C-34: each row of the table, in the order of its rules."""
    assert connection(text)["kind"] == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("connect openai_to_claude {}", "E4010"),
        ("connect foo {}", "E4011"),
        ('connect foo { provider: "opnai" }', "E4009"),
        ("connect foo { provider: 3 }", "E4009"),
        ("connect foo { provider: custom }", "E4013"),
    ],
)
def test_the_provider_kind_cannot_be_told(text: str, code: str) -> None:
    """C-30, C-38."""
    assert codes(text) == [code]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:9", None),
        ("https://h.example/v1?api-version=7", None),
        ("http://[::1]:80/v1", None),
        ("https://h.example:443/", None),
        ("", "E4014"),
        ("ftp://h", "E4014"),
        ("h.example/v1", "E4014"),
        ("localhost:80", "E4014"),
        ("http://", "E4014"),
        ("https:///v1", "E4014"),
        ("https://u@h.example", "E4014"),
        ("https://u:p@h.example/", "E4014"),
        ("https://h.example/#f", "E4014"),
        ("https://h.example/#", "E4014"),
        ("https://h.example:99999/", "E4014"),
        ("https://h ost/", "E4014"),
        (r"https://h.example/a\nb", "E4014"),
    ],
)
def test_base_urls(url: str, code: str | None) -> None:
    """C-39."""
    text = f'connect c {{ provider: custom, base_url: "{url}" }}'
    assert codes(text) == ([code] if code else [])


@pytest.mark.parametrize(
    ("fields", "warns"),
    [
        ('api_key: env("K"), base_url: "http://10.0.0.5/v1"', True),
        ('api_key: env("K"), base_url: "http://localhost.example/v1"', True),
        ('api_key: env("K"), base_url: "http://127.0.0.1/v1"', False),
        ('api_key: env("K"), base_url: "https://10.0.0.5/v1"', False),
        ('base_url: "http://10.0.0.5/v1"', False),
    ],
)
def test_a_key_over_plain_http_warns(fields: str, warns: bool) -> None:
    """C-39, W4002."""
    assert codes(f"connect c {{ {fields} }}") == (["W4002"] if warns else [])


def test_environment_values_stay_unevaluated() -> None:
    """C-16: the IR holds expressions; texts that are known are joined."""
    found = connection(
        'connect c { base_url: env("URL") ?? "https://h.example", api_key: env("A") ?? env("B"), '
        'default_model: "a" + "b${env("C")}" }'
    )
    assert found["fields"] == {
        "base_url": {"coalesce": [{"env": "URL"}, "https://h.example"]},
        "api_key": {"coalesce": [{"env": "A"}, {"env": "B"}]},
        "default_model": {"concat": ["ab", {"env": "C"}]},
    }
    assert found["origin"] == "program"


def test_all_fields_at_once() -> None:
    """C-12: the example of the reference, as it stands."""
    found = connection("""
connect eu_gateway {
    provider: "openai",                       // optional, C-30
    api_key: env("GATEWAY_KEY"),
    base_url: env("GATEWAY_URL") ?? "https://llm.example.eu/v1",
    default_model: "standard",
    timeout: 45,
    retry: { max_attempts: 4, backoff: "linear", initial_delay_ms: 250, max_delay_ms: 5000,
             retry_on: ["rate_limit", "timeout"] },
    rate_limit: { requests_per_minute: 120, tokens_per_minute: 90000, concurrent_requests: 6 },
    headers: { "X-Team": "search", "X-Trace": "on" },
    organization: "org-7", project: "proj-9",
    models: { "standard": "gpt-4o-mini", "best": "gpt-4o" },
}""")
    assert found["fields"] == {
        "api_key": {"env": "GATEWAY_KEY"},
        "base_url": {"coalesce": [{"env": "GATEWAY_URL"}, "https://llm.example.eu/v1"]},
        "default_model": "standard",
        "timeout": 45,
        "retry": {
            "max_attempts": 4,
            "backoff": "linear",
            "initial_delay_ms": 250,
            "max_delay_ms": 5000,
            "retry_on": ["rate_limit", "timeout"],
        },
        "rate_limit": {
            "requests_per_minute": 120,
            "tokens_per_minute": 90000,
            "concurrent_requests": 6,
        },
        "headers": [["X-Team", "search"], ["X-Trace", "on"]],
        "organization": "org-7",
        "project": "proj-9",
        "models": [["standard", "gpt-4o-mini"], ["best", "gpt-4o"]],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # M-12
        ('connect c { base_url: "https://h.example" }\nmodel M { provider: c }', ["E4031"]),
        # M-23
        (
            'connect ollama { models: { "fast": "m" } }\nmodel M { provider: ollama, base: "fsat" }',
            ["W4009"],
        ),
        (
            'connect ollama { models: { "fast": "m" } }\nmodel M { provider: ollama, base: "other" }',
            [],
        ),
        # M-24: aliases are per connection.
        (
            'connect ollama { models: { "fast": "m" } }\nconnect b_ollama { models: { "fast": "n" } }',
            [],
        ),
        # C-38: a deprecated id warns.
        ('connect google { api_key: env("K"), default_model: "gemini-2.0-flash" }\nmodel M { provider: google }', ["W4016"]),
    ],
)  # fmt: skip
def test_models_on_connections(text: str, expected: list[str]) -> None:
    assert codes(text) == expected
