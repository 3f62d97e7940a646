"""Options of a runtime that belong to connections and limits (8.5 of the toolchain reference)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import concerto
import pytest
from concerto import errors

PROGRAM = """
connect far { provider: custom, base_url: env("URL"), default_model: "m", timeout: 5 }
model M { provider: far }
pub fn ask() -> Result<String, LlmError> { Ok(M.execute("hello")?.text) }
pub fn deep(n: Int) -> Int { if n == 0 { 0 } else { 1 + deep(n - 1) } }
pub fn long() { let mut n = 0; while true { n = (n + 1) % 7; } }
"""


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"execution_timeout": 0}, "`execution_timeout` must be positive seconds"),
        ({"execution_timeout": -1.0}, "`execution_timeout` must be positive seconds"),
        ({"execution_timeout": float("nan")}, "`execution_timeout` must be positive seconds"),
        ({"max_call_depth": 0}, "`max_call_depth` must be at least 1"),
        ({"max_cost_usd": -1}, "`max_cost_usd` must be US dollars, 0 or more"),
        ({"max_concurrent_requests": 0}, "`max_concurrent_requests` must be at least 1"),
        ({"max_tasks": 0}, "`max_tasks` must be at least 1"),
        ({"worker_threads": 0}, "`worker_threads` must be 1 to 1024"),
        ({"worker_threads": 1025}, "`worker_threads` must be 1 to 1024"),
        ({"proxy": "no url"}, '`proxy` must be a URL or "none"'),
        ({"proxy": "http://\udcff"}, "`proxy` must be a text"),
        ({"max_task": 3}, "no option `max_task`; did you mean `max_tasks`"),
        ({"max_tasks": 2.5}, "`max_tasks` must be a whole number from 0 on"),
        ({"seed": 2**64}, "`seed` must be a whole number"),
        ({"env_allow": "HOME"}, "`env_allow` must be an array of texts"),
        ({"env": {"A": 1}}, "`env` must be an object of texts"),
        ({"fs_root": 3}, "`fs_root` must be a text"),
        ({"net_allow": object()}, "`net_allow` must be an array of texts"),
        ({"log_level": "loud"}, '`log_level` must be "error", "warn", "info"'),
        ({"emit_mode": "later"}, '`emit_mode` must be "immediate" or'),
        ({"tool_permissions": {"T": 1}}, "`tool_permissions` must be an object of truth values"),
        ({"tool_permissions": {"T": {"m": 1}}}, "`tool_permissions` must be an object of truth v"),
        ({"allow_processes": False}, "`allow_processes` is not there yet: no program can start"),
        ({"debug": True}, "`debug` is none: each error has its kind, its trace"),
        ({"log_sink": print}, "`log_sink` is a function, which only hosts in Rust can give"),
        ({"tracer": "otel"}, "`tracer` is not there yet: nothing is exported to OpenTelemetry"),
        ({"mock": True, "replay": "t"}, "`mock` must be the only one of `mock`, `record` and"),
    ],
)
def test_wrong_options_are_refused_at_once(
    program: concerto.Program, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(concerto.ConfigError, match=words):
        concerto.Runtime(program, **options)


def test_options_take_what_python_has_for_them(program: concerto.Program, tmp_path: Path) -> None:
    runtime = concerto.Runtime(
        program,
        mock={"rules": []},
        seed=2**64 - 1,
        env_allow={"URL": 1}.keys(),
        args=("a", "b"),
        fs_root=tmp_path,
        emit_mode=concerto.buffered(interval_ms=0.5),
        connection_overrides={"far": concerto.ConnectionConfig(timeout=7, remove=("retry",))},
        execution_timeout=None,
    )
    assert runtime.connection_settings("far")["timeout"]["value"] == 7
    assert runtime.call("ask") == "[mock response to: hello]"


def test_limits_of_a_run(program: concerto.Program) -> None:
    assert concerto.Runtime(program, max_call_depth=12).call("deep", 10) == 10
    with pytest.raises(concerto.PanicError) as panic:
        concerto.Runtime(program, max_call_depth=12).call("deep", 13)
    assert panic.value.kind == "StackOverflow"
    with pytest.raises(concerto.LimitError) as limit:
        concerto.Runtime(program, execution_timeout=0.05).call("long")
    assert limit.value.limit == "execution_timeout"
    script = '{"rules": [{"reply": {"fault": "stall"}}]}'
    with concerto.MockServer(script=script) as server:
        runtime = concerto.Runtime(program, env={"URL": server.url}, execution_timeout=0.2)
        with pytest.raises(concerto.LimitError):
            runtime.call("ask")
        counters = runtime.get_metrics().counters("far")
        assert (counters["calls"], counters["cancelled"], counters["in_flight"]) == (1, 1, 0)


def test_limits_of_what_a_run_uses(program: concerto.Program) -> None:
    with concerto.MockServer() as server:
        given: dict[str, Any] = {
            "env": {"URL": server.url},
            "prices": {"m": {"input": 1e6, "output": 1e6}},
        }
        once = concerto.Runtime(program, **given)
        once.call("ask")
        used = once.get_metrics().total_tokens()
        cost = float(once.get_metrics().total_estimated_cost())
        enough = concerto.Runtime(program, max_tokens=used, max_cost_usd=cost, **given)
        assert [enough.call("ask"), enough.call("ask")] == ["[mock response to: hello]"] * 2
        for limits in ({"max_tokens": used - 1}, {"max_cost_usd": cost / 2}):
            with pytest.raises(concerto.LimitError) as over:
                concerto.Runtime(program, **limits, **given).call("ask")
            assert over.value.limit == next(iter(limits))


def test_a_proxy_is_used_but_not_for_this_machine(
    program: concerto.Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-63: the server stands for the proxy; one of the environment is by-passed for this machine."""
    with concerto.MockServer() as proxy:
        address = proxy.url.removesuffix("/v1")
        runtime = concerto.Runtime(program, env={"URL": "http://far.example/v1"}, proxy=address)
        assert runtime.call("ask") == "[mock response to: hello]"
        assert len(proxy.requests()) == 1
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        near = concerto.Runtime(program, env={"URL": proxy.url})
        assert near.call("ask") == "[mock response to: hello]"


def test_a_certificate_file_must_be_readable(program: concerto.Program, tmp_path: Path) -> None:
    """C-62: found out by the first call that needs it, which names the file."""
    empty = tmp_path / "empty.pem"
    empty.write_text("", encoding="utf-8")
    for path, words in ((tmp_path / "none.pem", "cannot be read"), (empty, "no certificate")):
        runtime = concerto.Runtime(
            program, env={"URL": "https://127.0.0.1:9/v1"}, ca_bundle=str(path)
        )
        with pytest.raises(errors.ConfigurationError, match=words) as caught:
            runtime.call("ask")
        assert caught.value.field == "ca_bundle"
        assert str(path) in str(caught.value)


def test_no_certificates_are_read_where_no_tls_is_on_the_way(
    program: concerto.Program, tmp_path: Path
) -> None:  # C-62
    missing = str(tmp_path / "none.pem")
    with concerto.MockServer() as server:
        env = {"URL": server.url}
        near = concerto.Runtime(program, env=env, ca_bundle=missing)
        assert near.call("ask") == "[mock response to: hello]"
        # The way to a proxy may be TLS.
        proxied = concerto.Runtime(program, env=env, ca_bundle=missing, proxy="https://127.0.0.1:9")
        with pytest.raises(errors.ConfigurationError, match="cannot be read"):
            proxied.call("ask")
        assert len(server.requests()) == 1


def test_a_call_that_cannot_be_made_counts_as_failed(program: concerto.Program) -> None:
    """T-10, T-12, E-2: no attempt, but a call with an error."""
    runtime = concerto.Runtime(program, env_allow=[])
    with pytest.raises(errors.ConfigurationError):
        runtime.call("ask")
    for name in ("far", "M"):
        counters = runtime.get_metrics().counters(name)
        assert (counters["calls"], counters["attempts"]) == (1, 0)
        assert counters["errors"] == {"config": 1}


THREADS = """
import os, time
import concerto

def threads():
    found = 0
    for task in os.listdir("/proc/self/task"):
        try:
            found += open(f"/proc/self/task/{task}/comm").read() == "concerto-io\\n"
        except OSError:
            pass  # it ended meanwhile
    return found

def reach(count):
    while threads() != count:  # a thread takes its name when it runs; the test has a limit of time
        time.sleep(0.001)

program = concerto.compile('pub fn pause() -> Int { std::time::sleep(1); 7 }')
own = concerto.Runtime(program, worker_threads=3)
assert own.call("pause") == own.start("pause").result() == 7
reach(3)
own.close()
del own
reach(0)
assert concerto.Runtime(program).call("pause") == 7
reach(0)  # who waits serves the run itself
assert [concerto.Runtime(program).start("pause").result() for _ in range(2)] == [7, 7]
reach(2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_a_runtime_may_have_threads_of_its_own() -> None:
    """They end with it; all others share two, which begin when a run is started in the background."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
