"""Writes n records as JSON, reads the text, and looks into the outcome."""

import json

SIZE = 10_000
SMALL = 30


def run(n: int) -> int:
    records = []
    for i in range(n):
        records.append(
            {
                "id": i,
                "name": f"user {i}",
                "score": 0.5 * i,
                "tags": ["a", "b", "c"],
                "ok": i % 2 == 0,
            }
        )
    text = json.dumps(records, separators=(",", ":"))
    read = json.loads(text)
    total = 0
    for record in read:
        number: int = record["id"]
        if record["ok"]:
            total += number
    return total + len(text)
