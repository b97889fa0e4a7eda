"""Draws items of a served model as lines of JSON, as `pycharrnn sample` draws them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from fastapi import HTTPException

from compat.vocabulary import ids_of
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import model_labels
from pycharrnn.sampling.item_selection import Selection, require_no_end, select_in_rounds
from pycharrnn.sampling.items import ItemModel
from pycharrnn.server.samples import characters_of, error_line, refusal_of_errors
from pycharrnn.text import labels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.model_labels import LabelChoice
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor
    from pycharrnn.server.learning_models import LearningModel
    from pycharrnn.server.served_models import ServedModel

NO_TEXT = (
    "the training text is not here, or has changed since, so nothing tells known items from new ones: start the server"
    " in the folder of the training"
)


def label_choice(model: ServedModel, label: str, primetext: str) -> LabelChoice | None:
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


def require_labels(model: ServedModel, items: Iterable[bytes], field: str, instead: str) -> None:
    """As model_labels.require_before, for items in a field of a request. Errors: HTTPException."""
    try:
        model_labels.require_before(items, model.labels, model.id, instead)
    except UserError as e:
        raise HTTPException(422, f"{field}: {e}") from None


def lines(
    model: ServedModel,
    opt: SampleOptions,
    primetext: bytes,
    known: Collection[bytes] | None,
    of_label: LabelChoice | None = None,
    learning: LearningModel | None = None,
    copies: CopyLimits | None = None,
) -> Iterator[str]:
    """The lines of a drawing (schemas.ItemLine), those of a round together, which may be "".

    Args:
        opt: uses items, new, unique, seed, length, temperature, topk, topp and threads.
        known: the items of the training text.
        of_label: see label_choice.
        learning: a copy of the model, which first learns from the primetext and then draws. It reads the label, but
            does not learn to predict it.
        copies: of opt.max_copy.

    Errors: HTTPException for a primetext with an unknown character or the end of an item.
    """
    end_id = model.end_id
    assert end_id is not None  # else the model draws no items
    prime, end = characters_of(primetext, model), model.vocabulary.characters[end_id]
    with refusal_of_errors():
        require_no_end(prime, end)
    if learning:
        read = [end, *(of_label.beginnings[0] if of_label else []), *prime]
        given = model_labels.in_labels(read, end, model.labels)
        yield from learning.learn(ids_of(read, model.vocab), given)
        model = learning.served()

    def predictor_of(streams: int) -> Predictor:
        return model.predictor.fresh(streams=streams)

    selection = Selection(opt, known)
    rounds = select_in_rounds(selection, ItemModel(predictor_of, model.vocab, end_id, prime, of_label, copies))
    while True:
        try:
            with np.errstate(all="ignore"):  # the sampler finds infinity and NaN
                selected = next(rounds, None)
        except UserError as e:
            yield error_line(e)
            return
        if selected is None:
            break
        # Seeds that differ by 2^32 draw the same, and a request has one below that.
        yield "".join(_json(one.facts | {"seed": one.item.seed % (1 << 32)}) for one in selected)
    counts = {"drawn": selection.drawn, "known": None if known is None else selection.known}
    yield _json({"done": True, **counts, "repeated": selection.repeated, "gave_up": selection.gave_up})


def _json(line: dict[str, object]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"
