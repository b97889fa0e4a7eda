"""The weights of a model as C: struct model_weights of c/model.c, in one of the types in formats.WEIGHTS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from compat.cells import CELLS
from pycharrnn.checkpoints.c_template import string, wrapped

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.graph_match import Network

    Array = npt.NDArray[Any]
    Members = dict[str, Array]  # of struct model_weights, in its order

LARGEST_INT8 = 127
_BIASES = ("bias", "decoder_bias")
_STRING_BYTES = 27  # of a line; each may take 4 columns


def source_of(network: Network, weights: str) -> str:
    """The definition of model_weights."""
    lines = ["const struct model_weights model_weights = {"]
    for name, array in _members(network, weights).items():
        lines += [f"    /* {name} */", *_initializer(array)]
    return "\n".join([*lines, "};"])


def size(network: Network, weights: str) -> int:
    """The bytes of model_weights, without padding."""
    return sum(array.nbytes + _zero_bytes(array) for array in _members(network, weights).values())


def are_finite(network: Network, weights: str) -> bool:
    """Whether the weights of a network without NaN and infinity are in the range of a type."""
    with np.errstate(over="ignore"):
        members = _members(network, weights)
    reals = (array.view(f"f{array.itemsize}") for array in members.values() if array.dtype != np.int8)
    return all(np.isfinite(array).all() for array in reals)


def _zero_bytes(array: Array) -> int:
    """Of the strings in which rows of int8 are written."""
    return array.size // array.shape[-1] if array.dtype == np.int8 else 0


def rounded(network: Network, weights: str) -> Network:
    """The network with its weights as a file holds them, in float64."""

    def of_type(w: Array) -> Array:
        if weights == "int8" and w.ndim == 2:
            integers, scales = _integers(w)
            return integers * scales[:, None].astype(np.float64)
        return w.astype(np.float64 if weights == "double" else np.float32).astype(np.float64)

    return replace(network, weights={name: of_type(w) for name, w in network.weights.items()})


def _members(network: Network, weights: str) -> Members:
    return _in_integers(network) if weights == "int8" else _in_reals(network, "f8" if weights == "double" else "f4")


def _in_reals(network: Network, dtype: str) -> Members:
    """The transposed matrices, whose rows are added one after the other: sums side by side suit a processor."""
    layers, H = range(1, network.num_layers + 1), network.rnn_size
    inputs, recurrent, biases = _by_layer(network)
    found = {"input": inputs[0].T + biases[0]}
    if len(layers) > 1:
        found |= {"below": _stacked([w.T for w in inputs[1:]]), "bias": _stacked(biases[1:])}
    direct = CELLS[network.model].num_direct_gates * H
    found["recurrent"] = _stacked([w[:direct].T for w in recurrent])
    if direct < len(recurrent[0]):
        found["candidate"] = _stacked([w[direct:].T for w in recurrent])
    found |= {"decoder": network.weights["decoder.weight"].T, "decoder_bias": network.weights["decoder.bias"]}
    return {
        name: _bits(array.astype(dtype)) if name not in _BIASES else array.astype(dtype)
        for name, array in found.items()
    }


def _bits(matrix: Array) -> Array:
    return matrix.view(f"u{matrix.itemsize}")


def _in_integers(network: Network) -> Members:
    H = network.rnn_size
    inputs, recurrent, biases = _by_layer(network)
    integers, scales = _integers(inputs[0])
    found: Members = {"input": integers.T.reshape(network.vocab_size, -1, H), "input_scale": scales}
    if len(inputs) > 1:
        found |= _with_scales("below", inputs[1:])
    found["bias"] = _stacked(biases).astype(np.float32)
    direct = CELLS[network.model].num_direct_gates * H
    found |= _with_scales("recurrent", [w[:direct] for w in recurrent])
    if direct < len(recurrent[0]):
        found |= _with_scales("candidate", [w[direct:] for w in recurrent])
    integers, scales = _integers(network.weights["decoder.weight"])
    found |= {"decoder": integers, "decoder_scale": scales}
    return found | {"decoder_bias": network.weights["decoder.bias"].astype(np.float32)}


def _by_layer(network: Network) -> tuple[list[Array], list[Array], list[Array]]:
    """For each layer the weights of its input (G, V or H) and of its state (G, H), and the sum of both biases (G,)."""

    def joined(linears: tuple[str, ...], kind: str) -> list[Array]:
        return [
            np.concatenate([network.weights[f"{linear}_{layer}.{kind}"] for linear in linears], dtype=np.float64)
            for layer in range(1, network.num_layers + 1)
        ]

    inputs, recurrent = CELLS[network.model].input_linears, CELLS[network.model].recurrent_linears
    biases = [of_input + of_h for of_input, of_h in zip(joined(inputs, "bias"), joined(recurrent, "bias"), strict=True)]
    return joined(inputs, "weight"), joined(recurrent, "weight"), biases


def _integers(matrix: Array) -> tuple[Array, Array]:
    """int8 (rows, columns) and float32 (rows,), whose product is about the matrix."""
    matrix = matrix.astype(np.float64)
    scales = (np.abs(matrix).max(1) / LARGEST_INT8).astype(np.float32)
    divisors = np.where(scales > 0, scales, 1).astype(np.float64)[:, None]
    return np.clip(np.rint(matrix / divisors), -LARGEST_INT8, LARGEST_INT8).astype(np.int8), scales


def _with_scales(name: str, matrices: list[Array]) -> Members:
    pairs = [_integers(matrix) for matrix in matrices]
    return {name: _stacked([integers for integers, _ in pairs]), f"{name}_scale": _stacked([s for _, s in pairs])}


def _stacked(arrays: list[Array]) -> Array:
    return np.stack(arrays)


def _initializer(array: Array, indent: str = "    ") -> Iterator[str]:
    """Lines of a C initializer with nested braces, and a comma after it. A row of int8 is a string."""
    if array.ndim == 1 and array.dtype == np.int8:
        pieces = [string(array[k : k + _STRING_BYTES].tobytes()) for k in range(0, len(array), _STRING_BYTES)]
        yield from (f"{indent}{piece}" for piece in pieces[:-1])
        yield f"{indent}{pieces[-1]},"
        return
    yield f"{indent}{{"
    if array.ndim > 1:
        for part in array:
            yield from _initializer(part, f"{indent}  ")
    else:
        yield from wrapped(_literals(array), f"{indent}  ")
    yield f"{indent}}},"


def _literals(vector: Array) -> Iterator[str]:
    """C constants, with commas: words in hexadecimal; of reals the shortest decimals that are rounded to them."""
    if vector.dtype.kind == "u":
        return (f"0x{word:0{2 * vector.itemsize}x}U," for word in vector.tolist())
    suffix = "F," if vector.dtype == np.float32 else ","
    numbers = vector.astype(str).tolist() if vector.dtype == np.float32 else map(repr, vector.tolist())
    return (f"{number}{suffix}" for number in numbers)
