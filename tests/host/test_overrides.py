"""Overrides of a host, rule by rule (O-1 to O-16), against the mock provider over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import concerto
import pytest
from concerto import errors

from tests.waiting import wait_for

KEY = "sk-canary-4711"

PROGRAM = """
connect openai {
    api_key: env("OPENAI_API_KEY"), base_url: "https://program.example/v1", default_model: "smart", timeout: 60,
    retry: { max_attempts: 3, backoff: "linear" },
    headers: { "X-Team": "search", "X-Trace": "on" },
    models: { "smart": "gpt-4o", "fast": "gpt-4o-mini" },
    organization: "org-1",
}
connect other_openai { api_key: env("OPENAI_API_KEY") }
model Smart { provider: openai }
model Fast { provider: openai, base: "fast" }
pub fn smart(prompt: String) -> Result<String, LlmError> { Ok(Smart.execute(prompt)?.text) }
pub fn fast(prompt: String) -> Result<String, LlmError> { Ok(Fast.execute(prompt)?.text) }
pub fn pair() -> Result<String, LlmError> {
    let first = Smart.execute("one")?.text;
    emit("between", first);
    Ok(first + " / " + Smart.execute("two")?.text)
}
"""


@pytest.fixture(scope="module")
def program() -> concerto.Program:
    return concerto.compile(PROGRAM)


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer() as running:
        yield running


def settings(runtime: concerto.Runtime) -> dict[str, tuple[Any, str]]:
    found = runtime.connection_settings("openai")
    return {field: (entry["value"], entry["origin"]) for field, entry in found.items()}


def test_an_override_is_partial(program: concerto.Program, server: concerto.MockServer) -> None:
    """O-1, O-3, O-4, O-6: what is not given stays; headers and models merge by name."""
    runtime = concerto.Runtime(program, env_allow=[])
    runtime.override_connection(
        "openai",
        concerto.ConnectionConfig(
            api_key=KEY,
            base_url=f"{server.url}/mock-api",
            headers={"x-team": "ads", "X-New": "1"},
            models={"fast": "gpt-4.1-mini"},
            remove=["retry"],
        ),
    )
    assert runtime.call("smart", "hello") == "[mock response to: hello]"
    assert runtime.call("fast", "hello") == "[mock response to: hello]"
    first, second = server.requests()
    assert first["path"] == "/v1/mock-api/chat/completions"
    headers = first["headers"]
    assert (headers["x-team"], headers["x-trace"], headers["x-new"]) == ("ads", "on", "1")
    assert headers["openai-organization"] == "org-1"
    assert [each["body"]["model"] for each in (first, second)] == ["gpt-4o", "gpt-4.1-mini"]
    assert settings(runtime) == {
        "api_key": ("***", "override"),
        "base_url": (f"{server.url}/mock-api", "override"),
        "default_model": ("smart", "program"),
        "timeout": (60.0, "program"),
        "retry": (None, "override"),
        "rate_limit": (None, "default"),
        "headers": ({"X-Trace": "on", "x-team": "ads", "X-New": "1"}, "override"),
        "organization": ("org-1", "program"),
        "project": (None, "default"),
        "models": ({"smart": "gpt-4o", "fast": "gpt-4.1-mini"}, "override"),
        "provider": ("openai", "program"),
    }


def test_overrides_of_a_new_runtime(program: concerto.Program, server: concerto.MockServer) -> None:
    """Option `connection_overrides`: the same as calls right after."""
    given: dict[str, concerto.ConnectionConfig | dict[str, Any]] = {
        "openai": concerto.ConnectionConfig(api_key=KEY, base_url=server.url, remove=["retry"]),
        "other_openai": {"timeout": 5},
    }
    runtime = concerto.Runtime(program, env_allow=[], connection_overrides=given)
    assert runtime.call("smart", "hello") == "[mock response to: hello]"
    assert runtime.connection_settings("other_openai")["timeout"]["value"] == 5.0
    with pytest.raises(concerto.ConfigError, match="did you mean `timeout`"):
        concerto.Runtime(program, connection_overrides={"openai": {"timout": 5}})


def test_fields_can_be_removed(program: concerto.Program, server: concerto.MockServer) -> None:
    """O-4: back to the default; without a key no authentication header is sent."""
    runtime = concerto.Runtime(program, env_allow=[])
    names = ["api_key", "retry", "headers", "organization", "default_model", "timeout"]
    runtime.override_connection("openai", base_url=server.url, remove=names)
    assert runtime.call("smart", "hello") == "[mock response to: hello]"
    headers = server.requests()[0]["headers"]
    assert {"authorization", "x-team", "openai-organization"} & set(headers) == set()
    found = settings(runtime)
    assert {name: found[name] for name in names} == {
        "api_key": (None, "override"),
        "retry": (None, "override"),
        "headers": ({}, "override"),
        "organization": (None, "override"),
        "default_model": (None, "override"),
        "timeout": (30.0, "override"),
    }


def test_blocks_are_replaced_as_a_whole(program: concerto.Program) -> None:
    """O-6: fields left out inside take their defaults, not the program's values."""
    runtime = concerto.Runtime(program, env_allow=[])
    runtime.override_connection("openai", retry=concerto.RetryConfig(max_attempts=2))
    assert settings(runtime)["retry"] == ({"max_attempts": 2}, "override")
    runtime.override_connection("openai", retry={"max_attempts": 5}, rate_limit={})
    assert settings(runtime)["retry"] == ({"max_attempts": 5}, "override")
    assert settings(runtime)["rate_limit"] == ({}, "override")
    limits = concerto.RateLimitConfig(concurrent_requests=3)
    runtime.override_connection("openai", rate_limit=limits)
    assert settings(runtime)["rate_limit"] == ({"concurrent_requests": 3}, "override")


def test_another_provider_brings_its_url(program: concerto.Program) -> None:
    """O-5, C-32: the program's URL goes, its models stay; a URL alone changes no kind."""
    runtime = concerto.Runtime(program, env_allow=[])
    runtime.override_connection("openai", provider="ollama")
    found = settings(runtime)
    assert found["provider"] == ("ollama", "override")
    assert found["base_url"] == ("http://localhost:11434/v1", "default")
    assert found["default_model"] == ("smart", "program")
    assert found["models"] == ({"smart": "gpt-4o", "fast": "gpt-4o-mini"}, "program")
    runtime.override_connection("openai", provider="ollama", base_url="http://127.0.0.1:9")
    assert settings(runtime)["base_url"] == ("http://127.0.0.1:9/v1", "override")
    runtime.override_connection("openai", base_url="http://127.0.0.1:11434/v1")
    assert settings(runtime)["provider"] == ("openai", "program")


def test_one_override_is_in_force(program: concerto.Program) -> None:
    """O-7, O-13."""
    runtime, another = concerto.Runtime(program, env_allow=[]), concerto.Runtime(program)
    before = settings(runtime)
    runtime.override_connection("openai", timeout=5)
    runtime.override_connection("openai", default_model="fast")
    assert settings(runtime)["timeout"] == (60.0, "program"), "the first one is gone"
    assert settings(another)["default_model"] == ("smart", "program"), "runtimes are apart"
    runtime.override_connection("other_openai", timeout=5)
    runtime.clear_override("openai")
    assert settings(runtime) == before
    assert runtime.connection_settings("other_openai")["timeout"]["origin"] == "override"
    runtime.clear_overrides()
    assert runtime.connection_settings("other_openai")["timeout"]["origin"] == "default"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"timeout": 0}, "`timeout` must be 1 to 86400, found 0"),
        ({"timeout": 86_401}, "`timeout` must be 1 to 86400, found 86401"),
        ({"timeout": 1.5}, "`timeout` must be Int, found Float"),
        ({"timeout": True}, "`timeout` must be Int, found Bool"),
        ({"timeout": float("nan")}, "`timeout` must be Int, found String"),
        ({"timeout": "60"}, "`timeout` must be Int, found String"),
        ({"timeout": 1, "timeout_ms": 1}, "exclude each other"),
        ({"timout": 1}, "no field `timout`; did you mean `timeout`?"),
        ({"url": "x"}, "no field `url`; did you mean `base_url`?"),
        ({"base_url": "localhost:80"}, "`base_url` must begin with http:// or https://"),
        ({"base_url": "https://u:p@h/"}, "`base_url` must not hold a user name or password"),
        ({"api_key": "two words"}, "`api_key` must be at most 4096 visible ASCII characters"),
        ({"api_key": object()}, "`api_key` must be String, found an object"),
        ({"retry": object()}, "`retry` has no field `object`"),
        ({"retry": {"max_attempts": 101}}, "`retry.max_attempts` must be 1 to 100, found 101"),
        ({"retry": {"backoff": "exp"}}, "must be one of none, linear, exponential, found `exp`"),
        ({"retry": {"retry_on": ["x"]}}, "must be one of rate_limit, server_error, timeout"),
        ({"retry": {"initial_delay_ms": 9, "max_delay_ms": 5}}, "is below `initial_delay_ms`"),
        ({"rate_limit": {"requests_per_minute": 0}}, "must be 1 to 1000000, found 0"),
        ({"headers": {"Host": "x"}}, "`headers.Host` is reserved for the runtime"),
        ({"headers": {"X-A": "a\r\nb"}}, "`headers.X-A` must be at most 8192"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "names differ only in case"),
        ({"models": {"a": ""}}, "`models.a` must be 1 to 256 characters"),
        ({"provider": "opnai"}, "`provider` must be one of openai"),
        ({"remove": ["tools"]}, "names `tools`, which is no field"),
        ({"remove": "retry"}, "`remove` must be an array, found String"),
        ({"timeout": 5, "remove": ["timeout"]}, "`timeout` is both given and removed"),
    ],
)
def test_a_rejected_override_fails_the_next_run(
    program: concerto.Program, fields: dict[str, Any], words: str
) -> None:
    """O-4, O-8: an ignored error sends no traffic; it is a `ValueError` too."""
    runtime = concerto.Runtime(program, mock=True)
    for attempt in (
        lambda: runtime.override_connection("openai", **fields),
        lambda: runtime.call("smart", "hello"),
        lambda: runtime.start("smart", "hello"),
    ):
        with pytest.raises(concerto.ConfigError) as caught:
            attempt()
        assert isinstance(caught.value, ValueError)
        assert words in str(caught.value)
    runtime.override_connection("openai", timeout=5)
    assert runtime.call("smart", "hello") == "[mock response to: hello]"
    with pytest.raises(concerto.ConfigError):
        runtime.override_connection("openai", **fields)
    runtime.clear_override("openai")
    assert runtime.call("smart", "hello") == "[mock response to: hello]"


def test_an_unknown_connection_is_guessed_and_never_made(program: concerto.Program) -> None:
    """O-9."""
    runtime = concerto.Runtime(program, mock=True)
    with pytest.raises(concerto.ConfigError, match="no connection `opnai`; did you mean `openai`"):
        runtime.override_connection("opnai", timeout=5)
    with pytest.raises(concerto.ConfigError, match="did you mean `openai`"):
        runtime.call("smart", "hello")
    with pytest.raises(concerto.ConfigError, match="it declares: openai, other_openai"):
        runtime.connection_settings("something")
    runtime.clear_override("opnai")
    assert runtime.call("smart", "hello") == "[mock response to: hello]"


def test_calls_that_start_later_see_a_new_override(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    """O-10: during a run, from any thread; the pool of the old server stays usable."""
    with concerto.MockServer() as second:
        runtime = concerto.Runtime(program, env_allow=[])
        runtime.override_connection("openai", api_key=KEY, base_url=server.url, remove=["retry"])

        def move(_: str) -> None:
            change = {"api_key": KEY, "base_url": second.url, "remove": ["retry"]}
            thread = threading.Thread(
                target=runtime.override_connection, args=("openai",), kwargs=change
            )
            thread.start()
            thread.join()

        runtime.on("between", move)
        assert runtime.call("pair") == "[mock response to: one] / [mock response to: two]"
        assert [len(each.requests()) for each in (server, second)] == [1, 1]


def test_a_call_keeps_the_settings_it_started_with(program: concerto.Program) -> None:
    """O-10: a change while the request is under way does not touch it."""
    script = json.dumps({"rules": [{"reply": {"text": "slow", "latency_ms": 300}}]})
    with concerto.MockServer(script=script) as server:
        runtime = concerto.Runtime(program, env_allow=[])
        runtime.override_connection("openai", api_key=KEY, base_url=server.url, remove=["retry"])
        with runtime.start("smart", "hello") as run:
            wait_for(lambda: bool(server.requests()))
            runtime.override_connection(
                "openai", api_key=KEY, base_url="http://127.0.0.1:9", timeout_ms=1, remove=["retry"]
            )
            assert run.result(timeout=20) == "slow"
        with pytest.raises((errors.NetworkError, errors.CallTimeoutError)):
            runtime.call("smart", "hello")


def test_the_command_line_lies_under_the_host(program: concerto.Program) -> None:
    """Toolchain 4.3 rule 3."""
    runtime = concerto.Runtime(program, env_allow=[])
    runtime._native.override_connection("openai", '{"timeout": 5, "project": "p"}', True)
    runtime.override_connection("openai", timeout=7)
    assert settings(runtime)["timeout"] == (7.0, "override")
    assert settings(runtime)["project"] == ("p", "override")
    runtime.clear_overrides()
    assert settings(runtime)["timeout"] == (5.0, "override"), "the command line's stays"


def test_keys_per_environment_and_a_gateway(
    program: concerto.Program, server: concerto.MockServer
) -> None:
    """O-16: staging uses its own key; a gateway stands before the provider and gets a header of its own."""
    script = json.dumps({"api_key": "sk-staging-1"})
    with concerto.MockServer(script=script) as staging:
        runtime = concerto.Runtime(program, env={"OPENAI_API_KEY": "sk-production"})
        runtime.override_connection("openai", base_url=staging.url, remove=["retry"])
        with pytest.raises(errors.AuthenticationError):
            runtime.call("smart", "hello")
        runtime.override_connection(
            "openai", base_url=staging.url, api_key="sk-staging-1", remove=["retry"]
        )
        assert runtime.call("smart", "hello") == "[mock response to: hello]"
    runtime.override_connection(
        "openai",
        base_url=f"{server.url}/gateway/openai/v1",
        headers={"X-Budget": "team-7"},
        remove=["retry"],
    )
    assert runtime.call("smart", "hello") == "[mock response to: hello]"
    request = server.requests()[-1]
    assert (request["path"], request["headers"]["x-budget"]) == (
        "/v1/gateway/openai/v1/chat/completions",
        "team-7",
    )


def test_a_mocked_runtime_needs_no_key_and_no_network(program: concerto.Program) -> None:
    """O-15, T-18."""
    runtime = concerto.Runtime(program, env_allow=[], mock=True)
    long = "x" * 60
    assert runtime.call("smart", long) == f"[mock response to: {long[:50]}]"
    counters = runtime.get_metrics().counters("openai")
    assert (counters["calls"], counters["successes"], counters["mocked"]) == (1, 1, 1)
    assert runtime.get_metrics().tokens_by_connection("openai") == 0
    with pytest.raises(errors.ConfigurationError):
        concerto.Runtime(program, env_allow=[]).call("smart", "hello")


def test_configurations_mask_keys() -> None:
    """E-11."""
    config = concerto.ConnectionConfig(api_key=KEY, headers={"X-Auth": KEY})
    assert KEY not in repr(config) + str(config)
