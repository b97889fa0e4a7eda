"""Which checkpoints a run keeps: the latest in time, the best, and the named ones of -keep."""

from __future__ import annotations

import dataclasses
import errno
import os
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import with_slashes, working_in
from runs import a_trainer, copied, folder_with_text, leavings, named, steps, train

from compat import charrnn
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.run_names import named_checkpoint
from pycharrnn.common.errors import for_command_line
from pycharrnn.common.losses import best_iteration
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.training import checkpoint_keeper
from pycharrnn.training.checkpoint_keeper import CheckpointKeeper
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.history import History
from pycharrnn.training.next_commands import NextCommands
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.run_lock import RunLock
from pycharrnn.training.settings import FileSettings, group
from pycharrnn.training.trainer import Trainer


@pytest.mark.slow
def test_latest_is_kept_in_time_and_changes_no_digit(tmp_path):
    plain, timed = folder_with_text(tmp_path / "plain"), folder_with_text(tmp_path / "timed")
    args = ["-max_epochs", "1.3", "-eval_val_every", "30", "-dropout", "0.2"]
    lines = train(plain, *args, "-save_every_minutes", "0")
    assert not (plain / "cv" / "lm_lstm_latest.t7").exists()
    seen: list[int] = []

    def spy(keeper, saved, save_latest=CheckpointKeeper.save_latest):
        save_latest(keeper, saved)
        seen.append(checkpoint.load("cv/lm_lstm_latest.t7").i)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointKeeper, "save_latest", spy)
        timed_lines = train(timed, *args, "-save_every_minutes", "0.000001")
    assert timed_lines == lines
    assert len(seen) > 3
    assert seen == sorted(seen)
    for ours, theirs in zip(named(timed), named(plain), strict=True):
        ours, theirs = checkpoint.load(ours), checkpoint.load(theirs)
        assert ours.train_losses == theirs.train_losses
        np.testing.assert_array_equal(ours.state.mean_square, theirs.state.mean_square)
    # at the end it is the last checkpoint
    assert (timed / "cv" / "lm_lstm_latest.t7").read_bytes() == named(timed)[-1].read_bytes()
    resumed = train(copied(timed, tmp_path / "c", named(timed)[0]), "-resume", "cv", small=[])
    assert (
        steps(resumed)
        == steps(lines)[lines.index("saving checkpoint to cv/" + named(plain)[0].name) + 2 - len(lines) :]
    )


def keeper_of(
    files: FileSettings,
    ranks: Ranks,
    history: History,
    note: PrintLine = print_nothing,
    resumed: str | None = None,
    on_save: Callable[[str], object] = print_nothing,
) -> CheckpointKeeper:
    """Of a run of 60 iterations an epoch."""
    lock = RunLock(files, pytest.fail)
    return CheckpointKeeper(files, ranks, 60, history, note, on_save, NextCommands("a"), resumed, lock)


def a_keeper(
    folder: Path,
    monkeypatch,
    note: PrintLine = print_nothing,
    on_save: Callable[[str], object] = print_nothing,
    **options,
) -> tuple[CheckpointKeeper, Trainer, History]:
    """Of a run that has trained one iteration in `folder`, with its trainer and its losses."""
    folder_with_text(folder)
    (folder / "cv").mkdir()
    monkeypatch.chdir(folder)
    trainer = a_trainer(folder, **options)
    trainer.step()
    history = History(array("d", trainer.new_losses()))
    files = group(FileSettings, TrainOptions(**options), checkpoint_format="t7")
    return keeper_of(files, trainer.ranks, history, note, on_save=on_save), trainer, history


def after(i: int, trainer: Trainer) -> Checkpoint:
    """A checkpoint of a trainer's model that says it is of iteration `i`."""
    return trainer.model.as_checkpoint(trainer.loader.vocab_mapping, {}, i=i, epoch=i / 60)


def test_latest_is_the_end_of_the_run_also_where_it_is_not_kept_in_time(tmp_path):
    """With -save_every_minutes 0 a signal may have written it; the run that goes on replaces it."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2")
    (folder / "cv" / "lm_lstm_latest.t7").replace(folder / "old.t7")
    train(folder, "-max_epochs", "0.3", "-save_every_minutes", "0")
    assert not (folder / "cv" / "lm_lstm_latest.t7").exists()
    (folder / "old.t7").replace(folder / "cv" / "lm_lstm_latest.t7")
    latest = "cv/lm_lstm_latest.t7"
    train(folder, "-resume", latest, "-max_epochs", "0.4", "-save_every_minutes", "0", small=[])
    assert checkpoint.load(folder / latest).i == 24
    train(folder, "-resume", latest, "-max_epochs", "5", "-patience", "1", "-eval_val_every", "7", small=[])
    newest = checkpoint.load(folder / latest)
    assert newest.i == max(newest.val_losses) > 24


def test_time_is_counted_from_the_last_save(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(checkpoint_keeper.time, "monotonic", lambda: now)
    keeper, trainer, _ = a_keeper(tmp_path, monkeypatch, save_every_minutes=2)
    assert not keeper.is_due()
    now += 119
    assert not keeper.is_due()
    now += 1
    assert keeper.is_due()
    keeper.save_latest(after(1, trainer))
    assert not keeper.is_due()
    now += 120
    assert keeper.is_due()
    monkeypatch.setattr(charrnn, "save", _no_space)
    keeper.save_latest(after(2, trainer))
    assert not keeper.is_due(), "a save that failed is tried again in its time, not at every step"


def test_of_several_processes_the_first_counts_the_time(tmp_path, monkeypatch):
    """It alone writes: another one would ask for a save after every step."""
    now = 1000.0
    monkeypatch.setattr(checkpoint_keeper.time, "monotonic", lambda: now)
    first, trainer, _ = a_keeper(tmp_path, monkeypatch, save_every_minutes=2)
    files = group(FileSettings, TrainOptions(save_every_minutes=2), checkpoint_format="t7")
    second = keeper_of(files, Ranks(1, 2), History())
    now += 120
    assert first.is_due() or second.is_due()
    second.save_latest(after(1, trainer))
    assert not any(Path("cv").iterdir())
    first.save_latest(after(1, trainer))
    assert not first.is_due() and not second.is_due()


def test_another_process_than_the_first_denies_no_checkpoint_when_the_text_changes():
    """The first one may have written some at intervals."""
    files = group(FileSettings, TrainOptions(), checkpoint_format="t7")
    second = keeper_of(files, Ranks(1, 2), History())
    assert for_command_line(str(second.text_changed("it changed.", None))) == "it changed; continue with -resume."


def _no_space(*args, **keywords):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_is_not_finite_never_becomes_latest(tmp_path, monkeypatch):
    keeper, trainer, _ = a_keeper(tmp_path, monkeypatch)
    trainer.model.flat.detach()[3] = float("inf")
    keeper.save_latest(after(1, trainer))
    assert not list((tmp_path / "cv").iterdir())


def test_latest_is_written_again_where_it_was_removed(tmp_path, monkeypatch):
    keeper, trainer, _ = a_keeper(tmp_path, monkeypatch)
    latest = tmp_path / "cv/lm_lstm_latest.t7"
    keeper.save_latest(after(1, trainer))
    written = latest.stat().st_ino
    keeper.save_latest(after(1, trainer))
    assert latest.stat().st_ino == written  # nothing new to save
    latest.unlink()
    keeper.save_latest(after(1, trainer))
    assert latest.exists()
    written = latest.stat().st_mtime_ns
    os.utime(latest, (1e9, 1e9))
    keeper.save_latest(dataclasses.replace(after(1, trainer), opt={"minutes": 2}))
    assert latest.stat().st_mtime_ns >= written, "less time is left than was saved"


@pytest.mark.skipif(os.name == "nt", reason="Windows moves no folder with an open file")
def test_a_folder_that_is_made_again_is_locked_unless_another_training_has_it(tmp_path, monkeypatch):
    notes: list[str] = []
    told: list[str] = []
    keeper, trainer, _ = a_keeper(tmp_path, monkeypatch, notes.append, told.append)
    cv = tmp_path / "cv"
    with keeper._lock:
        cv.rename("first")
        keeper.save_latest(after(1, trainer))
        assert {path.name for path in cv.iterdir()} == {".lm_lstm.lock", "lm_lstm_latest.t7"}
        cv.rename("second")
        cv.mkdir()
        with RunLock(keeper._files, pytest.fail):
            keeper.save_latest(after(2, trainer))
            assert [path.name for path in cv.iterdir()] == [".lm_lstm.lock"]
        keeper.save_latest(after(3, trainer))
        assert (cv / "lm_lstm_latest.t7").exists()
    again, failed, works = notes
    assert again == "the folder cv was missing and has been created again."
    assert "another training (process " in failed and "trying again at the next save" in failed
    assert works.startswith("saving works again: ")
    assert told == [failed, ""]


def test_advice_can_be_pasted_into_a_shell(tmp_path, monkeypatch):
    keeper, trainer, _ = a_keeper(tmp_path, monkeypatch, checkpoint_dir="my cv; rm x")
    (tmp_path / "my cv; rm x").mkdir()
    said = str(keeper.stopped("SIGTERM", 143, after(1, trainer)))
    assert said.endswith("pycharrnn train -resume 'my cv; rm x/lm_lstm_latest.t7'")


def validated(keeper: CheckpointKeeper, trainer: Trainer, history: History, i: int, loss: float) -> Path:
    """The named checkpoint of a validation, which the keeper has written."""
    history.val_losses[i] = loss
    found = dataclasses.replace(after(i, trainer), val_loss=loss)
    path = keeper.save_named(found, found)
    assert path == keeper.path_of(i)
    return Path(path)


def test_best_and_last_are_files_that_are_there(tmp_path, monkeypatch):
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch)
    assert keeper.best is keeper.last is None
    first, second = validated(keeper, trainer, history, 10, 1.0), validated(keeper, trainer, history, 20, 2.0)
    assert (keeper.best, keeper.last) == (str(first), str(second))
    first.unlink()
    assert with_slashes(keeper.best) == "cv/lm_lstm_best.t7"
    Path(keeper.best).unlink()
    assert keeper.best == str(second)


def test_a_validation_that_is_not_finite_is_neither_best_nor_last(tmp_path, monkeypatch):
    notes: list[str] = []
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch, note=notes.append)
    good = validated(keeper, trainer, history, 10, 2.0)
    bad = [validated(keeper, trainer, history, 20, float("nan"))]
    trainer.model.flat.detach()[3] = float("inf")
    bad.append(validated(keeper, trainer, history, 30, 1.0))
    assert keeper.last == str(good)
    assert Path("cv/lm_lstm_best.t7").samefile(good)
    said = f"holds numbers that are not finite: lower -learning_rate or -grad_clip; the last good checkpoint is {good}."
    assert [for_command_line(note) for note in notes] == [f"{path} {said}" for path in bad]


@pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links")
def test_a_checkpoint_is_not_written_through_a_link(tmp_path, monkeypatch):
    """Somebody who shares the folder, and repeats the run, could name a file of the user's."""
    notes: list[str] = []
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch, note=notes.append)
    (tmp_path / "letter.txt").write_bytes(b"a letter")
    history.val_losses[10] = 1.0
    Path(keeper.path_of(10)).symlink_to(tmp_path / "letter.txt")
    assert keeper.save_named(after(10, trainer), after(10, trainer)) is None
    assert (tmp_path / "letter.txt").read_bytes() == b"a letter"
    assert notes[0].startswith(f"can't write {keeper.path_of(10)} (it is a symbolic link: remove it): trying again at")


def test_links_that_fail_are_said_once(tmp_path, monkeypatch):
    notes: list[str] = []
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch, save_every_minutes=0, note=notes.append)
    for number, count in ((errno.ENOENT, 0), (errno.EIO, 1)):  # a checkpoint that the user has removed is no fault

        def fail(source, target, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(checkpoint_keeper, "atomic_link", fail)
        paths = [validated(keeper, trainer, history, i, 9 - i / 10 - count) for i in (10, 20)]
        assert len(notes) == count
    said = f"can't make cv/lm_lstm_best.t7, a copy of {paths[0].as_posix()} ({os.strerror(errno.EIO)})."
    assert list(map(with_slashes, notes)) == [said]


def test_the_last_good_checkpoint_is_the_newest_that_is_there(tmp_path, monkeypatch):
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch)
    paths = [validated(keeper, trainer, history, i, 2.0 + i / 100) for i in (10, 20, 30)]
    paths[2].unlink()
    monkeypatch.setattr(charrnn, "save", _no_space)
    said = str(keeper.stopped("SIGTERM", 143, after(40, trainer)))
    why = f"that could not be saved (No space left on device), the last good checkpoint is {paths[1]}."
    assert said == f"stopped by SIGTERM after iteration 40; {why}"


def test_what_a_stop_says_of_another_process_and_of_nothing(tmp_path, monkeypatch):
    notes: list[str] = []
    told: list[str] = []
    keeper, trainer, _ = a_keeper(tmp_path, monkeypatch, notes.append, told.append)
    nothing = keeper.stopped("", 0, after(0, trainer))
    assert (str(nothing), nothing.status) == (
        "stopped by a signal to another process after iteration 0; that could not be saved (nothing has been trained),"
        " there is no good checkpoint.",
        1,
    )
    assert not any(Path("cv").iterdir())
    assert notes == []
    assert told == ["that could not be saved (nothing has been trained), there is no good checkpoint."]
    said = with_slashes(str(keeper.text_changed("it changed.", after(5, trainer))))
    assert notes == [NextCommands("a").sample(os.path.join("cv", "lm_lstm_latest.t7"))]
    assert said.startswith("it changed; stopped after iteration 5; go on with: pycharrnn train -resume cv/lm_lstm_lat")
    trainer.model.flat.detach()[3] = float("inf")
    assert "(its numbers are not finite), the last good" in str(keeper.stopped("", 0, after(6, trainer)))
    files = group(FileSettings, TrainOptions(), checkpoint_format="t7")
    second = keeper_of(files, Ranks(1, 2), History())
    for stopped, status in ((second.stopped("", 0, after(5, trainer)), 1), (second.diverged(), 3)):
        assert (str(stopped), stopped.status) == ("", status)


def test_a_diverging_run_goes_on_from_before_its_losses_rose(tmp_path, monkeypatch):
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch, save_every_minutes=0)
    limit = history.max_loss
    good, high = validated(keeper, trainer, history, 10, limit), validated(keeper, trainer, history, 20, limit + 0.1)
    on = "training diverged: lower -learning_rate or -grad_clip; go on from the last good checkpoint, -resume"
    on = f"{on} {good.as_posix()}"
    assert with_slashes(str(keeper.diverged())) == f"{on}."
    keeper.save_latest(after(30, trainer))
    assert with_slashes(str(keeper.diverged())) == f"{on}, and give up cv/lm_lstm_latest.t7 with -overwrite 1."
    Path("cv/lm_lstm_latest.t7").unlink()
    assert with_slashes(str(keeper.diverged())) == f"{on}."
    validated(keeper, trainer, history, 40, limit).unlink()
    assert with_slashes(str(keeper.diverged())) == f"{on}."
    for path in (good, Path("cv/lm_lstm_best.t7")):
        path.unlink()
    assert with_slashes(str(keeper.diverged())).endswith(f"-grad_clip; the last good checkpoint is {high.as_posix()}.")


def test_the_commands_at_the_end_name_best_while_it_is_there(tmp_path, monkeypatch):
    notes: list[str] = []
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch, note=notes.append)
    paths = [validated(keeper, trainer, history, i, loss) for i, loss in ((10, 2.0), (20, 1.0))]
    best, better = Path("cv/lm_lstm_best.t7"), paths[1].as_posix()
    for named_as, change in ((best.as_posix(), None), (better, best.unlink)):
        if change:
            change()
        notes.clear()
        keeper.finish()
        assert [with_slashes(for_command_line(note)) for note in notes] == [
            f"finished; the best checkpoint is {better}, with validation loss 1.0000.",
            f"sample from it with: pycharrnn sample {named_as}",
            f"write a page that runs it with: pycharrnn convert {named_as} a.html",
        ]


def test_the_commands_at_the_end_name_no_best_of_before(tmp_path, monkeypatch):
    """It could not be replaced."""
    notes: list[str] = []
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch, note=notes.append)
    validated(keeper, trainer, history, 10, 2.0)
    monkeypatch.setattr(checkpoint_keeper, "atomic_link", _no_space)
    path = validated(keeper, trainer, history, 20, 1.0)
    keeper.finish()
    assert NextCommands("a").sample(str(path)) in notes


@pytest.mark.parametrize(
    "resumed, is_counted",
    [
        ("cv/mine.t7", True),
        ("elsewhere/mine.t7", False),
        ("cv/mine.safetensors", False),
        ("cv/lm_lstm_latest.t7", False),  # which the run replaces
    ],
)
def test_a_resumed_checkpoint_of_the_run_s_folder_and_format_may_be_the_best(
    tmp_path, monkeypatch, resumed, is_counted
):
    monkeypatch.chdir(tmp_path)
    Path(resumed).parent.mkdir()
    Path(resumed).touch()
    files = group(FileSettings, TrainOptions(), checkpoint_format="t7")
    history = History(array("d", [1.0] * 10), {10: 1.0}, done=10)
    notes: list[str] = []
    keeper = keeper_of(files, Ranks(), history, notes.append, resumed)
    assert (keeper.best, keeper.last) == (resumed if is_counted else None, resumed)
    history.val_losses[11] = 0.5
    keeper.finish()  # the file is that of the iteration that was resumed
    assert [note for note in notes if "finished" in note] == (
        [f"finished; the best checkpoint is {resumed}, with validation loss 1.0000."] if is_counted else []
    )


def test_a_diverging_run_names_no_checkpoint_that_was_removed():
    files = group(FileSettings, TrainOptions(), checkpoint_format="t7")
    history = History(array("d", [1.0] * 10), {10: 9.0}, done=10)
    keeper = keeper_of(files, Ranks(), history, resumed="nowhere/gone.t7")
    said = "training diverged: lower -learning_rate or -grad_clip; there is no good checkpoint."
    assert for_command_line(str(keeper.diverged())) == said


@pytest.mark.parametrize(
    "name, rank, value, is_completed",
    [("", 0, 0.1, True), ("mine.t7", 0, 0.1, False), ("", 1, 0.1, False), ("", 0, float("inf"), False)],
)
def test_the_first_process_completes_a_run_after_its_named_checkpoint(
    tmp_path, monkeypatch, name, rank, value, is_completed
):
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch)
    path = validated(keeper, trainer, history, 10, 1.0)
    for other in ("best", "latest"):
        Path(f"cv/lm_lstm_{other}.t7").unlink()
    path = path.rename(path.with_name(name or path.name))
    trainer.model.flat.detach()[3] = value
    files = group(FileSettings, TrainOptions(), checkpoint_format="t7")
    history = History(array("d", [1.0] * 10), {10: 1.0}, done=10)
    resumed = keeper_of(files, Ranks(rank, 2), history, resumed=str(path))
    resumed.complete(after(10, trainer))
    assert {one.name for one in Path("cv").iterdir()} - {path.name} == (
        {"lm_lstm_best.t7", "lm_lstm_latest.t7"} if is_completed else set()
    )


@pytest.mark.parametrize("loss", [1.0, 1.5])
def test_best_is_the_checkpoint_of_a_validation_only_if_it_says_so(tmp_path, monkeypatch, loss):
    keeper, trainer, history = a_keeper(tmp_path, monkeypatch)
    validated(keeper, trainer, history, 10, loss).unlink()
    history = History(array("d", [1.0] * 20), {10: 1.0, 20: 2.0}, done=20)
    files = group(FileSettings, TrainOptions(), checkpoint_format="t7")
    resumed = keeper_of(files, Ranks(), history, resumed="other.t7")
    assert resumed.best == (os.path.join("cv", "lm_lstm_best.t7") if loss == 1.0 else None)
    other_splits = History(array("d", [1.0] * 20), done=20)
    assert keeper_of(files, Ranks(), other_splits, resumed="other.t7").best is None


def test_keep_n_best_and_the_newest(tmp_path):
    folder = folder_with_text(tmp_path)
    args = ["-eval_val_every", "10", "-max_epochs", "1.34", "-learning_rate", "0.3", "-seed", "1"]
    (folder / "cv").mkdir()
    foreign = folder / "cv" / "lm_lstm_epoch9.00_9.9999.t7"
    foreign.write_bytes(b"of another run")
    train(folder, *args, "-keep", "2")
    losses = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").val_losses
    assert len(losses) == 8
    best = sorted(losses, key=losses.get)[:2]
    expected = {named_checkpoint("cv/lm_lstm", i / 60, losses[i], ".t7") for i in [*best, 80]}
    assert 80 not in best
    assert {f"cv/{p.name}" for p in named(folder)} == expected | {"cv/lm_lstm_epoch9.00_9.9999.t7"}
    assert (folder / "cv" / "lm_lstm_best.t7").samefile(
        folder / named_checkpoint("cv/lm_lstm", best[0] / 60, losses[best[0]], ".t7")
    )
    # a run that goes on knows its earlier checkpoints
    train(folder, "-resume", "cv/lm_lstm_latest.t7", "-keep", "1", "-max_epochs", "1.5", small=[])
    losses = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").val_losses
    kept = {named_checkpoint("cv/lm_lstm", i / 60, losses[i], ".t7") for i in [best_iteration(losses), 90]}
    assert {f"cv/{p.name}" for p in named(folder)} == kept | {"cv/lm_lstm_epoch9.00_9.9999.t7"}


@pytest.mark.parametrize("resumes", [False, True])
def test_best_stays_where_its_other_name_was_removed(tmp_path, monkeypatch, resumes):
    from pycharrnn.training.loop import train as train_

    losses = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(Trainer, "evaluate", lambda *about: next(losses))
    folder, notes = folder_with_text(tmp_path), list[str]()
    options = {"data_dir": "data", "gpuid": -1, "rnn_size": 6, "batch_size": 5, "seq_length": 8, "eval_val_every": 20}

    def remove(line: str) -> None:
        if line.startswith("21/60 "):
            named(folder)[0].unlink()

    with working_in(folder):
        if resumes:
            train_(TrainOptions(**options, max_epochs=0.34))
            named(folder)[0].unlink()
            train_(TrainOptions(resume="cv", max_epochs=1), note=notes.append)
        else:
            train_(TrainOptions(**options, max_epochs=1), say=remove, note=notes.append)
    assert next(losses, None) is None
    assert checkpoint.load(folder / "cv/lm_lstm_best.t7").i == 20
    (line,) = (note for note in notes if note.startswith("finished"))
    assert with_slashes(line) == ("finished; the best checkpoint is cv/lm_lstm_best.t7, with validation loss 1.0000.")


def test_keep_counts_files_where_several_validations_have_one_name(tmp_path):
    """The name has two digits of the epoch and four of the loss, which may be those of the validation before."""
    folder = folder_with_text(tmp_path)
    args = ["-seq_length", "1", "-eval_val_every", "1", "-max_epochs", "0.0227", "-learning_rate", "1e-300"]
    train(folder, *args, "-keep", "2")
    losses = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").val_losses
    assert len(losses) == 11 and len(set(losses.values())) == 1
    assert [path.name.split("_")[2] for path in named(folder)] == ["epoch0.00", "epoch0.01", "epoch0.02"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "undone, more",
    [
        ("best", ()),
        ("latest", ()),
        ("best", ("-save_every_minutes", "0")),
        ("latest", ("-checkpoint_format", "safetensors")),
    ],
)
def test_a_run_killed_after_its_last_checkpoint_has_all_files_once_resumed(tmp_path, monkeypatch, undone, more):
    args = ("-max_epochs", "0.3", "-eval_val_every", "6", "-keep", "1", *more)
    whole, killed = (folder_with_text(tmp_path / name) for name in ("whole", "killed"))
    train(whole, *args)
    link = checkpoint_keeper.atomic_link

    def until_the_end(source, target):
        if "epoch0.30" in source and undone in target:
            raise Killed
        link(source, target)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(checkpoint_keeper, "atomic_link", until_the_end)
        train(killed, *args)
    train(killed, "-resume", "cv", small=[])
    found = [{path.name: path.read_bytes() for path in (folder / "cv").iterdir()} for folder in (whole, killed)]
    assert found[0] == found[1]


def test_best_is_a_copy_where_links_do_not_work(tmp_path, monkeypatch):
    def no_links(*args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    assert (folder / "cv" / "lm_lstm_best.t7").read_bytes() == named(folder)[0].read_bytes()
    assert not leavings(folder)
