"""`concerto mock`: serve the mock provider."""

from __future__ import annotations

import argparse
import json
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from concerto.cli.app import OK, USAGE, Exit
from concerto.cli.arguments import command_parser

#: Options that only the mock itself has.
_OWN = ("script", "latency", "chunk_delay", "error_rate", "rate_limit", "seed", "log")


def main(args: list[str]) -> int:
    """Serves until Ctrl-C."""
    parser = command_parser("mock")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one (default)")
    parser.add_argument("--script", metavar="FILE", help="rules as JSON or TOML; see docs/mock.md")
    parser.add_argument("--latency", type=int, default=0, metavar="MS", help="before each answer")
    parser.add_argument(
        "--chunk-delay", type=int, default=0, metavar="MS", help="between chunks of a stream"
    )
    parser.add_argument(
        "--error-rate", type=float, default=0.0, metavar="P", help="share of requests that fail"
    )
    parser.add_argument(
        "--rate-limit", type=int, metavar="RPM", help="requests per minute; more get a 429"
    )
    parser.add_argument("--seed", type=int, default=0, help="where chance begins (default 0)")
    parser.add_argument("--log", metavar="FILE", help="one JSON line per request, keys removed")
    parser.add_argument(
        "--record", metavar="URL", help="pass requests on to a provider and store what it answers"
    )
    parser.add_argument(
        "--store",
        metavar="FILE",
        default="traffic.jsonl",
        help="where `--record` writes, without keys (default: traffic.jsonl)",
    )
    parser.add_argument(
        "--replay", metavar="FILE", help="answer from what `--record` or `run --record` stored"
    )
    options = parser.parse_args(args)
    try:
        with _server(options, parser) as url:
            print(url, flush=True)
            wait_for_signal()
    except (OSError, ValueError, OverflowError) as error:
        raise Exit(USAGE, f"error: {error}") from None
    return OK


@contextmanager
def _server(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Iterator[str]:
    """What the options ask for; gives its URL."""
    if options.record or options.replay:
        from concerto import tape

        given = [n for n in (*_OWN, "record") if getattr(options, n) != parser.get_default(n)]
        if given and (options.replay or given != ["record"]):
            option, other = "--replay" if options.replay else "--record", given[0]
            message = f"`{option}` and `--{other.replace('_', '-')}` exclude one another"
            raise Exit(USAGE, f"error: {message}")
        if options.replay:
            with tape.playing(Path(options.replay), options.port) as url:
                yield url
        else:
            with tape.recording(options.record, Path(options.store), options.port) as url:
                yield url
        return
    from concerto._native import MockServer

    script = read_script(Path(options.script)) if options.script else None
    with MockServer(
        port=options.port,
        script=script,
        latency_ms=options.latency,
        chunk_delay_ms=options.chunk_delay,
        error_rate=options.error_rate,
        rate_limit=options.rate_limit,
        seed=options.seed,
        log=options.log,
    ) as server:
        yield server.url


def read_script(path: Path) -> str:
    """The script as JSON text, whichever of the two forms the file has."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".toml":
        return text
    try:
        return json.dumps(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise ValueError(f"the script is wrong: {path}: {error}") from None


def wait_for_signal() -> None:
    """Returns on Ctrl-C or SIGTERM."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        return
