"""The JSON API of pycharrnn serve against its own description, by schemathesis: no answer that this does not announce.

For longer: PYCHARRNN_API_CASES=5000 python -m pytest tests/server/test_api_schema.py
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import item_models
import pytest
from hypothesis import HealthCheck, settings
from serving_tools import GRU, LSTM

from pycharrnn.server.app import create_app
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import jsonschema_rs  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

CASES = int(os.environ.get("PYCHARRNN_API_CASES", "40"))
TOKEN = {"Authorization": "Bearer 0123456789abcdef"}

with tempfile.TemporaryDirectory() as folder:
    models = Registry([str(LSTM), str(GRU), str(item_models.saved(Path(folder)))], print, print)
app = create_app(models, Scheduler(8, threads=2), None, TOKEN["Authorization"].partition(" ")[2])
names = [facts.id for facts in models.all_facts()]
schemas = app.openapi()["components"]["schemas"]
# What is made up would hardly be a model that is there, or a text of characters that it knows.
for name, schema in schemas.items():
    if name.endswith("Body"):
        schema["properties"]["model"]["enum"] = [*names, "another"]
app.openapi()["paths"]["/api/losses"]["get"]["parameters"][0]["schema"]["enum"] = [*names, "another"]
schemas["SampleBody"]["properties"]["primetext"]["pattern"] = "^[a-z ,.]*$"
schemas["ItemsBody"]["properties"]["primetext"]["pattern"] = "^[abc]*$"
schemas["ItemsBody"]["properties"]["model"]["enum"] = names[2:]
described = schemathesis.openapi.from_asgi("/openapi.json", app, headers=TOKEN)
posts = {path: operations["post"] for path, operations in app.openapi()["paths"].items() if "post" in operations}
line_schemas = {
    path: jsonschema_rs.validator_for({**lines["schema"], **app.openapi()})
    for path, post in posts.items()
    if (lines := post["responses"]["200"]["content"].get("application/x-ndjson"))
}


def test_the_description_is_one_of_the_version_that_it_names():
    assert app.openapi()["openapi"] == "3.1.0"
    described.validate()


@described.parametrize()
@settings(max_examples=CASES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_announced(case):
    # No schema can say that a model has never seen a character, or has no such unit.
    answer = case.call_and_validate(headers=TOKEN, excluded_checks=[positive_data_acceptance])
    if answer.headers["content-type"] == ["application/x-ndjson"]:
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert all(map(line_schemas[case.path].is_valid, lines))
        assert lines[-1]["done"]


def test_the_schema_of_a_line_refuses_others():
    assert line_schemas["/api/sample"].is_valid({"text": "a", "given": False, "probability": 0.5})
    for line in ({}, {"done": False}, {"error": 3}, {"text": "a", "given": False}, []):
        assert not line_schemas["/api/sample"].is_valid(line)
