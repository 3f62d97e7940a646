"""Concerto: the program itself asks in a loop, called once from Python."""

import concerto

from rivals.concerto_ import PROGRAM, environment
from rivals.shared import QUESTION, WHO


def connect(url: str) -> concerto.Runtime:
    return concerto.Runtime(concerto.Program.load(PROGRAM), env=environment(url))


def ask_many(client: concerto.Runtime, count: int) -> None:
    client.call("ask_many", QUESTION, count)


def typed_many(client: concerto.Runtime, count: int) -> None:
    client.call("describe_many", WHO, count)
