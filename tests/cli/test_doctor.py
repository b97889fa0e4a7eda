"""pycharrnn doctor: it passes here, and it notices a machine that computes something else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from click.testing import CliRunner
from conftest import ROOT

from pycharrnn.cli import doctor
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(doctor, "_SECONDS", 0.05)


def test_facts_and_self_test():
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert re.match(r"pycharrnn \S+, Python 3\.\d+", lines[0])
    assert re.match(r"torch \d.*numpy \d.*click \d.*torchfile \d", lines[1])
    assert re.match(r"CPU: .*threads", lines[2])
    assert f"C kernel: {kernel.name()}" in lines or kernel.name() is None
    for name in ("training", "resuming", "sampling"):
        assert f"self-test: {name:10} ok" in lines
    assert sum(line.startswith("speed: ") for line in lines) >= 2


@pytest.mark.skipif(kernel.name() is None, reason="no kernel was compiled here")
def test_the_kernel_is_named():
    environment = {**os.environ, "PYCHARRNN_KERNEL": "any"}
    code = "from pycharrnn.cli import doctor; print(*doctor.machine_facts(), sep='\\n')"
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout
    assert "\nC kernel: any\n" in printed
    environment["PYCHARRNN_KERNEL"] = "off"
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout
    assert "\nC kernel: none" in printed


@pytest.mark.parametrize(
    "breakage, tests",
    [
        (("pycharrnn.engine.rmsprop.RMSprop.epsilon", 1e-3), ["training", "resuming", "sampling"]),
        (("compat.lua_random.LuaRandom.set_state", lambda *args: None), ["resuming"]),
        (("pycharrnn.sampling.sampler.multinomial", lambda p, u: 0), ["sampling"]),
        (("compat.charrnn.save", lambda *args, **keywords: 1 / 0), ["training", "resuming", "sampling"]),
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


def test_from_an_installed_wheel(tmp_path):
    """The self-test needs no file beside the modules."""
    source = tmp_path / "source"
    for name in ("compat", "pycharrnn"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(tmp_path), str(source)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"no wheel can be built here: {built.stderr[-200:]}")
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import pycharrnn; print(pycharrnn.__file__)\n"
    code += "from pycharrnn.cli import doctor; doctor._SECONDS = 0; doctor.examine(print)"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(tmp_path / "site"))
    assert result.stdout.count(" ok\n") >= 3
