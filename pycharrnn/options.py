"""Every flag once: its name, default and help. char-rnn's flags keep char-rnn's wording.

Source: the cmd:option lines of train.lua and sample.lua; flags that char-rnn lacks stand at the end of each class.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from dataclasses import dataclass
from typing import ClassVar


class UserError(Exception):
    """Something the user can mend; the message is one sentence that says what, which value, and what to do."""

    status = 1  # the exit status


_MOST = 10**12  # of what may be as many as one likes: more takes longer than anybody waits

Ramp = float | tuple[float, float]  # a number, or the two that it goes from and to


def option(default, help: str, short: str | None = None, path: str = ""):
    """A field with the text that -help prints.

    Args:
        short: a second, shorter flag. path: what the shell completes, "file" or "dir"; "" for neither.
    """
    return dataclasses.field(default=default, metadata={"help": help, "short": short, "path": path})


@dataclass
class TrainOptions:
    """Options of `pycharrnn train`."""

    # data
    data_dir: str = option(
        "data/tinyshakespeare", "data directory. Should contain the file input.txt with input data", path="dir"
    )
    # model params
    rnn_size: int = option(128, "size of LSTM internal state")
    num_layers: int = option(2, "number of layers in the LSTM")
    model: str = option("lstm", "lstm,gru or rnn")
    # optimization
    learning_rate: float = option(2e-3, "learning rate")
    learning_rate_decay: float = option(0.97, "learning rate decay")
    learning_rate_decay_after: float = option(10, "in number of epochs, when to start decaying the learning rate")
    decay_rate: float = option(0.95, "decay rate for rmsprop")
    dropout: float = option(0, "dropout for regularization, used after each RNN hidden layer. 0 = no dropout")
    seq_length: int = option(50, "number of timesteps to unroll for")
    batch_size: int = option(50, "number of sequences to train on in parallel")
    max_epochs: float = option(50, "number of full passes through the training data")
    grad_clip: float = option(5, "clip gradients at this value")
    train_frac: float = option(0.95, "fraction of data that goes into train set")
    val_frac: float = option(0.05, "fraction of data that goes into validation set")
    init_from: str = option("", "initialize network parameters from checkpoint at this path", path="file")
    # bookkeeping
    seed: int = option(123, "torch manual random number generator seed")
    print_every: int = option(1, "how many steps/minibatches between printing out the loss")
    eval_val_every: int = option(1000, "every how many iterations should we evaluate on validation data?")
    checkpoint_dir: str = option("cv", "output directory where checkpoints get written", path="dir")
    savefile: str = option("lstm", "filename to autosave the checkpont to. Will be inside checkpoint_dir/")
    accurate_gpu_timing: int = option(
        0,
        "set this flag to 1 to get precise timings when using GPU. Might make code bit slower but reports accurate"
        " timings.",
    )
    # GPU/CPU
    gpuid: int = option(0, "which gpu to use. -1 = use CPU")
    opencl: int = option(0, "use OpenCL (instead of CUDA)")
    not_in_char_rnn: ClassVar[tuple[str, ...]] = (
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
        "vocab",
        "encoding",
    )
    not_of_the_run: ClassVar[tuple[str, ...]] = ("resume", "overwrite", "progress")  # but of who starts or watches it
    exact: int = option(
        1, "1 = the digits of char-rnn: double precision on the CPU and its two state habits. 0 = float32, faster"
    )
    dtype: str = option(
        "",
        "precision: double, float32, or, in part, bfloat16 or float16 (lstm and rnn). Empty = double with -exact 1 on"
        " the CPU, else float32",
    )
    forget_bias: int = option(
        1, "1 = set LSTM forget gate biases to 1. 0 = as drawn, as char-rnn did before 2015-09-20"
    )
    resume: str = option(
        "", "go on with the run that wrote this checkpoint, or the newest in this directory, and with its options"
    )
    save_state: int = option(1, "1 = keep in checkpoints what -resume needs to go on exactly. 0 = leave it out")
    save_every_minutes: float = option(
        10, "keep lm_<savefile>_latest.t7 no older than this. 0 = write it only when a signal ends the run"
    )
    keep: int = option(0, "how many checkpoints to keep, the best by validation loss, beside the newest. 0 = all")
    patience: int = option(0, "stop after this many validations without a better one. 0 = never")
    lock: int = option(1, "1 = refuse to train where another training writes the same files. 0 = train all the same")
    overwrite: int = option(0, "1 = give up an unfinished run that has written files of these names. 0 = refuse to")
    progress: int = option(
        -1,
        "a line with epoch, time left, speed and best loss below the log. -1 = on a terminal; 1 = also if the log goes"
        " elsewhere; 0 = never",
    )
    vocab: str = option(
        "strict",
        "with -init_from, for a text with other characters than the checkpoint's: strict = refuse it, as char-rnn does;"
        " extend = add the new ones to the model; keep = leave them out of the text",
    )
    encoding: str = option("bytes", "what a character is: bytes, as in char-rnn, or utf8: a code point of UTF-8")

    def check(self) -> None:
        """Errors: UserError for the first value that training can't use."""
        for name in ("rnn_size", "num_layers", "seq_length", "batch_size", "print_every", "eval_val_every"):
            _require(self, name, getattr(self, name) >= 1, "at least 1")
        _require(self, "model", self.model in ("lstm", "gru", "rnn"), "lstm, gru or rnn")
        _require(
            self,
            "dtype",
            self.dtype in ("", "double", "float32", "bfloat16", "float16"),
            "one of double, float32, bfloat16, float16",
        )
        _require(self, "dropout", 0 <= self.dropout < 1, "at least 0 and less than 1")
        for name in ("learning_rate", "learning_rate_decay", "grad_clip"):
            _require(self, name, 0 < getattr(self, name) < float("inf"), "greater than 0")
        _require(self, "max_epochs", 0 < self.max_epochs <= _MOST, "greater than 0 and at most 1e12")
        _require(self, "decay_rate", 0 <= self.decay_rate < 1, "at least 0 and less than 1")
        for name in ("train_frac", "val_frac"):
            _require(self, name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        if self.train_frac + self.val_frac > 1 + 1e-9:
            raise UserError(
                f"-train_frac {self.train_frac:g} and -val_frac {self.val_frac:g} sum to more than 1: lower one."
            )
        if self.resume and self.init_from:
            raise UserError("-resume goes on with a run, -init_from starts another: give one of them.")
        for name in ("save_every_minutes", "keep", "patience"):
            _require(self, name, getattr(self, name) >= 0, "at least 0")
        switches = ("accurate_gpu_timing", "opencl", "exact", "forget_bias", "save_state", "lock", "overwrite")
        _require_switches(self, *switches)
        _require(self, "progress", self.progress in (-1, 0, 1), "-1, 0 or 1")
        _require(self, "vocab", self.vocab in ("strict", "extend", "keep"), "strict, extend or keep")
        _require(self, "encoding", self.encoding in ("bytes", "utf8"), "bytes or utf8")


@dataclass
class SampleOptions:
    """Options of `pycharrnn sample`."""

    seed: int = option(123, "random number generator's seed")
    sample: int = option(1, " 0 to use max at each timestep, 1 to sample at each timestep")
    primetext: str = option(
        "", 'used as a prompt to "seed" the state of the LSTM using a given sequence, before we sample.'
    )
    length: int = option(2000, "number of characters to sample")
    temperature: Ramp = option(1, "temperature of sampling", short="t")
    gpuid: int = option(0, "which gpu to use. -1 = use CPU")
    opencl: int = option(0, "use OpenCL (instead of CUDA)")
    verbose: int = option(1, "set to 0 to ONLY print the sampled text, no diagnostics")
    not_in_char_rnn: ClassVar[tuple[str, ...]] = (
        "samples",
        "o",
        "topk",
        "topp",
        "stop",
        "beam",
        "primefile",
        "hide_prime",
        "ignore_bad_primetext",
        "unicode",
        "color",
    )
    samples: int = option(1, "number of samples, with the seeds -seed, -seed + 1, ...")
    o: str = option("", "folder to write each sample to, as sample_SEED.txt, instead of printing", path="dir")
    topk: int = option(0, "draw only from the K likeliest characters. 0 = from all")
    topp: float = option(1, "draw only from the likeliest characters that together have this probability. 1 = from all")
    stop: str = option("", "stop once this text has been drawn")
    beam: int = option(0, "do not draw: search for the likeliest text, keeping the best W at each timestep. 0 = draw")
    primefile: str = option("", "file with the text for -primetext. - = standard input", path="file")
    hide_prime: int = option(0, "1 = print only what is drawn, not the primetext")
    ignore_bad_primetext: int = option(0, "1 = leave out what the model has never seen from the primetext")
    unicode: int = option(0, "1 = print only whole UTF-8 characters")
    color: int = option(0, "1 = color each character by its probability, for a terminal")

    def check(self) -> None:
        """Errors: UserError for the first value that sampling can't use."""
        _require(self, "length", self.length >= 0, "at least 0")
        ramp = self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)
        if not all(0 < t < float("inf") for t in ramp):
            shown = ":".join(f"{t:g}" for t in ramp)
            raise UserError(f"-temperature must be greater than 0, not {shown}.")
        _require(self, "samples", 1 <= self.samples <= _MOST, "at least 1 and at most 1e12")
        _require(self, "topk", self.topk >= 0, "at least 0")
        _require(self, "topp", 0 < self.topp <= 1, "greater than 0 and at most 1")
        _require(self, "beam", self.beam >= 0, "at least 0")
        switches = ("sample", "opencl", "verbose", "hide_prime", "ignore_bad_primetext", "unicode", "color")
        _require_switches(self, *switches)
        for no_good, why in (
            (self.primetext and self.primefile, "-primetext and -primefile exclude each other: leave one out."),
            (self.beam and self.samples > 1, "-beam finds one text, whatever the seed: leave -samples out."),
            (self.color and self.o, "-color is for the screen: leave -o out."),
            (len(ramp) > 1 and not self.length, "-temperature A:B needs a -length at which B is reached."),
            (
                not self.length and (self.samples > 1 or self.o) and not self.stop,
                "-length 0 goes on until it is stopped: it needs -stop with -samples or -o.",
            ),
        ):
            if no_good:
                raise UserError(why)


@dataclass
class ChatOptions:
    """Options of `pycharrnn chat`."""

    seed: int = option(123, "random number generator's seed; each answer takes the next")
    length: int = option(500, "number of characters at which an answer is cut off")
    temperature: float = option(1, "temperature of sampling", short="t")
    topk: int = option(0, "draw only from the K likeliest characters. 0 = from all")
    topp: float = option(1, "draw only from the likeliest characters that together have this probability. 1 = from all")
    stop: str = option("", "an answer ends once this text has been drawn. Left out: at the end of a line")
    gpuid: int = option(0, "which gpu to use. -1 = use CPU")
    opencl: int = option(0, "use OpenCL (instead of CUDA)")
    color: int = option(0, "1 = color each character by its probability")

    def check(self) -> None:
        """Errors: UserError for the first value that can't be used."""
        _require(self, "length", self.length >= 1, "at least 1")
        self.sampling().check()

    def sampling(self) -> SampleOptions:
        """The same as options of sampling."""
        return SampleOptions(**{**dataclasses.asdict(self), "stop": self.stop or "\n"})


@dataclass
class EvalOptions:
    """Options of `pycharrnn eval`."""

    data_dir: str = option("", "data directory with input.txt. Left out: as in training", path="dir")
    split: str = option("val", "train, val or test")
    compare: bool = option(False, "print a table, one line a checkpoint")
    batch_size: int = option(0, "number of sequences side by side. 0 = as in training")
    seq_length: int = option(0, "number of timesteps in a batch. 0 = as in training")
    train_frac: float = option(-1, "fraction of data that goes into train set. -1 = as in training")
    val_frac: float = option(-1, "fraction of data that goes into validation set. -1 = as in training")
    old_exp: int = option(0, "1 = LogSoftMax as Torch7 computed it on a CPU before 27 April 2016")
    gpuid: int = option(-1, "which gpu to use. -1 = use CPU, in double precision")

    def check(self) -> None:
        """Errors: UserError for the first value that can't be used."""
        _require(self, "split", self.split in ("train", "val", "test"), "train, val or test")
        for name in ("batch_size", "seq_length"):
            _require(self, name, getattr(self, name) >= 0, "at least 0")
        for name in ("train_frac", "val_frac"):
            value = getattr(self, name)
            _require(self, name, value == -1 or 0 <= value <= 1, "between 0 and 1")
        _require_switches(self, "old_exp")
        if self.old_exp and self.gpuid >= 0:
            raise UserError("-old_exp is of the CPU: leave -gpuid out.")


@dataclass
class ScoreOptions:
    """Options of `pycharrnn score`."""

    html: str = option("", "file to write the texts to as a page, each character coloured by its surprise", path="file")
    gpuid: int = option(-1, "which gpu to use. -1 = use CPU, in double precision")

    def check(self) -> None:
        """Errors: none; there is nothing to check."""


@dataclass
class InspectOptions:
    """Options of `pycharrnn inspect`."""

    json: int = option(0, "1 = print JSON, for programs")

    def check(self) -> None:
        """Errors: UserError."""
        _require_switches(self, "json")


@dataclass
class ConvertOptions:
    """Options of `pycharrnn convert`."""

    type: str = option("double", "precision of a .t7 file, double or float. The Lua programs want double")
    ascii: int = option(0, "1 = write a .t7 file in the ASCII encoding")
    longs: int = option(8, "bytes of a long in a .t7 file: 4 for a Torch7 on Windows or a 32-bit system")

    def check(self) -> None:
        """Errors: UserError."""
        _require(self, "type", self.type in ("double", "float"), "double or float")
        _require(self, "longs", self.longs in (4, 8), "4 or 8")
        _require_switches(self, "ascii")


@dataclass
class PlotOptions:
    """Options of `pycharrnn plot`."""

    o: str = option("losses.png", "picture to write, by its ending: .png or .svg", path="file")

    def check(self) -> None:
        """Errors: UserError."""
        _require(self, "o", self.o.lower().endswith((".png", ".svg")), "a file that ends in .png or .svg")


@dataclass
class ActivationsOptions:
    """Options of `pycharrnn activations`."""

    primetext: str = option("", "the text to read")
    primefile: str = option("", "file with the text to read. - = standard input", path="file")
    layer: int = option(0, "layer of the units, 1 = the first. 0 = all for the choice by itself, the last for -units")
    units: str = option("", "numbers of the units to show, from 1: 3,17. Empty = those that hold large values longest")
    count: int = option(8, "how many units to show where -units names none")
    o: str = option("activations.html", "page to write", path="file")

    def check(self) -> None:
        """Errors: UserError."""
        if bool(self.primetext) == bool(self.primefile):
            raise UserError("activations needs a text to read: either -primetext TEXT or -primefile FILE.")
        _require(self, "layer", self.layer >= 0, "at least 0")
        _require(self, "count", self.count >= 1, "at least 1")
        _require(self, "o", self.o.lower().endswith((".html", ".htm")), "a file that ends in .html")


@dataclass
class ServeOptions:
    """Options of `pycharrnn serve`."""

    host: str = option("127.0.0.1", "address to listen on. Anything but this machine's own needs -token")
    port: int = option(8015, "port to listen on. 0 = one that is free")
    token: str = option("", "what a client must know, 16 characters or more. new = make one")
    streams: int = option(512, "how many clients are served at once, from 1 to 1000; others are asked to come back")

    def check(self) -> None:
        """Errors: UserError."""
        if not self.host:
            raise UserError("-host must be an address or a name, not empty.")
        _require(self, "port", 0 <= self.port < 1 << 16, "from 0 to 65535")
        _require(self, "streams", 1 <= self.streams <= 1000, "from 1 to 1000")
        if self.token not in ("", "new") and (len(self.token) < 16 or not _plain(self.token)):
            raise UserError("-token must be 16 letters and digits or more, or new to have one made.")
        if not self.token and not self.is_loopback():
            raise UserError(
                f"-host {self.host} lets others in, so it needs a -token: -token new makes one and prints the link."
            )

    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach -host."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _plain(text: str) -> bool:
    return all(c.isascii() and (c.isalnum() or c in "-_.~") for c in text)


def _require(options, name: str, holds: bool, what: str) -> None:
    if not holds:
        value = getattr(options, name)
        shown = f"{value:.10g}" if isinstance(value, (int, float)) else value
        raise UserError(f"-{name} must be {what}, not {shown}.")


def _require_switches(options, *names: str) -> None:
    for name in names:
        _require(options, name, getattr(options, name) in (0, 1), "0 or 1")
