"""`env(..)` in code and in connections, against a real process environment (C-20 to C-29, C-11)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import concerto
import pytest
from concerto import errors

from tests.conftest import ROOT

CODE = """
pub fn read(name: String) -> String { env(name) }
pub fn or_else(name: String) -> String { env(name) ?? "d" }
pub fn chain() -> String { env("CHAIN_A") ?? env("CHAIN_B") ?? "c" }
pub fn last() -> String { env("CHAIN_A") ?? (env("CHAIN_B")) }
pub fn shadowed() -> String {
    let key = env("CHAIN_A") ?? "1";
    let key = key + (env("CHAIN_B") ?? "2");
    key
}
"""


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(CODE)


def test_code_reads_variables(program: concerto.Program) -> None:
    """C-20, C-23, C-24, C-25, C-29."""

    def call(name: str, *args: str, **env: str) -> Any:
        return concerto.Runtime(program, env=env).call(name, *args)

    assert call("read", "A", A="a") == "a"
    assert call("read", "A", A="") == "", "an empty variable is set"
    assert call("or_else", "A", A="") == ""
    assert call("or_else", "NO_SUCH_VARIABLE") == "d"
    assert [call("chain"), call("chain", CHAIN_B="b"), call("chain", CHAIN_A="a", CHAIN_B="b")] == [
        "c",
        "b",
        "a",
    ]
    assert call("last", CHAIN_B="b") == "b"
    assert call("shadowed", CHAIN_B="x") == "1x"
    with pytest.raises(concerto.ProgramError) as missing:
        call("last")
    assert missing.value.value._asdict() == {
        "message": "environment variable `CHAIN_B` is not set",
        "kind": "missing",
        "name": "CHAIN_B",
    }


@pytest.mark.parametrize("name", ["", "A=B", "A\0B"])
def test_names_that_no_variable_has(program: concerto.Program, name: str) -> None:
    """C-21: not suppressed by `??`."""
    for function in ("read", "or_else"):
        with pytest.raises(concerto.ProgramError) as caught:
            concerto.Runtime(program).call(function, name)
        assert (caught.value.value.kind, caught.value.value.name) == ("invalid_name", name)
        assert "is no name of an environment variable" in str(caught.value)


def test_env_takes_one_text() -> None:
    """C-21."""
    for call in ("env()", 'env("A", "B")', "env(3)"):
        with pytest.raises(concerto.CompileError):
            concerto.compile(f"pub fn f() -> String {{ {call} }}")


def test_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    """C-25: an error, also before `??`."""
    script = (
        "import concerto\n"
        "rt = concerto.Runtime(concerto.compile('''\n"
        'pub fn code() -> String { env("BAD") ?? "d" }\n'
        'connect ollama { default_model: env("BAD") ?? "m" }\nmodel M { provider: ollama }\n'
        "pub fn ask() -> Result<String, LlmError> { Ok(M.execute(\"x\")?.text) }'''))\n"
        "for name in ('code', 'ask'):\n"
        "    try: rt.call(name)\n"
        "    except concerto.ProgramError as error: print(error.value.kind, '|', error)\n"
    )
    environment = {**os.environb, b"BAD": b"\xff\xfe", b"PYTHONPATH": os.fsencode(ROOT / "python")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    problem = "environment variable `BAD` is not valid UTF-8"
    assert done.stdout.splitlines() == [
        f"invalid_utf8 | {problem}",
        f"config | connection `ollama`: field `default_model`: {problem}",
    ]


def test_the_host_s_variables_and_its_allow_list(
    program: concerto.Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-28: code and connections see the same environment."""
    monkeypatch.setenv("CHAIN_A", "process")
    monkeypatch.setenv("CHAIN_B", "process")
    runtime = concerto.Runtime(program, env={"CHAIN_A": "host"})
    assert [runtime.call("read", name) for name in ("CHAIN_A", "CHAIN_B")] == ["host", "process"]
    narrow = concerto.Runtime(program, env={"CHAIN_A": "host"}, env_allow=["CHAIN_B"])
    assert narrow.call("or_else", "CHAIN_A") == "d", "a name outside of the list is not set"
    assert narrow.call("chain") == "process"


CONNECTIONS = """
connect used { provider: custom, base_url: env("URL"), api_key: env("KEY") ?? env("OLD_KEY"), default_model: env("MODEL") ?? "m",
               headers: { "X-Team": env("TEAM") ?? "none" } }
connect unused { provider: custom, base_url: env("UNUSED_URL"), api_key: env("UNUSED_KEY"), default_model: "m" }
model M { provider: used, system_prompt: env("SYSTEM") ?? "Be brief." }
model N { provider: unused }
pub fn once() -> Result<String, LlmError> { Ok(M.execute("hello")?.text) }
pub fn twice() -> String {
    let a = match M.execute("hello") { Ok(r) => r.text, Err(e) => e.message };
    emit("between", a);
    let b = match M.execute("hello") { Ok(r) => r.text, Err(e) => e.message };
    "${a} / ${b}"
}
"""


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer() as running:
        yield running


@pytest.fixture(scope="module")
def connections() -> concerto.Program:
    return concerto.compile(CONNECTIONS)


ANSWER = "[mock response to: hello]"


def test_fields_are_evaluated_at_first_use_once_in_a_run(
    connections: concerto.Program, server: concerto.MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-11, C-26: the unused connection needs no variables; a run keeps its values; the next one reads afresh."""
    for name, value in (("URL", server.url), ("KEY", "sk-first-1"), ("TEAM", "one")):
        monkeypatch.setenv(name, value)
    runtime = concerto.Runtime(connections)
    runtime.on("between", lambda _: monkeypatch.setenv("TEAM", "two"))
    assert runtime.call("twice") == f"{ANSWER} / {ANSWER}"
    assert runtime.call("once") == ANSWER
    assert [request["headers"]["x-team"] for request in server.requests()] == ["one", "one", "two"]
    assert server.requests()[0]["body"]["model"] == "m"


def test_a_field_that_fails_is_named_and_evaluated_again(
    connections: concerto.Program, server: concerto.MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-27."""
    monkeypatch.setenv("URL", server.url)
    runtime = concerto.Runtime(connections)
    problem = "connection `used`: field `api_key`: environment variable `OLD_KEY` is not set"
    with pytest.raises(errors.ConfigurationError) as caught:
        runtime.call("once")
    assert (str(caught.value), caught.value.field, caught.value.attempts) == (problem, "api_key", 0)
    assert caught.value.retryable is False
    runtime.on("between", lambda _: monkeypatch.setenv("OLD_KEY", "sk-late-1"))
    assert runtime.call("twice") == f"{problem} / {ANSWER}"


@pytest.mark.parametrize(
    ("variable", "value", "field", "words"),
    [
        ("URL", "ftp://h", "base_url", "must begin with http:// or https://"),
        ("URL", "", "base_url", "must begin with http:// or https://"),
        ("KEY", "two words", "api_key", "must be at most 4096 visible ASCII characters"),
        ("MODEL", "", "default_model", "must be 1 to 256 characters"),
        ("TEAM", "a\r\nX-Evil: b", "headers.X-Team", "must be at most 8192 visible ASCII characters"),
    ],
)  # fmt: skip
def test_evaluated_values_are_checked(
    connections: concerto.Program, variable: str, value: str, field: str, words: str
) -> None:
    """C-14, C-47, E-2."""
    env = {"URL": "http://127.0.0.1:9", "KEY": "sk-123456", variable: value}
    with pytest.raises(errors.ConfigurationError) as caught:
        concerto.Runtime(connections, env=env).call("once")
    assert caught.value.field == field
    assert str(caught.value).startswith(f"connection `used`: field `{field}`: {words}")


def test_keys_of_white_space_count_as_none(server: concerto.MockServer) -> None:
    """C-36."""
    text = """
connect openai {{ api_key: env("KEY"), base_url: env("URL") }}
connect custom {{ provider: custom, base_url: env("URL"), api_key: env("KEY"), default_model: "m" }}
model M {{ provider: {} }}
pub fn f() -> Result<String, LlmError> {{ Ok(M.execute("hello")?.text) }}"""
    env = {"KEY": " \t\n", "URL": server.url}
    with pytest.raises(errors.ConfigurationError, match="field `api_key`: is empty"):
        concerto.Runtime(concerto.compile(text.format("openai")), env=env).call("f")
    assert concerto.Runtime(concerto.compile(text.format("custom")), env=env).call("f") == ANSWER
    assert "authorization" not in server.requests()[0]["headers"]


def test_overridden_fields_are_not_evaluated(
    connections: concerto.Program, server: concerto.MockServer
) -> None:
    """C-26, O-12: a test needs no environment."""
    runtime = concerto.Runtime(connections, env_allow=[])
    runtime.override_connection("used", api_key="sk-test", base_url=server.url)
    assert runtime.call("once") == ANSWER


def test_keys_are_required_up_front_if_the_host_wants_it(connections: concerto.Program) -> None:
    """`--require-keys` evaluates every connection, the unused one too."""
    runtime = concerto.Runtime(connections, env={"URL": "http://127.0.0.1:9", "KEY": "sk-1"})
    with pytest.raises(concerto.ConfigError, match="connection `unused`: field `api_key`"):
        runtime._native.require_keys()


LOOKED_UP = """
connect c { provider: custom, base_url: env("VAULT_URL"), api_key: env("VAULT_KEY"), default_model: "m" }
model M { provider: c }
pub fn ask() -> Result<String, LlmError> { Ok(M.execute("hello")?.text) }
pub fn read(name: String) -> String { env(name) }
pub fn or_else(name: String) -> String { env(name) ?? "d" }
pub fn spin() -> Int { let a = env("BAD") ?? ""; let mut i = 0; while true { i = (i + 1) % 7; } i }
"""


def test_a_function_looks_variables_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """8.5: asked each time, on the calling thread, before the process; `env_allow` holds for it as well."""
    monkeypatch.setenv("OF_THE_PROCESS", "p")
    asked: list[tuple[str, bool]] = []
    known = {"VAULT_KEY": "sk-canary-1", "A": "a", "EMPTY": ""}
    here = threading.get_ident()

    def look_up(name: str) -> str | None:
        asked.append((name, threading.get_ident() == here))
        return known.get(name)

    program = concerto.compile(LOOKED_UP)
    with concerto.MockServer() as server:
        known["VAULT_URL"] = server.url
        runtime = concerto.Runtime(program, env=look_up)
        assert asked == [], "nothing is asked before it is needed"
        assert runtime.call("ask") == "[mock response to: hello]"
        assert server.requests()[0]["headers"]["authorization"] == "***"
        assert {name for name, _ in asked} == {"VAULT_URL", "VAULT_KEY"}
        assert runtime.call("read", "A") == "a"
        known["A"] = "b"
        assert [runtime.call("read", name) for name in ("A", "EMPTY", "OF_THE_PROCESS")] == [
            "b", "", "p",
        ]  # fmt: skip
        assert runtime.call("or_else", "UNKNOWN") == "d"
        assert all(is_here for _, is_here in asked)
        allowed = concerto.Runtime(program, env=look_up, env_allow=["VAULT_URL"])
        assert allowed.call("or_else", "A") == "d"
        assert "canary" not in repr(runtime)


def test_what_a_look_up_raises_comes_out_of_the_call() -> None:
    """As itself, also where the program would go on without the variable."""

    def look_up(name: str) -> Any:
        if name == "RAISES":
            raise KeyError("the vault is shut")
        return 7 if name == "BAD" else None

    runtime = concerto.Runtime(concerto.compile(LOOKED_UP), env=look_up)
    for function in ("read", "or_else"):
        with pytest.raises(KeyError, match="the vault is shut"):
            runtime.call(function, "RAISES")
    for function, args in (("or_else", ["BAD"]), ("spin", [])):
        with pytest.raises(TypeError, match="must give a str or None, and gave a value of type"):
            runtime.call(function, *args)
    assert runtime.call("or_else", "UNKNOWN") == "d", "nothing is left of it"


def test_no_python_is_called_in_the_background() -> None:
    """9 rule 1: so a function for variables is refused there."""
    program = concerto.compile(LOOKED_UP)
    with pytest.raises(TypeError, match="give a mapping to start runs in the background"):
        concerto.Runtime(program, env=lambda _: None).start("read", "A")
    with pytest.raises(TypeError, match="give `env` as a mapping"):
        concerto.AsyncRuntime(program, env=lambda _: None)
