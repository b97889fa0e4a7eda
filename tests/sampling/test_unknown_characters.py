"""What messages say about characters that a vocabulary lacks."""

from __future__ import annotations

import ast
import re

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.page import page_files
from pycharrnn.sampling import unknown_characters
from pycharrnn.sampling.primetext import encode_primetext, primetext_characters
from pycharrnn.sampling.unknown_characters import advice_on_unknown, describe_unknown

LETTERS = {b"a": 2, b"b": 1, "\u00e9".encode(): 3}


def test_many_bytes_without_a_beginning_are_named_in_little_time():
    """Each was looked for back to the beginning of the text, which took minutes."""
    with pytest.raises(UserError, match=r"byte 0x80"):
        encode_primetext(b"\x80" * 100_000, {b"a": 1})


@pytest.mark.parametrize(
    "text, as_code_point, as_byte",
    [
        ("a~b", 'U+007E "~"', "'~'"),
        ("\u00fc", 'U+00FC "\u00fc"', "'\u00fc'"),
        ("ab\u20ac", 'U+20AC "\u20ac"', "'\u20ac'"),
        ("a\U0001f600", 'U+1F600 "\U0001f600"', "'\U0001f600'"),
        ("~a~", 'U+007E "~"', "'~'"),
        ('a"', 'U+0022 "\\""', "'\"'"),
        ("a\t", 'U+0009 "\\t"', "'\\t' (byte 0x09)"),
    ],
)
def test_the_unknown_character_of_a_primetext_is_named(text, as_code_point, as_byte):
    for vocab, name in ((LETTERS, as_code_point), ({b"a": 1, b"b": 2, b"\xc3": 3}, as_byte)):
        for option in ("primetext", "primefile"):
            with pytest.raises(UserError) as raised:
                primetext_characters(text.encode(), vocab, option)
            assert str(raised.value) == (
                f"-{option} has the character {name}, which the model has never seen: leave it out, or use"
                " -ignore_bad_primetext 1."
            )


def test_all_unknown_characters_of_a_primetext_are_named():
    """Each once and as a whole; not more than twenty."""

    def said(text: str, vocab: dict[bytes, int]) -> str:
        with pytest.raises(UserError) as raised:
            primetext_characters(text.encode(), vocab)
        return str(raised.value)

    two = 'the characters U+00FC "\u00fc" and U+007E "~", which the model has never seen: leave them out, or use'
    assert two in said("a\u00fc~\u00fcb~", {b"a": 1, b"b": 2, "\u00e9".encode(): 3})
    in_bytes = "the characters '\u00fc' and '~', which"
    assert in_bytes in said("a\u00fc~\u00fcb~", {b"a": 1, b"b": 2, b"\xc3": 3})
    assert 'U+0034 "4" and U+0035 "5", which' in said("12345", {b"a": 1})
    twenty = "".join(map(chr, range(0x41, 0x41 + 20)))
    assert 'U+0053 "S" and U+0054 "T", which' in said(twenty, {b"a": 1})
    assert 'U+0053 "S", U+0054 "T" and 2 more, which' in said(twenty + "UV", {b"a": 1})


def test_a_byte_that_is_not_utf8_does_not_take_the_name_of_its_neighbour():
    """Poems saved as cp1252: 0x92 is an apostrophe and 0x97 a dash."""
    content, vocab = b"o\x92er\x97", {b"e": 1, b"o": 2, b"r": 3}
    with pytest.raises(UserError) as raised:
        primetext_characters(content, vocab, "primefile")
    assert "'\ufffd' (byte 0x92) and '\ufffd' (byte 0x97), which" in str(raised.value)
    assert "seen: save the text as UTF-8, which it is not, or use" in str(raised.value)


def test_a_similar_character_is_named():
    """A text has typographic quotes, a keyboard straight ones; on a phone it is the other way round."""

    def advice(text, known):
        vocab = {byte: k for k, byte in enumerate(known, 1)}
        with pytest.raises(UserError) as raised:
            primetext_characters(text.encode(), vocab, ignorable=False)
        return str(raised.value).rpartition(": ")[2]

    of_bytes = [bytes([byte]) for byte in set("mothers\u2019 \u201c".encode())]
    assert advice("mother's", of_bytes) == "write \u2019 in its place."
    assert advice("\"mother's", of_bytes) == "write \u201c and \u2019 in their place."
    assert advice("mother's~", of_bytes) == "leave them out."
    assert advice("mother\u2019s", [bytes([byte]) for byte in b"mothers'"]) == "write ' in its place."


def test_the_page_has_the_same_similar_characters():
    (listed,) = re.findall(r"SIMILAR = (\[.*?\]);", page_files.file_text("vocabulary.js"))
    assert tuple(ast.literal_eval(listed)) == unknown_characters._SIMILAR


def test_a_character_is_named_whole_wherever_it_becomes_unknown():
    """A vocabulary of bytes may hold the first bytes of a character and lack a later one."""
    content, vocab = "\u20aca".encode(), {b"\xe2", b"b"}
    for position in range(3):
        assert describe_unknown(content, position, vocab).startswith("the character '\u20ac', which")
    assert describe_unknown(content, 3, vocab).startswith("the character 'a', which")


def test_invalid_utf8_of_known_bytes_does_not_change_the_advice():
    assert advice_on_unknown(b"\xff~", [1], {b"\xff": 1}) == "leave it out"


def test_invalid_utf8_is_named_by_its_byte():
    for vocab in (LETTERS, {b"\xc3"}):
        assert "'\ufffd' (byte 0xff)" in describe_unknown(b"a\xff", 1, vocab)


@pytest.mark.parametrize("has_code_points", [True, False])
def test_the_advice_regards_the_unknown_characters_only(has_code_points):
    """Not the rest of the prompt, whose capitals may be known and have no small letter."""

    def advice(text, known="Zodiel\u00e9t\ufffd ,"):
        encoded = known.encode()
        characters = [c.encode() for c in known] if has_code_points else [bytes([byte]) for byte in set(encoded)]
        with pytest.raises(UserError) as raised:
            primetext_characters(text, {c: k for k, c in enumerate(characters, 1)}, ignorable=False)
        return str(raised.value).rpartition(": ")[2]

    assert advice("\u00c9lodie".encode()) == "write it in lower case."
    assert advice("\u00c9lodie et Zo\u00e9, ".encode()) == "write it in lower case."
    assert advice("\u00c9lodie Et Zo\u00e9, ".encode()) == "write them in lower case."
    assert advice("\u00c9lodie & Zo\u00e9, ".encode()) == "leave them out."
    assert advice("\u00c9lodie z".encode()) == "leave them out."
    assert advice("\u00c9lodie X".encode()) == "leave them out."  # nor is x known
    assert advice(b"\xff") == "save the text as UTF-8, which it is not."  # not U+FFFD, which is known
