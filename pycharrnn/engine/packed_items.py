"""The items of a batch as sequences of their own, for torch.nn's modules, which can't reset a state within a sequence.

Rows of text are cut where items begin. A module then reads all pieces side by side, each from a state of its own, as a
PackedSequence: the longest first, and step by step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence

_CPU = torch.device("cpu")  # whatever torch.set_default_device says


class PackedItems(NamedTuple):
    """Where each of T*B elements (T, B) is in a PackedSequence of the N pieces of their rows.

    Attributes:
        elements: (T*B,), for each packed element its index in the flattened (T, B). places: (T*B,), the inverse.
        batch_sizes: (longest,), on the CPU: how many pieces have a step 1, 2, ...
        rows: (R,), the rows that continue an item of the batch before. firsts, lasts: (R,) and (B,), the place among
            the pieces of the first piece of these rows, and of the last piece of each row.
    """

    elements: torch.Tensor
    places: torch.Tensor
    batch_sizes: torch.Tensor
    rows: torch.Tensor
    firsts: torch.Tensor
    lasts: torch.Tensor

    def packed(self, x: torch.Tensor) -> torch.Tensor:
        """(T, B, D) -> (T*B, D), in the order of the PackedSequence."""
        return x.flatten(0, 1)[self.elements]

    def unpacked(self, x: torch.Tensor) -> torch.Tensor:
        """(T*B, D) -> (T*B, D), in the order of (T, B)."""
        return x[self.places]

    def sequence(self, packed: torch.Tensor) -> PackedSequence:
        return PackedSequence(packed, self.batch_sizes)

    def write_first(self, to: torch.Tensor, state: torch.Tensor) -> None:
        """Write the states (L, B, H) before the batch to those of the pieces, `to` (L, N, H)."""
        to[:, self.firsts] = state[:, self.rows].to(to.dtype)


def pack(begins: torch.Tensor) -> PackedItems | None:
    """The items of a batch, from where they begin, (T, B) bool; None if nowhere.

    On a GPU, the CPU waits for `begins`: a PackedSequence has its sizes on the CPU.
    """
    T, B = begins.shape
    starts = begins.cpu().t().clone(memory_format=torch.contiguous_format)
    if not starts.any():
        return None
    continued = ~starts[:, 0]
    starts[:, 0] = True
    first = starts.flatten().nonzero().flatten()  # of each piece, in (B, T)
    lengths = torch.diff(first, append=first.new_tensor([B * T]))
    order = torch.argsort(lengths, descending=True, stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=_CPU)
    batch_sizes = (lengths[:, None] > torch.arange(int(lengths.max()), device=_CPU)).sum(0)
    piece = starts.flatten().cumsum(0) - 1  # of each element in (B, T)
    step = torch.arange(B * T, device=_CPU) - first[piece]
    places = ((batch_sizes.cumsum(0) - batch_sizes)[step] + place[piece]).view(B, T).t().flatten()
    elements = torch.empty_like(places)
    elements[places] = torch.arange(B * T, device=_CPU)
    rows = continued.nonzero().flatten()
    firsts, lasts = place[piece.view(B, T)[rows, 0]], place[piece.view(B, T)[:, -1]]
    elements, places, rows, firsts, lasts = (i.to(begins.device) for i in (elements, places, rows, firsts, lasts))
    return PackedItems(elements, places, batch_sizes, rows, firsts, lasts)
