"""One batch on each of the three ways that a network is computed: torch.nn (cuDNN), our loop, the loop as a graph."""

from __future__ import annotations

import math
from functools import partial

import torch

from pycharrnn.checkpoints.torch_names import IN_TORCH_NN
from pycharrnn.engine import tf32
from pycharrnn.engine.cuda_graph import CUDAGraphStep
from pycharrnn.engine.model import CharRNN
from tests.gpu.checking import Check, Finding, weights_are_not_copied
from tests.gpu.place import Place

_T, _B, _V, _H, _LAYERS, _DROPOUT = 50, 50, 65, 128, 2, 0.3
_BETWEEN = 160  # units of an lstm for which PyTorch asks cuDNN for one way forward and another one back
_CALLS = 6  # of which a graph is recorded at the fourth, and replayed from there on
_BECAUSE = (
    f"A gradient sums T*B = {_T * _B} products of numbers that went through up to T = {_T} steps over H = {_H} units:"
    " off by about u*(sqrt(T*B) + sqrt(T*H)) of the largest in its tensor, u = 2^-24 in float32, 2^-53 in double"
    " precision; four times that."
)


def checks(place: Place) -> list[Check]:
    dtypes = (torch.float32,) if place.device == "mps" else (torch.float32, torch.float64)
    units = f"lstm torch.nn float32, {_BETWEEN} units"
    asked = "loss, states and gradients of a batch, a part of the largest, from the CPU's in double precision"
    return [
        Check(units, asked, partial(_find, place, "lstm", "torch.nn", 0.0, torch.float32, _BETWEEN)),
        *(
            Check(
                f"{model} {way}{', -dropout' if dropout else ''} {str(dtype)[6:]}", asked, partial(_find, place, *one)
            )
            for model in ("lstm", "gru", "rnn")
            for way in ("torch.nn", "loop", "graph")
            for dropout in (0.0, _DROPOUT)
            for dtype in dtypes
            if (one := (model, way, dropout, dtype)) and (way != "torch.nn" or model in IN_TORCH_NN)
        ),
    ]


def _find(place: Place, model: str, way: str, dropout: float, dtype: torch.dtype, H: int = _H) -> Finding:
    sizes = (model, _V, H, _LAYERS, dropout)
    torch.manual_seed(1)
    on_cpu = CharRNN(*sizes, dtype=torch.float64)
    weights = on_cpu.flat.detach()
    truth = _batch(on_cpu, "loop", 1)
    with tf32.kept(), place.computing(), weights_are_not_copied():
        tf32.allow(False)
        network = CharRNN(*sizes, dtype=dtype, device=place.device)
        network.flat.detach().copy_(weights.to(dtype))
        found = _batch(network, way, _CALLS)
    unit = torch.finfo(dtype).eps / 2
    bound = 4 * unit * (math.sqrt(_T * _B) + math.sqrt(_T * H))
    apart = {name: float((found[name] - value).abs().max() / value.abs().max()) for name, value in truth.items()}
    name = max(apart, key=lambda name: apart[name] if math.isfinite(apart[name]) else math.inf)
    return Finding(apart[name], bound, _BECAUSE, name)


def _batch(network: CharRNN, way: str, calls: int) -> dict[str, torch.Tensor]:
    """Loss, last states and gradients by name, on the CPU in double precision, of the last of some same calls."""
    flat = network.flat.detach()
    random = torch.Generator().manual_seed(2)
    x, y = (torch.randint(_V, (_T, _B), generator=random).to(flat.device) for _ in range(2))
    masks = None
    if network.dropout:
        kept = torch.rand(_LAYERS, _T, _B, network.rnn_size, generator=random) > network.dropout
        masks = (kept / (1 - network.dropout)).to(flat.dtype).to(flat.device)
    passes = network.bptt(_T, _B, training_only=way == "torch.nn")
    first = [torch.randn(state.shape, generator=random).div(4) for state in passes.states(0)]
    gradient, loss = torch.zeros_like(flat), flat.new_zeros(())
    views = passes.views(gradient)

    def step() -> None:
        passes.forward(x, masks)
        loss.copy_(passes.nll(y))
        passes.backward(passes.d_nll(), views)

    for state, value in zip(passes.states(0), first, strict=True):
        state.copy_(value.to(flat.dtype))
    call = CUDAGraphStep(step, flat.device, _fail) if way == "graph" else step
    for _ in range(calls):
        gradient.zero_()
        call()
    named = network.views(passes.canonical(gradient))
    states = {f"state {i}": state for i, state in enumerate(passes.states(-1))}
    return {k: v.detach().cpu().to(torch.float64, copy=True) for k, v in {"loss": loss, **states, **named}.items()}


def _fail(why: str) -> None:
    raise AssertionError(why)
