"""Items of a text that arrives in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pycharrnn.text import items


@given(st.binary(max_size=60), st.integers(1, 60))
def test_pieces_do_not_matter(text, size):
    pieces = [text[first : first + size] for first in range(0, len(text), size)]
    splitter = items.ItemSplitter(b"\n")
    found = [item for piece in pieces for item in splitter.push(piece)]
    assert [*found, splitter.rest()] == text.split(b"\n")


def test_blank_lines_in_several_pieces():
    assert list(items.as_input([b"a\n\n", b"\nb\nc", b"\n \n"], "blank", "a.txt")) == [b"a\x1e", b"b\nc\x1e"]
