"""Samples texts for Model.generate and Model.stream."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

from compat import item_options
from compat.item_options import ITEM_KINDS
from pycharrnn.common import memory
from pycharrnn.common.errors import UserError, flag, in_words_of_a_program
from pycharrnn.library.characters import utf8
from pycharrnn.library.keywords import for_a_program, options_of
from pycharrnn.sampling import model_labels, sampler
from pycharrnn.sampling.options import SampleOptions, refuse_unused_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Unpack

    from compat.checkpoint_fields import Option
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.predictor import Predictor
    from pycharrnn.sampling.sampler import SampledCharacter

    Character = tuple[bytes, float, bool]  # of the vocabulary; its probability; whether it was given

SEEDS = 2**31  # as many as there are to choose from where none is given
_MAX_STREAMS = 64  # sampled side by side: more are not faster
_CHARACTER_BYTES = 128  # of memory, at least, for one of sample_batch


class Prime(NamedTuple):
    """Characters of the vocabulary to read before a text is sampled; the first `hidden` of them are not returned."""

    characters: list[bytes]
    hidden: int


class SampleKeywords(TypedDict, total=False):
    """The keyword arguments of Model.generate and Model.stream except as_bytes."""

    length: int | None
    temperature: float | tuple[float, float] | str
    seed: int | None
    topk: int
    topp: float
    stop: str | bytes
    sample: int
    hide_prime: bool
    ignore_bad_primetext: bool
    max_copy: int
    text: str | os.PathLike[str] | None
    text_encoding: str


def options_for(caller: str, /, **values: Unpack[SampleKeywords]) -> SampleOptions:
    """The options of `pycharrnn sample` for these arguments of `caller`; a seed of None becomes a random one.

    Errors: see keywords.options_of; UserError for a text without max_copy.
    """
    found = with_none_resolved(values)
    if found.get("length", 0) is None:
        found["length"] = 0
    # A str of which the sampler makes the same bytes, in any locale.
    found["stop"] = os.fsdecode(utf8(found.get("stop", SampleOptions.stop), "stop"))
    # For hints on misspelled names; the first two are arguments of `caller`, not options.
    names = ["primetext", "as_bytes", *SampleKeywords.__annotations__]
    opt = options_of(SampleOptions, found, caller, names)
    with in_words_of_a_program():
        refuse_unused_text(opt)
    return opt


def with_none_resolved(values: Mapping[str, object]) -> dict[str, object]:
    """Arguments with a random seed in place of None, and without a `text` of None."""
    found = {name: value for name, value in values.items() if value is not None or name != "text"}
    if found.get("seed") is None:
        found["seed"] = random.SystemRandom().randrange(SEEDS)
    return found


def of_one_item(
    model: str, vocab: dict[bytes, int], recorded: Mapping[str, Option], opt: SampleOptions, primes: Iterable[Prime]
) -> SampleOptions:
    """The options of texts of a model, which end with their item if it has labels: after it another label would follow.

    `model`: its name. `recorded`: its training options. Errors: UserError, for a model with labels, for a prompt whose
    last item has none, or another stop.
    """
    known = item_options.labels(vocab, recorded)
    if not known:
        return opt
    label = min(known).decode("utf-8", "surrogateescape")
    instead = f"draw items by items(label={label!r}), or begin primetext with a label and a tab, {label + chr(9)!r}"
    end = ITEM_KINDS[item_options.kind(vocab, recorded)].end
    last_items = (b"".join(prime.characters).rpartition(end)[2] for prime in primes)
    model_labels.require_before(last_items, known, model, instead)
    if os.fsencode(opt.stop) not in (b"", end):
        raise UserError(
            f"a text of {model}, a model with labels, ends with its item, not at {opt.stop!r}: leave stop out, and cut"
            " the text."
        )
    return dataclasses.replace(opt, stop=os.fsdecode(end))


def sample_text(
    predictor: Predictor, vocab: dict[bytes, int], opt: SampleOptions, prime: Prime, copies: CopyLimits | None
) -> Iterator[SampledCharacter]:
    """Sample one text after `prime` with a predictor of one stream. Errors: UserError if the model predicts NaN."""
    hidden = len(prime.characters) if opt.hide_prime else prime.hidden
    sampled = sampler.sample(predictor, vocab, opt, b"".join(prime.characters), copies=copies)
    return itertools.islice(for_a_program(iter(sampled)), hidden, None)


def sample_batch(
    predictor_of: Callable[[int], Predictor],
    vocab: dict[bytes, int],
    opt: SampleOptions,
    primes: Sequence[Prime],
    copies: CopyLimits | None,
) -> tuple[list[list[Character]], list[bool]]:
    """Sample a text for each prompt, as `sample_text` does with the seeds opt.seed, opt.seed + 1, ...

    Returns: the texts, and whether each ended early, since `copies` left no character.
    Errors: UserError if the model predicts NaN, or if the texts would not end or not fit into memory.
    """
    if not (opt.length or opt.stop):
        raise UserError("a length of 0 or None sets no end: give a length or a stop, or use stream.")
    if not opt.stop:
        with in_words_of_a_program():
            memory.check(_CHARACTER_BYTES * opt.length * len(primes), flag("length", opt.length))
    texts: list[list[Character]] = [[] for _ in primes]
    ended_early = [False for _ in primes]
    for start in range(0, len(primes), _MAX_STREAMS):
        batch = [prime.characters for prime in primes[start : start + _MAX_STREAMS]]
        seeds = range(opt.seed + start, opt.seed + start + len(batch))
        with in_words_of_a_program(), np.errstate(all="ignore"):
            for chunk in sampler.sample_streams(predictor_of(len(batch)), batch, vocab, opt, seeds, copies=copies):
                k = start + chunk.stream
                probs = chunk.token_probs.tolist()
                texts[k] += zip(chunk.characters, probs, itertools.repeat(chunk.given))
                ended_early[k] = chunk.ended_early
    hidden = [len(prime.characters) if opt.hide_prime else prime.hidden for prime in primes]
    return [text[count:] for text, count in zip(texts, hidden, strict=True)], ended_early
