"""One iteration and one validation: the state that they leave, and dropout's masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from runs import a_trainer, folder_with_text, steps, train

from compat import legacy_logsoftmax
from pycharrnn.engine import kernel_library
from pycharrnn.engine.c_backend import CBackend
from pycharrnn.engine.torch_nn_backend import TorchNNBackend
from pycharrnn.text.loader import TRAIN


def train_losses(lines: list[str]) -> list[str]:
    return [line.split(", ")[1] for line in steps(lines) if "train_loss" in line]


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_with_exact_0_a_validation_changes_nothing(tmp_path, model):
    """Training goes on from its own state; with -exact 1 it goes on from validation's, as the original does."""
    losses = {}
    for exact in ("0", "1"):
        for every in ("7", "1000"):
            folder = folder_with_text(tmp_path / (exact + every))
            args = ["-exact", exact, "-eval_val_every", every, "-max_epochs", "0.5", "-model", model]
            losses[exact, every] = train_losses(train(folder, *args))
    assert losses["0", "7"] == losses["0", "1000"]
    assert losses["1", "7"][:7] == losses["1", "1000"][:7]
    assert losses["1", "7"][7:] != losses["1", "1000"][7:]


def test_validation_starts_from_zeros_and_carries_its_state(tmp_path):
    trainer = a_trainer(folder_with_text(tmp_path), exact=0)
    first = trainer.evaluate()
    for _ in range(3):
        trainer.step()
    trainer.model.flat.detach().copy_(a_trainer(tmp_path, exact=0).model.flat)  # the same weights again, another state
    assert trainer.evaluate() == first


@pytest.mark.parametrize("exact", [0, 1])
@pytest.mark.parametrize("dropout", [0.2, 0.75])
def test_dropout_masks(tmp_path, exact, dropout):
    """Each is 0 with the probability of dropping, else what makes up for that; no two steps have the same."""
    trainer = a_trainer(folder_with_text(tmp_path), exact=exact, dropout=dropout)
    masks = []
    for _ in range(60):
        trainer._draw_masks(trainer._masks)
        masks.append(trainer._masks.clone())
    drawn = torch.stack(masks)
    assert set(drawn.unique().tolist()) == {0.0, 1 / (1 - dropout)}
    dropped = float((drawn == 0).double().mean())
    assert abs(dropped - dropout) < 5 * np.sqrt(dropout * (1 - dropout) / drawn.numel())
    assert not any(torch.equal(masks[0], mask) for mask in masks[1:])
    again = a_trainer(tmp_path, exact=exact, dropout=dropout)
    again._draw_masks(again._masks)
    assert torch.equal(again._masks, masks[0])


@pytest.mark.parametrize("exact", [0, 1])
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("probability", [0, 0.3, 1])
def test_rows_start_from_zeros_with_the_probability_of_state_reset(tmp_path, monkeypatch, model, exact, probability):
    """A row either has all of its states reset or none."""
    trainer = a_trainer(folder_with_text(tmp_path), exact=exact, model=model, state_reset=probability)
    forward, starts = trainer._forward, []

    def recorded(masks):
        starts.append(last_states(trainer))
        forward(masks)

    monkeypatch.setattr(trainer, "_forward", recorded)
    for _ in range(60):
        ends = last_states(trainer)
        trainer.step()
        kept = (starts[-1] != 0).any(2).any(0)
        assert torch.equal(starts[-1][:, kept], ends[:, kept])
    zeroed = (torch.stack(starts[1:]) == 0).all(3).all(1).double()
    assert abs(float(zeroed.mean()) - probability) <= 5 * np.sqrt(probability * (1 - probability) / zeroed.numel())


def last_states(trainer) -> torch.Tensor:
    return torch.stack([state.clone() for state in trainer.bptt.states(-1)])


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_embedding_rate_is_of_the_weights_of_characters(tmp_path, model):
    """One step with three times the rate moves them three times as far, and all others as far as without it."""
    folder_with_text(tmp_path)
    moved = []
    for multiple in (1, 3):
        trainer = a_trainer(tmp_path, exact=1, model=model, embedding_rate=multiple)
        before = {name: weight.clone() for name, weight in trainer.model.weights.items()}
        trainer.step()
        moved.append({name: weight - before[name] for name, weight in trainer.model.weights.items()})
    of_characters = {name for name, weight in before.items() if before["decoder.bias"].numel() in weight.shape}
    assert len(of_characters) == (5 if model == "gru" else 3)  # with the decoder's bias, which is of no weight
    for name, step in moved[0].items():
        times = 3 if name in of_characters - {"decoder.bias"} else 1
        torch.testing.assert_close(moved[1][name], times * step, rtol=1e-9, atol=1e-13)


def test_a_trainer_that_forgets_its_place_is_a_new_one(tmp_path):
    """The next batch has no batch before it, so that backward sees the state that forward began with: zeros."""
    folder = folder_with_text(tmp_path)
    old, new = a_trainer(folder), a_trainer(folder)
    for _ in range(3):
        old.step()
    old.reset_hidden_state()
    old.loader.reset_batch_pointer(TRAIN)
    new.model.flat.detach().copy_(old.model.flat)
    for trainer in (old, new):
        trainer.step()
    assert torch.equal(old.gradient, new.gradient)


def test_the_backends_of_half_precision(tmp_path):
    folder_with_text(tmp_path)

    def backend(**options):
        return a_trainer(tmp_path, exact=0, **options).bptt.backend

    assert isinstance(backend(dtype="float16"), TorchNNBackend)
    assert isinstance(backend(dtype="bfloat16"), CBackend if kernel_library.name() else TorchNNBackend)
    assert not isinstance(backend(), TorchNNBackend)


def test_a_step_with_the_old_exponential(tmp_path):
    """The loss and the gradient by the formulas of LogSoftMax: approximate forward, the usual exp backward."""
    trainer, plain = (a_trainer(folder_with_text(tmp_path / str(switch)), old_exp=switch) for switch in (1, 0))
    for each in (trainer, plain):
        each.bptt.flat.mul_(10)  # scores of about one size have about the same LogSoftMax
    plain._read_batch(TRAIN)
    plain._forward()
    scores, y = plain.bptt.log_probs.numpy(), plain._y.flatten().numpy()
    log_probs = legacy_logsoftmax.log_softmax(scores)
    assert 1e-6 < np.abs(log_probs - scores).max() < 2e-4
    is_target = y[:, None] == np.arange(scores.shape[1])
    gradient = torch.zeros_like(trainer.gradient)
    d_logits = torch.from_numpy((np.exp(log_probs) - is_target) / 5)  # the loss is averaged over 5 texts
    plain.bptt.backward(d_logits, plain.bptt.views(gradient))
    trainer.step()
    assert trainer.new_losses() == [pytest.approx(-log_probs[is_target].mean(), rel=1e-14)]
    np.testing.assert_allclose(trainer.gradient.numpy(), gradient.numpy(), rtol=1e-9, atol=1e-15)
    plain.step()
    assert not np.allclose(trainer.gradient.numpy(), plain.gradient.numpy(), rtol=1e-9, atol=1e-15)


def test_the_last_digits_of_the_old_exponential_are_numpys(tmp_path):
    folder = folder_with_text(tmp_path)
    assert a_trainer(folder, old_exp=1).versions()["numpy"] == np.__version__
    assert "numpy" not in a_trainer(folder).versions()


def test_mean_squares_start_from_the_option(tmp_path):
    assert set(a_trainer(folder_with_text(tmp_path / "a"), initial_mean=1).optimizer.mean_square.tolist()) == {1.0}
    assert set(a_trainer(folder_with_text(tmp_path / "b")).optimizer.mean_square.tolist()) == {0.0}
