"""What a model reads before it samples."""

from __future__ import annotations

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.sampling.primetext import primetext_characters, without_unknown

LETTERS = {b"a": 2, b"b": 1, "\u00e9".encode(): 3}


def test_a_primetext_is_a_list_of_characters():
    assert primetext_characters("b\u00e9a".encode(), LETTERS) == [b"b", "\u00e9".encode(), b"a"]
    assert primetext_characters(b"", LETTERS) == []


def test_unknown_characters_are_left_out_and_named():
    named = 'the characters U+007E "~" and U+00FC "\u00fc", which the model has never seen'
    assert without_unknown("a~\u00e9\u00fcb~".encode(), LETTERS) == ("a\u00e9b".encode(), named)
    assert without_unknown(b"", LETTERS) == (b"", "")


def test_no_part_of_a_character_is_left():
    """Of a character of several bytes, the vocabulary of a model of bytes may have some only."""
    vocab = {b"a": 1, b"\x82": 2, b"\xc3": 3, b"\xe2": 4}
    for text, kept in (
        ("a\u00e9a", b"aa"),
        ("\u20aca", b"a"),
        (b"\xc3\xc3\xa9a\x82", b"\xc3a\x82"),
        (b"\xa9\xc3", b"\xc3"),
    ):
        given = text.encode() if isinstance(text, str) else text
        assert without_unknown(given, vocab)[0] == kept


def test_the_way_out_of_an_unknown_character():
    with pytest.raises(UserError, match='"A", which the model has never seen: write it in lower case, or use -ignore'):
        primetext_characters(b"Ab", {b"a": 1, b"b": 2})
    with pytest.raises(UserError, match="never seen: leave it out.$"):
        primetext_characters(b"1", {b"a": 1}, ignorable=False)
