"""Words of proposed commands, in the quotes of the user's shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from pycharrnn.cli.commands import cli
from pycharrnn.common import display, shell_words
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import print_nothing
from pycharrnn.text import text_stats
from pycharrnn.text.loader import CharSplitLMMinibatchLoader


@pytest.fixture
def on_windows(monkeypatch) -> None:
    monkeypatch.setattr(os, "name", "nt")


@pytest.mark.skipif(os.name == "nt", reason="quotes of a POSIX shell")
@pytest.mark.parametrize("word", ["", "my cv", "a'b", "R&D", "-0.5", "a\\b"])
def test_a_shell_of_posix_reads_the_word(word):
    assert shlex.split(shell_words.quoted(word)) == [word]


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    "name",
    [b"a\nb", b"\t", b"\xff1", b"caf\xe9 d'or\\x", b"\x1b[0m", "ü\x85".encode(), "a\u202eb\u3000c".encode()],
)
def test_bash_reads_the_name_of_any_file(name, monkeypatch):
    """From a message that holds neither control characters nor bytes that are not UTF-8."""
    monkeypatch.setattr(os, "name", "posix")
    word = shell_words.quoted(name.decode("utf-8", "surrogateescape"))
    assert display.escape_controls(word).encode() == word.encode()
    assert subprocess.run(["bash", "-c", f"printf %s {word}"], stdout=subprocess.PIPE, check=True).stdout == name


@pytest.mark.parametrize("word", ["", "my cv", "my cv\\", 'my "cv"', 'a b\\"', "a \\b"])
def test_programs_of_windows_read_the_word(word, on_windows):
    """As Python's own module writes it for them."""
    assert shell_words.quoted(word) == subprocess.list2cmdline([word])


@pytest.mark.parametrize(
    "word, wanted",
    [
        (r"cv\lm_lstm_best.t7", r"cv\lm_lstm_best.t7"),
        ("0.3:1.2", "0.3:1.2"),
        ("R&D", '"R&D"'),
        ("R&D\\", '"R&D\\\\"'),
        ("it's", '"it\'s"'),
        ("a,b", '"a,b"'),
        ("Ночь", "Ночь"),
    ],
)
def test_its_shells_take_no_word_for_more(word, wanted, on_windows):
    assert shell_words.quoted(word) == wanted


def test_a_command(monkeypatch):
    monkeypatch.setattr(os, "name", "posix")
    assert shell_words.joined(["train", "my cv", "x"]) == "train 'my cv' x"
    monkeypatch.setattr(os, "name", "nt")
    assert shell_words.joined(["train", "my cv", "x"]) == 'train "my cv" x'


def test_a_path_is_no_flag():
    words = {"-x.html": "./-x.html", "cv/-x.t7": "cv/-x.t7", "/-x": "/-x", "-": "-"}
    assert {path: shell_words.operand(path) for path in words} == words


@pytest.mark.parametrize("system, words", [("posix", "train 'my texts' trains"), ("nt", 'train "my texts" trains')])
def test_a_message_proposes_what_can_be_typed(tmp_path, monkeypatch, system, words):
    (tmp_path / "my texts").mkdir()
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as as_there:  # pytest's report of a failure takes paths of this system
        as_there.setattr(os, "name", system)
        with pytest.raises(UserError) as error:
            text_stats.input_size("my texts")
    assert f"; pycharrnn {words} on the texts in it" in str(error.value)


@pytest.mark.skipif(os.name == "nt", reason="quotes of a POSIX shell")
@pytest.mark.parametrize("folder", ["-d", "a\u3000b", "it's"])
def test_a_proposed_command_names_the_folder_so_that_it_works(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "input.txt").write_bytes(b"abc" * 99)
    CharSplitLMMinibatchLoader(folder, 2, 3, (0.9, 0.1, 0), say=print_nothing)
    (tmp_path / folder / "input.txt").unlink()
    command = proposed(["train", "-data_dir", folder])
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert (tmp_path / folder / "input.txt").read_bytes() == b"abc" * 99
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    assert proposed(["train", "-data_dir", folder])[:2] == ["train", shell_words.operand(folder)]


def proposed(args: list[str]) -> list[str]:
    """The words after the first `pycharrnn` in the error of a command."""
    message = str(CliRunner().invoke(cli, args).exception)
    return shlex.split(message.partition("pycharrnn ")[2].partition(" writes it")[0])
