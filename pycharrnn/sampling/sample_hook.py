"""A short sample of a model that is being trained, which must not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycharrnn.sampling.inference import TorchPredictor, on_cpu
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.sampler import sample
from pycharrnn.sampling.tokenizer import without_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.charrnn import Checkpoint
    from pycharrnn.engine.model import CharRNN
    from pycharrnn.sampling.predictor import Predictor

# Read before the first draw, as far as the model knows them: what begins after an empty line is rather a sentence than
# the padding of a table.
_PARAGRAPH = b".\n\n"


def characters(checkpoint: Checkpoint, model: CharRNN, length: int, seed: int, temperature: float) -> Iterator[bytes]:
    """Draw the beginning of a paragraph and what follows, one character after another, where `model` computes.

    Nothing that training goes on from is touched: weights are only read, buffers and hidden state are new, and the
    random numbers are those of a generator of its own.

    Args:
        checkpoint: `model` as it is now, with its vocabulary.
        length: how many characters to draw.

    Errors: UserError for a model that predicts NaN.
    """
    local = model.flat.device.type == "cpu"
    predictor: Predictor = on_cpu(checkpoint.network) if local else TorchPredictor(model)
    prime, _ = without_unknown(_PARAGRAPH, checkpoint.vocab)
    opt = SampleOptions(length=length, seed=seed, temperature=temperature)
    yield from (one.character for one in sample(predictor, checkpoint.vocab, opt, prime) if not one.given)
