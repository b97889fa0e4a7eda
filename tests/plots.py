"""What `pycharrnn plot` draws."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from pycharrnn.cli.commands import cli


def plot(*args: object) -> str:
    """What it prints with these arguments."""
    result = CliRunner().invoke(cli, ["plot", *map(str, args)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def texts(svg: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))
