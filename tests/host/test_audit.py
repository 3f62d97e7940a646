"""`audit`: what a program reaches is told before it does, without anything secret (toolchain reference 13)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import concerto
import pytest

from tests.host.test_cli import run

PROGRAM = """fn main() {
    let key = env("AUDIT_KEY");
    std::env::has("OTHER");
    std::env::all();
    std::fs::write_file("a.txt", key)?;
    std::fs::copy("a.txt", "b.txt")?;
    println(std::fs::read_file("b.txt")?.len());
    std::fs::list_dir("../outside").is_err();
    std::http::get("http://user:${key}@127.0.0.1:1/p?token=${key}&n=1").is_err();
    emit("done", 1);
}
"""
SECRET = "sk-canary-audit"


def emits(folder: Path, *, audit: bool) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    runtime = concerto.Runtime(
        concerto.compile(PROGRAM), env={"AUDIT_KEY": SECRET}, fs_root=folder, audit=audit
    )
    runtime.observe(None, {}, lambda emit: found.append((emit.channel, emit.payload)))
    return found


def test_what_a_program_reaches_is_told_in_order(tmp_path: Path) -> None:
    told = emits(tmp_path, audit=True)
    assert told == [
        ("audit:env_access", {"name": "AUDIT_KEY"}),
        ("audit:env_access", {"name": "OTHER"}),
        ("audit:env_access", {"name": "*"}),
        ("audit:file_access", {"operation": "write_file", "path": "a.txt"}),
        ("audit:file_access", {"operation": "copy", "path": "a.txt", "to": "b.txt"}),
        ("audit:file_access", {"operation": "read_file", "path": "b.txt"}),
        ("audit:file_access", {"operation": "list_dir", "path": "../outside"}),
        ("audit:http", {"method": "GET", "url": "http://***@127.0.0.1:1/p?token=***&n=***"}),
        ("done", 1),
    ]
    assert SECRET not in repr(told)


TOOLS = """
connect c { provider: "openai", api_key: env("K"), default_model: "m" }
tool Vault {
    description: "A vault",
    @describe("Open it") @param("code", "The code") @param("floor", "Where")
    pub fn open(self, code: String, floor: Int = 1) -> Bool { emit("opened"); self.is_right(code) }
    fn is_right(self, code: String) -> Bool { code.len() > floor_of() }
}
fn floor_of() -> Int { 2 }
model M { provider: c, tools: [Vault] }
pub fn call() -> Bool { Vault.open("sk-canary-audit") }
pub fn ask() -> Result<String, LlmError> { Ok(M.execute("Open!")?.text) }
"""


@pytest.mark.parametrize("function", ["call", "ask"])
@pytest.mark.parametrize("hosted", [False, True], ids=["own", "hosted"])
def test_calls_of_tools_are_told_whoever_calls(function: str, hosted: bool) -> None:
    asked = {"name": "Vault_open", "arguments": {"code": SECRET, "floor": 2}}
    rules = [{"times": 1, "reply": {"tool_calls": [asked]}}, {"reply": {"text": "done"}}]
    found: list[tuple[str, Any]] = []
    with (
        concerto.MockServer(script=json.dumps({"rules": rules})) as server,
        concerto.Runtime(concerto.compile(TOOLS), audit=True) as runtime,
    ):
        runtime.override_connection("c", api_key="k", base_url=server.url)
        runtime.on("audit:tool_call", lambda told: found.append(("told", told)))
        runtime.on("opened", lambda _: found.append(("opened", None)))
        if hosted:

            @runtime.tool("Vault", "open")
            def opened(**_: Any) -> bool:
                found.append(("opened", None))
                return True

        runtime.call(function)
    arguments = {"code": "***", "floor": "***"}
    told = {"tool": "Vault", "method": "open", "arguments": arguments}
    assert found == [("told", told), ("opened", None)]


def test_it_is_off_unless_a_host_asks(tmp_path: Path) -> None:
    assert emits(tmp_path, audit=False) == [("done", 1)]


def test_the_command_line_shows_it_on_request(tmp_path: Path) -> None:
    (tmp_path / "main.conc").write_text('emit("x", env("X"));\n', encoding="utf-8")
    assert run("run", cwd=tmp_path, X="1").stdout == "[emit:x] 1\n"
    shown = run("run", "--audit", cwd=tmp_path, X="1").stdout
    assert shown == '[emit:audit:env_access] {"name": "X"}\n[emit:x] 1\n'
