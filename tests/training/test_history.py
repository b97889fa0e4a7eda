"""The losses of a run that goes on, and the loss above which it diverges."""

from __future__ import annotations

import math
from array import array

from pycharrnn.training.history import History


def test_losses_beyond_the_iteration_of_the_checkpoint_are_left_out():
    """A checkpoint of another program may hold them."""
    found = History.resumed([3.0, 2.5, 2.0], {2: 2.75}, 2, 0.0)
    assert (list(found.train_losses), found.val_losses, found.done) == ([3.0, 2.5], {2: 2.75}, 2)


def test_the_first_known_loss_decides_which_one_diverges():
    found = History.resumed([], {}, 2, 0.0)
    assert not found.has_newest and math.isnan(found.max_loss) and not found.is_exploding()
    found.train_losses.extend(array("d", [2.0, 6.0]))
    assert found.has_newest and found.max_loss == 6.0 and not found.is_exploding()
    found.train_losses.append(6.1)
    assert found.is_exploding()
