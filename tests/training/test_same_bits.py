"""The same seed gives the same checkpoint, to the last bit, whatever the processor, the threads and the compiler."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from conftest import run
from kernel_levels import LEVELS, needs_kernel

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli import doctor
from pycharrnn.engine import kernel_library

# Recorded once: doctor.bits after 300 iterations with dropout, in double precision with -exact 1, and in float32.
RECORDED = {
    ("lstm", "float64"): "64c0a6a1b1a48cb7575499b627d533faac892a7a3e52ff888ec01207a01b5fd5",
    ("lstm", "float32"): "fa4f5d156133b307417aa87321b5e46c25cbfde8c5d226e576f0da8dfe979176",
    ("gru", "float64"): "edb6aee7e7c5a16a1e5c5dc67d4a5ab05f41d85e43f78796a8b27d986af25232",
    ("gru", "float32"): "d0abd009f4c5a6bbe2a09c8c3797bdc9611d5fc1fe9868dfb7128d4617625d44",
    ("rnn", "float64"): "9049043f583c2213b068572ff3b0061d547434456549caf1b65912a4e5ef374a",
    ("rnn", "float32"): "246250a3cb940f86e204cfef6edb8f91f95cba7de4000d4264a2dbb909542663",
}
# lstm, double: each process adds up the gradient of its own rows, so the sum of all is rounded otherwise.
TWO_PROCESSES = "4f047d82159b4db3d8205f14e2ebaa178ead999148842506e23f2f7cb0a2e1fb"
ITERATIONS = 300
RUN = """
import sys, torch
from test_same_bits import trained
from pycharrnn.engine import kernel_library
for case in sys.argv[3:]:
    print(kernel_library.name(), case, trained(sys.argv[1], *case.split(","), int(sys.argv[2])))
"""

pytestmark = needs_kernel
IS_X86 = platform.machine() in ("x86_64", "AMD64")
FUSING = [name for name in LEVELS if not (IS_X86 and name == "any")]


def trained(folder, model, dtype, threads):
    """The bits of a checkpoint after ITERATIONS with dropout."""
    folder = Path(folder)
    (folder / "input.txt").write_bytes(doctor.training_text())
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    course = {"max_epochs": (ITERATIONS + 0.5) / 47, "eval_val_every": 150, "save_state": 1}
    options = {"model": model, "dtype": dtype, "exact": int(dtype == "float64"), **course}
    doctor.recorded_run(str(folder), **options)
    torch.set_num_threads(before)
    return doctor.bits(checkpoint.load(str(folder / "lm_lstm_latest.t7")))


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case[0] == "lstm" else pytest.mark.slow) for case in RECORDED],
    ids=" ".join,
)
def test_whatever_the_instructions_and_threads(level, tmp_path, case):
    if not kernel_library.rounds_as_elsewhere():
        pytest.skip("this level has no fused multiply-add, so it rounds otherwise")
    for threads in (1, 3) if case != ("lstm", "float64") else (1, 2, 3, 4):
        assert trained(tmp_path, *case, threads) == RECORDED[case], threads


def test_the_whole_file_is_the_same(tmp_path, monkeypatch):
    """Its options and its versions too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.txt").write_bytes(doctor.training_text())
    before, files = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        doctor.recorded_run(".")
        files.append((tmp_path / "lm_lstm_latest.t7").read_bytes())
    torch.set_num_threads(before)
    assert files[0] == files[1]
    loaded = checkpoint.load("lm_lstm_latest.t7")
    assert ("torch" in loaded.state.versions) != kernel_library.rounds_as_elsewhere()


def test_a_level_that_rounds_otherwise_says_so(tmp_path, monkeypatch):
    if not IS_X86:
        pytest.skip("no such level here")
    (tmp_path / "input.txt").write_bytes(doctor.training_text())
    small = ["-rnn_size", "8", "-batch_size", "4", "-seq_length", "10", "-max_epochs", "0.1", "-overwrite", "1"]
    for name, said in (("any", True), ("avx2", False)):
        if name in LEVELS:
            monkeypatch.setenv("PYCHARRNN_KERNEL", name)
            ended = run("train", "input.txt", *small, "-checkpoint_dir", ".", "-gpuid", "-1", cwd=tmp_path)
            assert ended.returncode == 0, ended.stderr
            assert (b"level 'any' has no fused multiply-add" in ended.stderr) == said


@pytest.mark.slow
def test_two_processes(tmp_path):
    (tmp_path / "input.txt").write_bytes(doctor.training_text())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "pycharrnn"]
    size = ["-rnn_size", "12", "-batch_size", "4", "-seq_length", "10", "-dropout", "0.2", "-learning_rate", "0.01"]
    course = ["-max_epochs", str((ITERATIONS + 0.5) / 47), "-eval_val_every", "150", "-gpuid", "-1", "-overwrite", "1"]
    for threads in ("1", "2"):
        env = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(kernel_library.PACKAGE.parent)}
        command = [*torchrun, "train", "-data_dir", ".", "-checkpoint_dir", ".", *size, *course]
        ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert doctor.bits(checkpoint.load(str(tmp_path / "lm_lstm_latest.t7"))) == TWO_PROCESSES


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_whatever_the_compiler(tmp_path, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    if compiler == Path((os.environ.get("CC") or sysconfig.get_config_var("CC") or "").split(" ")[0]).name:
        pytest.skip(f"{compiler} has compiled the kernel whose bits the other tests compare")
    copied = tmp_path / "source"
    for name in ("setup.py", "README.md", "pycharrnn", "compat"):
        copy = shutil.copytree if (kernel_library.PACKAGE.parent / name).is_dir() else shutil.copy2
        copied.mkdir(exist_ok=True)
        copy(kernel_library.PACKAGE.parent / name, copied / name)
    for built in (copied / "pycharrnn").glob("_kernel_*"):
        built.unlink()
    # The flags that Python was built with may be of the other compiler.
    flags = {"CC": compiler, "LDSHARED": f"{compiler} -shared", "CFLAGS": "-O2", "OPT": ""}
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=copied,
        env={**os.environ, **flags, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    here = Path(__file__).parent
    paths = [str(copied), str(here), str(here.parent)]
    for name in FUSING:
        cases = [",".join(case) for case in RECORDED]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYCHARRNN_KERNEL": name}
        found = subprocess.run(
            [sys.executable, "-c", RUN, tmp_path, "2", *cases], env=env, capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr
        assert found.stdout.splitlines() == [f"{name} {','.join(c)} {bits}" for c, bits in RECORDED.items()]
