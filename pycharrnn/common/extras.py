"""Messages for missing packages: those of extras, and PyTorch, which sampling and scoring on a CPU do without."""

from __future__ import annotations

import importlib.util
import os
import re

from pycharrnn.common.errors import UserError

_OF_EXTRA = re.compile(r"""(?P<requirement>[^;]+?)\s*;\s*extra\s*==\s*["'](?P<extra>[\w.-]+)["']""")


class MissingPackage(UserError):
    """A feature needs a package that is not installed."""


class MissingAttribute(MissingPackage, AttributeError):
    """An attribute needs a package that is not installed: hasattr is False, and help() leaves it out."""


def has_pytorch() -> bool:
    """Whether PyTorch is installed, without loading it."""
    return importlib.util.find_spec("torch") is not None


def require_pytorch(what: str, error: type[MissingPackage] = MissingPackage) -> None:
    """Errors: `error` names `what`, which needs PyTorch; UserError where PyTorch can't load."""
    if not has_pytorch():
        raise error(f"{what} needs PyTorch, which is not installed: pip install torch")
    require_current_folder()  # without which MKL would end the process


def require_current_folder() -> None:
    """Errors: UserError if the current folder was removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the current folder was removed: change to another one.") from None


def missing(what: str, extra: str) -> MissingPackage:
    """The error for a feature whose extra is not installed.

    It names the extra's packages, which pip finds wherever pycharrnn came from: a registry, a clone or a wheel.
    """
    packages = requirements(extra)
    # Every shell knows double quotes, and treats an unquoted < or > as a redirection.
    words = " ".join(f'"{package}"' for package in packages) or f'-e ".[{extra}]" in a copy of the repository'
    return MissingPackage(f"{what} needs more packages: pip install {words}")


def requirements(extra: str) -> list[str]:
    """The packages of an extra in pip's syntax; none if pycharrnn is not installed."""
    import importlib.metadata  # here, since it takes longer to load than -help may take

    try:
        found = importlib.metadata.requires("pycharrnn") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    matches = filter(None, map(_OF_EXTRA.fullmatch, found))
    return [match["requirement"] for match in matches if match["extra"] == extra]
