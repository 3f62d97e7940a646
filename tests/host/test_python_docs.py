"""The page on Python hosts and its examples, executed against the mock provider."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import concerto
import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs/hosts/python.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[concerto.MockServer]:
    rules = [
        {"match": {"contains": "slow"}, "reply": {"fault": "stall"}},
        {"match": {"contains": "Why"}, "reply": {"text": "It is so."}},
    ]
    with concerto.MockServer(script=json.dumps({"rules": rules})) as running:
        monkeypatch.setenv("CLOUD_URL", running.url)
        monkeypatch.setenv("CLOUD_KEY", "test")
        yield running


def test_the_examples_of_the_page_run(
    server: concerto.MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE)
    programs = [text for kind, text in blocks if kind == "concerto"]
    for text in programs:
        assert concerto.check(text) == []
        Path(text.split("\n")[0].removeprefix("// ")).write_text(text)
    python = [text for kind, text in blocks if kind == "python"]
    assert len(python) == 9
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    for number, text in enumerate(python):
        if "concerto_mock" in text:
            (tmp_path / "test_page.py").write_text(text)
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            ran = subprocess.run(command, capture_output=True, text=True)
            assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
        else:
            exec(
                compile(text, f"docs/hosts/python.md, example {number + 1}", "exec"),
                module.__dict__,
            )
    assert len(server.requests()) > 25


def test_the_service_streams_and_lets_go(
    server: concerto.MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples/service")
    import service  # type: ignore[import-not-found]

    async def ask(query: str) -> tuple[int, list[tuple[str, object]]]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await service.app({"type": "http", "query_string": query.encode()}, None, send)
        body = b"".join(message.get("body", b"") for message in sent).decode()
        events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", body)
        return sent[0]["status"], [(name, json.loads(data)) for name, data in events]

    async def work() -> None:
        assert await ask("question=Why") == (
            200,
            [("text", "It "), ("text", "is "), ("text", "so."), ("end", 3)],
        )
        assert (await ask(""))[0] == 400
        status, events = await ask("question=+")
        assert (status, events[-1][0]) == (200, "error")
        gone = asyncio.create_task(ask("question=slow"))
        while len(server.requests()) < 2:
            await asyncio.sleep(0.005)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        while server.counts()["open_requests"]:
            await asyncio.sleep(0.005)
        messages = iter(["lifespan.startup", "lifespan.shutdown"])
        sent: list[str] = []

        async def receive() -> dict[str, str]:
            return {"type": next(messages)}

        async def send(message: dict[str, str]) -> None:
            sent.append(message["type"])

        await service.app({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(asyncio.wait_for(work(), 30))
    assert os.environ["CLOUD_KEY"] == "test"
