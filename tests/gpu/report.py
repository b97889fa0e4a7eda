"""What the checks found: one row each, as a table and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass

PASSED, FAILED, STAND_IN = "passed", "failed", "stand-in"
WAITS, CUT = "waits for a GPU", "cut off"


@dataclass(frozen=True)
class Row:
    """One thing that was asked.

    Attributes:
        check: the group that it belongs to. name: what of it.
        asked: the question, in words. bound: what the figure may be at most, and `because`: why that.
        figure: what was found; None where nothing was.
        verdict: passed; failed; stand-in: it holds where no GPU computed; waits for a GPU; cut off: no time was left.
        where: what computed. seconds: how long it took.
        detail: what else there is to say, an error for example.
    """

    check: str
    name: str
    asked: str
    verdict: str
    figure: float | None = None
    bound: float | None = None
    because: str = ""
    where: str = ""
    detail: str = ""
    seconds: float = 0.0


def table(rows: list[Row]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| check | asked | figure | bound | where | s | verdict |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        figure, bound = ("" if value is None else f"{value:.3g}" for value in (row.figure, row.bound))
        verdict = f"{row.verdict}: {row.detail}" if row.detail else row.verdict
        cells = [f"{row.check}: {row.name}", row.asked, figure, bound, row.where, f"{row.seconds:.1f}", verdict]
        lines.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |")
    return lines


def reasons(rows: list[Row]) -> list[str]:
    """Each bound's reason, once."""
    return [f"- {reason}" for reason in dict.fromkeys(row.because for row in rows) if reason]


def summary(rows: list[Row]) -> str:
    """How many of each verdict."""
    counted = Counter(row.verdict for row in rows)
    return ", ".join(f"{counted[verdict]} {verdict}" for verdict in (PASSED, FAILED, CUT, STAND_IN, WAITS))


def holds(rows: list[Row]) -> bool:
    """Whether nothing failed, and nothing was left for want of time."""
    return bool(rows) and not any(row.verdict in (FAILED, CUT) for row in rows)


def as_json(machine: dict[str, object], rows: list[Row], seconds: float) -> str:
    found = {
        "machine": machine,
        "holds": holds(rows),
        "seconds": round(seconds, 1),
        "checks": [dataclasses.asdict(row) for row in rows],
    }
    return json.dumps(found, indent=1) + "\n"
