"""Damage whole files and give them to every command that reads one. Linux only; a few cases are part of the tests:

    python tests/fuzz/run.py [-cases 100000] [-seed 0] [-only K] [-keep FOLDER]

Prints a line for each fault, which is anything but success or one sentence, 10 seconds, and three times the file and
300 MB of memory; and last, figures. -only K repeats case K of a seed, -keep FOLDER keeps the files that made a fault.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[2]))

from pycharrnn.checkpoints import formats
from tests.fuzz import commands, originals
from tests.fuzz.damage import damaged

_CHARACTERS, _BATCH, _LENGTH = 1500, 3, 10
_CACHE = ("vocab.t7", "data.t7")
_WORK = "somewhere/below"
_BATCHES = int(_CHARACTERS // (_BATCH * _LENGTH) * 0.95)  # in the training split, so many an epoch


@dataclass
class Figures:
    """What has been seen: by command, how often each exit status; the slowest command, the most memory, the faults."""

    cases: int = 0
    statuses: Counter = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    memory: int = 0
    faults: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        table = [
            f"{name:12} {count:7} ended with exit status {status}"
            for (name, status), count in sorted(self.statuses.items())
        ]
        seconds, where = self.slowest
        return [
            *table,
            f"{self.cases} cases, {len(self.faults)} faults; slowest {seconds:.2f} s ({where}); at most"
            f" {self.memory >> 20} MB of memory",
        ]


def fuzz(cases, seed: int, keep: Path | None = None, say=lambda line: None) -> Figures:
    """Run the cases, numbers; each depends on its number and the seed alone."""
    commands.prepare()
    whole, figures = originals.all_of_them(), Figures()
    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        folder = Path(name)
        _texts(folder)
        commands.draw_only_new_losses([_write(folder / "data" / o.name, o.content) for o in whole if o.text])
        for case in cases:
            rng = random.Random(f"{seed} {case}")
            original = rng.choice(whole)
            content = damaged(rng, original.name, original.content)
            file = _place(folder, original.name, content)
            lines = _lines(rng, file, original)
            outcomes, memory = commands.run_all(folder / _WORK, len(content), lines, [rng.choice(lines[1:])])
            outcomes += [commands.Outcome("all", f"wrote {path}") for path in _strays(folder)]
            figures.cases += 1
            figures.memory = max(figures.memory, memory)
            for outcome in outcomes:
                command = outcome.command.split()[0]
                figures.statuses[command, outcome.status] += 1
                figures.slowest = max(figures.slowest, (outcome.seconds, f"{command}, case {case}"))
                if outcome.fault:
                    which = f"-seed {seed} -only {case} ({original.name})"
                    figures.faults.append(f"{which}: {outcome.command}: {outcome.fault}")
                    say(f"FAULT {figures.faults[-1]}")
                    if keep:
                        keep.mkdir(parents=True, exist_ok=True)
                        shutil.copy(folder / _WORK / file, keep / f"{seed}_{case}_{original.name}")
            if figures.cases % 1000 == 0:
                say(figures.lines()[-1])
    return figures


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _texts(folder: Path) -> None:
    """The texts that the checkpoints know."""
    for name in ("corpus", "utf8"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "input.txt").write_bytes(originals.text(name, _CHARACTERS))
        (folder / "data" / f"{name}.txt").write_bytes(originals.text(name, 200)[100:])


def _place(folder: Path, name: str, content: bytes) -> Path:
    """Put a damaged file into a new folder to work in, where the texts are as well, by the names that checkpoints know.

    A cache stands beside its text, and is newer.
    """
    work = folder / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "data").symlink_to(folder / "data")
    if name not in _CACHE:
        (work / name).write_bytes(content)
        return Path(name)
    (work / "cached").mkdir()
    for file in ("input.txt", *_CACHE):
        shutil.copy(originals.GOLDEN / "corpus" / file, work / "cached" / file)
    (work / "cached" / name).write_bytes(content)
    return Path("cached") / name


def _strays(folder: Path) -> list[str]:
    """What has been written outside the folder to work in."""
    above = [folder / path for path in Path(_WORK).parents]
    found = [path.relative_to(folder) for part in above for path in part.iterdir()]
    return [str(path) for path in found if path != Path("data") and path not in (Path(_WORK), *Path(_WORK).parents)]


def _lines(rng: random.Random, file: Path, original: originals.Original) -> list[list[str]]:
    """The command lines for a file; where the first fails, one other is enough."""
    name, sizes = str(file), ["-batch_size", str(_BATCH), "-seq_length", str(_LENGTH)]
    small, place = ["-gpuid", "-1", "-lock", "0"], ["-checkpoint_dir", "cv", "-savefile"]
    if file.parent.name == "cached":
        tiny = [*small, *place, "x", *sizes, "-rnn_size", "4", "-num_layers", "1", "-max_epochs", "0.001"]
        return [["inspect", name], ["train", "-data_dir", "cached", *tiny]]
    data, short = ["-data_dir", f"data/{original.text}"], f"data/{original.text}.txt"
    begun, gone_on = str(1.5 / _BATCHES), str((original.done + 2) / _BATCHES)
    drawing = rng.choice((["-sample", "0"], ["-beam", "2"], ["-topk", "3"], ["-samples", "2"], []))
    tuned = [*data, *small, *place, "x", *sizes, "-vocab", "extend", "-max_epochs", begun]
    resumed = [*data, *small, *rng.choice(([*place, "y"], [])), *rng.choice((sizes, [])), "-max_epochs", gone_on]
    return [
        ["inspect", name, "-json", str(rng.randrange(2))],
        ["sample", name, "-gpuid", "-1", "-length", "6", "-primetext", "T", "-ignore_bad_primetext", "1", *drawing],
        ["eval", name, *rng.choice((data, [*data, *sizes], []))],
        ["score", name, short],
        ["convert", name, f"o{rng.choice((*formats.ENDINGS, '.html'))}"],
        ["activations", name, "-primefile", short, "-o", "a.html"],
        ["train", "-init_from", name, *tuned],
        ["train", "-resume", name, *resumed],
        ["plot", name, "-o", "l.svg"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-cases", type=int, default=1000)
    parser.add_argument("-seed", type=int, default=0)
    parser.add_argument("-only", type=int)
    parser.add_argument("-keep", type=Path)
    a = parser.parse_args()
    start = time.monotonic()
    cases = range(a.cases) if a.only is None else [a.only]
    figures = fuzz(cases, a.seed, a.keep, lambda line: print(line, flush=True))
    print("\n".join(figures.lines()))
    print(f"{60 * figures.cases / (time.monotonic() - start):.0f} cases a minute")
    sys.exit(bool(figures.faults))


if __name__ == "__main__":
    main()
