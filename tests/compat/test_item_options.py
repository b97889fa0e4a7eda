"""The end of an item, by a checkpoint's options and vocabulary."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.item_options import ITEM_KINDS, end_id, labels, record_labels
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import checkpoint, derived_checkpoints
from pycharrnn.engine.model import CharRNN

VOCAB = {b"\n": 1, b"\x1e": 2, b"a": 3}
VOCAB_WITH_TAB = {b"\n": 1, b"\t": 2, b"a": 3}


def loaded(opt: dict[str, object]) -> Checkpoint:
    weights = {name: np.zeros(shape) for name, shape in parameter_shapes("rnn", 3, 2, 1).items()}
    return Checkpoint(Network("rnn", 2, 1, 3, 0.0, weights), VOCAB, opt)


@pytest.mark.parametrize(("kind", "expected"), [("line", 0), ("blank", 1), ("file", 1)])
def test_each_kind_has_its_end(kind, expected):
    assert end_id(VOCAB, {"items": kind}) == expected
    assert VOCAB[ITEM_KINDS[kind].end] == expected + 1


@pytest.mark.parametrize("opt", [{}, {"items": ""}, {"items": "verse"}, {"items": 1}, {"items": True}])
def test_other_options_are_those_of_a_text(opt):
    assert end_id(VOCAB, opt) is None


def test_a_vocabulary_without_the_end_is_that_of_a_text():
    assert end_id({b"a": 1}, {"items": "line"}) is None


@pytest.mark.parametrize("ending", [".t7", ".json", ".pt", ".safetensors", ".onnx"])
def test_files_keep_the_end(ending, tmp_path):
    path = tmp_path / f"model{ending}"
    checkpoint.convert(loaded({"items": "blank"}), path)
    read = checkpoint.load(path)
    assert read.network.end_id == 1
    model = CharRNN.from_checkpoint(read)
    assert model.end_id == 1
    assert model.as_checkpoint(read.vocab, read.opt).network.end_id == 1
    assert model.as_checkpoint(read.vocab, {}).network.end_id is None


def test_new_characters_move_the_end():
    found = derived_checkpoints.remap_ids(loaded({"items": "line"}), {b"a": 1, b"\n": 2, b"\x1e": 3})
    assert found.network.end_id == 1


def test_other_options_change_the_end():
    assert dataclasses.replace(loaded({"items": "line"}), opt={}).network.end_id is None


@pytest.mark.parametrize("wrong", [-1, 3])
def test_an_end_outside_of_the_vocabulary_is_refused(wrong):
    with pytest.raises(ValueError, match=r"end_id must be in \[0, vocab_size\)"):
        CharRNN("rnn", 3, 2, 1, end_id=wrong)


@pytest.mark.parametrize("ending", [".t7", ".json", ".safetensors", ".onnx"])
def test_files_keep_the_labels(ending, tmp_path):
    counts = {b"Fran\xc3\xa7ais": 3, b"\xff": 2, b"a b": 1}
    made = loaded({"items": "line", **record_labels(counts)})
    made.vocab = VOCAB_WITH_TAB
    path = tmp_path / f"model{ending}"
    checkpoint.convert(made, path)
    read = checkpoint.load(path)
    assert labels(read.vocab, read.opt) == counts
    assert list(labels(read.vocab, read.opt)) == sorted(counts)
    assert labels(read.vocab, {**read.opt, "items": ""}) == labels(VOCAB, read.opt) == {}


@pytest.mark.parametrize(
    "record",
    [
        "",
        "a",
        "a\tb",
        "-1\ta",
        "1\t",
        "0\ta",
        "1\ta\tb",
        "9" * 16 + "\ta",
        "1\t" + "x" * 101,
        "7\ta\n3\ta",
        7,
        "1\ta\n" * 1001,
    ],
)
def test_other_records_are_those_of_no_labels(record):
    assert labels(VOCAB_WITH_TAB, {"items": "line", "labels": record}) == {}
    assert record_labels({}) == {}
