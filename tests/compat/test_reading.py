"""Odd files, each of which Torch7 would read in one way only, and small ones at their limits."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from compat import (
    Storage,
    T7Error,
    Table,
    Tensor,
    TensorFile,
    TorchObject,
    load_t7,
    save_t7,
    t7_binary_reader,
    t7_content,
)
from compat.t7_binary_reader import T7Reader
from compat.t7_element_types import element_dtype
from compat.t7_reader import load_with_dialect, survey
from compat.t7_writer import T7Writer


def integers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def written(value, long_size: int = 8) -> bytes:
    f = io.BytesIO()
    T7Writer(f, long_size).write_obj(value)
    return f.getvalue()


def test_a_boolean_is_true_if_it_is_1():
    assert [load_t7(integers(5, n)) for n in (0, 1, 2, -1)] == [False, True, False, False]


def test_another_type_is_named_with_its_place():
    with pytest.raises(T7Error, match="^it is a file of another program, not a .t7 file: name a checkpoint$"):
        load_t7(integers(99))
    with pytest.raises(T7Error, match="^type 99 is none of Torch7's at byte 12$"):
        load_t7(integers(3, 1, 1, 99, 0))


@pytest.mark.parametrize(
    "content",
    [integers(3, 1, 1, 0, 0), integers(3, 1, 1, 1) + struct.pack("<d", math.nan) + integers(0)],
    ids=["nil", "NaN"],
)
def test_what_is_no_key(content):
    with pytest.raises(T7Error, match="a table key that is nil or NaN"):
        load_t7(content)


def test_the_smallest_entries():
    assert dict(load_t7(integers(3, 1, 1, 2, 0, 0))) == {b"": None}
    assert dict(load_t7(b"3\n1\n1\n2\n0\n0\n")) == {b"": None}
    for typename, fields in ((b"tds.Vec", {1: None, 2: None, 3: None}), (b"tds.Hash", {b"": None})):
        assert dict(load_t7(written(TorchObject(typename, Table(fields)))).fields) == fields


def test_tables_larger_than_the_file():
    for count in (-1, 3):
        with pytest.raises(T7Error, match=f"a table of {count} entries does not fit the file"):
            load_t7(integers(3, 1, count) + bytes(23))
    vector = written(TorchObject(b"tds.Vec", Table()))[:-8]
    for count in (-1, 7):
        with pytest.raises(T7Error, match=f"a tds.Vec of {count} entries does not fit the file"):
            load_t7(vector + struct.pack("<q", count) + bytes(20))


def test_many_numbers_end_where_their_table_ends(monkeypatch):
    monkeypatch.setattr(t7_binary_reader, "_BLOCK", 64)
    numbers = Table.of_list(range(100))
    read = load_t7(written(Table({numbers: 5, 6: 7})))  # the value and the next key look like one entry more
    (key, value), *rest = read.items()
    assert (key.as_list(), value, rest) == (list(range(100)), 5, [(6, 7)])
    for n in (31, 32, 33, 64, 128):
        read = load_t7(written(Table.of_list([*range(n), None])))
        assert (len(read), read[n], read[n + 1]) == (n + 1, n - 1, None)


def test_many_whole_numbers_beyond_64_bits():
    for x in (2.0**63, -(2.0**63), 1e300):
        assert load_t7(written([x] * 40))[40] == x


def test_zeros_keep_their_sign():
    assert [str(x) for x in load_t7(written([0.0, -0.0])).values()] == ["0", "-0.0"]
    assert [str(x) for x in load_t7(written([0.0, -0.0] * 20)).values()] == ["0", "-0.0"] * 20
    strings = Table((b"%04d" % k, k) for k in range(40))  # entries as long as those of two numbers
    assert dict(load_t7(written(strings))) == dict(strings)


def test_class_versions_may_be_negative():
    assert load_t7(integers(4, 1, 4) + b"V -1" + integers(1) + b"X" + integers(0)).version == -1


def test_texts_are_charged():
    reader = T7Reader(written(b"x" * 100_000))
    before = reader.memory
    reader.read_obj()
    assert before - reader.memory > 100_000


def test_empty_tables_are_charged_less():
    charges = []
    for table in ({}, {1: None}):
        reader = T7Reader(written(table), memory=10_000)
        reader.read_obj()
        charges.append(10_000 - reader.memory)
    assert 0 < charges[0] < charges[1] - 100


def test_a_tensor_without_storage_has_no_elements():
    for shape in ((0, 5), (5,)):
        with pytest.raises(T7Error, match="without storage"):
            load_t7(written(Tensor(b"torch.DoubleTensor", None, shape)))
    assert load_t7(written(Tensor(b"torch.DoubleTensor", None))).numpy().shape == (0,)


# -- ASCII -----------------------------------------------------------------------------------------------------------


def test_whole_numbers_in_ascii_have_64_bits():
    assert load_t7(b"5\n-9223372036854775808\n") is False
    for n in (b"9223372036854775808", b"-9223372036854775809"):
        with pytest.raises(T7Error, match="beyond 64 bits"):
            load_t7(b"5\n" + n + b"\n")


def test_longs_in_ascii_are_exact(tmp_path):
    longs = np.array([2**53 + 1, -(2**62) - 1, 0])
    save_t7(tmp_path / "x.t7", longs, "ascii")
    np.testing.assert_array_equal(load_t7(tmp_path / "x.t7"), longs)
    save_t7(tmp_path / "x.t7", longs, "ascii", long_size=4)  # of the binary encoding only
    np.testing.assert_array_equal(load_t7(tmp_path / "x.t7"), longs)


def test_an_array_in_ascii_may_end_the_file():
    head = b"4\n1\n3\nV 1\n19\ntorch.DoubleStorage\n"
    np.testing.assert_array_equal(load_t7(head + b"2\n1 2"), [1, 2])
    with pytest.raises(T7Error, match="3 numbers wanted"):
        load_t7(head + b"3\n1 2")
    found = survey(head + b"2\n1 2 \n\n 5 1\n \n")  # blanks are no object
    assert (found.further, found.unread) == (1, 0)


def test_an_array_in_ascii_is_charged(monkeypatch):
    content = b"4\n1\n3\nV 1\n19\ntorch.DoubleStorage\n100000\n" + b"1 " * 100_000
    assert len(load_t7(content)) == 100_000
    monkeypatch.setattr(t7_content, "_SPARE", 0)
    with pytest.raises(T7Error, match="it unfolds to far more than its size"):
        load_t7(content)


def test_bytes_in_ascii_are_their_own(tmp_path):
    save_t7(tmp_path / "x.t7", [np.arange(3, dtype="u1"), 5], "ascii")
    read = load_t7((tmp_path / "x.t7").read_bytes())
    read[1].numpy()[0] = 9
    assert (read[1].numpy().tolist(), read[2]) == ([9, 1, 2], 5)


# -- files -----------------------------------------------------------------------------------------------------------


def test_an_empty_file():
    with pytest.raises(T7Error, match="^it is empty$"):
        load_t7(b"")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        load_t7(tmp_path)


def test_a_file_that_is_shortened_while_it_is_read(tmp_path, monkeypatch):
    (tmp_path / "x.t7").write_bytes(written(b"text"))
    monkeypatch.setattr(t7_content.os, "fstat", lambda fd: SimpleNamespace(st_size=1000))
    assert t7_content.file_content(tmp_path / "x.t7") == written(b"text")


def test_longs_of_8_bytes_are_tried_first():
    """A storage of no number reads as well with longs of 4 bytes, but then nil follows it."""
    empty = written(Storage(b"torch.LongStorage", np.zeros(0, "i8")))
    assert load_with_dialect(empty)[1].long_size == 8
    assert load_with_dialect(empty + bytes(4))[1].long_size == 8
    assert load_with_dialect(empty[:-4])[1].long_size == 4


def test_what_is_no_object_is_counted_from_its_start():
    found = survey(integers(0) + integers(2, 100) + b"abc")
    assert (found.further, found.unread) == (0, 11)


def test_bytes_after_a_gzip_file_are_left_alone():
    assert load_t7(gzip.compress(integers(0)) + b"rest") is None
    large = written([np.zeros(1 << 20), np.zeros(1 << 20)])
    assert len(load_t7(gzip.compress(large) + b"rest")) == 2


# -- objects ---------------------------------------------------------------------------------------------------------


def test_tables_are_shown_in_short():
    assert repr(Table.of_list(range(8))) == "{1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7}"
    assert repr(Table.of_list(range(9))).endswith("8: 7, ...}")
    assert repr(Table({b"a": Table({1: 2})})) == "{b'a': <table of 1>}"


def test_tables_equal_only_themselves():
    a, b = Table({1: 2}), Table({1: 2})
    assert a == a and a != b and not (a == b) and len({a, b}) == 2  # noqa: SIM201
    with pytest.raises(AttributeError):
        a.missing  # noqa: B018
    assert Table({1: b"x", 2: b"y", 4: b"z"}).as_list() == [b"x", b"y"]


def test_objects_without_a_table():
    for fields in (None, 5, b"x"):
        assert TorchObject(b"X", fields).get(b"a", 7) == 7
    with pytest.raises(AttributeError):
        TorchObject(b"X", Table()).missing  # noqa: B018


def test_types_of_numbers():
    types = {b"Byte": "u1", b"Char": "i1", b"Short": "i2", b"Int": "i4", b"Long": "i8", b"Half": "f2", b"Double": "f8"}
    for name, dtype in types.items():
        assert element_dtype(b"torch.%sTensor" % name) == element_dtype(b"torch.Cuda%sStorage" % name) == dtype
    for name in (b"Float", b"Cuda", b"Cl"):
        assert element_dtype(b"torch.%sTensor" % name) == "f4"


def test_arrays_of_tensors_are_copied_on_demand():
    tensor = Tensor.of_array(np.arange(3.0))
    assert np.shares_memory(np.asarray(tensor), tensor.storage.data)
    assert not np.shares_memory(np.array(tensor), tensor.storage.data)
    assert not np.shares_memory(np.array(tensor.storage), tensor.storage.data)
    assert np.asarray(tensor, "f4").dtype == np.float32


@pytest.mark.parametrize(
    "typename", [b"torch.Tensor", b"torch.Storage", b"torch.FloatTensorX", b"nn.FloatTensor", b"torch.FloatTensor\n"]
)
def test_what_is_no_class_of_numbers(typename):
    assert element_dtype(typename) is None


# -- tensors that stay in their file -----------------------------------------------------------------------------------


def test_a_part_of_a_storage(tmp_path):
    storage = Storage(b"torch.IntStorage", np.arange(10, dtype="i4"))
    save_t7(tmp_path / "x.t7", Tensor(b"torch.IntTensor", storage, (5,), offset=3))
    assert TensorFile(tmp_path / "x.t7").read(1, 5).tolist() == [4, 5, 6, 7]
    save_t7(tmp_path / "x.t7", Tensor(b"torch.IntTensor", storage, (5,), (2,)))
    with pytest.raises(T7Error, match="no tensor of one dimension"):
        TensorFile(tmp_path / "x.t7")


def test_nothing_follows_the_numbers(tmp_path):
    path = tmp_path / "x.t7"
    save_t7(path, np.arange(10))
    with open(path, "ab") as f:
        f.write(b"x")
    with pytest.raises(T7Error, match="the file goes on after its 10 numbers at byte 1[0-9][0-9]$"):
        TensorFile(path)


@pytest.mark.parametrize("change", ["longer", "shorter", "later"])
def test_a_tensor_file_that_somebody_changes(tmp_path, change):
    path = tmp_path / "x.t7"
    save_t7(path, np.arange(10))
    os.utime(path, ns=(10**18, 10**18))
    tensor = TensorFile(path)
    assert tensor.read(0, 10).tolist() == list(range(10))
    size = path.stat().st_size
    os.truncate(path, {"longer": size + 1, "shorter": size - 1, "later": size}[change])
    os.utime(path, ns=(10**18, 10**18 + 100 * (change == "later")))  # the smallest step of Windows' times
    with pytest.raises(T7Error, match="another program has changed it"):
        tensor.read(0, 2)


@pytest.mark.parametrize("changed", ["", "number", "longer"])
def test_a_tensor_file_that_is_touched_is_still_the_same(tmp_path, changed):
    """Once all of it has been read, only other numbers count, wherever they stand."""
    path = tmp_path / "x.t7"
    save_t7(path, np.arange(1000))
    tensor = TensorFile(path)
    assert np.concatenate(list(tensor.blocks(99))).tolist() == list(range(1000))
    for k in range(2):
        os.utime(path, ns=(10**18, 10**18 + 100 * k))
        assert tensor.read(5, 7).tolist() == [5, 6]
    if changed:
        content = bytearray(path.read_bytes())
        content[-8] ^= changed == "number"
        path.write_bytes(content + b"x" * (changed == "longer"))
        os.utime(path, ns=(10**18, 10**18 + 300))
        with pytest.raises(T7Error, match="another program has changed it"):
            tensor.read(5, 7)


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is open")
def test_a_tensor_file_that_is_replaced_stays_what_it_was(tmp_path):
    path = tmp_path / "x.t7"
    save_t7(path, np.arange(10))
    tensor = TensorFile(path)
    save_t7(path, np.zeros(3))
    assert tensor.read(0, 10).tolist() == list(range(10))
