"""What `copied` prints of passages that are known."""

from __future__ import annotations

import json

from pycharrnn.analysis import copied_report
from pycharrnn.analysis.copied import Passage
from pycharrnn.analysis.copied_report import Curves
from pycharrnn.engine.copies import CURVE


def passage(text: str, start: int = 0) -> Passage:
    return Passage(len(text), text.encode(), start, 3, 14, 150, 2)


LONG = "é" * 60 + "x" * 11 + "ü" * 30  # 101 characters


def test_a_table():
    lines = copied_report.as_table([passage(LONG), passage("a\tb\n\\"), passage("one")], 3, 2).splitlines()
    assert lines == [
        "characters  sample  text   passage",
        f"       101  3:14    150:2  {'é' * 60} ... {'ü' * 30}",
        r"         5  3:14    150:2  a\tb\n\\",
        "2 of 3 passages of 3 or more characters",
    ]
    whole = LONG.replace("x", "", 1)
    assert copied_report.as_table([passage(whole)], 3, 0).splitlines()[1:] == [f"       100  3:14    150:2  {whole}"]


def test_json_counts_the_passages_that_it_leaves_out():
    found = json.loads(copied_report.as_json("s", "t", [passage("four", 7), passage("one")], 3, 1, None))
    assert (found["format"], found["sample"], found["text"]) == ("pycharrnn copied", "s", "t")
    assert (found["found"], found["least"], "curve" in found) == (2, 3, False)
    place = {"sample": {"line": 3, "column": 14, "offset": 7}, "text": {"line": 150, "column": 2}}
    assert found["passages"] == [{"length": 4, **place, "passage": "four"}]


def test_a_curve_of_a_sample_alone_or_beside_a_validation_split():
    shares = [0.5, *[None] * (len(CURVE) - 1)]
    alone, both = (copied_report.curve_table(Curves(shares, other)).splitlines() for other in ([], shares))
    assert alone[0] == both[0] == "n-grams in the training text"
    assert [line.split() for line in alone[1:4]] == [
        ["n", "sample"],
        [f"{CURVE[0]}", "50.00", "%"],
        [f"{CURVE[1]}", "-"],
    ]
    assert both[1].split() == ["n", "sample", "validation"] and both[3].split() == [f"{CURVE[1]}", "-", "-"]
    found = json.loads(copied_report.as_json("s", "t", [], 3, 1, Curves(shares, [])))
    assert found["curve"] == {"n": list(CURVE), "sample": shares, "validation": None}
