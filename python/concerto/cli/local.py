"""`concerto local`: a small real model on this machine."""

from __future__ import annotations

from pathlib import Path

from concerto.cli.app import OK, USAGE, Exit
from concerto.cli.arguments import command_parser
from concerto.cli.mock import wait_for_signal


def main(args: list[str]) -> int:
    """Installs weights, or serves a model until Ctrl-C."""
    parser = command_parser("local")
    parser.add_argument(
        "--install",
        action="store_true",
        help="fetch the weights of SmolLM2-135M-Instruct (about 90 MB) and stop",
    )
    parser.add_argument("--model", metavar="PATH", help="serve this GGUF file instead")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one (default)")
    options = parser.parse_args(args)
    from concerto import local

    try:
        if options.install:
            print(local.install(print))
            return OK
        with local.serve(Path(options.model) if options.model else None, options.port) as server:
            print(f"serving {server.model} at {server.url}\n\n{server.connect_block()}", flush=True)
            wait_for_signal()
    except local.LocalError as error:
        raise Exit(USAGE, f"error: {error}") from None
    return OK
