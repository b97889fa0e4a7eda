"""Which checkpoints of a folder are of one run, and which run trained last."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from array import array
from pathlib import Path

import pytest
from conftest import GOLDEN
from folders import CHECKPOINT, make, names, save, set_time, train

from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.folder_files import newest_first
from pycharrnn.checkpoints.folder_runs import RunIdentity, continues, identity_of, last_trained_first
from pycharrnn.common.errors import UserError


def runs_of(folder: Path, read: list[str] | None = None) -> list[list[str]]:
    """The file names of each run, best first. `read`: receives the names of the files that are read."""

    def record(path: str) -> RunIdentity | None:
        if read is not None:
            read.append(os.path.basename(path))
        try:
            return identity_of(checkpoint.load(path))
        except UserError:
            return None

    found = last_trained_first(newest_first(str(folder)), record)
    return [names(file.path for file in run.files) for run in found]


def test_the_lowest_loss_comes_first_and_names_suffice(tmp_path):
    train(tmp_path, "x", [2.5, 2.0, 2.0, float("nan"), 2.25], 1000)
    os.link(tmp_path / "lm_x_epoch2.00_2.0000.t7", tmp_path / "lm_x_best.t7")
    read: list[str] = []
    assert runs_of(tmp_path, read) == [
        [
            "lm_x_epoch2.00_2.0000.t7",  # of two with the same loss, the one named best comes first
            "lm_x_epoch3.00_2.0000.t7",
            "lm_x_epoch5.00_2.2500.t7",
            "lm_x_epoch1.00_2.5000.t7",
            "lm_x_epoch4.00_nan.t7",
        ]
    ]
    assert read == ["lm_x_epoch5.00_2.2500.t7"]


def test_a_later_training_of_the_same_name_is_a_run_of_its_own(tmp_path):
    """As two trainings with the default -savefile; the first was longer, and its losses are lower."""
    train(tmp_path, "lstm", [1.5, 1.2, 1.0], 1000, text=4)
    train(tmp_path, "lstm", [2.0, 1.75], 2000, text=5)
    first, second = (
        ["lm_lstm_epoch3.00_1.0000.t7", "lm_lstm_epoch2.00_1.2000.t7", "lm_lstm_epoch1.00_1.5000.t7"],
        ["lm_lstm_epoch2.00_1.7500.t7", "lm_lstm_epoch1.00_2.0000.t7"],
    )
    assert runs_of(tmp_path) == [second, first]
    for name in first:
        set_time(tmp_path / name, 3000)
    assert runs_of(tmp_path) == [first, second]


def test_files_that_fit_two_runs_are_of_the_one_that_wrote_them_last(tmp_path):
    """A run is resumed from its second checkpoint; then the first command is repeated."""
    first = train(tmp_path, "x", [2.5, 1.5, 2.0], 1000)
    resumed = train(tmp_path, "x", [2.5, 1.5, 1.75, 1.25], 2000)
    train(tmp_path, "x", [2.5, 1.5, 2.0], 3000)
    one, two, three = names(first)
    other_three, four = names(resumed[2:])
    assert runs_of(tmp_path) == [[two, three, one], [four, other_three]]
    for modified in (1002, 2004.05):  # before the resumed run, or at about the time of its end
        for name in (one, two):
            set_time(tmp_path / name, modified)
        assert runs_of(tmp_path) == [[three], [four, two, other_three, one]]


def test_a_run_that_was_stopped_before_its_first_validation_is_the_last(tmp_path):
    train(tmp_path, "lstm", [1.5, 1.0], 1000, text=4)
    losses = array("d", [5.0, 4.0])
    set_time(save(tmp_path, "lm_lstm_latest.t7", {}, i=2, epoch=0.2, train_losses=losses, opt={"savefile": "lstm"}), 2)
    assert runs_of(tmp_path)[1] == ["lm_lstm_latest.t7"]
    set_time(tmp_path / "lm_lstm_latest.t7", 2000)
    assert runs_of(tmp_path)[0] == ["lm_lstm_latest.t7"]


def test_the_newest_checkpoint_of_a_run_may_be_between_validations(tmp_path):
    paths = train(tmp_path, "x", [1.5, 1.0], 1000)
    found = checkpoint.load(paths[-1])
    losses = array("d", [*found.train_losses, 0.5])
    save(tmp_path, "lm_x_latest.t7", found.val_losses, i=21, epoch=2.1, train_losses=losses, opt=found.opt)
    read: list[str] = []
    assert runs_of(tmp_path, read) == [
        ["lm_x_epoch2.00_1.0000.t7", "lm_x_epoch1.00_1.5000.t7", "lm_x_latest.t7"],
    ]
    assert read == ["lm_x_latest.t7"]


@pytest.mark.parametrize("copied", ["lm_x_best.safetensors", "poems.t7"])
def test_copies_and_conversions_neither_make_a_run_nor_a_run_newer(tmp_path, copied):
    paths = train(tmp_path, "x", [1.5, 1.0], 1000, text=4)
    train(tmp_path, "y", [2.0], 2000, text=5)
    checkpoint.convert(checkpoint.load(paths[-1]), tmp_path / copied)
    set_time(tmp_path / copied, 3000)
    last, first = runs_of(tmp_path)
    assert last == ["lm_y_epoch1.00_2.0000.t7"]
    assert sorted(first) == sorted([*names(paths), copied])


def test_a_copy_of_a_folder_whose_files_have_other_times_holds_the_same_run(tmp_path):
    paths = train(tmp_path, "x", [2.5, 1.0, 2.0], 1000)
    for k, path in enumerate(reversed(paths)):
        set_time(path, 5000 + k)
    assert runs_of(tmp_path) == [[os.path.basename(paths[k]) for k in (1, 2, 0)]]


def test_files_without_a_history_are_taken_by_their_names(tmp_path):
    """As those of char-rnn's first version, whose names have bits, and those that other programs wrote."""
    for epoch, loss in ((1, "2.5000"), (2, "1.5000"), (3, "2.0000")):
        shutil.copy(CHECKPOINT, tmp_path / f"lm_x_epoch{epoch}.00_{loss}.t7")
        set_time(tmp_path / f"lm_x_epoch{epoch}.00_{loss}.t7", epoch)
    (recorded,) = (GOLDEN / "legacy_2015-05-21_lstm").glob("*.t7")
    shutil.copy(recorded, tmp_path)
    make(tmp_path, "lm_z_epoch1.00_1.0000.t7", 9000)  # damaged
    own, *others = sorted(runs_of(tmp_path), key=len, reverse=True)
    assert own == [f"lm_x_epoch{n}.t7" for n in ("2.00_1.5000", "3.00_2.0000", "1.00_2.5000")]
    assert others == [[recorded.name]]


def test_strangers_files_of_one_name_are_not_one_run(tmp_path):
    """All trainings of char-rnn are called lm_lstm unless they are named; these have no history in common."""
    shutil.copy(CHECKPOINT, tmp_path / "lm_lstm_epoch3.00_1.5000.t7")
    shutil.copy(GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7", tmp_path / "lm_lstm_epoch1.00_2.0000.t7")
    assert sorted(runs_of(tmp_path)) == [["lm_lstm_epoch1.00_2.0000.t7"], ["lm_lstm_epoch3.00_1.5000.t7"]]


@pytest.mark.parametrize("named", [[], [1.5, 1.0]], ids=["no file is", "others are"])
def test_files_whose_names_are_not_those_of_training_are_runs_of_their_own(tmp_path, named):
    """As a collection of old files: all record lm_lstm, the default, and their losses are of different texts."""
    train(tmp_path, "lstm", named, 1000)
    renamed = ["debates.t7", "opencl.t7", "shakespeare.t7"]
    for k, name in enumerate(renamed):
        losses = {"train_losses": array("d", [5.0 + k]), "opt": {"savefile": "lstm"}}
        set_time(save(tmp_path, name, {10: 2.0 + k}, 2.0 + k, **losses), 2000 + k)
    first = next(last_trained_first(newest_first(str(tmp_path)), lambda path: identity_of(checkpoint.load(path))))
    assert names(file.path for file in first.files) == ["shakespeare.t7"]
    others = ["opencl.t7", "debates.t7", *(["lm_lstm_epoch2.00_1.0000.t7"] if named else [])]
    assert tuple(other[:3] for other in first.others) == tuple((str(tmp_path / name), "lm_lstm", 1) for name in others)
    assert [run[0] for run in runs_of(tmp_path)] == ["shakespeare.t7", *others]


def test_older_files_whose_names_are_not_those_of_training_are_each_shown(tmp_path):
    """Beside a later run: they are not the files of one run called lm_lstm."""
    for k, name in enumerate(("debates.t7", "opencl.t7")):
        losses = {"train_losses": array("d", [5.0 + k]), "opt": {"savefile": "lstm"}}
        set_time(save(tmp_path, name, {10: 2.0 + k}, 2.0 + k, **losses), 1000 + k)
    train(tmp_path, "x", [1.5], 9000)
    first = next(last_trained_first(newest_first(str(tmp_path)), lambda path: identity_of(checkpoint.load(path))))
    assert names(other.path for other in first.others) == ["opencl.t7", "debates.t7"]
    assert [other[1:3] for other in first.others] == [("lm_lstm", 1)] * 2


def test_a_conversion_joins_the_run_that_it_records(tmp_path):
    """Also where another run has the same epoch and loss."""
    (converted,) = train(tmp_path, "a", [1.5], 1000, text=4)
    train(tmp_path, "b", [1.5], 2000, text=5)
    shutil.copy2(converted, tmp_path / "mine.t7")
    first, second = runs_of(tmp_path)
    assert first == ["lm_b_epoch1.00_1.5000.t7"]
    assert set(second) == {"lm_a_epoch1.00_1.5000.t7", "mine.t7"}


def test_names_suffice_though_they_have_fewer_digits(tmp_path):
    train(tmp_path, "x", [2.123456, 1.654321], 1000)
    read: list[str] = []
    assert runs_of(tmp_path, read) == [["lm_x_epoch2.00_1.6543.t7", "lm_x_epoch1.00_2.1235.t7"]]
    assert read == ["lm_x_epoch2.00_1.6543.t7"]


def test_a_renamed_checkpoint_stays_in_its_run(tmp_path):
    best, newest = train(tmp_path, "lstm", [1.0, 1.5], 1000)
    os.rename(best, tmp_path / "best of all.t7")
    assert runs_of(tmp_path) == [["best of all.t7", os.path.basename(newest)]]


def test_files_of_torch_rnn_are_a_run_by_their_option(tmp_path):
    opt = {"checkpoint_name": "cv/checkpoint"}
    val_losses = {}
    for i, loss in ((1000, 2.5), (2000, 1.5), (3000, 2.0)):
        val_losses[i] = loss
        path = save(tmp_path, f"checkpoint_{i}.t7", dict(val_losses), loss, i=i, opt=opt, train_losses=array("d", [4]))
        set_time(path, i)
    assert runs_of(tmp_path) == [["checkpoint_2000.t7", "checkpoint_3000.t7", "checkpoint_1000.t7"]]


def test_runs_that_can_not_be_the_last_are_not_read(tmp_path):
    for k in range(3):
        train(tmp_path, f"x{k}", [2.0, 1.0], 1000 * k, text=k)
    read: list[str] = []

    def record(path: str) -> RunIdentity:
        read.append(os.path.basename(path))
        return identity_of(checkpoint.load(path))

    run = next(last_trained_first(newest_first(str(tmp_path)), record))
    assert tuple(other[:3] for other in run.others) == tuple(
        (str(tmp_path / f"lm_x{k}_epoch2.00_1.0000.t7"), f"lm_x{k}", 2) for k in (1, 0)
    )
    assert read == ["lm_x2_epoch2.00_1.0000.t7"]


def test_a_damaged_file_is_none_of_the_other_runs(tmp_path):
    (path,) = train(tmp_path, "a", [2.0], 1000)
    make(tmp_path, "lm_b_epoch1.00_1.0000.t7", 2000)
    set_time(shutil.copy(path, tmp_path / "copy.t7"), 3000)  # makes a's last file the newest, not its training

    def record(path: str) -> RunIdentity | None:
        return identity_of(checkpoint.load(path)) if "lm_b" not in path else None

    (run,) = last_trained_first(newest_first(str(tmp_path)), record)
    assert (len(run.files), run.others) == (2, ())


def test_earlier_runs_of_the_same_name_are_shown_by_a_file(tmp_path):
    train(tmp_path, "lstm", [1.5, 1.0], 1000, text=4)
    train(tmp_path, "lstm", [2.0], 2000, text=5)
    run = next(last_trained_first(newest_first(str(tmp_path)), lambda path: identity_of(checkpoint.load(path))))
    assert tuple(other[:3] for other in run.others) == ((str(tmp_path / "lm_lstm_epoch2.00_1.0000.t7"), "lm_lstm", 1),)


def test_a_conversion_of_a_renamed_checkpoint_is_no_run_that_trained_last(tmp_path):
    """The record of the renamed file has the name that the other run has."""
    for path in train(tmp_path, "x", [1.5, 1.0], 1000, text=4):
        os.rename(path, path.replace("lm_x", "lm_gru"))
    train(tmp_path, "x", [2.0], 2000, text=5)
    shutil.copy(tmp_path / "lm_gru_epoch2.00_1.0000.t7", tmp_path / "mine.t7")
    gru = {"lm_gru_epoch1.00_1.5000.t7", "lm_gru_epoch2.00_1.0000.t7", "mine.t7"}
    assert [set(run) for run in runs_of(tmp_path)] == [{"lm_x_epoch1.00_2.0000.t7"}, gru]


def test_a_run_continues_though_some_losses_are_not_known():
    """As those before the checkpoint of -resume, if it did not have them."""

    def state(*losses: float):
        return dataclasses.replace(checkpoint.load(CHECKPOINT), i=len(losses), train_losses=array("d", losses))

    earlier = state(math.nan, 2.5)
    assert continues(state(math.nan, 2.5, 2.25), earlier)
    assert not continues(state(math.nan, 2.25, 2.25), earlier)
    assert not continues(state(2.75, 2.5, 2.25), earlier)


def test_a_run_is_told_by_all_of_its_losses():
    """A resumed run that took another way, such as with another learning rate, has the first losses in common."""

    def state(i: int, last: float):
        losses = array("d", [4 / k for k in range(1, 30)] + [last] * (i - 29))
        return dataclasses.replace(checkpoint.load(CHECKPOINT), i=i, train_losses=losses, val_losses={})

    assert continues(state(40, 0.125), state(30, 0.125))
    assert not continues(state(40, 0.25), state(30, 0.125))


def test_a_run_keeps_its_network():
    """Also where no losses are recorded that could tell two runs apart."""

    def state(path):
        return dataclasses.replace(checkpoint.load(path), i=10, train_losses=array("d"), val_losses={})

    assert continues(state(CHECKPOINT), state(CHECKPOINT))
    assert not continues(state(CHECKPOINT), state(GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7"))
