"""Suppresses NumPy's warnings about overflow, as in a diverged model."""

from __future__ import annotations

import warnings


def ignore() -> None:
    """Suppress these warnings; code that finds infinity or NaN in a result reports it."""
    warnings.filterwarnings("ignore", r".* encountered in ", RuntimeWarning)
