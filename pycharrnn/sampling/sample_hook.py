"""Samples from a model in training without touching its state, for `train -show`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from compat.item_options import ITEM_KINDS, TAB
from compat.vocabulary import characters_by_id
from pycharrnn.sampling import items, model_labels
from pycharrnn.sampling.inference import TorchPredictor, on_cpu
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.primetext import without_unknown
from pycharrnn.sampling.sampler import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compat.charrnn import Checkpoint
    from pycharrnn.engine.model import CharRNN
    from pycharrnn.sampling.model_labels import LabelChoice
    from pycharrnn.sampling.predictor import Predictor

# The primetext, as far as the vocabulary has it: after an empty line a sentence begins, rather than a table's padding.
_PARAGRAPH = b".\n\n"


def characters(checkpoint: Checkpoint, model: CharRNN, length: int, seed: int, temperature: float) -> Iterator[bytes]:
    """Sample the beginning of a paragraph, or items, on the device of `model`.

    `checkpoint` has its current weights and vocabulary. Weights are only read; buffers, hidden state and random numbers
    are separate from the training's.

    Errors: UserError for a model that predicts NaN.
    """
    local = model.flat.device.type == "cpu"

    def predictor_of(streams: int) -> Predictor:
        return on_cpu(checkpoint.network, streams) if local else TorchPredictor(model, streams)

    opt = SampleOptions(length=length, seed=seed, temperature=temperature)
    if labels := model_labels.for_drawing("", checkpoint, ""):
        yield from _with_labels(checkpoint, predictor_of, labels, dataclasses.replace(opt, items=1, threads=1))
        return
    predictor = predictor_of(1)
    end, end_id = b"", checkpoint.network.end_id
    if end_id is None:
        prime, _ = without_unknown(_PARAGRAPH, checkpoint.vocab)
    else:  # an end is also the beginning of the next item
        end = prime = characters_by_id(checkpoint.vocab)[end_id]
    between = b"\n" + (ITEM_KINDS[checkpoint.items].between if checkpoint.items else b"")
    for one in sample(predictor, checkpoint.vocab, opt, prime):
        if not one.given:
            yield between if one.character == end else one.character


def _with_labels(
    checkpoint: Checkpoint, predictor_of: Callable[[int], Predictor], labels: LabelChoice, opt: SampleOptions
) -> Iterator[bytes]:
    """The characters of items with their labels, until they have -length characters."""
    end = checkpoint.network.end_id
    assert end is not None  # since it has labels
    between, count = b"\n" + ITEM_KINDS[checkpoint.items].between, 0
    model = items.ItemModel(predictor_of, checkpoint.vocab, end, labels=labels)
    for item in items.draw(model, opt):
        own = [model.characters[k] for k in item.token_ids.tolist()]
        for character in (model.label(item.seed), TAB, *own, between):
            yield character
            count += 1
            if count == opt.length:
                return
