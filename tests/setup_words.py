"""The metadata of the package, as setup.py has them."""

from __future__ import annotations

import ast

from conftest import ROOT


def install_requires() -> list[str]:
    """The packages that setup.py asks for."""
    words = ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")))
    (found,) = [word.value for word in words if isinstance(word, ast.keyword) and word.arg == "install_requires"]
    return ast.literal_eval(found)
