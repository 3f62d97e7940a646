"""The check of one file, from its declarations to its function bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concerto.check import types as t
from concerto.check.checked import (
    CheckedProgram,
    ConnectionInfo,
    EnumInfo,
    Facts,
    FunctionInfo,
    ImplInfo,
    ManifestFacts,
    ModelInfo,
    StructInfo,
    TraitInfo,
    Use,
)
from concerto.check.types import Type
from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span
from concerto.syntax import ast

if TYPE_CHECKING:
    from concerto.check.generics import Applied


class Checker:
    """Tables and diagnostics that all parts of the check share."""

    def __init__(self, source: Source, module: ast.Module, manifest: Source | None = None) -> None:
        #: The text that is being checked: the program, or for a while the manifest.
        self.source = source
        self.manifest = manifest
        self.module = module
        self.diagnostics: list[Diagnostic] = []
        self.facts = Facts()
        self.structs: dict[str, StructInfo] = {}
        self.enums: dict[str, EnumInfo] = {}
        self.aliases: dict[str, ast.TypeAlias] = {}
        self.connections: dict[str, ConnectionInfo] = {}
        self.models: dict[str, ModelInfo] = {}
        self.functions: dict[str, FunctionInfo] = {}
        self.constants: dict[str, tuple[Type, object]] = {}
        #: Functions of the library that the program uses, and the trees that facts refer to.
        self.library: dict[str, FunctionInfo] = {}
        self.kept: list[ast.Module] = []
        #: Whether the library itself is being checked, which may ask for natives and effects.
        self.is_library = False
        #: Declarations marked `@deprecated`, with what it says.
        self.deprecated: dict[str, str] = {}
        self.traits: dict[str, TraitInfo] = {}
        self.impls: list[ImplInfo] = []
        #: Written types with arguments that are not checked yet, and generic schemas with their arguments.
        self.applied: list[Applied] = []
        self.schemas: list[t.Struct] = []
        #: Functions that code without type parameters uses with type arguments.
        self.uses: list[Use] = []
        #: Whether all declarations are known.
        self.is_collected = False
        #: Type parameters in scope, and `Self`.
        self.opaque: dict[str, Type] = {}
        self.env: set[str] = set()
        self.hosts: set[str] = set()
        #: Names whose declarations were refused: using them is no second mistake.
        self.refused: set[str] = set(module.lost)
        #: Aliases that are being resolved, to find circles.
        self.resolving: list[str] = []
        #: Those that are part of a circle, which was reported.
        self.circular: set[str] = set()

    @property
    def in_manifest(self) -> bool:
        """Whether the manifest is being checked: some fields are spelled differently there."""
        return self.source is self.manifest

    def report(
        self,
        code: str,
        message: str,
        at: ast.Node | Span,
        help_: str | None = None,
        related: tuple[Label, ...] = (),
        note: str = "",
    ) -> None:
        """Adds a diagnostic."""
        span = at.span if isinstance(at, ast.Node) else at
        label = Label(span, note)
        self.diagnostics.append(Diagnostic(code, message, self.source, label, related, help_))

    def not_yet(self, what: str, at: ast.Node | Span) -> None:
        """A form that the language has and this release does not compile."""
        self.report(
            "E9001",
            f"{what} cannot be compiled yet",
            at,
            "this release does not have it; see the README",
        )

    def mismatch(self, expected: Type, found: Type, at: ast.Node, help_: str | None = None) -> None:
        """E3001."""
        message = f"expected `{t.show(expected)}`, found `{t.show(found)}`"
        self.report("E3001", message, at, help_)


def check(
    source: Source, module: ast.Module, manifest: ManifestFacts | None = None
) -> tuple[CheckedProgram, list[Diagnostic]]:
    """The checked program, which may be lowered if no diagnostic is an error."""
    from concerto.check.bodies import check_bodies
    from concerto.check.collect import collect
    from concerto.check.instances import check_instances
    from concerto.check.validators import check_validators

    checker = Checker(source, module, manifest.source if manifest else None)
    top = collect(checker, manifest)
    check_bodies(checker, top)
    check_validators(checker)
    check_instances(checker)
    program = CheckedProgram(
        source=source,
        module=module,
        facts=checker.facts,
        structs=checker.structs,
        enums=checker.enums,
        connections=checker.connections,
        models=checker.models,
        functions=checker.functions,
        constants=checker.constants,
        top=top,
        env=checker.env,
        hosts=checker.hosts,
        manifest=manifest,
        library=checker.library,
        traits=checker.traits,
        impls=checker.impls,
        schemas=checker.schemas,
        kept=checker.kept,
    )
    return program, checker.diagnostics
