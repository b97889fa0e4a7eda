"""Throw damaged files at the reader: whatever the bytes, the outcome is a value or T7Error, soon and in little memory.

    python -m tests.fuzz.fuzz_t7 [-cases 20000] [-seed 0]

Mutations of golden files: byte flips, edits of 4- and 8-byte numbers, splices, cuts; and whole files in which one value
has been put in another's place. A bounded run is part of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import resource
import struct
import time
from pathlib import Path

import numpy as np

from compat import CheckpointError, T7Error, Table, Tensor, TorchObject, charrnn, load_t7, torchrnn
from compat.lua_random import LuaRandom
from compat.run_state import RunState
from compat.t7_writer import T7Writer
from pycharrnn.stepper import NumpyStepper
from tests.test_torchrnn import make

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = [
    "corpus/vocab.t7",
    "lstm1_test_split/lm_split_epoch1.00_3.1432.t7",
    "lstm3_dropout/lm_lstm3d_epoch1.00_3.2518.t7",
    "gru2/lm_gru2_epoch1.00_2.9340.t7",
    "rnn3/lm_rnn3_epoch1.00_3.0075.t7",
    "legacy_2015-05-21_lstm/lm_old_epoch1.00_4.7298.t7",
    "legacy_2015-06-14_lstm_dropout/lm_old_epoch1.00_3.2628.t7",
    "variants/ascii.t7",
    "variants/cuda.t7",
    "variants/float.t7",
]
NUMBERS = [-1, 0, 1, 2, 3, 4, 7, 8, 100, 1 << 16, (1 << 31) - 1, -(1 << 31)]
LONGS = [*NUMBERS, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63)]


def mutated(rng: random.Random, whole: bytes) -> bytes:
    """One to four changes, mostly near the start, where the structure is."""
    content = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = min(int(rng.paretovariate(0.3)), len(content)) - 1 if rng.random() < 0.5 else rng.randrange(len(content))
        kind = rng.randrange(6)
        if kind == 0:
            content[at] = rng.randrange(256)
        elif kind == 1:
            content[at : at + 4] = struct.pack("<i", rng.choice(NUMBERS))
        elif kind == 2:
            content[at : at + 8] = struct.pack("<q", rng.choice(LONGS))
        elif kind == 3:
            start = rng.randrange(len(whole))
            content[at:at] = whole[start : start + rng.randint(1, 64)]
        elif kind == 4:
            del content[at : at + rng.randint(1, 64)]
        else:
            del content[at:]
        if not content:
            content = bytearray(b"\0")
    return bytes(content)


def check(content: bytes) -> bool:
    """Read as a file and as a checkpoint; True if it was readable. Any exception but ours is a fault."""
    try:
        value = load_t7(content)
    except T7Error:
        return False
    interpret(value)
    return True


def interpret(value) -> None:
    """Take a value as a checkpoint; what comes of it can be run and saved."""
    with contextlib.suppress(CheckpointError):
        reader = torchrnn if torchrnn.is_checkpoint(value) else charrnn
        checkpoint = reader.from_table(value)
        with np.errstate(all="ignore"):
            NumpyStepper(checkpoint.network).step(0)
        charrnn.to_table(checkpoint)


def rearranged(rng: random.Random, value):
    """`value` with one to three of its parts replaced by odd ones or by other parts."""
    places, objects, met, queue = [], [], set(), [value]
    while queue:
        part = queue.pop()
        if id(part) in met or not isinstance(part, (Table, TorchObject)):
            continue
        met.add(id(part))
        objects.append(part)
        table = part.fields if isinstance(part, TorchObject) else part
        if isinstance(table, Table):
            places += [(table, key) for key in table]
            queue += table.values()
    for _ in range(rng.randint(1, 3)):
        table, key = rng.choice(places)
        odd = [
            None,
            -1,
            0,
            1 << 40,
            0.5,
            float("nan"),
            b"x",
            b"nn.Linear",
            True,
            Table(),
            Table({1: 2}),
            rng.choice(objects),
        ]
        odd += [Tensor.of_array(np.zeros((2, 3))), Tensor(b"torch.DoubleTensor", None), TorchObject(b"nn.Tanh", None)]
        if rng.random() < 0.2:
            table.pop(key, None)
        else:
            table[key] = rng.choice(odd)
    return value


def with_run_state(content: bytes) -> bytes:
    """A checkpoint as -resume wants it."""
    checkpoint = charrnn.from_table(load_t7(content))
    network, (words, position) = checkpoint.network, LuaRandom(1).get_state()
    hidden = [np.zeros((2, network.rnn_size)) for _ in range(network.num_layers)]
    size = sum(w.size for w in network.weights.values())
    checkpoint.state = RunState(np.zeros(size), 2e-3, hidden, {1: 1, 2: 0, 3: 0}, words, position, 1.0)
    out = io.BytesIO()
    T7Writer(out).write_obj(charrnn.to_table(checkpoint))
    return out.getvalue()


def run(cases: int, seed: int, seconds: float = float("inf")) -> tuple[int, int, float]:
    """(files tried, files that were readable, the slowest in seconds)."""
    rng = random.Random(seed)
    originals = [(GOLDEN / name).read_bytes() for name in FILES]
    for kind, batchnorm in (("LSTM", "var"), ("VanillaRNN", "std")):
        torch_rnn = io.BytesIO()
        T7Writer(torch_rnn).write_obj(make(kind, batchnorm, dropout=0.5))
        originals.append(torch_rnn.getvalue())
    originals.append(with_run_state((GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7").read_bytes()))
    start, tried, readable, slowest = time.monotonic(), 0, 0, 0.0
    while tried < cases and time.monotonic() - start < seconds:
        original = rng.choice(originals)
        before = time.monotonic()
        try:
            if rng.random() < 0.5:
                readable += check(mutated(rng, original))
            else:
                interpret(rearranged(rng, load_t7(original)))
                readable += 1
        except Exception as e:
            raise AssertionError(f"-seed {seed}, case {tried}: {e!r}") from e
        slowest = max(slowest, time.monotonic() - before)
        tried += 1
    return tried, readable, slowest


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-cases", type=int, default=20_000)
    parser.add_argument("-seed", type=int, default=0)
    args = parser.parse_args()
    tried, readable, slowest = run(args.cases, args.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{tried} files, {readable} readable, slowest {slowest:.2f} s, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
