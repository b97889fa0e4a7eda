"""Makes folders of checkpoints, for the tests of folders."""

from __future__ import annotations

import dataclasses
import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from conftest import GOLDEN

from compat.lua_random import LuaRandom
from compat.run_state import RunState
from pycharrnn.checkpoints import checkpoint, run_names

CHECKPOINT = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
PER_EPOCH = 10  # iterations of the runs that `train` imitates


def make(folder: Path, name: str, modified: int) -> str:
    """A file with the name of a checkpoint, which says all that is asked of it; `modified` in seconds."""
    path = folder / name
    path.write_bytes(name.encode())
    set_time(path, modified)
    return str(path)


def save(folder: Path, name: str, val_losses: dict[int, float], val_loss: float | None = None, **fields) -> str:
    """A checkpoint with these losses of validations, after iteration 10 unless `fields` say otherwise."""
    fields = {"i": 10, **fields}
    found = dataclasses.replace(checkpoint.load(CHECKPOINT), val_losses=val_losses, val_loss=val_loss, **fields)
    path = str(folder / name)
    checkpoint.convert(found, path)
    return path


def train(
    folder: Path,
    run: str,
    val_losses: Sequence[float],
    modified: int,
    ending: str = ".t7",
    text: float = 4.0,
    text_hash: str = "",
    **options: object,
) -> list[str]:
    """The checkpoints of a training that validates after each epoch.

    `text`: its first training loss. `text_hash`: of a run state; "" for checkpoints without one. `options`: recorded.
    """
    paths = []
    recorded: dict[int, float] = {}
    for epoch, loss in enumerate(val_losses, 1):
        recorded[epoch * PER_EPOCH] = loss
        paths.append(run_names.named_checkpoint(str(folder / f"lm_{run}"), epoch, loss, ending))
        progress = {
            "i": epoch * PER_EPOCH,
            "epoch": float(epoch),
            "train_losses": array("d", [text / k for k in range(1, epoch * PER_EPOCH + 1)]),
            "opt": {"savefile": run, **options},
        }
        if text_hash:
            progress |= {"state": _state(), "text_fingerprint": text_hash}
        save(folder, os.path.basename(paths[-1]), dict(recorded), loss, **progress)
        set_time(paths[-1], modified + epoch)
    return paths


def _state() -> RunState:
    network = checkpoint.load(CHECKPOINT).network
    mean_square = np.zeros(sum(weight.size for weight in network.weights.values()))
    hidden = [np.zeros((1, network.rnn_size))] * (2 * network.num_layers)
    words, position = LuaRandom(1).get_state()
    return RunState(mean_square, 0.1, hidden, dict.fromkeys((1, 2, 3), 0), words, position, 0)


def set_time(path: str | Path, modified: float) -> None:
    """In seconds."""
    os.utime(path, (0, modified))


def names(paths: Iterable[str]) -> list[str]:
    return [os.path.basename(path) for path in paths]
