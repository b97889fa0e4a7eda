"""Everything that needs a GPU, on a machine with python3, PyTorch, NumPy, click and torchfile, without a network:

    python3 tests/gpu/run.py [--json gpu.json] [--seconds 470] [--only TEXT]...

Each group of checks runs in a process of its own, so that one that crashes takes no other along, and has a share of the
time; what it can't finish in that is cut off, and done in the end if time is left. Last come a table, why its bounds
are what they are, and the JSON file.
The exit status is 1 if anything failed or was cut off.

Without a GPU the same checks run on a CPU in its place, as far as they can, and the table says what waits for one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.machinery
import importlib.metadata
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.gpu import report
from tests.gpu.report import CUT, FAILED, Row

ROOT = Path(__file__).parents[2]
PACKAGES = Path(__file__).parent / "packages"  # what `make gpu-packages` has put there
# The groups in the order of their importance, with their shares of the time, in seconds of 470.
SHARES = {
    "losses": 150,
    "paths": 30,
    "resuming": 30,
    "samples": 40,
    "precision": 60,
    "processes": 90,
    "memory": 35,
    "doctoring": 35,
}
_WORTHWHILE = 10.0  # seconds: it takes some to load PyTorch


def missing() -> str | None:
    """What to do where a package is missing, in a sentence, or None."""
    path = [*sys.path, str(PACKAGES)]
    lacks = [
        name
        for name in ("torch", "numpy", "click", "torchfile")
        if not any(importlib.machinery.PathFinder.find_spec(name, [folder]) for folder in path)
    ]
    if not lacks:
        return None
    return (
        f"this python3 has no {' and no '.join(lacks)}; for torchfile, run `make gpu-packages` where there is a"
        " network, and bring the folder tests/gpu/packages along."
    )


def machine() -> dict[str, object]:
    """Versions, and the machine; a group's process adds what PyTorch knows of it."""
    versions = {name: _version(name) for name in ("numpy", "click", "torchfile")}
    return {"python": platform.python_version(), "platform": platform.platform(), "cores": os.cpu_count(), **versions}


def _version(package: str) -> str:
    found = importlib.metadata.distributions(name=package, path=[*sys.path, str(PACKAGES)])
    return next((one.version for one in found), "a file")


def _environment() -> dict[str, str]:
    """Of the processes that do the checks: they find the project, and what was brought along."""
    path = [str(ROOT), *([str(PACKAGES)] if PACKAGES.is_dir() else []), os.environ.get("PYTHONPATH", "")]
    threads = "1"  # the CPU's runs are small, and where others compute as well, threads would wait for one another
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "OMP_NUM_THREADS": threads}


class _Group:
    """A process that does the checks of a group, and what it says."""

    def __init__(self, name: str, only: list[str]):
        self.name, self.machine = name, {}
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), "--group", name, *(f"--only={part}" for part in only)],
            cwd=ROOT,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def rows(self, seconds: float) -> list[Row]:
        """What it found in this time, a row for each of its checks."""
        end = time.monotonic() + seconds
        planned, done, cut = None, [], False
        try:
            while (line := self._lines.get(timeout=max(0.0, end - time.monotonic()))) is not None:
                said = json.loads(line)
                if planned is None:
                    self.machine, planned = said["machine"], [Row(**row) for row in said["planned"]]
                else:
                    done.append(Row(**said))
        except queue.Empty:
            cut = True
        self._end()
        if cut:
            why = f"its share of the time, {max(seconds, 0):.0f} s, was over"
        else:
            why = f"the process ended with {self._process.returncode}: {self._last_error()}"
        verdict = CUT if cut else FAILED
        if planned is None:
            return [Row(self.name, "all", "to be asked at all", verdict, detail=why)]
        rest = planned[len(done) :]
        return [*done, *(Row(r.check, r.name, r.asked, verdict, where=r.where, detail=why) for r in rest)]

    def _end(self) -> None:
        """End it, and what it has started."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def _last_error(self) -> str:
        self._errors.seek(0)
        return " / ".join(self._errors.read().strip().splitlines()[-3:])


def check_all(seconds: float, only: list[str]) -> tuple[dict[str, object], list[Row]]:
    """Do all groups, one after another; what is left of the time in the end is for what was cut off.

    Returns: what PyTorch knows of the machine, and all rows.
    """
    end = time.monotonic() + seconds
    shares = {name: share for name, share in SHARES.items() if any(_may_contain(name, part) for part in only)}
    facts, rows = _in_turn(shares, dict.fromkeys(shares, only), end)
    again: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict == CUT:
            again.setdefault(row.check, []).append(f"{row.check}: {row.name}")
    if end - time.monotonic() < _WORTHWHILE:
        return facts, rows
    later = {(row.check, row.name): row for row in _in_turn({name: SHARES[name] for name in again}, again, end)[1]}
    return facts, [later.get((row.check, row.name), row) for row in rows]


def _in_turn(shares: dict[str, int], only: dict[str, list[str]], end: float) -> tuple[dict[str, object], list[Row]]:
    """Do groups until `end`; what one leaves of its share is the others'. Returns: as check_all."""
    facts: dict[str, object] = {}
    rows: list[Row] = []
    for k, name in enumerate(shares):
        group = _Group(name, only[name])
        found = group.rows((end - time.monotonic()) * shares[name] / sum(list(shares.values())[k:]))
        for row in found:
            print(f"{row.verdict:16} {row.check}: {row.name} {row.detail}".rstrip(), file=sys.stderr, flush=True)
        rows += found
        facts = facts or group.machine
    return facts, rows


def _may_contain(group: str, part: str) -> bool:
    """Whether a check of the group may have `part` in "group: name"."""
    return ": " not in part or part.startswith(f"{group}: ")


def unknown(only: list[str]) -> str | None:
    """The first of these that no check has in its "group: name", or None."""
    heads = [f"{group}: " for group in SHARES]
    # A wrong name in one group is found soon enough.
    doubtful = [part for part in only if not any(part in head or part.startswith(head) for head in heads)]
    if not doubtful:
        return None
    command = [sys.executable, str(Path(__file__)), "--list"]  # a process of its own, as for all that needs PyTorch
    listed = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True)
    known = listed.stdout.splitlines() if listed.returncode == 0 else doubtful  # the checks themselves say what fails
    return next((part for part in doubtful if not any(part in name for name in known)), None)


def _no_such_check(part: str) -> str:
    return f"no check has {part!r} in 'group: name': run.py --list names them all."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", default="gpu.json", help="the file to write")
    parser.add_argument("--seconds", type=float, default=470, help="the time for all")
    parser.add_argument(
        "--only", action="append", help="only checks that have this in 'group: name'; may be given several times"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the checks alone")
    parser.add_argument("--group", help=argparse.SUPPRESS)  # be the process that does one group
    args = parser.parse_args()
    if sentence := missing():
        raise SystemExit(sentence)
    if args.list:
        from tests.gpu import checking

        print(*checking.names(SHARES), sep="\n")
        return
    only = args.only or [""]
    if args.group:
        from tests.gpu import checking

        stdout, sys.stdout = sys.stdout, sys.stderr  # what else is printed is none of the rows
        checking.do(args.group, only, lambda line: print(line, file=stdout, flush=True))
        return
    if wrong := unknown(args.only or []):
        raise SystemExit(_no_such_check(wrong))
    start = time.monotonic()
    of_pytorch, rows = check_all(args.seconds, only)
    if not rows:
        raise SystemExit(_no_such_check(only[0]))
    facts = {**machine(), **of_pytorch}
    print("", ", ".join(f"{key} {value}" for key, value in facts.items()), "", *report.table(rows), sep="\n")
    print("", "Why these bounds:", "", *report.reasons(rows), sep="\n")
    seconds = time.monotonic() - start
    Path(args.json).write_text(report.as_json(facts, rows, seconds), encoding="utf-8")
    print(f"\n{report.summary(rows)}, in {seconds:.0f} s; wrote {args.json}")
    raise SystemExit(0 if report.holds(rows) else 1)


if __name__ == "__main__":
    main()
