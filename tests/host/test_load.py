"""The load of `benches/hosts.py` and `benches/long_stream.py`, small: what they assert holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

import concerto
import pytest

from benches import long_stream
from benches.hosts import RULES, Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    with concerto.MockServer(script=json.dumps({"rules": RULES})) as server:
        yield Bench(server)


def test_calls_and_emits_reach_the_host(bench: Bench) -> None:
    bench.calls(200)
    bench.emits(3_000)
    assert bench.snapshots(200) > 0


def test_thousands_of_runs_wait_at_once(bench: Bench) -> None:
    assert bench.waiting(2_000) < 40  # KiB; 20 in a release build


def test_loops_in_threads(bench: Bench) -> None:
    bench.loops(8, 3)


def test_processes_end_in_the_middle(bench: Bench) -> None:
    bench.exits(3)


def test_short_runs_leave_nothing_behind(bench: Bench) -> None:
    bench.leaks(2_000)


@pytest.mark.parametrize("way", long_stream.WAYS)
def test_a_long_stream_arrives_whole(way: str) -> None:
    with concerto.MockServer(script=json.dumps(long_stream.script(2_000))) as server:
        assert long_stream.measure(way, server.url, 2_000)["computed"] > 0
