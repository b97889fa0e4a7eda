"""An LRU cache of the models that `pycharrnn serve` has in memory."""

from __future__ import annotations

import weakref
from collections import OrderedDict

from pycharrnn.server.learning_models import LearningModel
from pycharrnn.server.served_models import ServedModel


class ModelCache:
    """Caches models of up to `max_bytes` of weights. Models in use count, cached or not. Caches a larger one alone."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._cached: OrderedDict[str, ServedModel] = OrderedDict()  # the least recently used first
        self._alive: weakref.WeakSet[ServedModel | LearningModel] = weakref.WeakSet()  # cached, or used by a request

    def get(self, model_id: str) -> ServedModel | None:
        """A cached model, which becomes the most recently used, or None."""
        if model_id in self._cached:
            self._cached.move_to_end(model_id)
        return self._cached.get(model_id)

    def fits(self, nbytes: int) -> bool:
        """Whether a model of this size fits beside those in memory."""
        used = sum(model.nbytes for model in self._alive)
        return not used or used + nbytes <= self._max_bytes

    def evict_for(self, nbytes: int) -> bool:
        """Evict the least recently used models until a model of this size fits; False if those in use take too much."""
        while not self.fits(nbytes):
            if not self._cached:
                return False
            self._cached.popitem(last=False)
        return True

    def put(self, model: ServedModel) -> None:
        """Cache a model in place of the one with its id."""
        self.drop(model.id)
        self._cached[model.id] = model
        self.count(model)

    def count(self, model: ServedModel | LearningModel) -> None:
        """Count a model that is not cached, for as long as a request uses it."""
        self._alive.add(model)

    def drop(self, model_id: str) -> None:
        """Remove a model, if it is cached."""
        self._cached.pop(model_id, None)
