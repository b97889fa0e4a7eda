"""Draw the pictures of docs/how-it-works.md from an lstm of one layer that knows the characters of English text:

    pycharrnn data pydoc
    pycharrnn train data/pydoc/input.txt
    python docs/pictures/how_it_works.py cv/lm_pydoc_best.t7 data/pydoc/input.txt docs/pictures

Prints which units tell best whether a character stands in quotes or brackets. Needs matplotlib (the extra `plot`).
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import pycharrnn

BLUE, ORANGE, GREEN, GRAY = "#0072b2", "#d55e00", "#009e73", "#555555"
SENTENCE = 'The "if" statement, the "for" statement.'
PASSAGE = (
    'The "if" statement is used for conditional execution.',
    'If "x" is a string (see the section "String literals"',
    'for details), then its "value" is returned.',
)


def show(character: str) -> str:
    """A character with visible white space."""
    return {"\n": "\u21b5", " ": "\u2423"}.get(character, character)


def likely(model: pycharrnn.Model, prompt: str, temperature: float = 1, count: int = 8) -> list[tuple[str, float]]:
    """The most probable characters after a prompt, with their probabilities."""
    *_, last = model.stream(prompt, length=1, temperature=temperature, seed=1)
    return last.candidates(count)


def bars(axes, candidates: list[tuple[str, float]], title: str, color: str = BLUE) -> None:
    names, probabilities = zip(*candidates, strict=True)
    positions = range(len(names))
    axes.bar(positions, probabilities, color=color)
    for x, probability in zip(positions, probabilities, strict=True):
        if probability >= 0.005:
            axes.text(x, probability + 0.01, f"{100 * probability:.0f} %", ha="center", fontsize=8)
    axes.set_xticks(positions, [show(name) for name in names], family="monospace", fontsize=11, parse_math=False)
    axes.set_title(title, fontsize=11, parse_math=False)
    axes.set_ylim(0, 1.08)
    axes.spines[["top", "right"]].set_visible(False)


def next_character(model: pycharrnn.Model) -> Figure:
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for axes, prompt in zip(figure.subplots(1, 3, sharey=True), ("The stat", 'The "if', "The "), strict=True):
        bars(axes, likely(model, prompt), f"after  {prompt.replace(' ', show(' '))}")
    figure.axes[0].set_ylabel("probability")
    return figure


def temperature(model: pycharrnn.Model) -> Figure:
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for one, (value, color) in zip(axes, ((0.2, ORANGE), (1, BLUE), (2, GREEN)), strict=True):
        bars(one, likely(model, "The ", value), f"temperature {value:g}", color)
    axes[0].set_ylabel("probability")
    return figure


def unrolled(model: pycharrnn.Model, text: str = "The s") -> Figure:
    """Five steps of the network as five columns, with what the model predicts after each character."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.add_subplot()
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": BLUE, "linewidth": 1.5}
    arrow = {"arrowstyle": "-|>", "color": GRAY, "shrinkA": 0, "shrinkB": 0}
    for x, character in enumerate(text):
        (first, p), (second, q), *_ = likely(model, text[: x + 1])
        axes.text(x, 0, show(character), ha="center", va="center", family="monospace", fontsize=16)
        axes.text(x, 1, "network", ha="center", va="center", bbox=box)
        prediction = f"{show(first)} {100 * p:.0f} %\n{show(second)} {100 * q:.0f} %\n..."
        axes.text(x, 2.05, prediction, ha="center", va="center", family="monospace", parse_math=False)
        axes.annotate("", (x, 0.72), (x, 0.25), arrowprops=arrow)
        axes.annotate("", (x, 1.65), (x, 1.28), arrowprops=arrow)
        axes.annotate("", (x + 0.68, 1), (x + 0.32, 1), arrowprops=arrow)
        axes.text(x + 0.5, 1.14, "state", ha="center", fontsize=9, color=GRAY)
    axes.annotate("", (-0.32, 1), (-0.68, 1), arrowprops=arrow)
    axes.text(-0.7, 1, "zeros", ha="right", va="center", fontsize=9, color=GRAY)
    for y, name in ((0, "character"), (2.05, "probabilities of\nthe next one")):
        axes.text(-0.7, y, name, ha="right", va="center", fontsize=9, color=GRAY)
    axes.set_xlim(-1.3, len(text) - 0.2)
    axes.set_ylim(-0.3, 2.5)
    axes.axis("off")
    return figure


def memory_of(model: pycharrnn.Model, text: str) -> np.ndarray:
    """The gates i, f, o, the candidate g and the cell state c of layer 1 after each character, (5, T, H)."""
    weights = {name: weight.detach().numpy().astype(float) for name, weight in model.module.weights.items()}
    h = c = np.zeros(model.rnn_size)
    rows = []
    for token_id in model.encode(text):
        a = weights["i2h_1.weight"][:, token_id] + weights["i2h_1.bias"] + weights["h2h_1.bias"]
        *gates, candidate = np.split(a + weights["h2h_1.weight"] @ h, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in gates)
        g = np.tanh(candidate)
        c = f * c + i * g
        h = o * np.tanh(c)
        rows.append((i, f, o, g, c))
    return np.array(rows).swapaxes(0, 1)


def best_unit(model: pycharrnn.Model, text: str, opening: str, closing: str) -> tuple[int, float, float]:
    """The unit, from 0, that separates best what is in quotes or brackets from the rest, and its means in and out.

    By the difference of the means over the sum of the standard deviations.
    """
    characters = [model.decode([token_id]) for token_id in model.encode(text)]
    if opening == closing:
        depth = np.cumsum([character == opening for character in characters]) % 2
    else:
        depth = np.cumsum([(character == opening) - (character == closing) for character in characters])
    is_inside = depth > 0
    activations = np.tanh(memory_of(model, text)[4])
    inside, outside = activations[is_inside], activations[~is_inside]
    separation = abs(inside.mean(0) - outside.mean(0)) / (inside.std(0) + outside.std(0))
    unit = int(np.nanargmax(separation))  # NaN for a unit that never changes
    return unit, inside[:, unit].mean(), outside[:, unit].mean()


def gates(model: pycharrnn.Model, unit: int) -> Figure:
    figure = Figure(figsize=(9, 4), layout="constrained")
    i, f, _, g, c = memory_of(model, SENTENCE)[:, :, unit]
    rows = ((f, "forget gate f", BLUE), (i * g, "added: i * g", ORANGE), (c, "cell state c", GREEN))
    for axes, (values, name, color) in zip(figure.subplots(3, 1, sharex=True), rows, strict=True):
        axes.bar(range(len(values)), values, color=color)
        axes.axhline(0, color=GRAY, linewidth=0.7)
        axes.set_ylabel(name, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylim(0, 1.05)
    figure.axes[2].set_xticks(range(len(SENTENCE)), [show(one) for one in SENTENCE], family="monospace", fontsize=10)
    return figure


def activation(model: pycharrnn.Model, unit: int) -> Figure:
    """The passage, colored by the activation of a unit: blue is positive, orange negative."""
    figure = Figure(figsize=(9, 1.5))
    axes = figure.add_axes((0.01, 0.02, 0.98, 0.96))
    values = np.tanh(memory_of(model, "\n".join(PASSAGE))[4, :, unit])
    at = 0
    for row, line in enumerate(PASSAGE):
        for column, character in enumerate(line):
            color = (BLUE if values[at] > 0 else ORANGE, 0.75 * abs(float(values[at])))
            axes.add_patch(Rectangle((column - 0.5, -row - 0.4), 1, 0.8, color=color, linewidth=0))
            axes.text(column, -row, character, ha="center", va="center_baseline", family="monospace", fontsize=13)
            at += 1
        at += 1  # the line break
    axes.set_xlim(-1, max(map(len, PASSAGE)))
    axes.set_ylim(-len(PASSAGE) + 0.4, 0.6)
    axes.axis("off")
    return figure


def loss(model: pycharrnn.Model) -> Figure:
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    width = max(1, len(model.train_losses) // 100)
    means = [float(np.mean(model.train_losses[at : at + width])) for at in range(0, len(model.train_losses), width)]
    axes.plot([at * width + width / 2 for at in range(len(means))], np.divide(means, math.log(2)), color=BLUE)
    validations = sorted(model.val_losses.items())
    axes.plot([at for at, _ in validations], [value / math.log(2) for _, value in validations], "o--", color=ORANGE)
    uniform = math.log2(model.vocab_size)
    axes.axhline(uniform, color=GRAY, linewidth=1, linestyle=":")
    axes.text(len(model.train_losses), uniform - 0.1, "equal probabilities", ha="right", va="top", color=GRAY)
    axes.legend(["training", "validation"], frameon=False, loc="center right")
    axes.set_xlabel("iteration")
    axes.set_ylabel("loss (bits per character)")
    axes.set_ylim(0, uniform + 0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(checkpoint: str, text_file: str, folder: str) -> None:
    """Write the pictures into the folder."""
    model = pycharrnn.load(checkpoint)
    text = Path(text_file).read_text(encoding="utf-8")[:12_000]
    for name, opening, closing in (("brackets", "(", ")"), ("quotes", '"', '"')):
        unit, inside, outside = best_unit(model, text, opening, closing)
        print(f"the unit for {name} is {unit + 1}: {inside:.2f} inside, {outside:.2f} outside, on average")
    pictures = {
        "next_character": next_character(model),
        "unrolled": unrolled(model),
        "gates": gates(model, unit),
        "loss": loss(model),
        "temperature": temperature(model),
        "quote_unit": activation(model, unit),
    }
    for name, figure in pictures.items():
        figure.savefig(Path(folder) / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pycharrnn", "font.size": 10})
    main(*sys.argv[1:])
