"""Text made safe to show."""

from __future__ import annotations

import pytest

from pycharrnn.common.display import (
    character_name,
    column_width,
    control_pictures,
    escape_controls,
    escape_for_terminal,
    escape_html,
    escape_line,
    escape_separators,
    is_utf8,
    join_words,
    quote_character,
    quote_characters,
    quote_code_point,
    replace_surrogates,
)


@pytest.mark.parametrize(
    "text, shown",
    [
        (b"plain \xc3\xa9", "plain é"),
        (b"\x1b[31m\n\x7f\xc2\x85", r"\x1b[31m\n\x7f\x85"),
        (b"\xff\xc3", r"\xff\xc3"),
        ("d\udcff\ud800\u202e", r"d\xff\ud800\u202e"),
        (b"x" * 200, "x" * 200),
        (b"x" * 300, "x" * 197 + "..."),
        (b"\x00" * 300, (r"\x00" * 50)[:197] + "..."),
    ],
)
def test_a_line_is_escaped_and_cut(text, shown):
    assert escape_line(text) == shown


def test_a_name_is_escaped_whole():
    assert escape_line("n" * 300 + "\U000e0001", None) == "n" * 300 + r"\U000e0001"
    assert escape_line(b"\xff" * 300, None) == r"\xff" * 300


def test_control_characters_have_pictures():
    content = "".join(map(chr, range(0xA1)))
    found = control_pictures(content)
    assert found[:32] == "".join("\t\n"[k - 9] if k in (9, 10) else chr(0x2400 + k) for k in range(32))
    assert found[32:127] == content[32:127]
    assert found[127:] == "\u2421" + "\ufffd" * 32 + "\xa0"


def test_what_is_not_seen_is_replaced_but_joiners_are_not():
    text = "a\x1b[31m\n\u202e\u2028\u2029\ue000\uffffb\u200c\u200d\u00e9"
    assert escape_for_terminal(text) == "a\u241b[31m\n" + "\ufffd" * 5 + "b\u200c\u200d\u00e9"
    assert escape_controls(text) == "a\\x1b[31m\n\\u202e\\u2028\\u2029\\ue000\\uffffb\u200c\u200d\u00e9"


def test_a_cell_of_a_table_has_neither_tabs_nor_line_breaks():
    assert escape_separators(b"a\tb\r\n\\n") == rb"a\tb\r\n\\n"


def test_html_is_escaped():
    assert escape_html('<a href="\x1b">&') == "&lt;a href=&quot;\u241b&quot;&gt;&amp;"


def test_quoted_characters_are_sorted_and_counted():
    characters = [bytes([k]) for k in range(125, 96, -1)]
    assert quote_characters(characters[-3:]) == "'a' 'b' 'c'"
    assert quote_characters(characters) == " ".join(f"'{chr(k)}'" for k in range(97, 117)) + " and 9 more"
    assert quote_characters(["\u00e9".encode(), b"\n", b"\xff"]) == "'\\n' U+00E9 \"\u00e9\" '\\xff'"


def test_a_quotation_mark_and_several_bytes_are_quoted_so_that_they_can_be_read():
    assert quote_characters(["\u201c".encode(), "\u0300".encode()]) == 'U+0300 "\u0300" U+201C "\u201c"'
    assert quote_code_point('"') == 'U+0022 "\\""'
    assert quote_character(b"\xff\xfe") == r"'\\xff\\xfe'"  # as a damaged file may have it


def test_all_words_are_named_or_the_rest_is_counted():
    assert join_words(["a", "b", "c"], 3) == "a, b, c"
    assert join_words(["a", "b", "c"], 2) == "a, b and 1 more"


def test_a_text_that_is_cut_may_end_within_a_character():
    text = "a\u20ac".encode()
    assert is_utf8(text) and is_utf8(text, is_cut=True)
    assert is_utf8(text[:-1], is_cut=True) and not is_utf8(text[:-1])
    assert not is_utf8(b"\xff", is_cut=True)


def test_a_byte_of_invalid_utf8_is_named_in_hexadecimal():
    assert [character_name(c) for c in (b"a", "\u00e9".encode(), b"\xe2")] == ["a", "\u00e9", "0xE2"]


def test_surrogates_become_characters_or_replacements():
    assert replace_surrogates("a\udcc3\udca9\udcff") == "a\u00e9\ufffd"
    assert replace_surrogates("\ud800\udc7f\udd00\udfff") == "\ufffd" * 4


def test_the_width_of_characters_on_a_terminal():
    assert [column_width(c) for c in "a\u0301\u200d\u304c\uff21"] == [1, 0, 0, 2, 2]
