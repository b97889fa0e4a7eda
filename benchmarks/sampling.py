"""Characters a second that sampling draws, beside a plain PyTorch loop, and what a whole command takes.

    python benchmarks/sampling.py [-repeats 5]

The model has char-rnn's default size, a 2x128 lstm over 65 characters, in double precision, with random weights. The
PyTorch loop is what one would write: nn.LSTM one character at a time, softmax, torch.multinomial.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `pycharrnn sample` sets it

import numpy as np  # noqa: E402

from compat import charrnn, nngraph  # noqa: E402
from compat.graph_match import Network  # noqa: E402
from pycharrnn.sampling import sampler  # noqa: E402
from pycharrnn.sampling.inference import NumpyPredictor  # noqa: E402
from pycharrnn.sampling.options import SampleOptions  # noqa: E402

V, H, LAYERS = 65, 128, 2
ROOT = Path(__file__).parents[1]


def model() -> charrnn.Checkpoint:
    random = np.random.default_rng(0)
    shapes = nngraph.parameter_shapes("lstm", V, H, LAYERS)
    weights = {name: random.uniform(-0.15, 0.15, shape) for name, shape in shapes.items()}
    return charrnn.Checkpoint(Network("lstm", H, LAYERS, V, 0.0, weights), {bytes([32 + i]): i + 1 for i in range(V)})


def median(measure: Callable[[], float], repeats: int) -> float:
    return statistics.median(measure() for _ in range(repeats))


def one_stream(loaded: charrnn.Checkpoint, length: int = 5000) -> float:
    """Characters a second."""
    predictor = NumpyPredictor(loaded.network)
    start = time.perf_counter()
    for _ in sampler.draw(predictor, loaded.vocab, SampleOptions(length=length), b""):
        pass
    return length / (time.perf_counter() - start)


def many_streams(path: str, streams: int = 64, length: int = 10000) -> float:
    """Characters a second of all streams together, as the command writes them into files, start-up included."""
    with tempfile.TemporaryDirectory() as folder:
        args = ["-samples", str(streams), "-o", folder, "-length", str(length), "-gpuid", "-1", "-verbose", "0"]
        return streams * length / command("sample", path, *args)


def pytorch_loop(streams: int, length: int) -> float:
    """Characters a second of all streams together."""
    import torch
    from torch import nn

    lstm = nn.LSTM(V, H, LAYERS).double()
    decoder = nn.Linear(H, V).double()
    one_hot = torch.eye(V, dtype=torch.float64)
    indices = torch.zeros(streams, dtype=torch.long)
    state = None
    start = time.perf_counter()
    with torch.no_grad():
        for _ in range(length):
            output, state = lstm(one_hot[indices][None], state)
            indices = torch.multinomial(torch.softmax(decoder(output[0]), 1), 1)[:, 0]
            indices.tolist()  # the characters are wanted
    return streams * length / (time.perf_counter() - start)


def command(*args: str) -> float:
    """Seconds that a whole pycharrnn command takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pycharrnn", *args], stdout=subprocess.DEVNULL, cwd=ROOT, check=True)
    return time.perf_counter() - start


def peak_megabytes(*args: str) -> float:
    """Peak resident memory of a pycharrnn command, by its own account: a parent's would count in. Linux only."""
    code = (
        "import sys; from pycharrnn.cli.commands import cli; cli.main(sys.argv[1:], standalone_mode=False)\n"
        "print(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, cwd=ROOT, check=True)
    return int(result.stderr) / 1024


def figures(repeats: int = 5) -> list[dict]:
    """All measurements, each with "what", "value" and "unit"; rates also with PyTorch's in "pytorch_loop"."""
    loaded = model()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lstm.t7")
        charrnn.save(path, loaded)
        short, long = (["sample", path, "-gpuid", "-1", "-length", n] for n in ("2000", "50000"))
        return [
            {
                "what": "sampling, 1 stream",
                "unit": "characters/s",
                "value": median(lambda: one_stream(loaded), repeats),
                "pytorch_loop": median(lambda: pytorch_loop(1, 1000), repeats),
            },
            {
                "what": "sampling, 64 streams",
                "unit": "characters/s",
                "value": median(lambda: many_streams(path), repeats),
                "pytorch_loop": median(lambda: pytorch_loop(64, 300), repeats),
            },
            {"what": "pycharrnn -help", "unit": "s", "value": median(lambda: command("-help"), repeats)},
            {
                "what": "pycharrnn sample -length 2000",
                "unit": "s",
                "value": median(lambda: command(*short), repeats),
            },
            *(
                {"what": f"memory, -length {args[-1]}", "unit": "MB", "value": peak_megabytes(*args)}
                for args in (short, long)
                if sys.platform == "linux"
            ),
        ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-repeats", type=int, default=5)
    parser.add_argument("-json", action="store_true")
    args = parser.parse_args()
    found = figures(args.repeats)
    if args.json:
        print(json.dumps(found))
        return
    for row in found:
        beside = f", PyTorch loop {row['pytorch_loop']:,.0f}" if "pytorch_loop" in row else ""
        print(f"{row['what']:30} {row['value']:12,.2f} {row['unit']}{beside}")


if __name__ == "__main__":
    main()
