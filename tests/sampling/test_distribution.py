"""The distribution of the next character; test_sampler.py and test_kernel_streams.py compare its values."""

from __future__ import annotations

import numpy as np

from pycharrnn.sampling.distribution import nan_error


def test_the_error_for_nan_advises_on_temperatures_other_than_1():
    assert "at -temperature 2 are NaN: try a -temperature nearer to 1;" in str(nan_error(np.array([0.5, 2.0, 1.0])))
    assert "at -temperature 0.5 are NaN: try" in str(nan_error(np.array([[1.0], [0.5]])))
    for temperatures in (1, np.ones(3)):
        assert "temperature" not in str(nan_error(temperatures))
