"""A bot that answers each line with a line: python reply_bot.py CHECKPOINT [SEED]

The messages are lines of standard input; `reply` answers one of them.
"""

from __future__ import annotations

import argparse
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
    for name in {"SIGINT", "SIGPIPE"} & set(dir(signal)):  # end without a traceback on Ctrl-C and a closed pipe
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("seed", type=int, nargs="?")
    args = parser.parse_args()
    try:
        loaded = pycharrnn.load(args.checkpoint)
        for line in sys.stdin.buffer:
            message = line.decode(errors="replace").rstrip("\r\n")
            print(reply(loaded, message, args.seed), flush=True)
    except pycharrnn.UserError as e:
        sys.exit(f"reply_bot.py: {e}")
