"""Draws items of a served model as lines of JSON, as `pycharrnn sample` draws them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from fastapi import HTTPException

from pycharrnn.common.display import quote_character
from pycharrnn.common.errors import UserError
from pycharrnn.sampling.item_selection import SelectedItem, Selection, select_in_rounds
from pycharrnn.server.samples import characters_of, error_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor
    from pycharrnn.server.learning_models import LearningModel
    from pycharrnn.server.served_models import ServedModel

NO_TEXT = "the training text is not here, or has changed since, so nothing tells known items from new ones"


def lines(
    model: ServedModel,
    opt: SampleOptions,
    primetext: bytes,
    known: Collection[bytes] | None,
    learning: LearningModel | None = None,
    copies: CopyLimits | None = None,
) -> Iterator[str]:
    """The lines of a drawing (schemas.ItemLine), those of a round together, which may be "".

    Args:
        opt: uses items, new, unique, seed, length, temperature, topk, topp and threads.
        known: the items of the training text.
        learning: a copy of the model, which first learns from the primetext, and then draws.
        copies: of opt.max_copy.

    Errors: HTTPException for a primetext with an unknown character or the end of an item.
    """
    end_id = model.end_id
    assert end_id is not None  # else the model draws no items
    prime, end = characters_of(primetext, model), model.vocabulary.characters[end_id]
    if end in prime:
        raise HTTPException(
            422,
            f"primetext has {quote_character(end)}, which ends an item: leave it out, since an item begins by itself.",
        )

    if learning:
        yield from learning.learn([end_id, *(model.vocab[character] - 1 for character in prime)])
        model = learning.served()

    def predictor_of(streams: int) -> Predictor:
        return model.predictor.fresh(1, streams)

    selection = Selection(opt, known)
    rounds = select_in_rounds(selection, predictor_of, model.vocab, end_id, prime, copies=copies)
    while True:
        try:
            with np.errstate(all="ignore"):  # the sampler finds infinity and NaN
                selected = next(rounds, None)
        except UserError as e:
            yield error_line(e)
            return
        if selected is None:
            break
        yield "".join(map(_line, selected))
    counts = {"drawn": selection.drawn, "known": None if known is None else selection.known}
    yield _json({"done": True, **counts, "repeated": selection.repeated, "gave_up": selection.gave_up})


def _line(selected: SelectedItem) -> str:
    item = selected.item
    text = selected.text.decode("utf-8", "replace")
    return _json({"text": text, "known": selected.known, "seed": item.seed, "cut": item.cut})


def _json(line: dict[str, object]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"
