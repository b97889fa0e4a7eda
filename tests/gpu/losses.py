"""Losses of the first 100 iterations, and of the validation after them, beside the CPU's in double precision."""

from __future__ import annotations

from functools import partial

from tests.gpu import runs
from tests.gpu.checking import Check, Finding
from tests.gpu.place import Place
from tests.recorded_runs import GOLDEN

_ITERATIONS = 100
_STARTS = {  # recorded checkpoints
    "lstm": GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7",
    "gru": GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7",
    "rnn": GOLDEN / "rnn3" / "lm_rnn3_epoch1.00_3.0075.t7",
}


def checks(place: Place) -> list[Check]:
    """Those that say most come first."""
    models = ("lstm", "gru", "rnn")
    asked = [
        *({"model": model, "num_layers": 2, "dropout": 0.3, "exact": exact} for exact in (1, 0) for model in models),
        *({"model": model, "init_from": str(_STARTS[model]), "exact": exact} for exact in (1, 0) for model in models),
        *({"model": model, "num_layers": n, "exact": exact} for exact in (1, 0) for model in models for n in (1, 2, 3)),
    ]
    if not place.device.startswith("mps"):  # which has no double precision
        asked += [{"model": model, "num_layers": 2, "dtype": "float64", "exact": 0} for model in models]
    return [
        Check(
            _name(options), f"losses of {_ITERATIONS} iterations, nats from the CPU's", partial(_find, place, options)
        )
        for options in asked
    ]


def _name(options: dict) -> str:
    parts = [str(options["model"])]
    parts += [f"{options['num_layers']} layers".replace("1 layers", "1 layer")] if "num_layers" in options else []
    parts += [f"-dropout {options['dropout']}"] if "dropout" in options else []
    parts += ["-init_from"] if "init_from" in options else []
    parts += [f"-dtype {options['dtype']}"] if "dtype" in options else []
    return f"{' '.join(parts)} -exact {options['exact']}"


def _find(place: Place, options: dict) -> Finding:
    with runs.Folder() as folder:
        exact = runs.on_cpu(folder, _ITERATIONS, place, **{k: v for k, v in options.items() if k != "dtype"})
        part = runs.rounding(place, options["exact"], options.get("dtype", ""))
        allowed = runs.bounds(exact, folder, place, part, **{k: v for k, v in options.items() if k != "dtype"})
        found = runs.on_place(folder, _ITERATIONS, place, **options)
    figure, bound, when = runs.worst(found, exact, allowed)
    return Finding(figure, bound, runs.BECAUSE, when)
