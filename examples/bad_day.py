"""A day on which little works: five providers that limit, hang, reset, are gone or stop in the middle of a sentence.

`python examples/bad_day.py` plays it against the mock provider on this machine and shows what the program saw and what its metrics say. No key, no network.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import concerto
from concerto.cli.metrics import render_table

HERE = Path(__file__).parent

#: What goes wrong, provider by provider; the mock provider serves these rules in order.
DAY: dict[str, Any] = {
    "rules": [
        # OpenAI is over its limit twice, and says how long to wait.
        {
            "match": {"connection": "openai"},
            "times": 2,
            "reply": {"error": {"status": 429, "retry_after": {"ms": 30}}},
        },
        {"match": {"connection": "openai"}, "reply": {"text": "Yes."}},
        # Anthropic hangs once.
        {
            "match": {"connection": "claude"},
            "times": 1,
            "reply": {"text": "", "fault": "stall_headers"},
        },
        {"match": {"connection": "claude"}, "reply": {"text": "Yes, with care."}},
        # Google resets a connection, then is overloaded, then answers.
        {"match": {"connection": "google"}, "times": 1, "reply": {"text": "", "fault": "reset"}},
        {"match": {"connection": "google"}, "times": 1, "reply": {"error": {"status": 503}}},
        {"match": {"connection": "google"}, "reply": {"text": "Certainly."}},
        # The gateway stops in the middle of a stream, and answers in the wrong form before it answers in the right one.
        {
            "match": {"connection": "gateway", "stream": True},
            "reply": {
                "chunks": ["Once ", "upon ", "a ", "time"],
                "fault": "cut",
                "after": 2,
            },
        },
        {
            "match": {"connection": "gateway", "contains": "Do these answers agree"},
            "times": 1,
            "reply": {"json": {"agree": "yes", "confidence": 9}},
        },
        {
            "match": {"connection": "gateway"},
            "reply": {"json": {"agree": True, "confidence": 4}},
        },
    ]
}


def play(
    show: Callable[[str, Any], None],
) -> tuple[Any, concerto.Metrics, dict[str, Any]]:
    """Runs the program through the day; gives its verdict, its metrics, and what the mock provider counted."""
    with (
        concerto.MockServer(script=json.dumps(DAY)) as server,
        concerto.Runtime(concerto.compile_file(HERE / "bad_day.conc")) as runtime,
    ):
        for name, version in (("openai", "v1"), ("claude", "v1"), ("google", "v1beta")):
            runtime.override_connection(
                name,
                base_url=f"{server.root}/{name}/{version}",
                api_key="sk-not-a-key",
                timeout_ms=400,  # nobody waits half a minute in an example
            )
        runtime.override_connection("gateway", base_url=f"{server.root}/gateway/v1")
        # This provider is gone: nobody listens on port 1.
        runtime.override_connection("local_ollama", base_url="http://127.0.0.1:1/v1")
        for channel in ("answer", "failed", "cut"):
            runtime.on(channel, partial(show, channel))
        verdict = runtime.call("survey", "Is it safe to sail tomorrow?")
        return verdict, runtime.get_metrics(), server.counts()


def main() -> None:
    """Plays the day and prints it."""
    verdict, metrics, counts = play(lambda channel, seen: print(f"{channel:>8}  {seen}"))
    print(f"\nverdict: {verdict}\n")
    print(render_table(metrics))
    print(f"the providers saw {counts['requests']} requests: {counts['outcomes']}")


if __name__ == "__main__":
    main()
