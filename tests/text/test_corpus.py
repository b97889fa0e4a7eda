"""Files and folders as one text: which are taken, in which order, and where the text goes."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest
from conftest import needs_byte_names, not_found, with_slashes

from pycharrnn.common.errors import UserError
from pycharrnn.text import corpus

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


def gather(*paths: str) -> tuple[str, bytes, str]:
    """The folder, the text in it, and what is said; paths with slashes."""
    said: list[str] = []
    folder = corpus.gather(paths, said.append)
    with open(os.path.join(folder, "input.txt"), "rb") as f:
        return with_slashes(folder), f.read(), with_slashes("\n".join(said))


def refusal(*paths: str) -> str:
    with pytest.raises(UserError) as error:
        corpus.gather(paths, lambda line: None)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
    return with_slashes(str(error.value))


# -- which files -------------------------------------------------------------------------------------------------------


def test_a_file(home):
    put(home / "letters.txt", "Dear Ada,\r\nno newline at the end")
    assert gather("letters.txt") == (
        "data/letters",
        b"Dear Ada,\nno newline at the end",
        "data/letters/input.txt: 31 bytes, new; of 1 file: letters.txt (32 bytes).",
    )
    assert sorted(os.listdir("data/letters")) == [".sources", "input.txt"]


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
        "left out, for they hold no text: poems/a/photo.jpg, poems/empty.txt (empty).",
        "data/poems_and_1_more/input.txt: 11 bytes, new; of 5 files: poems/a/1.md (4 bytes), poems/a/2.txt (2 bytes),"
        " poems/b.txt (2 bytes), poems/c (4 bytes, UTF-16), letter.txt (1 bytes).",
    ]


def test_nothing_is_taken_twice_and_links_may_lead_in_circles(home):
    put(home / "a/x.txt", "x")
    put(home / "y.txt", "y")
    (home / "a/up").symlink_to("..")
    (home / "a/again.txt").symlink_to("x.txt")
    (home / "a/z").symlink_to(Path("../y.txt"))  # Windows follows no slash in a link
    assert gather("a", "a/x.txt", "./a", "y.txt")[1] == b"x\ny"


def test_many_files_are_counted(home):
    for k in range(20):
        put(home / f"many/{k:02}.txt", "x")
        put(home / f"many/{k:02}.jpg", NO_TEXT)
    left_out, taken = gather("many")[2].splitlines()
    assert "many/07.jpg and 12 more." in left_out
    assert "of 20 files:" in taken
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
    assert refusal("a\0b").startswith(with_slashes("can't read a\\x00b ("))
    assert refusal("none") == "there is no text in none: name files of plain text, or folders that hold some."
    assert refusal("none/photo.jpg").startswith("there is no text in none/photo.jpg: ")
    assert refusal("broken").startswith("there is no text in broken: ")
    assert refusal(os.devnull) == f"{os.devnull} is neither a file nor a folder: name a text."
    assert not (home / "data").exists()
    put(home / "a.txt", "a")
    put(home / "data", "a file")
    assert refusal("a.txt").startswith("can't make data/a/input.txt (")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(home):
    put(home / "a/b.txt", "b").chmod(0)
    assert refusal("a") == "can't read a/b.txt: Permission denied."
    (home / "a").chmod(0)
    assert refusal("a") == "can't read the folder a: Permission denied."
    (home / "a").chmod(0o700)


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
    assert said == "data/stdin/input.txt: 12 bytes, new; of 1 file: standard input (13 bytes)."


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
    assert gather("./a.txt")[2] == "data/a/input.txt: 1 bytes, as before; of 1 file: ./a.txt (1 bytes)."
    assert {name: os.stat(f"data/a/{name}").st_mtime_ns for name in os.listdir("data/a")} == before


def test_a_source_that_has_changed(home):
    put(home / "a.txt", "a")
    gather("a.txt")
    for changed in ("ab", "b", ""):
        put(home / "a.txt", changed + "\n")
        folder, text, said = gather("a.txt")
        assert (folder, text) == ("data/a", changed.encode() + b"\n")
        assert "rewritten, since these have changed" in said


def test_two_texts_of_one_name_never_meet(home):
    put(home / "x/a.txt", "of x")
    put(home / "y/a.txt", "of y")
    assert gather("x/a.txt")[0] == "data/a"
    folder, text, said = gather("y/a.txt")
    assert (folder, text) == ("data/a_2", b"of y")
    assert said.splitlines()[0] == "data/a holds something else, so this text goes by the name of a_2."
    put(home / "y/a.txt", "of y, changed")
    put(home / "x/a.txt", "of x, changed")
    assert gather("y/a.txt")[:2] == ("data/a_2", b"of y, changed")
    assert gather("x/a.txt")[:2] == ("data/a", b"of x, changed")


def test_what_others_put_into_data_is_not_touched(home):
    own = put(home / "data/a/input.txt", "my own text")
    put(home / "a.txt", "another")
    assert gather("a.txt")[:2] == ("data/a_2", b"another")
    assert own.read_bytes() == b"my own text"
    assert os.listdir("data/a") == ["input.txt"]
    # What was gathered, too, is somebody's own once it has been edited, or its record has been damaged.
    put(home / "data/a_2/input.txt", "edited")
    put(home / "data/a_3/.sources", b"\xff{")
    put(home / "data/a_3/input.txt", "?")
    put(home / "data/a_4/.sources", json.dumps([1]))
    put(home / "data/a_4/input.txt", "?")
    put(home / "data/a_5/notes", "no text at all")
    put(home / "data/a_6", "a file")
    (home / "data/a_7").mkdir()
    assert gather("a.txt")[:2] == ("data/a_7", b"another")


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
    gather("a")
    put(home / "a/2.txt", "3")
    pieces = corpus.decode_text.pieces

    def broken(path, *args):
        if args[1:] and path.endswith("2.txt"):
            raise OSError(5, "Input/output error")
        return pieces(path, *args)

    monkeypatch.setattr(corpus, "_holds", lambda *args: False)
    monkeypatch.setattr(corpus.decode_text, "pieces", broken)
    assert refusal("a") == "can't make data/a/input.txt (Input/output error)."
    assert sorted(os.listdir("data/a")) == [".sources", "input.txt"]
    assert (home / "data/a/input.txt").read_bytes() == b"1\n2"
