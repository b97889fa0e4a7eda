"""The plan of -minutes beside a sweep of networks, learning rates and weight drops that train as long.

    python benchmarks/minutes.py FOLDER -minutes 0.5 [-items line] [-sizes 128,160,192] [-rates 0.7,1,1.4]
        [-drops=-0.1,0,0.1] [-cores 2] [-train 1] [-o FILE.json]

FOLDER has an input.txt. All runs get the same processor time: an iteration of each size is timed in processor seconds,
on one thread, and `-cores` of them make a second of -minutes. So other programs on the machine do not matter much, and
the figures are those of an idle machine with so many cores, if threads cost nothing. The first row is the plan; each
other one is what the plan would be for its size, with its rate multiplied by one of -rates, and one of -drops added to
its weight drop. Losses are nats per character of the validation split, the lowest of a run. -train 0 prints the plan as
flags, and trains nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

import pycharrnn
from pycharrnn.engine import kernel_library
from pycharrnn.engine.device import GPUs
from pycharrnn.text.text_stats import TextStats, text_stats
from pycharrnn.training import recipes, step_timing, time_plan
from pycharrnn.training.machine import Machine
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settle import settle, with_mixed_precision

GIVEN = ("items", "minutes", "gpuid")
FLAGS = ("rnn_size", "learning_rate", "weight_drop", "batch_size", "seq_length", "max_epochs")
Row = dict[str, object]


def seconds_of_sizes(opt: TrainOptions, text: TextStats, sizes: list[int], least: float = 1.0) -> dict[int, float]:
    """rnn_size -> processor seconds of an iteration with the batches that its plan has."""
    found = {}
    for size in sizes:
        candidate = time_plan.options_for(opt, GIVEN, text, size, time_plan.ANY_TIME, opt.minutes * 60)
        settings = settle(candidate, GIVEN, None, text, Machine(gpus=GPUs()))
        characters = len(text.characters(candidate.encoding))
        found[size] = step_timing.step_seconds(settings, characters, time.process_time, least)
    return found


def candidates(
    opt: TrainOptions, text: TextStats, steps: dict[int, float], rates: list[float], drops: list[float]
) -> Iterator[tuple[str, TrainOptions]]:
    """What to train: the plan, and what it would be with other sizes, rates and weight drops."""
    plan = time_plan.plan(opt, GIVEN, text, opt.minutes * 60, steps)
    yield "plan", plan
    for size, rate, drop in itertools.product(steps, rates, drops):
        of_size = time_plan.options_for(opt, GIVEN, text, size, steps[size], opt.minutes * 60)
        weight_drop = round(min(0.6, max(0, of_size.weight_drop + drop)), 4)
        changed = dataclasses.replace(of_size, learning_rate=of_size.learning_rate * rate, weight_drop=weight_drop)
        if changed != plan:
            yield "sweep", changed


def trained(what: str, opt: TrainOptions) -> Row:
    """The lowest validation loss of a run, and its processor seconds."""
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        flags = {name: getattr(opt, name) for name in opt.changed}
        run = pycharrnn.train(quiet=True, **{**flags, "checkpoint_dir": folder, "gpuid": -1})
    row: Row = {name: getattr(opt, name) for name in FLAGS}
    return {"what": what, **row, "processor s": time.process_time() - begun, "loss": min(run.val_losses.values())}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("-minutes", type=float, default=0.5)
    parser.add_argument("-items", default="")
    parser.add_argument("-sizes", default=",".join(map(str, time_plan.SIZES[:6])))
    parser.add_argument("-rates", default="1")
    parser.add_argument("-drops", default="0")
    parser.add_argument("-cores", type=float, default=2)
    parser.add_argument("-train", type=int, default=1)
    parser.add_argument("-o", default="", help="the rows as JSON")
    args = parser.parse_args()
    if not Path(args.folder, "input.txt").is_file():
        parser.error(f"there is no {Path(args.folder, 'input.txt')}")
    torch.set_num_threads(1)
    opt = TrainOptions(data_dir=args.folder, minutes=args.minutes, items=args.items, gpuid=-1)
    opt = with_mixed_precision(opt, GIVEN, Machine(has_kernel=kernel_library.rounds_as_elsewhere()))
    text = text_stats(args.folder)
    of_one = seconds_of_sizes(opt, text, [int(size) for size in args.sizes.split(",")])
    steps = {size: seconds / args.cores for size, seconds in of_one.items()}
    rates, drops = ([float(number) for number in numbers.split(",")] for numbers in (args.rates, args.drops))
    if not args.train:
        print(recipes.command_line(time_plan.plan(opt, GIVEN, text, opt.minutes * 60, steps)))
        return
    rows = []
    for what, options in candidates(opt, text, steps, rates, drops):
        rows.append(row := trained(what, options))
        print(
            ", ".join(f"{name} {value:.4g}" if name != "what" else f"{value}" for name, value in row.items()),
            flush=True,
        )
    best = min(float(row["loss"]) for row in rows)
    print(f"the plan is {100 * (float(rows[0]['loss']) / best - 1):.1f} % above the best of {len(rows)} runs")
    if args.o:
        Path(args.o).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
