"""Files made to deceive: whatever they claim, they take memory in proportion to their size, and say one sentence."""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
import tracemalloc
import zipfile
from array import array

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import GOLDEN, run
from torchrnn_tables import make

from compat import (
    CheckpointError,
    Storage,
    T7Error,
    Table,
    Tensor,
    TorchObject,
    cell_graphs,
    charrnn,
    file_magic,
    load_t7,
    nngraph,
    save_t7,
    t7_content,
    t7_writer,
    torchrnn,
)
from compat.escape import escape_line
from compat.t7_binary_reader import T7Reader
from compat.t7_reader import survey
from compat.t7_writer import T7Writer
from pycharrnn.analysis import evaluation, likelihood
from pycharrnn.analysis.evaluation import EvaluatedCheckpoint
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import checkpoint, inspection, t7_file
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine.model import CharRNN

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
GRU = GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7"
RNN = GOLDEN / "rnn3" / "lm_rnn3_epoch1.00_3.0075.t7"


def integers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def number(value: float) -> bytes:
    return integers(1) + struct.pack("<d", value)


def modules(table: Table, typename: bytes) -> list[TorchObject]:
    return [m for m in table[b"protos"][b"rnn"][b"modules"].values() if m.typename == typename]


# -- tensors ---------------------------------------------------------------------------------------------------------


def tensor(shape, strides, offset: int = 0, held: int = 20_000) -> Tensor:
    return Tensor(b"torch.DoubleTensor", Storage(b"torch.DoubleStorage", np.zeros(held)), shape, strides, offset)


@pytest.mark.parametrize(
    "claim",
    [
        tensor((1 << 31, 1 << 31), (0, 0), held=1),
        tensor((1 << 40,), (0,)),
        tensor((20_001,), (0,)),
        tensor((150, 150), (1, 1)),
        tensor((0, 1 << 62), (0, 0)),
        tensor((1,) * 31 + (30_000,), (0,) * 32),
    ],
    ids=lambda t: f"{t.shape} {t.strides}"[:40],
)
def test_a_tensor_has_no_more_elements_than_its_storage(tmp_path, claim):
    """It is read, since Torch7's `expand` makes such tensors, and written as it was; it is no array."""
    save_t7(tmp_path / "x.t7", claim)
    read = load_t7(tmp_path / "x.t7")
    save_t7(tmp_path / "y.t7", read)
    assert (tmp_path / "x.t7").read_bytes() == (tmp_path / "y.t7").read_bytes()
    for take in (read.numpy, lambda: np.asarray(read)):
        with pytest.raises(T7Error, match="claims more elements than the"):
            take()


@pytest.mark.parametrize(
    "outside",
    [
        tensor((2, 2), (1, 1 << 40)),
        tensor((2,), (-1,), 5),
        tensor((-2,), (1,)),
        tensor((2,), (1,), 19_999),
        tensor((2,), (1,), -1),
        tensor((2, 2), (1,)),
    ],
    ids=lambda t: f"{t.shape} {t.strides} {t.offset}",
)
def test_a_tensor_made_by_hand_reads_no_other_memory(outside):
    with pytest.raises(T7Error, match="a tensor"):
        outside.numpy()


@pytest.mark.parametrize(
    "odd, shape",
    [
        (tensor((1, 35, 30), (1 << 62, 30, 1)), (1, 35, 30)),
        (tensor((0, 5), (1 << 62, 1 << 62), (1 << 63) - 2), (0, 5)),
        (tensor((1,) * 32, (0,) * 32), (1,) * 32),
        (tensor((), ()), (0,)),
    ],
)
def test_strides_that_mean_nothing_do_no_harm(tmp_path, odd, shape):
    save_t7(tmp_path / "x.t7", odd)
    assert load_t7(tmp_path / "x.t7").numpy().shape == shape


def test_too_many_dimensions(tmp_path):
    save_t7(tmp_path / "x.t7", tensor((1,) * 33, (0,) * 33))
    with pytest.raises(T7Error, match="33 dimensions"):
        load_t7(tmp_path / "x.t7")


def stretched(path, units: int) -> Table:
    """A checkpoint of any number of units, in which one number is every weight."""
    table = load_t7(path)
    was, one = table[b"opt"][b"rnn_size"], Storage(b"torch.DoubleStorage", np.array([0.01]))
    larger = {was: units, 4 * was: 4 * units}
    for linear in modules(table, b"nn.Linear"):
        for key in (b"weight", b"bias", b"gradWeight", b"gradBias"):
            shape = tuple(larger.get(n, n) for n in linear[key].shape)
            linear.fields[key] = Tensor(b"torch.DoubleTensor", one, shape, (0,) * len(shape), 0)
    for reshape in modules(table, b"nn.Reshape"):
        for key in (b"size", b"batchsize"):
            sizes = [units if n == was else n for n in reshape[key].data.tolist()]
            reshape.fields[key] = Storage(b"torch.LongStorage", np.array(sizes))
    return table


@pytest.mark.parametrize("path", [LSTM, GRU, RNN], ids=["lstm", "gru", "rnn"])
@pytest.mark.parametrize("units", [3000, 1 << 31, 1 << 40])
def test_weights_are_not_stretched(tmp_path, path, units):
    save_t7(tmp_path / "x.t7", stretched(path, units))
    with pytest.raises(UserError, match="claims more elements than the 1 of its storage"):
        checkpoint.load(tmp_path / "x.t7")
    result = CliRunner().invoke(cli, ["inspect", str(tmp_path / "x.t7")])
    assert "nn.gModule" in result.stdout  # the tree


def test_a_storage_is_no_weight_twice():
    table = load_t7(RNN)
    linears = modules(table, b"nn.Linear")
    alone = Storage(b"torch.DoubleStorage", np.zeros(max(math.prod(m[b"weight"].shape) for m in linears)))
    for linear in linears:
        for key in (b"weight", b"bias"):
            linear.fields[key] = Tensor(b"torch.DoubleTensor", alone, linear[key].shape)
    with pytest.raises(CheckpointError, match=r"its tensors claim \d+ numbers of storages that hold \d+"):
        charrnn.from_table(table)


def test_a_module_is_no_layer_twice():
    table = make("LSTM", None)
    layers = table[b"model"][b"net"][b"modules"]
    layers[3] = layers[2].fields.update(layers[3].fields) or layers[2]
    layers[1] = make("LSTM", None)[b"model"][b"net"][b"modules"][1]
    layers[1].fields[b"weight"] = Tensor.of_array(np.zeros((5, 4)))
    with pytest.raises(CheckpointError, match="its tensors claim"):
        torchrnn.from_table(table)


@pytest.mark.parametrize(
    "weight, words",
    [
        (Tensor.of_array(np.zeros((4 * 16, 73)), b"torch.Byte"), "has whole numbers as its weight"),
        (Tensor.of_array(np.zeros((0, 73))), r"a weight of shape \(0, 73\), expected \(any, any\)"),
        (Tensor.of_array(np.zeros(73)), r"shape \(73,\)"),
        (b"x", "shape None"),
    ],
)
def test_what_is_no_weight(weight, words):
    table = load_t7(LSTM)
    modules(table, b"nn.Linear")[0].fields[b"weight"] = weight
    with pytest.raises(CheckpointError, match=words):
        charrnn.from_table(table)


@pytest.mark.parametrize(
    "size",
    [
        Tensor(b"torch.LongTensor", Storage(b"torch.LongStorage", np.array([1])), (1 << 40, 1 << 40), (0, 0)),
        Tensor.of_array(np.array([math.inf, 16.0])),
        Storage(b"torch.FloatStorage", np.array([math.nan, 16.0], np.float32)),
        Storage(b"torch.LongStorage", np.array([4, -(1 << 63)])),
        Storage(b"torch.LongStorage", np.array([4, (1 << 63) - 1])),
        Storage(b"torch.LongStorage", np.array([4, 0])),
        Storage(b"torch.LongStorage", np.array([], "i8")),
        b"x",
    ],
)
def test_sizes_of_a_reshape(tmp_path, size):
    table = load_t7(LSTM)
    for reshape in modules(table, b"nn.Reshape"):
        reshape.fields[b"size"] = size
    save_t7(tmp_path / "x.t7", table)
    with pytest.raises(UserError):
        checkpoint.load(tmp_path / "x.t7")


# -- graphs ----------------------------------------------------------------------------------------------------------


def test_a_list_of_inputs_is_short():
    """Thousands of nodes may share one list of thousands."""
    table = load_t7(LSTM)
    nodes = [node[b"data"] for node in table[b"protos"][b"rnn"][b"forwardnodes"].values()]
    node = next(n for n in nodes if n.get(b"module") and n[b"module"].typename == b"nn.CAddTable")
    node[b"mapindex"] = Table(dict.fromkeys(range(1, 1000), nodes[0]))
    with pytest.raises(CheckpointError, match="a node of its graph has 499 inputs"):
        charrnn.from_table(table)


def test_a_narrow_below_any_number_of_sigmoids():
    table = load_t7(GOLDEN / "legacy_2015-06-14_lstm" / "lm_old_epoch1.00_3.2631.t7")
    nodes = [node[b"data"] for node in table[b"protos"][b"rnn"][b"forwardnodes"].values()]
    of = lambda name: [n for n in nodes if n.get(b"module") and n[b"module"].typename == name]  # noqa: E731
    below = of(b"nn.CAddTable")[0]  # the sum that the gates are parts of
    for _ in range(5000):
        below = Table({b"module": TorchObject(b"nn.Sigmoid", Table()), b"mapindex": Table({1: below, below: 1})})
    for narrow in of(b"nn.Narrow"):
        narrow[b"mapindex"] = Table({1: below, below: 1})
    with pytest.raises(CheckpointError):
        charrnn.from_table(table)


@pytest.mark.slow
@pytest.mark.parametrize("typename", [b"nn.CAddTable", b"nn.Linear", b"nn.Identity", b"nn.SplitTable", b"nn.gModule"])
def test_class_names_that_are_no_text(tmp_path, typename):
    table = load_t7(LSTM)
    for module in [*modules(table, typename), table[b"protos"][b"rnn"]]:
        if module.typename == typename:
            module._typename = b"nn.\xb3\x1b[31m\n"
    save_t7(tmp_path / "x.t7", table)
    result = run("inspect", str(tmp_path / "x.t7"))
    assert result.returncode == 0 and r"nn.\xb3\x1b[31m\n" in result.stderr.decode()
    assert b"\x1b" not in result.stdout + result.stderr


# -- what a file unfolds to ----------------------------------------------------------------------------------------


def many(n: int, part) -> bytes:
    return integers(3, 1, n) + b"".join(number(k + 1000) + part(k) for k in range(n))


UNFOLDING = {
    "nils": lambda k: integers(0),
    "tables": lambda k: integers(3, k + 2, 0),
    "tables of one": lambda k: integers(3, k + 2, 1) + number(1) + integers(0),
    "texts": lambda k: integers(2, 9) + b"%09d" % k,
    "objects": lambda k: integers(4, k + 2, 3) + b"V 1" + integers(1) + b"X" + integers(0),
    "tensors": lambda k: (
        integers(4, k + 2, 17) + b"torch.FloatTensor" + integers(2) + struct.pack("<5q", 0, 0, 0, 0, 1) + integers(0)
    ),
    "storages": lambda k: integers(4, k + 2, 18) + b"torch.FloatStorage" + struct.pack("<q", 0),
    "functions": lambda k: integers(8, k + 2, 0) + integers(0),
    "longs": lambda k: integers(4, k + 2, 17) + b"torch.LongStorage" + struct.pack("<q", 9) + bytes(36),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNFOLDING)
def test_what_is_read_is_charged_in_full(kind):
    content = many(5_000, UNFOLDING[kind])
    reader = T7Reader(content, 4 if kind == "longs" else 8)
    if kind == "longs":
        content = content.replace(struct.pack("<q", 9), struct.pack("<i", 9))
        reader = T7Reader(content, 4)
    before = reader.memory
    tracemalloc.start()
    value = reader.read_obj()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(value) == 5_000
    assert peak < before - reader.memory < 3 * peak


def test_a_deep_network_is_hardly_charged_more_than_it_takes(tmp_path):
    """Its modules take far more memory than its numbers, so that a charge too high refuses it."""
    model = CharRNN("lstm", 3, 1, 40)
    model.vocab = {b"a": 1, b"b": 2, b"c": 3}
    model.save(tmp_path / "deep.t7")
    reader = T7Reader((tmp_path / "deep.t7").read_bytes(), 8)
    before = reader.memory
    tracemalloc.start()
    reader.read_obj()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < before - reader.memory < 1.4 * peak


@pytest.mark.parametrize("kind", UNFOLDING)
def test_a_small_file_unfolds_to_little(monkeypatch, kind):
    monkeypatch.setattr(t7_content, "_SPARE", 1 << 16)
    content = many(5_000, UNFOLDING[kind])
    for packed in (content, gzip.compress(content))[kind == "longs" :]:  # its longs are read into twice their size
        with pytest.raises(T7Error, match="it unfolds to far more than its size"):
            load_t7(packed)


def test_ascii_unfolds_to_little(monkeypatch):
    monkeypatch.setattr(t7_content, "_SPARE", 1 << 20)
    content = b"3\n1\n20000\n" + b"".join(b"1\n%d\n3\n%d\n0\n" % (k, k + 2) for k in range(20_000))
    with pytest.raises(T7Error, match="it unfolds to far more than its size"):
        load_t7(content)


def test_losses_of_any_number_are_read(monkeypatch):
    """They come by the million in a long run, whatever else is refused."""
    monkeypatch.setattr(t7_content, "_SPARE", 1 << 16)
    losses = load_t7(many(50_000, lambda k: number(k + 0.5)))
    assert (len(losses), losses[1000], losses[50_999]) == (50_000, 0.5, 49_999.5)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5, -0.0, 0, math.inf, -math.inf, math.nan, 1e300, 2**53, -(2**63), 2**63, 5e-324] * 5,
        list(range(100)),
        [k + 0.25 for k in range(100)],
        [*range(40), b"x", *range(40), None, Table(), 0.5] * 2,
    ],
    ids=["odd", "whole", "fractions", "mixed"],
)
def test_many_numbers_are_read_as_a_few(monkeypatch, tmp_path, values):
    """Tables of numbers are read in blocks."""
    save_t7(tmp_path / "x.t7", values)
    blocks = load_t7(tmp_path / "x.t7")
    monkeypatch.setattr(T7Reader, "_read_numbers", lambda self, table, count: 0)
    assert repr(list(load_t7(tmp_path / "x.t7").items())) == repr(list(blocks.items()))
    assert [type(v) for v in load_t7(tmp_path / "x.t7").values()] == [type(v) for v in blocks.values()]


def test_nan_is_no_key_among_many_numbers():
    content = bytearray(many(100, lambda k: number(k)))
    content[12 + 24 * 50 + 4 : 12 + 24 * 50 + 12] = struct.pack("<d", math.nan)
    with pytest.raises(T7Error, match="nil or NaN"):
        load_t7(bytes(content))


def test_gzip_swells_as_weights_do(tmp_path):
    noise = np.random.default_rng(0).normal(size=100_000)
    packed = gzip.compress(b"".join([integers(2, 1 << 24), bytes(1 << 24)]))
    assert len(load_t7(packed)) == 1 << 24
    save_t7(tmp_path / "x.t7", {b"weights": noise, b"gradients": np.zeros(300_000)})
    assert len(load_t7(gzip.compress((tmp_path / "x.t7").read_bytes()))) == 2
    with pytest.raises(T7Error, match="gzip file that unpacks to more than"):
        load_t7(gzip.compress(integers(2, 1 << 26) + bytes(1 << 26)))


@pytest.mark.parametrize("version", [b"V " + b"9" * 5000, b"V 1_0", b"V  1", b"V "])
def test_class_versions(version):
    with pytest.raises(T7Error, match="class version"):
        load_t7(integers(4, 1, len(version)) + version + integers(1) + b"X" + integers(0))


@pytest.mark.parametrize(
    "content",
    [
        b"1\n" + b"9" * 3_000_000 + b"\n",
        b"1\n" + b" " * 3_000_000 + b"x",
        b"2\n" + b"9" * 64 + b"\nx",
        b"4\n1\n3\nV 1\n18\ntorch.FloatStorage\n3\n1 2 x\n",
        b"4\n1\n3\nV 1\n18\ntorch.FloatStorage\n100000\n" + b"1" * 200_000 + b"\n",
        b"4\n1\n3\nV 1\n17\ntorch.LongStorage\n2\n1 99999999999999999999\n",
        b"4\n1\n3\nV 1\n16\ntorch.IntStorage\n2\n1 3000000000\n",
        b"3\n1\n1\n1\nnan\n0\n",
        b"5\n1.5\n",
    ],
    ids=range(9),
)
def test_ascii_that_is_none(content):
    with pytest.raises(T7Error, match="at byte"):
        load_t7(content)


def test_arrays_in_ascii(tmp_path):
    values = np.random.default_rng(0).normal(size=50_000)
    save_t7(tmp_path / "x.t7", [values, b" \n", values[:0], np.arange(9000), b"x", values.astype("f2")], "ascii")
    read = load_t7(tmp_path / "x.t7")
    np.testing.assert_array_equal(read[1], values)
    assert (read[2], read[3].numpy().size, read[5]) == (b" \n", 0, b"x")
    np.testing.assert_array_equal(read[4], np.arange(9000))
    np.testing.assert_array_equal(read[6], values.astype("f2"))


# -- vocabularies and options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda v: v.update({b"x" * 65: v.pop(b"a")}), "of 65 bytes: no character has more than 64"),
        (lambda v: v.update({b"a": 10**12}), "not numbered 1 to n"),
        (lambda v: v.update({b"a": v[b"b"]}), "not numbered 1 to n"),
        (lambda v: v.update({b"a": 0.5}), "not numbered 1 to n"),
        (lambda v: v.update({5: v.pop(b"a")}), "a whole number, which is not a character"),
        (lambda v: v.update({b"": v.pop(b"a")}), "an empty text, which is not a character"),
        (lambda v: v.clear(), "no vocabulary"),
    ],
)
def test_vocabularies(change, words):
    table = load_t7(LSTM)
    change(table[b"vocab"])
    with pytest.raises(CheckpointError, match=words):
        charrnn.from_table(table)


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("batch_size", b"abc", r"-batch_size 'abc', which is not valid: give -batch_size"),
        ("seed", b"abc", "-seed 'abc', which is not valid: use another checkpoint"),
        ("batch_size", math.inf, "-batch_size inf"),
        ("batch_size", math.nan, "-batch_size nan"),
        ("batch_size", 1e300, r"-batch_size 1e\+300"),
        ("batch_size", 0, "-batch_size must be at least 1, not 0"),
        ("batch_size", 1e9, "characters, fewer than -batch_size 1000000000"),
        ("seq_length", b"1e400", "-seq_length '1e400'"),
        ("seq_length", True, "-seq_length True"),
        ("train_frac", b"x", "-train_frac 'x'"),
        ("train_frac", math.nan, "-train_frac nan"),
        ("val_frac", -1, "-val_frac must be from 0 to 1, not -1"),
        ("data_dir", 5, "-data_dir 5"),
        ("data_dir", b"a\0b", r"-data_dir 'a\\x00b'"),
        ("data_dir", b"\x1b]0;x\x07", r"-data_dir '\\x1b\]0;x\\x07'"),
        ("vocab", 5, None),
        ("encoding", math.inf, None),
        ("print_every", b"never", None),
    ],
)
def test_eval_takes_no_odd_options_from_a_file(tmp_path, corpus, name, value, words):
    table = load_t7(LSTM)
    table[b"opt"][name.encode()] = value
    save_t7(tmp_path / "x.t7", table)
    loaded = checkpoint.load(tmp_path / "x.t7")
    opt = EvalOptions(data_dir="" if name == "data_dir" else str(corpus))
    if words:
        with pytest.raises(UserError, match=words):
            evaluation.split_loss("x.t7", loaded, opt)
        return
    assert evaluation.split_loss("x.t7", loaded, opt) == pytest.approx(loaded.val_loss)


def test_reading_in_pieces_is_the_same_loss(corpus, monkeypatch):
    loaded = checkpoint.load(LSTM)
    whole = evaluation.split_loss("x.t7", loaded, EvalOptions(data_dir=str(corpus)))
    monkeypatch.setattr(likelihood, "MAX_DOUBLES", 6 * 10 * (8 * 2 * 16 + 4 * 73))  # 6 steps of 10 texts, of 20
    assert evaluation.split_loss("x.t7", loaded, EvalOptions(data_dir=str(corpus))) == pytest.approx(whole, abs=1e-12)
    assert likelihood.block_size(20, 10 * (8 * 2 * 16 + 4 * 73)) == 5
    monkeypatch.setattr(likelihood, "MAX_DOUBLES", 1000)
    with pytest.raises(UserError, match="10 texts side by side would take x.t7 .* give a smaller -batch_size"):
        evaluation.split_loss("x.t7", loaded, EvalOptions(data_dir=str(corpus)))


def test_inspect_shows_any_numbers(tmp_path):
    table = load_t7(LSTM)
    table.update({b"i": 1e300, b"epoch": math.inf, b"val_loss": b"x"})
    table[b"val_losses"] = Table({1: math.nan, 5: 2.5, 7: math.inf})
    table[b"opt"].update({b"data_dir": b"\x1b[2J\xff", b"odd\n": b"\x1b" * 500, b"seed": math.nan})
    save_t7(tmp_path / "x.t7", table)
    result = run("inspect", str(tmp_path / "x.t7"))
    assert result.returncode == 0, result.stderr
    lines = result.stdout.decode().splitlines()
    assert ["opt.data_dir", r"\x1b[2J\xff"] in [line.split() for line in lines]
    assert any(line.startswith(r"opt.odd\n") for line in lines)
    assert any(line.startswith("best val loss") and "2.5000" in line for line in lines)
    assert b"\x1b" not in result.stdout
    facts = json.loads(run("inspect", str(tmp_path / "x.t7"), "-json", "1").stdout, parse_constant=pytest.fail)
    assert facts["epoch"] is None
    assert facts["opt"]["seed"] is None


# -- safetensors ---------------------------------------------------------------------------------------------------


def with_header(content: bytes, change) -> bytes:
    """A safetensors file whose header, or the facts in it, are changed in place, or are another text."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["pycharrnn"])
    other = change(facts, header)
    header["__metadata__"]["pycharrnn"] = other if isinstance(other, str) else json.dumps(facts)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


@pytest.fixture(scope="module")
def safetensors_file(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("safe") / "x.safetensors"
    checkpoint.convert(checkpoint.load(LSTM), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda f, h: f.update(i="x"), "a string where an iteration belongs"),
        (lambda f, h: f.update(i=None), "an iteration belongs"),
        (lambda f, h: f.update(i=10**400), "a whole number where an iteration belongs"),
        (lambda f, h: f.update(epoch=[]), "an epoch belongs"),
        (lambda f, h: f.update(val_loss="x"), "val_loss belongs"),
        (lambda f, h: f.update(train_losses=["1"]), "a loss belongs"),
        (lambda f, h: f.update(train_losses=5), "metadata are not pycharrnn's"),
        (lambda f, h: f.update(val_losses=[[1, [2]]]), "a loss belongs"),
        (lambda f, h: f.update(val_losses=[1, 2]), "metadata are not pycharrnn's"),
        (lambda f, h: f.update(opt=[]), "metadata are not pycharrnn's"),
        (lambda f, h: f.update(opt={"x": "\ud800"}), "metadata are not pycharrnn's"),
        (lambda f, h: f.update(vocab=[10**12, *f["vocab"][1:]]), "not a list of bytes"),
        (lambda f, h: f.update(vocab=[[300], *f["vocab"][1:]]), "metadata are not pycharrnn's"),
        (lambda f, h: f.update(vocab=[[97] * 65, *f["vocab"][1:]]), "of 65 bytes"),
        (lambda f, h: f.update(vocab=f["vocab"][:-1]), "72 characters, its model 73"),
        (lambda f, h: f.update(vocab=[f["vocab"][1], *f["vocab"][1:]]), "not numbered|72 characters"),
        (lambda f, h: f.update(model=["lstm"]), "its model is"),
        (lambda f, h: f.update(num_layers=True), "its model is"),
        (lambda f, h: f.update(num_layers=10**9), "its model is"),
        (lambda f, h: f.update(rnn_size=17), "tensors are not those of an lstm"),
        (lambda f, h: f.update(dropout=math.nan), "dropout is nan"),
        (lambda f, h: f.update(program="\x1b[2J"), "its program is not a short text"),
        (lambda f, h: f.update(tensor_type="numpy.array"), "none of Torch7's"),
        (lambda f, h: f.pop("era"), "metadata are not pycharrnn's"),
        (lambda f, h: "[" * 100_000 + "]" * 100_000, "metadata are not pycharrnn's"),
        (lambda f, h: "9" * 10_000, "metadata are not pycharrnn's"),
        (lambda f, h: '{"model": "lstm", "model": "gru"}', "metadata are not pycharrnn's"),
        (lambda f, h: "[" + "[]," * 5_000_000 + "[]]", "unfold to far more than its size"),
        (lambda f, h: h["decoder.bias"].update(dtype="\x1b[2J"), "not a safetensors file"),
        (lambda f, h: h["decoder.bias"].update(dtype="I64"), "of whole numbers"),
        (lambda f, h: h["decoder.bias"].update(data_offsets=[0, 10**30]), "it ends too early, within its tensors"),
        (lambda f, h: h["decoder.bias"].update(shape=[0, 1 << 62]), "tensors are not those"),
        (lambda f, h: h.update(more={"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}), "tensors are not those"),
        (lambda f, h: h.pop("decoder.bias"), "tensors are not those"),
    ],
    ids=range(34),
)
def test_metadata_of_safetensors(tmp_path, safetensors_file, change, words):
    path = tmp_path / "x.safetensors"
    path.write_bytes(with_header(safetensors_file, change))
    with pytest.raises(UserError, match=words) as caught:
        checkpoint.load(path)
    assert escape_line(str(caught.value), 1000) == str(caught.value)


@pytest.mark.parametrize("metadata", [{}, {"__metadata__": {"format": "pt"}}, {"__metadata__": 5}])
def test_safetensors_of_other_programs(tmp_path, metadata):
    header = json.dumps({**metadata, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    for name in ("x.safetensors", "x.t7"):
        (tmp_path / name).write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
        with pytest.raises(UserError) as caught:
            checkpoint.load(tmp_path / name)
        assert str(caught.value).endswith(
            "it is a safetensors file of another program: pycharrnn reads those that its train and convert write."
        )


@pytest.mark.parametrize("length", [0x80, 0x280])
def test_a_safetensors_file_whose_length_begins_like_a_pickle(tmp_path, length):
    (tmp_path / "x.t7").write_bytes(struct.pack("<Q", length) + b'{"__metadata__":{}}'.ljust(length))
    with pytest.raises(UserError, match="it is a safetensors file of another program"):
        checkpoint.load(tmp_path / "x.t7")


def test_odd_but_harmless_metadata(tmp_path, safetensors_file):
    def change(facts, header):
        facts["opt"].update(nested={"a": [1]}, nothing=None, huge=10**400, text="x\ud8ff"[:1])
        facts.update(val_losses=[["x", 1.0], [1e300, 2.0], [7, 2.5]], train_losses=[math.nan], epoch=math.inf)

    (tmp_path / "x.safetensors").write_bytes(with_header(safetensors_file, change))
    loaded = checkpoint.load(tmp_path / "x.safetensors")
    assert loaded.val_losses == {7: 2.5}
    assert {"nested", "nothing", "huge"}.isdisjoint(loaded.opt)
    for command in (["inspect"], ["plot", "-o", str(tmp_path / "x.svg")], ["sample", "-length", "3", "-gpuid", "-1"]):
        result = CliRunner().invoke(cli, [command[0], str(tmp_path / "x.safetensors"), *command[1:]])
        assert result.exit_code == 0, result.output


# -- files of other kinds ------------------------------------------------------------------------------------------


def zipped(*names: str) -> bytes:
    """An archive of files whose content is damaged."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as f:
        for name in names:
            f.writestr(zipfile.ZipInfo(name), b"<content>")
    return packed.getvalue().replace(b"<content>", b"<damaged>")


PYTORCH = b"PK\x03\x04\x00\x00\x08\x08" + bytes(18) + b"\x10\x00\x00\x00archive/data.pkl" + bytes(40)
OTHERS = {
    "PyTorch, zip": (PYTORCH, "a file of PyTorch's torch.save"),
    "PyTorch, old": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "a file of PyTorch's torch.save"),
    "pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.", "a Python pickle"),
    "zip, cut off": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(40), "a zip archive: unpack it"),
    "zip of a checkpoint": (zipped("lm.txt", "cv/LM.T7"), "a zip archive: unpack it, and name the .t7 file in it"),
    "zip of safetensors": (zipped("lm.safetensors"), "a zip archive: unpack it, and name the .safetensors file in it"),
    "zip of others": (zipped("poems/a.txt"), "a zip archive: it holds no checkpoint; name another file"),
    "zip of nothing": (zipped(), "a zip archive: it holds no checkpoint; name another file"),
    "zip, its list damaged": (
        zipped("a.txt").replace(b"PK\1\2", b"PK\1\3"),
        "a zip archive: unpack it, and name the .t7",
    ),
    "zip, long names": (zipped("a.txt", "b" * 60_000, "c" * 60_000), "a zip archive: it holds no checkpoint"),
    "zip, many files": (zipped(*(f"{k}.txt" for k in range(5_000))), "a zip archive: unpack it, and name the .t7 file"),
    "zip, only a list": (b"PK" + b"PK\1\2" * 50_000 + b"PK\5\6" + bytes(18), "a zip archive: unpack it"),
    "NumPy": (zipped("x.npy", "y.npy"), "an archive of NumPy's arrays: pycharrnn reads the .t7 files"),
    "Keras": (zipped("metadata.json", "config.json", "model.weights.h5"), "a model of Keras: pycharrnn reads the .t7"),
    "Keras, HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(2000) + b"keras_version", "weights of Keras: pycharrnn reads the .t7"),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(40), "a GGUF or GGML model, as llama.cpp runs: pycharrnn reads the .t7 files"),
    "GGML": (b"lmgg" + bytes(40), "a GGUF or GGML model, as llama.cpp runs: pycharrnn reads the .t7 files"),
    "text on GGUF": (b"GGUF is a format of models.\n" * 50, "a text; `pycharrnn train` makes a model of it"),
    "zip of arrays and a checkpoint": (zipped("x.npy", "lm.t7"), "unpack it, and name the .t7 file in it"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(40), "a model of TensorFlow Lite: pycharrnn reads the .t7 files"),
    "TensorFlow": (b"\x08\1\x12\x2b\n\7" + bytes(40), "a file of another program, not a .t7 file: name a checkpoint"),
    "train.bin of nanoGPT": (np.arange(40, 99, dtype="<u2").tobytes(), "a file of another program, not a .t7 file"),
    "safetensors": (
        struct.pack("<Q", 30) + b'{"__metadata__":{"format":"pt"}}',
        "a safetensors file of another program: pycharrnn reads those that its train and convert write",
    ),
    "safetensors of ours": (
        struct.pack("<Q", 32) + b'{"__metadata__":{"pycharrnn":""}}',
        "a safetensors file: give it a name that ends in .safetensors",
    ),
    "JSON": (b' {"a": 1}', "JSON text"),
    "RTF": (b"{\\rtf1 Hello}", "an RTF file: save it as plain text"),
    "PDF": (b"%PDF-1.4\n%\xc2\xa5\n1 0 obj Hello there", "a PDF file: save it as plain text to train on it"),
    "docx": (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "an office program, or a book: save it as plain text"),
    "epub": (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip", "or a book: save it as plain text"),
    "doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), "of an office program: save it as plain text"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a picture: pycharrnn reads the .t7 files"),
    "page": (b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<title>404</title>", "a web page that was saved in the file's place"),
    "error page": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "gzip of a page": (gzip.compress(b"<html>"), "a web page"),
    "gzip of gzip": (gzip.compress(gzip.compress(b"x")), "compressed by gzip: unpack it with gunzip"),
    "ASCII .t7, CR LF": (b"4\r\n1\r\n3\r\nV 1\r\n", "an ASCII .t7 file whose line ends were changed"),
    "ASCII .t7, CR": (b"4\r1\r3\rV 1\r", "an ASCII .t7 file whose line ends were changed"),
    "page of ours": (b"<!doctype html>" + file_magic.MODEL_IN_PAGE, "give it a name that ends in .html"),
    "bzip2": (b"BZh91AY&SY", "bunzip2"),
    "xz": (b"\xfd7zXZ\0\0\4", "unxz"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "tar": (b"cv/lm.t7".ljust(257, b"\0") + b"ustar\x0000", "a tar archive"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_called_what_they_are(tmp_path, kind):
    content, words = OTHERS[kind]
    for name in ("x.t7", "x.bin"):
        (tmp_path / name).write_bytes(content)
        for command in ("sample", "inspect"):
            result = CliRunner().invoke(cli, [command, str(tmp_path / name)])
            assert isinstance(result.exception, UserError)
            assert words in str(result.exception)
            assert result.stdout == ""


def test_a_json_of_ours_is_called_that(tmp_path):
    checkpoint.convert(checkpoint.load(LSTM), tmp_path / "x.json")
    (tmp_path / "x.json").rename(tmp_path / "x.txt")
    for command in ("sample", "inspect", "convert", "plot"):
        result = CliRunner().invoke(cli, [command, str(tmp_path / "x.txt")])
        assert "it is the JSON that pycharrnn convert writes: give it a name" in str(result.exception)


def test_a_page_named_safetensors_is_not_taken_for_one(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"<html>")
    with pytest.raises(UserError, match="it is a web page"):
        checkpoint.load(tmp_path / "x.safetensors")


# -- what follows the first object ---------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_more_than_one_object_in_a_file(tmp_path, encoding):
    path = tmp_path / "x.t7"
    save_t7(path, load_t7(LSTM), encoding)
    whole = path.read_bytes()
    save_t7(path, [1, b"x"], encoding)
    further = path.read_bytes()
    for rest, words in (
        (further, "1 more object"),
        (further + b"~~~~~~~~", "1 more object and 8 bytes outside of objects"),
        (b"\xff\xff", "2 bytes outside of objects"),
    ):
        path.write_bytes(whole + rest)
        assert words in inspection.look(path).facts["after_it"]
        assert checkpoint.load(path).i == checkpoint.load(LSTM).i
        assert words in CliRunner().invoke(cli, ["inspect", str(path)]).stdout
    path.write_bytes(whole)
    assert "after_it" not in inspection.look(path).facts
    found = survey(further + b"\xff")
    assert (found.further, found.unread) == (0, 1)


def test_objects_that_one_program_has_written_one_after_another():
    f = io.BytesIO()
    writer, shared = T7Writer(f), Table({1: b"shared"})
    for value in (shared, Table({1: shared}), 5, shared):
        writer.write_obj(value)
    found = survey(f.getvalue())
    assert (found.further, found.unread) == (3, 0)


def test_objects_are_counted_up_to_ten_thousand(tmp_path):
    (tmp_path / "x.t7").write_bytes(bytes(4 * 50_000))
    assert "after it: at least 10000 more objects\n" in CliRunner().invoke(cli, ["inspect", f"{tmp_path}/x.t7"]).stdout


def test_the_tree_is_shown_whatever_the_name(tmp_path):
    for name in ("vocab", "vocab.t7", "vocab.txt", "vocab.bin"):
        save_t7(tmp_path / name, {b"a": 1})
        with open(tmp_path / name, "ab") as f:
            f.write(bytes(8))
        result = CliRunner().invoke(cli, ["inspect", str(tmp_path / name)])
        said = (
            "char-rnn's cache of a text, not a checkpoint"
            if name == "vocab.t7"
            else "is not a checkpoint of a character"
        )
        assert result.exit_code == 0 and said in result.stderr
        assert "table of 1\n" in result.stdout
        assert "after it: 2 more objects" in result.stdout


def test_inspect_names_the_text(tmp_path):
    from runs import folder_with_text, named, train

    assert inspection.look(LSTM).facts["trained_on"] == "data/corpus"
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    text = inspection.look(named(folder)[0]).facts["trained_on"]
    size = (folder / checkpoint.load(named(folder)[0]).opt["data_dir"] / "input.txt").stat().st_size
    assert f", {size} bytes, SHA-256 " in text
    table = evaluation.as_table([EvaluatedCheckpoint("a.t7", 1.0, None, text)])
    assert table.splitlines()[1].endswith(text[:-56])


# -- text for the screen ---------------------------------------------------------------------------------------------


# -- writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_many_losses_are_written_as_a_few(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr(t7_writer, "_PIECE", 7)
    losses = [1.5, 2.0, math.nan, -math.inf, 5e-324, *np.random.default_rng(0).normal(size=40).tolist()]
    for n in (0, 1, 6, 7, 8, 45):
        save_t7(tmp_path / "a.t7", {b"x": array("d", losses[:n]), b"y": 1}, encoding)
        save_t7(tmp_path / "b.t7", {b"x": losses[:n], b"y": 1}, encoding)
        assert (tmp_path / "a.t7").read_bytes() == (tmp_path / "b.t7").read_bytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_identity_matrix_is_made_in_blocks(monkeypatch, dtype):
    checkpoint = charrnn.from_table(load_t7(LSTM))

    def written() -> bytes:
        f = io.BytesIO()
        T7Writer(f).write_obj(charrnn.to_table(checkpoint, dtype))
        return f.getvalue()

    whole = written()
    monkeypatch.setattr(cell_graphs, "_BLOCK", 5 * 73)
    assert written() == whole
    (onehot,) = modules(load_t7(whole), b"OneHot")
    np.testing.assert_array_equal(onehot[b"_eye"].numpy(), np.eye(73))


def test_a_small_model_of_many_characters_is_no_t7_file(tmp_path):
    """Its identity matrix would fill the disk."""
    V = 100_000
    shapes = nngraph.parameter_shapes("rnn", V, 1, 1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    vocab = {chr(0x10000 + k).encode(): k + 1 for k in range(V)}
    wide = charrnn.Checkpoint(charrnn.Network("rnn", 1, 1, V, 0.0, weights), vocab)
    with pytest.raises(UserError, match=r"a .t7 file of 100000 characters is 80.0 GB large.*use .safetensors"):
        checkpoint.convert(wide, tmp_path / "x.t7")
    checkpoint.convert(wide, tmp_path / "x.safetensors")
    (tmp_path / "input.txt").write_bytes(b"00000" * 1000)
    small = ["-gpuid", "-1", "-batch_size", "3", "-seq_length", "10", "-vocab", "extend", "-checkpoint_format", "t7"]
    result = CliRunner().invoke(
        cli, ["train", "-init_from", f"{tmp_path}/x.safetensors", "-data_dir", str(tmp_path), *small]
    )
    assert "a .t7 file of 100001 characters" in str(result.exception)
    t7_file.check_size(8000, 16_000 * 128)  # Chinese, in the smallest model that anybody trains
