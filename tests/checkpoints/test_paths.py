"""Which checkpoint an argument means, and the names by which several are told apart."""

from __future__ import annotations

import os

import pytest

from pycharrnn.checkpoints.paths import newest, short_names
from pycharrnn.common.errors import UserError


def make(folder, name: str, modified: int) -> str:
    path = folder / name
    path.write_bytes(b"x")
    os.utime(path, ns=(modified, modified))
    return str(path)


def test_a_file_means_itself(tmp_path):
    assert newest(str(tmp_path / "any.t7")) == str(tmp_path / "any.t7")


def test_a_folder_means_its_newest_checkpoint(tmp_path):
    make(tmp_path, "b.t7", 1000)
    latest = make(tmp_path, "a.t7", 1001)
    make(tmp_path, "c.t7", 999)
    assert newest(str(tmp_path)) == latest
    latest = make(tmp_path, "a.safetensors", 1002)
    assert newest(str(tmp_path)) == latest


def test_what_is_no_checkpoint_is_passed_over(tmp_path):
    with pytest.raises(UserError, match=r"has no checkpoint \(.t7 or .safetensors\)"):
        newest(str(tmp_path))
    only = make(tmp_path, "a.t7", 1000)
    for name in ("vocab.t7", "data.t7", ".a.t7", "a.json", "t7"):
        make(tmp_path, name, 2000)
    (tmp_path / "folder.t7").mkdir()
    os.utime(tmp_path / "folder.t7", ns=(3000, 3000))
    assert newest(str(tmp_path)) == only


def test_the_name_with_epoch_and_loss_comes_first(tmp_path):
    """Training gives the newest checkpoint a second name, of the same time."""
    named = make(tmp_path, "lm_lstm_epoch1.00_2.0000.t7", 1000)
    make(tmp_path, "lm_lstm_latest.t7", 1000)
    make(tmp_path, "lm_lstm_best.t7", 1000)
    assert newest(str(tmp_path)) == named
    second = make(tmp_path, "lm_lstm_latest.t7", 1001)
    assert newest(str(tmp_path)) == second


@pytest.mark.parametrize(
    "paths, names",
    [
        (["cv/lm_x.t7"], ["lm_x"]),
        (["a/lm_x.t7", "b/lm_x.t7", "b/lm_y.t7"], ["a/lm_x", "b/lm_x", "lm_y"]),
        (["p/a/x.t7", "q/a/x.t7"], ["p/a/x", "q/a/x"]),
        (["x.t7", "x.t7"], ["x", "x"]),
        (["x.t7", "a/x.t7"], ["x", "a/x"]),
        (["a/./x.t7", "x.safetensors"], ["a/x", "x"]),
        (["lm_epoch1.00_2.0000.t7"], ["lm_epoch1.00_2.0000"]),
        (["\udcff\x1b.t7"], ["\ufffd\\x1b"]),
        (["y" * 100 + ".t7"], ["y" * 100]),
    ],
)
def test_short_names(paths, names):
    assert short_names(paths) == names
