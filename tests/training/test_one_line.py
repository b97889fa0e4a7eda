"""`pycharrnn train my_text.txt`: one line from a text to a model, as a newcomer types it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import GOLDEN, HEEDS_SIGNALS, ROOT, needs_signals, not_found, run, sampled, sentence, start, with_slashes
from runs import ENVIRONMENT, TEXT, result_of, train

import pycharrnn
from pycharrnn._version import __version__
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.shell_words import quoted

QUICK = ["-gpuid", "-1", "-rnn_size", "8", "-max_epochs", "1"]  # for a test


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "my text.txt").write_bytes(TEXT)
    return tmp_path


def trained(folder: Path, *args: str) -> tuple[list[str], str]:
    """The log and what else is said."""
    error, log, said = result_of(folder, *args, *QUICK, small=[])
    assert error is None
    return log, said


def written(home: Path) -> dict[str, bytes]:
    """Name -> content of the checkpoints, which are then removed."""
    content = {}
    for path in (home / "cv").iterdir():
        content[path.name] = path.read_bytes()
        path.unlink()
    return content


def repeated(home: Path, log: list[str]) -> list[str]:
    """The log of a run by the flags in the first line of another; the folder of the text as it is recorded."""
    words = shlex.split(log[0].partition(": ")[2])[2:]
    at = words.index("-data_dir") + 1
    words[at] = os.path.join(*words[at].split("/"))
    return train(home, *words, small=[])


def test_a_text(home):
    log, said = trained(home, "my text.txt")
    assert said.startswith(
        "pycharrnn: data/my_text/input.txt: 2,560 bytes, new, from 1 file: my text.txt (2,560 bytes).\n"
    )
    assert log[0].startswith("-recipe quick: pycharrnn train -data_dir data/my_text ")
    assert "-savefile my_text " in log[0]
    assert "evaluating loss over split index 2" in log
    assert not any(line.endswith("...") and line[0].isdigit() for line in log)  # of each batch of a validation
    assert "pycharrnn sample cv/lm_my_text_best.t7" in said
    assert {path.name for path in home.iterdir()} == {"my text.txt", "data", "cv"}
    assert all(path.name.startswith("lm_my_text_") for path in (home / "cv").iterdir())
    assert len(sampled(home / "cv/lm_my_text_best.t7", ["-length", "20"])) == 21
    for command in ("eval", "score"):
        file = "data/my_text/input.txt" if command == "score" else "-data_dir"
        more = ["data/my_text"] if command == "eval" else []
        assert run(command, "cv/lm_my_text_best.t7", file, *more, cwd=home).returncode == 0


@pytest.mark.parametrize(
    "more",
    [["-log", "run.csv"], ["-text_encoding", "cp1252"], ["other.txt", "-items", "line", "-label", "file"]],
    ids=["text", "encoding", "labels"],
)
def test_the_first_line_gives_the_same_checkpoints(home, more):
    (home / "other.txt").write_bytes(TEXT.upper())
    log, _ = trained(home, "my text.txt", "-seed", "7", *more)
    opt = checkpoint.load(next((home / "cv").glob("*_best.t7"))).opt
    assert opt["from_texts"] == 1 and opt["copied_longest"] >= -1
    before = written(home)
    assert repeated(home, log)[-6:] == log[-6:]
    assert written(home) == before


def test_files_as_a_text_of_data_dir(home):
    log, _ = trained(home, "my text.txt", "-text_encoding", "cp1252", "-from_texts", "0")
    opt = checkpoint.load(home / "cv/lm_my_text_best.t7").opt
    assert opt.keys().isdisjoint({"from_texts", "text_encoding", "copied_longest"})
    before = written(home)
    repeated(home, log)
    assert written(home) == before


def test_the_first_line_of_a_run_on_standard_input_gives_the_same_checkpoints(home):
    log = run("train", "-", *QUICK, cwd=home, input=TEXT).stdout.decode()
    before = written(home)
    repeated(home, with_slashes(log).splitlines())
    assert written(home) == before


def test_the_same_line_twice(home):
    log, _ = trained(home, "my text.txt")
    preprocessed = "one-time setup: preprocessing input text file data/my_text/input.txt..."
    assert preprocessed in log
    again, said = trained(home, "my text.txt")
    assert preprocessed not in again
    assert again[-6:] == log[-6:]
    assert "data/my_text/input.txt: 2,560 bytes, as before, from 1 file" in said
    assert "this run replaces cv/lm_my_text_best.t7; the best checkpoint of the finished run before stays as " in said


def test_a_text_that_is_in_its_folder_already(home):
    """As `pycharrnn data` leaves it: without a cache."""
    (home / "data/my_text").mkdir(parents=True)
    (home / "my text.txt").rename(home / "data/my_text/input.txt")
    _, said = trained(home, "data/my_text/input.txt")
    assert said.startswith("pycharrnn: data/my_text/input.txt: 2,560 bytes, as before.\n")
    assert (home / "cv/lm_my_text_best.t7").exists()


def test_a_text_that_has_grown_since(home):
    """The run before keeps its text and its checkpoints."""
    trained(home, "my text.txt")
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and path.suffix == ".t7"}
    (home / "my text.txt").write_bytes(TEXT + b"more")
    _, said = trained(home, "my text.txt")
    assert "this text is named my_text_2; its run has that name too, unless -savefile gives another.\n" in said
    assert (home / "data/my_text/input.txt").read_bytes() == TEXT
    assert (home / "cv/lm_my_text_2_best.t7").exists()
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize(
    "refused",
    [
        ["-log", "foreign.csv"],
        ["-init_from", "missing.t7"],
        ["-vocab", "keep"],
        ["-savefile", "mine"],
    ],
)
def test_a_training_that_is_refused_writes_nothing(home, refused):
    (home / "foreign.csv").write_text("a,b\n", encoding="utf-8")
    (home / "cv").mkdir()
    (home / "cv/lm_mine_latest.t7").write_bytes(b"my thesis")
    before = {path: path.is_file() and path.read_bytes() for path in home.rglob("*")}
    error, _, _ = result_of(home, "my text.txt", *QUICK, *refused, small=[])
    assert error is not None
    assert {path: path.is_file() and path.read_bytes() for path in home.rglob("*")} == before


@needs_signals
def test_an_unfinished_run_is_kept(home):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    endless = [*QUICK[:-1], "100000", "-print_every", "1"]
    process = start("train", "my text.txt", *endless, cwd=home, env=ENVIRONMENT, **pipes)
    while "train_loss" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "go on with: pycharrnn train -resume cv/lm_my_text_latest.t7" in said
    error, _, _ = result_of(home, "my text.txt", *QUICK, small=[])
    assert "cv/lm_my_text_latest.t7 is an unfinished run" in str(error)
    assert "-resume cv/lm_my_text_latest.t7" in str(error)
    assert "-overwrite 1" in str(error)
    text = (home / "my text.txt").read_bytes()
    (home / "my text.txt").write_bytes(text[::-1])
    assert result_of(home, "my text.txt", *QUICK, small=[])[0] is None  # a run of its own
    end = str(checkpoint.load(home / "cv/lm_my_text_latest.t7").epoch + 0.1)
    error, out, _ = result_of(home, "-resume", "cv/lm_my_text_latest.t7", "-max_epochs", end, small=[])
    assert error is None and not any("is not the text of the checkpoint" in line for line in out)
    (home / "my text.txt").write_bytes(text)
    assert result_of(home, "my text.txt", *QUICK, "-overwrite", "1", small=[])[0] is None


@needs_signals
def test_interrupted_while_it_waits_for_a_pipe(home):
    process = subprocess.Popen(
        [sys.executable, "-m", "pycharrnn", "train", "-", *QUICK],
        cwd=home,
        env={**ENVIRONMENT, "TMPDIR": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **HEEDS_SIGNALS,
    )
    process.stdin.write(b"x" * (1 << 21))  # more than a pipe holds, so that it has begun to read
    process.stdin.flush()
    for _ in range(10):  # a signal between Python's look for signals and the read that waits is seen after the read
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
            break
    assert process.returncode == 130
    assert process.stderr.read().strip() == (
        b"pycharrnn: stopped by Ctrl-C before the training began: nothing was saved."
    )
    assert [path.name for path in home.iterdir()] == ["my text.txt"]


def test_two_texts_never_meet(home):
    (home / "other").mkdir()
    (home / "other/my text.txt").write_bytes(TEXT[::-1])
    trained(home, "my text.txt")
    before = {path.name: path.read_bytes() for path in (home / "cv").iterdir()}
    trained(home, "other/my text.txt")
    after = {path.name: path.read_bytes() for path in (home / "cv").iterdir()}
    assert before.items() <= after.items()
    assert (home / "cv/lm_my_text_2_best.t7").exists()


def test_odd_texts(home):
    cyrillic = "Ночь, улица, фонарь, аптека,\nБессмысленный и тусклый свет.\n" * 40
    (home / "Ночь.txt").write_bytes(cyrillic.replace("\n", "\r\n").encode("utf-16"))
    (home / "poems").mkdir()
    for k in range(3):
        (home / f"poems/{k}.txt").write_bytes(TEXT)
    (home / "poems/photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0\0\0")
    log, said = trained(home, "Ночь.txt")
    became = "line ends of Windows (CRLF) became LF"
    assert f"pycharrnn: Ночь.txt: read as utf-16-le; -text_encoding overrules this; Ночь.txt: {became}.\n" in said
    assert "-encoding utf8" in log[0]
    assert (home / "data/Ночь/input.txt").read_text(encoding="utf-8") == cyrillic
    assert "vocab size: " + str(len(set(cyrillic))) in log
    log, said = trained(home, "poems", "my text.txt", "-savefile", "mine")
    assert "left out, since they contain no text: poems/photo.jpg.\n" in said
    assert "from 4 files: poems/0.txt" in said
    assert (home / "cv/lm_mine_best.t7").exists()


def test_a_text_in_an_old_encoding(home):
    """One spelling of each letter, which can be typed as the beginning of a sample."""
    text = "Où sont passées les neiges d’antan? La fête continuait à côté de l’église.\n" * 30
    (home / "prose.txt").write_bytes(text.replace("\n", "\r\n").encode("cp1252"))
    _, said = trained(home, "prose.txt")
    became = "line ends of Windows (CRLF) became LF"
    assert f"pycharrnn: prose.txt: read as cp1252; -text_encoding overrules this; prose.txt: {became}.\n" in said
    assert (home / "data/prose/input.txt").read_text(encoding="utf-8") == text
    assert sampled(home / "cv/lm_prose_best.t7", ["-length", "5", "-primetext", "Où"]).startswith("Où".encode())
    log, said = trained(home, "prose.txt", "-text_encoding", "latin-1", "-seed", "5")
    assert "this text is named prose_2;" in said and "read as latin-1; prose.txt: line ends" in said
    assert checkpoint.load(home / "cv/lm_prose_2_best.t7").opt["text_encoding"] == "latin-1"
    # The text is there now, so that neither the printed line nor -resume decodes it again.
    words = shlex.split(log[0].partition(": ")[2])[2:]
    assert train(home, *words, small=[])[-1] == log[-1]
    error, log, _ = result_of(home, "-resume", "cv/lm_prose_2_best.t7", "-max_epochs", "2", small=[])
    assert error is None and "overridden: -max_epochs 2 (was 1)" in log
    for more in (["-resume", "cv/lm_prose_2_best.t7"], ["-data_dir", "data/prose"]):
        refused = sentence(run("train", *more, "-text_encoding", "cp1252", cwd=home))
        assert "-text_encoding is for files on the command line;" in refused


def test_recipes_of_the_line(home):
    assert trained(home, "my text.txt", "-recipe", "best")[0][0].startswith("-recipe best: ")
    plain, _ = trained(home, "my text.txt", "-recipe", "char-rnn", "-batch_size", "5", "-seq_length", "8")
    assert plain[0] == "loading data files..."


def test_standard_input(home):
    result = run("train", "-", *QUICK, cwd=home, input=TEXT)
    assert result.returncode == 0, result.stderr
    assert (home / "cv/lm_stdin_best.t7").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text on other systems")
def test_a_name_that_is_no_text(home):
    name = b"caf\xe9.txt"
    (home / os.fsdecode(name)).write_bytes(TEXT)
    result = run("train", os.fsdecode(name), *QUICK, cwd=home)
    assert result.returncode == 0, result.stderr
    assert (home / "cv/lm_caf_best.t7").exists()


@pytest.mark.parametrize(
    "args, said",
    [
        (
            ["nowhere.txt"],
            "can't read nowhere.txt (NOT_FOUND): name a text file or a folder of them, or",
        ),
        (["my txt.txt"], "can't read my txt.txt (NOT_FOUND); did you mean my text.txt?"),
        (["my text"], "can't read my text (NOT_FOUND); did you mean my text.txt?"),
        (
            ["model.t7"],
            "model.t7 is a checkpoint, not plain text: name a text; pycharrnn train TEXT -init_from FILE trains",
        ),
        (["MODEL.SAFETENSORS"], "MODEL.SAFETENSORS is a checkpoint, not plain text: name a text; pycharrnn train TEXT"),
        (
            ["model.json"],
            "model.json is a model as JSON, not plain text: name a text; pycharrnn train TEXT -init_from FILE trains",
        ),
        (["empty"], "there is no text in empty: name files of plain text"),
        (["ten.txt"], "the text has 10 characters, too few to learn from: give 1,000 or more"),
        (["my text.txt", "-data_dir", "data/x"], "-data_dir names a text, too: leave out -data_dir or my text.txt."),
        (
            ["my text.txt", "-resume", "cv"],
            "-resume goes on with the text of its run, in the folder of -data_dir: leave out my text.txt, or train on"
            " it with -init_from cv in place of -resume.",
        ),
        (["my text.txt", "-rnn_size", "0"], "-rnn_size must be at least 1, not 0."),
        (
            ["my text.txt", "-train_frac", "0.9", "-val_frac", "0.2"],
            "sum to more than 1: lower one; char-rnn would take -val_frac 0.1.",
        ),
        (["earlier"], f"there is no text in earlier but those of earlier trainings ({os.path.join('earlier', 'a')}"),
        ([], "there is no folder data/tinyshakespeare: train on a file of yours with pycharrnn train FILE"),
        (
            ["-data_dir", "my text.txt"],
            f"{quoted('my text.txt')} is a file, not a folder: put it into one as input.txt, or train a new model with",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence(home, args, said):
    (home / "empty").mkdir()
    (home / "earlier/a").mkdir(parents=True)
    (home / "earlier/a/.sources").write_bytes(b"")
    (home / "earlier/a/input.txt").write_bytes(b"A text.")
    (home / "model.t7").write_bytes(b"\4\0\0\0\1\0\0\0")
    for name in ("model.json", "model.safetensors"):
        pycharrnn.load(GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7").save(home / name)
    (home / "model.safetensors").rename(home / "MODEL.SAFETENSORS")
    (home / "ten.txt").write_bytes(b"0123456789")
    error, _, _ = result_of(home, *args, small=[])
    assert said.replace("NOT_FOUND", not_found()) in str(error)
    assert not (home / "cv").exists()


@pytest.mark.parametrize("name, value, other", [("val_frac", 0.2, "train_frac"), ("train_frac", 0.97, "val_frac")])
def test_the_fraction_that_is_not_given_follows_from_the_other(home, name, value, other):
    trained(home, "my text.txt", f"-{name}", str(value), "-max_epochs", "1")
    opt = checkpoint.load(home / "cv/lm_my_text_best.t7").opt
    assert opt[name] == value and opt[other] == pytest.approx(1 - value)


def test_a_decay_without_effect_is_said(home):
    _, said = trained(home, "my text.txt", "-learning_rate_decay", "0.9", "-learning_rate_decay_after", "2")
    assert "-learning_rate_decay and -learning_rate_decay_after have no effect with -anneal 1, by which the" in said
    _, said = trained(home, "my text.txt", "-learning_rate_decay", "0.9", "-anneal", "0", "-savefile", "other")
    assert "no effect" not in said


def test_advice_for_a_very_short_text_works(home):
    """The recipe chooses sizes for it, so the log does not advise others; sizes that are too large are answered so."""
    (home / "note.txt").write_bytes(TEXT[:300])
    log, said = trained(home, "note.txt")
    assert not any("probably want to use smaller" in line for line in log)
    assert "the text has 300 bytes, from which a model hardly learns words: 100,000 are better." in said
    large = ["-rnn_size", "4", "-batch_size", "50", "-seq_length", "50"]
    error, _, _ = result_of(home, "note.txt", "-savefile", "other", *large, small=[])
    advised = "-batch_size 3 -seq_length 50"
    assert f"use at most {advised}." in str(error)
    trained(home, "note.txt", "-savefile", "other", *advised.split())


def test_other_characters_than_the_model_s_are_refused_before_the_text_is_prepared(home):
    trained(home, "my text.txt")
    (home / "more.txt").write_bytes(TEXT + b"\xe6\xb0\xb4")
    error, _, _ = result_of(home, "more.txt", "-init_from", "cv", "-vocab", "strict", *QUICK, small=[])
    assert "only the text has" in str(error)
    assert not (home / "data" / "more").exists()


def test_a_model_of_one_text_learns_the_characters_of_another(home):
    trained(home, "my text.txt")
    (home / "more.txt").write_bytes(TEXT.lower() + b"\xe6\xb0\xb4\n")
    log, _ = trained(home, "more.txt", "-init_from", "cv")
    assert " -vocab extend" in log[0]
    more = checkpoint.load(home / "cv/lm_more_best.t7").vocab
    assert more.keys() == {*checkpoint.load(home / "cv/lm_my_text_best.t7").vocab, b"\xe6", b"\xb0", b"\xb4"}


@pytest.mark.slow
def test_the_first_steps_on_a_longer_text_do_not_undo_a_model(home):
    line = b"stately plump buck mulligan came from the stairhead bearing a bowl of lather\n"
    (home / "book.txt").write_bytes(line * 120)
    (home / "longer.txt").write_bytes(
        line * 90 + b"introibo ad altare dei dei ad altare introibo dei introibo ad dei\n" * 20
    )
    rate = ["-learning_rate", "0.027"]
    for args in (["book.txt", "-rnn_size", "64"], ["longer.txt", "-init_from", "cv", *rate]):
        error, log, _ = result_of(home, *args, "-gpuid", "-1", small=[])
        assert error is None
    assert " -warmup 50 " in log[0]
    again = ["longer.txt", "-init_from", "cv/lm_book_best.t7", "-savefile", "again", "-gpuid", "-1"]
    error, _, _ = result_of(home, *again, *rate, "-warmup", "0", small=[])
    assert "diverged" in str(error)


def test_many_processes_need_a_text_that_is_there(home):
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT), "WORLD_SIZE": "2", "RANK": "0"}
    command = [sys.executable, "-m", "pycharrnn", "train", "my text.txt"]
    result = subprocess.run(command, cwd=home, env=environment, capture_output=True)
    said = sentence(result)
    assert "a training on several processes needs the folder of a text, not files: give -data_dir data/NAME" in said


def test_a_run_of_no_step_says_so(home):
    _, said = trained(home, "my text.txt")
    assert "nothing is trained" not in said
    error, _, said = result_of(home, "my text.txt", "-max_epochs", "0.01", "-rnn_size", "8", small=[])
    assert error is None
    assert "nothing is trained: -max_epochs 0.01 is less than one iteration of the 22 in an epoch; raise it." in said


def test_inspect_names_pycharrnn_and_its_version(home):
    """Whatever the checkpoint is converted to; char-rnn's own have an era."""
    trained(home, "my text.txt")
    for name, more in (("m.t7", ["-type", "float32"]), ("m.json", []), ("m.html", [])):
        assert run("convert", "cv", name, *more, cwd=home).returncode == 0
    assert run("convert", "m.json", "back.t7", cwd=home).returncode == 0
    assert f'"program":"pycharrnn {__version__}"' in (home / "m.html").read_text(encoding="utf-8")
    trained(home, "my text.txt", "-save_state", "0", "-checkpoint_dir", "bare")
    for name in ("cv", "m.t7", "m.json", "m.html", "back.t7"):
        shown = run("inspect", name, cwd=home).stdout.decode()
        assert re.search(rf"^program +pycharrnn {re.escape(__version__)}$", shown, re.MULTILINE), name
        assert not re.search("^era", shown, re.MULTILINE)
    assert re.search("^program +pycharrnn$", run("inspect", "bare", cwd=home).stdout.decode(), re.MULTILINE)


def test_sample_prints_the_text_alone_on_stdout(home):
    """So that `pycharrnn sample cv > poem.txt` writes a poem; the rest goes to stderr, unless -verbose is 0."""
    trained(home, "my text.txt")
    args = ("sample", "cv", "-gpuid", "-1", "-length", "40", "-primetext", "the")
    quiet, loud = run(*args, "-verbose", "0", cwd=home), run(*args, cwd=home)
    assert quiet.returncode == loud.returncode == 0
    assert loud.stdout == quiet.stdout and len(quiet.stdout) == 44
    beside = ["creating an lstm...", "seeding with the", "--------------------------"]
    assert [line for line in loud.stderr.decode().splitlines() if line in beside] == beside
    assert not {*quiet.stderr.decode().splitlines()} & {*beside}
    many = run(*args, "-samples", "2", "-seed", "5", cwd=home)
    assert b"--------" not in many.stdout and b"-------- -seed 6\n" in many.stderr
    whole = b"".join(run(*args, "-verbose", "0", "-seed", seed, cwd=home).stdout for seed in ("5", "6"))
    assert many.stdout == whole


def test_a_sample_without_a_primetext_begins_a_line(home):
    """As on the page: the model reads a newline first, which is not shown; the Python library does the same."""
    trained(home, "my text.txt")
    base, seed = ("sample", "cv", "-gpuid", "-1", "-length", "30"), ("-seed", "4")
    after_newline = run(*base, *seed, "-primetext", "\n", "-hide_prime", "1", cwd=home).stdout
    bare = run(*base, *seed, cwd=home)
    assert bare.stdout == after_newline and len(bare.stdout) == 31
    assert b"\nmissing seed text, starting at the beginning of a line\n" in bare.stderr
    two = run(*base, "-seed", "3", "-samples", "2", cwd=home).stdout
    assert two.endswith(after_newline)
    beams = ("sample", "cv", "-gpuid", "-1", "-length", "30", "-beam", "2")
    hidden = run(*beams, "-primetext", "\n", "-hide_prime", "1", cwd=home).stdout
    assert run(*beams, cwd=home).stdout == hidden

    model = pycharrnn.load(home / "cv")
    one = model.generate(length=30, seed=4)
    assert one.encoded + b"\n" == after_newline and one.given == 0
    assert model.generate(["the", ""], length=30, seed=3)[1] == one
    assert "".join(model.stream(length=30, seed=4)) == one


def test_a_text_without_newlines_has_no_line_to_begin(home):
    (home / "one line.txt").write_bytes(TEXT.replace(b"\n", b" "))
    trained(home, "one line.txt")
    done = run("sample", "cv", "-gpuid", "-1", "-length", "30", cwd=home)
    assert b"\nmissing seed text, using uniform probability over first character\n" in done.stderr
    assert len(done.stdout) == 31


def test_a_resumed_or_converted_model_prints_the_text_alone_too(home):
    trained(home, "my text.txt")
    assert run("train", "-resume", "cv", "-max_epochs", "2", cwd=home).returncode == 0
    assert run("convert", "cv", "model.json", cwd=home).returncode == 0
    for model in ("cv", "model.json"):
        done = run("sample", model, "-gpuid", "-1", "-length", "40", cwd=home)
        assert len(done.stdout) == 41 and b"creating an lstm...\n" in done.stderr


def test_a_model_of_data_dir_prints_where_the_original_does(home):
    """Also one that begins with a model of the other form."""
    trained(home, "my text.txt")
    small = ["-rnn_size", "8", "-num_layers", "1", "-batch_size", "5", "-seq_length", "10", "-max_epochs", "1"]
    for k, args in enumerate(([], ["-init_from", "cv"])):
        data = ["-data_dir", "data/my_text", "-checkpoint_dir", f"other{k}", "-gpuid", "-1"]
        assert run("train", *data, *small, *args, cwd=home).returncode == 0
        done = run("sample", f"other{k}", "-gpuid", "-1", "-length", "40", cwd=home)
        assert done.stdout.startswith(b"creating an lstm...\nmissing seed text, using uniform")
        assert b"creating" not in done.stderr
