"""The flags of learning from a text while it is read, which eval, score, sample and chat share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pycharrnn.common.errors import UserError, flag, wordings
from pycharrnn.common.option_fields import check, number, option

MAX_RATE, MAX_LENGTH, MAX_PULL = 1, 10_000, 1


@dataclass(frozen=True)
class Adaptation:
    """How a network learns from what it reads: learning rate, characters in a segment, and pull, see adapt.py.

    A rate of 0 stands for adapt.RATE_OF_UNITS divided by the number of units in all layers.
    """

    rate: float
    length: int
    pull: float


@dataclass(frozen=True, kw_only=True)
class AdaptOptions:
    """How a model learns while it reads; see adapt.py. The commands add the switch, -adapt or -learn."""

    adapt_rate: float = option(
        0,
        "learning rate while reading. 0 = 0.16 divided by the number of units in all layers",
        group="learning",
        allowed=number(above=0, high=MAX_RATE),
        value="X",
    )
    adapt_length: int = option(
        20,
        "number of characters in a segment; the model learns from each segment after it has read it",
        group="learning",
        allowed=number(1, MAX_LENGTH),
    )
    adapt_pull: float = option(
        0.001,
        "after each segment, the weights move this fraction of the way back to those of the checkpoint",
        group="learning",
        allowed=number(0, MAX_PULL),
        value="X",
    )

    def __post_init__(self) -> None:
        """Errors: UserError for the first invalid value."""
        check(self)

    @property
    def adaptation(self) -> Adaptation:
        """The same for a learner."""
        return Adaptation(self.adapt_rate, self.adapt_length, self.adapt_pull)

    def check_adapt(self, switch: str, is_on: int) -> None:
        """Errors: UserError for values without their switch, "adapt" or "learn"."""
        for field in dataclasses.fields(AdaptOptions):
            if not is_on and getattr(self, field.name) != field.default:
                turned_on = wordings(f"-{switch} 1", f"{switch}=True")
                raise UserError(f"{flag(field.name)} says how {turned_on} learns: add {turned_on}, or leave it out.")
