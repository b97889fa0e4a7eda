"""Beam search for the most probable text, the `-beam` of `sample`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.vocabulary import characters_by_id, ids_of
from pycharrnn.common import memory
from pycharrnn.common.errors import flag
from pycharrnn.sampling.distribution import nan_error
from pycharrnn.sampling.primetext import primetext_characters
from pycharrnn.sampling.sampled_text import sampled_text
from pycharrnn.sampling.sampler import SampledCharacter
from pycharrnn.sampling.stop_text import StopText, require_possible_stop

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import numpy.typing as npt

    from compat.graph_match import Network
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor

_CHECK_EVERY = 16  # timesteps between searches for characters that all beams share
_FORCE_AFTER = 256  # timesteps without agreement, after which the best beam decides


class _Timestep(NamedTuple):
    """One timestep of W beams."""

    parents: npt.NDArray[np.int64]  # (W,), the beam of the previous timestep that each beam extends
    token_ids: npt.NDArray[np.int64]  # (W,), the character that each beam appends
    log_probs: npt.NDArray[np.float64]  # (W, V), of the model after each beam of the previous timestep


def check_memory(network: Network, beams: int) -> None:
    """Errors: UserError for more beams than fit into memory."""
    history = _CHECK_EVERY * network.vocab_size
    gates_and_states = 6 * network.num_layers * network.rnn_size
    memory.check(8 * beams * (history + gates_and_states), f"{flag('beam', beams)}")


@sampled_text
def search(
    predictor: Predictor,
    vocab: dict[bytes, int],
    opt: SampleOptions,
    primetext: bytes,
    copies: CopyLimits | None = None,
) -> Generator[SampledCharacter, None, bool]:
    """The characters of `primetext`, then those of the most probable text that `opt.beam` beams find.

    Each timestep keeps the W most probable texts, the beams. A character is returned once all beams agree on it, or
    after 256 timesteps without agreement, so that memory does not grow with `opt.length`. What `copies` forbids has
    probability 0; the other probabilities are the model's.

    Errors: UserError for a character of primetext that the vocabulary lacks, or a model that predicts NaN.
    """
    W, V, characters, stop = opt.beam, len(vocab), characters_by_id(vocab), StopText(opt.stop)
    require_possible_stop(opt, vocab)
    log_probs = np.full((W, V), -np.log(V))
    prime = primetext_characters(primetext, vocab)
    prime_ids = ids_of(prime, vocab)
    for character, token_id in zip(prime, prime_ids, strict=True):
        yield SampledCharacter(character, token_id, np.exp(log_probs[0]), True)
        log_probs = predictor.read(np.full((1, W), token_id))[0]
    totals = np.full(W, -np.inf)
    totals[0] = 0  # all beams are the same text so far: start with one
    limits = [copies.limit(prime_ids) for _ in range(W)] if copies else []
    history: list[_Timestep] = []
    found = 0
    while found < opt.length or not opt.length:
        if np.isnan(log_probs).any():
            raise nan_error(1)
        for limit, of_beam in zip(limits, log_probs, strict=False):
            limit.forbid(of_beam)
        candidates = (totals[:, None] + log_probs).reshape(-1)
        best = np.argsort(-candidates, kind="stable")[:W]
        if copies and candidates[best[0]] == -np.inf:  # no beam can go on
            yield from _characters(history, len(history), characters, stop)
            return True
        totals = candidates[best] - candidates[best[0]]  # only differences count
        parents, token_ids = np.divmod(best, V)
        history.append(_Timestep(parents, token_ids, log_probs))
        limits = [limits[parent].copy() for parent in parents.tolist()] if copies else []
        for limit, token_id in zip(limits, token_ids[:, None], strict=False):
            limit.append(token_id)
        found += 1
        decided = _count_decided(history, totals) if found % _CHECK_EVERY == 0 else 0
        decided = len(history) if found == opt.length else decided
        yield from _characters(history, decided, characters, stop)
        if stop.is_complete:
            return False
        del history[:decided]
        if found != opt.length:
            predictor.select_streams(parents)
            log_probs = predictor.read(token_ids[None])[0]
    return False


def _characters(
    history: list[_Timestep], count: int, characters: list[bytes], stop: StopText
) -> Iterator[SampledCharacter]:
    """The first characters of the most probable beam, `count` of them or up to `stop`."""
    for step, (beam, parent) in zip(history[:count], _best_path(history) if count else (), strict=False):
        token_id = int(step.token_ids[beam])
        yield SampledCharacter(characters[token_id], token_id, np.exp(step.log_probs[parent]), False)
        if stop.completed_by(characters[token_id]):
            return


def _best_path(history: list[_Timestep]) -> list[tuple[int, int]]:
    """(beam, its parent) at each timestep of the text that is beam 0, the most probable, at the last one."""
    path, beam = [], 0
    for step in reversed(history):
        parent = int(step.parents[beam])
        path.append((beam, parent))
        beam = parent
    return path[::-1]


def _count_decided(history: list[_Timestep], totals: npt.NDArray[np.float64]) -> int:
    """The number of leading timesteps of `history` on which all beams agree.

    After _FORCE_AFTER timesteps without agreement, beam 0 decides half of them. The beams that disagree end: their
    log-probabilities in `totals`, (W,), become -inf.
    """
    beams = np.arange(len(totals))
    ancestors = [beams]  # of the beams of the last timestep, at each timestep from the last one backwards
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
