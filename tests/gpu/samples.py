"""Texts and scores of a model on the GPU beside the CPU's, which are char-rnn's."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import torch
from click.testing import CliRunner

import pycharrnn
from pycharrnn.cli.commands import cli
from tests.gpu import runs
from tests.gpu.checking import Check, Finding
from tests.gpu.place import Place

_ITERATIONS = 150
_TEXTS, _LENGTH = 20, 100
_SAME = "The likeliest character is the same unless two are as likely up to rounding, which no two of this model are."
_DRAWN = (
    "A drawn character differs where the random number falls into what rounding moved, about 2^-22 for each of the"
    f" vocabulary's characters: once in some 20,000 drawn, and then the rest of that text. Two texts of {_TEXTS}."
)
_SCORED = (
    "A log-probability sums H = 64 products in each of two layers, rounded to 2^-24, over what came before: 2^-16."
)


def checks(place: Place) -> list[Check]:
    share = "share of characters that are not the CPU's"
    return [
        Check("-sample 0", share, lambda: _texts(place, 1, 5 * _LENGTH, 0.0, _SAME, sample=0)),
        Check("-temperature 0.01", share, lambda: _texts(place, 1, 5 * _LENGTH, 0.0, _SAME, temperature=0.01)),
        Check("-temperature 1, one by one", share, lambda: _one_by_one(place)),
        Check(f"{_TEXTS} texts side by side", share, lambda: _texts(place, _TEXTS, _LENGTH, 2 / _TEXTS, _DRAWN)),
        Check("pycharrnn sample -gpuid 0 -sample 0", share, lambda: _command(place, "-sample", "0")),
        Check("pycharrnn sample -gpuid 0 -beam 3", share, lambda: _command(place, "-beam", "3")),
        Check("score", "bits per character from the CPU's", lambda: _score(place)),
        Check(
            "module", "log-probabilities of a batch, nats from the CPU's in double precision", lambda: _module(place)
        ),
    ]


@functools.cache
def _checkpoint(place: Place) -> str:
    """The path of a model that was trained there; its folder lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="pycharrnn-gpu-"))
    (folder / "input.txt").write_bytes(runs.TEXT.read_bytes())
    runs.on_place(folder, _ITERATIONS, place, model="lstm", exact=0, learning_rate=0.01)
    (path,) = folder.glob("lm_*epoch*.t7")
    return str(path)


def _models(place: Place) -> tuple[pycharrnn.Model, pycharrnn.Model]:
    """The model there, and on the CPU."""
    path = _checkpoint(place)
    return pycharrnn.load(path, device=place.device), pycharrnn.load(path)


def _differing(ours: list[bytes], theirs: list[bytes]) -> float:
    """The share of characters that differ."""
    pairs = [pair for a, b in zip(ours, theirs, strict=True) for pair in zip(a, b, strict=True)]
    return sum(a != b for a, b in pairs) / len(pairs)


def _texts(place: Place, count: int, length: int, bound: float, because: str, **options) -> Finding:
    beginnings = [word + b" " for word in runs.TEXT.read_bytes().split()[:count]]
    with place.computing():
        ours, theirs = (m.generate(beginnings, length=length, seed=1, as_bytes=True, **options) for m in _models(place))
    return Finding(_differing(ours, theirs), bound, because, f"{count * length} characters")


def _one_by_one(place: Place) -> Finding:
    with place.computing():
        ours, theirs = (
            [model.generate("The ", length=_LENGTH, seed=seed, as_bytes=True) for seed in range(1, _TEXTS + 1)]
            for model in _models(place)
        )
    return Finding(_differing(ours, theirs), 2 / _TEXTS, _DRAWN, f"{_TEXTS * _LENGTH} characters")


def _command(place: Place, *args: str) -> Finding:
    with place.computing():
        path = _checkpoint(place)
        ours, theirs = (
            CliRunner()
            .invoke(
                cli,
                ["sample", path, "-gpuid", gpuid, "-verbose", "0", "-length", "200", "-primetext", "The ", *args],
                catch_exceptions=False,
            )
            .stdout_bytes
            for gpuid in ("0", "-1")
        )
    if len(theirs) < 200:
        raise RuntimeError(f"the CPU printed {theirs!r}")
    return Finding(_differing([ours], [theirs]), 0.0, _SAME, f"{len(theirs)} bytes")


def _score(place: Place) -> Finding:
    text = runs.TEXT.read_bytes()[-3000:]
    with place.computing():
        ours, theirs = (model.score(text).bits_per_character for model in _models(place))
    return Finding(abs(ours - theirs), 2.0**-16, _SCORED, f"{theirs:.4f} bits on the CPU")


def _module(place: Place) -> Finding:
    x = torch.randint(40, (50, 20), generator=torch.Generator().manual_seed(1))
    with place.computing():
        path = _checkpoint(place)
        ours, _ = pycharrnn.load(path, device=place.device)(x)
        theirs, _ = pycharrnn.load(path, dtype=torch.float64)(x)
        figure = float((ours.detach().cpu().to(torch.float64) - theirs.detach()).abs().max())
    return Finding(figure, 2.0**-16, _SCORED)
