"""The C kernel, compiled for other processors and run by an emulator, trains as here. Speed is not looked at."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernel_levels import LEVELS, needs_kernel
from kernel_replay import DTYPES, FIGURES, cases, write

from pycharrnn.engine import kernel_library

pytestmark = [needs_kernel, pytest.mark.slow]
SOURCE = Path(__file__).parents[1] / "kernel_replay.c"
FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-static", "-pthread"]  # as in setup.py
# name: compiler, its flags, what runs the program, whether it has a fused multiply-add
PROCESSORS = {
    "aarch64": ("aarch64-linux-gnu-gcc", [], ["qemu-aarch64"], True),
    "aarch64 with SVE": ("aarch64-linux-gnu-gcc", ["-march=armv8.2-a+sve"], ["qemu-aarch64", "-cpu", "max"], True),
    "x86 with AVX2": ("gcc", ["-mavx2", "-mfma"], ["qemu-x86_64", "-cpu", "max"], True),
    "x86 without AVX": ("gcc", [], ["qemu-x86_64", "-cpu", "Westmere"], False),
}


@pytest.fixture(scope="module", params=PROCESSORS)
def processor(request, tmp_path_factory):
    """(what to call to replay, whether it fuses)"""
    compiler, flags, emulator, fuses = PROCESSORS[request.param]
    if request.param == "x86 with AVX2" and "avx2" in LEVELS:
        pytest.skip("this processor has AVX2: the kernel's other tests use it")
    for program in (compiler, emulator[0]):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    program = tmp_path_factory.mktemp("replay") / "replay"
    subprocess.run([compiler, *FLAGS, *flags, "-o", program, SOURCE], check=True)
    return [*emulator, program], fuses


@pytest.mark.parametrize(("case", "threads"), [(("lstm", "float64"), 1), *((case, 3) for case in cases())])
def test_training(processor, case, threads, tmp_path):
    if not kernel_library.rounds_as_elsewhere():
        pytest.skip("this processor has no fused multiply-add to compare with")
    command, fuses = processor
    expected = write(tmp_path / "input", *case, threads)
    subprocess.run([*command, tmp_path / "input", tmp_path / "output"], check=True)
    found = (tmp_path / "output").read_bytes()
    if fuses:
        assert found == expected
    else:
        dtype = np.float64 if case[1] == "float64" else np.float32
        # A factor near the middle of two neighbours in bfloat16 may be rounded to the other one.
        tolerance = 2.0**-6 if case[1] == "bfloat16" else 200 * np.finfo(dtype).eps
        for content in (lambda b: np.frombuffer(b[:FIGURES]), lambda b: np.frombuffer(b[FIGURES:], dtype)):
            np.testing.assert_allclose(content(found), content(expected), rtol=tolerance, atol=100 * tolerance)
        assert found != expected


def test_there_are_cases():
    assert len(cases()) == 3 * len(DTYPES)
