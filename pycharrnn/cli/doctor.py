"""`pycharrnn doctor`: the facts of machine_facts.py, a self-test and speeds.

The self-test trains a small network for 40 iterations, resumes it from the middle and samples from it, then compares
the output with a recording of this trainer, which prints the digits of the Lua original (docs/parity.md).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from compat.charrnn import Checkpoint
from compat.lua_random import LuaRandom
from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.machine_facts import machine_facts
from pycharrnn.common import cores
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.engine import device, kernel_library
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.rmsprop import RMSprop
from pycharrnn.sampling import sampler
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.text.text_folder import input_file
from pycharrnn.training.loop import train
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.reports import Callbacks, TrainStep
from pycharrnn.training.signals import RunStopped

_WORDS = "the quick brown fox jumps over a lazy dog and\nthen naps under \u00e9lan trees".encode().split(b" ")
_RECORDED = """\
5 0.106 3.30261041 5.3731e-01
10 0.213 3.11169093 3.9806e-01
15 0.319 3.19529144 4.6155e-01
20 0.426 3.04470771 3.8947e-01
25 0.532 3.17760360 3.5611e-01
30 0.638 3.00777058 2.6229e-01
35 0.745 3.08633362 3.0286e-01
40 0.851 3.12748720 2.1996e-01
"""  # iteration, epoch, loss, norm ratio: lstm, 2 layers of 12, dropout 0.2
_SAMPLE = b"the qqdh ploqjfs\xa9enii ffenodh  pelon h  lpjen ukornapeanae ac\xc3nq"
_BITS = "70734dd470449f22074bfb481d26e24f844c22ffbdf8aac75da9245fd6926780"  # of the numbers in its last checkpoint
# Another run's options, and the sum of the numbers in its last checkpoint.
_BFLOAT16: dict[str, Any] = {"exact": 0, "dtype": "bfloat16", "weight_drop": 0.3, "savefile": "bfloat16"}
_BFLOAT16_BITS = "dea7bd1227b8c5c9de2828afb1ee2ceec00a45cfca425f9573005150b1056c38"
_DISK_SPACE = 1 << 20  # bytes, for its files
_SECONDS = 2.0  # that each measurement takes


def examine(say: PrintLine, meter: cores.Meter | None = None) -> None:
    """Print versions, devices, results of the self-test and speeds; takes about ten seconds.

    Args:
        meter: measures the load of other programs; None = don't print it.

    Errors: UserError if the self-test fails.
    """
    busy = meter.others() if meter else None
    for line in machine_facts():
        say(line)
    if busy is not None:
        say(f"other programs use {busy:.1f} of {cores.usable()} cores, which slows down steps")
    failed = False
    for name, test in self_tests():
        try:
            fault = test()
        except Exception as e:  # it goes into the report, whatever it is
            if isinstance(e, RunStopped) and e.status > 128:  # unless a signal ended the command
                raise
            fault = f"{type(e).__name__}: {e}"
        failed |= fault is not None
        say(f"self-test: {name:10} {'ok' if fault is None else f'FAILED: {fault}'}")
    for line in speeds():
        say(line)
    if failed and shutil.disk_usage(folder := tempfile.gettempdir()).free < _DISK_SPACE:
        raise UserError(f"the self-test failed, and {folder} is nearly full: make room there, and repeat it.")
    if failed:
        raise UserError("the self-test failed: please report it with the lines above.")


# -- the self-test ---------------------------------------------------------------------------------------------------


def self_tests() -> Iterator[tuple[str, Callable[[], str | None]]]:
    """(name, test), to be run in this order. A test returns the difference, or None."""
    with tempfile.TemporaryDirectory(prefix="pycharrnn-doctor-", ignore_cleanup_errors=True) as folder:
        with open(input_file(folder), "wb") as f:
            f.write(training_text())
        yield "training", lambda: differences(recorded_run(folder), _RECORDED.splitlines())
        yield (
            "resuming",
            lambda: differences(recorded_run(folder, resume=_middle_checkpoint(folder)), _RECORDED.splitlines()[4:]),
        )
        if kernel_library.rounds_as_elsewhere():
            yield "bits", lambda: _bits_difference(folder, "lstm", _BITS)
            yield "bfloat16", lambda: _bfloat16_difference(folder)
        yield "sampling", lambda: _sample_difference(folder)
        if device.find_gpus().kind:
            recorded = _RECORDED.splitlines()  # a GPU computes in float32, so that only the first digits can agree
            yield "GPU", lambda: differences(recorded_run(folder, gpuid=0), recorded, loss=1e-3, norm=1e-2)


def training_text() -> bytes:
    """2,000 bytes of words in a fixed random order."""
    picked = (_WORDS[int(u * len(_WORDS))] for u in LuaRandom(1).random(800))
    return b" ".join(picked)[:2000]


def recorded_run(folder: str, **options: Any) -> list[str]:
    """Train as in the recorded run except for `options`. Returns: lines like _RECORDED. Errors: UserError."""
    sizes = {"rnn_size": 12, "batch_size": 4, "seq_length": 10, "dropout": 0.2, "learning_rate": 0.01}
    course = {"max_epochs": 40.5 / 47, "print_every": 5, "eval_val_every": 20, "lock": 0}
    opt = TrainOptions(data_dir=folder, checkpoint_dir=folder, **{"gpuid": -1, **sizes, **course, **options})
    found: list[TrainStep] = []
    train(opt, say=print_nothing, note=print_nothing, callbacks=Callbacks(on_print=found.append))
    return [f"{step.iteration} {step.epoch:.3f} {step.train_loss:.8f} {step.norm_ratio:.4e}" for step in found]


def differences(ours: list[str], recorded: list[str], loss: float = 1.01e-8, norm: float = 1.01e-4) -> str | None:
    """The first line that differs from the recorded one, or None.

    Args:
        loss: tolerance of losses. norm: relative tolerance of norm ratios. By default one unit of the last printed
            digit, which another machine may round differently.
    """
    if len(ours) != len(recorded):
        return f"{len(ours)} lines, recorded {len(recorded)}"
    for our, their in zip(ours, recorded, strict=True):
        (*place, our_loss, our_norm), (*their_place, their_loss, their_norm) = our.split(), their.split()
        close = abs(float(our_loss) - float(their_loss)) <= loss
        close &= abs(float(our_norm) - float(their_norm)) <= norm * float(their_norm)
        if place != their_place or not close:
            return f"{our!r}, recorded {their!r}"
    return None


def _middle_checkpoint(folder: str) -> str:
    """The checkpoint that the recorded run saved after 20 of its 40 iterations."""
    (path,) = (entry.path for entry in os.scandir(folder) if entry.name.startswith("lm_lstm_epoch0.43"))
    return path


def recorded_sample(folder: str) -> bytes:
    """A sample from the last checkpoint of the recorded run: a primetext and 60 characters."""
    loaded = checkpoint.load(os.path.join(folder, "lm_lstm_latest.t7"))
    options = SampleOptions(length=60, temperature=0.8)
    drawn = sampler.sample(on_cpu(loaded.network), loaded.vocab, options, b"the ")
    return b"".join(one.character for one in drawn)


def bits(loaded: Checkpoint) -> str:
    """SHA-256 of all numbers in a checkpoint, equal for runs that computed the same bits."""
    digest = hashlib.sha256()
    for _, weight in sorted(loaded.network.weights.items()):
        digest.update(np.ascontiguousarray(weight).tobytes())
    digest.update(np.array([*loaded.train_losses, *loaded.val_losses.values()], "<f8").tobytes())
    if loaded.state:
        for array in (loaded.state.mean_square, *loaded.state.hidden_state, np.array(loaded.state.norm_ratio)):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _bits_difference(folder: str, savefile: str, recorded: str) -> str | None:
    ours = bits(checkpoint.load(os.path.join(folder, f"lm_{savefile}_latest.t7")))
    return None if ours == recorded else f"sha256 {ours}, recorded {recorded}"


def _bfloat16_difference(folder: str) -> str | None:
    recorded_run(folder, **_BFLOAT16)
    return _bits_difference(folder, _BFLOAT16["savefile"], _BFLOAT16_BITS)


def _sample_difference(folder: str) -> str | None:
    ours = recorded_sample(folder)
    return None if ours == _SAMPLE else f"{ours!r}, recorded {_SAMPLE!r}"


# -- speed -----------------------------------------------------------------------------------------------------------


def speeds() -> Iterator[str]:
    """Lines with the time of a training step of the default network on each device."""
    yield _speed("cpu", torch.float64, "the CPU (default network, -exact 1)")
    yield _speed("cpu", torch.float32, "the CPU (default network, -exact 0)")
    kind = device.find_gpus().kind
    if kind == "cuda":
        yield _speed("cuda:0", torch.float32, "GPU 0 (default network)")
    elif kind == "mps":
        yield _speed("mps", torch.float32, "the GPU (default network)")


def _speed(device: str, dtype: torch.dtype, where: str) -> str:
    """The median time of a step within two seconds, for a vocabulary of 65 characters."""
    defaults = TrainOptions()
    T, B = defaults.seq_length, defaults.batch_size
    model = CharRNN("lstm", 65, defaults.rnn_size, defaults.num_layers, dtype=dtype, device=device)
    bptt = model.bptt(T, B, training_only=True)
    gradient = torch.zeros_like(bptt.flat)
    gradients = bptt.views(gradient)
    optimizer = RMSprop(bptt.flat, defaults.learning_rate, defaults.decay_rate)
    for state in bptt.states(0):
        state.zero_()
    x = torch.randint(65, (T, B), device=device)
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        bptt.forward(x)
        loss = bptt.nll(x)
        bptt.backward(bptt.d_nll(), gradients)
        optimizer.step(gradient, defaults.grad_clip)
        float(loss)  # a GPU has computed the step only once its result is here
        times.append(1000 * (time.perf_counter() - start))
    return f"speed: {sorted(times)[len(times) // 2]:.1f} ms a step on {where}: {bptt.reason}"
