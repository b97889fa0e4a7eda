"""Times training steps of a network of some size on this machine, before a run: for -minutes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from compat.lua_random import LuaRandom
from pycharrnn.common.printing import print_nothing
from pycharrnn.engine import device, tf32
from pycharrnn.text.batches import Batches
from pycharrnn.training import new_model, threads, time_plan
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.initial_checkpoint import InitialCheckpoint
from pycharrnn.training.machine import Machine
from pycharrnn.training.pace import Clock, Stopwatch
from pycharrnn.training.settings import RunSettings
from pycharrnn.training.settle import settle, with_checkpoint, with_mixed_precision
from pycharrnn.training.text_defaults import RunRequest
from pycharrnn.training.time_plan import Timing
from pycharrnn.training.trainer import Trainer

if TYPE_CHECKING:
    from pycharrnn.text.encodings import TokenIds

_WARM_UP = 2  # steps
_WARM_UP_OF_GPU = 6  # which records its operations in the fifth one, see engine/cuda_graph.py
_LEAST_STEPS, _MOST_STEPS = 3, 1000
_LEAST_SECONDS, _MOST_SECONDS = 0.15, 1.0  # of a size, in between:
_PART = 0.001  # of the run's time


def timing(request: RunRequest, start: InitialCheckpoint | None, machine: Machine, watch: Stopwatch) -> Timing:
    """Time networks of rising size, up to the first that is too large for -minutes. Errors: UserError, as of settle."""
    given, text = request.given, request.text
    threads.set_num_threads(request.opt.threads)
    options = with_mixed_precision(with_checkpoint(request.opt, given, start), given, machine)
    request = dataclasses.replace(request, opt=options)
    steps: dict[int, float] = {}
    for rnn_size in time_plan.sizes(request):
        seconds = options.minutes * 60 - watch.seconds()
        candidate = time_plan.options_for(request, rnn_size, time_plan.ANY_TIME, seconds)
        settings = settle(candidate, given, start, text, machine)
        characters = {*text.characters(settings.data.encoding), *(start.checkpoint.vocab if start else ())}
        least = min(_MOST_SECONDS, max(_LEAST_SECONDS, _PART * options.minutes * 60))
        steps[rnn_size] = step_seconds(settings, max(len(characters), 1), watch.clock, least)
        seconds = options.minutes * 60 - watch.seconds()
        if not time_plan.is_worth(request, rnn_size, steps[rnn_size], seconds):
            break
    return Timing(watch.seconds(), steps)


def guess(request: RunRequest, start: InitialCheckpoint | None) -> Timing:
    """A timing without a measurement, to check options with."""
    request = dataclasses.replace(request, opt=with_checkpoint(request.opt, request.given, start))
    return Timing(0, {time_plan.sizes(request)[0]: time_plan.ANY_TIME})


def step_seconds(settings: RunSettings, vocab_size: int, clock: Clock, least: float) -> float:
    """The seconds of one iteration with these settings, on random characters: the mean over `least` seconds or more."""
    where = settings.machine.device
    device.make_current(where)
    tf32.allow(not settings.machine.exact)
    random = LuaRandom(settings.model.seed)
    model = new_model.initialized(settings, vocab_size, random)
    batches = _RandomBatches(vocab_size, settings.data.batch_size, settings.data.seq_length, bool(settings.data.items))
    model.end_id = batches.end_id
    trainer = Trainer(model, batches, random, Ranks(), settings.optimisation, settings.machine, print_nothing)
    for _ in range(_WARM_UP if where == "cpu" else _WARM_UP_OF_GPU):
        trainer.step()
    trainer.new_losses()  # waits for a GPU
    steps, start, now = 0, clock(), clock()
    while steps < _LEAST_STEPS or (now - start < least and steps < _MOST_STEPS):
        trainer.step()
        trainer.new_losses()
        steps, now = steps + 1, clock()
    return max(now - start, 1e-9) / steps


class _RandomBatches(Batches):
    """Batches of random token ids, for timing."""

    def __init__(self, vocab_size: int, batch_size: int, seq_length: int, has_items: bool):
        super().__init__({b"%d" % k: k + 1 for k in range(vocab_size)}, batch_size, seq_length)
        self.end_id = 0 if has_items else None
        self._ids = np.random.default_rng(1).integers(0, vocab_size, (batch_size, seq_length + 1)).astype(np.int32)

    def next_batch(self, split_index: int) -> tuple[TokenIds, TokenIds]:
        return self._ids[:, :-1], self._ids[:, 1:]

    def close(self) -> None:
        pass
