"""The JSON API of pycharrnn serve: its answers and its description."""

from __future__ import annotations

import json
import math
import threading

import numpy as np
import pytest
from api_client import JSON, Client, sample
from serving_tools import GRU, LOOPBACK, LSTM, model_of

from pycharrnn.analysis import activations, scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.page.facts import facts_of
from pycharrnn.page.page_files import page_files
from pycharrnn.sampling import sampler, tokenizer
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import api, samples, served_models
from pycharrnn.server.app import create_app
from pycharrnn.server.samples import RequestedSample
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.schemas import MAX_CANDIDATES, MAX_ITEMS, MAX_LENGTH, MAX_PRIMETEXT, MAX_SCORED


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
    assert heard == [(model_of(models, LSTM), RequestedSample(SampleOptions(**options), b"The ", (2, 5), 3, 9), None)]


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


@pytest.mark.parametrize("length", [10, 10.0, 1e1])
def test_whole_numbers_are_whole_however_they_are_written(client, length):
    assert len(sample(client, length=length)) == 11


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
