"""The comparison: the same work for each rival, in turns, on this machine; `make bench-compare` runs it, README.md here explains it.

Every measurement is a process of its own. What runs inside Python is timed by pytest-benchmark in an environment that holds only that rival, pinned in
`requirements/`; the Rust rows are `floor.rs`. Two mock servers on loopback, processes of their own, answer all of them.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benches.compare.table import CALLS, OTHERS, Figures, languages, table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILT = ROOT / "target" / "compare"
PROGRAM = BUILT / "bench.conc-ir"
SOURCE = BUILT / "source" / "bench.conc"
RESULTS = HERE / "results"
BIN = Path(sys.executable).parent
TICKS = os.sysconf("SC_CLK_TCK")

WORKLOADS = (
    "sequence",
    "typed",
    "concurrent[64-0]",
    "concurrent[64-50]",
    "concurrent[512-0]",
    "concurrent[512-50]",
    "streams[50-2000]",
    "streams[500-200]",
    "first",
    "import",
)


@dataclass(frozen=True)
class Row:
    """One way to do the work: `module` of `rivals/` in the environment `home`, or a `way` of `floor.rs`, or our command line, which runs `file`."""

    title: str
    home: str = ""
    module: str = ""
    way: str = ""
    file: Path | None = None
    #: What a user of it imports.
    library: str = ""


ROWS = (
    Row("bare hyper (Rust)", way="hyper"),
    Row("bare reqwest (Rust)", way="reqwest"),
    Row("Concerto, Rust host", way="host"),
    Row("Concerto, the program asks", "concerto", "concerto_program"),
    Row("Concerto, Python", "concerto", "concerto_", library="concerto"),
    Row("Concerto, Python callback", "concerto", "concerto_callback"),
    Row("Concerto, command line", "concerto", file=PROGRAM),
    Row("the same, source from the cache", "concerto", file=SOURCE),
    Row("Python alone", "concerto", library="sys"),
    Row("BAML", "baml", "baml_", library="baml_client"),
    Row("aiohttp by hand", "aiohttp", "aiohttp_", library="aiohttp"),
    Row("httpx by hand", "httpx", "httpx_", library="httpx"),
    Row("OpenAI SDK", "openai", "openai_sdk", library="openai"),
    Row("instructor", "instructor", "instructor_", library="instructor"),
    Row("LangChain", "langchain", "langchain_", library="langchain_openai"),
    Row("LiteLLM", "litellm", "litellm_", library="litellm"),
    Row("pydantic-ai", "pydantic_ai", "pydantic_ai_", library="pydantic_ai"),
)
FLOOR = "bare reqwest (Rust)"


def sh(*command: str | Path, **env: str) -> str:
    """Runs a command; its standard output. A failure shows what it said."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(
            f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


def prepare(rows: Sequence[Row]) -> Path:
    """Builds the environments that are missing, our wheel and the floor; the path of the latter."""
    for home in sorted({row.home for row in rows} - {"", "concerto"}):
        _environment(home, HERE / "requirements" / f"{home}.txt")
    if any(row.home == "baml" for row in rows):
        sh(BUILT / "baml" / "bin" / "baml-cli", "generate", "--from", HERE / "baml_src")
    SOURCE.parent.mkdir(exist_ok=True)
    shutil.copy(HERE / "programs/bench.conc", SOURCE)
    sh(BIN / "python", "-m", "concerto", "build", "-q", SOURCE, "-o", PROGRAM)
    if any(row.home == "concerto" for row in rows):
        _environment("concerto", HERE / "requirements" / "concerto.txt")
        wheels = BUILT / "wheel"
        sh(BIN / "maturin", "build", "--locked", "--release", "--out", wheels)
        newest = max(wheels.glob("*.whl"), key=lambda wheel: wheel.stat().st_mtime)
        pip = BUILT / "concerto" / "bin" / "pip"
        sh(pip, "install", "-q", "--disable-pip-version-check", "--force-reinstall", newest)
    return _floor()


def _environment(home: str, requirements: Path) -> None:
    stamp = BUILT / home / ".installed"
    wanted = requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing {home} ..", file=sys.stderr)
    sh(sys.executable, "-m", "venv", "--clear", BUILT / home)
    pip = BUILT / home / "bin" / "pip"
    sh(pip, "install", "-q", "--disable-pip-version-check", "-r", requirements)
    stamp.write_text(wanted)


def _floor() -> Path:
    command = ["cargo", "bench", "--locked", "--features", "mock", "--bench", "floor"]
    messages = sh(*command, "--no-run", "--message-format=json").splitlines()
    for line in map(json.loads, messages):
        if line.get("executable") and line["target"]["name"] == "floor":
            return Path(line["executable"])
    raise SystemExit("cargo built no floor")


@contextmanager
def mock(*options: str) -> Iterator[tuple[str, int]]:
    """A mock server in a process of its own: its URL and process id."""
    command = [
        str(BUILT / "concerto" / "bin" / "concerto"),
        "mock",
        "--script",
        str(HERE / "script.json"),
        *options,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise SystemExit("the mock server did not start")
        url = found[0].removesuffix("/").removesuffix("/v1")
        yield f"{url}/v1", process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_of(pid: int) -> float:
    """Seconds that a process has computed so far (Linux; elsewhere 0)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(row: Row, workload: str, floor: Path, url: str, slow_url: str) -> Figures | None:
    """One round of one workload; None where the row has no such thing."""
    if workload == "first":
        return _first(row, floor)
    if workload == "import":
        return _import(row)
    if row.way:
        if row.way == "hyper" and (workload == "typed" or workload.startswith("streams")):
            return None
        output = sh(floor, PROGRAM, "--way", row.way, workload, url, slow_url)
        figures: Figures = json.loads(output.splitlines()[-1])
        return figures
    if not row.module:
        return None
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command: list[str | Path] = [
            BUILT / row.home / "bin" / "python",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
        ]
        command += ["-c", os.devnull, "--rootdir", HERE, f"{HERE}/test_rival.py::test_{workload}"]
        command += ["--rival", row.module, "--url", url, "--slow-url", slow_url]
        sh(*command, f"--benchmark-json={file.name}", **_ENVIRONMENT)
        text = Path(file.name).read_text()
    benchmarks = json.loads(text)["benchmarks"] if text else []
    return benchmarks[0]["extra_info"] if benchmarks else None


_ENVIRONMENT = {"BENCH_PROGRAM": str(PROGRAM), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

GENERATED = str(BUILT / "generated")


def _import(row: Row) -> Figures | None:
    """A whole process that imports the library and ends."""
    if not row.library:
        return None
    code = f"import sys; sys.path.insert(0, {GENERATED!r}); import {row.library}"
    start = time.perf_counter()
    sh(BUILT / row.home / "bin" / "python", "-c", code, **_ENVIRONMENT)
    return {"seconds": time.perf_counter() - start}


_FIRST = """
import asyncio, sys
sys.path[:0] = [{here!r}, {generated!r}]
import rivals.{module} as rival
if hasattr(rival, "ask_many"):
    rival.ask_many(rival.connect({url!r}), 1)
elif hasattr(rival, "ask"):
    rival.ask(rival.connect({url!r}))
elif hasattr(rival, "typed"):
    rival.typed(rival.connect({url!r}))
else:
    async def main():
        await rival.ask_async(await rival.connect_async({url!r}))
    asyncio.run(main())
"""


def _first(row: Row, floor: Path) -> Figures | None:
    """From the start of a process until its first request arrives. The server closes without an answer, so the process is ended then."""
    if row.module == "concerto_callback" or not (row.way or row.module or row.file):
        return None
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        if row.way:
            command = [str(floor), str(PROGRAM), "--way", row.way, "first", url, url]
        elif row.file:
            command = [str(BUILT / row.home / "bin" / "concerto"), "run", str(row.file)]
        else:
            code = _FIRST.format(here=str(HERE), generated=GENERATED, module=row.module, url=url)
            command = [str(BUILT / row.home / "bin" / "python"), "-c", code]
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **_ENVIRONMENT, "BENCH_KEY": "sk-bench", "BENCH_URL": url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with server.accept()[0] as connection:
                connection.settimeout(60)
                connection.recv(1)
                return {"seconds": time.perf_counter() - start}
        finally:
            process.kill()
            process.wait()


def installed(home: str) -> tuple[float, int]:
    """MiB of the packages of an environment, and how many they are, without those that measure."""
    measuring = (HERE / "requirements" / "concerto.txt").read_text().lower()
    skipped = {"pip", "setuptools"} | set(re.findall(r"^([\w-]+)==", measuring, re.MULTILINE))
    size, count = 0, 0
    for record in (BUILT / home / "lib").glob("python*/site-packages/*.dist-info/RECORD"):
        name = record.parent.name.split("-")[0].lower()
        if name.replace("_", "-") in skipped:
            continue
        count += 1
        size += sum(int(line[2] or 0) for line in csv.reader(record.read_text().splitlines()))
    return size / 2**20, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="after one that warms up")
    parser.add_argument(
        "--only", default="", help="rows whose title contains one of these, by comma"
    )
    parser.add_argument("--workloads", default="", help="the same for workloads")
    parser.add_argument(
        "--languages", action="store_true", help="compare computation also then, not only calls"
    )
    options = parser.parse_args()
    rows = [row for row in ROWS if _chosen(row.title, options.only)]
    workloads = [name for name in WORKLOADS if _chosen(name, options.workloads)]
    BUILT.mkdir(parents=True, exist_ok=True)
    floor = prepare(rows)
    results: dict[str, dict[str, list[Figures]]] = {name: {} for name in workloads}
    with mock() as (url, pid), mock("--latency", "50") as (slow_url, _):
        for workload in workloads:
            for number in range(options.rounds + 1):
                for row in rows:
                    server, start = cpu_of(pid), time.perf_counter()
                    figures = measure(row, workload, floor, url, slow_url)
                    if figures is None:
                        continue
                    share = (cpu_of(pid) - server) / (time.perf_counter() - start)
                    shown = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
                    print(
                        f"{workload:20} {row.title:28} server {share:4.0%}  {shown}",
                        file=sys.stderr,
                    )
                    if number > 0:
                        figures["server_share"] = share
                        results[workload].setdefault(row.title, []).append(figures)
    sizes = {home: installed(home) for home in {row.home for row in rows} - {""}}
    results["installed"] = {
        row.title: [dict(zip(("mib", "packages"), sizes[row.home], strict=True))]
        for row in rows
        if row.library and row.library != "sys"
    }
    titles = [row.title for row in rows]
    print(table(results, titles, CALLS, FLOOR), table(results, titles, OTHERS, FLOOR), sep="\n\n")
    computed: dict[str, dict[str, float]] = {}
    if options.languages or not (options.only or options.workloads):
        computed = json.loads(sh(BUILT / "concerto/bin/python", "-m", "benches.machine"))
        print("", languages(computed, platform.python_version()), sep="\n")
    if not options.only and not options.workloads:
        RESULTS.mkdir(exist_ok=True)
        machine = {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        }
        raw = {
            "date": datetime.date.today().isoformat(),
            "machine": machine,
            "results": results,
            "computation": computed,
        }
        (RESULTS / f"{raw['date']}.json").write_text(json.dumps(raw, indent=1) + "\n")


def _cpu() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        return platform.processor()
    return found[1] if found else platform.processor()


def _chosen(title: str, words: str) -> bool:
    return not words or any(word in title for word in words.split(","))


if __name__ == "__main__":
    main()
