"""Learner: a network that learns from a text as it reads it, by the formulas of adapt.py.

kernel_adapt.py and torch_adapt.py have the classes that compute.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import indices
from pycharrnn.engine.adapt_options import Adaptation

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from compat.graph_match import Network

_PART = 2000  # characters to read at once, about, so that Ctrl-C ends a command soon
ALPHA = 0.99  # decay of the mean square
EPSILON = 1e-4


class Learner(ABC):
    """A network that learns from one text as it reads it; its hidden state is zeros at first.

    Attributes:
        how: see Adaptation.
    """

    how: Adaptation

    def read_all(
        self,
        token_ids: npt.NDArray[np.integer[Any]],
        targets: npt.NDArray[np.integer[Any]],
        advance: Callable[[int], None],
    ) -> npt.NDArray[np.float64]:
        """The same as `read`, in parts; `advance` is called with the number of characters just read."""
        part = max(1, _PART // self.how.length) * self.how.length
        found = [np.empty(0)]
        for start in range(0, len(token_ids), part):
            found.append(self.read(token_ids[start : start + part], targets[start : start + part]))
            advance(len(found[-1]))
        return np.concatenate(found)

    @abstractmethod
    def read(
        self, token_ids: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]], share: float = 1
    ) -> npt.NDArray[np.float64]:
        """Read N characters, (N,), and learn: log-probabilities of `targets`, which follow them, in nats, (N,).

        A segment begins with the first of them; what is left at the end is a shorter one. So the result of a text that
        is read in parts is that of one call if all parts but the last are of whole segments.

        Args:
            share: factor of the learning rate for these characters.

        Errors: TypeError, ValueError for an array of another type or shape; IndexError for an unknown id.
        """

    @abstractmethod
    def network(self) -> Network:
        """The network with copies of its present weights, float32."""


def checked(
    token_ids: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]], V: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The arguments of Learner.read as contiguous int64. Errors: see there."""
    shape = (len(token_ids),)
    if not len(token_ids) and not len(targets):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ids = indices.check_indices("the characters", token_ids, shape, V)
    counted = np.where(np.asarray(targets) == IGNORED, 0, targets)
    indices.check_indices("the characters that follow", counted, shape, V)
    return ids, np.ascontiguousarray(targets, np.int64)
