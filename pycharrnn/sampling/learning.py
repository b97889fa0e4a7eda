"""A checkpoint whose weights have learnt from a text, for `sample -adapt 1` and pycharrnn.Model.learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compat.vocabulary import ids_of
from pycharrnn.checkpoints import derived_checkpoints
from pycharrnn.common.progress import bar
from pycharrnn.engine import adapt

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from pycharrnn.engine.adapt_options import Adaptation


def learnt(
    loaded: Checkpoint,
    characters: Sequence[bytes],
    how: Adaptation,
    threads: int = 1,
    given: npt.NDArray[np.bool_] | None = None,
    progress: int = -1,
) -> Checkpoint:
    """A copy of `loaded` that has read a text of its vocabulary's characters, N of them, once, and learnt from it.

    Args:
        given: which of them the model only reads, (N,).
        progress: whether to show a bar, as for progress.enabled.

    Errors: UserError without the C kernel and PyTorch.
    """
    ids = np.array(ids_of(characters, loaded.vocab), np.int64)
    learner = adapt.learner(loaded.network, how, threads)
    with bar("learning", max(len(ids) - 1, 0), progress) as advance:
        learner.read_all(ids[:-1], adapt.targets_of(ids, given), advance)
    return derived_checkpoints.with_network(loaded, learner.network())
