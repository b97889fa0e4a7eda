"""-calibrate: the temperature with the lowest validation loss divides the logits at the end of a run."""

from __future__ import annotations

import math

import pytest
import torch
from runs import a_trainer, folder_with_text, named, result_of, train

import pycharrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import kernel
from pycharrnn.training import trainer as trainer_module
from pycharrnn.training.calibration import TEMPERATURES, best_temperature

OVERFITTING = ["-max_epochs", "8", "-eval_val_every", "120", "-learning_rate", "0.02", "-rnn_size", "24"]


@pytest.mark.parametrize("lowest", [0.9, 1, 1.13, 1.25, 1.5, 1.74, 2.6])
def test_the_lowest_of_a_parabola_is_found_between_the_temperatures(lowest):
    assert best_temperature([2 + 3 * (at - lowest) ** 2 for at in TEMPERATURES]) == lowest


@pytest.mark.parametrize("lowest", [0.99, 1.01])
def test_a_temperature_that_changes_nothing_to_see_is_1(lowest):
    assert best_temperature([2 + 3 * (at - lowest) ** 2 for at in TEMPERATURES]) == 1


def test_the_lowest_at_an_end_is_taken_as_it_is():
    assert best_temperature([2 - at for at in TEMPERATURES]) == TEMPERATURES[-1]
    assert best_temperature(list(TEMPERATURES)) == TEMPERATURES[0]


def test_losses_that_are_equal_or_no_numbers():
    assert best_temperature([1.5] * len(TEMPERATURES)) == 1
    assert best_temperature([1.5] * (len(TEMPERATURES) - 1) + [math.nan]) == 1


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["-exact", "0", "-model", "gru"],
        pytest.param(["-exact", "0", "-items", "line", "-max_epochs", "16"], marks=pytest.mark.slow),
    ],
)
def test_only_the_decoder_is_divided_and_the_loss_is_lower(tmp_path, args):
    plain, calibrated = (folder_with_text(tmp_path / name) for name in ("plain", "calibrated"))
    train(plain, *OVERFITTING, *args)
    error, _, said = result_of(calibrated, *OVERFITTING, *args, "-calibrate", "1")
    assert error is None
    before, after = (checkpoint.load(named(folder)[-1]) for folder in (plain, calibrated))
    temperature = float(said.split("the logits are divided by ")[1].split()[0].rstrip(".,"))
    assert temperature == after.opt["calibrated"] > 1
    assert before.train_losses == after.train_losses
    (*earlier, last), (*same, lower) = (list(found.val_losses.values()) for found in (before, after))
    assert earlier == same
    assert lower < last
    plain_weights, weights = (pycharrnn.load(named(folder)[-1]).module.weights for folder in (plain, calibrated))
    for name, found in weights.items():
        if name.startswith("decoder"):
            torch.testing.assert_close(found, plain_weights[name] / temperature)
        else:
            assert torch.equal(found, plain_weights[name])
    assert f"the validation loss is {lower:.4f} in place of {last:.4f}." in said


def test_a_calibrated_model_is_not_calibrated_further(tmp_path):
    """The temperature is right to two decimals: that of the result is 1."""
    trainer = a_trainer(folder_with_text(tmp_path), exact=0)
    for _ in range(300):
        trainer.step()
    before = trainer.evaluate()
    calibration = trainer.calibrate()
    assert calibration.temperature != 1 and calibration.loss_before == pytest.approx(before, rel=1e-6)
    assert trainer.evaluate() < before
    again = trainer.calibrate()
    assert again is None or again.temperature == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("on_kernel", [True, False])
def test_it_keeps_the_norms_of_the_last_step(tmp_path, monkeypatch, on_kernel):
    """The log prints them after the validation, when the decoder has been divided."""
    if not on_kernel:
        monkeypatch.setattr(kernel, "usable", lambda parameters, products=None: False)
    trainer = a_trainer(folder_with_text(tmp_path), exact=0)
    trainer.step()
    before = trainer.norm_ratio()
    assert trainer.calibrate() is not None
    assert trainer.norm_ratio() == before
    trainer.step()
    assert trainer.norm_ratio() != before


@pytest.mark.parametrize("exact", [0, 1])
def test_it_keeps_the_hidden_state(tmp_path, exact):
    trainer = a_trainer(folder_with_text(tmp_path), exact=exact)
    trainer.step()
    before = [state.clone() for state in trainer.bptt.states(-1)]
    trainer.calibrate()
    for state, kept in zip(trainer.bptt.states(-1), before, strict=True):
        assert torch.equal(state, kept)


def test_a_run_that_is_over_is_left_as_it_is(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-calibrate", "1", "-max_epochs", "2")
    last = named(folder)[-1]
    before = last.read_bytes()
    assert not any("evaluating" in line for line in train(folder, "-resume", "cv", small=[]))
    assert named(folder)[-1] == last and last.read_bytes() == before


def test_a_run_that_goes_on_is_calibrated_at_its_new_end(tmp_path, monkeypatch):
    """The checkpoints between both ends are of weights that no temperature has divided since."""
    temperatures = [1.25, 0.8]
    monkeypatch.setattr(trainer_module, "best_temperature", lambda losses: temperatures.pop(0))
    folder = folder_with_text(tmp_path)
    train(folder, "-calibrate", "1", "-max_epochs", "0.1", "-exact", "0")
    train(folder, "-resume", "cv", "-max_epochs", "0.3", "-eval_val_every", "10", small=[])
    recorded = [(found.i, found.opt.get("calibrated")) for found in map(checkpoint.load, named(folder))]
    assert recorded == [(6, 1.25), (10, None), (18, 0.8)]


def test_a_run_that_patience_ends_is_not_calibrated(tmp_path):
    args = ["-calibrate", "1", "-max_epochs", "40", "-eval_val_every", "30", "-learning_rate", "0.05", "-patience", "2"]
    error, _, said = result_of(folder_with_text(tmp_path), *args)
    assert error is None and "patience" in said
    assert "the logits are divided" not in said
    assert "calibrated" not in checkpoint.load(named(tmp_path)[-1]).opt


def test_a_temperature_of_1_changes_and_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "best_temperature", lambda losses: 1.0)
    plain, calibrated = (folder_with_text(tmp_path / name) for name in ("plain", "calibrated"))
    train(plain, "-max_epochs", "1")
    error, _, said = result_of(calibrated, "-max_epochs", "1", "-calibrate", "1")
    assert error is None and "the logits are divided" not in said
    assert "calibrated" not in checkpoint.load(named(calibrated)[-1]).opt
    weights = [pycharrnn.load(named(folder)[-1]).module.flat for folder in (plain, calibrated)]
    assert torch.equal(*weights)
