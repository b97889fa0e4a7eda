"""The facts of a checkpoint that the page shows, and the losses of its run.

Pydantic puts the fields' descriptions into the schema of the server's API.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.analysis import loss_curves
from pycharrnn.checkpoints import checkpoint_facts
from pycharrnn.common import losses
from pycharrnn.common.display import is_utf8
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.charrnn import Checkpoint

_MAX_POINTS = 300


@dataclass(frozen=True)
class ModelFacts:
    """An entry of the list of models."""

    id: str
    text: str = field(metadata={"description": "name of the text it was trained on; empty if unknown"})
    model: str = field(metadata={"description": "lstm, gru or rnn"})
    num_layers: int
    rnn_size: int
    vocab_size: int
    items: str = field(metadata={"description": "what an item is: line, blank or file; empty for a model of a text"})
    labels: list[str] = field(
        metadata={"description": "labels of its items, those that are UTF-8; an item begins with one and a tab"}
    )
    newline: bool = field(metadata={"description": "whether its vocabulary has a newline"})
    code_points: bool = field(metadata={"description": "whether its characters are Unicode code points, not bytes"})
    multibyte: bool = field(
        metadata={"description": "whether its characters are bytes, and its text has characters of several bytes"}
    )
    epoch: float | None = field(metadata={"description": "null if unknown"})
    val_loss: float | None = field(
        metadata={"description": "at this checkpoint, in nats per character; null if unknown"}
    )
    best_val_loss: float | None = field(metadata={"description": "lowest loss of its run up to this checkpoint"})
    program: str = field(metadata={"description": "that trained it: char-rnn, torch-rnn, or pycharrnn and its version"})
    saved: float = field(metadata={"description": "modification time of its file, in seconds since 1970"})
    has_text: bool = field(metadata={"description": "whether its training text was there when it was read"})


@dataclass(frozen=True)
class LossSeries:
    """Losses in nats per character, after these iterations."""

    iterations: list[float]
    losses: list[float]


@dataclass(frozen=True)
class Losses:
    """The losses of a run up to a checkpoint, reduced to at most 400 points each."""

    train: LossSeries
    val: LossSeries
    epochs_per_iteration: float = field(metadata={"description": "0 if unknown"})
    window: int = field(metadata={"description": "number of training losses that each point averages"})


def facts_of(loaded: Checkpoint, name: str, saved: float, has_text: bool = False) -> ModelFacts:
    """The facts of a checkpoint.

    Args:
        name: its id.
        saved: modification time of its file, in seconds since 1970.
        has_text: whether its training text is there.
    """
    network, encoding = loaded.network, checkpoint_facts.encoding(loaded)
    loss = checkpoint_facts.validation_loss(loaded)
    has_epoch = bool(loaded.epoch or not loaded.i)  # torch-rnn records none
    return ModelFacts(
        id=name,
        text=checkpoint_facts.text_name(loaded),
        model=network.model,
        num_layers=network.num_layers,
        rnn_size=network.rnn_size,
        vocab_size=network.vocab_size,
        items=loaded.items,
        labels=[label.decode() for label in loaded.labels if is_utf8(label)],
        newline=b"\n" in loaded.vocab,
        code_points=encoding == "utf8",
        multibyte=encoding == "bytes" and any(character >= b"\x80" for character in loaded.vocab),
        epoch=float(loaded.epoch) if has_epoch and math.isfinite(loaded.epoch) else None,
        val_loss=loss if loss is not None and math.isfinite(loss) else None,
        best_val_loss=losses.best_loss(checkpoint_facts.validations(loaded)),
        program=loaded.program,
        saved=saved,
        has_text=has_text,
    )


def losses_of(loaded: Checkpoint) -> Losses:
    """The losses that a checkpoint records; without any, empty series."""
    try:
        curve = loss_curves.loss_curve(loaded, "")
    except UserError:  # the checkpoint holds no losses
        return Losses(train=LossSeries([], []), val=LossSeries([], []), epochs_per_iteration=0, window=1)
    return Losses(
        train=_series(*curve.train),
        val=thinned_series(*curve.val),
        epochs_per_iteration=curve.epochs_per_iteration,
        window=curve.window,
    )


def thinned_series(iterations: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> LossSeries:
    """At most 300 points of a curve, including the first, the lowest and the last; more than its width can show."""
    if len(iterations) > _MAX_POINTS:
        even = np.linspace(0, len(iterations) - 1, _MAX_POINTS - 1).astype(int)
        at = np.unique([*even, losses.argmin()])
        iterations, losses = iterations[at], losses[at]
    return _series(iterations, losses)


def _series(iterations: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> LossSeries:
    return LossSeries(iterations=iterations.tolist(), losses=[float(f"{loss:.9g}") for loss in losses.tolist()])
