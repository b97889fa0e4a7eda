"""Every format is read back: the same model, and where the format allows the same bytes."""

from __future__ import annotations

import dataclasses
import errno
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT, run, sampled, sentence, start_on_a_full_disk, working_in
from kinds import ORIGINALS, OTHERS, loaded, path_of

import pycharrnn
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint, formats, inspection
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError, for_page, for_program

OTHER_FORMATS = [ending for ending in formats.ENDINGS if ending != ".t7"]


@pytest.mark.parametrize("ending", OTHER_FORMATS)
@pytest.mark.parametrize("kind", [*ORIGINALS, *OTHERS])
def test_there_and_back(tmp_path, kind, ending):
    """.t7 -> X -> .t7 -> X: the .t7 files are the same, byte for byte; so are the others, unless .t7 changes them."""
    before = loaded(kind)
    for name in ("a.t7", f"a{ending}"):
        checkpoint.convert(before, tmp_path / name)
    after = checkpoint.load(tmp_path / f"a{ending}")
    for name, weight in before.network.weights.items():
        assert after.network.weights[name].dtype == weight.dtype
        np.testing.assert_array_equal(after.network.weights[name], weight)
    without = {"gradients": None, "state": None}
    facts = [
        repr(
            dataclasses.replace(
                c, network=dataclasses.replace(c.network, weights={}), vocab={}, val_losses={}, **without
            )
        )
        for c in (before, after)
    ]
    assert facts[0] == facts[1]
    assert (after.vocab, after.val_losses) == (before.vocab, before.val_losses)
    checkpoint.convert(after, tmp_path / "b.t7")
    assert (tmp_path / "b.t7").read_bytes() == (tmp_path / "a.t7").read_bytes()
    checkpoint.convert(after, tmp_path / f"b{ending}")
    assert (tmp_path / f"b{ending}").read_bytes() == (tmp_path / f"a{ending}").read_bytes()


@pytest.mark.parametrize("ending", OTHER_FORMATS)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_from_the_t7_file_too(tmp_path, ending, precision):
    """.t7 -> X -> .t7 -> X, by the command."""
    checkpoint.convert(
        loaded({"float64": "lstm dropout", "float32": "float"}[precision]),
        tmp_path / "a.t7",
        formats.WriteOptions(precision),
    )
    with working_in(tmp_path):
        for line in (["a.t7", f"b{ending}"], [f"b{ending}", "c.t7", "-type", precision], ["c.t7", f"d{ending}"]):
            result = CliRunner().invoke(cli, ["convert", *line])
            assert result.stdout == f"saved {line[1]}\n"
    assert (tmp_path / "c.t7").read_bytes() == (tmp_path / "a.t7").read_bytes()
    assert (tmp_path / f"d{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="a limit of POSIX stands for a full disk")
@pytest.mark.parametrize("ending", formats.ALL_ENDINGS)
def test_a_full_disk_is_named_with_the_file(tmp_path, ending):
    checkpoint.convert(loaded("lstm dropout"), tmp_path / "a.t7")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start_on_a_full_disk(8192, "convert", "a.t7", f"b{ending}", cwd=tmp_path, **pipes)
    _, error = process.communicate()
    assert process.returncode == 1
    assert error.decode() == f"pycharrnn: {tmp_path / f'b{ending}'}: {os.strerror(errno.EFBIG)}.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.t7"]


@pytest.mark.parametrize("ending", OTHER_FORMATS)
def test_every_command_reads_every_format(tmp_path, corpus, ending):
    name = str(tmp_path / f"m{ending}")
    checkpoint.convert(loaded("lstm"), name)
    assert sampled(tmp_path / f"m{ending}", ["-length", "60"]) == sampled(path_of("lstm"), ["-length", "60"])
    (tmp_path / "t.txt").write_bytes((corpus / "input.txt").read_bytes()[:200])
    for command, *args in (["inspect"], ["eval", "-data_dir", str(corpus)], ["score", str(tmp_path / "t.txt")]):
        ours, theirs = (CliRunner().invoke(cli, [command, model, *args]) for model in (name, str(path_of("lstm"))))
        assert ours.exit_code == 0, ours.output
        known = lambda text: [line for line in text.splitlines() if not line.startswith(("encoding", "long size"))]  # noqa: E731
        assert known(ours.stdout) == known(theirs.stdout) != []
    assert pycharrnn.load(name).vocab == loaded("lstm").vocab


def test_the_page_offers_every_format(tmp_path):
    from pycharrnn.server.registry import Registry

    paths = [tmp_path / f"{k}{ending}" for k, ending in enumerate(formats.ENDINGS)]
    for path in paths:
        checkpoint.convert(loaded("rnn"), path)
    offered = Registry([str(path) for path in paths], print, print)
    assert [facts.id for facts in offered.all_facts()] == [path.stem for path in paths]


@pytest.mark.parametrize("ending", formats.ALL_ENDINGS)
def test_an_ending_may_be_in_upper_case(tmp_path, ending):
    source, other = tmp_path / f"a{ending}", tmp_path / f"other{ending.upper()}"
    checkpoint.convert(loaded("lstm dropout"), tmp_path / "m.t7")
    for path in (source, other):
        assert run("convert", "m.t7", path.name, cwd=tmp_path).stdout == f"saved {path.name}\n".encode()
    assert other.read_bytes() == source.read_bytes()
    if ending != ".c":
        assert inspection.look(other).facts == inspection.look(source).facts
        assert run("convert", other.name, "back.T7", cwd=tmp_path).returncode == 0
        assert checkpoint.load(tmp_path / "back.T7").vocab == loaded("lstm dropout").vocab
    options = {".T7": ["-longs", "4"], ".C": ["-weights", "int8"], ".HTML": ["-half", "1"]}.get(ending.upper(), [])
    assert run("convert", "m.t7", f"b{ending.upper()}", *options, cwd=tmp_path).returncode == 0


def test_a_folder_and_a_library_take_endings_in_upper_case_too(tmp_path):
    pycharrnn.load(path_of("rnn")).save(tmp_path / "M.T7", long_size=4)
    pycharrnn.load(tmp_path / "M.T7").save(tmp_path / "P.HTML", half=True)
    assert b"M.T7, the only checkpoint" in run("sample", str(tmp_path), "-length", "5").stderr
    page = f"{tmp_path / 'P.HTML'}#M"
    assert pycharrnn.load(page).vocab == pycharrnn.load(tmp_path / "M.T7").vocab


def test_exports_in_a_folder_are_not_its_checkpoints(tmp_path):
    for ending in formats.ENDINGS:
        checkpoint.convert(loaded("rnn"), tmp_path / f"lm_x_epoch1.00_2.0000{ending}")
    (tmp_path / "lm_x_epoch1.00_2.0000.t7").unlink()
    said = run("sample", str(tmp_path), "-length", "5")
    assert b"lm_x_epoch1.00_2.0000.safetensors, the only checkpoint" in said.stderr
    (tmp_path / "lm_x_epoch1.00_2.0000.safetensors").unlink()
    assert "has no checkpoint (.t7 or .safetensors)" in sentence(run("sample", str(tmp_path)))


def test_all_endings_are_named(tmp_path):
    with pytest.raises(UserError, match=r"use \.t7, .*\.json, \.pt, \.onnx, \.c or \.html\."):
        checkpoint.convert(loaded("rnn"), tmp_path / "m.xml")
    assert all(ending in CliRunner().invoke(cli, ["convert", "-help"]).stdout for ending in formats.ENDINGS)


def test_only_pt_loads_pytorch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    others = [str(tmp_path / f"m{ending}") for ending in formats.ENDINGS if ending != ".pt"]
    convert = (
        "from pycharrnn.checkpoints import checkpoint; import sys; args = sys.argv[1:]; m = checkpoint.load(args[0]);"
    )
    convert += "[checkpoint.convert(m, x) for x in args[1:]]; [checkpoint.load(x) for x in args[1:]]"
    subprocess.run([sys.executable, "-c", convert, str(path_of("gru")), *others], env=environment, check=True)


def test_all_keep_the_hash_of_the_text_and_only_safetensors_files_the_run_state(tmp_path):
    from runs import folder_with_text, named, train

    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    found = checkpoint.load(named(folder)[0])
    assert found.state is not None
    for ending in OTHER_FORMATS:
        checkpoint.convert(found, tmp_path / f"m{ending}")
        said = inspection.look(tmp_path / f"m{ending}").facts["run_state"]
        assert (said != "none") == (ending == ".safetensors"), ending
        assert checkpoint.load(tmp_path / f"m{ending}").text_fingerprint == found.text_fingerprint != ""
    checkpoint.convert(checkpoint.load(tmp_path / "m.json"), tmp_path / "back.t7")
    checkpoint.convert(found, tmp_path / "float.t7", formats.WriteOptions("float32"))
    for name in ("back.t7", "float.t7"):
        loaded = checkpoint.load(tmp_path / name)
        assert (loaded.text_fingerprint, loaded.state) == (found.text_fingerprint, None)
        assert loaded.program == found.program != "pycharrnn"


@pytest.mark.parametrize(
    ("options", "endings"),
    [
        ({"dtype": "float32"}, [".t7", ".onnx"]),
        ({"encoding": "ascii"}, [".t7"]),
        ({"long_size": 4}, [".t7"]),
        ({"weights": "int8"}, [".c"]),
        ({"half": True}, [".html"]),
        ({"title": "Poems"}, [".html"]),
        ({"about": "By a network."}, [".html"]),
    ],
)
def test_an_option_is_refused_for_the_formats_that_do_not_use_it(options, endings):
    (name,) = options
    for ending in formats.ALL_ENDINGS:
        if ending in endings:
            formats.check_options(f"m{ending}", formats.WriteOptions(**options))
            continue
        with pytest.raises(UserError) as raised:
            formats.check_options(f"m{ending}", formats.WriteOptions(**options))
        assert for_program(raised.value.message).startswith(f"{name}={options[name]!r} is for {endings[0]}")
        assert for_page(raised.value.message, lambda option, value: None).endswith(
            f", not for m{ending}: leave it out."
        )


def with_weight(number: float) -> Checkpoint:
    """A model with one weight of this value."""
    found = loaded("lstm")
    weights = {name: w.astype(np.float64) for name, w in found.network.weights.items()}
    weights["decoder.bias"][0] = number
    return dataclasses.replace(found, network=dataclasses.replace(found.network, weights=weights))


@pytest.mark.parametrize("ending", [".t7", ".onnx"])
def test_weights_beyond_the_range_of_a_type_are_refused(tmp_path, ending):
    with pytest.raises(UserError, match=r"beyond the range of -type float32, such as 1e\+39: leave it out") as raised:
        checkpoint.convert(with_weight(1e39), tmp_path / f"a{ending}", formats.WriteOptions("float32"))
    assert "beyond the range of dtype='float32', such as" in for_program(raised.value.message)
    assert not list(tmp_path.iterdir())
    checkpoint.convert(
        with_weight(math.inf), tmp_path / f"b{ending}", formats.WriteOptions("float32")
    )  # is infinity in any type
    with_nan = with_weight(1e39)
    with_nan.network.weights["decoder.bias"][1] = math.nan
    with pytest.raises(UserError, match="such as 1e"):
        checkpoint.convert(with_nan, tmp_path / f"a{ending}", formats.WriteOptions("float32"))


def test_weights_beyond_the_range_of_a_page_are_refused(tmp_path):
    checkpoint.convert(with_weight(-1e5), tmp_path / "a.json")
    done = run("convert", "a.json", "a.html", "-half", "1", cwd=tmp_path)
    assert "the weights have numbers beyond the range of -half 1, such as -100000: leave it out." in sentence(done)
    assert run("convert", "a.json", "a.html", cwd=tmp_path).returncode == 0


def test_a_json_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.json"
    checkpoint.convert(loaded("lstm"), path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert checkpoint.load(path).vocab == loaded("lstm").vocab


def test_a_pt_file_of_an_old_pytorch_has_a_way_out(tmp_path):
    import torch

    checkpoint.convert(loaded("lstm"), tmp_path / "a.pt")
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save(state, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"in the format of PyTorch before 1\.6: write it again with a later torch"):
        checkpoint.load(tmp_path / "b.pt")
