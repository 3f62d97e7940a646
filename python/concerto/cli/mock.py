"""`concerto mock`: serve the mock provider."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

from concerto.cli.app import OK, USAGE, Exit, command_parser


def main(args: list[str]) -> int:
    """Serves until Ctrl-C."""
    parser = command_parser("mock")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one (default)")
    parser.add_argument("--script", metavar="FILE", help="rules as JSON; see docs/mock.md")
    parser.add_argument("--latency", type=int, default=0, metavar="MS", help="before each answer")
    parser.add_argument(
        "--chunk-delay", type=int, default=0, metavar="MS", help="between chunks of a stream"
    )
    parser.add_argument("--log", metavar="FILE", help="one JSON line per request, keys removed")
    options = parser.parse_args(args)
    from concerto._native import MockServer

    try:
        script = Path(options.script).read_text(encoding="utf-8") if options.script else None
        server = MockServer(
            port=options.port,
            script=script,
            latency_ms=options.latency,
            chunk_delay_ms=options.chunk_delay,
            log=options.log,
        )
    except (OSError, ValueError, OverflowError) as error:
        raise Exit(USAGE, f"error: {error}") from None

    with server:
        print(server.url, flush=True)
        wait_for_signal()
    return OK


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
