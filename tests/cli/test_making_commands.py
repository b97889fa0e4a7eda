"""What train, sample, chat, serve and data print and hand on; what they make is tested where it is made."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import GOLDEN, ROOT

from pycharrnn.checkpoints import checkpoint, checkpoint_facts
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine import device
from pycharrnn.sampling import inference, sample_files
from pycharrnn.sampling.predictor import Predictor
from pycharrnn.text import datasets
from pycharrnn.training import loop

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
RULE = "--------------------------"


def printed(*args: str, **keywords) -> list[str]:
    """The lines on stdout; an error is raised."""
    return CliRunner().invoke(cli, args, catch_exceptions=False, **keywords).stdout.split("\n")


def sample(*args: str) -> list[str]:
    return printed("sample", CHECKPOINT, "-gpuid", "-1", "-length", "9", "-sample", "0", *args)


def test_what_sample_says(tmp_path):
    (tmp_path / "prime").write_bytes(b"The ")
    head, missing = "creating an lstm...", "missing seed text, using uniform probability over first character"
    seen = sample("-primetext", "The ")
    assert seen[:3] == [head, "seeding with The ", RULE]
    text = seen[3:]
    assert text[0].startswith("The ")
    assert text[-1] == ""
    assert sample("-primetext", "The ", "-verbose", "0") == text
    file = str(tmp_path / "prime")
    assert sample("-primefile", file) == [head, f"seeding with the text of {file}", RULE, *text]
    assert sample()[:3] == [head, missing, RULE]
    (tmp_path / "prime").write_bytes(b"\xef\xbb\xbfThe ")  # a byte order mark, as some editors write it
    assert sample("-primefile", file) == [head, f"seeding with the text of {file}", RULE, *text]
    left_out = "left out of the primetext: the character '~', which the model has never seen"
    ignoring = ("-ignore_bad_primetext", "1")
    assert sample("-primetext", "T~h~e ", *ignoring) == [head, left_out, "seeding with The ", RULE, *text]
    assert sample("-primetext", "The ", *ignoring) == [head, "seeding with The ", RULE, *text]


@pytest.mark.parametrize("more", [(), ("-samples", "2")])
def test_a_sample_of_a_text_ends_with_a_whole_character(tmp_path, more):
    """Else an editor takes it for a file in another encoding. With -data_dir all bytes are printed, as in char-rnn."""
    loaded = checkpoint.load(CHECKPOINT)
    vocab = {b"\xf0" if character == b" " else character: number for character, number in loaded.vocab.items()}
    outputs = {}
    for from_texts in (0, 1):
        path = str(tmp_path / f"{from_texts}.t7")
        changed = dataclasses.replace(loaded, vocab=vocab, opt={**loaded.opt, checkpoint_facts.FROM_TEXTS: from_texts})
        checkpoint.convert(changed, path)
        arguments = ["sample", path, "-gpuid", "-1", "-length", "3", "-primetext", "he", "-sample", "0", *more]
        outputs[from_texts] = (
            CliRunner().invoke(cli, [*arguments, "-verbose", "0"], catch_exceptions=False).stdout_bytes
        )
    count = 2 if more else 1
    assert outputs == {0: b"he\xf0t\xf0\n" * count, 1: b"he\xf0t\n" * count}


def test_a_primefile_of_a_text_is_read_as_in_training(tmp_path):
    """In any encoding. With -data_dir its bytes are read as they are, as in char-rnn."""
    loaded = checkpoint.load(CHECKPOINT)
    path, prime = str(tmp_path / "text.t7"), tmp_path / "prime.txt"
    checkpoint.convert(dataclasses.replace(loaded, opt={**loaded.opt, checkpoint_facts.FROM_TEXTS: 1}), path)
    base = ["-gpuid", "-1", "-verbose", "0", "-length", "40", "-sample", "0"]
    want = printed("sample", path, *base, "-primetext", "The caf\u00e9\nis ")
    prime.write_bytes("The caf\u00e9\r\nis ".encode("cp1252"))
    found = CliRunner().invoke(cli, ["sample", path, *base, "-primefile", str(prime)], catch_exceptions=False)
    assert found.stdout.split("\n") == want
    assert found.stderr.endswith("prime.txt: read as cp1252; -text_encoding overrules this.\n")
    prime.write_bytes("The caf\u00e9\nis ".encode("cp437"))
    assert printed("sample", path, *base, "-primefile", str(prime), "-text_encoding", "cp437") == want
    for model, more, why in (
        (CHECKPOINT, [], "(byte 0x82)"),
        (path, ["-text_encoding", "bytes"], "(byte 0x82)"),
        (CHECKPOINT, ["-text_encoding", "cp437"], "-text_encoding cp437 is for models of pycharrnn train FILE"),
    ):
        result = CliRunner().invoke(cli, ["sample", model, *base, "-primefile", str(prime), *more])
        assert isinstance(result.exception, UserError) and why in str(result.exception)


def with_backslash(tmp_path) -> str:
    """CHECKPOINT, which has no backslash, with one in the place of &."""
    loaded = checkpoint.load(CHECKPOINT)
    vocab = {b"\\" if character == b"&" else character: number for character, number in loaded.vocab.items()}
    path = tmp_path / "model.safetensors"
    checkpoint.convert(dataclasses.replace(loaded, vocab=vocab), path)
    return str(path)


def test_escapes_in_a_stop_and_a_primetext(tmp_path):
    base = ("-gpuid", "-1", "-verbose", "0", "-seed", "4", "-length", "400")
    for model in (CHECKPOINT, with_backslash(tmp_path)):
        want = printed("sample", model, *base, "-primetext", "\n")
        assert printed("sample", model, *base, "-primetext", r"\n") == want
        assert printed("sample", model, *base, "-primetext", "\n", "-stop", r"\n") == [*want[:2], "", ""]


def test_a_primetext_with_an_escape_within_is_char_rnns_unless_that_would_fail(tmp_path):
    base = ("-gpuid", "-1", "-verbose", "0", "-length", "9", "-primetext")
    assert printed("sample", CHECKPOINT, *base, r"The\nend") == printed("sample", CHECKPOINT, *base, "The\nend")
    assert printed("sample", with_backslash(tmp_path), *base, r"The\nend")[0].startswith(r"The\nend")


def test_a_stop_that_can_not_come_is_refused_before_the_sample(tmp_path):
    for more in ((), ("-beam", "2"), ("-samples", "2"), ("-o", str(tmp_path / "new"))):
        result = CliRunner().invoke(
            cli, ["sample", CHECKPOINT, "-gpuid", "-1", "-length", "9", "-stop", "the ~", *more]
        )
        assert isinstance(result.exception, UserError) and result.stdout == ""
        assert str(result.exception).startswith("-stop never occurs: it has the character")
    assert not (tmp_path / "new").exists()


def test_samples_say_where_they_are(tmp_path):
    folder = str(tmp_path / "new" / "samples")
    one = f"saved {os.path.join(folder, 'sample_123.txt')}"
    for more in ((), ("-overwrite", "1")):  # into a new folder, and into one that is there
        assert sample("-o", folder, *more)[-2:] == [one, ""]
        two = f"saved {os.path.join(folder, 'sample_124.txt')}"
        assert sample("-o", folder, "-samples", "2", "-overwrite", "1")[-3:] == [one, two, ""]
    lines = sample("-samples", "2")
    assert [line for line in lines if line.startswith("-------- ")] == ["-------- -seed 123", "-------- -seed 124"]


@pytest.mark.parametrize("args", [[], ["-samples", "2"], ["-beam", "2"], ["-o", "folder"]])
def test_a_primetext_is_refused_before_anything_is_printed_or_made(tmp_path, monkeypatch, args):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["sample", CHECKPOINT, "-gpuid", "-1", "-primetext", "The \u00fc", *args])
    assert isinstance(result.exception, UserError)
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args, live, streams",
    [([], True, 1), (["-beam", "3"], True, 3), (["-o", "."], False, 1), (["-beam", "3", "-o", "."], False, 3)],
)
def test_a_sample_is_shown_while_it_is_drawn(monkeypatch, tmp_path, args, live, streams):
    monkeypatch.chdir(tmp_path)
    asked = []
    make = inference.make_predictor
    monkeypatch.setattr(sample_files, "write_sample", lambda out, opt, stream, live, **more: asked.append(live))
    monkeypatch.setattr(inference, "make_predictor", lambda *made: asked.append(made[1:]) or make(*made))
    sample(*args)
    assert asked == [("cpu", streams), live]


@pytest.mark.parametrize(
    "seed, same",
    [("-1", "4294967295"), ("4294967296", "0"), ("-4294967173", "123"), ("12345678901", "3755744309")],
    ids=["-1", "2^32", "wide", "11 digits"],
)
@pytest.mark.parametrize("command", [["sample"], ["chat"]], ids=["sample", "chat"])
def test_a_seed_beyond_the_generators_is_explained(command, seed, same):
    """sample.lua takes any, and so do we."""
    args = [*command, CHECKPOINT, "-gpuid", "-1", "-length", "20", "-seed"]
    ours, theirs = (CliRunner().invoke(cli, [*args, number], input="The night\n") for number in (seed, same))
    assert ours.exit_code == theirs.exit_code == 0
    assert ours.stdout == theirs.stdout != ""
    assert ours.stderr == f"pycharrnn: -seed {seed} is the same as -seed {same}: Torch7 counts seeds modulo 2^32.\n"
    assert theirs.stderr == ""


@pytest.mark.parametrize("command", ["sample", "chat"])
def test_the_device_is_the_one_asked_for(monkeypatch, command):
    asked = []
    monkeypatch.setattr(device, "choose", lambda gpuid, opencl, say: asked.append((gpuid, opencl)) or "cpu")
    printed(command, CHECKPOINT, "-gpuid", "3", "-opencl", "1", "-length", "2", input="")
    assert asked == [(3, 1)]


def test_train_knows_which_flags_were_given(monkeypatch):
    asked = []
    monkeypatch.setattr(loop, "train", lambda opt, given, **named: asked.append((opt, given)))
    printed("train", "-rnn_size", "5", "--gpuid=-1", "-seed", "123")
    ((opt, given),) = asked
    assert (opt.rnn_size, opt.gpuid, opt.seed, opt.num_layers) == (5, -1, 123, 2)
    assert given == {"rnn_size", "gpuid", "seed"}


def test_data_makes_what_is_named(monkeypatch):
    monkeypatch.setattr(datasets, "write", lambda name, say: say(f"making {name}"))
    assert printed("data", "ulysses") == ["making ulysses", ""]


def test_chat_in_a_pipe_prints_answers_only(monkeypatch):
    result = CliRunner().invoke(cli, ["chat", CHECKPOINT, "-gpuid", "-1", "-length", "5"], input="~The~\n\nyes\n")
    assert result.exit_code == 0
    assert ">" not in result.stdout
    assert len(result.stdout) >= 3
    left_out = "pycharrnn: left out: the character '~', which the model has never seen\n"
    assert result.stderr == left_out
    result = CliRunner().invoke(cli, ["chat", CHECKPOINT, "-gpuid", "-1", "-length", "5"], input="The~#\n")
    assert result.stderr == left_out.replace("character '~'", "characters '~' and '#'")
    asked = []
    monkeypatch.setattr(sample_files, "write_sample", lambda out, opt, stream, live, **more: asked.append(live))
    printed("chat", CHECKPOINT, "-gpuid", "-1", input="a\nb\n")
    assert asked == [True, True]


def test_chat_with_a_model_without_newlines(tmp_path):
    loaded = checkpoint.load(CHECKPOINT)
    vocab = {b"\x01" if character == b"\n" else character: number for character, number in loaded.vocab.items()}
    checkpoint.convert(dataclasses.replace(loaded, vocab=vocab), tmp_path / "a.safetensors")
    command = ["chat", str(tmp_path / "a.safetensors"), "-gpuid", "-1", "-length", "5"]
    assert len(CliRunner().invoke(cli, command, input="The\n").stdout) >= 5
    refused = CliRunner().invoke(cli, [*command, "-stop", r"\n"], input="The\n").exception
    assert str(refused).startswith("-stop never occurs: it has the character")


def test_chat_explains_an_empty_answer_once(monkeypatch):
    """A text with an empty line after each paragraph has them."""
    newline = checkpoint.load(CHECKPOINT).vocab[b"\n"] - 1

    class Newlines(Predictor):
        vocab_size, num_streams, select_streams = len(checkpoint.load(CHECKPOINT).vocab), 1, None

        def read(self, token_ids):
            return np.where(np.arange(self.vocab_size) == newline, 0.0, -1e9)[None, None]

    monkeypatch.setattr(inference, "make_predictor", lambda *given: Newlines())
    result = CliRunner().invoke(cli, ["chat", CHECKPOINT, "-gpuid", "-1"], input="The\nnight\n")
    assert result.stdout == 2 * "\n"  # a line for each answer
    explained = r'pycharrnn: the answer is an empty line; with -stop "\n\n" an answer ends at an empty line.'
    assert result.stderr == explained + "\n"


def test_chat_on_a_terminal_prompts(tmp_path):
    pytest.importorskip("pyte", reason="pyte is not installed")
    if os.name == "nt":
        pytest.skip("pseudo-terminals of POSIX")
    from terminal import Terminal

    args = ["chat", CHECKPOINT, "-gpuid", "-1", "-length", "5"]
    with Terminal(*args, cwd=tmp_path, PYTHONUNBUFFERED="") as terminal:
        terminal.read(lambda: b"> " in terminal.output)
        assert terminal.lines() == ["pycharrnn: type a line, and the model answers; Ctrl-D ends the chat.", ">"]
        terminal.type(b"The night\n")
        terminal.read(lambda: terminal.output.count(b"> ") == 2)
        terminal.type(b"\x04")  # Ctrl-D
        assert terminal.end() == 0
        assert terminal.output.count(b"ends the chat") == 1


@pytest.mark.parametrize("name", ["fastapi", "h11", "pydantic", "starlette", "uvicorn", "another"])
def test_serve_names_the_extra_that_is_missing(tmp_path, name):
    """And hides no other import that fails."""
    (tmp_path / "fastapi.py").write_text(
        f"raise ModuleNotFoundError('no {name}', name='{name}.part')", encoding="utf-8"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pycharrnn", "serve", CHECKPOINT],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    if name == "another":
        assert "ModuleNotFoundError: no another" in result.stderr
    else:
        assert result.stderr.startswith('pycharrnn: the page needs more packages: pip install "fastapi')
