"""Train for long with a save every 5 seconds, and watch memory, open files and what is on disk. To be run by hand:

    python tests/soak.py [-minutes 60]

Linux only. Fails unless, from the first minute to the end, memory stays within 2 %, no file descriptor more is open,
and every checkpoint that is listed can be loaded; then stops the run with SIGTERM and goes on with it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pycharrnn.checkpoints import checkpoint  # noqa: E402

EVERY = 5  # seconds, between saves and between looks


def memory_and_files(pid: int) -> tuple[int, int]:
    """(resident memory in KiB that belongs to the process alone, open file descriptors)"""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    return int(fields["RssAnon"].split()[0]), len(os.listdir(f"/proc/{pid}/fd"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-minutes", type=float, default=60)
    minutes = parser.parse_args().minutes
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    (folder / "data").mkdir()
    shutil.copy(ROOT / "tests" / "golden" / "corpus" / "input.txt", folder / "data")
    args = ["-data_dir", "data", "-gpuid", "-1", "-batch_size", "20", "-seq_length", "25", "-dropout", "0.2"]
    course = ["-max_epochs", "1000000", "-eval_val_every", "500", "-keep", "3"]
    command = [sys.executable, "-m", "pycharrnn", "train"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [*command, *args, *course, "-save_every_minutes", str(EVERY / 60)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    start, first, looks = time.monotonic(), None, []
    while (passed := time.monotonic() - start) < 60 * minutes:
        time.sleep(EVERY)
        assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")[-2000:]
        looks.append(memory_and_files(process.pid))
        if first is None and passed >= min(60, 30 * minutes):
            first = looks[-1]
            looks.clear()
    i = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").i
    for path in folder.glob("cv/*.t7"):
        checkpoint.load(path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 143, (folder / "log").read_text(encoding="utf-8")[-2000:]
    memory, files = ([look[k] for look in looks] for k in (0, 1))
    growth = memory[-1] / first[0] - 1
    print(f"{minutes:g} minutes, {i} iterations, {len(list(folder.glob('cv/*.t7')))} checkpoints at the end")
    print(f"memory {first[0] / 1024:.1f} MiB after a minute, {memory[-1] / 1024:.1f} at the end ({growth:+.2%})")
    print(f"         at most {max(memory) / 1024:.1f}, at least {min(memory) / 1024:.1f}")
    print(f"open files {first[1]} after a minute, {files[-1]} at the end")
    last = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7")
    again = ["-resume", "cv", "-max_epochs", str(last.epoch + 10.5 * last.epoch / last.i)]
    result = subprocess.run([*command, *again], cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"{last.i + 10}/" in result.stdout
    print("stopped with SIGTERM and resumed for 10 iterations")
    shutil.rmtree(folder)
    sys.exit(not (abs(growth) <= 0.02 and files[-1] <= first[1]))


if __name__ == "__main__":
    main()
