"""A resumed run is the run that never stopped: its log to the last digit, its checkpoints to the last byte."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import shutil
import sys
from array import array
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import GOLDEN, with_slashes, working_in
from hypothesis import given, settings
from hypothesis import strategies as st
from pretended_device import pretended_gpu
from runs import SMALL, TEXT, copied, folder_with_text, named, result_of, steps, train

import compat
import pycharrnn
from compat import charrnn, nngraph, run_state
from compat.cells import CELLS, MODELS
from compat.graph_expressions import CheckpointError
from compat.lua_random import LuaRandom
from pycharrnn.checkpoints import checkpoint, checkpoint_facts, formats, inspection
from pycharrnn.cli.commands import cli
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.text.loader import TextLoader
from pycharrnn.text.token_text import TextChanged
from pycharrnn.training import initial_checkpoint, loop, new_model, session
from pycharrnn.training.machine import Process
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.trainer import Trainer

SILENT = lambda line: None  # noqa: E731
EVALS = ["-eval_val_every", "30", "-max_epochs", "1.7", "-learning_rate_decay_after", "1"]  # 102 iterations


def after(lines: list[str], path) -> list[str]:
    """What a log says once the iteration of a checkpoint is over: its own step line comes after its saving."""
    at = next(k for k, line in enumerate(lines) if line.endswith(path.name))
    rest = lines[at + 1 :]
    return rest[1:] if rest and rest[0].startswith(f"{checkpoint.load(path).i}/") else rest


@pytest.mark.parametrize(
    "args",
    [
        ["-model", "gru"],
        ["-model", "lstm", "-dropout", "0.5"],
        ["-model", "rnn", "-old_exp", "1", "-initial_mean", "1"],
        ["-model", "gru", "-dropout", "0.25", "-exact", "0"],
        ["-model", "rnn", "-dropout", "0.1", "-num_layers", "3", "-train_frac", "0.8", "-val_frac", "0.1"],
        ["-model", "gru", "-weight_drop", "0.3", "-exact", "0"],
        ["-model", "gru", "-embedding_rate", "3", "-exact", "0"],
        ["-model", "lstm", "-state_reset", "0.3"],
        ["-model", "lstm", "-exact", "0", "-anneal", "0.7", "-calibrate", "1"],
        ["-model", "lstm", "-print_every", "7", "-eval_val_every", "33", "-grad_clip", "0.01"],
    ],
    ids=" ".join,
)
def test_going_on_from_every_checkpoint(tmp_path, args):
    whole = folder_with_text(tmp_path / "whole")
    lines = train(whole, *EVALS, *args)
    checkpoints = named(whole)
    assert len(checkpoints) >= 3
    for k, start in enumerate(checkpoints[:-1]):
        part = copied(whole, tmp_path / f"part{k}", start)
        resumed = train(part, "-resume", f"cv/{start.name}", small=[])
        assert steps(resumed) == after(lines, start)
        for path in checkpoints[k + 1 :]:
            assert (part / "cv" / path.name).read_bytes() == path.read_bytes(), path.name
    assert any("decayed learning rate" in line for line in lines) != ("-anneal" in args)


def test_precision_may_change_on_the_way(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.5", "-dropout", "0.2")
    lines = train(folder, "-resume", "cv", "-exact", "0", "-max_epochs", "0.7", small=[])
    assert "overridden: -max_epochs 0.7 (was 0.5), -exact 0 (was 1)" in lines
    assert checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").state.mean_square.dtype == np.float32
    train(folder, "-resume", "cv", "-exact", "1", "-max_epochs", "0.9", small=[])
    assert checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").state.mean_square.dtype == np.float64


def test_a_run_that_resumes_again_and_again(tmp_path):
    whole = folder_with_text(tmp_path / "whole")
    args = ["-eval_val_every", "10", "-dropout", "0.3", "-max_epochs"]
    train(whole, *args, "1")
    pieces = folder_with_text(tmp_path / "pieces")
    train(pieces, *args, "0.334")  # 20 iterations
    for end in ("0.667", "1"):  # 40, 60
        train(pieces, "-resume", "cv", "-max_epochs", end, small=[])
    ours, theirs = named(pieces)[-1], named(whole)[-1]
    assert ours.name == theirs.name
    assert ours.read_bytes() == theirs.read_bytes()


def test_options_of_the_command_line_are_kept_and_said(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, *EVALS, "-print_every", "50")
    start = named(folder)[1]
    alike = copied(folder, tmp_path / "alike", start)
    other = copied(folder, tmp_path / "other", start)
    lines = train(alike, "-resume", f"cv/{start.name}", "-print_every", "1", "-seed", "123", small=[])
    assert f"resuming from cv/{start.name}, iteration 60, epoch 1.00" in lines
    assert "overridden: -print_every 1 (was 50)" in lines
    assert steps(lines)[0].startswith("61/102")
    lines = train(
        other, "-resume", f"cv/{start.name}", "-learning_rate", "0.5", "-savefile", "b", "-max_epochs", "1.5", small=[]
    )
    said = "-learning_rate 0.5 (was 0.002), -max_epochs 1.5 (was 1.7), -savefile b (was lstm)"
    assert f"overridden: {said}" in lines
    assert checkpoint.load(next((other / "cv").glob("lm_b_*"))).opt["learning_rate"] == 0.5


@pytest.mark.parametrize(
    "args, words",
    [
        (["-rnn_size", "7"], "-rnn_size 7 (was 6) can't change during a run"),
        (["-model", "gru"], "-model gru (was lstm) can't change"),
        (["-init_from", "x.t7"], "give one"),
        (
            ["-savefile", "other"],
            "cv has no complete checkpoint lm_other_*.t7 or lm_other_*.safetensors to",
        ),
        (["-resume", "cv/none.t7"], "does not exist"),
        (["-resume", "data"], "the folder data has no checkpoint"),
        (["-batch_size", "0"], "-batch_size must be at least 1"),
        (["-forget_bias", "0"], "-forget_bias 0 (was 1) can't change"),
        (["-initial_mean", "1"], "-initial_mean 1 (was 0) can't change"),
        (["-log_every_seconds", "5"], "adds rows to a log: add -log FILE.csv"),
        (["-anneal_to", "30:10"], "-anneal_to 30:10 is for -anneal: add -anneal 1"),
    ],
)
def test_what_is_refused(tmp_path, args, words):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    with pytest.raises(UserError) as error:
        train(folder, "-resume", "cv", *args, small=[])
    assert words in str(error.value)


def spoil(path: Path) -> None:
    """Make a weight of a checkpoint NaN."""
    table = compat.load_t7(path)
    weights = table[b"protos"][b"rnn"][b"modules"].as_list()
    next(m for m in weights if m.get(b"weight") is not None)[b"weight"].storage.data[0] = np.nan
    compat.save_t7(path, table)


def test_the_newest_whole_checkpoint_is_taken(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-eval_val_every", "10", "-max_epochs", "0.667")
    first, second, third, fourth = named(folder)
    for other in ("latest", "best"):
        (folder / "cv" / f"lm_lstm_{other}.t7").unlink()
    for age, path in enumerate((second, fourth, third, first)):
        os.utime(path, (1e9 - age, 1e9 - age))
    second.write_bytes(second.read_bytes()[:-9])
    spoil(fourth)
    os.utime(fourth, (1e9 - 1, 1e9 - 1))
    lines = train(folder, "-resume", "cv", "-max_epochs", "0.71", small=[])
    assert lines[0].startswith(f"passed over: can't read cv/{second.name} ")
    assert lines[1] == f"passed over: cv/{fourth.name} has weights that are NaN or infinite."
    assert lines[2].startswith(f"resuming from cv/{third.name}, iteration 30")


def test_where_a_package_is_missing_the_error_says_so(tmp_path, monkeypatch):
    folder = folder_with_text(tmp_path)
    train(folder, "-checkpoint_format", "safetensors", "-max_epochs", "0.2")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    error, lines, _ = result_of(folder, "-resume", "cv", "-max_epochs", "0.3", small=[])
    assert str(error).startswith("a .safetensors file needs more packages: pip install ")
    assert lines[0].startswith("passed over cv/lm_lstm_epoch0.20_")


def test_a_renamed_checkpoint_is_taken_from_a_folder_without_another(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-eval_val_every", "6", "-max_epochs", "0.2")
    first, last = named(folder)
    shutil.copy(first, folder / "cv/shakespeare.t7")  # the newest file, but an older state
    lines = train(folder, "-resume", "cv", "-max_epochs", "0.21", small=[])
    assert lines[0].startswith("resuming from cv/lm_lstm_epoch0.20")
    for path in folder.glob("cv/lm_*"):
        path.unlink()
    lines = train(folder, "-resume", "cv", "-max_epochs", "0.21", small=[])
    assert lines[0].startswith("resuming from cv/shakespeare.t7, iteration 6,")


@pytest.mark.parametrize("change", [TEXT + TEXT[:40], TEXT.swapcase()[:100] + TEXT[100:]], ids=["longer", "edited"])
def test_another_text_is_noticed(tmp_path, change):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.5")
    (folder / "data" / "input.txt").write_bytes(change)
    for name in ("vocab.t7", "data.t7"):
        os.utime(folder / "data" / name, (1e9, 1e9))
    if set(change) != set(TEXT):
        with pytest.raises(UserError, match="are not those of cv/lm_"):
            train(folder, "-resume", "cv", "-max_epochs", "0.6", small=[])
        return
    lines = train(folder, "-resume", "cv", "-max_epochs", "0.6", small=[])
    assert any(line.startswith("data/input.txt is not the text of the checkpoint: it was 2560 bytes") for line in lines)
    assert any(line.startswith("the text changed: the run goes on at the start of the text") for line in lines)


def test_a_text_that_went_through_windows_is_named(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2")
    text = folder / "data/input.txt"
    text.write_bytes(b"\xef\xbb\xbf" + text.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(UserError, match=r"'\\xef'; Windows has added line ends or a byte order mark: take the file as"):
        train(folder, "-resume", "cv", "-max_epochs", "0.6", small=[])


def test_another_batch_size_starts_the_text_anew(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.5")
    lines = train(folder, "-resume", "cv", "-batch_size", "10", "-max_epochs", "2", small=[])
    # of 60 iterations a pass, 30 were done; with ten texts side by side there are 30 a pass
    said = "-batch_size changed: the run goes on at the start of the text, with a zero hidden state and as epoch 1.00; "
    assert any(line.startswith(said) for line in lines)
    assert steps(lines)[0].startswith("31/60")


@pytest.mark.parametrize("change", ["batch_size", "text"])
def test_validations_of_other_splits_are_not_compared(tmp_path, change):
    """Neither best, -keep nor -patience counts those before the change, although their losses are lower."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "1", "-eval_val_every", "20", "-save_every_minutes", "0")
    before = named(folder)
    flags = ["-learning_rate", "0.0001", "-keep", "1", "-patience", "1", "-eval_val_every", "10", "-max_epochs", "3"]
    if change == "text":
        (folder / "data" / "input.txt").write_bytes(bytes(reversed(TEXT)))
        for name in ("vocab.t7", "data.t7"):
            os.utime(folder / "data" / name, (1e9, 1e9))
    else:
        flags += ["-batch_size", "10"]
    lines = train(folder, "-resume", "cv", *flags, small=[])
    written = [line.rpartition("/")[2] for line in lines if line.startswith("saving checkpoint")]
    losses = [float(name.rpartition("_")[2].removesuffix(".t7")) for name in written]
    assert losses[0] > min(checkpoint_facts.validation_loss(checkpoint.load(path)) for path in before)
    assert len(losses) > 1  # -patience 1 let it go on
    best = checkpoint.load(folder / "cv/lm_lstm_best.t7")
    assert round(checkpoint_facts.validation_loss(best), 4) == min(losses)
    assert min(best.val_losses) > 60
    assert set(before) < set(named(folder))
    assert len(set(named(folder)) - set(before)) <= 2  # the best and the newest


@pytest.mark.parametrize("stopped", [False, True])
def test_the_newest_of_a_clone_is_that_of_the_last_epoch(tmp_path, stopped):
    """Its files have the time of the clone, in the order of their names: epoch 10 comes before 9."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "10.1", "-eval_val_every", "60", "-save_every_minutes", "0")
    ended = next(path for path in named(folder) if "epoch10.10" in path.name)
    if stopped:  # after its last validation
        ended = ended.rename(folder / "cv/lm_lstm_latest.t7")
    for k, path in enumerate(sorted((folder / "cv").iterdir(), reverse=stopped)):
        os.utime(path, ns=(0, 1_500_000_001_000_000_000 + 20_000_000 * k))
    lines = train(folder, "-resume", "cv", "-max_epochs", "10.2", small=[])
    assert lines[0].startswith(f"resuming from cv/{ended.name}")


def test_copies_whose_times_are_in_another_order_go_on_from_the_last_state(tmp_path):
    """As of a shell's cp, a download or a sync, which give each file the time at which it was written there."""
    folder = folder_with_text(tmp_path)
    train(folder, *EVALS, "-save_every_minutes", "0")
    *_, third, last = named(folder)
    names = [last, folder / "cv/lm_lstm_best.t7", *named(folder)[:-2], third]
    for k, path in enumerate(names):
        copy = path.read_bytes()
        path.unlink()
        path.write_bytes(copy)
        os.utime(path, (1.5e9 + 10 * k, 1.5e9 + 10 * k))
    with working_in(folder):
        result = CliRunner().invoke(cli, ["train", "-resume", "cv", "-max_epochs", "1.75"])
    assert f"resuming from cv/{last.name}, iteration 102" in with_slashes(result.stdout)
    assert (
        f"cv: {third.name} is the newest file, but {last.name} is a later state of its run, which goes on from there;"
        " name a file to choose another."
    ) in result.stderr


def test_a_training_that_went_back_goes_on_from_its_own_newest_state(tmp_path):
    """The later files of the training that was given up are not of its run."""
    folder = folder_with_text(tmp_path)
    train(folder, *EVALS, "-save_every_minutes", "0")
    first, *_, last = named(folder)
    written = last.stat().st_mtime_ns
    back = ["-resume", f"cv/{first.name}", "-learning_rate", "0.0005", "-overwrite", "1", "-max_epochs"]
    train(folder, *back, "1", small=[])
    for path in folder.glob("cv/*"):
        if path.stat().st_mtime_ns <= written:
            os.utime(path, (1e9, 1e9))
    lines = train(folder, "-resume", "cv", "-max_epochs", "1.05", small=[])
    (start,) = (line for line in lines if line.startswith("resuming from"))
    assert ", iteration 60, epoch 1.00" in start and any(line.startswith("61/63 ") for line in lines)


def test_a_training_of_the_same_digits_that_went_back_goes_on_from_its_latest(tmp_path):
    """Which the later states of the training that was given up continue, to the last digit."""
    folder = folder_with_text(tmp_path)
    train(folder, *EVALS)
    first, *_, last = named(folder)
    written, before = last.stat().st_mtime_ns, set(folder.glob("cv/*"))
    train(folder, "-resume", f"cv/{first.name}", "-overwrite", "1", "-max_epochs", "1", small=[])
    for path in before:
        if path.exists() and path.stat().st_mtime_ns <= written:
            os.utime(path, (1e9, 1e9))
    lines = train(folder, "-resume", "cv", "-max_epochs", "1.05", small=[])
    (start,) = (line for line in lines if line.startswith("resuming from"))
    assert ", iteration 60, epoch 1.00" in start


@pytest.mark.parametrize("damage", ["cut", "not finite"])
def test_a_later_state_that_is_damaged_is_passed_over(tmp_path, damage):
    folder = folder_with_text(tmp_path)
    train(folder, *EVALS, "-save_every_minutes", "0")
    (folder / "cv/lm_lstm_best.t7").unlink()
    *_, third, last = ordered = named(folder)
    if damage == "cut":
        last.write_bytes(last.read_bytes()[:-9])
    else:
        spoil(last)
    for k, path in enumerate(reversed(ordered)):
        os.utime(path, (1.5e9 + 10 * k, 1.5e9 + 10 * k))
    lines = train(folder, "-resume", "cv", "-max_epochs", "1.75", small=[])
    assert lines[0].startswith("passed over: ") and f"cv/{last.name} " in lines[0]
    assert lines[1].startswith(f"resuming from cv/{third.name}, iteration 90")


def test_the_newest_of_two_in_one_second(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2", "-eval_val_every", "6", "-save_every_minutes", "0")
    first, second = (path.rename(folder / "cv" / f"{k}.t7") for k, path in enumerate(named(folder)))  # without epochs
    for path, nanoseconds in ((first, 1_500_000_001_000_000_900), (second, 1_500_000_001_000_000_100)):
        os.utime(path, ns=(0, nanoseconds))
    (folder / "cv/lm_lstm_best.t7").unlink()
    lines = train(folder, "-resume", "cv", "-max_epochs", "0.21", small=[])
    assert lines[0].startswith(f"resuming from cv/{first.name}")


def test_advice_on_the_sizes_of_batches_is_not_repeated(tmp_path):
    folder, advice = folder_with_text(tmp_path), "WARNING: less than 50 batches"
    assert any(line.startswith(advice) for line in train(folder, "-batch_size", "10", "-max_epochs", "0.1"))
    assert not any(line.startswith(advice) for line in train(folder, "-resume", "cv", "-max_epochs", "0.2", small=[]))


def test_another_seed_is_another_run_from_there_on(tmp_path):
    folder = folder_with_text(tmp_path / "a")
    train(folder, "-max_epochs", "0.2", "-dropout", "0.5")
    logs = []
    for seed in ([], ["-seed", "5"], ["-seed", "6"]):
        again = copied(folder, tmp_path / f"b{len(logs)}", *named(folder))
        logs.append(steps(train(again, "-resume", "cv", "-max_epochs", "0.3", *seed, small=[])))
    assert len({tuple(log) for log in logs}) == 3


def test_a_run_goes_on_at_its_place_with_another_seed_and_other_versions(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (path,) = named(folder)
    found = checkpoint.load(path)
    versions = {**found.state.versions, "pycharrnn": "0.0.1", "another": "1"}
    charrnn.save(path, dataclasses.replace(found, state=dataclasses.replace(found.state, versions=versions)))
    lines = train(folder, "-resume", str(path), "-max_epochs", "0.15", "-seed", "5", small=[])
    said = f"written by pycharrnn 0.0.1, going on with {pycharrnn.__version__}: last digits may differ."
    assert [line for line in lines if line.startswith("written by")] == [said]
    assert not any("changed" in line for line in lines)
    assert set(checkpoint.load(folder / "cv/lm_lstm_latest.t7").val_losses) == {6, 9}


def test_losses_of_other_iterations_are_left_out(tmp_path):
    """Of those in a checkpoint, only validations after iterations 1 to its own can be of its run."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2")
    (path,) = named(folder)
    found = checkpoint.load(path)
    loss = found.val_losses[12]
    found.val_losses = {0: 0.1, 1: 5.0, 12: loss, 13: 0.2, 14: 0.3}
    checkpoint.convert(found, path)
    start = initial_checkpoint.load(TrainOptions(resume=str(path)), {"resume"}, SILENT, SILENT)
    assert start.checkpoint.val_losses == {1: 5.0, 12: loss}


@pytest.mark.parametrize("name", ["lstm2", "gru2", "lstm3_dropout"])
def test_lua_checkpoints_resume_as_far_as_they_can(tmp_path, name):
    """Weights, losses, iteration, and the learning rate after the decays that took place."""
    (recorded,) = list((GOLDEN / name).glob("*.t7"))[:1]
    start = Path(shutil.copy(recorded, tmp_path))
    (tmp_path / "data" / "corpus").mkdir(parents=True)
    (tmp_path / "data" / "corpus" / "input.txt").write_bytes((GOLDEN / "corpus" / "input.txt").read_bytes())
    found = checkpoint.load(start)
    epochs = str(found.epoch + 0.02)
    lines = train(tmp_path, "-resume", str(start), "-max_epochs", epochs, "-gpuid", "-1", small=[])
    (said,) = (line for line in lines if "no run state" in line)
    assert "RMSprop's mean squares and the hidden state start from zero" in said
    assert steps(lines)[0].startswith(f"{found.i + 1}/")
    log = (GOLDEN / name / "train.log").read_text(encoding="utf-8")
    decays = [line.split(" to ")[1] for line in log.splitlines() if line.startswith("decayed")]
    rate = decays[-1] if decays else f"{found.opt['learning_rate']:.14g}"
    assert f"the decay rule gives the learning rate, {rate};" in said


@pytest.fixture
def half(tmp_path) -> tuple[Path, charrnn.Checkpoint, charrnn.Checkpoint]:
    """The folder of a run, its checkpoint, and the same with a hidden state of zeros."""
    folder = folder_with_text(tmp_path / "half")
    train(folder, "-max_epochs", "0.5")
    found, zeros = (checkpoint.load(named(folder)[0]) for _ in range(2))
    for hidden in zeros.state.hidden_state:
        hidden[:] = 0
    return folder, found, zeros


def one_step_more(found: charrnn.Checkpoint, folder: Path, text: bytes = TEXT, *args: str) -> str:
    """The log of the run of a checkpoint beside the folder of its text, or with another text."""
    other = copied(folder, folder.with_name(f"run{len(list(folder.parent.iterdir()))}"))
    (other / "data/input.txt").write_bytes(text)
    checkpoint.convert(found, other / "cv/lm_lstm_latest.t7")
    return "\n".join(train(other, "-resume", "cv", "-max_epochs", "0.52", "-print_every", "1", *args, small=[]))


def loss_in(log: str) -> str:
    return re.search("train_loss = ([^,]+)", log)[1]


def test_without_a_state_a_run_goes_on_at_its_place_in_the_text(half):
    folder, found, zeros = half
    log = one_step_more(dataclasses.replace(found, state=None), folder)
    assert loss_in(log) == loss_in(one_step_more(zeros, folder))
    assert "RMSprop's mean squares and the hidden state start from zero, and dropout from -seed." in log
    log = one_step_more(dataclasses.replace(found, state=None), folder, TEXT, "-initial_mean", "1")
    assert "start from zero (the mean squares from -initial_mean 1), and dropout from -seed." in log


def test_another_text_is_read_from_a_zero_hidden_state(half):
    folder, found, zeros = half
    for text, is_same in ((TEXT, False), (TEXT[::-1], True)):
        one, other = (loss_in(one_step_more(start, folder, text)) for start in (found, zeros))
        assert (one == other) == is_same


def test_a_file_from_elsewhere_asks_for_the_folder_of_its_text(tmp_path):
    """Its recorded folder may be on another machine: the message names -data_dir, not a way to get a text."""
    stranger = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
    with working_in(tmp_path):
        error, _, _ = result_of(tmp_path, "-resume", stranger, small=[])
    assert (
        f"/input.txt, on which {stranger} was trained, is not here: copy it from where the model was trained, or"
        in str(error)
    )
    with working_in(tmp_path):
        error, _, _ = result_of(tmp_path, "-resume", stranger, "-data_dir", "data/mistyped", small=[])
    assert (
        str(error) == f"there is no folder data/mistyped: -data_dir must name the folder with the text of {stranger}."
    )


@pytest.mark.parametrize("decay_after", ["0", "1", "2"])
def test_the_decay_rule_gives_the_rate_of_the_run_that_saved_no_state(tmp_path, decay_after):
    """Also with -learning_rate_decay_after 0: the first decay is at the end of the first epoch."""
    folder = folder_with_text(tmp_path)
    args = ("-learning_rate_decay_after", decay_after, "-save_state", "0", "-print_every", "50", "-val_lines", "0")
    lines = train(folder, *args, "-max_epochs", "2.02")
    assert not any(re.fullmatch(r"\d+/\d+\.\.\.", line) for line in lines)  # of the batches of a validation
    rate = next(line for line in reversed(lines) if line.startswith("decayed")).rpartition(" to ")[2]
    said = train(folder, "-resume", "cv", "-max_epochs", "2.04", small=[])
    assert any(f"the decay rule gives the learning rate, {rate};" in line for line in said)


def test_losses_keep_their_iterations_where_the_checkpoint_records_none(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2")
    (path,) = named(folder)
    found = checkpoint.load(path)
    found.train_losses = found.train_losses[:3]
    checkpoint.convert(found, path)
    train(folder, "-resume", f"cv/{path.name}", "-max_epochs", "0.3", "-overwrite", "1", small=[])
    losses = checkpoint.load(named(folder)[-1]).train_losses
    assert len(losses) == 18
    assert [math.isnan(loss) for loss in losses] == [False] * 3 + [True] * 9 + [False] * 6


def test_a_gpu_goes_on_from_a_checkpoint_that_records_no_losses(tmp_path):
    """On a GPU, which reads few losses, a loss that the checkpoint lacks is not taken for a NaN of the training."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.05")
    (path,) = named(folder)
    charrnn.save(path, dataclasses.replace(checkpoint.load(path), train_losses=array("d")))
    with pretended_gpu():
        lines = train(folder, "-resume", str(path), "-gpuid", "0", "-max_epochs", "0.2", "-print_every", "5", small=[])
    assert any("5/12 (epoch" in line for line in lines)


def test_the_format_goes_on_whatever_the_case_of_the_ending(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-checkpoint_format", "safetensors", "-max_epochs", "0.1")
    (path,) = (folder / "cv").glob("*epoch0.10*")
    upper = folder / "up" / path.with_suffix(".SAFETENSORS").name
    upper.parent.mkdir()
    path.rename(upper)
    train(folder, "-resume", str(upper), "-max_epochs", "0.2", small=[])
    assert {file.suffix for file in upper.parent.iterdir() if "epoch0.20" in file.name} == {".safetensors"}


def test_inspect_and_convert_know_the_state(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (path,) = named(folder)
    assert inspection.look(path).facts["run_state"].startswith(f"pycharrnn {pycharrnn.__version__}")
    for to, kept in (("a.t7", True), ("float.t7", False), ("c.safetensors", True)):
        options = formats.WriteOptions(dtype="float32" if to == "float.t7" else "float64")
        checkpoint.convert(checkpoint.load(path), tmp_path / to, options)
        assert (checkpoint.load(tmp_path / to).state is not None) == kept
    ascii = tmp_path / "ascii.t7"
    checkpoint.convert(checkpoint.load(path), ascii, formats.WriteOptions(encoding="ascii"))
    ours, theirs = checkpoint.load(ascii).state, checkpoint.load(path).state
    np.testing.assert_array_equal(ours.random_words, theirs.random_words)
    np.testing.assert_array_equal(ours.mean_square, theirs.mean_square)
    checkpoint.convert(checkpoint.load(path), tmp_path / "longs.t7", formats.WriteOptions(long_size=4))
    assert checkpoint.load(tmp_path / "longs.t7").state.random_position == theirs.random_position


def test_save_state_0_leaves_the_key_out(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1", "-save_state", "0")
    (path,) = named(folder)
    assert b"pycharrnn" not in compat.load_t7(path)
    assert checkpoint.load(path).opt["save_state"] == 0


def test_a_state_of_another_format_is_left_alone(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (path,) = named(folder)
    table = compat.load_t7(path)
    table[b"pycharrnn"][b"format"] = 2
    compat.save_t7(path, table)
    assert checkpoint.load(path).state is None


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.update({b"pycharrnn": 3}), "is a whole number, not a table"),
        (lambda s: s.update({b"mean_square": compat.Tensor.of_array(np.zeros(3))}), "mean_square is"),
        (lambda s: s.update({b"mean_square": compat.Tensor(b"torch.DoubleTensor", None)}), "mean_square is"),
        (lambda s: s.update({b"mean_square": b"x"}), "where the tensor mean_square belongs"),
        (lambda s: s[b"hidden_state"].pop(1), "holds 3 hidden states, its model has 4"),
        (lambda s: s[b"hidden_state"].update({2: compat.Tensor.of_array(np.zeros((9, 6)))}), "hidden_state is"),
        # One storage named by many tensors would be any number of gigabytes from a small file.
        (lambda s: s[b"hidden_state"].update({2: s[b"hidden_state"][1]}), r"claim \d+ numbers of storages that hold"),
        (lambda s: s.update({b"random_words": compat.Tensor.of_array(np.full(624, -1.0))}), "32 bits"),
        (lambda s: s.update({b"random_words": compat.Tensor.of_array(np.full(624, np.nan))}), "32 bits"),
        (lambda s: s.update({b"random_position": 625}), "625 where a whole number from 0 to 624"),
        (lambda s: s.update({b"learning_rate": b"fast"}), "where the number learning_rate belongs"),
        (lambda s: s.update({b"batch_positions": compat.Table()}), "where the number 1 belongs"),
        (lambda s: s[b"batch_positions"].update({1: -1}), "-1 where a whole number"),
    ],
)
def test_a_damaged_state_is_one_sentence(tmp_path, change, message):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (path,) = named(folder)
    table = compat.load_t7(path)
    change(table if "not a table" in message else table[b"pycharrnn"])
    with pytest.raises(CheckpointError, match=message):
        charrnn.from_table(table)
    compat.save_t7(path, table)
    with pytest.raises(UserError, match="can't read .* as a checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "name, value, words",
    [
        (b"print_every", b"often", "records the -print_every 'often', which is not valid: give -print_every"),
        (b"print_every", 0, "records an option that can't be used, .*-print_every must be at least 1, not 0"),
        (b"seed", 0.5, "-seed 0.5, which"),
        (b"keep", math.inf, "-keep inf"),
        (b"learning_rate_decay", math.nan, "-learning_rate_decay nan"),
        (b"gpuid", True, "-gpuid True"),
        (b"data_dir", 5, "-data_dir 5"),
        (b"data_dir", b"a\0b", r"-data_dir 'a\\x00b'"),
        (b"savefile", b"\x1b[2J", r"-savefile '\\x1b\[2J'"),
        (b"savefile", b"a/" * 10**6, r"^.{,500}\.\.\. is not a file name"),
        (b"text_encoding", b"none", "use another checkpoint: -text_encoding must be"),  # which -resume refuses
        (b"init_from", 5, "use another checkpoint"),
    ],
)
def test_recorded_options_are_checked(tmp_path, name, value, words):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (path,) = named(folder)
    table = compat.load_t7(path)
    table[b"opt"][name] = value
    compat.save_t7(path, table)
    with pytest.raises(UserError, match=words):
        train(folder, "-resume", str(path), small=[])
    if name == b"print_every":
        train(folder, "-resume", str(path), "-print_every", "1", "-max_epochs", "0.2", small=[])


def test_a_dropout_that_is_given_takes_the_place_of_the_recorded_one(tmp_path):
    """Also one that is that of the network."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (path,) = named(folder)
    table = compat.load_t7(path)
    table[b"opt"][b"dropout"] = b"none"
    compat.save_t7(path, table)
    with pytest.raises(UserError, match="not valid: give -dropout"):
        train(folder, "-resume", str(path), small=[])
    lines = train(folder, "-resume", str(path), "-dropout", "0", "-max_epochs", "0.2", small=[])
    assert "overridden: -max_epochs 0.2 (was 0.1)" in lines


def test_recorded_numbers_of_the_run_are_checked(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (path,) = named(folder)
    table = compat.load_t7(path)
    table[b"pycharrnn"][b"learning_rate"] = math.inf
    table[b"val_losses"].update({math.inf: 1.0, 1e300: 2.0, -1: 3.0, 0.5: math.nan, b"x": b"y"})
    compat.save_t7(path, table)
    assert set(checkpoint.load(path).val_losses) == {table[b"i"], 0.5}
    with pytest.raises(UserError, match="records the learning rate inf: give -learning_rate"):
        train(folder, "-resume", str(path), small=[])
    train(folder, "-resume", str(path), "-learning_rate", "0.01", "-max_epochs", "0.2", small=[])


def test_without_a_command_line_what_differs_from_the_defaults_is_given(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    opt = TrainOptions(resume=str(named(folder)[0]), print_every=9, gpuid=-1)
    with working_in(folder):
        settings = session.prepare(opt, None, Process(), SILENT, SILENT).settings
    assert settings.start.overridden == {"print_every"}
    assert (settings.model.rnn_size, settings.data.batch_size, settings.options.resume) == (6, 5, "")


def test_random_numbers_go_on():
    random = LuaRandom(7)
    random.skip(1000)
    state = random.get_state()
    expected = random.random(2000)
    other = LuaRandom(1)
    other.set_state(*state)
    np.testing.assert_array_equal(other.random(2000), expected)


# -- any run state of any model survives saving ----------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3)),
    dropout=st.sampled_from([0.0, 0.3]),
    dtype=st.sampled_from([np.float64, np.float32]),
    numbers=st.lists(st.floats(allow_nan=False), min_size=1, max_size=6),
    names=st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.text(max_size=9), max_size=3),
    seed=st.integers(0, 2**32 - 1),
    with_state=st.booleans(),
)
def test_saved_loaded_and_saved_again(tmp_path_factory, model, sizes, dropout, dtype, numbers, names, seed, with_state):
    vocab_size, rnn_size, num_layers = sizes
    rng = np.random.default_rng(seed)
    shapes = nngraph.parameter_shapes(model, vocab_size, rnn_size, num_layers)
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    network = charrnn.Network(model, rnn_size, num_layers, vocab_size, dropout, weights)
    state = None
    if with_state:
        random = LuaRandom(seed)
        random.skip(seed % 1000)
        words, position = random.get_state()
        state = run_state.RunState(
            mean_square=rng.random(sum(w.size for w in weights.values())).astype(dtype),
            learning_rate=numbers[0],
            hidden_state=[
                rng.normal(size=(3, rnn_size)).astype(dtype) for _ in range(len(CELLS[model].states) * num_layers)
            ],
            batch_positions={1: seed, 2: 0, 3: 7},
            random_words=words,
            random_position=position,
            norm_ratio=numbers[-1],
            versions={"torch": "2"},
        )
    vocab = {bytes([c]): c + 1 for c in range(vocab_size)}
    losses = dict(enumerate(numbers, 1))
    saved = charrnn.Checkpoint(
        network, vocab, dict(names), numbers, losses, numbers[-1], len(numbers), 0.5, state=state
    )
    folder = tmp_path_factory.mktemp("saved")
    charrnn.save(folder / "a.t7", saved)
    loaded = checkpoint.load(folder / "a.t7")
    charrnn.save(folder / "b.t7", loaded)
    assert (folder / "a.t7").read_bytes() == (folder / "b.t7").read_bytes()
    assert (loaded.state is None) == (not with_state)
    if with_state:
        np.testing.assert_array_equal(loaded.state.mean_square, state.mean_square)
        assert loaded.state.mean_square.dtype == dtype
        np.testing.assert_array_equal(loaded.state.random_words, state.random_words)
        assert loaded.state.versions == state.versions


def test_the_runs_here_are_small():
    assert "-rnn_size" in SMALL
    assert 26 < len(set(TEXT)) < 80


def test_the_dropout_of_a_model_that_was_trained_further_can_change(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1", "-dropout", "0.5")
    train(folder, "-init_from", "cv", "-savefile", "on", "-max_epochs", "0.2")
    newest = f"cv/{next((folder / 'cv').glob('lm_on_epoch*')).name}"
    lines = train(folder, "-resume", newest, "-dropout", "0", "-max_epochs", "0.3", small=[])
    assert any("-dropout 0 (was 0.5)" in line for line in lines)
    dropout = {checkpoint.load(path).network.dropout for path in (folder / "cv").glob("lm_on_epoch*")}
    assert dropout == {0, 0.5}


@pytest.mark.parametrize("calibrates", ["0", "1"])
def test_a_run_that_ended_before_its_last_validation_has_it_on_resuming(tmp_path, monkeypatch, calibrates):
    args = ["-exact", "0", "-calibrate", calibrates, "-max_epochs", "0.1"]
    whole = folder_with_text(tmp_path / "whole")
    expected = train(whole, *args)
    folder = folder_with_text(tmp_path / "part")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", mock.Mock(side_effect=TextChanged("the text changed")))
        error, _, _ = result_of(folder, *args)
    assert "the text changed" in str(error)
    lines = train(folder, "-resume", "cv", small=[])
    assert lines[-3:] == expected[-3:]  # evaluating, saving, and the line of iteration 6
    ours, theirs = (checkpoint.load(named(one)[0]) for one in (folder, whole))
    assert named(folder)[0].name == named(whole)[0].name
    assert (ours.opt, ours.state.norm_ratio) == (theirs.opt, theirs.state.norm_ratio)
    for name, weight in theirs.network.weights.items():
        np.testing.assert_array_equal(ours.network.weights[name], weight)
    _, _, said = result_of(folder, "-resume", "cv", small=[])
    assert "iteration 6 of 6: the run is complete" in said


def test_no_iteration_is_left_for_a_lower_rate(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1", "-anneal", "1")
    error, _, said = result_of(folder, "-resume", "cv", "-max_epochs", "0.001", "-learning_rate", "0.01", small=[])
    assert error is None
    assert "iteration 6 of 0: the run is complete" in said


def test_a_list_resets_no_states_on_resuming(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1", "-items", "line", "-seq_length", "4")
    error, _, _ = result_of(folder, "-resume", "cv", "-state_reset", "0.1", small=[])
    said = "-state_reset 0.1 is for a text: each item of -items line starts from a state of zeros. Leave it out."
    assert str(error) == said


@pytest.mark.parametrize("where, name", [(new_model, "model_of"), (loop, "_history")])
def test_a_run_that_fails_before_its_first_step_closes_its_text(tmp_path, monkeypatch, where, name):
    monkeypatch.setattr(where, name, mock.Mock(side_effect=UserError("no")))
    with mock.patch.object(TextLoader, "close", autospec=True) as close:
        error, _, _ = result_of(folder_with_text(tmp_path))
    assert str(error) == "no"
    assert close.called


@pytest.mark.parametrize("train_frac, val_frac, rest", [(0.9, 0.2, 0.1), (0.95, 0.3, 0.05)])
def test_recorded_fractions_that_sum_to_more_than_1_are_those_of_char_rnn(tmp_path, train_frac, val_frac, rest):
    """train.lua then validates on all that training leaves, and has no test split."""
    folder = folder_with_text(tmp_path)
    train(folder, "-train_frac", str(train_frac), "-val_frac", str(rest), "-max_epochs", "0.1")
    (path,) = named(folder)
    table = compat.load_t7(path)
    table[b"opt"][b"val_frac"] = val_frac
    compat.save_t7(path, table)
    with working_in(folder):
        line = CliRunner().invoke(cli, ["eval", str(path), "-gpuid", "-1"]).stdout.splitlines()[0]
    loss, recorded = re.findall(r"\d\.\d+", line)
    assert loss == recorded
    assert steps(train(folder, "-resume", str(path), "-max_epochs", "0.2", small=[]))


@pytest.mark.skipif(os.name == "nt", reason="Windows forbids such names")
@pytest.mark.parametrize("name", ["a\tb", "a\nb", "\x1b[2J"])
def test_folders_that_a_checkpoint_may_not_record_are_refused(tmp_path, name):
    folder = folder_with_text(tmp_path / "one")
    error, _, _ = result_of(folder, "-checkpoint_dir", name)
    assert f"-checkpoint_dir {escape_line(name)} has a control character" in str(error)
    (folder / "data").rename(folder / name)
    error, _, _ = result_of(folder, "-data_dir", name)
    assert f"-data_dir {escape_line(name)} has a control character" in str(error)
    assert not (folder / "cv").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows forbids such names")
def test_names_that_a_checkpoint_may_not_record_are_refused(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (folder / "cv").rename(folder / "a\nb")
    for args, said in (
        (("-savefile", "c\nd"), r"-savefile c\nd has a control character"),
        (("-init_from", "a\nb/lm_lstm_latest.t7"), r"-init_from a\nb/lm_lstm_latest.t7 has a control character"),
    ):
        error, _, _ = result_of(folder, *args)
        assert str(error).startswith(said) and not (folder / "cv").exists()


@pytest.mark.parametrize("kernel", ["on", "off"])
def test_numbers_beyond_those_of_64_bits(tmp_path, request, kernel):
    """Lua's numbers are doubles, and so large ones are read as whole numbers."""
    if kernel == "off":
        request.getfixturevalue("without_kernel")
    large = "100000000000000000000"
    args = ["-exact", "0", "-dropout", "0.3", "-initial_mean", large]
    args += ["-seed", large, "-grad_clip", large, "-eval_val_every", large]
    for name, epochs in (("one", "0.4"), ("two", "0.2")):
        train(folder_with_text(tmp_path / name), *args, "-max_epochs", epochs)
    train(tmp_path / "two", "-resume", "cv", "-max_epochs", "0.4", "-seed", large, small=[])
    one, two = (checkpoint.load(tmp_path / name / "cv/lm_lstm_latest.t7") for name in ("one", "two"))
    assert one.i == two.i and one.train_losses == two.train_losses


def test_a_clip_beyond_float32(tmp_path, without_kernel):
    args = ["-exact", "0", "-max_epochs", "0.1"]
    for name, clip in (("a", "1e39"), ("b", "1e38")):
        train(folder_with_text(tmp_path / name), *args, "-grad_clip", clip)
    a, b = (checkpoint.load(tmp_path / name / "cv/lm_lstm_latest.t7") for name in ("a", "b"))
    assert a.train_losses == b.train_losses


def test_a_resumed_checkpoint_of_another_name_may_be_the_best(tmp_path):
    """As that of an owner of old checkpoints; `best` is then a copy of it."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "2")
    named(folder)[-1].rename(folder / "mine.t7")
    for path in (folder / "cv").iterdir():
        path.unlink()
    (folder / "mine.t7").rename(folder / "cv/mine.t7")
    os.link(folder / "cv/mine.t7", folder / "cv/lm_lstm_latest.t7")  # which the run replaces
    args = ["-resume", "cv/mine.t7", "-learning_rate", "0.3", "-max_epochs", "2.1"]
    error, _, err = result_of(folder, *args, small=[])
    assert error is None
    assert "finished; the best checkpoint is cv/lm_lstm_best.t7, with validation loss" in err.replace("\\", "/")
    assert (folder / "cv/lm_lstm_best.t7").read_bytes() == (folder / "cv/mine.t7").read_bytes()


def test_a_lower_loss_whose_checkpoint_is_elsewhere_is_said(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "2")
    args = ["-resume", "cv", "-checkpoint_dir", "other", "-learning_rate", "0.3", "-max_epochs", "2.1"]
    error, _, err = result_of(folder, *args, small=[])
    assert error is None
    assert re.search(r"iteration 120 had a lower validation loss, [\d.]+; its checkpoint is not among these files", err)
