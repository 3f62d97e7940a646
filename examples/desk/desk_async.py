"""The host of `desk.conc` in an event loop: the run as a stream of emits, and a tool that is a coroutine.

Try it as `desk.py`, with `concerto mock` on this machine.
"""

import asyncio
import sys
from pathlib import Path

import concerto

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/v1"


async def main() -> None:
    """Prints the answer as it comes, then the verdict and the tokens."""
    async with concerto.AsyncRuntime(Path(__file__).with_name("desk.conc")) as rt:
        rt.override_connection("cloud", concerto.ConnectionConfig(api_key="test", base_url=URL))

        @rt.tool("Orders", "status")
        async def status(id: str) -> str:
            """Stands in for a back end that takes its time."""
            await asyncio.sleep(0.01)
            return f"order {id} is on its way"

        run = rt.start("answer", mail="Where is order 7?")
        async for e in run:
            if e.channel == "text":
                print(e.payload, end="", flush=True)
        print()
        print((await run).area, rt.get_metrics().total_tokens())


asyncio.run(main())
