"""Seconds to find the passages of a sample in a text, beside those of its SHA-256, which `copied` computes too.

    python benchmarks/copies.py [-megabytes 100] [-repeats 3]

The text is the manual that comes with Python, over and over; the sample has stretches of it, in another order, of 5 KB
and 100 KB. The measurements of one row are interleaved.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections.abc import Iterator

import sampling

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


def figures(megabytes: int = 100, repeats: int = 3) -> list[dict]:
    """All measurements: "what", "unit", "value", "SHA-256" and their ratio."""
    text = DATASETS["pydoc"]("input.txt")
    rows = []
    for size in (5_000, 100_000):
        for count in sorted({1, megabytes}):
            sample = sample_of(text, size)

            def match(sample: bytes = sample, count: int = count) -> float:
                start = time.perf_counter()
                matching.match(sample, [pieces(text, count * 1_000_000)])
                return time.perf_counter() - start

            def digest(count: int = count) -> float:
                start, found = time.perf_counter(), hashlib.sha256()
                for piece in pieces(text, count * 1_000_000):
                    found.update(piece)
                return time.perf_counter() - start

            measured = sampling.in_turns({"value": match, "SHA-256": digest}, repeats)
            what = f"a sample of {size // 1000} KB, a text of {count} MB"
            rows.append({"what": what, "unit": "s", **measured, "/ SHA-256": measured["value"] / measured["SHA-256"]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-megabytes", type=int, default=100)
    parser.add_argument("-repeats", type=int, default=3)
    args = parser.parse_args()
    for row in figures(args.megabytes, args.repeats):
        print(f"{row['what']:40} {row['value']:8.3f} s, SHA-256 {row['SHA-256']:.3f} s, {row['/ SHA-256']:.1f} times")


if __name__ == "__main__":
    main()
