"""Seconds to find the passages of a sample in a text, beside those of its SHA-256, which `copied` computes too.

    python benchmarks/copies.py [-megabytes 100] [-repeats 3] [-threads N]

The text is the manual that comes with Python, over and over; the sample has stretches of it, in another order, of 5 KB
and 100 KB. On N threads, by default those of `copied`, and on one. The measurements of one row are interleaved.
Processor seconds, of N threads, depend less on what else runs on the machine.
"""

from __future__ import annotations

import hashlib
import random
import statistics
import time
from collections.abc import Callable, Iterator

import arguments
import sampling

from pycharrnn.common import cores
from pycharrnn.engine import matching
from pycharrnn.text.datasets import DATASETS

PIECE = 1 << 20
STRETCH = 40  # bytes of the text in a sample, one after the other


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    """`text` over and over, up to `size` bytes."""
    while size:
        for first in range(0, len(text), PIECE):
            piece = text[first : first + min(PIECE, size)]
            yield piece
            size -= len(piece)


def sample_of(text: bytes, size: int) -> bytes:
    draw = random.Random(1)
    starts = (draw.randrange(len(text) - STRETCH) for _ in range(-(-size // STRETCH)))
    return b"".join(text[start : start + STRETCH] for start in starts)[:size]


def figures(megabytes: int = 100, repeats: int = 3, threads: int = 0) -> list[dict]:
    """All measurements: "what", "unit", "value", "processor", "one thread", "SHA-256", and the ratio of value to it."""
    text = DATASETS["pydoc"]("input.txt")
    threads = threads or cores.default_threads()
    rows = []
    for size in (5_000, 100_000):
        for count in sorted({1, megabytes}):
            sample = sample_of(text, size)

            processor: list[float] = []

            def match(
                threads: int = threads, sample: bytes = sample, count: int = count, processor: list = processor
            ) -> float:
                start, used = time.perf_counter(), time.process_time()
                matching.match(sample, [pieces(text, count * 1_000_000)], threads)
                processor.append(time.process_time() - used)
                return time.perf_counter() - start

            def match_on_one(match: Callable[[int], float] = match) -> float:
                return match(1)

            def digest(count: int = count) -> float:
                start, found = time.perf_counter(), hashlib.sha256()
                for piece in pieces(text, count * 1_000_000):
                    found.update(piece)
                return time.perf_counter() - start

            measures = {"value": match, "one thread": match_on_one, "SHA-256": digest}
            measured = sampling.in_turns(measures, repeats)
            measured["processor"] = statistics.median(processor[::2])
            what = f"a sample of {size // 1000} KB, a text of {count} MB"
            rows.append({"what": what, "unit": "s", **measured, "/ SHA-256": measured["value"] / measured["SHA-256"]})
    return rows


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-megabytes", type=int, default=100)
    parser.add_argument("-repeats", type=int, default=3)
    parser.add_argument("-threads", type=int, default=0)
    args = parser.parse_args()
    for row in figures(args.megabytes, args.repeats, args.threads):
        seconds = f"{row['value']:8.3f} s (processor {row['processor']:.3f} s), one thread {row['one thread']:.3f} s"
        print(f"{row['what']:40} {seconds}, SHA-256 {row['SHA-256']:.3f} s")


if __name__ == "__main__":
    main()
