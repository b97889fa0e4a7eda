"""The distribution of the next character; test_sampler.py and test_kernel_streams.py compare its values."""

from __future__ import annotations

import re

import numpy as np

from pycharrnn.engine import kernel_library
from pycharrnn.page import page_files
from pycharrnn.sampling.distribution import TOPP_SLACK, nan_error


def test_the_kernel_and_the_page_have_the_same_slack():
    header = (kernel_library.PACKAGE / "kernel_sample.h").read_text(encoding="utf-8")
    for source in (header, page_files.file_text("sampler.js")):
        (slack,) = re.findall(r"TOPP_SLACK(?: =)? ([\d.e-]+)", source)
        assert float(slack) == TOPP_SLACK


def test_the_error_for_nan_advises_on_temperatures_other_than_1():
    assert "at -temperature 2 are NaN: try a -temperature nearer to 1;" in str(nan_error(np.array([0.5, 2.0, 1.0])))
    assert "at -temperature 0.5 are NaN: try" in str(nan_error(np.array([[1.0], [0.5]])))
    for temperatures in (1, np.ones(3)):
        assert "temperature" not in str(nan_error(temperatures))
