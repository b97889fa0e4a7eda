"""The labels of a model: which one a drawn item has, what an item of a label begins with, and where labels stand."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING

import numpy as np

from compat.item_options import TAB
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag, wordings
from pycharrnn.common.shell_words import quoted
from pycharrnn.common.splitmix64 import low_64_bits
from pycharrnn.sampling.primetext import primetext_characters
from pycharrnn.text import labels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from compat.charrnn import Checkpoint


def counts(path: str, loaded: Checkpoint) -> dict[bytes, int]:
    """Label -> the number of items that the model at `path` was trained on. Errors: UserError for one without labels.

    `path`: of the checkpoint, for the message.
    """
    found = loaded.labels
    if not found:
        command = "pycharrnn train lists/*.txt -items line -label file"
        train = wordings(command, 'pycharrnn.train("lists", items="line", label="file")')
        raise UserError(f"{path or 'this'} is a model without labels: train one by {train}.")
    return found


def beginning(vocab: dict[bytes, int], label: bytes) -> list[bytes]:
    """The label and a tab as characters of the vocabulary. Errors: UserError for a character that it lacks."""
    return primetext_characters(label + TAB, vocab, "as")


def in_labels(characters: Sequence[bytes], end: bytes, known: Collection[bytes]) -> npt.NDArray[np.bool_]:
    """Which of N characters belong to one of the `known` labels, with its tab, at the beginning of an item: (N,)."""
    found, start = np.zeros(len(characters), bool), -1
    for k, character in enumerate(characters):
        if character == end:
            start = k + 1
        elif character == TAB and start >= 0:
            found[start : k + 1] = b"".join(characters[start:k]) in known
            start = -1
    return found


class LabelChoice:
    """The label of each drawn item, by its seed: one of `counts`, with probabilities in proportion to these.

    Attributes:
        labels: sorted. beginnings: what an item begins with, for each label.

    Errors: UserError for a label with characters that the vocabulary lacks.
    """

    def __init__(self, vocab: dict[bytes, int], counts: Mapping[bytes, int]) -> None:
        self.labels = sorted(counts)
        self.beginnings = [beginning(vocab, label) for label in self.labels]
        self._up_to = np.cumsum([float(counts[label]) for label in self.labels])

    def label_index(self, seed: int) -> int:
        """Which of `labels` the item of a seed has; apart from the random numbers that the item is drawn with."""
        uniform = (np.random.PCG64(low_64_bits(seed)).random_raw() >> 11) / 2**53
        return int(np.searchsorted(self._up_to, uniform * self._up_to[-1], side="right"))


def for_drawing(path: str, loaded: Checkpoint, label: str) -> LabelChoice | None:
    """The labels of items to draw: the one of -as, else those of training; None for a model without labels.

    Errors: UserError for a label that the model at `path` lacks.
    """
    if label:
        return only(path, loaded.vocab, counts(path, loaded), label)
    found = loaded.labels
    return LabelChoice(loaded.vocab, found) if found else None


def only(path: str, vocab: dict[bytes, int], known: Collection[bytes], label: str) -> LabelChoice:
    """The same one of the `known` labels for all items. Errors: UserError for a label that the model at `path` lacks.

    `path`: for the message.
    """
    return LabelChoice(vocab, {require(path, known, label): 1})


def refuse_in_primetext(primetext: bytes, known: Collection[bytes], option: str = "primetext") -> None:
    """Errors: UserError for a primetext that begins with a known label and a tab, since items have one before it.

    `option`: which gave the primetext, for the message.
    """
    label, _ = labels.split_known(primetext, known)
    if label:
        raise UserError(
            f"{flag(option)} begins with the label {escape_line(label, 40)} and a tab: leave them out, and use"
            f" {wordings('-as', 'label')} instead."
        )


def require_before(items: Iterable[bytes], known: Collection[bytes], model: str, instead: str) -> None:
    """Refuse items that begin with no label and tab, for a model with labels, which has never read such an item.

    `known`: the model's labels, none for a model without. `model`: its name. `instead`: what to do. Errors: UserError.
    """
    if known and not all(labels.split_known(item, known)[0] for item in items):
        raise UserError(
            f"{model} is a model with labels ({labels.in_words(sorted(known))}) and has read no item without one:"
            f" {instead}."
        )


def require(path: str, known: Collection[bytes], label: str) -> bytes:
    """A label that the model at `path` has. Errors: UserError for another one."""
    if found := labels.spelling_of(os.fsencode(label), known):
        return found
    names = {os.fsdecode(name).casefold(): name for name in known}
    near = [names[name] for name in difflib.get_close_matches(label.casefold(), list(names), 3, 0.6)]
    meant = " or ".join(quoted(escape_line(name, 40)) for name in near)
    has = f"did you mean {meant}?" if near else f"its labels are {labels.in_words(sorted(known))}."
    raise UserError(f"{path or 'the model'} has no label {escape_line(label, 40)}: {has}")
