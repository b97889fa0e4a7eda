"""A new run, or one that goes on, does not destroy what an earlier one has left; and writes where it should."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import GOLDEN
from runs import LONG, SMALL, TEXT, copied, folder_with_text, named, result_of, started, steps, train

import compat
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.common.shell_words import quoted
from pycharrnn.training.distributed import Ranks

OTHER_TEXT = TEXT[::-1]


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory) -> Path:
    """A folder with a run that was killed at some point after it had been saved."""
    folder = folder_with_text(tmp_path_factory.mktemp("unfinished") / "a")
    process = started(folder, "-max_epochs", "1000", "-print_every", "1", "-save_every_minutes", "0.0001", lines=100)
    process.kill()
    process.communicate(timeout=300)
    for left in folder.glob("cv/.*"):  # its lock, and perhaps half a file
        left.unlink()
    assert checkpoint.load(folder / "cv/lm_lstm_latest.t7").i > 1
    return folder


@pytest.fixture
def stopped(unfinished, tmp_path) -> Path:
    """A copy of it for each test, with a second text."""
    folder = tmp_path / "stopped"
    shutil.copytree(unfinished, folder)
    (folder / "other").mkdir()
    (folder / "other/input.txt").write_bytes(OTHER_TEXT)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize("args", [[], ["-data_dir", "other"], ["-model", "gru", "-init_from", "cv/lm_lstm_latest.t7"]])
def test_an_unfinished_run_is_not_overwritten(stopped, args):
    before = content(stopped / "cv")
    i = checkpoint.load(stopped / "cv/lm_lstm_latest.t7").i
    error, out, _ = result_of(stopped, *args, "-max_epochs", "0.2")
    assert isinstance(error, UserError) and error.status == 1
    said = str(error)
    assert said.startswith(f"cv/lm_lstm_latest.t7 is an unfinished run: text of -data_dir data, iteration {i}, epoch ")
    assert ", training loss " in said
    for way_on in ("pycharrnn train -resume cv/lm_lstm_latest.t7", "-savefile", "-checkpoint_dir", "-overwrite 1"):
        assert way_on in said
    assert out == [], "it should be said before any work is done"
    assert content(stopped / "cv") == before


def test_resuming_an_older_state_does_not_overwrite_a_later_one(stopped):
    """Nor one of another run, with the same name, if it is not finished."""
    latest = stopped / "cv/lm_lstm_latest.t7"
    i = checkpoint.load(latest).i
    older = stopped / "cv/lm_lstm_epoch0.02_4.0000.t7"
    found = checkpoint.load(latest)
    found.i, found.epoch, found.train_losses = 1, 1 / 60, found.train_losses[:1]
    checkpoint.convert(found, older)
    other = stopped / "cv/lm_lstm_epoch900.00_1.0000.t7"
    found.i, found.epoch, found.train_losses = 54_000, 900.0, [1.0] * 54_000
    checkpoint.convert(found, other)
    before = content(stopped / "cv")
    end = ["-max_epochs", "0.1"]
    for path in (older, other):
        error, out, _ = result_of(stopped, "-resume", f"cv/{path.name}", *end, small=[])
        said = f"cv/lm_lstm_latest.t7 is an unfinished run: text of -data_dir data, iteration {i}, epoch "
        assert str(error).startswith(said) and "-overwrite 1" in str(error)
        assert content(stopped / "cv") == before
    # what continues the very state, or a later one, loses nothing
    shutil.copy2(latest, stopped / "cv/lm_lstm_best.t7")
    error, _, err = result_of(stopped, "-resume", "cv/lm_lstm_best.t7", "-max_epochs", str(i / 60 + 0.05), small=[])
    assert error is None and "this run replaces" not in err
    for path in (older, latest):
        path.write_bytes(before[path.name])
    (newest,) = set(named(stopped)) - {older, other}
    assert result_of(stopped, "-resume", f"cv/{newest.name}", *end, small=[])[0] is None
    latest.write_bytes(before[latest.name])
    error, _, err = result_of(stopped, "-resume", f"cv/{older.name}", *end, "-overwrite", "1", small=[])
    assert error is None and "-overwrite 1 gives up the unfinished run cv/lm_lstm_latest.t7: " in err
    assert checkpoint.load(latest).i == 6


def test_an_unfinished_run_in_another_format_is_seen(stopped):
    """Until a run of this format has been given up for it."""
    pytest.importorskip("safetensors")
    latest = stopped / "cv" / "lm_lstm_latest.t7"
    checkpoint.convert(checkpoint.load(latest), latest.with_suffix(".safetensors"))
    for file in (stopped / "cv").glob("*.t7"):
        file.unlink()
    before = content(stopped / "cv")
    error, out, _ = result_of(stopped, "-max_epochs", "0.2")
    assert str(error).startswith(
        "cv/lm_lstm_latest.safetensors is an unfinished run: text of -data_dir data, iteration "
    )
    assert "-resume cv/lm_lstm_latest.safetensors" in str(error)
    assert out == [] and content(stopped / "cv") == before
    error, _, err = result_of(stopped, "-max_epochs", "0.1", "-overwrite", "1")
    assert error is None
    assert "-overwrite 1 gives up the unfinished run cv/lm_lstm_latest.safetensors: " in err
    assert result_of(stopped, "-max_epochs", "0.1")[0] is None


@pytest.mark.parametrize("newer", [".t7", ".safetensors"])
def test_of_two_formats_the_newer_one_counts(stopped, newer):
    pytest.importorskip("safetensors")
    t7 = stopped / "cv" / "lm_lstm_latest.t7"
    found = checkpoint.load(t7)
    checkpoint.convert(found, other := t7.with_suffix(".safetensors"))
    found.opt["max_epochs"] = found.epoch  # a finished run
    checkpoint.convert(found, t7)
    for path in (t7, other):
        os.utime(path, (2e9, 2e9) if path.suffix == newer else (1e9, 1e9))
    error, _, _ = result_of(stopped, "-max_epochs", "0.1")
    said = str(error).startswith("cv/lm_lstm_latest.safetensors is an unfinished run: ")
    assert said == (newer == ".safetensors") == (error is not None)


def test_a_run_that_does_not_say_when_it_ends_is_unfinished(stopped):
    latest = stopped / "cv/lm_lstm_latest.t7"
    recording(latest, latest, max_epochs="many", patience="much")
    error, _, _ = result_of(stopped, "-max_epochs", "0.2")
    assert str(error).startswith("cv/lm_lstm_latest.t7 is an unfinished run: text of -data_dir data, iteration ")


def test_an_unfinished_run_is_described(stopped):
    latest = stopped / "cv/lm_lstm_latest.t7"
    found = checkpoint.load(latest)
    found.i, found.epoch, found.train_losses = 90, 1.5, [4.5] * 89 + [2.125]
    found.opt.update(max_epochs=91 / 60, data_dir="my\u202edata")
    for val_losses, loss in (({60: 2.25, 30: 2.5}, "validation loss 2.2500"), ({}, "training loss 2.1250")):
        found.val_losses = val_losses
        checkpoint.convert(found, latest)
        error, _, _ = result_of(stopped, "-max_epochs", "0.2")
        text = quoted(r"my\u202edata")
        assert f"text of -data_dir {text}, iteration 90, epoch 1.50, {loss}; go on with it by " in str(error)


def test_the_command_that_goes_on_can_be_typed(stopped):
    (stopped / "cv").rename(stopped / "my cv")
    error, _, _ = result_of(stopped, "-checkpoint_dir", "my cv", "-max_epochs", "0.2")
    assert f"pycharrnn train -resume {quoted('my cv/lm_lstm_latest.t7')}, " in str(error)


def test_a_run_may_go_on_in_another_format(stopped):
    pytest.importorskip("safetensors")
    latest = stopped / "cv" / "lm_lstm_latest.t7"
    found = checkpoint.load(latest)
    checkpoint.convert(found, latest.with_suffix(".safetensors"))
    for file in (stopped / "cv").glob("*.t7"):
        file.unlink()
    args = ["-checkpoint_format", "t7", "-max_epochs", str(found.i / 60 + 0.05)]
    error, _, err = result_of(stopped, "-resume", "cv/lm_lstm_latest.safetensors", *args, small=[])
    assert error is None and "gives up" not in err
    assert checkpoint.load(latest).i > found.i


def test_the_ways_on(stopped, tmp_path):
    i = checkpoint.load(stopped / "cv/lm_lstm_latest.t7").i
    for more in (["-savefile", "other"], ["-checkpoint_dir", "elsewhere"]):
        before = content(stopped / "cv")
        assert result_of(stopped, *more, "-data_dir", "other", "-max_epochs", "0.1")[0] is None
        assert before.items() <= content(stopped / "cv").items()
    error, out, err = result_of(
        stopped, "-resume", "cv", "-savefile", "lstm", "-max_epochs", str(i / 60 + 0.1), small=[]
    )
    assert error is None and out[0].startswith("resuming from cv/lm_lstm_latest.t7")


def test_overwrite_gives_it_up(stopped):
    shutil.copy2(stopped / "cv/lm_lstm_latest.t7", stopped / "cv/lm_lstm_best.t7")
    error, out, err = result_of(stopped, "-data_dir", "other", "-max_epochs", "0.1", "-overwrite", "1")
    assert error is None
    assert "-overwrite 1 gives up the unfinished run cv/lm_lstm_latest.t7: text of -data_dir data, iteration " in err
    assert "this run replaces" not in err
    found = checkpoint.load(stopped / "cv/lm_lstm_latest.t7")
    assert found.opt["data_dir"] == "other"
    assert "overwrite" not in found.opt  # it is of the command, not of the run


def test_over_a_finished_run_it_is_said_what_the_names_were(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2", "-eval_val_every", "6")
    best = min(named(folder), key=lambda p: checkpoint.load(p).val_loss)
    last = named(folder)[-1]
    before = {p: p.read_bytes() for p in named(folder)}
    error, _, err = result_of(folder, "-seed", "5", "-max_epochs", "0.1")
    assert error is None
    for name, what, was in (("best", "best", best), ("latest", "newest", last)):
        stays = f"the {what} checkpoint of the finished run before stays as cv/{was.name}."
        assert f"this run replaces cv/lm_lstm_{name}.t7; {stays}" in err
    assert all(p.read_bytes() == kept for p, kept in before.items())
    for path in set(named(folder)) - before.keys():
        path.unlink()
    for name, was in (("best", best), ("latest", last)):
        (folder / f"cv/lm_lstm_{name}.t7").write_bytes(was.read_bytes())
    error, _, err = result_of(folder, "-resume", f"cv/{named(folder)[0].name}", "-max_epochs", "0.15", small=[])
    assert error is None
    assert (
        f"this run replaces cv/lm_lstm_best.t7; the best checkpoint of the finished run before stays as cv/{best.name}."
        in err
    )
    found = checkpoint.load(best)
    found.opt.update(patience=1, max_epochs=50)  # a run that -patience has finished
    found.val_losses = {1: 1.0, 2: 2.0}
    checkpoint.convert(found, folder / "cv/lm_lstm_latest.t7")
    best.unlink()
    error, _, err = result_of(folder, "-max_epochs", "0.05")
    assert error is None
    lost = f"the only checkpoint of iteration {found.i} of a finished run."
    assert f"this run replaces cv/lm_lstm_latest.t7, {lost}" in err
    assert "not a checkpoint" not in err


def test_a_best_checkpoint_that_was_removed_is_not_replaced(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    (folder / "cv/lm_lstm_best.t7").unlink()
    error, _, err = result_of(folder, "-max_epochs", "0.05")
    assert error is None
    assert "replaces cv/lm_lstm_latest.t7" in err
    assert "lm_lstm_best.t7, which is not a checkpoint" not in err


def test_the_model_that_a_run_begins_with_is_not_overwritten(tmp_path):
    folder = folder_with_text(tmp_path)
    (folder / "cv").mkdir()
    train(folder, "-max_epochs", "0.2", "-savefile", "base")
    best = folder / "cv/lm_lstm_best.t7"
    shutil.copy(named(folder)[0], best)
    before = content(folder / "cv")
    for path in ("cv/lm_lstm_best.t7", "./cv/../cv/lm_lstm_best.t7"):
        error, out, _ = result_of(folder, "-init_from", path, "-max_epochs", "0.1")
        assert str(error) == (
            "this training would overwrite cv/lm_lstm_best.t7, from which it starts: choose another -savefile or"
            " -checkpoint_dir, or give it up with -overwrite 1."
        )
        assert content(folder / "cv") == before and not any("loading data" in line for line in out)
    assert result_of(folder, "-init_from", path, "-max_epochs", "0.1", "-savefile", "new")[0] is None
    assert best.read_bytes() == before[best.name]
    # nor its newest checkpoint, unless it is there under another name as well
    name = next(path for path in named(folder) if path.samefile(folder / "cv/lm_base_latest.t7"))
    (folder / "cv/lm_base_best.t7").unlink()
    for other in (None, b"something else"):
        (folder / "cv/hidden").mkdir(exist_ok=True)
        if other:
            name.write_bytes(other)
        else:
            name.rename(folder / "cv/hidden" / name.name)
        latest = "cv/lm_base_latest.t7"
        error, _, _ = result_of(folder, "-init_from", latest, "-savefile", "base", "-max_epochs", "0.1")
        assert str(error).startswith("this training would overwrite cv/lm_base_latest.t7, from which it starts: ")
    name.unlink()
    (folder / "cv/hidden" / name.name).rename(name)
    (folder / "cv/lm_base_best.t7").hardlink_to(name)
    # one that is there under another name as well stays
    error, _, _ = result_of(folder, "-init_from", "cv/lm_base_best.t7", "-savefile", "base", "-max_epochs", "0.1")
    assert error is None and before[best.name] in content(folder / "cv").values()
    assert result_of(folder, "-init_from", path, "-max_epochs", "0.1", "-overwrite", "1")[0] is None
    assert best.read_bytes() != before[best.name]


def test_an_empty_checkpoint_dir_is_the_current_folder(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-checkpoint_dir", "", "-max_epochs", "0.1")
    assert {"lm_lstm_best.t7", "lm_lstm_latest.t7"} < set(content(folder))


def test_what_can_not_be_read_is_not_overwritten_either(tmp_path):
    folder = folder_with_text(tmp_path)
    (folder / "cv").mkdir()
    latest = folder / "cv/lm_lstm_latest.t7"
    latest.write_bytes(b"my thesis")
    error, _, _ = result_of(folder, "-max_epochs", "0.1")
    assert "cv/lm_lstm_latest.t7, which this training would overwrite, is not a checkpoint" in str(error)
    assert latest.read_bytes() == b"my thesis"
    assert result_of(folder, "-max_epochs", "0.1", "-overwrite", "1")[0] is None
    assert checkpoint.load(latest).i


def test_a_newest_state_that_is_damaged_does_not_keep_its_run_from_going_on(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1", "-eval_val_every", "3")
    (folder / "cv/lm_lstm_latest.t7").unlink()
    (folder / "cv/lm_lstm_latest.t7").write_bytes(b"half a checkpoint")
    error, out, err = result_of(folder, "-resume", "cv", "-max_epochs", "0.15", small=[])
    assert error is None and "this run replaces" not in err
    assert checkpoint.load(folder / "cv/lm_lstm_latest.t7").i == 9


def test_a_finished_run_may_go_on_from_its_best_checkpoint_which_no_other_file_holds(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1", "-eval_val_every", "3")
    first, last = named(folder)
    (best := folder / "cv/lm_lstm_best.t7").unlink()
    first.rename(best)
    last.unlink()
    error, _, err = result_of(folder, "-resume", "cv/lm_lstm_best.t7", "-max_epochs", "0.15", small=[])
    assert error is None and checkpoint.load(best).i > 3
    assert "this run replaces cv/lm_lstm_latest.t7, the only checkpoint of iteration 6 of a finished run." in err
    assert "this run replaces cv/lm_lstm_best.t7" not in err


def test_a_run_that_is_going_on_is_said_to_be_locked(tmp_path):
    folder = folder_with_text(tmp_path)
    process = started(folder, *LONG, "-save_every_minutes", "0.0001", lines=2)
    try:
        assert (folder / "cv/lm_lstm_latest.t7").exists()
        (folder / "new.txt").write_bytes(OTHER_TEXT)
        for text in ([], ["new.txt", "-savefile", "lstm"]):
            small = [] if text else SMALL
            error, out, _ = result_of(folder, *text, "-gpuid", "-1", "-max_epochs", "0.1", small=small)
            assert str(error).startswith("another training (process ") and out == []
        assert {path.name for path in folder.iterdir()} == {"data", "cv", "new.txt"}
        assert not (folder / "data/new").exists()
    finally:
        process.kill()
        process.communicate()


# -- where a run that goes on writes -----------------------------------------------------------------------------------


def recording(path: Path, to: Path, **options) -> Path:
    """A copy of a checkpoint that records other options."""
    table = compat.load_t7(path)
    table[b"opt"].update({k.encode(): str(v).encode() for k, v in options.items()})
    compat.save_t7(to, table)
    return to


def test_going_on_writes_beside_the_checkpoint(stopped, tmp_path):
    victim, gift = tmp_path / "victim", tmp_path / "gift"
    victim.mkdir()
    gift.mkdir()
    latest = stopped / "cv/lm_lstm_latest.t7"
    found = checkpoint.load(latest)
    file = recording(latest, gift / "lm_gift.t7", checkpoint_dir=victim)
    end = ["-max_epochs", str(found.i / 60 + 0.05)]
    train(stopped, "-resume", str(file), *end, small=[])
    assert not list(victim.iterdir())
    assert {p.name for p in gift.iterdir()} > {"lm_gift.t7", "lm_lstm_latest.t7"}
    # where the command line says, it does write
    train(stopped, "-resume", str(file), *end, "-checkpoint_dir", str(victim), small=[])
    assert (victim / "lm_lstm_latest.t7").exists()


@pytest.mark.parametrize("name", ["a/../../../escaped", "/../../escaped", "sub/x"])
def test_a_recorded_savefile_that_is_no_name_is_refused(stopped, tmp_path, name):
    file = recording(stopped / "cv/lm_lstm_latest.t7", stopped / "cv/lm_gift.t7", savefile=name)
    before = sorted(tmp_path.rglob("*"))
    error, _, _ = result_of(stopped, "-resume", str(file), small=[])
    assert str(error).startswith(f"{file} records an option that can't be used, so give it: -savefile {name} is not a ")
    assert sorted(tmp_path.rglob("*")) == before
    i = checkpoint.load(file).i
    train(stopped, "-resume", str(file), "-savefile", "mine", "-max_epochs", str(i / 60 + 0.05), small=[])
    assert (stopped / "cv/lm_mine_latest.t7").exists()


def test_going_on_elsewhere_does_not_overwrite_an_unfinished_run_there(stopped, tmp_path):
    other = copied(stopped, tmp_path / "other", stopped / "cv/lm_lstm_latest.t7")
    before = (stopped / "cv/lm_lstm_latest.t7").read_bytes()
    found = checkpoint.load(other / "cv/lm_lstm_latest.t7")
    end = ["-max_epochs", str(found.i / 60 + 0.05)]
    there = str(stopped / "cv")
    error, _, _ = result_of(other, "-resume", "cv", "-checkpoint_dir", there, *end, small=[])
    assert "is an unfinished run" in str(error)
    assert (stopped / "cv/lm_lstm_latest.t7").read_bytes() == before
    # a file of another name in the same folder is another run as well
    gift = recording(stopped / "cv/lm_lstm_latest.t7", stopped / "cv/gift.t7")
    assert "is an unfinished run" in str(result_of(stopped, "-resume", str(gift), *end, small=[])[0])


# -- a text that changes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["step", "validation"])
def test_a_text_that_is_changed_costs_no_run(tmp_path, monkeypatch, when):
    """The run is saved, and goes on, once the cache is made anew, as if nothing had been."""
    from pycharrnn.text import loader

    monkeypatch.setattr(loader, "_READ_AHEAD", 1)
    whole = steps(train(folder_with_text(tmp_path / "whole"), "-max_epochs", "1", "-eval_val_every", "20"))
    folder = folder_with_text(tmp_path / "changed")
    train(folder, "-max_epochs", "0.001")
    data = folder / "data/data.t7"
    read = loader.TextLoader.next_batch
    splits: list[int] = []

    def change_once(self, split):
        splits.append(split)
        if splits.count(1) == 30 and when == "step" or split == 2 and splits.count(2) == 3 and when == "validation":
            data.write_bytes(data.read_bytes()[:-1] + b"\1")
        return read(self, split)

    monkeypatch.setattr(loader.TextLoader, "next_batch", change_once)
    error, out, _ = result_of(folder, "-max_epochs", "1", "-eval_val_every", "20")
    monkeypatch.setattr(loader.TextLoader, "next_batch", read)
    done = 29 if when == "step" else 20
    said = f"it is made anew from input.txt; stopped after iteration {done}; go on with: pycharrnn train -resume cv/lm_"
    assert error.status == 1 and said in str(error), error
    assert "data/data.t7 can't be read any more (another program has changed it): remove it" in str(error)
    latest = checkpoint.load(folder / "cv/lm_lstm_latest.t7")
    assert latest.i == done
    data.unlink()
    lines = steps(train(folder, "-resume", "cv", small=[]))
    if when == "step":
        assert lines == whole[whole.index(lines[0]) :]
    else:  # the validation that could not end would have left its state to training
        assert lines[0].startswith("21/60")
    assert lines[-1].startswith("60/60")


def test_a_text_that_changes_before_anything_is_trained(tmp_path, monkeypatch):
    from pycharrnn.text import loader

    def changed(self, split):
        raise loader.TextChanged("gone")

    left = []
    monkeypatch.setattr(loader.TextLoader, "next_batch", changed)
    monkeypatch.setattr(Ranks, "destroy", lambda ranks: left.append(ranks))
    error, _, _ = result_of(folder_with_text(tmp_path), "-max_epochs", "1")
    assert not left  # other processes would know nothing of it, and wait for this one
    assert "stopped after iteration 0; that could not be saved (nothing has been trained)" in str(error)
    assert not named(tmp_path)


def test_the_state_before_a_validation_comes_back(tmp_path, monkeypatch):
    """What is saved after a validation that could not end goes on from the step before it, with -exact 0 exactly."""
    from pycharrnn.text import loader

    monkeypatch.setattr(loader, "_READ_AHEAD", 1)
    exact = ["-exact", "0", "-max_epochs", "1", "-eval_val_every", "20"]
    whole = steps(train(folder_with_text(tmp_path / "whole"), *exact))
    folder = folder_with_text(tmp_path / "changed")
    read, failed = loader.TextLoader.next_batch, []

    def fail_once(self, split):
        if split == 2 and self.batch_ix[2] == 2 and not failed:
            failed.append(split)
            raise loader.TextChanged("gone")
        return read(self, split)

    monkeypatch.setattr(loader.TextLoader, "next_batch", fail_once)
    assert "after iteration 20" in str(result_of(folder, *exact)[0])
    lines = steps(train(folder, "-resume", "cv", small=[]))
    trained = [line for line in whole if line.startswith(tuple(f"{i}/" for i in range(21, 61)))]
    assert [line for line in lines if "train_loss" in line] == [line for line in trained if "train_loss" in line]
    assert failed


def test_golden_checkpoints_are_where_they_were():
    """Going on from a recorded checkpoint would write beside it: tests copy it first."""
    assert not list(GOLDEN.glob("*/lm_*_latest.t7"))


def test_the_only_checkpoint_of_a_run_is_not_overwritten(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2")
    (name,) = named(folder)
    (folder / "cv/lm_lstm_latest.t7").unlink()
    error, _, err = result_of(folder, "-max_epochs", "0.1")
    assert error is None and f"the best checkpoint of the finished run before stays as cv/{name.name}." in err
    for path in (*named(folder), folder / "cv/lm_lstm_latest.t7"):
        path.unlink()
    best = folder / "cv/lm_lstm_best.t7"
    for content_, what in ((best.read_bytes(), "the only checkpoint of its run"), (b"my notes", "not a checkpoint")):
        best.write_bytes(content_)
        error, _, _ = result_of(folder, "-max_epochs", "0.1")
        said = f"cv/lm_lstm_best.t7, which this training would overwrite, is {what}: choose another -savefile or "
        assert str(error).startswith(said)
        assert content(folder / "cv") == {best.name: content_}
    error, _, err = result_of(folder, "-max_epochs", "0.1", "-overwrite", "1")
    assert error is None and "this run replaces cv/lm_lstm_best.t7, which is not a checkpoint." in err


def test_going_on_without_the_newest_checkpoint_replaces_the_best(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2")
    (folder / "cv/lm_lstm_latest.t7").unlink()
    error, _, err = result_of(folder, "-resume", str(named(folder)[0]), "-max_epochs", "0.4", small=[])
    assert error is None and "this run replaces" not in err


def test_going_on_does_not_replace_the_best_checkpoint_of_another_run(tmp_path):
    folder, other = folder_with_text(tmp_path), folder_with_text(tmp_path / "other")
    for one, seed in ((folder, "1"), (other, "2")):
        train(one, "-max_epochs", "0.1", "-seed", seed)
    best, latest = (folder / f"cv/lm_lstm_{name}.t7" for name in ("best", "latest"))
    (name,) = named(folder)
    for content_, what in ((b"my notes", "not a checkpoint"), (named(other)[0].read_bytes(), "the only checkpoint of")):
        for path in (best, latest):
            path.unlink(missing_ok=True)
        best.write_bytes(content_)
        error, _, _ = result_of(folder, "-resume", f"cv/{name.name}", "-max_epochs", "0.15", small=[])
        assert str(error).startswith(f"cv/lm_lstm_best.t7, which this training would overwrite, is {what}")
        assert best.read_bytes() == content_ and not latest.exists()
    best.write_bytes(b"my notes")
    latest.write_bytes(named(other)[0].read_bytes())  # of a finished run
    error, _, err = result_of(folder, "-resume", f"cv/{name.name}", "-max_epochs", "0.15", small=[])
    assert error is None and "this run replaces cv/lm_lstm_best.t7, which is not a checkpoint." in err


@pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links")
@pytest.mark.parametrize("name", ["best", "latest"])
@pytest.mark.parametrize("args", [["-resume", "cv"], [*SMALL, "-overwrite", "1"]])
def test_no_checkpoint_is_written_through_a_link(tmp_path, name, args):
    """A run's folder from somebody else could name a file of the user's."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    letter, link = tmp_path / "letter.txt", folder / f"cv/lm_lstm_{name}.t7"
    letter.write_bytes(b"a letter")
    link.unlink()
    link.symlink_to(letter)
    error, _, _ = result_of(folder, *args, "-max_epochs", "0.15", small=[])
    assert str(error) == f"can't write cv/lm_lstm_{name}.t7: it is a symbolic link: remove it."
    assert letter.read_bytes() == b"a letter"
