"""A compiled program from a file on the command line."""

from __future__ import annotations

from concerto.cli.app import USAGE, Exit
from concerto.program import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from concerto.cli.app import SharedOptions


def is_compiled(path: str) -> bool:
    """Whether a file is taken for a compiled program: it is no source, and not standard input."""
    return path != "-" and not path.endswith(".conc")


def load_compiled(path: str, options: argparse.Namespace | SharedOptions) -> Program:
    """Reads and verifies a compiled program. Raises `Exit`."""
    if options.manifest or options.profile:
        message = "a compiled program has its manifest and profile already"
        raise Exit(USAGE, f"error: {message}; choose them with `concerto build`")
    try:
        return Program.load(path)
    except OSError as error:
        raise Exit(USAGE, f"error: cannot read `{path}`: {error.strerror}") from None
    except Exception as error:
        from concerto.errors import IrError

        if isinstance(error, IrError):
            raise Exit(USAGE, f"error: {path}: {error}") from None
        raise
