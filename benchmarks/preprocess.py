"""Speed and memory of preprocessing a text, beside a plain copy of the file.

    python benchmarks/preprocess.py [-megabytes 2000] [-folder DIR]

Makes the text on the spot in a temporary folder of DIR and deletes it. Copy and preprocessing both end with fsync.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import arguments

ROOT = Path(__file__).parents[1]
PIECE = 1 << 22
WORDS = "the of and to a in that was his it with is é for as had – you not be her"
# Preprocesses a folder's input.txt, or opens its cache as training does; prints seconds and peak megabytes of its own
# memory.
CHILD = """
import sys, time
from pycharrnn.text.loader import CharSplitLMMinibatchLoader, TRAIN
from pycharrnn.text.preprocessing import cached
quiet, folder = lambda line: None, sys.argv[2]
start = time.perf_counter()
if sys.argv[1] == "preprocess":
    cached(folder, quiet)
else:
    loader = CharSplitLMMinibatchLoader(folder, 50, 50, (0.95, 0.05, 0), say=quiet)
    for _ in range(1000):
        loader.next_batch(TRAIN)
seconds = time.perf_counter() - start
status = dict(line.split(":") for line in open("/proc/self/status"))
peak = "VmHWM" if sys.argv[1] == "preprocess" else "RssAnon"
print(seconds, int(status[peak].split()[0]) / 1024)
"""


def make_text(path: str, megabytes: int) -> None:
    """A text of words and lines, ASCII with some UTF-8."""
    words = random.Random(0).choices(WORDS.split(), k=700_000)
    piece = " ".join(word + "\n" * (k % 11 == 0) for k, word in enumerate(words)).encode()
    with open(path, "wb") as f:
        for _ in range(megabytes * 1_000_000 // len(piece) + 1):
            f.write(piece)
        f.truncate(megabytes * 1_000_000)
        f.flush()
        os.fsync(f.fileno())


def copy_seconds(source: str, target: str) -> float:
    start = time.perf_counter()
    with open(source, "rb") as f, open(target, "wb") as out:
        while piece := f.read(PIECE):
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    seconds = time.perf_counter() - start
    os.unlink(target)
    return seconds


def child(what: str, folder: str) -> tuple[float, float]:
    """(seconds, peak megabytes) of CHILD."""
    command = [sys.executable, "-c", CHILD, what, folder]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    seconds, megabytes = map(float, result.stdout.split())
    return seconds, megabytes


def figures(megabytes: int = 2000, folder: str | None = None) -> list[dict]:
    """All measurements, each with "what", "value" and "unit"."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        text = os.path.join(made, "input.txt")
        make_text(text, megabytes)
        copy = copy_seconds(text, os.path.join(made, "copy"))
        seconds, memory = child("preprocess", made)
        opening, open_memory = child("open", made)
    return [
        {"what": "plain copy of the text", "value": megabytes / copy, "unit": "MB/s"},
        {"what": "preprocessing", "value": megabytes / seconds, "unit": "MB/s"},
        {"what": "preprocessing, peak memory", "value": memory, "unit": "MB"},
        {"what": "opening the cache and 1000 batches", "value": opening, "unit": "s"},
        {"what": "opening the cache, memory", "value": open_memory, "unit": "MB"},
    ]


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-megabytes", type=arguments.count, default=2000)
    parser.add_argument("-folder", type=arguments.existing)
    parser.add_argument("-json", action="store_true")
    args = parser.parse_args()
    found = figures(args.megabytes, args.folder)
    if args.json:
        print(json.dumps(found))
        return
    for row in found:
        print(f"{row['what']:36} {row['value']:10.2f} {row['unit']}")


if __name__ == "__main__":
    main()
