"""Python's collector of cycles, kept out of the way. A leaf."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Trees and tables are many small objects without cycles: the collector would walk them again and again, which is a quarter of a compilation."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def no_collector() -> None:
    """For a process that ends when it has compiled: what is left of the compilation is not looked at again, also at the end."""
    gc.disable()
    atexit.register(gc.freeze)
