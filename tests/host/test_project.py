"""The command line with a manifest: entry, profiles, prices, defaults, levels of warnings, settings and their origins."""

from __future__ import annotations

import json
from pathlib import Path

import concerto
import pytest

from tests.host.test_cli import run

MANIFEST = """
[project]
name = "demo"
version = "1.0.0"
entry = "src/app.conc"

[connections.main]
provider = "custom"
base_url = "http://127.0.0.1:9"
api_key_env = "MAIN_KEY"
default_model = "own-model"
headers = { X-Auth = { env = "AUTH" } }

[profile.test.connections.main]
timeout = 5

[pricing."own-model"]
input = 100000
output = 200000

[run]
emit = "json"
"""

PROGRAM = """connect local_ollama { default_model: "m", project: "p" }
model M { provider: main }
fn main() { emit("answer", M.execute("Hi")?.text); }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Concerto.toml").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/app.conc").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def test_the_entry_defaults_and_prices_of_the_manifest(folder: Path) -> None:
    with concerto.MockServer() as server:
        override = ("--override", f"main.base_url={server.url}")
        done = run("run", "--metrics", *override, cwd=folder, MAIN_KEY="sk-123456", AUTH="a-secret")
        request = server.requests()[0]
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["payload"] == "[mock response to: Hi]"
    assert "$8.6000" in done.stderr, "2 tokens in at 10 cents, 42 out at 20"
    assert (request["headers"]["x-auth"], request["body"]["model"]) == ("***", "own-model")
    text = run("run", "--mock", "--emit", "text", cwd=folder)
    assert text.stdout == "[emit:answer] [mock response to: Hi]\n"


def test_connections_show_their_origins(folder: Path) -> None:
    """O-13, toolchain 4.3 rule 4."""
    done = run(
        "connections", "--format", "json", "--profile", "test",
        "--override", "local_ollama.headers.X-Team=search",
        cwd=folder, MAIN_KEY="sk-canary-123456",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    settings = json.loads(done.stdout)
    main = settings["main"]
    assert {field: entry["origin"] for field, entry in main.items()} == {
        "api_key": "manifest",
        "base_url": "manifest",
        "default_model": "manifest",
        "timeout": "profile",
        "retry": "default",
        "rate_limit": "default",
        "headers": "manifest",
        "organization": "default",
        "project": "default",
        "models": "default",
        "provider": "manifest",
    }
    assert main["api_key"]["value"] == "***"
    problem = "`headers.X-Auth`: environment variable `AUTH` is not set"
    assert main["headers"]["error"] == problem
    local = settings["local_ollama"]
    assert local["default_model"] == {"value": "m", "origin": "program"}
    assert local["headers"] == {"value": {"X-Team": "search"}, "origin": "override"}
    table = run("connections", cwd=folder).stdout.splitlines()
    assert table[0] == "main"
    assert table[2].split("  ")[-1] == "manifest"
    assert "(environment variable `MAIN_KEY` is not set)" in table[2]


def test_profiles_by_option_and_by_variable(folder: Path) -> None:
    def timeout(*args: str, **env: str) -> tuple[object, str]:
        done = run("connections", "--format", "json", *args, cwd=folder, **env)
        entry = json.loads(done.stdout)["main"]["timeout"]
        return entry["value"], entry["origin"]

    assert timeout() == (30.0, "default")
    assert timeout("--profile", "test") == (5.0, "profile")
    assert timeout(CONCERTO_PROFILE="test") == (5.0, "profile")
    other = folder / "other.toml"
    other.write_text(MANIFEST.replace("timeout = 5", "timeout = 6"), encoding="utf-8")
    assert timeout("--profile", "test", "--manifest", "other.toml", "src/app.conc") == (
        6.0,
        "profile",
    )
    wrong = run("run", "--profile", "tset", cwd=folder)
    assert (wrong.returncode, "did you mean `test`?" in wrong.stderr) == (2, True)


def test_a_built_program_keeps_its_profile(folder: Path) -> None:
    """Toolchain 4.3 rule 6: running IR needs no manifest."""
    assert run("build", "--profile", "test", "-o", "app.conc-ir", cwd=folder).returncode == 0
    (folder / "Concerto.toml").unlink()
    settings = concerto.Runtime(folder / "app.conc-ir").connection_settings("main")
    assert settings["timeout"] == {"value": 5.0, "origin": "profile"}
    refused = run("run", "app.conc-ir", "--profile", "test", cwd=folder)
    assert (refused.returncode, "has its manifest and profile already" in refused.stderr) == (
        2,
        True,
    )


def test_levels_of_warnings(folder: Path) -> None:
    assert "W4003" in run("run", "--mock", cwd=folder).stderr
    for level, status, shown in (("allow", 0, False), ("warn", 0, True), ("deny", 2, True)):
        (folder / "Concerto.toml").write_text(
            f'{MANIFEST}[lint]\nconn-field-unused = "{level}"\n', encoding="utf-8"
        )
        for command in (("run", "--mock"), ("check",), ("build", "--stdout")):
            done = run(*command, cwd=folder)
            assert (done.returncode, "W4003" in done.stderr) == (status, shown), (level, command)
            assert ("denie" in done.stderr) == (level == "deny")


def test_a_wrong_manifest_ends_every_command(folder: Path) -> None:
    (folder / "Concerto.toml").write_text(MANIFEST + "[conections.x]\n", encoding="utf-8")
    for command in ("run", "check", "build", "connections", "ir"):
        done = run(command, cwd=folder)
        assert (done.returncode, done.stdout) == (2, ""), command
        assert done.stderr.count("did you mean `connections`?") == 1
        assert "Traceback" not in done.stderr
    missing = run("run", "--manifest", "none.toml", cwd=folder)
    assert (missing.returncode, "cannot read `none.toml`" in missing.stderr) == (2, True)


def test_the_cache_knows_the_manifest(folder: Path) -> None:
    def answer() -> str:
        done = run("connections", "--format", "json", cwd=folder, CONCERTO_CACHE="on")
        return str(json.loads(done.stdout)["main"]["default_model"]["value"])

    assert [answer(), answer()] == ["own-model", "own-model"]
    text = MANIFEST.replace('default_model = "own-model"', 'default_model = "new"')
    (folder / "Concerto.toml").write_text(text, encoding="utf-8")
    assert answer() == "new"


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("main.timeout=7", "timeout", 7.0),
        ("main.timeout_ms=250", "timeout", 0.25),
        ("main.default_model=m2", "default_model", "m2"),
        ("main.base_url=http://127.0.0.1:8080", "base_url", "http://127.0.0.1:8080/v1"),
        ("main.headers.X-Team=v", "headers", {"X-Team": "v", "X-Auth": "***"}),
        ("main.models.fast=id", "models", {"fast": "id"}),
        ('main.models={"fast": "id"}', "models", {"fast": "id"}),
        ('main.retry={"max_attempts": 3}', "retry", {"max_attempts": 3}),
        ("main.retry.max_attempts=3", "retry", {"max_attempts": 3}),
        ('main.rate_limit={"concurrent_requests": 2}', "rate_limit", {"concurrent_requests": 2}),
        ("main.organization=o", "organization", "o"),
        ("main.project=p", "project", "p"),
        ("main.provider=ollama", "provider", "ollama"),
        ("main.remove=headers,api_key", "headers", {}),
    ],
)
def test_forms_of_overrides(folder: Path, option: str, field: str, value: object) -> None:
    """O-14."""
    done = run(
        "connections", "--format", "json", "--override", option, cwd=folder, MAIN_KEY="k", AUTH="a"
    )
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)["main"][field]
    assert entry == {"value": value, "origin": "override"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["main.timeout=x"], "`timeout` must be Int, found String"),
        (["main.timeout=0"], "must be 1 to 86400, found 0"),
        (["main.timout=1"], "did you mean `timeout`?"),
        (["mian.timeout=1"], "did you mean `main`?"),
        (["main.timeout=1", "main.timeout_ms=1"], "exclude each other"),
        (["main.timeout=1", "main.remove=timeout"], "is both given and removed"),
        (["main.remove=tools"], "names `tools`, which is no field"),
        (["main.timeout.x=1"], "`timeout` has no parts"),
        (["main.retry=x"], "takes JSON"),
        (['main.retry={"max_attemps": 1}'], "did you mean `max_attempts`?"),
        (['main.rate_limit={"rpm": 1}'], "did you mean `requests_per_minute`?"),
        (["main.headers.Host=x"], "is reserved for the runtime"),
        (["main.base_url=ftp://x"], "must begin with http:// or https://"),
        (["main.provider=opnai"], "must be one of openai"),
        (["main.api_key"], "takes NAME.FIELD=VALUE"),
        (["main=x"], "takes NAME.FIELD=VALUE"),
    ],
)
def test_wrong_overrides(folder: Path, options: list[str], words: str) -> None:
    """O-4, O-8, O-9, O-14: the texts of C-12, exit status 2, nothing runs."""
    args = [part for option in options for part in ("--override", option)]
    done = run("run", "--mock", *args, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_wrong_key_is_not_repeated(folder: Path) -> None:
    """E-11."""
    for option in ("main.api_key=sk-canary with blanks", "main.api_key:sk-canary"):
        done = run("run", "--override", option, cwd=folder)
        assert done.returncode == 2
        assert "canary" not in done.stderr
