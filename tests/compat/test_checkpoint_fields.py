"""What a checkpoint records beside its weights, and tensors that are counted."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from compat import CheckpointError, Storage, T7Error, Table, Tensor, TorchObject, checkpoint_fields
from compat.weights import WeightReader

LARGEST = int(sys.float_info.max)


@pytest.mark.parametrize("value", [0, -1, 2.5, math.nan, math.inf, LARGEST, -LARGEST])
def test_numbers(value):
    assert checkpoint_fields.is_number(value)
    assert checkpoint_fields.number(value) is value
    assert checkpoint_fields.iteration(value) is value


@pytest.mark.parametrize("value", [True, None, "1", b"1", 10**309, LARGEST + LARGEST, [], Table()])
def test_what_is_no_number(value):
    assert not checkpoint_fields.is_number(value)
    with pytest.raises(CheckpointError, match="where an epoch belongs"):
        checkpoint_fields.number(value, "an epoch")
    with pytest.raises(CheckpointError, match="where an iteration belongs"):
        checkpoint_fields.iteration(value)


def test_losses_in_nats():
    assert checkpoint_fields.losses([1, 2.5], 0.5).tolist() == [0.5, 1.25]
    assert checkpoint_fields.losses_by_iteration([(1, 2), (2, 3.0)], 0.5) == {1: 1.0, 2: 1.5}
    for read in (
        checkpoint_fields.losses,
        lambda values: checkpoint_fields.losses_by_iteration([(1, v) for v in values]),
    ):
        with pytest.raises(CheckpointError, match="where a loss belongs"):
            read([b"x"])


def test_iterations_of_losses():
    items = [(0, 1), (0.5, 2), (1 << 53, 3), ((1 << 53) + 2, 4), (-1, 5), (True, 6), (b"x", 7), (math.nan, 8)]
    assert checkpoint_fields.losses_by_iteration(items) == {0: 1, 0.5: 2, 1 << 53: 3}


def test_vocabularies():
    assert checkpoint_fields.vocabulary({b"b": 1, b"\xc3\xa9": 2, b"x" * 64: 3}) == {
        b"b": 1,
        b"\xc3\xa9": 2,
        b"x" * 64: 3,
    }
    read = Table({b"a": 1})
    assert checkpoint_fields.vocabulary(read) == {b"a": 1} and type(checkpoint_fields.vocabulary(read)) is dict


@pytest.mark.parametrize(
    "table, words",
    [
        ({}, "no vocabulary"),
        (None, "no vocabulary"),
        ([b"a"], "no vocabulary"),
        ({b"a": 0, b"b": 1}, "not numbered 1 to n"),
        ({b"a": 1, b"b": 1}, "not numbered 1 to n"),
        ({b"a": 1, b"b": 3}, "not numbered 1 to n"),
        ({b"a": True}, "not numbered 1 to n"),
        ({b"a": 1.0}, "not numbered 1 to n"),
        ({b"a": b"1"}, "not numbered 1 to n"),
        ({b"": 1}, "an empty text, which is not a character"),
        ({"a": 1}, "a string, which is not a character"),
        ({b"x" * 65: 1}, "of 65 bytes: no character has more than 64"),
    ],
)
def test_what_is_no_vocabulary(table, words):
    with pytest.raises(CheckpointError, match=words):
        checkpoint_fields.vocabulary(table)


def test_options():
    items = [
        (b"a", b"\xff"),
        ("b", True),
        (b"c", 1),
        (b"d", 0.5),
        (b"e", None),
        (b"f", Table()),
        (1, 2),
        (b"g", 10**400),
    ]
    assert checkpoint_fields.options(items) == {"a": "\udcff", "b": True, "c": 1, "d": 0.5}


# -- weights -----------------------------------------------------------------------------------------------------------


def module(**tensors) -> TorchObject:
    return TorchObject(b"nn.Linear", Table({name.encode(): tensor for name, tensor in tensors.items()}))


def test_each_storage_is_counted_once():
    storage = Storage(b"torch.DoubleStorage", np.zeros(12))
    whole = module(
        weight=Tensor(b"torch.DoubleTensor", storage, (2, 4)),
        bias=Tensor(b"torch.DoubleTensor", storage, (4,), offset=8),
    )
    reader = WeightReader()
    assert reader.read(whole, b"weight", (2, None)).shape == (2, 4)
    assert reader.read(whole, b"bias", (4,)).shape == (4,)
    with pytest.raises(CheckpointError, match="claim 16 numbers of storages that hold 12"):
        reader.read(whole, b"bias", (4,))
    reader = WeightReader()
    for n in (3, 5):  # other storages add to it
        reader.array(Tensor.of_array(np.zeros(n)))
    assert reader.array(Tensor(b"torch.DoubleTensor", None)).shape == (0,)


@pytest.mark.parametrize(
    "tensor, shape, words",
    [
        (Tensor.of_array(np.zeros((2, 3))), (2, 4), r"has a weight of shape \(2, 3\), expected \(2, 4\)"),
        (Tensor.of_array(np.zeros((2, 3))), (None, 4), r"expected \(any, 4\)"),
        (Tensor.of_array(np.zeros((2, 3))), (2,), r"expected \(2\)"),
        (Tensor.of_array(np.zeros((0, 3))), (None, 3), r"of shape \(0, 3\)"),
        (Tensor.of_array(np.zeros((0, 3))), (0, 3), r"of shape \(0, 3\)"),
        (Tensor.of_array(np.zeros((2, 3)), b"torch.Byte"), (2, 3), "has whole numbers as its weight"),
        (Tensor.of_array(np.zeros((2, 3)), b"torch.Long"), (2, 3), "has whole numbers as its weight"),
        (Storage(b"torch.DoubleStorage", np.zeros(6)), (6,), "of shape None"),
        (None, (6,), "of shape None"),
    ],
)
def test_what_is_no_weight(tensor, shape, words):
    with pytest.raises(CheckpointError, match=words):
        WeightReader().read(module(weight=tensor), b"weight", shape)


def test_a_stretched_weight():
    tensor = Tensor(b"torch.DoubleTensor", Storage(b"torch.DoubleStorage", np.zeros(1)), (5,), (0,))
    with pytest.raises(T7Error, match="claims more elements"):
        WeightReader().read(module(weight=tensor), b"weight", (5,))
