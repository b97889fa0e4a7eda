"""Items drawn from a model of a list: each is what it would be alone, whatever the threads, streams and predictor."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

import item_models
import pytest

from compat.lua_random import LuaRandom, SeedRandom
from compat.vocabulary import characters_by_id
from pycharrnn.common.errors import UserError
from pycharrnn.engine.model import CharRNN
from pycharrnn.sampling import item_streams, items, sampler
from pycharrnn.sampling.inference import TorchPredictor, on_cpu
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions

MODELS = {kind: item_models.made(kind) for kind in ("line", "blank")}


def model_of(loaded, prime: Sequence[bytes] = ()) -> items.ItemModel:
    return items.ItemModel(lambda n: on_cpu(loaded.network, n), loaded.vocab, loaded.network.end_id, prime)


def drawn(loaded, prime: Sequence[bytes] = (), most: int | None = 40, **options) -> list[item_streams.DrawnItem]:
    opt = SampleOptions(**{"items": 40, "length": 50, "seed": 5, **options})
    return list(items.draw(model_of(loaded, prime), opt, most))


def alone(loaded, prime: bytes, opt: SampleOptions) -> tuple[list[int], list[float]]:
    """The item of opt.seed as a text that begins with the end character and stops at the next; with the end's id."""
    end = characters_by_id(loaded.vocab)[loaded.network.end_id]
    found = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, opt, end + prime)
    characters = [one for one in found if not one.given]
    return [one.token_id for one in characters], [one.probability for one in characters]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    "prime, options",
    [
        (b"", {}),
        (b"ab", {"threads": 1}),
        (b"a", {"threads": 3, "temperature": (0.5, 2), "topk": 3}),
        (b"", {"threads": 2, "topp": 0.9, "items": 3}),
        (b"", {"length": 3, "items": 7}),
        (b"c", {"length": 1}),
    ],
)
def test_an_item_is_the_text_of_its_seed_up_to_the_end(with_or_without_kernel, kind, prime, options):
    loaded = MODELS[kind]
    of_prime = [bytes([byte]) for byte in prime]
    found = drawn(loaded, of_prime, **options)
    assert [item.seed for item in found] == list(range(5, 45))
    end = loaded.network.end_id
    options = {name: value for name, value in options.items() if name not in ("threads", "items")}
    for item in found[:3] + found[20::8]:
        stop = os.fsdecode(characters_by_id(loaded.vocab)[end])
        ids, probs = alone(loaded, prime, SampleOptions(**{"length": 50, **options, "seed": item.seed, "stop": stop}))
        assert item.token_ids.tolist() + ([] if item.cut else [end]) == ids
        assert item.token_probs.tolist() == pytest.approx(probs)
        assert item.cut == (ids[-1] != end)
    assert len({item.token_ids.tobytes() for item in found}) > 2
    if not options:
        assert not any(item.cut for item in found)


def test_more_items_than_streams_and_longer_ones_than_the_first_random_numbers(monkeypatch, with_or_without_kernel):
    loaded = MODELS["line"]
    for module, name, value in (
        (items, "MAX_STREAMS", 3),
        (items, "_ROUNDS_AHEAD", 1),
        (item_streams, "_NUMBERS", 2),
        (item_streams, "_ROUND_SECONDS", 0),
    ):
        monkeypatch.setattr(module, name, value)
    few = [(item.seed, item.token_ids.tolist()) for item in drawn(loaded, threads=2)]
    monkeypatch.undo()
    assert few == [(item.seed, item.token_ids.tolist()) for item in drawn(loaded, threads=1)]
    assert max(len(ids) for _, ids in few) > 4


def test_without_a_number_items_never_end(with_or_without_kernel):
    loaded = MODELS["line"]
    opt = SampleOptions(items=2, seed=5)
    found = list(itertools.islice(items.draw(model_of(loaded), opt), 40))
    assert [item.token_ids.tolist() for item in found] == [item.token_ids.tolist() for item in drawn(loaded)]


def test_pytorch_draws_the_same_items():
    loaded = MODELS["blank"]
    model = CharRNN.from_checkpoint(loaded)
    opt = SampleOptions(items=5, seed=5, length=50)
    of_pytorch = items.ItemModel(lambda n: TorchPredictor(model, n), loaded.vocab, loaded.network.end_id, [b"a"])
    found = list(items.draw(of_pytorch, opt, 5))
    assert [item.token_ids.tolist() for item in found] == [
        item.token_ids.tolist() for item in drawn(loaded, [b"a"], most=5)
    ]


def test_the_most_probable_characters_have_a_probability_at_any_temperature(with_or_without_kernel):
    """Where those of all characters underflow: sampling from them is refused, but the most probable one is defined."""
    loaded = MODELS["line"]
    at_1, near_0 = (drawn(loaded, sample=0, temperature=temperature, most=1)[0] for temperature in (1, 1e-5))
    assert near_0.token_ids.tolist() == at_1.token_ids.tolist()
    assert near_0.token_probs.tolist() == pytest.approx([1.0] * len(near_0.token_ids))
    with pytest.raises(UserError, match="NaN"):
        drawn(loaded, temperature=1e-5, most=1)


def test_a_model_whose_training_failed_is_refused(with_or_without_kernel):
    loaded = item_models.made("line")
    loaded.network.weights["decoder.bias"][:] = float("nan")
    with pytest.raises(UserError, match="probabilities are NaN: the checkpoint holds a model"):
        drawn(loaded)


@pytest.mark.parametrize("seed", [0, 1, 123, 2**32 - 1, 2**32 + 5, -1])
def test_numbers_of_a_seed_are_those_of_torch7(seed):
    random = SeedRandom()
    random.first(99, 3)
    assert random.first(seed, 700).tolist() == LuaRandom(seed).random(700).tolist()
