"""Recipes (-recipe): names for the settings that -minutes chooses on a machine of a certain speed.

The settings depend on the text alone, not on the speed of the machine that trains.
"""

from __future__ import annotations

from dataclasses import dataclass

from compat.cells import CELLS
from pycharrnn.common import shell_words
from pycharrnn.text.text_stats import TextStats
from pycharrnn.training import time_plan
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.text_defaults import RunRequest


@dataclass(frozen=True)
class Recipe:
    """A run of `minutes` on two idle cores of an AMD EPYC with AVX512_BF16. `what`: its purpose, in a few words."""

    what: str
    minutes: float


# -recipe char-rnn is not in the table: it changes nothing.
RECIPES = {
    "quick": Recipe("half a minute or less on two idle cores", 0.27),
    "best": Recipe("a lower loss, in up to 15 times as long", 4),
}
# That machine takes _SECONDS_PER_WEIGHT * layers * gates * H * (H + _OVERHEAD) to train on a character, where H is
# rnn_size: H * H for the recurrent weights of a gate, H * _OVERHEAD for activations, decoder and updates.
_SECONDS_PER_WEIGHT = 0.205e-10
_OVERHEAD = 85
_SHOWN_FOR = (  # the texts of -help
    ("a megabyte of English", TextStats(1_000_000, 1_000_000), ""),
    ("a 230 KB list of lines", TextStats(230_000, 230_000), "line"),
)


def apply(request: RunRequest) -> TrainOptions:
    """The options with the settings of their -recipe, except for those given; -recipe is reset. Errors: UserError."""
    opt = request.opt
    seconds = RECIPES[opt.recipe].minutes * 60
    steps = {size: _iteration(time_plan.with_batches(request, size), size) for size in time_plan.sizes(request)}
    if "rnn_size" in request.given and not opt.init_from:  # a larger network takes the time that it needs
        seconds = max(seconds, time_plan.seconds_needed(request, opt.rnn_size, steps[opt.rnn_size]))
    return time_plan.plan(request, seconds, steps)


def command_line(opt: TrainOptions) -> str:
    """The command that sets these options as plain flags, without a recipe, -minutes or -log."""
    return shell_words.joined(["pycharrnn", "train", "-data_dir", opt.data_dir, *_flags(opt)])


def described() -> str:
    """The recipes for -help: name, purpose and flags for a text of a megabyte, and for a list of lines."""
    lines = [
        "Recipes; the settings depend on the length of the text; on a CPU with the C kernel, -dtype bfloat16 is added"
    ]
    for text, stats, items in _SHOWN_FOR:
        for name, recipe in RECIPES.items():
            opt = apply(RunRequest(TrainOptions(recipe=name, items=items), ("items",), stats))
            lines.append(f"  {name} for {text}, {recipe.what}: {' '.join(_flags(opt))}")
    return "\n".join(lines)


def _iteration(opt: TrainOptions, rnn_size: int) -> float:
    """Its seconds on the machine of the recipes."""
    weights = opt.num_layers * len(CELLS[opt.model].gates) * rnn_size * (rnn_size + _OVERHEAD)
    return opt.batch_size * opt.seq_length * weights * _SECONDS_PER_WEIGHT


def _flags(opt: TrainOptions) -> list[str]:
    names = opt.changed - {"data_dir", "log", "log_every_seconds", "recipe", "minutes", "resume", "overwrite"}
    return opt.flags(names)
