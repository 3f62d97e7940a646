"""`--watch`: do something again whenever a file of the program changes."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from concerto.cli.app import Exit
from concerto.project.find import find

#: Seconds between two looks. Looking at a thousand files takes some milliseconds, on every system and file system.
INTERVAL = 0.25

State = dict[str, tuple[int, int]]


def again_and_again(action: Callable[[], object], options: argparse.Namespace) -> NoReturn:
    """Acts now and after each change, until the user interrupts. What is wrong with the project is said, and may be mended."""
    while True:
        before = state(options)
        try:
            action()
        except Exit as problem:
            print(problem, file=sys.stderr)
        sys.stdout.flush()
        print("watching for changes; Ctrl-C ends it", file=sys.stderr, flush=True)
        while state(options) == before:
            time.sleep(INTERVAL)


def state(options: argparse.Namespace) -> State:
    """Time and size of each file that may matter: all programs and modules below the folders in question and that of the project, and its manifest."""
    paths = [Path(path) for path in options.paths or ["."]]
    folders = {path if path.is_dir() else path.parent for path in paths}
    manifests = {
        manifest
        for folder in folders
        if (manifest := Path(options.manifest) if options.manifest else find(folder))
    }
    folders |= {manifest.parent for manifest in manifests}
    files = {file for folder in folders for file in _programs(folder)}
    found: State = {}
    for file in (*files, *manifests, *paths):
        try:
            known = file.stat()
        except OSError:
            continue  # it is not there: when it comes, the state is another one
        found[str(file)] = (known.st_mtime_ns, known.st_size)
    return found


def _programs(folder: Path) -> Iterator[Path]:
    for root, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        yield from (Path(root, file) for file in files if file.endswith(".conc"))
