"""Text from a Model: the command line's bytes, batches, streams, and what is refused."""

from __future__ import annotations

import dataclasses
import html
import math
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import item_models
import numpy as np
import pytest
from conftest import GOLDEN, ROOT, run, sampled, working_in

import pycharrnn
from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from pycharrnn.library import generation, keywords, notebook
from pycharrnn.page import html_style
from pycharrnn.sampling.inference import TorchPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.training.options import TrainOptions

CHECKPOINTS = [sorted((GOLDEN / name).glob("*.t7"))[0] for name in ("lstm3_dropout", "gru2", "rnn3")]
CHECKPOINT = CHECKPOINTS[0]
UTF8 = {character.encode(): k + 1 for k, character in enumerate("aé€😀 <\n")}


def of_random_weights(vocab: dict[bytes, int], model: str = "gru") -> Checkpoint:
    random = np.random.default_rng(5)
    shapes = parameter_shapes(model, len(vocab), 8, 2)
    weights = {name: random.uniform(-1, 1, shape) for name, shape in shapes.items()}
    return Checkpoint(Network(model, 8, 2, len(vocab), 0.0, weights), vocab)


@pytest.fixture(scope="module")
def model() -> pycharrnn.Model:
    return pycharrnn.load(CHECKPOINT)


# -- the bytes of the command line -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, primetext, options",
    [
        (CHECKPOINTS[0], "The ", {"seed": 7, "length": 300, "temperature": 0.6}),
        (CHECKPOINTS[0], "", {"seed": 123}),
        (CHECKPOINTS[1], "A", {"seed": 2**32 + 5, "length": 200, "topk": 5, "topp": 0.9}),
        (CHECKPOINTS[1], "A", {"seed": 3, "length": 0, "stop": "th", "hide_prime": True}),
        (CHECKPOINTS[2], "üA", {"seed": 9, "length": 100, "temperature": "0.3:1.4", "ignore_bad_primetext": True}),
        (CHECKPOINTS[2], "A", {"seed": -4, "length": 100, "sample": 0}),
    ],
)
def test_the_bytes_of_the_command_line(path, primetext, options):
    flags = [
        word for name, value in options.items() for word in (f"-{name}", str(int(value) if value is True else value))
    ]
    expected = sampled(path, ["-primetext", primetext, *flags])
    loaded = pycharrnn.load(path)
    assert loaded.generate(primetext=primetext, as_bytes=True, **options) + b"\n" == expected
    text = loaded.generate(primetext, **options)
    assert text == expected[:-1].decode("utf-8", "replace")
    assert b"".join(loaded.stream(primetext=primetext, as_bytes=True, **options)) + b"\n" == expected
    assert "".join(loaded.stream(primetext=primetext, **options)) == text


def test_the_defaults_are_those_of_the_command_line(model):
    assert model.generate("The", seed=SampleOptions.seed, as_bytes=True) + b"\n" == sampled(
        CHECKPOINT, ["-primetext", "The"]
    )


def test_a_module_of_any_type_does_not_change_the_text():
    import torch

    expected = pycharrnn.load(CHECKPOINT).generate("The", length=400, seed=5)
    for dtype in (None, torch.float64, torch.float16):
        loaded = pycharrnn.load(CHECKPOINT, dtype=dtype)
        loaded.module.train()
        assert loaded.generate("The", length=400, seed=5) == expected
        loaded.module.double()
        assert loaded.generate("The", length=400, seed=5) == expected


def test_no_pytorch_until_a_tensor_is_asked_for(tmp_path):
    program = """
import sys, pycharrnn
assert "load" in dir(pycharrnn) and "numpy" not in sys.modules
model = pycharrnn.load(sys.argv[1])
text = model.generate("The ", length=30, seed=1)
assert model.generate(["The", "A "], length=5) and list(model.stream("T", length=5))
model.score(text), model.activations(text), model.decode(model.encode("The")), repr(model), model._repr_html_()
model.save(sys.argv[2])
assert model.device == "cpu" and "torch" not in sys.modules
model(model.encode("The")[:, None])
assert "torch" in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, str(CHECKPOINT), str(tmp_path / "m.t7")]
    subprocess.run(command, check=True, env=environment)


# -- several texts, and seeds ------------------------------------------------------------------------------------------


def test_a_batch(model, monkeypatch):
    """Each text is what it would be alone, with a seed of its own, also where there are more than go side by side."""
    beginnings = ["The ", "", b"A very long night", "T", "The "]
    options = {"length": 40, "temperature": (0.5, 1.2), "stop": "e"}
    alone = [model.generate(one, seed=11 + k, **options) for k, one in enumerate(beginnings)]
    assert model.generate(beginnings, seed=11, **options) == alone
    monkeypatch.setattr(generation, "_MAX_STREAMS", 2)
    texts = model.generate(tuple(beginnings), seed=11, **options)
    assert texts == alone
    assert [text.seed for text in texts] == [11, 12, 13, 14, 15]
    assert [text.given for text in texts] == list(map(len, beginnings))
    as_bytes = model.generate(beginnings, seed=11, as_bytes=True, **options)
    assert as_bytes == [text.encode() for text in texts]
    assert model.generate([]) == []
    hidden = model.generate(beginnings, seed=11, hide_prime=True, **options)
    assert [len(whole) - len(text) for whole, text in zip(alone, hidden, strict=True)] == list(map(len, beginnings))


def test_a_new_text_each_time_that_can_be_had_again(model):
    one, other = (model.generate("The ", length=60) for _ in range(2))
    assert one != other
    assert model.generate("The ", length=60, seed=one.seed) == one
    assert "".join(model.stream("The ", length=60)) != "".join(model.stream("The ", length=60))


def test_a_stop_is_noticed_across_pieces():
    """Also one that begins within a character of the vocabulary; not in what was given."""
    model = pycharrnn.Model(of_random_weights({b"ab": 1, b"ba": 2, b"c": 3}))
    for text in model.generate(["c"] * 8, length=500, stop="bcc", seed=1):
        assert text.index("bcc") == len(text) - 3
    assert model.generate("abcc", length=None, stop=b"c", seed=1, hide_prime=True).endswith("c")
    euro = pycharrnn.Model(of_random_weights({bytes([byte]): k + 1 for k, byte in enumerate("é€".encode())}))
    text = euro.generate("", length=None, stop="é", seed=1, as_bytes=True)
    assert text.index("é".encode()) == len(text) - 2
    assert "".join(euro.stream("", length=None, stop="é", seed=1)).encode().endswith("é".encode())


# -- a stream ----------------------------------------------------------------------------------------------------------


def test_pieces_know_how_probable_they_were(model):
    pieces = list(model.stream("The", length=50, seed=4, topk=3))
    assert [piece.given for piece in pieces] == [True] * 3 + [False] * 50
    assert pieces[0].probability == pytest.approx(1 / len(model.vocab))
    for piece in pieces[3:]:
        candidates = piece.candidates(3)
        assert (str(piece), piece.probability) in candidates
        assert sum(probability for _, probability in candidates) == pytest.approx(1)
        assert candidates == sorted(candidates, key=lambda entry: -entry[1])
    assert len(pieces[5].candidates()) == 5
    assert pycharrnn.Piece("a").candidates() == []  # which nobody has drawn
    assert pieces[5].candidates(0) == []
    with pytest.raises(ValueError, match="^count must be at least 0, not -1$"):
        pieces[5].candidates(-1)
    with pytest.raises(TypeError, match="^count must be a whole number, not None$"):
        pieces[5].candidates(None)
    text = model.generate("The", length=50, seed=4, topk=3)
    assert text.pieces == tuple(pieces)
    assert text.probabilities == tuple(piece.probability for piece in pieces)
    assert text.given == 3
    assert [piece.probability for piece in model.stream("The", length=50, seed=4, topk=3, as_bytes=True)] == list(
        text.probabilities
    )


def test_a_stream_without_end(model):
    for name in (None, 0):
        stream = model.stream("T", length=name, seed=2, hide_prime=True)
        text = "".join(next(stream) for _ in range(2500))
        assert text == model.generate("T", length=2500, seed=2, hide_prime=True)


def test_bytes_become_whole_characters():
    """Of a model of bytes, with the probability of all bytes; what is no UTF-8 is marked, as in the whole text."""
    vocab = {bytes([byte]): k + 1 for k, byte in enumerate(sorted(set("aé€😀".encode())))}
    model = pycharrnn.Model(of_random_weights(vocab))
    pieces = list(model.stream("é", length=3000, seed=3))
    drawn = list(model.stream("é", length=3000, seed=3, as_bytes=True))
    assert "".join(pieces) == b"".join(drawn).decode("utf-8", "replace")
    assert (pieces[0], pieces[0].given) == ("é", True)
    assert {"é", "\ufffd", "a"} <= set(pieces)
    total = math.fsum(math.log(piece.probability) for piece in pieces)
    assert total == pytest.approx(math.fsum(math.log(piece.probability) for piece in drawn))
    assert all(name == "a" or name.startswith("0x") for name, _ in pieces[0].candidates(99))
    text = model.generate("é", length=100, seed=3)
    assert "\ufffd" in text and text.encoded == model.generate("é", length=100, seed=3, as_bytes=True)
    on = model.generate(text, length=10, seed=4)
    assert on.encoded.startswith(text.encoded) and on.startswith(text)
    assert model.score(text).unknown == {}
    assert model.decode(model.encode(b"a\xc3")) == "a\ufffd"


def test_a_beginning_that_ends_amid_a_character():
    """The character that the model completes was begun, so it counts as given; no byte is lost or shown twice."""
    vocab = {bytes([byte]): k + 1 for k, byte in enumerate(sorted(set("aé".encode())))}
    model = pycharrnn.Model(of_random_weights(vocab))
    seen = set()
    for seed in range(20):
        text = model.generate(b"a\xc3", length=2, seed=seed)
        drawn = list(model.stream(b"a\xc3", length=2, seed=seed, as_bytes=True))
        assert text.encoded == b"".join(drawn) and text.encoded.startswith(b"a\xc3")
        assert text == text.encoded.decode("utf-8", "replace") == "".join(text.pieces)
        assert text.given == 2  # of pieces; the second one's first byte was given
        completed = drawn[2] == b"\xa9"
        assert text.pieces[1] == ("é" if completed else "\ufffd")
        probability = math.prod(byte.probability for byte in drawn[1 : 3 if completed else 2])
        assert text.probabilities[1] == pytest.approx(probability)
        pieces = list(model.stream(b"a\xc3", length=2, seed=seed))
        assert [(str(piece), piece.given) for piece in pieces] == [
            (piece, k < text.given) for k, piece in enumerate(text.pieces)
        ]
        seen.add(completed)
    assert seen == {False, True}


def test_a_vocabulary_of_code_points():
    model = pycharrnn.Model(of_random_weights(UTF8))
    pieces = list(model.stream("€é", length=60, seed=3))
    assert all(len(piece) == 1 for piece in pieces) and len(pieces) == 62
    assert set(model.vocab) >= {piece.encode() for piece in pieces}
    assert model.generate("€é", length=60, seed=3) == "".join(pieces)
    assert model.decode(model.encode("😀a€")) == "😀a€"
    assert model.encode("😀a€").tolist() == [3, 0, 2]


def test_pieces_and_texts_are_strings(model):
    piece = next(model.stream("T", length=1))
    text = model.generate("T", length=5, seed=1)
    for one in (piece, text):
        assert isinstance(one, str) and type(one + "!") is str
        again = pickle.loads(pickle.dumps(one))
        assert (type(again), again) == (type(one), one)
    assert again.probabilities == text.probabilities
    assert model.generate(text, length=5, seed=1).startswith(text)


# -- what a notebook shows ---------------------------------------------------------------------------------------------


def test_a_text_shows_itself_tinted():
    model = pycharrnn.Model(of_random_weights(UTF8))
    text = model.generate("<a", length=200, seed=1)
    shown = text._repr_html_()
    assert shown.startswith("<pre ") and shown.endswith("</pre>")
    assert "<b>&lt;</b><b>a</b>" in shown
    assert html.unescape(re.sub(r"<[^>]*>", "", shown)) == text
    rare = next(k for k in range(2, len(text)) if text.probabilities[k] < 0.1)
    assert f'title="{100 * text.probabilities[rare]:.2g}%"' in shown
    assert "rgb(213 94 0 / 0.225)" in shown


@pytest.mark.parametrize("bits", [0.4, 1.6, 3.2, 5.2, 7.2, 9.2, 12.2])
def test_the_tint_goes_by_bits(bits):
    level = html_style.surprise_level(bits)
    shown = notebook.tinted(["x"], [2.0**-bits], 0)
    assert re.findall(r"background: ([^\"]+)\"", shown) == ([html_style.color(level)] if level else [])


def test_nothing_of_a_text_is_html():
    shown = notebook.tinted(["<script>", "&", '"', "\x00", "\x1b", "\n"], [0.001, 1, 0.0, 0.5, 0.9, 1.0], 0)
    assert "<script" not in shown
    assert (
        "&lt;script&gt;" in shown and "&amp;" in shown and "&quot;" in shown and "\u2400" in shown and "\u241b" in shown
    )
    assert "\n" in shown and "\x00" not in shown
    table = notebook.table({"<a>": "<b>", "empty": ""})
    assert "&lt;a&gt;" in table and "&lt;b&gt;" in table and "empty" not in table


def test_a_long_text_is_not_shown_whole():
    shown = notebook.tinted(["a"] * 10_004, [1.0] * 10_004, 1)
    assert shown.count("a") < 10_100 and "4 characters more" in shown


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_an_unknown_character_has_the_sentence_of_the_command_line(model):
    command = run("sample", str(CHECKPOINT), "-gpuid", "-1", "-primetext", "Thü")
    sentence = command.stderr.decode().removeprefix("pycharrnn: ").strip()
    for refused in (
        lambda: model.generate("Thü"),
        lambda: model.generate(["The", "Thü"]),
        lambda: model.stream("Thü"),
    ):
        with pytest.raises(pycharrnn.UserError) as raised:
            refused()
        in_words_of_a_program = sentence.replace("-ignore_bad_primetext 1", "ignore_bad_primetext=True")
        assert str(raised.value) == in_words_of_a_program.replace("-primetext", "primetext")
    assert model.generate("Thü", length=1, seed=1, ignore_bad_primetext=True).startswith("Th")
    with pytest.raises(pycharrnn.UserError, match="^text has the character 'ü'"):
        model.encode("ü")


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"temperature": 0}, pycharrnn.UserError, "temperature must be greater than 0, not 0: sample=0 takes"),
        ({"temperature": "a"}, TypeError, "temperature must be a number, or two: (A, B), not 'a'"),
        ({"temperature": (1, 2, 3)}, TypeError, "temperature must be a number, or two"),
        ({"temperature": math.nan}, TypeError, "temperature must be a number"),
        ({"temperature": "0.5"}, TypeError, "temperature must be a number, or two: (A, B), not '0.5'"),
        ({"temperature": True}, TypeError, "temperature must be a number, or two: (A, B), not True"),
        ({"temperature": (0.5, 1), "length": None}, pycharrnn.UserError, "temperature A:B needs a length"),
        ({"length": -1}, pycharrnn.UserError, "length must be at least 0, not -1"),
        ({"length": 2.5}, TypeError, "length must be a whole number, not 2.5"),
        ({"length": math.inf}, TypeError, "length must be a whole number, not inf"),
        ({"length": "many"}, TypeError, "length must be a whole number, not 'many'"),
        ({"topp": 0}, pycharrnn.UserError, "topp must be greater than 0 and at most 1"),
        ({"topk": -1}, pycharrnn.UserError, "topk must be at least 0"),
        ({"seed": "x"}, TypeError, "seed must be a whole number"),
        ({"stop": 3}, TypeError, "stop must be a str or bytes, not 3"),
        ({"stop": "\ud800"}, pycharrnn.UserError, "stop has '\\ud800', which is half a character"),
        ({"hide_prime": 2}, TypeError, "hide_prime must be True or False, not 2"),
        ({"sample": "no"}, TypeError, "sample must be True or False, not 'no'"),
        ({"as_bytes": "no"}, TypeError, "as_bytes must be True or False, not 'no'"),
    ],
)
def test_values_that_are_refused(model, options, error, words):
    with pytest.raises(error) as raised:
        model.generate("T", **options)
    assert str(raised.value).startswith(words)
    with pytest.raises(error):
        model.stream("T", **options)


def test_arguments_that_are_none(model):
    for beginning in (None, 3, ["T", None]):
        with pytest.raises(TypeError):
            model.generate(beginning)
    with pytest.raises(TypeError, match="a str or bytes, not \\['T'\\]"):
        model.stream(["T"])
    with pytest.raises(TypeError, match=r"generate\(\) has no option 'temprature'; did you mean temperature\?"):
        model.generate("T", temprature=1)
    with pytest.raises(TypeError, match="no option 'temprature'; did you mean temperature?"):
        model.stream("T", temprature=1)
    with pytest.raises(TypeError, match="no option 'prmetext'; did you mean primetext?"):
        model.stream(prmetext="T")
    with pytest.raises(TypeError, match="no option 'gpuid'"):
        model.stream("T", gpuid=1)
    for endless in (None, 0):
        with pytest.raises(pycharrnn.UserError, match="^a length of 0 or None sets no end: give a length or a stop"):
            model.generate("T", length=endless)
    for primetext, length in (("T", 10**30), (["T"] * 1000, 10**10)):
        with pytest.raises(pycharrnn.UserError, match=r"^length=1[e+\d]+ takes about .* GB of memory, but only "):
            model.generate(primetext, length=length)
    assert model.generate("T", length=10**30, stop="e").endswith("e")
    assert next(model.stream("T", length=10**30)) == "T"


def test_a_model_that_predicts_nan(recwarn):
    loaded = of_random_weights(UTF8)
    for value in (np.nan, np.inf):
        weights = {name: np.array(weight) for name, weight in loaded.network.weights.items()}
        weights["decoder.weight"][0] = value
        broken = dataclasses.replace(loaded, network=dataclasses.replace(loaded.network, weights=weights))
        model = pycharrnn.Model(broken)
        for refused in (
            lambda m=model: m.generate("a", temperature=0.5),
            lambda m=model: m.generate(["a", "é"], temperature=0.5),
            lambda m=model: list(m.stream("a", temperature=0.5)),
        ):
            with pytest.raises(pycharrnn.UserError, match="probabilities at temperature=0.5 are NaN: try a temper"):
                refused()
        assert not model.score("aé").bits_per_character < 50
        assert model.activations("aé").values.shape == (2, 2, 8)
    assert [str(warning.message) for warning in recwarn] == []


def test_options_by_keywords():
    numpy_numbers = keywords.options_of(TrainOptions, {"rnn_size": np.int64(12), "dropout": np.float32(0.5)}, "train")
    assert (numpy_numbers.rnn_size, numpy_numbers.dropout) == (12, 0.5)
    assert keywords.options_of(TrainOptions, {"data_dir": ROOT, "batch_size": 5e1}, "train").data_dir == str(ROOT)
    with pytest.raises(TypeError, match=r"train\(\) has no option 'rnn_sise'; did you mean rnn_size\?"):
        keywords.options_of(TrainOptions, {"rnn_sise": 12}, "train")
    with pytest.raises(TypeError, match=r"no option 'xyz'; there are data_dir, rnn_size"):
        keywords.options_of(TrainOptions, {"xyz": 12}, "train")
    with pytest.raises(pycharrnn.UserError, match="^rnn_size must be at least 1, not 0"):
        keywords.options_of(TrainOptions, {"rnn_size": 0}, "train")


# -- on another device -------------------------------------------------------------------------------------------------


def test_what_is_drawn_elsewhere_goes_through_the_module(monkeypatch):
    """With PyTorch in double precision, on the CPU for want of a GPU, that is the same text."""
    import torch

    from pycharrnn.library import current_weights

    model = pycharrnn.load(CHECKPOINT, dtype=torch.float64)
    expected = model.generate(["The", "A"], length=80, seed=1), model.score("The night").bits_per_character
    made = []

    def made_of(module, *sizes):
        assert module is model.module
        made.append(sizes)
        return TorchPredictor(module, *sizes)

    monkeypatch.setattr(current_weights, "TorchPredictor", made_of)
    monkeypatch.setattr(current_weights.CurrentWeights, "device", "cuda:0")
    assert model.generate(["The", "A"], length=80, seed=1) == expected[0]
    assert model.score("The night").bits_per_character == pytest.approx(expected[1])
    assert "".join(model.stream("The", length=80, seed=1)) == expected[0][0]
    assert made == [(2, 1), (1, 256), (1, 1)]


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
def test_on_a_gpu():
    model = pycharrnn.load(CHECKPOINT, device="cuda")
    command = run("sample", str(CHECKPOINT), "-verbose", "0", "-seed", "3", "-length", "200")
    assert model.generate(seed=3, length=200, as_bytes=True) + b"\n" == command.stdout
    assert model.device.startswith("cuda")


# -- max_copy ----------------------------------------------------------------------------------------------------------


def test_max_copy_is_that_of_the_command_line(tmp_path):
    text = bytes(np.random.default_rng(1).choice([*b"abc\n"], 120).tolist())
    path = item_models.saved(tmp_path, "", text, letters="abc")
    with working_in(tmp_path):
        model = pycharrnn.load(path)
        found = model.generate("ab", max_copy=3, seed=5, length=200, as_bytes=True)
        assert found + b"\n" == sampled(path, ["-primetext", "ab", "-max_copy", "3", "-seed", "5", "-length", "200"])
        assert not any(found[k : k + 4] in text for k in range(len(found) - 3))
        streamed = model.stream("ab", max_copy=3, seed=5, length=200, as_bytes=True)
        assert b"".join(streamed) == found
        batch = model.generate(["ab", "c"], max_copy=3, seed=5, length=200, as_bytes=True)
        assert batch[0] == found != model.generate("ab", seed=5, length=200, as_bytes=True)
        ended = model.generate(["a", "b"], max_copy=1, length=50, seed=2)
        assert all(len(text) < 50 and text.ended_early for text in ended)
        assert not model.generate("a", length=50).ended_early
        Path("other.txt").write_bytes(b"aba\n" + b"c" * 50)
        other = pickle.loads(pickle.dumps(model)).generate("c", max_copy=2, text=Path("other.txt"), as_bytes=True)
        assert b"aba" not in other and b"ccc" not in other
        Path("folder").mkdir()
        Path("folder/part.txt").write_bytes(b"aba\n" * 20)
        in_folder = model.generate("c", max_copy=2, text="folder", length=200, seed=5, as_bytes=True)
        Path("folder/part.txt").write_bytes(in_folder)  # it is read again, though the folder itself is as it was
        again = model.generate("c", max_copy=2, text="folder", length=200, seed=5, as_bytes=True)
        assert again == pycharrnn.load(path).generate("c", max_copy=2, text="folder", length=200, seed=5, as_bytes=True)
        assert again != in_folder
        with pytest.raises(pycharrnn.UserError, match=r"no\.txt .*: name a text file or a folder of them\.$"):
            model.generate(max_copy=3, text="no.txt")
        with pytest.raises(pycharrnn.UserError, match=r"^text='other\.txt' is for max_copy=N: add that, or leave text"):
            model.generate(text="other.txt")
        Path("data/list/input.txt").unlink()
        with pytest.raises(pycharrnn.UserError, match=r"is not here: .*, or give text=FILE"):
            model.generate(max_copy=3)
        with pytest.raises(pycharrnn.UserError, match="max_copy must be from 1 to 1e12, or 0, not -1"):
            model.generate(max_copy=-1)


def test_items_with_max_copy(tmp_path):
    text = b"abcab\nbcabc\ncabca\n" * 3
    path = item_models.saved(tmp_path, "line", text, letters="abc")
    with working_in(tmp_path):
        found = [item.encoded for item in pycharrnn.load(path).items(30, max_copy=2, seed=1)]
    assert not any(item[k : k + 3] in text for item in found for k in range(len(item) - 2))


def test_the_encoding_of_a_file_named_by_text(tmp_path):
    """A file with a zero byte is refused with the advice text_encoding='bytes', which the methods take."""
    path = item_models.saved(tmp_path, "", b"abc\n" * 20, letters="abcé\0")
    items = pycharrnn.load(item_models.saved(tmp_path / "items", "line", b"abc\n" * 20, letters="abc\0"))
    model = pycharrnn.load(path)
    with working_in(tmp_path):
        Path("dos.txt").write_bytes("abcé abcé\n".encode("cp437"))
        Path("zero.txt").write_bytes(b"abc\0ab\n" + b"bb\ncc\n" * 200)
        zero = {"text": "zero.txt", "seed": 1}
        makers = [
            lambda **how: model.generate("a", max_copy=1, length=30, as_bytes=True, **zero, **how),
            lambda **how: b"".join(model.stream("a", max_copy=1, length=30, as_bytes=True, **zero, **how)),
            lambda **how: b"".join(item.encoded + b"\n" for item in items.items(9, max_copy=1, **zero, **how)),
            lambda **how: model.copied(b"abc\0ab", text="zero.txt", least=4, **how)[0].encoded,
        ]
        for make in makers:
            with pytest.raises(pycharrnn.UserError, match="keep all bytes by text_encoding='bytes'"):
                make()
        *texts, passage = [make(text_encoding="bytes") for make in makers]
        assert passage == b"abc\0ab"
        for text in texts:
            assert not any(pair in text for pair in (b"ab", b"bc", b"c\0", b"\0a"))
        (found,) = model.copied("é abc", text="dos.txt", text_encoding="cp437", least=3)
        assert str(found) == "é abc"
        assert not model.copied("é abc", text="dos.txt", least=5)
        # One file read in two encodings has an index for each.
        as_bytes, as_cp437 = (
            model.generate("a", max_copy=1, text="dos.txt", text_encoding=name, length=3000, seed=1, as_bytes=True)
            for name in ("bytes", "cp437")
        )
        assert b"ab" not in as_bytes and "cé".encode() in as_bytes
        assert b"ab" not in as_cp437 and "cé".encode() not in as_cp437
        for call in (model.generate, model.copied):
            with pytest.raises(pycharrnn.UserError, match="^text_encoding is for the file text: leave it out"):
                call("ab", text_encoding="bytes")
            with pytest.raises(pycharrnn.UserError, match="text_encoding must be bytes or a text encoding of Python"):
                call("ab", text="zero.txt", text_encoding="latin-99")


def test_paths_may_be_strings_of_numpy(tmp_path):
    """A loop over an array of paths gives these; they are str, with a buffer that os.scandir takes for bytes."""
    item_models.saved(tmp_path, "", letters="abc", from_texts=0)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_bytes(b"abc\n" * 20)
    folder, texts = np.array([tmp_path / "cv", tmp_path / "texts"], dtype=np.str_)
    model = pycharrnn.load(folder)
    assert model.generate("a", max_copy=2, text=texts, length=9, seed=5)
    with working_in(tmp_path):
        assert len(pycharrnn.train(texts, rnn_size=4, max_epochs=1, quiet=True, checkpoint_dir="own").val_losses) > 0
