"""What comes out of a file, given how it is decoded."""

from __future__ import annotations

import codecs

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.text import decode_text, file_pieces
from pycharrnn.text.decode_text import CR, CRLF, INVALID_AS_CP1252, Decoding

TEXT = "größer €\r\n😀\rœuvre\r\r\n“end”"
UNIX = "größer €\n😀\nœuvre\n\n“end”"


def read(path, content: bytes, *decoding) -> bytes:
    path.write_bytes(content)
    return b"".join(decode_text.pieces(str(path), Decoding(*decoding), "a.txt"))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "gb18030", "utf-7"])
def test_every_encoding_becomes_utf8_with_newlines_and_without_mark(tmp_path, monkeypatch, codec, mark, piece):
    monkeypatch.setattr(file_pieces, "_PIECE", piece)
    assert read(tmp_path / "a", (mark + TEXT).encode(codec), codec) == UNIX.encode()


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize(
    "content, wanted",
    [
        (b"a\rb\r\rc\r\r\nd\r", b"a\nb\n\nc\n\nd\n"),
        (b"\xef\xbb\xbf\xef\xbb\xbfa\xef\xbb\xbf", b"\xef\xbb\xbfa\xef\xbb\xbf"),  # one mark, at the beginning
        (b"\xef\xbb\xbf", b""),
    ],
)
def test_line_ends_and_marks(tmp_path, monkeypatch, content, wanted, piece):
    monkeypatch.setattr(file_pieces, "_PIECE", piece)
    assert read(tmp_path / "a", content) == wanted
    assert read(tmp_path / "a", content, "bytes") == content


@pytest.mark.parametrize("piece", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize(
    "content, wanted",
    [
        (b"ab\ncd\n", set()),
        (b"ab\r\ncd\r\n\r\n", {CRLF}),
        (b"ab\ncd\r", {CR}),
        (b"ab\rcd\nef", {CR}),
        (b"ab\r\r\ncd", {CRLF, CR}),
    ],
)
def test_line_ends_that_become_lf_are_reported(tmp_path, monkeypatch, piece, content, wanted):
    monkeypatch.setattr(file_pieces, "_PIECE", piece)
    (tmp_path / "a").write_bytes(content)
    for decoding, reported in ((Decoding(), wanted), (Decoding("bytes"), set())):
        replaced: set[str] = set()
        list(decode_text.pieces(str(tmp_path / "a"), decoding, "a", replaced=replaced))
        assert replaced == reported


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_invalid_bytes(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(file_pieces, "_PIECE", piece)
    broken_utf8 = "größer ".encode() + b"\x93gr\xf6\xdfer\x94 \x81" + "größer".encode() + b"\xe2\x82"
    assert read(tmp_path / "a", broken_utf8, "utf-8", INVALID_AS_CP1252).decode() == "größer “größer” \ufffdgrößer"
    assert read(tmp_path / "a", b"a\0\x00\xd8b\0c", "utf-16-le", "replace").decode() == "a\ufffdb\ufffd"
    for content, codec, where in (
        (broken_utf8, "utf-8", "9 (byte 0x93)"),
        ("größer ".encode("cp932", "ignore") + b"\x81", "shift-jis", "5 (byte 0x81)"),
        (b"ab\x8d", "cp1252", "2 (byte 0x8d)"),
        (b"a\0b\0c", "utf-16-le", "4 (byte 0x63)"),
    ):
        with pytest.raises(UserError) as error:
            read(tmp_path / "a", content, codec)
        assert str(error.value) == (
            f"a.txt can't be decoded as {codec} at offset {where}: choose another -text_encoding, or leave that out,"
            " and the encoding is detected."
        )


def test_half_a_surrogate_pair_is_invalid(tmp_path):
    with pytest.raises(UserError, match="a.txt can't be decoded as utf-7 at offset 0: "):
        read(tmp_path / "a", b"+2AA-", "utf-7")


def test_progress(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 5000)
    read_bytes: list[int] = []
    assert b"".join(decode_text.pieces(str(tmp_path / "a"), Decoding(), "a", read_bytes.append)) == b"x" * 5000
    assert sum(read_bytes) == 5000


def test_names_of_encodings():
    for name in ("bytes", "utf-8", "UTF8", "cp1252", "latin-1", "mac-roman", "koi8-r", "shift-jis", "gb18030", "cp037"):
        assert decode_text.ENCODING.holds(name)
    for name in ("", "klingon", "rot13", "hex", "idna", "punycode", "undefined", "a\0b", "../etc"):
        assert not decode_text.ENCODING.holds(name)
    for name in decode_text.ENCODING.text.rpartition("such as ")[2].replace(" or ", ", ").split(", "):
        assert codecs.lookup(name)
