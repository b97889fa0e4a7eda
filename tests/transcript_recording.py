"""Writes what the transcripts of a page print now into the page, with the elisions of its author."""

from __future__ import annotations

import difflib
import os
import textwrap
from pathlib import Path

from doc_commands import PAGES, Block
from transcripts import ELISION, TIME, WIDTH, agree, comparable, first_unmatched, run, without_blank_end

_ALIKE = 0.6  # least similarity of an old line and the line that replaces it


def rewritten(page: str, home: Path, of_reader: tuple[bytes, Path]) -> str:
    """Run the transcripts of a page as `run` does, and return the page with what they print now."""
    lines = PAGES[page].read_text(encoding="utf-8").splitlines()
    new: dict[int, tuple[Block, list[str]]] = {}
    for block, entry, here in run(page, home, of_reader):
        new.setdefault(block.number, (block, []))[1].extend([*here.lines, *recorded(entry.output, here.output)])
    for number, (block, block_lines) in reversed(new.items()):
        lines[number - 1 : number - 1 + len(block.text.splitlines())] = block_lines
    return "\n".join(lines) + "\n"


def recorded(page: list[str], printed: list[str]) -> list[str]:
    """The output for a page: the printed lines with the elisions of the page's lines.

    Each line of the page gives way to the printed line that is most like it, in order. Lines in the place of `...` are
    left out again, all others are written. Lines that differ only in times and the like stay, and so do the times of
    other lines: they are measurements of an idle machine.
    """
    old, printed = without_blank_end(page), [line.rstrip() for line in without_blank_end(printed)]
    blank = page[len(old) :]
    if first_unmatched(old, printed, by_shape=False) is None:
        return page
    place = dict(_aligned([line for line in old if line != "..."], printed))
    new: list[str] = []
    done = kept = 0
    elided = False
    for line in [*old, None]:
        if line == "...":
            elided = True
            continue
        end = len(printed) if line is None else place.get(kept)
        kept += 1
        if end is None:
            continue
        skipped = printed[done:end]
        new += ["..."] if elided and skipped else [part for other in skipped for part in _wrapped(other)]
        if line is not None:
            new += [line] if agree(line, printed[end], by_shape=False) else _in_place_of(line, printed[end])
            done, elided = end + 1, False
    return new + blank


def _in_place_of(on_page: str, printed: str) -> list[str]:
    """The printed line, wrapped, with the elision and the times of a page's line."""
    times = (found[0] for found in TIME.finditer(on_page))
    printed = TIME.sub(lambda found: next(times, found[0]), printed)
    parts = ELISION.split(on_page)
    if len(parts) == 1:
        return _wrapped(printed)
    words = printed.split(" ")
    first, last = (len(parts[at].split()) for at in (0, -1))
    return [" ".join([*words[:first], "...", *words[len(words) - last :]])]


def _aligned(page: list[str], printed: list[str]) -> list[tuple[int, int]]:
    """Pairs (index in page, index in printed), increasing in both, with the largest sum of similarities."""
    best = [[0.0] * (len(printed) + 1) for _ in range(len(page) + 1)]
    alike = [[_similarity(line, other) for other in printed] for line in page]
    for i in reversed(range(len(page))):
        for j in reversed(range(len(printed))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + alike[i][j])
    pairs = []
    i = j = 0
    while i < len(page) and j < len(printed):
        if best[i][j] == best[i + 1][j + 1] + alike[i][j] and alike[i][j] > 0:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _similarity(on_page: str, printed: str) -> float:
    """0 for lines that are not alike; else up to 2, the more the longer their common beginning."""
    beginning, *elided = ELISION.split(on_page)
    if elided:
        on_page, printed = beginning, printed[: len(beginning)]
    left, right = (comparable(line, by_shape=False) or " " for line in (on_page, printed))
    ratio = difflib.SequenceMatcher(None, left, right, autojunk=False).ratio()
    common = len(os.path.commonprefix([left, right])) / max(len(left), len(right))
    return ratio + common if ratio >= _ALIKE else 0.0


def _wrapped(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    return textwrap.wrap(
        line, WIDTH, expand_tabs=False, replace_whitespace=False, break_long_words=False, break_on_hyphens=False
    )
