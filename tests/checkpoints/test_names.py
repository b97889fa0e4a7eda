"""What checkpoints are called where a person reads it."""

from __future__ import annotations

import pytest

from pycharrnn.checkpoints.names import distinct_names, short_names


@pytest.mark.parametrize(
    "paths, names",
    [
        (["cv/lm_x.t7"], ["lm_x"]),
        (["a/lm_x.t7", "b/lm_x.t7", "b/lm_y.t7"], ["a/lm_x", "b/lm_x", "lm_y"]),
        (["p/a/x.t7", "q/a/x.t7"], ["p/a/x", "q/a/x"]),
        (["x.t7", "x.t7"], ["x", "x"]),
        (["x.t7", "a/x.t7"], ["x", "a/x"]),
        (["a/./x.t7", "x.safetensors"], ["a/x", "x"]),
        (["lm_epoch1.00_2.0000.t7"], ["lm_epoch1.00_2.0000"]),
        (["\udcff\x1b.t7"], ["\ufffd\\x1b"]),
        (["a/g.html#lm_x_epoch2.00_2.2542"], ["lm_x_epoch2.00_2.2542"]),
        (["y" * 100 + ".t7"], ["y" * 100]),
    ],
)
def test_short_names(paths, names):
    assert short_names(paths) == names


@pytest.mark.parametrize(
    "paths, names",
    [
        (["cv/lm_x.t7"], ["lm_x"]),
        (["a/x.t7", "a/x.safetensors", "a/y.t7"], ["x.t7", "x.safetensors", "y"]),
        (["a/x.t7", "b/x.t7"], ["a/x", "b/x"]),
        (["g.html#x_1.5", "g.html#y_1.5", "g.html", "y_1.5.t7"], ["x_1.5", "y_1.5", "g", "y_1.5.t7"]),
        (["g.html#x_1.5", "h.html#x_1.5"], ["x_1.5", "x_1.5 (2)"]),
        (["\udcff.t7", "\udcfe.t7", "\udcfd.t7"], ["\ufffd", "\ufffd (2)", "\ufffd (3)"]),
        (["\udcff.t7", "\udcfe.t7", "\ufffd (2).t7"], ["\ufffd", "\ufffd (3)", "\ufffd (2)"]),
    ],
)
def test_distinct_names(paths, names):
    assert distinct_names(paths) == names


def test_known_names_stay():
    known = {"\udcfe.t7": "\ufffd", "gone.t7": "x", "a/y.t7": "y"}
    paths = ["\udcff.t7", "x.t7", "b/y.t7", *known]
    assert distinct_names(paths, known) == ["\ufffd (2)", "x (2)", "b/y", *known.values()]
