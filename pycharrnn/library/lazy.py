"""Attributes made at their first use, once for all threads."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class lazy_property(functools.cached_property[_T]):
    """functools.cached_property whose function runs once, also if several threads need it at the same time.

    The lock belongs to the class, so that instances can be pickled and copied.
    """

    def __init__(self, function: Callable[[Any], _T]) -> None:
        super().__init__(function)
        self._mutex = threading.RLock()

    def __get__(self, instance: object, owner: type[Any] | None = None) -> _T:  # type: ignore[override]
        with self._mutex:
            value: Any = super().__get__(instance, owner)  # this property itself without an instance
        found: _T = value
        return found
