"""The command line as a user meets it: help, errors of one sentence, exit statuses, pipes, Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from child_signals import default_signals
from click.testing import CliRunner
from conftest import GOLDEN, ROOT, needs_byte_names, needs_signals, run, sentence, start, working_in

import pycharrnn
from compat import save_t7
from pycharrnn.cli.commands import cli
from pycharrnn.common.shell_words import quoted

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
SMALL = ["-gpuid", "-1", "-rnn_size", "8", "-num_layers", "1", "-batch_size", "10", "-seq_length", "20"]


# -- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["-help", "--help", "-h"])
def test_help_of_the_whole(flag):
    result = CliRunner().invoke(cli, [flag])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("train", "sample", "data"))


def test_help_and_sampling_load_no_pytorch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for args in (["-help"], ["train", "-help"], ["sample", CHECKPOINT, "-length", "5", "-gpuid", "-1"]):
        result = subprocess.run([sys.executable, "-m", "pycharrnn", *args], env=environment, capture_output=True)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", ["cli.commands", "training.options", "sampling.options"])
def test_numpy_is_loaded_late(module):
    """Help is quick, and the commands may still say how many threads NumPy's products take."""
    code = f"import sys, pycharrnn.{module}; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("module", ["server.studio.studio", "training.corpus_run", "training.settle"])
def test_pytorch_is_loaded_for_training_alone(module):
    """The studio trains in other processes, and a refusal is quick."""
    code = f"import sys, pycharrnn.{module}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "False\n"


def test_a_command_imports_no_options_but_its_own():
    code = (
        "import sys; from pycharrnn.cli.commands import cli; options = cli.commands['sample'].params\n"
        "print(*(name for name in sys.modules if name.startswith('pycharrnn') and name.endswith('.options')))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout
    assert found == "pycharrnn.sampling.options\n"


def test_version():
    import pycharrnn

    assert run("-version").stdout.decode().split() == ["pycharrnn", pycharrnn.__version__]


def test_launcher_of_a_checkout():
    args = ["sample", CHECKPOINT, "-length", "9", "-gpuid", "-1"]
    ours = subprocess.run([sys.executable, str(ROOT / "cli.py"), *args], capture_output=True)
    assert ours.stdout == run(*args).stdout


# -- flags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [["-temperature", "0.5"], ["-t", "0.5"], ["--temperature", "0.5"], ["-temperature=0.5"], ["-temperature", "5e-1"]],
)
def test_ways_to_write_a_flag(flags):
    plain = CliRunner().invoke(cli, ["sample", CHECKPOINT, "-gpuid", "-1", "-length", "50", "-t", "0.5"]).stdout
    assert CliRunner().invoke(cli, ["sample", *flags, "-gpuid", "-1", CHECKPOINT, "-length", "50"]).stdout == plain


def test_a_primetext_may_look_like_a_flag():
    result = CliRunner().invoke(cli, ["sample", CHECKPOINT, "-primetext", "-1", "-gpuid", "-1", "-verbose", "0"])
    assert result.stdout.startswith("-1")


@pytest.mark.parametrize(
    "args, words",
    [
        (["train", "-rnnsize", "3"], ["no flag -rnnsize", "did you mean -rnn_size?"]),
        (["train", "-rnn_size", "big"], ["-rnn_size needs a whole number, not 'big'"]),
        (["train", "-batch_size", "2.5"], ["-batch_size needs a whole number, not '2.5'"]),
        (["train", "-learning_rate", "fast"], ["-learning_rate needs a number, not 'fast'"]),
        (["sample", CHECKPOINT, "-tmperature", "1"], ["no flag -tmperature", "-temperature?"]),
        (["sample"], ["<model>"]),
        (["sample", CHECKPOINT, "-length"], ["-length"]),
        (["smaple", CHECKPOINT], ["no command 'smaple'; did you mean sample?", "(see pycharrnn -help"]),
        (["train", "-rnn_size"], ["pycharrnn train: ", "(see pycharrnn train -help)"]),
    ],
)
def test_usage_errors(args, words):
    error = sentence(run(*args), 2)
    assert all(word in error for word in words), error


def test_a_path_without_a_command_is_answered_by_one(tmp_path):
    (tmp_path / "my text.txt").write_bytes(b"")
    (tmp_path / "cv").mkdir()
    (tmp_path / "letters").mkdir()
    for ending in ("t7", "safetensors", "json", "html"):
        pycharrnn.load(CHECKPOINT).save(tmp_path / "cv" / f"m.{ending}")
    shutil.copy(tmp_path / "cv" / "m.safetensors", tmp_path / "cv" / "M.SAFETENSORS")
    (tmp_path / "list.json").write_bytes(b"[1, 2]")
    for folder, name in (("exports", "m.onnx"), ("cache", "data.t7")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"")
    with working_in(tmp_path):
        for path, meant in (
            ("my text.txt", f"train {quoted('my text.txt')}"),
            ("letters", "train letters"),
            ("cv", "sample cv"),
            *((f"cv/{name}", f"sample cv/{name}") for name in ("m.t7", "M.SAFETENSORS", "m.json", "m.html")),
            ("list.json", "train list.json"),
            ("exports", "train exports"),
            ("cache", "train cache"),
        ):
            with pytest.raises(click.UsageError) as error:
                cli.main([path], standalone_mode=False)
            assert error.value.format_message() == f"{path!r} is not a command; did you mean pycharrnn {meant}?"


@needs_byte_names
def test_names_of_files_can_not_control_the_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "a\x1b[31m\n\u202e"
    model, text = f"{name}.t7", f"{name}.txt"
    shutil.copy(CHECKPOINT, model)
    Path(text).write_bytes(b"To be, or not to be, that is the question.\n" * 40)
    for words in (
        ["score", model, text, "-html", f"{name}s.html"],
        ["convert", model, f"{name}.json"],
        ["copied", text, "-text", text, "-html", f"{name}c.html"],
        ["sample", model, "-length", "3", "-gpuid", "-1", "-samples", "2", "-o", name],
        ["activations", model, "-primetext", "To be", "-o", f"{name}.html"],
    ):
        printed = CliRunner().invoke(cli, words)
        assert printed.exit_code == 0, printed.output
        assert r"a\x1b[31m\n\u202e" in printed.stdout
        assert not {"\x1b", "\u202e"} & set(printed.output)


@pytest.mark.parametrize("script, command", [("train", "train"), ("inspect_checkpoint", "inspect")])
def test_a_script_of_char_rnn_is_answered_by_its_command(script, command, tmp_path):
    (tmp_path / f"{script}.lua").write_bytes(b"")  # in a copy of char-rnn
    with working_in(tmp_path), pytest.raises(click.UsageError) as error:
        cli.main([f"{script}.lua", "cv/lm_x.t7"], standalone_mode=False)
    assert error.value.format_message() == f"char-rnn's {script}.lua is pycharrnn {command} here."


def test_a_text_without_its_model_and_a_model_after_it(tmp_path):
    (tmp_path / "letter.txt").write_bytes(b"The ")
    (tmp_path / "cv").mkdir()
    for command in ("score", "which"):
        said = sentence(run(command, "letter.txt", cwd=tmp_path), 2)
        assert f"letter.txt is a text: name the model before it, as in pycharrnn {command} cv letter.txt." in said
    (tmp_path / "texts").mkdir()
    shutil.copy(tmp_path / "letter.txt", tmp_path / "texts")
    assert "did you mean cv?" in sentence(run("score", "cvv", "texts", cwd=tmp_path))
    assert "Missing argument '<model>'" in sentence(run("sample", "-primefile", "letter.txt", cwd=tmp_path), 2)
    said = sentence(run("score", "leter.txt", "cv", cwd=tmp_path), 2)
    assert "leter.txt does not exist; the model comes first, as in pycharrnn score cv letter.txt." in said


def test_a_picture_is_not_plotted(tmp_path):
    said = sentence(run("plot", "cv", "losses.png", cwd=tmp_path))
    assert (
        "losses.png is a picture, not a run: give the one to write by -o, as in pycharrnn plot cv -o losses.png."
        in said
    )


def test_an_empty_prompt_is_said(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    done = run("sample", CHECKPOINT, "-primefile", "empty.txt", "-length", "5", "-gpuid", "-1", cwd=tmp_path)
    assert done.returncode == 0 and b"empty.txt is empty: the sample has no prompt." in done.stderr


def test_pytorch_is_loaded_before_the_text_of_a_pipe_is_copied(tmp_path):
    """During an import a signal ends the process at once, which would leave the copy."""
    code = """
import sys
from pycharrnn.text import source_files
needed = {"pycharrnn.training.loop", "pycharrnn.sampling.sample_hook"}
source_files._copied = lambda path, until: sys.exit(not needed <= sys.modules.keys())
from pycharrnn.cli.commands import cli
cli.main(["train", "-"], standalone_mode=False)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, input=b"", capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the folder of a process")
@pytest.mark.parametrize("args", [["doctor"], ["train", "/dev/null"], ["plot", "cv"], ["convert", "cv", "x.t7"]])
def test_a_current_folder_that_was_removed(tmp_path, args):
    (tmp_path / "gone").mkdir()
    code = f"import os; os.rmdir({str(tmp_path / 'gone')!r}); from pycharrnn.cli.commands import main; main({args!r})"
    process = start("-c", code, cwd=tmp_path / "gone", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err == b"pycharrnn: the current folder was removed: change to another one.\n"


def test_a_mistyped_text_is_answered_by_one_that_exists(tmp_path):
    (tmp_path / "letter.txt").write_bytes(b"The ")
    said = sentence(run("score", CHECKPOINT, "leter.txt", cwd=tmp_path))
    assert said == "pycharrnn: can't read leter.txt (No such file or directory); did you mean letter.txt?\n"


@pytest.mark.parametrize(
    "args, words",
    [
        (["-model", "transformer"], ["-model must be lstm, gru or rnn, not transformer"]),
        (["-train_frac", "1.5"], ["-train_frac must be from 0 to 1, not 1.5"]),
        (["-val_frac", "-0.1"], ["-val_frac must be from 0 to 1"]),
        (["-train_frac", "0.9", "-val_frac", "0.2"], ["sum to more than 1"]),
        (
            ["-train_frac", "1", "-val_frac", "0"],
            ["the val split gets none", "a larger -val_frac and a smaller -train_frac."],
        ),
        (["-val_frac", "0"], ["the val split gets none", "use a larger -val_frac."]),
        (
            ["-train_frac", "0", "-val_frac", "1"],
            ["the train split gets none", "a larger -train_frac and a smaller -val_frac."],
        ),
        (["-dropout", "1"], ["-dropout must be at least 0 and less than 1, not 1"]),
        (["-rnn_size", "0"], ["-rnn_size must be at least 1, not 0"]),
        (
            ["-batch_size", "500", "-seq_length", "1000"],
            ["46717 characters", "use at most -batch_size 23 -seq_length 1000."],
        ),
        (["-seq_length", "100000", "-batch_size", "1"], ["use at most -batch_size 1 -seq_length 23358."]),
        (["-learning_rate", "0"], ["-learning_rate must be greater than 0"]),
        (["-exact", "2"], ["-exact must be 0 or 1"]),
        (["-rnn_size", "1e9"], ["-rnn_size 1000000000 with -num_layers 1 takes about", "GB of memory"]),
        (["-rnn_size", "1e300"], ["-rnn_size 1e+300 with", "GB of memory"]),
        (["-rnn_size", "1e9", "-exact", "0", "-dtype", "bfloat16"], ["-rnn_size 1000000000 with", "GB of memory"]),
        (["-num_layers", "1e9"], ["with -num_layers 1000000000 takes about", "GB of memory"]),
        (["-max_epochs", "1e300"], ["-max_epochs must be greater than 0 and at most 1e12, not 1e+300"]),
        (["-seq_length", "1e300"], ["use at most"]),
        (
            ["-val_frac", "0.001", "-train_frac", "0.5"],
            ["most -batch_size 2 -seq_length 20, or a larger -val_frac"],
        ),
    ],
)
def test_bad_training_options(corpus, tmp_path, args, words):
    error = sentence(run("train", "-data_dir", str(corpus), *SMALL, *args, cwd=tmp_path))
    assert all(word in error for word in words), error
    assert not (tmp_path / "cv").exists()
    assert [path.name for path in corpus.iterdir()] == ["input.txt"]  # refused before the text is preprocessed


# -- completion -----------------------------------------------------------------------------------------------------


@pytest.fixture
def launcher(tmp_path) -> dict[str, str]:
    """An environment whose PATH has the command pycharrnn."""
    script = tmp_path / "pycharrnn"
    script.write_bytes(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m pycharrnn "$@"\n'.encode())
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="needs bash, and a POSIX that starts scripts")
@pytest.mark.parametrize(
    "typed, want",
    [
        ("sam", {"sample"}),
        ("sample lm.t7 -prim", {"-primetext", "-primefile"}),
        ("train --data", {"--data_dir"}),
        ("eval lm.t7 -comp", {"-compare"}),
        ("sample -no_such_flag 3 -top", {"-topk", "-topp"}),
        ("sample lm.t7 -primetext -5 -tem", {"-temperature"}),
        ("no_such_command lm", set()),
        ("help sam", {"sample"}),
        ("train -model l", {"lstm"}),
        ("data py", {"pydoc"}),
    ],
)
def test_completion_in_bash(launcher, typed, want):
    words = ["pycharrnn", *typed.split()]
    code = (
        'eval "$(pycharrnn completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        ' _pycharrnn_completion pycharrnn; echo "${COMPREPLY[@]}"'
    )
    result = subprocess.run(["bash", "-c", code, "bash", *words], env=launcher, capture_output=True, text=True)
    assert (set(result.stdout.split()), result.stderr) == (want, "")


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX that starts scripts")
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_elsewhere(launcher, shell):
    """The script, and what it asks of the command."""
    script = subprocess.run(["pycharrnn", "completion", shell], env=launcher, capture_output=True, text=True).stdout
    assert f"_PYCHARRNN_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, capture_output=True).returncode == 0
    words, current = ("pycharrnn sample -prim", "2") if shell == "zsh" else ("pycharrnn sample -prim", "-prim")
    asked = {**launcher, "_PYCHARRNN_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": current}
    answer = subprocess.run(["pycharrnn"], env=asked, capture_output=True, text=True).stdout
    assert "-primetext" in answer
    assert "-primefile" in answer
    assert "-topk" not in answer
    assert "bash, zsh or fish" in run("completion", "-help").stdout.decode()


# -- files -----------------------------------------------------------------------------------------------------------


def test_missing_text(tmp_path):
    assert "there is no folder nowhere: train on a file of yours with pycharrnn train FILE" in sentence(
        run("train", "-data_dir", "nowhere", cwd=tmp_path)
    )
    assert "with pycharrnn data pydoc (or tinyshakespeare, or ulysses)." in sentence(run("train", cwd=tmp_path))
    (tmp_path / "empty").mkdir()
    assert "has no input.txt" in sentence(run("train", "-data_dir", "empty", cwd=tmp_path))
    (tmp_path / "empty" / "input.txt").touch()
    assert "is empty" in sentence(run("train", "-data_dir", "empty", cwd=tmp_path))
    assert [p.name for p in (tmp_path / "empty").iterdir()] == ["input.txt"]


def test_a_file_for_a_folder_and_a_folder_for_a_file(corpus, tmp_path):
    error = sentence(run("train", "-data_dir", str(corpus / "input.txt"), *SMALL, cwd=tmp_path))
    assert "input.txt is a file, not a folder: put it into one as input.txt, or train a new model with" in error
    for command in (["sample"], ["eval"], ["chat"], ["inspect"], ["convert"]):
        assert "has no checkpoint (.t7 or .safetensors)" in sentence(run(*command, str(corpus), cwd=tmp_path))


def test_files_that_are_no_checkpoints(corpus, tmp_path):
    (tmp_path / "pointer.t7").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "is a Git LFS pointer" in sentence(run("sample", "pointer.t7", cwd=tmp_path))
    (tmp_path / "text.t7").write_text("Not Found", encoding="utf-8")
    assert "it is a text of 9 bytes, 'Not Found'" in sentence(run("sample", "text.t7", cwd=tmp_path))
    (tmp_path / "noise.t7").write_bytes(bytes(range(100, 0, -1)))
    assert "it is a file of another program, not a .t7 file" in sentence(run("sample", "noise.t7", cwd=tmp_path))
    save_t7(tmp_path / "table.t7", {b"\n": 1, b"a": 2})
    assert r"a table with '\n', a, not" in sentence(run("sample", "table.t7", cwd=tmp_path))


def test_without_a_command():
    result = run()
    assert result.returncode == 0
    assert result.stdout == run("-help").stdout


def test_init_from_another_vocabulary(tmp_path):
    (tmp_path / "input.txt").write_bytes("The night porter, été\n".encode() * 200)
    error = sentence(run("train", "-data_dir", ".", *SMALL, "-init_from", CHECKPOINT, cwd=tmp_path))
    assert "(73)" in error
    assert "only the checkpoint has" in error
    (tmp_path / "input.txt").write_bytes((GOLDEN / "corpus" / "input.txt").read_bytes() + b"~")
    error = sentence(run("train", "-data_dir", ".", *SMALL, "-init_from", CHECKPOINT, cwd=tmp_path))
    assert "): only the text has '~'; -init_from" in error


def test_unwritable_checkpoint_dir(corpus, tmp_path):
    (tmp_path / "cv").write_text("a file where the folder should be", encoding="utf-8")
    error = sentence(run("train", "-data_dir", str(corpus), *SMALL, cwd=tmp_path))
    assert "can't write checkpoints to cv (it is a file, not a folder): choose another -checkpoint_dir." in error
    (tmp_path / "a.txt").write_text("What a text.\n" * 200, encoding="utf-8")
    error = sentence(run("train", "a.txt", "-checkpoint_dir", "a.txt", cwd=tmp_path))
    assert "can't write checkpoints to a.txt (it is a file" in error
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.name == "nt", reason="other limits of a path")
def test_a_checkpoint_dir_of_too_many_folders(corpus, tmp_path):
    for depth in (1500, 2500):  # the second is longer than a path may be
        error = sentence(run("train", "-data_dir", str(corpus), *SMALL, "-checkpoint_dir", "a/" * depth, cwd=tmp_path))
        assert error.endswith("a/a... (too many folders in folders): choose another -checkpoint_dir.\n")


@pytest.mark.skipif(os.name == "nt", reason="not every user of Windows may make links")
@pytest.mark.parametrize("folder", ["dead", "dead/cv", "dead/"])
def test_a_checkpoint_dir_that_is_a_broken_link(corpus, tmp_path, folder):
    (tmp_path / "dead").symlink_to("nowhere/cv")
    error = sentence(run("train", "-data_dir", str(corpus), *SMALL, "-checkpoint_dir", folder, cwd=tmp_path))
    assert "dead is a link to nowhere/cv, which does not exist: choose another -checkpoint_dir." in error


def test_a_savefile_that_makes_names_too_long(corpus, tmp_path):
    """Said before an epoch is trained: a name has 255 bytes at most."""
    longest = 255 - len("lm__epoch1.00_9.9999.t7")
    args = ["train", "-data_dir", str(corpus), *SMALL, "-max_epochs", "1", "-savefile"]
    error = sentence(run(*args, "\u00e9" * 150, cwd=tmp_path))
    name = "lm_<savefile>_epoch1.00_9.9999.t7"
    assert (
        f"-savefile is too long: the name of a checkpoint, {name}, would have 323 bytes, and a file's name may" in error
    )
    assert not (tmp_path / "cv").exists()
    assert run(*args, "x" * longest, cwd=tmp_path).returncode == 0
    assert "would have 256 bytes" in sentence(run(*args, "x" * (longest + 1), cwd=tmp_path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_checkpoint_dir(corpus, tmp_path):
    (tmp_path / "cv").mkdir(mode=0o500)
    assert "no permission" in sentence(run("train", "-data_dir", str(corpus), *SMALL, cwd=tmp_path))


@pytest.mark.parametrize("command", [["sample"], ["train", "-init_from"]])
def test_missing_checkpoint(corpus, tmp_path, command):
    args = [*command, "lm.t7"] + (["-data_dir", str(corpus), *SMALL] if "train" in command else [])
    error = sentence(run(*args, cwd=tmp_path))
    assert "File lm.t7 does not exist. Are you sure you didn't forget to prepend cv/ ?" in error


def test_a_missing_checkpoint_that_is_in_cv(tmp_path):
    (tmp_path / "cv").mkdir()
    for name in ("lm_epoch1.73_1.9181.t7", "cv/lm_epoch1.73_1.9188.t7"):
        (tmp_path / name).touch()
    error = sentence(run("sample", "lm_epoch1.73_1.9188.t7", cwd=tmp_path))
    assert f"did you mean {os.path.join('cv', 'lm_epoch1.73_1.9188.t7')}?" in error


def test_what_to_do_without_a_model(tmp_path):
    error = sentence(run("sample", "cv", cwd=tmp_path))
    assert "cv does not exist: train a model first, as by `pycharrnn train my_text.txt`" in error
    (tmp_path / "my_text.txt").write_text("The night was long.\n", encoding="utf-8")
    error = sentence(run("sample", "my_text.txt", cwd=tmp_path))
    assert "my_text.txt as a checkpoint: it is a text; `pycharrnn train` makes a model of it" in error
    assert "my_text.txt is a text: plot draws checkpoints" in sentence(run("plot", "my_text.txt", cwd=tmp_path))


@pytest.mark.parametrize("exists", [False, True])
def test_a_file_as_the_folder_of_samples_is_refused(tmp_path, exists):
    poem = tmp_path / ("poem" if exists else "poem.txt")
    if exists:
        poem.write_text("mine", encoding="utf-8")
    error = sentence(run("sample", CHECKPOINT, "-o", str(poem), cwd=tmp_path))
    assert "-o names a folder, not a file: for one file, end the line with > poem.txt" in error
    error = sentence(run("sample", CHECKPOINT, "-o", "mine.t7", cwd=tmp_path))
    assert f"not a model; pycharrnn chat {CHECKPOINT} -learn 1 -o mine.t7 saves a model that has learned" in error
    assert poem.exists() == exists


def test_a_device_as_the_folder_of_samples_is_refused(tmp_path):
    error = sentence(run("sample", CHECKPOINT, "-o", os.devnull, cwd=tmp_path))
    assert "-o names a folder, not a file: for one file, end the line with > poem.txt" in error


def test_a_folder_of_samples_may_be_named_like_a_file(tmp_path):
    (tmp_path / "poems.txt").mkdir()
    args = ["-gpuid", "-1", "-length", "5", "-o", "poems.txt"]
    assert run("sample", CHECKPOINT, *args, cwd=tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "poems.txt").iterdir()] == ["sample_123.txt"]


WHOLE = Path(CHECKPOINT).read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello, this is no checkpoint", WHOLE[:-1], WHOLE[:999]],
    ids=["empty", "words", "a byte too few", "a beginning"],
)
def test_broken_checkpoint(tmp_path, content):
    (tmp_path / "lm.t7").write_bytes(content)
    assert "can't read lm.t7 as a checkpoint" in sentence(run("sample", "lm.t7", cwd=tmp_path))


# -- sampling --------------------------------------------------------------------------------------------------------


def test_primetext_with_an_unknown_character():
    error = sentence(run("sample", CHECKPOINT, "-primetext", "The ünknown", "-gpuid", "-1"))
    assert "'ü'" in error
    result = run("sample", CHECKPOINT, "-primetext", "The ünknown", "-gpuid", "-1", "-verbose", "0")
    assert result.stdout == b""


@needs_byte_names
def test_primetext_of_raw_bytes():
    result = run("sample", CHECKPOINT, "-primetext", b"\xe2\x80", "-length", "1", "-gpuid", "-1", "-verbose", "0")
    assert result.stdout.startswith(b"\xe2\x80")
    assert "0xff" in sentence(run("sample", CHECKPOINT, "-primetext", b"a\xff", "-gpuid", "-1"))


@pytest.mark.parametrize("value", ["0", "-1", "nan"])
def test_temperature(value):
    result = run("sample", CHECKPOINT, "-temperature", value)
    assert "-temperature" in sentence(result, 2 if value == "nan" else 1)


def test_length_zero_goes_on_until_the_stop():
    prime = ["-primetext", "The ", "-hide_prime", "1"]
    sampled = run("sample", CHECKPOINT, "-length", "0", "-stop", " th", "-gpuid", "-1", "-verbose", "0", *prime).stdout
    assert sampled.endswith(b" th\n")
    assert sampled.count(b" th") == 1


@needs_signals
def test_length_zero_goes_on_until_ctrl_c():
    command = [sys.executable, "-m", "pycharrnn", "sample", CHECKPOINT, "-length", "0", "-gpuid", "-1", "-verbose", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, preexec_fn=default_signals, **pipes)
    begun = process.stdout.read(3000)
    process.send_signal(signal.SIGINT)
    rest, error = process.communicate(timeout=300)
    assert process.returncode == 0
    assert rest.endswith(b"\n")
    assert error == b""
    whole = run("sample", CHECKPOINT, "-length", "3000", "-gpuid", "-1", "-verbose", "0").stdout
    assert begun == whole[:3000]


def test_an_extreme_temperature_is_no_traceback():
    result = run("sample", CHECKPOINT, "-temperature", "1e-320", "-length", "5", "-gpuid", "-1", "-verbose", "0")
    assert "-temperature" in sentence(result)


def text(*args: str) -> bytes:
    return run("sample", CHECKPOINT, "-gpuid", "-1", "-verbose", "0", "-length", "300", *args).stdout


def test_topk_and_topp():
    assert text("-topk", "1") == text("-sample", "0")
    assert text("-topk", "1000", "-topp", "1") == text()
    assert text("-topp", "1e-9") == text("-sample", "0")
    assert len(set(text("-topk", "5", "-temperature", "20"))) < len(set(text("-temperature", "20")))
    assert "-topp must be greater than 0 and at most 1" in sentence(run("sample", CHECKPOINT, "-topp", "0"))
    assert "-topk must be at least 0" in sentence(run("sample", CHECKPOINT, "-topk", "-1"))


# -- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("head"), reason="needs head")
def test_a_pipe_that_closes():
    command = f"{sys.executable} -m pycharrnn sample {CHECKPOINT} -length 100000 -gpuid -1 -verbose 0 | head -c 10"
    result = subprocess.run(command, shell=True, capture_output=True, timeout=300)
    assert len(result.stdout) == 10
    assert result.stderr == b""


@pytest.mark.parametrize(
    "args, words",
    [
        (["-beam", "1e9"], "-beam 1000000000 takes about"),
        (["-beam", "1e300"], "-beam 1e+300 takes about"),
        (["-samples", "1e300"], "-samples must be from 1 to 1e12, not 1e+300"),
    ],
)
def test_absurd_sizes_of_samples(args, words):
    assert words in sentence(run("sample", CHECKPOINT, "-gpuid", "-1", "-length", "5", *args))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize(
    "args",
    [["train", "-rnn_size", "3000", "-max_epochs", "1"], ["sample", CHECKPOINT, "-beam", "150000"]],
    ids=" ".join,
)
def test_out_of_memory_is_a_sentence(corpus, tmp_path, args):
    """Sizes that might fit, beside a limit that is lower: whoever allocates finds out."""
    code = (
        "import resource, sys, torch, numpy\n"
        "from pycharrnn.cli import commands\n"
        "from pycharrnn.common import memory\n"
        "memory._main_memory = lambda: float('inf')\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)\n"
        "commands.main()"
    )
    command = [sys.executable, "-c", code, *args, "-gpuid", "-1"]
    command += ["-data_dir", str(corpus)] if args[0] == "train" else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert "pycharrnn: out of memory, " in sentence(result)


# -- files that are read are not written -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ["convert", "a.t7", "a.t7"],
        ["convert", "a.t7", "./x/../a.t7"],
        ["convert", "a.t7", "link.t7"],
        ["convert", "link.t7", "a.t7"],
        ["convert", "a.t7", "hard.t7"],
        ["score", "a.t7", "text.html", "-html", "text.html"],
        ["score", "a.html", "text.html", "-html", "a.html"],
        ["plot", "a.t7", "a.svg", "-o", "a.svg"],
        ["activations", "a.t7", "-primefile", "text.html", "-o", "text.html"],
        ["sample", "a.t7", "-primefile", "sample_124.txt", "-samples", "2", "-o", "."],
        ["sample", "sample_123.txt", "-o", "."],
    ],
    ids=" ".join,
)
def test_what_is_read_is_not_overwritten(tmp_path, args):
    (tmp_path / "x").mkdir()
    for name in ("a.t7", "a.svg", "sample_123.txt"):
        shutil.copy(CHECKPOINT, tmp_path / name)
    pycharrnn.load(CHECKPOINT).save(tmp_path / "a.html")
    (tmp_path / "link.t7").symlink_to("a.t7")
    os.link(tmp_path / "a.t7", tmp_path / "hard.t7")
    for name in ("text.html", "sample_124.txt"):
        (tmp_path / name).write_bytes(b"The night")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert "would overwrite" in sentence(run(*args, cwd=tmp_path))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_samples_beside_their_primetext(tmp_path):
    (tmp_path / "sample_125.txt").write_bytes(b"The night")
    args = ["-gpuid", "-1", "-length", "5", "-primefile", "sample_125.txt", "-o", "."]
    assert run("sample", CHECKPOINT, *args, "-samples", "2", cwd=tmp_path).returncode == 0
    assert (tmp_path / "sample_125.txt").read_bytes() == b"The night"


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_a_link_as_output_is_written_through(tmp_path):
    (tmp_path / "null.t7").symlink_to(os.devnull)
    (tmp_path / "there.t7").write_bytes(b"before")
    (tmp_path / "link.t7").symlink_to("there.t7")
    for name in ("null.t7", "link.t7"):
        assert run("convert", CHECKPOINT, name, "-overwrite", "1", cwd=tmp_path).returncode == 0
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "there.t7").stat().st_size > 1000


# -- signals that end a command --------------------------------------------------------------------------------------


@needs_signals
@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_amid_an_import_is_heard(tmp_path, name, status):
    """Whatever a module that is being imported does with exceptions, as PyTorch's import of NumPy drops them."""
    (tmp_path / "half_imported.py").write_text(
        "import signal\n"
        f"try:\n    signal.raise_signal(signal.{name})\n"
        "except BaseException:\n    print('dropped', flush=True)\n",
        encoding="utf-8",
    )
    code = (
        "import signal\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL if '{name}' != 'SIGINT' else signal.default_int_handler)\n"
        "from pycharrnn.cli import commands\n"
        "from pycharrnn.text import datasets\n"
        "def make(name, say):\n    import half_imported\n"
        "datasets.write = make\n"
        "commands.main()"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    result = subprocess.run([sys.executable, "-c", code, "data", "pydoc"], env=environment, capture_output=True)
    said = "Ctrl-C" if name == "SIGINT" else name
    assert (result.returncode, result.stdout) == (status, b"")
    assert result.stderr.decode() == f"pycharrnn: stopped by {said}.\n"


@needs_signals
@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_leaves_no_half_file(tmp_path, name, status):
    code = (
        "import signal\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL if '{name}' != 'SIGINT' else signal.default_int_handler)\n"
        "from compat import atomic_write\n"
        "from pycharrnn.cli import commands\n"
        f"atomic_write.os.fsync = lambda fd: signal.raise_signal(signal.{name})\n"
        "commands.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, "convert", CHECKPOINT, str(tmp_path / "a.t7")]
    result = subprocess.run(command, env=environment, capture_output=True)
    assert result.returncode == status
    assert result.stderr.decode().strip() == f"pycharrnn: stopped by {'Ctrl-C' if name == 'SIGINT' else name}."
    assert list(tmp_path.iterdir()) == []


@needs_signals
@pytest.mark.parametrize(
    "names, status, is_saved",
    [
        (["SIGTERM"], 143, True),
        (["SIGHUP", "SIGHUP"], 129, True),  # as of a terminal that closes
        (["SIGINT"], 130, True),
        (["SIGTERM", "SIGTERM"], 143, False),
    ],
)
def test_a_signal_does_not_keep_a_chat_from_saving_what_it_learned(tmp_path, names, status, is_saved):
    """It comes while the file is written, after the end of the input."""
    code = (
        "import signal\n"
        "for name in ('SIGTERM', 'SIGHUP'):\n    signal.signal(getattr(signal, name), signal.SIG_DFL)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from compat import atomic_write\n"
        "from pycharrnn.cli import commands\n"
        f"names = {names}\n"
        "def fsync(fd):\n    while names:\n        signal.raise_signal(getattr(signal, names.pop()))\n"
        "atomic_write.os.fsync = fsync\n"
        "commands.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = ["chat", CHECKPOINT, "-learn", "1", "-length", "5", "-o", "a.t7"]
    command = [sys.executable, "-c", code, *words]
    result = subprocess.run(command, env=environment, cwd=tmp_path, input=b"hello\n", capture_output=True)
    said = "Ctrl-C" if names[0] == "SIGINT" else names[0]
    lines = ["pycharrnn: saved a.t7", f"pycharrnn: stopped by {said}."] if is_saved else []
    found = [line for line in result.stderr.decode().splitlines() if line]  # click prints an empty one after ^C
    assert (result.returncode, found) == (status, lines)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["a.t7"] * is_saved


def test_float32_is_close_to_exact(corpus, tmp_path):
    def last_loss(*args: str) -> float:
        result = run("train", "-data_dir", str(corpus), *SMALL, "-max_epochs", "1", *args, cwd=tmp_path)
        return float(result.stdout.decode().rsplit("saving checkpoint to", 1)[1].split("_")[3].split(".t7")[0])

    assert last_loss("-exact", "0") == pytest.approx(last_loss("-exact", "1"), rel=5e-3)


def test_forget_bias_0_leaves_biases_as_drawn(corpus, tmp_path):
    from pycharrnn.checkpoints import checkpoint

    args = ["train", "-data_dir", str(corpus), *SMALL, "-max_epochs", "0.01", "-forget_bias", "0"]
    result = run(*args, cwd=tmp_path)
    assert b"setting forget gate" not in result.stdout
    (path,) = tmp_path.glob("cv/*_epoch*.t7")
    loaded = checkpoint.load(path)
    assert abs(loaded.network.weights["i2h_1.bias"][8:16]).max() < 0.2
    assert loaded.opt["forget_bias"] == 0
    assert "exact" not in loaded.opt


def test_old_exp_is_recorded_and_gives_the_loss_of_eval(corpus, tmp_path):
    from pycharrnn.checkpoints import checkpoint

    # With this rate, probabilities differ enough for eight decimals to show it.
    args = ["train", "-data_dir", str(corpus), *SMALL, "-max_epochs", "0.1", "-learning_rate", "0.1", "-old_exp", "1"]
    assert run(*args, cwd=tmp_path).returncode == 0
    (path,) = tmp_path.glob("cv/*_epoch*.t7")
    loaded = checkpoint.load(path)
    assert loaded.opt["old_exp"] == 1
    with_it, without = (run("eval", str(path), "-old_exp", switch) for switch in "10")
    recorded = b"%.8f nats per character (val_loss in the checkpoint: %.8f)" % (loaded.val_loss, loaded.val_loss)
    assert recorded in with_it.stdout and with_it.stderr == b""
    assert recorded not in without.stdout
    assert b"was trained with -old_exp 1: add it for the losses of that training." in without.stderr
    refused = run(*args, "-exact", "0", cwd=tmp_path)
    assert sentence(refused) == "pycharrnn: -old_exp 1 is for char-rnn's digits, in float64: use -exact 1.\n"


def test_no_gpu_falls_back_on_the_cpu(corpus, tmp_path, monkeypatch):
    from pycharrnn.engine import device

    monkeypatch.setattr(device, "_might_have_gpu", lambda: False)
    messages: list[str] = []
    assert device.choose(0, 0, messages.append) == "cpu"
    assert "Falling back on CPU mode" in messages
    assert device.choose(-1, 0, messages.append) == "cpu"
    assert len(messages) == 2


@pytest.mark.skipif(os.name == "nt", reason="names of files have no control characters there")
def test_control_characters_of_names_are_escaped(tmp_path):
    """A line break would make two lines of a message, and escape codes would reach the terminal."""
    name = "new\nline\x1b[31m.txt"
    (tmp_path / name).write_bytes(b"The night was long.\n")
    assert r"can't read new\nline\x1b[31m.txt as a checkpoint" in sentence(run("inspect", name, cwd=tmp_path))
    model = str(GOLDEN / "variants" / "float.t7")
    out = run("sample", model, "-gpuid", "-1", "-length", "3", "-primefile", name, cwd=tmp_path).stdout
    assert rb"seeding with the text of new\nline\x1b[31m.txt" in out


def test_wrong_turns_are_answered_by_the_way(tmp_path):
    model = str(GOLDEN / "variants" / "float.t7")
    text = tmp_path / "letter.txt"
    text.write_text("The night was long.\n", encoding="utf-8")
    assert "letter.txt is a text: use pycharrnn score " in sentence(run("eval", model, str(text)), 2)
    assert "text, or several. - = standard input" in sentence(run("score", model), 2)
    assert "or name its file: -primefile " in sentence(run("activations", model, str(text)), 2)
    assert f"{model} was trained, is not here: copy it from where the model was trained, or" in sentence(
        run("eval", model, cwd=tmp_path)
    )
    (tmp_path / "cv").mkdir()
    (tmp_path / "data" / "corpus").mkdir(parents=True)
    shutil.copy(text, tmp_path / "data" / "corpus" / "input.txt")
    error = sentence(run("eval", model, cwd=tmp_path / "cv"))
    assert (
        f"corpus/input.txt, on which {model} was trained, is not here: go to the folder above, which has it, or"
        in error
    )
