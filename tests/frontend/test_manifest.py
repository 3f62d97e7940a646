"""`Concerto.toml`: places, tables, profiles, and connections that obey the rules of `connect` blocks (C-17 to C-19, toolchain 4)."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import concerto
import pytest
from concerto.compiler import compile_source
from concerto.diagnostics.model import Diagnostic
from concerto.project.find import find
from concerto.project.manifest import Project, read
from concerto.project.toml import TomlError, parse
from concerto.source import Located, Source
from hypothesis import given
from hypothesis import strategies as st

MAIN = "fn main() {}\n"


def project(manifest: str, profile: str | None = None) -> tuple[Project, list[Diagnostic]]:
    return read(Source("Concerto.toml", manifest), profile)


def compiled(
    manifest: str, program: str = MAIN, profile: str | None = None
) -> tuple[dict[str, Any] | None, list[Diagnostic]]:
    found, diagnostics = project(manifest, profile)
    ir, more = compile_source(Source("main.conc", program), found)
    return (json.loads(ir) if ir else None), [*diagnostics, *more]


def codes(manifest: str, program: str = MAIN, profile: str | None = None) -> list[str]:
    return [diagnostic.code for diagnostic in compiled(manifest, program, profile)[1]]


def document(manifest: str, program: str = MAIN, profile: str | None = None) -> dict[str, Any]:
    ir, diagnostics = compiled(manifest, program, profile)
    assert ir is not None, diagnostics
    return ir


OPENAI = '[connections.main]\nprovider = "openai"\napi_key_env = "MAIN_KEY"\n'


# Places.

_keys = st.text(alphabet="abAB01_-", min_size=1, max_size=4) | st.sampled_from(
    ["a b", 'q"q', "\u00e9", ""]
)
_scalars = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.text(alphabet="ab\"'\\]},#=\n \u4e2d", max_size=6),
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3), max_leaves=6
)  # fmt: skip


def _written(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return (
                "{ "
                + ", ".join(f"{json.dumps(k)} = {_written(v)}" for k, v in value.items())
                + " }"
            )
        case list():
            return "[" + "".join(f"\n {_written(v)}, # ]" for v in value) + "\n]"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)  # fmt: skip


@given(tables=st.dictionaries(_keys, st.dictionaries(_keys, _values, max_size=3), max_size=3))
def test_every_value_is_found_where_it_stands(tables: dict[str, Any]) -> None:
    text = "# first\n"
    for name, pairs in tables.items():
        text += f"[ {json.dumps(name)} ] # ]\n"
        text += "".join(f"{json.dumps(k)} = {_written(v)}\n" for k, v in pairs.items())
    assert tomllib.loads(text) == tables

    def check(found: Located, expected: Any) -> None:
        written = text[found.span.start : found.span.end]
        assert tomllib.loads(f"k = {written}")["k"] == expected
        if isinstance(expected, dict):
            for key, inner in expected.items():
                place = found.value[key].key
                assert tomllib.loads(f"{text[place.start : place.end]} = 1") == {key: 1}
                check(found.value[key], inner)
        if isinstance(expected, list):
            for each, inner in zip(found.value, expected, strict=True):
                check(each, inner)

    whole = parse(Source("x", text))
    for name, pairs in tables.items():
        header = whole.value[name].key
        assert json.loads(text[header.start : header.end]) == name
        for key, value in pairs.items():
            check(whole.value[name].value[key], value)


@pytest.mark.parametrize("text", ["a =", "[a", "a = 1\na = 2", 'a = "', "= 1", "a = [1,\n"])
def test_what_is_no_toml_has_a_place(text: str) -> None:
    with pytest.raises(TomlError) as caught:
        parse(Source("x", text))
    assert 0 <= caught.value.span.start <= len(text)
    assert codes(text) == ["E4058"]


def test_dotted_keys_arrays_of_tables_and_multi_line_texts_have_places() -> None:
    text = 'a.b."c d" = 1\n[[t]]\nq = """x\n"y" """\n[[t]]\n[t.s]\nk = \'z\'\n'
    found = parse(Source("x", text)).value

    def at(each: Located) -> tuple[str, str]:
        return text[each.key.start : each.key.end], text[each.span.start : each.span.end]

    assert at(found["a"].value["b"].value["c d"]) == ('"c d"', "1")
    assert at(found["t"].value[0].value["q"]) == ("q", '"""x\n"y" """')
    assert at(found["t"].value[1].value["s"].value["k"]) == ("k", "'z'")


# Connections: C-17, C-18.


def test_all_fields_of_a_connection() -> None:
    ir = document(
        """
[connections.main]
provider = "openai"
api_key_env = "MAIN_KEY"
base_url = "https://h.example/v1"
default_model = "fast"
timeout = 45
organization = "o"
project = "p"
headers = { X-Team = "search", X-Auth = { env = "AUTH" } }

[connections.main.retry]
max_attempts = 3
backoff = "linear"
initial_delay_ms = 250
max_delay_ms = 5000
retry_on = ["timeout"]

[connections.main.rate_limit]
requests_per_minute = 60

[connections.main.models]
fast = "gpt-4o-mini"
""",
        'model M { provider: main, base: "fast" }\n' + MAIN,
    )
    (found,) = ir["connections"]
    assert (found["name"], found["kind"], found["origin"]) == ("main", "openai", "manifest")
    assert found["fields"] == {
        "api_key": {"env": "MAIN_KEY"},
        "base_url": "https://h.example/v1",
        "default_model": "fast",
        "timeout": 45,
        "organization": "o",
        "project": "p",
        "headers": [["X-Team", "search"], ["X-Auth", {"env": "AUTH"}]],
        "retry": {
            "max_attempts": 3,
            "backoff": "linear",
            "initial_delay_ms": 250,
            "max_delay_ms": 5000,
            "retry_on": ["timeout"],
        },
        "rate_limit": {"requests_per_minute": 60},
        "models": [["fast", "gpt-4o-mini"]],
    }
    assert ir["permissions"] == {"env": ["AUTH", "MAIN_KEY"], "hosts": ["h.example"]}
    assert [file["path"] for file in ir["files"]] == ["main.conc", "Concerto.toml"]
    assert ir["files"][1]["text"] is None
    assert concerto.Program.from_bytes(json.dumps(ir).encode()).connections == ("main",)


def test_source_and_manifest_make_one_set() -> None:
    """Toolchain 4.3, rules 1 and 2; C-7 shows both places."""
    both = "connect ollama {}\nmodel A { provider: ollama }\nmodel B { provider: main }\n" + MAIN
    assert [c["name"] for c in document(OPENAI, both)["connections"]] == ["main", "ollama"]
    ir, diagnostics = compiled(OPENAI, "connect main { provider: ollama }\n" + MAIN)
    assert ir is None
    (duplicate,) = diagnostics
    assert (duplicate.code, duplicate.source.path) == ("E4003", "main.conc")
    label = duplicate.related[0]
    assert label.source is not None
    assert label.source.path == "Concerto.toml"
    from concerto.diagnostics.render import render, render_json

    assert " ::: Concerto.toml:1:14\n1 | [connections.main]\n" in render(diagnostics)
    assert json.loads(render_json(diagnostics))["labels"][1]["path"] == "Concerto.toml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # C-17: what only the manifest demands.
        ('[connections.openai]\napi_key_env = "K"\n', ["E4022"]),
        ('[connections.c]\nprovider = "openai"\n', ["E4012"]),
        ('[connections.c]\nprovider = "anthropic"\n', ["E4012"]),
        ('[connections.c]\nprovider = "google"\n', ["E4012"]),
        ('[connections.c]\nprovider = "ollama"\n', []),
        ('[connections.c]\nprovider = "custom"\n', ["E4013"]),
        ('[connections.c]\nprovider = "opnai"\n', ["E4009"]),
        ('[connections.c]\nprovider = "openai"\napi_key = "sk-1"\n', ["E4023"]),
        ('[connections.c]\nprovider = "openai"\napi_key_env = "A=B"\n', ["E4008"]),
        ('[connections.c]\nprovider = "openai"\napi_key_env = ""\n', ["E4008"]),
        ('[connections.c]\nprovider = "openai"\napi_key_env = 3\n', ["E4006", "E4012"]),
        # C-18: the rules of blocks.
        ('[connections.c]\nprovider = "ollama"\ntimeout = 0\n', ["E4007"]),
        ('[connections.c]\nprovider = "ollama"\ntimeout = 1.5\n', ["E4006"]),
        ('[connections.c]\nprovider = "ollama"\ntimeout = 2020-01-01\n', ["E4006"]),
        ('[connections.c]\nprovider = "ollama"\ntimout = 1\n', ["E4005"]),
        ('[connections.c]\nprovider = "ollama"\nbase_url = { env = "U" }\n', ["E4006"]),
        ('[connections.c]\nprovider = "ollama"\nretry = { max_attemps = 2 }\n', ["E4005", "W4005"]),
        ('[connections.c]\nprovider = "ollama"\nheaders = { Host = "h" }\n', ["E4015"]),
        ('[connections.c]\nprovider = "ollama"\nheaders = { X-A = { env = 1 } }\n', ["E4006"]),
        ('[connections.c]\nprovider = "ollama"\nheaders = { X-A = { value = "v" } }\n', ["E4006"]),
        ('[connections.c]\nprovider = "ollama"\nrate_limit = {}\n', ["W4018"]),
        ('[connections]\nc = 3\n', ["E4060"]),
        # Tables.
        ('[tool.other]\nanything = 1\n', []),
        ('[fmt]\nline_width = 100\n[test]\npaths = ["tests"]\ntimeout = 60\n', []),
        ('[fmt]\nline_width = 1\n', ["E4060"]),
        ('[test]\ntimeout = "x"\n', ["E4060"]),
        ('[mcp.web]\ntransport = "stdio"\n', ["E9001"]),
        ('[agents.a]\ncommand = "x"\n', ["E9001"]),
        ('[permissions]\nshell = true\n', ["E9001"]),
        ('[permissions]\nfs = "wrte"\n', ["E4060"]),
        ('[permissions]\nnet = [1]\n', ["E4060"]),
        ('[permissions]\nnett = []\n', ["E4059"]),
        ('[permissions]\nfs_root = "d"\nfs = "read"\nnet = ["h"]\nenv = ["A"]\n', []),
        ('[run]\nmax_cost = 1.0\nmax_tokens = 0\n', []),
        ('[run]\nmax_cost = -1.0\n', ["E4060"]),
        ('[run]\nmax_tokens = -1\n', ["E4060"]),
        ('[run]\ntimeout = 2.5\nlog_level = "info"\nemit = "json"\n', []),
        ('[run]\ntimeout = -1\n', ["E4060"]),
        ('[lint]\nW4001 = "deny"\nconn-field-unused = "allow"\nW2001 = "warn"\n', []),
        ('[lint]\nW4001 = "denied"\n', ["E4060"]),
        ('[lint]\nE3001 = "deny"\n', []),
        ('[lint]\nE3001 = "warn"\n', ["E4060"]),
        ('[profile.p.project]\nname = "x"\n', ["E4059"]),
        ('[profile]\np = 1\n', ["E4060"]),
        ('[project]\nname = "a"\nversion = "1.2.3-rc.1+b"\nentry = "m.conc"\nconcerto = ">=0.1, <9"\n', []),
        ('[project]\nname = "a"\nversion = "1.2.3"\nentry = "m.conc"\nconcerto = "new"\n', ["E4060"]),
        ('[project]\nname = "a"\nversion = "1.2.3"\nentry = "/m.conc"\n', ["E4060"]),
        ('[project]\nname = "a"\nversion = "1"\nentry = "m.conc"\n', ["E4060"]),
        ('[project]\n', ["E4060", "E4060", "E4060"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_manifest(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_hints_speak_the_manifest_s_language() -> None:
    def help_of(field: str) -> str | None:
        return compiled(f'[connections.c]\nprovider = "ollama"\n{field} = "x"\n')[1][0].help

    assert help_of("key") == "did you mean `api_key_env`?"
    assert help_of("api_key_en") == "did you mean `api_key_env`?"
    assert help_of("url") == "did you mean `base_url`?"
    missing = compiled('[connections.c]\nprovider = "openai"\n')[1][0]
    assert missing.help == 'add `api_key_env = ".."`'


# Profiles: toolchain 4.3, rule 3.

PROFILES = (
    OPENAI
    + """
[profile.test.connections.main]
base_url = "http://127.0.0.1:8080/v1"
[profile.test.connections.ollama]
timeout = 5
[profile.other.connections.main]
provider = "anthropic"
headers = { X-Env = "other" }
[profile.test.pricing.own]
input = 1.0
output = 2
[profile.test.run]
emit = "json"
[pricing.own]
input = 3
output = 4
cached = 0.5
[run]
timeout = 9
"""
)


def test_the_profile_in_force_is_embedded() -> None:
    program = "connect ollama { timeout: 3 }\n" + MAIN

    def overlays(profile: str | None) -> list[Any]:
        ir = document(PROFILES, program, profile)
        return [connection.get("profile") for connection in ir["connections"]]

    assert overlays(None) == [None, None]
    assert overlays("test") == [{"base_url": "http://127.0.0.1:8080/v1"}, {"timeout": 5}]
    other = {"provider": "anthropic", "headers": [["X-Env", "other"]]}
    assert overlays("other") == [other, None]
    assert document(PROFILES, program)["pricing"] == {
        "own": {"input": 3.0, "output": 4.0, "cached": 0.5}
    }
    assert document(PROFILES, program, "test")["pricing"] == {"own": {"input": 1.0, "output": 2.0}}
    assert project(PROFILES, "test")[0].run == {"timeout": 9, "emit": "json"}
    assert "pricing" not in document(OPENAI)


def test_profiles_change_only_what_is_declared_and_are_all_checked() -> None:
    assert codes(PROFILES, MAIN) == ["E4061"], "nothing declares `ollama`"
    assert codes(OPENAI, MAIN, "tset") == ["E4061"]
    text = OPENAI + "[profile.p.connections.main]\ntimeout = 0\n"
    assert codes(text) == ["E4007"], "also a profile that is not in force"
    text = OPENAI + '[profile.p.connections.main]\napi_key = "sk-1"\n'
    assert codes(text) == ["E4023"]


# Files.


def test_a_manifest_is_found_in_the_folder_and_above(tmp_path: Path) -> None:
    """C-19, toolchain 4.1."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "main.conc").write_text("model M { provider: main }\n" + MAIN, encoding="utf-8")
    (tmp_path / "Concerto.toml").write_text(OPENAI, encoding="utf-8")
    found = find(inner)
    assert found is not None
    assert found.resolve() == (tmp_path / "Concerto.toml").resolve()
    assert concerto.compile_file(inner / "main.conc").connections == ("main",)
    (tmp_path / "a" / "Concerto.toml").write_text(OPENAI.replace("main", "near"), encoding="utf-8")
    with pytest.raises(concerto.CompileError, match="E4026"):
        concerto.compile_file(inner / "main.conc")
    program = concerto.compile_file(inner / "main.conc", manifest=tmp_path / "Concerto.toml")
    assert program.connections == ("main",)


def test_profiles_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = tmp_path / "main.conc"
    main.write_text(MAIN, encoding="utf-8")
    monkeypatch.setenv("CONCERTO_PROFILE", "test")
    with pytest.raises(concerto.ConfigError, match=r"no `Concerto\.toml`"):
        concerto.compile_file(main)
    text = OPENAI + "[profile.test.connections.main]\ntimeout = 5\n"
    (tmp_path / "Concerto.toml").write_text(text, encoding="utf-8")
    settings = concerto.Runtime(concerto.compile_file(main)).connection_settings("main")
    assert settings["timeout"] == {"value": 5.0, "origin": "profile"}
    with pytest.raises(concerto.CompileError, match="did you mean `test`"):
        concerto.compile_file(main, profile="tests")


def test_a_missing_entry_file_and_bad_bytes_are_errors(tmp_path: Path) -> None:
    main = tmp_path / "main.conc"
    main.write_text(MAIN, encoding="utf-8")
    manifest = tmp_path / "Concerto.toml"
    manifest.write_text('[project]\nname = "a"\nversion = "1.0.0"\nentry = "none.conc"\n', "utf-8")
    with pytest.raises(concerto.CompileError, match=r"`none\.conc` does not exist"):
        concerto.compile_file(main)
    manifest.write_bytes(b'[project]\nname = "\xff"\n')
    with pytest.raises(concerto.CompileError, match="E0001"):
        concerto.compile_file(main)
