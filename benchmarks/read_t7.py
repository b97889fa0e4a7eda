"""How long a .t7 file takes to read and how much memory, beside reading its bytes alone.

    python benchmarks/read_t7.py [-megabytes 500] [FILE...]

Reads each FILE, then a file of one large tensor and one of 100,000 losses that it makes in a temporary folder.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import arguments
import numpy as np

from compat import Storage, Tensor, load_t7, save_t7


class _Noise(Storage):
    """A storage that is made while it is written."""

    def __init__(self, megabytes: int):
        super().__init__(b"torch.DoubleStorage", np.empty(0))
        self._megabytes = megabytes

    def __len__(self) -> int:
        return self._megabytes << 17

    def blocks(self):
        block = np.random.default_rng(0).normal(size=1 << 17)
        for _ in range(self._megabytes):
            yield block


def median_seconds(read, repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        read()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def peak_megabytes(path: str) -> float:
    """Beyond what importing compat takes, in a process of its own."""
    code = (
        "import sys, compat\n"
        "def status(): return int(next(l for l in open('/proc/self/status') if 'RssAnon' in l).split()[1])\n"
        "before = status(); value = compat.load_t7(sys.argv[1]); print((status() - before) / 1024)"
    )
    return float(subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, text=True).stdout)


def report(path: str) -> None:
    size = os.path.getsize(path) / 1e6
    plain = median_seconds(lambda: Path(path).read_bytes())
    ours = median_seconds(lambda: load_t7(path))
    memory = peak_megabytes(path) if sys.platform == "linux" else float("nan")
    name = os.path.basename(path)[:36]
    seconds = f"read {1000 * ours:7.1f} ms, bytes alone {1000 * plain:7.1f} ms"
    print(f"{name:36} {size:8.1f} MB: {seconds}, memory {memory:.0f} MB")


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-megabytes", type=arguments.count, default=500)
    parser.add_argument("files", nargs="*", type=arguments.file)
    args = parser.parse_args()
    for path in args.files:
        report(path)
    with tempfile.TemporaryDirectory() as folder:
        large = os.path.join(folder, "one large tensor")
        storage = _Noise(args.megabytes)
        save_t7(large, {b"weight": Tensor(b"torch.DoubleTensor", storage, (len(storage),))})
        report(large)
        losses = os.path.join(folder, "100,000 losses")
        save_t7(losses, np.random.default_rng(0).normal(size=100_000).tolist())
        report(losses)


if __name__ == "__main__":
    main()
