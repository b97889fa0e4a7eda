"""The loader against recorded batches and the definition in its docstring."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import GOLDEN, ROOT, is_open
from hypothesis import given, settings
from hypothesis import strategies as st

import compat
from pycharrnn.common.errors import UserError
from pycharrnn.text import cache_files, file_pieces
from pycharrnn.text import loader as loader_module
from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.loader import TEST, TRAIN, VAL, CharSplitLMMinibatchLoader, TextChanged
from pycharrnn.text.loaders import open_batches

SILENT = lambda line: None  # noqa: E731


def fractions(train: float, val: float) -> tuple[float, float, float]:
    return train, val, max(0.0, 1 - (train + val))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("loader/*.txt")), ids=lambda p: p.stem)
def test_recorded_batches(corpus, path):
    batch, length, train, val = (float(n) for n in re.findall(r"[bstv]([\d.]+)", path.stem))
    messages: list[str] = []
    loader = CharSplitLMMinibatchLoader(corpus, int(batch), int(length), fractions(train, val), say=SILENT)
    loader = CharSplitLMMinibatchLoader(corpus, int(batch), int(length), fractions(train, val), say=messages.append)
    head, *blocks = re.split(r"^#", path.read_text(encoding="utf-8"), flags=re.M)
    assert messages == head.splitlines()
    assert blocks[0].split() == ["split", *map(str, (loader.ntrain, loader.nval, loader.ntest, loader.vocab_size))]
    compared = 0
    for x_block, y_block in zip(blocks[1::2], blocks[2::2], strict=True):
        split = int(x_block.split()[1])
        x, y = loader.next_batch(split)
        for block, ours in ((x_block, x), (y_block, y)):
            theirs = np.array([row.split() for row in block.splitlines()[1:] if row.strip()], int)
            np.testing.assert_array_equal(ours + 1, theirs)
            compared += 1
    assert compared >= 6


def test_cache_files_equal_the_originals(corpus):
    loader = CharSplitLMMinibatchLoader(corpus, 10, 20, fractions(0.95, 0.05), say=SILENT)
    assert (corpus / "data.t7").read_bytes() == (GOLDEN / "corpus" / "data.t7").read_bytes()
    assert compat.load_t7(corpus / "vocab.t7").items() == compat.load_t7(GOLDEN / "corpus" / "vocab.t7").items()
    assert loader.vocab_mapping[b"\t"] == 1


def test_every_byte_is_a_character(tmp_path):
    text = bytes(np.random.default_rng(1).permutation(np.repeat(np.arange(256, dtype=np.uint8), 8)))
    (tmp_path / "input.txt").write_bytes(text)
    loader = CharSplitLMMinibatchLoader(tmp_path, 4, 16, fractions(0.5, 0.5), say=SILENT)
    assert loader.vocab_size == 256
    assert compat.load_t7(tmp_path / "data.t7").numpy()[text.index(255)] == 0  # 256 in a ByteTensor
    x, y = loader.next_batch(TRAIN)
    assert bytes(x[0]) == text[:16]
    assert bytes(y[0]) == text[1:17]


@settings(max_examples=150, deadline=None)
@given(
    text=st.binary(min_size=1, max_size=400),
    batch=st.integers(1, 6),
    length=st.integers(1, 12),
    train=st.sampled_from([0.0, 0.3, 0.5, 0.95, 1.0]) | st.floats(0, 1),
    val=st.sampled_from([0.0, 0.05, 0.2, 0.5]) | st.floats(0, 1),
    ahead=st.sampled_from([1, 5, 30, 1 << 14]),
)
def test_the_plain_definition(tmp_path_factory, text, batch, length, train, val, ahead):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader_module, "_READ_AHEAD", ahead)
        _check_plain_definition(tmp_path_factory.mktemp("text"), text, batch, length, train, val)


def _check_plain_definition(folder, text, batch, length, train, val):
    (folder / "input.txt").write_bytes(text)
    if train + val > 1:
        val = 1 - train
    split = fractions(train, val)
    if len(text) < batch * length:
        with pytest.raises(UserError, match="use (at most|a longer text)"):
            CharSplitLMMinibatchLoader(folder, batch, length, split, say=SILENT)
        return
    loader = CharSplitLMMinibatchLoader(folder, batch, length, split, say=SILENT)
    numbers = {c: k for k, c in enumerate(sorted(set(text)))}
    assert loader.vocab_mapping == {bytes([c]): k + 1 for c, k in numbers.items()}
    cut = [numbers[c] for c in text[: len(text) // (batch * length) * batch * length]]
    x_all = np.array(cut).reshape(batch, -1)
    y_all = np.array(cut[1:] + cut[:1]).reshape(batch, -1)
    n = x_all.shape[1] // length
    ntrain = int(n * split[0])
    nval = n - ntrain if split[2] == 0 else int(n * split[1])
    assert (loader.ntrain, loader.nval, loader.ntest) == (ntrain, nval, n - ntrain - nval)
    for index, first, size in ((TRAIN, 0, ntrain), (VAL, ntrain, nval), (TEST, ntrain + nval, n - ntrain - nval)):
        if size == 0:
            with pytest.raises(UserError, match="no data"):
                loader.next_batch(index)
            continue
        for k in [*range(size), 0]:  # and round again
            columns = slice((first + k) * length, (first + k + 1) * length)
            x, y = loader.next_batch(index)
            np.testing.assert_array_equal(x, x_all[:, columns])
            np.testing.assert_array_equal(y, y_all[:, columns])
        loader.reset_batch_pointer(index)
        np.testing.assert_array_equal(loader.next_batch(index)[0], x_all[:, first * length : (first + 1) * length])


@pytest.mark.parametrize("rows", [slice(0, 3), slice(3, 10), slice(9, 10)], ids=str)
def test_some_rows_of_every_batch(corpus, rows):
    whole = CharSplitLMMinibatchLoader(corpus, 10, 20, (0.9, 0.1, 0), say=SILENT)
    some = CharSplitLMMinibatchLoader(corpus, 10, 20, (0.9, 0.1, 0), say=SILENT, rows=rows)
    for split in (TRAIN, VAL):
        for _ in range(whole.split_sizes[split]):
            for ours, all_rows in zip(some.next_batch(split), whole.next_batch(split), strict=True):
                np.testing.assert_array_equal(ours, all_rows[rows])


def test_a_batch_by_its_number(corpus):
    batches = CharSplitLMMinibatchLoader(corpus, 10, 20, (0.9, 0.1, 0), say=SILENT)
    in_order = [batches.next_batch(VAL) for _ in range(batches.nval)]
    for index in (3, 0, batches.nval - 1):
        batches.reset_batch_pointer(VAL, index)
        np.testing.assert_array_equal(batches.next_batch(VAL), in_order[index])
        assert batches.batch_ix[VAL] == index + 1
    assert batches.batch_ix[TRAIN] == 0


def test_many_rows_are_read_less_far_ahead(corpus, monkeypatch):
    monkeypatch.setattr(loader_module, "_MAX_AHEAD", 1000)
    for rows, columns in ((10, 100), (2, 500), (100, 21)):
        batches = CharSplitLMMinibatchLoader(corpus, rows, 20, (1, 0, 0), say=SILENT)
        batches.next_batch(TRAIN)
        assert batches._window.shape == (rows, columns)


@pytest.mark.parametrize("count, warned", [(49, True), (50, False)])
def test_a_very_small_text_is_warned_of(tmp_path, count, warned):
    (tmp_path / "input.txt").write_bytes(b"ab" * 5 * count)
    messages: list[str] = []
    batches = CharSplitLMMinibatchLoader(tmp_path, 2, 5, (1, 0, 0), say=messages.append)
    assert batches.nbatches == count
    assert any("less than 50 batches" in line for line in messages) == warned


@pytest.mark.parametrize(
    "size, batch, length, fits", [(29, 3, 10, (2, 10)), (10, 3, 10, (1, 10)), (9, 3, 10, (1, 9)), (9, 10, 1, (9, 1))]
)
def test_a_text_too_short_for_one_batch(tmp_path, size, batch, length, fits):
    (tmp_path / "input.txt").write_bytes(b"x" * size)
    words = f"has {size} characters, .* use at most batch_size={fits[0]} seq_length={fits[1]}\\."
    with pytest.raises(UserError, match=words):
        CharSplitLMMinibatchLoader(tmp_path, batch, length, (1, 0, 0), say=SILENT)
    CharSplitLMMinibatchLoader(tmp_path, *fits, (1, 0, 0), say=SILENT)


@pytest.mark.parametrize(
    "fractions, sizes",
    [
        ((0.95, 0.05, 0), "batch_size=3 seq_length=50"),
        ((0.8, 0.1, 0.1), "batch_size=1 seq_length=30"),  # ten batches
        ((0.99, 0.005, 0.005), "batch_size=1 seq_length=1"),
    ],
)
def test_the_sizes_advised_give_training_and_validation_a_batch(tmp_path, fractions, sizes):
    (tmp_path / "input.txt").write_bytes(b"abc" * 100)
    with pytest.raises(UserError, match=f"has 300 characters, .* use at most {sizes}\\."):
        CharSplitLMMinibatchLoader(tmp_path, 50, 50, fractions, say=SILENT)
    rows, steps = re.findall(r"\d+", sizes)
    batches = CharSplitLMMinibatchLoader(tmp_path, int(rows), int(steps), fractions, say=SILENT)
    assert batches.ntrain and batches.nval


def test_a_text_that_no_sizes_fit(tmp_path):
    (tmp_path / "input.txt").write_bytes(b"x")
    with pytest.raises(UserError, match=r"input.txt has 1 characters, .*: use a longer text\."):
        CharSplitLMMinibatchLoader(tmp_path, 50, 50, (0.95, 0.05, 0), say=SILENT)


@pytest.mark.parametrize(
    "changed, error, words",
    [
        ({"data_dir": 5}, TypeError, "data_dir must be a str or a path, not 5"),
        ({"batch_size": 10.0}, TypeError, "batch_size must be a whole number, not 10.0"),
        ({"seq_length": True}, TypeError, "seq_length must be a whole number, not True"),
        ({"batch_size": 0}, UserError, "batch_size must be at least 1, not 0."),
        ({"seq_length": -1}, UserError, "seq_length must be at least 1, not -1."),
        ({"split_fractions": (0.9, 0.1)}, TypeError, "split_fractions must be three numbers (train, val, test), not"),
        ({"split_fractions": "abc"}, TypeError, "split_fractions must be three numbers (train, val, test), not 'abc'"),
        ({"encoding": None}, TypeError, "encoding must be a str, not None"),
        ({"encoding": "latin1"}, UserError, "encoding must be 'bytes' or 'utf8', not 'latin1'."),
    ],
)
def test_arguments_that_are_refused(corpus, changed, error, words):
    """The loader is part of the library, where no command has checked them."""
    arguments = {"data_dir": corpus, "batch_size": 10, "seq_length": 20, "split_fractions": (0.9, 0.1, 0), **changed}
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        CharSplitLMMinibatchLoader(**arguments, say=SILENT)


def test_a_split_without_data_names_no_flags(corpus):
    loader = CharSplitLMMinibatchLoader(corpus, 10, 20, (0, 1, 0), say=SILENT)
    words = "^the train split has no data: use a larger train fraction, a smaller batch_size or a smaller seq_length.$"
    with pytest.raises(UserError, match=words):
        loader.next_batch(TRAIN)


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan")])
@pytest.mark.parametrize("name, place", [("train", 0), ("val", 1), ("test", 2)])
def test_fractions_that_are_none(corpus, fraction, name, place):
    split = [0.5, 0.5, 0.0]
    split[place] = fraction
    with pytest.raises(UserError, match=f"bad split fraction .* for {name}"):
        CharSplitLMMinibatchLoader(corpus, 10, 20, tuple(split), say=SILENT)


# -- the cache -------------------------------------------------------------------------------------------------------


def load(folder) -> list[str]:
    messages: list[str] = []
    CharSplitLMMinibatchLoader(folder, 10, 20, fractions(0.95, 0.05), say=messages.append)
    return messages


def test_a_fresh_cache_is_used(corpus):
    assert load(corpus)[0] == "vocab.t7 and data.t7 do not exist. Running preprocessing..."
    before = (corpus / "data.t7").stat().st_ino
    assert load(corpus)[0] == "loading data files..."
    assert (corpus / "data.t7").stat().st_ino == before


def test_an_older_cache_is_remade(corpus):
    load(corpus)
    (corpus / "input.txt").write_bytes(b"ab" * 2000)
    for name in ("vocab.t7", "data.t7"):
        os.utime(corpus / name, (1e9, 1e9))
    assert load(corpus)[0] == "vocab.t7 or data.t7 detected as stale. Re-running preprocessing..."
    assert len(compat.load_t7(corpus / "data.t7").numpy()) == 4000


@pytest.mark.parametrize("name", ["vocab.t7", "data.t7"])
def test_one_older_file_is_enough(corpus, name):
    load(corpus)
    (corpus / "input.txt").write_bytes(b"ab" * 2000)
    os.utime(corpus / "input.txt", (2e9, 2e9))
    for file in ("vocab.t7", "data.t7"):
        os.utime(corpus / file, (1.9e9, 1.9e9) if file == name else (2.1e9, 2.1e9))
    assert load(corpus)[0] == "vocab.t7 or data.t7 detected as stale. Re-running preprocessing..."


@pytest.mark.parametrize("characters, train", [(255, 1.0), (256, 1.0), (257, 1.0), (600, 1.0)])
def test_a_model_may_know_more_characters_than_a_byte_has_values(tmp_path, characters, train):
    """A text of few characters in the numbers of a model of many."""
    known = [chr(0x400 + k).encode() for k in range(characters)]
    text = [known[0], known[-1], known[characters // 2]] * 40
    (tmp_path / "input.txt").write_bytes(b"".join(text))
    data = DataSettings(str(tmp_path), 2, 10, train, 0, "extend", "utf8", items="", label="", seed=1)
    batches = open_batches(data, say=SILENT, model_characters=known)
    x, _ = batches.next_batch(TRAIN)
    numbers = [batches.vocab_mapping[c] - 1 for c in text]
    assert x[0].tolist() == numbers[:10]
    assert max(numbers) == characters - 1


@pytest.mark.parametrize(
    "split, sizes",
    [
        ((0.5, 0.5, 1e-12), (5, 5, 0)),
        ((0.6, 0.4, 0.2), (6, 4, 0)),
        ((0.6, 0.5, 0.2), None),
        ((1.0, 0.0, 0.0), (10, 0, 0)),
        ((1.0, 1e-9, 0.3), (10, 0, 0)),
        ((0.0, 1.0, 0.0), (0, 10, 0)),
    ],
)
def test_splits_at_their_limits(tmp_path, split, sizes):
    (tmp_path / "input.txt").write_bytes(b"abcde" * 10)
    if sizes is None:
        with pytest.raises(UserError, match="sum to more than 1"):
            CharSplitLMMinibatchLoader(tmp_path, 1, 5, split, say=SILENT)
    else:
        batches = CharSplitLMMinibatchLoader(tmp_path, 1, 5, split, say=SILENT)
        assert (batches.ntrain, batches.nval, batches.ntest) == sizes


@pytest.mark.parametrize("name", ["vocab.t7", "data.t7"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: None,
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:50],
        lambda content: b"not a .t7 file at all",
        lambda content: b"\x04\x00\x00\x00" + content,
        lambda content: b"\x00\x00\x00\x00",
    ],
    ids=["missing", "empty", "truncated", "head only", "text", "shifted", "nil"],
)
def test_a_damaged_cache_is_remade(corpus, name, damage):
    load(corpus)
    whole = (corpus / name).read_bytes()
    damaged = damage(whole)
    if damaged is None:
        (corpus / name).unlink()
    else:
        (corpus / name).write_bytes(damaged)
    assert any("unning preprocessing" in line for line in load(corpus))
    assert (corpus / name).read_bytes() == whole


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:20], lambda b: b"\xff" * 20 + b[20:], lambda b: b[:-1], lambda b: b[:-1] + b"\xff"],
    ids=["empty", "cut", "head", "truncated", "other numbers"],
)
def test_a_damaged_cache_is_not_open_when_it_is_replaced(corpus, damage, monkeypatch):
    """Which Windows refuses."""
    load(corpus)
    path = corpus / "data.t7"
    path.write_bytes(damage(path.read_bytes()))
    left_open, replace = [], os.replace

    def watched(source, target):
        left_open.append(is_open(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    load(corpus)
    assert left_open == [False, False, False]  # vocab.t7, data.t7, .cache.json


def test_a_foreign_cache_is_remade(corpus):
    load(corpus)
    wanted = (corpus / "data.t7").read_bytes()
    compat.save_t7(corpus / "data.t7", np.full(46717, 74, np.uint8))  # a character that vocab.t7 lacks
    load(corpus)
    assert (corpus / "data.t7").read_bytes() == wanted
    compat.save_t7(corpus / "vocab.t7", {b"a": 1, b"b": 3})
    load(corpus)
    assert len(compat.load_t7(corpus / "vocab.t7")) == 73


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (errno.EIO, "copy input.txt to a folder that can be written, and name that with data_dir"),
        (errno.ENOSPC, "make room on the disk"),
    ],
)
def test_nothing_is_left_when_preprocessing_fails(corpus, monkeypatch, error, advice):
    def broken(*args):
        raise OSError(error, "it is broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(UserError, match=rf"\(it is broken\): {advice}"):
        load(corpus)
    assert [p.name for p in corpus.iterdir()] == ["input.txt"]


def test_a_character_that_comes_late(tmp_path, monkeypatch):
    monkeypatch.setattr(file_pieces, "_PIECE", 7)
    monkeypatch.setattr(cache_files, "_CHECKED", 5)
    text = b"abc" * 30 + b"\x00z" + b"cab" * 30
    (tmp_path / "input.txt").write_bytes(text)
    batches = CharSplitLMMinibatchLoader(tmp_path, 1, len(text), (1, 0, 0), say=SILENT)
    x, _ = batches.next_batch(1)
    assert x[0].tolist() == [sorted(set(text)).index(byte) for byte in text]


def test_a_number_beyond_the_vocabulary_anywhere_is_noticed(corpus):
    messages: list[str] = []
    CharSplitLMMinibatchLoader(corpus, 10, 20, (1, 0, 0), say=messages.append)
    for position in (-1, -20000, -46717):  # the text's numbers are the file's last bytes
        for number in (0, 74, 255):
            content = bytearray((corpus / "data.t7").read_bytes())
            content[position] = number
            (corpus / "data.t7").write_bytes(content)
            messages.clear()
            CharSplitLMMinibatchLoader(corpus, 10, 20, (1, 0, 0), say=messages.append)
            assert any("is not of this input.txt" in line for line in messages), (position, number)


# -- a cache that changes while it is read ---------------------------------------------------------------------------


def _truncated(path):
    os.truncate(path, 200)


def _overwritten(path):
    with open(path, "r+b") as f:
        f.seek(-1000, os.SEEK_END)
        f.write(b"\x05" * 1000)  # a character of the vocabulary
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 100))  # however coarse the clock of the file system is


@pytest.mark.parametrize("change", [_truncated, _overwritten])
def test_a_cache_that_somebody_changes_is_noticed(corpus, monkeypatch, change):
    monkeypatch.setattr(loader_module, "_READ_AHEAD", 40)
    batches = CharSplitLMMinibatchLoader(corpus, 10, 20, (1, 0, 0), say=SILENT)
    batches.next_batch(TRAIN)
    change(corpus / "data.t7")
    with pytest.raises(TextChanged, match=r"data\.t7 can't be read any more \(another program .*\): remove it"):
        for _ in range(4):
            batches.next_batch(TRAIN)
    assert batches.batch_ix[TRAIN] < 4  # a batch that was not given does not count


def test_a_disk_that_fails_is_named(corpus, monkeypatch):
    batches = CharSplitLMMinibatchLoader(corpus, 10, 20, (1, 0, 0), say=SILENT)

    def fail(*args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(compat.TensorFile, "read", fail)
    with pytest.raises(TextChanged, match=rf"data\.t7 can't be read any more \({os.strerror(errno.EIO)}\): remove it"):
        batches.next_batch(TRAIN)


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is open")
def test_a_cache_that_is_replaced_or_removed_stays_what_it_was(corpus, monkeypatch):
    monkeypatch.setattr(loader_module, "_READ_AHEAD", 40)
    expected = CharSplitLMMinibatchLoader(corpus, 10, 20, (1, 0, 0), say=SILENT)
    batches = CharSplitLMMinibatchLoader(corpus, 10, 20, (1, 0, 0), say=SILENT)
    wanted = [expected.next_batch(TRAIN) for _ in range(batches.ntrain)]
    batches.next_batch(TRAIN)
    (corpus / "input.txt").write_bytes(b"ab" * 5000)
    load(corpus)  # makes the cache of the new text
    assert len(compat.load_t7(corpus / "data.t7").numpy()) == 10000
    for x, y in wanted[1:]:
        ours = batches.next_batch(TRAIN)
        np.testing.assert_array_equal(ours[0], x)
        np.testing.assert_array_equal(ours[1], y)


def test_a_batch_is_the_callers_own(corpus):
    batches = CharSplitLMMinibatchLoader(corpus, 10, 20, (1, 0, 0), say=SILENT)
    first = batches.next_batch(TRAIN)[0].copy()
    batches.next_batch(TRAIN)[0][:] = 255
    batches.reset_batch_pointer(TRAIN)
    x, y = batches.next_batch(TRAIN)
    np.testing.assert_array_equal(x, first)
    x[:] = 255
    assert batches.next_batch(TRAIN)[0].max() < 73


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_text(tmp_path):
    code = (
        "import sys; from pycharrnn.text.loader import CharSplitLMMinibatchLoader\n"
        "def own(): return int(next(line for line in open('/proc/self/status') if 'RssAnon' in line).split()[1])\n"
        "before = own(); loader = CharSplitLMMinibatchLoader(sys.argv[1], 50, 50, (1, 0, 0))\n"
        "batch = loader.next_batch(1); print(own() - before)"
    )
    with open(tmp_path / "input.txt", "wb") as f:
        for _ in range(100):
            f.write(b"0123456789abcdef" * 65536)
    for _ in ("preprocess", "open"):
        result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, cwd=ROOT, check=True)
        assert int(result.stdout.split()[-1]) < 40_000  # kilobytes; the text has 100,000
