"""A bot that answers each line with a line: python reply_bot.py CHECKPOINT [SEED]

`reply` answers one message. Here, messages are lines of standard input.
"""

from __future__ import annotations

import signal
import sys

import pycharrnn

MAX_LENGTH = 280  # characters of an answer


def reply(model: pycharrnn.Model, message: str, seed: int | None = None) -> str:
    """An answer to a message; characters that the vocabulary lacks are left out."""
    text = model.generate(
        f"\n{message}\n",
        length=MAX_LENGTH,
        temperature=0.6,
        hide_prime=True,
        ignore_bad_primetext=True,
        seed=seed,
    )
    return text.strip().partition("\n")[0] or "..."  # the first line with text: dialogues have empty lines


if __name__ == "__main__":
    for name in {"SIGINT", "SIGPIPE"} & set(
        dir(signal)
    ):  # Ctrl-C and a closed pipe end the program without a traceback
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    loaded = pycharrnn.load(sys.argv[1])
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else None
    for line in sys.stdin:
        print(reply(loaded, line.rstrip("\n"), chosen), flush=True)
