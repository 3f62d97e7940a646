"""Prime numbers below n with a sieve, then a stack that grows and shrinks."""

SIZE = 200_000
SMALL = 500


def run(n: int) -> int:
    sieve = []
    for _ in range(n):
        sieve.append(True)
    total = 0
    for i in range(2, n):
        if sieve[i]:
            total += i
            multiple = i * i
            while multiple < n:
                sieve[multiple] = False
                multiple += i
    stack = []
    for i in range(n):
        stack.append(i)
        if i % 3 == 2:
            total += stack.pop() if stack else 0
            total += stack.pop() if stack else 0
    for left in stack:
        total += left
    return total
