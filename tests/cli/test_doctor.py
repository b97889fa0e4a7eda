"""pycharrnn doctor: it passes here, and it notices a machine that computes something else."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT

from pycharrnn.cli import doctor, machine_facts
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel_library
from pycharrnn.training.signals import RunStopped

BITS = ["bits", "bfloat16"] if kernel_library.rounds_as_elsewhere() else []


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(doctor, "_SECONDS", 0.05)


def test_facts_and_self_test():
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert re.match(r"pycharrnn \S+, Python 3\.\d+", lines[0])
    assert re.match(r"torch \d.*numpy \d.*click \d.*torchfile \d", lines[1])
    assert lines[2] == f"package: {ROOT / 'pycharrnn'}"
    assert any(re.match(r"CPU: .*threads?$", line) for line in lines)
    if level := kernel_library.name():
        (kernel,) = [line for line in lines if line.startswith(f"C kernel: {level}, which ")]
        assert f"; file {kernel_library.library()._name}" in kernel
    for name in ("bits", "bfloat16"):
        assert (f"self-test: {name:10} ok" in lines) == kernel_library.rounds_as_elsewhere()
    for name in ("training", "resuming", "sampling"):
        assert f"self-test: {name:10} ok" in lines
    assert sum(line.startswith("speed: ") for line in lines) >= 2


@pytest.mark.skipif(kernel_library.name() is None, reason="no kernel was compiled here")
def test_the_kernel_is_named(monkeypatch):
    def facts(level: str) -> str:
        monkeypatch.setenv("PYCHARRNN_KERNEL", level)
        kernel_library.library.cache_clear()
        return "".join(f"{line}\n" for line in doctor.machine_facts())

    try:
        printed = facts("any")
        assert "\nC kernel: any, which " in printed
        if kernel_library.best_level() != "any":
            assert "; avx2 is not what PYCHARRNN_KERNEL=any asks for\n" in printed
        assert f"\nC kernel: none, {kernel_library.SLOWER}; it is switched off by" in facts("off")
    finally:
        kernel_library.library.cache_clear()


@pytest.mark.parametrize(
    "breakage, tests",
    [
        (("pycharrnn.engine.rmsprop.RMSprop.epsilon", 1e-3), ["training", "resuming", *BITS, "sampling"]),
        (("compat.lua_random.LuaRandom.set_state", lambda *args: None), ["resuming", *BITS[:1]]),
        (("pycharrnn.sampling.stream.Stream.random_numbers", lambda self, count: np.zeros(count)), ["sampling"]),
        (("compat.charrnn.save", lambda *args, **keywords: 1 / 0), ["training", "resuming", *BITS, "sampling"]),
    ],
    ids=["optimiser", "random state", "draws", "saving"],
)
def test_a_fault_is_noticed(monkeypatch, breakage, tests):
    monkeypatch.setattr(*breakage)
    lines: list[str] = []
    with pytest.raises(UserError, match="the self-test failed: please report it"):
        doctor.examine(lines.append)
    failed = [line.split()[1] for line in lines if "FAILED: " in line]
    assert set(tests) <= set(failed)
    if tests == ["sampling"]:
        assert failed == tests


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="has a GPU")
def test_a_gpu_that_is_found_but_does_not_work(monkeypatch):
    """As on a virtual Mac: it is named, and the CPU is tested and measured alone."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    lines: list[str] = []
    doctor.examine(lines.append)
    (named,) = [line for line in lines if line.startswith("GPU: ")]
    assert named.startswith("GPU: Apple's, through MPS, which can't be used: Could not run ")
    assert not [line for line in lines if line.startswith("self-test: GPU")]
    assert [line for line in lines if line.endswith("on the GPU (default network)")] == []


class Busy:
    """A meter of a machine of four cores, of which other programs keep some busy."""

    def __init__(self, cores: float):
        self._cores = cores

    def others(self) -> float:
        return self._cores


def test_what_other_programs_take(monkeypatch):
    monkeypatch.setattr(doctor.cores, "usable", lambda: 4)
    monkeypatch.setattr(doctor, "self_tests", lambda: iter([]))
    monkeypatch.setattr(doctor, "speeds", lambda: iter([]))
    lines: list[str] = []
    doctor.examine(lines.append, Busy(2.0))
    assert lines[-1] == "other programs use 2.0 of 4 cores, which slows down steps"


@pytest.fixture
def examined(monkeypatch):
    """What doctor says with other tests of itself, and nothing of the machine."""

    def examine(*outcomes) -> list[str]:
        def test(outcome):
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        tests = [(f"test {k}", lambda outcome=outcome: test(outcome)) for k, outcome in enumerate(outcomes)]
        monkeypatch.setattr(doctor, "machine_facts", lambda: iter(["facts"]))
        monkeypatch.setattr(doctor, "self_tests", lambda: iter(tests))
        monkeypatch.setattr(doctor, "speeds", lambda: iter(["speeds"]))
        lines: list[str] = []
        try:
            doctor.examine(lines.append)
        except UserError as e:
            lines.append(str(e))
        return lines

    return examine


def test_one_fault_of_several_tests_is_enough(examined):
    reported = "the self-test failed: please report it with the lines above."
    assert examined(None, None) == ["facts", "self-test: test 0     ok", "self-test: test 1     ok", "speeds"]
    assert examined("odd", None) == [
        "facts",
        "self-test: test 0     FAILED: odd",
        "self-test: test 1     ok",
        "speeds",
        reported,
    ]
    assert examined(None, ValueError("odd"))[2:] == [
        "self-test: test 1     FAILED: ValueError: odd",
        "speeds",
        reported,
    ]


def test_ctrl_c_ends_the_self_test(examined):
    assert examined(RunStopped("stopped by Ctrl-C.", 130), None) == ["facts", "stopped by Ctrl-C."]
    assert examined(RunStopped("diverged.", 3))[1] == "self-test: test 0     FAILED: RunStopped: diverged."


RECORDED = ["5 0.106 3.30261041 5.3731e-01", "10 0.213 3.11169093 3.9806e-01"]


@pytest.mark.parametrize(
    "line",
    [
        "15 0.213 3.11169093 3.9806e-01",
        "10 0.214 3.11169093 3.9806e-01",
        "10 0.213 3.11169095 3.9806e-01",
        "10 0.213 3.11169091 3.9806e-01",
        "10 0.213 3.11169093 3.9816e-01",
        "10 0.213 3.11169093 3.9796e-01",
        "10 0.213 nan 3.9806e-01",
    ],
)
def test_differences(line):
    assert doctor.differences(RECORDED, RECORDED) is None
    assert doctor.differences(["5 0.106 3.30261042 5.3732e-01", RECORDED[1]], RECORDED) is None
    assert doctor.differences([RECORDED[0], line], RECORDED) == f"{line!r}, recorded {RECORDED[1]!r}"


def test_lines_that_are_missing():
    assert doctor.differences(RECORDED[:1], RECORDED) == "1 lines, recorded 2"
    assert doctor.differences([], RECORDED) == "0 lines, recorded 2"


def test_a_package_that_is_not_there():
    assert machine_facts._version("no-such-package-of-pycharrnn") == "not installed"


def test_the_time_of_a_step_is_the_median_in_milliseconds(monkeypatch):
    """By a clock that goes on by 1, 2, 10, 3 and 4 s in five steps, and then past the end."""
    steps = iter([1.0, 2.0, 10.0, 3.0, 4.0])
    now, reads = 0.0, 0

    def clock() -> float:
        nonlocal now, reads
        reads += 1
        if reads > 1 and reads % 3 == 1:  # the end of a step; the others look whether time is over, and at its start
            now += next(steps)
        return now

    monkeypatch.setattr(doctor.time, "perf_counter", clock)
    monkeypatch.setattr(doctor, "_SECONDS", 20.0)
    line = doctor._speed("cpu", doctor.torch.float64, "the CPU")
    assert line.startswith("speed: 3000.0 ms a step on the CPU: ")
