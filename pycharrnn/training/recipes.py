"""Recipes (-recipe): named sets of defaults that depend on the text. Given flags override them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pycharrnn.common import shell_words
from pycharrnn.common.errors import UserError, flag
from pycharrnn.text.text_stats import TextStats
from pycharrnn.training.options import TrainOptions

Value = int | float | str


@dataclass(frozen=True)
class Recipe:
    """Defaults for training on a text. Epochs, and what follows from them, are computed unless these flags set them.

    Attributes:
        what: its purpose, in a few words. flags: defaults for every text.
        by_length: (characters, more defaults): the first entry with more characters than the text applies.
        iterations, validations, log_lines: their number in a run.
        most_epochs: limits the iterations on a short text, which would be overfitted.
        validated: characters of a validation at most; -val_frac of a short text.
        batches: of a text at least; a short text gets a smaller -batch_size, and a smaller -seq_length if needed.
    """

    what: str
    flags: Mapping[str, Value]
    by_length: tuple[tuple[float, Mapping[str, Value]], ...]
    iterations: int
    most_epochs: float
    validations: int = 8
    log_lines: int = 40
    validated: int = 200_000
    batches: int = 20


OF_BOTH: Mapping[str, Value] = {
    "exact": 0,
    "num_layers": 1,
    "batch_size": 20,
    "seq_length": 50,
    "anneal": 1,
    "val_frac": 0.1,
    "val_lines": 0,
    "show": 200,
    "keep": 2,
}
_OF_LINES: Mapping[str, Value] = {"batch_size": 20, "seq_length": 25}
WARMUP = 50  # iterations: -warmup of runs that need it
# The weights of single characters learn better at a higher rate than the recurrent ones; a short text is overfitted
# with 3. RMSprop's first steps are its largest: with this rate and no warm-up they can make a network diverge. Lists
# gain next to nothing.
OF_TEXTS: Mapping[str, Value] = {"embedding_rate": 3, "warmup": WARMUP}
SHORT_TEXT = 300_000  # characters; shorter texts have:
OF_SHORT_TEXTS: Mapping[str, Value] = {"embedding_rate": 2, "batch_size": 10}
# What short lists have with "quick" and with -minutes. Names are overfitted after fewer epochs than titles need, which
# dropout delays. The high learning rate that titles need can diverge without a warm-up.
_SHORTEST: Mapping[str, Value] = {"dropout": 0.5, "weight_drop": 0.6, "warmup": WARMUP}
_SHORT: Mapping[str, Value] = {"dropout": 0.4, "weight_drop": 0.5, "warmup": WARMUP}
SHORT_LISTS = ((5_000, _SHORTEST), (45_000, _SHORT))  # as Recipe.by_length
# -recipe char-rnn is not in the tables: it changes nothing.
RECIPES = {
    "quick": Recipe(
        what="half a minute on two idle cores",
        flags={**OF_BOTH, **OF_TEXTS, "patience": 4},
        by_length=(
            (SHORT_TEXT, {**OF_SHORT_TEXTS, "rnn_size": 128, "learning_rate": 0.012, "weight_drop": 0.25}),
            (600_000, {"rnn_size": 192, "learning_rate": 0.016, "weight_drop": 0.2}),
            (math.inf, {"rnn_size": 160, "learning_rate": 0.02}),
        ),
        iterations=3600,
        most_epochs=12,
        validations=12,
    ),
    "best": Recipe(
        what="the lowest loss, in about 15 times as long",
        flags={**OF_BOTH, **OF_TEXTS, "learning_rate": 0.008, "patience": 6},
        by_length=(
            (SHORT_TEXT, {**OF_SHORT_TEXTS, "rnn_size": 256, "weight_drop": 0.4}),
            (2_000_000, {"rnn_size": 512, "weight_drop": 0.3}),
            (math.inf, {"rnn_size": 512}),  # read at most 4.4 times, and so not overfitted
        ),
        iterations=8000,
        most_epochs=20,
        validations=20,
        log_lines=80,
    ),
}
# With -items line: items are short, and their order, new in every epoch, makes it harder to learn them by heart.
LINE_RECIPES = {
    "quick": Recipe(
        what="less than a minute on one core",
        flags={**OF_BOTH, **_OF_LINES, "patience": 4},
        by_length=(
            (5_000, {"rnn_size": 96, "batch_size": 12, "learning_rate": 0.02, **_SHORTEST}),
            (45_000, {"rnn_size": 128, "batch_size": 12, "learning_rate": 0.03, **_SHORT}),
            (100_000, {"rnn_size": 128, "batch_size": 12, "learning_rate": 0.015, "weight_drop": 0.35}),
            (600_000, {"rnn_size": 192, "learning_rate": 0.025, "weight_drop": 0.1, "val_frac": 0.05}),
            (math.inf, {"rnn_size": 192, "learning_rate": 0.025, "val_frac": 0.05}),
        ),
        iterations=2500,
        most_epochs=40,
        validations=6,
    ),
    "best": Recipe(
        what="the lowest loss, in four times as long",
        flags={**OF_BOTH, **_OF_LINES, "learning_rate": 0.01, "weight_drop": 0.5, "patience": 6},
        by_length=(
            (
                15_000,
                {
                    **_SHORT,
                    "rnn_size": 128,
                    "batch_size": 8,
                    "learning_rate": 0.02,
                    "weight_drop": 0.6,
                    "max_epochs": 80,
                },
            ),
            (100_000, {"rnn_size": 256, "batch_size": 12, "dropout": 0.3}),
            (3_000_000, {"rnn_size": 320, "batch_size": 40, "val_frac": 0.05}),
            (math.inf, {"rnn_size": 512, "batch_size": 40, "weight_drop": 0}),
        ),
        iterations=3300,
        most_epochs=40,
        validations=12,
        log_lines=80,
    ),
}
# The tables have learning rates for an lstm. A gru and an rnn take this fraction of them, and -warmup: RMSprop's first
# steps are its largest, and can make them diverge.
_PART_OF_RATE = 0.5
_PART_OF_RATE_FURTHER = 1 / 3  # with -init_from, on short lists: their rates are for a start from random weights
LEAST_LENGTH = 1000  # characters of a text from which a model learns something
LONGER_TEXT = f"too few to learn from: give {LEAST_LENGTH:,} at least; 100,000 are better"
_NUMBERS = {field.name for field in dataclasses.fields(TrainOptions) if field.type == "float"}
_OF_THE_CHECKPOINT = ("rnn_size", "num_layers", "model", "dropout", "encoding")  # which -init_from sets
_SHOWN_FOR = (  # the texts of -help
    ("a megabyte of English", TextStats(1_000_000, 1_000_000), ""),
    ("a list of 230 KB", TextStats(230_000, 230_000), "line"),
)


def too_short(text: TextStats, encoding: str) -> str:
    """A sentence on a text with fewer characters than LEAST_LENGTH; "" for others."""
    is_short = text.length(encoding) < LEAST_LENGTH
    return f"the text has {text.length_in_words(encoding)}, {LONGER_TEXT}." if is_short else ""


def advice_on_encoding(text: TextStats, encoding: str) -> str:
    """A sentence on a text with many characters of several bytes, which a model of bytes may break; "" for others."""
    if encoding != "bytes" or not text.is_often_multibyte:
        return ""
    share = 100 * text.multibyte / (text.code_points or 1)
    return (
        f"{share:.0f} % of the characters take several bytes, and the model learns bytes: if samples show broken"
        f" characters, train with {flag('encoding', 'utf8')}."
    )


def apply(opt: TrainOptions, given: Collection[str], text: TextStats) -> TrainOptions:
    """The options with the defaults of their -recipe, except for those `given`; -recipe is reset. Errors: UserError."""
    return with_defaults(opt, given, text, of_kind(opt.items)[opt.recipe])


def with_defaults(opt: TrainOptions, given: Collection[str], text: TextStats, recipe: Recipe) -> TrainOptions:
    """As `apply`, with any recipe; -minutes is reset, too."""
    found = defaults(recipe, text, opt.model, {name: getattr(opt, name) for name in given})
    if opt.init_from:
        found = {name: value for name, value in found.items() if name not in _OF_THE_CHECKPOINT}
        if "vocab" not in given:  # two texts rarely have the same characters
            found["vocab"] = "extend"
        if "warmup" not in given:  # the first, largest steps of RMSprop can make a trained model diverge
            found["warmup"] = WARMUP
        if "learning_rate" in found and opt.items == "line" and text.length(opt.encoding) < SHORT_LISTS[-1][0]:
            found["learning_rate"] = _two_digits(float(found["learning_rate"]) * _PART_OF_RATE_FURTHER)
    plain: dict[str, Value] = {"recipe": TrainOptions.recipe, "minutes": TrainOptions.minutes}
    # Whole numbers become what the command line reads, so that checkpoints are the same byte for byte.
    read = {name: float(value) if name in _NUMBERS else value for name, value in {**found, **plain}.items()}
    return dataclasses.replace(opt, **read)  # type: ignore[arg-type]  # of each its type


def of_kind(items: str) -> Mapping[str, Recipe]:
    """The recipes for -items. Those of a text also suit items of several lines."""
    return LINE_RECIPES if items == "line" else RECIPES


def defaults(recipe: Recipe, text: TextStats, model: str, typed: Mapping[str, Value]) -> dict[str, Value]:
    """The defaults that a recipe adds to the `typed` options. Errors: UserError if the text is too short.

    `model`: lstm, gru or rnn, typed or of the checkpoint of -init_from.
    """
    encoding = str(typed.get("encoding", text.encoding))
    length = text.length(encoding)
    if length < 2 * recipe.batches:
        raise UserError(f"the text has {text.length_in_words(encoding)}, {LONGER_TEXT}.")
    by_length: Mapping[str, Value] = next((flags for limit, flags in recipe.by_length if length < limit), {})
    found = {"encoding": encoding, **recipe.flags, **by_length}
    found = {**found, **_of_model(model, found), **typed}
    splits, batches = _splits(recipe, found, length, typed), _batches(recipe, found, length, typed)
    found = {**found, **splits, **batches, **typed}
    found = {**_course(recipe, found, length), **found}
    if "max_epochs" in typed:  # in a short run validations are frequent: patience could end it in the first epoch
        found.pop("patience", None)
    return {name: value for name, value in found.items() if name not in typed}


def _of_model(model: str, found: Mapping[str, Value]) -> dict[str, Value]:
    if model == "lstm":
        return {}
    rate = float(found.get("learning_rate", TrainOptions.learning_rate))
    return {"learning_rate": _two_digits(rate * _PART_OF_RATE), "warmup": WARMUP}


def _splits(recipe: Recipe, found: Mapping[str, Value], length: int, typed: Collection[str]) -> dict[str, Value]:
    val = float(found["val_frac"])
    if "val_frac" not in typed:
        val = min(val, _two_digits(recipe.validated / length))
    if "train_frac" in typed:
        val = min(val, round(1 - float(found["train_frac"]), 9))
    return {"val_frac": val, "train_frac": round(1 - val, 9)}


def _batches(recipe: Recipe, found: Mapping[str, Value], length: int, typed: Collection[str]) -> dict[str, Value]:
    batch_size, seq_length = int(found["batch_size"]), int(found["seq_length"])
    if "seq_length" not in typed:
        rows = batch_size if "batch_size" in typed else 1
        seq_length = max(1, min(seq_length, length // (rows * recipe.batches)))
    return {
        "batch_size": max(1, min(batch_size, length // (seq_length * recipe.batches))),
        "seq_length": seq_length,
    }


def _course(recipe: Recipe, found: Mapping[str, Value], length: int) -> dict[str, Value]:
    batches = length // (int(found["batch_size"]) * int(found["seq_length"]))
    per_epoch = max(1, int(batches * float(found["train_frac"])))
    epochs = float(found.get("max_epochs", _two_digits(min(recipe.iterations / per_epoch, recipe.most_epochs))))
    iterations = epochs * per_epoch
    return {
        "max_epochs": epochs,
        "eval_val_every": max(1, math.ceil(iterations / recipe.validations)),
        "print_every": max(1, int(_two_digits(iterations / recipe.log_lines))),
    }


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")


def command_line(opt: TrainOptions) -> str:
    return shell_words.joined(["pycharrnn", "train", "-data_dir", opt.data_dir, *_flags(opt)])


def described() -> str:
    """The recipes for -help: name, purpose and flags for a text of a megabyte, and for a list."""
    lines = [
        "Recipes; the number of epochs, and what depends on it, differ for other texts; on a CPU with the C kernel,"
        " -dtype bfloat16 is added"
    ]
    for text, stats, items in _SHOWN_FOR:
        for name, recipe in of_kind(items).items():
            opt = apply(TrainOptions(recipe=name, items=items), ("items",), stats)
            lines.append(f"  {name} for {text}, {recipe.what}: {' '.join(_flags(opt))}")
    return "\n".join(lines)


def _flags(opt: TrainOptions) -> list[str]:
    names = opt.changed - {"data_dir", "text_encoding", "recipe", "minutes", "resume", "overwrite"}
    return opt.flags(names)
