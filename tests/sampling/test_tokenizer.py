"""A text as characters of a vocabulary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycharrnn.common.errors import UserError
from pycharrnn.sampling import tokenizer

LETTERS = {b"a": 2, b"b": 1, "\u00e9".encode(): 3}


class Counted(dict):
    """Counts how often somebody looks something up."""

    def __contains__(self, key) -> bool:
        self.looks = getattr(self, "looks", 0) + 1
        return super().__contains__(key)


def tokenize_plainly(text: bytes, vocab: dict[bytes, int]) -> list[tuple[int, bytes | None]]:
    found, position = [], 0
    while position < len(text):
        fits = [c for c in vocab if text.startswith(c, position)]
        found.append((position, max(fits, key=len, default=None)))
        position += len(found[-1][1] or b"x")
    return found


@given(
    vocab=st.sets(st.binary(min_size=1, max_size=4), min_size=1, max_size=12),
    text=st.lists(st.sampled_from([b"a", b"ab", b"abc", b"\xc3", b"\xa9", b"\0"]), max_size=20),
)
def test_a_text_is_divided_into_the_longest_characters(vocab, text):
    vocab = {c: k for k, c in enumerate(sorted({*vocab, b"a", b"abc"}), 1)}
    assert list(tokenizer.tokenize(b"".join(text), vocab)) == tokenize_plainly(b"".join(text), vocab)


def test_one_long_character_means_no_more_work():
    vocab = Counted({b"a": 1, b"b" * 64: 2, "é".encode(): 3})
    text = b"aab~" * 1000
    assert sum(c == b"a" for _, c in tokenizer.tokenize(text, vocab)) == 2000
    assert vocab.looks == 3000  # one for each byte that begins a character


def test_unknown_bytes_are_left_out_and_counted():
    assert tokenizer.without_unknown("a~\u00e9\u00fcb".encode(), LETTERS) == ("a\u00e9b".encode(), 3)
    assert tokenizer.without_unknown(b"", LETTERS) == (b"", 0)


@pytest.mark.parametrize(
    "text, character, byte",
    [
        ("a~b", "~", "7e"),
        ("\u00fc", "\u00fc", "c3"),
        ("ab\u20ac", "\u20ac", "e2"),
        ("a\U0001f600~", "\U0001f600", "f0"),
    ],
)
def test_the_first_unknown_character_of_a_primetext_is_named(text, character, byte):
    with pytest.raises(UserError) as raised:
        tokenizer.primetext_characters(text.encode(), LETTERS)
    assert f"-primetext has the character {character!r} (byte 0x{byte})" in str(raised.value)


def test_a_character_is_named_whole_wherever_it_becomes_unknown():
    """A vocabulary of bytes may hold the first bytes of a character and lack a later one."""
    content = "\u20aca".encode()
    for position in range(3):
        assert tokenizer.describe_unknown(content, position).startswith("the character '\u20ac' ")
    assert tokenizer.describe_unknown(content, 3).startswith("the character 'a' ")
    assert "(byte 0xac)" in tokenizer.describe_unknown(content, 2)


def test_a_primetext_is_a_list_of_characters():
    assert tokenizer.primetext_characters("b\u00e9a".encode(), LETTERS) == [b"b", "\u00e9".encode(), b"a"]
    assert tokenizer.primetext_characters(b"", LETTERS) == []
