"""What -help prints of every command: by purpose, and as wide as the terminal."""

from __future__ import annotations

import dataclasses
import re
import sys

import pytest
from click.testing import CliRunner
from conftest import GOLDEN, run, sentence

from pycharrnn.cli.commands import cli
from pycharrnn.cli.help_layout import default_as_text
from pycharrnn.common.option_fields import GROUPS

COMMANDS = sorted(cli.commands)
FLAG = re.compile(r"(?P<mark>[* ]) (?P<flag>-\w+)(?:, -\w+)?(?P<value>(?: [^ ]+)?)(?:  +(?P<text>\S.*))?")


def help_of(name: str, width: int, monkeypatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    return CliRunner().invoke(cli, [name, "-help"], prog_name="pycharrnn").stdout


def flags_in(text: str) -> dict[str, tuple[bool, str, str]]:
    """flag -> (whether it is marked as char-rnn's, what stands for its value, its help on one line)."""
    found: dict[str, tuple[bool, str, str]] = {}
    last = None
    for line in text.splitlines():
        match = FLAG.fullmatch(line)
        if match:
            last = match["flag"]
            found[last] = (match["mark"] == "*", match["value"].strip(), match["text"] or "")
        elif last and line.startswith("      "):
            mark, value, before = found[last]
            found[last] = (mark, value, f"{before} {line.strip()}".strip())
        else:
            last = None
    return found


@pytest.mark.parametrize("width", [45, 80, 100, 250])
@pytest.mark.parametrize("name", ["train", "sample"])
def test_the_originals_flags_are_marked_and_have_its_words(name, width, monkeypatch):
    """Every option line of the original's -help is there, without the [] of an empty default; no other is marked."""
    recorded = (GOLDEN / "help" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    theirs = dict(re.fullmatch(r"  (-\w+) +(\S.*)", line).groups() for line in recorded if line.startswith("  -"))
    ours = {flag: text for flag, (mark, _, text) in flags_in(help_of(name, width, monkeypatch)).items() if mark}
    assert ours == {flag: text.removesuffix(" []") for flag, text in theirs.items()}
    assert {"-seed", "-gpuid"} <= ours.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_there_with_its_value(name, monkeypatch):
    options = cli.commands[name].options
    found = flags_in(help_of(name, 250, monkeypatch))
    fields = {f"-{field.name}": field for field in dataclasses.fields(options)} if options else {}
    assert found.keys() == fields.keys()
    for flag, (_, value, text) in found.items():
        assert value
        assert text.startswith(fields[flag].metadata["help"].strip())
        assert "[]" not in text


@pytest.mark.parametrize("width, most", [(20, 40), (40, 40), (63, 63), (80, 80), (100, 100), (250, 100)])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_than_the_terminal(name, width, most, monkeypatch):
    assert max(map(len, help_of(name, width, monkeypatch).splitlines())) <= most


@pytest.mark.parametrize(
    "name, words",
    [
        ("sample", "[options] <model>"),
        ("score", "[options] <model> <file>..."),
        ("convert", "[options] <in>... [<out>]"),
        ("train", "[options] [<text>...]"),
        ("plot", "[options] <run>..."),
        ("activations", "[options] <model>"),
        ("serve", "[options] <model>..."),
        ("help", "[<command>]"),
        ("doctor", ""),
    ],
)
def test_what_follows_the_command(name, words, monkeypatch):
    assert help_of(name, 100, monkeypatch).splitlines()[0] == f"Usage: pycharrnn {name} {words}".rstrip()


def test_the_checkpoint_of_a_folder_is_said(monkeypatch):
    """For -init_from below the flags, since the help of a flag of char-rnn is char-rnn's."""
    said = " ".join(help_of("train", 80, monkeypatch).split())
    assert "-init_from DIR takes the best checkpoint of the run that trained last. Recipes;" in said


def test_headings_stand_in_one_order(monkeypatch):
    titles = [*GROUPS.values()]
    for name in COMMANDS:
        found = [line for line in help_of(name, 100, monkeypatch).splitlines() if line in titles]
        assert found == [title for title in titles if title in found]
        assert bool(found) == bool(cli.commands[name].options)


def test_the_width_is_80_in_a_pipe(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    for command in ("train", "-help"), ("-help",):
        assert max(map(len, run(*command).stdout.decode().splitlines())) in range(75, 81)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudoterminal")
def test_the_width_is_that_of_the_terminal(tmp_path, monkeypatch):
    from terminal import Terminal

    monkeypatch.delenv("COLUMNS", raising=False)
    with Terminal("sample", "-help", cwd=tmp_path, columns=60, rows=100) as terminal:
        assert terminal.end() == 0
    assert max(map(len, terminal.output.decode().splitlines())) in range(55, 61)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_a_command_too(name):
    assert run("help", name).stdout == run(name, "-help").stdout != b""


def test_help_of_all_and_of_what_is_not_there():
    assert run("help").stdout == run("-help").stdout
    hint = "did you mean train? (see pycharrnn -help)\n"
    assert sentence(run("help", "trian"), 2) == f"pycharrnn: there is no command 'trian'; {hint}"


def test_what_a_line_without_room_looks_like(monkeypatch):
    """A flag that is longer than its column has a line of its own; in a narrow terminal, every flag has."""
    wide, narrow = (help_of("train", width, monkeypatch).splitlines() for width in (100, 45))
    at = wide.index("* -learning_rate_decay_after EPOCHS")
    assert wide[at + 1].strip() == "in number of epochs, when to start decaying the learning rate [10]"
    at = narrow.index("* -dropout X")
    assert narrow[at + 1] == "      dropout for regularization, used after"


@pytest.mark.parametrize(
    "default, text",
    [
        (None, None),
        (0, "0"),
        (0.97, "0.97"),
        (1e-10, "1e-10"),
        (123456, "123456"),
        ("", ""),
        ("cv", "cv"),
    ],
)
def test_defaults_as_text(default, text):
    assert default_as_text(default) == text
