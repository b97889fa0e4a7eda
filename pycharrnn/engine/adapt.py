"""Dynamic evaluation: a network that learns from a text while it reads it, one segment after the other.

Each segment of N characters is predicted with the weights as they are then, with the hidden state carried over. Then
the weights learn from it, by the gradient g of its mean loss, through the segment alone:

    m = 0.99*m + 0.01*g*g from m = 0;  w -= rate * g / (sqrt(m) + 1e-4);  w += pull * (trained w - w)

In float32. Source: Krause et al. 2018, "Dynamic Evaluation of Neural Sequence Models", arXiv:1709.07432; Mikolov 2010.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pycharrnn.common import extras
from pycharrnn.engine import kernel_library

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from compat.graph_match import Network

ALPHA = 0.99  # decay of the mean square
EPSILON = 1e-4


@dataclass(frozen=True)
class Adaptation:
    """How a network learns from what it reads: learning rate, characters in a segment, and pull, see above."""

    rate: float
    length: int
    pull: float


class Learner(ABC):
    """A network that learns from one text as it reads it; its hidden state is zeros at first.

    Attributes:
        how: see Adaptation.
    """

    how: Adaptation

    @abstractmethod
    def read(
        self, token_ids: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.float64]:
        """Read N characters, (N,), and learn from them: log-probabilities of `targets`, which follow them, in nats, (N,).

        A segment begins with the first of them; what is left at the end is a shorter one. So the result of a text that
        is read in parts is that of one call if all parts but the last are of whole segments.

        Errors: TypeError, ValueError for an array of another type or shape; IndexError for an unknown id.
        """

    @abstractmethod
    def network(self) -> Network:
        """The network with copies of its present weights, float32."""


def learner(network: Network, how: Adaptation, threads: int = 1) -> Learner:
    """A learner that begins with the weights of `network`, which stay as they are.

    On the C kernel if it is compiled, with the same bits for any number of threads; else in PyTorch.

    Errors: UserError without both.
    """
    library = kernel_library.library()
    if library is not None:
        from pycharrnn.engine.kernel_adapt import KernelLearner

        return KernelLearner(library, network, how, threads)
    extras.require_pytorch("learning from a text without the C kernel")
    from pycharrnn.engine.torch_adapt import TorchLearner

    return TorchLearner(network, how)
