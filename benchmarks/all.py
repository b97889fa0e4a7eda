"""The tables of docs/performance.md from "Training" on, on the screen and as JSON in a file.

python benchmarks/all.py [-o benchmarks/results.json] [-megabytes 2000] [-seconds 3]
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import arguments
import busy_machine
import copies
import machine_limits
import memory
import preprocess
import sampling
import scoring
import serve_clients
import torch
import train_step


def processor() -> str:
    """Its name, as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def show(title: str, rows: list[dict[str, object]]) -> None:
    """A Markdown table."""
    print(f"\n{title}\n")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in rows:
        cells = (row.get(column, "") for column in columns)
        print("| " + " | ".join(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-o", default="benchmarks/results.json")
    parser.add_argument("-megabytes", type=int, default=2000)
    parser.add_argument("-seconds", type=float, default=3)
    args = parser.parse_args()
    cores = torch.get_num_threads()
    machine = {
        "processor": processor(),
        "cores": cores,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    parts = {
        "what the processor can do at most": lambda: machine_limits.figures(sorted({1, cores})),
        "a training step": lambda: train_step.figures(threads=sorted({1, cores}), seconds=args.seconds),
        "a training step beside busy loops, one a core": lambda: busy_machine.figures(
            threads=sorted({1, cores}), seconds=args.seconds / 3, loops=cores
        ),
        "sampling and start-up": sampling.figures,
        "score and eval": scoring.figures,
        "copied": copies.figures,
        "serving": serve_clients.figures,
        "preprocessing": lambda: preprocess.figures(args.megabytes),
        "memory of a training step": memory.figures,
    }
    found: dict[str, object] = {"machine": machine}
    for title, part in parts.items():
        found[title] = part()
        show(title, found[title])
    Path(args.o).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"\nwrote {args.o}")


if __name__ == "__main__":
    main()
