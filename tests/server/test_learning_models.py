"""A client's own copy of a model, which learns: what it answers, that its memory counts, and that it ends."""

from __future__ import annotations

import asyncio
import gc
import json

import httpx
import item_models
import pytest
from serving_tools import GRU, LOOPBACK, LSTM

from pycharrnn.analysis import adapted, scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.sampling import learning, sampler
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import learning_models
from pycharrnn.server.app import create_app
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler

HOW = AdaptOptions().adaptation
TEXT = "the night, the night\nThe night is the night\n" * 6


@pytest.fixture(scope="module")
def models():
    return Registry([str(LSTM), str(GRU)], print, print)


def post(models: Registry, path: str, **body) -> httpx.Response:
    app = create_app(models, Scheduler(4, threads=1), LOOPBACK, "")

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post(f"/api/{path}", json=body)

    return asyncio.run(ask())


def test_a_sample_is_that_of_the_command_line(models):
    body = {"model": LSTM.stem, "primetext": TEXT, "length": 100}
    answer = post(models, "sample", **body, adapt=True)
    items = [json.loads(line) for line in answer.text.splitlines()]
    assert items.pop() == {"done": True}
    loaded = learning.learnt(checkpoint.load(LSTM), [bytes([byte]) for byte in TEXT.encode()], HOW)
    drawn = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, SampleOptions(length=100), TEXT.encode())
    assert "".join(item["text"] for item in items) == b"".join(one.character for one in drawn).decode()
    plain = post(models, "sample", **body).text
    assert plain != answer.text
    assert post(models, "sample", **body).text == plain  # no other client's model has learnt
    assert post(models, "sample", model=LSTM.stem, primetext="~", adapt=True).status_code == 422


def test_a_score_is_that_of_the_command_line(models):
    answer = post(models, "score", model=GRU.stem, text=TEXT + "~", adapt=True).json()
    loaded = checkpoint.load(GRU)
    learnt, plain = adapted.score(loaded, TEXT.encode(), HOW), scoring.score(loaded, TEXT.encode())
    assert answer["bits_per_character"] == pytest.approx(learnt.bits_per_character, rel=1e-12)
    assert answer["plain"] == pytest.approx(plain.bits_per_character, rel=1e-12)
    assert (answer["unknown"], answer["known"]) == (1, len(TEXT))
    assert [one["bits"] for one in answer["characters"][:-1]] == pytest.approx(learnt.bits.tolist())
    assert "plain" not in post(models, "score", model=GRU.stem, text=TEXT).json()


def test_items(tmp_path):
    path = item_models.saved(tmp_path, "line")
    models = Registry([str(path)], print, print)
    body = {"model": path.stem, "primetext": "ab", "items": 3, "length": 20}
    answer = post(models, "items", **body, adapt=True)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    loaded = learning.learnt(checkpoint.load(path), [b"\n", b"a", b"b"], HOW)
    drawn = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, SampleOptions(length=20), b"\nab")
    first = b"".join(one.character for one in drawn).split(b"\n")[1]
    assert lines[0]["text"] == first.decode("utf-8", "replace")
    assert lines[-1]["done"]
    score = post(models, "score", model=path.stem, text="ab\nba\n", adapt=True).json()
    assert score["known"] == 6 and score["plain"] != score["bits_per_character"]


def test_its_memory_counts_and_ends_with_the_request(tmp_path):
    models = Registry([str(LSTM)], print, print)
    body = {"model": LSTM.stem, "text": TEXT, "adapt": True}
    assert post(models, "score", **body).status_code == 200
    gc.collect()
    assert not models._cache._alive

    async def held():
        mine = await models.learning_model(LSTM.stem)
        assert not models._cache.fits(models._cache._max_bytes)
        return mine.nbytes

    network = checkpoint.load(LSTM).network
    assert asyncio.run(held()) == learning_models.nbytes_of(models.facts(LSTM.stem)) > 28 * network.parameters


def test_where_there_is_no_memory_or_no_file(tmp_path):
    full = Registry([str(LSTM)], print, print, max_bytes=1)
    full._cache.count(held := asyncio.run(full.learning_model(LSTM.stem)))
    answer = post(full, "score", model=LSTM.stem, text="The", adapt=True)
    assert answer.status_code == 503 and "take all memory" in answer.json()["detail"]
    assert held.nbytes
    path = item_models.saved(tmp_path, "line")
    models = Registry([str(path)], print, print)
    path.unlink()
    answer = post(models, "sample", model=path.stem, primetext="ab", adapt=True)
    assert answer.status_code == 404 and "has changed or is gone" in answer.json()["detail"]


def test_without_the_kernel_and_pytorch_the_answer_says_what_is_missing(models, monkeypatch):
    monkeypatch.setattr("pycharrnn.engine.kernel_library.library", lambda: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = post(models, "score", model=LSTM.stem, text=TEXT, adapt=True)
    assert answer.status_code == 422 and "needs PyTorch, which is not installed" in answer.text
