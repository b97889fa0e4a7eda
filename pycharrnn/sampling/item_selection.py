"""Chooses among drawn items: those that are new, that were not drawn before, of some lengths. Counts the others."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from compat.item_options import TAB
from pycharrnn.common.display import quote_character, series
from pycharrnn.common.errors import UserError, flag
from pycharrnn.sampling import items

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pycharrnn.sampling.item_streams import DrawnItem
    from pycharrnn.sampling.items import ItemModel
    from pycharrnn.sampling.options import SampleOptions

MAX_TRIES = 1000  # items in a row that are left out, after which no more are drawn


class SelectedItem(NamedTuple):
    """An item that is not left out. `text`: with its beginning. `known`: whether the training text has it, if known.

    `label`: b"" for a model without labels. A known item has the same label there.
    """

    item: DrawnItem
    text: bytes
    known: bool | None
    label: bytes = b""

    @property
    def facts(self) -> dict[str, object]:
        """The item for JSON; what is not UTF-8 is replaced."""
        text = self.text.decode("utf-8", "replace")
        return {"text": text, "known": self.known, "seed": self.item.seed, "cut": self.item.cut}


@dataclass
class Selection:
    """Selects `opt.items` of the drawn items, by -new, -unique, -least and -most: `take` each until `has_ended`.

    The counts are of items; an item may be in several of them.

    Attributes:
        known_items: those of the training text; None if there is no such text to compare with.
        gave_up: whether the last MAX_TRIES items were all left out. With -sample 0 or -topk 1 all items of a label are
            equal, so without labels, or with one label for all items, a single item is enough.
    """

    opt: SampleOptions
    known_items: Collection[bytes] | None
    drawn: int = 0
    printed: int = 0
    known: int = 0
    repeated: int = 0
    other_length: int = 0
    empty: int = 0
    cut: int = 0
    gave_up: bool = False
    _before: set[bytes] = field(default_factory=set, init=False, repr=False)
    _left_out: int = field(default=0, init=False, repr=False)  # since the last that was not
    _labels_vary: bool = field(default=False, init=False, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether no further item is needed."""
        return self.gave_up or self.printed == self.opt.items

    def take(self, item: DrawnItem, text: bytes, label: bytes = b"") -> SelectedItem | None:
        """Count the next item in the order of seeds. Returns it with its text, or None if it is left out."""
        whole = label + TAB + text if label else text  # as the training text has it
        known = None if self.known_items is None else whole in self.known_items
        repeated, has_length = whole in self._before, self._has_length(text)
        self._before.add(whole)
        self.drawn += 1
        self.known += bool(known)
        self.repeated += repeated
        self.other_length += not has_length
        self.empty += not text
        self.cut += item.cut
        is_new = bool(text) and not known  # a list has no empty items: a training drops them
        if not has_length or (not is_new and self.opt.new) or (repeated and self.opt.unique):
            self._left_out += 1
            self._labels_vary = bool(label) and not self.opt.label
            self.gave_up = self._left_out == (1 if self._is_greedy and not self._labels_vary else MAX_TRIES)
            return None
        self._left_out = 0
        self.printed += 1
        return SelectedItem(item, text, known, label)

    @property
    def _is_greedy(self) -> bool:
        """Whether each character is the most probable one, whatever the seed."""
        return not self.opt.sample or self.opt.topk == 1

    def _has_length(self, text: bytes) -> bool:
        if not (self.opt.least or self.opt.most):
            return True
        length = characters_in(text)
        return self.opt.least <= length and (not self.opt.most or length <= self.opt.most)

    def why_it_gave_up(self) -> str:
        """A sentence, if `gave_up`."""
        found = f"found {self.printed} of {self.opt.items} items"
        if self._is_greedy:
            which = "those of a label" if self._labels_vary else "all"
            return f"{found}: with {flag('topk', 1) if self.opt.sample else flag('sample', 0)} {which} are equal."
        given = {name: getattr(self.opt, name) for name in ("new", "unique", "least", "most")}
        limits = " and ".join(flag(name, value) for name, value in given.items() if value)
        ways_out = [
            *([f"lower {flag('least')}"] if self.opt.least else []),
            *([f"raise {flag('most')}"] if self.opt.most else []),
            *([f"raise {flag('temperature')}"] if self.opt.new or self.opt.unique else []),
            *(["ask for fewer"] if self.printed else []),
        ]
        return f"{found}: {limits} left out the last {MAX_TRIES:,} that were drawn; {series(ways_out, 'or')}."

    def as_sentence(self) -> str:
        """The counts, for the command line."""
        parts = [f"drawn: {self.drawn}", f"printed: {self.printed}"]
        if self.known_items is not None:
            parts.append(f"known: {self.known}")
        parts.append(f"repeated: {self.repeated}")
        if self.opt.least or self.opt.most:
            parts.append(f"of another length: {self.other_length}")
        if self.opt.new and self.empty:
            parts.append(f"empty: {self.empty}")
        if self.cut:
            parts.append(f"cut at -length {self.opt.length}: {self.cut}")
        return ", ".join(parts)


def select(selection: Selection, model: ItemModel) -> Iterator[SelectedItem]:
    """Draw items, see items.draw, until `selection` has its number of them or gives up.

    Errors: UserError for a `prime` that has the end of an item, for -least and -most that no item has, or a model that
    predicts NaN.
    """
    return itertools.chain.from_iterable(select_in_rounds(selection, model))


def select_in_rounds(selection: Selection, model: ItemModel) -> Iterator[list[SelectedItem]]:
    """As `select`, in lists that may be empty: see items.draw_in_rounds."""
    characters = model.characters
    require_possible_items(selection.opt, model.prime, characters[model.end])
    most = None if selection.opt.may_leave_out_items else selection.opt.items
    beginning = b"".join(model.prime)
    for drawn in items.draw_in_rounds(model, selection.opt, most):
        selected = list[SelectedItem]()
        for item in drawn:
            text = beginning + b"".join([characters[k] for k in item.token_ids.tolist()])
            if one := selection.take(item, text, model.label(item.seed)):
                selected.append(one)
            if selection.has_ended:
                break
        yield selected
        if selection.has_ended:
            return


def require_possible_items(opt: SampleOptions, prime: Sequence[bytes], end: bytes) -> None:
    """Errors: UserError for a `prime` that has the end of an item, or for -least and -most that no item has."""
    require_no_end(prime, end, opt.prime_option)
    _require_possible_length(opt, prime)


def require_no_end(prime: Sequence[bytes], end: bytes, option: str = "primetext") -> None:
    """Errors: UserError for the end character in the beginning of every item, given by this option."""
    if end in prime:
        raise UserError(
            f"{flag(option)} contains {quote_character(end)}, which ends an item: remove it; each item starts by"
            " itself."
        )


def _require_possible_length(opt: SampleOptions, prime: Sequence[bytes]) -> None:
    """Errors: UserError if every item would be left out by its length: it begins with `prime`, and goes on to -length.

    An item may have fewer characters than the model's, which may be bytes.
    """
    shortest, longest = len(b"".join(prime).decode("utf-8", "ignore")), len(prime) + opt.length
    if opt.least > longest:
        raise UserError(
            f"no item has {flag('least', opt.least)} or more characters with {flag('length', opt.length)}: raise"
            f" {flag('length')}, or lower {flag('least')}."
        )
    if opt.most and shortest > opt.most:
        raise UserError(
            f"{flag(opt.prime_option)} alone has {shortest} characters, more than {flag('most', opt.most)}: raise"
            f" {flag('most')}, or shorten it."
        )


def characters_in(text: bytes) -> int:
    """The length of a text in code points; in bytes if it is not UTF-8."""
    try:
        return len(text.decode())
    except UnicodeDecodeError:
        return len(text)
