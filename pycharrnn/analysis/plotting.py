"""Draws the loss curves of runs into one image, for `plot` and the curve of library/run.py.

The colors are those of Okabe and Ito (2008), which people with any color vision can tell apart; markers differ too.
"""

from __future__ import annotations

import io
import logging
import math
import os
import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np

from compat.atomic_write import atomic_write
from pycharrnn.analysis import own_files
from pycharrnn.common import extras
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from pycharrnn.analysis.loss_curves import Curve

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h")
DASHES = (0, (4, 1.5))  # of the validation losses
_MAX_MARKED = 60  # validation losses with a marker for each
MAX_INSIDE = 2  # runs whose legend fits inside the axes
_MAX_CURVES = 30  # runs in one image
_TITLE = "Training and validation loss"


def save_picture(path: str | os.PathLike[str], curves: list[Curve]) -> None:
    """Plot the curves into a .png or .svg file, atomically. Errors: OSError; as picture's."""
    save(path, lambda: _figure(curves), len(curves), _TITLE)


def save(path: str | os.PathLike[str], draw: Callable[[], Figure], count: int, title: str) -> None:
    """Write a picture of `count` curves into a .png or .svg file, atomically. Errors: OSError; as picture's."""
    content = _rendered(draw, count, title, svg=os.fspath(path).lower().endswith(".svg"))
    with atomic_write(path) as f:
        f.write(content)


def picture(curves: list[Curve]) -> bytes:
    """The content of a .png file. Errors: UserError for too many runs, or without matplotlib."""
    return _rendered(lambda: _figure(curves), len(curves), _TITLE, svg=False)


def _rendered(draw: Callable[[], Figure], count: int, title: str, svg: bool) -> bytes:
    # It would say that it can't write below the home directory, where it keeps a list of fonts.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        import matplotlib
    except ImportError:
        raise extras.missing("a picture", "plot") from None
    except ValueError:
        name = os.environ.get("MPLBACKEND", "")
        if not name:
            raise
        raise UserError(f"matplotlib has no backend {name!r}: unset the environment variable MPLBACKEND.") from None
    if count > _MAX_CURVES:
        raise UserError(f"{count} runs are too many for one picture: name at most {_MAX_CURVES}.")
    content = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about characters of a label that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pycharrnn", "font.size": 11})
        figure = draw()
        program = own_files.program("plot")
        of_format = {"Creator": program, "Date": None} if svg else {"Software": program}
        metadata = {"Title": title, **of_format}
        figure.savefig(content, format="svg" if svg else "png", dpi=110, metadata=metadata, bbox_inches="tight")
    return content.getvalue()


def style(k: int) -> tuple[str, str]:
    """Color and marker of curve k."""
    return _COLORS[k % len(_COLORS)], _MARKERS[k % len(_MARKERS)]


def new_figure(rows_below: int) -> Figure:
    """A figure with room for so many rows of a legend below its axes."""
    from matplotlib.figure import Figure

    return Figure(figsize=(8, 4.6 + 0.22 * rows_below), layout="constrained")


def _figure(curves: list[Curve]) -> Figure:
    in_epochs = all(c.epochs_per_iteration for c in curves)
    below = len(curves) > MAX_INSIDE  # the legend stands below the axes
    figure = new_figure(len(curves) + 2 if below else 0)
    axes = figure.add_subplot()
    handles: list[Line2D] = []
    labels: list[str] = []
    best: list[tuple[float, float]] = []
    for k, c in enumerate(curves):
        color, marker = style(k)
        unit = c.epochs_per_iteration if in_epochs else 1.0
        (line,) = axes.plot(c.train[0] * unit, c.train[1], color=color, linewidth=1, alpha=0.65)
        _show_single_value(line, ".")
        (line,) = axes.plot(c.val[0] * unit, c.val[1], color=color, linewidth=2, linestyle=DASHES, markersize=4.5)
        line.set_marker(marker if len(c.val[0]) <= _MAX_MARKED else "")
        _show_single_value(line, marker)
        label = c.label
        if c.best:
            x, y = c.best[0] * unit, c.best[1]
            axes.plot([x], [y], marker, color=color, markersize=9, markeredgecolor="black", zorder=5)
            best.append((x, y))
            when = f"epoch {x:.2f}" if in_epochs else f"iteration {x:.0f}"
            label += (", " if below else "\n") + f"best {y:.4f} at {when}"
        handles.append(_legend_line(color, "-", marker))
        labels.append(label)
    smoothed = any(c.window > 1 for c in curves)
    handles.append(_legend_line("#555555", "-", "", 1))
    labels.append("training loss" + (" (mean of 1% of the run around each point)" if smoothed else ""))
    if best:
        handles.append(_legend_line("#555555", DASHES, ""))
        labels.append("validation loss")
    _scales(axes, curves, in_epochs)
    _name_best(figure, axes, best)
    legend(figure, axes, handles, labels, below)
    return figure


def _show_single_value(line: Line2D, marker: str) -> None:
    """Give a line of one point, which would be invisible, a large marker."""
    if np.size(line.get_xdata()) == 1:
        line.set_marker(marker)
        line.set_markersize(7)


def _legend_line(
    color: str, style: Literal["-"] | tuple[float, tuple[float, ...]], marker: str, width: float = 2
) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, linestyle=style, linewidth=width, marker=marker)


def _scales(axes: Axes, curves: list[Curve], in_epochs: bool) -> None:
    """Labels, grid and limits; nats per character on the left, bits on the right."""
    axes.set_xlabel("epoch" if in_epochs else "iteration")
    axes.set_ylabel("loss (nats per character)")
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02, y=0.08)
    if all(value >= 0 for c in curves for _, y in (c.train, c.val) for value in y):
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0), high)
    bits = axes.secondary_yaxis("right", functions=(_nats_to_bits, _bits_to_nats))
    bits.set_ylabel("bits per character")


def _nats_to_bits(nats: npt.ArrayLike) -> npt.ArrayLike:
    return np.divide(nats, math.log(2))


def _bits_to_nats(bits: npt.ArrayLike) -> npt.ArrayLike:
    return np.multiply(bits, math.log(2))


def _name_best(figure: Figure, axes: Axes, best: list[tuple[float, float]]) -> None:
    """Write the value above or below each best point (iteration or epoch, loss), clear of other points and values."""
    figure.draw_without_rendering()  # fixes the limits of the axes
    in_pixels: list[tuple[float, float]] = [tuple(axes.transData.transform(point)) for point in best]
    taken = list(in_pixels)
    for (x, y), (px, py) in zip(best, in_pixels, strict=True):
        offset = _free_offset(axes, px, py, taken)
        taken.append((px, py + offset))
        axes.annotate(
            f"{y:.4f}",
            (x, y),
            xytext=(0, offset * 72 / figure.dpi),
            textcoords="offset points",
            ha="right" if px > axes.bbox.x1 - 30 else "center",
            va="center",
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "linewidth": 0.8} if abs(offset) > 17 else None,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            zorder=4.5,
        )


def _free_offset(axes: Axes, px: float, py: float, taken: list[tuple[float, float]]) -> int:
    """The distance above a point, or below if negative, at which its value fits, in pixels.

    `taken`: points, and the centers of other values.
    """
    offsets = (sign * distance for distance in range(17, 400, 18) for sign in (1, -1))
    free = (
        offset
        for offset in offsets
        if py + offset > axes.bbox.y0 + 8 and not any(abs(w - px) < 60 and abs(h - py - offset) < 15 for w, h in taken)
    )
    return next(free, 17)


def legend(figure: Figure, axes: Axes, handles: list[Line2D], labels: list[str], below: bool) -> None:
    """Add the legend. Labels are set literally, since $ and a leading _ are special to matplotlib."""
    placeholders = [f"{k}" for k in range(len(labels))]
    if below:
        legend = figure.legend(handles, placeholders, loc="outside lower left", frameon=False, fontsize=10)
    else:
        legend = axes.legend(handles, placeholders, loc="best", framealpha=0.9, fontsize=10)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label)
