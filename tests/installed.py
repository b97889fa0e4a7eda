"""Whether pycharrnn works as it was installed: python tests/installed.py [-kernel 0|1], on any Python that has it.

Draws from recorded checkpoints, and begins a recorded training where there is PyTorch, by the installed command. Needs
nothing else of the tests. Ends with status 1 and what is wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
COMMAND = shutil.which("pycharrnn", path=sysconfig.get_path("scripts"))
STEP = re.compile(r"^(\d+)/\d+ .* train_loss = (\S+),", re.M)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-kernel", type=int, choices=(0, 1), help="end with status 1 if there is none, or one")
    wanted = parser.parse_args().kernel
    import pycharrnn
    from pycharrnn.engine import kernel_library

    package, kernel = Path(pycharrnn.__file__).resolve().parent, kernel_library.name()
    print(f"pycharrnn {pycharrnn.__version__} in {package}, Python {platform.python_version()}, kernel {kernel}")
    if package.parent == HERE.parent:
        sys.exit("this is the checkout, no installation.")
    if wanted is not None and wanted != (kernel is not None):
        sys.exit(f"the kernel in use is {kernel}; {'; '.join(kernel_library.why_not_better())}.")
    with tempfile.TemporaryDirectory() as folder:
        print(f"{draw(folder)} samples, each byte as recorded")
        if importlib.util.find_spec("torch"):
            print(f"{train(folder)} losses, each digit as recorded")
        else:
            print("not trained: there is no PyTorch here")


def draw(folder: str) -> int:
    """Draw what was recorded of two models. Returns: how many samples there are."""
    count = 0
    for name in ("lstm2", "gru2"):
        for sample in json.loads((GOLDEN / name / "run.json").read_text(encoding="utf-8"))["samples"]:
            checkpoint = str(GOLDEN / name / sample["checkpoint"])
            printed = output(folder, "sample", checkpoint, "-gpuid", "-1", "-verbose", "0", *sample["args"])
            if printed != (GOLDEN / name / sample["stdout"]).read_bytes():
                sys.exit(f"{name}: another sample than {sample['stdout']}: {printed!r}")
            count += 1
    return count


def train(folder: str) -> int:
    """Begin the recorded training of an lstm. Returns: of how many iterations losses were compared."""
    recorded = GOLDEN / "lstm2"
    flags = json.loads((recorded / "run.json").read_text(encoding="utf-8"))["train"]
    data = Path(folder, flags[flags.index("-data_dir") + 1])
    data.mkdir(parents=True)
    shutil.copy(GOLDEN / "corpus" / "input.txt", data)
    ended = output(folder, "train", *flags, "-max_epochs", "0.0092")  # two iterations, of 221 an epoch
    ours, theirs = STEP.findall(ended.decode()), STEP.findall((recorded / "train.log").read_text(encoding="utf-8"))[:2]
    if ours != theirs:
        sys.exit(f"other losses than recorded: {ours}, recorded {theirs}")
    return len(ours)


def output(folder: str, *arguments: str) -> bytes:
    """What the installed command prints."""
    if COMMAND is None:
        sys.exit("the command pycharrnn was not installed.")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run([COMMAND, *arguments], cwd=folder, env=environment, capture_output=True)
    if ended.returncode:
        sys.exit(f"{' '.join(arguments)}: status {ended.returncode}: {ended.stderr.decode(errors='replace')}")
    return ended.stdout


if __name__ == "__main__":
    main()
