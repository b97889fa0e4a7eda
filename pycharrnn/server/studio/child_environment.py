"""The environment of processes of `pycharrnn studio` that run pycharrnn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pycharrnn


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Python finds this pycharrnn, and nothing in the current folder."""
    own = str(Path(pycharrnn.__file__).parents[1])
    before = environment.get("PYTHONPATH")
    return {**environment, "PYTHONSAFEPATH": "1", "PYTHONPATH": f"{own}{os.pathsep}{before}" if before else own}
