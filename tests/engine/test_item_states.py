"""A model of items: items end to end in rows of a batch give what each of them gives alone, on every path."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_levels import LEVELS

from compat.cells import CELLS, MODELS
from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import packed_items
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.c_backend import CBackend
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.torch_backend import TorchBackend
from pycharrnn.engine.torch_nn_backend import TorchNNBackend
from pycharrnn.engine.weight_drop import WeightDrop

pytestmark = pytest.mark.usefixtures("kernel_is_on")

V, H, END = 6, 9, 2
PATHS = [*LEVELS, "loops", "torch.nn"]
CASES = [case for case in itertools.product(PATHS, MODELS) if case != ("torch.nn", "gru")]
each_case = pytest.mark.parametrize(("path", "model"), CASES, indirect=["path"], ids=map("-".join, CASES))


class Batch(NamedTuple):
    """What goes into a forward and a backward pass."""

    x: torch.Tensor
    y: torch.Tensor
    masks: torch.Tensor | None
    first: list[torch.Tensor]
    d_last: list[torch.Tensor] | None

    def part(self, steps: slice, row: int, is_first: bool, is_last: bool) -> Batch:
        """Some steps of one row, from a state of zeros unless they are its first ones."""
        at = (slice(row, row + 1),)
        first = [state[at] if is_first else torch.zeros_like(state[at]) for state in self.first]
        d_last = None if self.d_last is None or not is_last else [d[at] for d in self.d_last]
        masks = None if self.masks is None else self.masks[:, steps, at[0]]
        return Batch(self.x[steps, at[0]], self.y[steps, at[0]], masks, first, d_last)


class Found(NamedTuple):
    loss: torch.Tensor
    log_probs: torch.Tensor  # (T, B, V)
    gradient: torch.Tensor  # (P,)
    last: list[torch.Tensor]
    d_first: list[torch.Tensor]  # empty for torch.nn's modules


def network(model: str, layers: int, dropout: float = 0.0, end_id: int | None = END) -> CharRNN:
    torch.manual_seed(7)
    made = CharRNN(model, V, H, layers, dropout, dtype=torch.float64, end_id=end_id)
    made.flat.detach().mul_(8)
    return made


def passes(path: str, of: CharRNN, T: int, B: int) -> BPTT:
    backend = {"loops": TorchBackend, "torch.nn": TorchNNBackend}.get(path, CBackend)
    return BPTT(backend(of, T, B), 1, end_id=of.end_id)  # a batch size of 1: losses of rows add up


def run(bptt: BPTT, batch: Batch, habit: bool = False) -> Found:
    """habit: the state before the batch is overwritten by the one after it before the backward pass."""
    for to, state in zip(bptt.states(0), batch.first, strict=True):
        to.copy_(state)
    log_probs = bptt.forward(batch.x, batch.masks).clone()
    loss = bptt.nll(batch.y)
    if habit:
        for before, after in zip(bptt.states(0), bptt.states(-1), strict=True):
            before.copy_(after)
    gradient = torch.full_like(bptt.flat, float("nan"))
    d_first = bptt.backward(bptt.d_nll(), bptt.views(gradient), batch.d_last)
    last = [state.clone() for state in bptt.states(-1)]
    return Found(loss, log_probs.view(*batch.x.shape, V), bptt.canonical(gradient), last, d_first)


def each_alone(of: CharRNN, batch: Batch) -> Found:
    """The same batch, cut into items that the loops read one by one, by a model that knows of no end."""
    T, B = batch.x.shape
    text = network(of.model, of.num_layers, of.dropout, end_id=None)
    text.flat.detach().copy_(of.flat.detach())
    log_probs = torch.empty(T, B, V, dtype=torch.float64)
    loss, gradient = torch.zeros((), dtype=torch.float64), torch.zeros_like(text.flat.detach())
    last, d_first = [torch.empty_like(s) for s in batch.first], [torch.zeros_like(s) for s in batch.first]
    for row in range(B):
        begins = [t for t in range(T) if batch.x[t, row] == END]
        ends = [*begins, T] if begins[:1] == [0] else [0, *begins, T]
        for start, end in itertools.pairwise(ends):
            continues = start == 0 and begins[:1] != [0]
            part = batch.part(slice(start, end), row, continues, end == T)
            found = run(passes("loops", text, end - start, 1), part)
            loss += found.loss
            gradient += found.gradient
            log_probs[start:end, row] = found.log_probs[:, 0]
            for k in range(len(last)):
                if end == T:
                    last[k][row] = found.last[k][0]
                if continues:
                    d_first[k][row] = found.d_first[k][0]
    return Found(loss, log_probs, gradient, last, d_first)


def batch_of(of: CharRNN, T: int, B: int, begins: torch.Tensor, path: str, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    x, y = (torch.randint(V - 1, (T, B), generator=generator) for _ in range(2))
    x = torch.where(begins, END, x + (x >= END))
    states = len(CELLS[of.model].states) * of.num_layers
    masks = (noise(of.num_layers, T, B, H) > -0.5) / 0.7 if of.dropout else None
    d_last = None if path == "torch.nn" else [noise(B, H) for _ in range(states)]
    return Batch(x, y, masks, [noise(B, H).tanh() for _ in range(states)], d_last)


def some(T: int, B: int, share: float = 0.25, seed: int = 3) -> torch.Tensor:
    """Beginnings at random, also in the first and the last step, and none in some row."""
    begins = torch.rand(T, B, generator=torch.Generator().manual_seed(seed)) < share
    begins[0, ::3] = True
    begins[-1, ::4] = True
    begins[:, 1::5] = False
    return begins


def assert_same(ours: Found, theirs: Found, path: str) -> None:
    tolerance = {"rtol": 0, "atol": 1e-12 * max(1.0, float(theirs.gradient.abs().max()))}
    for one, other in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(one, other, **tolerance)
    for one, other in zip(ours.last, theirs.last, strict=True):
        torch.testing.assert_close(one, other, **tolerance)
    if path != "torch.nn":
        for one, other in zip(ours.d_first, theirs.d_first, strict=True):
            torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize(("layers", "dropout"), [(1, 0.0), (2, 0.3), (3, 0.0)])
@each_case
def test_items_in_rows_are_items_alone(path, model, layers, dropout):
    of, (T, B) = network(model, layers, dropout), (8, 15)
    batch = batch_of(of, T, B, some(T, B), path)
    assert_same(run(passes(path, of, T, B), batch), each_alone(of, batch), path)


@pytest.mark.slow
@each_case
def test_more_rows_and_units_than_a_tile_holds(path, model, monkeypatch):
    monkeypatch.setitem(globals(), "H", 37)
    of, (T, B) = network(model, 2), (5, 67)
    batch = batch_of(of, T, B, some(T, B), path)
    assert_same(run(passes(path, of, T, B), batch), each_alone(of, batch), path)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("model", MODELS)
def test_any_beginnings(model, data):
    T, B = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 14))
    begins = torch.tensor(data.draw(st.lists(st.lists(st.booleans(), min_size=B, max_size=B), min_size=T, max_size=T)))
    of = network(model, data.draw(st.integers(1, 2)))
    batch = batch_of(of, T, B, begins, "torch.nn")
    expected = each_alone(of, batch)
    for path in (*LEVELS[-1:], "loops", *["torch.nn"] * (model != "gru")):
        assert_same(run(passes(path, of, T, B), batch), expected, path)


@each_case
def test_an_item_goes_on_in_the_next_batch(path, model):
    """Three batches of a row with the state carried over, against the batches of items alone."""
    of, (T, B) = network(model, 2), (4, 6)
    ours, state = passes(path, of, T, B), None
    for number in range(3):
        batch = batch_of(of, T, B, some(T, B, seed=number), path, seed=number)
        if state is not None:
            batch = batch._replace(first=state)
        found, expected = run(ours, batch), each_alone(of, batch)
        assert_same(found, expected, path)
        state = expected.last


@each_case
def test_a_beginning_at_the_start_leaves_nothing_of_the_batch_before(path, model):
    of, (T, B) = network(model, 2), (3, 4)
    begins = torch.zeros(T, B, dtype=torch.bool)
    begins[0, :2] = True
    batch = batch_of(of, T, B, begins, path)
    found = run(passes(path, of, T, B), batch)
    elsewhere = run(passes(path, of, T, B), batch._replace(first=[state + 1 for state in batch.first]))
    torch.testing.assert_close(found.log_probs[:, :2], elsewhere.log_probs[:, :2], rtol=0, atol=1e-15)
    assert not torch.allclose(found.log_probs[:, 2:], elsewhere.log_probs[:, 2:])
    for d in found.d_first:
        assert not d[:2].any()
        assert d[2:].any(1).all()


@each_case
def test_a_batch_without_a_beginning_has_the_bits_of_a_text(path, model):
    of, (T, B) = network(model, 2, 0.3), (7, 13)
    batch = batch_of(of, T, B, torch.zeros(T, B, dtype=torch.bool), path)
    text = network(model, 2, 0.3, end_id=None)
    ours, theirs = passes(path, of, T, B), passes(path, text, T, B)
    run(ours, batch_of(of, T, B, some(T, B), path))  # of which nothing must be left
    for one, other in zip(run(ours, batch), run(theirs, batch), strict=True):
        for a, b in zip(one, other, strict=True) if isinstance(one, list) else [(one, other)]:
            assert torch.equal(a, b)


@pytest.mark.parametrize("model", MODELS)
def test_beginnings_of_a_gpu_may_all_be_false(model):
    """On a GPU no batch is asked whether an item begins in it."""
    of, (T, B) = network(model, 2), (7, 13)
    batch = batch_of(of, T, B, torch.zeros(T, B, dtype=torch.bool), "loops")
    none, false = passes("loops", of, T, B), passes("loops", of, T, B)
    false._begins = lambda x: x == END  # type: ignore[method-assign]
    for one, other in zip(run(none, batch, habit=True), run(false, batch, habit=True), strict=True):
        for a, b in zip(one, other, strict=True) if isinstance(one, list) else [(one, other)]:
            assert torch.equal(a, b)


@each_case
def test_backward_sees_the_state_that_is_there_by_then(path, model):
    """The original's habit, docs/parity.md, in rows that continue an item."""
    of, (T, B) = network(model, 2), (5, 9)
    batch = batch_of(of, T, B, some(T, B), path)._replace(d_last=None)
    found, expected = (run(passes(p, of, T, B), batch, habit=True).gradient for p in (path, "loops"))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    without = run(passes(path, of, T, B), batch).gradient
    assert not torch.allclose(without, found)


@each_case
def test_weight_drop(path, model):
    of, (T, B) = network(model, 2), (6, 5)
    batch = batch_of(of, T, B, some(T, B), path)
    ours, without = passes(path, of, T, B), network(model, 2)
    dropped = []
    for flat, order in ((ours.flat, ours.from_canonical), (without.flat.detach(), lambda vector: vector)):
        gradient = torch.empty_like(flat)
        drop = WeightDrop(flat, of.views, order, 0.4)
        with drop.left_out(gradient, 5):
            found = run(ours, batch) if flat is ours.flat else each_alone(without, batch)
            gradient.copy_(order(found.gradient))
        dropped.append(found._replace(gradient=ours.canonical(gradient) if flat is ours.flat else gradient))
    assert_same(*dropped, path)


@pytest.mark.parametrize("model", MODELS)
def test_gradients_of_pytorch(model):
    """CharRNN as a module: an item's gradients by finite differences, and none to the state before it."""
    of = network(model, 2)
    begins = some(3, 2)
    x = batch_of(of, 3, 2, begins, "loops").x
    state = [s.normal_().requires_grad_() for s in of.initial_state(2)]

    def outputs(*first):
        log_probs, last = of(x, first)
        return log_probs, *last

    assert torch.autograd.gradcheck(outputs, state)
    log_probs, _ = of(x, state)
    log_probs.sum(-1).sum().backward()
    for s in state:
        assert not s.grad[begins[0]].any()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_mixed_precision(model, precision):
    torch.manual_seed(2)
    of, (T, B) = CharRNN(model, V, H, 2, end_id=END), (6, 7)
    batch = batch_of(of, T, B, some(T, B), "torch.nn")
    batch = batch._replace(first=[state.float() for state in batch.first])
    try:
        found = run(BPTT(TorchNNBackend(of, T, B, precision), 1, end_id=END), batch)
    except RuntimeError as e:
        pytest.skip(f"this PyTorch has no {model} in {precision} on a CPU: {e}")
    exact = run(BPTT(TorchNNBackend(of, T, B), 1, end_id=END), batch)
    assert abs(found.loss - exact.loss) < 0.01 * exact.loss
    assert torch.nn.functional.cosine_similarity(found.gradient, exact.gradient, 0) > 0.99


def test_items_are_packed_by_their_lengths():
    """Rows "..e." and "e.ee", of e for an end."""
    begins = torch.tensor([[0, 1], [0, 0], [1, 1], [0, 1]], dtype=torch.bool)
    packed = packed_items.pack(begins)
    assert packed is not None
    rows = torch.arange(8).view(4, 2, 1)  # 0 2 4 6 and 1 3 5 7
    assert packed.batch_sizes.tolist() == [5, 3]
    assert packed.packed(rows).flatten().tolist() == [0, 4, 1, 5, 7, 2, 6, 3]
    assert packed.unpacked(packed.packed(rows)).equal(rows.flatten(0, 1))
    assert packed.rows.tolist() == [0]
    assert packed.firsts.tolist() == [0]
    assert packed.lasts.tolist() == [1, 4]
    assert packed_items.pack(torch.zeros(3, 2, dtype=torch.bool)) is None


@each_case
def test_ignored_targets_have_neither_loss_nor_gradient(path, model):
    """Against a loss and its gradient that are written down here."""
    of, (T, B) = network(model, 2), (6, 7)
    batch = batch_of(of, T, B, some(T, B), path)
    ignored = torch.rand(T, B, generator=torch.Generator().manual_seed(4)) < 0.4
    found = run(passes(path, of, T, B), batch._replace(y=batch.y.masked_fill(ignored, IGNORED)))

    expected = run(passes(path, of, T, B), batch)
    likelihoods = expected.log_probs.gather(2, batch.y[..., None])[..., 0]
    torch.testing.assert_close(found.loss, -likelihoods[~ignored].sum(), rtol=0, atol=1e-12)
    d_logits = expected.log_probs.exp() - torch.nn.functional.one_hot(batch.y, V)
    d_logits[ignored] = 0
    ours = passes(path, of, T, B)
    for to, state in zip(ours.states(0), batch.first, strict=True):
        to.copy_(state)
    ours.forward(batch.x, batch.masks)
    gradient = torch.empty_like(ours.flat)
    ours.backward(d_logits.view(T * B, V), ours.views(gradient), batch.d_last)
    torch.testing.assert_close(found.gradient, ours.canonical(gradient), rtol=0, atol=1e-12 * gradient.abs().max())

    all_of_them = run(passes(path, of, T, B), batch._replace(y=torch.full((T, B), IGNORED), d_last=None))
    assert all_of_them.loss == 0
    assert not all_of_them.gradient.any()
    with pytest.raises(IndexError, match=r"y holds -1, but the token ids are 0 to"):
        run(passes(path, of, T, B), batch._replace(y=torch.full((T, B), -1)))
