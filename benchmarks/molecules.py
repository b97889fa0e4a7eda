"""Molecules of a model of items, by the measures of MOSES (Polykovskiy et al. 2020, arXiv 1811.12823).

    python benchmarks/molecules.py PACKAGE [-minutes 60] [-flags "..."] [-temperatures 1,0.9] [-model CHECKPOINT]

PACKAGE is the folder `moses` of the package molsets 0.3.1, unpacked or installed: its data/train.csv.gz has 1,584,663
SMILES, and its tables have the patterns of the filters. Nothing of it is imported; the package rdkit must be installed.
Trains `-items line -minutes MINUTES` on these molecules, or with -flags instead of -minutes, draws 30,000 molecules,
the number that MOSES asks for, and prints

- valid: the share that RDKit reads;
- unique@1k, unique@10k: distinct molecules among the first 1,000 and 10,000 valid ones;
- filters: the share of the valid ones that pass the medicinal chemistry filters and PAINS, have no charge, no ring of
  eight or more atoms, and no atom but C, N, S, O, F, Cl, Br, H;
- novel: the share of the distinct valid ones that are not among the SMILES of training.

These are the definitions of moses/metrics of molsets. Published for its CharRNN, 3 x 768 units, 80 epochs on a GPU:
valid 0.960, unique@10k 0.999, filters 0.992.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import arguments

try:
    from rdkit import Chem, RDLogger
except ModuleNotFoundError:  # --help needs none
    Chem = RDLogger = None

ATOMS = {"C", "N", "S", "O", "F", "Cl", "Br", "H"}
LARGEST_RING = 7


def molecules_of_training(package: Path) -> list[str]:
    with gzip.open(package / "dataset/data/train.csv.gz", "rt", encoding="ascii") as file:
        return [row["SMILES"] for row in csv.DictReader(file)]


def patterns(package: Path) -> list[Chem.Mol]:
    """The substructures that the filters refuse."""
    with open(package / "metrics/mcf.csv", encoding="ascii") as file:
        smarts = [row["smarts"] for row in csv.DictReader(file)]
    with open(package / "metrics/wehi_pains.csv", encoding="ascii") as file:
        smarts += [row[0].strip() for row in csv.reader(file) if row]
    return [Chem.MolFromSmarts(one) for one in smarts]


def passes(molecule: Chem.Mol, refused: list[Chem.Mol]) -> bool:
    """Whether a molecule passes the filters."""
    if any(len(ring) > LARGEST_RING for ring in molecule.GetRingInfo().AtomRings()):
        return False
    if any(atom.GetFormalCharge() or atom.GetSymbol() not in ATOMS for atom in molecule.GetAtoms()):
        return False
    with_hydrogen = Chem.AddHs(molecule)
    return not any(with_hydrogen.HasSubstructMatch(pattern) for pattern in refused)


def measures(drawn: list[str], known: set[str], refused: list[Chem.Mol]) -> dict[str, float]:
    read = [Chem.MolFromSmiles(one) for one in drawn]
    valid = [one for one in read if one is not None and one.GetNumAtoms()]
    canonical = [Chem.MolToSmiles(one) for one in valid]
    distinct = set(canonical)
    return {
        "valid": len(valid) / len(drawn),
        "unique@1k": len(set(canonical[:1000])) / len(canonical[:1000]),
        "unique@10k": len(set(canonical[:10_000])) / len(canonical[:10_000]),
        "filters": sum(passes(one, refused) for one in valid) / len(valid),
        "novel": len(distinct - known) / len(distinct),
    }


def train(folder: str, flags: list[str], smiles: list[str]) -> tuple[str, float, float]:
    """The best checkpoint of `pycharrnn train`, seconds, and seconds of a processor."""
    Path(folder, "molecules.txt").write_text("\n".join(smiles) + "\n", encoding="ascii")
    start, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "pycharrnn", "train", "molecules.txt", "-items", "line", *flags]
    subprocess.run([*command, "-gpuid", "-1", "-show", "0"], cwd=folder, check=True, stdout=sys.stderr)
    seconds, after = time.perf_counter() - start, os.times()
    (best,) = Path(folder, "cv").glob("*_best.t7")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return str(best), seconds, processor


def draw(checkpoint: str, count: int, temperature: float) -> list[str]:
    command = [sys.executable, "-m", "pycharrnn", "sample", checkpoint, "-items", str(count), "-gpuid", "-1"]
    command += ["-temperature", str(temperature), "-seed", "1", "-verbose", "0"]
    return subprocess.run(command, check=True, capture_output=True, encoding="ascii").stdout.splitlines()


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("-minutes", default="60")
    parser.add_argument("-flags", default="", help="of train, instead of -minutes")
    parser.add_argument("-drawn", type=int, default=30_000, help="number of molecules")
    parser.add_argument("-temperatures", default="1", help="such as 1,0.9: a row each")
    parser.add_argument("-model", default="", help="a checkpoint of these molecules, instead of training")
    parser.add_argument("-o", default="", help="the rows as JSON")
    args = parser.parse_args()
    if Chem is None:
        raise SystemExit("the package rdkit is missing: pip install rdkit")
    RDLogger.DisableLog("rdApp.*")
    smiles, refused = molecules_of_training(args.package), patterns(args.package)
    known, training, rows = set(smiles), {}, []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.model
        if not checkpoint:
            flags = args.flags.split() or ["-minutes", args.minutes]
            checkpoint, seconds, processor = train(folder, flags, smiles)
            training = {"flags": " ".join(flags), "s": round(seconds, 1), "processor s": round(processor, 1)}
        for temperature in map(float, args.temperatures.split(",")):
            drawn = draw(checkpoint, args.drawn, temperature)
            rows.append(row := training | {"temperature": temperature} | measures(drawn, known, refused))
            print(
                ", ".join(
                    f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                    for name, value in row.items()
                ),
                flush=True,
            )
    if args.o:
        Path(args.o).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
