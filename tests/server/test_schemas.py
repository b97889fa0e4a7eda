"""What a request may be, at its boundaries, and what it is where it says nothing."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace

import pytest
from pydantic import ValidationError

from pycharrnn.common.errors import UserError
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server.schemas import ItemsBody, SampleBody, ScoreBody, Unit


def test_what_a_request_leaves_out():
    assert SampleBody(model="x").model_dump() == {
        "model": "x",
        "primetext": "",
        "length": 400,
        "stop": "",
        "temperature": 1.0,
        "topk": 0,
        "topp": 1.0,
        "seed": 123,
        "max_copy": 0,
        "unit": None,
        "adapt": False,
        "adapt_rate": 0,
        "adapt_length": 20,
        "adapt_pull": 0.001,
        "candidates": 5,
        "skip": 0,
    }


@pytest.mark.parametrize(
    "name, good, bad",
    [
        ("model", ["", "x" * 1000], ["x" * 1001, 3]),
        ("primetext", ["", "x" * 2000], ["x" * 2001, None]),
        ("stop", ["", "x" * 200], ["x" * 201, None]),
        ("length", [1, 10_000, 5.0], [0, 10_001, 5.5, True, "5", math.nan, math.inf]),
        ("temperature", [0.01, 100, 1], [0.0099, 100.1, 0, -1, math.nan, math.inf, "1", True]),
        ("topk", [0, 1_000_000], [-1, 1_000_001]),
        ("topp", [1e-9, 1], [0, 1.001, math.nan]),
        ("max_copy", [0, 10_000], [-1, 10_001, 1.5]),
        ("seed", [0, (1 << 32) - 1], [-1, 1 << 32]),
        ("candidates", [0, 20], [-1, 21]),
        ("skip", [0, 12_000], [-1, 12_001, 1.5]),
        ("unit", [None, {"layer": 1, "unit": 1}], [{"layer": 1}, {"layer": 1, "unit": 1, "more": 1}, [1, 1]]),
        ("adapt", [True, False], [1, "true", None]),
        ("adapt_rate", [0, 1e-9, 1], [-1e-9, 1.1, math.nan, "0"]),
        ("adapt_length", [1, 10_000, 20.0], [0, 10_001, 1.5]),
        ("adapt_pull", [0, 1], [-0.1, 1.1]),
        ("another", [], [1]),
    ],
)
def test_boundaries_of_a_sample(name, good, bad):
    for value in good:
        SampleBody.model_validate({"model": "x", name: value})
    for value in bad:
        with pytest.raises(ValidationError) as error:
            SampleBody.model_validate({"model": "x", name: value})
        assert {fault["loc"][0] for fault in error.value.errors()} == {name}


@pytest.mark.parametrize("name", ["topk", "topp", "max_copy", "unique", "adapt_rate", "adapt_length", "adapt_pull"])
def test_fields_are_described_as_the_flags(name):
    helps = {field.name: field.metadata["help"] for field in dataclasses.fields(SampleOptions)}
    field = ItemsBody.model_json_schema()["properties"][name]
    assert helps[name] in (field["description"], f"1 = {field['description']}")


@pytest.mark.parametrize("body", [SampleBody(model="x"), ItemsBody(model="x"), ScoreBody(model="x", text="x")])
def test_how_a_model_learns_is_as_on_the_command_line(body):
    """The same defaults and ranges."""
    assert body.adaptation(True, 10**6) == AdaptOptions().adaptation
    assert body.adaptation(True, 3) == replace(AdaptOptions().adaptation, length=3)
    assert body.adaptation(False, 3) is None
    ranges = type(body).model_json_schema()["properties"]
    for field in dataclasses.fields(AdaptOptions):
        assert ranges[field.name]["default"] == field.default
        for limit, step in (("minimum", -1), ("maximum", 1)):
            value = ranges[field.name][limit]
            AdaptOptions(**{field.name: value})
            with pytest.raises(UserError):
                AdaptOptions(**{field.name: value + step})
    with pytest.raises(UserError, match="adapt_pull: it says how a model learns: set adapt to true, or leave it out"):
        body.model_copy(update={"adapt_pull": 0.1}).adaptation(False, 3)


def test_boundaries_of_a_score():
    for text in ("x", "x" * 20_000):
        ScoreBody(model="x", text=text)
    for text in ("", "x" * 20_001):
        with pytest.raises(ValidationError):
            ScoreBody(model="x", text=text)


def test_units_are_counted_from_1():
    assert Unit(layer=1.0, unit=2).model_dump() == {"layer": 1, "unit": 2}
    for layer, unit in ((0, 1), (1, 0)):
        with pytest.raises(ValidationError):
            Unit(layer=layer, unit=unit)


def test_the_options_of_sample_in_a_request():
    given = {"temperature": 0.5, "topk": 3, "topp": 0.4, "length": 9, "seed": 5}
    of_text = SampleBody(model="a", **given, stop="end", primetext="x", max_copy=20, adapt=True, adapt_rate=0.1)
    assert of_text.sample_options() == SampleOptions(**given, stop="end")
    of_items = ItemsBody(model="a", **given, items=4, new=True, unique=True, label="French", primetext="x", max_copy=20)
    assert of_items.sample_options() == SampleOptions(**given, items=4, new=1, unique=1, label="French")
