"""Which models are in memory: as many of those used last as there is room for."""

from __future__ import annotations

import weakref
from collections import OrderedDict

from pycharrnn.server.served_models import ServedModel


class CapacityExceeded(Exception):
    """The models in use leave no room for another one."""


class ModelCache:
    """Keeps models, the weights of which take up to `most_bytes` together; a larger model has it for itself.

    A model that a request still draws from takes room until that is done, whether it is kept or not.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, ServedModel] = OrderedDict()  # the last one was used last
        self._alive: weakref.WeakSet[ServedModel] = weakref.WeakSet()  # those that are kept or drawn from

    def get(self, name: str) -> ServedModel | None:
        """A model that is kept, or None."""
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    def has_room(self, nbytes: int) -> bool:
        """Whether there is room for so many bytes more."""
        used = sum(model.nbytes for model in self._alive)
        return not used or used + nbytes <= self._most_bytes

    def make_room(self, nbytes: int) -> None:
        """Drop the models that were not used for longest, until there is room. Errors: CapacityExceeded."""
        while not self.has_room(nbytes):
            if not self._kept:
                raise CapacityExceeded
            self._kept.popitem(last=False)

    def keep(self, model: ServedModel) -> None:
        """Keep a model, in place of the one of that name if there is one."""
        self.drop(model.id)
        self._kept[model.id] = model
        self._alive.add(model)

    def drop(self, name: str) -> None:
        """Keep the model of this name no longer, if it is kept."""
        self._kept.pop(name, None)
