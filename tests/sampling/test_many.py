"""Many samples at once: which files, which processes, and how they end."""

from __future__ import annotations

import contextlib
import io
import os

import pytest
from conftest import GOLDEN

from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import many, sampler
from pycharrnn.sampling.inference import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
LOADED = checkpoint.load(CHECKPOINT)


def alone(opt: SampleOptions, seed: int) -> bytes:
    """The text of one seed, stopped where -stop says, and a newline."""
    single = SampleOptions(length=opt.length, stop=opt.stop, seed=seed)
    found = sampler.draw(NumpyPredictor(LOADED.network), LOADED.vocab, single, b"A")
    return b"".join(one.character for one in found) + b"\n"


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("samples", [31, 32, 130])
def test_every_seed_has_its_file(tmp_path, monkeypatch, cores, samples):
    """More seeds than streams, in one process or two; 31 are too few for two."""
    monkeypatch.setattr(many.cores, "usable", lambda: cores)
    shares = []
    in_processes = many._write_in_processes
    monkeypatch.setattr(many, "_write_in_processes", lambda parts: shares.append(len(parts)) or in_processes(parts))
    opt = SampleOptions(length=20, stop="e", seed=5, samples=samples)
    many.write_samples(CHECKPOINT, LOADED, opt, [b"A"], str(tmp_path), "cpu")
    seeds = range(5, 5 + samples)
    assert {path.name for path in tmp_path.iterdir()} == {f"sample_{seed}.txt" for seed in seeds}
    for seed in (5, 6, 35, 4 + samples):
        assert (tmp_path / f"sample_{seed}.txt").read_bytes() == alone(opt, seed)
    assert shares == ([2] if cores == 2 and samples >= 32 else [])


def test_no_more_processes_than_threads_are_asked_for(monkeypatch):
    shares = []
    monkeypatch.setattr(many.cores, "usable", lambda: 8)
    monkeypatch.setattr(many, "_write_in_processes", lambda parts: shares.append(len(parts)))
    for threads in (0, 3):
        many.write_samples(CHECKPOINT, LOADED, SampleOptions(samples=128, threads=threads), [], "folder", "cpu")
    assert shares == [8, 3]


def test_a_gpu_is_not_shared(monkeypatch):
    called = []
    monkeypatch.setattr(many.cores, "usable", lambda: 8)
    monkeypatch.setattr(many, "_write_here", lambda *args: called.append(args))
    opt = SampleOptions(samples=64, seed=1)
    many.write_samples(CHECKPOINT, LOADED, opt, [], "folder", "cuda:0")
    assert called == [(LOADED, opt, [], range(1, 65), "folder", "cuda:0")]


def test_a_stop_in_the_primetext_does_not_stop(tmp_path):
    opt = SampleOptions(length=30, stop="A", seed=3, samples=2)
    many.write_samples(CHECKPOINT, LOADED, opt, [b"A"], str(tmp_path), "cpu")
    assert (tmp_path / "sample_3.txt").read_bytes() == alone(opt, 3)
    assert len(alone(opt, 3)) > 2


@pytest.mark.parametrize("cores", [1, 2])
def test_a_folder_that_is_not_there(tmp_path, monkeypatch, cores):
    """The error of a process that draws is that of the command."""
    monkeypatch.setattr(many.cores, "usable", lambda: cores)
    opt = SampleOptions(length=5, samples=32)
    with pytest.raises(FileNotFoundError):
        many.write_samples(CHECKPOINT, LOADED, opt, [], str(tmp_path / "none"), "cpu")


def test_a_process_that_is_told_to_end_leaves_no_half_samples(tmp_path):
    asked = []

    def should_end() -> bool:
        asked.append(len(list(tmp_path.iterdir())))
        return len(asked) == 3

    with pytest.raises(SystemExit):
        many._write_here(LOADED, SampleOptions(length=100), [], range(4), str(tmp_path), "cpu", should_end)
    assert asked == [4, 4, 4]
    assert list(tmp_path.iterdir()) == []


def test_files_of_negative_seeds_are_not_overwritten(tmp_path):
    opt = SampleOptions(o=str(tmp_path), seed=-2, samples=3)
    for name, read in (
        ("sample_-3.txt", False),
        ("sample_-2.txt", True),
        ("sample_0.txt", True),
        ("sample_-0.txt", False),
    ):
        with pytest.raises(UserError) if read else contextlib.nullcontext():
            many.refuse_to_overwrite(opt, str(tmp_path / name))


def test_files_that_are_read_are_not_overwritten(tmp_path):
    opt = SampleOptions(o=str(tmp_path), seed=7, samples=3)

    def refused(path) -> bool:
        try:
            many.refuse_to_overwrite(opt, "", os.fspath(path))
        except UserError as e:
            assert str(e) == f"-o {tmp_path} would overwrite {path}, which is read: choose another folder."
            return True
        return False

    names = (
        "sample_6.txt",
        "sample_7.txt",
        "sample_9.txt",
        "sample_10.txt",
        "sample_007.txt",
        "7",
        "sample_7",
        "7.txt",
    )
    assert [name for name in names if refused(tmp_path / name)] == ["sample_7.txt", "sample_9.txt"]
    assert not refused(tmp_path / "below" / "sample_7.txt")
    os.symlink(tmp_path / "sample_8.txt", tmp_path / "link")
    assert refused(tmp_path / "link")


def endless():
    yield sampler.Drawn(b"a", 0, [1.0], False)
    raise KeyboardInterrupt


def test_ctrl_c_ends_a_sample_without_an_end():
    out = io.BytesIO()
    many.write_sample(out, SampleOptions(length=0), endless(), live=True)
    assert out.getvalue() == b"a\n"
    with pytest.raises(KeyboardInterrupt):
        many.write_sample(io.BytesIO(), SampleOptions(length=5), endless(), live=True)
