"""The benchmarks measure what they say; small, so that nothing here depends on time."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from conftest import ROOT


def benchmark(name: str):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_preprocess(tmp_path):
    figures = benchmark("preprocess").figures(5, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert len(figures) == 5
    for row in figures:
        assert row["value"] > 0, row
        assert row["unit"] in ("MB/s", "MB", "s")


def test_sampling(tmp_path):
    from compat import charrnn

    sampling = benchmark("sampling")
    charrnn.save(tmp_path / "lstm.t7", sampling.model())
    assert sampling.one_stream(sampling.model(), 20) > 0
    assert sampling.many_streams(str(tmp_path / "lstm.t7"), 2, 20) > 0
    assert sampling.pytorch_loop(2, 5) > 0
