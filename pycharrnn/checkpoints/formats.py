"""The checkpoint formats: their file endings, and the modules that read and write them, imported on first use."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import reprlib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from pycharrnn.common import extras
from pycharrnn.common.display import series
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from compat.t7_objects import T7Encoding


@dataclass(frozen=True)
class Choices:
    """Options for writing a file; each format uses those that apply to it.

    Attributes:
        dtype: "float64" or "float32". "" is float64 in a .t7 file; in an .onnx file float32 if that holds all weights
            exactly, else float64, which the graph casts to float32.
        encoding, long_size: of a .t7 file, as in compat.save_t7.
        weights: type of the weights in a .c file, "double", "float" or "int8". "" is the most
            precise type whose weights take at most 4 MB.

    Errors: UserError for another value.
    """

    dtype: str = ""
    encoding: T7Encoding = "binary"
    long_size: int = 8
    weights: str = ""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("dtype", ("float64", "float32", "")),
            ("encoding", ("binary", "ascii")),
            ("long_size", (8, 4)),
            ("weights", ("double", "float", "int8", "")),
        ):
            value = getattr(self, name)
            if not isinstance(value, type(allowed[0])) or value not in allowed:
                words = " or ".join(map(repr, filter(None, allowed)))
                raise UserError(f"{name} must be {words}, not {reprlib.repr(value)}.")


DEFAULT = Choices()


class FormatModule(Protocol):
    def load(self, path: str | os.PathLike[str]) -> Checkpoint:
        """Errors: OSError; CheckpointError; UserError where a package is missing."""

    def save(self, path: str | os.PathLike[str], checkpoint: Checkpoint, choices: Choices) -> None:
        """Write a file atomically. Errors: OSError; UserError."""


@dataclass(frozen=True)
class Format:
    """A file format: ending of file names, and module in this package.

    Attributes:
        others: other endings of the same format.
        in_folders: whether such files count as checkpoints of a folder. written: whether the module has `save`.
        read: whether such files are read as checkpoints; else `load` raises CheckpointError.
        package: what writing such a file needs beside NumPy, "torch" or the name of an extra.
    """

    ending: str
    module: str
    others: tuple[str, ...] = ()
    in_folders: bool = False
    written: bool = True
    read: bool = True
    package: str = ""

    @property
    def endings(self) -> tuple[str, ...]:
        return self.ending, *self.others

    def is_of(self, path: str | os.PathLike[str]) -> bool:
        """Whether a path has an ending of this format, in upper or lower case."""
        return os.fspath(path).lower().endswith(self.endings)

    def require_package(self) -> None:
        """Errors: UserError if `package` is not installed."""
        what = f"a file that ends in {self.ending}"
        if self.package == "torch":
            extras.require_pytorch(what)
        elif self.package and importlib.util.find_spec(self.package) is None:
            raise extras.missing(what, self.package)

    def functions(self) -> FormatModule:
        """Import the module of this format."""
        return cast(FormatModule, import_module(f"{__package__}.{self.module}"))


T7 = Format(".t7", "t7_file", in_folders=True)
SAFETENSORS = Format(".safetensors", "safetensors_file", in_folders=True, package="safetensors")
HTML = Format(".html", "html_file", others=(".htm",), written=False)
C = Format(".c", "c_file", read=False)
# Exports do not count in a folder: most are a second form of a checkpoint there, and other programs use these endings.
FORMATS = (
    T7,
    SAFETENSORS,
    Format(".json", "json_file"),
    Format(".pt", "pytorch_file", package="torch"),
    Format(".onnx", "onnx_file", package="onnx"),
    C,
    HTML,
)
_PAGE_AND_MODEL = re.compile(r"(?P<page>.*?\.html?)#(?P<model>.*)", re.DOTALL | re.IGNORECASE)
ENDINGS = tuple(f.ending for f in FORMATS if f.written and f.read)
ALL_ENDINGS = tuple(f.ending for f in FORMATS)
IN_FOLDERS = tuple(f.ending for f in FORMATS if f.in_folders)


def of(path: str | os.PathLike[str]) -> Format | None:
    """The format of a path, by its ending, or None."""
    name, _ = page_and_model(path)
    return next((f for f in FORMATS if f.is_of(name)), None)


def page_and_model(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Split "gallery.html#lm_x" into the page "gallery.html" and the model's name "lm_x"; other paths have "" there."""
    whole = os.fspath(path)
    found = _PAGE_AND_MODEL.fullmatch(whole)
    return (found["page"], found["model"]) if found else (whole, "")


_USED_BY = {
    "dtype": (".t7", ".onnx"),
    "encoding": (".t7",),
    "long_size": (".t7",),
    "weights": C.endings,
    "half": HTML.endings,
}


def check_choices(path: str, choices: Choices) -> None:
    """Refuse choices of a program that the format of `path` does not have. Errors: UserError."""
    for option in dataclasses.fields(choices):
        if (value := getattr(choices, option.name)) != option.default:
            check_use(path, option.name, f"{option.name}={value!r}")


def check_use(path: str, option: str, words: str) -> None:
    """Refuse an option for writing that the format of `path` does not use. `words`: the option. Errors: UserError."""
    if (found := of(path)) and found.ending not in _USED_BY[option]:
        raise UserError(f"{words} is for {series(_USED_BY[option], 'or')} files, not for {path}: leave it out.")
