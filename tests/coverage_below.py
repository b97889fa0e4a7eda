"""Name the modules of which tests run less than a part, from the data that the tests have left:

python tests/coverage_below.py [-percent 90]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import coverage


def below(percent: float) -> tuple[float, dict[str, float]]:
    """(percent of all lines that have run, file -> percent for those below `percent`)."""
    data = coverage.Coverage()
    data.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        data.json_report(outfile=str(path))
        found = json.loads(path.read_text(encoding="utf-8"))
    files = {name: part["summary"]["percent_covered"] for name, part in found["files"].items()}
    return found["totals"]["percent_covered"], {name: part for name, part in files.items() if part < percent}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-percent", type=float, default=90)
    args = parser.parse_args()
    total, files = below(args.percent)
    print(f"coverage: {total:.1f} % of the lines of pycharrnn and compat have run")
    for name, part in sorted(files.items(), key=lambda item: item[1]):
        print(f"  below {args.percent:g} %: {name} {part:.1f} %")


if __name__ == "__main__":
    main()
