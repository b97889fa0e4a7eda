"""Many samples at once: a batch of streams in each process, a file for each sample."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO

from compat.whole_file import whole_file
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common import cores, numpy_warnings
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import inference, sampler
from pycharrnn.sampling.terminal_writer import SampleWriter
from pycharrnn.sampling.tokenizer import characters_by_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from types import FrameType

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.options import SampleOptions

    # What a process of its own gets: the checkpoint's file, options, primetext, seeds, folder.
    _Share = tuple[str, SampleOptions, list[bytes], Sequence[int], str]

MAX_STREAMS = 64  # side by side in one process: more would be no faster, and each has a file open
_MIN_STREAMS_FOR_PROCESS = 16  # fewer are drawn before another process has started


def write_samples(
    path: str, loaded: Checkpoint, opt: SampleOptions, prime: list[bytes], folder: str, device: str
) -> None:
    """Write `opt.samples` samples of a checkpoint into `folder`, each whole or not at all.

    Each file holds what `pycharrnn sample -verbose 0` with its seed prints.

    Args:
        path: the checkpoint's file, which other processes load again.
        loaded: what checkpoint.load made of it.
        prime: characters of the vocabulary.
        device: PyTorch's name of it.

    Errors: OSError; UserError for a model that predicts NaN, or where another program ended a process.
    """
    seeds = range(opt.seed, opt.seed + opt.samples)
    most = opt.threads or cores.usable()
    processes = min(most, len(seeds) // _MIN_STREAMS_FOR_PROCESS) if device == "cpu" else 1
    if processes > 1:
        _write_in_processes([(path, opt, prime, seeds[k::processes], folder) for k in range(processes)])
    else:
        _write_here(loaded, opt, prime, seeds, folder, device)


def refuse_to_overwrite(opt: SampleOptions, *inputs: str) -> None:
    """Errors: UserError where a file that is read is one of those that will be written into the folder of -o."""
    folder = os.path.realpath(opt.o)
    for file in inputs:
        input_folder, name = os.path.split(os.path.realpath(file))
        match = re.fullmatch(r"sample_(-?\d+)\.txt", name)
        seed = int(match[1]) if match else opt.seed - 1
        is_sample = 0 <= seed - opt.seed < opt.samples and name == os.path.basename(sample_file("", seed))
        if input_folder == folder and is_sample:
            raise UserError(f"-o {opt.o} would overwrite {file}, which is read: choose another folder.")


def write_sample(out: BinaryIO, opt: SampleOptions, characters: Iterable[sampler.Drawn], live: bool) -> None:
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


def _write_here(
    loaded: Checkpoint,
    opt: SampleOptions,
    prime: list[bytes],
    seeds: Sequence[int],
    folder: str,
    device: str,
    should_end: Callable[[], bool] = lambda: False,
) -> None:
    """Draw and write the samples of `seeds` in this process.

    Args:
        should_end: asked after each character whether the process has been told to end.
    """
    characters = characters_by_index(loaded.vocab)
    for batch in (seeds[k : k + MAX_STREAMS] for k in range(0, len(seeds), MAX_STREAMS)):
        predictor = inference.make_predictor(loaded, device, len(batch))
        with contextlib.ExitStack() as files:
            writers = [SampleWriter(files.enter_context(whole_file(sample_file(folder, seed))), opt) for seed in batch]
            rows = range(len(batch))
            for step in sampler.draw_streams(predictor, [prime] * len(batch), loaded.vocab, opt, batch):
                indices, probabilities = step.indices.tolist(), step.probabilities[rows, step.indices].tolist()
                for b in step.streams:
                    writers[b].put(characters[indices[b]], probabilities[b], step.given[b])
                if should_end():
                    sys.exit(1)  # an exception, so that half-written files are removed
            for writer in writers:
                writer.end()


def _write_in_processes(shares: list[_Share]) -> None:
    """Draw and write each share in a process of its own. An error or signal that ends one process ends them all."""
    # Imported here, since drawing a single sample takes less time than importing these.
    import multiprocessing
    from multiprocessing import resource_tracker

    context = multiprocessing.get_context("spawn")
    if os.name != "nt":
        # Before signals are blocked below: starting the tracker would unblock them.
        resource_tracker.ensure_running()
    connections, workers = [], []
    try:
        for share in shares:
            ours, workers_end = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(workers_end, *share))
            # The worker inherits the block and keeps it; this process receives the signals right after the start.
            with _signals_blocked():
                worker.start()
                workers.append(worker)
            workers_end.close()
            connections.append(ours)
        for connection in connections:
            try:
                error = connection.recv()
            except EOFError:
                error = UserError("a process that drew samples was ended from outside; start again.")
            if error:
                raise error
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _work(
    connection: Connection[Exception | None, None],
    path: str,
    opt: SampleOptions,
    prime: list[bytes],
    seeds: Sequence[int],
    folder: str,
) -> None:
    """The whole life of a process that draws: it writes its samples, then sends None, or the exception that ended it.

    It ends early, without half-written files, at SIGTERM or when the process that started it has ended.
    """
    # The handler only makes a note: an exception out of a handler can come at a place where Python drops it, and then
    # the process would go on drawing.
    reasons_to_end: list[str] = []

    def end_soon(number: int, frame: FrameType | None) -> None:
        reasons_to_end.append("a signal")

    signal.signal(signal.SIGTERM, end_soon)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    numpy_warnings.be_silent()
    threading.Thread(target=_note_end_of_parent, args=(reasons_to_end,), daemon=True).start()
    try:
        _write_here(checkpoint.load(path), opt, prime, seeds, folder, "cpu", lambda: bool(reasons_to_end))
    except (UserError, OSError) as e:
        connection.send(e)
    else:
        connection.send(None)


def _note_end_of_parent(reasons_to_end: list[str]) -> None:
    """Wait until the process that started this one has ended, for whatever reason, and add that to the reasons."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    reasons_to_end.append("the end of its parent")


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let the signals that end the program wait until the block's end.

    A process that is started meanwhile inherits the block, and receives only those signals that it unblocks itself.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
