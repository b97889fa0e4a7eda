"""A client's own copy of a model, which learns: what it answers, that its memory counts, and that it ends."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from pathlib import Path

import httpx
import item_models
import pytest
from serving_tools import GRU, LOOPBACK, LSTM, facts_of

from compat.item_options import record_labels
from pycharrnn.analysis import adapted, line_scores, scoring
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
PATIENCE = 30_000  # hundredths of a second after which a test gives up
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
    text = TEXT + "\u2013"  # three bytes
    answer = post(models, "score", model=GRU.stem, text=text + "~", adapt=True).json()
    loaded = checkpoint.load(GRU)
    learnt, plain = adapted.score(loaded, text.encode(), HOW), scoring.score(loaded, text.encode())
    assert answer["bits_per_character"] == pytest.approx(learnt.bits_per_character, rel=1e-12)
    assert answer["plain"] == pytest.approx(plain.bits_per_character, rel=1e-12)
    assert (answer["unknown"], answer["known"]) == (1, len(TEXT) + 3)
    bits = [one["bits"] for one in answer["characters"][: len(TEXT)]]
    assert bits == pytest.approx(learnt.bits[: len(TEXT)].tolist())
    assert "plain" not in post(models, "score", model=GRU.stem, text=TEXT).json()


def test_how_it_learns(models):
    flags = {"adapt_rate": 0.01, "adapt_length": 7, "adapt_pull": 0.1}
    how = AdaptOptions(**flags).adaptation
    body = {"model": GRU.stem, "text": TEXT}
    learnt = adapted.score(checkpoint.load(GRU), TEXT.encode(), how)
    answer = post(models, "score", **body, adapt=True, **flags).json()
    assert [one["bits"] for one in answer["characters"]] == pytest.approx(learnt.bits.tolist())
    longer = [post(models, "score", **body, adapt=True, adapt_length=length).text for length in (len(TEXT), 10_000)]
    assert longer[0] == longer[1]  # one segment
    asked = {"model": LSTM.stem, "primetext": TEXT[:40], "length": 60, "temperature": 0.5, "adapt": True}
    loaded = learning.learnt(checkpoint.load(LSTM), [bytes([byte]) for byte in TEXT[:40].encode()], how)
    opt = SampleOptions(length=60, temperature=0.5)
    drawn = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, opt, TEXT[:40].encode())
    lines = [json.loads(line) for line in post(models, "sample", **asked, **flags).text.splitlines()]
    assert "".join(line.get("text", "") for line in lines) == b"".join(one.character for one in drawn).decode()
    for path, request in (("score", body), ("sample", {"model": LSTM.stem})):
        refused = post(models, path, **request, adapt_length=7)
        assert refused.status_code == 422
        assert refused.json()["detail"].startswith("adapt_length: it says how a model learns: set adapt to true")


def test_a_score_says_how_far_it_is(models):
    body = {"model": GRU.stem, "text": TEXT * 8, "adapt": True}
    answer = post(models, "score", **body, progress=True)
    assert answer.headers["content-type"] == "application/x-ndjson"
    *told, last = (json.loads(line) for line in answer.text.splitlines())
    progress = [line["progress"] for line in told]
    assert progress == sorted(progress) and progress[-1] == 1
    assert last == {"done": True, **post(models, "score", **body).json()}
    assert post(models, "score", model="another", text="x", progress=True).status_code == 404


def test_the_lines_of_a_text(models):
    text = TEXT + "the~"
    answer = post(models, "score", model=GRU.stem, text=text, adapt=True, lines=True).json()
    bits = adapted.score(checkpoint.load(GRU), text.encode(), HOW).bits
    assert [line["text"] for line in answer["lines"]] == text.split("\n")
    assert {line["label"] for line in answer["lines"]} == {""}
    assert sum(line["bits"] for line in answer["lines"]) == pytest.approx(bits.sum())
    assert answer["lines"][0]["bits"] == pytest.approx(bits[:21].sum())
    assert [answer["lines"][k]["characters"] for k in (0, -1)] == [21, 3]
    assert "lines" not in post(models, "score", model=GRU.stem, text=text).json()


def test_items_with_labels(tmp_path):
    counts = record_labels({b"ab": 3, b"cc": 2})
    path = item_models.saved(tmp_path, letters="abc\t", label="file", **counts)
    models, text = Registry([str(path)], print, print), "ab\tba\ncc\tabX\n" * 5
    for adapt in (False, True):
        answer = post(models, "score", model=path.stem, text=text, lines=True, adapt=adapt).json()
        found = [(line["label"], line["text"], line["characters"]) for line in answer["lines"]]
        assert found == [("ab", "ba", 3), ("cc", "abX", 3)] * 5
        assert (answer["known"], answer["unknown"]) == (30, 5)
        bits = [one["bits"] for one in answer["characters"]]
        assert bits[:3] == [0, 0, 0] and None not in bits[:6] and bits[6:9] == [0, 0, 0]
        assert sum(bits[:6]) == pytest.approx(answer["lines"][0]["bits"])
        items = line_scores.of_file(
            checkpoint.load(path), str(labelled(tmp_path)), Path.read_bytes, "cpu", 1, HOW if adapt else None, "", print
        )
        alone = post(models, "score", model=path.stem, text="ab\tba\ncc\tab\n" * 5, lines=True, adapt=adapt).json()
        assert [line["bits"] for line in alone["lines"]] == pytest.approx([item.bits for item in items])
        for progress in (False, True):
            refused = post(models, "score", model=path.stem, text=f"{text}b\ta\n", adapt=adapt, progress=progress)
            assert refused.status_code == 422
            assert refused.json()["detail"] == (
                "text: lm_list_best is a model with labels (ab, cc) and has read no item without one: give each item"
                " after a label and a tab."
            )


def labelled(folder: Path) -> Path:
    (folder / "list.txt").write_bytes(b"ab\tba\ncc\tab\n" * 5)
    return folder / "list.txt"


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
        mine = await models.learning_model(LSTM.stem, HOW)
        assert not models._cache.fits(models._cache._max_bytes)
        return mine.nbytes

    network = checkpoint.load(LSTM).network
    of_segments = [learning_models.nbytes_of(facts_of(models, LSTM.stem), length) for length in (HOW.length, 10_000)]
    assert asyncio.run(held()) == of_segments[0] > 28 * network.parameters
    assert of_segments[1] - of_segments[0] > 9980 * 4 * (7 * network.num_layers * network.rnn_size)


@pytest.mark.parametrize(
    "path, body",
    [("sample", {"primetext": "~"}), ("items", {"primetext": "~"}), ("score", {"text": "~", "progress": True})],
)
def test_its_memory_ends_with_a_refusal(tmp_path, path, body):
    """Not with a later garbage collection: until then, the next request might get no memory."""
    labels = record_labels({b"ab": 3}) if path == "score" else {}
    file = LSTM if path == "sample" else item_models.saved(tmp_path, letters="abc\t", label=labels and "file", **labels)
    models = Registry([str(file)], print, print)
    gc.collect()
    gc.disable()
    try:
        assert post(models, path, model=file.stem, **body, adapt=True).status_code == 422
        for _ in range(PATIENCE):  # the thread of the turn may have to end it
            if models._cache._alive:
                time.sleep(0.01)
        assert not models._cache._alive
    finally:
        gc.enable()


def test_where_there_is_no_memory_or_no_file(tmp_path):
    full = Registry([str(LSTM)], print, print, max_bytes=1)
    full._cache.count(held := asyncio.run(full.learning_model(LSTM.stem, HOW)))
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
