"""`sample` for a model of items: checks options, draws, selects, prints. Imports in functions keep -help fast."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

from pycharrnn.cli.console import note, saved
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.sampling.options import DEFAULT_ITEMS, refuse_unused_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.model_labels import LabelChoice
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor


def options_for(path: str, opt: SampleOptions, has_items: bool) -> SampleOptions:
    """The options for the model at `path`, with the number of items. Errors: UserError for those that don't fit it."""
    if not has_items:
        for name, instead in (  # of a label, model_labels.for_drawing says what the model lacks
            ("items", f"; {flag('samples')} N draws several texts"),
            ("new", f"; {flag('max_copy')} N draws no passage of more than N characters of the training text"),
            ("unique", ""),
            ("least", ""),
            ("most", f"; {flag('length')} N ends a text after N characters"),
        ):
            if value := getattr(opt, name):
                raise UserError(
                    f"{flag(name, value)} is for a model of items, which pycharrnn train FILE -items line makes, and"
                    f" {path} is a model of a text: leave it out{instead}."
                )
        refuse_unused_text(opt)
        return opt
    for given, name, instead in (
        (opt.samples > 1, "samples", f"give {flag('items', opt.samples)}"),
        (opt.beam, "beam", "leave it out"),
        (opt.stop, "stop", "leave it out; every item ends by itself"),
        (not opt.length, "length", "give the most characters that an item may have"),
    ):
        if given:
            what = f"{path} is a model of items"
            raise UserError(f"{what}, for which {flag(name, getattr(opt, name))} has no meaning: {instead}.")
    if opt.json and opt.hide_prime:
        raise UserError(f"{flag('json', 1)} prints whole items: leave {flag('hide_prime')} out.")
    return dataclasses.replace(opt, items=opt.items or DEFAULT_ITEMS)


def print_items(
    loaded: Checkpoint,
    opt: SampleOptions,
    prime: list[bytes],
    labels: LabelChoice | None,
    known: Collection[bytes] | None,
    where: str,
    tell: PrintLine,
    copies: CopyLimits | None,
) -> None:
    """Draw items and print those that are selected, with -o each to a file. `known`: of known_items.for_options.

    Errors: UserError, without a message after one line has said why, if there are fewer than -items.
    """
    from pycharrnn.sampling import inference, item_selection
    from pycharrnn.sampling.item_writer import ItemWriter
    from pycharrnn.sampling.items import ItemModel

    end = loaded.network.end_id
    assert end is not None  # else this is not called

    def predictor_of(streams: int) -> Predictor:
        return inference.make_predictor(loaded, where, streams)

    model = ItemModel(predictor_of, loaded.vocab, end, prime, labels, copies)
    selection = item_selection.Selection(opt, known)
    writer = ItemWriter(sys.stdout.buffer, model.characters, prime, opt, loaded.items)
    for selected in item_selection.select(selection, model):
        if opt.json:
            writer.put_json(selected)
        elif opt.o:
            tell(saved(writer.put_file(opt.o, selected)))
        else:
            writer.put(selected)
    sys.stdout.buffer.flush()
    if selection.gave_up:
        note(selection.why_it_gave_up())
    tell(selection.as_sentence())
    if selection.gave_up:
        raise UserError("")
