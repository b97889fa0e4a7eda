"""The JSON API of pycharrnn serve: what it refuses, and who may ask."""

from __future__ import annotations

import json
import sys

import pytest
from api_client import Client
from serving_tools import LSTM

from pycharrnn.common.errors import UserError
from pycharrnn.server.api import MAX_BODY
from pycharrnn.server.app import create_app
from pycharrnn.server.registry import Registry
from pycharrnn.server.schemas import MAX_LENGTH, MAX_PRIMETEXT, MAX_SCORED
from pycharrnn.server.security import MAX_OTHER_BODY


@pytest.mark.parametrize(
    "body, status, words",
    [
        ({"model": "lm_lstm2"}, 404, "choose another one from the list"),
        ({"model": "../../etc/passwd"}, 404, "no model has this name"),
        ({"model": str(LSTM)}, 404, "no model has this name"),
        ({"length": MAX_LENGTH + 1}, 422, "length"),
        ({"length": 0}, 422, "length"),
        ({"length": "many"}, 422, "length"),
        ({"length": "10"}, 422, "length"),
        ({"length": 10.5}, 422, "length"),
        ({"length": True}, 422, "length"),
        ({"length": 1e400}, 422, "length"),
        ({"temperature": "1"}, 422, "temperature"),
        ({"temperature": True}, 422, "temperature"),
        ({"unit": {str(k): k for k in range(3000)}}, 422, "3000 fields"),
        ({str(k): k for k in range(3000)}, 422, "3001 fields"),
        ({"temperature": 0}, 422, "temperature"),
        ({"temperature": float("nan")}, 422, "temperature"),
        ({"temperature": float("inf")}, 422, "temperature"),
        ({"topp": 0}, 422, "topp"),
        ({"topk": -1}, 422, "topk"),
        ({"seed": 1 << 32}, 422, "seed"),
        ({"candidates": 21}, 422, "candidates"),
        ({"primetext": "a" * 2001}, 422, "primetext"),
        ({"primetext": "\ud800"}, 422, "primetext"),
        ({"primetext": "The \u00fc"}, 422, "primetext has the character '\u00fc'"),
        ({"primetext": "\u00fc"}, 422, "primetext has the character '\u00fc'"),
        ({"length": 0, "topk": -1}, 422, "topk: "),
        ({"\ud800": 1}, 422, "the body has a field whose name is not valid Unicode."),
        ({str(k): k for k in range(99)}, 422, "0: Extra inputs"),
        ({str(k): k for k in range(100)}, 422, "an object of 101 fields is not part of any request."),
        ({"unit": {"layer": 3, "unit": 1}}, 422, "2 layers of 16 units"),
        ({"unit": {"layer": 1, "unit": 17}}, 422, "2 layers of 16 units"),
        ({"unit": {"layer": 0, "unit": 1}}, 422, "unit.layer"),
        ({"checkpoint": "/etc/passwd"}, 422, "checkpoint"),
    ],
)
def test_bad_requests(client, body, status, words):
    content = json.dumps({"model": LSTM.stem, **body})
    answer = client.post("/api/sample", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_an_unknown_character_is_not_to_be_left_out(client):
    """No field of a request is like -ignore_bad_primetext, which the command line advises."""
    answer = client.post("/api/sample", json={"model": LSTM.stem, "primetext": "\u00fc"})
    assert "ignore_bad" not in answer.json()["detail"]


@pytest.mark.parametrize("body", ["[]", "3", '"a"', "null", ""])
def test_a_body_must_be_an_object(client, body):
    answer = client.post("/api/sample", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (422, {"detail": "the body must be a JSON object."})


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "the body must be a JSON object."),
        (b"{", "the body is not JSON: Expecting property name enclosed in double quotes, at 1."),
        (b'{"model": "a', "the body is not JSON: Unterminated string starting at 10."),
        (b'{"model": "\n"}', "the body is not JSON: Invalid control character at 11."),
        (b"[" * 60_000, "the body is not JSON: Expecting value, at 60000."),  # unless Python refuses that depth
        (b"[]", "the body must be a JSON object."),
        (b'{"model": 3}', "model: Input should be a valid string."),
        ('{"primetext": "Stra\u00dfe"}'.encode("latin-1"), "the body is not JSON: invalid UTF-8, at 19."),
        (b"9" * 5000, "a number of so many digits is not part of any request."),
    ],
)
def test_bodies_that_are_no_request(client, content, words):
    answer = client.post("/api/sample", content=content, headers={"content-type": "application/json"})
    too_deep = "a body of so many nested lists or objects is not part of any request."
    assert answer.status_code == 422
    assert answer.json()["detail"] in (words, too_deep if content[:2] == b"[[" else words)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_form_of_another_site_is_no_request(client, kind):
    content = json.dumps({"model": LSTM.stem}).encode()
    answer = client.post("/api/sample", content=content, headers={"content-type": kind} if kind else {})
    assert answer.status_code == 422


@pytest.mark.parametrize("text, status", [("a" * MAX_SCORED, 200), ("a" * (MAX_SCORED + 1), 422), ("", 422)])
def test_texts_to_score_are_capped(client, text, status):
    assert client.post("/api/score", json={"model": LSTM.stem, "text": text}).status_code == status


@pytest.mark.parametrize("more, status", [(0, 200), (1, 413)])
@pytest.mark.parametrize("path", ["/api/sample", "/api/score"])
def test_bodies_are_capped(client, path, more, status):
    """The largest is that of a text of characters that JSON writes as two escapes each."""
    most = MAX_BODY.get(path, MAX_OTHER_BODY)
    text = {"text": "\U0001f600" * MAX_SCORED} if path == "/api/score" else {"primetext": "T" * MAX_PRIMETEXT}
    content = json.dumps({"model": LSTM.stem, **text}).encode().ljust(most) + b" " * more
    answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status


def test_every_request_that_its_schema_allows_is_small_enough(client):
    schema = client.get("/openapi.json").json()
    for path, operations in schema["paths"].items():
        if "post" in operations:
            described = operations["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            fields = schema["components"]["schemas"][described.rpartition("/")[2]]["properties"].values()
            characters = sum(field["maxLength"] for field in fields if field.get("type") == "string")
            assert len(json.dumps("\U0001f600" * characters)) < MAX_BODY.get(path, MAX_OTHER_BODY), path


@pytest.mark.parametrize(
    "path", ["/..%2f..%2fetc/passwd", "/../setup.py", "/page/page.js", "/docs", "/redoc", "//etc/passwd"]
)
def test_other_paths_are_not_there(client, path):
    assert client.get(path).status_code == 404


def test_no_request_touches_the_disk(client, models):
    """An audit hook, which sees every open() of the process, sees Python's own modules at most."""
    opened: list[object] = []
    watching = True
    sys.addaudithook(lambda event, args: opened.append(args[0]) if watching and event == "open" else None)
    try:
        for path in ("/", "/page.js", "/style.css", "/icon.svg", "/nowhere", "/api/models", "/openapi.json"):
            client.get(path)
        for model in (LSTM.stem, str(LSTM), "../x"):
            client.post("/api/sample", json={"model": model, "length": 20, "primetext": "/etc/"})
            client.post("/api/score", json={"model": model, "text": "/etc/passwd"})
    finally:
        watching = False
    assert [path for path in opened if not str(path).endswith((".py", ".pyc"))] == []


@pytest.mark.parametrize(
    "host, status",
    [
        ("127.0.0.1:8015", 200),
        ("localhost", 200),
        ("[::1]:8015", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("[::1].evil.example", 421),
        ("[::1]evil.example:80", 421),
        ("127.0.0.1:80:evil.example", 421),
        ("evil.example@127.0.0.1", 421),
        ("evil.example[127.0.0.1]", 421),
        ("", 421),
    ],
)
def test_names_of_this_machine_only(client, host, status):
    assert client.get("/api/models", headers={"host": host}).status_code == status


def test_token(models, scheduler):
    token = "0123456789abcdef"
    client = Client(create_app(models, scheduler, None, token), "http://somewhere.example")
    for path in ("/", "/page.js", "/style.css", "/icon.svg"):
        assert client.get(path).status_code == 200
    refusals = {"": "this server needs a token.", "Bearer x": "this token is wrong."}
    for header, words in refusals.items():
        answer = client.get("/api/models", headers={"authorization": header} if header else {})
        assert answer.json()["detail"] == words
    for header in (
        {},
        {"authorization": "Bearer x"},
        {"authorization": token},
        {"authorization": "Bearer \u00fc".encode()},
    ):
        for path in ("/api/models", "/openapi.json", "/nowhere"):
            answer = client.get(path, headers=header)
            assert answer.status_code == 401
            assert "bearer" in answer.headers["www-authenticate"].lower()
        assert client.post("/api/sample", json={"model": LSTM.stem}, headers=header).status_code == 401
    assert client.get("/api/models", headers={"authorization": f"Bearer {token}"}).status_code == 200
    assert client.get("/api/models?token=" + token).status_code == 401


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/models", "/nowhere"])
def test_headers(client, path):
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_served(tmp_path):
    damaged = tmp_path / "damaged.t7"
    damaged.write_bytes(LSTM.read_bytes()[:30_000])
    said, noted = list[str](), list[str]()
    models = Registry([str(damaged), str(LSTM)], said.append, noted.append)
    assert [facts.id for facts in models.all_facts()] == [LSTM.stem]
    assert said == [f"offering {LSTM.stem}"]
    assert [line.startswith(f"left out: can't read {damaged}") for line in noted] == [True]
    with pytest.raises(UserError, match=r"can't read .*damaged"):
        Registry([str(damaged)], print, print)
    with pytest.raises(UserError, match="nowhere.t7 does not exist"):
        Registry([str(LSTM), str(tmp_path / "nowhere.t7"), str(tmp_path / "neither.t7")], print, print)
