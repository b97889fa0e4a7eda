"""The distribution of the next character; test_sampler.py and test_kernel_streams.py compare its values."""

from __future__ import annotations

import numpy as np

from pycharrnn.sampling.distribution import nan_error


def test_the_error_for_nan_names_the_highest_temperature():
    assert "at -temperature 2 are NaN" in str(nan_error(np.array([0.5, 2.0, 1.0])))
