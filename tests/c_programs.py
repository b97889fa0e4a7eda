"""Compiles .c files of models, and compares their texts with those of this process."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from compat.cells import MODELS
from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import checkpoint, formats
from pycharrnn.sampling import inference, items, sampler
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.primetext import line_start

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
# Compilers and options that differ in what they do to arithmetic.
C_COMPILERS = (
    ("gcc", "-std=c99", "-O0"),
    ("gcc", "-std=c99", "-O3", "-march=native"),
    ("clang", "-std=c99", "-O1"),
    ("clang", "-std=c99", "-O3", "-march=native", "-ffp-contract=fast"),
    ("tcc",),
)
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")


def compiled(source: Path, compiler: tuple[str, ...] = ("gcc", "-std=c99", "-O0"), *more: str) -> Path:
    """The program of a .c file, beside it. Skips the test without the compiler."""
    if not shutil.which(compiler[0]):
        pytest.skip(f"needs {compiler[0]}")
    program = source.with_suffix(".program")
    strict = () if compiler[0] == "tcc" else STRICT
    done = subprocess.run(
        [*compiler, *strict, *more, str(source), "-o", str(program), "-lm"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


def output(program: Path, *args: str) -> bytes:
    done = subprocess.run([str(program), *args], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def text_of(loaded: Checkpoint, seed: int, length: int, temperature: float = 1, primetext: bytes = b"") -> bytes:
    """What `pycharrnn sample` prints on stdout for a model of a text."""
    opt = SampleOptions(seed=seed, length=length, temperature=temperature)
    prime = primetext or b"".join(line_start(loaded))
    drawn = sampler.sample(inference.on_cpu(loaded.network), loaded.vocab, opt, prime)
    return b"".join(c.character for c in drawn if primetext or not c.given) + b"\n"


def items_of(loaded: Checkpoint, seed: int, count: int, length: int) -> list[bytes]:
    """The items that `pycharrnn sample` draws."""
    opt = SampleOptions(seed=seed, length=length, items=count)
    assert loaded.network.end_id is not None
    network = loaded.network
    model = items.ItemModel(lambda n: inference.on_cpu(network, n), loaded.vocab, network.end_id)
    drawn = items.draw(model, opt, count)
    return [b"".join(model.characters[k] for k in item.token_ids) for item in drawn]


def random_model(seed: int) -> Checkpoint:
    """A small model of a kind, a vocabulary and sizes that follow from the seed."""
    random = np.random.default_rng(seed)
    model = MODELS[seed % 3]
    L, H, V = int(random.integers(1, 5)), int(random.integers(1, 20)), int(random.integers(2, 60))
    known = [bytes([b]) for b in range(256)] if random.random() < 0.5 else [chr(c).encode() for c in range(1, 3000)]
    vocab = {known[k]: n for n, k in enumerate(sorted(random.choice(len(known), V, replace=False)), 1)}
    if random.random() < 0.5 and b"\n" not in vocab:
        vocab[b"\n"] = len(vocab) + 1
    opt = {"from_texts": 1, "items": "line"} if b"\n" in vocab and random.random() < 0.5 else {}
    dtype = np.float32 if random.random() < 0.5 else np.float64
    shapes = parameter_shapes(model, len(vocab), H, L)
    scale = random.choice([0.1, 1, 5])
    weights = {name: random.uniform(-scale, scale, shape).astype(dtype) for name, shape in shapes.items()}
    return Checkpoint(Network(model, H, L, len(vocab), 0.0, weights), vocab, dict(opt))


def check_same_text(loaded: Checkpoint, folder: Path, seed: int) -> None:
    """Compile a model, with one of C_COMPILERS, and compare what it writes with what this process samples."""
    source = folder / f"model_{seed}.c"
    checkpoint.convert(loaded, source, formats.WriteOptions(weights="double"))
    usable = [compiler for compiler in C_COMPILERS if shutil.which(compiler[0])]
    program = compiled(source, usable[seed % len(usable)])
    args = ["-seed", str(seed), "-length", "200"]
    if loaded.network.end_id is None:
        assert output(program, *args) == text_of(loaded, seed, 200)
    else:
        drawn = output(program, *args, "-items", "3")
        assert drawn == b"".join(item + b"\n" for item in items_of(loaded, seed, 3, 200))


def with_weights(loaded: Checkpoint, **changed: np.ndarray) -> Checkpoint:
    network = dataclasses.replace(loaded.network, weights={**loaded.network.weights, **changed})
    return dataclasses.replace(loaded, network=network)
