"""What we write is what the original writes: the whole object graph."""

from __future__ import annotations

import contextlib
import gc
import gzip
import os
import weakref
from array import array

import numpy as np
import pytest
from conftest import GOLDEN, TRAIN_RUNS, spec
from object_graph import Differences, assert_same_graph, close

import compat
import pycharrnn
from compat import charrnn, nngraph
from compat.cells import MODELS
from compat.graph_expressions import CheckpointError
from compat.lua_random import LuaRandom
from compat.run_state import RunState
from pycharrnn.checkpoints import (
    checkpoint,
    checkpoint_facts,
    derived_checkpoints,
    formats,
    inspection,
    json_file,
    t7_file,
)
from pycharrnn.common.errors import UserError

RUNS = [name for name in TRAIN_RUNS if spec(name)["checkpoints_written"]]


def test_the_comparison_notices_a_difference():
    path = GOLDEN / "lstm1_test_split" / "lm_split_epoch1.00_3.1432.t7"

    def changed(change) -> None:
        ours = compat.load_t7(path)
        change(ours)
        with pytest.raises(Differences):
            assert_same_graph(ours, compat.load_t7(path), close)

    nodes = b"forwardnodes"
    rnn = lambda t: t[b"protos"][b"rnn"]  # noqa: E731
    assert_same_graph(compat.load_t7(path), compat.load_t7(path), close)
    changed(lambda t: t.update({b"i": 213}))
    changed(lambda t: t[b"opt"].pop(b"seed"))
    changed(lambda t: t[b"vocab"].update({b"o": 56}))
    changed(lambda t: rnn(t)[nodes][5].fields.update({b"id": 99}))
    changed(lambda t: rnn(t)[nodes][5].fields.update({b"data": rnn(t)[nodes][6][b"data"]}))
    changed(lambda t: rnn(t)[nodes].update({5: rnn(t)[nodes][6], 6: rnn(t)[nodes][5]}))
    changed(lambda t: rnn(t).fields.update({b"outnode": compat.TorchObject(b"graph.Node", rnn(t)[b"outnode"].fields)}))
    changed(lambda t: rnn(t)[b"modules"][3].fields.update({b"bias": rnn(t)[b"modules"][5][b"bias"]}))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("num_layers", [1, 2, 12])
def test_any_model_survives_saving(tmp_path, model, num_layers):
    rng = np.random.default_rng(0)
    shapes = nngraph.parameter_shapes(model, 11, 4, num_layers)
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    network = charrnn.Network(model, 4, num_layers, 11, 0.25, weights)
    vocab = {bytes([c]): c + 1 for c in range(11)}
    saved = charrnn.Checkpoint(
        network, vocab, {"seed": 1, "data_dir": "d\udcff"}, array("d", [3.5, 2.5]), {2: 2.25}, 2.25, 2, 0.5
    )
    charrnn.save(tmp_path / "c.t7", saved)
    modules = compat.load_t7(tmp_path / "c.t7")[b"protos"][b"rnn"][b"modules"].as_list()
    assert [module.typename for module in modules].count(b"nn.Dropout") == num_layers
    loaded = checkpoint.load(tmp_path / "c.t7")
    assert (loaded.vocab, loaded.opt, loaded.train_losses) == (saved.vocab, saved.opt, saved.train_losses)
    assert (loaded.val_losses, loaded.val_loss, loaded.i, loaded.epoch) == ({2: 2.25}, 2.25, 2, 0.5)
    found = loaded.network
    assert (found.model, found.rnn_size, found.num_layers, found.vocab_size) == (model, 4, num_layers, 11)
    assert found.dropout == 0.25
    assert list(found.weights) == list(shapes)
    for name, weight in weights.items():
        np.testing.assert_array_equal(found.weights[name], weight)


@pytest.mark.parametrize("full", [False, True])
def test_saving_leaves_nothing_in_memory(tmp_path, monkeypatch, full):
    """Without waiting for a garbage collection, which is off here."""
    found = checkpoint.load(GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7")
    nodes: list[weakref.ref] = []
    build = nngraph.build

    def watched(*args):
        module = build(*args)
        nodes.append(weakref.ref(module[b"outnode"]))  # which is part of a cycle, as the module itself is not
        return module

    monkeypatch.setattr(nngraph, "build", watched)
    if full:

        def no_space(fd):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(OSError):
            charrnn.save(tmp_path / "c.t7", found)
        assert [node() for node in nodes] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize("name", RUNS)
def test_weights_are_found_where_they_lie(name):
    """Followed through the graph, they are the flat storage in order."""
    for path in GOLDEN.joinpath(name).glob("*.t7"):
        table = compat.load_t7(path)
        linear = next(m for m in table[b"protos"][b"rnn"][b"modules"].values() if m.typename == b"nn.Linear")
        found = charrnn.from_table(table).network.weights
        flat = np.concatenate([w.ravel() for w in found.values()])
        np.testing.assert_array_equal(flat, linear[b"weight"].storage.data)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop(b"protos"), "protos"),
        (lambda t: t.pop(b"vocab"), "vocabulary"),
        (lambda t: t[b"vocab"].pop(b"a"), "vocabulary"),
        (lambda t: t[b"vocab"].update({b"two": 74}), "74 characters but its decoder predicts 73 classes"),
        (lambda t: t[b"vocab"].update({b"": t[b"vocab"].pop(b"a")}), "not a character"),
        (lambda t: t[b"protos"][b"rnn"].fields.pop(b"outnode"), "output node"),
        (lambda t: t[b"protos"].update({b"rnn": compat.TorchObject(b"nn.Sequential", compat.Table())}), "Sequential"),
    ],
)
def test_a_file_that_is_no_model_is_refused(change, message):
    table = compat.load_t7(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
    change(table)
    with pytest.raises(CheckpointError, match=message):
        charrnn.from_table(table)


def test_swapped_gates_are_refused_or_found():
    """Reading trusts neither names nor places: gates that are wired in another order are read in that order."""
    table = compat.load_t7(GOLDEN / "lstm1_test_split" / "lm_split_epoch1.00_3.1432.t7")
    nodes = [node[b"data"] for node in table[b"protos"][b"rnn"][b"forwardnodes"].values()]
    before = charrnn.from_table(table).network.weights["i2h_1.weight"].copy()
    for data in nodes:  # in and forget change places
        if data.get(b"selectindex") in (1, 2) and b"LSTM.lua" in data[b"annotations"][b"_debugLabel"]:
            data[b"selectindex"] = 3 - data[b"selectindex"]
    after = charrnn.from_table(table).network.weights["i2h_1.weight"]
    np.testing.assert_array_equal(after[:24], before[24:48])
    np.testing.assert_array_equal(after[24:48], before[:24])
    np.testing.assert_array_equal(after[48:], before[48:])


@pytest.mark.parametrize(
    "opt, characters, encoding",
    [
        ({}, [b"a", b"b"], "bytes"),
        ({}, [b"a", "é".encode()], "utf8"),
        ({"encoding": "utf8"}, [b"a", b"b"], "utf8"),
        ({"encoding": "bytes"}, [b"a", b"b"], "bytes"),
    ],
)
def test_encoding(opt, characters, encoding):
    network = charrnn.Network("rnn", 1, 1, 2, 0.0, {})
    assert (
        checkpoint_facts.encoding(charrnn.Checkpoint(network, {c: k for k, c in enumerate(characters, 1)}, opt))
        == encoding
    )


def any_checkpoint(model: str) -> charrnn.Checkpoint:
    """Of two layers and the characters a, b, c, numbered b, c, a."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape) for name, shape in nngraph.parameter_shapes(model, 3, 4, 2).items()}
    network = charrnn.Network(model, 4, 2, 3, 0.0, weights)
    gradients = np.zeros(sum(w.size for w in weights.values()))
    return charrnn.Checkpoint(network, {b"a": 3, b"b": 1, b"c": 2}, gradients=gradients)


@pytest.mark.parametrize("model", MODELS)
def test_weights_go_with_their_characters(model):
    before = any_checkpoint(model)
    after = derived_checkpoints.remap_ids(before, {b"a": 1, b"b": 2, b"c": 3})
    assert (after.vocab, after.gradients, after.state) == ({b"a": 1, b"b": 2, b"c": 3}, None, None)
    order = [2, 0, 1]  # where a, b and c were
    for name, weight in before.network.weights.items():
        if name.endswith("i2h_1.weight"):
            weight = weight[:, order]
        elif name.startswith("decoder."):
            weight = weight[order]
        np.testing.assert_array_equal(after.network.weights[name], weight)
    assert derived_checkpoints.remap_ids(before, dict(before.vocab)) is before


@pytest.mark.parametrize("model", MODELS)
def test_new_characters_are_drawn_as_a_new_model_is(model):
    before = any_checkpoint(model)
    vocab = {b"b": 1, b"c": 2, b"a": 3, b"d": 4, b"e": 5}
    with pytest.raises(ValueError, match="random"):
        derived_checkpoints.remap_ids(before, vocab)
    after, random = derived_checkpoints.remap_ids(before, vocab, LuaRandom(5)), LuaRandom(5)
    assert after.network.vocab_size == 5
    shapes = nngraph.parameter_shapes(model, 5, 4, 2)
    assert {name: w.shape for name, w in after.network.weights.items()} == shapes
    for name, weight in after.network.weights.items():
        if name.endswith("i2h_1.weight"):
            new = random.uniform(-0.08, 0.08, 2 * len(weight)).reshape(-1, 2)
            expected = np.concatenate([before.network.weights[name], new], 1)
        elif name.startswith("decoder."):
            new = random.uniform(-0.08, 0.08, weight[3:].size).reshape(weight[3:].shape)
            expected = np.concatenate([before.network.weights[name], new])
        else:
            expected = before.network.weights[name]
        np.testing.assert_array_equal(weight, expected)


def test_a_mistyped_path_is_answered_by_one_that_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "lm_poems_best.t7").write_bytes(b"")
    near = os.path.join("cv", "lm_poems_best.t7")
    mistyped = "cv/lm_poems_bset.t7", "lm_poem_best.t7", "lm_poems_best.t7", "./lm_poems_best.t7"
    runs = "poems", "lm_poems", "cv/poems", "cv/lm_poems"
    for typed in mistyped + runs:
        with pytest.raises(UserError) as error:
            checkpoint.load(typed)
        assert str(error.value) == f"File {typed} does not exist; did you mean {near}?"
    with pytest.raises(UserError, match="File cv/other.t7 does not exist: name one that exists"):
        checkpoint.load("cv/other.t7")
    (tmp_path / "poems.txt").write_bytes(b"")
    with pytest.raises(UserError, match=r"File \.\./poems.txt does not exist; did you mean poems.txt\?"):
        checkpoint.load("../poems.txt")


@pytest.mark.skipif(os.name == "nt", reason="not every user of Windows may make links")
def test_a_link_to_a_missing_checkpoint(tmp_path):
    path = tmp_path / "x.t7"
    path.symlink_to("gone.t7")
    with pytest.raises(UserError, match="x.t7 is a link to gone.t7, which does not exist: name another file"):
        checkpoint.load(path)


@pytest.mark.parametrize("ending", [".t7", ".t7.gz", ".safetensors", ".json", ".pt", ".onnx", ".html"])
def test_a_file_that_was_cut_off_has_a_way_out(tmp_path, ending):
    path = tmp_path / f"x{ending}"
    if ending == ".t7.gz":
        path.write_bytes(gzip.compress((GOLDEN / "variants" / "float.t7").read_bytes()))
    else:
        pycharrnn.load(GOLDEN / "variants" / "float.t7").save(path)
    whole = path.read_bytes()
    most = len(whole) * (4 if ending == ".html" else 9) // 10  # a page's model is in the first half
    for length in (0, 1000, most // 2, most):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="; use another copy of the file, or an earlier checkpoint") as error:
            checkpoint.load(path)
        assert length or "it is empty" in str(error.value)


@pytest.mark.parametrize("change", ["line ends", "a byte", "zeros", "first bytes"])
def test_a_damaged_file_has_a_way_out(tmp_path, change):
    whole = (GOLDEN / "variants" / "float.t7").read_bytes()
    name = whole.index(b"nn.Linear")  # after its length and its version, "V 1"
    damaged = {
        "line ends": whole.replace(b"\n", b"\r\n"),  # by a transfer in text mode
        "a byte": whole[: name - 19] + b"\xff" + whole[name - 18 :],
        "zeros": bytes(len(whole)),
        "first bytes": whole[1:],
    }[change]
    (tmp_path / "x.t7").write_bytes(damaged)
    what = "begins with zeros" if change == "zeros" else "is none of Torch7's at byte"
    with pytest.raises(UserError, match=what) as error:
        checkpoint.load(tmp_path / "x.t7")
    assert str(error.value).endswith("; use another copy of the file, or an earlier checkpoint.")
    if change == "zeros":
        assert what in inspection.look(tmp_path / "x.t7").fault
    else:
        with pytest.raises(UserError, match=what):
            inspection.look(tmp_path / "x.t7")


@pytest.mark.parametrize("ending", ["", ".bin", ".safetensors", ".json", ".pt", ".onnx", ".html", ".c"])
def test_a_renamed_t7_file_is_read(tmp_path, ending):
    source, path = GOLDEN / "variants" / "float.t7", tmp_path / f"x{ending}"
    path.write_bytes(source.read_bytes())
    assert checkpoint.load(path).vocab == checkpoint.load(source).vocab
    assert inspection.look(path).facts == inspection.look(source).facts


@pytest.mark.parametrize("ending", ["", ".txt", ".t7", ".safetensors", ".json", ".pt", ".onnx"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_a_text_is_recognised_as_one(tmp_path, ending, encoding):
    path = tmp_path / f"letter{ending}"
    path.write_text("Sch\u00f6ne Gr\u00fc\u00dfe,\n\tyour friend\n" * 300, encoding=encoding)
    with pytest.raises(UserError, match="it is a text; `pycharrnn train` makes a model of it"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "content, shown",
    [
        (b"404: Not Found\n", "a text of 15 bytes, '404: Not Found'"),
        ("Not found\n".encode("utf-16"), "a text of 22 bytes"),
        (b"<a>\n\xff" + b"x" * 95, r"a text of 100 bytes, '<a>\n\xff" + "x" * 28 + "...'"),
    ],
)
@pytest.mark.parametrize("ending", [".t7", ".safetensors", ".pt", ".txt", ".t7.gz"])
def test_the_answer_of_a_server_in_the_place_of_a_checkpoint(tmp_path, content, shown, ending):
    path = tmp_path / f"x{ending}"
    path.write_bytes(gzip.compress(content) if ending == ".t7.gz" else content)
    said = f"it is {shown}, saved in the file's place: download the file again."
    if ending in (".txt", ".t7.gz"):
        said = "it is a text; `pycharrnn train` makes a model of it."
    for load in (checkpoint.load, inspection.look):
        with pytest.raises(UserError) as error:
            load(path)
        assert str(error.value) == f"can't read {path} as a checkpoint: {said}"


def test_what_stands_in_the_way_of_reading(tmp_path):
    with pytest.raises(UserError, match="x.t7 does not exist: name one that exists, or a folder of checkpoints"):
        checkpoint.load(tmp_path / "x.t7")
    with pytest.raises(UserError, match="is a folder: name one of the checkpoints in it"):
        checkpoint.load(tmp_path)
    with pytest.raises(UserError, match="can't read .* as a checkpoint: no space"), checkpoint.reading("x.t7"):
        raise OSError(28, "no space")
    with pytest.raises(UserError, match="can't read x.t7 as a checkpoint: it holds"), checkpoint.reading("x.t7"):
        raise CheckpointError("it holds nothing")


def test_the_text_of_a_torch_rnn_checkpoint():
    loaded = any_checkpoint("lstm")
    assert checkpoint_facts.trained_on(loaded) == ""
    loaded.opt = {"input_h5": "data/x.h5"}
    assert checkpoint_facts.trained_on(loaded) == "data/x.h5"
    loaded.opt = {"data_dir": "data/\x1b"}
    assert checkpoint_facts.trained_on(loaded) == r"data/\x1b"
    loaded.opt = {"data_dir": 5}
    assert checkpoint_facts.trained_on(loaded) == ""


def test_a_t7_file_holds_its_identity_matrix():
    t7_file.check_size(4096, 1)  # of no text are there more bytes, and few languages have more letters
    t7_file.check_size(4097, 4097**2 // 32 + 1)
    with pytest.raises(UserError, match="0.1 GB large, for a model of 500000 parameters"):
        t7_file.check_size(4097, 500_000)


def test_progress_counts_the_numbers(tmp_path, monkeypatch):
    """Of a .json file the weights, of a .t7 file the gradients too, and the mean squares of a run state."""
    bars: list[list[int]] = []

    @contextlib.contextmanager
    def bar(title, total):
        bars.append([total, 0])

        def advance(count):
            bars[-1][1] += count

        yield advance

    for module in (t7_file, json_file):
        monkeypatch.setattr(module, "bar", bar)
    loaded = any_checkpoint("rnn")
    parameters = sum(w.size for w in loaded.network.weights.values())
    checkpoint.convert(loaded, tmp_path / "c.json")
    assert bars[-1] == [parameters, parameters]
    checkpoint.convert(loaded, tmp_path / "c.t7")
    assert bars[-1][0] == 2 * parameters < bars[-1][1]
    words, position = LuaRandom(1).get_state()
    loaded.state = RunState(
        np.zeros(parameters), 0.1, [np.zeros((1, 4))] * 2, dict.fromkeys((1, 2, 3), 0), words, position, 0
    )
    checkpoint.convert(loaded, tmp_path / "c.t7")
    assert bars[-1][0] == 3 * parameters < bars[-1][1]
    rounded = formats.WriteOptions(dtype="float32")  # such weights have no state
    checkpoint.convert(loaded, tmp_path / "c.t7", rounded)
    assert bars[-1][0] == 2 * parameters < bars[-1][1]
    assert checkpoint.load(tmp_path / "c.t7").state is None


def test_a_checkpoint_that_was_read_needs_no_garbage_collection():
    """The graph of a .t7 file has cycles, which would keep its weights in memory for a while."""
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(one, (compat.Table, compat.TorchObject)) for one in gc.get_objects())
        checkpoint.load(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
        assert sum(isinstance(one, (compat.Table, compat.TorchObject)) for one in gc.get_objects()) == before
    finally:
        gc.enable()
