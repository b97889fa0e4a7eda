"""The order of losses: the lowest first; NaN and infinity, of a diverged model, last."""

from __future__ import annotations

import math
from collections.abc import Mapping


def sort_key(loss: float | None) -> tuple[int, float]:
    """A key for sorted() and min(): finite losses, lowest first; then None, for unknown; then NaN and infinity."""
    if loss is None:
        return 1, 0.0
    return (0, loss) if math.isfinite(loss) else (2, 0.0)


def finite(losses: Mapping[int, float]) -> dict[int, float]:
    """iteration -> loss, without NaN and infinity."""
    return {i: loss for i, loss in losses.items() if math.isfinite(loss)}


def best_first(losses: Mapping[int, float]) -> list[int]:
    """All iterations, sorted by loss; of equal losses the first iteration comes first."""
    return sorted(losses, key=lambda i: (sort_key(losses[i]), i))


def best_iteration(losses: Mapping[int, float]) -> int | None:
    """The first iteration with the lowest finite loss; None if there is none."""
    found = finite(losses)
    return min(found, key=lambda i: (found[i], i), default=None)


def best_loss(losses: Mapping[int, float]) -> float | None:
    """The lowest finite loss; None if there is none."""
    return min(finite(losses).values(), default=None)
