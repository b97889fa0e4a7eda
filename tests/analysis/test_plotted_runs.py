"""What `plot` draws of the files that it gets, -log files among them, and what it calls it."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from array import array
from pathlib import Path

import pytest
from conftest import GOLDEN, run, sentence
from plots import plot, texts
from runs import folder_with_text, named, train

from pycharrnn.analysis import novelty_plot, plotted_runs
from pycharrnn.checkpoints import checkpoint
from pycharrnn.training.log_rows import Row, as_line, header

CHECKPOINT = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
SHORT = ["-max_epochs", "1", "-eval_val_every", "20"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two runs in cv, with the log of the second."""
    folder = folder_with_text(tmp_path_factory.mktemp("runs"))
    train(folder, *SHORT, "-savefile", "one")
    train(folder, *SHORT, "-savefile", "two", "-seed", "2", "-log", "of_two.csv")
    train(folder, *SHORT, "-savefile", "one", "-seed", "3", "-checkpoint_dir", "other")
    return folder


def drawn(folder: Path, *args) -> list[str]:
    """The names of the curves that `plot` has drawn."""
    *curves, saved = plot(*args, "-o", folder / "a.svg").splitlines()
    assert saved == f"saved {folder / 'a.svg'}"
    found = [text.partition(", best ")[0] for text in texts(folder / "a.svg")]
    assert all(curve in found for curve in curves)
    return curves


def test_the_files_of_a_run_are_one_curve(folder):
    """That of the file that knows most, wherever it stands."""
    cv = folder / "cv"
    first, *_, last = (path for path in named(folder) if "lm_two" in path.name)
    for files in ([cv / "lm_two_best.t7", first, cv / "lm_two_latest.t7", last], [last, first], [first, last, first]):
        assert drawn(folder, *files) == ["two: lstm, 2 x 6"]
        assert any(text.endswith("at epoch 1.00") for text in texts(folder / "a.svg"))
    assert drawn(folder, first) == ["two: lstm, 2 x 6"]
    assert any(text.endswith("at epoch 0.33") for text in texts(folder / "a.svg"))


def test_folders_tell_runs_of_one_name_apart(folder):
    curves = drawn(folder, folder / "cv", folder / "other")
    assert curves == ["cv/one: lstm, 2 x 6", "two: lstm, 2 x 6", "other/one: lstm, 2 x 6"]


def test_two_runs_that_had_the_same_name_in_one_folder(folder, tmp_path):
    """Whose losses differ, so that only their files' names tell them apart."""
    shutil.copy(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7", tmp_path / "lm_x_epoch1.00_2.0000.t7")
    shutil.copy(GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7", tmp_path / "lm_x_epoch2.00_2.0000.t7")
    curves = drawn(folder, *sorted(tmp_path.glob("*.t7")))
    assert curves == ["lm_x_epoch1.00_2.0000: lstm, 2 x 16", "lm_x_epoch2.00_2.0000: gru, 2 x 14"]


def test_a_run_that_another_one_contains(tmp_path):
    """The losses of the older checkpoint begin those of the newer one, which alone has validation losses."""
    found = checkpoint.load(CHECKPOINT)
    for name, i, val_losses in (
        ("lm_x_epoch1.00_4.2000.t7", 221, {}),
        ("lm_x_epoch3.00_2.8734.t7", 663, {663: 2.8734}),
    ):
        part = {"i": i, "epoch": i / 221, "train_losses": found.train_losses[:i], "val_losses": val_losses}
        checkpoint.convert(dataclasses.replace(found, **part), tmp_path / name)
    said: list[str] = []
    (run,) = plotted_runs.find([str(tmp_path)], said.append)
    assert run.path == str(tmp_path / "lm_x_epoch3.00_2.8734.t7")
    assert said[-1] == f"{tmp_path / 'lm_x_epoch1.00_4.2000.t7'} is not drawn: {run.path} has its losses, too"


def test_files_that_training_did_not_name(folder, tmp_path):
    for name in ("mine.t7", "lm_run.7.t7"):
        shutil.copy(CHECKPOINT, tmp_path / name)
    shutil.copy(CHECKPOINT, tmp_path / "lm_my.v2_latest.t7")
    curves = drawn(folder, *(tmp_path / name for name in ("mine.t7", "lm_run.7.t7", "lm_my.v2_latest.t7")))
    assert curves == ["mine: lstm, 2 x 16", "lm_run.7: lstm, 2 x 16", "my.v2: lstm, 2 x 16"]


# -- -log files --------------------------------------------------------------------------------------------------------


def test_a_log_is_drawn_as_its_checkpoint_is(folder, tmp_path):
    """Where there is a row for each loss, the lines are the same."""
    assert drawn(folder, folder / "of_two.csv") == ["of_two"]
    of_the_log = (folder / "a.svg").read_text(encoding="utf-8")
    drawn(folder, folder / "cv" / "lm_two_latest.t7")
    of_the_checkpoint = (folder / "a.svg").read_text(encoding="utf-8")
    points, expected = points_of(of_the_log), points_of(of_the_checkpoint)
    assert len(expected) > 120
    assert points == pytest.approx(expected, abs=1e-3)  # points of a page; a log has some digits less


def points_of(svg: str) -> list[float]:
    """The coordinates of all lines of a picture, but those around its legend, whose width goes by the run's name."""
    lines = [line for line in svg.partition('id="legend')[0].splitlines() if " L " in line or line.startswith("L ")]
    return [float(number) for line in lines for number in re.findall(r"-?\d+\.?\d*", line)]


def test_a_log_beside_a_checkpoint_of_its_name(folder, tmp_path):
    shutil.copy(folder / "of_two.csv", tmp_path / "two.csv")
    shutil.copy(folder / "cv" / "lm_two_latest.t7", tmp_path)
    curves = drawn(folder, tmp_path / "two.csv", tmp_path / "lm_two_latest.t7", tmp_path / "two.csv")
    assert curves == ["two", "lm_two_latest: lstm, 2 x 6"]


@pytest.mark.slow
def test_a_log_that_is_being_written(tmp_path):
    """However much of it is there, once there is a row: a half row is none, and no error."""
    rows = [Row("train", i, i / 20, 3 - i / 100) for i in (10, 20, 30)] + [Row("validation", 30, 1.5, val_loss=2.75)]
    lines = [header("a.csv"), *(as_line(row, "a.csv") for row in rows)]
    whole = b"".join(lines)
    for size in range(len(lines[0]) + len(lines[1]), len(whole) + 1, 7):
        (tmp_path / "a.csv").write_bytes(whole[:size])
        assert drawn(tmp_path, tmp_path / "a.csv") == ["a"]
    (tmp_path / "a.csv").write_bytes(whole)
    drawn(tmp_path, tmp_path / "a.csv")
    assert "best 2.7500 at epoch 1.50" in texts(tmp_path / "a.svg")


def test_losses_of_a_log_that_are_no_numbers_are_left_out(tmp_path):
    rows = [Row("train", 1, 0.5, 2.5), Row("train", 2, 1.0, float("nan")), Row("validation", 2, 1.0, val_loss=2.25)]
    for name in ("a.csv", "a.jsonl"):
        (tmp_path / name).write_bytes(header(name) + b"".join(as_line(row, name) for row in rows))
        assert drawn(tmp_path, tmp_path / name) == ["a"]
        assert "best 2.2500 at epoch 1.00" in texts(tmp_path / "a.svg")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.csv", b"date,price\n1,2\n", "a.csv is not a log of pycharrnn train -log: line 1 is not one of its rows."),
        ("a.jsonl", b"{}\n", "a.jsonl is not a log of pycharrnn train -log: line 1 is not one of its rows."),
        ("a.csv", b"\x1b[31m" * 1000, "a.csv is not a log of pycharrnn train -log: line 1 is not one of its rows."),
        (
            "a.csv",
            header("a.csv"),
            "pycharrnn: a.csv has no losses to plot: choose a checkpoint or a -log file",
        ),
        ("a.jsonl", b"", "pycharrnn: a.jsonl has no losses to plot: choose a checkpoint or a -log file"),
    ],
)
def test_what_is_no_log_is_a_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert words in sentence(run("plot", name, cwd=tmp_path))
    assert not (tmp_path / "losses.png").exists()


def test_a_log_that_is_not_there(tmp_path):
    assert "can't read no.csv (No such file or directory)." in sentence(run("plot", "no.csv", cwd=tmp_path))
    os.mkdir(tmp_path / "a.csv")
    assert "can't read a.csv (not a regular file)." in sentence(run("plot", "a.csv", cwd=tmp_path))


def test_checkpoints_without_training_losses_are_of_one_run_by_their_name(folder, tmp_path):
    """As those of torch-rnn, or written by other programs."""
    found = dataclasses.replace(checkpoint.load(CHECKPOINT), train_losses=array("d"))
    for name, val_losses in (("lm_x_epoch1.00_3.0000.t7", {5: 3.0}), ("lm_x_epoch2.00_2.5000.t7", {5: 3.0, 9: 2.5})):
        checkpoint.convert(dataclasses.replace(found, val_losses=val_losses), str(tmp_path / name))
    assert drawn(folder, *sorted(tmp_path.glob("*.t7"))) == ["x: lstm, 2 x 16"]
    assert any(text.startswith("best 2.5000") for text in texts(folder / "a.svg"))


def test_a_run_with_nan_is_one_curve(folder, tmp_path):
    """NaN is not equal to itself, but the run is."""
    found, nan = checkpoint.load(CHECKPOINT), float("nan")
    for name, losses, val_losses in (
        ("lm_x_epoch1.00_nan.t7", [3.0, nan], {2: nan}),
        ("lm_x_epoch2.00_2.5000.t7", [3.0, nan, 2.75], {2: nan, 3: 2.5}),
    ):
        run_of_it = dataclasses.replace(found, train_losses=array("d", losses), val_losses=val_losses)
        checkpoint.convert(run_of_it, str(tmp_path / name))
    first, second = sorted(tmp_path.glob("*.t7"))
    for files in ([first, second], [second, first], [second, second]):
        assert drawn(folder, *files) == ["x: lstm, 2 x 16"]
        assert any("best 2.5000" in text for text in texts(folder / "a.svg"))


def test_runs_whose_losses_differ_are_two_curves(folder, tmp_path):
    found = checkpoint.load(CHECKPOINT)
    for name, losses in (("lm_x_epoch1.00_3.0000.t7", [3.0]), ("lm_x_epoch2.00_2.5000.t7", [3.5, 2.75])):
        checkpoint.convert(dataclasses.replace(found, train_losses=array("d", losses)), str(tmp_path / name))
    assert len(drawn(folder, *sorted(tmp_path.glob("*.t7")))) == 2


def test_a_checkpoint_in_json_has_losses(tmp_path):
    """Not every .json file is one of `copied -json 1`."""
    path = tmp_path / "x.json"
    checkpoint.convert(checkpoint.load(CHECKPOINT), path)
    assert not novelty_plot.is_curve(str(path)) and not novelty_plot.is_curve(str(tmp_path / "missing.json"))
    os.mkfifo(tmp_path / "pipe.json")
    assert not novelty_plot.is_curve(str(tmp_path / "pipe.json"))  # a test that waits for it never ends
    picture = tmp_path / "x.svg"
    assert run("plot", str(path), "-o", str(picture)).returncode == 0
    assert picture.exists()


def test_logs_that_differ_in_their_endings_have_names_of_their_own(folder, tmp_path):
    shutil.copy(folder / "of_two.csv", tmp_path / "two.csv")
    row = Row("train", 1, 0.1, train_loss=3.0, seconds=1.0)
    (tmp_path / "two.jsonl").write_bytes(header("two.jsonl") + as_line(row, "two.jsonl"))
    assert drawn(folder, tmp_path / "two.csv", tmp_path / "two.jsonl") == ["two.csv", "two.jsonl"]
