"""Bytes as the characters of a screen."""

from __future__ import annotations

import pytest

from pycharrnn.common.screen_text import ScreenText


@pytest.mark.parametrize("size", [1, 2, 3])
def test_screen_text_is_what_decoding_at_once_gives(size):
    content = "a\u00e9\u20ac\U0001f600".encode() + b"\xff\xe2\x82b\xe2\x82\xe2\x82\xac\xc3"
    pieces = [content[k : k + size] for k in range(0, len(content), size)]
    text = ScreenText()
    shown = [entry for piece in pieces for entry in text.push(piece)] + text.end()
    assert "".join(characters for characters, _ in shown) == content.decode("utf-8", "replace")
    assert sum(taken for _, taken in shown) == len(pieces)


def shown(*pieces: bytes) -> list[tuple[str, int]]:
    text = ScreenText()
    return [entry for piece in pieces for entry in text.push(piece)] + text.end()


@pytest.mark.parametrize(
    "pieces, expected",
    [
        ([b"a", "\u00e9".encode()], [("a", 1), ("\u00e9", 1)]),  # a vocabulary of UTF-8 characters
        ([b"\xf0", b"\x9f", b"\x98", b"\x80", b"a"], [("\U0001f600", 4), ("a", 1)]),
        ([b"\xe2", b"\x82", b"b"], [("\ufffd", 2), ("b", 1)]),
        ([b"\xe2", b"\xe2", b"\x82", b"\xac"], [("\ufffd", 1), ("\u20ac", 3)]),
        ([b"\xff", b"\x80", b"a"], [("\ufffd", 1), ("\ufffd", 1), ("a", 1)]),
        ([b"ab", b"c"], [("ab", 1), ("c", 1)]),
        ([b"a", b"\xe2", b"\x82"], [("a", 1), ("\ufffd", 2)]),
        ([], []),
    ],
)
def test_how_many_pieces_each_character_took(pieces, expected):
    assert shown(*pieces) == expected


def test_the_end_comes_once():
    text = ScreenText()
    text.push(b"\xe2")
    assert text.end() == [("\ufffd", 1)]
    assert text.end() == []
