"""What we write is what the original writes: the whole object graph."""

from __future__ import annotations

import contextlib
import gc
import os
import weakref

import numpy as np
import pytest
from conftest import GOLDEN, TRAIN_RUNS, spec
from object_graph import Differences, assert_same_graph, close

import compat
from compat import charrnn, nngraph
from compat.graph_expressions import CheckpointError
from pycharrnn.checkpoints import checkpoint

RUNS = [name for name in TRAIN_RUNS if spec(name)["checkpoints_written"]]


@pytest.mark.parametrize("name", RUNS)
def test_written_checkpoint_equals_the_originals(trained, name):
    folder = trained(name)[1]
    for theirs in GOLDEN.joinpath(name).glob("*.t7"):
        ours = compat.load_t7(folder / theirs.name)
        assert ours.pop(b"pycharrnn")[b"format"] == 1  # the one thing that the original lacks
        compared = assert_same_graph(ours, compat.load_t7(theirs), close)
        assert compared > 400


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


@pytest.mark.parametrize("model", nngraph.MODELS)
@pytest.mark.parametrize("num_layers", [1, 2, 12])
def test_any_model_survives_saving(tmp_path, model, num_layers):
    rng = np.random.default_rng(0)
    shapes = nngraph.parameter_shapes(model, 11, 4, num_layers)
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    network = charrnn.Network(model, 4, num_layers, 11, 0.25, weights)
    vocab = {bytes([c]): c + 1 for c in range(11)}
    saved = charrnn.Checkpoint(network, vocab, {"seed": 1, "data_dir": "d\udcff"}, [3.5, 2.5], {2: 2.25}, 2.25, 2, 0.5)
    charrnn.save(tmp_path / "c.t7", saved)
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
    made = []
    build = nngraph.build
    monkeypatch.setattr(nngraph, "build", lambda *args: made.append(build(*args)) or made[0])
    if full:

        def no_space(fd):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(OSError):
            charrnn.save(tmp_path / "c.t7", found)
        alive = weakref.ref(made.pop())
        assert alive() is None
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
        (lambda t: t[b"vocab"].update({b"": t[b"vocab"].pop(b"a")}), "no character"),
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
        checkpoint.encoding(charrnn.Checkpoint(network, {c: k for k, c in enumerate(characters, 1)}, opt)) == encoding
    )
