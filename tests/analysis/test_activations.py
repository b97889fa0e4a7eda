"""pycharrnn activations: what hidden units hold along a text, and the page that shows it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import item_models
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import GOLDEN, run, save_with_weights

from compat.graph_match import Network
from pycharrnn.analysis import activations
from pycharrnn.analysis.activations import Reading
from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine.model import CharRNN
from pycharrnn.page import activation_page
from pycharrnn.sampling.numpy_predictor import NumpyPredictor

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
GRU = GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7"
RNN = GOLDEN / "rnn3" / "lm_rnn3_epoch1.00_3.0075.t7"


def page_with(name: str, network: Network, reading: Reading, units: list[tuple[int, int]]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        activation_page.write(path := Path(folder, "page.html"), name, network, reading, units)
        return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Texts of the <pre> elements, the shades of their characters, and the names of all elements."""

    def __init__(self, content: str):
        super().__init__()
        self.texts: list[str] = []
        self.shades: list[list[tuple[str, str]]] = []
        self.tags: set[str] = set()
        self._inside, self._shade = False, ""
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        attrs = dict(attrs)
        if tag == "pre":
            self._inside = True
            self.texts.append("")
            self.shades.append([])
        if tag == "b":
            self._shade = (attrs["class"].split() or [""])[0]

    def handle_endtag(self, tag):
        if tag == "pre":
            self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.texts[-1] += data
            self.shades[-1] += [(character, self._shade) for character in data if character != "\n"]


@pytest.mark.parametrize("path", [LSTM, GRU, RNN])
def test_values_are_those_of_the_model(path):
    loaded = checkpoint.load(path)
    text = b"The night porter"
    values = activations.record(loaded, text).values
    model = CharRNN.from_checkpoint(loaded, dtype=torch.float64)
    _, state = model(torch.tensor([[loaded.vocab[bytes([byte])] - 1] for byte in text]))
    last = [c.tanh() for c in state[::2]] if path == LSTM else state
    assert values.shape == (len(text), loaded.network.num_layers, loaded.network.rnn_size)
    np.testing.assert_allclose(values[-1], torch.cat(last).detach().numpy(), atol=1e-6)


def test_a_text_for_a_model_of_items_begins_an_item():
    """The model has never read an item without the end before it; the second item begins as the first."""
    loaded = item_models.made("line")
    values = activations.record(loaded, b"ab\nab").values
    assert len(values) == 5
    assert np.array_equal(values[:2], values[3:])


def test_fresh_predictors_share_weights_and_no_state():
    predictor = NumpyPredictor(checkpoint.load(LSTM).network)
    first = predictor.step(3)
    other = predictor.fresh()
    assert (other.step(3) == first).all()
    assert (predictor.step(3) != first).any()
    assert (predictor.fresh().step(3) == first).all()
    assert other._layers[0].h2h is predictor._layers[0].h2h


def test_the_choice_prefers_what_swings_far_and_holds():
    values = np.zeros((400, 2, 5), np.float32)
    time = np.arange(400)
    values[:, 0, 1] = np.where(time % 100 < 50, 0.9, -0.9)  # holds
    values[:, 1, 2] = np.where(time % 20 < 10, 0.9, -0.9)  # holds for less long
    values[:, 1, 3] = np.where(time % 2, 0.9, -0.9)  # flickers
    values[:, 0, 4] = np.where(time % 100 < 50, 0.1, -0.1)  # hardly moves
    values[:, 0, 0] = 0.95  # does not move
    assert activations.choose_units(values, 0, "", 3) == [(1, 2), (2, 3), (1, 5)]
    assert activations.choose_units(values, 1, "", 2) == [(1, 2), (1, 5)]
    assert activations.choose_units(values, 2, "", 99)[0] == (2, 3)
    assert len(activations.choose_units(values, 2, "", 99)) == 5
    assert len(activations.choose_units(values, 0, "", 99)) == 10
    assert activations.choose_units(values, 0, "4, 1", 3) == [(2, 4), (2, 1)]
    assert activations.choose_units(values, 1, "4", 3) == [(1, 4)]
    assert activations.choose_units(values, 1, "4,2, 4", 3) == [(1, 4), (1, 2)]
    assert len(activations.choose_units(values[:1], 0, "", 2)) == 2
    assert activations.choose_units(values, 2, "5", 3) == [(2, 5)]  # the last ones


@pytest.mark.parametrize(
    "layer, units, words", [(3, "", "-layer 3"), (0, "6", "1 to 5"), (0, "1,,2", "''"), (0, "²", "²")]
)
def test_bad_choices(layer, units, words):
    with pytest.raises(UserError, match=words):
        activations.choose_units(np.zeros((4, 2, 5)), layer, units, 3)


def test_markup_in_text_and_name_is_only_text():
    characters = list("<script>alert('&amp;')</script>\n\n\"\x00\r")
    values = np.linspace(-1, 1, len(characters)).astype(np.float32)[:, None, None]
    network = checkpoint.load(LSTM).network
    page = page_with("<img src=x>", network, Reading(characters, values), [(1, 1)])
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    assert parsed.texts == ["\n" + "".join(characters).replace("\x00", "\u2400").replace("\r", "\u240d")]
    assert parsed.shades[0][0] == ("<", "o10")
    assert parsed.shades[0][-1] == ("\u240d", "b10")
    assert "http" not in page  # nothing comes from elsewhere


def test_values_that_are_no_numbers_have_no_colour():
    reading = Reading(["a"], np.full((1, 1, 1), np.nan, np.float32))
    page = page_with("failed", checkpoint.load(LSTM).network, reading, [(1, 1)])
    assert Page(page).shades == [[("a", "")]]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the mean of infinities
def test_what_a_section_and_its_colours_say():
    values = np.zeros((6, 2, 3), np.float32)
    values[:, 1, 2] = [1, 0.94, 0.04, -0.06, np.inf, -np.inf]
    reading = Reading(list("abcdef"), values)
    page = page_with("m", checkpoint.load(GRU).network, reading, [(2, 3)])
    assert Page(page).shades == [list(zip("abcdef", ["b10", "b9", "", "o1", "b10", "o10"], strict=True))]
    assert "The color of a character shows h of the unit" in page
    assert 'class="o1" title="-0.1"' in page
    assert "Layer 2, unit 3</h2>" in page
    values[4:, 1, 2] = 0
    page = page_with("m", checkpoint.load(LSTM).network, reading, [(2, 3), (1, 1)])
    assert "<p>from -0.06 to +1.00, mean +0.32</p>" in page
    assert "The color of a character shows tanh(c) of the unit" in page
    assert page.count("<section") == 2
    for level in range(1, 11):  # a rule for each shade
        assert page.count(f".b{level} {{") == page.count(f".o{level} {{") == 1


def test_neighbours_of_a_shade_share_an_element_and_newlines_have_their_own():
    values = np.zeros((6, 1, 1), np.float32)
    values[5] = 1
    page = page_with("m", checkpoint.load(LSTM).network, Reading(list("ab\n\ncd"), values), [(1, 1)])
    z, newline = '<b class="" title="+0.0">', '<b class="newline" title="+0.0">'
    assert f'>\n{z}ab</b>{newline}\n</b>{newline}\n</b>{z}c</b><b class="b10" title="+1.0">d</b></pre>' in page


def test_a_character_of_several_bytes_has_the_values_after_its_last_one():
    """And one whose end does not come those after the byte that began it."""
    loaded = checkpoint.load(LSTM)
    pieces = [b"T", b"\xc3", b"\xa9", b"\xe2", b"h", b"\xe2", b"\xc3", b"\xa9", b"\xff", b"\xe2", b"\x82", b"\xc3"]
    vocab = {**loaded.vocab, **{piece: 5 + k for k, piece in enumerate(sorted({*pieces} - {b"T", b"h"}))}}
    reading = activations.record(dataclasses.replace(loaded, vocab=vocab), b"".join(pieces))
    assert reading.characters == ["T", "\u00e9", "\ufffd", "h", "\ufffd", "\u00e9", "\ufffd", "\ufffd", "\ufffd"]
    predictor = NumpyPredictor(loaded.network)
    after = []
    for piece in pieces:
        predictor.step(vocab[piece] - 1)
        after.append(predictor.activations()[:, 0, 0].astype(np.float32))
    np.testing.assert_array_equal(reading.values, np.stack([after[k] for k in (0, 2, 3, 4, 5, 7, 8, 10, 11)]))


def page_of(*args, cwd: Path, **keywords) -> subprocess.CompletedProcess:
    return run("activations", *map(str, args), cwd=cwd, **keywords)


def test_a_page(tmp_path):
    result = page_of(
        LSTM.parent, "-primetext", "A quiet night.\nNobody", "-units", "3,16", "-o", "page.html", cwd=tmp_path
    )
    assert result.stdout == b"saved page.html\n", result.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    parsed = Page(page)
    assert parsed.texts == ["\nA quiet night.\nNobody"] * 2
    assert "Layer 2, unit 3" in page
    assert "Layer 2, unit 16" in page
    values = activations.record(checkpoint.load(LSTM), b"A quiet night.\nNobody").values
    shown = int(parsed.shades[1][-1][1].lstrip("bo") or 0)
    assert shown == round(10 * abs(float(values[-1, 1, 15])))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("path", [LSTM, GRU, RNN])
def test_a_page_of_a_model_whose_training_diverged(tmp_path, path, value):
    save_with_weights(tmp_path / "x.safetensors", checkpoint.load(path), value)
    result = page_of("x.safetensors", "-primetext", "The night", "-count", "1", "-o", "page.html", cwd=tmp_path)
    assert result.stdout == b"saved page.html\n" and b"has weights that are NaN or infinite" in result.stderr
    assert Page((tmp_path / "page.html").read_text(encoding="utf-8")).texts == ["\nThe night"]


def test_texts_from_files_and_pipes(tmp_path):
    text = "The \u2013 n\u00e9ght porter".encode()
    (tmp_path / "text").write_bytes(text)
    assert page_of(LSTM, "-primefile", "text", "-count", "1", "-o", "a.html", cwd=tmp_path).returncode == 0
    assert page_of(LSTM, "-primefile", "-", "-count", "1", "-o", "b.html", cwd=tmp_path, input=text).returncode == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert Page((tmp_path / "a.html").read_text(encoding="utf-8")).texts == ["\n" + text.decode()]


def test_a_long_text_is_cut():
    said: list[str] = []
    reading = activations.record(checkpoint.load(LSTM), b"night " * 50, 100, said.append)
    assert len(reading.characters) == 100
    assert said == ["the page shows the first 100 of 300 characters"]
    activations.record(checkpoint.load(LSTM), b"n" * 100, 100, said.append)
    assert len(said) == 1
    assert len(activations.record(checkpoint.load(LSTM), b"night " * 50).characters) == 300


@pytest.mark.parametrize(
    "args, words",
    [
        ([], "either -primetext TEXT or -primefile FILE"),
        (["-primetext", "a", "-primefile", "text"], "-primetext and -primefile exclude each other: leave one out."),
        (["-primefile", "nowhere"], "can't read nowhere (No such file"),
        (["-primefile", os.devnull], "the text is empty"),
        (["-primetext", "a\u00fc"], "'\u00fc'"),
        (["-primetext", "a", "-layer", "9"], "-layer 9 is too large: the model has 2 layers"),
        (["-primetext", "a", "-units", "0"], "1 to 16"),
        (["-primetext", "a", "-layer", "-1"], "-layer must be at least 0, not -1."),
        (["-primetext", "a", "-count", "0"], "-count must be at least 1"),
        (["-primetext", "a", "-units", "3", "-count", "2"], "-units 3 names the units, -count their number: give one."),
        (
            ["-primetext", "a", "-text_encoding", "cp1252"],
            "-text_encoding is for the file of -primefile: leave it out.",
        ),
        (["-primetext", "a", "-o", "page.pdf"], "-o must be a file that ends in .html"),
    ],
)
def test_errors_are_one_sentence(tmp_path, args, words):
    result = page_of(LSTM, *args, cwd=tmp_path)
    error = result.stderr.decode()
    assert result.returncode == 1, error
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_wrong_path_is_named_before_a_missing_text(tmp_path):
    assert "nope.t7 does not exist" in page_of("nope.t7", cwd=tmp_path).stderr.decode()


def test_help_is_complete():
    text = CliRunner().invoke(cli, ["activations", "-help"]).stdout
    assert all(flag in text for flag in ("-primetext", "-primefile", "-layer", "-units", "-count", "-o"))
