"""Training on the items of a list: -items."""

from __future__ import annotations

import math
import re
from array import array
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run, sentence
from list_loader import list_loader
from runs import assert_close_digits, copied, in_two_processes, log_lines, named, result_of, steps, train

import pycharrnn
from compat.item_options import ITEM_KINDS
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine.model import CharRNN
from pycharrnn.text.batches import VAL
from pycharrnn.training.history import History

LIST = ["-gpuid", "-1", "-data_dir", "data", "-items", "line", "-rnn_size", "6", "-batch_size", "5", "-seq_length", "8"]
SPLIT = ["-train_frac", "0.8", "-val_frac", "0.2"]


def names(count: int = 150) -> list[bytes]:
    letters, random = np.frombuffer(b"abcdefgh", np.uint8), np.random.default_rng(1)
    return [letters[random.integers(0, 8, random.integers(1, 12))].tobytes() for _ in range(count)]


def with_list(folder: Path, items: list[bytes] | None = None, kind: str = "line") -> Path:
    (folder / "data").mkdir(parents=True)
    text = b"".join(item + ITEM_KINDS[kind].end for item in items or names())
    (folder / "data" / "input.txt").write_bytes(text)
    return folder


def loss_of_items(path: Path, items: list[bytes]) -> float:
    """The loss of items that are read one by one, each from its end character, in nats per character."""
    loaded = checkpoint.load(path)
    end = ITEM_KINDS[loaded.opt["items"]].end
    model = CharRNN.from_checkpoint(loaded, dtype=torch.float64)
    nats = 0.0
    for item in items:
        ids = torch.tensor([[loaded.vocab[bytes([byte])] - 1] for byte in end + item + end])
        bptt = model.bptt(len(ids) - 1, 1)
        bptt.forward(ids[:-1])
        nats += float(bptt.nll(ids[1:]))
    return nats / sum(len(item) + 1 for item in items)


def validated(folder: Path, seed: int = 123, kind: str = "line") -> list[bytes]:
    """The items of the validation."""
    loader = list_loader(folder / "data", 1, 8, (0.8, 0.2, 0.0), kind, seed, in_order=True)
    known = sorted(loader.vocab_mapping)
    row = b"".join(known[k] for _ in range(loader.nval) for k in loader.next_batch(VAL)[0][0])
    return list(filter(None, row.split(ITEM_KINDS[kind].end)))


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("line", []),
        ("blank", ["-model", "gru", "-batch_size", "3"]),
        ("file", ["-model", "rnn", "-batch_size", "7", "-exact", "0", "-dtype", "float64"]),
    ],
)
def test_the_loss_is_that_of_each_item_by_itself(tmp_path, kind, args):
    folder = with_list(tmp_path, kind=kind)
    train(folder, *LIST, *SPLIT, "-items", kind, "-max_epochs", "2", "-learning_rate", "0.02", *args, small=[])
    path = named(folder)[-1]
    loaded = checkpoint.load(path)
    assert loaded.opt["items"] == kind
    items = validated(folder, kind=kind)
    assert 20 < len(items) < 40
    assert loaded.val_loss == pytest.approx(loss_of_items(path, items), rel=1e-9)
    printed = run("eval", path, cwd=folder).stdout.decode()
    assert float(re.search(r"loss over val split +(\S+)", printed)[1]) == pytest.approx(loaded.val_loss, abs=1e-7)
    alone = run("eval", path, "-batch_size", "2", "-seq_length", "31", cwd=folder).stdout.decode()
    assert float(re.search(r"loss over val split +(\S+)", alone)[1]) == pytest.approx(loaded.val_loss, abs=1e-7)
    others = [item for item in names() if item not in items]
    printed = run("eval", path, "-split", "train", cwd=folder).stdout.decode()
    loss = float(re.search(r"loss over train split +(\S+)", printed)[1])
    assert loss == pytest.approx(loss_of_items(path, others), abs=1e-7)


def test_the_habits_of_the_state_are_left_out(tmp_path):
    """char-rnn's backward pass takes another first state, and its training goes on from that of the validation."""
    logs = []
    for number in (1, 0):
        folder = with_list(tmp_path / str(number))
        args = ["-exact", str(number), "-dtype", "float64", "-eval_val_every", "7", "-max_epochs", "2"]
        logs.append(steps(train(folder, *LIST, *SPLIT, *args, small=[])))
    assert len(logs[0]) > 40
    assert_close_digits(*logs)


@pytest.mark.parametrize(
    "args",
    [
        ["-dropout", "0.3"],
        ["-model", "gru", "-exact", "0", "-weight_drop", "0.2"],
        ["-checkpoint_format", "safetensors"],
    ],
    ids=" ".join,
)
def test_going_on_within_an_epoch(tmp_path, args):
    whole = with_list(tmp_path / "whole")
    evals = ["-eval_val_every", "13", "-max_epochs", "2.6", "-seed", "7"]
    lines = steps(train(whole, *LIST, *SPLIT, *evals, *args, small=[]))
    ending = "safetensors" if "safetensors" in args else "t7"
    checkpoints = sorted(whole.glob(f"cv/lm_*_epoch*.{ending}"), key=lambda p: checkpoint.load(p).i)
    assert len(checkpoints) >= 3
    for k, start in enumerate(checkpoints[:-1]):
        part = copied(whole, tmp_path / f"part{k}", start)
        resumed = steps(train(part, "-gpuid", "-1", "-resume", str(part / "cv" / start.name), small=[]))
        at = next(n for n, line in enumerate(lines) if line.endswith(start.name))
        assert resumed == lines[at + 2 :]
        for path in checkpoints[k + 1 :]:
            assert (part / "cv" / path.name).read_bytes() == path.read_bytes()


def test_what_can_not_change_during_a_run(tmp_path):
    folder = with_list(tmp_path)
    train(folder, *LIST, *SPLIT, "-max_epochs", "1", small=[])
    error, _, _ = result_of(folder, "-gpuid", "-1", "-resume", "cv", "-items", "file", small=[])
    assert str(error) == "-items file (was line) can't change during a run: leave it out, or start a new run."
    error, log, _ = result_of(folder, "-gpuid", "-1", "-resume", "cv", "-seed", "3", "-max_epochs", "1.5", small=[])
    assert error is None
    assert any(line.startswith("-seed changed: the run goes on at the start of the text, ") for line in log)
    loaded = checkpoint.load(named(folder)[-1])
    loaded.state.item_positions = loaded.state.item_positions[:-1]
    checkpoint.convert(loaded, folder / "damaged.t7")
    error, _, _ = result_of(folder, "-gpuid", "-1", "-resume", "damaged.t7", "-max_epochs", "2", small=[])
    assert str(error) == "the checkpoint records positions that do not fit this list: start a new run."


def test_without_its_state_a_run_goes_on_in_its_epoch(tmp_path):
    folder = with_list(tmp_path)
    train(folder, *LIST, *SPLIT, "-max_epochs", "1", "-save_state", "0", small=[])
    error, log, _ = result_of(folder, "-gpuid", "-1", "-resume", "cv", "-max_epochs", "1.5", small=[])
    assert error is None
    assert any("no run state" in line for line in log)


def test_one_line_with_texts(tmp_path):
    (tmp_path / "names.txt").write_bytes(b"\n".join(names(400)))
    quick = ["-gpuid", "-1", "-rnn_size", "8", "-max_epochs", "1", "-show", "20"]
    error, log, said = result_of(tmp_path, "names.txt", "-items", "line", *quick, small=[])
    assert error is None
    assert "-items line" in log[0]
    assert "looks like" not in said
    assert "items: 400, " in "\n".join(log)
    loaded = checkpoint.load(tmp_path / "cv" / "lm_names_best.t7")
    assert loaded.opt["items"] == "line"
    drawn = run("sample", "cv/lm_names_best.t7", "-gpuid", "-1", "-items", "3", cwd=tmp_path)
    assert drawn.stdout.count(b"\n") == 3
    # A model of items goes on with other items, and learns an end that it lacks.
    (tmp_path / "poems.txt").write_bytes(
        b"\n\n".join(b"%s\n%s" % pair for pair in zip(names(99), names(99)[::-1], strict=True))
    )
    more = ["poems.txt", "-items", "blank", "-init_from", "cv/lm_names_best.t7", "-max_epochs", "1", *quick[:2]]
    error, _, _ = result_of(tmp_path, *more, "-vocab", "strict", small=[])
    assert r"only the text has '\x1e'" in str(error)
    error, _, _ = result_of(tmp_path, *more, "-vocab", "keep", small=[])
    assert r"lacks '\x1e', which ends the items of -items blank: use -vocab extend." in str(error)
    error, log, _ = result_of(tmp_path, *more, small=[])
    assert error is None
    assert checkpoint.load(tmp_path / "cv" / "lm_poems_best.t7").network.end_id is not None


@pytest.mark.parametrize(
    "items, left",
    [
        (["éç", "ñ", "öä"] * 50, "no item of data/new/input.txt, since the model knows none"),
        (["éç", "ñ"] * 50 + ["abc"], "only one item of data/new/input.txt, since the model knows few"),
        (["éa", "ñ", "aä"] * 50, "only equal items of data/new/input.txt, since the model knows few"),
    ],
)
def test_a_list_whose_characters_the_model_lacks(tmp_path, items, left):
    train(with_list(tmp_path), "-items", "line", "-max_epochs", "1", "-savefile", "names", small=LIST)
    (tmp_path / "new.txt").write_text("\n".join(items), encoding="utf-8")
    more = ["new.txt", "-items", "line", "-init_from", "cv/lm_names_best.t7", "-max_epochs", "1", "-gpuid", "-1"]
    error, _, _ = result_of(tmp_path, *more, "-vocab", "keep", small=[])
    assert str(error) == f"-vocab keep leaves {left} of the characters: -vocab extend adds them to the model."
    error, _, _ = result_of(tmp_path, *more, "-vocab", "extend", small=[])
    assert error is None


def test_a_model_of_items_goes_on_with_a_text(tmp_path):
    folder = with_list(tmp_path)
    train(folder, *LIST, *SPLIT, "-max_epochs", "1", small=[])
    start = named(folder)[-1]
    args = ["-gpuid", "-1", "-data_dir", "data", "-batch_size", "5", "-seq_length", "8", "-max_epochs", "1"]
    error, _, said = result_of(folder, *args, "-init_from", f"cv/{start.name}", "-savefile", "text", small=[])
    assert error is None
    assert f"cv/{start.name} is a model of items, but this run trains it on one text: add -items line to train" in said
    loaded = checkpoint.load(next(folder.glob("cv/lm_text_epoch*.t7")))
    assert "items" not in loaded.opt
    assert loaded.network.end_id is None


def test_code_points(tmp_path):
    items = [name.decode().translate({97: "\u00e4", 98: "\u4e2d"}).encode() for name in names()]
    folder = with_list(tmp_path, items)
    lines = train(folder, *LIST, *SPLIT, "-encoding", "utf8", "-max_epochs", "1", small=[])
    assert "vocab size: 9" in lines
    assert run("eval", named(folder)[-1], cwd=folder).returncode == 0


def test_a_folder_without_ends(tmp_path):
    folder = with_list(tmp_path)
    error, _, _ = result_of(folder, *LIST, "-items", "file", small=[])
    assert str(error).startswith("data/input.txt has no U+001E, which ends the items of -items file: name the texts")
    assert "-items must be line, blank or file" in sentence(run("train", "-items", "word", cwd=tmp_path))


def test_in_a_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_bytes(b"\n".join(names(300)))
    trained = pycharrnn.train("names.txt", items="line", rnn_size=6, max_epochs=1, gpuid=-1, quiet=True)
    assert trained.best.opt["items"] == "line"
    with pytest.raises(pycharrnn.UserError, match="there is only one item of items='blank', for which"):
        pycharrnn.train("names.txt", items="blank", quiet=True)


def labelled_files(folder: Path) -> None:
    """Three files whose names are their labels, with words of other letters."""
    (folder / "lists").mkdir(parents=True)
    for label, letters in (("low", b"abc"), ("middle", b"cde"), ("high", b"efg")):
        random = np.random.default_rng(len(label))
        words = [bytes(random.choice(list(letters), random.integers(2, 7)).tolist()) for _ in range(60)]
        (folder / "lists" / f"{label}.txt").write_bytes(b"\n".join(words))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_the_loss_of_labelled_items_is_that_of_their_characters(tmp_path, model):
    """Each item read alone after its label, whose characters have no loss; and a run goes on to the same bits."""
    labelled_files(tmp_path)
    small = ["-gpuid", "-1", "-recipe", "char-rnn", "-rnn_size", "6", "-batch_size", "4", "-seq_length", "9"]
    args = [*small, "-items", "line", "-model", model, "-eval_val_every", "11", "-max_epochs", "2", *SPLIT]
    error, log, _ = result_of(tmp_path, "lists", *args, "-label", "file", small=[])
    assert error is None
    counts = next(line for line in log if line.startswith("labels in train: high "))
    path = sorted(tmp_path.glob("cv/lm_*_epoch*.t7"), key=lambda p: checkpoint.load(p).i)[-1]
    loaded = checkpoint.load(path)
    recorded = loaded.labels
    assert [*recorded] == [b"high", b"low", b"middle"]
    assert all(f"{label.decode()} {count}" in counts for label, count in recorded.items())
    given = {line for line in (tmp_path / "data" / "lists" / "input.txt").read_bytes().split(b"\n") if line}
    loader = list_loader(tmp_path / "data" / "lists", 1, 9, (0.8, 0.2, 0.0), seed=123, label="file")
    known = sorted(loader.vocab_mapping)
    row = b"".join(known[k] for _ in range(loader.nval) for k in loader.next_batch(VAL)[0][0])
    items = list(filter(None, row.split(b"\n")))
    assert given > set(items) and 20 < len(items) < 60
    network, nats = CharRNN.from_checkpoint(loaded, dtype=torch.float64), 0.0
    for item in items:
        ids = torch.tensor([[loaded.vocab[bytes([byte])] - 1] for byte in b"\n" + item + b"\n"])
        bptt = network.bptt(len(ids) - 1, 1)
        log_probs = bptt.forward(ids[:-1])
        first = item.index(b"\t") + 1  # the tab is read in this step, and predicts the item's first character
        nats -= float(log_probs.gather(1, ids[1:])[first:].sum())
    loss = nats / sum(len(item.partition(b"\t")[2]) + 1 for item in items)
    assert loaded.val_loss == pytest.approx(loss, rel=1e-9)
    printed = run("eval", path, cwd=tmp_path).stdout.decode()
    assert float(re.search(r"loss over val split +(\S+)", printed)[1]) == pytest.approx(loaded.val_loss, abs=1e-7)

    first, *_, last = sorted(tmp_path.glob("cv/lm_*_epoch*.t7"), key=lambda p: checkpoint.load(p).i)
    content = last.read_bytes()
    last.unlink()
    error, _, _ = result_of(tmp_path, "-gpuid", "-1", "-resume", f"cv/{first.name}", "-overwrite", "1", small=[])
    assert error is None
    assert last.read_bytes() == content
    error, _, _ = result_of(tmp_path, "-gpuid", "-1", "-resume", "cv", "-label", "folder", small=[])
    assert str(error).startswith("-label folder (was file) can't change during a run")
    more = [*small, "-items", "line", "-init_from", f"cv/{first.name}", "-vocab", "extend", "-max_epochs", "1"]
    error, _, said = result_of(tmp_path, "lists/low.txt", *more, small=[])
    assert error is None
    assert "add -label file to keep them, if the items have two labels or more." in said
    assert "labels" not in checkpoint.load(tmp_path / "cv" / "lm_low_best.t7").opt


def test_labels_without_items(tmp_path):
    labelled_files(tmp_path)
    error, _, _ = result_of(tmp_path, "lists", "-label", "file", small=[])
    assert str(error) == "-label file is for the items of a list: add -items line."


def test_the_states_of_items_need_no_reset(tmp_path):
    error, _, _ = result_of(with_list(tmp_path), *LIST, "-state_reset", "0.1", small=[])
    assert str(error) == (
        "-state_reset 0.1 is for a text: each item of -items line starts from a state of zeros. Leave it out."
    )


@pytest.mark.slow
def test_two_processes_share_the_rows(tmp_path):
    args = [*LIST, *SPLIT, "-label", "column", "-eval_val_every", "20", "-max_epochs", "2"]
    items = [b"%d\t%s" % (len(name) % 2, name) for name in names()]
    alone, both = with_list(tmp_path / "alone", items), with_list(tmp_path / "both", items)
    done = run("train", *args, cwd=alone)
    assert done.returncode == 0, done.stderr
    out, _ = in_two_processes(both, "train", *args)
    assert_close_digits(log_lines(out), log_lines(done.stdout.decode()))
    assert [p.name for p in named(both)] == [p.name for p in named(alone)]


def test_labels_that_fill_the_first_batch(tmp_path):
    """It has no loss with which later ones could be compared."""
    for person in ("a French lady to her cousin in the country", "a Greek monk to his brother on the mountain"):
        (tmp_path / "letters").mkdir(exist_ok=True)
        (tmp_path / "letters" / f"The letters of {person}.txt").write_bytes(b"".join(n + b"\n" for n in names()))
    args = ["letters", "-items", "line", "-label", "file", "-gpuid", "-1", "-exact", "1", "-rnn_size", "6"]
    lines = train(tmp_path, *args, "-batch_size", "5", "-seq_length", "8", "-max_epochs", "1", small=[])
    assert not [line for line in lines if "exploding" in line]
    assert len(steps(lines)) > 20


def test_a_first_batch_of_what_all_items_have_in_common():
    """A model that knows it has a loss near 0 there; later ones are no explosion."""
    assert History(array("d", [1e-5, 3.7]), least_first=2.0).max_loss == 6.0
    assert History(array("d", [2.5, 3.7]), least_first=2.0).max_loss == 7.5
    assert not History(array("d", [math.nan]), least_first=2.0).is_exploding()
