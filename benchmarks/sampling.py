"""Characters per second of sampling on the C kernel, in NumPy and in a plain PyTorch loop; seconds of whole commands.

    python benchmarks/sampling.py [-repeats 5]

The model has char-rnn's default size, a 2x128 lstm over 65 characters, in double precision, with random weights; in
rows with "float" float32 can represent them, as in checkpoints of GPUs and torch-rnn. The PyTorch loop is nn.LSTM one
character at a time, softmax, torch.multinomial. The measurements of one row are interleaved. A 3x512 lstm is larger
than the caches: its row compares the bytes of weights read per second with the bytes that a copy reads and writes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import arguments

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `pycharrnn sample` sets it

import numpy as np  # noqa: E402

from compat import charrnn, nngraph  # noqa: E402
from compat.graph_match import Network  # noqa: E402
from pycharrnn.engine import kernel_library  # noqa: E402
from pycharrnn.sampling import sample_files, sampler  # noqa: E402
from pycharrnn.sampling.inference import on_cpu  # noqa: E402
from pycharrnn.sampling.numpy_predictor import NumpyPredictor  # noqa: E402
from pycharrnn.sampling.options import SampleOptions  # noqa: E402
from pycharrnn.sampling.predictor import LocalPredictor  # noqa: E402

V, H, LAYERS = 65, 128, 2
ROOT = Path(__file__).parents[1]


def model(hidden: int = H, layers: int = LAYERS, floats: bool = False, kind: str = "lstm") -> charrnn.Checkpoint:
    random = np.random.default_rng(0)
    shapes = nngraph.parameter_shapes(kind, V, hidden, layers)
    weights = {name: random.uniform(-0.15, 0.15, shape) for name, shape in shapes.items()}
    if floats:
        weights = {name: weight.astype(np.float32).astype(np.float64) for name, weight in weights.items()}
    network = Network(kind, hidden, layers, V, 0.0, weights)
    return charrnn.Checkpoint(network, {bytes([32 + i]): i + 1 for i in range(V)})


def in_turns(measures: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """The median of each measurement."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def one_stream(loaded: charrnn.Checkpoint, length: int = 3000, model: LocalPredictor | None = None) -> float:
    """Characters per second of `model`, or else of the predictor of `pycharrnn sample`."""
    predictor = (model or on_cpu(loaded.network)).fresh()
    start = time.perf_counter()
    for _ in sampler.sample(predictor, loaded.vocab, SampleOptions(length=length), b""):
        pass
    return length / (time.perf_counter() - start)


def many_streams(loaded: charrnn.Checkpoint, streams: int = 64, length: int = 1000, kernel: bool = True) -> float:
    """Characters per second of all streams together, written to files by this process, on one thread per core."""
    library = kernel_library.library
    with tempfile.TemporaryDirectory() as folder:
        try:
            kernel_library.library = library if kernel else lambda: None
            start = time.perf_counter()
            sample_files.write_samples(loaded, SampleOptions(length=length, samples=streams), [], folder, "cpu")
            return streams * length / (time.perf_counter() - start)
        finally:
            kernel_library.library = library


def many_by_command(path: str, streams: int = 64, length: int = 2000) -> float:
    """Seconds of the command that prints them."""
    return command("sample", path, "-samples", str(streams), "-length", str(length), "-gpuid", "-1", "-verbose", "0")


def gigabytes_of_weights(predictor: LocalPredictor, loaded: charrnn.Checkpoint, length: int = 100) -> float:
    """Gigabytes of weights that one stream reads per second."""
    return predictor.nbytes * one_stream(loaded, length, predictor) / 1e9


def gigabytes_copied(megabytes: int = 256) -> float:
    """Gigabytes that a copy reads and writes per second."""
    source, target = np.ones(megabytes << 17), np.zeros(megabytes << 17)
    start = time.perf_counter()
    np.copyto(target, source)
    return 2 * source.nbytes / (time.perf_counter() - start) / 1e9


def pytorch_loop(streams: int, length: int) -> float:
    """Characters per second of all streams together."""
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
            indices.tolist()  # to use the characters
    return streams * length / (time.perf_counter() - start)


def command(*args: str) -> float:
    """Seconds of a pycharrnn command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pycharrnn", *args], stdout=subprocess.DEVNULL, cwd=ROOT, check=True)
    return time.perf_counter() - start


def peak_megabytes(*args: str) -> float:
    """Peak resident memory of a pycharrnn command, read in its own process. Linux only."""
    code = (
        "import sys; from pycharrnn.cli.commands import cli; cli.main(sys.argv[1:], standalone_mode=False)\n"
        "print(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, cwd=ROOT, check=True)
    return int(result.stderr) / 1024


def figures(repeats: int = 5) -> list[dict]:
    """All measurements, each with "what", "unit" and "value"; beside it "without kernel", "pytorch loop" or "copy"."""
    rows = []
    for name, floats in (("double", False), ("float", True)):
        loaded = model(floats=floats)
        ours, numpy = on_cpu(loaded.network), NumpyPredictor(loaded.network)
        measures = {
            "value": lambda p=ours, m=loaded: one_stream(m, model=p),
            "without kernel": lambda p=numpy, m=loaded: one_stream(m, model=p),
            "pytorch loop": lambda: pytorch_loop(1, 1000),
        }
        rows.append({"what": f"1 stream, {name}", "unit": "characters/s", **in_turns(measures, repeats)})
    loaded = model()
    measures = {
        "value": lambda: many_streams(loaded),
        "without kernel": lambda: many_streams(loaded, kernel=False),
        "pytorch loop": lambda: pytorch_loop(64, 300),
    }
    rows.append({"what": "64 streams", "unit": "characters/s", **in_turns(measures, repeats)})
    for name, floats in (("double", False), ("float", True)):
        large = model(512, 3, floats)
        predictor = on_cpu(large.network)
        measures = {"value": lambda p=predictor, m=large: gigabytes_of_weights(p, m), "copy": gigabytes_copied}
        rows.append({"what": f"3x512, 1 stream, {name}", "unit": "GB/s", **in_turns(measures, repeats)})
    return rows + _of_commands(loaded, repeats)


def _of_commands(loaded: charrnn.Checkpoint, repeats: int) -> list[dict]:
    """Seconds and memory of whole commands, compiled to bytecode as by an installation, which saves 45 ms."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", "compat", "pycharrnn"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lstm.t7")
        charrnn.save(path, loaded)
        short, long = (["sample", path, "-gpuid", "-1", "-length", n] for n in ("2000", "50000"))
        commands = {
            "sample -samples 64 -length 2000": lambda: many_by_command(path),
            "sample -length 2000": lambda: command(*short),
            "-help": lambda: command("-help"),
        }
        found = in_turns(commands, repeats)
        rows = [{"what": f"pycharrnn {what}", "unit": "s", "value": value} for what, value in found.items()]
        memory = (short, long) if sys.platform == "linux" else ()
        return rows + [
            {"what": f"memory, -length {args[-1]}", "unit": "MB", "value": peak_megabytes(*args)} for args in memory
        ]


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-repeats", type=int, default=5)
    parser.add_argument("-json", action="store_true")
    args = parser.parse_args()
    found = figures(args.repeats)
    if args.json:
        print(json.dumps(found))
        return
    for row in found:
        beside = [f", {name} {row[name]:,.1f}" for name in ("without kernel", "pytorch loop", "copy") if name in row]
        print(f"{row['what']:40} {row['value']:12,.2f} {row['unit']}{''.join(beside)}")


if __name__ == "__main__":
    main()
