"""The environment of processes of `pycharrnn studio` that run pycharrnn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pycharrnn


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Python finds this pycharrnn, and nothing in the current folder, and prints UTF-8."""
    own = str(Path(pycharrnn.__file__).parents[1])
    before = environment.get("PYTHONPATH")
    path = f"{own}{os.pathsep}{before}" if before else own
    return {**environment, "PYTHONSAFEPATH": "1", "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
