"""RunSizes: the sizes of a run that its figures are computed with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RunSizes:
    """The sizes of a run that do not change.

    Attributes:
        done: iterations before -resume. ntrain, nval: batches of the training and the validation split.
        characters: of a batch.
    """

    done: int
    ntrain: int
    nval: int
    characters: int
