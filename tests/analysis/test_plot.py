"""pycharrnn plot: pictures of the losses in checkpoints."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
from array import array
from pathlib import Path

import item_models
import numpy as np
import pytest
from conftest import GOLDEN, ROOT, run, run_alone, sentence
from plots import plot, texts

from pycharrnn.analysis import loss_curves, novelty_plot, plotting
from pycharrnn.analysis.options import PlotOptions
from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.names import short_names
from pycharrnn.common.errors import UserError

CHECKPOINT = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
FIRST_VERSION = GOLDEN / "legacy_2015-05-21_lstm" / "lm_old_epoch1.00_4.7298.t7"


def png_size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def with_losses(train, val, i: int, epoch: float = 2.0):
    return dataclasses.replace(
        checkpoint.load(CHECKPOINT), train_losses=array("d", train), val_losses=val, val_loss=None, i=i, epoch=epoch
    )


def test_a_picture_of_two_runs(tmp_path):
    said = plot(CHECKPOINT, FIRST_VERSION.parent, "-o", tmp_path / "two.svg")
    assert said.endswith(f"saved {tmp_path / 'two.svg'}\n")
    found = texts(tmp_path / "two.svg")
    assert "lstm2: lstm, 2 x 16" in found
    assert "best 2.8734 at epoch 3.00" in found
    assert "2.8734" in found  # beside the best point
    assert "old: lstm, 2 x 14" in found
    assert {"epoch", "loss (nats per character)", "bits per character", "validation loss"} <= set(found)
    assert any("mean of 1% of the run" in text for text in found)


@pytest.mark.parametrize("letters, differ", [("abc\u00e9", True), ("abc", False)])
def test_runs_of_bytes_and_of_code_points(tmp_path, letters, differ):
    """Whose losses are per byte and per code point."""
    paths = []
    for name, utf8, encoding in (("bytes", False, "bytes"), ("points", True, "utf8")):
        (tmp_path / name).mkdir()
        path = item_models.saved(tmp_path / name, kind="", letters=letters, utf8=utf8, encoding=encoding)
        found = dataclasses.replace(checkpoint.load(path), train_losses=array("d", [1.5]), i=1)
        checkpoint.convert(found, str(path))
        paths.append(path)
    result = run("plot", *map(str, paths), "-o", "two.svg", cwd=tmp_path)
    why = f"can't be compared, since a character is a byte for {paths[0]}, and a code point for {paths[1]}."
    assert result.stdout.endswith(b"saved two.svg\n")
    assert (why in result.stderr.decode()) == differ
    assert b"compared" not in run("plot", str(paths[0]), "-o", "one.svg", cwd=tmp_path).stderr


@pytest.mark.skipif(os.name == "nt", reason="HOME is not the home directory there")
def test_matplotlib_says_nothing_of_a_home_directory_that_can_not_be_written(tmp_path, monkeypatch):
    """As in a container; it keeps a list of fonts there."""
    monkeypatch.setenv("HOME", f"{os.devnull}/none")
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    ended = run_alone("plot", str(CHECKPOINT), "-o", "losses.png", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_png(tmp_path):
    plot(CHECKPOINT, "-o", tmp_path / "one.png")
    width, height = png_size(tmp_path / "one.png")
    assert 600 < width < 1200
    assert 350 < height < 900


def test_the_same_losses_are_the_same_picture(tmp_path):
    for name in ("a.svg", "b.svg"):
        plot(CHECKPOINT, "-o", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


@pytest.mark.parametrize(
    "train, val, i, epoch",
    [
        ([1e308, -1e308, 1.5], {1: 1e308, 2: -1e308, 3: 2.0}, 3, 2.0),
        ([1e15, -1e15], {2**53: 1.0}, 1, 1e308),
        ([5e-324] * 3, {1: 5e-324}, 1e308, 5e-324),
        ([math.inf, 1.5, math.nan], {}, math.nan, math.inf),
        ([1.5], {1: 2.0}, math.inf, 1.0),
    ],
)
def test_losses_that_no_scale_can_show_are_left_out(tmp_path, train, val, i, epoch):
    curve = loss_curves.loss_curve(with_losses(train, val, i, epoch), "run")
    plotting.save_picture(tmp_path / "picture.svg", [curve])
    assert all(np.abs(values).max(initial=0) <= 1e15 for part in (curve.train, curve.val) for values in part)


@pytest.mark.parametrize("n", [1, 2, 200, 100_000])
def test_any_number_of_losses(tmp_path, n):
    curve = loss_curves.loss_curve(with_losses([1.5] * n, {n: 2.0}, n), "run")
    assert len(curve.train[0]) == min(n, 200) if n <= 200 else len(curve.train[0]) <= 400
    assert np.allclose(curve.train[1], 1.5)
    assert curve.best == (n, 2.0)
    plotting.save_picture(tmp_path / "picture.svg", [curve])
    assert (tmp_path / "picture.svg").stat().st_size < 60_000


def test_smoothing_is_the_mean_of_one_percent_around():
    y = np.random.default_rng(1).normal(2, 1, 5000)
    (x, means), window = loss_curves.smooth(np.arange(1.0, 5001), y)
    assert window == 51
    assert (x[0], x[-1]) == (1, 5000)
    for at, mean in zip(x.astype(int) - 1, means, strict=True):
        assert mean == pytest.approx(y[max(at - 25, 0) : at + 26].mean())


def test_from_201_losses_on_a_curve_is_smoothed():
    y = np.arange(201.0) ** 2
    (x, same), window = loss_curves.smooth(np.arange(200.0), y[:200])
    assert window == 1
    assert same.tolist() == y[:200].tolist()
    (x, means), window = loss_curves.smooth(np.arange(201.0), y)
    assert window == 3
    assert means[100] == pytest.approx((99**2 + 100**2 + 101**2) / 3)


def test_losses_that_are_no_numbers_are_left_out(tmp_path):
    curve = loss_curves.loss_curve(
        with_losses([3.0, float("nan"), 2.0, float("inf")], {2: float("nan"), 4: 2.5}, 4), "run"
    )
    assert curve.train[0].tolist() == [1, 3]
    assert curve.best == (4, 2.5)
    plotting.save_picture(tmp_path / "picture.svg", [curve])


def test_without_epochs_the_axis_counts_iterations(tmp_path):
    with_epochs = loss_curves.loss_curve(with_losses([3.0, 2.0], {2: 2.5}, 2), "one")
    without = loss_curves.loss_curve(with_losses([3.0, 2.0], {2: 2.5}, 0, 0.0), "another")
    plotting.save_picture(tmp_path / "picture.svg", [with_epochs, without])
    assert "iteration" in texts(tmp_path / "picture.svg")
    assert "epoch" not in texts(tmp_path / "picture.svg")


def test_many_runs_and_odd_names(tmp_path):
    names = ["_under", "$x^2$", "a & b", *(f"run{k}" for k in range(9))]
    curves = [
        loss_curves.loss_curve(with_losses([3.0, 2.0 + k], {2: 2.5 + k}, 2), name) for k, name in enumerate(names)
    ]
    plotting.save_picture(tmp_path / "picture.svg", curves)
    found = " ".join(texts(tmp_path / "picture.svg"))
    assert all(f"{name.replace('&', '&amp;')}: lstm" in found for name in names)
    with pytest.raises(UserError, match="too many"):
        plotting.save_picture(tmp_path / "more.svg", curves * 3)


# -- what is in a picture ----------------------------------------------------------------------------------------------


def axes_of(*curves):
    figure = plotting._figure(list(curves))
    figure.draw_without_rendering()
    return figure.axes[0]


def test_bits_stand_where_their_nats_do():
    axes = axes_of(loss_curves.loss_curve(with_losses([3.0, 2.0], {2: 2.5}, 2), "run"))
    (bits,) = axes.child_axes
    np.testing.assert_allclose(np.array(bits.get_ylim()) * math.log(2), axes.get_ylim(), rtol=1e-9)


def test_the_scale_begins_at_0_unless_a_loss_is_below():
    assert axes_of(loss_curves.loss_curve(with_losses([0.1, 3.0], {}, 2), "run")).get_ylim()[0] == 0
    assert axes_of(loss_curves.loss_curve(with_losses([-0.1, 3.0], {}, 2), "run")).get_ylim()[0] < -0.1


def test_lines_and_best_points_in_epochs():
    curve = loss_curves.loss_curve(with_losses([3.0, 2.5, 2.0, 1.5], {4: 1.75, 2: 2.25}, 4, epoch=2.0), "run")
    train, val, best = axes_of(curve).lines
    assert train.get_xdata().tolist() == [0.5, 1.0, 1.5, 2.0]
    assert train.get_ydata().tolist() == [3.0, 2.5, 2.0, 1.5]
    assert (val.get_xdata().tolist(), val.get_ydata().tolist()) == ([1.0, 2.0], [2.25, 1.75])
    assert (best.get_xdata(), best.get_ydata()) == ([2.0], [1.75])


def test_the_best_is_the_lowest():
    assert loss_curves.loss_curve(with_losses([], {1: 3.0, 5: 1.5, 9: 2.0}, 9), "run").best == (5, 1.5)
    assert loss_curves.loss_curve(with_losses([1.0], {}, 1), "run").best is None


def test_the_only_validation_that_the_first_version_recorded_is_drawn():
    loaded = checkpoint.load(FIRST_VERSION)
    assert not loaded.val_losses
    assert loss_curves.loss_curve(loaded, "run").best == (loaded.i, loaded.val_loss)


def test_single_values_and_few_values_have_markers():
    train, val, _ = axes_of(loss_curves.loss_curve(with_losses([3.0], {1: 2.0}, 1), "run")).lines
    assert (train.get_marker(), train.get_markersize()) == (".", 7)
    assert (val.get_marker(), val.get_markersize()) == ("o", 7)
    for count, marker in ((60, "o"), (61, "")):
        losses = {k: 2 + 1 / k for k in range(1, count + 1)}
        train, val, _ = axes_of(loss_curves.loss_curve(with_losses([3.0, 2.0], losses, count), "run")).lines
        assert train.get_marker() == "None"
        assert (val.get_marker() or "").replace("None", "") == marker


def test_values_do_not_stand_on_each_other():
    """Of runs whose best points are close together."""
    curves = [loss_curves.loss_curve(with_losses([3.0], {9: 2.0 + k / 1000}, 9), f"run{k}") for k in range(3)]
    axes = axes_of(*curves)
    heights = [axes.transData.transform(text.xy)[1] + text.xyann[1] * axes.figure.dpi / 72 for text in axes.texts]
    assert len(heights) == 3
    assert all(abs(a - b) >= 14 for k, a in enumerate(heights) for b in heights[:k])


@pytest.mark.parametrize("count, inside", [(2, True), (3, False)])
def test_where_the_legend_stands(count, inside):
    curves = [loss_curves.loss_curve(with_losses([3.0, 2.0], {2: 2.5}, 2), f"run{k}") for k in range(count)]
    axes = axes_of(*curves)
    assert (axes.get_legend() is not None) == inside
    assert len(axes.figure.legends) == (not inside)


def test_as_many_runs_as_a_picture_holds(tmp_path):
    curves = [loss_curves.loss_curve(with_losses([3.0], {}, 1), "run")] * 30
    plotting.save_picture(tmp_path / "picture.svg", curves)
    with pytest.raises(UserError, match="31 runs are too many for one picture: name at most 30"):
        plotting.save_picture(tmp_path / "more.svg", [*curves, curves[0]])
    assert not (tmp_path / "more.svg").exists()


def test_endings_of_pictures():
    for name in ("a.png", "a.PNG", "b.Svg"):
        PlotOptions(o=name)
    for name in ("a.pdf", "png", "a.svg.gz"):
        with pytest.raises(UserError, match="-o must be a file that ends in .png or .svg"):
            PlotOptions(o=name)


def test_a_folder_is_its_runs(tmp_path):
    """Every checkpoint of a run holds its losses up to then, so the newest of each is enough."""
    shutil.copy(CHECKPOINT, tmp_path / "lm_a_epoch2.00_2.0000.t7")
    shutil.copy(FIRST_VERSION, tmp_path / "lm_b_latest.t7")
    (tmp_path / "lm_a_epoch1.00_2.5000.t7").write_bytes(b"an older one, which is not read")
    os.utime(tmp_path / "lm_a_epoch1.00_2.5000.t7", (1000, 1000))
    said = plot(tmp_path, "-o", tmp_path / "a.svg")
    drawn = ["a: lstm, 2 x 16", "b: lstm, 2 x 14"]
    assert said.splitlines() == [*drawn, f"saved {tmp_path / 'a.svg'}"]


def test_names_tell_files_apart():
    paths = ["cv/a/lm.t7", "cv/b/lm.t7", "cv/b/lm_2.t7"]
    assert short_names(paths) == ["a/lm", "b/lm", "lm_2"]
    assert short_names(["lm.t7", "lm.t7"]) == ["lm", "lm"]
    assert short_names(["lm_\udcff.t7"]) == ["lm_\ufffd"]
    assert short_names(["lm\x1b[2J\n.t7"]) == [r"lm\x1b[2J\n"]


@pytest.mark.parametrize(
    "args, words",
    [
        ([CHECKPOINT, "-o", "losses.pdf"], "-o must be a file that ends in .png or .svg, not losses.pdf"),
        (["empty"], "the folder empty has no checkpoint"),
        (["nowhere.t7"], "nowhere.t7 does not exist"),
        (["nowhere.t7", "-o", "no/folder/x.png"], "-o no/folder/x.png: there is no folder no/folder; make it first"),
        (["untrained.safetensors"], "pycharrnn: untrained.safetensors has no losses to plot"),
    ],
)
def test_errors_are_one_sentence(tmp_path, args, words):
    (tmp_path / "empty").mkdir()
    checkpoint.convert(with_losses([], {}, 0), tmp_path / "untrained.safetensors")
    assert words in sentence(run("plot", *map(str, args), cwd=tmp_path))


def test_without_matplotlib(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('as if it were not installed')", encoding="utf-8")
    shutil.copy(CHECKPOINT, tmp_path)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "pycharrnn", "plot", CHECKPOINT.name]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment)
    assert 'needs more packages: pip install "matplotlib' in sentence(result)


def test_a_backend_that_matplotlib_lacks(tmp_path):
    """The pictures need none, but matplotlib does not load."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "qt4agg"}
    command = [sys.executable, "-m", "pycharrnn", "plot", CHECKPOINT, "-o", "losses.png"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment)
    assert "matplotlib has no backend 'qt4agg': unset the environment variable MPLBACKEND." in sentence(result)
    assert not list(tmp_path.iterdir())


def test_room_for_the_legend_of_many_novelty_curves(tmp_path):
    curve = novelty_plot.NoveltyCurve("name", ((4, 0.9), (8, 0.3)), ())
    sizes = [png_size(picture_of(tmp_path / f"{count}.png", count * [curve])) for count in (1, 3, 24)]
    assert sizes[0][1] < sizes[1][1] < sizes[2][1] - 20 * 0.2 * 110


def test_novelty_ticks_are_those_of_the_curves_that_copied_writes(tmp_path):
    points = tuple((n, 0.5) for n in range(3, 2000))
    path = picture_of(tmp_path / "c.svg", [novelty_plot.NoveltyCurve("a", points, ())])
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))
    assert [label for label in labels if label.isdigit()] == ["4", "6", "8", "12", "16", "24", "32", "48"]


def picture_of(path: Path, curves) -> Path:
    novelty_plot.save_picture(path, curves)
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"n": [0]},
        {"n": [10_000_000]},
        {"n": ["4"]},
        {"n": 4},
        {"sample": [-0.1]},
        {"sample": [1.1]},
        {"sample": ["0.5"]},
        {"validation": [math.nan]},
    ],
    ids=str,
)
def test_numbers_that_are_no_novelty_curve(tmp_path, change):
    path = tmp_path / "A.JSON"
    curve = {"n": [4, 8], "sample": [0.5, None], "validation": None}
    path.write_text(json.dumps({"format": "pycharrnn copied", "curve": curve}), encoding="utf-8")
    (found,) = novelty_plot.read([str(path)])
    assert novelty_plot.is_curve(str(path)) and (found.sample, found.validation) == (((4, 0.5),), ())
    for content in (
        {"format": "pycharrnn copied", "curve": curve | change},
        {"format": "pycharrnn other", "curve": curve},
    ):
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(UserError, match="A.JSON holds no curve: write one by pycharrnn copied"):
            novelty_plot.read([str(path)])
