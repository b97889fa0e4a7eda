"""The losses of a run, from its first iteration on, also where it has been resumed."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from pycharrnn.common.losses import best_iteration


@dataclass
class History:
    """The losses of a run, in nats per character.

    Attributes:
        train_losses: of iterations 1, 2, ...; 8 bytes each, since there may be millions.
        val_losses: iteration -> loss of the validation split.
        done: how many iterations a resumed run had behind it.
    """

    train_losses: array[float] = field(default_factory=lambda: array("d"))
    val_losses: dict[int, float] = field(default_factory=dict)
    done: int = 0

    @property
    def last_val_loss(self) -> float | None:
        """The loss of the newest validation; None before the first."""
        return self.val_losses[max(self.val_losses)] if self.val_losses else None

    def is_exploding(self) -> bool:
        """Whether the newest training loss is more than three times the first. Source: train.lua."""
        return self.train_losses[-1] > self.train_losses[0] * 3


def out_of_patience(val_losses: dict[int, float], patience: int) -> bool:
    """Whether the last `patience` validations (0: any number) brought no better loss than the ones before."""
    best = best_iteration(val_losses)
    since = sum(best is None or i > best for i in val_losses)
    return 0 < patience <= since
