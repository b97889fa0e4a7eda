"""What recipes and -minutes derive from a text: splits, batches, encoding, log lines. Given flags override them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pycharrnn.common.errors import UserError, flag
from pycharrnn.text.text_stats import TextStats
from pycharrnn.training.options import TrainOptions

Value = int | float | str

WARMUP = 50  # iterations: -warmup of runs that need it
LEAST_LENGTH = 1000  # characters of a text from which a model learns something
LONGER_TEXT = f"too few to learn from: give {LEAST_LENGTH:,} or more; 100,000 are better"
_MOST_VALIDATED = 60_000  # characters of a validation, unless -val_frac is given
_LEAST_BATCHES = 20  # of a text; a short text gets a smaller -batch_size, and a smaller -seq_length if needed
_LOG_LINES = 60
# Model -> the fractions of an lstm's learning rate and weight drop. Models with smaller fractions, like networks of
# several layers, take -warmup: RMSprop's first steps are its largest, and can make them diverge. With all of the weight
# drop, an rnn hardly learns from a short text (docs/recipes.md).
_WHOLE = 1.0, 1.0
_FRACTIONS = {"lstm": _WHOLE, "gru": (0.5, 1.0), "rnn": (0.35, 0.3)}
_NUMBERS = {field.name for field in dataclasses.fields(TrainOptions) if field.type == "float"}
_OF_THE_CHECKPOINT = ("rnn_size", "num_layers", "model", "dropout", "encoding")  # which -init_from sets


def advice_on_short_text(text: TextStats, encoding: str) -> str:
    """A sentence on a text with fewer characters than LEAST_LENGTH, on which a run may begin; "" for others."""
    return _if_short(text, encoding, "from which a model hardly learns words: 100,000 are better")


def too_short(text: TextStats, encoding: str) -> str:
    """A sentence on a text with fewer characters than LEAST_LENGTH; "" for others."""
    return _if_short(text, encoding, LONGER_TEXT)


def _if_short(text: TextStats, encoding: str, what: str) -> str:
    return f"the text has {text.length_in_words(encoding)}, {what}." if text.length(encoding) < LEAST_LENGTH else ""


def advice_on_encoding(text: TextStats, encoding: str) -> str:
    """A sentence on a text with many characters of several bytes, which a model of bytes may break; "" for others."""
    if encoding != "bytes" or not text.is_often_multibyte:
        return ""
    share = 100 * text.multibyte / (text.code_points or 1)
    return (
        f"{share:.0f} % of the characters take several bytes, and the model learns bytes: if samples show broken"
        f" characters, train with {flag('encoding', 'utf8')}."
    )


def train_batches(length: int, batch_size: int, seq_length: int, train_frac: float) -> int:
    """The number of training batches of a text of `length` characters; 1 for a text that is too short for one."""
    return max(1, int(length // (batch_size * seq_length) * train_frac))


@dataclass(frozen=True)
class RunRequest:
    """A run that a recipe or -minutes shall complete.

    Attributes:
        opt: all its options. given: the names of those that the user gave, which stay. text: its statistics.
    """

    opt: TrainOptions
    given: Collection[str]
    text: TextStats

    @property
    def encoding(self) -> str:
        """The option, if it was given or is that of a checkpoint; else the one for the text."""
        return self.opt.encoding if self.opt.init_from or "encoding" in self.given else self.text.encoding

    @property
    def length(self) -> int:
        """Characters of the text in this encoding."""
        return self.text.length(self.encoding)

    def with_defaults(self, settings: Mapping[str, Value]) -> TrainOptions:
        """The options with these settings, as they suit the text, the model and -init_from. Errors: UserError.

        `settings`: name -> value of options, -num_layers, -max_epochs, -val_frac, -batch_size and -seq_length among
        them. -recipe and -minutes are reset.
        """
        if self.length < 2 * _LEAST_BATCHES:
            raise UserError(f"the text has {self.text.length_in_words(self.encoding)}, {LONGER_TEXT}.")
        typed = {name: getattr(self.opt, name) for name in self.given}
        found = defaults({"encoding": self.encoding, **settings}, self.length, self.opt.model, typed)
        if self.opt.init_from:
            found = {name: value for name, value in found.items() if name not in _OF_THE_CHECKPOINT}
            if "vocab" not in self.given:  # two texts rarely have the same characters
                found["vocab"] = "extend"
            if "warmup" not in self.given:  # the first, largest steps of RMSprop can make a trained model diverge
                found["warmup"] = WARMUP
        plain: dict[str, Value] = {"recipe": TrainOptions.recipe, "minutes": TrainOptions.minutes}
        # Whole numbers become what the command line reads, so that checkpoints are the same byte for byte.
        read = {name: float(value) if name in _NUMBERS else value for name, value in {**found, **plain}.items()}
        return dataclasses.replace(self.opt, **read)  # type: ignore[arg-type]  # of each its type


def defaults(settings: Mapping[str, Value], length: int, model: str, typed: Mapping[str, Value]) -> dict[str, Value]:
    """The settings for a text of `length` characters and an lstm, gru or rnn, without the `typed` options."""
    num_layers = int(typed.get("num_layers", settings["num_layers"]))
    found = {**settings, **_of_network(model, num_layers, settings), **typed}
    found = {**found, **_splits(found, length, typed), **_batches(found, length, typed), **typed}
    found = {**found, **_log_lines(found, length), **typed}
    return {name: value for name, value in found.items() if name not in typed}


def _of_network(model: str, num_layers: int, found: Mapping[str, Value]) -> dict[str, Value]:
    changed: dict[str, Value] = {}
    of_rate, of_drop = fractions = _FRACTIONS[model]
    if fractions != _WHOLE:
        changed["learning_rate"] = _two_digits(float(found["learning_rate"]) * of_rate)
        changed["weight_drop"] = round(float(found["weight_drop"]) * of_drop, 2)
    if fractions != _WHOLE or num_layers > 1:
        changed["warmup"] = WARMUP
    return changed


def _splits(found: Mapping[str, Value], length: int, typed: Collection[str]) -> dict[str, Value]:
    val = float(found["val_frac"])
    if "val_frac" not in typed:
        val = min(val, _two_digits(_MOST_VALIDATED / length))
    if "train_frac" in typed:
        val = min(val, round(1 - float(found["train_frac"]), 9))
    return {"val_frac": val, "train_frac": round(1 - val, 9)}


def _batches(found: Mapping[str, Value], length: int, typed: Collection[str]) -> dict[str, Value]:
    batch_size, seq_length = int(found["batch_size"]), int(found["seq_length"])
    rows = batch_size if "batch_size" in typed else 1
    # A typed -seq_length stays, see defaults; if it is longer than this, there is one row all the same.
    seq_length = max(1, min(seq_length, length // (rows * _LEAST_BATCHES)))
    return {
        "batch_size": max(1, min(batch_size, length // (seq_length * _LEAST_BATCHES))),
        "seq_length": seq_length,
    }


def _log_lines(found: Mapping[str, Value], length: int) -> dict[str, Value]:
    per_epoch = train_batches(length, int(found["batch_size"]), int(found["seq_length"]), float(found["train_frac"]))
    return {"print_every": max(1, int(_two_digits(float(found["max_epochs"]) * per_epoch / _LOG_LINES)))}


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")
