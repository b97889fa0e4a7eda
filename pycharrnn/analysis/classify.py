"""The label of an item by Bayes' rule, for `which`.

The probability of a label, given an item, is proportional to the probability of the item after that label, under a
model with labels, times the prior probability of the label.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.vocabulary import ids_of
from pycharrnn.analysis import likelihood, scoring, surprise
from pycharrnn.checkpoints.inspection import for_json
from pycharrnn.common.display import escape_separators
from pycharrnn.sampling import model_labels
from pycharrnn.sampling.code_points import unknown_code_points
from pycharrnn.sampling.kernel_predictor import KernelPredictor

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.kernel_predictor import State
    from pycharrnn.sampling.predictor import Predictor

    TokenIds = npt.NDArray[np.int64]

_PAIRS = 1 << 15  # of an item and a label, in memory at a time
_STREAMS = 4  # of a thread, times the rows that the kernel takes at once


class Classified(NamedTuple):
    """An item, and the labels with their probabilities, the most probable first.

    `unknown`: the UTF-8 characters with bytes that the model has never seen, which were left out.
    """

    text: bytes
    labels: list[tuple[bytes, float]]
    unknown: Counter[bytes]


class Classifier:
    """Finds the labels of items.

    Args:
        path: of the checkpoint `loaded`, for messages. prior: "equal", or "counts", in proportion to the items of
            training.
        predictor_of: streams and steps -> a predictor with hidden states of zeros.

    Errors: UserError for a model without labels.
    """

    def __init__(
        self,
        path: str,
        loaded: Checkpoint,
        predictor_of: Callable[[int, int], Predictor],
        prior: str = "equal",
        threads: int = 1,
    ) -> None:
        counts = model_labels.counts(path, loaded)
        self.labels = list(counts)
        self._loaded, self._threads = loaded, threads
        weights = np.array(list(counts.values()), np.float64) if prior == "counts" else np.ones(len(counts))
        self._log_prior = np.log(weights / weights.sum())
        end = loaded.network.end_id
        assert end is not None  # since it has labels
        ids = [ids_of(model_labels.beginning(loaded.vocab, label), loaded.vocab) for label in self.labels]
        self._begin = [np.array([end, *of_label], np.int64) for of_label in ids]
        self._end = np.array([end], np.int64)
        self._predictor_of = predictor_of
        predictor = predictor_of(1, 1)
        self._kernel = predictor if isinstance(predictor, KernelPredictor) else None
        self._states = [_state(self._kernel, begin[:-1]) for begin in self._begin] if self._kernel else []

    def classify(self, items: Iterable[bytes]) -> Iterator[Classified]:
        """The labels of items, in their order."""
        items = iter(items)
        while block := list(itertools.islice(items, max(1, _PAIRS // len(self.labels)))):
            encoded = [scoring.encode(self._loaded, item) for item in block]
            found = self._log_likelihoods([text.token_ids[text.known] for text in encoded]) + self._log_prior
            found = np.exp(found - found.max(1, keepdims=True))
            for text, item, probs in zip(encoded, block, found / found.sum(1, keepdims=True), strict=True):
                order = np.argsort(-probs, kind="stable").tolist()
                unknown = unknown_code_points(text.characters, text.known)
                yield Classified(item, [(self.labels[k], float(probs[k])) for k in order], unknown)

    def _log_likelihoods(self, items: Sequence[TokenIds]) -> npt.NDArray[np.float64]:
        """The log-probability of each item and its end after each label, in nats, (items, labels)."""
        found = np.empty((len(items), len(self.labels)))
        order = sorted(range(len(items)), key=lambda k: len(items[k]))  # streams that end together take few calls
        pairs = [(k, label) for k in order for label in range(len(self.labels))]
        for (k, label), bits in zip(pairs, self._bits(items, pairs), strict=True):
            found[k, label] = -math.log(2) * math.fsum(bits.tolist())
        return found

    def _bits(self, items: Sequence[TokenIds], pairs: Sequence[tuple[int, int]]) -> Iterator[npt.NDArray[np.float64]]:
        """For each pair of an item and a label, the bits of the characters of the item and of its end."""
        if self._kernel is None:
            steps = likelihood.steps_at_once(self._loaded.network)
            for k, label in pairs:
                text = np.concatenate([self._begin[label], items[k], self._end])
                yield surprise.bits(self._predictor_of(1, steps), steps, text)[len(self._begin[label]) :]
            return
        # Every label ends with the same character, a tab.
        tab = self._begin[0][-1:]
        texts = (np.concatenate([tab, items[k], self._end]) for k, _ in pairs)
        states = (self._states[label] for _, label in pairs)
        streams = self._kernel.fresh(streams=min(len(pairs), self._threads * self._kernel.rows_per_step * _STREAMS))
        for bits in surprise.bits_of_texts(streams, texts, self._threads, states):
            yield bits[1:]


def _state(predictor: KernelPredictor, token_ids: TokenIds) -> State:
    """The hidden state after reading these characters from zeros."""
    reading = predictor.fresh(steps=len(token_ids))
    reading.read(token_ids[:, None])
    return reading.states()[0]


def as_row(found: Classified, top: int) -> bytes:
    """The item, then `top` labels, each followed by its probability, with tabs between; in these, tabs are escaped."""
    cells = [escape_separators(found.text)]
    for label, prob in found.labels[:top]:
        cells += [escape_separators(label), b"%.6f" % prob]
    return b"\t".join(cells) + b"\n"


def as_json(found: Classified, top: int) -> bytes:
    """The same as a JSON object on a line; what is not UTF-8 is replaced in the item, and escaped in labels."""
    labels = {label.decode("utf-8", "backslashreplace"): prob for label, prob in found.labels[:top]}
    return os.fsencode(json.dumps({"item": found.text.decode("utf-8", "replace"), "labels": for_json(labels)}) + "\n")
