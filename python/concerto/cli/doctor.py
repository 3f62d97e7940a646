"""`concerto doctor`: what this installation and the project here consist of, and what is wrong with them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concerto import __version__, _native
from concerto.cli.app import FAILED, OK, Exit
from concerto.cli.arguments import command_parser
from concerto.cli.sources import compile_path, default_file, open_project
from concerto.errors import ConcertoError
from concerto.program import Program
from concerto.runtime import Runtime

if TYPE_CHECKING:
    from concerto.cache import Compiled

Report = dict[str, Any]


def main(args: list[str]) -> int:
    """Looks at everything; with `--net` also calls each connection once."""
    parser = command_parser("doctor")
    parser.add_argument("file", nargs="?", metavar="FILE", help="a source or compiled file")
    parser.add_argument(
        "--net", action="store_true", help="also send a small request over each connection"
    )
    options = parser.parse_args(args)
    found: Report = {
        "versions": _versions(),
        "platform": _platform(),
        "network": _network(),
        **_project(options),
    }
    found["problems"] = [*_wrong_versions(found["versions"]), *found.pop("wrong")]
    if options.format == "json":
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        print("\n".join(_lines(found)))
    return FAILED if found["problems"] else OK


def _versions() -> Report:
    from concerto.lower.ir import VERSION

    return {
        "concerto": __version__,
        "runtime": _native.__version__,
        "ir": VERSION,
        "runtime_ir": _native.ir_version,
    }


def _wrong_versions(versions: Report) -> Iterator[str]:
    for ours, theirs in (("concerto", "runtime"), ("ir", "runtime_ir")):
        if versions[ours] != versions[theirs]:
            message = f"{ours} {versions[ours]} does not fit {theirs} {versions[theirs]}"
            yield f"{message}: install the package again"


def _platform() -> Report:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def _network() -> Report:
    """Variables that decide about proxies and certificates, without passwords."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
    proxies = {
        name: re.sub(r"//[^/@]*@", "//***@", value)
        for name in (*names, *map(str.lower, names))
        if (value := os.environ.get(name))
    }
    bundle = os.environ.get("CONCERTO_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    return {"proxies": proxies, "ca_bundle": bundle}


def _project(options: argparse.Namespace) -> Report:
    """Manifest, program, connections and cache, as far as they can be found, and under `wrong` what cannot."""
    found: Report = {"manifest": None, "program": None, "connections": [], "cache": None}
    wrong: list[str] = []
    try:
        bundle = os.environ.get("CONCERTO_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
        if bundle and not Path(bundle).is_file():
            wrong.append(f"the file of certificates `{bundle}` does not exist")
        project, said = open_project(options.file or ".", options)
        if project is not None:
            found["manifest"] = project.source.path
            wrong += _errors(said)
        path = options.file or default_file(options)
        found["program"] = path
        found["cache"] = _cache(path)
        if found["cache"]["writable"] is False:
            wrong.append(f"`{found['cache']['path']}` cannot be written: nothing is kept there")
        program, problems = _load(path, options)
        wrong += problems
        if program is not None:
            found["connections"], more = _connections(program, options)
            wrong += more
    except Exit as end:
        # Without a program there is nothing more to look at, which is no fault where none was asked for.
        if options.file or found["manifest"]:
            wrong.append(str(end).removeprefix("error: "))
    return {**found, "wrong": list(dict.fromkeys(wrong))}


def _errors(said: Compiled) -> list[str]:
    return [row[5].rstrip("\n") for row in said.diagnostics if row[0] == "error"]


def _load(path: str, options: argparse.Namespace) -> tuple[Program | None, list[str]]:
    try:
        if not path.endswith(".conc"):
            return Program.load(path), []
        compiled, _ = compile_path(path, options)
        if compiled.ir is None:
            return None, _errors(compiled) or [compiled.refusal.removeprefix("error: ")]
        return Program.from_bytes(compiled.ir), []
    except (OSError, ConcertoError) as error:
        return None, [f"{path}: {error}"]


def _cache(path: str) -> Report:
    """Where compiled programs are kept; `writable` is None where that is turned off."""
    folder = Path(path).parent / ".concerto" / "cache"
    if os.environ.get("CONCERTO_CACHE") == "off":
        return {"path": folder.as_posix(), "writable": None}
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            return {"path": folder.as_posix(), "writable": True}
    except OSError:
        return {"path": folder.as_posix(), "writable": False}


def _connections(program: Program, options: argparse.Namespace) -> tuple[list[Report], list[str]]:
    found, wrong = [], []
    document = json.loads(program.to_bytes())
    runtime = Runtime(program)
    for index, name in enumerate(program.connections):
        settings = runtime.connection_settings(name)
        declared = document["connections"][index]
        keys = [
            field["api_key"]
            for field in (declared["fields"], declared.get("profile") or {})
            if "api_key" in field
        ]
        variables = dict.fromkeys(variable for key in keys for variable in _variables(key))
        entry = {
            "name": name,
            "provider": settings["provider"]["value"],
            "base_url": settings["base_url"]["value"],
            "default_model": settings["default_model"]["value"],
            "key_variables": {each: each in os.environ for each in variables},
        }
        problems = [
            f"connection `{name}`: {field}: {setting['error']}"
            for field, setting in settings.items()
            if "error" in setting
        ]
        if options.net and not problems:
            entry["net"], problems = _call(document, index, name)
        found.append(entry)
        wrong += problems
    return found, wrong


def _variables(field: Any) -> Iterator[str]:
    """The variables that the expression of a field reads."""
    match field:
        case {"env": name}:
            yield name
        case {"coalesce": parts} | {"concat": parts}:
            for part in parts:
                yield from _variables(part)


def _call(document: Report, connection: int, name: str) -> tuple[str, list[str]]:
    """Asks a model of a connection for a word: by a function that the program does not have."""
    model, constant, type_ = (len(document[each]) for each in ("models", "constants", "types"))
    fields = {"max_tokens": 16}
    probe = {
        "code": [["model", 0, model], ["const", 1, constant], ["execute", 2, 0, 1], ["return", 2]],
        "name": "doctor", "doc": None, "params": [], "public": True, "registers": 3, "result": type_,
        "file": 0, "span": [0, 0], "spans": [],
    }  # fmt: skip
    with_probe = {
        **document,
        "models": [
            *document["models"],
            {"name": "doctor", "connection": connection, "fields": fields, "span": [0, 0, 0]},
        ],
        "constants": [*document["constants"], ["string", "Say hello."]],
        "types": [*document["types"], ["any"]],
        "functions": [*document["functions"], probe],
        "entry": {
            **document["entry"],
            "top": None,
            "exports": [{"name": "doctor", "function": len(document["functions"])}],
        },
    }
    try:
        program = Program.from_bytes(json.dumps(with_probe).encode("utf-8"))
        answer = Runtime(program, execution_timeout=60.0).call("doctor")
    except ConcertoError as error:
        return "failed", [f"connection `{name}`: {error}"]
    return f"{answer.model} answered after {answer.latency_ms} ms", []


def _lines(found: Report) -> Iterator[str]:
    versions, machine, network = found["versions"], found["platform"], found["network"]
    yield f"concerto      {versions['concerto']}, IR format {versions['ir']}"
    yield f"python        {machine['python']}"
    yield f"system        {machine['system']} on {machine['machine']}, {machine['cpus']} CPUs"
    for name, value in network["proxies"].items():
        yield f"proxy         {name}={value}"
    yield f"certificates  Mozilla's{' and ' + network['ca_bundle'] if network['ca_bundle'] else ''}"
    yield f"manifest      {found['manifest'] or 'none'}"
    yield f"program       {found['program'] or 'none'}"
    if found["cache"]:
        state = {None: "turned off", True: "writable", False: "not writable"}
        yield f"cache         {found['cache']['path']}, {state[found['cache']['writable']]}"
    for each in found["connections"]:
        parts = [each["provider"], each["base_url"], each["default_model"]]
        parts += [f"{k} is {'set' if v else 'not set'}" for k, v in each["key_variables"].items()]
        parts += [each["net"]] if "net" in each else []
        yield f"connection    {each['name']}: {', '.join(part for part in parts if part)}"
    yield ""
    yield from (f"problem: {each}" for each in found["problems"])
    if not found["problems"]:
        yield "nothing is wrong"
