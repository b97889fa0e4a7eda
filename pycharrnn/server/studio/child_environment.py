"""The environment of processes of `pycharrnn studio` that run pycharrnn."""

from __future__ import annotations

import os
from pathlib import Path

import pycharrnn


def child_environment() -> dict[str, str]:
    """This process's environment, in which Python finds this pycharrnn, and nothing in the current folder."""
    own = str(Path(pycharrnn.__file__).parents[1])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": f"{own}{os.pathsep}{before}" if before else own}
