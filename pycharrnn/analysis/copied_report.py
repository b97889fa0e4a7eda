"""What `copied` prints: a table of passages, the novelty curve, or both as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from pycharrnn.common.display import escape_line, escape_separators, replace_surrogates
from pycharrnn.engine.copies import CURVE
from pycharrnn.text.places import boundaries

if TYPE_CHECKING:
    from pycharrnn.analysis.copied import Passage
    from pycharrnn.training.novelty import Novelty

FORMAT = "pycharrnn copied"  # marks the JSON object
LONGEST_SHOWN = 100  # characters of a passage in the table
FIRST_SHOWN, LAST_SHOWN = 60, 30  # characters of a longer one


class Curves(NamedTuple):
    """Shares of the n-grams of CURVE that are in a training text; None for an n above a text's length.

    Attributes:
        sample, validation: of the sample, and of the validation split; validation is empty if it is not known.
    """

    sample: list[float | None]
    validation: list[float | None]


def curves_of(found: Novelty) -> Curves:
    """The shares that `copied -curve 1` prints."""
    return Curves(found.sample.curve(), found.validation.curve())


def as_table(passages: list[Passage], least: int, top: int) -> str:
    """The longest passages, one a line: characters, line:column in the sample and in the text, and the passage.

    A passage of more than LONGEST_SHOWN characters is cut in the middle.
    """
    if not passages:
        return f"no passage of {least} or more characters"
    shown = passages[: top or None]
    rows = [
        ("characters", "sample", "text", "passage"),
        *((str(p.length), f"{p.line}:{p.column}", f"{p.text_line}:{p.text_column}", _shown(p)) for p in shown),
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    lines = [f"{row[0]:>{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:{widths[2]}}  {row[3]}".rstrip() for row in rows]
    if len(shown) < len(passages):
        lines.append(f"{len(shown)} of {len(passages)} passages of {least} or more characters")
    return "\n".join(lines)


def _shown(passage: Passage) -> str:
    parts = [passage.encoded]
    if passage.length > LONGEST_SHOWN:
        at = boundaries(passage.encoded)
        parts = [passage.encoded[: at[FIRST_SHOWN]], passage.encoded[at[-1 - LAST_SHOWN] :]]
    return " ... ".join(escape_line(escape_separators(part), None) for part in parts)


def curve_table(curves: Curves) -> str:
    """The share for each n, in percent, of the sample and of the validation split."""
    columns = [("sample", curves.sample)]
    if curves.validation:
        columns.append(("validation", curves.validation))
    lines = ["n-grams in the training text", f"{'n':>3}" + "".join(f"  {name:>10}" for name, _ in columns)]
    for k, n in enumerate(CURVE):
        lines.append(f"{n:3}" + "".join(f"  {_percent(shares[k]):>10}" for _, shares in columns))
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def as_json(sample: str, text: str, passages: list[Passage], least: int, top: int, curves: Curves | None) -> str:
    """A JSON object on one line; invalid UTF-8 in passages becomes backslash escapes."""
    found = {
        "format": FORMAT,
        "sample": replace_surrogates(sample),
        "text": replace_surrogates(text),
        "least": least,
        "found": len(passages),
        "passages": [
            {
                "length": p.length,
                "sample": {"line": p.line, "column": p.column, "offset": p.start},
                "text": {"line": p.text_line, "column": p.text_column},
                "passage": p.encoded.decode("utf-8", "backslashreplace"),
            }
            for p in passages[: top or None]
        ],
    }
    if curves:
        found["curve"] = {"n": CURVE, "sample": curves.sample, "validation": curves.validation or None}
    return json.dumps(found, ensure_ascii=False)
