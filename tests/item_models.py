"""Models of items without training: random weights that end an item after a few characters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.item_options import kind as kind_of
from compat.nngraph import parameter_shapes
from compat.vocabulary import characters_by_id
from pycharrnn.checkpoints import checkpoint
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.text.text_stats import text_stats

LIST = b"a\nb\nc\n\xc3\xa9\nab\nbb\n"  # a text of items `line`
ENDS = {"line": b"\n", "blank": b"\x1e", "file": b"\x1e"}


def made(kind: str = "line", model: str = "lstm", letters: str = "abc\u00e9", utf8: bool = False, **opt) -> Checkpoint:
    """A model of items of the characters of `letters`, or of a text with kind ""."""
    end = ENDS.get(kind, b"\n")
    characters = {c.encode() for c in letters} if utf8 else {bytes([b]) for b in letters.encode()}
    vocab = {c: k for k, c in enumerate(sorted({end, *characters}), 1)}
    V, H, L = len(vocab), 9, 2
    random = np.random.default_rng(7)
    shapes = parameter_shapes(model, V, H, L)
    weights = {name: random.uniform(-0.7, 0.7, shape).astype(np.float32) for name, shape in shapes.items()}
    network = Network(model, num_layers=L, rnn_size=H, vocab_size=V, dropout=0.0, weights=weights)
    items = {"items": kind} if kind else {}
    return Checkpoint(network, vocab, {"from_texts": 1, "model": model, **items, **opt})


def saved(folder: Path, kind: str = "line", text: bytes | None = None, **more) -> Path:
    """A checkpoint in `folder`/cv, and its training text in `folder`/data/list, recorded as training does."""
    loaded = made(kind, **{"data_dir": "data/list", **more})
    if text is not None:
        (folder / "data" / "list").mkdir(parents=True)
        (folder / "data" / "list" / "input.txt").write_bytes(text)
        loaded.text_fingerprint = text_stats(str(folder / "data" / "list")).fingerprint
        loaded.program = "pycharrnn 1"
    path = folder / "cv" / "lm_list_best.t7"
    path.parent.mkdir(exist_ok=True)
    checkpoint.convert(loaded, path)
    return path


def list_home(folder: Path) -> Path:
    """The folder, with a model of items `line` and its text, LIST."""
    saved(folder, "line", LIST)
    return folder


def decided(kind: str, **opt) -> Checkpoint:
    """A model whose most probable characters make items of several characters, each of which depends on its state."""
    loaded = made(kind, **opt)
    weights = {name: 6 * weight for name, weight in loaded.network.weights.items()}
    weights["decoder.bias"][loaded.network.end_id] += 4
    return replace(loaded, network=replace(loaded.network, weights=weights))


def most_probable(loaded: Checkpoint, beginning: bytes, length: int, label: bytes = b"") -> bytes:
    """The beginning of an item, continued by the most probable characters, through several items.

    `label`: with its tab; each further item begins with it.
    """
    predictor, characters = NumpyPredictor(loaded.network), characters_by_id(loaded.vocab)
    text, end = beginning, ENDS[kind_of(loaded.vocab, loaded.opt)]
    for byte in end + beginning:
        log_probs = predictor.step(loaded.vocab[bytes([byte])] - 1)
    for _ in range(length):
        drawn = characters[log_probs.argmax()]
        for character in [drawn, *([bytes([byte]) for byte in label] if drawn == end else [])]:
            text += character
            log_probs = predictor.step(loaded.vocab[character] - 1)
    assert text.count(end) > 2
    return text
