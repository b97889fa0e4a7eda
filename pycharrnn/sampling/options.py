"""The flags of sample and chat: name, default, help. Source: the cmd:option lines of sample.lua."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from pycharrnn.checkpoints import formats
from pycharrnn.common.display import series
from pycharrnn.common.errors import UserError, flag, wordings
from pycharrnn.common.option_fields import DEFAULT_THREADS, MAX_COUNT, SWITCH, THREADS, Ramp, check, number, option
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.text import decode_text

DEFAULT_ITEMS = 10  # to draw from a model of items
OF_DISTRIBUTION = ("temperature", "topk", "topp")  # options that change the probabilities of characters
# Options of `chat` that it does not pass on to `sample` as they are.
_OF_CHAT_ALONE = {"stop", "learn", "o", "overwrite", "max_copy", "text", "text_encoding"}
_OF_CHAT_ALONE |= {field.name for field in dataclasses.fields(AdaptOptions)}


# Fields that both commands have, word for word.
def _topk() -> int:
    return option(
        0, "sample only from the K most probable characters. 0 = all", group="sampling", allowed=number(0), value="K"
    )


def _topp() -> float:
    return option(
        1,
        "sample only from the most probable characters that sum to at least this probability. 1 = all",
        group="sampling",
        allowed=number(above=0, high=1),
    )


def _max_copy() -> int:
    return option(
        0,
        "sample no passage of more characters than this that is in the training text. 0 = no limit",
        group="sampling",
        allowed=number(1, MAX_COUNT),
    )


@dataclass(frozen=True)
class SampleOptions(AdaptOptions):
    """Options of `pycharrnn sample`."""

    seed: int = option(123, "random number generator's seed", group="sampling", charrnn=True)
    sample: int = option(
        1,
        " 0 to use max at each timestep, 1 to sample at each timestep",
        group="sampling",
        allowed=SWITCH,
        charrnn=True,
    )
    primetext: str = option(
        "",
        'used as a prompt to "seed" the state of the LSTM using a given sequence, before we sample.',
        group="text",
        charrnn=True,
    )
    length: int = option(2000, "number of characters to sample", group="sampling", allowed=number(0), charrnn=True)
    temperature: Ramp = option(1, "temperature of sampling", short="t", group="sampling", charrnn=True)
    gpuid: int = option(0, "which gpu to use. -1 = use CPU", group="machine", charrnn=True)
    opencl: int = option(0, "use OpenCL (instead of CUDA)", group="machine", allowed=SWITCH, charrnn=True)
    verbose: int = option(
        1, "set to 0 to ONLY print the sampled text, no diagnostics", group="display", allowed=SWITCH, charrnn=True
    )
    samples: int = option(
        1,
        "number of samples, with the seeds -seed, -seed + 1, ...",
        group="sampling",
        allowed=number(1, MAX_COUNT),
    )
    o: str = option(
        "", "folder to write each sample to, as sample_SEED.txt, instead of printing", path="dir", group="output"
    )
    overwrite: int = option(0, "1 = replace the files of -o that exist", group="output", allowed=SWITCH)
    json: int = option(0, "1 = print a JSON object for each text or item, for programs", group="output", allowed=SWITCH)
    items: int = option(
        0,
        f"number of items to draw from a model of items, with the seeds -seed, -seed + 1, ... 0 = {DEFAULT_ITEMS}",
        group="items",
        allowed=number(1, MAX_COUNT),
    )
    label: str = option(
        "",
        "label of the items to draw, from a model with labels. Default: labels as often as in training, each printed"
        " before its item, with a tab between",
        short="as",
        group="items",
    )
    new: int = option(
        0,
        "1 = leave out items that are in the training text, and empty ones; -items counts the printed ones",
        group="items",
        allowed=SWITCH,
    )
    unique: int = option(0, "1 = leave out items that were drawn before", group="items", allowed=SWITCH)
    least: int = option(0, "leave out items of fewer characters. 0 = none", group="items", allowed=number(1, MAX_COUNT))
    most: int = option(0, "leave out items of more characters. 0 = none", group="items", allowed=number(1, MAX_COUNT))
    text: str = option(
        "",
        "file, or folder of texts, to compare with for -new 1 and -max_copy. Default: the training text that the"
        " checkpoint records",
        path="any",
        group="items",
    )
    topk: int = _topk()
    topp: float = _topp()
    stop: str = option(
        "",
        r"stop after sampling this text; with -length 0, only then or after Ctrl-C. \n, \r, \t and \\ mean newline,"
        r" carriage return, tab and backslash",
        group="sampling",
    )
    max_copy: int = _max_copy()
    beam: int = option(
        0,
        "beam search for the most probable text with W beams, instead of sampling. 0 = sample",
        group="sampling",
        allowed=number(0),
        value="W",
    )
    primefile: str = option(
        "",
        "file with the prompt, in place of -primetext; a byte order mark is left out, and for a model of lines the line"
        " break at the end. - = standard input",
        path="file",
        group="text",
    )
    text_encoding: str = decode_text.option_for_model("both -primefile and -text")
    adapt: int = option(
        0,
        "1 = first learn from the text of -primefile or -primetext, by reading it once. The checkpoint stays as it is",
        group="learning",
        allowed=SWITCH,
    )
    hide_prime: int = option(0, "1 = print only the sampled text, not the primetext", group="display", allowed=SWITCH)
    ignore_bad_primetext: int = option(
        0, "1 = leave out characters of the primetext that the vocabulary lacks", group="text", allowed=SWITCH
    )
    unicode: int = option(0, "1 = print only complete UTF-8 characters", group="display", allowed=SWITCH)
    color: int = option(0, "1 = color each character by its probability", group="display", allowed=SWITCH)
    threads: int = option(
        0,
        f"number of threads. 0 = one; with -samples or items {DEFAULT_THREADS}",
        group="machine",
        allowed=THREADS,
    )

    @property
    def prime_option(self) -> str:
        """The option that gives the prompt, for messages."""
        return "primefile" if self.primefile else "primetext"

    @property
    def may_leave_out_items(self) -> bool:
        """Whether more items than -items may have to be drawn."""
        return bool(self.new or self.unique or self.least or self.most)

    def __post_init__(self) -> None:
        """Errors: UserError for the first invalid value, or for options that exclude each other."""
        check(self)
        self._check_temperature()
        self._check_text()
        self._check_beam()
        self._check_output()
        self.check_adapt("adapt", self.adapt)

    def _check_temperature(self) -> None:
        ramp = self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)
        if not all(0 < t < math.inf for t in ramp):
            hint = f": {flag('sample', 0)} takes the most probable character at each timestep" if ramp == (0,) else ""
            given = ":".join(f"{t:g}" for t in ramp)
            what = "" if all(map(math.isfinite, ramp)) else "finite and "
            raise UserError(f"{flag('temperature')} must be {what}greater than 0, not {given}{hint}.")
        if len(ramp) > 1 and not self.length:
            raise UserError(f"{flag('temperature')} A:B needs a {flag('length')}, at which it reaches B.")

    def _check_text(self) -> None:
        """Errors: UserError for options of the prompt or of items that exclude each other."""
        if self.primetext and self.primefile:
            raise UserError(f"{flag('primetext')} and {flag('primefile')} exclude each other: leave one out.")
        if self.adapt and not self.primefile and not self.primetext:
            raise UserError(f"{flag('adapt', 1)} learns from a text: give it with {flag('primefile')} FILE.")
        if self.text_encoding and not self.primefile and not self.text:
            files = wordings("the files of -primefile and -text", "the file text")
            raise UserError(f"{flag('text_encoding')} is for {files}: leave it out.")
        if self.most and self.least > self.most:
            raise UserError(
                f"no item has at least {self.least} and at most {self.most} characters: lower {flag('least')} or raise"
                f" {flag('most')}."
            )

    def _check_beam(self) -> None:
        if not self.beam:
            return
        for name, is_given in (("samples", self.samples > 1), ("items", self.items)):
            if is_given:
                raise UserError(
                    f"{flag('beam')} finds the same text for every seed, so it can't be combined with {flag(name)}:"
                    " leave one out."
                )
        if any(getattr(self, name) != getattr(SampleOptions, name) for name in OF_DISTRIBUTION):
            raise UserError(
                f"{flag('beam')} does not sample, so {series(list(map(flag, OF_DISTRIBUTION)), 'and')} have no effect:"
                f" leave these out, or {flag('beam')}."
            )

    def _check_output(self) -> None:
        if self.overwrite and not self.o:
            raise UserError(
                f"{flag('overwrite', 1)} is for the files of {flag('o')}: add {flag('o')} DIR, or leave it out."
            )
        for name in ("o", "color", "beam"):
            if self.json and getattr(self, name):
                raise UserError(f"{flag('json', 1)} and {flag(name)} exclude each other: leave one out.")
        if self.color and self.o:
            raise UserError(f"{flag('color')} is for a terminal, not for files: leave {flag('o')} out.")
        if not self.length and (self.samples > 1 or self.o or self.json) and not self.stop:
            raise UserError(
                f"{flag('length', 0)} never ends by itself: with {flag('samples')}, {flag('o')} or {flag('json')} it"
                f" needs {flag('stop')}."
            )


@dataclass(frozen=True)
class ChatOptions(AdaptOptions):
    """Options of `pycharrnn chat`."""

    seed: int = option(123, "random number generator's seed; each answer uses the next one", group="sampling")
    length: int = option(500, "maximum number of characters of an answer", group="sampling", allowed=number(1))
    temperature: float = option(1, "temperature of sampling", short="t", group="sampling")
    topk: int = _topk()
    topp: float = _topp()
    stop: str = option(
        "",
        r"an answer ends with this text; \n, \r, \t and \\ mean newline, carriage return, tab and backslash. Default: a"
        " newline",
        group="sampling",
    )
    learn: int = option(
        0,
        "1 = after each answer, learn from your line, and at a hundredth of the learning rate from the answer, on the"
        " CPU. The checkpoint stays as it is",
        group="learning",
        allowed=SWITCH,
    )
    o: str = option(
        "",
        "with -learn 1, checkpoint to write at the end, in the format of its ending. -overwrite 1 allows the file of"
        " the model itself",
        path="file",
        group="output",
    )
    overwrite: int = option(0, "1 = replace the file of -o if it exists", group="output", allowed=SWITCH)
    max_copy: int = _max_copy()
    text: str = option(
        "",
        "file, or folder of texts, for -max_copy. Default: the training text that the checkpoint records",
        path="any",
        group="text",
    )
    text_encoding: str = decode_text.option_for_model("-text")
    gpuid: int = option(0, "which gpu to use. -1 = use CPU", group="machine")
    opencl: int = option(
        0,
        "accepted as in sample; PyTorch has no OpenCL, so a GPU is used through CUDA or MPS",
        group="machine",
        allowed=SWITCH,
    )
    color: int = option(0, "1 = color each character by its probability", group="display", allowed=SWITCH)
    threads: int = option(0, "number of threads. 0 = one", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        """Errors: UserError for the first invalid value, or for options that don't go together."""
        check(self)
        self.check_adapt("learn", self.learn)
        if self.o and not self.learn:
            raise UserError(
                f"{flag('o')} saves the model that {flag('learn', 1)} trains: add that flag, or leave {flag('o')} out."
            )
        if self.o and not self.o.lower().endswith(formats.ENDINGS):
            endings = series(formats.ENDINGS, "or")
            raise UserError(f"{flag('o')} must be a file that ends in {endings}, not {self.o}.")
        if self.overwrite and not self.o:
            raise UserError(f"{flag('overwrite', 1)} is for the file of {flag('o')}: add {flag('o')} FILE.")
        refuse_unused_text(self)
        if self.text_encoding and not self.text:
            raise UserError(f"{flag('text_encoding')} is for the file of {flag('text')}: leave it out.")
        if self.temperature == 0:
            raise UserError(
                f"{flag('temperature')} must be greater than 0, not 0: {flag('topk', 1)} takes the most probable"
                " character."
            )
        self.sampling()

    def sampling(self) -> SampleOptions:
        """The same as options of `sample`; -stop defaults to a newline."""
        same = {field.name for field in dataclasses.fields(self)} - _OF_CHAT_ALONE
        return SampleOptions(**{name: getattr(self, name) for name in same}, stop=self.stop or "\n")


def refuse_unused_text(opt: SampleOptions | ChatOptions) -> None:
    """Check the options of a model of a text. Errors: UserError for -text without -max_copy."""
    if opt.text and not opt.max_copy:
        limit = wordings("-max_copy N", "max_copy=N")
        raise UserError(f"{flag('text', opt.text)} is for {limit}: add that, or leave {flag('text')} out.")
