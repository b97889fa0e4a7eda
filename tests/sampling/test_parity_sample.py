"""Every byte of the recorded samples."""

from __future__ import annotations

import pytest
from conftest import GOLDEN, sampled, spec

from pycharrnn.cli.commands import cli
from pycharrnn.engine.model import CharRNN

CASES = [
    pytest.param(run.parent, sample, id=f"{run.parent.name}-{k}")
    for run in sorted(GOLDEN.glob("*/run.json"))
    for k, sample in enumerate(spec(run.parent.name)["samples"])
]


@pytest.mark.parametrize("folder, sample", CASES)
def test_recorded_text(folder, sample):
    want = (folder / sample["stdout"]).read_bytes()
    assert sampled(folder / sample["checkpoint"], sample["args"]) == want


@pytest.mark.parametrize("name", ["float_cpu", "float", "cuda", "cl", "ascii"])
def test_recorded_text_of_other_types_and_encodings(name):
    want = (GOLDEN / "variants" / "samples" / "float_cpu.txt").read_bytes()
    assert sampled(GOLDEN / "variants" / f"{name}.t7", ["-length", "400"]) == want


@pytest.mark.parametrize("name", ["lstm2", "gru2", "rnn3"])
def test_a_checkpoint_of_ours_speaks_like_the_original(trained, name):
    first = spec(name)["samples"][0]
    want = (GOLDEN / name / first["stdout"]).read_bytes()
    assert sampled(trained(name)[1] / first["checkpoint"], first["args"]) == want


@pytest.mark.parametrize("name", ["lstm2", "gru2", "rnn3"])
def test_pytorch_draws_the_same_text(name):
    """The way a GPU would take, on the CPU."""
    import torch

    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.sampling import sampler
    from pycharrnn.sampling.inference import TorchPredictor
    from pycharrnn.sampling.options import SampleOptions

    first = spec(name)["samples"][0]
    loaded = checkpoint.load(GOLDEN / name / first["checkpoint"])
    predictor = TorchPredictor(CharRNN.from_checkpoint(loaded, dtype=torch.float64))
    text = b"".join(d.character for d in sampler.sample(predictor, loaded.vocab, SampleOptions(length=400), b""))
    assert text + b"\n" == (GOLDEN / name / first["stdout"]).read_bytes()


def test_diagnostics_only_under_verbose():
    from click.testing import CliRunner

    checkpoint = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
    args = ["sample", checkpoint, "-length", "5", "-gpuid", "-1"]
    quiet = CliRunner().invoke(cli, [*args, "-verbose", "0"]).stdout
    loud = CliRunner().invoke(cli, args).stdout
    assert loud == (
        "creating an lstm...\n"
        "missing seed text, using uniform probability over first character\n"
        "--------------------------\n" + quiet
    )
    assert len(quiet) == 6
    primed = CliRunner().invoke(cli, [*args, "-primetext", "The "]).stdout
    assert primed.startswith("creating an lstm...\nseeding with The \n--------------------------\nThe ")
