"""The JSON API of pycharrnn studio against its own description, by schemathesis: no answer that this does not announce.

For longer: PYCHARRNN_API_CASES=5000 python -m pytest tests/server/test_studio_schema.py
"""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from studio_tools import StudioApp

from pycharrnn.server.studio import text_facts

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from conftest import working_in  # noqa: E402
from schemathesis.specs.openapi.checks import allow_header_conformance, positive_data_acceptance  # noqa: E402

HOST = {"Host": "localhost"}
CASES = int(os.environ.get("PYCHARRNN_API_CASES", "20"))

folder = tempfile.TemporaryDirectory()
with working_in(folder.name):
    studio = StudioApp()
    text_id, run_id = studio.text(), studio.start()
schemas, paths = studio.app.openapi()["components"]["schemas"], studio.app.openapi()["paths"]
# What is made up would never be a text or a run that is there.
schemas["NewRun"]["properties"]["text"]["enum"] = [text_id, "t00000000"]
for path in paths.values():
    for operation in path.values():
        for parameter in operation.get("parameters", []):
            known = {"text_id": text_id, "text": text_id, "run_id": run_id}.get(parameter["name"])
            if known:
                parameter["schema"]["enum"] = [known, "another"]
described = schemathesis.openapi.from_asgi("/openapi.json", studio.app, headers=HOST).include(path_regex="^/api/studio")


@pytest.fixture(autouse=True)
def in_its_folder(monkeypatch):
    """Where no training begins, since nothing watches the queue."""
    monkeypatch.chdir(folder.name)
    monkeypatch.setattr(text_facts, "_ESTIMATE", 'print(\'{"error": "not timed."}\')')


def test_the_description_is_one_of_the_version_that_it_names():
    described.validate()


@pytest.mark.parametrize("path", ["/upload", "/bring"])
def test_the_body_of_an_upload_is_described(path):
    body = paths[f"/api/studio{path}"]["put"]["requestBody"]
    assert body["required"] and list(body["content"]) == ["application/octet-stream"]
    answer = studio.ask("PUT", path, params={"text": text_id, "name": "a.t7"}, content=b"a", headers=HOST)
    assert answer.status_code == 422 and "Content-Type: application/octet-stream" in answer.json()["detail"]


def test_a_model_is_described_as_the_file_that_it_is_sent_as():
    described = paths["/api/studio/send"]["get"]["responses"]
    assert list(described["200"]["content"]) == ["application/octet-stream"]
    assert list(described["404"]["content"]) == ["application/json"]


@pytest.mark.parametrize("path", ["/runs", "/trash"])
def test_a_list_that_has_not_changed_is_announced(path):
    described = paths[f"/api/studio{path}"]["get"]
    assert "content" not in described["responses"]["304"]
    assert "if-none-match" in [parameter["name"] for parameter in described["parameters"]]


@pytest.mark.slow
@described.parametrize()
@settings(max_examples=CASES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_announced(case):
    # No schema can say which texts, runs and models are there, or which values of flags train accepts. FastAPI names
    # one method in Allow, where two routes have one path.
    answer = case.call_and_validate(headers=HOST, excluded_checks=[positive_data_acceptance, allow_header_conformance])
    assert answer.status_code != 500
