"""Results of threads, waited for while signals may come."""

from __future__ import annotations

import builtins
from concurrent.futures import ThreadPoolExecutor

import pytest

from pycharrnn.common.thread_results import results_of


def test_nothing_is_imported_while_threads_work(monkeypatch):
    """A signal during an import ends the process before they have removed their files."""
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(int, number) for number in (1, 2)]
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "__import__", lambda name, *args: pytest.fail(f"{name} was imported"))
            assert sorted(results_of(futures)) == [1, 2]


def test_the_first_exception_is_raised():
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(int, word) for word in ("1", "one")]
        with pytest.raises(ValueError, match="one"):
            list(results_of(futures))
