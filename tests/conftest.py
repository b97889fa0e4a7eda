"""Shared by the tests: where the recorded runs are, and one training of each."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from child_signals import default_signals
from click.testing import CliRunner
from command_server import CommandServer, ForkedCommand
from kernel_levels import LEVELS
from recorded_runs import GOLDEN

from compat import charrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import kernel_library

# On a machine that is busy with other things as well, training prints the same as on one that is not.
os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
# Where no kernel was compiled, tests run as where it is switched off. A training would say so, a line that no test but
# its own expects (engine/test_kernel_library.py).
if kernel_library.is_missing():
    os.environ["PYCHARRNN_KERNEL"] = "off"

# The same examples in each run, and however long one takes on a busy machine.
hypothesis.settings.register_profile(
    "tests",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")

ROOT = Path(__file__).parents[1]
# Checkpoints and texts of others, which are not part of this project; their tests are collected only where they are.
THIRD_PARTY = Path(os.environ.get("PYCHARRNN_THIRD_PARTY", ROOT.parent / "shared"))
collect_ignore = [] if (THIRD_PARTY / "real" / "manifest.json").is_file() else ["third_party"]
TRAIN_RUNS = sorted(p.parent.name for p in GOLDEN.glob("*/run.json") if not p.parent.name.startswith("legacy_"))


def spec(name: str) -> dict:
    return json.loads((GOLDEN / name / "run.json").read_text(encoding="utf-8"))


COMMAND_SERVER = CommandServer()


def run(*args: str | bytes, cwd=None, input: bytes = b"") -> subprocess.CompletedProcess:
    """A command in a process of its own; on Linux a fork of one that has loaded PyTorch."""
    if sys.platform != "linux":  # elsewhere there is no fork, or no such socket
        return run_alone(*args, cwd=cwd, input=input)
    return COMMAND_SERVER.run([os.fsdecode(word) for word in args], cwd, input)


def start(*args: str, **keywords) -> subprocess.Popen:
    """As `run`, but the command is under way, with signals that a shell would give it. keywords: as of Popen.

    args: may be those of Python, `-c PROGRAM ...`.
    """
    if sys.platform != "linux":
        keywords["env"] = {**(keywords.get("env") or os.environ), "PYTHONPATH": str(ROOT)}
        command = args if args[0] == "-c" else ("-m", "pycharrnn", *args)
        return subprocess.Popen([sys.executable, *command], **HEEDS_SIGNALS, **keywords)
    return ForkedCommand(COMMAND_SERVER, list(args), **keywords)


def start_on_a_full_disk(room: int, *args: str, **keywords) -> subprocess.Popen:
    """As `start`, but no file can be longer than `room` bytes, on POSIX, until the command has ended.

    The limit ends then, so that coverage can write its data.
    """
    limited = "import atexit, resource, sys; size = resource.RLIMIT_FSIZE; before = resource.getrlimit(size);"
    limited += f"resource.setrlimit(size, ({room}, before[1])); atexit.register(resource.setrlimit, size, before);"
    program = limited + "from pycharrnn.cli.commands import main; main(sys.argv[1:])"
    return start("-c", program, *args, **keywords)


def run_alone(*args: str | bytes, cwd=None, input: bytes = b"") -> subprocess.CompletedProcess:
    """A command in a process that starts with nothing, for what goes by that."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if os.name == "nt":  # what is printed as text is of another encoding there, and its lines end in \r\n
        environment["PYTHONIOENCODING"] = "utf-8"
    command = [sys.executable, "-m", "pycharrnn", *args]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, env=environment, input=input)
    if os.name == "nt":
        ended.stdout, ended.stderr = (part.replace(b"\r\n", b"\n") for part in (ended.stdout, ended.stderr))
    return ended


def pytest_collection() -> None:
    """Before the tests' modules, which may copy the environment, are imported."""
    COMMAND_SERVER.be_measured()
    gc.disable()


def pytest_collection_finish() -> None:
    """What was imported and collected stays: looking through it again and again would take seconds."""
    gc.enable()
    gc.freeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out, where slow tests are not run, a file of slow tests that takes each process a second to collect."""
    return True if collection_path.name == "test_studio_schema.py" and config.option.markexpr == "not slow" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest comes first, so that no other process waits for it at the end of `make slow`."""
    items.sort(key=lambda item: item.path.name != "test_transcripts.py")


@pytest.fixture(scope="session", autouse=True)
def commands_end():
    """The process whose forks the commands are ends with the tests, and leaves its part of the coverage."""
    yield
    COMMAND_SERVER.stop()


needs_signals = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
needs_byte_names = pytest.mark.skipif(
    os.name == "nt", reason="names of files and arguments are bytes on POSIX, and text on Windows"
)
HEEDS_SIGNALS = {"preexec_fn": default_signals} if os.name != "nt" else {}


def is_open(path: str | Path) -> bool:
    """Whether this process holds the file open, which Windows would not replace then. Only Linux can be asked."""
    files = [Path(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    return any(fd.exists() and fd.samefile(path) for fd in files)


def not_found() -> str:
    """What the system's error says of a file that is not there; Windows has words of its own for some calls."""
    with pytest.raises(OSError) as error:
        os.stat(ROOT / "nowhere")
    return error.value.strerror


def with_slashes(text: str) -> str:
    """What was printed, with its paths as the tests write them: Windows has backslashes there."""
    return text.replace(os.sep, "/")


def sentence(result: subprocess.CompletedProcess, status: int = 1, note: str = "") -> str:
    """The one sentence of a failed command. `note`: of another line, which stands before it."""
    error = with_slashes(result.stderr.decode())
    assert result.returncode == status, error
    assert "Traceback" not in error
    before, _, last = error.rstrip("\n").rpartition("\n")
    assert error.endswith("\n") and "\n" not in before and bool(before) == bool(note) and note in before, error
    return last + "\n"


def save_with_weights(path: Path, loaded: charrnn.Checkpoint, value: float) -> None:
    """Write a checkpoint all of whose weights are `value`: NaN or infinity, as after a training that diverged."""
    weights = {name: np.full_like(weight, value) for name, weight in loaded.network.weights.items()}
    network = dataclasses.replace(loaded.network, weights=weights)
    checkpoint.convert(dataclasses.replace(loaded, network=network), path)


def train_as_recorded(name: str, folder: Path, *more: str) -> tuple[str, Path]:
    """What our train prints with the arguments of a recorded run, and more, and the folder of its checkpoints."""
    from pycharrnn.cli.commands import cli

    args = spec(name)["train"]
    flags = dict(zip(args[::2], args[1::2], strict=True))
    (folder / flags["-data_dir"]).mkdir(parents=True)
    shutil.copy(GOLDEN / "corpus" / "input.txt", folder / flags["-data_dir"])
    if "-init_from" in flags:
        start = Path(flags["-init_from"])
        (folder / start).parent.mkdir(parents=True)
        shutil.copy(GOLDEN / start.parent.name / start.name, folder / start)
    with working_in(folder):
        result = CliRunner().invoke(cli, ["train", *args, *more])
    status = getattr(result.exception, "status", result.exit_code)
    assert status == (3 if name == "exploding" else 0), result.output
    return result.stdout, folder / flags["-checkpoint_dir"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """name of a recorded run -> as train_as_recorded, once a session."""
    done: dict[str, tuple[str, Path]] = {}

    def run(name: str) -> tuple[str, Path]:
        if name not in done:
            done[name] = train_as_recorded(name, tmp_path_factory.mktemp(name))
        return done[name]

    return run


@pytest.fixture
def kernel_is_on(monkeypatch):
    """The kernel is used, also where all tests are run without it."""
    if os.environ.get("PYCHARRNN_KERNEL") == "off":
        monkeypatch.delenv("PYCHARRNN_KERNEL")
        library = kernel_library.library  # in whose place a test may put another function
        library.cache_clear()
        yield
        library.cache_clear()
    else:
        yield


@pytest.fixture
def without_kernel(monkeypatch):
    """What is computed in this process does without the C kernel."""
    with monkeypatch.context() as patch:
        patch.setenv("PYCHARRNN_KERNEL", "off")
        kernel_library.library.cache_clear()
        yield
    kernel_library.library.cache_clear()


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    """Runs a test once on each level of the C kernel."""
    monkeypatch.setenv("PYCHARRNN_KERNEL", request.param)
    kernel_library.library.cache_clear()
    assert kernel_library.name() == request.param
    yield request.param
    kernel_library.library.cache_clear()


@pytest.fixture(params=["numpy", "kernel"])
def with_or_without_kernel(request, monkeypatch):
    """Runs a test twice: in NumPy, and on the C kernel if it is compiled."""
    if request.param == "numpy":
        monkeypatch.setattr(kernel_library, "library", lambda: None)
    elif kernel_library.library() is None:
        pytest.skip("no kernel was compiled here")


@contextlib.contextmanager
def working_in(folder: Path):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A data_dir with the recorded runs' input.txt."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    shutil.copy(GOLDEN / "corpus" / "input.txt", folder)
    return folder


@pytest.fixture
def integers_of_windows(monkeypatch) -> None:
    """Arrays that are made of Python's whole numbers have 32 bits, as on Windows before NumPy 2."""

    def with_short_integers(make):
        def short(content, dtype=None, **more):
            made = make(content, dtype, **more)
            is_default = dtype is None and made.dtype == np.int64 and not isinstance(content, (np.ndarray, np.generic))
            return made.astype(np.int32) if is_default else made

        return short

    def cumsum(content, axis=None, dtype=None):
        return with_short_integers(lambda content, dtype: long_cumsum(content, axis, dtype))(content, dtype)

    array, arange, long_cumsum = np.array, np.arange, np.cumsum
    monkeypatch.setattr(np, "array", with_short_integers(array))
    monkeypatch.setattr(np, "arange", with_short_integers(lambda stop, dtype: arange(stop, dtype=dtype)))
    monkeypatch.setattr(np, "cumsum", cumsum)


def sampled(checkpoint: Path, args: list[str]) -> bytes:
    """What our sample prints to a pipe."""
    from pycharrnn.cli.commands import cli

    command = ["sample", os.fspath(checkpoint), "-gpuid", "-1", "-verbose", "0", *args]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One browser for all tests of the page; each opens its pages with page_tools.visit."""
    from page_tools import browser, skip_without_browser

    skip_without_browser()
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="session")
def address():
    """Of a page of two models, for all tests that need no other."""
    from serving_tools import GRU, LSTM, server

    with server(LSTM, GRU) as running:
        yield running.url


@pytest.fixture
def page(chromium, address):
    """The page of two models, on which nothing goes wrong that the browser would log."""
    from page_tools import logged, visit

    logged(chromium)
    visit(chromium, address)
    yield chromium
    assert logged(chromium) == []
