"""What a run is about, settled before its first step: options, device, text and model, in the order of train.lua.

A run may be new, begin with the weights of a checkpoint (-init_from), or go on with another run (-resume). What the
checkpoint or the machine overrules is overruled here, and nowhere else.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch

from compat.lua_random import LuaRandom, explained
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import checkpoint, paths, t7_file
from pycharrnn.checkpoints.torch_names import MODELS
from pycharrnn.common import memory
from pycharrnn.common.display import quote_characters
from pycharrnn.common.errors import UserError, flag
from pycharrnn.engine import device, precision, tf32
from pycharrnn.engine.model import CharRNN
from pycharrnn.text.loader import TRAIN, VAL, CharSplitLMMinibatchLoader
from pycharrnn.text.text_stats import TextStats, text_stats
from pycharrnn.training import distributed, overwrite_guard, recipes, resume, run_files, run_log
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.resume import InitialCheckpoint

Say = Callable[[str], None]  # prints a line


@dataclass(frozen=True)
class Session:
    """A run before its first step.

    Attributes:
        opt: the options that hold, whoever set them: the command line, a checkpoint or the machine.
        start: the checkpoint that it starts from; None for a new model.
        device: PyTorch's name of where it computes.
        ranks: this process among those that train together.
        text: the fingerprint of input.txt.
        random: Torch7's generator, after the draws of the model.
    """

    opt: TrainOptions
    start: InitialCheckpoint | None
    device: str
    ranks: Ranks
    loader: CharSplitLMMinibatchLoader
    text: str
    random: LuaRandom
    model: CharRNN

    @property
    def iterations(self) -> int:
        """The number of the last iteration."""
        return int(self.opt.max_epochs * self.loader.ntrain)

    @property
    def resumed(self) -> InitialCheckpoint | None:
        """The checkpoint of the run that this one goes on with; None for a run of its own."""
        return self.start if self.start and self.start.resumed else None


def prepare(opt: TrainOptions, given: Collection[str] | None, say: Say, note: Say) -> Session:
    """Settle what a run is about, printing the original's lines with `say`.

    Args:
        given, note: as for loop.train.

    Errors: UserError, OSError.
    """
    opt, start = _options_and_start(opt, given, say, note)
    goes_on = start is not None and start.resumed
    environment = distributed.from_environment()
    if not environment.rank:
        run_log.check(opt, start.checkpoint if start and goes_on else None, note)
        overwrite_guard.check(opt, start.path if start and goes_on else None, note)
    opt = _encoding_of_start(opt, start, say)
    random = LuaRandom(opt.seed)
    if explanation := explained(opt.seed):
        note(explanation)
    where, gpuid = device.choose(opt.gpuid, opt.opencl, say, environment.local_rank)
    opt = dataclasses.replace(opt, gpuid=gpuid)
    ranks = distributed.join(where)
    if opt.batch_size < ranks.size:
        sizes = f"{flag('batch_size', opt.batch_size)} can't be divided among {ranks.size} processes"
        raise UserError(f"{sizes}: use fewer.")
    stats = text_stats(opt.data_dir, opt.progress)
    loader = ranks.one_a_machine_first(lambda: _loader(opt, start, stats, ranks, say))
    for split, name in ((TRAIN, "train"), (VAL, "val")):
        if loader.split_sizes[split] == 0:
            raise UserError(
                f"the {name} split has no batch of the {loader.nbatches}: use a larger {flag(f'{name}_frac')}."
            )
    say(f"vocab size: {loader.vocab_size}")
    dtype = _dtype(opt, where)
    if start is None:
        _check_memory(opt, loader.vocab_size, where, dtype)
    if ranks.rank == 0:
        _make_checkpoint_dir(os.path.dirname(run_files.stem_of(opt)))
    if start and goes_on:
        _check_same_vocabulary(opt, start, loader.vocab_mapping)
        start = dataclasses.replace(start, checkpoint=checkpoint.renumbered(start.checkpoint, loader.vocab_mapping))
    model = _model(opt, start, loader, random, dtype, where, say)
    if opt.forget_bias and model.model == "lstm" and not goes_on:
        for layer in range(1, model.num_layers + 1):
            say(f"setting forget gate biases to 1 in LSTM layer {layer}")
        model.set_forget_bias()
    say(f"number of parameters in the model: {model.flat.numel()}")
    t7_file.check_size(model.vocab_size, model.flat.numel())
    return Session(opt, start, where, ranks, loader, stats.fingerprint, random, model)


# -- options -----------------------------------------------------------------------------------------------------------


def _options_and_start(
    opt: TrainOptions, given: Collection[str] | None, say: Say, note: Say
) -> tuple[TrainOptions, InitialCheckpoint | None]:
    """The checkpoint to start from, and the options that it overrules."""
    if opt.resume:
        return resume.take_over(opt, given, say, note)
    opt = _with_recipe(opt, given, say)
    if not opt.init_from:
        return opt, None
    path, loaded = paths.load_best(opt.init_from, note)
    network = loaded.network
    opt = dataclasses.replace(opt, rnn_size=network.rnn_size, num_layers=network.num_layers, model=network.model)
    return dataclasses.replace(opt, init_from=path), InitialCheckpoint(path, loaded, resumed=False)


def _with_recipe(opt: TrainOptions, given: Collection[str] | None, say: Say) -> TrainOptions:
    """Options with the defaults of their -recipe, said as the command line that would give the same run."""
    if opt.recipe == TrainOptions.recipe:
        return opt
    settled = recipes.settled(opt, given, text_stats(opt.data_dir, opt.progress))
    say(f"-recipe {opt.recipe}: {recipes.command_line(settled)}")
    return settled


def _encoding_of_start(opt: TrainOptions, start: InitialCheckpoint | None, say: Say) -> TrainOptions:
    """Options with the encoding of the checkpoint's characters. Errors: UserError for -vocab without a checkpoint."""
    if start is not None and opt.encoding != "utf8" and checkpoint.encoding(start.checkpoint) == "utf8":
        opt = dataclasses.replace(opt, encoding="utf8")
        say("overwriting encoding=utf8 based on the checkpoint.")
    if opt.vocab != "strict" and start is None:
        raise UserError(
            f"{flag('vocab', opt.vocab)} is about a checkpoint's characters: give {flag('init_from')} as well."
        )
    return opt


def _dtype(opt: TrainOptions, where: str) -> torch.dtype:
    """Of the parameters. Double precision is the original's on the CPU, float32, all of it, on a GPU."""
    tf32.allow(not opt.exact)
    exact_on_cpu = opt.exact and where == "cpu"
    if exact_on_cpu and opt.dtype not in ("", "float64"):
        raise UserError(f"{flag('dtype', opt.dtype)} does not give char-rnn's digits: add {flag('exact', 0)}.")
    if where == "mps" and opt.dtype == "float64":
        raise UserError(f"{flag('dtype', 'float64')} does not exist on MPS: use float32, or {flag('gpuid', -1)}.")
    if mixed := precision.MIXED.get(opt.dtype):
        if opt.model not in MODELS:
            raise UserError(
                f"{flag('dtype', opt.dtype)} is for {' and '.join(MODELS)}: train a {opt.model} with"
                f" {flag('dtype', 'float32')}."
            )
        if not precision.can_train(opt.model, opt.rnn_size, mixed, where):
            version, on = torch.__version__, {"cpu": "the CPU", "mps": "MPS"}.get(where, "this GPU")
            raise UserError(
                f"{flag('dtype', opt.dtype)}: PyTorch {version} can't train an {opt.model} in it on {on}; use"
                f" {flag('dtype', 'float32')}."
            )
    return torch.float64 if opt.dtype == "float64" or (exact_on_cpu and not opt.dtype) else torch.float32


def _check_memory(opt: TrainOptions, vocab_size: int, where: str, dtype: torch.dtype) -> None:
    """Errors: UserError for a network that can't be trained here, since its largest parts alone are too large."""

    def parameters(layers: int) -> int:
        return sum(math.prod(s) for s in parameter_shapes(opt.model, vocab_size, opt.rnn_size, layers).values())

    weights = parameters(1) + (opt.num_layers - 1) * (parameters(2) - parameters(1))
    states = opt.rnn_size * opt.num_layers * opt.seq_length * opt.batch_size
    need = dtype.itemsize * (3 * weights + 2 * states)  # weights, gradient and mean square; gates and hidden state
    gpu = torch.cuda.get_device_properties(where).total_memory if where.startswith("cuda") else None
    memory.check(need, f"{flag('rnn_size', opt.rnn_size)} with {flag('num_layers', opt.num_layers)}", gpu)


def _make_checkpoint_dir(path: str) -> None:
    """Make the folder and see now, not after 1000 iterations, that files can be written there. Errors: UserError."""
    try:
        os.makedirs(path, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(None, "no permission to write there")
    except OSError as e:
        raise UserError(
            f"can't write checkpoints to {path} ({e.strerror}): choose another {flag('checkpoint_dir')}."
        ) from e


# -- text and model ----------------------------------------------------------------------------------------------------


def _loader(
    opt: TrainOptions, start: InitialCheckpoint | None, stats: TextStats, ranks: Ranks, say: Say
) -> CharSplitLMMinibatchLoader:
    """The batches of input.txt, of which this process takes its rows."""
    return CharSplitLMMinibatchLoader(
        opt.data_dir,
        opt.batch_size,
        opt.seq_length,
        opt.split_fractions,
        say=say,
        rows=ranks.rows(opt.batch_size),
        progress=opt.progress,
        encoding=opt.encoding,
        model_characters=start.checkpoint.vocab if start and opt.vocab != "strict" else None,
        leave_out_others=opt.vocab == "keep",
        stats=stats,
    )


def _model(
    opt: TrainOptions,
    start: InitialCheckpoint | None,
    loader: CharSplitLMMinibatchLoader,
    random: LuaRandom,
    dtype: torch.dtype,
    where: str,
    say: Say,
) -> CharRNN:
    """The model to train: new, with a checkpoint's weights, or the one of the run that goes on."""
    if start is None:
        say(f"creating an {opt.model} with {opt.num_layers} layers")
        model = CharRNN(
            opt.model, loader.vocab_size, opt.rnn_size, opt.num_layers, opt.dropout, dtype=dtype, device=where
        )
        model.reset_parameters(random, forget_bias=False)
        return model
    if start.resumed:
        model = CharRNN.from_checkpoint(start.checkpoint, dtype=dtype, device=where)
        if "dropout" in start.overridden:
            model.dropout = opt.dropout
        return model
    say(f"loading a model from checkpoint {start.path}")
    if opt.vocab == "strict":
        _check_same_vocabulary(opt, start, loader.vocab_mapping)
    found = checkpoint.renumbered(start.checkpoint, loader.vocab_mapping, random)
    say(f"overwriting rnn_size={opt.rnn_size}, num_layers={opt.num_layers}, model={opt.model} based on the checkpoint.")
    return CharRNN.from_checkpoint(found, dtype=dtype, device=where)


def _check_same_vocabulary(opt: TrainOptions, start: InitialCheckpoint, ours: dict[bytes, int]) -> None:
    """Errors: UserError unless the text has the checkpoint's characters, all of them and no others."""
    theirs = start.checkpoint.vocab
    if set(theirs) == set(ours):
        return
    only_theirs, only_ours = set(theirs) - set(ours), set(ours) - set(theirs)
    differences = [
        f"{side} {quote_characters(characters)}"
        for side, characters in (("only the checkpoint has", only_theirs), ("only the text has", only_ours))
        if characters
    ]
    raise UserError(
        f"the characters of {opt.data_dir}/input.txt ({len(ours)}) are not those of {start.path} ({len(theirs)}):"
        f" {'; '.join(differences)}; {flag('init_from', start.path)} with {flag('vocab', 'extend')} adds the new"
        f" ones to the model, {flag('vocab', 'keep')} leaves them out of the text."
    )
