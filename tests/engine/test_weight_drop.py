"""Weight drop: which weights a batch goes without, and that nothing of it is left afterwards."""

from __future__ import annotations

import pytest
import torch

from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.torch_nn_backend import TorchNNBackend
from pycharrnn.engine.weight_drop import WeightDrop


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_recurrent_weights_are_left_out_and_put_back(model):
    torch.manual_seed(0)
    network = CharRNN(model, 11, 40, 2)
    flat = network.flat.detach()
    before = flat.clone()
    gradient = torch.ones_like(flat)
    drop = WeightDrop(flat, network.views, lambda vector: vector, 0.25)
    generator = torch.Generator().manual_seed(1)
    with drop.left_out(gradient, generator):
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
    with drop.left_out(gradient, generator):
        again = network.views(flat.clone())
    assert any(not torch.equal(again[name], part) for name, part in during.items())


def test_an_error_leaves_the_weights_whole():
    network = CharRNN("rnn", 5, 6, 1)
    flat = network.flat.detach()
    before = flat.clone()
    drop = WeightDrop(flat, network.views, lambda vector: vector, 0.9)
    with pytest.raises(KeyError), drop.left_out(torch.ones_like(flat), torch.Generator()):
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
        with drop.left_out(gradient, torch.Generator().manual_seed(3)):
            found.append(vector.clone())
    assert torch.equal(modules.canonical(found[1]), found[0])
    assert torch.equal(modules.canonical(gradients[1]), gradients[0])
