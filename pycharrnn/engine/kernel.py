"""Calls of the optional C kernel: the loss, RMSprop, and the addresses of tensors. kernel_library.py loads it.

C checks nothing: `address` checks each tensor, and `validation.in_range` each token id.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import torch

from pycharrnn.engine import kernel_library, validation
from pycharrnn.engine.kernel_structures import (
    BLOCK,
    DropStruct,
    LayerStruct,
    LossStruct,
    PassesStruct,
    UpdateStruct,
    WorkspaceSizesStruct,
)

_PRECISIONS = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2}  # as in kernel.c


def usable(parameters: torch.Tensor, products: torch.dtype | None = None) -> bool:
    """Whether the kernel takes this vector: CPU, float64 or float32, contiguous. Errors: as kernel_library.library.

    `products`: a precision of matrix products to take as well; the kernel has bfloat16, with parameters of float32.
    """
    dtypes = {None: (torch.float64, torch.float32), torch.bfloat16: (torch.float32,)}.get(products, ())
    fits = parameters.device == validation.CPU and parameters.dtype in dtypes and parameters.is_contiguous()
    return fits and kernel_library.library() is not None


def _function(name: str) -> Callable[..., None]:
    function: Callable[..., None] = getattr(kernel_library.library(), name)
    return function


def workspace_sizes(layer: LayerStruct, dtype: torch.dtype) -> WorkspaceSizesStruct:
    """The number of elements that the kernel needs in each buffer of such a layer."""
    found = WorkspaceSizesStruct()
    _function("charrnn_workspace_sizes")(ctypes.byref(layer), ctypes.byref(found), _PRECISIONS[dtype])
    return found


def call(
    name: str, structure: PassesStruct | LossStruct | UpdateStruct | DropStruct, threads: int, dtype: torch.dtype
) -> None:
    """Call a function of the kernel. dtype: the structure's; of passes of float32, bfloat16 for such products."""
    _function(name)(ctypes.byref(structure), threads, _PRECISIONS[dtype])


def address(name: str, tensor: torch.Tensor, dtype: torch.dtype, shape: Sequence[int]) -> int:
    """The address of a contiguous CPU tensor of this type and shape in its storage. Errors: TypeError, ValueError."""
    validation.tensor(name, tensor, dtype, validation.CPU, shape)
    if not tensor.is_contiguous():
        raise ValueError(f"{name} must be contiguous, but has the strides {tensor.stride()}")
    if tensor.untyped_storage().nbytes() < (tensor.storage_offset() + tensor.numel()) * tensor.itemsize:
        raise ValueError(f"the storage of {name} was resized to {tensor.untyped_storage().nbytes()} bytes")
    return tensor.data_ptr()


def likelihood(log_probs: torch.Tensor, y: torch.Tensor, temperature: float = 1) -> float:
    """The sum in double precision of the log-probabilities (rows, V) of the token ids y (rows,), without IGNORED.

    temperature: the log-probabilities are those of softmax(log_probs / temperature).
    """
    loss = _loss(log_probs, y)
    if temperature != 1:
        workspace = log_probs.new_empty(log_probs.shape[1])
        loss.temperature, loss.d_logits = temperature, workspace.data_ptr()
    call("charrnn_likelihood", loss, 1, log_probs.dtype)
    return float(loss.likelihood)


def loss_gradient(log_probs: torch.Tensor, y: torch.Tensor, batch_size: int, out: torch.Tensor) -> torch.Tensor:
    """Write the gradient of -likelihood/batch_size with respect to the logits to `out` (rows, V)."""
    loss = _loss(log_probs, y)
    loss.batch_size, loss.d_logits = batch_size, address("out", out, log_probs.dtype, log_probs.shape)
    call("charrnn_loss_gradient", loss, torch.get_num_threads(), log_probs.dtype)
    return out


def _loss(log_probs: torch.Tensor, y: torch.Tensor) -> LossStruct:
    rows, V = log_probs.shape
    of_y = address("y", y, torch.int64, (rows,))
    validation.targets_in_range(y, V)
    of_log_probs = address("log_probs", log_probs, log_probs.dtype, (rows, V))
    return LossStruct(rows, V, 1, of_y, of_log_probs, temperature=1)


def rmsprop(
    parameters: torch.Tensor,
    gradient: torch.Tensor,
    mean_square: torch.Tensor,
    clip: float,
    alpha: float,
    learning_rate: float,
    epsilon: float,
) -> list[float]:
    """See rmsprop.RMSprop.step. Returns: the squared norms of the clipped gradient and of the updated parameters."""
    size = parameters.numel()
    squares = parameters.new_empty(-(-size // BLOCK), 2, dtype=torch.float64)
    vectors = {"gradient": gradient, "mean_square": mean_square, "parameters": parameters}
    addresses = (address(name, vector, parameters.dtype, (size,)) for name, vector in vectors.items())
    update = UpdateStruct(size, *addresses, clip, alpha, learning_rate, epsilon, squares.data_ptr())
    call("charrnn_rmsprop", update, torch.get_num_threads(), parameters.dtype)
    parameters[:0].zero_()  # so that autograd notices the change
    return [update.of_gradient, update.of_parameters]


def drop(
    weights: torch.Tensor,
    whole: torch.Tensor,
    gradient: torch.Tensor | None,
    first: int,
    seed: int,
    limit: int,
    factor: float,
) -> None:
    """Zero some of the weights (size,), saved in `whole`; or, with the gradient, put them back and mask the gradient.

    Those whose draw, number `first` and following of SplitMix64 from `seed`, is below `limit` are multiplied by
    `factor`. See WeightDrop.
    """
    vectors = {"weights": weights, "whole": whole, "gradient": gradient}
    addresses = (v if v is None else address(name, v, weights.dtype, weights.shape) for name, v in vectors.items())
    call(
        "charrnn_drop",
        DropStruct(weights.numel(), *addresses, first, seed, limit, factor),
        torch.get_num_threads(),
        weights.dtype,
    )
