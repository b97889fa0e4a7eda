"""Beam search: a likely text instead of a drawn one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compat.graph_match import Network
from pycharrnn.common import memory
from pycharrnn.sampling.inference import Predictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.sampler import Drawn, Ending, in_order, no_numbers, tokens

_LOOK_EVERY = 16  # timesteps between looks at what all beams agree on
_UNDECIDED = 256  # timesteps after which the likeliest beam decides


def check_memory(network: Network, beams: int) -> None:
    """Errors: UserError for more beams than memory holds."""
    per_beam = _LOOK_EVERY * network.vocab_size + 6 * network.num_layers * network.rnn_size  # history; gates and states
    memory.check(8 * beams * per_beam, f"-beam {beams:.10g}")


def search(predictor: Predictor, vocab: dict[bytes, int], opt: SampleOptions, primetext: bytes) -> Iterator[Drawn]:
    """The characters of `primetext`, then those of the likeliest text that `opt.beam` beams find.

    Keeps, at each timestep, the W texts of the highest probability. A character comes out once all of them agree on it,
    or when they haven't after 256 timesteps, so that memory stays small whatever `opt.length`.

    Args:
        predictor: with `opt.beam` streams, one step at a time.

    Errors: UserError for a character of primetext that the vocabulary lacks, or a model that predicts NaN.
    """
    W, V, characters, ending = opt.beam, len(vocab), in_order(vocab), Ending(opt.stop)
    log_probs = np.full((W, V), -np.log(V))
    for character in tokens(primetext, vocab):
        index = vocab[character] - 1
        yield Drawn(character, index, np.exp(log_probs[0]), True)
        log_probs = predictor.read(np.full((1, W), index))[0]
    totals = np.full(W, -np.inf)
    totals[0] = 0  # the beams are one and the same so far
    history: list[tuple[np.ndarray, ...]] = []  # of timesteps: parents (W,), indices (W,), log_probs (W, V)
    found = 0
    while found < opt.length or not opt.length:
        if np.isnan(log_probs).any():
            raise no_numbers(1)
        candidates = (totals[:, None] + log_probs).reshape(-1)
        best = np.argsort(-candidates, kind="stable")[:W]
        totals = candidates[best] - candidates[best[0]]  # only differences count
        parents, indices = np.divmod(best, V)
        history.append((parents, indices, log_probs))
        found += 1
        decided = _decided(history, totals) if found % _LOOK_EVERY == 0 else 0
        decided = len(history) if found == opt.length else decided
        for t, (slot, parent) in enumerate(_path(history)[:decided] if decided else ()):
            index = int(history[t][1][slot])
            yield Drawn(characters[index], index, np.exp(history[t][2][parent]), False)
            if ending.reached(characters[index]):
                return
        del history[:decided]
        if found != opt.length:
            predictor.choose(parents)
            log_probs = predictor.read(indices[None])[0]


def _path(history) -> list[tuple[int, int]]:
    """(slot, slot at the timestep before) of the likeliest beam, which is slot 0 at the end."""
    path, slot = [], 0
    for parents, _, _ in reversed(history):
        path.append((slot, int(parents[slot])))
        slot = path[-1][1]
    return path[::-1]


def _decided(history, totals: np.ndarray) -> int:
    """How many of the first timesteps of `history` are settled; may end beams, in `totals`, to settle some."""
    slots = np.arange(len(totals))
    ancestors = [slots]  # of each beam, from the last timestep back
    for parents, _, _ in reversed(history[1:]):
        ancestors.append(parents[ancestors[-1]])
    alive = totals > -np.inf
    for back, at in enumerate(ancestors):
        if (at[alive] == at[0]).all():
            return len(history) - back
    if len(history) < _UNDECIDED:
        return 0
    half = len(history) // 2
    at = ancestors[len(history) - half]
    totals[at != at[0]] = -np.inf
    return half
