"""Samples from a model in training without touching its state, for `train -show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.vocabulary import characters_by_id
from pycharrnn.sampling.inference import TorchPredictor, on_cpu
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.sampler import sample
from pycharrnn.sampling.tokenizer import without_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.charrnn import Checkpoint
    from pycharrnn.engine.model import CharRNN
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
    predictor: Predictor = on_cpu(checkpoint.network) if local else TorchPredictor(model)
    opt = SampleOptions(length=length, seed=seed, temperature=temperature)
    end, end_id = b"", checkpoint.network.end_id
    if end_id is None:
        prime, _ = without_unknown(_PARAGRAPH, checkpoint.vocab)
    else:  # an end is also the beginning of the next item
        end = prime = characters_by_id(checkpoint.vocab)[end_id]
    between = b"\n" if end == b"\n" else b"\n\n"
    for one in sample(predictor, checkpoint.vocab, opt, prime):
        if not one.given:
            yield between if one.character == end else one.character
