"""Peak memory of a training step beside -seq_length, ours and the same network on torch.nn with autograd. Linux only.

    python benchmarks/memory.py

It takes some minutes. Default network in double precision, each in a process of its own; what importing takes is
subtracted.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import arguments

ROOT = Path(__file__).parents[1]
CHILD = """
import sys, torch
sys.path[:0] = sys.argv[3:]
import train_step
def peak(): return int(next(l for l in open("/proc/self/status") if "VmHWM" in l).split()[1]) / 1024
T = int(sys.argv[2])
x = torch.randint(train_step.V, (T, train_step.B))
train_step.torch_nn("lstm", 1, 4, torch.float64, 2)(x[:2], x[:2])  # loads what is loaded late
before = peak()
step = getattr(train_step, sys.argv[1])("lstm", 2, 128, torch.float64, T)
for _ in range(3): step(x, x)
print(peak() - before)
"""


def megabytes(which: str, T: int) -> float:
    command = [sys.executable, "-c", CHILD, which, str(T), str(ROOT / "benchmarks"), str(ROOT)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def figures(lengths=(50, 100, 200, 400)) -> list[dict[str, object]]:
    """One row a sequence length."""
    return [
        {
            "-seq_length": T,
            "pycharrnn MB": round(megabytes("ours", T), 1),
            "torch.nn MB": round(megabytes("torch_nn", T), 1),
        }
        for T in lengths
    ]


def main() -> None:
    arguments.parser(__doc__).parse_args()
    for row in figures():
        print(", ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
