"""Many samples at once: groups of streams on threads, a file for each sample."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import TYPE_CHECKING, BinaryIO

from compat.atomic_write import atomic_write
from pycharrnn.common import cores
from pycharrnn.common.errors import UserError, flag
from pycharrnn.sampling import inference, sampler
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.sample_writer import SampleWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import LocalPredictor, Predictor

MAX_STREAMS = 64  # side by side where not the kernel says how many: more would be no faster, and each has a file open
_SECONDS_BETWEEN_SIGNALS = 0.1


class _EndedEarly(Exception):
    """Another thread has failed, or the command has been told to end."""


def write_samples(loaded: Checkpoint, opt: SampleOptions, prime: list[bytes], folder: str, device: str) -> None:
    """Write `opt.samples` samples of a checkpoint into `folder`; with -o each appears there whole or not at all.

    Each file holds what `pycharrnn sample -verbose 0` with its seed prints.

    Args:
        prime: characters of the vocabulary.
        device: PyTorch's name of it.

    Errors: OSError; UserError for a model that predicts NaN.
    """
    seeds = range(opt.seed, opt.seed + opt.samples)
    if device == "cpu":
        _write_on_threads(inference.on_cpu(loaded.network), loaded.vocab, opt, prime, seeds, folder)
        return
    for group in _groups(seeds, 1, MAX_STREAMS):
        predictor = inference.make_predictor(loaded, device, len(group))
        _write_group(predictor, loaded.vocab, opt, prime, group, folder, lambda: False)


def _write_on_threads(
    model: LocalPredictor,
    vocab: dict[bytes, int],
    opt: SampleOptions,
    prime: list[bytes],
    seeds: Sequence[int],
    folder: str,
) -> None:
    """Draw and write the samples, on as many threads as there are to be, each with a group of streams of its own.

    No thread waits for another one: whichever is free takes the next group. The first error ends them all.
    """
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait  # it loads much that one sample lacks

    threads = opt.threads or cores.usable()
    most = model.rows_per_step if isinstance(model, KernelPredictor) else MAX_STREAMS
    groups, lock, ended = _groups(seeds, threads, most), threading.Lock(), threading.Event()

    def next_group() -> Sequence[int] | None:
        with lock:
            return next(groups, None)

    def work() -> None:
        while (group := next_group()) is not None:
            predictor = model.fresh(streams=len(group))
            _write_group(predictor, vocab, opt, prime, group, folder, ended.is_set)

    pool = ThreadPoolExecutor(threads)
    try:
        working = {pool.submit(work) for _ in range(min(threads, len(seeds)))}
        while working:
            # With a limit: where waiting for a lock can't be interrupted, as on Windows, Ctrl-C is heard after that.
            done, working = wait(working, _SECONDS_BETWEEN_SIGNALS, FIRST_EXCEPTION)
            for future in done:
                future.result()
    finally:
        ended.set()
        pool.shutdown()


def _groups(seeds: Sequence[int], threads: int, most: int) -> Iterator[Sequence[int]]:
    """The seeds in groups of nearly one size, at most `most`, and so many groups that all threads get equally many."""
    rounds = -(-len(seeds) // (threads * most))
    groups = min(rounds * threads, len(seeds))
    for k in range(groups):
        yield seeds[len(seeds) * k // groups : len(seeds) * (k + 1) // groups]


def refuse_to_overwrite(opt: SampleOptions, *inputs: str) -> None:
    """Errors: UserError where a file that is read is one of those that will be written into the folder of -o."""
    folder = os.path.realpath(opt.o)
    for file in inputs:
        input_folder, name = os.path.split(os.path.realpath(file))
        match = re.fullmatch(r"sample_(-?\d+)\.txt", name)
        seed = int(match[1]) if match else opt.seed - 1
        is_sample = 0 <= seed - opt.seed < opt.samples and name == os.path.basename(sample_file("", seed))
        if input_folder == folder and is_sample:
            raise UserError(f"{flag('o', opt.o)} would overwrite {file}, which is read: choose another folder.")


def write_sample(out: BinaryIO, opt: SampleOptions, characters: Iterable[sampler.SampledCharacter], live: bool) -> None:
    """Write one sample to `out`; with -length 0, Ctrl-C is how it ends.

    Args:
        live: True if someone may be watching.
    """
    writer = SampleWriter(out, opt, live)
    with contextlib.suppress(*([] if opt.length else [KeyboardInterrupt])):
        for drawn in characters:
            writer.put(drawn.character, drawn.probability, drawn.given)
    writer.end()


def sample_file(folder: str, seed: int) -> str:
    """The path of the sample with this seed."""
    return os.path.join(folder, f"sample_{seed}.txt")


def _write_group(
    predictor: Predictor,
    vocab: dict[bytes, int],
    opt: SampleOptions,
    prime: list[bytes],
    seeds: Sequence[int],
    folder: str,
    should_end: Callable[[], bool],
) -> None:
    """Draw and write the samples of `seeds` side by side.

    Args:
        predictor: with as many streams, their hidden states zeros.
        should_end: asked every few milliseconds whether to give up, which leaves no file.
    """
    with contextlib.ExitStack() as files:
        paths = [sample_file(folder, seed) for seed in seeds]
        # What is only printed need not reach the disk, for which atomic_write waits.
        opened = [files.enter_context(atomic_write(path) if opt.o else open(path, "wb")) for path in paths]  # noqa: SIM115
        writers = [SampleWriter(out, opt) for out in opened]
        for chunk in sampler.sample_streams(predictor, [prime] * len(seeds), vocab, opt, seeds):
            writers[chunk.stream].put_all(chunk.characters, chunk.token_probs, chunk.given)
            if should_end():
                raise _EndedEarly
        for writer in writers:
            writer.end()
