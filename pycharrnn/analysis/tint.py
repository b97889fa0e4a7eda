"""How deep a colour marks how improbable a character was to a model: the same on pages and in notebooks."""

from __future__ import annotations

LEVELS = (1, 2, 3, 4, 6, 8, 11)  # bits of surprise from which on a character's colour is one level deeper


def level(bits: float) -> int:
    """The level of so many bits of surprise: 0, which has no colour, to len(LEVELS).

    Example:
        >>> [level(bits) for bits in (0.3, 1, 2.5, 40)]
        [0, 1, 2, 7]
    """
    return sum(bits >= least for least in LEVELS)


def colour(of_level: int) -> str:
    """The colour of a level from 1 on, as CSS has it; it shines through, on a light page or a dark one."""
    return f"rgb(230 110 0 / {0.11 * of_level:.2f})"
