"""What the page's own arithmetic draws, in a browser: the very texts of `pycharrnn sample`."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from conftest import GOLDEN, spec
from page_modules import modules, payload_of, request_of, sampled, sampled_here, script
from page_tools import needs_browser

from compat.cells import MODELS
from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.lua_random import LuaRandom
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import checkpoint, payload

pytestmark = needs_browser

RECORDED = sorted(run.parent.name for run in GOLDEN.glob("*/run.json") if spec(run.parent.name)["samples"])
LENGTH = 1000
BYTES = [bytes([b]) for b in (10, *range(32, 127), *range(0x80, 0xC8))]
# Of several bytes, and some are beginnings of others.
CODE_POINTS = [b"\n", b" ", b"a", b"ab", b"abc", b"e", *(c.encode() for c in "éü–→𝄞"), b"th", b"the", b"[233]"]
MANY = [*(chr(0x4E00 + k).encode() for k in range(500)), *CODE_POINTS]
PRIMETEXTS = ["", "a", "ab the abc"]


def random_models() -> list[Checkpoint]:
    """Of all kinds and odd sizes, with random weights."""
    random = np.random.default_rng(7)
    found = []
    small = itertools.product(MODELS, (1, 2, 3), (BYTES, CODE_POINTS), [None])
    large = [*((model, 2, BYTES, 50) for model in MODELS), ("lstm", 1, MANY, 8)]
    for model, layers, vocab, units in [*small, *large]:
        V, H = len(vocab), units or int(random.integers(5, 23))
        weights = {n: random.uniform(-0.4, 0.4, shape) for n, shape in parameter_shapes(model, V, H, layers).items()}
        found.append(Checkpoint(Network(model, H, layers, V, 0.0, weights), {c: i for i, c in enumerate(vocab, 1)}))
    return found


@pytest.fixture(scope="module")
def recorded():
    """name of a recorded run -> its checkpoints, each with the samples drawn from it."""
    found = {}
    for name in RECORDED:
        samples = spec(name)["samples"]
        for file in {sample["checkpoint"]: None for sample in samples}:
            loaded = checkpoint.load(GOLDEN / name / file)
            found[f"{name}/{file}"] = loaded, [sample for sample in samples if sample["checkpoint"] == file]
    return found


@pytest.fixture(scope="module")
def models(recorded):
    """Those of recorded runs, then the random ones."""
    return [*(loaded for loaded, _ in recorded.values()), *random_models()]


@pytest.fixture(scope="module")
def precisions():
    """A model as float64, float32 and float16, which holds some of its weights only roughly."""
    random = np.random.default_rng(5)
    shapes = parameter_shapes("gru", len(BYTES), 9, 1)
    weights = {name: random.normal(0, 0.5, s) * 10.0 ** random.integers(-9, 1, s) for name, s in shapes.items()}
    weights["decoder.bias"][3] = -np.inf
    loaded = Checkpoint(Network("gru", 9, 1, len(BYTES), 0.0, weights), {c: k for k, c in enumerate(BYTES, 1)})
    single = {name: weight.astype(np.float32) for name, weight in weights.items()}
    in_single = dataclasses.replace(loaded, network=dataclasses.replace(loaded.network, weights=single))
    found = [payload_of(loaded, "64"), payload_of(in_single, "32"), payload_of(loaded, "16", half=True)]
    assert [encoded["dtype"] for encoded in found] == ["float64", "float32", "float16"]
    return found


@pytest.fixture(scope="module")
def page(chromium, models, precisions):
    with modules(chromium, [*(payload_of(loaded, str(k)) for k, loaded in enumerate(models)), *precisions]):
        yield chromium


def test_recorded_texts(page, recorded):
    """As far as they were recorded, and further on as sampling draws them here."""
    texts = 0
    for k, (name, (loaded, samples)) in enumerate(recorded.items()):
        requests = [request_of(sample["args"], 500) for sample in samples]
        for sample, request, found in zip(samples, requests, sampled(page, k, loaded, requests), strict=True):
            want = (GOLDEN / name.split("/")[0] / sample["stdout"]).read_bytes()[:-1]
            assert found.startswith(want), (name, request)
            assert found == sampled_here(loaded, request), (name, request)
            texts += 1
    assert texts > 40


def requests_for(k: int) -> list[dict]:
    """Three for each of the random models."""
    hows = [(1, 0, 1, 123), (0.5, 5, 1, 2**32 - 1), (1.5, 0, 0.9, 0), (0.8, 7, 0.6, 2015), (3, 1, 1, 7)]
    found = []
    for j in range(3):
        temperature, topk, topp, seed = hows[(k + j) % len(hows)]
        how = {"temperature": temperature, "topk": topk, "topp": topp, "seed": seed}
        found.append({"primetext": PRIMETEXTS[(k + j) % 3], "length": 300, **how})
    return found


@pytest.mark.slow
def test_random_models(page, recorded, models):
    assert len(models) - len(recorded) == 22
    for k, loaded in enumerate(models[len(recorded) :]):
        requests = requests_for(k)
        for request, found in zip(requests, sampled(page, len(recorded) + k, loaded, requests), strict=True):
            assert found == sampled_here(loaded, request), (k, request)


def test_weights_of_every_precision(page, models, precisions):
    request = {"primetext": "a", "length": LENGTH, "temperature": 0.8, "topk": 0, "topp": 1, "seed": 4}
    code = """
        const { readWeights } = await import("./weights.js");
        const weights = Object.entries(await readWeights(payloads[args[0]]));
        return weights.map(([name, weight]) => [name, Array.from(weight, String)]);
    """
    texts = []
    for k, encoded in enumerate(precisions, len(models)):
        loaded = payload.decode(encoded)
        found = dict(script(page, code, k))
        assert list(found) == list(loaded.network.weights)
        for name, weight in loaded.network.weights.items():
            numbers = [float(x.replace("Infinity", "inf")) for x in found[name]]
            assert numbers == weight.reshape(-1).astype(np.float64).tolist()
        texts += sampled(page, k, loaded, [request])
        assert texts[-1] == sampled_here(loaded, request)
    assert len(set(texts)) > 1


def test_random_numbers(page):
    code = """
        const { TorchRandom } = await import("./torch_random.js");
        return args.map((seed) => {
          const random = new TorchRandom(seed);
          return Array.from({ length: 1500 }, () => random.random());
        });
    """
    seeds = [0, 1, 123, 2**31, 2**32 - 1, -1, 2**32 + 5, 123.7]
    for seed, found in zip(seeds, script(page, code, *seeds), strict=True):
        assert found == LuaRandom(int(seed)).random(1500).tolist(), seed


def test_topp_counts_equal_characters_exactly(page):
    """Without a primetext all are equally likely."""
    code = """
        const { sample } = await import("./sampler.js");
        const deaf = (V) => ({ step: () => new Float64Array(V) });
        return args.map(([V, topp, temperature]) => {
          const probabilities = new Float64Array(V);
          sample(deaf(V), probabilities, [], { length: 1, temperature, topk: 0, topp, seed: 1 }).next();
          return probabilities.filter((p) => p > 0).length;
        });
    """
    cases = [(V, k / 20, t) for V in (10, 50, 60, 65, 96, 100) for k in range(1, 20) for t in (0.7, 1, 1.3)]
    for (V, topp, t), found in zip(cases, script(page, code, *cases), strict=True):
        assert found == math.ceil(round(topp * V, 6)), (V, topp, t)
