"""A run that was ended and goes on is the run that was not, on the GPU."""

from __future__ import annotations

from functools import partial

from tests.gpu import runs
from tests.gpu.checking import Check, Finding
from tests.gpu.place import Place

_HALF = 30
_BECAUSE = "As for the losses: a GPU adds up in any order, so two runs are as far apart as rounding brings them."


def checks(place: Place) -> list[Check]:
    asked = f"losses of iterations {_HALF + 1} to {2 * _HALF} and the validation, nats from the unbroken run's"
    return [
        Check(" ".join(f"-{name} {value}" for name, value in options.items()), asked, partial(_find, place, options))
        for options in (
            {"model": "lstm", "dropout": 0.3, "exact": 1},
            {"model": "gru", "dropout": 0.3, "exact": 0},
            {"model": "lstm", "weight_drop": 0.2, "embedding_rate": 2, "state_reset": 0.2, "exact": 0},
            {"model": "rnn", "exact": 1},
        )
    ]


def _find(place: Place, options: dict) -> Finding:
    course = {**options, "eval_val_every": _HALF}
    with runs.Folder() as folder:
        unbroken = runs.on_place(folder, 2 * _HALF, place, **course)
    with runs.Folder() as folder:
        runs.on_place(folder, _HALF, place, **course)
        resumed = runs.on_place(folder, 2 * _HALF, place, resume=str(folder), **course)
    with runs.Folder() as folder:
        course.pop("weight_drop", None)  # its draws are the GPU's; how rounding is amplified goes by the sizes
        truth = runs.on_cpu(folder, 2 * _HALF, place, **course)
        part = runs.rounding(place, options["exact"])
        allowed = runs.bounds(truth, folder, place, part, **course)
    if len(resumed) != len(unbroken):
        raise RuntimeError(f"{len(resumed) - 1} losses, of the unbroken run {len(unbroken) - 1}")
    figure, bound, when = runs.worst(resumed[_HALF:], unbroken[_HALF:], allowed[_HALF:])
    return Finding(figure, bound, _BECAUSE, when)
