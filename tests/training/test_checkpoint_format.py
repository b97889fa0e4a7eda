"""Checkpoints of a run as .safetensors files, which a model of many characters needs."""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import working_in
from runs import SMALL, folder_with_text, result_of, train

from compat.lua_random import STATE_WORDS
from pycharrnn.checkpoints import checkpoint, paths
from pycharrnn.cli.commands import cli
from pycharrnn.training.machine import Machine
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settle import settle

UTF8 = [*SMALL, "-encoding", "utf8", "-eval_val_every", "10"]


def text_of(characters: int) -> bytes:
    draw = random.Random(1)
    alphabet = [chr(0x4E00 + k) for k in range(characters)]
    return "".join(alphabet + draw.choices(alphabet, k=2560 - characters)).encode()


def files(folder) -> list[str]:
    return sorted(os.listdir(folder / "cv"))


def converted(folder, name: str, *args: str):
    with working_in(folder):
        result = CliRunner().invoke(cli, ["convert", f"cv/{name}", "out.t7", "-overwrite", "1", *args])
    assert result.exit_code == 0, result.output
    return folder / "out.t7"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of 20 iterations with the default format."""
    folder = folder_with_text(tmp_path_factory.mktemp("whole"), text_of(1001))
    train(folder, "-max_epochs", "0.334", "-dropout", "0.2", small=UTF8)
    return folder


def test_more_than_1000_code_points_are_saved_as_safetensors(whole):
    names = files(whole)
    assert {os.path.splitext(name)[1] for name in names} == {".safetensors"}
    assert {"lm_lstm_best.safetensors", "lm_lstm_latest.safetensors"} < set(names)


def test_a_checkpoint_is_little_more_than_weights_and_state(whole):
    path = whole / "cv" / "lm_lstm_latest.safetensors"
    found = checkpoint.load(path)
    weights = sum(w.nbytes for w in found.network.weights.values())
    state = found.state.mean_square.nbytes + sum(h.nbytes for h in found.state.hidden_state) + 8 * STATE_WORDS
    assert path.stat().st_size <= 1.2 * (weights + state)


def test_the_resumed_run_is_the_one_that_never_stopped(tmp_path, whole):
    """In both formats, and the .t7 files that Lua gets of it are the same bytes."""
    one, other = (folder_with_text(tmp_path / name, text_of(1001)) for name in ("one", "other"))
    for folder, *args in ((one, "-dropout", "0.2"), (other, "-dropout", "0.2", "-checkpoint_format", "t7")):
        train(folder, "-max_epochs", "0.167", *args, small=UTF8)
        train(folder, "-resume", "cv", "-max_epochs", "0.334", small=[])
    assert {os.path.splitext(name)[1] for name in files(other)} == {".t7"}
    assert files(one) == files(whole)
    (name,) = [name for name in files(one) if "epoch0.33" in name]
    assert (one / "cv" / name).read_bytes() == (whole / "cv" / name).read_bytes()
    as_t7 = name.replace(".safetensors", ".t7")
    assert converted(one, name).read_bytes() == converted(other, as_t7).read_bytes()
    state = checkpoint.load(one / "out.t7").state
    np.testing.assert_array_equal(state.mean_square, checkpoint.load(one / "cv" / name).state.mean_square)


def test_the_round_trip_through_t7_changes_no_byte(tmp_path, whole):
    first = converted(whole, "lm_lstm_latest.safetensors").read_bytes()
    (tmp_path / "cv").mkdir()
    for source, target in ((whole / "out.t7", "a.safetensors"), ("cv/a.safetensors", "b.t7")):
        with working_in(tmp_path):
            assert CliRunner().invoke(cli, ["convert", str(source), f"cv/{target}"]).exit_code == 0
    assert (tmp_path / "cv" / "b.t7").read_bytes() == first


def test_a_folder_of_both_names_is_one_checkpoint_each(whole):
    notes: list[str] = []
    every = [os.path.basename(path) for path, _ in paths.load_every([str(whole / "cv")], notes.append)]
    assert every == sorted((name for name in files(whole) if "epoch" in name), key=lambda name: name.split("_")[-1])
    best, loaded = paths.load_best(str(whole / "cv"), notes.append)
    assert os.path.basename(best) == every[0] and loaded.state is not None


def test_keep(tmp_path):
    folder = folder_with_text(tmp_path)
    args = ["-checkpoint_format", "safetensors", "-eval_val_every", "5", "-keep", "1", "-max_epochs", "0.5"]
    train(folder, *args)
    assert 3 <= len(files(folder)) <= 4  # the best, the newest, and their second names
    assert not [name for name in files(folder) if name.endswith(".t7")]


def test_an_unfinished_run_is_not_overwritten(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-checkpoint_format", "safetensors", "-max_epochs", "0.2")
    latest = folder / "cv" / "lm_lstm_latest.safetensors"
    unfinished = checkpoint.load(latest)
    unfinished.opt["max_epochs"] = 10
    checkpoint.convert(unfinished, latest)
    error, _, _ = result_of(folder, "-checkpoint_format", "safetensors", "-max_epochs", "0.2")
    assert "cv/lm_lstm_latest.safetensors is an unfinished run" in str(error)


@pytest.mark.parametrize(
    "characters, args, ending",
    [(1000, [], ".t7"), (1001, ["-checkpoint_format", "t7"], ".t7"), (60, ["-checkpoint_format", "safetensors"], "")],
)
def test_the_choice(tmp_path, characters, args, ending):
    folder = folder_with_text(tmp_path, text_of(characters))
    train(folder, "-max_epochs", "0.05", *args, small=UTF8)
    assert {os.path.splitext(name)[1] for name in files(folder)} == {ending or ".safetensors"}


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setattr("pycharrnn.checkpoints.safetensors_file.is_installed", lambda: False)
    folder = folder_with_text(tmp_path, text_of(1001))
    error, _, err = result_of(folder, "-checkpoint_format", "safetensors", "-max_epochs", "0.05", small=UTF8)
    assert "-checkpoint_format safetensors needs more packages: pip install" in str(error)
    assert not (folder / "cv").exists()
    error, _, err = result_of(folder, "-max_epochs", "0.05", small=UTF8)
    assert error is None
    assert "each .t7 checkpoint holds 8 MB for its vocabulary" in err and "pip install" in err
    assert {os.path.splitext(name)[1] for name in files(folder)} == {".t7"}


def test_a_run_of_bytes_stays_as_it_was():
    assert settle(TrainOptions(), (), None, None, Machine()).files.checkpoint_format == "t7"
