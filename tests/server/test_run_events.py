"""What the process of a training tells the studio."""

from __future__ import annotations

import os
from collections import deque

import pytest

from pycharrnn.common.errors import flag
from pycharrnn.server.studio import run_events
from pycharrnn.server.studio.run_events import Event, EventReader, EventWriter, RunEvents
from pycharrnn.training.reports import Sample


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "events.jsonl")


def test_a_reader_finds_what_a_training_tells(path):
    writer, reader = EventWriter(path), EventReader(path)
    assert reader.read() == RunEvents(None, deque(), "", 0, None, "")
    callbacks = writer.callbacks()
    callbacks.on_length(540)
    assert reader.read().iterations == 540
    callbacks.on_length(600)
    callbacks.on_save("can't write a.t7 (disk full).")
    assert (reader.read().iterations, reader.read().not_saved) == (600, "can't write a.t7 (disk full).")
    callbacks.on_save("")
    callbacks.on_patience(4)
    assert callbacks.on_sample
    for i in range(25):
        callbacks.on_sample(Sample(i, i / 10, f"sample\n{i}"))
    writer.write(Event(status=0))
    found = reader.read()
    assert (found.not_saved, found.patience, found.status, found.error) == ("", 4, 0, "")
    assert [sample.iteration for sample in found.samples] == list(range(5, 25))
    assert found.samples[-1].model_dump() == {"iteration": 24, "epoch": 2.4, "text": "sample\n24"}


def test_a_new_attempt_forgets_how_the_last_one_ended(path):
    writer, reader = EventWriter(path), EventReader(path)
    for event in (Event(attempt=1), Event(iterations=7), Event(patience=2), Event(not_saved="x"), Event(status=1)):
        writer.write(event)
    writer.error("no text")
    assert (reader.read().status, reader.read().error) == (1, "no text")
    writer.write(Event(attempt=2))
    for found in (reader.read(), EventReader(path).read()):
        assert (found.iterations, found.status, found.error, found.not_saved, found.patience) == (7, None, "", "", 0)


def test_messages_are_as_stderr_has_them(path):
    EventWriter(path).error(f"can't read \udcff\x1b[31m: {flag('text_encoding')} helps.")
    assert EventReader(path).read().error == "can't read \ufffd\\x1b[31m: -text_encoding helps."


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b"[1]",
        b'{"iterations": "many"}',
        b'{"iterations": -1}',
        b'{"iterations": 1' + b"0" * 5000 + b"}",
        b'{"sample": {"iteration": 1, "epoch": 1, "text": 1}}',
        b'{"sample": {"iteration": 1' + b"0" * 30 + b', "epoch": 1, "text": ""}}',
        b'{"sample": {"iteration": 1, "epoch": NaN, "text": ""}}',
        b'{"error": "\\ud800"}',
        b'{"error": "\xff"}',
        b'{"error": "cut by a full disk',
        b'{"a":' * 5000,
        b"",
    ],
)
def test_lines_that_are_no_events_are_left_out(path, line):
    EventWriter(path).write(Event(iterations=5))
    with open(path, "ab") as f:
        f.write(line)
    EventWriter(path).write(Event(status=3))
    found = EventReader(path).read()
    assert (found.iterations, found.status, found.error, list(found.samples)) == (5, 3, "", [])


def test_a_line_that_is_still_being_written_is_read_later(path):
    reader = EventReader(path)
    whole = Event(error="the disk is full").model_dump_json(exclude_none=True).encode()
    for part, error in ((whole[:9], ""), (whole[9:], ""), (b"\n", "the disk is full")):
        with open(path, "ab") as f:
            f.write(part)
        assert reader.read().error == error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_its_place_is_not_waited_for(path):
    os.mkfifo(path)
    assert EventReader(path).read().status is None


def test_of_a_large_file_the_last_part_is_read(path, monkeypatch):
    monkeypatch.setattr(run_events, "_MOST_READ", 100)
    writer = EventWriter(path)
    writer.write(Event(iterations=1))
    writer.error("x" * 200)
    reader = EventReader(path)
    assert (reader.read().iterations, reader.read().error) == (None, "")
    writer.write(Event(status=2))
    assert reader.read().status == 2


def test_what_was_read_stays_when_it_is_no_longer_in_the_last_part(path, monkeypatch):
    monkeypatch.setattr(run_events, "_MOST_READ", 100)
    writer, reader = EventWriter(path), EventReader(path)
    for event in (Event(iterations=7), Event(error="x" * 200)):
        writer.write(event)
        reader.read()
    assert reader.read().iterations == 7  # of a file that has not changed


def test_a_file_that_begins_anew_is_read_anew(path):
    writer, reader = EventWriter(path), EventReader(path)
    writer.error("a long sentence")
    assert reader.read().error
    os.unlink(path)
    writer.write(Event(status=2))
    assert (reader.read().status, reader.read().error) == (2, "")


def test_what_the_disk_has_no_room_for_is_lost(tmp_path):
    EventWriter(str(tmp_path / "missing" / "events.jsonl")).error("x")
    with pytest.raises(FileNotFoundError):
        run_events.append(str(tmp_path / "missing" / "events.jsonl"), Event(attempt=1))
