"""What `inspect` says of a checkpoint, and of other .t7 files."""

from __future__ import annotations

import dataclasses
import json
import math
from array import array

import numpy as np
import pytest
import torchrnn_tables
from conftest import GOLDEN, run

from compat import LuaFunction, Storage, Table, Tensor, TorchObject, charrnn, load_t7, run_state, save_t7
from compat.lua_random import LuaRandom
from pycharrnn.checkpoints import checkpoint, inspection

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"


def saved(tmp_path, **changes) -> str:
    path = tmp_path / "c.t7"
    charrnn.save(path, dataclasses.replace(checkpoint.load(LSTM), **changes))
    return str(path)


def test_the_facts_of_a_recorded_checkpoint():
    facts = inspection.look(LSTM).facts
    series = {name: facts.pop(name) for name in ("vocab", "validation", "opt", "train_losses", "val_losses")}
    assert facts == {
        "program": "char-rnn",
        "era": "since 20 September 2015",
        "model": "lstm",
        "num_layers": 2,
        "rnn_size": 16,
        "vocab_size": 73,
        "parameters": 9241,
        "dropout": 0,
        "tensor_type": "torch.DoubleTensor",
        "trained_on": "data/corpus",
        "iteration": 663,
        "epoch": 3,
        "run_state": "none",
        "encoding": "binary",
        "long_size": 8,
    }
    assert len(series["vocab"]) == 73 and series["vocab"][:3] == ["\t", "\n", " "]
    assert list(series["validation"]) == ["first", "best", "last"]
    assert series["opt"]["rnn_size"] == 16
    assert (len(series["train_losses"]), len(series["val_losses"])) == (663, 7)


def test_a_share_that_is_a_large_whole_number(tmp_path):
    path = saved(tmp_path, opt={"copied_longest": 5, "copied_share": 1e307})
    assert "5 characters of its sample; the training split has inf %" in run("inspect", path).stdout.decode()


def test_a_byte_that_is_not_utf8_has_one_backslash_in_the_table():
    table = inspection.as_table({"vocab": ["\n", "\\", "\u00e9", b"\xe2".decode("utf-8", "backslashreplace")]})
    assert table == "vocab  \\n \\ \u00e9 \\xe2"


def test_the_curve(tmp_path):
    losses = {10: 2.5, 5: math.nan, 20: 1.5, 30: 1.75}
    facts = inspection.look(saved(tmp_path, val_losses=losses, i=40, epoch=4.0)).facts
    assert facts["validation"]["best"] == {"loss": 1.5, "iteration": 20, "epoch": 2.0}
    assert facts["validation"]["last"] == {"loss": 1.75, "iteration": 30, "epoch": 3.0}
    assert facts["validation"]["first"]["iteration"] == 5
    table = inspection.as_table(inspection.look(saved(tmp_path, val_losses={10: 2.5}, i=0, epoch=0.0)).facts)
    assert "best val loss 2.5000 at iteration 10" in [" ".join(line.split()) for line in table.splitlines()]
    assert inspection.look(saved(tmp_path, val_losses={}, val_loss=None)).facts["validation"] == {}


def test_the_only_loss_that_the_first_version_recorded():
    (path,) = (GOLDEN / "legacy_2015-05-21_lstm").glob("lm_*_epoch1.00_*.t7")
    facts = inspection.look(path).facts
    (loss,) = facts["val_losses"]
    assert facts["validation"] == {"last": loss}
    assert (loss["iteration"], loss["epoch"]) == (147, 1.0) and abs(loss["loss"] - 4.7298 * math.log(2)) < 1e-4


def test_an_epoch_that_torch_rnn_does_not_record_is_left_out(tmp_path):
    path = tmp_path / "checkpoint_2.t7"
    save_t7(path, torchrnn_tables.make("LSTM", "var"))
    facts = inspection.look(path).facts
    table = inspection.as_table(facts)
    assert "\niteration  " in table and "\nepoch" not in table
    assert facts["model"] == "lstm"


def test_the_series_are_for_programs(tmp_path):
    """All losses that a checkpoint holds, with their iterations; what is no number is null, as JSON has it."""
    losses = {"train_losses": array("d", [3.0, math.nan, 2.0, 1e300]), "val_losses": {4: 2.25, 2: math.inf}}
    path = saved(tmp_path, **losses, i=4, epoch=2.0)
    result = run("inspect", path, "-json", "1")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert found["train_losses"] == [3.0, None, 2.0, 1e300]
    assert found["val_losses"] == [
        {"loss": None, "iteration": 2, "epoch": 1.0},
        {"loss": 2.25, "iteration": 4, "epoch": 2.0},
    ]
    assert not [line for line in run("inspect", path).stdout.decode().splitlines() if "losses" in line]
    checkpoint.convert(
        dataclasses.replace(checkpoint.load(path), train_losses=array("d"), val_losses={}, val_loss=None),
        f"{tmp_path}/a.t7",
    )
    found = inspection.look(f"{tmp_path}/a.t7").facts
    assert not found["train_losses"] and not found["val_losses"]


def test_the_run_state(tmp_path):
    loaded = checkpoint.load(LSTM)
    words, position = LuaRandom(1).get_state()
    parameters = sum(w.size for w in loaded.network.weights.values())
    state = run_state.RunState(
        np.zeros(parameters), 0.002, [np.zeros((2, 16))] * 4, {1: 0, 2: 0, 3: 0}, words, position, 0.5
    )
    path = saved(tmp_path, state=state, text_fingerprint="9 bytes")
    assert inspection.look(path).facts["run_state"] == "whole"
    assert inspection.look(path).facts["trained_on"] == "data/corpus, 9 bytes"
    path = saved(tmp_path, state=dataclasses.replace(state, versions={"pycharrnn": "1.0", "torch": "2"}))
    assert inspection.look(path).facts["run_state"] == "pycharrnn 1.0, torch 2"
    assert inspection.look(path).facts["program"] == "pycharrnn 1.0" and "era" not in inspection.look(path).facts
    assert inspection.look(saved(tmp_path, opt={})).facts["run_state"] == "none"
    assert "trained_on" not in inspection.look(saved(tmp_path, opt={})).facts


def test_for_json():
    facts = {"a": [1, math.nan, {"b": -math.inf}], "c": 0.5, "d": "x", "e": True}
    assert inspection.for_json(facts) == {"a": [1, None, {"b": None}], "c": 0.5, "d": "x", "e": True}


def tree(tmp_path, value) -> list[str]:
    save_t7(tmp_path / "v.t7", value)
    found = inspection.look(tmp_path / "v.t7")
    assert found.facts is None and "is not a checkpoint of a character model" in found.fault
    return found.tree.splitlines()[1:]


def test_the_tree_of_each_kind_of_value(tmp_path):
    tensor = Tensor.of_array(np.zeros((2, 3)))
    value = Table(
        {
            b"n": None,
            b"x": 2.5,
            b"t": True,
            b"text": b"a\xff\n",
            b"tensor": tensor,
            b"no memory": Tensor(b"torch.FloatTensor", None),
            b"storage": Storage(b"torch.ByteStorage", np.zeros(5, "u1")),
            b"function": LuaFunction(b"abc"),
            b"object": TorchObject(b"nn.\x1b", Table({1: Table()})),
            tensor: 1,
        }
    )
    assert tree(tmp_path, value) == [
        "table of 10",
        "  'n': None",
        "  'x': 2.5",
        "  't': True",
        "  'text': 'a\\xff\\n'",
        "  'tensor': torch.DoubleTensor 2 x 3",
        "  'no memory': torch.FloatTensor empty",
        "  'storage': torch.ByteStorage of 5",
        "  'function': function, 3 bytes of bytecode",
        "  'object': nn.\\x1b",
        "    1: table of 0",
        "  <Tensor>: 1",
    ]


def test_long_and_deep_parts_of_the_tree_are_shortened(tmp_path):
    assert tree(tmp_path, list(range(12)))[-1] == "  12: 11"
    assert tree(tmp_path, list(range(15)))[-2:] == ["  12: 11", "  ... 3 more"]
    deep = Table()
    for _ in range(8):
        deep = Table({1: deep})
    assert len(tree(tmp_path, deep)) == 7
    wide = [[[0] * 12 for _ in range(12)] for _ in range(12)]
    assert (len(tree(tmp_path, wide)), tree(tmp_path, wide)[-1]) == (201, "...")
    (line,) = tree(tmp_path, b"y" * 100)
    assert line == "'" + "y" * 56 + "..."
    assert tree(tmp_path, b"y" * 58) == ["'" + "y" * 58 + "'"]


def test_options_come_before_a_network(tmp_path):
    """As in a fork's checkpoint, whose graph fills all lines, and whose table of options has more than 12 entries."""
    graph = [[[0] * 12 for _ in range(12)] for _ in range(12)]
    options = {f"option {k}".encode(): k for k in range(25)}
    lines = tree(tmp_path, {b"protos": {b"rnn1": graph}, b"vocab": {b"a": 1}, b"opt": options, b"i": 1000})
    assert lines[:2] == ["table of 4", "  'vocab': table of 1"]
    assert lines[3:5] == ["  'opt': table of 25", "    'option 0': 0"]
    assert lines[28:31] == ["    'option 24': 24", "  'i': 1000", "  'protos': table of 1"]
    assert lines[-1] == "..."


def test_what_stands_in_the_tree_already_is_not_repeated(tmp_path):
    shared, empty = Table({1: 2}), Table()
    thing = TorchObject(b"nn.Thing", shared)
    lines = tree(tmp_path, [shared, shared, thing, thing, empty, empty])
    assert lines == [
        "table of 6",
        "  1: table of 1",
        "    1: 2",
        "  2: (see above)",
        "  3: nn.Thing",
        "    1: 2",
        "  4: (see above)",
        "  5: table of 0",
        "  6: table of 0",
    ]


def test_the_first_line_names_the_dialect(tmp_path):
    for encoding, longs, words in (("ascii", 8, "ASCII"), ("binary", 4, "binary, longs of 4 bytes")):
        save_t7(tmp_path / "v.t7", np.zeros(3), encoding, longs)
        assert inspection.look(tmp_path / "v.t7").tree.splitlines()[0] == f"{tmp_path / 'v.t7'}: .t7, {words}"
    facts = inspection.look(GOLDEN / "variants" / "ascii.t7").facts
    assert (facts["encoding"], facts["long_size"]) == ("ascii", 8)
    assert load_t7(LSTM)[b"i"] == inspection.look(LSTM).facts["iteration"]
