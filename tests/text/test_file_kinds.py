"""Which files are not plain text, by their ending or their content."""

from __future__ import annotations

import io
import zipfile

import pytest

from compat import file_magic
from pycharrnn.checkpoints import formats
from pycharrnn.text import file_kinds
from pycharrnn.text.file_kinds import BINARY_ENDINGS, HTML, kind_of


def archive(*names: str, stored: str = "") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as f:
        if stored:
            f.writestr(zipfile.ZipInfo("mimetype"), stored)  # without the time, which ids of tests would have
        for name in names:
            f.writestr(zipfile.ZipInfo(name), "<x/>" * 50_000)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content, name",
    [
        (b"%PDF-1.4\n", "a PDF file"),
        (b"{\\rtf1\\ansi Hello}", "an RTF file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a Word file"),
        (archive("[Content_Types].xml", "word/document.xml"), "a Word file"),
        (archive("media/a", "media/b", "word/document.xml"), "a Word file"),
        (archive("[Content_Types].xml", "xl/workbook.xml"), "an Excel file"),
        (archive("[Content_Types].xml", "ppt/presentation.xml"), "a PowerPoint file"),
        (archive("content.xml", stored="application/vnd.oasis.opendocument.text"), "an OpenDocument file"),
        (archive("content.opf", stored="application/epub+zip"), "an EPUB book"),
        (b"<!DOCTYPE html>\n<p>", "HTML"),
        (b"\xef\xbb\xbf  <!doctype HTML PUBLIC>", "HTML"),
        (b"<?xml version='1.0'?>\n<!-- a --> <!-- b -->\n<html lang='fr'>", "HTML"),
        ("\ufeff<html>\n".encode("utf-16-le"), "HTML"),
        (b"<!DOCTYPE html>\n<p>Prompt" + file_magic.MODEL_IN_PAGE + b"{}", "a page with a model in it"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "a file of subtitles"),
        (b"\xef\xbb\xbf1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\n", "a file of subtitles"),
    ],
)
def test_by_content(tmp_path, content, name):
    (tmp_path / "a").write_bytes(content)
    found = kind_of(str(tmp_path / "a"), "standard input")
    assert found and found.name == name


@pytest.mark.parametrize(
    ("ending", "name"), [("XLS", "an Excel file"), ("ppt", "a PowerPoint file"), ("msg", "an Outlook message")]
)
def test_old_office_files_by_ending(tmp_path, ending, name):
    (tmp_path / "a").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    assert kind_of(str(tmp_path / "a"), f"f/a.{ending}").name == name


@pytest.mark.parametrize("ending", ["html", "htm", "xhtml", "PDF", "rtf", "srt", "VTT"])
def test_by_ending(tmp_path, ending):
    (tmp_path / "a").write_text("plain text", encoding="utf-8")
    found = kind_of(str(tmp_path / "a"), f"f/a.{ending}")
    assert found and (found is HTML) == ("htm" in ending)


@pytest.mark.parametrize("ending", ["DOCX", "odt", "epub"])
def test_archives_by_ending_unless_they_are_text(tmp_path, ending):
    for content in (b"PK\3\4" + bytes(99), b""):
        (tmp_path / "a").write_bytes(content)
        assert kind_of(str(tmp_path / "a"), f"f/a.{ending}")
    for content in (b"plain text", "caf\xe9 noir".encode("cp1252"), "plain text".encode("utf-16")):
        (tmp_path / "a").write_bytes(content)
        assert kind_of(str(tmp_path / "a"), f"f/a.{ending}") is None


@pytest.mark.parametrize(
    "content",
    [
        b"plain text",
        b"The tag <html> begins a page.",
        b"A page has " + file_magic.MODEL_IN_PAGE + b" before each model.",
        b"WEBVTTS is no word",
        b"1\n2\n3\n",
        b"<htmlish>",
        b"<!---->" * 5000,
        b"<!-- " * 10000,
        archive("a.txt"),
        b"PK\3\4",
    ],
)
def test_other_files(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert kind_of(str(tmp_path / "a"), "f/a.txt") is None


def test_each_signature_has_advice_for_a_model_and_packed_files_for_a_text(tmp_path):
    assert set(file_magic._ADVICE) == set(file_magic.SIGNATURES)
    assert file_kinds._PACKED.keys() | file_kinds._DOCUMENTS.keys() <= file_magic.SIGNATURES.keys()
    for kind, first in file_magic.SIGNATURES.items():
        assert file_magic.signature(first + bytes(9)) == kind
        assert file_magic.name_of(first + bytes(600)) == file_magic._ADVICE[kind]
    for kind, found in file_kinds._PACKED.items():
        (tmp_path / "a").write_bytes(file_magic.SIGNATURES[kind] + bytes(9))
        assert file_kinds.kind_of_binary(str(tmp_path / "a"), "a", False) is found


def test_binary_endings_are_those_of_checkpoints():
    texts = {".json", *formats.HTML.endings}
    assert set(BINARY_ENDINGS) == {ending for f in formats.FORMATS if f.read for ending in f.endings} - texts


def test_a_text_that_begins_like_a_model_is_a_text(tmp_path):
    (tmp_path / "a").write_bytes(b'{"model": "lstm", "rnn_size": is how it begins.\n')
    assert kind_of(str(tmp_path / "a"), "a.txt") is None
    assert kind_of(str(tmp_path / "a"), "a.json").name == "a model as JSON"
