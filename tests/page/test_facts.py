"""What is told of a model, by whoever answers the page."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from array import array

import pytest
from serving_tools import LSTM

from pycharrnn.checkpoints import checkpoint
from pycharrnn.page.facts import facts_of, losses_of


@pytest.fixture(scope="module")
def loaded():
    return checkpoint.load(LSTM)


@pytest.mark.parametrize(
    "losses, epoch, best, told",
    [
        ({1: 2.5, 2: 2.0, 3: 2.25}, 3.0, 2.0, 3.0),
        ({1: math.nan, 2: math.inf, 3: 2.25}, math.nan, 2.25, None),
        ({}, math.inf, None, None),
        ({1: math.nan}, 0.5, None, 0.5),
    ],
)
def test_what_is_told_of_a_model(loaded, losses, epoch, best, told):
    told_of = dataclasses.replace(loaded, val_losses=losses, val_loss=None, epoch=epoch)
    facts = facts_of(told_of, "x", 12.5)
    assert (facts.id, facts.best_val_loss, facts.epoch, facts.saved) == ("x", best, told, 12.5)


def test_a_whole_number_of_any_size_is_told(loaded):
    """As the loss of a run that has diverged, which a .t7 file of Lua holds like any other number."""
    facts = facts_of(dataclasses.replace(loaded, val_losses={}, val_loss=10**20, epoch=10**20), "x", 0)
    assert (facts.val_loss, facts.best_val_loss, facts.epoch) == (1e20, 1e20, 1e20)


def test_bytes_of_characters_are_told_from_ascii_and_from_code_points(loaded):
    ascii_only = {character: number for character, number in loaded.vocab.items() if character < b"\x80"}
    told = [
        loaded,
        dataclasses.replace(loaded, vocab=ascii_only),
        dataclasses.replace(loaded, vocab={**ascii_only, "\u00e9".encode(): 73}),
    ]
    assert [facts_of(one, "x", 0).multibyte for one in told] == [True, False, False]


@pytest.mark.parametrize("count", [0, 1, 300, 301, 20_000])
def test_losses_of_any_run_are_some_hundreds_of_points(loaded, count):
    loaded = dataclasses.replace(
        loaded,
        train_losses=array("d", [3.0] * count),
        val_losses={10 * k: 2.0 - (k == 1234) for k in range(1, count + 1)},
    )
    losses = losses_of(loaded)
    assert len(losses.train.losses) <= 400
    assert len(losses.val.losses) == len(losses.val.iterations) <= 300
    if count:
        assert (losses.val.iterations[0], losses.val.iterations[-1]) == (10, 10 * count)
    assert (1.0 in losses.val.losses) == (count > 1234)


def test_a_loss_rounds_to_the_digits_of_the_name_of_its_file(loaded):
    (loss,) = losses_of(dataclasses.replace(loaded, train_losses=array("d"), val_losses={10: 1.23155004})).val.losses
    assert (f"{loss:.4f}", f"{1.23155004:.4f}") == ("1.2316", "1.2316")


def test_the_page_and_its_facts_take_neither_a_server_nor_pytorch():
    program = (
        "import sys, pycharrnn.page.facts, pycharrnn.page.gallery, pycharrnn.page.single_file;"
        "print([name for name in ('torch', 'fastapi', 'pydantic', 'matplotlib') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
