"""Test loss on War and Peace as Karpathy, Johnson & Li 2015 split it: n-grams, recipes, and -minutes, in one run.

    python benchmarks/war_and_peace.py TEXT [-kenlm FOLDER] [-orders 5,20] [-recipes quick,best] [-minutes 10]
        [-flags "-rnn_size 384 ..."] [-adapt 0] [-o FILE.json]

TEXT is the paper's file of 3,258,246 bytes. The first 80 % are for training, the last 10 % are the test; the tenth in
between is not read. A character is a byte, line ends with their carriage returns included, so losses are nats per byte.
-recipes, of which char-rnn takes many hours, -minutes and -flags choose what to train; -flags are those of `train`, and
may be given several times. Those after a semicolon are of a second run, which trains the best model of the first one
further (-init_from). Runs hold a part of their 80 % out to choose their best checkpoint.

"-adapt 1" is the loss of a model that learns from the test while it reads it: another test. Seconds are those of a
clock on the wall, for the whole command; processor seconds say more where other programs run, and OMP_NUM_THREADS=1
then measures best. Parameters of n-grams are the n-grams of all orders.

The n-grams have modified Kneser-Ney smoothing by KenLM. FOLDER has its programs lmplz and query, built from the source
of its package on PyPI for orders up to 20: `cmake -DKENLM_MAX_ORDER=20`, then `make lmplz query`. Order 20 needs 4 GB
of memory, and 3 GB in the folder of temporary files.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import arguments
from lists import processor_seconds

Row = dict[str, object]


def split(text: bytes) -> tuple[bytes, bytes]:
    """The first 80 % and the last 10 %."""
    return text[: len(text) * 8 // 10], text[len(text) - len(text) // 10 :]


def tokens(text: bytes) -> str:
    """One line in which each byte is a word: b"a b" -> "š Ġ Ţ"."""
    return " ".join(chr(0x100 + byte) for byte in text) + "\n"


def n_gram(programs: Path, order: int, train: bytes, test: bytes) -> Row:
    """What KenLM's model of an order says of the test."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.arpa")
        measured = Measured()
        # Of the longest n-grams of a text so few are repeated that their discounts can't always be estimated.
        lmplz = [programs / "lmplz", "-o", f"{order}", "-S", "3G", "-T", folder, "--discount_fallback"]
        with model.open("wb") as f:
            subprocess.run(lmplz, input=tokens(train).encode(), stdout=f, stderr=subprocess.PIPE, check=True)
        row = measured.row(f"n-grams of order {order}")
        with model.open(encoding="utf-8") as f:
            head = [next(f) for _ in range(order + 1)]
        # -n: no begin and end of a sentence.
        query = [programs / "query", "-n", "-v", "sentence", model]
        found = subprocess.run(query, input=tokens(test).encode(), capture_output=True, check=True)
    total, unknown = re.search(r"^Total: (\S+) OOV: (\d+)", found.stdout.decode(), re.MULTILINE).groups()
    if unknown != "0":
        raise ValueError(f"{unknown} characters of the test are not in the training text")
    parameters = sum(int(line.split("=")[1]) for line in head if line.startswith("ngram "))
    return {**row, "parameters": parameters, "test loss": -float(total) * math.log(10) / len(test)}


class Measured:
    """The seconds from here on, of the clock and of the processor; the latter of commands that have ended."""

    def __init__(self):
        self._start, self._processor = time.perf_counter(), processor_seconds()

    def row(self, what: str) -> Row:
        processor = processor_seconds() - self._processor
        return {"what": what, "s": time.perf_counter() - self._start, "processor s": processor}


def trained(words: str, train: bytes, test: bytes, adapt: bool) -> Row:
    """Train with these flags, then further with those after each semicolon, and score the test."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").mkdir()
        Path(folder, "data", "input.txt").write_bytes(train)
        Path(folder, "test.txt").write_bytes(test)
        measured = Measured()
        start: list[str] = []
        for k, flags in enumerate(words.split(";")):
            own = ["-data_dir", "data", "-gpuid", "-1", "-show", "0", "-keep", "1", "-savefile", f"run{k}", *start]
            log = _pycharrnn(folder, "train", *own, *shlex.split(flags))
            best = f"cv/lm_run{k}_best.t7"
            start = ["-init_from", best]
        row = measured.row(words)
        measured = Measured()
        scores = _pycharrnn(folder, "score", best, "test.txt", "-adapt", f"{adapt:d}", "-threads", "0")
        # The last figure of a line: per byte, as in training, where characters of several bytes have one of their own.
        found = re.findall(r": (?:.*\()?(\S+) bits per", scores)
        losses = [float(bits) * math.log(2) for bits in found]
        score = measured.row("")
    row["parameters"] = int(re.search(r"number of parameters in the model: (\d+)", log)[1])
    row["test loss"] = losses[0]
    if adapt:
        row |= {"-adapt 1": losses[1], "score processor s": score["processor s"]}
    return row


def _pycharrnn(folder: str, *words: str) -> str:
    """stdout of a command. Errors: subprocess.CalledProcessError."""
    command = [sys.executable, "-m", "pycharrnn", *words]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def line(row: Row) -> str:
    numbers = ", ".join(
        f"{name} {value:.4f}" if "test" in name or "adapt" in name else f"{name} {value:,.0f}"
        for name, value in row.items()
        if name != "what"
    )
    return f"{row['what']}: {numbers}"


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("text", type=arguments.file)
    parser.add_argument("-kenlm", type=Path, help="the folder of KenLM's programs; without it there are no n-grams")
    parser.add_argument("-orders", default="5,20")
    parser.add_argument("-recipes", default="quick,best", help="any of char-rnn, quick, best")
    parser.add_argument("-minutes", default="10", help="such as 10,60,480")
    parser.add_argument("-flags", action="append", default=[], help="of a run of train; of more after semicolons")
    parser.add_argument("-adapt", type=int, default=1)
    parser.add_argument("-o", default="", help="the rows as JSON")
    args = parser.parse_args()
    for program in ("lmplz", "query") if args.kenlm else ():
        if not (args.kenlm / program).is_file():
            parser.error(f"there is no {args.kenlm / program}: build KenLM as the head of this script says")
    train, test = split(args.text.read_bytes())
    print(f"{len(train):,} bytes of training, {len(test):,} of test", flush=True)
    runs: list[Callable[[], Row]] = []
    if args.kenlm:
        runs += [lambda n=n: n_gram(args.kenlm.resolve(), n, train, test) for n in map(int, args.orders.split(","))]
    chosen = [f"-recipe {name}" for name in filter(None, args.recipes.split(","))]
    chosen += [f"-minutes {number}" for number in filter(None, args.minutes.split(","))]
    runs += [lambda words=words: trained(words, train, test, bool(args.adapt)) for words in [*chosen, *args.flags]]
    rows = []
    for run in runs:
        rows.append(row := run())
        print(line(row), flush=True)
    if args.o:
        Path(args.o).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
