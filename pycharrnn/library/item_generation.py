"""Draws items for Model.items, as strings that hold their probabilities."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, TypedDict

from pycharrnn.common.errors import UserError, in_words_of_a_program
from pycharrnn.common.option_fields import MAX_COUNT
from pycharrnn.library import arguments
from pycharrnn.library.generated import GeneratedText, text_of
from pycharrnn.library.generation import with_none_resolved
from pycharrnn.library.keywords import for_a_program, options_of
from pycharrnn.sampling import item_selection, known_items, model_labels
from pycharrnn.sampling.items import ItemModel
from pycharrnn.sampling.options import SampleOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from typing_extensions import Unpack

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.item_selection import SelectedItem
    from pycharrnn.sampling.predictor import Predictor


class ItemKeywords(TypedDict, total=False):
    """The keyword arguments of Model.items except primetext."""

    label: str
    new: bool
    unique: bool
    least: int
    most: int
    text: str | os.PathLike[str] | None
    text_encoding: str
    length: int
    temperature: float | tuple[float, float] | str
    seed: int | None
    topk: int
    topp: float
    sample: int
    hide_prime: bool
    ignore_bad_primetext: bool
    threads: int
    max_copy: int


class Item(GeneratedText):
    """An item that a model of items has drawn.

    Attributes:
        known: whether the training text has it; None if there is no such text to compare with.
        bits: its surprise: -log2 of the probability with which it was drawn after its beginning, at the temperature,
            topk and topp of the draw. The end counts too.
        cut: whether it has no end, since it has `length` characters.
        label: "" for a model without labels.
    """

    label: str = ""
    known: bool | None = None
    bits: float = math.nan
    cut: bool = False

    @property
    def probability(self) -> float:
        """2 to the power of -bits; of a long item it may be 0."""
        return math.pow(2, -self.bits)


def options_for(count: int, **values: Unpack[ItemKeywords]) -> SampleOptions:
    """The options of `pycharrnn sample` for arguments of Model.items.

    Errors: see keywords.options_of; TypeError unless `count` is a whole number; UserError for one below 1.
    """
    count = arguments.count(count)
    if not 1 <= count <= MAX_COUNT:
        raise UserError(f"count must be from 1 to {MAX_COUNT:,}, not {count}.")
    names = ["primetext", *ItemKeywords.__annotations__]  # primetext is no option: for hints on misspelled names
    opt = options_of(SampleOptions, with_none_resolved(values), "items", names)
    return dataclasses.replace(opt, items=count)


def draw_items(
    path: str,
    loaded: Checkpoint,
    predictor_of: Callable[[int], Predictor],
    opt: SampleOptions,
    prime: list[bytes],
    copies: CopyLimits | None,
) -> Iterator[Item]:
    """Draw the items of Model.items from the checkpoint of `path`. `copies`: as in ItemModel.

    Errors: UserError for a model of a text, or for a missing text; while it runs for a model that predicts NaN.
    """
    end = loaded.network.end_id
    if end is None:
        raise UserError("this is not a model of items: generate() samples its text.")
    if not opt.length:
        raise UserError("length must be at least 1, the most characters of an item, not 0.")
    with in_words_of_a_program():
        labels = model_labels.for_drawing(path, loaded, opt.label)
        model_labels.refuse_in_primetext(b"".join(prime), loaded.labels)
        known = known_items.for_options(path, loaded, opt)
    selection = item_selection.Selection(opt, known)
    model = ItemModel(predictor_of, loaded.vocab, end, prime, labels, copies)
    shown = [] if opt.hide_prime else prime
    selected = for_a_program(item_selection.select(selection, model))
    return (_item(one, model.characters, shown) for one in selected)


def _item(selected: SelectedItem, characters: list[bytes], prime: list[bytes]) -> Item:
    drawn = selected.item
    given = [(character, 1.0, True) for character in prime]
    probs = drawn.token_probs.tolist()
    of_item = [(characters[k], probs[n], False) for n, k in enumerate(drawn.token_ids.tolist())]
    text = text_of([*given, *of_item], drawn.seed)
    item = Item(text)
    item.__dict__.update(text.__dict__)
    item.known, item.cut = selected.known, drawn.cut
    item.label = selected.label.decode("utf-8", "surrogateescape")
    item.bits = math.fsum(-math.log2(prob) if prob > 0 else math.inf for prob in probs)  # 0: see skip_left_out
    return item
