"""inspect, convert, and checkpoints as a library."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import GOLDEN, run, sampled, sentence
from kinds import loaded
from object_graph import assert_same_graph, close

import pycharrnn
from compat import CheckpointError, charrnn, load_t7
from pycharrnn.checkpoints import checkpoint, derived_checkpoints, formats, inspection
from pycharrnn.cli.commands import cli

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
EVERY_KIND = [
    LSTM,
    GOLDEN / "gru1_dropout" / "lm_gru1d_epoch1.00_3.1027.t7",
    GOLDEN / "rnn3" / "lm_rnn3_epoch1.00_3.0075.t7",
    GOLDEN / "legacy_2015-05-21_lstm_dropout" / "lm_old_epoch1.00_4.7287.t7",
    GOLDEN / "legacy_2015-06-14_lstm" / "lm_old_epoch1.00_3.2631.t7",
    GOLDEN / "variants" / "cuda.t7",
    GOLDEN / "variants" / "ascii.t7",
]


def convert(*args) -> str:
    result = CliRunner().invoke(cli, ["convert", *map(str, args)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("path", EVERY_KIND, ids=lambda p: p.parent.name)
@pytest.mark.parametrize("ending", [".t7", ".safetensors"])
def test_a_converted_checkpoint_is_the_same_model(tmp_path, path, ending):
    target = tmp_path / f"c{ending}"
    assert convert(path, target) == f"saved {target}\n"
    before, after = checkpoint.load(path), checkpoint.load(target)
    assert (after.vocab, after.opt, after.i, after.epoch) == (before.vocab, before.opt, before.i, before.epoch)
    assert (after.train_losses, after.val_losses) == (before.train_losses, before.val_losses)
    assert after.network.dropout == before.network.dropout
    for name, weight in before.network.weights.items():
        np.testing.assert_array_equal(after.network.weights[name], weight)
    assert sampled(target, ["-length", "60"]) == sampled(path, ["-length", "60"])


def test_out_defaults_to_the_originals_name(tmp_path):
    source = tmp_path / "gpu.t7"
    source.write_bytes((GOLDEN / "variants" / "cuda.t7").read_bytes())
    assert convert(source) == f"saved {source}_cpu.t7\n"
    table = load_t7(f"{source}_cpu.t7")
    assert table[b"protos"][b"rnn"][b"modules"][3][b"weight"].typename == b"torch.DoubleTensor"


def test_float_and_ascii(tmp_path):
    convert(GOLDEN / "variants" / "float.t7", tmp_path / "c.t7", "-type", "float32", "-ascii", "1")
    assert (tmp_path / "c.t7").read_bytes()[:2] == b"3\n"
    ours, theirs = load_t7(tmp_path / "c.t7"), load_t7(GOLDEN / "variants" / "float.t7")

    def same_but_for_gradients(path, a, b):
        return ".gradWeight" in path or ".gradBias" in path or close(path, a, b)

    assert assert_same_graph(ours, theirs, same_but_for_gradients) > 900


def test_longs_of_4_bytes(tmp_path):
    convert(LSTM, tmp_path / "c.t7", "-longs", "4")
    assert json.loads(inspect(tmp_path / "c.t7", "-json", "1"))["long_size"] == 4
    assert sampled(tmp_path / "c.t7", ["-length", "60"]) == sampled(LSTM, ["-length", "60"])


@pytest.mark.parametrize("path", EVERY_KIND[:3], ids=lambda p: p.parent.name)
def test_converting_rebuilds_the_originals_graph(tmp_path, path):
    convert(path, tmp_path / "c.t7")

    def same_but_for_gradients(where, a, b):
        return ".gradWeight" in where or ".gradBias" in where or close(where, a, b)

    assert assert_same_graph(load_t7(tmp_path / "c.t7"), load_t7(path), same_but_for_gradients) > 400


def test_characters_and_weights_keep_their_order(tmp_path):
    """Whatever order the characters are numbered in, and a .safetensors file has its tensors in."""
    loaded = checkpoint.load(EVERY_KIND[1])
    numbers = range(len(loaded.vocab), 0, -1)
    backwards = dataclasses.replace(loaded, vocab=dict(zip(sorted(loaded.vocab), numbers, strict=True)))
    checkpoint.convert(backwards, tmp_path / "c.safetensors")
    again = checkpoint.load(tmp_path / "c.safetensors")
    assert again.vocab == backwards.vocab
    assert list(again.network.weights) == list(loaded.network.weights)
    checkpoint.convert(again, tmp_path / "c.t7")
    found = checkpoint.load(tmp_path / "c.t7")
    assert found.vocab == backwards.vocab
    for name, weight in loaded.network.weights.items():
        np.testing.assert_array_equal(found.network.weights[name], weight)
    checkpoint.convert(backwards, tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["vocab"][0] == list(max(loaded.vocab))


def test_json(tmp_path):
    convert(LSTM, tmp_path / "c.json")
    content = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert (content["model"], content["rnn_size"], content["vocab"][0]) == ("lstm", 16, [9])
    weights = checkpoint.load(LSTM).network.weights
    assert content["weights"]["h2h_2.bias"] == weights["h2h_2.bias"].tolist()
    assert set(content["weights"]) == set(weights)


def test_safetensors_trains_on(tmp_path, corpus):
    convert(LSTM, tmp_path / "c.safetensors")
    args = ["-data_dir", str(corpus), "-gpuid", "-1", "-batch_size", "10", "-seq_length", "20", "-max_epochs", "0.02"]
    ours = run("train", *args, "-init_from", str(tmp_path / "c.safetensors"), cwd=tmp_path).stdout.decode()
    theirs = run("train", *args, "-init_from", str(LSTM), cwd=tmp_path).stdout.decode()
    losses = lambda text: [line.split(", time")[0] for line in text.splitlines() if "train_loss" in line]  # noqa: E731
    assert losses(ours) == losses(theirs) != []


def test_bad_conversions(tmp_path):
    other = sentence(run("convert", str(LSTM), str(tmp_path / "c.xml")))
    assert "use .t7, .safetensors, .json, .pt, .onnx, .c or .html" in other
    assert b"Missing argument '<in>... [<out>]': checkpoint of train, char-rnn" in run("convert").stderr
    for name, flag, value, of in (
        ("c.safetensors", "-type", "float32", ".t7 or .onnx"),
        ("c.json", "-ascii", "1", ".t7"),
        ("c.html", "-longs", "4", ".t7"),
    ):
        path = str(tmp_path / name)
        said = sentence(run("convert", str(LSTM), path, flag, value))
        assert f"{flag} {value} is for {of} files, not for {path}: leave it out, or" in said
    assert "float64 or float32" in sentence(run("convert", str(LSTM), str(tmp_path / "c.t7"), "-type", "half"))
    (tmp_path / "c.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0no header at all")
    assert "not a safetensors file" in sentence(run("sample", str(tmp_path / "c.safetensors")))
    import safetensors.numpy

    safetensors.numpy.save_file({"x": np.zeros(3)}, tmp_path / "c.safetensors")
    assert "it is a safetensors file of another program" in sentence(run("sample", str(tmp_path / "c.safetensors")))


def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch):
    import sys

    from pycharrnn.common.errors import UserError

    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(UserError, match='needs more packages: pip install "safetensors'):
        checkpoint.convert(checkpoint.load(LSTM), tmp_path / "c.safetensors")


# -- inspect ---------------------------------------------------------------------------------------------------------


def inspect(path, *args) -> str:
    result = CliRunner().invoke(cli, ["inspect", str(path), *args], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_inspect_prints_a_table():
    lines = dict(line.split("  ", 1) for line in inspect(LSTM).splitlines())
    facts = {key: value.strip() for key, value in lines.items()}
    assert (facts["program"], facts["model"], facts["num layers"], facts["vocab size"]) == (
        "char-rnn",
        "lstm",
        "2",
        "73",
    )
    assert facts["parameters"] == "9241"
    assert facts["first val loss"] == "3.2062 at epoch 0.45"
    assert facts["best val loss"] == facts["last val loss"] == "2.8734 at epoch 3.00"
    assert facts["opt.learning_rate"] == "0.002"
    assert facts["run state"] == "none"


@pytest.mark.parametrize("path", EVERY_KIND, ids=lambda p: p.parent.name)
def test_inspect_as_json(path):
    facts = json.loads(inspect(path, "-json", "1"))
    loaded = checkpoint.load(path)
    assert facts["parameters"] == sum(w.size for w in loaded.network.weights.values())
    assert facts["encoding"] == ("ascii" if path.name == "ascii.t7" else "binary")
    assert facts["opt"] == loaded.opt


@pytest.mark.parametrize(
    ("name", "era"),
    [
        ("legacy_2015-05-21_lstm", "May 2015, first version"),
        ("legacy_2015-05-28_lstm", "May to June 2015"),
        ("legacy_2015-07-12_lstm", "June to July 2015"),
        ("legacy_2015-07-31_lstm", "August to September 2015"),
        ("legacy_2015-07-31_gru", "since the end of July 2015"),
        ("lstm2", "since 20 September 2015"),
        ("gru2", "since the end of July 2015"),
    ],
)
def test_eras_also_of_a_converted_file(tmp_path, name, era):
    source = next(GOLDEN.glob(f"{name}/lm*.t7"))
    convert(source, tmp_path / "once.safetensors")
    convert(tmp_path / "once.safetensors", tmp_path / "twice.t7")
    convert(source, tmp_path / "c.t7")
    for path in (source, tmp_path / "c.t7", tmp_path / "twice.t7"):
        facts = json.loads(inspect(path, "-json", "1"))
        assert facts["program"] == "char-rnn" and facts["era"].startswith(era)


def test_a_converted_file_of_torch_rnn_stays_one(tmp_path):
    source = loaded("torch-rnn lstm")
    charrnn.save(tmp_path / "c.t7", source)
    found = checkpoint.load(tmp_path / "c.t7")
    assert (source.program, source.era) == (found.program, found.era) == ("torch-rnn", "")


def test_other_weights_keep_a_graph_without_names():
    for path, era in [("legacy_2015-06-03_lstm", "gates without names, as before 20 September 2015"), ("lstm2", "")]:
        source = checkpoint.load(next(GOLDEN.glob(f"{path}/lm*.t7")))
        ours = derived_checkpoints.with_network(source, source.network)
        again = charrnn.from_table(charrnn.to_table(ours))
        assert again.program == ours.program and (ours.era, again.era) == (era, era)


def test_other_weights_keep_what_is_of_the_model():
    """Also by a field that is new; nothing of the training that the old weights had."""

    @dataclasses.dataclass
    class WithField(charrnn.Checkpoint):
        added: str = ""

    source = checkpoint.load(LSTM)
    opt = {**source.opt, "copied_longest": 20}
    known = {
        **vars(source),
        "opt": opt,
        "gradients": source.network.weights["decoder.bias"],
        "text_fingerprint": "7, x",
    }
    ours = derived_checkpoints.with_network(WithField(**known, added="x"), source.network)
    assert (ours.added, ours.text_fingerprint, ours.vocab, ours.opt) == ("x", "7, x", source.vocab, source.opt)
    new = charrnn.Checkpoint(source.network, source.vocab)
    for name in ("train_losses", "val_losses", "val_loss", "i", "epoch", "gradients", "state"):
        assert getattr(ours, name) == getattr(new, name)


def test_the_flags_of_the_lua_programs_are_accepted(tmp_path):
    shutil.copy(LSTM, tmp_path / "m.t7")
    plain = run("inspect", "m.t7", cwd=tmp_path)
    assert run("inspect", "m.t7", "-gpuid", "-1", cwd=tmp_path).stdout == plain.stdout
    assert run("convert", "m.t7", "-gpuid", "0", "-opencl", "1", cwd=tmp_path).stdout == b"saved m.t7_cpu.t7\n"


def test_a_file_without_its_origin_in_words_is_refused(tmp_path):
    table = charrnn.to_table(loaded("torch-rnn lstm"))
    table[b"pycharrnn"][b"origin"][b"program"] = 5
    with pytest.raises(CheckpointError, match="its program is not a short text"):
        charrnn.from_table(table)


def test_inspect_shows_the_tree_of_another_file(tmp_path):
    result = run("inspect", str(GOLDEN / "corpus" / "data.t7"))
    assert result.stdout.decode().splitlines()[1] == "torch.ByteTensor 46717"
    message = b"data.t7 is char-rnn's cache of a text, not a checkpoint: pycharrnn convert "
    assert result.returncode == 0 and message in result.stderr
    assert "it is a text; `pycharrnn train` makes a model of it" in sentence(
        run("inspect", str(GOLDEN / "corpus" / "input.txt"))
    )
    assert "does not exist" in sentence(run("inspect", "nothing.t7"))


# -- as a library ----------------------------------------------------------------------------------------------------


def test_load_and_save(tmp_path):
    model = pycharrnn.load(EVERY_KIND[1], dtype=torch.float64)
    assert (model.model, len(model.vocab), model.opt["rnn_size"]) == ("gru", 73, 20)
    for name in ("m.t7", "m.safetensors"):
        model.save(tmp_path / name)
        again = pycharrnn.load(tmp_path / name, dtype=torch.float64)
        assert torch.equal(again.module.flat, model.module.flat)
        assert again.vocab == model.vocab


def test_a_model_without_vocabulary_is_not_saved(tmp_path):
    model = pycharrnn.CharRNN("rnn", 3, 2, 1)
    with pytest.raises(ValueError, match="vocab"):
        model.save(tmp_path / "m.t7")
    model.vocab = {b"a": 1, b"b": 2, b"c": 3}
    model.save(tmp_path / "m.t7", dtype="float32")
    assert pycharrnn.load(tmp_path / "m.t7").vocab == model.vocab


@pytest.mark.parametrize("ending", [*formats.ENDINGS, ".html"])
def test_a_checkpoint_is_replaced_only_when_that_is_asked_for(tmp_path, ending):
    """As `convert cv/*.t7` would, where the shell finds two."""
    first, second = tmp_path / "a.t7", tmp_path / f"b{ending}"
    shutil.copy(LSTM, first)
    convert(EVERY_KIND[1], second)
    before = second.read_bytes()
    said = sentence(run("convert", str(first), str(second)))
    assert f"{second} exists: " in said and "-overwrite 1" in said
    assert second.read_bytes() == before
    convert(first, second, "-overwrite", "1")
    assert inspection.look(second).facts["model"] == inspection.look(first).facts["model"] == "lstm"


def test_a_gallery_is_a_target_with_checkpoints(tmp_path):
    page = tmp_path / "gallery.html"
    convert(LSTM, EVERY_KIND[1], page)
    assert f"{page} exists: " in sentence(run("convert", str(LSTM), str(page)))
    assert convert(LSTM, page, "-overwrite", "1") == f"saved {page}\n"


def test_an_ending_alone_is_no_name(tmp_path):
    for name in (".json", ".HTML"):
        said = sentence(run("convert", str(LSTM), name, cwd=tmp_path))
        assert f"{name} is an ending without a name: name a file, as in my{name}." in said
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_users_own_is_not_replaced(tmp_path):
    for target in (tmp_path / "vocab.t7", tmp_path / "poems.html"):
        target.write_bytes(b"<p>poems</p>")
        assert f"{target} exists: name another file" in sentence(run("convert", str(LSTM), str(target)))
        assert target.read_bytes() == b"<p>poems</p>"
        convert(LSTM, target, "-overwrite", "1")
        assert target.stat().st_size > 10_000
