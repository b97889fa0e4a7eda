"""Of two trainings, one alone writes the files of a run; its lock goes with it."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from runs import LONG, folder_with_text, leavings, result_of, started

from pycharrnn.common import file_lock
from pycharrnn.common.errors import UserError
from pycharrnn.training import run_lock
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settings import FileSettings, group


def test_a_second_training_is_refused(tmp_path):
    folder = folder_with_text(tmp_path)
    process = started(folder, *LONG, "-eval_val_every", "1000000")  # on a busy machine it may run long
    try:
        error, _, _ = result_of(folder, "-max_epochs", "0.1")
        assert error.status == 1
        assert f"another training (process {process.pid} on " in str(error)
        assert "writes lm_lstm_* to cv: choose another -savefile" in str(error)
        assert result_of(folder, "-max_epochs", "0.1", "-savefile", "other")[0] is None
        assert result_of(folder, "-max_epochs", "0.1", "-lock", "0")[0] is None
    finally:
        process.kill()
        process.communicate()
    # a crash leaves no lock behind, and what it left half written goes
    half = folder / "cv" / ".lm_lstm_epoch1.00_2.0000.t7.tmp"
    others = folder / "cv" / ".lm_lstm_2_epoch1.00_2.0000.t7.tmp"
    half.touch()
    others.touch()
    assert result_of(folder, "-max_epochs", "0.1")[0] is None
    assert leavings(folder) == [others.name]


def test_what_others_leave_half_written_stays(tmp_path):
    """Of another -savefile that differs in what a pattern would take for any character; and of any, with -lock 0."""
    folder = folder_with_text(tmp_path)
    (folder / "cv").mkdir()
    ours, others = (folder / f"cv/.lm_{name}_epoch9.00_2.0000.t7.tmp" for name in ("a.b", "aXb"))
    for path in (ours, others):
        path.touch()
    assert result_of(folder, "-max_epochs", "0.05", "-savefile", "a.b", "-lock", "0")[0] is None
    assert ours.exists() and others.exists()
    assert result_of(folder, "-max_epochs", "0.05", "-savefile", "a.b")[0] is None
    assert others.exists() and not ours.exists()


def test_where_locks_do_not_work_it_is_said(tmp_path, monkeypatch):
    def no_locks(fd):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_lock, "_lock_descriptor", no_locks)
    error, _, err = result_of(folder_with_text(tmp_path), "-max_epochs", "0.1")
    assert error is None
    assert "can't lock cv/.lm_lstm.lock (No locks available)" in err


def test_a_lock_for_which_the_disk_has_no_room_leaves_no_file(tmp_path, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(file_lock, "name_holder", full)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        file_lock.acquire(str(tmp_path / ".lock"))
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_was_left_behind_names_its_new_holder_alone(tmp_path):
    path = tmp_path / ".lock"
    path.write_text("process 123456789 on a_machine_with_a_long_name." * 2, encoding="ascii")
    fd = file_lock.acquire(str(path))
    try:
        assert path.read_text(encoding="ascii") == f"process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(file_lock.LockHeld) as raised:
            file_lock.acquire(str(path))
        assert raised.value.holder == path.read_text(encoding="ascii")
        path.write_bytes(b"process 1 on \x1b[31m")
        with pytest.raises(file_lock.LockHeld) as raised:
            file_lock.acquire(str(path))
        assert raised.value.holder == ""  # what a terminal would obey is not repeated
    finally:
        file_lock.release(fd, str(path))


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")
@pytest.mark.parametrize("replaced", [False, True])
def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch, replaced):
    real, removed = file_lock._lock_descriptor, []

    def remove_once(fd):
        if not removed:
            removed.append(os.unlink(tmp_path / ".lm_lstm.lock"))
            if replaced:
                (tmp_path / ".lm_lstm.lock").touch()
        real(fd)

    monkeypatch.setattr(file_lock, "_lock_descriptor", remove_once)
    with run_lock.RunLock(group(FileSettings, TrainOptions(checkpoint_dir=str(tmp_path))), print):
        assert (tmp_path / ".lm_lstm.lock").read_text(encoding="utf-8").startswith(f"process {os.getpid()}")
        second = run_lock.RunLock(group(FileSettings, TrainOptions(checkpoint_dir=str(tmp_path))), print)
        with pytest.raises(UserError, match="another training"), second:
            pass
    assert not list(tmp_path.iterdir())


@pytest.fixture
def moved(tmp_path):
    """A folder of checkpoints that has been moved, the lock that is held in it, and the settings of both."""
    if os.name == "nt":
        pytest.skip("Windows moves no folder with an open file")
    cv = tmp_path / "cv"
    files = group(FileSettings, TrainOptions(checkpoint_dir=str(cv)))
    cv.mkdir()
    held = run_lock.RunLock(files, pytest.fail).__enter__()
    cv.rename(tmp_path / "moved")
    return cv, held, files


def test_a_folder_that_was_moved_is_locked_anew(moved):
    cv, held, files = moved
    with pytest.raises(FileNotFoundError):
        held.renew()
    cv.mkdir()
    held.renew()
    with pytest.raises(UserError, match="another training"):
        run_lock.check(files)
    held.__exit__()
    assert list(cv.iterdir()) == []


def test_a_folder_that_another_training_has_made_again_is_its_own(moved):
    cv, held, files = moved
    cv.mkdir()
    with run_lock.RunLock(files, pytest.fail):
        for _ in range(2):
            with pytest.raises(file_lock.LockHeld, match=r"^process \d+ on "):
                held.renew()
        held.__exit__()
        with pytest.raises(UserError, match="another training"):  # the first one has left its file
            run_lock.check(files)
    assert list(cv.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links")
def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path):
    """Somebody who shares the folder could name a file of the user's, which would be emptied."""
    letter, notes = tmp_path / "letter.txt", list[str]()
    letter.write_bytes(b"a letter")
    (tmp_path / ".lm_lstm.lock").symlink_to(letter)
    with run_lock.RunLock(group(FileSettings, TrainOptions(checkpoint_dir=str(tmp_path))), notes.append) as held:
        assert not held.is_held
    assert letter.read_bytes() == b"a letter"
    (said,) = notes
    assert said.startswith(f"can't lock {tmp_path / '.lm_lstm.lock'} (")


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("may_remove", [True, False])
def test_the_lock_of_another_user(tmp_path, monkeypatch, may_remove):
    """Whose file can be read, but not written: it is held, or it was left by a crash."""
    files = group(FileSettings, TrainOptions(checkpoint_dir=str(tmp_path)))
    path, real, unlink, notes = tmp_path / ".lm_lstm.lock", os.open, os.unlink, list[str]()

    def open_as_other(name, flags, *mode):
        if flags & os.O_RDWR and os.path.exists(name) and os.stat(name).st_size:
            raise PermissionError(errno.EACCES, "denied", name)
        return real(name, flags, *mode)

    def unlink_as_other(name):
        if not may_remove:
            raise PermissionError(errno.EPERM, "not permitted", name)
        unlink(name)

    with run_lock.RunLock(files, pytest.fail):
        monkeypatch.setattr(os, "open", open_as_other)
        with pytest.raises(UserError, match=r"another training \(process \d+ on "):
            run_lock.check(files)
    path.write_text("process 1 on another", encoding="utf-8")
    monkeypatch.setattr(os, "unlink", unlink_as_other)
    with run_lock.RunLock(files, notes.append) as held:
        assert held.is_held == may_remove
    said = f"can't lock {path} (not permitted): make sure that no other training writes there."
    assert notes == ([] if may_remove else [said])


@pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links")
def test_a_log_is_locked_by_its_real_name_and_once(tmp_path):
    (tmp_path / "alias.csv").symlink_to("run.csv")

    def lock_of(savefile: str, log: str) -> run_lock.RunLock:
        options = TrainOptions(checkpoint_dir=str(tmp_path), savefile=savefile, log=str(tmp_path / log))
        return run_lock.RunLock(group(FileSettings, options), pytest.fail)

    with lock_of("a", "run.csv"), pytest.raises(UserError, match="another training"), lock_of("b", "alias.csv"):
        pass
    with lock_of("x.csv", "lm_x.csv") as held:
        assert held.is_held
    assert [path.name for path in tmp_path.iterdir()] == ["alias.csv"]


@pytest.mark.skipif(os.name == "nt", reason="pretends to be Windows elsewhere")
@pytest.mark.parametrize("system", ["nt", "posix"])
def test_a_lock_leaves_no_file_and_takes_none_of_another_run(tmp_path, monkeypatch, system):
    """Windows removes no open file; elsewhere whoever opens it before it is gone must find it locked."""
    unlink, held = os.unlink, []

    def unlink_as_there(path):
        with open(path, "rb") as f:
            try:
                file_lock._lock_descriptor(f.fileno())
            except OSError:
                held.append(True)
                if system == "nt":
                    raise PermissionError(errno.EACCES, "in use") from None
            else:
                held.append(False)
        unlink(path)

    monkeypatch.setattr(os, "unlink", unlink_as_there)
    with run_lock.RunLock(group(FileSettings, TrainOptions(checkpoint_dir=str(tmp_path))), pytest.fail):
        monkeypatch.setattr(os, "name", system)
    monkeypatch.undo()
    assert held == [system == "posix"]
    assert list(tmp_path.iterdir()) == []
