"""Runs the transcripts of a page of documentation, and compares what they print with the page.

All transcripts of a page run in their order in one folder, each command in full and in a process of its own, without a
GPU. stdout and stderr are recorded together. In the output on a page

- a line `...` stands for any number of lines, and ` ...` in a line for any text;
- `^C` stands for Ctrl-C, pressed when the training has printed the iteration of the line above it;
- lines of more than 120 characters are wrapped.

tests/test_transcripts.py compares the pages; docs/record.py writes what is printed now, by transcript_recording.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from child_signals import default_signals
from doc_commands import PAGES, ROOT, SHELL, Block, Entry, Reader, blocks, check_in_place_of, home_for

from pycharrnn.engine import kernel_library
from pycharrnn.text.datasets import DATASETS

RECORDED_WITH = ROOT / "docs" / "recorded_with.json"  # version of Python, and SHA-256 of its manual, the text
WIDTH = 120
CTRL_C = "^C"
_SETTINGS = {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "80", "LC_COLLATE": "C"}  # the same output on every machine
_SECONDS = 1800  # at most, for a command; the longest takes a minute on an idle core

TIME = re.compile(r"\d+(\.\d+)? ?(ms|s|seconds?|minutes?)\b")
# Text that depends on the machine or the moment, and the text in its place when lines are compared.
_VOLATILE = [
    (re.compile(pattern), shown)
    for pattern, shown in (
        (TIME.pattern, "TIME"),
        (r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?", "DATE"),
        (r"[\d,]+(\.\d+)? (characters per second|characters/s)", "SPEED"),
        (r"(pycharrnn|PyTorch|NumPy|Python) \d+(\.\w+)+(\+\w+)?", r"\1 VERSION"),
        (r"iteration \d+, epoch \d+\.\d+|stopped by [\w-]+ after iteration \d+", "THE ITERATION OF CTRL-C"),
    )
]
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
ELISION = re.compile(r"(?<=\s)\.\.\.(?=\s|$)")
_NOT_COMPARED_BY_SHAPE = re.compile(
    r"    \| |pycharrnn: .*\bC kernel\b"
)  # a sample of -show; no kernel, or without FMA


def pages() -> list[str]:
    """The pages that have transcripts."""
    return [page for page in PAGES if _transcripts(page)]


def _transcripts(page: str) -> list[Block]:
    found = [block for block in blocks(page) if block.entries()]
    assert all(block.text.startswith("$ ") for block in found), f"{page}: a transcript starts with its first command"
    return found


def machine_differs() -> str:
    """Why digits and texts on this machine are not those of the pages; "" if they are."""
    recorded = json.loads(RECORDED_WITH.read_text(encoding="utf-8"))
    if manual() != recorded["manual"]:
        return f"the pages' text is the manual of Python {recorded['python']}"
    return "" if kernel_library.rounds_as_elsewhere() else "without a C kernel that fuses, digits are others"


def manual() -> str:
    """The SHA-256 of the text that `pycharrnn data pydoc` writes."""
    return hashlib.sha256(DATASETS["pydoc"]("input.txt")).hexdigest()


def run(page: str, home: Path, of_reader: tuple[bytes, Path]) -> Iterator[tuple[Block, Entry, Entry]]:
    """Run the transcripts of a page in the new folder `home`. `of_reader`: from doc_commands.small_model.

    Yields: a block; an entry of it; the entry as it ran: the command with the names of the checkpoints in `home`, and
    its output. Entries whose command can't run in the tests stay as they are.
    """
    reader = Reader(home_for(page, home, *of_reader), page)
    opening = _Opening(home)
    for block in _transcripts(page):
        for entry in block.entries():
            here = entry
            if not check_in_place_of(entry.command):
                here = Entry([reader.with_names_of_here(line) for line in entry.lines])
                here.output = opening.output(here.command) or _printed(
                    reader, here.command, _iteration_of_ctrl_c(entry.output)
                )
                opening.keep(here)
            yield block, entry, here


_openings: dict[tuple[str, ...], tuple[tempfile.TemporaryDirectory[str], list[str]]] = {}


class _Opening:
    """The commands with which a page begins, up to its first training.

    Several pages begin with the same training: it runs once, and the later pages get a copy of its files and output.
    The files that pages assume, which it may read, are the same on all.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._commands: list[str] = []
        self._lasts = True

    def output(self, command: str) -> list[str]:
        """What a command has printed on an earlier page that began alike, whose files are copied; [] if none has."""
        self._commands.append(command)
        if not self._lasts or tuple(self._commands) not in _openings:
            return []
        files, printed = _openings[tuple(self._commands)]
        shutil.copytree(files.name, self._home, dirs_exist_ok=True)
        return printed

    def keep(self, ran: Entry) -> None:
        if not self._lasts or not ran.command.startswith("pycharrnn train "):
            return
        self._lasts = False
        files = tempfile.TemporaryDirectory()
        for name in ("data", "cv"):
            if (self._home / name).is_dir():
                shutil.copytree(self._home / name, Path(files.name, name))
        _openings.setdefault(tuple(self._commands), (files, ran.output))


def _iteration_of_ctrl_c(output: Sequence[str]) -> str:
    """The iteration after which Ctrl-C is pressed, as the log begins with it; "" without Ctrl-C."""
    return output[output.index(CTRL_C) - 1].split("/")[0] + "/" if CTRL_C in output else ""


def _printed(reader: Reader, command: str, ctrl_c_at: str) -> list[str]:
    process = subprocess.Popen(
        SHELL + [command], cwd=reader.home, env={**reader.environment(), **_SETTINGS},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True, preexec_fn=default_signals,
    )  # fmt: skip
    assert process.stdout is not None
    limit = threading.Timer(_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    limit.start()
    printed = []
    try:
        for line in process.stdout:
            printed.append(line.rstrip("\n"))
            if ctrl_c_at and line.startswith(ctrl_c_at):
                os.killpg(process.pid, signal.SIGINT)
                printed.append(CTRL_C)
                ctrl_c_at = ""
    finally:
        limit.cancel()
        process.stdout.close()
        process.wait()
    assert not ctrl_c_at, f"{command}: the log has no iteration {ctrl_c_at}"
    return printed


def difference(entry: Entry, printed: list[str], by_shape: bool) -> str:
    """How the printed lines differ from the page's; "" if they agree.

    Args:
        by_shape: compare no digits, and of sampled text the prompt only.
    """
    page = [line.rstrip() for line in without_blank_end(entry.output)]
    printed = [line.rstrip() for line in without_blank_end(printed)]
    if by_shape and entry.command.startswith("pycharrnn sample "):
        words = shlex.split(entry.command)
        prompt = words[words.index("-primetext") + 1].strip() if "-primetext" in words else ""
        return "" if printed and prompt in "\n".join(printed) else f"{prompt!r} is not in {printed}"
    if by_shape:
        page, printed = (
            [line for line in lines if not _NOT_COMPARED_BY_SHAPE.match(line)] for lines in (page, printed)
        )
    unmatched = first_unmatched(page, printed, by_shape)
    if unmatched is None:
        return ""
    return "\n".join(["on the page, and not printed there:", *unmatched, "printed:", *printed])


def first_unmatched(page: list[str], printed: list[str], by_shape: bool) -> list[str] | None:
    """The first run of the page's lines, between elisions, that the printed lines lack; None if there is none."""
    parts = _parts(page)
    at = 0
    for number, part in enumerate(parts):
        is_first, is_last = number == 0, number == len(parts) - 1
        starts = range(at, len(printed) + 1) if not is_first else range(1)
        ends = (
            end
            for start in starts
            if (end := _end_of(part, printed, start, by_shape)) is not None and (not is_last or end == len(printed))
        )
        if (found := next(ends, None)) is None:
            return part or ["(nothing more)"]
        at = found
    return None


def _parts(page: list[str]) -> list[list[str]]:
    """The lines between elisions; the first and the last part may be empty."""
    parts: list[list[str]] = [[]]
    for line in page:
        if line == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _end_of(part: list[str], printed: list[str], start: int, by_shape: bool) -> int | None:
    """Where the printed lines that agree with `part` end, if such lines begin at `start`."""
    done = 0
    while done < len(part):
        if start == len(printed):
            return None
        more = (end for end in range(done + 1, len(part) + 1) if _stands_on(part[done:end], printed[start], by_shape))
        done = next(more, 0)
        if not done:
            return None
        start += 1
    return start if done == len(part) else None


def _stands_on(lines: list[str], printed: str, by_shape: bool) -> bool:
    """Whether these lines of a page are a printed line, wrapped if they are several."""
    if len(lines) == 1:
        return agree(lines[0], printed, by_shape)
    return len(printed) > WIDTH and agree(*(" ".join(line.split()) for line in (" ".join(lines), printed)), by_shape)


def agree(on_page: str, printed: str, by_shape: bool) -> bool:
    parts = (re.escape(comparable(part, by_shape)) for part in ELISION.split(on_page))
    return re.fullmatch(".*".join(parts), comparable(printed, by_shape)) is not None


def comparable(line: str, by_shape: bool) -> str:
    for pattern, shown in _VOLATILE:
        line = pattern.sub(shown, line)
    return re.sub(r" +", " ", _NUMBER.sub("NUMBER", line)) if by_shape else line


def without_blank_end(lines: list[str]) -> list[str]:
    """Without blank lines at the end, which only set commands apart on a page."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return lines[:end]
