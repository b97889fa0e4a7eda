"""A bot that answers each line with a line of its own: python reply_bot.py CHECKPOINT [SEED]

`reply` is what a bot of any chat needs; here, messages are lines of standard input.
"""

from __future__ import annotations

import sys

import pycharrnn

MOST = 280  # characters of an answer
TRIES = 5  # an answer may be an empty line: then it answers anew


def reply(model: pycharrnn.Model, message: str, seed: int | None = None) -> str:
    """An answer to a message; what the model has never seen in it is passed over."""
    for k in range(TRIES):
        answer = model.generate(
            f"\n{message}\n",
            length=MOST,
            temperature=0.6,
            stop="\n",
            hide_prime=True,
            ignore_bad_primetext=True,
            seed=None if seed is None else seed + k,
        ).strip()
        if answer:
            return answer
    return "..."


if __name__ == "__main__":
    loaded = pycharrnn.load(sys.argv[1])
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else None
    for line in sys.stdin:
        print(reply(loaded, line.rstrip("\n"), chosen), flush=True)
