"""Some steps of training for kernel_replay.c, which trains without Python, and what must come out of them.

python tests/kernel_replay.py FOLDER writes the steps of every kind of network there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from compat.cells import CELLS, MODELS
from pycharrnn.engine import kernel
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.rmsprop import RMSprop

T, B, H, V, LAYERS, STEPS = 7, 29, 21, 19, 2, 5  # no multiples of a vector's width
END_ID = 3  # items begin with it
FIGURES = 8 * 4 * STEPS  # bytes that all steps give before the tensors
# Precision of the products: that of all else.
DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.float32}
PRECISIONS = ("float32", "float64", "bfloat16")  # as in kernel.c


def cases() -> list[tuple[str, str]]:
    return [(model, dtype) for model in MODELS for dtype in DTYPES]


def places(network: CharRNN) -> np.ndarray:
    """Where the weights of each gate begin in CharRNN.flat: (layers + 1, kinds, 4), -1 for those that there are not."""
    where = network.views(torch.arange(network.flat.numel()))
    found = np.full((LAYERS + 1, 4, 4), -1, np.int64)
    cell = CELLS[network.model]
    for layer in range(LAYERS):
        for group, linears in enumerate((cell.input_linears, cell.recurrent_linears)):
            gates = len(cell.gates) // len(linears)
            for kind, part in enumerate(("weight", "bias")):
                rows = [where[f"{name}_{layer + 1}.{part}"].reshape(gates, -1)[:, 0] for name in linears]
                found[layer, 2 * group + kind, : len(cell.gates)] = torch.cat(rows).numpy()
    found[LAYERS, 0, 0], found[LAYERS, 1, 0] = where["decoder.weight"][0, 0], where["decoder.bias"][0]
    return found


def write(path: Path, model: str, dtype: str, threads: int = 1) -> bytes:
    """Write STEPS steps of training as kernel_replay.c reads them. Returns: what it must write, by our kernel."""
    torch.manual_seed(1)
    network = CharRNN(model, V, H, LAYERS, dtype=DTYPES[dtype], end_id=END_ID)
    flat = network.flat.detach()
    flat *= 10
    products = torch.bfloat16 if dtype == "bfloat16" else None
    bptt, gradient = network.bptt(T, B, precision=products), torch.zeros_like(flat)
    optimizer = RMSprop(flat, 2e-3, 0.95)
    header = [
        list(CELLS).index(model),
        len(CELLS[model].gates),
        LAYERS,
        T,
        B,
        H,
        V,
        len(flat),
        PRECISIONS.index(dtype),
        STEPS,
        END_ID,
    ]
    written = [np.array([*header, threads], np.int64), places(network), flat.numpy().copy()]
    written += [state.uniform_(-1, 1).numpy().copy() for state in bptt.states(0)]
    figures = []
    for step in range(STEPS):
        x, y = (torch.randint(V, (T, B)) for _ in range(2))
        masks = torch.rand(LAYERS, T, B, H).round().to(flat.dtype) * 2
        written += [x.numpy(), y.numpy(), masks.numpy()]
        if step:
            for first, last in zip(bptt.states(0), bptt.states(-1), strict=True):
                first.copy_(last)
        log_probs = bptt.forward(x, masks)
        bptt.nll(y)
        likelihoods = [kernel.likelihood(log_probs, y.flatten(), 1.25), likelihood_of(log_probs, y)]
        bptt.backward(bptt.d_nll(), network.views(gradient))
        optimizer.step(gradient, 5)
        figures += [*likelihoods, *optimizer._squared_norms]
    path.write_bytes(b"".join(np.ascontiguousarray(array).tobytes() for array in written))
    found = [log_probs, flat, gradient, optimizer.mean_square, *bptt.states(-1)]
    return np.array(figures).tobytes() + b"".join(tensor.numpy().tobytes() for tensor in found)


def likelihood_of(log_probs: torch.Tensor, y: torch.Tensor) -> float:
    """The sum that the loss is made of, term by term in double precision."""
    total = 0.0
    for term in log_probs.gather(1, y.reshape(-1, 1)).flatten().tolist():
        total += term
    return total


if __name__ == "__main__":
    for case in cases():
        write(Path(sys.argv[1]) / "-".join(case), *case, threads=4)
