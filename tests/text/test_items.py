"""Items of a text that arrives in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.item_options import ITEM_KINDS
from pycharrnn.common.errors import UserError
from pycharrnn.text import item_file, items


@given(st.binary(max_size=60), st.integers(1, 60))
def test_pieces_do_not_matter(text, size):
    pieces = [text[first : first + size] for first in range(0, len(text), size)]
    splitter = items.ItemSplitter(b"\n")
    found = [item for piece in pieces for item in splitter.push(piece)]
    assert [*found, splitter.rest()] == text.split(b"\n")


@pytest.mark.parametrize("size", [1, 7, 8, 9, 100])
def test_the_limit_holds_in_all_pieces(size):
    def found(text: bytes) -> list[bytes]:
        pieces = (text[first : first + size] for first in range(0, len(text), size))
        return list(items.of_input(pieces, b"\n", 7))

    assert found(b"a\nbcdefgh\nc\nijklmno") == [b"a", b"bcdefgh", b"c", b"ijklmno"]
    for text in (b"a\nbcdefghi\nc", b"a\nc\nbcdefghi", b"bcdefghi\na\n", b"a\nbcdefghi"):
        with pytest.raises(UserError, match="the item that begins with 'bcdefghi?' has more than 7 bytes"):
            found(text)


def test_blank_lines_in_several_pieces():
    assert list(items.as_input([b"a\n\n", b"\nb\nc", b"\n \n"], "blank", "a.txt")) == [b"a\x1e", b"b\nc\x1e"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_line_breaks_around_an_item_do_not_count(size):
    def found(text: bytes, kind: str) -> list[bytes]:
        pieces = (text[first : first + size] for first in range(0, len(text), size))
        return [item.removesuffix(ITEM_KINDS[kind].end) for item in items.as_input(pieces, kind, "a.txt", 9)]

    for kind in ("line", "blank", "file"):
        assert found(b"123456789\r\n" if kind == "file" else b"123456789\n", kind) == [b"123456789"]
    assert found(b"\r\n" * 9 + b"1\r\n\r\n2" + b"\r\n" * 9, "file") == [b"1\r\n\r\n2"]
    assert found(b"1234\n5678\n\n\n1234\n5678\n", "blank") == [b"1234\n5678"] * 2
    for text, kind in ((b"1234\n56789\n", "blank"), (b"1" + b"\n" * 8 + b"2", "file"), (b"1234567890\n", "file")):
        with pytest.raises(UserError, match="more than 9 bytes"):
            found(text, kind)


def test_a_line_that_is_not_trained_on_may_be_longer(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"a\n" + b"b" * 1_200_000 + b"\n")
    assert [len(item) for item in item_file.items_of_file(str(path), "line")] == [1, 1_200_000]
    (text,) = items.of_text(b"b" * 1_200_000, "blank")
    assert len(text) == 1_200_000


def test_an_item_that_is_not_trained_on_may_be_longer_but_not_endless(tmp_path, monkeypatch):
    path = tmp_path / "novel.txt"
    path.write_bytes(b"b\n" * 10)
    assert list(item_file.items_of_file(str(path), "file")) == [b"b\n" * 9 + b"b"]
    monkeypatch.setattr(items, "MAX_READ_ITEM", 15)
    with pytest.raises(UserError, match="has more than 15 bytes, the most that an item may have: divide it\\.$"):
        list(item_file.items_of_file(str(path), "file"))


def test_the_files_of_a_folder_that_are_left_out_are_said(tmp_path):
    (tmp_path / "lines.txt").write_bytes(b"a\nb\n")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0\0\0")
    said = []
    assert list(item_file.items_of_file(str(tmp_path), "line", note=said.append)) == [b"a", b"b"]
    assert said == [f"left out, since they contain no text: {tmp_path / 'photo.jpg'}."]
