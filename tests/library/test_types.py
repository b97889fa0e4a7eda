"""Type checkers accept correct uses of the library and reject wrong ones."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
import typing

import pytest
from conftest import ROOT
from doc_commands import blocks

from pycharrnn.library import train_keywords
from pycharrnn.library.generation import SampleKeywords
from pycharrnn.library.model import Model
from pycharrnn.training.options import TrainOptions

RIGHT = """
import pathlib
import pycharrnn
run = pycharrnn.train("poems.txt", quiet=True, max_epochs=3, rnn_size=64, dropout=0.1, model="gru")
run = pycharrnn.train(["a.txt", pathlib.Path("b.txt")], checkpoint_dir=pathlib.Path("cv"), exact=False)
run = pycharrnn.train(resume=run.last_path, max_epochs=4)
model = pycharrnn.load("cv", device="cpu")
text: str = model.generate("The ", length=3, temperature=(1, 0.5), seed=None)
texts: list[str] = [*model.generate(["The "], length=3)]
raw: bytes = model.generate(b"The ", as_bytes=True, topk=3)
pieces: list[str] = [piece for piece in model.stream("The ", length=3, stop=".")]
bits: float = model.score("The ").bits_per_character
model.save("m.t7", encoding="ascii", long_size=4)
"""
WRONG = (
    'pycharrnn.train("poems.txt", max_epoch=3)',
    'pycharrnn.train("poems.txt", max_epochs="3")',
    "pycharrnn.train(3)",
    "pycharrnn.load(3)",
    "model.generate(3)",
    'model.generate("The ", lenght=3)',
    'model.generate("The ", length="3")',
    'model.stream("The ", lenght=3)',
    "model.score(3)",
    'model.save("m.t7", encoding="text")',
)


def test_a_type_checker_finds_wrong_arguments(tmp_path):
    """mypy takes its cache from `make lint`; without it this takes half a minute."""
    pytest.importorskip("mypy")
    starts = ("for piece in model.stream(", "import compat\n", "fork = ")
    of_page = [block.text for block in blocks("library.md") if block.text.startswith(starts)]
    assert len(of_page) == len(starts)
    before = [*RIGHT.splitlines(), *"\n".join(of_page).splitlines()]
    (tmp_path / "program.py").write_text("\n".join([*before, *WRONG, ""]), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--hide-error-context", tmp_path / "program.py"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    lines = {int(number) for number in re.findall(r"program\.py:(\d+): error: ", said)}
    assert lines == set(range(len(before) + 1, len(before) + len(WRONG) + 1)), said
    assert 'Unexpected keyword argument "max_epoch" for "train"; did you mean "max_epochs"?' in said


def test_train_takes_a_keyword_for_each_option():
    hints, types = typing.get_type_hints(train_keywords.TrainKeywords), typing.get_type_hints(TrainOptions)
    options = dataclasses.fields(TrainOptions)
    expected = {o.name: train_keywords.Path if o.metadata["path"] else types[o.name] for o in options}
    assert hints == {**expected, "resume": train_keywords.Path | None}  # as Run.last_path


def test_generate_names_each_keyword_of_a_sample():
    own = {"self", "primetext", "as_bytes", "unknown"}
    assert inspect.signature(Model.generate).parameters.keys() - own == set(SampleKeywords.__annotations__)
