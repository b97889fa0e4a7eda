"""Settings for a text, a time and the speed of a machine, for -minutes and for recipes. Nothing here reads a clock.

Larger networks reach lower losses, but only if they read enough: the plan has the largest size that reads as many
characters in the time as it needs. A short text is overfitted by a large network, so its length limits the size too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pycharrnn.common.errors import UserError, flag
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.text_defaults import WARMUP, RunRequest, Value, train_batches
from pycharrnn.training.time_left import PartTimes, seconds_left, validation_steps

SIZES = (96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)
_REFERENCE_SIZE = 160  # rnn_size for which Rules has its figures
_USED = 0.97  # of the time; the rest is for the start and for writing
_FOR_VALIDATIONS = 0.06  # of the time of a long run
_MOST_VALIDATIONS = 20
_FEW_VALIDATIONS = 5  # which a short run has even if they take longer, up to:
_FOR_FEW_VALIDATIONS = 0.2  # of the time
_LEAST_ITERATIONS = 20  # from a speed that was too low for a moment, a run can grow
ANY_TIME = 0.01  # seconds of an iteration, for options_for where only the batches matter
_LEAST_WITH_LONG_SEQUENCES = 640  # rnn_size, for texts
_LEAST_WARMED_UP = 512  # rnn_size from which lists of lines have -warmup, as texts always have
_DROP_INIT_FROM = 0.7  # the part of the weight drop with -init_from: the model was trained with less, or without
SHOWN = 200  # characters of samples
_STATE_RESET = 0.05  # of texts, in runs of less than _FEW_EPOCHS
_FEW_EPOCHS = 1.5  # in runs of many more epochs, -state_reset raises the loss
_ALWAYS: Mapping[str, Value] = {
    "exact": 0,
    "num_layers": 1,
    "batch_size": 20,
    "anneal": 1,
    "calibrate": 1,
    "val_frac": 0.1,
    "val_lines": 0,
    "show": SHOWN,
    "keep": 2,
}
# The weights of single characters learn better at a higher rate than the recurrent ones; a short text is overfitted
# with 3. RMSprop's first steps are its largest: with this rate and no warm-up they can make a network diverge. Lists
# gain next to nothing.
_OF_TEXTS: Mapping[str, Value] = {"embedding_rate": 3, "warmup": WARMUP}
_OF_SHORT_TEXTS: Mapping[str, Value] = {"embedding_rate": 2, "batch_size": 10}
_SHORT_LIST = 45_000  # characters
# Names are overfitted after fewer epochs than titles need, which dropout delays. The high learning rate that titles
# need can diverge without a warm-up.
_OF_SHORT_LISTS: tuple[tuple[int, Mapping[str, Value]], ...] = (  # characters, of lists of lines with fewer of them
    (5_000, {"dropout": 0.5, "weight_drop": 0.6, "warmup": WARMUP}),
    (_SHORT_LIST, {"dropout": 0.4, "weight_drop": 0.5, "warmup": WARMUP}),
)


@dataclass(frozen=True)
class Rules:
    """What differs between plans for texts and for lists of lines.

    Attributes:
        seq_length, learning_rate: the rate of _REFERENCE_SIZE, which falls with the size.
        characters, exponent: characters that _REFERENCE_SIZE should read; for other sizes, in proportion to the size to
            the power of `exponent`.
        weight_drop_per_doubling: of the epochs, from `epochs_without_drop` epochs on, up to `max_weight_drop`: (for
            texts of so many characters or more, value), the largest first.
        max_size_factor, max_size_root: the largest rnn_size is this factor times this root of the text's length in
            characters.
        max_epochs: of a run; more would be overfitted. max_epochs_init_from: the same with -init_from.
        short: characters; shorter texts have settings of their own.
        rate_init_from: the part of the learning rate for a short text with -init_from.
    """

    seq_length: int
    learning_rate: float
    characters: float
    exponent: float
    weight_drop_per_doubling: tuple[tuple[int, float], ...]
    epochs_without_drop: float
    max_weight_drop: float
    max_size_factor: float
    max_size_root: float
    max_epochs: float
    max_epochs_init_from: float
    short: int
    rate_init_from: float


TEXT_RULES = Rules(
    seq_length=50,
    learning_rate=0.02,
    characters=0.8e6,
    exponent=1.5,
    weight_drop_per_doubling=((500_000, 0.11), (0, 0.15)),
    epochs_without_drop=2.7,
    max_weight_drop=0.6,
    max_size_factor=1,
    max_size_root=2,
    max_epochs=40,
    max_epochs_init_from=20,
    short=300_000,
    rate_init_from=1 / 2,
)
LINE_RULES = Rules(
    seq_length=25,
    learning_rate=0.025,
    characters=0.9e6,
    exponent=1.2,
    weight_drop_per_doubling=((0, 0.28),),
    epochs_without_drop=4.2,
    max_weight_drop=0.5,
    max_size_factor=9,
    max_size_root=3,
    max_epochs=40,
    max_epochs_init_from=40,
    short=_SHORT_LIST,
    rate_init_from=1 / 3,
)
# By the value of -items. Long items are learned like a text.
_RULES = {"": TEXT_RULES, "line": LINE_RULES, "blank": TEXT_RULES, "file": TEXT_RULES}


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


def with_batches(request: RunRequest, rnn_size: int) -> TrainOptions:
    """The options with the batches and splits for this size, which don't depend on the time. Errors: UserError."""
    return request.with_defaults(_settings(request.opt, request.length, rnn_size, epochs=1, every=1))


def options_for(request: RunRequest, rnn_size: int, iteration: float, seconds: float) -> TrainOptions:
    """The options of a run of `seconds` with this size, if an iteration takes `iteration` seconds. Errors: UserError.

    A given -max_epochs sets the length of the run, and `seconds` is not used.
    """
    opt, length, found = request.opt, request.length, with_batches(request, rnn_size)
    batches = length / (found.batch_size * found.seq_length)
    per_epoch = train_batches(length, found.batch_size, found.seq_length, found.train_frac)
    # In iterations. Without a validation split, which text_checks refuses, it is above 0 all the same.
    validation = max(validation_steps(batches) * found.val_frac, 1e-9)
    is_length_given = "max_epochs" in request.given
    affordable = opt.max_epochs * per_epoch if is_length_given else seconds * _USED / iteration
    validations = _validations(min(affordable, most_epochs(opt) * per_epoch) / validation)
    # The inverse of time_left.seconds_left, which needs -eval_val_every: a plan chooses it last. -calibrate takes about
    # two validations; what it takes beyond one is part of what _USED leaves.
    iterations = max(_LEAST_ITERATIONS, affordable - (validations + found.calibrate) * validation)
    planned = min((iterations + 0.5) / per_epoch, most_epochs(opt))
    epochs = opt.max_epochs if is_length_given else float(f"{planned:.4g}")
    every = math.ceil(epochs * per_epoch / validations)
    return request.with_defaults(_settings(opt, length, rnn_size, epochs, every))


def sizes(request: RunRequest) -> tuple[int, ...]:
    """The values of -rnn_size to choose from: only that of the options if it was given or is that of a checkpoint."""
    return (request.opt.rnn_size,) if request.opt.init_from or "rnn_size" in request.given else SIZES


def plan(request: RunRequest, seconds: float, steps: Mapping[int, float]) -> TrainOptions:
    """The options of a run of `seconds`. `steps`: rnn_size -> seconds of an iteration. Errors: UserError."""
    worth = [size for size in steps if is_worth(request, size, steps[size], seconds)]
    size = max(worth, default=min(steps))
    return options_for(request, size, steps[size], seconds)


def iterations_of(opt: TrainOptions, length: int) -> int:
    """The iterations of a run with these options on a text of `length` characters."""
    return int(opt.max_epochs * train_batches(length, opt.batch_size, opt.seq_length, opt.train_frac))


def seconds_of(opt: TrainOptions, length: int, iteration: float) -> float:
    """The time of a new run with these options, without checkpoints, if an iteration takes `iteration` seconds.

    `length`: characters of the text.
    """
    evaluation = validation_steps(length // (opt.batch_size * opt.seq_length) * opt.val_frac) * iteration
    times = PartTimes(iteration, evaluation, evaluation)
    return seconds_left(times, iterations_of(opt, length), opt.eval_val_every, bool(opt.calibrate), done=0)


def most_epochs(opt: TrainOptions) -> float:
    """The epochs after which a run of -minutes ends even if there is time left."""
    return _rules(opt).max_epochs_init_from if opt.init_from else _rules(opt).max_epochs


def named(minutes: float) -> str:
    """-minutes as it stands in the log."""
    return f"-minutes {minutes:.4g}"


def is_worth(request: RunRequest, rnn_size: int, iteration: float, seconds: float) -> bool:
    """Whether a network of this size reads enough characters in the time, and the text is long enough for it."""
    needed, rules = seconds_needed(request, rnn_size, iteration), _rules(request.opt)
    return seconds >= needed and rnn_size <= rules.max_size_factor * math.pow(request.length, 1 / rules.max_size_root)


def seconds_needed(request: RunRequest, rnn_size: int, iteration: float) -> float:
    """The time in which a network of this size reads enough characters. Errors: UserError."""
    rules = _rules(request.opt)
    characters = rules.characters * math.pow(rnn_size / _REFERENCE_SIZE, rules.exponent)
    found = with_batches(request, rnn_size)
    return characters / (found.batch_size * found.seq_length) * iteration


def _rules(opt: TrainOptions) -> Rules:
    return _RULES[opt.items]


def _validations(fitting: float) -> int:
    """The number of validations in a run. `fitting`: how many of them would fill its whole time."""
    few = min(_FEW_VALIDATIONS, _FOR_FEW_VALIDATIONS * fitting)
    return int(min(_MOST_VALIDATIONS, max(1, few, _FOR_VALIDATIONS * fitting)))


def _settings(opt: TrainOptions, length: int, rnn_size: int, epochs: float, every: int) -> dict[str, Value]:
    """`length`: characters of the text."""
    by_length = _by_length(opt, length, rnn_size)
    most_drop = float(by_length.get("weight_drop", _rules(opt).max_weight_drop))
    return {
        **_ALWAYS,
        **by_length,
        "rnn_size": rnn_size,
        "seq_length": _seq_length(opt, length, rnn_size),
        "learning_rate": _learning_rate(opt, length, rnn_size),
        "weight_drop": _weight_drop(opt, length, rnn_size, epochs, most_drop),
        "state_reset": _STATE_RESET if epochs < _FEW_EPOCHS and not opt.items else 0,
        "max_epochs": epochs,
        "eval_val_every": every,
    }


def _by_length(opt: TrainOptions, length: int, rnn_size: int) -> dict[str, Value]:
    rules = _rules(opt)
    if rules is TEXT_RULES:
        return {**_OF_TEXTS, **(_OF_SHORT_TEXTS if length < rules.short else {})}
    found: dict[str, Value] = {"batch_size": 12}
    found |= next((settings for limit, settings in _OF_SHORT_LISTS if length < limit), {})
    if length >= 100_000:
        found |= {"batch_size": 40 if rnn_size >= 320 else 20, "val_frac": 0.05}
    if rnn_size >= _LEAST_WARMED_UP:
        found["warmup"] = WARMUP
    return found


def _seq_length(opt: TrainOptions, length: int, rnn_size: int) -> int:
    """Twice as long for a large network and a longer text: its run has steps enough, so half as many do better."""
    rules = _rules(opt)
    is_large = rules is TEXT_RULES and length >= rules.short and rnn_size >= _LEAST_WITH_LONG_SEQUENCES
    return rules.seq_length * (2 if is_large and not opt.init_from else 1)


def _learning_rate(opt: TrainOptions, length: int, rnn_size: int) -> float:
    rules = _rules(opt)
    rate = rules.learning_rate * math.pow(min(1, _REFERENCE_SIZE / rnn_size), 0.8)
    if length < rules.short:
        rate *= 0.7 if rules is TEXT_RULES else 1  # its batches have fewer rows
        rate *= rules.rate_init_from if opt.init_from else 1
    return float(f"{rate:.2g}")


def _weight_drop(opt: TrainOptions, length: int, rnn_size: int, epochs: float, most: float) -> float:
    rules = _rules(opt)
    doublings = max(0, math.log2(max(epochs, 1e-9) / rules.epochs_without_drop))
    per_doubling = next(drop for least, drop in rules.weight_drop_per_doubling if length >= least)
    drop = min(most, per_doubling * doublings * math.pow(rnn_size / 256, 0.25))
    return round(drop * (_DROP_INIT_FROM if opt.init_from else 1), 2)
