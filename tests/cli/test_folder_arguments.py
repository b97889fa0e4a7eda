"""A folder in the place of a checkpoint, for every command that takes one."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import GOLDEN, run, with_slashes

from pycharrnn.checkpoints import checkpoint

BEST = "lm_x_epoch2.00_2.8734.t7"
SAID = f"pycharrnn: cv: {BEST}, the lowest validation loss of 3 checkpoints\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """cv/ with a run of three checkpoints, the second of them the best, the third the newest, and the second names."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "cv").mkdir()
    (folder / "text").write_bytes(b"The night")
    (folder / "corpus").mkdir()
    shutil.copy(GOLDEN / "corpus" / "input.txt", folder / "corpus")
    recorded = checkpoint.load(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
    for epoch, (scale, loss) in enumerate([(0.5, 3.5), (1, 2.8734), (0.75, 3.25)], 1):
        path = folder / "cv" / f"lm_x_epoch{epoch}.00_{loss:.4f}.t7"
        weights = {name: weight * scale for name, weight in recorded.network.weights.items()}
        network = dataclasses.replace(recorded.network, weights=weights)
        checkpoint.convert(dataclasses.replace(recorded, network=network), path)
        os.utime(path, (1000 + epoch, 1000 + epoch))
    os.link(folder / "cv" / BEST, folder / "cv" / "lm_x_best.t7")
    os.link(path, folder / "cv" / "lm_x_latest.t7")
    return folder


def said(folder: Path, *args: str, **keywords) -> tuple[str, str]:
    """What a command prints on stdout and stderr, paths with slashes."""
    result = run(*args, cwd=folder, **keywords)
    assert result.returncode == 0, result.stderr.decode()
    return with_slashes(result.stdout.decode()), with_slashes(result.stderr.decode())


@pytest.mark.parametrize(
    "before, after",
    [
        (["sample"], ["-gpuid", "-1", "-length", "20", "-primetext", "The"]),
        (["chat"], ["-gpuid", "-1", "-length", "20"]),
        (["score"], ["text"]),
        (["eval"], ["-data_dir", "corpus"]),
        (["inspect"], []),
    ],
    ids=lambda words: "".join(words[:1]),
)
def test_one_model_is_the_best(folder, before, after):
    """The same as with the best checkpoint's own name, and a line that says which it is and why."""
    keywords = {"input": b"The night\n"}
    of_the_folder, note = said(folder, *before, "cv", *after, **keywords)
    of_the_file, silence = said(folder, *before, f"cv/{BEST}", *after, **keywords)
    assert of_the_folder == of_the_file != ""
    assert (note.replace(silence, ""), silence.count("cv:")) == (SAID, 0)


def test_what_is_written_of_the_best(folder):
    assert said(folder, "convert", "cv", "best.json") == ("saved best.json\n", SAID)
    assert json.loads((folder / "best.json").read_text(encoding="utf-8"))["rnn_size"] == 16
    _, note = said(folder, "activations", "cv", "-primetext", "The night")
    assert note == SAID
    assert BEST.removesuffix(".t7") in (folder / "activations.html").read_text(encoding="utf-8")


def test_a_table_is_of_all(folder, corpus):
    table, note = said(folder, "eval", "-compare", "1", "cv", "-data_dir", str(corpus))
    assert note == "pycharrnn: cv: 3 checkpoints\n"
    rows = [row.split() for row in table.splitlines()[1:]]
    assert {row[0] for row in rows} == {f"cv/lm_x_epoch{k}.t7" for k in ("2.00_2.8734", "3.00_3.2500", "1.00_3.5000")}
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)  # by the losses of this text


def test_a_table_is_of_those_that_can_be_evaluated(folder, corpus):
    """A checkpoint whose training text is missing is passed over; without another one it is an error."""
    found = checkpoint.load(folder / "cv" / BEST)
    checkpoint.convert(dataclasses.replace(found, opt={**found.opt, "data_dir": "gone"}), folder / "gone.t7")
    checkpoint.convert(dataclasses.replace(found, opt={**found.opt, "data_dir": str(corpus)}), folder / "here.t7")
    table, note = said(folder, "eval", "-compare", "1", "gone.t7", "here.t7")
    assert [row.split()[0] for row in table.splitlines()[1:]] == ["here.t7"]
    assert note.startswith("pycharrnn: passed over: gone/input.txt, on which gone.t7 was trained, is not here: ")
    result = run("eval", "-compare", "1", "gone.t7", cwd=folder)
    assert (result.returncode, result.stdout) == (1, b"") and b"passed over" not in result.stderr


def test_training_begins_with_the_best(folder, corpus):
    args = ["-data_dir", str(corpus), "-gpuid", "-1", "-max_epochs", "0.1", "-checkpoint_dir", "new", "-savefile", "y"]
    log, note = said(folder, "train", "-init_from", "cv", *args)
    assert f"loading a model from checkpoint cv/{BEST}\n" in log
    assert note.startswith(SAID)
    (written,) = (folder / "new").glob("*_epoch*.t7")
    assert f"opt.init_from                  cv/{BEST}" in said(folder, "inspect", str(written))[0]


@pytest.fixture(scope="module")
def two_texts(tmp_path_factory) -> Path:
    """cv/ after a training on an easy text, and then one on a text that is harder to predict."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "easy.txt").write_bytes(b"the same line again and again\n" * 100)
    words = (GOLDEN / "corpus" / "input.txt").read_bytes().split()
    (folder / "prose.txt").write_bytes(b" ".join(words)[:4000])
    for text, epochs in (("easy.txt", "6"), ("prose.txt", "2")):
        small = ["-rnn_size", "16", "-batch_size", "5", "-seq_length", "10", "-eval_val_every", "20"]
        done = run("train", text, *small, "-learning_rate", "0.02", "-max_epochs", epochs, cwd=folder)
        assert done.returncode == 0, done.stderr.decode()
    return folder


def loss_of(path: Path) -> float:
    return float(path.stem.rpartition("_")[2])


def test_a_folder_means_the_text_that_was_trained_on_last(two_texts):
    """Although the other model has a lower loss, of an easier text."""
    easy, prose = (sorted((two_texts / "cv").glob(f"lm_{name}_epoch*.t7"), key=loss_of) for name in ("easy", "prose"))
    assert loss_of(easy[0]) < loss_of(prose[0])
    for before, after in (
        (["sample"], ["-gpuid", "-1", "-length", "50"]),
        (["score"], ["prose.txt"]),
        (["inspect"], []),
        (["chat"], ["-gpuid", "-1", "-length", "20"]),
        (["eval"], []),
    ):
        of_the_folder, note = said(two_texts, *before, "cv", *after, input=b"The night\n")
        assert of_the_folder == said(two_texts, *before, f"cv/{prose[0].name}", *after, input=b"The night\n")[0] != ""
        assert f"pycharrnn: cv holds several runs: taking {prose[0].name}, the lowest validation loss of " in note
        assert f"; others: cv/{easy[0].name} (the best of {len(easy)} lm_easy files)\n" in note
    said(two_texts, "convert", "cv", "model.json")
    assert json.loads((two_texts / "model.json").read_bytes())["opt"]["savefile"] == "prose"
    log, _ = said(two_texts, "train", "-init_from", "cv", "prose.txt", "-max_epochs", "0.1", "-savefile", "y")
    assert f"loading a model from checkpoint cv/{prose[0].name}\n" in log


def test_a_page_of_a_folder_has_the_best_of_each_run(two_texts):
    shutil.copytree(two_texts / "cv", two_texts / "of_one", ignore=shutil.ignore_patterns("lm_easy*", "lm_y*"))
    _, note = said(two_texts, "convert", "of_one", "one.html")
    assert "\npycharrnn: 1 model in " in note
    shutil.copytree(two_texts / "cv", two_texts / "of_two", ignore=shutil.ignore_patterns("lm_y*"))
    for path in (two_texts / "of_two").glob("lm_easy*"):
        os.utime(path, (1000, 1000))
    _, note = said(two_texts, "convert", "of_two", "two.html")
    assert "\npycharrnn: 2 models in " in note
    page = (two_texts / "two.html").read_text(encoding="utf-8")
    assert 0 < page.find('"name":"lm_prose_epoch') < page.find('"name":"lm_easy_epoch')


def test_a_run_goes_on_from_the_newest(folder, corpus):
    args = ["-data_dir", str(corpus), "-gpuid", "-1", "-checkpoint_dir", "new"]
    log, note = said(folder, "train", "-resume", "cv", *args, "-max_epochs", "3.01")
    assert log.startswith("resuming from cv/lm_x_epoch3.00_3.2500.t7, ")
    assert note.startswith("pycharrnn: cv: lm_x_epoch3.00_3.2500.t7, the newest of 3 checkpoints\n")
