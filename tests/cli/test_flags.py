"""How flags are read, completed and shown, on a command that has one of each kind."""

from __future__ import annotations

import dataclasses
import os

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from pycharrnn.cli import flag_types
from pycharrnn.cli.command_group import Group
from pycharrnn.cli.commands import cli
from pycharrnn.cli.flag_types import FILE, Files
from pycharrnn.cli.flags import HELP, Command
from pycharrnn.common import shell_words
from pycharrnn.common.option_fields import SWITCH, Ramp, option


@dataclasses.dataclass
class Options:
    whole: int = option(3, "a whole number", group="model", charrnn=True)
    rate: float = option(2e-3, "a number", group="model", short="r", charrnn=True)
    ramp: Ramp = option(1, "a ramp", group="model", charrnn=True)
    name: str = option("", "a name", group="display", charrnn=True)
    folder: str = option("cv", "a folder", group="text", path="dir", charrnn=True)
    own: int = option(0, "not the original's", group="text", allowed=SWITCH)


got: dict[str, object] = {}


@click.group(cls=Group, context_settings={"help_option_names": list(HELP)})
def program():
    pass


@program.command(
    "go", cls=Command, options=f"{__name__}.Options", arguments=[("file", "what to read")], help="Go somewhere"
)
@click.argument("file", metavar="<file>", type=FILE)
def go(**values):
    got.clear()
    got.update(values)


@program.command("stop", cls=Command)
def stop():
    """Stop
    at once"""


@click.command("read", cls=Command)
@click.argument("files", cls=Files)
def read(**values):
    got.clear()
    got.update(values)


def values(*args: str) -> dict[str, object]:
    result = CliRunner().invoke(program, ["go", *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return dict(got)


def fault(*args: str) -> str:
    with pytest.raises(click.UsageError) as error:
        program.main(list(args), standalone_mode=False)
    return error.value.format_message()


def test_defaults():
    wanted = {"whole": 3, "rate": 2e-3, "ramp": 1, "name": "", "folder": "cv", "own": 0, "file": "x"}
    assert values("x") == wanted


@pytest.mark.parametrize(
    "text, number", [("50", 50), ("50.0", 50), ("5e1", 50), ("-7", -7), ("0x32", 50), ("-0X7", -7)]
)
def test_whole_numbers(text, number):
    found = values("-whole", text, "x")["whole"]
    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize("text", ["2.5", "nan", "inf", "many", ""])
def test_no_whole_numbers(text):
    assert fault("go", "-whole", text, "x") == f"-whole needs a whole number, not {text!r}."


@pytest.mark.parametrize("text, wanted", [("0.5", 0.5), ("0.3:1.2", (0.3, 1.2)), ("1:0.5", (1, 0.5)), ("5e-1", 0.5)])
def test_ramps(text, wanted):
    assert values("-ramp", text, "x")["ramp"] == wanted


@pytest.mark.parametrize("text, part", [("1:2:3", "1:2:3"), ("1:", ""), ("a:2", "a"), ("nan", "nan")])
def test_no_ramps(text, part):
    assert fault("go", "-ramp", text, "x") == f"-ramp needs a number, not {part!r}."


def test_ways_to_write_a_flag():
    for args in (["-rate", "5"], ["--rate", "5"], ["-r", "5"], ["--rate=5"], ["-rate=5"]):
        assert values(*args, "x")["rate"] == 5
        assert values("x", *args)["rate"] == 5
    assert values("-name", "-nowhere", "x")["name"] == "-nowhere"
    assert values("--", "-nowhere")["file"] == "-nowhere"
    assert values("-")["file"] == "-"


@pytest.mark.parametrize("on_windows", [False, True])
def test_patterns_for_files(tmp_path, monkeypatch, on_windows):
    """Windows' shells hand them on as they are; others have expanded them, or were told not to."""
    for name in ("b.t7", "a.t7", "c.txt", "d[1].t7"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr(flag_types, "_SHELL_FINDS_FILES", not on_windows)
    monkeypatch.chdir(tmp_path)

    def files(*args: str) -> list[str]:
        assert CliRunner().invoke(read, args, catch_exceptions=False).exit_code == 0
        return list(got["files"])

    assert files("c.txt", "*.t7", "?.none", "d[1].t7", "-", "~") == [
        "c.txt",
        *(["a.t7", "b.t7", "d[1].t7"] if on_windows else ["*.t7"]),
        "?.none",
        "d[1].t7",
        "-",
        "~",
    ]
    assert files("d[1].*") == (["d[1].t7"] if on_windows else ["d[1].*"])
    assert files() == []


def test_unknown_flags_are_named_whole():
    assert fault("go", "-rte", "5", "x") == "there is no flag -rte; did you mean -rate?"
    assert fault("go", "-rat=5", "x") == "there is no flag -rat; did you mean -rate?"
    assert fault("go", "-own", "1", "-whle", "x") == "there is no flag -whle; did you mean -whole?"
    assert fault("go", "-zzz", "x") == "there is no flag -zzz."
    assert fault("go", "x", "-whole", "3", "-whle", "3") == "there is no flag -whle; did you mean -whole?"


def test_a_file_with_the_name_of_a_flag(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-lead.txt").touch()
    (tmp_path / "-c5").mkdir()
    assert fault("go", "-lead.txt") == "there is no flag -lead.txt; for the file of this name, write ./-lead.txt."
    assert fault("go", "-c5") == "there is no flag -c5; for the folder of this name, write ./-c5."


def test_unknown_commands():
    assert fault("leave") == "there is no command 'leave'; there are go, stop."
    assert fault("goo") == "there is no command 'goo'; did you mean go?"
    assert fault("STOP", "-help") == "there is no command 'STOP'; did you mean stop?"
    assert fault("-hlep", "go") == "there is no flag -hlep; did you mean -help?"


@pytest.mark.parametrize("args", [["go"], ["go", "x", "y"], ["go", "-whole"], ["go", "-whole", "x", "x"], ["go", "-z"]])
def test_a_wrong_use_is_of_its_command(args):
    """So the message names that command's -help."""
    with pytest.raises(click.UsageError) as error:
        program.main(args, prog_name="p", standalone_mode=False)
    assert error.value.ctx is not None
    assert error.value.ctx.command_path == "p go"


@pytest.mark.parametrize(
    "args, typed, wanted",
    [
        ([], "-r", {"-rate", "-ramp", "-r"}),
        ([], "--r", {"--rate", "--ramp"}),
        (["-nowhere", "5"], "-w", {"-whole"}),
    ],
)
def test_completion(args, typed, wanted):
    found = ShellComplete(program, {}, "program", "_P").get_completions(["go", *args], typed)
    assert {item.value for item in found} == wanted


def test_completion_of_paths():
    shell = ShellComplete(program, {}, "program", "_P")
    assert [item.type for item in shell.get_completions(["go"], "x")] == ["file"]
    assert [item.type for item in shell.get_completions(["go", "-folder"], "x")] == ["dir"]
    assert shell.get_completions(["go", "-name"], "x") == []


def test_a_path_is_not_looked_for_before_it_is_opened():
    assert values("no/such/file")["file"] == "no/such/file"


@pytest.mark.parametrize("flag", ["-help", "--help", "-h"])
def test_help(flag):
    assert CliRunner().invoke(program, ["go", flag], prog_name="p").stdout == (
        "Usage: p go [options] <file>\n\nGo somewhere\n"
        "\n  <file>       what to read\n"
        "\nText\n"
        "* -folder DIR  a folder [cv]\n"
        "  -own 0|1     not the original's [0]\n"
        "\nModel\n"
        "* -whole N     a whole number [3]\n"
        "* -rate, -r X  a number [0.002]\n"
        "* -ramp X|A:B  a ramp [1]\n"
        "\nDisplay\n"
        "* -name TEXT   a name\n"
        "\n* = a flag of char-rnn, with its text and its default\n"
    )


def test_help_of_a_command_without_flags():
    assert CliRunner().invoke(program, ["stop", "--help"], prog_name="p").stdout == ("Usage: p stop\n\nStop at once\n")


@pytest.mark.parametrize("flag", HELP)
def test_help_of_a_command_that_was_first_used_without_its_group(flag):
    @click.command("alone", cls=Command)
    def alone():
        """Do it"""

    alone.make_context("alone", []).close()
    group = click.Group(commands=[alone])
    assert CliRunner().invoke(group, ["alone", flag], prog_name="p").stdout == "Usage: p alone\n\nDo it\n"


@pytest.mark.parametrize(
    "args, said",
    [
        (
            ["sample", "x.t7", "-start_text", "a"],
            "no flag -start_text; torch-rnn's -start_text is -primetext here.",
        ),
        (["sample", "x.t7", "-gpu", "-1"], "torch-rnn's -gpu is -gpuid here."),
        (
            ["sample", "x.t7", "-gpu", "-1", "-length", "9", "-start_text", "A"],
            "no flag -gpu; torch-rnn's -gpu is -gpuid here. torch-rnn's -start_text is -primetext here.",
        ),
        (["torch-rnn/scripts/preprocess.py", "--input_txt", "a.txt"], "preprocess.py is not needed: pycharrnn train"),
        (["sample", "-checkpoint", "cv/x.t7"], "there is no flag -checkpoint; name the checkpoint without a flag:"),
        (["train", "-model_type", "lstm"], "torch-rnn's -model_type is -model here."),
        (["train", "-checkpoint_name", "cv/x"], "-checkpoint_name is -savefile here, and its folder -checkpoint_dir."),
        (["sample", "x.t7", "-gpu_backend", "opencl"], "torch-rnn's -gpu_backend is -opencl here, 1 for opencl."),
        (["th", "train.lua"], "pycharrnn runs without th: type pycharrnn train in place of th train.lua."),
        (["inspect_checkpoint", "x.t7"], "char-rnn's inspect_checkpoint.lua is pycharrnn inspect here."),
        (["train", "-input_h5", "x.h5"], "-data_dir here, a folder that has the text as input.txt."),
        (["sample", "x.t7", "-temperature", "0,5"], "-temperature needs a number, not '0,5': write 0.5."),
        (["sample", "x.t7", "-temperature", "-gpuid", "-1"], "-temperature needs a number, but -gpuid follows."),
        (["sample", "x.t7", "-length", "0,5"], "-length needs a whole number, not '0,5'."),
        (["chat", "a.t7", "b.t7"], "too many arguments (b.t7): chat takes <model>."),
        (["data", "pydoc", "ulysses"], "too many arguments (ulysses): data takes <name>."),
        (
            ["sample", "x.t7", "-o", "my", "drafts"],
            f"-o takes one value, here my: to add drafts to it, quote the whole: -o {shell_words.quoted('my drafts')}.",
        ),
        (
            ["sample", "x.t7", "-primetext", "\u201cThe", "end\u201d", "-length", "5"],
            'does not read the quotes in -primetext \u201cThe: type straight ones, as in -primetext "The end".',
        ),
        (
            ["sample", "x.t7", "-temperature", "0.5", "hello"],
            "too many arguments (hello): sample takes <model>; put a prompt in quotes",
        ),
        (["chat", "-gpuid", "-1", "a.t7", "b.t7"], "too many arguments (b.t7): chat takes <model>."),
        (
            ["sample", "-primetext", "The", "end", os.devnull],
            f"to add end to it, quote the whole: -primetext {shell_words.quoted('The end')}.",
        ),
        (["chat", "a.t7", os.devnull], f"too many arguments ({os.devnull}): chat takes <model>."),
        (
            ["sample", "x.t7", "The", "cat"],
            "too many arguments (The cat): sample takes <model>; put a prompt in quotes",
        ),
        (["sample", "x.t7", "\u2013temperature", "0.5"], "with a long dash instead of a hyphen: type -temperature"),
        (["train", "x.txt", "\u2014\u2014minutes=3"], "with a long dash instead of a hyphen: type -minutes"),
        (["sample", ""], "the name of a file or folder is empty: is a variable of the shell not set?"),
        (["serve", ""], "the name of a file or folder is empty"),
        (["plot", "-o=losses.png", "cv"], "type -o losses.png, with a space in place of the ="),
        (["doctor", "x"], "too many arguments (x): doctor takes flags alone."),
        (["sample", "cv", "-verbose"], "-verbose needs 0 or 1 after it."),
        (["eval", "-compare", "cv"], "-compare needs 0 or 1, not 'cv'."),
        (["train", "--help=x"], "Option '--help' does not take a value."),
        (["sample", "cv", "-length"], "-length needs a whole number after it."),
        (["train", "-help", "-rnn_size"], "-rnn_size needs a whole number after it."),
        (["sample", "cv", "-o"], "-o needs a folder after it."),
        (["plot", "cv", "-o"], "-o needs a file after it."),
        (["train", "-savefile"], "-savefile needs its value after it."),
        (["sample", "cv", "-minutes", "3"], "there is no flag -minutes; pycharrnn train has it."),
        (["train", "x", "-primetext", "a"], "there is no flag -primetext; pycharrnn sample and activations have it."),
        (["score", "cv", "-text", "a"], "no flag -text; pycharrnn sample, chat and copied have it."),
        (["-data_dir", "data/x"], "there is no flag -data_dir; pycharrnn train and eval have it."),
        (["train", "x", "-o", "y"], "there is no flag -o; -o is -checkpoint_dir here."),
        (["train", "x", "--type", "lstm"], "--type is -model here, with the value lstm, gru or rnn."),
        (
            ["train", "x", "-l", "0.1", "-w", "1"],
            "-l is -learning_rate here. -w has no counterpart here: leave it out.",
        ),
        (["train", "--sample-only"], "no flag --sample-only: pycharrnn sample draws text from a model, as in"),
        (["Generate", "cv"], "there is no command 'Generate'; did you mean sample?"),
        (["finetune", "cv"], "there is no command 'finetune'; did you mean train -init_from?"),
        (
            ["copied", "x", "-o", "y"],
            "no flag -o: to save what it prints, end the command with > FILE; -html PAGE.html",
        ),
        (["which", "cv", "x", "-o", "y"], "no flag -o: to save what it prints, end the command with > FILE."),
        (["serve", "cv", "-gpuid", "-1"], "no flag -gpuid: leave it out, since this command uses no GPU."),
        (["data", "pydoc", "-gpuid", "-1"], "no flag -gpuid: leave it out, since this command uses no GPU."),
        (["doctor", "-gpuid", "0"], "no flag -gpuid: leave it out, since this command tests the GPU that it finds."),
        (["sample", "cv", "-num", "5"], "there is no flag -num; -num is -samples here."),
        (["train", "x", "-save", "m"], "there is no flag -save; did you mean -savefile?"),
        (["studio", "-gpuid", "0"], "no flag -gpuid: leave it out; the page has it among the flags of a training."),
        (["chat", "cv", "-adapt", "1"], "no flag -adapt: -learn 1 learns from the lines of the chat."),
        (["sample", "cv", "-learn", "1"], "no flag -learn: -adapt 1 learns from a text while reading it."),
        (
            ["train", "config/x.py", "--device=cpu", "--compile=False", "--block_size=64", "--max_iters", "2000"],
            "no flag --device; --device is -gpuid here, -1 for the CPU. --compile has no counterpart here: leave it"
            " out. --block_size is -seq_length here. --max_iters is -max_epochs here, in epochs.",
        ),
        (
            ["train", "-i", "names.txt", "-o", "names"],
            "no flag -i; name the text without a flag: pycharrnn train names.tx",
        ),
        (
            ["train", "--input_txt=a.txt", "--test_frac", "0.1"],
            "train a.txt. torch-rnn's --test_frac is the part that -train_frac and -val_frac leave.",
        ),
        (["train", "x.txt", "--max-steps", "9"], "no flag --max-steps; --max-steps is -max_epochs here, in epochs."),
        (
            ["sample", "--out_dir=out", "--start=A", "--num_samples=5"],
            "name the folder without a flag: pycharrnn sample",
        ),
        (
            ["sample", "-m", "a b.t7", "-n", "9"],
            f"pycharrnn sample {shell_words.quoted('a b.t7')}. -n is -length here.",
        ),
        (
            ["sample", "-n=5", "-m=x.t7"],
            "-n is -length here. Name the checkpoint without a flag: pycharrnn sample x.t7.",
        ),
        (["sample", "cv", "--maxlen", "9"], "no flag --maxlen; --maxlen is -length here."),
        (["sample", "cv", "--quiet"], "no flag --quiet; --quiet is -verbose here, with the value 0."),
        (["eval", "-checkpoint", "cv/x.t7"], "name the checkpoint without a flag: pycharrnn eval cv/x.t7."),
        (["plot", "--model", "cv"], "name the checkpoint without a flag: pycharrnn plot cv."),
        (["convert", "--checkpoint", "cv", "x.html"], "name the checkpoint without a flag: pycharrnn convert cv."),
        (["convert", "cv", "-o", "x.html"], "no flag -o: end the command with the file to write, as in pycharrnn conv"),
    ],
)
def test_frequent_mistakes_are_answered(args, said):
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 2 and said in result.stderr


def test_a_name_whose_spaces_are_not_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my long poem.txt").touch()
    result = CliRunner().invoke(cli, ["copied", "my", "long", "poem.txt", "cv/x.t7"])
    assert f"if you mean one name with spaces, quote it: {shell_words.quoted('my long poem.txt')}." in result.stderr


@pytest.mark.parametrize("text", ["1_000", "0x", "0x1.8", "\u0665\u0660", "0b11", "5e"])
def test_what_lua_does_not_read_as_a_number(text):
    result = CliRunner().invoke(cli, ["sample", "x.t7", "-length", text])
    assert result.exit_code == 2 and f"-length needs a whole number, not '{text}'." in result.stderr
