"""A text whose input.txt is lost, but not the cache that was made of it."""

from __future__ import annotations

import dataclasses
import gzip
import os
import shutil
import threading
from pathlib import Path

import pytest
from conftest import GOLDEN, run, sentence, with_slashes

from compat import load_t7, save_t7
from compat.vocabulary import vocabulary_of
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.text import cached_text, preprocessing
from pycharrnn.text.encodings import ENCODINGS

MODEL = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
COMMAND = "pycharrnn convert old/data.t7 old/input.txt"
OF_A_TEXT = "is char-rnn's cache of a text, not a checkpoint: pycharrnn convert old/data.t7 input.txt writes the text."


@pytest.fixture
def home(tmp_path) -> Path:
    """A folder with old/, which has only the cache that char-rnn wrote."""
    (tmp_path / "old").mkdir()
    for name in ("vocab.t7", "data.t7"):
        shutil.copy(GOLDEN / "corpus" / name, tmp_path / "old")
    shutil.copy(MODEL, tmp_path / "lm.t7")
    (tmp_path / "text").write_bytes(b"The night")
    return tmp_path


def test_char_rnns_cache_holds_the_text(home):
    done = run("convert", "old/data.t7", "old/input.txt", "-gpuid", "-1", cwd=home)  # as char-rnn's convert has it
    assert (done.returncode, done.stdout) == (0, b"saved old/input.txt\n")
    text = (GOLDEN / "corpus" / "input.txt").read_bytes()
    assert (home / "old" / "input.txt").read_bytes() == text
    assert "old/input.txt exists" in sentence(run("convert", "old/data.t7", "old/input.txt", cwd=home))


@pytest.mark.parametrize(
    "encoding, text",
    [("bytes", bytes(range(256)) * 3), ("utf8", "naïve 字 🎈\n".encode() * 3)],
    ids=["bytes", "utf8"],
)
def test_the_cache_of_each_encoding(tmp_path, encoding, text):
    """With all 256 byte values, token id 256 is stored as 0."""
    source = tmp_path / "input.txt"
    source.write_bytes(text)
    preprocessing.cached(str(tmp_path), lambda line: None, encoding=ENCODINGS[encoding])
    (data,) = tmp_path.glob("data*.t7")
    source.unlink()
    assert cached_text.remedy(str(tmp_path))
    cached_text.write(str(data), ENCODINGS[encoding], str(source))
    assert source.read_bytes() == text


def test_a_damaged_cache(home):
    data = home / "old" / "data.t7"
    data.write_bytes(data.read_bytes()[:-1] + b"\xff")  # an id beyond the vocabulary
    with pytest.raises(UserError, match="can't read the text of .*: data.t7: it holds token id 255"):
        cached_text.write(str(data), ENCODINGS["bytes"], str(home / "old" / "input.txt"))
    assert not (home / "old" / "input.txt").exists()


@pytest.mark.parametrize("name", ["vocab.t7", "data.t7"])
def test_a_truncated_file_of_a_cache_is_named(home, name):
    path = home / "old" / name
    path.write_bytes(path.read_bytes()[:-9])
    said = sentence(run("convert", "old/data.t7", "old/input.txt", cwd=home))
    assert f": {name}: the file ends too early" in said and "; use another copy of the file." in said


def test_a_vocabulary_of_another_text(home):
    """Every character of a vocabulary occurs in its text."""
    data, vocab = (load_t7(home / "old" / name) for name in ("data.t7", "vocab.t7"))
    more = sorted({*vocab, b"\x01"})
    save_t7(home / "old" / "vocab.t7", vocabulary_of(more))
    said = sentence(run("convert", "old/data.t7", "old/input.txt", cwd=home))
    known = len(set(data.numpy().tolist()))
    assert f"vocab.t7 has {known + 1} characters and data.t7 only {known} of them, so they are of different" in said
    assert not (home / "old" / "input.txt").exists()


@pytest.mark.parametrize("kind", ["gzip", "ascii"])
def test_a_cache_in_another_encoding(home, kind):
    """Reading the text that a message promises, from any files that inspect reads."""
    for name in ("vocab.t7", "data.t7"):
        path = home / "old" / name
        if kind == "gzip":
            path.write_bytes(gzip.compress(path.read_bytes()))
        else:
            save_t7(path, load_t7(path), "ascii")
    assert COMMAND in with_slashes(sentence(run("train", "-data_dir", "old", cwd=home)))
    assert run("convert", "old/data.t7", "old/input.txt", cwd=home).returncode == 0
    assert (home / "old" / "input.txt").read_bytes() == (GOLDEN / "corpus" / "input.txt").read_bytes()


@pytest.mark.parametrize("name", ["vocab.t7", "data.t7"])
@pytest.mark.parametrize(
    "put", [lambda path: None, os.mkdir, getattr(os, "mkfifo", None)], ids=["no", "folder", "fifo"]
)
def test_a_cache_without_one_of_its_files_is_refused_at_once(home, name, put):
    if put is None:
        pytest.skip("no named pipes here")
    (home / "old" / name).unlink()
    put(home / "old" / name)
    said = with_slashes(sentence(run("convert", "old/data.t7", "a.txt", cwd=home)))
    assert f"old/{name} is not a file: the text is in vocab.t7 and data.t7 together, in one folder." in said
    assert not (home / "a.txt").exists()


def test_the_text_of_a_vocabulary_alone_is_lost(home):
    (home / "old" / "data.t7").unlink()
    said = with_slashes(sentence(run("sample", "old/vocab.t7", cwd=home)))
    assert said.endswith("old/vocab.t7 is char-rnn's cache of a text, not a checkpoint: name a checkpoint.\n")
    (home / "old" / "data.t7").write_bytes(b"only a name\n")
    assert "old/data.t7 as a checkpoint: it is a text" in with_slashes(sentence(run("sample", "old/data.t7", cwd=home)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_cache_from_a_pipe_is_read_once(home):
    content = (home / "old" / "data.t7").read_bytes()
    os.mkfifo(home / "data.t7")
    writer = threading.Thread(target=(home / "data.t7").write_bytes, args=(content,))
    writer.start()
    assert "data.t7 is char-rnn's cache of a text" in sentence(run("score", "lm.t7", "data.t7", cwd=home))
    writer.join()


def test_options_for_checkpoints_are_refused(home):
    assert "only -overwrite is for it" in sentence(run("convert", "old/data.t7", "a.txt", "-type", "float32", cwd=home))


@pytest.mark.parametrize(
    "args, said",
    [
        (["train", "-data_dir", "old"], f"{COMMAND} writes it from char-rnn's cache."),
        (["train", "old"], "each of old/data.t7, old/vocab.t7 is char-rnn's cache of a text"),
        (["train", "old/data.t7"], "old/data.t7 is char-rnn's cache of a text, not plain text: pycharrnn convert"),
        (["copied", "text", "-text", "old/vocab.t7"], "old/vocab.t7 is char-rnn's cache of a text"),
        (["eval", "lm.t7", "-data_dir", "old"], f"{COMMAND} writes it from char-rnn's cache."),
        (["convert", "old/data.t7"], f"old/data.t7 {OF_A_TEXT}"),
        (["convert", "old/data.t7", "d.html"], f"old/data.t7 {OF_A_TEXT}"),
        (["convert", "old/vocab.t7", "d.json"], f"old/vocab.t7 {OF_A_TEXT}"),
        (["sample", "old/data.t7"], f"old/data.t7 {OF_A_TEXT}"),
        (["score", "lm.t7", "old/data.t7"], "old/data.t7 is char-rnn's cache of a text"),
        (["score", "lm.t7", "lm.t7"], "lm.t7 is a checkpoint: score takes one model, then the files that it reads."),
        (["score", "lm.t7", "text", "lm.t7"], "lm.t7 is a checkpoint: score takes one model"),
        (["sample", "lm.t7", "-primefile", "lm.t7"], "lm.t7 is a checkpoint: name a text."),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_what_to_do_about_it(home, args, said):
    done = run(*args, cwd=home)
    assert said in with_slashes(sentence(done)) and not done.stdout


@pytest.mark.parametrize(
    "args",
    [["eval", "here.t7"], ["train", "-resume", "here.t7", "-gpuid", "-1"], ["copied", "text", "here.t7"]],
    ids=lambda args: args[0],
)
def test_a_model_whose_recorded_text_is_lost(home, args):
    found = checkpoint.load(home / "lm.t7")
    checkpoint.convert(dataclasses.replace(found, opt={**found.opt, "data_dir": "old"}), home / "here.t7")
    said = with_slashes(sentence(run(*args, cwd=home)))
    assert "here.t7 was trained" in said and f"{COMMAND} writes it from char-rnn's cache" in said


def test_a_cache_beside_its_text_is_not_mentioned(home):
    """By a training on the folder, which reads input.txt."""
    shutil.copy(GOLDEN / "corpus" / "input.txt", home / "old")
    small = ["-rnn_size", "8", "-batch_size", "5", "-seq_length", "10", "-max_epochs", "0.05", "-gpuid", "-1"]
    done = run("train", "old", *small, cwd=home)
    assert done.returncode == 0 and b"left out" not in done.stderr
