"""Where the folder of a text, -data_dir, has the text."""

from __future__ import annotations

import os

INPUT_NAME = "input.txt"  # as in char-rnn


def input_file(folder: str) -> str:
    """The path of the text in a folder."""
    return os.path.join(folder, INPUT_NAME)
