"""How fast are programs checked and formatted? Whole processes, cold and from the cache, and stages within one process."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benches.timing import COMMAND, ROUNDS, Work, heading, interleaved, row, run, shown

SIZES = (1_000, 10_000)

#: Declarations as programs have them, numbered so that each copy is its own.
_CONNECTION = """connect openai {
    api_key: env("BENCH_KEY"),
    default_model: "gpt-4o-mini",
    timeout: 60,
}

model Reader { provider: openai, temperature: 0.0 }

"""
_PART = """/// What a message number # is about.
schema Ticket# {
    area: "billing" | "login" | "other",
    urgent: Bool,
    summary: String,
    tags: Array<String> = [],
}

struct Order# {
    id: Int,
    lines: Array<(String, Int)>,
    total: Float,
}

enum State# {
    Open,
    Paid(Float),
    Sent { by: String, days: Int },
}

impl Order# {
    pub fn new(id: Int) -> Order# {
        Order# { id: id, lines: [], total: 0.0 }
    }

    pub fn add(mut self, name: String, count: Int, price: Float) {
        self.lines.push((name, count));
        self.total += price * count;
    }
}

fn describe#(state: State#, limit: Int = 3) -> String {
    match state {
        State#::Open => "open",
        State#::Paid(sum) if sum > 100.0 => "paid in full: ${sum}",
        State#::Paid(sum) => "paid ${sum}",
        State#::Sent { by, days } => {
            let late = days > limit;
            if late { "late, sent by ${by}" } else { "sent by ${by}" }
        }
    }
}

fn sort#(mail: String) -> Result<Ticket#, LlmError> {
    // The answer is read as a ticket.
    let ticket = Reader.execute_with_schema<Ticket#>("Sort this mail:\\n${mail}")?;
    if ticket.urgent {
        for chunk in Reader.stream("Draft an answer to:\\n${mail}")? {
            emit("draft", chunk.text);
        }
    }
    Ok(ticket)
}

fn totals#(orders: Array<Order#>) -> Map<String, Int> {
    let mut counts: Map<String, Int> = {};
    for order in orders {
        for (name, count) in order.lines {
            counts[name] = (counts.get(name) ?? 0) + count;
        }
    }
    let big = orders.filter(|order| order.total > 50.0).map(|order| order.id);
    let mut i = 0;
    while i < big.len() && i < 10 {
        counts["order ${big[i]}"] = i * 2 + 1;
        i += 1;
    }
    counts
}

fn use#() {
    let mut order = Order#::new(#);
    order.add("pen", 2, 1.5);
    order.add("ink", count: 1, price: 7.25);
    println(describe#(State#::Sent { by: "post", days: 5 }), totals#([order]));
    match sort#("Where is my parcel?") {
        Ok(ticket) => emit("ticket", ticket.summary),
        Err(e) => emit("failed", e.message),
    }
}

"""


def program(lines: int) -> str:
    """A program of this many lines, more or less."""
    count = max(1, lines // _PART.count("\n"))
    parts = [_PART.replace("#", str(number)) for number in range(count)]
    calls = "".join(f"    use{number}();\n" for number in range(count))
    return f"{_CONNECTION}{''.join(parts)}fn main() {{\n{calls}}}\n"


def front_end() -> None:
    with tempfile.TemporaryDirectory() as name:
        processes(Path(name))
    stages()


def processes(folder: Path) -> None:
    """What a user waits for."""
    heading("`concerto check`", "first", "cached", "lines/s")
    for size in SIZES:
        text = program(size)
        (folder / "main.conc").write_text(text, encoding="utf-8")

        def anew() -> None:
            shutil.rmtree(folder / ".concerto", ignore_errors=True)
            run(*COMMAND, "check", "-q", "main.conc", cwd=folder)

        works: dict[str, Work] = {
            "first": anew,
            "cached": lambda: run(*COMMAND, "check", "-q", "main.conc", cwd=folder),
        }
        times = interleaved(works, ROUNDS if size <= SIZES[0] else 5)
        first, cached = (statistics.median(times[way]) for way in works)
        lines = text.count("\n")
        row(f"{lines:,} lines", shown(first), shown(cached), f"{lines / first:,.0f}")


def stages() -> None:
    """What each stage costs in a process that is warm, in time of the processor."""
    from concerto.compiler import compile_source
    from concerto.source import Source
    from concerto.syntax.filter import filter_tokens
    from concerto.syntax.format_source import format_source
    from concerto.syntax.lexer import lex
    from concerto.syntax.parser import parse

    heading("Stages of the front end", *(f"{size:,} lines" for size in SIZES))
    sources = [Source("main.conc", program(size)) for size in SIZES]
    found: dict[str, list[float]] = {}
    for source in sources:
        _, diagnostics = compile_source(source)
        if any(diagnostic.is_error for diagnostic in diagnostics):
            raise AssertionError(diagnostics[0].message)
        works: dict[str, Work] = {
            "lex": lambda: lex(source),  # noqa: B023 - called within the turn
            "lex, filter": lambda: filter_tokens(source, lex(source)[0]),  # noqa: B023
            "lex, filter, parse": lambda: parse(source),  # noqa: B023
            "all, to the IR": lambda: compile_source(source),  # noqa: B023
            "fmt": lambda: format_source(source),  # noqa: B023
        }
        for way, times in interleaved(works, 5, time.process_time).items():
            found.setdefault(way, []).append(statistics.median(times))
    for way, medians in found.items():
        row(way, *(shown(median) for median in medians))
    speed = len(sources[-1].text.encode()) / found["fmt"][-1] / 1e6
    print(f"`fmt` does {speed:.2f} MB/s")
