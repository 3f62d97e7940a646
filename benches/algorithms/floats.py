"""Points of an n by n grid that stay near the origin (the Mandelbrot set)."""

SIZE = 120
SMALL = 8


def run(n: int) -> int:
    inside = 0
    for row in range(n):
        y0 = 2.0 * float(row) / float(n) - 1.0
        for column in range(n):
            x0 = 3.0 * float(column) / float(n) - 2.0
            x = 0.0
            y = 0.0
            turn = 0
            while turn < 50 and x * x + y * y < 4.0:
                following = x * x - y * y + x0
                y = 2.0 * x * y + y0
                x = following
                turn += 1
            if turn == 50:
                inside += 1
    return inside
