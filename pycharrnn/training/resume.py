"""-resume: find the checkpoint, take over its options, and put a run back where the checkpoint left it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from compat import lua_format
from compat.charrnn import Checkpoint
from compat.plain_text import printable
from pycharrnn import __version__
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.text.loader import TRAIN
from pycharrnn.training import checkpoint_keeper, recorded_options
from pycharrnn.training.options import TrainOptions

_NAME = re.compile(r"lm_(?P<savefile>.+)_(epoch(?P<epoch>[\d.]+)_[\d.]+|latest)\.t7", re.DOTALL)
_WHOLE_HASH = 1 << 30  # bytes of text that are hashed to the last; beyond, blocks of it
_BLOCKS, _BLOCK = 1024, 1 << 20
_MOST_ITERATIONS = 10**9
_EXACT_DECAYS = 10**6  # more epochs than any run has, and no time at all
# Options that change which characters a batch holds.
_LAYOUT = ("batch_size", "seq_length", "train_frac", "val_frac", "vocab", "encoding")


@dataclass
class Resumed:
    """A run to go on with. `overridden`: options of the command line that differ from the checkpoint's."""

    path: str
    checkpoint: Checkpoint
    overridden: set[str]


def begin(opt: TrainOptions, given: Collection[str] | None, say: Callable[[str], None]) -> Resumed:
    """Read the checkpoint of -resume and make `opt` say what the run that wrote it did.

    Args:
        given: names of the options that the user gave, which stay; None: those that are not at their default.

    Errors: UserError.
    """
    fields = {f.name: f for f in dataclasses.fields(opt)}
    if given is None:
        given = {name for name, f in fields.items() if getattr(opt, name) != f.default}
    if os.path.isdir(opt.resume):
        path, found = _newest(opt.resume, opt.savefile if "savefile" in given else None, say)
    else:
        path, found = opt.resume, checkpoint.load(opt.resume)
    if found.program != "char-rnn":
        raise UserError(f"{path} is a checkpoint of {found.program}, which can't be resumed: use -init_from {path}.")
    if not isinstance(found.i, int) or not 0 <= found.i <= _MOST_ITERATIONS:
        raise UserError(f"can't resume from {path}: it says it was written after iteration {found.i}.")
    found.val_losses = {i: loss for i, loss in found.val_losses.items() if isinstance(i, int) and 0 < i <= found.i}
    say(f"resuming from {path}, iteration {found.i}, epoch {lua_format.fixed(found.epoch, 2)}")
    overridden = {}
    for name in TrainOptions.not_of_the_run:
        del fields[name]
    for name in fields:
        value = recorded_options.find(found, name)
        if name not in given:
            setattr(opt, name, recorded_options.require(path, found, name))
        elif getattr(opt, name) != value:
            overridden[name] = f"-{name} {_shown(getattr(opt, name))} (was {_shown(value)})"
    for name in ("rnn_size", "num_layers", "model"):
        if name in overridden:
            raise UserError(f"{overridden[name]} can't change on the way: leave -{name} out, or start a new run.")
    _stay_beside(opt, path, given)
    if overridden:
        say(f"overridden on the command line: {', '.join(overridden.values())}")
    opt.resume = ""  # the checkpoints that follow are those of a run that never stopped
    recorded_options.check(path, opt)
    return Resumed(path, found, set(overridden))


def _stay_beside(opt: TrainOptions, path: str, given: Collection[str]) -> None:
    """Let the run write beside `path`, its checkpoint, or where the command line says, wherever the checkpoint says.

    Errors: UserError for a recorded -savefile that names a folder.
    """
    if "savefile" not in given and ({os.sep, os.altsep, "\0"} & {*opt.savefile}):
        raise UserError(
            f"{path} records the -savefile {printable(opt.savefile, 80)}, which is no name of a file: give -savefile,"
            " and -checkpoint_dir, on the command line."
        )
    beside = os.path.dirname(path)
    if "checkpoint_dir" not in given and not checkpoint_keeper.same_folder(opt.checkpoint_dir, beside):
        opt.checkpoint_dir = beside or "."


def _newest(folder: str, savefile: str | None, say) -> tuple[str, Checkpoint]:
    """The youngest checkpoint in a folder that is whole and holds numbers; of `savefile` alone unless None."""
    found = []
    try:
        for entry in os.scandir(folder):
            match = _NAME.fullmatch(entry.name)
            if match and savefile in (None, match["savefile"]):
                found.append((entry.stat().st_mtime_ns, _number(match["epoch"]), entry.path))
    except OSError as e:
        raise UserError(f"can't look for checkpoints in {folder} ({e.strerror}).") from e
    for _, _, path in sorted(found, reverse=True):
        try:
            loaded = checkpoint.load(path)
        except UserError as e:
            say(f"skipping {path}: {e}")
            continue
        if all(np.isfinite(w).all() for w in loaded.network.weights.values()):
            return path, loaded
        say(f"skipping {path}: its weights are not finite numbers.")
    which = "lm_*" if savefile is None else f"lm_{savefile}"
    raise UserError(f"{folder} holds no whole checkpoint {which}_*.t7 to resume from.")


def _number(text: str | None) -> float:
    """Of two files of one time, the later epoch is the newer; `latest` comes before a named one, which it may link."""
    try:
        return float(text or "-1")
    except ValueError:
        return -1.0


def _shown(value) -> str:
    if value is None:
        return "nothing that can be used"
    return lua_format.tostring(value) if isinstance(value, (int, float)) else str(value)


def restore(resumed: Resumed, run, opt: TrainOptions, text: str, say: Callable[[str], None]) -> None:
    """Put `run` (training's) where the checkpoint left it, as far as the checkpoint knows; say what it doesn't know.

    Args:
        text: the fingerprint of today's input.txt.
    """
    found, loader = resumed.checkpoint, run.loader
    state = found.state
    if "learning_rate" in resumed.overridden:
        rate = opt.learning_rate
    else:
        rate = _decayed(opt, found.i, loader.ntrain) if state is None else state.learning_rate
    if not 0 <= rate < math.inf:
        raise UserError(f"{resumed.path} records the learning rate {rate:g}: give -learning_rate on the command line.")
    run.optimizer.learning_rate = rate
    if state is None:
        loader.reset_batch_pointer(TRAIN, found.i % loader.ntrain)
        say(
            f"{resumed.path} holds weights, losses and the iteration, but no run state (the Lua program and -save_state"
            f" 0 write none): learning rate {lua_format.tostring(run.optimizer.learning_rate)} by the decay rule,"
            " RMSprop's mean squares and the hidden state from zero, dropout from -seed."
        )
        return
    run.restore(state)
    if "seed" not in resumed.overridden:
        run.random.set_state(state.random_words, state.random_position)
    changed = [f"-{name}" for name in _LAYOUT if name in resumed.overridden]
    if text != state.text:
        say(f"{opt.data_dir}/input.txt is not the text of the checkpoint: it was {state.text}; it is {text}.")
        changed.append("the text")
    if changed:
        run.forget_place()
        epoch = lua_format.fixed(found.i / loader.ntrain, 2)
        say(f"{' and '.join(changed)} changed: at the text's start, hidden state from zero; epoch counted as {epoch}.")
    else:
        for split, position in state.batch_positions.items():
            loader.reset_batch_pointer(split, position)
    ours = versions()
    for program, version in sorted((state.versions or {}).items()):
        if ours.get(program, version) != version:
            say(f"written by {program} {version}, going on with {ours[program]}: last digits may differ.")


def _decayed(opt: TrainOptions, i: int, ntrain: int) -> float:
    """The learning rate after iteration i, by train.lua's rule: a product after each epoch, whose rounding counts."""
    rate, decay = opt.learning_rate, opt.learning_rate_decay
    if decay < 1:
        first = math.ceil(min(max(opt.learning_rate_decay_after, 1), _MOST_ITERATIONS + 1))
        times = max(i // ntrain - first + 1, 0)
        for _ in range(min(times, _EXACT_DECAYS)):
            rate *= decay
        rate *= decay ** max(times - _EXACT_DECAYS, 0)
    return rate


def versions() -> dict[str, str]:
    """What the digits of a run depend on, beside the machine."""
    import torch

    return {"pycharrnn": __version__, "torch": str(torch.__version__)}


def fingerprint(path: str | os.PathLike) -> str:
    """Size and SHA-256 of a text, as words that differ where the texts do.

    Beyond 1 GiB, only 1024 blocks of 1 MiB, evenly spaced, first and last included, are hashed: enough to notice
    another text or an insertion, whatever the size, in a second.

    Errors: UserError.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            if size <= _WHOLE_HASH:
                while piece := f.read(_BLOCK):
                    digest.update(piece)
                return f"{size} bytes, SHA-256 {digest.hexdigest()}"
            for k in range(_BLOCKS):
                f.seek((size - _BLOCK) * k // (_BLOCKS - 1))
                digest.update(f.read(_BLOCK))
    except OSError as e:
        raise UserError(f"can't read {path}: {e.strerror or e}.") from e
    return f"{size} bytes, SHA-256 of {_BLOCKS} blocks {digest.hexdigest()}"
