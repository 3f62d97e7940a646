"""Recursion: calls and little else."""

SIZE = 27
SMALL = 14


def run(n: int) -> int:
    return n if n < 2 else run(n - 1) + run(n - 2)
