"""What a run needs to go on, as a checkpoint holds it."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from run_states import NETWORK, PARAMETERS, a_state

from compat import CheckpointError, Table, Tensor, load_t7, run_state
from compat.t7_writer import T7Writer


def through_a_file(table: Table) -> Table:
    f = io.BytesIO()
    T7Writer(f).write_obj(table)
    return load_t7(f.getvalue())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_comes_back(dtype):
    want = a_state(dtype)
    table = through_a_file(run_state.to_table(want))
    found = run_state.from_table(table, NETWORK)
    np.testing.assert_array_equal(found.mean_square, want.mean_square)
    assert found.mean_square.dtype == dtype
    assert len(found.hidden_state) == 4
    for ours, theirs in zip(found.hidden_state, want.hidden_state, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.random_words, want.random_words)
    assert found.random_words.dtype == np.uint32
    for name in ("learning_rate", "batch_positions", "random_position", "norm_ratio", "versions"):
        assert getattr(found, name) == getattr(want, name)
    for ours, in_table in ((found.mean_square, b"mean_square"), (found.hidden_state[0], b"hidden_state")):
        stored = table[in_table][1] if in_table == b"hidden_state" else table[in_table]
        assert not np.shares_memory(ours, stored.numpy())  # the run changes its state in place


def test_control_characters_do_not_reach_a_terminal():
    table = run_state.to_table(a_state())
    table[b"versions"] = Table({b"pycharrnn\n": b"0.1\x07"})
    found = run_state.from_table(table, NETWORK)
    assert found.versions == {r"pycharrnn\n": r"0.1\x07"}
    assert run_state.fact(b"\x1b[2J\xff") == r"\x1b[2J\xff"
    assert run_state.fact(5) == ""


def changed_words(value: float) -> Tensor:
    words = a_state().random_words.astype("f8")
    words[-1] = value
    return Tensor.of_array(words)


@pytest.mark.parametrize(
    "key, value, words",
    [
        (b"mean_square", Tensor.of_array(np.zeros(PARAMETERS - 1)), "mean_square is"),
        (b"mean_square", Tensor.of_array(np.zeros(PARAMETERS, "i8"), b"torch.Long"), "where the tensor mean_square"),
        (b"mean_square", None, "nil where the tensor mean_square belongs"),
        (b"hidden_state", Table(), "holds 0 hidden states, its model has 4"),
        (b"hidden_state", 5, "a whole number where the table hidden_state belongs"),
        (b"batch_positions", Table({1: 0, 2: 0}), "where the number 3 belongs"),
        (b"batch_positions", Table({1: -1, 2: 0, 3: 0}), "-1 where a whole number from 0 to"),
        (b"batch_positions", Table({1: 0.5, 2: 0, 3: 0}), "0.5 where a whole number"),
        (b"batch_positions", Table({1: 0, 2: (1 << 53) + 2, 3: 0}), "where a whole number from 0 to 9007199254740992"),
        (b"random_words", Tensor.of_array(np.zeros(623)), "random_words is"),
        (b"random_words", changed_words(2.0**32), "not numbers of 32 bits"),
        (b"random_words", changed_words(-1.0), "not numbers of 32 bits"),
        (b"random_words", changed_words(0.5), "not numbers of 32 bits"),
        (b"random_words", changed_words(math.nan), "not numbers of 32 bits"),
        (b"random_position", 625, "625 where a whole number from 0 to 624 belongs"),
        (b"learning_rate", b"x", "where the number learning_rate belongs"),
        (b"learning_rate", True, "a boolean where the number learning_rate belongs"),
        (b"norm_ratio", None, "where the number norm_ratio belongs"),
        (b"versions", b"1", "where the table versions belongs"),
    ],
)
def test_what_does_not_belong_is_refused(key, value, words):
    table = run_state.to_table(a_state())
    table[key] = value
    with pytest.raises(CheckpointError, match=words):
        run_state.from_table(table, NETWORK)


def test_the_largest_numbers_are_taken():
    table = run_state.to_table(a_state())
    table.update({b"random_position": 624, b"random_words": changed_words(2.0**32 - 1)})
    table[b"batch_positions"] = Table({1: 1 << 53, 2: 0, 3: 0})
    found = run_state.from_table(table, NETWORK)
    assert (found.random_position, found.random_words[-1], found.batch_positions[1]) == (624, 2**32 - 1, 1 << 53)


def test_hidden_states_are_of_one_batch_and_in_one_piece():
    table = run_state.to_table(a_state())
    table[b"hidden_state"][2] = Tensor.of_array(np.zeros((4, 16)))
    with pytest.raises(CheckpointError, match=r"hidden_state is \(4, 16\), expected \(3, 16\)"):
        run_state.from_table(table, NETWORK)
    table = run_state.to_table(a_state())
    apart = Tensor.of_array(np.zeros((16, 3)))
    apart.shape, apart.strides = (3, 16), (1, 3)
    table[b"hidden_state"][2] = apart
    with pytest.raises(CheckpointError, match="hidden_state is"):
        run_state.from_table(table, NETWORK)


def test_no_table_and_another_format_are_no_state():
    table = run_state.to_table(a_state())
    assert run_state.from_table(None, NETWORK) is None
    assert run_state.from_table(Table({**table, b"format": 2}), NETWORK) is None
    with pytest.raises(CheckpointError, match="'pycharrnn' is a whole number, not a table"):
        run_state.from_table(5, NETWORK)
