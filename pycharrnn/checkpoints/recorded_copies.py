"""What a checkpoint records of the passages that its sample has copied from the training text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compat.checkpoint_fields import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compat.checkpoint_fields import Option

LENGTH = 16  # characters of the sequences that are counted
_PREFIX = "copied_"  # of the options


class RecordedCopies(NamedTuple):
    """The options copied_longest, copied_share and copied_val_share.

    Attributes:
        longest: characters of the longest passage of the sample that is in the training split.
        share, val_share: shares of the sequences of LENGTH characters of the sample, and of the validation split, that
            are there; -1 for none.
    """

    longest: float
    share: float
    val_share: float

    def options(self) -> dict[str, Option]:
        """The options to record; `of` reads them."""
        return {_PREFIX + name: value for name, value in self._asdict().items()}


def without(opt: Mapping[str, Option]) -> dict[str, Option]:
    """The options of a checkpoint without these three, for a model with other weights."""
    return {name: value for name, value in opt.items() if not name.startswith(_PREFIX)}


def of(opt: Mapping[str, object]) -> RecordedCopies | None:
    """What the options of a checkpoint, of any program, record; None for nothing."""
    longest, share, val_share = (
        value if is_number(value) else -1 for value in (opt.get(_PREFIX + name) for name in RecordedCopies._fields)
    )
    return RecordedCopies(longest, share, val_share) if longest >= 0 else None
