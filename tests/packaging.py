"""What `make wheel-test` does: the wheels and the source package work where neither Rust nor this clone is, for every Python that is here.

There are two wheels: `cp311-abi3` for every CPython with a GIL from 3.11 on, and `cp315-abi3.abi3t` for free-threaded ones from 3.15 on, which those
with a GIL take as well.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

PROGRAM = """\
connect cloud { provider: "openai", api_key: env("CLOUD_KEY"), default_model: "gpt-4o-mini" }
model M { provider: cloud }
pub fn ask(question: String) -> Result<String, LlmError> { Ok(M.execute(question)?.text) }
fn main() { emit("answer", ask("Hello")?); Ok(()) }
"""

HOST = """\
import concerto
with concerto.MockServer() as server, concerto.Runtime("main.conc") as runtime:
    runtime.override_connection("cloud", api_key="sk-test", base_url=server.url)
    assert runtime.call("ask", "Hi") == "[mock response to: Hi]"
    assert runtime.get_metrics().tokens_by_connection("cloud").total > 0
"""

#: The minor version of an interpreter, and whether it is free-threaded.
ABI = "import sys, sysconfig; print(sys.version_info[1], int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))))"

#: What a source package must have, besides all of the Rust and Python source.
NEEDED = [
    "Cargo.toml",
    "Cargo.lock",
    "pyproject.toml",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "include/concerto.h",
    "docs/hosts/rust.md",  # its blocks are tests of the crate
]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def run(*command: str | Path, cwd: Path, path: str) -> str:
    """Output of a command that sees this search path and nothing else of the environment."""
    kept = {
        name: os.environ[name]
        for name in ("HOME", "PIP_INDEX_URL", "PIP_CERT")
        if name in os.environ
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def try_wheel(wheel: Path, python: str) -> None:
    """Installs it in an empty environment, and uses the command line and the host."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = f"{folder}/venv/bin:/usr/bin:/bin"
        assert shutil.which("cargo", path=path) is None, "this is to be a place without Rust"
        run(python, "-m", "venv", "venv", cwd=folder, path=path)
        run(
            "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            wheel,
            cwd=folder,
            path=path,
        )
        (folder / "main.conc").write_text(PROGRAM, encoding="utf-8")
        run("concerto", "check", "main.conc", cwd=folder, path=path)
        shown = run("concerto", "run", "main.conc", "--mock", cwd=folder, path=path)
        assert shown == "[emit:answer] [mock response to: Hello]\n", shown
        run("python", "-c", HOST, cwd=folder, path=path)
        version = run(
            "python", "-c", "import sys; print(sys.version.split()[0])", cwd=folder, path=path
        ).strip()
        say(f"{wheel.name} works with Python {version}")


def check_wheel(wheel: Path, library: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        native = sum(item.file_size for item in archive.infolist() if item.filename.endswith(".so"))
    assert "concerto/py.typed" in names
    assert len(fnmatch.filter(names, f"concerto/{library}")) == 1, names
    assert not [name for name in names if name.startswith(("tests/", "rust/"))]
    say(
        f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {native / 1e6:.1f} MB of it the native module before compression"
    )


def check_source(package: Path) -> None:
    with tarfile.open(package) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(
        ["git", "ls-files", "rust", "python"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    missing = sorted(set(NEEDED + listed.stdout.split()) - names)
    assert missing == [], f"the source package lacks {missing}"
    ours = {"rust", "python", "PKG-INFO", *(name.partition("/")[0] for name in NEEDED)}
    strangers = sorted(name for name in names if name and name.partition("/")[0] not in ours)
    assert strangers == [], f"the source package has {strangers[:5]}"
    say(f"{package.name}: {package.stat().st_size / 1e6:.1f} MB")


def newest(pattern: str) -> Path:
    return max((ROOT / "dist").glob(pattern), key=lambda path: path.stat().st_mtime)


def interpreters() -> list[str]:
    """The interpreters on the path that can be started, not wrappers of them."""
    found = []
    for name in [f"python3.{minor}{ending}" for minor in range(11, 20) for ending in ("", "t")]:
        command = [name, "-c", "import sys; print(sys._base_executable)"]
        if shutil.which(command[0]) is not None:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found += done.stdout.split() if done.returncode == 0 else []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python",
        action="append",
        help="an interpreter to install into; default: those on the path",
    )
    given = parser.parse_args().python
    wheel, free, package = (
        newest("*-cp311-abi3-*.whl"),
        newest("*-abi3.abi3t-*.whl"),
        newest("*.gz"),
    )
    check_wheel(wheel, "_native.abi3.so")
    assert "-cp315-" in free.name
    check_wheel(free, "_native.abi3t*.so")  # maybe with the platform, as 3.15 takes it
    check_source(package)
    for python in given or interpreters():
        minor, is_free = map(int, subprocess.check_output([python, "-c", ABI], text=True).split())
        if not is_free:
            try_wheel(wheel, python)
        if minor >= 15:
            try_wheel(free, python)
        elif is_free:
            say(f"{python}: no wheel is for it, pip builds the source package; not tried")


if __name__ == "__main__":
    main()
