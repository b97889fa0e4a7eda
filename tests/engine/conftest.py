"""Shared by the tests of the engine: on which path a model runs."""

from __future__ import annotations

import pytest
from kernel_levels import LEVELS

from pycharrnn.engine import kernel, kernel_library


@pytest.fixture
def path(request, monkeypatch):
    """A parameter: the name of a level of the C kernel, which is then used, or of a path that has no levels."""
    if request.param in LEVELS:
        monkeypatch.setenv("PYCHARRNN_KERNEL", request.param)
        kernel_library.library.cache_clear()
    yield request.param
    kernel_library.library.cache_clear()


@pytest.fixture(params=[True, False], ids=["kernel", "loops"])
def kernel_or_loops(request, monkeypatch):
    """Runs a test twice: with passes on the C kernel, if it is compiled, and on the loops of recurrence.py."""
    if not request.param:
        monkeypatch.setattr(kernel, "usable", lambda parameters: False)
    elif kernel_library.name() is None:
        pytest.skip("no kernel was compiled here")
