"""Loss curves: training and validation losses of one or several checkpoints in one picture.

Colours are those of Okabe & Ito (2008), which people with any colour vision tell apart; the shapes of the points
differ as well.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from dataclasses import dataclass

import numpy as np

from compat.charrnn import Checkpoint
from compat.whole_file import whole_file
from pycharrnn.common.errors import UserError

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h")
_SMOOTH_FROM = 200  # training losses; fewer are drawn as they are
_POINTS = 400  # of a smoothed curve: more than a picture can show
_INSIDE = 3  # runs whose legend fits inside the picture
_LINE_LIMIT = 30  # runs in one picture
_LARGEST = 1e15  # iteration or loss that is drawn; no training has larger ones, and no scale can show them


@dataclass(frozen=True)
class Curve:
    """The losses of a run.

    Attributes:
        label: name, model and size.
        train: iterations and nats per character, two arrays; smoothed where the run is long.
        val: the same of the validation losses.
        epochs_per_iteration: 0 where the checkpoint does not say.
        window: training losses that a point of a smoothed curve is the mean of; 1 where not smoothed.
    """

    label: str
    train: tuple[np.ndarray, np.ndarray]
    val: tuple[np.ndarray, np.ndarray]
    epochs_per_iteration: float
    window: int

    @property
    def best(self) -> tuple[float, float] | None:
        """Iteration and value of the lowest validation loss."""
        if not len(self.val[0]):
            return None
        lowest = int(self.val[1].argmin())
        return float(self.val[0][lowest]), float(self.val[1][lowest])


def curve(checkpoint: Checkpoint, name: str) -> Curve:
    """Errors: UserError for a checkpoint without a loss."""
    network = checkpoint.network
    iterations = np.arange(1, len(checkpoint.train_losses) + 1, dtype=float)
    train = _finite(iterations, np.array(checkpoint.train_losses, dtype=float))
    val = _finite(*(np.array(x, dtype=float) for x in (sorted(checkpoint.val_losses), _values(checkpoint.val_losses))))
    if not len(train[0]) and not len(val[0]):
        raise UserError(f"{name} holds no losses to draw: choose a checkpoint that `pycharrnn train` has written.")
    smoothed, window = smooth(*train)
    per_iteration = checkpoint.epoch / checkpoint.i if checkpoint.i > 0 and checkpoint.epoch > 0 else 0.0
    if not 1 / _LARGEST < per_iteration < _LARGEST:
        per_iteration = 0.0
    label = f"{name}: {network.model}, {network.num_layers} x {network.rnn_size}"
    return Curve(label, smoothed, val, per_iteration, window)


def _values(losses: dict[int, float]) -> list[float]:
    return [losses[i] for i in sorted(losses)]


def _finite(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keep = (np.abs(x) <= _LARGEST) & (np.abs(y) <= _LARGEST)
    return x[keep], y[keep]


def smooth(x: np.ndarray, y: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Up to 400 points, each the mean of the 1% of `y` around it, where there are more than 200; and that number.

    At the ends the mean is over what there is.
    """
    if len(y) <= _SMOOTH_FROM:
        return (x, y), 1
    half = max(1, len(y) // 200)
    at = np.unique(np.linspace(0, len(y) - 1, _POINTS).astype(int))
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, len(y))
    sums = np.concatenate([[0.0], np.cumsum(y)])
    return (x[at], (sums[last] - sums[first]) / (last - first)), 2 * half + 1


def save(path: str | os.PathLike, curves: list[Curve]) -> None:
    """Draw the curves into a .png or .svg file, whole or not at all.

    Errors: OSError; UserError for too many runs, or where matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise UserError("a picture needs the extra: pip install 'pycharrnn[plot]'.") from None
    if len(curves) > _LINE_LIMIT:
        raise UserError(f"{len(curves)} runs are too many for one picture: name at most {_LINE_LIMIT}.")
    content = io.BytesIO()
    svg = os.fspath(path).lower().endswith(".svg")
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # characters of a file's name that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pycharrnn", "font.size": 11})
        figure = _figure(curves)
        metadata = {"Title": "Training and validation loss", **({"Date": None} if svg else {})}
        figure.savefig(content, format="svg" if svg else "png", dpi=110, metadata=metadata, bbox_inches="tight")
    with whole_file(path) as f:
        f.write(content.getvalue())


def _figure(curves: list[Curve]):
    from matplotlib.figure import Figure

    in_epochs = all(c.epochs_per_iteration for c in curves)
    below = len(curves) > _INSIDE
    figure = Figure(figsize=(8, 4.6 + (0.22 * (len(curves) + 2) if below else 0)), layout="constrained")
    axes = figure.add_subplot()
    handles, labels, best = [], [], []
    for k, c in enumerate(curves):
        colour, marker = _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]
        unit = c.epochs_per_iteration if in_epochs else 1.0
        _line(axes, c.train[0] * unit, c.train[1], color=colour, linewidth=1, alpha=0.65, dot=".")
        few = len(c.val[0]) <= 60
        look = {"color": colour, "linewidth": 2, "linestyle": (0, (4, 1.5)), "dot": marker}
        _line(axes, c.val[0] * unit, c.val[1], **look, marker=marker if few else "", markersize=4.5)
        label = c.label
        if c.best:
            x, y = c.best[0] * unit, c.best[1]
            axes.plot([x], [y], marker, color=colour, markersize=9, markeredgecolor="black", zorder=5)
            best.append((x, y))
            when = f"epoch {x:.2f}" if in_epochs else f"iteration {x:.0f}"
            label += (", " if below else "\n") + f"best {y:.4f} at {when}"
        handles.append(_sample(colour, "-", marker))
        labels.append(label)
    smoothed = any(c.window > 1 for c in curves)
    handles.append(_sample("#555555", "-", "", 1))
    labels.append("training loss" + (" (mean of 1% of the run around each point)" if smoothed else ""))
    if best:
        handles.append(_sample("#555555", (0, (4, 1.5)), ""))
        labels.append("validation loss")
    _scales(axes, curves, in_epochs)
    _name_best(axes, best)
    _legend(figure, axes, handles, labels, below)
    return figure


def _line(axes, x, y, dot: str, **look) -> None:
    """A line, or a dot where there is one value only."""
    if len(x) == 1:
        look |= {"marker": dot, "markersize": 7}
    axes.plot(x, y, **look)


def _sample(colour: str, style, marker: str, width: float = 2):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linestyle=style, linewidth=width, marker=marker)


def _scales(axes, curves: list[Curve], in_epochs: bool) -> None:
    axes.set_xlabel("epoch" if in_epochs else "iteration")
    axes.set_ylabel("loss (nats per character)")
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02, y=0.08)
    if all(value >= 0 for c in curves for _, y in (c.train, c.val) for value in y):
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0), high)
    bits = axes.secondary_yaxis("right", functions=(lambda y: y / math.log(2), lambda y: y * math.log(2)))
    bits.set_ylabel("bits per character")


def _name_best(axes, best: list[tuple[float, float]]) -> None:
    """The value beside each best point: above or below it, further off where other points or values are in the way."""
    axes.figure.draw_without_rendering()  # from here on the scales are settled
    points = [tuple(axes.transData.transform(point)) for point in best]
    taken = list(points)
    for (x, y), (px, py) in zip(best, points, strict=True):
        offsets = (sign * distance for distance in range(17, 400, 18) for sign in (1, -1))
        free = (
            d
            for d in offsets
            if py + d > axes.bbox.y0 + 8 and not any(abs(w - px) < 60 and abs(h - py - d) < 15 for w, h in taken)
        )
        offset = next(free, 17)
        taken.append((px, py + offset))
        axes.annotate(
            f"{y:.4f}",
            (x, y),
            xytext=(0, offset * 72 / axes.figure.dpi),
            textcoords="offset points",
            ha="right" if px > axes.bbox.x1 - 30 else "center",
            va="center",
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "linewidth": 0.8} if abs(offset) > 17 else None,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            zorder=4.5,
        )


def _legend(figure, axes, handles, labels, below: bool) -> None:
    """A name is no mathematics, even with a $ or a leading _."""
    places = [f"{k}" for k in range(len(labels))]
    if below:
        legend = figure.legend(handles, places, loc="outside lower left", frameon=False, fontsize=10)
    else:
        legend = axes.legend(handles, places, loc="upper right", framealpha=0.9, fontsize=10)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label)
