"""Three hosts, one behaviour: each case of `table.toml` comes to the same in Python, Rust and C."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import concerto
import pytest

from tests.hosts.drivers import Case, Outcome, in_asyncio, in_c, in_python, in_rust

TABLE = tomllib.loads(Path(__file__).with_name("table.toml").read_text(encoding="utf-8"))["case"]
HOSTS: dict[str, Callable[[Case], list[Outcome]]] = {
    "python": in_python,
    "asyncio": in_asyncio,
    "c": in_c,
}

#: Times and sizes of HTTP, which differ from run to run.
MEASURED = {
    "execution_time_ms", "latency_ms", "queue_time_ms", "attempt_ms", "time_to_first_chunk_ms", "duration_ms",
    "bytes_in", "bytes_out", "price_table_date",
}  # fmt: skip


@contextmanager
def ready(entry: dict[str, Any]) -> Iterator[Case]:
    """A case with its own server, so that rules with `times` serve each host alike."""
    with ExitStack() as stack:
        url = ""
        config = json.loads(entry.get("config", "{}"))
        if "answers" in entry:
            rules = json.dumps({"rules": json.loads(entry["answers"])})
            url = stack.enter_context(concerto.MockServer(script=rules)).url
            config["connection_overrides"] = {"c": {"api_key": "sk-test", "base_url": url}}
        ir = entry.get("ir", "").encode() or concerto.compile(entry["program"]).to_bytes()
        steps = [step(given, url) for given in entry["step"]]
        # A handler of Python does not hear the name of its channel, so it needs one for each.
        heard = {channel for given in steps for channel, _ in given.get("emits", [])}
        for given in steps:
            given["channels"] = sorted(heard)
        replies = json.loads(entry.get("replies", "{}"))
        yield Case(entry["name"], ir, config, replies, steps)


def step(given: dict[str, Any], url: str) -> dict[str, Any]:
    read: dict[str, Any] = {
        key: json.loads(given[key]) for key in given if key in ("args", "gives", "emits", "answer")
    }
    if "override" in given:
        read["override"] = json.loads(given["override"].replace("$URL", url))
        read["connection"] = given.get("connection", "c")
    return {**given, **read}


@pytest.fixture(scope="module")
def rust() -> dict[str, list[Outcome]]:
    with ExitStack() as stack:
        cases = [stack.enter_context(ready(entry)) for entry in TABLE]
        return dict(zip([case.name for case in cases], in_rust(cases), strict=True))


def test_the_names_of_cases_are_unique() -> None:
    names = [entry["name"] for entry in TABLE]
    assert len(names) == len(set(names)) >= 30


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry["name"].replace(" ", "-"))
@pytest.mark.parametrize("host", ["rust", *HOSTS])
def test_a_host_does_what_the_table_says(
    host: str, entry: dict[str, Any], rust: dict[str, list[Outcome]]
) -> None:
    with ready(entry) as case:
        if host == "asyncio" and any("at" in given for given in case.steps):
            return  # handlers get emits in batches: the program does not wait for one
        outcomes = rust[case.name] if host == "rust" else HOSTS[host](case)
        for given, outcome in zip(case.steps, outcomes, strict=True):
            check(given, outcome, host)
    assert [comparable(outcome) for outcome in outcomes] == [
        comparable(outcome) for outcome in rust[case.name]
    ]


def check(given: dict[str, Any], outcome: Outcome, host: str) -> None:
    if "fails" in given:
        error, expected = outcome["error"], given["fails"]
        kind = expected["kind"]
        # All that a callback of C can say is that the run shall end.
        wanted = "cancelled" if (host, kind) == ("c", "handler") else kind
        assert (error["kind"], error["code"]) == (wanted, expected.get("code", "")), error
        assert expected["message"] in error["message"]
    elif given.get("metrics"):
        assert contains(outcome["result"], given["gives"]), outcome["result"]
    else:
        assert outcome.get("result", outcome.get("error")) == given.get("gives")
        assert "error" not in outcome
    if "emits" in given:
        assert outcome["emits"] == given["emits"]


def contains(found: Any, part: Any) -> bool:
    """Whether all of an object's parts are there, and equal."""
    if isinstance(part, dict):
        return all(key in found and contains(found[key], item) for key, item in part.items())
    return bool(found == part)


def comparable(outcome: Outcome) -> Any:
    """Without what may differ: measured times, and how a host says that its handler failed."""
    error = outcome.get("error", {})
    if error.get("kind") in ("handler", "cancelled"):
        outcome = {"ended by the host": outcome["emits"]}
    return without_measured(outcome)


def without_measured(value: Any) -> Any:
    match value:
        case dict():
            return {k: without_measured(item) for k, item in value.items() if k not in MEASURED}
        case list():
            return [without_measured(item) for item in value]
        case _:
            return value
