"""Rank mails by how much they differ from a model's training text: python score_mails.py CHECKPOINT FOLDER

Prints the bits per character of each mail (.eml) in a folder and its subfolders, the highest first.
"""

from __future__ import annotations

import argparse
import email.policy
import math
import os
import signal
import sys
from pathlib import Path

import pycharrnn


def body_of(file: Path) -> str:
    """The text of a mail, with U+FFFD for bytes of an unknown encoding; "" if it has none."""
    with file.open("rb") as f:
        mail = email.message_from_binary_file(f, policy=email.policy.default)
    part = mail.get_body(("plain", "html"))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):  # an encoding that Python does not know, or that is none of a text
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def main(checkpoint: str, folder: str) -> None:
    """Print a line for each mail."""
    model = pycharrnn.load(checkpoint)
    rows = []
    for file in sorted(path for path in Path(folder).rglob("*.eml") if path.is_file()):
        score = model.score(body_of(file))
        rows.append((score.bits_per_character, score.unknown.total(), file))
    if not rows:
        sys.exit(f"score_mails.py: there is no mail (.eml) below {folder}")
    # The bits of a mail without any known character are NaN. Such mails come first.
    for bits, unknown, file in sorted(rows, key=lambda row: -math.inf if math.isnan(row[0]) else -row[0]):
        name = os.fsencode(file.relative_to(folder)).decode("utf-8", "replace")
        print(f"{bits:.3f} bits per character, {unknown} unknown  {name}")


if __name__ == "__main__":
    for name in {"SIGINT", "SIGPIPE"} & set(dir(signal)):  # end without a traceback on Ctrl-C and a closed pipe
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("folder")
    args = parser.parse_args()
    try:
        main(args.checkpoint, args.folder)
    except (pycharrnn.UserError, OSError) as e:
        sys.exit(f"score_mails.py: {e}")
