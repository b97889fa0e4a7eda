"""Settles a run: from options to RunSettings, before any object is made or any file is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field

from compat.lua_random import explained
from pycharrnn.checkpoints import checkpoint_facts, formats
from pycharrnn.checkpoints.torch_names import IN_TORCH_NN
from pycharrnn.common import extras
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.engine import device as devices
from pycharrnn.engine.dtype_names import MIXED
from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.text_stats import TextStats
from pycharrnn.training import recipes, recorded_options, resumed_options, run_files, text_defaults, time_plan
from pycharrnn.training.initial_checkpoint import InitialCheckpoint, ResumedRun
from pycharrnn.training.machine import Machine
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settings import (
    DisplaySettings,
    FileSettings,
    MachineSettings,
    ModelSettings,
    OptimisationSettings,
    RunSettings,
    group,
)
from pycharrnn.training.time_plan import Timing

_DECAY = ("learning_rate_decay", "learning_rate_decay_after")
_MAX_T7_CHARACTERS = 1000  # of a utf8 model saved as .t7 by default: its identity matrix has 8 MB


@dataclass
class _Lines:
    log: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def settle(
    options: TrainOptions,
    given: Collection[str],
    start: InitialCheckpoint | None,
    text: TextStats | None,
    machine: Machine,
    timing: Timing | None = None,
) -> RunSettings:
    """Settle a run: only here do the checkpoint, the text and the machine override options.

    `given`: options that the user gave, which neither a recipe nor -resume overrides. `start`: the checkpoint of
    -resume or -init_from. `text`: statistics, for a recipe. `timing`: for -minutes of a new run. Errors: UserError for
    options that don't fit these or the machine.
    """
    options = _without_unused_text_encoding(options)
    lines, minutes, encoding = _Lines(), options.minutes, options.encoding
    if start is not None and not isinstance(start, ResumedRun):
        lines.notes += _notes_on_init_from(options, given, start)
        options = with_checkpoint(options, given, start)
    if options.recipe in recipes.RECIPES or timing is not None:
        options = _with_recipe(with_mixed_precision(options, given, machine), given, text, timing, lines)
    if isinstance(start, ResumedRun):
        options, start, log, notes = resumed_options.apply(options, given, start)
        lines.log += log
        lines.notes += notes
        options = _without_unused_text_encoding(options)
        encoding, options = options.encoding, _with_encoding(options, start)
        time_plan.check(options, (), machine.process.size)
        minutes, options = options.minutes, dataclasses.replace(options, minutes=TrainOptions.minutes)
    if start is not None and options.encoding != encoding:
        lines.log.append(f"overwriting encoding={options.encoding} based on the checkpoint.")
    _check_together(options, given, start, lines)
    if explanation := explained(options.seed):
        lines.notes.append(explanation)
    options, device = _with_device(options, machine, lines)
    parameters, products = _precision(options, device, machine)
    _check_old_exp(options, device)
    checkpoint_format = _checkpoint_format(options, start, text, machine, lines)
    return RunSettings(
        options,
        start,
        group(ModelSettings, options),
        group(DataSettings, options),
        group(OptimisationSettings, options),
        group(FileSettings, options, checkpoint_format=checkpoint_format),
        group(MachineSettings, options, device=device, parameters=parameters, products=products),
        group(DisplaySettings, options),
        tuple(lines.log),
        tuple(lines.notes),
        minutes,
    )


def _check_together(
    options: TrainOptions, given: Collection[str], start: InitialCheckpoint | None, lines: _Lines
) -> None:
    """Check options that depend on others, and note those without effect. Errors: UserError."""
    options.check_fractions()
    if options.anneal and (without_effect := [flag(name) for name in _DECAY if name in given]):
        has = "have" if len(without_effect) > 1 else "has"
        lines.notes.append(
            f"{' and '.join(without_effect)} {has} no effect with {flag('anneal', options.anneal)}, by which the rate"
            f" falls to the end: {flag('anneal', 0)} turns that off."
        )
    if "anneal_to" in given and options.anneal_to and not options.anneal:
        raise UserError(f"{flag('anneal_to', options.anneal_to)} is for {flag('anneal')}: add {flag('anneal', 1)}.")
    if options.vocab != "strict" and start is None:
        raise UserError(f"{flag('vocab', options.vocab)} needs a checkpoint: add {flag('init_from')}.")


def _with_device(options: TrainOptions, machine: Machine, lines: _Lines) -> tuple[TrainOptions, str]:
    """The options with the number of the GPU that this process uses, and the name of its device. Errors: UserError."""
    process = machine.process
    device, gpuid, said = devices.pick(options.gpuid, options.opencl, machine.gpus, process.local_rank)
    lines.log += said
    if process.size > 1 and device == "mps":
        raise UserError(f"a run on several processes needs CPUs or CUDA: use {flag('gpuid', -1)}.")
    if options.batch_size < process.size:
        raise UserError(
            f"{flag('batch_size', options.batch_size)} can't be divided among {process.size} processes: use fewer."
        )
    return dataclasses.replace(options, gpuid=gpuid), device


def _without_unused_text_encoding(options: TrainOptions) -> TrainOptions:
    """The options without -text_encoding, unless -from_texts 1 has it recorded."""
    return options if options.from_texts else dataclasses.replace(options, text_encoding=TrainOptions.text_encoding)


def _notes_on_init_from(options: TrainOptions, given: Collection[str], start: InitialCheckpoint) -> list[str]:
    """What of the checkpoint of -init_from, or of the options, the run does not take over."""
    notes = []
    network = start.checkpoint.network
    if "dropout" in given and options.dropout != network.dropout:
        notes.append(
            f"{flag('dropout', options.dropout)} has no effect: a run with {flag('init_from')} keeps the dropout of its"
            f" checkpoint, {network.dropout:g}."
        )
    if not options.items and (kind := recorded_options.find(start.checkpoint, "items")):
        notes.append(
            f"{start.path} is a model of items, but this run trains it on one text: add"
            f" {flag('items', escape_line(kind, 20))} to train it on items."
        )
    elif options.items and not options.label and (label := recorded_options.find(start.checkpoint, "label")):
        notes.append(
            f"{start.path} is a model with labels, but this run trains it without them: add"
            f" {flag('label', escape_line(label, 20))} to keep them, if the items have two labels or more."
        )
    return notes


def with_checkpoint(options: TrainOptions, given: Collection[str], start: InitialCheckpoint | None) -> TrainOptions:
    """The options with the network, the encoding and the path of -init_from; a recipe or -minutes chooses the rest.

    An lstm that does not name its gates has -forget_bias 0.
    """
    if start is None:
        return options
    found = {name: getattr(start.checkpoint.network, name) for name in recorded_options.FROM_NETWORK}
    if not start.checkpoint.names_gates and "forget_bias" not in given:
        found["forget_bias"] = 0  # train.lua looks for the forget gates by their names
    path = start.path
    if options.minutes or options.recipe in recipes.RECIPES:  # the log names flags, which shall repeat the run
        path = run_files.with_loss_in_name(path, start.checkpoint) or path
    return dataclasses.replace(_with_encoding(options, start), init_from=path, **found)


def with_mixed_precision(options: TrainOptions, given: Collection[str], machine: Machine) -> TrainOptions:
    """The options of a recipe or -minutes, with -dtype bfloat16 if the C kernel trains and no flag says otherwise.

    Models in bfloat16 learn as well as in float32, and have the same bits on every machine with the kernel.
    """
    device, _, _ = devices.pick(options.gpuid, options.opencl, machine.gpus, machine.process.local_rank)
    is_exact = "exact" in given and options.exact
    if device != "cpu" or not machine.has_kernel or is_exact or "dtype" in given:
        return options
    return dataclasses.replace(options, dtype="bfloat16")


def _with_recipe(
    options: TrainOptions, given: Collection[str], text: TextStats | None, timing: Timing | None, lines: _Lines
) -> TrainOptions:
    if text is None:
        raise ValueError("a recipe needs the statistics of the text")
    request = text_defaults.RunRequest(options, given, text)
    if timing is None:
        applied = recipes.apply(request)
        lines.log.append(f"-recipe {options.recipe}: {recipes.command_line(applied)}")
    else:
        applied = _planned(request, timing, lines)
    if advice := text_defaults.advice_on_short_text(text, applied.encoding):
        lines.notes.append(advice)
    advice = text_defaults.advice_on_encoding(text, applied.encoding)
    if advice and {"encoding", "init_from"}.isdisjoint(given):
        lines.notes.append(advice)
    return applied


def _planned(request: text_defaults.RunRequest, timing: Timing, lines: _Lines) -> TrainOptions:
    """The options of a run of -minutes, and what its time is too short or too long for."""
    opt, text = request.opt, request.text
    seconds = opt.minutes * 60 - timing.used
    applied = time_plan.plan(request, seconds, timing.steps)
    lines.log.append(f"{time_plan.named(opt.minutes)}: {recipes.command_line(applied)}")
    needed = time_plan.seconds_of(applied, text.length(applied.encoding), timing.steps[applied.rnn_size])
    if applied.max_epochs >= time_plan.most_epochs(applied) and needed <= seconds:
        lines.notes.append(
            f"a text of {text.length_in_words(applied.encoding)} needs less time at this speed: the run ends after"
            f" {applied.max_epochs:g} epochs, since more would learn it by heart."
        )
    elif timing.used > seconds:
        learns = "little" if seconds > 0 else "next to nothing"
        lines.notes.append(
            f"{flag('minutes', opt.minutes)} is {60 * opt.minutes:g} seconds, and reading the text and timing steps"
            f" took {timing.used:.1f}, so the model learns {learns}: give a longer {flag('minutes')}."
        )
    return applied


def _with_encoding(options: TrainOptions, start: InitialCheckpoint) -> TrainOptions:
    is_utf8 = checkpoint_facts.encoding(start.checkpoint) == "utf8"
    return dataclasses.replace(options, encoding="utf8") if is_utf8 else options


def _checkpoint_format(
    options: TrainOptions, start: InitialCheckpoint | None, text: TextStats | None, machine: Machine, lines: _Lines
) -> str:
    """The format of the run's checkpoints: a .t7 file has the identity matrix of all characters, V x V float64."""
    chosen = options.checkpoint_format
    if chosen == formats.SAFETENSORS.name and not machine.has_safetensors:
        raise extras.missing(f"{flag('checkpoint_format', chosen)}", "safetensors")
    if chosen or options.encoding != "utf8":
        return chosen or formats.T7.name
    characters = set(text.characters("utf8") if text else ())
    if start is not None:
        characters |= start.checkpoint.vocab.keys()
    if len(characters) <= _MAX_T7_CHARACTERS:
        return formats.T7.name
    if machine.has_safetensors:
        return formats.SAFETENSORS.name
    need = extras.missing("smaller checkpoints, .safetensors", "safetensors")
    lines.notes.append(f"each .t7 checkpoint holds {8e-6 * len(characters) ** 2:,.0f} MB for its vocabulary; {need}")
    return formats.T7.name


def _precision(options: TrainOptions, device: str, machine: Machine) -> tuple[str, str]:
    """The precisions of parameters and mixed-precision products. -exact 1 is float64 on CPUs, as in the original."""
    dtype, model = options.dtype, options.model
    is_exact_on_cpu = options.exact and device == "cpu"
    if is_exact_on_cpu and dtype not in ("", "float64"):
        raise UserError(f"{flag('dtype', dtype)} does not give char-rnn's digits: add {flag('exact', 0)}.")
    if device == "mps" and dtype == "float64":
        raise UserError(f"{flag('dtype', dtype)} does not exist on MPS: use float32, or {flag('gpuid', -1)}.")
    if dtype not in MIXED:
        return "float64" if dtype == "float64" or (is_exact_on_cpu and not dtype) else "float32", ""
    if not machine.computes(model, options.rnn_size, dtype, device):
        if model not in IN_TORCH_NN:
            is_for = (
                f"of a {model} needs the C kernel on a CPU"
                if dtype == "bfloat16"
                else f"is for {' and '.join(IN_TORCH_NN)}"
            )
            raise UserError(f"{flag('dtype', dtype)} {is_for}: train a {model} with {flag('dtype', 'float32')}.")
        on = {"cpu": "the CPU", "mps": "MPS"}.get(device, "this GPU")
        raise UserError(
            f"{flag('dtype', dtype)}: PyTorch {machine.pytorch} can't train an {model} in it on {on}; use"
            f" {flag('dtype', 'float32')}."
        )
    return "float32", dtype


def _check_old_exp(options: TrainOptions, device: str) -> None:
    """Errors: UserError for -old_exp 1 in a run that can't have the digits of a Torch7 on a CPU."""
    if options.old_exp and device != "cpu":
        raise UserError(f"{flag('old_exp', 1)} works on the CPU only: use {flag('gpuid', -1)}.")
    if options.old_exp and not options.exact:
        raise UserError(f"{flag('old_exp', 1)} is for char-rnn's digits, in float64: use {flag('exact', 1)}.")
