"""Files and folders as one text: which are taken, in which order, and where the text goes."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import os
import random
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from conftest import needs_byte_names, not_found, with_slashes
from hypothesis import example, given
from hypothesis import strategies as st

from compat import file_magic
from pycharrnn.common import file_lock
from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.text import corpus, decode_text, file_pieces, fingerprint, joined_files, source_files
from pycharrnn.training.corpus_run import corpus_run
from pycharrnn.training.log_rows import Row, as_line, header
from pycharrnn.training.options import TrainOptions

needs_posix_paths = pytest.mark.skipif(os.name == "nt", reason="a path of POSIX")
NO_TEXT = b"\xff\xd8\xff\xe0\0\x10JFIF\0\0\0"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path, content: bytes | str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def gather(*paths: str, text_encoding: str = "", items: str = "") -> tuple[str, bytes, str]:
    """The folder, the text in it, and what is said; paths with slashes."""
    said: list[str] = []
    with corpus.gather(paths, said.append, text_encoding=text_encoding, items=items) as found:
        stats = found.write()
    with open(os.path.join(found.folder, "input.txt"), "rb") as f:
        text = f.read()
    assert stats.size == len(text) and stats.byte_values == tuple(sorted(set(text)))
    return with_slashes(found.folder), text, with_slashes(for_command_line("\n".join(said)))


def refusal(*paths: str, text_encoding: str = "", items: str = "") -> str:
    with (
        pytest.raises(UserError) as error,
        corpus.gather(paths, lambda line: None, text_encoding=text_encoding, items=items) as found,
    ):
        found.write()
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
    return with_slashes(str(error.value))


# -- which files -------------------------------------------------------------------------------------------------------


def test_a_file(home):
    put(home / "letters.txt", "Dear Ada,\r\nno newline at the end")
    assert gather("letters.txt") == (
        "data/letters",
        b"Dear Ada,\nno newline at the end",
        "letters.txt: line ends of Windows (CRLF) became LF.\n"
        "data/letters/input.txt: 31 bytes, new, from 1 file: letters.txt (32 bytes).",
    )  # fmt: skip
    assert sorted(os.listdir("data/letters")) == [".sources", "input.txt"]


def test_line_ends_that_change_are_said_in_one_sentence(home):
    put(home / "a/stray.txt", "one\rtwo\n")
    put(home / "a/both.txt", "one\r\ntwo\rthree\n")
    put(home / "a/unix.txt", "one\ntwo\n")
    for k in range(10):
        put(home / f"a/windows_{k}.txt", f"{k}\r\n")
    of_windows = ", ".join(f"a/windows_{k}.txt" for k in range(8))
    for items in ("", "line", "blank"):
        _, _, said = gather("a", items=items)
        assert said.splitlines()[-2 if items else 0] == (
            "a/both.txt: line ends of Windows (CRLF) and of old Macs (CR) became LF; a/stray.txt: line ends of old Macs"
            f" (CR) became LF; {of_windows} and 2 more: line ends of Windows (CRLF) became LF."
        )
    assert "became LF" not in gather("a", text_encoding="bytes")[2]
    assert "became LF" not in gather("a/unix.txt")[2]


def test_a_folder_is_all_text_files_below_it_in_the_order_of_their_names(home):
    put(home / "poems/b.txt", "b\n")
    put(home / "poems/a/2.txt", "a2")
    put(home / "poems/a/1.md", "a1\r\n")
    put(home / "poems/c", "\ufeffc".encode("utf-16-le"))
    put(home / "poems/a/photo.jpg", NO_TEXT)
    put(home / "poems/empty.txt", b"")
    put(home / "poems/.hidden", "hidden")
    put(home / "poems/.git/config", "hidden")
    put(home / "letter.txt", "z")
    folder, text, said = gather("poems/", "letter.txt")
    assert folder == "data/poems_and_1_more"
    assert text == b"a1\na2\nb\nc\nz"
    assert said.splitlines() == [
        "left out, since they contain no text: poems/a/photo.jpg, poems/empty.txt (empty).",
        "poems/c: read as utf-16-le; -text_encoding overrules this; poems/a/1.md: line ends of Windows (CRLF) became"
        " LF.",
        "data/poems_and_1_more/input.txt: 11 bytes, new, from 5 files: poems/a/1.md (4 bytes), poems/a/2.txt (2 bytes),"
        " poems/b.txt (2 bytes), poems/c (4 bytes), letter.txt (1 bytes).",
    ]


def test_the_name_counts_what_is_read(home):
    """As of `train blog/*`, where there are pictures, too."""
    for name in ("a.txt", "b.txt", "c.txt"):
        put(home / "blog" / name, name)
    put(home / "blog/0.jpg", NO_TEXT)
    put(home / "blog/scan.pdf", b"%PDF-1.4")
    (home / "empty").mkdir()
    assert gather("empty", *(f"blog/{name}" for name in sorted(os.listdir("blog"))))[0] == "data/a_and_2_more"


def test_nothing_is_taken_twice_and_links_may_lead_in_circles(home):
    put(home / "a/x.txt", "x")
    put(home / "y.txt", "y")
    (home / "a/up").symlink_to("..")
    (home / "a/again.txt").symlink_to("x.txt")
    (home / "a/z").symlink_to(Path("../y.txt"))  # Windows follows no slash in a link
    _, text, said = gather("a", "a/x.txt", "./a", "y.txt")
    assert text == b"x\ny"
    assert said.endswith("from 2 files: a/again.txt (1 bytes), a/up/y.txt (1 bytes).")


@pytest.mark.parametrize("piece", [3, 1 << 20])
def test_files_in_several_encodings_become_one_text(home, monkeypatch, piece):
    """Each is decoded by itself, wherever a piece of it ends."""
    monkeypatch.setattr(file_pieces, "_PIECE", piece)
    text = "größer €\r\n😀 end"
    put(home / "f/1.txt", codecs.BOM_UTF16_LE + text.encode("utf-16-le"))
    put(home / "f/2.txt", text.encode("utf-8"))
    put(home / "f/3.txt", codecs.BOM_UTF16_BE + text.encode("utf-16-be"))
    put(home / "f/4.txt", codecs.BOM_UTF32_LE + text.encode("utf-32-le"))
    put(home / "f/5.txt", b"gr\xf6\xdfer\r")
    put(home / "f/6.txt", codecs.BOM_UTF8 + text.encode("utf-8"))
    put(home / "f/7.txt", "plain English text\r\n".encode("utf-16-le"))
    unix = text.replace("\r", "").encode()
    _, gathered, said = gather("f")
    assert gathered == b"\n".join([unix, unix, unix, unix, "größer".encode(), unix, b"plain English text\n"])
    assert said.splitlines()[0] == (
        "f/1.txt, f/7.txt: read as utf-16-le; f/3.txt: read as utf-16-be; f/4.txt: read as utf-32-le; f/5.txt: read as"
        " cp1252; -text_encoding overrules this; f/1.txt, f/2.txt, f/3.txt, f/4.txt, f/6.txt, f/7.txt: line ends of"
        " Windows (CRLF) became LF; f/5.txt: line ends of old Macs (CR) became LF."
    )
    assert said.split("; -text_encoding overrules this;")[0] in Path("data/f/.sources").read_text(encoding="utf-8")


def test_an_encoding_that_is_named_is_that_of_all_files(home):
    text = "Où sont les neiges?\r\n"
    put(home / "a.txt", text.encode("mac-roman"))
    assert gather("a.txt", text_encoding="mac-roman") == (
        "data/a",
        text.replace("\r", "").encode(),
        "a.txt: read as mac-roman; a.txt: line ends of Windows (CRLF) became LF.\n"
        "data/a/input.txt: 21 bytes, new, from 1 file: a.txt (21 bytes).",
    )  # fmt: skip
    assert gather("a.txt", text_encoding="bytes")[:2] == ("data/a_2", text.encode("mac-roman"))
    assert gather("a.txt", text_encoding="cp1251")[0] == "data/a_3"
    for _ in range(2):  # each choice finds its text again
        assert gather("a.txt", text_encoding="mac-roman")[0] == "data/a"
        assert gather("a.txt", text_encoding="bytes")[0] == "data/a_2"
    assert refusal("a.txt", text_encoding="utf-8").startswith("a.txt can't be decoded as utf-8 at offset 1 (byte 0x9d)")
    assert sorted(os.listdir("data")) == ["a", "a_2", "a_3"]


def test_files_that_are_not_plain_text(home):
    put(home / "f/a.txt", "plain text")
    put(home / "f/b.pdf", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n")
    put(home / "f/c.srt", "1\n00:00:01,000 --> 00:00:02,000\nWho's there?\n")
    put(home / "f/d.html", "<p>Caf&eacute;</p>")
    folder, text, said = gather("f")
    assert text == "plain text\nCafé\n".encode()
    assert said.splitlines()[:2] == [
        "left out, since they are not plain text: f/b.pdf (a PDF file), f/c.srt (a file of subtitles); save them as"
        " plain text.",
        "f/d.html: read as the text of HTML.",
    ]
    assert (
        refusal("f/b.pdf")
        == refusal("f/b.pdf", text_encoding="bytes")
        == ("f/b.pdf is a PDF file, not plain text: save its text as plain text, for example with pdftotext.")
    )
    assert refusal("f/c.srt") == (
        "f/c.srt is a file of subtitles, not plain text: save what is said as plain text, without the times."
    )
    assert refusal("f/b.pdf", "f/c.srt") == (
        "f/b.pdf is a PDF file, not plain text: save its text as plain text, for example with pdftotext; f/c.srt is a"
        " file of subtitles, not plain text: save what is said as plain text, without the times."
    )
    put(home / "e" / "b.pdf", b"%PDF-1.4\n")
    put(home / "e" / "empty.txt", b"")
    notes: list[str] = []
    with (
        pytest.raises(UserError, match=r"^e.b\.pdf is a PDF file, not plain text: "),
        corpus.gather(["e"], notes.append),
    ):
        pass
    assert with_slashes("".join(notes)) == "left out, since they contain no text: e/empty.txt (empty)."
    for name in ("essay.docx", "essay2.docx"):
        put(home / name, b"PK\3\4" + bytes(99))
    each = "each of essay.docx, essay2.docx is a Word file, not plain text: save it as plain text."
    assert refusal("essay.docx", "essay2.docx") == each
    for text_encoding in ("utf-8", "bytes"):
        assert gather("f/d.html", text_encoding=text_encoding)[1] == b"<p>Caf&eacute;</p>"
        assert gather("f/c.srt", text_encoding=text_encoding)[1].startswith(b"1\n00:00")


def test_models_among_texts(home):
    """Whoever names a text and a model may expect the training to start from that model."""
    put(home / "a.txt", "text")
    put(home / "m.t7", b"\4\0\0\0\1\0\0\0")
    put(home / "n.html", b"<!DOCTYPE html>" + file_magic.MODEL_IN_PAGE)
    _, text, said = gather("a.txt", "m.t7", "n.html")
    assert text == b"text"
    assert said.splitlines()[0] == (
        "left out, since they are models: m.t7, n.html; pycharrnn train TEXT -init_from FILE trains one further."
    )
    way_out = "name a text; pycharrnn train TEXT -init_from FILE trains the model further"
    assert refusal("m.t7", "n.html") == (
        f"m.t7 is a checkpoint, not plain text: {way_out}; n.html is a page with a model in it, not plain text:"
        f" {way_out}."
    )


def test_how_a_text_with_invalid_bytes_and_html_in_another_encoding_were_read(home):
    utf8 = "größer, schöner, älter " * 20
    put(home / "f/a.txt", utf8.encode() + b"\x93old\x94")
    put(home / "f/b.html", "<p>größer</p>".encode("latin-1"))
    _, text, said = gather("f")
    assert text == f"{utf8}“old”\ngrößer\n".encode()
    assert said.splitlines()[0] == (
        "f/a.txt: read as utf-8, its invalid bytes as cp1252; f/b.html: read as the text of HTML (cp1252);"
        " -text_encoding overrules this."
    )


def test_a_long_path_keeps_its_ending(home):
    """Messages cut long names, and the kind of a file depends on the end of its own."""
    folder = "/".join(["folder" * 10] * 4)
    put(home / folder / "page.html", "<!doctype html><p>Some text, long enough to be a text.</p>")
    _, text, _ = gather(f"{folder}/page.html")
    assert text == b"Some text, long enough to be a text.\n"
    put(home / folder / "film.srt", "1\n00:00:01,000 --> 00:00:02,000\nHello.\n")
    with pytest.raises(UserError, match="subtitles"):
        gather(f"{folder}/film.srt")


def test_a_text_with_a_zero_byte(home):
    """Which is text except for a byte that the user can't see."""
    put(home / "one.txt", b"A poem.\n" * 200 + b"\0")
    said = (
        "one.txt is binary data, with the byte 0 at offset 1,600, not plain text: remove such bytes, or keep all bytes"
    )
    assert refusal("one.txt") == f"{said} by -text_encoding bytes."
    assert refusal("one.txt", text_encoding="cp1252") == f"{said} by -text_encoding bytes."
    assert gather("one.txt", text_encoding="bytes")[1] == b"A poem.\n" * 200 + b"\0"
    put(home / "photo.jpg", NO_TEXT)
    assert refusal("photo.jpg", text_encoding="bytes") == "photo.jpg is a picture: name a text."
    put(home / "two.txt", "A poem.\n")
    left_out = "they are not plain text: one.txt (binary data, with the byte 0 at offset 1,600)"
    assert left_out in gather("one.txt", "two.txt")[2]


def test_the_text_of_torch_rnn(home):
    """Its preprocess.py makes an HDF5 file of a text; Keras keeps weights in such files."""
    put(home / "my_data.h5", b"\x89HDF\r\n\x1a\n" + bytes(99))
    made = "train on the text file from which its preprocess.py made it"
    what = "an HDF5 file, such as torch-rnn makes of a text"
    assert refusal("my_data.h5") == f"my_data.h5 is {what}, not plain text: {made}."
    put(home / "model.h5", b"\x89HDF\r\n\x1a\n" + bytes(99) + b"layer_names")
    assert refusal("model.h5") == "model.h5 is weights of Keras: name a text."


@pytest.mark.parametrize("module, what", [(gzip, "a gzip"), (bz2, "a bzip2"), (lzma, "an xz")])
def test_packed_texts(home, module, what):
    put(home / "a.txt.packed", module.compress(bytes(range(256)) * 40))
    assert refusal("a.txt.packed") == f"a.txt.packed is {what} archive, not plain text: unpack it."


def test_a_zip_archive(home):
    with zipfile.ZipFile(home / "texts.zip", "w") as archive:
        archive.writestr("a", bytes(99))
    assert refusal("texts.zip") == "texts.zip is a zip archive, not plain text: unpack it."
    (home / "texts.zip").rename("essay.pages")
    assert refusal("essay.pages") == "essay.pages is a zip archive: name a text."


def test_a_wrong_encoding_is_named(home):
    (home / "a.txt").write_bytes(("The cat sat on the mat.\n" * 200).encode("utf-16-le"))
    said = refusal("a.txt", text_encoding="cp1252")
    assert said == "a.txt is in utf-16-le, not in cp1252: leave out -text_encoding cp1252, which is for all files."
    (home / "texts").mkdir()
    (home / "texts" / "a.txt").write_bytes(("The cat sat on the mat.\n" * 200).encode("utf-16-le"))
    (home / "texts" / "b.txt").write_bytes(("The größte cat.\n" * 200).encode("cp1252"))
    _, text, notes = gather("texts", text_encoding="cp1252")
    assert text == ("The größte cat.\n" * 200).encode()
    assert "texts/a.txt (in utf-16-le, not in cp1252)" in notes


def test_empty_standard_input(home, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b""), encoding="utf-8"))
    said = refusal("-")
    assert said == "standard input is empty: name a text."


def test_files_without_any_letter(home):
    put(home / "a.html", "<script>let a = 5</script>")
    assert refusal("a.html") == "there is no text in a.html: name another file."
    put(home / "b.txt", "\ufeff")
    assert refusal("b.txt") == "there is no text in b.txt: name another file."
    assert not (home / "data").exists()


def test_a_list_is_said(home):
    names = [
        f"{first}{second}" for first in ("An", "Be", "Cla", "Do", "Em") for second in ("a", "do", "ka", "na", "ra")
    ]
    sorted_names = [f"{a} {b}\n" for a in names for b in names]
    put(home / "my names.txt", "".join(sorted_names))
    put(home / "shuffled.txt", "".join(random.Random(1).sample(sorted_names, len(sorted_names))))
    for _ in range(2):
        assert gather("my names.txt")[2].splitlines()[-1] == (
            "data/my_names/input.txt looks like a sorted list: the network learns the order of the lines, and is"
            " validated on the last lines only; pycharrnn train 'my names.txt' -items line learns each line by"
            " itself, in a new order every epoch."
        )
    assert gather("shuffled.txt")[2].splitlines()[-1] == (
        "data/shuffled/input.txt looks like a list: the network learns the order of the lines; pycharrnn train"
        " shuffled.txt -items line learns each line by itself, in a new order every epoch."
    )
    put(home / "pairs.txt", "".join(f"{one}why not\n\n" for one in random.Random(1).sample(sorted_names, 300)))
    assert gather("pairs.txt")[2].splitlines()[-1] == (
        "data/pairs/input.txt looks like a list with blank lines between items: the network learns the order of the"
        " items; pycharrnn train pairs.txt -items blank learns each item by itself, in a new order every epoch."
    )
    assert "looks like" not in gather("shuffled.txt", items="line")[2]
    said: list[str] = []
    with corpus.gather((home / "shuffled.txt").read_bytes(), said.append) as found:
        found.write()
    assert for_command_line(said[-1]).endswith("; -items line learns each by itself, in a new order every epoch.")


def test_the_command_for_a_list_has_the_flags_that_decide_what_the_text_is(home):
    names = [f"{a}{b}é" for a in ("An", "Be", "Cla", "Do", "Em", "Fi", "Ge") for b in ("a", "do", "ka", "na", "ra")]
    put(home / "l.txt", "".join(f"{a} {b}\n" for a in names[:9] for b in names).encode("mac-roman"))

    def command(given: dict[str, str]) -> str:
        said: list[str] = []
        with corpus_run(["l.txt"], TrainOptions(**given), given, said.append) as (_, found):
            found.write()
        advice = for_command_line(said[-1])
        return advice[advice.index("pycharrnn train") : advice.index(" learns each line")]

    assert command({}) == "pycharrnn train l.txt -items line"
    assert command({"text_encoding": "mac-roman"}) == "pycharrnn train l.txt -text_encoding mac-roman -items line"
    both = {"encoding": "utf8", "text_encoding": "bytes"}
    assert command(both) == "pycharrnn train l.txt -text_encoding bytes -encoding utf8 -items line"


def test_a_file_that_vanishes_before_it_is_compared_is_named(home):
    for name in ("a.txt", "b.txt"):
        put(home / name, "one\n")
    with contextlib.ExitStack() as until_copied:
        files = source_files.find(["a.txt", "b.txt"], print, until_copied)
        (home / "b.txt").unlink()
        with pytest.raises(UserError, match=r"^can't read b\.txt: "):
            list(source_files.sentences_on_copies(files))


def test_copies_of_a_file_are_said(home):
    for name, content in (("a.txt", "one\n"), ("b.txt", "two\n"), ("c.txt", "one\n"), ("d.txt", "one\n")):
        put(home / "poems" / name, content)
    _, content, said = gather("poems")
    assert content == b"one\ntwo\none\none\n"
    are = "poems/c.txt, poems/d.txt are copies of poems/a.txt, which is learned more than once: remove them for a"
    assert f"{are} true val_loss." in said
    said = gather("poems/a.txt", "poems/b.txt", "poems/c.txt")[2]
    assert "poems/c.txt is a copy of poems/a.txt, which is learned more than once: remove it for" in said
    assert "more than once" not in gather("poems/a.txt", "poems/b.txt")[2]
    assert "more than once" not in gather("poems", items="line")[2]  # equal items are in the same split


def test_spaces_at_the_ends_of_items_are_said(home):
    put(home / "names.txt", "Ada\nAda \n\nBob\t\nEva\n")
    said = gather("names.txt", items="line")[2]
    assert "2 of 4 items of names.txt end with a space or a tab, which is learned as a part of them: 'Ada' and" in said
    put(home / "others.txt", "Ada\nBob\n")
    assert "end with" not in gather("others.txt", items="line")[2]
    assert "end with" not in gather("names.txt")[2]


def test_the_header_of_a_table_is_said(home):
    put(home / "names.csv", "Name,Count\nAda,12\nBob,7\nEva,9\n")
    put(home / "more.txt", "Kim\nLea\n")
    _, content, said = gather("names.csv", "more.txt", items="line")
    assert content.startswith(b"Name,Count\n")
    assert "the first line of names.csv, 'Name,Count', looks like the header of a table, and is learned" in said
    assert "more.txt, '" not in said
    assert "header" not in gather("names.csv", "more.txt")[2]


def test_many_files_are_counted(home):
    for k in range(20):
        put(home / f"many/{k:02}.txt", chr(97 + k))
        put(home / f"many/{k:02}.jpg", NO_TEXT)
    left_out, taken = gather("many")[2].splitlines()
    assert "many/07.jpg and 12 more." in left_out
    assert "from 20 files:" in taken
    assert "many/07.txt (1 bytes) and 12 more." in taken


def test_a_text_gathered_earlier_is_no_source_of_another(home):
    put(home / "a.txt", "a")
    gather("a.txt")
    for _ in range(2):
        assert gather(".")[1] == b"a"


def test_what_can_not_be_taken_is_said(home):
    put(home / "none/photo.jpg", NO_TEXT)
    (home / "broken").mkdir()
    (home / "broken/a.txt").symlink_to("nowhere")
    assert refusal("nowhere.txt").startswith(f"can't read nowhere.txt ({not_found()}): name a text file")
    assert refusal("https://x.org/a.txt") == "https://x.org/a.txt is an address: download the text, and name the file."
    assert refusal("a\0b").startswith(with_slashes("can't read a\\x00b ("))
    assert refusal("none") == "there is no text in none: name files of plain text, or folders that hold some."
    assert refusal("none/photo.jpg") == "none/photo.jpg is a picture: name a text."
    assert refusal("broken") == f"there is no text in broken that can be read: broken/a.txt ({not_found()})."
    assert refusal(os.devnull) == f"{os.devnull} is neither a file nor a folder: name a text."
    assert not (home / "data").exists()
    put(home / "a.txt", "a")
    put(home / "data", "a file")
    assert refusal("a.txt").startswith("can't make data/a/input.txt (")


@pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links")
def test_the_list_of_sources_is_written_through_no_link(home):
    """The folder data/ may be somebody else's, and name a file of the user's."""
    for name in ("a.txt", "letter.txt"):
        put(home / name, name)
    (home / "data/a").mkdir(parents=True)
    (home / "data/a/.sources").symlink_to(home / "letter.txt")
    said = "can't make data/a/input.txt (data/a/.sources: it is a symbolic link: remove it)."
    assert refusal("a.txt") == said
    assert (home / "letter.txt").read_bytes() == b"letter.txt"


def test_a_folder_that_may_not_be_written(home, monkeypatch):
    def refuse(*args, **keywords):
        raise PermissionError(13, "Permission denied", "data")

    put(home / "a.txt", "a")
    monkeypatch.setattr(os, "makedirs", refuse)
    said = "can't make data/a/input.txt (data: Permission denied): change to a folder of your own."
    assert refusal("a.txt") == said


def test_a_name_with_spaces_that_was_not_quoted(home):
    put(home / "my new poems/a.txt", "a")
    put(home / "other.txt", "b")
    end = "; if you mean one name with spaces, quote it: 'my new poems'."
    assert refusal("other.txt", "my", "new", "poems").endswith(end.replace("'", '"') if os.name == "nt" else end)
    put(home / "my", "a file of that name")
    assert "'new'" not in refusal("my", "new", "poems") and "quote it" in refusal("my", "new", "poems")
    assert "quote it" not in refusal("other.txt", "new")


def test_a_missing_file_among_thousands_is_named_at_once(home, monkeypatch):
    """All ways of joining neighbours to one name were tried, which took minutes."""
    names = [f"{number}.txt" for number in range(2000)]
    for name in names:
        put(home / name, "a")
    tried = []
    monkeypatch.setattr(os.path, "exists", lambda path: tried.append(path))
    assert refusal(*names[:1000], "gone", *names[1000:]).startswith("can't read gone (No such file or directory): ")
    assert len(tried) < 10_000


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(home):
    put(home / "a/b.txt", "b").chmod(0)
    assert refusal("a") == "can't read a/b.txt: Permission denied."
    (home / "a").chmod(0)
    assert refusal("a") == "can't read the folder a: Permission denied."
    (home / "a").chmod(0o700)


@pytest.mark.skipif(os.name == "nt", reason="files have no such permissions")
@pytest.mark.parametrize(("file", "copies"), [(0o644, 0o755), (0o640, 0o750), (0o604, 0o705), (0o600, 0o700)])
def test_a_user_who_may_not_read_a_text_may_not_read_its_copy(home, file, copies):
    before = os.umask(0o022)
    try:
        put(home / "a/b.txt", "b").chmod(file)
        put(home / "a/c.txt", "c").chmod(0o644)
        folder = gather("a")[0]
    finally:
        os.umask(before)
    assert os.stat(folder).st_mode & 0o777 == copies


@pytest.mark.skipif(os.name == "nt", reason="there are no such names")
def test_names_that_would_move_the_cursor_are_shown_as_escapes(home):
    put(home / "a/\x1b[2J.txt", "a")
    put(home / "a/\x1b.jpg", NO_TEXT)
    assert "\x1b" not in gather("a")[2]


# -- a pipe ------------------------------------------------------------------------------------------------------------


def test_standard_input(home, monkeypatch):
    put(home / "piped", "from a pipe\r\n")
    with open("piped", encoding="utf-8") as f:
        monkeypatch.setattr(sys, "stdin", f)
        folder, text, said = gather("-")
    assert (folder, text) == ("data/stdin", b"from a pipe\n")
    assert said.splitlines()[0] == "standard input: line ends of Windows (CRLF) became LF."
    assert said.splitlines()[1] == "data/stdin/input.txt: 12 bytes, new, from 1 file: standard input (13 bytes)."


@pytest.mark.skipif(os.name == "nt", reason="there are no named pipes")
def test_a_named_pipe(home):
    os.mkfifo("pipe.txt")
    writer = threading.Thread(target=lambda: put(home / "pipe.txt", "from a pipe"))
    writer.start()
    assert gather("pipe.txt")[:2] == ("data/pipe", b"from a pipe")
    writer.join()
    put(home / "folder/a.txt", "a")
    os.mkfifo("folder/pipe")  # nobody writes to it
    assert gather("folder")[1] == b"a"


# -- where to ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, name",
    [
        ("My poems (1).txt", "My_poems_1"),
        ("my.letters.v2.txt", "my.letters.v2"),
        ("folder.of.texts/", "folder.of.texts"),
        ("--flag.txt", "flag"),
        pytest.param("...", "text", marks=needs_posix_paths),
        ("Ночь.txt", "Ночь"),
        ("poe\u0301sie.txt", "po\u00e9sie"),
        ("कविता.txt", "कविता"),
        ("\u2764\ufe0f love.txt", "love"),
        pytest.param("caf\udce9.txt", "caf", marks=needs_byte_names),
        ("é" * 100, "é" * 40),
        ("data/ulysses/input.txt", "ulysses"),
        ("a/../b.txt", "b"),
        ("/", "text"),
        ("-", "stdin"),
        pytest.param("/dev/fd/63", "stdin", marks=needs_posix_paths),
        ("a;rm -rf $HOME`.txt", "a_rm_-rf_HOME"),
        ("con.txt", "text_con"),
        ("Lpt1.old.txt", "text_Lpt1.old"),
        ("console.txt", "console"),
        ("a" * 79 + ". b.txt", "a" * 79),
    ],
)
def test_names(home, path, name):
    if path.startswith("folder"):
        (home / path).mkdir()
    assert corpus.name_of([path]) == name
    assert corpus.name_of([path, "b", "c"]) == f"{name}_and_2_more"


@given(
    st.text("aé _.-/:\u0301\u093f", max_size=100),
    st.sampled_from(["", "Aux. ", "con", "nul.", "COM1_"]),
    st.integers(len("text"), corpus.MAX_NAME),
)
@example("Texte" * 20, "Aux. ", corpus.MAX_NAME)
def test_a_safe_name_is_short_and_stays_as_it_is(name, beginning, most):
    safe = corpus.safe_name(beginning + name, most)
    assert 0 < len(safe.encode()) <= most
    assert corpus.safe_name(safe, most) == safe


def test_a_folder_by_the_way_to_it(home, monkeypatch):
    put(home / "poems/deep/a.txt", "a")
    monkeypatch.chdir(home / "poems/deep")
    assert corpus.name_of(["."]) == "deep"
    assert corpus.name_of([".."]) == "poems"


def test_the_same_text_again_leaves_everything_as_it_is(home):
    put(home / "a.txt", "a")
    gather("a.txt")
    before = {name: os.stat(f"data/a/{name}").st_mtime_ns for name in os.listdir("data/a")}
    os.utime("a.txt", (1, 1))
    assert gather("./a.txt")[2] == "data/a/input.txt: 1 bytes, as before, from 1 file: ./a.txt (1 bytes)."
    assert {name: os.stat(f"data/a/{name}").st_mtime_ns for name in os.listdir("data/a")} == before


def test_a_text_that_has_changed_gets_its_own_folder(home):
    """A checkpoint may need the text before, and a training may read it."""
    texts = ["a\n", "ab\n", "b\n", "\n"]
    for k, text in enumerate(texts):
        put(home / "a.txt", text)
        assert gather("a.txt")[:2] == (f"data/a_{k + 1}" if k else "data/a", text.encode())
    put(home / "a.txt", texts[1])
    folder, _, said = gather("a.txt")
    assert folder == "data/a_2"
    assert said.splitlines() == [
        "data/a holds another text, so this text is named a_2; its run has that name too, unless -savefile gives"
        " another.",
        "data/a_2/input.txt: 3 bytes, as before, from 1 file: a.txt (3 bytes).",
    ]


def test_two_texts_of_one_name_never_meet(home):
    put(home / "x/a.txt", "of x")
    put(home / "y/a.txt", "of y")
    for _ in range(2):
        assert gather("x/a.txt")[:2] == ("data/a", b"of x")
        assert gather("y/a.txt")[:2] == ("data/a_2", b"of y")


def test_others_can_write_texts_while_a_training_goes_on(home):
    put(home / "a.txt", "of a")
    put(home / "b.txt", "of b")
    with corpus.gather(["a.txt"], lambda line: None) as found:
        found.write()
        file_lock.release(file_lock.acquire("data/.lock"), "data/.lock")  # it is free
        assert gather("b.txt")[:2] == ("data/b", b"of b")


def test_two_texts_of_one_name_at_the_same_time(home):
    """The second waits until the first has its folder."""
    put(home / "x/a.txt", "of x")
    put(home / "y/a.txt", "of y")
    second: list[str] = []
    notes: list[str] = []

    def gather_second() -> None:
        with corpus.gather(["y/a.txt"], notes.append) as found:
            found.write()
            second.append(found.folder)

    with corpus.gather(["x/a.txt"], lambda line: None) as first:
        other = threading.Thread(target=gather_second)
        other.start()
        for _ in range(200):
            if notes:
                break
            other.join(0.1)
        assert notes == [f"waiting for another training (process {os.getpid()} on {socket.gethostname()}), which"
                         " writes to data."]  # fmt: skip
        assert other.is_alive() and not second
        first.write()
    other.join()
    assert (first.folder, second) == (os.path.join("data", "a"), [os.path.join("data", "a_2")])
    assert sorted(os.listdir("data")) == ["a", "a_2"]


def test_nothing_is_written_before_write(home):
    put(home / "a.txt", "a")
    with corpus.gather(["a.txt"], lambda line: None) as found:
        assert found.is_new and found.stats.size == 1 and not os.path.exists("data/a")
    assert not os.path.exists("data")


def test_a_source_that_changes_while_it_is_read(home):
    put(home / "a.txt", "a")
    with (
        pytest.raises(UserError, match=r"^a\.txt changed while the training began: start again\.$"),
        corpus.gather(["a.txt"], lambda line: None) as found,
    ):
        put(home / "a.txt", "b")
        found.write()
    assert not os.path.exists("data/a")


def test_what_a_killed_training_has_left_is_no_text(home):
    put(home / "a.txt", "a")
    put(home / "data/a/.sources", "?")
    put(home / "data/a/.input.txt.5.tmp", "half a te")
    assert gather("a.txt")[:2] == ("data/a", b"a")


def test_beyond_1_gib_texts_are_compared_byte_by_byte(home, monkeypatch):
    monkeypatch.setattr(fingerprint, "MAX_HASHED", 0)
    monkeypatch.setattr(fingerprint, "_BLOCK", 1)
    put(home / "a.txt", "a")
    gather("a.txt")
    put(home / "a.txt", "b")
    for text, folder in (("b", "data/a_2"), ("a", "data/a")):
        put(home / "a.txt", text)
        assert gather("a.txt")[0] == folder


def test_what_others_put_into_data_is_not_touched(home):
    own = put(home / "data/a/input.txt", "my own text")
    put(home / "a.txt", "another")
    assert gather("a.txt")[:2] == ("data/a_2", b"another")
    assert own.read_bytes() == b"my own text"
    assert os.listdir("data/a") == ["input.txt"]
    # What was gathered, too, is somebody's own once it has been edited.
    put(home / "data/a_2/input.txt", "edited ")
    put(home / "data/a_3/notes", "no text at all")
    put(home / "data/a_4", "a file")
    (home / "data/a_5").mkdir()
    assert gather("a.txt")[:2] == ("data/a_5", b"another")


def test_a_text_that_is_in_data_already_stays_there(home):
    own = put(home / "data/ulysses/input.txt", "Stately, plump")
    put(home / "data/ulysses/data.t7", bytes(100))
    for path in ("data/ulysses/input.txt", "data/ulysses", "data/ulysses/"):
        assert gather(path)[:2] == ("data/ulysses", b"Stately, plump")
        assert sorted(os.listdir("data/ulysses")) == ["data.t7", "input.txt"]
    assert gather("data/ulysses/input.txt")[2] == "data/ulysses/input.txt: 14 bytes, as before."
    own.write_bytes(b"Stately,\r\nplump")  # it is not ours to mend
    assert gather("data/ulysses/input.txt")[:2] == ("data/ulysses_2", b"Stately,\nplump")
    assert own.read_bytes() == b"Stately,\r\nplump"


def test_texts_in_data_that_have_no_name_yet(home):
    put(home / "data/poems/a.txt", "a")
    put(home / "data/b.txt", "b")
    assert gather("data/poems")[:2] == ("data/poems_2", b"a")
    assert gather("data/b.txt")[:2] == ("data/b", b"b")


def test_no_half_text(home, monkeypatch):
    put(home / "a/1.txt", "1")
    put(home / "a/2.txt", "2")
    pieces = decode_text.pieces
    read: list[str] = []

    def broken(path, *args):
        read.append(path)
        if read.count(path) == 2 and path.endswith("2.txt"):
            raise OSError(5, "Input/output error")
        return pieces(path, *args)

    monkeypatch.setattr(decode_text, "pieces", broken)
    assert refusal("a") == "can't make data/a/input.txt (Input/output error)."
    assert not (home / "data").exists() or not os.listdir("data")


# -- folders that are hard to walk -------------------------------------------------------------------------------------


def test_links_that_lead_nowhere_are_left_out_with_a_line(home):
    put(home / "f/a.txt", "a")
    (home / "f/loop.txt").symlink_to("loop.txt")
    (home / "f/broken").symlink_to("nowhere")
    _, text, said = gather("f")
    assert text == b"a"
    assert said.startswith(f"left out, since they can't be followed: f/broken ({not_found()}), f/loop.txt (")


def test_folders_that_link_to_one_another_are_read_once(home):
    for k in range(12):
        put(home / f"f/d{k:02}/a.txt", str(k))
        for other in range(12):
            (home / f"f/d{k:02}/l{other}").symlink_to(f"../d{other:02}", target_is_directory=True)
    assert sorted(gather("f")[1].split()) == sorted(str(k).encode() for k in range(12))


@pytest.mark.skipif(os.name == "nt", reason="paths of Windows are shorter")
@pytest.mark.parametrize("name, depth", [("d", 1200), ("d" * 200, 40)])
def test_deep_folders(home, name, depth):
    """The second is deeper than a path may be long."""
    put(home / "f/a.txt", "a")
    folder = os.open("f", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=folder)
        parent, folder = folder, os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(parent)
    os.close(folder)
    try:
        _, text, said = gather("f")
    finally:  # pytest would call itself for each of them
        subprocess.run(["rm", "-r", "f"], check=True)
    assert text == b"a"
    assert ("left out, since they can't be followed" in said) == (len(name) * depth > 4096)


def test_products_of_trainings_are_no_texts(home):
    put(home / "f/a.txt", "a")
    put(home / "f/run.csv", header("run.csv"))
    put(home / "f/run.jsonl", as_line(Row("train", 5, 0.5), "run.jsonl"))
    put(home / "f/cv/lm_a_epoch1.00_2.0000.t7", "not even a checkpoint")
    put(home / "f/lm_a_best.json", "{}")
    put(home / "f/own.csv", "a,b")
    put(home / "f/own_best.json", "{}")
    with corpus_run(["f"], TrainOptions(), (), lambda line: None) as (opt, found):
        found.write()
    assert (home / opt.data_dir / "input.txt").read_bytes() == b"a\na,b\n{}"


# -- items -------------------------------------------------------------------------------------------------------------


def test_lines_are_kept_as_they_are(home):
    put(home / "names.txt", "Ada\r\n\r\nBob\r\nC\u00e9line")
    assert gather("names.txt", items="line")[1] == "Ada\n\nBob\nC\u00e9line".encode()


def test_items_between_blank_lines(home):
    put(home / "a.txt", "\r\n\r\n  roses are red,\r\nviolets blue\r\n \t\r\n\r\nsugar\r\n")
    put(home / "b.txt", "\n\n")
    put(home / "c.txt", "salt\nand pepper")
    folder, text, _ = gather("a.txt", "b.txt", "c.txt", items="blank")
    assert text == b"  roses are red,\nviolets blue\x1esugar\x1esalt\nand pepper\x1e"
    assert gather("a.txt", "b.txt", "c.txt", items="blank")[0] == folder  # found again
    assert gather("a.txt", "b.txt", "c.txt")[0] == f"{folder}_2"  # another text


def test_each_file_is_an_item(home):
    put(home / "poems/1.txt", "one\n\ntwo\n\n")
    put(home / "poems/2.txt", "\n \n")
    put(home / "poems/3.txt", "\r\nthree")
    assert gather("poems", items="file")[1] == b"one\n\ntwo\x1e \x1ethree\x1e"


def test_many_items_pass_through_memory_in_parts(home, monkeypatch):
    monkeypatch.setattr(joined_files, "_BLOCK", 10)
    put(home / "a.txt", "\n\n".join(f"item {k}" for k in range(100)))
    assert gather("a.txt", items="blank")[1] == b"".join(b"item %d\x1e" % k for k in range(100))


@pytest.mark.parametrize(
    ("items", "content", "said"),
    [
        (
            "line",
            "\n\n\n",
            "there are no items of -items line, for which an item is a line that is not empty, in list.txt: add some,"
            " or choose another -items.",
        ),
        (
            "blank",
            "one\ntwo\n",
            "there is only one item of -items blank, for which an item is the lines between two blank lines, in"
            " list.txt: add some, or choose another -items.",
        ),
        (
            "line",
            "the same\n" * 1200,
            "all 1,200 items of list.txt are equal, so there is nothing to learn: add others.",
        ),
        (
            "line",
            "a\n" + "b" * 10_000_000 + "\nc\n",
            f"the item that begins with '{'b' * 40}' has more than 1,000,000 bytes, the most that an item may have:"
            " divide it, or train without -items.",
        ),
        ("blank", "b" * 10_000_000, f"the item that begins with '{'b' * 40}' has more than 1,000,000 bytes"),
        ("blank", "b\n" * 1_000_000, "has more than 1,000,000 bytes"),
        ("file", "b\n" * 1_000_000, "has more than 1,000,000 bytes"),
        (
            "blank",
            "some lines\n\nand\x1emore of them\n",
            "list.txt contains U+001E, the record separator, which ends the items of -items blank: remove it, or, if"
            " -items made this text, name its folder by -data_dir.",
        ),
        ("line", "Ada\nBo\0b\nCleo\n" * 200, "list.txt is binary data: name a text."),
    ],
)
def test_lists_that_can_not_be_learnt(home, items, content, said):
    put(home / "list.txt", content)
    assert said in refusal("list.txt", items=items)
    assert not (home / "data").exists()
