"""`concerto doctor`: what is here, and what is wrong with it (toolchain reference 2.10)."""

from __future__ import annotations

import json
from pathlib import Path

import concerto
import pytest

from tests.host.test_cli import run

MANIFEST = """[project]
name = "p"
version = "0.1.0"
entry = "main.conc"
[connections.cloud]
provider = "openai"
api_key_env = "CLOUD_KEY"
default_model = "m-large"
"""
PROGRAM = """connect box { api_key: env("BOX_KEY") ?? env("OTHER_KEY"), base_url: env("BOX_URL"), default_model: "m" }
model Judge { provider: box }
model Other { provider: cloud }
fn main() { emit("a", Judge.execute("Hi")?); emit("b", Other.execute("Hi")?); }
"""
SECRET = "sk-canary-doctor"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Concerto.toml").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "main.conc").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def test_everything_is_said_and_no_key_is_shown(folder: Path) -> None:
    with concerto.MockServer() as server:
        variables = {"BOX_URL": server.url, "OTHER_KEY": SECRET, "CLOUD_KEY": SECRET}
        proxy = f"http://user:{SECRET}@proxy.example:8080"
        done = run(
            "doctor", "--format", "json", cwd=folder, HTTPS_PROXY=proxy, CONCERTO_CACHE="on",
            **variables,
        )  # fmt: skip
        assert server.requests() == [], "nothing is sent unless it is asked for"
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["versions"]["concerto"] == found["versions"]["runtime"] == concerto.__version__
    assert found["versions"]["ir"] == 1
    assert found["manifest"] == "Concerto.toml"
    assert found["program"] == "main.conc"
    assert found["cache"] == {"path": ".concerto/cache", "writable": True}
    assert found["network"]["proxies"]["HTTPS_PROXY"] == "http://***@proxy.example:8080"
    box, cloud = sorted(found["connections"], key=lambda each: str(each["name"]))
    assert box["key_variables"] == {"BOX_KEY": False, "OTHER_KEY": True}
    assert cloud == {
        "name": "cloud",
        "provider": "openai",
        "base_url": "https://api.openai.com/v1",
        "default_model": "m-large",
        "key_variables": {"CLOUD_KEY": True},
    }
    assert found["problems"] == []
    shown = run("doctor", cwd=folder, **variables).stdout
    assert (
        "connection    cloud: openai, https://api.openai.com/v1, m-large, CLOUD_KEY is set" in shown
    )
    assert shown.endswith("\nnothing is wrong\n")
    assert SECRET not in done.stdout + shown


def test_what_is_wrong_is_listed(folder: Path) -> None:
    missing = run("doctor", cwd=folder, BOX_URL="http://127.0.0.1:1", BOX_KEY="k")
    assert missing.returncode == 1
    words = "connection `cloud`: api_key: environment variable `CLOUD_KEY` is not set"
    assert f"problem: {words}" in missing.stdout
    (folder / "main.conc").write_text("fn main() { x; }\n", encoding="utf-8")
    broken = run("doctor", cwd=folder, SSL_CERT_FILE="none.pem")
    assert "problem: main.conc:1:13: error[E2001]" in broken.stdout
    assert "problem: the file of certificates `none.pem` does not exist" in broken.stdout
    (folder / "Concerto.toml").write_text("[projekt]\n", encoding="utf-8")
    wrong = json.loads(run("doctor", "--format", "json", cwd=folder).stdout)
    assert any("Concerto.toml:1:2: error" in each for each in wrong["problems"])
    absent = run("doctor", "none.conc", cwd=folder)
    assert (absent.returncode, "cannot read `none.conc`" in absent.stdout) == (1, True)


def test_a_folder_without_a_project_has_nothing_wrong(tmp_path: Path) -> None:
    done = run("doctor", cwd=tmp_path)
    assert done.returncode == 0
    assert "manifest      none\nprogram       none\n" in done.stdout


def test_each_connection_is_called_on_request(folder: Path) -> None:
    with concerto.MockServer() as server:
        answers = run(
            "doctor", "--net", cwd=folder, BOX_URL=server.url, BOX_KEY="k", CLOUD_KEY="k",
            HTTPS_PROXY="http://127.0.0.1:9",
        )  # fmt: skip
        (asked,) = server.requests()
    assert asked["body"]["max_tokens"] == 16
    assert "box: custom" in answers.stdout
    assert "m answered after" in answers.stdout
    # The other one is not on this machine.
    assert answers.returncode == 1
    assert "problem: connection `cloud`: cloud: network" in answers.stdout
