"""The time of a training step beside the same network on torch.nn with autograd, and beside the floor.

    python benchmarks/train_step.py [-models lstm,gru,rnn] [-sizes 1x128,2x128,3x512] [-threads 1,2] [-seconds 3]

Batch 50, sequence 50, 65 characters. torch.nn is nn.LSTM, or a loop over nn.GRUCell or nn.RNNCell. Beside a step in
float32 stands one with products of bfloat16. All take turns in one run; medians. The floor is the floating-point
operations of the step's products at the rate at which this processor multiplies and adds numbers of the step's
precision in its registers (machine_limits.py, which needs a C compiler): the best rate of the same run, since other
programs can only lower it.
"""

from __future__ import annotations

import statistics
import time

import arguments
import machine_limits
import torch
from torch import nn

from compat.cells import MODELS
from compat.nngraph import parameter_shapes
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.precision import can_train
from pycharrnn.engine.rmsprop import RMSprop

V, B, T = 65, 50, 50


def ours(model: str, layers: int, H: int, dtype: torch.dtype, T: int = T, products: torch.dtype | None = None):
    """A function of (x, y), each (T, B), that takes a training step of ours. products: see CharRNN.bptt's precision."""
    network = CharRNN(model, V, H, layers, dtype=dtype)
    gradient = torch.zeros_like(network.flat.detach())
    gradients = network.views(gradient)
    optimizer = RMSprop(network.flat.detach(), 2e-3, 0.95)
    bptt = network.bptt(T, B, training_only=products is not None, precision=products)
    for state in bptt.states(-1):
        state.zero_()

    def step(x, y):
        for first, last in zip(bptt.states(0), bptt.states(-1), strict=True):
            first.copy_(last)
        bptt.forward(x)
        loss = bptt.nll(y)
        bptt.backward(bptt.d_nll(), gradients)
        optimizer.step(gradient, clip=5)
        return float(loss) / T

    return step


class _Cells(nn.Module):
    """A stack of nn.GRUCell or nn.RNNCell, stepped in a loop; called as nn.LSTM is."""

    def __init__(self, cell: type, layers: int, H: int):
        super().__init__()
        self.cells = nn.ModuleList(cell(V if layer == 0 else H, H) for layer in range(layers))

    def forward(self, x, h):
        above = list(x)
        last = []
        for cell, state in zip(self.cells, h, strict=True):
            below, above = above, []
            for row in below:
                state = cell(row, state)
                above.append(state)
            last.append(state)
        return torch.stack(above), torch.stack(last)


def torch_nn(model: str, layers: int, H: int, dtype: torch.dtype, T: int = T):
    """The same on torch.nn modules with autograd."""
    if model == "lstm":
        recurrent = nn.LSTM(V, H, layers)
        state = tuple(torch.zeros(layers, B, H, dtype=dtype) for _ in range(2))
    else:
        recurrent = _Cells(nn.GRUCell if model == "gru" else nn.RNNCell, layers, H)
        state = torch.zeros(layers, B, H, dtype=dtype)
    recurrent, decoder = recurrent.to(dtype), nn.Linear(H, V).to(dtype)
    parameters = [*recurrent.parameters(), *decoder.parameters()]
    for p in parameters:
        nn.init.uniform_(p, -0.08, 0.08)
    optimizer = torch.optim.RMSprop(parameters, lr=2e-3, alpha=0.95, eps=1e-8)
    eye = torch.eye(V, dtype=dtype)

    def step(x, y):
        nonlocal state
        h, last = recurrent(eye[x], state)
        state = tuple(s.detach() for s in last) if model == "lstm" else last.detach()
        loss = nn.functional.cross_entropy(decoder(h).flatten(0, 1), y.flatten(), reduction="sum") / B
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(parameters, 5)
        optimizer.step()
        return loss.item() / T

    return step


def operations(model: str, layers: int, H: int) -> int:
    """Floating-point operations of a step's products. A one-hot input needs none."""
    products = 0
    for name, shape in parameter_shapes(model, V, H, layers).items():
        if name.endswith(".weight") and not name.endswith("i2h_1.weight"):
            products += 3 * shape[0] * shape[1]  # forward, backward, and the gradient of the weight
    return 2 * products * T * B


def measure(model: str, layers: int, H: int, dtype: torch.dtype, threads: int, seconds: float) -> dict[str, object]:
    """Median milliseconds of each, taking turns for about `seconds`."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randint(V, (T, B), generator=generator) for _ in range(2))
    precision = "double" if dtype == torch.float64 else "float"
    steps = {name: make(model, layers, H, dtype) for name, make in {"pycharrnn": ours, "torch.nn": torch_nn}.items()}
    if dtype == torch.float32 and can_train(model, H, torch.bfloat16, "cpu"):
        steps["bfloat16"] = ours(model, layers, H, dtype, products=torch.bfloat16)
    taken: dict[str, list[float]] = {name: [] for name in (*steps, "floor")}
    end = None
    while end is None or time.perf_counter() < end or len(taken["floor"]) < 5:
        rate = machine_limits.operations_a_second(precision, threads)
        if end is not None:  # the first round warms up
            taken["floor"].append(operations(model, layers, H) / rate)
        for name, step in steps.items():
            start = time.perf_counter()
            step(x, y)
            if end is not None:
                taken[name].append(time.perf_counter() - start)
        end = end or time.perf_counter() + seconds
    medians = {name: 1000 * statistics.median(values) for name, values in taken.items()} | {
        "floor": 1000 * min(taken["floor"])
    }
    return {
        "model": model,
        "size": f"{layers}x{H}",
        "precision": precision,
        "threads": threads,
        **{f"{name} ms": round(value, 2) for name, value in medians.items()},
        "/ torch.nn": round(medians["pycharrnn"] / medians["torch.nn"], 2),
        "floor /": round(medians["floor"] / medians["pycharrnn"], 2),
    }


def figures(
    models=("lstm", "gru", "rnn"), sizes=("1x128", "2x128", "3x512"), threads=(1, 2), seconds: float = 3
) -> list[dict[str, object]]:
    """One row a configuration."""
    return [
        measure(model, *map(int, size.split("x")), dtype, n, seconds)
        for model in models
        for size in sizes
        for dtype in (torch.float64, torch.float32)
        for n in threads
    ]


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-models", type=arguments.listed(arguments.one_of(*MODELS)), default="lstm,gru,rnn")
    parser.add_argument("-sizes", type=arguments.listed(arguments.size), default="1x128,2x128,3x512")
    parser.add_argument("-threads", type=arguments.listed(arguments.count), default="1,2")
    parser.add_argument("-seconds", type=float, default=3)
    args = parser.parse_args()
    for model in args.models:
        for size in args.sizes:
            for n in args.threads:
                for row in figures([model], [size], [n], args.seconds):
                    print(", ".join(f"{value} {key}" if " ms" in key else str(value) for key, value in row.items()))


if __name__ == "__main__":
    main()
