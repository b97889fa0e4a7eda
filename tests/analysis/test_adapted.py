"""score and eval with -adapt 1, as a user runs them."""

from __future__ import annotations

import math
import re

import item_models
import numpy as np
import pytest
from conftest import GOLDEN, run, sentence

from compat.item_options import record_labels
from pycharrnn.analysis import adapted, evaluation, scoring
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import adapt
from pycharrnn.engine.adapt_options import AdaptOptions

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
LOADED = checkpoint.load(CHECKPOINT)
HOW = adapt.Adaptation(0.005, 20, 0.001)
TEXT = (GOLDEN / "corpus" / "input.txt").read_bytes()[5000:5200] * 15


def test_both_figures_and_a_page(tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "b.txt").write_bytes(TEXT)
    rate = ("-adapt_rate", "0.005")
    done = run("score", CHECKPOINT, "a.txt", "b.txt", "-adapt", "1", *rate, "-html", "s.html", cwd=tmp_path)
    lines = done.stdout.decode().splitlines()
    names = [line.partition(": ")[0] for line in lines]
    assert names == ["a.txt", "a.txt, with -adapt 1", "b.txt", "b.txt, with -adapt 1", "saved s.html"]
    plain, learnt = (scoring.score(LOADED, TEXT), adapted.score(LOADED, TEXT, HOW))
    for k, score in enumerate((plain, learnt, plain, learnt)):  # the second text begins with the trained weights
        assert f"{score.bits_per_character:.6f} bits per character, 3000 characters" in lines[k]
    assert b"compare only figures of -adapt 1" in done.stderr
    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == 4 and "<h2>a.txt, with -adapt 1</h2>" in page
    assert learnt.bits_per_character < plain.bits_per_character
    assert learnt.bits[0] == plain.bits[0]
    np.testing.assert_allclose(learnt.bits[1:21], plain.bits[1:21], rtol=1e-4)  # nothing is learnt yet, in float32


def test_what_the_model_has_never_seen_and_short_texts():
    unknown = adapted.score(LOADED, b"What ~ is the night~", HOW)
    assert unknown.unknown == {b"~": 2} and unknown.bits[~unknown.known].tolist() == [0, 0]
    assert adapted.score(LOADED, b"W", HOW).bits.tolist() == [math.log2(len(LOADED.vocab))]
    assert adapted.score(LOADED, b"", HOW).bits.tolist() == []
    np.testing.assert_allclose(adapted.score(LOADED, b"Wh", HOW).bits, scoring.score(LOADED, b"Wh").bits, rtol=1e-4)


def test_code_points_and_items():
    loaded = item_models.made("line", utf8=True)
    found = adapted.score(loaded, "ab\né\ncab\n".encode() * 30, HOW)
    assert found.characters[3] == "é".encode() and found.known.all()
    assert found.bits[-80:].mean() < scoring.score(loaded, "ab\né\ncab\n".encode() * 30).bits[-80:].mean()


def test_lines_of_a_text_sum_to_its_score(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(TEXT)
    done = run("score", CHECKPOINT, "a.txt", "b.txt", "-lines", "1", "-adapt", "1", cwd=tmp_path)
    rows = [line.split(b"\t", 2) for line in done.stdout.split(b"\n")[:-1]]
    assert b"\n".join(text for _, _, text in rows).startswith(TEXT[:100])
    expected = adapted.score(LOADED, TEXT, AdaptOptions().adaptation).bits.sum()
    of_file = [float(bits) for bits, _, _ in rows[: len(rows) // 2]]
    assert sum(of_file) == pytest.approx(expected, abs=1e-3)
    assert [
        float(bits) for bits, _, _ in rows[len(rows) // 2 :]
    ] == of_file  # each file begins with the trained weights
    assert b"compare only figures of -adapt 1" in done.stderr


@pytest.mark.parametrize("kernel", ["on", "off"])
def test_items_are_learnt_after_their_labels(tmp_path, monkeypatch, kernel):
    if kernel == "off":
        monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    labels = record_labels({b"ab": 3, b"cc": 2})
    path = item_models.saved(tmp_path, letters="abc\t", label="file", **labels)
    items = [b"ab\tba", b"cc\tabX", b"ab\tba", b"cc\ta"] * 5
    (tmp_path / "list.txt").write_bytes(b"\n".join(items))

    def scored(*flags: str) -> list[list[bytes]]:
        done = run("score", str(path), "list.txt", "-lines", "1", *flags, cwd=tmp_path)
        return [line.split(b"\t") for line in done.stdout.split(b"\n")[:-1]]

    plain, learnt = scored(), scored("-adapt", "1", "-adapt_length", "7", "-adapt_rate", "0.01")
    assert [row[2:] for row in learnt] == [row[2:] for row in plain] == [item.split(b"\t") for item in items]
    still = scored("-adapt", "1", "-adapt_rate", "1e-9")
    assert [float(row[0]) for row in still] == pytest.approx([float(row[0]) for row in plain], abs=1e-4)
    loaded = checkpoint.load(path)
    text = b"\n" + b"".join(item.replace(b"X", b"") + b"\n" for item in items)
    ids = np.array([loaded.vocab[bytes([byte])] - 1 for byte in text])
    counted = np.concatenate([[k > 2 for k in range(len(item.replace(b"X", b"")) + 1)] for item in items])
    learner = adapt.learner(loaded.network, adapt.Adaptation(0.01, 7, 0.001))
    bits = -learner.read(ids[:-1], np.where(counted, ids[1:], IGNORED)) / math.log(2)
    ends = np.flatnonzero(ids[1:] == ids[0]) + 1
    expected = [part.sum() for part in np.split(bits, ends)[:-1]]
    assert [float(row[0]) for row in learnt] == pytest.approx(expected, abs=1e-5)
    assert expected[-4] < float(plain[-4][0])  # learning made the repeated text cheaper
    by_bits = scored("-adapt", "1", "-adapt_length", "7", "-adapt_rate", "0.01", "-sort", "1")
    assert by_bits == sorted(learnt, key=lambda row: float(row[0]))


def test_eval_gives_both_losses(corpus):
    small = ["-batch_size", "1", "-seq_length", "25"]
    rate = ["-adapt_rate", "0.005"]
    done = run("eval", CHECKPOINT, "-data_dir", str(corpus), *small, "-adapt", "1", *rate)
    lines = done.stdout.decode().splitlines()
    plain = run("eval", CHECKPOINT, "-data_dir", str(corpus), *small)
    assert lines[:3] == plain.stdout.decode().splitlines()
    loss = float(re.fullmatch(r"loss with -adapt 1   (\d\.\d{8}) nats per character", lines[3])[1])
    opt = EvalOptions(data_dir=str(corpus), batch_size=1, seq_length=25, adapt=1, adapt_rate=0.005)
    assert loss == round(adapted.split_loss("x", LOADED, opt), 8)
    text = (corpus / "input.txt").read_bytes()
    loader = evaluation.open_split("x", LOADED, opt)
    last = text[loader.ntrain * 25 : loader.nbatches * 25] + text[:1]
    nats = adapted.score(LOADED, last, HOW).bits[1:] * math.log(2)
    assert loss == pytest.approx(nats.mean(), abs=1e-7)
    assert (
        b"compare only figures of -adapt 1" in done.stderr and b"compare only figures of -adapt 1" not in plain.stderr
    )
    table = run("eval", CHECKPOINT, "-compare", "1", "-data_dir", str(corpus), *small, "-adapt", "1", *rate)
    heading, row = table.stdout.decode().splitlines()
    assert heading.split("  ")[-2:] == ["with -adapt 1", "trained on"]
    assert f"  {loss:.6f}  " in row


def test_eval_of_items(tmp_path):
    item_models.saved(tmp_path, "line", b"a\nb\nc\n\xc3\xa9\nab\nbb\n" * 40)
    flags = "-data_dir data/list -batch_size 2 -seq_length 10 -val_frac 0.2 -train_frac 0.8 -adapt 1 -adapt_rate 1e-9"
    done = run("eval", "cv/lm_list_best.t7", *flags.split(), cwd=tmp_path)
    losses = [float(x) for x in re.findall(r"(\S+) nats per character", done.stdout.decode())]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("score", "-adapt_rate 0.1", "-adapt_rate says how -adapt 1 learns: add -adapt 1, or leave it out"),
        ("score", "-adapt 1 -gpuid 0", "-adapt 1 works on the CPU only: leave -gpuid out"),
        ("score", "-adapt 1 -adapt_length 0", "-adapt_length must be from 1 to 10000, not 0"),
        ("eval", "-adapt_pull 0.1", "-adapt_pull says how -adapt 1 learns"),
        ("eval", "-adapt 1 -old_exp 1", "-adapt 1 has its own LogSoftMax: leave -old_exp 1 out"),
        ("eval", "-adapt 1 -gpuid 0", "-adapt 1 works on the CPU only"),
    ],
)
def test_options_that_do_not_go_together(command, flags, message):
    text = ["input.txt"] if command == "score" else []
    assert message in sentence(run(command, CHECKPOINT, *text, *flags.split()))
