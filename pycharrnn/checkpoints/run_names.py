"""Makes and parses the file names of a run: lm_lstm_epoch1.73_1.9188.t7, lm_lstm_best.t7, lm_lstm_latest.t7."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from compat import lua_format
from pycharrnn.checkpoints import formats

_NAME = re.compile(
    r"(?P<run>.+)_(?:epoch(?P<epoch>\d+\.\d+)_(?P<loss>\d+\.\d+|-?nan|inf)|(?P<alias>latest|best))"
    f"(?P<ending>{'|'.join(map(re.escape, formats.IN_FOLDERS))})",
    re.DOTALL,
)


@dataclass(frozen=True)
class RunName:
    """The parts of a file name.

    Attributes:
        run: start of the run's file names: lm_lstm. ending: .t7 or .safetensors.
        epoch, loss: of the checkpoint of a validation; None for an alias.
        alias: "latest" or "best", second names of a checkpoint; else "".
    """

    run: str
    epoch: float | None
    loss: float | None
    alias: str
    ending: str


def parse(name: str) -> RunName | None:
    """The parts of a file name; None for a name that training does not give."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    epoch, loss = (None if match[part] is None else float(match[part]) for part in ("epoch", "loss"))
    return RunName(match["run"], epoch, loss, match["alias"] or "", match["ending"])


def has_name_of_run(path: str) -> bool:
    """Whether a file has a name that training gives to checkpoints, in any format: lm_lstm_best.json."""
    stem, ending = os.path.splitext(os.path.basename(path))
    return ending in formats.ALL_ENDINGS and stem.startswith("lm_") and parse(f"{stem}.t7") is not None


def named_checkpoint(stem: str, epoch: float, val_loss: float, ending: str) -> str:
    """The path of the checkpoint of a validation: cv/lm_lstm_epoch1.73_1.9188.t7. Source: train.lua."""
    return f"{stem}_epoch{lua_format.fixed(epoch, 2)}_{lua_format.fixed(val_loss, 4)}{ending}"


def latest_checkpoint(stem: str, ending: str) -> str:
    """The path of the newest state of a run: cv/lm_lstm_latest.t7."""
    return f"{stem}_latest{ending}"


def best_checkpoint(stem: str, ending: str) -> str:
    """The path of the checkpoint with the lowest validation loss, its second name: cv/lm_lstm_best.t7."""
    return f"{stem}_best{ending}"


def lock_file(stem: str) -> str:
    """The path of the lock file of -lock: cv/.lm_lstm.lock."""
    folder, name = os.path.split(stem)
    return os.path.join(folder, f".{name}.lock")
