"""Says for `eval` where options that decide what is in a split are not those of the training, or of other models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat import item_options
from pycharrnn.common.errors import flag
from pycharrnn.text import source_files
from pycharrnn.training import recorded_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compat.charrnn import Checkpoint
    from pycharrnn.analysis.options import EvalOptions

_OF_ITEMS = ("train_frac", "val_frac")
_OF_TEXTS = ("batch_size", "seq_length", *_OF_ITEMS)


def other_split(path: str, loaded: Checkpoint, opt: EvalOptions) -> str:
    """A sentence for options that give the checkpoint at `path` another split than its training had; or ""."""
    was, now = _recorded(loaded), _given(loaded, opt)
    differ = [name for name, value in now.items() if was[name] not in (None, value)]
    if differ == ["val_frac"] and opt.split == "val" and now["val_frac"] < was["val_frac"]:
        return ""  # a part of the same split
    if not differ:
        return ""
    in_training, given = (" ".join(flag(name, one[name]) for name in differ) for one in (was, now))
    return (
        f"{path} was trained with {in_training}: with {given} the {opt.split} split has other characters, and the"
        " model may have been trained on them."
    )


def used(loaded: Checkpoint, opt: EvalOptions) -> dict[str, Any]:
    """Options that decide what is in a split: those that are given, else those of the training."""
    return _recorded(loaded) | _given(loaded, opt)


def several_splits(used_for: Mapping[str, Mapping[str, Any]], split: str) -> str:
    """A sentence for losses of different splits, made by these options for each checkpoint; "" for those of one."""
    differ = [name for name in _OF_TEXTS if len({values[name] for values in used_for.values() if name in values}) > 1]
    by_flags: dict[str, list[str]] = {}
    for path, values in used_for.items():
        flags = " ".join(flag(name, values[name]) for name in differ if name in values)
        by_flags.setdefault(flags, []).append(path)
    by_flags.pop("", None)  # models of items, which have no such options
    if not by_flags:
        return ""
    of_each = "; ".join(f"{source_files.some(paths)} by {flags}" for flags, paths in by_flags.items())
    return (
        f"these losses are of different characters, since the {split} splits differ: {of_each}."
        f" Give {next(iter(by_flags))} for all to compare them on one split."
    )


def _recorded(loaded: Checkpoint) -> dict[str, Any]:
    names = _OF_ITEMS if item_options.kind(loaded.vocab, loaded.opt) else _OF_TEXTS
    return {name: recorded_options.find(loaded, name) for name in names}


def _given(loaded: Checkpoint, opt: EvalOptions) -> dict[str, Any]:
    default = type(opt)  # whose values mean "as in training"
    return {name: getattr(opt, name) for name in _recorded(loaded) if getattr(opt, name) != getattr(default, name)}
