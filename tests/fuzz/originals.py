"""Whole files to damage: checkpoints of every kind and format, with a run's state, of torch-rnn; a text's cache."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compat import charrnn, load_t7, nngraph
from compat.graph_match import Network
from compat.lua_random import LuaRandom
from compat.run_state import RunState
from compat.t7_writer import T7Writer, _AsciiT7Writer
from pycharrnn.checkpoints import checkpoint as checkpoints
from pycharrnn.checkpoints import formats
from pycharrnn.page import single_file
from tests.recorded_runs import GOLDEN
from tests.torchrnn_tables import TOKENS, make

_CHECKPOINTS = (
    "lstm1_test_split/lm_split_epoch1.00_3.1432.t7",
    "lstm3_dropout/lm_lstm3d_epoch1.00_3.2518.t7",
    "gru2/lm_gru2_epoch1.00_2.9340.t7",
    "rnn3/lm_rnn3_epoch1.00_3.0075.t7",
    "legacy_2015-05-21_lstm/lm_old_epoch1.00_4.7298.t7",
    "legacy_2015-06-14_lstm_dropout/lm_old_epoch1.00_3.2628.t7",
    "variants/ascii.t7",
    "variants/cuda.t7",
    "variants/float.t7",
)


@dataclass(frozen=True)
class Original:
    """A whole file.

    Attributes:
        name: of its file, whose ending says how it is read.
        done: iterations that its run has behind it.
        text: "corpus", or "utf8" for a text in the characters of torch-rnn's; empty for what is no checkpoint.
    """

    name: str
    content: bytes
    done: int = 0
    text: str = "corpus"


def all_of_them() -> list[Original]:
    found = []
    for name in _CHECKPOINTS:
        content = (GOLDEN / name).read_bytes()
        found.append(Original(Path(name).name, content, load_t7(content)[b"i"]))
    for path in (GOLDEN / "gru2/lm_gru2_epoch1.00_2.9340.t7", GOLDEN / "lstm2/lm_lstm2_epoch3.00_2.8734.t7"):
        checkpoint = charrnn.from_table(load_t7(path))
        found.append(Original(f"state_{path.name}", _with_run_state(checkpoint), checkpoint.i))
        others = (ending for ending in formats.ENDINGS if ending != ".t7")
        found += [Original(path.stem + ending, _converted(checkpoint, ending), checkpoint.i) for ending in others]
        found.append(Original(path.stem + ".html", _page(checkpoint), checkpoint.i))
    for kind, batchnorm in (("LSTM", "var"), ("VanillaRNN", "std")):
        found.append(Original(f"torch_rnn_{kind}.t7", _written(make(kind, batchnorm, dropout=0.5)), 2, "utf8"))
    found += [Original(name, (GOLDEN / "corpus" / name).read_bytes(), text="") for name in ("vocab.t7", "data.t7")]
    return found


def small_ones() -> list[bytes]:
    """Checkpoints of a few kilobytes, of every model and encoding, and of torch-rnn."""
    found = []
    for model, layers in (("lstm", 1), ("lstm", 2), ("gru", 1), ("rnn", 2)):
        shapes = nngraph.parameter_shapes(model, 3, 2, layers)
        weights = {name: np.full(shape, 0.1) for name, shape in shapes.items()}
        network = Network(model, 2, layers, 3, 0.5, weights)
        checkpoint = charrnn.Checkpoint(network, {b"a": 1, b"b": 2, b"c": 3}, {"seed": 1}, [2.0], {1: 2.0}, 2.0, 1, 1.0)
        found.append(_with_run_state(checkpoint))
    value = load_t7(found[0])
    for writer in (_AsciiT7Writer, lambda out: T7Writer(out, 4)):
        out = io.BytesIO()
        writer(out).write_obj(value)
        found.append(out.getvalue())
    return [*found, _written(make("LSTM", "var", 0.5)), _written(make("VanillaRNN", "std"))]


def text(name: str, characters: int) -> bytes:
    """A short text with all characters of the corpus, or of torch-rnn's checkpoints."""
    if name == "utf8":
        return "".join(TOKENS[k * k % 7 % len(TOKENS)] for k in range(characters)).encode()
    corpus = (GOLDEN / "corpus/input.txt").read_bytes()
    return (bytes(sorted(set(corpus))) + corpus)[:characters]


def _written(value) -> bytes:
    out = io.BytesIO()
    T7Writer(out).write_obj(value)
    return out.getvalue()


def _with_run_state(checkpoint: charrnn.Checkpoint) -> bytes:
    """A checkpoint as -resume wants it."""
    network, (words, position) = checkpoint.network, LuaRandom(1).get_state()
    states = 2 if network.model == "lstm" else 1
    hidden = [np.zeros((3, network.rnn_size)) for _ in range(states * network.num_layers)]
    size = sum(w.size for w in network.weights.values())
    checkpoint.state = RunState(np.zeros(size), 2e-3, hidden, {1: 1, 2: 0, 3: 0}, words, position, 1.0, {})
    checkpoint.text_fingerprint = "3 bytes"
    return _written(charrnn.to_table(checkpoint))


def _converted(checkpoint: charrnn.Checkpoint, ending: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{ending}"
        checkpoints.convert(checkpoint, path)
        return path.read_bytes()


def _page(checkpoint: charrnn.Checkpoint) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.html"
        single_file.write(path, [("x.t7", single_file.model_of("x.t7", checkpoint, half=False))], half=False)
        return path.read_bytes()
