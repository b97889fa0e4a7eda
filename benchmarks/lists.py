"""Loss on the held-out items of a list: the recipes, an n-gram model, and makemore's transformer, in one run.

    python benchmarks/lists.py LIST [-items N] [-order 5] [-recipes quick,best] [-makemore CHECKOUT] [-until 1.92]
        [-o FILE.json]

LIST has an item a line, as the names.txt of https://github.com/karpathy/makemore. The split is makemore's: 1,000 random
items, or a tenth of a shorter list, are the test; no program but makemore, which picks its best step by them, reads
them before its end. With -items, pycharrnn and the n-grams are trained on N random items of the others. Losses are nats
per character, ends included. Seconds are those of a clock on the wall: for pycharrnn of the whole command `pycharrnn
train`, for makemore until its test loss is at most that of -until, or until -steps. Processor seconds of that command,
system calls included, say more where other programs run; OMP_NUM_THREADS=1 then measures best.

The n-gram model is interpolated Kneser-Ney. Its order is 5 without -order: four characters predict the next one.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import arguments
import torch

ORDER = 5
DISCOUNT = 0.75
BEGIN, END = "\x02", "\n"
Row = dict[str, object]


def makemore_split(text: str) -> tuple[list[str], list[str]]:
    """The items of training and test, as makemore draws them with its default seed."""
    items = [item for item in (line.strip() for line in text.splitlines()) if item]
    test_size = min(1000, int(len(items) * 0.1))
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(3407)).tolist()
    return [items[i] for i in order[:-test_size]], [items[i] for i in order[-test_size:]]


class KneserNey:
    """An interpolated n-gram model of items with one absolute discount. Source: Chen & Goodman 1999, section 2.7.

    Args:
        order: of the longest n-grams: a character and those before it.
    """

    def __init__(self, items: list[str], order: int = ORDER, discount: float = DISCOUNT):
        self._order, self._discount = order, discount
        self.characters = {END}.union(*items)
        counts = Counter(gram for item in items for gram in self._grams(item))
        # Below the longest n-grams, what counts is the number of different characters before an n-gram.
        self._counts = [counts]
        for _ in range(order - 1):
            self._counts.insert(0, Counter(gram[1:] for gram in self._counts[0]))
        self._totals: list[Counter[str]] = [Counter() for _ in range(order)]  # of a context
        self._followers: list[Counter[str]] = [Counter() for _ in range(order)]  # different ones
        for level, grams in enumerate(self._counts):
            for gram, count in grams.items():
                self._totals[level][gram[:-1]] += count
                self._followers[level][gram[:-1]] += 1

    def _grams(self, item: str) -> list[str]:
        padded = BEGIN * (self._order - 1) + item + END
        return [padded[i : i + self._order] for i in range(len(item) + 1)]

    def probability(self, gram: str) -> float:
        """Of the last character after those before it."""
        probability = 1 / (len(self.characters) + 1)  # one more stands for all unknown characters
        for level in range(self._order):
            part = gram[self._order - 1 - level :]
            if total := self._totals[level][part[:-1]]:
                left = self._discount * self._followers[level][part[:-1]]
                probability = (max(self._counts[level][part] - self._discount, 0) + left * probability) / total
        return probability

    def loss(self, items: list[str]) -> float:
        """Nats per character, ends included."""
        grams = (gram for item in items for gram in self._grams(item))
        return -sum(math.log(self.probability(gram)) for gram in grams) / characters(items)


def characters(items: list[str]) -> int:
    """Their number, ends included."""
    return sum(len(item) + 1 for item in items)


def n_gram(train: list[str], test: list[str], order: int) -> Row:
    start = time.perf_counter()
    model = KneserNey(train, order)
    return {"what": f"n-grams of order {order}", "s": time.perf_counter() - start, "test loss": model.loss(test)}


def recipe(name: str, train: list[str], test: list[str]) -> Row:
    """`pycharrnn train FILE -items line -recipe NAME`, and what `score` says of the test with its best checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        for file, items in (("train.txt", train), ("test.txt", test)):
            Path(folder, file).write_text("".join(f"{item}\n" for item in items), encoding="utf-8")
        start, processor = time.perf_counter(), processor_seconds()
        pycharrnn(folder, "train", "train.txt", "-items", "line", "-recipe", name, "-gpuid", "-1", "-show", "0")
        seconds, processor = time.perf_counter() - start, processor_seconds() - processor
        (best,) = Path(folder, "cv").glob("*_best.t7")
        scores = pycharrnn(folder, "score", str(best), "test.txt", "-lines", "1", "-gpuid", "-1")
    bits = sum(float(line.split("\t")[0]) for line in scores.splitlines())
    loss = bits * math.log(2) / characters(test)
    return {"what": f"-recipe {name}", "s": seconds, "processor s": processor, "test loss": loss}


def processor_seconds() -> float:
    """Of all commands that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def pycharrnn(folder: str, *words: str) -> str:
    """stdout of a command. Errors: SystemExit with what it said, if it fails."""
    command = [sys.executable, "-m", "pycharrnn", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(done.stderr.rstrip("\n"))
    return done.stdout


def makemore(checkout: str, names: Path, steps: int, until: float) -> Row:
    """makemore.py until the first test loss of at most `until`, else the lowest one up to `steps`.

    It prints a test loss every 500 steps. No processes of its own read the names. It needs tensorboard.
    """
    command = [
        sys.executable,
        "-u",
        str(Path(checkout, "makemore.py").resolve()),
        "-i",
        str(names.resolve()),
        "-n",
        "0",
    ]
    found: list[tuple[float, int]] = []
    start, processor = time.perf_counter(), processor_seconds()
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([*command, "-o", folder], cwd=folder, stdout=subprocess.PIPE, encoding="utf-8") as process,
    ):
        for line in process.stdout:
            if match := re.match(r"step (\d+) train loss: \S+ test loss: (\S+)", line):
                found.append((float(match[2]), int(match[1])))
                if found[-1][0] <= until or found[-1][1] >= steps:
                    process.terminate()  # it has no last step of its own
                    break
        process.stdout.read()
    if not found:
        raise ChildProcessError(f"makemore.py ended with status {process.returncode} before its first test loss")
    seconds, processor = time.perf_counter() - start, processor_seconds() - processor
    loss, step = min(found)
    what = f"makemore's transformer, step {step:,} of {found[-1][1]:,}"
    return {"what": what, "s": seconds, "processor s": processor, "test loss": loss}


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("list", type=arguments.file)
    parser.add_argument("-items", type=int, help="train on so many items")
    parser.add_argument("-order", type=int, default=ORDER, help="order of the n-grams")
    parser.add_argument("-recipes", default="quick,best")
    parser.add_argument("-makemore", help="a checkout of makemore")
    parser.add_argument("-steps", type=int, default=100_000, help="the most steps of makemore")
    parser.add_argument("-until", type=float, default=1.92, help="the test loss at which makemore is stopped")
    parser.add_argument("-o", default="", help="the figures as JSON")
    args = parser.parse_args()
    if args.makemore and not Path(args.makemore, "makemore.py").is_file():
        parser.error(f"there is no makemore.py in {args.makemore}")
    if args.makemore and args.items:
        parser.error("makemore reads the whole list: leave out -items or -makemore")
    train, test = makemore_split(args.list.read_text(encoding="utf-8"))
    train = train[: args.items]  # they are in random order
    print(f"{len(train):,} items of training, {len(test):,} of test")
    runs = [lambda: n_gram(train, test, args.order)]
    runs += [lambda name=name: recipe(name, train, test) for name in filter(None, args.recipes.split(","))]
    if args.makemore:
        runs.append(lambda: makemore(args.makemore, args.list, args.steps, args.until))
    rows = []
    for run in runs:
        rows.append(row := run())
        processor = f"{row['processor s']:.1f} of a processor, " if "processor s" in row else ""
        print(f"{row['what']:40} {row['s']:8.1f} s, {processor}test loss {row['test loss']:.4f}", flush=True)
    if args.o:
        Path(args.o).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
