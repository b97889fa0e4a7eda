"""The levels of the C kernel that were built here and that this processor has, and a fixture that goes through them."""

from __future__ import annotations

import os

import pytest

from pycharrnn.engine import kernel_library

_USABLE = kernel_library.LEVELS[: kernel_library.LEVELS.index(kernel_library.best_level()) + 1]
LEVELS = [level for level in _USABLE if kernel_library.built(kernel_library.PACKAGE, level)]
needs_kernel = pytest.mark.skipif(not LEVELS, reason="no compiler was there when pycharrnn was installed")


@pytest.fixture(autouse=True)
def kernel_is_on(monkeypatch):
    """In a module that imports this, also where all tests are run without the kernel."""
    if os.environ.get("PYCHARRNN_KERNEL") == "off":
        monkeypatch.delenv("PYCHARRNN_KERNEL")
        kernel_library.library.cache_clear()
        yield
        kernel_library.library.cache_clear()
    else:
        yield


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    monkeypatch.setenv("PYCHARRNN_KERNEL", request.param)
    kernel_library.library.cache_clear()
    assert kernel_library.name() == request.param
    yield request.param
    kernel_library.library.cache_clear()
