"""A cache that evicts the least recently used values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LRU(Generic[Key, Value]):
    """Maps keys to values, and evicts the least recently used ones while all together cost more than `max_cost`.

    The value that was set last stays, whatever it costs. `cost`: returns the cost of a value, which must not change
    while the value is in the cache. Not for several threads at a time.

    Example:
        >>> texts = LRU(5, len)
        >>> for key, text in enumerate(["ab", "cd", "e", "fg"]):
        ...     texts[key] = text
        >>> 0 in texts, 1 in texts, texts[2]
        (False, True, 'e')
    """

    def __init__(self, max_cost: int, cost: Callable[[Value], int]) -> None:
        self._max_cost, self._cost = max_cost, cost
        self._values: OrderedDict[Key, Value] = OrderedDict()  # the least recently used first

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __getitem__(self, key: Key) -> Value:
        """Return a value and mark it as the most recently used. Errors: KeyError for a key without a value."""
        self._values.move_to_end(key)
        return self._values[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > 1 and sum(map(self._cost, self._values.values())) > self._max_cost:
            self._values.popitem(last=False)
