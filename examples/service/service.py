"""A web service that streams answers as Server-Sent Events: `uvicorn service:app`, then `curl -N 'http://127.0.0.1:8000/?question=Why'`.

`app` is a plain ASGI application, so any ASGI server runs it, and FastAPI or Starlette mount it: `api.mount("/answer", app)`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import concerto

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

runtime = concerto.AsyncRuntime(Path(__file__).with_name("service.conc"))


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answers `?question=..` with one event for each piece of the answer, then an event `end` or `error`."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    question = parse_qs(scope["query_string"].decode()).get("question", [""])[0]
    await send(
        {
            "type": "http.response.start",
            "status": 200 if question else 400,
            "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")],
        }
    )

    async def event(name: str, data: object) -> None:
        body = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})

    if not question:
        await event("error", "ask with ?question=..")
    else:
        # A client that goes away makes `send` fail or this task cancelled: leaving the block ends the run and its request.
        async with runtime.start("answer", question) as run:
            async for emit in run:
                await event(emit.channel, emit.payload)
            try:
                await event("end", await run)
            except concerto.ProgramError as error:
                await event("error", str(error))
    await send({"type": "http.response.body", "body": b""})


async def lifespan(receive: Receive, send: Send) -> None:
    """Closes the runtime when the server stops."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await runtime.close()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
