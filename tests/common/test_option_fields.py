"""How options are declared, and refused."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields

import numpy as np
import pytest

from pycharrnn.common import numpy_warnings
from pycharrnn.common.errors import UserError
from pycharrnn.common.option_fields import MAX_COUNT, option, require, require_switches


@dataclass(frozen=True)
class Options:
    size: float = option(3, "how large", group="model", short="s")
    file: str = option("out", "where to", group="output", path="file")
    switch: int = option(0, "on or off", group="machine", value="0|1")


def test_a_declaration():
    size, file, switch = fields(Options)
    assert Options() == Options(3, "out", 0)
    assert dict(size.metadata) == {"help": "how large", "group": "model", "value": "", "short": "s", "path": ""}
    assert dict(file.metadata) == {"help": "where to", "group": "output", "value": "", "short": None, "path": "file"}
    metadata = {"help": "on or off", "group": "machine", "value": "0|1", "short": None, "path": ""}
    assert dict(switch.metadata) == metadata


def test_what_holds_is_let_through():
    require(Options(), "size", True, "at least 3")
    require_switches(Options(switch=1), "switch")
    require_switches(Options())


@pytest.mark.parametrize(
    "value, words",
    [(2, "2"), (0.123456789, "0.123456789"), (1e12 + 1, "1e+12"), (1234567890, "1234567890"), ("a", "a")],
)
def test_what_does_not_hold_is_refused(value, words):
    with pytest.raises(UserError) as raised:
        require(Options(size=value), "size", False, "at least 3")
    assert str(raised.value) == f"-size must be at least 3, not {words}."


@pytest.mark.parametrize("value", [-1, 2, 0.5])
def test_a_switch_is_0_or_1(value):
    with pytest.raises(UserError, match=f"-switch must be 0 or 1, not {value}"):
        require_switches(Options(switch=value), "switch")


def test_the_largest_count():
    assert MAX_COUNT == 10**12


def test_numpy_says_nothing_of_numbers_that_overflow():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numpy_warnings.be_silent()
        np.exp(np.array([1e9]))
        np.array([np.inf]) - np.inf
    assert caught == []
