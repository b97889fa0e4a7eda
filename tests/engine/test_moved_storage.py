"""Passes whose tensors move or are used by another thread: the right numbers or an exception, never freed memory."""

from __future__ import annotations

import copy
import gc
import threading

import pytest
import torch

from pycharrnn.engine import kernel
from pycharrnn.engine.model import CharRNN

pytestmark = pytest.mark.usefixtures("kernel_or_loops")

T, B, V = 5, 3, 20


def network(model="lstm", H=64):
    torch.manual_seed(1)
    net = CharRNN(model, V, H, 2, dtype=torch.float64)
    return net, torch.randint(V, (T, B), generator=torch.Generator().manual_seed(2))


def forward(bptt, x):
    for state in bptt.states(0):
        state.zero_()
    return bptt.forward(x).clone()


def gradient(bptt, net, x):
    found = torch.full_like(net.flat.detach(), float("nan"))
    forward(bptt, x)
    bptt.nll(x)
    bptt.backward(bptt.d_nll(), net.views(found))
    return found


def move(tensor):
    """Give a tensor's storage another address, and fill what it has left with NaN."""
    before = tensor.data_ptr()
    tensor.share_memory_()
    assert tensor.data_ptr() != before
    gc.collect()
    return [torch.full_like(tensor, float("nan")) for _ in range(8)]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("H", [16, 300])
def test_parameters_in_shared_memory(model, H):
    net, x = network(model, H)
    bptt = net.bptt(T, B)
    log_probs, d_flat = forward(bptt, x), gradient(bptt, net, x)
    junk = move(net.flat)
    assert torch.equal(forward(bptt, x), log_probs) and torch.equal(gradient(bptt, net, x), d_flat)
    with torch.no_grad():
        net.flat.mul_(2)
    assert torch.equal(forward(bptt, x), forward(net.bptt(T, B), x)) and junk


def test_states_log_probabilities_and_masks_that_move_between_the_passes():
    net, x = network()
    masks = torch.rand(2, T, B, 64, dtype=torch.float64)

    def found(bptt, moved=lambda bptt, masks: None):
        given = masks.clone()
        for state in bptt.states(0):
            state.zero_()
        log_probs = bptt.forward(x, given).clone()
        bptt.nll(x)
        d_logits = bptt.d_nll()
        junk = moved(bptt, given)
        first = bptt.backward(d_logits, net.views(written := torch.empty_like(net.flat.detach())))
        return [log_probs, written, *first], junk

    def moved(bptt, given):
        return [move(tensor) for tensor in (given, bptt.states(0)[0], bptt.states(0)[1], bptt.log_probs)]

    bptt = net.bptt(T, B)
    expected, _ = found(bptt)
    assert all(map(torch.equal, found(bptt, moved)[0], expected))
    assert all(map(torch.equal, found(bptt)[0], expected))


@pytest.mark.parametrize(
    "replace",
    [
        lambda net: setattr(net.flat, "data", net.flat.data.clone()),
        lambda net: net.float(),
        lambda net: net.load_state_dict({"flat": net.flat.detach().clone()}, assign=True),
    ],
    ids=["data", "float", "load_state_dict"],
)
def test_replaced_parameters_are_an_error(replace):
    net, x = network()
    bptt = net.bptt(T, B)
    forward(bptt, x)
    replace(net)
    with pytest.raises(RuntimeError, match="replaced: call model.bptt"):
        forward(bptt, x)
    assert forward(net.bptt(T, B), x).isfinite().all()


@pytest.mark.parametrize(
    "resized", [lambda bptt: bptt.flat, lambda bptt: bptt.states(0)[1], lambda bptt: bptt.log_probs]
)
def test_storage_that_is_too_small_is_an_error(resized):
    net, x = network()
    if not kernel.usable(net.flat):
        pytest.skip("PyTorch's own functions don't check it")
    bptt = net.bptt(T, B)
    storage = resized(bptt).untyped_storage()
    for size in (0, storage.nbytes() - 8):
        storage.resize_(size)
        with pytest.raises(ValueError, match=f"was resized to {size} bytes"):
            bptt.forward(x)


def test_a_result_of_another_type_is_an_error():
    net, x = network()
    if not kernel.usable(net.flat):
        pytest.skip("PyTorch's own functions don't check it")
    bptt = net.bptt(T, B)
    bptt.log_probs.data = bptt.log_probs.data.float()
    with pytest.raises(TypeError, match="must be of torch.float64, not torch.float32"):
        bptt.forward(x)


def test_passes_of_several_threads_are_an_error_or_one_after_the_other():
    net, x = network(H=200)
    bptt, errors = net.bptt(T, B), []

    def work():
        try:
            for _ in range(60):
                gradient(bptt, net, x)
        except RuntimeError as e:
            errors.append(str(e))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(errors) <= {"another thread is using these passes: call model.bptt() once for each thread"}
    assert torch.equal(gradient(bptt, net, x), gradient(net.bptt(T, B), net, x))


def test_a_pass_during_another_ones_is_an_error(monkeypatch):
    net, x = network()
    bptt = net.bptt(T, B)
    running, may_end, backend = threading.Event(), threading.Event(), bptt.backend
    original = type(backend).forward

    def slow(self, *arguments):
        running.set()
        assert may_end.wait(300)
        original(self, *arguments)

    monkeypatch.setattr(type(backend), "forward", slow)
    other = threading.Thread(target=forward, args=(bptt, x))
    other.start()
    assert running.wait(300)
    calls = [lambda: bptt.forward(x), lambda: bptt.nll(x), bptt.d_nll, lambda: bptt.backward(bptt.log_probs, {})]
    for call in calls:
        with pytest.raises(RuntimeError, match="another thread"):
            call()
    may_end.set()
    other.join()
    assert bptt.nll(x).isfinite()


def test_a_copied_model_has_passes_of_its_own():
    net, x = network()
    bptt = net.bptt(T, B)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.flat.zero_()
    assert not torch.equal(forward(bptt, x), forward(twin.bptt(T, B), x))
