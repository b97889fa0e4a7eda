"""The README's Python runs, and every flag it names exists."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from pycharrnn.options import SampleOptions, TrainOptions

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_python_in_the_readme():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict = {}
    exec(code, names)
    assert names["log_probs"].shape == (50, 8, 65)


def test_flags_in_the_readme():
    known = {f.name for options in (TrainOptions, SampleOptions) for f in dataclasses.fields(options)} | {"t", "help"}
    named = set(re.findall(r"[ `]-([a-z]\w+|t)\b", README)) - {"rnn"}
    assert "data_dir" in named
    assert named <= known


def test_files_in_the_readme_are_all_there_are():
    root = Path(__file__).parents[1]
    named = set(re.findall(r"\b\w+\.py\b", README.split("reading order")[1].split("## Tests")[0]))
    there = {p.name for folder in ("pycharrnn", "compat") for p in (root / folder).glob("*.py")}
    assert named == there - {"__init__.py", "__main__.py"}
