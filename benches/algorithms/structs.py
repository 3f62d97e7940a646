"""Balls in a box: fields of objects in a list are read and changed."""

from dataclasses import dataclass

SIZE = 2_000
SMALL = 10


@dataclass(slots=True)
class Ball:
    x: float
    y: float
    dx: float
    dy: float
    hits: int


def moved(ball: Ball) -> Ball:
    # A dataclass is shared where a struct would be copied; nobody else holds this one.
    following = ball
    following.x += following.dx
    following.y += following.dy
    if following.x < 0.0 or following.x > 100.0:
        following.dx = -following.dx
        following.hits += 1
    if following.y < 0.0 or following.y > 100.0:
        following.dy = -following.dy
        following.hits += 1
    return following


def run(n: int) -> int:
    balls = []
    for i in range(100):
        balls.append(Ball(x=1.0 * i, y=50.0, dx=1.5, dy=0.5 + 0.25 * i, hits=0))
    for _ in range(n):
        for i in range(100):
            balls[i] = moved(balls[i])
    hits = 0
    for ball in balls:
        hits += ball.hits
    return hits
