"""A page's model that learns: the very weights of the C kernel, and so the texts and scores of the command line."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction

import item_models
import numpy as np
import pytest
from kernel_levels import needs_kernel
from page_modules import OPENED, modules, of_weights, payload_of, script
from page_tools import needs_browser
from serving_tools import GRU, LSTM

from compat.item_options import record_labels
from pycharrnn.analysis import adapted, scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import adapt, kernel_library
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.page.facts import facts_of
from pycharrnn.sampling import learning, sampler
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import scores, served_models
from pycharrnn.server.learning_models import LearningModel

pytestmark = [needs_browser, needs_kernel]

HOW = AdaptOptions().adaptation
TEXT = "the night, the night\nThe night is the night\n" * 6
WORDS = [*"\n ehst", *(chr(k) for k in range(0x400, 0x440))]
# The weights after a text, those that the kernel has not, and log-probabilities, for each of some payloads.
LEARN = """
    const { Learner } = await import("./learner.js");
    const { readWeights } = await import("./weights.js");
    const found = [];
    for (const [number, ids] of args[0]) {
      const learner = new Learner(payloads[number], await readWeights(payloads[number]));
      const logProbs = [];
      for (const {} of learner.readAll(ids.slice(0, -1), ids.slice(1), (some) => logProbs.push(...some)));
      const weights = Object.fromEntries(Object.entries(learner.weights()).map(([name, of]) => [name, [...of]]));
      found.push({ logProbs, weights });
    }
    return found;
"""


@pytest.fixture(scope="module")
def models():
    """Of all cells, with one and several layers, code points and items, float32 and float64."""
    random = np.random.default_rng(1)
    cells = [of_weights("rnn", [c.encode() for c in WORDS], 11, lambda s: random.uniform(-0.5, 0.5, s))]
    items = item_models.made("line", letters="ehinst", model="gru")
    labels = record_labels({b"he": 2, b"st": 1})
    with_labels = item_models.made("line", letters="ehinst\t", label="file", **labels)
    found = [checkpoint.load(LSTM), checkpoint.load(GRU), *cells, items, with_labels]
    return [dataclasses.replace(one) for one in found]


@pytest.fixture(scope="module")
def page(chromium, models):
    with modules(chromium, [payload_of(loaded, str(k)) for k, loaded in enumerate(models)]):
        yield chromium


@pytest.fixture(autouse=True)
def rounds_as_elsewhere():
    if not kernel_library.rounds_as_elsewhere():
        pytest.skip("this level has no fused multiply-add, so it rounds otherwise")


def test_the_weights_are_those_of_the_kernel(page, models):
    random = np.random.default_rng(2)
    texts = [random.integers(0, loaded.network.vocab_size, 130) for loaded in models]
    answers = script(page, LEARN, [[k, text.tolist()] for k, text in enumerate(texts)])
    for loaded, ids, answer in zip(models, texts, answers, strict=True):
        learner = adapt.learner(loaded.network, HOW)
        assert learner.read(ids[:-1], ids[1:]).tolist() == answer["logProbs"]
        for name, weight in learner.network().weights.items():
            assert weight.ravel().tolist() == answer["weights"][name], (loaded.network.model, name)


def test_a_product_is_rounded_once(page):
    """Also where the sum in double precision lies halfway between two float32 numbers, above, below and at it."""
    code = "const { fma } = await import('./float32.js'); return args[0].map(([a, b, c]) => fma(a, b, c))"
    tiny, half = 2.0**-40, 2.0**-24
    cases = [(1 + 2.0**-12, 1 + 2.0**-12, c) for c in (0, -1, 2.0**30, -(2.0**-11))]
    cases += [(half, 1, 1.0), (half, 1 + 2.0**-23, 1.0), (half, 1 - half, 1.0), (-half / 2, 1 + 2.0**-23, 1.0)]
    cases += [(tiny, sign * tiny, 1 + step) for sign in (1, -1) for step in (0, 2.0**-23)]
    cases += [(half + half * tiny * 2.0**17, 1 + 2.0**-23, 1 + 2.0**-23)]
    random = np.random.default_rng(4)
    cases += [tuple(map(float, np.float32(random.normal(0, 1, 3)))) for _ in range(2000)]
    cases = [tuple(float(np.float32(x)) for x in case) for case in cases]
    assert script(page, code, cases) == [rounded(Fraction(a) * Fraction(b) + Fraction(c)) for a, b, c in cases]


def rounded(x: Fraction) -> float:
    """To float32, to nearest; of two the one whose last bit is 0."""
    near = np.float32(float(x))
    candidates = [near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))]
    return float(min(candidates, key=lambda one: (abs(Fraction(float(one)) - x), one.view(np.uint32) % 2)))


def test_samples_are_those_of_the_command_line(page, models):
    request = {"primetext": TEXT, "length": 150, "temperature": 0.8, "topk": 0, "topp": 1, "seed": 5, "candidates": 0}
    opt = SampleOptions(length=150, temperature=0.8, seed=5)
    for k in (0, 1):
        code = "return (await whole(args[0])).map(({ text }) => text).join('')"
        found = script(page, OPENED + code, {**request, "model": str(k), "adapt": True})
        loaded = learning.learnt(models[k], [bytes([byte]) for byte in TEXT.encode()], HOW)
        drawn = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, opt, TEXT.encode())
        assert found == b"".join(one.character for one in drawn).decode("utf-8", "replace")
        assert found != script(page, OPENED + code, {**request, "model": str(k)})


def test_scores_are_those_of_the_command_line_and_the_page_is_told_how_far(page, models):
    code = """
        const told = [];
        const answer = await source.score(args[0], new AbortController().signal, (progress) => told.push(progress));
        return { answer, told };
    """
    text = TEXT + "\u2013\u00fc"  # the model knows all bytes of the dash, the first one of the u-umlaut
    found = script(page, OPENED + code, {"model": "0", "text": text, "adapt": True})
    answer, told = found["answer"], found["told"]
    learnt, plain = adapted.score(models[0], text.encode(), HOW), scoring.score(models[0], text.encode())
    assert answer["bits_per_character"] == pytest.approx(learnt.bits_per_character, rel=1e-12)
    assert answer["plain"] == pytest.approx(plain.bits_per_character, rel=1e-9)
    bits = [one["bits"] for one in answer["characters"][: len(TEXT)]]
    assert bits == pytest.approx(learnt.bits[: len(TEXT)].tolist())
    assert told[-1] <= 1 and told == sorted(told)
    assert "plain" not in script(page, OPENED + code, {"model": "0", "text": text})["answer"]


def test_how_it_learns_and_labels(page, models):
    """A label is read before its item, and neither counted nor learnt."""
    flags = {"adapt_rate": 0.01, "adapt_length": 7, "adapt_pull": 0.1}
    text = "he\tthe\nst\tni\nhe\t\nhe\tten\n" * 4
    code = "return await source.score(args[0], new AbortController().signal)"
    found = script(page, OPENED + code, {"model": "4", "text": text, "adapt": True, **flags})
    model = served_models.served(models[4], facts_of(models[4], "x", 0))
    learning = LearningModel(models[4], model.facts, AdaptOptions(**flags).adaptation)
    expected = json.loads("".join(scores.score(model, text.encode(), learning)))
    assert [one["bits"] for one in found["characters"]] == pytest.approx(
        [one["bits"] for one in expected["characters"]]
    )
    assert found.pop("characters") and expected.pop("characters")
    assert found == pytest.approx(expected, rel=1e-12)
    assert found["known"] == 4 * (4 + 3 + 4)
    plain = script(page, OPENED + code, {"model": "4", "text": text})
    assert plain["bits_per_character"] == pytest.approx(found["plain"], rel=1e-12)


@pytest.mark.parametrize("model, label", [(3, ""), (4, "he")])
def test_items(page, models, model, label):
    """As `sample -as`, the page reads the label before the prompt, but learns from the prompt alone."""
    code = """
        const items = [];
        for await (const some of source.items(args[0], new AbortController().signal)) items.push(...some);
        return items.filter((item) => item.text !== undefined).map((item) => item.text);
    """
    request = {
        "label": label,
        "primetext": "the",
        "items": 5,
        "length": 30,
        "temperature": 1,
        "topk": 0,
        "topp": 1,
        "seed": 1,
    }
    request |= {"new": False, "unique": False, "model": str(model), "adapt": True, "adapt_rate": 0.1}
    how = AdaptOptions(adapt_rate=0.1).adaptation
    before = f"\n{label}\t" if label else "\n"
    read = f"{before}the".encode()
    given = np.arange(len(read)) < len(before)
    loaded = learning.learnt(models[model], [bytes([byte]) for byte in read], how, given=given)
    opt = SampleOptions(length=30, seed=1)
    sampled = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, opt, read)
    drawn = b"".join(one.character for one in sampled)[len(before) :].split(b"\n")[0]
    assert script(page, OPENED + code, request)[0] == drawn.decode()
