"""Many samples at once: a batch of streams in each process, a file for each sample."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from compat.charrnn import Checkpoint
from compat.whole_file import whole_file
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common import numpy_warnings
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import inference, sampler
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.terminal_writer import Writer

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


def refuse_to_overwrite(opt: SampleOptions, *inputs: str) -> None:
    """Errors: UserError where a file that is read is one of those that will be written into the folder of -o."""
    folder = os.path.realpath(opt.o)
    for file in inputs:
        at, name = os.path.split(os.path.realpath(file))
        seed = name.removeprefix("sample_").removesuffix(".txt")
        is_sample = seed.isdecimal() and name == os.path.basename(file_of("", int(seed)))
        if at == folder and is_sample and 0 <= int(seed) - opt.seed < opt.samples:
            raise UserError(f"-o {opt.o} would overwrite {file}, which is read: choose another folder.")


def put_all(out: BinaryIO, opt: SampleOptions, stream: Iterable[sampler.Drawn], live: bool) -> None:
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
    characters = sampler.in_order(loaded.vocab)
    for some in (seeds[k : k + _STREAMS] for k in range(0, len(seeds), _STREAMS)):
        model = inference.make_predictor(loaded, where, len(some))
        with contextlib.ExitStack() as files:
            writers = [Writer(files.enter_context(whole_file(file_of(folder, seed))), opt) for seed in some]
            going = {b: (writer.put, sampler.Ending(opt.stop)) for b, writer in enumerate(writers)}
            rows = range(len(some))
            for step in sampler.draw_streams(model, prime, loaded.vocab, opt, some):
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
    # Here, since a single sample would be over before they are imported.
    import multiprocessing
    from multiprocessing import resource_tracker

    context = multiprocessing.get_context("spawn")
    if os.name != "nt":
        resource_tracker.ensure_running()  # now, since it lets signals through that are held back
    pipes, workers = [], []
    try:
        for part in parts:
            here, there = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(there, *part))
            with _signals_held_back():  # a worker ignores them for ever, this process hears them after the start
                worker.start()
                workers.append(worker)
            there.close()
            pipes.append(here)
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
    told_to_end: list[str] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told_to_end.append("by a signal"))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    numpy_warnings.be_silent()
    threading.Thread(target=lambda: told_to_end.append(_end_of_parent()), daemon=True).start()
    try:
        _write(checkpoint.load(path), opt, prime, seeds, folder, "cpu", lambda: bool(told_to_end))
    except (UserError, OSError) as e:
        pipe.send(e)
    else:
        pipe.send(None)


def _end_of_parent() -> str:
    """Return when the process that started this one has ended, whatever has ended it."""
    import multiprocessing

    multiprocessing.parent_process().join()
    return "with its parent"


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let signals that end the program wait; a process that is started meanwhile hears them only if it wants to."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
