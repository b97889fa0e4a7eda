"""Training, top to bottom in the order of events. Source: train.lua."""

from __future__ import annotations

import math
import os
import sys
import time
from array import array
from collections.abc import Callable, Collection
from contextlib import nullcontext

import torch

from compat import lua_format
from compat.lua_random import LuaRandom
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common import memory, progress
from pycharrnn.common.errors import UserError
from pycharrnn.engine import device
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.torch_modules import MODELS
from pycharrnn.text.loader import TRAIN, VAL, CharSplitLMMinibatchLoader, TextChanged, quoted
from pycharrnn.training import checkpoint_keeper, distributed, earlier_run, resume
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.run_lock import lock
from pycharrnn.training.signals import Log, Stop
from pycharrnn.training.trainer import Run

_NAN = (
    "loss is NaN.  This usually indicates a bug.  Please check the issues page for existing issues, or create a new"
    " issue, if none exist.  Ideally, please state: your operating system, 32-bit/64-bit, your blas version,"
    " cpu/cuda/cl?"
)


def train(
    opt: TrainOptions,
    say: Callable[[str], None] = print,
    given: Collection[str] | None = None,
    note: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> None:
    """Train a model as `opt` says, printing the original's lines with `say` and writing checkpoints.

    Settings that a checkpoint or the machine overrule are changed in `opt`, as in the original.

    Args:
        given: names of options that overrule the checkpoint of -resume; None: those that are not at their default.
        note: prints what the original doesn't say, such as the best checkpoint at the end.

    Errors: UserError, among them Stopped for a signal (which only the main thread catches), NaN and explosion; OSError.
    """
    opt.check()
    if distributed.from_environment().rank:
        say = note = _nothing  # the first process speaks for all
        opt.progress = 0
    live = progress.Live(opt.progress)
    note = live.above(note)
    log = Log(live.above(say), note)
    say = log.say
    resumed = resume.begin(opt, given, say) if opt.resume else None
    start = resumed.checkpoint if resumed else checkpoint.load(opt.init_from) if opt.init_from else None
    if not distributed.from_environment().rank:
        earlier_run.make_way(opt, resumed.path if resumed else None, note)
    if start and opt.encoding != (encoding := checkpoint.encoding(start)) and encoding == "utf8":
        opt.encoding = encoding
        say("overwriting encoding=utf8 based on the checkpoint.")
    if opt.vocab != "strict" and not start:
        raise UserError(f"-vocab {opt.vocab} is about a checkpoint's characters: give -init_from as well.")
    known = start.vocab if start and opt.vocab != "strict" else None
    random = LuaRandom(opt.seed)
    where, opt.gpuid = device.choose(opt.gpuid, opt.opencl, say, distributed.from_environment().local_rank)
    ranks = distributed.join(where)
    if opt.batch_size < ranks.size:
        raise UserError(f"-batch_size {opt.batch_size} can't be divided among {ranks.size} processes: use fewer.")
    test_frac = max(0.0, 1 - (opt.train_frac + opt.val_frac))
    split_fractions = (opt.train_frac, opt.val_frac, test_frac)
    loader = ranks.one_a_machine_first(
        lambda: CharSplitLMMinibatchLoader(
            opt.data_dir,
            opt.batch_size,
            opt.seq_length,
            split_fractions,
            say=say,
            rows=ranks.rows(opt.batch_size),
            progress=opt.progress,
            encoding=opt.encoding,
            model_characters=known,
            leave_out_others=opt.vocab == "keep",
        )
    )
    for split, name in ((TRAIN, "train"), (VAL, "val")):
        if loader.split_sizes[split] == 0:
            raise UserError(f"the {name} split has no batch of the {loader.nbatches}: use a larger -{name}_frac.")
    say(f"vocab size: {loader.vocab_size}")
    dtype = _dtype(opt, where)
    if not start:
        _check_memory(opt, loader.vocab_size, where, dtype)
    text = resume.fingerprint(f"{opt.data_dir}/input.txt")
    if ranks.rank == 0:
        _make_checkpoint_dir(os.path.dirname(checkpoint_keeper.stem_of(opt)))

    if resumed:
        _check_same_vocabulary(opt, resumed.path, resumed.checkpoint.vocab, loader.vocab_mapping)
        resumed.checkpoint = checkpoint.renumbered(resumed.checkpoint, loader.vocab_mapping)
        model = CharRNN.from_checkpoint(resumed.checkpoint, dtype=dtype, device=where)
        if "dropout" in resumed.overridden:
            model.dropout = opt.dropout
    elif opt.init_from:
        model = _model_from_checkpoint(opt, start, loader, random, dtype, where, say)
    else:
        say(f"creating an {opt.model} with {opt.num_layers} layers")
        model = CharRNN(
            opt.model, loader.vocab_size, opt.rnn_size, opt.num_layers, opt.dropout, dtype=dtype, device=where
        )
        model.reset_parameters(random, forget_bias=False)
    if opt.forget_bias and model.model == "lstm" and not resumed:
        for layer in range(1, model.num_layers + 1):
            say(f"setting forget gate biases to 1 in LSTM layer {layer}")
        model.set_forget_bias()
    if opt.dtype.endswith("16") and model.model not in MODELS:
        raise UserError(f"-dtype {opt.dtype} is for {' and '.join(MODELS)}: train a {model.model} with -dtype float32.")
    say(f"number of parameters in the model: {model.flat.numel()}")
    checkpoint.check_size(model.vocab_size, model.flat.numel())

    run = Run(opt, model, loader, random, ranks)
    train_losses = array("d")  # 8 bytes an iteration, of which there may be millions
    val_losses: dict[int, float] = {}
    iterations, done = int(opt.max_epochs * loader.ntrain), 0
    if resumed:
        resume.restore(resumed, run, opt, text, say)
        found = resumed.checkpoint
        train_losses, val_losses, done = array("d", found.train_losses), found.val_losses, found.i
        if done >= iterations:
            note(f"iteration {done} of {iterations}: nothing is left to train; a larger -max_epochs goes on.")
            if found.state and train_losses and done == iterations and done % opt.print_every == 0:
                # The run may have ended between saving its last checkpoint and this line.
                say(_step_line(done, iterations, done / loader.ntrain, train_losses[-1], found.state.norm_ratio, 0.0))
    saver = checkpoint_keeper.Saver(opt, run, text, train_losses, val_losses, note, resumed.path if resumed else None)

    figures = progress.Figures(
        iterations, done, loader.ntrain, loader.nval, opt.batch_size * opt.seq_length, opt.eval_val_every, val_losses
    )
    with (
        lock(opt, note) if ranks.rank == 0 else nullcontext() as alone,
        live,
        Stop(log, ranks.size == 1, live.interrupted) as stop,
    ):
        if alone:
            checkpoint_keeper.remove_leavings(opt)
        trained = done
        try:
            for i in range(done + 1, iterations + 1):
                epoch = i / loader.ntrain
                start = time.perf_counter()
                run.step()
                trained = i
                if opt.accurate_gpu_timing and where.startswith("cuda"):
                    torch.cuda.synchronize(where)
                seconds = time.perf_counter() - start
                validates = i % opt.eval_val_every == 0 or i == iterations
                if where == "cpu" or i % opt.print_every == 0 or validates or not train_losses:
                    train_losses.extend(run.new_losses())  # a GPU would have to be waited for every time
                train_loss = train_losses[-1]

                # exponential learning rate decay
                if i % loader.ntrain == 0 and opt.learning_rate_decay < 1 and epoch >= opt.learning_rate_decay_after:
                    run.optimizer.learning_rate *= opt.learning_rate_decay
                    factor = lua_format.tostring(opt.learning_rate_decay)
                    rate = lua_format.tostring(run.optimizer.learning_rate)
                    say(f"decayed learning rate by a factor {factor} to {rate}")

                # every now and then or on last iteration
                if validates:
                    with figures.validation():
                        val_losses[i] = run.evaluate(
                            VAL, say, lambda k: live.show(figures.validating(k)) if live.due() else None
                        )
                        say(f"saving checkpoint to {checkpoint_keeper.path_of(opt, epoch, val_losses[i])}")
                        saver.named(i, epoch)

                if i % opt.print_every == 0:
                    norm_ratio = run.optimizer.norm_ratio(run.gradient)
                    say(_step_line(i, iterations, epoch, train_loss, norm_ratio, seconds))
                if live.due():
                    live.show(figures.training(i))

                # handle early stopping if things are going really bad
                if train_loss != train_loss:
                    say(_NAN)
                    raise saver.bad_numbers()
                if train_loss > train_losses[0] * 3:
                    say("loss is exploding, aborting.")
                    raise saver.bad_numbers()

                # what the original lacks: early stopping, and an end at any time
                if i in val_losses and checkpoint_keeper.out_of_patience(val_losses, opt.patience):
                    validations = f"the last {opt.patience} validations (-patience)"
                    note(f"stopping after iteration {i}: {validations} were no better.")
                    break
                stopping, due = ranks.any(bool(stop.cause), saver.due())
                if stopping or due:
                    train_losses.extend(run.new_losses())
                if stopping and i < iterations:
                    raise saver.stopped(stop.cause, stop.status, i, epoch)
                if due:
                    saver.latest(i, epoch)
        except TextChanged as e:
            train_losses.extend(run.new_losses())
            raise saver.text_changed(str(e), trained, trained / loader.ntrain) from e
        saver.finish()
    ranks.leave()


def _dtype(opt: TrainOptions, where: str) -> torch.dtype:
    """Of the parameters. Double precision is the original's on the CPU, float32, all of it, on a GPU."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not opt.exact
    exact_on_cpu = opt.exact and where == "cpu"
    if exact_on_cpu and opt.dtype not in ("", "double"):
        raise UserError(f"-dtype {opt.dtype} does not give char-rnn's digits: add -exact 0.")
    if where == "mps" and opt.dtype == "double":
        raise UserError("-dtype double does not exist on MPS: use float32, or -gpuid -1.")
    return torch.float64 if opt.dtype == "double" or (exact_on_cpu and not opt.dtype) else torch.float32


def _check_memory(opt: TrainOptions, vocab_size: int, where: str, dtype: torch.dtype) -> None:
    """Errors: UserError for a network that can't be trained here, since its largest parts alone are too large."""

    def parameters(layers: int) -> int:
        return sum(math.prod(s) for s in parameter_shapes(opt.model, vocab_size, opt.rnn_size, layers).values())

    weights = parameters(1) + (opt.num_layers - 1) * (parameters(2) - parameters(1))
    states = opt.rnn_size * opt.num_layers * opt.seq_length * opt.batch_size
    need = dtype.itemsize * (3 * weights + 2 * states)  # weights, gradient and mean square; gates and hidden state
    gpu = torch.cuda.get_device_properties(where).total_memory if where.startswith("cuda") else None
    memory.check(need, f"-rnn_size {opt.rnn_size:.10g} with -num_layers {opt.num_layers:.10g}", gpu)


def _nothing(line: str) -> None:
    pass


def _step_line(i: int, iterations: int, epoch: float, train_loss: float, norm_ratio: float, seconds: float) -> str:
    return (
        f"{i}/{iterations} (epoch {lua_format.fixed(epoch, 3)}), train_loss = {lua_format.fixed(train_loss, 8)},"
        f" grad/param norm = {lua_format.scientific(norm_ratio, 4)}, time/batch = {seconds:.4f}s"
    )


def _make_checkpoint_dir(path: str) -> None:
    """Make the folder and see now, not after 1000 iterations, that files can be written there."""
    try:
        os.makedirs(path, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(None, "no permission to write there")
    except OSError as e:
        raise UserError(f"can't write checkpoints to {path} ({e.strerror}): choose another -checkpoint_dir.") from e


def _model_from_checkpoint(opt: TrainOptions, loaded, loader, random, dtype, where, say) -> CharRNN:
    """The model of -init_from; its size, not the command line's, is what `opt` says afterwards."""
    say(f"loading a model from checkpoint {opt.init_from}")
    if opt.vocab == "strict":
        _check_same_vocabulary(opt, opt.init_from, loaded.vocab, loader.vocab_mapping)
    loaded = checkpoint.renumbered(loaded, loader.vocab_mapping, random)
    network = loaded.network
    opt.rnn_size, opt.num_layers, opt.model = network.rnn_size, network.num_layers, network.model
    say(f"overwriting rnn_size={opt.rnn_size}, num_layers={opt.num_layers}, model={opt.model} based on the checkpoint.")
    return CharRNN.from_checkpoint(loaded, dtype=dtype, device=where)


def _check_same_vocabulary(opt: TrainOptions, path: str, theirs: dict[bytes, int], ours: dict[bytes, int]) -> None:
    if set(theirs) == set(ours):
        return

    only_theirs, only_ours = set(theirs) - set(ours), set(ours) - set(theirs)
    differences = [
        f"{side} {quoted(characters)}"
        for side, characters in (("only the checkpoint has", only_theirs), ("only the text has", only_ours))
        if characters
    ]
    raise UserError(
        f"the characters of {opt.data_dir}/input.txt ({len(ours)}) are not those of {path} ({len(theirs)}):"
        f" {'; '.join(differences)}; -init_from {path} with -vocab extend adds what is new to the model, -vocab keep"
        " leaves it out of the text."
    )
