"""The time of a training step on a GPU beside torch.nn's, beside its products alone, and beside what the GPU can do.

    python3 benchmarks/gpu.py [-device cpu] [-models lstm,gru,rnn] [-sizes 1x128,2x128,3x512,3x1024]
        [-batches 50,100,400] [-dtypes float32,bfloat16] [-seconds 280] [-turn 0.1]
        [-o benchmarks/gpu.json]

50 time steps, 65 characters. "pycharrnn" is the trainer's step with -exact 0 and all it does, reading the batch too;
"torch.nn" is nn.LSTM, nn.GRU or nn.RNN with autograd, whose batch lies on the GPU already; "cells" a loop over its
cells. In bfloat16 all of these two is in it, weights too, which PyTorch's nn.LSTM and nn.RNN then copy in each call
(their flatten_parameters leaves bfloat16 out). "products" are the products of matrices that no such step can
do without, nothing between them, as one CUDA graph. All take turns; medians.
What there is no time for is named, and so is what fails, as for want of memory: the exit status is 1 then.

It needs what `make test-gpu` needs (docs/platforms.md). -device cpu is to try it out.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import arguments

ROOT = Path(__file__).parents[1]
sys.path[1:1] = [str(ROOT), str(ROOT / "tests" / "gpu" / "packages")]

from tests.gpu.run import missing  # noqa: E402

if __name__ == "__main__" and missing():
    raise SystemExit(f"benchmarks/gpu.py: {missing()}")

import torch  # noqa: E402  # what was brought along is found from here on
from torch import nn  # noqa: E402

from compat.nngraph import parameter_shapes  # noqa: E402
from pycharrnn.engine.cuda_graph import CUDAGraphStep  # noqa: E402
from pycharrnn.training import session  # noqa: E402
from pycharrnn.training.machine import Process  # noqa: E402
from pycharrnn.training.options import TrainOptions  # noqa: E402

V, T = 65, 50
_CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}
_MODULES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
_ROUNDS = 5  # turns of each contender in a row


class Timer:
    """Measures on a device, in turns of at least so many seconds."""

    def __init__(self, device: str, turn: float):
        self.device, self._turn = torch.device(device), turn

    def wait(self) -> None:
        """Until the device has done what it was asked for."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], object]) -> float:
        """Of one call, on average over a turn."""
        calls, start = 0, time.perf_counter()
        while True:
            call()
            calls += 1
            if calls % 5 == 0 or self.device.type == "cpu":  # a GPU is waited for now and then only
                self.wait()
                if time.perf_counter() - start >= self._turn:
                    return (time.perf_counter() - start) / calls

    def medians(self, calls: dict[str, Callable[[], object]]) -> dict[str, float]:
        """Seconds of each call, which take turns."""
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            for _ in range(5):  # a graph is recorded at the fourth call
                call()
        self.wait()
        for _ in range(_ROUNDS):
            for name, call in calls.items():
                taken[name].append(self.seconds(call))
        return {name: statistics.median(values) for name, values in taken.items()}


def limits(timer: Timer) -> dict[str, float]:
    """What the device can do at most: 10^12 operations a second by product, 10^9 bytes a second that it copies."""
    n, nbytes = (8192, 1 << 30) if timer.device.type == "cuda" else (256, 1 << 24)
    found = {}
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("TF32", torch.float32, True),
        ("bfloat16", torch.bfloat16, True),
        ("float16", torch.float16, True),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, out = torch.randn(n, n, device=timer.device).to(dtype), torch.empty(n, n, device=timer.device, dtype=dtype)
        product = lambda a=a, out=out: torch.mm(a, a, out=out)  # noqa: E731
        try:
            product()
        except RuntimeError:
            if timer.device.type == "cpu":  # where older PyTorch has no float16
                continue
            raise
        found[f"{name} 10^12/s"] = 2 * n**3 / min(timer.seconds(product) for _ in range(3)) / 1e12
    source, to = (torch.zeros(nbytes, dtype=torch.uint8, device=timer.device) for _ in range(2))
    found["copied GB/s"] = 2 * nbytes / min(timer.seconds(lambda: to.copy_(source)) for _ in range(3)) / 1e9
    return found


# -- contenders --------------------------------------------------------------------------------------------------------


def ours(folder: str, model: str, layers: int, H: int, B: int, dtype: str, device: str) -> Callable[[], object]:
    """The trainer's step."""
    opt = TrainOptions(
        data_dir=folder,
        checkpoint_dir=folder,
        model=model,
        num_layers=layers,
        rnn_size=H,
        batch_size=B,
        seq_length=T,
        exact=0,
        dtype=dtype,
        gpuid=-1 if device == "cpu" else torch.device(device).index or 0,
        train_frac=0.5,
        val_frac=0.5,
        progress=0,
        lock=0,
    )
    made = session.prepare(opt, None, Process(), lambda line: None, lambda line: None)
    trainer = made.make_trainer(print)  # if its step can't be recorded as a graph, a row must not hide that
    steps = 0

    def step() -> None:
        nonlocal steps
        trainer.step()
        steps += 1
        if steps % 50 == 0:  # as often as a run would print
            trainer.new_losses()

    return step


class _Cells(nn.Module):
    """A stack of cells, stepped in a loop; called as nn.LSTM is."""

    def __init__(self, model: str, layers: int, H: int):
        super().__init__()
        self.cells = nn.ModuleList(_CELLS[model](H if layer else V, H) for layer in range(layers))

    def forward(self, x: torch.Tensor, states: list) -> tuple[torch.Tensor, list]:
        above, last = list(x), []
        for cell, state in zip(self.cells, states, strict=True):
            below, above = above, []
            for row in below:
                state = cell(row, state)
                above.append(state[0] if isinstance(state, tuple) else state)
            last.append(state)
        return torch.stack(above), last


def of_torch(model: str, layers: int, H: int, B: int, dtype: str, device: str, cells: bool) -> Callable[[], object]:
    """A step on torch.nn with autograd: of its module for the whole sequence, or a loop over its cells."""
    precision = getattr(torch, dtype)
    recurrent = _Cells(model, layers, H) if cells else _MODULES[model](V, H, layers)
    recurrent, decoder = (module.to(device, precision) for module in (recurrent, nn.Linear(H, V)))
    parameters = [*recurrent.parameters(), *decoder.parameters()]
    optimizer = torch.optim.RMSprop(parameters, lr=2e-3, alpha=0.95, eps=1e-8)
    x, y = (torch.randint(V, (T, B), device=device) for _ in range(2))
    eye = torch.eye(V, dtype=precision, device=device)
    states = 2 if model == "lstm" else 1
    shape = (B, H) if cells else (layers, B, H)
    zeros = tuple(torch.zeros(shape, dtype=precision, device=device) for _ in range(states))
    one = zeros if states == 2 else zeros[0]
    state = [one] * layers if cells else one

    def step() -> None:
        nonlocal state
        h, last = recurrent(eye[x], state)
        state = _detached(last)
        loss = nn.functional.cross_entropy(decoder(h).flatten(0, 1).float(), y.flatten(), reduction="sum") / B
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(parameters, 5)
        optimizer.step()

    return step


def _detached(state):
    """A state, of whatever form, that autograd doesn't follow back."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    return type(state)(_detached(part) for part in state)


def products(model: str, layers: int, H: int, B: int, dtype: str, device: str) -> tuple[Callable[[], object], int]:
    """The products of a step, and how many operations they are. A one-hot input needs none."""
    precision = getattr(torch, dtype)
    calls: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def product(n: int, k: int, m: int, times: int = 1) -> None:
        a, b = (torch.randn(*shape, device=device).to(precision) for shape in ((n, k), (k, m)))
        calls.extend([(a, b, torch.empty(n, m, device=device, dtype=precision))] * times)

    for name, (rows, columns) in _weights(model, layers, H).items():
        recurrent = "h2h" in name
        product(B if recurrent else T * B, columns, rows, T if recurrent else 1)  # forward
        product(B if recurrent else T * B, rows, columns, T if recurrent else 1)  # backward
        product(rows, T * B, columns)  # the gradient of the weight

    def step() -> None:
        for a, b, out in calls:
            torch.mm(a, b, out=out)

    operations = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in calls)
    return CUDAGraphStep(step, torch.device(device), print), operations


def _weights(model: str, layers: int, H: int) -> dict[str, tuple[int, ...]]:
    """The matrices that something is multiplied by, by name."""
    shapes = parameter_shapes(model, V, H, layers).items()
    return {name: shape for name, shape in shapes if name.endswith(".weight") and not name.endswith("i2h_1.weight")}


# -- rows --------------------------------------------------------------------------------------------------------------


def measure(timer: Timer, model: str, size: str, B: int, dtype: str, at_most: dict[str, float]) -> dict[str, object]:
    """One row."""
    layers, H = map(int, size.split("x"))
    device = str(timer.device)
    what = model, layers, H, B, dtype, device
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        characters = torch.randint(V, (8 * B * T,), generator=torch.Generator().manual_seed(1))
        Path(folder, "input.txt").write_bytes(bytes((characters + 48).tolist()))
        alone, operations = products(*what)
        step = ours(folder, *what)
        cells, module = of_torch(*what, cells=True), of_torch(*what, cells=False)
        taken = timer.medians({"pycharrnn": step, "torch.nn": module, "cells": cells, "products": alone})
    rate = operations / taken["pycharrnn"] / 1e12
    limit = at_most["bfloat16 10^12/s" if dtype == "bfloat16" else "TF32 10^12/s"]
    return {
        "model": model,
        "size": size,
        "batch": B,
        "dtype": dtype,
        **{f"{name} ms": round(1000 * seconds, 3) for name, seconds in taken.items()},
        "times torch.nn's speed": round(taken["torch.nn"] / taken["pycharrnn"], 2),
        "times its products": round(taken["pycharrnn"] / taken["products"], 2),
        "characters/s": round(T * B / taken["pycharrnn"]),
        "10^12 operations/s": round(rate, 3),
        "% of the limit": round(100 * rate / limit, 1),
    }


def plan(models: list[str], sizes: list[str], batches: list[int], dtypes: list[str]) -> Iterator[tuple]:
    """(model, size, batch, dtype), those that the goals are about first, then by model."""
    every = [(m, s, b, d) for m in models for d in dtypes for s in sizes for b in batches]
    yield from sorted(every, key=lambda row: _goal(*row) is None)


def _goal(model: str, size: str, batch: int, dtype: str) -> tuple[str, str, float] | None:
    """What a row is to reach: in words, its column and the bound; None where there is no goal."""
    if (model, size, dtype) == ("lstm", "2x128", "float32"):
        return f"2x128, batch {batch}: at least twice torch.nn's speed", "times torch.nn's speed", 2.0
    if (model, size, batch) == ("lstm", "3x1024", 400):
        return f"3x1024, batch 400, {dtype}: within 1.3 of its products alone", "times its products", 1.3
    return None


def goals(rows: list[dict[str, object]]) -> list[str]:
    """Lines: each goal, what was reached, and whether that is enough."""
    lines = []
    for row in rows:
        goal = _goal(*(row[name] for name in ("model", "size", "batch", "dtype")))
        if goal:
            words, column, bound = goal
            enough = row[column] >= bound if "speed" in column else row[column] <= bound
            lines.append(f"goal: {words}: {row[column]}, {'reached' if enough else 'MISSED'}")
    return lines


def table(rows: list[dict[str, object]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0])] if rows else []
    return [*lines, *("| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows)]


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-device", default="cuda:0")
    parser.add_argument("-models", type=arguments.listed(arguments.one_of(*_CELLS)), default="lstm,gru,rnn")
    parser.add_argument("-sizes", type=arguments.listed(arguments.size), default="1x128,2x128,3x512,3x1024")
    parser.add_argument("-batches", type=arguments.listed(arguments.count), default="50,100,400")
    parser.add_argument(
        "-dtypes", type=arguments.listed(arguments.one_of("float32", "bfloat16")), default="float32,bfloat16"
    )
    parser.add_argument("-seconds", type=float, default=280, help="the time for all")
    parser.add_argument("-turn", type=float, default=0.1, help="seconds in which one contender is measured at a time")
    parser.add_argument("-o", default="benchmarks/gpu.json", help="the file to write")
    args = parser.parse_args()
    end = time.monotonic() + args.seconds
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU of CUDA's here; -device cpu tries this out.")
    timer = Timer(args.device, args.turn)
    name = torch.cuda.get_device_name(timer.device) if timer.device.type == "cuda" else "CPU"
    machine = {"device": name, "torch": str(torch.__version__), "cuda": torch.version.cuda}
    at_most = limits(timer)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print("at most: " + ", ".join(f"{value:.1f} {key}" for key, value in at_most.items()), flush=True)
    rows, left_out, failed = [], [], []
    for row in plan(args.models, args.sizes, args.batches, args.dtypes):
        if row[0] == "gru" and row[3] != "float32":
            continue  # which a gru is trained in
        if time.monotonic() > end:
            left_out.append(" ".join(map(str, row)))
            continue
        try:
            rows.append(measure(timer, *row, at_most))
        except RuntimeError as e:  # PyTorch's, also where memory is short; the rows before stay
            why = str(e).partition("\n")[0]
            failed.append(f"{' '.join(map(str, row))}: {why}")
            continue
        print(" ".join(f"{key} {value}" for key, value in rows[-1].items()), file=sys.stderr, flush=True)
    print("", *table(rows), "", *goals(rows), sep="\n")
    if left_out:
        print(f"no time was left for: {', '.join(left_out)}")
    for line in failed:
        print(f"failed: {line}")
    found = {"machine": machine, "limits": at_most, "rows": rows, "goals": goals(rows)}
    found |= {"left out": left_out, "failed": failed}
    Path(args.o).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {args.o}")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
