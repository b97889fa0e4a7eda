"""Two models talk to each other, line by line: python duet.py CHECKPOINT CHECKPOINT [LINES] [SEED]

Each hears what both have said, as far as it knows the characters, and goes on from there.
"""

from __future__ import annotations

import sys

import pycharrnn

HEARD = 1000  # characters of what was said before that a voice reads


def duet(voices: list[pycharrnn.Model], lines: int, seed: int) -> list[str]:
    """What the voices say in turn."""
    said: list[str] = []
    for k in range(lines):
        heard = "".join(f"{line}\n" for line in said)[-HEARD:] or "\n"
        line = voices[k % len(voices)].generate(
            heard,
            length=200,
            temperature=0.6,
            stop="\n",
            hide_prime=True,
            ignore_bad_primetext=True,
            seed=seed + k,
        )
        said.append(line.strip("\n"))
    return said


if __name__ == "__main__":
    first, second, *numbers = sys.argv[1:]
    count, start = ([int(number) for number in numbers] + [10, 1][len(numbers) :])[:2]
    for number, said_line in enumerate(duet([pycharrnn.load(first), pycharrnn.load(second)], count, start)):
        print(f"{'AB'[number % 2]}: {said_line}")
