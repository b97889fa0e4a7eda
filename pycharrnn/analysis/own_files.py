"""Marks the pictures and pages of a command with its name, so that the command replaces only files that it wrote."""

from __future__ import annotations

_START = 4096  # bytes at the beginning of a file, which hold the mark
_MARKS = ('<meta name="generator" content="{}">', "<dc:title>{}</dc:title>", "tEXtSoftware\0{}")  # .html, .svg, .png


def program(command: str) -> str:
    """The program that wrote a picture, for its metadata: "pycharrnn plot"."""
    return f"pycharrnn {command}"


def html_mark(command: str) -> str:
    """The element of a page that names the command that wrote it."""
    return _MARKS[0].format(program(command))


def is_own(path: str, command: str) -> bool:
    """Whether `command` wrote the picture or page at `path`; also for an empty file. Errors: OSError."""
    with open(path, "rb") as f:
        start = f.read(_START)
    return not start or any(mark.format(program(command)).encode() in start for mark in _MARKS)
