"""Fine-tuning on a text with other characters, and vocabularies of code points."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import GOLDEN, ROOT, sentence, working_in
from conftest import run as command
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import SMALL, TEXT, copied, folder_with_text, in_two_processes, masked, named, steps, train

import compat
from compat.lua_random import LuaRandom
from pycharrnn.checkpoints import checkpoint, derived_checkpoints
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.text import cache_files, file_pieces
from pycharrnn.text.batches import TRAIN, VAL, Batches
from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.loaders import open_batches

SILENT = lambda line: None  # noqa: E731
LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
# Has characters that LSTM's text lacks, in every batch, and lacks some that it has.
OTHER = TEXT.lower().replace(b"the", b"th\xe7 ~")
NEW = [b"~", b"\xe7"]
POEM = ("Où sont les neiges d'antan?\nГде снега былых времён? 雪 " * 60).encode()


def invoke(folder: Path, *args: str) -> str:
    with working_in(folder):
        result = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def loader(folder, batch=5, length=8, say=SILENT, encoding="bytes", model_characters=None, vocab="extend") -> Batches:
    if os.name == "nt":
        gc.collect()  # an error's traceback may hold an earlier one, and Windows replaces no cache that is open
    data = DataSettings(os.fspath(folder), batch, length, 0.9, 0.1, vocab, encoding, items="", label="", seed=1)
    return open_batches(data, say=say, model_characters=model_characters)


def text_of(batches: Batches) -> bytes:
    """What the loader's batches spell, cut to whole batches."""
    characters = sorted(batches.vocab_mapping, key=batches.vocab_mapping.get)
    columns = []
    for split in (TRAIN, VAL):
        columns += [batches.next_batch(split)[0] for _ in range(batches.split_sizes[split])]
    return b"".join(characters[k] for row in np.concatenate(columns, 1) for k in row)


# -- code points -----------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8"), min_size=12, max_size=200) | st.text("aé€😀", min_size=12, max_size=200),
    size=st.integers(1, 7),
)
def test_code_points_by_definition(tmp_path_factory, text, size):
    folder = tmp_path_factory.mktemp("text")
    (folder / "input.txt").write_bytes(text.encode())
    with mock.patch.object(file_pieces, "_PIECE", size), mock.patch.object(cache_files, "_CHECKED", size):
        batches = loader(folder, 2, 3, encoding="utf8")
    assert batches.vocab_mapping == {c.encode(): k for k, c in enumerate(sorted(set(text)), 1)}
    assert text_of(batches).decode() == text[: len(text) // 6 * 6]
    numbers = compat.load_t7(folder / "data_utf8.t7")
    assert numbers.typename == b"torch.IntTensor"
    assert numbers.numpy().tolist() == [batches.vocab_mapping[c.encode()] for c in text]


def test_a_cache_of_code_points_leaves_the_one_of_bytes_alone(tmp_path):
    (tmp_path / "input.txt").write_bytes(POEM)
    loader(tmp_path)
    before = [(tmp_path / name).read_bytes() for name in ("vocab.t7", "data.t7")]
    lines: list[str] = []
    loader(tmp_path, encoding="utf8", say=lines.append)
    loader(tmp_path, encoding="utf8", say=lines.append)
    assert lines[0] == "vocab_utf8.t7 and data_utf8.t7 do not exist. Running preprocessing..."
    assert lines.count("loading data files...") == 2
    assert sum("preprocessing" in line for line in lines) == 2
    assert [(tmp_path / name).read_bytes() for name in ("vocab.t7", "data.t7")] == before


def test_more_characters_than_a_byte_can_number(tmp_path):
    text = "".join(chr(0x4E00 + k % 700) for k in range(7000))
    (tmp_path / "input.txt").write_bytes(text.encode())
    batches = loader(tmp_path, 10, 70, encoding="utf8")
    assert batches.vocab_size == 700
    assert text_of(batches).decode() == text
    x, y = batches.next_batch(TRAIN)
    assert (y == (x + 1) % 700).all()


@pytest.mark.parametrize(
    "bad, offset, byte",
    [(b"\xff", 0, "ff"), (b"\xc3", 0, "c3"), (b"\xe2\x82", 0, "e2"), (b"\xed\xa0\x80", 0, "ed"), (b"\x80", 0, "80")],
)
@pytest.mark.parametrize("before", [b"", b"ab", "é€😀".encode() * 3])
@pytest.mark.parametrize("after", [b"", b"a" * 20])
def test_what_is_not_utf8_is_named_by_its_offset(tmp_path, bad, offset, byte, before, after):
    (tmp_path / "input.txt").write_bytes(before + bad + after)
    for size in (1, 2, 3, 5, 1000):
        with (
            mock.patch.object(file_pieces, "_PIECE", size),
            pytest.raises(UserError, match=rf"not UTF-8 at offset {len(before)} \(byte 0x{byte}\).*-encoding bytes"),
        ):
            loader(tmp_path, encoding="utf8")
    assert [p.name for p in tmp_path.iterdir()] == ["input.txt"]


def test_not_utf8_is_a_sentence(tmp_path):
    folder = folder_with_text(tmp_path / "a", "naïve".encode("latin-1") * 500)
    error = sentence(command("train", *SMALL, "-encoding", "utf8", cwd=folder))
    assert "data/input.txt is not UTF-8 at offset 2 (byte 0xef)" in error


def test_a_new_run_says_that_bytes_of_another_encoding_are_kept(tmp_path):
    """Once: a text may be meant as bytes, so a run that goes on does not repeat it."""
    folder = folder_with_text(tmp_path / "a", "naïve".encode("latin-1") * 500)
    said = b"input.txt is not UTF-8 at offset 2, and its bytes are kept as they are: if it is a text in another"
    first = command("train", *SMALL, cwd=folder)
    assert first.stderr.count(said) == 1 and b"not UTF-8" not in first.stdout
    resumed = command("train", "-resume", "cv", "-max_epochs", "9", cwd=folder)
    assert resumed.returncode == 0 and b"not UTF-8" not in resumed.stderr
    converted = command("train", "data/input.txt", "-max_epochs", "1", "-rnn_size", "8", cwd=folder)
    assert b"read as" in converted.stderr and b"not UTF-8" not in converted.stderr


@pytest.mark.parametrize("name", ["vocab_utf8.t7", "data_utf8.t7"])
def test_a_damaged_cache_of_code_points_is_remade(tmp_path, name):
    (tmp_path / "input.txt").write_bytes("aé€".encode() * 100)
    loader(tmp_path, encoding="utf8")
    whole = (tmp_path / name).read_bytes()
    damages = [b"", whole[:-1], b"\x00" * 4]
    if name.startswith("data"):  # the numbers are the last bytes of the file
        damages += [whole[:-4] + bytes(number) for number in ([0, 0, 0, 0], [4, 0, 0, 0], [255] * 4, [2, 0, 0, 0])]
    for damage in damages:
        (tmp_path / name).write_bytes(damage)
        lines: list[str] = []
        loader(tmp_path, encoding="utf8", say=lines.append)
        assert "unning preprocessing" in lines[0] + lines[1], damage
        assert (tmp_path / name).read_bytes() == whole
    compat.save_t7(tmp_path / "vocab_utf8.t7", {b"a": 1, b"\xc3": 2, "€".encode(): 3})
    loader(tmp_path, encoding="utf8")
    assert sorted(compat.load_t7(tmp_path / "vocab_utf8.t7")) == [c.encode() for c in "aé€"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_a_text_of_code_points(tmp_path):
    code = (
        "import sys, threading, time; from pycharrnn.text.loader import CharSplitLMMinibatchLoader\n"
        "def own(): return int(next(line for line in open('/proc/self/status') if 'RssAnon' in line).split()[1])\n"
        "before = own(); peak = [0]\n"
        "def watch():\n"
        "    while True: peak[0] = max(peak[0], own()); time.sleep(0.002)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "loader = CharSplitLMMinibatchLoader(sys.argv[1], 50, 50, (1, 0, 0), encoding='utf8')\n"
        "batch = loader.next_batch(1); print(peak[0] - before)"
    )
    with open(tmp_path / "input.txt", "wb") as f:
        for _ in range(48):
            f.write("ä€ü😀 hello ".encode() * 65536)
    size = (tmp_path / "input.txt").stat().st_size
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, cwd=ROOT, check=True)
    assert int(result.stdout.split()[-1]) < 40_000 < size / 1000  # kilobytes


# -- other characters ------------------------------------------------------------------------------------------------


def test_a_loader_that_knows_more_or_fewer_characters(tmp_path):
    text = "abcé".encode() * 32 + b"xyz" * 40
    (tmp_path / "input.txt").write_bytes(text)
    strict = loader(tmp_path)
    assert text_of(strict) == text
    cache = {p.name: p.read_bytes() for p in tmp_path.glob("*.t*")}
    extended = loader(tmp_path, model_characters=[b"q", b"a", b"z"])
    assert sorted(extended.vocab_mapping) == sorted({*strict.vocab_mapping, b"q"})
    assert list(extended.vocab_mapping.values()) == list(range(1, extended.vocab_size + 1))
    assert text_of(extended) == text
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.t*")} == cache
    lines: list[str] = []
    kept = loader(tmp_path, model_characters=[b"q", b"b", b"a", b"z"], vocab="keep", say=lines.append)
    assert kept.vocab_mapping == {b"a": 1, b"b": 2, b"q": 3, b"z": 4}
    assert text_of(kept) == re.sub(rb"[^qabz]", b"", text)[:80]
    assert "characters left out of the text (176 of 280): 'c' 'x' 'y' '\\xa9' '\\xc3'" in lines
    (own,) = {p.name for p in tmp_path.glob("*.t*")} - set(cache)
    assert re.fullmatch(r"data_without_[0-9a-f]{12}\.t7", own)
    assert all((tmp_path / name).read_bytes() == content for name, content in cache.items())


def test_the_text_without_some_characters_is_kept_and_remade(tmp_path):
    def text() -> bytes:
        return text_of(loader(tmp_path, 2, 3, model_characters=[b"a", b"b"], vocab="keep"))

    (tmp_path / "input.txt").write_bytes(b"a-b-" * 30)
    assert text() == b"ab" * 30
    (file,) = tmp_path.glob("data_without_*")
    content, made = file.read_bytes(), file.stat().st_ino
    assert text() == b"ab" * 30
    assert file.stat().st_ino == made
    for damage in (b"", content[:-1], content[:-1] + b"\x09"):
        file.write_bytes(damage)
        assert text() == b"ab" * 30
        assert file.read_bytes() == content
    (tmp_path / "input.txt").write_bytes(b"-ba-" * 30)
    for old in tmp_path.glob("*.t7"):
        os.utime(old, (1e9, 1e9))
    assert text() == b"ba" * 30


def test_a_text_with_no_known_character(tmp_path):
    (tmp_path / "input.txt").write_bytes(b"abc" * 40)
    with pytest.raises(UserError, match="none of the checkpoint.s characters"):
        loader(tmp_path, model_characters=[b"x"], vocab="keep")


def test_all_256_bytes_and_one_code_point_more(tmp_path):
    (tmp_path / "input.txt").write_bytes("é".encode() * 300)
    batches = loader(tmp_path, 2, 3, encoding="utf8", model_characters=[bytes([k]) for k in range(256)])
    assert batches.vocab_size == 257
    x, _ = batches.next_batch(TRAIN)
    assert set((x + 1).ravel().tolist()) == {batches.vocab_mapping["é".encode()]}
    (tmp_path / "input.txt").write_bytes(bytes(range(256)) * 10)
    without = loader(tmp_path, 2, 3, model_characters=[bytes([k]) for k in range(200, 256)], vocab="keep")
    assert text_of(without) == (bytes(range(200, 256)) * 10)[:558]


@pytest.mark.parametrize("path", [LSTM, *(next(GOLDEN.glob(f"{name}/lm*.t7")) for name in ("gru2", "rnn3"))])
def test_new_characters_get_small_random_rows(path):
    loaded = checkpoint.load(path)
    n = loaded.network
    new = [b"~", b"\x01", "é".encode()]
    vocab = {c: k for k, c in enumerate(sorted([*loaded.vocab, *new]), 1)}
    random = LuaRandom(5)
    extended = derived_checkpoints.remap_ids(loaded, vocab, random)
    V, H, per_layer = len(vocab), n.rnn_size, {"lstm": [4], "gru": [1, 1, 1], "rnn": [1]}[n.model]
    assert (extended.network.vocab_size, extended.vocab) == (V, vocab)
    drawn = LuaRandom(5)
    columns = sorted(vocab[c] - 1 for c in new)
    inputs = [name for name in n.weights if name.endswith("i2h_1.weight")]
    assert len(inputs) == len(per_layer)
    for name, gates in zip(inputs, per_layer, strict=True):
        rows = drawn.uniform(-0.08, 0.08, gates * H * 3).reshape(gates * H, 3)
        np.testing.assert_array_equal(extended.network.weights[name][:, columns], rows)
    np.testing.assert_array_equal(
        extended.network.weights["decoder.weight"][columns], drawn.uniform(-0.08, 0.08, 3 * H).reshape(3, H)
    )
    np.testing.assert_array_equal(extended.network.weights["decoder.bias"][columns], drawn.uniform(-0.08, 0.08, 3))
    np.testing.assert_array_equal(random.random(2), drawn.random(2))  # and nothing else was drawn
    # For the old characters it is the old model: logits differ only by what all are divided by.
    old = sorted(loaded.vocab, key=loaded.vocab.get)
    text = np.arange(len(old))[:, None]
    where = np.array([vocab[c] - 1 for c in old])
    before = NumpyPredictor(n, 1, len(old)).read(text)
    after = NumpyPredictor(extended.network, 1, len(old)).read(where[text])[..., where]
    after = after - np.log(np.exp(after).sum(-1, keepdims=True))
    np.testing.assert_allclose(after, before, atol=1e-12)


def checked_run(tmp_path: Path, text: bytes, *args: str) -> tuple[Path, list[str]]:
    """A training of three validations; and that it goes on exactly from its first checkpoint, alone and in two
    processes, and that eval finds the losses that training printed."""
    args = (*args, "-dropout", "0.2", "-eval_val_every", "20", "-max_epochs", "1")
    folder = folder_with_text(tmp_path / "whole", text)
    lines = train(folder, *args)
    files = named(folder)
    assert len(files) > 2, files
    resumed = copied(folder, tmp_path / "resumed", files[0])
    rest = steps(train(resumed, "-resume", "cv", small=[]))
    assert len(rest) > 30
    assert rest == steps(lines)[-len(rest) :]
    assert [p.name for p in named(resumed)] == [p.name for p in files]
    assert named(resumed)[-1].read_bytes() == files[-1].read_bytes()
    loaded = checkpoint.load(files[-1])
    found = float(re.search(r"val split +(\S+) nats", invoke(folder, "eval", str(files[-1])))[1])
    assert abs(found - loaded.val_loss) < 1e-7
    two = folder_with_text(tmp_path / "two", text)
    printed, _ = in_two_processes(two, "train", *SMALL, *args)
    assert [p.name for p in named(two)] == [p.name for p in files]
    assert [re.sub("grad/param.*", "", line) for line in steps(masked(printed))] == [
        re.sub("grad/param.*", "", line) for line in steps(lines)
    ]
    return folder, lines


def test_extend(tmp_path):
    folder, lines = checked_run(tmp_path, OTHER, "-init_from", str(LSTM), "-vocab", "extend")
    old = checkpoint.load(LSTM)
    loaded = checkpoint.load(named(folder)[-1])
    assert "characters added to the vocabulary (2): '~' '\\xe7'" in lines
    assert f"vocab size: {len(old.vocab) + 2}" in lines
    assert loaded.vocab == {c: k for k, c in enumerate(sorted([*old.vocab, *NEW]), 1)}
    assert invoke(folder, "sample", str(named(folder)[-1]), "-primetext", "the ~", "-verbose", "0", "-length", "10")


@pytest.mark.parametrize("vocab", ["extend", "keep"])
def test_a_model_of_bytes_becomes_one_of_code_points(tmp_path, vocab):
    """Bytes of its text that are parts of characters leave it: it can't draw them, and -max_copy works."""
    folder = folder_with_text(tmp_path, "Où est l'été ? L'hôtel.\n".encode() * 30)
    train(folder, "-savefile", "base", "-max_epochs", "1")
    base = checkpoint.load(folder / "cv/lm_base_best.t7")
    assert {b"\xc3", b"\xa9"} < set(base.vocab)
    args = ("-encoding", "utf8", "-vocab", vocab, "-max_epochs", "1", "-savefile", "points")
    train(folder, "-init_from", "cv/lm_base_best.t7", *args)
    loaded = checkpoint.load(folder / "cv/lm_points_best.t7")
    ascii_only = {c for c in base.vocab if c < b"\x80"}
    assert set(loaded.vocab) == (ascii_only | {c.encode() for c in "ùéô"} if vocab == "extend" else ascii_only)
    assert loaded.network.weights["decoder.bias"].shape == (len(loaded.vocab),)
    invoke(folder, "sample", "cv/lm_points_best.t7", "-length", "40", "-max_copy", "9")


def test_keep(tmp_path):
    folder, lines = checked_run(tmp_path, OTHER, "-init_from", str(LSTM), "-vocab", "keep")
    count = sum(map(OTHER.count, NEW))
    assert f"characters left out of the text ({count} of {len(OTHER)}): '~' '\\xe7'" in lines
    assert checkpoint.load(named(folder)[-1]).vocab == checkpoint.load(LSTM).vocab


def test_keep_that_leaves_one_batch_names_smaller_ones(tmp_path):
    folder = folder_with_text(tmp_path, b"the " * 15 + b"~" * 2000)  # SMALL's batches have 40 characters
    error = sentence(command("train", *SMALL, "-init_from", str(LSTM), "-vocab", "keep", cwd=folder))
    leaves = "and the train split gets none: use a smaller -batch_size or -seq_length."
    assert f"the text makes only one batch of -batch_size 5 x -seq_length 8 characters, {leaves}" in error


def test_keep_is_training_on_the_text_without_them(tmp_path):
    text = OTHER.translate(None, b"".join(NEW))
    a, b = folder_with_text(tmp_path / "a", OTHER), folder_with_text(tmp_path / "b", text)
    args = ("-init_from", str(LSTM), "-vocab", "keep", "-max_epochs", "0.5")
    assert steps(train(a, *args)) == steps(train(b, *args))


@pytest.mark.parametrize("vocab", ["extend", "keep"])
def test_the_same_characters_are_the_strict_run(tmp_path, vocab):
    text = (GOLDEN / "corpus" / "input.txt").read_bytes()
    logs = []
    for k, extra in enumerate(([], ["-vocab", vocab])):
        folder = folder_with_text(tmp_path / str(k), text)
        logs.append(train(folder, "-init_from", str(LSTM), "-max_epochs", "0.02", *extra))
        assert sorted(p.name for p in (folder / "data").iterdir()) == [
            ".cache.json",
            "data.t7",
            "input.txt",
            "vocab.t7",
        ]
    assert logs[0] == logs[1]


def test_another_numbering(tmp_path):
    """As in torch-rnn, which numbers characters as they first occur."""
    loaded = checkpoint.load(LSTM)
    shuffled = dict(zip(loaded.vocab, np.random.default_rng(0).permutation(len(loaded.vocab)) + 1, strict=True))
    theirs = derived_checkpoints.remap_ids(loaded, {c: int(k) for c, k in shuffled.items()})
    checkpoint.convert(theirs, tmp_path / "theirs.t7")
    folders = [folder_with_text(tmp_path / name, OTHER) for name in "ab"]
    starts = (LSTM, tmp_path / "theirs.t7")
    logs = [
        train(folder, "-init_from", str(start), "-vocab", "extend", "-max_epochs", "0.3")
        for folder, start in zip(folders, starts, strict=True)
    ]
    assert steps(logs[0]) == steps(logs[1])


def test_resuming_with_still_other_characters(tmp_path):
    folder = folder_with_text(tmp_path / "a", OTHER)
    train(folder, "-init_from", str(LSTM), "-vocab", "extend", "-max_epochs", "0.2")
    (folder / "data" / "input.txt").write_bytes(OTHER.replace(b"a", b"\x07"))
    error = sentence(command("train", "-resume", "cv/lm_lstm_latest.t7", cwd=folder))
    assert "): only the text has '\\x07'; -init_from" in error


def test_vocab_without_a_checkpoint(tmp_path):
    error = sentence(command("train", *SMALL, "-vocab", "keep", cwd=folder_with_text(tmp_path / "a")))
    assert "add -init_from" in error
    assert "-vocab must be strict, extend or keep, not all" in sentence(command("train", "-vocab", "all"))
    assert "-encoding must be bytes or utf8, not utf-8." in sentence(command("train", "-encoding", "utf-8"))
    error = sentence(command("train", "-encoding", "latin1"))
    assert "not latin1: for files in latin1, name them on the command line with -text_encoding latin1." in error


# -- a model of code points ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poet(tmp_path_factory):
    return checked_run(tmp_path_factory.mktemp("poet"), POEM, "-encoding", "utf8")[0]


def test_its_checkpoint(poet):
    path = named(poet)[-1]
    loaded = checkpoint.load(path)
    assert loaded.vocab == {c.encode(): k for k, c in enumerate(sorted(set(POEM.decode())), 1)}
    assert loaded.opt["encoding"] == "utf8"
    # What sample.lua does with it: for c,i in pairs(vocab) do ivocab[i] = c end; io.write(ivocab[k])
    table = compat.load_t7(path)[b"vocab"]
    assert all(isinstance(c, bytes) and isinstance(k, int) for c, k in table.items())
    invoke(poet, "convert", str(path), "poet.json")
    assert (poet / "poet.json").stat().st_size


def test_its_samples(poet):
    path = str(named(poet)[-1])
    with working_in(poet):
        result = CliRunner().invoke(cli, ["sample", path, "-primetext", "Où 雪", "-length", "300", "-verbose", "0"])
        text = result.stdout_bytes.decode("utf-8")
    assert text.startswith("Où 雪")
    assert len(text) == 4 + 300 + 1  # characters
    error = sentence(command("sample", path, "-primetext", "Ö"))
    assert 'the character U+00D6 "Ö", which the model has never seen' in error


def test_what_it_thinks_of_a_text(poet):
    (poet / "text.txt").write_bytes("Где Ö?".encode())
    line = invoke(poet, "score", str(named(poet)[-1]), "text.txt", "-html", "page.html")
    assert '5 characters; left out 1 character that the model has never seen: U+00D6 "Ö"' in line
    assert "Г" in (poet / "page.html").read_text(encoding="utf-8")


def test_it_chats_and_is_served(poet):
    path = str(named(poet)[-1])
    result = command("chat", path, "-length", "20", "-gpuid", "-1", cwd=poet, input="Где?\n".encode())
    assert result.returncode == 0
    result.stdout.decode("utf-8")
    pytest.importorskip("fastapi")
    from serving_tools import get, post, server

    with server(path) as running:
        model = get(running.url + "api/models").json()["models"][0]["id"]
        body = {"model": model, "primetext": "Où 雪", "length": 20, "seed": 3}
        stream = post(running.url + "api/sample", body)
        assert stream.status_code == 200, stream.text
        assert "雪" in stream.text or "\\u96ea" in stream.text


def test_going_on_from_it(poet, tmp_path):
    """-init_from takes over what characters are; and a model of bytes can learn code points."""
    text = POEM.decode().replace("neiges", "čas").encode()
    folder = folder_with_text(tmp_path / "a", text)
    lines = train(folder, "-init_from", str(named(poet)[-1]), "-vocab", "extend", "-max_epochs", "0.2")
    assert "overwriting encoding=utf8 based on the checkpoint." in lines
    assert 'characters added to the vocabulary (1): U+010D "č"' in lines
    other = folder_with_text(tmp_path / "b", text)
    lines = train(other, "-init_from", str(LSTM), "-vocab", "extend", "-encoding", "utf8", "-max_epochs", "0.2")
    loaded = checkpoint.load(named(other)[-1])
    taken_over = {c for c in checkpoint.load(LSTM).vocab if c < b"\x80"}  # other bytes are parts of characters
    assert set(loaded.vocab) == {*taken_over, *(c.encode() for c in text.decode())}
    assert not [p for p in (other / "data").iterdir() if p.name in ("vocab.t7", "data.t7")]
