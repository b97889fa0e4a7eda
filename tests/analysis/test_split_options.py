"""Which losses are of other characters than in training, or than those of another model."""

from __future__ import annotations

import dataclasses

import pytest
from conftest import GOLDEN

from compat.charrnn import Checkpoint
from pycharrnn.analysis import split_options
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import for_command_line

LOADED = checkpoint.load(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
PARTS = {"batch_size": 10, "train_frac": 0.9, "val_frac": 0.05}


def trained_with(fingerprint: str = "", **options) -> Checkpoint:
    return dataclasses.replace(LOADED, opt={**LOADED.opt, **PARTS, **options}, text_fingerprint=fingerprint)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"val_frac": 0.04}, ""),  # a part of the same split
        ({"val_frac": 0.06}, "x was trained with -val_frac 0.05: with -val_frac 0.06 the val split may have other"),
        ({"val_frac": 0.04, "split": "test"}, "with -val_frac 0.04 the test split may have other characters"),
        ({"val_frac": 0.05, "batch_size": 10}, ""),
    ],
)
def test_a_split_with_other_characters_than_in_training(options, said):
    found = for_command_line(split_options.other_split("x", trained_with(), EvalOptions(**options)))
    assert said in found and bool(said) == bool(found)


def test_what_cannot_be_read_of_a_training_is_not_compared():
    assert split_options.other_split("x", trained_with(batch_size="many"), EvalOptions(batch_size=7)) == ""


def test_models_of_different_texts_and_splits():
    """With -data_dir the text is one, and the splits are what differs."""
    models = trained_with("a"), trained_with("b", batch_size=5)

    def said(**options) -> str:
        opt = EvalOptions(**options)
        splits = [split_options.of(name, loaded, opt) for name, loaded in zip("xy", models, strict=True)]
        return for_command_line(split_options.not_comparable(splits, opt))

    splits = "the val splits differ: x by -batch_size 10; y by -batch_size 5. To compare the models"
    texts = "the models were trained on different texts, see the last column"
    assert said(data_dir="z").startswith(f"these losses are of different characters, since {splits}")
    assert said().startswith(f"these losses are of different characters, since {texts}. To compare the models")
    assert said(data_dir="z", batch_size=7) == (
        f"{texts}: their losses can be compared only if none of them has read the text of -data_dir."
    )


@pytest.mark.parametrize("folder, are_different", [("a", False), ("b", True), ("", False)])
def test_texts_without_a_hash_are_told_by_their_folder(folder, are_different):
    """Texts differ if both checkpoints record a folder and the folders differ. Lua checkpoints have no hash."""
    splits = [
        split_options.of(name, trained_with(data_dir=data_dir), EvalOptions())
        for name, data_dir in (("x", "a"), ("y", folder))
    ]
    assert ("different texts" in split_options.not_comparable(splits, EvalOptions())) is are_different


def test_bytes_of_ascii_are_code_points():
    vocab = {b"a": 1, b"b": 2}
    models = [dataclasses.replace(LOADED, vocab=vocab | more) for more in ({}, {"é".encode(): 3}, {b"\xc3": 3})]
    ascii, points, of_bytes = map(split_options.character_of, models)
    assert (ascii, points, of_bytes) == ("", "a code point", "a byte")
    assert split_options.different_characters([("x", ascii), ("y", points)]) == ""
    assert split_options.different_characters([("x", ascii), ("y", of_bytes)]) == ""
    said = split_options.different_characters([("x", of_bytes), ("y", points), ("z", ascii)])
    assert "since a character is a byte for x, and a code point for y." in said
