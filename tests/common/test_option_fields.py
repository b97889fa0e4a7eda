"""How options are declared, and refused."""

from __future__ import annotations

import dataclasses
import importlib
import math
import warnings
from dataclasses import dataclass, fields

import numpy as np
import pytest

from pycharrnn.common import numpy_warnings
from pycharrnn.common.errors import UserError
from pycharrnn.common.option_fields import (
    MAX_COUNT,
    SWITCH,
    THREADS,
    Ramp,
    check,
    file_ending,
    number,
    one_of,
    option,
)


@dataclass(frozen=True)
class Options:
    size: float = option(3, "how large", group="model", allowed=number(1, 9), short="s", charrnn=True)
    file: str = option("", "where to", group="output", allowed=file_ending(".csv", ".jsonl"), path="file")
    switch: int = option(0, "on or off", group="machine", allowed=SWITCH, record=False)
    kind: str = option("a", "which", group="model", allowed=one_of("a", "b", "c"), value="KIND")
    part: float = option(-1, "how much", group="model", allowed=number(0, below=1))
    ramp: Ramp = option(1, "anything", group="model")
    threads: int = option(0, "how many", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        check(self)


def test_a_declaration():
    size, file, switch, kind, *_ = (dict(field.metadata) for field in fields(Options))
    assert Options() == Options(3, "", 0, "a", -1, 1, 0)
    assert (size["help"], size["group"], size["short"], size["path"]) == ("how large", "model", "s", "")
    assert (file["short"], file["path"]) == (None, "file")
    assert [one["value"] for one in (size, file, switch, kind)] == ["", "", "0|1", "KIND"]
    assert [one["charrnn"] for one in (size, file, switch, kind)] == [True, False, False, False]
    assert [one["record"] for one in (size, file, switch, kind)] == [True, True, False, True]


@pytest.mark.parametrize(
    "values",
    [
        {"size": 1},
        {"size": 9, "file": "a.CSV", "switch": 1, "kind": "c"},
        {"part": 0, "ramp": (5, 6), "threads": 1024},
        {"part": 0.999, "file": ".jsonl", "threads": 1},
    ],
)
def test_allowed_values(values):
    for name, value in values.items():
        assert getattr(Options(**values), name) == value


@pytest.mark.parametrize(
    "values, words",
    [
        ({"size": 0.123456789}, "-size must be from 1 to 9, not 0.123456789."),
        ({"size": 1e12 + 1}, "-size must be from 1 to 9, not 1e+12."),
        ({"size": math.nan}, "-size must be from 1 to 9, not nan."),
        ({"file": "a.txt"}, "-file must be a file that ends in .csv or .jsonl, not a.txt."),
        ({"switch": -1}, "-switch must be 0 or 1, not -1."),
        ({"switch": 0.5}, "-switch must be 0 or 1, not 0.5."),
        ({"kind": "d"}, "-kind must be a, b or c, not d."),
        ({"part": 1}, "-part must be at least 0 and less than 1, or -1, not 1."),
        ({"threads": -1}, "-threads must be from 1 to 1024, or 0, not -1."),
        ({"threads": 1025}, "-threads must be from 1 to 1024, or 0, not 1025."),
        ({"threads": 10**300}, "-threads must be from 1 to 1024, or 0, not 1e+300."),
        ({"kind": "d" * 10**6}, f"-kind must be a, b or c, not {'d' * 197}...."),  # as a checkpoint may record it
    ],
)
def test_refused_values(values, words):
    with pytest.raises(UserError) as raised:
        Options(**values)
    assert str(raised.value) == words


@pytest.mark.parametrize(
    "allowed, text, inside, outside",
    [
        (number(1), "at least 1", [1, 1e300], [0.999, math.inf, math.nan]),
        (number(above=0), "greater than 0", [1e-300], [0, -1]),
        (number(above=0, high=MAX_COUNT), "greater than 0 and at most 1e12", [1e12], [0, 1e12 + 1]),
        (number(0, 1), "from 0 to 1", [0, 1], [-0.001, 1.001]),
        (number(high=1, below=1), "at most 1 and less than 1", [0.5], [1]),
    ],
)
def test_numbers(allowed, text, inside, outside):
    assert allowed.text == text
    assert all(map(allowed.holds, inside))
    assert not any(map(allowed.holds, outside))


def test_numpy_says_nothing_of_numbers_that_overflow():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numpy_warnings.ignore()
        np.exp(np.array([1e9]))
        np.array([np.inf]) - np.inf
    assert [w.message for w in caught if w.category is not ResourceWarning] == []  # which other tests may have left


RANGES = {  # of the numbers that options take
    "at least 0": """
        activations.layer chat.topk copied.top eval.batch_size eval.seq_length sample.beam sample.length sample.topk
        train.keep train.log_every_seconds train.patience train.save_every_minutes train.warmup
        which.top
    """,
    "at least 0 and less than 1": "train.decay_rate train.dropout train.weight_drop",
    "at least 1": """
        activations.count chat.length copied.least train.batch_size train.eval_val_every train.num_layers
        train.print_every train.rnn_size train.seq_length
    """,
    "from 0 to 1": """
        chat.adapt_pull eval.adapt_pull eval.train_frac eval.val_frac sample.adapt_pull score.adapt_pull train.anneal
        train.state_reset train.train_frac train.val_frac
    """,
    "from 0 to 10000": "train.show",
    "from 0 to 65535": "network.port serve.port studio.port",
    "from 1 to 1000": "network.streams serve.streams studio.streams",
    "from 1 to 10000": "chat.adapt_length eval.adapt_length sample.adapt_length score.adapt_length",
    "from 1 to 1024": """
        activations.threads chat.threads copied.threads eval.threads network.threads sample.threads score.threads
        serve.threads studio.threads train.threads which.threads
    """,
    "from 1 to 1e12": "chat.max_copy sample.items sample.least sample.max_copy sample.most sample.samples",
    "from 0 to 1e30": "train.initial_mean",
    "greater than 0": "train.grad_clip train.learning_rate train.learning_rate_decay",
    "greater than 0 and at most 1": """
        chat.adapt_rate chat.topp eval.adapt_rate sample.adapt_rate sample.topp score.adapt_rate
    """,
    "greater than 0 and at most 1e12": "train.max_epochs",
    "greater than 0 and at most 1e30": "train.embedding_rate",
    "greater than 0 and at most 1000000": "train.minutes",
}


def test_the_ranges_of_all_options():
    found: dict[str, set[str]] = {}
    for package in ("analysis", "checkpoints", "sampling", "server", "training"):
        module = importlib.import_module(f"pycharrnn.{package}.options")
        for kind in vars(module).values():
            if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__:
                for field in dataclasses.fields(kind):
                    allowed = field.metadata["allowed"]
                    if allowed and not allowed.choices and field.type != "str":
                        name = f"{kind.__name__.removesuffix('Options').lower()}.{field.name}"
                        found.setdefault(allowed.text, set()).add(name)
    assert found == {text: set(names.split()) for text, names in RANGES.items()}
