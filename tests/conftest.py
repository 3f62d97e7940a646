"""What all tests share: golden files, and the depth of property tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent

# The first compilation raises it, which Hypothesis would take for a test that forgot to put it back.
sys.setrecursionlimit(12_000)
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=150)
settings.register_profile("deep", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
os.environ["CONCERTO_CACHE"] = "off"

Golden = Callable[[Path, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected files")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares a text with an expected file, or rewrites the file."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(path: Path, found: str) -> None:
        if update:
            path.write_text(found, encoding="utf-8")
            return
        assert path.exists(), f"{path} is missing: `make golden` writes it"
        assert found == path.read_text(encoding="utf-8")

    return compare
