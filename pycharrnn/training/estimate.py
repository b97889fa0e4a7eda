"""How long a run would take on this machine, from the time of a few steps."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple

from pycharrnn.text.text_stats import TextStats
from pycharrnn.training import step_timing, threads, time_plan
from pycharrnn.training.machine import process_from_environment
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settle import settle
from pycharrnn.training.this_machine import machine_of

_LEAST_SECONDS = 0.2  # of timed steps


class Estimate(NamedTuple):
    """Of a run. `flags`: the options that the recipe and the machine set, with their values."""

    seconds: float
    iterations: int
    rnn_size: int
    flags: dict[str, int | float | str]


def estimate(options: TrainOptions, text: TextStats, others: Collection[Estimate] = ()) -> Estimate:
    """The time of a new run of a recipe on a machine without other programs, not counting the start of the command.

    `others`: estimates for other recipes on the text. One with the same flags is returned: a second measurement would
    differ by chance. Errors: UserError.
    """
    threads.set_num_threads(options.threads)
    given = options.changed - {"recipe"}
    settings = settle(options, given, None, text, machine_of(options, process_from_environment()))
    flags = {name: getattr(settings.options, name) for name in settings.options.changed - options.changed}
    for other in others:
        if other.flags == flags:
            return other
    data = settings.data
    # On the CPU, this thread does its share of each step, and spins while it waits for the others. The clock would also
    # count how long other programs have its core: in so few steps, ten times as long or not at all.
    clock = time.thread_time if settings.machine.device == "cpu" else time.perf_counter
    step = step_timing.step_seconds(settings, max(1, len(text.characters(data.encoding))), clock, _LEAST_SECONDS)
    length = text.length(data.encoding)
    seconds = time_plan.seconds_of(settings.options, length, step)
    return Estimate(
        round(seconds, 1), time_plan.iterations_of(settings.options, length), settings.model.rnn_size, flags
    )
