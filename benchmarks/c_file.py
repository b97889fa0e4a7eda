"""Measures the characters per second of a .c file with double weights beside the C kernel's, in processor time.

    python benchmarks/c_file.py [-length 5000] [-repeats 5]

The model has char-rnn's default size, a 2x128 lstm over 65 characters, with random weights, and samples one stream. The
file is compiled with -O3 -march=native, where multiply-adds are instructions, and with -O3 alone. Needs gcc.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import arguments
from sampling import in_turns, model

from pycharrnn.checkpoints import checkpoint, formats
from pycharrnn.sampling import sampler
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.options import SampleOptions


def of_kernel(length: int) -> float:
    loaded = model()
    predictor = on_cpu(loaded.network)
    start = time.process_time()
    for _ in sampler.sample(predictor, loaded.vocab, SampleOptions(length=length), b""):
        pass
    return length / (time.process_time() - start)


def of_program(program: Path, length: int) -> float:
    before = os.times().children_user
    subprocess.run([program, "-length", str(length)], stdout=subprocess.DEVNULL, check=True)
    return length / (os.times().children_user - before or 0.01)  # the clock's unit


def figures(length: int, repeats: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "model.c")
        checkpoint.convert(model(), source, formats.WriteOptions(weights="double"))
        programs = {}
        for name, options in {".c file, -march=native": ["-march=native"], ".c file": []}.items():
            programs[name] = Path(folder, f"model{len(programs)}")
            subprocess.run(["gcc", "-O3", *options, source, "-o", programs[name], "-lm"], check=True)
        measures = {"C kernel": lambda: of_kernel(length)}
        for name, program in programs.items():
            measures[name] = lambda program=program: of_program(program, length)
        found = in_turns(measures, repeats)
    return {**found, "ratio": found["C kernel"] / found[".c file, -march=native"]}


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-length", type=arguments.count, default=5000)
    parser.add_argument("-repeats", type=arguments.count, default=5)
    args = parser.parse_args()
    print(json.dumps({name: round(value, 2) for name, value in figures(args.length, args.repeats).items()}, indent=2))


if __name__ == "__main__":
    main()
