"""`concerto mock`: serve the mock provider."""

from __future__ import annotations

import json
import signal
import tomllib
from pathlib import Path
from types import FrameType

from concerto.cli.app import OK, USAGE, Exit, command_parser


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
    options = parser.parse_args(args)
    from concerto._native import MockServer

    try:
        script = read_script(Path(options.script)) if options.script else None
        server = MockServer(
            port=options.port,
            script=script,
            latency_ms=options.latency,
            chunk_delay_ms=options.chunk_delay,
            error_rate=options.error_rate,
            rate_limit=options.rate_limit,
            seed=options.seed,
            log=options.log,
        )
    except (OSError, ValueError, OverflowError) as error:
        raise Exit(USAGE, f"error: {error}") from None

    with server:
        print(server.url, flush=True)
        wait_for_signal()
    return OK


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
