"""The flags of the commands that read and write checkpoint files: their names, defaults and help."""

from __future__ import annotations

from dataclasses import dataclass

from pycharrnn.common.option_fields import option, require, require_switches


@dataclass(frozen=True)
class InspectOptions:
    """Options of `pycharrnn inspect`."""

    json: int = option(0, "1 = print JSON, for programs", group="display", value="0|1")

    def check(self) -> None:
        """Errors: UserError."""
        require_switches(self, "json")


@dataclass(frozen=True)
class ConvertOptions:
    """Options of `pycharrnn convert`."""

    type: str = option(
        "",
        "precision of a .t7 or .onnx file. Left out, .t7 is double, as the Lua programs want it, and .onnx float where"
        " that holds all weights",
        group="output",
        value="double|float",
    )
    ascii: int = option(0, "1 = write a .t7 file in the ASCII encoding", group="output", value="0|1")
    longs: int = option(
        8, "bytes of a long in a .t7 file: 4 for a Torch7 on Windows or a 32-bit system", group="output", value="4|8"
    )
    half: int = option(
        0,
        "1 = weights of a .html page in 16 bits: a quarter of its size, but another text",
        group="output",
        value="0|1",
    )

    def check(self) -> None:
        """Errors: UserError."""
        require(self, "type", self.type in ("", "double", "float"), "double or float")
        require(self, "longs", self.longs in (4, 8), "4 or 8")
        require_switches(self, "ascii", "half")
