"""How many cores there are, and what others take of them, by a clock and statistics that are made up."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT

from pycharrnn.common import cores


class Machine:
    """Four cores, of which this process may use three; it writes statistics as Linux does, and stops its clock."""

    def __init__(self, file, monkeypatch):
        self.file, self.clock, self.own = file, 100.0, 5.0
        self.ticks = {core: [0] * 10 for core in range(4)}
        monkeypatch.setattr(cores, "_STATISTICS", str(file))
        monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {0, 1, 3}, raising=False)
        monkeypatch.setattr(cores.os, "sysconf", lambda name: 100, raising=False)
        monkeypatch.setattr(
            cores,
            "time",
            SimpleNamespace(monotonic=lambda: self.clock, process_time=lambda: self.own, sleep=self.sleep),
        )
        self.write()

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def write(self) -> None:
        rows = [["cpu", *(sum(column) for column in zip(*self.ticks.values(), strict=True))]]
        rows += [[f"cpu{core}", *ticks] for core, ticks in self.ticks.items()]
        self.file.write_text(
            "\n".join(" ".join(map(str, row)) for row in [*rows, ["intr", 5, 0], ["ctxt", 7]]), encoding="utf-8"
        )

    def spend(self, seconds: float, own: float = 0, **busy: float) -> None:
        """Let time go on, in which each core is busy for some seconds: core0=1.5."""
        self.clock += seconds
        self.own += own
        for core, ticks in self.ticks.items():
            used = int(100 * busy.get(f"core{core}", 0))
            for column, share in ((0, used // 2), (1, used // 4), (2, used - used // 2 - used // 4)):
                ticks[column] += share
            ticks[3] += int(100 * seconds) - used - 10
            ticks[4] += 10  # waiting for a disk, which leaves the core free
            ticks[8] += used // 2  # of virtual machines here, which the first column counts as well
        self.write()


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    return Machine(tmp_path / "stat", monkeypatch)


def test_what_others_take_is_what_this_process_does_not(machine):
    machine.spend(3, own=2, core0=3, core1=1)  # before there is a meter
    meter = cores.Meter()
    machine.spend(2, own=1.5, core0=2, core1=1.5, core2=2, core3=1)  # core 2 is not ours to use
    assert meter.others() == pytest.approx((2 + 1.5 + 1 - 1.5) / 2)
    assert cores.usable() == 3


def test_a_free_machine_and_a_full_one(machine):
    meter = cores.Meter()
    machine.spend(1, own=0.9, core0=0.8)  # the clocks of Linux are not quite in step
    assert meter.others() == 0
    meter = cores.Meter()
    machine.spend(1, core0=1.02, core1=1.02, core3=1.02)
    assert meter.others() == 3


def test_half_a_second_is_measured_at_least(machine):
    meter = cores.Meter()
    machine.spend(0.25, core0=0.25)
    assert meter.others() == pytest.approx(0.5)
    assert machine.clock == 100.5


@pytest.mark.parametrize("content", [None, "", "cpu 1 2 3", "cpu0 1 2", "cpu0 a b c d e f g h", "cpux 1 2 3 4 5 6 7 8"])
def test_other_systems_do_not_tell(machine, content):
    before = cores.Meter()
    machine.file.unlink() if content is None else machine.file.write_text(content, encoding="utf-8")
    machine.clock += 1
    assert before.others() is None
    assert cores.Meter().others() is None


@pytest.mark.parametrize(
    ("value", "threads"),
    [("2", 2), (" 5,1", 5), ("", 3), ("0", 3), ("-1", 3), ("many", 3), ("99999", 1024), ("9" * 5000, 3), (None, 3)],
)
def test_threads_of_the_environment_else_one_for_each_core(machine, monkeypatch, value, threads):
    if value is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cores.default_threads() == threads


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_of_this_machine():
    found = cores.Meter().others()
    assert found is not None
    assert 0 <= found <= cores.usable() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "given, found", [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_threads_wait_as_the_user_asks_else_asleep(monkeypatch, given, found):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cores.os, "environ", dict(os.environ))
    cores.limit_spinning()
    assert os.environ.get("GOMP_SPINCOUNT") == found


@pytest.mark.parametrize("before, after", [(None, "1"), ("3", "3")])
def test_one_thread_unless_the_user_asks_for_more(before, after):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    if before:
        environment["OPENBLAS_NUM_THREADS"] = before
    code = "import os; from pycharrnn.common import cores; cores.use_threads(0); print(os.environ[{!r}])"
    command = [sys.executable, "-c", code.format("OPENBLAS_NUM_THREADS")]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip() == after


def test_threads_that_are_asked_for_are_pytorchs_and_numpys():
    """Whatever the environment says."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    code = "from pycharrnn.common import cores; cores.use_threads(1); import torch, os; print(torch.get_num_threads())"
    code += "; print(*(os.environ[f'{name}_NUM_THREADS'] for name in ('OMP', 'OPENBLAS', 'MKL')))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout.split() == ["1"] * 4
