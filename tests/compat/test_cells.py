"""The facts of the cells, and the tables that other modules keep of each."""

import re
from importlib.resources import files

import pytest

from compat import file_magic
from compat.cells import CELLS, MODELS
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import onnx_graph, onnx_names, torch_names
from pycharrnn.engine.kernel_structures import CELL_NUMBERS
from pycharrnn.engine.recurrence import CELL_CLASSES
from pycharrnn.training import text_defaults
from pycharrnn.training.options import TrainOptions


@pytest.mark.parametrize("model", MODELS)
def test_facts_agree(model):
    facts, units = CELLS[model], 3
    shapes = parameter_shapes(model, 5, units, 1)
    assert sorted(facts.linears) == sorted(facts.input_linears + facts.recurrent_linears)
    for linears in (facts.input_linears, facts.recurrent_linears):
        assert sum(shapes[f"{linear}_1.bias"][0] for linear in linears) == len(facts.gates) * units
    assert facts.num_direct_gates <= len(facts.gates)
    assert facts.states[-1] == "h"
    assert facts.in_words.split()[1] == model
    assert CELL_CLASSES[model].facts is facts


@pytest.mark.parametrize(
    "table", [CELL_NUMBERS, CELL_CLASSES, onnx_graph._OPERATORS, onnx_names._GATES, text_defaults._FRACTIONS]
)
def test_tables_have_every_model(table):
    assert tuple(table) == MODELS


def test_each_model_is_an_option():
    assert TrainOptions.__dataclass_fields__["model"].metadata["allowed"].choices == MODELS


@pytest.mark.parametrize("model", MODELS)
def test_orders_of_other_programs_have_every_gate(model):
    gates = CELLS[model].gates
    assert sorted(onnx_names._GATES[model]) == sorted(gates)
    if model in torch_names.IN_TORCH_NN:
        assert sorted(torch_names.GATES[model]) == list(range(len(gates)))


@pytest.mark.parametrize("model", MODELS)
def test_the_json_of_each_model_is_recognized(model):
    assert file_magic.is_our_json(b'{"model": "%s", "rnn_size": 1' % model.encode())
    assert not file_magic.is_our_json(b'{"model": "no%s", "rnn_size": 1' % model.encode())


@pytest.mark.parametrize("model", MODELS)
def test_c_files_have_a_step_of_each_model(model):
    template = files("pycharrnn.checkpoints").joinpath("c/model.c").read_text(encoding="ascii")
    assert re.search(rf"^#(if|elif) {model.upper()}$", template, re.MULTILINE)
