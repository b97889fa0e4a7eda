"""Losses at the beginning of a text, and what -state_reset does to them.

    python benchmarks/state_reset.py FOLDER [-recipes quick,best] [-values 0,0.05] [-seeds 123] [-o FILE.json]

FOLDER has an input.txt of 200,000 characters or more. As with -held_out 1 of minutes.py, a part of the text is kept
from all runs. Their best checkpoints read it twice: in pieces of 1,000 characters, each from a state of zeros, as
samples begin; and once with a state that is carried through all of it. Losses are nats per character: by position in a
piece, of all pieces, and of the text that was read in one go.
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import arguments
import numpy as np
from minutes import split

import pycharrnn

if TYPE_CHECKING:
    import numpy.typing as npt

PIECE = 1000  # characters
POSITIONS = (0, 10, 50, 100, 200, 500, PIECE)


def losses(model: pycharrnn.Model, text: str) -> dict[str, float]:
    """The losses of the known characters of a text, by what they are the means of."""
    whole = model.score(text)
    known = [character for character, is_known in zip(whole.characters, whole.known, strict=True) if is_known]
    starts = range(0, len(known) - PIECE, PIECE)
    # Nothing precedes the first character of a piece, so each has one more.
    pieces = np.stack([nats(model.score(b"".join(known[start : start + PIECE + 1]))) for start in starts])
    found = {
        f"{start} to {end}": float(pieces[:, start:end].mean())
        for start, end in zip(POSITIONS, POSITIONS[1:], strict=False)
    }
    return {**found, "pieces": float(pieces.mean()), "carried": float(nats(model.score(b"".join(known))).mean())}


def nats(score: pycharrnn.Score) -> npt.NDArray[np.float64]:
    """The loss of each character but the first."""
    return score.bits[1:] * math.log(2)


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("folder")
    parser.add_argument("-recipes", default="quick")
    parser.add_argument("-values", default="0,0.05", help="of -state_reset")
    parser.add_argument("-seeds", default="123")
    parser.add_argument("-o", default="", help="the rows as JSON")
    args = parser.parse_args()
    source = Path(args.folder, "input.txt")
    if not source.is_file():
        parser.error(f"there is no {source}")
    kept, held_out = split(source.read_bytes().decode(errors="surrogateescape"), lines=False)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "input.txt").write_bytes(kept.encode(errors="surrogateescape"))
        for recipe in args.recipes.split(","):
            for seed in args.seeds.split(","):
                for value in args.values.split(","):
                    run = pycharrnn.train(
                        data_dir=folder,
                        recipe=recipe,
                        state_reset=float(value),
                        seed=int(seed),
                        quiet=True,
                        checkpoint_dir=Path(folder, f"{recipe}_{seed}_{value}"),
                        gpuid=-1,
                    )
                    found = losses(run.best, held_out)
                    rows.append({"recipe": recipe, "seed": int(seed), "state_reset": float(value), **found})
                    print(f"{recipe}, seed {seed}, -state_reset {value}:", flush=True)
                    print("  " + ", ".join(f"{name} {loss:.3f}" for name, loss in found.items()), flush=True)
    if args.o:
        Path(args.o).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
