"""What a character is, and which files are believed to be the cache of a text."""

from __future__ import annotations

import errno
import json
import os
import re
import sys

import numpy as np
import pytest
from conftest import is_open

import compat
from pycharrnn.common.errors import UserError
from pycharrnn.text import cache_files, cache_record, encodings, file_pieces, preprocessing, text_stats
from pycharrnn.text.encodings import BYTES, ENCODINGS, UTF8

SILENT = lambda line: None  # noqa: E731


def make_cache(folder, text: bytes, encoding: str = "bytes") -> list[str]:
    """What is said while the cache of a text is loaded."""
    (folder / "input.txt").write_bytes(text)
    return load(folder, encoding)


def replace_by(folder, text: bytes) -> None:
    """Put another text in the place of input.txt, with an old date, as `cp -p`, rsync and tar do."""
    (folder / "input.txt").write_bytes(text)
    os.utime(folder / "input.txt", (1e9, 1e9))


def load(folder, encoding: str = "bytes") -> list[str]:
    lines: list[str] = []
    preprocessing.cached(str(folder), lines.append, encoding=ENCODINGS[encoding])
    return lines


# -- characters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_byte_that_is_read_counts_as_progress(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr(file_pieces, "_PIECE", 3)
    path, done = tmp_path / "input.txt", []
    path.write_text("äbc€def", "utf-8")
    stats = text_stats.stats_of_file(str(path), path.stat().st_size)
    pieces = file_pieces.file_pieces(str(path), done.append)
    ids = np.concatenate(list(ENCODINGS[encoding].encode(pieces, stats.characters(encoding))))
    assert sum(done) == path.stat().st_size and len(done) == 4
    assert len(ids) == stats.length(encoding) == (7 if encoding == "utf8" else path.stat().st_size)


def test_the_first_and_the_last_code_point(tmp_path):
    text = "\0a\U0010ffff"
    make_cache(tmp_path, text.encode(), "utf8")
    vocab, numbers = preprocessing.cached(str(tmp_path), SILENT, encoding=UTF8)
    assert vocab == {character.encode(): number for number, character in enumerate(text, 1)}
    assert numbers.read(0, 3).tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype, of_256", [(np.uint8, 0), (np.int32, 256)])
def test_numbers_from_zero(dtype, of_256):
    stored = np.array([1, 3, of_256], dtype)
    numbers = encodings.token_ids(stored, 256)
    assert numbers.tolist() == [0, 2, 255] and numbers.dtype == dtype
    with pytest.raises(compat.T7Error, match="token id 256, the vocabulary ends at 255"):
        encodings.token_ids(stored, 255)
    with pytest.raises(compat.T7Error, match="token id 3, the vocabulary ends at 2"):
        encodings.token_ids(stored[:2], 2)
    assert encodings.token_ids(stored[:0], 2).tolist() == []


@pytest.mark.parametrize("number", [0, -1, 4, (1 << 31) - 1])
def test_numbers_of_no_code_point(number):
    with pytest.raises(compat.T7Error, match=f"token id {number}, the vocabulary ends at 3"):
        encodings.token_ids(np.array([1, number], np.int32), 3)


# -- files that are not the cache --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding, vocab",
    [
        (BYTES, {1: 1}),
        (BYTES, {b"ab": 1}),
        (BYTES, {b"": 1}),
        (UTF8, {b"\xc3": 1}),
        (UTF8, {"éé".encode(): 1}),
        (UTF8, {b"": 1}),
    ],
)
def test_vocabularies_of_no_characters(tmp_path, encoding, vocab):
    compat.save_t7(tmp_path / "vocab.t7", vocab)
    with pytest.raises(compat.T7Error, match="vocab.t7 holds other things than characters"):
        cache_files.load_vocabulary(str(tmp_path / "vocab.t7"), encoding)


@pytest.mark.parametrize("vocab", [{b"a": 2, b"b": 1}, {b"a": 1, b"b": 1}, {b"a": 0, b"b": 1}, {b"a": 1, b"b": 3}])
@pytest.mark.parametrize("turned", [False, True])
def test_vocabularies_that_are_not_in_order(tmp_path, vocab, turned):
    path = str(tmp_path / "vocab.t7")
    compat.save_t7(path, dict(reversed(vocab.items())) if turned else vocab)
    with pytest.raises(compat.T7Error, match="characters of vocab.t7 are not numbered in order"):
        cache_files.load_vocabulary(path, BYTES)
    compat.save_t7(path, {b"b": 2, b"a": 1})
    assert cache_files.load_vocabulary(path, BYTES) == {b"a": 1, b"b": 2}


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int8])
def test_a_text_in_numbers_of_another_kind(tmp_path, dtype):
    assert "do not exist" in make_cache(tmp_path, b"abc" * 9)[0]
    right = (tmp_path / "data.t7").read_bytes()
    compat.save_t7(tmp_path / "data.t7", np.array([1, 2, 3] * 9, dtype))
    with pytest.raises(compat.T7Error, match=r"^data\.t7: it holds no encoded text$") as raised:
        cache_files.load_text(str(tmp_path / "data.t7"), BYTES, {b"a": 1, b"b": 2, b"c": 3})
    if sys.platform == "linux":
        assert not is_open(tmp_path / "data.t7"), raised  # the exception would keep it open
    assert any("vocab.t7 or data.t7 is not of this input.txt (data.t7: it holds" in line for line in load(tmp_path))
    assert (tmp_path / "data.t7").read_bytes() == right
    (tmp_path / cache_record.NAME).unlink()
    (tmp_path / "data.t7").write_bytes(bytes([200, 3, 7]) * 50)
    what = "data.t7: it is a file of another program, not a .t7 file"
    assert any(f"is not of this input.txt ({what}). Re-running" in line for line in load(tmp_path))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_text_of_another_length(tmp_path, encoding):
    make_cache(tmp_path, "aé".encode() * 9, encoding)
    code = ENCODINGS[encoding]
    (tmp_path / cache_record.NAME).unlink()
    for count, what in ((10, "a part of the text"), (9, "another text")):
        replace_by(tmp_path, "aé".encode() * count)
        fault = f"is not of this input.txt ({code.data_name}: it holds {what})"
        assert any(fault in line for line in load(tmp_path, encoding))
        (tmp_path / cache_record.NAME).unlink()


@pytest.mark.parametrize("nanoseconds, stale", [(-1, True), (0, False), (1, False)])
def test_a_cache_older_by_a_nanosecond(tmp_path, nanoseconds, stale):
    make_cache(tmp_path, b"abc" * 9)
    made = 1_000_000_000_500_000_000
    os.utime(tmp_path / "input.txt", ns=(made, made))
    os.utime(tmp_path / "vocab.t7", ns=(made, made))
    os.utime(tmp_path / "data.t7", ns=(made, made + nanoseconds))
    if (tmp_path / "data.t7").stat().st_mtime_ns != made + nanoseconds:
        pytest.skip("this file system's times are coarser")
    assert ("stale" in load(tmp_path)[0]) == stale


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_text_of_the_same_size_with_an_old_date(tmp_path, encoding, recorded):
    """`cp -p`, rsync and tar put it there; char-rnn would train on the cache of the text before."""
    make_cache(tmp_path, "abécd".encode() * 9, encoding)
    if not recorded:  # the cache is one of the Lua program's
        (tmp_path / cache_record.NAME).unlink()
    replace_by(tmp_path, "dcéba".encode() * 9)
    said = load(tmp_path, encoding)
    assert ("stale" in said[0]) if recorded else ("it holds another text" in said[1])
    vocab, text = preprocessing.cached(str(tmp_path), SILENT, encoding=ENCODINGS[encoding])
    decoded = ENCODINGS[encoding].decode(encodings.token_ids(text.read(0, len(text)), len(vocab)), sorted(vocab))
    assert decoded == (tmp_path / "input.txt").read_bytes()


def test_a_text_that_changes_after_it_was_read(tmp_path):
    (tmp_path / "input.txt").write_bytes(b"abcd" * 9)
    stats = text_stats.text_stats(str(tmp_path))
    replace_by(tmp_path, b"dcba" * 9)
    with pytest.raises(UserError, match=r"input.txt changed while it was read; start again\.$"):
        preprocessing.cached(str(tmp_path), SILENT, stats=stats)


@pytest.mark.parametrize("name", ["input.txt", "vocab.t7", "data.t7"])
def test_a_file_that_is_touched_is_not_made_anew(tmp_path, name):
    make_cache(tmp_path, b"abcd" * 9)
    os.utime(tmp_path / name, (2e9, 2e9))
    before = os.stat(tmp_path / "data.t7").st_ino
    assert load(tmp_path) == ["loading data files..."]
    assert os.stat(tmp_path / "data.t7").st_ino == before


def test_a_text_is_read_once(tmp_path, monkeypatch):
    """After that, its statistics come from the record until it is written to again."""
    make_cache(tmp_path, b"abcd" * 9)
    os.utime(tmp_path / "input.txt", (1e9 + 0.5, 1e9 + 0.5))
    monkeypatch.setattr(cache_record, "_TICK", 0)
    first = text_stats.text_stats(str(tmp_path))
    load(tmp_path)
    monkeypatch.setattr(text_stats, "stats_of", lambda *args: pytest.fail("read again"))
    assert text_stats.text_stats(str(tmp_path)) == first
    monkeypatch.undo()
    (tmp_path / "input.txt").write_bytes(b"dcba" * 9)
    assert text_stats.text_stats(str(tmp_path)).fingerprint != first.fingerprint


def test_a_text_on_a_disk_that_fails(tmp_path, monkeypatch):
    def failing(path, advance):
        yield b"abcd"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(text_stats, "file_pieces", failing)
    (tmp_path / "input.txt").write_bytes(b"abcd" * 9)
    with pytest.raises(UserError) as error:
        text_stats.text_stats(str(tmp_path))
    assert str(error.value) == f"can't read {tmp_path / 'input.txt'}: Input/output error."


def test_statistics_of_a_text_that_was_just_written_are_not_recorded(tmp_path, monkeypatch):
    """Within a tick of the clock it may be written to again, and keep its time."""
    for tick in ("_TICK", "_SECONDS"):
        monkeypatch.setattr(cache_record, tick, 1 << 62)
    make_cache(tmp_path, b"abcd" * 9)
    load(tmp_path)
    assert cache_record.load(str(tmp_path)).text is None


def test_statistics_that_claim_much_memory_are_made_anew(tmp_path, monkeypatch):
    make_cache(tmp_path, b"abcd" * 9)
    os.utime(tmp_path / "input.txt", (1e9 + 0.5, 1e9 + 0.5))
    monkeypatch.setattr(cache_record, "_TICK", 0)
    load(tmp_path)
    record = tmp_path / ".cache.json"
    content = json.loads(record.read_text())
    assert content["stats"]["byte_values"] == [97, 98, 99, 100]
    content["stats"]["byte_values"] = 10**14
    record.write_text(json.dumps(content))
    assert text_stats.text_stats(str(tmp_path)).byte_values == (97, 98, 99, 100)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 300_000,
        b"{}",
        b'{"text": 5, "stats": {}, "caches": {}}',
        b'{"text": [1, 2, 3, 4], "caches": []}',
        b'{"text": [1, 2, 3, Infinity], "stats": {}, "caches": {}}',
    ],
    ids=["empty", "deep", "no fields", "no state", "no caches", "infinity"],
)
def test_a_record_of_something_else_is_ignored(tmp_path, content):
    make_cache(tmp_path, b"abcd" * 9)
    (tmp_path / cache_record.NAME).write_bytes(content)
    assert load(tmp_path) == ["loading data files..."]


@pytest.mark.parametrize("field, value", [("code_point_values", [0xD800]), ("code_point_values", [1 << 40]),
    ("byte_values", [300]), ("byte_values", {}), ("size", "x"), ("size", -1), ("size", True), ("size", 1 << 100),
    ("code_points", -1), ("code_points", []), ("code_points", None), ("invalid_at", {}), ("invalid_at", 5),
    ("fingerprint", 5), ("other", 1)])  # fmt: skip
def test_a_record_with_odd_values_is_ignored(tmp_path, field, value):
    make_cache(tmp_path, b"abcd" * 9)
    path = tmp_path / "input.txt"
    right = text_stats.text_stats(str(tmp_path))
    record = cache_record.CacheRecord(cache_record.file_state(str(path)), {**right.fields(), field: value})
    record.save(str(tmp_path))
    assert text_stats.text_stats(str(tmp_path)) == right


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_record_that_is_no_file_is_ignored(tmp_path, kind):
    make_cache(tmp_path, b"abcd" * 9)
    (tmp_path / cache_record.NAME).unlink()
    if kind == "pipe":
        os.mkfifo(tmp_path / cache_record.NAME)
    else:
        os.symlink("/dev/zero", tmp_path / cache_record.NAME)
    assert text_stats.text_stats(str(tmp_path)).size == 36


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", ["vocab.t7", "data.t7", cache_record.NAME])
def test_the_cache_is_written_through_no_link_and_to_no_pipe(tmp_path, name, kind):
    """A folder from somebody else could name a file of the user's; a pipe waits for its other end."""
    folder, letter = tmp_path / "text", tmp_path / "letter.txt"
    folder.mkdir()
    letter.write_bytes(b"a letter")
    make_cache(folder, b"abcd" * 9)
    (folder / name).unlink()
    if kind == "link":
        (folder / name).symlink_to(letter)
    else:
        os.mkfifo(folder / name)
    replace_by(folder, b"dcba" * 9)
    if name == cache_record.NAME:
        load(folder)  # which goes without the record
    else:
        what = "a symbolic link" if kind == "link" else "not a regular file"
        with pytest.raises(
            UserError, match=rf"^can't write {re.escape(str(folder / name))}: it is {what}: remove it\.$"
        ):
            load(folder)
    assert letter.read_bytes() == b"a letter"
    assert (folder / name).is_symlink() if kind == "link" else (folder / name).is_fifo()


def test_one_file_that_is_missing(tmp_path):
    make_cache(tmp_path, b"abc" * 9)
    (tmp_path / "vocab.t7").unlink()
    assert load(tmp_path)[0] == "vocab.t7 or data.t7 does not exist. Running preprocessing..."


# -- no text -----------------------------------------------------------------------------------------------------------


def test_folders_without_a_text(tmp_path, monkeypatch):
    def sentence(folder) -> str:
        with pytest.raises(UserError) as raised:
            preprocessing.cached(str(folder), SILENT)
        return str(raised.value)

    assert "there is no folder" in sentence(tmp_path / "none")
    assert "has no input.txt" in sentence(tmp_path)
    monkeypatch.chdir(tmp_path)
    said = ". has no input.txt: put your text there; pycharrnn train . trains on the texts in it."
    assert sentence(".") == said  # with a full stop after ".", it would name the folder above
    (tmp_path / "input.txt").write_bytes(b"")
    assert "input.txt is empty" in sentence(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["input.txt"]


@pytest.mark.parametrize(
    "content, words",
    [
        (
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
            "a file without text, not a folder: name a folder that has an input",
        ),
        (b"", "a file without text, not a folder: "),
        (
            b"\x89HDF\r\n\x1a\n" + bytes(range(256)),
            "an HDF5 file, such as torch-rnn makes of a text, not a folder: train",
        ),
        (b"%PDF-1.4", "a PDF file, not a folder: save its text as plain text"),
        (
            b"<html><p>A text.",
            "a file, not a folder: put it into one as input.txt, or train a new model with pycharrnn train ",
        ),
    ],
    ids=["binary", "empty", "HDF5", "pdf", "html"],
)
def test_a_file_in_the_place_of_the_folder(tmp_path, content, words):
    file = tmp_path / "x"
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"x is {words}"):
        preprocessing.cached(str(file), SILENT)


# -- without some characters -------------------------------------------------------------------------------------------


def test_what_is_left_out_names_the_file(tmp_path):
    make_cache(tmp_path, b"abcd" * 9)
    vocab, text = preprocessing.cached(str(tmp_path), SILENT)
    left_out = [b"a", b"d"], [b"d", b"a"], [b"a"]
    less = [preprocessing.without_characters(str(tmp_path), text, vocab, some) for some in left_out]
    assert less[0].path == less[1].path != less[2].path
    assert less[0].path == str(tmp_path / "data_without_7194e23385f6.t7")  # as it has always been named
    assert less[0].read(0, 4).tolist() == [2, 3, 2, 3] and len(less[0]) == 18
    assert less[2].read(0, 4).tolist() == [2, 3, 4, 2] and len(less[2]) == 27


def test_a_text_without_some_characters_is_made_anew_with_its_cache(tmp_path):
    make_cache(tmp_path, b"abcd" * 9)
    vocab, text = preprocessing.cached(str(tmp_path), SILENT)
    path = preprocessing.without_characters(str(tmp_path), text, vocab, [b"a"]).path
    before = os.stat(path).st_ino
    assert preprocessing.without_characters(str(tmp_path), text, vocab, [b"a"]).read(0, 3).tolist() == [2, 3, 4]
    assert os.stat(path).st_ino == before
    replace_by(tmp_path, b"dcba" * 9)
    vocab, text = preprocessing.cached(str(tmp_path), SILENT)
    os.utime(path, (2e9, 2e9))  # newer than the cache
    assert preprocessing.without_characters(str(tmp_path), text, vocab, [b"a"]).read(0, 3).tolist() == [4, 3, 2]


@pytest.mark.parametrize("encoding, count", [("bytes", 256), ("utf8", 256), ("utf8", 300)])
def test_the_last_of_many_characters_is_left_out(tmp_path, encoding, count):
    """For bytes it is stored as 0."""
    characters = [bytes([k]) if encoding == "bytes" else chr(k).encode() for k in range(count)]
    make_cache(tmp_path, b"".join(characters), encoding)
    vocab, text = preprocessing.cached(str(tmp_path), SILENT, encoding=ENCODINGS[encoding])
    less = preprocessing.without_characters(str(tmp_path), text, vocab, characters[-1:])
    assert less.read(0, len(less)).tolist() == list(range(1, count))


def test_nothing_but_what_is_left_out(tmp_path):
    make_cache(tmp_path, b"abc" * 9)
    vocab, text = preprocessing.cached(str(tmp_path), SILENT)
    with pytest.raises(UserError, match="holds none of the checkpoint's characters"):
        preprocessing.without_characters(str(tmp_path), text, vocab, vocab)
    assert not list(tmp_path.glob("data_without_*"))


def test_a_vocabulary_in_another_order_of_its_file(tmp_path):
    """The bytes of each code point are counted by its number."""
    make_cache(tmp_path, "aaé".encode() * 9, "utf8")
    compat.save_t7(tmp_path / "vocab_utf8.t7", {"é".encode(): 2, b"a": 1})
    assert load(tmp_path, "utf8") == ["loading data files..."]
