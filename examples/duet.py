"""Two models in a dialog, line by line: python duet.py CHECKPOINT CHECKPOINT [LINES] [SEED]

The prompt of each line is the dialog so far, without characters that the model's vocabulary lacks.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator

import pycharrnn

CONTEXT = 1000  # characters of the dialog that a model reads


def duet(models: list[pycharrnn.Model], lines: int, seed: int) -> Iterator[str]:
    """Yield lines of the models in turn."""
    dialog = ""
    for k in range(lines):
        text = models[k % len(models)].generate(
            dialog[-CONTEXT:] or "\n",
            length=200,
            temperature=0.6,
            hide_prime=True,
            ignore_bad_primetext=True,
            seed=seed + k,
        )
        line = text.lstrip("\n").partition("\n")[0]  # the first line with text: dialogues have empty lines
        dialog += line + "\n"
        yield line


if __name__ == "__main__":
    for name in {"SIGINT", "SIGPIPE"} & set(dir(signal)):  # end without a traceback on Ctrl-C and a closed pipe
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs=2)
    parser.add_argument("lines", type=int, nargs="?", default=10)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    args = parser.parse_args()
    try:
        for number, line in enumerate(duet([*map(pycharrnn.load, args.checkpoint)], args.lines, args.seed)):
            print(f"{'AB'[number % 2]}: {line}", flush=True)
    except pycharrnn.UserError as e:
        sys.exit(f"duet.py: {e}")
