"""A loop over integers."""

SIZE = 2_000_000
SMALL = 3000


def run(n: int) -> int:
    total = 0
    i = 0
    while i < n:
        total += i % 7
        i += 1
    return total
