"""NumPy's warnings about numbers that overflow, as those of a model whose training failed do."""

from __future__ import annotations

import warnings


def be_silent() -> None:
    """Keep these warnings from the user, who gets one sentence from the code that finds infinity or NaN in a result."""
    warnings.filterwarnings("ignore", category=RuntimeWarning)
