"""`python -m tests.fuzz [--seconds S] [--deep N] [--target NAME] [--seed N] ..`: feeds each target, each in a process of its own.

Inputs are numbered, and made from target, seed and number, so none is kept but the one that goes wrong: in `tests/fuzz/crashes/`, where the tests find it.
The worker writes its number into a small file; what becomes of the worker, an exception, a crash, a hang, the watcher makes that input again and
goes on behind it.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS

CRASHES = Path(__file__).parent / "crashes"
MEMORY = 4 << 30
#: After so many inputs the worker looks at the time.
BATCH = 50
#: Seconds that a batch may take, on a machine that others use too; then the worker says where it is and ends.
LIMIT = 120.0
#: Finds after which a target is left alone.
MAX_FINDS = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description="Fuzz the front end.")
    parser.add_argument("--seconds", type=float, default=1e9, help="for each target")
    parser.add_argument("--count", type=int, default=10**12, help="at most so many inputs each")
    parser.add_argument("--deep", type=int, help="each target's share of so many inputs")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--jobs", type=int, default=1, help="how many targets at a time")
    parser.add_argument("--worker", type=Path, help="feed here, and write progress to this file")
    parser.add_argument("--input", type=Path, help="feed this kept file once, here")
    args = parser.parse_args()
    if args.input:
        return feed_file(args.input)
    targets = args.target or list(TARGETS)
    if args.worker:
        feed(targets[0], args.seed, args.first, args.count, args.seconds, args.worker)
        return 0

    def finds(name: str) -> int:
        count = int(TARGETS[name].share * args.deep) if args.deep else args.count
        return watched(name, args.seed, args.first, count, args.seconds)

    with ThreadPoolExecutor(args.jobs) as jobs:
        return 1 if sum(jobs.map(finds, targets)) else 0


def text_of(name: str, chance: Random, seed: int, number: int) -> str:
    """Input `number` of a target: the same on every machine."""
    chance.seed(f"{name} {seed} {number}")
    return TARGETS[name].make(chance)


def watched(name: str, seed: int, first: int, count: int, seconds: float) -> int:
    """Feeds a target in processes that may crash or hang. Gives how many inputs went wrong."""
    began, start, finds = time.monotonic(), first, 0
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "progress"
        while True:
            left = seconds - (time.monotonic() - began)
            command = [sys.executable, "-m", "tests.fuzz", "--worker", str(progress)]
            command += ["--target", name, "--seed", str(seed), "--first", str(start)]
            command += ["--count", str(first + count - start), "--seconds", str(left)]
            code = subprocess.run(command, check=False).returncode
            at = int.from_bytes(progress.read_bytes(), "little")
            if code == 0:
                break
            finds += 1
            kept = CRASHES / f"{name}-{seed}-{at}.conc"
            kept.write_bytes(text_of(name, Random(), seed, at).encode("utf-8", "surrogatepass"))
            sys.stderr.write(f"{name}: input {at} ended the worker with {code}; see {kept}\n")
            start = at + 1
            if finds == MAX_FINDS:
                break
    took = time.monotonic() - began
    sys.stdout.write(
        f"{name}: {at - first} inputs, seed {seed} from {first}, in {took:.0f} s; {finds} went wrong\n"
    )
    sys.stdout.flush()
    return finds


def feed(name: str, seed: int, first: int, count: int, seconds: float, progress: Path) -> None:
    """Makes inputs and checks them; the file holds the number of the one that is at work."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    check, chance = TARGETS[name].check, Random()
    until, number, end = time.monotonic() + seconds, first, first + count
    file = os.open(progress, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    while number < end and time.monotonic() < until:
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        for _ in range(min(BATCH, end - number)):
            os.pwrite(file, number.to_bytes(8, "little"), 0)
            check(text_of(name, chance, seed, number))
            number += 1
    faulthandler.cancel_dump_traceback_later()
    os.pwrite(file, number.to_bytes(8, "little"), 0)


def feed_file(path: Path) -> int:
    """Feeds one kept input to the target that its name begins with."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    text = path.read_bytes().decode("utf-8", "surrogatepass")
    TARGETS[path.name.partition("-")[0]].check(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
