"""What of a sample's characters reaches the screen, and when."""

from __future__ import annotations

import io

import numpy as np
import pytest

from pycharrnn.sampling import sample_writer
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.sample_writer import SampleWriter


class Screen(io.BytesIO):
    """Remembers what had been written at each flush."""

    def __init__(self):
        super().__init__()
        self.seen: list[bytes] = []

    def flush(self):
        self.seen.append(self.getvalue())


def written(*characters: tuple[bytes, float], **options) -> bytes:
    screen = Screen()
    writer = SampleWriter(screen, SampleOptions(**options))
    for character, probability in characters:
        writer.put(character, probability, False)
    writer.end()
    assert screen.seen == []  # nobody watches
    return screen.getvalue()


def test_plain_bytes_and_a_newline():
    assert written((b"a", 0.5), (b"\xff", 0.1), (b"\xc3", 1.0)) == b"a\xff\xc3\n"


def test_a_hidden_primetext():
    screen = Screen()
    writer = SampleWriter(screen, SampleOptions(hide_prime=1))
    writer.put(b"a", 1.0, True)
    writer.put(b"b", 1.0, False)
    writer.end()
    assert screen.getvalue() == b"b\n"


def test_only_whole_characters():
    pieces = [b"a", b"\xc3", b"\xa9", b"\xff", b"b", b"\xe2", b"\x82"]
    assert written(*((piece, 1.0) for piece in pieces), unicode=1) == "a\u00e9b\n".encode()


@pytest.mark.parametrize("color", [0, 1])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_whole_character_at_the_end(at_once, color):
    """Invalid UTF-8 before the end stays."""
    for text, kept in (
        (b"a\xe2\x80\x99", 4),
        (b"a\xe2\x80", 1),
        (b"\xe2", 0),
        (b"a\xff\xf0\x9f\x98", 2),
        (b"a\xf0\x9f\x98\x80\x80", 6),
    ):
        screen = io.BytesIO()
        writer = SampleWriter(screen, SampleOptions(color=color), whole_end=True)
        pieces = [bytes([byte]) for byte in text]
        if at_once:
            writer.put_all(pieces, np.ones(len(pieces)), False)
        else:
            for piece in pieces:
                writer.put(piece, 1.0, False)
        writer.end()
        assert screen.getvalue() == text[:kept] + b"\n"


@pytest.mark.parametrize(
    "bits, code",
    [(0, ""), (0.99, ""), (1, "0;36"), (2.99, "0;36"), (3, "0;34"), (5, "0;35"), (6.99, "0;35"), (7, "0;1;31")],
)
def test_colors_by_bits(bits, code):
    expected = f"\x1b[{code}ma\x1b[0m\n" if code else "a\n"
    assert written((b"a", 2.0**-bits), color=1) == expected.encode()


def test_what_the_model_thought_impossible_has_the_deepest_color():
    assert written((b"a", 0.0), color=1) == b"\x1b[0;1;31ma\x1b[0m\n"


def test_a_color_is_written_where_it_changes():
    assert written((b"a", 0.5), (b"b", 0.5), (b"c", 1.0), (b"d", 1.0), color=1) == b"\x1b[0;36mab\x1b[0mcd\n"


def test_bytes_of_one_character_count_together():
    found = written((b"\xc3", 0.5), (b"\xa9", 0.25), (b"x", 0.5), color=1)
    assert found == "\x1b[0;34m\u00e9\x1b[0;36mx\x1b[0m\n".encode()


def test_colors_keep_bytes_that_are_no_utf8():
    assert written((b"\xff", 1.0), (b"\xc3", 1.0), color=1) == b"\xff\xc3\n"


def test_somebody_who_watches_sees_each_character(monkeypatch):
    monkeypatch.setattr(sample_writer, "FLUSH_SECONDS", -1)
    screen = Screen()
    writer = SampleWriter(screen, SampleOptions(), live=True)
    for character in (b"a", b"b"):
        writer.put(character, 1.0, False)
    writer.end()
    assert screen.seen == [b"a", b"ab", b"ab\n"]


def test_where_nobody_watches_nothing_is_flushed(monkeypatch):
    monkeypatch.setattr(sample_writer, "FLUSH_SECONDS", -1)
    assert written((b"a", 1.0), (b"b", 1.0)) == b"ab\n"  # which looks at the flushes


def test_characters_in_quick_succession_share_a_flush(monkeypatch):
    monkeypatch.setattr(sample_writer, "FLUSH_SECONDS", 1e9)
    screen = Screen()
    writer = SampleWriter(screen, SampleOptions(), live=True)
    for character in (b"a", b"b"):
        writer.put(character, 1.0, False)
    writer.end()
    assert screen.seen == [b"ab\n"]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"unicode": 1}, "a\u2013b\n"),
        ({"unicode": 1, "hide_prime": 1}, "b\n"),
        ({"color": 1}, "a\x1b[0;36m\u2013\x1b[0mb\n"),
    ],
    ids=str,
)
def test_a_primetext_that_ends_amid_a_character(options, expected):
    """What is sampled completes it."""
    out = io.BytesIO()
    writer = SampleWriter(out, SampleOptions(**options))
    for character, probability, given in ((b"a", 1, True), (b"\xe2", 1, True), (b"\x80", 1, True)):
        writer.put(character, probability, given)
    writer.put_all([b"\x93", b"b"], np.array([0.5, 1.0]), False)
    writer.end()
    assert out.getvalue() == expected.encode()
