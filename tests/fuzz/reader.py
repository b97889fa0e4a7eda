"""Give bytes to the reader, and what it makes of them to the model: the outcome is a value or an error of ours.

Run by hand, it searches for bytes that are something else, guided by what parts of the code they reach:

    pip install atheris
    python tests/fuzz/reader.py -max_total_time=3600 -timeout=10 -rss_limit_mb=1000 FOLDER

FOLDER keeps what it finds worth trying; small checkpoints, whole and damaged, are put there first, if it is empty. The
flags are libFuzzer's.
"""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from compat import CheckpointError, T7Error, charrnn
from compat.t7_reader import survey
from pycharrnn.checkpoints import t7_file
from pycharrnn.sampling.inference import NumpyPredictor


def use(content: bytes) -> bool:
    """Read as a file and as a checkpoint, which can then be run and saved; True if it could be read."""
    try:
        value = survey(content).value
    except T7Error:
        return False
    with contextlib.suppress(CheckpointError, T7Error):
        found = t7_file.from_value(value)
        with np.errstate(all="ignore"):
            NumpyPredictor(found.network).step(0)
            charrnn.to_table(found)
    return True


def main() -> None:
    import atheris

    from tests.fuzz.damage import damaged
    from tests.fuzz.originals import small_ones

    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    for folder in folders[:1]:
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            rng, whole = random.Random(0), small_ones()
            for k, content in enumerate([*whole, *(damaged(rng, "x.t7", rng.choice(whole)) for _ in range(300))]):
                (folder / f"{k}.t7").write_bytes(content)
    atheris.instrument_all()
    atheris.Setup(sys.argv, use)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
