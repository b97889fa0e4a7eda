"""How flags are read, completed and shown, on a command that has one of each kind."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from pycharrnn.cli.flags import FILE, HELP, Command, Group, default_as_text
from pycharrnn.common.option_fields import Ramp, option


@dataclasses.dataclass
class Options:
    whole: int = option(3, "a whole number")
    rate: float = option(2e-3, "a number", short="r")
    ramp: Ramp = option(1, "a ramp")
    name: str = option("", "a name")
    folder: str = option("cv", "a folder", path="dir")
    switch: bool = option(False, "a switch")
    own: int = option(0, "not the original's")
    not_in_char_rnn: ClassVar[tuple[str, ...]] = ("own",)


got: dict[str, object] = {}


@click.group(cls=Group, context_settings={"help_option_names": list(HELP)})
def program():
    pass


@program.command("go", cls=Command, options=Options, arguments=[("file", "what to read")], help="Go somewhere")
@click.argument("file", metavar="<file>", type=FILE)
def go(**values):
    got.clear()
    got.update(values)


@program.command("stop", cls=Command)
def stop():
    """Stop
    at once"""


def values(*args: str) -> dict[str, object]:
    result = CliRunner().invoke(program, ["go", *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return dict(got)


def fault(*args: str) -> str:
    with pytest.raises(click.UsageError) as error:
        program.main(list(args), standalone_mode=False)
    return error.value.format_message()


def test_defaults():
    wanted = {"whole": 3, "rate": 2e-3, "ramp": 1, "name": "", "folder": "cv", "switch": False, "own": 0, "file": "x"}
    assert values("x") == wanted


@pytest.mark.parametrize("text, number", [("50", 50), ("50.0", 50), ("5e1", 50), ("-7", -7)])
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
    assert values("-switch", "x")["switch"] is True
    assert values("--", "-nowhere")["file"] == "-nowhere"
    assert values("-")["file"] == "-"


def test_unknown_flags_are_named_whole():
    assert fault("go", "-rte", "5", "x") == "there is no flag -rte; did you mean -rate?"
    assert fault("go", "-rat=5", "x") == "there is no flag -rat; did you mean -rate?"
    assert fault("go", "-switch", "-whle", "x") == "there is no flag -whle; did you mean -whole?"
    assert fault("go", "-zzz", "x") == "there is no flag -zzz."
    assert fault("go", "x", "-whole", "3", "-whle", "3") == "there is no flag -whle; did you mean -whole?"


def test_unknown_commands():
    assert fault("goo") == "there is no command 'goo'; there are go, stop."


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
        "Usage: p go [options] <file>\n\nGo somewhere\n\nOptions\n"
        "  <file>  what to read\n"
        "  -whole  a whole number [3]\n"
        "  -rate   a number [0.002]\n"
        "  -ramp   a ramp [1]\n"
        "  -name   a name []\n"
        "  -folder a folder [cv]\n"
        "  -switch a switch\n"
        "\nOptions that char-rnn lacks\n"
        "  -own not the original's [0]\n"
    )


def test_help_of_a_command_without_flags():
    assert CliRunner().invoke(program, ["stop", "--help"], prog_name="p").stdout == (
        "Usage: p stop\n\nStop\nat once\n\nOptions\n"
    )


@pytest.mark.parametrize(
    "default, text",
    [
        (None, None),
        (True, None),
        (False, None),
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
