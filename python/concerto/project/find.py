"""Where the manifest of a folder is. Most folders have none, and then nothing else of this package is loaded."""

from __future__ import annotations

import os
from pathlib import Path

NAME = "Concerto.toml"


def find(folder: Path) -> Path | None:
    """The manifest of a folder: there, else in the nearest folder above that has one."""
    absolute = Path(os.path.abspath(folder))
    for each in (absolute, *absolute.parents):
        if (each / NAME).is_file():
            return _shown(each / NAME)
    return None


def _shown(path: Path) -> Path:
    """Relative to the current folder where that is shorter, as paths of sources are written."""
    try:
        return Path(os.path.relpath(path))
    except ValueError:  # another drive
        return path
