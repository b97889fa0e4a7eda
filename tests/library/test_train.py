"""pycharrnn.train: the same as the command, for a program and a notebook."""

from __future__ import annotations

import copy
import dataclasses
import errno
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import GOLDEN, ROOT, needs_signals, not_found, run, sampled, start, with_slashes, working_in
from runs import folder_with_text, masked

import pycharrnn
from compat import charrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.library import training
from pycharrnn.training.history import History
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.reports import RunResult
from pycharrnn.training.signals import RunStopped

TEXT = (GOLDEN / "corpus" / "input.txt").read_bytes()[:6000]
SMALL = {"rnn_size": 8, "max_epochs": 2, "eval_val_every": 40, "gpuid": -1, "show": 0}
SECONDS = 120


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poems.txt").write_bytes(TEXT)
    return tmp_path


def flags(options: dict) -> list[str]:
    return [word for name, value in options.items() for word in (f"-{name}", str(value))]


def test_the_encoding_of_a_text(here):
    text = "Ночь, улица, фонарь, аптека,\nБессмысленный и тусклый свет.\n" * 40
    (here / "night.txt").write_bytes(text.encode("koi8-r"))
    small = {**SMALL, "rnn_size": 4, "max_epochs": 0.1, "quiet": True}
    for source, options, notes in (
        ("night.txt", {}, "night.txt: read as koi8-r; text_encoding overrules this."),
        ("night.txt", {"text_encoding": "koi8-u"}, "night.txt: read as koi8-u."),
        (text.encode("cp1251"), {}, "the text: read as cp1251; text_encoding overrules this."),
    ):
        run = pycharrnn.train(source, savefile="night", overwrite=1, **options, **small)
        assert notes in run.notes
        assert (
            Path("data/text" if isinstance(source, bytes) else "data/night", "input.txt").read_bytes() == text.encode()
        )
    with pytest.raises(
        pycharrnn.UserError, match="text_encoding is for files and bytes, but text is a str: leave it out"
    ):
        pycharrnn.train(text, text_encoding="koi8-r", **small)
    with pytest.raises(pycharrnn.UserError, match="text_encoding must be bytes or a text encoding of Python"):
        pycharrnn.train("night.txt", text_encoding="klingon", **small)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[pycharrnn.Run, list, Path]:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "poems.txt").write_bytes(TEXT)
    reports: list = []
    with working_in(folder):
        run = pycharrnn.train("poems.txt", quiet=True, on_print=reports.append, on_validation=reports.append, **SMALL)
        run.best, run.last  # noqa: B018  # while their paths lead to them
    return run, reports, folder


def test_it_trains_and_prints_as_the_command_does(here, capfd):
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    command = run("train", str(here / "poems.txt"), *flags(SMALL), cwd=elsewhere)
    pycharrnn.train("poems.txt", **SMALL)
    out, err = capfd.readouterr()
    assert masked(out) == masked(command.stdout.decode())
    assert with_slashes(out).startswith("-recipe quick: pycharrnn train -data_dir data/poems -rnn_size 8")
    # The first line has the path of the text, and the last two what to type next.
    assert err.splitlines()[1:-2] == command.stderr.decode().splitlines()[1:-2]
    assert "finished; the best checkpoint is cv/lm_poems_epoch" in with_slashes(err)
    ours, theirs = ({path.name: path.read_bytes() for path in folder.glob("cv/*.t7")} for folder in (here, elsewhere))
    assert ours and ours == theirs


def test_a_validation_names_only_a_checkpoint_that_was_written(here, monkeypatch):
    written: list = []
    save, failures = charrnn.save, iter([False, True, False])

    def save_or_fail(path, checkpoint):
        if "epoch" in path and next(failures, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(path, checkpoint)

    def report(validation):
        written.append(validation.path and Path(validation.path).is_file())

    monkeypatch.setattr(charrnn, "save", save_or_fail)
    pycharrnn.train("poems.txt", quiet=True, on_validation=report, **{**SMALL, "eval_val_every": 2})
    assert written[:3] == [True, None, True]
    assert all(written[3:])


def test_what_a_run_knows(trained, monkeypatch):
    run, _, folder = trained
    monkeypatch.chdir(folder)
    assert run.iterations == len(run.train_losses) and run.epochs == pytest.approx(2, abs=0.1)
    assert sorted(run.val_losses)[-1] == run.iterations
    assert run.best_loss == min(run.val_losses.values())
    assert (run.folder, run.options.rnn_size, run.options.savefile, run.stopped) == ("cv", 8, "poems", False)
    assert (
        f"_{run.best_loss:.4f}.t7" in run.best_path and Path(run.best_path).is_file() and Path(run.last_path).is_file()
    )
    assert run.best.val_loss == run.best_loss and run.best.path == run.best_path
    assert run.last.iteration == run.iterations and run.last.train_losses == run.train_losses
    text = run.best.generate("The ", length=50, seed=1)
    assert sampled(run.best_path, ["-primetext", "The ", "-length", "50", "-seed", "1"])[:-1] == text.encoded
    assert any("finished; the best checkpoint" in note for note in run.notes)
    assert any(re.match("sample from it with: pycharrnn.load\\('cv.*'\\).generate\\(\\)$", note) for note in run.notes)
    assert any(re.match("write a page .*: pycharrnn.load\\(.*\\).save\\('poems.html'\\)$", note) for note in run.notes)
    for words in (f"{run.iterations}", f"{run.best_loss:.4f}", os.path.join("data", "poems"), run.best_path):
        assert words in repr(run) and words in run._repr_html_()
    assert f", validation loss {run.best_loss:.4f}, checkpoint {run.best_path}>" in repr(run)
    assert run._repr_html_().startswith("<table>")


def test_a_hostile_name_is_text_in_a_notebook(trained):
    run, _, _ = trained
    opt = dataclasses.replace(run.options, data_dir="<script>x</script>")
    history = History(array("d", [1.0]), {1: 2.0})
    shown = pycharrnn.Run(RunResult(opt, history, 1, "<img src=x>", None))._repr_html_()
    assert "<script" not in shown and "<img" not in shown and "&lt;script&gt;" in shown and "&lt;img" in shown


def test_the_best_loss_of_a_run_whose_first_validation_was_nan(trained):
    run, _, _ = trained
    history = History(array("d", [1.0] * 3), {1: float("nan"), 2: 2.0, 3: 1.5})
    assert pycharrnn.Run(RunResult(run.options, history, 1, None, None)).best_loss == 1.5


def test_the_models_of_a_run_are_its_own(here, monkeypatch):
    def stop(step):
        raise KeyboardInterrupt

    run = pycharrnn.train("poems.txt", **SMALL, print_every=1, on_print=stop, quiet=True)
    again = pycharrnn.train("poems.txt", **SMALL, print_every=1, on_print=stop, quiet=True, overwrite=1, seed=5)
    with pytest.raises(pycharrnn.UserError, match="is a checkpoint of another run by now"):
        run.last  # noqa: B018  # of as many iterations
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # the paths stay those of the folder of the training
    assert again.last.iteration == 1 and again.last.train_losses == again.train_losses
    monkeypatch.chdir(here)
    whole = pycharrnn.train(resume=run.last_path, quiet=True)
    for name in ("last", "best"):
        with pytest.raises(pycharrnn.UserError, match="cv/lm_poems_latest.t7 is a checkpoint of another run by now"):
            getattr(run, name)
    assert whole.last.iteration == whole.iterations and whole.best.iteration in whole.val_losses


def test_the_models_of_a_run_that_does_not_know_its_first_losses(trained, here):
    run, _, folder = trained
    whole = checkpoint.load(folder / run.last_path)
    checkpoint.convert(dataclasses.replace(whole, train_losses=array("d")), here / "lm_old.t7")
    longer = pycharrnn.train(resume="lm_old.t7", data_dir=folder / "data/poems", max_epochs=2.1, quiet=True)
    assert math.isnan(longer.train_losses[0]) and not math.isnan(longer.train_losses[-1])
    assert longer.last.iteration == longer.iterations > whole.i


@pytest.mark.skipif(os.name == "nt", reason="the current folder can't be removed there")
def test_a_run_in_a_folder_that_was_removed(trained, here, monkeypatch):
    run, _, folder = trained
    history = History(array("d", run.train_losses), run.val_losses)
    (here / "removed").mkdir()
    monkeypatch.chdir(here / "removed")
    (here / "removed").rmdir()
    again = pycharrnn.Run(RunResult(run.options, history, 18, None, os.fspath(folder / run.last_path)))
    assert again.last.iteration == run.iterations


def test_a_run_does_not_change_pytorchs_random_numbers(here):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    run = pycharrnn.train("poems.txt", **{**SMALL, "max_epochs": 0.1}, quiet=True)
    assert run.last.module.vocab == run.last.vocab
    assert torch.equal(torch.rand(3), expected)


def test_a_stream_of_a_program_need_not_be_a_file(here, monkeypatch):
    class Tee:
        def __init__(self):
            self.written = ""

        def write(self, text):
            self.written += text

        def flush(self):
            pass

    out = Tee()
    monkeypatch.setattr(sys, "stdout", out)
    pycharrnn.train("poems.txt", **{**SMALL, "max_epochs": 0.1})
    assert "train_loss" in out.written


def test_errors_survive_a_worker_process():
    stopped = pickle.loads(pickle.dumps(RunStopped("training diverged.", 3)))
    assert (str(stopped), stopped.status, stopped.result) == ("training diverged.", 3, None)
    assert str(pickle.loads(pickle.dumps(pycharrnn.UserError("no.")))) == "no."


def test_pictures_have_the_endings_of_plot(trained, here):
    run, _, _ = trained
    ending = "^path must be a file that ends in .png or .svg"
    for path, said in (("x.jpg", ending), ("no/x.png", "there is no folder no")):
        with pytest.raises(pycharrnn.UserError, match=said):
            run.save_curve(path)
    assert not (here / "x.jpg").exists()


@pytest.mark.parametrize(
    "text, error, said",
    [
        (["a line", "another one"], pycharrnn.UserError, r'a list of 2 paths, and none of them is here: .*"\\n".join'),
        (["Mr. Bell", "", "and/or"], pycharrnn.UserError, r'a list of 3 paths, and none .* is here: .*"\\n".join'),
        (["no/a.txt", "b.txt"], pycharrnn.UserError, r"^can't read no.a\.txt \("),
        (torch.zeros(2).numpy(), TypeError, r'not array.*"\\n".join'),
        ((line for line in "ab"), TypeError, r'"\\n".join'),
    ],
)
def test_texts_of_a_program_are_to_be_joined(here, text, error, said):
    with pytest.raises(error, match=said):
        pycharrnn.train(text, quiet=True)


def test_a_run_says_what_ended_it(trained):
    run, _, _ = trained
    history = History(array("d", [1.0] * 3), {1: 1.5, 2: 2.0, 3: 2.5})
    results = [RunResult(dataclasses.replace(run.options, patience=n), history, 1, None, None) for n in (0, 2, 3)]
    assert ["ended by" in repr(pycharrnn.Run(result)) for result in results] == [False, True, False]
    assert repr(pycharrnn.Run(results[1])).endswith(", ended by patience 2>")
    assert repr(pycharrnn.Run(results[1], stopped=True)).endswith(", ended by an interrupt>")


def test_what_a_run_without_a_validation_or_a_checkpoint_knows(trained):
    run, _, _ = trained
    nothing = pycharrnn.Run(RunResult(run.options, History(), 1, None, None))
    assert (nothing.best_loss, nothing.iterations, nothing.epochs) == (None, 0, 0)
    with pytest.raises(pycharrnn.UserError, match="^the run has no checkpoint"):
        nothing.best  # noqa: B018
    with pytest.raises(pycharrnn.UserError):
        nothing.curve()
    assert "validation loss" not in repr(nothing) and "checkpoint" not in repr(nothing)
    saved = pycharrnn.Run(RunResult(run.options, History(), 1, None, "cv/lm_poems_latest.t7"))
    assert repr(saved).endswith(", checkpoint cv/lm_poems_latest.t7>")


def test_callbacks(trained):
    run, reports, folder = trained
    steps = [report for report in reports if isinstance(report, pycharrnn.TrainStep)]
    validations = [report for report in reports if isinstance(report, pycharrnn.Validation)]
    assert len(steps) + len(validations) == len(reports)
    every = run.options.print_every
    assert [step.iteration for step in steps] == list(range(every, run.iterations + 1, every))
    assert all(step.train_loss == run.train_losses[step.iteration - 1] for step in steps)
    assert all(step.iterations == run.iterations and step.seconds > 0 and step.norm_ratio > 0 for step in steps)
    assert steps[0].learning_rate > steps[-1].learning_rate > 0  # -anneal of the recipe
    assert {one.iteration: one.val_loss for one in validations} == run.val_losses
    assert [one.is_best for one in validations] == [
        one.val_loss == min(run.val_losses[i] for i in run.val_losses if i <= one.iteration) for one in validations
    ]
    assert validations[-1].epoch == pytest.approx(run.epochs)
    assert (folder / validations[-1].path).is_file()


def test_quiet_is_quiet(here, capfd):
    run = pycharrnn.train(["poems.txt"], quiet=True, **{**SMALL, "max_epochs": 1, "show": 50})
    assert capfd.readouterr() == ("", "")
    assert run.notes


def test_a_curve(trained, tmp_path):
    run, _, _ = trained
    curve = run.curve()
    assert isinstance(curve, pycharrnn.LossCurve) and curve._repr_png_().startswith(b"\x89PNG")
    run.save_curve(tmp_path / "a.svg")
    assert "poems: lstm, 1 x 8" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert f"best {run.best_loss:.4f} at epoch" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_a_curve_counts_epochs_as_the_run_does(trained, monkeypatch):
    run, _, _ = trained
    curves = []
    monkeypatch.setattr("pycharrnn.analysis.plotting.picture", lambda found: curves.extend(found) or b"")
    run.curve()
    (curve,) = curves
    assert curve.train[0][-1] * curve.epochs_per_iteration == pytest.approx(run.epochs)
    assert dict(zip(curve.val[0].tolist(), curve.val[1].tolist(), strict=True)) == run.val_losses


def test_a_text_of_a_program(here):
    """bytes, or a str that is no path: each text in a folder of its own, found again by the same text."""
    options = {**SMALL, "max_epochs": 1, "quiet": True}
    text = TEXT[1000:5000].decode("utf-8", "ignore")
    first = pycharrnn.train(text, **options)
    assert (here / "data" / "text" / "input.txt").read_bytes() == text.encode()
    assert (first.options.data_dir, first.options.savefile) == (os.path.join("data", "text"), "text")
    other = pycharrnn.train(TEXT, **options)
    assert (here / "data" / "text_2" / "input.txt").read_bytes() == TEXT
    assert other.options.savefile == "text_2"
    assert pycharrnn.train(text, overwrite=1, **options).options.data_dir == first.options.data_dir
    long = pycharrnn.train("abcdefgh" * 200, **options)
    assert (here / "data" / "text_3" / "input.txt").read_bytes() == b"abcdefgh" * 200 and len(long.best.vocab) == 8
    assert pycharrnn.train([here / "poems.txt", str(here / "data" / "text")], **options).options.savefile.startswith(
        "poems_and"
    )
    with pytest.raises(pycharrnn.UserError, match="the text is empty, or binary data"):
        pycharrnn.train(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00", **options)
    with pytest.raises(pycharrnn.UserError, match="folder of them, or give the text itself as bytes"):
        pycharrnn.train("no.txt", **options)
    (here / "model.t7").write_bytes(b"\x04\x00\x00\x00" * 99)
    with pytest.raises(pycharrnn.UserError, match=r"a checkpoint, not plain text: .*train\(TEXT, init_from=FILE\)"):
        pycharrnn.train("model.t7", **options)
    with pytest.raises(pycharrnn.UserError, match="the text is empty, or binary data"):
        pycharrnn.train(b"", **options)


def test_without_a_text_it_takes_data_dir(here, capsys):
    (here / "mine").mkdir()
    (here / "mine" / "input.txt").write_bytes(TEXT)
    run = pycharrnn.train(data_dir=here / "mine", batch_size=5, seq_length=10, quiet=True, **SMALL)
    assert run.options.data_dir == str(here / "mine")
    assert run.options.recipe == "char-rnn" and run.options.num_layers == 2
    pycharrnn.train(resume=run.last_path)
    assert "the run is complete; a larger max_epochs, or minutes, continues it." in capsys.readouterr().err
    on = pycharrnn.train(resume=run.last_path, max_epochs=3, quiet=True)
    assert on.train_losses[: run.iterations] == run.train_losses and on.iterations == run.iterations * 3 // 2
    assert on.val_losses.items() >= {i: loss for i, loss in run.val_losses.items() if i % 40 == 0}.items()


@pytest.mark.parametrize(
    "text, options, error, words",
    [
        ("poems.txt", {"rnn_sise": 8}, TypeError, "train() has no option 'rnn_sise'; did you mean rnn_size?"),
        ("poems.txt", {"quite": True}, TypeError, "train() has no option 'quite'; did you mean quiet?"),
        ("poems.txt", {"on_validaton": print}, TypeError, "train() has no option 'on_validaton'; did you mean on_va"),
        ("poems.txt", {"rnn_size": "big"}, TypeError, "rnn_size must be a whole number, not 'big'"),
        ("poems.txt", {"rnn_size": 0}, pycharrnn.UserError, "rnn_size must be at least 1, not 0."),
        ("poems.txt", {"data_dir": "x"}, pycharrnn.UserError, "data_dir names a text, too: leave out data_dir or poe"),
        ("a\nb", {"resume": "x"}, pycharrnn.UserError, "resume goes on with the text of its run, in the fol"),
        ("nowhere.txt", {}, pycharrnn.UserError, "can't read nowhere.txt (NOT_FOUND)"),
        ("Hello!", {}, pycharrnn.UserError, "can't read Hello! (NOT_FOUND): name a text file or a folder of them, or"),
        ("", {}, pycharrnn.UserError, "text is empty: give a text, or the path of a file or folder."),
        (None, {"data_dir": "nowhere"}, pycharrnn.UserError, "there is no folder nowhere: train on a file of yours"),
        (None, {"resume": None}, pycharrnn.UserError, "there is no folder data/tinyshakespeare: train on a file of yo"),
        (None, {}, pycharrnn.UserError, "there is no folder data/tinyshakespeare: train on a file of yours with pych"),
        (None, {"text_encoding": "cp1252"}, pycharrnn.UserError, "text_encoding is for the files or bytes of text;"),
        ("too\nshort", {}, pycharrnn.UserError, "the text has 9 characters, too few to learn from"),
        (3, {}, TypeError, "text must be a text, a path or a list of paths, not 3"),
        ([], {}, TypeError, "text must be a text, a path or a list of paths, not []"),
        (["poems.txt", 3], {}, TypeError, "text must be a text, a path or a list of paths"),
    ],
)  # fmt: skip
def test_what_is_refused(here, text, options, error, words):
    with pytest.raises(error) as raised:
        pycharrnn.train(text, quiet=True, **options)
    assert str(raised.value).startswith(words.replace("NOT_FOUND", not_found()))
    assert not (here / "cv").exists()


def test_a_loss_that_explodes(here):
    with pytest.raises(pycharrnn.UserError, match="^training diverged: lower learning_rate or grad_clip; "):
        pycharrnn.train("poems.txt", quiet=True, **{**SMALL, "learning_rate": 1e8, "grad_clip": 1e8, "anneal": 0})


def test_pytorch_is_left_as_it_was(here):
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    pycharrnn.train("poems.txt", quiet=True, **{**SMALL, "max_epochs": 0.3, "threads": before[0] + 1})
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------

PROGRAM = """
import pycharrnn, signal, sys
run = pycharrnn.train(
    "poems.txt", rnn_size=8, max_epochs=100000, gpuid=-1, print_every=10, eval_val_every=int(sys.argv[1]), show=0,
    quiet=len(sys.argv) > 2, on_print=lambda step: print("step", step.iteration, flush=True),
)
print("run", run.stopped, run.iterations, run.last.iteration, run.best_path, run.last_path, flush=True)
print(len(run.best.generate("The ", length=20)), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def interrupted(here: Path, number: int, *args: str) -> tuple[str, str, int]:
    process = start("-c", PROGRAM, *args, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    before = []
    while "step 20" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
        before.append(line)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    return "".join(before) + out, err, process.returncode


@needs_signals
def test_ctrl_c_returns_what_there_is(here):
    out, err, status = interrupted(here, signal.SIGINT, "1000000")
    assert status == 0, err
    (stopped, done, saved, best, last) = re.search(r"^run (\S+) (\d+) (\d+) (\S+) (\S+)$", out, re.M).groups()
    assert (stopped, done, best, last) == ("True", saved, "None", "cv/lm_poems_latest.t7") and int(done) >= 20
    assert out.endswith("24 True\n")
    assert f"stopped by an interrupt after iteration {done}; go on with: pycharrnn.train(resume='{last}')" in err
    assert f"sample from it with: pycharrnn.load('{last}').generate()\n" in err and "Traceback" not in err
    with working_in(here):
        on = pycharrnn.train(resume=last, max_epochs=(int(done) + 5) / 10**9, quiet=True)
        assert on.iterations == int(done)


def test_ctrl_c_before_anything_is_saved_is_an_error():
    stopped = RunStopped("stopped by SIGINT; nothing has been trained.", 128 + signal.SIGINT)
    for stopped.result in (None, RunResult(TrainOptions(), History(), 1, None, None)):
        with pytest.raises(KeyboardInterrupt, match="nothing has been trained"):
            training._result_at_interrupt(stopped)
    stopped.result = RunResult(TrainOptions(), History(), 1, None, "cv/lm_lstm_latest.t7")
    assert training._result_at_interrupt(stopped) is stopped.result


@needs_signals
def test_ctrl_c_after_a_validation(here):
    out, err, status = interrupted(here, signal.SIGINT, "15", "quiet")
    assert status == 0, err
    best = re.search(r"^run True \d+ \d+ (\S+) \S+$", out, re.M)[1]
    assert re.fullmatch(r"cv/lm_poems_epoch[\d.]+_[\d.]+\.t7", best)
    assert err.startswith("pycharrnn: Ctrl-C: finishing the step and saving") and err.count("\n") == 1


@pytest.mark.parametrize("own_thread", [False, True], ids=["main", "thread"])
@pytest.mark.parametrize("callback", ["on_print", "on_validation"])
def test_a_callback_that_raises_keyboard_interrupt_does_what_ctrl_c_does(here, capfd, callback, own_thread):
    def stop_at_40(report):
        if report.iteration == 40:
            raise KeyboardInterrupt

    def stopped():
        try:
            return pycharrnn.train("poems.txt", **options, **{callback: stop_at_40})
        except KeyboardInterrupt as e:  # which would end pytest
            raise AssertionError("the callback's KeyboardInterrupt came through") from e

    options = {**SMALL, "max_epochs": 5, "print_every": 5, "quiet": True}
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(stopped).result(SECONDS) if own_thread else stopped()
    assert run.stopped and run.iterations == run.last.iteration == 40
    note = f"stopped by an interrupt after iteration 40; go on with: pycharrnn.train(resume={run.last_path!r})"
    assert note in run.notes
    assert capfd.readouterr() == ("", "")
    on, whole = pycharrnn.train(resume=run.last_path, quiet=True), pycharrnn.train("poems.txt", savefile="b", **options)
    assert on.train_losses == whole.train_losses and not on.stopped


def test_another_exception_of_a_callback_ends_the_run_without_saving_it(here):
    def fail(step):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pycharrnn.train("poems.txt", quiet=True, on_print=fail, **SMALL)
    assert not list((here / "cv").glob("*.t7"))


@needs_signals
def test_another_signal_ends_the_program_once_the_run_is_saved(here):
    out, err, status = interrupted(here, signal.SIGTERM, "1000000")
    assert status == -signal.SIGTERM
    assert "run" not in out.split("step")[-1] and (here / "cv" / "lm_poems_latest.t7").is_file()


def test_a_signal_that_the_program_handles_is_handled_once_the_run_has_ended(here):
    handled = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: handled.append(number))
    try:
        with pytest.raises(pycharrnn.UserError, match="stopped by SIGTERM after iteration"), working_in(here):
            pycharrnn.train(
                "poems.txt", quiet=True, print_every=1,
                on_print=lambda step: signal.raise_signal(signal.SIGTERM), **{**SMALL, "max_epochs": 100},
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, before)
    assert handled == [signal.SIGTERM]


def test_lines_with_bytes_of_file_names(capsys):
    printer = training._LogPrinter(quiet=False)
    printer.say("a\udce9b")
    printer.note("a\udce9b")
    assert capsys.readouterr() == ("a\\xe9b\n", "pycharrnn: a\\xe9b\n")


@pytest.mark.slow
@pytest.mark.parametrize("close", [False, True], ids=["ascii", "closed"])
def test_streams_that_can_not_take_a_line_end_no_training(here, close):
    (here / "poems.txt").rename(here / "po\u00e9ms.txt")
    before = "sys.stdout.close(); sys.stderr.close()" if close else "pass"
    code = f"import pycharrnn, sys; {before}; run = pycharrnn.train('po\u00e9ms.txt', **{SMALL})"
    code += "; open('run', 'w').write(f'{run.iterations} {run.best.vocab_size}'); sys.stdout = sys.stderr = None"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, cwd=here, capture_output=True)
    assert (here / "run").read_text().split()[0].isdigit(), result.stderr
    if not close:
        assert rb"po\xe9ms" in result.stdout


def test_a_run_is_pickled_and_copied_with_its_models(trained):
    run, _, _ = trained
    run.best.generate("a", length=3)
    for twin in (pickle.loads(pickle.dumps(run)), copy.deepcopy(run)):
        assert repr(twin) == repr(run)
        assert twin.best.generate("The ", seed=3, length=20) == run.best.generate("The ", seed=3, length=20)


def test_threads_share_the_models_of_a_run(here, monkeypatch):
    made = []

    def read(path):
        made.append(path)
        time.sleep(0.05)
        return SimpleNamespace(iteration=0, train_losses=[])

    monkeypatch.setattr("pycharrnn.library.run.load", read)
    run = pycharrnn.Run(RunResult(TrainOptions(), History(), 1, "best.t7", "last.t7"))
    with ThreadPoolExecutor(4) as pool:
        assert len(set(map(id, pool.map(lambda _: run.best, range(4))))) == 1
    assert made == ["best.t7"]


def test_a_list_with_a_text_says_how_texts_are_joined():
    for texts in (["# A title\n\nhttps://example.org"], ["first/one", "x" * 2000]):
        with pytest.raises(pycharrnn.UserError, match="text is a list, and has a text in .*: .*join them"):
            pycharrnn.train(texts)


def test_a_text_of_a_program_may_be_markup(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "<!DOCTYPE html>\n<html><body><p class='a'>The cat sat on the mat.</p>\0</body></html>\n" * 20
    run = pycharrnn.train(text, text_encoding="bytes", quiet=True, rnn_size=4, max_epochs=0.1)
    assert Path(run.options.data_dir, "input.txt").read_text(encoding="utf-8") == text
    with pytest.raises(pycharrnn.UserError, match="leave it out, or give 'bytes'"):
        pycharrnn.train(text, text_encoding="cp1252")


def test_the_numbers_of_a_program_are_those_of_the_command_line(tmp_path, monkeypatch):
    """JSON tells 0 from 0.0."""
    monkeypatch.chdir(folder_with_text(tmp_path))
    more = {"num_layers": 1, "rnn_size": 4, "batch_size": 5, "seq_length": 8, "max_epochs": 0.1, "gpuid": -1}
    pycharrnn.train(quiet=True, data_dir="data", checkpoint_format="safetensors", checkpoint_dir="a", **more)
    args = [word for name, value in more.items() for word in (f"-{name}", str(value))]
    run("train", "-data_dir", "data", "-checkpoint_format", "safetensors", "-checkpoint_dir", "b", *args, cwd=tmp_path)
    a, b = (Path(name, "lm_lstm_latest.safetensors").read_bytes() for name in "ab")
    assert a == b.replace(b'"checkpoint_dir": "b"', b'"checkpoint_dir": "a"').replace(b'dir\\": \\"b', b'dir\\": \\"a')
