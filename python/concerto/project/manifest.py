"""`Concerto.toml`, checked as far as no program is needed for it: tables, keys, types, ranges.

The fields of connections are left to the checker, since the rules of `connect` blocks hold for them too. Tables whose features this release does
not have are refused at their place, so that nobody relies on a limit or a permission that is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from concerto import __version__
from concerto.diagnostics.codes import CODES
from concerto.diagnostics.model import Diagnostic, Label, closest, did_you_mean
from concerto.project import toml
from concerto.source import Located, Source, Span

#: Tables that profiles may hold too; `project` and `profile` stand at the top only.
TABLES = ("connections", "pricing", "run", "lint", "fmt", "test", "mcp", "agents", "permissions")
_NOT_YET = ("mcp", "agents")
_PROJECT = {
    "name": "String",
    "version": "String",
    "entry": "String",
    "description": "String",
    "authors": "Array",
    "license": "String",
    "concerto": "String",
}
_RUN = {
    "timeout": "Float",
    "log_level": "String",
    "emit": "String",
    "max_cost": "Float",
    "max_tokens": "Int",
}
_PERMISSIONS = {
    "fs_root": "String",
    "fs": "String",
    "net": "Array",
    "env": "Array",
    "shell": "Bool",
}
_PRICES = {"input": "Float", "output": "Float", "cached": "Float"}
_WORDS = {
    "log_level": ("error", "warn", "info", "debug", "trace"),
    "emit": ("text", "json", "none"),
    "fs": ("none", "read", "write"),
    "lint": ("allow", "warn", "deny"),
}
_NUMBER = r"(0|[1-9]\d*)"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_REQUIREMENT = re.compile(r"(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+){0,2})")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}
_KINDS = {bool: "Bool", int: "Int", float: "Float", str: "String", list: "Array", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Project:
    """A manifest with one profile, or none, applied."""

    source: Source
    #: Relative to the manifest's folder.
    entry: str | None = None
    #: Tables of `[connections.NAME]`, by name.
    connections: dict[str, Located] = field(default_factory=dict)
    #: The same tables of each profile.
    overlays: dict[str, dict[str, Located]] = field(default_factory=dict)
    pricing: dict[str, dict[str, float]] = field(default_factory=dict)
    #: Defaults of the command line: `timeout`, `log_level`, `emit`.
    run: dict[str, Any] = field(default_factory=dict)
    #: What the program may do: `fs_root`, `fs`, `net`, `env`, `shell`, as far as they are given.
    permissions: dict[str, Any] = field(default_factory=dict)
    #: Code to `allow`, `warn` or `deny`.
    lint: dict[str, str] = field(default_factory=dict)
    #: Of `concerto test`: `paths`, relative to the manifest's folder, and `timeout` in seconds.
    test: dict[str, Any] = field(default_factory=dict)
    profile: str | None = None
    #: Of `concerto fmt`.
    line_width: int = 100


def load(path: Path, profile: str | None) -> tuple[Project, list[Diagnostic]]:
    """Reads a manifest. Raises `OSError`, `UnicodeDecodeError`."""
    source = Source.read(path)
    project, diagnostics = read(source, profile)
    if project.entry is not None and not (path.parent / project.entry).is_file():
        entry = toml.parse(source).value["project"].value["entry"]
        message = f"the entry file `{project.entry}` does not exist"
        diagnostics.append(Diagnostic("E4060", message, source, Label(entry.span)))
    return project, diagnostics


def read(source: Source, profile: str | None = None) -> tuple[Project, list[Diagnostic]]:
    """The project and everything that is wrong with its manifest."""
    try:
        document = toml.parse(source)
    except toml.TomlError as error:
        message = f"the manifest is no TOML: {error}"
        return Project(source), [Diagnostic("E4058", message, source, Label(error.span))]
    reader = _Reader(source)
    tables = reader.tables(document, ("project", *TABLES, "profile", "tool"), "the manifest")
    entry = reader.project(tables["project"]) if "project" in tables else None
    plain = reader.part(tables)
    profiles = {
        name: reader.part(reader.tables(each, TABLES, f"`[profile.{name}]`"))
        for name, each in reader.named(tables.get("profile"), "profile").items()
    }
    if profile is not None and profile not in profiles:
        known = ", ".join(profiles) or "it has none"
        help_ = did_you_mean(profile, list(profiles)) or f"profiles: {known}"
        reader.report("E4061", f"the manifest has no profile `{profile}`", Span(0, 0), help_)
    chosen = profiles.get(profile or "", _Part())
    project = Project(
        source,
        entry,
        plain.connections,
        {name: part.connections for name, part in profiles.items()},
        {**plain.pricing, **chosen.pricing},
        {**plain.run, **chosen.run},
        {**plain.permissions, **chosen.permissions},
        {**plain.lint, **chosen.lint},
        {**plain.test, **chosen.test},
        profile,
        chosen.line_width or plain.line_width or 100,
    )
    return project, reader.diagnostics


@dataclass(slots=True)
class _Part:
    """The tables that a manifest and its profiles have in common."""

    connections: dict[str, Located] = field(default_factory=dict)
    pricing: dict[str, dict[str, float]] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    permissions: dict[str, Any] = field(default_factory=dict)
    lint: dict[str, str] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)
    line_width: int | None = None


class _Reader:
    """Reads tables and collects what is wrong with them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = []

    def report(self, code: str, message: str, at: Span, help_: str | None = None) -> None:
        self.diagnostics.append(Diagnostic(code, message, self.source, Label(at), (), help_))

    def tables(self, table: Located, known: tuple[str, ...], where: str) -> dict[str, Located]:
        """The known tables of a table; `tool` belongs to other programs."""
        found: dict[str, Located] = {}
        for name, each in table.value.items():
            if name not in known:
                self.unknown(name, each, known, where, "table")
            elif not isinstance(each.value, dict):
                self.report("E4060", f"`{name}` must be a table, found {_kind(each)}", each.span)
            elif name in _NOT_YET:
                message = f"`[{name}]` has no effect yet"
                help_ = "this release does not have it; see the README"
                self.report("E9001", message, each.key, help_)
            else:
                found[name] = each
        return found

    def unknown(
        self, name: str, each: Located, known: tuple[str, ...], where: str, what: str = "key"
    ) -> None:
        """E4059."""
        known = tuple(k for k in known if k != "tool")
        close = closest(name, list(known))
        help_ = f"did you mean `{close[0]}`?" if close else f"it has: {', '.join(known)}"
        self.report("E4059", f"{where} has no {what} `{name}`", each.key, help_)

    def keys(self, table: Located, known: dict[str, str], where: str) -> dict[str, Any]:
        """The values of all keys that are known and of the right type."""
        found: dict[str, Any] = {}
        for name, each in table.value.items():
            if name not in known:
                self.unknown(name, each, tuple(known), where)
            elif self.fits(name, each, known[name]):
                found[name] = each.value
        return found

    def fits(self, name: str, each: Located, wanted: str) -> bool:
        """Whether a value is of a type; reports it if not."""
        found = _kind(each)
        if found == wanted or (wanted, found) == ("Float", "Int"):
            return True
        self.report("E4060", f"`{name}` must be {wanted}, found {found}", each.span)
        return False

    def named(self, table: Located | None, where: str) -> dict[str, Located]:
        """A table of tables with names of the user's choice."""
        found = {}
        for name, each in (table.value if table else {}).items():
            if isinstance(each.value, dict):
                found[name] = each
            else:
                message = f"`{where}.{name}` must be a table, found {_kind(each)}"
                self.report("E4060", message, each.span)
        return found

    def part(self, tables: dict[str, Located]) -> _Part:
        """What a manifest or a profile says."""
        part = _Part()
        part.connections = self.named(tables.get("connections"), "connections")
        for model, table in self.named(tables.get("pricing"), "pricing").items():
            part.pricing[model] = self.prices(model, table)
        if "run" in tables:
            part.run = self.run(tables["run"])
        if "permissions" in tables:
            part.permissions = self.permissions(tables["permissions"])
        if "lint" in tables:
            part.lint = self.lint(tables["lint"])
        if "fmt" in tables:
            found = self.keys(tables["fmt"], {"line_width": "Int"}, "`[fmt]`")
            self.at_least(tables["fmt"], found, "line_width", 20)
            part.line_width = max(found.get("line_width", 100), 20)
        if "test" in tables:
            part.test = self.test(tables["test"])
        return part

    def project(self, table: Located) -> str | None:
        """`[project]`; gives the entry file."""
        found = self.keys(table, _PROJECT, "`[project]`")
        for name in ("name", "version", "entry"):
            if name not in table.value:
                self.report(
                    "E4060", f"`[project]` needs `{name}`", table.key, f'add `{name} = ".."`'
                )
        if "version" in found and not _VERSION.fullmatch(found["version"]):
            message = f"`{found['version']}` is no semantic version"
            self.report("E4060", message, table.value["version"].span, "write it as `1.2.3`")
        if "concerto" in found:
            self.requirement(found["concerto"], table.value["concerto"].span)
        if any(not isinstance(each.value, str) for each in found.get("authors", ())):
            self.report("E4060", "`authors` must be strings", table.value["authors"].span)
        entry: str | None = found.get("entry")
        if entry is not None and (not entry or Path(entry).is_absolute()):
            message = "`entry` must be a path relative to the manifest"
            self.report("E4060", message, table.value["entry"].span)
            return None
        return entry

    def requirement(self, text: str, at: Span) -> None:
        """`concerto = ">=0.2"`."""
        have = _numbers(__version__)
        for part in text.split(","):
            found = _REQUIREMENT.fullmatch(part.strip())
            if not found:
                message = f"`{text}` is no requirement of a version"
                self.report("E4060", message, at, "write it as `>=0.2` or `>=0.2, <1.0`")
                return
            if not _COMPARE[found[1]](have, _numbers(found[2])):
                message = f"the project needs concerto {text}, this is {__version__}"
                self.report("E4060", message, at)
                return

    def prices(self, model: str, table: Located) -> dict[str, float]:
        """US dollars per million tokens of one model."""
        found = self.keys(table, _PRICES, f'`[pricing."{model}"]`')
        for name in ("input", "output"):
            if name not in table.value:
                self.report("E4060", f'`[pricing."{model}"]` needs `{name}`', table.key)
        for name, price in found.items():
            if not 0 <= price <= 1e6:
                message = f"`{name}` must be 0 to 1000000 US dollars, found {price}"
                self.report("E4060", message, table.value[name].span)
        return {name: float(price) for name, price in found.items()}

    def run(self, table: Located) -> dict[str, Any]:
        """Defaults of `concerto run`."""
        found = self.keys(table, _RUN, "`[run]`")
        for name in ("max_cost", "max_tokens"):
            if name in found and not 0 <= found[name] < float("inf"):
                message = f"`{name}` must be 0 or more, found {found[name]}"
                self.report("E4060", message, table.value[name].span)
        for name in ("log_level", "emit"):
            if name in found:
                self.word(name, table.value[name], _WORDS[name])
        if "timeout" in found and not 0 < found["timeout"] < float("inf"):
            message = f"`timeout` must be positive seconds, found {found['timeout']}"
            self.report("E4060", message, table.value["timeout"].span)
        return found

    def test(self, table: Located) -> dict[str, Any]:
        """What `concerto test` runs, and for how long."""
        found = self.keys(table, {"paths": "Array", "timeout": "Int"}, "`[test]`")
        self.at_least(table, found, "timeout", 1)
        if "paths" in found:
            found["paths"] = [each.value for each in found["paths"]]
            if not all(isinstance(each, str) for each in found["paths"]):
                self.report("E4060", "`paths` must be strings", table.value["paths"].span)
        return found

    def permissions(self, table: Located) -> dict[str, Any]:
        """What the program may do."""
        found = self.keys(table, _PERMISSIONS, "`[permissions]`")
        if "fs" in found:
            self.word("fs", table.value["fs"], _WORDS["fs"])
        for name in ("net", "env"):
            if any(not isinstance(each.value, str) for each in found.get(name, ())):
                self.report("E4060", f"`{name}` must be strings", table.value[name].span)
        if found.get("shell"):
            help_ = "this release has no tool that starts processes; see the README"
            self.report("E9001", "`shell` has no effect yet", table.value["shell"].key, help_)
        return {
            name: [each.value for each in value] if isinstance(value, (list, tuple)) else value
            for name, value in found.items()
        }

    def word(self, name: str, each: Located, words: tuple[str, ...]) -> bool:
        """Whether a value is one of some words; reports it if not."""
        if each.value in words:
            return True
        close = closest(str(each.value), list(words))
        help_ = f'did you mean "{close[0]}"?' if close else None
        message = f"`{name}` must be one of {', '.join(words)}, found `{each.value}`"
        self.report("E4060", message, each.span, help_)
        return False

    def lint(self, table: Located) -> dict[str, str]:
        """Levels of diagnostics, by code."""
        slugs = {entry.slug: code for code, entry in CODES.items() if entry.slug}
        found: dict[str, str] = {}
        for name, each in table.value.items():
            code = slugs.get(name, name)
            if code not in CODES:
                help_ = did_you_mean(name, [*CODES, *slugs])
                self.report("E4059", f"there is no diagnostic `{name}`", each.key, help_)
            elif self.fits(name, each, "String") and self.word(name, each, _WORDS["lint"]):
                if code.startswith("E") and each.value != "deny":
                    message = f"`{name}` is an error and stays one"
                    self.report("E4060", message, each.span, "only warnings have a level")
                found[code] = each.value
        return found

    def at_least(self, table: Located, found: dict[str, Any], name: str, low: int) -> None:
        """Reports a number below its limit."""
        if found.get(name, low) < low:
            message = f"`{name}` must be at least {low}, found {found[name]}"
            self.report("E4060", message, table.value[name].span)


def _numbers(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in re.split(r"[-+]", version)[0].split(".")]
    return tuple((*parts, 0, 0)[:3])


def _kind(each: Located) -> str:
    return _KINDS.get(type(each.value), "a date or time")
