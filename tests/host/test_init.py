"""`concerto init`: every template works at once, and nothing is overwritten."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from concerto.project.scaffold import CannotCreate, create, files, project_name
from concerto.project.templates import MORE_FILES, PROVIDERS, TEMPLATES

from tests.conftest import ROOT
from tests.host.test_cli import run


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_works_with_every_provider(
    tmp_path: Path, provider: str, template: str
) -> None:
    where = "manifest" if provider == "google" else "source"
    done = run(
        "init",
        "My Bot2",
        "-p",
        provider,
        "--template",
        template,
        "--connections",
        where,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    project = tmp_path / "My Bot2"
    checked = run("check", "--deny", "warnings", cwd=project)
    assert (checked.returncode, checked.stderr) == (0, "no errors found\n")
    assert run("fmt", "--check", cwd=project).returncode == 0
    tested = run("test", cwd=project)
    assert (tested.returncode, tested.stderr) == (0, "")
    assert tested.stdout.endswith("test result: ok. 1 passed, 0 failed\n")
    mocked = run("run", "--mock", cwd=project)
    assert mocked.returncode == 0, mocked.stderr
    assert mocked.stdout.startswith("[emit:")
    assert 'name = "my-bot-2"' in (project / "Concerto.toml").read_text(encoding="utf-8")


def test_the_current_folder_may_hold_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    done = run("init", ".", "--connections", "manifest", "-p", "ollama", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "created Concerto.toml",
        "created src/main.conc",
        "created .gitignore",
        "created .env.example",
        "created README.md",
        "next:",
        "  concerto check",
        "  concerto test",
        "  concerto run --mock",
    ]
    assert run("check", cwd=tmp_path).returncode == 0
    again = run("init", ".", cwd=tmp_path)
    assert (again.returncode, "a project already exists here" in again.stderr) == (2, True)


def test_an_existing_file_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    done = run("init", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: `README.md` exists already; nothing was written\n"
    assert [each.name for each in tmp_path.iterdir()] == ["README.md"]


def test_a_write_that_fails_takes_back_what_was_written(tmp_path: Path) -> None:
    content = files("x", "openai", "minimal", in_manifest=False)
    content["src/main.conc/deeper"] = "cannot be: that is a file"
    with pytest.raises(CannotCreate):
        create(tmp_path / "new", content)
    assert list(tmp_path.iterdir()) == []


def test_git_is_asked_only_on_request(tmp_path: Path) -> None:
    assert run("init", "a", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "a/.git").exists()
    assert run("init", "b", "--git", cwd=tmp_path).returncode == 0
    assert (tmp_path / "b/.git").is_dir()


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Bot", "my-bot"), ("my_bot2", "my-bot-2"), ("HTTPServer", "http-server"), ("a.b", "a-b")],
)
def test_names_become_kebab_case(text: str, name: str) -> None:
    assert project_name(text) == name


def test_a_name_without_letters_is_refused(tmp_path: Path) -> None:
    assert run("init", "---x/../...", cwd=tmp_path).returncode == 2


def test_the_service_answers(tmp_path: Path) -> None:
    assert run("init", "shop", "--template", "service", cwd=tmp_path).returncode == 0
    assert "python service.py --mock" in (tmp_path / "shop/README.md").read_text(encoding="utf-8")
    command = [sys.executable, "shop/service.py", "--mock", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()

            def ask(path: str, body: bytes | None = None) -> tuple[int, str]:
                try:
                    with urlopen(f"{url}{path}", body, timeout=60) as answer:
                        return answer.status, answer.read().decode("utf-8")
                except HTTPError as error:
                    return error.code, error.read().decode("utf-8")

            status, text = ask("/review", b'{"text": "Cold soup."}')
            assert (status, set(json.loads(text))) == (200, {"summary", "mood", "stars"})
            assert ask("/review", b"no JSON")[0] == 400
            assert ask("/review", b'{"text": 7}')[0] == 400
            assert ask("/other")[0] == 404
            status, metrics = ask("/metrics")
            assert (status, "concerto_" in metrics) == (200, True)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


def test_code_of_templates_is_formatted_and_typed(tmp_path: Path) -> None:
    for name, content in MORE_FILES.items():
        for path, text in content.items():
            (tmp_path / f"{name}_{path}").write_text(text, encoding="utf-8")
    config = str(ROOT / "pyproject.toml")
    for command in (
        ["ruff", "format", "--config", config, "--check"],
        ["ruff", "check", "--config", config, "--ignore", "T20"],
        ["mypy", "--config-file", config],
    ):
        tool = [sys.executable, "-m", *command, str(tmp_path / "service_service.py")]
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
