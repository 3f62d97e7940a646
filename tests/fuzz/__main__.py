"""`python -m tests.fuzz [--seconds 60] [--target NAME] [--seed N]`: feeds each target until its time is over, each in a process of its own.

An input that goes wrong is kept in `tests/fuzz/crashes/`, where the tests find it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS, limited

CRASHES = Path(__file__).parent / "crashes"
#: Where the input that is being checked is kept.
CURRENT, PREFIX = Path(tempfile.gettempdir()), "concerto-fuzz-"
MEMORY = 4 << 30


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests.fuzz", description="Fuzz the front end, the loader and the VM."
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10**9, help="at most so many inputs")
    parser.add_argument("--worker", action="store_true", help="feed here, without another process")
    parser.add_argument("--input", type=Path, help="feed this file once, here")
    args = parser.parse_args()
    if args.input:
        return feed_file(args.input)
    targets = args.target or list(TARGETS)
    if args.worker:
        return feed(targets[0], args.seed, args.seconds, args.count)
    failed = [name for name in targets if not watched(name, args.seed, args.seconds, args.count)]
    return 1 if failed else 0


def watched(name: str, seed: int, seconds: float, count: int) -> bool:
    """Feeds a target in a process that may crash or hang."""
    command = [sys.executable, "-m", "tests.fuzz", "--worker", "--target", name]
    command += ["--seed", str(seed), "--seconds", str(seconds), "--count", str(count)]
    try:
        result = subprocess.run(command, timeout=seconds * 3 + 120, check=False)
        code: int | str = result.returncode
    except subprocess.TimeoutExpired:
        code = "a hang"
    if code != 0:
        for kept in CURRENT.glob(f"{PREFIX}{name}-{seed}-*"):
            shutil.move(kept, CRASHES / kept.name.removeprefix(PREFIX))
        sys.stderr.write(f"{name}: the worker ended with {code}; its input is in {CRASHES}\n")
    return code == 0


def feed(name: str, seed: int, seconds: float, count: int) -> int:
    """Makes inputs and checks them; the current one is on disk while it is checked."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    make, check = TARGETS[name]
    until = time.monotonic() + seconds
    done = 0
    while time.monotonic() < until and done < count:
        made = make(Random(f"{name} {seed} {done}"))
        data = made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass")
        kept = (
            CURRENT
            / f"{PREFIX}{name}-{seed}-{done}{'.json' if isinstance(made, bytes) else '.conc'}"
        )
        kept.write_bytes(data)
        with limited():
            check(made)
        kept.unlink()
        done += 1
    sys.stdout.write(f"{name}: {done} inputs, seed {seed}\n")
    return 0


def feed_file(path: Path) -> int:
    """Feeds one kept input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    data = path.read_bytes()
    with limited():
        if path.suffix == ".json":
            TARGETS["documents"][1](data)
        else:
            TARGETS["programs"][1](data.decode("utf-8", "surrogatepass"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
