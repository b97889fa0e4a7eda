"""`score -lines 1`: each line of a text with the state running on, each item of a list by itself."""

from __future__ import annotations

import math
import os
import re

import item_models
import numpy as np
import pytest
from conftest import GOLDEN, run, sentence

from pycharrnn.analysis import scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import kernel_library
from pycharrnn.sampling import code_points, copy_limits, known_items
from pycharrnn.sampling.code_points import code_points_with, unknown_code_points
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
ITEMS = "cv/lm_list_best.t7"


def table(stdout: bytes) -> list[tuple[float, float, bytes]]:
    rows = [line.split(b"\t", 2) for line in stdout.split(b"\n")[:-1]]
    return [(float(bits), float(per_character), text) for bits, per_character, text in rows]


def bits_alone(loaded, item: bytes) -> float:
    """The bits of an item and its end, read from a zero state."""
    end = loaded.network.end_id
    ids = [end, *(loaded.vocab[bytes([byte])] - 1 for byte in item), end]
    log_probs = NumpyPredictor(loaded.network, 1, len(ids)).read(np.array(ids)[:, None])[:, 0]
    return sum(-log_probs[k, after] for k, after in enumerate(ids[1:])) / math.log(2)


@pytest.mark.parametrize("kernel", ["on", "off"])
def test_items_of_a_list_each_by_itself(tmp_path, monkeypatch, kernel):
    if kernel == "off":
        monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    elif kernel_library.library() is None:
        pytest.skip("no kernel was compiled here")
    item_models.saved(tmp_path)
    items = [b"ab", b"c", b"abcabc", b"c", b"bb"]
    (tmp_path / "list.txt").write_bytes(b"\r\n".join([*items[:2], b"", *items[2:]]))
    loaded = item_models.made()
    expected = [bits_alone(loaded, item) for item in items]
    for threads in ("1", "2"):
        found = table(run("score", ITEMS, "list.txt", "-lines", "1", "-threads", threads, cwd=tmp_path).stdout)
        assert [text for _, _, text in found] == items
        assert [bits for bits, _, _ in found] == pytest.approx(expected, abs=1e-5)
        for bits, per_character, text in found:
            assert per_character == pytest.approx(bits / (len(text) + 1), abs=1e-5)
    by_likelihood = run("score", ITEMS, "list.txt", "-lines", "1", "-sort", "1", cwd=tmp_path).stdout
    assert table(by_likelihood) == sorted(found, key=lambda row: row[0])


def test_the_text_of_a_training_from_a_pipe_or_in_a_folder(tmp_path):
    item_models.saved(tmp_path, "blank", letters="abc\n")
    text = b"a\nb\x1ec\x1e"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "input.txt").write_bytes(text)
    of_file = run("score", ITEMS, "mine/input.txt", "-lines", "1", cwd=tmp_path).stdout
    assert [item for _, _, item in table(of_file)] == [rb"a\nb", b"c"]
    assert run("score", ITEMS, "-", "-lines", "1", cwd=tmp_path, input=text).stdout == of_file
    assert run("score", ITEMS, "mine", "-lines", "1", cwd=tmp_path).stdout == of_file


def test_items_of_several_lines_are_escaped(tmp_path):
    item_models.saved(tmp_path, "blank", letters="abc\n\t\\")
    (tmp_path / "list.txt").write_bytes(b"a\n\tb\n\n\\c\n")
    found = table(run("score", ITEMS, "-", "-lines", "1", cwd=tmp_path, input=b"a\n\tb\n\n\\c\n").stdout)
    assert [text for _, _, text in found] == [b"a\\n\\tb", b"\\\\c"]
    assert found == table(run("score", ITEMS, "list.txt", "-lines", "1", cwd=tmp_path).stdout)
    (tmp_path / "input.txt").write_bytes(b"a\n\tb\x1e\\c\x1e")  # as training writes it
    assert found == table(run("score", ITEMS, "input.txt", "-lines", "1", cwd=tmp_path).stdout)


@pytest.mark.parametrize("adapt", ["0", "1"])
@pytest.mark.parametrize(
    "kind, text", [("line", b"\nab\n\ncXab\nb"), ("blank", b"\nab\nc\n\n\na\n"), ("file", b"ab\nc\n")]
)
def test_the_score_of_a_list_is_the_mean_of_its_items(tmp_path, kind, text, adapt):
    item_models.saved(tmp_path, kind, letters="abc\n")
    (tmp_path / "list.txt").write_bytes(text)
    (tmp_path / "other.txt").write_bytes(b"ca")
    of_items = table(run("score", ITEMS, "list.txt", "-lines", "1", "-adapt", adapt, cwd=tmp_path).stdout)
    done = run("score", ITEMS, "list.txt", "other.txt", "-adapt", adapt, cwd=tmp_path)
    plain_and_learnt = done.stdout.decode().splitlines()[:2]
    found = re.search(r": (\S+) bits per character, (\d+) characters", plain_and_learnt[int(adapt)])
    counted = sum(round(bits / per_character) for bits, per_character, _ in of_items)
    assert int(found[2]) == counted
    assert float(found[1]) == pytest.approx(sum(bits for bits, _, _ in of_items) / counted, abs=1e-5)


def test_lines_of_a_text_have_the_state_of_those_before(tmp_path):
    text = b"The cat\n\nthe dog\nThe cat"
    (tmp_path / "a.txt").write_bytes(text)
    done = run("score", os.fspath(LSTM), "a.txt", "-lines", "1", cwd=tmp_path)
    found = table(done.stdout)
    score = scoring.score(checkpoint.load(LSTM), text)
    assert [line for _, _, line in found] == [b"The cat", b"", b"the dog", b"The cat"]
    assert found[0][0] == pytest.approx(score.bits[:8].sum(), abs=1e-5)
    assert found[2][:2] == pytest.approx((score.bits[9:17].sum(), score.bits[9:17].mean()), abs=1e-5)
    assert sum(bits for bits, _, _ in found) == pytest.approx(score.bits.sum(), abs=1e-4)
    assert found[0][0] != pytest.approx(found[3][0], abs=0.1)


def test_a_character_of_several_bytes_is_one(tmp_path):
    (tmp_path / "a.txt").write_text("Tomas \u2013 \u2013\nThe\n", encoding="utf-8")
    found = table(run("score", os.fspath(LSTM), "a.txt", "-lines", "1", cwd=tmp_path).stdout)
    assert [round(bits / per_character) for bits, per_character, _ in found] == [10, 4]


def test_characters_that_the_model_has_never_seen(tmp_path):
    item_models.saved(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"aXb\nab\nXX\n")
    done = run("score", ITEMS, "list.txt", "-lines", "1", cwd=tmp_path)
    (unknown, _, first), (known, _, _), (end_alone, per_character, _) = table(done.stdout)
    assert unknown == known and first == b"aXb" and end_alone == per_character
    assert done.stderr.decode() == (
        "pycharrnn: 2 lines have characters that the model has never seen, which were left out: 'X'\n"
    )


def test_unknown_bytes_are_named_by_their_character(tmp_path):
    item_models.saved(tmp_path)
    (tmp_path / "list.txt").write_bytes("bü\nü\u00c3\n".encode())
    done = run("score", ITEMS, "list.txt", "-lines", "1", cwd=tmp_path)
    assert done.stderr.decode().endswith('left out: U+00FC "\u00fc" U+00C3 "\u00c3"\n')
    of_bytes = [bytes([byte]) for byte in "für \u00c3".encode() + b"\xff"]
    known = np.array([byte not in (b"\xbc", b"\xff") for byte in of_bytes])
    assert unknown_code_points(of_bytes, known) == {"ü".encode(): 1, b"\xff": 1}
    mixed = [b"a", "€".encode(), b"\xf0\x9f", b"\x98\x80", b"\xed", b"\xa0", b"\x80", "ü".encode()]
    known = np.array([True, False, True, False, False, True, False, False])
    expected = {"€".encode(): 1, "😀".encode(): 1, b"\xed": 1, b"\x80": 1, "ü".encode(): 1}
    assert unknown_code_points(mixed, known) == expected


@pytest.mark.parametrize("block", [1, 3])
def test_code_points_of_long_texts_are_found_in_blocks(monkeypatch, block):
    characters = [*map(bytes, zip("aü€😀".encode() * 3)), b"\xf0\x9f", b"\x98\x80", b"\xed", b"\x80", b"\xff", b"\xe2"]
    count = len(characters)
    masks = [*np.eye(count, dtype=bool), np.arange(count) % 2 > 0, np.ones(count, bool), np.zeros(count, bool)]
    whole = [code_points_with(characters, chosen).tolist() for chosen in masks]
    monkeypatch.setattr(code_points, "_BLOCK", block)
    assert [code_points_with(characters, chosen).tolist() for chosen in masks] == whole


def test_how_a_list_is_decoded_is_said(tmp_path):
    item_models.saved(tmp_path, letters="abé", utf8=True, encoding="utf8")
    (tmp_path / "list.txt").write_bytes("aé\nbé\nab\n".encode("latin-1") * 20)
    done = run("score", ITEMS, "list.txt", "-lines", "1", "-text_encoding", "latin-1", cwd=tmp_path)
    assert b"list.txt" in done.stderr and b"latin-1" in done.stderr
    assert [text.decode() for _, _, text in table(done.stdout)[:3]] == ["aé", "bé", "ab"]


def test_what_is_refused(tmp_path):
    item_models.saved(tmp_path)
    (tmp_path / "empty.txt").write_bytes(b"\n\n")
    assert "-sort 1 sorts lines: add -lines 1" in sentence(run("score", ITEMS, "a", "-sort", "1", cwd=tmp_path))
    both = ("-lines", "1", "-html", "a.html")
    assert "leave one out" in sentence(run("score", ITEMS, "a", *both, cwd=tmp_path))
    assert "empty.txt: empty" in sentence(run("score", ITEMS, "empty.txt", "-lines", "1", cwd=tmp_path))
    assert "nowhere.txt" in sentence(run("score", ITEMS, "nowhere.txt", "-lines", "1", cwd=tmp_path))


@pytest.mark.parametrize("opt", [{"from_texts": 0}, {"text_encoding": "bytes"}], ids=["-data_dir", "bytes"])
def test_items_of_bytes_are_read_as_bytes(tmp_path, opt):
    """Also by -new and by -max_copy, which would take them for other items."""
    items = [b"a\xc3", b"b\xc3\r"]  # which is no UTF-8
    path = item_models.saved(tmp_path, letters="abcé\r", **opt)
    (tmp_path / "list.txt").write_bytes(b"".join(item + b"\n" for item in items))
    found = run("score", ITEMS, "list.txt", "-lines", "1", cwd=tmp_path)
    assert [text for _, _, text in table(found.stdout)] == items and found.stderr == b""
    loaded = checkpoint.load(path)
    read = known_items.for_options(str(path), loaded, SampleOptions(items=1, new=1, text=str(tmp_path / "list.txt")))
    assert read == set(items)
    limits = copy_limits.for_options(str(path), loaded, 1, str(tmp_path / "list.txt"))
    log_probs = np.zeros(len(loaded.vocab))
    limits.limit([loaded.vocab[b"a"] - 1]).forbid(log_probs)
    assert np.flatnonzero(np.isinf(log_probs)).tolist() == [loaded.vocab[b"\xc3"] - 1]
    refused = run("score", ITEMS, "list.txt", "-lines", "1", "-text_encoding", "latin-1", cwd=tmp_path)
    assert "is for models of pycharrnn train FILE" in sentence(refused)
