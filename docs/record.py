"""Record the transcripts of README.md and docs/ anew: python docs/record.py [PAGE...], such as tutorial.md

Runs the commands of each page and writes what they print now into the page, with the page's elisions: lines `...`, and
` ...` in a line. Takes some minutes. tests/test_transcripts.py fails if a page is out of date; tests/transcripts.py has
the rules.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from doc_commands import PAGES, small_model  # noqa: E402
from transcript_recording import rewritten  # noqa: E402
from transcripts import RECORDED_WITH, machine_differs, manual, pages  # noqa: E402

from compat.atomic_write import atomic_write  # noqa: E402
from pycharrnn.engine import kernel_library  # noqa: E402


def main(chosen: list[str]) -> int | str:
    """Record the pages, by default all. Returns: the exit status, or a message for stderr."""
    if unknown := set(chosen) - set(pages()):
        return f"no page with transcripts: {', '.join(sorted(unknown))}; choose from {', '.join(pages())}."
    if not kernel_library.rounds_as_elsewhere():
        return "digits are recorded with the C kernel, on a processor with FMA: see pycharrnn doctor."
    if chosen and (why := machine_differs()):
        return f"{why}: record all pages."
    with tempfile.TemporaryDirectory() as folder:
        of_reader = small_model(Path(folder))
        for page in chosen or pages():
            with tempfile.TemporaryDirectory() as home:
                text = rewritten(page, Path(home), of_reader)
            changed = text != PAGES[page].read_text(encoding="utf-8")
            if changed:
                with atomic_write(PAGES[page]) as f:
                    f.write(text.encode())
            print(f"{page}: {'changed' if changed else 'up to date'}", flush=True)
    with atomic_write(RECORDED_WITH) as f:
        f.write((json.dumps({"python": platform.python_version(), "manual": manual()}, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
