"""Sampling text from a model: one stream, or several side by side, each the text that it would be alone.

Source: sample.lua.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.vocabulary import characters_by_id, ids_of
from pycharrnn.sampling.distribution import choose, nan_error, softmax
from pycharrnn.sampling.primetext import primetext_characters
from pycharrnn.sampling.sampled_text import sampled_text
from pycharrnn.sampling.stop_text import require_possible_stop
from pycharrnn.sampling.stream import Stream, sampling_params

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import numpy.typing as npt

    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor


class SampledCharacter(NamedTuple):
    """One character of a sample, and the distribution that it came from.

    Attributes:
        probs: of a sampled character after -temperature, -topk and -topp; of one of the primetext the model's own
            (temperature 1), uniform before the model has read anything.
    """

    character: bytes
    token_id: int
    probs: npt.NDArray[np.float64]  # (V,)
    given: bool  # True in the primetext, False if it was sampled

    @property
    def probability(self) -> float:
        """Of `character`."""
        return float(self.probs[self.token_id])

    def top_candidates(self, count: int) -> list[tuple[int, float]]:
        """(token id, probability) of the most probable characters at this place, in descending order."""
        token_ids = np.argsort(-self.probs, kind="stable")[:count]
        return list(zip(token_ids.tolist(), self.probs[token_ids].tolist(), strict=True))


class Chunk(NamedTuple):
    """N consecutive characters of one stream; see SampledCharacter.

    Attributes:
        ended_early: whether the stream ends after them because -max_copy left no character. N may then be 0.
    """

    stream: int
    characters: list[bytes]
    token_ids: npt.NDArray[np.int64]  # (N,)
    token_probs: npt.NDArray[np.float64]  # (N,), of these characters
    probs: npt.NDArray[np.float64] | None  # (N, V), of all characters, if requested
    given: bool
    ended_early: bool = False


@sampled_text
def sample(
    predictor: Predictor,
    vocab: dict[bytes, int],
    opt: SampleOptions,
    primetext: bytes,
    ahead: bool = True,
    copies: CopyLimits | None = None,
) -> Generator[SampledCharacter, None, bool]:
    """Sample one text: the characters of `primetext`, then sampled ones, up to `opt.length` (0: no end) or `opt.stop`.

    At the end the predictor has read all but the last character; also the last one if `copies` ended the text early.

    Args:
        predictor: with one stream and one step.
        ahead: whether the predictor may be some characters ahead of those returned, which is faster.
        copies: the limits of copying from the training text; None for no limit.

    Errors: UserError for a character of primetext that the vocabulary lacks, or a model that predicts NaN.
    """
    prime = primetext_characters(primetext, vocab)
    ended_early = False
    for chunk in sample_streams(predictor, [prime], vocab, opt, [opt.seed], ahead, with_probs=True, copies=copies):
        assert chunk.probs is not None
        for character, token_id, probs in zip(chunk.characters, chunk.token_ids.tolist(), chunk.probs, strict=True):
            yield SampledCharacter(character, token_id, probs, chunk.given)
        ended_early = chunk.ended_early
    return ended_early


def sample_streams(
    predictor: Predictor,
    primes: Sequence[list[bytes]],
    vocab: dict[bytes, int],
    opt: SampleOptions,
    seeds: Sequence[int],
    ahead: bool = True,
    with_probs: bool = False,
    copies: CopyLimits | None = None,
    own: int | None = None,
) -> Iterator[Chunk]:
    """Sample one text for each seed, side by side. Each equals that of `sample` with its seed and primetext.

    Args:
        predictor: with a stream for each seed, and one step.
        primes: the primetext of each, as characters of vocab.
        copies: the limits of copying from the training text; None for no limit.
        own: how many of the last characters of a primetext are the text's, for `copies`; None for all.

    Errors: UserError for a model that predicts NaN.
    """
    batch = _Batch(predictor, primes, vocab, opt, seeds, copies, own)
    for _ in range(max(map(len, primes))):
        yield from batch.read_primes()
    # One step first, so that it comes soon, then more and more at a time.
    steps, most = 1, predictor.steps_per_call if ahead else 1
    while batch.live:
        yield from batch.sample(steps, with_probs)
        steps = min(2 * steps, most)


class _Batch:
    """The streams of sample_streams. `live`: the indices of those that have not ended."""

    def __init__(
        self,
        predictor: Predictor,
        primes: Sequence[list[bytes]],
        vocab: dict[bytes, int],
        opt: SampleOptions,
        seeds: Sequence[int],
        copies: CopyLimits | None,
        own: int | None,
    ) -> None:
        B, V = len(seeds), len(vocab)
        self.live = list(range(B))
        self._predictor = predictor
        self._characters = characters_by_id(vocab)
        require_possible_stop(opt, vocab)
        self._prime_ids = [ids_of(prime, vocab) for prime in primes]
        self._streams = [Stream(opt, seed, V) for seed in seeds]
        if copies:
            for stream, ids in zip(self._streams, self._prime_ids, strict=True):
                stream.limit = copies.limit(ids if own is None else ids[len(ids) - own :])
        self._pause_after = self._streams[0].pause_after(self._characters)
        self._num_read = 0  # steps
        self._last_ids = np.zeros(B, np.int64)  # of each stream, not read yet
        # Before a model has read anything, sample.lua has 1/V in the place of each log-probability.
        self._log_probs: npt.NDArray[np.float64] | None = np.full((B, V), 1 / V)

    def read_primes(self) -> list[Chunk]:
        """Take the next character of each primetext; streams whose primetext has ended sample one meanwhile."""
        log_probs = self._predictor.read(self._last_ids[None])[0] if self._log_probs is None else self._log_probs
        self._log_probs, step = None, self._num_read
        self._num_read += 1
        given = [b for b in self.live if step < len(self._prime_ids[b])]
        free = [b for b in self.live if step >= len(self._prime_ids[b])]
        ids = np.array([[self._prime_ids[b][step] for b in given]])
        probs = softmax(log_probs[given], 1)
        chunks = self._record(given, ids, probs[np.arange(len(given)), ids], probs[None], True)
        if free:
            params = sampling_params([self._streams[b] for b in free], 1)
            try:
                ids, probs = choose(log_probs[free], params)
            except ValueError:
                raise nan_error(params.temperatures) from None
            chunks += self._record(free, ids[None], probs[np.arange(len(free)), ids][None], probs[None], False)
        return chunks

    def sample(self, steps: int, with_probs: bool) -> Iterator[Chunk]:
        """Sample the next characters of all streams: `steps` of each, fewer where one of them ends."""
        streams = [self._streams[b] for b in self.live]
        params = sampling_params(streams, min(steps, *(stream.left for stream in streams)), self._pause_after)
        last_ids, log_probs, self._log_probs = self._last_ids[self.live], self._log_probs, None
        output = self._predictor.sample(self.live, last_ids, log_probs, params, with_probs)
        N = len(output.token_ids)
        if N:
            yield from self._record(self.live, output.token_ids, output.token_probs, output.probs, False)
        if output.failed:
            raise nan_error(params.temperatures[N])

    def _record(
        self,
        streams: list[int],
        token_ids: npt.NDArray[np.int64],
        token_probs: npt.NDArray[np.float64],
        probs: npt.NDArray[np.float64] | None,
        given: bool,
    ) -> list[Chunk]:
        """Append N characters to M streams: token_ids, token_probs (N, M), probs (N, M, V)."""
        self._last_ids[streams] = np.maximum(token_ids[-1], 0)
        chunks = []
        for m, b in enumerate(streams):
            is_early = bool(token_ids[-1, m] < 0)  # the end: no character was left
            ids = token_ids[: len(token_ids) - is_early, m]
            characters = [self._characters[token_id] for token_id in ids.tolist()]
            of_all = None if probs is None else probs[: len(ids), m]
            if characters or is_early:
                chunks.append(Chunk(b, characters, ids, token_probs[: len(ids), m], of_all, given, is_early))
            if not given:
                self._streams[b].advance(len(characters), b"".join(characters))
            if is_early:
                self._streams[b].end_early()
        self.live = [b for b in self.live if self._streams[b].left]
        return chunks
