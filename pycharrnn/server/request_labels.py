"""Labels of requests to a model of items: the label of a drawing, and those of items to score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException

from pycharrnn.common.errors import UserError
from pycharrnn.sampling import model_labels
from pycharrnn.text import labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycharrnn.sampling.model_labels import LabelChoice
    from pycharrnn.server.served_models import ServedModel


def for_drawing(model: ServedModel, label: str, primetext: str) -> LabelChoice | None:
    """The label of a request for items; None if the primetext begins with one, or the model has none.

    Errors: HTTPException for a label that the model lacks, for two labels, and for none in a model with labels: the
    beginning of an item is a label there, so a drawing without one would draw beginnings of labels.
    """
    if not model.labels:
        if label:
            raise HTTPException(422, f"label: {model.id} is a model without labels: leave it out.")
        return None
    beginning, tab, _ = primetext.partition("\t")
    field = "label: " if label else "primetext: "
    try:
        if label:
            found = model_labels.only(model.id, model.vocab, model.labels, label)
            field = ""  # the message names it
            model_labels.refuse_in_primetext(primetext.encode(), model.labels)
            return found
        if beginning and tab:
            model_labels.require(model.id, model.labels, beginning)
            return None
    except UserError as e:
        e.reword_for_program({"as": "label"})
        raise HTTPException(422, f"{field}{e}") from None
    known = labels.in_words(sorted(model.labels))
    raise HTTPException(422, f"label: {model.id} is a model with labels: give one of {known}.")


def require(model: ServedModel, items: Iterable[bytes], field: str, instead: str) -> None:
    """As model_labels.require_before, for items in a field of a request. Errors: HTTPException."""
    try:
        model_labels.require_before(items, model.labels, model.id, instead)
    except UserError as e:
        raise HTTPException(422, f"{field}: {e}") from None
