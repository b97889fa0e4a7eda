"""Which files hold checkpoints: the table of their endings, and the module of each, which reads and writes it.

Nothing of a format is imported before a file of it is read or written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from compat.t7_objects import Encoding


@dataclass(frozen=True)
class Choices:
    """How a file is written; each format uses the fields that it has.

    Attributes:
        dtype: "float64" or "float32", of a .t7 or .onnx file. "" is float64 in a .t7 file; in an .onnx file float32
            where that holds all weights exactly, else float64, which the graph casts to float32.
        encoding, long_size: of a .t7 file, as in compat.save_t7.
    """

    dtype: str = ""
    encoding: Encoding = "binary"
    long_size: int = 8


class FormatModule(Protocol):
    """What the module of a format has."""

    def load(self, path: str | os.PathLike[str]) -> Checkpoint:
        """Errors: OSError; CheckpointError; UserError where a package is missing."""

    def save(self, path: str | os.PathLike[str], checkpoint: Checkpoint, choices: Choices) -> None:
        """The file appears whole or not at all. Errors: OSError; UserError."""


@dataclass(frozen=True)
class Format:
    """A form of file.

    Attributes:
        ending: of the names of its files. module: in this package.
        in_folders: whether such files in a folder count as its checkpoints.
        written: whether its module has `save`.
    """

    ending: str
    module: str
    in_folders: bool = False
    written: bool = True

    def functions(self) -> FormatModule:
        """Its `load` and `save`."""
        return cast(FormatModule, import_module(f"{__package__}.{self.module}"))


T7 = Format(".t7", "t7_file", in_folders=True)  # also how a file of any other ending is read
HTML = Format(".html", "html_file", written=False)
# Exports do not count in a folder: mostly they are a second form of a checkpoint that lies there, and a folder may have
# other programs' files of these names.
FORMATS = (
    T7,
    Format(".safetensors", "safetensors_file", in_folders=True),
    Format(".json", "json_file"),
    Format(".pt", "pytorch_file"),
    Format(".onnx", "onnx_file"),
    HTML,
)
ENDINGS = tuple(f.ending for f in FORMATS if f.written)
ALL_ENDINGS = tuple(f.ending for f in FORMATS)
IN_FOLDERS = tuple(f.ending for f in FORMATS if f.in_folders)


def of(path: str | os.PathLike[str]) -> Format | None:
    """The format of a file by the ending of its name; None for another ending."""
    name, _ = page_and_model(path)
    return next((f for f in FORMATS if name.endswith(f.ending)), None)


def page_and_model(path: str | os.PathLike[str]) -> tuple[str, str]:
    """A file, and the name of a model in it where it is a page of several, as an address in a browser has both.

    Example:
        >>> page_and_model("gallery.html#lm_cv_best"), page_and_model("lm_cv_best.t7")
        (('gallery.html', 'lm_cv_best'), ('lm_cv_best.t7', ''))
    """
    page, mark, name = os.fspath(path).partition(".html#")
    return (page + ".html", name) if mark else (page, "")


def in_words(endings: Iterable[str]) -> str:
    """Endings as a sentence names them.

    Example:
        >>> in_words([".t7", ".safetensors", ".json"])
        '.t7, .safetensors or .json'
    """
    *others, last = endings
    return f"{', '.join(others)} or {last}" if others else last
