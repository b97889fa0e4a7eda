"""The optional C kernel: all of a training step that touches numbers, on the CPU.

The passes through a network are those of c_backend.py. The loss, RMSprop and the norms are here.

setup.py compiles kernel.c where there is a compiler, once for each instruction set; nothing else depends on it. The
environment variable PYCHARRNN_KERNEL chooses one (any, avx2, avx512) or none (off).

C believes every address: each has been through `address` here, and each character through `validation.in_range`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import torch

from pycharrnn.engine import kernel_library, validation
from pycharrnn.engine.kernel_structures import BLOCK, Layer, Loss, Passes, Update, WorkspaceSizes

_IS_DOUBLE = {torch.float64: 1, torch.float32: 0}


def usable(parameters: torch.Tensor) -> bool:
    """Whether the kernel can work on this vector: on the CPU, in double precision or float32, in one piece.

    Errors: UserError for a PYCHARRNN_KERNEL that there is not.
    """
    fits = parameters.device == validation.CPU and parameters.dtype in _IS_DOUBLE and parameters.is_contiguous()
    return fits and kernel_library.library() is not None


def _function(name: str) -> Callable[..., None]:
    """A function of the compiled kernel, where `usable` has said that there is one."""
    function: Callable[..., None] = getattr(kernel_library.library(), name)
    return function


def workspace_sizes(layer: Layer, dtype: torch.dtype) -> WorkspaceSizes:
    """The elements that the kernel needs in the buffers of a layer of these sizes."""
    found = WorkspaceSizes()
    _function("charrnn_workspace_sizes")(ctypes.byref(layer), ctypes.byref(found), _IS_DOUBLE[dtype])
    return found


def call(name: str, structure: Passes | Loss | Update, threads: int, dtype: torch.dtype) -> None:
    """Let a function of the kernel work on a structure, on up to so many threads."""
    _function(name)(ctypes.byref(structure), threads, _IS_DOUBLE[dtype])


def address(name: str, tensor: torch.Tensor, dtype: torch.dtype, shape: Sequence[int]) -> int:
    """Where a tensor's elements lie in memory, one after the other.

    Errors: TypeError, ValueError unless it is of this type and shape, on the CPU, and in one piece.
    """
    validation.tensor(name, tensor, dtype, validation.CPU, shape)
    if not tensor.is_contiguous():
        raise ValueError(f"{name} must be contiguous, but has the strides {tensor.stride()}")
    if tensor.untyped_storage().nbytes() < (tensor.storage_offset() + tensor.numel()) * tensor.itemsize:
        raise ValueError(f"the storage of {name} was resized to {tensor.untyped_storage().nbytes()} bytes")
    return tensor.data_ptr()


def likelihood(log_probs: torch.Tensor, y: torch.Tensor) -> float:
    """The sum of the log-probabilities (rows, V) of the characters y (rows), added up in double precision.

    Errors: TypeError, ValueError, IndexError for a y that does not fit.
    """
    loss = _loss(log_probs, y)
    call("charrnn_likelihood", loss, 1, log_probs.dtype)
    return float(loss.likelihood)


def loss_gradient(log_probs: torch.Tensor, y: torch.Tensor, batch_size: int, out: torch.Tensor) -> torch.Tensor:
    """`out` (rows, V), in place: the gradient of -likelihood/batch_size for what log_probs are the log-softmax of.

    Errors: TypeError, ValueError, IndexError for tensors that do not fit.
    """
    loss = _loss(log_probs, y)
    loss.batch_size, loss.d_logits = batch_size, address("out", out, log_probs.dtype, log_probs.shape)
    call("charrnn_loss_gradient", loss, torch.get_num_threads(), log_probs.dtype)
    return out


def _loss(log_probs: torch.Tensor, y: torch.Tensor) -> Loss:
    """The structure of log-probabilities (rows, V) and the characters (rows) that came next."""
    rows, V = log_probs.shape
    of_y = address("y", y, torch.int64, (rows,))
    validation.in_range("y", y, V)
    return Loss(rows, V, 1, of_y, address("log_probs", log_probs, log_probs.dtype, (rows, V)))


def rmsprop(
    parameters: torch.Tensor,
    gradient: torch.Tensor,
    mean_square: torch.Tensor,
    clip: float,
    alpha: float,
    learning_rate: float,
    epsilon: float,
) -> list[float]:
    """Clip the gradient and update, as rmsprop.RMSprop says, in one pass over the flat vectors (P,).

    Returns: two numbers, the squared norms of the clipped gradient and of the updated parameters.

    Errors: TypeError, ValueError for vectors that are not of one type and length.
    """
    size = parameters.numel()
    squares = torch.empty(-(-size // BLOCK), 2, dtype=torch.float64)
    vectors = {"gradient": gradient, "mean_square": mean_square, "parameters": parameters}
    addresses = (address(name, vector, parameters.dtype, (size,)) for name, vector in vectors.items())
    update = Update(size, *addresses, clip, alpha, learning_rate, epsilon, squares.data_ptr())
    call("charrnn_rmsprop", update, torch.get_num_threads(), parameters.dtype)
    parameters[:0].zero_()  # tells autograd that they have changed
    return [update.of_gradient, update.of_parameters]
