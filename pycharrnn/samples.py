"""Many samples at once: a batch of streams in each process, a file for each sample."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from compat.charrnn import Checkpoint
from compat.whole_file import whole_file
from pycharrnn import checkpoint, sampling, stepper
from pycharrnn.options import SampleOptions, UserError
from pycharrnn.screen import Writer

_STREAMS = 64  # side by side in one process: more would be no faster, and each has a file open
_WORTH_A_PROCESS = 16  # streams: fewer are drawn before another process has started


def write(path: str, loaded: Checkpoint, opt: SampleOptions, prime: list[bytes], folder: str, where: str) -> None:
    """Write `opt.samples` samples of a checkpoint into `folder`, each whole or not at all.

    Each file holds what `pycharrnn sample -verbose 0` with its seed prints.

    Args:
        path, loaded: the checkpoint's file, and what checkpoint.load made of it.
        prime: characters of the vocabulary.
        where: PyTorch's name of the device.

    Errors: OSError; UserError.
    """
    seeds = range(opt.seed, opt.seed + opt.samples)
    processes = min(_cores(), len(seeds) // _WORTH_A_PROCESS) if where == "cpu" else 1
    if processes > 1:
        _share_out([(path, opt, prime, seeds[k::processes], folder) for k in range(processes)])
    else:
        _write(loaded, opt, prime, seeds, folder, where)


def put_all(out: BinaryIO, opt: SampleOptions, stream: Iterable[sampling.Drawn], live: bool) -> None:
    """Write one sample to `out`; with -length 0, Ctrl-C is how it ends."""
    writer = Writer(out, opt, live)
    with contextlib.suppress(*([] if opt.length else [KeyboardInterrupt])):
        for drawn in stream:
            writer.put(drawn.character, drawn.probability, drawn.given)
    writer.end()


def file_of(folder: str, seed: int) -> str:
    """The file of the sample with this seed."""
    return os.path.join(folder, f"sample_{seed}.txt")


def _write(
    loaded: Checkpoint,
    opt: SampleOptions,
    prime: list[bytes],
    seeds: Sequence[int],
    folder: str,
    where: str,
    told_to_end: Callable[[], bool] = lambda: False,
) -> None:
    """Draw and write the samples of `seeds`; `told_to_end` is asked after each character whether to exit."""
    characters = sampling.in_order(loaded.vocab)
    for some in (seeds[k : k + _STREAMS] for k in range(0, len(seeds), _STREAMS)):
        model = stepper.make(loaded, where, len(some))
        with contextlib.ExitStack() as files:
            writers = [Writer(files.enter_context(whole_file(file_of(folder, seed))), opt) for seed in some]
            going = {b: (writer.put, sampling.Ending(opt.stop)) for b, writer in enumerate(writers)}
            rows = range(len(some))
            for step in sampling.draw_streams(model, prime, loaded.vocab, opt, some):
                indices, probabilities = step.indices.tolist(), step.probabilities[rows, step.indices].tolist()
                ended = []
                for b, (put, ending) in going.items():
                    character = characters[indices[b]]
                    put(character, probabilities[b], step.given)
                    if opt.stop and not step.given and ending.reached(character):
                        ended.append(b)
                for b in ended:
                    del going[b]
                if told_to_end():
                    sys.exit(1)  # an exception, so that half-written files go away
                if not going:
                    break
            for writer in writers:
                writer.end()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _share_out(parts: list[tuple]) -> None:
    """_write each part in a process of its own. What stops one of them, or this one, stops all."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    with _ctrl_c_ignored():  # as the workers then do: this process hears it, and ends them
        for part in parts:
            here, there = context.Pipe(duplex=False)
            workers.append(context.Process(target=_work, args=(there, *part)))
            workers[-1].start()
            there.close()
            pipes.append(here)
    try:
        for pipe in pipes:
            try:
                error = pipe.recv()
            except EOFError:
                error = UserError("a process that drew samples was ended from outside; start again.")
            if error:
                raise error
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _work(pipe, path: str, opt: SampleOptions, prime: list[bytes], seeds: Sequence[int], folder: str) -> None:
    # An exception out of the handler could come where Python drops it, and the process would draw on.
    terminated: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: terminated.append(number))
    try:
        _write(checkpoint.load(path), opt, prime, seeds, folder, "cpu", lambda: bool(terminated))
    except (UserError, OSError) as e:
        pipe.send(e)
    else:
        pipe.send(None)


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
