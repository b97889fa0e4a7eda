"""The JSON API of pycharrnn serve: its answers, its limits, and who may ask."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import httpx
import item_models
import numpy as np
import pytest
from conftest import needs_signals, run, sentence
from serving_tools import GRU, LOOPBACK, LSTM, ROOT, client_of, get, model_of, post, server

from pycharrnn.analysis import activations, scoring, surprise
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.page.facts import facts_of
from pycharrnn.page.page_files import page_files
from pycharrnn.sampling import sampler, tokenizer
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import api, samples, scores, serve, served_models
from pycharrnn.server.app import create_app
from pycharrnn.server.json_lines import LineWriter
from pycharrnn.server.options import ServeOptions
from pycharrnn.server.registry import Registry
from pycharrnn.server.samples import SampleParams
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.schemas import MAX_CANDIDATES, MAX_ITEMS, MAX_LENGTH, MAX_PRIMETEXT, MAX_SCORED
from pycharrnn.server.security import MAX_BODY, MAX_OTHER_BODY


@pytest.fixture(scope="module")
def models():
    return Registry([str(LSTM), str(GRU)], print, print)


@pytest.fixture
def scheduler():
    return Scheduler(8, threads=2)


JSON = {"content-type": "application/json"}
TAKEN = "all places are taken: try again in a moment."


class Client:
    """Asks an application directly, without a socket."""

    def __init__(self, app, base_url: str = "http://127.0.0.1"):
        self.app, self.base_url = app, base_url

    def request(self, method: str, path: str, **keywords) -> httpx.Response:
        async def ask():
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
                return await client.request(method, path, **keywords)

        return asyncio.run(ask())

    def get(self, path: str, **keywords) -> httpx.Response:
        return self.request("GET", path, **keywords)

    def post(self, path: str, **keywords) -> httpx.Response:
        return self.request("POST", path, **keywords)


@pytest.fixture(scope="module")
def client(models):
    return Client(create_app(models, Scheduler(8, threads=2), LOOPBACK, ""))


def sample(client, **body) -> list[dict]:
    answer = client.post("/api/sample", json={"model": LSTM.stem, **body})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert "content-length" not in answer.headers
    return [json.loads(line) for line in answer.text.splitlines()]


def test_models(client):
    answer = client.get("/api/models").json()
    assert [model["id"] for model in answer["models"]] == [LSTM.stem, GRU.stem]
    first = answer["models"][0]
    assert (first["model"], first["num_layers"], first["rnn_size"], first["vocab_size"]) == ("lstm", 2, 16, 73)
    assert first["best_val_loss"] == pytest.approx(2.8734, abs=1e-4)
    assert answer["limits"] == {
        "length": MAX_LENGTH,
        "primetext": MAX_PRIMETEXT,
        "score": MAX_SCORED,
        "candidates": MAX_CANDIDATES,
        "items": MAX_ITEMS,
        "streams": 8,
    }


@pytest.mark.parametrize("options", [{}, {"temperature": 0.4, "seed": 7}, {"topk": 3}, {"topp": 0.5}])
def test_a_sample_is_what_the_command_prints(client, options):
    items = sample(client, primetext="The ", length=300, **options)
    assert items.pop() == {"done": True}
    loaded = checkpoint.load(LSTM)
    opt = SampleOptions(length=300, **options)
    drawn = list(sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, opt, b"The "))
    assert "".join(item["text"] for item in items) == b"".join(d.character for d in drawn).decode("utf-8", "replace")
    assert [item["given"] for item in items[:5]] == [True] * 4 + [False]
    single = [(item, d) for item, d in zip(items, drawn, strict=False)][:4]
    assert all(item["probability"] == pytest.approx(d.probability, rel=1e-3) for item, d in single)


def test_candidates_are_the_likeliest(client):
    items = sample(client, primetext="Th", length=1, candidates=20)
    first = [probability for _, probability in items[0]["candidates"]]
    assert np.allclose(first, 1 / 73, rtol=1e-3)  # before anything was read
    last = items[2]["candidates"]
    assert len(last) == 20
    assert [p for _, p in last] == sorted((p for _, p in last), reverse=True)
    assert "candidates" not in sample(client, length=1, candidates=0)[0]


@pytest.mark.parametrize("length, skip", [(60, 1), (60, 64), (300, 64), (60, 65), (60, 1000)])
def test_the_lines_of_characters_can_be_left_out(client, length, skip):
    """What is left of a longer sample is what goes on from a shorter one."""
    options = {"primetext": "The \u2013 ", "unit": {"layer": 1, "unit": 3}, "seed": 9}
    assert sample(client, length=length, skip=skip, **options) == (
        sample(client, length=length, **options)[:-1][skip:] + [{"done": True}]
    )


@pytest.mark.parametrize("path", [LSTM, GRU])
def test_activations_are_those_after_each_character(client, path):
    items = sample(client, model=path.stem, primetext="The night", length=60, unit={"layer": 2, "unit": 5})[:-1]
    loaded = checkpoint.load(path)
    opt = SampleOptions(length=60)
    drawn = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, opt, b"The night")
    text = b"".join(one.character for one in drawn)
    values = activations.record(loaded, text).values[:, 1, 4]
    assert [item["activation"] for item in items] == pytest.approx(values.tolist(), rel=1e-3, abs=1e-4)


def test_the_last_unit_of_the_last_layer(client):
    assert "activation" in sample(client, length=1, unit={"layer": 2, "unit": 16})[0]


def test_all_of_a_request_is_heard(client, models, monkeypatch):
    heard = []
    monkeypatch.setattr(api, "Sample", lambda *args: heard.append(args) or samples.Sample(*args))
    options = {"seed": 7, "length": 30, "temperature": 0.5, "topk": 9, "topp": 0.75}
    sample(client, primetext="The ", unit={"layer": 2, "unit": 5}, candidates=3, skip=9, **options)
    assert heard == [(model_of(models, LSTM), SampleParams(SampleOptions(**options), b"The ", (2, 5), 3, 9), None)]


def test_characters_of_several_bytes_are_one(client):
    items = sample(client, primetext="\u00e9\u2013", length=1)
    assert [item["text"] for item in items[:2]] == ["\u00e9", "\u2013"]
    loaded = checkpoint.load(LSTM)
    bits = scoring.score(loaded, "\u00e9".encode()).bits
    assert items[0]["probability"] == pytest.approx(2 ** -sum(bits), rel=1e-3)


def test_score(client):
    answer = client.post("/api/score", json={"model": LSTM.stem, "text": "The \u00fc night"}).json()
    loaded = checkpoint.load(LSTM)
    predictor = NumpyPredictor(loaded.network)
    bits, scores = [], None
    for byte in b"The  night":
        index = loaded.vocab[bytes([byte])] - 1
        bits.append(math.log2(73) if scores is None else -scores[index] / math.log(2))
        scores = predictor.step(index)
    # u-umlaut is C3 BC: the model knows its first byte only, so what follows depends on that one
    assert answer["unknown"] == 1
    assert answer["known"] == 11
    assert "".join(c["text"] for c in answer["characters"]) == "The \u00fc night"
    assert [c["bits"] for c in answer["characters"][:4]] == pytest.approx(bits[:4])
    assert answer["characters"][4] == {"text": "\u00fc", "bits": None}
    known = client.post("/api/score", json={"model": LSTM.stem, "text": "The  night"}).json()
    assert [c["bits"] for c in known["characters"]] == pytest.approx(bits)
    assert known["bits_per_character"] == pytest.approx(np.mean(bits))
    none = client.post("/api/score", json={"model": LSTM.stem, "text": "\u4e2d"}).json()
    assert (none["bits_per_character"], none["unknown"]) == (None, 3)


# -- what is refused -------------------------------------------------------------------------------------------------


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
        ({str(k): k for k in range(39)}, 422, "0: Extra inputs"),
        ({str(k): k for k in range(40)}, 422, "an object of 41 fields is not part of any request."),
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


@pytest.mark.parametrize("body", ["[]", "3", '"a"', "null", ""])
def test_a_body_must_be_an_object(client, body):
    answer = client.post("/api/sample", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (422, {"detail": "the body must be a JSON object."})


@pytest.mark.parametrize("length", [10, 10.0, 1e1])
def test_whole_numbers_are_whole_however_they_are_written(client, length):
    assert len(sample(client, length=length)) == 11


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "the body must be a JSON object."),
        (b"{", "the body is not JSON: Expecting property name enclosed in double quotes, at 1."),
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
    assert len(json.dumps({"primetext": "\U0001f600" * MAX_PRIMETEXT, "model": "\U0001f600" * 1000})) < MAX_OTHER_BODY
    content = json.dumps({"model": LSTM.stem, **text}).encode().ljust(most) + b" " * more
    answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status


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


@pytest.mark.parametrize(
    "path, kind",
    [("/", "text/html"), ("/page.js", "text/javascript"), ("/style.css", "text/css"), ("/icon.svg", "image/svg+xml")],
)
def test_files_of_the_page(client, path, kind):
    whole, head = client.get(path), client.request("HEAD", path)
    assert whole.headers["content-type"].partition(";")[0] == head.headers["content-type"].partition(";")[0] == kind
    assert whole.content == page_files()[path[1:] or "index.html"]
    assert head.status_code == 200
    assert head.content == b""
    assert client.get("/index.html").status_code == 404


@pytest.mark.parametrize("path", ["/api/models", f"/api/losses?model={LSTM.stem}", "/api/losses?model=none"])
def test_head_is_answered_as_get_without_the_body(client, path):
    whole, head = client.get(path), client.request("HEAD", path)
    assert (head.status_code, head.headers["content-length"]) == (whole.status_code, str(len(whole.content)))
    assert client.request("HEAD", "/api/sample").status_code == 405
    assert "head" not in client.get("/openapi.json").json()["paths"]["/api/models"]


def test_the_page_loads_nothing_from_elsewhere():
    for content in page_files().values():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert "http:" not in text
        assert "https:" not in text
        assert "//" not in text.replace("// ", "")


def test_openapi(client, models):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        f"/api/{name}" for name in ("models", "losses", "sample", "items", "score", "copied")
    }
    assert {"SampleBody", "SampledCharacter", "ScoreBody", "ScoreAnswer"} <= set(schema["components"]["schemas"])
    assert set(schema["paths"]["/api/models"]["get"]["responses"]) == {"200", "304", "401", "421", "422"}
    assert set(schema["paths"]["/api/losses"]["get"]["responses"]) == {"200", "401", "404", "421", "422"}
    for path in ("/api/sample", "/api/score"):
        responses = schema["paths"][path]["post"]["responses"]
        assert set(responses) == {"200", "400", "401", "404", "413", "421", "422", "503"}
        problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        assert all(answer["content"] == problem for status, answer in responses.items() if status != "200")
    assert schema["paths"]["/api/sample"]["post"]["responses"]["200"]["content"] == {
        "application/x-ndjson": {"schema": {"$ref": "#/components/schemas/SampleLine"}}
    }
    assert "security" not in schema
    with_token = create_app(models, Scheduler(1, 1), None, "0123456789abcdef").openapi()
    assert with_token["security"] == [{"token": []}]


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


def test_models_are_in_memory_of_their_own(models):
    """What a file's reader holds may be the file itself, which another program can change."""
    loaded = checkpoint.load(LSTM)
    served = served_models.served(loaded, facts_of(loaded, "x", 0))
    held = list(arrays(served.predictor))
    assert len(held) > 10
    for weight in loaded.network.weights.values():
        assert not any(np.shares_memory(value, weight) for value in held)


def arrays(value):
    """All arrays in an object of ours, in its attributes, lists, tuples and dictionaries."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from arrays(part)
    elif isinstance(value, dict):
        yield from arrays(list(value.values()))
    elif type(value).__module__.startswith("pycharrnn."):
        yield from arrays(list(vars(value).values()) if hasattr(value, "__dict__") else [])


def test_large_texts_are_taken_in_beside_the_event_loop(models, scheduler, monkeypatch):
    """Understanding a body and cutting a text into characters, which take time in proportion to their length."""
    client = Client(create_app(models, scheduler, LOOPBACK, ""))
    threads: dict[str, list[int]] = {"cut": [], "loads": []}

    def watched(name, function):
        def call(*args, **keywords):
            threads[name].append(threading.get_ident())
            return function(*args, **keywords)

        return call

    monkeypatch.setattr(tokenizer, "tokenize", watched("cut", tokenizer.tokenize))
    monkeypatch.setattr(tokenizer, "encode", watched("cut", tokenizer.encode))
    monkeypatch.setattr(json, "loads", watched("loads", json.loads))
    body = {"model": LSTM.stem, "primetext": "The " * 500, "length": 1}
    assert client.post("/api/sample", content=json.dumps(body) + " " * 5000, headers=JSON).status_code == 200
    assert client.post("/api/score", json={"model": LSTM.stem, "text": "The " * 5000}).status_code == 200
    for name, found in threads.items():
        assert len(found) >= 2, name
        assert threading.get_ident() not in found, name


# -- many at once, and some that leave -------------------------------------------------------------------------------


def asgi(app, body: dict, leave_after: int | None = None, path: str = "/api/sample"):
    """One POST as an ASGI server would put it; leaves after so many messages. The messages of the answer."""

    async def request():
        asked, gone, chunks = False, asyncio.Event(), []
        if leave_after == 0:
            gone.set()
        content = json.dumps({"model": LSTM.stem, **body}).encode()

        async def receive():
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": content}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            chunks.append(message)
            if leave_after is not None and len(chunks) > leave_after:
                gone.set()

        headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")]
        scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"}
        scope |= {"method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        scope |= {"headers": headers, "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1), "server": ("x", 1)}
        await app(scope, receive, send)
        return chunks

    return request()


def test_a_client_that_leaves_stops_its_work(models, monkeypatch):
    drawn = 0
    write = LineWriter.lines

    def counted(self, characters):
        nonlocal drawn
        drawn += len(characters.token_ids)
        return write(self, characters)

    monkeypatch.setattr(LineWriter, "lines", counted)
    scheduler = Scheduler(2, threads=2)

    async def scenario():
        await asgi(create_app(models, scheduler, LOOPBACK, ""), {"length": MAX_LENGTH}, leave_after=2)
        assert scheduler.clients == 0

    asyncio.run(scenario())
    scheduler._pool.shutdown()  # waits for the turn that was under way
    assert 0 < drawn < MAX_LENGTH - 1


def test_a_client_that_leaves_stops_its_score(models, monkeypatch):
    turns = 0

    def score(model, text, learning, lines):
        nonlocal turns
        for _ in range(20):
            turns += 1
            time.sleep(0.021)  # as long as a turn may be, so that each is a turn
            yield ""

    monkeypatch.setattr(scores, "score", score)
    app = create_app(models, Scheduler(2, threads=1), LOOPBACK, "")
    asyncio.run(asgi(app, {"text": "The night"}, leave_after=0, path="/api/score"))
    assert turns < 20


def test_a_score_beyond_the_limit_is_asked_to_come_back(models, scheduler):
    scheduler.clients = scheduler.max_clients
    client = Client(create_app(models, scheduler, LOOPBACK, ""))
    answer = client.post("/api/score", json={"model": LSTM.stem, "text": "The night"})
    assert (answer.status_code, answer.json()["detail"]) == (503, TAKEN)
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("blanks", [0, 5000])
@pytest.mark.parametrize("path", ["/api/sample", "/api/score"])
def test_a_request_that_comes_when_the_server_stops(models, scheduler, path, blanks):
    scheduler.closed = True
    content = json.dumps({"model": LSTM.stem, **({"text": "The"} if path == "/api/score" else {})}) + " " * blanks
    answer = Client(create_app(models, scheduler, LOOPBACK, "")).post(path, content=content, headers=JSON)
    assert answer.status_code == 503
    assert answer.json()["detail"] == ("the server is stopping." if blanks else TAKEN)


def test_what_goes_wrong_amid_a_sample_is_no_secret(models, scheduler, monkeypatch):
    """A fault of the program reaches the server, which logs it, and the answer is not whole."""

    def broken(self):
        yield '{"text":"T"}'
        raise ZeroDivisionError

    monkeypatch.setattr(samples.Sample, "start", broken)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(asgi(create_app(models, scheduler, LOOPBACK, ""), {}))
    assert scheduler.clients == 0


def test_clients_beyond_the_limit_are_asked_to_come_back(models):
    scheduler = Scheduler(2, threads=2)

    async def scenario():
        app = create_app(models, scheduler, LOOPBACK, "")
        return await asyncio.gather(*(asgi(app, {"length": 2000}) for _ in range(5)))

    answers = asyncio.run(scenario())
    statuses = [chunks[0]["status"] for chunks in answers]
    assert sorted(statuses) == [200, 200, 503, 503, 503]
    for chunks in answers:
        if chunks[0]["status"] == 200:
            assert b"".join(chunk.get("body", b"") for chunk in chunks).endswith(b'{"done":true}\n')
    assert scheduler.clients == 0


def test_turns_are_shared_fairly(models):
    """Of ten samples that start together, on one thread, none stands still until the first one ends."""
    scheduler = Scheduler(20, threads=1)
    progress: dict[int, int] = {}
    at_first_end: list[dict[int, int]] = []

    async def client(k: int):
        model = await models.model(LSTM.stem)
        asked = SampleParams(SampleOptions(length=3000, seed=k), b"", None, 5)
        with scheduler.admit():
            async for lines in samples.stream_lines(scheduler, samples.Sample(model, asked)):
                progress[k] = progress.get(k, 0) + lines.count("\n")
        at_first_end.append(dict(progress))

    async def scenario():
        await asyncio.gather(*(client(k) for k in range(10)))

    asyncio.run(scenario())
    assert len(at_first_end[0]) == 10
    assert min(at_first_end[0].values()) > 0.05 * sum(at_first_end[0].values()) / 10


def test_the_longest_sample_holds_up_no_short_one(models):
    scheduler = Scheduler(20, threads=1)

    async def client(length: int):
        model = await models.model(LSTM.stem)
        asked = SampleParams(SampleOptions(length=length, seed=1), b"The ", None, 5)
        with scheduler.admit():
            turns = [lines async for lines in samples.stream_lines(scheduler, samples.Sample(model, asked))]
        assert "".join(turns).count("\n") == length + 5  # those of the primetext, and the last line
        return length

    async def scenario():
        longest = asyncio.create_task(client(MAX_LENGTH))
        while scheduler.clients == 0:
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.gather(*(client(300) for _ in range(3)))
            assert not longest.done()
        assert await longest == MAX_LENGTH

    asyncio.run(scenario())


def test_scores_of_one_size_are_made_one_after_the_other(models, monkeypatch):
    """Each takes megabytes while it is being made, and is of no use before it is whole."""
    scheduler = Scheduler(20, threads=2)
    app = create_app(models, scheduler, LOOPBACK, "")
    running: list[bytes] = []
    most = 0

    def score(model, text, learning, lines):
        nonlocal most
        running.append(text)
        for _ in range(5):
            most = max(most, sum(len(other) == len(text) for other in running))
            together.add(len(running))
            time.sleep(0.021)
            yield ""
        running.remove(text)
        yield "{}"

    monkeypatch.setattr(scores, "score", score)
    together: set[int] = set()

    async def scenario():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            texts = ["x" * length for length in (10, 10, 10, 1000, 1000)]
            asked = [client.post("/api/score", json={"model": LSTM.stem, "text": text}) for text in texts]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert asyncio.run(scenario()) == [200] * 5
    assert most == 1
    assert max(together) == 2


def test_scores_leave_nothing_behind(client):
    """A server that follows a folder scores with ever more models."""

    def locks() -> int:
        gc.collect()
        return sum(type(one) is asyncio.Lock for one in gc.get_objects())  # isinstance would call torch's properties

    before = locks()
    for length in (1, 10, 100, 1000):
        assert client.post("/api/score", json={"model": LSTM.stem, "text": "x" * length}).status_code == 200
    assert locks() <= before


def test_a_score_that_the_end_of_the_server_cuts_short_is_no_score(models, monkeypatch):
    scheduler = Scheduler(20, threads=2)
    surprises = surprise.surprises

    def stopped(*args):
        for k, one in enumerate(surprises(*args)):
            scheduler.closed = scheduler.closed or k == 3
            time.sleep(0.01)
            yield one

    monkeypatch.setattr(surprise, "surprises", stopped)
    client = Client(create_app(models, scheduler, LOOPBACK, ""))
    assert client.post("/api/score", json={"model": LSTM.stem, "text": "The night"}).status_code == 503


def test_a_model_that_predicts_nan_ends_the_stream_with_a_sentence(models, scheduler, monkeypatch):
    loaded = checkpoint.load(LSTM)
    loaded.network.weights["decoder.weight"] = loaded.network.weights["decoder.weight"] * np.nan
    broken = served_models.served(loaded, model_of(models, LSTM).facts)
    monkeypatch.setitem(models._named, LSTM.stem, broken)
    client = Client(create_app(models, scheduler, LOOPBACK, ""))
    body = {"model": LSTM.stem, "length": 5, "primetext": "The"}
    *given, last = [
        json.loads(line, parse_constant=pytest.fail) for line in client.post("/api/sample", json=body).text.splitlines()
    ]
    assert "".join(item["text"] for item in given) == "The"
    assert "are NaN" in last["error"]
    answer = client.post("/api/score", json={"model": LSTM.stem, "text": "Tü"}).text
    assert json.loads(answer, parse_constant=pytest.fail) == {
        "bits_per_character": None,
        "known": 2,
        "code_points": 2,
        "unknown": 1,
        "characters": [{"text": "T", "bits": pytest.approx(math.log2(73))}, {"text": "ü", "bits": None}],
    }


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, words",
    [
        ({"host": "0.0.0.0"}, "-token new generates one"),
        ({"host": "192.168.1.7"}, "needs a -token"),
        ({"host": "example.org"}, "needs a -token"),
        ({"token": "short"}, "-token must be at least 16"),
        ({"token": "a b c d e f g h i j k"}, "-token must be at least 16"),
        ({"host": "", "token": "new"}, "-host must be an address"),
        ({"token": "0123456789abcdef#"}, "-token must be at least 16"),
        ({"token": "0123456789abcde\u00fc"}, "-token must be at least 16"),
        ({"token": "0123456789abcde"}, "-token must be at least 16"),
        ({"port": 65536}, "-port must be from 0 to 65535"),
        ({"port": -1}, "-port must be from 0 to 65535"),
        ({"streams": 0}, "-streams must be from 1 to 1000"),
        ({"streams": 1001}, "-streams must be from 1 to 1000"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(UserError, match=words):
        ServeOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"port": 0},
        {"port": 65535},
        {"streams": 1},
        {"streams": 1000},
        {"token": "new", "host": "0.0.0.0"},
        {"token": "0123456789abcdef", "host": "example.org"},
        {"token": "0123456789-_.~AZ"},
    ],
)
def test_good_options(options):
    ServeOptions(**options)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_token(host):
    ServeOptions(host=host)


def failed(*args) -> str:
    return sentence(run("serve", *map(str, args)))


def test_errors_are_one_sentence(tmp_path):
    assert "does not exist" in failed("nowhere.t7")
    assert "is named twice" in failed(LSTM, LSTM)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "choose another -host or -port; -port 0 takes a free one" in failed(
            LSTM, "-port", taken.getsockname()[1]
        )
    for host in ("203.0.113.1", 70 * "\u00fc", "a..b"):
        assert "choose another" in failed(LSTM, "-host", host, "-token", "new", "-port", "0")
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('no', name='fastapi')", encoding="utf-8")
    command = [sys.executable, "-m", "pycharrnn", "serve", LSTM]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    result = subprocess.run(command, capture_output=True, timeout=300, env=environment)
    assert "the page needs more packages: pip install" in sentence(result)


@pytest.mark.parametrize(
    "args, names",
    [
        ([], ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]"]),
        pytest.param(
            ["-host", "127.0.0.2"],
            ["127.0.0.1", "127.0.0.2:8015"],
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8"),
        ),
    ],
)
def test_a_server_without_token_has_the_names_of_its_machine_only(args, names):
    with server(LSTM, *args) as running:
        for name in names:
            assert get(running.url + "api/models", headers={"host": name}).status_code == 200
        for name in ("evil.example", "127.0.0.3", ""):
            assert get(running.url + "api/models", headers={"host": name}).status_code == 421


def test_a_server_on_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as e:
        pytest.skip(f"this machine has no IPv6: {e}")
    with server(LSTM, "-host", "::1") as running:
        assert running.url.startswith("http://[::1]:")
        assert get(running.url + "api/models").status_code == 200


@pytest.mark.parametrize("place", ["", "elsewhere", "another"])
def test_a_lost_training_text_is_said_at_the_start(tmp_path, monkeypatch, place):
    path = item_models.saved(tmp_path, text=b"a\nb\n")
    shutil.copy(path, path.with_name("other.t7"))  # of the same run: said once
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "another" / "data" / "list").mkdir(parents=True)
    (tmp_path / "another" / "data" / "list" / "input.txt").write_bytes(b"c\nd\n")
    monkeypatch.chdir(tmp_path / place)
    with server(LSTM, path.parent) as running:
        served = get(running.url + "api/models").json()["models"]
        asked_of = next(model["id"] for model in served if model["items"])
        asked = post(running.url + "api/items", {"model": asked_of, "new": True, "items": 1})
        running.process.terminate()
        _, error = running.process.communicate(timeout=300)
    said = [line for line in error.splitlines() if "requests with new are refused" in line]
    if not place:
        assert (asked.status_code, said) == (200, [])
        return
    (line,) = said
    text = os.path.join("data/list", "input.txt")
    assert line.startswith(f"pycharrnn: {text}, on which {path.parent}{os.sep}")
    what = "is not here" if place == "elsewhere" else "has changed since"
    assert line.endswith(f" was trained, {what}: requests with new are refused; start in the folder of the training.")
    assert asked.status_code == 422
    assert asked.json()["detail"].endswith(": start the server in the folder of the training.")


@needs_signals
def test_a_server_that_is_stopped_amid_a_sample_says_so():
    with server(LSTM) as running, client_of(running.url) as client:
        with client.stream("POST", "/api/sample", json={"model": LSTM.stem, "length": 10_000}) as answer:
            lines = answer.iter_lines()
            assert "text" in json.loads(next(lines))
            running.process.send_signal(signal.SIGINT)
            assert json.loads(list(lines)[-1]) == {"error": "the server is stopping."}
        _, error = running.process.communicate(timeout=300)
    assert running.process.returncode == 130
    assert error.strip() == "pycharrnn: stopped by Ctrl-C."


def test_plot_activations_and_serve_load_no_pytorch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')", encoding="utf-8")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for args in (["plot", LSTM, "-o", "a.svg"], ["activations", LSTM, "-primetext", "The night", "-o", "a.html"]):
        command = [sys.executable, "-m", "pycharrnn", *map(str, args)]
        result = subprocess.run(command, cwd=tmp_path, env={**os.environ, **env}, capture_output=True)
        assert result.returncode == 0, result.stderr
    with server(LSTM, env=env) as running:
        body = {"model": LSTM.stem, "text": "The night"}
        assert post(running.url + "api/score", body).status_code == 200


def test_a_token_that_was_made():
    with server(LSTM, "-host", "0.0.0.0", "-token", "new") as running:
        address, _, token = running.url.partition("#token=")
        assert len(token) >= 32
        bearer = {"authorization": f"Bearer {token}"}
        url = address.replace("0.0.0.0", "127.0.0.1") + "api/models"
        assert get(url).status_code == 401
        assert get(url, headers=bearer).status_code == 200
        assert get(url, headers={**bearer, "host": "somewhere.example"}).status_code == 200


def test_a_token_of_ones_own():
    with server(LSTM, "-token", "0123456789abcdef") as running:
        address, _, token = running.url.partition("#token=")
        assert token == "0123456789abcdef"
        assert get(address + "api/models").status_code == 401
        assert get(address + "api/models", headers={"authorization": f"Bearer {token}"}).status_code == 200


@needs_signals
def test_many_clients_for_some_seconds():
    """The benchmark, shorter and with fewer characters: no error, and memory that stays."""
    script = ROOT / "benchmarks" / "serve_clients.py"
    command = [sys.executable, str(script), str(LSTM), "-seconds", "1"]
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # by which it ends its server
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, preexec_fn=hear)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 errors" in result.stdout


@pytest.mark.parametrize(
    "threads, of_environment, expected", [(0, "", 4), (0, "2", 2), (0, "9", 4), (1, "2", 1), (6, "", 6)]
)
def test_the_threads_that_compute(monkeypatch, threads, of_environment, expected):
    class Asked(Exception):
        pass

    def scheduler(max_clients: int, threads: int) -> Scheduler:
        raise Asked(threads)

    monkeypatch.setattr(serve, "Scheduler", scheduler)
    monkeypatch.setattr(serve.cores, "usable", lambda: 64)
    monkeypatch.setenv("OMP_NUM_THREADS", of_environment)
    with pytest.raises(Asked) as e:
        serve.serve([str(LSTM)], ServeOptions(threads=threads), print, print)
    assert e.value.args == (expected,)
