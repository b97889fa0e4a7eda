"""Which checkpoints an argument means, and the names by which several are told apart."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
from conftest import GOLDEN

from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.paths import best_first, load_best, load_every, load_runs, newest_first
from pycharrnn.common.errors import UserError

CHECKPOINT = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"


def make(folder: Path, name: str, modified: int) -> str:
    """A file with the name of a checkpoint, which says all that is asked of it; `modified` in microseconds."""
    path = folder / name
    path.write_bytes(name.encode())
    os.utime(path, ns=(0, modified * 1000))  # Windows counts by 100 nanoseconds
    return str(path)


def save(folder: Path, name: str, val_losses: dict[int, float], val_loss: float | None = None, i: int = 10) -> str:
    """A checkpoint that was written after iteration `i`, with these losses of validations."""
    found = dataclasses.replace(checkpoint.load(CHECKPOINT), val_losses=val_losses, val_loss=val_loss, i=i)
    path = str(folder / name)
    checkpoint.convert(found, path)
    return path


def every_of(path: str, note) -> list:
    return list(load_every([path], note))


def names(paths) -> list[str]:
    return [os.path.basename(path) for path in paths]


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_file_means_itself(said):
    path = str(CHECKPOINT)
    assert load_best(path, said.append)[0] == path
    assert [found for found, _ in load_every([path], said.append)] == [path]
    assert [found for found, _ in load_runs(path, said.append)] == [path]
    assert said == []
    for load in (load_best, every_of, lambda *args: list(load_runs(*args))):
        with pytest.raises(UserError, match=r"File no/such.t7 does not exist"):
            load("no/such.t7", said.append)


def test_the_newest_of_a_folder_comes_first(tmp_path):
    make(tmp_path, "b.t7", 1000)
    make(tmp_path, "a.t7", 1001)
    make(tmp_path, "c.safetensors", 999)
    assert names(file.path for file in newest_first(str(tmp_path))) == ["a.t7", "b.t7", "c.safetensors"]
    make(tmp_path, "lm_x_epoch1.00_2.0000.t7", 1001)  # of two of one time, the one of the later epoch
    make(tmp_path, "lm_x_epoch10.00_2.0000.t7", 1001)
    assert names(file.path for file in newest_first(str(tmp_path)))[:3] == [
        "lm_x_epoch10.00_2.0000.t7",
        "lm_x_epoch1.00_2.0000.t7",
        "a.t7",
    ]


def test_what_is_no_checkpoint_is_passed_over(tmp_path, said):
    with pytest.raises(UserError, match=r"has no checkpoint \(.t7 or .safetensors\)"):
        newest_first(str(tmp_path))
    only = make(tmp_path, "a.t7", 1000)
    caches = ("vocab.t7", "data.t7", "vocab_utf8.t7", "data_utf8.t7", "data_without_0123456789ab.t7")
    for name in (*caches, ".a.t7", "a.json", "t7"):
        make(tmp_path, name, 2000)
    (tmp_path / "folder.t7").mkdir()
    (tmp_path / "loop.t7").symlink_to("loop.t7")
    assert [file.path for file in newest_first(str(tmp_path), said.append)] == [only]
    assert len(said) == 1 and said[0].startswith(f"skipped {tmp_path / 'loop.t7'}: ")
    with pytest.raises(UserError, match="can't look for checkpoints in nowhere"):
        newest_first("nowhere")


@pytest.mark.parametrize("second_name", [os.link, shutil.copy2], ids=["links", "copies"])
def test_second_names_are_the_same_files(tmp_path, second_name):
    """Training gives the best and the newest checkpoint a second name, or a copy where the disk has no links."""
    for epoch, loss in ((1, 2.5), (2, 2.0), (3, 2.0), (4, 2.25)):
        make(tmp_path, f"lm_x_epoch{epoch}.00_{loss:.4f}.t7", 1000 + epoch)
    second_name(tmp_path / "lm_x_epoch2.00_2.0000.t7", tmp_path / "lm_x_best.t7")
    second_name(tmp_path / "lm_x_epoch4.00_2.2500.t7", tmp_path / "lm_x_latest.t7")
    assert names(file.path for file in best_first(str(tmp_path), lambda line: None)) == [
        "lm_x_epoch2.00_2.0000.t7",  # of two of one loss, the one that is called best
        "lm_x_epoch3.00_2.0000.t7",
        "lm_x_epoch4.00_2.2500.t7",
        "lm_x_epoch1.00_2.5000.t7",
    ]
    assert [file.epoch for file in newest_first(str(tmp_path))] == [4, 3, 2, 1]


def test_the_best_is_known_by_names(tmp_path, said):
    """Only the one that is taken is read."""
    for epoch, loss in ((1, "1.5000"), (2, "nan"), (3, "2.5000")):
        make(tmp_path, f"lm_x_epoch{epoch}.00_{loss}.t7", 1000 + epoch)
    shutil.copy(CHECKPOINT, tmp_path / "lm_y_epoch9.00_1.2500.t7")
    path, loaded = load_best(str(tmp_path), said.append)
    assert (os.path.basename(path), loaded.network.rnn_size) == ("lm_y_epoch9.00_1.2500.t7", 16)
    assert said == [f"{tmp_path}: lm_y_epoch9.00_1.2500.t7, the lowest validation loss of 4 checkpoints"]
    assert names(file.path for file in best_first(str(tmp_path), said.append))[1:] == [
        f"lm_x_epoch{n}.t7" for n in ("1.00_1.5000", "3.00_2.5000", "2.00_nan")
    ]
    assert names(path for path, _ in load_every([str(tmp_path)], said.append)) == ["lm_y_epoch9.00_1.2500.t7"]
    assert said[1] == f"{tmp_path}: 4 checkpoints, the lowest validation loss first"


def test_the_best_is_known_by_what_files_record(tmp_path, said):
    save(tmp_path, "lm_x_epoch1.00_1.5000.t7", {})
    save(tmp_path, "checkpoint_10.t7", {5: 1.0, 10: 1.25}, 1.25)
    save(tmp_path, "checkpoint_10.safetensors", {}, 1.75)
    save(tmp_path, "lm_x_latest.t7", {5: 1.0}, 1.0)  # written between validations
    files = [file.path for file in best_first(str(tmp_path), said.append)]
    assert names(files) == [
        "checkpoint_10.t7",
        "lm_x_epoch1.00_1.5000.t7",
        "checkpoint_10.safetensors",
        "lm_x_latest.t7",
    ]
    assert names([load_best(str(tmp_path), said.append)[0]]) == ["checkpoint_10.t7"]
    for path in files[:3]:
        os.unlink(path)
    load_best(str(tmp_path), said.append)
    assert said[-1] == f"{tmp_path}: lm_x_latest.t7, the only checkpoint"
    os.utime(save(tmp_path, "old.t7", {}), (0, 0))
    load_best(str(tmp_path), said.append)
    why = "the newest, since none has a validation loss, of 2 checkpoints"
    assert said[-1] == f"{tmp_path}: lm_x_latest.t7, {why}"


def test_damaged_ones_are_passed_over(tmp_path, said):
    for name in ("lm_x_epoch1.00_1.0000.t7", "lm_x_epoch2.00_9.0000.t7", "other.t7", "lm_y_latest.t7"):
        make(tmp_path, name, 10**15 * len(name))
    with pytest.raises(UserError, match="has no checkpoint that can be read"):
        load_best(str(tmp_path), said.append)
    with pytest.raises(UserError, match="has no checkpoint that can be read"):
        every_of(str(tmp_path), said.append)
    with pytest.raises(UserError, match="has no checkpoint that can be read"):
        list(load_runs(str(tmp_path), said.append))
    shutil.copy(CHECKPOINT, tmp_path / "lm_x_epoch3.00_2.0000.t7")
    for load in (lambda *args: [load_best(*args)], every_of, load_runs):
        said.clear()
        assert names(path for path, _ in load(str(tmp_path), said.append)) == ["lm_x_epoch3.00_2.0000.t7"]
        passed_over = [line for line in said if line.startswith("passed over: can't read ")]
        assert len(passed_over) == len({*passed_over}) >= 3


@pytest.mark.parametrize("second_name", [os.link, shutil.copy2, os.symlink], ids=["links", "copies", "symbolic"])
def test_second_names_on_the_command_line_count_once(tmp_path, said, second_name):
    """As those that a shell makes of cv/*.t7; the name with epoch and loss is the one that says most."""
    first, second = (tmp_path / f"lm_x_epoch{name}.t7" for name in ("1.00_2.5000", "2.00_2.0000"))
    shutil.copy(GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7", first)
    shutil.copy(CHECKPOINT, second)
    best, latest = tmp_path / "lm_x_best.t7", tmp_path / "lm_x_latest.t7"
    for name in (best, latest):
        second_name(second, name)
    given = [str(path) for path in (best, first, second, latest)]
    assert [path for path, _ in load_every(given, said.append)] == [str(second), str(first)]
    assert said == [f"{name} is a second name of {second}" for name in (best, latest)]
    said.clear()
    assert [path for path, _ in load_every([str(tmp_path), *given], said.append)] == [str(second), str(first)]
    assert said[0] == f"{tmp_path}: 2 checkpoints, the lowest validation loss first"
    said.clear()
    assert [path for path, _ in load_every([str(latest), str(best)], said.append)] == [str(best)]
    assert said == [f"{latest} is a second name of {best}"]
    os.unlink(first)
    with pytest.raises(UserError, match="1.00_2.5000.t7 does not exist"):
        list(load_every(given, said.append))


def test_a_file_of_the_command_line_that_is_damaged_is_an_error(tmp_path, said):
    damaged = make(tmp_path, "a.t7", 1000)
    shutil.copy(CHECKPOINT, tmp_path / "b.t7")
    assert names(path for path, _ in load_every([str(tmp_path)], said.append)) == ["b.t7"]
    with pytest.raises(UserError, match=r"can't read .*a\.t7"):
        list(load_every([str(tmp_path), damaged], said.append))


def test_of_each_run_the_newest(tmp_path, said):
    for modified, name in enumerate(["lm_b_epoch1.00_1.0000", "lm_b_epoch2.00_1.5000", "lm_a_epoch1.00_2.0000", "z"]):
        shutil.copy(CHECKPOINT, tmp_path / f"{name}.t7")
        os.utime(tmp_path / f"{name}.t7", (modified, modified))
    assert names(path for path, _ in load_runs(str(tmp_path), said.append)) == [
        "lm_a_epoch1.00_2.0000.t7",
        "lm_b_epoch2.00_1.5000.t7",
        "z.t7",
    ]
    assert said == [
        f"{tmp_path}: lm_a_epoch1.00_2.0000.t7, the only checkpoint",
        f"{tmp_path}: lm_b_epoch2.00_1.5000.t7, the newest, with the losses of its whole run, of 2 checkpoints",
        f"{tmp_path}: z.t7, the only checkpoint",
    ]


def test_models_without_any_loss_come_newest_first(tmp_path, said):
    for k, name in enumerate(("b.t7", "c.t7", "a.t7"), 1):
        os.utime(save(tmp_path, name, {}), ns=(0, k * 1_000_000))
    assert names(file.path for file in best_first(str(tmp_path), said.append)) == ["a.t7", "c.t7", "b.t7"]


@pytest.mark.parametrize("ending", [".t7", ".safetensors"])
def test_of_files_written_at_one_time_the_later_epoch_is_the_newest(tmp_path, ending):
    for epoch in ("9.00", "10.00", "8.50"):
        make(tmp_path, f"lm_x_epoch{epoch}_2.0000{ending}", 5)
    assert names(file.path for file in newest_first(str(tmp_path)))[0] == f"lm_x_epoch10.00_2.0000{ending}"


def test_the_best_and_latest_names_of_a_run_in_safetensors_are_second_names(tmp_path, said):
    path = save(tmp_path, "lm_x_epoch1.00_2.5000.safetensors", {10: 2.5})
    for alias in ("best", "latest"):
        os.link(path, tmp_path / f"lm_x_{alias}.safetensors")
    (found,) = best_first(str(tmp_path), said.append)
    assert (os.path.basename(found.path), found.is_best) == ("lm_x_epoch1.00_2.5000.safetensors", True)
