"""Files of any kind as plain text: what they are written in, and what comes out of them."""

from __future__ import annotations

import gzip
import random
import struct

import pytest

from pycharrnn.text import decode_text

ENGLISH = "The night was as dark as ink.\r\nNobody slept.\r\n"
FRENCH = "Où sont les neiges d'antan?\r\nŒuvre, naïf, “guillemets”…\r\n"
CYRILLIC = "Ночь, улица, фонарь, аптека.\r\nБессмысленный и тусклый свет.\r\n"
CHINESE = "一二三四五六。\r\n床前明月光，\r\n"
EMOJI = "a 😀 b\r\n"
TEXTS = [ENGLISH, FRENCH, CYRILLIC, CHINESE, EMOJI]
NOISE = random.Random(5)


def read(path, content: bytes) -> bytes | None:
    """The text of a file with this content; None if it is not taken for a text."""
    path.write_bytes(content)
    encoding = decode_text.encoding_of(str(path))
    return None if encoding is None else b"".join(decode_text.pieces(str(path), encoding))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "be with a mark", "utf-32"]
)
def test_every_unicode_becomes_utf8_with_newlines(tmp_path, monkeypatch, text, encoding, piece):
    monkeypatch.setattr(decode_text, "_PIECE", piece)
    content = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "be with a mark" else text.encode(encoding)
    assert read(tmp_path / "a", content) == text.replace("\r\n", "\n").encode()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "koi8-r", "shift-jis", "gb18030"])
def test_what_is_no_unicode_stays_its_bytes(tmp_path, encoding):
    text = (CYRILLIC if encoding != "latin-1" else "Où sont les neiges?\r\n").encode(encoding)
    assert read(tmp_path / "a", text) == text.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    "content, wanted",
    [
        (b"a\rb\r\rc\r\r\nd\r", b"a\rb\r\rc\r\nd\r"),  # only a return before a newline goes
        (b"\xef\xbb\xbf\xef\xbb\xbfa\xef\xbb\xbf", b"\xef\xbb\xbfa\xef\xbb\xbf"),  # and only one mark, at the start
        (b"\xef\xbb\xbf", b""),
        (b"\x1b[31mred\x1b[0m\n", b"\x1b[31mred\x1b[0m\n"),
        (b"\xff\xfea\0\x00\xd8b\0", "a\ufffdb".encode()),  # half a character in the middle
        (b"\xff\xfea\0b", "a\ufffd".encode()),  # and at the end
    ],
)
def test_odd_texts(tmp_path, monkeypatch, content, wanted):
    if content.startswith(b"\xff\xfe"):
        monkeypatch.setattr(decode_text, "_FIRST", 4)  # it is damaged further on than it was looked at
    assert read(tmp_path / "a", content) == wanted


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0" + NOISE.randbytes(3000),
        b"\xff\xfb\x90\x64" + NOISE.randbytes(3000),
        b"\xff\xfe" + NOISE.randbytes(3000),
        b"\xff\xfe\0\0" + NOISE.randbytes(3000),
        b"\x7fELF\2\1\1" + bytes(9),
        gzip.compress(NOISE.randbytes(2000), mtime=0),  # the test has its bytes for a name
        NOISE.randbytes(3000).replace(b"\0", b""),
        b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        struct.pack("<500h", *(NOISE.randrange(-3000, 3000) for _ in range(500))),
        struct.pack("<500i", *range(500)),
        bytes(1000),
        b"a text with a \0 in it",
        "a text with a \0 in it".encode("utf-16"),
    ],
)
def test_what_is_no_text(tmp_path, content):
    assert read(tmp_path / "a", content) is None


def test_reading_is_told_of(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 5000)
    told: list[int] = []
    assert b"".join(decode_text.pieces(str(tmp_path / "a"), "bytes", told.append)) == b"x" * 5000
    assert sum(told) == 5000
