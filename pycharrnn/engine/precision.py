"""The precisions of -dtype, and whether this machine can train in the mixed ones."""

from __future__ import annotations

import torch

from compat.lua_random import LuaRandom
from pycharrnn.engine.dtype_names import MIXED, PARAMETERS
from pycharrnn.engine.model import CharRNN

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in (*PARAMETERS, *MIXED)}
_TRIED = 512  # units at most: cuDNN's algorithms for small layers end below


def can_train(model: str, rnn_size: int, precision: torch.dtype, device: str) -> bool:
    """Whether one training step of one layer of such a model works in this precision on this device."""
    try:
        network = CharRNN(model, 1, min(rnn_size, _TRIED), 1, device=device, initialize=False)
        network.reset_parameters(LuaRandom(1))
        bptt = network.bptt(1, 1, training_only=True, precision=precision)
        x = torch.zeros(1, 1, dtype=torch.int64, device=device)
        bptt.forward(x)
        bptt.nll(x)
        bptt.backward(bptt.d_nll(), bptt.views(torch.empty_like(bptt.flat)))
    except (RuntimeError, TypeError, ValueError):  # TypeError: MPS lacks the type; ValueError: no backend has it
        return False
    return True
