"""A cache of the values that were used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LRU(Generic[Key, Value]):
    """Keeps the values that were used last, up to a total cost of `max_cost`, and always the last one.

    `cost`: of a value, which must not change while the value is kept. Not for several threads at a time.

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
        """The value, which becomes the most recently used. Errors: KeyError for one that is not kept."""
        self._values.move_to_end(key)
        return self._values[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > 1 and sum(map(self._cost, self._values.values())) > self._max_cost:
            self._values.popitem(last=False)
