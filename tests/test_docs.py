"""The README's Python runs, and every flag it names exists."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import re
import shutil
from pathlib import Path

import pytest
from conftest import GOLDEN, working_in

import pycharrnn
from pycharrnn import options

DOCS = Path(__file__).parents[1] / "docs"
README = (Path(__file__).parents[1] / "README.md").read_text()


def test_python_in_the_readme():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict = {}
    exec(code, names)
    assert names["log_probs"].shape == (50, 8, 65)


def test_examples_in_the_docs(tmp_path):
    shutil.copy(GOLDEN / "corpus" / "vocab.t7", tmp_path)
    with working_in(tmp_path):
        failed, tried = doctest.testfile(str(DOCS / "t7.md"), module_relative=False)
    assert tried >= 3
    assert failed == 0


@pytest.mark.parametrize(
    "name",
    [
        "compat.lua_random",
        "compat.lua_format",
        "compat.t7_objects",
        "compat.nngraph",
        "compat.old_exp",
        "pycharrnn.checkpoint_paths",
        "pycharrnn.progress",
        "pycharrnn.screen_text",
    ],
)
def test_examples_in_docstrings(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_loading_as_the_readme_says(tmp_path):
    shutil.copy(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7", tmp_path / "lm_lstm_epoch17.33_1.5834.t7")
    with working_in(tmp_path):
        model = pycharrnn.load("lm_lstm_epoch17.33_1.5834.t7")
        model.save("mine.t7")
        assert pycharrnn.load("mine.t7").opt == model.opt


@pytest.mark.parametrize("page", ["long-runs.md"])
def test_flags_in_the_docs(page):
    known = {f.name for f in dataclasses.fields(options.TrainOptions)} | {"minutes"}  # the soak's
    named = set(re.findall(r"[ `]-([a-z]\w+)", (DOCS / page).read_text()))
    assert "resume" in named
    assert named <= known


def test_flags_in_the_readme():
    classes = [value for value in vars(options).values() if dataclasses.is_dataclass(value)]
    known = {field.name for one in classes for field in dataclasses.fields(one)} | {"t", "help"}
    named = set(re.findall(r"[ `]-([a-z]\w+|t)\b", README)) - {"rnn"}
    assert "data_dir" in named
    assert named <= known


def test_files_in_the_readme_are_all_there_are():
    root = Path(__file__).parents[1]
    named = set(re.findall(r"\b\w+\.py\b", README.split("reading order")[1].split("## Tests")[0]))
    there = {p.name for folder in ("pycharrnn", "compat") for p in (root / folder).glob("*.py")}
    assert named == there - {"__init__.py", "__main__.py"}
