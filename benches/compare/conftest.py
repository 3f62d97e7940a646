"""Options that say which rival is measured, and where the mock servers are."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
# `rivals` stands here; the client that BAML generates in target/compare/generated.
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "target" / "compare" / "generated")]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rival", required=True)
    parser.addoption("--url", required=True, help="a mock server without delay")
    parser.addoption("--slow-url", required=True, help="a mock server that takes 50 ms")


@pytest.fixture
def rival(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"rivals.{request.config.getoption('--rival')}")


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--url"))


@pytest.fixture
def slow_url(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--slow-url"))
