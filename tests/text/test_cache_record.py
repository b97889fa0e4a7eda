"""What .cache.json knows of the files beside it."""

from __future__ import annotations

import os
import time

import pytest

from pycharrnn.text import cache_record
from pycharrnn.text.cache_record import CacheRecord


def test_a_cache_is_made_of_one_text(tmp_path):
    folder = str(tmp_path)
    for name in ("vocab.t7", "data.t7"):
        (tmp_path / name).write_bytes(b"x")
    record = CacheRecord()
    record.add_cache(folder, "first", "vocab.t7", "data.t7")
    assert record.made_of(folder, "vocab.t7", "data.t7") == "first"
    record.add_cache(folder, "second", "data.t7")
    assert record.made_of(folder, "data.t7") == "second"
    assert record.made_of(folder, "vocab.t7", "data.t7") is None
    assert record.made_of(folder, "vocab.t7", "missing.t7") is None


def test_what_others_have_recorded_stays(tmp_path):
    folder = str(tmp_path)
    for name in ("data.t7", "data_items_0a.bin"):
        (tmp_path / name).write_bytes(b"x")
        cache_record.add(folder, "text", name)
    assert cache_record.load(folder).made_of(folder, "data.t7", "data_items_0a.bin") == "text"


@pytest.mark.parametrize(
    "seconds, whole, settled",
    [
        (0, False, False),
        (0.005, False, False),
        (0.5, False, True),
        (0.5, True, False),
        (5, True, True),
        (-9, False, False),
    ],
)
def test_a_file_is_settled_once_its_clock_has_ticked(monkeypatch, seconds, whole, settled):
    """Until then, another write may leave its time as it is; some file systems have times of whole seconds."""
    changed = 1_700_000_000_000_000_000 + (not whole)
    monkeypatch.setattr(time, "time_ns", lambda: changed + int(seconds * 1e9))
    assert cache_record.is_settled((5, changed, changed - 10**9, 1)) == settled
    assert cache_record.is_settled((5, changed - 10**9, changed, 1)) == settled


@pytest.mark.skipif(os.name == "nt", reason="st_ctime is the time of creation there")
def test_a_write_that_keeps_size_and_time_is_noticed(tmp_path):
    """As by a program that sets the time of a file back."""
    path = tmp_path / "input.txt"
    path.write_bytes(b"one")
    before, times = cache_record.file_state(str(path)), path.stat()
    while time.time_ns() - times.st_ctime_ns < 50_000_000:  # the clock of the file system ticks every 4 to 10 ms
        time.sleep(0.01)
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    assert cache_record.file_state(str(path)) != before
