"""The order of losses, which every command shares."""

import math

import pytest

from pycharrnn.common import losses

NAN, INF = math.nan, math.inf


def test_the_lowest_loss_comes_first_and_nan_last():
    of_files = [NAN, 2.0, None, INF, 1.5]
    assert [str(x) for x in sorted(of_files, key=losses.sort_key)] == ["1.5", "2.0", "None", "nan", "inf"]


@pytest.mark.parametrize(
    "of_run, order, best",
    [
        ({10: NAN, 20: 2.0, 30: 1.5}, [30, 20, 10], 30),
        ({10: 2.0, 20: NAN, 30: 1.5, 40: -INF}, [30, 10, 20, 40], 30),
        ({20: 1.5, 10: 1.5}, [10, 20], 10),
        ({10: NAN, 20: INF}, [10, 20], None),
        ({}, [], None),
    ],
)
def test_the_best_validation(of_run, order, best):
    assert losses.best_first(of_run) == order
    assert losses.best_iteration(of_run) == best
    assert losses.best_loss(of_run) == (None if best is None else of_run[best])
