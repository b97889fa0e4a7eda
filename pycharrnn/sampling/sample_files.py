"""The files of `sample`: their names, one sample written, and many at once on threads, each into its file."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from compat.atomic_write import atomic_write
from pycharrnn.checkpoints import checkpoint_facts
from pycharrnn.common import cores
from pycharrnn.common.errors import UserError, flag
from pycharrnn.sampling import inference, sampler
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.sample_writer import SampleWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import LocalPredictor, Predictor

_MAX_STREAMS = 64  # without the C kernel: more are not faster, and each has a file open
_SAMPLE = re.compile(r"sample_(-?\d+)\.txt")  # see sample_file


class _Abandoned(Exception):
    """Another thread has failed, or a signal ends the command, so that nobody needs these samples."""


def write_samples(
    loaded: Checkpoint,
    opt: SampleOptions,
    prime: list[bytes],
    folder: str,
    device: str,
    copies: CopyLimits | None = None,
) -> list[int]:
    """Write `opt.samples` samples of a checkpoint into `folder`, with -o atomically.

    Each file equals the output of `pycharrnn sample -verbose 0` with its seed.

    Returns: the seeds of the samples that ended early, since `copies` left no character; in any order.
    Errors: OSError; UserError for a model that predicts NaN.
    """
    samples = _Samples(loaded.vocab, opt, prime, folder, copies, checkpoint_facts.is_from_texts(loaded))
    seeds = range(opt.seed, opt.seed + opt.samples)
    if device == "cpu":
        return _write_on_threads(inference.on_cpu(loaded.network), samples, seeds)
    ended_early = []
    for group in _groups(seeds, 1, _MAX_STREAMS):
        ended_early += samples.write(inference.make_predictor(loaded, device, len(group)), group)
    return ended_early


@dataclass(frozen=True)
class _Samples:
    """What all samples have in common: arguments of write_samples, and `whole_end`, as for SampleWriter."""

    vocab: dict[bytes, int]
    opt: SampleOptions
    prime: list[bytes]
    folder: str
    copies: CopyLimits | None
    whole_end: bool

    def write(
        self, predictor: Predictor, seeds: Sequence[int], should_end: Callable[[], bool] = lambda: False
    ) -> list[int]:
        """Write the samples of `seeds`, sampled side by side; return the seeds of those that ended early.

        `should_end` is polled; if it is True, the writing ends, and no file of -o is left.
        """
        opt, ended_early = self.opt, []
        with contextlib.ExitStack() as files:
            paths = [sample_file(self.folder, seed) for seed in seeds]
            # Files that are only printed need no atomic write, which waits for the disk.
            opened = [files.enter_context(atomic_write(path) if opt.o else open(path, "wb")) for path in paths]  # noqa: SIM115
            writers = [SampleWriter(out, opt, whole_end=self.whole_end) for out in opened]
            primes = [self.prime] * len(seeds)
            for chunk in sampler.sample_streams(predictor, primes, self.vocab, opt, seeds, copies=self.copies):
                writers[chunk.stream].put_all(chunk.characters, chunk.token_probs, chunk.given)
                if chunk.ended_early:
                    ended_early.append(seeds[chunk.stream])
                if should_end():
                    raise _Abandoned
            for writer in writers:
                writer.end()
        return ended_early


def _write_on_threads(model: LocalPredictor, samples: _Samples, seeds: Sequence[int]) -> list[int]:
    """Share the samples among threads: whichever is free takes the next group. The first error ends all of them.

    Returns: as write_samples.
    """
    from concurrent.futures import ThreadPoolExecutor  # slow to import, not needed for one sample

    from pycharrnn.common.thread_results import results_of

    threads = samples.opt.threads or cores.default_threads()
    max_size = model.rows_per_step if isinstance(model, KernelPredictor) else _MAX_STREAMS
    groups, lock, ended = _groups(seeds, threads, max_size), threading.Lock(), threading.Event()

    def next_group() -> Sequence[int] | None:
        with lock:
            return next(groups, None)

    def work() -> list[int]:
        ended_early = []
        while (group := next_group()) is not None:
            ended_early += samples.write(model.fresh(streams=len(group)), group, ended.is_set)
        return ended_early

    pool = ThreadPoolExecutor(threads)
    try:
        working = [pool.submit(work) for _ in range(min(threads, len(seeds)))]
        return [seed for ended_early in results_of(working) for seed in ended_early]
    finally:
        ended.set()
        pool.shutdown()


def _groups(seeds: Sequence[int], threads: int, max_size: int) -> Iterator[Sequence[int]]:
    """Divide the seeds into groups of nearly equal size, the same number of groups for each thread."""
    rounds = -(-len(seeds) // (threads * max_size))
    groups = min(rounds * threads, len(seeds))
    for k in range(groups):
        yield seeds[len(seeds) * k // groups : len(seeds) * (k + 1) // groups]


def refuse_to_overwrite(opt: SampleOptions, *inputs: str) -> None:
    """Check the files that -o will write.

    Errors: UserError if one of `inputs` is among them, or, without -overwrite 1, a file that exists; OSError.
    """
    folder = os.path.realpath(opt.o)
    for file in inputs:
        input_folder, name = os.path.split(os.path.realpath(file))
        if input_folder == folder and _seed_of(name, opt) is not None:
            raise UserError(f"{flag('o', opt.o)} would overwrite {file}, which is an input: choose another folder.")
    if opt.overwrite:
        return
    seeds = [seed for name in os.listdir(folder) if (seed := _seed_of(name, opt)) is not None]
    if seeds:
        files = f"{len(seeds)} files, such as " if len(seeds) > 1 else ""
        raise UserError(
            f"{flag('o', opt.o)} would replace {files}{sample_file(opt.o, min(seeds))}: choose another folder or"
            f" {flag('seed')}, or replace what is there with {flag('overwrite', 1)}."
        )


def has_other_texts(folder: str) -> bool:
    """Whether the folder of -o has files that end in .txt and are no samples. Errors: OSError."""
    return any(name.endswith(".txt") and not _SAMPLE.fullmatch(name) for name in os.listdir(folder))


def _seed_of(name: str, opt: SampleOptions) -> int | None:
    """The seed of a file of this name if -o may write it; else None."""
    match = _SAMPLE.fullmatch(name)
    if not match or name != sample_file("", seed := int(match[1])):
        return None
    count = opt.items or opt.samples
    is_open = opt.items and opt.may_leave_out_items
    return seed if seed >= opt.seed and (is_open or seed < opt.seed + count) else None


def write_sample(
    out: BinaryIO,
    opt: SampleOptions,
    characters: Iterable[sampler.SampledCharacter],
    live: bool,
    whole_end: bool = False,
) -> None:
    """Write one sample to `out`, with -length 0 until Ctrl-C. `live`, `whole_end`: as for SampleWriter."""
    writer = SampleWriter(out, opt, live, whole_end)
    with contextlib.suppress(*([] if opt.length else [KeyboardInterrupt])):
        for one in characters:
            writer.put(one.character, one.probability, one.given)
    writer.end()


def sample_file(folder: str, seed: int) -> str:
    """The path of the sample of a seed in the folder of -o."""
    return os.path.join(folder, f"sample_{seed}.txt")
