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
from pycharrnn.common.errors import UserError, on_page, wordings

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from compat.t7_objects import T7Encoding

DTYPES = ("float64", "float32")
LONG_SIZES = (4, 8)
WEIGHTS = ("double", "float", "int8")  # the most precise first


@dataclass(frozen=True)
class WriteOptions:
    """Options for writing a file; each format uses those in its `Format.options`.

    Attributes:
        dtype: one of DTYPES. "" is float64 in a .t7 file; in an .onnx file float32 if that holds all weights
            exactly, else float64, which the graph casts to float32.
        encoding, long_size: of a .t7 file, as in compat.save_t7.
        weights: type of the weights in a .c file, one of WEIGHTS. "" is the most
            precise type whose weights take at most 4 MB.
        half, title, about: of an .html file, as in page.single_file.write.

    Errors: UserError for another value.
    """

    dtype: str = ""
    encoding: T7Encoding = "binary"
    long_size: int = 8
    weights: str = ""
    half: bool = False
    title: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("dtype", (*DTYPES, "")),
            ("encoding", ("binary", "ascii")),
            ("long_size", LONG_SIZES),
            ("weights", (*WEIGHTS, "")),
        ):
            value = getattr(self, name)
            if not isinstance(value, type(allowed[0])) or value not in allowed:
                words = series(list(map(repr, filter(None, allowed))), "or")
                raise UserError(f"{name} must be {words}, not {reprlib.repr(value)}.")


DEFAULT = WriteOptions()
_FLAGS = {  # as `convert` has them
    "dtype": "-type {}",
    "encoding": "-ascii 1",
    "long_size": "-longs {}",
    "weights": "-weights {}",
    "half": "-half 1",
    "title": "-title",
    "about": "-about",
}


class FormatModule(Protocol):
    def load(self, path: str | os.PathLike[str]) -> Checkpoint:
        """Errors: OSError; CheckpointError; UserError where a package is missing."""

    def save(self, path: str | os.PathLike[str], checkpoint: Checkpoint, options: WriteOptions) -> None:
        """Write a file atomically. Errors: OSError; UserError."""


@dataclass(frozen=True)
class Format:
    """A file format: ending of file names, and module in this package.

    Attributes:
        what: what such a file is good for. options: the names of the WriteOptions that it uses.
        others: other endings of the same format.
        in_folders: whether such files count as checkpoints of a folder. written: whether the module has `save`.
        read: whether such files are read as checkpoints; else `load` raises CheckpointError.
        package: what writing such a file needs beside NumPy, "torch" or the name of an extra.
    """

    ending: str
    module: str
    what: str
    options: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    in_folders: bool = False
    written: bool = True
    read: bool = True
    package: str = ""

    @property
    def name(self) -> str:
        """The ending without its dot: "t7"."""
        return self.ending.removeprefix(".")

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


T7 = Format(
    ".t7",
    "t7_file",
    "a checkpoint for the Lua programs and for pycharrnn",
    ("dtype", "encoding", "long_size"),
    in_folders=True,
)
SAFETENSORS = Format(
    ".safetensors", "safetensors_file", "weights for other programs", in_folders=True, package="safetensors"
)
HTML = Format(
    ".html",
    "html_file",
    "a page that runs the model in a browser, without this program",
    ("half", "title", "about"),
    others=(".htm",),
    written=False,
)
C = Format(".c", "c_file", "a C program, for a microcontroller too", ("weights",), read=False)
# Exports do not count in a folder: most are a second form of a checkpoint there, and other programs use these endings.
FORMATS = (
    T7,
    SAFETENSORS,
    Format(".json", "json_file", "weights as JSON"),
    Format(".pt", "pytorch_file", "weights for PyTorch", package="torch"),
    Format(".onnx", "onnx_file", "one step of the network for ONNX Runtime", ("dtype",), package="onnx"),
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


def flag_for(name: str, value: object) -> str:
    """One of the WriteOptions in a message: -type float32 on the command line, dtype='float32' in a program."""
    return wordings(_FLAGS[name].format(value), f"{name}={value!r}")


def check_options(path: str, options: WriteOptions) -> None:
    """Refuse options that the format of `path` does not use. A path of "" stands for a .t7 file. Errors: UserError."""
    found = of(path or T7.ending)
    if found is None:
        return  # writing it is refused
    for option in dataclasses.fields(options):
        value = getattr(options, option.name)
        if value == option.default or option.name in found.options:
            continue
        endings = [ending for known in FORMATS if option.name in known.options for ending in known.endings]
        where = f"is for {series(endings, 'or')} files, not for {path or 'a .t7 file'}: leave it out"
        other = wordings(f", or write a file such as model{endings[0]}", "")
        elsewhere = f"{flag_for(option.name, value)} {where}{other}."
        raise UserError(on_page(f"{option.name} {where}.", elsewhere=elsewhere))
