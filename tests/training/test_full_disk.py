"""A disk that fills up or fails, or a folder that vanishes, costs a run only the checkpoints of that time."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import run, with_slashes
from runs import SMALL, folder_with_text, leavings, named, result_of, train

from compat import atomic_write, charrnn
from pycharrnn.checkpoints import checkpoint


class Disk:
    """Faults in the file layer: `fault` raises, or not, by what is done and how often it was done before."""

    def __init__(self, monkeypatch, fault):
        self.done: list[str] = []
        for name in ("fsync", "replace"):
            monkeypatch.setattr(atomic_write.os, name, self._wrapped(name, getattr(os, name), fault))

    def _wrapped(self, name, real, fault):
        def call(*args, **keywords):
            self.done.append(name)
            number = fault(name, self.done.count(name))
            if number:
                raise OSError(number, os.strerror(number))
            return real(*args, **keywords)

        return call


EVERY_10 = ["-eval_val_every", "10", "-max_epochs", "1", "-save_every_minutes", "0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "what, number", [("fsync", errno.ENOSPC), ("fsync", errno.EIO), ("replace", errno.EROFS), ("replace", errno.EDQUOT)]
)
def test_a_disk_that_fails_at_the_end(tmp_path, monkeypatch, number, what):
    folder = folder_with_text(tmp_path)
    train(folder_with_text(tmp_path / "whole"), *EVERY_10)
    whole = named(tmp_path / "whole")
    train(folder, "-max_epochs", "0.01", "-savefile", "cache")
    shutil.rmtree(folder / "cv")
    Disk(monkeypatch, lambda name, count: number if name == what and count > 6 else None)
    error, out, err = result_of(folder, *EVERY_10)
    assert len([line for line in out if line.startswith("saving checkpoint")]) == 6
    assert err.count("can't write") == 1
    assert err.count(os.strerror(number)) == 1
    written = named(folder)
    assert 1 <= len(written) < 6
    for ours, theirs in zip(written, whole, strict=False):
        assert ours.read_bytes() == theirs.read_bytes()
    assert error.status == 1
    assert f"the last checkpoint could not be written to cv ({os.strerror(number)})" in str(error)
    assert f"the last good checkpoint is cv/{written[-1].name}" in str(error)
    assert not leavings(folder)


def test_a_disk_that_recovers(tmp_path, monkeypatch):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.01", "-savefile", "cache")
    Disk(monkeypatch, lambda name, count: errno.ENOSPC if name == "fsync" and count in (4, 5, 9) else None)
    error, out, err = result_of(folder, *EVERY_10, "-print_every", "30")
    assert error is None
    assert "finished" in err
    assert err.count("trying again at the next save") == with_slashes(err).count("saving works again: cv/lm_lstm_") >= 1
    assert all(checkpoint.load(p).i for p in named(folder))


def test_a_checkpoint_dir_that_vanishes(tmp_path):
    folder = folder_with_text(tmp_path)
    save = charrnn.save
    with pytest.MonkeyPatch.context() as patch:

        def vanish(path, found):
            if found.i == 20:
                shutil.rmtree("cv")
            save(path, found)

        patch.setattr(charrnn, "save", vanish)
        count = iter(range(99))
        patch.setattr(shutil, "rmtree", lambda path, real=shutil.rmtree: real(path) if next(count) == 0 else None)
        error, out, err = result_of(folder, *EVERY_10)
    assert error is None
    assert err.count("the folder cv was missing and has been created again.") == 1
    assert [checkpoint.load(p).i for p in named(folder)] == [20, 30, 40, 50, 60]


def test_a_checkpoint_dir_that_can_not_be_made_anew(tmp_path):
    folder = folder_with_text(tmp_path)
    save = charrnn.save
    with pytest.MonkeyPatch.context() as patch:

        def vanish(path, found):
            if os.path.isdir("cv"):
                shutil.rmtree("cv")
                Path("cv").write_text("a file in its place", encoding="utf-8")
            save(path, found)

        patch.setattr(charrnn, "save", vanish)
        error, out, err = result_of(folder, *EVERY_10)
    assert error.status == 1
    assert "there is no good checkpoint" in str(error)
    assert err.count("can't write") == 1


@pytest.mark.parametrize("fate", ["moved", "removed"])
def test_the_last_good_checkpoint_is_one_that_exists(tmp_path, monkeypatch, fate):
    """Saving fails from iteration 40 on. The folder was moved, or the named file of the best checkpoint removed."""
    folder = folder_with_text(tmp_path)
    save = charrnn.save

    def fail(path, found):
        if found.i >= 40:
            for old in Path("cv").glob("lm_lstm_epoch0.50_*"):
                old.unlink()
            if fate == "moved" and os.path.isdir("cv"):
                os.rename("cv", "cv.old")
                Path("cv").touch()
            raise OSError(errno.EIO, "Input/output error")
        save(path, found)

    monkeypatch.setattr(charrnn, "save", fail)
    error, _, err = result_of(folder, *EVERY_10)
    said = str(error)
    if fate == "moved":
        assert said.endswith("there is no good checkpoint.")
    else:
        path = said.rpartition("the last good checkpoint is ")[2].removesuffix(".")
        assert path == "cv/lm_lstm_best.t7" and checkpoint.load(folder / path).i == 30


def can_mount(path: Path) -> bool:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        return False
    path.mkdir()
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(path)], capture_output=True).returncode
        == 0
    )


def test_a_file_system_of_3_mb_that_fills_up(tmp_path):
    small = tmp_path / "small"
    if not can_mount(small):
        pytest.skip("mounting a file system is not allowed here")
    try:
        folder = folder_with_text(tmp_path / "a")
        args = ["-rnn_size", "40", "-num_layers", "1", "-eval_val_every", "5", "-max_epochs", "1"]
        process = run("train", *SMALL, *args, "-checkpoint_dir", str(small), cwd=folder)
        error = process.stderr.decode()
        assert process.returncode == 1, error
        assert "Traceback" not in error
        first, last = error.strip().split("\n")
        assert "No space left on device): trying again at the next save" in first
        assert "the last checkpoint could not be written" in last
        assert b"60/60" in process.stdout.splitlines()[-1]
        files = sorted(small.glob("*.t7"))
        assert len(files) > 3
        assert all(checkpoint.load(path).i % 5 == 0 for path in files)
        assert not list(small.glob(".*"))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
