"""The example `examples/bad_day.py`: five kinds of providers in one program, each with its own trouble, and metrics that explain it."""

from __future__ import annotations

from typing import Any

from examples.bad_day import play


def test_a_program_survives_a_bad_day_and_its_metrics_explain_it() -> None:
    seen: list[tuple[str, Any]] = []
    verdict, metrics, counts = play(lambda channel, payload: seen.append((channel, payload)))
    assert verdict._asdict() == {"agree": True, "confidence": 4}
    assert [(channel, dict(payload)) for channel, payload in seen if channel == "answer"] == [
        ("answer", {"from": "Fast", "text": "Yes.", "attempts": 3}),
        ("answer", {"from": "Thorough", "text": "Yes, with care.", "attempts": 2}),
        ("answer", {"from": "Broad", "text": "Certainly.", "attempts": 3}),
    ]
    failed, cut = (payload for channel, payload in seen if channel != "answer")
    assert (failed["kind"], failed["attempts"]) == ("network", 2)
    assert dict(cut) == {"kind": "stream_interrupted", "after": 2, "kept": "Once upon "}

    names = ("calls", "attempts", "retries", "rounds", "successes", "errors")
    found = {
        name: tuple(metrics.counters(name)[each] for each in names)
        for name in metrics.connections()
    }
    assert found == {
        "openai": (1, 3, 2, 1, 1, {}),
        "claude": (1, 2, 1, 1, 1, {}),
        "google": (1, 3, 2, 1, 1, {}),
        "local_ollama": (1, 2, 1, 1, 0, {"network": 1}),
        "gateway": (2, 3, 0, 3, 1, {"stream_interrupted": 1}),
    }
    # What reached the mock provider is what the metrics say was sent, but for the provider that was not there.
    attempts = sum(metrics.counters(name)["attempts"] for name in metrics.connections())
    assert counts["requests"] == attempts - found["local_ollama"][1]
    assert metrics.estimated_cost("openai") > 0
    # An interrupted stream is billed as far as it came, and its tokens are marked as an estimate.
    gateway = metrics.estimated_cost("gateway")
    assert not gateway.is_complete()
    assert gateway.estimated_tokens > 0
