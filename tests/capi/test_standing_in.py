"""Methods of tools that a C host stands in for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.capi.library import CallError, Reply, Runtime, lib

SOURCE = """
tool Orders {
    description: "Look up orders",
    @describe("Status of one order")
    @param("id", "Order number")
    pub fn status(self, id: String) -> Result<String, ToolError> { Err(ToolError::new("no back end")) }
}
pub fn ask(id: String) -> String {
    match Orders.status(id) { Ok(text) => text, Err(e) => "failed: ${e.message}" }
}
"""


@pytest.fixture
def runtime() -> Any:
    with Runtime(SOURCE) as made:
        yield made


def test_a_callback_stands_in_for_a_method(runtime: Runtime) -> None:
    assert runtime.call("ask", "7") == "failed: no back end"
    runtime.tool("Orders", "status", lambda args, reply: reply.ok(f"order {args['id']}"))
    assert runtime.call("ask", "7") == "order 7"
    with runtime.start("ask", "8") as run:
        assert run.wait() == "order 8"


def test_an_error_of_a_callback_is_a_tool_error(runtime: Runtime) -> None:
    def status(_: Any, reply: Reply) -> None:
        reply.error("closed on Sundays")

    runtime.tool("Orders", "status", status)
    assert "closed on Sundays" in runtime.call("ask", "7")


def test_a_result_must_fit(runtime: Runtime) -> None:
    runtime.tool("Orders", "status", lambda _, reply: reply.ok(7))
    assert runtime.call("ask", "7").startswith("failed: ")


@pytest.mark.parametrize(("tool", "method"), [("Order", "status"), ("Orders", "state")])
def test_an_unknown_method_is_refused(runtime: Runtime, tool: str, method: str) -> None:
    with pytest.raises(CallError, match="did you mean") as failed:
        runtime.tool(tool, method, lambda *_: None)
    assert failed.value.status == lib.CONCERTO_CONFIG
