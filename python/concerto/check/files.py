"""The files of a program as one text.

Spans of the second file go on where those of the first end, and so on: one number says file and place. The check works on the whole text, which for a
program of one file is that file; `located` tells what belongs to which file.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cached_property

from concerto.check.follow_ups import Parsed
from concerto.diagnostics.model import Diagnostic, Label
from concerto.source import Source, Span


@dataclass
class Files:
    """Sources in the order of their loading; the entry file is the first."""

    sources: list[Source] = field(default_factory=list)
    #: Where each begins in the whole text.
    starts: list[int] = field(default_factory=list)
    #: The files of modules as they were read.
    modules: list[Parsed] = field(default_factory=list)

    def add(self, source: Source) -> int:
        """Files a source; gives where it begins. Not after `whole` was asked for."""
        start = self.starts[-1] + len(self.sources[-1].text) + 1 if self.sources else 0
        self.sources.append(source)
        self.starts.append(start)
        return start

    @cached_property
    def whole(self) -> Source:
        """The program as one source."""
        if len(self.sources) == 1:
            return self.sources[0]
        return Source(self.sources[0].path, "\n".join(source.text for source in self.sources))

    def index(self, offset: int) -> int:
        """The file of a place."""
        return bisect_right(self.starts, offset) - 1

    def locate(self, span: Span) -> tuple[Source, Span]:
        """The file of a span, and the span in it."""
        at = self.index(span.start)
        return self.sources[at], Span(span.start - self.starts[at], span.end - self.starts[at])

    def located(self, diagnostic: Diagnostic) -> Diagnostic:
        """A diagnostic about the whole text as one about a file; others stay as they are."""
        if diagnostic.source is not self.whole or len(self.sources) == 1:
            return diagnostic
        source, span = self.locate(diagnostic.primary.span)
        related = []
        for label in diagnostic.related:
            if label.source is None:
                own, place = self.locate(label.span)
                label = Label(place, label.text, None if own is source else own)
            related.append(label)
        primary = Label(span, diagnostic.primary.text)
        return replace(diagnostic, source=source, primary=primary, related=tuple(related))
