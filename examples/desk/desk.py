"""The host of `desk.conc`: shows the answer as it comes and says where orders are.

Try it with a provider on this machine:

    concerto mock --port 8080 --script examples/desk/mock.json
    python examples/desk/desk.py http://127.0.0.1:8080/v1
"""

import sys
from pathlib import Path

import concerto

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/v1"

with concerto.Runtime(Path(__file__).with_name("desk.conc"), execution_timeout=60) as rt:
    rt.override_connection("cloud", api_key="test", base_url=URL)

    @rt.on("text")
    def show(part: str) -> None:
        """Prints a piece of the answer as it comes."""
        print(part, end="", flush=True)

    @rt.tool("Orders", "status")
    def status(id: str) -> str:
        """Stands in for a back end."""
        return f"order {id} is on its way"

    try:
        verdict = rt.call("answer", "Where is order 7?")
    except concerto.ProgramError as e:
        print("failed:", e.value, e.trace)
    else:
        print()
        print(verdict.area, verdict.urgent)
    m = rt.get_metrics()
    print(
        m.tokens_by_connection("cloud").total,
        m.tokens_by_model("Writer").tokens_out,
        m.estimated_cost("cloud").usd,
    )
