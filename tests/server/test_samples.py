"""The lines of samples: what they say, and that it is the same alone, with others, and without the C kernel."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import random

import httpx
import item_models
import numpy as np
import pytest
from conftest import working_in
from fastapi import HTTPException
from serving_tools import GRU, LSTM, lines_of, on_numpy

from compat.vocabulary import characters_by_id
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.display import character_name
from pycharrnn.common.screen_text import ScreenText
from pycharrnn.engine import kernel_library
from pycharrnn.page.facts import facts_of
from pycharrnn.sampling import batched_sampling, copy_limits, sampler
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import sample_batch, samples, scheduler, served_models
from pycharrnn.server.app import create_app
from pycharrnn.server.json_lines import DONE, LineVocabulary, LineWriter, four_digits
from pycharrnn.server.registry import Registry
from pycharrnn.server.samples import RequestedSample, Sample

DASH = "\u2013".encode()  # three bytes that the model knows
OPTIONS = ("seed", "length", "temperature", "topk", "topp", "stop")


@pytest.fixture(scope="module")
def loaded():
    return checkpoint.load(LSTM)


def on_kernel(loaded):
    if kernel_library.library() is None:
        pytest.skip("no kernel was compiled here")
    return served_models.served_by(on_cpu(loaded.network), loaded, facts_of(loaded, "x", 0))


@pytest.fixture(scope="module", params=[on_kernel, on_numpy])
def model(request, loaded):
    return request.param(loaded)


def asked(**what) -> RequestedSample:
    """What a request may ask for, some of it by chance."""
    options = {name: what.pop(name) for name in OPTIONS if name in what}
    what = {"primetext": b"", "unit": None, "candidates": 5, "skip": 0, **what}
    return RequestedSample(SampleOptions(**{"length": 60, **options}), **what)


def by_chance(seed: int) -> RequestedSample:
    choose = random.Random(seed)
    return asked(
        seed=seed,
        length=choose.choice([1, 2, 37, 150, 400]),
        temperature=choose.choice([0.3, 1, 2.5]),
        topk=choose.choice([0, 0, 4]),
        topp=choose.choice([1, 1, 0.8]),
        primetext=choose.choice([b"", b"The night", b"e" * 75 + DASH]),
        unit=choose.choice([None, (1, 1), (2, 14)]),
        candidates=choose.choice([0, 3, 20, 73]),
        skip=choose.choice([0, 0, 1, 40, 90]),
        stop=choose.choice(["", "", "e", "th", "\u2013"]),
    )


def plainly(loaded, asked: RequestedSample) -> list[dict]:
    """The lines by their definition, one character after the other, as Python objects."""
    predictor = NumpyPredictor(loaded.network)
    names = [character_name(character) for character in characters_by_id(loaded.vocab)]
    drawn = list(sampler.sample(predictor, loaded.vocab, asked.options, asked.primetext))
    fresh, activations = predictor.fresh(), []
    for one in drawn:
        fresh.step(one.token_id)
        activations.append(fresh.activations()[:, 0, 0])
    screen = ScreenText()
    shown = [one for piece in drawn for one in screen.push(piece.character)] + screen.end()
    lines, at = [], 0
    for character, size in shown:
        pieces = drawn[at : at + size]
        line = {"text": character, "given": pieces[0].given}
        line["probability"] = four(math.prod(one.probability for one in pieces))
        if asked.candidates:
            order = np.argsort(-pieces[0].probs, kind="stable")[: asked.candidates]
            line["candidates"] = [[names[k], four(pieces[0].probs[k])] for k in order]
        if asked.unit:
            line["activation"] = four(activations[at + size - 1][asked.unit[0] - 1, asked.unit[1] - 1])
        lines.append(line)
        at += size
    return [*lines[asked.skip :], {"done": True}]


def four(x: float) -> float:
    return float(f"{x:.4g}")


def as_json(lines: list[dict]) -> list[str]:
    return [json.dumps(line, separators=(",", ":")) for line in lines]


@pytest.mark.parametrize("seed", range(12))
def test_lines_are_what_json_makes_of_a_sample(loaded, seed):
    wanted = by_chance(seed)
    plain = plainly(loaded, wanted)
    assert lines_of(on_numpy(loaded), wanted) == as_json(plain)


def test_a_sample_ends_after_its_stop(model):
    *characters, last = map(json.loads, lines_of(model, asked(primetext=b"the", stop="e", length=400)))
    drawn = "".join(line["text"] for line in characters if not line["given"])
    assert drawn.index("e") == len(drawn) - 1 < 399
    assert last == {"done": True}


def test_a_stop_that_never_occurs_is_refused(model):
    with pytest.raises(HTTPException) as refused:
        lines_of(model, asked(stop="no\u0416"))
    assert refused.value.detail.startswith("stop never occurs: it has the character")


@pytest.mark.parametrize("seed", range(12))
def test_the_kernel_says_the_same(loaded, seed):
    """But for the last digit of a number: it rounds otherwise."""
    wanted = by_chance(seed)
    for line, plain in zip(map(json.loads, lines_of(on_kernel(loaded), wanted)), plainly(loaded, wanted), strict=True):
        assert line.keys() == plain.keys()
        assert line.get("text") == plain.get("text")
        assert numbers(line) == pytest.approx(numbers(plain), rel=2e-3, abs=1e-12)


def numbers(line: dict) -> list[float]:
    one = [line[name] for name in ("given", "probability", "activation") if name in line]
    return [*one, *(probability for _, probability in line.get("candidates", []))]


@pytest.mark.parametrize("path", [LSTM, GRU])
def test_each_sample_is_that_of_its_seed_alone_to_the_byte(path):
    """Samples of all kinds join and leave a batch at any character, in turns of any length."""
    model, choose = on_kernel(checkpoint.load(path)), random.Random(1)
    all_asked = [by_chance(seed) for seed in range(40)]
    alone = ["\n".join(lines_of(model, one)) + "\n" for one in all_asked]
    coming = [(k, Sample(model, one)) for k, one in enumerate(all_asked)]
    found, here = [""] * len(coming), []
    sizes = set()
    while coming or here:
        for _ in range(choose.randint(0, 8)):
            if coming:
                k, sample = coming.pop(0)
                found[k] += "".join(sample.start())
                here.append((k, sample))
        here = [(k, sample) for k, sample in here if sample.batch]
        some = choose.sample(here, choose.randint(0, len(here)))
        sizes.add(len(some))
        if some:
            results = sample_batch.step_lines([sample for _, sample in some], choose.randint(1, 40))
            for (k, sample), (lines, more) in zip(some, results, strict=True):
                found[k] += lines
                assert more == (sample.batch is not None)
    assert found == alone
    assert max(sizes) > model.batch.min_batch


def test_a_sample_joins_its_batch_right_after_its_first_character(loaded, monkeypatch):
    """However long the turn took that read the primetext: another one alone would only find that it has ended."""
    model, alone, take = on_kernel(loaded), [0], scheduler._take

    def counted(iterator, seconds):
        alone[0] += 1
        return take(iterator, 0.0)

    monkeypatch.setattr(scheduler, "_take", counted)

    async def drawn(**what):
        alone[0] = 0
        turns = samples.stream_lines(scheduler.Scheduler(2, threads=1), Sample(model, asked(**what)))
        return "".join([lines async for lines in turns]).count("\n")

    assert asyncio.run(drawn(length=60)) == 61
    assert alone[0] == 1
    assert asyncio.run(drawn(length=60, primetext=b"The " * 20)) == 141
    assert alone[0] == math.ceil(80 / model.block) + 1


def test_each_sample_begins_with_a_state_of_zeros(model):
    first, second = (lines_of(model, asked(primetext=b"The ")) for _ in range(2))
    assert first == second


def test_a_character_of_several_bytes(model, loaded):
    """Its candidates are those of its first byte, its probability is that of all, its activation that of the last."""
    line = json.loads(lines_of(model, asked(length=1, primetext=DASH, unit=(2, 5), candidates=3))[0])
    drawn = list(sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, SampleOptions(length=1), DASH))[:3]
    assert line["text"] == DASH.decode()
    assert line["given"] is True
    assert line["probability"] == pytest.approx(math.prod(one.probability for one in drawn), rel=1e-3)
    assert [p for _, p in line["candidates"]] == pytest.approx([1 / 73] * 3, rel=1e-3)
    predictor = NumpyPredictor(loaded.network)
    for one in drawn:
        predictor.step(one.token_id)
    assert line["activation"] == pytest.approx(predictor.activations()[1, 0, 0, 4], rel=1e-3)


def test_candidates_have_names_that_a_screen_can_show(model):
    line = json.loads(lines_of(model, asked(length=1, primetext=b"T", candidates=73))[0])
    names = [name for name, _ in line["candidates"]]
    assert len(set(names)) == 73
    assert {"T", " ", "0xE2", "0x80", "0xC3"} <= set(names)


def characters_of(loaded, text: bytes) -> samples.Characters:
    indices = np.array([loaded.vocab[bytes([byte])] - 1 for byte in text])
    N = len(text)
    none = np.zeros((N, 1))
    return samples.Characters(indices, np.full(N, 0.5), np.full(N, True), none.astype(int), none, np.full(N, -0.25))


@pytest.mark.parametrize("text", [b"T\xe2\x80", b"T\xe2"])
def test_a_sample_that_ends_amid_a_character(loaded, text):
    writer = LineWriter(LineVocabulary(loaded.vocab), 1, 0)
    first = "".join(writer.lines(characters_of(loaded, text[k : k + 1])) for k in range(len(text)))
    *lines, last = (first + writer.end()).splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["T", "\ufffd"]
    assert [json.loads(line)["probability"] for line in lines] == [0.5, 0.5 ** (len(text) - 1)]
    assert all(line.endswith(',"activation":-0.25}') for line in lines)
    assert last + "\n" == DONE


def test_characters_that_are_left_out_have_no_candidates_computed(loaded):
    """Unless the line of one of them may be the first that is not left out."""
    writer = LineWriter(LineVocabulary(loaded.vocab), 5, 10)
    assert [writer.candidates_for(count) for count in (1, 9, 10, 11)] == [0, 0, 5, 5]
    assert writer.lines(characters_of(loaded, b"T" * 8)) == ""
    assert [writer.candidates_for(count) for count in (1, 2)] == [0, 5]


def test_a_long_primetext_is_read_in_blocks(model):
    """So that a turn can end between them; without the kernel, after each character."""
    wanted = asked(primetext=b"The night " * 20, length=1, skip=1000)
    pieces = list(Sample(model, wanted).start())
    assert len(pieces) >= 200 / served_models._MAX_STEPS
    assert "".join(pieces) == DONE


def test_a_stream_that_fails_leaves_the_others_alone(loaded):
    """At a temperature that makes of its scores what is no number: 1 / 1e-320 is infinite."""
    model = on_kernel(loaded)
    good = asked(length=50, seed=3)
    bad = asked(length=50, seed=4)
    together = [Sample(model, one) for one in (good, bad, good)]
    found = ["".join(sample.start()) for sample in together]
    together[1].stream.temperature = 1e-320
    for k, (lines, _) in enumerate(sample_batch.step_lines(together, 50)):
        found[k] += lines
    assert found[0].splitlines() == found[2].splitlines() == lines_of(model, good)
    *lines, last = found[1].splitlines()
    assert lines == lines_of(model, bad)[: len(lines)]
    assert json.loads(last)["error"].startswith("the model's probabilities at temperature=9.999")
    assert together[1].batch is None


def test_a_sample_that_waits_keeps_nothing_of_others_in_memory(loaded):
    """Neither their states nor their candidates, also where it ends amid a character of the screen."""
    model = on_kernel(loaded)
    waiting = [Sample(model, asked(seed=seed, length=2000, temperature=20)) for seed in range(20)]
    for sample in waiting:
        list(sample.start())
    held = []
    for _ in range(20):
        sample_batch.step_lines(waiting, 7)
        held += [one._writer._held for one in waiting if one._writer._held]
    assert held
    kept = [array for one in waiting for array in (*one.stream.state, one.stream.log_probs)]
    kept += [array for characters in held for array in characters if array.size]
    assert all(array.base is None or array.base.nbytes <= 2 * array.nbytes for array in kept)


def test_turns_of_large_models_are_of_few_characters_and_of_few_streams():
    small, large = sample_batch.SampleBatch(12, 200_000), sample_batch.SampleBatch(12, 100_000_000)
    assert (small.min_batch, small.max_batch) == (12, (1 << 28) // 200_000)
    assert (large.min_batch, large.max_batch) == (12, 12)


def test_how_long_a_turn_is(loaded, monkeypatch):
    """As many characters as there is time for, by the time that the last ones took; one at least."""
    model, now, most = on_kernel(loaded), 0.0, list[int]()
    sample = Sample(model, asked(length=10_000))
    list(sample.start())

    def drawn(those, steps):
        nonlocal now
        now += 0.001 * steps
        most.append(steps)
        return draw(those, steps)

    draw = sample_batch.step_lines
    monkeypatch.setattr(sample_batch.time, "thread_time", lambda: now)
    monkeypatch.setattr(sample_batch, "step_lines", drawn)
    batch = sample_batch.SampleBatch(12, 1_000_000)
    for seconds in (0.01, 0.01, 0.01, 0.01, 0.0001, 100):
        batch.advance([sample], seconds)
    assert most[0] == 10
    assert most[3:] == [10, 1, 256]


@pytest.mark.parametrize(
    "x, shown",
    [
        (0.123456, "0.1235"),
        (1e-20, "1e-20"),
        (1, "1.0"),
        (0.99996, "1.0"),
        (0.99994, "0.9999"),
        (0, "0.0"),
        (-0.25, "-0.25"),
        (-1, "-1.0"),
        (5e-324, "5e-324"),
        (0.00012346, "0.0001235"),
        (0.000099996, "0.0001"),
        (math.nan, "0.0"),
        (math.inf, "0.0"),
    ],
)
def test_four_digits(x, shown):
    assert four_digits(np.array([x])) == [shown]


def test_four_digits_are_those_of_json():
    choose = np.random.default_rng(0)
    values = np.concatenate([choose.uniform(-1, 1, 3000), 10.0 ** choose.uniform(-320, 0, 3000), 2.0 ** -np.arange(60)])
    assert four_digits(values) == [json.dumps(four(x)) for x in values.tolist()]


def test_a_vocabulary_of_code_points(loaded):
    """Each is a character of the screen, whatever its bytes; escaped as JSON has it."""
    vocab = {"\u4e2d".encode(): 1, b'"': 2, "\U0001f600".encode(): 3}
    writer = LineWriter(LineVocabulary(vocab), 2, 0)
    given = np.array([False, False, True])
    likeliest, chances = np.array([[0, 1], [1, 2], [2, 0]]), np.array([[0.5, 0.25], [1, 0], [0.75, 0.125]])
    lines = writer.lines(samples.Characters(np.arange(3), np.full(3, 0.5), given, likeliest, chances, np.empty(0)))
    assert [json.loads(line)["text"] for line in lines.splitlines()] == ["\u4e2d", '"', "\U0001f600"]
    assert lines.splitlines()[1] == (
        r'{"text":"\"","given":false,"probability":0.5,"candidates":[["\"",1.0],["\ud83d\ude00",0.0]]}'
    )
    assert dataclasses.astuple(asked())  # plain data


# -- max_copy ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_text(tmp_path_factory):
    """A checkpoint of a text, in whose folder the text is."""
    folder = tmp_path_factory.mktemp("text")
    text = bytes(np.random.default_rng(1).choice([*b"abc\n"], 120).tolist())
    with working_in(folder):
        path = item_models.saved(folder, "", text, letters="abc")
        yield path, checkpoint.load(path), text


def test_samples_with_and_without_a_limit_share_a_batch(of_text, monkeypatch):
    """Each is what it is alone, also beside one that ends early, and beside one whose model fails."""
    path, loaded, _ = of_text
    limits = [copy_limits.for_options(str(path), loaded, N) for N in (0, 3, 4, 2)]
    options = [SampleOptions(length=90, seed=k) for k in range(len(limits))]
    by_seed = list(zip(options, limits, strict=True))

    def ids_of(one: SampleOptions, copies: copy_limits.CopyLimits | None) -> list[int]:
        drawn = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, one, b"ab", copies=copies)
        return [character.token_id for character in drawn][2:]

    alone = [ids_of(*one) for one in by_seed]
    assert [len(ids) < 90 for ids in alone] == [False, False, False, True]
    predictor = on_kernel(loaded).predictor
    prime = [loaded.vocab[b"a"] - 1, loaded.vocab[b"b"] - 1]
    streams = [batched_sampling.BatchedStream(predictor, one, prime, None, copies) for one, copies in by_seed]
    for stream in streams:
        stream.read(2, 0)
    found = [list[int]() for _ in streams]
    while live := [stream for stream in streams if stream.left]:
        for stream, characters in zip(live, batched_sampling.step_batch(live, 7, [0] * len(live)), strict=True):
            found[streams.index(stream)] += characters.token_ids.tolist()
    assert found == alone
    assert [stream.ended_early for stream in streams] == [False, False, False, True]


def test_a_sample_that_ends_by_its_length_has_not_ended_early(of_text):
    """Though in its batch it is sampled on, and no character could follow it."""
    path, loaded, _ = of_text
    copies = copy_limits.for_options(str(path), loaded, 2)
    predictor, prime = on_kernel(loaded).predictor, [loaded.vocab[b"a"] - 1]
    streams = [
        batched_sampling.BatchedStream(predictor, SampleOptions(length=length, seed=2), prime, None, copies)
        for length in (4, 90)
    ]
    for stream in streams:
        stream.read(1, 0)
    found = batched_sampling.step_batch(streams, 7, [0, 0])
    assert [len(characters.token_ids) for characters in found] == [4, 4]
    assert [stream.ended_early for stream in streams] == [False, True]


def test_a_stream_that_fails_leaves_the_limits_of_others_alone(of_text):
    """Which have gone on with it, and then go on from the beginning without it."""
    path, loaded, _ = of_text
    copies = copy_limits.for_options(str(path), loaded, 3)
    predictor, prime = on_kernel(loaded).predictor, [loaded.vocab[b"a"] - 1]
    options = SampleOptions(length=40, seed=2), SampleOptions(length=4, temperature=(1.0, 1e-320))
    good, bad = (batched_sampling.BatchedStream(predictor, one, prime, None, copies) for one in options)
    for stream in (good, bad):
        stream.read(1, 0)
    found, failed = batched_sampling.step_batch([good, bad], 20, [0, 0])
    drawn = sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, options[0], b"a", copies=copies)
    assert bad.error and len(failed.token_ids) == 3
    assert found.token_ids.tolist() == [one.token_id for one in drawn][1:21]


@pytest.mark.parametrize("of", [on_kernel, on_numpy])
def test_the_last_line_says_that_no_character_was_left(of_text, of):
    path, loaded, _ = of_text
    copies = copy_limits.for_options(str(path), loaded, 1)
    *characters, last = lines_of(of(loaded), asked(primetext=b"a", copies=copies, unit=(1, 1)))
    assert last == '{"done":true,"early":true}' and len(characters) < 60


def test_the_api_limits_what_is_copied(of_text):
    path, _, text = of_text

    def ask(**request) -> httpx.Response:
        app = create_app(Registry([str(path)], print, print), scheduler.Scheduler(2, threads=1), None, "")

        async def post() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
                return await client.post("/api/sample", json={"model": path.stem, "primetext": "b", **request})

        return asyncio.run(post())

    lines = [json.loads(line) for line in ask(max_copy=3, candidates=0).text.splitlines()]
    drawn = "".join(line["text"] for line in lines[:-1]).encode()
    assert len(drawn) == 401 and not any(drawn[k : k + 4] in text for k in range(len(drawn) - 3))
    input_file = path.parents[1] / "data/list/input.txt"
    input_file.write_bytes(text + b"c")
    assert "max_copy: the training text is not here, or has changed since" in ask(max_copy=3).text
    input_file.unlink()
    found = ask(max_copy=3)
    assert found.status_code == 422 and "max_copy: the training text is not here" in found.text
    assert ask().status_code == 200
    input_file.write_bytes(text)
    checkpoint.convert(dataclasses.replace(checkpoint.load(path), text_fingerprint=""), path)
    found = ask(max_copy=3)
    assert found.status_code == 422 and "does not record the hash of its training text" in found.text
