"""Sorts numbers, texts, and objects by a key and by a comparison."""

from dataclasses import dataclass
from functools import cmp_to_key

SIZE = 50_000
SMALL = 150


@dataclass(slots=True)
class Person:
    name: str
    age: int


def younger_first(a: Person, b: Person) -> int:
    return a.age - b.age


def run(n: int) -> int:
    state = 12345
    numbers = []
    words = []
    people = []
    for _ in range(n):
        state = (state * 1103515245 + 12345) % 2147483648
        numbers.append(state)
        words.append(f"w{state % 100000}")
        people.append(Person(name=f"n{state % 1000}", age=state % 90))
    numbers.sort()
    words.sort()
    by_age = sorted(people, key=lambda p: p.age)
    small = sorted(people[0 : n // 10], key=cmp_to_key(younger_first))
    return numbers[n // 2] + len(words[n // 2]) + by_age[n // 2].age + small[n // 20].age
