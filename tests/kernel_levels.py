"""The levels of the C kernel that were built here and that this processor has: those of the fixture `level`."""

from __future__ import annotations

import pytest

from pycharrnn.engine import kernel_library

_USABLE = kernel_library.LEVELS[: kernel_library.LEVELS.index(kernel_library.best_level()) + 1]
LEVELS = [level for level in _USABLE if kernel_library.built(kernel_library.PACKAGE, level)]
needs_kernel = pytest.mark.skipif(not LEVELS, reason="no compiler was there when pycharrnn was installed")
