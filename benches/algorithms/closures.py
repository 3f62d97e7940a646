"""Functions as values: made, kept, handed over, called."""

from collections.abc import Callable
from functools import reduce

SIZE = 100_000
SMALL = 500


def twice(f: Callable[[int], int]) -> Callable[[int], int]:
    return lambda x: f(f(x))


def run(n: int) -> int:
    total = 0
    for i in range(n):
        add = lambda x, i=i: x + i  # noqa: E731 - as the other program does
        total += twice(add)(i % 10)
    numbers = list(range(n))
    squares = list(filter(lambda x: x % 3 == 1, map(lambda x: x * x, numbers)))
    return total + reduce(lambda sum_, x: sum_ + x, squares, 0)
