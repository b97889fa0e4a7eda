"""A trained network's weights, packed for the C kernel. Needs no PyTorch."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from compat.cells import CELLS
from pycharrnn.engine.kernel_arrays import aligned_zeros, weights_of
from pycharrnn.engine.kernel_structures import CELL_NUMBERS, NetworkStruct, ReadingSizesStruct
from pycharrnn.engine.linears import joined, linears_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat import graph_match


class PackedNetwork:
    """The weights of a network in the order in which the kernel's loops read them.

    Weights that float32 holds exactly are kept in it: the result is the same, and memory traffic half as much.

    Attributes:
        cell: the facts of its cell.
        structure: struct network, which points into this object.
        rows_per_step: streams that the kernel takes through a step at once.
        multiplications: for one character of one stream.

    Errors: KeyError, ValueError for missing weights, other shapes or an end_id outside of the vocabulary.
    """

    def __init__(self, library: ctypes.CDLL, network: graph_match.Network) -> None:
        self.cell = cell = CELLS[network.model]
        L, H, V = network.num_layers, network.rnn_size, network.vocab_size
        if network.end_id is not None and not 0 <= network.end_id < V:
            raise ValueError(f"the end of an item is token id {network.end_id}, but there are only 0 to {V - 1}")
        self.library = library
        self.structure = s = NetworkStruct(CELL_NUMBERS[network.model], len(cell.gates), L, H, V)
        s.end_id = -1 if network.end_id is None else network.end_id
        sizes = self.reading_sizes(1, 1)
        self.rows_per_step = sizes.rows_per_step
        named = {name: np.asarray(weight, np.float64) for name, weight in weights_of(network).items()}
        layers = range(1, L + 1)
        inputs = [joined(linears_of(named, cell.input_linears, n), np.concatenate) for n in layers]
        recurrent = [joined(linears_of(named, cell.recurrent_linears, n), np.concatenate) for n in layers]
        decoder = [named["decoder.weight"], named["decoder.bias"]]
        biases = [of_input + of_h for (_, of_input), (_, of_h) in zip(inputs, recurrent, strict=True)]
        direct = cell.num_direct_gates * H
        multiplied = {
            "input_panels": [weight for weight, _ in inputs[1:]],
            "recurrent_panels": [part for weight, _ in recurrent for part in (weight[:direct], weight[direct:])],
            "decoder_panels": decoder[:1],
        }
        self.multiplications = sum(matrix.size for matrices in multiplied.values() for matrix in matrices)
        s.is_float32 = all(_is_float32(matrix) for matrices in multiplied.values() for matrix in matrices)
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "by_character": _one_vector([inputs[0][0].T + biases[0]], np.float64),
            "bias": _one_vector(biases[1:], np.float64),
            "decoder_bias": _one_vector(decoder[1:], np.float64),
        }
        for name, matrices in multiplied.items():
            panels = [_panels(matrix, sizes.panel_width) for matrix in matrices]
            self._arrays[name] = _one_vector(panels, np.float32 if s.is_float32 else np.float64)
        s.input_size = self._arrays["input_panels"].size // max(L - 1, 1)
        s.recurrent_size = self._arrays["recurrent_panels"].size // L
        for name, array in self._arrays.items():
            setattr(s, name, array.ctypes.data)

    def reading_sizes(self, steps: int, streams: int) -> ReadingSizesStruct:
        """Sizes of the buffers for reading `steps` characters of each of `streams` streams at once."""
        sizes = ReadingSizesStruct()
        self.library.charrnn_reading_sizes(ctypes.byref(self.structure), steps, streams, ctypes.byref(sizes))
        return sizes

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays.values())


def _is_float32(matrix: npt.NDArray[np.float64]) -> bool:
    """Whether float32 holds all elements exactly; false for NaN."""
    with np.errstate(over="ignore"):
        return bool((matrix.astype(np.float32) == matrix).all())


def _panels(matrix: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """(N, K) -> (panels, K, width): each panel has `width` rows as columns; zeros pad the last one."""
    N, K = matrix.shape
    filled = np.zeros((-(-N // width) * width, K))
    filled[:N] = matrix
    panels: npt.NDArray[np.float64] = filled.reshape(-1, width, K).transpose(0, 2, 1)
    return panels


def _one_vector(arrays: list[npt.NDArray[np.float64]], dtype: type[np.floating[Any]]) -> npt.NDArray[Any]:
    """The elements of all arrays in one vector, aligned for SIMD."""
    vector = aligned_zeros((sum(array.size for array in arrays),), dtype)
    at = 0
    for array in arrays:
        vector[at : at + array.size].reshape(array.shape)[...] = array
        at += array.size
    return vector
