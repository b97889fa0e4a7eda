"""History: all losses of a run, including those before -resume."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pycharrnn.common.losses import best_iteration


@dataclass
class History:
    """The losses of a run, in nats per character.

    Attributes:
        train_losses: of iterations 1, 2, ...; NaN for those that the checkpoint of -resume did not record.
        val_losses: iteration -> loss of the validation split. done: iterations before -resume.
        least_first: a lower first loss counts as this one. The first batch of a list begins all of its items, which may
            be labels, without a loss, or what all items have in common.
    """

    train_losses: array[float] = field(default_factory=lambda: array("d"))
    val_losses: dict[int, float] = field(default_factory=dict)
    done: int = 0
    least_first: float = 0.0
    _first: float = field(default=math.nan, init=False, repr=False)

    @classmethod
    def resumed(
        cls, train_losses: Sequence[float], val_losses: Mapping[int, float], done: int, least_first: float
    ) -> History:
        """The history that a checkpoint of iteration `done` records."""
        losses = array("d", train_losses[:done])
        losses.extend(itertools.repeat(math.nan, done - len(losses)))
        return cls(losses, dict(val_losses), done, least_first)

    @property
    def last_val_loss(self) -> float | None:
        """The validation loss of the last validated iteration; None without one."""
        return self.val_losses[max(self.val_losses)] if self.val_losses else None

    @property
    def has_newest(self) -> bool:
        """Whether the newest training loss is known: not before the first, nor if the resumed checkpoint lacks it."""
        return bool(self.train_losses) and not math.isnan(self.train_losses[-1])

    def is_exploding(self) -> bool:
        """Whether the newest training loss is more than three times the first. Source: train.lua."""
        return self.train_losses[-1] > self.max_loss

    @property
    def max_loss(self) -> float:
        """Training with a loss above it diverges."""
        if math.isnan(self._first):
            self._first = next((loss for loss in self.train_losses if not math.isnan(loss)), math.nan)
        return 3 * max(self._first, self.least_first)  # NaN before the first loss


def out_of_patience(val_losses: dict[int, float], patience: int) -> bool:
    """Whether the last `patience` validations had no lower loss than those before; False for patience 0."""
    best = best_iteration(val_losses)
    since = sum(best is None or i > best for i in val_losses)
    return 0 < patience <= since
