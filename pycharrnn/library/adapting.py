"""The keyword arguments of Model.learn and Model.score that say how a model learns while it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from pycharrnn.common.errors import in_words_of_a_program
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.library.keywords import options_of, switch

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pycharrnn.engine.adapt_options import Adaptation


class AdaptKeywords(TypedDict, total=False):
    """See AdaptOptions."""

    adapt_rate: float
    adapt_length: int
    adapt_pull: float


def adaptation(caller: str, adapt: bool, /, **values: Unpack[AdaptKeywords]) -> Adaptation | None:
    """How to learn by these arguments of `caller`; None without `adapt`.

    Errors: see keywords.options_of; UserError for values without `adapt`.
    """
    own = [] if caller == "learn" else ["adapt"]  # no option: for hints on misspelled names
    opt = options_of(AdaptOptions, values, caller, [*own, *AdaptKeywords.__annotations__])
    adapt = switch("adapt", adapt)
    with in_words_of_a_program():
        opt.check_adapt("adapt", adapt)
    return opt.adaptation if adapt else None
