"""A finished training run as an object: its losses, models and files."""

from __future__ import annotations

import os
import reprlib
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.analysis import loss_curves, plotting
from pycharrnn.analysis.options import PlotOptions
from pycharrnn.common import losses, output_folder, path_argument
from pycharrnn.common.errors import UserError, in_words_of_a_program
from pycharrnn.library import notebook
from pycharrnn.library.lazy import lazy_property
from pycharrnn.library.model import Model, load
from pycharrnn.training.history import out_of_patience
from pycharrnn.training.reports import RunResult

if TYPE_CHECKING:
    from collections.abc import Iterable


class Run:
    """A training run; `pycharrnn.train` returns one.

    Attributes:
        options: as training.options.TrainOptions: options.rnn_size, ...
        train_losses: of iterations 1, 2, ..., in nats per character.
        val_losses: iteration -> validation loss, in nats per character.
        epochs: passes through the training split.
        folder: of the checkpoints.
        best_path: the checkpoint with the lowest validation loss; None without one.
        last_path: the newest checkpoint, which pycharrnn.train(resume=...) continues; None without one.
        stopped: whether Ctrl-C, or a KeyboardInterrupt of a callback, ended the run.
        notes: messages beside the log.
    """

    def __init__(self, result: RunResult, notes: Iterable[str] = (), stopped: bool = False) -> None:
        if not isinstance(result, RunResult):
            given = reprlib.repr(result)
            raise TypeError(
                f"Run takes the result of pycharrnn.train, not {given}: use pycharrnn.load for a checkpoint"
            )
        self.options, self.folder = result.options, result.options.checkpoint_dir
        self.train_losses, self.val_losses = result.history.train_losses.tolist(), dict(result.history.val_losses)
        self._ntrain, self.epochs = result.ntrain, len(self.train_losses) / result.ntrain
        self.best_path, self.last_path = result.best, result.last
        self.notes, self.stopped = tuple(notes), stopped
        self._directory = _current_directory()  # to which the paths are relative

    @property
    def iterations(self) -> int:
        """Number of iterations, including those before a resume."""
        return len(self.train_losses)

    @property
    def best_loss(self) -> float | None:
        """The lowest validation loss; None without one."""
        return losses.best_loss(self.val_losses)

    @lazy_property
    def best(self) -> Model:
        """The model with the lowest validation loss; the last one without a validation. Read from `best_path` once.

        Errors: UserError, also if another run has replaced the file before.
        """
        return self.last if self.best_path is None else self._load(self.best_path)

    @lazy_property
    def last(self) -> Model:
        """The model at the end, read from `last_path` once. Errors: as for `best`."""
        if self.last_path is None:
            raise UserError("the run has no checkpoint: nothing has been trained.")
        return self._load(self.last_path)

    def _load(self, path: str) -> Model:
        """Errors: UserError, also if another run has replaced the checkpoint."""
        model = load(path if _current_directory() == self._directory else os.path.join(self._directory, path))
        found, own = model.train_losses, self.train_losses[: model.iteration]
        if not np.array_equal(found, own, equal_nan=True):
            raise UserError(f"{path} is a checkpoint of another run by now: load it by its path, or train again.")
        return model

    def curve(self) -> LossCurve:
        """A plot of the losses. Errors: UserError, also if matplotlib is missing."""
        return LossCurve(self._curve())

    def save_curve(self, path: str | os.PathLike[str]) -> None:
        """Write the plot as .png or .svg. Errors: OSError; UserError, also for another ending or a missing folder."""
        target = path_argument.path(path)
        with in_words_of_a_program(o="path"):
            PlotOptions(o=target)
        output_folder.require_folder(target)
        plotting.save_picture(target, [self._curve()])

    def _curve(self) -> loss_curves.Curve:
        opt, validations = self.options, sorted(self.val_losses)
        label = f"{opt.savefile}: {opt.model}, {opt.num_layers} x {opt.rnn_size}"
        val = validations, [self.val_losses[i] for i in validations]
        return loss_curves.curve(
            label, label, (range(1, self.iterations + 1), self.train_losses), val, 1 / self._ntrain
        )

    def __repr__(self) -> str:
        return f"<Run {', '.join(f'{name} {value}' for name, value in self._facts().items())}>"

    def _repr_html_(self) -> str:
        return notebook.table(self._facts())

    def _facts(self) -> dict[str, str]:
        facts = {"text": self.options.data_dir, "iterations": f"{self.iterations}", "epochs": f"{self.epochs:.2f}"}
        if self.best_loss is not None:
            facts["validation loss"] = f"{self.best_loss:.4f}"
        if checkpoint := self.best_path or self.last_path:
            facts["checkpoint"] = checkpoint
        if self.stopped:
            facts["ended"] = "by an interrupt"
        elif out_of_patience(self.val_losses, self.options.patience):
            facts["ended"] = f"by patience {self.options.patience}"
        return facts


def _current_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed
        return ""


class LossCurve:
    """A plot of losses that notebooks display; `png` has the bytes of the file."""

    def __init__(self, curve: loss_curves.Curve) -> None:
        self.png = plotting.picture([curve])

    def _repr_png_(self) -> bytes:
        return self.png
