"""A checkpoint as the JSON object in a page, and back."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import math
import tracemalloc
from array import array

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import GOLDEN, run, sampled, sentence

from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import checkpoint, payload
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
GRU = GOLDEN / "gru1_dropout" / "lm_gru1d_epoch1.00_3.1027.t7"
EVERY_KIND = [
    LSTM,
    GRU,
    GOLDEN / "rnn3" / "lm_rnn3_epoch1.00_3.0075.t7",
    GOLDEN / "legacy_2015-05-21_lstm_dropout" / "lm_old_epoch1.00_4.7287.t7",
    GOLDEN / "variants" / "cuda.t7",
]


def element(loaded: Checkpoint, name: str = "", half: bool = False) -> bytes:
    text = json.dumps(payload.encode(loaded, name, half), allow_nan=False)
    return payload.ELEMENT + text.replace("<", "\\u003c").encode() + payload.ELEMENT_END


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert found.vocab == expected.vocab
    for name in ("opt", "train_losses", "val_loss", "i", "epoch", "program", "era"):
        assert repr(getattr(found, name)) == repr(getattr(expected, name))  # NaN equals nothing, its words do
    assert repr(sorted(found.val_losses.items())) == repr(sorted(expected.val_losses.items()))
    assert dataclasses.replace(found.network, weights={}) == dataclasses.replace(expected.network, weights={})
    assert list(found.network.weights) == list(expected.network.weights)
    for name, weight in expected.network.weights.items():
        assert found.network.weights[name].dtype == weight.dtype
        np.testing.assert_array_equal(found.network.weights[name], weight)


def in_double(loaded: Checkpoint) -> Checkpoint:
    """As a .t7 file has it that `convert` has written."""
    weights = {name: w.astype(np.float64) for name, w in loaded.network.weights.items()}
    network = dataclasses.replace(loaded.network, weights=weights, tensor_type="torch.DoubleTensor")
    return dataclasses.replace(loaded, network=network)


@pytest.mark.parametrize("path", EVERY_KIND, ids=lambda p: p.parent.name)
def test_a_checkpoint_comes_back(tmp_path, path):
    loaded = checkpoint.load(path)
    page = tmp_path / "model.html"
    page.write_bytes(b"<!DOCTYPE html>\n" + element(loaded) + b"</body>")
    assert_same(checkpoint.load(page), loaded)
    result = CliRunner().invoke(cli, ["convert", str(page), str(tmp_path / "again.t7")], catch_exceptions=False)
    assert result.exit_code == 0
    assert_same(checkpoint.load(tmp_path / "again.t7"), in_double(loaded))


def test_a_page_is_sampled_from(tmp_path):
    (tmp_path / "model.html").write_bytes(element(checkpoint.load(LSTM)))
    assert sampled(tmp_path / "model.html", ["-length", "60"]) == sampled(LSTM, ["-length", "60"])


def test_reading_a_page_takes_twice_its_size(tmp_path):
    """Its own bytes, and the weights: these are never there in two forms."""
    random, loaded = np.random.default_rng(1), checkpoint.load(LSTM)
    vocab_size = len(loaded.vocab)
    weights = {name: random.normal(0, 0.2, s) for name, s in parameter_shapes("lstm", vocab_size, 400, 1).items()}
    network = dataclasses.replace(loaded.network, rnn_size=400, num_layers=1, weights=weights)
    page = tmp_path / "model.html"
    page.write_bytes(element(dataclasses.replace(loaded, network=network)))
    tracemalloc.start()
    found = checkpoint.load(page)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.network.parameters > 600_000
    assert most < 2 * page.stat().st_size + 5 * (1 << 20)  # beside them some pieces of a megabyte


def test_losses_that_are_no_numbers():
    loaded = checkpoint.load(LSTM)
    failed = dataclasses.replace(
        loaded,
        train_losses=array("d", [2.5, math.nan, math.inf]),
        val_losses={3: math.nan},
        val_loss=math.nan,
        epoch=math.inf,
    )
    assert_same(payload.decode(json.loads(json.dumps(payload.encode(failed), allow_nan=False))), failed)


def test_the_smallest_numbers_that_hold_the_weights():
    loaded = checkpoint.load(LSTM)
    rounded = {name: w.astype(np.float32).astype(np.float64) for name, w in loaded.network.weights.items()}
    loaded_rounded = dataclasses.replace(loaded, network=dataclasses.replace(loaded.network, weights=rounded))
    assert payload.encode(loaded)["dtype"] == "float64"
    assert payload.encode(loaded_rounded)["dtype"] == "float32"
    assert_same(payload.decode(payload.encode(loaded_rounded)), loaded_rounded)
    half = payload.encode(loaded, half=True)
    assert half["dtype"] == "float16"
    for name, weight in payload.decode(half).network.weights.items():
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, loaded.network.weights[name].astype(np.float16))


def test_it_is_no_larger_than_the_weights_in_base64():
    """Also with the losses of a run of char-rnn's default length, which here are of another model."""
    random = np.random.default_rng(1)
    loaded = checkpoint.load(LSTM)
    weights = {name: random.normal(0, 0.2, w.shape) for name, w in loaded.network.weights.items()}
    of_this_size = dataclasses.replace(loaded, network=dataclasses.replace(loaded.network, weights=weights))
    of_this_size.train_losses = array("d", random.normal(1.5, 0.1, loaded.network.parameters // 12))
    assert len(json.dumps(payload.encode(of_this_size))) < 4 / 3 * 8 * loaded.network.parameters


def test_one_of_several_models(tmp_path):
    page = tmp_path / "gallery.html"
    page.write_bytes(element(checkpoint.load(LSTM), "lm <a>") + b"\n" + element(checkpoint.load(GRU), "lm_b"))
    assert_same(checkpoint.load(f"{page}#lm_b"), checkpoint.load(GRU))
    assert_same(checkpoint.load(f"{page}#lm <a>"), checkpoint.load(LSTM))
    with pytest.raises(UserError, match="a page of 2 models: name one that it has after a #"):
        checkpoint.load(f"{page}#lm_c")
    assert "(lm <a>, lm_b)" in sentence(run("sample", str(page)))
    page.write_bytes(element(checkpoint.load(LSTM), "lm_a"))
    assert_same(checkpoint.load(page), checkpoint.load(f"{page}#lm_a"))
    with pytest.raises(UserError, match=r"a page of one model: .* \(lm_a\)"):
        checkpoint.load(f"{page}#lm_b")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"<p>Hello</p>", "there is no model in it"),
        (b"<!DOCTYPE html>\n<p>Hello</p></body></html>\n", "there is no model in it"),
        (b"<!DOCTYPE html>\n<p>Hel", "it is a page that ends too early; use another copy of the file"),
        (payload.ELEMENT + b'{"name": ', "ends within a model"),
        (payload.ELEMENT + b'{"name": ' + payload.ELEMENT_END, "not JSON"),
        (payload.ELEMENT + b"[" * 100_000 + payload.ELEMENT_END, "not JSON"),
        (payload.ELEMENT + b"[]" + payload.ELEMENT_END, "not as pycharrnn writes it"),
        (payload.ELEMENT + b"{}" + payload.ELEMENT_END, "not as pycharrnn writes it"),
        (payload.ELEMENT + b'{"a": 1, "a": 2}' + payload.ELEMENT_END, "says something twice"),
        (payload.ELEMENT + b'{"a": {"weights": "%s"}}' % (b"A" * 70_000) + payload.ELEMENT_END, "long texts where"),
        (
            payload.ELEMENT + b'{"name": "!0", "weights": "%s"}' % (b"A" * 70_000) + payload.ELEMENT_END,
            "not as pycharrnn",
        ),
        (payload.ELEMENT * 2 + b"{}" + payload.ELEMENT_END, "not JSON"),
    ],
)
def test_pages_that_hold_no_model(tmp_path, content, words):
    (tmp_path / "model.html").write_bytes(content)
    with pytest.raises(UserError, match=words):
        checkpoint.load(tmp_path / "model.html")


def packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content)).decode()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"weights": None}, "not as pycharrnn writes it"),
        ({"weights": "AAAA"}, "not as pycharrnn writes it|weights"),
        ({"weights": "~~~~"}, "not as pycharrnn writes it"),
        ({"weights": packed(bytes(8 * 9241))[:-40]}, "not as pycharrnn writes it|ends too early"),
        ({"dtype": "int64"}, "not float16, float32 or float64"),
        ({"dtype": ["float64"]}, "not as pycharrnn writes it"),
        ({"rnn_size": 1 << 30}, "its model has"),
        ({"rnn_size": -1}, "of sizes"),
        ({"model": "cnn"}, "its model is 'cnn'"),
        ({"vocab": [[1]]}, "its vocabulary has 1 characters"),
        ({"vocab": {"a": 1}}, "not as pycharrnn writes it|metadata|vocabulary"),
        ({"run": "{}"}, "metadata are not pycharrnn's"),
        ({"run": "[]"}, "not as pycharrnn writes it"),
        ({"run": 7}, "not as pycharrnn writes it"),
    ],
)
def test_objects_that_are_no_model(change, words):
    value = {**payload.encode(checkpoint.load(LSTM)), **change}
    with pytest.raises(CheckpointError, match=words):
        payload.decode(value)


@pytest.mark.parametrize(
    "field, length, words",
    [
        ("weights", 0, "it has 0 weights, but its model has 9241 parameters"),
        ("weights", 7, "it has 0 weights"),
        ("weights", 8 * 9242, "it has more weights than its model, which has 9241 parameters"),
        ("weights", 1 << 24, "it has more weights"),
        ("train_losses", 7, "not as pycharrnn writes it"),
        ("train_losses", 1 << 26, "unpacks to more than"),
    ],
)
def test_a_field_of_another_length(field, length, words):
    value = {**payload.encode(checkpoint.load(LSTM)), field: packed(bytes(length))}
    with pytest.raises(CheckpointError, match=words):
        payload.decode(value)


def test_names_of_the_models_in_a_page():
    """What has no name in it can't be asked for by one."""
    models = ({"name": "a"}, ["name"], {"name": 5}, {"name": ""}, {}, {"name": "b"})
    page = b"".join(payload.ELEMENT + json.dumps(model).encode() + payload.ELEMENT_END for model in models)
    assert payload.names_in_page(page) == ["a", "b"]
