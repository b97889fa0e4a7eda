"""Draws items of a served model as lines of JSON, as `pycharrnn sample` draws them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from compat.vocabulary import ids_of
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import model_labels
from pycharrnn.sampling.item_selection import Selection, require_no_end, select_in_rounds
from pycharrnn.sampling.items import ItemModel
from pycharrnn.server.samples import characters_of, error_line, refusal_of_errors
from pycharrnn.text.recorded_text import not_usable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.model_labels import LabelChoice
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor
    from pycharrnn.server.learning_models import LearningModel
    from pycharrnn.server.served_models import ServedModel

NO_TEXT = f"{not_usable()}, so nothing tells known items from new ones: start the server in the folder of the training"


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
        of_label: of request_labels.for_drawing.
        learning: a copy of the model, which first learns from the primetext and then draws. It reads the label, but
            does not learn to predict it.
        copies: the limits of copying from the training text; None for no limit.

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
    counts = {
        "drawn": selection.drawn,
        "known": None if known is None else selection.known,
        "repeated": selection.repeated,
        "empty": selection.empty,
    }
    yield _json({"done": True, **counts, "gave_up": selection.gave_up})


def _json(line: dict[str, object]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"
