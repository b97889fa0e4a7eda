"""Trainings that are compared, and how far apart rounding may bring them."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import torch

from pycharrnn.engine import tf32
from pycharrnn.training import loop, session
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.trainer import Trainer
from tests.gpu.place import Place

TEXT = Path(__file__).parents[1] / "golden" / "corpus" / "input.txt"
SIZES = {"rnn_size": 64, "num_layers": 2, "batch_size": 32, "seq_length": 12}
_SHADOWS, _MARGIN = 2, 10
BECAUSE = (
    "A product of n rounded factors is off by about u*sqrt(n) of it, u being 2^-24 in float32 (for TF32, of -exact 0 on"
    f" CUDA, its 2^-11 is added), n = {SIZES['batch_size']}*{SIZES['seq_length']} the longest sum. How much that moves"
    " the losses depends on how training amplifies it, which is measured: the same run in double precision, every"
    " weight off by a random part of that size in each iteration. The bound is"
    f" {_MARGIN} times what {_SHADOWS} such runs have moved by then, and 4u of the loss for its own sum."
)


class Folder:
    """A folder for a run, with the text in it, for as long as a `with` block lasts."""

    def __enter__(self) -> Path:
        self._folder = tempfile.TemporaryDirectory(prefix="pycharrnn-gpu-", ignore_cleanup_errors=True)
        shutil.copy(TEXT, self._folder.name)
        return Path(self._folder.name)

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()


def batches(options: dict) -> int:
    """How many the training split of the text has."""
    sizes = {**SIZES, **options}
    return math.floor(TEXT.stat().st_size // (sizes["batch_size"] * sizes["seq_length"]) * 0.95)


def options_of(folder: Path, iterations: int, options: dict) -> TrainOptions:
    course = {"max_epochs": (iterations + 0.5) / batches(options), "eval_val_every": 10**6, "lock": 0, "progress": 0}
    return TrainOptions(data_dir=str(folder), checkpoint_dir=str(folder), **{**SIZES, **course, **options})


def losses(folder: Path, iterations: int, trainer: type[Trainer] = Trainer, **options) -> list[float]:
    """The training loss of each iteration, and the validation loss after the last."""
    said: list[str] = []
    opt = options_of(folder, iterations, options)
    with mock.patch.object(session, "Trainer", trainer), tf32.kept():
        outcome = loop.train(opt, {"max_epochs", *options}, say=said.append, note=said.append)
    unrecorded = next((line for line in said if "could not be recorded" in line), "")
    if unrecorded:  # then each step was called, and the losses say nothing of the graph
        raise RuntimeError(unrecorded)
    return [*outcome.history.train_losses, outcome.history.last_val_loss]


def on_cpu(folder: Path, iterations: int, place: Place, part: float = 0.0, seed: int = 0, **options) -> list[float]:
    """`losses` in double precision on the CPU.

    Args:
        place: dropout's masks are those that are drawn there.
        part: by which the weights are off in each iteration, at random.
        seed: of that.
    """
    precision = {} if options.get("exact", 1) else {"dtype": "float64"}
    return losses(folder, iterations, _trainer(place, part, seed), gpuid=-1, **options, **precision)


def on_place(folder: Path, iterations: int, place: Place, **options) -> list[float]:
    """`losses` where the checks compute."""
    with place.computing():
        return losses(folder, iterations, gpuid=0, **options)


def _trainer(place: Place, part: float, seed: int) -> type[Trainer]:
    """A trainer on the CPU, see on_cpu."""
    noise = torch.Generator().manual_seed(seed)

    class OnCPU(Trainer):
        def _forward_backward(self) -> None:
            flat = self.bptt.flat
            if not part:
                super()._forward_backward()
                return
            whole = flat.clone()
            flat.mul_(1 + part * torch.randn(flat.shape, generator=noise, dtype=flat.dtype))
            super()._forward_backward()
            flat.copy_(whole)

        def _draw_masks(self, masks: torch.Tensor) -> None:
            if self._exact:
                super()._draw_masks(masks)
                return
            seed, keep = self._seed(), 1 - self.model.dropout
            with place.computing():  # float32 draws other numbers than double precision
                generator = torch.Generator(place.device).manual_seed(seed)
                drawn = torch.rand(masks.shape, generator=generator, device=place.device).cpu()
            masks.copy_(drawn < keep).div_(keep)

    return OnCPU


def rounding(place: Place, exact: int, dtype: str = "") -> float:
    """By which part a product may be off. exact, dtype: those of the run, dtype "" for float32, or TF32 on CUDA."""
    if dtype == "float64":
        return 2.0**-53 * math.sqrt(SIZES["batch_size"] * SIZES["seq_length"])
    factors = 2.0**-9 if dtype == "bfloat16" else 2.0**-11 if place.gpus and not exact else 0.0
    return 2.0**-24 * math.sqrt(SIZES["batch_size"] * SIZES["seq_length"]) + factors


def bounds(truth: list[float], folder: Path, place: Place, part: float, **options) -> list[float]:
    """For each of the losses of a run in double precision, by how much another may be off, see BECAUSE.

    Args:
        truth: the losses. part: see `rounding`.
        options: of the run.
    """
    unit = min(2.0**-24, part)
    moved = [0.0] * len(truth)
    for seed in range(1, _SHADOWS + 1):
        shadow, most = on_cpu(folder, len(truth) - 1, place, part, seed, **options), 0.0
        for i, (one, other) in enumerate(zip(shadow, truth, strict=True)):
            most = max(most, abs(one - other))
            moved[i] = max(moved[i], most)
    return [_MARGIN * most + 4 * unit * loss for most, loss in zip(moved, truth, strict=True)]


def worst(found: list[float], truth: list[float], allowed: list[float]) -> tuple[float, float, str]:
    """Where a run is furthest from the exact one for its bounds: by how much, the bound, and when."""
    apart = [abs(one - other) for one, other in zip(found, truth, strict=True)]
    if not all(math.isfinite(loss) for loss in found):
        return math.nan, max(allowed), "a loss is no number"
    i = max(range(len(apart)), key=lambda k: apart[k] / allowed[k])
    when = "validation" if i == len(apart) - 1 else f"iteration {i + 1}"
    return apart[i], allowed[i], when
