"""Dynamic evaluation: a network that learns from a text while it reads it, one segment after the other.

Each segment of N characters is predicted with the weights as they are then, with the hidden state carried over. Then
the weights learn from it, by the gradient g of its mean loss, through the segment alone:

    m = 0.99*m + 0.01*g*g from m = 0;  w -= rate * g / (sqrt(m) + 1e-4);  w += pull * (trained w - w)

In float32. Source: Krause et al. 2018, "Dynamic Evaluation of Neural Sequence Models", arXiv:1709.07432; Mikolov 2010.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.common import extras
from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import indices, kernel_library
from pycharrnn.engine.adapt_options import Adaptation

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from compat.graph_match import Network

_PART = 2000  # characters to read at once, about, so that Ctrl-C ends a command soon
ALPHA = 0.99  # decay of the mean square
EPSILON = 1e-4
RATE_OF_UNITS = 0.16  # larger networks need smaller steps: 512 units get worse at what is good for 160


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


def targets_of(token_ids: npt.NDArray[np.int64], given: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
    """The characters that follow those of a text, (N-1,). Those `given`, bool, (N,), are IGNORED: only read."""
    return (token_ids if given is None else np.where(given, IGNORED, token_ids))[1:]


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


def check_available() -> None:
    """Errors: UserError without the C kernel and PyTorch."""
    if kernel_library.library() is None:
        extras.require_pytorch("learning from a text without the C kernel")


def learner(network: Network, how: Adaptation, threads: int = 1) -> Learner:
    """A learner that begins with the weights of `network`, which stay as they are.

    On the C kernel if it is compiled, with the same bits for any number of threads; else in PyTorch.

    Errors: UserError without both.
    """
    if not how.rate:
        how = replace(how, rate=RATE_OF_UNITS / (network.rnn_size * network.num_layers))
    library = kernel_library.library()
    if library is not None:
        from pycharrnn.engine.kernel_adapt import KernelLearner

        return KernelLearner(library, network, how, threads)
    check_available()
    from pycharrnn.engine.torch_adapt import TorchLearner

    return TorchLearner(network, how)
