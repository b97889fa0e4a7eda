"""Runs the shell and Python blocks of a page of documentation, in their order, in a temporary folder.

A fenced block without a language, or with `sh`, has a command on each line. If a line starts with `$ `, the block is a
transcript: only such lines are commands, and the others are their output, which tests/transcripts.py compares. A fenced
`python` block is a program; blocks of a page share their variables.

Commands run unchanged, with three exceptions: trainings use a small network and text for two epochs, the epoch and loss
in a checkpoint's name become those of the run in the test, and pages are served on a free port. NOT_RUN lists commands
that cannot run in the tests, with the reason and the check that takes their place.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner
from conftest import GOLDEN, working_in
from serving_tools import ROOT, Server, server

from pycharrnn.cli.commands import cli

PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}

OWN = "Où sont les neiges d'antan?\n".encode()  # my_text.txt has characters that the other texts lack

# Files that a page assumes: texts, and checkpoints of a small model trained on such a text.
READER_HAS = {
    "README.md": ("my_text.txt", "letter.txt"),
    "lists.md": ("names.txt", "poems.txt", "lists/French.txt", "lists/German.txt"),
    "tutorial.md": ("letters/1.txt", "letters/2.txt"),
    "fine-tuning.md": ("long_text.txt", "my_text.txt"),
    "microcontrollers.md": ("my_text.txt",),
    "old-checkpoints.md": (
        "lm_lstm_epoch17.33_1.5834.t7",
        "checkpoint_10000.t7",
        "data/ulysses/input.txt",
        "data/tinyshakespeare/input.txt",
        "data/pydoc/input.txt",
        "data/old/vocab.t7",
        "data/old/data.t7",
    ),
    "formats.md": ("lm_lstm_epoch17.33_1.5834.t7",),
    "library.md": ("lm_lstm_epoch17.33_1.5834.t7", "fork.t7", "data/mine/input.txt"),
    "long-runs.md": ("data/mine/input.txt",),
    "parity.md": ("data/ulysses/input.txt",),
    "scale.md": ("data/pydoc/input.txt",),
}


@dataclass
class Entry:
    """A command of a transcript, and its output on the page."""

    lines: list[str]  # of the command, as they stand in the block
    output: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        return _joined("\n".join(self.lines)).removeprefix("$ ")


@dataclass
class Block:
    page: str
    number: int  # of its first line
    language: str
    text: str

    def commands(self) -> list[str]:
        """The command lines, with continuation lines joined; empty for a block of another language."""
        if self.language not in ("", "sh"):
            return []
        if entries := self.entries():
            return [entry.command for entry in entries]
        return [line for line in _joined(self.text).splitlines() if line.strip() and not line.startswith("#")]

    def entries(self) -> list[Entry]:
        """The commands of a transcript and their output; empty for other blocks."""
        found: list[Entry] = []
        if self.language in ("", "sh"):
            for line in self.text.splitlines():
                if line.startswith("$ "):
                    found.append(Entry([line]))
                elif found and found[-1].lines[-1].endswith("\\") and not found[-1].output:
                    found[-1].lines.append(line)
                elif found:
                    found[-1].output.append(line)
        return found


def _joined(text: str) -> str:
    """The text with its continuation lines joined."""
    return text.replace("\\\n", " ")


def blocks(page: str) -> list[Block]:
    text = PAGES[page].read_text(encoding="utf-8")
    return [
        Block(page, text[: found.start()].count("\n") + 2, found[1], found[2])
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M)
    ]


def check_parses(line: str) -> None:
    """Check that the command and its flags exist and that the values have the right types."""
    name, *args = shlex.split(line, comments=True)[1:]
    cli.commands[name].make_context(name, args).close()


def _extra_exists(line: str) -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    for extras in re.findall(r"\[([\w,]+)\]", line):
        for extra in extras.split(","):
            assert f'"{extra}": [' in setup


def _target_exists(line: str) -> None:
    for target in line.split("#")[0].split()[1:]:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M), target


def _script_exists(line: str) -> None:
    assert (ROOT / next(word for word in line.split() if word.endswith(".py"))).is_file()


# (pattern at the beginning of the line, why it is not run, the check that takes its place)
NOT_RUN: tuple[tuple[str, str, Callable[[str], None]], ...] = (
    (r"python3 -m venv |\. \.venv/bin/activate", "the tests have an environment", lambda line: None),
    (r"cd pycharrnn$", "the tests run in a folder of their own", lambda line: None),
    (r"(\.venv/bin/)?pip install ", "needs the network", _extra_exists),
    (r"make ", "installs, and takes minutes", _target_exists),
    (r"pycharrnn data (tinyshakespeare|ulysses)", "needs the network", check_parses),
    (
        r"torchrun .* -m pycharrnn ",
        "tests/training/test_distributed.py runs the like",
        lambda line: check_parses(line[line.index("pycharrnn ") :]),
    ),
    (
        r"PYTHONPATH=\S+ python3 -m pycharrnn train .* -gpuid 0",
        "needs a GPU",
        lambda line: check_parses(line[line.index("pycharrnn ") :]),
    ),
    (r"(\w+=\d+ )?\.venv/bin/(python -m pytest|ruff) ", "this is the suite", lambda line: None),
    (r"(\.venv/bin/)?python3? (tests/|benchmarks/|docs/record\.py)", "takes minutes", _script_exists),
    *(() if shutil.which("gcc") else ((r"gcc |\./model", "needs gcc", lambda line: None),)),
)
IN_SHELL = re.compile(
    r"(mkdir|cp|cat|head|tail|ls|echo|printf|eval|export|for|"
    r"gcc|\./model|python (-c|(examples|docs/pictures)/\w+\.py)) "
)
SHELL = ["bash", "-o", "pipefail", "-c"]


def check_in_place_of(line: str) -> Callable[[str], None] | None:
    """The check that takes the place of a command that can't run; None for other commands."""
    return next((check for start, _, check in NOT_RUN if re.match(start, line)), None)


@dataclass
class Reader:
    """Runs the commands and programs of one page in the folder `home`."""

    home: Path
    page: str
    names: dict = field(default_factory=dict)  # variables of the page's Python blocks
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    serving: Server | None = None

    def do(self, line: str) -> str:
        """Run a command line and return its output. Errors: AssertionError if it fails or has no way to run."""
        if check := check_in_place_of(line):
            check(line)
            return ""
        line = self.with_names_of_here(line)
        if line.startswith("pycharrnn serve "):
            return self._serve(line)
        if line.startswith("pycharrnn studio "):
            with working_in(self.home), server(*line.split()[2:], "-open", "0", command="studio") as running:
                return running.url
        if line.startswith(("curl ", "python docs/pictures/page.py ")):
            return self._with_server(line)
        assert line.startswith("pycharrnn ") or IN_SHELL.match(line), f"tests/doc_commands.py cannot run: {line}"
        if line.startswith("pycharrnn ") and not re.search(r"[|<>;&$]", re.sub(r"'[^']*'|\"[^\"$]*\"|#.*", "", line)):
            return self._in_process(shlex.split(self._shorter(line), comments=True)[1:])
        return self._shell(self._shorter(line))

    def program(self, code: str) -> None:
        with working_in(self.home):
            exec(code, self.names)

    def _in_process(self, words: list[str]) -> str:
        with working_in(self.home):
            args = [name for word in words for name in (sorted(glob.glob(word)) if "*" in word else [word])]
            result = CliRunner().invoke(
                cli, args, input="Hello.\n" if words[0] == "chat" else None, prog_name="pycharrnn"
            )
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        if args[0] == "data":
            _shorten(self.home / "data" / args[1] / "input.txt")
        return result.stdout

    def environment(self) -> dict[str, str]:
        """For a shell whose `pycharrnn` and `python` are those of the tests."""
        path = f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}

    def _shell(self, line: str) -> str:
        result = subprocess.run(
            SHELL + [line], cwd=self.home, env=self.environment(), capture_output=True, text=True, errors="replace",
            timeout=300,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def _serve(self, line: str) -> str:
        words = shlex.split(line.removesuffix("&"), comments=True)[2:]
        with working_in(self.home):
            opened = server(*(os.path.abspath(word) if os.path.exists(word) else word for word in words))
        if "-token" in words or "-follow" in words:  # later commands use the other server
            with opened as running:
                assert ("#token=" in running.url) == ("-token" in words)
            return running.url
        self.stack.close()
        self.serving = self.stack.enter_context(opened)
        return self.serving.url

    def _with_server(self, line: str) -> str:
        program = "curl" if line.startswith("curl") else "chromedriver"
        if not shutil.which(program):
            return ""
        return self._shell(line.replace("http://127.0.0.1:8015/", self.serving.url))

    def with_names_of_here(self, line: str) -> str:
        """Replace checkpoint names by the newest checkpoint that differs only in epoch and loss."""

        def here(found: re.Match) -> str:
            if (self.home / found[0]).exists():
                return found[0]
            like = list(self.home.glob(re.sub(r"epoch[\d.]+_\d+\.\d+", "epoch*", found[0])))
            if not like:
                return found[0]
            return str(max(like, key=lambda p: (p.stat().st_mtime_ns, p.name)).relative_to(self.home))

        return re.sub(r"(?:[\w.]+/)*lm_\w+_epoch[\d.]+_\d+\.\d+\.t7", here, line)

    def _shorter(self, line: str) -> str:
        """Shorten a training to about a second; other lines are unchanged."""
        if not line.startswith("pycharrnn train "):
            return line
        check_parses(line)
        limits = {"max_epochs": (2, 50), "rnn_size": (24, 128), "eval_val_every": (5, 1000)}
        if " -minutes " in line:
            limits = {"minutes": (0.02, 0), "rnn_size": (24, 128)}
        elif "-resume" in line:
            limits = {"max_epochs": (3, 50)} if "-max_epochs" in line else {}
        flags = ""
        for name, (most, default) in limits.items():
            given = re.search(rf" -{name} (\S+)", line)
            line = line.replace(given[0], "", 1) if given else line
            flags += f" -{name} {min(most, float(given[1] if given else default)):g}"
        return line.replace("pycharrnn train", f"pycharrnn train{flags}", 1)


def _shorten(file: Path) -> None:
    """Cut a text to 20,000 characters, and append one of each distinct character."""
    text = file.read_text(encoding="utf-8")
    file.write_bytes((text[:20_000] + "".join(sorted(set(text)))).encode())


def small_model(folder: Path) -> tuple[bytes, Path]:
    """A text, and a checkpoint of a small model that was trained on it in the new folder `folder`."""
    reader = Reader(folder, "")
    reader.do("pycharrnn data pydoc")
    reader.do("pycharrnn train -data_dir data/pydoc -gpuid -1")
    return (folder / "data" / "pydoc" / "input.txt").read_bytes(), folder / "cv" / "lm_lstm_best.t7"


def home_for(page: str, folder: Path, text: bytes, checkpoint: Path) -> Path:
    """Set up a folder with the files that a page assumes."""
    (folder / "docs").mkdir(parents=True)
    for needed in (Path("docs", "pictures"), Path("examples")):
        shutil.copytree(ROOT / needed, folder / needed)
    (folder / "bin").mkdir()
    for name, start in (("pycharrnn", "-m pycharrnn"), ("python", "")):
        (folder / "bin" / name).write_bytes(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {start} "$@"\n'.encode())
        (folder / "bin" / name).chmod(0o755)
    for name in READER_HAS.get(page, ()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("data/old/"):
            shutil.copy(GOLDEN / "corpus" / os.path.basename(name), folder / name)
        elif name.endswith(".t7"):
            shutil.copy(checkpoint, folder / name)
        else:
            (folder / name).write_bytes(text + (OWN if name == "my_text.txt" else b""))
    return folder
