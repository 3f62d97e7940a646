"""What a search for the file of a module gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from concerto.records import record

if TYPE_CHECKING:
    from concerto.diagnostics.model import Diagnostic
    from concerto.source import Source


@record()
class Found:
    """What the disk holds for a module: its files (two are one too many), or at least a folder of modules inside of it."""

    sources: tuple[Source, ...] = ()
    is_folder: bool = False
    #: Where it was looked for, for messages.
    places: tuple[str, ...] = ()
    #: The modules that stand beside it, for hints.
    beside: tuple[str, ...] = ()
    #: What is wrong with the bytes of the file.
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether there is such a module."""
        return bool(self.sources or self.is_folder or self.diagnostics)


#: Looks for the module of a path under the source root.
Finder = Callable[[tuple[str, ...]], Found]


def no_files(_path: tuple[str, ...]) -> Found:
    """The finder of a program that is given as text."""
    return Found()
