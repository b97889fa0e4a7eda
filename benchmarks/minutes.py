"""The plan of -minutes beside a sweep of other settings that train as long.

    python benchmarks/minutes.py FOLDER -minutes 0.5 [-items line] [-sizes 128,160,192] [-layers 1,2]
        [-batches 0.5,1,2] [-lengths 0.5,1,2] [-rates 0.7,1,1.4] [-drops=-0.1,0,0.1] [-runs 30] [-held_out 1]
        [-cores 2] [-train 1] [-o FILE.json]

FOLDER has an input.txt. All runs get the same processor time: an iteration of each network and batch is timed in
processor seconds, on one thread, and `-cores` of them make a second of -minutes. So other programs on the machine do
not matter much, and the figures are those of an idle machine with so many cores, if threads cost nothing. The first row
is the plan. Each other one is what the plan would be for its size, with its batch size, sequence length and learning
rate multiplied by one of -batches, -lengths and -rates, one of -drops added to its weight drop, and so many layers. All
combinations are trained, or, with -runs N, N: the plan, the combinations that differ from it in one setting, and of the
others as many as fit, drawn at random.

Losses are nats per character of the validation split, the lowest of a run. Which part of the text that is depends on
the batches: with -held_out 1 a part of the text, or of the lines, is kept from all runs, and their best checkpoints are
scored on it, too. -train 0 prints the plan as flags, and trains nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import arguments
import torch

import pycharrnn
from pycharrnn.engine import kernel_library
from pycharrnn.engine.device import GPUs
from pycharrnn.text.text_stats import TextStats, text_stats
from pycharrnn.training import recipes, step_timing, time_plan
from pycharrnn.training.machine import Machine
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settle import settle, with_mixed_precision
from pycharrnn.training.signals import RunStopped
from pycharrnn.training.text_defaults import RunRequest

GIVEN = ("items", "minutes", "gpuid")
FLAGS = ("rnn_size", "num_layers", "learning_rate", "weight_drop", "batch_size", "seq_length", "max_epochs")
VARIED = ("sizes", "layers", "batches", "lengths", "rates", "drops")
TIMED = 1.0  # seconds of each timing
PIECES = 20  # of a text; the end of each is held out
HELD_OUT = 100_000  # characters, at most; and at most a tenth of the text
Row = dict[str, object]


@dataclass(frozen=True)
class Variation:
    """What differs from the plan for `rnn_size`: factors, and what is added to the weight drop."""

    rnn_size: int
    num_layers: int = 1
    batches: float = 1
    lengths: float = 1
    rates: float = 1
    drops: float = 0

    def settings_beside(self, other: Variation) -> int:
        """The number of settings that differ from those of another variation."""
        return sum(mine != its for mine, its in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True))


@dataclass(frozen=True)
class Sweep:
    """Plans of -minutes for a text, by processor time. `cores`: of them make a second."""

    opt: TrainOptions
    text: TextStats
    cores: float

    def varied(self, what: Variation) -> TrainOptions:
        """The options of a run with this variation."""
        request = self._shaped(what)
        found = time_plan.options_for(request, what.rnn_size, self.step(what), request.opt.minutes * 60)
        weight_drop = round(min(0.7, max(0, found.weight_drop + what.drops)), 4)
        return dataclasses.replace(found, learning_rate=found.learning_rate * what.rates, weight_drop=weight_drop)

    def step(self, what: Variation) -> float:
        """Seconds of an iteration, of a machine with so many cores."""
        request = self._shaped(what)
        candidate = time_plan.options_for(request, what.rnn_size, time_plan.ANY_TIME, self.opt.minutes * 60)
        settings = settle(candidate, request.given, None, self.text, Machine(gpus=GPUs()))
        characters = len(self.text.characters(candidate.encoding))
        return step_timing.step_seconds(settings, characters, time.process_time, TIMED) / self.cores

    def _shaped(self, what: Variation) -> RunRequest:
        """A run with layers and batches as if they had been given."""
        opt, given = self.opt, GIVEN
        if what.num_layers != 1:
            opt, given = dataclasses.replace(opt, num_layers=what.num_layers), (*given, "num_layers")
        of_size = time_plan.with_batches(RunRequest(opt, given, self.text), what.rnn_size)
        for name, factor in (("batch_size", what.batches), ("seq_length", what.lengths)):
            if factor != 1:
                opt = dataclasses.replace(opt, **{name: max(1, round(getattr(of_size, name) * factor))})
                given = (*given, name)
        return RunRequest(opt, given, self.text)


def planned(sweep: Sweep, sizes: Sequence[int]) -> TrainOptions:
    """The plan, if it chooses among these sizes."""
    steps = {size: sweep.step(Variation(size)) for size in sizes}
    return time_plan.plan(RunRequest(sweep.opt, GIVEN, sweep.text), sweep.opt.minutes * 60, steps)


def variations(plan: Variation, values: dict[str, list[float]], runs: int) -> list[Variation]:
    """What to train beside the plan: all combinations of the values, or `runs` - 1 of them."""
    combinations = itertools.product(*(values[name] for name in VARIED))
    others = [
        found
        for size, layers, *factors in combinations
        if (found := Variation(int(size), int(layers), *factors)) != plan
    ]
    if runs:
        random.Random(1).shuffle(others)
        others.sort(key=lambda what: what.settings_beside(plan) > 1)  # the order of equal ones stays
        others = others[: runs - 1]
    return others


def split(text: str, lines: bool) -> tuple[str, str]:
    """The text to train on, and what is held out: every tenth line, or the end of each piece of the text."""
    if lines:
        parts = text.splitlines(keepends=True)
        return "".join(line for k, line in enumerate(parts) if k % 10), "".join(parts[::10])
    piece = math.ceil(len(text) / PIECES)
    end = min(piece // 10, HELD_OUT // PIECES)
    pieces = [text[start : start + piece] for start in range(0, len(text), piece)]
    return "".join(part[: len(part) - end] for part in pieces), "".join(part[len(part) - end :] for part in pieces)


def trained(what: str, opt: TrainOptions, held_out: bytes) -> Row:
    """The lowest validation loss of a run, and the loss on what is held out; neither if it diverges."""
    begun = time.process_time()
    row: Row = {"what": what, **{name: getattr(opt, name) for name in FLAGS}}
    with tempfile.TemporaryDirectory() as folder:
        flags = {name: getattr(opt, name) for name in opt.changed}
        try:
            run = pycharrnn.train(quiet=True, **{**flags, "checkpoint_dir": folder, "gpuid": -1})
        except RunStopped:  # it diverged
            return {**row, "processor s": time.process_time() - begun}
        row |= {"processor s": time.process_time() - begun, "loss": min(run.val_losses.values())}
        if held_out:
            row["held out"] = run.best.score(held_out).bits_per_character * math.log(2)
    return row


def numbers(words: str) -> list[float]:
    return [float(word) for word in words.split(",")]


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("folder")
    parser.add_argument("-minutes", type=float, default=0.5)
    parser.add_argument("-items", default="")
    parser.add_argument("-sizes", default=",".join(map(str, time_plan.SIZES[:6])))
    parser.add_argument("-layers", default="1")
    parser.add_argument("-batches", default="1")
    parser.add_argument("-lengths", default="1")
    parser.add_argument("-rates", default="1")
    parser.add_argument("-drops", default="0")
    parser.add_argument("-runs", type=int, default=0, help="0 = all combinations")
    parser.add_argument("-held_out", type=int, default=0)
    parser.add_argument("-cores", type=float, default=2)
    parser.add_argument("-train", type=int, default=1)
    parser.add_argument("-o", default="", help="the rows as JSON")
    args = parser.parse_args()
    source = Path(args.folder, "input.txt")
    if not source.is_file():
        parser.error(f"there is no {source}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        held_out, data_dir = b"", args.folder
        if args.held_out:
            whole = source.read_bytes().decode(errors="surrogateescape")
            kept, held_out = (part.encode(errors="surrogateescape") for part in split(whole, args.items == "line"))
            Path(folder, "input.txt").write_bytes(kept)
            data_dir = folder
        opt = TrainOptions(data_dir=data_dir, minutes=args.minutes, items=args.items, gpuid=-1)
        opt = with_mixed_precision(opt, GIVEN, Machine(has_kernel=kernel_library.rounds_as_elsewhere()))
        sweep = Sweep(opt, text_stats(data_dir), args.cores)
        values = {name: numbers(getattr(args, name)) for name in VARIED}
        plan = planned(sweep, [int(size) for size in values["sizes"]])
        if not args.train:
            print(recipes.command_line(plan))
            return
        others = variations(Variation(plan.rnn_size), values, args.runs)
        rows = []
        for what, options in [("plan", plan), *(("sweep", sweep.varied(other)) for other in others)]:
            rows.append(row := trained(what, options, held_out))
            shown = [f"{name} {value:.4g}" if name != "what" else f"{value}" for name, value in row.items()]
            print(", ".join(shown if "loss" in row else [*shown, "diverged"]), flush=True)
    for loss in ("loss", "held out") if held_out else ("loss",):
        found = [float(row.get(loss, math.inf)) for row in rows]  # infinite if it diverged
        above = 100 * (found[0] / min(found) - 1)
        print(f"{loss}: the plan is {above:.1f} % above the best of {len(rows)} runs")
    if args.o:
        Path(args.o).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
