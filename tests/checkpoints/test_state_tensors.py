"""The run state in .safetensors files: what is written comes back, and what deceives is refused."""

from __future__ import annotations

import dataclasses
import json
import sys
from array import array

import numpy as np
import pytest
import safetensors.numpy
from conftest import GOLDEN
from run_states import a_state

from pycharrnn.checkpoints import checkpoint, metadata, state_tensors
from pycharrnn.common.errors import UserError

LSTM = checkpoint.load(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")


@pytest.mark.parametrize("item_positions", [(), (4, 0, 7)], ids=["text", "list"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_comes_back(tmp_path, dtype, item_positions):
    want = dataclasses.replace(a_state(dtype), item_positions=item_positions)
    losses = array("d", [3.5, float("nan"), float("inf"), 2.25])
    checkpoint.convert(dataclasses.replace(LSTM, state=want, train_losses=losses), tmp_path / "a.safetensors")
    loaded = checkpoint.load(tmp_path / "a.safetensors")
    found = loaded.state
    assert loaded.train_losses.tobytes() == losses.tobytes()
    for ours, theirs in zip(
        [found.mean_square, *found.hidden_state], [want.mean_square, *want.hidden_state], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == dtype and ours.flags.writeable
    np.testing.assert_array_equal(found.random_words, want.random_words)
    for name in ("learning_rate", "batch_positions", "random_position", "norm_ratio", "versions", "item_positions"):
        assert getattr(found, name) == getattr(want, name)


def test_earlier_files_have_the_hash_of_the_text_in_the_state(tmp_path):
    write(tmp_path / "a.safetensors", {"text": "3 bytes, SHA-256 ab"}, {})
    assert checkpoint.load(tmp_path / "a.safetensors").text_fingerprint == "3 bytes, SHA-256 ab"


def test_without_a_state_there_are_only_weights(tmp_path):
    checkpoint.convert(LSTM, tmp_path / "a.safetensors")
    assert safetensors.numpy.load_file(tmp_path / "a.safetensors").keys() == LSTM.network.weights.keys()


def write(path, facts: dict, tensors: dict) -> None:
    """A file of a checkpoint with a run state, some of whose facts and tensors (None: left out) are others."""
    found, of_state = state_tensors.encode(a_state(), array("d", [3.5, 2.5]))
    more = {"run_state": {**of_state, **facts} if isinstance(facts, dict) else facts}
    all_tensors = {**LSTM.network.weights, **found, **tensors}
    safetensors.numpy.save_file(
        {name: np.ascontiguousarray(tensor) for name, tensor in all_tensors.items() if tensor is not None},
        path,
        metadata={"pycharrnn": metadata.text_of(LSTM, **more)},
    )


# Since Python 3.12 a comprehension is no call of its own, so that twice as many fit.
_TOO_DEEP = "its run state is not as pycharrnn writes it" if sys.version_info < (3, 12) else ""


@pytest.mark.parametrize(
    "facts, tensors, words",
    [
        (5, {}, "its run state is not as pycharrnn writes it"),
        ({"learning_rate": None}, {}, "where the number learning_rate belongs"),
        ({"learning_rate": "0.1"}, {}, "where the number learning_rate belongs"),
        ({"batch_positions": [0, 0]}, {}, "where the number 3 belongs"),
        ({"batch_positions": [0, 0, -1]}, {}, "-1 where a whole number"),
        ({"batch_positions": 5}, {}, "where the table batch_positions belongs"),
        ({"random_position": 625}, {}, "625 where a whole number from 0 to 624"),
        ({"versions": []}, {}, ""),
        ({"x": json.loads("[" * 600 + "]" * 600)}, {}, _TOO_DEEP),
        ({"versions": "1"}, {}, "where the table versions belongs"),
        ({"mean_square": [1]}, {}, ""),
        ({}, {"mean_square": np.zeros(7)}, "tensors are not those"),
        ({}, {"mean_square": np.zeros(9241, "f2")}, "where the tensor mean_square belongs"),
        ({}, {"mean_square": np.zeros(9241, "i8")}, "where the tensor mean_square belongs"),
        ({}, {"mean_square": None}, "tensors are not those"),
        ({}, {"random_words": np.full(624, 0.5)}, "not numbers of 32 bits"),
        ({}, {"random_words": np.zeros(623)}, "tensors are not those"),
        ({}, {"hidden_state.1": None}, "its run state has no losses, or no hidden state"),
        ({}, {"hidden_state.2": np.zeros((4, 16))}, "tensors are not those"),
        ({}, {"hidden_state.4": np.zeros((3, 15))}, "tensors are not those"),
        ({}, {"hidden_state.5": np.zeros((3, 16))}, "tensors are not those"),
        ({}, {"hidden_state.1": np.zeros(1)}, "tensors are not those"),
        ({}, {"train_losses": np.zeros(4, "f4")}, "its run state is not as pycharrnn writes it"),
        ({}, {"train_losses": np.zeros((2, 2))}, "tensors are not those"),
        ({}, {"train_losses": None}, "its run state has no losses, or no hidden state"),
        ({}, {"more": np.zeros(1)}, "tensors are not those"),
    ],
)
def test_what_does_not_belong_is_refused(tmp_path, facts, tensors, words):
    write(tmp_path / "a.safetensors", facts, {state_tensors.PREFIX + name: t for name, t in tensors.items()})
    if not words:
        assert checkpoint.load(tmp_path / "a.safetensors").state is not None
        return
    with pytest.raises(UserError, match=words):
        checkpoint.load(tmp_path / "a.safetensors")


def test_tensors_of_a_state_without_the_state(tmp_path):
    write(tmp_path / "a.safetensors", {}, {})
    content = (tmp_path / "a.safetensors").read_bytes().replace(b'\\"run_state\\"', b'\\"run_stat3\\"')
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="tensors are not those"):
        checkpoint.load(tmp_path / "a.safetensors")


def test_a_state_of_a_later_format_is_left_out(tmp_path):
    write(tmp_path / "a.safetensors", {"format": 2}, {})
    loaded = checkpoint.load(tmp_path / "a.safetensors")
    assert loaded.state is None and loaded.train_losses == array("d", [3.5, 2.5])
