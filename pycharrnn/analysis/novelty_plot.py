"""Plots the novelty curves that `copied -json 1 -curve 1` has printed into one image, for `plot`."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compat.checkpoint_fields import is_number
from pycharrnn.analysis import plotting
from pycharrnn.analysis.copied_report import FORMAT
from pycharrnn.checkpoints.names import short_names
from pycharrnn.common.errors import UserError
from pycharrnn.common.shell_words import quoted
from pycharrnn.engine.copies import CURVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

_ENDING = ".json"
_MAX_BYTES = 1 << 26
_START_BYTES = 200
_START = re.compile(rb"\s*{\s*\"format\"\s*:\s*\"%s\"" % FORMAT.encode())
_TITLE = "Share of n-grams in the training text"
_GRAY = "#555555"
_Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class NoveltyCurve:
    """Shares of the n-grams of a sample, and of a validation split, that are in a training text.

    Attributes:
        label: of the sample. sample, validation: (n, share) for each n that is known.
    """

    label: str
    sample: _Points
    validation: _Points


def is_curve(path: str) -> bool:
    """Whether `copied -json 1` has printed a file, which may be missing. A checkpoint may be a .json file, too."""
    if not path.lower().endswith(_ENDING) or not os.path.isfile(path):  # opening a pipe might wait forever
        return False
    with contextlib.suppress(OSError), open(path, "rb") as f:
        return _START.match(f.read(_START_BYTES)) is not None
    return False


def read(paths: Sequence[str]) -> list[NoveltyCurve]:
    """The curves in files. Errors: UserError for a file without one; OSError."""
    return [_read(path, name) for path, name in zip(paths, short_names(list(paths)), strict=True)]


def _read(path: str, name: str) -> NoveltyCurve:
    with open(path, "rb") as f:
        content = f.read(_MAX_BYTES)
    try:
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise ValueError
        curve = found["curve"]
        sample, validation = _points(curve["n"], curve["sample"]), _points(curve["n"], curve["validation"] or [])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(
            f"{path} holds no curve: write one by pycharrnn copied SAMPLE cv -curve 1 -json 1 > {quoted(path)}."
        ) from None
    if not sample:
        raise UserError(f"{path} is of a sample too short for a curve: name that of a longer one.")
    return NoveltyCurve(name.removesuffix(_ENDING), sample, validation)


def _points(ns: list[Any], shares: list[Any]) -> _Points:
    """Errors: ValueError, TypeError for other values."""
    found = [(n, share) for n, share in zip(ns, shares, strict=False) if share is not None]
    if not all(is_number(n) and is_number(share) and 1 <= n <= 1e6 and 0 <= share <= 1 for n, share in found):
        raise ValueError
    return tuple(found)


def save_picture(path: str | os.PathLike[str], curves: list[NoveltyCurve]) -> None:
    """Plot the curves into a .png or .svg file, atomically. Errors: OSError; UserError as plotting.picture."""
    plotting.save(path, lambda: _figure(curves), len(curves), _TITLE)


def _figure(curves: list[NoveltyCurve]) -> Figure:
    from matplotlib.ticker import NullLocator, PercentFormatter

    below = len(curves) > plotting.MAX_INSIDE  # the legend stands below the axes
    figure = plotting.new_figure(len(curves) + 2 if below else 0)
    axes = figure.add_subplot()
    handles, labels = [], []
    for k, curve in enumerate(curves):
        color, marker = plotting.style(k)
        (line,) = axes.plot(*zip(*curve.sample, strict=True), color=color, marker=marker, linewidth=2, markersize=5)
        handles.append(line)
        labels.append(curve.label)
    of_people = dict.fromkeys(curve.validation for curve in curves if curve.validation)
    for validation in of_people:
        xs, ys = zip(*validation, strict=True)
        (line,) = axes.plot(xs, ys, color=_GRAY, linewidth=2, linestyle=plotting.DASHES)
    if of_people:
        handles.append(line)
        labels.append("validation split, by people")
    ns = {n for curve in curves for n, _ in (*curve.sample, *curve.validation)}
    ticks = [n for n in CURVE if n in ns]  # a file of somebody else may have thousands of other n
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("n (characters)")
    axes.set_ylabel("n-grams in the training text")
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    plotting.legend(figure, axes, handles, labels, below)
    return figure
