"""Says for `eval` where a loss is of another split or text than in training, and where losses can't be compared.

The last also for `plot`, which draws the losses of the trainings.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pycharrnn.checkpoints import recorded_split
from pycharrnn.common.display import escape_line, join_words
from pycharrnn.common.errors import flag
from pycharrnn.text.fingerprint import with_short_hash
from pycharrnn.text.recorded_text import RecordedText, recorded_text
from pycharrnn.text.text_folder import input_file
from pycharrnn.text.text_stats import text_stats
from pycharrnn.training import recorded_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from compat.charrnn import Checkpoint
    from pycharrnn.analysis.options import EvalOptions

_ADVICE = "To compare the models, give pycharrnn score a text that none of them has read and whose characters all know"


class EvaluatedSplit(NamedTuple):
    """What decides which characters the loss of a checkpoint is of, and which of them it may have been trained on.

    Attributes:
        options: those that are given, else those of the training.
        text: of the training.
        character: see character_of.
        is_of_torch_rnn: whether torch-rnn trained it, on other parts of the text than `options` say.
    """

    options: dict[str, Any]
    text: RecordedText
    character: str
    is_of_torch_rnn: bool


def other_split(path: str, loaded: Checkpoint, opt: EvalOptions) -> str:
    """A message for a loss of other characters than the split of its training had, for the checkpoint at `path`; or "".

    Those are of other options, or of a model of torch-rnn, which does not record its fractions.
    """
    if loaded.program == "torch-rnn":
        return _on_torch_rnn(path, loaded, opt)
    was, now = _recorded(loaded), _given(loaded, opt)
    differ = [name for name, value in now.items() if was[name] not in (None, value)]
    if differ == ["val_frac"] and opt.split == "val" and now["val_frac"] < was["val_frac"]:
        return ""  # a part of the same split
    if not differ:
        return ""
    in_training, given = (" ".join(flag(name, one[name]) for name in differ) for one in (was, now))
    return (
        f"{path} was trained with {in_training}: with {given} the {opt.split} split may have other characters, on"
        " which the model was trained."
    )


def _on_torch_rnn(path: str, loaded: Checkpoint, opt: EvalOptions) -> str:
    file = escape_line(loaded.torch_rnn_file)
    trained = f", trained on {file}; this is the loss on {opt.data_dir}" if file and opt.data_dir else ""
    return (
        f"{path} is of torch-rnn{trained}. torch-rnn trains on the first part of a text, 80 % by default: if this is"
        " the text, the model was trained on most of these characters. Give pycharrnn score the part from 80 to 90 %"
        " for its val_loss."
    )


def other_texts(texts: Iterable[RecordedText], data_dir: str) -> Iterator[str]:
    """A message for each text that `eval` reads although its models were trained on another.

    Models of the same text share a message. A checkpoint without a hash, as of char-rnn, is passed over. `data_dir`:
    the value of -data_dir. Errors: UserError for a text that can't be read.
    """
    paths: dict[tuple[str, str], list[str]] = {}
    for text in texts:
        if text.fingerprint:
            paths.setdefault((data_dir or text.folder, text.fingerprint), []).append(text.checkpoint)
    for (folder, trained), found in paths.items():
        read = text_stats(folder, -1).fingerprint
        if read == trained:
            continue
        was, now = (with_short_hash(escape_line(fingerprint)) for fingerprint in (trained, read))
        are_many = len(found) > 1
        of_losses = "the losses can't be compared with those" if are_many else "the loss can't be compared with that"
        yield (
            f"{escape_line(input_file(folder))} is not the text that {join_words(found)}"
            f" {'were' if are_many else 'was'} trained on: that was {was}; this is {now}. So {of_losses} of the"
            f" training: the {'models' if are_many else 'model'} may have been trained on parts of this text."
        )


def of(path: str, loaded: Checkpoint, opt: EvalOptions) -> EvaluatedSplit:
    """The split of the checkpoint at `path`."""
    options = _recorded(loaded) | _given(loaded, opt)
    return EvaluatedSplit(options, recorded_text(path, loaded), character_of(loaded), loaded.program == "torch-rnn")


def character_of(loaded: Checkpoint) -> str:
    """What a loss is per: "a byte" or "a code point"; "" for a model of ASCII, where they are the same."""
    if any(len(c) > 1 for c in loaded.vocab):
        return "a code point"
    return "" if b"".join(loaded.vocab).isascii() else "a byte"


def not_comparable(splits: Sequence[EvaluatedSplit], opt: EvalOptions) -> str:
    """A sentence for losses that do not tell which of the models is better; "" for those that do."""
    differ = [
        name
        for name in recorded_split.OPTIONS
        if len({split.options.get(name) for split in splits}) > 1  # None: of a text or of items only
    ]
    texts = {split.text._replace(checkpoint="") for split in splits}  # each once
    several_texts = any(_differ(*pair) for pair in itertools.combinations(texts, 2))
    said = different_characters((split.text.checkpoint, split.character) for split in splits)
    if said and (not opt.data_dir or text_stats(opt.data_dir, -1).multibyte):
        return said
    on_different = "the models were trained on different texts, see the last column" if several_texts else ""
    if opt.data_dir and not differ and (why := on_different or _different_parts(splits)):
        return f"{why}: their losses can be compared only if none of them has read the text of {flag('data_dir')}."
    if several_texts and not opt.data_dir:
        why = on_different
    elif differ:
        why = f"the {opt.split} splits differ: {_by_flags(splits, differ)}"
    else:
        return ""
    # Options that make the splits one would favor the models that were trained on a part of that split.
    return f"these losses are of different characters, since {why}. {_ADVICE}."


def different_characters(models: Iterable[tuple[str, str]]) -> str:
    """A sentence that says for which models a character is a byte, and for which a code point; "" if all are alike.

    `models`: path and character_of.
    """
    paths: dict[str, list[str]] = {}
    for path, character in models:
        paths.setdefault(character, []).append(path)
    paths.pop("", None)
    if len(paths) < 2:
        return ""
    clauses = (f"{character} for {join_words(found)}" for character, found in paths.items())
    return f"these losses can't be compared, since a character is {', and '.join(clauses)}. {_ADVICE}."


def _different_parts(splits: Sequence[EvaluatedSplit]) -> str:
    """A clause for models of torch-rnn beside others; "" for models of one kind."""
    paths = [split.text.checkpoint for split in splits if split.is_of_torch_rnn]
    if len(paths) in (0, len(splits)):
        return ""
    return f"the models were trained on different parts of a text, {join_words(paths)} on those of torch-rnn"


def _differ(one: RecordedText, other: RecordedText) -> bool:
    """Whether these are different texts, as far as the checkpoints say."""
    if one.fingerprint and other.fingerprint:
        return one.fingerprint != other.fingerprint
    return bool(one.folder and other.folder) and os.path.abspath(one.folder) != os.path.abspath(other.folder)


def _by_flags(splits: Sequence[EvaluatedSplit], names: Sequence[str]) -> str:
    by_flags: dict[str, list[str]] = {}
    for split in splits:
        flags = " ".join(flag(name, split.options[name]) for name in names if name in split.options)
        by_flags.setdefault(flags, []).append(split.text.checkpoint)
    return "; ".join(f"{join_words(paths)} by {flags}" for flags, paths in by_flags.items())


def _recorded(loaded: Checkpoint) -> dict[str, Any]:
    return {name: recorded_options.find(loaded, name) for name in recorded_split.names(loaded)}


def _given(loaded: Checkpoint, opt: EvalOptions) -> dict[str, Any]:
    options = [name for name in _recorded(loaded) if hasattr(opt, name)]  # -items, -label and -seed are not
    return {name: getattr(opt, name) for name in options if opt.is_given(name)}
