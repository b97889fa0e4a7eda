"""-minutes: the recipe for a text and a time, from the measured speed of this machine. Nothing here reads a clock.

Larger networks reach lower losses, but only if they read enough: the plan has the largest size that reads as many
characters in the time as it needs. A short text is overfitted by a large network, so its length limits the size too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pycharrnn.common.errors import UserError, flag
from pycharrnn.text.text_stats import TextStats
from pycharrnn.training import recipes
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.recipes import Recipe, Value

SIZES = (96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)
_REFERENCE_SIZE = 160  # rnn_size for which Kind has its figures
_NEEDS_EXPONENT = 1.2  # the characters that a network should read are in proportion to its size to this power
VALIDATION_STEPS = 1 / 3  # time of a batch in validation: it has no backward pass
_USED = 0.97  # of the time; the rest is for the start and for writing
_FOR_VALIDATIONS = 0.06  # of the time
_MOST_VALIDATIONS = 20
_LEAST_ITERATIONS = 20  # from a speed that was too low for a moment, a run can grow
_LEAST_WARMED_UP = 512  # rnn_size from which lists have -warmup, as texts always have


@dataclass(frozen=True)
class Kind:
    """What differs between texts and lists of lines.

    Attributes:
        seq_length, learning_rate: the rate of _REFERENCE_SIZE, which falls with the size.
        needs: characters that _REFERENCE_SIZE should read.
        drops: the weight drop for each doubling of the epochs, from `free` epochs on; `most_drop`: at most.
        units: the largest rnn_size, as a multiple of the square root of the text's length in characters.
        most_epochs: of a run; more would be overfitted.
    """

    seq_length: int
    learning_rate: float
    needs: float
    drops: float
    free: float
    most_drop: float
    units: float
    most_epochs: float


TEXT = Kind(
    seq_length=50,
    learning_rate=0.02,
    needs=1.4e6,
    drops=0.17,
    free=3.5,
    most_drop=0.6,
    units=1,
    most_epochs=40,
)
LINES = Kind(
    seq_length=25,
    learning_rate=0.025,
    needs=0.9e6,
    drops=0.28,
    free=4.2,
    most_drop=0.5,
    units=math.inf,
    most_epochs=40,
)


@dataclass(frozen=True)
class Timing:
    """What the plan needs to know of this machine.

    Attributes:
        used: seconds from the start of the command. steps: rnn_size -> seconds of an iteration.
    """

    used: float
    steps: Mapping[int, float]


def check(opt: TrainOptions, given: Collection[str], processes: int) -> None:
    """Errors: UserError for flags that contradict -minutes, or that it does not work with."""
    if not opt.minutes:
        return
    asked = flag("minutes", opt.minutes)
    if processes > 1:
        raise UserError(f"{asked} trains in one process, not in the {processes} of torchrun: use {flag('max_epochs')}.")
    if "max_epochs" in given:
        raise UserError(f"{asked} and {flag('max_epochs', opt.max_epochs)} both say when to end: give one of them.")
    if "recipe" in given:
        raise UserError(f"{asked} and {flag('recipe', opt.recipe)} both choose settings: give one of them.")


def options_for(
    opt: TrainOptions, given: Collection[str], text: TextStats, rnn_size: int, iteration: float, seconds: float
) -> TrainOptions:
    """The options of a run of `seconds` with this size, if an iteration takes `iteration` seconds. Errors: UserError.

    Flags that were `given` stay.
    """
    typed = {name: getattr(opt, name) for name in given}
    recipe = _recipe(opt, text, typed, rnn_size, 1)
    sizes = recipes.with_defaults(opt, given, text, recipe)  # rows, and the fraction to validate
    batches = text.length(sizes.encoding) / (sizes.batch_size * sizes.seq_length)
    # In iterations. Without a validation split, which text_checks refuses, it is above 0 all the same.
    validation = max(VALIDATION_STEPS * batches * (1 - sizes.train_frac), 1e-9)
    affordable = seconds * _USED / iteration
    validations = int(min(_MOST_VALIDATIONS, max(1, _FOR_VALIDATIONS * affordable / validation)))
    iterations = max(_LEAST_ITERATIONS, affordable - validations * validation)
    per_epoch = max(1, int(int(batches) * sizes.train_frac))
    epochs = min((iterations + 0.5) / per_epoch, _kind(opt).most_epochs)
    every = max(epochs * per_epoch / validations, validation / _FOR_VALIDATIONS)
    recipe = _recipe(opt, text, typed, rnn_size, epochs, math.ceil(every))
    return recipes.with_defaults(opt, given, text, recipe)


def plan(opt: TrainOptions, given: Collection[str], text: TextStats, timing: Timing) -> TrainOptions:
    """The options of a run of -minutes. Errors: UserError."""
    seconds = opt.minutes * 60 - timing.used
    sizes = [size for size in timing.steps if is_worth(opt, given, text, size, timing.steps[size], seconds)]
    size = max(sizes, default=min(timing.steps))
    return options_for(opt, given, text, size, timing.steps[size], seconds)


def most_epochs(opt: TrainOptions) -> float:
    """The epochs after which a run of -minutes ends even if there is time left."""
    return _kind(opt).most_epochs


def named(minutes: float) -> str:
    """-minutes as it stands in the log."""
    return f"-minutes {minutes:.4g}"


def is_worth(
    opt: TrainOptions, given: Collection[str], text: TextStats, rnn_size: int, iteration: float, seconds: float
) -> bool:
    """Whether a network of this size reads enough characters in the time, and the text is long enough for it."""
    found, kind = options_for(opt, given, text, rnn_size, iteration, seconds), _kind(opt)
    read = seconds / iteration * found.batch_size * found.seq_length
    reads_enough = read >= kind.needs * math.pow(rnn_size / _REFERENCE_SIZE, _NEEDS_EXPONENT)
    return reads_enough and rnn_size <= kind.units * math.sqrt(text.length(found.encoding))


def _kind(opt: TrainOptions) -> Kind:
    return LINES if opt.items == "line" else TEXT


def _recipe(
    opt: TrainOptions, text: TextStats, typed: Mapping[str, Value], rnn_size: int, epochs: float, every: int = 1
) -> Recipe:
    kind = _kind(opt)
    length = text.length(str(typed.get("encoding", text.encoding)))
    by_length = _by_length(kind, rnn_size, length)
    flags: dict[str, Value] = {
        **recipes.OF_BOTH,
        **by_length,
        "rnn_size": rnn_size,
        "seq_length": kind.seq_length,
        "learning_rate": _learning_rate(kind, rnn_size, length),
        "weight_drop": min(_weight_drop(kind, epochs, rnn_size), float(by_length.get("weight_drop", kind.most_drop))),
        "max_epochs": float(f"{epochs:.4g}"),
        "eval_val_every": every,
    }
    # The flags set the epochs, so the iterations are not read.
    return Recipe(what="", flags=flags, by_length=(), iterations=0, most_epochs=0, log_lines=60)


def _by_length(kind: Kind, rnn_size: int, length: int) -> dict[str, Value]:
    if kind is TEXT:
        short = recipes.OF_SHORT_TEXTS if length < recipes.SHORT_TEXT else {}
        return {**recipes.OF_TEXTS, **short}
    found: dict[str, Value] = {"batch_size": 12}
    found |= next((flags for limit, flags in recipes.SHORT_LISTS if length < limit), {})
    if length >= 100_000:
        found |= {"batch_size": 40 if rnn_size >= 320 else 20, "val_frac": 0.05}
    if rnn_size >= _LEAST_WARMED_UP:
        found["warmup"] = recipes.WARMUP
    return found


def _learning_rate(kind: Kind, rnn_size: int, length: int) -> float:
    shorter = 0.7 if length < recipes.SHORT_TEXT and kind is TEXT else 1  # whose batches have fewer rows
    rate = kind.learning_rate * shorter * math.pow(min(1, _REFERENCE_SIZE / rnn_size), 0.8)
    return float(f"{rate:.2g}")


def _weight_drop(kind: Kind, epochs: float, rnn_size: int) -> float:
    doublings = max(0, math.log2(max(epochs, 1e-9) / kind.free))
    return round(20 * kind.drops * doublings * math.pow(rnn_size / 256, 0.25)) / 20
