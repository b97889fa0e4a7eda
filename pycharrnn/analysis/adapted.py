"""How well a model predicts a text while it learns from it: dynamic evaluation, for `score` and `eval` with -adapt 1.

Each character is predicted before it is learnt from. Yet it is another test than the plain one, whose model knows
nothing but its training text: results of the two must not be compared as if they were one.
"""

from __future__ import annotations

import math
import os
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.analysis import evaluation, scoring
from pycharrnn.common.progress import bar
from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import adapt
from pycharrnn.text.batches import SPLIT_INDICES

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from pycharrnn.analysis.options import EvalOptions
    from pycharrnn.analysis.scoring import GivenMask, Score
    from pycharrnn.engine.adapt_options import Adaptation

EXPLANATION = "with -adapt 1 the model learns from each character after scoring it: compare only figures of -adapt 1"


def score(
    loaded: Checkpoint,
    text: bytes,
    how: Adaptation,
    threads: int = 1,
    name: str = "",
    given_mask: GivenMask | None = None,
) -> Score:
    """As scoring.score, by a model that begins with the weights of `loaded` and learns from the text as it reads it.

    Args:
        name: of the text, for a progress bar; "" for none.
        given_mask: see scoring.score_by. The model does not learn to predict these characters.

    Errors: UserError without the C kernel and PyTorch.
    """
    encoded = scoring.encode(loaded, text)
    ids, given = encoded.token_ids[encoded.known], given_mask(encoded.characters) if given_mask else None
    bits = np.full(len(ids), math.log2(loaded.network.vocab_size))
    if len(ids) > 1:
        learner = adapt.learner(loaded.network, how, threads)
        targets = adapt.targets_of(ids, None if given is None else given[encoded.known])
        with bar(os.path.basename(name), len(targets), -1 if name else 0) as advance:
            bits[1:] = -learner.read_all(ids[:-1], targets, advance) / math.log(2)
    return scoring.score_of(loaded, encoded, bits, given)


def split_loss(path: str, loaded: Checkpoint, opt: EvalOptions) -> float:
    """As evaluation.split_loss, by a model that learns as it reads the rows of the batches one after the other.

    The hidden state is carried through a row; it is zeros at its beginning in a model of items, else at that of the
    first row. Errors: as there; UserError without the C kernel and PyTorch.
    """
    split = SPLIT_INDICES[opt.split]
    with closing(evaluation.open_split(path, loaded, opt)) as loader:
        model_ids = evaluation.model_ids_of(loader, path, loaded)
        batches = [loader.next_batch(split) for _ in range(loader.split_sizes[split])]
    x, y = (np.concatenate([batch[part] for batch in batches], 1).ravel() for part in range(2))
    ignored = y == IGNORED
    x, y = model_ids[x], np.where(ignored, IGNORED, model_ids[np.where(ignored, 0, y)])
    learner = adapt.learner(loaded.network, opt.adaptation, opt.threads or 1)
    with bar(f"{os.path.basename(path)}, -adapt 1", len(x)) as advance:
        nats = -learner.read_all(x, y, advance)
    return float(nats.sum() / np.count_nonzero(~ignored))
