"""Numbers that overflow, as those of a model whose training failed do."""

from __future__ import annotations

import warnings


def be_silent() -> None:
    """Keep NumPy's warnings from the user: whoever looks at what comes of the numbers says it in a sentence."""
    warnings.filterwarnings("ignore", category=RuntimeWarning)
