"""Where a page gets samples and scores from that has its models inside: a worker, with the answers of the server."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from page_modules import OPENED, modules, of_weights, payload_of, script
from page_tools import needs_browser
from serving_tools import GRU, LSTM

from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint
from pycharrnn.page.facts import facts_of
from pycharrnn.sampling import distribution, unknown_characters
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import samples, schemas, scores, served_models

pytestmark = needs_browser

CODE_POINTS = ["\n", " ", "a", "e", "h", "t", "é", "\u2013", "\ufffd", "𝄞", "the"]
REQUEST = {"primetext": "", "length": 200, "temperature": 1, "topk": 0, "topp": 1, "seed": 5, "candidates": 8}


@pytest.fixture(scope="module")
def models():
    random = np.random.default_rng(1)
    return {
        "lstm": checkpoint.load(LSTM),
        "gru": checkpoint.load(GRU),
        "code points": of_weights("rnn", [c.encode() for c in CODE_POINTS], 7, lambda s: random.uniform(-0.5, 0.5, s)),
        "64 alike": of_weights("rnn", [bytes([b]) for b in range(32, 96)], 2, np.zeros),
        "failed": of_weights("gru", [b"a", b"b"], 3, lambda shape: np.full(shape, np.nan)),
        "broken": of_weights("gru", [b"a", b"b"], 3, np.zeros),
    }


@pytest.fixture(scope="module")
def page(chromium, models):
    payloads = [payload_of(loaded, name) for name, loaded in models.items()]
    payloads[-1]["weights"] = "AAAA"
    with modules(chromium, payloads):
        yield chromium


def lines_here(loaded: Checkpoint, request: dict) -> list[dict]:
    """What the server answers."""
    names = {field.name for field in dataclasses.fields(SampleOptions)} - {"primetext"}
    opt = SampleOptions(**{name: value for name, value in request.items() if name in names})
    unit = request.get("unit")
    model = served_models.served(loaded, facts_of(loaded, "x", 0))
    asked = unit and (unit["layer"], unit["unit"]), request["candidates"], request.get("skip", 0)
    sample = samples.Sample(model, samples.RequestedSample(opt, request["primetext"].encode(), *asked))
    lines = "".join(sample.start())
    while sample.stream:
        ((more, _),) = samples.step_lines([sample], 100)
        lines += more
    return [line for line in map(json.loads, lines.splitlines()) if "done" not in line]


@pytest.mark.parametrize(
    "name, more",
    [
        ("lstm", {"primetext": "Tomas \u2013 ", "unit": {"layer": 2, "unit": 16}}),
        ("lstm", {"temperature": 1.5, "skip": 190, "candidates": 0}),
        ("lstm", {"primetext": "T", "skip": 17, "topk": 3, "candidates": 20}),
        ("gru", {"topp": 0.8, "temperature": 0.7, "unit": {"layer": 1, "unit": 1}}),
        ("code points", {"primetext": "the é𝄞\ufffd", "temperature": 2, "unit": {"layer": 1, "unit": 7}}),
        ("64 alike", {"length": 20}),
    ],
)
def test_samples_are_those_of_the_server(page, models, name, more):
    request = {**REQUEST, **more}
    found = script(page, OPENED + "return await whole(args[0])", {**request, "model": name})
    assert found == lines_here(models[name], request)


@pytest.mark.parametrize(
    "name, text",
    [
        ("lstm", "Tomas \u2013 was\u00f1 here \ufeff\U0001d11e"),
        ("gru", "~"),
        ("code points", "the tea \u2014 é\ufffd𝄞, \U0001f600!"),
        ("failed", "ab"),
    ],
)
def test_scores_are_those_of_the_server(page, models, name, text):
    code = "return await source.score(args[0], new AbortController().signal)"
    found = script(page, OPENED + code, {"model": name, "text": text})
    loaded = models[name]
    model = served_models.served(loaded, facts_of(loaded, "x", 0))
    expected = json.loads("".join(scores.score(model, text.encode())))
    for answer in (found, expected):  # in the last bit their logarithms may differ
        for one in [answer, *answer["characters"]]:
            one |= {key: x and round(x, 11) for key, x in one.items() if key in ("bits", "bits_per_character")}
    assert found == expected


def test_models_and_their_losses(page, models):
    code = "return [await source.models(), await source.models(), await source.losses('lstm'), source.token]"
    listed, again, losses, token = script(page, OPENED + code)
    assert [facts["id"] for facts in listed["models"]] == list(models)
    assert listed["follow"] is False
    of_server = {"length": schemas.MAX_LENGTH, "primetext": schemas.MAX_PRIMETEXT, "score": schemas.MAX_SCORED}
    of_server["items"] = schemas.MAX_ITEMS
    assert listed["limits"] == of_server
    assert again is None
    assert losses == payload_of(models["lstm"], "lstm")["losses"]
    assert not token


@pytest.mark.parametrize(
    "character", list("~{\\'\"\0\x7f\r\t\u00a0\u00fc\u00ad\u200b\u2028\u3000\ufeff\U0001f600\U000e0001")
)
def test_an_unknown_character_is_named(page, models, character):
    text = f"the {character}"
    code = "return await whole(args[0]).catch((e) => [e.constructor.name, e.message])"
    found = script(page, OPENED + code, {**REQUEST, "model": "code points", "primetext": text})
    described = unknown_characters.describe_unknown(text.encode(), 4, [b"a", "é".encode()])
    assert found == ["Problem", f"primetext has {described}: leave it out."]


def nan_message(temperature: float) -> str:
    """That of the server."""
    return json.loads(samples.error_line(distribution.nan_error(temperature)))["error"]


@pytest.mark.parametrize(
    "more, message",
    [
        ({"model": "failed", "primetext": "a", "temperature": 0.55}, nan_message(0.55)),
        ({"model": "failed", "primetext": "a", "temperature": 1}, nan_message(1)),
        ({"model": "lstm", "unit": {"layer": 3, "unit": 1}}, "unit: the model has 2 layers of 16 units."),
        ({"model": "lstm", "unit": {"layer": 1, "unit": 17}}, "unit: the model has 2 layers of 16 units."),
        ({"model": "other"}, "This page has no model other."),
        ({"model": "broken"}, "The computation failed"),
    ],
)
def test_what_goes_wrong_is_said(page, more, message):
    code = "return [await whole(args[0]).catch((e) => [e.constructor.name, e.message]), await whole(args[1])]"
    (kind, found), after = script(page, OPENED + code, {**REQUEST, **more}, {**REQUEST, "model": "gru", "length": 3})
    assert (kind, found[: len(message)]) == ("Problem", message)
    assert len(after) > 0


def test_after_a_worker_has_failed_another_one_gets_its_models(page, models):
    code = """
        const before = await whole(args[0]);
        const failed = whole({ ...args[0], model: "broken" }).catch((e) => e.message);
        const beside = whole({ ...args[0], length: 1e9 }).catch((e) => e.message);
        return [before, await failed, await beside, await whole(args[0])];
    """
    before, failed, beside, after = script(page, OPENED + code, {**REQUEST, "model": "lstm"})
    assert failed == beside  # both ran in the worker that failed
    assert failed.startswith("The computation failed (")
    assert before == after == lines_here(models["lstm"], REQUEST)


def test_what_is_stopped_takes_no_more_time(page):
    code = """
        const controller = new AbortController();
        const samples = source.sample({ ...args[0], length: 1e9 }, controller.signal);
        await samples.next();
        controller.abort();
        const stopped = await samples.next().catch((e) => [e.name, e instanceof DOMException]);
        const [{ task }, turns] = [log[0], log.length];
        await whole({ ...args[0], length: 1 });
        const count = log.filter((message) => message.task === task).length;
        await new Promise((resolve) => setTimeout(resolve, 200));
        const later = log.filter((message) => message.task === task).length;
        const before = await whole(args[0], AbortSignal.abort()).catch((e) => e.name);
        return [stopped, count - turns, later - count, before];
    """
    stopped, in_flight, later, before = script(page, OPENED + code, {**REQUEST, "model": "lstm"})
    assert stopped == ["AbortError", True]
    assert in_flight <= 2  # what the worker was about when it was stopped, and the turn after that
    assert later == 0
    assert before == "AbortError"


def test_the_page_goes_on_meanwhile(page):
    code = """
        let drawn = false;
        const asked = whole(args[0]).then(() => (drawn = true));
        await new Promise((resolve) => setTimeout(resolve));
        const before = drawn;
        await asked;
        return before;
    """
    assert script(page, OPENED + code, {**REQUEST, "model": "lstm", "length": 5000}) is False


def test_several_at_a_time(page, models):
    code = "return await Promise.all(args.map((request) => whole(request)))"
    requests = [{**REQUEST, "length": 3000, "seed": seed, "candidates": 0} for seed in (1, 2, 3)]
    found = script(page, OPENED + code, *({**request, "model": "lstm"} for request in requests))
    assert found == [lines_here(models["lstm"], request) for request in requests]
