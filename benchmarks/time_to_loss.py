"""How soon a validation loss is reached: pycharrnn's recipes, and beside them nanoGPT's recipe for a CPU, in one run.

    python benchmarks/time_to_loss.py TEXT [-nanogpt CHECKOUT] [-recipes quick,best] [-held_out quick,1]
        [-flags "-rnn_size 256 ..."] [-losses 1.8857,1.4697,1.33] [-o FILE.json] [-picture FILE.svg]

-recipes and -held_out take recipes, and numbers for -minutes. Seconds are those of a clock on the wall, from the
command to a checkpoint with that loss: start-up and preprocessing count for pycharrnn, nanoGPT's preparation of the
text does not. Processor seconds of the whole command say more where other programs run; OMP_NUM_THREADS=1 then measures
best. Losses are nats per character of a tenth of the text.

nanoGPT validates on the last tenth of the text, by 20 batches of 12 blocks of 64 characters; pycharrnn on the last
tenth of each row of its batches, all of it, with a state that is carried from batch to batch. So that the two can be
compared as they are, a second run, of -held_out or with the plain -flags of `train`, gets the first nine tenths of the
text alone, and its checkpoints are scored on the last tenth afterwards: with a state that is carried through all of it,
with a state reset to zero every 256 characters, the block size of nanoGPT's larger model, and with -adapt 1. Losses
with -adapt 1 are not comparable with the others: the model learns from each character after it has predicted it.

nanoGPT is a checkout of https://github.com/karpathy/nanoGPT; a copy of it in a temporary folder is what runs. Its
preparation of the text needs the package requests.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import arguments
import numpy as np
import torch
from lists import processor_seconds

import pycharrnn

# As in the README of nanoGPT, under "quick start", for a machine without a GPU.
NANOGPT = (
    "config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 --log_interval=1 --block_size=64"
    " --batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --max_iters=2000 --lr_decay_iters=2000 --dropout=0.0"
)
BLOCK = 256
Curve = list[tuple[float, float]]  # (seconds, loss)


def timed_lines(command: list[str], cwd: str) -> Iterator[tuple[float, str]]:
    """(seconds since the start, line) of what a program prints on stdout, and at its end one empty line.

    Errors: SystemExit with what it said, if it fails.
    """
    start = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        for line in process.stdout:
            yield time.perf_counter() - start, line.rstrip("\n")
        if process.wait():
            errors.seek(0)
            raise SystemExit(errors.read().rstrip("\n") or f"{command[0]} ended with status {process.returncode}")
    yield time.perf_counter() - start, ""


def nanogpt_curve(checkout: str, text: Path, arguments: list[str]) -> Curve:
    """The validation losses of nanoGPT's train.py with these arguments. Its checkpoint has been written by then."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(checkout, f"{folder}/nanoGPT", ignore=shutil.ignore_patterns(".git"))
        data = Path(copy, "data", "shakespeare_char")
        shutil.copy(text, data / "input.txt")
        subprocess.run([sys.executable, str(data / "prepare.py")], check=True, capture_output=True)
        lines = list(timed_lines([sys.executable, "-u", "train.py", *arguments], copy))
    found = [(i, re.match(r"step \d+: train loss \S+, val loss (\S+)", line)) for i, (_, line) in enumerate(lines)]
    # The line after it comes once the checkpoint has been written.
    return [(lines[i + 1][0], float(match[1])) for i, match in found if match]


def flags_of(name: str) -> list[str]:
    """Of a recipe, or of -minutes for a number."""
    return ["-minutes" if name.replace(".", "", 1).isdecimal() else "-recipe", name]


def training_curve(text: Path, flags: list[str], folder: str, *more: str) -> Curve:
    """The validation losses of `pycharrnn train TEXT`, each when its checkpoint has been written.

    Args:
        folder: where the command runs; its checkpoints stay in cv.
    """
    command = [sys.executable, "-m", "pycharrnn", "train", str(text), "-gpuid", "-1", *flags, *more]
    lines = list(timed_lines(command, folder))
    found = [(i, re.match(r"saving checkpoint to .*_([^_]+)\.t7$", line)) for i, (_, line) in enumerate(lines)]
    return [(lines[i + 1][0], float(match[1])) for i, match in found if match]


def held_out_losses(checkpoint: Path, text: bytes) -> tuple[float, float, float]:
    """Nats per character of a text: with the state carried through all of it; started anew every 256 characters; and
    carried by a model that learns from what it has read.
    """
    model = pycharrnn.load(checkpoint)
    numbers = torch.tensor([model.vocab[bytes([byte])] - 1 for byte in text if bytes([byte]) in model.vocab])
    whole = len(numbers) // BLOCK * BLOCK  # of the first characters; the one after them is predicted, too
    x, y = numbers[: whole - 1], numbers[1:whole]
    with torch.no_grad():
        carried, state = 0.0, None
        for start in range(0, len(x), BLOCK):
            log_probs, state = model(x[start : start + BLOCK, None], state)
            carried -= float(log_probs[:, 0].gather(1, y[start : start + BLOCK, None]).sum())
        blocks = numbers[:whole].view(-1, BLOCK).T
        log_probs, _ = model(blocks[:-1])
        anew = -float(log_probs.gather(2, blocks[1:, :, None]).mean())
    adapted = model.score(text, adapt=True).bits_per_token * math.log(2)
    return carried / len(x), anew, adapted


def held_out_curves(text: Path, flags: list[str]) -> dict[str, Curve]:
    """The losses on the last tenth of the text of a run that gets the rest, each when its checkpoint was there."""
    whole = text.read_bytes()
    cut = int(len(whole) * 0.9)
    with tempfile.TemporaryDirectory() as folder:
        shortened = Path(folder, "nine_tenths.txt")
        shortened.write_bytes(whole[:cut])
        curve = training_curve(shortened, flags, folder, "-keep", "0")
        checkpoints = sorted(Path(folder, "cv").glob("*_epoch*.t7"), key=lambda path: path.stat().st_mtime_ns)
        losses = [held_out_losses(path, whole[cut:]) for path in checkpoints]
    return {
        name: [(seconds, loss[k]) for (seconds, _), loss in zip(curve, losses, strict=True)]
        for k, name in enumerate(("carried", f"anew every {BLOCK}", "with -adapt 1"))
    }


def reached(curve: Curve, loss: float) -> float | None:
    """Seconds until a loss was reached, or None."""
    return next((seconds for seconds, value in curve if value <= loss), None)


def figures(curves: dict[str, Curve], losses: list[float]) -> list[dict[str, object]]:
    """A row for each curve: seconds until each loss, the lowest loss, seconds in all."""
    rows = []
    for name, curve in curves.items():
        row: dict[str, object] = {"run": name}
        for loss in losses:
            seconds = reached(curve, loss)
            row[f"s to {loss}"] = "" if seconds is None else seconds
        rows.append({**row, "lowest": f"{min(value for _, value in curve):.4f}", "s in all": curve[-1][0]})
    return rows


def draw(curves: dict[str, Curve], losses: list[float], path: str) -> None:
    """The curves as a picture, seconds on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "pycharrnn"  # the same picture for the same figures
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for name, curve in curves.items():
        axes.plot(*np.array(curve).T, marker="o", markersize=3, label=name)
    for loss in losses:
        axes.axhline(loss, color="gray", linewidth=0.6, linestyle=":")
        axes.text(0.995, loss, f"{loss}", transform=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=8)
    axes.set_xscale("log")
    highest = max(value for curve in curves.values() for seconds, value in curve if seconds > 1)
    axes.set_ylim(top=min(highest, 2.6))
    ticks = [
        s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if s <= 2 * max(c[-1][0] for c in curves.values())
    ]
    axes.set_xticks(ticks, [f"{s}" for s in ticks])
    axes.minorticks_off()
    axes.set_xlabel("seconds from the command, start-up included")
    axes.set_ylabel("validation loss, nats per character")
    axes.legend()
    axes.grid(alpha=0.25)
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    pyplot.close(figure)


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("text", type=arguments.file)
    parser.add_argument("-nanogpt", help="a checkout of nanoGPT")
    parser.add_argument("-nanogpt_arguments", default=NANOGPT, help="other arguments for its train.py")
    parser.add_argument("-recipes", default="quick,best")
    parser.add_argument("-held_out", default="quick", help="what also trains on nine tenths of the text")
    parser.add_argument("-flags", action="append", default=[], help="plain flags of such a run, in one argument")
    parser.add_argument("-losses", type=arguments.listed(float), default="1.8857,1.4697,1.33")
    parser.add_argument("-o", default="", help="the curves as JSON")
    parser.add_argument("-picture", default="", help="the curves as a picture")
    args = parser.parse_args()
    if args.nanogpt and not Path(args.nanogpt, "train.py").is_file():
        parser.error(f"there is no nanoGPT (train.py) in {args.nanogpt}")
    if args.picture and not (args.nanogpt or args.recipes):
        parser.error("-picture draws the runs of -recipes and -nanogpt: give one of them")
    text, losses = args.text.resolve(), args.losses
    curves: dict[str, Curve] = {}
    runs: dict[str, Callable[[], dict[str, Curve]]] = {}
    if args.nanogpt:
        words = args.nanogpt_arguments.split()
        runs["nanoGPT"] = lambda: {"nanoGPT, recipe for a CPU": nanogpt_curve(args.nanogpt, text, words)}
    for recipe in filter(None, args.recipes.split(",")):
        flags = flags_of(recipe)
        runs[recipe] = lambda flags=flags: {f"pycharrnn {' '.join(flags)}": _curve(text, flags)}
    for flags in [*map(flags_of, filter(None, args.held_out.split(","))), *map(shlex.split, args.flags)]:
        runs[f"{' '.join(flags)}, held out"] = lambda flags=flags: {
            f"{' '.join(flags)} on nine tenths, the last tenth {name}": curve
            for name, curve in held_out_curves(text, flags).items()
        }
    for run in runs.values():
        before = processor_seconds()
        found = run()
        processor = processor_seconds() - before  # of the commands, not of scoring
        curves.update(found)
        for row in figures(found, losses):
            row["processor s in all"] = processor
            print(
                ", ".join(
                    f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in row.items()
                    if value != ""
                ),
                flush=True,
            )
    if args.o:
        Path(args.o).write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    if args.picture:
        draw({name: curve for name, curve in curves.items() if "tenth" not in name}, losses, args.picture)


def _curve(text: Path, flags: list[str]) -> Curve:
    with tempfile.TemporaryDirectory() as folder:
        return training_curve(text, flags, folder)


if __name__ == "__main__":
    main()
