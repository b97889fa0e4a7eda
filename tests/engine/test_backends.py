"""Which backend computes a model's passes, and the reason given."""

from __future__ import annotations

import pytest
import torch
from kernel_levels import needs_kernel

from pycharrnn.engine import kernel_library
from pycharrnn.engine.backends import choose_backend
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.c_backend import CBackend
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.torch_backend import TorchBackend
from pycharrnn.engine.torch_nn_backend import TorchNNBackend

pytestmark = pytest.mark.usefixtures("kernel_is_on")


def choice(model, dtype=torch.float64, device="cpu", **options):
    made, reason = choose_backend(model, torch.zeros(3, dtype=dtype, device=device), **options)
    return getattr(made, "func", made), reason


@needs_kernel
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("training_only", [False, True])
def test_the_kernel_on_the_cpu(level, dtype, training_only):
    assert choice("lstm", dtype, training_only=training_only) == (CBackend, f"C kernel ({level})")
    bptt = CharRNN("lstm", 5, 4, 1, dtype=dtype).bptt(2, 2, training_only=training_only)
    assert isinstance(bptt.backend, CBackend) and bptt.reason == f"C kernel ({level})"


@needs_kernel
def test_the_loops_where_the_kernel_can_not_work(monkeypatch):
    assert choice("lstm", torch.bfloat16) == (
        TorchBackend,
        "PyTorch (the C kernel takes float64 and float32, not torch.bfloat16)",
    )
    monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    kernel_library.library.cache_clear()
    assert choice("gru") == (TorchBackend, "PyTorch (no C kernel: it is switched off by PYCHARRNN_KERNEL=off)")
    kernel_library.library.cache_clear()


@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_torch_nn_for_training_on_a_gpu_and_in_mixed_precision(model):
    on_gpu = choice(model, torch.float32, "meta", training_only=True)
    assert on_gpu == (TorchNNBackend, "torch.nn (faster than PyTorch's loops on meta)")
    mixed = choice(model, torch.float32, training_only=True, precision=torch.float16)
    assert mixed == (TorchNNBackend, "torch.nn (mixed precision)")
    needs_states = choice(model, torch.float32, "meta")
    assert needs_states == (TorchBackend, "PyTorch (the C kernel runs on the CPU alone)")


@needs_kernel
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_the_kernel_for_bfloat16_on_the_cpu(level, model):
    found = choice(model, torch.float32, training_only=True, precision=torch.bfloat16)
    assert found == (CBackend, f"C kernel ({level})")


def test_no_backend_for_a_gru_in_half_precision(monkeypatch):
    monkeypatch.setattr(kernel_library, "library", lambda: None)
    for precision, device in ((torch.float16, "cpu"), (torch.bfloat16, "cpu"), (torch.bfloat16, "meta")):
        with pytest.raises(ValueError, match="no backend trains a gru"):
            choice("gru", torch.float32, device, training_only=True, precision=precision)


def test_the_loops_for_a_gru_on_a_gpu():
    found = choice("gru", torch.float32, "meta", training_only=True)
    assert found == (TorchBackend, "PyTorch (torch.nn has no gru as char-rnn's)")


def test_the_choice_is_made_once(monkeypatch):
    """Nothing asks for the kernel in a step."""
    from pycharrnn.engine import kernel
    from pycharrnn.engine.rmsprop import RMSprop

    net = CharRNN("lstm", 5, 4, 1, dtype=torch.float64)
    bptt, optimizer = net.bptt(2, 2), RMSprop(net.flat.detach(), 1e-3, 0.9)
    x, gradient = torch.zeros(2, 2, dtype=torch.int64), torch.zeros_like(net.flat.detach())
    monkeypatch.setattr(kernel, "usable", lambda parameters: pytest.fail("asked again"))
    bptt.forward(x)
    bptt.nll(x)
    bptt.backward(bptt.d_nll(), net.views(gradient))
    optimizer.step(gradient, 5)


def test_torch_nn_takes_no_gradients_of_states():
    net = CharRNN("lstm", 5, 4, 1)
    bptt = BPTT(TorchNNBackend(net, 2, 2))
    with pytest.raises(ValueError, match="no gradients of states"):
        bptt.backward(bptt.flat.new_zeros(4, 5), bptt.views(torch.zeros_like(bptt.flat)), net.initial_state(2))
