"""Compiled programs: loading one, and looking into it.

Running one loads this module, so it imports no more than that needs.
"""

from __future__ import annotations

import os

from concerto import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from concerto.interface import Channel, EntryPoint


class Program:
    """A verified program: immutable, cheap to share between threads and runtimes; pickles."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Program) -> None:
        self._native = native

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """Reads a `.conc-ir` file. Raises `IrError` if it is no such file or of another version."""
        with open(os.fspath(path), "rb") as file:
            return cls.from_bytes(file.read())

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Loads compiled bytes. Raises `IrError`."""
        return cls(_native.Program.from_bytes(data))

    def to_bytes(self) -> bytes:
        """The compiled form, as `concerto build` writes it."""
        return self._native.to_bytes()

    def listing(self) -> str:
        """A readable listing of the compiled program."""
        return self._native.listing()

    @property
    def has_main(self) -> bool:
        """Whether the program has `main` or top-level statements to run."""
        return self._native.has_main()

    @property
    def entry_points(self) -> tuple[EntryPoint, ...]:
        """The functions that `Runtime.call` accepts."""
        from concerto.interface import EntryPoint, Parameter

        return tuple(
            EntryPoint(name, tuple(Parameter(*p) for p in parameters), result)
            for name, parameters, result in self._native.entry_points()
        )

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that the program names, by name."""
        from concerto.interface import Channel

        found = self._native.channels()
        return tuple(Channel(name, tuple(sent), tuple(asked)) for name, sent, asked in found)

    @property
    def connections(self) -> tuple[str, ...]:
        """Names of the declared connections."""
        return tuple(self._native.connections())

    @property
    def permissions(self) -> tuple[list[str], list[str]]:
        """Environment variables and hosts that the program may ask for."""
        return self._native.permissions()

    def schema(self, name: str) -> dict[str, Any]:
        """The JSON Schema of a schema of the program. Raises `KeyError` for an unknown name."""
        text = self._native.schema(name)
        if text is None:
            raise KeyError(name)
        import json

        schema: dict[str, Any] = json.loads(text)
        return schema

    def __reduce__(self) -> tuple[Callable[[bytes], Program], tuple[bytes]]:
        return (Program.from_bytes, (self.to_bytes(),))
