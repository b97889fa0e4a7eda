"""A text whose input.txt is lost, but not the cache that was made of it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from conftest import GOLDEN, run, sentence, with_slashes

from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.text import cached_text, preprocessing

MODEL = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
COMMAND = "pycharrnn convert old/data.t7 old/input.txt"


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
    done = run("convert", "old/data.t7", "old/input.txt", cwd=home)
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
    """Of 256 bytes, too, the last of which the cache stores as 0."""
    source = tmp_path / "input.txt"
    source.write_bytes(text)
    preprocessing.cached(str(tmp_path), lambda line: None, encoding=encoding)
    (data,) = tmp_path.glob("data*.t7")
    source.unlink()
    assert cached_text.command(str(tmp_path))
    cached_text.write(str(data), str(source))
    assert source.read_bytes() == text


def test_a_damaged_cache(home):
    data = home / "old" / "data.t7"
    data.write_bytes(data.read_bytes()[:-1] + b"\xff")  # an id beyond the vocabulary
    with pytest.raises(UserError, match="can't read the text of .*: data.t7: it holds token id 255"):
        cached_text.write(str(data), str(home / "old" / "input.txt"))
    assert not (home / "old" / "input.txt").exists()


def test_options_for_checkpoints_are_refused(home):
    assert "only -overwrite is for it" in sentence(run("convert", "old/data.t7", "a.txt", "-type", "float32", cwd=home))


@pytest.mark.parametrize(
    "args, said",
    [
        (["train", "-data_dir", "old"], f"{COMMAND} writes it."),
        (["train", "old"], "each of old/data.t7, old/vocab.t7 is char-rnn's cache of a text"),
        (["train", "old/data.t7"], "old/data.t7 is char-rnn's cache of a text, not plain text: pycharrnn convert"),
        (["copied", "text", "-text", "old/vocab.t7"], "old/vocab.t7 is char-rnn's cache of a text"),
        (["eval", "lm.t7", "-data_dir", "old"], f"{COMMAND} writes it."),
        (["score", "lm.t7", "old/data.t7"], "old/data.t7 is char-rnn's cache of a text"),
        (["score", "lm.t7", "lm.t7"], "lm.t7 is a checkpoint: name a text."),
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
    assert "here.t7 was trained" in said and "char-rnn's cache" in said and f"{COMMAND} writes it" in said


def test_a_cache_beside_its_text_is_not_mentioned(home):
    """By a training on the folder, which reads input.txt."""
    shutil.copy(GOLDEN / "corpus" / "input.txt", home / "old")
    small = ["-rnn_size", "8", "-batch_size", "5", "-seq_length", "10", "-max_epochs", "0.05", "-gpuid", "-1"]
    done = run("train", "old", *small, cwd=home)
    assert done.returncode == 0 and b"left out" not in done.stderr
