"""The files of `sample`: which ones, which threads, and how they end."""

from __future__ import annotations

import contextlib
import io
import os
import threading

import pytest
from click.testing import CliRunner
from conftest import GOLDEN, run

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.sampling import sample_files, sampler
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions

SECONDS = 60  # a generous limit for what a busy machine does late
CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
LOADED = checkpoint.load(CHECKPOINT)


def alone(opt: SampleOptions, seed: int) -> bytes:
    """The text of one seed, stopped where -stop says, and a newline."""
    single = SampleOptions(length=opt.length, stop=opt.stop, seed=seed)
    found = sampler.sample(NumpyPredictor(LOADED.network), LOADED.vocab, single, b"A")
    return b"".join(one.character for one in found) + b"\n"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("samples", [2, 70])
def test_every_seed_has_its_file(tmp_path, with_or_without_kernel, threads, samples):
    """More seeds than streams that go side by side, and fewer than threads."""
    opt = SampleOptions(length=20, stop="e", seed=5, samples=samples, threads=threads)
    sample_files.write_samples(LOADED, opt, [b"A"], str(tmp_path), "cpu")
    seeds = range(5, 5 + samples)
    assert {path.name for path in tmp_path.iterdir()} == {f"sample_{seed}.txt" for seed in seeds}
    for seed in (5, 6, 5 + samples // 2, 4 + samples):
        assert (tmp_path / f"sample_{seed}.txt").read_bytes() == alone(opt, seed)


@pytest.mark.parametrize(
    "samples, threads, most, sizes",
    [
        (64, 2, 12, [10, 11, 11, 10, 11, 11]),  # as many groups for one thread as for the other
        (24, 1, 12, [12, 12]),
        (25, 2, 12, [6, 6, 6, 7]),
        (3, 8, 12, [1, 1, 1]),
        (1, 1, 64, [1]),
        (130, 1, 64, [43, 43, 44]),
    ],
)
def test_groups(samples, threads, most, sizes):
    groups = list(sample_files._groups(range(7, 7 + samples), threads, most))
    assert [len(group) for group in groups] == sizes
    assert [seed for group in groups for seed in group] == list(range(7, 7 + samples))


def test_groups_of_very_many_samples_take_no_memory():
    assert next(sample_files._groups(range(10**12), 2, 12)) == range(11)


def test_as_many_threads_as_cores_unless_asked(tmp_path, monkeypatch):
    drawing = set()
    write = sample_files._Samples.write
    monkeypatch.setattr(sample_files.cores, "usable", lambda: 5)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def noted(*args):
        drawing.add(threading.get_ident())
        everybody.wait(SECONDS)  # all of them draw at once
        return write(*args)

    monkeypatch.setattr(sample_files._Samples, "write", noted)
    for threads in (0, 3):
        everybody = threading.Barrier(threads or 5)
        drawing.clear()
        opt = SampleOptions(length=2, samples=threads or 5, threads=threads)
        sample_files.write_samples(LOADED, opt, [], str(tmp_path), "cpu")
        assert len(drawing) == (threads or 5)


def test_a_gpu_is_not_shared(tmp_path, monkeypatch):
    """There, all is drawn by this thread."""
    called = []
    write = lambda samples, predictor, seeds: called.append((predictor, threading.get_ident())) or []  # noqa: E731
    monkeypatch.setattr(sample_files._Samples, "write", write)
    monkeypatch.setattr(sample_files.inference, "make_predictor", lambda loaded, device, streams: (device, streams))
    sample_files.write_samples(LOADED, SampleOptions(samples=70, seed=1), [], str(tmp_path), "cuda:0")
    assert called == [(("cuda:0", 35), threading.get_ident())] * 2


def test_a_stop_in_the_primetext_does_not_stop(tmp_path):
    opt = SampleOptions(length=30, stop="A", seed=3, samples=2)
    sample_files.write_samples(LOADED, opt, [b"A"], str(tmp_path), "cpu")
    assert (tmp_path / "sample_3.txt").read_bytes() == alone(opt, 3)
    assert len(alone(opt, 3)) > 2


def test_a_folder_in_which_nobody_may_write_is_named_before_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    command = ["sample", str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"), "-gpuid", "-1", "-o"]
    for folder, place in (("there", "there"), ("new", str(tmp_path))):
        ended = CliRunner().invoke(cli, [*command, folder])
        denied = f"-o {folder}: no permission to write in the folder {place}; choose another."
        assert for_command_line(str(ended.exception)) == denied


def test_a_folder_that_is_not_there(tmp_path):
    """The error of a thread that draws is that of the command."""
    with pytest.raises(FileNotFoundError):
        sample_files.write_samples(
            LOADED, SampleOptions(length=5, samples=32, threads=2), [], str(tmp_path / "none"), "cpu"
        )


def test_an_error_in_one_thread_ends_the_others(tmp_path, monkeypatch):
    """They leave no half sample, though these would go on for years."""
    sample = sample_files.sampler.sample_streams

    def failing(predictor, primes, vocab, opt, seeds, **more):
        for chunk in sample(predictor, primes, vocab, opt, seeds, **more):
            yield chunk
            if 3 in seeds:
                raise UserError("the disk is full")

    monkeypatch.setattr(sample_files.sampler, "sample_streams", failing)
    with pytest.raises(UserError, match="the disk is full"):
        opt = SampleOptions(length=10**9, seed=0, samples=4, threads=2, o=str(tmp_path))
        sample_files.write_samples(LOADED, opt, [], str(tmp_path), "cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [True, False])
def test_only_what_is_kept_waits_for_the_disk(tmp_path, monkeypatch, kept):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    opt = SampleOptions(length=20, samples=3, o=str(tmp_path) if kept else "")
    sample_files.write_samples(LOADED, opt, [], str(tmp_path), "cpu")
    assert bool(synced) == kept and len(list(tmp_path.iterdir())) == 3


def test_files_of_negative_seeds_are_not_overwritten(tmp_path):
    opt = SampleOptions(o=str(tmp_path), seed=-2, samples=3)
    for name, read in (
        ("sample_-3.txt", False),
        ("sample_-2.txt", True),
        ("sample_0.txt", True),
        ("sample_-0.txt", False),
    ):
        with pytest.raises(UserError) if read else contextlib.nullcontext():
            sample_files.refuse_to_overwrite(opt, str(tmp_path / name))


def test_samples_that_exist_are_replaced_only_with_overwrite(tmp_path):
    def refusal(**options) -> str:
        try:
            sample_files.refuse_to_overwrite(SampleOptions(o=str(tmp_path), **options))
        except UserError as e:
            return str(e)
        return ""

    for name in ("sample_7.txt", "sample_9.txt", "sample_12.txt", "sample_08.txt", "sample_8.txt.bak"):
        (tmp_path / name).write_bytes(b"mine")
    end = "choose another folder or -seed, or replace what is there with -overwrite 1."
    assert refusal(seed=7) == f"-o {tmp_path} would replace {tmp_path / 'sample_7.txt'}: {end}"
    assert f" would replace 2 files, such as {tmp_path / 'sample_7.txt'}: " in refusal(seed=6, samples=6)
    assert refusal(seed=7, samples=6, overwrite=1) == refusal(seed=8) == refusal(seed=10, samples=2) == ""
    assert refusal(seed=10, items=2) == ""
    assert "sample_12.txt" in refusal(seed=10, items=2, unique=1)  # it may write further seeds


def test_samples_among_other_texts_are_pointed_out(tmp_path):
    """Else the next training on that folder would learn from them, unnoticed."""
    (tmp_path / "poems").mkdir()
    (tmp_path / "poems/mine.txt").write_bytes(b"the night\n")
    for folder, words in (("poems", b"poems has other texts: a training on this folder would read"), ("drafts", b"")):
        sample = ("sample", CHECKPOINT, "-gpuid", "-1", "-length", "9", "-samples", "2", "-o", folder)
        for more in ((), ("-overwrite", "1")):
            done = run(*sample, *more, cwd=tmp_path)
            assert done.returncode == 0 and words in done.stderr and (b"has other" in done.stderr) == bool(words)


def test_files_that_are_read_are_not_overwritten(tmp_path):
    opt = SampleOptions(o=str(tmp_path), seed=7, samples=3)

    def refused(path) -> bool:
        try:
            sample_files.refuse_to_overwrite(opt, "", os.fspath(path))
        except UserError as e:
            assert str(e) == f"-o {tmp_path} would overwrite {path}, which is an input: choose another folder."
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
    yield sampler.SampledCharacter(b"a", 0, [1.0], False)
    raise KeyboardInterrupt


def test_ctrl_c_ends_a_sample_without_an_end():
    out = io.BytesIO()
    sample_files.write_sample(out, SampleOptions(length=0), endless(), live=True)
    assert out.getvalue() == b"a\n"
    with pytest.raises(KeyboardInterrupt):
        sample_files.write_sample(io.BytesIO(), SampleOptions(length=5), endless(), live=True)
