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


def to_learn(**values: Unpack[AdaptKeywords]) -> Adaptation:
    """How Model.learn learns by its arguments. Errors: see keywords.options_of."""
    return options_of(AdaptOptions, values, "learn", [*AdaptKeywords.__annotations__]).adaptation


def to_score(adapt: bool, **values: Unpack[AdaptKeywords]) -> Adaptation | None:
    """How the model of Model.score learns by its arguments; None without `adapt`.

    Errors: see keywords.options_of; UserError for values without `adapt`.
    """
    names = ["adapt", *AdaptKeywords.__annotations__]  # adapt is no option: for hints on misspelled names
    opt = options_of(AdaptOptions, values, "score", names)
    adapt = switch("adapt", adapt)
    with in_words_of_a_program():
        opt.check_adapt("adapt", adapt)
    return opt.adaptation if adapt else None
