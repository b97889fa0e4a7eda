"""Every digit of every log line of the recorded runs, and the whole object graph of their checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import GOLDEN, TRAIN_RUNS, spec, train_as_recorded
from object_graph import assert_same_graph, close
from runs import assert_same_digits, log_lines, masked, steps

import compat
from compat import charrnn
from pycharrnn.checkpoints import checkpoint

# version of char-rnn -> the flags that repeat its runs, as in docs/old-checkpoints.md; none repeat those of May 2015
FLAGS = {
    "2015-06-03": ["-forget_bias", "0", "-val_frac", "0.049995"],
    "2015-06-14": ["-forget_bias", "0"],
    "2015-07-12": ["-forget_bias", "0"],
    "2015-07-31": ["-forget_bias", "0"],
}
OLDER_RUNS = [(p.name, flags) for day, flags in FLAGS.items() for p in sorted(GOLDEN.glob(f"legacy_{day}_*"))]


@pytest.mark.parametrize("name", TRAIN_RUNS)
def test_log_lines(trained, name):
    recorded = (GOLDEN / name / "train.log").read_text(encoding="utf-8")
    assert_same_digits(log_lines(trained(name)[0]), log_lines(recorded))


@pytest.mark.parametrize("name", TRAIN_RUNS)
def test_checkpoint_names(trained, name):
    folder = trained(name)[1]
    assert sorted(p.name for p in folder.glob("lm_*_epoch*")) == sorted(spec(name)["checkpoints_written"])


@pytest.mark.parametrize("name", [name for name in TRAIN_RUNS if spec(name)["checkpoints_written"]])
def test_written_checkpoint_equals_the_originals(trained, name):
    folder = trained(name)[1]
    for theirs in GOLDEN.joinpath(name).glob("*.t7"):
        ours = compat.load_t7(folder / theirs.name)
        assert ours.pop(b"pycharrnn")[b"format"] == 1  # the one thing that the original lacks
        compared = assert_same_graph(ours, compat.load_t7(theirs), close)
        assert compared > 400


@pytest.mark.parametrize(("name", "flags"), OLDER_RUNS, ids=[name for name, _ in OLDER_RUNS])
def test_flags_repeat_the_runs_of_an_older_version(name, flags, tmp_path):
    log, folder = train_as_recorded(name, tmp_path, *flags)
    recorded = (GOLDEN / name / "train.log").read_text(encoding="utf-8")
    assert steps(masked(log)) == steps(masked(recorded))  # the lines above had other words then
    assert sorted(p.name for p in folder.glob("lm_*_epoch*")) == sorted(spec(name)["checkpoints_written"])


@pytest.mark.parametrize(
    ("started_from", "more", "sets"),
    [
        ("lstm2", [], True),
        ("lstm2", ["-forget_bias", "0"], False),
        ("legacy_2015-07-31_lstm", [], False),
        ("legacy_2015-06-03_lstm", [], False),
        ("legacy_2015-06-03_lstm", ["-forget_bias", "1"], True),
    ],
)
@pytest.mark.parametrize("converted", [False, True])
def test_init_from_sets_forget_gate_biases_that_the_file_names(started_from, more, sets, converted, tmp_path):
    start = max(GOLDEN.joinpath(started_from).glob("*.t7"))
    if converted:
        charrnn.save(tmp_path / "converted.t7", checkpoint.load(start))
        start = tmp_path / "converted.t7"
    flags = ["-init_from", str(start), "-learning_rate", "1e-12", "-max_epochs", "0.01", *more]
    log, folder = train_as_recorded("lstm2", tmp_path, *flags)
    before, after = (checkpoint.load(path).network.weights for path in (start, folder / "lm_lstm2_latest.t7"))
    size = len(before["i2h_1.bias"]) // 4
    forget = slice(size, 2 * size)
    expected = np.ones(size) if sets else before["i2h_1.bias"][forget]
    np.testing.assert_allclose(after["i2h_1.bias"][forget], expected, atol=1e-9)
    assert ("setting forget gate biases to 1 in LSTM layer 1" in log) == sets


@pytest.mark.parametrize(
    ("began", "state", "ending"),
    [
        ("-init_from", "1", "t7"),
        ("-init_from", "0", "t7"),
        ("-init_from", "1", "safetensors"),
        ("-resume", "1", "t7"),
    ],
)
def test_a_run_begun_from_a_file_without_names_writes_files_without_names(began, state, ending, tmp_path):
    """As train.lua, which saves the graph that it has loaded: a second -init_from leaves the biases alone again."""
    name = "legacy_2015-07-31_lstm"
    begun = next(GOLDEN.glob(f"{name}/*.t7"))
    first, second = tmp_path / "first", tmp_path / "second"
    few = ["-savefile", "run", "-checkpoint_format", ending, "-learning_rate", "1e-12"]
    epochs = str(checkpoint.load(begun).epoch + 0.01 if began == "-resume" else 0.01)
    train_as_recorded(name, first, began, str(begun), *few, "-save_state", state, "-max_epochs", epochs)
    written = next(first.rglob(f"lm_run_epoch*.{ending}"))
    found = checkpoint.load(written)
    assert found.program.split()[0] == "pycharrnn"
    assert found.era == "gates without names, as before 20 September 2015"
    log, _ = train_as_recorded(name, second, "-init_from", str(written), *few, "-max_epochs", "0.01")
    assert "setting forget gate biases" not in log
    again = checkpoint.load(next(second.rglob(f"lm_run_epoch*.{ending}")))
    for name, weights in checkpoint.load(begun).network.weights.items():
        np.testing.assert_allclose(again.network.weights[name], weights, atol=1e-9)


def test_the_runs_cover_every_model():
    assert (len(TRAIN_RUNS), len(OLDER_RUNS)) == (11, 10)
    assert {"lstm2", "gru2", "rnn3", "lstm3_dropout", "gru1_dropout", "rnn2_dropout"} <= set(TRAIN_RUNS)
