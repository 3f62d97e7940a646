"""Retries, rate limits and the log, from a host in Python against the mock provider."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import concerto
import pytest
from concerto import errors

PROGRAM = """
connect ollama {
    retry: { max_attempts: 3, initial_delay_ms: 1 },
    rate_limit: { concurrent_requests: 1 },
}
model M { provider: ollama }
pub fn ask(q: String) -> Result<String, LlmError> { Ok(M.execute(q)?.text) }
"""
BUSY = {"reply": {"error": {"status": 503, "message": "busy"}}}
HELLO = {"reply": {"text": "Hello."}}


def script(*rules: Mapping[str, object]) -> str:
    return json.dumps({"rules": rules})


def runtime(server: concerto.MockServer, **options: object) -> concerto.Runtime:
    made = concerto.Runtime(concerto.compile(PROGRAM), **options)  # type: ignore[arg-type]
    made.override_connection("ollama", base_url=server.url + "/v1")
    return made


def test_a_failed_request_is_repeated_and_logged(capfd: pytest.CaptureFixture[str]) -> None:
    # C-67, C-78
    with concerto.MockServer(script=script({"times": 2, **BUSY}, HELLO)) as server:
        rt = runtime(server, retry_jitter=0.0)
        assert rt.call("ask", "hi") == "Hello."
        assert len(server.requests()) == 3
    line = "concerto warn: ollama (M): attempt {} of 3 failed (server_error); next in 0.001 s\n"
    assert capfd.readouterr().err == line.format(1) + line.format(2)


def test_the_last_error_says_how_often_it_was_tried(capfd: pytest.CaptureFixture[str]) -> None:
    # C-75
    with concerto.MockServer(script=script(BUSY)) as server:
        rt = runtime(server, log_level="error")
        with pytest.raises(errors.ServerError, match=r"busy \(after 3 attempts\)$"):
            rt.call("ask", "hi")
    assert capfd.readouterr().err == ""


def test_an_override_replaces_the_policy(capfd: pytest.CaptureFixture[str]) -> None:
    # O-6, O-10
    with concerto.MockServer(script=script(BUSY)) as server:
        rt = runtime(server)
        rt.override_connection("ollama", base_url=server.url + "/v1", remove=["retry"])
        with pytest.raises(errors.ServerError, match=r"busy$"):
            rt.call("ask", "hi")
        assert len(server.requests()) == 1


def test_runs_of_a_runtime_share_its_limits() -> None:
    # C-89, C-90
    stall = {"times": 1, "reply": {"fault": "stall"}}
    with concerto.MockServer(script=script(stall, HELLO)) as server:
        rt = runtime(server, max_queued_requests=0)
        arrived = threading.Event()
        with rt.start("ask", "first"):
            while not server.requests():
                arrived.wait(0.005)
            with pytest.raises(errors.RateLimitedError, match="`max_queued_requests`"):
                rt.call("ask", "second")
        # Leaving the block has cancelled the first run, so its slot is free.
        rt.override_connection("ollama", base_url=server.url + "/v1", remove=["rate_limit"])
        assert rt.call("ask", "third") == "Hello."


@pytest.mark.parametrize("jitter", [-0.1, 1.5, float("nan")])
def test_options_out_of_range_are_refused(jitter: float) -> None:
    with pytest.raises(concerto.ConfigError, match="the option `retry_jitter` must be 0 to 1"):
        concerto.Runtime(concerto.compile(PROGRAM), retry_jitter=jitter)


def test_the_command_line_passes_the_level_of_the_log(tmp_path: Path) -> None:
    # E-13
    source = tmp_path / "main.conc"
    source.write_text(PROGRAM + 'fn main() { println(ask("hi")?); }')
    with concerto.MockServer(script=script(HELLO)) as server:
        command = [sys.executable, "-m", "concerto", "run", str(source), "--log-level", "debug"]
        command += ["--override", f"ollama.base_url={server.url}/v1"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "Hello.\n"
    lines = ran.stderr.splitlines()
    assert lines[0].startswith(f"concerto debug: ollama (M): POST {server.url}/v1/chat/completions")
    assert lines[1].startswith("concerto debug: ollama (M): 200 after ")
    assert len(lines) == 2
