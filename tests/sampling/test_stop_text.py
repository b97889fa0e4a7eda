"""The text of -stop: where it ends, and whether it can occur."""

from __future__ import annotations

import pytest

from pycharrnn.sampling.stop_text import StopText


def test_a_text_to_stop_at():
    stop = StopText("aab")
    assert [stop.completed_by(bytes([byte])) for byte in b"aaabaab"] == [False] * 3 + [True] + [False] * 2 + [True]
    longer = StopText("\u00e9")
    assert [longer.completed_by(piece) for piece in (b"\xa9", b"\xc3", b"\xa9")] == [False, False, True]
    several = StopText("b")  # a character of two bytes whose end is the text
    assert several.completed_by(b"ab")
    assert not StopText("").completed_by(b"a")


@pytest.mark.parametrize(
    "stop, possible",
    [
        (b"", True),
        (b"ab", True),
        (b"a~", False),
        (b"~b", False),
        (b"~", False),
        ("é".encode(), True),
        ("aéb".encode(), True),
        ("é".encode()[1:], True),  # the end of a character
        ("é".encode()[1:] + b"a", True),
        (b"a" + "é".encode()[:1], False),  # a text ends with a character
        (b"xyxy", True),
        (b"yxy", True),
        (b"yx", False),
    ],
)
def test_whether_a_stop_can_occur(stop, possible):
    assert StopText(stop).can_occur([b"a", b"b", "é".encode(), b"xy"]) == possible
