"""The process of a training of the studio: its lock, its events and its exit status."""

from __future__ import annotations

import os
import sys

import pytest

from pycharrnn.cli import commands, studio_training
from pycharrnn.common import errors, file_lock
from pycharrnn.server.studio import page_words
from pycharrnn.server.studio.run_events import EventReader, RunEvents


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Runs the program with a training in place of commands.run; returns its exit status and its events."""
    lock, events = str(tmp_path / "lock"), str(tmp_path / "events.jsonl")
    wordings = []
    monkeypatch.setattr(errors, "use_wording", wordings.append)

    def start(fd: int, train) -> tuple[object, RunEvents]:
        monkeypatch.setattr(commands, "run", train)
        monkeypatch.setattr(sys, "argv", ["-c", lock, str(fd), events, "train", "-gpuid", "-1"])
        with pytest.raises(BaseException) as ended:
            studio_training.main()
        assert wordings == [page_words.reword]
        assert not os.path.exists(lock)
        return getattr(ended.value, "code", ended.value), EventReader(events).read()

    return lock, start


@pytest.mark.skipif(os.name == "nt", reason="no process can inherit a lock there")
@pytest.mark.parametrize("inherits", [True, False])
def test_a_training_holds_its_lock_and_tells_its_end(started, capsys, inherits):
    lock, start = started
    fd = -1
    if inherits:
        fd = file_lock.acquire_for_child(lock)
        os.set_inheritable(fd, True)

    def train(words, tell, callbacks):
        assert words == ["train", "-gpuid", "-1"]
        assert fd < 0 or not os.get_inheritable(fd)
        with pytest.raises(file_lock.LockHeld, match=f"process {os.getpid()} on "):
            file_lock.acquire(lock)
        callbacks.on_length(9)
        tell("no text.", "pycharrnn train")
        return 3

    status, events = start(fd, train)
    assert (status, events.status, events.iterations, events.error) == (3, 3, 9, "no text.")
    assert capsys.readouterr().err == "pycharrnn train: no text.\n"


def test_a_training_that_an_exception_ends_has_status_1(started):
    _, start = started
    error = RuntimeError("a bug")

    def train(words, tell, callbacks):
        raise error

    ended, events = start(-1, train)
    assert ended is error and events.status == 1
