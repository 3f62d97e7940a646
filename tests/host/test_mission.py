"""The programs of the mission document, as they stand, against the mock provider (M-9, O-1, O-16)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import concerto
import pytest

from tests.conftest import ROOT

MISSION = ROOT / "tests/golden/mission"
KEY = "sk-canary-4711"


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    with concerto.MockServer() as running:
        yield running


MISSION_EMITS = {
    "streaming": ["stream_chunk"] * 9 + ["stream_complete"],
    "token_tracking": ["tokens"],
    "models_on_connections": [],
}


def test_the_streaming_snippet(server: concerto.MockServer) -> None:
    rt = concerto.Runtime(MISSION / "streaming.conc")
    rt.override_connection("openai", api_key=KEY, base_url=server.url)
    emits = list(rt.start())
    assert [e.channel for e in emits] == MISSION_EMITS["streaming"]
    assert emits[-1].payload == "".join(e.payload for e in emits[:-1])
    assert rt.get_metrics().estimated_cost("openai").usd > 0


def test_the_token_snippet(server: concerto.MockServer) -> None:
    rt = concerto.Runtime(MISSION / "token_tracking.conc")
    rt.override_connection("openai", api_key=KEY, base_url=server.url)
    assert [e.payload for e in rt.start()] == [{"input": 10, "output": 42, "model": "gpt-4o"}]
    assert rt.get_metrics().tokens_by_model("Classifier") == 52


def test_the_environment_snippet() -> None:
    with pytest.raises(
        concerto.ProgramError, match="environment variable `MISSING_VAR` is not set"
    ):
        concerto.Runtime(
            MISSION / "environment_variables.conc",
            env={"OPENAI_API_KEY": "k"},
            env_allow=["OPENAI_API_KEY"],
        ).run()


def test_the_program_with_two_providers_mocked() -> None:
    rt = concerto.Runtime(MISSION / "multiple_providers.conc", mock=True)
    emits = list(rt.start())
    assert [(e.channel, e.payload._asdict()) for e in emits] == [
        ("result", {"needs_deep_analysis": False})
    ]


def test_aliases_reach_the_server(server: concerto.MockServer) -> None:
    text = (MISSION / "model_aliasing.conc").read_text(encoding="utf-8")
    text += '\npub fn f() -> Result<String, LlmError> { Ok(Classifier.execute("hello")?.model) }\n'
    rt = concerto.Runtime(concerto.compile(text))
    rt.override_connection("openai", api_key=KEY, base_url=server.url)
    assert rt.call("f") == "gpt-4o-mini"


def connections() -> list[tuple[str, str, str, str]]:
    """Each connection of each program, with its protocol and the model id that it names."""
    found = []
    for path in sorted(MISSION.glob("*.conc")):
        for name, body in re.findall(
            r"connect (\w+) \{(.*?)\n\}", path.read_text(encoding="utf-8"), re.S
        ):
            dialect = {"anthropic": "anthropic", "google": "gemini"}.get(name, "openai")
            model = re.search(r'default_model: "(.*?)"', body)
            found.append((path.stem, name, dialect, model[1] if model else "gpt-4o"))
    return found


@pytest.mark.parametrize(("program", "name", "dialect", "model"), connections())
def test_each_connection_answers_its_models(
    program: str, name: str, dialect: str, model: str, server: concerto.MockServer
) -> None:
    """Under an override of key and URL, as the document shows; the request has the protocol and the id of the declaration."""
    text = (MISSION / f"{program}.conc").read_text(encoding="utf-8")
    text += f"\nmodel Added {{ provider: {name} }}\n"
    text += 'pub fn ask() -> Result<String, LlmError> { Ok(Added.execute("hello")?.text) }\n'
    runtime = concerto.Runtime(concerto.compile(text))
    runtime.override_connection(name, api_key=KEY, base_url=server.url)
    assert runtime.call("ask") == "[mock response to: hello]"
    request = server.requests()[0]
    assert (request["dialect"], request["model"]) == (dialect, model)


SNIPPETS = {"streaming": "let stream", "token_tracking": "let prompt"}


@pytest.mark.parametrize("program", SNIPPETS)
def test_m_9_statements_run_inside_main_too(program: str, server: concerto.MockServer) -> None:
    whole = (MISSION / f"{program}.conc").read_text(encoding="utf-8")
    at = whole.index(SNIPPETS[program])
    inside = f"{whole[:at]}\nfn main() {{\n{whole[at:]}\n}}\n"
    seen = []
    for text in (whole, inside):
        runtime = concerto.Runtime(concerto.compile(text))
        runtime.override_connection("openai", api_key=KEY, base_url=server.url)
        seen.append([(event.channel, event.payload) for event in runtime.start()])
    assert seen[0] == seen[1] != []
