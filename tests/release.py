"""Whether a tag is the release that the checkout is ready for: python tests/release.py vX.Y.Z

The version in pycharrnn/_version.py is the tag's, and the newest in CHANGELOG.md, with its day. Ends with status 1 and
what is wrong.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def faults(tag: str, module: str, changelog: str) -> list[str]:
    """What does not fit, of a tag, the text of pycharrnn/_version.py and that of CHANGELOG.md."""
    said = re.search(r'^__version__ = "(.+)"$', module, re.M)
    newest = re.search(r"^## (.+)$", changelog, re.M)
    version = said[1] if said else "none"
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, and the version in pycharrnn/_version.py is {version}.")
    if not newest or not re.fullmatch(rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", newest[1]):
        heading = newest[1] if newest else "none"
        found.append(f"the first version in CHANGELOG.md should be [{version}] with its day, and is {heading}.")
    return found


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    module, changelog = ROOT / "pycharrnn" / "_version.py", ROOT / "CHANGELOG.md"
    found = faults(sys.argv[1], module.read_text(encoding="utf-8"), changelog.read_text(encoding="utf-8"))
    if found:
        sys.exit("\n".join(found))
    print(f"{sys.argv[1]} is ready for a release.")


if __name__ == "__main__":
    main()
