"""The kernel's prediction and drawing: what NumPy says, and the same bits in whatever company a stream is."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_levels import LEVELS, needs_kernel
from random_streams import drawn, network, params_of, streams_of, text

from compat.cells import MODELS
from pycharrnn.engine import kernel_library
from pycharrnn.engine.kernel_network import PackedNetwork
from pycharrnn.engine.kernel_streams import SampleRequest, SamplingParams
from pycharrnn.sampling import distribution
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions

pytestmark = [needs_kernel, pytest.mark.usefixtures("kernel_is_on")]

SIZES = [(1, 1, 1), (7, 5, 2), (9, 16, 1), (65, 33, 3), (130, 64, 2)]  # V, H, layers


@pytest.mark.parametrize("float32", [False, True], ids=["double", "float"])
@pytest.mark.parametrize("model", MODELS)
def test_reading_is_that_of_numpy(level, model, float32):
    """Twice, so that the states are carried over; around the sizes of tiles and parts."""
    for V, H, layers in SIZES:
        of = network(model, V, H, layers, float32)
        for T, B in ((1, 1), (1, 2), (3, 3), (2, 5), (30, 1), (1, 12), (2, 13), (1, 31)):
            ours, definition = streams_of(of, B, T), NumpyPredictor(of, B, T)
            assert bool(ours.network.structure.is_float32) == float32
            for characters in text(2 * T, B, V).reshape(2, T, B):
                np.testing.assert_allclose(ours.read(characters), definition.read(characters), rtol=0, atol=1e-13)
            np.testing.assert_allclose(ours.activations, definition.activations(), rtol=0, atol=1e-13)


def test_streams_are_numbered_by_what_c_reads(integers_of_windows):
    of = network("lstm", 9, 16, 1)
    characters = text(2, 3, 9)
    ours, definition = streams_of(of, 3, 2).read(characters), NumpyPredictor(of, 3, 2).read(characters)
    np.testing.assert_allclose(ours, definition, rtol=0, atol=1e-13)


def test_all_instruction_sets_with_fused_multiply_adds_give_the_same_bits(monkeypatch):
    fused = [name for name in LEVELS if name != "any"]
    if len(fused) < 2:
        pytest.skip("there is one such instruction set here, or none")
    for model in MODELS:
        for V, H, layers in SIZES:
            of, found = network(model, V, H, layers), []
            for name in fused:
                monkeypatch.setenv("PYCHARRNN_KERNEL", name)
                kernel_library.library.cache_clear()
                streams = streams_of(of, 5, 3)
                found.append((streams.read(text(3, 5, V)), drawn(streams_of(of, 5), 7)))
            kernel_library.library.cache_clear()
            for one in found[1:]:
                np.testing.assert_array_equal(one[0], found[0][0])
                for ours, first in zip(one[1][:3], found[0][1][:3], strict=True):
                    np.testing.assert_array_equal(ours, first)


@pytest.mark.parametrize("float32", [False, True], ids=["double", "float"])
@pytest.mark.parametrize("model", MODELS)
def test_a_stream_does_not_depend_on_others_nor_on_steps_at_once(level, model, float32):
    V, H = 66, 40
    of, characters = network(model, V, H, 2, float32), text(6, 70, 66)
    together = streams_of(of, 70, 6).read(characters)
    for B in (1, 2, 3, 4, 7, 12, 13):
        some = streams_of(of, B, 2)
        found = np.concatenate([some.read(characters[t : t + 2, :B]) for t in (0, 2, 4)])
        np.testing.assert_array_equal(found, together[:, :B])


@pytest.mark.parametrize("float32", [False, True], ids=["double", "float"])
@pytest.mark.parametrize("model", MODELS)
def test_log_likelihoods_are_what_read_gives_for_any_streams_and_lengths(level, model, float32):
    """Around the sizes of tiles, and of the parts of steps and streams that are read at once."""
    V, H, N, B = 21, 20, 70, 66
    of, characters = network(model, V, H, 3, float32), text(N + 1, B, V)
    log_probs = streams_of(of, B, N).read(characters[:-1])
    expected = np.take_along_axis(log_probs, characters[1:, :, None], -1)[..., 0]
    for which in (range(B), range(B - 1, 0, -2), range(13), range(12), (5, 3), (65,)):
        some, which = streams_of(of, B), np.array(which)
        for first, last in ((0, 1), (1, 2), (2, 9), (9, 70)):
            found = some.log_likelihoods(which, characters[first:last, which], characters[first + 1 : last + 1, which])
            np.testing.assert_array_equal(found, expected[first:last, which])
        assert not np.delete(some.h, which, 0).any()
        some.reset_state(which[0])
        found = some.log_likelihoods(which[:1], characters[:-1, which[:1]], characters[1:, which[:1]])
        np.testing.assert_array_equal(found, expected[:, which[:1]])


def test_a_large_layer_takes_more_streams_at_once(level):
    """What its weights are read for must not show in the numbers."""
    of, characters = network("rnn", 9, 760, 1), text(2, 70, 9)
    assert of.weights["h2h_1.weight"].nbytes > 1 << 22
    together = streams_of(of, 70, 2).read(characters)
    np.testing.assert_array_equal(streams_of(of, 1, 2).read(characters[:, 66:67]), together[:, 66:67])
    np.testing.assert_allclose(together, NumpyPredictor(of, 70, 2).read(characters), rtol=0, atol=1e-12)


def test_threads_read_in_streams_of_their_own(level):
    of, characters = network("lstm", 30, 24, 2), text(41, 16, 30)
    expected = streams_of(of, 16).log_likelihoods(np.arange(16), characters[:-1], characters[1:])
    shared = streams_of(of, 16)
    with ThreadPoolExecutor(4) as pool:
        parts = [np.arange(k, 16, 4) for k in range(4)]
        found = pool.map(
            lambda which: shared.log_likelihoods(which, characters[:-1, which], characters[1:, which]), parts
        )
    for which, one in zip(parts, found, strict=True):
        np.testing.assert_array_equal(one, expected[:, which])


@pytest.mark.parametrize(
    "streams, characters, targets, error",
    [
        ([0, 2], [[0, 0]], [[0, 0]], IndexError),
        ([1, 1], [[0, 0]], [[0, 0]], ValueError),
        ([0, 1], [[0, 9]], [[0, 0]], IndexError),
        ([0, 1], [[0, 0]], [[0, 9]], IndexError),
        ([0, 1], [[0, 0]], [[-1, 0]], IndexError),
        ([0, 1], [[0, 0]], [[0, 0], [0, 0]], ValueError),
        ([0, 1], [[0]], [[0]], ValueError),
        ([0, 1], [[0, 0]], [[0.0, 1.0]], TypeError),
    ],
)
def test_wrong_arguments_of_log_likelihoods_are_refused(streams, characters, targets, error):
    with pytest.raises(error):
        streams_of(network("gru", 9, 8, 2), 2).log_likelihoods(
            np.array(streams), np.array(characters), np.array(targets)
        )


OPTIONS = [
    {},
    {"temperature": 0.3},
    {"sample": 0},
    {"topk": 1},
    {"topk": 3},
    {"topp": 0.4},
    {"topp": 0.9, "topk": 20},
    {"topk": 10**6},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_drawing_is_that_of_numpy(level, options):
    opt = SampleOptions(**options)
    for V, H, layers in SIZES[1:]:
        of = network("lstm", V, H, layers)
        for B in (1, 3, 14):
            found = drawn(streams_of(of, B), 40, opt)
            assert found.token_ids.shape == found.token_probs.shape == (40, B) and not found.failed
            params = params_of(40, B, opt)
            definition = NumpyPredictor(of, B).sample(range(B), np.arange(B) % V, None, params, True)
            np.testing.assert_array_equal(found.token_ids, definition.token_ids)
            np.testing.assert_allclose(found.probs, definition.probs, rtol=1e-11, atol=1e-300)
            of_sampled = np.take_along_axis(found.probs, found.token_ids[..., None], -1)[..., 0]
            np.testing.assert_array_equal(found.token_probs, of_sampled)


def test_topp_counts_equal_characters_exactly(level):
    """The rounding of sums does not decide how many of them reach it."""
    for V in (10, 50, 60, 65, 96, 100):
        kept = [k / 20 for k in range(1, 20)]
        params = params_of(1, len(kept), SampleOptions(temperature=0.7))._replace(topp=np.array(kept))
        log_probs = np.full((len(kept), V), 1 / V)
        found = streams_of(network("rnn", V, 1, 1), len(kept)).sample(
            np.arange(len(kept)), np.zeros(len(kept), np.int64), log_probs, params, True
        )
        for probs in (found.probs[0], distribution.choose(log_probs, params)[1]):
            assert np.count_nonzero(probs, -1).tolist() == [math.ceil(round(topp * V, 6)) for topp in kept]


def test_each_stream_has_options_of_its_own(level):
    of, params = network("gru", 30, 12, 1), params_of(40, 4, SampleOptions())
    params = params._replace(
        greedy=np.array([True, False, False, True]),
        topk=np.array([0, 3, 0, 0]),
        topp=np.array([1, 1, 0.5, 1]),
        temperatures=params.temperatures * [1, 2, 0.5, 3],
    )
    found = streams_of(of, 4).sample(np.arange(4), np.arange(4), None, params, True)
    definition = NumpyPredictor(of, 4).sample(range(4), np.arange(4), None, params, True)
    np.testing.assert_array_equal(found.token_ids, definition.token_ids)
    np.testing.assert_allclose(found.probs, definition.probs, rtol=1e-11, atol=1e-300)
    np.testing.assert_array_equal(found.token_ids[:, 0], found.probs[:, 0].argmax(-1))


def test_of_equal_ones_the_first_are_kept(level):
    of = network("rnn", 9, 4, 1)
    of.weights["decoder.weight"][:], of.weights["decoder.bias"][:] = 0, [0, 1, 0, 1, 1, 0, 1, 0, 0]
    kept = drawn(streams_of(of), 1, SampleOptions(topk=3)).probs[0, 0]
    assert np.flatnonzero(kept).tolist() == [1, 3, 4] and kept[[1, 3, 4]] == pytest.approx([1 / 3] * 3)
    assert drawn(streams_of(of), 1, SampleOptions(sample=0)).token_ids.item() == 1


@pytest.mark.parametrize("V", range(1, 12))
def test_topk_1_takes_the_most_probable_character_wherever_it_stands(level, V):
    """The last one of an even vocabulary too, which has no sibling in the heap."""
    streams, params = streams_of(network("rnn", V, 4, 1)), params_of(1, 1, SampleOptions(topk=1))
    for best in range(V):
        log_probs = np.where(np.arange(V) == best, 0.0, -1.0 - np.arange(V))[None]
        found = streams.sample(np.array([0]), np.array([0]), log_probs, params, True)
        assert found.token_ids.tolist() == [[best]] and found.token_probs.tolist() == [[1.0]]
        np.testing.assert_array_equal(found.probs[0, 0], np.arange(V) == best)


@pytest.mark.parametrize("V", range(1, 12))
def test_topk_keeps_the_most_probable_in_any_order(level, V):
    streams, random = streams_of(network("rnn", V, 4, 1)), np.random.RandomState(V)
    for topk in range(1, V + 1):
        log_probs = random.permutation(V)[None] * -0.5
        params = params_of(1, 1, SampleOptions(topk=topk))
        probs = streams.sample(np.array([0]), np.array([0]), log_probs, params, True).probs[0, 0]
        assert set(np.flatnonzero(probs)) == set(np.argsort(-log_probs[0])[:topk])


def test_what_topk_keeps_may_be_as_improbable_as_it_likes(level):
    """The others sum to 1, but -topp 1 leaves nothing out."""
    of, log_probs, opt = network("rnn", 4, 4, 1), np.array([[0.0, -37.0, -40.0, -38.0]]), SampleOptions(topk=3)
    params = params_of(1, 1, opt)
    found = streams_of(of).sample(np.array([0]), np.array([0]), log_probs, params, True).probs
    _, in_numpy = distribution.choose(log_probs, params)
    for probabilities in (found[0], in_numpy):
        np.testing.assert_allclose(probabilities, np.exp([[0, -37, -np.inf, -38]]), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"topk": 3}, {"temperature": 0.1}], ids=str)
def test_candidates_and_activations_are_told(level, options):
    """Of each stream as many as it asks for, of equally likely ones the first; the drawing goes on as without them."""
    opt = SampleOptions(**options)
    for model in MODELS:
        of, B, N = network(model, 30, 9, 2), 14, 11
        plain = drawn(streams_of(of, B), N, opt)
        request = SampleRequest(np.array([0, 1, 30, 7] * 4)[:B], np.array([-1, 0, 8, 9, 17] * 3)[:B])
        found = drawn(streams_of(of, B), N, opt, None, request)
        np.testing.assert_array_equal(found.token_ids, plain.token_ids)
        assert found.top_candidates.shape == found.top_probs.shape == (N, B, 30)
        order = np.argsort(-plain.probs, -1, kind="stable")
        predictor = NumpyPredictor(of, B)
        predictor.read(np.arange(B)[None])
        for k in range(N):
            for b, count in enumerate(request.num_candidates.tolist()):
                np.testing.assert_array_equal(found.top_candidates[k, b, :count], order[k, b, :count])
                chances = plain.probs[k, b][order[k, b, :count]]
                np.testing.assert_array_equal(found.top_probs[k, b, :count], chances)
            predictor.read(found.token_ids[k : k + 1])
            held = predictor.activations()[:, 0].transpose(1, 0, 2).reshape(B, -1)
            for b, unit in enumerate(request.units.tolist()):
                if unit >= 0 and k < N - 1:  # the last one has not been read
                    assert found.activations[k, b] == pytest.approx(held[b, unit], abs=1e-12)


@pytest.mark.parametrize(
    "candidates, units, error",
    [
        ([10, 0], [0, 0], IndexError),
        ([-1, 0], [0, 0], IndexError),
        ([1, 1], [0, 16], IndexError),
        ([1, 1], [0, -2], IndexError),
        ([1], [0], ValueError),
        ([1, 1], [0], ValueError),
        ([1.0, 1.0], [0, 0], TypeError),
    ],
)
def test_what_can_not_be_told_is_refused(candidates, units, error):
    params, request = params_of(4, 2, SampleOptions()), SampleRequest(np.array(candidates), np.array(units))
    with pytest.raises(error):
        streams_of(network("lstm", 9, 8, 2), 2).sample(np.arange(2), np.arange(2), None, params, False, request)
    with pytest.raises(ValueError, match="a request for all streams"):
        streams_of(network("lstm", 9, 8, 2), 3).sample(np.arange(2), np.arange(2), None, params, False, request)


def test_some_of_the_streams_draw_and_the_others_stay(level):
    of = network("gru", 20, 12, 2)
    all_of_them, some = streams_of(of, 6), streams_of(of, 6)
    params = params_of(9, 6, SampleOptions())
    expected = all_of_them.sample(np.arange(6), np.arange(6), None, params, True)
    which = [4, 0, 3]
    part = SamplingParams(*(np.ascontiguousarray(a[:, which]) for a in params[:2]), *(a[which] for a in params[2:5]))
    found = some.sample(np.array(which), np.array(which), None, part, True)
    np.testing.assert_array_equal(found.token_ids, expected.token_ids[:, which])
    np.testing.assert_array_equal(found.probs, expected.probs[:, which])
    np.testing.assert_array_equal(some.h[which], all_of_them.h[which])
    assert not some.h[[1, 2, 5]].any()


def test_drawing_pauses(level):
    """After the first step in which a stream draws one of these characters; the last ones are not read."""
    of, V = network("lstm", 30, 12, 1), 30
    free = drawn(streams_of(of, 4), 50)
    pause_after = np.arange(V) == free.token_ids[20, 2]
    first = int(np.flatnonzero((free.token_ids == free.token_ids[20, 2]).any(1))[0])
    paused, shorter = streams_of(of, 4), streams_of(of, 4)
    found = drawn(paused, 50, pause_after=pause_after)
    np.testing.assert_array_equal(found.token_ids, free.token_ids[: first + 1])
    params = params_of(50, 4, SampleOptions())
    part = params._replace(
        temperatures=params.temperatures[: first + 1], random_numbers=params.random_numbers[: first + 1]
    )
    shorter.sample(np.arange(4), np.arange(4), None, part, False)
    np.testing.assert_array_equal(paused.h, shorter.h)


@pytest.mark.parametrize("sample", [0, 1])
def test_what_is_no_number_fails_in_its_step(level, sample):
    """The steps before it count."""
    of = network("rnn", 5, 4, 1)
    opt = SampleOptions(sample=sample)
    first = drawn(streams_of(of), 3, opt).token_ids[0, 0]
    of.weights["i2h_1.weight"][:, first] = np.nan  # once it is read, all is NaN
    log_probs = np.where(np.arange(5) == first, 0.0, -1e300)[None]
    found = streams_of(of).sample(np.array([0]), np.array([0]), log_probs, params_of(3, 1, opt), True)
    assert found.failed and found.token_ids.tolist() == [[first]]


def test_scores_of_any_size(level):
    """exp overflows, and rounds to zero, as in NumPy."""
    of, V = network("rnn", 12, 4, 1), 12
    for log_probs in (np.linspace(-900, 5, V), np.linspace(-3, 700, V), np.full(V, 1 / V), np.full(V, -1e300)):
        for temperature in (0.01, 1.0, 7.0):
            params = params_of(1, 1, SampleOptions(temperature=temperature))
            found = streams_of(of).sample(np.array([0]), np.array([0]), log_probs[None], params, True)
            expected = distribution.softmax(log_probs[None], temperature)
            assert found.failed == (not expected.sum() > 0)
            if not found.failed:
                np.testing.assert_allclose(found.probs[0], expected, rtol=1e-12, atol=1e-300)


def test_log_probabilities_of_huge_weights(level):
    of = network("rnn", 12, 4, 1)
    of.weights["decoder.weight"][:] *= 1e4
    found, definition = streams_of(of).read([[3]]), NumpyPredictor(of).read(np.array([[3]]))
    np.testing.assert_allclose(found, definition, rtol=1e-14)
    of.weights["decoder.bias"][2] = np.nan
    assert np.isnan(streams_of(of).read([[3]])).all()


def test_wrong_weights_are_refused():
    of = network("lstm", 9, 8, 2)
    of.weights["h2h_2.weight"] = of.weights["h2h_2.weight"][:, :7]
    with pytest.raises(ValueError, match=r"h2h_2.weight must have the shape \(32, 8\), not \(32, 7\)"):
        streams_of(of)
    del of.weights["h2h_2.weight"]
    with pytest.raises(KeyError):
        streams_of(of)


def test_weights_that_floats_hold_take_half_the_memory():
    wide, float32 = (PackedNetwork(kernel_library.library(), network("lstm", 9, 64, 3, kind)) for kind in (False, True))
    assert float32.nbytes < 0.55 * wide.nbytes
    beyond = network("lstm", 9, 64, 3, True)
    beyond.weights["decoder.weight"][0, 0] = 1e300
    assert not PackedNetwork(kernel_library.library(), beyond).structure.is_float32


@pytest.mark.parametrize(
    "wrong, error",
    [
        ({"streams": [0, 2]}, IndexError),
        ({"streams": [1, 1]}, ValueError),
        ({"streams": [0.0, 1.0]}, TypeError),
        ({"last_ids": [0, 9]}, IndexError),
        ({"last_ids": [-1, 0]}, IndexError),
        ({"last_ids": [0]}, ValueError),
        ({"log_probs": np.zeros((2, 8))}, ValueError),
        ({"temperatures": np.ones((4, 1))}, ValueError),
        ({"temperatures": np.ones((4, 2), np.float32)}, TypeError),
        ({"random_numbers": np.zeros((3, 2))}, ValueError),
        ({"random_numbers": np.zeros((2, 4)).T}, ValueError),
        ({"topk": np.zeros(2, np.int32)}, TypeError),
        ({"topp": np.ones(3)}, ValueError),
        ({"greedy": np.ones(3, bool)}, ValueError),
        ({"pause_after": np.zeros(8, bool)}, ValueError),
        ({"pause_after": np.zeros(9)}, TypeError),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(wrong, error):
    """Before C sees them."""
    streams = streams_of(network("lstm", 9, 8, 2), 2)
    params = params_of(4, 2, SampleOptions())
    params = params._replace(**{name: value for name, value in wrong.items() if name in SamplingParams._fields})
    which, last = np.array(wrong.get("streams", [0, 1])), np.array(wrong.get("last_ids", [0, 1]))
    with pytest.raises(error):
        streams.sample(which, last, wrong.get("log_probs"), params, True)
    for characters in ([[0, 9]], [[0]], [[0.0, 1.0]]):
        with pytest.raises((IndexError, ValueError, TypeError)):
            streams.read(np.array(characters))
    with pytest.raises(ValueError, match="one step at a time"):
        streams_of(network("lstm", 9, 8, 2), 2, 3).sample(np.arange(2), np.arange(2), None, params, True)
    with pytest.raises(ValueError, match="at least 1"):
        streams_of(network("lstm", 9, 8, 2), 0)
