"""Methods of tools that a host stands in for, hooks for their errors, and computed defaults (rules TL-18 to TL-20, LO-4, LO-8)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import concerto
import pytest

from tests.host.test_tool_rounds import Service

PROGRAM = """
connect openai { base_url: env("URL"), api_key: "k", provider: "openai", default_model: "gpt-4o-mini" }
schema Order { id: String, lines: Array<Int> = [] }
tool Orders {
    description: "Orders",
    seen: 0,
    @describe("Status of one order")
    @param("id", "Order number")
    @param("limit", "At most so many")
    pub fn status(self, id: String, limit: Int = 3) -> Result<String, ToolError> { Err(ToolError::new("no back end")) }
    @describe("Look an order up") @param("id", "Order number")
    pub fn find(self, id: String) -> Order;
    @describe("Take an order") @param("order", "The order")
    pub fn take(self, order: Order) -> Result<Nil, String>;
    @describe("Fails at first")
    pub fn flaky(mut self) -> Result<Int, ToolError> {
        self.seen += 1;
        if self.seen < 3 { return Err(ToolError::new("try ${self.seen}")); }
        Ok(self.seen)
    }
    @describe("A window") @param("first", "From") @param("last", "To") @param("step", "By")
    pub fn window(self, first: Int, last: Int = first + 10, step: Int = self.seen + last) -> String { "${first} ${last} ${step}" }
}
model Clerk { provider: openai, tools: [Orders] }
model Stubborn { provider: openai, tools: [Orders] }
model Strict { provider: openai, tools: [Orders] }
impl Stubborn {
    fn on_tool_error(self, tool_name: String, error: ToolError) -> ToolErrorAction {
        emit("hook", "${tool_name}.${error.method}: ${error.message}");
        ToolErrorAction::Retry(5)
    }
}
impl Strict {
    fn on_tool_error(self, tool_name: String, error: ToolError) -> ToolErrorAction {
        match error { ToolError::Custom { .. } => ToolErrorAction::Fail, _ => ToolErrorAction::ReportToLLM }
    }
}
pub fn ask(prompt: String) -> Result<String, LlmError> { Ok(Clerk.execute(prompt)?.text) }
pub fn stubborn() -> Result<String, LlmError> { Ok(Stubborn.execute("Go")?.text) }
pub fn strict() -> Result<String, LlmError> { Ok(Strict.execute("Go")?.text) }
pub fn strict_flow() -> Result<String, LlmError> { Ok(Strict.stream("Go")?.collect()?.text) }
pub fn status(id: String) -> Result<String, ToolError> { Orders.status(id) }
pub fn find(id: String) -> Order { Orders.find(id) }
pub fn found(id: String) -> String {
    try { Orders.find(id).id } catch ToolError(e) { "${e.kind}: ${e.message}" }
}
pub fn take(id: String) -> String {
    match Orders.take(Order { id: id, lines: [1, 2] }) { Ok(_) => "taken", Err(e) => e }
}
pub fn windows() -> Array<String> { [Orders.window(1), Orders.window(1, 5), Orders.window(2, step: 7)] }
pub fn both() -> (Result<String, ToolError>, Result<String, ToolError>) { await (Orders.status("1"), Orders.status("2")) }
"""


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": f"Orders_{name}", "arguments": arguments}


def test_tl18_a_function_of_the_host_replaces_the_body(program: concerto.Program) -> None:
    asked = {"tool_calls": [call("status", id="7"), call("status", id="8", limit="9")]}
    with Service(program, asked, {"text": "done"}) as service:
        seen: list[tuple[str, int]] = []

        @service.runtime.tool("Orders", "status")
        def status(id: str, limit: int) -> str:
            seen.append((id, limit))
            return f"order {id} is on its way"

        assert service.runtime.call("ask", "Where?") == "done"
        # Arguments come by name and of their type, defaults filled in.
        assert seen == [("7", 3), ("8", 9)]
        assert [text for text, _ in service.heard()] == [
            "order 7 is on its way",
            "order 8 is on its way",
        ]
        assert service.runtime.call("status", "9") == "order 9 is on its way"
        run = service.runtime.start("status", "10")
        assert run.result() == "order 10 is on its way"
        assert service.runtime.get_metrics().to_dict()["tools"]["Orders.status"]["calls"] == 2


def test_tl18_a_method_without_a_body_needs_the_host(program: concerto.Program) -> None:
    with Service(program, {"tool_calls": [call("find", id="7")]}, {"text": "sorry"}) as service:
        nobody = "`Orders.find` has no body, and no host has registered one"
        assert service.runtime.call("found", "7") == f"not_found: {nobody}"
        assert service.runtime.call("ask", "Where?") == "sorry"
        assert [text for text, _ in service.heard()] == [nobody]
        service.runtime.tool("Orders", "find", lambda id: {"id": id})
        order = service.runtime.call("find", "7")
        assert (order.id, order.lines) == ("7", [])


def test_coroutines_of_a_loop_stand_in_for_methods(program: concerto.Program) -> None:
    async def ask(service: Service) -> tuple[str, Any]:
        async with concerto.AsyncRuntime(program, env={"URL": service.server.url}) as runtime:

            @runtime.tool("Orders", "status")
            async def status(id: str, limit: int) -> str:
                await asyncio.sleep(0)
                if id == "0":
                    raise ValueError("no such order")
                return f"order {id} is on its way"

            return await runtime.call("ask", "Where?"), await runtime.call("status", "9")

    asked = {"tool_calls": [call("status", id="7"), call("status", id="0")]}
    with Service(program, asked, {"text": "done"}) as service:
        assert asyncio.run(ask(service)) == ("done", "order 9 is on its way")
        assert [text for text, _ in service.heard()] == [
            "order 7 is on its way",
            "no such order",
        ]


def test_values_of_the_host_must_fit(program: concerto.Program) -> None:
    runtime = concerto.Runtime(program)
    runtime.tool("Orders", "find", lambda id: {"number": id})
    assert runtime.call("found", "7") == (
        "invalid_result: what the host gave for `Orders.find` is no `Order`: /id: expected String, got nothing"
    )
    taken: list[Any] = []
    runtime.tool("Orders", "take", lambda order: taken.append(order))
    assert runtime.call("take", "7") == "taken"
    assert (taken[0].id, taken[0].lines) == ("7", [1, 2])


def test_errors_of_the_host_are_tool_errors(program: concerto.Program) -> None:
    with Service(program, {"tool_calls": [call("status", id="7")]}, {"text": "sorry"}) as service:

        def broken(id: str, limit: int) -> str:
            raise ValueError(f"no order {id}")

        service.runtime.tool("Orders", "status", broken)
        assert service.runtime.call("ask", "Where?") == "sorry"
        assert [text for text, _ in service.heard()] == ["no order 7"]
        with pytest.raises(concerto.ProgramError) as caught:
            service.runtime.call("status", "8")
        error = caught.value.value
        assert (error.message, error.kind, error.tool, error.method) == (
            "no order 8", "execution_failed", "Orders", "status",
        )  # fmt: skip
        service.runtime.set_tool_permissions({"Orders": {"status": False}})
        with pytest.raises(concerto.ProgramError, match="disabled"):
            service.runtime.call("status", "8")


def test_wrong_registrations_are_refused(program: concerto.Program) -> None:
    runtime = concerto.Runtime(program)
    with pytest.raises(concerto.ConfigError, match=r"did you mean `Orders\.status`"):
        runtime.tool("Orders", "statis", print)
    with pytest.raises(concerto.ConfigError, match="no tool or method"):
        runtime.tool("Other", "status", print)

    async def later(id: str) -> str:
        return id

    with pytest.raises(TypeError, match="not a coroutine"):
        runtime.tool("Orders", "status", later)


def test_what_is_no_exception_of_a_handler_passes(program: concerto.Program) -> None:
    runtime = concerto.Runtime(program)

    def stop(**_: object) -> str:
        raise KeyboardInterrupt

    runtime.tool("Orders", "status", stop)
    with pytest.raises(KeyboardInterrupt):
        runtime.call("status", "7")


def test_lo8_a_hook_repeats_a_call(program: concerto.Program) -> None:
    with Service(program, {"tool_calls": [call("flaky")]}, {"text": "done"}) as service:
        told: list[str] = []
        service.runtime.on("hook", told.append)
        assert service.runtime.call("stubborn") == "done"
        assert [text for text, _ in service.heard()] == ["3"]
        assert told == ["Orders.flaky: try 1"]
        tools = service.runtime.get_metrics().to_dict()["tools"]["Orders.flaky"]
        assert (tools["calls"], tools["errors"]) == (3, 2)


@pytest.mark.parametrize("function", ["strict", "strict_flow"])
def test_lo8_a_hook_ends_the_call(program: concerto.Program, function: str) -> None:
    with Service(program, {"tool_calls": [call("flaky")]}, {"text": "done"}) as service:
        with pytest.raises(concerto.LlmError) as caught:
            service.runtime.call(function)
        assert (caught.value.kind, str(caught.value)) == ("custom", "try 1")
        assert service.runtime.get_metrics().counters("openai")["errors"] == {"custom": 1}
    with Service(program, {"tool_calls": [call("find", id="1")]}, {"text": "done"}) as service:
        assert service.runtime.call(function) == "done"


def test_defaults_of_methods_may_be_computed(program: concerto.Program) -> None:
    asked = {"tool_calls": [call("window", first=1), call("window", first=2, step=4)]}
    with Service(program, asked, {"text": "done"}) as service:
        assert service.runtime.call("windows") == ["1 11 11", "1 5 5", "2 12 7"]
        service.runtime.call("ask", "Go")
        assert [text for text, _ in service.heard()] == ["1 11 11", "2 12 4"]
        offered = service.bodies()[0]["tools"][-1]["function"]["parameters"]
        assert offered["required"] == ["first"]


def test_the_command_line_disables_tools(tmp_path: Any) -> None:
    source = tmp_path / "main.conc"
    source.write_text(
        'tool T { description: "t", @describe("d") pub fn m() -> Int { 1 } }\n'
        'fn main() { emit("m", T.m()); }\n'
    )

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "concerto", "run", str(source), *options]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert run().stdout == "[emit:m] 1\n"
    done = run("--disable-tool", "T")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`T.m` is disabled by the host" in done.stderr
    assert run("--disable-tool", "U").returncode == 2
