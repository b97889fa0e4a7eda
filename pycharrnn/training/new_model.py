"""The model of a run before its first step."""

from __future__ import annotations

from compat.cells import CELLS
from compat.lua_random import LuaRandom
from pycharrnn.checkpoints import derived_checkpoints, formats, t7_file
from pycharrnn.common.printing import PrintLine
from pycharrnn.engine import precision
from pycharrnn.engine.model import CharRNN
from pycharrnn.text.batches import Batches
from pycharrnn.training.initial_checkpoint import ResumedRun
from pycharrnn.training.settings import RunSettings


def model_of(settings: RunSettings, loader: Batches, random: LuaRandom, say: PrintLine) -> CharRNN:
    """The model before its first step: a new one, or that of -init_from or -resume. Errors: UserError.

    `random` draws the parameters of a new one, and of the characters that -vocab extend adds.
    """
    model = _model(settings, loader, random, say)
    model.end_id = loader.end_id
    if settings.model.forget_bias and "forget" in CELLS[model.model].gates and not settings.resumed:
        for layer in range(1, model.num_layers + 1):
            say(f"setting forget gate biases to 1 in LSTM layer {layer}")
        model.set_forget_bias()
    say(f"number of parameters in the model: {model.flat.numel()}")
    if settings.files.checkpoint_format == formats.T7.name:
        t7_file.check_size(model.vocab_size, model.flat.numel())
    return model


def initialized(settings: RunSettings, vocab_size: int, random: LuaRandom) -> CharRNN:
    """A model with parameters drawn by `random`; those of the forget gates have no bias yet."""
    sizes, dtype = settings.model, precision.DTYPES[settings.machine.parameters]
    shape = vocab_size, sizes.rnn_size, sizes.num_layers, sizes.dropout
    model = CharRNN(sizes.model, *shape, dtype=dtype, device=settings.machine.device, initialize=False)
    model.reset_parameters(random, forget_bias=False)
    return model


def _model(settings: RunSettings, loader: Batches, random: LuaRandom, say: PrintLine) -> CharRNN:
    sizes, start, where = settings.model, settings.start, settings.machine.device
    dtype = precision.DTYPES[settings.machine.parameters]
    if start is None:
        say(f"creating an {sizes.model} with {sizes.num_layers} layers")
        return initialized(settings, loader.vocab_size, random)
    if isinstance(start, ResumedRun):
        resumed = CharRNN.from_checkpoint(start.checkpoint, dtype=dtype, device=where)
        if "dropout" in start.overridden:
            resumed.dropout = sizes.dropout
        return resumed
    say(f"loading a model from checkpoint {start.path}")
    found = derived_checkpoints.remap_ids(start.checkpoint, loader.vocab_mapping, random)
    overwritten = f"rnn_size={sizes.rnn_size}, num_layers={sizes.num_layers}, model={sizes.model}"
    say(f"overwriting {overwritten} based on the checkpoint.")
    return CharRNN.from_checkpoint(found, dtype=dtype, device=where)
