"""The flags of sampling and of chat: each with its name, default and help. Source: cmd:option lines of sample.lua."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.option_fields import MAX_COUNT, SWITCH, THREADS, Ramp, check, number, option


@dataclass(frozen=True)
class SampleOptions:
    """Options of `pycharrnn sample`."""

    seed: int = option(123, "random number generator's seed", group="drawing", charrnn=True)
    sample: int = option(
        1, " 0 to use max at each timestep, 1 to sample at each timestep", group="drawing", allowed=SWITCH, charrnn=True
    )
    primetext: str = option(
        "",
        'used as a prompt to "seed" the state of the LSTM using a given sequence, before we sample.',
        group="text",
        charrnn=True,
    )
    length: int = option(2000, "number of characters to sample", group="drawing", allowed=number(0), charrnn=True)
    temperature: Ramp = option(1, "temperature of sampling", short="t", group="drawing", charrnn=True)
    gpuid: int = option(0, "which gpu to use. -1 = use CPU", group="machine", charrnn=True)
    opencl: int = option(0, "use OpenCL (instead of CUDA)", group="machine", allowed=SWITCH, charrnn=True)
    verbose: int = option(
        1, "set to 0 to ONLY print the sampled text, no diagnostics", group="display", allowed=SWITCH, charrnn=True
    )
    samples: int = option(
        1,
        "number of samples, with the seeds -seed, -seed + 1, ...",
        group="drawing",
        allowed=number(1, MAX_COUNT),
    )
    o: str = option(
        "", "folder to write each sample to, as sample_SEED.txt, instead of printing", path="dir", group="output"
    )
    topk: int = option(
        0, "draw only from the K likeliest characters. 0 = from all", group="drawing", allowed=number(0), value="K"
    )
    topp: float = option(
        1,
        "draw only from the likeliest characters that together have this probability. 1 = from all",
        group="drawing",
        allowed=number(above=0, high=1),
    )
    stop: str = option("", "stop once this text has been drawn", group="drawing")
    beam: int = option(
        0,
        "do not draw: search for the likeliest text, keeping the best W at each timestep. 0 = draw",
        group="drawing",
        allowed=number(0),
        value="W",
    )
    primefile: str = option(
        "",
        "file with the text for -primetext, but for a byte order mark. - = standard input",
        path="file",
        group="text",
    )
    hide_prime: int = option(0, "1 = print only what is drawn, not the primetext", group="display", allowed=SWITCH)
    ignore_bad_primetext: int = option(
        0, "1 = leave out what the model has never seen from the primetext", group="text", allowed=SWITCH
    )
    unicode: int = option(0, "1 = print only whole UTF-8 characters", group="display", allowed=SWITCH)
    color: int = option(
        0, "1 = color each character by its probability, for a terminal", group="display", allowed=SWITCH
    )
    threads: int = option(
        0, "how many threads compute. 0 = one; for -samples one a core", group="machine", allowed=THREADS
    )

    def __post_init__(self) -> None:
        """Errors: UserError for the first value that can't be used, or for options that exclude each other."""
        check(self)
        ramp = self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)
        if not all(0 < t < float("inf") for t in ramp):
            hint = f": {flag('sample', 0)} takes the likeliest character at each timestep" if ramp == (0,) else ""
            given = ":".join(f"{t:g}" for t in ramp)
            raise UserError(f"{flag('temperature')} must be greater than 0, not {given}{hint}.")
        for excluded, message in (
            (
                self.primetext and self.primefile,
                f"{flag('primetext')} and {flag('primefile')} exclude each other: leave one out.",
            ),
            (
                self.beam and self.samples > 1,
                f"{flag('beam')} finds one text, whatever the seed: leave {flag('samples')} out.",
            ),
            (
                self.beam and (self.temperature, self.topk, self.topp) != (1, 0, 1),
                f"{flag('beam')} does not sample, so {flag('temperature')}, {flag('topk')} and {flag('topp')} have no"
                f" effect: leave these out, or {flag('beam')}.",
            ),
            (self.color and self.o, f"{flag('color')} is for the screen: leave {flag('o')} out."),
            (
                len(ramp) > 1 and not self.length,
                f"{flag('temperature')} A:B needs a {flag('length')} at which B is reached.",
            ),
            (
                not self.length and (self.samples > 1 or self.o) and not self.stop,
                f"{flag('length', 0)} continues until it is stopped: with {flag('samples')} or {flag('o')} it needs"
                f" {flag('stop')}.",
            ),
        ):
            if excluded:
                raise UserError(message)


@dataclass(frozen=True)
class ChatOptions:
    """Options of `pycharrnn chat`."""

    seed: int = option(123, "random number generator's seed; each answer takes the next", group="drawing")
    length: int = option(500, "number of characters at which an answer is cut off", group="drawing", allowed=number(1))
    temperature: float = option(1, "temperature of sampling", short="t", group="drawing")
    topk: int = option(
        0, "draw only from the K likeliest characters. 0 = from all", group="drawing", allowed=number(0), value="K"
    )
    topp: float = option(
        1,
        "draw only from the likeliest characters that together have this probability. 1 = from all",
        group="drawing",
        allowed=number(above=0, high=1),
    )
    stop: str = option(
        "", "an answer ends once this text has been drawn. Left out: at the end of a line", group="drawing"
    )
    gpuid: int = option(0, "which gpu to use. -1 = use CPU", group="machine")
    opencl: int = option(0, "use OpenCL (instead of CUDA)", group="machine", allowed=SWITCH)
    color: int = option(0, "1 = color each character by its probability", group="display", allowed=SWITCH)
    threads: int = option(0, "how many threads compute. 0 = one", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        """Errors: UserError for the first value that can't be used."""
        check(self)
        if self.temperature == 0:
            raise UserError(
                f"{flag('temperature')} must be greater than 0, not 0: {flag('topk', 1)} always takes the likeliest"
                " character."
            )
        self.sampling()

    def sampling(self) -> SampleOptions:
        """These options as those of `pycharrnn sample`, with a newline for a -stop that is left out."""
        return SampleOptions(**{**dataclasses.asdict(self), "stop": self.stop or "\n"})
