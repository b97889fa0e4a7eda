"""Messages for missing optional packages."""

from __future__ import annotations

import re

from pycharrnn.common.errors import UserError

_OF_EXTRA = re.compile(r"""(?P<requirement>[^;]+?)\s*;\s*extra\s*==\s*["'](?P<extra>[\w.-]+)["']""")


def missing(what: str, extra: str) -> UserError:
    """The error for a feature whose extra is not installed; it names the packages, since no registry has pycharrnn."""
    packages = requirements(extra)
    # Every shell knows double quotes, and treats an unquoted < or > as a redirection.
    words = " ".join(f'"{package}"' for package in packages) or f'".[{extra}]" in a copy of the repository'
    return UserError(f"{what} needs more packages: pip install {words}")


def requirements(extra: str) -> list[str]:
    """The packages of an extra in pip's syntax; none if pycharrnn is not installed."""
    import importlib.metadata  # here, since it takes longer to load than -help may take

    try:
        found = importlib.metadata.requires("pycharrnn") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    matches = filter(None, map(_OF_EXTRA.fullmatch, found))
    return [match["requirement"] for match in matches if match["extra"] == extra]
