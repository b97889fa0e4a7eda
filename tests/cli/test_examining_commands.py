"""What eval, score, inspect, convert, plot and activations print and hand on; what they find is tested elsewhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os

import item_models
import pytest
import torchrnn_tables
from click.testing import CliRunner
from conftest import GOLDEN

from compat import save_t7
from pycharrnn.analysis import activations, evaluation, scoring, split_options
from pycharrnn.checkpoints import checkpoint, checkpoint_facts, formats
from pycharrnn.cli import input_files
from pycharrnn.cli.commands import cli
from pycharrnn.common import shell_words
from pycharrnn.common.errors import UserError
from pycharrnn.engine import device

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
CORPUS = str(GOLDEN / "corpus")


def invoke(*args: str, **keywords):
    return CliRunner().invoke(cli, [*args], **keywords)


def printed(*args: str, **keywords) -> list[str]:
    """The lines on stdout; an error is raised."""
    return invoke(*args, catch_exceptions=False, **keywords).stdout.split("\n")


@pytest.fixture
def loss(monkeypatch):
    """A split's loss of 2.5 nats, without reading the text."""
    monkeypatch.setattr(evaluation, "split_loss", lambda path, loaded, opt, where: 2.5)
    monkeypatch.setattr(split_options, "other_texts", lambda texts, data_dir: [])


def test_eval_of_one_and_of_several(loss):
    one = printed("eval", CHECKPOINT)
    assert one[0] == "loss over val split  2.50000000 nats per character (val_loss in the checkpoint: 2.87341045)"
    assert invoke("eval", CHECKPOINT, "-split", "test").stdout.startswith("loss over test split")
    for count in (1, 2):
        lines = printed("eval", *[CHECKPOINT] * count, "-compare", "1")
        assert lines[0].split()[:2] == ["checkpoint", "nats/char"]
        assert len(lines) == 1 + 1 + 1  # the same file twice is one row
        assert " 2.500000 " in lines[1]
        assert " 2.873410 " in lines[1]
    result = invoke("eval", CHECKPOINT, CHECKPOINT)
    assert result.exit_code == 2
    assert "several checkpoints need -compare 1: add it, or name one checkpoint." in result.stderr


@pytest.mark.parametrize("args", ["-train_frac 0.5 -val_frac 0.6", "-val_frac 0.6", "-train_frac 0.99"])
def test_fractions_that_can_not_be(args):
    """The message does not blame the checkpoint for flags of the command line."""
    said = str(invoke("eval", CHECKPOINT, *args.split()).exception)
    assert "sum to more than 1" in said and "records" not in said


@pytest.mark.parametrize(
    "args, said",
    [
        (
            "-batch_size 7",
            "was trained with -batch_size 10: with -batch_size 7 the val split may have other",
        ),
        ("-train_frac 0.5", "was trained with -train_frac 0.95: with -train_frac 0.5 the val split may have other"),
        ("-val_frac 0.02", ""),  # the first part of the same split
        ("-val_frac 0.02 -split test", "the test split may have other characters"),
        ("-batch_size 7 -split train", ""),
        ("-batch_size 10", ""),
    ],
)
def test_eval_of_another_split_than_in_training(loss, args, said):
    """Which has characters that the model was trained on."""
    stderr = invoke("eval", CHECKPOINT, *args.split()).stderr
    assert said in stderr if said else "was trained with" not in stderr


ON_ANOTHER_TEXT = (
    " To compare the models, give pycharrnn score a text that none of them has read and whose characters all know.\n"
)


def compared(*args: str) -> str:
    """The messages of `eval -compare 1` on stderr."""
    return invoke("eval", *args, "-compare", "1", catch_exceptions=False).stderr


def test_eval_of_models_with_different_splits(tmp_path, loss):
    """The table would rank losses of different characters."""
    found = checkpoint.load(CHECKPOINT)
    other = str(tmp_path / "other.t7")
    checkpoint.convert(dataclasses.replace(found, opt={**found.opt, "train_frac": 0.8, "val_frac": 0.1}), other)
    said = (
        "these losses are of different characters, since the val splits differ:"
        f" {CHECKPOINT} by -train_frac 0.95 -val_frac 0.05; {other} by -train_frac 0.8 -val_frac 0.1.{ON_ANOTHER_TEXT}"
    )
    assert said in compared(CHECKPOINT, other)
    assert said in compared(CHECKPOINT, other, "-data_dir", CORPUS)
    assert compared(CHECKPOINT) == ""
    one_split = compared(CHECKPOINT, other, "-train_frac", "0.95", "-val_frac", "0.05")
    assert "splits differ" not in one_split and f"{other} was trained with -train_frac 0.8" in one_split


def test_eval_says_that_a_text_is_not_that_of_training(tmp_path, monkeypatch):
    """Of which a loss beside the checkpoint's val_loss would seem to be."""
    text, changed = b"cab abc cc\n" * 200, b"cab abc cc\n" * 150
    for name, model in (("one", "lstm"), ("two", "gru")):
        (tmp_path / name).mkdir()
        item_models.saved(tmp_path / name, "", text, model=model, letters="abc ", batch_size=5, seq_length=10)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/input.txt").write_bytes(changed)
    monkeypatch.chdir(tmp_path / "one")
    one, two = "cv/lm_list_best.t7", "../two/cv/lm_list_best.t7"
    checkpoint.convert(
        dataclasses.replace(checkpoint.load(one), text_fingerprint=""), "cv/without.t7"
    )  # as of char-rnn
    split = ["-train_frac", "0.8", "-val_frac", "0.2"]
    was, now = (f"{len(t)} bytes, SHA-256 {hashlib.sha256(t).hexdigest()[:8]}" for t in (text, changed))

    def said(*args: str) -> str:
        return invoke("eval", *args, *split, catch_exceptions=False).stderr

    def of(path: str, models: str, losses: str, owners: str) -> str:
        return (
            f"{path} is not the text that {models} trained on: that was {was}; this is {now}. So {losses} of the"
            f" training: the {owners} may have been trained on parts of this text.\n"
        )

    assert "is not the text" not in said(one) + said(one, two, "-compare", "1")
    single = "the loss can't be compared with that", "model"
    other = os.path.join("..", "other")
    assert of(os.path.join(other, "input.txt"), f"{one} was", *single) in said(one, "-data_dir", other)
    (tmp_path / "one/data/list/input.txt").write_bytes(changed)
    here = os.path.join("data/list", "input.txt")
    assert of(here, f"{one} was", *single) in said(one)
    several = "the losses can't be compared with those", "models"
    assert of(here, f"{one}, {two} were", *several) in said(one, two, "-compare", "1")
    assert "is not the text" not in said("cv/without.t7")


@pytest.mark.parametrize(
    "letters, text, differ",
    [
        ("abc\u00e9", None, True),
        ("abc\u00e9", "abc\u00e9", True),
        ("abc\u00e9", "abc", False),  # where code points are bytes
        ("abc", None, False),
    ],
)
def test_eval_of_models_of_bytes_and_of_code_points(tmp_path, loss, letters, text, differ):
    """Whose losses are per byte and per code point."""
    of_bytes, of_points = (str(tmp_path / name / "cv" / "lm_list_best.t7") for name in ("bytes", "points"))
    for name, utf8, encoding in (("bytes", False, "bytes"), ("points", True, "utf8")):
        (tmp_path / name).mkdir()
        item_models.saved(tmp_path / name, kind="", text=b"one", letters=letters, utf8=utf8, encoding=encoding)
    more: list[str] = []
    if text:
        tmp_path.joinpath("input.txt").write_text(text, encoding="utf-8")
        more = ["-data_dir", str(tmp_path)]
    said = compared(of_bytes, of_points, *more)
    why = f"a character is a byte for {of_bytes}, and a code point for {of_points}."
    assert said == (f"pycharrnn: these losses can't be compared, since {why}{ON_ANOTHER_TEXT}" if differ else "")


@pytest.mark.parametrize(
    "texts, are_different",
    [
        ((("data/a", b"one"), ("data/a", b"two")), True),
        ((("data/a", b"one"), ("data/b", b"one")), False),  # the same text in two folders
        ((("data/a", b"one"), ("data/b", None)), True),
        ((("data/a", None), ("data/b", None)), True),
        ((("data/a", b"one"), ("data/a/", None)), False),
        ((("data/a", b"one"), (None, None)), False),  # nothing is known of the other
    ],
)
def test_eval_of_models_of_different_texts(tmp_path, loss, texts, are_different):
    """Whose splits are of different characters, or, with -data_dir, may be in the text that one of them has read."""
    paths = []
    for name, (folder, text) in zip("ab", texts, strict=True):
        (tmp_path / name).mkdir()
        more = {"data_dir": folder, "batch_size": 10 if folder else 20}
        paths.append(str(item_models.saved(tmp_path / name, kind="", text=text, **more)))
    same_batches = ["-batch_size", "10"]
    said = compared(*paths, *same_batches)
    why = "these losses are of different characters, since the models were trained on different texts, see the last"
    assert (f"{why} column.{ON_ANOTHER_TEXT}" in said) == are_different
    said = compared(*paths, *same_batches, "-data_dir", CORPUS)
    assert ("on different texts, see the last column: their losses can be compared only if" in said) == are_different
    assert "none of them has read the text of -data_dir." in said or not are_different


def test_eval_of_models_of_items_with_different_splits(tmp_path, loss):
    """Which items are in a split is decided by the seed, which eval takes from the training."""
    text = str(item_models.saved(tmp_path, kind="", batch_size=10, seq_length=25))
    paths = []
    for seed in (1, 2):
        (tmp_path / f"{seed}").mkdir()
        paths.append(str(item_models.saved(tmp_path / f"{seed}", seed=seed, batch_size=seed)))
    assert compared(paths[0]) == ""
    assert f"the val splits differ: {paths[0]} by -seed 1; {paths[1]} by -seed 2." in compared(*paths)
    said = compared(text, paths[0])
    assert f"{text} by -batch_size 10 -seq_length 25; {paths[0]} by -items line -label '' -seed 1." in said


@pytest.mark.parametrize("compare", [[], ["-compare", "1"]])
def test_eval_of_a_folder_with_a_text(compare):
    result = invoke("eval", CHECKPOINT, CORPUS, *compare)
    assert result.exit_code == 2
    use = shell_words.joined(["pycharrnn", "eval", CHECKPOINT, "-data_dir", CORPUS, *compare])
    assert f"{CORPUS} has a text and no checkpoint: to evaluate on the text, use {use}." in result.stderr


def test_eval_of_other_rows_of_items(tmp_path, loss):
    """Whose splits are of whole items: rows and their length do not matter to them."""
    path = str(item_models.saved(tmp_path, batch_size=10, seq_length=25, train_frac=0.9))
    stderr = invoke("eval", path, "-batch_size", "7", "-seq_length", "9", "-train_frac", "0.5").stderr
    assert "was trained with -train_frac 0.9: with -train_frac 0.5 the val split may have other characters" in stderr


@pytest.fixture
def of_torch_rnn(tmp_path):
    table = torchrnn_tables.make("LSTM", None)
    table[b"opt"][b"input_h5"] = b"data/tiny-shakespeare.h5"
    path = str(tmp_path / "checkpoint.t7")
    save_t7(path, table)
    return path


def test_eval_names_the_text_of_torch_rnn(of_torch_rnn, loss, monkeypatch):
    said = invoke("eval", of_torch_rnn, "-data_dir", CORPUS).stderr
    assert f"trained on data/tiny-shakespeare.h5; this is the loss on {CORPUS}." in said
    monkeypatch.undo()
    error = invoke("eval", of_torch_rnn).exception
    assert isinstance(error, UserError) and "was trained on data/tiny-shakespeare.h5, which torch-rnn's" in str(error)


@pytest.mark.parametrize("fractions", ["", "-train_frac 0.8 -val_frac 0.1"])
def test_eval_says_that_a_model_of_torch_rnn_has_read_most_of_the_split(of_torch_rnn, loss, fractions):
    """Which has no options for fractions, and trains on the beginning of a text."""
    said = invoke("eval", of_torch_rnn, "-data_dir", CORPUS, *fractions.split()).stderr
    assert "if this is the text, the model was trained on most of these characters." in said
    assert "was trained with" not in said


def test_eval_of_models_of_char_rnn_and_of_torch_rnn(tmp_path, of_torch_rnn, loss):
    """Which were trained on different parts, also of one text."""
    tmp_path.joinpath("input.txt").write_text("abc", encoding="ascii")
    same = ["-data_dir", str(tmp_path), "-batch_size", "10", "-seq_length", "20"]
    assert (
        f"the models were trained on different parts of a text, {of_torch_rnn} on those of torch-rnn: their losses can"
        " be compared only if none of them has read the text of -data_dir.\n"
    ) in compared(CHECKPOINT, of_torch_rnn, *same)
    assert "different parts" not in compared(of_torch_rnn, *same)


def test_texts_are_scored_as_training_would_read_them(tmp_path):
    """In any encoding, for a model of `train FILE`."""
    loaded = checkpoint.load(CHECKPOINT)
    path, file = str(tmp_path / "text.t7"), tmp_path / "a.txt"
    checkpoint.convert(dataclasses.replace(loaded, opt={**loaded.opt, checkpoint_facts.FROM_TEXTS: 1}), path)
    file.write_bytes("The caf\u00e9 is\n".encode())
    for more in ((), ("-lines", "1")):
        want = printed("score", path, str(file), *more)
        other = tmp_path / "b.txt"
        other.write_bytes("The caf\u00e9 is\r\n".encode("cp1252"))
        found = invoke("score", path, str(other), *more, catch_exceptions=False)
        assert found.stdout.replace("b.txt", "a.txt").split("\n") == want
        assert found.stderr.endswith("b.txt: read as cp1252; -text_encoding overrules this.\n")
        assert printed("score", path, str(other), "-text_encoding", "bytes", *more) != want
    with_stdin = printed("score", path, "-", input="The caf\u00e9 is\r\n".encode("cp1252"))
    assert with_stdin[0].startswith("-: ") and "left out" not in with_stdin[0]
    assert "left out 2 bytes" in printed("score", CHECKPOINT, str(other))[0]


@pytest.mark.parametrize("args", [["eval", CHECKPOINT], ["score", CHECKPOINT, f"{CORPUS}/input.txt"]])
def test_the_device_is_the_one_asked_for(monkeypatch, loss, args):
    asked = []

    def choose(gpuid, opencl, say):
        asked.append((gpuid, opencl))
        say("no GPU")
        return "cpu", -1

    def score(loaded, text, where):
        raise UserError(f"{len(text)} bytes on {where}")

    monkeypatch.setattr(device, "choose", choose)
    monkeypatch.setattr(scoring, "score", score)
    result = invoke(*args, "-gpuid", "3")
    assert "no GPU" in result.stderr and "no GPU" not in result.stdout
    assert asked == [(3, 0)]


def test_score_of_several(tmp_path):
    (tmp_path / "a").write_bytes(b"The night")
    file, page = str(tmp_path / "a"), str(tmp_path / "page.html")
    lines = printed("score", CHECKPOINT, file, "-", input="The night~")
    assert lines[0].startswith(f"{file}: ")
    assert lines[0].endswith(" bits per character, 9 characters")
    assert lines[1] == lines[0].replace(file, "-") + "; left out 1 byte that the model has never seen: '~'"
    assert printed("score", CHECKPOINT, file, "-html", page) == [lines[0], f"saved {page}", ""]
    assert f"{file} is a text: use pycharrnn score {CHECKPOINT} {file}." in str(
        invoke("score", file, CHECKPOINT).stderr
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_the_place_of_a_checkpoint_is_not_opened(tmp_path):
    """It would wait for a program that writes. Here the pipe has enough text that a failure does not hang."""
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)
    try:
        os.write(pipe, b"The night\n" * 500)
        assert not input_files.is_text(path)
        result = invoke("score", path, CHECKPOINT)
    finally:
        os.close(pipe)
    assert f"can't read {path} as a checkpoint: it is a device or a pipe, not a file." in str(result.exception)


def test_inspect_of_what_is_no_checkpoint(tmp_path):
    save_t7(tmp_path / "x.t7", {b"a": 1})
    result = invoke("inspect", str(tmp_path / "x.t7"))
    assert (result.exit_code, result.stdout.splitlines()[1]) == (0, "table of 1")
    assert "x.t7 is not a checkpoint of a character model: " in result.stderr
    result = invoke("inspect", str(tmp_path / "x.t7"), "-json", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "x.t7 is not a checkpoint of a character model: " in str(result.exception)
    assert json.loads(printed("inspect", CHECKPOINT, "-json", "1")[0])["rnn_size"] == 16
    assert any(line.split()[:1] == ["model"] for line in printed("inspect", CHECKPOINT))


def test_inspect_of_all_files_of_a_folder(tmp_path):
    """`inspect *.t7` prints the name of each file, and continues after a file that it refuses."""
    save_t7(tmp_path / "x.t7", {b"a": 1})
    files = [str(tmp_path / "missing.t7"), str(CHECKPOINT), str(tmp_path / "x.t7"), str(CHECKPOINT)]
    result = invoke("inspect", *files)
    lines = result.stdout.splitlines()
    assert [line for line in lines if line in files] == files
    assert sum(line.split()[:1] == ["model"] for line in lines) == 2
    assert (
        "missing.t7 does not exist" in result.stderr
        and "x.t7 is not a checkpoint of a character model" in result.stderr
    )
    assert str(result.exception) == "1 of 4 files could not be described."
    result = invoke("inspect", *files, "-json", "1")
    assert str(result.exception) == "2 of 4 files could not be described."
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["file"] for one in found] == [str(CHECKPOINT)] * 2


@pytest.mark.parametrize(
    "args, target, options",
    [
        ([], f"{CHECKPOINT}_cpu.t7", formats.DEFAULT),
        (["x.t7"], "x.t7", formats.DEFAULT),
        (["x.t7", "-ascii", "1", "-type", "float32"], "x.t7", formats.WriteOptions("float32", "ascii")),
        (["x.t7", "-longs", "4"], "x.t7", formats.WriteOptions(long_size=4)),
    ],
)
def test_convert(monkeypatch, args, target, options):
    asked = []
    monkeypatch.setattr(checkpoint, "convert", lambda loaded, *more: asked.append(more))
    assert printed("convert", CHECKPOINT, *args) == [f"saved {target}", ""]
    assert asked == [(target, options)]


def test_a_text_has_no_size_of_longs(tmp_path):
    result = invoke("convert", CHECKPOINT, str(tmp_path / "x.t7"), "-ascii", "1", "-longs", "4")
    assert str(result.exception) == "-longs 4 is for a binary file, and -ascii 1 for text: leave one out."
    assert list(tmp_path.iterdir()) == []


def test_activations_hands_on_which_units(monkeypatch, tmp_path):
    asked = []

    def choose(values, *which):
        asked.append((values.shape, which))
        raise UserError("enough")

    monkeypatch.setattr(activations, "choose_units", choose)
    args = ["activations", CHECKPOINT, "-primetext", "The night", "-o", str(tmp_path / "a.html")]
    for more in ([], ["-layer", "2", "-units", "3,5"], ["-count", "4"]):
        assert str(invoke(*args, *more).exception) == "enough"
    (shape, first), (_, second), (_, third) = asked
    assert shape == (9, 2, 16)
    assert second == (2, "3,5", first[2])
    assert third == (*first[:2], 4)
    assert list(tmp_path.iterdir()) == []


def test_activations_reads_the_bytes_of_the_command_line_or_a_file(monkeypatch, tmp_path):
    asked = []

    def record(loaded, text, most, say, option):
        asked.append((text, option))
        raise UserError("enough")

    monkeypatch.setattr(activations, "record", record)
    (tmp_path / "text").write_bytes(b"in a file\xff")
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfin a file with a byte order mark")
    for args in (
        ["-primetext", "Th\udce2"],
        *(["-primefile", str(tmp_path / f)] for f in ("text", "marked")),
    ):
        invoke("activations", CHECKPOINT, *args, "-o", str(tmp_path / "a.html"))
    typed = os.fsencode("Th\udce2")  # on POSIX the byte e2
    files = [(text, "primefile") for text in (b"in a file\xff", b"in a file with a byte order mark")]
    assert asked == [(typed, "primetext"), *files]


def test_activations_leaves_out_what_the_model_has_never_seen(tmp_path):
    out = tmp_path / "a.html"
    args = ["activations", CHECKPOINT, "-primetext", "T~h~e", "-o", str(out)]
    assert "or use -ignore_bad_primetext 1" in str(invoke(*args).exception)
    assert not out.exists()
    said = printed(*args, "-ignore_bad_primetext", "1")
    assert said == [
        "left out of the text: the character '~', which the model has never seen",
        f"saved {out}",
        "",
    ]
    ignoring = out.read_text(encoding="utf-8")
    printed(*args[:2], "-primetext", "The", "-o", str(out))
    assert out.read_text(encoding="utf-8") == ignoring


@pytest.mark.parametrize(
    "args, output",
    [
        (["score", "no.t7", "no.txt", "-html", "no/x.html"], "-html no/x.html"),
        (["plot", "no.t7", "-o", "no/x.png"], "-o no/x.png"),
        (["activations", "no.t7", "-primetext", "a", "-o", "no/x.html"], "-o no/x.html"),
        (["convert", "no.t7", "no/x.json"], "no/x.json"),
    ],
    ids=lambda part: part[0] if isinstance(part, list) else "",
)
def test_a_folder_that_is_not_there_is_noticed_before_the_work(args, output):
    fault = invoke(*args).exception
    assert isinstance(fault, UserError)
    assert str(fault) == f"{output}: there is no folder no; make it first, or choose another."


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_can_not_be_written_is_noticed_before_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locked").mkdir(mode=0o500)
    (tmp_path / "link.json").symlink_to("locked/x.json")
    refused = "no permission to write in the folder"
    for path in ("locked/x.json", "link.json"):
        fault = invoke("convert", "no.t7", path).exception
        assert str(fault) == f"{path}: {refused} {os.path.realpath('locked')}; choose another."
    (tmp_path / "locked").chmod(0o700)
    assert "no.t7 does not exist" in str(invoke("convert", "no.t7", "link.json").exception)
    monkeypatch.chdir("/")
    assert str(invoke("convert", "no.t7", "x.json").exception) == f"x.json: {refused} /; choose another."
    assert "no.t7 does not exist" in str(invoke("convert", "no.t7", "/dev/null").exception)


def test_plot_names_its_curves(tmp_path):
    out = str(tmp_path / "a.svg")
    lines = printed("plot", CHECKPOINT, "-o", out)
    assert lines[0].startswith("lstm2: ")
    assert lines[1:] == [f"saved {out}", ""]
