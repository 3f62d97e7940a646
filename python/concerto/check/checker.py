"""The check of a program, from its declarations to its function bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from concerto.check import types as t
from concerto.check.checked import (
    CheckedProgram,
    ConnectionInfo,
    EnumInfo,
    Facts,
    FieldInfo,
    FunctionInfo,
    ImplInfo,
    ManifestFacts,
    ModelInfo,
    ParamInfo,
    PipelineInfo,
    StoreInfo,
    StructInfo,
    ToolInfo,
    TraitInfo,
    Use,
)
from concerto.check.found import Finder, no_files
from concerto.check.link import Linked, link
from concerto.check.types import Type
from concerto.diagnostics.model import Diagnostic, Label, did_you_mean
from concerto.source import Source, Span
from concerto.syntax import ast

if TYPE_CHECKING:
    from concerto.check.defaults import PendingDefault
    from concerto.check.emits import Channel
    from concerto.check.generics import Applied


class Checker:
    """Tables and diagnostics that all parts of the check share."""

    def __init__(
        self,
        source: Source,
        module: ast.Module,
        manifest: Source | None = None,
        linked: Linked | None = None,
    ) -> None:
        #: The text that is being checked: the whole program, or for a while the manifest.
        self.source = source
        self.manifest = manifest
        self.module = module
        #: The modules of the program.
        self.linked = linked
        self.diagnostics: list[Diagnostic] = []
        self.facts = Facts()
        self.structs: dict[str, StructInfo] = {}
        self.enums: dict[str, EnumInfo] = {}
        self.aliases: dict[str, ast.TypeAlias] = {}
        self.connections: dict[str, ConnectionInfo] = {}
        self.models: dict[str, ModelInfo] = {}
        self.stores: dict[str, StoreInfo] = {}
        self.functions: dict[str, FunctionInfo] = {}
        self.constants: dict[str, tuple[Type, object]] = {}
        self.pipelines: dict[str, PipelineInfo] = {}
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
        self.tools: dict[str, ToolInfo] = {}
        #: Each `emit` to a channel that is written down.
        self.channels: list[Channel] = []
        #: Tools, MCP servers and agents: what each is called.
        self.outside: dict[str, str] = {}
        #: Names whose declarations were refused: using them is no second mistake.
        self.refused: set[str] = set(module.lost)
        #: Aliases that are being resolved, to find circles.
        self.resolving: list[str] = []
        #: Constants that nobody asked for yet, and those that are being evaluated.
        self.pending_constants: dict[str, ast.Const] = {}
        self.evaluating: list[str] = []
        #: Defaults that nobody asked for yet, by the identity of what they are of; functions that compute defaults, with the parameters before them.
        self.pending_defaults: dict[int, PendingDefault] = {}
        self.computed: list[tuple[FunctionInfo, tuple[ParamInfo, ...]]] = []
        #: Aliases and constants that are part of a circle, which was reported.
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
        shown = _as_written(message)
        told = help_ and _as_written(help_)
        self.diagnostics.append(Diagnostic(code, shown, self.source, label, related, told))

    def hint(self, name: str, candidates: Iterable[str], at: ast.Node) -> str | None:
        """The help line for an unknown name: close ones that are visible at a place, as they are written there."""
        names = list(candidates)
        return self.linked.hint(name, names, at.span) if self.linked else did_you_mean(name, names)

    def may_see(self, info: StructInfo, field: FieldInfo, at: ast.Node) -> bool:
        """Whether a field may be used at a place; reports it if not (6.8)."""
        home = _home(info.name)
        if field.is_pub or info.origin != "struct" or not home or self.linked is None:
            return True
        if self.linked.may_see(home, at.span):
            return True
        related = (Label(field.span, "declared here without `pub`"),) if field.span else ()
        help_ = f"write `pub {field.name}` there"
        message = f"the field `{field.name}` of `{info.name}` is private"
        self.report("E2008", message, at, help_, related)
        return False

    def is_foreign(self, name: str, at: ast.Node) -> bool:
        """Whether a declaration with this full name stands in another module than a place."""
        module = self.linked.module_at(at.span) if self.linked else None
        return module is not None and module.path != _home(name)

    def may_call(self, function: FunctionInfo, at: ast.Node) -> None:
        """Reports a method of a type that is private to the module of its `impl` (6.10)."""
        owner = function.owner
        if self.linked is None or function.is_pub or function.node is None:
            return
        if not isinstance(owner, ImplInfo) or owner.trait is not None:
            return
        home = self.linked.module_at(owner.node.span)
        if home is None or self.linked.may_see(home.path, at.span):
            return
        related = (Label(function.node.name.span, "declared here without `pub`"),)
        help_ = f"write `pub` before `fn {function.node.name}` there"
        self.report("E2008", f"the function `{function.name}` is private", at, help_, related)

    def declared_functions(self) -> list[FunctionInfo]:
        """The functions of the program, of its traits and of its `impl` blocks."""
        traits = [method for trait in self.traits.values() for method in trait.methods.values()]
        # A tool that implements a trait has one block of its own and one for the trait.
        blocks = dict.fromkeys(method for impl in self.impls for method in impl.methods.values())
        return [*self.functions.values(), *traits, *blocks]

    def circular_constant(self, name: str, message: str) -> None:
        """E2005, once for each circle, where it closes."""
        if not self.circular & set(self.evaluating):
            nodes = [item for item in self.module.items if isinstance(item, ast.Const)]
            last = next(node for node in nodes if node.name.text == self.evaluating[-1])
            self.report("E2005", message, last.name)
        self.circular.update([*self.evaluating, name])

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

    def add_help(self, since: int, code: str, help_: str) -> None:
        """A help line for what was reported since then under a code, where it has none."""
        for at in range(since, len(self.diagnostics)):
            each = self.diagnostics[at]
            if each.code == code and each.help is None:
                self.diagnostics[at] = replace(each, help=help_)


def _as_written(text: str) -> str:
    """A text with types that hide one of the library as `Task` instead of `::Task`, except where it names the library's, too."""
    for name in set(re.findall(r"(?<!\w)::(\w+)", text)):
        if not re.search(rf"(?<![\w:]){name}\b", text):
            text = re.sub(rf"(?<!\w)::(?={name}\b)", "", text)
    return text


def _home(name: str) -> tuple[str, ...]:
    """The path of the module of a declaration, by its full name."""
    return tuple(part for part in name.partition("<")[0].split("::")[:-1] if part)


def check(
    source: Source,
    module: ast.Module,
    manifest: ManifestFacts | None = None,
    find: Finder = no_files,
) -> tuple[CheckedProgram, list[Diagnostic]]:
    """The checked program, which may be lowered if no diagnostic is an error. `find` looks for the files of modules."""
    from concerto.check.bodies import check_bodies
    from concerto.check.collect import collect
    from concerto.check.emits import channels
    from concerto.check.instances import check_instances
    from concerto.check.pipelines import check_pipelines
    from concerto.check.unused import check_unused_items
    from concerto.check.validators import check_validators

    linked = link(source, module, find)
    source, module = linked.files.whole, linked.tree
    checker = Checker(source, module, manifest.source if manifest else None, linked)
    checker.refused |= linked.refused
    top = collect(checker, manifest)
    check_bodies(checker, top)
    check_pipelines(checker)
    check_validators(checker)
    check_instances(checker)
    check_unused_items(checker)
    program = CheckedProgram(
        source=source,
        module=module,
        facts=checker.facts,
        structs=checker.structs,
        enums=checker.enums,
        connections=checker.connections,
        models=checker.models,
        stores=checker.stores,
        tools=checker.tools,
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
        files=linked.files,
        channels=channels(checker),
        exports=linked.exports,
    )
    found = [linked.files.located(diagnostic) for diagnostic in checker.diagnostics]
    return program, [*linked.diagnostics, *found]
