"""New projects: which files, and that all of them are written or none."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from concerto.project.find import NAME
from concerto.project.templates import (
    GITIGNORE,
    MORE_FILES,
    MORE_README,
    PROVIDERS,
    README,
    TEMPLATES,
    Provider,
)


class CannotCreate(Exception):  # noqa: N818 - the message is for the user
    """Why nothing was written."""


def project_name(text: str) -> str:
    """A name in kebab case: `my-bot` of `My Bot`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", text)
    return "-".join(word.lower() for word in words)


def files(name: str, provider: str, template: str, *, in_manifest: bool) -> dict[str, str]:
    """The files of a new project, by path."""
    chosen = PROVIDERS[provider]
    program = TEMPLATES[template].replace("CONNECTION", chosen.connection)
    manifest = f'[project]\nname = "{name}"\nversion = "0.1.0"\nentry = "src/main.conc"\n'
    if in_manifest:
        manifest += "\n" + _table(provider, chosen)
    else:
        program = _block(provider, chosen) + "\n" + program
    variables = f"{chosen.key}=\n" if chosen.key else "# This provider needs no key.\n"
    return {
        NAME: manifest,
        "src/main.conc": program,
        ".gitignore": GITIGNORE,
        ".env.example": variables,
        "README.md": README.replace("NAME", name) + MORE_README.get(template, ""),
        **MORE_FILES.get(template, {}),
    }


def _block(kind: str, provider: Provider) -> str:
    """The connection in the source. The name tells the provider, unless it is another word."""
    lines = [f"connect {provider.connection} {{"]
    if kind not in provider.connection:
        lines.append(f"    provider: {kind},")
    if provider.key:
        lines.append(f'    api_key: env("{provider.key}"),')
    if provider.base_url:
        lines.append(f'    base_url: "{provider.base_url}",')
    return "\n".join([*lines, f'    default_model: "{provider.model}",', "}", ""])


def _table(kind: str, provider: Provider) -> str:
    """The connection in the manifest."""
    lines = [f"[connections.{provider.connection}]", f'provider = "{kind}"']
    if provider.key:
        lines.append(f'api_key_env = "{provider.key}"')
    if provider.base_url:
        lines.append(f'base_url = "{provider.base_url}"')
    return "\n".join([*lines, f'default_model = "{provider.model}"', ""])


def create(folder: Path, content: dict[str, str]) -> None:
    """Writes all files, or none. Raises `CannotCreate`."""
    if (folder / NAME).exists():
        raise CannotCreate(f"a project already exists here: `{folder / NAME}`")
    for name in content:
        if (folder / name).exists():
            raise CannotCreate(f"`{folder / name}` exists already")
    made: list[Path] = []
    try:
        for name, text in content.items():
            path = folder / name
            for parent in reversed(path.parents):
                if not parent.exists():
                    parent.mkdir()
                    made.append(parent)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                made.append(path)
                file.write(text)
    except OSError as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise CannotCreate(f"cannot write `{error.filename}`: {error.strerror}") from None
