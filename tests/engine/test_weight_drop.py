"""Weight drop: which weights a batch goes without, and that nothing of it is left afterwards."""

from __future__ import annotations

import pytest
import torch

from pycharrnn.common.splitmix64 import draws_of_32_bits
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.torch_nn_backend import TorchNNBackend
from pycharrnn.engine.weight_drop import WeightDrop

pytestmark = pytest.mark.usefixtures("kernel_is_on")


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_recurrent_weights_are_left_out_and_put_back(model):
    torch.manual_seed(0)
    network = CharRNN(model, 11, 40, 2)
    flat = network.flat.detach()
    before = flat.clone()
    gradient = torch.ones_like(flat)
    drop = WeightDrop(flat, network.views, lambda vector: vector, 0.25)
    with drop.left_out(gradient, 1):
        during = {name: part.clone() for name, part in network.views(flat).items()}
    assert torch.equal(flat, before)
    of_gradient = network.views(gradient)
    left_out = total = 0
    for name, whole in network.views(before).items():
        if "h2h" in name and "weight" in name:
            gone = during[name] == 0
            torch.testing.assert_close(during[name][~gone], whole[~gone] / 0.75)
            torch.testing.assert_close(of_gradient[name], (~gone) / 0.75)
            left_out, total = left_out + int(gone.sum()), total + gone.numel()
        else:
            assert torch.equal(during[name], whole)
            assert (of_gradient[name] == 1).all()
    assert abs(left_out / total - 0.25) < 0.03
    with drop.left_out(gradient, 2):
        again = network.views(flat.clone())
    assert any(not torch.equal(again[name], part) for name, part in during.items())


def test_an_error_leaves_the_weights_whole():
    network = CharRNN("rnn", 5, 6, 1)
    flat = network.flat.detach()
    before = flat.clone()
    drop = WeightDrop(flat, network.views, lambda vector: vector, 0.9)
    with pytest.raises(KeyError), drop.left_out(torch.ones_like(flat), 1):
        raise KeyError
    assert torch.equal(flat, before)


def test_it_leaves_the_same_weights_out_in_the_order_of_torch_nn():
    network = CharRNN("lstm", 11, 8, 2)
    modules = TorchNNBackend(network, 3, 2)
    flat, theirs = network.flat.detach(), modules.flat
    gradients = torch.ones_like(flat), torch.ones_like(theirs)
    found = []
    for vector, gradient, order in ((flat, gradients[0], lambda v: v), (theirs, gradients[1], modules.from_canonical)):
        drop = WeightDrop(vector, network.views, order, 0.5)
        with drop.left_out(gradient, 3):
            found.append(vector.clone())
    assert torch.equal(modules.canonical(found[1]), found[0])
    assert torch.equal(modules.canonical(gradients[1]), gradients[0])


@pytest.mark.parametrize("model, H", [("lstm", 40), ("gru", 33), ("rnn", 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("probability", [1e-12, 0.3, 1 - 1e-12])
def test_the_kernel_and_numpy_leave_the_same_weights_out(level, model, H, dtype, probability):
    """In three layers, whose numbers of weights may be odd, on any number of threads."""
    network = CharRNN(model, 11, H, 3, dtype=dtype)
    flat, threads, found = network.flat.detach(), torch.get_num_threads(), []
    in_kernel = WeightDrop(flat, network.views, lambda vector: vector, probability)
    in_numpy = WeightDrop(flat, network.views, lambda vector: vector.clone(), probability)
    assert in_kernel._uses_kernel and not in_numpy._uses_kernel
    for drop, count in ((in_numpy, 1), (in_kernel, 1), (in_kernel, 3)):
        torch.set_num_threads(count)
        gradient = torch.linspace(-1, 1, flat.numel(), dtype=dtype)
        with drop.left_out(gradient, 2**40 + 7):
            during = flat.clone()
        found.append([during, gradient, flat.clone()])
    torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_the_draws_are_those_of_splitmix64():
    """Its published outputs from the state 1234567, each as two halves."""
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    halves = [half for output in outputs for half in (output & 0xFFFFFFFF, output >> 32)]
    assert draws_of_32_bits(1234567, 10).tolist() == halves
    assert draws_of_32_bits(1234567 - 2**64, 9).tolist() == halves[:9]
