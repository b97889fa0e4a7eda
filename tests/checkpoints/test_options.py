"""The flags of inspect and convert."""

from __future__ import annotations

import dataclasses

import pytest

from pycharrnn.checkpoints.formats import WriteOptions
from pycharrnn.checkpoints.options import ConvertOptions, InspectOptions
from pycharrnn.common.errors import UserError


def test_defaults_are_what_the_lua_programs_read():
    assert ConvertOptions() == ConvertOptions(type="", ascii=0, longs=8)
    assert InspectOptions() == InspectOptions(json=0)
    InspectOptions(json=1)
    ConvertOptions("float32", 1, 4)


@pytest.mark.parametrize(
    "kind, options, words",
    [
        (ConvertOptions, {"type": "half"}, "-type must be float64 or float32, not half"),
        (ConvertOptions, {"longs": 2}, "-longs must be 4 or 8, not 2"),
        (ConvertOptions, {"ascii": 2}, "-ascii must be 0 or 1, not 2"),
        (InspectOptions, {"json": -1}, "-json must be 0 or 1, not -1"),
    ],
)
def test_other_values(kind, options, words):
    with pytest.raises(UserError, match=words):
        kind(**options)


def test_other_values_of_the_library():
    with pytest.raises(UserError, match="^weights must be 'double', 'float' or 'int8', not 'int4'.$"):
        WriteOptions(weights="int4")


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        InspectOptions().json = 1
