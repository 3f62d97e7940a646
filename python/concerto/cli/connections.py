"""`concerto connections`: the settings that calls would use, and where each comes from."""

from __future__ import annotations

import json
from typing import Any

from concerto.cli import overrides
from concerto.cli.app import OK, USAGE, Exit
from concerto.cli.arguments import command_parser
from concerto.cli.sources import default_file, load_program
from concerto.errors import ConfigError
from concerto.runtime import Runtime

#: In the order of the reference.
_FIELDS = (
    "provider",
    "api_key",
    "base_url",
    "default_model",
    "timeout",
    "retry",
    "rate_limit",
    "headers",
    "organization",
    "project",
    "models",
)


def main(args: list[str]) -> int:
    """Evaluates the fields, but makes no request."""
    parser = command_parser("connections")
    parser.add_argument("file", nargs="?", metavar="FILE", help="a source or compiled file")
    overrides.add_option(parser)
    options = parser.parse_args(args)
    program, _ = load_program(options.file or default_file(options), options)
    try:
        runtime = Runtime(program)
        overrides.apply(runtime, options.override)
        settings = {name: runtime.connection_settings(name) for name in program.connections}
    except ConfigError as error:
        raise Exit(USAGE, f"error: {error}") from None
    if options.format == "json":
        print(json.dumps(settings, indent=1, ensure_ascii=False))
    elif not settings:
        print("the program declares no connection")
    else:
        print("\n".join(render(name, fields) for name, fields in settings.items()), end="")
    return OK


def render(name: str, fields: dict[str, dict[str, Any]]) -> str:
    """One connection: field, value, origin; what is unset and was always so is left out."""
    rows = [
        (field, _shown(entry), entry["origin"])
        for field in _FIELDS
        if (entry := fields[field])["origin"] != "default" or entry["value"] not in (None, {})
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"  {f.ljust(widths[0])}  {v.ljust(widths[1])}  {o}" for f, v, o in rows]
    return "\n".join([name, *lines]) + "\n"


def _shown(entry: dict[str, Any]) -> str:
    value = entry["value"]
    if "error" in entry and value in (None, {}):
        return f"({entry['error']})"
    if isinstance(value, str):
        text = value
    elif value is None:
        text = "-"
    elif isinstance(value, float):
        text = f"{value:g} s"
    else:
        text = json.dumps(value, ensure_ascii=False)
    return f"{text} ({entry['error']})" if "error" in entry else text
