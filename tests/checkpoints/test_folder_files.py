"""The checkpoints of a folder, each once, by what their names say."""

from __future__ import annotations

import errno
import os
import re
import shutil

import pytest
from folders import make, names, save, set_time
from kinds import loaded

from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.folder_files import newest_first
from pycharrnn.common import folder_walk
from pycharrnn.common.errors import UserError
from pycharrnn.common.shell_words import quoted


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


def test_folders_that_have_checkpoints_are_named_where_the_folder_has_none(tmp_path):
    for name in ("b", "a a", "data", ".hidden", "c", "d"):
        (tmp_path / name).mkdir()
        make(tmp_path / name, "data.t7" if name == "data" else "lm_x_latest.t7", 1000)
    a, b, c = (re.escape(quoted(str(tmp_path / name))) for name in ("a a", "b", "c"))
    with pytest.raises(UserError, match=f": name one, or another folder, as {a} or {b} or {c}.$"):
        newest_first(str(tmp_path))


@pytest.mark.parametrize(
    "files, said",
    [
        (["a.txt", "ck.t7.gz", "b.zip"], ", but ck.t7.gz: name it, or another folder."),
        (["lm.t7.part"], ", but lm.t7.part, an unfinished download: download it again, or name another folder."),
        (["b.crdownload", "a.crdownload"], ", but a.crdownload, an unfinished download: download it again, or name"),
        (["CV.ZIP", "m.pt"], ", but CV.ZIP, an archive: unpack it, or name another folder."),
        (
            ["checkpoint", "model.ckpt-10.index", "model.ckpt-10.data-00000-of-00001"],
            ", but model.ckpt-10.index, a file of TensorFlow: name a checkpoint, or another folder.",
        ),
        (["m.pt"], ", but m.pt: name it, or another folder."),
        (
            ["ckpt.pt"],
            ", but ckpt.pt, a transformer of nanoGPT, which pycharrnn does not run: name a checkpoint, or another"
            " folder.",
        ),
        (["vocab.t7.gz", ".a.t7.gz", "a.json", "input.txt"], ": name one, or another folder."),
    ],
)
def test_what_a_folder_has_in_place_of_a_checkpoint_is_named(tmp_path, files, said):
    import torch

    for name in files:
        (tmp_path / name).touch()
    if files == ["m.pt"]:
        checkpoint.convert(loaded("rnn"), tmp_path / "m.pt")
    if files == ["ckpt.pt"]:
        torch.save({"model": {}, "model_args": {}, "iter_num": 5}, tmp_path / "ckpt.pt")
    with pytest.raises(UserError) as caught:
        newest_first(str(tmp_path))
    assert str(caught.value).startswith(f"the folder {tmp_path} has no checkpoint (.t7 or .safetensors){said}")


def test_what_is_no_checkpoint_is_passed_over(tmp_path):
    said: list[str] = []
    with pytest.raises(UserError, match=r"has no checkpoint \(.t7 or .safetensors\)"):
        newest_first(str(tmp_path))
    only = make(tmp_path, "a.t7", 1000)
    caches = ("vocab.t7", "data.t7", "vocab_utf8.t7", "data_utf8.t7", "data_without_0123456789ab.t7")
    for name in (*caches, ".a.t7", "a.json", "t7"):
        make(tmp_path, name, 2000)
    (tmp_path / "folder.t7").mkdir()
    (tmp_path / "loop\x1b.t7").symlink_to("loop\x1b.t7")
    assert [file.path for file in newest_first(str(tmp_path), said.append)] == [only]
    assert len(said) == 1 and said[0].startswith(f"skipped {tmp_path}{os.sep}loop\\x1b.t7: ")
    with pytest.raises(UserError, match="can't look for checkpoints in nowhere"):
        newest_first("nowhere")


def test_a_folder_whose_files_can_not_be_asked_for_has_perhaps_some(tmp_path, monkeypatch):
    """Without the permission to search it, names can be listed, and no more."""
    denied = os.strerror(errno.EACCES)
    monkeypatch.setattr(folder_walk, "list_folder", lambda folder, skipped, wants: skipped("x/a.t7", denied) or [])
    said: list[str] = []
    with pytest.raises(UserError, match=rf"^can't look for checkpoints in x \({denied}\)\.$"):
        newest_first("x", said.append)
    assert said == [f"skipped x/a.t7: {denied}"]


@pytest.mark.parametrize("ending", [".t7", ".safetensors"])
def test_of_files_written_at_one_time_the_later_epoch_is_the_newest(tmp_path, ending):
    for epoch in ("9.00", "10.00", "8.50"):
        make(tmp_path, f"lm_x_epoch{epoch}_2.0000{ending}", 5)
    assert names(file.path for file in newest_first(str(tmp_path)))[0] == f"lm_x_epoch10.00_2.0000{ending}"


def test_the_best_and_latest_names_of_a_run_in_safetensors_are_second_names(tmp_path):
    path = save(tmp_path, "lm_x_epoch1.00_2.5000.safetensors", {10: 2.5})
    for alias in ("best", "latest"):
        os.link(path, tmp_path / f"lm_x_{alias}.safetensors")
    (found,) = newest_first(str(tmp_path))
    assert (os.path.basename(found.path), found.is_best) == ("lm_x_epoch1.00_2.5000.safetensors", True)


def test_a_copy_that_convert_has_made_is_passed_over_beside_its_checkpoint(tmp_path):
    make(tmp_path, "lm_x_epoch1.00_2.5000.t7", 1000)
    make(tmp_path, "lm_x_epoch1.00_2.5000.t7_cpu.t7", 2000)
    assert [os.path.basename(file.path) for file in newest_first(str(tmp_path))] == ["lm_x_epoch1.00_2.5000.t7"]
    os.unlink(tmp_path / "lm_x_epoch1.00_2.5000.t7")
    assert [os.path.basename(file.path) for file in newest_first(str(tmp_path))] == ["lm_x_epoch1.00_2.5000.t7_cpu.t7"]


def test_files_without_inodes_are_told_apart(tmp_path, monkeypatch):
    """Some file systems number all files 0."""
    stat = os.stat

    def without_inodes(path, **more):
        found = stat(path, **more)
        return os.stat_result((found.st_mode, 0, *found[2:10]), {"st_mtime_ns": found.st_mtime_ns})

    for epoch in (1, 2):
        make(tmp_path, f"lm_x_epoch{epoch}.00_2.5000.t7", 1000 + epoch)
    monkeypatch.setattr(os, "stat", without_inodes)
    assert [file.epoch for file in newest_first(str(tmp_path))] == [2, 1]


@pytest.mark.parametrize("second_name", [os.link, shutil.copy2], ids=["links", "copies"])
def test_second_names_are_the_same_files(tmp_path, second_name):
    """Training gives the best and the newest checkpoint a second name, or a copy where the disk has no links."""
    for epoch, loss in ((1, 2.5), (2, 2.0), (3, 2.0), (4, 2.25)):
        make(tmp_path, f"lm_x_epoch{epoch}.00_{loss:.4f}.t7", 1000 + epoch)
    second_name(tmp_path / "lm_x_epoch2.00_2.0000.t7", tmp_path / "lm_x_best.t7")
    second_name(tmp_path / "lm_x_epoch4.00_2.2500.t7", tmp_path / "lm_x_latest.t7")
    found = newest_first(str(tmp_path))
    assert [(file.epoch, file.is_best) for file in found] == [(4, False), (3, False), (2, True), (1, False)]


def test_a_second_name_has_the_same_bytes(tmp_path):
    """Checkpoints of one network have one size, and files that were unpacked together may have one time."""
    first, latest = (tmp_path / f"lm_x_{name}.t7" for name in ("epoch1.00_2.0000", "latest"))
    for path, content in ((first, b"1"), (latest, b"2")):
        path.write_bytes(content)
        set_time(path, 1000)
    assert sorted(names(file.path for file in newest_first(str(tmp_path)))) == [first.name, latest.name]
