"""Beam search: a likely text instead of a drawn one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.vocabulary import characters_by_id
from pycharrnn.common import memory
from pycharrnn.common.errors import flag
from pycharrnn.sampling.distribution import nan_error
from pycharrnn.sampling.sampler import SampledCharacter
from pycharrnn.sampling.stream import StopText
from pycharrnn.sampling.tokenizer import primetext_characters

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from compat.graph_match import Network
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor

_CHECK_EVERY = 16  # timesteps after which to look again for characters that all beams share
_FORCE_AFTER = 256  # timesteps without agreement after which the likeliest beam decides


class _Timestep(NamedTuple):
    """What happened at one timestep of the search to its W beams.

    Attributes:
        parents: which beam of the timestep before each beam goes on from, (W,).
        indices: the character that each beam took, from 0, (W,).
        log_probs: the model's log-probabilities after each beam of the timestep before, (W, V).
    """

    parents: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    log_probs: npt.NDArray[np.float64]


def check_memory(network: Network, beams: int) -> None:
    """Errors: UserError for more beams than memory holds."""
    history = _CHECK_EVERY * network.vocab_size
    gates_and_states = 6 * network.num_layers * network.rnn_size
    memory.check(8 * beams * (history + gates_and_states), f"{flag('beam', beams)}")


def search(
    predictor: Predictor, vocab: dict[bytes, int], opt: SampleOptions, primetext: bytes
) -> Iterator[SampledCharacter]:
    """The characters of `primetext`, then those of the likeliest text that `opt.beam` beams find.

    At each timestep, the W texts of the highest probability (the beams) are kept. A character comes out once all beams
    agree on it, or if they have not agreed after 256 timesteps, so that memory stays small whatever `opt.length` is.

    Args:
        predictor: with `opt.beam` streams, one step at a time.
        vocab: character (one byte, or several) -> number from 1.

    Errors: UserError for a character of primetext that the vocabulary lacks, or a model that predicts NaN.
    """
    W, V, characters, stop = opt.beam, len(vocab), characters_by_id(vocab), StopText(opt.stop)
    log_probs = np.full((W, V), -np.log(V))
    for character in primetext_characters(primetext, vocab):
        index = vocab[character] - 1
        yield SampledCharacter(character, index, np.exp(log_probs[0]), True)
        log_probs = predictor.read(np.full((1, W), index))[0]
    totals = np.full(W, -np.inf)
    totals[0] = 0  # all beams are the same text so far, of which one is enough
    history: list[_Timestep] = []
    found = 0
    while found < opt.length or not opt.length:
        if np.isnan(log_probs).any():
            raise nan_error(1)
        candidates = (totals[:, None] + log_probs).reshape(-1)
        best = np.argsort(-candidates, kind="stable")[:W]
        totals = candidates[best] - candidates[best[0]]  # only differences count
        parents, indices = np.divmod(best, V)
        history.append(_Timestep(parents, indices, log_probs))
        found += 1
        decided = _count_decided(history, totals) if found % _CHECK_EVERY == 0 else 0
        decided = len(history) if found == opt.length else decided
        for step, (beam, parent) in zip(history[:decided], _likeliest_path(history) if decided else (), strict=False):
            index = int(step.indices[beam])
            yield SampledCharacter(characters[index], index, np.exp(step.log_probs[parent]), False)
            if stop.completed_by(characters[index]):
                return
        del history[:decided]
        if found != opt.length:
            predictor.select_streams(parents)
            log_probs = predictor.read(indices[None])[0]


def _likeliest_path(history: list[_Timestep]) -> list[tuple[int, int]]:
    """(beam, its parent) at each timestep of the text that is the likeliest at the end, which is beam 0 there."""
    path, beam = [], 0
    for step in reversed(history):
        parent = int(step.parents[beam])
        path.append((beam, parent))
        beam = parent
    return path[::-1]


def _count_decided(history: list[_Timestep], totals: npt.NDArray[np.float64]) -> int:
    """How many of the first timesteps of `history` are decided.

    Where the beams have not agreed on anything for too long, the likeliest beam decides half of them, and the beams
    that disagree with it are ended.

    Args:
        totals: log-probability of each beam, (W,); -inf is written for a beam that is ended.
    """
    beams = np.arange(len(totals))
    ancestors = [beams]  # the beam from which each beam of the last timestep comes, from the last timestep backwards
    for step in reversed(history[1:]):
        ancestors.append(step.parents[ancestors[-1]])
    alive = totals > -np.inf
    for steps_back, ancestor in enumerate(ancestors):
        if (ancestor[alive] == ancestor[0]).all():
            return len(history) - steps_back
    if len(history) < _FORCE_AFTER:
        return 0
    half = len(history) // 2
    ancestor = ancestors[len(history) - half]
    totals[ancestor != ancestor[0]] = -np.inf
    return half
