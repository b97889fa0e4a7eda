"""The kernel's own threads: more than it starts, in a child of fork, and beside signals."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import start
from kernel_levels import needs_kernel

pytestmark = needs_kernel
posix = pytest.mark.skipif(os.name != "posix", reason="no fork or signals here")

# update() lets the kernel work on two threads, as RMSprop does.
PRELUDE = """
import ctypes, os, signal, sys, threading, time
import numpy as np
from pycharrnn.engine.kernel_library import library
from pycharrnn.engine.kernel_structures import BLOCK, UpdateStruct
def update(size=50 * BLOCK):
    gradient, mean_square, parameters = np.ones((3, size))
    squares = np.empty(2 * (size // BLOCK + 1))
    addresses = (a.ctypes.data for a in (gradient, mean_square, parameters))
    found = UpdateStruct(size, *addresses, 5, .95, .002, 1e-8, squares.ctypes.data)
    library().charrnn_rmsprop(ctypes.byref(found), 2, 1)
    return found.of_parameters
def threads():
    return len(os.listdir("/proc/self/task"))
"""


def run(code: str, seconds: float = 300) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", code], env=env, timeout=seconds, capture_output=True, text=True)
    assert ended.returncode == 0, (ended.returncode, ended.stderr)


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted by Linux")
def test_a_child_of_fork_starts_threads_of_its_own():
    run(
        PRELUDE
        + """
before, alone = update(), 1
assert threads() == 2
child = os.fork()
if not child:
    assert threads() == 1
    same = update() == before
    os._exit(0 if same and threads() == 2 else 1)
sys.exit(os.waitpid(child, 0)[1] or update() != before)
"""
    )


@posix
def test_a_child_does_not_wait_for_what_another_thread_held_at_the_fork():
    """One thread starts jobs all the time, so that many of the forks come while it has the pool's lock."""
    run(
        PRELUDE
        + """
done = threading.Event()
def work():
    while not done.is_set():
        update(2 * BLOCK)
others = [threading.Thread(target=work) for _ in range(3)]
for other in others:
    other.start()
for _ in range(150):
    child = os.fork()
    if not child:
        signal.alarm(100)
        update(2 * BLOCK)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        done.set()
        sys.exit(f"a child ended with status {status}")
done.set()
""",
        120,
    )


@posix
def test_signals_are_for_the_threads_of_the_program():
    """One that the program's only thread blocks waits for it: the kernel's thread does not take it."""
    run(
        PRELUDE
        + """
taken = []
signal.signal(signal.SIGUSR1, lambda *_: taken.append(1))
update()
for _ in range(20):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.002)
    pending = signal.sigpending()
    assert not taken and signal.SIGUSR1 in pending, (taken, pending)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    assert taken.pop()
    update()
"""
    )


def test_more_threads_than_the_kernel_starts():
    """It starts 256 at most; a decoder of more than 8,192 characters is divided into more parts than they take."""
    command = start(
        "-c",
        """
import torch
from pycharrnn import CharRNN
found = []
for threads in (1, 300):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    net = CharRNN("rnn", 9000, 3, 1)
    log_probs, _ = net(torch.randint(9000, (2, 3)))
    log_probs[:, :, :9].sum().backward()
    found.append((log_probs.detach().clone(), net.flat.grad.clone()))
assert all(map(torch.equal, *found))
""",
        stderr=subprocess.PIPE,
    )
    assert command.communicate(timeout=300) == (None, b"")
    assert command.returncode == 0
