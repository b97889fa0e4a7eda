"""The parser of a benchmark's arguments, and types for add_argument, whose errors end a benchmark with a sentence."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Value = TypeVar("_Value")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose --help prints the docstring `doc` of a benchmark as it stands."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def count(text: str) -> int:
    """A whole number from 1."""
    found = int(text)
    if found < 1:
        raise argparse.ArgumentTypeError(f"it must be at least 1, not {text}")
    return found


def seconds(text: str) -> float:
    """A number above 0."""
    found = float(text)
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"it must be above 0, not {text}")
    return found


def size(text: str) -> str:
    """The layers and units of a network: 2x128."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"a size is layers x units, such as 2x128, not {text}")
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words."""

    def choice(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(choices)}")
        return text

    return choice


def listed(kind: Callable[[str], _Value]) -> Callable[[str], list[_Value]]:
    """Values of a type, with commas between them."""

    def values(text: str) -> list[_Value]:
        return [kind(part) for part in text.split(",")]

    values.__name__ = f"list of {kind.__name__}"  # argparse prints it: invalid list of int value
    return values


def file(text: str) -> Path:
    """The path of a file that exists."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


def existing(text: str) -> Path:
    """The path of a file or a folder that exists."""
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"there is no {text}")
    return Path(text)
