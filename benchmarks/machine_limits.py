"""What this processor can do at most: floating-point operations a second, and bytes that it reads from each cache.

    python benchmarks/machine_limits.py [-threads 1,2] [-seconds 0.5]

The operations are fused multiply-adds that never leave the registers; no program does more. Every figure is that of all
threads together, the best of five tries, since other programs can only lower it. Needs a C compiler (`cc`, or `CC`).
"""

from __future__ import annotations

import ctypes
import functools
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import arguments
import numpy as np

_SOURCE = Path(__file__).with_suffix(".c")
_TRIES = 5
# A part of each cache, so that the rest holds what else is going on, and far more than the last one.
_PLACES = {"level 1 cache": 16 << 10, "level 2 cache": 512 << 10, "level 3 cache": 8 << 20, "memory": 256 << 20}


@functools.cache
def _library() -> ctypes.CDLL:
    """The loops, compiled for this machine. Errors: OSError, subprocess.CalledProcessError without a compiler."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "limits.so")
        compiler = shlex.split(os.environ.get("CC", "cc"))
        subprocess.run([*compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", path, _SOURCE], check=True)
        library = ctypes.CDLL(path)
    for name in ("double_rate", "float_rate"):
        getattr(library, name).argtypes = [ctypes.c_double]
    library.read_rate.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_double]
    for name in ("double_rate", "float_rate", "read_rate"):
        getattr(library, name).restype = ctypes.c_double
    return library


def operations_a_second(precision: str, threads: int, seconds: float = 0.02) -> float:
    """Floating-point operations a second of all threads together, measured once.

    Args:
        precision: "double" or "float".
    """
    rate = getattr(_library(), f"{precision}_rate")
    return _together(lambda _: rate(seconds), threads)


def bytes_a_second(nbytes: int, threads: int, seconds: float = 0.02) -> float:
    """Bytes a second that all threads together read, each of `nbytes` bytes of its own, measured once."""
    buffers = [np.ones(nbytes // 8 + 8) for _ in range(threads)]

    def rate(thread: int) -> float:
        aligned = (buffers[thread].ctypes.data + 63) // 64 * 64
        return _library().read_rate(aligned, nbytes // 1024 * 1024, seconds)

    return _together(rate, threads)


def _together(rate: Callable[[int], float], threads: int) -> float:
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(rate, range(threads)))


def figures(threads=(1, 2), seconds: float = 0.5) -> list[dict[str, object]]:
    """One row a limit, with a column for each number of threads, in thousand millions a second."""
    measures: dict[str, Callable[[int], float]] = {
        "operations, double": lambda n: operations_a_second("double", n, seconds / _TRIES),
        "operations, float": lambda n: operations_a_second("float", n, seconds / _TRIES),
    }
    for place, nbytes in _PLACES.items():
        measures[f"bytes read, {place}"] = lambda n, nbytes=nbytes: bytes_a_second(nbytes, n, seconds / _TRIES)
    return [
        {"10^9 a second": what} | {f"threads {n}": max(measure(n) for _ in range(_TRIES)) / 1e9 for n in threads}
        for what, measure in measures.items()
    ]


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-threads", type=arguments.listed(arguments.count), default="1,2")
    parser.add_argument("-seconds", type=float, default=0.5)
    args = parser.parse_args()
    for row in figures(args.threads, args.seconds):
        what, *values = row.items()
        print(", ".join([str(what[1]), *(f"{value:.1f} with {key}" for key, value in values)]))


if __name__ == "__main__":
    main()
