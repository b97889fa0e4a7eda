"""Characters per second of score and eval on the C kernel and in NumPy; eval compared with training's forward pass.

    python benchmarks/scoring.py [-repeats 5] [-threads 1]

The models are those of sampling.py; a text is 40 KB. eval reads 20 batches of 50 x 50 characters; the forward pass of
training reads the same ones, loss included. The measurements of one row are interleaved.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import arguments
import numpy as np
import sampling  # first: it sets the number of threads of NumPy's products
import torch

from compat import charrnn
from pycharrnn.analysis import adapted, evaluation, scoring
from pycharrnn.analysis.options import EvalOptions, ScoreOptions
from pycharrnn.engine import kernel_library
from pycharrnn.engine.model import CharRNN
from pycharrnn.text.loader import TRAIN, CharSplitLMMinibatchLoader

B, T = 50, 50


def text(length: int) -> bytes:
    """Random characters of the models' vocabulary."""
    return np.random.default_rng(1).integers(32, 32 + sampling.V, length, np.uint8).tobytes()


def without_kernel(measure: Callable[[], float]) -> float:
    """The measurement without the C kernel."""
    library = kernel_library.library
    kernel_library.library = lambda: None
    try:
        return measure()
    finally:
        kernel_library.library = library


def score(loaded: charrnn.Checkpoint, length: int = 40_000, texts: int = 1, threads: int = 1) -> float:
    """Characters per second of all texts together, which have different lengths."""
    lengths = [length * (k + 1) // texts for k in range(texts)]
    given = [text(length) for length in lengths]
    start = time.perf_counter()
    for _ in scoring.scores(loaded, given, [""] * texts, threads=threads):
        pass
    return sum(lengths) / (time.perf_counter() - start)


def evaluate(loaded: charrnn.Checkpoint, folder: str, batches: int, threads: int = 1) -> float:
    """Milliseconds per batch of `pycharrnn eval`."""
    opt = EvalOptions(folder, "train", batch_size=B, seq_length=T, train_frac=1, val_frac=0, threads=threads)
    start = time.perf_counter()
    evaluation.split_loss("the model", loaded, opt)
    return 1000 * (time.perf_counter() - start) / batches


def forward(loaded: charrnn.Checkpoint, folder: str, batches: int, threads: int = 1) -> float:
    """Milliseconds per batch of training's forward pass, with the loss."""
    torch.set_num_threads(threads)
    loader = CharSplitLMMinibatchLoader(folder, B, T, (1, 0, 0), say=lambda line: None, progress=-1)
    bptt = CharRNN.from_checkpoint(loaded, dtype=torch.float64).bptt(T, B)
    for state in bptt.states(-1):
        state.zero_()
    start = time.perf_counter()
    for _ in range(batches):
        x, y = (torch.from_numpy(np.ascontiguousarray(part.T, np.int64)) for part in loader.next_batch(TRAIN))
        for first, last in zip(bptt.states(0), bptt.states(-1), strict=True):
            first.copy_(last)
        bptt.forward(x)
        float(bptt.nll(y))
    return 1000 * (time.perf_counter() - start) / batches


def figures(repeats: int = 5, threads: int = 1, length: int = 40_000, batches: int = 20) -> list[dict]:
    """All measurements: "what", "unit", "value" and "without kernel", of eval also "forward pass"."""
    rows = []
    torch.set_num_threads(threads)
    for name, floats in (("double", False), ("float", True)):
        loaded = sampling.model(floats=floats)
        for texts in (1, 24):

            def read(loaded: charrnn.Checkpoint = loaded, texts: int = texts) -> float:
                return score(loaded, length // texts, texts, threads)

            measures = {"value": read, "without kernel": lambda read=read: without_kernel(read)}
            what = f"score, {texts} text{'s' if texts > 1 else ''}, {name}"
            rows.append({"what": what, "unit": "characters/s", **sampling.in_turns(measures, repeats)})
    return [*rows, _while_learning(repeats, threads, length), *_of_eval(repeats, threads, batches)]


def _while_learning(repeats: int, threads: int, length: int) -> dict:
    """Characters per second of score -adapt 1 on an lstm of 160 units, and divided by those of plain score.

    Without the kernel PyTorch learns.
    """
    loaded, given = sampling.model(hidden=160, layers=1), text(length)
    how = ScoreOptions().adaptation

    def read() -> float:
        start = time.perf_counter()
        adapted.score(loaded, given, how, threads)
        return length / (time.perf_counter() - start)

    measures = {
        "value": read,
        "without kernel": lambda: without_kernel(read),
        "score": lambda: score(loaded, length, threads=threads),
    }
    row = {"what": "score -adapt 1, lstm", "unit": "characters/s", **sampling.in_turns(measures, repeats)}
    return {**row, "/ score": row["value"] / row["score"]}


def _of_eval(repeats: int, threads: int, batches: int) -> list[dict]:
    """Milliseconds per batch for each kind of cell."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "input.txt").write_bytes(text(B * T * batches + 1))
        for kind in ("lstm", "gru", "rnn"):
            loaded = sampling.model(kind=kind)

            def read(loaded: charrnn.Checkpoint = loaded) -> float:
                return evaluate(loaded, folder, batches, threads)

            def in_training(loaded: charrnn.Checkpoint = loaded) -> float:
                return forward(loaded, folder, batches, threads)

            read()  # makes the cache of the text
            measures = {
                "value": read,
                "without kernel": lambda read=read: without_kernel(read),
                "forward pass": in_training,
            }
            row = {"what": f"eval, {kind}, a batch", "unit": "ms", **sampling.in_turns(measures, repeats)}
            rows.append({**row, "/ forward pass": row["value"] / row["forward pass"]})
    return rows


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-repeats", type=int, default=5)
    parser.add_argument("-threads", type=int, default=1)
    args = parser.parse_args()
    for row in figures(args.repeats, args.threads):
        beside = [
            f", {name} {row[name]:,.2f}"
            for name in ("without kernel", "forward pass", "/ forward pass", "score", "/ score")
            if name in row
        ]
        print(f"{row['what']:28} {row['value']:12,.2f} {row['unit']}{''.join(beside)}")


if __name__ == "__main__":
    main()
