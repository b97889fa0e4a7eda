"""Models with labels, as a user has them: sample -as, which, score and inspect, and the same in a program."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import re
import unicodedata
from collections import Counter

import item_models
import numpy as np
import pytest
from conftest import run, sentence

import pycharrnn
from compat.item_options import record_labels
from pycharrnn.analysis import classify
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import kernel_library
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.sampling import learning, model_labels
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.text import item_file, labels
from pycharrnn.text.decode_text import Decoding
from pycharrnn.text.source_files import SourceFile

CV = "cv/lm_list_best.t7"
SAMPLE = ("sample", CV, "-gpuid", "-1", "-verbose", "0")
COUNTS = {b"ab": 30, b"b": 10, b"cc": 1}
TEXT = b"ab\ta\nb\tb\ncc\tab\nab\tcc\tb\n"
OPT = {"letters": "abc\t", "label": "file", **record_labels(COUNTS)}


@pytest.fixture
def home(tmp_path):
    item_models.saved(tmp_path, "line", TEXT, **OPT)
    return tmp_path


@functools.cache
def log_likelihood(label: bytes, item: bytes) -> float:
    """Of an item and its end after a label, in nats, read in one piece from a zero state."""
    loaded = item_models.made("line", **OPT)
    ids = [loaded.vocab[bytes([byte])] - 1 for byte in b"\n" + label + b"\t" + item + b"\n"]
    log_probs = NumpyPredictor(loaded.network, 1, len(ids)).read(np.array(ids)[:, None])[:, 0]
    first = len(label) + 1
    return sum(log_probs[k, after] for k, after in enumerate(ids[1:]) if k >= first)


def lines(home, *args: str) -> list[bytes]:
    done = run(*SAMPLE, *args, cwd=home)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.split(b"\n")[:-1]


def test_items_of_a_label_are_those_after_it(home):
    checkpoint.convert(item_models.made("line", letters=OPT["letters"]), home / "plain.t7")
    ours = lines(home, "-as", "ab", "-items", "40", "-primetext", "c")
    theirs = run("sample", "plain.t7", *SAMPLE[2:], "-primetext", "ab\tc", "-items", "40", cwd=home).stdout
    assert ours == [line.removeprefix(b"ab\t") for line in theirs.split(b"\n")[:-1]]
    assert all(line.startswith(b"c") for line in ours)
    assert lines(home, "-label", "ab", "-items", "40", "-primetext", "c") == ours
    model = pycharrnn.load(home / CV)
    items = list(model.items(40, label="ab", primetext="c", seed=123))
    assert [os.fsencode(item) for item in items] == ours
    assert {item.label for item in items} == {"ab"}


def test_a_prompt_is_learnt_after_its_label(home):
    (home / "prompt.txt").write_bytes(b"abcab")
    adapt = ("-items", "30", "-primefile", "prompt.txt", "-adapt", "1", "-adapt_rate", "0.1", "-adapt_length", "4")
    loaded = item_models.made("line", **OPT)
    how = AdaptOptions(adapt_rate=0.1, adapt_length=4).adaptation
    read = [bytes([byte]) for byte in b"\nb\tabcab"]
    learnt = learning.learnt(loaded, read, how, given=np.arange(len(read)) < 3)
    checkpoint.convert(learnt, home / "learnt.t7")
    expected = run("sample", "learnt.t7", *SAMPLE[2:], *adapt[:4], "-as", "b", cwd=home).stdout.split(b"\n")[:-1]
    assert lines(home, "-as", "b", *adapt) == expected
    assert lines(home, "-as", "b", *adapt[:4]) != expected
    assert "give that of the prompt by -as LABEL" in sentence(run(*SAMPLE, *adapt, cwd=home))


def test_a_model_that_has_learnt_knows_its_training_text(home):
    adapt = ("-as", "ab", "-primetext", "a", "-adapt", "1")
    counts = run(*SAMPLE[:-2], *adapt, cwd=home).stderr.decode().splitlines()[-1]
    assert "known: " in counts
    (home / "data" / "list" / "input.txt").write_bytes(TEXT + b"b\tc\n")
    assert "is not the text of cv/lm_list_best.t7" in sentence(run(*SAMPLE, *adapt, "-new", "1", cwd=home))


@pytest.mark.parametrize("of_label", [(), ("-as", "ab")])
def test_items_as_json_have_their_label(home, of_label):
    found = [json.loads(line) for line in lines(home, "-items", "9", "-json", "1", *of_label)]
    assert [f"{item['label']}\t{item['text']}".encode() for item in found] == [
        line if not of_label else b"ab\t" + line for line in lines(home, "-items", "9", *of_label)
    ]


@pytest.mark.parametrize("kernel", ["on", "off"])
def test_without_a_label_all_are_drawn_as_often_as_in_training(home, monkeypatch, kernel):
    if kernel == "off":
        monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    elif kernel_library.library() is None:
        pytest.skip("no kernel was compiled here")
    count = 400 if kernel == "on" else 60
    found = [line.split(b"\t", 1) for line in lines(home, "-items", str(count), "-seed", "7")]
    drawn = Counter(label for label, _ in found)
    for label, expected in COUNTS.items():
        share = expected / 41
        assert abs(drawn[label] / count - share) < 4 * math.sqrt(share / count)
    for number in (0, 3, count - 1):
        (one,) = lines(home, "-items", "1", "-seed", str(7 + number))
        assert one.split(b"\t", 1) == found[number]
        label = os.fsdecode(found[number][0])
        assert lines(home, "-items", "1", "-seed", str(7 + number), "-as", label) == [found[number][1]]
    lines(home, "-items", "2", "-seed", "7", "-o", "out")
    assert (home / "out" / "sample_7.txt").read_bytes() == b"\t".join(found[0]) + b"\n"


def test_new_items_are_new_under_their_label(home):
    found = lines(home, "-as", "ab", "-items", "300", "-most", "2")
    assert b"a" in found and b"b" in found
    new = lines(home, "-as", "ab", "-items", "300", "-most", "2", "-new", "1")
    assert b"a" not in new  # which has this label in the text
    assert b"b" in new  # which has another one there
    unique = lines(home, "-items", "30", "-unique", "1", "-most", "3")
    assert len(set(unique)) == 30
    (home / "cc.txt").write_bytes(b"b\nab\tc\n")  # of the label cc, and of ab
    new = lines(home, "-items", "400", "-most", "1", "-new", "1", "-text", "cc.txt")
    assert b"ab\tb" in new and b"ab\tc" not in new
    assert b"cc\tb" not in new


def test_accents_may_be_code_points_of_their_own(tmp_path):
    """As in file names of a Mac: labels are composed in training, and those of older models are found."""
    composed, apart = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))
    file = SourceFile("", f"{apart}.txt", Decoding(), 1)
    assert labels.prefix(file, "file") == f"{composed}\t".encode()
    for known in (composed, apart):
        for asked in (composed, apart):
            assert model_labels.require("", [b"a", known.encode()], asked) == known.encode()
            path = tmp_path / f"{asked}.txt"
            path.write_text("Ada\n", encoding="utf-8")
            found = item_file.labelled_items_of_file(str(path), "line", "file", [b"a", known.encode()])
            assert list(found) == [f"{known}\tAda".encode()]
            path.unlink()


def test_a_label_that_is_not_there(home):
    assert "cv/lm_list_best.t7 has no label abb: did you mean ab?" in sentence(run(*SAMPLE, "-as", "abb", cwd=home))
    assert "has no label zz: its labels are ab, b, cc." in sentence(run(*SAMPLE, "-as", "zz", cwd=home))
    item_models.saved(home)
    for args in ((*SAMPLE, "-as", "ab"), ("which", CV, "data/list/input.txt")):
        error = sentence(run(*args, cwd=home))
        assert f"{CV} is a model without labels: train one by pycharrnn train lists/*.txt -items line -label" in error
    item_models.saved(home, "")
    for name in ("-as", "-label"):
        error = sentence(run(*SAMPLE, name, "ab", cwd=home))
        assert error.startswith(f"pycharrnn: {CV} is a model without labels: train one by pycharrnn train lists/*.txt")
    with pytest.raises(pycharrnn.UserError, match="is a model without labels"):
        pycharrnn.load(home / CV).which("a")
    assert pycharrnn.load(home / CV).labels == {}


def test_the_library_takes_one_item(home):
    model = pycharrnn.load(home / CV)
    assert model.which("b\n") == model.which("b")
    with pytest.raises(pycharrnn.UserError, match="^item has 2 items: call which for each of them"):
        model.which("b\nab")


@pytest.mark.parametrize("kernel", ["on", "off"])
@pytest.mark.parametrize("prior", ["equal", "counts"])
def test_which_is_bayes_rule(home, monkeypatch, kernel, prior):
    if kernel == "off":
        monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    elif kernel_library.library() is None:
        pytest.skip("no kernel was compiled here")
    items = [b"a", b"abcabcab", b"cc", b"a", b"c\ta"] + [b"abc"[k % 3 :] for k in range(40 if kernel == "on" else 3)]
    (home / "a.txt").write_bytes(b"\n".join(items))
    done = run("which", CV, "a.txt", "-top", "0", "-prior", prior, cwd=home)
    assert done.returncode == 0, done.stderr.decode()
    rows = [line.split(b"\t") for line in done.stdout.split(b"\n")[:-1]]
    assert [row[0] for row in rows] == [item.replace(b"\t", b"\\t") for item in items]
    for item, row in zip(items, rows, strict=True):
        nats = {label: log_likelihood(label, item) for label in COUNTS}
        if prior == "counts":
            nats = {label: value + math.log(COUNTS[label]) for label, value in nats.items()}
        total = sum(map(math.exp, nats.values()))
        expected = {label: math.exp(value) / total for label, value in nats.items()}
        assert row[1::2] == sorted(expected, key=expected.get, reverse=True)
        assert [float(p) for p in row[2::2]] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-5)
    model = pycharrnn.load(home / CV)
    found = model.which("abcabcab", prior=prior)
    assert model.which("ab\tabcabcab", prior=prior) == found
    assert [label.encode() for label, _ in found] == rows[1][1::2]
    assert [p for _, p in found] == pytest.approx([float(p) for p in rows[1][2::2]], abs=1e-5)
    assert model.labels == {"ab": 30, "b": 10, "cc": 1}
    with pytest.raises(pycharrnn.UserError, match="prior must be equal or counts, not even"):
        model.which("a", prior="even")


def test_which_for_programs_and_pipes(home):
    text = b"ab\nacXa\n"
    rows = run("which", CV, "-", "-top", "1", cwd=home, input=text)
    assert [line.count(b"\t") for line in rows.stdout.splitlines()] == [2, 2]
    assert b"1 line has characters that the model has never seen, which were left out: 'X'" in rows.stderr
    found = [json.loads(line) for line in run("which", CV, "-", "-json", "1", cwd=home, input=text).stdout.splitlines()]
    assert [one["item"] for one in found] == ["ab", "acXa"]
    assert sum(found[0]["labels"].values()) == pytest.approx(1)
    assert found[0]["labels"].keys() == {"ab", "b", "cc"}
    said = sentence(run("which", CV, "-", cwd=home, input=b"\n\n"))
    assert "standard input: empty, so there is nothing to classify" in said


def test_a_row_of_which_has_as_many_cells_as_its_labels():
    found = classify.Classified(b"a\tb\\", [(b"one\\", 0.75), (b"two", 0.12345678), (b"three", 0.1)], Counter())
    assert classify.as_row(found, 2) == b"a\\tb\\\\\tone\\\\\t0.750000\ttwo\t0.123457\n"


def test_which_leaves_out_and_counts_what_the_model_has_never_seen():
    loaded = item_models.made("line", **OPT)
    which = classify.Classifier("x", loaded, lambda streams, steps: NumpyPredictor(loaded.network, streams, steps))
    known, other = which.classify([b"ab", "a~\u00e9b~".encode()])
    assert other.labels == known.labels
    assert (known.unknown, other.unknown) == ({}, {b"~": 2, "\u00e9".encode(): 1})


def test_which_of_weights_without_numbers_is_valid_json():
    row = classify.as_json(classify.Classified(b"ab", [(b"x", math.nan)], Counter()), 1)
    assert json.loads(row, parse_constant=pytest.fail) == {"item": "ab", "labels": {"x": None}}


def test_which_keeps_labels_apart_that_are_not_utf8():
    found = [(b"\xe9a", 0.5), (b"\xe8a", 0.375), (b"b", 0.125)]
    row = json.loads(classify.as_json(classify.Classified(b"ab", found, Counter()), 3))
    assert row["labels"] == {r"\xe9a": 0.5, r"\xe8a": 0.375, "b": 0.125}


def test_which_leaves_out_the_labels_that_sample_prints(home):
    labelled = run("which", CV, "-", cwd=home, input=b"ab\tbab\ncc\tca\nca\tb\n")
    plain = run("which", CV, "-", cwd=home, input=b"bab\nca\nca\tb\n")
    assert labelled.stdout == plain.stdout != b""
    assert labelled.stderr == b"pycharrnn: 2 items begin with a label of the model and a tab, which were left out.\n"
    assert plain.stderr == b""


def test_a_label_does_not_stand_in_the_primetext(home):
    want = "-primetext begins with the label cc and a tab: leave them out, and use -as instead."
    assert want in sentence(run(*SAMPLE, "-primetext", r"cc\tab", cwd=home))
    assert lines(home, "-as", "b", "-items", "2", "-primetext", r"a\tb") != []
    with pytest.raises(pycharrnn.UserError, match=r"^primetext begins .* use label instead\.$"):
        pycharrnn.load(home / CV).items(1, primetext="cc\tab")


def test_with_sample_0_each_label_has_an_item(home):
    done = run(*SAMPLE, "-sample", "0", "-unique", "1", "-items", "4", "-length", "50", cwd=home)
    assert "found 3 of 4 items: with -sample 0 those of a label are equal." in sentence(done)
    found = done.stdout.split(b"\n")[:-1]
    assert sorted(item.partition(b"\t")[0] for item in found) == sorted(COUNTS)
    done = run(*SAMPLE, "-sample", "0", "-unique", "1", "-items", "4", "-length", "50", "-as", "cc", cwd=home)
    assert "found 1 of 4 items: with -sample 0 all are equal." in sentence(done)


def test_a_label_alone_is_no_item_as_in_training(home):
    """The text of a training with -label column: an item without characters is dropped, and so is its label."""
    item_models.saved(home / "column", "line", TEXT, **{**OPT, "label": "column"})
    text = b"ab\t\nab\ta\nac\t\nb\tb\n"
    for command in (("score", CV, "-", "-lines", "1"), ("which", CV, "-", "-top", "1")):
        done = run(*command, cwd=home / "column", input=text.replace(b"ac\t\n", b"") if "which" in command else text)
        assert done.returncode == 0, done.stderr.decode()
        assert len(done.stdout.splitlines()) == 2
    error = sentence(run("score", CV, "-", "-lines", "1", cwd=home / "column", input=b"ac\ta\n"))
    assert "model's labels are ab, b, cc" in error


def test_scores_are_those_of_items_after_their_labels(home):
    (home / "cc.txt").write_bytes(b"ab\nb\tb\nca\n")  # the second has a label of its own
    done = run("score", CV, "cc.txt", "-lines", "1", cwd=home)
    rows = [line.split(b"\t") for line in done.stdout.splitlines()]
    assert [row[2:] for row in rows] == [[b"cc", b"ab"], [b"b", b"b"], [b"cc", b"ca"]]
    for bits, per_character, label, item in rows:
        expected = -log_likelihood(label, item) / math.log(2)
        assert float(bits) == pytest.approx(expected, abs=1e-5)
        assert float(per_character) == pytest.approx(expected / (len(item) + 1), abs=1e-5)
    (home / "d.txt").write_bytes(b"ab\n")
    error = sentence(run("score", CV, "d.txt", "-lines", "1", cwd=home))
    assert "an item of d.txt has no label, and the model has no label named after its file or folder, d; its " in error
    error = sentence(run("score", CV, "-", "-lines", "1", cwd=home, input=b"ab\n"))
    assert "an item of standard input has no label of the model, and the model's labels are ab, b, cc: " in error
    assert "is a model with labels, whose items are scored one by one: add -lines 1" in sentence(
        run("score", CV, "cc.txt", cwd=home)
    )


def test_the_text_of_short_items_is_read_again(tmp_path):
    """Each ends with U+001E, a control character, of which binary data has many."""
    text = b"ab\ta\x1eb\tb\x1ecc\tab\x1e" * 9
    item_models.saved(tmp_path, "blank", text, **OPT)
    done = run("score", CV, "data/list/input.txt", "-lines", "1", cwd=tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 27), done.stderr.decode()
    error = sentence(run("train", "data/list/input.txt", "-items", "blank", cwd=tmp_path))
    assert "contains U+001E, the record separator, which ends the items of -items blank: remove it" in error


REFUSED = r"is a model with labels \(ab, b, cc\) and has read no item without one: "


@pytest.mark.parametrize("text", ["", "c", "ab", "a\tc", "ab\ta\n", "ab\ta\nc", ["ab\ta", "c"]])
def test_no_text_is_generated_from_an_item_without_a_label(home, text):
    model = pycharrnn.load(home / CV)
    advice = r"draw items by items\(label='ab'\), or begin primetext with a label and a tab, 'ab\\t'\.$"
    for generate in (model.generate, *([model.stream] if isinstance(text, str) else [])):
        with pytest.raises(pycharrnn.UserError, match=CV + " " + REFUSED + advice):
            generate(text, length=60, seed=1, temperature=0.7)


@pytest.mark.parametrize("kind", ["line", "blank"])
def test_a_text_with_a_label_is_one_item(home, kind):
    model = pycharrnn.load(item_models.saved(home, kind, **{**OPT, "letters": "abc\t\n"}))
    end = item_models.ENDS[kind].decode()
    (item,) = model.items(1, label="ab", primetext="c", seed=3)
    assert not item.cut
    expected = f"ab\tc{item[1:]}{end}"
    for more in ({}, {"stop": end}, {"length": None}):
        assert model.generate("ab\tc", seed=3, **more) == expected
        assert "".join(model.stream("ab\tc", seed=3, **more)) == expected
    assert model.generate(["ab\tc", f"b\ta{end}ab\tc"], seed=3)[0] == expected
    assert model.generate(f"b\ta{end}ab\tc", seed=3) == f"b\ta{end}{expected}"
    assert model.generate("ab\tc", seed=3, length=1) == expected[:5]
    piece = list(model.stream("ab\tc", seed=3))[4]
    assert piece.probability == item.probabilities[1] and len(piece.candidates(2)) == 2
    with pytest.raises(pycharrnn.UserError, match="ends with its item, not at 'a': leave stop out"):
        model.generate("ab\tc", stop="a")


@pytest.mark.parametrize("learn", ["0", "1"])
def test_a_chat_needs_a_model_without_labels(home, learn):
    error = sentence(run("chat", CV, "-gpuid", "-1", "-learn", learn, cwd=home, input=b"ab\tc\n"))
    assert re.search(f"{CV} {REFUSED}draw items with pycharrnn sample -as LABEL, or find the label of", error)


@pytest.mark.parametrize("adapt", [False, True])
def test_a_score_in_a_program_needs_labels(home, adapt):
    model = pycharrnn.load(home / CV)
    assert model.score("ab\tc\n\nb\ta", adapt=adapt).counted.sum() == 4
    for text in ("c", "ab\tc\na\n"):
        with pytest.raises(pycharrnn.UserError, match=f"this {REFUSED}give each item after a label and a tab"):
            model.score(text, adapt=adapt)
        with pytest.raises(pycharrnn.UserError, match=f"this {REFUSED}give each item after a label and a tab"):
            model.learn(text)


def test_a_list_in_the_place_of_the_model(home):
    (home / "names.txt").write_text("ab\nc\n")
    error = sentence(run("which", "names.txt", CV, cwd=home), 2)
    assert f"names.txt is a text: use pycharrnn which {CV} names.txt." in error


def test_inspect_lists_labels(home):
    table = run("inspect", CV, cwd=home).stdout.decode()
    assert [line.split(None, 1)[1] for line in table.splitlines() if line.startswith("label ")] == [
        "ab: 30 items",
        "b: 10 items",
        "cc: 1 items",
    ]
    assert "opt.label " in table and "opt.labels" not in table
    assert json.loads(run("inspect", CV, "-json", "1", cwd=home).stdout)["labels"] == {"ab": 30, "b": 10, "cc": 1}


def test_a_trained_model_tells_its_labels_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    random = np.random.default_rng(3)
    held_out = []
    for label, letters in (("low", b"abc"), ("middle", b"cde"), ("high", b"efg")):
        words = [bytes(random.choice(list(letters), random.integers(3, 8)).tolist()) for _ in range(220)]
        (tmp_path / "lists" / f"{label}.txt").write_bytes(b"\n".join(words[:200]))
        held_out += [(label, word) for word in words[200:]]
    args = ["-items", "line", "-label", "file", "-rnn_size", "16", "-max_epochs", "8", "-gpuid", "-1", "-show", "60"]
    done = run("train", "lists", *args, "-batch_size", "8", "-seq_length", "16", "-eval_val_every", "200", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert re.search(r"\| (low|middle|high) ", done.stderr.decode())  # of -show
    text = b"".join(word + b"\n" for _, word in held_out)
    rows = run("which", "cv", "-", cwd=tmp_path, input=text).stdout.decode().splitlines()
    right = sum(row.split("\t")[1] == label for row, (label, _) in zip(rows, held_out, strict=True))
    assert right >= 55  # of 60; a few words have letters of two labels alone
    drawn = run("sample", "cv", "-as", "high", "-gpuid", "-1", "-verbose", "0", cwd=tmp_path).stdout
    assert sum(byte in b"efg" for byte in drawn) > 0.9 * (len(drawn) - drawn.count(b"\n"))


def test_which_reads_items_as_the_training_read_them(tmp_path):
    """A model of the command line reads text, one of -data_dir bytes."""
    item = "bé"
    (tmp_path / "list.txt").write_bytes(f"{item}\n".encode("latin-1"))
    of_text = {**OPT, "letters": "abcé\t"}
    item_models.saved(tmp_path, "line", TEXT, **of_text)
    done = run("which", CV, "list.txt", "-text_encoding", "latin-1", cwd=tmp_path)
    assert done.stdout.startswith(f"{item}\t".encode()) and done.stderr == b"pycharrnn: list.txt: read as latin-1.\n"
    assert done.stdout == run("which", CV, "-", input=f"{item}\n".encode(), cwd=tmp_path).stdout
    assert b"; -text_encoding overrules this.\n" in run("which", CV, "list.txt", cwd=tmp_path).stderr

    loaded = item_models.made("line", from_texts=0, **of_text)
    vocab = {b"\xe9" if character == b"\xc3" else character: k for character, k in loaded.vocab.items()}
    checkpoint.convert(dataclasses.replace(loaded, vocab=vocab), tmp_path / "of_bytes.t7")
    done = run("which", "of_bytes.t7", "list.txt", cwd=tmp_path)
    assert (done.stdout.partition(b"\t")[0], done.stderr) == (item.encode("latin-1"), b"")
    assert done.stdout == run("which", "of_bytes.t7", "-", input=f"{item}\n".encode("latin-1"), cwd=tmp_path).stdout
    done = run("which", "of_bytes.t7", "list.txt", "-text_encoding", "latin-1", cwd=tmp_path)
    assert "is for models of pycharrnn train FILE" in sentence(done)


def test_line_breaks_around_an_item_are_not_of_it(tmp_path):
    path = item_models.saved(tmp_path, "blank", letters="abc\t\n", label="file", **record_labels(COUNTS))
    model = pycharrnn.load(path)
    assert model.which("\nab\nc\n\n") == model.which("ab\nc")
    with pytest.raises(pycharrnn.UserError, match="item has 2 items"):
        model.which("ab\n\nc")
