"""The time of a training step beside the same network in torch.nn with autograd, measured in turn in one run.

    python benchmarks/train_step.py [-threads 2] [-repeats 15]

Default settings of char-rnn: 2x128 lstm, batch 50, sequence 50, 65 characters. Prints medians and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from pycharrnn.model import CharRNN
from pycharrnn.rmsprop import RMSprop

V, H, LAYERS, B, T = 65, 128, 2, 50, 50


def ours(dtype: torch.dtype):
    model = CharRNN("lstm", V, H, LAYERS, dtype=dtype)
    gradient = torch.zeros_like(model.flat.detach())
    gradients = model.views(gradient)
    optimizer = RMSprop(model.flat.detach(), 2e-3, 0.95)
    bptt = model.bptt(T, B)
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


def torch_nn(dtype: torch.dtype):
    lstm, decoder = nn.LSTM(V, H, LAYERS).to(dtype), nn.Linear(H, V).to(dtype)
    parameters = [*lstm.parameters(), *decoder.parameters()]
    for p in parameters:
        nn.init.uniform_(p, -0.08, 0.08)
    optimizer = torch.optim.RMSprop(parameters, lr=2e-3, alpha=0.95, eps=1e-8)
    state = [torch.zeros(LAYERS, B, H, dtype=dtype) for _ in range(2)]
    eye = torch.eye(V, dtype=dtype)

    def step(x, y):
        h, last = lstm(eye[x], tuple(state))
        state[:] = [s.detach() for s in last]
        loss = nn.functional.cross_entropy(decoder(h).flatten(0, 1), y.flatten(), reduction="sum") / B
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(parameters, 5)
        optimizer.step()
        return loss.item() / T

    return step


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-threads", type=int, default=2)
    parser.add_argument("-repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"2x128 lstm, batch 50, sequence 50, {args.threads} threads, PyTorch {torch.__version__}")
    x = torch.randint(V, (T, B))
    y = torch.randint(V, (T, B))
    for dtype in (torch.float64, torch.float32):
        steps = {"pycharrnn": ours(dtype), "torch.nn.LSTM": torch_nn(dtype)}
        seconds = {name: [] for name in steps}
        for repeat in range(args.repeats + 3):
            for name, step in steps.items():
                start = time.perf_counter()
                step(x, y)
                if repeat >= 3:  # the first ones warm up
                    seconds[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        ratio = medians["pycharrnn"] / medians["torch.nn.LSTM"]
        shown = ", ".join(f"{name} {1000 * median:.1f} ms" for name, median in medians.items())
        print(f"{str(dtype).removeprefix('torch.')}: {shown}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
