"""Give bytes to the reader, and what it makes of them to the model: the outcome is a value or an error of ours.

Run by hand, it searches for bytes that are something else, guided by what parts of the code they reach:

    pip install atheris
    python tests/fuzz/reader.py -max_total_time=3600 -timeout=10 -rss_limit_mb=1000 FOLDER [ENDING]

ENDING is that of another format than .t7, as .onnx. FOLDER keeps what it finds worth trying; small checkpoints, whole
and damaged, are put there first, if it is empty. The flags are libFuzzer's.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
from functools import partial
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from compat import CheckpointError, T7Error, charrnn
from compat.t7_reader import survey
from pycharrnn.checkpoints import checkpoint, t7_file
from pycharrnn.common.errors import UserError
from pycharrnn.sampling.numpy_predictor import NumpyPredictor


def use(content: bytes) -> bool:
    """Read as a file and as a checkpoint, which can then be run and saved; True if it could be read."""
    try:
        value = survey(content).value
    except T7Error:
        return False
    with contextlib.suppress(CheckpointError, T7Error):
        run(t7_file.from_value(value))
    return True


def use_file(ending: str, content: bytes) -> bool:
    """As `use`, for the content of a file of another format."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"x{ending}"
        file.write_bytes(content)
        try:
            found = checkpoint.load(file)
        except UserError:
            return False
    run(found)
    return True


def run(found: charrnn.Checkpoint) -> None:
    """Predict a character, and make what is saved."""
    with np.errstate(all="ignore"):
        NumpyPredictor(found.network).step(0)
        charrnn.to_table(found)


def main() -> None:
    import atheris

    from tests.fuzz.damage import damaged
    from tests.fuzz.originals import all_of_them, small_ones

    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    ending = words[1] if len(words) > 1 else ".t7"
    for folder in map(Path, words[:1]):
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            whole = small_ones() if ending == ".t7" else [o.content for o in all_of_them() if o.name.endswith(ending)]
            rng = random.Random(0)
            for k, content in enumerate([*whole, *(damaged(rng, f"x{ending}", rng.choice(whole)) for _ in range(300))]):
                (folder / f"{k}{ending}").write_bytes(content)
    atheris.instrument_all()
    atheris.Setup([word for word in sys.argv if word != ending], use if ending == ".t7" else partial(use_file, ending))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
