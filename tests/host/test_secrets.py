"""Planted keys never show: the failure cases at log level trace, and every place where text comes out (E-11 to E-14)."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import concerto
import pytest

from tests.conftest import ROOT
from tests.host.test_cli import run

#: Each is planted in another place. Slashes, pluses and blanks make their encoded forms differ from the plain ones.
CANARIES = {
    "KEY": "sk-canary/key+1/end",
    "AUTH": "Bearer canary/auth+2==",
    "TOKEN": "canary/token+3==",
    "SECRET": "canary/secret+4==",
    "COOKIE": "sid=canary/cookie+5",
    "OVERRIDE": "sk-canary/override+6",
}

PROGRAM = """
connect c {
    base_url: env("URL"), api_key: env("KEY"), default_model: "m", timeout: 1,
    headers: { "X-Proxy-Authorization": env("AUTH"), "X-Token-Id": env("TOKEN"), "X-Secret": env("SECRET"), "Cookie": env("COOKIE") },
}
model M { provider: c }
schema Answer { count: Int }
pub fn ask(prompt: String) -> Result<String, LlmError> { Ok(M.execute(prompt)?.text) }
pub fn typed(prompt: String) -> Result<Int, LlmError> { Ok(M.execute_with_schema<Answer>(prompt)?.count) }
pub fn streamed(prompt: String) -> Result<String, LlmError> {
    let mut whole = "";
    for chunk in M.stream(prompt)? { whole += chunk.text; }
    Ok(whole)
}
pub fn shown(prompt: String) -> String {
    match M.execute(prompt) { Ok(r) => "${r}", Err(e) => "${e} ${e.kind} ${e.raw_response}" }
}
fn main() { emit("answer", M.execute("plain")?.text); }
"""


def forms(secret: str) -> list[str]:
    """What a server may make of a secret: parts of a header, encoded forms."""
    plain = [secret, *(part for part in secret.split() if len(part) > 6)]
    encoded = [base64.b64encode(each.encode()).decode().rstrip("=") for each in plain]
    return [*plain, *(quote(each, safe="") for each in plain), *encoded]


def replies(key: str) -> dict[str, dict[str, object]]:
    """What the mock answers: a server can only repeat what it was sent, so the key is that of the override or of the program."""
    sent = [secret for name, secret in CANARIES.items() if name not in ("KEY", "OVERRIDE")]
    dirty = " ".join(form for secret in (*sent, key) for form in forms(secret))
    body = {"error": {"message": dirty, "code": key, "param": dirty}}
    return {
        "s401": {"error": {"status": 401, "message": f"bad key {dirty}"}},
        "s400": {"error": {"status": 400, "body": body}},
        "s429": {"error": {"status": 429, "message": dirty}, "headers": [["x-request-id", key]]},
        "s500": {"error": {"status": 500, "message": dirty}},
        "html": {"fault": "html"},
        "text": {"fault": "not_json"},
        "reset": {"fault": "reset"},
        "cut": {"text": "one two three", "fault": "cut", "after": 2},
        "stall": {"fault": "stall"},
    }


PROMPTS = [*replies("")]


def serve(name: str) -> concerto.MockServer:
    rules = [
        {"match": {"contains": prompt}, "reply": reply}
        for prompt, reply in replies(CANARIES[name]).items()
    ]
    return concerto.MockServer(script=json.dumps({"rules": rules}))


def found_in(text: str) -> list[str]:
    """The planted secrets that a text shows, in any form."""
    return [
        name
        for name, secret in CANARIES.items()
        if any(form in text for form in forms(secret)) or "canary" in text.lower()
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[concerto.MockServer]:
    """Knows the key of the override."""
    with serve("OVERRIDE") as running:
        yield running


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


def environment(url: str) -> dict[str, str]:
    return {"URL": url, **CANARIES}


#: Runs every failure in a process of its own, with everything that comes out of it on its two outputs.
SUITE = """
import json, os, sys, traceback
import concerto
program = concerto.Program.load("program.conc-ir")
runtime = concerto.Runtime(program, log_level="trace")
runtime.override_connection("c", api_key=os.environ["OVERRIDE"], timeout_ms=200)
for prompt in json.loads(os.environ["PROMPTS"]):
    for function in ("ask", "typed", "streamed", "shown"):
        try:
            print(runtime.call(function, prompt))
        except concerto.ConcertoError as error:
            print(repr(error), error, vars(error), error.value._asdict())
            traceback.print_exc()
print(runtime.get_metrics().to_json(), runtime.get_metrics().to_prometheus())
print(runtime.connection_settings("c"), runtime, program)
runtime.clear_overrides()
try:
    runtime.override_connection("c", api_key=os.environ["OVERRIDE"] + " with blanks")
except concerto.ConfigError as error:
    print(repr(error))
"""


def test_no_output_of_the_failure_suite_shows_a_secret(
    program: concerto.Program, server: concerto.MockServer, tmp_path: Path
) -> None:
    """E-11, E-12, E-13."""
    (tmp_path / "program.conc-ir").write_bytes(program.to_bytes())
    (tmp_path / "suite.py").write_text(SUITE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "suite.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            **environment(server.url),
            "PYTHONPATH": str(ROOT / "python"),
            "PROMPTS": json.dumps([*PROMPTS, "plain"]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "[mock response to: plain]" in done.stdout, done.stderr
    assert "***" in done.stdout, "the servers' texts were quoted, scrubbed"
    assert found_in(done.stdout) == []
    assert found_in(done.stderr) == []


def test_tracebacks_views_and_pickles_show_no_secret(program: concerto.Program) -> None:
    """E-11."""
    shown: list[str] = []
    with serve("KEY") as server:
        runtime = concerto.Runtime(program, env=environment(server.url))
        for prompt in (prompt for prompt in PROMPTS if prompt != "stall"):
            for function in ("ask", "typed", "streamed"):
                try:
                    runtime.call(function, prompt)
                except concerto.LlmError as error:
                    shown += [repr(error.value), *traceback.format_exception(error)]
                    shown.append(repr(pickle.dumps(error)))
    settings = runtime.connection_settings("c")
    assert len(shown) > 50
    assert found_in(" ".join(shown) + json.dumps(settings)) == []
    names = ("X-Proxy-Authorization", "X-Token-Id", "X-Secret", "Cookie")
    assert settings["headers"]["value"] == dict.fromkeys(names, "***")


def test_the_command_line_shows_no_secret(server: concerto.MockServer, tmp_path: Path) -> None:
    """E-11, O-14: outputs, compiled forms and the cache; all commands."""
    (tmp_path / "main.conc").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "vars.env").write_text(
        "".join(f"{name}={value}\n" for name, value in CANARIES.items()), encoding="utf-8"
    )
    override = (
        "--override",
        f"c.api_key={CANARIES['OVERRIDE']}",
        "--override",
        f"c.headers.X-Auth={CANARIES['AUTH']}",
    )
    outputs = []
    for args in (
        ("run", "--env", "vars.env", "--log-level", "trace", "--metrics", "json", "--debug", *override),
        ("run", "--env", "vars.env", "--metrics", "--require-keys", "--call", "ask", "--arg", "prompt=s401", *override),
        ("run", "--env", "vars.env", "--call", "streamed", "--arg", "prompt=cut", "--debug", *override),
        ("connections", *override),
        ("connections", "--format", "json", *override),
        ("build",),
        ("ir", "main.conc-ir"),
        ("ir", "main.conc", "--json"),
        ("check",),
    ):  # fmt: skip
        done = run(*args, cwd=tmp_path, URL=server.url, CONCERTO_CACHE="on")
        assert "Traceback" not in done.stderr
        outputs.append(done.stdout + done.stderr)
    assert found_in(" ".join(outputs)) == []
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p.name not in ("vars.env",)]
    assert any(path.parent.name == "cache" for path in written)
    for path in written:
        assert found_in(path.read_text(encoding="utf-8")) == [], path


def test_literal_keys_are_not_listed(tmp_path: Path) -> None:
    """E-11: a literal key is legal; its listing and its diagnostics are masked."""
    text = 'connect ollama { api_key: "sk-canary/key+1/end", headers: { "X-Auth": "canary/auth", "X-Team": "search" } }\nfn main() {}\n'
    (tmp_path / "main.conc").write_text(text, encoding="utf-8")
    assert run("build", "--allow-inline-secrets", cwd=tmp_path).returncode == 0
    listing = run("ir", "main.conc-ir", cwd=tmp_path).stdout
    assert found_in(listing) == []
    assert "search" in listing
    shown = run("connections", "main.conc-ir", cwd=tmp_path).stdout
    assert found_in(shown) == []
    assert '{"X-Auth": "***", "X-Team": "search"}' in shown


def test_a_key_goes_to_the_server_of_its_base_url_only(program: concerto.Program) -> None:
    """E-14, C-43: a redirect is an error, and the other server hears nothing."""
    with concerto.MockServer() as other:
        redirect = {
            "error": {"status": 307, "message": "elsewhere"},
            "headers": [["location", f"{other.url}/chat/completions"]],
        }
        with concerto.MockServer(script=json.dumps({"rules": [{"reply": redirect}]})) as server:
            runtime = concerto.Runtime(program, env=environment(server.url))
            with pytest.raises(concerto.errors.InvalidRequestError) as caught:
                runtime.call("ask", "hello")
        assert caught.value.status == 307
        assert other.requests() == []


def test_text_of_the_program_itself_is_not_scrubbed(server: concerto.MockServer) -> None:
    """E-12: what a program emits is the program's business."""
    text = 'connect ollama { base_url: env("URL"), api_key: env("KEY") }\npub fn f() { emit("x", env("KEY")); }'
    runtime = concerto.Runtime(concerto.compile(text), env=environment(server.url))
    seen: list[str] = []
    runtime.on("x", seen.append)
    runtime.call("f")
    assert seen == [CANARIES["KEY"]]


def test_reprs_mask() -> None:
    """E-11."""
    config = concerto.ConnectionConfig(
        api_key=CANARIES["KEY"], headers={"Authorization": CANARIES["AUTH"]}
    )
    assert found_in(repr(config)) == []
