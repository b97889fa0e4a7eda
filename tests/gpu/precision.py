"""Whether -dtype computes in what it says, and learns as well."""

from __future__ import annotations

import functools
from functools import partial

import torch
import torch._dynamo  # a mode loads it, which fails once a GPU is pretended
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pycharrnn.engine.model import CharRNN
from tests.gpu import runs
from tests.gpu.checking import Check, Finding, weights_are_not_copied
from tests.gpu.place import Place

_T, _B, _V, _H = 25, 16, 60, 64
_PRODUCTS = ("mm", "rnn", "lstm", "linear", "matmul")  # in the names of PyTorch's operations that multiply matrices
_SEEN = (
    "Every product of matrices, cuDNN's and oneDNN's too, must get its numbers in this precision, and there are some."
)
_LEARNT = "As for the losses, u being bfloat16's 2^-9, after an epoch; but at most a hundredth of the loss."


def checks(place: Place) -> list[Check]:
    asked = [(dtype, model) for dtype in ("bfloat16", "float16") for model in ("lstm", "rnn")]
    return [
        Check(f"{dtype} {model} computes", "products in another precision", partial(_operands, place, dtype, model))
        for dtype, model in asked
    ] + [
        Check(f"{dtype} {model} learns", "validation loss, nats from float32's", partial(_learnt, place, dtype, model))
        for dtype, model in asked
    ]


class _Products(TorchDispatchMode):
    """Notes the precisions of what matrices are multiplied in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, torch.dtype]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if any(word in name for word in _PRODUCTS):
            operands = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) and t.is_floating_point()]
            self.seen += [(name, operand.dtype) for operand in operands]
        return func(*args, **(kwargs or {}))


def _operands(place: Place, dtype: str, model: str) -> Finding:
    wanted = getattr(torch, dtype)
    with _Products() as products, place.computing():
        network = CharRNN(model, _V, _H, 2, device=place.device)
        passes = network.bptt(_T, _B, training_only=True, precision=wanted)
        with weights_are_not_copied():
            passes.forward(torch.randint(_V, (_T, _B)).to(place.device))
    others = sorted({f"{name} in {str(found)[6:]}" for name, found in products.seen if found != wanted})
    names = sorted({name for name, _ in products.seen})
    figure = len(others) if products.seen else float("nan")
    return Finding(figure, 0, _SEEN, "; ".join(others) or ", ".join(names))


def _learnt(place: Place, dtype: str, model: str) -> Finding:
    whole, bound = _float32(place, model)
    options = {"model": model, "exact": 0}
    with runs.Folder() as folder:
        half = runs.on_place(folder, runs.batches(options), place, dtype=dtype, **options)[-1]
    if half == whole:
        raise RuntimeError(f"{dtype} gives float32's loss, {whole}, to the last digit")
    return Finding(abs(half - whole), bound, _LEARNT, f"{half:.4f} after an epoch, float32 {whole:.4f}")


@functools.cache
def _float32(place: Place, model: str) -> tuple[float, float]:
    """The validation loss after an epoch in float32, and how far from it another may be."""
    options = {"model": model, "exact": 0}
    epoch = runs.batches(options)
    with runs.Folder() as folder:
        truth = runs.on_cpu(folder, epoch, place, **options)
        allowed = runs.bounds(truth, folder, place, runs.rounding(place, 0, "bfloat16"), **options)[-1]
        whole = runs.on_place(folder, epoch, place, **options)[-1]
    return whole, min(allowed, whole / 100)
