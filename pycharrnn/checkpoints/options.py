"""The flags of the commands that read and write checkpoint files: their names, defaults and help."""

from __future__ import annotations

from dataclasses import dataclass

from pycharrnn.checkpoints import formats
from pycharrnn.common.option_fields import SWITCH, check, one_of, option


@dataclass(frozen=True)
class InspectOptions:
    """Options of `pycharrnn inspect`."""

    json: int = option(
        0,
        "1 = print JSON, for programs, one object a line; a .t7 file that is not a checkpoint is an error",
        group="display",
        allowed=SWITCH,
    )
    gpuid: int = option(0, "accepted as in char-rnn; files are read on the CPU", group="machine")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ConvertOptions:
    """Options of `pycharrnn convert`."""

    type: str = option(
        "",
        "precision of a .t7 or .onnx file. Default: .t7 is float64, as the Lua programs require, and .onnx is float32"
        " where that holds all weights exactly",
        group="output",
        allowed=one_of(*formats.DTYPES),
    )
    ascii: int = option(0, "1 = write a .t7 file in the ASCII encoding", group="output", allowed=SWITCH)
    longs: int = option(
        8,
        "bytes of a long in a .t7 file: 4 for a Torch7 on Windows or a 32-bit system",
        group="output",
        allowed=one_of(*formats.LONG_SIZES),
    )
    weights: str = option(
        "",
        "type of the weights in a .c file: double samples the same text as pycharrnn sample, float takes half of its"
        " size, int8 an eighth. Default: the first that takes at most 4 MB",
        group="output",
        allowed=one_of(*formats.WEIGHTS),
    )
    half: int = option(
        0,
        "1 = round the weights of a .html page to float16, a half or a quarter of their size; it samples another text",
        group="output",
        allowed=SWITCH,
    )
    title: str = option(
        "", "heading of a .html page. Default: the name of the training text", group="output", value="TEXT"
    )
    about: str = option("", "plain text below the heading of a .html page", group="output", value="TEXT")
    overwrite: int = option(0, "1 = replace <out> if it exists", group="output", allowed=SWITCH)
    gpuid: int = option(0, "accepted as in char-rnn; files are read on the CPU", group="machine")
    opencl: int = option(0, "accepted as in char-rnn", group="machine", allowed=SWITCH)

    def __post_init__(self) -> None:
        check(self)
