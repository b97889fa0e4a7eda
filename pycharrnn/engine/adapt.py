"""Dynamic evaluation: a network that learns from a text while it reads it, one segment after the other.

Each segment of N characters is predicted with the weights as they are then, with the hidden state carried over. Then
the weights learn from it, by the gradient g of its mean loss, through the segment alone:

    m = 0.99*m + 0.01*g*g from m = 0;  w -= rate * g / (sqrt(m) + 1e-4);  w += pull * (trained w - w)

In float32. Source: Krause et al. 2018, "Dynamic Evaluation of Neural Sequence Models", arXiv:1709.07432; Mikolov 2010.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.common import extras
from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import kernel_library
from pycharrnn.engine.adapt_options import Adaptation
from pycharrnn.engine.kernel_adapt import KernelLearner
from pycharrnn.engine.learner import Learner

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.graph_match import Network

RATE_OF_UNITS = 0.16  # larger networks need smaller steps: 512 units get worse at what is good for 160


def targets_of(token_ids: npt.NDArray[np.int64], given: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
    """The characters that follow those of a text, (N-1,). Those `given`, bool, (N,), are IGNORED: only read."""
    return (token_ids if given is None else np.where(given, IGNORED, token_ids))[1:]


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
        return KernelLearner(library, network, how, threads)
    check_available()
    from pycharrnn.engine.torch_adapt import TorchLearner  # here, since it imports PyTorch

    return TorchLearner(network, how)
