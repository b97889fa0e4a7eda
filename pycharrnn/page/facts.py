"""What the page shows of a checkpoint: facts for the list of models, and the losses of its run.

The descriptions of fields are those of the server's API, where pydantic finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.analysis import plotting
from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.paths import validation_loss
from pycharrnn.common import losses
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.charrnn import Checkpoint

_MOST_VALIDATIONS = 300  # of a long run; more than a curve of that width can show


@dataclass(frozen=True)
class ModelFacts:
    """A model to choose."""

    id: str
    model: str = field(metadata={"description": "lstm, gru or rnn"})
    num_layers: int
    rnn_size: int
    vocab_size: int
    code_points: bool = field(metadata={"description": "whether its characters are those of UTF-8, not bytes"})
    epoch: float
    val_loss: float | None = field(
        metadata={"description": "at this checkpoint, in nats per character; null where there is none"}
    )
    best_val_loss: float | None = field(metadata={"description": "the lowest of its run up to this checkpoint"})
    program: str = field(metadata={"description": "what trained it: char-rnn or torch-rnn"})
    saved: float = field(metadata={"description": "when its file was written, in seconds since 1970"})


@dataclass(frozen=True)
class LossSeries:
    """Losses in nats per character, and after which iterations."""

    iterations: list[float]
    losses: list[float]


@dataclass(frozen=True)
class Losses:
    """How the losses of a run went, up to a checkpoint: at most some hundreds of points."""

    train: LossSeries
    val: LossSeries
    epochs_per_iteration: float = field(metadata={"description": "0 where that is not known"})
    window: int = field(metadata={"description": "how many training losses each point is the mean of"})


def facts_of(loaded: Checkpoint, name: str, saved: float) -> ModelFacts:
    """What the list of models says of a checkpoint.

    Args:
        name: by which it is chosen.
        saved: when its file was written, in seconds since 1970.
    """
    network = loaded.network
    loss = validation_loss(loaded)
    return ModelFacts(
        id=name,
        model=network.model,
        num_layers=network.num_layers,
        rnn_size=network.rnn_size,
        vocab_size=network.vocab_size,
        code_points=checkpoint.encoding(loaded) == "utf8",
        epoch=float(loaded.epoch) if np.isfinite(loaded.epoch) else 0.0,
        val_loss=loss if loss is not None and np.isfinite(loss) else None,
        best_val_loss=losses.best_loss(loaded.val_losses),
        program=loaded.program,
        saved=saved,
    )


def losses_of(loaded: Checkpoint) -> Losses:
    """The losses of the run up to a checkpoint, as a curve of some hundreds of points."""
    try:
        curve = plotting.loss_curve(loaded, "")
    except UserError:  # it holds none
        return Losses(train=LossSeries([], []), val=LossSeries([], []), epochs_per_iteration=0, window=1)
    return Losses(
        train=_series(*curve.train),
        val=_series(*_thinned(*curve.val)),
        epochs_per_iteration=curve.epochs_per_iteration,
        window=curve.window,
    )


def _series(iterations: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> LossSeries:
    return LossSeries(iterations=iterations.tolist(), losses=[float(f"{loss:.6g}") for loss in losses.tolist()])


def _thinned(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Points at even distances, among them the first, the lowest and the last."""
    if len(x) <= _MOST_VALIDATIONS:
        return x, y
    even = np.linspace(0, len(x) - 1, _MOST_VALIDATIONS - 1).astype(int)
    at = np.unique([*even, y.argmin()])
    return x[at], y[at]
