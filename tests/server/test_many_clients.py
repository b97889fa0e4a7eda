"""The JSON API of pycharrnn serve with many clients at once, and some that leave."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import time

import httpx
import numpy as np
import pytest
from api_client import JSON, TAKEN, Client
from serving_tools import LOOPBACK, LSTM, model_of

from pycharrnn.analysis import surprise
from pycharrnn.checkpoints import checkpoint
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import samples, scores, served_models
from pycharrnn.server import scheduler as scheduler_module
from pycharrnn.server.app import create_app
from pycharrnn.server.json_lines import LineWriter
from pycharrnn.server.samples import RequestedSample
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.schemas import MAX_LENGTH


def asgi(app, body: dict, leave_after: int | None = None, path: str = "/api/sample", on_send=lambda: None):
    """One POST as an ASGI server would put it; leaves after so many messages. The messages of the answer.

    on_send: called for each of them.
    """

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
            on_send()
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


def test_the_pieces_of_a_score_let_the_event_loop_run(models, scheduler, monkeypatch):
    monkeypatch.setattr(scheduler_module, "_MAX_TURN", 0)  # one item a piece
    monkeypatch.setattr(scheduler_module, "_MIN_TURN", 0)
    waiting = []  # for each callback that the event loop has still to run
    most = 0

    def on_send():
        nonlocal most
        waiting.append(True)
        most = max(most, len(waiting))
        asyncio.get_running_loop().call_soon(waiting.clear)

    app = create_app(models, scheduler, LOOPBACK, "")
    answer = asyncio.run(asgi(app, {"text": "The " * 100}, path="/api/score", on_send=on_send))
    assert len(answer) > 10
    # asyncio writes a line to stderr for each write after the fifth to a connection that it has still to close.
    assert most <= 3  # the head with the first piece; the last piece with the end


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
        asked = RequestedSample(SampleOptions(length=3000, seed=k), b"", None, 5)
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
        asked = RequestedSample(SampleOptions(length=length, seed=1), b"The ", None, 5)
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
