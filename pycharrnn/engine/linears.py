"""The Linear modules of a layer by name, or several of them as one. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pycharrnn.engine.operations import Array

if TYPE_CHECKING:
    import torch

# (weight, bias) of each Linear module of one kind, in the order of CellFacts.input_linears or recurrent_linears.
Linears: TypeAlias = Sequence[tuple["torch.Tensor", "torch.Tensor"]]


def linears_of(named: Mapping[str, Array], names: Sequence[str], layer: int) -> list[tuple[Array, Array]]:
    """(weight, bias) of the named Linear modules of a layer, numbered from 1. Errors: KeyError."""
    return [(named[f"{name}_{layer}.weight"], named[f"{name}_{layer}.bias"]) for name in names]


def joined(linears: Sequence[tuple[Array, Array]], concatenate: Callable[[list[Array]], Array]) -> tuple[Array, Array]:
    """Weight and bias of several Linears as one, by `concatenate`: torch.cat or numpy.concatenate."""
    if len(linears) == 1:
        return linears[0]
    return concatenate([weight for weight, _ in linears]), concatenate([bias for _, bias in linears])
