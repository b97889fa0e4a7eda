"""Sampling as a stream of characters with their distributions, and as a user runs it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from child_signals import default_signals
from conftest import GOLDEN, needs_byte_names, needs_signals, run, sentence, spec

from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import kernel_library
from pycharrnn.engine.model import CharRNN
from pycharrnn.sampling import primetext, sampler
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
CHECKPOINTS = [
    GOLDEN / name / spec(name)["samples"][0]["checkpoint"] for name in ("lstm2", "gru2", "rnn3", "lstm3_dropout")
]
LOADED = checkpoint.load(CHECKPOINT)


def drawn(primetext: bytes = b"", **options) -> list[sampler.SampledCharacter]:
    predictor = NumpyPredictor(LOADED.network)
    return list(sampler.sample(predictor, LOADED.vocab, SampleOptions(**options), primetext))


def test_given_characters_come_with_the_models_own_probability():
    found = drawn(b"The", length=2, temperature=0.5)
    assert [d.given for d in found] == [True] * 3 + [False] * 2
    assert b"".join(d.character for d in found[:3]) == b"The"
    assert found[0].probability == pytest.approx(1 / len(LOADED.vocab))
    predictor = NumpyPredictor(LOADED.network)
    after_t = np.exp(predictor.step(LOADED.vocab[b"T"] - 1))
    assert found[1].probability == pytest.approx(after_t[LOADED.vocab[b"h"] - 1])


def test_each_drawn_character_comes_with_its_distribution():
    found = drawn(length=50, temperature=0.7)
    assert len(found) == 50
    for d in found:
        assert d.probs.sum() == pytest.approx(1)
        assert d.probability == d.probs[d.token_id] > 0
        assert LOADED.vocab[d.character] == d.token_id + 1


def test_topk_keeps_the_k_likeliest():
    found = drawn(length=50, topk=3)
    assert len(found) == 50
    for d in found:
        assert np.count_nonzero(d.probs) == 3
        assert d.probs.sum() == pytest.approx(1)


def test_topp_keeps_the_fewest_that_reach_p():
    plain = drawn(b"The ", length=1)[-1].probs
    kept = drawn(b"The ", length=1, topp=0.6)[-1].probs > 0
    assert plain[kept].sum() >= 0.6
    assert plain[kept].min() >= plain[~kept].max()
    assert plain[kept].sum() - plain[kept].min() < 0.6


# -- many streams ----------------------------------------------------------------------------------------------------


def alone(path, seed: int, *args: str) -> bytes:
    """What a run of its own prints for one seed."""
    return run("sample", str(path), "-gpuid", "-1", "-verbose", "0", "-seed", str(seed), *args).stdout


@pytest.fixture(params=["numpy", "kernel"])
def predictor_of(request):
    """What makes a predictor of a network, streams and steps; of each kind that runs on a CPU."""
    if request.param == "kernel" and kernel_library.library() is None:
        pytest.skip("no kernel was compiled here")
    return on_cpu if request.param == "kernel" else NumpyPredictor


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_each_stream_is_its_own_single_run(path, predictor_of):
    loaded = checkpoint.load(path)
    opt = SampleOptions(length=300)
    primes = [[b"T", b"h", b"e"]] * 64
    texts = [b""] * 64
    for chunk in sampler.sample_streams(predictor_of(loaded.network, 64), primes, loaded.vocab, opt, range(5, 69)):
        texts[chunk.stream] += b"".join(chunk.characters)
    for seed in (5, 6, 36, 68):
        predictor = predictor_of(loaded.network)
        single = sampler.sample(predictor, loaded.vocab, dataclasses.replace(opt, seed=seed), b"The")
        assert b"".join(d.character for d in single) == texts[seed - 5]


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": (0.3, 1.5)}, {"topk": 4, "stop": "e "}, {"sample": 0}, {"topp": 0.7, "stop": "\n"}],
    ids=["plain", "ramp", "stop", "likeliest", "topp"],
)
def test_streams_of_different_beginnings(options, predictor_of):
    """Each is what it would be alone and drawn in NumPy, wherever it begins to draw and ends."""
    opt = SampleOptions(length=60, **options)
    texts = [b"The", b"", b"A long way to go, he said. ", b"T" * 40, b"T" * 90]
    primes = [primetext.primetext_characters(text, LOADED.vocab) for text in texts]
    sampled: list[list[tuple]] = [[] for _ in texts]
    predictor = predictor_of(LOADED.network, 5)
    for chunk in sampler.sample_streams(predictor, primes, LOADED.vocab, opt, range(7, 12), with_probs=True):
        np.testing.assert_array_equal(chunk.token_probs, chunk.probs[np.arange(len(chunk.probs)), chunk.token_ids])
        for character, row in zip(chunk.characters, chunk.probs, strict=True):
            sampled[chunk.stream].append((character, chunk.given, row))
    for b, text in enumerate(texts):
        alone = sampler.sample(NumpyPredictor(LOADED.network), LOADED.vocab, dataclasses.replace(opt, seed=7 + b), text)
        for (character, given, probabilities), one in zip(sampled[b], alone, strict=True):
            assert (character, given) == (one.character, one.given)
            np.testing.assert_allclose(probabilities, one.probs, rtol=1e-9)


@pytest.mark.parametrize("samples", [3, 40])
def test_a_folder_of_samples(tmp_path, samples):
    folder = tmp_path / "new" / "folder"
    args = ["-length", "120", "-primetext", "A", "-stop", "en"]
    result = run("sample", CHECKPOINT, "-gpuid", "-1", "-samples", str(samples), "-seed", "7", "-o", str(folder), *args)
    assert result.returncode == 0, result.stderr
    names = {path.name for path in folder.iterdir()}
    assert names == {f"sample_{seed}.txt" for seed in range(7, 7 + samples)}
    for seed in (7, 8, 6 + samples):
        assert (folder / f"sample_{seed}.txt").read_bytes() == alone(CHECKPOINT, seed, *args)
    assert f"saved {folder / 'sample_7.txt'}".encode() in result.stdout


def test_one_sample_into_a_folder(tmp_path):
    args = ["-length", "50", "-unicode", "1", "-temperature", "2"]
    result = run("sample", CHECKPOINT, "-gpuid", "-1", "-o", str(tmp_path), "-verbose", "0", *args)
    assert result.stdout == b""
    assert (tmp_path / "sample_123.txt").read_bytes() == alone(CHECKPOINT, 123, *args)


def test_samples_one_after_another():
    args = ["sample", CHECKPOINT, "-gpuid", "-1", "-samples", "3", "-length", "40"]
    texts = [alone(CHECKPOINT, seed, "-length", "40") for seed in (123, 124, 125)]
    assert run(*args, "-verbose", "0").stdout == b"".join(texts)
    loud = run(*args).stdout.split(b"--------------------------\n")[1]
    assert loud == b"".join(b"-------- -seed %d\n%b" % (123 + k, text) for k, text in enumerate(texts))


def test_samples_on_pytorch(tmp_path):
    import torch

    from pycharrnn.sampling.inference import TorchPredictor

    predictor = TorchPredictor(CharRNN.from_checkpoint(LOADED, dtype=torch.float64), 3)
    texts = [b""] * 3
    for chunk in sampler.sample_streams(predictor, [[]] * 3, LOADED.vocab, SampleOptions(length=200), [1, 2, 3]):
        texts[chunk.stream] += b"".join(chunk.characters)
    assert texts == [alone(CHECKPOINT, seed, "-length", "200")[:-1] for seed in (1, 2, 3)]


SECONDS = 120  # a generous limit for what a busy machine does late


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen]:
    """A process that hears signals, in a session of its own; it does not outlive the test."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=default_signals,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)


def until(true) -> bool:
    deadline = time.monotonic() + SECONDS
    while not (done := true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return done


def drawing_many(folder: Path) -> list[str]:
    """The command that draws 64 endless samples into a folder, on two threads."""
    command = [sys.executable, "-m", "pycharrnn", "sample", CHECKPOINT, "-gpuid", "-1", "-length", "100000000"]
    return [*command, "-samples", "64", "-threads", "2", "-o", str(folder)]


@needs_signals
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_many_samples_at_once(tmp_path, name):
    """No half sample is left, nor a process."""
    number = signal.Signals[name]
    with started(drawing_many(tmp_path)) as process:
        assert until(lambda: len(list(tmp_path.iterdir())) > 1 or process.poll() is not None)
        process.send_signal(number)
        _, error = process.communicate(timeout=SECONDS)
        assert process.returncode == 128 + number
        said = "Ctrl-C" if name == "SIGINT" else name
        assert error.decode().strip() == f"pycharrnn: stopped by {said}."
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)


@needs_signals
def test_ctrl_c_is_heard_before_the_first_character(tmp_path):
    folder = tmp_path / "new"
    with started(drawing_many(folder)) as process:
        assert until(lambda: folder.exists() or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, error = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
        assert error.strip() == b"pycharrnn: stopped by Ctrl-C."
        assert list(folder.iterdir()) == []


def test_a_model_without_numbers_fails_in_one_sentence(tmp_path):
    weights = {name: np.array(w) for name, w in LOADED.network.weights.items()}
    weights["decoder.bias"][0] = np.nan
    broken = dataclasses.replace(LOADED, network=dataclasses.replace(LOADED.network, weights=weights))
    checkpoint.convert(broken, tmp_path / "nan.t7")
    for count in ("1", "64"):
        args = ["-samples", count, "-gpuid", "-1", "-o", str(tmp_path / "out"), "-primetext", "T"]
        result = run("sample", str(tmp_path / "nan.t7"), *args)
        assert "training failed" in sentence(result, note="has weights that are NaN or infinite")
        assert list((tmp_path / "out").iterdir()) == []


# -- what people want of a sample ------------------------------------------------------------------------------------


def test_primetext_from_a_file_or_standard_input(tmp_path):
    (tmp_path / "prime.txt").write_bytes(b"The night\n")
    want = alone(CHECKPOINT, 123, "-primetext", "The night\n", "-length", "30")
    assert want.startswith(b"The night\n")
    assert alone(CHECKPOINT, 123, "-primefile", str(tmp_path / "prime.txt"), "-length", "30") == want
    piped = ["sample", CHECKPOINT, "-gpuid", "-1", "-verbose", "0", "-length", "30", "-primefile", "-"]
    assert run(*piped, input=b"The night\n").stdout == want
    told = run(*piped, "-verbose", "1", input=b"The night\n").stdout
    assert b"\nseeding with standard input\n" in told and told.endswith(want)
    hidden = alone(CHECKPOINT, 123, "-primetext", "The night\n", "-length", "30", "-hide_prime", "1")
    assert b"The night\n" + hidden == want
    error = sentence(run("sample", CHECKPOINT, "-gpuid", "-1", "-primefile", "nowhere.txt"))
    assert "nowhere.txt" in error


def test_unknown_characters_of_the_primetext_can_be_left_out():
    args = ["sample", CHECKPOINT, "-gpuid", "-1", "-length", "20", "-primetext", "The~ night~"]
    result = run(*args, "-ignore_bad_primetext", "1")
    assert b"left out of the primetext: the character '~', which the model has never seen" in result.stdout
    assert result.stdout.endswith(alone(CHECKPOINT, 123, "-primetext", "The night", "-length", "20"))
    assert "-ignore_bad_primetext 1" in sentence(run(*args))


def test_stop_ends_each_text_at_its_first_occurrence():
    whole = alone(CHECKPOINT, 123, "-length", "500")
    end = whole.index(b"the") + 3
    assert alone(CHECKPOINT, 123, "-length", "500", "-stop", "the") == whole[:end] + b"\n"
    primed = alone(CHECKPOINT, 123, "-length", "500", "-stop", "the", "-primetext", "the ")
    assert primed.startswith(b"the ")  # what is given stops nothing
    assert len(primed) > 5


def test_a_ramp_of_temperatures():
    found = drawn(length=5, temperature=(0.5, 1.5))
    predictor = NumpyPredictor(LOADED.network)
    scores = predictor.step(found[0].token_id)
    for d, temperature in zip(found[1:], (0.75, 1.0, 1.25, 1.5), strict=True):
        want = np.exp(scores / temperature)
        np.testing.assert_allclose(d.probs, want / want.sum(), rtol=1e-12)
        scores = predictor.step(d.token_id)
    assert alone(CHECKPOINT, 123, "-temperature", "0.7:0.7") == alone(CHECKPOINT, 123, "-temperature", "0.7")
    assert "-temperature must be greater than 0, not 1:0" in sentence(run("sample", CHECKPOINT, "-t", "1:0"))
    assert "needs a number, not 'a'" in sentence(run("sample", CHECKPOINT, "-t", "a:1"), 2)


def test_only_whole_utf8_characters():
    raw = alone(CHECKPOINT, 123, "-temperature", "3")
    whole = alone(CHECKPOINT, 123, "-temperature", "3", "-unicode", "1")
    assert whole.decode() == raw.decode("utf-8", "ignore")
    assert whole != raw
    assert alone(CHECKPOINT, 123, "-unicode", "1", "-primetext", "é").startswith("é".encode())


@pytest.mark.parametrize("more", [[], ["-samples", "2"], ["-beam", "2"], ["-color", "1"]], ids=" ".join)
def test_a_primetext_that_ends_amid_a_character(tmp_path, more):
    """-unicode 1 leaves out its beginning, unless what is sampled completes it."""
    (tmp_path / "prime").write_bytes(b"The \xe2\x80")
    args = ["-primefile", str(tmp_path / "prime"), "-length", "20", *more]
    raw = alone(CHECKPOINT, 123, *args)
    assert raw.startswith(b"The \xe2\x80") or more[:1] == ["-color"]
    assert alone(CHECKPOINT, 123, *args, "-unicode", "1") == raw.decode("utf-8", "ignore").encode()


@needs_byte_names
def test_a_primetext_of_bytes(tmp_path):
    (tmp_path / "prime").write_bytes(b"The \xe2\x80")
    args = ["-length", "20", "-unicode", "1"]
    from_file = alone(CHECKPOINT, 123, *args, "-primefile", str(tmp_path / "prime"))
    assert alone(CHECKPOINT, 123, *args, "-primetext", os.fsdecode(b"The \xe2\x80")) == from_file
    assert "(byte 0xff)" in sentence(run("sample", CHECKPOINT, "-gpuid", "-1", "-primetext", "\udcff"))


def test_colors_tint_the_same_text():
    plain = alone(CHECKPOINT, 123, "-length", "300")
    colored = alone(CHECKPOINT, 123, "-length", "300", "-color", "1")
    assert re.sub(rb"\x1b\[[0-9;]*m", b"", colored) == plain
    assert len(set(re.findall(rb"\x1b\[[0-9;]*m", colored))) >= 4
    assert alone(CHECKPOINT, 123, "-length", "20", "-sample", "0", "-color", "1").endswith(b"\x1b[0m\n")


@pytest.mark.parametrize(
    "args, words",
    [
        (["-primetext", "a", "-primefile", "b"], "exclude each other"),
        (["-primetext", "a", "-text_encoding", "cp1252"], "-text_encoding is for the files of -primefile and -text"),
        (["-beam", "3", "-samples", "2"], "can't be combined with -samples: leave one out."),
        (["-color", "1", "-o", "x"], "leave -o out"),
        (["-overwrite", "1"], "add -o DIR"),
        (["-length", "0", "-temperature", "1:2"], "-length, at which it reaches B"),
        (["-length", "0", "-samples", "2"], "needs -stop"),
        (["-samples", "0"], "-samples must be from 1 to 1e12, not 0"),
        (["-beam", "-1"], "-beam must be at least 0"),
        (["-unicode", "2"], "-unicode must be 0 or 1"),
    ],
)
def test_options_that_do_not_go_together(args, words):
    assert words in sentence(run("sample", CHECKPOINT, "-gpuid", "-1", *args))


# -- models whose training failed -------------------------------------------------------------------------------------


def test_options_that_sample_0_ignores_are_named():
    def notes(*args: str) -> list[str]:
        done = run("sample", str(CHECKPOINT), "-gpuid", "-1", "-length", "5", "-sample", "0", *args)
        return [line for line in done.stderr.decode().splitlines() if "-sample 0" in line]

    greedy = "pycharrnn: -sample 0 takes the most probable character:"
    assert notes() == notes("-temperature", "0.5") == []
    assert notes("-topk", "3", "-topp", "0.5") == [f"{greedy} -topk and -topp have no effect."]
    assert notes("-samples", "2") == [f"{greedy} all samples are equal."]


@pytest.mark.parametrize("args", [[], ["-sample", "0"], ["-beam", "3"], ["-samples", "32"]], ids=" ".join)
@pytest.mark.parametrize("value", [np.nan, 1e308])
def test_a_model_that_predicts_no_numbers_says_so(tmp_path, args, value):
    weights = {name: np.full_like(w, value) for name, w in LOADED.network.weights.items()}
    broken = dataclasses.replace(LOADED, network=dataclasses.replace(LOADED.network, weights=weights))
    checkpoint.convert(broken, tmp_path / "x.t7")
    result = run("sample", str(tmp_path / "x.t7"), "-gpuid", "-1", "-length", "9", "-primetext", "The", *args)
    noted = "has weights that are NaN or infinite" if np.isnan(value) else ""
    said = sentence(result, note=noted)
    assert "the model's probabilities are NaN: the checkpoint holds a model whose training failed" in said


# -- chat ------------------------------------------------------------------------------------------------------------


def test_chat_answers_line_by_line_and_remembers():
    talk = run("chat", CHECKPOINT, "-gpuid", "-1", "-length", "80", input=b"The night~\nyes\n")
    assert talk.returncode == 0
    assert b"left out: the character '~', which the model has never seen" in talk.stderr
    first = alone(CHECKPOINT, 123, "-primetext", "The night\n", "-hide_prime", "1", "-length", "80", "-stop", "\n")
    assert talk.stdout.startswith(first)
    drawn_first = first[:-1]
    before = "The night\n" + drawn_first.decode() + "yes\n"
    second = alone(CHECKPOINT, 124, "-primetext", before, "-hide_prime", "1", "-length", "80", "-stop", "\n")
    assert talk.stdout == first + second
