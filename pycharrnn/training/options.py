"""Every flag of training once: its name, default and help. Source: the cmd:option lines of train.lua."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from pycharrnn.common.cores import require_threads
from pycharrnn.common.errors import UserError
from pycharrnn.common.option_fields import MAX_COUNT, option, require, require_switches

MAX_SHOWN = 10_000  # characters of -show: some screens full


@dataclass(frozen=True)
class TrainOptions:
    """Options of `pycharrnn train`."""

    # data
    data_dir: str = option(
        "data/tinyshakespeare",
        "data directory. Should contain the file input.txt with input data",
        path="dir",
        group="text",
    )
    # model params
    rnn_size: int = option(128, "size of LSTM internal state", group="model")
    num_layers: int = option(2, "number of layers in the LSTM", group="model")
    model: str = option("lstm", "lstm,gru or rnn", group="model", value="lstm|gru|rnn")
    # optimization
    learning_rate: float = option(2e-3, "learning rate", group="learning")
    learning_rate_decay: float = option(0.97, "learning rate decay", group="learning")
    learning_rate_decay_after: float = option(
        10, "in number of epochs, when to start decaying the learning rate", group="learning", value="EPOCHS"
    )
    decay_rate: float = option(0.95, "decay rate for rmsprop", group="learning")
    dropout: float = option(
        0, "dropout for regularization, used after each RNN hidden layer. 0 = no dropout", group="learning"
    )
    seq_length: int = option(50, "number of timesteps to unroll for", group="learning")
    batch_size: int = option(50, "number of sequences to train on in parallel", group="learning")
    max_epochs: float = option(50, "number of full passes through the training data", group="learning")
    grad_clip: float = option(5, "clip gradients at this value", group="learning")
    train_frac: float = option(0.95, "fraction of data that goes into train set", group="text")
    val_frac: float = option(0.05, "fraction of data that goes into validation set", group="text")
    init_from: str = option(
        "",
        "initialize network parameters from checkpoint at this path",
        path="file",
        group="checkpoints",
        value="FILE|DIR",
    )
    # bookkeeping
    seed: int = option(123, "torch manual random number generator seed", group="learning")
    print_every: int = option(1, "how many steps/minibatches between printing out the loss", group="display")
    eval_val_every: int = option(
        1000, "every how many iterations should we evaluate on validation data?", group="checkpoints"
    )
    checkpoint_dir: str = option(
        "cv", "output directory where checkpoints get written", path="dir", group="checkpoints"
    )
    savefile: str = option(
        "lstm",
        "filename to autosave the checkpont to. Will be inside checkpoint_dir/",
        group="checkpoints",
        value="NAME",
    )
    accurate_gpu_timing: int = option(
        0,
        "set this flag to 1 to get precise timings when using GPU. Might make code bit slower but reports accurate"
        " timings.",
        group="machine",
        value="0|1",
    )
    # GPU/CPU
    gpuid: int = option(0, "which gpu to use. -1 = use CPU", group="machine")
    opencl: int = option(0, "use OpenCL (instead of CUDA)", group="machine", value="0|1")
    not_in_char_rnn: ClassVar[tuple[str, ...]] = (
        "recipe",
        "anneal",
        "weight_drop",
        "exact",
        "dtype",
        "forget_bias",
        "resume",
        "save_state",
        "save_every_minutes",
        "keep",
        "patience",
        "lock",
        "overwrite",
        "progress",
        "val_lines",
        "show",
        "log",
        "threads",
        "vocab",
        "encoding",
    )
    not_of_the_run: ClassVar[tuple[str, ...]] = (
        "recipe",
        "resume",
        "overwrite",
        "progress",
        "show",
        "log",
        "threads",
    )  # but of who starts or watches it
    recipe: str = option(
        "char-rnn",
        "defaults to train with: char-rnn, or, the default for texts on the command line, quick; or best. Any flag that"
        " is given overrules them",
        group="learning",
        value="char-rnn|quick|best",
    )
    anneal: float = option(
        0,
        "in place of -learning_rate_decay, lower the learning rate along a line, to a hundredth, over this last part of"
        " the iterations: 0.5 = over the last half. 0 = never",
        group="learning",
    )
    weight_drop: float = option(
        0,
        "probability with which a batch goes without a weight from one hidden state to the next, against learning by"
        " heart. 0 = none",
        group="learning",
    )
    exact: int = option(
        1,
        "1 = the digits of char-rnn: double precision on the CPU and its two state habits. 0 = float32, faster",
        group="machine",
        value="0|1",
    )
    dtype: str = option(
        "",
        "precision: double, float32, or, in part, bfloat16 or float16 (lstm and rnn; on the CPU with -exact 0). Empty ="
        " double with -exact 1 on the CPU, else float32",
        group="machine",
        value="TYPE",
    )
    forget_bias: int = option(
        1,
        "1 = set LSTM forget gate biases to 1. 0 = as drawn, as char-rnn did before 2015-09-20",
        group="model",
        value="0|1",
    )
    resume: str = option(
        "",
        "go on with the run that wrote this checkpoint, or the newest in this directory, and with its options",
        group="checkpoints",
        value="FILE|DIR",
        path="file",
    )
    save_state: int = option(
        1,
        "1 = keep in checkpoints what -resume needs to go on exactly. 0 = leave it out",
        group="checkpoints",
        value="0|1",
    )
    save_every_minutes: float = option(
        10,
        "keep lm_<savefile>_latest.t7 no older than this. 0 = write it only when a signal ends the run",
        group="checkpoints",
    )
    keep: int = option(
        0, "how many checkpoints to keep, the best by validation loss, beside the newest. 0 = all", group="checkpoints"
    )
    patience: int = option(0, "stop after this many validations without a better one. 0 = never", group="learning")
    lock: int = option(
        1,
        "1 = refuse to train where another training writes the same files. 0 = train all the same",
        group="checkpoints",
        value="0|1",
    )
    overwrite: int = option(
        0,
        "1 = give up an unfinished run, or its -log, that has files of these names. 0 = refuse to",
        group="checkpoints",
        value="0|1",
    )
    progress: int = option(
        -1,
        "a line with epoch, time left, speed and best loss below the log. -1 = on a terminal; 1 = also if the log goes"
        " elsewhere; 0 = never",
        group="display",
        value="-1|0|1",
    )
    val_lines: int = option(
        1,
        "1 = print a line for each batch of a validation, as char-rnn does. 0 = none",
        group="display",
        value="0|1",
    )
    show: int = option(
        0,
        "after each validation, show a sample of so many characters, at temperature 0.5, on stderr. 0 = none",
        group="display",
    )
    log: str = option(
        "",
        "file for the run's figures, .csv or .jsonl: a row for each training loss that is printed and each validation",
        path="file",
        group="display",
        value="FILE",
    )
    threads: int = option(
        0,
        "how many threads compute. 0 = OMP_NUM_THREADS, or one for each core",
        group="machine",
    )
    vocab: str = option(
        "strict",
        "with -init_from, for a text with other characters than the checkpoint's: strict = refuse it, as char-rnn does;"
        " extend = add the new ones to the model; keep = leave them out of the text",
        group="text",
        value="strict|extend|keep",
    )
    encoding: str = option(
        "bytes",
        "what a character is: bytes, as in char-rnn, or utf8: a code point of UTF-8",
        group="text",
        value="bytes|utf8",
    )

    @property
    def split_fractions(self) -> tuple[float, float, float]:
        """The fractions of the train, val and test splits. Source: train.lua."""
        return self.train_frac, self.val_frac, max(0.0, 1 - (self.train_frac + self.val_frac))

    @property
    def changed(self) -> frozenset[str]:
        """The names of the options that are not at their default."""
        return frozenset(f.name for f in dataclasses.fields(self) if getattr(self, f.name) != f.default)

    def check(self) -> None:
        """Errors: UserError for the first value that training can't use."""
        require(self, "recipe", self.recipe in ("char-rnn", "quick", "best"), "char-rnn, quick or best")
        for name in ("rnn_size", "num_layers", "seq_length", "batch_size", "print_every", "eval_val_every"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        require(self, "model", self.model in ("lstm", "gru", "rnn"), "lstm, gru or rnn")
        require(
            self,
            "dtype",
            self.dtype in ("", "double", "float32", "bfloat16", "float16"),
            "one of double, float32, bfloat16, float16",
        )
        for name in ("dropout", "weight_drop"):
            require(self, name, 0 <= getattr(self, name) < 1, "at least 0 and less than 1")
        for name in ("learning_rate", "learning_rate_decay", "grad_clip"):
            require(self, name, 0 < getattr(self, name) < float("inf"), "greater than 0")
        require(self, "max_epochs", 0 < self.max_epochs <= MAX_COUNT, "greater than 0 and at most 1e12")
        require(self, "anneal", 0 <= self.anneal <= 1, "from 0 to 1")
        require(self, "decay_rate", 0 <= self.decay_rate < 1, "at least 0 and less than 1")
        for name in ("train_frac", "val_frac"):
            require(self, name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        if self.train_frac + self.val_frac > 1 + 1e-9:
            raise UserError(
                f"-train_frac {self.train_frac:g} and -val_frac {self.val_frac:g} sum to more than 1: lower one."
            )
        if self.resume and self.init_from:
            raise UserError("-resume goes on with a run, -init_from starts another: give one of them.")
        if self.resume and self.recipe != "char-rnn":
            raise UserError(
                f"-resume goes on with the options of its run, -recipe {self.recipe} is for a new one: give one of"
                " them."
            )
        for name in ("save_every_minutes", "keep", "patience"):
            require(self, name, getattr(self, name) >= 0, "at least 0")
        from pycharrnn.training.log_rows import is_log  # here, since it takes longer to load than -help may take

        require(self, "log", not self.log or is_log(self.log), "a file that ends in .csv or .jsonl")
        require(self, "show", 0 <= self.show <= MAX_SHOWN, f"at least 0 and at most {MAX_SHOWN}")
        require_threads(self)
        switches = ("accurate_gpu_timing", "opencl", "exact", "forget_bias", "save_state", "lock", "overwrite")
        require_switches(self, *switches, "val_lines")
        require(self, "progress", self.progress in (-1, 0, 1), "-1, 0 or 1")
        require(self, "vocab", self.vocab in ("strict", "extend", "keep"), "strict, extend or keep")
        require(self, "encoding", self.encoding in ("bytes", "utf8"), "bytes or utf8")
