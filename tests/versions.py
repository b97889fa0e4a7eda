"""The tests on every Python, and with the lowest and the newest packages, that setup.py admits.

`make test-versions` gives this file to nox, which makes an environment for each session in build/versions; uv installs.
What follows `--` is pytest's. A Python that is not on this machine is a skipped session, which nox names.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
PYTHONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "setup.py").read_text(encoding="utf-8"))
# What warns in ours fails. What warns in a package that pycharrnn uses, or its tests, is that package's to mend.
WARNINGS = [
    "error::DeprecationWarning",
    "ignore::pyparsing.warnings.PyparsingDeprecationWarning",  # what matplotlib 3.8 calls
    "ignore:The anyio.abc.BlockingPortal alias:DeprecationWarning",  # what starlette-testclient asks for
]
FACTS = """
import sys, numpy, torch
from pycharrnn.engine import kernel_library
print("Python", sys.version.split()[0], "PyTorch", torch.__version__, "NumPy", numpy.__version__, end=" ")
print("C kernel", kernel_library.name(), *kernel_library.why_not_better())
"""

nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.envdir = str(ROOT / "build" / "versions")
nox.options.stop_on_first_error = False
# pyenv keeps each Python in a folder of its own.
pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob("3.*/bin")
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, sorted(pyenv))])


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """With the newest packages that there are for this Python."""
    _test(session, "highest")


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """With the lowest version of each package that setup.py names."""
    _test(session, "lowest-direct")


def _test(session: nox.Session, resolution: str) -> None:
    session.chdir(ROOT)
    session.install("--resolution", resolution, "--editable", ".[test]")
    session.run("python", "-c", FACTS)
    warnings = [part for warning in WARNINGS for part in ("-W", warning)]
    at_once = ["-n", "3", "--dist", "loadfile"]
    session.run("python", "-m", "pytest", "-q", *at_once, *warnings, *session.posargs, env={"OMP_NUM_THREADS": "1"})
