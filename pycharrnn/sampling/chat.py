"""A conversation with a model, for `chat`: the hidden state carries over from line to line."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.checkpoints import derived_checkpoints
from pycharrnn.engine import adapt
from pycharrnn.sampling import inference, primetext, sampler
from pycharrnn.sampling.stop_text import StopText

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.options import ChatOptions
    from pycharrnn.sampling.predictor import Predictor

# Of the learning rate, for answers. A sample below temperature 1 is more predictable than the model, and a model that
# learns from it sharpens its own distribution: at the full rate, six answers at temperature 0.6 make it repeat itself.
ANSWER_SHARE = 0.01


class Chat:
    """Answers lines, each in the context of all lines and answers before it. The predictor has one stream and step.

    Args:
        copies: the limits of copying from the training text, where a passage goes on from line to line; None for no
            limit.
        start: what the model reads before the first line, as primetext.item_start.

    Attributes:
        is_empty: whether the last answer was only the newline with which an answer ends without -stop.
        ended_early: whether the last answer ended because -max_copy left no character.
    """

    is_empty = ended_early = False

    def __init__(
        self,
        predictor: Predictor,
        vocab: dict[bytes, int],
        opt: ChatOptions,
        copies: CopyLimits | None = None,
        start: bytes = b"",
    ) -> None:
        self._predictor, self._vocab, self._opt = predictor, vocab, opt.sampling()
        self._has_default_stop, self._is_line = not opt.stop, opt.stop in ("", "\n")
        if not opt.stop and not StopText(self._opt.stop).can_occur(list(vocab)):
            self._opt = dataclasses.replace(self._opt, stop="")  # a model without newlines
        self._unread = start  # later the last character of an answer: sampled, but not read yet
        self._copies = copies

    @property
    def seed(self) -> int:
        """Of the next answer."""
        return self._opt.seed

    def without_unknown(self, line: bytes) -> tuple[bytes, str]:
        """As primetext.without_unknown, but without a message about a CR or LF at the end that the vocabulary lacks."""
        if line.endswith(b"\r\n") and b"\r" not in self._vocab:
            line = line[:-2] + b"\n"
        if b"\n" not in self._vocab:
            line = line.removesuffix(b"\n")
        return primetext.without_unknown(line, self._vocab)

    def answer(self, line: bytes) -> Iterator[sampler.SampledCharacter]:
        """Read `line`, then sample an answer that ends with the text of -stop or after -length characters.

        The newline that ends an answer of one line, as without -stop, is not yielded.

        Errors: UserError for a character of `line` that the vocabulary lacks, or a model that predicts NaN.
        """
        copies, ids, num_sampled = self._copies, list[int](), 0
        self.ended_early = False  # also if the answer is interrupted
        sampled = sampler.sample(self._predictor, self._vocab, self._opt, self._unread + line, copies=copies)
        for one in sampled:
            ids.append(one.token_id)
            if not one.given:
                self._unread = one.character
                num_sampled += 1
                if not (self._is_line and one.character == b"\n"):
                    yield one
        self.ended_early = sampled.ended_early
        if self.ended_early:  # the last character has been read
            self._unread = b""
        if copies:
            before = [*copies.before, *ids[: len(ids) - bool(self._unread)]]
            self._copies = dataclasses.replace(copies, before=tuple(before[-copies.passages.rules.N :]))
        self.is_empty = self._has_default_stop and num_sampled == 1 and self._unread == b"\n"
        self._opt = dataclasses.replace(self._opt, seed=self._opt.seed + 1)
        self._learn(ids[: len(ids) - num_sampled], ids[len(ids) - num_sampled :])

    def _learn(self, line: list[int], answer: list[int]) -> None:
        """Learn from a line, which begins with the last character before it, and from its answer."""


class LearningChat(Chat):
    """A chat whose model learns from each line and answer, once it has answered; far less from the answer.

    A line begins a segment, see adapt.py, and so does its answer: no segment has characters of both.

    Attributes:
        has_learned: whether there has been a line.

    Errors: as adapt.learner.
    """

    def __init__(self, loaded: Checkpoint, opt: ChatOptions, copies: CopyLimits | None = None) -> None:
        self._local = inference.on_cpu(loaded.network)
        super().__init__(self._local, loaded.vocab, opt, copies, b"".join(primetext.item_start(loaded)))
        self._loaded, self._learner = loaded, adapt.learner(loaded.network, opt.adaptation, opt.threads or 1)
        self.has_learned = False
        self._last: list[int] = []  # the last character, if the next line does not begin with it

    def _learn(self, line: list[int], answer: list[int]) -> None:
        ids = np.array([*self._last, *line, *answer], np.int64)
        self.has_learned = True
        x, y, end = ids[:-1], ids[1:], max(len(ids) - len(answer) - 1, 0)
        self._learner.read(x[:end], y[:end])
        self._learner.read(x[end:], y[end:], ANSWER_SHARE)
        self._last = [] if self._unread else ids[-1:].tolist()
        self._local = self._local.with_network(self._learner.network())
        self._predictor = self._local

    def checkpoint(self) -> Checkpoint:
        """The model as it has become."""
        return derived_checkpoints.with_network(self._loaded, self._learner.network())
