"""The options of `pycharrnn train`. Source: the cmd:option lines of train.lua."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import get_args

from pycharrnn.checkpoints import formats
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.option_fields import (
    DEFAULT_THREADS,
    MAX_COUNT,
    SWITCH,
    THREADS,
    Allowed,
    as_words,
    check,
    file_ending,
    number,
    one_of,
    option,
)
from pycharrnn.engine.dtype_names import MIXED, PARAMETERS
from pycharrnn.text import decode_text
from pycharrnn.text.data_settings import Encoding, Items, Label
from pycharrnn.training import length_changes

MAX_SHOWN = 10_000  # characters of -show: some screens full
MAX_MINUTES = 10**6  # two years
_MOST = 1e30  # in the range of float32
LOG_ENDINGS = (".csv", ".jsonl")

# Of the options that checkpoints don't record: those that -resume sets by itself, or that are for one start of a run.
_OF_ONE_START = {"recipe", "resume", "checkpoint_format", "overwrite", "progress"}


def is_more_than_whole(train_frac: float, val_frac: float) -> bool:
    """Whether the sum of two splits' fractions is above 1 by more than rounding."""
    return train_frac + val_frac > 1 + 1e-9


def _for_encoding_of_files(encoding: str) -> str:
    """What to do about an -encoding that only -text_encoding has; "" for others, utf-8 among them, which means utf8."""
    if encoding.replace("-", "").lower() in get_args(Encoding) or not decode_text.ENCODING.holds(encoding):
        return ""
    return f"for files in {encoding}, name them on the command line with {flag('text_encoding', encoding)}"


@dataclass(frozen=True)
class TrainOptions:
    """Options of `pycharrnn train`, valid once constructed. Errors: UserError for an invalid value or combination."""

    # data
    data_dir: str = option(
        "data/tinyshakespeare",
        "data directory. Should contain the file input.txt with input data",
        path="dir",
        group="text",
        charrnn=True,
    )
    # model params
    rnn_size: int = option(128, "size of LSTM internal state", group="model", allowed=number(1), charrnn=True)
    num_layers: int = option(2, "number of layers in the LSTM", group="model", allowed=number(1), charrnn=True)
    # The names of compat.cells.MODELS. Importing that would load NumPy: too slow for -help, and too early for -threads,
    # which sets the number of NumPy's threads.
    model: str = option("lstm", "lstm,gru or rnn", group="model", allowed=one_of("lstm", "gru", "rnn"), charrnn=True)
    # optimization
    learning_rate: float = option(2e-3, "learning rate", group="learning", allowed=number(above=0), charrnn=True)
    learning_rate_decay: float = option(
        0.97, "learning rate decay", group="learning", allowed=number(above=0), charrnn=True
    )
    learning_rate_decay_after: float = option(
        10,
        "in number of epochs, when to start decaying the learning rate",
        group="learning",
        value="EPOCHS",
        charrnn=True,
    )
    decay_rate: float = option(
        0.95, "decay rate for rmsprop", group="learning", allowed=number(0, below=1), charrnn=True
    )
    dropout: float = option(
        0,
        "dropout for regularization, used after each RNN hidden layer. 0 = no dropout",
        group="learning",
        allowed=number(0, below=1),
        charrnn=True,
    )
    seq_length: int = option(50, "number of timesteps to unroll for", group="learning", allowed=number(1), charrnn=True)
    batch_size: int = option(
        50, "number of sequences to train on in parallel", group="learning", allowed=number(1), charrnn=True
    )
    max_epochs: float = option(
        50,
        "number of full passes through the training data",
        group="learning",
        allowed=number(above=0, high=MAX_COUNT),
        charrnn=True,
    )
    grad_clip: float = option(
        5,
        "clip gradients at this value",
        group="learning",
        allowed=number(above=0),
        charrnn=True,
    )
    train_frac: float = option(
        0.95, "fraction of data that goes into train set", group="text", allowed=number(0, 1), charrnn=True
    )
    val_frac: float = option(
        0.05, "fraction of data that goes into validation set", group="text", allowed=number(0, 1), charrnn=True
    )
    init_from: str = option(
        "",
        "initialize network parameters from checkpoint at this path",
        path="file",
        group="checkpoints",
        value="FILE|DIR",
        charrnn=True,
    )
    # bookkeeping
    seed: int = option(123, "torch manual random number generator seed", group="learning", charrnn=True)
    print_every: int = option(
        1, "how many steps/minibatches between printing out the loss", group="display", allowed=number(1), charrnn=True
    )
    eval_val_every: int = option(
        1000,
        "every how many iterations should we evaluate on validation data?",
        group="checkpoints",
        allowed=number(1),
        charrnn=True,
    )
    checkpoint_dir: str = option(
        "cv", "output directory where checkpoints get written", path="dir", group="checkpoints", charrnn=True
    )
    savefile: str = option(
        "lstm",
        "filename to autosave the checkpont to. Will be inside checkpoint_dir/",
        group="checkpoints",
        value="NAME",
        charrnn=True,
    )
    accurate_gpu_timing: int = option(
        0,
        "set this flag to 1 to get precise timings when using GPU. Might make code bit slower but reports accurate"
        " timings.",
        group="machine",
        allowed=SWITCH,
        charrnn=True,
    )
    # GPU/CPU
    gpuid: int = option(0, "which gpu to use. -1 = use CPU", group="machine", charrnn=True)
    opencl: int = option(0, "use OpenCL (instead of CUDA)", group="machine", allowed=SWITCH, charrnn=True)
    # Not in train.lua.
    recipe: str = option(
        "char-rnn",
        "set of defaults: char-rnn; quick, the default for texts on the command line; or best. A given flag overrides"
        " them",
        group="learning",
        allowed=one_of("char-rnn", "quick", "best"),
        record=False,
    )
    minutes: float = option(
        0,
        "train for this time: size, batches, learning rate and number of iterations are chosen for the text and for the"
        " speed of this machine. A given flag overrides them. With -resume: the time from now on. 0 = by -max_epochs",
        group="learning",
        allowed=number(above=0, high=MAX_MINUTES),
    )
    embedding_rate: float = option(
        1,
        "learning rate of the weights that belong to single characters, those of the input and of the decoder, as a"
        " multiple of -learning_rate. -recipe and -minutes set 3 for texts, 2 for those below 300,000 characters",
        group="learning",
        allowed=number(above=0, high=_MOST),
    )
    warmup: int = option(
        0,
        "raise the learning rate linearly to -learning_rate over the first N iterations. RMSprop takes its largest"
        " steps there: without a warm-up, a network of 512 units or more, of several layers or of -init_from can"
        " diverge. -recipe and -minutes set 50; with -items line only for a short list, from 512 units on, with"
        " several layers, for a gru or rnn and with -init_from. 0 = none",
        group="learning",
        allowed=number(0),
    )
    anneal: float = option(
        0,
        "instead of -learning_rate_decay, lower the learning rate linearly to a hundredth over this last part of the"
        " iterations: 0.5 = over the last half. 0 = never",
        group="learning",
        allowed=number(0, 1),
    )
    anneal_to: str = option(
        "",
        "length changes of the run, for -anneal, as N:I pairs such as 3600:1200,3300:2000: until iteration I the"
        " schedule is that of a run of N iterations; after the last one, the learning rate falls linearly to the end of"
        " this run. -minutes writes it; it serves to repeat such a run",
        group="learning",
        value="N:I,...",
        allowed=Allowed(lambda text: length_changes.parse(text) is not None, length_changes.ALLOWED),
    )
    weight_drop: float = option(
        0,
        "DropConnect on the recurrent weights: probability of zeroing each hidden-to-hidden weight, per batch; reduces"
        " overfitting. 0 = none",
        group="learning",
        allowed=number(0, below=1),
    )
    state_reset: float = option(
        0,
        "probability that a sequence of a batch starts from a state of zeros, as samples do, not from the state after"
        " the sequence before it. In a run of few epochs this improves the beginnings of samples and of scored texts."
        " -recipe and -minutes set 0.05 for a text that is read less than 1.5 times. 0 = never, as char-rnn",
        group="learning",
        allowed=number(0, 1),
    )
    calibrate: int = option(
        0,
        "1 = after the last iteration (not if -patience ends the run), divide the logits by the temperature with the"
        " lowest validation loss (temperature scaling): networks are overconfident, most of all if they"
        " overfit. 0 = don't",
        group="learning",
        allowed=SWITCH,
    )
    exact: int = option(
        1,
        "1 = reproduce char-rnn digit for digit: float64 on the CPU, and its two state habits. 0 = float32, faster",
        group="machine",
        allowed=SWITCH,
    )
    dtype: str = option(
        "",
        "precision: float64, float32, or mixed: bfloat16 or float16 (on the CPU with -exact 0; of a gru only bfloat16,"
        " on the CPU). Empty = float64 with -exact 1 on the CPU, else float32",
        group="machine",
        value="TYPE",
        allowed=one_of(*PARAMETERS, *MIXED),
    )
    old_exp: int = option(
        0, "1 = LogSoftMax as Torch7 computed it on a CPU before 27 April 2016", group="machine", allowed=SWITCH
    )
    initial_mean: float = option(
        0,
        "initial value of rmsprop's mean squares. 1 = as Torch7 had it from 8 June to 6 September 2016",
        group="learning",
        allowed=number(0, _MOST),
    )
    forget_bias: int = option(
        1,
        "1 = set LSTM forget gate biases to 1. 0 = keep them random, as char-rnn did before 2015-09-20",
        group="model",
        allowed=SWITCH,
    )
    resume: str = option(
        "",
        "continue the run that wrote this checkpoint, or the newest one in this directory, with its options",
        group="checkpoints",
        value="FILE|DIR",
        path="file",
        record=False,
    )
    save_state: int = option(
        1,
        "1 = checkpoints hold the state that -resume needs to continue exactly. 0 = they do not",
        group="checkpoints",
        allowed=SWITCH,
    )
    checkpoint_format: str = option(
        "",
        "t7, which the Lua programs read, or safetensors, which pycharrnn convert turns into .t7. Empty = t7, or"
        " safetensors for a vocabulary of more than 1,000 code points; with -resume the format of its checkpoint",
        group="checkpoints",
        allowed=one_of(*(f.name for f in formats.FORMATS if f.in_folders)),
        record=False,
    )
    save_every_minutes: float = option(
        10,
        "write the checkpoint lm_<savefile>_latest at this interval. 0 = only when a signal ends the run",
        group="checkpoints",
        allowed=number(0),
    )
    keep: int = option(
        0,
        "number of checkpoints to keep, by lowest validation loss, beside the newest. 0 = all",
        group="checkpoints",
        allowed=number(0),
    )
    patience: int = option(
        0,
        "stop after this many validations without a lower loss. 0 = never. The value of a resumed run does not apply if"
        " -max_epochs or -minutes is given",
        group="learning",
        allowed=number(0),
    )
    lock: int = option(
        1,
        "1 = refuse to train while another run writes the same files. 0 = train anyway",
        group="checkpoints",
        allowed=SWITCH,
    )
    overwrite: int = option(
        0,
        "1 = replace the files of an unfinished run, and its -log. 0 = refuse to",
        group="checkpoints",
        allowed=SWITCH,
        record=False,
    )
    progress: int = option(
        -1,
        "progress line with epoch, time left, speed and best loss. -1 = on a terminal; 1 = also if the log is"
        " redirected; 0 = never",
        group="display",
        allowed=one_of(-1, 0, 1),
        record=False,
    )
    val_lines: int = option(
        1,
        "1 = print a line for each batch of a validation, as char-rnn does. 0 = do not",
        group="display",
        allowed=SWITCH,
    )
    show: int = option(
        0,
        "after each validation, print a sample of this many characters to stderr, at temperature 0.5. 0 = none",
        group="display",
        allowed=number(0, MAX_SHOWN),
        record=False,
    )
    log: str = option(
        "",
        "file for the losses, .csv or .jsonl: one row for each printed training loss and each validation",
        path="file",
        group="display",
        value="FILE",
        allowed=file_ending(*LOG_ENDINGS),
        record=False,
    )
    log_every_seconds: float = option(
        0,
        "with -log: also a row once so many seconds have passed since the last one, in a run of one process. 0 = none",
        group="display",
        allowed=number(0),
        record=False,
    )
    threads: int = option(
        0,
        f"number of threads. 0 = {DEFAULT_THREADS}",
        group="machine",
        allowed=THREADS,
        record=False,
    )
    vocab: str = option(
        "strict",
        "with -init_from, if the text has characters that the checkpoint lacks: strict = refuse, as char-rnn does;"
        " extend = add them to the model, the default of recipes; keep = drop them from the text",
        group="text",
        allowed=one_of("strict", "extend", "keep"),
    )
    encoding: str = option(
        "bytes",
        "unit of text: bytes, as in char-rnn, or utf8, code points",
        group="text",
        allowed=dataclasses.replace(one_of(*get_args(Encoding)), way_out=_for_encoding_of_files),
    )
    items: str = option(
        "",
        "train on the items of a list, each by itself, in a new order every epoch: line = an item is a line; blank ="
        " the lines between blank lines; file = a file. Empty = on one text, as char-rnn does",
        group="text",
        allowed=one_of(*get_args(Items)),
    )
    label: str = option(
        "",
        "train with labels: the model reads an item's label before the item, and does not learn to predict it. file ="
        " the name of its file without its ending; folder = that of its folder; column = the text before its first tab",
        group="text",
        allowed=one_of(*get_args(Label)),
    )
    text_encoding: str = option(
        "",
        "encoding of the files on the command line: a text encoding of Python, such as cp1252, or bytes, which keeps"
        " them as they are; HTML, RTF and subtitles are then read with their markup. Empty = detect it, and read HTML"
        " as its text. -data_dir always keeps the bytes",
        group="text",
        value="NAME",
        allowed=decode_text.ENCODING,
    )
    from_texts: int = option(
        0,
        "1 = the text of -data_dir was gathered from files: samples without a prompt begin at the beginning of a line,"
        " sample prints only the text, checkpoints record what the samples of -show have copied, and"
        " -text_encoding is only recorded. A training on files sets this flag",
        group="text",
        allowed=SWITCH,
    )

    @property
    def changed(self) -> frozenset[str]:
        """The names of the options that differ from their default."""
        return frozenset(f.name for f in dataclasses.fields(self) if getattr(self, f.name) != f.default)

    def flags(self, names: Collection[str]) -> list[str]:
        """The words of a command line that sets the options of these names that differ from their default."""
        words = []
        for field in dataclasses.fields(self):
            if field.name in names and field.name in self.changed:
                words += as_words(field.name, getattr(self, field.name))
        return words

    @classmethod
    def unrecorded(cls) -> frozenset[str]:
        """The names of the options that a run needs again with -resume, since checkpoints don't record them."""
        return frozenset(f.name for f in dataclasses.fields(cls) if not f.metadata["record"]) - _OF_ONE_START

    def resume_flags(self) -> list[str]:
        """The words that set them on the command line of -resume: ["-show", "200"]."""
        return self.flags(self.unrecorded())

    def __post_init__(self) -> None:
        check(self)
        if not {os.sep, os.altsep}.isdisjoint(self.savefile):
            shown = flag("savefile", escape_line(self.savefile))  # a checkpoint may record one of any length
            raise UserError(f"{shown} is not a file name: give the folder with {flag('checkpoint_dir')}.")
        if {"train_frac", "val_frac"} <= self.changed:  # else a recipe, -minutes or a checkpoint may set the other one
            self.check_fractions()
        if self.label and not self.items and not self.resume:
            raise UserError(f"{flag('label', self.label)} is for the items of a list: add {flag('items', 'line')}.")
        if self.state_reset and self.items and not self.resume:
            raise UserError(
                f"{flag('state_reset', self.state_reset)} is for a text: each item of {flag('items', self.items)}"
                " starts from a state of zeros. Leave it out."
            )
        if self.log_every_seconds and not self.log:
            raise UserError(
                f"{flag('log_every_seconds', self.log_every_seconds)} adds rows to a log: add {flag('log')} FILE.csv."
            )
        if self.resume and self.init_from:
            raise UserError(
                f"{flag('resume')} goes on with a run, {flag('init_from')} starts another: give one of them."
            )
        if self.resume and self.recipe != "char-rnn":
            raise UserError(
                f"{flag('resume')} goes on with the options of its run, {flag('recipe', self.recipe)} is for a new one:"
                " give one of them."
            )

    def check_fractions(self) -> None:
        """Errors: UserError if the splits would have more than the whole text."""
        if is_more_than_whole(self.train_frac, self.val_frac):
            rest = flag("val_frac", round(1 - self.train_frac, 9))
            raise UserError(
                f"{flag('train_frac', self.train_frac)} and {flag('val_frac', self.val_frac)} sum to more than 1: lower"
                f" one; char-rnn would take {rest}."
            )
