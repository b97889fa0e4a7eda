"""Chooses the backend of a network's training passes: the C kernel, PyTorch's loops, or torch.nn's modules (cuDNN)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from pycharrnn.checkpoints import torch_names
from pycharrnn.engine import kernel, kernel_library, validation
from pycharrnn.engine.c_backend import CBackend
from pycharrnn.engine.torch_backend import TorchBackend
from pycharrnn.engine.torch_nn_backend import TorchNNBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycharrnn.engine.flat_model import FlatModel


class Backend(Protocol):
    """Forward and backward passes over batches of T time steps and B texts; P parameters, V characters, H units.

    Attributes:
        flat: (P,), the parameters, in the backend's own order.
        log_probs: (T*B, V), in nats, after a forward pass.
        is_portable: whether the results have the same bits on every machine.
        can_be_recorded: whether a step can become a CUDA graph.
    """

    T: int
    B: int
    V: int
    H: int
    num_layers: int
    flat: torch.Tensor
    log_probs: torch.Tensor

    @property
    def is_portable(self) -> bool: ...

    @property
    def can_be_recorded(self) -> bool: ...

    def canonical(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector in the order of `flat`, reordered as CharRNN.flat."""

    def from_canonical(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector in the order of CharRNN.flat, reordered as `flat`."""

    def views(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        """Name -> view of a vector in the order of `flat`, for each weight and bias."""

    def states(self, t: int) -> list[torch.Tensor]:
        """The hidden states (B, H) before the batch (t = 0) or after it (-1): c, h of layer 1, c, h of layer 2..."""

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None, begins: torch.Tensor | None = None) -> None:
        """See BPTT.forward. Sets log_probs, states(-1). x (T, B) int64 and masks must not change before `backward`.

        begins: (T, B) bool, where the states become zero before x is read; or None.
        """

    def backward(
        self, d_logits: torch.Tensor, gradients: dict[str, torch.Tensor], d_last: Sequence[torch.Tensor] | None
    ) -> list[torch.Tensor]:
        """After forward: write all gradients, named as in `views`. See BPTT.backward. torch.nn's modules return []."""


class BackendChoice(NamedTuple):
    """`make` makes the backend from (model, T, B); `reason` is one line: "C kernel (avx512)"."""

    make: Callable[[FlatModel, int, int], Backend]
    reason: str


def choose_backend(
    model: str, flat: torch.Tensor, training_only: bool = False, precision: torch.dtype | None = None
) -> BackendChoice:
    """The fastest backend for a model with the parameters `flat`.

    Errors: UserError for an unknown PYCHARRNN_KERNEL, ValueError if no backend has this precision.

    Args:
        training_only: whether the caller needs no gradients of hidden states, which torch.nn's modules lack.
        precision: of matrix products, torch.bfloat16 or torch.float16; None for that of the parameters.
    """
    on_cpu = flat.device == validation.CPU
    if precision and kernel.usable(flat, precision):
        return BackendChoice(partial(CBackend, products=precision), f"C kernel ({kernel_library.name()})")
    if training_only and model in torch_names.IN_TORCH_NN and (precision or not on_cpu):
        where = "mixed precision" if precision else f"faster than PyTorch's loops on {flat.device.type}"
        return BackendChoice(partial(TorchNNBackend, precision=precision), f"torch.nn ({where})")
    if precision:
        raise ValueError(f"no backend trains a {model} on {flat.device.type} with products of {precision}")
    if kernel.usable(flat):
        return BackendChoice(CBackend, f"C kernel ({kernel_library.name()})")
    if not on_cpu:
        reason = f"torch.nn has no {model} as char-rnn's" if training_only else "the C kernel runs on the CPU alone"
    elif kernel_library.library() is None:
        reason = "no C kernel: " + "; ".join(kernel_library.why_not_better())
    else:
        reason = f"the C kernel takes float64 and float32, not {flat.dtype}"
    return BackendChoice(TorchBackend, f"PyTorch ({reason})")
