"""The cache of the values that were used last."""

from __future__ import annotations

import pytest

from pycharrnn.common.lru import LRU


def test_the_values_that_were_used_last_are_kept():
    kept: LRU[str, int] = LRU(10, lambda value: value)
    for key, value in (("a", 3), ("b", 4), ("c", 3)):
        kept[key] = value
    assert kept["a"] == 3  # now b is the least recently used
    kept["d"] = 4
    assert [key for key in "abcd" if key in kept] == ["a", "c", "d"]
    kept["a"] = 9
    assert [key for key in "abcd" if key in kept] == ["a"]
    with pytest.raises(KeyError):
        kept["b"]


def test_one_value_is_kept_whatever_it_costs():
    kept: LRU[int, bytes] = LRU(3, len)
    kept[1] = b"abc"
    kept[2] = b"abcdef"
    assert (1 in kept, kept[2]) == (False, b"abcdef")
    kept[3] = b""
    assert (2 in kept, kept[3]) == (False, b"")
