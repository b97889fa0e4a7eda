"""Passes of the C kernel whose matrix products have factors of bfloat16, as -dtype bfloat16 trains on a CPU."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import working_in
from kernel_levels import LEVELS, needs_kernel

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel_library
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.model import CharRNN

pytestmark = [needs_kernel, pytest.mark.usefixtures("kernel_is_on")]
MODELS = ["lstm", "gru", "rnn"]
SHAPES = [(1, 7, 3, 5), (2, 33, 13, 9), (3, 16, 26, 4), (1, 129, 70, 3), (2, 1, 1, 2)]  # layers, H, B, T
V, END_ID = 11, 0


def passes_of(model: str, layers: int, H: int, B: int, T: int, scale: float = 1.0, products=torch.bfloat16) -> BPTT:
    """Passes over items from weights and states that are noise of this size."""
    generator = torch.Generator().manual_seed(1)
    bptt = CharRNN(model, V, H, layers, dtype=torch.float32, end_id=END_ID).bptt(T, B, precision=products)
    for noise in (bptt.flat, *bptt.states(0)):
        noise.uniform_(-0.4 * scale, 0.4 * scale, generator=generator)
    return bptt


def everything(bptt: BPTT) -> list[torch.Tensor]:
    """The log-probabilities, the states after the batch, and all gradients."""
    generator = torch.Generator().manual_seed(2)
    T, B = bptt.backend.T, bptt.backend.B
    x, y = (torch.randint(V, (T, B), generator=generator) for _ in range(2))
    masks = torch.rand(bptt.backend.num_layers, T, B, bptt.backend.H, generator=generator).round() * 2
    log_probs = bptt.forward(x, masks).clone()
    bptt.nll(y)
    gradient = torch.full_like(bptt.flat, float("nan"))
    first = bptt.backward(bptt.d_nll(), bptt.views(gradient), [torch.ones_like(state) for state in bptt.states(-1)])
    return [log_probs, *bptt.states(-1), gradient, *first]


@pytest.mark.parametrize("model", MODELS)
def test_the_factors_are_rounded_as_pytorch_rounds_them(level, model):
    """The decoder alone: its logits by PyTorch, from the state that the kernel gives."""
    bptt = passes_of(model, 1, 47, 5, 1)
    log_probs = bptt.forward(torch.ones(1, 5, dtype=torch.int64))
    h, weights = bptt.states(-1)[-1], bptt.views(bptt.flat)
    weight, bias = weights["decoder.weight"], weights["decoder.bias"]

    def expected(h: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(h.double() @ weight.double().T + bias.double(), 1).float()

    torch.testing.assert_close(log_probs, expected(h.bfloat16(), weight.bfloat16()), rtol=0, atol=2e-6)
    assert (log_probs - expected(h, weight)).abs().max() > 1e-4


# With the smallest, products and sums are subnormal numbers.
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e-18])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_every_processor_gives_the_same_bits(model, shape, scale, monkeypatch):
    found = {}
    threads = torch.get_num_threads()
    for name in LEVELS:
        monkeypatch.setenv("PYCHARRNN_KERNEL", name)
        kernel_library.library.cache_clear()
        for count in (1, 3) if kernel_library.rounds_as_elsewhere() else ():
            torch.set_num_threads(count)
            content = b"".join(t.numpy().tobytes() for t in everything(passes_of(model, *shape, scale)))
            found[name, count] = hashlib.sha256(content).hexdigest()
    torch.set_num_threads(threads)
    kernel_library.library.cache_clear()
    assert len(set(found.values())) <= 1, found


@pytest.mark.parametrize("shape", SHAPES[1:4], ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_passes_are_near_those_of_float32(level, model, shape):
    rounded, exact = (everything(passes_of(model, *shape, products=products)) for products in (torch.bfloat16, None))
    for a, b in zip(rounded, exact, strict=True):
        assert (a - b).norm() <= 0.02 * max(b.norm(), 1e-3)
    assert any(not torch.equal(a, b) for a, b in zip(rounded, exact, strict=True))


def test_not_a_number_stays_one(level):
    """Of any bits: rounding up would make a number of some."""
    for bits in (0x7FFFFFFF, 0x7F800001, 0x7FC00000):
        bptt = passes_of("rnn", 1, 5, 2, 2)
        weight = bptt.views(bptt.flat)["decoder.weight"]
        weight[3, 2] = torch.from_numpy(np.array([bits], np.uint32).view(np.float32))[0]
        assert bptt.forward(torch.ones(2, 2, dtype=torch.int64)).isnan().all()


def train(folder, *args: str):
    small = ("-rnn_size", "32", "-batch_size", "10", "-seq_length", "25", "-max_epochs", "0.5", "-exact", "0")
    with working_in(folder):
        return CliRunner().invoke(cli, ["train", "-data_dir", "corpus", "-gpuid", "-1", *small, *args])


@pytest.mark.parametrize("model", MODELS)
def test_training(corpus, model):
    """It learns as well as in float32, and its checkpoints have parameters of float32."""
    losses = {}
    for dtype in ("float32", "bfloat16"):
        result = train(corpus.parent, "-model", model, "-dtype", dtype, "-savefile", dtype)
        assert result.exit_code == 0, result.output
        loaded = checkpoint.load(corpus.parent / "cv" / f"lm_{dtype}_latest.t7")
        losses[dtype] = loaded.val_losses[loaded.i]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.01)
    assert losses["bfloat16"] != losses["float32"]
    assert any((w.astype(np.float32).view(np.uint32) & 0xFFFF).any() for w in loaded.network.weights.values())


def test_a_gru_without_the_kernel(corpus, monkeypatch):
    monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    kernel_library.library.cache_clear()
    result = train(corpus.parent, "-model", "gru", "-dtype", "bfloat16")
    kernel_library.library.cache_clear()
    assert isinstance(result.exception, UserError)
    expected = "-dtype bfloat16 of a gru needs the C kernel on a CPU: train a gru with -dtype float32."
    assert str(result.exception) == expected
