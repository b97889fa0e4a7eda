"""How much longer a training step takes while other programs keep every core busy.

    python benchmarks/busy_machine.py [-tries 10] [-seconds 1] [-loops 2] [-threads 1,2] [-size 2x128]

Steps of an lstm, batch 50, sequence 50, 65 characters. Each try measures it quiet, then beside so many busy loops, one
a core by default: half of the machine is gone then, so that twice as long is the least to be expected. The machine must
do nothing else.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import arguments
import torch
from train_step import B, T, V, ours

_LOOP = "print(flush=True)\nwhile True: pass"


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep so many cores busy."""
    running = [subprocess.Popen([sys.executable, "-c", _LOOP], stdout=subprocess.PIPE) for _ in range(loops)]
    try:
        for loop in running:
            loop.stdout.readline()  # it has begun
        yield
    finally:
        for loop in running:
            loop.kill()
            loop.communicate()


def step_ms(step, seconds: float) -> float:
    """The mean time of a step, of as many as fit into so many seconds, at least three."""
    x, y = (torch.randint(V, (T, B), generator=torch.Generator().manual_seed(1)) for _ in range(2))
    step(x, y)
    start, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - start < seconds:
        step(x, y)
        steps += 1
    return 1000 * (time.perf_counter() - start) / steps


def figures(
    size: str = "2x128", threads=(1, 2), tries: int = 10, seconds: float = 1, loops: int = 2
) -> list[dict[str, object]]:
    """One row for each precision and number of threads: medians, and the worst of all tries."""
    layers, H = map(int, size.split("x"))
    rows = []
    for dtype in (torch.float64, torch.float32):
        for n in threads:
            torch.set_num_threads(n)
            step = ours("lstm", layers, H, dtype)
            quiet, beside = [], []
            for _ in range(tries):
                quiet.append(step_ms(step, seconds))
                with busy(loops):
                    beside.append(step_ms(step, seconds))
            ratios = [b / q for q, b in zip(quiet, beside, strict=True)]
            rows.append(
                {
                    "precision": "double" if dtype == torch.float64 else "float",
                    "threads": n,
                    "quiet ms": round(statistics.median(quiet), 2),
                    f"beside {loops} loops ms": round(statistics.median(beside), 2),
                    "ratio": round(statistics.median(ratios), 2),
                    "worst ratio": round(max(ratios), 2),
                }
            )
    return rows


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-tries", type=int, default=10)
    parser.add_argument("-seconds", type=float, default=1)
    parser.add_argument("-loops", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "-threads", type=arguments.listed(arguments.count), default=sorted({1, torch.get_num_threads()})
    )
    parser.add_argument("-size", type=arguments.size, default="2x128")
    args = parser.parse_args()
    for row in figures(args.size, args.threads, args.tries, args.seconds, args.loops):
        print(", ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
