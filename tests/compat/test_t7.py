"""The .t7 reader and writer."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys

import numpy as np
import pytest
import torchfile
from conftest import GOLDEN
from object_graph import assert_same_graph

import compat
from compat import (
    LuaFunction,
    Storage,
    T7Error,
    Table,
    Tensor,
    TensorFile,
    TorchObject,
    load_t7,
    save_t7,
    t7_writer,
)
from compat.t7_element_types import element_dtype
from compat.t7_objects import BooleanKey
from compat.t7_reader import load_with_dialect
from compat.t7_writer import T7Writer

FILES = sorted(GOLDEN.rglob("*.t7"))


def written(value) -> bytes:
    f = io.BytesIO()
    T7Writer(f).write_obj(value)
    return f.getvalue()


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_what_the_original_wrote_comes_back_byte_for_byte(tmp_path, path):
    value, dialect = load_with_dialect(path)
    assert dialect.encoding == ("ascii" if path.name == "ascii.t7" else "binary")
    save_t7(tmp_path / "v.t7", value, dialect.encoding, dialect.long_size)
    assert (tmp_path / "v.t7").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["lstm2/lm_lstm2_epoch3.00_2.8734", "gru2/lm_gru2_epoch1.00_2.9340", "corpus/data"])
def test_torchfile_reads_the_same_where_it_can_read(name):
    def same(ours, theirs) -> int:
        if isinstance(ours, (Tensor, Storage)):
            np.testing.assert_array_equal(np.asarray(ours), theirs)
            return 1
        if isinstance(ours, TorchObject):
            assert ours.typename == theirs.torch_typename()
            return 0
        if isinstance(ours, Table):
            plain = [k for k in ours if isinstance(k, (bytes, int))]
            return sum(same(ours[k], theirs[k]) for k in plain if not isinstance(ours[k], Table))
        assert ours == theirs
        return 1

    ours = load_t7(GOLDEN / f"{name}.t7")
    theirs = torchfile.load(str(GOLDEN / f"{name}.t7"), use_list_heuristic=False)
    if name == "corpus/data":
        assert same(ours, theirs) == 1
        return
    for key in (b"vocab", b"opt", b"train_losses"):
        assert same(ours[key], theirs[key]) > 20
    for our, their in zip(
        ours[b"protos"][b"rnn"][b"modules"].values(), theirs[b"protos"][b"rnn"][b"modules"].values(), strict=True
    ):
        assert same(our, their) == 0
        assert same(our.fields, their._obj) >= 1


@pytest.mark.parametrize("encoding, long_size", [("ascii", 8), ("binary", 4), ("binary", 8)])
@pytest.mark.parametrize("name", ["lstm2/lm_lstm2_epoch3.00_2.8734", "variants/float", "variants/cl"])
def test_dialects_are_detected(tmp_path, name, encoding, long_size):
    original = load_t7(GOLDEN / f"{name}.t7")
    for module in original[b"protos"][b"rnn"][b"modules"].values():
        if module.typename == b"nn.Reshape":
            module[b"batchsize"].data[0] = 1  # uninitialised: what the original left there fits no short long
    save_t7(tmp_path / "v.t7", original, encoding, long_size)
    read, dialect = load_with_dialect(tmp_path / "v.t7")
    assert (dialect.encoding, dialect.long_size) == (encoding, 8 if encoding == "ascii" else long_size)
    assert_same_graph(read, original, lambda path, a, b: np.array_equal(a, b))


def test_bytes_streams_and_gzip(tmp_path):
    path = GOLDEN / "corpus" / "vocab.t7"
    content, want = path.read_bytes(), load_t7(path).items()
    assert load_t7(content).items() == want
    assert load_t7(io.BytesIO(content)).items() == want
    with pytest.raises(TypeError, match="the stream must be binary"), open(path, encoding="latin-1") as f:
        load_t7(f)
    (tmp_path / "v.t7").write_bytes(gzip.compress(content))
    assert load_t7(tmp_path / "v.t7").items() == want
    for broken in (gzip.compress(content)[:-9], gzip.compress(content)[:40], gzip.compress(bytes(1 << 26))):
        with pytest.raises(T7Error, match="gzip"):
            load_t7(broken)


def test_boolean_keys_are_not_numbers():
    table = Table({1: b"one", BooleanKey.TRUE: b"true", BooleanKey.FALSE: b"false"})
    read = load_t7(written(table))
    assert len(read) == 3
    assert (read[1], read[BooleanKey.TRUE], read[BooleanKey.FALSE]) == (b"one", b"true", b"false")


def test_the_attributes_of_an_object_are_listed():
    """torchfile lists the fields, too, whose names are bytes."""
    assert {"fields", "typename", "version"} <= {*dir(TorchObject(b"nn.Linear", Table({b"weight": 1})))}


def test_empty_tables_stay_tables():
    assert isinstance(load_t7(written({})), Table)
    assert isinstance(load_t7(written([])), Table)


@pytest.mark.parametrize("kind", [6, 7, 8])
def test_functions_are_kept_as_data(kind):
    function = LuaFunction(b"\x1bLJ", None, kind)
    function.upvalues = Table({1: b"x"} if kind == 6 else {1: function})
    read = load_t7(written([function, 5]))
    assert (read[1].code, read[1].kind, read[2]) == (b"\x1bLJ", kind, 5)
    assert read[1].upvalues[1] == (b"x" if kind == 6 else read[1])


@pytest.mark.parametrize("typename", [b"tds.Hash", b"tds.Vec"])
def test_tds(typename):
    value = TorchObject(typename, Table({1: b"a", 2: Table()}), 0)
    read = load_t7(written(value))
    assert (read.typename, read.version, read[1], list(read.fields)) == (typename, 0, b"a", [1, 2])


@pytest.mark.parametrize("place", ["", "Cuda", "Cl"])
@pytest.mark.parametrize("kind", ["Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double", ""])
@pytest.mark.parametrize("version", [None, 0, 1])
def test_every_class_of_tensor(place, kind, version):
    if not place + kind:
        return
    name = f"torch.{place}{kind}".encode()
    dtype = element_dtype(name + b"Tensor")
    storage = Storage(name + b"Storage", np.arange(10, dtype=dtype), version)
    column = Tensor(name + b"Tensor", storage, (3,), (3,), 1, version)
    for encoding_size in (8, 4):
        f = io.BytesIO()
        T7Writer(f, encoding_size).write_obj([column, 7])
        read = load_t7(f.getvalue())
        assert (read[1].typename, read[1].storage.typename, read[1].version) == (
            column.typename,
            storage.typename,
            version,
        )
        np.testing.assert_array_equal(read[1], [1, 4, 7])
        assert np.asarray(read[1]).dtype == dtype
        assert read[2] == 7


def test_scalars_and_containers(tmp_path):
    value = {b"a": None, b"b": True, b"c": 3, b"d": 0.25, b"e": b"\x00\xff", 1: [False, -2], 2.5: {}}
    save_t7(tmp_path / "v.t7", value)
    read = load_t7(tmp_path / "v.t7")
    assert list(read) == list(value)
    assert [read[k] for k in (b"a", b"b", b"c", b"d", b"e")] == [None, True, 3, 0.25, b"\x00\xff"]
    assert read[1].as_list() == [False, -2]
    assert isinstance(read[2.5], Table) and not read[2.5]


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_scalars_of_numpy_are_numbers(tmp_path, encoding):
    save_t7(tmp_path / "v.t7", {np.int64(3): np.uint8(7), "mean": np.float32(0.5), "is_odd": np.bool_(True)}, encoding)
    assert dict(load_t7(tmp_path / "v.t7")) == {3: 7, b"mean": 0.5, b"is_odd": True}


@pytest.mark.parametrize("shape", [0, (0, 3), (3, 0)])
def test_an_empty_array_comes_back_empty(tmp_path, shape):
    save_t7(tmp_path / "v.t7", np.zeros(shape, "f4"))
    read = load_t7(tmp_path / "v.t7")
    assert read.typename == b"torch.FloatTensor" and read.numpy().shape == (0,)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "i8", "f4", "f8"])
def test_arrays(tmp_path, dtype):
    array = np.arange(12, dtype=dtype).reshape(3, 4)
    save_t7(tmp_path / "v.t7", [array, array.T, array[::2]])
    read = load_t7(tmp_path / "v.t7").as_list()
    for want, got in zip([array, array.T, array[::2]], read, strict=True):
        assert got.numpy().dtype == array.dtype
        np.testing.assert_array_equal(np.asarray(got), want)


def test_sharing_survives(tmp_path):
    storage = Storage(b"torch.DoubleStorage", np.arange(6.0))
    row = Tensor(b"torch.DoubleTensor", storage, (3,), offset=3)
    table = Table({b"row": row, b"again": row, b"column": Tensor(b"torch.DoubleTensor", storage, (2,), (3,), 1)})
    table[b"self"] = table
    table[table] = TorchObject(b"nn.Thing", Table({b"of": table}))
    save_t7(tmp_path / "v.t7", table)
    read = load_t7(tmp_path / "v.t7")
    assert read[b"self"] is read
    assert read[read][b"of"] is read
    assert read[b"row"] is read[b"again"]
    assert read[b"row"].storage is read[b"column"].storage
    np.testing.assert_array_equal(read[b"row"], [3, 4, 5])
    np.testing.assert_array_equal(read[b"column"], [1, 4])
    read[b"row"].numpy()[:] = 0  # private to this process
    np.testing.assert_array_equal(read[b"column"], [1, 0])
    np.testing.assert_array_equal(load_t7(tmp_path / "v.t7")[b"row"], [3, 4, 5])


def test_nesting_is_no_recursion(tmp_path):
    value = Table()
    for _ in range(20 * sys.getrecursionlimit()):
        value = Table({1: value})
    save_t7(tmp_path / "v.t7", value)
    read, depth = load_t7(tmp_path / "v.t7"), 0
    while read:
        read, depth = read[1], depth + 1
    assert depth == 20 * sys.getrecursionlimit()


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 7, 8, 11, 12, 40, 100, 1000, 50_000, -1])
def test_a_truncated_file_says_where(tmp_path, cut):
    whole = (GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7").read_bytes()
    (tmp_path / "v.t7").write_bytes(whole[:cut])
    with pytest.raises(T7Error, match="at byte|empty"):
        load_t7(tmp_path / "v.t7")


def tensor_file(shape=(2, 2), strides=(2, 1), offset=1, count=4, data=bytes(32)) -> bytes:
    """A DoubleTensor as a file might claim it to be."""
    longs = lambda values: b"".join(int(v).to_bytes(8, "little", signed=True) for v in values)  # noqa: E731
    head = written(Tensor(b"torch.DoubleTensor", None))[:-16]
    head += len(shape).to_bytes(4, "little", signed=True)
    storage = written(Storage(b"torch.DoubleStorage", np.zeros(0)))[:-8].replace(b"\1\0\0\0\3", b"\2\0\0\0\3", 1)
    return head + longs([*shape, *strides, offset]) + storage + longs([count]) + data


@pytest.mark.parametrize("storage", [Storage(b"torch.FloatStorage", np.zeros(8, "f4")), Table(), b"x", 5])
def test_a_tensor_has_a_storage_of_its_own_type(storage):
    tensor = Tensor(b"torch.DoubleTensor", storage, (2,))
    with pytest.raises(T7Error, match="the storage of a torch.DoubleTensor is"):
        load_t7(written(tensor))


def test_a_whole_tensor(tmp_path):
    (tmp_path / "v.t7").write_bytes(tensor_file())
    assert load_t7(tmp_path / "v.t7").shape == (2, 2)


@pytest.mark.parametrize(
    "claim",
    [
        {"shape": (3, 2)},
        {"strides": (1 << 40, 1)},
        {"strides": (-2, 1)},
        {"shape": (-2, 2)},
        {"offset": 2},
        {"offset": -1},
        {"offset": 1 << 62},
        {"count": 5},
        {"count": -1},
        {"count": 1 << 62},
        {"count": 3, "data": bytes(24)},
        {"shape": (1 << 62, 1 << 62)},
    ],
)
def test_claims_beyond_the_file_are_not_believed(tmp_path, claim):
    (tmp_path / "v.t7").write_bytes(tensor_file(**claim))
    with pytest.raises(T7Error, match="at byte"):
        load_t7(tmp_path / "v.t7")


def test_longs_of_4_bytes_hold_32_bits(tmp_path):
    fits = np.array([-(1 << 31), (1 << 31) - 1])
    save_t7(tmp_path / "v.t7", fits, long_size=4)
    np.testing.assert_array_equal(load_t7(tmp_path / "v.t7"), fits)
    for value in (-(1 << 31) - 1, 1 << 31):
        with pytest.raises(ValueError, match=f"{value} does not fit a 4-byte long"):
            save_t7(tmp_path / "v.t7", np.array([0, value]), long_size=4)
    np.testing.assert_array_equal(load_t7(tmp_path / "v.t7"), fits)


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
@pytest.mark.parametrize("dtype", ["u1", "i8", "f2", "f4", "f8"])
def test_long_arrays_are_written_as_short_ones(tmp_path, monkeypatch, encoding, dtype):
    """They are written in pieces, which `written` counts."""
    array = np.arange(20).astype(dtype)
    counts: list[int] = []
    save_t7(tmp_path / "whole.t7", array, encoding)
    monkeypatch.setattr(t7_writer, "_PIECE", 7)
    save_t7(tmp_path / "pieces.t7", array, encoding, written=counts.append)
    assert (tmp_path / "pieces.t7").read_bytes() == (tmp_path / "whole.t7").read_bytes()
    assert counts[-3:] == ([1, 1, 20] if (encoding, dtype) == ("ascii", "u1") else [7, 7, 6])


def test_unwritable_values_are_refused(tmp_path):
    for value in (object(), {b"x": 1j}, np.zeros(2, "c16")):
        with pytest.raises(TypeError, match="can't be written"):
            save_t7(tmp_path / "v.t7", value)
    for key in (None, np.nan, np.float32(np.nan)):  # no key of a Lua table
        with pytest.raises(ValueError, match="can't have a key that is None or NaN"):
            save_t7(tmp_path / "v.t7", [{1: 2, key: 3}])
    for encoding in ("binary", "ascii"):
        with pytest.raises(ValueError, match="beyond the range of a number"):
            save_t7(tmp_path / "v.t7", {"x": 10**400}, encoding)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.t7")
    for path in (tmp_path / "pipe.t7", os.devnull):
        with pytest.raises(T7Error, match="not a file"):
            load_t7(path)


def test_what_has_been_read_does_not_change_with_the_file(tmp_path):
    path = tmp_path / "x.t7"
    save_t7(path, np.arange(10.0))
    array = load_t7(path).numpy()
    with open(path, "r+b") as f:
        f.write(bytes(path.stat().st_size))
    np.testing.assert_array_equal(array, np.arange(10.0))
    array[0] = 7  # in our memory only
    os.truncate(path, 0)
    assert array[0] == 7 and array[9] == 9


# -- tensors that stay in their file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("longs", [8, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
def test_a_tensor_in_pieces(tmp_path, dtype, longs):
    path = tmp_path / "x.t7"
    save_t7(path, np.arange(100).astype(dtype), long_size=longs)
    tensor = TensorFile(path)
    assert (len(tensor), tensor.dtype, tensor.typename) == (100, dtype, load_t7(path).typename)
    for first, last in ((0, 100), (0, 0), (17, 18), (90, 100)):
        np.testing.assert_array_equal(tensor.read(first, last), np.arange(first, last).astype(dtype))
    for first, last in ((-1, 5), (0, 101), (6, 5)):
        with pytest.raises(IndexError):
            tensor.read(first, last)


@pytest.mark.parametrize("kind", ["gzip", "ascii"])
def test_a_tensor_of_a_packed_file_is_held(tmp_path, kind):
    path = tmp_path / "x.t7"
    save_t7(path, np.arange(100, dtype="i4"), "ascii" if kind == "ascii" else "binary")
    if kind == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    tensor = TensorFile(path)
    assert (len(tensor), tensor.dtype, tensor.typename) == (100, np.int32, b"torch.IntTensor")
    assert tensor.read(90, 92).tolist() == [90, 91]
    assert np.concatenate(list(tensor.blocks(7))).tolist() == list(range(100))


@pytest.mark.parametrize(
    "value",
    [None, 5, b"text", Table({1: 2}), np.zeros((2, 3)), np.zeros(0), Tensor(b"torch.ByteTensor", None)],
    ids=["nil", "number", "string", "table", "two dimensions", "no number", "no storage"],
)
def test_what_is_no_tensor_of_one_dimension(tmp_path, value):
    save_t7(tmp_path / "x.t7", value)
    if isinstance(value, np.ndarray) and value.shape == (0,):
        assert len(TensorFile(tmp_path / "x.t7")) == 0
        return
    with pytest.raises(T7Error):
        TensorFile(tmp_path / "x.t7")


def test_a_negative_length():
    name = b"torch.DoubleStorage"
    content = struct.pack(f"<iii3si{len(name)}sq", 4, 1, 3, b"V 1", len(name), name, -1)
    with pytest.raises(T7Error, match=f"^the file has a negative length at byte {len(content)}$"):
        load_t7(content)


@pytest.mark.parametrize("cut", [0, 1, 50, -1])
def test_a_truncated_tensor_file(tmp_path, cut):
    save_t7(tmp_path / "x.t7", np.arange(1000.0))
    content = (tmp_path / "x.t7").read_bytes()
    (tmp_path / "x.t7").write_bytes(content[:cut])
    with pytest.raises(T7Error, match="the file ends too early"):
        TensorFile(tmp_path / "x.t7")


def test_a_long_file_of_something_else_does_not_end_too_early(tmp_path):
    save_t7(tmp_path / "x.t7", Table({1: b"x" * 10_000}))
    with pytest.raises(T7Error, match="^it holds no tensor of one dimension$"):
        TensorFile(tmp_path / "x.t7")


def test_compat_knows_neither_torch_nor_pycharrnn():
    import subprocess

    code = "import sys, compat, compat.charrnn; print([m for m in ('torch', 'pycharrnn') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert compat.__doc__
