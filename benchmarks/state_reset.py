"""Losses at the beginning of a text, and what -state_reset does to them.

    python benchmarks/state_reset.py FOLDER [-recipes quick,best] [-values 0,0.05] [-seeds 123] [-o FILE.json]

FOLDER has an input.txt of 200,000 characters or more. As with -held_out 1 of minutes.py, a part of the text is kept
from all runs. Their best checkpoints read it twice: in pieces of 1,000 characters, each from a state of zeros, as
samples begin; and once with a state that is carried through all of it. Losses are nats per character: by position in a
piece, of all pieces, and of the text that was read in one go.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from minutes import split

import pycharrnn

PIECE = 1000  # characters
POSITIONS = (0, 10, 50, 100, 200, 500, PIECE)


def losses(model: pycharrnn.Model, text: str) -> dict[str, float]:
    """The losses of a text without unknown characters, by what they are the means of."""
    ids = torch.from_numpy(model.encode("".join(filter(lambda character: is_known(model, character), text))))
    whole = (len(ids) - 1) // PIECE * PIECE
    pieces = nll(model, ids[:whole].view(-1, PIECE).T, ids[1 : whole + 1].view(-1, PIECE).T)
    found = {
        f"{start} to {end}": float(pieces[start:end].mean())
        for start, end in zip(POSITIONS, POSITIONS[1:], strict=False)
    }
    carried = nll(model, ids[:whole, None], ids[1 : whole + 1, None])
    return {**found, "pieces": float(pieces.mean()), "carried": float(carried.mean())}


def is_known(model: pycharrnn.Model, character: str) -> bool:
    encoded = character.encode(errors="surrogateescape")
    return encoded in model.vocab or all(bytes([byte]) in model.vocab for byte in encoded)


@torch.no_grad()
def nll(model: pycharrnn.Model, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss of each character y (T, B), with x (T, B) before it."""
    log_probs, _ = model(x)
    return -log_probs.gather(2, y[:, :, None])[:, :, 0]


def main() -> None:
    parser = argparse.ArgumentParser()
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
